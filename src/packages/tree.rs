//! The folder to mount at /site-packages: the files of all sources, merged, and
//! the libraries among them, ready to link.
//!
//! ```text
//! OUT_DIR/eryx-preinit/
//!   site-packages-<digest>/
//!     site-packages/     what is mounted: at build time, and by the program
//!     libraries/0.so …   what is linked; in the tree, empty files stand for them
//!     report.json        their names, and what there was to say
//! ```
//!
//! Files are copied, with [`std::fs::copy`], which clones where the file system
//! can. Hard links would be cheaper and wrong: an edit of the source would change
//! a folder whose name says what is in it, and a program that may write to what it
//! mounts would write to the source.

use crate::error::{Error, Report, Stage};
use crate::inputs::sources::{Source, Sources};
use crate::packages::contents::{Content, Tree, contents};
use crate::packages::merge::Merge;
use crate::packages::pth;
use crate::packages::report::{LinkedLibrary, TreeReport};
use crate::store::digest::Digest;
use crate::store::folder;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Prefix of the staged folders.
const STAGED: &str = "site-packages-";
/// In a staged folder: the tree, the libraries, and the [`TreeReport`].
const TREE: &str = "site-packages";
const LIBRARIES: &str = "libraries";
const REPORT: &str = "report.json";

/// What there is at /site-packages.
#[derive(Clone, Debug, Default)]
pub(crate) struct SitePackages {
    /// The folder to mount, where there is something to mount.
    pub(crate) tree: Option<PathBuf>,
    /// The staged folder around it, if it is not a folder of the consumer's.
    staged: Option<PathBuf>,
    pub(crate) report: TreeReport,
}

impl SitePackages {
    /// A file whose change means that the folder is no longer what was made.
    pub(crate) fn marker(&self) -> Option<PathBuf> {
        self.staged.as_ref().map(|folder| folder.join(REPORT))
    }

    /// The bytes of a library of the report.
    ///
    /// # Errors
    /// [`Stage::Io`].
    pub(crate) fn read(&self, library: &LinkedLibrary) -> Result<Vec<u8>, Error> {
        let path = self.staged.clone().unwrap_or_default().join(&library.file);
        fs::read(&path).map_err(|e| Error::io("read", &path, e))
    }
}

/// Removes the trees that earlier builds made in `folder`, but those that hold one of
/// `keep`.
pub(crate) fn sweep(folder: &Path, keep: &[PathBuf]) {
    folder::sweep(folder, STAGED, keep);
}

/// The tree of `sources`, whose content has this digest: made below `folder`, or
/// there already. `unchanged` says whether it still has.
///
/// # Errors
/// [`Stage::Packages`] when a source cannot be used, or two do not go together;
/// [`Stage::Link`] for a library that is not one to link; [`Stage::Io`]; those of
/// `unchanged`.
pub(crate) fn prepare(
    sources: &Sources,
    digest: Option<Digest>,
    folder: &Path,
    unchanged: impl FnOnce() -> Result<(), Error>,
) -> Result<SitePackages, Error> {
    let Some(digest) = digest else {
        return Ok(SitePackages::default());
    };
    let staged = folder::staged(folder, STAGED, digest, |dir| {
        make(&sources.list, dir)?;
        unchanged()
    })?;
    let path = staged.join(REPORT);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let report = serde_json::from_slice(&bytes)
        .map_err(|e| Error::io("read", &path, std::io::Error::other(e)))?;
    Ok(SitePackages {
        tree: Some(staged.join(TREE)),
        staged: Some(staged),
        report,
    })
}

fn make(sources: &[Source], dir: &Path) -> Result<(), Error> {
    let contents = sources.par_iter().map(contents).collect::<Vec<_>>();
    let mut merge = Merge::new(sources);
    for (index, contents) in all(contents)?.into_iter().enumerate() {
        merge.source(index, contents)?;
    }
    let libraries = merge.libraries()?;
    merge.check_names(dir)?;
    let Merge {
        mut tree,
        mut report,
        ..
    } = merge;
    report.warnings.extend(pth::follow(&mut tree, sources)?);
    #[cfg(feature = "wheels")]
    report.warnings.extend(unsatisfied(&tree)?);

    write(&dir.join(TREE), &tree)?;
    let folder = dir.join(LIBRARIES);
    fs::create_dir(&folder).map_err(|e| Error::io("create", &folder, e))?;
    for (number, (mut library, bytes)) in libraries.into_iter().enumerate() {
        library.file = format!("{LIBRARIES}/{number}.so");
        let path = dir.join(&library.file);
        fs::write(&path, &bytes).map_err(|e| Error::io("write", &path, e))?;
        report.libraries.push(library);
    }
    let path = dir.join(REPORT);
    let bytes = serde_json::to_vec(&report).unwrap_or_default();
    fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
}

