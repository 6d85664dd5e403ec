//! Making a backup. It counts only once it has been restored beside and found to be what it was made of.

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wg_friend_crypt::DataKey;
use zeroize::Zeroizing;

use super::increment::{Chosen, choose};
use super::prove::{check_part, compare, examine};
use super::snapshot::{Picture, keys_document, pictures};
use super::unpack::Unlocked;
use super::{About, DATABASE, EXTENSION, digest, digest_of, open};
use crate::db::archive::{Base, Delta, Header, Kind, Lock, Manifest, NetworkCounts, Part, What, Writer};
use crate::db::{BackupCopy, BackupRecord, KdfParams, PartFile, Passphrase, Scratch, Store};
use crate::model::{Action, Actor, Event};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::generate::sha256;

/// What to make.
#[derive(Debug)]
pub struct Request<'a> {
    /// What it is to have of the database.
    pub kind: Kind,
    /// Its file, or the directory for it; `None` is the directory `backups` beside the database.
    pub to: Option<PathBuf>,
    /// A passphrase of its own, and its cost; `None` is the vault's.
    pub own: Option<(&'a Passphrase, KdfParams)>,
    /// An incremental one is full if the newest full one is that many days old.
    pub full_every: Option<u32>,
    /// Whether it is only tried: made and proven, but not kept.
    pub preview: bool,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Made {
    /// What its header says.
    #[serde(flatten)]
    pub about: About,
    /// Whether it was kept.
    pub saved: bool,
    /// Its file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Whether the secrets in it are sealed once more, under the database's own key.
    pub sealed: bool,
    /// The networks in it.
    pub networks: Vec<NetworkCounts>,
    /// How many entries its audit log has.
    pub audit_entries: i64,
    /// How many configurations were made again from it, and were the live ones.
    pub configs: usize,
    /// How many pages of the database are in it, if it is incremental.
    pub pages: Option<Pages>,
    /// Why it is a full one, if an incremental one was wanted.
    pub full_because: Option<String>,
}

/// How much of a database is in an incremental backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// How many of its pages differ from those of the full backup.
    pub differing: usize,
    /// How many it has.
    pub all: u32,
}

/// The moment that a backup shows.
struct Moment {
    pictures: Vec<Picture>,
    audit_entries: i64,
    audit_head: String,
}

/// What of the database itself is in a backup.
enum Body {
    Nothing,
    Whole,
    Differing(Delta, Base),
}

/// Makes a backup, proves it, puts it in place and writes it into history and audit log, in this order.
///
/// # Errors
/// When it doesn't prove to be whole, and whatever keeps it from being written. Nothing is left of it then.
pub fn create(store: &mut Store, clock: &dyn Clock, actor: &Actor, request: &Request<'_>) -> Result<Made, Error> {
    let now = clock.now();
    let (header, key) = header(store, request, now)?;
    let target = target(store.path(), request.to.as_deref(), &header)?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    let own = request.own.map(|(own, _)| own);
    let (header, base, full_because) = match request.kind {
        Kind::Incremental => match choose(store, own, directory, request.full_every, now)? {
            Ok(base) => (header.building_on(base.name.clone()), Some(base), None),
            Err(why) => (header, None, Some(why)),
        },
        _ => (header, None, None),
    };
    let part = PartFile::begin(&target)?;

    let scratch = Scratch::beside(store.path())?;
    let moment = take(store, clock, header.kind, &scratch)?;
    let body = match &base {
        Some(base) => base.compare(&scratch).map(|(delta, base)| Body::Differing(delta, base))?,
        None if header.kind.has_database() => Body::Whole,
        None => Body::Nothing,
    };
    let sealed = header.kind.has_database() && store.is_encrypted()?;
    let new = New { header: &header, key: &key, moment: &moment, body: &body, schema: store.schema()?, sealed };
    let manifest = new.write(&scratch, &part)?;
    drop(scratch); // there isn't more room taken than is needed at one time
    part.sync()?;
    prove(store, &key, &moment, base.as_ref(), part.path())?;

    let (size, digest) = digest(part.path())?;
    let made = Made {
        about: About::from(&header),
        saved: !request.preview,
        file: target.clone(),
        size,
        sha256: digest,
        sealed,
        audit_entries: manifest.audit_entries,
        configs: manifest.networks.iter().map(|network| network.configs).sum(),
        networks: manifest.networks,
        pages: match body {
            Body::Differing(delta, _) => Some(Pages { differing: delta.differing(), all: delta.pages() }),
            Body::Whole | Body::Nothing => None,
        },
        full_because,
    };
    if request.preview {
        return Ok(made);
    }
    base.map_or(Ok(()), |base| base.is_still_there(store))?;
    part.put_in_place()?;
    let now = clock.now();
    let noted = store.write(now, actor, |tx| -> Result<_, Error> {
        tx.save_backup(&record(&made, now))?;
        Ok(((), event(&made)))
    });
    if noted.is_err() {
        let _ = std::fs::remove_file(&target); // nobody would know of it
    }
    noted.map(|()| made)
}

