//! `precompile`: whether native code is written too, for which machine and which
//! `wasmtime::Config`.

use super::CompilerChoice;
use super::fields::Fields;
use super::problems::Problems;
use super::suggest::nearest;
use super::text::show;
use serde_json::{Map, Value};

pub(super) const KEYS: &[&str] = &[
    "enable",
    "target",
    "cpu",
    "compiler",
    "opt-level",
    "epoch-interruption",
    "consume-fuel",
    "memory-init-cow",
    "address-map",
    "pooling",
];
const KEY: &str = "precompile";

/// What native code to write beside the component, the table
/// `[package.metadata.eryx.precompile]`; `precompile = true` stands for a table of
/// defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Precompile {
    /// `target`: the triple to compile for. Default: the one cargo compiles the
    /// program for, or outside cargo the one of this process.
    pub target: Option<String>,
    /// `cpu`: what the code may expect of the processor. Default: `"baseline"`.
    pub cpu: CpuLevel,
    /// `compiler`: `"cranelift"` for fast code, `"winch"` for fast builds, or
    /// `"auto"`: Winch in profiles without optimisation, where the target has it,
    /// else Cranelift. Default: `"auto"`.
    pub compiler: CompilerChoice,
    /// `opt-level`: what Cranelift optimises for. Default: `"speed"`.
    pub opt_level: OptLevel,
    /// `epoch-interruption`: let the program interrupt Python after a while
    /// (`Config::epoch_interruption`). Default: `false`.
    pub epoch_interruption: bool,
    /// `consume-fuel`: let the program count what Python executes
    /// (`Config::consume_fuel`). Default: `false`.
    pub consume_fuel: bool,
    /// `memory-init-cow`: let instances share the memory they do not write to
    /// (`Config::memory_init_cow`). Default: `true`.
    pub memory_init_cow: bool,
    /// `address-map`: keep what turns native addresses into WebAssembly offsets in
    /// backtraces (`Config::generate_address_map`); about a third more bytes.
    /// Default: `false`.
    pub address_map: bool,
    /// `pooling`: also write `python::pooling`, the settings for a program that makes
    /// many instances. The program's `wasmtime` needs its feature `pooling-allocator`,
    /// which is one of its defaults. Default: `false`.
    pub pooling: bool,
}

impl Default for Precompile {
    fn default() -> Self {
        Self {
            target: None,
            cpu: CpuLevel::default(),
            compiler: CompilerChoice::Auto,
            opt_level: OptLevel::default(),
            epoch_interruption: false,
            consume_fuel: false,
            memory_init_cow: true,
            address_map: false,
            pooling: false,
        }
    }
}

/// What compiled code may expect of the processor that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CpuLevel {
    /// `"baseline"`: what every processor of the target has (the default).
    #[default]
    Baseline,
    /// `"native"`: what this machine has; only where it also is the target.
    Native,
    /// `"x86-64-v2"`: SSE 4.2, POPCNT (2009).
    X86V2,
    /// `"x86-64-v3"`: AVX2, BMI, FMA (2013 to 2015).
    X86V3,
    /// `"x86-64-v4"`: the AVX-512 of servers.
    X86V4,
    /// `"lse"`: atomic instructions of aarch64 (2016).
    Lse,
}

impl CpuLevel {
    pub(crate) const ALL: [Self; 6] = [
        Self::Baseline,
        Self::Native,
        Self::X86V2,
        Self::X86V3,
        Self::X86V4,
        Self::Lse,
    ];

    /// The name as it is written in the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Native => "native",
            Self::X86V2 => "x86-64-v2",
            Self::X86V3 => "x86-64-v3",
            Self::X86V4 => "x86-64-v4",
            Self::Lse => "lse",
        }
    }
}

/// What Cranelift optimises for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptLevel {
    /// `"none"`: compile as fast as possible.
    None,
    /// `"speed"`: run as fast as possible (the default).
    #[default]
    Speed,
    /// `"speed-and-size"`: like `speed`, with less code where that costs little.
    SpeedAndSize,
}

impl OptLevel {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Speed, Self::SpeedAndSize];

    /// The name as it is written in the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Speed => "speed",
            Self::SpeedAndSize => "speed-and-size",
        }
    }
}

/// The key `precompile` of the block.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Precompile> {
    let table = match fields.table.get(KEY)? {
        Value::Bool(enable) => return enable.then(Precompile::default),
        Value::Object(table) => table,
        other => {
            let expected = "true, false or a table like { cpu = \"x86-64-v3\" }";
            fields.problems.expected(KEY, expected, other, None);
            return None;
        }
    };
    fields.problems.unknown_keys(KEY, table, KEYS);
    let mut table = Table {
        table,
        problems: fields.problems,
    };
    let default = Precompile::default();
    let enable = table.boolean("enable", true);
    let precompile = Precompile {
        target: table.target(),
        cpu: table.choice("cpu", CpuLevel::ALL.map(|level| (level.name(), level))),
        compiler: table.choice(
            "compiler",
            CompilerChoice::ALL.map(|choice| (choice.name(), choice)),
        ),
        opt_level: table.choice(
            "opt-level",
            OptLevel::ALL.map(|level| (level.name(), level)),
        ),
        epoch_interruption: table.boolean("epoch-interruption", default.epoch_interruption),
        consume_fuel: table.boolean("consume-fuel", default.consume_fuel),
        memory_init_cow: table.boolean("memory-init-cow", default.memory_init_cow),
        address_map: table.boolean("address-map", default.address_map),
        pooling: table.boolean("pooling", default.pooling),
    };
    enable.then_some(precompile)
}

