//! Hooks that become others while the interface runs.

use proptest::prelude::*;

use super::*;

fn wg0() -> InterfaceName {
    "wg0".parse().unwrap()
}

fn hooks(text: &str) -> Vec<Hook> {
    let hook = |line: &str| {
        let (key, command) = line.trim().split_once(" = ")?;
        let phase = Phase::ALL.iter().copied().find(|phase| phase.as_str() == key)?;
        Some(Hook { phase, command: command.to_owned() })
    };
    text.lines().filter_map(hook).collect()
}

/// What is run, a line each; or why that can't be.
fn told(deployed: &str, wanted: &str) -> String {
    told_found(deployed, deployed, wanted)
}

fn told_found(deployed: &str, found: &str, wanted: &str) -> String {
    let live = live(&hooks(deployed), Some(&hooks(found)), &hooks(wanted), &wg0());
    if let Some(stuck) = live.stuck {
        return format!("restart: `{}`: {}\n", stuck.text, stuck.why);
    }
    let mut text = String::new();
    for step in live.steps {
        let sign = if step.sets_up { '+' } else { '-' };
        match step.work {
            Work::Sysctl { key, value } => text.push_str(&format!("{sign} {key} = {value}\n")),
            Work::Commands { there, run, undo } => {
                let all = |runs: &[Run]| {
                    let one =
                        |run: &Run| format!("{}{}", run.words.join(" "), if run.may_fail { " (or not)" } else { "" });
                    runs.iter().map(one).collect::<Vec<_>>().join("; ")
                };
                let asked = there.map_or(String::new(), |words| format!(" asked by {}", words.join(" ")));
                text.push_str(&format!("{sign} {}{asked}\n  back: {}\n", all(&run), all(&undo)));
            }
        }
    }
    text
}

const PAIR: &str = "PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE";

