//! The hooks of one interface while they are changed: in the file of an adopted one, among what a made one keeps.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Leave, Place, read};
use crate::model::{ByHooks, Hook, Interface, InterfaceName, Phase};
use crate::ops::Error;
use crate::wg::config::{self, Document};
use crate::wg::hooks::allow::judge;
use crate::wg::hooks::live::{essence, inverse, makes};
use crate::wg::hooks::second;
use crate::wg::hooks::understand;
use crate::wg::overlap;

/// The hooks of an interface, before and after.
pub(super) struct Written {
    /// The file of an adopted interface.
    document: Option<Document>,
    before: Vec<Hook>,
    /// What becomes of each of them: whether it goes.
    gone: BTreeSet<usize>,
    new: Vec<Hook>,
}

/// What is said about hooks that were written.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) remarks: Vec<String>,
    pub(super) unsafe_hooks: Vec<UnsafeHook>,
    pub(super) reason: Option<String>,
}

/// A hook that isn't on the list and was written all the same.
#[derive(Serialize)]
pub(super) struct UnsafeHook {
    phase: &'static str,
    command: String,
    /// The part that offends.
    token: String,
    because: &'static str,
}

impl Written {
    pub(super) fn of(interface: &Interface, document: Option<Zeroizing<String>>) -> Self {
        let document = document.map(|text| Document::parse(&text));
        let before = match &document {
            Some(document) => document.hooks(),
            None => interface.kept.as_ref().map(|kept| kept.hooks.clone()).unwrap_or_default(),
        };
        Self { document, before, gone: BTreeSet::new(), new: Vec::new() }
    }

    /// Whether they stand in the file of an adopted interface.
    pub(super) fn is_adopted(&self) -> bool {
        self.document.is_some()
    }

    pub(super) fn clear(&mut self, phase: Phase) {
        let of = |(_, hook): &(usize, &Hook)| hook.phase == phase;
        self.gone.extend(self.before.iter().enumerate().filter(of).map(|(at, _)| at));
        self.new.retain(|hook| hook.phase != phase);
    }

    pub(super) fn add(&mut self, phase: Phase, command: &str, place: &Place<'_>) -> Result<(), Error> {
        let key = read::key(phase);
        if let Some(bad) = command.chars().find(|c| matches!(c, '\n' | '\r' | '\0')) {
            return Err(Error::value(key, format!("`{}` would end the line", bad.escape_default())));
        }
        if command.contains('#') {
            return Err(Error::value(key, "`#` begins a comment: wg-quick leaves out the rest of the line"));
        }
        if holds_key(command) {
            return Err(Error::Value {
                what: key.to_owned(),
                reason: "a secret key is in it, and hooks are kept and shown as they are".into(),
                hint: Some("put the key into a file below /etc/wireguard on the host, and name that file".into()),
            });
        }
        let hook = Hook { phase, command: command.to_owned() };
        // One that goes and comes again stays where it is.
        if let Some(at) = self.gone.iter().copied().find(|at| self.before[*at] == hook) {
            self.gone.remove(&at);
            return Ok(());
        }
        if self.after().iter().any(|other| self.same(other, &hook, &place.interface.name)) {
            return Err(Error::Refused(format!("`{}` has this {key} already: {command}", place.node.name)));
        }
        self.new.push(hook);
        Ok(())
    }

    pub(super) fn remove(&mut self, phase: Phase, command: &str, place: &Place<'_>) -> Result<(), Error> {
        let (hook, name) = (Hook { phase, command: command.to_owned() }, &place.interface.name);
        let left = |(at, _): &(usize, &Hook)| !self.gone.contains(at);
        let found = self.before.iter().enumerate().filter(left).find(|(_, other)| self.same(other, &hook, name));
        if let Some(at) = found.map(|(at, _)| at) {
            self.gone.insert(at);
            return Ok(());
        }
        match self.new.iter().position(|other| self.same(other, &hook, name)) {
            Some(at) => drop(self.new.remove(at)),
            None => {
                return Err(Error::RefusedWithRemedy {
                    message: format!(
                        "{name} of `{}` has no {} `{command}` to take away",
                        place.node.name,
                        read::key(phase)
                    ),
                    hint: format!("`wg-friend hooks list {}` shows what it has", place.node.name),
                });
            }
        }
        Ok(())
    }

    fn same(&self, a: &Hook, b: &Hook, interface: &InterfaceName) -> bool {
        a.phase == b.phase && essence(a, interface) == essence(b, interface)
    }

    /// Returns the hooks as they will be.
    fn after(&self) -> Vec<Hook> {
        let stays = self.before.iter().enumerate().filter(|(at, _)| !self.gone.contains(at)).map(|(_, hook)| hook);
        stays.chain(&self.new).cloned().collect()
    }

    /// Returns the hooks that a made interface keeps.
    pub(super) fn of_made(&self) -> Vec<Hook> {
        if self.is_adopted() { Vec::new() } else { self.after() }
    }

    /// Returns the file with its hooks changed; `None` when there is none, or it stays.
    pub(super) fn document(&self) -> Option<Zeroizing<String>> {
        let document = self.document.as_ref().filter(|_| !self.gone.is_empty() || !self.new.is_empty())?;
        let mut changed: BTreeMap<usize, Option<String>> = self.gone.iter().map(|at| (*at, None)).collect();
        let mut new = Vec::new();
        for hook in &self.new {
            let free = changed.iter_mut().find(|(at, text)| text.is_none() && self.before[**at].phase == hook.phase);
            match free {
                Some((_, text)) => *text = Some(hook.command.clone()),
                None => new.push(hook.clone()),
            }
        }
        let text = document.with_hooks(&changed);
        Some(if new.is_empty() { text } else { Document::parse(&text).with_new_hooks(&new) })
    }

