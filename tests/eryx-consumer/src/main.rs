//! Runs the pre-initialised component in eryx's own `Sandbox`.

static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = eryx::Sandbox::builder()
        .with_wasm_bytes(PYTHON)
        .with_python_stdlib(env!("ERYX_PYTHON_STDLIB"))
        .build()?;
    let code =
        "import json, sys, csv\nprint(json.dumps({'ok': True, 'restored': 're' in sys.modules}))";
    print!("{}", sandbox.execute(code).await?.stdout);
    Ok(())
}
