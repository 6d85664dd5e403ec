//! Trying machines: whether they answer, whether root can be had, and requirement by requirement what is in the way.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::install;
use crate::db::Database;
use crate::fleet::{self, Fleet, Forwarding, Init, Nft, Question, Setup, System, Tunnel, Wanted};
use crate::model::{Host, HostAddress, InterfaceName, Name, Role, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::find;
use crate::ops::parallel::each;

/// Clocks that differ by more than this are worth a remark: times in logs and handshakes mislead.
const SKEW: i64 = 60;

/// A clock that is so far off breaks more than the reading of logs: WireGuard refuses handshakes that look older than the
/// last one, so a clock that is set back later keeps a peer out.
const FAR_OFF: i64 = 24 * 60 * 60;

/// Where less is free than this, in KiB, files may not be written whole.
const LITTLE: u64 = 10 * 1024;

/// With less than this, in KiB, nothing is begun.
const FULL: u64 = 512;

/// What WireGuard adds to each packet over IPv6, in bytes.
const OVERHEAD: u16 = 80;

/// The smallest MTU with which IPv6 works (RFC 8200, section 5).
const SMALLEST: u16 = 1280;

/// How a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Pass,
    /// It works, and there is something to know.
    Warn,
    /// It isn't: nothing can be deployed there.
    Fail,
}

/// One thing that a machine needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// What it is: `ssh`, `root`, `tools`, `wireguard`, `firewall`, `resolver`, `boot`, `disk`, `clock`, `forwarding`, `mtu`,
    /// `front-ends`, `interfaces`.
    pub name: &'static str,
    /// How it is met.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Requirement {
    fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Pass, found: found.into(), remedy: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// What trying a machine showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Which machine.
    pub host: Name,
    /// Whether it can be deployed to.
    pub ready: bool,
    /// What it says about itself, if it answered.
    pub system: Option<System>,
    /// Every requirement, in the order in which they build on each other; those that could not be tried are left out.
    pub requirements: Vec<Requirement>,
    /// What is in the way, if anything is: what the first requirement that isn't met found.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is worth knowing and in nobody's way.
    pub remarks: Vec<String>,
}

/// Tries machines, at most `parallel` at once. Without names, all of them. One that fails holds up no other.
///
/// # Errors
/// When a name isn't a host's.
pub fn check(
    database: &Database,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    wanted: &[String],
    parallel: usize,
) -> Result<Vec<Checked>, Error> {
    let topology = database.topology()?;
    let hosts: Vec<&Host> = if wanted.is_empty() {
        topology.hosts.iter().collect()
    } else {
        wanted.iter().map(|name| find::host(&topology, name)).collect::<Result<_, _>>()?
    };
    Ok(each(hosts, parallel, |host| one(host, &topology, fleet, clock)))
}

/// Tries one machine.
pub(super) fn one(host: &Host, topology: &Topology, fleet: &dyn Fleet, clock: &dyn Clock) -> Checked {
    let wanted = install::wanted(&host.name, topology);
    let here = || topology.nodes.iter().filter(|node| node.host.as_ref() == Some(&host.name));
    let ours: Vec<InterfaceName> = here().flat_map(|node| &node.interfaces).map(|i| i.name.clone()).collect();
    let forwards = here().any(|node| node.role != Role::Remote);
    let (system, requirements) = match ask(host, wanted, &ours, fleet) {
        Ok((system, setup)) => {
            let facts = Facts { host, wanted, forwards, system: &system, setup: &setup };
            let requirements = judge(&facts, clock.now());
            (Some(system), requirements)
        }
        Err(error) => (None, unreached(&error)),
    };
    sum_up(&host.name, system, requirements)
}

fn sum_up(host: &Name, system: Option<System>, requirements: Vec<Requirement>) -> Checked {
    let of = |verdict| requirements.iter().filter(move |r| r.verdict == verdict);
    let failed = of(Verdict::Fail).next();
    Checked {
        host: host.clone(),
        ready: failed.is_none(),
        system,
        problem: failed.map(|r| r.found.clone()),
        hint: failed.and_then(|r| r.remedy.clone()),
        remarks: of(Verdict::Warn).map(|r| r.found.clone()).collect(),
        requirements,
    }
}

