//! Reports in words: what was gathered, as a document for people who may never have seen WireGuard.

mod figures;
mod operations;
mod people;
mod things;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::warnings::{Area, Warning};
use super::{Kind, Report};
use crate::render::report::{Block, Document, Fact, Finding, Section, Table};

/// Returns the document of a report.
pub(super) fn of(report: &Report) -> Document {
    let mut sections = match report.report {
        Kind::ExecutiveSummary => figures::summary(report),
        _ => details(report),
    };
    sections.push(controls(report));
    Document {
        title: title(report.report).to_owned(),
        organisation: report.organisation.clone(),
        introduction: introduction(report.report),
        front: front(report),
        figures: figures::of(report),
        findings: report.warnings.iter().map(finding).collect(),
        has_findings: true,
        sections,
        glossary: glossary(),
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::AccessControl => "Access control report",
        Kind::KeyRotation => "Key rotation report",
        Kind::ConfigurationChanges => "Configuration changes report",
        Kind::NetworkInventory => "Network inventory",
        Kind::ExecutiveSummary => "Executive summary",
        Kind::FullCompliance => "Compliance report",
    }
}

fn introduction(kind: Kind) -> Vec<String> {
    let about = match kind {
        Kind::AccessControl => {
            "This report says who may reach what in the network, until when and what for, on which servers that is enforced, and who changed it in the period."
        }
        Kind::KeyRotation => {
            "This report says how old every key of the network is, who has it, which were replaced in the period and why, and which devices have an outdated file."
        }
        Kind::ConfigurationChanges => {
            "This report says what was changed in the configuration of the network in the period, what was deployed to which machine with what outcome, and what was found changed there by somebody else."
        }
        Kind::NetworkInventory => {
            "This report lists what the network is made up of: its members, the machines that they run on, and the networks behind them."
        }
        Kind::ExecutiveSummary => {
            "This report sums up how the network stands: how large it is, how old its keys are, how much was changed, and what needs attention. The other reports have the details."
        }
        Kind::FullCompliance => {
            "This report has all that is recorded about the network: what there is, who may reach what, keys, changes, deployments, what was found changed, the audit log, backups, and how secrets are kept."
        }
    };
    vec![
        format!("{about} It was made by wg-friend from its own records; no machine was asked for it, so what it says about machines is what was seen there last."),
        "The network is a virtual private network made with WireGuard: its members reach each other through encrypted tunnels over the internet, and each proves who it is by a key of its own. The words in this report are explained at its end. It holds no key that opens anything, but it says much about the network: treat it as confidential.".to_owned(),
    ]
}

fn front(report: &Report) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Network", &report.network),
        Fact::new("Period", format!("{} to {}", minute(report.period.from), minute(report.period.to))),
        Fact::new("Made", minute(report.generated)),
        Fact::new("Database", format!("{} ({})", report.database, report.database_id)),
        Fact::new("Program", format!("wg-friend {}", report.version)),
    ];
    // Origin, size, root, time and signature: what someone needs who wants to check it, on one line.
    let head = report.audit_head.as_ref().map(|head| head.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
    let head = head.map_or_else(|| "none yet".to_owned(), |lines| lines.join(" / "));
    facts.push(Fact::new("Signed head of the audit log", head));
    facts
}

fn finding(warning: &Warning) -> Finding {
    let line = |concern: &super::warnings::Concern| match concern.since {
        Some(since) => format!("{}, since {}", concern.subject, day(since)),
        None => concern.subject.clone(),
    };
    Finding {
        severity: warning.severity.to_string(),
        what: warning.what.clone(),
        concerns: warning.concerns.iter().map(line).collect(),
        remedy: warning.remedy.to_owned(),
        commands: warning.commands.clone(),
    }
}

fn details(report: &Report) -> Vec<Section> {
    let parts = [
        (Area::Inventory, report.inventory.as_ref().map(things::inventory)),
        (Area::Access, report.access.as_ref().map(people::access)),
        (Area::Keys, report.keys.as_ref().map(|keys| people::keys(keys, report.key_age))),
        (Area::Changes, report.changes.as_ref().map(operations::changes)),
        (Area::Drift, report.drift.as_ref().map(operations::drift)),
        (Area::Safeguards, report.safeguards.as_ref().map(things::safeguards)),
    ];
    let with_controls = |(area, section): (Area, Option<Section>)| {
        section.map(|mut section| {
            section.text.push(evidence(report, area));
            section
        })
    };
    parts.into_iter().filter_map(with_controls).collect()
}

