//! What can go wrong with a database, told apart by what a person can do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use wg_friend_crypt as crypt;

use super::shares::InvalidShares;
use crate::model::Name;

/// Short for a result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file there.
    #[error("there is no database at {}", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is there already, and it stays.
    #[error("{} exists already", .path.display())]
    Exists {
        /// Where the new database should have gone.
        path: PathBuf,
    },
    /// A file or directory that others can read or write.
    #[error("others can get at {} (mode {:03o}, should be {:03o})", .path.display(), .mode, .wanted)]
    Permissions {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// Some other file.
    #[error("{} is not a database of wg-friend", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// Made by a later wg-friend.
    #[error("{} was written by a newer wg-friend (schema {found}; this one knows {known})", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known.
        known: usize,
    },
    /// The file's structure is broken.
    #[error("the database is damaged: {what}")]
    Damaged {
        /// In SQLite's words or ours.
        what: String,
    },
    /// A cell that holds what was never written into it.
    #[error("the database is damaged: {table}.{column} holds a value that can't be read")]
    Value {
        /// Table.
        table: &'static str,
        /// Column.
        column: String,
    },
    /// A sealed cell that doesn't open: changed, or moved from elsewhere.
    #[error("a sealed value does not open: {table}.{column}, row {row}")]
    Sealed {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Row, by its permanent name.
        row: String,
    },
    /// The audit log isn't as it was left.
    #[error("the audit log has been tampered with: entry {entry} {problem}")]
    Tampered {
        /// The first bad entry.
        entry: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// The data key isn't at hand.
    #[error("the database is locked")]
    Locked,
    /// No slot opens with what was given.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// It has no passphrase, and no recovery key.
    #[error("the database is not encrypted: it has no passphrase and no recovery key")]
    Unencrypted,
    /// It can't be encrypted a second time.
    #[error("the database is encrypted already")]
    Encrypted,
    /// A new passphrase that is too short.
    #[error("a passphrase needs at least {minimum} characters")]
    PassphraseTooShort {
        /// The least number of characters.
        minimum: usize,
    },
    /// A new passphrase that is another one's already. Whose isn't said.
    #[error("this passphrase unlocks already")]
    PassphraseTaken,
    /// A recovery key is not to become a passphrase, which would outlive it.
    #[error("that is a recovery key, or shares of one: as a passphrase it would unlock for longer than you think")]
    PassphraseIsKey,
    /// Without it nothing but the recovery key would unlock.
    #[error("`{name}` is the only passphrase")]
    LastPassphrase {
        /// Its name.
        name: Name,
    },
    /// There are several, and none was named or used.
    #[error("there are several passphrases, and none is named: {}", listed(.known))]
    WhichPassphrase {
        /// Those that there are.
        known: Vec<Name>,
    },
    /// There are as many as there may be.
    #[error("a database has at most {most} passphrases")]
    TooManyPassphrases {
        /// The most.
        most: usize,
    },
    /// There are passphrases of as many different costs as there may be.
    #[error("the passphrases of a database have at most {most} different costs")]
    TooManyCosts {
        /// The most.
        most: usize,
    },
    /// Passphrases that have no pair of keys yet, so that nobody else can rekey for them.
    #[error("these passphrases have not unlocked since the upgrade, and rekeying needs that: {}", listed(.names))]
    EarlierPassphrases {
        /// Their names.
        names: Vec<Name>,
    },
    /// The kernel's keyring can't be used.
    #[error("the kernel's keyring did not take the key: {0}")]
    Keyring(String),
    /// The file or its file system can't be written.
    #[error("the database can't be written: it is read-only")]
    ReadOnly,
    /// No space left.
    #[error("the disk is full; nothing was changed")]
    DiskFull,
    /// The disk or the file system failed.
    #[error("the database file can't be read or written: {what}")]
    Failing {
        /// In SQLite's words.
        what: String,
    },
    /// Some other file than a backup.
    #[error("that is not a backup of wg-friend")]
    NotABackup,
    /// A backup that isn't as it was written.
    #[error("the backup is damaged: {what}")]
    BackupDamaged {
        /// Where, and in what way.
        what: String,
    },
    /// Shares of a recovery key that don't give it.
    #[error(transparent)]
    Shares(InvalidShares),
    /// Another process holds it.
    #[error("the database is in use by another wg-friend")]
    Busy,
    /// The operating system refused something.
    #[error("can't {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was named isn't there.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// How it was named.
        name: String,
    },
    /// There are several networks, and the one that is meant wasn't named.
    #[error("the database has several networks, and none is named: {}", listed(.known))]
    NoNetworkChosen {
        /// Those that there are.
        known: Vec<Name>,
    },
    /// No network has this name.
    #[error("there is no network `{name}`: the database has {}", listed(.known))]
    UnknownNetwork {
        /// As given.
        name: String,
        /// Those that there are.
        known: Vec<Name>,
    },
    /// The network is younger than that.
    #[error("the network `{network}` wasn't there at state {state}")]
    NotThen {
        /// Which network.
        network: Name,
        /// Which state of the history.
        state: i64,
    },
    /// Something else has this name, address or key.
    #[error("there is already {what}")]
    Duplicate {
        /// What is taken.
        what: String,
    },
    /// Others depend on it.
    #[error("it can't be removed: something else in the network still refers to it")]
    InUse,
    /// A private key that doesn't belong to the public key it was given with.
    #[error("the private key does not belong to the public key {public}")]
    KeyMismatch {
        /// The public key.
        public: String,
    },
    /// A call that no correct program makes.
    #[error("{0}")]
    Refused(&'static str),
    /// No random bytes, or no memory to derive a key.
    #[error(transparent)]
    Crypt(crypt::Error),
    /// Whatever else SQLite says.
    #[error("the database failed: {0}")]
    Sqlite(rusqlite::Error),
}

