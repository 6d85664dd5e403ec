//! Signatures: Ed25519 (RFC 8032), of short texts, for whoever has the public key.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey as Secret, VerifyingKey};
use zeroize::Zeroizing;

use crate::Error;

/// A key that signs. Wiped from memory on drop, never shown by `Debug`.
pub struct SigningKey(Box<Secret>);

impl SigningKey {
    /// Makes a random key.
    pub fn random() -> Result<Self, Error> {
        crate::random().map(|seed| Self::from_seed(&seed))
    }

    /// Makes the key of a seed: 32 bytes, the private key of RFC 8032.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(Secret::from_bytes(seed)))
    }

    /// Reveals the seed. The name is greppable: each call is a place where a secret gets out.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a text.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Whether a text was signed with the private key of `public`. Keys and signatures that fit several texts, or that some
/// programs take and others don't, are refused.
pub fn is_signed(public: &[u8; 32], text: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
    key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // Section 7.1, test 2: a message of one byte.
        let key = SigningKey::from_seed(&[
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a,
            0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
        ]);
        assert_eq!(key.public()[..4], [0x3d, 0x40, 0x17, 0xc3]);
        let signature = key.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert!(is_signed(&key.public(), &[0x72], &signature));
    }

    #[test]
    fn another_text_key_or_signature_is_refused() {
        let (key, other) = (SigningKey::random().unwrap(), SigningKey::random().unwrap());
        let signature = key.sign(b"text");
        assert!(is_signed(&key.public(), b"text", &signature));
        assert!(!is_signed(&key.public(), b"texts", &signature));
        assert!(!is_signed(&other.public(), b"text", &signature));
        let mut wrong = signature;
        wrong[5] ^= 1;
        assert!(!is_signed(&key.public(), b"text", &wrong));
        // A key of small order would fit every text.
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(!is_signed(&identity, b"text", &[0; 64]));
    }

    #[test]
    fn a_key_is_made_again_of_its_seed_and_never_shown() {
        let key = SigningKey::random().unwrap();
        assert_eq!(SigningKey::from_seed(&key.expose()).public(), key.public());
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
