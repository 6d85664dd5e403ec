//! The vault: which ways lead to its key, and changing them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, KdfParams, Passphrase, RecoveryKey, Rekeyed, Slot, Store, keyring};
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
    /// Whether the kernel's keyring holds a key for it.
    pub unlocked: bool,
    /// The ways to the data key.
    pub slots: Vec<Slot>,
    /// Memory in bytes that one try of the passphrase takes.
    pub memory: u64,
}

/// Says how the vault stands. Needs no passphrase.
pub fn status(database: &Database) -> Result<Status, Error> {
    let slots = database.slots()?;
    let passphrase = slots.iter().find(|slot| slot.kind == "passphrase");
    let memory = passphrase.map_or(0, |slot| (128 * u64::from(slot.r)) << slot.log_n);
    let unlocked = keyring::recall(database.id()).is_some();
    Ok(Status { database: database.path().to_owned(), unlocked, slots, memory })
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
