//! Saying what of the drift may stay: one item or all of a host, for a reason, perhaps only for a while.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Acknowledgement, Database, DriftItem, Store};
use crate::model::{Action, Actor, Event, Name};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::network::change::Mode;

use super::known;

/// What is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Everything that the latest scan found.
    All,
    /// The item whose id begins so.
    Item(String),
}

/// What was acknowledged, or no longer is.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `acknowledged` or `removed`.
    pub action: &'static str,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// Which items.
    pub items: Vec<Acknowledgement>,
}

/// What is acknowledged.
#[derive(Clone, Debug, Serialize)]
pub struct List {
    /// Ordered by host and time.
    pub acknowledged: Vec<AckView>,
}

/// An acknowledgement, with whether it still counts.
#[derive(Clone, Debug, Serialize)]
pub struct AckView {
    /// What, why, who, until when.
    #[serde(flatten)]
    pub acknowledgement: Acknowledgement,
    /// Whether its time is over.
    pub expired: bool,
}

/// Why, and for how long.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The reason, in words.
    pub reason: String,
    /// Until when; `None` is for good.
    pub until: Option<DateTime<Utc>>,
}

/// Acknowledges what the latest scan of a host found.
///
/// # Errors
/// When there was no scan, no such item, or the time is over already.
pub fn acknowledge(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    host: &str,
    which: &Which,
    terms: &Terms,
    mode: Mode,
) -> Result<Outcome, Error> {
    let now = clock.now();
    let host = known(store, host)?;
    if terms.reason.trim().is_empty() {
        return Err(Error::value("--reason", "is empty: say why it may stay, for whoever comes after you"));
    }
    if terms.until.is_some_and(|until| until <= now) {
        return Err(Error::value("--until", "is over already"));
    }
    let Some(seen) = store.latest_drift(&host)? else { return Err(no_scan(&host)) };
    let items: Vec<DriftItem> = seen.into_iter().map(|seen| seen.item).collect();
    let items = match which {
        Which::All => items,
        Which::Item(id) => vec![pick(&host, items, id, |item| item)?],
    };
    if items.is_empty() {
        return Err(Error::Refused(format!("the latest scan of `{host}` found nothing; nothing was changed")));
    }
    let acks: Vec<Acknowledgement> = items
        .into_iter()
        .map(|item| Acknowledgement {
            host: host.clone(),
            item,
            reason: terms.reason.trim().to_owned(),
            operator: actor.operator.clone(),
            time: now,
            until: terms.until,
        })
        .collect();
    if mode == Mode::Save {
        store.write_all(now, actor, |tx| {
            acks.iter().try_for_each(|ack| tx.acknowledge_drift(ack))?;
            Ok::<_, Error>(((), acks.iter().map(|ack| event(Action::DriftAcknowledged, ack)).collect()))
        })?;
    }
    Ok(Outcome { action: "acknowledged", saved: mode == Mode::Save, items: acks })
}

/// Takes acknowledgements of a host back.
///
/// # Errors
/// When there is none like that.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    host: &str,
    which: &Which,
    mode: Mode,
) -> Result<Outcome, Error> {
    let host = known(store, host)?;
    let acks = store.drift_acks(Some(&host))?;
    let acks = match which {
        Which::All => acks,
        Which::Item(id) => vec![pick(&host, acks, id, |ack| &ack.item)?],
    };
    if acks.is_empty() {
        return Err(Error::Refused(format!("nothing is acknowledged on `{host}`; nothing was changed")));
    }
    if mode == Mode::Save {
        store.write_all(clock.now(), actor, |tx| {
            acks.iter().try_for_each(|ack| tx.remove_drift_ack(&host, &ack.item.id))?;
            Ok::<_, Error>(((), acks.iter().map(|ack| event(Action::DriftAckRemoved, ack)).collect()))
        })?;
    }
    Ok(Outcome { action: "removed", saved: mode == Mode::Save, items: acks })
}

/// Lists what is acknowledged on one host or all.
///
/// # Errors
/// When there is no such host.
pub fn list(database: &Database, host: Option<&str>, now: DateTime<Utc>) -> Result<List, Error> {
    let host = host.map(|host| known(database, host)).transpose()?;
    let acks = database.drift_acks(host.as_ref())?.into_iter();
    let view = |ack: Acknowledgement| AckView { expired: !ack.counts_at(now), acknowledgement: ack };
    Ok(List { acknowledged: acks.map(view).collect() })
}

fn event(action: Action, ack: &Acknowledgement) -> Event {
    let until = ack.until.map(|until| until.to_rfc3339());
    Event::host(action, &ack.host)
        .with("item", ack.item.id.clone())
        .with("kind", ack.item.kind.as_str())
        .with("subject", ack.item.subject.clone())
        .with("found", ack.item.found.clone())
        .with("reason", ack.reason.clone())
        .with("until", until)
}

fn no_scan(host: &Name) -> Error {
    Error::RefusedWithRemedy {
        message: format!("`{host}` has never been looked at: there is nothing to acknowledge"),
        hint: format!("look first: `wg-friend drift check {host}`"),
    }
}

/// Returns the one whose id begins so.
fn pick<T>(host: &Name, all: Vec<T>, prefix: &str, item: impl Fn(&T) -> &DriftItem) -> Result<T, Error> {
    let prefix = prefix.to_ascii_lowercase();
    let mut matching: Vec<T> = all.into_iter().filter(|one| item(one).id.starts_with(&prefix)).collect();
    if matching.len() > 1 {
        let ids: Vec<&str> = matching.iter().map(|one| item(one).id.as_str()).collect();
        return Err(Error::Refused(format!("`{prefix}` is the beginning of several items: {}", ids.join(", "))));
    }
    matching.pop().ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("`{host}` has no item `{prefix}`"),
        hint: format!("`wg-friend drift check {host}` lists what is there now"),
    })
}
