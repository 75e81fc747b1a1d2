//! Which packages and modules of a project are meant to be installed, by their names.

/// Whether a package at the root of a project is meant to be installed.
pub(crate) fn is_package_of_project(name: &str) -> bool {
    let other = [
        "test",
        "tests",
        "testing",
        "doc",
        "docs",
        "example",
        "examples",
        "benchmarks",
    ];
    is_identifier(name) && !other.contains(&name)
}

/// Whether a module at the root of a project is meant to be installed.
pub(crate) fn is_module_of_project(name: &str) -> bool {
    let other = ["setup", "conftest", "noxfile", "tasks", "build", "__init__"];
    is_identifier(name) && !other.contains(&name)
}

pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}
