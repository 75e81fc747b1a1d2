//! Cargo.lock as it lies there, for when cargo will not say what it means: text → the
//! packages, and which of them depend on which.

use std::collections::{HashSet, VecDeque};
use toml::{Table, Value};

/// A lock file.
#[derive(Debug)]
pub(crate) struct Lock {
    packages: Vec<Package>,
}

/// A package of a lock file.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where it comes from; `None` for a folder.
    pub(crate) source: Option<String>,
    /// Names, with the version and the source where the name alone could mean several.
    dependencies: Vec<String>,
}

/// A package that another one needs, directly or through others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dependency<'a> {
    pub(crate) package: &'a Package,
    pub(crate) direct: bool,
}

impl Lock {
    /// # Errors
    /// Why it is no lock file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        let packages = match table.get("package") {
            None => &Vec::new(),
            Some(Value::Array(packages)) => packages,
            Some(_) => return Err("`package` is no list of packages".to_owned()),
        };
        let packages = packages.iter().map(|package| {
            Package::of(package).ok_or_else(|| "a package has no name or version".to_owned())
        });
        Ok(Self {
            packages: packages.collect::<Result<_, _>>()?,
        })
    }

    /// The package `name`, in `version` if that is known. A folder's goes first: that is
    /// what is being built, most often.
    pub(crate) fn package(&self, name: &str, version: Option<&str>) -> Option<&Package> {
        let fits = |package: &&Package| {
            package.name == name && version.is_none_or(|version| package.version == version)
        };
        let local = |package: &&Package| package.source.is_none();
        let mut found = self.packages.iter().filter(fits);
        found.clone().find(local).or_else(|| found.next())
    }

    /// What `root` needs of the packages called `name`; without a root, all of them.
    pub(crate) fn dependencies<'a>(
        &'a self,
        root: Option<&'a Package>,
        name: &str,
    ) -> Vec<Dependency<'a>> {
        let Some(root) = root else {
            let called = self.packages.iter().filter(|package| package.name == name);
            let dependency = |package| Dependency {
                package,
                direct: false,
            };
            return called.map(dependency).collect();
        };
        let mut found = Vec::new();
        let mut seen: HashSet<*const Package> = HashSet::from([std::ptr::from_ref(root)]);
        let mut queue = VecDeque::from([root]);
        while let Some(package) = queue.pop_front() {
            let direct = std::ptr::eq(package, root);
            for package in self.needed(package) {
                if seen.insert(package) {
                    queue.push_back(package);
                    if package.name == name {
                        found.push(Dependency { package, direct });
                    }
                }
            }
        }
        found
    }

    fn needed<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a Package> {
        package.dependencies.iter().filter_map(|dependency| {
            let mut words = dependency.splitn(3, ' ');
            let (name, version, source) = (words.next()?, words.next(), words.next());
            let source = source.map(|source| source.trim_matches(['(', ')']));
            self.packages.iter().find(|package| {
                let given = package.source.as_deref();
                package.name == name
                    && version.is_none_or(|version| package.version == version)
                    && source.is_none_or(|source| given.is_some_and(|g| same(g, source)))
            })
        })
    }
}

/// Whether two sources are one. The commit of a git source is not always written.
fn same(one: &str, two: &str) -> bool {
    let plain = |source: &str| source.split('#').next().unwrap_or(source).to_owned();
    plain(one) == plain(two)
}

impl Package {
    fn of(package: &Value) -> Option<Self> {
        let text = |key: &str| package.get(key)?.as_str().map(str::to_owned);
        let list = package.get("dependencies").and_then(Value::as_array);
        let names = list.into_iter().flatten().filter_map(Value::as_str);
        Some(Self {
            name: text("name")?,
            version: text("version")?,
            source: text("source"),
            dependencies: names.map(str::to_owned).collect(),
        })
    }

    /// Whether it comes from a registry, so that its files never change.
    pub(crate) fn is_from_registry(&self) -> bool {
        let source = self.source.as_deref().unwrap_or_default();
        source.starts_with("registry+") || source.starts_with("sparse+")
    }

