//! The difference between what a host should have and what it has. Pure: the plan shows it, a deploy carries it out,
//! `status` and every later check read the same truth.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::fleet::{Observed, ObservedInterface};
use crate::model::{
    Endpoint, EndpointHost, InterfaceAddr, InterfaceName, LinkId, PresharedKey, PublicKey, Run, Secrets,
};
use crate::wg::beside::Loop;
use crate::wg::dump::LivePeer;
use crate::wg::hooks::live::Live;
use crate::wg::{InterfaceConfig, PeerConfig, Route, Table, config, fallback, handover, overlap, runtime};

use super::change::{Cause, Change, Disruption, Kind};
use super::desired::{Deployed, Desired, preshared};
use super::hooks;
use super::key_file::{self, Fault};

/// A handshake older than this proves nothing any more, in seconds (the protocol's own limit: REJECT_AFTER_TIME).
pub const SESSION_SECONDS: i64 = 180;

/// Lists what has to change on a host for it to match the model, each with its cause: what differs from the last
/// confirmed deploy is drift, the rest is pending.
pub fn diff(desired: &Desired, secrets: &Secrets, deployed: Option<&Deployed>, observed: &Observed) -> Vec<Change> {
    let mut changes = Vec::new();
    for interface in &desired.interfaces {
        let before = deployed.and_then(|d| d.interface(&interface.name));
        let hooks = hooks::compare(interface, desired, deployed, observed);
        let context = Context { interface, before, deployed, secrets, observed, hooks };
        context.compare(&mut changes);
    }
    let gone =
        deployed.into_iter().flat_map(|d| &d.version.interfaces).filter(|i| desired.interface(&i.name).is_none());
    for interface in gone {
        removed(interface, observed, &mut changes);
    }
    rules(desired, deployed, observed, &mut changes);
    sysctls(desired, deployed, observed, &mut changes);
    files(desired, deployed, observed, &mut changes);
    changes.retain(|change| desired.concerns(change));
    changes
}

fn change(interface: Option<&InterfaceName>, kind: Kind, subject: impl ToString, cause: Cause) -> Change {
    Change {
        interface: interface.cloned(),
        kind,
        subject: subject.to_string(),
        before: None,
        after: None,
        severity: kind.severity(),
        disruption: kind.disruption(),
        cause,
        acknowledged: None,
    }
}

/// Pending when the deployed value isn't the desired one, drift when the host alone moved.
fn cause(same_as_deployed: bool) -> Cause {
    if same_as_deployed { Cause::Drift } else { Cause::Pending }
}

/// One interface with everything that is known about it.
struct Context<'a> {
    interface: &'a InterfaceConfig,
    before: Option<&'a InterfaceConfig>,
    deployed: Option<&'a Deployed>,
    secrets: &'a Secrets,
    observed: &'a Observed,
    hooks: Live,
}

