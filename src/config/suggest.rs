//! What a misspelt word was most likely meant to be.

/// The candidate that `word` is most likely a misspelling of, if any is near:
/// at most one edit (insertion, deletion, replacement, swapped neighbours) for
/// every three characters, upper and lower case being the same. Of equally near
/// ones the first; `word` itself is never a suggestion.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word_lower = word.to_lowercase();
    let letters = word_lower.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let length = other.chars().count();
            let limit = letters.max(length) / 3;
            // The lengths alone rule most candidates out, cheaply.
            if letters.abs_diff(length) > limit {
                return None;
            }
            let distance = strsim::osa_distance(&word_lower, &other);
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
