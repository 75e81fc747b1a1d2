//! Projects of every back end, and what is taken of them.

use super::view::{Entry, join};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Files in memory.
pub(super) struct Memory(pub(super) BTreeMap<String, String>);

impl Files for Memory {
    fn list(&self, folder: &str) -> Vec<Entry> {
        let prefix = join(folder, "x").strip_suffix('x').unwrap().to_owned();
        let below = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: BTreeSet<(String, bool)> = below
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => (name.to_owned(), true),
                None => (rest.to_owned(), false),
            })
            .collect();
        let entry = |(name, is_folder)| Entry { name, is_folder };
        names.into_iter().map(entry).collect()
    }

    fn is_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn is_folder(&self, path: &str) -> bool {
        path.is_empty()
            || self
                .0
                .keys()
                .any(|name| name.starts_with(&format!("{path}/")))
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes())
    }
}

/// Files by their paths; those without a content are empty.
fn layout(files: &[(&str, &str)], empty: &[&str]) -> Result<Layout, String> {
    let empty = empty.iter().map(|path| (*path, ""));
    let files = files.iter().copied().chain(empty);
    let owned = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    read(&Memory(owned.collect()))
}

/// `from → to` of each part.
fn parts(files: &[(&str, &str)], empty: &[&str]) -> Vec<String> {
    let layout = layout(files, empty).unwrap();
    let shown = layout
        .parts
        .iter()
        .map(|part| format!("{} → {}", part.from, part.to));
    shown.collect()
}

/// With `[build-system]` of this back end before the rest.
fn with_backend(backend: &str, rest: &str) -> String {
    format!("{rest}\n[build-system]\nrequires = []\nbuild-backend = '{backend}'\n")
}

#[track_caller]
fn taken(pyproject: &str, empty: &[&str], expected: &[&str]) {
    assert_eq!(
        parts(&[("pyproject.toml", pyproject)], empty),
        expected,
        "{pyproject}"
    );
}

#[test]
fn setuptools_by_itself() {
    let project = "[project]\nname = 'my-app'\n";
    taken(
        project,
        &[
            "my_app/__init__.py",
            "tests/__init__.py",
            "setup.py",
            "one.py",
            "docs/conf.py",
        ],
        &["my_app → my_app", "one.py → one.py"],
    );
    // Namespaces in `src`, and nothing from beside it.
    taken(
        project,
        &[
            "src/ns/deep/mod.py",
            "src/one.py",
            "src/data/x.txt",
            "src/a.egg-info/x",
            "other/__init__.py",
        ],
        &["src/ns → ns", "src/one.py → one.py"],
    );
    taken(
        project,
        &["lib/deep/__init__.py", "docs/conf.py"],
        &["lib/deep → deep"],
    );
    taken(
        project,
        &["ns/deep/__init__.py", "docs/conf.py"],
        &["ns → ns"],
    );
    let error = layout(&[("pyproject.toml", project)], &["tests/__init__.py"]).unwrap_err();
    assert!(error.contains("it holds no package"), "{error}");
}

#[test]
fn setuptools_in_pyproject() {
    taken(
        "[tool.setuptools]\npackages = ['app', 'app.sub', 'ns.pkg']\npackage-dir = {'' = 'code', \
         'app.sub' = 'elsewhere'}\npy-modules = ['one']\n",
        &[
            "code/app/__init__.py",
            "elsewhere/x.py",
            "code/ns/pkg/__init__.py",
            "code/one.py",
            "x.py",
        ],
        &[
            "code/app → app",
            "code/ns/pkg → ns/pkg",
            "code/one.py → one.py",
            "elsewhere → app/sub",
        ],
    );
    taken(
        "[tool.setuptools.packages.find]\nwhere = ['a', 'b']\nexclude = ['tests*']\n",
        &[
            "a/one/__init__.py",
            "a/tests/__init__.py",
            "b/two/x.py",
            "b/three/__init__.py",
        ],
        &["a/one → one", "b/three → three", "b/two → two"],
    );
    taken(
        "[tool.setuptools.packages.find]\nnamespaces = false\ninclude = ['tools*', 'ns.*']\n",
        &["tools/__init__.py", "other/__init__.py"],
        &["tools → tools"],
    );
    taken(
        "[tool.setuptools]\npackage-dir = {'' = 'source'}\n",
        &["source/deep/x.py", "other/__init__.py"],
        &["source/deep → deep"],
    );
}

