//! The file of a backup: a header that anybody can read, and behind it contents that only a key opens.
//!
//! ```text
//! "wg-friend backup 1\n"    19 bytes
//! length of the header      4 bytes, big-endian, at most 64 KiB
//! header                    JSON: which backup it is, and the ways to its key
//! SHA-256 of all that       32 bytes: tells damage from a wrong passphrase
//! pieces                    AES-256-GCM, 64 KiB of contents each, the last one less
//! ```
//!
//! The contents are one stream of Zstandard (RFC 8878): the length of the manifest (4 bytes, big-endian), the manifest as
//! JSON, and the parts that it lists, one behind the other. Each part's length and SHA-256 stand in the manifest; nothing
//! follows on the last one.
//!
//! The pieces' key is made with HMAC-SHA-256 from the base key and the SHA-256 of everything before the pieces, in which a
//! random salt stands: no two backups have the same key, and whoever changes the header changes the key. The base key is
//! the database's own data key, wrapped in the slots of its vault, so that its passphrase and its recovery key open the
//! backup too; or a random one, wrapped under a passphrase of the backup's own.
//!
//! A backup may build on another one: of the pages of its database it has those that differ from the other's, and the manifest
//! has the SHA-256 of what comes of both (`delta`).
//!
//! Both sides work in bounded memory: a piece, Zstandard's window and the manifest. What a length says is never allocated
//! ahead of the bytes.

mod armour;
#[cfg(test)]
pub(crate) mod damage;
mod delta;
mod header;
mod manifest;
mod pieces;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use armour::{armour, first_line};
pub use delta::{Carried, Comparison, Delta, Laying};
pub use header::{BaseName, Header, Kind, Lock};
pub use manifest::{Base, Manifest, NetworkCounts, Part, What};
pub use read::{Content, Opened, open};
pub use write::Writer;

use super::error::Error;

/// Says where a backup is damaged.
fn damaged(what: impl Into<String>) -> Error {
    Error::BackupDamaged { what: what.into() }
}

/// Returns bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
