//! Lists of names in reports.

/// How many findings of one kind are named.
const NAMED: usize = 8;

/// `` `a`, `b` and 3 more ``.
pub(crate) fn named<T: std::fmt::Display>(names: &[T]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().take(NAMED).enumerate() {
        text += if index == 0 { "" } else { ", " };
        text += &format!("`{name}`");
    }
    match names.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
