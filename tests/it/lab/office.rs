//! A person with wg-friend at the controller of the office lab, and the network they make there.

use std::net::IpAddr;
use std::process::Command;

use serde_json::Value;
use wg_friend::db::Database;
use wg_friend::model::Topology;
use wg_friend_lab::{Lab, Output, Result};

use super::family::{Family, addressed, inside, of_inside, prefixes, wanted};

/// Somebody who runs wg-friend in the lab's controller, with a home of their own.
pub(super) struct Admin<'a> {
    pub(super) lab: &'a Lab,
    home: tempfile::TempDir,
}

/// The remotes of the office, with what each is given in a network of both families.
pub(super) const REMOTES: [(&str, &[&str]); 8] = [
    ("remote1", &["--access", "full", "--exit", "exit-a"]),
    ("remote2", &["--access", "vpn-only", "--exit", "exit-b"]),
    ("remote3", &["--access", "full"]),
    ("remote4", &["--access", "vpn-only"]),
    ("remote5", &["--access", "lan-only", "--allow-lan", "192.168.11.0/24", "--allow-lan", "fd0a:11::/64"]),
    (
        "remote6",
        &[
            "--access",
            "custom",
            "--grant",
            "192.168.12.50 tcp 8080",
            "--grant",
            "fd0a:12::32 tcp 8080",
            "--grant",
            "10.66.0.1 icmp",
        ],
    ),
    ("remote7", &["--access", "exit-only", "--exit", "exit-a"]),
    ("remote8", &["--access", "lan-only", "--allow-lan", "192.168.12.0/24", "--exit", "exit-b"]),
];

/// Takes `wg0` down. A userspace WireGuard ends a moment after its link, and its successor needs its socket.
pub(super) const DOWN: &str = "wg-quick down wg0; while pgrep -fx 'wireguard-go wg0' >/dev/null; do sleep 0.05; done";

