//! The `[package.metadata.eryx]` block: its schema, its defaults and its rules.
//!
//! Cargo does not look inside `[package.metadata]`, so a misspelt key or a wrong
//! type would go unnoticed unless it is found here. Every problem of a block is
//! reported at once, each with the path of its TOML key: a build script that has
//! to be run again for every typing mistake is slow to set right.
//!
//! Values set through the [`Builder`](crate::Builder) pass the same checks.

mod fields;
mod links;
mod parts;
mod paths;
mod precompile;
mod problems;
mod rules;
mod snapshots;
mod suggest;
#[cfg(test)]
mod tests;
mod text;
mod units;

pub(crate) use paths::{Pattern, is_lock_file, matching};
pub use precompile::{CpuLevel, OptLevel, Precompile};
pub(crate) use snapshots::{Snapshots, check as check_snapshots, variable_prefix};
pub(crate) use suggest::nearest;

use crate::error::Error;
use fields::Fields;
use paths::{
    cache_dir_problem, extension_path_problem, package_path_problem, runtime_path_problem,
    setup_path_problem, site_packages_path_problem, stdlib_path_problem, wheel_dir_problem,
    without_trailing_slash,
};
use problems::{Problems, Seen, SeenExtensions};
use rules::{
    check_cache_size, check_compress, check_embed_exclude, check_import, check_lock_name,
    check_memory_limit, check_module, check_on_restore, check_output, check_package, check_path,
    check_setup, check_timeout, check_wheel_dir,
};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use text::{found, show_path};
use units::GIB;

const BLOCK: &str = "package.metadata.eryx";
const KEYS: &[&str] = &[
    "imports",
    "on-restore",
    "extensions",
    "packages",
    "wheel-dirs",
    "lock-extras",
    "lock-groups",
    "strict-records",
    "runtime",
    "stdlib",
    "site-packages",
    "setup",
    "setup-code",
    "trace",
    "embed",
    "embed-exclude",
    "embed-sources",
    "compress",
    "engine",
    "strip",
    "fuse",
    "verify",
    "output",
    "timeout",
    "memory-limit",
    "cache-dir",
    "cache-size",
    "warn-unoptimized",
    "summary",
    "report",
    "precompile",
    SNAPSHOTS,
];
const SNAPSHOTS: &str = "snapshots";
const EXTENSION_KEYS: &[&str] = &["path", "module"];

