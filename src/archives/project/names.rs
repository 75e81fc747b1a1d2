//! How the names of distributions are written.

/// The one way to write a name for comparisons: lower case, and `-` for any run of `-`,
/// `_` and `.`.
pub(crate) fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

/// The module that a distribution of this name usually brings.
pub(crate) fn import_name(name: &str) -> String {
    normal_name(name).replace('-', "_")
}

/// The folder of a distribution's metadata, if both are fit for a name of a folder.
pub(crate) fn dist_info(name: &str, version: &str) -> Option<String> {
    let fit = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+!".contains(c);
        !text.is_empty() && text.len() <= 128 && text.chars().all(plain)
    };
    (fit(name) && fit(version)).then(|| {
        let version = version.replace('-', "_");
        format!("{}-{version}.dist-info", import_name(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_however_they_are_written() {
        assert_eq!(normal_name("My_App.-x"), "my-app-x");
        assert_eq!(
            dist_info("My.App", "1.0").as_deref(),
            Some("my_app-1.0.dist-info")
        );
        for (name, version) in [
            ("", "1"),
            ("a/b", "1"),
            ("a", "1/.."),
            ("a", "1\n"),
            ("ü", "1"),
        ] {
            assert_eq!(dist_info(name, version), None);
        }
    }
}
