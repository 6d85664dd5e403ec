//! Writes a firewall as input for `nft -f` (nftables 1.0.6, Linux 5.10).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{Access, Cidr, InterfaceName, Protocol};
use crate::render;

use crate::wg::UplinkRoute;

use super::lists::Lists;
use super::shares::Shares;
use super::{Duty, ExitPath, Firewall, Granted, Rights, ServerRules, by_destination};

/// What is not the internet: "this host" (RFC 1122), private use (RFC 1918), shared address space (RFC 6598),
/// loopback, link-local (RFC 3927), multicast and reserved.
pub(in crate::wg) const PRIVATE4: [&str; 8] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
];

/// What is not the internet: unspecified, loopback, unique local (RFC 4193), link-local and multicast.
pub(in crate::wg) const PRIVATE6: [&str; 5] = ["::/128", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8"];

/// A named set or map, as the template writes it.
#[derive(Serialize)]
pub(super) struct Set {
    pub(super) keyword: &'static str,
    pub(super) name: String,
    pub(super) of: &'static str,
    pub(super) interval: bool,
    pub(super) elements: Vec<String>,
}

/// A chain that the template doesn't name, as it writes it.
#[derive(Serialize)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// What the templates are filled with.
#[derive(Serialize)]
struct Values<'a> {
    table: String,
    main: &'a str,
    /// The main interface, or the set of it and the one beside it, as nft(8) compares names with.
    tunnel: String,
    outer: &'a str,
    purpose: &'static str,
    nat: bool,
    /// Whether it tells who may reach what.
    judged: bool,
    /// When grants end, in seconds since 1970: the names of their chains, and what nft(8) takes as a time.
    ends: Vec<i64>,
    /// What of a source's address says which share its grants are in, for IPv4 and IPv6; none without shares.
    share_masks: Option<[String; 2]>,
    /// The shares of grants, where there are very many.
    shares: Vec<Chain>,
    /// The lists of LANs that sources may reach.
    lists: Vec<Chain>,
    /// Whether some sources leave an exit with their own addresses.
    routed: bool,
    /// Whether something goes on from an exit to another one.
    onward: bool,
    /// Whether something is told to leave by an exit after this one.
    held: bool,
    /// Rules by destination, a chain for each list.
    rules: Vec<Chain>,
    /// The mark of what such a rule lets out at the server.
    server_mark: String,
    sets: Vec<Set>,
}

/// Returns the table as input for `nft -f`: loading it replaces what was there in one step.
pub fn ruleset(firewall: &Firewall) -> String {
    let inside: Vec<Cidr> = firewall.network.iter().chain(&firewall.lans).copied().collect();
    let (template, purpose, nat, mut sets) = match &firewall.duty {
        Duty::Server(rules) => {
            let purpose = "It decides who may reach what, judges only packets from and to the tunnels, and leaves all others alone.";
            ("firewall/server.nft", purpose, rules.nat, server_sets(firewall, rules))
        }
        Duty::Router { own, nat, judged } => {
            let purpose =
                "It lets the tunnel reach the LANs behind this router and nothing else, and the LANs reach the tunnel.";
            let mut sets = prefixes("own", own);
            if let Some(rules) = judged {
                sets.extend(prefixes("network", &firewall.network));
                sets.extend(prefixes("direct", &rules.direct));
                sets.extend(rights(rules.rights()));
            }
            ("firewall/router.nft", purpose, *nat, sets)
        }
        Duty::Exit { direct, routed, onward, held } => {
            let purpose = "It lets the tunnel reach the internet and nothing else.";
            let mut sets = addresses("direct", direct);
            if !routed.is_empty() {
                sets.extend(prefixes("routed", routed));
            }
            if !onward.is_empty() {
                sets.push(interfaces("uplinks", firewall.duty.uplinks()));
                sets.extend(marks_and_ways(["onward_marks", "onward"], onward));
            }
            if !held.is_empty() {
                sets.extend(addresses("held", held));
            }
            sets.extend(private());
            ("firewall/exit.nft", purpose, true, sets)
        }
    };
    if !matches!(firewall.duty, Duty::Router { judged: None, .. }) {
        sets.extend(prefixes("inside", &inside));
    }
    sets.insert(0, ours(firewall));
    let rights = match &firewall.duty {
        Duty::Server(rules) => Some(rules.rights()),
        Duty::Router { judged, .. } => judged.as_ref().map(|rules| rules.rights()),
        Duty::Exit { .. } => None,
    };
    let judged = rights.is_some();
    let shares = rights.map(Shares::of);
    let common = rights.zip(shares.as_ref()).map(|(rights, shares)| ends(rights, shares));
    let ends = common.unwrap_or_default().iter().map(DateTime::timestamp).collect();
    let share_masks = shares.as_ref().and_then(Shares::masks);
    let shares = shares.as_ref().map(Shares::chains).unwrap_or_default();
    let lists = rights.map(|rights| Lists::of(rights).chains()).unwrap_or_default();
    let routed = matches!(&firewall.duty, Duty::Exit { routed, .. } if !routed.is_empty());
    let onward = matches!(&firewall.duty, Duty::Exit { onward, .. } if !onward.is_empty());
    let held = matches!(&firewall.duty, Duty::Exit { held, .. } if !held.is_empty());
    let (main, outer) = (firewall.interface.as_str(), firewall.outer.as_str());
    let table = firewall.table();
    let rules = match &firewall.duty {
        Duty::Server(rules) => by_destination::chains(rules),
        _ => Vec::new(),
    };
    let server_mark = format!("{:#010x}", UplinkRoute::SERVER_MARK);
    let values = Values {
        table,
        main,
        tunnel: tunnel(firewall),
        outer,
        purpose,
        nat,
        judged,
        ends,
        share_masks,
        shares,
        lists,
        routed,
        onward,
        held,
        rules,
        server_mark,
        sets,
    };
    render::fill(template, values)
}

