//! A program and its `python.cwasm` on another machine: a root folder that holds nothing
//! else but the C library.

use crate::prepared::BOTH;
use crate::skip::skipped;
use eryx_preinit::Snapshot;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Imports from all over the standard library, data of it, and a traceback's source lines.
const CODE: &str = "
import csv, decimal, email.message, importlib.resources, os, pkgutil, xml.etree.ElementTree
try:
    # Around what serves embedded files.
    os.open('/python-stdlib/csv.py', os.O_RDONLY)
    print('it is mounted')
except FileNotFoundError:
    print('class Dialect' in open('/python-stdlib/csv.py').read(), os.path.getsize('/python-stdlib/csv.py') > 9000)
print(csv.__file__, decimal.Decimal('0.1') * 3, len(list(pkgutil.iter_modules())) > 150)
print(importlib.resources.files('email').joinpath('architecture.rst').read_text()[:2])
import json, traceback
try:
    json.loads('{')
except ValueError:
    print('self.scan_once(s, idx)' in traceback.format_exc())
";

const PRINTS: &str = "True True\n/python-stdlib/csv.py 0.3 True\n:m\nTrue\n";

#[test]
fn nothing_is_needed_beside_it() {
    for runtime in BOTH {
        let root = tempfile::tempdir().unwrap();
        copy(
            &std::env::current_exe().unwrap(),
            root.path(),
            Path::new("/program"),
        );
        copy(runtime.native(), root.path(), Path::new("/python.cwasm"));
        for library in libraries() {
            copy(&library, root.path(), &library);
        }
        let Some(mut command) = in_root(root.path()) else {
            return;
        };
        let output = command
            .args(["/program", "--exact", "moved::in_the_empty_root"])
            .args(["--ignored", "--nocapture"])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(printed.contains(PRINTS), "{runtime:?}\n{printed}\n{stderr}");
    }
}

#[test]
#[ignore = "runs in an empty root, for `nothing_is_needed_beside_it`"]
fn in_the_empty_root() {
    // SAFETY: the test above put the file here.
    let python = unsafe { Snapshot::from_cwasm_file("/python.cwasm") };
    let mut sandbox = python.load().unwrap().sandbox().build_blocking().unwrap();
    let output = sandbox.execute_blocking(CODE).unwrap();
    println!("\n{}", output.stdout);
}

/// What this program is linked with, as `ldd` lists it.
fn libraries() -> Vec<std::path::PathBuf> {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(Into::into)
        .collect()
}

fn copy(from: &Path, root: &Path, to: &Path) {
    let to = root.join(to.strip_prefix("/").unwrap());
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// A command that runs another one in the folder `root`, as if there was nothing else; as
/// another user, where this one is not allowed to.
fn in_root(root: &Path) -> Option<Command> {
    let ways = [
        &["chroot"][..],
        &["unshare", "--user", "--map-root-user", "chroot"],
    ];
    for way in ways {
        let command = || {
            let mut words = way.iter().map(OsString::from);
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg(root);
            command
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command
        };
        let list = command().args(["/program", "--list"]).output();
        if list.is_ok_and(|output| output.status.success()) {
            return Some(command());
        }
    }
    skipped(
        "an empty root",
        "neither chroot nor a user namespace is allowed",
    );
    None
}
