//! How changes are carried out on a host: commands, each with the command that takes it back. Pure.
//!
//! Peers are changed with `wg addconf` of just the peers that differ, not with `wg syncconf` of all: sessions, counters
//! and AllowedIPs of the others are never touched, and an empty or broken file can't clear a key or a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::fleet::{Observed, ObservedInterface, StagedFile};
use crate::model::{InterfaceName, PresharedKey, PublicKey, Secrets};
use crate::wg::beside::Loop;
use crate::wg::dump::LivePeer;
use crate::wg::hooks::live::Live;
use crate::wg::{InterfaceConfig, Route, Rule, config, firewall, runtime};

use super::change::{Change, Kind};
use super::desired::{Deployed, Desired, preshared};
use super::diff::as_it_should_run;
use super::hooks::{self, Command};
use super::route_moves::{self, Moves, Successor};

/// Keys on one command line: far below what any kernel allows.
const KEYS_AT_ONCE: usize = 400;

/// What a deploy does on one host.
pub struct Steps {
    /// Each step in words, its command, and the command that takes it back.
    pub steps: Vec<Step>,
    /// Files to stage, new ones and what undoing needs.
    pub files: Vec<StagedFile>,
    /// Commands that check the staged files and save what undoing needs.
    pub checks: Vec<String>,
    /// Files in /etc/wireguard to write when the deploy is confirmed.
    pub keep: Vec<String>,
    /// Files in /etc/wireguard to remove then.
    pub remove: Vec<String>,
    /// Interfaces to start at boot from then on.
    pub enable: Vec<String>,
    /// Interfaces no longer to start at boot from then on.
    pub disable: Vec<String>,
}

/// One command on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it changes.
    pub kind: Kind,
    /// What it does, for the log.
    pub what: String,
    /// The command.
    pub run: String,
    /// The command that takes it back; harmless when the step was not carried out.
    pub undo: String,
}

fn quote(value: impl ToString) -> String {
    shlex::try_quote(&value.to_string()).expect("no value holds a NUL").into_owned()
}

fn set_sysctl(key: &str, value: &str) -> String {
    let path = quote(format!("/proc/sys/{}", crate::fleet::sysctl_path(key)));
    format!("printf '%s\\n' {} > {path}", quote(value))
}

fn ip(ipv4: bool) -> &'static str {
    if ipv4 { "ip -4" } else { "ip -6" }
}

