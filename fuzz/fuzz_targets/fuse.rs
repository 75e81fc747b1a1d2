#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| eryx_preinit_build_fuzz::fuse_modules(data));