fn ask(
    host: &Host,
    wanted: Wanted,
    ours: &[InterfaceName],
    fleet: &dyn Fleet,
) -> Result<(System, Setup), fleet::Error> {
    let question = Question::default();
    let unread = |source| fleet::Error::Answer { host: host.name.clone(), source };
    let mut connection = fleet.connect(host)?;
    let answer = connection.run(&fleet::observe(&question, &[]))?;
    let observed = fleet::read_observation(&answer, &question).map_err(unread)?;
    let answer = connection.run(&fleet::inspect(wanted, ours))?;
    Ok((observed.system, fleet::read_setup(&answer).map_err(unread)?))
}

/// How far one came with a machine that gave no answer.
fn unreached(error: &fleet::Error) -> Vec<Requirement> {
    let found = error.to_string();
    let remedy = error.hint();
    let fail = |name| Requirement { name, verdict: Verdict::Fail, found: found.clone(), remedy: remedy.clone() };
    match error {
        fleet::Error::NotRoot { .. } => vec![Requirement::pass("ssh", "the login works"), fail("root")],
        _ => vec![fail("ssh")],
    }
}

/// Everything that is known of a machine that answered.
struct Facts<'a> {
    host: &'a Host,
    wanted: Wanted,
    forwards: bool,
    system: &'a System,
    setup: &'a Setup,
}

/// Judges a machine that answered.
fn judge(facts: &Facts<'_>, now: DateTime<Utc>) -> Vec<Requirement> {
    let way = match &facts.host.address {
        HostAddress::Local => "this machine".to_owned(),
        address @ HostAddress::Ssh { .. } => format!("{address} answers"),
    };
    let mut list = vec![Requirement::pass("ssh", way), Requirement::pass("root", "can be had"), tools(facts)];
    list.push(wireguard(facts));
    list.extend(firewall(facts));
    list.extend(resolver(facts));
    list.extend([boot(facts), disk(facts), time(facts.system, now)]);
    list.extend(forwarding(facts));
    list.extend(mtu(facts.setup));
    list.push(front_ends(facts));
    list.extend(interfaces(facts.setup));
    list
}

fn install_hint(facts: &Facts<'_>) -> String {
    format!("`wg-friend host install {}` brings it", facts.host.name)
}

fn tools(facts: &Facts<'_>) -> Requirement {
    let mut missing: Vec<&str> = facts.system.missing().into_iter().map(|(tool, _)| tool).collect();
    missing.extend((facts.wanted.nft && facts.setup.nft == Nft::Missing).then_some("nft"));
    if missing.is_empty() {
        return Requirement::pass("tools", "all there");
    }
    Requirement::fail("tools", format!("lacks {}", missing.join(", ")), install_hint(facts))
}

fn wireguard(facts: &Facts<'_>) -> Requirement {
    match &facts.setup.tunnel {
        Tunnel::Kernel => Requirement::pass("wireguard", format!("in the kernel ({})", facts.system.kernel)),
        Tunnel::Program(program) if !facts.setup.tun => Requirement::fail(
            "wireguard",
            format!("its kernel lacks WireGuard, and {program} lacks /dev/net/tun"),
            "let the container or virtual machine have /dev/net/tun",
        ),
        Tunnel::Program(program) => Requirement::pass("wireguard", format!("in userspace, by {program}")),
        Tunnel::None => Requirement::fail(
            "wireguard",
            format!("Linux {} has no WireGuard, and no program does it in its place", facts.system.kernel),
            match facts.setup.family.as_str() {
                "rhel" => "a kernel of 5.6 or later has it; for RHEL 8, ELRepo's kmod-wireguard".to_owned(),
                _ => install_hint(facts),
            },
        ),
    }
}

