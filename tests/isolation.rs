//! What a package sees, and can do, while it is imported at build time: tried
//! from inside Python.

use eryx_preinit_build::{Builder, Stage};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

mod runtime;

/// In every path of a build here, and nowhere else.
const MARKER: &str = "whereabouts-4a1f";

/// A builder with a module `probe` in its site-packages.
fn builder(dir: &Path, code: &str) -> Builder {
    let site_packages = dir.join(MARKER).join("site-packages");
    let out = dir.join(MARKER).join("out");
    fs::create_dir_all(&site_packages).unwrap();
    fs::create_dir_all(&out).unwrap();
    fs::write(site_packages.join("probe.py"), code).unwrap();
    let mut builder = Builder::new(&out, runtime::folder("0.14.0"));
    builder.config.imports = vec!["probe".to_owned()];
    builder.config.site_packages = Some(site_packages);
    builder.config.cache_dir = Some(runtime::cache());
    builder
}

#[track_caller]
fn report(builder: &Builder) -> String {
    match builder.build() {
        Err(error) if error.stage() == Stage::Import => format!("{:?}", error.report()),
        Err(other) => panic!("another stage failed: {other:?}"),
        Ok(_) => panic!("it built"),
    }
}

/// Raises unless each attempt fails with an OSError, and lists what is there.
const PROBE: &str = r#"
import os, sys

assert sorted(os.environ) == [
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED"
], sorted(os.environ)

def denied(attempt):
    try:
        got = attempt()
    except OSError:
        return
    raise AssertionError(f"{attempt.__code__.co_consts} gave {got!r}")

site = "/site-packages"
denied(lambda: open(site + "/new", "w"))
denied(lambda: open(site + "/probe.py", "a"))
denied(lambda: open(site + "/probe.py", "r+"))
denied(lambda: open("/python-stdlib/os.py", "w"))
denied(lambda: os.truncate(site + "/probe.py", 0))
denied(lambda: os.mkdir(site + "/new"))
denied(lambda: os.rename(site + "/probe.py", site + "/other.py"))
denied(lambda: os.rename(site + "/probe.py", "/tmp/probe.py"))
denied(lambda: os.link(site + "/probe.py", "/tmp/probe.py"))
denied(lambda: os.symlink("/etc", "/tmp/etc"))
denied(lambda: os.symlink("..", "/tmp/up"))
denied(lambda: os.unlink(site + "/probe.py"))
denied(lambda: os.rmdir(site + "/package"))
denied(lambda: os.utime(site + "/probe.py", (1, 1)))

for path in ("/", "/etc", "/proc/self", "/dev", "/home", "..", "/site-packages/..",
             "/site-packages/../..", "/tmp/..", "/tmp/../../etc", "/python-stdlib/../site-packages/../.."):
    denied(lambda: os.listdir(path))
for path in ("/etc/passwd", "/site-packages/../../etc/passwd", "/tmp/../etc/passwd",
             "/site-packages/package/../../../../../../etc/passwd", "/dev/null", "/proc/self/environ"):
    denied(lambda: open(path))
    assert not os.path.exists(path), path

assert sys.stdin is None or sys.stdin.read() == ""
assert os.listdir("/tmp") == []
for attempt in (lambda: os.getlogin(), lambda: os.getuid() or 1 / 0, lambda: os.fork(), lambda: os.system("ls")):
    try:
        got = attempt()
    except (OSError, AttributeError, ZeroDivisionError):
        continue
    raise AssertionError(f"the host gave {got!r}")

import socket, subprocess, threading
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", LISTENING), timeout=1),
    lambda: socket.create_connection(("localhost", LISTENING), timeout=1),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", LISTENING)),
    lambda: socket.socket().bind(("127.0.0.1", 0)),
    lambda: subprocess.run(["ls"]),
    lambda: threading.Thread(target=print).start(),
):
    try:
        got = attempt()
    except Exception:
        continue
    raise AssertionError(f"{attempt.__code__.co_names} gave {got!r}")

for root, folders, files in os.walk(site):
    for name in folders + files:
        path = os.path.join(root, name)
        stat = os.lstat(path)
        assert stat == os.stat(path), path
        assert (stat.st_mtime, stat.st_atime, stat.st_ctime, stat.st_nlink) == (EPOCH,) * 3 + (1,), stat
        assert not os.path.islink(path), path
        assert os.path.realpath(path) == path, path
seen = sorted(os.listdir(site))
assert seen == SEEN, seen
assert sorted(os.listdir(site + "/package")) == ["__init__.py", "__pycache__"]
# Not what the package brought.
assert open(site + "/package/__pycache__/__init__.cpython-314.pyc", "rb").read(4) == b"+\x0e\r\n"
for name in ("absolute", "outside", "dangling", "pipe"):
    denied(lambda: open(site + "/" + name))
    denied(lambda: os.readlink(site + "/" + name))
    assert not os.path.exists(site + "/" + name), name
"#;

