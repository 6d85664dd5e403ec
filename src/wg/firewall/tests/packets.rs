//! The server's ruleset against real packets.
//!
//! The tunnel is a bridge here and its peers are namespaces on it, so nothing but the ruleset decides: no AllowedIPs
//! hold anybody back, as if every owner of a device had changed his own file.

use std::fmt::Write as _;

use super::ruleset;
use crate::model::{Access, ExitRule, Node, PortRange, Protocol, Role, RuleAction};
use crate::wg::compile::compile;
use crate::wg::compile::fixture::Fixture;
use crate::wg::namespace::{printed, run};

/// Who is attached where, with which addresses. The LANs' hosts stand behind their routers, which are left out here.
const PLACES: [(&str, &str, &[&str]); 12] = [
    ("office", "wg0", &["10.66.0.2/32", "fd00:66::2/128"]),
    ("lan10", "wg0", &["192.168.10.5/32", "fd00:10::5/128"]),
    ("lan20", "wg0", &["192.168.20.7/32"]),
    ("alice", "wg0", &["10.66.0.6/32", "fd00:66::6/128"]),
    ("bob", "wg0", &["10.66.0.7/32", "fd00:66::7/128"]),
    ("carol", "wg0", &["10.66.0.8/32", "fd00:66::8/128"]),
    ("dave", "wg0", &["10.66.0.9/32", "fd00:66::9/128"]),
    ("frank", "wg0", &["10.66.0.11/32", "fd00:66::b/128"]),
    ("berlin", "wgx1", &["10.66.0.4/32", "fd00:66::4/128", "198.51.100.1/32", "2001:db8::1/128"]),
    ("tokyo", "wgx2", &["10.66.0.5/32", "fd00:66::5/128", "198.51.100.2/32", "2001:db8::2/128"]),
    ("home", "eth0", &["192.168.1.5/32"]),
    ("wan", "eth0", &["198.51.100.3/32", "2001:db8::3/128"]),
];

/// The commands that the scripts use.
const NEEDS: [&str; 5] = ["nft", "ip", "socat", "ping", "ss"];

