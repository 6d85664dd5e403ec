//! Reports as GitHub-flavoured Markdown.

use super::{Block, Chart, Document, Fact, Finding, Table};

/// How long the longest bar of a chart is, in characters.
const LONGEST: usize = 40;

/// Writes a report.
pub(super) fn write(document: &Document) -> String {
    let mut text = String::new();
    let mut put = |part: String| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&part);
    };
    put(format!("# {}\n", escape(&document.title)));
    if !document.organisation.is_empty() {
        put(format!("**{}**\n", escape(&document.organisation)));
    }
    put(facts(&document.front, ["", ""]));
    document.introduction.iter().for_each(|paragraph| put(format!("{}\n", escape(paragraph))));
    if !document.figures.is_empty() {
        put("## At a glance\n".to_owned());
        let rows = document.figures.iter().map(|figure| vec![&*figure.label, &*figure.value, &*figure.note]);
        put(rows_of(&["what", "how many", "note"], rows));
    }
    if document.has_findings {
        put("## What needs attention\n".to_owned());
        if document.findings.is_empty() {
            put("Nothing that this report is about.\n".to_owned());
        }
        document.findings.iter().for_each(|found| put(finding(found)));
    }
    for section in &document.sections {
        put(format!("## {}\n", escape(&section.title)));
        section.text.iter().for_each(|paragraph| put(format!("{}\n", escape(paragraph))));
        for block in &section.blocks {
            put(match block {
                Block::Table(block) => table(block),
                Block::Chart(block) => chart(block),
            });
        }
    }
    if !document.glossary.is_empty() {
        put("## Words\n".to_owned());
        put(facts(&document.glossary, ["word", "meaning"]));
    }
    text
}

fn facts(facts: &[Fact], head: [&str; 2]) -> String {
    rows_of(&head, facts.iter().map(|fact| vec![&*fact.label, &*fact.value]))
}

fn finding(finding: &Finding) -> String {
    let mut text = format!("- **{}**: {}\n", escape(&finding.severity), escape(&finding.what));
    finding.concerns.iter().for_each(|line| text.push_str(&format!("  - {}\n", escape(line))));
    text.push_str(&format!("  - *remedy*: {}", escape(&finding.remedy)));
    let commands: Vec<String> = finding.commands.iter().map(|command| code(command)).collect();
    if !commands.is_empty() {
        text.push_str(&format!(": {}", commands.join(", ")));
    }
    text + "\n"
}

fn table(table: &Table) -> String {
    let title = format!("### {}\n\n", escape(&table.title));
    if table.rows.is_empty() {
        return format!("{title}{}\n", escape(&table.empty));
    }
    let head: Vec<&str> = table.head.iter().map(String::as_str).collect();
    title + &rows_of(&head, table.rows.iter().map(|row| row.iter().map(String::as_str).collect()))
}

fn rows_of<'a>(head: &[&str], rows: impl Iterator<Item = Vec<&'a str>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = head.iter().map(|_| "---".to_owned()).collect();
    let mut text = line(head.iter().map(|cell| escape(cell)).collect()) + &line(rule);
    rows.for_each(|row| text.push_str(&line(row.into_iter().map(escape).collect())));
    text
}

fn chart(chart: &Chart) -> String {
    let most = chart.bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let wide = chart.bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let mut text = format!("### {}\n\n", escape(&chart.title));
    for bar in &chart.bars {
        // A block of code: nothing in it is markup, as long as it stays on its line.
        let label = on_one_line(&bar.label);
        let length = (bar.value * LONGEST).div_ceil(most);
        let drawn = if bar.dark { "█" } else { "▒" }.repeat(length);
        let line = format!("    {label:wide$} {:>6} {drawn}", bar.value);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// Escapes a text so that it shows as it is, also in a table, and stays on its line.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in on_one_line(text).char_indices() {
        let starts_a_line = at == 0 && matches!(c, '#' | '+' | '-' | '=' | ':');
        if starts_a_line || matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    // "1. " at the beginning of a line would make a list.
    let digits = out.chars().take_while(char::is_ascii_digit).count();
    let after = out[digits..].strip_prefix(['.', ')']);
    if digits > 0 && after.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
        out.insert(digits, '\\');
    }
    out
}

/// Returns a text as code. Backticks inside of it are fenced by more of them.
fn code(text: &str) -> String {
    let text = on_one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 { format!("`{text}`") } else { format!("{fence} {text} {fence}") }
}
