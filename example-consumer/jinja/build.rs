fn main() -> Result<(), eryx_preinit_build::Error> {
    eryx_preinit_build::run()?;
    Ok(())
}
