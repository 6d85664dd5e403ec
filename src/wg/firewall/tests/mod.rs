//! Rulesets: that nft takes them, how grants become entries, and what they say.

mod exit;
mod packets;
mod router;
mod server;

use super::{Duty, Firewall, ruleset, table_name};
use crate::wg::compile::compile;
use crate::wg::compile::fixture::Fixture;
use crate::wg::namespace::{printed, run};

fn firewalls(fixture: &Fixture) -> Vec<Firewall> {
    let nodes = compile(&fixture.topology).unwrap();
    nodes.into_iter().filter_map(|mut node| node.interfaces.remove(0).firewall).collect()
}

/// Returns a ruleset from here to there.
fn part<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = &text[text.find(from).unwrap()..];
    &rest[..rest.find(to).unwrap()]
}

/// Twice: loading replaces.
fn assert_loads(text: &str) {
    let script = "cd /etc/wireguard; nft -c -f x.nft; nft -f x.nft; nft -c -f x.nft; nft -f x.nft; nft list ruleset";
    if let Some(output) = run(script, &["nft"], &[("x.nft", text)]) {
        assert_eq!(printed(&output).matches("table inet").count(), 1);
    }
}

#[test]
fn nft_takes_every_ruleset_also_twice() {
    let mut odd = Fixture::everything();
    for node in &mut odd.topology.nodes {
        node.interfaces[0].name = "a=b+c.d_e-1".parse().unwrap();
        node.nat = true;
    }
    let mut bare = Fixture::new();
    bare.add("hub", crate::model::Role::Server);
    bare.add("office", crate::model::Role::Router);
    let mut timed = Fixture::everything();
    let mut grants = Vec::new();
    for (text, until) in
        [("192.168.20.7 tcp 22", 4_000_000_000), ("192.168.0.0/16 icmp", 4_000_000_000), ("fd00:10::5", 1)]
    {
        let mut grant: crate::model::Grant = text.parse().unwrap();
        grant.until = chrono::DateTime::from_timestamp(until, 0);
        grants.push(grant);
    }
    timed.node("carol").grants = grants;
    for fixture in [Fixture::everything(), odd, bare, timed] {
        firewalls(&fixture).iter().for_each(|firewall| assert_loads(&ruleset(firewall)));
    }
}

#[test]
fn grants_that_overlap_become_entries_that_do_not() {
    let mut fixture = Fixture::everything();
    fixture.node("dave").grants = [
        "192.168.20.0/24 tcp 20-30",
        "192.168.20.7 tcp 22,25-40",
        "192.168.20.7 tcp 35-50",
        "192.168.0.0/16 tcp 28",
        "192.168.20.0/24",
        "192.168.20.9",
        "192.168.20.9 udp",
        "192.168.20.0/28 udp 53",
        "10.0.0.0/8 icmp",
    ]
    .map(|grant| grant.parse().unwrap())
    .into();
    let firewalls = firewalls(&fixture);
    let Duty::Server(rules) = &firewalls[0].duty else { panic!("the first is the server") };
    let four = rules.granted.iter().filter(|grant| grant.source.is_ipv4());
    let lines = four.map(|grant| {
        let ports = grant.ports.map_or("all".to_owned(), |ports| ports.to_string());
        format!("{} {} {ports}", grant.destination, grant.protocol)
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    10.66.0.0/24 icmp all
    192.168.1.0/24 tcp 28
    192.168.10.0/24 tcp 28
    192.168.20.0/24 any all
    192.168.20.0/24 tcp 20-30
    192.168.20.0/28 udp 53
    192.168.20.7/32 tcp 31-50
    192.168.20.9/32 udp 1-52
    192.168.20.9/32 udp 54-65535
    ");
    assert_loads(&ruleset(&firewalls[0]));
}

#[test]
fn lans_that_lie_in_one_another_are_one_in_a_list() {
    let mut fixture = Fixture::everything();
    let parts = (0..20).map(|part| format!("192.168.20.{}/31", 2 * part));
    let wide = ["192.168.10.0/24", "192.168.10.7/32", "192.168.20.0/29", "192.168.20.16/28"].map(str::to_owned);
    fixture.node("carol").lan_selection = parts.chain(wide).map(|lan| lan.parse().unwrap()).collect();
    let text = ruleset(&firewalls(&fixture)[0]);
    assert_loads(&text);
    insta::assert_snapshot!(part(&text, "    set lans_", "    set granted_ports4"), @"
    set lans_6f192413742f4871 {
        type ipv4_addr
        flags interval
        elements = {
            192.168.10.0/24,
            192.168.20.0/29,
            192.168.20.8/31,
            192.168.20.10/31,
            192.168.20.12/31,
            192.168.20.14/31,
            192.168.20.16/28,
            192.168.20.32/31,
            192.168.20.34/31,
            192.168.20.36/31,
            192.168.20.38/31
        }
    }
    ");
}

#[test]
fn the_number_of_rules_does_not_grow_with_the_number_of_peers() {
    let rules = |fixture: &Fixture| {
        let text = ruleset(&firewalls(fixture)[0]);
        text.lines().filter(|line| line.ends_with("accept") || line.ends_with("drop") || line.contains("vmap")).count()
    };
    let mut more = Fixture::everything();
    for number in 0..100 {
        more.add(&format!("phone-{number}"), crate::model::Role::Remote);
    }
    assert_eq!(rules(&more), rules(&Fixture::everything()));
}

#[test]
fn different_interfaces_have_different_tables() {
    let names = ["wg0", "wg-0", "wg_0", "wg.0", "wg=0", "wg+0", "wg_h0"];
    let tables: Vec<String> = names.iter().map(|name| table_name(&name.parse().unwrap())).collect();
    assert_eq!(tables, ["wgf_wg0", "wgf_wg_h0", "wgf_wg__0", "wgf_wg_d0", "wgf_wg_e0", "wgf_wg_p0", "wgf_wg__h0"]);
}
