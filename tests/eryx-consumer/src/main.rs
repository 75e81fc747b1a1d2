//! Runs the pre-initialised component in eryx's own `Sandbox`: compiled when it
//! starts, and out of native code that eryx made at build time.

static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));
// The module `python`: native code that eryx made at build time, and how to load it.
include!(concat!(env!("OUT_DIR"), "/python.rs"));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let form = std::env::args().nth(1).unwrap_or_default();
    let code = "import json, sys, csv, random\n\
                native = 'early' in sys.modules, 'late' in sys.modules\n\
                import early, late\n\
                native += early.answer(), late.answer()\n\
                import logging, time\n\
                assert 0 <= time.time_ns() - logging._startTime < 60e9, logging._startTime\n\
                assert time.time() > 1.76e9, time.time()\n\
                print(json.dumps({'restored': 're' in sys.modules, 'native': native}), random.random())";
    // Of one snapshot, two instances: they draw different numbers.
    for _ in 0..if form == "wasm" { 1 } else { 2 } {
        let mounted = |builder: eryx::SandboxBuilder<eryx::state::Has, eryx::state::Needs>| {
            builder
                .with_python_stdlib(env!("ERYX_PYTHON_STDLIB"))
                .with_site_packages(env!("ERYX_SITE_PACKAGES"))
        };
        let builder = match form.as_str() {
            "bytes" => python::sandbox(),
            // SAFETY: eryx itself compiled this in build.rs; nobody changes the file.
            "file" => mounted(unsafe {
                eryx::Sandbox::builder().with_precompiled_file(env!("ERYX_PYTHON_CWASM"))
            }),
            _ => mounted(eryx::Sandbox::builder().with_wasm_bytes(PYTHON)),
        };
        let sandbox = builder.build()?;
        print!("{}", sandbox.execute(code).await?.stdout);
    }
    Ok(())
}
