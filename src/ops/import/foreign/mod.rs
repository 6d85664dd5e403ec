//! Readers of what other tools keep: their databases, their exports, and what wg(8) prints.
//!
//! A reader turns one tool's data into views: for each interface and each client that the tool knows, the tunnel that it
//! would configure there. What a tool keeps and a view can't hold comes back as a [`Note`]; nothing is dropped in
//! silence. Readers see files through [`Around`] and never write. What they are given may be anybody's: sizes are
//! bounded, and errors name the place and never repeat what may be a key.

mod around;
mod classic;
mod environment;
mod error;
mod ini;
mod panel;
mod pivpn;
mod platforms;
mod quick;
mod record;
mod sqlite;
#[cfg(test)]
mod tests;
mod view;
mod wal;
mod wg_easy;
mod wg_easy_json;
mod wg_show;
mod wgdashboard;
mod wireguard_ui;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::wg::formats;

pub use around::{Around, Bytes, Disk, Memory};
pub use error::ForeignError;
pub use view::{Foreign, Note};

use sqlite::Database;

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
    /// Another system's configuration.
    System(formats::Format),
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

macro_rules! formats {
    ($($format:expr => $name:literal, $what:literal, $example:literal;)+) => {
        const FORMATS: &[Format] = &[$($format),+];
        const INFOS: &[FormatInfo] = &[$(FormatInfo { name: $name, what: $what, example: $example }),+];
    };
}

formats! {
    Format::WgShowconf => "wg-showconf", "what `wg showconf` and `wg-quick strip` print", "wg0.showconf";
    Format::WgDump => "wg-dump", "what `wg show all dump` and `wg show wg0 dump` print", "wg.dump";
    Format::WgEasyJson => "wg-easy-json", "wg-easy up to version 14, with wg0.conf beside it", "wg0.json";
    Format::WgEasy => "wg-easy", "wg-easy from version 15 on, with wg0.conf beside it", "wg-easy.db";
    Format::WgDashboard => "wgdashboard", "WGDashboard, with the configurations and wg-dashboard.ini beside it",
        "wgdashboard.db";
    Format::WireguardUi => "wireguard-ui", "wireguard-ui's folder of JSON files", "db/";
    Format::PiVpn => "pivpn", "PiVPN's folder, with configs/clients.txt in it", "/etc/wireguard/";
    Format::Classic => "wg-friend-1", "wg-friend 1, the one written in Python", "wireguard.db";
    Format::System(formats::Format::Networkd) => "networkd", "systemd-networkd: a .netdev file, or their folder",
        "/etc/systemd/network/";
    Format::System(formats::Format::NetworkManager) => "networkmanager", "a keyfile of NetworkManager",
        "wg0.nmconnection";
    Format::System(formats::Format::OpenWrt) => "openwrt", "OpenWrt's network configuration, or `uci show network`",
        "network";
    Format::System(formats::Format::RouterOs) => "routeros", "`/export show-sensitive` of MikroTik RouterOS 7",
        "router.rsc";
    Format::System(formats::Format::Vyos) => "vyos", "`show configuration commands` of VyOS", "vyos.txt";
    Format::System(formats::Format::EdgeOs) => "edgeos", "`show configuration commands` of EdgeOS", "edgeos.txt";
    Format::System(formats::Format::Json) => "json", "what wg-friend exports as JSON", "wg0.json";
}

/// Every format that can be read, in the order of the list.
pub fn formats() -> &'static [FormatInfo] {
    INFOS
}

impl Format {
    /// Returns what is said about it.
    pub fn info(self) -> &'static FormatInfo {
        let at = FORMATS.iter().position(|format| *format == self);
        // Systems whose configurations aren't read have no entry, and no way to become one of these.
        at.map_or(&INFOS[0], |at| &INFOS[at])
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.info().name)
    }
}

/// No format that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format that can be imported: `wg-friend import --format list` lists them")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let at = INFOS.iter().position(|info| info.name == name);
        at.map(|at| FORMATS[at]).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// What a reader is told besides.
