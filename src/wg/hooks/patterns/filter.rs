//! Patterns of packet filter rules.

use super::super::normalise::Thing;
use super::super::pairs::Item;
use super::super::rule::Rule;
use super::{Finder, Pattern, Scope, Variables};

/// What a rule does, as far as a pattern may ask for it.
#[derive(Debug)]
enum Part<'a> {
    /// Packets pass through the host.
    Forward { from: Option<&'a str>, to: Option<&'a str>, narrowed: bool, answers: bool },
    /// Packets get the host's address.
    Nat { out: Option<&'a str>, source: Option<&'a str>, to: Option<&'a str> },
    /// The same, for packets with a mark.
    NatByMark { mark: &'a str, out: Option<&'a str> },
    /// TCP is told a segment size.
    Mss { beside: Option<&'a str>, size: Option<&'a str> },
    /// Packets to the host itself pass.
    Input { on: Option<&'a str>, peer: Option<&'a str>, protocol: Option<&'a str>, port: Option<&'a str> },
    /// Packets are sent on to another host.
    Dnat { from: Option<&'a str>, protocol: Option<&'a str>, port: Option<&'a str>, to: &'a str },
    /// Packets to a port of another host pass.
    ForwardPort { to: &'a str },
    /// Nothing leaves beside the tunnel.
    KillSwitch,
}

const PORTS: [&str; 2] = ["dport", "dports"];

fn port(rule: &Rule) -> Option<&str> {
    PORTS.iter().find_map(|name| rule.is(name))
}

fn part<'a>(item: &'a Item, ipv6: bool, interface: &str) -> Option<Part<'a>> {
    let Thing::Rule(rule) = &item.thing else { return None };
    if rule.ipv6 != ipv6 {
        return None;
    }
    match rule.target.as_str() {
        "ACCEPT" if rule.how.is_empty() && rule.stands_in("filter", "FORWARD") => forward(rule, interface),
        "ACCEPT" if rule.how.is_empty() && rule.stands_in("filter", "INPUT") => input(rule, interface),
        "MASQUERADE" | "SNAT" if rule.stands_in("nat", "POSTROUTING") => nat(rule),
        "DNAT" | "REDIRECT" if rule.stands_in("nat", "PREROUTING") => dnat(rule),
        "TCPMSS" => mss(rule, interface),
        "REJECT" | "DROP" if rule.stands_in("filter", "OUTPUT") => kill_switch(rule, interface),
        _ => None,
    }
}

fn forward<'a>(rule: &'a Rule, interface: &str) -> Option<Part<'a>> {
    let (from, to) = (rule.is("in-interface"), rule.is("out-interface"));
    let (source, destination) = (rule.is("source"), rule.is("destination"));
    if rule.asks_only(&["in-interface", "out-interface", "source", "destination", "ctstate"]) {
        let answers = match rule.is("ctstate") {
            None => false,
            Some("ESTABLISHED" | "ESTABLISHED,RELATED") => true,
            Some("ESTABLISHED,NEW,RELATED") => false,
            Some(_) => return None,
        };
        let narrowed = source.is_some() || destination.is_some();
        let ours = from == Some(interface) || to == Some(interface);
        let nobodys = from.is_none() && to.is_none() && (narrowed || answers);
        return (ours || nobodys).then_some(Part::Forward { from, to, narrowed, answers });
    }
    let asks = ["in-interface", "out-interface", "destination", "protocol", "dport", "dports", "ctstate"];
    let to = destination.filter(|_| rule.asks_only(&asks) && port(rule).is_some())?;
    Some(Part::ForwardPort { to })
}

fn input<'a>(rule: &'a Rule, interface: &str) -> Option<Part<'a>> {
    let asks = ["in-interface", "source", "protocol", "dport", "dports", "ctstate"];
    let (on, peer, protocol, port) = (rule.is("in-interface"), rule.is("source"), rule.is("protocol"), port(rule));
    let concerns = on == Some(interface) || on != Some("lo") && port.is_some();
    let fresh = rule.is("ctstate").is_none_or(|states| states.contains("NEW"));
    (concerns && fresh && rule.asks_only(&asks)).then_some(Part::Input { on, peer, protocol, port })
}

fn nat(rule: &Rule) -> Option<Part<'_>> {
    let to = rule.how.get("to-source").map(String::as_str);
    let out = rule.is("out-interface");
    if rule.how.keys().any(|option| *option != "to-source") || (rule.target == "SNAT") != to.is_some() {
        return None;
    }
    if let Some(mark) = rule.is("mark") {
        return rule.asks_only(&["mark", "out-interface"]).then_some(Part::NatByMark { mark, out });
    }
    rule.asks_only(&["out-interface", "source"]).then_some(Part::Nat { out, source: rule.is("source"), to })
}