/// What to build, and how: the `[package.metadata.eryx]` block of the crate
/// whose build script runs.
///
/// In the block, keys are written with `-` where the fields here have `_`, and
/// relative paths start at the folder of its `Cargo.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// `imports`: the modules to import before the snapshot is taken, in this
    /// order, as dotted Python names. Default: none.
    ///
    /// A name is taken as it is written. Python's `import` statement applies
    /// Unicode NFKC to names, this does not, and which non-ASCII characters a
    /// name may have is decided by [`char::is_alphabetic`] and
    /// [`char::is_alphanumeric`], which is nearly Python's rule.
    pub imports: Vec<String>,
    /// `on-restore`: what every instance of the snapshot calls, without arguments and
    /// in this order, before its first code runs, as `"module:callable"` (the object
    /// references of Python's entry points). For what this crate does not seed again
    /// by itself, such as `"numpy.random:seed"`. If one raises, the code does not run.
    /// Default: none.
    pub on_restore: Vec<String>,
    /// `extensions`: native extension modules to link in, each written as
    /// `"path.so"` or `{ path = "path.so", module = "pkg._core" }`. A wheel
    /// (`"name.whl"`) brings its Python files along. A shared library that is no
    /// extension module is linked where another one needs it. Default: none.
    pub extensions: Vec<Extension>,
    /// `packages`: Python packages to mount at /site-packages: wheels (`.whl`),
    /// source distributions (`.tar.gz`, `.zip`), package and project folders, single modules
    /// (`.py`), and lock files (`pylock.toml`, `requirements.txt` with hashes), which stand
    /// for what they lock. A path may hold `*` and `?`. Default: none.
    pub packages: Vec<PathBuf>,
    /// `wheel-dirs`: the folders that hold the files which lock files in `packages`
    /// name. Default: none.
    pub wheel_dirs: Vec<PathBuf>,
    /// `lock-extras`: which extras of a `pylock.toml` are taken, too. Default: none.
    pub lock_extras: Vec<String>,
    /// `lock-groups`: which dependency groups of a `pylock.toml` are taken. Default:
    /// `None`, those that the file calls its default groups.
    pub lock_groups: Option<Vec<String>>,
    /// `strict-records`: refuse a wheel whose RECORD does not list exactly what is in it,
    /// which is a warning otherwise. Default: `false`.
    pub strict_records: bool,
    /// `runtime`: the folder of an unpacked `eryx-runtime` package, with `libs/`
    /// and `prebuilt/` in it. Default: the package in the dependency graph.
    pub runtime: Option<PathBuf>,
    /// `stdlib`: the Python standard library, either the unpacked folder (with
    /// `os.py` and `encodings/` in it) or a `.tar.zst` archive of it.
    /// Default: the archive in the `eryx` package of the dependency graph; without
    /// one, CPython 3.14.0's, which this crate carries.
    pub stdlib: Option<PathBuf>,
    /// `site-packages`: a folder of third-party Python modules, as an installer
    /// leaves it. Extension modules for WASI in it are linked. Default: none.
    pub site_packages: Option<PathBuf>,
    /// `setup`: a Python file to run after the imports. What it leaves in memory,
    /// its global names among it, is in the snapshot. Default: none.
    pub setup: Option<PathBuf>,
    /// `setup-code`: Python code, in place of the file that `setup` names.
    /// Default: none.
    pub setup_code: Option<String>,
    /// `trace`: leave the tracing of a runtime before 0.6 on, which tells eryx's trace
    /// events of every line that runs, and takes hundreds of times as long for it. Later
    /// runtimes trace when the program asks for it. Default: `false`.
    pub trace: bool,
    /// `embed`: what the snapshot holds of the standard library and of the packages,
    /// `"all"`, `"imported"` or `"none"`. Default: `"all"`.
    pub embed: Embed,
    /// `embed-exclude`: modules that are not embedded, as dotted names, with all that is
    /// in them. Default: [`Config::EMBED_EXCLUDE`].
    pub embed_exclude: Vec<String>,
    /// `embed-sources`: embed the sources of modules, too, which tracebacks and `inspect`
    /// show. Default: `true`.
    pub embed_sources: bool,
    /// `compress`: also write `python.wasm.zst`, and `python.cwasm.zst` beside native code,
    /// for programs where size counts: compressed with zstd at this level, from 1 to 22.
    /// `true` stands for [`Config::COMPRESS_LEVEL`]. What is embedded is compressed only there, so that
    /// `python.wasm` itself is larger. Default: `None`, nothing is compressed.
    pub compress: Option<u8>,
    /// `engine`: the compiler for the code that runs at build time, `"auto"`,
    /// `"winch"` or `"cranelift"`. Default: `"auto"`.
    pub engine: CompilerChoice,
    /// `strip`: drop debug information and names from the libraries before they
    /// are linked. Default: `true`.
    pub strip: bool,
    /// `fuse`: make one core module of those that the libraries were linked from, for
    /// instances that start in a fraction of the time. Default: `true`.
    pub fuse: bool,
    /// `verify`: load the first snapshot of each linked component and run `pass` in
    /// it. Validation is not optional. Default: `true`.
    pub verify: bool,
    /// `output`: the file name of the result inside `OUT_DIR`. A bare name that
    /// ends in `.wasm` and is valid on every system. Default: `"python.wasm"`.
    pub output: String,
    /// `timeout`: how long Python's start-up, and then each import, may run at
    /// build time, written as `"500ms"`,
    /// `"60s"`, `"2m"` or `"1h"`; more than 0, at most 24 hours.
    /// Default: 60 seconds.
    pub timeout: Duration,
    /// `memory-limit`: how much linear memory Python and its extensions may use at
    /// build time, all memories together, in bytes, from 64 MiB to 4 GiB. Written as an integer or as `"512MiB"`,
    /// `"1GiB"` (powers of 1024), `"512MB"`, `"1GB"` (powers of 1000).
    /// Default: 1 GiB.
    pub memory_limit: u64,
    /// `cache-dir`: the folder for results of earlier builds, to share between
    /// projects; created if it does not exist. The variable
    /// `ERYX_PREINIT_CACHE_DIR` goes before it. Default: below `OUT_DIR`.
    pub cache_dir: Option<PathBuf>,
    /// `cache-size`: how large the cache may grow, in bytes, at least 64 MiB.
    /// Written like `memory-limit`. Default: 1 GiB.
    pub cache_size: u64,
    /// `warn-unoptimized`: warn when this crate is compiled without optimisation
    /// and that made a build slow. Default: `true`.
    pub warn_unoptimized: bool,
    /// `summary`: print one `cargo::warning` line that says what was built and
    /// how long it took. Default: `false`.
    pub summary: bool,
    /// `report`: write a page, and the same as JSON, that says where time and bytes
    /// went. The variable `ERYX_PREINIT_REPORT` asks for it, too. Default: `false`.
    pub report: bool,
    /// `precompile`: write native code too, so that the program has nothing to
    /// compile: `true`, or a table. Default: `None`, no native code.
    pub precompile: Option<Precompile>,
}