/// Turns the changes of one host into steps, in an order in which nothing is taken away before its successor is there.
pub fn steps(
    changes: &[Change],
    desired: &Desired,
    secrets: &Secrets,
    deployed: Option<&Deployed>,
    observed: &Observed,
) -> Steps {
    let mut builder = Builder { steps: Vec::new(), files: Vec::new(), checks: Vec::new(), observed };
    let of = |kind: Kind| changes.iter().filter(move |c| c.kind == kind);
    let config = |change: &Change| change.interface.as_ref().and_then(|name| desired.interface(name));

    builder.stage(desired);
    for change in of(Kind::KeyFile) {
        if let Some(interface) = config(change) {
            builder.key_file(interface, &change.subject);
        }
    }
    let stays_up = |interface: &InterfaceConfig| {
        let restarts = of(Kind::Restart).any(|c| c.interface.as_ref() == Some(&interface.name));
        observed.interfaces.contains_key(&interface.name) && !restarts && desired.is_about(&interface.name)
    };
    // What ran beside another interface with the next key goes when that one has its key, its port and its peers.
    let followed = |name: &InterfaceName| {
        let gone = deployed.and_then(|deployed| deployed.interface(name)).filter(|gone| gone.beside.is_some())?;
        let heir = desired.interface(&gone.beside.as_ref()?.name)?;
        (heir.public_key == gone.public_key && stays_up(heir)).then_some((heir, gone))
    };
    let extra: Vec<&InterfaceName> = of(Kind::InterfaceExtra).filter_map(|change| change.interface.as_ref()).collect();
    let heirs: BTreeMap<&InterfaceName, &InterfaceConfig> =
        extra.iter().filter_map(|name| followed(name)).map(|(heir, gone)| (&heir.name, gone)).collect();
    let follows = |name: &InterfaceName| heirs.values().any(|gone| gone.name == *name);
    extra.iter().filter(|name| !follows(name)).for_each(|name| builder.down(name));
    for change in of(Kind::Sysctl) {
        if let (Some(value), Some(before)) = (&change.after, &change.before) {
            builder.sysctl(&change.subject, value, before);
        }
    }
    // Where the table goes, hooks do its work from now on: they come first.
    let loses_table =
        |name: &InterfaceName| of(Kind::Firewall).any(|c| c.after.is_none() && c.interface.as_ref() == Some(name));
    let hooks_of = |interface: &InterfaceConfig| hooks::compare(interface, desired, deployed, observed);
    for interface in desired.interfaces.iter().filter(|i| stays_up(i) && loses_table(&i.name)) {
        builder.hooks(interface, &hooks_of(interface));
    }
    // A mark leads into a table by a rule: both are there before the firewall gives the mark to anybody.
    let moves = route_moves::of(changes, desired, observed);
    let ways = moves.new_ways(desired);
    // Into a link that is down or too small the kernel leads no route: there it waits until the link has changed.
    let link_changes = |name: &InterfaceName| {
        let kinds = [Kind::LinkDown, Kind::Mtu];
        changes.iter().any(|change| change.interface.as_ref() == Some(name) && kinds.contains(&change.kind))
    };
    let is_way = |change: &&Change| {
        let place = change.interface.as_ref().zip(change.after.clone());
        change.kind == Kind::RouteMissing && place.is_some_and(|place| ways.contains(&place) && !link_changes(place.0))
    };
    for interface in desired.interfaces.iter().filter(|interface| stays_up(interface)) {
        let mine = changes.iter().filter(|c| c.interface.as_ref() == Some(&interface.name));
        builder.routes(interface, &mine.filter(is_way).collect::<Vec<_>>(), &moves);
    }
    of(Kind::RuleMissing).for_each(|change| builder.rules(change, desired));
    let firewall = |builder: &mut Builder<'_>, change: &Change| {
        if let Some(name) = &change.interface {
            builder.firewall(name, config(change), deployed.and_then(|d| d.interface(name)));
        }
    };
    let of_heir = |change: &&Change| change.interface.as_ref().is_some_and(|name| heirs.contains_key(name));
    of(Kind::Firewall).filter(|change| !of_heir(change)).for_each(|change| firewall(&mut builder, change));
    for interface in &desired.interfaces {
        let mine = changes.iter().filter(|c| c.interface.as_ref() == Some(&interface.name));
        let mine: Vec<&Change> = mine.filter(|change| !is_way(change)).collect();
        if stays_up(interface) {
            if let Some(gone) = heirs.get(&interface.name) {
                builder.make_way(gone);
            }
            builder.link(interface, &mine);
            if mine.iter().any(|change| change.kind == Kind::Dns) {
                builder.dns(interface, deployed.and_then(|deployed| deployed.interface(&interface.name)));
            }
            builder.peers(interface, secrets, &mine);
            builder.routes(interface, &mine, &moves);
            if !loses_table(&interface.name) {
                builder.hooks(interface, &hooks_of(interface));
            }
            for one in Loop::ALL.into_iter().filter(|one| mine.iter().any(|change| change.kind == Kind::of_loop(*one)))
            {
                builder.beside(one, interface);
            }
        }
    }
    // Until here the rules were about both.
    of(Kind::Firewall).filter(of_heir).for_each(|change| firewall(&mut builder, change));
    extra.iter().filter(|name| follows(name)).for_each(|name| builder.down_after_all(name));
    of(Kind::RuleExtra).for_each(|change| builder.rules(change, desired));
    for change in of(Kind::InterfaceMissing).chain(of(Kind::Restart)) {
        if let Some(interface) = config(change) {
            builder.up(interface, change.kind == Kind::Restart);
        }
    }
    let names = |kind: Kind, wanted: bool| -> Vec<String> {
        let picked = of(kind).filter(|c| c.after.is_some() == wanted);
        picked.filter_map(|c| c.interface.as_ref()).map(ToString::to_string).collect()
    };
    Steps {
        steps: builder.steps,
        files: builder.files,
        checks: builder.checks,
        keep: of(Kind::File).map(|c| c.subject.clone()).collect(),
        remove: of(Kind::FileExtra).map(|c| c.subject.clone()).chain(keys_left(desired, deployed)).collect(),
        enable: names(Kind::Boot, true),
        disable: names(Kind::Boot, false),
    }
}