/// Who has to act on an error, and how: decided here once, shown by every face in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no database yet, or what was named isn't in it.
    Missing,
    /// It exists already, or something else depends on it.
    Conflict,
    /// A passphrase is needed (exit code 5).
    Locked,
    /// The passphrase is wrong (exit code 5).
    WrongPassphrase,
    /// Damage or tampering (exit code 6).
    Corrupt,
    /// A newer wg-friend is needed.
    Newer,
    /// Others can read the file.
    Permissions,
    /// What was given can't be used.
    Usage,
    /// The disk, another process or the system is in the way.
    Io,
    /// A fault of wg-friend itself.
    Internal,
}

impl Error {
    /// Returns who has to act.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::NotFound { .. } | Self::NotThen { .. } => Kind::Missing,
            Self::Exists { .. }
            | Self::Duplicate { .. }
            | Self::InUse
            | Self::Unencrypted
            | Self::Encrypted
            | Self::LastPassphrase { .. }
            | Self::TooManyPassphrases { .. }
            | Self::TooManyCosts { .. }
            | Self::EarlierPassphrases { .. } => Kind::Conflict,
            Self::Locked => Kind::Locked,
            Self::WrongPassphrase => Kind::WrongPassphrase,
            Self::NotADatabase { .. }
            | Self::Damaged { .. }
            | Self::Value { .. }
            | Self::Sealed { .. }
            | Self::Tampered { .. }
            | Self::BackupDamaged { .. } => Kind::Corrupt,
            Self::Newer { .. } => Kind::Newer,
            Self::Permissions { .. } => Kind::Permissions,
            Self::NotABackup
            | Self::Shares(_)
            | Self::PassphraseTooShort { .. }
            | Self::PassphraseTaken
            | Self::PassphraseIsKey
            | Self::WhichPassphrase { .. }
            | Self::KeyMismatch { .. }
            | Self::NoNetworkChosen { .. }
            | Self::UnknownNetwork { .. } => Kind::Usage,
            Self::ReadOnly
            | Self::DiskFull
            | Self::Failing { .. }
            | Self::Busy
            | Self::Io { .. }
            | Self::Keyring(_)
            | Self::Crypt(_) => Kind::Io,
            Self::Refused(_) | Self::Sqlite(_) => Kind::Internal,
        }
    }

    /// Returns what to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Missing { .. } => "make one with `wg-friend init`, or name another file with `--db`".into(),
            Self::Exists { path } => format!("use it as it is, or move {} away first", path.display()),
            Self::Permissions { path, wanted, .. } if *wanted == 0o700 => {
                format!("run `chmod 700 {}`, or keep the database in a directory of its own", path.display())
            }
            Self::Permissions { path, wanted, .. } => format!("run `chmod {wanted:o} {}`", path.display()),
            Self::Newer { .. } => "upgrade wg-friend".into(),
            Self::NotADatabase { .. } => "check the path; if it is right, restore the file from a backup".into(),
            Self::Damaged { .. } | Self::Value { .. } | Self::Sealed { .. } => "restore the file from a backup".into(),
            Self::NotABackup => "`wg-friend backup list` says where the backups are".into(),
            Self::BackupDamaged { .. } => "take another copy, or an earlier backup: `wg-friend backup list`".into(),
            Self::Tampered { .. } => "run `wg-friend audit verify`, and compare with a backup".into(),
            Self::Locked => {
                "run `wg-friend unlock`, or give the passphrase with `--passphrase-file` or WG_FRIEND_PASSPHRASE".into()
            }
            Self::WrongPassphrase => "try again; the printed recovery key works as well".into(),
            Self::Unencrypted => "run `wg-friend vault encrypt` to give it both".into(),
            Self::Encrypted => {
                "`wg-friend vault passphrase` replaces its passphrase, `wg-friend vault rekey` its key".into()
            }
            Self::PassphraseTaken | Self::PassphraseIsKey => "choose another one".into(),
            Self::LastPassphrase { .. } => "add another one first: `wg-friend vault passphrase add NAME`".into(),
            Self::WhichPassphrase { .. } => {
                "say which: `wg-friend vault passphrase change NAME`, or `wg-friend vault recover --name NAME`".into()
            }
            Self::TooManyPassphrases { .. } => {
                "`wg-friend vault status` says which are used; `wg-friend vault passphrase remove NAME` takes one away"
                    .into()
            }
            Self::TooManyCosts { .. } => {
                "give it the cost of another one, which `wg-friend vault status` shows: a wrong passphrase is tried at each".into()
            }
            Self::EarlierPassphrases { .. } => {
                "unlock once with each of them, or take it away: `wg-friend vault passphrase remove NAME`".into()
            }
            Self::NoNetworkChosen { .. } => {
                "say which with `--network NAME`, or once for all commands with WG_FRIEND_NETWORK".into()
            }
            Self::UnknownNetwork { .. } => {
                "`wg-friend network list` tells more of them, `wg-friend network add NAME` makes another one".into()
            }
            Self::NotThen { .. } => "`wg-friend history` says since when".into(),
            Self::Keyring(_) => "give the passphrase with each command instead".into(),
            Self::ReadOnly => "see that the file belongs to you and that its file system is mounted writable".into(),
            Self::DiskFull => "free some space and try again".into(),
            Self::Failing { .. } => {
                "see that the file belongs to you, and that its disk is healthy and has space left".into()
            }
            Self::Busy => "wait for the other command to end, then try again".into(),
            Self::Crypt(crypt::Error::Memory { .. }) => {
                "free some memory, or unlock on a larger machine and choose a lighter profile there".into()
            }
            _ => return None,
        };
        Some(text)
    }
}

