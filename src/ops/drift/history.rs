//! What earlier looks at hosts found: scan by scan, and summed up over days.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use crate::db::{Database, Deployment, Scan, SeenItem};
use crate::model::{DeploymentState, DriftKind, Name, ScanOutcome, Severity};
use crate::ops::error::Error;

use super::{KEPT_DAYS, known};

/// Scans, and what they found.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// The newest first.
    pub scans: Vec<Scan>,
    /// Those seen last first.
    pub items: Vec<SeenItem>,
}

/// The drift of some days, summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when.
    pub to: DateTime<Utc>,
    /// How many times a host was looked at.
    pub scans: usize,
    /// How many of these times it gave no answer.
    pub unknown: usize,
    /// What was found, by kind, the most frequent first.
    pub kinds: Vec<OfKind>,
    /// Per host, ordered by name.
    pub hosts: Vec<OfHost>,
    /// Per day on which somebody looked, the oldest first.
    pub days: Vec<Day>,
    /// What the second half of these days found compared with the first.
    pub trend: Trend,
}

/// The items of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfKind {
    /// Which.
    pub kind: DriftKind,
    /// The highest severity among them.
    pub severity: Severity,
    /// How many there were.
    pub items: usize,
    /// How many of them the latest scans found.
    pub present: usize,
    /// When one was found first.
    pub first_seen: DateTime<Utc>,
    /// When one was found last.
    pub last_seen: DateTime<Utc>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfHost {
    /// Which.
    pub host: Name,
    /// How many times it was looked at.
    pub scans: usize,
    /// How many of these times it gave no answer.
    pub unknown: usize,
    /// How many of them something had drifted that nobody had acknowledged.
    pub drifted: usize,
    /// How many items there were.
    pub items: usize,
    /// How many of them its latest scan found.
    pub present: usize,
    /// How its latest scan ended.
    pub latest: Option<ScanOutcome>,
}

/// One day (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Which.
    pub day: NaiveDate,
    /// How many times a host was looked at.
    pub scans: usize,
    /// How many of these times it gave no answer.
    pub unknown: usize,
    /// How many items were found for the first time.
    pub new: usize,
    /// How many hosts had something drifted.
    pub hosts: usize,
}

/// Whether there is more or less of it than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// More.
    Rising,
    /// The same.
    Steady,
    /// Less.
    Falling,
}

/// Returns the hosts on which the last look since a time found something changed that nobody had acknowledged, and that were not
/// deployed since.
///
/// # Errors
/// When the store can't be read.
pub fn drifted(database: &Database, since: DateTime<Utc>) -> Result<BTreeSet<Name>, Error> {
    let mut last: BTreeMap<Name, Scan> = BTreeMap::new();
    for scan in database.drift_scans(None, since)? {
        last.entry(scan.host.clone()).or_insert(scan); // the newest come first
    }
    let mut drifted = BTreeSet::new();
    for (host, scan) in last.into_iter().filter(|(_, scan)| scan.outcome == ScanOutcome::Drift) {
        let newest = database.deployments(&host, 1)?.into_iter().next();
        let is_mended = |deployment: Deployment| {
            deployment.state == DeploymentState::Confirmed && deployment.finished.is_some_and(|end| end > scan.time)
        };
        if !newest.is_some_and(is_mended) {
            drifted.insert(host);
        }
    }
    Ok(drifted)
}

/// Returns the scans of some days, of one host or all.
///
/// # Errors
/// When there is no such host.
pub fn history(database: &Database, host: Option<&str>, days: u32, now: DateTime<Utc>) -> Result<History, Error> {
    let host = host.map(|host| known(database, host)).transpose()?;
    let since = now - TimeDelta::days(i64::from(days).min(KEPT_DAYS));
    let host = host.as_ref();
    Ok(History { scans: database.drift_scans(host, since)?, items: database.drift_items(host, since)? })
}

