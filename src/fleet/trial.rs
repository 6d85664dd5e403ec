//! Trying on hosts what the model says about them: one connection from one host, and counting its packets on others.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::model::{InterfaceName, Port, Protocol, PublicKey};

use super::scripts::{ANSWER, boundary, quote};
use super::{Answer, AnswerError, Script};

const TRY: &str = include_str!("../../templates/host/try.sh");
const SHAKES: &str = include_str!("../../templates/host/shakes.sh");
const WATCH: &str = include_str!("../../templates/host/watch.sh");

/// One connection to try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whom to ask.
    pub to: IpAddr,
    /// By what.
    pub protocol: Protocol,
    /// With TCP and UDP.
    pub port: Option<Port>,
    /// From which address; `None` lets the kernel choose.
    pub source: Option<IpAddr>,
    /// The host of a LAN for which to ask: the asking host then takes its own address there.
    pub behind: Option<IpAddr>,
    /// Seconds to wait first, until others watch.
    pub wait: u32,
    /// Peers whose latest handshakes are wanted.
    pub peers: Vec<(InterfaceName, PublicKey)>,
}

/// What came of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The address it was sent from, where one was asked for.
    pub source: Option<IpAddr>,
    /// `answered`, or the number of the error (errno(3)) and its words.
    pub said: String,
    /// Seconds since each peer's latest handshake; `None` is never.
    pub shakes: Vec<Option<u64>>,
}

/// A flow to count.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Who asks, as packets on this host name it.
    pub source: IpAddr,
    /// Who is asked.
    pub to: IpAddr,
    /// By what.
    pub protocol: Protocol,
    /// With TCP and UDP.
    pub port: Option<Port>,
    /// For how long.
    pub seconds: u32,
    /// Peers whose latest handshakes are wanted.
    pub peers: Vec<(InterfaceName, PublicKey)>,
}

/// Packets of a flow on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Whether the host could count.
    pub counts: bool,
    /// That came to it, or that it made.
    pub came: u64,
    /// That it kept for itself after judging them.
    pub kept: u64,
    /// That it sent on.
    pub sent: u64,
    /// Answers that came to it, or that it made.
    pub answered: u64,
    /// Answers that it sent on or kept.
    pub returned: u64,
    /// Seconds since each peer's latest handshake; `None` is never.
    pub shakes: Vec<Option<u64>>,
}

fn peers(peers: &[(InterfaceName, PublicKey)]) -> String {
    quote(&peers.iter().map(|(interface, key)| format!("{interface}/{key}")).collect::<Vec<_>>().join(" "))
}

fn address(address: Option<IpAddr>) -> String {
    quote(&address.map(|address| address.to_string()).unwrap_or_default())
}

/// Tries one connection from a host.
pub fn attempt(attempt: &Attempt) -> Script {
    let port = attempt.port.map(|port| port.to_string()).unwrap_or_default();
    let body = format!(
        "W_HOW={}\nW_TO={}\nW_PORT={}\nW_FROM={}\nW_BEHIND={}\nW_WAIT={}\nW_PEERS={}\n{SHAKES}{TRY}",
        attempt.protocol,
        quote(&attempt.to.to_string()),
        quote(&port),
        address(attempt.source),
        address(attempt.behind),
        attempt.wait,
        peers(&attempt.peers),
    );
    Script::new("try", &boundary(), ANSWER, &body)
}

/// Counts the packets of one flow on a host, in a table of its own that judges nothing and goes again.
pub fn watch(watch: &Watch) -> Script {
    let mark = boundary();
    let table = format!("wgf_try_{}", &mark[..12]);
    let body = format!(
        "W_TABLE={table}\nW_RULES={}\nW_SECONDS={}\nW_PEERS={}\n{SHAKES}{WATCH}",
        quote(&counters(&table, watch)),
        watch.seconds,
        peers(&watch.peers),
    );
    Script::new("watch", &mark, ANSWER, &body)
}

/// Before everything that could drop a packet and after it: priorities outside of all that are in use (nft(8)).
fn counters(table: &str, watch: &Watch) -> String {
    let family = if watch.to.is_ipv4() { "ip" } else { "ip6" };
    let (protocol, port) = match (watch.protocol, watch.port) {
        (Protocol::Tcp | Protocol::Udp, Some(port)) => (watch.protocol.to_string(), Some(port)),
        _ => (if watch.to.is_ipv4() { "icmp" } else { "ipv6-icmp" }.to_owned(), None),
    };
    let there = port.map(|port| format!(" {protocol} dport {port}")).unwrap_or_default();
    let back = port.map(|port| format!(" {protocol} sport {port}")).unwrap_or_default();
    let (source, to) = (watch.source, watch.to);
    let asks = format!("{family} daddr {to} meta l4proto {protocol}{there}");
    let answers = format!("{family} saddr {to} meta l4proto {protocol}{back}");
    let mut text = format!("table inet {table} {{\n");
    for name in ["came", "kept", "sent", "answered", "returned"] {
        let _ = writeln!(text, "counter {name} {{ }}");
    }
    // What comes in has the source that was asked from; what goes out may have been given another.
    let rules = [
        (
            "prerouting",
            -450,
            format!("{family} saddr {source} {asks} counter name came\n{answers} counter name answered"),
        ),
        ("output", -450, format!("{asks} counter name came\n{family} daddr {source} {answers} counter name answered")),
        ("input", 350, format!("{asks} counter name kept\n{answers} counter name returned")),
        (
            "postrouting",
            350,
            format!("{asks} counter name sent\n{family} daddr {source} {answers} counter name returned"),
        ),
    ];
    for (hook, priority, rules) in rules {
        let _ =
            writeln!(text, "chain {hook} {{ type filter hook {hook} priority {priority}; policy accept;\n{rules}\n}}");
    }
    text + "}"
}