#[test]
fn setuptools_in_its_own_files() {
    let cfg = "[options]\npackage_dir =\n    =lib\npackages = find_namespace:\npy_modules = one\n\
               [options.packages.find]\nwhere = lib\nexclude =\n  x*\n";
    assert_eq!(
        parts(
            &[("setup.cfg", cfg)],
            &["lib/ns/a.py", "lib/x1/__init__.py", "lib/one.py"]
        ),
        ["lib/ns → ns", "lib/one.py → one.py"]
    );
    assert_eq!(
        parts(
            &[("setup.cfg", "[options]\npackages =\n  app\n  app.sub\n")],
            &[
                "app/__init__.py",
                "app/sub/__init__.py",
                "other/__init__.py"
            ]
        ),
        ["app → app"]
    );
    let py = "setup(package_dir={'': 'lib'}, packages=['hyaml', '_hyaml'])";
    assert_eq!(
        parts(
            &[("setup.py", py)],
            &[
                "hyaml/_h.pyx",
                "lib/hyaml/__init__.py",
                "lib/_hyaml/__init__.py"
            ]
        ),
        ["lib/_hyaml → _hyaml", "lib/hyaml → hyaml"]
    );
    let py = "setup(packages=find_packages('code', exclude=['no']))";
    assert_eq!(
        parts(
            &[("setup.py", py)],
            &[
                "code/app/__init__.py",
                "code/no/__init__.py",
                "x/__init__.py"
            ]
        ),
        ["code/app → app"]
    );
    // What is not written out is looked for.
    let py = "setup(packages=get_packages(), py_modules=[n for n in names])";
    assert_eq!(
        parts(&[("setup.py", py)], &["app/__init__.py"]),
        ["app → app"]
    );
}

#[test]
fn a_source_distribution_of_setuptools_lists_its_tops() {
    let info = (
        "PKG-INFO",
        "Metadata-Version: 2.1\nName: my-app\nVersion: 1.0\n",
    );
    let tops = (
        "lib/my_app.egg-info/top_level.txt",
        "_speed\nmy_app\nns\none\n",
    );
    let layout = layout(
        &[
            info,
            tops,
            ("lib/my_app.egg-info/entry_points.txt", "[g]\na = b:c\n"),
        ],
        &[
            "my_app/_c.pyx",
            "lib/my_app/__init__.py",
            "lib/one.py",
            "lib/ns/a.py",
            "lib/other/__init__.py",
        ],
    )
    .unwrap();
    let taken: Vec<&str> = layout.parts.iter().map(|part| part.from.as_str()).collect();
    assert_eq!(taken, ["lib/my_app", "lib/ns", "lib/one.py"]);
    assert!(layout.notes[0].contains("`_speed`"), "{:?}", layout.notes);
    assert_eq!(layout.dist_info.as_deref(), Some("my_app-1.0.dist-info"));
    let made: BTreeMap<_, _> = layout.made.into_iter().collect();
    assert_eq!(made["my_app-1.0.dist-info/METADATA"], info.1.as_bytes());
    assert_eq!(
        made["my_app-1.0.dist-info/entry_points.txt"],
        b"[g]\na = b:c\n"
    );
    assert_eq!(
        made["my_app-1.0.dist-info/top_level.txt"],
        b"my_app\nns\none\n"
    );
}

#[test]
fn hatch() {
    let build = |rest: &str| {
        with_backend(
            "hatchling.build",
            &format!("[project]\nname = 'My-App'\n{rest}"),
        )
    };
    let wheel = "[tool.hatch.build.targets.wheel]\n";
    taken(
        &build(""),
        &["src/my_app/__init__.py", "hatch_build.py", "x.py"],
        &["src/my_app → my_app"],
    );
    taken(
        &build(""),
        &["my_app.py", "other.py"],
        &["my_app.py → my_app.py"],
    );
    taken(
        &build(""),
        &["ns/my_app/__init__.py", "tests/__init__.py"],
        &["ns → ns"],
    );
    taken(
        &build(&format!("{wheel}packages = ['code/one', 'two']\n")),
        &["code/one/a.py", "two/__init__.py", "my_app/__init__.py"],
        &["code/one → one", "two → two"],
    );
    taken(
        &build(&format!(
            "{wheel}only-include = ['code/a', 'lib']\nsources = {{ 'code' = 'ns', 'lib' = '' }}\n"
        )),
        &["code/a/__init__.py", "lib/b.py", "lib/c/d.py"],
        &["code/a → ns/a", "lib → "],
    );
    taken(
        &build(
            "[tool.hatch.build]\ninclude = ['/src/a/**/*.py', 'b*.py']\nsources = ['src']\nexclude = ['b2.py']\n",
        ),
        &["src/a/x.py", "b1.py", "b2.py", "c.py"],
        &["b1.py → b1.py", "src/a → a"],
    );
    taken(
        &build(&format!(
            "{wheel}packages = ['a']\n{}'d.txt' = 'a/d.txt'\n",
            "[tool.hatch.build.targets.wheel.force-include]\n"
        )),
        &["a/__init__.py", "d.txt"],
        &["a → a", "d.txt → a/d.txt"],
    );
}

