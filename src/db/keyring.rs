//! Unlock once: the kernel keeps the data key for a while, in the user's keyring.
//!
//! The key is named after the database's random id, so a database that was moved is still unlocked, and another one at
//! the same path isn't. Whatever goes wrong on the way to the keyring, the answer is that the database is locked.

use std::time::Duration;

use linux_keyutils::{KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use wg_friend_crypt::DataKey;
use zeroize::Zeroizing;

use super::error::{Error, Result};

fn description(id: &str) -> String {
    format!("wg-friend:{id}")
}

fn keyring() -> Result<KeyRing, linux_keyutils::KeyError> {
    let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
    // A login's session leads to its user's keyring. That of somebody who came by sudo or su leads to another's, and
    // then the kernel lets nobody set a timeout in ours: so the process itself leads to it. Should that fail, what
    // needs it says so.
    if let Ok(own) = KeyRing::from_special_id(KeyRingIdentifier::Process, true) {
        let _ = own.link_keyring(ring);
    }
    Ok(ring)
}

/// Puts a key into the user's keyring; the kernel drops it after `duration`, rounded up to seconds.
pub fn remember(key: &DataKey, id: &str, duration: Duration) -> Result<()> {
    let seconds = usize::try_from(duration.as_secs_f64().ceil() as u64).unwrap_or(usize::MAX).max(1);
    let put = || {
        let added = keyring()?.add_key(&description(id), key.expose())?;
        // The timeout first: from here on the key can't outlive it, whatever happens.
        let limited = added.set_timeout(seconds).and_then(|()| {
            // Processes that don't possess the user's keyring, such as those in a fresh session, are still the user's.
            let owner =
                Permission::VIEW | Permission::READ | Permission::SEARCH | Permission::SETATTR | Permission::WRITE;
            added.set_perms(KeyPermissionsBuilder::builder().posessor(Permission::ALL).user(owner).build())
        });
        if limited.is_err() {
            let _ = added.revoke(); // without both of them it must not stay
        }
        limited
    };
    put().map_err(|e| Error::Keyring(e.to_string()))
}

/// Finds a key in the user's keyring.
#[must_use]
pub fn recall(id: &str) -> Option<DataKey> {
    let found = keyring().ok()?.search(&description(id)).ok()?;
    let mut bytes = Zeroizing::new([0_u8; 33]); // one more than a key has: a longer one is none
    let length = found.read(&mut &mut bytes[..]).ok()?;
    (length == 32).then(|| DataKey::from_bytes(bytes.first_chunk().expect("33 bytes are more than 32")))
}

/// Removes a key from the user's keyring. Whether there was one.
pub fn forget(id: &str) -> bool {
    let Ok(found) = keyring().and_then(|ring| ring.search(&description(id))) else { return false };
    // Revoked, it can't be read even by who has already found it; invalidated, it leaves the keyring at once.
    found.revoke().is_ok() | found.invalidate().is_ok()
}

/// Keeps secrets in this process: no core dump, and no other process of the user may look into its memory.
///
/// # Errors
/// Those of prctl(2) and setrlimit(2). Programs started from here are as usual again, save for the core dumps.
pub fn harden_process() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
