//! Key pairs: what is sealed to the public half opens with the private one (X25519, RFC 7748, as ECIES uses it).
//!
//! Format: the public key of a pair that exists for this one sealing (32 bytes), then what [`seal_bytes`] makes under
//! HMAC-SHA-256(shared secret, purpose, that public key, the recipient's public key).
//!
//! Anybody can seal to a public key: who relies on what opens has to know otherwise that the key is the right one, and that the
//! content is.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{DataKey, Error, mac, open_bytes, random, seal_bytes};

/// What the derivation is for, so that no other use of a shared secret gives the same key.
const PURPOSE: &[u8] = b"wg-friend sealed to a public key 1";

/// A pair of keys. The private half is wiped from memory on drop.
pub struct KeyPair(StaticSecret);

impl KeyPair {
    /// Makes a random pair.
    pub fn random() -> Result<Self, Error> {
        Ok(Self::from_bytes(&*random()?))
    }

    /// Makes the pair of a private key.
    pub fn from_bytes(private: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*private))
    }

    /// Returns the public half.
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// Reveals the private half. The name is greppable: each call is a place where a secret gets out.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Opens what [`seal_to`] sealed to the public half.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (once, sealed) = sealed.split_first_chunk::<32>().ok_or(Error::DoesNotOpen)?;
        let key = shared(&self.0, once, [once, &self.public()]).ok_or(Error::DoesNotOpen)?;
        open_bytes(&key, associated, sealed)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

/// Seals bytes so that only the private half of `public` opens them, with the same associated data.
///
/// # Errors
/// [`Error::Random`]; [`Error::DoesNotOpen`] for a point of low order, to which everybody has the private half.
pub fn seal_to(public: &[u8; 32], associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let once = KeyPair::random()?;
    let key = shared(&once.0, public, [&once.public(), public]).ok_or(Error::DoesNotOpen)?;
    Ok([&once.public()[..], &seal_bytes(&key, associated, plaintext)?].concat())
}

/// Derives the key that both sides know; `publics` are that of the one sealing, and the recipient's.
fn shared(own: &StaticSecret, other: &[u8; 32], publics: [&[u8; 32]; 2]) -> Option<DataKey> {
    let secret = own.diffie_hellman(&PublicKey::from(*other));
    if !secret.was_contributory() {
        return None;
    }
    let message = [PURPOSE, publics[0], publics[1]].concat();
    Some(DataKey::from_bytes(&Zeroizing::new(mac(&DataKey::from_bytes(secret.as_bytes()), &message))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_to_a_public_key_opens_with_its_private_half_alone(
            one in any::<[u8; 32]>(), other in any::<[u8; 32]>(), plain in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let (one, other) = (KeyPair::from_bytes(&one), KeyPair::from_bytes(&other));
            prop_assume!(one.public() != other.public());
            let sealed = seal_to(&one.public(), b"here", &plain).unwrap();
            let opened = one.open(b"here", &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            prop_assert_eq!(other.open(b"here", &sealed).map(|_| ()), Err(Error::DoesNotOpen));
            prop_assert_eq!(one.open(b"there", &sealed).map(|_| ()), Err(Error::DoesNotOpen));
        }

        #[test]
        fn one_changed_bit_keeps_it_shut(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let pair = KeyPair::from_bytes(&[7; 32]);
            let mut sealed = seal_to(&pair.public(), b"", b"a secret").unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            // The highest bit of a public key means nothing to X25519; the derivation takes in all of its bytes.
            prop_assert_eq!(pair.open(b"", &sealed).map(|_| ()), Err(Error::DoesNotOpen));
        }
    }

    #[test]
    fn a_key_that_everybody_can_open_with_is_refused() {
        assert_eq!(seal_to(&[0; 32], b"", b"secret"), Err(Error::DoesNotOpen));
        let pair = KeyPair::random().unwrap();
        assert_eq!(pair.open(b"", &[0; 80]).map(|_| ()), Err(Error::DoesNotOpen));
        assert_eq!(pair.open(b"", b"short").map(|_| ()), Err(Error::DoesNotOpen));
    }

    #[test]
    fn the_public_half_is_that_of_rfc_7748() {
        // RFC 7748, section 6.1: the keys of Alice.
        let bytes = |text: &str| -> [u8; 32] {
            std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        };
        let pair = KeyPair::from_bytes(&bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        assert_eq!(pair.public(), bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", KeyPair::from_bytes(&[7; 32])), "KeyPair(..)");
    }
}
