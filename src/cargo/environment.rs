//! The one place that reads the process environment, and says so to cargo.

use crate::cargo::directives::Directive;
use crate::cargo::invocation::Invocation;
use crate::error::{Error, Report, Stage};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A cache directory shared by projects, profiles and CI runs.
pub(crate) const CACHE_DIR: &str = "ERYX_PREINIT_CACHE_DIR";
/// Any value but `0` or nothing: write placeholders, run nothing.
pub(crate) const SKIP: &str = "ERYX_PREINIT_SKIP";
/// Any value but `0` or nothing: write a report, as `report = true` does.
pub(crate) const REPORT: &str = "ERYX_PREINIT_REPORT";
/// Set by docs.rs.
pub(crate) const DOCS_RS: &str = "DOCS_RS";
/// <https://reproducible-builds.org/specs/source-date-epoch/>
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Cargo's own: any value but `0` or `false` keeps it off the network.
const OFFLINE: &str = "CARGO_NET_OFFLINE";
/// The last second of 2261: Python counts 63 bits of nanoseconds, which end in April 2262,
/// and the clock moves on while imports wait.
const EPOCH_MAX: u64 = 9_214_646_399;

/// Those that are ours to watch. Cargo itself tracks its own.
const WATCHED: [&str; 5] = [CACHE_DIR, SKIP, REPORT, DOCS_RS, SOURCE_DATE_EPOCH];

/// What the build script was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The consumer's Cargo.toml.
    pub(crate) manifest: PathBuf,
    pub(crate) out_dir: PathBuf,
    /// The cargo that runs this build, where it is one.
    pub(crate) cargo: Option<PathBuf>,
    pub(crate) invocation: Invocation,
    /// The triple the consumer is compiled for.
    pub(crate) target: Option<String>,
    /// The flags for rustc, separated as in `CARGO_ENCODED_RUSTFLAGS`.
    pub(crate) rustflags: String,
    /// Whether the profile is one for development, without optimisation.
    pub(crate) debug: bool,
    pub(crate) cache_dir: Option<PathBuf>,
    /// Seconds since 1970 for the guest's clock.
    pub(crate) epoch_seconds: Option<u64>,
    /// Why no Python is wanted, if it is not.
    pub(crate) placeholder: Option<&'static str>,
    /// Whether a report is wanted, whatever the block says.
    pub(crate) report: bool,
}

