//! Proving a backup: it is unpacked where nobody sees it, opened, and everything in it checked.

use std::path::Path;

use serde::Serialize;
use wg_friend_crypt::DataKey;

use super::base::Source;
use super::snapshot::{Keys as KeysDocument, Picture, pictures};
use super::unpack::damaged;
use super::{About, Keys, Seen, open};
use crate::db::archive::{Manifest, NetworkCounts, Part, What};
use crate::db::{self, AnchorProblem, Anchored, Database, Restoration, Scratch, SignedHead, Store};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::generate::sha256;
use crate::ops::safety::unlock;

/// What checking an unpacked database came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Examined {
    /// Whether the vault's key was there, without which neither authentication codes nor configurations can be checked.
    pub(super) authenticated: bool,
    /// How many configurations came out the same again.
    pub(super) configs: usize,
    /// How many came out otherwise, of another version of wg-friend.
    pub(super) otherwise: usize,
}

/// Checks structure, references, audit log and signed head of an unpacked database, and makes every configuration again.
pub(super) fn examine(store: &Store, manifest: &Manifest) -> Result<Examined, Error> {
    examine_locked(store, Some(store.data_key()), manifest)?;
    let pictures = pictures(store)?;
    let same_version = manifest.version == env!("CARGO_PKG_VERSION");
    if pictures.iter().map(|picture| &picture.counts).ne(&manifest.networks) && same_version {
        return Err(damaged("its networks are not those of its manifest"));
    }
    let (configs, otherwise) = made_again(manifest, &pictures)?;
    Ok(Examined { authenticated: true, configs, otherwise })
}

/// Compares configurations that were made again with the manifest. Returns how many came out the same, and how many
/// otherwise: only those of another version may.
pub(super) fn made_again(manifest: &Manifest, pictures: &[Picture]) -> Result<(usize, usize), Error> {
    let same_version = manifest.version == env!("CARGO_PKG_VERSION");
    let (mut configs, mut otherwise) = (0, 0);
    let mut wanted = manifest.configs();
    for (what, content) in pictures.iter().flat_map(|picture| &picture.configs) {
        let same = wanted.next().is_some_and(|part| part.what == *what && part.sha256 == sha256(content.as_bytes()));
        match same {
            true => configs += 1,
            false if same_version => return Err(damaged(format!("{what} comes out otherwise than when it was made"))),
            false => otherwise += 1,
        }
    }
    match wanted.next() {
        Some(part) if same_version => Err(damaged(format!("{} no longer comes out", part.what))),
        _ => Ok((configs, otherwise)),
    }
}

/// The same without the vault's key: what can be checked then.
pub(super) fn examine_locked(database: &Database, key: Option<&DataKey>, manifest: &Manifest) -> Result<(), Error> {
    database.check_structure()?;
    database.check_references()?;
    let verified = database.verify_audit(key)?.into_result()?;
    if verified.good != manifest.audit_entries {
        return Err(damaged("its audit log is longer or shorter than its manifest says"));
    }
    let Some(head) = &manifest.audit_head else { return Ok(()) };
    let head: SignedHead = head.parse().map_err(|_| damaged("the signed head in its manifest can't be read"))?;
    match database.compare_heads(vec![head])?.into_iter().find_map(|anchored| anchored.problem) {
        Some(problem) => Err(damaged(format!("the signed head in its manifest {problem}"))),
        None => Ok(()),
    }
}

/// Compares what was read of a backup with the moment that it was made of.
pub(super) fn compare(manifest: &Manifest, pictures: &[Picture]) -> Result<(), Error> {
    let mut live = pictures.iter().flat_map(|picture| &picture.configs);
    for part in manifest.configs() {
        let same = live.next().is_some_and(|(what, content)| {
            part.what == *what && part.sha256 == sha256(content.as_bytes()) && part.length == content.len() as u64
        });
        if !same {
            return Err(damaged(format!("{} is not the live one", part.what)));
        }
    }
    if live.next().is_some() { Err(damaged("it lacks a configuration")) } else { Ok(()) }
}