    /// What a Cargo.toml says to depend on exactly this package: the lines of a table.
    ///
    /// `None` for one in a folder: the lock file does not say which.
    pub(crate) fn requirement(&self) -> Option<String> {
        const CRATES_IO: [&str; 2] = [
            "registry+https://github.com/rust-lang/crates.io-index",
            "sparse+https://index.crates.io/",
        ];
        let source = self.source.as_deref()?;
        let mut lines = format!("package = {:?}\ndefault-features = false\n", self.name);
        let mut set = |key: &str, value: &str| lines += &format!("{key} = {value:?}\n");
        if let Some(git) = source.strip_prefix("git+") {
            let url = git.split('#').next().unwrap_or(git);
            let (url, query) = url.split_once('?').unwrap_or((url, ""));
            set("git", url);
            if let Some((key @ ("branch" | "tag" | "rev"), value)) = query.split_once('=') {
                set(key, value);
            }
        } else {
            set("version", &format!("={}", self.version));
            if !CRATES_IO.contains(&source) {
                let index = source.strip_prefix("registry+").unwrap_or(source);
                set("registry-index", index);
            }
        }
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["eryx", "middle 1.0.0", "eryx-runtime 0.5.0"]

[[package]]
name = "eryx"
version = "0.5.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "00"

[[package]]
name = "eryx-runtime"
version = "0.5.0"
source = "sparse+https://mirror.example/index/"

[[package]]
name = "eryx-runtime"
version = "0.14.0"
source = "git+https://example.org/x?branch=main#0123"

[[package]]
name = "middle"
version = "1.0.0"
dependencies = ["app", "eryx-runtime 0.14.0 (git+https://example.org/x?branch=main)"]

[[package]]
name = "middle"
version = "2.0.0"

[[package]]
name = "other"
version = "0.1.0"
dependencies = ["middle 2.0.0"]
"#;

    fn found(lock: &Lock, root: &str, name: &str) -> Vec<(String, bool)> {
        let root = lock.package(root, None);
        let found = lock.dependencies(root, name).into_iter();
        found
            .map(|found| (found.package.version.clone(), found.direct))
            .collect()
    }

    #[test]
    fn dependencies_are_those_of_the_consumer() {
        let lock = Lock::parse(LOCK).unwrap();
        let both = [("0.5.0".to_owned(), true), ("0.14.0".to_owned(), false)];
        assert_eq!(found(&lock, "app", "eryx-runtime"), both);
        assert_eq!(found(&lock, "app", "eryx"), [("0.5.0".to_owned(), true)]);
        assert_eq!(found(&lock, "other", "eryx-runtime"), []);
        assert_eq!(found(&lock, "nobody", "eryx-runtime").len(), 2);
        assert!(lock.package("middle", Some("2.0.0")).is_some());
        assert!(lock.package("middle", Some("3.0.0")).is_none());
    }

    #[test]
    fn a_locked_package_can_be_asked_for_exactly() {
        let lock = Lock::parse(LOCK).unwrap();
        let said = |name: &str, version: &str| {
            let package = lock.package(name, Some(version)).unwrap();
            package.requirement()
        };
        let eryx = said("eryx", "0.5.0").unwrap();
        assert_eq!(
            eryx,
            "package = \"eryx\"\ndefault-features = false\nversion = \"=0.5.0\"\n"
        );
        let mirrored = said("eryx-runtime", "0.5.0").unwrap();
        assert!(
            mirrored.contains("registry-index = \"sparse+https://mirror.example/index/\""),
            "{mirrored}"
        );
        let git = said("eryx-runtime", "0.14.0").unwrap();
        assert!(git.contains("git = \"https://example.org/x\""), "{git}");
        assert!(git.contains("branch = \"main\""), "{git}");
        assert!(!git.contains("version"), "{git}");
        assert_eq!(said("app", "0.1.0"), None);
    }

    #[test]
    fn this_repository_s_own_lock_file_is_read() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
        let lock = Lock::parse(text).unwrap();
        let runtimes = found(&lock, "eryx-preinit-build", "eryx-runtime");
        assert!(runtimes.iter().all(|(_, direct)| *direct), "{runtimes:?}");
        assert!(runtimes.len() >= 2, "{runtimes:?}");
    }
}