impl<'a> Admin<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        Self { lab, home: tempfile::tempdir().unwrap() }
    }

    /// Returns where the network is kept.
    pub(super) fn database(&self) -> std::path::PathBuf {
        self.home.path().join("data/office.db")
    }

    /// Returns the network as the program has it.
    pub(super) fn topology(&self) -> Topology {
        Database::open(&self.database()).unwrap().topology().unwrap()
    }

    /// Returns `wg-friend` with these arguments, to run in the controller; addresses among them are said in the run's family.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        self.command_as_it_is(&arguments.iter().map(|argument| addressed(argument)).collect::<Vec<_>>())
    }

    fn command_as_it_is(&self, arguments: &[String]) -> Command {
        let mut command = self.lab.command("ctl", &program(), arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.home.path());
        command.env("USER", "admin").env("WG_FRIEND_PASSPHRASE", "correct horse battery staple");
        command.env("WG_FRIEND_DB", self.home.path().join("data/office.db")).env("WG_FRIEND_KDF_LOG_N", "10");
        command.env("XDG_RUNTIME_DIR", self.home.path());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        Output::of(&mut self.command(arguments)).unwrap()
    }

    /// Runs it and returns what it printed; it has to succeed.
    #[track_caller]
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(arguments);
        assert_eq!(status, 0, "wg-friend {}\n{stdout}{stderr}", arguments.join(" "));
        stdout
    }

    /// Runs it with `--json` and returns the document; it has to succeed.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", arguments.join(" ")))
    }

    /// Makes a network `wg0` of the run's family, both if it has none.
    pub(super) fn init(&self, name: &str) {
        self.init_as(name, "10.66.0.0/24", Family::Dual);
    }

    /// Makes a network of the run's family, or of this one. `cidr` is its IPv4 prefix; the other one goes with it.
    pub(super) fn init_as(&self, name: &str, cidr: &str, own: Family) {
        let [four, six] = prefixes(cidr, own);
        let arguments = ["init", "--name", name, "--cidr", &four, "--cidr6", &six, "--yes"].map(str::to_owned);
        let Output { status, stdout, stderr } = Output::of(&mut self.command_as_it_is(&arguments)).unwrap();
        assert_eq!(status, 0, "wg-friend {}\n{stdout}{stderr}", arguments.join(" "));
    }

    /// Adds a router with a LAN of the lab, in every family of the run.
    pub(super) fn add_router(&self, name: &str, lans: [&str; 2]) -> Value {
        let ssh = format!("deploy@{name}");
        let lans = lans.into_iter().filter(|lan| of_this_run(lan)).flat_map(|lan| ["--lan", lan]);
        let words = ["add", "router", name, "--lan-interface", "eth1", "--ssh", &ssh];
        self.json(&words.into_iter().chain(lans).collect::<Vec<_>>())
    }

    /// Makes the office: a server, two routers with a LAN each, two exits, eight remotes with all access levels.
    pub(super) fn make_office(&self) {
        self.init("office");
        self.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
        self.add_router("router-a", ["192.168.11.0/24", "fd0a:11::/64"]);
        self.add_router("router-b", ["192.168.12.0/24", "fd0a:12::/64"]);
        for exit in ["exit-a", "exit-b"] {
            let endpoint = self.lab.host(exit).address().to_string();
            self.ok(&["add", "exit", exit, "--endpoint", &endpoint, "--ssh", exit]);
        }
        for (remote, options) in REMOTES {
            // Every option comes with a value; what is about a family that isn't there has no place.
            let options = options.chunks(2).filter(|option| of_this_run(option[1])).flatten().copied();
            self.ok(&["add", "remote", remote].into_iter().chain(options).collect::<Vec<_>>());
        }
    }

    /// Puts the office on its hosts.
    pub(super) fn deploy(&self) {
        self.ok(&["deploy", "--yes"]);
    }

    /// Waits until the server hears each of these nodes: one that came up before the server did tries again after five
    /// seconds.
    pub(super) fn wait_for(&self, nodes: &[&str]) -> Result {
        for node in nodes {
            let address = self.addresses(node)[0];
            self.lab.host("hub").sh(&format!("ping -n -c 1 -w 30 {address}"))?;
        }
        Ok(())
    }

    /// Gives a remote its file, as a person would: copies it there and brings it up. `edit` is what its owner makes of it.
    pub(super) fn hand_out(&self, remote: &str, edit: impl Fn(&str) -> String) -> Result {
        let file = self.ok(&["generate", remote]);
        let host = self.lab.host(remote);
        // The lab's remotes have no resolver to tell.
        let file: String = edit(&file).lines().filter(|l| !l.starts_with("DNS")).map(|l| format!("{l}\n")).collect();
        host.run(DOWN)?;
        host.write("/etc/wireguard/wg0.conf", file)?;
        host.sh("wg-quick up wg0").map(drop)
    }

    /// Returns a node's addresses in the network, IPv4 first.
    pub(super) fn addresses(&self, node: &str) -> Vec<IpAddr> {
        let node = self.json(&["show", node]);
        let address = |key: &str| node[key].as_str().and_then(|address| address.parse().ok());
        let all: Vec<IpAddr> = ["address4", "address6"].into_iter().filter_map(address).collect();
        assert!(!all.is_empty() && wanted().is_none_or(|_| all == of_inside(all.clone())), "{node:#}");
        all
    }
}

/// Returns the program that is tried: the one that was built along, or the one that `WGF_PROGRAM` names.
pub(super) fn program() -> String {
    std::env::var("WGF_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wg-friend").to_owned())
}

/// Returns whether a value, such as a prefix or a grant, is about nothing that the run doesn't have inside.
pub(super) fn of_this_run(value: &str) -> bool {
    let first = value.split([' ', '/']).next().unwrap_or_default();
    first.parse::<IpAddr>().map_or(true, |address| inside().has(address))
}
