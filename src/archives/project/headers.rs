//! The headers of METADATA, PKG-INFO and WHEEL.

/// A header of WHEEL or METADATA.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    fields(text, name).next()
}

/// All headers called `name`; the description below the first empty line is none.
pub(crate) fn fields<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .take_while(|line| !line.trim().is_empty())
        .filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
}
