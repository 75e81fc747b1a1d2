//! What goes into site-packages: the entries of `packages`, `extensions` and
//! `site-packages`, what each of them is, and which files that means.

use crate::archives::layout::{is_identifier, is_module_of_project, is_package_of_project};
use crate::config::{Config, Pattern, is_lock_file, matching};
use crate::error::{Error, Report};
use crate::inputs::walk::tree;
use crate::store::checksum::Check;
use crate::store::digest::{Digest, KeyBuilder};
use std::path::{Path, PathBuf};

/// One thing to put into site-packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The key it comes from, for reports: `packages[1]`.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder whose contents go to the root.
    Tree,
    /// A package folder, under its own name.
    Package,
    /// One `.py` file.
    Module,
    Wheel,
    Sdist,
    /// A shared library, and the module it is where the configuration says so.
    Library(Option<String>),
}

impl Source {
    /// `packages[1] (vendor/x.whl)`, for reports.
    pub(crate) fn shown(&self) -> String {
        format!("{} (`{}`)", self.key, self.path.display())
    }

    pub(crate) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The files to read, in a fixed order.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be listed.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        match self.kind {
            Kind::Tree | Kind::Package => tree(&self.path),
            _ => Ok(vec![self.path.clone()]),
        }
    }
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
    /// [`Error::Packages`] for a folder that is no package, with what it is.
    pub(crate) fn locate(config: &Config, out_dir: &Path) -> Result<Self, Error> {
        let mut sources = Self::default();
        let out_dir = out_dir.canonicalize().ok();
        let holds_out_dir = |folder: &Path| match (&out_dir, folder.canonicalize()) {
            (Some(out_dir), Ok(folder)) => out_dir.starts_with(folder),
            _ => false,
        };
        if let Some(path) = &config.site_packages {
            sources.add("site-packages".to_owned(), path.clone(), Kind::Tree);
        }
        for (index, path) in config.packages.iter().enumerate() {
            let key = format!("packages[{index}]");
            match Pattern::of(path) {
                Some(pattern) => {
                    // Also for a file that is not there yet; but what every build writes
                    // to would never be fresh.
                    if !holds_out_dir(&pattern.folder) {
                        sources.watched.push(pattern.folder.clone());
                    }
                    for path in matching(&pattern) {
                        sources.entry(&key, path, config)?;
                    }
                }
                None => sources.entry(&key, path.components().collect(), config)?,
            }
        }
        if config.packages.iter().any(|path| is_lock_file(path)) {
            // For a file that is better than the one that is there.
            let folders = config.wheel_dirs.iter();
            let folders = folders.filter(|folder| folder.is_dir() && !holds_out_dir(folder));
            sources.watched.extend(folders.cloned());
        }
        for (index, extension) in config.extensions.iter().enumerate() {
            let path: PathBuf = extension.path.components().collect();
            let kind = match path.extension() {
                Some(end) if end == "whl" => Kind::Wheel,
                _ => Kind::Library(extension.module.clone()),
            };
            let key = format!("extensions[{index}]");
            if kind == Kind::Wheel && extension.module.is_some() {
                return Err(Error::Packages(Report::new(format!(
                    "{key} is a wheel, which says itself what its modules are: remove `module`"
                ))));
            }
            sources.add(key, path, kind);
        }
        let own = |source: &&Source| {
            matches!(source.kind, Kind::Tree | Kind::Package) && holds_out_dir(&source.path)
        };
        if let Some(Source { key, path, .. }) = sources.list.iter().find(own) {
            return Err(Error::Packages(
                Report::new(format!(
                    "{key}: this build writes into `{}`, which it would mount",
                    path.display()
                ))
                .hint("move the packages to a folder of their own, and name that"),
            ));
        }
        Ok(sources)
    }

    fn add(&mut self, key: String, path: PathBuf, kind: Kind) {
        self.watched.push(path.clone());
        self.list.push(Source { key, path, kind });
    }

    fn entry(&mut self, key: &str, path: PathBuf, config: &Config) -> Result<(), Error> {
        match is_lock_file(&path) && path.is_file() {
            true => self.lock_file(key, &path, &config.wheel_dirs),
            false => self.package(key, path),
        }
    }

    #[cfg(feature = "wheels")]
    fn lock_file(&mut self, key: &str, path: &Path, folders: &[PathBuf]) -> Result<(), Error> {
        let found = crate::inputs::locked::find(key, path, folders)?;
        self.watched.extend(found.read);
        for (path, check) in found.paths {
            self.locked.extend(check.map(|check| (path.clone(), check)));
            self.package(key, path)?;
        }
        Ok(())
    }

    #[cfg(not(feature = "wheels"))]
    fn lock_file(&mut self, key: &str, path: &Path, _folders: &[PathBuf]) -> Result<(), Error> {
        Err(Error::Packages(
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
        Err(Error::Packages(names.fold(report, Report::note).hint(
            "fetch them again from where the lock file has them; if they were meant to change, \
             lock them again",
        )))
    }

    fn package(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            return self.folder(key, path);
        }
        let kind = match () {
            () if name.ends_with(".whl") => Kind::Wheel,
            () if name.ends_with(".py") => Kind::Module,
            () => Kind::Sdist,
        };
        self.add(key.to_owned(), path, kind);
        Ok(())
    }

    /// A package folder, or a project with packages in it.
    fn folder(&mut self, key: &str, path: PathBuf) -> Result<(), Error> {
        let project = ["pyproject.toml", "setup.py", "setup.cfg"]
            .iter()
            .any(|name| path.join(name).is_file());
        if project && !path.join("__init__.py").is_file() {
            let source_folder = path.join("src");
            let root = if source_folder.is_dir() {
                self.watched.push(source_folder.clone());
                source_folder
            } else {
                path.clone()
            };
            let found = project_packages(&path, &root)?;
            if found.is_empty() {
                return Err(Error::Packages(
                    Report::new(format!(
                        "{key}: the project `{}` holds no packages",
                        path.display()
                    ))
                    .note(format!(
                        "looked for folders with an `__init__.py` in `{}`",
                        root.display()
                    ))
                    .hint("name the package's own folder, or a wheel built from the project"),
                ));
            }
            for (path, kind) in found {
                self.add(key.to_owned(), path, kind);
            }
            return Ok(());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let refuse = |why: &str, hint: &str| {
            let shown = format!("{key}: `{}` is no package: {why}", path.display());
            Err(Error::Packages(Report::new(shown).hint(hint)))
        };
        let installed = names(&path)?
            .iter()
            .any(|name| name.ends_with(".dist-info"));
        if installed {
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
        self.add(key.to_owned(), path, Kind::Package);
        Ok(())
    }

    /// The digest of what the sources hold, `None` without any.
    ///
    /// # Errors
    /// Those of `digest`, which knows the digest of each file; [`Error::Packages`] for a
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
            // Where a folder's contents go, and what a file is: by its name.
            let (kind, name) = match &source.kind {
                Kind::Tree => ("tree", String::new()),
                Kind::Package => ("package", source.file_name()),
                Kind::Module => ("module", source.file_name()),
                Kind::Wheel => ("wheel", source.file_name()),
                Kind::Sdist => ("sdist", source.file_name()),
                Kind::Library(module) => {
                    key.part("module", module.as_deref().unwrap_or("").as_bytes());
                    ("library", source.file_name())
                }
            };
            key.part(kind, name.as_bytes());
            for path in source.files()? {
                let relative = path.strip_prefix(&source.path).unwrap_or(&path);
                key.part(&relative.to_string_lossy(), &digest(&path)?.0);
            }
        }
        Ok(Some(key.finish()))
    }
}