impl Context<'_> {
    fn compare(&self, changes: &mut Vec<Change>) {
        let interface = self.interface;
        let name = Some(&interface.name);
        let runs = self.observed.interfaces.get(&interface.name);
        if let Some(Fault { kind, file, before, after }) = key_file::fault(interface, self.observed) {
            let same = self.before.is_some_and(|b| b.key_file == interface.key_file);
            changes.push(with(change(name, kind, file, cause(same)), before, after));
        }
        if !interface.run.is_up() {
            return self.at_rest(changes);
        }
        self.own_hooks(changes);
        if let Some(seen) = runs {
            if let Some(why) = self.needs_restart(seen) {
                changes.push(change(name, Kind::Restart, why, cause(self.before == Some(interface))));
            } else {
                self.link(seen, changes);
                self.dns(changes);
                self.peers(seen, changes);
                self.firewall(changes);
                Loop::ALL.into_iter().for_each(|one| self.beside(one, changes));
            }
        } else {
            let mut missing =
                change(name, Kind::InterfaceMissing, "", cause(self.before.is_some_and(|b| b.run.is_up())));
            missing.after = Some(summary(interface));
            changes.push(missing);
        }
        if interface.run == Run::Boot && !self.observed.boot.contains(&interface.name) {
            let mut boot = change(name, Kind::Boot, "", cause(self.before.is_some_and(|b| b.run == Run::Boot)));
            boot.after = Some("at boot".to_owned());
            changes.push(boot);
        }
    }

    /// An interface whose file lies there and that is not to run.
    fn at_rest(&self, changes: &mut Vec<Change>) {
        let name = &self.interface.name;
        let cause = cause(self.before.is_some_and(|before| before.run == self.interface.run));
        if self.observed.interfaces.contains_key(name) {
            let extra = change(Some(name), Kind::InterfaceExtra, "", cause);
            changes.push(Change { before: Some(summary(self.interface)), ..extra });
        }
        if self.observed.boot.contains(name) {
            let boot = change(Some(name), Kind::Boot, "", cause);
            changes.push(Change { before: Some("at boot".to_owned()), ..boot });
        }
    }

    /// Says why the interface has to go down and up: something changes that only wg-quick's own `up` and `down` can
    /// change. Nothing is said where it is plain to see on the host.
    fn needs_restart(&self, seen: &ObservedInterface) -> Option<String> {
        let default_route = match (self.interface.fwmark, self.new_mark(seen)) {
            (_, Some(_)) => false,
            // A mark of its own choosing tells nothing about wg-quick's default route.
            (None, None) => runtime::takes_default_route(self.interface) != (seen.live.fwmark != 0),
            (Some(mark), None) => mark != seen.live.fwmark,
        };
        if default_route {
            return Some(String::new());
        }
        let before = self.before?;
        // Routes in a table with a number are seen, and can be changed; wg-quick's own rules can't.
        let by_itself = |i: &InterfaceConfig| runtime::takes_default_route(i) || matches!(i.table, Table::Named(_));
        if before.table != self.interface.table && (by_itself(before) || by_itself(self.interface)) {
            return Some("for another routing table".to_owned());
        }
        let stuck = self.hooks.stuck.as_ref()?;
        Some(format!("for the hook `{}`: {}", config::masked_line(&stuck.text), stuck.why))
    }

    /// Returns the mark that follows from the model and that can be set while the interface runs: where wg-quick's default
    /// route doesn't hang on it.
    fn new_mark(&self, seen: &ObservedInterface) -> Option<u32> {
        let before = self.before?;
        let by_itself = runtime::takes_default_route(before) || runtime::takes_default_route(self.interface);
        let (was, is) = (before.fwmark.unwrap_or(0), self.interface.fwmark.unwrap_or(0));
        (!by_itself && was != is && seen.live.fwmark == was).then_some(is)
    }

    /// What the interface says to the host's resolver. What that made of it is its own.
    fn dns(&self, changes: &mut Vec<Change>) {
        let now = &self.interface.dns;
        if let Some(was) = self.before.map(|before| &before.dns).filter(|was| *was != now) {
            let words = |dns: &[String]| (!dns.is_empty()).then(|| list(dns));
            let differs = change(Some(&self.interface.name), Kind::Dns, "", Cause::Pending);
            changes.push(Change { before: words(was), after: words(now), ..differs });
        }
    }

    /// The hooks that somebody wrote, line by line.
    fn own_hooks(&self, changes: &mut Vec<Change>) {
        let name = &self.interface.name;
        for line in &self.hooks.differing {
            let cause = if line.drifted { Cause::Drift } else { Cause::Pending };
            let mut differs = change(Some(name), Kind::Hook, line.hook.phase.as_str(), cause);
            let text = Some(hooks::shown(line, name));
            (differs.before, differs.after) = if line.new { (None, text) } else { (text, None) };
            if line.needs_restart {
                differs.disruption = Disruption::Restart;
            }
            changes.push(differs);
        }
    }

    fn link(&self, seen: &ObservedInterface, changes: &mut Vec<Change>) {
        let (interface, name) = (self.interface, Some(&self.interface.name));
        if !seen.up {
            changes.push(with(change(name, Kind::LinkDown, "", Cause::Drift), "down", "up"));
        }
        // Before the key: with that it shakes hands at once.
        if let Some(port) = interface.listen_port.filter(|port| seen.live.listen_port != Some(*port)) {
            let same = self.before.is_some_and(|b| b.listen_port == Some(port));
            let was = seen.live.listen_port.map_or("none".to_owned(), |p| p.to_string());
            changes.push(with(change(name, Kind::ListenPort, "", cause(same)), was, port));
        }
        if seen.live.public_key != Some(interface.public_key) {
            let same = self.before.is_some_and(|b| b.public_key == interface.public_key);
            let was = seen.live.public_key.map_or("none".to_owned(), |k| k.short());
            changes.push(with(change(name, Kind::PrivateKey, "", cause(same)), was, interface.public_key.short()));
        }
        if let Some(mtu) = interface.mtu.filter(|mtu| mtu.get() != seen.mtu) {
            let same = self.before.is_some_and(|b| b.mtu == Some(mtu));
            changes.push(with(change(name, Kind::Mtu, "", cause(same)), seen.mtu, mtu));
        }
        if let Some(mark) = self.new_mark(seen) {
            let words = |mark: u32| if mark == 0 { "off".to_owned() } else { format!("{mark:#x}") };
            let differs = change(name, Kind::FwMark, "", Cause::Pending);
            changes.push(with(differs, words(seen.live.fwmark), words(mark)));
        }
        let all = |i: &InterfaceConfig| -> BTreeSet<InterfaceAddr> {
            i.addresses.iter().chain(&i.by_hooks.addresses).copied().filter(|a| !is_link_local(a)).collect()
        };
        let addresses = all(interface);
        let addresses_before = self.before.map(all);
        let kinds = (Kind::AddressMissing, Kind::AddressExtra);
        let begin = changes.len();
        self.sets(kinds, &addresses, addresses_before.as_ref(), &seen.addresses, changes);
        let by_wg_quick = runtime::takes_default_route(interface); // then further tables are wg-quick's own
        let routes_seen = seen.routes.iter().copied().filter(|r| !by_wg_quick || r.table.is_none()).collect();
        let routes_before = self.before.map(runtime::routes);
        let kinds = (Kind::RouteMissing, Kind::RouteExtra);
        self.sets(kinds, &self.routes(&routes_seen), routes_before.as_ref(), &routes_seen, changes);
        // What hooks set up in ways of their own is theirs to set up.
        let made = &self.hooks.made;
        let routes = made.routes.iter().map(ToString::to_string);
        let by_hooks: BTreeSet<String> = routes.chain(made.addresses.iter().map(ToString::to_string)).collect();
        let ours = changes.split_off(begin);
        changes.extend(ours.into_iter().filter(|change| !change.after.as_ref().is_some_and(|a| by_hooks.contains(a))));
    }

    /// Returns the routes that there should be, `seen` those through the interface. What leads to peers with two keys is for the
    /// host to say: through the interface with the next one, or through the first, to which it goes back by itself when the other
    /// one goes away.
    fn routes(&self, seen: &BTreeSet<Route>) -> BTreeSet<Route> {
        let mut routes = runtime::routes(self.interface);
        routes.extend(overlap::routes(self.interface).intersection(seen));
        let there = overlap::name(&self.interface.name);
        if let Some(beside) = self.observed.interfaces.get(&there) {
            routes.retain(|route| route.table.is_some() || !beside.routes.contains(route));
        }
        routes
    }

    /// Compares two sets of values; what the host lacks comes first, so that nothing is taken away before its successor.
    fn sets<T: Ord + ToString>(
        &self,
        (missing, extra): (Kind, Kind),
        desired: &BTreeSet<T>,
        before: Option<&BTreeSet<T>>,
        seen: &BTreeSet<T>,
        changes: &mut Vec<Change>,
    ) {
        let name = Some(&self.interface.name);
        for value in desired.difference(seen) {
            let same = before.is_some_and(|b| b.contains(value));
            changes.push(Change { after: Some(value.to_string()), ..change(name, missing, "", cause(same)) });
        }
        for value in seen.difference(desired) {
            let same = before.is_none_or(|b| !b.contains(value));
            changes.push(Change { before: Some(value.to_string()), ..change(name, extra, "", cause(same)) });
        }
    }

    fn peers(&self, seen: &ObservedInterface, changes: &mut Vec<Change>) {
        let name = Some(&self.interface.name);
        let interface = as_it_should_run(self.interface, self.observed);
        let deployed = self.before.map(|before| as_it_should_run(before, self.observed));
        let before: BTreeMap<PublicKey, &PeerConfig> =
            deployed.iter().flat_map(|b| &b.peers).map(|p| (p.public_key, p)).collect();
        let desired: BTreeSet<PublicKey> = interface.peers.iter().map(|p| p.public_key).collect();
        let rekeyed = self.rekeyed(seen);
        for (key, live) in &seen.live.peers {
            if !desired.contains(key) && !rekeyed.values().any(|old| old == key) {
                let known = before.get(key);
                let subject = known.map_or(key.short(), |p| p.title().into_owned());
                let gone = change(name, Kind::PeerExtra, subject, cause(known.is_none()));
                changes.push(Change { before: Some(list(&live.allowed_ips)), ..gone });
            }
        }
        for peer in &interface.peers {
            let was = before.get(&peer.public_key).copied();
            match seen.live.peers.get(&peer.public_key) {
                Some(live) => self.peer(peer, was, live, changes),
                None if rekeyed.contains_key(&peer.public_key) => {
                    let old = rekeyed[&peer.public_key];
                    let other = change(name, Kind::PeerKey, peer.title(), Cause::Pending);
                    changes.push(with(other, old.short(), peer.public_key.short()));
                    self.what_it_may_send(peer, before.get(&old).copied(), &seen.live.peers[&old], changes);
                }
                None => {
                    let missing = change(name, Kind::PeerMissing, peer.title(), cause(was.is_some()));
                    changes.push(Change { after: Some(list(&peer.allowed_ips)), ..missing });
                }
            }
        }
    }

    /// Returns the peers whose key is another one in the model, each with the one by which the host still knows it.
    fn rekeyed(&self, seen: &ObservedInterface) -> BTreeMap<PublicKey, PublicKey> {
        let lives = |key: &PublicKey| seen.live.peers.contains_key(key);
        let wanted = |key: &PublicKey| self.interface.peers.iter().any(|peer| peer.public_key == *key);
        let old: BTreeMap<LinkId, PublicKey> = self
            .before
            .into_iter()
            .flat_map(|before| &before.peers)
            .filter(|was| lives(&was.public_key) && !wanted(&was.public_key))
            .map(|was| (was.link, was.public_key))
            .collect();
        let new = self.interface.peers.iter().filter(|peer| !lives(&peer.public_key));
        new.filter_map(|peer| Some((peer.public_key, *old.get(&peer.link)?))).collect()
    }

    fn what_it_may_send(
        &self,
        peer: &PeerConfig,
        was: Option<&PeerConfig>,
        live: &LivePeer,
        changes: &mut Vec<Change>,
    ) {
        let name = Some(&self.interface.name);
        if live.allowed_ips != peer.allowed_ips {
            let same = was.is_some_and(|w| w.allowed_ips == peer.allowed_ips);
            let differs = change(name, Kind::AllowedIps, peer.title(), cause(same));
            changes.push(with(differs, list(&live.allowed_ips), list(&peer.allowed_ips)));
        }
    }

    fn peer(&self, peer: &PeerConfig, was: Option<&PeerConfig>, live: &LivePeer, changes: &mut Vec<Change>) {
        let name = Some(&self.interface.name);
        self.what_it_may_send(peer, was, live, changes);
        let key = preshared(self.secrets, peer);
        if live.preshared.as_ref() != key {
            let same = self.deployed.is_some_and(|d| d.had_preshared(peer, key));
            let differs = change(name, Kind::PresharedKey, peer.title(), cause(same));
            let words = |key: Option<&PresharedKey>, word| if key.is_some() { word } else { "none" };
            changes.push(with(differs, words(live.preshared.as_ref(), "another"), words(key, "the model's")));
        }
        if live.keepalive != peer.keepalive {
            let same = was.is_some_and(|w| w.keepalive == peer.keepalive);
            let words = |seconds: Option<u16>| seconds.map_or("off".to_owned(), |s| format!("{s} s"));
            let differs = change(name, Kind::Keepalive, peer.title(), cause(same));
            changes.push(with(differs, words(live.keepalive), words(peer.keepalive)));
        }
        if let Some(endpoint) = &peer.endpoint {
            let moved_here = was.is_some_and(|w| w.endpoint.as_ref() != Some(endpoint)) && !is_at(live, endpoint);
            if moved_here || self.lost(peer, live) {
                let was = live.endpoint.map_or("none".to_owned(), |e| e.to_string());
                let differs = change(name, Kind::Endpoint, peer.title(), cause(!moved_here));
                changes.push(with(differs, was, endpoint));
            }
        }
    }

    /// Whether a peer isn't where it can be dialled *and* doesn't answer: while a session lives, wherever its packets
    /// come from is right (roaming).
    fn lost(&self, peer: &PeerConfig, live: &LivePeer) -> bool {
        let elsewhere = match (&peer.endpoint, live.endpoint) {
            // Which address a name has is for the host to find out.
            (Some(Endpoint { host: EndpointHost::Name(_), .. }), Some(_)) | (None, _) => false,
            (Some(wanted), _) => !is_at(live, wanted),
        };
        let clock = self.observed.system.clock;
        elsewhere && live.latest_handshake.is_none_or(|time| clock - time > SESSION_SECONDS)
    }

    fn firewall(&self, changes: &mut Vec<Change>) {
        let name = Some(&self.interface.name);
        let before = self.before.and_then(|b| b.firewall.as_ref());
        match &self.interface.firewall {
            Some(firewall) => {
                let table = firewall.table();
                let same = before == Some(firewall);
                let seen = self.observed.tables.get(&table);
                let untouched = seen.is_some() && self.deployed.and_then(|d| d.tables.get(&table)) == seen;
                if !(same && untouched) {
                    let was = if seen.is_some() { "other rules" } else { "missing" };
                    let differs = change(name, Kind::Firewall, format!("table {table}"), cause(same));
                    changes.push(with(differs, was, "the model's rules"));
                }
            }
            None => {
                if let Some(table) = before.map(crate::wg::firewall::Firewall::table)
                    && self.observed.tables.contains_key(&table)
                {
                    let extra = change(name, Kind::Firewall, format!("table {table}"), Cause::Pending);
                    changes.push(Change { before: Some("rules".to_owned()), ..extra });
                }
            }
        }
    }
}

