//! Key derivation and sealing for wg-friend's vault: everything that touches a cipher, in a crate small enough to audit.
//!
//! - [`DataKey`]: 256 bits that encrypt a database; wiped from memory on drop, never shown by `Debug`.
//! - [`derive()`]: scrypt (RFC 7914) from a passphrase to the key that wraps the data key.
//! - [`seal`] and [`open`]: AES-256-GCM (NIST SP 800-38D) of one value as text, bound to the place it is stored in.
//! - [`stream::Pieces`]: the same cipher for long contents, piece by piece.
//! - [`shares`]: a secret in shares, of which any so many give it back.
//! - [`mac`] and [`subkey`]: HMAC-SHA-256 (RFC 2104), and keys for one purpose derived with it.
//! - [`KeyPair`] and [`seal_to`]: sealing to a public key (X25519, RFC 7748).
//! - [`SigningKey`] and [`is_signed`]: Ed25519 (RFC 8032).
//! - [`merkle`]: the trees of RFC 6962 and their proofs.
//!
//! Format of a sealed value: `enc:v1:` followed by the base64 (RFC 4648, padded) of nonce (12 bytes), ciphertext and
//! tag (16 bytes). Each sealing takes a fresh random nonce. At 96 bits that is safe for 2^32 values under one key, far more
//! than a database holds; rekeying starts again. The associated data names table, column and row, so a value which is
//! moved elsewhere does not open.
//!
//! Nothing here is generic in what the caller passes: generic ciphers would be compiled unoptimised inside callers.

mod kdf;
pub mod merkle;
mod pair;
mod seal;
pub mod shares;
mod sign;
pub mod stream;

pub use kdf::{InvalidParams, KdfParams, derive};
pub use pair::{KeyPair, seal_to};
pub use seal::{MacKey, PREFIX, mac, open, open_bytes, seal, seal_bytes, subkey};
pub use sign::{SigningKey, is_signed};

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What can go wrong. Says nothing about the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another key, another place, or changed bytes: which of them can't be told, and shouldn't be.
    #[error("the sealed value does not open")]
    DoesNotOpen,
    /// The system gave no random bytes.
    #[error("the system's random number generator failed")]
    Random,
    /// Deriving a key needs more memory than there is.
    #[error("deriving the key needs {} MiB of memory, which could not be had", .bytes / (1 << 20))]
    Memory {
        /// How much is needed.
        bytes: u64,
    },
}

/// A key of 256 bits. Wiped from memory on drop; it stays in one place until then, for whatever is moved leaves a copy.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DataKey(Box<[u8; 32]>);

impl DataKey {
    /// Makes a random key.
    pub fn random() -> Result<Self, Error> {
        random().map(|bytes| Self::from_bytes(&bytes))
    }

    /// Wraps the bytes of a key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    /// Reveals the key. The name is greppable: each call is a place where a secret gets out.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Makes a second copy, for a second connection to the same database.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Overwrites what calls that have returned left on the stack of this thread: copies of keys which the compiler made while
/// moving them, and the working memory of ciphers. For whoever gives up a key and goes on running.
#[inline(never)]
pub fn wipe_stack() {
    // Deeper than anything between unlocking and here has gone with a key in its hands.
    let mut below = [0_u8; 128 << 10];
    below.zeroize();
}

/// Returns 32 random bytes from the kernel.
pub fn random() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
    Ok(bytes)
}
