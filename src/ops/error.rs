//! The one error that leaves `ops`: what happened, to what, who has to act, and what to do next.

use std::path::PathBuf;

use crate::model::{InvalidDestination, InvalidKey, InvalidName, InvalidNet, InvalidWord, Name};
use crate::ops::network::shared_host::Conflict;
use crate::settings;
use crate::wg::compile::Refusal;
use crate::{db, fleet};

/// Who has to act, and so the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It couldn't be done.
    Failed,
    /// The request itself is wrong.
    Usage,
    /// Some hosts were done and some were not.
    SomeHosts,
    /// The vault is locked, or the passphrase is wrong.
    Locked,
    /// The database has been tampered with or is damaged.
    Tampered,
}

impl Kind {
    /// Returns the exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::SomeHosts => 4,
            Self::Locked => 5,
            Self::Tampered => 6,
        }
    }
}

/// What went wrong in an operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No node has this name, and no guid begins with it.
    #[error("there is no node named `{name}`")]
    UnknownNode {
        /// As given.
        name: String,
        /// Names that look like it, the nearest first.
        similar: Vec<Name>,
    },
    /// Nothing of the kinds that were meant has this name.
    #[error("there is no {what} named `{name}`")]
    UnknownName {
        /// The kinds: `node or group`.
        what: &'static str,
        /// As given.
        name: String,
        /// Names that look like it, the nearest first.
        similar: Vec<Name>,
        /// What lists them.
        hint: &'static str,
    },
    /// No host has this name.
    #[error("there is no host named `{name}`")]
    UnknownHost {
        /// As given.
        name: String,
        /// Names that look like it, the nearest first.
        similar: Vec<Name>,
    },
    /// No group of nodes has this name.
    #[error("there is no group named `{name}`")]
    UnknownGroup {
        /// As given.
        name: String,
        /// Names that look like it, the nearest first.
        similar: Vec<Name>,
    },
    /// No group of exits has this name.
    #[error("there is no exit group named `{name}`")]
    UnknownExitGroup {
        /// As given.
        name: String,
        /// Names that look like it, the nearest first.
        similar: Vec<Name>,
    },
    /// The beginning of a guid that several nodes share.
    #[error("`{prefix}` is the beginning of several guids: {}", listed(matches))]
    AmbiguousGuid {
        /// As given.
        prefix: String,
        /// The nodes it could be.
        matches: Vec<Name>,
    },
    /// Names are unique, upper and lower case being the same.
    #[error("the name `{name}` is taken by {by}")]
    NameTaken {
        /// The name.
        name: Name,
        /// By whom, in words: `the router office`.
        by: String,
    },
    /// A word that commands use for something else.
    #[error("`{0}` can't be a name: commands use this word for something else")]
    ReservedName(Name),
    /// A node of another role was needed.
    #[error("`{name}` is {} {role}, not {wanted}", article(role))]
    WrongRole {
        /// Whose role.
        name: Name,
        /// The role it has.
        role: &'static str,
        /// The role it should have, with its article.
        wanted: &'static str,
    },
    /// A value that can't be used, with what it was for.
    #[error("{what}: {reason}")]
    Value {
        /// The option or key it was given for, such as `--lan` or `endpoint`.
        what: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// An answer is needed and there is nobody to ask.
    #[error("{what} is needed, and there is no terminal to ask on")]
    MissingAnswer {
        /// What is needed, as the beginning of a sentence.
        what: &'static str,
        /// The option that gives it.
        flag: &'static str,
    },
    /// A question was answered with no, or not at all.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// No free address.
    #[error("the network `{network}` ({cidr}) is full: all of its {size} addresses are in use")]
    NetworkFull {
        /// The network's name.
        network: Name,
        /// The prefix that is full.
        cidr: String,
        /// How many addresses it has for nodes.
        size: u128,
        /// How many of them nobody has now but somebody had a short while ago.
        resting: usize,
    },
    /// The model would contradict itself; nothing was saved.
    #[error("{0}")]
    Refused(String),
    /// The same, with a remedy.
    #[error("{message}")]
    RefusedWithRemedy {
        /// What contradicts what.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Something is there already.
    #[error("{} exists already", .0.display())]
    DatabaseExists(PathBuf),
    /// There is no passphrase to unlock with.
    #[error("the vault is locked")]
    Locked,
    /// A backup has a passphrase of its own, and it wasn't given.
    #[error("the backup has a passphrase of its own, and it wasn't given")]
    BackupLocked,
    /// A file the user named.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that was to be written.
    #[error("can't write {}: {source}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Writing results failed; a reader that went away is no error.
    #[error("can't write the result: {0}")]
    Output(std::io::Error),
    /// A report can't be a PDF.
    #[error(transparent)]
    Pdf(#[from] crate::render::report::PdfError),
    /// The operating system gave no randomness.
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
    /// The settings file.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// The model contradicts itself.
    #[error("{}", joined(.0))]
    Model(Vec<Refusal>),
    /// Two networks would clash on a host that they share.
    #[error("{}", joined(.0))]
    SharedHost(Vec<Conflict>),
    /// Hosts can't be reached at all from here.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
}

impl Error {
    /// An error about a value, from whatever the value's own reader says.
    pub fn value(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Value { what: what.into(), reason: reason.to_string(), hint: None }
    }

    /// Returns who has to act.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Value { .. } | Self::MissingAnswer { .. } | Self::Settings(_) => Kind::Usage,
            Self::Locked | Self::BackupLocked => Kind::Locked,
            Self::Store(error) => match error.kind() {
                db::Kind::Locked | db::Kind::WrongPassphrase => Kind::Locked,
                db::Kind::Corrupt => Kind::Tampered,
                db::Kind::Usage => Kind::Usage,
                _ => Kind::Failed,
            },
            _ => Kind::Failed,
        }
    }

    /// Returns what to do next, when that is known. True in every front end.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownNode { similar, .. }
            | Self::UnknownName { similar, .. }
            | Self::UnknownHost { similar, .. }
            | Self::UnknownGroup { similar, .. }
            | Self::UnknownExitGroup { similar, .. }
                if !similar.is_empty() =>
            {
                let names: Vec<String> = similar.iter().map(|n| format!("`{n}`")).collect();
                Some(format!("did you mean {}?", names.join(" or ")))
            }
            Self::UnknownNode { .. } => Some("`wg-friend list` shows all nodes".into()),
            Self::UnknownName { hint, .. } => Some((*hint).into()),
            Self::UnknownHost { .. } => Some("`wg-friend host list` shows all hosts".into()),
            Self::UnknownGroup { .. } => Some("`wg-friend group list` shows all groups".into()),
            Self::UnknownExitGroup { .. } => Some("`wg-friend exit group list` shows all groups of exits".into()),
            Self::AmbiguousGuid { .. } => Some("give more characters, or the name".into()),
            Self::NameTaken { .. } | Self::ReservedName(_) => Some("choose another name".into()),
            Self::Value { hint, .. } => hint.clone(),
            Self::Pdf(_) => Some("take --format html, md or csv, or a shorter --period".into()),
            Self::MissingAnswer { flag, .. } => Some(format!("give it with {flag}")),
            Self::NetworkFull { resting, .. } if *resting > 0 => Some(format!(
                "{resting} of them were given up less than 30 days ago and are kept back: ask for one with --address"
            )),
            Self::NetworkFull { .. } => Some("remove nodes, or start a network with a larger prefix".into()),
            Self::WrongRole { .. } => Some("`wg-friend list` shows the role of each node".into()),
            Self::RefusedWithRemedy { hint, .. } => Some(hint.clone()),
            Self::DatabaseExists(_) => Some(
                "choose another place with --db PATH, or move that file away; `wg-friend network add NAME` adds a network to it"
                    .into(),
            ),
            Self::BackupLocked => Some("give it with --own-passphrase-file FILE".into()),
            Self::Locked => Some(
                "run `wg-friend unlock --for 8h` once, or set WG_FRIEND_PASSPHRASE, or give --passphrase-file FILE"
                    .into(),
            ),
            Self::Store(error) => error.hint(),
            Self::Fleet(error) => error.hint(),
            _ => None,
        }
    }
}

