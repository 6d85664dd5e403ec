//! Reports for auditors and for those who answer to them: gathered from the database alone, no host is asked.
//!
//! Each part of the evidence is gathered by a file of its own ([`access`], [`keys`], [`changes`], [`drift`], [`inventory`],
//! [`safeguards`]); a [`Kind`] of report has some of them. [`warnings`] says what needs attention, [`controls`] which controls
//! the evidence supports, and `document` puts all of it into words. For programs the report serialises as it was gathered.

pub mod access;
pub mod changes;
pub mod controls;
mod document;
pub mod drift;
pub mod inventory;
pub mod keys;
pub mod safeguards;
#[cfg(test)]
mod tests;
pub mod warnings;

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::db::{Database, Entry, Filter, Store};
use crate::model::Topology;
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::private_file;
use crate::render::report::Document;

use access::Access;
use changes::Changes;
use controls::Control;
use drift::Drift;
use inventory::Inventory;
use keys::Keys;
use safeguards::Safeguards;
use warnings::{Area, Warning};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Who may reach what, and where that is enforced.
    AccessControl,
    /// How old keys are, who has them, and which were replaced.
    KeyRotation,
    /// What was changed, deployed and found changed, by whom.
    ConfigurationChanges,
    /// What there is: nodes, machines, networks behind them, links.
    NetworkInventory,
    /// The totals and what needs attention, for those who decide.
    ExecutiveSummary,
    /// All of it.
    FullCompliance,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Markdown.
    Md,
    /// What was gathered, for programs.
    Json,
    /// Every table, for spreadsheets.
    Csv,
    /// One page for screens and paper.
    Html,
    /// Pages for paper and archives; no text.
    Pdf,
}

impl Format {
    /// Returns the format that a file's name ends with.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Some(Self::Md),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "html" | "htm" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }
}

impl Kind {
    /// Returns the parts of the evidence that it has.
    fn areas(self) -> &'static [Area] {
        match self {
            Self::AccessControl => &[Area::Access, Area::Safeguards],
            Self::KeyRotation => &[Area::Keys],
            Self::ConfigurationChanges => &[Area::Changes, Area::Drift],
            Self::NetworkInventory => &[Area::Inventory],
            Self::ExecutiveSummary | Self::FullCompliance => Area::ALL,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which report.
    pub kind: Kind,
    /// How far it looks back.
    pub period: TimeDelta,
    /// For whom it is made; may be empty.
    pub organisation: String,
    /// From which age on a key is too old.
    pub key_age: TimeDelta,
}

/// The time that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when; what is now is as of then.
    pub to: DateTime<Utc>,
}

/// A report: what was gathered. Parts that the kind of report doesn't have are `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which report.
    pub report: Kind,
    /// For whom it is made; may be empty.
    pub organisation: String,
    /// The network.
    pub network: String,
    /// The name of the database's file.
    pub database: String,
    /// The random name of the database, which its signed heads carry.
    pub database_id: String,
    /// The version of wg-friend that made it.
    pub version: String,
    /// When it was made.
    pub generated: DateTime<Utc>,
    /// The time that it is about.
    pub period: Period,
    /// From which age on a key counts as too old, in seconds.
    pub key_age: i64,
    /// The newest signed head of the audit log: signed now when the database was unlocked, else its newest checkpoint.
    pub audit_head: Option<String>,
    /// What needs attention, the gravest first.
    pub warnings: Vec<Warning>,
    /// The controls that the evidence in it supports. That is no claim that they are met.
    pub controls: Vec<Control>,
    /// Who may reach what.
    pub access: Option<Access>,
    /// Keys and who has them.
    pub keys: Option<Keys>,
    /// Changes and deployments.
    pub changes: Option<Changes>,
    /// What was found changed on hosts.
    pub drift: Option<Drift>,
    /// What there is.
    pub inventory: Option<Inventory>,
    /// Audit log, backups and vault.
    pub safeguards: Option<Safeguards>,
}

/// The database as a report reads it.
#[derive(Debug)]
pub enum Reading<'s> {
    /// Locked: the audit log is verified by its chain alone.
    Locked(&'s Database),
    /// Unlocked: the audit log is verified with its key, and its head is signed now.
    Unlocked(&'s Store),
}

impl Reading<'_> {
    fn database(&self) -> &Database {
        match self {
            Self::Locked(database) => database,
            Self::Unlocked(store) => store,
        }
    }

    /// Returns the newest signed head.
    fn head(&self, now: DateTime<Utc>) -> Result<Option<String>, Error> {
        if let Self::Unlocked(store) = self
            && let Ok(head) = store.signed_head(now)
        {
            return Ok(Some(head.to_string()));
        }
        Ok(self.database().checkpoints()?.pop().map(|checkpoint| checkpoint.head.to_string()))
    }
}

