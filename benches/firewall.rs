//! What a server's firewall costs a packet when the network has ten nodes, and when it has ten thousand: the same packets
//! over the same path, in turn in one run.
//!
//! Between two hosts of the lab stands a server with the real ruleset. Its `wg0` is one end of a virtual Ethernet cable, so
//! that what a userspace WireGuard costs hides nothing. Needs the lab (see `./lab`) and `iperf3`, so root.
//! `cargo bench --bench firewall -- ROUNDS` measures that often; the default is 11. A word, such as `lan-only`, leaves out
//! the cases whose names don't contain it.

#[expect(dead_code, reason = "the other bench uses all of it")]
mod network;

use serde_json::Value;
use wg_friend::model::{NodeId, Topology};
use wg_friend::wg::compile::compile;
use wg_friend::wg::firewall;
use wg_friend_lab::{Error, Lab, Result, Spec};

/// How many nodes.
const SIZES: [usize; 2] = [10, 10_000];
/// At most so much less may pass in the larger network.
const BOUND: f64 = 0.05;
/// Seconds that one measurement takes.
const SECONDS: u32 = 1;
/// Where iperf3 listens.
const PORT: u16 = 5201;

/// What is measured: one device's packets to one address.
struct Case {
    /// The device's access, and what it sends.
    name: &'static str,
    from: &'static str,
    to: &'static str,
    /// Whether small UDP packets, not a bulk of TCP, are sent.
    small: bool,
}

/// The devices are there in both sizes: 5 has vpn-only, 6 lan-only, 7 custom, 8 is whom they ask beside the server's LAN.
const CASES: [Case; 7] = [
    Case { name: "vpn-only, TCP", from: "10.64.0.5", to: "10.64.0.8", small: false },
    Case { name: "vpn-only, small UDP", from: "10.64.0.5", to: "10.64.0.8", small: true },
    Case { name: "vpn-only, small UDP, IPv6", from: "fd00:64::5", to: "fd00:64::8", small: true },
    Case { name: "lan-only, small UDP", from: "10.64.0.6", to: "192.168.0.8", small: true },
    Case { name: "custom, TCP", from: "10.64.0.7", to: "192.168.0.8", small: false },
    Case { name: "custom, small UDP", from: "10.64.0.7", to: "192.168.0.8", small: true },
    Case { name: "custom, small UDP, IPv6", from: "fd00:64::7", to: "fd00:64::8", small: true },
];

fn main() -> Result {
    if let Err(reason) = Lab::available() {
        println!("skipped: no lab on this machine: {reason}");
        return Ok(());
    }
    // Cargo gives options of its own to every bench; a number and a word are ours.
    let words = || std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let rounds = words().find_map(|word| word.parse().ok()).unwrap_or(11);
    let wanted = words().find(|word| word.parse::<usize>().is_err()).unwrap_or_default();
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name.contains(&wanted)).collect();
    let lab = lab()?;
    if !lab.host("from").run("command -v iperf3")?.success() {
        println!("skipped: iperf3 is not installed");
        return Ok(());
    }
    for size in SIZES {
        lab.host("hub").write(&format!("/root/{size}.nft"), ruleset(size))?;
    }
    println!(
        "by second of processor time, median of {rounds} rounds, both networks in turn; least and most in brackets:"
    );
    let missed = cases.iter().map(|case| measure(&lab, case, rounds)).collect::<Result<Vec<bool>>>()?;
    let missed = missed.into_iter().filter(|missed| *missed).count();
    println!("{} of {} within {:.0} %", cases.len() - missed, cases.len(), BOUND * 100.0);
    Ok(())
}