/// Builds the network around the server, loads the ruleset and leaves `reach`, which tries one connection and prints how
/// it went.
fn network() -> String {
    let mut script = String::from(
        "ip link set lo up
         sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
         sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
         sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
         for bridge in wg0 wgx1 wgx2 eth0; do
            ip link add $bridge type bridge
            ip link set $bridge address 02:00:00:00:01:00 up
            ip addr add 10.66.0.1/32 dev $bridge; ip -6 addr add fd00:66::1/128 dev $bridge nodad
         done
         ip route add 10.66.0.0/24 dev wg0; ip -6 route add fd00:66::/64 dev wg0
         ip route add 192.168.10.0/24 dev wg0; ip -6 route add fd00:10::/64 dev wg0
         ip route add 192.168.20.0/24 dev wg0; ip route add 192.168.1.0/24 dev eth0
         ip route add 10.66.0.4/32 dev wgx1; ip -6 route add fd00:66::4/128 dev wgx1
         ip route add 10.66.0.5/32 dev wgx2; ip -6 route add fd00:66::5/128 dev wgx2
         ip route add default dev eth0; ip -6 route add default dev eth0
         ip addr add 203.0.113.1/32 dev eth0
         ip route add default dev wgx2 table 7766102; ip -6 route add default dev wgx2 table 7766102
         ip rule add fwmark 0x77660066 table 7766102; ip -6 rule add fwmark 0x77660066 table 7766102
         ip route add default dev wgx1 table 7766101; ip -6 route add default dev wgx1 table 7766101
         ip rule add fwmark 0x77660065 table 7766101; ip -6 rule add fwmark 0x77660065 table 7766101
        ",
    );
    // A tunnel knows no neighbour discovery, so the ruleset needn't let any pass: what a bridge has to know is given.
    for (number, (name, bridge, addresses)) in PLACES.iter().enumerate() {
        let mac = format!("02:00:00:00:00:{number:02x}");
        writeln!(
            script,
            "ip netns add {name}; ip link add {name} type veth peer name net0 netns {name}
             ip link set {name} master {bridge} up; ip -n {name} link set lo up
             ip -n {name} link set net0 address {mac} up
             ip -n {name} neigh add fd00:66::1 lladdr 02:00:00:00:01:00 dev net0"
        )
        .unwrap();
        for address in *addresses {
            writeln!(script, "ip -n {name} addr add {address} dev net0 $(case {address} in *:*) echo nodad ;; esac)")
                .unwrap();
            if let Some(six) = address.strip_suffix("/128") {
                writeln!(script, "ip neigh add {six} lladdr {mac} dev {bridge}").unwrap();
            }
        }
        writeln!(
            script,
            "ip -n {name} route add 10.66.0.1 dev net0; ip -n {name} route add default via 10.66.0.1
             ip -n {name} -6 route add fd00:66::1 dev net0; ip -n {name} -6 route add default via fd00:66::1
             for port in 22 53 80; do
                 ip netns exec {name} socat TCP6-LISTEN:$port,fork,reuseaddr,ipv6only=0 /dev/null &
             done"
        )
        .unwrap();
    }
    script.push_str(
        "for port in 22 53; do socat TCP6-LISTEN:$port,fork,reuseaddr,ipv6only=0 /dev/null & done
         for name in $(ip netns list | cut -d' ' -f1); do
             until [ $(ip netns exec $name ss -Hltn | wc -l) = 3 ]; do :; done
         done
         until [ $(ss -Hltn | wc -l) = 2 ]; do :; done
         nft -f /etc/wireguard/x.nft
         reach() { # FROM ADDRESS icmp|PORT
             case $3 in
                 icmp) set -- $1 $2 $3 ping -q -c 1 -W 5 $2 ;;
                 *) set -- $1 $2 $3 socat -u OPEN:/dev/null TCP:$(case $2 in *:*) echo [$2] ;; *) echo $2 ;; esac):$3,connect-timeout=5 ;;
             esac
             from=$1 to=$2 how=$3; shift 3
             if ip netns exec $from \"$@\" >/dev/null 2>&1; then echo \"$from $to $how\"; fi
         }
        ",
    );
    script
}

/// Returns which of the attempts succeed, in their order: each is `FROM ADDRESS icmp|PORT`.
fn reached(fixture: &Fixture, attempts: &[String]) -> Option<Vec<String>> {
    let nodes = compile(&fixture.topology).unwrap();
    let text = ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap());
    let mut script = network();
    for attempt in attempts {
        writeln!(script, "reach {attempt} & attempts=\"$attempts $!\"").unwrap();
    }
    script.push_str("wait $attempts");
    let output = run(&script, &NEEDS, &[("x.nft", &text)])?;
    let printed = printed(&output);
    let succeeded: Vec<&str> = printed.lines().collect();
    Some(attempts.iter().filter(|attempt| succeeded.contains(&attempt.as_str())).cloned().collect())
}

/// Tells whom each of some reaches, out of addresses of both families that aren't his own.
fn table(fixture: &Fixture, from: &[&str], four: &[&str], six: &[&str]) -> Option<String> {
    let mut attempts: Vec<String> = Vec::new();
    for name in from {
        let own: Vec<&str> =
            PLACES.iter().filter(|place| place.0 == *name).flat_map(|place| place.2).copied().collect();
        let has = |family: &str| own.iter().any(|address| address.contains(family));
        let others = four.iter().filter(|_| has(".")).chain(six.iter().filter(|_| has(":")));
        for to in others.filter(|to| !own.iter().any(|own| own.split('/').next() == Some(to))) {
            attempts.extend([format!("{name} {to} icmp"), format!("{name} {to} 22")]);
        }
    }
    let reached = reached(fixture, &attempts)?;
    let mut table = String::new();
    for name in from {
        let to = |how: &str| {
            let fits = |line: &&String| line.starts_with(&format!("{name} ")) && line.ends_with(&format!(" {how}"));
            let address = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
            reached.iter().filter(fits).map(address).collect::<Vec<_>>().join(" ")
        };
        writeln!(table, "{name}: ping {}\n  tcp 22 {}", to("icmp"), to("22")).unwrap();
    }
    Some(table)
}

