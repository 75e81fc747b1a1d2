//! Builds that are killed, that run out of disk, that meet each other: what they
//! leave is right, or not there.

mod process;
mod runtime;

use process::{Build, Ended};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
#[cfg(unix)]
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

#[test]
#[ignore = "started by the other tests in a process of its own"]
fn child() {
    process::child();
}

fn build(folder: &Path) -> Build {
    Build::new(&runtime::folder("0.5.0"), folder)
}

/// Linked component and code from the cache that all tests share, so that a build
/// is short.
fn warm(build: &Build) {
    let shared = runtime::cache();
    let mut filler = build.clone();
    filler.cache = shared.clone();
    filler.out = build.out.with_file_name("filler");
    filler.run().built();
    for stage in ["fuse", "code", "verified"] {
        fs::create_dir_all(build.cache.join(stage)).unwrap();
        for entry in fs::read_dir(shared.join(stage)).unwrap().flatten() {
            let name = entry.file_name();
            if !name.to_string_lossy().starts_with('.') {
                fs::copy(entry.path(), build.cache.join(stage).join(name)).unwrap();
            }
        }
    }
}

/// Whether the name is one of a file being written.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with(".eryx-preinit-")
}

/// What the cache publishes is whole: it ends in its own length.
#[track_caller]
fn entries_are_whole(cache: &Path) {
    let kinds = [
        "fuse", "bytecode", "code", "snapshot", "verified", "native", "reuse",
    ];
    for kind in kinds {
        for entry in fs::read_dir(cache.join(kind)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if is_temporary(&path) {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let trailer = bytes.len().checked_sub(60).expect("a trailer");
            assert_eq!(&bytes[trailer..trailer + 8], b"eryxpre4", "{path:?}");
            let length = |at: usize| {
                let bytes = &bytes[trailer + at..trailer + at + 8];
                u64::from_le_bytes(bytes.try_into().unwrap())
            };
            assert_eq!(length(8) + length(16), trailer as u64, "{path:?}");
        }
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// How often a build is killed: `ERYX_PREINIT_KILLS=100` for the long run.
fn kills() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a switch of this test")]
    let kills = std::env::var("ERYX_PREINIT_KILLS");
    kills.map_or(8, |kills| kills.parse().unwrap())
}

/// What a build makes that finds the code to start Python in the cache.
const WARM: [&str; 4] = ["bytecode", "snapshot", "native", "reuse"];

#[test]
fn a_build_killed_at_any_moment_leaves_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut build = build(dir.path());
    // Packages to compile, and native code, so that builds are killed at those too.
    let packages = dir.path().join("site-packages");
    fs::create_dir_all(packages.join("mine")).unwrap();
    for file in ["__init__.py", "one.py", "two.py"] {
        let code = format!("NAME = {file:?}\n") + &"def f(x):\n    return [x]\n".repeat(500);
        fs::write(packages.join("mine").join(file), code).unwrap();
    }
    build.site_packages = Some(packages);
    build.native = true;
    // Outputs of before, each of which stays whole until the new one is there.
    build.imports = vec!["re"];
    let started = Instant::now();
    let (old, _) = build.run().built();
    let cold = started.elapsed();
    let outputs = |folder: &Path| {
        let names = ["python.wasm", "python.cwasm", "python.rs"];
        names.map(|name| (folder.join(name), fs::read(folder.join(name)).unwrap()))
    };
    let old_outputs = outputs(&build.out);
    build.imports = vec!["json", "mine.one"];
    let mut elsewhere = build.clone();
    elsewhere.out = dir.path().join("reference");
    for lost in WARM {
        let _ = fs::remove_dir_all(build.cache.join(lost));
    }
    let started = Instant::now();
    let (expected, _) = elsewhere.run().built();
    let warm = started.elapsed();
    assert_ne!(old, expected);
    let new_outputs = outputs(&elsewhere.out);

    let kills = kills();
    let mut moments = Moments(5);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        assert!(round < 4 * kills, "only {killed} builds were still running");
        round += 1;
        // Now and then with nothing to start from, else with what starts Python.
        let takes = match round % 8 {
            3 => {
                fs::remove_dir_all(&build.cache).unwrap();
                cold
            }
            _ => {
                for lost in WARM {
                    let _ = fs::remove_dir_all(build.cache.join(lost));
                }
                warm
            }
        };
        // As it was before, or there would be nothing to do.
        for (path, bytes) in &old_outputs {
            fs::write(path, bytes).unwrap();
        }
        let _ = fs::remove_dir_all(build.out.join("eryx-preinit/stamps"));
        let mut child = build.start();
        let moment = Duration::from_micros(moments.below(takes.as_micros() as u64));
        std::thread::sleep(moment);
        // SIGKILL on Unix: no handler, no destructor runs.
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        for ((path, old), (_, new)) in old_outputs.iter().zip(&new_outputs) {
            let seen = fs::read(path).unwrap();
            assert!(
                seen == *old || seen == *new,
                "killed after {moment:?}, {path:?} is {} bytes of something else",
                seen.len()
            );
        }
        entries_are_whole(&build.cache);
        let (sha256, _) = build.run().built();
        assert_eq!(sha256, expected, "killed after {moment:?} and built again");
        for (index, (_, bytes)) in outputs(&build.out).into_iter().enumerate() {
            assert!(bytes == new_outputs[index].1, "killed after {moment:?}");
        }
    }
    println!(
        "killed {killed} builds; {} others were done",
        round - killed
    );

    // What the dead left lying about goes once it is old.
    let left = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| is_temporary(path))
            .collect()
    };
    fs::write(build.out.join(".eryx-preinit-dead"), b"half a component").unwrap();
    for path in left(&build.out) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7200))
            .unwrap();
    }
    build.imports = vec!["re"];
    build.run().built();
    assert_eq!(left(&build.out), Vec::<PathBuf>::new());
}

