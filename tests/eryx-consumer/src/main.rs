//! Runs the pre-initialised component in eryx's own `Sandbox`: compiled when it
//! starts, and out of native code that eryx made at build time.
//!
//! Its arguments: how Python is loaded, what it runs, and an empty folder.

static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));
// The module `python`: native code that eryx made at build time, and how to load it.
include!(concat!(env!("OUT_DIR"), "/python.rs"));

/// A snapshot that imports from folders what was not imported before it.
mod mounted {
    include!(concat!(env!("OUT_DIR"), "/mounted.rs"));
}

type Builder = eryx::SandboxBuilder<eryx::state::Has, eryx::state::Has>;

/// What is in the snapshot, and that instances of it differ where they should.
const STATE: &str = "import json, sys, csv, random\n\
    native = 'early' in sys.modules, 'late' in sys.modules\n\
    import early, late\n\
    native += early.answer(), late.answer()\n\
    import logging, time\n\
    assert 0 <= time.time_ns() - logging._startTime < 60e9, logging._startTime\n\
    assert time.time() > 1.76e9, time.time()\n\
    print(json.dumps({'restored': 're' in sys.modules, 'native': native}), random.random())";

/// What each module of the standard library looks like.
const MODULES: &str = include_str!("../../../src/guest/embedded/modules.py");

fn builder(form: &str, empty: &str) -> Builder {
    let mounted = |builder: eryx::SandboxBuilder<eryx::state::Has, eryx::state::Needs>| {
        builder
            .with_python_stdlib(env!("ERYX_PYTHON_STDLIB"))
            .with_site_packages(env!("ERYX_SITE_PACKAGES"))
    };
    match form {
        "bytes" => python::sandbox(),
        "alone" => python::sandbox_at(empty, empty),
        "mounted" => mounted::python::sandbox(),
        // SAFETY: eryx itself compiled this in build.rs; nobody changes the file.
        "file" => mounted(unsafe {
            eryx::Sandbox::builder().with_precompiled_file(env!("ERYX_PYTHON_CWASM"))
        }),
        "wasm" => mounted(eryx::Sandbox::builder().with_wasm_bytes(PYTHON)),
        _ => panic!("{form}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [form, script, empty] = &arguments[..] else {
        panic!("{arguments:?}");
    };
    // Of one snapshot, two instances: they draw different numbers.
    let (code, instances) = match (script.as_str(), form.as_str()) {
        ("modules", _) => (MODULES, 1),
        // It is compiled for each.
        (_, "wasm") => (STATE, 1),
        _ => (STATE, 2),
    };
    for _ in 0..instances {
        let sandbox = builder(form, empty).build()?;
        print!("{}", sandbox.execute(code).await?.stdout);
    }
    Ok(())
}