#[test]
fn everyone_reaches_what_he_may_and_nothing_else() {
    // To: a remote, two LANs, the server's own LAN, the exits, the server, and the internet behind each way out.
    let four = [
        "10.66.0.6",
        "10.66.0.2",
        "192.168.10.5",
        "192.168.20.7",
        "192.168.1.5",
        "10.66.0.4",
        "10.66.0.1",
        "203.0.113.1",
        "198.51.100.1",
        "198.51.100.2",
        "198.51.100.3",
    ];
    let six = ["fd00:66::6", "fd00:10::5", "fd00:66::1", "2001:db8::2", "2001:db8::3"];
    let from = PLACES.map(|(name, _, _)| name);
    let Some(table) = table(&Fixture::everything(), &from, &four, &six) else { return };
    insta::assert_snapshot!(table, @"
    office: ping 10.66.0.6 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:10::5 fd00:66::1
      tcp 22 10.66.0.6 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:10::5 fd00:66::1
    lan10: ping 10.66.0.6 10.66.0.2 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
    lan20: ping 10.66.0.6 10.66.0.2 192.168.10.5 192.168.1.5 10.66.0.4 10.66.0.1
      tcp 22 10.66.0.6 10.66.0.2 192.168.10.5 192.168.1.5 10.66.0.4 10.66.0.1
    alice: ping 10.66.0.2 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:10::5 fd00:66::1
      tcp 22 10.66.0.2 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 fd00:10::5 fd00:66::1
    bob: ping 10.66.0.6 10.66.0.2 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
    carol: ping 10.66.0.6 10.66.0.2 192.168.10.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 192.168.10.5 10.66.0.4 10.66.0.1 fd00:66::6 fd00:66::1
    dave: ping 10.66.0.2 fd00:10::5
      tcp 22 192.168.20.7 fd00:10::5
    frank: ping 10.66.0.6 10.66.0.2 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 203.0.113.1 198.51.100.2 fd00:66::6 fd00:10::5 fd00:66::1 2001:db8::2
      tcp 22 10.66.0.6 10.66.0.2 192.168.10.5 192.168.20.7 192.168.1.5 10.66.0.4 10.66.0.1 203.0.113.1 198.51.100.2 fd00:66::6 fd00:10::5 fd00:66::1 2001:db8::2
    berlin: ping 
      tcp 22 
    tokyo: ping 
      tcp 22 
    home: ping 10.66.0.6 10.66.0.2 192.168.10.5 192.168.20.7 10.66.0.4 10.66.0.1 203.0.113.1 198.51.100.3
      tcp 22 10.66.0.6 10.66.0.2 192.168.10.5 192.168.20.7 10.66.0.4 10.66.0.1 203.0.113.1 198.51.100.3
    wan: ping 192.168.1.5 10.66.0.1 203.0.113.1 fd00:66::1
      tcp 22 192.168.1.5 10.66.0.1 203.0.113.1 fd00:66::1
    ");
}

#[test]
fn grants_open_their_ports_and_name_servers_answer_everyone() {
    let wanted = ["dave 192.168.20.7 22", "dave 10.66.0.1 53", "bob 10.66.0.1 53"];
    let unwanted = ["dave 192.168.20.7 80", "dave 192.168.20.7 icmp", "dave 10.66.0.1 22", "dave 10.66.0.2 53"];
    let attempts: Vec<String> = wanted.iter().chain(&unwanted).map(|attempt| (*attempt).to_owned()).collect();
    let Some(reached) = reached(&Fixture::everything(), &attempts) else { return };
    assert_eq!(reached, wanted);
}

#[test]
fn a_flow_ends_at_once_when_the_right_that_it_stands_on_is_taken_away() {
    // dave may not speak to alice, but answer her. Then she loses the right to speak to him, and has it back.
    let before = Fixture::everything();
    let mut after = Fixture::everything();
    after.node("alice").access = crate::model::Access::Custom;
    let [before, after] = [before, after].map(|fixture| {
        let nodes = compile(&fixture.topology).unwrap();
        ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap())
    });
    let script = network()
        + "talk() { # NAME OWN:PORT OTHER:PORT DESCRIPTOR: what is written to the descriptor is said, what is heard is in /run/NAME
               mkfifo /run/$1.said
               ip netns exec $1 socat - UDP4:$3,bind=$2 </run/$1.said >/run/$1 &
               eval \"exec $4>/run/$1.said\"
               until ip netns exec $1 ss -Hun | grep -q $2; do :; done
           }
           talk alice 10.66.0.6:5000 10.66.0.9:6000 8
           talk dave 10.66.0.9:6000 10.66.0.6:5000 9
           until_heard() { until grep -q $2 /run/$1; do :; done; }
           # Counts what each says as it arrives, before it is judged.
           nft 'add table inet seen; add counter inet seen alice; add counter inet seen dave
               add chain inet seen arrival { type filter hook prerouting priority -500; }
               add rule inet seen arrival udp sport 5000 counter name alice
               add rule inet seen arrival udp sport 6000 counter name dave'
           until_judged() { until nft list counter inet seen $1 | grep -q \"packets $2 \"; do :; done; }
           echo zero >&9; until_judged dave 1
           echo open >&8; until_heard dave open
           echo one >&9; until_heard alice one
           nft -f /etc/wireguard/y.nft
           echo two >&9; until_judged dave 3
           echo lost >&8; until_judged alice 2
           nft -f /etc/wireguard/x.nft
           echo three >&9; until_heard alice three
           echo heard >&8; until_heard dave heard
           cat /run/alice /run/dave";
    let files = [("x.nft", before.as_str()), ("y.nft", after.as_str())];
    let Some(output) = run(&script, &NEEDS, &files) else { return };
    assert_eq!(printed(&output), "one\nthree\nopen\nheard\n");
}

