//! The part of the page that says where the bytes are.

use super::{LINES_SHOWN, megabytes, table};
use crate::report::model::BuildReport;
use crate::report::svg::escape;
use std::fmt::Write;

/// All that is about bytes.
pub(super) fn bytes(page: &mut String, report: &BuildReport) {
    page.push_str("<h2>Bytes</h2>\n");
    let rows = report.sizes.iter();
    let rows = rows.map(|size| (size.part.into(), size.bytes as f64, megabytes(size.bytes)));
    table(page, &rows.collect::<Vec<_>>());
    libraries(page, report);
    memory(page, report);
    packages(page, report);
    objects(page, report);
}

fn libraries(page: &mut String, report: &BuildReport) {
    if report.libraries.is_empty() {
        return;
    }
    page.push_str(
        "<h3>By library</h3>\n<p>Code that is still there after linking, and variables with \
         what of them is not zero.</p>\n",
    );
    let rows = report.libraries.iter().map(|library| {
        let value = format!(
            "{} code, {} data ({})",
            megabytes(library.code),
            megabytes(library.data),
            megabytes(library.data_not_zero)
        );
        let size = library.code + library.data;
        (library.library.clone(), size as f64, value)
    });
    table(page, &rows.collect::<Vec<_>>());
}

fn memory(page: &mut String, report: &BuildReport) {
    if report.memory.is_empty() {
        return;
    }
    page.push_str(
        "<h3>Memory</h3>\n<p>What of the memory is in the file, and what of that is not zero. \
         Python's objects, and what is embedded, are in what was taken at run time.</p>\n",
    );
    let rows = report.memory.iter().map(|area| {
        let value = format!("{} ({})", megabytes(area.bytes), megabytes(area.not_zero));
        (area.part.to_owned(), area.bytes as f64, value)
    });
    table(page, &rows.collect::<Vec<_>>());
}

fn packages(page: &mut String, report: &BuildReport) {
    if report.packages.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Live objects by package</h2>\n<p>Functions, classes and code say which module they \
         are of; anything else is of the module from which it is reached first. So what several \
         share is counted once, for one of them. <code>_eryx_preinit_embedded</code> holds \
         what is embedded.</p>\n",
    );
    let value = |bytes, bytecode, count| {
        let (bytes, bytecode) = (megabytes(bytes), megabytes(bytecode));
        format!("{bytes}, {bytecode} of it bytecode ({count})")
    };
    let packages = report.packages.iter().take(LINES_SHOWN).map(|package| {
        let value = value(package.bytes, package.bytecode, package.count);
        (package.name.clone(), package.bytes as f64, value)
    });
    table(page, &packages.collect::<Vec<_>>());
    for package in report.packages.iter().take(LINES_SHOWN) {
        if package.modules.len() < 2 {
            continue;
        }
        let _ = writeln!(
            page,
            "<details><summary>{}: {} modules</summary>",
            escape(&package.name),
            package.modules.len()
        );
        let modules = package.modules.iter().take(LINES_SHOWN).map(|module| {
            let value = value(module.bytes, module.bytecode, module.count);
            (module.name.clone(), module.bytes as f64, value)
        });
        table(page, &modules.collect::<Vec<_>>());
        page.push_str("</details>\n");
    }
}

fn objects(page: &mut String, report: &BuildReport) {
    if report.objects.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Live objects by type</h2>\n<p>What the garbage collector knows, what that refers \
         to, and what code consists of. Memory that C code took for itself is not counted.</p>\n",
    );
    let rows = report.objects.iter().take(LINES_SHOWN).map(|objects| {
        let value = format!("{} ({})", megabytes(objects.bytes), objects.count);
        (objects.kind.clone(), objects.bytes as f64, value)
    });
    table(page, &rows.collect::<Vec<_>>());
}
