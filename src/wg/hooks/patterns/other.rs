//! Patterns beside packet filter rules, and what each pattern means on a host.

use super::super::normalise::{Family, Thing};
use super::{Finder, Found, Pattern, Scope, Variables};

pub(super) fn find(finder: &mut Finder<'_>) {
    forwarding(finder);
    policy_routes(finder);
    for (index, (pattern, variables)) in finder.left(|item| single(&item.thing)) {
        finder.claim(pattern, Scope::EnvironmentWide, variables, &[index]);
    }
}

/// All kernel settings that make the host a router are one pattern.
fn forwarding(finder: &mut Finder<'_>) {
    let settings = finder.left(|item| match &item.thing {
        Thing::Forwarding { ipv6, .. } => Some(*ipv6),
        _ => None,
    });
    if settings.is_empty() {
        return;
    }
    let has = |wanted: bool| settings.iter().any(|(_, ipv6)| *ipv6 == wanted);
    let family = match (has(false), has(true)) {
        (true, true) => "ipv4 and ipv6",
        (_, true) => "ipv6",
        _ => "ipv4",
    };
    let parts: Vec<usize> = settings.iter().map(|(index, _)| *index).collect();
    let variables = [("FAMILY", family.to_owned())].into();
    finder.claim(Pattern::EnableIpForwarding, Scope::EnvironmentWide, variables, &parts);
}

/// A routing table with what leads into it: rules and routes.
fn policy_routes(finder: &mut Finder<'_>) {
    let mut tables: Vec<(String, Vec<usize>)> = Vec::new();
    let of_table = finder.left(|item| match &item.thing {
        Thing::PolicyRule { selectors, .. } => {
            let table = selectors.iter().find(|(name, _)| name == "table");
            Some(table.map_or_else(String::new, |(_, table)| table.clone()))
        }
        Thing::Route { table: Some(table), .. } if table != "main" && table != "254" => Some(table.clone()),
        _ => None,
    });
    for (index, table) in of_table {
        match tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, parts)) => parts.push(index),
            None => tables.push((table, vec![index])),
        }
    }
    for (table, parts) in tables {
        let variables = if table.is_empty() { Variables::new() } else { [("TABLE", table)].into() };
        finder.claim(Pattern::PolicyRoute, Scope::EnvironmentWide, variables, &parts);
    }
}

/// Patterns of one thing.
fn single(thing: &Thing) -> Option<(Pattern, Variables)> {
    let some = |name: &'static str, value: &Option<String>| value.clone().map(|value| (name, value));
    Some(match thing {
        Thing::Route { family, to, via, dev, table } => {
            let family = match family {
                Family::Either => None,
                Family::V4 => Some(("FAMILY", "ipv4".to_owned())),
                Family::V6 => Some(("FAMILY", "ipv6".to_owned())),
            };
            let variables =
                [Some(("DESTINATION", to.clone())), some("VIA", via), some("DEV", dev), some("TABLE", table), family];
            (Pattern::Route, variables.into_iter().flatten().collect())
        }
        Thing::Address { address, dev, peer } => {
            let variables = [Some(("ADDRESS", address.clone())), Some(("DEV", dev.clone())), some("PEER", peer)];
            (Pattern::Address, variables.into_iter().flatten().collect())
        }
        Thing::Key { file } => (Pattern::KeyFromFile, [("FILE", file.clone())].into()),
        Thing::FrontEnd { program, words } => {
            let variables = [("PROGRAM", program.clone()), ("RULE", words.join(" "))].into();
            (Pattern::FirewallFrontEnd, variables)
        }
        Thing::Table { name } => (Pattern::NftTable, [("TABLE", name.clone())].into()),
        Thing::TableFile { file } => (Pattern::NftTable, [("FILE", file.clone())].into()),
        Thing::Shaping { dev } => (Pattern::Shaping, [("DEV", dev.clone())].into()),
        Thing::Names { dev } => (Pattern::NameService, [("DEV", dev.clone())].into()),
        Thing::Script { path } => (Pattern::Script, [("PATH", path.clone())].into()),
        Thing::Rule(_) | Thing::Forwarding { .. } | Thing::PolicyRule { .. } => return None,
    })
}