/// Three hosts and two cables: `from` to the server's `wg0`, and the server's `eth1` to `to`.
fn lab() -> Result<Lab> {
    let spec = "network office 198.51.100.0/24\nhost hub office:1 forward\nhost from office:2\nhost to office:3\n";
    let lab = Lab::up(&spec.parse::<Spec>()?)?;
    let [hub, from, to] = ["hub", "from", "to"].map(|name| lab.host(name));
    let cable = |end: &str, other: &wg_friend_lab::Host<'_>| -> Result {
        let (one, two) = (hub.init()?.id.to_string(), other.init()?.id.to_string());
        let words = ["link", "add", end, "netns", &one, "type", "veth", "peer", "name", "cable", "netns", &two];
        let done = std::process::Command::new("ip").args(words).status()?;
        if done.success() { Ok(()) } else { Err(Error::Failed(format!("a cable from {end}: {done}"))) }
    };
    cable("wg0", &from)?;
    cable("eth1", &to)?;
    hub.sh("set -e
        ip address add 10.64.0.1/16 dev wg0; ip address add fd00:64::1/64 dev wg0 nodad; ip link set wg0 up
        ip address add 192.168.0.1/24 dev eth1; ip address add fd00:192::1/64 dev eth1 nodad; ip link set eth1 up
        ip route add 10.64.0.8 via 192.168.0.8; ip -6 route add fd00:64::8 via fd00:192::8")?;
    from.sh("set -e
        ip link set cable up
        for n in 5 6 7; do ip address add 10.64.0.$n/16 dev cable; ip address add fd00:64::$n/64 dev cable nodad; done
        ip route add 10.64.0.8 via 10.64.0.1; ip route add 192.168.0.0/24 via 10.64.0.1
        ip -6 route add fd00:64::8 via fd00:64::1")?;
    to.sh("set -e
        ip address add 192.168.0.8/24 dev cable; ip address add fd00:192::8/64 dev cable nodad; ip link set cable up
        ip address add 10.64.0.8/32 dev lo; ip address add fd00:64::8/128 dev lo nodad
        ip route add 10.64.0.0/16 via 192.168.0.1; ip -6 route add fd00:64::/64 via fd00:192::1
        for address in 10.64.0.8 192.168.0.8 fd00:64::8; do iperf3 --server --daemon --bind $address; done")?;
    // A tunnel has no neighbours to look for, and the ruleset lets nobody look.
    let address = |host: &wg_friend_lab::Host<'_>, card: &str| host.sh(&format!("cat /sys/class/net/{card}/address"));
    let (wg0, cable) = (address(&hub, "wg0")?, address(&from, "cable")?);
    from.sh(&format!("ip neigh add fd00:64::1 lladdr {} dev cable", wg0.trim()))?;
    hub.sh(&format!("for n in 5 6 7; do ip neigh add fd00:64::$n lladdr {} dev wg0; done", cable.trim()))?;
    Ok(lab)
}

/// The server's ruleset in a network of so many nodes, in which one device out of four has grants of its own.
fn ruleset(size: usize) -> String {
    let mut topology: Topology = network::topology(size);
    for node in topology.nodes.iter_mut().filter(|node| !node.grants.is_empty()) {
        node.grants.push("fd00:64::8/128 tcp 22,443,8000-8999".parse().expect("a grant"));
    }
    let asker = topology.nodes.iter_mut().find(|node| node.id == NodeId(7)).expect("there are more than seven");
    for to in ["192.168.0.0/24", "fd00:64::8/128"] {
        for how in ["tcp", "udp"] {
            asker.grants.push(format!("{to} {how} {PORT}").parse().expect("a grant"));
        }
    }
    let compiled = compile(&topology).expect("the network is in order");
    firewall::ruleset(compiled[0].interfaces[0].firewall.as_ref().expect("a server has one"))
}

/// Measures one case in turn with both networks. Whether the larger one costs more than it may.
fn measure(lab: &Lab, case: &Case, rounds: usize) -> Result<bool> {
    let mut passed: [Vec<f64>; 2] = Default::default();
    for round in 0..rounds {
        // Whoever is first in one round is second in the next.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for at in order {
            lab.host("hub").sh(&format!("nft -f /root/{}.nft", SIZES[at]))?;
            passed[at].push(one(lab, case)?);
        }
    }
    let mut ratios: Vec<f64> = passed[1].iter().zip(&passed[0]).map(|(large, small)| large / small).collect();
    let ratio = median(&mut ratios);
    let missed = ratio < 1.0 - BOUND;
    let unit = if case.small { "packets" } else { "Mbit" };
    let shown = passed.each_mut().map(|values| {
        let middle = median(values);
        format!("{middle:9.0} [{:.0} .. {:.0}]", values[0], values[values.len() - 1])
    });
    println!(
        "  {:<26} {} nodes {}   {} nodes {} {unit}   {:.3} ×{}",
        case.name,
        SIZES[0],
        shown[0],
        SIZES[1],
        shown[1],
        ratio,
        if missed { "  MISSED" } else { "" }
    );
    Ok(missed)
}

/// Sends for a while. Returns packets, or megabits of TCP, by second of processor time.
///
/// The kernel forwards a packet in the name of whoever sends it, and TCP's answers in the name of whoever receives: their
/// time is all that the way costs, however much else the machine does meanwhile.
fn one(lab: &Lab, case: &Case) -> Result<f64> {
    let Case { from, to, .. } = case;
    let how = if case.small { "--udp --bandwidth 0 --length 64" } else { "" };
    let line = format!("iperf3 --client {to} --bind {from} --time {SECONDS} --connect-timeout 5000 --json {how}");
    let output = lab.host("from").run(&line)?;
    let said: Value = serde_json::from_str(&output.stdout).map_err(|e| Error::Failed(format!("iperf3: {e}")))?;
    let end = &said["end"];
    let number = |value: &Value| value.as_f64().filter(|number| *number > 0.0);
    let used = &end["cpu_utilization_percent"];
    let part = |ends: &[&str]| ends.iter().map(|name| number(&used[*name])).sum::<Option<f64>>();
    let (sent, seconds, percent) = if case.small {
        (number(&end["sum"]["packets"]), number(&end["sum"]["seconds"]), part(&["host_total"]))
    } else {
        let sum = &end["sum_received"];
        (
            number(&sum["bytes"]).map(|bytes| bytes * 8e-6),
            number(&sum["seconds"]),
            part(&["host_total", "remote_total"]),
        )
    };
    let by_second = sent.zip(seconds).zip(percent).map(|((sent, seconds), percent)| sent / (seconds * percent / 100.0));
    // Whatever is lost on the way doesn't count, but something has to arrive.
    let lost = number(&end["sum"]["lost_percent"]).is_some_and(|percent| percent > 99.9);
    by_second.filter(|_| !lost).ok_or_else(|| Error::Failed(format!("{from} to {to}: {}", output.stdout)))
}

/// Sorts, and returns what is in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}
