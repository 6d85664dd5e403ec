//! The header of a backup: what can be known about it without a key, and the ways to its key.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, DataKey, KdfParams};

use super::{damaged, hex};
use crate::db::error::{Error, Result};
use crate::db::slots::{self, Pair, StoredSlot};
use crate::db::vault::Passphrase;

/// What every backup begins with; the number is that of the format.
pub(super) const MAGIC: &[u8; 19] = b"wg-friend backup 1\n";

/// The longest header in bytes; each way to the key takes less than a thousand.
const LONGEST: u32 = 1 << 16;

/// The most ways to a key that a header has: all passphrases, and the recovery key.
const MOST_SLOTS: usize = slots::MOST_PASSPHRASES + 1;

/// What a backup has of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All of it: the database, and every configuration.
    Full,
    /// The same, as what differs from a full one.
    Incremental,
    /// The configurations alone.
    ConfigOnly,
    /// The private and preshared keys alone.
    KeysOnly,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Full, Self::Incremental, Self::ConfigOnly, Self::KeysOnly];

    /// Whether a database comes out of it.
    pub fn has_database(self) -> bool {
        matches!(self, Self::Full | Self::Incremental)
    }

    /// Returns it as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::ConfigOnly => "config-only",
            Self::KeysOnly => "keys-only",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no kind of backup: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What opens a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// The passphrase and the recovery key that the database had then.
    Vault,
    /// A passphrase of its own.
    Own,
}

/// The full backup on which an incremental one builds, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseName {
    /// Its random name, 32 hexadecimal digits.
    pub id: String,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
}

/// The header of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Random name of the backup, 32 hexadecimal digits.
    pub id: String,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
    /// What it has of the database.
    pub kind: Kind,
    /// The version of wg-friend that made it.
    pub version: String,
    /// The random name of the database.
    pub database: String,
    /// What opens it.
    pub lock: Lock,
    /// What an incremental one builds on: whoever is to restore it has to find that, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseName>,
    /// Random, so that the key of its pieces is no other backup's; base64.
    salt: String,
    slots: Vec<SlotText>,
}

/// A way to the base key, as the header holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SlotText {
    kind: String,
    log_n: u8,
    r: u32,
    p: u32,
    salt: String,
    /// The pair of keys of a passphrase; none in backups that earlier versions made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    wrapped: String,
    created: DateTime<Utc>,
}

impl SlotText {
    fn of(slot: &StoredSlot) -> Self {
        let (log_n, r, p) = (slot.params.log_n(), slot.params.r(), slot.params.p());
        let (salt, wrapped) = (STANDARD.encode(slot.salt), STANDARD.encode(&slot.wrapped));
        let pair = slot.pair.as_ref();
        let public_key = pair.map(|pair| STANDARD.encode(pair.public));
        let locked_key = pair.map(|pair| STANDARD.encode(&pair.locked));
        let tag = pair.map(|pair| STANDARD.encode(pair.tag));
        let (kind, created) = (slot.kind.clone(), slot.created);
        Self { kind, log_n, r, p, salt, public_key, locked_key, tag, wrapped, created }
    }

    /// Reads it; the cost is checked before anybody pays it.
    fn stored(&self) -> Option<StoredSlot> {
        let params = KdfParams::new(self.log_n, self.r, self.p).ok()?;
        let salt = STANDARD.decode(&self.salt).ok()?.try_into().ok()?;
        let wrapped = STANDARD.decode(&self.wrapped).ok()?;
        let pair = match (&self.public_key, &self.locked_key, &self.tag) {
            (Some(public), Some(locked), Some(tag)) => {
                let public = STANDARD.decode(public).ok()?.try_into().ok()?;
                let tag = STANDARD.decode(tag).ok()?.try_into().ok()?;
                Some(Pair { public, locked: STANDARD.decode(locked).ok()?, tag })
            }
            (None, None, None) => None,
            _ => return None,
        };
        Some(StoredSlot { kind: self.kind.clone(), params, salt, pair, wrapped, created: self.created })
    }
}

impl Header {
    /// Makes the header of a new backup; `slots` lead to its base key.
    pub(in crate::db) fn new(
        kind: Kind,
        lock: Lock,
        database: &str,
        slots: &[StoredSlot],
        now: DateTime<Utc>,
    ) -> Result<Self> {
        Ok(Self {
            id: hex(&crypt::random()?[..16]),
            created: now,
            kind,
            version: env!("CARGO_PKG_VERSION").into(),
            database: database.into(),
            lock,
            base: None,
            salt: STANDARD.encode(crypt::random()?.as_slice()),
            slots: slots.iter().map(SlotText::of).collect(),
        })
    }

