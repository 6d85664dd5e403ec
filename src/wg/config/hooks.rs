//! What the kernel needs around an interface, as wg-quick(8) hooks.

use crate::model::Cidr;
use crate::wg::beside::Loop;
use crate::wg::interface::{InterfaceConfig, Rule};
use crate::wg::{Route, firewall, key_file, runtime};

use super::DIRECTORY;

/// A line of the `[Interface]` section. wg-quick runs each command by bash's `eval`; every value in it is a number, a
/// prefix, or a name that has no character with a meaning to a shell.
pub(super) struct Hook {
    pub(super) key: &'static str,
    pub(super) command: String,
}

/// A host that forwards IPv6 stops listening to router advertisements where `accept_ra` is 1, and loses its own default
/// route when the last one expires: minutes later, when nobody looks any more. With 2 it goes on listening
/// (Documentation/networking/ip-sysctl in the kernel's source).
pub(in crate::wg) const KEEP_ROUTER_ADVERTISEMENTS: &str =
    "for i in /proc/sys/net/ipv6/conf/*/accept_ra; do if [ \"$(cat $i)\" = 1 ]; then echo 2 > $i; fi; done";

/// Returns the hooks of an interface, in the order in which they are written. Its own come after what ours set up, and
/// before what takes that down.
pub(super) fn of(interface: &InterfaceConfig) -> Vec<Hook> {
    let mut hooks = Vec::new();
    let mut hook = |key, command| hooks.push(Hook { key, command });
    if interface.firewall.is_some() {
        // Before the interface exists, so that there is no moment in which packets pass unjudged.
        hook("PreUp", format!("nft -f {DIRECTORY}/{}", firewall::file_name(&interface.name)));
    }
    if let (Some(beside), Some(port)) = (&interface.beside, interface.listen_port) {
        // The other one takes this one's port in the end. A power cut before this file is gone must not leave two that want it.
        // Whoever wrote its file may have spelled it in his own way.
        let line = format!("^[[:space:]]*ListenPort[[:space:]]*=[[:space:]]*{port}([^0-9]|$)");
        hook("PreUp", format!("! grep -qsiE '{line}' {DIRECTORY}/{}.conf", beside.name));
    }
    if let Some(file) = &interface.key_file {
        hook("PostUp", key_file::hook(file));
    }
    for sysctl in &interface.sysctls {
        if sysctl.key == runtime::FORWARDING6 {
            hook("PostUp", KEEP_ROUTER_ADVERTISEMENTS.to_owned());
        }
        hook("PostUp", format!("sysctl -q -w {}={}", sysctl.key, sysctl.value));
    }
    for route in &interface.routes {
        hook("PostUp", add_route(route, interface.name.as_str()));
    }
    for rule in &interface.rules {
        // The kernel refuses a rule that it has: one that an unclean end left behind goes first.
        let (with, without) = (rule_command(rule, "add"), rule_command(rule, "del"));
        hook("PostUp", format!("{without} 2>/dev/null || true; {with}"));
    }
    for one in Loop::ALL.into_iter().filter(|one| one.version(interface).is_some()) {
        hook("PostUp", one.start_hook(&interface.name));
        hook("PreDown", one.stop_hook(&interface.name));
    }
    if let Some(next) = &interface.followed_by {
        // Routes that lead to the other one would keep wg-quick from making its own.
        hook("PreUp", Loop::hold_hook(next));
        hook("PostUp", Loop::release_hook(next));
    }
    for own in &interface.hooks {
        hook(own.phase.as_str(), own.command.clone());
    }
    for rule in &interface.rules {
        hook("PostDown", format!("{} 2>/dev/null || true", rule_command(rule, "del")));
    }
    if interface.firewall.is_some() {
        // Adding it first makes this succeed when it is gone already.
        let table = firewall::table_name(&interface.name);
        hook("PostDown", format!("nft 'table inet {table}; delete table inet {table}'"));
    }
    hooks
}

/// Routes through an interface go away with it, so nothing takes them back.
fn add_route(route: &Route, interface: &str) -> String {
    let table = route.table.map_or_else(String::new, |number| format!(" table {number}"));
    format!("ip {} route replace {} dev {interface}{table}", family(&route.to), route.to)
}

fn rule_command(rule: &Rule, verb: &str) -> String {
    let family = if rule.ipv4 { "-4" } else { "-6" };
    format!("ip {family} rule {verb} fwmark {:#010x} table {} priority {}", rule.mark, rule.table, rule.priority)
}

fn family(cidr: &Cidr) -> &'static str {
    if cidr.is_ipv4() { "-4" } else { "-6" }
}

/// Returns the hooks that follow from the rest of an interface: those that nobody wrote.
pub fn generated(interface: &InterfaceConfig) -> Vec<crate::wg::Hook> {
    let without_own = InterfaceConfig { hooks: Vec::new(), ..interface.clone() };
    let phase = |key: &str| crate::wg::Phase::ALL.iter().find(|phase| phase.as_str() == key).copied();
    of(&without_own)
        .into_iter()
        .filter_map(|hook| Some(crate::wg::Hook { phase: phase(hook.key)?, command: hook.command }))
        .collect()
}