#[derive(Default)]
pub struct Options {
    /// The passphrase of a database whose keys are encrypted.
    pub passphrase: Option<Zeroizing<String>>,
}

/// Returns the format of a file; `None` for a file of wg-quick(8) and for what is unknown.
pub fn recognise(path: &Path, bytes: &[u8]) -> Option<Format> {
    if sqlite::is_database(bytes) {
        // The log doesn't matter here, and the file need not be on this machine.
        let around = Memory::default().with(path, bytes);
        let database = Database::read(path, "a database", &around).ok()?;
        return if wg_easy::is(&database) {
            Some(Format::WgEasy)
        } else if classic::is(&database) {
            Some(Format::Classic)
        } else {
            wgdashboard::is(&database).then_some(Format::WgDashboard)
        };
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if let Some(format) = platforms::recognise(path, text) {
        return Some(Format::System(format));
    }
    if text.trim_start().starts_with('{') {
        let document = record::object(path, "JSON", bytes).ok()?;
        if wg_easy_json::is(&document) {
            return Some(Format::WgEasyJson);
        }
        return wireguard_ui::folder_of(path).map(|_| Format::WireguardUi);
    }
    if wg_show::is_dump(text) {
        return Some(Format::WgDump);
    }
    // What is called `.conf` is kept byte for byte, as a file of wg-quick(8) is.
    let file = path.extension().is_some_and(|extension| extension == "conf");
    (!file && wg_show::is_showconf(text)).then_some(Format::WgShowconf)
}

/// Returns the format of a folder, and the path to give to [`read`]; `None` for a folder of wg-quick(8) files.
///
/// # Errors
/// The folder can't be read.
pub fn recognise_folder(folder: &Path, around: &dyn Around) -> Result<Option<(Format, PathBuf)>, ForeignError> {
    for below in [folder.to_owned(), folder.join("db")] {
        if around.read(&wireguard_ui::keys(&below))?.is_some() {
            return Ok(Some((Format::WireguardUi, below)));
        }
    }
    if around.read(&pivpn::list(folder))?.is_some() {
        return Ok(Some((Format::PiVpn, folder.to_owned())));
    }
    if platforms::networkd(folder, around)? {
        return Ok(Some((Format::System(formats::Format::Networkd), folder.to_owned())));
    }
    // A tool's own data say more than the configurations that it writes beside them.
    for name in ["wg-easy.db", "wg0.json", "wgdashboard.db", "db/wgdashboard.db", "wireguard.db"] {
        let file = folder.join(name);
        if let Some(bytes) = around.read(&file)?
            && let Some(format) = recognise(&file, &bytes)
        {
            return Ok(Some((format, file)));
        }
    }
    Ok(None)
}

/// Reads one tool's data.
///
/// # Errors
/// What can't be read, with the file, the place, what was found and what was expected; keys that are encrypted and don't
/// open.
pub fn read(format: Format, path: &Path, around: &dyn Around, options: &Options) -> Result<Foreign, ForeignError> {
    let bytes = || around.read(path)?.ok_or_else(|| ForeignError::missing(path, "there is no such file"));
    let mut foreign = match format {
        Format::WgShowconf => wg_show::read_showconf(path, &quick::text(path, &bytes()?)?),
        Format::WgDump => wg_show::read_dump(path, &quick::text(path, &bytes()?)?),
        Format::WgEasyJson => wg_easy_json::read(path, &bytes()?, around),
        Format::WgEasy => wg_easy::read(path, &Database::read(path, "wg-easy's database", around)?, around),
        Format::WgDashboard => {
            wgdashboard::read(path, &Database::read(path, "WGDashboard's database", around)?, around)
        }
        Format::WireguardUi => wireguard_ui::read(wireguard_ui::folder_of(path).unwrap_or(path), around),
        Format::PiVpn => pivpn::read(path, around),
        Format::Classic => classic::read(path, &Database::read(path, "wg-friend 1's database", around)?, options),
        Format::System(format) => platforms::read(format, path, around),
    }?;
    for view in &mut foreign.views {
        if view.name.is_none() {
            view.name = view.interface.as_ref().map(ToString::to_string);
        }
    }
    Ok(foreign)
}