#[test]
fn flit_and_poetry() {
    let flit = with_backend(
        "flit_core.buildapi",
        "[project]\nname = 'x'\n[tool.flit.module]\nname = 'ns.mod'\n",
    );
    taken(
        &flit,
        &["src/ns/mod/__init__.py", "x.py"],
        &["src/ns/mod → ns/mod"],
    );
    let flit = with_backend("flit_core.buildapi", "[project]\nname = 'a-b'\n");
    taken(&flit, &["a_b.py", "other.py"], &["a_b.py → a_b.py"]);

    let poetry = with_backend(
        "poetry.core.masonry.api",
        "[tool.poetry]\nname = 'x'\npackages = [{ include = 'a', from = 'lib' }, { include = 'b/**/*.py' }, \
         { include = 'c', to = 'ns' }, { include = 'tests', format = 'sdist' }]\n",
    );
    taken(
        &poetry,
        &[
            "lib/a/__init__.py",
            "b/x.py",
            "c/y.py",
            "tests/z.py",
            "x/__init__.py",
        ],
        &["b → b", "c → ns/c", "lib/a → a"],
    );
    let poetry = with_backend(
        "poetry.core.masonry.api",
        "[tool.poetry]\nname = 'my.app'\n",
    );
    taken(
        &poetry,
        &["src/my_app/__init__.py", "one.py"],
        &["src/my_app → my_app"],
    );
}

#[test]
fn pdm_and_uv() {
    let pdm = with_backend(
        "pdm.backend",
        "[project]\nname = 'x'\n[tool.pdm.build]\npackage-dir = 'code'\n",
    );
    taken(
        &pdm,
        &["code/a/__init__.py", "code/b.py", "c.py"],
        &["code/a → a", "code/b.py → b.py"],
    );
    let pdm = with_backend(
        "pdm.backend",
        "[project]\nname = 'x'\n[tool.pdm.build]\nincludes = ['a']\n",
    );
    taken(&pdm, &["a/x.py", "b/__init__.py"], &["a → a"]);

    let uv = with_backend("uv_build", "[project]\nname = 'My-App'\n");
    taken(
        &uv,
        &["src/my_app/__init__.py", "x.py"],
        &["src/my_app → my_app"],
    );
    let uv = with_backend(
        "uv_build",
        "[project]\nname = 'x'\n[tool.uv.build-backend]\nmodule-root = ''\nmodule-name = ['a', 'ns.b']\n",
    );
    taken(
        &uv,
        &["a/__init__.py", "ns/b/__init__.py", "c.py"],
        &["a → a", "ns/b → ns/b"],
    );
}

#[test]
fn back_ends_that_compile_and_others() {
    let maturin = with_backend(
        "maturin",
        "[project]\nname = 'x'\n[tool.maturin]\npython-source = 'python'\nmodule-name = 'app._native'\n",
    );
    let files = ["python/app/__init__.py", "src/lib.rs", "Cargo.toml"];
    taken(&maturin, &files, &["python/app → app"]);
    let layout = layout(&[("pyproject.toml", &maturin)], &files).unwrap();
    assert!(
        layout.warnings[0].contains("`app._native`"),
        "{:?}",
        layout.warnings
    );
    let maturin = with_backend("maturin", "[project]\nname = 'app'\n");
    taken(&maturin, &["app/__init__.py", "src/lib.rs"], &["app → app"]);

    let scikit = with_backend(
        "scikit_build_core.build",
        "[project]\nname = 'x'\n[tool.scikit-build]\nwheel.packages = ['python/a']\n",
    );
    taken(&scikit, &["python/a/__init__.py"], &["python/a → a"]);
    // One of the project's own, around a known one; and one that nobody knows.
    let own = "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'own'\nbackend-path = ['.']\n\
               [project]\nname = 'app'\n";
    taken(own, &["app/__init__.py", "own.py"], &["app → app"]);
    let meson = with_backend("mesonpy", "[project]\nname = 'app'\n");
    taken(
        &meson,
        &["app/__init__.py", "tests/__init__.py"],
        &["app → app"],
    );
}