/// Whether a file in a tree may be a library to link.
pub(crate) fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "so")
}

/// Packages and modules at the root of a project's sources.
///
/// What a link in it makes of something outside the `project` is not its own.
fn project_packages(project: &Path, root: &Path) -> Result<Vec<(PathBuf, Kind)>, Error> {
    let list_error = |e| Error::io("list", project, e);
    let project = project.canonicalize().map_err(list_error)?;
    let found = names(root)?.into_iter().filter_map(|name| {
        let path = root.join(&name);
        if !path.canonicalize().ok()?.starts_with(&project) {
            return None;
        }
        Some(if path.join("__init__.py").is_file() {
            if !is_package_of_project(&name) {
                return None;
            }
            (path, Kind::Package)
        } else {
            let module = name.strip_suffix(".py")?;
            if !is_module_of_project(module) || !path.is_file() {
                return None;
            }
            (path, Kind::Module)
        })
    });
    Ok(found.collect())
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |e| Error::io("list", folder, e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
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

    fn found(root: &Path, packages: &[&str]) -> Vec<(String, Kind)> {
        let sources = locate(root, packages).unwrap();
        let found = sources.list.into_iter();
        found
            .map(|source| (source.file_name(), source.kind))
            .collect()
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
            [
                ("pkg".to_owned(), Kind::Package),
                ("a-1-py3-none-any.whl".to_owned(), Kind::Wheel),
                ("b-1-py3-none-any.whl".to_owned(), Kind::Wheel),
                ("one.py".to_owned(), Kind::Module),
                ("app-1.tar.gz".to_owned(), Kind::Sdist),
                ("inner".to_owned(), Kind::Package),
                ("single.py".to_owned(), Kind::Module),
                ("deep".to_owned(), Kind::Package),
            ]
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
            ("empty", "holds no packages"),
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
        assert_eq!(
            found(root, &["app"]),
            [
                ("alias.py".to_owned(), Kind::Module),
                ("own.py".to_owned(), Kind::Module)
            ]
        );
    }

    #[test]
    fn what_this_build_writes_is_neither_mounted_nor_watched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, &["a-1-py3-none-any.whl", "v/b-1-py3-none-any.whl"]);
        fs::create_dir_all(root.join("target/out")).unwrap();
        let sources = locate(root, &["*.whl", "v/*.whl"]).unwrap();
        assert!(!sources.watched.contains(&root.to_owned()));
        assert!(sources.watched.contains(&root.join("a-1-py3-none-any.whl")));
        assert!(sources.watched.contains(&root.join("v")));
        let config = Config {
            site_packages: Some(root.to_owned()),
            ..Config::default()
        };
        let error = Sources::locate(&config, &root.join("target/out")).unwrap_err();
        assert!(format!("{error:?}").contains("writes into"), "{error:?}");
    }
}
