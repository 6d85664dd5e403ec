//! Reports as CSV (RFC 4180): every record has as many fields, so that any reader takes the file whole.
//!
//! The first field says which part of the report a record belongs to, the second whether it is a heading of columns or a row
//! of them. A spreadsheet that filters by the first has the table.

use super::{Block, Document};

/// Writes a report.
pub(super) fn write(document: &Document) -> String {
    let mut records: Vec<Vec<String>> = Vec::new();
    let mut part = |name: &str, head: &[&str], rows: Vec<Vec<String>>| {
        let named = |what: &str, cells: Vec<String>| [vec![name.to_owned(), what.to_owned()], cells].concat();
        records.push(named("columns", head.iter().map(|cell| (*cell).to_owned()).collect()));
        records.extend(rows.into_iter().map(|cells| named("row", cells)));
    };
    let mut front = vec![vec!["Title".to_owned(), document.title.clone()]];
    if !document.organisation.is_empty() {
        front.push(vec!["Organisation".to_owned(), document.organisation.clone()]);
    }
    front.extend(document.front.iter().map(|fact| vec![fact.label.clone(), fact.value.clone()]));
    part("Report", &["what", "value"], front);
    let figures = document.figures.iter().map(|f| vec![f.label.clone(), f.value.clone(), f.note.clone()]);
    part("At a glance", &["what", "how many", "note"], figures.collect());
    if document.has_findings {
        let findings = document.findings.iter().map(|f| {
            let (concerns, commands) = (f.concerns.join("; "), f.commands.join("; "));
            vec![f.severity.clone(), f.what.clone(), concerns, f.remedy.clone(), commands]
        });
        part("What needs attention", &["severity", "what", "concerns", "remedy", "commands"], findings.collect());
    }
    for section in &document.sections {
        for block in &section.blocks {
            match block {
                Block::Table(table) => {
                    let head: Vec<&str> = table.head.iter().map(String::as_str).collect();
                    part(&format!("{}: {}", section.title, table.title), &head, table.rows.clone());
                }
                Block::Chart(chart) => {
                    let rows = chart.bars.iter().map(|bar| vec![bar.label.clone(), bar.value.to_string()]);
                    part(&format!("{}: {}", section.title, chart.title), &["what", "how many"], rows.collect());
                }
            }
        }
    }
    let width = records.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for mut record in records {
        record.resize(width, String::new());
        let fields: Vec<String> = record.iter().map(|field| quote(&tame(field))).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Puts an apostrophe before what a spreadsheet would take for a formula; it shows the text then.
pub(super) fn tame(field: &str) -> String {
    let is_number = field.parse::<f64>().is_ok_and(f64::is_finite);
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number {
        return format!("'{field}");
    }
    field.to_owned()
}

/// Quotes a field where RFC 4180 wants it.
pub(super) fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) || field.starts_with(' ') || field.ends_with(' ') {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}