/// What is wanted of lock files beyond what everybody needs.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "wheels"), expect(dead_code, reason = "for lock files"))]
pub(crate) struct Wanted<'a> {
    pub(crate) extras: &'a [String],
    /// In place of the file's own default.
    pub(crate) groups: Option<&'a [String]>,
}

/// A native extension module, an entry of [`Config::extensions`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// `path`: the shared library, built for WASI.
    pub path: PathBuf,
    /// `module`: the dotted name to import it under. Default: `None`, the name
    /// is worked out from the file.
    pub module: Option<String>,
}

impl Extension {
    /// The extension at `path`, with its module name left to be worked out.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            module: None,
        }
    }
}

/// What a snapshot holds of what Python may import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Embed {
    /// `"all"`: the standard library and the packages (the default), so that instances
    /// import without any folder.
    #[default]
    All,
    /// `"imported"`: only what was imported at build time, for the smallest file. Instances
    /// import nothing else.
    Imported,
    /// `"none"`: what was imported. The rest is in the folders that the program mounts.
    None,
}

impl Embed {
    const ALL: [Self; 3] = [Self::All, Self::Imported, Self::None];

    /// The name as it is written in the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Imported => "imported",
            Self::None => "none",
        }
    }
}

/// The compiler for the code that runs at build time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompilerChoice {
    /// `"auto"`: Winch where the host has it, with Cranelift behind it (the
    /// default).
    #[default]
    Auto,
    /// `"winch"`: compiles fast, to slower code; not available on every host.
    Winch,
    /// `"cranelift"`: compiles slower, to faster code.
    Cranelift,
}

impl CompilerChoice {
    const ALL: [Self; 3] = [Self::Auto, Self::Winch, Self::Cranelift];

    /// The name as it is written in the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Winch => "winch",
            Self::Cranelift => "cranelift",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            imports: Vec::new(),
            on_restore: Vec::new(),
            extensions: Vec::new(),
            packages: Vec::new(),
            wheel_dirs: Vec::new(),
            lock_extras: Vec::new(),
            lock_groups: None,
            strict_records: false,
            runtime: None,
            stdlib: None,
            site_packages: None,
            setup: None,
            setup_code: None,
            trace: false,
            embed: Embed::default(),
            embed_exclude: Self::EMBED_EXCLUDE.map(str::to_owned).into(),
            embed_sources: true,
            compress: None,
            engine: CompilerChoice::Auto,
            strip: true,
            fuse: true,
            verify: true,
            output: "python.wasm".to_owned(),
            timeout: Duration::from_secs(60),
            memory_limit: GIB,
            cache_dir: None,
            cache_size: GIB,
            warn_unoptimized: true,
            summary: false,
            report: false,
            precompile: None,
        }
    }
}

impl Config {
    /// What is not embedded unless `embed-exclude` says otherwise: modules of the standard
    /// library that cannot work in WASI. They need Tk (`idlelib`, `tkinter`, `turtle`,
    /// `turtledemo`), another library that is not there (`ctypes`, `curses`), processes
    /// (`ensurepip`, `venv`), or Windows (`asyncio.windows_events`,
    /// `asyncio.windows_utils`); and `test` holds CPython's own tests.
    pub const EMBED_EXCLUDE: [&str; 11] = [
        "asyncio.windows_events",
        "asyncio.windows_utils",
        "ctypes",
        "curses",
        "ensurepip",
        "idlelib",
        "test",
        "tkinter",
        "turtle",
        "turtledemo",
        "venv",
    ];

    /// The level of `compress = true`: nearly the smallest file, in half a minute.
    pub const COMPRESS_LEVEL: u8 = 19;

