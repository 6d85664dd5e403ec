//! The recovery key in shares: any so many of them are as good as the key, fewer are good for nothing.
//!
//! A share is 40 bytes, so 64 digits: which set it belongs to (2), how many are needed (1), its number (1), its value (32)
//! and the beginning of the SHA-256 of all that (4), by which a mistake in copying shows before anybody waits for scrypt.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, shares};
use zeroize::Zeroizing;

use super::digits;
use super::error::{Error, Result};
use super::vault::RecoveryKey;

/// How many bytes a share has, and how many of them aren't its checksum.
const LENGTH: usize = 40;
const COVERED: usize = 36;

/// The most shares that a key is split into.
pub const MOST_SHARES: u8 = 16;

/// A share of a recovery key. Wiped from memory on drop.
pub struct Share(Zeroizing<[u8; LENGTH]>);

/// Why shares don't give a key. Repeats nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShares {
    /// Mistyped, or no share at all.
    #[error("share {number} is not as it was printed: expected 64 letters and digits")]
    Mistyped {
        /// Which of those that were given, from 1.
        number: usize,
    },
    /// Of another key, or of a key that was split anew since.
    #[error("share {number} belongs to another set than the first one")]
    OtherSet {
        /// Which of those that were given, from 1.
        number: usize,
    },
    /// One was given twice, and without it there are too few.
    #[error("share {number} is the same as share {first}")]
    Again {
        /// Which of those that were given, from 1.
        number: usize,
        /// Which one before it is the same.
        first: usize,
    },
    /// Too few different ones.
    #[error("{given} different shares were given, and {needed} are needed")]
    TooFew {
        /// How many different ones were given.
        given: usize,
        /// How many it takes.
        needed: u8,
    },
    /// Not a number of shares that makes sense.
    #[error("a key is split into 2 to {MOST_SHARES} shares, of which at least 2 are needed")]
    Count,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(..)")
    }
}

impl Share {
    fn new(set: [u8; 2], needed: u8, (point, value): &shares::Point) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..2].copy_from_slice(&set);
        (bytes[2], bytes[3]) = (needed, *point);
        bytes[4..COVERED].copy_from_slice(&value[..]);
        let sum = checksum(&bytes);
        bytes[COVERED..].copy_from_slice(&sum);
        Self(bytes)
    }

    /// Reads a share of its digits.
    fn read(digits: &[u8]) -> Option<Self> {
        let share = Self(digits::bytes(digits)?);
        let sane = (2..=MOST_SHARES).contains(&share.needed()) && (1..=MOST_SHARES).contains(&share.number());
        (sane && checksum(&share.0)[..] == share.0[COVERED..]).then_some(share)
    }

    /// Reads a share as it was printed: case, blanks and hyphens don't matter, O is 0, I and L are 1. `number` says which of
    /// several it is, from 1, for the error.
    ///
    /// # Errors
    /// [`InvalidShares::Mistyped`].
    pub fn parse(text: &str, number: usize) -> Result<Self, InvalidShares> {
        let digits = digits::only(text);
        digits.and_then(|digits| Self::read(&digits)).ok_or(InvalidShares::Mistyped { number })
    }

    /// Returns its number in its set, from 1.
    pub fn number(&self) -> u8 {
        self.0[3]
    }

    /// Returns how many of the set are needed.
    pub fn needed(&self) -> u8 {
        self.0[2]
    }

    /// Reveals the share in groups of four, for printing.
    pub fn expose(&self) -> Zeroizing<String> {
        digits::write(&self.0[..])
    }

    fn point(&self) -> shares::Point {
        let mut value = Zeroizing::new([0; 32]);
        value.copy_from_slice(&self.0[4..COVERED]);
        (self.number(), value)
    }
}

/// Sees that no share is among them twice.
///
/// # Errors
/// [`InvalidShares::Again`], for the first that is.
pub fn repeated(shares: &[Share]) -> Result<(), InvalidShares> {
    for (at, share) in shares.iter().enumerate() {
        if let Some(first) = shares[..at].iter().position(|other| other.0[..4] == share.0[..4]) {
            return Err(InvalidShares::Again { number: at + 1, first: first + 1 });
        }
    }
    Ok(())
}

fn checksum(bytes: &[u8; LENGTH]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(b"wg-friend share 1\0");
    hash.update(&bytes[..COVERED]);
    *hash.finalize().first_chunk().expect("32 bytes are more than 4")
}

/// Checks that a key can be split so.
pub fn check_counts(count: u8, needed: u8) -> Result<(), InvalidShares> {
    let sane = (2..=MOST_SHARES).contains(&count) && (2..=count).contains(&needed);
    if sane { Ok(()) } else { Err(InvalidShares::Count) }
}

impl RecoveryKey {
    /// Splits the key into `count` shares, of which any `needed` give it back.
    ///
    /// # Errors
    /// [`Error::Shares`] for counts that make no sense; [`Error::Crypt`] for want of random bytes.
    pub fn split(&self, count: u8, needed: u8) -> Result<Vec<Share>> {
        check_counts(count, needed).map_err(Error::Shares)?;
        let random = crypt::random()?;
        let set = [random[0], random[1]];
        let points = shares::split(self.secret(), needed, count)?;
        Ok(points.iter().map(|point| Share::new(set, needed, point)).collect())
    }

