//! What keeps the evidence itself safe: audit log, backups, vault.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Reading, Source};
use crate::db::{BackupCopy, BackupRecord, Slot};
use crate::model::{Category, Severity};
use crate::ops::Error;
use crate::ops::safety::audit;

/// Audit log, backups and vault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Safeguards {
    /// The audit log. It is that of the whole database.
    pub audit: Audit,
    /// The backups. They are those of the whole database.
    pub backups: Backups,
    /// The vault.
    pub vault: Vault,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audit {
    /// Whether all of it is as it was written, as far as was checked.
    pub intact: bool,
    /// What is wrong with the first entry that isn't.
    pub fault: Option<String>,
    /// How many entries are in order, from the first on.
    pub entries: i64,
    /// Whether the authentication codes and the end of the log were checked too, which takes the passphrase.
    pub authenticated: bool,
    /// How many checkpoints the database keeps.
    pub checkpoints: usize,
    /// How many entries the period has.
    pub in_period: usize,
    /// Those by category and severity.
    pub by_category: Vec<OfCategory>,
    /// Attempts to unlock that failed, in the period, the newest first.
    pub failed_unlocks: Vec<FailedUnlock>,
}

/// The entries of a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfCategory {
    /// Which.
    pub category: Category,
    /// How many of each severity.
    pub severities: BTreeMap<&'static str, usize>,
}

/// An entry about attempts to unlock that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedUnlock {
    /// The number of the entry.
    pub entry: i64,
    /// When it was written.
    pub time: DateTime<Utc>,
    /// Who tried.
    pub operator: String,
    /// From where, when that was another machine.
    pub address: Option<String>,
}

/// The backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backups {
    /// All that are known, the newest first.
    pub known: Vec<BackupRecord>,
    /// When the newest whole one was made: those of configurations or keys alone don't count.
    pub newest: Option<DateTime<Utc>>,
    /// When a copy of it was last found whole.
    pub verified: Option<DateTime<Utc>>,
    /// How many copies of it are on other machines.
    pub elsewhere: usize,
}

/// The vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vault {
    /// Whether secrets in the database are encrypted.
    pub encrypted: bool,
    /// The ways to its key.
    pub slots: Vec<Way>,
    /// Whether there is a recovery key.
    pub recovery: bool,
}

/// A way to the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The passphrase or recovery key itself, without what is secret about it.
    #[serde(flatten)]
    pub slot: Slot,
    /// Whether it is a passphrase that is protected by less than the standard profile.
    pub light: bool,
}

/// Gathers it.
pub(super) fn gather(source: &Source<'_>, reading: &Reading<'_>) -> Result<Safeguards, Error> {
    Ok(Safeguards { audit: of_audit(source, reading)?, backups: of_backups(source)?, vault: of_vault(source)? })
}

fn of_audit(source: &Source<'_>, reading: &Reading<'_>) -> Result<Audit, Error> {
    let found = match reading {
        Reading::Locked(database) => audit::verify_locked(database, Vec::new())?,
        Reading::Unlocked(store) => audit::verify(store, Vec::new())?,
    };
    let of = |category: Category| {
        let count = |severity: Severity| {
            let of_both =
                |entry: &&crate::db::Entry| entry.category == category.as_str() && entry.severity == severity.as_str();
            source.entries.iter().filter(of_both).count()
        };
        OfCategory { category, severities: Severity::ALL.iter().map(|s| (s.as_str(), count(*s))).collect() }
    };
    let failed = source.entries.iter().filter(|entry| entry.action == "unlock_failed").map(|entry| FailedUnlock {
        entry: entry.id,
        time: entry.time,
        operator: entry.operator.clone(),
        address: entry.address.clone(),
    });
    Ok(Audit {
        intact: found.intact,
        fault: found.bad.as_ref().map(|bad| format!("entry {}: {}", bad.entry, bad.problem)),
        entries: found.entries,
        authenticated: found.authenticated,
        checkpoints: found.checkpoints,
        in_period: source.entries.len(),
        by_category: Category::ALL.iter().map(|category| of(*category)).collect(),
        failed_unlocks: failed.collect(),
    })
}

/// Whether a copy was found whole, and nothing else since.
fn is_whole(backup: &BackupRecord) -> bool {
    backup.copies.iter().any(|copy| copy.fault.is_none() && copy.verified.is_some())
}

fn of_backups(source: &Source<'_>) -> Result<Backups, Error> {
    let known = source.database.backups()?;
    let base_of = |backup: &BackupRecord| known.iter().find(|base| backup.base.as_ref() == Some(&base.id));
    let can_be_restored = |backup: &&BackupRecord| {
        backup.kind.has_database() && (backup.base.is_none() || base_of(backup).is_some_and(is_whole))
    };
    let newest = known.iter().find(can_be_restored);
    let copies = || newest.into_iter().flat_map(|backup| &backup.copies).filter(|copy| copy.fault.is_none());
    // What it builds on has to be on the same host, or it is of no use there.
    let has_base = |copy: &&BackupCopy| {
        let base = newest.and_then(base_of);
        base.is_none_or(|base| base.copies.iter().any(|of_base| of_base.host == copy.host && of_base.fault.is_none()))
    };
    Ok(Backups {
        newest: newest.map(|backup| backup.created),
        verified: copies().filter_map(|copy| copy.verified).max(),
        elsewhere: copies().filter(|copy| copy.host.is_some()).filter(has_base).count(),
        known,
    })
}

fn of_vault(source: &Source<'_>) -> Result<Vault, Error> {
    let standard = crate::db::KdfParams::DEFAULT.log_n();
    let way = |slot: Slot| Way { light: slot.kind == "passphrase" && slot.log_n < standard, slot };
    let slots: Vec<Way> = source.database.slots()?.into_iter().map(way).collect();
    Ok(Vault {
        encrypted: source.database.is_encrypted()?,
        recovery: slots.iter().any(|way| way.slot.kind == "recovery"),
        slots,
    })
}
