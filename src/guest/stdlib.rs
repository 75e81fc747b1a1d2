//! Which modules Python's standard library has, on any platform.
//!
//! A module of it that cannot be found is one that CPython for WASI lacks: no package
//! index has it, but maybe a stranger's package of its name.

/// `sys.stdlib_module_names` of CPython 3.14, which is the same on every platform.
const NAMES: &str = include_str!("stdlib_names.txt");

/// Modules that CPython 3.12 and 3.13 removed, and in which of them.
const REMOVED: [(u32, &[&str]); 2] = [
    (12, &["asynchat", "asyncore", "distutils", "imp", "smtpd"]),
    (
        13,
        &[
            "aifc",
            "audioop",
            "cgi",
            "cgitb",
            "chunk",
            "crypt",
            "imghdr",
            "lib2to3",
            "mailcap",
            "msilib",
            "nis",
            "nntplib",
            "ossaudiodev",
            "pipes",
            "sndhdr",
            "spwd",
            "sunau",
            "telnetlib",
            "uu",
            "xdrlib",
        ],
    ),
];

/// Whether `top` is of the standard library of CPython 3.14, on some platform.
pub(crate) fn is_of_this_version(top: &str) -> bool {
    NAMES.lines().any(|name| name == top)
}

/// The minor version of Python 3 that removed `top`.
pub(crate) fn removed_in(top: &str) -> Option<u32> {
    let removed = REMOVED.iter().find(|(_, names)| names.contains(&top));
    removed.map(|&(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_python_names_the_same_modules() {
        let code = "import sys\nprint(*sorted(sys.stdlib_module_names), sep='\\n')";
        let absent = "for name in ['fcntl', 'mmap', 'pwd', 'grp', 'resource', 'termios', 'syslog', \
                      'readline', '_ctypes', '_tkinter', 'imp', 'cgi']:\n    try: __import__(name)\n    \
                      except ModuleNotFoundError as error: assert error.name == name\n    \
                      else: raise AssertionError(name)";
        for version in ["0.5.0", "0.14.0"] {
            let printed = crate::testing::Workbench::new(version).fresh(&[code, absent]);
            assert_eq!(
                printed[0].as_ref().unwrap().trim(),
                NAMES.trim(),
                "{version}"
            );
            assert_eq!(printed[1], Ok(String::new()), "{version}");
        }
    }
}
