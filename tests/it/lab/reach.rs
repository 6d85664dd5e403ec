//! Who reaches whom in a whole office: everyone who should, and nobody else, whatever the owner of a remote writes into
//! his own file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wg_friend_lab::{Lab, Probe, Protocol, Result, Spec, lab_or_skip};

use super::office::{Admin, REMOTES};

const PORT: u16 = 8080;

/// Everything that asks, and is asked.
const MEMBERS: [&str; 13] = [
    "hub", "router-a", "router-b", "exit-a", "exit-b", "remote1", "remote2", "remote3", "remote4", "remote5",
    "remote6", "remote7", "remote8",
];

/// What may reach what, in words of the access levels; `to` is a member, or a PC in a LAN.
fn permitted(from: &str, to: &str, protocol: Protocol, six: bool) -> bool {
    let to_lan = to.starts_with("pc-");
    match from {
        // Nothing leads to a device that has no link to the server.
        _ if to == "remote7" => false,
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

struct Matrix {
    probes: Vec<Probe>,
    expected: Vec<bool>,
    names: Vec<String>,
}

impl Matrix {
    fn new(admin: &Admin<'_>) -> Self {
        let lab = admin.lab;
        let mut targets: BTreeMap<&str, [IpAddr; 2]> = MEMBERS.iter().map(|m| (*m, admin.addresses(m))).collect();
        for pc in ["pc-a", "pc-b"] {
            targets.insert(pc, [lab.host(pc).address(), lab.host(pc).address6().unwrap()]);
        }
        let mut matrix = Self { probes: Vec::new(), expected: Vec::new(), names: Vec::new() };
        for from in MEMBERS.iter().chain(&["pc-a", "pc-b"]) {
            for (to, addresses) in &targets {
                // A LAN's own router is no matter of the tunnel.
                if from == to
                    || (from.ends_with("-a")
                        && to.ends_with("-a")
                        && !from.starts_with("exit")
                        && !to.starts_with("exit"))
                    || (from.ends_with("-b")
                        && to.ends_with("-b")
                        && !from.starts_with("exit")
                        && !to.starts_with("exit"))
                {
                    continue;
                }
                for address in addresses {
                    for protocol in [Protocol::Icmp, Protocol::Tcp(PORT), Protocol::Tcp(PORT + 1)] {
                        matrix.probes.push(Probe { from: (*from).to_owned(), to: *address, protocol });
                        matrix.expected.push(permitted(from, to, protocol, address.is_ipv6()));
                        matrix.names.push(format!("{from} -> {to} {address} {protocol:?}"));
                    }
                }
            }
        }
        matrix
    }

    #[track_caller]
    fn check(&self, lab: &Lab) {
        let answers = lab.reach(&self.probes).unwrap();
        let wrong: Vec<String> = (0..answers.len())
            .filter(|i| answers[*i] != self.expected[*i])
            .map(|i| format!("{}: {}", self.names[i], if answers[i] { "reached, must not" } else { "not reached" }))
            .collect();
        assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
        assert!(
            self.expected.iter().filter(|e| **e).count() > 300 && self.expected.iter().filter(|e| !**e).count() > 300
        );
    }
}

#[test]
fn everyone_reaches_what_he_may_and_nothing_else_even_after_he_edited_his_own_file() -> Result {
    let lab = lab_or_skip!(Spec::office());
    let admin = Admin::new(&lab);
    admin.make_office();
    admin.deploy();
    for (remote, _) in REMOTES {
        admin.hand_out(remote, str::to_owned)?;
    }
    for host in MEMBERS.iter().chain(&["pc-a", "pc-b"]) {
        lab.host(host).listen(PORT)?;
        lab.host(host).listen(PORT + 1)?;
    }
    let matrix = Matrix::new(&admin);
    matrix.check(&lab);

    let own = |host: &str| (Some(lab.host(host).address()), lab.host(host).address6());
    let seen = |from: &str| Ok::<_, wg_friend_lab::Error>((lab.seen_address(from)?, lab.seen_address6(from)?));
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
    matrix.check(&lab);
    assert_eq!(seen("remote1")?, own("exit-a"));
    assert_eq!(seen("remote3")?, (None, None), "the server is no way out for who has no exit");
    assert_eq!(seen("remote6")?, (None, None));
    Ok(())
}
