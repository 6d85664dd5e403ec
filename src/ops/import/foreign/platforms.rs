//! Configurations of other systems, which [`formats`](crate::wg::formats) understands: those that belong together are
//! gathered here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::wg::adopt::View;
use crate::wg::formats::{self, Format};

use super::error::without_keys;
use super::view::source;
use super::{Around, Foreign, ForeignError, quick};

/// Key files are short; whatever else a configuration may name isn't read.
const KEY_FILE: usize = 4096;

/// The systems whose configurations are read. Those of wg-quick(8) and of the apps are no foreign ones.
pub(super) const ALL: &[Format] = &[
    Format::Networkd,
    Format::NetworkManager,
    Format::OpenWrt,
    Format::RouterOs,
    Format::Vyos,
    Format::EdgeOs,
    Format::Json,
];

/// Returns the system whose configuration a text is.
pub(super) fn recognise(path: &Path, text: &str) -> Option<Format> {
    let name = path.file_name()?.to_str()?;
    formats::recognise(name, text).filter(|format| ALL.contains(format))
}

/// Whether the folder is one of systemd-networkd with WireGuard in it.
pub(super) fn networkd(folder: &Path, around: &dyn Around) -> Result<bool, ForeignError> {
    for file in around.list(folder)?.into_iter().filter(|file| ends_with(file, "netdev")) {
        if let Some(bytes) = around.read(&file)?
            && recognise(&file, &String::from_utf8_lossy(&bytes)) == Some(Format::Networkd)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a file, or a folder of systemd-networkd.
pub(super) fn read(format: Format, path: &Path, around: &dyn Around) -> Result<Foreign, ForeignError> {
    let files = if format == Format::Networkd { networkd_files(path, around)? } else { one(path, around)? };
    let given: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let found = formats::read(format, &given).map_err(|error| ForeignError::Format {
        file: path.to_owned(),
        format: format.system(),
        reason: without_keys(&error.to_string()),
    })?;
    let mut foreign = Foreign::default();
    for found in found {
        let place = found.interface.as_ref().map_or("", |name| name.as_str());
        let mut view = View::new(source(path, place), found.tunnel);
        view.interface = found.interface;
        for remark in found.remarks {
            foreign.note(view.source.clone(), without_keys(&remark));
        }
        foreign.views.push(view);
    }
    if foreign.views.is_empty() {
        return Err(ForeignError::missing(path, "there is no WireGuard interface in it"));
    }
    Ok(foreign.finish())
}

type Texts = BTreeMap<String, Zeroizing<String>>;

fn load(path: &Path, around: &dyn Around) -> Result<Option<Zeroizing<String>>, ForeignError> {
    around.read(path)?.map(|bytes| quick::text(path, &bytes)).transpose()
}

fn one(path: &Path, around: &dyn Around) -> Result<Texts, ForeignError> {
    let text = load(path, around)?.ok_or_else(|| ForeignError::missing(path, "there is no such file"))?;
    Ok(Texts::from([(path.display().to_string(), text)]))
}

/// Gathers what belongs to a `.netdev` file, or to all in a folder: the `.network` files for their interfaces, and the keys
/// that they name.
fn networkd_files(path: &Path, around: &dyn Around) -> Result<Texts, ForeignError> {
    let (folder, only) = match ends_with(path, "netdev") {
        true => (path.parent().unwrap_or(Path::new("")), Some(path)),
        false => (path, None),
    };
    let mut files = Texts::new();
    let mut names: Vec<String> = Vec::new();
    let mut keys: Vec<PathBuf> = Vec::new();
    let listed = around.list(folder)?;
    for file in listed.iter().filter(|file| ends_with(file, "netdev") && only.is_none_or(|only| only == *file)) {
        let Some(text) = load(file, around)? else { continue };
        if recognise(file, &text) != Some(Format::Networkd) {
            continue; // a bridge, or what else a folder of systemd-networkd has
        }
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key.trim() {
                "Name" => names.push(value.trim().to_owned()),
                "PrivateKeyFile" | "PresharedKeyFile" => keys.push(PathBuf::from(value.trim())),
                _ => {}
            }
        }
        files.insert(file.display().to_string(), text);
    }
    for file in listed.iter().filter(|file| ends_with(file, "network")) {
        let Some(text) = load(file, around)? else { continue };
        let matches = |line: &str| match line.split_once('=') {
            Some((key, value)) if key.trim() == "Name" => {
                value.contains('*') || value.split_whitespace().any(|name| names.iter().any(|known| known == name))
            }
            _ => false,
        };
        if text.lines().any(matches) {
            files.insert(file.display().to_string(), text);
        }
    }
    for key in keys {
        let Some(name) = key.file_name() else { continue };
        // A copy beside counts before the place on the server.
        for file in [folder.join(name), key.clone()] {
            if let Some(bytes) = around.read(&file)?
                && bytes.len() <= KEY_FILE
            {
                files.insert(key.display().to_string(), quick::text(&file, &bytes)?);
                break;
            }
        }
    }
    Ok(files)
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|end| end == extension)
}
