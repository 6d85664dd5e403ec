//! Files of wg-quick(8) that lie among a tool's data.

use std::path::Path;

use zeroize::Zeroizing;

use crate::wg::Tunnel;
use crate::wg::config::{Document, Mode};

use super::error::without_keys;
use super::view::source;
use super::{Bytes, Foreign, ForeignError};

/// Makes a text of a file's bytes.
pub(super) fn text(path: &Path, bytes: &Bytes) -> Result<Zeroizing<String>, ForeignError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let reason = format!("byte {} is no UTF-8", error.valid_up_to() + 1);
            Err(ForeignError::format(path, "text", reason))
        }
    }
}

/// Reads a configuration; what is odd about it becomes notes.
///
/// # Errors
/// What wg(8) and wg-quick(8) don't take: every fault with its line.
pub(super) fn read(path: &Path, text: &str, foreign: &mut Foreign) -> Result<Tunnel, ForeignError> {
    let reading = Document::parse(text).read(Mode::Keep).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        ForeignError::format(path, "a configuration for wg-quick", without_keys(&faults.join("; ")))
    })?;
    for warning in reading.warnings {
        foreign.note(source(path, ""), warning.to_string());
    }
    Ok(reading.tunnel)
}
