//! The shared libraries among the packages: which are extension modules, and which only
//! others need.

use crate::error::{Error, Report, Stage};
use crate::inputs::runtime;
use crate::inputs::sources::{Source, SourceKind};
use crate::packages::report::{LinkedLibrary, TreeReport, listed};
use crate::python::{INIT, SUFFIX};
use crate::store::digest::Digest;
use crate::wasm::dylink::{self, SharedLibrary};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Where the guest sees the tree.
pub(crate) const MOUNT: &str = "/site-packages";

/// A `.so` file, not looked at yet.
pub(crate) struct Candidate<'a> {
    pub(crate) source: &'a Source,
    pub(crate) index: usize,
    /// Where it lies in the tree; of a bare library, the file name.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

impl Candidate<'_> {
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(crate) fn shown(&self) -> String {
        match self.source.kind {
            SourceKind::Library(_) => self.source.shown(),
            _ => format!("`{}` of {}", self.path, self.source.shown()),
        }
    }

    /// Whether the configuration names it, or something made for WASI: then it has
    /// to be one to link. A folder may hold what an installer put there for the
    /// machine that builds.
    pub(crate) fn is_meant(&self) -> bool {
        !matches!(
            self.source.kind,
            SourceKind::Tree | SourceKind::Package | SourceKind::Project(_)
        )
    }

    /// The dotted module that CPython looks for at this place.
    pub(crate) fn module(&self) -> String {
        let folder = self.path.strip_suffix(self.file_name()).unwrap_or_default();
        let stem = self.file_name().split('.').next().unwrap_or_default();
        format!("{}{stem}", folder.replace('/', "."))
    }
}

/// The libraries to link, and the extension modules' places in the tree.
#[derive(Default)]
pub(crate) struct Libraries {
    pub(crate) list: Vec<(LinkedLibrary, Vec<u8>)>,
    pub(crate) places: Vec<(String, usize)>,
}

impl Libraries {
    /// Tells extension modules from libraries that only others need.
    ///
    /// # Errors
    /// [`Stage::Link`] with every problem there is.
    pub(crate) fn sort(
        candidates: Vec<Candidate<'_>>,
        report: &mut TreeReport,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let known = parse(&candidates, report, &mut problems);
        let needed: BTreeSet<&str> = known
            .iter()
            .flat_map(|(_, library)| library.needed.iter().copied())
            .collect();
        let mut libraries = Self::default();
        let mut sonames: HashMap<&str, &Candidate<'_>> = HashMap::new();
        for (candidate, library) in &known {
            let soname = candidate.file_name();
            match place(candidate, library) {
                Ok(Some(place)) => {
                    libraries.add(candidate, format!("{MOUNT}/{place}"), true);
                    libraries.places.push((place, candidate.index));
                }
                Ok(None) if needed.contains(soname) => match sonames.insert(soname, candidate) {
                    None => libraries.add(candidate, soname.to_owned(), false),
                    Some(other) if other.bytes == candidate.bytes => {}
                    Some(other) => problems.push(format!(
                        "{} and {} are different libraries called `{soname}`",
                        other.shown(),
                        candidate.shown()
                    )),
                },
                Ok(None) if candidate.is_meant() => problems.push(not_needed(candidate, library)),
                Ok(None) => report.warnings.push(format!(
                    "{} is not linked: it is no extension module, and no other library needs it",
                    candidate.shown()
                )),
                Err(problem) => problems.push(problem),
            }
        }
        for (candidate, library) in &known {
            let missing =
                |needed: &&&str| !sonames.contains_key(**needed) && !runtime::has_library(needed);
            let missing = library.needed.iter().filter(missing);
            problems.extend(missing.map(|needed| lacks(candidate, needed, &known)));
        }
        if problems.is_empty() {
            return Ok(libraries);
        }
        let summary = match problems.len() {
            1 => "a native extension cannot be linked".to_owned(),
            count => format!("{count} problems with native extensions"),
        };
        Err(Stage::Link.error(listed(Report::new(summary), problems)))
    }

    pub(crate) fn add(&mut self, candidate: &Candidate<'_>, name: String, openable: bool) {
        let library = LinkedLibrary {
            name,
            openable,
            shown: candidate.shown(),
            digest: Digest::of(&candidate.bytes).to_string(),
            file: String::new(),
        };
        self.list.push((library, candidate.bytes.clone()));
    }
}

/// The candidates that are libraries to link, with what they say. Of those that are not,
/// the ones that are meant to be are problems, and others warnings.
fn parse<'a>(
    candidates: &'a [Candidate<'a>],
    report: &mut TreeReport,
    problems: &mut Vec<String>,
) -> Vec<(&'a Candidate<'a>, SharedLibrary<'a>)> {
    let parsed: Vec<_> = candidates
        .par_iter()
        .map(|candidate| {
            // The name says what for, if it says anything; the content, what.
            dylink::module_name(candidate.file_name())?;
            SharedLibrary::parse(&candidate.bytes)
        })
        .collect();
    let mut known = Vec::new();
    for (candidate, parsed) in candidates.iter().zip(parsed) {
        match parsed {
            Ok(library) => known.push((candidate, library)),
            Err(problem) if candidate.is_meant() => {
                problems.push(format!("{} {problem}", candidate.shown()));
            }
            Err(problem) => {
                report.warnings.push(format!(
                    "{} {problem}; it is not linked, and `{}` is missing",
                    candidate.shown(),
                    candidate.module()
                ));
                report.foreign.insert(candidate.module(), problem);
            }
        }
    }
    known
}

/// What is wrong with a library that needs one which is not linked.
fn lacks(
    candidate: &Candidate<'_>,
    needed: &str,
    known: &[(&Candidate<'_>, SharedLibrary<'_>)],
) -> String {
    let hint = match known.iter().any(|(other, _)| other.file_name() == needed) {
        true => "which is there as an extension module, and those cannot be needed",
        false => "which is not there: add it to `extensions`",
    };
    format!("{} needs the library `{needed}`, {hint}", candidate.shown())
}

/// Where an extension module lies in the tree; `None` for a library that is none.
pub(crate) fn place(
    candidate: &Candidate<'_>,
    library: &SharedLibrary<'_>,
) -> Result<Option<String>, String> {
    let stem = candidate.file_name().split('.').next().unwrap_or_default();
    let SourceKind::Library(module) = &candidate.source.kind else {
        let is_module = library.modules.contains(&stem);
        return Ok(is_module.then(|| candidate.path.clone()));
    };
    let module = module.as_deref().unwrap_or(stem);
    let name = module.rsplit('.').next().unwrap_or(module);
    if library.modules.contains(&name) {
        return Ok(Some(format!("{}{SUFFIX}", module.replace('.', "/"))));
    }
    if module != stem {
        return Err(format!(
            "{} is not the module `{module}`: it exports no `{INIT}{name}`{}",
            candidate.shown(),
            instead(library)
        ));
    }
    Ok(None)
}

pub(crate) fn not_needed(candidate: &Candidate<'_>, library: &SharedLibrary<'_>) -> String {
    let stem = candidate.file_name().split('.').next().unwrap_or_default();
    format!(
        "{} is not the module `{stem}` (it exports no `{INIT}{stem}`{}), and no other library \
         needs it",
        candidate.shown(),
        instead(library)
    )
}

/// Which module a library is, for one that is not what it should be.
pub(crate) fn instead(library: &SharedLibrary<'_>) -> String {
    match library.modules[..] {
        [] => String::new(),
        [one] => format!(", but `{INIT}{one}`: say `module = \"{one}\"`"),
        ref many => format!(", but those of `{}`", many.join("`, `")),
    }
}
