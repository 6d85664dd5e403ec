//! What there is, and what keeps it safe.

use super::super::inventory::Inventory;
use super::super::safeguards::Safeguards;
use super::{day, listed, minute, optional, or_never, word, yes};
use crate::render::report::{Block, Section, Table};

/// Returns the section on what there is.
pub(super) fn inventory(inventory: &Inventory) -> Section {
    let nodes = inventory.nodes.iter().map(|node| {
        [
            node.name.to_string(),
            match &node.device {
                Some(device) => format!("{}, {device}", node.role),
                None => node.role.to_string(),
            },
            yes(node.enabled),
            listed(&node.addresses),
            node.endpoint.clone().unwrap_or_default(),
            optional(node.host.as_ref()),
            format!("{} ({})", day(node.created), node.origin),
            // As much of it as commands need; the whole is in the JSON.
            format!("{}…", node.guid.chars().take(8).collect::<String>()),
            node.notes.clone(),
        ]
    });
    let hosts = inventory.hosts.iter().map(|host| {
        let deployed = host
            .deployed
            .map_or_else(|| "nothing".to_owned(), |(version, time)| format!("version {version}, {}", minute(time)));
        [host.name.to_string(), host.reached.clone(), listed(&host.nodes), deployed]
    });
    let lans = inventory.lans.iter().map(|lan| [lan.prefix.clone(), lan.description.clone(), lan.node.to_string()]);
    let head = ["member", "role", "enabled", "addresses", "dialled at", "machine", "since", "permanent name", "notes"];
    Section {
        title: "Inventory".to_owned(),
        text: vec![format!(
            "The network has the addresses {}. Links between its members: {}.",
            listed(&inventory.prefixes),
            inventory.links
        )],
        blocks: vec![
            Block::Table(Table::new("Members", &head, "There are none.").with(nodes)),
            Block::Table(
                Table::new("Machines", &["machine", "reached at", "members on it", "runs"], "There are none.")
                    .with(hosts),
            ),
            Block::Table(
                Table::new("Networks behind members", &["network", "what it is", "behind"], "There are none.")
                    .with(lans),
            ),
        ],
    }
}

/// Returns the section on audit log, backups and vault.
pub(super) fn safeguards(safeguards: &Safeguards) -> Section {
    let Safeguards { audit, backups, vault } = safeguards;
    let checked = if audit.authenticated {
        "Its entries, their authentication codes, its checkpoints and its end were checked for this report."
    } else {
        "Its chain and its checkpoints were checked for this report; its authentication codes and its end were not, since the database was locked."
    };
    let verdict = match &audit.fault {
        None => format!("The audit log has {} entries and is as it was written.", audit.entries),
        Some(fault) => {
            format!("The audit log is not as it was written: {fault}. {} entries before are in order.", audit.entries)
        }
    };
    let categories = audit.by_category.iter().map(|of| {
        let count = |severity: &str| of.severities.get(severity).copied().unwrap_or_default().to_string();
        [of.category.to_string(), count("info"), count("warning"), count("critical")]
    });
    let failed = audit.failed_unlocks.iter().map(|failed| {
        [
            minute(failed.time),
            failed.operator.clone(),
            failed.address.clone().unwrap_or_default(),
            failed.entry.to_string(),
        ]
    });
    let known = backups.known.iter().flat_map(|backup| {
        backup.copies.iter().map(move |copy| {
            [
                minute(backup.created),
                backup.kind.as_str().to_owned(),
                backup.size.to_string(),
                copy.host.as_ref().map_or_else(|| "this machine".to_owned(), ToString::to_string),
                copy.path.display().to_string(),
                or_never(copy.verified),
                copy.fault.clone().unwrap_or_default(),
            ]
        })
    });
    let slots = vault.slots.iter().map(|way| {
        let slot = &way.slot;
        let mebibytes = ((128 * u64::from(slot.r)) << slot.log_n) >> 20;
        [
            word(&slot.kind),
            slot.name.to_string(),
            minute(slot.created),
            slot.operator.clone().unwrap_or_default(),
            slot.used.map_or_else(String::new, minute),
            format!("scrypt, n = 2^{}, {mebibytes} MiB a try", slot.log_n),
        ]
    });
    let encrypted = if vault.encrypted {
        "Secrets in the database are encrypted with AES-256-GCM under a random key, which the ways below open."
    } else {
        "Secrets in the database are NOT encrypted."
    };
    Section {
        title: "Audit log, backups and vault".to_owned(),
        text: vec![
            format!(
                "{verdict} {checked} It is that of the whole database, which keeps {} of its checkpoints.",
                audit.checkpoints
            ),
            encrypted.to_owned(),
        ],
        blocks: vec![
            Block::Table(
                Table::new(
                    "Entries of the audit log in the period",
                    &["category", "info", "warning", "critical"],
                    "There were none.",
                )
                .with(categories),
            ),
            Block::Table(
                Table::new(
                    "Failed attempts to unlock in the period",
                    &["when", "who", "from", "entry of the audit log"],
                    "There were none.",
                )
                .with(failed),
            ),
            Block::Table(
                Table::new(
                    "Backups and their copies",
                    &["made", "what of", "bytes", "where", "path", "last found whole", "what is wrong"],
                    "There are none.",
                )
                .with(known),
            ),
            Block::Table(
                Table::new(
                    "Ways to open the database",
                    &["way", "name", "since", "made by", "used last", "protected by"],
                    "There are none: it lies open.",
                )
                .with(slots),
            ),
        ],
    }
}
