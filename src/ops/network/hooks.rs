//! Hooks: what they do, which of them are on the list, and handing them to wg-friend's own firewall and back.

mod takeover;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::change::{Done, Mode, Outcome, Scope, carry_out};
use super::find;
use crate::db::Store;
use crate::model::{Action, Actor, AllowUnsafe, Event, Interface, InterfaceName, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::wg::compile::compile;
use crate::wg::config::{self, Document};
use crate::wg::hooks::allow::{Offence, judge};
use crate::wg::hooks::patterns::{Scope as Reach, Variables};
use crate::wg::hooks::{understand, without};

/// The hooks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HooksView {
    /// Whose.
    pub name: Name,
    /// Who gave leave for hooks that aren't on the list, on its host, and why.
    pub allow_unsafe: Option<AllowUnsafe>,
    /// Per interface.
    pub interfaces: Vec<InterfaceHooks>,
}

/// The hooks of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceHooks {
    /// Its name.
    pub interface: InterfaceName,
    /// Whether it was adopted with hooks of its own.
    pub adopted: bool,
    /// Whether wg-friend's own firewall and forwarding are in force.
    pub firewall: bool,
    /// Its commands, in the order in which they are written.
    pub commands: Vec<CommandView>,
    /// What the commands are for.
    pub patterns: Vec<PatternView>,
}

/// A command of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandView {
    /// Which hook it stands in, counted from 0.
    pub hook: usize,
    /// `PreUp`, `PostUp`, `PreDown` or `PostDown`.
    pub phase: &'static str,
    /// The command, verbatim; keys are hidden.
    pub command: String,
    /// Whether wg-friend writes it.
    pub ours: bool,
    /// What it is for; `None` when it isn't recognised.
    pub meaning: Option<String>,
    /// The pattern that it is a part of.
    pub pattern: Option<&'static str>,
    /// Whether all of the pattern is undone when the interface goes down.
    pub paired: bool,
    /// Whether what it sets up stays behind, or what it takes away was never set up.
    pub unpaired: bool,
    /// What in its hook isn't on the list of what hooks may do; `None` when the hook is.
    pub unsafe_because: Option<Offence>,
}

/// A pattern that was found in hooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PatternView {
    /// Its name.
    pub pattern: &'static str,
    /// What it is for on this host.
    pub meaning: String,
    /// Why people do it.
    pub rationale: &'static str,
    /// Whom it concerns.
    pub scope: Reach,
    /// What stands for its names.
    pub variables: Variables,
    /// Whether all of it is undone when the interface goes down.
    pub paired: bool,
}

/// Tells what the hooks of a node do: those that are written into its files.
pub fn list(store: &Store, wanted: &str) -> Result<HooksView, Error> {
    let topology = store.topology()?;
    let node = find::node(&topology, wanted)?;
    let secrets = store.secrets()?;
    let nodes = compile(&topology).map_err(Error::Model)?;
    let files: BTreeMap<String, String> = nodes
        .iter()
        .filter(|config| config.node == node.id)
        .flat_map(|config| config::masked_files(config, &secrets))
        .map(|file| (file.path, file.content.to_string()))
        .collect();
    let interfaces = node.interfaces.iter().filter_map(|interface| {
        let text = files.get(&format!("{}.conf", interface.name))?;
        let own = secrets.documents.get(&interface.id).map(|text| Document::parse(&config::mask(text)));
        Some(of_interface(interface, &Document::parse(text), own.as_ref()))
    });
    let host = node.host.as_ref().and_then(|name| topology.host(name));
    let allow_unsafe = host.and_then(|host| host.allow_unsafe.clone());
    Ok(HooksView { name: node.name.clone(), allow_unsafe, interfaces: interfaces.collect() })
}

fn of_interface(interface: &Interface, file: &Document, own: Option<&Document>) -> InterfaceHooks {
    let hooks = file.hooks();
    let own = own.map(Document::hooks).or_else(|| interface.kept.as_ref().map(|kept| kept.hooks.clone()));
    let understood = understand(&hooks, &interface.name);
    let unpaired: BTreeSet<_> = understood.patterns.iter().flat_map(|found| &found.unpaired).collect();
    let mut commands = Vec::new();
    for line in &understood.lines {
        let hook = &hooks[line.hook];
        let offence = judge(&hook.command, &interface.name).err();
        for (index, command) in line.commands.iter().enumerate() {
            let found = command.pattern.map(|pattern| &understood.patterns[pattern]);
            let place = crate::wg::hooks::Place { hook: line.hook, command: index };
            commands.push(CommandView {
                hook: line.hook,
                phase: line.phase.as_str(),
                command: command.text.clone(),
                ours: !own.as_ref().is_some_and(|own| own.contains(hook)),
                meaning: found.map(|found| found.meaning()),
                pattern: found.map(|found| found.pattern.as_str()),
                paired: found.is_some_and(|found| found.paired),
                unpaired: unpaired.contains(&place),
                unsafe_because: offence.clone(),
            });
        }
    }
    let patterns = understood.patterns.iter().map(|found| PatternView {
        pattern: found.pattern.as_str(),
        meaning: found.meaning(),
        rationale: found.pattern.rationale(),
        scope: found.scope,
        variables: found.variables.clone(),
        paired: found.paired,
    });
    InterfaceHooks {
        interface: interface.name.clone(),
        adopted: interface.kept.as_ref().is_some_and(|kept| !kept.made),
        firewall: interface.kept.as_ref().is_none_or(|kept| kept.firewall),
        commands,
        patterns: patterns.collect(),
    }
}

