//! What packages say they need, against what is there.

use crate::archives::markers::{HERE, requirement};
use crate::archives::project::headers::{field, fields};
use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{
    ExtraName, MarkerEnvironment, PackageName, Requirement, VerbatimUrl, VersionOrUrl,
};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A warning for each requirement that nothing satisfies. `metadata` are the texts
/// of METADATA or PKG-INFO; `importable` are the top-level names in site-packages,
/// which stand for a package without metadata, of any version.
pub(crate) fn unsatisfied(metadata: &[String], importable: &[String]) -> Vec<String> {
    let Ok(here) = MarkerEnvironment::try_from(HERE) else {
        return Vec::new();
    };
    let present = Present::new(&here, metadata, importable);
    let mut warnings = Vec::new();
    for text in metadata {
        warnings.extend(other_python(text));
        for requirement in requirements(text) {
            warnings.extend(match requirement {
                Ok(requirement) => present.lacks(&here, text, &requirement),
                Err(requirement) => Some(format!(
                    "{} has a requirement that is not understood: {requirement}",
                    who(text)
                )),
            });
        }
    }
    warnings
}

/// What is in site-packages.
struct Present {
    versions: BTreeMap<PackageName, Option<Version>>,
    /// Extras that one package asks another for.
    extras: BTreeMap<PackageName, Vec<ExtraName>>,
}

impl Present {
    fn new(here: &MarkerEnvironment, metadata: &[String], importable: &[String]) -> Self {
        let name = |name: &str| PackageName::from_str(name).ok();
        let importable = importable.iter().filter_map(|top| Some((name(top)?, None)));
        let mut versions: BTreeMap<_, _> = importable.collect();
        let mut extras: BTreeMap<PackageName, Vec<ExtraName>> = BTreeMap::new();
        for text in metadata {
            if let Some(name) = field(text, "Name").and_then(name) {
                let version = field(text, "Version").and_then(|v| Version::from_str(v).ok());
                versions.insert(name, version);
            }
            for requirement in requirements(text).flatten() {
                if requirement.evaluate_markers(here, &[]) {
                    let wanted = extras.entry(requirement.name).or_default();
                    wanted.extend(requirement.extras);
                }
            }
        }
        Self { versions, extras }
    }

    /// What is wrong with a requirement of the package with this metadata.
    fn lacks(
        &self,
        here: &MarkerEnvironment,
        text: &str,
        requirement: &Requirement<VerbatimUrl>,
    ) -> Option<String> {
        let own = field(text, "Name").and_then(|name| PackageName::from_str(name).ok());
        let active: &[ExtraName] = own
            .and_then(|own| self.extras.get(&own))
            .map_or(&[], Vec::as_slice);
        if !requirement.evaluate_markers(here, active) {
            return None;
        }
        let wanted = match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(wanted)) => wanted.clone(),
            _ => VersionSpecifiers::empty(),
        };
        let needs = format!("{} needs {}{wanted}", who(text), requirement.name);
        match self.versions.get(&requirement.name) {
            None => Some(format!(
                "{needs}, which is not in site-packages: add it to `packages`"
            )),
            Some(Some(version)) if !wanted.contains(version) => {
                Some(format!("{needs}, and site-packages has {version}"))
            }
            Some(_) => None,
        }
    }
}

/// Name and version of a package, for reports.
fn who(text: &str) -> String {
    let name = field(text, "Name").unwrap_or("a package");
    let version = field(text, "Version").unwrap_or_default();
    format!("{name} {version}").trim_end().to_owned()
}

/// A warning for a package that is for other versions of Python.
fn other_python(text: &str) -> Option<String> {
    let wanted = field(text, "Requires-Python")?;
    let specifiers = VersionSpecifiers::from_str(wanted).ok()?;
    let python = Version::from_str(HERE.python_full_version).ok()?;
    let fits = specifiers.contains(&python);
    (!fits).then(|| format!("{} is for Python {wanted}, and this is 3.14", who(text)))
}

fn requirements(
    metadata: &str,
) -> impl Iterator<Item = Result<Requirement<VerbatimUrl>, String>> + '_ {
    fields(metadata, "Requires-Dist").map(|text| requirement(text).map_err(|_| format!("`{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(name: &str, version: &str, rest: &[&str]) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for line in rest {
            text += &format!("{line}\n");
        }
        text + "\nRequires-Dist: not-a-header\n"
    }

    #[test]
    fn markers_are_those_of_this_python() {
        let app = metadata(
            "app",
            "1.0",
            &[
                "Requires-Dist: Markup-Safe>=2.0",
                "Requires-Dist: missing",
                "Requires-Dist: colorama; sys_platform == 'win32'",
                "Requires-Dist: old; python_version < '3.11'",
                "Requires-Dist: wasi-only; sys_platform == 'wasi' and platform_machine == 'wasm32'",
                "Requires-Dist: babel; extra == 'i18n'",
                "Requires-Python: >=3.8",
            ],
        );
        let markupsafe = metadata("MarkupSafe", "3.0.2", &[]);
        // The same name, however it is written.
        let markupsafe = markupsafe.replace("MarkupSafe", "markup_safe");
        assert_eq!(
            unsatisfied(&[app, markupsafe], &[]),
            [
                "app 1.0 needs missing, which is not in site-packages: add it to `packages`",
                "app 1.0 needs wasi-only, which is not in site-packages: add it to `packages`",
            ]
        );
    }

    #[test]
    fn a_real_python_says_the_same_of_itself() {
        let code = "import os, sys, platform as p, json\n\
             print(json.dumps([sys.implementation.name, os.name, p.machine(),\n\
             p.python_implementation(), p.release(), p.system(), p.version(),\n\
             '.'.join(p.python_version_tuple()[:2]), sys.platform, p.python_version()]))";
        for version in ["0.5.0", "0.14.0"] {
            let printed = crate::testing::Workbench::new(version).fresh(&[code]);
            let said: Vec<String> = serde_json::from_str(printed[0].as_ref().unwrap()).unwrap();
            assert_eq!(
                said[..9],
                [
                    HERE.implementation_name,
                    HERE.os_name,
                    HERE.platform_machine,
                    HERE.platform_python_implementation,
                    HERE.platform_release,
                    HERE.platform_system,
                    HERE.platform_version,
                    HERE.python_version,
                    HERE.sys_platform,
                ],
                "{version}"
            );
            assert!(said[9].starts_with("3.14."), "{version}: {}", said[9]);
        }
    }

    #[test]
    fn versions_extras_and_folders_count() {
        let app = metadata(
            "app",
            "1.0",
            &[
                "Requires-Dist: lib[fast]>=2,<3",
                "Requires-Dist: folder>=9",
                "Requires-Python: >=3.15",
            ],
        );
        let lib = metadata(
            "lib",
            "3.1",
            &[
                "Requires-Dist: speed; extra == 'fast'",
                "Requires-Dist: ???",
                "Requires-Dist: a->=1",
            ],
        );
        assert_eq!(
            unsatisfied(&[app, lib], &["folder".to_owned()]),
            [
                "app 1.0 is for Python >=3.15, and this is 3.14",
                "app 1.0 needs lib>=2, <3, and site-packages has 3.1",
                "lib 3.1 needs speed, which is not in site-packages: add it to `packages`",
                "lib 3.1 has a requirement that is not understood: `???`",
                "lib 3.1 has a requirement that is not understood: `a->=1`",
            ]
        );
    }
}
