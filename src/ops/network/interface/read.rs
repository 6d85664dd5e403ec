//! Reading `key=value`, `key+=value` and `key-=value` for an interface.

use std::str::FromStr;

use super::Assignment;
use super::setting::{self, Change};
use crate::model::{InterfaceAddr, Phase, Run};
use crate::ops::Error;
use crate::ops::error::which_key;

/// The keys that `interface set` knows, with what they take. Aliases follow the name.
pub const KEYS: &[(&str, &[&str], &str)] = &[
    ("listen-port", &["port"], "UDP port; `none` lets the kernel choose"),
    ("address", &[], "addresses beside those in the network, with commas; also +=, -=; `none`"),
    ("dns", &[], "DNS servers, search domains, with commas; `none`; `network`"),
    ("mtu", &[], "bytes per packet; `network`"),
    ("table", &[], "routing table for its routes: auto, off, a number or a name; `default`"),
    ("fwmark", &[], "mark of the tunnel's own packets, as a number or 0x...; `none`"),
    ("pre-up", &["preup"], "command run before it comes up; also +=, -=; `none`"),
    ("post-up", &["postup"], "command run once it is up; also +=, -=; `none`"),
    ("pre-down", &["predown"], "command run before it goes down; also +=, -=; `none`"),
    ("post-down", &["postdown"], "command run once it is down; also +=, -=; `none`"),
    ("save-config", &[], "`off`: wg-quick doesn't overwrite its file"),
    ("run", &[], "boot, now (not after the next boot) or off"),
];

/// Returns the key of a phase.
pub(super) fn key(phase: Phase) -> &'static str {
    match phase {
        Phase::PreUp => "pre-up",
        Phase::PostUp => "post-up",
        Phase::PreDown => "pre-down",
        Phase::PostDown => "post-down",
    }
}

/// Reads assignments in order. The first `=` of a list empties it, so that `post-up=A post-up=B` leaves just these two.
pub fn read_all<'a>(assignments: impl IntoIterator<Item = &'a str>) -> Result<Vec<Assignment>, Error> {
    let mut all: Vec<Assignment> = Vec::new();
    for text in assignments {
        let (key, change, value) = setting::split(text)?;
        for assignment in read(key, change, value)? {
            let clears = matches!(assignment, Assignment::ClearAddresses | Assignment::ClearHooks(_));
            if !(clears && all.contains(&assignment)) {
                all.push(assignment);
            }
        }
    }
    Ok(all)
}

fn read(label: &str, change: Change, value: &str) -> Result<Vec<Assignment>, Error> {
    let key = label.replace('_', "-").to_ascii_lowercase();
    let Some((name, ..)) = KEYS.iter().find(|(name, aliases, _)| *name == key || aliases.contains(&key.as_str()))
    else {
        let known: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
        return Err(Error::Value {
            what: format!("`{label}`"),
            reason: "an interface has no such key".into(),
            hint: Some(which_key(&key, &known)),
        });
    };
    if value.is_empty() {
        return Err(Error::value(label, "is empty; see `wg-friend interface set --help` for what it takes"));
    }
    if let Some(phase) = Phase::ALL.iter().copied().find(|phase| self::key(*phase) == *name) {
        return Ok(match change {
            Change::Set if value == "none" => vec![Assignment::ClearHooks(phase)],
            Change::Set => vec![Assignment::ClearHooks(phase), Assignment::AddHook(phase, value.to_owned())],
            Change::Add => vec![Assignment::AddHook(phase, value.to_owned())],
            Change::Remove => vec![Assignment::RemoveHook(phase, value.to_owned())],
        });
    }
    if *name == "address" {
        let addresses = || value.split(',').map(|text| parse::<InterfaceAddr>(label, text.trim()));
        return match change {
            Change::Set if value == "none" => Ok(vec![Assignment::ClearAddresses]),
            Change::Set => std::iter::once(Ok(Assignment::ClearAddresses))
                .chain(addresses().map(|address| address.map(Assignment::AddAddress)))
                .collect(),
            Change::Add => addresses().map(|address| address.map(Assignment::AddAddress)).collect(),
            Change::Remove => addresses().map(|address| address.map(Assignment::RemoveAddress)).collect(),
        };
    }
    if change != Change::Set {
        return Err(Error::value(label, "has one value: use `=`, not `+=` or `-=`"));
    }
    let unless = |word: &str| (!value.eq_ignore_ascii_case(word)).then_some(value);
    Ok(vec![match *name {
        "listen-port" => Assignment::Port(unless("none").map(|text| parse(label, text)).transpose()?),
        "dns" => Assignment::Dns(match value {
            "network" => None,
            "none" => Some(Vec::new()),
            list => Some(setting::dns(label, list)?),
        }),
        "mtu" => Assignment::Mtu(unless("network").map(|text| parse(label, text)).transpose()?),
        "table" => Assignment::Table(unless("default").map(|text| parse(label, text)).transpose()?),
        "fwmark" => {
            Assignment::FwMark(unless("none").map(|text| mark(label, text)).transpose()?.filter(|mark| *mark != 0))
        }
        "save-config" if value == "off" => Assignment::SaveConfigOff,
        "save-config" => {
            return Err(Error::value(
                label,
                "wg-quick would overwrite the file, and what was deployed with it: only `off` can be set",
            ));
        }
        "run" => match parse(label, value)? {
            Run::Gone => return Err(Error::value(label, "`gone` is what `interface delete` makes of it")),
            run => Assignment::Run(run),
        },
        other => unreachable!("{other} is in KEYS and has no reader"),
    }])
}

fn parse<T: FromStr<Err: ToString>>(label: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|e| Error::value(label, ToString::to_string(&e)))
}

/// Reads a mark as wg(8) does: a number, or hexadecimal behind `0x`; `off` is none.
fn mark(label: &str, text: &str) -> Result<u32, Error> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let read = match text.strip_prefix("0x") {
        _ if text == "off" => Some(0),
        Some(hex) => u32::from_str_radix(hex, 16).ok().filter(|_| digits(hex)),
        None => text.parse().ok().filter(|_| digits(text)),
    };
    read.ok_or_else(|| {
        Error::value(label, format!("`{text}` is no mark: expected a number up to 4294967295, or 0x..."))
    })
}
