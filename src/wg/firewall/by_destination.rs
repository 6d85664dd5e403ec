//! Rules by destination in a ruleset: a chain for each list, and the sets that they lead through.
//!
//! Where there are such rules, a packet's mark says which way it takes, and what leaves or comes back has to fit its mark.
//! Whose list it is, is looked up by hash; a list's length is the number of times that its rules change their way.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, PortRange, Protocol};
use crate::wg::UplinkRoute;

use super::ruleset::{Chain, Set, VERDICTS, pair, plain};
use super::{ExitPath, Firewall, PathRule, RulePath, ServerRules};

/// Returns a chain for each list.
pub(super) fn chains(rules: &ServerRules) -> Vec<Chain> {
    let chain = |(number, list): (usize, &super::RuleList)| Chain {
        name: name(number),
        lines: list.rules.iter().flat_map(lines).collect(),
    };
    (1..).zip(&rules.by_destination).map(chain).collect()
}

fn name(number: usize) -> String {
    format!("rules_{number}")
}

/// Returns the mark of each source's assigned way, each source's chain, the marks there are, and by which interface packets
/// of each mark leave and are answered.
pub(super) fn sets(firewall: &Firewall, rules: &ServerRules) -> Vec<Set> {
    let mut marks: BTreeMap<Cidr, u32> = rules.exits.iter().map(|(source, path)| (*source, path.mark)).collect();
    marks.extend(rules.leaving.iter().map(|source| (*source, UplinkRoute::SERVER_MARK)));
    let of_marks = ["ipv4_addr : mark", "ipv6_addr : mark"];
    let mut sets: Vec<Set> = pair("map", "exit_marks", of_marks, false, marks, |(source, mark)| {
        (source, format!("{} : {mark:#010x}", plain(&source)))
    })
    .into();
    let lists = (1..).zip(&rules.by_destination);
    let ruled: BTreeMap<Cidr, String> =
        lists.flat_map(|(number, list)| list.sources.iter().map(move |source| (*source, name(number)))).collect();
    sets.extend(pair("map", "ruled", VERDICTS, false, ruled, |(source, chain)| {
        (source, format!("{} : jump {chain}", plain(&source)))
    }));
    let ways = ways(firewall, rules);
    let used: BTreeSet<u32> = ways.iter().map(|(mark, _)| *mark).collect();
    let elements = used.into_iter().map(|mark| format!("{mark:#010x}")).collect();
    sets.push(Set { keyword: "set", name: "exit_mark".to_owned(), of: "mark", interval: false, elements });
    let elements = ways.into_iter().map(|(mark, interface)| format!("{mark:#010x} . {interface:?}")).collect();
    sets.push(Set { keyword: "set", name: "ways".to_owned(), of: "mark . ifname", interval: false, elements });
    sets
}

/// Returns every mark that a packet can get, with the interfaces by which it may leave then.
fn ways<'r>(firewall: &'r Firewall, rules: &'r ServerRules) -> BTreeSet<(u32, &'r str)> {
    let all = rules.by_destination.iter().flat_map(|list| &list.rules);
    let by_rule = all.clone().filter_map(|rule| if let RulePath::Exit(path) = &rule.path { Some(path) } else { None });
    let of_path = |path: &'r ExitPath| path.uplinks.iter().map(|uplink| (path.mark, uplink.as_str()));
    let mut ways: BTreeSet<_> = rules.exits.values().chain(by_rule).flat_map(of_path).collect();
    if !rules.leaving.is_empty() || all.clone().any(|rule| rule.path == RulePath::Server) {
        ways.insert((UplinkRoute::SERVER_MARK, firewall.outer.as_str()));
    }
    ways
}

/// Returns the lines of a rule, for either family, and for both directions where ports count. Where it leads is read from
/// the beginning of the flow, so that answers fit it too.
fn lines(rule: &PathRule) -> Vec<String> {
    let verdict = match &rule.path {
        RulePath::Exit(path) => format!("meta mark set {:#010x} return", path.mark),
        RulePath::Server => format!("meta mark set {:#010x} return", UplinkRoute::SERVER_MARK),
        RulePath::Block => "drop".to_owned(),
    };
    let mut lines = Vec::new();
    for (ipv4, ip, nfproto, icmp) in [(true, "ip", "ipv4", "icmp"), (false, "ip6", "ipv6", "ipv6-icmp")] {
        let own: Vec<&Cidr> = rule.destinations.iter().filter(|to| to.is_ipv4() == ipv4).collect();
        let to = match own.as_slice() {
            [] => continue,
            own if own.iter().any(|to| to.is_default()) => format!("meta nfproto {nfproto}"),
            own => format!(
                "ct original {ip} daddr {{ {} }}",
                own.iter().map(|to| plain(to)).collect::<Vec<_>>().join(", ")
            ),
        };
        match rule.protocol {
            Protocol::Any => lines.push(format!("{to} {verdict}")),
            Protocol::Icmp => lines.push(format!("{to} meta l4proto {icmp} {verdict}")),
            protocol if rule.ports.is_empty() => lines.push(format!("{to} meta l4proto {protocol} {verdict}")),
            protocol => {
                let ports = rule.ports.iter().map(PortRange::to_string).collect::<Vec<_>>().join(", ");
                for end in ["original th dport", "reply th sport"] {
                    lines.push(format!("{to} meta l4proto {protocol} ct direction {end} {{ {ports} }} {verdict}"));
                }
            }
        }
    }
    lines
}