#[test]
fn what_is_granted_until_a_time_ends_then_with_the_flows_that_stand_on_it() {
    // bob may reach a LAN for a while. The time stands in the text for another, which is a few seconds off.
    let far = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
    let mut fixture = Fixture::everything();
    let mut grant: crate::model::Grant = "192.168.20.7 udp 6000".parse().unwrap();
    grant.until = Some(far);
    fixture.node("bob").grants = vec![grant];
    let nodes = compile(&fixture.topology).unwrap();
    let text = ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap());
    assert!(text.contains("meta time < 4000000000 jump until_4000000000"), "{text}");
    let script = network()
        + "mkfifo /run/said
           ip netns exec lan20 socat -u UDP4-RECV:6000 CREATE:/run/heard &
           until ip netns exec lan20 ss -Hlun | grep -q :6000; do :; done
           ip netns exec bob socat - UDP4:192.168.20.7:6000,bind=10.66.0.7:5000 </run/said &
           exec 8>/run/said
           until ip netns exec bob ss -Hun | grep -q 10.66.0.7:5000; do :; done
           end=$(($(date +%s) + 10))
           sed \"s/4000000000/$end/g\" /etc/wireguard/x.nft | nft -f -
           until grep -q open /run/heard 2>/dev/null; do echo open >&8; sleep 0.1; done
           [ $(date +%s) -lt $end ] || echo too slow
           until [ $(date +%s) -gt $end ]; do sleep 0.1; done
           nft 'add table inet seen; add counter inet seen bob
               add chain inet seen arrival { type filter hook prerouting priority -500; }
               add rule inet seen arrival udp sport 5000 counter name bob'
           echo late >&8; until nft list counter inet seen bob | grep -q 'packets 1 '; do :; done
           sort -u /run/heard";
    let Some(output) = run(&script, &NEEDS, &[("x.nft", &text)]) else { return };
    assert_eq!(printed(&output), "open\n");
}

