//! An interface itself: its link, key, port and resolvers; how it comes and goes.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::fleet::ObservedInterface;
use crate::model::InterfaceName;
use crate::wg::{InterfaceConfig, config, firewall, runtime};

use super::super::change::{Change, Kind};
use super::{Builder, quote, set_sysctl};

/// What goes along with another key of an interface.
pub(super) struct Key<'a> {
    /// The interface whose place it takes.
    pub(super) goer: Option<&'a InterfaceConfig>,
    /// What brings the preshared keys back that went with the key before.
    pub(super) preshared_back: Option<String>,
}

impl Builder<'_> {
    /// The interface itself: link, key, port, MTU, addresses.
    pub(super) fn link(&mut self, interface: &InterfaceConfig, changes: &[&Change], about: &Key<'_>) {
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
                    let port = port.map_or_else(|| "''".to_owned(), |port| port.to_string());
                    let new = match &interface.key_file {
                        Some(file) => quote(format!("{}/{file}", config::DIRECTORY)),
                        None => format!("\"$D\"/strip/{name}.key"),
                    };
                    let key = format!("{name} {new} {port}");
                    // By the port that it had with that key: its peers go where they are called from.
                    let before = port_before(changes, seen);
                    let preshared = about.preshared_back.as_ref().map_or_else(String::new, |back| format!("{back}; "));
                    let undo =
                        format!("{preshared}wg set {name}{before} private-key \"$D\"/old/{name}.key && w_greet {name}");
                    let (run, undo) = match about.goer {
                        Some(goer) => self.in_place_of(goer, &key, &undo),
                        None => (format!("w_take_key {key}"), undo),
                    };
                    self.step(change.kind, format!("set the key of {name}"), run, undo);
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
    pub(super) fn dns(&mut self, interface: &InterfaceConfig, before: Option<&InterfaceConfig>) {
        let name = quote(&interface.name);
        let say = |dns: &[String]| {
            let lines: Vec<String> = resolv_conf(dns).iter().map(|line| format!(" {}", quote(line))).collect();
            format!("w_dns {name}{}", lines.concat())
        };
        let before = before.map_or(&[][..], |before| &before.dns);
        self.step(Kind::Dns, format!("set the DNS servers of {name}"), say(&interface.dns), say(before));
    }

    pub(super) fn up(&mut self, interface: &InterfaceConfig, runs: bool) {
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

    pub(super) fn down(&mut self, interface: &InterfaceName) {
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
}

/// The port that an interface has before another one is set, as an argument of wg(8); nothing when it keeps it.
fn port_before(changes: &[&Change], seen: &ObservedInterface) -> String {
    let changes_port = changes.iter().any(|change| change.kind == Kind::ListenPort);
    let port = seen.live.listen_port.filter(|_| changes_port);
    port.map_or_else(String::new, |port| format!(" listen-port {port}"))
}

pub(super) fn take_down(interface: &InterfaceName) -> String {
    format!("w_down {} && w_no_table {}", quote(interface), quote(firewall::table_name(interface)))
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