/// Hands what a node's hooks do for everybody to wg-friend's own firewall: takes those commands out, and puts its table
/// in force. `everything`: also rules that only open the host's own FORWARD chain go.
///
/// # Errors
/// [`Error::RefusedWithRemedy`] when traffic would not be the same afterwards; it names the command.
pub fn adopt(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    everything: bool,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "handed over", mode, |scope| {
        let node = find::node(scope.before, wanted)?;
        let text = document(scope, node)?;
        if node.main().kept.as_ref().is_some_and(|kept| kept.firewall) {
            return Err(Error::Refused(format!("wg-friend's firewall is in force on `{}` already", node.name)));
        }
        let document = Document::parse(&text);
        let (hooks, interface) = (document.hooks(), &node.main().name);
        let understood = understand(&hooks, interface);
        let takeover = takeover::decide(node, scope.before, &understood, everything)?;
        let mut cuts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in &takeover.cut {
            cuts.entry(place.hook).or_default().push(place.command);
        }
        let mut changed = BTreeMap::new();
        for (hook, commands) in cuts {
            let left =
                without(&hooks[hook].command, interface, &commands).map_err(|joined| Error::RefusedWithRemedy {
                    message: format!("{joined}, so it can't be taken out alone"),
                    hint: "write the command on a line of its own first".to_owned(),
                })?;
            changed.insert(hook, left);
        }
        scope.tx.edit_document(node.main().id, &document.with_hooks(&changed))?;
        let mut after = node.clone();
        after.nat = takeover.nat;
        after.outer_interface = takeover.outer.clone().or(after.outer_interface);
        set_firewall(&mut after, true);
        scope.tx.update_node(&after, scope.now)?;
        let patterns: Vec<&str> = takeover.patterns.iter().map(|pattern| pattern.as_str()).collect();
        let event = Event::node(Action::HooksAdopted, &after)
            .with("interface", interface.as_str())
            .with("patterns", patterns.clone())
            .with("commands", takeover.cut.len());
        let mut remarks = vec![match patterns.as_slice() {
            [] => "no command had to go".to_owned(),
            patterns => format!("taken over: {}", patterns.join(", ")),
        }];
        remarks.extend(takeover.remarks);
        remarks.extend(judged(scope.before, &after));
        Ok(Done { events: vec![event], nodes: vec![after.id], remarks, ..Done::default() })
    })
}

/// Says that rights count from now on.
fn judged(topology: &Topology, node: &Node) -> Option<String> {
    let remotes = topology.with_role(crate::model::Role::Remote).count();
    (node.role == crate::model::Role::Server && remotes > 0)
        .then(|| "who may reach what is enforced from now on: `wg-friend show NAME` tells it for each node".to_owned())
}

/// Gives a node its own hooks back, as they were when it was adopted, and puts wg-friend's firewall out of force.
pub fn keep(store: &mut Store, clock: &dyn Clock, actor: &Actor, wanted: &str, mode: Mode) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "given back", mode, |scope| {
        let node = find::node(scope.before, wanted)?;
        let text = document(scope, node)?;
        let original = scope.tx.originals()?.remove(&node.main().id).unwrap_or_else(|| text.clone());
        if node.main().kept.as_ref().is_none_or(|kept| !kept.firewall) && original == text {
            return Err(Error::Refused(format!("`{}` has its own hooks already; nothing was changed", node.name)));
        }
        scope.tx.edit_document(node.main().id, &original)?;
        let mut after = node.clone();
        set_firewall(&mut after, false);
        scope.tx.update_node(&after, scope.now)?;
        let event = Event::node(Action::HooksKept, &after).with("interface", after.main().name.as_str());
        let remarks = vec![format!("who may reach what is no longer enforced by `{}`", after.name)];
        Ok(Done { events: vec![event], nodes: vec![after.id], remarks, ..Done::default() })
    })
}

/// Returns what an adopted node's file is made from.
fn document(scope: &Scope<'_>, node: &Node) -> Result<zeroize::Zeroizing<String>, Error> {
    let found = scope.tx.documents()?.remove(&node.main().id).filter(|_| node.main().kept.is_some());
    found.ok_or_else(|| Error::Refused(format!("`{}` wasn't imported: its hooks are all wg-friend's own", node.name)))
}

fn set_firewall(node: &mut Node, on: bool) {
    if let Some(kept) = node.interfaces.first_mut().and_then(|main| main.kept.as_mut()) {
        kept.firewall = on;
    }
}
