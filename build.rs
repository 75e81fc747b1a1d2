//! Tells the crate how and for what it is compiled: a build script that is slow
//! because it is not optimised should say so, and `native` code is for this machine.

fn main() {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo sets them for build scripts"
    )]
    let [level, host] = ["OPT_LEVEL", "TARGET"].map(|name| std::env::var(name).unwrap_or_default());
    println!("cargo::rustc-env=ERYX_PREINIT_OPT_LEVEL={level}");
    // This crate's target is the machine that the consumer's build script runs on.
    println!("cargo::rustc-env=ERYX_PREINIT_HOST={host}");
    println!("cargo::rerun-if-changed=build.rs");
}
