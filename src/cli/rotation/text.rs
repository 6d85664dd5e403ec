//! What `rotation` shows to people.

use chrono::{DateTime, Utc};

use crate::cli::output::{Cell, Fields, Table, paint, paint_code, style};
use crate::cli::status::duration;
use crate::ops::rotation::policy::apply::{Applied, End};
use crate::ops::rotation::policy::due::{Amount, Standing, State, Why};
use crate::ops::rotation::policy::edit::Changed;
use crate::ops::rotation::policy::event::{Told, Withdrawn};
use crate::ops::rotation::policy::view::{Due, List, Log, PolicyView, SOON_DAYS, Shown, Summary};

/// So many names are told before the rest is counted.
const TOLD: usize = 8;

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

fn dash() -> String {
    "-".to_owned()
}

/// What makes a key due, in words.
fn trigger(policy: &PolicyView) -> String {
    match (policy.every_days, policy.usage_bytes) {
        (Some(1), _) => "every day".to_owned(),
        (Some(days), _) => format!("every {days} days"),
        (None, Some(bytes)) => format!("after {}", Amount(bytes)),
        (None, None) => {
            let events: Vec<String> = policy.on.iter().map(|event| event.as_str().replace('_', "-")).collect();
            format!("on {}", events.join(", "))
        }
    }
}

pub(super) fn list(list: &List) -> String {
    if list.policies.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["POLICY", "WHEN", "WHOM", "NODES", "DUE", "SOON", "DEPLOYS", "STATE"]);
    for policy in &list.policies {
        let count = |count: usize, style| if count == 0 { Cell::new(0, style::DIM) } else { Cell::new(count, style) };
        table.row([
            Cell::new(&policy.name, style::STRONG),
            Cell::new(trigger(policy), style::PLAIN),
            Cell::new(policy.scope.join(", "), style::PLAIN),
            Cell::new(policy.nodes, style::PLAIN),
            count(policy.overdue, style::BAD),
            count(policy.due_soon, style::WARN),
            Cell::new(if policy.auto_deploy { "yes" } else { "no" }, style::DIM),
            if policy.enabled { Cell::new("enabled", style::GOOD) } else { Cell::new("disabled", style::WARN) },
        ]);
    }
    table.render()
}

pub(super) fn after_list(list: &List) -> String {
    if list.policies.is_empty() {
        return paint_code("no policies yet; make one with `wg-friend rotation policy add --preset 90d`");
    }
    summary(&list.summary)
}

/// The sums, in a line.
pub(super) fn summary(summary: &Summary) -> String {
    let Some(percent) = summary.in_order_percent else {
        return "no enabled policy covers anybody".to_owned();
    };
    let nodes = if summary.scheduled == 1 { "1 node".to_owned() } else { format!("{} nodes", summary.scheduled) };
    let mut text = format!(
        "{nodes} covered: {} due, {} within {SOON_DAYS} days, {percent} % in order",
        summary.overdue, summary.due_soon
    );
    if summary.uncovered > 0 {
        text.push_str(&format!("; {} covered by no policy", summary.uncovered));
    }
    text
}

pub(super) fn shown(shown: &Shown, now: DateTime<Utc>) -> String {
    let policy = &shown.policy;
    let mut fields = Fields::new();
    fields.add("policy", Cell::new(&policy.name, style::STRONG));
    fields.add("when", trigger(policy));
    fields.add("whom", policy.scope.join(", "));
    fields.add("state", if policy.enabled { "enabled" } else { "disabled" }.to_owned());
    fields.add("deploys", if policy.auto_deploy { "yes" } else { "no" }.to_owned());
    fields.add("notice", format!("{} days", policy.notice_days));
    fields.add("since", day(policy.created));
    fields.add("covers", format!("{} nodes, of which {} are due by it first", policy.nodes, policy.overdue));
    let mut text = fields.render();
    if !shown.standings.is_empty() {
        text.push('\n');
        text.push_str(&table(&shown.standings, now, false));
    }
    text
}

pub(super) fn due(due: &Due, now: DateTime<Utc>, verbose: bool) -> String {
    if due.nodes.is_empty() { String::new() } else { table(&due.nodes, now, verbose) + &notes(&due.nodes) }
}

fn table(nodes: &[Standing], now: DateTime<Utc>, verbose: bool) -> String {
    let mut table = match verbose {
        true => Table::new(&["NODE", "ROLE", "DUE", "WHY", "POLICY", "LAST", "TRAFFIC"]),
        false => Table::new(&["NODE", "ROLE", "DUE", "WHY", "POLICY", "LAST"]),
    };
    for node in nodes {
        let cells = [
            Cell::new(&node.node, style::STRONG),
            Cell::new(node.role, style::DIM),
            when(node, now),
            Cell::new(&node.why, style::PLAIN),
            Cell::new(&node.policy, style::PLAIN),
            Cell::new(day(node.last), style::DIM),
        ];
        match (verbose, cells) {
            (false, cells) => table.row(cells),
            (true, [a, b, c, d, e, f]) => {
                let traffic = format!("{} of {}", Amount(node.traffic.under_key), Amount(node.traffic.total));
                table.row([a, b, c, d, e, f, Cell::new(traffic, style::DIM)]);
            }
        }
    }
    table.render()
}