/// Says what a pattern is for on this host, in one line.
pub(super) fn meaning(found: &Found) -> String {
    let variable = |name: &str| found.variable(name);
    let or = |name: &str, other: &str| variable(name).unwrap_or(other).to_owned();
    let behind = |name: &str, word: &str| variable(name).map_or_else(String::new, |value| format!(" {word} {value}"));
    let v6 = |text: &str| if variable("FAMILY") == Some("ipv6") { format!("{text} (IPv6)") } else { text.to_owned() };
    match found.pattern {
        Pattern::EnableIpForwarding => {
            let family = or("FAMILY", "ipv4").replace("ipv", "IPv");
            format!("the kernel routes {family} between interfaces")
        }
        Pattern::NatMasqueradeIpv4 => {
            format!("VPN clients reach the internet through {} (IPv4)", or("WAN", "any interface"))
        }
        Pattern::NatMasqueradeIpv6 => {
            format!("VPN clients reach the internet through {} (IPv6)", or("WAN", "any interface"))
        }
        Pattern::BidirectionalForwardingIpv4 | Pattern::BidirectionalForwardingIpv6 => {
            let family = if found.pattern == Pattern::BidirectionalForwardingIpv4 { "IPv4" } else { "IPv6" };
            let hidden = variable("SUBNET").map_or_else(String::new, |subnet| {
                format!("; hosts there see this host's address instead of {subnet}")
            });
            format!("VPN and the LAN at {} reach each other ({family}){hidden}", or("LAN", "?"))
        }
        Pattern::ForwardThrough => {
            v6(&format!("packets pass through the tunnel{}{}", behind("SUBNET", "of"), behind("BESIDE", "to and from")))
        }
        Pattern::NatSubnet => v6(&format!(
            "{} gets {} where it leaves by {}",
            or("SUBNET", "everything"),
            variable("TO").map_or_else(|| "this host's address".to_owned(), |to| format!("the address {to}")),
            or("WAN", "any interface")
        )),
        Pattern::NatByMark => v6(&format!(
            "packets with mark {} get this host's address{}",
            or("MARK", "?"),
            behind("WAN", "where they leave by")
        )),
        Pattern::MssClampingIpv4 | Pattern::MssClampingIpv6 => {
            let family = if found.pattern == Pattern::MssClampingIpv4 { "IPv4" } else { "IPv6" };
            match variable("SIZE") {
                Some(size) => format!("TCP segments are {size} bytes at most ({family})"),
                None => format!("TCP segments fit the tunnel ({family})"),
            }
        }
        Pattern::AllowServicePort => {
            let port = variable("PORT").map_or_else(
                || "everything on this host".to_owned(),
                |port| format!("port {port}{} on this host", behind("PROTO", "by")),
            );
            let whom = match (variable("PEER"), variable("ON")) {
                (Some(peer), _) => peer.to_owned(),
                (None, Some(on)) => format!("whoever comes in by {on}"),
                (None, None) => "everybody".to_owned(),
            };
            v6(&format!("{port} is open to {whom}"))
        }
        Pattern::PortForward => {
            v6(&format!("port {}{} leads to {}", or("PORT", "(any)"), behind("PROTO", "by"), or("TO", "?")))
        }
        Pattern::KillSwitch => v6("nothing leaves this host beside the tunnel"),
        Pattern::PolicyRoute => match variable("TABLE") {
            Some(table) => format!("some packets take the routing table {table}"),
            None => "a rule of policy routing".to_owned(),
        },
        Pattern::Route => {
            format!("a route to {}{}{}", or("DESTINATION", "?"), behind("VIA", "via"), behind("DEV", "by"))
        }
        Pattern::Address => {
            format!("{} has the address {}{}", or("DEV", "?"), or("ADDRESS", "?"), behind("PEER", "with the peer"))
        }
        Pattern::KeyFromFile => format!("the key is read from {}", or("FILE", "?")),
        Pattern::FirewallFrontEnd => format!("{} is told: {}", or("PROGRAM", "?"), or("RULE", "?")),
        Pattern::NftTable => match (variable("TABLE"), variable("FILE")) {
            (Some(table), _) => format!("the nftables table {table}"),
            (None, file) => format!("the nftables rules in {}", file.unwrap_or("?")),
        },
        Pattern::Shaping => format!("limits how fast {} sends", or("DEV", "?")),
        Pattern::NameService => format!("name servers for {}", or("DEV", "?")),
        Pattern::Script => format!("runs {}", or("PATH", "?")),
    }
}
