//! Keys in the database: plain, or encrypted under a passphrase.

use std::path::Path;

use wg_friend_crypt::{DataKey, KdfParams, PREFIX, derive, open};
use zeroize::Zeroizing;

use super::super::record::Record;
use super::super::sqlite::Database;
use super::super::{ForeignError, Options};

/// What an encrypted database holds under its key, so that a wrong passphrase shows.
const CANARY: &[u8] = b"wireguard-friend-encryption-check";

/// Reads the cost of deriving the key: `Scrypt-1048576-8-1`, which is what it always wrote.
fn cost(record: &Record<'_>) -> Result<KdfParams, ForeignError> {
    let Some(text) = record.text("kdf")? else { return Ok(KdfParams::DEFAULT) };
    let numbers: Vec<u32> = text.split('-').skip(1).filter_map(|number| number.parse().ok()).collect();
    let params = match (text.split('-').next(), &numbers[..]) {
        (Some("Scrypt"), [n, r, p]) if n.is_power_of_two() => KdfParams::new(n.trailing_zeros() as u8, *r, *p).ok(),
        _ => None,
    };
    params.ok_or_else(|| {
        let found = super::super::error::describe(text);
        record.error("kdf", found, "the cost of scrypt, such as Scrypt-1048576-8-1, up to 4 GiB")
    })
}

/// Opens the keys of one database.
pub(super) struct Keys(Option<DataKey>);

impl Keys {
    /// Derives the key of an encrypted database.
    ///
    /// # Errors
    /// The passphrase is missing or wrong.
    pub(super) fn of(path: &Path, database: &Database, options: &Options) -> Result<Self, ForeignError> {
        let metadata = database.rows("encryption_metadata")?;
        let Some(record) = metadata.records().next() else { return Ok(Self(None)) };
        let encrypted = |what| ForeignError::Encrypted { file: path.to_owned(), what };
        let passphrase = options.passphrase.as_ref().ok_or_else(|| encrypted("its passphrase is needed"))?;
        let salt = database.blob("encryption_metadata", "salt")?.and_then(|salt| <[u8; 32]>::try_from(salt).ok());
        let salt = salt.ok_or_else(|| record.error("salt", "something else".to_owned(), "32 bytes"))?;
        let key = derive(passphrase.as_bytes(), &salt, cost(&record)?)
            .map_err(|_| encrypted("there isn't enough memory to derive the key (1 GiB)"))?;
        match open(&key, b"", record.required("key_check")?) {
            Ok(plain) if plain.as_slice() == CANARY => Ok(Self(Some(key))),
            _ => Err(encrypted("the passphrase is wrong")),
        }
    }

    /// A key that may be encrypted, as text.
    pub(super) fn text(&self, record: &Record<'_>, name: &str) -> Result<Option<Zeroizing<String>>, ForeignError> {
        let Some(text) = record.text(name)? else { return Ok(None) };
        if !text.starts_with(PREFIX) {
            return Ok(Some(Zeroizing::new(text.to_owned())));
        }
        let wrong = || record.error(name, "an encrypted value".to_owned(), "one that its passphrase opens");
        let key = self.0.as_ref().ok_or_else(wrong)?;
        let plain = open(key, b"", text).map_err(|_| wrong())?;
        let plain = std::str::from_utf8(&plain).map_err(|_| wrong())?;
        Ok(Some(Zeroizing::new(plain.to_owned())))
    }
}