#[test]
fn of_eight_processes_one_runs_python() {
    let dir = tempfile::tempdir().unwrap();
    let first = build(dir.path());
    warm(&first);
    let children: Vec<_> = (0..8)
        .map(|index| {
            let mut build = first.clone();
            build.out = dir.path().join(format!("out-{index}"));
            build.start()
        })
        .collect();
    let ended: Vec<_> = children
        .into_iter()
        .map(|child| Ended::of(child).built())
        .collect();
    assert_eq!(
        ended.iter().filter(|(_, cached)| !cached).count(),
        1,
        "{ended:?}"
    );
    assert!(
        ended.iter().all(|(sha256, _)| *sha256 == ended[0].0),
        "{ended:?}"
    );
}

#[test]
fn the_lock_of_a_dead_build_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = build(dir.path());
    warm(&first);
    let mut holder = first.start();
    // It holds the lock from before it says this until its end.
    let mut lines = BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("instrument")));
    stop(&holder);
    let mut second = first.clone();
    second.out = dir.path().join("second");
    let waiting = second.start();
    std::thread::sleep(Duration::from_millis(300));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (_, cached) = Ended::of(waiting).built();
    assert!(!cached, "the holder had not finished");
}

/// Has a process make no step more, so that it is not done before it is killed.
fn stop(process: &Child) {
    #[cfg(unix)]
    {
        let mut kill = Command::new("kill");
        let stopped = kill.args(["-STOP", &process.id().to_string()]).status();
        assert!(stopped.unwrap().success());
    }
    #[cfg(not(unix))]
    let _ = process;
}

/// A file may not grow: what a full disk does, without a disk to fill.
#[cfg(unix)]
#[test]
fn a_full_disk_is_a_clear_error_and_spares_the_old_output() {
    let dir = tempfile::tempdir().unwrap();
    let mut build = build(dir.path());
    build.cache = runtime::cache();
    build.run().built();
    let output = build.out.join("python.wasm");
    let before = fs::read(&output).unwrap();
    build.imports = vec!["json", "csv"];
    // In blocks of 512 bytes; the signal would kill the process.
    build.shell = "trap '' XFSZ; ulimit -f 16000".to_owned();
    let report = build.run().failed();
    assert!(report.contains("stage io: cannot write"), "{report}");
    assert!(report.contains("python.wasm"), "{report}");
    assert_eq!(fs::read(&output).unwrap(), before);
    let half = fs::read_dir(&build.out).unwrap().flatten();
    assert!(!half.into_iter().any(|entry| is_temporary(&entry.path())));
    build.shell = ":".to_owned();
    build.run().built();
}

#[cfg(unix)]
#[test]
fn read_only_folders_are_clear_errors_and_spare_the_old_output() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let real = runtime::folder("0.5.0");
    let mut build = build(dir.path());
    build.runtime = dir.path().join("runtime");
    for part in ["libs", "prebuilt"] {
        fs::create_dir_all(build.runtime.join(part)).unwrap();
        for entry in fs::read_dir(real.join(part)).unwrap().flatten() {
            let to = build.runtime.join(part).join(entry.file_name());
            fs::copy(entry.path(), to).unwrap();
        }
    }
    warm(&build);
    build.run().built();
    let output = build.out.join("python.wasm");
    let before = fs::read(&output).unwrap();
    // Permissions mean nothing to root: it builds as somebody else.
    if fs::metadata(dir.path()).unwrap().uid() == 0 {
        let binary = dir.path().join("test-binary");
        fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        build.binary = Some(binary);
        build.user = Some(NOBODY);
        for entry in walkdir::WalkDir::new(dir.path()).into_iter().flatten() {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    build.imports = vec!["json", "csv"];

    // The output's folder: the build fails, and says where.
    mode(&build.out, 0o555);
    let report = build.run().failed();
    mode(&build.out, 0o755);
    assert!(report.contains("stage io: cannot write"), "{report}");
    assert!(report.contains("python.wasm"), "{report}");
    assert!(
        report.contains("check that the build may write there"),
        "{report}"
    );
    assert_eq!(fs::read(&output).unwrap(), before);

    // The cache's folders: the build goes on without.
    fs::remove_dir_all(build.cache.join("snapshot")).unwrap();
    fs::create_dir(build.cache.join("snapshot")).unwrap();
    let stages = ["fuse", "code", "snapshot", "verified", "locks"];
    for stage in stages {
        mode(&build.cache.join(stage), 0o555);
    }
    build.imports = vec!["csv"];
    let (_, cached) = build.run().built();
    assert!(!cached);
    for stage in stages {
        mode(&build.cache.join(stage), 0o755);
    }

    // A cache that cannot be created.
    build.cache = dir.path().join("out/python.wasm/cache");
    let report = build.run().failed();
    assert!(report.contains("cannot be created"), "{report}");
    assert!(report.contains("is a file, not a folder"), "{report}");
}
