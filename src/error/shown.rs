//! How a report is written out: what, where, why and what to do within a screen, and
//! below that what does not fit.
//!
//! Cargo shows what a failed build script printed, the report last.

use super::Parts;
use std::borrow::Cow;
use std::error::Error as StdError;

/// What a person sees at once.
const LINES: usize = 25;
/// A longer line takes several in a terminal.
const LINE_CHARS: usize = 160;
/// Where a line of the first screen ends.
const CLIPPED_CHARS: usize = 300;
/// More text than this is nothing a person reads.
pub(super) const SHOWN_BYTES: usize = 32 << 10;

/// A part of a report.
struct Part {
    lines: Vec<String>,
    /// Whether an empty line stands before it.
    apart: bool,
    /// How many lines are on the first screen; all parts' and the empty ones make no more
    /// than `LINES`.
    limit: usize,
    /// How many of these are its last ones.
    end: usize,
}

impl Part {
    fn new(lines: Vec<String>, limit: usize) -> Self {
        let (apart, end) = (false, 0);
        Self {
            lines,
            apart,
            limit,
            end,
        }
    }

    fn apart(self) -> Self {
        Self {
            apart: true,
            ..self
        }
    }

    fn with_end(self, end: usize) -> Self {
        Self { end, ..self }
    }

    /// What is on the first screen.
    fn first(&self) -> Vec<String> {
        let clip = |line: &String| match line.char_indices().nth(CLIPPED_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.clone(),
        };
        let lines = &self.lines;
        if lines.len() <= self.limit || self.limit == 0 {
            return lines.iter().take(self.limit).map(clip).collect();
        }
        let start = &lines[..self.limit - self.end - 1];
        let end = &lines[lines.len() - self.end..];
        let between = lines.len() - start.len() - end.len();
        let mut first: Vec<_> = start.iter().map(clip).collect();
        first.push(format!("    … {between} lines more, below"));
        first.extend(end.iter().map(clip));
        first
    }
}

/// What, where, why, what to do: the parts in this order.
fn written(parts: &Parts) -> [Part; 6] {
    let text = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default().trim_end();
        indented("    ", &shortened(text), "    ")
    };
    let mut output = text(&parts.output);
    if !output.is_empty() {
        output.insert(0, "  the guest printed:".to_owned());
    }
    let mut causes = Vec::new();
    let mut cause = parts.source.as_ref().map(|s| &**s as &dyn StdError);
    while let Some(error) = cause {
        causes.extend(indented("  caused by: ", &error.to_string(), "    "));
        cause = error.source();
    }
    let notes = parts.notes.iter();
    let notes = notes.flat_map(|note| indented("  - ", note, "    "));
    let help = parts.hint.as_deref().unwrap_or_default();
    [
        Part::new(indented("", &parts.summary, "    "), 2),
        Part::new(notes.collect(), 6),
        // The end says where and why.
        Part::new(text(&parts.traceback), 6).with_end(4).apart(),
        Part::new(output, 0).apart(),
        Part::new(causes, 3).with_end(1),
        Part::new(indented("  help: ", help, "        "), 5).apart(),
    ]
}

/// The whole report, if it fits a screen; else what is most important of each part, and
/// below a line `more:` the parts that were cut.
pub(super) fn shown(parts: &Parts) -> String {
    let written = written(parts);
    let mut all = Vec::new();
    for part in &written {
        add(&mut all, part.lines.clone(), part.apart);
    }
    let rows = all.iter().map(|line| line.len() / LINE_CHARS + 1);
    if rows.sum::<usize>() <= LINES {
        return all.join("\n");
    }
    let (mut first, mut more) = (Vec::new(), Vec::new());
    for part in &written {
        let shown = part.first();
        if shown != part.lines {
            let apart = part.apart && !more.is_empty();
            add(&mut more, part.lines.clone(), apart);
        }
        add(&mut first, shown, part.apart);
    }
    if !more.is_empty() {
        first.extend([String::new(), "  more:".to_owned()]);
        first.append(&mut more);
    }
    first.join("\n")
}

