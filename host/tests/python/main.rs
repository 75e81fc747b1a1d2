//! Real Python of the oldest and of the newest runtime, run through this crate.

mod callbacks;
mod files;
mod limits;
mod many;
#[cfg(target_os = "linux")]
mod moved;
mod network;
mod output;
mod package;
mod prepared;
mod reach;
#[cfg(target_os = "linux")]
#[path = "../../../tests/skip/mod.rs"]
mod skip;