/// Reads what came of an attempt.
///
/// # Errors
/// When the answer lacks a part that each has.
pub fn read_tried(answer: &Answer) -> Result<Tried, AnswerError> {
    let source = answer.all("source").next().and_then(|(words, _)| words.first()?.parse().ok());
    let said = answer.text("tried").ok_or(AnswerError::Missing("tried"))?;
    Ok(Tried { source, said: said.trim().to_owned(), shakes: shakes(answer)? })
}

/// Reads what was counted.
///
/// # Errors
/// When the answer lacks a part that each has.
pub fn read_counted(answer: &Answer) -> Result<Counted, AnswerError> {
    let mut counted = Counted { shakes: shakes(answer)?, ..Counted::default() };
    let Some(text) = answer.text("counters") else { return Ok(counted) };
    counted.counts = true;
    let mut into: Option<&mut u64> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("counter ") {
            into = match name.split_whitespace().next() {
                Some("came") => Some(&mut counted.came),
                Some("kept") => Some(&mut counted.kept),
                Some("sent") => Some(&mut counted.sent),
                Some("answered") => Some(&mut counted.answered),
                Some("returned") => Some(&mut counted.returned),
                _ => None,
            };
        } else if let (Some(packets), Some(into)) = (line.strip_prefix("packets "), into.as_deref_mut()) {
            *into = packets.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
        }
    }
    Ok(counted)
}

fn shakes(answer: &Answer) -> Result<Vec<Option<u64>>, AnswerError> {
    let clock = answer.all("clock").next().and_then(|(words, _)| words.first()?.parse::<u64>().ok());
    let clock = clock.ok_or(AnswerError::Missing("clock"))?;
    let age = |(words, _): (&[String], &[u8])| {
        let time = words.get(1).and_then(|word| word.parse::<u64>().ok()).filter(|time| *time > 0)?;
        Some(clock.saturating_sub(time))
    };
    Ok(answer.all("shake").map(age).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_before_and_after_everything_that_drops() {
        let watch = Watch {
            source: "10.66.0.6".parse().unwrap(),
            to: "192.168.10.5".parse().unwrap(),
            protocol: Protocol::Tcp,
            port: Port::new(445),
            seconds: 7,
            peers: Vec::new(),
        };
        insta::assert_snapshot!(counters("wgf_try_1", &watch), @"
        table inet wgf_try_1 {
        counter came { }
        counter kept { }
        counter sent { }
        counter answered { }
        counter returned { }
        chain prerouting { type filter hook prerouting priority -450; policy accept;
        ip saddr 10.66.0.6 ip daddr 192.168.10.5 meta l4proto tcp tcp dport 445 counter name came
        ip saddr 192.168.10.5 meta l4proto tcp tcp sport 445 counter name answered
        }
        chain output { type filter hook output priority -450; policy accept;
        ip daddr 192.168.10.5 meta l4proto tcp tcp dport 445 counter name came
        ip daddr 10.66.0.6 ip saddr 192.168.10.5 meta l4proto tcp tcp sport 445 counter name answered
        }
        chain input { type filter hook input priority 350; policy accept;
        ip daddr 192.168.10.5 meta l4proto tcp tcp dport 445 counter name kept
        ip saddr 192.168.10.5 meta l4proto tcp tcp sport 445 counter name returned
        }
        chain postrouting { type filter hook postrouting priority 350; policy accept;
        ip daddr 192.168.10.5 meta l4proto tcp tcp dport 445 counter name sent
        ip daddr 10.66.0.6 ip saddr 192.168.10.5 meta l4proto tcp tcp sport 445 counter name returned
        }
        }
        ");
    }

    #[test]
    fn what_was_tried_and_counted_is_read() {
        let text = "\n@X source 192.168.10.1\n\n@X tried\n111 Connection refused \n@X clock 1000\n\n@X shake wg0/k 990\n\n@X shake wg0/l none\n\n@X counters\ntable inet t {\n\tcounter came {\n\t\tpackets 3 bytes 252\n\t}\n\tcounter sent {\n\t\tpackets 2 bytes 168\n\t}\n}\n@X end\n";
        let answer = Answer::parse(text.as_bytes(), "X").unwrap();
        let tried = read_tried(&answer).unwrap();
        assert_eq!((tried.said.as_str(), tried.shakes), ("111 Connection refused", vec![Some(10), None]));
        let counted = read_counted(&answer).unwrap();
        assert_eq!((counted.counts, counted.came, counted.sent, counted.kept), (true, 3, 2, 0));
    }
}
