//! One core module in place of those that a linked component consists of.

mod body;
mod component;
mod constant;
mod merge;
mod module;
mod output;
mod plan;
mod types;
mod write;

use anyhow::{Context, Result};
use component::Component;
use merge::Merged;
use plan::Plan;
use wasm_encoder::reencode;

/// What fusing gives.
pub(crate) enum Fused {
    /// A component that does the same.
    Component(Vec<u8>),
    /// The component is left as it is, and why.
    Unfused(String),
}

/// Fuses the core modules of a component.
///
/// # Errors
/// When the component is malformed.
pub(crate) fn fuse(component: &[u8]) -> Result<Fused> {
    match fused(component) {
        Ok(bytes) => Ok(Fused::Component(bytes)),
        Err(error) => match error.downcast::<Unfit>() {
            Ok(Unfit(why)) => Ok(Fused::Unfused(why)),
            Err(error) => Err(error.context("cannot fuse the component")),
        },
    }
}

fn fused(bytes: &[u8]) -> Result<Vec<u8>> {
    let component = Component::read(bytes)?;
    let plan = Plan::make(&component)?;
    let merged = Merged::make(&component, &plan)?;
    let modules: Vec<_> = plan
        .members
        .iter()
        .map(|&member| component.module_of(member).context("a bag"))
        .collect::<Result<_>>()?;
    let written = write::write(&merged, &plan, &modules)?;
    output::write(&component, &plan, &written)
}

/// Why a component is left as it is.
#[derive(Debug)]
struct Unfit(String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

fn unfit<T>(why: impl Into<String>) -> Result<T> {
    Err(Unfit(why.into()).into())
}

/// The error of a re-encoder, with [`Unfit`] at its surface.
fn encoded(error: reencode::Error<Unfit>) -> anyhow::Error {
    match error {
        reencode::Error::UserError(unfit) => unfit.into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
