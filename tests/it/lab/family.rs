//! Which families of addresses these tests' networks have: inside, that is in the tunnel and behind it, and outside, where
//! the hosts reach each other without it.
//!
//! A test says each address once, in IPv4. [`addressed`] says the same in the family of the run: every IPv4 network of
//! these tests has a counterpart, with the same numbers for the same hosts, just as the program gives both addresses of a
//! node the same last part.
//!
//! ```text
//! 10.66.0.30        fd66::1e               the network wg0, and what else begins with 10.
//! 192.168.11.50     fd0a:11::32            a LAN
//! 172.16.5.0/24     fd16:5::/64            likewise
//! 198.51.100.10     2001:db8:51::a         the lab's internet (outside)
//! 203.0.113.80      2001:db8:113::50       the lab's web (outside)
//! ```
//!
//! `WGF_FAMILY=4`, `6` or `dual` says what is inside; without it, each test has the network that it was written with, which
//! is nearly always a dual one. `WGF_UNDERLAY=6` takes IPv4 away outside as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Network, Result, Spec};

/// The variables that say what is wanted.
const INSIDE: &str = "WGF_FAMILY";
const OUTSIDE: &str = "WGF_UNDERLAY";

/// One family of addresses, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Four,
    Six,
    Dual,
}

impl Family {
    /// Returns whether an address, or the prefix that begins with it, is of this family.
    pub(super) fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Four => address.is_ipv4(),
            Self::Six => address.is_ipv6(),
            Self::Dual => true,
        }
    }

    fn read(variable: &str) -> Option<Self> {
        let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
        Some(match value.as_str() {
            "4" => Self::Four,
            "6" => Self::Six,
            "dual" => Self::Dual,
            other => panic!("{variable}={other}: it is 4, 6 or dual"),
        })
    }
}

/// Returns what the run wants inside, if it wants anything.
pub(super) fn wanted() -> Option<Family> {
    Family::read(INSIDE)
}

/// Returns what is inside of a network that nothing else is said about: both.
pub(super) fn inside() -> Family {
    wanted().unwrap_or(Family::Dual)
}

/// Returns what is outside.
pub(super) fn outside() -> Family {
    Family::read(OUTSIDE).unwrap_or(Family::Dual)
}

/// Returns the variables that say it, `NAME=VALUE` each, for the parts of a test that run in a host of the lab.
pub(super) fn variables() -> Vec<String> {
    let set = |name: &&str| std::env::var(name).ok().map(|value| format!("{name}={value}"));
    [INSIDE, OUTSIDE].iter().filter_map(set).collect()
}

/// Says that a test is about IPv4 by its nature when the run has none inside: then it is skipped.
pub(super) fn lacks_ipv4(why: &str) -> bool {
    let lacks = inside() == Family::Six;
    if lacks {
        eprintln!("skipped without IPv4 inside: {why}");
    }
    lacks
}

/// Says that a test is about IPv6 by its nature when the run has none inside: then it is skipped.
pub(super) fn lacks_ipv6(why: &str) -> bool {
    let lacks = inside() == Family::Four;
    if lacks {
        eprintln!("skipped without IPv6 inside: {why}");
    }
    lacks
}

/// Returns the addresses that are of the run's family inside.
pub(super) fn of_inside(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    addresses.into_iter().filter(|address| inside().has(*address)).collect()
}

/// Says a text, such as an argument or a command, with the addresses of the run.
pub(super) fn addressed(text: &str) -> String {
    translated(text, inside() == Family::Six, outside() == Family::Six)
}

/// Returns the IPv6 prefix, a /64, that goes with an IPv4 prefix inside.
fn six_of(cidr: &str) -> String {
    let (network, _) = cidr.split_once('/').expect("a prefix has a length");
    format!("{}/64", translated(network, true, true))
}

