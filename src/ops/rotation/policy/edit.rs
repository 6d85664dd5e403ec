//! Making, changing and removing policies.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::scope;
use super::view::{PolicyView, policy};
use crate::db::{Store, Tx};
use crate::model::{Action, Actor, Event, Name, PolicyId, RotationPolicy, Selector, Severity, Trigger};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::change::Mode;

/// How many days before a key is due that is told, unless a policy says otherwise.
pub const NOTICE_DAYS: u32 = 7;

/// What a policy is to be like. What isn't given stays as it is, or is as usual.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Another name.
    pub name: Option<Name>,
    /// What makes a key due.
    pub trigger: Option<Trigger>,
    /// Whose keys: `all`, roles, groups, nodes. Usually all.
    pub scope: Option<Vec<String>>,
    /// Whether the hosts concerned are deployed afterwards. Usually not.
    pub auto_deploy: Option<bool>,
    /// How many days before it is told. Usually seven.
    pub notice_days: Option<u32>,
    /// Whether it counts. Usually it does.
    pub enabled: Option<bool>,
}

/// What became of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `added`, `changed` or `removed`.
    pub action: &'static str,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// The policy as it is now, or was before it was removed.
    pub policy: PolicyView,
    /// What it was before, when it was changed.
    pub before: Option<PolicyView>,
}

/// Adds a policy.
///
/// # Errors
/// For a name that is taken, a trigger that is missing or makes no sense, a scope that names nobody.
pub fn add(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    name: &Name,
    wanted: &Wanted,
    mode: Mode,
) -> Result<Changed, Error> {
    let now = clock.now();
    let trigger = wanted.trigger.clone().ok_or_else(|| Error::Value {
        what: "rotation policy add".into(),
        reason: "says nothing of when a key is due".into(),
        hint: Some("give --every 90d, --usage 50GB or --on device-lost,compromise".into()),
    })?;
    write(store, now, actor, mode, |tx| {
        let topology = tx.topology()?;
        if let Some(taken) = tx.rotation_policies()?.iter().find(|one| same(&one.name, name)) {
            return Err(Error::RefusedWithRemedy {
                message: format!("there is a rotation policy `{}` already", taken.name),
                hint: format!("`wg-friend rotation policy set {}` changes it", taken.name),
            });
        }
        let new = RotationPolicy {
            id: PolicyId(0),
            name: name.clone(),
            trigger: checked(trigger)?,
            scope: match &wanted.scope {
                Some(words) => scope::read(&topology, words)?,
                None => BTreeSet::from([Selector::All]),
            },
            enabled: wanted.enabled.unwrap_or(true),
            auto_deploy: wanted.auto_deploy.unwrap_or(false),
            notice_days: wanted.notice_days.unwrap_or(NOTICE_DAYS),
            created: now,
        };
        tx.insert_rotation_policy(&new)?;
        let view = PolicyView::of(&new, &topology);
        let event = Event::policy(Action::PolicyChanged, &new.name).with("done", "added").with("after", said(&view));
        Ok((Changed { action: "added", saved: false, policy: view, before: None }, event))
    })
}

/// Changes a policy.
///
/// # Errors
/// When there is none of this name; as [`add`].
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    name: &str,
    wanted: &Wanted,
    mode: Mode,
) -> Result<Changed, Error> {
    write(store, clock.now(), actor, mode, |tx| {
        let topology = tx.topology()?;
        let policies = tx.rotation_policies()?;
        let before = policy(&policies, name)?;
        if let Some(new) = &wanted.name
            && let Some(taken) = policies.iter().find(|one| one.id != before.id && same(&one.name, new))
        {
            return Err(Error::Refused(format!("there is a rotation policy `{}` already", taken.name)));
        }
        let after = RotationPolicy {
            id: before.id,
            name: wanted.name.clone().unwrap_or_else(|| before.name.clone()),
            trigger: wanted.trigger.clone().map_or_else(|| Ok(before.trigger.clone()), checked)?,
            scope: match &wanted.scope {
                Some(words) => scope::read(&topology, words)?,
                None => before.scope.clone(),
            },
            enabled: wanted.enabled.unwrap_or(before.enabled),
            auto_deploy: wanted.auto_deploy.unwrap_or(before.auto_deploy),
            notice_days: wanted.notice_days.unwrap_or(before.notice_days),
            created: before.created,
        };
        if after == *before {
            return Err(Error::Refused(format!(
                "the rotation policy `{}` is like that already; nothing was changed",
                before.name
            )));
        }
        tx.update_rotation_policy(&after)?;
        let (was, is) = (PolicyView::of(before, &topology), PolicyView::of(&after, &topology));
        let event =
            Event::policy(Action::PolicyChanged, &after.name).with("done", "changed").change(&said(&was), &said(&is));
        // Somebody who lets keys grow old without anybody noticing begins here.
        let event = if before.enabled && !after.enabled { event.severity(Severity::Warning) } else { event };
        Ok((Changed { action: "changed", saved: false, policy: is, before: Some(was) }, event))
    })
}

/// Removes a policy. What it had done stays in the log.
///
/// # Errors
/// When there is none of this name.
pub fn remove(store: &mut Store, clock: &dyn Clock, actor: &Actor, name: &str, mode: Mode) -> Result<Changed, Error> {
    write(store, clock.now(), actor, mode, |tx| {
        let topology = tx.topology()?;
        let policies = tx.rotation_policies()?;
        let gone = policy(&policies, name)?;
        tx.delete_rotation_policy(gone.id)?;
        let view = PolicyView::of(gone, &topology);
        let event = Event::policy(Action::PolicyChanged, &gone.name)
            .with("done", "removed")
            .with("before", said(&view))
            .severity(Severity::Warning);
        Ok((Changed { action: "removed", saved: false, policy: view, before: None }, event))
    })
}

fn same(name: &Name, other: &Name) -> bool {
    name.as_str().eq_ignore_ascii_case(other.as_str())
}

fn write(
    store: &mut Store,
    now: DateTime<Utc>,
    actor: &Actor,
    mode: Mode,
    work: impl FnOnce(&Tx<'_>) -> Result<(Changed, Event), Error>,
) -> Result<Changed, Error> {
    match mode {
        Mode::Save => store.write(now, actor, work).map(|changed| Changed { saved: true, ..changed }),
        Mode::Preview => store.try_out(|tx| work(tx).map(|(changed, _)| changed)),
    }
}

/// Refuses a trigger that would make every key due at once, or none ever.
fn checked(trigger: Trigger) -> Result<Trigger, Error> {
    match &trigger {
        Trigger::Days(0) => Err(Error::value("--every", "must be a day at least")),
        Trigger::Bytes(0) => Err(Error::value("--usage", "must be a byte at least")),
        Trigger::Events(events) if events.is_empty() => Err(Error::value("--on", "names nothing that can happen")),
        _ => Ok(trigger),
    }
}

/// What of a policy the audit log says: what was decided, not what follows from it.
fn said(view: &PolicyView) -> serde_json::Value {
    serde_json::json!({
        "name": view.name,
        "type": view.kind,
        "every_days": view.every_days,
        "usage_bytes": view.usage_bytes,
        "on": view.on,
        "scope": view.scope,
        "enabled": view.enabled,
        "auto_deploy": view.auto_deploy,
        "notice_days": view.notice_days,
    })
}
