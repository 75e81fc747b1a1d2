//! Live objects by package, and in these by module.

use crate::guest::live_objects::Module;
use serde::Serialize;
use std::collections::BTreeMap;

/// What belongs to no module.
const NOBODY: &str = "(no module)";

/// The objects of a package, or of a module that is in none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Of these, that of code objects and their tables.
    pub(crate) bytecode: u64,
    /// The largest first.
    pub(crate) modules: Vec<Module>,
}

/// The packages, the largest first, of modules in that order.
pub(crate) fn packages(modules: &[Module]) -> Vec<Package> {
    let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
    for module in modules {
        let name = match module.name.split('.').next() {
            None | Some("") => NOBODY,
            Some(name) => name,
        };
        let package = packages.entry(name).or_insert_with(|| Package {
            name: name.to_owned(),
            count: 0,
            bytes: 0,
            bytecode: 0,
            modules: Vec::new(),
        });
        package.count += module.count;
        package.bytes += module.bytes;
        package.bytecode += module.bytecode;
        if !module.name.is_empty() {
            package.modules.push(module.clone());
        }
    }
    let mut packages: Vec<_> = packages.into_values().collect();
    packages.sort_by_key(|package| std::cmp::Reverse(package.bytes));
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_summed_up_by_package() {
        let module = |name: &str, bytes| Module {
            name: name.to_owned(),
            count: 1,
            bytes,
            bytecode: bytes / 2,
        };
        let modules = [
            module("a.b", 10),
            module("c", 9),
            module("a", 4),
            module("", 1),
        ];
        let packages = packages(&modules);
        let sums: Vec<_> = packages
            .iter()
            .map(|p| (&*p.name, p.count, p.bytes, p.bytecode, p.modules.len()))
            .collect();
        let expected = [("a", 2, 14, 7, 2), ("c", 1, 9, 4, 1), (NOBODY, 1, 1, 0, 0)];
        assert_eq!(sums, expected);
        assert_eq!(packages[0].modules[0].name, "a.b");
    }
}