/// Returns the prefixes of a network's addresses, IPv4 and IPv6, as they are typed; `own` is what it has where the run doesn't say.
pub(super) fn prefixes(cidr: &str, own: Family) -> [String; 2] {
    let none = || "none".to_owned();
    match wanted().unwrap_or(own) {
        Family::Four => [cidr.to_owned(), none()],
        Family::Six => [none(), six_of(cidr)],
        Family::Dual => [cidr.to_owned(), six_of(cidr)],
    }
}

/// Returns a lab as the run wants it: LANs, whose names begin with `lan`, have the family that is inside, the other networks
/// what is outside.
pub(super) fn applied(mut spec: Spec) -> Spec {
    for network in &mut spec.networks {
        let family = if network.name.starts_with("lan") { inside() } else { outside() };
        keep(network, family);
    }
    spec
}

fn keep(network: &mut Network, family: Family) {
    let missing = !network.cidrs.iter().any(|cidr| family.has(cidr.addr()));
    if missing && family == Family::Six {
        let text = network.cidrs[0].to_string();
        network.cidrs.push(translated(&text, true, true).parse::<IpNet>().expect("a counterpart is a prefix too"));
    }
    network.cidrs.retain(|cidr| family.has(cidr.addr()));
}

/// Returns how the internet sees a host, in each family of the run inside, IPv4 first.
pub(super) fn seen_as(lab: &Lab, from: &str) -> Result<Vec<IpAddr>> {
    let mut seen = Vec::new();
    if inside() != Family::Six {
        seen.extend(lab.seen_address(from)?);
    }
    if inside() != Family::Four {
        seen.extend(lab.seen_address6(from)?);
    }
    Ok(seen)
}

/// Waits until the internet sees a host come from this one, in each family of the run inside, or not at all.
pub(super) fn leaves_within(limit: Duration, lab: &Lab, from: &str, exit: Option<&str>) -> Result {
    let wanted = exit.map_or_else(Vec::new, |exit| of_inside(lab.host(exit).addresses()));
    let mut last = Ok(Vec::new());
    let there = wait_until(limit, || {
        last = seen_as(lab, from);
        last.as_ref().map_or(true, |seen| *seen == wanted)
    });
    let seen = last?;
    assert!(there, "{from} is seen as {seen:?}, not as {wanted:?}");
    Ok(())
}

/// Starts a lab of the run's family for a test, or leaves the test, saying why, on a machine that can't have one.
macro_rules! lab_or_skip {
    ($spec:expr) => {
        wg_friend_lab::lab_or_skip!($crate::lab::family::applied($spec))
    };
}
pub(super) use lab_or_skip;

/// What else belongs to IPv4, and what is the same in IPv6.
const WORDS: [(&str, &str); 5] = [
    ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"),
    ("ip -4 ", "ip -6 "),
    // Without a word ip(8) takes the family from the address that is given, and IPv4 when none is, or not soon enough.
    ("ip rule", "ip -6 rule"),
    ("ip route show", "ip -6 route show"),
    ("ip -o route show", "ip -6 -o route show"),
];

fn translated(text: &str, inside: bool, outside: bool) -> String {
    let mut all = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let begins = next.is_ascii_digit() && !before.is_ascii_alphanumeric() && before != '.' && before != ':';
        if begins
            && let Some((address, length)) = read(rest)
            && let Some(six) = counterpart(address, inside, outside)
        {
            rest = &rest[length..];
            before = '0';
            // A port behind it needs brackets around it; a prefix length is that of the counterpart.
            if rest.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit())) {
                all += &format!("[{six}]");
                continue;
            }
            all += &six.to_string();
            let slash = ["/", "\\/"].into_iter().find(|slash| {
                rest.strip_prefix(slash).is_some_and(|length| length.starts_with(|c: char| c.is_ascii_digit()))
            });
            if let Some(slash) = slash {
                let digits: String = rest[slash.len()..].chars().take_while(char::is_ascii_digit).collect();
                let length: u8 = digits.parse().expect("a prefix length");
                all += &format!("{slash}{}", if length > 25 { length + 96 } else { length + 40 });
                rest = &rest[slash.len() + digits.len()..];
            }
            continue;
        }
        let word =
            WORDS.iter().filter(|_| inside && !before.is_ascii_alphanumeric()).find(|(four, _)| rest.starts_with(four));
        if let Some((four, six)) = word {
            all += six;
            rest = &rest[four.len()..];
            before = ' ';
            continue;
        }
        all.push(next);
        before = next;
        rest = &rest[next.len_utf8()..];
    }
    all
}