/// All values, or every error there is: the first, with what the others say as
/// notes.
fn all<T>(results: Vec<Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(values),
        1 => Err(errors.remove(0)),
        count => {
            let report = Report::new(format!("{count} packages cannot be used"));
            let notes = errors
                .iter()
                .map(|error| error.report().summary().to_owned());
            Err(Stage::Packages.error(notes.fold(report, Report::note)))
        }
    }
}

fn write(root: &Path, tree: &Tree) -> Result<(), Error> {
    let create = |path: &Path| fs::create_dir_all(path).map_err(|e| Error::io("create", path, e));
    create(root)?;
    let folders: BTreeSet<&str> = tree
        .keys()
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    for folder in folders {
        create(&root.join(folder))?;
    }
    tree.par_iter().try_for_each(|(path, (_, content))| {
        let target = root.join(path);
        match content {
            Content::File(source) => fs::copy(source, &target).map(drop),
            Content::Bytes(bytes) => fs::write(&target, bytes),
            Content::EmptyFolder => fs::create_dir_all(&target),
        }
        .map_err(|e| Error::io("write", &target, e))
    })
}

/// Warnings on what packages say they need.
#[cfg(feature = "wheels")]
fn unsatisfied(tree: &Tree) -> Result<Vec<String>, Error> {
    let mut metadata = Vec::new();
    let mut importable = BTreeSet::new();
    for (path, (_, content)) in tree {
        let (top, rest) = path.split_once('/').unwrap_or((path, ""));
        let is_metadata = (top.ends_with(".dist-info") && rest == "METADATA")
            || (top.ends_with(".egg-info") && rest == "PKG-INFO");
        if is_metadata {
            metadata.push(String::from_utf8_lossy(&content.read()?).into_owned());
        }
        importable.insert(top.strip_suffix(".py").unwrap_or(top).to_owned());
    }
    let importable: Vec<String> = importable.into_iter().collect();
    Ok(crate::packages::requirements::unsatisfied(
        &metadata,
        &importable,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Extension};
    use crate::inputs::states;

    const PLAIN: &str = "(module (@dylink.0 (mem-info)) (func (export \"f\")))";

    fn module(name: &str) -> String {
        format!(
            "(module (@dylink.0 (mem-info)) (func (export \"PyInit_{name}\") (result i32) i32.const 0))"
        )
    }

    /// A folder of files; those that start with `(module` are assembled.
    fn files(list: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in list {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.starts_with("(module") {
                true => fs::write(path, wat::parse_str(content).unwrap()).unwrap(),
                false => fs::write(path, content).unwrap(),
            }
        }
        dir
    }

    /// Stages `packages` and `extensions`, given as paths below `dir`.
    fn stage(
        dir: &Path,
        packages: &[&str],
        extensions: &[(&str, &str)],
    ) -> Result<SitePackages, Error> {
        let config = Config {
            packages: packages.iter().map(|path| dir.join(path)).collect(),
            extensions: extensions
                .iter()
                .map(|(path, module)| Extension {
                    module: (!module.is_empty()).then(|| (*module).to_owned()),
                    ..Extension::new(dir.join(path))
                })
                .collect(),
            site_packages: Some(dir.join("site")).filter(|path| path.is_dir()),
            ..Config::default()
        };
        let sources = Sources::locate(&config, Path::new("out"))?;
        let digest = sources.digest(|path| {
            let state = states::states(&[path.to_owned()], &[])?;
            Ok(state[0].digest)
        })?;
        prepare(&sources, digest, &dir.join("out"), || Ok(()))
    }

    fn links(staged: &SitePackages) -> Vec<(&str, bool)> {
        let libraries = staged.report.libraries.iter();
        libraries
            .map(|library| (library.name.as_str(), library.openable))
            .collect()
    }

    #[track_caller]
    fn refused(result: Result<SitePackages, Error>, said: &str) {
        let text = format!("{:?}", result.unwrap_err());
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }

    #[test]
    fn sources_are_merged_and_extensions_get_their_places() {
        let dir = files(&[
            ("site/installed.py", "x"),
            ("site/installed/_c.abi3.so", &module("_c")),
            ("pkg/__init__.py", "y"),
            ("one.py", "z"),
            ("fast.cpython-314-wasm32-wasi.so", &module("fast")),
            ("built.so", &module("_core")),
            ("libx.so", PLAIN),
            (
                "user.so",
                "(module (@dylink.0 (mem-info) (needed \"libx.so\" \"libc.so\")) (func (export \"PyInit_user\")))",
            ),
        ]);
        let staged = stage(
            dir.path(),
            &["pkg", "one.py"],
            &[
                ("fast.cpython-314-wasm32-wasi.so", ""),
                ("built.so", "pkg._core"),
                ("libx.so", ""),
                ("user.so", ""),
            ],
        )
        .unwrap();
        assert_eq!(
            links(&staged),
            [
                ("/site-packages/installed/_c.abi3.so", true),
                ("/site-packages/fast.cpython-314-wasm32-wasi.so", true),
                ("/site-packages/pkg/_core.cpython-314-wasm32-wasi.so", true),
                ("libx.so", false),
                ("/site-packages/user.cpython-314-wasm32-wasi.so", true),
            ]
        );
        let tree = staged.tree.clone().unwrap();
        let size = |path: &str| fs::metadata(tree.join(path)).unwrap().len();
        assert_eq!(
            (
                size("installed.py"),
                size("pkg/__init__.py"),
                size("one.py")
            ),
            (1, 1, 1)
        );
        assert_eq!(size("installed/_c.abi3.so"), 0);
        assert_eq!(size("pkg/_core.cpython-314-wasm32-wasi.so"), 0);
        assert!(!tree.join("libx.so").exists());
        let bytes = staged.read(&staged.report.libraries[3]).unwrap();
        assert_eq!(
            Digest::of(&bytes).to_string(),
            staged.report.libraries[3].digest
        );
        assert_eq!(staged.report.warnings, [""; 0]);

        // Editing a source changes nothing that was staged.
        fs::write(dir.path().join("one.py"), "edited").unwrap();
        assert_eq!(size("one.py"), 1);
    }

    #[test]
    fn a_file_of_two_packages_names_both() {
        let dir = files(&[
            ("site/pkg/__init__.py", "x"),
            ("pkg/__init__.py", "y"),
            ("pkg/same.py", "z"),
            ("site/pkg/same.py", "z"),
            ("pkg/sub", ""),
            ("site/pkg/sub/x.py", ""),
        ]);
        let result = stage(dir.path(), &["pkg"], &[]);
        let text = format!("{:?}", result.unwrap_err());
        let path = |name: &str| dir.path().join(name).display().to_string();
        for part in [
            format!(
                "`pkg/__init__.py` comes from site-packages (`{}`) and from packages[0] (`{}`)",
                path("site"),
                path("pkg")
            ),
            "`pkg/sub` is a file of packages[0]".to_owned(),
        ] {
            assert!(text.contains(&part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("same.py"), "{text}");
    }

    #[test]
    fn names_that_differ_in_case_are_told_apart_where_the_file_system_does() {
        let dir = files(&[("up/PKG/x.py", ""), ("pkg/y.py", "")]);
        let staged = stage(dir.path(), &["up/PKG", "pkg"], &[]);
        if !crate::packages::merge::tells_case_apart(dir.path()).unwrap() {
            refused(staged, "are the same where case does not count");
            return;
        }
        let staged = staged.unwrap();
        let warning = &staged.report.warnings[0];
        assert!(warning.contains("`PKG` from packages[0]"), "{warning}");
        assert!(warning.contains("not every file system"), "{warning}");
        let tree = staged.tree.unwrap();
        assert!(tree.join("PKG/x.py").exists() && tree.join("pkg/y.py").exists());
    }

    #[test]
    fn a_namespace_s_init_may_be_in_every_part_of_it() {
        let pkgutil = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
        let setuptools = "__import__('pkg_resources').declare_namespace(__name__)\n";
        let dir = files(&[
            ("site/ns/__init__.py", setuptools),
            ("ns/__init__.py", pkgutil),
            ("ns/one.py", "x"),
        ]);
        let staged = stage(dir.path(), &["ns"], &[]).unwrap();
        assert_eq!(staged.report.warnings, [""; 0]);
        let init = staged.tree.unwrap().join("ns/__init__.py");
        // The one that needs nothing.
        assert_eq!(fs::read_to_string(init).unwrap(), pkgutil);
        fs::write(dir.path().join("ns/__init__.py"), "VERSION = 1").unwrap();
        refused(
            stage(dir.path(), &["ns"], &[]),
            "`ns/__init__.py` comes from",
        );
    }

    #[test]
    fn an_empty_folder_of_one_source_may_be_full_in_another() {
        let dir = files(&[("ns/one.py", "x")]);
        fs::create_dir_all(dir.path().join("site/ns")).unwrap();
        let tree = stage(dir.path(), &["ns"], &[]).unwrap().tree.unwrap();
        assert!(tree.join("ns/one.py").is_file());
    }

    #[test]
    fn what_nobody_imports_is_kept_once() {
        let dir = files(&[
            ("site/tests/__init__.py", "one"),
            ("tests/__init__.py", "two"),
            ("site/LICENSE", "of one"),
        ]);
        let staged = stage(dir.path(), &["tests"], &[]).unwrap();
        let warnings = staged.report.warnings.join("\n");
        assert!(
            warnings.contains("`tests/__init__.py` comes from site-packages"),
            "{warnings}"
        );
        assert!(warnings.contains("the first is kept"), "{warnings}");
        let kept = staged.tree.unwrap().join("tests/__init__.py");
        assert_eq!(fs::read_to_string(kept).unwrap(), "one");
    }

    #[test]
    fn pth_files_are_followed_inside_and_named_otherwise() {
        let dir = files(&[
            ("site/in.pth", "# c\nvendored\n\n"),
            ("site/vendored/inner.py", "x"),
            ("site/vendored/shown.py", "hidden by the one at the top"),
            ("site/vendored/_c.so", PLAIN),
            ("site/shown.py", "top"),
            ("site/out.pth", "/no/such/place\n../elsewhere\nnothing\n"),
            ("site/ns-nspkg.pth", "import sys, types\n"),
            (
                "site/__editable__.app-1.pth",
                "import __editable___app_finder\n",
            ),
            ("site/hook.pth", "import hook\n"),
        ]);
        let absolute = dir.path().join("site/vendored").display().to_string();
        fs::write(dir.path().join("site/abs.pth"), absolute).unwrap();
        let staged = stage(dir.path(), &[], &[]).unwrap();
        let tree = staged.tree.clone().unwrap();
        let text = |path: &str| fs::read_to_string(tree.join(path)).unwrap();
        assert_eq!(
            (text("inner.py"), text("shown.py")),
            ("x".into(), "top".into())
        );
        let warnings = staged.report.warnings.join("\n");
        for said in [
            "`out.pth` of site-packages (`",
            "`/no/such/place` is outside of the folder",
            "`../elsewhere` is outside of the folder",
            "`nothing` leads to nothing that is there",
            "`in.pth` of",
            "but for extension modules: `vendored/_c.so`",
            "`ns-nspkg.pth` of",
            "nor needed",
            "`__editable__.app-1.pth` of",
            "name that project's folder in `packages`",
            "`hook.pth` of",
            "do the same in `setup`",
        ] {
            assert!(warnings.contains(said), "{said} is not in:\n{warnings}");
        }
        assert!(!tree.join("_c.so").exists());
    }

    #[test]
    fn a_project_brings_its_metadata_and_says_what_it_leaves_out() {
        let dir = files(&[
            (
                "app/pyproject.toml",
                "[project]\nname = 'my-app'\nversion = '2.3.4'\n",
            ),
            ("app/my_app/__init__.py", "x"),
            ("app/tests/__init__.py", "y"),
        ]);
        let staged = stage(dir.path(), &["app"], &[]).unwrap();
        let info = staged.tree.clone().unwrap().join("my_app-2.3.4.dist-info");
        let text = |name: &str| fs::read_to_string(info.join(name)).unwrap();
        assert!(text("METADATA").contains("Name: my-app\nVersion: 2.3.4\n"));
        assert_eq!(text("top_level.txt"), "my_app\n");
        let record = text("RECORD");
        assert!(record.contains("my_app/__init__.py,,\n") && record.contains("/RECORD,,\n"));
        assert_eq!(staged.report.notes, ["packages[0]: `tests` left out"]);
        assert_eq!(staged.report.warnings, [""; 0]);
    }

    #[test]
    fn libraries_that_cannot_be_linked_say_why() {
        let dir = files(&[
            ("elf.so", "\x7fELF"),
            ("old.cpython-313-wasm32-wasi.so", &module("old")),
            ("plain.so", PLAIN),
            ("renamed.so", &module("_core")),
            (
                "needy.so",
                "(module (@dylink.0 (mem-info) (needed \"libnone.so\" \"renamed.so\")) (func (export \"PyInit_needy\")))",
            ),
        ]);
        for (path, module, said) in [
            ("elf.so", "", "is an ELF library"),
            ("old.cpython-313-wasm32-wasi.so", "", "for CPython 3.13"),
            (
                "plain.so",
                "",
                "exports no `PyInit_plain`), and no other library needs it",
            ),
            ("renamed.so", "", "say `module = \"_core\"`"),
            (
                "renamed.so",
                "pkg.other",
                "it exports no `PyInit_other`, but `PyInit__core`",
            ),
            (
                "needy.so",
                "",
                "needs the library `libnone.so`, which is not there",
            ),
        ] {
            refused(stage(dir.path(), &[], &[(path, module)]), said);
        }
        // All at once.
        let both = stage(dir.path(), &[], &[("elf.so", ""), ("plain.so", "")]);
        refused(both, "2 problems with native extensions");
        assert_eq!(
            fs::read_dir(dir.path().join("out")).unwrap().count(),
            0,
            "nothing is left of a refused set"
        );
    }

    #[test]
    fn a_folder_may_hold_libraries_for_the_machine_that_builds() {
        let dir = files(&[
            ("site/pkg/__init__.py", ""),
            (
                "site/pkg/_speedups.cpython-314-x86_64-linux-gnu.so",
                "\x7fELF",
            ),
            ("site/pkg/libodd.so", PLAIN),
        ]);
        let staged = stage(dir.path(), &[], &[]).unwrap();
        assert_eq!(links(&staged), []);
        let warnings = staged.report.warnings.join("\n");
        assert!(
            warnings.contains("`pkg._speedups` is missing"),
            "{warnings}"
        );
        assert!(
            warnings.contains("no extension module, and no other library needs it"),
            "{warnings}"
        );
        let why = &staged.report.foreign["pkg._speedups"];
        assert!(why.contains("CPython 3.14 on x86_64-linux-gnu"), "{why}");
    }

    #[cfg(not(feature = "wheels"))]
    #[test]
    fn a_wheel_names_the_feature_that_reads_it() {
        let dir = files(&[("a-1-py3-none-any.whl", ""), ("a.tar.gz", "")]);
        for path in ["a-1-py3-none-any.whl", "a.tar.gz"] {
            refused(stage(dir.path(), &[path], &[]), "features = [\"wheels\"]");
        }
    }

    #[cfg(feature = "wheels")]
    #[test]
    fn a_wheel_s_extensions_are_linked_and_its_needs_looked_at() {
        let native = wat::parse_str(module("_x")).unwrap();
        let wheel = crate::archives::wheel::tests::wheel(&[
            ("app/__init__.py", b""),
            ("app/_x.cpython-314-wasm32-wasi.so", &native),
        ]);
        let dir = files(&[("wanting/wanting.py", ""), ("wanting/setup.py", "")]);
        fs::write(
            dir.path().join("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl"),
            &wheel,
        )
        .unwrap();
        let staged = stage(
            dir.path(),
            &["wanting"],
            &[("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl", "")],
        )
        .unwrap();
        assert_eq!(
            links(&staged),
            [("/site-packages/app/_x.cpython-314-wasm32-wasi.so", true)]
        );
        let other = crate::archives::wheel::tests::wheel(&[("app/__init__.py", b"other")]);
        fs::write(dir.path().join("app-1.0-py3-none-any.whl"), &other).unwrap();
        let twice = stage(
            dir.path(),
            &["app-1.0-py3-none-any.whl"],
            &[("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl", "")],
        );
        refused(twice, "`app/__init__.py` comes from packages[0]");
        fs::write(
            dir.path().join("app-1.0-py3-none-any.whl"),
            &wheel[..wheel.len() / 2],
        )
        .unwrap();
        refused(
            stage(dir.path(), &["app-1.0-py3-none-any.whl"], &[]),
            "packages[0] (`",
        );
    }
}