/// Which backup to verify.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its file.
    pub file: &'a Path,
    /// The full backup that it builds on, if somebody named it.
    pub base: Option<&'a Path>,
    /// Where the database is whose history knows it; need not be there.
    pub database: &'a Path,
    /// What may open it.
    pub keys: Keys<'a>,
}

/// What verifying a backup found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The file.
    pub file: std::path::PathBuf,
    /// What its header says; `None` if not even that can be read.
    #[serde(flatten)]
    pub about: Option<About>,
    /// Whether it is whole.
    pub whole: bool,
    /// Where it is damaged, and in what way.
    pub fault: Option<String>,
    /// The networks in it.
    pub networks: Vec<NetworkCounts>,
    /// How many entries its audit log has.
    pub audit_entries: i64,
    /// Whether the vault's key was there: without it, authentication codes and configurations weren't checked.
    pub authenticated: bool,
    /// How many configurations came out the same again.
    pub configs: usize,
    /// How many came out otherwise: those of another version of wg-friend may.
    pub otherwise: usize,
    /// The signed head of its audit log, as C2SP tlog-checkpoint writes it.
    pub audit_head: Option<String>,
    /// What is wrong between that head and the log of the database that is there now, if it is the same database.
    pub live_log: Option<AnchorProblem>,
    /// The restore after which the log of the present database is another, if there was one.
    pub live_restored: Option<Restoration>,
    /// Why nothing was compared with the database that is there now, or noted in it, if it can't be read.
    pub live_fault: Option<String>,
    /// Every copy that is known of, if the backup was named by its id: whether each is what was written.
    pub copies: Vec<Seen>,
    /// Every copy that is known of the one that it builds on.
    pub base_copies: Vec<Seen>,
}

/// Verifies a backup, and notes in the history of the database what came of it.
///
/// # Errors
/// When it can't be read, is no backup, or nothing opens it. What is damaged is no error but a verdict, and so is what has
/// become of a file in which a backup was.
pub fn verify(request: &Request<'_>, clock: &dyn Clock) -> Result<Verdict, Error> {
    let live = live(request.database);
    let path = std::fs::canonicalize(request.file).or_else(|_| std::path::absolute(request.file));
    let path = path.unwrap_or_else(|_| request.file.to_owned());
    let mut verdict = Verdict {
        file: request.file.to_owned(),
        about: None,
        whole: false,
        fault: None,
        networks: Vec::new(),
        audit_entries: 0,
        authenticated: false,
        configs: 0,
        otherwise: 0,
        audit_head: None,
        live_log: None,
        live_restored: None,
        live_fault: live.fault,
        copies: Vec::new(),
        base_copies: Vec::new(),
    };
    let looked = look(request, live.key.as_ref(), &mut verdict);
    let fault = looked.as_ref().err().and_then(fault_of);
    verdict.whole = looked.is_ok();
    verdict.fault.clone_from(&fault);
    if let Some(present) = &live.database
        && let Err(error) = finish(present, &mut verdict, &path, clock, (looked.is_ok(), fault.as_deref()))
    {
        verdict.live_fault = Some(error.to_string());
    }
    match looked {
        Ok(()) => Ok(verdict),
        Err(Error::Store(cause)) if cause.kind() == db::Kind::Corrupt => Ok(verdict),
        Err(Error::Store(db::Error::NotABackup)) if live.database.is_some_and(|live| is_known(&live, &path)) => {
            Ok(verdict)
        }
        Err(other) => Err(other),
    }
}

/// Says what an error tells about the file. `None` when it tells about something else, such as a passphrase.
pub(super) fn fault_of(error: &Error) -> Option<String> {
    match error {
        Error::Unreadable { .. } => Some(error.to_string()),
        Error::Store(cause @ (db::Error::NotABackup | db::Error::Failing { .. })) => Some(cause.to_string()),
        Error::Store(cause) if cause.kind() == db::Kind::Corrupt => Some(cause.to_string()),
        _ => None,
    }
}

