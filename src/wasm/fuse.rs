//! One core module in place of those that a linked component consists of.
//!
//! Linked libraries are modules that hand each other thousands of functions, table
//! entries and addresses whenever an instance is made. Once they are linked, nothing of
//! that can come out differently any more: it is worked out here, once. What is left to
//! do in an instance is what Wasmtime does without looking: a memory image, a table that
//! it fills as it is used, and constants.
//!
//! # Why it is sound
//!
//! **Nothing runs in between.** Making an instance creates memories, tables and globals,
//! writes segments, and runs start functions. Only code could see in which order the
//! former happen, so it must not run before all of it is done: where a start function
//! would, before the last segment of a module to fuse is in its place, the component is
//! left as it is ([`plan`]). All segments are written in the order they were. Others that
//! write to the same memory or table come behind them, as before. A segment that is out
//! of bounds ends the instantiation, early or late, before any code has run.
//!
//! **What starts does so where it did**, relative to all other code: a small module in
//! the place of the former instance calls it. A start function that only fills memory
//! with constants (linkers clear their zeros so, or write addresses) is segments in other
//! words, and is written as such; over memory that nothing has written to, zeros are there
//! already.
//!
//! **Every name leads to the same item.** Imports are followed through instances, bags
//! and modules that hand them on, to where the item is defined; its type must be the one
//! expected. A module instantiated twice stays, since its items would be there twice,
//! and so does one that takes what depends on a fused one: that could not be made first.
//! So stays wit-component's shim, whose table is filled with what needs the memory.
//!
//! **Globals become constants** if no instruction can write them, if none of the fused
//! functions does and no other module has them, or if only the first code to run does,
//! before it has done anything else but that and storing constants: then nobody has read
//! them yet, and the function may run again without changing anything.
//!
//! **A function that only calls a table entry, with its own arguments, is that entry**,
//! if it is of the same type, no instruction writes to the table, and no other module
//! has it. Functions cannot be compared, so that is not to be seen in tables either.
//!
//! **What nothing names is left out.** Roots are exports that are asked for, all table
//! segments (what libraries are opened with at run time is in there), constants and the
//! functions that start.
//!
//! Not the same: how many core instances there are, what functions are called in the
//! traces of traps, and how deep calls can get before the stack ends (deeper).

mod body;
mod component;
mod constant;
mod merge;
mod module;
mod output;
mod plan;
mod types;
mod unfit;
mod write;

use anyhow::{Context, Result};
use component::Component;
use merge::Merged;
use plan::Plan;
use unfit::Unfit;

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

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