#[test]
fn what_leads_out_or_is_not_there_is_said() {
    let found = layout(
        &[(
            "pyproject.toml",
            &with_backend(
                "hatchling.build",
                "[tool.hatch.build]\npackages = ['a', '../b', 'c']\n",
            ),
        )],
        &["a/__init__.py"],
    )
    .unwrap();
    assert_eq!(found.parts.len(), 1);
    assert!(
        found.warnings[0].contains("`../b` is not taken: it leads out"),
        "{:?}",
        found.warnings
    );
    assert!(
        found.warnings[1].contains("`c`, which the project's configuration names"),
        "{:?}",
        found.warnings
    );
    let error = layout(&[("pyproject.toml", "[project\n")], &["a.py"]).unwrap_err();
    assert!(error.contains("no TOML: line 1"), "{error}");
}

fn metadata(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let layout = layout(files, &[]).unwrap();
    let made = layout.made.into_iter();
    made.map(|(path, text)| (path, String::from_utf8(text).unwrap()))
        .collect()
}

#[test]
fn metadata_says_what_the_project_says() {
    let pyproject = "[project]\nname = 'My.App'\nversion = '1.0'\nrequires-python = '>=3.9'\n\
         dependencies = ['a>=1']\nscripts = { run = 'app:main' }\n\
         [project.optional-dependencies]\nfast = ['b; python_version > \"3\"']\n\
         [project.entry-points.'g.h']\np = 'app:P'\n";
    let made = metadata(&[("pyproject.toml", pyproject), ("app.py", "")]);
    assert_eq!(
        made["my_app-1.0.dist-info/METADATA"],
        "Metadata-Version: 2.1\nName: My.App\nVersion: 1.0\nRequires-Python: >=3.9\n\
         Requires-Dist: a>=1\nProvides-Extra: fast\n\
         Requires-Dist: b; (python_version > \"3\") and extra == 'fast'\n"
    );
    assert_eq!(
        made["my_app-1.0.dist-info/entry_points.txt"],
        "[console_scripts]\nrun = app:main\n\n[g.h]\np = app:P\n\n"
    );
    let cfg = "[metadata]\nname = app\nversion = attr: app.__version__\n\
               [options.entry_points]\ng =\n  a = b:c\n";
    let made = metadata(&[
        ("setup.cfg", cfg),
        ("app/__init__.py", "__version__ = '2'\n"),
    ]);
    assert!(made["app-2.dist-info/METADATA"].contains("Version: 2\n"));
    assert_eq!(made["app-2.dist-info/entry_points.txt"], "[g]\na = b:c\n\n");
    let py = "setup(name='app', version='3', entry_points={'g': ['a=b:c']})";
    let made = metadata(&[("setup.py", py), ("app.py", "")]);
    assert_eq!(made["app-3.dist-info/entry_points.txt"], "[g]\na = b:c\n\n");
}

#[test]
fn versions_are_found_where_back_ends_find_them() {
    let dynamic = "[project]\nname = 'app'\ndynamic = ['version']\n";
    let app = |text: &'static str| ("app/__init__.py", text);
    for (tool, file) in [
        (
            "[tool.setuptools.dynamic]\nversion = { attr = 'app.about.V' }\n",
            ("app/about.py", "V = '7'\n"),
        ),
        (
            "[tool.setuptools.dynamic]\nversion = { file = ['V'] }\n",
            ("V", "7\n"),
        ),
        (
            "[tool.hatch.version]\npath = 'app/about.py'\n",
            ("app/about.py", "__version__ = 'v7'\n"),
        ),
        (
            "[build-system]\nbuild-backend = 'flit_core.buildapi'\n",
            app("'''doc'''\n__version__ = '7'\n"),
        ),
        ("", ("app.egg-info/PKG-INFO", "Name: app\nVersion: 7\n")),
        ("", ("src/app.egg-info/PKG-INFO", "Name: app\nVersion: 7\n")),
        ("", ("setup.py", "setup(version='7')")),
    ] {
        let made = metadata(&[
            ("pyproject.toml", &format!("{dynamic}{tool}")),
            app(""),
            file,
        ]);
        assert!(
            made.contains_key("app-7.dist-info/METADATA"),
            "{tool}{file:?}: {made:?}"
        );
    }
    // Only the version control system knows.
    let scm = layout(&[("pyproject.toml", dynamic)], &["app/__init__.py"]).unwrap();
    assert_eq!(scm.made, []);
    assert!(
        scm.notes[0].contains("set `version` in `[project]`"),
        "{:?}",
        scm.notes
    );
}
