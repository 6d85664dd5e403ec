//! Bringing the model back to a state: what is there is changed until it is what was there, keys aside.
//!
//! Keys never go back. What exists keeps the key it has now, and whoever keeps its private half keeps it; what comes back has
//! the key that it had when it was removed. So a key that was retired stays retired.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rusqlite::params;
use wg_friend_crypt as crypt;

use super::{Model, document};
use crate::db::error::{Error, Result};
use crate::db::networks::{INTERFACES, NETWORK};
use crate::db::tx::Tx;
use crate::db::vault::{DOCUMENT, ORIGINAL};
use crate::db::{links, micros};
use crate::model::{
    Custody, Host, Interface, InterfaceId, InterfaceKind, Link, LinkId, Node, NodeId, Port, PrivateKey, Topology,
};

/// What bringing the model back left to say, and to do.
#[derive(Debug, Default)]
pub struct Returned {
    /// Nodes that had another key at that state, and keep the one they have.
    pub kept_keys: Vec<NodeId>,
    /// Nodes whose private key was kept by somebody else at that state; that stays as it is, too.
    pub kept_custody: Vec<NodeId>,
    /// Nodes that are there again.
    pub back: Vec<NodeId>,
    /// Those among them that got a new key, because theirs is in use elsewhere or was retired.
    pub new_keys: Vec<NodeId>,
    /// Links that had a preshared key and need a new one: theirs was taken away since.
    pub lacking: Vec<LinkId>,
    /// Links that have another preshared key than at that state, and keep it.
    pub kept_preshared: usize,
}