macro_rules! from_value {
    ($($type:ty => $what:literal),+ $(,)?) => {
        $(impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::value($what, error)
            }
        })+
    };
}
from_value! {
    InvalidName => "name",
    InvalidKey => "key",
    InvalidWord => "value",
    InvalidDestination => "host",
    InvalidNet => "value",
}

/// So many reasons are told before the rest is counted: the first ones mostly explain the others.
const REFUSALS_SHOWN: usize = 3;

fn joined<T: ToString>(refusals: &[T]) -> String {
    let more = refusals.len().saturating_sub(REFUSALS_SHOWN);
    let shown = refusals.iter().take(REFUSALS_SHOWN).map(ToString::to_string);
    let rest = (more > 0).then(|| format!("and {more} more reasons"));
    shown.chain(rest).collect::<Vec<_>>().join("\n")
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the candidates that look like `wanted`, the nearest first: at most three, each within a third of its length
/// in edits, or beginning with it.
pub fn similar<'a>(wanted: &str, candidates: impl Iterator<Item = &'a Name>) -> Vec<Name> {
    let wanted = wanted.to_lowercase();
    let mut near: Vec<(usize, &Name)> = candidates
        .filter_map(|name| {
            let lower = name.as_str().to_lowercase();
            let distance = edits(&wanted, &lower);
            let close = distance <= wanted.chars().count().max(lower.len()).div_ceil(3);
            let begins = wanted.len() >= 2 && lower.starts_with(&wanted);
            (close || begins).then_some((distance, name))
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// Says which key was meant, or which there are.
pub(super) fn which_key(wanted: &str, keys: &[&str]) -> String {
    let nearest = keys.iter().map(|key| (edits(wanted, key), key)).min();
    match nearest {
        Some((distance, key)) if distance <= 2 => format!("did you mean `{key}`?"),
        _ => format!("the keys are {}", keys.join(", ")),
    }
}

/// Says which name was meant, or which there are.
pub(in crate::ops) fn which_name(wanted: &str, names: &[&str]) -> String {
    let near = names.iter().map(|name| (edits(wanted, name), name)).min().filter(|(distance, _)| *distance <= 2);
    near.map_or_else(|| format!("there are {}", names.join(", ")), |(_, name)| format!("did you mean `{name}`?"))
}

/// Counts the insertions, removals, replacements and swaps of neighbours that turn one word into the other (optimal
/// string alignment distance).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            next[j] = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// Returns the indefinite article of a role.
fn article(role: &str) -> &'static str {
    if role.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|n| n.parse().unwrap()).collect()
    }

    #[test]
    fn edits_counts_swaps_once() {
        for (a, b, n) in [("", "", 0), ("a", "", 1), ("phone", "fone", 2), ("office", "ofifce", 1), ("abc", "xyz", 3)] {
            assert_eq!((edits(a, b), edits(b, a)), (n, n), "{a} {b}");
        }
    }

    #[test]
    fn a_mistyped_name_suggests_the_nearest_ones_only() {
        let all = names(&["alice-phone", "alice-laptop", "bob-phone", "hub"]);
        assert_eq!(similar("alice-fone", all.iter()), names(&["alice-phone"]));
        assert_eq!(similar("ALICE", all.iter()), names(&["alice-phone", "alice-laptop"]));
        assert_eq!(similar("zebra", all.iter()), names(&[]));
    }
}
