//! Real Python of the oldest and of the newest runtime, run through this crate.

mod callbacks;
mod files;
mod limits;
mod many;
mod network;
mod output;
mod package;
mod prepared;
mod reach;