#[test]
fn nobody_outside_the_tunnel_passes_for_somebody_inside() {
    // The internet and an exit send as alice; only she herself is heard.
    let nodes = compile(&Fixture::everything().topology).unwrap();
    let text = ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap());
    let script = network()
        + "ip netns exec office socat -u UDP4-RECV:7000 CREATE:/run/heard &
           until ip netns exec office ss -Hlun | grep -q :7000; do :; done
           for name in wan berlin alice; do
               ip -n $name addr replace 10.66.0.6/32 dev net0
               echo $name | ip netns exec $name socat -u - UDP4-SENDTO:10.66.0.2:7000,bind=10.66.0.6
           done
           until grep -q alice /run/heard; do :; done
           cat /run/heard";
    let Some(output) = run(&script, &NEEDS, &[("x.nft", &text)]) else { return };
    assert_eq!(printed(&output), "alice\n");
}

#[test]
fn a_server_without_an_exit_node_carries_the_internet_of_those_who_leave_by_it() {
    let mut fixture = Fixture::everything();
    let hub = fixture.node("hub").id;
    fixture.node("alice").exit = Some(hub.into());
    // The internet by the server's own way out and its own public address; not what lies behind others' exits.
    let wanted = [
        "alice 198.51.100.3 22",
        "alice 2001:db8::3 22",
        "alice 198.51.100.3 icmp",
        "alice 203.0.113.1 22",
        "alice 192.168.1.5 22",
        "frank 198.51.100.2 22",
    ];
    let unwanted = ["frank 198.51.100.3 22", "bob 198.51.100.3 22", "wan 10.66.0.6 22", "bob 2001:db8::3 22"];
    let attempts: Vec<String> = wanted.iter().chain(&unwanted).map(|attempt| (*attempt).to_owned()).collect();
    let Some(reached) = reached(&fixture, &attempts) else { return };
    assert_eq!(reached, wanted);
}

/// A rule for some destinations, and some ports with TCP.
fn rule(destinations: &[&str], ports: &str, action: RuleAction) -> ExitRule {
    let ports: Vec<PortRange> = ports.split(',').filter(|text| !text.is_empty()).map(|t| t.parse().unwrap()).collect();
    ExitRule {
        destinations: destinations.iter().map(|text| text.parse().unwrap()).collect(),
        protocol: if ports.is_empty() { Protocol::Any } else { Protocol::Tcp },
        ports,
        action,
    }
}

#[test]
fn rules_send_a_packet_by_where_it_leads_and_what_none_fits_as_assigned() {
    let mut fixture = Fixture::everything();
    let [hub, berlin, tokyo] = ["hub", "berlin", "tokyo"].map(|name| fixture.node(name).id);
    // Behind each way out is a host of the internet: 1 behind berlin, 2 behind tokyo, 3 behind the server.
    fixture.node("frank").exit_rules = vec![
        rule(&["198.51.100.1", "2001:db8::1"], "", RuleAction::Exit(berlin)),
        rule(&["198.51.100.3", "2001:db8::3"], "20-22,53", RuleAction::Direct),
        rule(&["198.51.100.2"], "80", RuleAction::Block),
    ];
    fixture.node("bob").exit_rules = vec![rule(&["198.51.100.3"], "", RuleAction::Direct)];
    let carol = fixture.node("carol");
    (carol.exit, carol.exit_rules) = (Some(hub.into()), vec![rule(&["198.51.100.2"], "", RuleAction::Exit(tokyo))]);
    let wanted = [
        "frank 198.51.100.1 22",
        "frank 198.51.100.1 icmp",
        "frank 2001:db8::1 22",
        "frank 198.51.100.3 22",
        "frank 198.51.100.3 53",
        "frank 2001:db8::3 22",
        "frank 198.51.100.2 22",
        "frank 198.51.100.2 icmp",
        "frank 2001:db8::2 22",
        "frank 203.0.113.1 22",
        "frank 10.66.0.2 22",
        "bob 198.51.100.3 22",
        "bob 198.51.100.3 icmp",
        "carol 198.51.100.2 22",
        "carol 198.51.100.3 22",
        "carol 203.0.113.1 22",
    ];
    let unwanted = [
        "frank 198.51.100.2 80",
        "frank 198.51.100.3 80",
        "frank 198.51.100.3 icmp",
        "frank 2001:db8::3 80",
        "frank 192.168.1.77 22",
        "bob 198.51.100.1 22",
        "bob 198.51.100.2 22",
        "bob 203.0.113.1 22",
        "carol 198.51.100.1 22",
        "alice 198.51.100.1 22",
        "alice 198.51.100.3 22",
        "wan 10.66.0.11 22",
        "berlin 10.66.0.11 22",
    ];
    let attempts: Vec<String> = wanted.iter().chain(&unwanted).map(|attempt| (*attempt).to_owned()).collect();
    let Some(reached) = reached(&fixture, &attempts) else { return };
    assert_eq!(reached, wanted);
}

