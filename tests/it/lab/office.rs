//! A person with wg-friend at the controller of the office lab, and the network they make there.

use std::net::IpAddr;
use std::process::Command;

use serde_json::Value;
use wg_friend::db::Database;
use wg_friend::model::Topology;
use wg_friend_lab::{Lab, Output, Result};

/// Somebody who runs wg-friend in the lab's controller, with a home of their own.
pub(super) struct Admin<'a> {
    pub(super) lab: &'a Lab,
    home: tempfile::TempDir,
}

/// The remotes of the office, with what each is given.
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

    /// Returns `wg-friend` with these arguments, to run in the controller.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.command("ctl", env!("CARGO_BIN_EXE_wg-friend"), arguments);
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

    /// Makes the office: a server, two routers with a LAN each, two exits, eight remotes with all access levels.
    pub(super) fn make_office(&self) {
        self.ok(&["init", "--name", "office", "--cidr", "10.66.0.0/24", "--cidr6", "fd66::/64", "--yes"]);
        self.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
        for (router, lan, lan6) in
            [("router-a", "192.168.11.0/24", "fd0a:11::/64"), ("router-b", "192.168.12.0/24", "fd0a:12::/64")]
        {
            let ssh = format!("deploy@{router}");
            self.ok(&["add", "router", router, "--lan", lan, "--lan", lan6, "--lan-interface", "eth1", "--ssh", &ssh]);
        }
        for exit in ["exit-a", "exit-b"] {
            let endpoint = self.lab.host(exit).address().to_string();
            self.ok(&["add", "exit", exit, "--endpoint", &endpoint, "--ssh", exit]);
        }
        for (remote, options) in REMOTES {
            self.ok(&[&["add", "remote", remote], options].concat());
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
            let [address, _] = self.addresses(node);
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
    pub(super) fn addresses(&self, node: &str) -> [IpAddr; 2] {
        let node = self.json(&["show", node]);
        let address =
            |key: &str| node[key].as_str().and_then(|a| a.parse().ok()).unwrap_or_else(|| panic!("{key}: {node:#}"));
        [address("address4"), address("address6")]
    }
}