/// Makes the header, of a full one if it is to be incremental: whether it can be is found out after that.
fn header(
    store: &Store,
    request: &Request<'_>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(Header, DataKey), Error> {
    let kind = if request.kind == Kind::Incremental { Kind::Full } else { request.kind };
    store.backup_header(kind, request.own, now).map_err(|error| match error {
        crate::db::Error::Unencrypted => Error::RefusedWithRemedy {
            message: "the database is not encrypted, and a backup always is".into(),
            hint: "give it a passphrase of its own with --own-passphrase-file FILE, or run `wg-friend vault encrypt`"
                .into(),
        },
        other => other.into(),
    })
}

fn record(made: &Made, now: chrono::DateTime<chrono::Utc>) -> BackupRecord {
    BackupRecord {
        id: made.about.id.clone(),
        created: made.about.created,
        kind: made.about.kind,
        size: i64::try_from(made.size).unwrap_or(i64::MAX),
        sha256: made.sha256.clone(),
        audit_entry: Some(made.audit_entries),
        base: made.about.base.clone(),
        copies: vec![BackupCopy { host: None, path: made.file.clone(), made: now, verified: Some(now), fault: None }],
    }
}

fn event(made: &Made) -> Event {
    let event = Event::database(Action::BackupCreated)
        .with("backup", made.about.id.as_str())
        .with("kind", made.about.kind.as_str())
        .with("to", made.file.display().to_string())
        .with("sha256", made.sha256.as_str());
    match &made.about.base {
        Some(base) => event.with("base", base.as_str()),
        None => event,
    }
}

/// Returns where the file is going to be, in a directory that is there.
fn target(database: &Path, to: Option<&Path>, header: &Header) -> Result<PathBuf, Error> {
    let name = || {
        let stem = database.file_stem().unwrap_or_default().to_string_lossy();
        format!("{stem}-{}-{}.{EXTENSION}", header.created.format("%Y%m%dT%H%M%SZ"), &header.id[..8])
    };
    let (directory, name) = match to {
        None => (database.with_file_name("backups"), name()),
        Some(to) if to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/") => (to.to_owned(), name()),
        Some(to) => {
            let parent = to.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            let name = to.file_name().ok_or_else(|| Error::value("--to", "names no file"))?;
            (parent.to_owned(), name.to_string_lossy().into_owned())
        }
    };
    let unwritable = |source| Error::Unwritable { path: directory.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(unwritable)?;
    let directory = directory.canonicalize().map_err(unwritable)?;
    Ok(directory.join(name))
}

/// Looks at the database, and copies it if it is to be in the backup, all as of one moment.
fn take(store: &mut Store, clock: &dyn Clock, kind: Kind, scratch: &Scratch) -> Result<Moment, Error> {
    store.signed_head(clock.now())?; // makes the key to sign with if there is none yet, which a mere look can't
    let copy = scratch.file(DATABASE);
    if kind.has_database() {
        drop(scratch.create(DATABASE)?); // with the right mode, before anything is in it
    }
    store.copy_of_a_moment(Some(copy.as_path()).filter(|_| kind.has_database()), |store| -> Result<_, Error> {
        let audit_entries = store.verify_audit(Some(store.data_key()))?.into_result()?.good;
        let audit_head = store.signed_head(clock.now())?.to_string();
        Ok(Moment { pictures: pictures(store)?, audit_entries, audit_head })
    })
}

/// A backup that is going to be written.
struct New<'a> {
    header: &'a Header,
    key: &'a DataKey,
    moment: &'a Moment,
    body: &'a Body,
    schema: usize,
    /// Whether the secrets in it are sealed once more.
    sealed: bool,
}

/// A part that is too long to be held.
struct Content<'a> {
    what: What,
    bytes: Box<dyn Read + 'a>,
}