/// A loop beside the interface; one that has to come up brings its own.
impl Context<'_> {
    fn beside(&self, one: Loop, changes: &mut Vec<Change>) {
        let wanted = one.version(self.interface);
        let runs = self.observed.loops.get(&(self.interface.name.clone(), one));
        if wanted.as_ref() == runs {
            return;
        }
        let kind = Kind::of_loop(one);
        // What was deployed says its version itself: another wg-friend may have made it.
        let files = self.deployed.map(|deployed| &deployed.version.files);
        let file = files.and_then(|files| files.get(&one.file_name(&self.interface.name)));
        let deployed = file.and_then(|text| Loop::version_in(text));
        let same = deployed == wanted.as_deref();
        let differs = change(Some(&self.interface.name), kind, "", cause(same));
        let work = |interface| one.in_words(interface);
        let seen = runs.map(|runs| match self.before.filter(|_| deployed == Some(runs)) {
            Some(before) if !same && work(before) != work(self.interface) => work(before),
            _ => "another one".to_owned(),
        });
        changes.push(Change { before: seen, after: wanted.map(|_| work(self.interface)), ..differs });
    }
}

/// Returns an interface as it should run now: what links that are down carry has moved, if its host says so, and peers that
/// were seen with their next key have it.
pub(in crate::ops) fn as_it_should_run<'a>(
    interface: &'a InterfaceConfig,
    observed: &Observed,
) -> Cow<'a, InterfaceConfig> {
    let moved = match observed.moved.get(&interface.name) {
        Some(down) => fallback::while_down(interface, &down.keys().copied().collect()),
        None => Cow::Borrowed(interface),
    };
    let seen = observed.interfaces.get(&interface.name);
    let carries = |key: &PublicKey| Some(!seen?.live.peers.get(key)?.allowed_ips.is_empty());
    match handover::as_handed_over(&moved, carries) {
        Cow::Borrowed(_) => moved,
        Cow::Owned(handed_over) => Cow::Owned(handed_over),
    }
}