fn add(all: &mut Vec<String>, lines: Vec<String>, apart: bool) {
    if apart && !lines.is_empty() {
        all.push(String::new());
    }
    all.extend(lines);
}

/// The lines of `text`, the first after `first`, the others after `rest`; none of none.
fn indented(first: &str, text: &str, rest: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let before = std::iter::once(first).chain(std::iter::repeat(rest));
    let lines = before.zip(text.split('\n'));
    lines
        .map(|(before, line)| format!("{before}{line}"))
        .collect()
}

/// The beginning and the end of a long text.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    let Some(left_out) = text.len().checked_sub(SHOWN_BYTES).filter(|&n| n > 0) else {
        return text.into();
    };
    let start = text.floor_char_boundary(SHOWN_BYTES / 2);
    let end = text.ceil_char_boundary(text.len() - SHOWN_BYTES / 2);
    format!(
        "{}\n[… {} KiB left out …]\n{}",
        &text[..start],
        left_out.div_ceil(1 << 10),
        &text[end..]
    )
    .into()
}

#[cfg(test)]
mod tests {
    use crate::error::Report;

    /// The lines of the report, of which the first screen holds all `wanted`, in this order.
    #[track_caller]
    fn screen(report: Report, wanted: &[&str]) -> Vec<String> {
        let text = format!("{report:?}");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let end = lines.iter().position(|line| line == "  more:").unwrap();
        assert!(end <= 25, "{text}");
        let mut from = 0;
        for part in wanted {
            let found = lines[from..end].iter().position(|line| line.contains(part));
            from += found.unwrap_or_else(|| panic!("{part} is not in order in:\n{text}"));
        }
        lines
    }

    #[test]
    fn a_traceback_of_200_frames_comes_last_in_full() {
        let frame = |n| format!("  File \"/site-packages/a.py\", line {n}, in f\n    f()\n");
        let frames: String = (0..200).map(frame).collect();
        let traceback = format!("Traceback (most recent call last):\n{frames}ValueError: no\n");
        let report = Report::new("cannot import `a`")
            .note("it ran for 2 s")
            .traceback_text(traceback)
            .output_text("hello\n")
            .source(std::io::Error::other("the guest ended"))
            .hint("do this\nand that");
        let wanted = [
            "cannot import `a`",
            "it ran for",
            "Traceback",
            "line 199",
            "ValueError: no",
            "caused by: the guest ended",
            "help: do this",
            "and that",
        ];
        let lines = screen(report, &wanted);
        assert_eq!(
            lines.iter().filter(|line| line.contains("line 7,")).count(),
            1
        );
        assert!(lines.iter().any(|line| line == "    hello"));
        assert_eq!(
            lines.iter().filter(|line| line.contains("help:")).count(),
            1
        );
    }

    #[test]
    fn a_hundred_missing_packages_do_not_hide_what_to_do() {
        let missing = |n| format!("`package-{n}` is not there");
        let each = (0..100)
            .map(missing)
            .fold(Report::new("100 are missing"), Report::note);
        let lines = screen(
            each.hint("add them"),
            &[
                "100 are missing",
                "package-0`",
                "95 lines more, below",
                "help: add them",
            ],
        );
        assert!(lines.last().unwrap().contains("package-99"));
        let names: Vec<_> = (0..100).map(missing).collect();
        let one = Report::new("some are missing").note(names.join(", ") + &", more".repeat(300));
        let lines = screen(
            one.hint("add them"),
            &["some are", "package-0`", "help: add them"],
        );
        assert!(lines.last().unwrap().contains("package-99"));
    }

    #[test]
    fn everything_long_still_fits_a_screen() {
        let long = "x\n".repeat(300);
        let report = Report::new(long.clone())
            .note(long.clone())
            .traceback_text(long.clone())
            .output_text(long.clone())
            .source(std::io::Error::other(long.clone()))
            .hint(long);
        screen(report, &["caused by", "help: x"]);
    }
}
