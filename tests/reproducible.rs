//! The same inputs give the same bytes, whoever builds them, where, and when.

mod process;
mod runtime;
mod skip;

use process::Build;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[test]
#[ignore = "started by the other tests in a process of its own"]
fn child() {
    process::child();
}

/// A package whose import keeps what it can find: times, names, order, numbers.
const CURIOUS: &str = r#"
import json, os, random, sys, tempfile, time, uuid, locale, datetime
KEPT = [time.time(), time.monotonic_ns(), time.localtime(), time.tzname, uuid.uuid1(), uuid.uuid4(),
        random.random(), os.urandom(8), hash("x"), {object(): 1, "a": 2}, {"b", "a", "c"}, id(object()),
        dict(os.environ), sys.path, locale.getlocale(), datetime.datetime.now(), os.getcwd(),
        sys.getfilesystemencoding(), os.listdir("/site-packages"), tempfile.mkdtemp()]
for root, folders, files in os.walk("/site-packages"):
    for name in files + folders:
        KEPT.append((root, name, os.stat(os.path.join(root, name))))
for index in range(20):
    path = f"/tmp/{index}"
    with open(path, "w") as file:
        file.write("x")
    KEPT.append(os.stat(path))
    if index % 3 == 0:
        os.unlink(path)
KEPT.append([(entry.name, entry.inode()) for entry in os.scandir("/tmp")])
from other import names
"#;

/// What every machine gets from `prepare`, whatever the opt-level: SHA-256.
const GOLDEN: &str = "783cd9bb401134defd15fea305b716a91fe65d6b62cdd9f6e33b2e06ecb92654";

/// The package and the libraries in `folder`, copied in another order, with other
/// times, for `Build::user` to read.
fn prepare(folder: &Path, reverse: bool) -> Build {
    let site_packages = folder.join("site-packages");
    let mut files = vec![
        ("curious.py".to_owned(), CURIOUS.to_owned()),
        ("other/__init__.py".to_owned(), String::new()),
    ];
    for name in ["names", "b", "a", "z"] {
        files.push((format!("other/{name}.py"), format!("NAME = {name:?}\n")));
    }
    if reverse {
        files.reverse();
        // As another installer leaves it.
        files.push((
            "other/__pycache__/a.cpython-314.pyc".to_owned(),
            "stale".to_owned(),
        ));
    }
    let real = runtime::folder("0.14.0");
    let libraries = folder.join("runtime");
    for part in ["libs", "prebuilt"] {
        fs::create_dir_all(libraries.join(part)).unwrap();
        for entry in fs::read_dir(real.join(part)).unwrap().flatten() {
            fs::copy(entry.path(), libraries.join(part).join(entry.file_name())).unwrap();
        }
    }
    for (index, (name, content)) in files.into_iter().enumerate() {
        let path = site_packages.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let age = Duration::from_secs(if reverse { 86_400 * 700 } else { 10 } + index as u64);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    let mut build = Build::new(&libraries, folder);
    build.imports = vec!["json", "curious"];
    build.site_packages = Some(site_packages);
    build
}

/// Has somebody else build: only root can arrange that.
#[cfg(unix)]
fn as_another_user(build: &mut Build, folder: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    const NOBODY: u32 = 65_534;
    if fs::metadata(folder).unwrap().uid() != 0 {
        skip::skipped("a build by another user", "only root may choose one");
        return;
    }
    let binary = folder.join("test-binary");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    fs::create_dir_all(&build.out).unwrap();
    for path in [folder, &build.out] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    build.binary = Some(binary);
    build.user = Some(NOBODY);
}

#[cfg(not(unix))]
fn as_another_user(_: &mut Build, _: &Path) {
    skip::skipped("a build by another user", "it is chosen on Unix only");
}

#[test]
fn the_bytes_depend_on_the_inputs_only() {
    let one = tempfile::tempdir().unwrap();
    let mut first = prepare(one.path(), false);
    first.shell = "umask 022".to_owned();
    first.variables = [
        ("TZ", "UTC"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("HOSTNAME", "here"),
        ("RAYON_NUM_THREADS", "1"),
        ("HOME", "/nowhere"),
        ("USER", "somebody"),
        ("PYTHONHASHSEED", "1"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    let (expected, cached) = first.run().built();
    assert!(!cached);
    assert_eq!(
        expected, GOLDEN,
        "another machine, or another opt-level, got other bytes; if what is built was \
         changed on purpose, this is the new value"
    );

    // Linked component and code are there, the snapshot is not.
    fs::remove_dir_all(first.cache.join("snapshot")).unwrap();
    let mut warm = first.clone();
    warm.out = one.path().join("other-out");
    assert_eq!(warm.run().built(), (expected.clone(), false), "warm cache");

    let two = tempfile::Builder::new()
        .prefix("a much longer name, with spaces ")
        .tempdir()
        .unwrap();
    let mut second = prepare(two.path(), true);
    as_another_user(&mut second, two.path());
    second.shell = "umask 077; cd /".to_owned();
    second.variables = [
        ("TZ", "Asia/Kathmandu"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("HOSTNAME", "elsewhere"),
        ("RAYON_NUM_THREADS", "3"),
        ("HOME", "/somewhere/else"),
        ("USER", "somebody-else"),
        ("PYTHONHASHSEED", "2"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    assert_eq!(
        second.run().built(),
        (expected, false),
        "another folder, user, time, zone, locale, umask, order and number of threads"
    );
}

#[test]
#[ignore = "takes minutes: 20 builds, nothing cached"]
fn twenty_cold_builds_have_one_hash() {
    let hashes: std::collections::BTreeSet<String> = (0..20)
        .map(|index| {
            let dir = tempfile::tempdir().unwrap();
            let (hash, cached) = prepare(dir.path(), index % 2 == 0).run().built();
            assert!(!cached);
            println!("{hash}");
            hash
        })
        .collect();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
}