    /// Makes it that of an incremental one.
    #[must_use]
    pub fn building_on(self, base: BaseName) -> Self {
        Self { kind: Kind::Incremental, base: Some(base), ..self }
    }

    /// Returns everything that stands before the pieces.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(self).map_err(|e| damaged(format!("its header can't be written: {e}")))?;
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| damaged("its header would be too long"))?;
        let mut bytes = [&MAGIC[..], &length.to_be_bytes(), &text].concat();
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Ok(bytes)
    }

    /// Reads everything that stands before the pieces; returns the header and all its bytes.
    pub(super) fn read(from: &mut dyn Read) -> Result<(Self, Vec<u8>)> {
        let mut bytes = vec![0; MAGIC.len()];
        read_exact(from, &mut bytes).map_err(|_| Error::NotABackup)?;
        if bytes != MAGIC {
            return Err(Error::NotABackup);
        }
        let cut_off = |_| damaged("it ends within its header");
        let mut length = [0; 4];
        read_exact(from, &mut length).map_err(cut_off)?;
        bytes.extend_from_slice(&length);
        let length = u32::from_be_bytes(length);
        if length > LONGEST {
            return Err(damaged("its header says that it is longer than any header"));
        }
        let mut rest = vec![0; length as usize + 32];
        read_exact(from, &mut rest).map_err(cut_off)?;
        bytes.extend_from_slice(&rest);
        let (covered, sum) = bytes.split_at(bytes.len() - 32);
        if Sha256::digest(covered)[..] != *sum {
            return Err(damaged("its header has been changed"));
        }
        let text = &covered[MAGIC.len() + 4..];
        let header: Self = serde_json::from_slice(text).map_err(|_| damaged("its header can't be read"))?;
        let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let base_fits = match &header.base {
            Some(base) => header.kind == Kind::Incremental && is_id(&base.id),
            None => header.kind != Kind::Incremental,
        };
        if !is_id(&header.id) || !is_id(&header.database) || !base_fits || header.slots.len() > MOST_SLOTS {
            return Err(damaged("its header can't be read"));
        }
        Ok((header, bytes))
    }

    /// Finds the base key with what somebody gave: a passphrase, a recovery key, or shares of one. `None` if it is none of
    /// those that the header knows.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`] when the header has no such way, or trying them would cost more than any that were made; [`Error::Crypt`] for want of memory.
    pub fn key(&self, given: &Passphrase) -> Result<Option<DataKey>> {
        let stored: Option<Vec<StoredSlot>> = self.slots.iter().map(SlotText::stored).collect();
        let stored = stored.ok_or_else(no_way)?;
        if !slots::are_affordable(&stored.iter().collect::<Vec<_>>()) {
            return Err(damaged("its header asks for more work than any that was made"));
        }
        let of = |kind: &str| stored.iter().find(|slot| slot.kind == kind).ok_or_else(no_way);
        match self.lock {
            Lock::Own => of(slots::OWN)?.unwrap(given.bytes()),
            Lock::Vault => {
                for kind in [slots::PASSPHRASE, slots::RECOVERY] {
                    of(kind)?;
                }
                let found = slots::find(&stored.iter().collect::<Vec<_>>(), given);
                match found {
                    Err(Error::Damaged { .. }) => Err(damaged("a way to its key has been changed")),
                    found => Ok(found?.map(|found| found.key)),
                }
            }
        }
    }

    /// Returns the base-2 logarithm of the cost of trying a passphrase, and the memory that it takes in bytes: of the dearest.
    pub fn cost(&self) -> Option<(u8, u64)> {
        let passphrases = self.slots.iter().filter(|slot| slot.kind != slots::RECOVERY);
        let costs = passphrases.filter_map(SlotText::stored).map(|slot| (slot.params.log_n(), slot.params.memory()));
        costs.max_by_key(|(_, memory)| *memory)
    }
}

fn no_way() -> Error {
    damaged("its header has no way to its key")
}

/// Returns the key of the pieces: of this base key and this header alone.
pub(super) fn key_of_pieces(base: &DataKey, header: &[u8]) -> DataKey {
    let backups = crypt::subkey(base, "wg-friend backup");
    DataKey::from_bytes(&crypt::mac(&backups, &Sha256::digest(header)))
}

/// Reads so many bytes. That there are fewer is the only error which a caller tells from others by its place.
fn read_exact(from: &mut dyn Read, bytes: &mut [u8]) -> std::io::Result<()> {
    from.read_exact(bytes)
}
