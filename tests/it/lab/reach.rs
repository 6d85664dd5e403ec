//! Who reaches whom in a whole office: everyone who should, and nobody else, whatever the owner of a remote writes into
//! his own file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wg_friend_lab::{Lab, Probe, Protocol, Result, Spec};

use super::can::Said;
use super::family::{Family, inside, lab_or_skip, of_inside, seen_as};
use super::office::{Admin, REMOTES};

const PORT: u16 = 8080;

/// Everything that asks, and is asked.
const MEMBERS: [&str; 13] = [
    "hub", "router-a", "router-b", "exit-a", "exit-b", "remote1", "remote2", "remote3", "remote4", "remote5",
    "remote6", "remote7", "remote8",
];

/// What the server lets through, in words of the access levels; `to` is a member, or a PC in a LAN.
fn permitted(from: &str, to: &str, protocol: Protocol, six: bool) -> bool {
    let to_lan = to.starts_with("pc-");
    match from {
        // Nothing leads to a device that has no link to the server, but from the exit that it is linked to.
        _ if to == "remote7" => from == "exit-a",
        "hub" | "router-a" | "router-b" | "pc-a" | "pc-b" | "remote1" | "remote3" => true,
        "remote2" | "remote4" => !to_lan,
        "remote5" => !to_lan || to == "pc-a",
        "remote8" => !to_lan || (to == "pc-b" && !six),
        "remote6" => match protocol {
            Protocol::Tcp(port) => to == "pc-b" && port == PORT,
            Protocol::Icmp => to == "hub" && !six,
        },
        // Exits only answer; an exit-only device has the internet and nothing else.
        _ => false,
    }
}

/// Whether a remote, as its own file is handed out, takes packets from `from`: it lists what the remote may reach.
fn taken(from: &str, to: &str, six: bool) -> bool {
    match to {
        "remote4" => !from.starts_with("pc-"),
        "remote5" => from != "pc-b",
        "remote6" => from == "pc-b" || (from == "hub" && !six),
        _ => true,
    }
}

/// Whether two are in the same LAN: that is no matter of the tunnel.
fn same_lan(from: &str, to: &str) -> bool {
    ["-a", "-b"].iter().any(|lan| [from, to].iter().all(|name| name.ends_with(lan) && !name.starts_with("exit")))
}

struct Matrix {
    probes: Vec<Probe>,
    expected: Vec<bool>,
    names: Vec<String>,
}

impl Matrix {
    /// Returns all questions and their answers, with the files as they are handed out or as their owners want them.
    fn new(admin: &Admin<'_>, edited: bool) -> Self {
        let lab = admin.lab;
        let mut targets: BTreeMap<&str, Vec<IpAddr>> = MEMBERS.iter().map(|m| (*m, admin.addresses(m))).collect();
        for pc in ["pc-a", "pc-b"] {
            targets.insert(pc, lab.host(pc).addresses().collect());
        }
        let mut matrix = Self { probes: Vec::new(), expected: Vec::new(), names: Vec::new() };
        for from in MEMBERS.iter().chain(&["pc-a", "pc-b"]) {
            for (to, addresses) in &targets {
                if from == to || same_lan(from, to) {
                    continue;
                }
                for address in addresses {
                    for protocol in [Protocol::Icmp, Protocol::Tcp(PORT), Protocol::Tcp(PORT + 1)] {
                        matrix.probes.push(Probe { from: (*from).to_owned(), to: *address, protocol });
                        let six = address.is_ipv6();
                        matrix.expected.push(permitted(from, to, protocol, six) && (edited || taken(from, to, six)));
                        matrix.names.push(format!("{from} -> {to} {address} {protocol:?}"));
                    }
                }
            }
        }
        matrix
    }

    /// What the program says from the model alone must be just that.
    #[track_caller]
    fn said_beforehand(&self, admin: &Admin<'_>, edited: bool) {
        let said = Said::new(admin, edited);
        let wrong: Vec<String> = (0..self.probes.len())
            .filter_map(|i| {
                let answer = said.answer(&self.probes[i], admin.lab);
                let text = || format!("{}: {} {}", self.names[i], answer.reaches, answer.decided_by.text);
                (answer.reaches != self.expected[i]).then(text)
            })
            .collect();
        assert!(wrong.is_empty(), "{} of {} are said wrongly:\n{}", wrong.len(), self.probes.len(), wrong.join("\n"));
    }

    #[track_caller]
    fn check(&self, lab: &Lab) {
        let mut answers = lab.reach(&self.probes).unwrap();
        // A busy machine may be late with one of a thousand answers; it is never early with one that must not come.
        let late: Vec<usize> = (0..answers.len()).filter(|i| self.expected[*i] && !answers[*i]).collect();
        let again: Vec<Probe> = late.iter().map(|i| self.probes[*i].clone()).collect();
        for (i, answer) in late.iter().zip(lab.reach(&again).unwrap()) {
            answers[*i] = answer;
        }
        let wrong: Vec<String> = (0..answers.len())
            .filter(|i| answers[*i] != self.expected[*i])
            .map(|i| format!("{}: {}", self.names[i], if answers[i] { "reached, must not" } else { "not reached" }))
            .collect();
        assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
        let yes = self.expected.iter().filter(|e| **e).count();
        let least = if inside() == Family::Dual { 400 } else { 200 };
        assert!(yes > least && answers.len() - yes > least, "{yes} of {} are expected to be reached", answers.len());
    }
}

#[test]
fn everyone_reaches_what_he_may_and_nothing_else_even_after_he_edited_his_own_file() -> Result {
    let lab = lab_or_skip!(Spec::office());
    let admin = Admin::new(&lab);
    admin.make_office();
    admin.deploy();
    admin.wait_for(&["router-a", "router-b", "exit-a", "exit-b"])?;
    for (remote, _) in REMOTES {
        admin.hand_out(remote, str::to_owned)?;
    }
    for host in MEMBERS.iter().chain(&["pc-a", "pc-b"]) {
        lab.host(host).listen(PORT)?;
        lab.host(host).listen(PORT + 1)?;
    }
    let matrix = Matrix::new(&admin, false);
    matrix.said_beforehand(&admin, false);
    matrix.check(&lab);

    let own = |host: &str| of_inside(lab.host(host).addresses());
    let seen = |from: &str| seen_as(&lab, from);
    assert_eq!(seen("remote1")?, own("exit-a"));
    assert_eq!(seen("remote2")?, own("exit-b"));
    assert_eq!(seen("remote7")?, own("exit-a"), "straight through its exit");
    assert_eq!(seen("remote8")?, own("exit-b"), "from behind a NAT");
    assert_eq!(seen("remote4")?, own("remote4"), "without an exit the internet is none of our business");

    // The owner of each remote asks for everything.
    for (remote, _) in REMOTES {
        let everything = |file: &str| {
            let line = |l: &str| {
                if l.starts_with("AllowedIPs") { "AllowedIPs = 0.0.0.0/0, ::/0".to_owned() } else { l.to_owned() }
            };
            file.lines().map(line).collect::<Vec<_>>().join("\n")
        };
        admin.hand_out(remote, everything)?;
        lab.host(remote).listen(PORT)?;
        lab.host(remote).listen(PORT + 1)?;
    }
    let matrix = Matrix::new(&admin, true);
    matrix.said_beforehand(&admin, true);
    matrix.check(&lab);
    assert_eq!(seen("remote1")?, own("exit-a"));
    assert!(seen("remote3")?.is_empty(), "the server is no way out for who has no exit");
    assert!(seen("remote6")?.is_empty());
    Ok(())
}
