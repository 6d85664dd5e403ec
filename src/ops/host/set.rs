//! Changing a machine: where it is, how root is had there, what may be written there, when changes are taken there.

use chrono::{DateTime, Utc};

use super::{HostView, Outcome, differences, identity, jump, refuse_taken, save};
use crate::db::Store;
use crate::model::{Action, Actor, AllowUnsafe, AutoSync, Become, Event, Host, HostAddress, Port, Severity};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::error::which_key;
use crate::ops::network::change::Mode;
use crate::ops::network::find;

/// The keys that `host set` knows, with what they take.
pub const KEYS: &[(&str, &str)] = &[
    ("name", "what it is called here"),
    ("address", "[user@]host[:port], an alias of ssh_config, or `local`"),
    ("user", "login name; `none` leaves it to ssh_config"),
    ("port", "TCP port; `none` leaves it to ssh_config"),
    ("jump", "jump hosts, as `ssh -J` takes them; `none`"),
    ("identity", "private key file; `none`"),
    ("become", "how commands become root there: auto, root or sudo"),
    ("allow-unsafe", "on or off: hooks that aren't on the list may be written there; `on` needs --reason"),
    ("auto-sync", "when changes are taken there by themselves: manual, on_change or scheduled"),
];

/// Changes a machine. Each assignment is `key=value`, with a key of [`KEYS`]. `reason` is why `allow-unsafe` is set.
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    assignments: &[String],
    reason: Option<&str>,
    mode: Mode,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let before = find::host(&topology, wanted)?.clone();
    let mut host = before.clone();
    let leave = Leave { reason: reason.map(str::trim).filter(|text| !text.is_empty()), actor, now: clock.now() };
    for assignment in assignments {
        let (key, value) =
            assignment.split_once('=').ok_or_else(|| Error::value(format!("`{assignment}`"), "expected key=value"))?;
        match key.trim() {
            "allow-unsafe" => host.allow_unsafe = leave.read(value.trim(), host.allow_unsafe.as_ref())?,
            key => apply(&mut host, key, value.trim())?,
        }
    }
    if host == before {
        return Err(Error::Refused(format!("`{}` is like that already; nothing was changed", host.name)));
    }
    if reason.is_some() && host.allow_unsafe == before.allow_unsafe {
        return Err(Error::value("--reason", "is for allow-unsafe=on"));
    }
    refuse_taken(&topology.hosts, &host.name, Some(&before))?;
    save(store, clock, actor, mode, |tx| {
        tx.update_host(&before.name, &host)?;
        let after = tx.topology()?;
        let mut event = Event::host(Action::HostUpdated, &host.name).change(&before, &host);
        if host.allow_unsafe != before.allow_unsafe && host.allow_unsafe.is_some() {
            event = event.severity(Severity::Warning);
        }
        let view = HostView::of(&host, &after, &tx.residents_of_others()?);
        Ok((Outcome { action: "changed", saved: false, host: view, changes: differences(&before, &host) }, event))
    })
}

/// Who gives leave to write unsafe hooks, and why.
struct Leave<'a> {
    reason: Option<&'a str>,
    actor: &'a Actor,
    now: DateTime<Utc>,
}

impl Leave<'_> {
    fn read(&self, value: &str, before: Option<&AllowUnsafe>) -> Result<Option<AllowUnsafe>, Error> {
        match (value, self.reason, before) {
            ("off", None, _) => Ok(None),
            ("off", Some(_), _) => Err(Error::value("--reason", "is for allow-unsafe=on")),
            ("on", Some(reason), Some(same)) if same.reason == reason => Ok(Some(same.clone())),
            ("on", Some(reason), _) => Ok(Some(AllowUnsafe {
                reason: reason.to_owned(),
                operator: self.actor.operator.clone(),
                time: self.now,
            })),
            ("on", None, Some(same)) => Ok(Some(same.clone())),
            ("on", None, None) => Err(Error::Value {
                what: "allow-unsafe".into(),
                reason: "such hooks run anything as root: say what for".into(),
                hint: Some("add --reason \"what it is needed for\"; it goes into the audit log".into()),
            }),
            _ => Err(Error::value("allow-unsafe", format!("`{value}` is neither on nor off"))),
        }
    }
}

fn apply(host: &mut Host, key: &str, value: &str) -> Result<(), Error> {
    let unless_none = |value: &str| (value != "none").then(|| value.to_owned());
    match key {
        "name" => host.name = value.parse().map_err(|e| Error::value(key, e))?,
        "auto-sync" => host.auto_sync = value.parse::<AutoSync>().map_err(|e| Error::value(key, e))?,
        "become" => host.becoming = value.parse::<Become>().map_err(|e| Error::value(key, e))?,
        "address" => {
            let mut address: HostAddress = value.parse().map_err(|e| Error::value(key, e))?;
            if let (
                HostAddress::Ssh { jump, identity, .. },
                HostAddress::Ssh { jump: old_jump, identity: old_identity, .. },
            ) = (&mut address, &host.address)
            {
                (*jump, *identity) = (old_jump.clone(), old_identity.clone());
            }
            host.address = address;
        }
        "user" | "port" | "jump" | "identity" => {
            let HostAddress::Ssh { destination, user, port, jump: hops, identity: file } = &mut host.address else {
                return Err(Error::value(key, format!("is for hosts over SSH, and `{}` is this machine", host.name)));
            };
            match key {
                "user" => {
                    if let Some(user) = unless_none(value) {
                        let whole = format!("{user}@{destination}");
                        whole.parse::<HostAddress>().map_err(|e| Error::value(key, e))?;
                    }
                    *user = unless_none(value);
                }
                "port" => {
                    *port = match unless_none(value) {
                        Some(text) => Some(text.parse::<Port>().map_err(|e| Error::value(key, e))?),
                        None => None,
                    }
                }
                "jump" => *hops = unless_none(value).map(|text| jump(key, &text)).transpose()?,
                _ => *file = unless_none(value).map(|text| identity(key, &text)).transpose()?,
            }
        }
        _ => {
            let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            return Err(Error::Value {
                what: format!("`{key}`"),
                reason: "a host has no such key".into(),
                hint: Some(which_key(key, &keys)),
            });
        }
    }
    Ok(())
}
