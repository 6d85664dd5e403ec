//! Signed heads that were kept outside of the database, in files and on hosts, and whether its log is still theirs.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;
use wg_friend_crypt::DataKey;

use crate::db::{self, AnchorProblem, Database, Restoration, SignedHead, Store, archive};
use crate::fleet::{self, Fleet};
use crate::model::{Host, Name};
use crate::ops::Error;
use crate::ops::parallel::each;

/// A signed head from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anchor {
    /// Where it was found.
    pub from: String,
    /// How many entries the log had.
    pub size: u64,
    /// When it was signed.
    pub time: DateTime<Utc>,
    /// Whether the log is the one that was signed.
    pub intact: bool,
    /// What is wrong, if something is.
    #[serde(flatten)]
    pub problem: Option<AnchorProblem>,
    /// The restore that says why, if the log tells of one: the head is of what was replaced then.
    pub restored: Option<Restoration>,
    /// Whether that restore was followed up: the same place has a newer head, of the log as it is.
    pub settled: bool,
    #[serde(skip)]
    head: SignedHead,
}

impl Anchor {
    /// A head that was found somewhere, not compared with anything yet.
    fn new(from: impl Into<String>, head: SignedHead) -> Self {
        Self {
            from: from.into(),
            size: head.size(),
            time: head.time(),
            intact: false,
            problem: None,
            restored: None,
            settled: false,
            head,
        }
    }
}

/// Reads the heads in files: what `audit checkpoint` printed, one or many in a file, and backups that open with the key of
/// the database, which takes a store.
pub fn read(files: &[PathBuf], store: Option<&Store>) -> Result<Vec<Anchor>, Error> {
    let mut anchors = Vec::new();
    for file in files {
        let from = file.display().to_string();
        anchors
            .extend(heads(file, store.map(Store::data_key))?.into_iter().map(|head| Anchor::new(from.clone(), head)));
    }
    Ok(anchors)
}

fn heads(file: &Path, key: Option<&DataKey>) -> Result<Vec<SignedHead>, Error> {
    let unreadable = |source| Error::Unreadable { path: file.to_owned(), source };
    // Once: it may be a pipe.
    let content = std::fs::read(file).map_err(unreadable)?;
    let text = match archive::open(Cursor::new(content.clone())) {
        Ok(backup) => of_backup(backup, file, key)?,
        Err(db::Error::NotABackup) => String::from_utf8_lossy(&content).into_owned(),
        Err(other) => return Err(other.into()),
    };
    SignedHead::parse_all(&text).map_err(|reason| Error::value(file.display().to_string(), reason))
}

/// Takes the head out of a backup.
fn of_backup(backup: archive::Opened, file: &Path, key: Option<&DataKey>) -> Result<String, Error> {
    let shut = || Error::Value {
        what: file.display().to_string(),
        reason: "the backup does not open with the key of this database".into(),
        hint: Some("`wg-friend backup verify` looks into it with its own passphrase, or with that of its time".into()),
    };
    if backup.header().lock == archive::Lock::Own {
        return Err(shut());
    }
    let content = backup.content(key.ok_or(Error::Locked)?).map_err(|_| shut())?;
    content.manifest().audit_head.clone().ok_or_else(|| {
        Error::value(file.display().to_string(), "the backup is from before there were signed heads, and holds none")
    })
}

/// A host that was asked for the heads that deploys left there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Which host.
    pub host: Name,
    /// How many heads of this log it has.
    pub heads: usize,
    /// The databases, by their random names, of whose logs it has heads besides.
    pub others: Vec<String>,
    /// Why it could not be asked, or what can't be read there.
    pub error: Option<String>,
}

/// Asks every host for the heads that deploys left there, at most `parallel` at once.
pub fn ask(database: &Database, fleet: &dyn Fleet, parallel: usize) -> Result<(Vec<Anchor>, Vec<Asked>), Error> {
    let (hosts, log) = (database.hosts()?, database.id());
    let found = each(hosts.iter().collect(), parallel, |host: &Host| (host, ask_one(log, host, fleet)));
    let (mut anchors, mut asked) = (Vec::new(), Vec::new());
    for (host, found) in found {
        let ((heads, others), error) =
            found.map_or_else(|error| (Default::default(), Some(error)), |told| (told, None));
        asked.push(Asked { host: host.name.clone(), heads: heads.len(), others, error });
        anchors.extend(heads.into_iter().map(|head| Anchor::new(host.name.as_str(), head)));
    }
    Ok((anchors, asked))
}

/// Returns the heads of the log that a host has, and of what databases it has others.
fn ask_one(log: &str, host: &Host, fleet: &dyn Fleet) -> Result<(Vec<SignedHead>, Vec<String>), String> {
    let answer = fleet.connect(host).and_then(|mut connection| connection.run(&fleet::heads(log)));
    let answer = answer.map_err(|error| error.to_string())?;
    let parsed = |text: String| SignedHead::parse_all(&text).map_err(|error| error.to_string());
    let heads = fleet::read_heads(&answer).map_or_else(|| Ok(Vec::new()), parsed)?;
    Ok((heads, fleet::read_other_logs(&answer)))
}

/// Compares them with the log.
pub(super) fn compare(database: &Database, anchors: Vec<Anchor>) -> Result<Vec<Anchor>, Error> {
    if anchors.is_empty() {
        return Ok(anchors);
    }
    let found = database.compare_heads(anchors.iter().map(|anchor| anchor.head.clone()).collect())?;
    let judged = |(anchor, found): (Anchor, db::Anchored)| Anchor {
        intact: found.problem.is_none(),
        problem: found.problem,
        restored: found.restored,
        ..anchor
    };
    let mut anchors: Vec<Anchor> = anchors.into_iter().zip(found).map(judged).collect();
    for at in 0..anchors.len() {
        anchors[at].settled = is_settled(&anchors[at], &anchors);
    }
    Ok(anchors)
}

/// Whether whoever works with the log has gone on after the restore that explains a head, and left a newer one where it is. A
/// restore that nobody knows of stays a finding until then.
fn is_settled(anchor: &Anchor, all: &[Anchor]) -> bool {
    let Some(restored) = &anchor.restored else { return false };
    all.iter().any(|other| other.intact && other.from == anchor.from && other.time > restored.time)
}
