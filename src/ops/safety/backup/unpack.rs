//! From a backup whose key is there to what it holds, where nobody sees it: its parts, and its database opened.

use std::fs::File;
use std::io::{self, Write};

use wg_friend_crypt::DataKey;
use zeroize::Zeroizing;

use super::base::Bases;
use super::{DATABASE, digest};
use crate::db::archive::{Base, Content, Header, Laying, Lock, Manifest, Opened, Part, What};
use crate::db::{self, Database, Scratch, Store, keyring};
use crate::ops::Error;

pub(super) fn damaged(what: impl Into<String>) -> Error {
    db::Error::BackupDamaged { what: what.into() }.into()
}

/// Takes a part that isn't the database.
type Keep<'k> = &'k mut dyn FnMut(&Part, &[u8]) -> Result<(), Error>;

/// Where a part goes.
enum Place {
    Disk(File),
    Onto(Laying),
    Memory(Zeroizing<Vec<u8>>),
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Disk(file) => file.write(bytes),
            Self::Onto(laying) => laying.write(bytes),
            Self::Memory(memory) => memory.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Disk(file) => file.flush(),
            Self::Onto(laying) => laying.flush(),
            Self::Memory(_) => Ok(()),
        }
    }
}

/// A backup that its key has opened.
#[derive(Debug)]
pub(super) struct Unlocked {
    header: Header,
    key: DataKey,
    content: Content,
    /// What it builds on, if it does.
    bases: Option<Bases>,
}

impl Unlocked {
    /// Opens the contents of a backup with its base key.
    pub(super) fn new(opened: Opened, key: DataKey, bases: Option<Bases>) -> Result<Self, Error> {
        let header = opened.header().clone();
        let content = opened.content(&key)?;
        Ok(Self { header, key, content, bases })
    }

    /// Unpacks it: its database into a scratch directory, every other part into `keep`. Each part has the checksum that the
    /// manifest says by then, and nothing follows on the last; so has the database that comes of pages and what they are laid
    /// onto.
    pub(super) fn unpack(self, scratch: &Scratch, keep: Keep<'_>) -> Result<Unpacked, Error> {
        let Self { header, key, mut content, bases } = self;
        let manifest = content.manifest().clone();
        let onto = bases.as_ref().zip(manifest.base.as_ref());
        if let Some((bases, base)) = onto {
            bases.lay(base, scratch)?;
        }
        let place = |part: &Part| match part.what {
            What::Database => scratch.create(DATABASE).map(Place::Disk),
            What::Pages => lay(scratch, manifest.base.as_ref()).map(Place::Onto),
            What::Keys | What::Config { .. } => Ok(Place::Memory(Zeroizing::new(Vec::new()))),
        };
        while let Some((part, place)) = content.next(place)? {
            match place {
                Place::Disk(_) => {}
                Place::Onto(laying) => laying.finish()?,
                Place::Memory(bytes) => keep(&part, &bytes)?,
            }
        }
        if let Some((_, base)) = onto
            && digest(&scratch.file(DATABASE))?.1 != base.result
        {
            return Err(damaged("the database that comes of it and what it builds on is not what it was"));
        }
        Ok(Unpacked { header, manifest, key })
    }
}

fn lay(scratch: &Scratch, base: Option<&Base>) -> Result<Laying, db::Error> {
    let nothing = || db::Error::BackupDamaged { what: "it has pages, and builds on nothing".into() };
    Laying::onto(scratch.edit(DATABASE)?, base.ok_or_else(nothing)?)
}

/// A backup that was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Its header.
    pub(super) header: Header,
    /// Its manifest.
    pub(super) manifest: Manifest,
    key: DataKey,
}

impl Unpacked {
    /// Opens the unpacked database; locked if its vault's key isn't at hand.
    pub(super) fn database(
        &self,
        scratch: &Scratch,
        known: Option<&DataKey>,
    ) -> Result<Result<Store, Database>, Error> {
        let (path, header) = (scratch.file(DATABASE), &self.header);
        let database = Database::open(&path)?;
        if database.id() != header.database {
            return Err(damaged("the database in it is another one"));
        }
        let keys = match header.lock {
            Lock::Vault => vec![self.key.duplicate()],
            Lock::Own => {
                let known = known.map(DataKey::duplicate);
                database.plain_key()?.into_iter().chain(known).chain(keyring::recall(&header.database)).collect()
            }
        };
        for key in keys {
            match Database::open(&path)?.unlock_with(key) {
                Ok(store) => return Ok(Ok(store)),
                Err(db::Error::Locked) if header.lock == Lock::Own => {}
                Err(db::Error::Locked) => return Err(damaged("the database in it has another key")),
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Err(database))
    }
}