fn when(node: &Standing, now: DateTime<Utc>) -> Cell {
    let estimated = matches!(node.why, Why::Usage { .. });
    let about = if estimated { "about " } else { "" };
    match (node.state, node.next) {
        (State::Due, _) if node.urgent => Cell::new("now, urgent", style::BAD.bold()),
        (State::Due, Some(next)) if (now - next).num_seconds() >= 60 => {
            Cell::new(format!("since {about}{}", duration((now - next).num_seconds())), style::BAD)
        }
        (State::Due, _) => Cell::new("now", style::BAD),
        (state, Some(next)) => {
            let style = if state == State::Soon { style::WARN } else { style::PLAIN };
            Cell::new(format!("in {about}{}", duration((next - now).num_seconds())), style)
        }
        (_, None) => Cell::new(dash(), style::DIM),
    }
}

/// What the table can't say: who needs a person, and what can't wait.
fn notes(nodes: &[Standing]) -> String {
    let mut text = String::new();
    for node in nodes.iter().filter(|node| node.state == State::Due) {
        if let Some(by_hand) = &node.by_hand {
            text.push_str(&format!("{}: {}\n", paint(style::STRONG, &node.node), paint_code(by_hand)));
        }
    }
    if text.is_empty() { text } else { format!("\nby hand:\n{text}") }
}

