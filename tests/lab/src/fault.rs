//! What goes wrong in a lab, on purpose: in the network between the hosts, and on a host itself.

use std::process::Stdio;

use crate::host::Output;
use crate::{Error, Host, Lab, Result};

/// What happens at a chosen call of a command; see [`Host::at_call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It does nothing and fails.
    Fails,
    /// It does its work and then says that it failed.
    FailsAfterwards,
    /// It never returns; see [`Host::hangs`].
    Hangs,
    /// This line of shell runs first, then the command.
    First(String),
}

/// What stands for a command that hangs. Nothing else on a host is called so, its process 1 sleeps otherwise.
const HANGING: &str = "sleep 7654321";

impl Mishap {
    /// The lines of shell that do it. `$real` is the command, `$@` what it is called with.
    fn act(&self) -> String {
        match self {
            Self::Fails => "echo \"$0: out of order\" >&2; exit 1".to_owned(),
            Self::FailsAfterwards => "\"$real\" \"$@\" || :; echo \"$0: out of order\" >&2; exit 1".to_owned(),
            Self::Hangs => format!("exec {HANGING}"),
            Self::First(line) => format!("( {line} ) </dev/null >/dev/null 2>&1"),
        }
    }
}

/// Puts a wrapper into the place of a command, whose path is in `$path`.
fn put(command: &str) -> String {
    format!("mv \"$path\" \"$path.taken-away\" && mv /var/lib/lab-wrapper-{command} \"$path\" && chmod 755 \"$path\"")
}

impl Lab {
    /// Drops what matches between a host and the switch, both ways, until [`Lab::heal`]; the host's own rules stay as
    /// they are. The match is nft's: nothing for all, `udp dport 51820`, `tcp dport 22`, `numgen random mod 100 < 5`
    /// for a loss of 5 %.
    ///
    /// # Errors
    /// When nft doesn't understand the match.
    pub fn drop_packets(&self, host: &str, matching: &str) -> Result<()> {
        let table = table(host);
        let mut rules = String::new();
        for card in 0..self.host(host).spec.links.len() {
            rules += &format!("add rule bridge {table} from iifname \"{host}-{card}\" {matching} counter drop\n");
            rules += &format!("add rule bridge {table} to oifname \"{host}-{card}\" {matching} counter drop\n");
        }
        self.nft(&format!(
            "add table bridge {table}\ndelete table bridge {table}\nadd table bridge {table}\n\
             add chain bridge {table} from {{ type filter hook prerouting priority 0; }}\n\
             add chain bridge {table} to {{ type filter hook postrouting priority 0; }}\n{rules}"
        ))
    }

    /// Limits what a host receives, for instance to `5mbit`.
    ///
    /// # Errors
    /// When tc refuses.
    pub fn limit_rate(&self, host: &str, rate: &str) -> Result<()> {
        for card in 0..self.host(host).spec.links.len() {
            let port = format!("{host}-{card}");
            let mut tc = self.in_switch("tc");
            tc.args([
                "qdisc", "replace", "dev", &port, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms",
            ]);
            ok("tc", Output::of(&mut tc)?)?;
        }
        Ok(())
    }

    /// Undoes [`Lab::drop_packets`] and [`Lab::limit_rate`] for a host.
    ///
    /// # Errors
    /// When the switch can't be reached.
    pub fn heal(&self, host: &str) -> Result<()> {
        let table = table(host);
        self.nft(&format!("add table bridge {table}\ndelete table bridge {table}\n"))?;
        for card in 0..self.host(host).spec.links.len() {
            // Fails when the rate wasn't limited: then there is nothing to undo.
            Output::of(self.in_switch("tc").args(["qdisc", "del", "dev", &format!("{host}-{card}"), "root"]))?;
        }
        Ok(())
    }

