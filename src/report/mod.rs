//! The report: where the time of a build went, and the bytes of its result.
//!
//! [`collect`] makes a value of what is known, and the rest renders it: without a look at
//! files or clocks.

mod html;
mod measurements;
mod memory;
mod model;
mod modules;
mod sizes;
mod svg;

pub(crate) use html::page;
pub(crate) use measurements::Measurements;
pub(crate) use model::{Facts, collect};
