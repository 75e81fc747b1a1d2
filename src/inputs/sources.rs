//! What goes into site-packages: the entries of `packages`, `extensions` and
//! `site-packages`, what each of them is, and which files that means.

use crate::archives::project::view::is_identifier;
use crate::archives::project::{self, Layout, MARKS};
use crate::config::{Config, Extension, Pattern, Wanted, is_lock_file, matching};
use crate::error::{Error, Report, Stage};
use crate::inputs::project::Folder;
use crate::inputs::walk::tree_in;
use crate::inputs::watch::Watch;
use crate::store::checksum::Check;
use crate::store::digest::{Digest, KeyBuilder};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// One thing to put into site-packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The key it comes from, for reports: `packages[1]`.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: SourceKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A folder whose contents go to the root.
    Tree,
    /// A package folder, under its own name.
    Package,
    /// The folder of a project, and what of it is installed.
    Project(Box<Layout>),
    /// One `.py` file.
    Module,
    Wheel,
    /// A source distribution, or a packed tree.
    Sdist,
    /// A shared library, and the module it is where the configuration says so.
    Library(Option<String>),
}

/// A file of a source, and where it goes: below site-packages, or, of an archive or a
/// library, only what it is called.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) target: PathBuf,
}

impl Source {
    /// `packages[1] (vendor/x.whl)`, for reports.
    pub(crate) fn shown(&self) -> String {
        format!("{} (`{}`)", self.key, self.path.display())
    }

    /// What the file is called: a wheel's name says what it is for.
    #[cfg(any(feature = "wheels", test))]
    pub(crate) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The files to read, in a fixed order.
    ///
    /// # Errors
    /// [`Stage::Io`] when a folder cannot be listed.
    pub(crate) fn files(&self) -> Result<Vec<SourceFile>, Error> {
        let name = self.path.file_name().unwrap_or_default();
        match &self.kind {
            SourceKind::Tree => below(&self.path, &self.path, Path::new("")),
            SourceKind::Package => below(&self.path, &self.path, Path::new(name)),
            SourceKind::Project(layout) => self.files_of_project(layout),
            _ => Ok(vec![SourceFile {
                path: self.path.clone(),
                target: name.into(),
            }]),
        }
    }

    fn files_of_project(&self, layout: &Layout) -> Result<Vec<SourceFile>, Error> {
        // What the layout says of a folder goes before what lies there.
        let mut parts: Vec<_> = layout.parts.iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.to.len()));
        let mut files = Vec::new();
        for part in parts {
            let path = self.path.join(&part.from);
            match path.is_dir() {
                true => files.extend(below(&path, &self.path, Path::new(&part.to))?),
                false => files.push(SourceFile {
                    path,
                    target: PathBuf::from(&part.to),
                }),
            }
        }
        let mut taken = HashSet::new();
        files.retain(|file| taken.insert(file.target.clone()));
        Ok(files)
    }

    fn describe(&self, key: &mut KeyBuilder) {
        let kind = match &self.kind {
            SourceKind::Tree => "tree",
            SourceKind::Package => "package",
            SourceKind::Module => "module",
            SourceKind::Wheel => "wheel",
            SourceKind::Sdist => "sdist",
            SourceKind::Project(layout) => {
                for (path, content) in &layout.made {
                    key.part(path, content);
                }
                for said in layout.warnings.iter().chain(&layout.notes) {
                    key.part("said", said.as_bytes());
                }
                "project"
            }
            SourceKind::Library(module) => {
                key.part("module", module.as_deref().unwrap_or("").as_bytes());
                "library"
            }
        };
        // Where a folder's contents go, and what a file is: by their names.
        key.part("kind", kind.as_bytes());
    }
}

/// The files below `folder`, and where they go below `target`.
fn below(folder: &Path, root: &Path, target: &Path) -> Result<Vec<SourceFile>, Error> {
    let files = tree_in(folder, root)?.into_iter();
    let files = files.map(|path| SourceFile {
        target: target.join(path.strip_prefix(folder).unwrap_or(&path)),
        path,
    });
    Ok(files.collect())
}

