//! Links in a source distribution, which are replaced by what they lead to.
//!
//! As PEP 721 has it: a link that leads out of the archive is refused. One that leads
//! nowhere is left out.

use crate::archives::archive::{Budget, File};
use std::collections::{BTreeMap, HashSet};

/// A link, and what it leads to from the archive's root.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) target: String,
}

impl Link {
    /// A symbolic link, whose target counts from its own folder.
    ///
    /// # Errors
    /// When it leads out of the archive.
    pub(crate) fn symbolic(name: &str, target: &str) -> Result<Self, String> {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::to(name, folder, target)
    }

    /// A hard link, whose target counts from the root of the archive.
    ///
    /// # Errors
    /// When it leads out of the archive.
    pub(crate) fn hard(name: &str, target: &str) -> Result<Self, String> {
        Self::to(name, "", target)
    }

    fn to(name: &str, folder: &str, target: &str) -> Result<Self, String> {
        let out = || {
            format!(
                "`{name}` is a link to `{}`, which is outside of the archive",
                target.escape_debug()
            )
        };
        if target.starts_with('/') || target.contains(['\\', '\0']) || target.get(1..2) == Some(":")
        {
            return Err(out());
        }
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(out)?),
                part => parts.push(part),
            }
        }
        Ok(Self {
            name: name.to_owned(),
            target: parts.join("/"),
        })
    }
}

/// How many links may follow on one another.
const CHAIN_MAX: usize = 16;

/// Adds to `files` what `links` lead to; the names of those that lead nowhere.
///
/// # Errors
/// When a file has the name of a link, or lies in one; when links multiply files beyond
/// what an archive may hold.
pub(crate) fn resolve(
    files: &mut Vec<File>,
    mut links: Vec<Link>,
    budget: &mut Budget,
) -> Result<Vec<String>, String> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let names: HashSet<&str> = links.iter().map(|link| link.name.as_str()).collect();
    if names.len() < links.len() {
        return Err("it holds two links of one name".to_owned());
    }
    let mut known: BTreeMap<String, Vec<u8>> = std::mem::take(files).into_iter().collect();
    for path in known.keys() {
        let mut above = Some(path.as_str());
        while let Some(path) = above {
            if names.contains(path) {
                return Err(format!(
                    "`{path}` is a link, and something is stored in its place"
                ));
            }
            above = path.rsplit_once('/').map(|(folder, _)| folder);
        }
    }
    for _ in 0..CHAIN_MAX {
        let before = links.len();
        let mut left = Vec::new();
        for link in links {
            if !follow(&link, &mut known, budget)? {
                left.push(link);
            }
        }
        links = left;
        if links.is_empty() || links.len() == before {
            break;
        }
    }
    *files = known.into_iter().collect();
    Ok(links.into_iter().map(|link| link.name).collect())
}

/// Puts what the link leads to in its place; whether there is anything.
fn follow(
    link: &Link,
    known: &mut BTreeMap<String, Vec<u8>>,
    budget: &mut Budget,
) -> Result<bool, String> {
    if let Some(content) = known.get(&link.target) {
        budget.copy(content)?;
        let content = content.clone();
        known.insert(link.name.clone(), content);
        return Ok(true);
    }
    let prefix = match link.target.as_str() {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    // A folder that the link itself lies in would hold itself.
    if format!("{}/", link.name).starts_with(&prefix) {
        return Ok(false);
    }
    let below = known.range(prefix.clone()..);
    let mut copies = Vec::new();
    for (path, content) in below.take_while(|(path, _)| path.starts_with(&prefix)) {
        budget.copy(content)?;
        let rest = &path[prefix.len()..];
        copies.push((format!("{}/{rest}", link.name), content.clone()));
    }
    let any = !copies.is_empty();
    known.extend(copies);
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(links: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
        let file = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
        let mut files = vec![file("a/one.py"), file("a/sub/two.py"), file("README.md")];
        let links: Result<_, _> = links
            .iter()
            .map(|(name, to)| Link::symbolic(name, to))
            .collect();
        let left = resolve(&mut files, links?, &mut Budget::new(1000))?;
        let shown = files
            .iter()
            .map(|(name, content)| format!("{name}={}", String::from_utf8_lossy(content)))
            .filter(|shown| shown.split('=').next() != shown.split('=').nth(1));
        Ok((shown.collect(), left))
    }

    #[test]
    fn links_are_what_they_lead_to() {
        let (new, left) = resolved(&[
            ("README", "README.md"),
            ("a/zwei.py", "sub/two.py"),
            ("b", "./a"),
            ("c/deep", "../b/sub/"),
            ("chain", "README"),
        ])
        .unwrap();
        assert_eq!(
            new,
            [
                "README=README.md",
                "a/zwei.py=a/sub/two.py",
                "b/one.py=a/one.py",
                "b/sub/two.py=a/sub/two.py",
                "b/zwei.py=a/sub/two.py",
                "c/deep/two.py=a/sub/two.py",
                "chain=README.md",
            ]
        );
        assert_eq!(left, [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_named_and_those_that_lead_out_refused() {
        let (_, left) =
            resolved(&[("x", "gone"), ("a/up", ".."), ("l1", "l2"), ("l2", "l1")]).unwrap();
        assert_eq!(left, ["x", "a/up", "l1", "l2"]);
        for target in ["/etc/passwd", "../x", "a/../../x", "C:/x", "..\\x"] {
            let problem = resolved(&[("x", target)]).unwrap_err();
            assert!(problem.contains("outside of the archive"), "{problem}");
        }
        assert!(
            resolved(&[("a", "README.md")])
                .unwrap_err()
                .contains("in its place")
        );
        assert!(
            resolved(&[("x", "a"), ("x", "a")])
                .unwrap_err()
                .contains("two links")
        );
    }

    #[test]
    fn links_do_not_multiply_without_end() {
        let mut files = vec![("d0/f".to_owned(), vec![0; 1 << 20])];
        let links: Vec<Link> = (1..40)
            .flat_map(|n| {
                ["x", "y"].map(|side| {
                    Link::symbolic(&format!("d{n}/{side}"), &format!("../d{}", n - 1)).unwrap()
                })
            })
            .collect();
        let problem = resolve(&mut files, links, &mut Budget::new(1000)).unwrap_err();
        assert!(problem.contains("times larger"), "{problem}");
    }
}