#[test]
fn a_new_rule_ends_flows_that_it_blocks_in_both_directions() {
    // carol's traffic leaves at the server; then the host that she speaks with is blocked, and then it isn't.
    let ruleset_with = |rules: Vec<ExitRule>| {
        let mut fixture = Fixture::everything();
        let hub = fixture.node("hub").id;
        let carol = fixture.node("carol");
        (carol.exit, carol.exit_rules) = (Some(hub.into()), rules);
        let nodes = compile(&fixture.topology).unwrap();
        ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap())
    };
    let open = ruleset_with(vec![rule(&["192.0.2.0/24"], "", RuleAction::Direct)]);
    let shut = ruleset_with(vec![rule(&["198.51.100.3"], "", RuleAction::Block)]);
    let script = network()
        + "mkfifo /run/carol.said /run/wan.said
           ip netns exec wan socat UDP4-LISTEN:7000,reuseaddr - </run/wan.said >/run/wan &
           exec 9>/run/wan.said
           until ip netns exec wan ss -Hlun | grep -q :7000; do :; done
           ip netns exec carol socat - UDP4:198.51.100.3:7000,bind=10.66.0.8:7001 </run/carol.said >/run/carol &
           exec 8>/run/carol.said
           until ip netns exec carol ss -Hun | grep -q 10.66.0.8:7001; do :; done
           nft 'add table inet seen; add counter inet seen wan
               add chain inet seen arrival { type filter hook prerouting priority -500; }
               add rule inet seen arrival iifname eth0 udp sport 7000 counter name wan'
           until_heard() { until grep -q $2 /run/$1; do :; done; }
           until_judged() { until nft list counter inet seen wan | grep -q \"packets $1 \"; do :; done; }
           echo one >&8; until_heard wan one
           echo two >&9; until_heard carol two
           nft -f /etc/wireguard/y.nft
           echo lost >&9; until_judged 2
           nft -f /etc/wireguard/x.nft
           echo three >&9; until_heard carol three
           cat /run/carol";
    let files = [("x.nft", open.as_str()), ("y.nft", shut.as_str())];
    let Some(output) = run(&script, &NEEDS, &files) else { return };
    assert_eq!(printed(&output), "two\nthree\n");
}

