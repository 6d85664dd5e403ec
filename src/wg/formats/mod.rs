//! Other systems' ways to write down an interface: a file per system, all of them from and to one [`Tunnel`].
//!
//! A writer says everything that the tunnel means, or refuses and names what its system has no word for, with what can be
//! done instead. Nothing is dropped in silence: what shall be missing has to be named in [`Subject::without`].

mod android;
mod apple;
mod check;
mod edgeos;
mod error;
mod feature;
mod format;
mod ini;
mod json;
mod network_manager;
mod networkd;
mod nixos;
mod openwrt;
mod opnsense;
mod pfsense;
mod routeros;
mod routes;
#[cfg(test)]
mod tests;
mod text;
mod vyos;
mod wg_quick;
mod windows;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::Tunnel;
use crate::model::InterfaceName;

pub use error::{Inexpressible, Unreadable};
pub use feature::{Feature, LeftOut, leave_out};
pub use format::{Format, recognise};

/// For whom and how a tunnel is written.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the tunnel is called there: the interface's name, on phones and desktops the name in the list.
    pub name: String,
    /// The node whose tunnel it is.
    pub node: String,
    /// What is knowingly left out.
    pub without: BTreeSet<Feature>,
    /// Whether default routes are written as their two halves, for Windows to do without its kill switch.
    pub halve_default: bool,
}

/// A file for another system.
#[derive(PartialEq, Eq)]
pub struct OutFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub content: Zeroizing<String>,
    /// Whether keys are in it.
    pub secret: bool,
    /// Where it goes on that system, as a sentence or a path; empty when it is only imported.
    pub place: String,
    /// The mode that it needs there.
    pub mode: u32,
    /// Who owns it there: `root:systemd-network`.
    pub owner: &'static str,
}

impl fmt::Debug for OutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutFile").field("name", &self.name).field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// A tunnel in another system's words.
#[derive(Debug)]
pub struct Export {
    /// The files; the main one first.
    pub files: Vec<OutFile>,
    /// What was left out because the operator said so.
    pub left_out: Vec<LeftOut>,
    /// What else the person who installs them has to know or do, each a sentence.
    pub notes: Vec<String>,
}

/// Writes a tunnel for another system.
///
/// # Errors
///
/// Everything that the system can't express and that `subject.without` doesn't name.
pub fn write(format: Format, subject: &Subject, tunnel: &Tunnel) -> Result<Export, Vec<Inexpressible>> {
    let (tunnel, left_out) = leave_out(tunnel, &subject.without);
    let mut check = check::Check::new(format, subject, left_out);
    let (files, notes) = match format {
        Format::WgQuick => wg_quick::write(subject, &tunnel, &mut check),
        Format::Networkd => networkd::write(subject, &tunnel, &mut check),
        Format::NetworkManager => network_manager::write(subject, &tunnel, &mut check),
        Format::OpenWrt => openwrt::write(subject, &tunnel, &mut check),
        Format::RouterOs => routeros::write(subject, &tunnel, &mut check),
        Format::Vyos => vyos::write(subject, &tunnel, &mut check),
        Format::EdgeOs => edgeos::write(subject, &tunnel, &mut check),
        Format::NixOs => nixos::write(subject, &tunnel, &mut check),
        Format::OpnSense => opnsense::write(subject, &tunnel, &mut check),
        Format::PfSense => pfsense::write(subject, &tunnel, &mut check),
        Format::Windows => windows::write(subject, &tunnel, &mut check),
        Format::Apple => apple::write(subject, &tunnel, &mut check),
        Format::Android => android::write(subject, &tunnel, &mut check),
        Format::Json => json::write(subject, &tunnel),
    };
    let left_out = check.finish()?;
    Ok(Export { files, left_out, notes })
}

/// Writes everything in a tunnel as a file of wg-quick(8), keys of vendors too; peers have their names as comments.
pub fn as_wg_quick(node: &str, tunnel: &Tunnel) -> Zeroizing<String> {
    let subject =
        Subject { name: String::new(), node: node.to_owned(), without: BTreeSet::new(), halve_default: false };
    wg_quick::lines(&subject, tunnel, &wg_quick::Dialect { hooks: true, comments: true, halve_default: false }).finish()
}

/// A tunnel found in another system's configuration.
#[derive(Debug)]
pub struct Found {
    /// Its name there, if that is a name for an interface.
    pub interface: Option<InterfaceName>,
    /// What it means.
    pub tunnel: Tunnel,
    /// What the configuration says besides that a tunnel has no word for, each a sentence.
    pub remarks: Vec<String>,
}

/// Reads every tunnel in another system's configuration: files with their names and texts, those belonging together
/// (a `.netdev`, its `.network` and its key files) in one call, in any order.
///
/// # Errors
///
/// The first thing that isn't understood, with file, line, what was found and what was expected; a format that isn't read
/// ([`Format::is_read`]). No message holds a key.
pub fn read(format: Format, files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    match format {
        Format::WgQuick | Format::Windows | Format::Apple | Format::Android => wg_quick::read(files),
        Format::Networkd => networkd::read(files),
        Format::NetworkManager => network_manager::read(files),
        Format::OpenWrt => openwrt::read(files),
        Format::RouterOs => routeros::read(files),
        Format::Vyos => vyos::read(files),
        Format::EdgeOs => edgeos::read(files),
        Format::Json => json::read(files),
        Format::NixOs | Format::OpnSense | Format::PfSense => Err(Unreadable {
            file: files.first().map(|(name, _)| (*name).to_owned()).unwrap_or_default(),
            line: None,
            found: format!("a configuration for {format}"),
            expected: format!("one of {}", Format::words(|format| format.is_read())),
        }),
    }
}

/// What can and can't be said in a format: one row of `export --format list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// The word for `--format`.
    pub format: Format,
    /// What it is for.
    pub system: &'static str,
    /// What it can't express.
    pub lacks: Vec<Feature>,
    /// Whether it is read, too.
    pub read: bool,
}

/// Returns the formats with what each can't express.
pub fn abilities() -> Vec<Ability> {
    let ability = |format: &Format| Ability {
        format: *format,
        system: format.system(),
        lacks: format.lacks().to_vec(),
        read: format.is_read(),
    };
    Format::ALL.iter().map(ability).collect()
}
