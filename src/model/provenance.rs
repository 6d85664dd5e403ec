//! Where a node is known from.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Name;

/// A source that speaks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Its file name, or the interface of a host.
    pub source: String,
    /// The host it was read from; `None` for a file given by the operator.
    pub host: Option<Name>,
    /// What it is written in, such as `wg-quick`.
    pub format: String,
    /// Its size in bytes.
    pub size: i64,
    /// SHA-256 of the whole source, in hexadecimal.
    pub sha256: String,
    /// First and last line of the part that speaks of the node, counted from 1; `None` is all of it.
    pub lines: Option<(u32, u32)>,
    /// When it was read.
    pub time: DateTime<Utc>,
}
