//! Sealing of long contents piece by piece: AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár,
//! "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015), as age (C2SP, age-encryption.org/v1) uses it.
//!
//! The nonce of a piece is its number in eleven bytes, from zero, and one byte that is 1 for the last piece and 0 for all
//! others. So what is cut off, put in another order, left out or taken from another content doesn't open. A key must seal
//! one content only: the nonces of the next would be the same.

use aes_gcm::aead::{Aead, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use zeroize::Zeroizing;

use crate::{DataKey, Error};

/// What every piece but the last one holds, in bytes.
pub const PIECE: usize = 1 << 16;

/// By how many bytes a sealed piece is longer than what it holds.
pub const TAG: usize = 16;

/// Seals or opens the pieces of one content, in order.
pub struct Pieces {
    cipher: Aes256Gcm,
    number: u64,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Pieces {
    /// Begins with the first piece. The key must be of this content alone.
    pub fn new(key: &DataKey) -> Self {
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose())), number: 0 }
    }

    /// Returns how many pieces were sealed or opened.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn nonce(&mut self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        nonce
    }

    /// Seals the next piece: ciphertext and tag.
    pub fn seal(&mut self, plaintext: &[u8], last: bool) -> Vec<u8> {
        let nonce = self.nonce(last);
        self.cipher.encrypt(&Nonce::from(nonce), plaintext).expect("shorter than AES-GCM's 64 GiB")
    }

    /// Opens the next piece.
    ///
    /// # Errors
    /// [`Error::DoesNotOpen`] for whatever isn't this piece of this content under this key.
    pub fn open(&mut self, sealed: &[u8], last: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
        let nonce = self.nonce(last);
        self.cipher.decrypt(&Nonce::from(nonce), sealed).map(Zeroizing::new).map_err(|_| Error::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: u8, texts: &[&str]) -> Vec<Vec<u8>> {
        let mut pieces = Pieces::new(&DataKey::from_bytes(&[key; 32]));
        let last = texts.len() - 1;
        texts.iter().enumerate().map(|(at, text)| pieces.seal(text.as_bytes(), at == last)).collect()
    }

    /// Opens pieces of which the final one is taken for the last.
    fn open(key: u8, sealed: &[&Vec<u8>]) -> Result<Vec<u8>, Error> {
        let mut pieces = Pieces::new(&DataKey::from_bytes(&[key; 32]));
        let last = sealed.len() - 1;
        let mut all = Vec::new();
        for (at, piece) in sealed.iter().enumerate() {
            all.extend_from_slice(&pieces.open(piece, at == last)?);
        }
        Ok(all)
    }

    #[test]
    fn pieces_open_in_their_order_only_and_all_of_them() {
        let s = sealed(1, &["one", "two", "three"]);
        let other = sealed(1, &["uno", "two", "three", "four"]);
        assert_eq!(open(1, &[&s[0], &s[1], &s[2]]).unwrap(), b"onetwothree");
        for wrong in [
            vec![&s[0], &s[1]],                       // cut off
            vec![&s[1], &s[0], &s[2]],                // in another order
            vec![&s[0], &s[2]],                       // one is missing
            vec![&s[0], &s[1], &s[2], &s[2]],         // something follows
            vec![&s[0], &s[1], &s[1], &s[2]],         // one stands there twice
            vec![&s[0], &other[1], &other[2], &s[2]], // of another number
        ] {
            assert_eq!(open(1, &wrong), Err(Error::DoesNotOpen));
        }
        assert_eq!(open(2, &[&s[0], &s[1], &s[2]]), Err(Error::DoesNotOpen));
    }
}
