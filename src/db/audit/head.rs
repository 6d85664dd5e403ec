//! Signed heads: what the log was at one moment, in a few lines that anyone can check who has the public key.
//!
//! The form is that of C2SP's tlog-checkpoint, a signed note, which other programs read as well:
//!
//! ```text
//! wg-friend/5f0c0a4a6ab1d2b4b9e03a5e6a5d2f11
//! 1000
//! 8KBu4O7nAqY1zCqPmT8Jq5XQ3o8v0bVq9oYc2m1n0XM=
//! time 2026-11-21T10:00:00.000000Z
//!
//! — wg-friend/5f0c0a4a6ab1d2b4b9e03a5e6a5d2f11 bKk0c…
//! ```
//!
//! Origin, which is `wg-friend/` and the database's random name; number of entries; base64 of the Merkle root; when it was
//! signed. After the blank line: an em dash, the origin again, and base64 of the key's id (4 bytes) and the Ed25519 signature
//! (64 bytes) over everything before the blank line. The id is the beginning of `SHA-256(origin ‖ "\n" ‖ 0x01 ‖ public key)`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::merkle::Hash;
use wg_friend_crypt::{SigningKey, is_signed};

/// What origins begin with.
const ORIGIN: &str = "wg-friend/";

/// The signature type of Ed25519 in signed notes.
const ED25519: u8 = 1;

/// The public key that a log's heads are signed with, and the name it goes by.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    origin: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of the database with this name.
    pub(super) fn new(database: &str, public: [u8; 32]) -> Self {
        Self { origin: format!("{ORIGIN}{database}"), public }
    }

    /// Returns the origin of the heads that it signs.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the 32 bytes of the key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    fn id(&self) -> [u8; 4] {
        let hash =
            Sha256::new_with_prefix(&self.origin).chain_update([b'\n', ED25519]).chain_update(self.public).finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for VerifierKey {
    /// Writes the form of signed notes: `origin+id+key`, the id in hexadecimal, type and key in base64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519][..], &self.public].concat());
        write!(f, "{}+{:08x}+{key}", self.origin, u32::from_be_bytes(self.id()))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A signed statement: at this time, the log of this database had so many entries, and their Merkle root was this.
///
/// Its text, `to_string`, is what is kept elsewhere and read back with `parse`. It serialises as that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    origin: String,
    size: u64,
    root: Hash,
    time: DateTime<Utc>,
    key: [u8; 4],
    signature: [u8; 64],
}

impl SignedHead {
    /// Signs a head. The time is kept to the microsecond.
    pub(super) fn sign(database: &str, size: u64, root: Hash, time: DateTime<Utc>, key: &SigningKey) -> Self {
        let verifier = VerifierKey::new(database, key.public());
        let mut head = Self::from_parts(&verifier, size, root, time, [0; 64]);
        head.signature = key.sign(head.body().as_bytes());
        head
    }

    /// Puts together a head that is stored in parts.
    pub(super) fn from_parts(
        key: &VerifierKey,
        size: u64,
        root: Hash,
        time: DateTime<Utc>,
        signature: [u8; 64],
    ) -> Self {
        Self { origin: key.origin.clone(), size, root, time, key: key.id(), signature }
    }

    /// Returns which log it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the random name of the database: [`Database::id`](crate::db::Database::id).
    pub fn database(&self) -> &str {
        self.origin.strip_prefix(ORIGIN).unwrap_or(&self.origin)
    }

    /// Returns how many entries the log had.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the Merkle tree over their hashes.
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// Returns when it was signed.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Returns the Ed25519 signature over [`SignedHead::body`].
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Returns the text that is signed.
    pub fn body(&self) -> String {
        let Self { origin, size, root, time, .. } = self;
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        format!("{origin}\n{size}\n{}\ntime {time}\n", STANDARD.encode(root))
    }

