//! Private keys that a host made and keeps: where they lie there, and how an interface gets its own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::PublicKey;

use super::config::DIRECTORY;

/// Returns the name, in `/etc/wireguard`, of the file with the private key whose public half is `key`. It follows from the
/// key alone, so that another name of the interface changes nothing, and a new key never lies where the old one does.
pub fn name(key: PublicKey) -> String {
    let digest = Sha256::digest(key.to_string().as_bytes());
    let hex = digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("wg-friend-{hex}.key")
}

/// Returns the hook that gives an interface the key in a file: it takes the place of `PrivateKey` (wg-quick(8)).
pub(super) fn hook(file: &str) -> String {
    format!("wg set %i private-key {DIRECTORY}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_from_the_key() {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap();
        assert_eq!(name(key), "wg-friend-6d33ca1fdc181eee.key");
        assert_ne!(name(key), name(PublicKey::from_bytes([7; 32])));
    }
}
