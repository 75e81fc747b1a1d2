//! The one place that reads the process environment, and says so to cargo.

use crate::cargo::directives::Directive;
use crate::error::{Error, Report};
use std::ffi::OsString;
use std::path::PathBuf;

/// A cache directory shared by projects, profiles and CI runs.
pub(crate) const CACHE_DIR: &str = "ERYX_PREINIT_CACHE_DIR";
/// Any value but `0` or nothing: write placeholders, run nothing.
pub(crate) const SKIP: &str = "ERYX_PREINIT_SKIP";
/// Set by docs.rs.
pub(crate) const DOCS_RS: &str = "DOCS_RS";
/// <https://reproducible-builds.org/specs/source-date-epoch/>
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Those that are ours to watch. Cargo itself tracks its own.
const WATCHED: [&str; 4] = [CACHE_DIR, SKIP, DOCS_RS, SOURCE_DATE_EPOCH];

/// What the build script was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The consumer's Cargo.toml.
    pub(crate) manifest: PathBuf,
    pub(crate) out_dir: PathBuf,
    /// The cargo that runs this build.
    pub(crate) cargo: PathBuf,
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
}

impl Environment {
    /// Reads the process environment.
    ///
    /// # Errors
    /// [`Error::Config`] outside a build script, or when `SOURCE_DATE_EPOCH` is
    /// not a number.
    pub(crate) fn from_process() -> Result<Self, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the gateway clippy.toml points everyone else to"
        )]
        Self::read(&|name| std::env::var_os(name))
    }

    fn read(get: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let path = |name: &str| {
            get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let required = |name: &str| {
            path(name).ok_or_else(|| {
                Error::Config(
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
        let epoch_seconds = match get(SOURCE_DATE_EPOCH).filter(|value| !value.is_empty()) {
            None => None,
            Some(value) => Some(value.to_str().and_then(|v| v.parse().ok()).ok_or_else(|| {
                Error::Config(Report::new(format!(
                    "{SOURCE_DATE_EPOCH} is {value:?}, not a number of seconds since 1970"
                )))
            })?),
        };
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let placeholder = if get(DOCS_RS).is_some() {
            Some("docs.rs has no network and needs no Python")
        } else if get(SKIP).is_some_and(|value| !value.is_empty() && value != "0") {
            Some("ERYX_PREINIT_SKIP is set")
        } else {
            None
        };
        Ok(Self {
            out_dir: required("OUT_DIR")?,
            cargo: path("CARGO").unwrap_or_else(|| "cargo".into()),
            target: text("TARGET"),
            rustflags: text("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default(),
            debug: get("PROFILE").is_some_and(|profile| profile == "debug"),
            cache_dir: path(CACHE_DIR),
            epoch_seconds,
            placeholder,
            manifest,
        })
    }

    /// The lines that have cargo run the build script again when a variable of
    /// ours changes.
    pub(crate) fn directives() -> Vec<Directive> {
        WATCHED.map(Directive::RerunIfEnvChanged).to_vec()
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
        }
    }

    #[test]
    fn a_bad_epoch_is_refused() {
        let mut vars = CARGO.to_vec();
        vars.push((SOURCE_DATE_EPOCH, "yesterday"));
        assert!(read(&vars).unwrap_err().to_string().contains("yesterday"));
        vars[2].1 = "1700000000";
        assert_eq!(read(&vars).unwrap().epoch_seconds, Some(1_700_000_000));
    }
}
