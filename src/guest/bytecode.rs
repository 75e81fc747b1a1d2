//! Bytecode of sources, made by CPython itself in an instance of its own.
//!
//! Compiling runs no code of the sources. What comes out depends on the source and its
//! path only, not on what was compiled before: see `hold` in `bytecode.py`. That instance
//! goes when it is done, so a snapshot does not depend on what had to be compiled.

use crate::archives::pyc;
use crate::guest::alarm::block_on;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::user_code::literal;
use crate::packages::bytecode::Source;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;
use wasmtime::component::Component;

const SCRIPT: &str = include_str!("bytecode.py");

/// Bytes of source that one call of the guest compiles: a second or two of unoptimised
/// code.
const CALL_BYTES: usize = 1 << 20;
/// Bytes of source that one instance compiles: its /tmp holds 64 MiB.
const INSTANCE_BYTES: usize = 24 << 20;
/// Sources that one instance compiles.
const INSTANCE_FILES: usize = 4000;
/// For one call. The limit that people set is for their own code.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Compiles `sources`, which `setup` mounts, and hands each in turn with its bytecode to
/// `done`; `None` for what CPython does not compile.
///
/// Where the component has all its bodies, a source in which the guest fails is one of
/// those: CPython has sources that use up its stack.
///
/// # Errors
/// [`Failure`] when Python does not start, or a body may have been missing.
pub(crate) fn compile(
    component: &Component,
    setup: &GuestSetup<'_>,
    sources: &[Source],
    all_bodies: bool,
    mut done: impl FnMut(&Source, Option<&[u8]>) + Send,
) -> Result<(), Failure> {
    let mut rest = sources;
    let mut call_bytes = CALL_BYTES;
    while let Some((first, others)) = rest.split_first() {
        let mut count = 0;
        let failed = instance(component, setup, rest, call_bytes, |source, made| {
            count += 1;
            done(source, made);
        })?;
        match failed {
            None => rest = &rest[count..],
            Some(Failure::Trap(error)) if !all_bodies => return Err(Failure::Trap(error)),
            // One by one, to see which it is.
            Some(_) if count > 0 || call_bytes > 0 => {
                rest = &rest[count..];
                call_bytes = 0;
            }
            Some(_) => {
                done(first, None);
                rest = others;
                call_bytes = CALL_BYTES;
            }
        }
    }
    Ok(())
}

/// Compiles as many of `sources` as one instance should, and hands them to `done`; what
/// it failed with, if it did.
fn instance(
    component: &Component,
    setup: &GuestSetup<'_>,
    sources: &[Source],
    call_bytes: usize,
    mut done: impl FnMut(&Source, Option<&[u8]>) + Send,
) -> Result<Option<Failure>, Failure> {
    let Some(sources) = parts(sources, INSTANCE_BYTES, INSTANCE_FILES).next() else {
        return Ok(None);
    };
    block_on(async {
        let mut guest = Guest::start(component, setup, TIMEOUT).await?;
        for call in parts(sources, call_bytes, usize::MAX) {
            let made = match call_guest(&mut guest, call).await {
                Ok(made) => made,
                Err(failure) => return Ok(Some(failure)),
            };
            for (source, made) in call.iter().zip(made) {
                done(source, made.as_deref());
            }
        }
        Ok(None)
    })
}

/// `sources` in parts of about so many bytes, and at most so many files.
fn parts(sources: &[Source], bytes: usize, files: usize) -> impl Iterator<Item = &[Source]> {
    let mut rest = sources;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |source: &&Source| {
            sum += source.content.len();
            sum <= bytes
        };
        let count = rest.iter().take(files).take_while(fits).count().max(1);
        let (part, more) = rest.split_at_checked(count)?;
        rest = more;
        Some(part)
    })
}

/// Has `guest` compile `sources`; what it made of each.
pub(crate) async fn call_guest(
    guest: &mut Guest,
    sources: &[Source],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let mut code = String::from("exec(compile('''");
    code.push_str(SCRIPT);
    code.push_str("''', '<eryx-preinit-build>', 'exec'), {'jobs': [");
    for (number, source) in sources.iter().enumerate() {
        let _ = write!(code, "({}, '/tmp/{number}'),", literal(&source.guest_path));
    }
    code.push_str("]})");
    // An error of the whole leaves no file behind its cause: those sources are taken for
    // ones that do not compile.
    let _ = guest.execute(&code, "bytecode").await?;
    let scratch = guest.store.data().scratch().to_owned();
    let made = sources.iter().enumerate();
    let made = made.map(|(number, source)| take(&scratch.join(number.to_string()), source));
    Ok(made.collect())
}

