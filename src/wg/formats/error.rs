//! What can't be said in another system's words, and what isn't understood of them.

use std::fmt;

use serde::Serialize;

use super::{Feature, Format};

/// Something that a system has no word for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} can't express {what}: {instead}", .format.system())]
pub struct Inexpressible {
    /// The system.
    pub format: Format,
    /// What can be named to leave it out; `None` when there is no doing without it.
    pub feature: Option<Feature>,
    /// The thing, with its value where that is no secret.
    pub what: String,
    /// What can be done instead.
    pub instead: String,
}

/// Something in a configuration that isn't understood. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{file}{}: found {found}, expected {expected}", Line(*.line))]
pub struct Unreadable {
    /// The file.
    pub file: String,
    /// The line, from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// What stands there.
    pub found: String,
    /// What would be understood.
    pub expected: String,
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}