impl New<'_> {
    /// Whether the configurations follow, and not their checksums alone. Under a passphrase that isn't the vault's there are no
    /// keys but those that the vault seals; and an incremental one has nothing that comes out of its database anyway.
    fn carries_configs(&self) -> bool {
        !(self.sealed && self.header.lock == Lock::Own || self.header.kind == Kind::Incremental)
    }

    /// Returns what of the database follows, of which a copy lies in a scratch directory.
    fn body(&self, scratch: &Scratch) -> Result<Option<Content<'_>>, Error> {
        let copy = scratch.file(DATABASE);
        let file = || File::open(&copy).map_err(super::unreadable(&copy));
        Ok(match self.body {
            Body::Nothing => None,
            Body::Whole => Some(Content { what: What::Database, bytes: Box::new(file()?) }),
            Body::Differing(delta, _) => Some(Content { what: What::Pages, bytes: Box::new(delta.read(file()?)) }),
        })
    }

    fn manifest(&self, parts: Vec<Part>, sums: Vec<Part>) -> Manifest {
        let Self { header, moment, .. } = self;
        Manifest {
            id: header.id.clone(),
            kind: header.kind,
            created: header.created,
            version: header.version.clone(),
            database: header.database.clone(),
            schema: self.schema,
            networks: moment.pictures.iter().map(|picture| picture.counts.clone()).collect(),
            audit_entries: moment.audit_entries,
            audit_head: Some(moment.audit_head.clone()),
            base: match self.body {
                Body::Differing(_, base) => Some(base.clone()),
                Body::Whole | Body::Nothing => None,
            },
            parts,
            sums,
        }
    }

    /// Writes the file, and returns its manifest.
    fn write(&self, scratch: &Scratch, part: &PartFile) -> Result<Manifest, Error> {
        let keys = match self.header.kind {
            Kind::KeysOnly => Some(keys_document(&self.moment.pictures)?),
            Kind::Full | Kind::Incremental | Kind::ConfigOnly => None,
        };
        let mut parts = Vec::new();
        if let Some(Content { what, bytes }) = self.body(scratch)? {
            let (length, sha256) = digest_of(bytes, &scratch.file(DATABASE))?;
            parts.push(Part { what, length, sha256 });
        }
        let configs = self.moment.pictures.iter().flat_map(|p| &p.configs);
        let texts: Vec<(What, &Zeroizing<String>)> = match &keys {
            Some(keys) => vec![(What::Keys, keys)],
            None => configs.map(|(what, text)| (what.clone(), text)).collect(),
        };
        let sum = |(what, text): &(What, &Zeroizing<String>)| Part {
            what: what.clone(),
            length: text.len() as u64,
            sha256: sha256(text.as_bytes()),
        };
        let (carried, mut sums) = (self.carries_configs(), Vec::new());
        if carried { &mut parts } else { &mut sums }.extend(texts.iter().map(sum));
        let manifest = self.manifest(parts, sums);
        let to = std::io::BufWriter::new(part.as_file());
        let mut writer = Writer::begin(to, self.header, self.key, manifest.clone())?;
        if let Some(mut content) = self.body(scratch)? {
            writer.part(&mut content.bytes)?;
        }
        for (_, text) in texts.iter().filter(|_| carried) {
            writer.part(&mut text.as_bytes())?;
        }
        let buffer = writer.finish()?;
        buffer.into_inner().map_err(|e| Error::Unwritable { path: part.path().to_owned(), source: e.into_error() })?;
        Ok(manifest)
    }
}

/// Restores the written file beside the database and compares everything with the moment that it shows.
fn prove(store: &Store, key: &DataKey, moment: &Moment, base: Option<&Chosen>, file: &Path) -> Result<(), Error> {
    let unlocked = Unlocked::new(open(file)?, key.duplicate(), base.map(Chosen::as_bases))?;
    let scratch = Scratch::beside(store.path())?;
    let unpacked = unlocked.unpack(&scratch, &mut check_part)?;
    let kind = unpacked.header.kind;
    if kind.has_database() {
        let restored = unpacked.database(&scratch, Some(store.data_key()))?;
        let restored = restored.map_err(|_| Error::Refused("the database in the backup can't be unlocked".into()))?;
        examine(&restored, &unpacked.manifest)?;
    }
    match kind {
        Kind::Full | Kind::Incremental | Kind::ConfigOnly => compare(&unpacked.manifest, &moment.pictures),
        Kind::KeysOnly => Ok(()), // it was read, and has the checksum of what was written
    }
}