#[test]
fn a_flow_that_a_rule_moves_to_the_server_leaves_nothing_with_its_own_address() {
    let ruleset_with = |to: &str| {
        let mut fixture = Fixture::everything();
        fixture.node("frank").exit_rules = vec![rule(&[to], "", RuleAction::Direct)];
        let nodes = compile(&fixture.topology).unwrap();
        ruleset(nodes[0].interfaces[0].firewall.as_ref().unwrap())
    };
    let (by_exit, by_server) = (ruleset_with("192.0.2.0/24"), ruleset_with("198.51.100.2"));
    let script = network()
        + "mkfifo /run/frank.said /run/tokyo.said
           ip netns exec tokyo socat UDP4-LISTEN:7000,bind=198.51.100.2,reuseaddr - </run/tokyo.said >/run/tokyo &
           exec 9>/run/tokyo.said
           until ip netns exec tokyo ss -Hlun | grep -q :7000; do :; done
           ip netns exec frank socat - UDP4:198.51.100.2:7000,bind=10.66.0.11:7001 </run/frank.said >/run/frank &
           exec 8>/run/frank.said
           until ip netns exec frank ss -Hun | grep -q 10.66.0.11:7001; do :; done
           nft 'add table inet seen; add counter inet seen here; add counter inet seen gone; add counter inet seen other
               add chain inet seen arrival { type filter hook prerouting priority -500; }
               add rule inet seen arrival iifname wg0 udp sport 7001 counter name here
               add chain inet seen leaving { type filter hook postrouting priority 500; }
               add rule inet seen leaving oifname eth0 ip saddr 10.66.0.11 counter name gone
               add rule inet seen leaving oifname eth0 udp dport 7002 counter name other'
           until_heard() { until grep -q $2 /run/$1; do :; done; }
           until_counted() { until nft list counter inet seen $1 | grep -q \"packets $2 \"; do :; done; }
           echo one >&8; until_heard tokyo one
           echo two >&9; until_heard frank two
           nft -f /etc/wireguard/y.nft
           echo lost >&8; until_counted here 2
           # A flow that begins now does leave, as the server.
           echo new | ip netns exec frank socat -u - UDP4-SENDTO:198.51.100.2:7002; until_counted other 1
           nft list counter inet seen gone | grep packets";
    let files = [("x.nft", by_exit.as_str()), ("y.nft", by_server.as_str())];
    let Some(output) = run(&script, &NEEDS, &files) else { return };
    assert_eq!(printed(&output).trim(), "packets 0 bytes 0");
}

#[test]
fn with_very_many_grants_everyone_reaches_what_he_does_with_few() {
    let grants = |grants: &[&str]| grants.iter().map(|grant| grant.parse().unwrap()).collect::<Vec<_>>();
    let own = grants(&["192.168.20.7 tcp 22", "192.168.10.0/24 icmp", "10.66.0.2", "fd00:10::5 tcp 20-30"]);
    let mut few = Fixture::everything();
    few.node("dave").grants = own.clone();
    let mut many = Fixture::everything();
    many.node("dave").grants = own;
    for number in 0..100 {
        let guest = many.add(&format!("guest-{number}"), Role::Remote);
        guest.access = Access::Custom;
        guest.grants = grants(&["192.168.20.7 tcp 80", "192.168.10.5 icmp", "fd00:10::5", "10.66.0.2 tcp 1-100"]);
    }
    let text = ruleset(compile(&many.topology).unwrap()[0].interfaces[0].firewall.as_ref().unwrap());
    assert!(text.contains("chain share_"), "they are many");
    let four = ["192.168.20.7", "192.168.10.5", "10.66.0.2", "10.66.0.6"];
    let mut attempts = Vec::new();
    for from in ["dave", "carol", "bob"] {
        for to in four.into_iter().chain(["fd00:10::5", "fd00:66::2"]) {
            attempts.extend(["icmp", "22", "53", "80"].map(|how| format!("{from} {to} {how}")));
        }
    }
    let Some(expected) = reached(&few, &attempts) else { return };
    assert!(expected.iter().any(|attempt| attempt.starts_with("dave 192.168.20.7 22")), "{expected:?}");
    assert!(!expected.iter().any(|attempt| attempt.starts_with("dave 192.168.20.7 80")), "{expected:?}");
    assert_eq!(reached(&many, &attempts), Some(expected));
}

/// Lets a node reach the network and these LANs, or parts of them.
fn select(node: &mut Node, lans: &[&str]) {
    node.access = Access::LanOnly;
    node.lan_selection = lans.iter().map(|lan| lan.parse().unwrap()).collect();
}

#[test]
fn whoever_has_lan_only_reaches_the_lans_of_his_own_list() {
    let mut fixture = Fixture::everything();
    select(fixture.node("hub"), &["192.168.10.0/24"]);
    select(fixture.node("office"), &["192.168.20.0/24"]);
    select(fixture.node("alice"), &["192.168.1.0/24", "192.168.10.0/24", "192.168.10.5/32", "192.168.20.4/30"]);
    select(fixture.node("bob"), &[]);
    select(fixture.node("dave"), &["192.168.20.7/32", "fd00:10::/64"]);
    let parts: Vec<String> = (8..20).map(|part| format!("192.168.20.{}/30", 4 * part)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).chain(["192.168.10.5/32"]).collect();
    select(fixture.node("frank"), &parts);
    let text = ruleset(compile(&fixture.topology).unwrap()[0].interfaces[0].firewall.as_ref().unwrap());
    assert!(text.contains("set lans_"), "one of the lists is long");
    let from = ["home", "lan10", "alice", "bob", "carol", "dave", "frank"];
    let four = ["10.66.0.6", "10.66.0.2", "10.66.0.1", "192.168.10.5", "192.168.20.7", "192.168.1.5", "198.51.100.2"];
    let Some(table) = table(&fixture, &from, &four, &["fd00:66::2", "fd00:66::1", "fd00:10::5"]) else { return };
    insta::assert_snapshot!(table, @"
    home: ping 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5
    lan10: ping 10.66.0.6 10.66.0.2 10.66.0.1 192.168.20.7 fd00:66::2 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 192.168.20.7 fd00:66::2 fd00:66::1
    alice: ping 10.66.0.2 10.66.0.1 192.168.10.5 192.168.20.7 192.168.1.5 fd00:66::2 fd00:66::1
      tcp 22 10.66.0.2 10.66.0.1 192.168.10.5 192.168.20.7 192.168.1.5 fd00:66::2 fd00:66::1
    bob: ping 10.66.0.6 10.66.0.2 10.66.0.1 fd00:66::2 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 fd00:66::2 fd00:66::1
    carol: ping 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5 fd00:66::2 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5 fd00:66::2 fd00:66::1
    dave: ping 10.66.0.6 10.66.0.2 10.66.0.1 192.168.20.7 fd00:66::2 fd00:66::1 fd00:10::5
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 192.168.20.7 fd00:66::2 fd00:66::1 fd00:10::5
    frank: ping 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5 198.51.100.2 fd00:66::2 fd00:66::1
      tcp 22 10.66.0.6 10.66.0.2 10.66.0.1 192.168.10.5 198.51.100.2 fd00:66::2 fd00:66::1
    ");
}

#[test]
fn with_very_many_lists_of_lans_everyone_reaches_what_he_does_with_few() {
    let few = Fixture::everything();
    let mut many = Fixture::everything();
    for number in 0..140 {
        let own = format!("192.168.20.{number}/32");
        select(many.add(&format!("guest-{number}"), Role::Remote), &["192.168.10.0/24", &own, "fd00:10::/64"]);
    }
    let text = ruleset(compile(&many.topology).unwrap()[0].interfaces[0].firewall.as_ref().unwrap());
    assert_eq!(text.matches("chain lans_").count(), 142, "one each, carol's and one of IPv6");
    let mut attempts = Vec::new();
    for from in ["dave", "carol", "bob"] {
        for to in ["192.168.20.7", "192.168.10.5", "10.66.0.2", "fd00:10::5", "fd00:66::2"] {
            attempts.extend(["icmp", "22"].map(|how| format!("{from} {to} {how}")));
        }
    }
    for from in ["lan10 10.66.0.8", "lan20 10.66.0.8"] {
        attempts.extend(["icmp", "22"].map(|how| format!("{from} {how}")));
    }
    let Some(expected) = reached(&few, &attempts) else { return };
    let tells = |attempt: &str| expected.iter().any(|line| line == attempt);
    assert!(tells("carol 192.168.10.5 22") && !tells("carol 192.168.20.7 22"), "{expected:?}");
    assert_eq!(reached(&many, &attempts), Some(expected));
}
