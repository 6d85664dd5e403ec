//! How the outcome of a change is shown: what was done, what differs, who has to be told, what to do next.

use super::Context;
use super::output::{paint, paint_code, style};
use crate::model::{Custody, Role};
use crate::ops::Error;
use crate::ops::network::change::{FileChange, Outcome};
use crate::ops::network::difference::Difference;
use crate::ops::network::view::NodeView;

/// So many names are listed before the rest is counted.
const LISTED: usize = 8;

/// Shows the outcome of a change.
pub(super) fn show(context: &Context, outcome: &Outcome) -> Result<(), Error> {
    if context.out.is_json() {
        return context.out.show(outcome, |_| String::new());
    }
    if outcome.saved {
        show_once(context, outcome)?;
        context.out.note(summary(outcome).trim_end());
        return Ok(());
    }
    context.out.text(&outcome.files.iter().map(file_change).collect::<String>())?;
    context.out.note(summary(outcome).trim_end());
    context.out.note(paint(style::WARN, "dry run: nothing was changed"));
    Ok(())
}

/// Prints the files with keys that are kept nowhere. They must be seen, also under `--quiet`.
pub(super) fn show_once(context: &Context, outcome: &Outcome) -> Result<(), Error> {
    let files: String = outcome.shown_once.iter().map(shown_file).collect();
    if files.is_empty() { Ok(()) } else { context.out.text(&files) }
}

/// Shows what would follow from a change and asks whether it is to be made, unless that was said with the command. With
/// `--json` it only asks: what is shown then is for programs.
pub(super) fn preview_and_confirm(
    context: &Context,
    question: &str,
    preview: impl FnOnce() -> Result<Outcome, Error>,
) -> Result<(), Error> {
    if context.dry_run || context.yes {
        return Ok(());
    }
    let outcome = preview()?;
    let consequences = consequences(&outcome);
    if !context.out.is_json() && !consequences.is_empty() {
        context.out.note(consequences.trim_end());
    }
    context.confirm(question)
}

/// Returns what would follow, to be read before a question is answered.
fn consequences(outcome: &Outcome) -> String {
    let mut text = String::new();
    for node in outcome.nodes.iter().filter(|_| outcome.action == "removed") {
        text.push_str(&format!("{} {}\n", paint(style::BAD, "-"), headline(node)));
    }
    text.push_str(&body(outcome));
    text
}

fn summary(outcome: &Outcome) -> String {
    let (sign, colour) = match outcome.action {
        "added" | "enabled" | "granted" | "linked" => ("+", style::GOOD),
        "removed" | "disabled" | "revoked" | "unlinked" => ("-", style::BAD),
        _ => ("~", style::WARN),
    };
    let mut text = String::new();
    for node in &outcome.nodes {
        text.push_str(&format!("{} {} {}\n", paint(colour, sign), outcome.action, headline(node)));
    }
    for subject in &outcome.subjects {
        text.push_str(&format!("{} {} {}\n", paint(colour, sign), outcome.action, paint(style::STRONG, subject)));
    }
    if outcome.nodes.is_empty() && outcome.subjects.is_empty() {
        text.push_str(&format!("{} {} the network\n", paint(colour, sign), outcome.action));
    }
    text.push_str(&body(outcome));
    text.push_str(&next_line(outcome));
    text
}

/// Returns the line that says which command most likely comes next; nothing where there is none.
pub(super) fn next_line(outcome: &Outcome) -> String {
    next(outcome).map_or_else(String::new, |next| format!("  {} {}\n", paint(style::DIM, "next:"), paint_code(&next)))
}

fn headline(node: &NodeView) -> String {
    let name = paint(style::STRONG, &node.name);
    let state = if node.enabled { String::new() } else { paint(style::WARN, "  (disabled)") };
    format!("{} {name}  {}{state}", node.role, node.addresses().join("  "))
}

/// So many differences are shown before the rest is counted.
const DIFFERENCES: usize = 24;

/// Returns what differs and who has to be told.
pub(super) fn body(outcome: &Outcome) -> String {
    let mut text = differences(outcome);
    for remark in &outcome.remarks {
        text.push_str(&format!("  {} {}\n", paint(style::WARN, "note:"), paint_code(remark)));
    }
    if !outcome.deploy.is_empty() {
        text.push_str(&format!("  {} {}\n", paint(style::DIM, "to deploy:"), names(&outcome.deploy)));
    }
    if !outcome.new_files.is_empty() {
        text.push_str(&format!("  {} {}\n", paint(style::DIM, "needs a new file:"), names(&outcome.new_files)));
    }
    text
}

