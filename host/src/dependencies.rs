//! What generated files find around them, as if the program depended on it.

pub use wasmtime;
#[cfg(feature = "zstd")]
pub use zstd;