fn dnat(rule: &Rule) -> Option<Part<'_>> {
    let asks = ["in-interface", "destination", "protocol", "dport", "dports", "source", "dst-type"];
    let to = ["to-destination", "to-ports"].iter().find_map(|option| rule.how.get(*option))?;
    let (protocol, port, from) = (rule.is("protocol"), port(rule), rule.is("in-interface"));
    // All but some ports, as people write who keep SSH for the host itself.
    let negated = |name: &str| PORTS.contains(&name) || name == "in-interface";
    let fits = rule.matches.iter().all(|(name, value)| asks.contains(name) && (!value.not || negated(name)));
    fits.then_some(Part::Dnat { from, protocol, port, to })
}

fn mss<'a>(rule: &'a Rule, interface: &str) -> Option<Part<'a>> {
    let size = rule.how.get("set-mss").map(String::as_str);
    let clamps = size.is_some() || rule.how.contains_key("clamp-mss-to-pmtu");
    let place = matches!(rule.chain.as_str(), "FORWARD" | "POSTROUTING" | "OUTPUT" | "PREROUTING");
    let table = rule.table == "mangle" || rule.table == "filter" && rule.chain == "FORWARD";
    let flags = matches!(rule.is("tcp-flags"), Some("RST,SYN SYN")) || rule.matches.contains_key("syn");
    let asks = ["in-interface", "out-interface", "protocol", "tcp-flags", "syn", "mss", "source", "destination"];
    let tcp = rule.is("protocol") == Some("tcp");
    if !(clamps && place && table && flags && tcp && rule.asks_only(&asks)) {
        return None;
    }
    let beside =
        [rule.is("in-interface"), rule.is("out-interface")].into_iter().flatten().find(|name| *name != interface);
    Some(Part::Mss { beside, size })
}

/// The example of wg-quick(8): all that leaves neither by the tunnel nor as the tunnel's own packets.
fn kill_switch<'a>(rule: &Rule, interface: &str) -> Option<Part<'a>> {
    let beside = rule.matches.get("out-interface")?;
    let asks = ["out-interface", "mark", "dst-type", "destination"];
    let fits = rule.matches.keys().all(|name| asks.contains(name));
    (fits && beside.not && beside.text == interface).then_some(Part::KillSwitch)
}

pub(super) fn find(finder: &mut Finder<'_>) {
    for ipv6 in [false, true] {
        bidirectional(finder, ipv6, true);
        masquerade(finder, ipv6);
        bidirectional(finder, ipv6, false);
        subnets_and_marks(finder, ipv6);
        segment_size(finder, ipv6);
        services(finder, ipv6);
        port_forwards(finder, ipv6);
        forward_through(finder, ipv6);
        kill_switches(finder, ipv6);
    }
}

fn family(ipv6: bool) -> (&'static str, String) {
    ("FAMILY", if ipv6 { "ipv6" } else { "ipv4" }.to_owned())
}

fn text(name: &'static str, value: Option<&str>) -> Option<(&'static str, String)> {
    Some((name, value?.to_owned()))
}

impl<'a> Finder<'a> {
    fn parts(&self, ipv6: bool) -> Vec<(usize, Part<'a>)> {
        let interface = self.interface;
        self.left(|item| part(item, ipv6, interface))
    }

    /// Returns the rules that let packets through between the interface and others: index, and the two interfaces.
    fn forwards(&self, ipv6: bool, with_answers: bool) -> Vec<(usize, Option<&'a str>, Option<&'a str>)> {
        let wanted = |(index, part): (usize, Part<'a>)| match part {
            Part::Forward { from, to, narrowed: false, answers } if with_answers || !answers => Some((index, from, to)),
            _ => None,
        };
        self.parts(ipv6).into_iter().filter_map(wanted).collect()
    }
}

/// From the interface to a LAN and back; with or without the rule that hides a subnet behind the host's address.
fn bidirectional(finder: &mut Finder<'_>, ipv6: bool, with_nat: bool) {
    let interface = finder.interface;
    let pattern = if ipv6 { Pattern::BidirectionalForwardingIpv6 } else { Pattern::BidirectionalForwardingIpv4 };
    let forwards = finder.forwards(ipv6, false);
    for &(there, from, to) in &forwards {
        let (true, Some(lan)) = (from == Some(interface), to) else { continue };
        let back = forwards.iter().find(|(_, from, to)| *from == Some(lan) && *to == Some(interface));
        let Some(&(back, ..)) = back else { continue };
        let hiding = finder.parts(ipv6).into_iter().find_map(|(index, part)| match part {
            Part::Nat { out: Some(out), source: Some(source), to: None } if out == lan => Some((index, source)),
            _ => None,
        });
        let mut variables: Variables = [("LAN", lan.to_owned())].into();
        let mut parts = vec![there, back];
        match hiding {
            Some((index, source)) if with_nat => {
                variables.insert("SUBNET", source.to_owned());
                parts.push(index);
            }
            None if !with_nat => {}
            _ => continue,
        }
        finder.claim(pattern, Scope::EnvironmentWide, variables, &parts);
    }
}