/// Returns a line for each value that differs, aligned. Whose it is, is said unless it is clear.
fn differences(outcome: &Outcome) -> String {
    let subject = match outcome.nodes.as_slice() {
        [] => Some(""),
        [one] => Some(one.name.as_str()),
        _ => None,
    };
    let is_new = |change: &&Difference| match change.field {
        "enabled" => !outcome.nodes.iter().any(|node| node.name.as_str() == change.node), // the headline says it
        _ => true,
    };
    let rows: Vec<(&str, &Difference)> = outcome
        .changes
        .iter()
        .filter(is_new)
        .map(|change| (if Some(change.node.as_str()) == subject { "" } else { change.node.as_str() }, change))
        .collect();
    aligned(rows)
}

/// Returns a line for each difference, behind whose it is. Of a list, a line for each item that came or went.
pub(super) fn aligned(rows: Vec<(&str, &Difference)>) -> String {
    let whose = rows.iter().map(|(whose, _)| whose.len()).max().unwrap_or(0);
    let field = rows.iter().map(|(_, change)| change.field.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (name, change) in rows {
        let name = if whose == 0 { String::new() } else { format!("{name:whose$}  ") };
        let values = values(change).into_iter();
        lines.extend(values.map(|value| format!("    {name}{:field$}  {value}\n", change.field)));
    }
    let more = lines.len().saturating_sub(DIFFERENCES);
    lines.truncate(DIFFERENCES);
    if more > 0 {
        lines.push(format!("    {}\n", paint(style::DIM, format!("and {more} more"))));
    }
    lines.concat()
}

/// Returns what differs of a value.
fn values(change: &Difference) -> Vec<String> {
    let removed = change.removed.iter().map(|item| paint(style::BAD, format!("- {item}")));
    let added = change.added.iter().map(|item| paint(style::GOOD, format!("+ {item}")));
    let items: Vec<String> = removed.chain(added).collect();
    if !items.is_empty() {
        return items;
    }
    let value = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let (before, after) = (paint(style::BAD, value(&change.before)), paint(style::GOOD, value(&change.after)));
    vec![format!("{before} {} {after}", paint(style::DIM, "→"))]
}

pub(super) fn names(names: &[crate::model::Name]) -> String {
    let listed: Vec<&str> = names.iter().take(LISTED).map(|name| name.as_str()).collect();
    match names.len().saturating_sub(LISTED) {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// Returns the command that most likely comes next.
fn next(outcome: &Outcome) -> Option<String> {
    if !outcome.saved {
        return None;
    }
    let node = outcome.nodes.first();
    let needs_file = |node: &NodeView| outcome.new_files.contains(&node.name);
    match (outcome.action, node) {
        ("added" | "rotated", Some(node))
            if node.role == Role::Remote && needs_file(node) && outcome.shown_once.is_empty() =>
        {
            let command = if node.custody == Custody::NeverSeen { "generate" } else { "qr" }; // a QR code needs the key
            let staged = outcome.changes.iter().any(|change| change.field == "next-key" && change.after != "none");
            let first = if staged { "`wg-friend deploy`, then " } else { "" };
            Some(format!("{first}`wg-friend {command} {}`", node.name))
        }
        _ if !outcome.deploy.is_empty() => Some("`wg-friend plan`".into()),
        ("added", Some(node)) if needs_file(node) && node.role != Role::Remote => Some(format!(
            "`wg-friend set {0} host=HOST` to deploy over SSH, or `wg-friend generate {0}` for its file",
            node.name
        )),
        _ => None,
    }
}

fn shown_file(file: &crate::ops::network::change::ShownFile) -> String {
    format!(
        "# {} of {}: shown this once, the private key is kept nowhere\n{}\n",
        file.file,
        file.node,
        file.content.trim_end()
    )
}

fn file_change(change: &FileChange) -> String {
    let title = format!("{} {} of {}", if change.new { "new:" } else { "changed:" }, change.file, change.node);
    let mut text = format!("{}\n", paint(style::STRONG, title));
    for line in change.text.lines().skip_while(|line| line.starts_with("---") || line.starts_with("+++")) {
        let colour = match line.as_bytes().first() {
            _ if change.new => style::PLAIN,
            Some(b'+') => style::GOOD,
            Some(b'-') => style::BAD,
            Some(b'@') => style::DIM,
            _ => style::PLAIN,
        };
        text.push_str(&format!("  {}\n", paint(colour, line)));
    }
    text.push('\n');
    text
}
