//! What a reader returns.

use std::path::Path;

use serde::Serialize;

use crate::model::{PrivateKey, PublicKey};
use crate::wg::{Hook, Phase};

use crate::wg::adopt::View;

use super::ForeignError;
use super::record::Record;

/// Something that the tool keeps, and that doesn't come over as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What it is about: a name, an interface, a file.
    pub about: String,
    /// What it is, and what to do about it.
    pub text: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Foreign {
    /// One view for each interface and each client, servers first.
    pub views: Vec<View>,
    /// What a view can't hold, sorted.
    pub notes: Vec<Note>,
}

impl Foreign {
    /// Adds a note.
    pub(super) fn note(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Note { about: about.into(), text: text.into() });
    }

    /// Sorts the notes; the same one stands there once.
    pub(super) fn finish(mut self) -> Self {
        self.notes.sort();
        self.notes.dedup();
        self
    }

    /// Reads a client's private key and compares it with the public one by which the server knows the client. One that
    /// isn't its other half is left out, with a note: with it the client never got through.
    pub(super) fn private_key(
        &mut self,
        record: &Record<'_>,
        field: &str,
        public: PublicKey,
        name: &str,
    ) -> Result<Option<PrivateKey>, ForeignError> {
        let Some(key) = record.private_key(field)? else { return Ok(None) };
        if key.public() == public {
            return Ok(Some(key));
        }
        self.note(
            name,
            format!(
                "its private key belongs to {}, but the server knows it as {public}: the private key is left out",
                key.public()
            ),
        );
        Ok(None)
    }
}

/// Names a place in a file, for [`View::source`].
pub(super) fn source(file: &Path, place: &str) -> String {
    let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    [file.as_ref(), place].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Makes hooks of the texts that a tool keeps for the four phases. Each line of a text is a hook of its own, as it would
/// be in the file that the tool writes.
pub(super) fn hooks<'a>(texts: impl IntoIterator<Item = (Phase, &'a str)>) -> Vec<Hook> {
    let lines = |(phase, text): (Phase, &'a str)| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(move |line| Hook { phase, command: line.to_owned() })
    };
    texts.into_iter().flat_map(lines).collect()
}
