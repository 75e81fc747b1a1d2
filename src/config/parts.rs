//! A configuration as parts of a key.

use super::{Config, Extension, Precompile};
use crate::store::digest::KeyBuilder;
use std::path::Path;

impl Config {
    /// Adds every value: whoever adds a field has to say here what of it counts.
    pub(crate) fn parts(&self, key: &mut KeyBuilder) {
        let Self {
            imports,
            on_restore,
            extensions,
            packages,
            wheel_dirs,
            runtime,
            stdlib,
            site_packages,
            setup,
            setup_code,
            trace,
            engine,
            strip,
            fuse,
            verify,
            output,
            timeout,
            memory_limit,
            cache_dir,
            cache_size,
            warn_unoptimized,
            summary,
            precompile,
        } = self;
        for (label, names) in [("import", imports), ("on-restore", on_restore)] {
            for name in names {
                key.part(label, name.as_bytes());
            }
        }
        for Extension { path, module } in extensions {
            add_path(key, "extension", path);
            key.part("module", module.as_deref().unwrap_or_default().as_bytes());
        }
        for (label, paths) in [
            ("package", packages.as_slice()),
            ("wheel-dir", wheel_dirs),
            ("runtime", runtime.as_slice()),
            ("stdlib", stdlib.as_slice()),
            ("site-packages", site_packages.as_slice()),
            ("setup", setup.as_slice()),
            ("cache-dir", cache_dir.as_slice()),
        ] {
            for path in paths {
                add_path(key, label, path);
            }
        }
        if let Some(code) = setup_code {
            key.part("setup-code", code.as_bytes());
        }
        key.part("engine", engine.name().as_bytes())
            .part("output", output.as_bytes())
            .part("timeout", &timeout.as_nanos().to_le_bytes())
            .part("memory-limit", &memory_limit.to_le_bytes())
            .part("cache-size", &cache_size.to_le_bytes());
        for (label, on) in [
            ("trace", trace),
            ("strip", strip),
            ("fuse", fuse),
            ("verify", verify),
            ("warn-unoptimized", warn_unoptimized),
            ("summary", summary),
        ] {
            key.part(label, &[u8::from(*on)]);
        }
        if let Some(precompile) = precompile {
            precompile.parts(key);
        }
    }
}

impl Precompile {
    fn parts(&self, key: &mut KeyBuilder) {
        let Self {
            target,
            cpu,
            compiler,
            opt_level,
            epoch_interruption,
            consume_fuel,
            memory_init_cow,
            address_map,
        } = self;
        key.part("target", target.as_deref().unwrap_or_default().as_bytes())
            .part("cpu", cpu.name().as_bytes())
            .part("compiler", compiler.name().as_bytes())
            .part("opt-level", opt_level.name().as_bytes());
        for (label, on) in [
            ("epoch-interruption", epoch_interruption),
            ("consume-fuel", consume_fuel),
            ("memory-init-cow", memory_init_cow),
            ("address-map", address_map),
        ] {
            key.part(label, &[u8::from(*on)]);
        }
    }
}

fn add_path(key: &mut KeyBuilder, label: &str, path: &Path) {
    key.part(label, path.as_os_str().as_encoded_bytes());
}