fn firewall(facts: &Facts<'_>) -> Option<Requirement> {
    match facts.setup.nft {
        Nft::Works => Some(Requirement::pass("firewall", "nftables answers")),
        Nft::Fails => Some(Requirement::fail(
            "firewall",
            "nft is there, and the kernel refuses it",
            "a kernel with nf_tables is needed; in a container, the right to administer the network",
        )),
        Nft::Missing => None, // among the tools where it is needed
    }
}

fn resolver(facts: &Facts<'_>) -> Option<Requirement> {
    if facts.system.tools.contains("resolvconf") {
        return Some(Requirement::pass("resolver", "resolvconf is there"));
    }
    facts.wanted.resolver.then(|| {
        Requirement::fail("resolver", "lacks resolvconf, and the config there sets DNS servers", install_hint(facts))
    })
}

fn boot(facts: &Facts<'_>) -> Requirement {
    match (facts.system.init, facts.setup.service) {
        (Init::Systemd, true) => Requirement::pass("boot", "systemd starts interfaces"),
        (Init::Openrc, true) => Requirement::pass("boot", "OpenRC starts interfaces"),
        (Init::RcLocal, true) => Requirement::warn(
            "boot",
            "neither systemd nor OpenRC: interfaces are started by /etc/rc.local",
            "see that the system runs /etc/rc.local when it boots",
        ),
        (Init::RcLocal, false) => Requirement::warn(
            "boot",
            "/etc/rc.local is there and can't be run",
            "make it executable if the system is to run it when it boots",
        ),
        // Only a warning where the tools lack too: they bring it.
        (_, false) => Requirement::warn("boot", "lacks the service that starts interfaces", install_hint(facts)),
    }
}

fn disk(facts: &Facts<'_>) -> Requirement {
    let Some((path, free)) = facts.setup.free.iter().min_by_key(|(_, free)| **free) else {
        return Requirement::warn("disk", "doesn't say how much is free", "look with `df` there");
    };
    let found = format!("{} MiB free in {path}", free / 1024);
    match *free {
        ..FULL => Requirement::fail("disk", format!("{free} KiB free in {path}"), "make room there"),
        FULL..LITTLE => Requirement::warn("disk", found, "make room there before it is full"),
        _ => Requirement::pass("disk", found),
    }
}

fn time(system: &System, now: DateTime<Utc>) -> Requirement {
    let skew = now.timestamp() - system.clock;
    let word = if skew > 0 { "behind" } else { "ahead" };
    let found = format!("its clock is {} s {word} of ours", skew.abs());
    match skew.abs() {
        0..=SKEW => Requirement::pass("clock", "right"),
        ..FAR_OFF => Requirement::warn("clock", found, "let it keep its clock by NTP"),
        _ => Requirement::warn(
            "clock",
            found,
            "set it before anything else: once it is right, peers refuse older handshakes",
        ),
    }
}

fn forwarding(facts: &Facts<'_>) -> Option<Requirement> {
    let [four, six] = facts.setup.forwarding;
    if !facts.forwards {
        return None;
    }
    let remedy = "it is a container's or a jail's: let its host turn it on (`net.ipv4.ip_forward`)";
    Some(match (four, six) {
        (Forwarding::Fixed, _) => {
            Requirement::fail("forwarding", "its kernel settings for forwarding can't be written", remedy)
        }
        (_, Forwarding::Fixed) => Requirement::warn("forwarding", "IPv6 can't be forwarded there", remedy),
        _ => Requirement::pass("forwarding", "possible"),
    })
}

fn mtu(setup: &Setup) -> Option<Requirement> {
    let (uplink, mtu) = setup.uplink.as_ref()?;
    let found = format!("{mtu} on {uplink}");
    Some(if mtu.saturating_sub(OVERHEAD) < SMALLEST {
        let most = mtu.saturating_sub(OVERHEAD);
        Requirement::warn("mtu", found, format!("no interface there can have more than {most}, too little for IPv6"))
    } else if *mtu < 1500 {
        let most = mtu - OVERHEAD;
        Requirement::warn(
            "mtu",
            found,
            format!("give the node there at most that less 80: `wg-friend set NODE mtu={most}`"),
        )
    } else {
        Requirement::pass("mtu", found)
    })
}