pub(super) fn changed(changed: &Changed) -> String {
    let policy = &changed.policy;
    let (sign, colour) = match changed.action {
        "added" => ("+", style::GOOD),
        "removed" => ("-", style::BAD),
        _ => ("~", style::WARN),
    };
    let name = paint(style::STRONG, &policy.name);
    let mut text = format!("{} {} rotation policy {name}", paint(colour, sign), changed.action);
    text.push_str(&format!(": {}, {}", trigger(policy), policy.scope.join(", ")));
    let nodes = match policy.nodes {
        1 => "1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    };
    text.push_str(&format!(" ({nodes})"));
    if !policy.enabled {
        text.push_str(&paint(style::WARN, ", disabled"));
    }
    if policy.auto_deploy {
        text.push_str(", deploys by itself");
    }
    if !changed.saved {
        text.push_str(&format!("\n{}", paint(style::WARN, "dry run: nothing was changed")));
    } else if changed.action != "removed" {
        let next = "`wg-friend rotation due` says whose keys are due, or will be soon";
        text.push_str(&format!("\n  {} {}", paint(style::DIM, "next:"), paint_code(next)));
    }
    text
}

fn listed<T: ToString>(names: &[T]) -> String {
    let told = names.iter().take(TOLD).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if names.len() > TOLD { format!("{told} and {} more", names.len() - TOLD) } else { told }
}

pub(super) fn told(told: &Told) -> String {
    let what = told.event.as_str().replace('_', " ");
    let mut text = format!("{} {}: {}", paint(style::WARN, "!"), paint(style::STRONG, what), listed(&told.nodes));
    if told.urgent {
        let urgent = "urgent: whoever has the key gets in with it until the hosts no longer know it; `wg-friend rotate NODE --now` \
                      and `wg-friend deploy` shut it out at once";
        text.push_str(&format!("\n  {}", paint_code(urgent)));
    }
    if !told.uncovered.is_empty() {
        let event = told.event.as_str().replace('_', "-");
        let advice = format!(
            "no enabled policy replaces the keys of {} because of that: `wg-friend rotate NODE` does, or \
             `wg-friend rotation policy add` with `--on {event}` from now on",
            listed(&told.uncovered)
        );
        text.push_str(&format!("\n  {}", paint_code(&advice)));
    }
    if !told.preshared.links.is_empty() {
        let line = format!(
            "another preshared key, once both ends are deployed in one go: {}",
            told.preshared.links.join(", ")
        );
        text.push_str(&format!("\n  {line}"));
    }
    for remark in &told.preshared.remarks {
        text.push_str(&format!("\n  {} {}", paint(style::WARN, "note:"), paint_code(remark)));
    }
    if told.uncovered.len() < told.nodes.len() {
        let next = "`wg-friend rotation apply` replaces what is due";
        text.push_str(&format!("\n  {} {}", paint(style::DIM, "next:"), paint_code(next)));
    }
    if !told.saved {
        text.push_str(&format!("\n{}", paint(style::WARN, "dry run: nothing was changed")));
    }
    text
}

pub(super) fn withdrawn(withdrawn: &Withdrawn) -> String {
    let what = withdrawn.event.as_str().replace('_', " ");
    let (sign, what) = (paint(style::GOOD, "-"), paint(style::STRONG, &what));
    let mut text = format!("{sign} taken back, {what}: {}", listed(&withdrawn.nodes));
    if !withdrawn.saved {
        text.push_str(&format!("\n{}", paint(style::WARN, "dry run: nothing was changed")));
    }
    text
}

pub(super) fn applied(applied: &Applied, now: DateTime<Utc>) -> String {
    if applied.nodes.is_empty() {
        return format!("nothing is due\n{}", left_over(applied));
    }
    let mut table = Table::new(&["NODE", "WHY", "POLICY", "OUTCOME"]);
    for node in &applied.nodes {
        let outcome = match node.end {
            End::Rotated if node.deployed == Some(false) => Cell::new("new key, not deployed", style::WARN),
            End::Rotated if node.deployed == Some(true) => Cell::new("new key, deployed", style::GOOD),
            End::Rotated if node.staged => Cell::new("next key staged", style::GOOD),
            End::Rotated => Cell::new("new key", style::GOOD),
            End::WouldRotate if node.standing.state == State::Due => when(&node.standing, now),
            End::WouldRotate => Cell::new("ahead of time", style::PLAIN),
            End::ByHand => Cell::new("by hand", style::WARN),
            End::Waiting => Cell::new("waits for its device", style::WARN),
            End::Failed => Cell::new("failed", style::BAD),
            End::OverLimit => Cell::new("over the limit", style::DIM),
        };
        table.row([
            Cell::new(&node.standing.node, style::STRONG),
            Cell::new(&node.standing.why, style::PLAIN),
            Cell::new(&node.standing.policy, style::PLAIN),
            outcome,
        ]);
    }
    let mut text = table.render();
    for node in &applied.nodes {
        let why = [&node.error, &node.hint, &node.deploy_note];
        let why: Vec<&str> = why.into_iter().flatten().map(String::as_str).collect();
        if !why.is_empty() {
            let name = paint(style::STRONG, &node.standing.node);
            text.push_str(&format!("{name}: {}\n", paint_code(&why.join("; "))));
        }
    }
    text.push_str(&left_over(applied));
    if !applied.saved {
        text.push_str(&format!("{}\n", paint(style::WARN, "nothing was changed yet")));
    }
    text
}

/// What became of the hosts that were to be deployed for keys replaced before.
fn left_over(applied: &Applied) -> String {
    let mut text = String::new();
    for one in &applied.left_over {
        let (node, policy) = (paint(style::STRONG, &one.node), &one.policy);
        let hosts = listed(&one.hosts.iter().collect::<Vec<_>>());
        let how = match (one.deployed, &one.deploy_note) {
            _ if one.hosts.is_empty() => "no host has to learn of it any more".to_owned(),
            (None, _) => format!("not deployed yet: {hosts}"),
            (Some(true), _) => format!("deployed now: {hosts}"),
            (Some(false), note) => format!("still not deployed: {}", note.as_deref().unwrap_or(&hosts)),
        };
        text.push_str(&format!("{node}, replaced before by {policy}: {}\n", paint_code(&how)));
    }
    text
}

/// What is left to do once keys were replaced.
pub(super) fn next(applied: &Applied) -> String {
    let rotated = || applied.nodes.iter().filter(|node| node.end == End::Rotated);
    let mut files: Vec<String> = rotated().flat_map(|node| &node.new_files).map(ToString::to_string).collect();
    files.sort();
    files.dedup();
    let mut text = String::new();
    let mut say = |line: String| text.push_str(&format!("  {} {}\n", paint(style::DIM, "next:"), paint_code(&line)));
    if rotated().any(|node| node.deployed != Some(true) && !node.deploy.is_empty()) {
        say("`wg-friend deploy` takes the new keys to the hosts".to_owned());
    }
    if !files.is_empty() {
        say(format!("hand new files to {}: `wg-friend qr NODE` or `wg-friend generate NODE`", listed(&files)));
    }
    text
}

pub(super) fn log(log: &Log) -> String {
    if log.executions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["TIME", "NODE", "POLICY", "WHY", "OLD KEY", "NEW KEY", "OUTCOME"]);
    let short = |key: &str| key.chars().take(8).collect::<String>();
    for one in &log.executions {
        let outcome = match (&one.error, one.finished, one.deployed) {
            (Some(error), ..) => Cell::new(format!("failed: {error}"), style::BAD),
            (None, None, Some(true)) => Cell::new("interrupted, deployed since", style::WARN),
            (None, None, Some(false)) => Cell::new("interrupted or under way, not deployed yet", style::WARN),
            (None, None, None) => Cell::new("interrupted, or under way", style::WARN),
            (None, _, Some(true)) => Cell::new("deployed", style::GOOD),
            (None, _, Some(false)) => match &one.deploy_note {
                Some(note) => Cell::new(format!("not deployed yet: {note}"), style::WARN),
                None => Cell::new("not deployed yet", style::WARN),
            },
            (None, _, None) => Cell::new("replaced", style::GOOD),
        };
        table.row([
            Cell::new(one.started.format("%Y-%m-%d %H:%M"), style::DIM),
            Cell::new(&one.node, style::STRONG),
            Cell::new(&one.policy, style::PLAIN),
            Cell::new(&one.why, style::PLAIN),
            Cell::new(short(&one.old_key.to_string()), style::DIM),
            Cell::new(one.new_key.map_or_else(dash, |key| short(&key.to_string())), style::DIM),
            outcome,
        ]);
    }
    table.render()
}
