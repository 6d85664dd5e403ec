//! How changes are carried out on a host: commands, each with the command that takes it back. Pure.

mod interface;
mod peers;
mod routes;
mod take_over;

use crate::fleet::{Observed, StagedFile};
use crate::model::{InterfaceName, Secrets};
use crate::wg::beside::Loop;
use crate::wg::hooks::live::Live;
use crate::wg::{InterfaceConfig, firewall, runtime};

use super::change::{Change, Kind};
use super::desired::{Deployed, Desired};
use super::hooks::{self, Command};
use super::route_moves;
use interface::Key;
use take_over::TakeOvers;

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
    let extra: Vec<&InterfaceName> = of(Kind::InterfaceExtra).filter_map(|change| change.interface.as_ref()).collect();
    let takes = |heir: &InterfaceConfig| {
        stays_up(heir) && of(Kind::PrivateKey).any(|change| change.interface.as_ref() == Some(&heir.name))
    };
    let take_overs = TakeOvers::among(&extra, desired, deployed, takes);
    extra.iter().filter(|name| !take_overs.of(name)).for_each(|name| builder.down(name));
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
    let of_heir = |change: &&Change| change.interface.as_ref().is_some_and(|name| take_overs.by(name).is_some());
    of(Kind::Firewall).filter(|change| !of_heir(change)).for_each(|change| firewall(&mut builder, change));
    for interface in &desired.interfaces {
        let mine = changes.iter().filter(|c| c.interface.as_ref() == Some(&interface.name));
        let mine: Vec<&Change> = mine.filter(|change| !is_way(change)).collect();
        if stays_up(interface) {
            let preshared_back = builder.preshared_first(interface, secrets, &mine);
            let about = Key { goer: take_overs.by(&interface.name), preshared_back };
            builder.link(interface, &mine, &about);
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
    extra.iter().filter(|name| take_overs.of(name)).for_each(|name| builder.down_after_all(name));
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

/// Files with keys that a host made and that another key has replaced, or that were a next key and withdrawn. What another
/// interface that is gone had stays: nobody else has it.
fn keys_left(desired: &Desired, deployed: Option<&Deployed>) -> Vec<String> {
    let is_used = |file: &String| desired.interfaces.iter().any(|interface| interface.key_file.as_ref() == Some(file));
    let replaced = |before: &InterfaceConfig| {
        let first = before.beside.as_ref().map_or(&before.name, |first| &first.name);
        let is_over = desired.interface(&before.name).is_some() || desired.interface(first).is_some();
        before.key_file.clone().filter(|file| is_over && !is_used(file))
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
}
