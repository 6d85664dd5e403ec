//! What was changed, deployed, and found changed.

use super::super::changes::Changes;
use super::super::drift::Drift;
use super::{counts, figures, minute, or_never, words};
use crate::render::report::{Block, Section, Table};

/// Returns the section on changes and deployments.
pub(super) fn changes(changes: &Changes) -> Section {
    let model = changes.model.iter().map(|change| {
        [
            change.state.to_string(),
            minute(change.time),
            change.operator.clone().unwrap_or_else(|| "–".to_owned()),
            change.description.clone(),
            change.audit_entry.map_or_else(String::new, |entry| entry.to_string()),
        ]
    });
    let operators = changes.operators.iter().map(|(operator, count)| {
        let who = if operator.is_empty() { "–" } else { operator };
        [who.to_owned(), count.to_string()]
    });
    let deployments = changes.deployments.iter().map(|deployment| {
        [
            minute(deployment.started),
            deployment.host.to_string(),
            deployment.version.to_string(),
            deployment.outcome.to_string(),
            deployment.operator.clone(),
            deployment.finished.map_or_else(String::new, minute),
            deployment.note.clone().unwrap_or_default(),
        ]
    });
    let rollbacks = changes.rollbacks.iter().map(|rollback| {
        [minute(rollback.time), rollback.of.clone(), rollback.operator.clone(), rollback.entry.to_string()]
    });
    let mut text = vec!["Every change of the model makes a numbered state that can be brought back. A deployment brings the model to a machine; a machine that doesn't confirm it goes back by itself to what it had.".to_owned()];
    if changes.no_longer_kept > 0 {
        text.push(format!("{} more deployments began in the period; of each machine only so many are kept in detail, and these are known by the audit log alone.", changes.no_longer_kept));
    }
    Section {
        title: "Changes and deployments".to_owned(),
        text,
        blocks: vec![
            Block::Chart(figures::weeks(changes)),
            Block::Table(
                Table::new("Changes by operator", &["operator", "changes"], "There were none.").with(operators),
            ),
            Block::Table(
                Table::new(
                    "Changes of the model in the period",
                    &["state", "when", "by", "what", "entry of the audit log"],
                    "There were none.",
                )
                .with(model),
            ),
            Block::Table(
                Table::new("Deployments by outcome", &["outcome", "how many"], "none").with(counts(&changes.outcomes)),
            ),
            Block::Table(
                Table::new(
                    "Deployments in the period",
                    &["began", "machine", "version", "outcome", "by", "ended", "note"],
                    "There were none.",
                )
                .with(deployments),
            ),
            Block::Table(
                Table::new(
                    "Returns to what was before",
                    &["when", "of", "by", "entry of the audit log"],
                    "There were none.",
                )
                .with(rollbacks),
            ),
        ],
    }
}

/// Returns the section on what was found changed.
pub(super) fn drift(drift: &Drift) -> Section {
    let hosts = drift.hosts.iter().map(|host| {
        [
            host.host.to_string(),
            host.scans.to_string(),
            or_never(host.latest),
            host.outcome.map(|outcome| outcome.to_string()).unwrap_or_default(),
            host.open.to_string(),
        ]
    });
    let items = drift.items.iter().map(|item| {
        let seen = &item.seen;
        [
            seen.host.to_string(),
            words(seen.item.kind.as_str()),
            seen.item.subject.clone(),
            seen.item.severity.to_string(),
            item.state.as_str().to_owned(),
            minute(seen.first_seen),
            minute(seen.last_seen),
        ]
    });
    let acknowledged = drift.acknowledged.iter().map(|ack| {
        [
            ack.host.to_string(),
            format!("{} {}", words(ack.item.kind.as_str()), ack.item.subject).trim_end().to_owned(),
            ack.reason.clone(),
            ack.operator.clone(),
            minute(ack.time),
            ack.until.map_or_else(|| "for good".to_owned(), minute),
        ]
    });
    Section {
        title: "Changes found on hosts".to_owned(),
        text: vec!["Machines are looked at when somebody asks, or by a timer. What differs then from what was deployed was changed there, by a person or a program. What is open now is told however long ago it was found.".to_owned()],
        blocks: vec![
            Block::Table(
                Table::new(
                    "Looks at machines in the period",
                    &["machine", "looks", "the last one", "found", "open now"],
                    "There are no machines that can be looked at.",
                )
                .with(hosts),
            ),
            Block::Table(
                Table::new(
                    "Differences",
                    &["machine", "what", "of", "severity", "stands", "found first", "found last"],
                    "None were found.",
                )
                .with(items),
            ),
            Block::Table(
                Table::new("Acknowledged", &["machine", "what", "why", "by", "when", "until"], "Nothing is.")
                    .with(acknowledged),
            ),
        ],
    }
}