/// What [`Precompile::target`] may be; whether code can be made for it is known
/// later.
pub(super) fn check_target(problems: &mut Problems<'_>, target: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if target.is_empty() || !target.chars().all(plain) {
        problems.add(
            &format!("{KEY}.target"),
            format!(
                "{} is not a target triple; for example \"x86_64-unknown-linux-gnu\"",
                show(target)
            ),
        );
    }
}

struct Table<'a, 'p, 'q> {
    table: &'a Map<String, Value>,
    problems: &'p mut Problems<'q>,
}

impl Table<'_, '_, '_> {
    fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.table.get(key) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                let key = format!("{KEY}.{key}");
                self.problems.expected(&key, "true or false", other, None);
                default
            }
        }
    }

    fn target(&mut self) -> Option<String> {
        match self.table.get("target")? {
            Value::String(target) => {
                check_target(self.problems, target);
                Some(target.clone())
            }
            other => {
                let key = format!("{KEY}.target");
                let expected = "a string with a target triple";
                self.problems.expected(&key, expected, other, None);
                None
            }
        }
    }

    fn choice<T: Copy + Default, const N: usize>(
        &mut self,
        key: &str,
        choices: [(&'static str, T); N],
    ) -> T {
        let Some(value) = self.table.get(key) else {
            return T::default();
        };
        let names = choices.map(|(name, _)| name);
        let text = value.as_str();
        if let Some((_, choice)) = choices.iter().find(|(name, _)| Some(*name) == text) {
            return *choice;
        }
        let quoted = names.map(|name| format!("\"{name}\""));
        let (last, rest) = quoted.split_last().expect("there are choices");
        let expected = format!("{} or {last}", rest.join(", "));
        let hint = text
            .and_then(|text| nearest(text, names))
            .map(|near| format!("did you mean \"{near}\"?"));
        let key = format!("{KEY}.{key}");
        self.problems.expected(&key, &expected, value, hint);
        T::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{CompilerChoice, Config, CpuLevel, OptLevel};
    use serde_json::{Value, json};
    use std::path::Path;

    fn read(precompile: Value) -> Result<Config, crate::error::Error> {
        let block = json!({ "precompile": precompile });
        Config::from_metadata(Some(&block), Path::new("/p/Cargo.toml")).map(|(config, _)| config)
    }

    #[test]
    fn true_is_a_table_of_defaults_and_enable_turns_it_off() {
        let on = read(json!(true)).unwrap().precompile;
        assert_eq!(on, read(json!({})).unwrap().precompile);
        assert_eq!(on, read(json!({ "enable": true })).unwrap().precompile);
        assert_eq!(on.unwrap().cpu, CpuLevel::Baseline);
        for off in [json!(false), json!({ "enable": false, "cpu": "native" })] {
            assert_eq!(read(off).unwrap().precompile, None);
        }
        assert_eq!(Config::default().precompile, None);
    }

    #[test]
    fn every_key_is_read() {
        let all = read(json!({
            "target": "aarch64-apple-darwin", "cpu": "x86-64-v3", "compiler": "winch",
            "opt-level": "speed-and-size", "epoch-interruption": true, "consume-fuel": true,
            "memory-init-cow": false, "address-map": true,
        }));
        let all = all.unwrap().precompile.unwrap();
        assert_eq!(all.target.as_deref(), Some("aarch64-apple-darwin"));
        assert_eq!(
            (all.cpu, all.compiler),
            (CpuLevel::X86V3, CompilerChoice::Winch)
        );
        assert_eq!(all.opt_level, OptLevel::SpeedAndSize);
        assert!(all.epoch_interruption && all.consume_fuel && all.address_map);
        assert!(!all.memory_init_cow);
    }

    #[test]
    fn every_problem_names_its_key_and_what_is_valid() {
        let error = read(json!({
            "cpus": "native", "cpu": "x86-64-v33", "compiler": 3, "opt-level": "max",
            "target": "not a triple", "consume-fuel": "yes",
        }));
        let notes = error.unwrap_err().report().notes().join("\n");
        for part in [
            "package.metadata.eryx.precompile.cpus: unknown key; did you mean `cpu`?",
            "precompile.cpu: expected \"baseline\", \"native\", \"x86-64-v2\", \"x86-64-v3\", \
             \"x86-64-v4\" or \"lse\", found the string \"x86-64-v33\"; did you mean \"x86-64-v3\"?",
            "precompile.compiler: expected \"auto\", \"winch\" or \"cranelift\", found the integer 3",
            "precompile.opt-level: expected \"none\", \"speed\" or \"speed-and-size\"",
            "precompile.target: `not a triple` is not a target triple",
            "precompile.consume-fuel: expected true or false",
        ] {
            assert!(notes.contains(part), "{part} is not in:\n{notes}");
        }
        let error = read(json!("native")).unwrap_err();
        assert!(error.report().notes()[0].contains("expected true, false or a table"));
    }
}
