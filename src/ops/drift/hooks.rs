//! What of a file, and of what hooks could make, the model can take over.

use std::collections::BTreeSet;

use crate::fleet::{Observed, ObservedInterface};
use crate::model::{Hook, Node, Phase, Route};
use crate::ops::deploy::{Change, Kind};
use crate::ops::error::Error;
use crate::ops::network::interface::holds_key;
use crate::wg::InterfaceConfig;
use crate::wg::config::{Document, generated_hooks, masked_line};
use crate::wg::hooks::allow::judge;
use crate::wg::hooks::live::makes;

use super::item::{InFile, in_file};
use super::refusal::refusal;
use super::taking::{Reason, Taking, follows_from_peers, interface, kept};

/// Keeps a route that somebody added, by a hook that makes it again whenever the interface comes up.
pub(super) fn route(
    node: &mut Node,
    config: &InterfaceConfig,
    live: &ObservedInterface,
    change: &Change,
) -> Option<Result<(), Reason>> {
    let route: Route = live.routes.iter().copied().find(|route| Some(route.to_string()) == change.before)?;
    if follows_from_peers(live, &route) {
        return Some(Ok(()));
    }
    if interface(node, config.id)?.kept.as_ref().is_some_and(|kept| !kept.made) {
        let text =
            "its hooks stand in its own file: `wg-friend interface set HOST NAME post-up+='ip route ...'` adds one";
        return Some(Err(text.to_owned()));
    }
    let family = if route.to.is_ipv4() { "-4" } else { "-6" };
    let table = route.table.map_or_else(String::new, |number| format!(" table {number}"));
    let command = format!("ip {family} route replace {} dev %i{table}", route.to);
    let kept = kept(node, config);
    kept.hooks.push(Hook { phase: Phase::PostUp, command });
    kept.by_hooks.routes.push(route);
    Some(Ok(()))
}

impl Taking<'_> {
    /// Takes the hooks of a file over; of an adopted interface, the whole file.
    pub(super) fn file(
        &mut self,
        config: &InterfaceConfig,
        change: &Change,
        observed: &Observed,
    ) -> Result<Result<(), Reason>, Error> {
        if let Some(done) = self.files.get(&config.id) {
            return Ok(done.clone());
        }
        let done = self.read_file(config, change, observed)?;
        self.files.insert(config.id, done.clone());
        Ok(done)
    }

    fn read_file(
        &mut self,
        config: &InterfaceConfig,
        change: &Change,
        observed: &Observed,
    ) -> Result<Result<(), Reason>, Error> {
        let refused = |change: &Change| refusal(change, &self.host.desired, Some(observed));
        let path = format!("{}.conf", config.name);
        let Some(file) = observed.files.get(&path).filter(|file| file.mode == "600") else {
            return Ok(Err(refused(change)));
        };
        let text = String::from_utf8_lossy(&file.content);
        let document = Document::parse(&text);
        let mut own: Vec<(usize, Hook)> = document.hooks().into_iter().enumerate().collect();
        let mut ours: BTreeSet<usize> = BTreeSet::new();
        for hook in &generated_hooks(config) {
            // Ours stand behind those of an adopted file.
            match own.iter().rposition(|(_, other)| other == hook) {
                Some(at) => drop(ours.insert(own.remove(at).0)),
                None => {
                    let (key, command) = (hook.phase.as_str(), masked_line(&hook.command));
                    return Ok(Err(format!("{key} `{command}` is wg-friend's own: the interface can't do without it")));
                }
            }
        }
        let own: Vec<Hook> = own.into_iter().map(|(_, hook)| hook).collect();
        if let Some(reason) = self.offence(config, &own) {
            return Ok(Err(reason));
        }
        let Some(node) = self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == config.id)) else {
            return Ok(Err("its interface is no longer in the model".to_owned()));
        };
        let adopted = node.interfaces.iter().any(|i| i.id == config.id && i.kept.as_ref().is_some_and(|k| !k.made));
        if adopted {
            // What is ours comes anew whenever the file is made, for as long as it is needed: hooks, and peers' next keys.
            let awaited = config.peers.iter().filter(|peer| peer.succeeds.is_some()).map(|peer| peer.public_key);
            self.tx.edit_document(config.id, &document.without(&ours, &awaited.collect()))?;
            return Ok(Ok(()));
        }
        if own == config.hooks || in_file(&path, &self.host.desired, observed) != InFile::Hooks {
            let of_file = Change { kind: Kind::File, subject: path, ..change.clone() };
            return Ok(Err(refused(&of_file)));
        }
        let kept = kept(node, config);
        kept.by_hooks = makes(&own, &config.name);
        kept.hooks = own;
        self.touched.insert(node.id);
        Ok(Ok(()))
    }

    /// Says what in hooks that are new may not stand in the model.
    fn offence(&self, config: &InterfaceConfig, hooks: &[Hook]) -> Option<Reason> {
        let host = &self.host.host;
        for hook in hooks.iter().filter(|hook| !config.hooks.contains(hook)) {
            let key = hook.phase.as_str();
            if holds_key(&hook.command) {
                return Some(format!("a secret key stands in a {key}, and hooks are kept and shown as they are"));
            }
            if let (Err(offence), None) = (judge(&hook.command, &config.name), &host.allow_unsafe) {
                return Some(format!(
                    "a {key} isn't on the list of safe hooks: {}; `wg-friend host set {} allow-unsafe=on --reason TEXT` lets it through",
                    masked_line(&offence.to_string()),
                    host.name
                ));
            }
        }
        None
    }
}