    /// Returns the routes and addresses that hooks make no longer, and those that they make now.
    pub(super) fn made(&self, interface: &InterfaceName) -> Option<(ByHooks, ByHooks)> {
        let (was, is) = (makes(&self.before, interface), makes(&self.after(), interface));
        if was == is {
            return None;
        }
        let less = |all: &ByHooks, other: &ByHooks| ByHooks {
            routes: all.routes.iter().filter(|route| !other.routes.contains(route)).copied().collect(),
            addresses: all.addresses.iter().filter(|address| !other.addresses.contains(address)).copied().collect(),
        };
        Some((less(&was, &is), less(&is, &was)))
    }

    /// Returns the hooks before or after, for people; keys are hidden.
    pub(super) fn texts(&self, after: bool) -> Vec<(Phase, String)> {
        let hooks = if after { self.after() } else { self.before.clone() };
        hooks.iter().map(Self::text).collect()
    }

    pub(super) fn text(hook: &Hook) -> (Phase, String) {
        (hook.phase, config::masked_line(&hook.command))
    }

    /// Judges what is new.
    ///
    /// # Errors
    /// The first hook that isn't on the list, unless somebody answers for it.
    pub(super) fn judge(&self, place: &Place<'_>, leave: Leave<'_>) -> Result<Judged, Error> {
        let mut judged = Judged { reason: leave_of(place, leave)?, ..Judged::default() };
        let interface = &place.interface.name;
        for hook in &self.new {
            let Err(offence) = judge(&hook.command, interface) else { continue };
            if judged.reason.is_none() {
                return Err(refused(place, hook.phase, &offence.to_string(), &offence.remedy()));
            }
            let key = read::key(hook.phase);
            judged.remarks.push(format!("unsafe {key}, allowed all the same: {offence}"));
            judged.unsafe_hooks.push(UnsafeHook {
                phase: hook.phase.as_str(),
                command: config::masked_line(&hook.command),
                token: config::masked_line(&offence.token),
                because: offence.reason,
            });
        }
        judged.remarks.extend(self.unpaired(interface));
        judged.remarks.extend(self.not_repeated(place.interface));
        Ok(judged)
    }

    /// Says what isn't done for the interface that runs beside this one with its next key.
    fn not_repeated(&self, interface: &Interface) -> Option<String> {
        interface.overlap.filter(|overlap| !overlap.over && !self.new.is_empty())?;
        let beside = overlap::name(&interface.name);
        let unclear = second::repeated(&self.after(), &interface.name, &beside).unclear?;
        let shown = config::masked_line(&unclear);
        Some(format!(
            "nobody can tell what `{shown}` has to do for {beside}, which has the next key: it isn't done there"
        ))
    }

    /// Says what of the new hooks stays behind, or takes away what was never set up.
    fn unpaired(&self, interface: &InterfaceName) -> Vec<String> {
        let after = self.after();
        let understood = understand(&after, interface);
        let mut remarks = Vec::new();
        for place in understood.patterns.iter().flat_map(|found| &found.unpaired) {
            let hook = &after[place.hook];
            if !self.new.contains(hook) && self.gone.is_empty() {
                continue;
            }
            let text = understood.text(*place);
            remarks.push(match (hook.phase.is_up(), inverse(text, interface)) {
                (true, Some(inverse)) => {
                    format!("`{text}` stays behind when {interface} goes down: add post-down+='{inverse}'")
                }
                (true, None) => format!("`{text}` stays behind when {interface} goes down: no hook takes it back"),
                (false, _) => {
                    format!("`{text}` takes away what no hook sets up: it may fail when {interface} goes down")
                }
            });
        }
        remarks
    }
}

/// Returns why hooks may be written that aren't on the list; `None` when they may not.
fn leave_of(place: &Place<'_>, leave: Leave<'_>) -> Result<Option<String>, Error> {
    let given = leave.reason.map(str::trim).filter(|reason| !reason.is_empty());
    match (place.host, given) {
        (Some(host), Some(_)) if host.allow_unsafe.is_none() => Err(Error::Value {
            what: "--allow-unsafe".into(),
            reason: "is for nodes without a host".into(),
            hint: Some(format!(
                "`wg-friend host set {} allow-unsafe=on --reason TEXT` gives leave for all of it",
                host.name
            )),
        }),
        (Some(host), _) => Ok(host.allow_unsafe.as_ref().map(|by| by.reason.clone())),
        (None, given) => Ok(given.map(str::to_owned)),
    }
}

fn refused(place: &Place<'_>, phase: Phase, offence: &str, remedy: &str) -> Error {
    let otherwise = match place.host {
        Some(host) => format!("`wg-friend host set {} allow-unsafe=on --reason TEXT` lets it through", host.name),
        None => "--allow-unsafe TEXT lets it through".to_owned(),
    };
    Error::Value {
        what: read::key(phase).to_owned(),
        reason: format!("hooks run as root, and this one isn't on the list of safe ones: {offence}"),
        hint: Some(format!("{remedy}; {otherwise}, and is written into the audit log")),
    }
}

/// Whether a text holds what could be a secret key of WireGuard: any but one that is said to be a peer's.
pub fn holds_key(text: &str) -> bool {
    const DIGITS: usize = 43; // of 32 bytes in base64, without the `=` behind them
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let is_public = |before: &str| before.trim_end().ends_with("peer");
    text.match_indices('=').any(|(at, _)| {
        let begin = at - text.as_bytes()[..at].iter().rev().take_while(|b| is_digit(**b)).count();
        at - begin == DIGITS && !is_public(&text[..begin])
    })
}
