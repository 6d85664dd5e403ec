//! Shares of a secret: any so many of them give it back, fewer say nothing about it (Shamir, "How to share a secret", 1979).
//!
//! The field is GF(2^8), each byte of the secret is shared by itself, and the shares are values at the points from 1 on.

use blahaj::{Share, Sharks};
use zeroize::Zeroizing;

use crate::Error;

/// A point and the values there, one for each byte of the secret. Wiped from memory on drop.
pub type Point = (u8, Zeroizing<[u8; 32]>);

/// Splits a secret into `count` shares of which any `needed` give it back: at the points from 1 to `count`.
///
/// # Errors
/// [`Error::Random`] when the kernel gives no random bytes.
///
/// # Panics
/// Unless `needed` is at least 2 and at most `count`: a single share would be the secret itself.
pub fn split(secret: &[u8; 32], needed: u8, count: u8) -> Result<Vec<Point>, Error> {
    assert!((2..=count).contains(&needed), "{needed} of {count} shares");
    getrandom::fill(&mut [0; 1]).map_err(|_| Error::Random)?; // the dealer draws from the same source, and can't fail kindly
    let shares = Sharks(needed).dealer(secret);
    Ok(shares
        .take(usize::from(count))
        .map(|share| {
            let bytes = Zeroizing::new(Vec::from(&share));
            let mut value = Zeroizing::new([0; 32]);
            value.copy_from_slice(&bytes[1..]);
            (bytes[0], value)
        })
        .collect())
}

/// Puts shares together. The points have to differ; shares of another secret, or fewer than are needed, give a wrong one,
/// which nothing here can tell.
#[must_use]
pub fn join(points: &[Point]) -> Zeroizing<[u8; 32]> {
    let read = |(at, value): &Point| {
        let bytes = Zeroizing::new([&[*at][..], &value[..]].concat());
        Share::try_from(bytes.as_slice()).expect("33 bytes are a share")
    };
    let shares: Vec<Share> = points.iter().map(read).collect();
    let joined = Zeroizing::new(Sharks(0).recover(&shares).unwrap_or_default());
    let mut secret = Zeroizing::new([0; 32]);
    if joined.len() == secret.len() {
        secret.copy_from_slice(&joined);
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_many_as_are_needed_give_the_secret_back_and_fewer_do_not(
            secret in any::<[u8; 32]>(),
            (needed, count) in (2..9_u8).prop_flat_map(|needed| (Just(needed), needed..12)),
            order in any::<u64>(),
        ) {
            let mut shares = split(&secret, needed, count).unwrap();
            let points: Vec<u8> = shares.iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(points, (1..=count).collect::<Vec<_>>());
            shares.sort_by_key(|(at, _)| order.rotate_left(u32::from(*at) * 5) ^ u64::from(*at));
            prop_assert_eq!(*join(&shares[..usize::from(needed)]), secret);
            prop_assert_eq!(*join(&shares), secret);
            prop_assert_ne!(*join(&shares[..usize::from(needed) - 1]), secret);
        }
    }
}