/// Everything that goes into site-packages, and what cargo should watch for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) list: Vec<Source>,
    pub(crate) watched: Vec<PathBuf>,
    /// What lock files say that files hold.
    pub(crate) locked: Vec<(PathBuf, Check)>,
}

impl Sources {
    /// Looks at what the paths lead to; they exist (`config.check_paths`).
    ///
    /// # Errors
    /// [`Stage::Packages`] for a folder that is no package, with what it is, or for one
    /// that this build writes to.
    pub(crate) fn locate(config: &Config, out_dir: &Path) -> Result<Self, Error> {
        let mut search = Locating {
            list: Vec::new(),
            watch: Watch::new(out_dir),
            locked: Vec::new(),
            wheel_dirs: &config.wheel_dirs,
            wanted: config.wanted(),
        };
        if let Some(path) = &config.site_packages {
            search.watch.path(path);
            search.add("site-packages", path.clone(), SourceKind::Tree);
        }
        for (index, path) in config.packages.iter().enumerate() {
            search.entry(&format!("packages[{index}]"), path)?;
        }
        if config.packages.iter().any(|path| is_lock_file(path)) {
            // For a file that is better than the one that is there.
            for folder in config.wheel_dirs.iter().filter(|folder| folder.is_dir()) {
                search.watch.folder(folder);
            }
        }
        for (index, extension) in config.extensions.iter().enumerate() {
            search.extension(&format!("extensions[{index}]"), extension)?;
        }
        search.check_mounted()?;
        Ok(Self {
            list: search.list,
            watched: search.watch.paths,
            locked: search.locked,
        })
    }

    /// Whether files hold what lock files say.
    fn check(&self) -> Result<(), Error> {
        let wrong = |(path, check): &&(PathBuf, Check)| {
            std::fs::read(path).map_or(true, |content| !check.passes(&content))
        };
        let wrong: Vec<&(PathBuf, Check)> = self.locked.iter().filter(wrong).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let report = Report::new("files are not those that are locked: their hashes are others");
        let names = wrong.iter().map(|(path, _)| path.display().to_string());
        Err(Stage::Packages.error(names.fold(report, Report::note).hint(
            "fetch them again from where the lock file has them; if they were meant to change, \
             lock them again",
        )))
    }

    /// The digest of what the sources hold, `None` without any.
    ///
    /// # Errors
    /// Those of `digest`, which knows the digest of each file; [`Stage::Packages`] for a
    /// file that is not the one that is locked.
    pub(crate) fn digest(
        &self,
        digest: impl Fn(&Path) -> Result<Digest, Error>,
    ) -> Result<Option<Digest>, Error> {
        if self.list.is_empty() {
            return Ok(None);
        }
        self.check()?;
        let mut key = KeyBuilder::new("site-packages");
        for source in &self.list {
            source.describe(&mut key);
            for file in source.files()? {
                key.part(&file.target.to_string_lossy(), &digest(&file.path)?.0);
            }
        }
        Ok(Some(key.finish()))
    }
}

/// Sources that are being looked for.
struct Locating<'a> {
    list: Vec<Source>,
    watch: Watch,
    locked: Vec<(PathBuf, Check)>,
    #[cfg_attr(not(feature = "wheels"), expect(dead_code, reason = "for lock files"))]
    wheel_dirs: &'a [PathBuf],
    #[cfg_attr(not(feature = "wheels"), expect(dead_code, reason = "for lock files"))]
    wanted: Wanted<'a>,
}