/// Files with keys that a host made and that another key has replaced. What an interface that is gone had stays: nobody
/// else has it.
fn keys_left(desired: &Desired, deployed: Option<&Deployed>) -> Vec<String> {
    let replaced = |before: &InterfaceConfig| {
        let now = desired.interface(&before.name)?;
        before.key_file.clone().filter(|file| now.key_file.as_ref() != Some(file))
    };
    deployed.into_iter().flat_map(|deployed| &deployed.version.interfaces).filter_map(replaced).collect()
}

struct Builder<'a> {
    steps: Vec<Step>,
    files: Vec<StagedFile>,
    checks: Vec<String>,
    observed: &'a Observed,
}

impl Builder<'_> {
    fn step(&mut self, kind: Kind, what: impl Into<String>, run: String, undo: String) {
        self.steps.push(Step { kind, what: what.into(), run, undo });
    }

    /// Stages every file and has it checked there: wg-quick reads it, and it holds the key, the port and as many peers
    /// as intended. What was checked when it was deployed and isn't touched this time isn't checked again.
    fn stage(&mut self, desired: &Desired) {
        for (path, content) in &desired.files {
            self.files.push(StagedFile { path: format!("new/{path}"), content: content.clone() });
        }
        for interface in desired.interfaces.iter().filter(|interface| desired.is_about(&interface.name)) {
            let port = interface.listen_port.map_or("-".to_owned(), |p| p.to_string());
            let (name, peers) = (quote(&interface.name), interface.peers.len());
            let elsewhere = desired.keys_elsewhere.contains(&interface.name);
            let key = if elsewhere { "-".to_owned() } else { quote(interface.public_key) };
            self.checks.push(format!("w_check {name} {key} {port} {peers}"));
            if let Some(file) = &interface.key_file {
                self.checks.push(format!("w_check_key {} {} {name}", quote(file), quote(interface.public_key)));
            }
            if interface.firewall.is_some() {
                let file = firewall::file_name(&interface.name);
                self.checks.push(format!("w_check_nft {}", quote(file)));
            }
        }
    }

    /// The key that the host made, into its file again. It comes first: an interface that goes down needs it to come up, in
    /// either state.
    fn key_file(&mut self, interface: &InterfaceConfig, file: &str) {
        let (name, key, quoted) = (quote(&interface.name), quote(interface.public_key), quote(file));
        self.checks.push(format!("w_save_key_file {quoted}"));
        let run = format!("w_put_key {quoted} {key} {name}");
        self.step(Kind::KeyFile, format!("put the key of {name} into {file}"), run, format!("w_return_key {quoted}"));
    }

    fn sysctl(&mut self, key: &str, value: &str, before: &str) {
        let mut run = set_sysctl(key, value);
        let mut undo = if before == "unset" { ":".to_owned() } else { set_sysctl(key, before) };
        if key == runtime::FORWARDING6 {
            // Or the host would lose its own IPv6 default route when it next expires; see `wg::config`.
            self.checks.push("w_save_ra".to_owned());
            run = format!("w_keep_ra && {run}");
            undo.push_str("; w_return_ra");
        }
        self.step(Kind::Sysctl, format!("set {key} to {value}"), run, undo);
    }

    fn firewall(&mut self, name: &InterfaceName, wanted: Option<&InterfaceConfig>, was: Option<&InterfaceConfig>) {
        let table_of = |i: &InterfaceConfig| i.firewall.as_ref().map(firewall::Firewall::table);
        let Some(table) = wanted.and_then(table_of).or_else(|| was.and_then(table_of)).map(quote) else { return };
        self.checks.push(format!("w_save_table {table}"));
        let run = match wanted.filter(|i| i.firewall.is_some()) {
            Some(_) => format!("w_load_table \"$D\"/new/{} {table}", quote(firewall::file_name(name))),
            None => format!("nft delete table inet {table}"),
        };
        let undo = format!("w_restore_table {table}");
        self.step(Kind::Firewall, format!("replace firewall table {table}"), run, undo);
    }

    /// The interface itself: link, key, port, MTU, addresses.
    fn link(&mut self, interface: &InterfaceConfig, changes: &[&Change]) {
        let name = quote(&interface.name);
        let Some(seen) = self.observed.interfaces.get(&interface.name) else { return };
        let has = |kind| changes.iter().any(|change| change.kind == kind);
        for change in changes {
            match change.kind {
                Kind::LinkDown => self.step(
                    change.kind,
                    format!("set {name} up"),
                    format!("ip link set dev {name} up"),
                    format!("ip link set dev {name} down"),
                ),
                Kind::Mtu => {
                    let Some(mtu) = interface.mtu else { continue };
                    let set = |bytes: u16| format!("ip link set dev {name} mtu {bytes}");
                    self.step(change.kind, format!("set the MTU of {name} to {mtu}"), set(mtu.get()), set(seen.mtu));
                }
                Kind::ListenPort if has(Kind::PrivateKey) => {} // both at once, with the key
                Kind::ListenPort => {
                    let was = seen.live.listen_port.map_or("0".to_owned(), |p| p.to_string());
                    let set = |port: &str| format!("wg set {name} listen-port {port}");
                    let wanted = interface.listen_port.map_or("0".to_owned(), |p| p.to_string());
                    self.step(change.kind, format!("set the port of {name} to {wanted}"), set(&wanted), set(&was));
                }
                Kind::FwMark => {
                    let set = |mark: u32| format!("wg set {name} fwmark {mark:#x}");
                    let mark = interface.fwmark.unwrap_or(0);
                    self.step(
                        change.kind,
                        format!("set the mark of {name} to {mark:#x}"),
                        set(mark),
                        set(seen.live.fwmark),
                    );
                }
                Kind::PrivateKey => {
                    self.checks.push(format!("w_save_key {name}"));
                    let port = interface.listen_port.filter(|_| has(Kind::ListenPort));
                    let port = port.map_or_else(String::new, |port| format!(" {port}"));
                    let new = match &interface.key_file {
                        Some(file) => quote(format!("{}/{file}", config::DIRECTORY)),
                        None => format!("\"$D\"/strip/{name}.key"),
                    };
                    self.step(
                        change.kind,
                        format!("set the key of {name}"),
                        format!("w_take_key {name} {new}{port}"),
                        // By the port that it had with that key: its peers go where they are called from.
                        format!(
                            "wg set {name}{} private-key \"$D\"/old/{name}.key && w_greet {name}",
                            port_before(changes, seen)
                        ),
                    );
                }
                Kind::AddressMissing | Kind::AddressExtra => {
                    let address = change.after.as_ref().or(change.before.as_ref()).map_or("", String::as_str);
                    let add = format!("ip addr add {} dev {name}", quote(address));
                    let drop = format!("w_drop_address {} {name}", quote(address));
                    if change.kind == Kind::AddressMissing {
                        self.step(change.kind, format!("add address {address} to {name}"), add, drop);
                    } else {
                        self.step(change.kind, format!("remove address {address} from {name}"), drop, add);
                    }
                }
                _ => {}
            }
        }
    }

    /// What the interface says to the host's resolver, as wg-quick(8) says it.
    fn dns(&mut self, interface: &InterfaceConfig, before: Option<&InterfaceConfig>) {
        let name = quote(&interface.name);
        let say = |dns: &[String]| {
            let lines: Vec<String> = resolv_conf(dns).iter().map(|line| format!(" {}", quote(line))).collect();
            format!("w_dns {name}{}", lines.concat())
        };
        let before = before.map_or(&[][..], |before| &before.dns);
        self.step(Kind::Dns, format!("set the DNS servers of {name}"), say(&interface.dns), say(before));
    }

    /// Peers that differ, all of one interface at once; then those nobody planned.
    fn peers(&mut self, interface: &InterfaceConfig, secrets: &Secrets, changes: &[&Change]) {
        let Some(seen) = self.observed.interfaces.get(&interface.name) else { return };
        let interface = &*as_it_should_run(interface, self.observed);
        let name = quote(&interface.name);
        let differing: BTreeSet<&str> = changes
            .iter()
            .filter(|c| {
                matches!(
                    c.kind,
                    Kind::PeerMissing
                        | Kind::PeerKey
                        | Kind::AllowedIps
                        | Kind::PresharedKey
                        | Kind::Keepalive
                        | Kind::Endpoint
                )
            })
            .map(|c| c.subject.as_str())
            .collect();
        let wanted: BTreeSet<PublicKey> = interface.peers.iter().map(|p| p.public_key).collect();
        let extra: Vec<PublicKey> = seen.live.peers.keys().filter(|key| !wanted.contains(key)).copied().collect();
        let mut new = Zeroizing::new(String::new());
        let mut old = Zeroizing::new(String::new());
        let mut added = Vec::new();
        for peer in interface.peers.iter().filter(|p| differing.contains(&*p.title())) {
            let live = seen.live.peers.get(&peer.public_key);
            // An endpoint is only written when it has to change: a peer that roamed stays where it is.
            let moves = live.is_none() || changes.iter().any(|c| c.kind == Kind::Endpoint && c.subject == peer.title());
            let endpoint = peer.endpoint.as_ref().filter(|_| moves).map(ToString::to_string);
            let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            write_peer(&mut new, peer.public_key, preshared(secrets, peer), &allowed, endpoint, peer.keepalive);
            match live {
                Some(live) => write_live(&mut old, peer.public_key, live),
                None => {
                    added.push(peer.public_key);
                    // What it takes over from another before it is removed again, that one has back.
                    if let Some(before) = peer.succeeds
                        && let Some(live) = seen.live.peers.get(&before)
                    {
                        write_live(&mut old, before, live);
                    }
                }
            }
        }
        for key in &extra {
            write_live(&mut old, *key, &seen.live.peers[key]);
        }
        if new.is_empty() && extra.is_empty() {
            return;
        }
        let remove = |keys: &[PublicKey]| -> Vec<String> {
            let one = |keys: &[PublicKey]| {
                let peers: Vec<String> = keys.iter().map(|key| format!("peer {} remove", quote(key))).collect();
                format!("wg set {name} {}", peers.join(" "))
            };
            keys.chunks(KEYS_AT_ONCE).map(one).collect()
        };
        let load = |which: &str| format!("wg addconf {name} \"$D\"/peers/{name}.{which}");
        let mut run = remove(&extra);
        let mut undo = remove(&added);
        for (which, text, commands) in [("new", new, &mut run), ("old", old, &mut undo)] {
            if !text.is_empty() {
                self.files.push(StagedFile { path: format!("peers/{}.{which}", interface.name), content: text });
                commands.push(load(which));
            }
        }
        let what = format!("change {} and remove {} peers of {name}", differing.len(), extra.len());
        let undo = if undo.is_empty() { ":".to_owned() } else { undo.join("; ") };
        self.step(Kind::PeerMissing, what, run.join(" && "), undo);
    }

    fn routes(&mut self, interface: &InterfaceConfig, changes: &[&Change], moves: &Moves) {
        let name = quote(&interface.name);
        let wanted: BTreeMap<String, Route> =
            runtime::routes(interface).into_iter().map(|r| (r.to_string(), r)).collect();
        let seen: BTreeMap<String, Route> =
            self.observed.interfaces[&interface.name].routes.iter().map(|r| (r.to_string(), *r)).collect();
        let command = |verb: &str, route: &Route| {
            let table = route.table.map_or(String::new(), |t| format!(" table {t}"));
            format!("{} route {verb} {} dev {name}{table}", ip(route.to.is_ipv4()), route.to)
        };
        for change in changes {
            let value = change.after.as_ref().or(change.before.as_ref()).map_or("", String::as_str);
            match change.kind {
                Kind::RouteMissing => {
                    if let Some(route) = wanted.get(value) {
                        if let Some(from) = moves.from(route) {
                            self.replace_route(change.kind, route, from, &interface.name);
                            continue;
                        }
                        let (add, del) = (command("add", route), command("del", route));
                        self.step(change.kind, format!("add route {value} through {name}"), add, del);
                    }
                }
                Kind::RouteExtra => {
                    if let Some(route) = seen.get(value) {
                        match moves.to(route) {
                            None => {}
                            Some(Successor::Runs) => continue,
                            Some(Successor::ComesUp) => {
                                self.leave_route(change.kind, route, &interface.name);
                                continue;
                            }
                        }
                        // A route that went with an address is gone already.
                        let (del, add) = (command("del", route), command("add", route));
                        self.step(
                            change.kind,
                            format!("remove route {value} through {name}"),
                            format!("{del} 2>/dev/null || :"),
                            add,
                        );
                    }
                }
                _ => {}
            }
        }
    }

    /// A route that leads into another interface from now on: it is replaced in one go, and no packet finds it missing.
    fn replace_route(&mut self, kind: Kind, route: &Route, from: &InterfaceName, to: &InterfaceName) {
        let what = format!("lead {route} through {to} instead of {from}");
        self.step(kind, what, replace_command(route, to), replace_command(route, from));
    }

    /// A route that an interface which comes up takes over by itself.
    fn leave_route(&mut self, kind: Kind, route: &Route, from: &InterfaceName) {
        let what = format!("leave {route} through {from} until its successor is up");
        self.step(kind, what, ":".to_owned(), replace_command(route, from));
    }

    /// A loop beside the interface, after the peers that it looks at.
    fn beside(&mut self, one: Loop, interface: &InterfaceConfig) {
        let (name, file) = (quote(&interface.name), quote(one.file_name(&interface.name)));
        let wanted = one.version(interface).is_some();
        let command = |begin: bool, from: &str| match begin {
            true => format!("sh {from}/{file} start"),
            false => format!("w_end_loop {} {name}", one.as_str()),
        };
        let work = match one {
            Loop::Resolve => "follow the names of peers of",
            Loop::Fallback => "watch links of",
            Loop::Handover => "await next keys of peers of",
            Loop::Moving => "lead peers to",
        };
        let what = if wanted { format!("{work} {name}") } else { format!("no longer {work} {name}") };
        let undo = command(self.observed.loops.contains_key(&(interface.name.clone(), one)), "/etc/wireguard");
        self.step(Kind::of_loop(one), what, command(wanted, "\"$D\"/new"), undo);
    }

    /// What hooks set up and take down, of which the file alone tells the kernel nothing.
    fn hooks(&mut self, interface: &InterfaceConfig, live: &Live) {
        for step in &live.steps {
            let Command { what, run, undo, check } = hooks::command(step, self.steps.len() + 1, &interface.name);
            self.checks.extend(check.map(str::to_owned));
            self.step(Kind::Hook, what, run, undo);
        }
    }

    fn rules(&mut self, change: &Change, desired: &Desired) {
        let command = |verb: &str, rule: &Rule| {
            let Rule { ipv4, priority, mark, table } = rule;
            format!("{} rule {verb} pref {priority} fwmark {mark:#x} lookup {table}", ip(*ipv4))
        };
        let matching = |rules: Vec<Rule>| -> Vec<Rule> {
            let text = change.after.as_ref().or(change.before.as_ref());
            rules.into_iter().filter(|rule| text.is_some_and(|t| *t == rule.to_string())).collect()
        };
        if change.kind == Kind::RuleMissing {
            let all = desired.interfaces.iter().flat_map(|i| i.rules.iter().copied()).collect();
            for rule in matching(all) {
                self.step(change.kind, format!("add rule {rule}"), command("add", &rule), command("del", &rule));
            }
        } else {
            for rule in matching(self.observed.rules.iter().copied().collect()) {
                // A rule that went with its interface is gone already.
                let del = format!("{} 2>/dev/null || :", command("del", &rule));
                self.step(change.kind, format!("remove rule {rule}"), del, command("add", &rule));
            }
        }
    }

    fn up(&mut self, interface: &InterfaceConfig, runs: bool) {
        let name = quote(&interface.name);
        // Taking an interface down leaves the kernel settings that its hooks made.
        let mut settings = String::new();
        let by_wg_quick = runtime::takes_default_route(interface).then_some((runtime::SRC_VALID_MARK, "1"));
        let by_hooks = interface.sysctls.iter().map(|s| (s.key.as_str(), s.value.as_str()));
        for (key, value) in by_hooks.chain(by_wg_quick) {
            if let Some(before) = self.observed.sysctls.get(key).filter(|before| *before != value) {
                let _ = write!(settings, "; {}", set_sysctl(key, before));
                if key == runtime::FORWARDING6 {
                    self.checks.push("w_save_ra".to_owned());
                    settings.push_str("; w_return_ra");
                }
            }
        }
        if runs {
            self.step(
                Kind::Restart,
                format!("restart {name}"),
                format!("w_down {name} && w_up_from {name} \"$D/new\""),
                format!("w_down {name}; w_up_from {name} /etc/wireguard{settings}"),
            );
        } else {
            let undo = format!("w_down {name}{settings}");
            self.step(Kind::InterfaceMissing, format!("bring {name} up"), format!("w_up_from {name} \"$D/new\""), undo);
        }
    }

    fn down(&mut self, interface: &InterfaceName) {
        let undo = self.up_as_it_ran(interface);
        let run = take_down(interface);
        self.step(Kind::InterfaceExtra, format!("take {interface} down"), run, undo);
    }

    /// Brings an interface back up that was taken down. What ran may differ from its file: it comes back as it ran.
    fn up_as_it_ran(&mut self, interface: &InterfaceName) -> String {
        let name = quote(interface);
        self.checks.push(format!("w_save_live {name}"));
        format!("w_is_up {name} || {{ w_up_from {name} /etc/wireguard && wg syncconf {name} \"$D\"/old/{name}.live; }}")
    }

    /// An interface whose key and port another one takes in the next steps: that one knows where the peers are from now on, and
    /// all of them are led there. Undoing it is the last that is undone, when the port is free again.
    fn make_way(&mut self, interface: &InterfaceConfig) {
        let name = quote(&interface.name);
        let undo = self.up_as_it_ran(&interface.name);
        let port = interface.listen_port.map_or("0".to_owned(), |port| port.to_string());
        let script = quote(format!("{}/{}", config::DIRECTORY, Loop::Moving.file_name(&interface.name)));
        // Nobody waits once the peers have nowhere to go.
        let heir = interface.beside.as_ref().map_or_else(String::new, |beside| quote(&beside.name));
        let run = format!(
            "w_note_shakes {heir}; {{ test ! -r {script} || sh {script} stop; }} && wg set {name} listen-port 0"
        );
        let undo = format!(
            "{{ {undo}; }} && wg set {name} listen-port {port} && {{ test ! -r {script} || sh {script} start; }} && w_greet {name}"
        );
        self.step(Kind::InterfaceExtra, format!("have {name} make way"), run, undo);
    }

    /// What has made way goes; it comes back by the step with which it did.
    fn down_after_all(&mut self, interface: &InterfaceName) {
        self.step(Kind::InterfaceExtra, format!("take {interface} down"), take_down(interface), ":".to_owned());
    }
}

