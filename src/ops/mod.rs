//! What wg-friend can do: a folder per family, a file per capability. Operations take what they touch and return a
//! typed outcome that serialises; the front ends only turn input into calls and outcomes into something to look at.

pub mod clock;
pub mod deploy;
pub mod drift;
pub mod error;
pub mod exit;
pub mod host;
pub mod import;
pub mod interface;
pub mod network;
pub mod parallel;
pub mod preferences;
pub mod psk;
pub mod reach;
pub mod report;
pub mod revision;
pub mod rotation;
pub mod safety;
pub mod sync;
pub mod timer;
pub mod traffic;
pub mod watch;

pub use error::{Error, Kind};
