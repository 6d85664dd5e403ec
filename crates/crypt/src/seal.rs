//! Sealing of values: AES-256-GCM with associated data, and HMAC-SHA-256.

use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{DataKey, Error};

/// What every sealed text begins with.
pub const PREFIX: &str = "enc:v1:";

const NONCE: usize = 12;

fn cipher(key: &DataKey) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()))
}

/// Seals bytes: nonce, ciphertext, tag. They open only with the same key and the same associated data.
pub fn seal_bytes(key: &DataKey, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| Error::Random)?;
    let payload = Payload { msg: plaintext, aad: associated };
    let ciphertext = cipher(key).encrypt(&Nonce::from(nonce), payload).expect("shorter than AES-GCM's 64 GiB");
    let mut sealed = Vec::with_capacity(NONCE + ciphertext.len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Opens what [`seal_bytes`] made.
pub fn open_bytes(key: &DataKey, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or(Error::DoesNotOpen)?;
    let payload = Payload { msg: ciphertext, aad: associated };
    let plaintext = cipher(key).decrypt(&Nonce::from(*nonce), payload).map_err(|_| Error::DoesNotOpen)?;
    Ok(Zeroizing::new(plaintext))
}

/// Seals a value as text: `enc:v1:` and base64.
pub fn seal(key: &DataKey, associated: &[u8], plaintext: &[u8]) -> Result<String, Error> {
    let sealed = seal_bytes(key, associated, plaintext)?;
    let mut text = String::with_capacity(PREFIX.len() + sealed.len().div_ceil(3) * 4);
    text.push_str(PREFIX);
    STANDARD.encode_string(sealed, &mut text);
    Ok(text)
}

/// Opens what [`seal`] made.
pub fn open(key: &DataKey, associated: &[u8], sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let encoded = sealed.strip_prefix(PREFIX).ok_or(Error::DoesNotOpen)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| Error::DoesNotOpen)?;
    open_bytes(key, associated, &bytes)
}

/// Returns the HMAC-SHA-256 of a message.
pub fn mac(key: &DataKey, message: &[u8]) -> [u8; 32] {
    MacKey::new(key).mac(message)
}

/// A key that has been prepared for the codes of many messages, each of which then takes half the work.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Prepares a key.
    pub fn new(key: &DataKey) -> Self {
        Self(Hmac::new_from_slice(key.expose()).expect("HMAC takes a key of any length"))
    }

    /// Returns the HMAC-SHA-256 of a message.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// Derives a key for one purpose: knowing it tells nothing about the key it comes from, nor about its siblings.
pub fn subkey(key: &DataKey, purpose: &str) -> DataKey {
    DataKey::from_bytes(&Zeroizing::new(mac(key, purpose.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::from_bytes(&[byte; 32])
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same(plain in proptest::collection::vec(any::<u8>(), 0..300), place in ".{0,20}") {
            let sealed = seal(&key(1), place.as_bytes(), &plain).unwrap();
            prop_assert!(sealed.starts_with(PREFIX));
            let opened = open(&key(1), place.as_bytes(), &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }

        #[test]
        fn one_changed_bit_keeps_it_shut(plain in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut sealed = seal_bytes(&key(1), b"here", &plain).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert_eq!(open_bytes(&key(1), b"here", &sealed).map(|_| ()), Err(Error::DoesNotOpen));
        }
    }

    #[test]
    fn another_key_or_place_does_not_open() {
        let sealed = seal(&key(1), b"keys.sealed_private:a", b"secret").unwrap();
        assert!(open(&key(1), b"keys.sealed_private:a", &sealed).is_ok());
        assert_eq!(open(&key(2), b"keys.sealed_private:a", &sealed), Err(Error::DoesNotOpen));
        assert_eq!(open(&key(1), b"keys.sealed_private:b", &sealed), Err(Error::DoesNotOpen));
        for garbage in ["", "secret", PREFIX, "enc:v1:!!!", "enc:v1:AAAA", "enc:v2:AAAA"] {
            assert_eq!(open(&key(1), b"keys.sealed_private:a", garbage), Err(Error::DoesNotOpen), "{garbage}");
        }
    }

    #[test]
    fn two_sealings_of_a_value_have_nothing_in_common() {
        let nonce = |sealed: &str| STANDARD.decode(&sealed[PREFIX.len()..]).unwrap()[..NONCE].to_vec();
        let [one, two] = [(); 2].map(|()| seal(&key(1), b"", b"same").unwrap());
        assert_ne!(nonce(&one), nonce(&two));
        assert_ne!(one, two);
    }

    #[test]
    fn a_mac_is_the_one_of_rfc_4231() {
        // RFC 4231, test case 1, whose key of 20 bytes HMAC pads with zeros to the block: 32 bytes with zeros are the same.
        let mut bytes = [0; 32];
        bytes[..20].fill(0x0b);
        let tag = mac(&DataKey::from_bytes(&bytes), b"Hi There");
        assert_eq!(tag[..8], [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53]);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?} {:?}", key(7), subkey(&key(7), "audit")), "DataKey(..) DataKey(..)");
    }
}
