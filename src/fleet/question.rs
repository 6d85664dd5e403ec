//! What is asked of a host, and what names its state.

use std::collections::BTreeSet;

use crate::model::InterfaceName;

/// What is ours on a host, and therefore asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// WireGuard interfaces.
    pub interfaces: BTreeSet<InterfaceName>,
    /// Kernel settings, dotted.
    pub sysctls: BTreeSet<String>,
    /// nftables tables of family inet.
    pub tables: BTreeSet<String>,
    /// Files in /etc/wireguard.
    pub files: BTreeSet<String>,
    /// Files in /etc/wireguard with a private key that the host made and keeps. What is in them is never asked for.
    pub keys: BTreeSet<String>,
}

/// The digest of a host's state, comparable only under the boundary it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub(super) boundary: String,
    pub(super) digest: String,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.boundary, self.digest)
    }
}

/// Not what a fingerprint is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the fingerprint of a host's state")]
pub struct InvalidFingerprint;

impl std::str::FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
        let (boundary, digest) = text.split_once(':').ok_or(InvalidFingerprint)?;
        let valid = hex(boundary, 32) && hex(digest, 64);
        valid.then(|| Self { boundary: boundary.to_owned(), digest: digest.to_owned() }).ok_or(InvalidFingerprint)
    }
}

/// The path of a kernel setting below /proc/sys. An interface's name may contain dots, so only the words around it are
/// taken apart.
pub(crate) fn sysctl_path(key: &str) -> String {
    for family in ["net.ipv4.conf.", "net.ipv6.conf."] {
        if let Some((interface, setting)) = key.strip_prefix(family).and_then(|rest| rest.rsplit_once('.')) {
            return format!("{}{interface}/{setting}", family.replace('.', "/"));
        }
    }
    key.replace('.', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_an_interface_with_dots_finds_its_path() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(sysctl_path("net.ipv4.conf.wg.0.rp_filter"), "net/ipv4/conf/wg.0/rp_filter");
        assert_eq!(sysctl_path("net.ipv6.conf.all.forwarding"), "net/ipv6/conf/all/forwarding");
    }
}
