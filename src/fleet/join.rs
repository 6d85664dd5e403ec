//! The script that joins a machine nobody can reach yet: it is run there once by hand, and leaves just what a deploy would.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use zeroize::Zeroizing;

use super::prepare::{Wanted, packages};
use super::scripts::{DEPLOY, LIB, ours, quote, stage};
use super::{Question, StagedFile};
use crate::model::{InterfaceName, Name, PublicKey};

const AUTHORIZE: &str = include_str!("../../templates/host/authorize.sh");
const JOIN: &str = include_str!("../../templates/host/join.sh");

/// The text that lets a key in, for scripts that bring it along.
pub(super) fn authorize() -> &'static str {
    AUTHORIZE
}

/// Returns the address from which this machine would talk to another one. Sends nothing.
pub fn own_address_towards(there: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((there, 9)).ok()?; // chooses a route, and that is all it does (udp(7))
    socket.local_addr().ok().map(|address| address.ip())
}

/// Everything that a joining script holds.
pub struct Joining<'a> {
    /// Whom the machine becomes.
    pub node: &'a Name,
    /// In which network.
    pub network: &'a Name,
    /// Until when the script may be used, in seconds since 1970.
    pub until: i64,
    /// Names the deploy that it stands for.
    pub token: &'a str,
    /// The names of earlier deploys to this host: a machine that shows another one was changed since.
    pub known: &'a [String],
    /// What is ours there.
    pub question: &'a Question,
    /// What the machine needs.
    pub wanted: Wanted,
    /// The files in /etc/wireguard, by name.
    pub files: Vec<(String, Zeroizing<String>)>,
    /// Interfaces to bring up, with the public key of each.
    pub up: Vec<(InterfaceName, PublicKey)>,
    /// Interfaces to start at boot.
    pub boot: Vec<InterfaceName>,
    /// The SSH key to let in: type, key and name.
    pub ssh_key: Option<&'a str>,
    /// Whom it may log in as.
    pub user: &'a str,
    /// What to do once it has joined, for people.
    pub next: &'a [String],
}

/// Returns the script. It holds the keys of the machine's interfaces.
///
/// Nothing of it runs unless all of it was read: everything is a function but the last line.
pub fn join(joining: Joining<'_>) -> Zeroizing<String> {
    let keep: Vec<&str> = joining.files.iter().map(|(name, _)| name.as_str()).collect();
    let up: Vec<String> = joining.up.iter().map(|(name, key)| format!("{name}:{key}")).collect();
    let boot: Vec<&str> = joining.boot.iter().map(InterfaceName::as_str).collect();
    let wanted = format!("{}{}", joining.wanted.words(), if joining.ssh_key.is_some() { " sshd" } else { "" });
    let mut head = String::new();
    let known = joining.known.join(" ");
    let next = joining.next.join("\n");
    for (name, value) in [
        ("B", "join"),
        ("TOKEN", joining.token),
        ("BEFORE", ""),
        ("W_ROLE", ""),
        ("W_NEW", &keep.join(" ")),
        ("W_OLD", ""),
        ("W_ENABLE", &boot.join(" ")),
        ("W_DISABLE", ""),
        ("W_WANT", &wanted),
        ("W_NODE", joining.node.as_str()),
        ("W_NETWORK", joining.network.as_str()),
        ("W_UNTIL", &joining.until.to_string()),
        ("W_KNOWN", &format!(" {known} ")),
        ("W_UP", &up.join(" ")),
        ("W_SSH_KEY", joining.ssh_key.unwrap_or_default()),
        ("W_SSH_USER", joining.user),
        ("W_NEXT", &next),
    ] {
        let _ = writeln!(head, "{name}={}", quote(value));
    }
    let files: Vec<StagedFile> =
        joining.files.into_iter().map(|(name, content)| StagedFile { path: format!("new/{name}"), content }).collect();
    let staged = stage(files.iter());
    let mut text = Zeroizing::new(String::with_capacity(staged.len() + 40_000));
    let _ = write!(
        text,
        "#!/bin/sh\n# wg-friend: makes this machine {} of the network {}. Run it once, as root; then delete it: it holds the\n\
         # machine's private key.\n",
        joining.node, joining.network
    );
    for part in [
        "w_all() {\n",
        &head,
        &ours(joining.question),
        LIB,
        DEPLOY,
        packages(),
        AUTHORIZE,
        JOIN,
        "w_join\n}\n",
        staged.as_str(),
        "w_all </dev/null\n",
    ] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn script() -> Zeroizing<String> {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap();
        let name: InterfaceName = "wg0".parse().unwrap();
        join(Joining {
            node: &"office".parse().unwrap(),
            network: &"home".parse().unwrap(),
            until: 0,
            token: "feed",
            known: &[],
            question: &Question::default(),
            wanted: Wanted { nft: true, resolver: false },
            files: vec![("wg0.conf".to_owned(), Zeroizing::new("[Interface]\n# it's $HOME `id`\n".to_owned()))],
            up: vec![(name.clone(), key)],
            boot: vec![name],
            ssh_key: Some("ssh-ed25519 AAAA alice's key"),
            user: "root",
            next: &["wg-friend host check office".to_owned()],
        })
    }

    #[test]
    fn every_shell_that_hosts_have_can_read_it() {
        for (shell, arguments) in
            [("dash", vec!["-n"]), ("bash", vec!["--posix", "-n"]), ("busybox", vec!["ash", "-n"])]
        {
            let child = Command::new(shell).args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let Ok(mut child) = child else { continue }; // a machine without that shell
            child.stdin.take().unwrap().write_all(script().as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    #[test]
    fn nothing_runs_of_a_script_that_was_copied_in_part() {
        let text = script();
        assert!(text.ends_with("\nw_all </dev/null\n"));
        assert_eq!(text.lines().filter(|line| line.starts_with("w_all <")).count(), 1);
        // Up to there it is comments, and two functions: a shell runs none of one that it hasn't read to its end.
        let mut code = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(code.next(), Some("w_all() {"));
        assert!(text.contains("\nw_join\n}\nw_stage() {\n"));
    }
}