/// What every part is gathered from.
#[derive(Debug)]
struct Source<'s> {
    database: &'s Database,
    topology: Topology,
    /// Entries of the audit log in the period that aren't about another network, the newest first.
    entries: Vec<Entry>,
    period: Period,
}

/// Gathers a report.
///
/// # Errors
/// For a period that reaches back before the calendar; when the database can't be read.
pub fn report(reading: &Reading<'_>, clock: &dyn Clock, request: &Request) -> Result<Report, Error> {
    let (database, now) = (reading.database(), clock.now());
    let from = now.checked_sub_signed(request.period).ok_or_else(|| Error::value("--period", "that is too long"))?;
    let period = Period { from, to: now };
    let source = Source { database, topology: database.topology()?, entries: entries(database, period)?, period };
    let facts = Facts {
        access: access::gather(&source)?,
        keys: keys::gather(&source)?,
        changes: changes::gather(&source)?,
        drift: drift::gather(&source)?,
        inventory: inventory::gather(&source)?,
        safeguards: safeguards::gather(&source, reading)?,
    };
    let areas = request.kind.areas();
    let mut warnings = warnings::find(&facts, now, request.key_age);
    warnings.retain(|warning| areas.contains(&warning.area));
    let has = |area: Area| areas.contains(&area);
    Ok(Report {
        report: request.kind,
        organisation: request.organisation.clone(),
        network: source.topology.network.name.to_string(),
        database: database.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        database_id: database.id().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generated: now,
        period,
        key_age: request.key_age.num_seconds(),
        audit_head: reading.head(now)?,
        warnings,
        controls: controls::of(areas),
        access: has(Area::Access).then_some(facts.access),
        keys: has(Area::Keys).then_some(facts.keys),
        changes: has(Area::Changes).then_some(facts.changes),
        drift: has(Area::Drift).then_some(facts.drift),
        inventory: has(Area::Inventory).then_some(facts.inventory),
        safeguards: has(Area::Safeguards).then_some(facts.safeguards),
    })
}

/// Everything that can be gathered.
#[derive(Clone, Debug)]
struct Facts {
    access: Access,
    keys: Keys,
    changes: Changes,
    drift: Drift,
    inventory: Inventory,
    safeguards: Safeguards,
}

/// Reads the entries of a period, without those about nodes and networks other than the chosen one.
fn entries(database: &Database, period: Period) -> Result<Vec<Entry>, Error> {
    let mut entries = database.audit_log(&Filter { from: Some(period.from), ..Filter::whole() })?;
    let chosen = database.chosen()?;
    let mut others = BTreeSet::new();
    for (id, network) in database.networks()?.into_iter().filter(|(id, _)| *id != chosen) {
        others.insert(("network".to_owned(), network.name.to_string()));
        let nodes = database.topology_of(id)?.nodes;
        others.extend(nodes.into_iter().map(|node| ("node".to_owned(), node.guid.to_string())));
    }
    let is_of_another = |entry: &Entry| {
        let guid = entry.entity_guid.clone();
        guid.is_some_and(|guid| others.contains(&(entry.entity_type.clone(), guid)))
    };
    entries.retain(|entry| entry.time <= period.to && !is_of_another(entry));
    Ok(entries)
}

impl Report {
    /// Puts it into words.
    pub fn document(&self) -> Document {
        document::of(self)
    }

    /// Writes it in a format.
    ///
    /// # Errors
    /// For a PDF, when it is larger than such a file may be.
    pub fn write(&self, format: Format) -> Result<Vec<u8>, Error> {
        let text = match format {
            Format::Md => self.document().markdown(),
            Format::Csv => self.document().csv(),
            Format::Html => self.document().html(),
            Format::Pdf => return Ok(self.document().pdf(self.generated)?),
            Format::Json => {
                let mut text = serde_json::to_string_pretty(self).expect("reports have string keys and serialise");
                text.push('\n');
                text
            }
        };
        Ok(text.into_bytes())
    }
}

/// Writes a report into a file that only its owner can read: it says much about the network. One that is there is replaced.
///
/// # Errors
/// When the file can't be written.
pub fn save(path: &Path, content: &[u8]) -> Result<(), Error> {
    private_file::write(path, content)
}
