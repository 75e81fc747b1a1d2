fn main() -> Result<(), eryx_preinit_build::Error> {
    let mut builder = eryx_preinit_build::Builder::from_env()?;
    builder.precompile_with(|wasm, target| {
        eryx::PythonExecutor::precompile_with_target(wasm, Some(target))
    });
    builder.build().map(drop)
}