fn tunnel(firewall: &Firewall) -> String {
    match &firewall.beside {
        None => format!("{:?}", firewall.interface.as_str()),
        Some(beside) => format!("{{ {:?}, {:?} }}", firewall.interface.as_str(), beside.as_str()),
    }
}

/// The interfaces whose packets are judged.
fn ours(firewall: &Firewall) -> Set {
    let main = [&firewall.interface].into_iter().chain(&firewall.beside);
    interfaces("ours", main.chain(firewall.duty.uplinks()))
}

fn interfaces<'a>(name: &str, names: impl IntoIterator<Item = &'a InterfaceName>) -> Set {
    let elements = names.into_iter().map(|name| format!("{:?}", name.as_str())).collect();
    Set { keyword: "set", name: name.to_owned(), of: "ifname", interval: false, elements }
}

/// Two of a kind, IPv4 then IPv6: `element` says which family an item belongs to and how it is written.
pub(super) fn pair<T>(
    keyword: &'static str,
    name: &str,
    of: [&'static str; 2],
    interval: bool,
    items: impl IntoIterator<Item = T>,
    element: impl Fn(T) -> (Cidr, String),
) -> [Set; 2] {
    let mut elements = [Vec::new(), Vec::new()];
    for item in items {
        let (family, text) = element(item);
        elements[usize::from(!family.is_ipv4())].push(text);
    }
    let [four, six] = elements;
    [("4", of[0], four), ("6", of[1], six)].map(|(digit, of, elements)| Set {
        keyword,
        name: format!("{name}{digit}"),
        of,
        interval,
        elements,
    })
}

pub(super) const ADDRESS: [&str; 2] = ["ipv4_addr", "ipv6_addr"];
pub(super) const VERDICTS: [&str; 2] = ["ipv4_addr : verdict", "ipv6_addr : verdict"];

fn prefixes(name: &str, items: &[Cidr]) -> Vec<Set> {
    pair("set", name, ADDRESS, true, items, |cidr| (*cidr, plain(cidr))).into()
}

fn addresses(name: &str, items: &[Cidr]) -> Vec<Set> {
    pair("set", name, ADDRESS, false, items, |cidr| (*cidr, plain(cidr))).into()
}

/// Writes a prefix, a single address without its length, as `nft list` does.
pub(super) fn plain(cidr: &Cidr) -> String {
    let net = cidr.net();
    if is_single(cidr) { net.addr().to_string() } else { net.to_string() }
}

pub(super) fn is_single(cidr: &Cidr) -> bool {
    cidr.net().prefix_len() == cidr.net().max_prefix_len()
}

fn private() -> Vec<Set> {
    let own = |list: &[&str]| list.iter().map(|&prefix| prefix.to_owned()).collect();
    let set = |name: &str, of, elements| Set { keyword: "set", name: name.to_owned(), of, interval: true, elements };
    vec![set("private4", "ipv4_addr", own(&PRIVATE4)), set("private6", "ipv6_addr", own(&PRIVATE6))]
}

fn server_sets(firewall: &Firewall, rules: &ServerRules) -> Vec<Set> {
    let mut sets = prefixes("network", &firewall.network);
    sets.extend(prefixes("own", &rules.own));
    sets.extend(addresses("dns", &rules.dns));
    if rules.by_destination.is_empty() {
        sets.extend(addresses("leaving", &rules.leaving));
    }
    sets.extend(private());
    sets.extend(rights(rules.rights()));
    sets.extend(if rules.by_destination.is_empty() { exits(rules) } else { by_destination::sets(firewall, rules) });
    sets
}

/// Who may reach what.
fn rights(rights: Rights<'_>) -> Vec<Set> {
    let lists = Lists::of(rights);
    levels(rights, &lists).into_iter().chain(lists.sets()).chain(granted(rights)).collect()
}

/// Single addresses are looked up by hash; LANs need a search tree.
fn levels(rules: Rights<'_>, lists: &Lists) -> Vec<Set> {
    let (single, wide): (Vec<_>, Vec<_>) = rules.sources.iter().partition(|(source, _)| is_single(source));
    let element = |(source, access): (&Cidr, &Access)| {
        (*source, format!("{} : goto {}", plain(source), lists.chain_of(source, *access)))
    };
    let singles = pair("map", "levels", VERDICTS, false, single, element);
    singles.into_iter().chain(pair("map", "lan_levels", VERDICTS, true, wide, element)).collect()
}

/// What is granted for good, then what ends, by time; then what is in shares.
fn granted(rules: Rights<'_>) -> Vec<Set> {
    let shares = Shares::of(rules);
    let common = || rules.granted.iter().filter(|grant| !shares.have(&grant.source));
    let mut sets = granted_until("granted", common(), None);
    for until in ends(rules, &shares) {
        sets.extend(granted_until(&format!("until_{}", until.timestamp()), common(), Some(until)));
    }
    sets.extend(shares.sets());
    sets
}

/// The times at which something that is granted ends, and isn't in a share.
fn ends(rights: Rights<'_>, shares: &Shares<'_>) -> BTreeSet<DateTime<Utc>> {
    rights.granted.iter().filter(|grant| !shares.have(&grant.source)).filter_map(|grant| grant.until).collect()
}

/// Returns the sets of what is granted until then.
pub(super) fn granted_until<'g>(
    name: &str,
    granted: impl Iterator<Item = &'g Granted> + Clone,
    until: Option<DateTime<Utc>>,
) -> Vec<Set> {
    let with = |wanted: fn(Protocol) -> bool| {
        granted.clone().filter(move |grant| grant.until == until && wanted(grant.protocol))
    };
    let hosts = |grant: &Granted| (grant.source, format!("{} . {}", plain(&grant.source), plain(&grant.destination)));
    let ports = |grant: &Granted| {
        let ports = grant.ports.map_or_else(|| "0-65535".to_owned(), |range| range.to_string());
        let (family, hosts) = hosts(grant);
        (family, format!("{hosts} . {} . {ports}", grant.protocol))
    };
    let two = ["ipv4_addr . ipv4_addr", "ipv6_addr . ipv6_addr"];
    let four =
        ["ipv4_addr . ipv4_addr . inet_proto . inet_service", "ipv6_addr . ipv6_addr . inet_proto . inet_service"];
    let with_ports = with(|protocol| matches!(protocol, Protocol::Tcp | Protocol::Udp));
    let mut sets: Vec<Set> = pair("set", &format!("{name}_ports"), four, true, with_ports, ports).into();
    sets.extend(pair("set", &format!("{name}_all"), two, true, with(|protocol| protocol == Protocol::Any), hosts));
    sets.extend(pair("set", &format!("{name}_icmp"), two, true, with(|protocol| protocol == Protocol::Icmp), hosts));
    sets
}

