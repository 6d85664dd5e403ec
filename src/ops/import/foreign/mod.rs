//! Readers of what other tools keep: their databases, their exports, and what wg(8) prints.
//!
//! A reader turns one tool's data into views: for each interface and each client that the tool knows, the tunnel that it
//! would configure there. What a tool keeps and a view can't hold comes back as a [`Note`]; nothing is dropped in
//! silence. Readers are pure: they see files through [`Around`] and never write.

mod around;
mod error;
mod record;
mod sqlite;
mod view;
mod wal;

use std::path::{Path, PathBuf};

pub use around::{Around, Bytes, Disk, Memory};
pub use error::ForeignError;
pub use view::{Foreign, Note, View};

/// A way of keeping WireGuard networks that isn't ours, and isn't a file of wg-quick(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// What `wg showconf` and `wg-quick strip` print.
    WgShowconf,
    /// What `wg show all dump` and `wg show wg0 dump` print.
    WgDump,
    /// wg-easy up to version 14: `wg0.json`.
    WgEasyJson,
    /// wg-easy from version 15 on: `wg-easy.db`.
    WgEasy,
    /// WGDashboard: `wgdashboard.db` with the configurations beside it.
    WgDashboard,
    /// wireguard-ui: the folder `db`.
    WireguardUi,
    /// PiVPN: its folder `/etc/wireguard`.
    PiVpn,
    /// wg-friend 1, which was written in Python: `wireguard.db`.
    Classic,
}

/// What is said about a format in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FormatInfo {
    /// What `--format` calls it.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What to import, as an example.
    pub example: &'static str,
}

/// Every format that can be read, in the order of the list.
pub fn formats() -> &'static [FormatInfo] {
    &[]
}

/// Returns the format of a file; `None` for a file of wg-quick(8) and for what is unknown.
pub fn recognise(_path: &Path, _bytes: &[u8]) -> Option<Format> {
    None
}

/// Returns the format of a folder, and the path to give to [`read`]; `None` for a folder of wg-quick(8) files.
///
/// # Errors
/// The folder can't be listed.
pub fn recognise_folder(_folder: &Path, _around: &dyn Around) -> Result<Option<(Format, PathBuf)>, ForeignError> {
    Ok(None)
}
