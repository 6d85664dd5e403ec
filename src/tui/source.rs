//! Where screens get what they show, and what they run lines with.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::db::{DataKey, Database, Passphrase, Store};
use crate::model::{Actor, Name};
use crate::ops::Error;
use crate::ops::clock::System;
use crate::ops::safety::handover::Handover;
use crate::ops::safety::unlock::{self, Sources};
use crate::settings::Settings;

/// The database, and what is known for reading it.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub database: PathBuf,
    /// Which of its networks is meant.
    pub network: Option<Name>,
    /// Who is at work.
    pub actor: Actor,
    /// The settings file that was named, if one was.
    pub settings_file: Option<PathBuf>,
    /// The key, once somebody has unlocked it here.
    pub key: Option<DataKey>,
}

impl Clone for Source {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            network: self.network.clone(),
            actor: self.actor.clone(),
            settings_file: self.settings_file.clone(),
            key: self.key.as_ref().map(DataKey::duplicate),
        }
    }
}

impl Source {
    /// Whether there is a database.
    pub fn exists(&self) -> bool {
        self.database.exists()
    }

    /// Returns where the database is.
    pub fn path(&self) -> &Path {
        &self.database
    }

    /// Opens the database, locked.
    ///
    /// # Errors
    /// When it isn't there, or isn't one.
    pub fn open(&self) -> Result<Database, Error> {
        let database = unlock::open(&self.database)?;
        self.choose(&database)?;
        Ok(database)
    }

    /// Opens and unlocks the database with the key that is held here or in the kernel's keyring.
    ///
    /// # Errors
    /// [`Error::Locked`] when there is none.
    pub fn store(&self) -> Result<Store, Error> {
        let held = self.key.as_ref().map(DataKey::duplicate);
        let sources = Sources { held, ..Sources::default() };
        let store = unlock::unlock(&self.database, &sources, &self.actor, &System)?;
        self.choose(&store)?;
        Ok(store)
    }

    /// Returns the key that a passphrase opens.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn unlock(&self, passphrase: Zeroizing<String>) -> Result<DataKey, Error> {
        let sources = Sources { environment: Some(passphrase), ..Sources::default() };
        let (store, _): (Store, Passphrase) = unlock::with_passphrase(&self.database, &sources, &self.actor, &System)?;
        Ok(store.data_key().duplicate())
    }

    /// Returns what the settings file says now.
    ///
    /// # Errors
    /// When it can't be read, or is wrong.
    pub fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings::load(self.settings_file.as_deref())?)
    }

    /// Returns what a line that is run now is handed.
    pub fn handover(&self) -> Handover {
        Handover { key: self.key.as_ref().map(DataKey::duplicate), ..Handover::default() }
    }

    fn choose(&self, database: &Database) -> Result<(), Error> {
        Ok(database.choose(self.network.as_ref().map(Name::as_str))?)
    }
}