/// Says in a sentence for which controls a part is evidence.
fn evidence(report: &Report, area: Area) -> String {
    let mut frameworks: Vec<(&str, Vec<&str>)> = Vec::new();
    for control in report.controls.iter().filter(|control| control.area == area) {
        match frameworks.iter_mut().find(|(name, _)| *name == control.framework) {
            Some((_, numbers)) => numbers.push(control.number),
            None => frameworks.push((control.framework, vec![control.number])),
        }
    }
    let told = frameworks.iter().map(|(name, numbers)| format!("{name} {}", numbers.join(", ")));
    format!("This part is evidence for {}.", told.collect::<Vec<_>>().join(", and for "))
}

fn controls(report: &Report) -> Section {
    let rows = report.controls.iter().map(|control| {
        let title = if control.framework.starts_with("ISO") {
            control.title.to_owned()
        } else {
            format!("(in our words) {}", control.title)
        };
        [
            format!("{} {}", control.framework, control.number),
            title,
            control.area.title().to_owned(),
            control.evidence.to_owned(),
        ]
    });
    let head = ["control", "about", "evidence under", "what it shows"];
    Section {
        title: "Controls that this evidence supports".to_owned(),
        text: vec!["The evidence in this report can support an assessment of the controls below. Whether a control is met is for the assessor to say: this report claims it for none.".to_owned()],
        blocks: vec![Block::Table(Table::new("Controls", &head, "none").with(rows))],
    }
}

fn glossary() -> Vec<Fact> {
    [
        ("Access level", "What a remote may reach. full: the whole network and all networks behind it. vpn-only: members of the network. lan-only: members, and chosen networks behind them. custom: only what is granted. exit-only: only the internet, through an exit."),
        ("Acknowledged", "Somebody said of a difference why it may be, and until when."),
        ("Adopted", "It was there before wg-friend, which took it over as it was."),
        ("Audit log", "The record of who did what and when. Each entry is bound to those before it, so that an edit shows."),
        ("Checkpoint, signed head", "A signature over the audit log as it was at a moment. Kept elsewhere, it proves that a log is the same and whole."),
        ("Custody", "Who has a private key. held: this database, encrypted, and the device. shown-once: the device alone; it was shown once and forgotten. never-seen: the device made it, and nobody else ever had it."),
        ("Deployment", "Bringing a configuration to a machine. confirmed: it works there. reverted: the machine went back to what it had before. failed: nothing was changed there. unknown: it was interrupted."),
        ("Drift", "A difference between what was deployed to a machine and what it has: somebody or something changed it there."),
        ("Exit", "A member through which others reach the internet."),
        ("Grant", "What a member may reach beyond its level: a destination, a protocol and ports, for good or until a time."),
        ("Key", "A pair of numbers by which a member proves who it is. The private half is secret, the public half is its name to others."),
        ("LAN", "A local network behind a member, which others may reach through it."),
        ("Link", "Two members that have a tunnel with each other."),
        ("Preshared key", "A further secret that just two members share, on top of their keys: a link stays secret even if the mathematics of the keys is broken one day."),
        ("Recovery key", "A key on paper that opens the database when the passphrase is lost."),
        ("Remote", "A device of a person: a phone or a laptop."),
        ("Router", "A member that carries traffic to the networks behind it."),
        ("Server", "The member that others connect to. It enforces who may reach what."),
        ("State", "The numbered model of the network after a change."),
    ]
    .map(|(word, meaning)| Fact::new(word, meaning))
    .to_vec()
}

/// `2026-03-01 12:00 UTC`.
fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// `2026-03-01`.
fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// A time that may not be.
fn or_never(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "never".to_owned(), minute)
}

fn yes(is: bool) -> String {
    if is { "yes".to_owned() } else { "no".to_owned() }
}

/// A word of the model as people type it: `vpn-only`.
fn word(word: &str) -> String {
    word.replace('_', "-")
}

/// A word in a sentence: `key rotation`.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn optional<T: ToString>(item: Option<&T>) -> String {
    item.map(ToString::to_string).unwrap_or_default()
}

/// Rows of a count by words, in the order of the words.
fn counts(counts: &BTreeMap<&'static str, usize>) -> Vec<[String; 2]> {
    counts.iter().map(|(name, count)| [word(name), count.to_string()]).collect()
}