/// Whether an address is one that hosts also give themselves: those aren't observed.
fn is_link_local(address: &InterfaceAddr) -> bool {
    matches!(address.address(), IpAddr::V6(six) if six.is_unicast_link_local())
}

/// Whether a peer is at an endpoint. Of a name that can't be said.
fn is_at(live: &LivePeer, endpoint: &Endpoint) -> bool {
    match endpoint.host {
        EndpointHost::Address(address) => {
            live.endpoint.is_some_and(|seen| (seen.ip(), seen.port()) == (address, endpoint.port.get()))
        }
        EndpointHost::Name(_) => false,
    }
}

fn with(change: Change, before: impl ToString, after: impl ToString) -> Change {
    Change { before: Some(before.to_string()), after: Some(after.to_string()), ..change }
}

/// How a list without entries is shown.
pub(super) const NOTHING: &str = "(nothing)";

fn list<T: ToString>(values: &[T]) -> String {
    if values.is_empty() {
        return NOTHING.to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn summary(interface: &InterfaceConfig) -> String {
    let peers = interface.peers.len();
    format!("{} with {peers} peer{}", list(&interface.addresses), if peers == 1 { "" } else { "s" })
}

/// An interface that was deployed and is no longer in the model.
fn removed(interface: &InterfaceConfig, observed: &Observed, changes: &mut Vec<Change>) {
    let name = Some(&interface.name);
    if observed.interfaces.contains_key(&interface.name) {
        let extra = change(name, Kind::InterfaceExtra, "", Cause::Pending);
        changes.push(Change { before: Some(summary(interface)), ..extra });
    }
    if observed.boot.contains(&interface.name) {
        let boot = change(name, Kind::Boot, "", Cause::Pending);
        changes.push(Change { before: Some("at boot".to_owned()), ..boot });
    }
    // While the interface runs, its own hooks take the table away with it.
    if let Some(table) = interface.firewall.as_ref().map(crate::wg::firewall::Firewall::table)
        && observed.tables.contains_key(&table)
        && !observed.interfaces.contains_key(&interface.name)
    {
        let extra = change(name, Kind::Firewall, format!("table {table}"), Cause::Pending);
        changes.push(Change { before: Some("rules".to_owned()), ..extra });
    }
}

/// Policy rules. Those of an interface that has to come up come with it.
fn rules(desired: &Desired, deployed: Option<&Deployed>, observed: &Observed, changes: &mut Vec<Change>) {
    let deployed = deployed.into_iter().flat_map(|d| &d.version.interfaces);
    let before: BTreeMap<_, &InterfaceName> =
        deployed.flat_map(|i| i.rules.iter().map(move |rule| (*rule, &i.name))).collect();
    let mut all = BTreeSet::new();
    for interface in &desired.interfaces {
        all.extend(interface.rules.iter().copied());
        if interface.run.is_up() && observed.interfaces.contains_key(&interface.name) {
            for rule in interface.rules.iter().filter(|rule| !observed.rules.contains(rule)) {
                let missing = change(Some(&interface.name), Kind::RuleMissing, "", cause(before.contains_key(rule)));
                changes.push(Change { after: Some(rule.to_string()), ..missing });
            }
        }
    }
    for rule in observed.rules.difference(&all) {
        let owner = before.get(rule).copied();
        let extra = change(owner, Kind::RuleExtra, "", cause(owner.is_none()));
        changes.push(Change { before: Some(rule.to_string()), ..extra });
    }
}

fn sysctls(desired: &Desired, deployed: Option<&Deployed>, observed: &Observed, changes: &mut Vec<Change>) {
    let runs = |i: &&InterfaceConfig| i.run.is_up() && observed.interfaces.contains_key(&i.name);
    for interface in desired.interfaces.iter().filter(runs) {
        let before = deployed.and_then(|d| d.interface(&interface.name));
        for sysctl in &interface.sysctls {
            let seen = observed.sysctls.get(&sysctl.key);
            if seen != Some(&sysctl.value) {
                let same = before.is_some_and(|b| b.sysctls.contains(sysctl));
                let differs = change(Some(&interface.name), Kind::Sysctl, &sysctl.key, cause(same));
                changes.push(with(differs, seen.map_or("unset", String::as_str), &sysctl.value));
            }
        }
    }
}

fn files(desired: &Desired, deployed: Option<&Deployed>, observed: &Observed, changes: &mut Vec<Change>) {
    for (path, content) in &desired.files {
        let same = deployed.and_then(|d| d.version.files.get(path)).is_some_and(|was| was == content);
        let differs = |before: &str, after: &str| with(change(None, Kind::File, path, cause(same)), before, after);
        match observed.files.get(path) {
            None => {
                let missing = change(None, Kind::File, path, cause(same));
                changes.push(Change { after: Some(format!("{} lines", content.lines().count())), ..missing });
            }
            Some(seen) if seen.content.as_slice() != content.as_bytes() => {
                changes.push(differs("other text", "the model's"));
            }
            Some(seen) if seen.mode != "600" => changes.push(differs(&format!("mode {}", seen.mode), "mode 600")),
            Some(_) => {}
        }
    }
    for path in
        deployed.into_iter().flat_map(|d| d.version.files.keys()).filter(|path| !desired.files.contains_key(*path))
    {
        if observed.files.contains_key(path) {
            let extra = change(None, Kind::FileExtra, path, Cause::Pending);
            changes.push(Change { before: Some("kept".to_owned()), ..extra });
        }
    }
}
