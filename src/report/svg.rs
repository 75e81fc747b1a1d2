//! Pictures in the page, as SVG.

use crate::guest::import_times::Import;
use std::fmt::Write;

const WIDTH: f64 = 1000.0;
const ROW: f64 = 20.0;
/// Narrower boxes are left out: nobody sees them.
const NARROWEST: f64 = 0.5;
/// Deeper ones are left out of the picture.
const DEEPEST: usize = 60;
/// As wide as a letter is, about.
const LETTER: f64 = 6.6;

/// `text` as it may stand in HTML and SVG, attributes included. Control characters, which
/// XML does not have, are replaced.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Imports side by side in the order they ran, what each imports below it.
pub(crate) fn flames(imports: &[Import]) -> String {
    let end = imports.iter().map(|i| i.start_ms + i.cumulative_ms);
    let end = end.fold(0.0, f64::max);
    let mut boxes = String::new();
    let mut deepest = 0;
    let mut queue: Vec<(usize, &Import)> = imports.iter().rev().map(|i| (0, i)).collect();
    while let Some((depth, import)) = queue.pop() {
        let width = import.cumulative_ms / end * WIDTH;
        if !(width >= NARROWEST && depth < DEEPEST) {
            continue;
        }
        deepest = deepest.max(depth + 1);
        draw(
            &mut boxes,
            import,
            depth,
            import.start_ms / end * WIDTH,
            width,
        );
        queue.extend(import.imports.iter().rev().map(|i| (depth + 1, i)));
    }
    let height = deepest as f64 * ROW;
    format!(
        "<svg class=\"flames\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"Imports by time\">\n{boxes}</svg>\n"
    )
}

fn draw(boxes: &mut String, import: &Import, depth: usize, x: f64, width: f64) {
    let y = depth as f64 * ROW;
    let name = escape(&import.name);
    // Modules of one package have one colour.
    let package = import.name.split('.').next().unwrap_or_default();
    let hue = package.bytes().fold(7_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u32::from(byte))
    }) % 12;
    let inner = (width - 1.0).max(0.4);
    let _ = write!(
        boxes,
        "<g><title>{name}: {:.2} ms, own {:.2} ms</title><rect class=\"h{hue}\" x=\"{x:.2}\" \
         y=\"{y}\" width=\"{inner:.2}\" height=\"{}\" rx=\"2\"/>",
        import.cumulative_ms,
        import.own_ms,
        ROW - 1.0
    );
    let room = ((width - 8.0) / LETTER).max(0.0) as usize;
    if room >= 3 {
        let all = import.name.chars().count() <= room;
        let shown: String = import.name.chars().take(room - usize::from(!all)).collect();
        let dots = if all { "" } else { "…" };
        let shown = escape(&shown);
        let _ = write!(
            boxes,
            "<text x=\"{:.2}\" y=\"{}\">{shown}{dots}</text>",
            x + 4.0,
            y + 14.0
        );
    }
    boxes.push_str("</g>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_narrow_boxes_left_out() {
        let import = |name: &str, start_ms, cumulative_ms| Import {
            name: name.to_owned(),
            start_ms,
            cumulative_ms,
            ..Import::default()
        };
        let mut outer = import("<b>&\"'\u{1}", 0.0, 99.0);
        outer.imports = vec![import("inner", 10.0, 50.0)];
        let imports = [outer, import("narrow", 99.5, 0.001)];
        let svg = flames(&imports);
        assert_eq!(svg, flames(&imports));
        assert!(svg.contains("&lt;b&gt;&amp;&quot;&#39;\u{fffd}"), "{svg}");
        assert!(!svg.contains("<b>") && !svg.contains("narrow"), "{svg}");
        assert_eq!(svg.matches("<rect ").count(), 2);
        for tag in ["svg", "g", "title", "text"] {
            let opened =
                svg.matches(&format!("<{tag}>")).count() + svg.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(flames(&[]).contains("viewBox=\"0 0 1000 0\""));
    }
}
