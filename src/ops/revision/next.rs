//! Files with a next key that somebody was given already.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::db::{self, Database, Revision};
use crate::model::{Name, Node};

use super::meaning::own_keys_in;

/// A file with a next key that the owner of a device was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextFile {
    /// Whose.
    pub node: Name,
    /// Which revision.
    pub number: i64,
    /// By which ways it was handed out.
    pub methods: Vec<String>,
    /// When it was handed out last.
    pub last_handed_out: DateTime<Utc>,
}

impl fmt::Display for NextFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the owner of `{}` was given a file with the next key (revision {}, on {} by {})",
            self.node,
            self.number,
            self.last_handed_out.format("%Y-%m-%d"),
            self.methods.join(", ")
        )
    }
}

/// Returns the newest file with a next key of a node that its owner was given; `None` when there is none.
///
/// # Errors
/// When the store can't be read.
pub fn with_next_key(database: &Database, node: &Node) -> Result<Option<NextFile>, db::Error> {
    let next = |key| node.interfaces.iter().any(|own| own.staged_key == Some(key));
    if node.interfaces.iter().all(|own| own.staged_key.is_none()) {
        return Ok(None);
    }
    let of_next = |revision: &Revision| own_keys_in(&revision.meaning).into_iter().any(next);
    let found = database.revisions(node.id)?.into_iter().find(of_next);
    Ok(found.map(|revision| NextFile {
        node: node.name.clone(),
        number: revision.number,
        methods: revision.methods,
        last_handed_out: revision.last_handed_out,
    }))
}