#[test]
fn a_pair_comes_and_goes_by_its_own_commands() {
    insta::assert_snapshot!(told("", PAIR), @"
    + iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE asked by iptables -t nat -C POSTROUTING -o eth0 -j MASQUERADE
      back: iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE
    ");
    insta::assert_snapshot!(told(PAIR, ""), @"
    - iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE asked by iptables -t nat -C POSTROUTING -o eth0 -j MASQUERADE
      back: iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
    ");
}

#[test]
fn what_only_moved_or_is_written_otherwise_runs_nothing() {
    let two = "PostUp = iptables -A FORWARD -i wg0 -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT
        PostUp = /root/up.sh   now
        PostDown = iptables -D FORWARD -i wg0 -j ACCEPT; iptables -D FORWARD -o wg0 -j ACCEPT";
    let same = "PostUp = /root/up.sh \"now\"
        PostDown = iptables -D FORWARD -o wg0 -j ACCEPT ; iptables -D FORWARD -i wg0 -j ACCEPT || true
        PreUp = iptables --append FORWARD --in-interface %i --jump ACCEPT # in
        PostUp = iptables -A FORWARD   -j ACCEPT -o %i";
    assert_eq!(told(two, same), "");
    assert_eq!(told(two, two), "");
}

#[test]
fn what_nobody_can_tell_needs_a_restart_and_only_when_it_changes() {
    let script = format!("PostUp = /root/up.sh\n{PAIR}");
    insta::assert_snapshot!(told(PAIR, &script), @"restart: `/root/up.sh`: nobody can tell what it does");
    insta::assert_snapshot!(told(&script, PAIR), @"restart: `/root/up.sh`: nobody can tell what it does");
    assert!(told("PostUp = /root/up.sh", &script).starts_with("+ iptables"));
    insta::assert_snapshot!(told("", "PostUp = test -e /x && iptables -A FORWARD -i wg0 -j ACCEPT"), @"restart: `test -e /x`: whether it runs depends on another command");
    insta::assert_snapshot!(told("", "PostUp = nft -f /etc/wireguard/extra.nft"), @"restart: `nft -f /etc/wireguard/extra.nft`: nothing takes back what it sets up");
    // What runs when the interface goes down is for then.
    assert_eq!(told("", "PostDown = /root/down.sh"), "");
}

#[test]
fn settings_of_the_kernel_come_and_stay() {
    assert_eq!(told("", "PostUp = sysctl -q -w net.ipv4.ip_forward=1"), "+ net.ipv4.ip_forward = 1\n");
    assert_eq!(told("PostUp = sysctl -w net.ipv4.ip_forward=1", ""), "");
    assert_eq!(
        told("PostUp = sysctl -w net.core.rmem_max=1", "PostUp = sysctl -qw net.core.rmem_max=2"),
        "+ net.core.rmem_max = 2\n"
    );
}

#[test]
fn what_has_no_inverse_of_its_own_gets_one() {
    insta::assert_snapshot!(told("", "PostUp = iptables -I FORWARD 1 -i %i -j ACCEPT"), @"
    + iptables -I FORWARD 1 -i wg0 -j ACCEPT asked by iptables -C FORWARD -i wg0 -j ACCEPT
      back: iptables -D FORWARD -i wg0 -j ACCEPT
    ");
    insta::assert_snapshot!(told("PostUp = ip rule add from 10.0.0.0/8 table 200", ""), @"
    - ip rule del from 10.0.0.0/8 table 200 (or not)
      back: ip rule add from 10.0.0.0/8 table 200
    ");
    assert_eq!(inverse("iptables -A INPUT -i %i -j ACCEPT", &wg0()).unwrap(), "iptables -D INPUT -i wg0 -j ACCEPT");
    assert_eq!(inverse("/root/x", &wg0()), None);
}

#[test]
fn a_rule_that_moves_to_the_front_goes_before_it_comes() {
    insta::assert_snapshot!(told("PostUp = iptables -A FORWARD -i wg0 -j ACCEPT", "PostUp = iptables -I FORWARD -i wg0 -j ACCEPT"), @"
    - iptables -D FORWARD -i wg0 -j ACCEPT (or not)
      back: iptables -A FORWARD -i wg0 -j ACCEPT
    + iptables -I FORWARD -i wg0 -j ACCEPT
      back: iptables -D FORWARD -i wg0 -j ACCEPT
    ");
}

#[test]
fn routes_and_addresses_of_the_interface_come_with_its_own() {
    let plain = "PostUp = ip route add 10.9.0.0/24 dev %i\nPostUp = ip addr add 10.9.0.1/32 dev %i";
    assert_eq!(told("", plain), "");
    assert_eq!(told(plain, ""), "");
    let made = makes(&hooks(plain), &wg0());
    assert_eq!(
        (made.routes[0].to_string(), made.addresses[0].to_string()),
        ("10.9.0.0/24".into(), "10.9.0.1/32".into())
    );
    let metric = "PostUp = ip route add 10.9.0.0/24 dev wg0 metric 50";
    assert!(told("", metric).starts_with("+ ip route add 10.9.0.0/24 dev wg0 metric 50\n"));
    assert_eq!(live(&[], None, &hooks(metric), &wg0()).made, makes(&hooks(metric), &wg0()));
    let via = "PostUp = ip route add 10.9.0.0/24 via 192.0.2.1 dev eth0\nPostDown = ip route del 10.9.0.0/24";
    insta::assert_snapshot!(told(via, ""), @"
    - ip route del 10.9.0.0/24 (or not)
      back: ip route add 10.9.0.0/24 via 192.0.2.1 dev eth0
    ");
}

#[test]
fn a_hook_that_somebody_changed_in_the_file_is_told_and_asked_for() {
    let other = "PostUp = iptables -A INPUT -j ACCEPT";
    let both = format!("{PAIR}\n{other}");
    insta::assert_snapshot!(told_found(PAIR, &both, PAIR), @"
    - iptables -D INPUT -j ACCEPT asked by iptables -C INPUT -j ACCEPT
      back: iptables -A INPUT -j ACCEPT
    ");
    insta::assert_snapshot!(told_found(PAIR, "", PAIR), @"
    + iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE asked by iptables -t nat -C POSTROUTING -o eth0 -j MASQUERADE
      back: iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE
    ");
    assert_eq!(told_found(PAIR, "PostUp = /root/x.sh", "PostUp = /root/x.sh"), told(PAIR, "PostUp = /root/x.sh"));
    let found = live(&hooks(PAIR), Some(&hooks(&both)), &hooks(PAIR), &wg0());
    assert_eq!(found.differing.len(), 1);
    assert!(found.differing[0].drifted && !found.differing[0].new);
    // A script that somebody wrote into the file didn't run: the file is mended, and that is all.
    assert_eq!(told_found(PAIR, &format!("{PAIR}\nPostUp = /root/x.sh"), PAIR), "");
}

const LINES: &[&str] = &[
    "PostUp = iptables -A FORWARD -i %i -j ACCEPT",
    "PostUp = iptables -I FORWARD -o wg0 -j ACCEPT",
    "PostUp = ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
    "PostDown = iptables -D FORWARD -i wg0 -j ACCEPT",
    "PostUp = sysctl -w net.ipv4.ip_forward=1",
    "PostUp = ip rule add fwmark 7 table 9",
    "PreDown = ip rule del table 9",
    "PostUp = ip route add 10.8.0.0/24 dev wg0",
    "PostUp = logger up; true",
    "PostUp = /root/x.sh",
    "PreUp = echo $(id) > /tmp/x",
    "PostUp = nft add table ip x",
    "PostDown = nft delete table ip x",
];

proptest! {
    #[test]
    fn the_same_hooks_in_any_order_run_nothing(order in Just((0..LINES.len()).collect::<Vec<_>>()).prop_shuffle(),
                                                count in 0..LINES.len()) {
        let picked: Vec<&str> = order.iter().take(count).map(|at| LINES[*at]).collect();
        let mut sorted = picked.clone();
        sorted.sort_unstable();
        let live = live(&hooks(&picked.join("\n")), None, &hooks(&sorted.join("\n")), &wg0());
        prop_assert!(live.steps.is_empty() && live.stuck.is_none() && live.differing.is_empty());
    }

    /// Going there and back runs as much down as up: nothing is left over.
    #[test]
    fn there_and_back_is_the_same_as_nothing(from in prop::collection::btree_set(0..LINES.len(), 0..8),
                                             to in prop::collection::btree_set(0..LINES.len(), 0..8)) {
        let lines = |all: &std::collections::BTreeSet<usize>| hooks(&all.iter().map(|at| LINES[*at]).collect::<Vec<_>>().join("\n"));
        let (from, to) = (lines(&from), lines(&to));
        let (there, back) = (live(&from, None, &to, &wg0()), live(&to, None, &from, &wg0()));
        prop_assert_eq!(there.stuck.is_some(), back.stuck.is_some());
        let rules = |live: &Live, up: bool| live.steps.iter().filter(|s| s.sets_up == up && s.text.contains("tables")).count();
        prop_assert_eq!(rules(&there, true), rules(&back, false));
    }

    #[test]
    fn no_text_makes_it_panic(a in "[ -~]{0,60}", b in "[ -~]{0,60}") {
        let hook = |command: &str| vec![Hook { phase: Phase::PostUp, command: command.to_owned() }];
        let _ = live(&hook(&a), Some(&hook(&b)), &hook(&b), &wg0());
        let _ = inverse(&a, &wg0());
    }
}