    fn nft(&self, rules: &str) -> Result<()> {
        let mut child = self.in_switch("nft");
        let child =
            child.args(["-f", "/dev/stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut nft = crate::Spawned::start(child)?;
        if let Some(mut stdin) = nft.child().stdin.take() {
            // When nft ended early its own message says why.
            let _closed = std::io::Write::write_all(&mut stdin, rules.as_bytes());
        }
        ok("nft", nft.finish()?)
    }
}

impl Host<'_> {
    /// Takes a command away until [`Host::put_back`].
    ///
    /// # Errors
    /// When the host doesn't have it.
    pub fn take_away(&self, command: &str) -> Result<()> {
        self.with_command(command, r#"mv "$path" "$path.taken-away""#)
    }

    /// Lets something happen at the `nth` call of a command from now on, the first being 1, and only then; until
    /// [`Host::put_back`].
    ///
    /// # Errors
    /// When the host doesn't have it.
    pub fn at_call(&self, command: &str, nth: u32, mishap: &Mishap) -> Result<()> {
        let act = mishap.act();
        let wrapper = format!(
            "#!/bin/sh\n# Counts its calls; something happens at number {nth}.\n\
             real=$(readlink -f \"$0\").taken-away\ncalls=/var/lib/lab-calls-{command}\n\
             n=$(flock \"$calls\" sh -c 'n=$(($(cat \"$1\") + 1)); echo $n >\"$1\"; echo $n' sh \"$calls\") || n=0\n\
             if [ \"$n\" = {nth} ]; then\n{act}\nfi\nexec \"$real\" \"$@\"\n"
        );
        self.write(&format!("/var/lib/lab-wrapper-{command}"), wrapper)?;
        self.with_command(command, &format!("echo 0 >/var/lib/lab-calls-{command} && {}", put(command)))
    }

    /// Lets something happen whenever a command is called with arguments that begin with these. [`Host::put_back`] undoes it.
    ///
    /// # Errors
    /// When the command isn't there.
    pub fn at_arguments(&self, command: &str, arguments: &str, mishap: &Mishap) -> Result<()> {
        let act = mishap.act();
        let wrapper = format!(
            "#!/bin/sh\nreal=$(readlink -f \"$0\").taken-away\ncase \"$*\" in '{arguments}'*)\n{act}\n;; esac\n\
             exec \"$real\" \"$@\"\n"
        );
        self.write(&format!("/var/lib/lab-wrapper-{command}"), wrapper)?;
        self.with_command(command, &format!("echo 0 >/var/lib/lab-calls-{command} && {}", put(command)))
    }

    /// Returns how often a command was called since [`Host::at_call`].
    ///
    /// # Errors
    /// When its calls aren't counted.
    pub fn calls(&self, command: &str) -> Result<u32> {
        let text = self.read(&format!("/var/lib/lab-calls-{command}"))?;
        text.trim().parse().map_err(|_| Error::Failed(format!("{}: no count of {command}: {text}", self.name())))
    }

    /// Undoes [`Host::take_away`] or [`Host::at_call`].
    ///
    /// # Errors
    /// When there is nothing to put back.
    pub fn put_back(&self, command: &str) -> Result<()> {
        let find = format!(
            "for path in /usr/sbin/{command} /usr/bin/{command}; do [ ! -e \"$path.taken-away\" ] || break; done; \
             mv \"$path.taken-away\" \"$path\" && rm -f /var/lib/lab-calls-{command}"
        );
        self.sh(&find).map(drop)
    }

    /// Whether a command hangs that was made to by [`Mishap::Hangs`].
    pub fn hangs(&self) -> bool {
        self.run(&format!("pgrep -fx '{HANGING}'")).is_ok_and(|found| found.success())
    }

    /// Lets what hangs fail.
    ///
    /// # Errors
    /// When nothing does.
    pub fn let_go(&self) -> Result<()> {
        self.sh(&format!("pkill -fx '{HANGING}'")).map(drop)
    }

    fn with_command(&self, command: &str, line: &str) -> Result<()> {
        self.sh(&format!("path=$(readlink -f \"$(command -v {command})\") && [ -n \"$path\" ] && {line}")).map(drop)
    }

    /// Fills the host's disk to the last byte, until [`Host::free_disk`].
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn fill_disk(&self) -> Result<()> {
        self.fill("/var/lab-fill")
    }

    /// Frees what [`Host::fill_disk`] filled.
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn free_disk(&self) -> Result<()> {
        self.sh("rm -f /var/lab-fill").map(drop)
    }

    /// Fills `/run`, until [`Host::free_run`].
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn fill_run(&self) -> Result<()> {
        self.fill("/run/lab-fill")
    }

    /// Frees what [`Host::fill_run`] filled.
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn free_run(&self) -> Result<()> {
        self.sh("rm -f /run/lab-fill").map(drop)
    }

    fn fill(&self, path: &str) -> Result<()> {
        // Large blocks first, then what is left page by page; writing ends when nothing fits any more.
        self.sh(&format!("for block in 1M 4k; do dd if=/dev/zero bs=$block >>{path} 2>/dev/null || :; done; true"))
            .map(drop)
    }

    /// Kills the userspace WireGuard of an interface, which takes the interface with it.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_wireguard(&self, interface: &str) -> Result<()> {
        self.sh(&format!("pkill -KILL -f '^[^ ]*wireguard-go {interface}$'")).map(drop)
    }

    /// Ends the host's sshd, connections that are open included.
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn stop_sshd(&self) -> Result<()> {
        let line = if self.spec.init == crate::Init::Systemd { "systemctl stop ssh; " } else { "" };
        // Ends with status 1 when there is none, which is what was wanted.
        self.run(&format!("{line}pkill -KILL -x sshd")).map(drop)
    }

    /// Ends the connections that are open to the host's sshd; new ones are welcome.
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn cut_ssh(&self) -> Result<()> {
        self.run("pkill -KILL -f '^sshd(-session)?: [^/]'").map(drop)
    }

    /// Starts the host's sshd again.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start_sshd(&self) -> Result<()> {
        let systemd = self.spec.init == crate::Init::Systemd;
        self.sh(if systemd { "systemctl start ssh" } else { "mkdir -p /run/sshd; /usr/sbin/sshd" }).map(drop)
    }
}

fn table(host: &str) -> String {
    format!("fault_{}", host.replace('-', "_"))
}

fn ok(program: &str, output: Output) -> Result<()> {
    if output.success() { Ok(()) } else { Err(Error::Failed(format!("{program}: {}", output.stderr.trim()))) }
}
