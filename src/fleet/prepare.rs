//! Preparing hosts: bringing the programs that they lack, and what they say about themselves beyond their WireGuard.

use std::time::Duration;

use serde::Serialize;

use super::scripts::{ANSWER, boundary, quote};
use super::{Answer, AnswerError, Script};

const PACKAGES: &str = include_str!("../../templates/host/packages.sh");
const INSTALL: &str = include_str!("../../templates/host/install.sh");

/// How long a host may take to install packages: a slow mirror, and a lock that another package manager holds.
const INSTALLING: Duration = Duration::from_secs(15 * 60);

/// The text that chooses and installs packages, for scripts that bring it along.
pub(super) fn packages() -> &'static str {
    PACKAGES
}

/// Programs that every host needs, with WireGuard itself and what starts interfaces at boot.
const ALWAYS: &str = "wg wg-quick ip sysctl awk sort sha256sum stat tunnel boot";

/// What a host is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// nftables: everything that has a firewall of ours.
    pub nft: bool,
    /// A resolvconf: where a node's own config sets DNS servers.
    pub resolver: bool,
}

impl Wanted {
    /// Returns the words by which packages.sh knows them.
    pub(super) fn words(self) -> String {
        let nft = if self.nft { " nft" } else { "" };
        let resolver = if self.resolver { " resolvconf" } else { "" };
        format!("{ALWAYS}{nft}{resolver}")
    }
}

/// Brings what a host lacks; with `only_say` says by which commands. `patience`: seconds to wait for another package
/// manager that holds the lock.
pub fn install(wanted: Wanted, only_say: bool, patience: u64) -> Script {
    let dry = if only_say { "yes" } else { "no" };
    let words = quote(&wanted.words());
    let body = format!("W_WANT={words}\nW_DRY={dry}\nW_WAIT={patience}\n{PACKAGES}{INSTALL}");
    let kind = if only_say { "look for packages" } else { "install" };
    Script::new(kind, &boundary(), if only_say { ANSWER } else { INSTALLING }, &body)
}

/// Something that a host lacks, and what brings it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// The program; `tunnel` is WireGuard itself, `boot` what starts interfaces at boot.
    pub what: String,
    /// The package that has it; `link` and `service` are files that wg-friend writes.
    pub package: String,
}

/// A command that brings something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageCommand {
    /// `packages`, `link` or `service`.
    pub kind: String,
    /// The command line.
    pub line: String,
}

/// Why a package manager failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageTrouble {
    /// Another one was at work all the time.
    Lock,
    /// It can't reach its servers.
    Network,
    /// It knows no such package.
    Package,
    /// Its lists are older than what its servers have.
    Stale,
    /// The disk is full.
    Space,
    /// Something else.
    Other,
}

/// What a host says about installing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// Whose package manager it has: debian, alpine, fedora, rhel, arch; `image` when its /usr can't be changed package by
    /// package; `unknown`.
    pub family: String,
    /// `ID` of /etc/os-release.
    pub id: String,
    /// Its system's name, for people.
    pub os: String,
    /// What it lacked.
    pub missing: Vec<Lack>,
    /// The commands that bring it.
    pub commands: Vec<PackageCommand>,
    /// Packages that came, those that others needed among them.
    pub installed: Vec<String>,
    /// What it lacks even so.
    pub lacks: Vec<Lack>,
    /// Why it failed, and the end of what was said.
    pub failed: Option<(PackageTrouble, String)>,
}

/// Reads the answer to [`install`].
///
/// # Errors
/// When it doesn't say what system it is.
pub fn read_packages(answer: &Answer) -> Result<Packages, AnswerError> {
    let (words, body) = answer.all("os").next().ok_or(AnswerError::Missing("os"))?;
    let word = |words: &[String], at: usize| words.get(at).cloned().unwrap_or_default();
    let text = |body: &[u8]| String::from_utf8_lossy(body).trim().to_owned();
    let lacks = |section: &'static str| {
        answer.all(section).map(|(words, _)| Lack { what: word(words, 0), package: word(words, 1) }).collect()
    };
    let failed = answer.all("failed").next().map(|(words, body)| {
        let trouble = match word(words, 0).as_str() {
            "lock" => PackageTrouble::Lock,
            "network" => PackageTrouble::Network,
            "package" => PackageTrouble::Package,
            "stale" => PackageTrouble::Stale,
            "space" => PackageTrouble::Space,
            _ => PackageTrouble::Other,
        };
        (trouble, text(body))
    });
    let command = |(words, body): (&[String], &[u8])| PackageCommand { kind: word(words, 0), line: text(body) };
    Ok(Packages {
        family: word(words, 0),
        id: word(words, 1),
        os: text(body),
        missing: lacks("missing"),
        commands: answer.all("command").map(command).collect(),
        installed: answer.all("installed").map(|(words, _)| word(words, 0)).collect(),
        lacks: lacks("lacks"),
        failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_lacks_and_what_came_of_it_is_read() {
        let text = "\n@b os debian debian systemd\nDebian GNU/Linux 12\n\n@b missing wg wireguard-tools\n\n@b command packages\napt-get -q -y install wireguard-tools\n\n@b failed lock\nE: Could not get lock\n\n@b installed bash\n\n@b end\n";
        let read = read_packages(&Answer::parse(text.as_bytes(), "b").unwrap()).unwrap();
        assert_eq!((read.family.as_str(), read.os.as_str()), ("debian", "Debian GNU/Linux 12"));
        assert_eq!(read.missing, [Lack { what: "wg".into(), package: "wireguard-tools".into() }]);
        assert_eq!(read.commands[0].line, "apt-get -q -y install wireguard-tools");
        assert_eq!(read.failed, Some((PackageTrouble::Lock, "E: Could not get lock".into())));
        assert_eq!(read.installed, ["bash"]);
    }

    #[test]
    fn a_host_that_says_nothing_of_its_system_is_not_believed() {
        let answer = Answer::parse(b"\n@b end\n", "b").unwrap();
        assert_eq!(read_packages(&answer), Err(AnswerError::Missing("os")));
    }
}