/// Compares with the present database, and notes there what was found.
fn finish(
    present: &Database,
    verdict: &mut Verdict,
    path: &Path,
    clock: &dyn Clock,
    (whole, fault): (bool, Option<&str>),
) -> Result<(), Error> {
    let id = verdict.about.as_ref().map(|about| about.id.clone());
    if whole || fault.is_some() {
        present.note_verified(id.as_deref(), (None, path), clock.now(), fault)?;
    }
    if verdict.about.as_ref().is_some_and(|about| about.database == present.id()) {
        let anchored = compare_live(present, verdict.audit_head.as_deref())?;
        (verdict.live_log, verdict.live_restored) =
            anchored.map_or((None, None), |anchored| (anchored.problem, anchored.restored));
    }
    Ok(())
}

/// Whether a copy of a backup was put there.
fn is_known(live: &Database, path: &Path) -> bool {
    let known = live.backups().unwrap_or_default();
    known.iter().flat_map(|record| &record.copies).any(|copy| copy.host.is_none() && copy.path == path)
}

/// The database that is there now. A backup is looked into most when it can't be read any more.
#[derive(Default)]
struct Live {
    database: Option<Database>,
    /// Its key, if that needs no passphrase: the one that opens the backup may be another.
    key: Option<DataKey>,
    /// Why it can't be read.
    fault: Option<String>,
}

fn live(path: &Path) -> Live {
    let key = || unlock::already(Database::open(path)?);
    match Database::open(path) {
        Ok(database) => match key() {
            Ok(store) => {
                let key = store.map(|store| store.data_key().duplicate());
                Live { database: Some(database), key, fault: None }
            }
            Err(error) => Live { database: Some(database), key: None, fault: Some(error.to_string()) },
        },
        Err(db::Error::Missing { .. }) => Live::default(),
        Err(error) => Live { fault: Some(error.to_string()), ..Live::default() },
    }
}

/// Compares the log of the present database with the head in a backup of it.
fn compare_live(present: &Database, head: Option<&str>) -> Result<Option<Anchored>, Error> {
    let Some(head) = head.and_then(|head| head.parse::<SignedHead>().ok()) else { return Ok(None) };
    Ok(present.compare_heads(vec![head])?.pop())
}

fn look(request: &Request<'_>, known: Option<&DataKey>, verdict: &mut Verdict) -> Result<(), Error> {
    let opened = open(request.file)?;
    verdict.about = Some(About::from(opened.header()));
    let source = Source { file: request.file, base: request.base, database: request.database };
    let unlocked = request.keys.unlock(opened, &source)?;
    let scratch = Scratch::anywhere(request.database)?;
    let unpacked = unlocked.unpack(&scratch, &mut check_part)?;
    let manifest = &unpacked.manifest;
    verdict.audit_head.clone_from(&manifest.audit_head);
    verdict.networks.clone_from(&manifest.networks);
    verdict.audit_entries = manifest.audit_entries;
    if !unpacked.header.kind.has_database() {
        (verdict.authenticated, verdict.configs) = (true, manifest.parts.len());
        return Ok(());
    }
    let examined = match unpacked.database(&scratch, known)? {
        Ok(store) => examine(&store, manifest)?,
        Err(database) => {
            examine_locked(&database, None, manifest)?;
            Examined::default()
        }
    };
    (verdict.authenticated, verdict.configs, verdict.otherwise) =
        (examined.authenticated, examined.configs, examined.otherwise);
    Ok(())
}

/// Checks what a part is beyond its checksum.
pub(super) fn check_part(part: &Part, bytes: &[u8]) -> Result<(), Error> {
    if part.what == What::Keys {
        serde_json::from_slice::<KeysDocument>(bytes).map_err(|_| damaged("the keys can't be read"))?;
    }
    Ok(())
}
