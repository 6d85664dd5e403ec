//! The vault: which ways lead to its key, and changing them.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::unlock;
use crate::db::{
    self, Count, Database, Encrypted, KdfParams, Passphrase, RecoveryKey, Rekeyed, Share, Slot, Store, check_counts,
};
use crate::model::{Actor, Name};
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
    /// Memory in bytes that one try of a passphrase takes, of the dearest; 0 if there is none.
    pub memory: u64,
}

/// Says how the vault stands. Needs no passphrase.
pub fn status(database: &Database) -> Result<Status, Error> {
    let slots = database.slots()?;
    let passphrases = slots.iter().filter(|slot| slot.kind == "passphrase");
    let memory = passphrases.map(|slot| (128 * u64::from(slot.r)) << slot.log_n).max().unwrap_or(0);
    let (encrypted, old_pages) = (database.is_encrypted()?, database.has_old_pages()?);
    let unlocked = !encrypted || database.remembered()?;
    Ok(Status { database: database.path().to_owned(), encrypted, old_pages, unlocked, slots, memory })
}

/// Returns the passphrases that a database has; nothing that needs one of them is asked for.
fn passphrases(database: &Database) -> Result<Vec<Name>, Error> {
    if !database.is_encrypted()? {
        return Err(db::Error::Unencrypted.into());
    }
    let passphrases = database.slots()?.into_iter().filter(|slot| slot.kind == "passphrase");
    Ok(passphrases.map(|slot| slot.name).collect())
}

fn is_among(names: &[Name], name: &Name) -> bool {
    names.iter().any(|known| known.as_str().eq_ignore_ascii_case(name.as_str()))
}

/// Sees that there is a passphrase of this name, before anybody is asked for one.
///
/// # Errors
/// [`db::Error::NotFound`]; [`db::Error::Unencrypted`].
pub fn knows_passphrase(database: &Database, name: &Name) -> Result<(), Error> {
    let found = is_among(&passphrases(database)?, name);
    if found { Ok(()) } else { Err(db::Error::NotFound { what: "passphrase", name: name.to_string() }.into()) }
}

/// Sees that there is no passphrase of this name yet, before anybody is asked for one.
///
/// # Errors
/// [`db::Error::Duplicate`]; [`db::Error::Unencrypted`].
pub fn has_no_passphrase(database: &Database, name: &Name) -> Result<(), Error> {
    let known = passphrases(database)?.into_iter().find(|known| is_among(std::slice::from_ref(known), name));
    let taken = known.map(|known| db::Error::Duplicate { what: format!("a passphrase named `{known}`") });
    taken.map_or(Ok(()), |taken| Err(taken.into()))
}

/// Sees that there is a passphrase of this name and another one besides, before anybody is asked for one.
///
/// # Errors
/// [`db::Error::NotFound`]; [`db::Error::LastPassphrase`]; [`db::Error::Unencrypted`].
pub fn may_be_removed(database: &Database, name: &Name) -> Result<(), Error> {
    knows_passphrase(database, name)?;
    match passphrases(database)?.as_slice() {
        [only] => Err(db::Error::LastPassphrase { name: only.clone() }.into()),
        _ => Ok(()),
    }
}

/// Adds a passphrase; the others stay as they are.
///
/// # Errors
/// When there is one of this name, or it unlocks already, or there are too many.
pub fn add_passphrase(
    store: &mut Store,
    name: &Name,
    (new, cost): (&Passphrase, KdfParams),
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(), Error> {
    Ok(store.add_passphrase(name, new, cost, actor, clock.now())?)
}

/// Replaces a passphrase: the one of this name, else the one that unlocked. Returns its name.
///
/// # Errors
/// When it isn't clear which, or the new one is another's.
pub fn change_passphrase(
    store: &mut Store,
    name: Option<&Name>,
    (new, cost): (&Passphrase, KdfParams),
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<Name, Error> {
    Ok(store.change_passphrase(name, new, cost, actor, clock.now())?)
}

/// Takes a passphrase away. Returns its name, as it was given to it.
///
/// # Errors
/// When there is none of this name, or it is the last.
pub fn remove_passphrase(store: &mut Store, name: &Name, actor: &Actor, clock: &dyn Clock) -> Result<Name, Error> {
    Ok(store.remove_passphrase(name, actor, clock.now())?)
}

/// Replaces the recovery key; the old one no longer unlocks.
pub fn new_recovery_key(store: &mut Store, actor: &Actor, clock: &dyn Clock) -> Result<RecoveryKey, Error> {
    Ok(store.new_recovery_key(actor, clock.now())?)
}

/// Replaces the recovery key by one that nobody sees: only its shares are returned, of which any `needed` are as good as it.
///
/// # Errors
/// Counts that make no sense, before anything is replaced.
pub fn new_recovery_shares(
    store: &mut Store,
    (count, needed): (u8, u8),
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<Vec<Share>, Error> {
    check_counts(count, needed).map_err(db::Error::Shares)?;
    let key = store.new_recovery_key(actor, clock.now())?;
    Ok(key.split(count, needed)?)
}

/// Unlocks a database with shares of its recovery key, and gives the passphrase of this name, or the only one, another text.
/// Returns its name.
///
/// # Errors
/// Says which share is mistyped or of another set, or how many are missing; [`db::Error::WrongPassphrase`] when they are those of
/// another database, or of a key that was replaced since.
pub fn recover<S: AsRef<str>>(
    path: &Path,
    shares: &[S],
    name: Option<&Name>,
    (new, cost): (&Passphrase, KdfParams),
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<Name, Error> {
    let key = RecoveryKey::join(shares).map_err(db::Error::Shares)?;
    let database = unlock::open(path)?;
    let mut store = database.unlock(&Passphrase::new(key.expose()), actor, clock.now())?;
    Ok(store.change_passphrase(name, new, cost, actor, clock.now())?)
}

/// What rekeying did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// How many values were sealed anew.
    pub cells: usize,
    /// The passphrases that unlock, as they did before.
    pub passphrases: Vec<Name>,
    /// When.
    pub time: DateTime<Utc>,
}

/// Seals everything anew under a new data key, and makes a new recovery key. All passphrases stay.
pub fn rekey(
    store: &mut Store,
    passphrase: &Passphrase,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(Sealed, RecoveryKey), Error> {
    let time = clock.now();
    let Rekeyed { recovery, cells, passphrases } = store.rekey(passphrase, actor, time)?;
    store.forget(); // the keyring would hold a key that opens nothing any more
    Ok((Sealed { cells, passphrases, time }, recovery))
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
