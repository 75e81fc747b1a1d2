//! Durations and sizes with their units.

use super::text::{clip, show};
use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// The digits at the start of `text` and what follows them; `None` without
/// digits.
pub(super) fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

pub(super) fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let Some((number, millis)) = number_and_unit(text).and_then(|(number, unit)| {
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        Some((number, millis))
    }) else {
        return Err(format!(
            "{} is not a duration (a whole number and `ms`, `s`, `m` or `h`){}",
            show(text),
            duration_hint(text)
        ));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{} is longer than the maximum of 24h", show(text)))
}

pub(super) fn duration_hint(text: &str) -> String {
    let text = without_spaces(text).to_lowercase();
    let Some((number, unit)) = number_and_unit(&text) else {
        return String::new();
    };
    let unit = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        _ => return "; for example \"90s\"".to_owned(),
    };
    format!("; write {}", clip(&format!("\"{number}{unit}\"")))
}

pub(super) fn parse_size(key: &str, text: &str) -> Result<u64, String> {
    let Some((number, factor)) = number_and_unit(text).and_then(|(number, unit)| {
        let factor = match unit {
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            "TiB" => TIB,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        Some((number, factor))
    }) else {
        return Err(format!(
            "{} is not a size (a whole number and `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`){}",
            show(text),
            size_hint(key, text)
        ));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(factor))
        .ok_or_else(|| format!("{} is more bytes than 64 bits can count", show(text)))
}

pub(super) fn size_hint(key: &str, text: &str) -> String {
    let text = without_spaces(text).to_lowercase();
    let Some((number, unit)) = number_and_unit(&text) else {
        return String::new();
    };
    let unit = match unit {
        "" | "b" | "byte" | "bytes" => {
            let bytes = clip(&format!("{key} = {number}"));
            return format!("; write bytes without quotes: {bytes}");
        }
        "k" | "kib" => "KiB",
        "m" | "mib" => "MiB",
        "g" | "gib" => "GiB",
        "t" | "tib" => "TiB",
        "kb" => "kB",
        "mb" => "MB",
        "gb" => "GB",
        "tb" => "TB",
        _ => return "; for example \"512MiB\"".to_owned(),
    };
    format!("; write {}", clip(&format!("\"{number}{unit}\"")))
}

pub(super) fn size_text(size: u64) -> String {
    for (factor, unit) in [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if size > 0 && size.is_multiple_of(factor) {
            return format!("{}{unit}", size / factor);
        }
    }
    match size {
        1 => "1 byte".to_owned(),
        _ => format!("{size} bytes"),
    }
}
