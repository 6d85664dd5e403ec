//! Bringing a wg-quick file to a meaning: only lines whose meaning differs from what is wanted change.
//!
//! What is compared is what WireGuard makes of the file, so that a file which says the right thing in an unusual way
//! stays as it is. Comments, hooks, unknown keys, order and layout are never touched.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use zeroize::Zeroizing;

use super::comments::{Category, Comment, Owner};
use super::drafts::effective;
use super::edit::{Edit, Entry};
use super::fields::{Field, bare, items};
use super::mask::mask;
use super::syntax::{Document, LineKind, SectionKind, squeezed};
use super::values::{self, Step};
use super::writer::{peer_section, permanent_guid};
use super::{InterfaceConfig, Keys, NodeConfig, hooks};
use crate::model::{Cidr, Endpoint, EndpointHost, InterfaceAddr, LinkId, PublicKey, Secrets, Table};
use crate::wg::PeerConfig;

/// Returns a wg-quick file changed so that it means what is wanted; lines whose meaning doesn't differ stay byte for byte.
///
/// A peer of the file is the peer of `interface` that has its key, or whose interface had that key once
/// (`Secrets::owners`). Hooks that `interface` needs are added behind the last key of `[Interface]`. A private key that
/// a hook loads is left to it; one that nobody holds, and that isn't the one which is in the file, is taken out.
pub fn bring(text: &str, node: &NodeConfig, interface: &InterfaceConfig, keys: Keys<'_>) -> Zeroizing<String> {
    let document = Document::parse(text);
    let mut merge = Merge::new(&document, keys.secrets());
    let groups = merge.groups();
    let pairs = merge.matched(&groups, interface);
    merge.remove_peers(&groups, &pairs);
    merge.interface(node, interface);
    merge.allowed_ips(&groups, &pairs, interface);
    for (group, config) in groups.iter().zip(&pairs) {
        if let Some(config) = config {
            merge.peer(group, &interface.peers[*config]);
        }
    }
    let known: HashSet<usize> = pairs.iter().flatten().copied().collect();
    for peer in interface.peers.iter().enumerate().filter(|(at, _)| !known.contains(at)).map(|(_, peer)| peer) {
        merge.edit.append(peer_section(peer, Keys::Shown(merge.secrets)));
    }
    let brought = merge.edit.finish();
    match keys {
        Keys::Shown(_) => brought,
        Keys::Masked(_) => Zeroizing::new(mask(&brought)),
    }
}

/// A peer of the document; more than one section when its key stands there twice.
struct Group {
    key: PublicKey,
    sections: Vec<usize>,
    /// Lines of its keys in order; of AllowedIPs those of the last section only, for they replace the others.
    entries: Vec<Entry>,
}

impl Group {
    fn of(&self, field: Field) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.field == field).cloned().collect()
    }
}

struct Merge<'a> {
    document: &'a Document,
    edit: Edit<'a>,
    secrets: &'a Secrets,
    /// Lines of the interface's keys, wherever they stand.
    interface: Vec<Entry>,
    /// What the comments say, once somebody asks.
    comments: OnceCell<Vec<Comment>>,
}

impl<'a> Merge<'a> {
    fn new(document: &'a Document, secrets: &'a Secrets) -> Self {
        let (edit, comments) = (Edit::new(document), OnceCell::new());
        let mut merge = Self { document, edit, secrets, interface: Vec::new(), comments };
        let known = document.sections().iter().filter(|section| section.kind != SectionKind::Unknown);
        let entries = known.flat_map(|section| merge.entries(section.lines.clone()));
        merge.interface = entries.filter(|entry| !entry.field.is_of_peer()).collect();
        merge
    }

    fn entry(&self, line: usize) -> Option<Entry> {
        let parsed = &self.document.lines()[line];
        let field = (parsed.kind == LineKind::Pair).then(|| Field::of(self.document.piece(parsed.name())))??;
        let value = bare(self.document.text(), parsed.value(), field).value;
        Some(Entry { line, field, value })
    }

    fn entries(&self, lines: Range<usize>) -> impl Iterator<Item = Entry> {
        lines.filter_map(|line| self.entry(line))
    }

    fn text(&self, entry: &Entry) -> &str {
        self.document.piece(entry.value.clone())
    }

    /// Reads the last of some lines that has a value which can be read.
    fn last<T>(&self, entries: &[Entry], read: impl Fn(&str) -> values::Reading<T>) -> Option<T> {
        let value = |entry: &Entry| read(&squeezed(self.text(entry))).ok().map(|(value, _)| value);
        entries.iter().rev().find_map(value)
    }

