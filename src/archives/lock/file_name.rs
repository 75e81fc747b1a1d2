//! What the name of a wheel or a source distribution says.

use crate::archives::markers::normalized;
use crate::archives::wheel;
use pep508_rs::pep440_rs::Version;
use std::str::FromStr;

/// A file's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    /// As indexes compare it.
    project: String,
    version: String,
    kind: Kind,
}

/// How well the file goes with this Python: the greater, the better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Of no use here, and why.
    Foreign(String),
    Sdist,
    Wheel {
        /// With extension modules for WASI.
        wasi: bool,
        /// For this Python alone.
        exact: bool,
        build: u64,
    },
}

impl FileName {
    /// `None` for a name that is neither a wheel's nor a source distribution's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some(stem) = name.strip_suffix(".whl") {
            let parts: Vec<&str> = stem.split('-').collect();
            let (project, version, build, abi, platform) = match parts[..] {
                [project, version, _, abi, platform] => (project, version, "", abi, platform),
                [project, version, build, _, abi, platform] => {
                    (project, version, build, abi, platform)
                }
                _ => return None,
            };
            let digits = build
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(build.len());
            let kind = match wheel::fits(name) {
                Err(why) => Kind::Foreign(why),
                Ok(()) => Kind::Wheel {
                    wasi: platform != "any",
                    exact: abi.starts_with("cp"),
                    build: build[..digits].parse().unwrap_or(0),
                },
            };
            return Some(Self::new(project, version, kind));
        }
        let stem = name
            .strip_suffix(".tar.gz")
            .or_else(|| name.strip_suffix(".tgz"));
        if let Some((project, version)) = stem.and_then(|stem| stem.rsplit_once('-')) {
            return Some(Self::new(project, version, Kind::Sdist));
        }
        let (project, version) = name.strip_suffix(".zip")?.rsplit_once('-')?;
        let why = "it is a source distribution as `.zip`, and this crate reads `.tar.gz`";
        Some(Self::new(project, version, Kind::Foreign(why.to_owned())))
    }

    fn new(project: &str, version: &str, kind: Kind) -> Self {
        Self {
            project: normalized(project),
            version: version.to_owned(),
            kind,
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is one of this project, in this version if one is given.
    pub(crate) fn is_of(&self, project: &str, version: Option<&Version>) -> bool {
        // Older tools wrote `_` for the `+` of a local version.
        let own = Version::from_str(&self.version.replace('_', "+"));
        self.project == project && version.is_none_or(|wanted| own.is_ok_and(|own| own == *wanted))
    }

    /// The platform's tag, where the file is for one.
    pub(crate) fn platform(name: &str) -> Option<&str> {
        let platform = name.strip_suffix(".whl")?.rsplit('-').next()?;
        (platform != "any").then_some(platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_for_wasi_go_before_pure_ones_and_those_before_sources() {
        let names = [
            "Mark_Up-2.0.zip",
            "mark_up-2.0-cp314-cp314-manylinux_2_17_x86_64.whl",
            "mark-up-2.0.tar.gz",
            "mark_up-2.0-py3-none-any.whl",
            "mark_up-2.0-1-py3-none-any.whl",
            "mark_up-2.0.0-10b-py3-none-any.whl",
            "mark_up-2.0-cp310-abi3-wasi_0_0_0_wasm32.whl",
            "mark_up-2.0-cp314-cp314-wasi_0_0_0_wasm32.whl",
        ];
        let parsed = names.map(|name| FileName::parse(name).unwrap());
        for pair in parsed.windows(2) {
            let same = pair[0].kind < pair[1].kind
                || matches!(
                    (&pair[0].kind, &pair[1].kind),
                    (Kind::Foreign(_), Kind::Foreign(_))
                );
            assert!(same, "{pair:?}");
        }
        let version = |text: &str| Version::from_str(text).unwrap();
        for name in &parsed {
            assert!(name.is_of("mark-up", Some(&version("2"))), "{name:?}");
            assert!(!name.is_of("mark-up", Some(&version("2.0.1"))), "{name:?}");
            assert!(!name.is_of("markup", None), "{name:?}");
        }
        let local = FileName::parse("a-1.0+local.1-py3-none-any.whl").unwrap();
        assert!(local.is_of("a", Some(&version("1.0+local.1"))));
        assert!(!local.is_of("a", Some(&version("1.0"))));
        for none in ["a.whl", "notes.txt", "a.tar.gz", "", "a-1.tar.bz2"] {
            assert_eq!(FileName::parse(none), None, "{none}");
        }
        assert_eq!(FileName::platform(names[7]), Some("wasi_0_0_0_wasm32"));
        assert_eq!(FileName::platform(names[3]), None);
    }
}
