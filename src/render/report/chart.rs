//! Bar charts as inline SVG: no script, no font of their own, readable in black and white.

use std::fmt::Write as _;

use super::Chart;

/// Height of a bar with the room below it, in user units.
const STEP: usize = 22;
/// Where bars begin, to the right of their labels.
const LEFT: usize = 190;
/// How long the longest bar is.
const LONGEST: usize = 420;
/// How wide the whole is, with room for the number behind the longest bar.
const WIDTH: usize = 680;
/// How many characters of a label fit before its bar.
const LABEL: usize = 28;

/// Draws a chart. What an element says is escaped.
pub(super) fn svg(chart: &Chart) -> String {
    let most = chart.bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let height = chart.bars.len() * STEP + 4;
    let told: Vec<String> = chart.bars.iter().map(|bar| format!("{}: {}", bar.label, bar.value)).collect();
    let told = escape(&format!("{}. {}", chart.title, told.join(", ")));
    let mut text = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{told}">"#);
    for (at, bar) in chart.bars.iter().enumerate() {
        let (top, middle) = (at * STEP + 3, at * STEP + 15);
        let length = (bar.value * LONGEST).div_ceil(most);
        let class = if bar.dark { "dark" } else { "plain" };
        let label = escape(&shortened(&bar.label));
        let _ = write!(
            text,
            r#"<text x="{}" y="{middle}" text-anchor="end">{label}</text><rect class="{class}" x="{LEFT}" y="{top}" width="{length}" height="16"/><text x="{}" y="{middle}">{}</text>"#,
            LEFT - 8,
            LEFT + length + 6,
            bar.value
        );
    }
    text + "</svg>"
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL {
        return label.to_owned();
    }
    label.chars().take(LABEL - 1).chain(['…']).collect()
}

/// Escapes a text for an element or a quoted attribute. What XML has no place for becomes a blank.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
