//! The vault: which ways lead to its key, and changing them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Count, Database, Encrypted, KdfParams, Passphrase, RecoveryKey, Rekeyed, Slot, Store, keyring};
use crate::model::Actor;
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::settings::KdfProfile;

/// The least cost that [`cost`] takes from the environment: 1 MiB, a few milliseconds.
const LEAST_LOG_N: u8 = 10;

/// Returns the cost of a new passphrase: of the profile, unless `log_n` (base-2 logarithm of scrypt's n, at least 10)
/// says otherwise.
pub fn cost(profile: KdfProfile, log_n: Option<&str>) -> Result<KdfParams, Error> {
    let Some(text) = log_n else {
        return Ok(match profile {
            KdfProfile::Standard => KdfParams::DEFAULT,
            KdfProfile::Light => KdfParams::LIGHT,
        });
    };
    let wrong = || Error::value("WG_FRIEND_KDF_LOG_N", format!("`{text}` is no number from {LEAST_LOG_N} to 20"));
    let log_n: u8 = text.parse().map_err(|_| wrong())?;
    if !(LEAST_LOG_N..=KdfParams::DEFAULT.log_n()).contains(&log_n) {
        return Err(wrong());
    }
    KdfParams::new(log_n, KdfParams::DEFAULT.r(), KdfParams::DEFAULT.p()).map_err(|_| wrong())
}

/// How the vault stands.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The database.
    pub database: PathBuf,
    /// Whether its secrets are encrypted.
    pub encrypted: bool,
    /// Whether what was there before it was encrypted may still lie in unused pages of the file. The next command tries
    /// again to write it anew.
    pub old_pages: bool,
    /// Whether commands need no passphrase now: the kernel's keyring holds the key, or there is nothing to unlock.
    pub unlocked: bool,
    /// The ways to the data key.
    pub slots: Vec<Slot>,
    /// Memory in bytes that one try of the passphrase takes; 0 if there is none.
    pub memory: u64,
}

/// Says how the vault stands. Needs no passphrase.
pub fn status(database: &Database) -> Result<Status, Error> {
    let slots = database.slots()?;
    let passphrase = slots.iter().find(|slot| slot.kind == "passphrase");
    let memory = passphrase.map_or(0, |slot| (128 * u64::from(slot.r)) << slot.log_n);
    let (encrypted, old_pages) = (database.is_encrypted()?, database.has_old_pages()?);
    let unlocked = !encrypted || keyring::recall(database.id()).is_some();
    Ok(Status { database: database.path().to_owned(), encrypted, old_pages, unlocked, slots, memory })
}

/// Replaces the passphrase.
pub fn change_passphrase(
    store: &mut Store,
    new: &Passphrase,
    cost: KdfParams,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(), Error> {
    Ok(store.change_passphrase(new, cost, actor, clock.now())?)
}

/// Replaces the recovery key; the old one no longer unlocks.
pub fn new_recovery_key(store: &mut Store, actor: &Actor, clock: &dyn Clock) -> Result<RecoveryKey, Error> {
    Ok(store.new_recovery_key(actor, clock.now())?)
}

/// What rekeying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// How many values were sealed anew.
    pub cells: usize,
    /// When.
    pub time: DateTime<Utc>,
}

/// Seals everything anew under a new data key, and makes a new recovery key.
pub fn rekey(
    store: &mut Store,
    passphrase: &Passphrase,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(Sealed, RecoveryKey), Error> {
    let time = clock.now();
    let Rekeyed { recovery, cells } = store.rekey(passphrase, actor, time)?;
    store.forget(); // the keyring would hold a key that opens nothing any more
    Ok((Sealed { cells, time }, recovery))
}

/// What encrypting did.
#[derive(Debug, Serialize)]
pub struct Encryption {
    /// How many values of each kind were encrypted.
    pub counts: Vec<Count>,
    /// When.
    pub time: DateTime<Utc>,
    /// Why unused pages of the file may still hold what was there before, if they may.
    pub old_pages: Option<String>,
    /// Copies of the file from before, which still hold its secrets for whoever has them.
    pub copies: Vec<PathBuf>,
}

/// Encrypts a database that was made without encryption, and makes a recovery key.
pub fn encrypt(
    store: &mut Store,
    passphrase: &Passphrase,
    cost: KdfParams,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(Encryption, RecoveryKey), Error> {
    let time = clock.now();
    let copies = store.copies()?; // asked before, so that nothing can fail between encrypting and showing the recovery key
    let Encrypted { recovery, counts, old_pages } = store.encrypt(passphrase, cost, actor, time)?;
    Ok((Encryption { counts, time, old_pages: old_pages.map(|error| error.to_string()), copies }, recovery))
}

/// Overwrites and removes copies of the file that hold it as it was before it was encrypted.
pub fn remove_copies(database: &Database, copies: &[PathBuf]) -> Result<(), Error> {
    Ok(database.remove_copies(copies)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_can_be_lowered_but_not_to_nothing() {
        assert_eq!(cost(KdfProfile::Standard, None).unwrap(), KdfParams::DEFAULT);
        assert_eq!(cost(KdfProfile::Light, None).unwrap(), KdfParams::LIGHT);
        assert_eq!(cost(KdfProfile::Light, Some("10")).unwrap().log_n(), 10);
        for bad in ["9", "21", "x", ""] {
            assert!(cost(KdfProfile::Light, Some(bad)).is_err(), "{bad}");
        }
    }
}