#[test]
fn a_package_sees_its_mounts_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let links = cfg!(unix);
    let seen = if links {
        r#"["__pycache__", "inside", "package", "probe.py"]"#
    } else {
        r#"["__pycache__", "package", "probe.py"]"#
    };
    let code = format!(
        "MAGIC = b'+\\x0e\\r\\n'\nEPOCH = 1735689600\nLISTENING = {port}\nSEEN = {seen}\n{PROBE}"
    );
    let builder = builder(dir.path(), &code);
    let site_packages = builder.config.site_packages.clone().unwrap();
    let package = site_packages.join("package");
    fs::create_dir_all(package.join("__pycache__")).unwrap();
    fs::write(package.join("__init__.py"), "").unwrap();
    fs::write(
        package.join("__pycache__/__init__.cpython-314.pyc"),
        "not bytecode",
    )
    .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let secret = dir.path().join(MARKER).join("secret.txt");
        fs::write(&secret, "secret").unwrap();
        symlink(&secret, site_packages.join("absolute")).unwrap();
        symlink("../secret.txt", site_packages.join("outside")).unwrap();
        symlink("nowhere", site_packages.join("dangling")).unwrap();
        symlink("package", site_packages.join("inside")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"not-unicode-\xff");
        fs::write(site_packages.join(odd), "").unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(site_packages.join("pipe"))
            .status();
        assert!(made.unwrap().success());
    }
    let artifacts = builder.build().unwrap();
    assert!(
        listener.set_nonblocking(true).is_ok() && listener.accept().is_err(),
        "somebody connected"
    );

    // Nothing of this machine is in what the program will carry.
    let wasm = fs::read(&artifacts.component.path).unwrap();
    let mut words = vec![MARKER.to_owned(), env!("CARGO_MANIFEST_DIR").to_owned()];
    for variable in [
        "HOME",
        "USER",
        "LOGNAME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "PWD",
    ] {
        words.extend(machine(variable));
    }
    words.extend(fs::read_to_string("/etc/hostname").ok());
    for word in words {
        let word = word.trim();
        // Such a word is in CPython itself: `root` is also a logger.
        if word.len() < 6 || word.starts_with("/root") && word.len() < 7 {
            eprintln!("not looked for, being too common a word: {word:?}");
            continue;
        }
        let found = wasm.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!found, "the snapshot holds {word:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "to look for it in a snapshot")]
fn machine(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[test]
fn tmp_works_is_bounded_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let code = r#"
import os, tempfile
assert tempfile.gettempdir() == "/tmp"
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "a")
    with open(path, "w") as file:
        file.write("hello")
    with open(path, "a") as file:
        file.write(", world")
    with open(path, "r+b") as file:
        file.seek(2)
        file.write(b"LL")
        file.truncate(6)
    first = os.stat(path)
    assert (first.st_size, first.st_mtime) == (6, 1735689600), first
    os.mkdir(folder + "/sub")
    os.rename(path, folder + "/sub/b")
    with open(folder + "/sub/b") as file:
        assert file.read() == "heLLo,"
    assert os.stat(folder + "/sub/b").st_ino == first.st_ino
    os.unlink(folder + "/sub/b")
    with open(folder + "/c", "x"):
        pass
    assert os.stat(folder + "/c").st_ino != first.st_ino
assert os.listdir("/tmp") == []
with tempfile.NamedTemporaryFile(prefix="left-behind-", delete=False) as file:
    file.write(b"x")
"#;
    builder(dir.path(), code).build().unwrap();
    // The folder behind /tmp was this crate's own, below OUT_DIR.
    let own = dir.path().join(MARKER).join("out/eryx-preinit");
    let left: Vec<_> = fs::read_dir(&own)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(left.iter().any(|name| name == "stamps"), "{left:?}");
    let scratch: Vec<_> = left
        .iter()
        .filter(|n| n.starts_with(".eryx-preinit-"))
        .collect();
    assert_eq!(scratch, [""; 0], "what was /tmp");

    for greedy in [
        "with open('/tmp/a', 'wb') as file:\n    for _ in range(65):\n        file.write(bytes(1 << 20))\n",
        "with open('/tmp/a', 'wb') as file:\n    file.truncate(1 << 40)\n",
        "import os\nfor i in range(20000):\n    os.mkdir(f'/tmp/{i}')\n",
    ] {
        let text = report(&builder(dir.path(), greedy));
        // The libc of runtime 0.14 has one code for what a stream fails with.
        let full = ["No space left on device", "I/O error"];
        assert!(full.iter().any(|error| text.contains(error)), "{text}");
        assert!(text.contains("64 MiB that /tmp holds"), "{text}");
    }
}

#[test]
fn c_code_that_never_returns_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(dir.path(), "9 ** 9 ** 9\n");
    // Start-up has the same limit, and this machine may be slow.
    builder.config.timeout = Duration::from_secs(12);
    let started = Instant::now();
    let text = report(&builder);
    assert!(text.contains("longer than 12s"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(100));
}

#[test]
fn recursion_without_end_is_an_error_of_the_guest_only() {
    let dir = tempfile::tempdir().unwrap();
    // In Python, which has a limit, and in C, where the stack is one.
    let text = report(&builder(dir.path(), "def f():\n    f()\nf()\n"));
    assert!(text.contains("RecursionError"), "{text}");
    let mut builder = builder(dir.path(), "import json\njson.loads('[' * 1000000)\n");
    assert!(report(&builder).contains("RecursionError: Stack overflow"));
    // Runtime 0.5 does not watch its stack.
    builder.config.runtime = Some(runtime::folder("0.5.0"));
    let text = report(&builder);
    assert!(text.contains("used up the stack"), "{text}");
    assert!(text.contains("recursion without end"), "{text}");
}

#[test]
fn a_flood_of_output_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let code = "import sys\nfor _ in range(100):\n    print('x' * 100000)\n\
                sys.stderr.write('y' * 10 ** 7)\nraise ValueError('z' * 10 ** 7)\n";
    let text = report(&builder(dir.path(), code));
    assert!(text.len() < 100 << 10, "{} bytes", text.len());
    assert!(text.contains("left out"), "{} bytes", text.len());
    assert!(text.contains("(it printed more than is kept)"));
}

/// More than Wasmtime lets one call hand over by default.
#[test]
fn a_large_memory_is_captured() {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder(dir.path(), "KEPT = bytearray(130 << 20)\nKEPT[-1] = 7\n");
    let artifacts = builder.build().unwrap();
    // What is zero takes no space.
    assert!(artifacts.component.bytes < 30_000_000);
}
