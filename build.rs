//! Tells the crate how it is compiled: a build script that is slow because it is
//! not optimised should say so.

fn main() {
    #[expect(clippy::disallowed_methods, reason = "cargo sets it for build scripts")]
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=ERYX_PREINIT_OPT_LEVEL={level}");
    println!("cargo::rerun-if-changed=build.rs");
}
