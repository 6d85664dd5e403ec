//! WireGuard keys: Curve25519 pairs and preshared keys, in the base64 of wg(8).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Not a key. The input isn't echoed: it may be a secret with a typing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a WireGuard key: expected 44 characters of base64 that hold 32 bytes, as `wg genkey` and `wg pubkey` print them"
)]
pub struct InvalidKey;

/// Reads the canonical base64 of 32 bytes, as `wg` does: padding is required and unused bits are zero.
fn parse(text: &str) -> Result<Zeroizing<[u8; 32]>, InvalidKey> {
    if text.len() != 44 {
        return Err(InvalidKey);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let written = STANDARD.decode_slice(text, bytes.as_mut()).map_err(|_| InvalidKey)?;
    if written == 32 { Ok(bytes) } else { Err(InvalidKey) }
}

/// A Curve25519 public key: the name of a peer on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Wraps 32 bytes; every value is a valid Curve25519 public key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first eight characters of the base64: enough to tell keys apart on a screen.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    /// Makes something in the place of a key that isn't known: it is no private key's public half. The highest bit is set,
    /// which is clear in every coordinate below 2^255 - 19 (RFC 7748 section 5).
    pub fn stand_in(mut bytes: [u8; 32]) -> Self {
        bytes[31] |= 0x80;
        Self(bytes)
    }

    /// Whether it stands in the place of a key that isn't known.
    pub fn is_stand_in(&self) -> bool {
        self.0[31] & 0x80 != 0
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        parse(text).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;
    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// A Curve25519 private key, clamped. Never `Clone`, `Display` or `Serialize`; wiped from memory on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    /// Makes a key of 32 random bytes, clamped as RFC 7748, section 5 says and as `wg genkey` does.
    pub fn from_random(mut random: [u8; 32]) -> Self {
        random[0] &= 248;
        random[31] = (random[31] & 127) | 64;
        let key = Self(random);
        random.zeroize();
        key
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// Reveals the key as base64. The name is greppable: each call is a place where a secret gets out.
    pub fn expose_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PrivateKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        parse(text).map(|bytes| Self::from_random(*bytes))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A preshared key of one link. Not clamped; wiped from memory on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PresharedKey([u8; 32]);

impl PresharedKey {
    /// Wraps 32 random bytes.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Reveals the key as base64. The name is greppable: each call is a place where a secret gets out.
    pub fn expose_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PresharedKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        parse(text).map(|bytes| Self(*bytes))
    }
}

impl PartialEq for PresharedKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}
impl Eq for PresharedKey {}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_gives_the_public_key_that_wg_gives() {
        // RFC 7748, section 6.1: Alice's pair.
        let secret = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=".parse::<PrivateKey>().unwrap();
        assert_eq!(secret.public().to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    }

    #[test]
    fn keys_are_clamped_like_wg_genkey() {
        let key = PrivateKey::from_random([0xff; 32]);
        let bytes = STANDARD.decode(key.expose_base64().as_bytes()).unwrap();
        assert_eq!((bytes[0], bytes[31]), (0xf8, 0x7f));
    }

    #[test]
    fn only_canonical_base64_of_32_bytes_is_a_key() {
        let good = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert!(good.parse::<PublicKey>().is_ok());
        let unused_bits = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=";
        for bad in ["", "short", &good[..43], unused_bits, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoo"] {
            assert_eq!(bad.parse::<PublicKey>(), Err(InvalidKey), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let private = PrivateKey::from_random([7; 32]);
        let shared = PresharedKey::from_random([7; 32]);
        assert_eq!(format!("{private:?} {shared:?}"), "PrivateKey(..) PresharedKey(..)");
    }
}