impl Locating<'_> {
    fn add(&mut self, key: &str, path: PathBuf, kind: SourceKind) {
        let key = key.to_owned();
        self.list.push(Source { key, path, kind });
    }

    /// An entry of `packages`.
    fn entry(&mut self, key: &str, path: &Path) -> Result<(), Error> {
        let Some(pattern) = Pattern::of(path) else {
            return self.one(key, path.components().collect());
        };
        // Also for a file that is not there yet.
        if !self.watch.folder(&pattern.folder) {
            return Err(Stage::Packages.error(
                Report::new(format!(
                    "{key}: `{}` would find new files only by chance",
                    path.display()
                ))
                .note(format!(
                    "this build writes below `{}`, so that cargo cannot watch that folder",
                    pattern.folder.display()
                ))
                .hint("move the files to a folder of their own, and name that: `wheels/*.whl`"),
            ));
        }
        for path in matching(&pattern) {
            self.one(key, path)?;
        }
        Ok(())
    }

    /// What one path leads to.
    fn one(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        match is_lock_file(&path) && path.is_file() {
            true => self.lock_file(key, &path),
            false => self.package(key, path),
        }
    }

    #[cfg(feature = "wheels")]
    fn lock_file(&mut self, key: &str, path: &Path) -> Result<(), Error> {
        let found = crate::inputs::locked::find(key, path, self.wheel_dirs, self.wanted)?;
        for path in &found.read {
            self.watch.file(path);
        }
        for (path, check) in found.paths {
            self.locked.extend(check.map(|check| (path.clone(), check)));
            self.package(key, path)?;
        }
        Ok(())
    }

    #[cfg(not(feature = "wheels"))]
    fn lock_file(&mut self, key: &str, path: &Path) -> Result<(), Error> {
        Err(Stage::Packages.error(
            Report::new(format!(
                "{key}: `{}` is a lock file, which this crate reads with its feature `wheels` only",
                path.display()
            ))
            .hint(
                "in [build-dependencies], write eryx-preinit-build = { version = \"0.1\", features \
                 = [\"wheels\"] }",
            ),
        ))
    }

    fn package(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        if path.is_dir() {
            return self.folder(key, path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kind = match () {
            () if name.ends_with(".whl") => SourceKind::Wheel,
            () if name.ends_with(".py") => SourceKind::Module,
            () => SourceKind::Sdist,
        };
        self.watch.file(&path);
        self.add(key, path, kind);
        Ok(())
    }

    fn extension(&mut self, key: &str, extension: &Extension) -> Result<(), Error> {
        let path: PathBuf = extension.path.components().collect();
        let kind = match path.extension() {
            Some(end) if end == "whl" => SourceKind::Wheel,
            _ => SourceKind::Library(extension.module.clone()),
        };
        if kind == SourceKind::Wheel && extension.module.is_some() {
            return Err(Stage::Packages.error(Report::new(format!(
                "{key} is a wheel, which says itself what its modules are: remove `module`"
            ))));
        }
        self.watch.file(&path);
        self.add(key, path, kind);
        Ok(())
    }

    /// A package folder, or a project with packages in it.
    fn folder(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        let is_project = MARKS.iter().any(|name| path.join(name).is_file());
        if is_project && !path.join("__init__.py").is_file() {
            return self.project(key, path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let refuse = |why: &str, hint: &str| {
            let shown = format!("{key}: `{}` is no package: {why}", path.display());
            Err(Stage::Packages.error(Report::new(shown).hint(hint)))
        };
        if holds_dist_info(&path)? {
            return refuse(
                "it holds installed packages",
                "name it as `site-packages`, which takes the folder's contents",
            );
        }
        if !is_identifier(&name) {
            return refuse(
                "its name is no Python name",
                "name the folder that is imported, or the project's folder (with its pyproject.toml)",
            );
        }
        self.watch.path(&path);
        self.add(key, path, SourceKind::Package);
        Ok(())
    }

    fn project(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        let mut layout = project::read(&Folder::new(&path)).map_err(|problem| {
            let shown = format!("{key}: the project `{}` cannot be used", path.display());
            Stage::Packages.error(
                Report::new(shown)
                    .note(problem)
                    .hint("name the package's own folder, or a wheel built from the project"),
            )
        })?;
        for file in &layout.read {
            self.watch.path(&path.join(file));
        }
        for part in &layout.parts {
            self.watch.path(&path.join(&part.from));
        }
        for folder in &layout.listed {
            let folder = path.join(folder);
            if !self.watch.folder(&folder) {
                layout.warnings.push(format!(
                    "a package or module that is added to `{}` is not noticed, as this build \
                     writes below that folder; list them in the project's configuration, or keep \
                     the target folder elsewhere",
                    folder.display()
                ));
            }
        }
        self.add(key, path, SourceKind::Project(Box::new(layout)));
        Ok(())
    }

    /// Whether no source is a folder that this build writes to.
    fn check_mounted(&self) -> Result<(), Error> {
        let own = |source: &Source| match &source.kind {
            SourceKind::Tree | SourceKind::Package => self.watch.holds_out_dir(&source.path),
            SourceKind::Project(layout) => layout
                .parts
                .iter()
                .any(|part| self.watch.holds_out_dir(&source.path.join(&part.from))),
            _ => false,
        };
        match self.list.iter().find(|source| own(source)) {
            None => Ok(()),
            Some(Source { key, path, .. }) => Err(Stage::Packages.error(
                Report::new(format!(
                    "{key}: this build writes into `{}`, which it would mount",
                    path.display()
                ))
                .hint("move the packages to a folder of their own, and name that"),
            )),
        }
    }
}

/// Whether a file in a tree may be a library to link.
pub(crate) fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "so")
}

fn holds_dist_info(folder: &Path) -> Result<bool, Error> {
    let failed = |e| Error::io("list", folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if Path::new(&name)
            .extension()
            .is_some_and(|end| end == "dist-info")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(root: &Path, paths: &[&str]) {
        for path in paths {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn locate(root: &Path, packages: &[&str]) -> Result<Sources, Error> {
        let config = Config {
            packages: packages.iter().map(|path| root.join(path)).collect(),
            ..Config::default()
        };
        Sources::locate(&config, &root.join("target/out"))
    }

    /// What each source is called and is, and where the parts of projects go.
    fn found(root: &Path, packages: &[&str]) -> Vec<(String, String)> {
        let sources = locate(root, packages).unwrap();
        let kind = |source: &Source| match &source.kind {
            SourceKind::Project(layout) => {
                let parts: Vec<&str> = layout.parts.iter().map(|part| &*part.to).collect();
                parts.join(" ")
            }
            kind => format!("{kind:?}"),
        };
        let list = sources.list.iter();
        list.map(|source| (source.file_name(), kind(source)))
            .collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(a, b): &(&str, &str)| (a.to_owned(), b.to_owned());
        list.iter().map(owned).collect()
    }

    #[test]
    fn each_kind_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                "pkg/__init__.py",
                "v/b-1-py3-none-any.whl",
                "v/a-1-py3-none-any.whl",
                "v/notes.txt",
                "one.py",
                "app-1.tar.gz",
                "flat/pyproject.toml",
                "flat/inner/__init__.py",
                "flat/tests/__init__.py",
                "flat/setup.py",
                "flat/single.py",
                "layered/setup.py",
                "layered/src/deep/__init__.py",
                "layered/other/__init__.py",
            ],
        );
        assert_eq!(
            found(
                root,
                &[
                    "pkg/",
                    "v/*.whl",
                    "one.py",
                    "app-1.tar.gz",
                    "flat",
                    "layered"
                ]
            ),
            pairs(&[
                ("pkg", "Package"),
                ("a-1-py3-none-any.whl", "Wheel"),
                ("b-1-py3-none-any.whl", "Wheel"),
                ("one.py", "Module"),
                ("app-1.tar.gz", "Sdist"),
                ("flat", "inner single.py"),
                ("layered", "deep"),
            ])
        );
        let watched = locate(root, &["v/*.whl"]).unwrap().watched;
        assert_eq!(watched[0], root.join("v"), "for a wheel that is added");
    }

    #[test]
    fn what_is_no_package_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                "site/x-1.dist-info/METADATA",
                "my-app/__init__.py",
                "empty/pyproject.toml",
            ],
        );
        for (path, said) in [
            ("site", "name it as `site-packages`"),
            ("my-app", "its name is no Python name"),
            ("empty", "it holds no package"),
        ] {
            let error = locate(root, &[path]).unwrap_err();
            assert!(format!("{error:?}").contains(said), "{error:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_project_s_links_to_the_outside_are_not_its_modules() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &["secret", "other/__init__.py", "app/setup.py", "app/own.py"],
        );
        symlink(root.join("secret"), root.join("app/stolen.py")).unwrap();
        symlink(root.join("other"), root.join("app/other")).unwrap();
        symlink("own.py", root.join("app/alias.py")).unwrap();
        assert_eq!(found(root, &["app"]), pairs(&[("app", "alias.py own.py")]));
    }

    #[test]
    fn what_decides_a_layout_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                "flat/pyproject.toml",
                "flat/one.py",
                "src/setup.py",
                "src/src/a/__init__.py",
            ],
        );
        let watched = |packages: &[&str]| locate(root, packages).unwrap().watched;
        // The folder itself: for a module that is added.
        assert!(watched(&["flat"]).contains(&root.join("flat")));
        let layered = watched(&["src"]);
        assert!(
            layered.contains(&root.join("src/src")) && layered.contains(&root.join("src/setup.py"))
        );
        assert!(!layered.contains(&root.join("src")));
        // Where this build writes, it says what it does not see.
        write(root, &["flat/target/out/x"]);
        let config = Config {
            packages: vec![root.join("flat")],
            ..Config::default()
        };
        let sources = Sources::locate(&config, &root.join("flat/target/out")).unwrap();
        assert!(!sources.watched.contains(&root.join("flat")));
        assert!(sources.watched.contains(&root.join("flat/one.py")));
        let SourceKind::Project(layout) = &sources.list[0].kind else {
            panic!("{sources:?}");
        };
        assert!(layout.warnings[0].contains("is not noticed"), "{layout:?}");
    }

    #[test]
    fn named_files_are_watched_with_their_folders() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let named = ["m/one.py", "w/a-1-py3-none-any.whl", "s/app-1.tar.gz"];
        write(root, &named);
        write(root, &["e/fast.so", "target/out/x"]);
        let config = Config {
            packages: named.iter().map(|path| root.join(path)).collect(),
            extensions: vec![Extension::new(root.join("e/fast.so"))],
            ..Config::default()
        };
        let sources = Sources::locate(&config, &root.join("target/out")).unwrap();
        for file in named.into_iter().chain(["e/fast.so"]) {
            let file = root.join(file);
            assert!(sources.watched.contains(&file), "{file:?}");
            // An older file may be moved over it.
            let folder = file.parent().unwrap().to_owned();
            assert!(sources.watched.contains(&folder), "{folder:?}");
        }
    }

    #[cfg(feature = "wheels")]
    #[test]
    fn a_lock_file_is_watched_with_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, &["locks/requirements.txt", "target/out/x"]);
        let watched = locate(root, &["locks/requirements.txt"]).unwrap().watched;
        for path in ["locks/requirements.txt", "locks"] {
            assert!(watched.contains(&root.join(path)), "{watched:?}");
        }
    }

    #[test]
    fn what_this_build_writes_is_neither_mounted_nor_watched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, &["a-1-py3-none-any.whl", "v/b-1-py3-none-any.whl"]);
        fs::create_dir_all(root.join("target/out")).unwrap();
        let sources = locate(root, &["a-1-py3-none-any.whl", "v/*.whl"]).unwrap();
        assert!(!sources.watched.contains(&root.to_owned()));
        assert!(sources.watched.contains(&root.join("a-1-py3-none-any.whl")));
        assert!(sources.watched.contains(&root.join("v")));
        let error = locate(root, &["*.whl"]).unwrap_err();
        assert!(
            format!("{error:?}").contains("a folder of their own"),
            "{error:?}"
        );
        let config = Config {
            site_packages: Some(root.to_owned()),
            ..Config::default()
        };
        let error = Sources::locate(&config, &root.join("target/out")).unwrap_err();
        assert!(format!("{error:?}").contains("writes into"), "{error:?}");
    }
}
