//! Why fusing gives up, apart from errors.

use anyhow::Result;
use wasm_encoder::reencode;

/// Why a component is left as it is.
#[derive(Debug)]
pub(super) struct Unfit(pub(super) String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// # Errors
/// [`Unfit`], always.
pub(super) fn unfit<T>(why: impl Into<String>) -> Result<T> {
    Err(Unfit(why.into()).into())
}

/// The error of a re-encoder, with [`Unfit`] at its surface.
pub(super) fn encoded(error: reencode::Error<Unfit>) -> anyhow::Error {
    match error {
        reencode::Error::UserError(unfit) => unfit.into(),
        error => error.into(),
    }
}
