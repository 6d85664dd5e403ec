//! What a host says about itself beyond its WireGuard: whether it can do what is wanted of it.

use std::collections::BTreeMap;

use crate::model::InterfaceName;

use super::prepare::{Wanted, packages};
use super::scripts::{ANSWER, boundary, quote};
use super::{Answer, AnswerError, Script};

const CHECK: &str = include_str!("../../templates/host/check.sh");

/// Asks a host for what it has and how it is set up; changes nothing. `ours`: interfaces that belong to the model.
pub fn inspect(wanted: Wanted, ours: &[InterfaceName]) -> Script {
    let ours: Vec<&str> = ours.iter().map(InterfaceName::as_str).collect();
    let (want, ours) = (quote(&wanted.words()), quote(&ours.join(" ")));
    Script::new("check", &boundary(), ANSWER, &format!("W_WANT={want}\nW_OURS={ours}\n{}{CHECK}", packages()))
}

/// How WireGuard itself comes to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// The kernel has it.
    Kernel,
    /// This program does it.
    Program(String),
    /// Nothing does.
    None,
}

/// How nft answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nft {
    /// It lists tables.
    Works,
    /// It is there, and the kernel refuses.
    Fails,
    /// It isn't there.
    Missing,
}

/// A kernel setting that forwarding needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// The kernel doesn't have it: no such address family.
    Absent,
    /// It can't be written, as in some containers.
    Fixed,
    /// It can be turned on.
    Free,
}

/// How a host is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Whose package manager it has, as [`super::Packages::family`].
    pub family: String,
    /// How WireGuard itself comes to it.
    pub tunnel: Tunnel,
    /// Whether there is /dev/net/tun, which WireGuard outside of the kernel needs.
    pub tun: bool,
    /// How nft answers.
    pub nft: Nft,
    /// What it lacks, by program.
    pub missing: Vec<String>,
    /// Whether systemd-resolved resolves its names.
    pub resolved: bool,
    /// Whether what starts interfaces at boot is set up.
    pub service: bool,
    /// KiB free, by path.
    pub free: BTreeMap<String, u64>,
    /// Forwarding of IPv4 and of IPv6.
    pub forwarding: [Forwarding; 2],
    /// The interface of its default route, and that one's MTU.
    pub uplink: Option<(String, u16)>,
    /// Firewall front ends at work.
    pub front_ends: Vec<String>,
    /// Whether its iptables drop what is forwarded unless a rule lets it pass.
    pub forward_drop: bool,
    /// Whether its nftables service removes all tables when it is started again.
    pub flushes: bool,
    /// WireGuard interfaces that aren't the model's, with the port of each.
    pub interfaces: Vec<(String, Option<u16>)>,
    /// Packages that were installed for wg-friend.
    pub installed: Vec<String>,
}

/// Reads the answer to [`inspect`].
///
/// # Errors
/// When it has no facts.
pub fn read_setup(answer: &Answer) -> Result<Setup, AnswerError> {
    let text = answer.text("facts").ok_or(AnswerError::Missing("facts"))?;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let all =
        |key: &'static str| lines.iter().filter(move |words| words.first() == Some(&key)).map(|words| &words[1..]);
    let first = |key: &'static str| all(key).next().and_then(|words| words.first().copied()).unwrap_or_default();
    let names = |key: &'static str| all(key).filter_map(|words| words.first().map(|w| (*w).to_owned())).collect();
    let forwarding = |path: &str| match all("forward").find(|words| words.first() == Some(&path)) {
        Some([_, "absent"]) | None => Forwarding::Absent,
        Some([_, "fixed"]) => Forwarding::Fixed,
        Some(_) => Forwarding::Free,
    };
    Ok(Setup {
        family: first("family").to_owned(),
        tunnel: match first("tunnel") {
            "kernel" => Tunnel::Kernel,
            "none" | "" => Tunnel::None,
            program => Tunnel::Program(program.to_owned()),
        },
        tun: first("tun") == "yes",
        nft: match first("nft") {
            "works" => Nft::Works,
            "fails" => Nft::Fails,
            _ => Nft::Missing,
        },
        missing: names("missing"),
        resolved: first("resolved") == "yes",
        service: first("service") == "yes",
        free: all("free").filter_map(|w| Some(((*w.first()?).to_owned(), w.get(1)?.parse().ok()?))).collect(),
        forwarding: [forwarding("net/ipv4/ip_forward"), forwarding("net/ipv6/conf/all/forwarding")],
        uplink: all("uplink").find_map(|w| Some(((*w.first()?).to_owned(), w.get(1)?.parse().ok()?))),
        front_ends: names("front"),
        forward_drop: all("forward-drop").next().is_some(),
        flushes: all("flushes").next().is_some(),
        interfaces: all("interface")
            .filter_map(|w| Some(((*w.first()?).to_owned(), w.get(1).and_then(|port| port.parse().ok()))))
            .collect(),
        installed: names("installed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_its_set_up_is_read() {
        let facts = "family debian\ntunnel wireguard-go\ntun yes\nnft works\nmissing resolvconf\nservice yes\nfree /etc 1024\nforward net/ipv4/ip_forward 0\nforward net/ipv6/conf/all/forwarding fixed\nuplink eth0 1500\nfront ufw\nforward-drop iptables\ninterface wg-office 51999\ninstalled nftables";
        let answer = Answer::parse(format!("\n@b facts\n{facts}\n\n@b end\n").as_bytes(), "b").unwrap();
        let setup = read_setup(&answer).unwrap();
        assert_eq!(setup.tunnel, Tunnel::Program("wireguard-go".into()));
        assert_eq!((setup.nft, setup.tun, setup.service), (Nft::Works, true, true));
        assert_eq!(setup.free["/etc"], 1024);
        assert_eq!(setup.forwarding, [Forwarding::Free, Forwarding::Fixed]);
        assert_eq!(setup.uplink, Some(("eth0".into(), 1500)));
        assert!(setup.forward_drop && !setup.flushes);
        assert_eq!(setup.interfaces, [("wg-office".to_owned(), Some(51999))]);
        assert_eq!(
            (setup.front_ends.as_slice(), setup.installed.as_slice()),
            (&["ufw".to_owned()][..], &["nftables".to_owned()][..])
        );
    }
}
