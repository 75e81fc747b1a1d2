//! The report as a page.

mod bytes;
mod embedded;

use crate::guest::import_times::Import;
use crate::report::model::BuildReport;
use crate::report::svg::{self, escape};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// More lines than these are in the JSON only.
const LINES_SHOWN: usize = 40;

/// A column of a table.
type Row = (String, f64, String);

/// For people: one page, without scripts and without the network.
pub(crate) fn page(report: &BuildReport) -> String {
    let title = escape(&report.output);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width\">\n<title>{title}: report</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"lead\">{} in \
         {:.2} s</p>\n",
        megabytes(report.bytes),
        report.seconds
    );
    warnings(&mut page, report);
    stages(&mut page, report);
    imports(&mut page, report);
    bytes::bytes(&mut page, report);
    embedded::embedded(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

fn warnings(page: &mut String, report: &BuildReport) {
    if report.warnings.is_empty() {
        return;
    }
    page.push_str("<h2>Warnings</h2>\n<ul class=\"warnings\">\n");
    for warning in &report.warnings {
        let _ = writeln!(page, "<li>{}</li>", escape(warning));
    }
    page.push_str("</ul>\n");
}

fn stages(page: &mut String, report: &BuildReport) {
    page.push_str("<h2>Stages</h2>\n<p>In the order in which they ended. Some overlap.</p>\n");
    let rows = report.stages.iter().map(|step| {
        let value = match step.cached {
            true => "from the cache".to_owned(),
            false => format!("{:.1} ms", step.seconds * 1e3),
        };
        (step.name.clone(), step.seconds, value)
    });
    table(page, &rows.collect::<Vec<_>>());
}

fn imports(page: &mut String, report: &BuildReport) {
    page.push_str("<h2>Imports</h2>\n");
    if report.imports.is_empty() {
        page.push_str("<p>None were measured.</p>\n");
        return;
    }
    page.push_str(
        "<p>Measured by the host in a run of its own, in code for build time: compare them \
         with each other. What a module imports is below it. Modules that start-up loaded \
         are not here.</p>\n",
    );
    page.push_str(&svg::flames(&report.imports));
    let mut all: Vec<&Import> = report.imports.iter().collect();
    let mut next = 0;
    while let Some(import) = all.get(next).copied() {
        all.extend(&import.imports);
        next += 1;
    }
    all.sort_by(|a, b| b.own_ms.total_cmp(&a.own_ms));
    page.push_str("<h3>By own time</h3>\n");
    let rows = all.iter().take(LINES_SHOWN).map(|import| {
        let value = format!("{:.2} ms of {:.2}", import.own_ms, import.cumulative_ms);
        (import.name.clone(), import.own_ms, value)
    });
    table(page, &rows.collect::<Vec<_>>());
}

/// Names, bars, and what the bars say.
fn table(page: &mut String, rows: &[Row]) {
    let most = rows.iter().map(|row| row.1).fold(0.0, f64::max);
    page.push_str("<table>\n");
    for (name, amount, value) in rows {
        let share = if most > 0.0 {
            amount / most * 100.0
        } else {
            0.0
        };
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td class=\"bar\"><svg viewBox=\"0 0 100 10\" \
             preserveAspectRatio=\"none\"><rect width=\"{share:.2}\" height=\"10\"/></svg></td>\
             <td>{}</td></tr>",
            escape(name),
            escape(value)
        );
    }
    page.push_str("</table>\n");
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::config::Config;
    use crate::guest::import_times::{Import, Measured};
    use crate::guest::live_objects::{Module, Objects};
    use crate::log::Step;
    use crate::packages::embed_list::Part;
    use crate::report::{Facts, Measurements, collect};
    use crate::wasm::origins::Origin;

    const EVIL: &str = "<script>\"'&";

    /// Measurements in which every name is evil.
    fn measurements() -> Measurements {
        let part = || Part {
            name: EVIL.to_owned(),
            folder: "/site-packages".to_owned(),
            files: 1,
            bytes: 1,
        };
        let module = |name: &str| Module {
            name: name.to_owned(),
            count: 1,
            bytes: 1,
            bytecode: 1,
        };
        Measurements {
            guest: Measured {
                imports: vec![Import {
                    name: EVIL.to_owned(),
                    cumulative_ms: 1.0,
                    own_ms: 1.0,
                    ..Import::default()
                }],
                objects: vec![Objects {
                    kind: EVIL.to_owned(),
                    count: 1,
                    bytes: 1,
                }],
                modules: vec![module(EVIL), module(&format!("{EVIL}.inner"))],
            },
            origins: vec![Origin {
                library: EVIL.to_owned(),
                functions: 1,
                code: 1,
                memory: Some(1..2),
            }],
            archive_bytes: Some(1),
            embedded: vec![part()],
            left_out: vec![part()],
            failed: vec![EVIL.to_owned()],
        }
    }

    #[test]
    fn every_name_in_the_page_is_escaped() {
        let config = Config {
            embed: crate::config::Embed::All,
            embed_exclude: vec![EVIL.to_owned()],
            output: EVIL.to_owned(),
            ..Config::default()
        };
        let report = collect(&Facts {
            config: &config,
            wasm: b"",
            seconds: 1.0,
            steps: vec![Step {
                name: EVIL.to_owned(),
                seconds: 0.0,
                cached: true,
            }],
            measured: Some(&measurements()),
            warnings: &[EVIL.to_owned()],
        });
        let text = page(&report);
        assert_eq!(text, page(&report));
        assert!(!text.contains("<script"), "{text}");
        // Title, heading, two warnings, stage, flame's title, import, library, package, its
        // summary and two modules, type, left out, two parts.
        let escaped = text.matches("&lt;script&gt;&quot;&#39;&amp;").count();
        assert!(escaped >= 16, "{escaped}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["imports"][0]["name"], EVIL);
        assert_eq!(
            json["packages"][0]["modules"][1]["name"],
            format!("{EVIL}.inner")
        );
    }
}