    /// Returns the peers of the document.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_key: HashMap<PublicKey, usize> = HashMap::new();
        let own = self.own_key();
        for (at, section) in self.document.sections().iter().enumerate() {
            let Some(key) = self.document.key_of(at).filter(|key| Some(*key) != own) else { continue };
            let entries = self.entries(section.lines.clone()).filter(|entry| entry.field.is_of_peer());
            match by_key.get(&key) {
                None => {
                    by_key.insert(key, groups.len());
                    groups.push(Group { key, sections: vec![at], entries: entries.collect() });
                }
                Some(&first) => {
                    let entries: Vec<Entry> = entries.collect();
                    let group = &mut groups[first];
                    group.entries.retain(|entry| entry.field != Field::AllowedIps);
                    group.entries.extend(entries);
                    group.sections.push(at);
                }
            }
        }
        groups
    }

    fn own_key(&self) -> Option<PublicKey> {
        let entries = self.of_interface(Field::PrivateKey);
        self.last(entries.last().map_or(&[], std::slice::from_ref), values::private_key)
            .flatten()
            .map(|key| key.public())
    }

    /// Returns the lines of a key of the interface that stay.
    fn of_interface(&self, field: Field) -> Vec<Entry> {
        let stays = |entry: &&Entry| entry.field == field && !self.edit.is_gone(entry.line);
        self.interface.iter().filter(stays).cloned().collect()
    }

    /// Finds the peer that is wanted for each one of the document.
    fn matched(&self, groups: &[Group], interface: &InterfaceConfig) -> Vec<Option<usize>> {
        let by_key: HashMap<PublicKey, usize> =
            interface.peers.iter().enumerate().map(|(at, peer)| (peer.public_key, at)).collect();
        let mut pairs: Vec<Option<usize>> = groups.iter().map(|group| by_key.get(&group.key).copied()).collect();
        let mut taken: HashSet<usize> = pairs.iter().flatten().copied().collect();
        let mut by_link: BTreeMap<LinkId, Vec<usize>> = BTreeMap::new();
        // One that is awaited isn't the one that somebody wrote.
        let own = interface.peers.iter().enumerate().filter(|(_, peer)| peer.succeeds.is_none());
        for (at, peer) in own.rev().filter(|(at, _)| !taken.contains(at)) {
            by_link.entry(peer.link).or_default().push(at);
        }
        for (group, pair) in groups.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let Some(owner) = self.secrets.owners.get(&group.key) else { continue };
            let Some(at) = by_link.get_mut(&LinkId::between(interface.id, *owner)).and_then(Vec::pop) else { continue };
            taken.insert(at);
            *pair = Some(at);
        }
        pairs
    }

    /// Takes out the peers that aren't wanted, each with its comments and one blank line.
    fn remove_peers(&mut self, groups: &[Group], pairs: &[Option<usize>]) {
        let gone = groups.iter().zip(pairs).filter(|(_, pair)| pair.is_none());
        self.edit.remove_sections(gone.flat_map(|(group, _)| &group.sections).copied());
    }

    fn interface(&mut self, node: &NodeConfig, interface: &InterfaceConfig) {
        let mut missing: Vec<(Field, Zeroizing<String>)> = Vec::new();
        let mut wanted = |field, value: Option<Zeroizing<String>>| missing.extend(value.map(|value| (field, value)));
        wanted(Field::PrivateKey, self.private_key(node, interface));
        wanted(Field::Address, self.addresses(interface));
        let port = |text: &str| values::port(text);
        wanted(
            Field::ListenPort,
            self.single(Field::ListenPort, &interface.listen_port, |m, e| m.last(e, port).flatten()),
        );
        let mtu = interface.mtu.map(|mtu| mtu.get());
        wanted(Field::Mtu, self.single(Field::Mtu, &mtu, |m, e| m.last(e.last_chunk::<1>()?, values::mtu)));
        wanted(Field::Dns, self.dns(interface));
        let mark = interface.fwmark.filter(|mark| *mark != 0).map(Mark);
        let read = |m: &Self, e: &[Entry]| m.last(e, values::fwmark).filter(|mark| *mark != 0).map(Mark);
        wanted(Field::FwMark, self.single(Field::FwMark, &mark, read));
        let table = Some(interface.table.clone()).filter(|table| *table != Table::Auto);
        let read = |m: &Self, e: &[Entry]| m.last(e.last_chunk::<1>()?, values::table).filter(|t| *t != Table::Auto);
        wanted(Field::Table, self.single(Field::Table, &table, read));
        let read = |m: &Self, e: &[Entry]| Some(m.last(e, values::save_config).unwrap_or(false));
        wanted(Field::SaveConfig, self.single(Field::SaveConfig, &Some(interface.save_config), read));
        let hooks: Vec<hooks::Hook> = hooks::of(interface);
        if missing.is_empty() && hooks.is_empty() {
            return;
        }
        let mut sections = self.document.sections().iter();
        let Some(first) = sections.clone().find(|section| section.kind == SectionKind::Interface) else {
            self.new_interface(&missing, &hooks);
            return;
        };
        for (field, value) in &missing {
            let after = self.anchor(first.lines.clone(), *field, Field::INTERFACE);
            self.edit.insert_after(after, field.as_str(), value);
        }
        let last = sections.rfind(|section| section.kind == SectionKind::Interface).unwrap_or(first);
        let is_key = |line: &usize| self.document.lines()[*line].kind == LineKind::Pair && !self.edit.is_gone(*line);
        let after = last.lines.clone().rev().find(is_key).unwrap_or(last.lines.start);
        for hook in hooks {
            self.edit.insert_after(after, hook.key, &hook.command);
        }
    }

    /// Begins a document that has peers only with an interface.
    fn new_interface(&mut self, missing: &[(Field, Zeroizing<String>)], hooks: &[hooks::Hook]) {
        let end = self.edit.line_end();
        let room = missing.iter().map(|(_, value)| value.len() + 32).sum::<usize>();
        let room = room + hooks.iter().map(|hook| hook.command.len() + 32).sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(room + 64));
        let lines = missing.iter().map(|(field, value)| (field.as_str(), value.as_str()));
        text.extend(["[Interface]", end]);
        for (key, value) in lines.chain(hooks.iter().map(|hook| (hook.key, hook.command.as_str()))) {
            text.extend([key, " = ", value, end]);
        }
        text.push_str(end);
        let start = self.document.lines().first().map_or(self.document.text().len(), |line| line.whole().start);
        self.edit.replace(start..start, text);
    }

    /// Returns the line behind which a key of a section goes: the last of those that are written before it.
    fn anchor(&self, lines: Range<usize>, field: Field, order: &[Field]) -> usize {
        let rank = |field: Field| order.iter().position(|known| *known == field);
        let before = self.entries(lines.clone()).filter(|entry| !self.edit.is_gone(entry.line));
        let before = before.filter_map(|entry| Some((rank(entry.field)?, entry.line)));
        let place = before.filter(|(found, _)| Some(*found) < rank(field)).max();
        place.map_or(lines.start, |(_, line)| line)
    }

    /// Sets a key that has one value. Returns the value if there is no line for it.
    fn single<T: PartialEq + Display>(
        &mut self,
        field: Field,
        wanted: &Option<T>,
        read: impl Fn(&Self, &[Entry]) -> Option<T>,
    ) -> Option<Zeroizing<String>> {
        let entries = self.of_interface(field);
        if read(self, &entries) == *wanted {
            return None;
        }
        self.put(&entries, wanted.as_ref().map(|value| Zeroizing::new(value.to_string())))
    }

    /// Writes a value into the last of some lines, or takes the lines out. Returns the value if there is no line for it.
    fn put(&mut self, entries: &[Entry], value: Option<Zeroizing<String>>) -> Option<Zeroizing<String>> {
        match (entries.last(), value) {
            (None, value) => return value,
            (Some(last), Some(value)) => self.edit.set(last, &value),
            (Some(_), None) => entries.iter().for_each(|entry| self.edit.remove(entry.line)),
        }
        None
    }

    fn private_key(&mut self, node: &NodeConfig, interface: &InterfaceConfig) -> Option<Zeroizing<String>> {
        let entries = self.of_interface(Field::PrivateKey);
        let found = self.own_key();
        let held = self.secrets.private_of(interface.id, interface.public_key);
        let wanted = held.map_or(interface.public_key, |key| key.public());
        if found == Some(wanted) {
            return None;
        }
        match (found, held) {
            (None, None) => None,
            (None, Some(_)) if self.hook_loads_key() => None,
            (_, Some(key)) => self.put(&entries, Some(key.expose_base64())),
            (Some(_), None) => {
                // It would be refused with an old key, and connect as somebody else.
                for entry in &entries {
                    let name = self.document.lines()[entry.line].name();
                    let comment = format!("# PrivateKey = the key of {} whose public half is {wanted}", node.name);
                    self.edit.replace(name.start..self.document.lines()[entry.line].value().end, comment.into());
                }
                None
            }
        }
    }

    fn hook_loads_key(&self) -> bool {
        let hooks = Field::INTERFACE.iter().filter(|field| matches!(field, Field::Hook(phase) if phase.is_up()));
        let mut hooks = hooks.flat_map(|field| self.of_interface(*field));
        hooks.any(|entry| self.text(&entry).contains("private-key"))
    }

    fn addresses(&mut self, interface: &InterfaceConfig) -> Option<Zeroizing<String>> {
        let entries = self.of_interface(Field::Address);
        let found: HashSet<InterfaceAddr> = self.items(&entries).filter_map(|item| item.parse().ok()).collect();
        let keep =
            |_, item: &str| item.parse::<InterfaceAddr>().map_or(true, |item| interface.addresses.contains(&item));
        let new: Vec<String> =
            interface.addresses.iter().filter(|address| !found.contains(address)).map(ToString::to_string).collect();
        self.put_list(&entries, keep, &new)
    }

    fn items(&self, entries: &[Entry]) -> impl Iterator<Item = &str> {
        let items = entries.iter().flat_map(|entry| items(self.document.text(), entry.value.clone(), entry.field));
        items.map(|item| self.document.piece(item)).collect::<Vec<_>>().into_iter()
    }

    /// Changes a list. Returns what to write if there is no line for it.
    fn put_list(
        &mut self,
        entries: &[Entry],
        keep: impl Fn(usize, &str) -> bool,
        new: &[String],
    ) -> Option<Zeroizing<String>> {
        let written = self.edit.list(entries, keep, new);
        (!written && !new.is_empty()).then(|| Zeroizing::new(new.join(", ")))
    }

    /// The order of DNS servers matters, and that of search domains; not how the two are mixed.
    fn dns(&mut self, interface: &InterfaceConfig) -> Option<Zeroizing<String>> {
        let entries = self.of_interface(Field::Dns);
        let found: Vec<String> = self.items(&entries).map(str::to_owned).collect();
        if sorted_by_kind(&found) == sorted_by_kind(&interface.dns) {
            return None;
        }
        let new: Vec<String> = interface.dns.iter().filter(|entry| !found.contains(entry)).cloned().collect();
        let kept: Vec<String> = found.iter().filter(|entry| interface.dns.contains(entry)).cloned().collect();
        let then: Vec<String> = kept.iter().chain(&new).cloned().collect();
        if sorted_by_kind(&then) == sorted_by_kind(&interface.dns) {
            return self.put_list(&entries, |_, item| interface.dns.iter().any(|entry| entry == item), &new);
        }
        // In another order: all of it goes into the last line.
        self.put_list(&entries, |_, _| false, &interface.dns)
    }

    fn peer(&mut self, group: &Group, wanted: &PeerConfig) {
        let mut missing: Vec<(Field, Zeroizing<String>)> = Vec::new();
        if group.key != wanted.public_key {
            let lines = group.of(Field::PublicKey);
            for section in &group.sections {
                let lines: Vec<Entry> = lines.iter().filter(|e| self.is_in(e, *section)).cloned().collect();
                self.put(&lines, Some(wanted.public_key.to_string().into()));
            }
        }
        let entries = group.of(Field::PresharedKey);
        let preshared = self.secrets.preshared_of(wanted.link, wanted.next_preshared);
        if self.last(&entries, values::preshared_key).flatten().as_ref() != preshared {
            let value = preshared.map(|key| key.expose_base64());
            missing.extend(self.put(&entries, value).map(|value| (Field::PresharedKey, value)));
        }
        let entries = group.of(Field::Endpoint);
        if !same_endpoint(self.last(&entries, values::endpoint).as_ref(), wanted.endpoint.as_ref()) {
            let value = wanted.endpoint.as_ref().map(|endpoint| endpoint.to_string().into());
            missing.extend(self.put(&entries, value).map(|value| (Field::Endpoint, value)));
        }
        let entries = group.of(Field::Keepalive);
        if self.last(&entries, values::keepalive).flatten() != wanted.keepalive {
            let value = wanted.keepalive.map(|seconds| seconds.to_string().into());
            missing.extend(self.put(&entries, value).map(|value| (Field::Keepalive, value)));
        }
        if let Some(guid) = wanted.guid.filter(|guid| !self.says_guid(group, guid)) {
            let header = self.document.sections()[self.last_section(group)].lines.start;
            self.edit.insert_comment_after(header, &permanent_guid(&guid));
        }
        missing.into_iter().for_each(|(field, value)| self.insert_into_peer(group, field, &value));
    }

    /// Whether a comment of a peer says already what its permanent name is, or that of another tool.
    fn says_guid(&self, group: &Group, guid: &PublicKey) -> bool {
        let guid = guid.to_string();
        let comments = self.comments.get_or_init(|| self.document.comments());
        comments.iter().any(|comment| {
            comment.owner == Owner::Peer(group.key)
                && comment.category == Category::PermanentGuid
                && (comment.text.contains(&guid) || comment.text.to_lowercase().contains("guid"))
        })
    }

    fn last_section(&self, group: &Group) -> usize {
        *group.sections.last().expect("a group is made of sections")
    }

    fn is_in(&self, entry: &Entry, section: usize) -> bool {
        self.document.sections()[section].lines.contains(&entry.line)
    }

    fn insert_into_peer(&mut self, group: &Group, field: Field, value: &str) {
        let lines = self.document.sections()[self.last_section(group)].lines.clone();
        let after = self.anchor(lines, field, Field::PEER);
        self.edit.insert_after(after, field.as_str(), value);
    }

    /// Brings the AllowedIPs of all peers to what is wanted. They hang together: of two peers that have the same prefix
    /// the last one gets it.
    fn allowed_ips(&mut self, groups: &[Group], pairs: &[Option<usize>], interface: &InterfaceConfig) {
        let lists: Vec<Vec<Cidr>> = groups.iter().map(|group| self.list_of(&group.of(Field::AllowedIps))).collect();
        let had: Vec<HashSet<Cidr>> = effective(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
            .into_iter()
            .map(HashSet::from_iter)
            .collect();
        // What is wanted, in the order of the document, then of what is appended.
        let known: HashSet<usize> = pairs.iter().flatten().copied().collect();
        let order = pairs.iter().flatten().copied().chain((0..interface.peers.len()).filter(|at| !known.contains(at)));
        let order: Vec<usize> = order.collect();
        let wanted: Vec<&[Cidr]> = order.iter().map(|at| interface.peers[*at].allowed_ips.as_slice()).collect();
        let mut last: HashMap<Cidr, usize> = HashMap::new();
        for (position, list) in wanted.iter().enumerate() {
            last.extend(list.iter().map(|cidr| (*cidr, position)));
        }
        let gets = effective(&wanted);
        let kept = groups.iter().zip(pairs).enumerate().filter(|(_, (_, pair))| pair.is_some());
        for (position, (at, (group, _))) in kept.enumerate() {
            let wants: HashSet<Cidr> = wanted[position].iter().copied().collect();
            let literal: HashSet<Cidr> = lists[at].iter().copied().collect();
            // One that another peer had before all the same stays, if that one still has it.
            let shadowed = |cidr: &Cidr| !had[at].contains(cidr) && last.get(cidr).is_some_and(|last| *last > position);
            let keep = |_, item: &str| match values::allowed_ip(&squeezed(item)) {
                Ok(((Step::Add, cidr), _)) => wants.contains(&cidr) || shadowed(&cidr),
                Ok(((Step::Remove, cidr), _)) => !wants.contains(&cidr),
                Err(_) => true,
            };
            let new = gets[position].iter().filter(|cidr| !literal.contains(cidr)).map(ToString::to_string);
            let new: Vec<String> = new.collect();
            if let Some(value) = self.put_list(&group.of(Field::AllowedIps), keep, &new) {
                self.insert_into_peer(group, Field::AllowedIps, &value);
            }
        }
    }

    /// Reads AllowedIPs as they stand there.
    fn list_of(&self, entries: &[Entry]) -> Vec<Cidr> {
        let mut list: Vec<Cidr> = Vec::new();
        for item in self.items(entries) {
            match values::allowed_ip(&squeezed(item)) {
                Ok(((Step::Add, cidr), _)) => list.push(cidr),
                Ok(((Step::Remove, cidr), _)) => list.retain(|had| *had != cidr),
                Err(_) => {}
            }
        }
        list
    }
}

/// A firewall mark, as it is written.
#[derive(PartialEq)]
struct Mark(u32);

impl Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Whether two endpoints are one: names of hosts have no case.
fn same_endpoint(a: Option<&Endpoint>, b: Option<&Endpoint>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.port == b.port => match (&a.host, &b.host) {
            (EndpointHost::Name(a), EndpointHost::Name(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        },
        (a, b) => a == b,
    }
}

/// Returns the DNS servers, then the search domains.
fn sorted_by_kind(entries: &[String]) -> (Vec<&str>, Vec<&str>) {
    entries.iter().map(String::as_str).partition(|entry| values::is_dns_server(entry))
}