    /// Whether it was signed with this key.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.origin == key.origin
            && self.key == key.id()
            && is_signed(&key.public, self.body().as_bytes(), &self.signature)
    }

    /// Reads all the heads in a text, in which one follows on another.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, InvalidHead> {
        let mut heads = Vec::new();
        let mut lines = text.lines().peekable();
        while lines.peek().is_some() {
            let body: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            if body.is_empty() {
                continue;
            }
            let mut signatures = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(DASH)) {
                signatures.push(line);
            }
            heads.push(Self::read(&body, &signatures).ok_or(InvalidHead)?);
        }
        if heads.is_empty() { Err(InvalidHead) } else { Ok(heads) }
    }

    /// Reads one head. Others may have signed it too: their lines don't matter.
    fn read(body: &[&str], signatures: &[&str]) -> Option<Self> {
        let [origin, size, root, time] = body else { return None };
        let database = origin.strip_prefix(ORIGIN)?;
        if database.is_empty() || !database.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let own = |line: &&str| line.strip_prefix(DASH)?.strip_prefix(origin)?.strip_prefix(' ').map(str::to_owned);
        let signature = STANDARD.decode(signatures.iter().find_map(own)?).ok()?;
        let (key, signature) = signature.split_first_chunk()?;
        let head = Self {
            origin: (*origin).to_owned(),
            size: size.parse().ok()?,
            root: STANDARD.decode(root).ok()?.try_into().ok()?,
            time: DateTime::parse_from_rfc3339(time.strip_prefix("time ")?).ok()?.to_utc(),
            key: *key,
            signature: signature.try_into().ok()?,
        };
        // What was written differently would have been signed differently.
        (head.body() == format!("{}\n", body.join("\n"))).then_some(head)
    }
}

/// What signature lines begin with.
const DASH: &str = "\u{2014} ";

impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = STANDARD.encode([&self.key[..], &self.signature].concat());
        writeln!(f, "{}\n{DASH}{} {signature}", self.body(), self.origin)
    }
}

impl FromStr for SignedHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        match <[Self; 1]>::try_from(Self::parse_all(text)?) {
            Ok([head]) => Ok(head),
            Err(_) => Err(InvalidHead),
        }
    }
}

impl Serialize for SignedHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Not a signed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signed head: expected the lines that `wg-friend audit checkpoint` prints")]
pub struct InvalidHead;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn head(size: u64) -> SignedHead {
        let time = DateTime::from_timestamp_micros(1_763_720_000_123_456).unwrap();
        SignedHead::sign("5f0c", size, [9; 32], time, &key())
    }

    #[test]
    fn a_head_is_a_signed_note() {
        insta::assert_snapshot!(head(1000), @"
        wg-friend/5f0c
        1000
        CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=
        time 2025-11-21T10:13:20.123456Z

        — wg-friend/5f0c yS6kjNUkJSU889RkpC+D4i0KsIdXBjdkWjTc0UWb8l2xJ0ROaBlAGIlVpZidXcYJTZ+7fjV27rMfysCZp7/Xr0ocvQE=
        ");
        insta::assert_snapshot!(VerifierKey::new("5f0c", key().public()), @"wg-friend/5f0c+c92ea48c+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs");
    }

    #[test]
    fn heads_are_read_back_one_or_many() {
        let (one, two) = (head(1), head(u64::MAX));
        assert_eq!(one.to_string().parse(), Ok(one.clone()));
        assert!(one.is_signed_by(&VerifierKey::new("5f0c", key().public())));
        assert!(!one.is_signed_by(&VerifierKey::new("5f0d", key().public())));
        assert!(!one.is_signed_by(&VerifierKey::new("5f0c", SigningKey::from_seed(&[8; 32]).public())));
        let cosigned = format!("{one}\u{2014} witness.example AAAA\n\n{two}");
        assert_eq!(SignedHead::parse_all(&cosigned), Ok(vec![one.clone(), two.clone()]));
        assert_eq!(SignedHead::parse_all(&format!("{one}{two}")), Ok(vec![one, two]));
        for text in [
            "",
            "\n\n",
            "no",
            &head(1).body(),
            &format!("{}x\n", head(1)),
            &format!("{} ", head(1)).replace("\n1\n", "\n01\n"),
        ] {
            assert_eq!(SignedHead::parse_all(text), Err(InvalidHead), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "(wg-friend/a|b)\n[0-9]{1,3}\n[A-Za-z0-9+/=]{1,50}\n(time )?.{0,20}\n\n(\u{2014} )?.{0,30}") {
            if let Ok(heads) = SignedHead::parse_all(&text) {
                let written: String = heads.iter().map(ToString::to_string).collect();
                prop_assert_eq!(SignedHead::parse_all(&written), Ok(heads));
            }
        }

        #[test]
        fn a_changed_letter_is_no_head_or_not_signed(at in any::<prop::sample::Index>(), to in any::<char>()) {
            let text = head(1234).to_string();
            let mut letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len());
            prop_assume!(letters[at] != to && at + 1 < letters.len());
            letters[at] = to;
            let changed: String = letters.into_iter().collect();
            let verifier = VerifierKey::new("5f0c", key().public());
            let held = SignedHead::parse_all(&changed).is_ok_and(|heads| heads.iter().all(|head| head.is_signed_by(&verifier)));
            prop_assert!(!held, "{}", changed);
        }
    }
}