/// The port that an interface has before another one is set, as an argument of wg(8); nothing when it keeps it.
fn port_before(changes: &[&Change], seen: &ObservedInterface) -> String {
    let changes_port = changes.iter().any(|change| change.kind == Kind::ListenPort);
    let port = seen.live.listen_port.filter(|_| changes_port);
    port.map_or_else(String::new, |port| format!(" listen-port {port}"))
}

fn take_down(interface: &InterfaceName) -> String {
    format!("w_down {} && w_no_table {}", quote(interface), quote(firewall::table_name(interface)))
}

fn replace_command(route: &Route, interface: &InterfaceName) -> String {
    let table = route.table.map_or(String::new(), |number| format!(" table {number}"));
    format!("{} route replace {} dev {}{table}", ip(route.to.is_ipv4()), route.to, quote(interface))
}

/// Returns the lines of resolv.conf(5) that wg-quick(8) makes of `DNS`: none where there are only search domains.
fn resolv_conf(dns: &[String]) -> Vec<String> {
    let (servers, domains): (Vec<&String>, Vec<&String>) =
        dns.iter().partition(|entry| entry.parse::<IpAddr>().is_ok());
    let mut lines: Vec<String> = servers.iter().map(|server| format!("nameserver {server}")).collect();
    if !lines.is_empty() && !domains.is_empty() {
        let domains: Vec<&str> = domains.into_iter().map(String::as_str).collect();
        lines.push(format!("search {}", domains.join(" ")));
    }
    lines
}

