//! A configuration as parts of a key.

use super::{Config, Extension, Precompile};
use crate::store::digest::KeyBuilder;
use std::path::PathBuf;

impl Config {
    /// Adds every value: whoever adds a field has to say here what of it counts.
    #[cfg_attr(
        not(test),
        expect(
            clippy::too_many_lines,
            reason = "it names every field, and only adds it"
        )
    )]
    pub(crate) fn parts(&self, key: &mut KeyBuilder) {
        let Self {
            imports,
            on_restore,
            extensions,
            packages,
            wheel_dirs,
            lock_extras,
            lock_groups,
            strict_records,
            runtime,
            stdlib,
            site_packages,
            setup,
            setup_code,
            trace,
            embed,
            embed_exclude,
            embed_sources,
            compress,
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
            report,
            precompile,
        } = self;
        add_names(key, "import", imports);
        add_names(key, "on-restore", on_restore);
        add_names(key, "embed-exclude", embed_exclude);
        add_names(key, "setup-code", setup_code);
        add_names(key, "lock-extra", lock_extras);
        if let Some(groups) = lock_groups {
            key.part("lock-groups", &[]);
            add_names(key, "lock-group", groups);
        }
        for Extension { path, module } in extensions {
            add_paths(key, "extension", [path]);
            key.part("module", module.as_deref().unwrap_or_default().as_bytes());
        }
        add_paths(key, "package", packages);
        add_paths(key, "wheel-dir", wheel_dirs);
        add_paths(key, "runtime", runtime);
        add_paths(key, "stdlib", stdlib);
        add_paths(key, "site-packages", site_packages);
        add_paths(key, "setup", setup);
        add_paths(key, "cache-dir", cache_dir);
        key.part("embed", embed.name().as_bytes())
            .part("engine", engine.name().as_bytes())
            .part("output", output.as_bytes())
            .part("timeout", &timeout.as_nanos().to_le_bytes())
            .part("memory-limit", &memory_limit.to_le_bytes())
            .part("cache-size", &cache_size.to_le_bytes())
            .part("compress", compress.as_slice());
        add_flag(key, "trace", *trace);
        add_flag(key, "embed-sources", *embed_sources);
        add_flag(key, "strict-records", *strict_records);
        add_flag(key, "strip", *strip);
        add_flag(key, "fuse", *fuse);
        add_flag(key, "verify", *verify);
        add_flag(key, "warn-unoptimized", *warn_unoptimized);
        add_flag(key, "summary", *summary);
        add_flag(key, "report", *report);
        precompile.iter().for_each(|made| made.parts(key));
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
            pooling,
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
            ("pooling", pooling),
        ] {
            key.part(label, &[u8::from(*on)]);
        }
    }
}

fn add_names<'a>(key: &mut KeyBuilder, label: &str, names: impl IntoIterator<Item = &'a String>) {
    for name in names {
        key.part(label, name.as_bytes());
    }
}

fn add_paths<'a>(key: &mut KeyBuilder, label: &str, paths: impl IntoIterator<Item = &'a PathBuf>) {
    for path in paths {
        key.part(label, path.as_os_str().as_encoded_bytes());
    }
}

fn add_flag(key: &mut KeyBuilder, label: &str, on: bool) {
    key.part(label, &[u8::from(on)]);
}