impl Environment {
    /// Reads the process environment.
    ///
    /// # Errors
    /// [`Stage::Config`] outside a build script, or when `SOURCE_DATE_EPOCH` is
    /// not a time that Python has.
    pub(crate) fn from_process() -> Result<Self, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the gateway clippy.toml points everyone else to"
        )]
        let mut environment = Self::read(&|name| std::env::var_os(name))?;
        if let Some(cargo) = &environment.cargo {
            let told = environment.invocation.offline;
            environment.invocation = Invocation::of_parent(cargo);
            environment.invocation.offline |= told;
        }
        Ok(environment)
    }

    fn read(get: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let path = |name: &str| {
            get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let required = |name: &str| {
            path(name).ok_or_else(|| {
                Stage::Config.error(
                    Report::new(format!("the variable {name} is not set"))
                        .note("cargo sets it for build scripts")
                        .hint(
                            "call this from build.rs, or name the paths with `Builder::new` \
                             elsewhere",
                        ),
                )
            })
        };
        // Since cargo 1.83; before, the folder has to do.
        let manifest = match path("CARGO_MANIFEST_PATH") {
            Some(manifest) => manifest,
            None => required("CARGO_MANIFEST_DIR")?.join("Cargo.toml"),
        };
        let epoch_seconds = get(SOURCE_DATE_EPOCH)
            .filter(|value| !value.is_empty())
            .map(|value| epoch(&value))
            .transpose()?;
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let flag = |name: &str| get(name).is_some_and(|value| !value.is_empty() && value != "0");
        let placeholder = if get(DOCS_RS).is_some() {
            Some("docs.rs has no network and needs no Python")
        } else if flag(SKIP) {
            Some("ERYX_PREINIT_SKIP is set")
        } else {
            None
        };
        Ok(Self {
            out_dir: required("OUT_DIR")?,
            cargo: path("CARGO"),
            invocation: Invocation {
                offline: get(OFFLINE)
                    .is_some_and(|value| !["", "0", "false"].map(OsString::from).contains(&value)),
                ..Invocation::default()
            },
            target: text("TARGET"),
            rustflags: text("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default(),
            debug: get("PROFILE").is_some_and(|profile| profile == "debug"),
            cache_dir: path(CACHE_DIR),
            epoch_seconds,
            placeholder,
            report: flag(REPORT),
            manifest,
        })
    }

    /// The lines that have cargo run the build script again when a variable of
    /// ours changes.
    pub(crate) fn directives() -> Vec<Directive> {
        WATCHED.map(Directive::RerunIfEnvChanged).to_vec()
    }
}

/// # Errors
/// [`Stage::Config`] with the variable, the value and the range.
fn epoch(value: &OsStr) -> Result<u64, Error> {
    let shown = value.to_string_lossy();
    let refuse = |why: &str, hint: &str| {
        let summary = format!("{SOURCE_DATE_EPOCH} is {shown:?}, {why}");
        let range =
            format!("a number of seconds since 1970, from 0 to {EPOCH_MAX} (the end of 2261)");
        Stage::Config.error(Report::new(summary).note(range).hint(hint.to_owned()))
    };
    let hint = "set it to `git log -1 --format=%ct`, say, or unset it";
    if shown.is_empty() || !shown.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(refuse("not a number of seconds", hint));
    }
    match shown.parse() {
        Ok(seconds) if seconds <= EPOCH_MAX => Ok(seconds),
        Ok(number) if (1_000_000_000_000..100_000_000_000_000).contains(&number) => {
            let seconds = number / 1000;
            let hint = format!("it looks like milliseconds: the seconds are {seconds}");
            Err(refuse("later than Python's clock here goes", &hint))
        }
        _ => Err(refuse("later than Python's clock here goes", hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Environment, Error> {
        Environment::read(&|name| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    const CARGO: [(&str, &str); 2] = [("CARGO_MANIFEST_DIR", "/p"), ("OUT_DIR", "/out")];

    #[test]
    fn cargo_s_variables_are_enough() {
        let env = read(&CARGO).unwrap();
        assert_eq!(env.manifest, PathBuf::from("/p/Cargo.toml"));
        assert_eq!(env.out_dir, PathBuf::from("/out"));
        assert_eq!(env.placeholder, None);
    }

    #[test]
    fn outside_a_build_script_the_missing_variable_is_named() {
        let error = read(&[("CARGO_MANIFEST_DIR", "/p")]).unwrap_err();
        assert!(error.to_string().contains("OUT_DIR"), "{error}");
    }

    #[test]
    fn skipping_is_explicit() {
        for (value, skips) in [("1", true), ("yes", true), ("0", false), ("", false)] {
            let mut vars = CARGO.to_vec();
            vars.push((SKIP, value));
            assert_eq!(
                read(&vars).unwrap().placeholder.is_some(),
                skips,
                "{value:?}"
            );
            vars[2].0 = REPORT;
            assert_eq!(read(&vars).unwrap().report, skips, "{value:?}");
        }
    }

    #[test]
    fn a_bad_epoch_is_refused() {
        let mut vars = CARGO.to_vec();
        vars.push((SOURCE_DATE_EPOCH, "yesterday"));
        let mut said = |value: &'static str| {
            vars[2].1 = value;
            match read(&vars) {
                Ok(environment) => format!("{:?}", environment.epoch_seconds),
                Err(error) => format!("{error:?}"),
            }
        };
        for bad in [
            "yesterday",
            "-1",
            "1.5",
            "+1",
            " 1",
            "9214646400",
            "99999999999999999999",
        ] {
            let text = said(bad);
            assert!(
                text.contains(bad) && text.contains(SOURCE_DATE_EPOCH),
                "{text}"
            );
            assert!(text.contains("from 0 to 9214646399"), "{text}");
        }
        let milliseconds = said("1667997441000");
        assert!(
            milliseconds.contains("the seconds are 1667997441"),
            "{milliseconds}"
        );
        for good in ["0", "1700000000", "9214646399"] {
            assert_eq!(said(good), format!("Some({good})"));
        }
        assert_eq!(said(""), "None");
    }

    #[test]
    fn the_variable_keeps_a_cargo_off_the_network() {
        for (value, offline) in [("true", true), ("1", true), ("false", false), ("", false)] {
            let mut vars = CARGO.to_vec();
            vars.push((OFFLINE, value));
            assert_eq!(
                read(&vars).unwrap().invocation.offline,
                offline,
                "{value:?}"
            );
        }
        assert_eq!(read(&CARGO).unwrap().cargo, None);
    }
}