fn front_ends(facts: &Facts<'_>) -> Requirement {
    let setup = facts.setup;
    let mut found: Vec<String> =
        setup.front_ends.iter().map(|name| format!("{name} filters, beside the rules of wg-friend")).collect();
    let mut remedy = Vec::new();
    for name in &setup.front_ends {
        remedy.push(match name.as_str() {
            "ufw" => "`ufw allow 51820/udp`, and `ufw route allow in on wg0`",
            "firewalld" => "`firewall-cmd --permanent --add-port=51820/udp --zone=trusted --add-interface=wg0`",
            _ => "let its own set-up accept WireGuard's port, and what wg0 forwards",
        });
    }
    if setup.forward_drop && facts.forwards && setup.front_ends.is_empty() {
        found.push("iptables drops what is forwarded (Docker does that)".to_owned());
        remedy.push(
            "`iptables -I FORWARD -i wg0 -j ACCEPT` (with Docker: in the chain DOCKER-USER), and the same with -o",
        );
    }
    if setup.flushes {
        found.push("its nftables service removes all tables when it is reloaded".to_owned());
        remedy.push("after `systemctl reload nftables`, run `wg-friend deploy`, or restart the interface");
    }
    if found.is_empty() {
        return Requirement::pass("front-ends", "none that would interfere");
    }
    Requirement::warn("front-ends", found.join("; "), remedy.join("; "))
}