    /// Reads the `[package.metadata.eryx]` block of the `Cargo.toml` at
    /// `manifest`, as `cargo metadata` gives it, and the tables of its `snapshots`. No
    /// block (or `null`) gives the defaults.
    ///
    /// Touches no file system: see [`Config::check_paths`] for that part.
    pub(crate) fn from_metadata(
        block: Option<&Value>,
        manifest: &Path,
    ) -> Result<(Self, Snapshots), Error> {
        let mut problems = Problems::new(Some(manifest));
        let table = match block {
            None | Some(Value::Null) => return Ok(Default::default()),
            Some(Value::Object(table)) => table,
            Some(other) => {
                let hint = match other {
                    Value::Array(_) => format!("; write [{BLOCK}] in single brackets"),
                    _ => String::new(),
                };
                problems.add("", format!("expected a table, {}{hint}", found(other)));
                return Err(problems.into_error());
            }
        };
        problems.unknown_keys("", table, KEYS);
        // A manifest without a folder is one in the current folder.
        let dir = manifest.parent().unwrap_or(Path::new(""));
        let config = Self::read(table, dir, &mut problems);
        let snapshots = snapshots::read(table, dir, &config.output, &mut problems);
        problems.finish()?;
        Ok((config, snapshots))
    }

    /// Reads the keys of `table` that are known.
    fn read(table: &Map<String, Value>, dir: &Path, problems: &mut Problems<'_>) -> Self {
        let mut fields = Fields {
            table,
            dir,
            problems,
        };
        let default = Self::default();
        let config = Self {
            imports: fields.imports(),
            on_restore: fields.on_restore(),
            extensions: fields.extensions(),
            packages: fields.packages(),
            wheel_dirs: fields.wheel_dirs(),
            lock_extras: fields.lock_names("lock-extras").unwrap_or_default(),
            lock_groups: fields.lock_names("lock-groups"),
            strict_records: fields.boolean("strict-records", default.strict_records),
            runtime: fields.path("runtime"),
            stdlib: fields.path("stdlib"),
            site_packages: fields.path("site-packages"),
            setup: fields.path("setup"),
            setup_code: fields.setup_code(),
            trace: fields.boolean("trace", default.trace),
            embed: fields.embed(),
            embed_exclude: fields.embed_exclude(default.embed_exclude),
            embed_sources: fields.boolean("embed-sources", default.embed_sources),
            compress: fields.compress(),
            engine: fields.engine(),
            strip: fields.boolean("strip", default.strip),
            fuse: fields.boolean("fuse", default.fuse),
            verify: fields.boolean("verify", default.verify),
            output: fields.output(default.output),
            timeout: fields.timeout(default.timeout),
            memory_limit: fields.size("memory-limit", default.memory_limit, check_memory_limit),
            cache_dir: fields.path("cache-dir"),
            cache_size: fields.size("cache-size", default.cache_size, check_cache_size),
            warn_unoptimized: fields.boolean("warn-unoptimized", default.warn_unoptimized),
            summary: fields.boolean("summary", default.summary),
            report: fields.boolean("report", default.report),
            precompile: precompile::read(&mut fields),
        };
        let code = config.setup_code.as_deref();
        check_setup(problems, table.contains_key("setup"), code);
        config
    }

    /// Checks the values against the rules stated at each field, as they are
    /// checked when they come from `Cargo.toml`. Touches no file system.
    ///
    /// # Errors
    ///
    /// [`Stage::Config`](crate::Stage::Config) with a note for every problem, each beginning with the
    /// key as it is written in `Cargo.toml` (`imports[2]`, `memory-limit`).
    pub fn check(&self) -> Result<(), Error> {
        self.check_as(None)
    }