/// Reads the IPv4 address that a text begins with, and how long it is written.
fn read(text: &str) -> Option<(Ipv4Addr, usize)> {
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let written = text[..length].trim_end_matches('.');
    Some((written.parse().ok()?, written.len()))
}

fn counterpart(address: Ipv4Addr, inside: bool, outside: bool) -> Option<Ipv6Addr> {
    // The digits of a decimal number, read as hexadecimal ones: 66 stands for 0x66.
    let digits =
        |number: u8| u16::from_str_radix(&number.to_string(), 16).expect("decimal digits are hexadecimal ones");
    let host = |a: u8, b: u8| (u16::from(a) << 8) | u16::from(b);
    let [a, b, c, d] = address.octets();
    let (first, second, third, last) = match (a, b, c) {
        (198, 51, 100) if outside => (0x2001, 0xdb8, 0x51, host(0, d)),
        (203, 0, 113) if outside => (0x2001, 0xdb8, 0x113, host(0, d)),
        (10, ..) if inside && b < 100 => (0xfd00 | digits(b), 0, 0, host(c, d)),
        (192, 168, _) if inside => (0xfd0a, digits(c), 0, host(0, d)),
        (172, 16..=31, _) if inside => (0xfd00 | digits(b), digits(c), 0, host(0, d)),
        _ => return None,
    };
    Some(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, last))
}

#[test]
fn whatever_a_test_says_in_ipv4_has_a_counterpart_in_ipv6() {
    let six = |text: &str| translated(text, true, true);
    for (four, expected) in [
        ("ping -n -c 1 10.66.0.1", "ping -n -c 1 fd66::1"),
        ("10.66.1.20/32,10.9.0.0/24", "fd66::114/128,fd09::/64"),
        ("grant=10.66.0.0/28 tcp 8080", "grant=fd66::/124 tcp 8080"),
        ("192.168.11.50:8080 or 192.168.12.0/23", "[fd0a:11::32]:8080 or fd0a:12::/63"),
        ("s/x/10.99.0.0\\/24 dev %i/", "s/x/fd99::\\/64 dev %i/"),
        ("jump=root@198.51.100.11", "jump=root@2001:db8:51::b"),
        ("endpoint=198.51.100.11:51820.", "endpoint=[2001:db8:51::b]:51820."),
        ("at 203.0.113.80.", "at 2001:db8:113::50."),
        (
            "sysctl net.ipv4.ip_forward; ip -4 rule; ip rule",
            "sysctl net.ipv6.conf.all.forwarding; ip -6 rule; ip -6 rule",
        ),
        (
            "9.9.9.9 192.0.2.7 0.0.0.0/0 fd66::1 1.10.66.0.1 10.200.0.1",
            "9.9.9.9 192.0.2.7 0.0.0.0/0 fd66::1 1.10.66.0.1 10.200.0.1",
        ),
    ] {
        assert_eq!(six(four), expected);
        assert_eq!(translated(four, false, false), four);
    }
    assert_eq!(translated("10.66.0.1 198.51.100.10", true, false), "fd66::1 198.51.100.10");
}

#[test]
fn a_lab_has_the_families_that_are_wanted_on_both_sides_of_the_tunnel() {
    let lan = |family| {
        let mut network = Network::new("lan", &["192.168.7.0/24"]);
        keep(&mut network, family);
        network.cidrs.iter().map(IpNet::to_string).collect::<Vec<_>>()
    };
    assert_eq!(lan(Family::Six), ["fd0a:7::/64"]);
    assert_eq!(lan(Family::Four), ["192.168.7.0/24"]);
    assert_eq!(lan(Family::Dual), ["192.168.7.0/24"]);
}