    /// Puts shares together, each as it was printed.
    ///
    /// # Errors
    /// Says which of them is mistyped or belongs to another key, or how many are missing.
    pub fn join<S: AsRef<str>>(texts: &[S]) -> Result<Self, InvalidShares> {
        let shares = (1..).zip(texts).map(|(number, text)| Share::parse(text.as_ref(), number));
        let shares: Vec<Share> = shares.collect::<Result<_, _>>()?;
        Self::of_shares(&shares)
    }

    fn of_shares(all: &[Share]) -> Result<Self, InvalidShares> {
        let Some(first) = all.first() else { return Err(InvalidShares::TooFew { given: 0, needed: 2 }) };
        if let Some(at) = all.iter().position(|share| share.0[..3] != first.0[..3]) {
            return Err(InvalidShares::OtherSet { number: at + 1 });
        }
        let mut points: Vec<shares::Point> = all.iter().map(Share::point).collect();
        points.sort_by_key(|(number, _)| *number);
        points.dedup_by_key(|(number, _)| *number);
        if points.len() < usize::from(first.needed()) {
            repeated(all)?;
            return Err(InvalidShares::TooFew { given: points.len(), needed: first.needed() });
        }
        Ok(Self::of_secret(shares::join(&points)))
    }

    /// Reads what somebody gave where a passphrase is asked for: the key, or as many shares of it as are needed, one behind
    /// the other. `None` if it looks like neither.
    pub(super) fn given(text: &str) -> Option<Self> {
        if let Ok(key) = text.parse() {
            return Some(key);
        }
        let digits = digits::only(text)?;
        let shares: Vec<Share> = digits.chunks(digits::length(LENGTH)).map(Share::read).collect::<Option<_>>()?;
        Self::of_shares(&shares).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(shares: &[Share]) -> Vec<String> {
        shares.iter().map(|share| share.expose().to_string()).collect()
    }

    #[test]
    fn any_three_of_five_shares_are_the_key_and_no_two_are() {
        let key = RecoveryKey::random().unwrap();
        let shares = texts(&key.split(5, 3).unwrap());
        for a in 0..5 {
            for b in 0..5 {
                let two = [&shares[a], &shares[b]];
                let too_few = match a == b {
                    true => InvalidShares::Again { number: 2, first: 1 },
                    false => InvalidShares::TooFew { given: 2, needed: 3 },
                };
                assert_eq!(RecoveryKey::join(&two).unwrap_err(), too_few);
                for c in (0..5).filter(|c| a != b && *c != a && *c != b) {
                    let joined = RecoveryKey::join(&[&shares[a], &shares[b], &shares[c]]).unwrap();
                    assert_eq!(*joined.expose(), *key.expose());
                }
            }
        }
    }

    #[test]
    fn shares_are_taken_where_the_key_is_whatever_stands_between_them() {
        let key = RecoveryKey::random().unwrap();
        let shares = texts(&key.split(3, 2).unwrap());
        for text in [
            format!("{} {}", shares[2], shares[0]),
            format!("{},\n{}", shares[1].to_lowercase().replace('0', "o"), shares[2].replace('-', " ")),
            key.expose().to_string(),
        ] {
            assert_eq!(*RecoveryKey::given(&text).expect("a key").expose(), *key.expose());
        }
        for text in [shares[0].as_str(), "correct horse battery", ""] {
            assert!(RecoveryKey::given(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_mistyped_share_and_one_of_another_set_are_named() {
        let key = RecoveryKey::random().unwrap();
        let (mut shares, others) = (texts(&key.split(3, 2).unwrap()), texts(&key.split(3, 2).unwrap()));
        let mixed = RecoveryKey::join(&[&shares[0], &others[1]]).unwrap_err();
        insta::assert_snapshot!(mixed, @"share 2 belongs to another set than the first one");
        let twice = RecoveryKey::join(&[&shares[2], &shares[2]]).unwrap_err();
        insta::assert_snapshot!(twice, @"share 2 is the same as share 1");
        let enough = RecoveryKey::join(&[&shares[2], &shares[2], &shares[0]]);
        assert!(enough.is_ok(), "the others are enough");
        let last = if shares[1].ends_with('7') { "8" } else { "7" };
        shares[1].replace_range(78..79, last);
        insta::assert_snapshot!(RecoveryKey::join(&shares).unwrap_err(), @"share 2 is not as it was printed: expected 64 letters and digits");
        insta::assert_snapshot!(key.split(2, 3).unwrap_err(), @"a key is split into 2 to 16 shares, of which at least 2 are needed");
        assert!(key.split(17, 2).is_err() && key.split(3, 1).is_err());
        assert_eq!(format!("{:?}", key.split(2, 2).unwrap()), "[Share(..), Share(..)]");
    }
}