/// Writes a peer as `wg addconf` reads it, every field given, so that nothing of what was there before is left over.
fn write_peer(
    text: &mut String,
    key: PublicKey,
    preshared: Option<&PresharedKey>,
    allowed: &[String],
    endpoint: Option<String>,
    keepalive: Option<u16>,
) {
    let none = PresharedKey::from_random([0; 32]); // 32 zero bytes stand for no preshared key (wg(8))
    let preshared = preshared.unwrap_or(&none).expose_base64();
    let keepalive = keepalive.map_or("off".to_owned(), |seconds| seconds.to_string());
    let _ = writeln!(text, "[Peer]\nPublicKey = {key}\nPresharedKey = {}", preshared.as_str());
    if !allowed.is_empty() {
        let _ = writeln!(text, "AllowedIPs = {}", allowed.join(", "));
    }
    if let Some(endpoint) = endpoint {
        let _ = writeln!(text, "Endpoint = {endpoint}");
    }
    let _ = writeln!(text, "PersistentKeepalive = {keepalive}");
}

fn write_live(text: &mut String, key: PublicKey, live: &LivePeer) {
    let allowed: Vec<String> = live.allowed_ips.iter().map(ToString::to_string).collect();
    let endpoint = live.endpoint.map(|e| e.to_string());
    write_peer(text, key, live.preshared.as_ref(), &allowed, endpoint, live.keepalive);
}