fn listed(names: &[Name]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            E::SqliteFailure(failure, message) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::DiskFull => Self::DiskFull,
                ErrorCode::ReadOnly => Self::ReadOnly,
                // The index of the write-ahead log can't grow: no other reason is known for it.
                ErrorCode::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                    Self::DiskFull
                }
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
                    Self::Failing { what: message.clone().unwrap_or_else(|| failure.to_string()) }
                }
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    Self::Damaged { what: message.clone().unwrap_or_else(|| failure.to_string()) }
                }
                ErrorCode::ConstraintViolation => match constraint(failure.extended_code, message.as_deref()) {
                    Some(broken) => broken,
                    None => Self::Sqlite(error),
                },
                _ => Self::Sqlite(error),
            },
            E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) => {
                Self::Damaged { what: error.to_string() }
            }
            _ => Self::Sqlite(error),
        }
    }
}

/// Says which promise of the schema an operation would have broken.
fn constraint(extended: i32, message: Option<&str>) -> Option<Error> {
    match extended {
        rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Error::InUse),
        rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            let what = match message.unwrap_or_default() {
                m if m.contains("nodes.name") => "a node of this name",
                m if m.contains("nodes.address") => "a node with this address",
                m if m.contains("nodes.guid") => "a node with this guid",
                m if m.contains("keys.public_key") => "an interface that has or had this key",
                m if m.contains("hosts.name") => "a host of this name",
                m if m.contains("networks.name") => "a network of this name",
                m if m.contains("interfaces.name") => "an interface of this name on the node",
                m if m.contains("interfaces.exit_id") => "an uplink to this exit",
                m if m.contains("deployments.token") => "a deployment with this token",
                m => return Some(Error::Duplicate { what: format!("an entry like it ({m})") }),
            };
            Some(Error::Duplicate { what: what.into() })
        }
        _ => None,
    }
}

impl From<crypt::Error> for Error {
    fn from(error: crypt::Error) -> Self {
        Self::Crypt(error)
    }
}