/// Everything that leaves by an interface gets its address, and may leave.
fn masquerade(finder: &mut Finder<'_>, ipv6: bool) {
    let interface = finder.interface;
    let pattern = if ipv6 { Pattern::NatMasqueradeIpv6 } else { Pattern::NatMasqueradeIpv4 };
    for (nat, part) in finder.parts(ipv6) {
        let Part::Nat { out, source: None, to } = part else { continue };
        if out == Some(interface) {
            continue;
        }
        let mut parts = vec![nat];
        for (index, from, onto) in finder.forwards(ipv6, true) {
            let outwards = from == Some(interface) && (onto.is_none() || onto == out);
            let inwards = onto == Some(interface) && (from.is_none() || from == out);
            let anywhere = from.is_none() && onto.is_none(); // answers to whomever
            if outwards || inwards || anywhere {
                parts.push(index);
            }
        }
        let variables = [text("WAN", out), text("TO", to)].into_iter().flatten().collect();
        finder.claim(pattern, Scope::EnvironmentWide, variables, &parts);
    }
}

fn subnets_and_marks(finder: &mut Finder<'_>, ipv6: bool) {
    for (index, part) in finder.parts(ipv6) {
        let (pattern, variables) = match part {
            Part::Nat { out, source, to } => {
                (Pattern::NatSubnet, [text("SUBNET", source), text("WAN", out), text("TO", to)])
            }
            Part::NatByMark { mark, out } => (Pattern::NatByMark, [text("MARK", Some(mark)), text("WAN", out), None]),
            _ => continue,
        };
        let variables = variables.into_iter().flatten().chain([family(ipv6)]).collect();
        finder.claim(pattern, Scope::EnvironmentWide, variables, &[index]);
    }
}

fn segment_size(finder: &mut Finder<'_>, ipv6: bool) {
    let pattern = if ipv6 { Pattern::MssClampingIpv6 } else { Pattern::MssClampingIpv4 };
    let mut variables = Variables::new();
    let mut parts = Vec::new();
    for (index, part) in finder.parts(ipv6) {
        let Part::Mss { beside, size } = part else { continue };
        variables.extend(text("BESIDE", beside));
        variables.extend(text("SIZE", size));
        parts.push(index);
    }
    if !parts.is_empty() {
        finder.claim(pattern, Scope::EnvironmentWide, variables, &parts);
    }
}

fn services(finder: &mut Finder<'_>, ipv6: bool) {
    for (index, part) in finder.parts(ipv6) {
        let Part::Input { on, peer, protocol, port } = part else { continue };
        let single = |peer: &str| !peer.contains('/') || peer.ends_with("/32") || peer.ends_with("/128");
        let scope = if peer.is_some_and(single) { Scope::PeerSpecific } else { Scope::EnvironmentWide };
        let variables = [text("ON", on), text("PEER", peer), text("PROTO", protocol), text("PORT", port)];
        let variables = variables.into_iter().flatten().chain([family(ipv6)]).collect();
        finder.claim(Pattern::AllowServicePort, scope, variables, &[index]);
    }
}

/// A port forward, with the rule that lets the forwarded packets through.
fn port_forwards(finder: &mut Finder<'_>, ipv6: bool) {
    for (index, part) in finder.parts(ipv6) {
        let Part::Dnat { from, protocol, port, to } = part else { continue };
        let host = host_of(to);
        let mut parts = vec![index];
        parts.extend(finder.parts(ipv6).into_iter().filter_map(|(other, part)| match part {
            Part::ForwardPort { to } if host_of(to) == host => Some(other),
            _ => None,
        }));
        let variables = [text("FROM", from), text("PROTO", protocol), text("PORT", port), text("TO", Some(to))];
        let variables = variables.into_iter().flatten().chain([family(ipv6)]).collect();
        finder.claim(Pattern::PortForward, Scope::PeerSpecific, variables, &parts);
    }
}

/// Returns the address of `10.0.0.2:80`, `[fd00::2]:80`, `10.0.0.2/32`.
fn host_of(to: &str) -> &str {
    let to = to.split('/').next().unwrap_or(to);
    match to.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None if to.matches(':').count() == 1 => to.split(':').next().unwrap_or(to),
        None => to,
    }
}

fn forward_through(finder: &mut Finder<'_>, ipv6: bool) {
    let mut variables: Variables = [family(ipv6)].into();
    let mut parts = Vec::new();
    for (index, part) in finder.parts(ipv6) {
        let Part::Forward { from, to, .. } = part else { continue };
        let interface = finder.interface;
        variables.extend(
            [from, to].into_iter().flatten().find(|name| *name != interface).map(|name| ("BESIDE", name.to_owned())),
        );
        if let Thing::Rule(rule) = &finder.items[index].thing {
            variables.extend(text("SUBNET", rule.is("source").or_else(|| rule.is("destination"))));
        }
        parts.push(index);
    }
    if !parts.is_empty() {
        finder.claim(Pattern::ForwardThrough, Scope::EnvironmentWide, variables, &parts);
    }
}

fn kill_switches(finder: &mut Finder<'_>, ipv6: bool) {
    let found = finder.parts(ipv6).into_iter().filter(|(_, part)| matches!(part, Part::KillSwitch));
    let parts: Vec<usize> = found.map(|(index, _)| index).collect();
    if !parts.is_empty() {
        finder.claim(Pattern::KillSwitch, Scope::EnvironmentWide, [family(ipv6)].into(), &parts);
    }
}