    /// As [`Config::check`], for the snapshot of that name.
    pub(crate) fn check_as(&self, snapshot: Option<&str>) -> Result<(), Error> {
        let mut problems = Problems::of(None, snapshot);
        self.check_names(&mut problems);
        let mut seen = SeenExtensions::default();
        for (index, extension) in self.extensions.iter().enumerate() {
            let key = format!("extensions[{index}]");
            let path = format!("{key}.path");
            if check_path(&mut problems, &path, &extension.path.to_string_lossy()) {
                seen.paths
                    .check(&mut problems, path, extension.path.clone(), |path| {
                        show_path(path)
                    });
            }
            if let Some(module) = &extension.module {
                check_module(&mut problems, &mut seen.modules, &key, module);
            }
        }
        let mut seen = Seen::default();
        for (index, path) in self.packages.iter().enumerate() {
            check_package(&mut problems, &mut seen, index, path, &show_path);
        }
        let mut seen = Seen::default();
        for (index, path) in self.wheel_dirs.iter().enumerate() {
            check_wheel_dir(&mut problems, &mut seen, index, path, &show_path);
        }
        for (key, path) in [
            ("runtime", &self.runtime),
            ("stdlib", &self.stdlib),
            ("site-packages", &self.site_packages),
            ("setup", &self.setup),
        ] {
            if let Some(path) = path {
                check_path(&mut problems, key, &path.to_string_lossy());
            }
        }
        check_setup(
            &mut problems,
            self.setup.is_some(),
            self.setup_code.as_deref(),
        );
        check_output(&mut problems, &self.output);
        check_timeout(&mut problems, self.timeout);
        check_memory_limit(&mut problems, self.memory_limit);
        if let Some(path) = &self.cache_dir {
            check_path(&mut problems, "cache-dir", &path.to_string_lossy());
        }
        check_cache_size(&mut problems, self.cache_size);
        if let Some(level) = self.compress {
            check_compress(&mut problems, level);
        }
        if let Some(target) = self.precompile.as_ref().and_then(|p| p.target.as_deref()) {
            precompile::check_target(&mut problems, target);
        }
        problems.finish()
    }

    fn check_names(&self, problems: &mut Problems<'_>) {
        let mut seen = Seen::default();
        for (index, name) in self.imports.iter().enumerate() {
            check_import(problems, &mut seen, index, name);
        }
        let mut seen = Seen::default();
        for (index, name) in self.on_restore.iter().enumerate() {
            check_on_restore(problems, &mut seen, index, name);
        }
        let mut seen = Seen::default();
        for (index, name) in self.embed_exclude.iter().enumerate() {
            check_embed_exclude(problems, &mut seen, index, name);
        }
        let groups = self.lock_groups.as_deref().unwrap_or_default();
        for (key, names) in [
            ("lock-extras", &self.lock_extras[..]),
            ("lock-groups", groups),
        ] {
            let mut seen = Seen::default();
            for (index, name) in names.iter().enumerate() {
                check_lock_name(problems, &mut seen, format!("{key}[{index}]"), name);
            }
        }
    }

    /// What is wanted of lock files.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            extras: &self.lock_extras,
            groups: self.lock_groups.as_deref(),
        }
    }

    /// Checks that the paths lead to what they should lead to.
    ///
    /// `manifest` is the `Cargo.toml` the values come from, or `None` if they
    /// come from the `Builder`: it decides how the keys are written, as `snapshot` does,
    /// the name of the table in `snapshots`.
    pub(crate) fn check_paths(
        &self,
        manifest: Option<&Path>,
        snapshot: Option<&str>,
    ) -> Result<(), Error> {
        let mut problems = Problems::of(manifest, snapshot);
        for (index, extension) in self.extensions.iter().enumerate() {
            let problem = extension_path_problem(&without_trailing_slash(&extension.path));
            problems.add_if(&format!("extensions[{index}]"), problem);
        }
        for (index, path) in self.packages.iter().enumerate() {
            let problem = package_path_problem(&without_trailing_slash(path));
            problems.add_if(&format!("packages[{index}]"), problem);
        }
        for (index, path) in self.wheel_dirs.iter().enumerate() {
            let problem = wheel_dir_problem(&without_trailing_slash(path));
            problems.add_if(&format!("wheel-dirs[{index}]"), problem);
        }
        type Check = fn(&Path) -> Option<String>;
        let checks: [(&str, &Option<PathBuf>, Check); 5] = [
            ("runtime", &self.runtime, runtime_path_problem),
            ("stdlib", &self.stdlib, stdlib_path_problem),
            (
                "site-packages",
                &self.site_packages,
                site_packages_path_problem,
            ),
            ("setup", &self.setup, setup_path_problem),
            ("cache-dir", &self.cache_dir, cache_dir_problem),
        ];
        for (key, path, check) in checks {
            if let Some(path) = path {
                problems.add_if(key, check(&without_trailing_slash(path)));
            }
        }
        problems.finish()
    }
}