fn interfaces(setup: &Setup) -> Option<Requirement> {
    let one = |(name, port): &(String, Option<u16>)| match port.filter(|port| *port > 0) {
        Some(port) => format!("{name} (port {port})"),
        None => name.clone(),
    };
    let names: Vec<String> = setup.interfaces.iter().map(one).collect();
    (!names.is_empty()).then(|| Requirement {
        name: "interfaces",
        verdict: Verdict::Pass,
        found: format!("others are there, and are left alone: {}", names.join(", ")),
        remedy: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn system() -> System {
        let tools: BTreeSet<String> =
            System::NEEDED.iter().map(|(tool, _)| (*tool).to_owned()).chain(["nft".to_owned()]).collect();
        System {
            hostname: "hub".into(),
            os: "Debian".into(),
            kernel: "6.1".into(),
            init: Init::Systemd,
            uptime: 1,
            clock: 1_000_000,
            tools,
        }
    }

    fn setup() -> Setup {
        Setup {
            family: "debian".into(),
            tunnel: Tunnel::Kernel,
            tun: true,
            nft: Nft::Works,
            missing: Vec::new(),
            resolved: false,
            service: true,
            free: BTreeMap::from([("/etc".to_owned(), 5_000_000)]),
            forwarding: [Forwarding::Free; 2],
            uplink: Some(("eth0".into(), 1500)),
            front_ends: Vec::new(),
            forward_drop: false,
            flushes: false,
            interfaces: Vec::new(),
            installed: Vec::new(),
        }
    }

    fn judged(system: &System, setup: &Setup) -> Checked {
        let host = Host::new("hub".parse().unwrap(), "root@hub".parse().unwrap(), crate::model::Become::Auto);
        let wanted = Wanted { nft: true, resolver: true };
        let facts = Facts { host: &host, wanted, forwards: true, system, setup };
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        sum_up(&host.name, Some(system.clone()), judge(&facts, now))
    }

    fn lines(checked: &Checked) -> String {
        let line = |r: &Requirement| {
            let remedy = r.remedy.as_ref().map_or(String::new(), |remedy| format!(" => {remedy}"));
            format!("{:?} {}: {}{remedy}\n", r.verdict, r.name, r.found)
        };
        checked.requirements.iter().filter(|r| r.verdict != Verdict::Pass).map(line).collect()
    }

    #[test]
    fn a_machine_that_has_everything_passes_each_requirement() {
        let mut system = system();
        system.tools.insert("resolvconf".into());
        let checked = judged(&system, &setup());
        assert!(checked.ready && checked.problem.is_none() && checked.remarks.is_empty(), "{checked:?}");
        let names: Vec<&str> = checked.requirements.iter().map(|r| r.name).collect();
        assert_eq!(
            names,
            [
                "ssh",
                "root",
                "tools",
                "wireguard",
                "firewall",
                "resolver",
                "boot",
                "disk",
                "clock",
                "forwarding",
                "mtu",
                "front-ends"
            ]
        );
    }

    #[test]
    fn everything_that_is_in_the_way_comes_with_a_remedy() {
        let mut system = system();
        (system.clock, system.init) = (1_000_090, Init::RcLocal);
        system.tools.remove("wg");
        let setup = Setup {
            tunnel: Tunnel::Program("wireguard-go".into()),
            tun: false,
            nft: Nft::Fails,
            free: BTreeMap::from([("/etc".to_owned(), 400), ("/run".to_owned(), 90_000)]),
            forwarding: [Forwarding::Fixed, Forwarding::Absent],
            uplink: Some(("ppp0".into(), 1340)),
            front_ends: vec!["ufw".into(), "firewalld".into()],
            flushes: true,
            ..setup()
        };
        let checked = judged(&system, &setup);
        assert!(!checked.ready);
        assert!(checked.requirements.iter().all(|r| (r.verdict == Verdict::Pass) == r.remedy.is_none()));
        insta::assert_snapshot!(lines(&checked), @"
        Fail tools: lacks wg => `wg-friend host install hub` brings it
        Fail wireguard: its kernel lacks WireGuard, and wireguard-go lacks /dev/net/tun => let the container or virtual machine have /dev/net/tun
        Fail firewall: nft is there, and the kernel refuses it => a kernel with nf_tables is needed; in a container, the right to administer the network
        Fail resolver: lacks resolvconf, and the config there sets DNS servers => `wg-friend host install hub` brings it
        Warn boot: neither systemd nor OpenRC: interfaces are started by /etc/rc.local => see that the system runs /etc/rc.local when it boots
        Fail disk: 400 KiB free in /etc => make room there
        Warn clock: its clock is 90 s ahead of ours => let it keep its clock by NTP
        Fail forwarding: its kernel settings for forwarding can't be written => it is a container's or a jail's: let its host turn it on (`net.ipv4.ip_forward`)
        Warn mtu: 1340 on ppp0 => no interface there can have more than 1260, too little for IPv6
        Warn front-ends: ufw filters, beside the rules of wg-friend; firewalld filters, beside the rules of wg-friend; its nftables service removes all tables when it is reloaded => `ufw allow 51820/udp`, and `ufw route allow in on wg0`; `firewall-cmd --permanent --add-port=51820/udp --zone=trusted --add-interface=wg0`; after `systemctl reload nftables`, run `wg-friend deploy`, or restart the interface
        ");
    }

    #[test]
    fn a_machine_without_wireguard_in_any_form_is_not_ready() {
        let checked = judged(&system(), &Setup { tunnel: Tunnel::None, family: "rhel".into(), ..setup() });
        assert!(lines(&checked).contains("Fail wireguard: Linux 6.1 has no WireGuard"), "{}", lines(&checked));
        assert!(lines(&checked).contains("kmod-wireguard"));
    }

    #[test]
    fn how_far_one_came_with_a_machine_that_does_not_answer_is_told() {
        let host: Name = "hub".parse().unwrap();
        let not_root = unreached(&fleet::Error::NotRoot { host: host.clone(), reason: "sudo: no".into() });
        assert_eq!(
            not_root.iter().map(|r| (r.name, r.verdict)).collect::<Vec<_>>(),
            [("ssh", Verdict::Pass), ("root", Verdict::Fail)]
        );
        let silent = sum_up(
            &host,
            None,
            unreached(&fleet::Error::UnknownHostKey { host: host.clone(), line: "ssh hub".into() }),
        );
        assert!(!silent.ready && silent.hint.unwrap().contains("fingerprint"));
    }
}
