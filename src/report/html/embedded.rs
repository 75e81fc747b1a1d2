//! The part of the page that says what Python can import without any folder.

use super::{LINES_SHOWN, megabytes, table};
use crate::packages::embed_list::Part;
use crate::report::model::BuildReport;
use crate::report::svg::escape;
use std::fmt::Write;

pub(super) fn embedded(page: &mut String, report: &BuildReport) {
    let embedded = &report.embedded;
    let _ = writeln!(
        page,
        "<h2>Embedded</h2>\n<p><code>embed = \"{}\"</code></p>",
        embedded.embed
    );
    if let Some(bytes) = embedded.bytes {
        let sources = if embedded.sources { "with" } else { "without" };
        let excluded = escape(&embedded.excluded.join(", "));
        let _ = writeln!(
            page,
            "<p>An archive of {}, {sources} sources. <code>embed-exclude</code>: {excluded}.</p>",
            megabytes(bytes)
        );
        parts(page, &embedded.contents);
    }
    if !embedded.left_out.is_empty() {
        page.push_str(
            "<h3>Not embedded</h3>\n<p>Python finds it only where the program mounts the \
             folders. The sizes are those of the files.</p>\n",
        );
        parts(page, &embedded.left_out);
    }
}

fn parts(page: &mut String, parts: &[Part]) {
    let rows = parts.iter().take(LINES_SHOWN).map(|part| {
        let value = match part.files {
            1 => format!("{} in 1 file", megabytes(part.bytes)),
            files => format!("{} in {files} files", megabytes(part.bytes)),
        };
        let name = format!("{}/{}", part.folder, part.name);
        (name, part.bytes as f64, value)
    });
    table(page, &rows.collect::<Vec<_>>());
    if parts.len() > LINES_SHOWN {
        let _ = writeln!(
            page,
            "<p>{} more are in the JSON.</p>",
            parts.len() - LINES_SHOWN
        );
    }
}