/// Sums up some days.
///
/// # Errors
/// When the store can't be read.
pub fn report(database: &Database, days: u32, now: DateTime<Utc>) -> Result<Summary, Error> {
    let from = now - TimeDelta::days(i64::from(days).min(KEPT_DAYS));
    Ok(summary(from, now, &history(database, None, days, now)?))
}

/// Sums up scans and items. Pure.
pub(super) fn summary(from: DateTime<Utc>, to: DateTime<Utc>, history: &History) -> Summary {
    let History { scans, items } = history;
    let middle = from + (to - from) / 2;
    let new = |test: &dyn Fn(DateTime<Utc>) -> bool| items.iter().filter(|item| test(item.first_seen)).count();
    let (early, late) = (new(&|time| time >= from && time < middle), new(&|time| time >= middle));
    Summary {
        from,
        to,
        scans: scans.len(),
        unknown: unknown(scans.iter()),
        kinds: kinds(items),
        hosts: hosts(scans, items),
        days: by_day(from, scans, items),
        trend: match late.cmp(&early) {
            std::cmp::Ordering::Greater => Trend::Rising,
            std::cmp::Ordering::Equal => Trend::Steady,
            std::cmp::Ordering::Less => Trend::Falling,
        },
    }
}

fn unknown<'a>(scans: impl Iterator<Item = &'a Scan>) -> usize {
    scans.filter(|scan| scan.outcome == ScanOutcome::Unknown).count()
}

fn kinds(items: &[SeenItem]) -> Vec<OfKind> {
    let mut found: BTreeMap<DriftKind, OfKind> = BTreeMap::new();
    for seen in items {
        let kind = seen.item.kind;
        let of = found.entry(kind).or_insert(OfKind {
            kind,
            severity: seen.item.severity,
            items: 0,
            present: 0,
            first_seen: seen.first_seen,
            last_seen: seen.last_seen,
        });
        of.items += 1;
        of.present += usize::from(seen.present);
        of.severity = of.severity.max(seen.item.severity);
        of.first_seen = of.first_seen.min(seen.first_seen);
        of.last_seen = of.last_seen.max(seen.last_seen);
    }
    let mut kinds: Vec<OfKind> = found.into_values().collect();
    kinds.sort_by_key(|of| std::cmp::Reverse(of.items));
    kinds
}

fn hosts(scans: &[Scan], items: &[SeenItem]) -> Vec<OfHost> {
    let mut found: BTreeMap<&Name, Vec<&Scan>> = BTreeMap::new();
    for scan in scans {
        found.entry(&scan.host).or_default().push(scan);
    }
    let of = |(host, scans): (&Name, Vec<&Scan>)| {
        let own = || items.iter().filter(|item| item.host == *host);
        OfHost {
            host: host.clone(),
            scans: scans.len(),
            unknown: unknown(scans.iter().copied()),
            drifted: scans.iter().filter(|scan| scan.outcome == ScanOutcome::Drift).count(),
            items: own().count(),
            present: own().filter(|item| item.present).count(),
            latest: scans.first().map(|scan| scan.outcome),
        }
    };
    found.into_iter().map(of).collect()
}

fn by_day(from: DateTime<Utc>, scans: &[Scan], items: &[SeenItem]) -> Vec<Day> {
    let mut days: BTreeMap<NaiveDate, Vec<&Scan>> = BTreeMap::new();
    for scan in scans {
        days.entry(scan.time.date_naive()).or_default().push(scan);
    }
    let of = |(day, scans): (NaiveDate, Vec<&Scan>)| {
        let mut drifted: Vec<&Name> =
            scans.iter().filter(|scan| scan.outcome == ScanOutcome::Drift).map(|scan| &scan.host).collect();
        drifted.sort_unstable();
        drifted.dedup();
        Day {
            day,
            scans: scans.len(),
            unknown: unknown(scans.iter().copied()),
            new: items.iter().filter(|i| i.first_seen >= from && i.first_seen.date_naive() == day).count(),
            hosts: drifted.len(),
        }
    };
    days.into_iter().map(of).collect()
}
