//! Sources read into views: files of wg-quick(8) here, everything else by the readers of [`foreign`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::foreign::{self, Disk, Format};
use super::sources::Source;
use crate::model::{InterfaceName, PublicKey, Role};
use crate::wg::adopt::View;
use crate::wg::config::{Document, Fault, FaultKind, Mode};

/// What the operator says about sources, by the names of the sources or of the files alone.
#[derive(Default)]
pub struct Words {
    /// What a source is, when it isn't to be recognised.
    pub format: Option<Format>,
    /// What the readers of other tools' data are told besides.
    pub options: foreign::Options,
    /// How strictly files of wg-quick(8) are read.
    pub mode: Mode,
    /// Roles of the sources' own nodes.
    pub roles: BTreeMap<String, Role>,
    /// Public keys of sources without a private key.
    pub public_keys: BTreeMap<String, PublicKey>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("format", &self.format).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// A source as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Its name.
    pub source: String,
    /// What it is written in.
    pub format: &'static str,
    /// Its size in bytes.
    pub size: i64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// A source that couldn't be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its name.
    pub source: String,
    /// What is wrong: for a file, each fault with its line.
    pub reason: String,
}

impl Refused {
    /// Returns the reason with the source's name, which some reasons begin with anyway.
    pub fn in_words(&self) -> String {
        if self.reason.starts_with(&self.source) {
            self.reason.clone()
        } else {
            format!("{}: {}", self.source, self.reason)
        }
    }
}

/// Something about a source that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// The source, or what in it.
    pub about: String,
    /// What to know.
    pub text: String,
}

/// What came of reading the sources.
#[derive(Debug, Default)]
pub struct Read {
    /// What they say.
    pub views: Vec<View>,
    /// The source of each view.
    pub origins: Vec<Origin>,
    /// Sources that couldn't be read.
    pub refused: Vec<Refused>,
    /// What else to know.
    pub remarks: Vec<Remark>,
}

/// What a file of wg-quick(8) is called as a format.
pub const WG_QUICK: &str = "wg-quick";

/// Reads sources into views. One that can't be read keeps no other from being read.
pub fn read(sources: Vec<Source>, words: &Words) -> Read {
    let mut read = Read::default();
    for source in sources {
        let result = match words.format.or(source.format).or_else(|| recognise(&source)) {
            Some(format) => foreign(&source, format, words, &mut read),
            None => wg_quick(&source, words, &mut read),
        };
        if let Err(reason) = result {
            read.refused.push(Refused { source: source.name, reason });
        }
    }
    read
}

fn recognise(source: &Source) -> Option<Format> {
    foreign::recognise(source.path.as_deref().unwrap_or(Path::new("-")), &source.bytes)
}

/// Returns what the operator said about a source, by its whole name or by the last part of it.
fn said<T: Copy>(words: &BTreeMap<String, T>, source: &str) -> Option<T> {
    let last = Path::new(source).file_name().and_then(|name| name.to_str()).unwrap_or(source);
    words.get(source).or_else(|| words.get(last)).copied()
}

pub(super) fn origin(name: &str, format: &'static str, bytes: &[u8]) -> Origin {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Origin { source: name.to_owned(), format, size: i64::try_from(bytes.len()).unwrap_or(i64::MAX), sha256 }
}

fn wg_quick(source: &Source, words: &Words, read: &mut Read) -> Result<(), String> {
    let text = as_text(&source.bytes)?;
    let mut view = view_of_file(&source.name, text, words.mode, &mut read.remarks)?;
    let stem = Path::new(&source.name).file_stem().and_then(|stem| stem.to_str());
    view.name = stem.map(str::to_owned);
    view.interface = stem.and_then(|stem| stem.parse::<InterfaceName>().ok());
    view.role = said(&words.roles, &source.name);
    view.public_key = said(&words.public_keys, &source.name);
    read.views.push(view);
    read.origins.push(origin(&source.name, WG_QUICK, &source.bytes));
    Ok(())
}

/// Reads the text of a wg-quick file into a view of which nothing else is known.
///
/// # Errors
/// Every fault of the text, in words, with its line.
pub(super) fn view_of_file(name: &str, text: &str, mode: Mode, remarks: &mut Vec<Remark>) -> Result<View, String> {
    let document = Document::parse(text);
    let reading = document
        .read(mode)
        .map_err(|faults| faults.iter().map(|fault| fault.render(name, &document)).collect::<Vec<_>>().join("\n"))?;
    let dropped: BTreeSet<usize> = if mode == Mode::Lenient {
        let unknown = reading.warnings.iter().filter(|fault| fault.kind == FaultKind::UnknownKey);
        unknown.map(|fault| fault.line).collect()
    } else {
        BTreeSet::new()
    };
    let remark = |fault: &Fault| {
        let left_out = if dropped.contains(&fault.line) { "left out: " } else { "" };
        Remark { about: name.to_owned(), text: format!("{left_out}{}", fault.render(name, &document)) }
    };
    remarks.extend(reading.warnings.iter().map(remark));
    if dropped.is_empty() {
        let mut view = View::new(name, reading.tunnel);
        view.text = Some(Zeroizing::new(text.to_owned()));
        return Ok(view);
    }
    // What is left has no unknown key, so this reads it for good.
    view_of_file(name, &document.without_lines(&dropped), mode, &mut Vec::new())
}

/// Returns the content of a file as text.
pub(super) fn as_text(bytes: &[u8]) -> Result<&str, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("it is written in UTF-16: save it as UTF-8, or run `iconv -f utf-16 -t utf-8`".to_owned());
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is no UTF-8 text: if it is Latin-1, run `iconv -f latin1 -t utf-8` on the file first")
    })
}

fn foreign(source: &Source, format: Format, words: &Words, read: &mut Read) -> Result<(), String> {
    let path = source.path.as_deref().ok_or("this format is read from its file, not from standard input")?;
    let found = foreign::read(format, path, &Disk, &words.options).map_err(|error| error.to_string())?;
    read.remarks.extend(found.notes.into_iter().map(|note| Remark { about: note.about, text: note.text }));
    for mut view in found.views {
        view.public_key = said(&words.public_keys, &view.source).or(view.public_key);
        view.role = said(&words.roles, &view.source).or(view.role);
        read.views.push(view);
        read.origins.push(origin(&source.name, format.info().name, &source.bytes));
    }
    Ok(())
}
