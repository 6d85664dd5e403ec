//! Several passphrases: adding one, replacing one, taking one away.

use chrono::{DateTime, Utc};
use rusqlite::params;
use wg_friend_crypt::KdfParams;

use super::error::{Error, Result};
use super::slots::{self, Derived, Found, MOST_PASSPHRASES, RECOVERY, Way};
use super::vault::{Passphrase, RecoveryKey};
use super::{Store, Tx, micros};
use crate::model::{Action, Actor, Event, Name};

impl Store {
    /// Returns the name of the passphrase that unlocked; `None` if the recovery key or the keyring did.
    pub fn opened_with(&self) -> Option<&Name> {
        self.opened.as_ref()
    }

    /// Adds a passphrase. What the others unlock stays as it is.
    ///
    /// # Errors
    /// [`Error::PassphraseTooShort`]; [`Error::Duplicate`] when there is one of this name; [`Error::PassphraseTaken`] when it is
    /// another's; [`Error::TooManyPassphrases`], [`Error::TooManyCosts`]; [`Error::Busy`] when somebody changes them at the same time.
    pub fn add_passphrase(
        &mut self,
        name: &Name,
        new: &Passphrase,
        params: KdfParams,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<()> {
        new.check_new()?;
        self.has_slots()?;
        let (ways, _) = slots::checked(&self.conn, &self.key)?;
        if let Some(there) = ways.iter().find(|way| way.name.as_str().eq_ignore_ascii_case(name.as_str())) {
            let of = if there.is_passphrase() { "a passphrase" } else { "the recovery key" };
            return Err(Error::Duplicate { what: format!("{of} named `{}`", there.name) });
        }
        if ways.iter().filter(|way| way.is_passphrase()).count() >= MOST_PASSPHRASES {
            return Err(Error::TooManyPassphrases { most: MOST_PASSPHRASES });
        }
        let derived = new_passphrase(&ways, None, new, params)?;
        let event = Event::database(Action::PassphraseAdded).with("passphrase", name.as_str());
        let way = Way::of_passphrase(name, &self.key, &derived, &actor.operator, now)?;
        self.change_ways(&ways, actor, now, &event.with("log_n", params.log_n()), |tx| way.save(&tx.transaction))
    }

    /// Replaces a passphrase: the one of this name, else the one that unlocked, else the only one. The data key stays, so this
    /// costs the same whatever the size of the database. Returns the name.
    ///
    /// # Errors
    /// [`Error::WhichPassphrase`] when that leaves it open; [`Error::NotFound`]; otherwise as [`Store::add_passphrase`].
    pub fn change_passphrase(
        &mut self,
        name: Option<&Name>,
        new: &Passphrase,
        params: KdfParams,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Name> {
        new.check_new()?;
        self.has_slots()?;
        let (ways, _) = slots::checked(&self.conn, &self.key)?;
        let name = self.meant(name, &ways)?;
        let derived = new_passphrase(&ways, Some(&name), new, params)?;
        let event = Event::database(Action::PassphraseChanged).with("passphrase", name.as_str());
        let way = Way::of_passphrase(&name, &self.key, &derived, &actor.operator, now)?;
        self.change_ways(&ways, actor, now, &event.with("log_n", params.log_n()), |tx| way.save(&tx.transaction))?;
        Ok(name)
    }

    /// Takes a passphrase away. Who had it and kept a copy of the data key is locked out by [`Store::rekey`] only.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::LastPassphrase`]; [`Error::Busy`] when somebody changes them at the same time.
    pub fn remove_passphrase(&mut self, name: &Name, actor: &Actor, now: DateTime<Utc>) -> Result<Name> {
        self.has_slots()?;
        let (ways, _) = slots::checked(&self.conn, &self.key)?;
        let name = self.meant(Some(name), &ways)?;
        if ways.iter().filter(|way| way.is_passphrase()).count() == 1 {
            return Err(Error::LastPassphrase { name });
        }
        let event = Event::database(Action::PassphraseRemoved).with("passphrase", name.as_str());
        self.change_ways(&ways, actor, now, &event, |tx| {
            tx.transaction
                .execute("DELETE FROM slots WHERE name = ?1 AND kind <> ?2", params![name.as_str(), RECOVERY])?;
            Ok(())
        })?;
        Ok(name)
    }

    /// Replaces the recovery key.
    pub fn new_recovery_key(&mut self, actor: &Actor, now: DateTime<Utc>) -> Result<RecoveryKey> {
        self.has_slots()?;
        let (ways, _) = slots::checked(&self.conn, &self.key)?;
        let recovery = RecoveryKey::random()?;
        let way = Way::recovery(&self.key, &recovery, &actor.operator, now)?;
        let event = Event::database(Action::RecoveryKeyChanged);
        self.change_ways(&ways, actor, now, &event, |tx| way.save(&tx.transaction))?;
        Ok(recovery)
    }

    /// Finds the name of the passphrase that is meant, as it was given to it.
    fn meant(&self, name: Option<&Name>, ways: &[Way]) -> Result<Name> {
        let mut known: Vec<Name> = ways.iter().filter(|way| way.is_passphrase()).map(|way| way.name.clone()).collect();
        if let Some(name) = name.or(self.opened.as_ref()) {
            let found = known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name.as_str()));
            return found.ok_or_else(|| Error::NotFound { what: "passphrase", name: name.to_string() });
        }
        match known.len() {
            1 => Ok(known.remove(0)),
            _ => Err(Error::WhichPassphrase { known }),
        }
    }