/// The file that the guest wrote for `source`, if it did and it is what it has to be.
fn take(path: &Path, source: &Source) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let _ = fs::remove_file(path);
    pyc::belongs(&bytes, &source.content).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::walk::tree;
    use crate::packages::bytecode::Mount;
    use crate::testing::Workbench;

    /// Names and constants that share strings with each other, in every kind of constant.
    const SHARING: [&str; 3] = [
        "import spam\nspam.eggs(ham='bacon')\ndef f(eggs, *, ham=1.5):\n    return eggs, 'spam', b'x'\n\
         class spam:\n    class Meta:\n        pass\n",
        "x = 'eggs'\nif x in {'spam', ('ham', 'bacon', ('eggs',)), 'b c', 10 ** 30, 2.5}:\n    \
         y = [spam[1:'ham'] for spam in ('eggs', 'ham')]\n",
        "class spam:\n    class Meta:\n        'spam'\nclass eggs:\n    'spam'\n    ham: 'bacon' = lambda bacon: (bacon, 1j, ..., 'b c')\n\
         async def spam():\n    yield -1, 'no name: eggs'\n",
    ];

    fn sources(bench: &Workbench) -> Vec<Source> {
        let mount = Mount {
            folder: &bench.site_packages(),
            guest_path: "/site-packages",
        };
        mount.without_bytecode().unwrap()
    }

    #[test]
    fn bytecode_does_not_depend_on_what_was_compiled_before() {
        let bench = Workbench::new("0.14.0");
        for (name, code) in ["a", "b", "c"].iter().zip(SHARING) {
            bench.module(name, Some(code));
        }
        let forwards = sources(&bench);
        let mut backwards = sources(&bench);
        backwards.reverse();
        let alone = sources(&bench);
        let lists: Vec<&[Source]> = [&forwards[..], &backwards[..]]
            .into_iter()
            .chain(alone.chunks(1))
            .collect();
        let made = bench.bytecode(&lists);
        let mut reversed = made[1].clone();
        reversed.reverse();
        assert_eq!(made[0], reversed);
        assert_eq!(made[0], made[2..].concat());
        assert!(made[0].iter().all(Option::is_some));
    }

    #[test]
    fn what_does_not_compile_gets_none_and_the_rest_does() {
        let bench = Workbench::new("0.5.0");
        let deep = format!("x = {}1{}\n", "(".repeat(5000), ")".repeat(5000));
        let chain = format!("x = a{}\n", ".b".repeat(50_000));
        let minus = format!("x = {}1\n", "-".repeat(50_000));
        for (name, code) in [
            ("a_python2", "print 'hello'\n"),
            ("b_template", "import {{ name }}\n"),
            ("c_nul", "x = 1\0\n"),
            ("d_encoding", "# -*- coding: no-such -*-\n"),
            ("e_deep", &deep),
            ("f_chain", &chain),
            ("g_minus", &minus),
            ("h_warns", "x = '\\d'\nassert (x, 'always')\n"),
            ("i_quote'", "x = 1\n"),
        ] {
            bench.module(name, Some(code));
        }
        let list = sources(&bench);
        let made = bench.bytecode(&[&list]).remove(0);
        let compiled = list.iter().zip(&made).filter(|(_, made)| made.is_some());
        let names: Vec<_> = compiled
            .map(|(source, _)| source.guest_path.as_str())
            .collect();
        assert_eq!(
            names,
            ["/site-packages/h_warns.py", "/site-packages/i_quote'.py"]
        );
    }

    /// Loads what was made here and what the archive holds, and compares all that makes code
    /// what it is: constants by type and value, not by which of them are one object.
    const COMPARE: &str = r#"
import marshal, os
def parts(value):
    if isinstance(value, (tuple, slice)):
        items = value if isinstance(value, tuple) else (value.start, value.stop, value.step)
        return type(value), [parts(item) for item in items]
    if isinstance(value, frozenset):
        return type(value), sorted(map(repr, map(parts, value)))
    if isinstance(value, type(parts.__code__)):
        names = [name for name in dir(value) if name.startswith('co_') and name not in SKIPPED]
        return [(name, parts(getattr(value, name))) for name in names]
    return type(value), repr(value)
# Methods, and what is deprecated: co_linetable says the same.
SKIPPED = ('co_lines', 'co_positions', 'co_branches', 'co_lnotab')
same = differ = 0
for line in open('/site-packages/list'):
    path, ours = line.split()
    folder, name = os.path.split(path)
    with open(f'{folder}/__pycache__/{name[:-3]}.cpython-314.pyc', 'rb') as file:
        theirs = file.read()
    with open(ours, 'rb') as file:
        ours = file.read()
    same += ours == theirs
    alike = [parts(marshal.loads(pyc[16:])) for pyc in (ours, theirs)]
    if ours[:16] != theirs[:16] or alike[0] != alike[1]:
        differ += 1
        print(path)
print(same, 'have the same bytes,', differ, 'differ')
"#;

    /// The archive's bytes tell what had been compiled before (`hold` in `bytecode.py`), and
    /// no two files hold the same; the code in them is the same.
    #[test]
    fn the_embedded_bytecode_is_what_the_guest_makes() {
        let bench = Workbench::new("0.14.0");
        let bare = tempfile::tempdir().unwrap();
        for path in tree(&bench.stdlib).unwrap() {
            let target = bare.path().join(path.strip_prefix(&bench.stdlib).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&path, target).unwrap();
        }
        let mount = Mount {
            folder: bare.path(),
            guest_path: "/python-stdlib",
        };
        let list = mount.without_bytecode().unwrap();
        assert_eq!(list.len(), 671);
        let made = bench.bytecode(&[&list]).remove(0);
        let mut lines = String::new();
        for (index, (source, pyc)) in list.iter().zip(made).enumerate() {
            let name = format!("{index}.pyc");
            fs::write(bench.site_packages().join(&name), pyc.unwrap()).unwrap();
            let _ = writeln!(lines, "{} /site-packages/{name}", source.guest_path);
        }
        fs::write(bench.site_packages().join("list"), lines).unwrap();
        let printed = bench.fresh(&[COMPARE]).remove(0).unwrap();
        eprintln!("{printed}");
        assert!(printed.ends_with(" 0 differ\n"), "{printed}");
    }
}