/// Returns which mark each source gets, and by which uplinks it may leave.
fn marks_and_ways([marks, ways]: [&str; 2], paths: &BTreeMap<Cidr, ExitPath>) -> Vec<Set> {
    let of = ["ipv4_addr : mark", "ipv6_addr : mark"];
    let mark = |(source, path): (&Cidr, &ExitPath)| (*source, format!("{} : {:#010x}", plain(source), path.mark));
    let mut sets: Vec<Set> = pair("map", marks, of, false, paths, mark).into();
    let uplinks = paths.iter().flat_map(|(source, path)| path.uplinks.iter().map(move |uplink| (source, uplink)));
    sets.extend(pair("set", ways, ["ipv4_addr . ifname", "ipv6_addr . ifname"], false, uplinks, |(source, uplink)| {
        (*source, format!("{} . {:?}", plain(source), uplink.as_str()))
    }));
    sets
}

fn exits(rules: &ServerRules) -> Vec<Set> {
    let mut sets = marks_and_ways(["exit_marks", "exits"], &rules.exits);
    let used: BTreeSet<u32> = rules.exits.values().map(|path| path.mark).collect();
    let elements = used.into_iter().map(|mark| format!("{mark:#010x}")).collect();
    sets.push(Set { keyword: "set", name: "exit_mark".to_owned(), of: "mark", interval: false, elements });
    sets
}
