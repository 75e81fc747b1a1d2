//! Environment variables: those of the build stay in the build.
//!
//! wasi-libc reads the host's variables once, when it starts, and keeps a list of its own
//! (`environ`), which a snapshot would take along: every instance would see the build's
//! variables, and none of its host's.
//!
//! wasi-libc has a value for a list that was not read yet: -1. `getenv` and its like look
//! for it, and read the list when they find it (`__wasilibc_ensure_environ`). So -1 is
//! what the snapshot holds. The hook that runs before an instance's first code
//! (`reseed.py`) has the list read, and Python's `os.environ` filled from it.
//!
//! That is sound: the list is not code's business but through `environ`. What it took of
//! the heap is not freed, and not used again. `setenv` and `putenv` remember strings and
//! lists of their own, and compare them to what they find in `environ` before they touch
//! them: those of the old list they never meet again. Code that reads `environ` itself
//! would follow -1, but none runs between the snapshot and the hook: the hook comes before
//! the first code, and start-up, which does read it, is over.

use crate::wasm::image::Patch;

/// Where the guest sees the standard library.
pub(crate) const STDLIB: &str = "/python-stdlib";

/// Where the guest sees the packages.
pub(crate) const SITE_PACKAGES: &str = "/site-packages";

/// What the guest sees at build time.
pub(crate) const BUILD: &[(&str, &str)] = &[
    ("PYTHONHOME", "/python-stdlib"),
    ("PYTHONPATH", "/python-stdlib:/site-packages"),
    ("PYTHONUNBUFFERED", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// wasi-libc's mark of a list that was not read yet.
const UNREAD: [u8; 4] = [0xff; 4];

/// What has the memory say that no environment was read yet; `address` is that of
/// `environ`. `None` where what lies there does not look like a list of variables.
pub(crate) fn forgotten(memory: &[u8], address: u32) -> Option<Patch> {
    variables(memory, address).map(|_| Patch {
        address: address as usize,
        bytes: UNREAD,
    })
}

/// How many variables `environ` lists; `None` where it is no list of `NAME=value`.
fn variables(memory: &[u8], environ: u32) -> Option<usize> {
    let list = word(memory, environ)?;
    for index in 0..VARIABLES_MAX {
        let text = word(memory, list.checked_add(4 * index)?)?;
        if text == 0 {
            return Some(index as usize);
        }
        let rest = memory.get(text as usize..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        rest[..end].contains(&b'=').then_some(())?;
    }
    None
}

/// More variables than a program sets.
const VARIABLES_MAX: u32 = 1 << 16;

/// The word at an address that C code has a pointer at.
fn word(memory: &[u8], address: u32) -> Option<u32> {
    let at = usize::try_from(address).ok().filter(|at| at % 4 == 0)?;
    let bytes = memory.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Plan, Workbench};

    /// `environ` at 4, its list at 16, its strings behind it.
    fn memory() -> Vec<u8> {
        let mut memory = vec![0; 64];
        memory[4] = 16;
        memory[16] = 40;
        memory[20] = 44;
        memory[40..48].copy_from_slice(b"A=1\0B=\0\0");
        memory
    }

    #[test]
    fn only_a_list_of_variables_is_forgotten() {
        let mut good = memory();
        assert_eq!(variables(&good, 4), Some(2));
        let patch = forgotten(&good, 4).unwrap();
        assert_eq!((patch.address, patch.bytes), (4, [255; 4]));
        good[4..8].copy_from_slice(&patch.bytes);
        // Read already, and forgotten; outside; odd; a string without end; no variable.
        let without_end = [memory(), vec![1; 4]].concat();
        for (bad, address) in [
            (good, 4),
            (memory(), 64),
            (memory(), 5),
            (
                {
                    let mut memory = without_end;
                    memory[20] = 64;
                    memory
                },
                4,
            ),
            (
                {
                    let mut memory = memory();
                    memory[45] = b'-';
                    memory
                },
                4,
            ),
        ] {
            assert_eq!(forgotten(&bad, address), None);
        }
    }

    const SETUP: &str = "
import os
os.environ['SET_UP'] = 'by the build'
os.environ['BOTH'] = 'by the build'
os.environ['AGAIN'] = '1'
os.environ['AGAIN'] = '2'
os.putenv('C_ONLY', 'by the build')
captured = os.environ
";

    /// What Python's dictionary and C's list hold.
    const SHOW: &str = "
import os
print(sorted(os.environ.items()))
print(sorted(os._create_environ().items()))
print(captured is os.environ, os.getenv('HOST'))
os.environ['LATER'] = 'x'
del os.environ['HOST']
";

    const AFTER: &str = "
import os
print(sorted(os._create_environ().items()))
";

    fn is_the_hosts(version: &str) {
        let bench = Workbench::new(version);
        let snapshots = bench.restorables(&[Plan {
            setup: Some(SETUP),
            ..Plan::default()
        }]);
        let host = [("HOST", "ü"), ("BOTH", "by the host"), ("EMPTY", "")];
        let results = snapshots[0].execute_in(&host, 1, &[SHOW, AFTER, "pass"]);
        let kept = "('AGAIN', '2'), ('BOTH', 'by the host'), ('EMPTY', '')";
        let c = |text: &str| {
            text.replace("('", "(b'")
                .replace(", '", ", b'")
                .replace("ü", "\\xc3\\xbc")
        };
        let shown = format!("[{kept}, ('HOST', 'ü'), ('SET_UP', 'by the build')]");
        assert_eq!(results[0], Ok(format!("{shown}\n{}\nTrue ü\n", c(&shown))));
        let later = format!("[{kept}, ('LATER', 'x'), ('SET_UP', 'by the build')]");
        assert_eq!(results[1], Ok(format!("{}\n", c(&later))));
        assert_eq!(results[2], Ok(String::new()));
        // On a host that passes nothing.
        let bare = "import os; print('HOST' in os.environ, 'PYTHONHOME' in os.environ)";
        let results = snapshots[0].execute_in(&[], 1, &[bare]);
        assert_eq!(results, [Ok("False False\n".to_owned())]);
    }

    #[test]
    fn an_instance_of_runtime_0_5_sees_its_hosts() {
        is_the_hosts("0.5.0");
    }

    #[test]
    fn an_instance_of_runtime_0_14_sees_its_hosts() {
        is_the_hosts("0.14.0");
    }
}