impl Tx<'_> {
    /// Brings the network back to a state. What is the same already isn't written; hosts on which other networks have nodes
    /// stay as they are. Returns what is left to say and do, and the network as it is now.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a state that there isn't, [`Error::NotThen`] for one that is older than the network.
    pub fn return_to(&self, number: i64, now: DateTime<Utc>) -> Result<(Returned, Model)> {
        let (mut then, current) = (self.model_at(number)?, self.topology()?);
        self.leave_hosts_of_others(&mut then)?;
        let mut returned = Returned::default();
        let goal = self.goal(&then, &current, &mut returned)?;

        self.become_model(&then, &goal, now, &mut returned)?;
        self.return_documents(&then)?;
        let hosts = crate::db::hosts::load_with_rows(&self.transaction)?.into_iter().collect();
        let preshared = self.preshared_since()?;
        let (adopted, psk_rules) = (then.adopted, then.psk_rules);
        Ok((returned, Model { topology: self.topology()?, hosts, preshared, adopted, psk_rules }))
    }

    /// Changes the network until it is as `then` says, with the nodes of `goal`: all but what adopted interfaces' configurations
    /// say.
    pub(super) fn become_model(
        &self,
        then: &Model,
        goal: &BTreeMap<NodeId, Node>,
        now: DateTime<Utc>,
        returned: &mut Returned,
    ) -> Result<()> {
        let current = self.topology()?;
        self.return_hosts(then)?;
        self.clear_exits()?;
        self.clear_groups()?;
        self.make_room(goal, &current, now)?;
        self.put_back(goal, &current, now, returned)?;
        self.return_exit_groups(&then.topology.exit_groups)?;
        for node in goal.values().filter(|node| current.node(node.id) != Some(*node)) {
            let node = self.with_present_keys(node, returned)?;
            self.save_fields(&node)?;
            self.save_lists(&node)?;
            node.interfaces.iter().try_for_each(|interface| self.save_interface(node.id, interface))?;
        }
        self.return_groups(&then.topology.groups)?;
        self.remove_hosts(then)?;
        self.release_unused(&current, now)?;
        let mut network = then.topology.network.clone();
        let present = self.network()?;
        if self.is_name_of_another(&network.name)? {
            network.name.clone_from(&present.name); // somebody else's by now
        }
        if network != present {
            self.update_network(&network)?;
        }
        self.return_links(then, returned)?;
        self.return_psk_rules(&then.psk_rules)
    }

    /// Returns the nodes as they shall be: as they were, with the keys and the custody that they have, or had last.
    fn goal(&self, then: &Model, current: &Topology, returned: &mut Returned) -> Result<BTreeMap<NodeId, Node>> {
        let mut goal = BTreeMap::new();
        for was in &then.topology.nodes {
            let mut node = was.clone();
            let is = current.node(was.id);
            let last = match is {
                Some(is) => is.clone(),
                None => self.last_known(was.id)?.unwrap_or_else(|| was.clone()),
            };
            for interface in &mut node.interfaces {
                if let Some(same) = last.interfaces.iter().find(|other| other.id == interface.id) {
                    // A key keeps the port at which it is dialled.
                    if interface.public_key != same.public_key && interface.kind == InterfaceKind::Main {
                        interface.listen_port = same.listen_port;
                        if let (Some(endpoint), Some(now)) = (&mut node.endpoint, &last.endpoint) {
                            endpoint.port = now.port;
                        }
                    }
                    interface.public_key = same.public_key;
                    (interface.staged_key, interface.overlap) = (same.staged_key, same.overlap);
                    if let Some(kept) = &mut interface.kept {
                        kept.key_unknown = same.kept.as_ref().is_some_and(|kept| kept.key_unknown);
                    }
                }
            }
            (node.custody, node.provisional) = (last.custody, last.provisional);
            if is.is_some() && node.interfaces != was.interfaces {
                returned.kept_keys.push(was.id);
            }
            if is.is_some() && node.custody != was.custody {
                returned.kept_custody.push(was.id);
            }
            goal.insert(node.id, node);
        }
        Ok(goal)
    }

    /// Puts hosts as they are now in the place of what they were, where that isn't for this network to say: those on which
    /// other networks have nodes, and those that are gone and that it has no use for.
    fn leave_hosts_of_others(&self, then: &mut Model) -> Result<()> {
        if self.networks()?.len() < 2 {
            return Ok(());
        }
        let sql = format!("SELECT DISTINCT host_id FROM nodes WHERE host_id IS NOT NULL AND network_id <> {NETWORK}");
        let of_others: BTreeSet<i64> = self.numbers(&sql)?.into_iter().collect();
        let now: BTreeMap<_, _> = crate::db::hosts::load_with_rows(&self.transaction)?.into_iter().collect();
        let used = |host: &Host| then.topology.nodes.iter().any(|node| node.host.as_ref() == Some(&host.name));
        let mut hosts = then.hosts.clone();
        hosts.retain(|row, host| now.contains_key(row) || used(host));
        let mut renamed = BTreeMap::new();
        for (row, host) in now.into_iter().filter(|(row, _)| of_others.contains(row)) {
            if let Some(was) = hosts.insert(row, host.clone()) {
                renamed.insert(was.name, host.name);
            }
        }
        for node in &mut then.topology.nodes {
            let name = node.host.as_ref().and_then(|name| renamed.get(name)).cloned();
            node.host = name.or(node.host.take());
        }
        then.hosts = hosts;
        Ok(())
    }

    /// Makes the hosts what they were; those that weren't there stay until no node refers to them.
    fn return_hosts(&self, then: &Model) -> Result<()> {
        let rows: BTreeMap<_, _> = crate::db::hosts::load_with_rows(&self.transaction)?.into_iter().collect();
        let differing = || then.hosts.iter().filter(|(id, host)| rows.get(id) != Some(*host));
        // A blank is in no name: whatever has to be called what, nothing is in its way.
        let park = "UPDATE hosts SET name = ' ' || id WHERE id = ?1";
        for id in rows.keys().filter(|id| then.hosts.get(id) != rows.get(id)) {
            self.transaction.execute(park, [id])?;
        }
        for (id, host) in differing() {
            let sql = "INSERT OR IGNORE INTO hosts (id, name, become) VALUES (?1, ' ' || ?1, '')";
            self.transaction.execute(sql, [id])?;
            self.overwrite_host(*id, host)?;
        }
        Ok(())
    }

    fn remove_hosts(&self, then: &Model) -> Result<()> {
        let rows = crate::db::hosts::load_rows(&self.transaction)?;
        for id in rows.into_iter().filter(|id| !then.hosts.contains_key(id)) {
            self.transaction.execute("DELETE FROM hosts WHERE id = ?1", [id])?;
        }
        Ok(())
    }

    /// Removes nodes and uplinks that weren't there, and takes names and addresses from the nodes that change, so that
    /// they can be given out anew in any order.
    fn make_room(&self, goal: &BTreeMap<NodeId, Node>, current: &Topology, now: DateTime<Utc>) -> Result<()> {
        for node in current.nodes.iter().filter(|node| goal.get(&node.id) != Some(*node)) {
            let sql =
                "UPDATE nodes SET name = ' ' || id, address4 = NULL, address6 = NULL, exit_id = NULL, exit_group_id = NULL,
                   exit_via = NULL, server_id = NULL WHERE id = ?1";
            self.transaction.prepare_cached(sql)?.execute([node.id.0])?;
            let wanted = goal.get(&node.id);
            for interface in &node.interfaces {
                if wanted.is_some_and(|wanted| wanted.interfaces.iter().any(|other| other.id == interface.id)) {
                    let sql = "UPDATE interfaces SET name = ' ' || id WHERE id = ?1";
                    self.transaction.prepare_cached(sql)?.execute([interface.id.0])?;
                } else if interface.kind != InterfaceKind::Main {
                    self.delete_interface(interface.id)?;
                }
            }
        }
        let gone = current.nodes.iter().filter(|node| !goal.contains_key(&node.id));
        gone.map(|node| node.id).try_for_each(|id| self.delete_node(id, now))
    }

    /// Adds the nodes and uplinks that are missing, bare, with the keys that are known of them.
    fn put_back(
        &self,
        goal: &BTreeMap<NodeId, Node>,
        current: &Topology,
        now: DateTime<Utc>,
        returned: &mut Returned,
    ) -> Result<()> {
        for node in goal.values().filter(|node| current.node(node.id).is_none()) {
            let sql = format!(
                "INSERT INTO nodes (id, network_id, guid, created, name, role, enabled, custody, provisional, nat, access,
                   notes, origin)
                 VALUES (?1, {NETWORK}, ?2, ?3, ' ' || ?1, '', 1, '', 0, 0, '', '', '')"
            );
            let values = params![node.id.0, node.guid.to_string(), micros(node.created)];
            self.transaction.prepare_cached(&sql)?.execute(values)?;
            returned.back.push(node.id);
        }
        for node in goal.values() {
            let there = current.node(node.id);
            let missing = |interface: &&Interface| {
                there.is_none_or(|there| there.interfaces.iter().all(|other| other.id != interface.id))
            };
            for interface in node.interfaces.iter().filter(missing) {
                self.put_back_interface(node.id, interface)?;
                if !self.put_back_keys(interface.id)? {
                    let private = PrivateKey::from_random(*crypt::random()?);
                    self.insert_key(interface.id, private.public(), Some(&private), now)?;
                    if interface.kind == InterfaceKind::Main {
                        returned.new_keys.push(node.id);
                    }
                }
            }
            if there.is_none() {
                self.put_back_notes(node.id)?;
            }
        }
        Ok(())
    }

    fn put_back_interface(&self, node: NodeId, interface: &Interface) -> Result<()> {
        let exit = match interface.kind {
            InterfaceKind::Main => None,
            InterfaceKind::Uplink(exit) => Some(exit.0),
        };
        let sql = "INSERT INTO interfaces (id, node_id, name, exit_id, listen_port) VALUES (?1, ?2, ' ' || ?1, ?3, ?4)";
        let values = params![interface.id.0, node.0, exit, interface.listen_port.map(Port::get)];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Returns a node with the custody that fits the key it got.
    fn with_present_keys(&self, node: &Node, returned: &Returned) -> Result<Node> {
        let mut node = node.clone();
        if returned.new_keys.contains(&node.id) {
            (node.custody, node.provisional) = (Custody::Held, false);
        }
        Ok(node)
    }

    /// Counts the addresses that nobody has any more as released.
    fn release_unused(&self, before: &Topology, now: DateTime<Utc>) -> Result<()> {
        let addresses = |topology: &Topology| -> BTreeSet<IpAddr> {
            let of = |node: &Node| [node.address4.map(IpAddr::from), node.address6.map(IpAddr::from)];
            topology.nodes.iter().flat_map(of).flatten().collect()
        };
        let used = addresses(&self.topology()?);
        let mut unused = addresses(before).into_iter().filter(|address| !used.contains(address));
        unused.try_for_each(|address| self.release(address, now))
    }

    fn return_links(&self, then: &Model, returned: &mut Returned) -> Result<()> {
        let wanted: BTreeSet<Link> = then.topology.links.iter().copied().collect();
        let present: BTreeSet<Link> = links::load(&self.transaction)?.into_iter().collect();
        for link in present.difference(&wanted) {
            self.delete_link(link.id)?;
        }
        for link in wanted.difference(&present) {
            self.put_link(*link)?;
        }
        let present: BTreeSet<LinkId> = self.preshared_links()?.into_iter().collect();
        for link in present.iter().filter(|link| !then.preshared.contains_key(link)) {
            self.remove_psk(*link)?;
        }
        for link in then.preshared.keys() {
            if !present.contains(link) && !self.put_back_psk(*link)? {
                returned.lacking.push(*link);
            }
        }
        let is = self.preshared_since()?;
        returned.kept_preshared =
            then.preshared.iter().filter(|(link, was)| is.get(link).is_some_and(|is| is != *was)).count();
        Ok(())
    }

    fn return_documents(&self, then: &Model) -> Result<()> {
        let sql = format!("SELECT interface_id FROM documents WHERE interface_id IN {INTERFACES}");
        let present = self.numbers(&sql)?;
        for id in present.into_iter().filter(|id| !then.adopted.contains_key(&InterfaceId(*id))) {
            self.transaction.execute("DELETE FROM documents WHERE interface_id = ?1", [id])?;
        }
        for (interface, state) in &then.adopted {
            let wanted = document::at(&self.transaction, self.data_key(), *interface, Some(*state))?;
            if document::now(&self.transaction, self.data_key(), *interface)? == wanted {
                continue;
            }
            let Some([original, text]) = wanted else {
                return Err(Error::Damaged { what: format!("state {state} lacks a configuration") });
            };
            let row = interface.0.to_string();
            let original = ORIGINAL.seal(self.data_key(), &row, &original)?;
            let text = DOCUMENT.seal(self.data_key(), &row, &text)?;
            let sql = "INSERT INTO documents (interface_id, sealed_original, sealed_text) VALUES (?1, ?2, ?3)
                       ON CONFLICT DO UPDATE SET sealed_original = excluded.sealed_original,
                         sealed_text = excluded.sealed_text";
            self.transaction.prepare_cached(sql)?.execute(params![interface.0, original, text])?;
        }
        Ok(())
    }
}
