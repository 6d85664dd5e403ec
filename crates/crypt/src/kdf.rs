//! From a passphrase to a key: scrypt (RFC 7914).

use crate::{DataKey, Error};

/// The cost of deriving a key. Stored beside what it protects, so it is checked before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParams {
    log_n: u8,
    r: u32,
    p: u32,
}

/// A cost that no version of wg-friend would have chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scrypt parameters out of range: log n {log_n}, r {r}, p {p}")]
pub struct InvalidParams {
    /// Base-2 logarithm of the cost.
    pub log_n: u8,
    /// Block size.
    pub r: u32,
    /// Parallelism.
    pub p: u32,
}

impl KdfParams {
    /// n = 2^20, r = 8, p = 1: one GiB of memory and a few seconds.
    pub const DEFAULT: Self = Self { log_n: 20, r: 8, p: 1 };
    /// n = 2^16, r = 8, p = 1: 64 MiB, for machines with little memory.
    pub const LIGHT: Self = Self { log_n: 16, r: 8, p: 1 };
    /// Enough for a secret that is random already, such as a recovery key.
    pub const FULL_ENTROPY: Self = Self { log_n: 10, r: 8, p: 1 };

    /// Checks the three numbers. The caps keep a forged file from asking for all the memory or an hour's work:
    /// log n from 1 to 22, r up to 16, p up to 16, together at most 4 GiB.
    pub fn new(log_n: u8, r: u32, p: u32) -> Result<Self, InvalidParams> {
        let params = Self { log_n, r, p };
        let sane = (1..=22).contains(&log_n) && (1..=16).contains(&r) && (1..=16).contains(&p);
        if sane && params.memory() <= 4 << 30 { Ok(params) } else { Err(InvalidParams { log_n, r, p }) }
    }

    /// Returns the base-2 logarithm of the cost n.
    pub fn log_n(self) -> u8 {
        self.log_n
    }

    /// Returns the block size.
    pub fn r(self) -> u32 {
        self.r
    }

    /// Returns the parallelism.
    pub fn p(self) -> u32 {
        self.p
    }

    /// Returns how many bytes deriving a key takes.
    pub fn memory(self) -> u64 {
        (128 * u64::from(self.r)) << self.log_n
    }
}

/// Derives a key from a passphrase. Takes [`KdfParams::memory`] bytes.
pub fn derive(passphrase: &[u8], salt: &[u8; 32], params: KdfParams) -> Result<DataKey, Error> {
    // scrypt aborts the process when its allocation fails. Asking first turns that into an error; nothing is touched, so
    // it costs no memory.
    let bytes = params.memory();
    let size = usize::try_from(bytes).map_err(|_| Error::Memory { bytes })?;
    Vec::<u8>::new().try_reserve_exact(size).map_err(|_| Error::Memory { bytes })?;

    let cost = scrypt::Params::new(params.log_n, params.r, params.p).expect("the range was checked");
    let mut key = DataKey::from_bytes(&[0; 32]);
    scrypt::scrypt(passphrase, salt, &cost, key.0.as_mut()).expect("32 bytes is a length that scrypt gives");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_read_from_a_file_are_capped() {
        assert!(KdfParams::new(20, 8, 1).is_ok());
        for (log_n, r, p) in [(0, 8, 1), (23, 8, 1), (63, 8, 1), (20, 0, 1), (20, 17, 1), (20, 8, 0), (20, 8, 17)] {
            assert_eq!(KdfParams::new(log_n, r, p), Err(InvalidParams { log_n, r, p }));
        }
        assert!(KdfParams::new(22, 16, 1).is_err(), "8 GiB");
        assert_eq!(KdfParams::DEFAULT.memory(), 1 << 30);
        assert_eq!(KdfParams::LIGHT.memory(), 64 << 20);
    }

    #[test]
    fn the_same_passphrase_and_salt_give_the_same_key_and_nothing_else_does() {
        let cost = KdfParams::new(4, 8, 1).unwrap();
        let key = |passphrase: &[u8], salt: u8, cost| *derive(passphrase, &[salt; 32], cost).unwrap().expose();
        assert_eq!(key(b"correct horse", 1, cost), key(b"correct horse", 1, cost));
        assert_ne!(key(b"correct horse", 1, cost), key(b"correct horsf", 1, cost));
        assert_ne!(key(b"correct horse", 1, cost), key(b"correct horse", 2, cost));
        assert_ne!(key(b"correct horse", 1, cost), key(b"correct horse", 1, KdfParams::new(5, 8, 1).unwrap()));
    }
}