    /// Changes slots: with the audit entry, and sealed anew, in one transaction.
    fn change_ways(
        &mut self,
        seen: &[Way],
        actor: &Actor,
        now: DateTime<Utc>,
        event: &Event,
        change: impl FnOnce(&Tx<'_>) -> Result<()>,
    ) -> Result<()> {
        self.quietly(|tx| {
            let (ways, _) = slots::checked(&tx.transaction, tx.data_key())?;
            if !are_alike(&ways, seen) {
                return Err(Error::Busy); // what was derived in the meantime was compared with others
            }
            change(tx)?;
            tx.record(now, actor, event)?;
            slots::seal(&tx.transaction, tx.data_key())
        })?;
        self.drop_old_pages_if_possible();
        Ok(())
    }
}

/// Whether two readings show the same slots, whoever used them in between.
fn are_alike(one: &[Way], other: &[Way]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| (&one.name, &one.slot) == (&other.name, &other.slot))
}

/// Derives what the slot of a new passphrase needs, which must open none that stays. With the salt of those of its cost: then
/// the derivation that compares serves the slot as well.
fn new_passphrase(ways: &[Way], replaced: Option<&Name>, new: &Passphrase, params: KdfParams) -> Result<Derived> {
    let others: Vec<Way> =
        ways.iter().filter(|way| way.is_passphrase() && Some(&way.name) != replaced).cloned().collect();
    let others = slots::slots_of(&others);
    let mut own = None;
    let costs = slots::costs(&others);
    if costs.len() >= slots::MOST_COSTS && costs.iter().all(|(cost, _)| *cost != params) {
        return Err(Error::TooManyCosts { most: slots::MOST_COSTS });
    }
    for (cost, salt) in costs {
        let derived = Derived::new(new, cost, salt)?;
        if derived.opens_one_of(&others)? {
            return Err(Error::PassphraseTaken);
        }
        if cost == params {
            own = Some(derived);
        }
    }
    own.map_or_else(|| Derived::salted(new, params), Ok)
}

impl Tx<'_> {
    /// Sees whether the slots are those that were set, and that the one that opened is still among them. Brings those of an
    /// earlier version to the present form. Returns the name of the passphrase that opened.
    pub(super) fn admit(&self, found: &Found, seen: &Way, actor: &Actor, now: DateTime<Utc>) -> Result<Option<Name>> {
        let conn = &self.transaction;
        let (ways, sealed) = slots::checked(conn, self.data_key())?;
        if !ways.iter().any(|way| (&way.name, &way.slot) == (&seen.name, &seen.slot)) {
            return Err(Error::WrongPassphrase); // it was, a moment ago
        }
        let mut event = Event::database(Action::VaultUpgraded);
        let earlier = found.derived.as_ref().filter(|_| seen.slot.pair.is_none());
        if let Some(derived) = earlier {
            seen.with_pair(self.data_key(), derived)?.save(conn)?;
            event = event.with("passphrase", seen.name.as_str());
        }
        if earlier.is_some() || !sealed {
            self.record(now, actor, &event)?;
            slots::seal(conn, self.data_key())?;
        }
        Ok(seen.is_passphrase().then(|| seen.name.clone()))
    }

    /// Remembers when a slot was used, for people to look at: as often as the audit log tells of it.
    pub(super) fn note_used(&self, way: &Way, now: DateTime<Utc>) -> Result<()> {
        let sql = "UPDATE slots SET used = ?1 WHERE name = ?2";
        self.transaction.execute(sql, params![micros(now), way.name.as_str()])?;
        Ok(())
    }
}
