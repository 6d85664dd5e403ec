//! The settings file: where each setting comes from, and changing some without touching what else stands there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use toml_edit::{DocumentMut, value};

use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::private_file;
use crate::settings::{self, KEYS, Settings};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Nobody said otherwise.
    Default,
    /// The settings file.
    File,
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// What it is called in the file.
    pub key: &'static str,
    /// Its value, without quotes.
    pub value: String,
    /// Where that comes from.
    pub from: From,
    /// What it is about.
    pub about: &'static str,
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The file that is read.
    pub file: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// The settings, in the order of [`KEYS`].
    pub settings: Vec<Setting>,
}

/// A setting that gets another value: `parallel=8`. Without a value it gets its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    key: &'static str,
    value: Option<String>,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE; KEY= for the default")?;
        let known = KEYS.iter().map(|(known, _)| *known);
        match known.clone().find(|known| *known == key.trim()) {
            Some(key) => Ok(Self { key, value: Some(value.trim().to_owned()).filter(|value| !value.is_empty()) }),
            None => Err(format!("there is no setting `{}`, only {}", key.trim(), known.collect::<Vec<_>>().join(", "))),
        }
    }
}

/// What changed of a setting: its value, or where that comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Which.
    pub key: &'static str,
    /// Its value before.
    pub before: String,
    /// Its value now.
    pub after: String,
    /// Where that comes from now.
    pub from: From,
}

/// What changing settings came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// Whether it was written; false for a preview, and where nothing was to change.
    pub saved: bool,
    /// What differs from before.
    pub changes: Vec<Changed>,
}

/// Lists the settings. `named`: the file that was named, if one was.
///
/// # Errors
/// When the file can't be read or is wrong.
pub fn list(named: Option<&Path>) -> Result<Listing, Error> {
    let file = settings::file(named)?;
    let text = read(&file)?;
    let known = Settings::parse(text.as_deref().unwrap_or_default(), &file)?;
    let document = document(text.as_deref().unwrap_or_default(), &file)?;
    let setting = |(key, about): &(&'static str, &'static str)| -> Result<Setting, Error> {
        Ok(Setting { key, value: known.value(key)?, from: from_where(&document, key), about })
    };
    Ok(Listing { exists: text.is_some(), settings: KEYS.iter().map(setting).collect::<Result<_, _>>()?, file })
}

/// Changes settings. Comments and the order of lines stay as they are. The file is made if there is none; in one that has a wrong
/// value, this one can be set right.
///
/// # Errors
/// When a value isn't one that the setting can have, or the file can't be read or written: it stays as it was.
pub fn set(named: Option<&Path>, assignments: &[Assignment], mode: Mode) -> Result<Outcome, Error> {
    let file = settings::file(named)?;
    let text = read(&file)?.unwrap_or_default();
    let before = Settings::parse(&text, &file).unwrap_or_default();
    let mut document = document(&text, &file)?;
    let came_from = KEYS.map(|(key, _)| from_where(&document, key));
    for Assignment { key, value: wanted } in assignments {
        match wanted {
            None => _ = document.remove(key),
            Some(text) => {
                let new = match text.parse::<i64>() {
                    // It is the same file wherever somebody is.
                    _ if *key == "db" => value(path::absolute(text).unwrap_or(text.into()).display().to_string()),
                    Ok(number) => value(number),
                    Err(_) => value(text.as_str()),
                };
                let entry = document.entry(key).or_insert(new.clone());
                // What stands beside the value, such as a comment, is kept.
                if let (Some(old), Some(mut new)) = (entry.as_value_mut(), new.as_value().cloned()) {
                    *new.decor_mut() = old.decor().clone();
                    *old = new;
                }
            }
        }
    }
    let changed = document.to_string();
    let after = Settings::parse(&changed, &file)?;
    let mut changes = Vec::new();
    for ((key, _), came_from) in KEYS.iter().zip(came_from) {
        let (before, after, from) = (before.value(key)?, after.value(key)?, from_where(&document, key));
        if before != after || came_from != from {
            changes.push(Changed { key, before, after, from });
        }
    }
    let saved = mode == Mode::Save && changed != text;
    if saved {
        write(&file, &changed)?;
    }
    Ok(Outcome { file, saved, changes })
}

fn from_where(document: &DocumentMut, key: &str) -> From {
    if document.contains_key(key) { From::File } else { From::Default }
}

fn read(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(settings::Error::Unreadable { path: file.to_owned(), source }.into()),
    }
}

fn document(text: &str, file: &Path) -> Result<DocumentMut, Error> {
    text.parse().map_err(|error: toml_edit::TomlError| Error::RefusedWithRemedy {
        message: format!("the settings in {} are wrong:\n{}", file.display(), error.to_string().trim_end()),
        hint: "mend that line by hand".to_owned(),
    })
}

/// Writes the file whole, or not at all; a link goes on to lead to it, and it is whose it was and as readable.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let led_to = || Ok(file.parent().unwrap_or(Path::new("")).join(fs::read_link(file)?));
    let target = fs::canonicalize(file).or_else(|_| led_to()).unwrap_or_else(|_: std::io::Error| file.to_owned());
    let before = fs::metadata(&target).ok();
    private_file::write(&target, text.as_bytes())?;
    let Some(before) = before else { return Ok(()) };
    let as_before = || {
        if fs::metadata(&target)?.uid() != before.uid() {
            chown(&target, Some(before.uid()), Some(before.gid()))?;
        }
        fs::set_permissions(&target, before.permissions())
    };
    as_before().map_err(|source| Error::Unwritable { path: target.clone(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set_in(file: &Path, assignments: &[&str], mode: Mode) -> Result<Outcome, Error> {
        let assignments: Vec<Assignment> = assignments.iter().map(|text| text.parse().unwrap()).collect();
        set(Some(file), &assignments, mode)
    }

    #[test]
    fn what_else_stands_in_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (real, file) = (dir.path().join("real.toml"), dir.path().join("wg-friend.toml"));
        let text = "# mine\nparallel = 4 # the line is slow\n\n[not]\n".replace("\n[not]\n", "");
        fs::write(&real, &text).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&real, &file).unwrap();
        let outcome = set_in(&file, &["parallel=8", "kdf=light"], Mode::Save).unwrap();
        assert_eq!(outcome.changes.len(), 2);
        let now = fs::read_to_string(&real).unwrap();
        assert_eq!(now, "# mine\nparallel = 8 # the line is slow\nkdf = \"light\"\n");
        assert!(file.is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o644);
        // A default can be written down, and what is wrong can be set right.
        let outcome = set_in(&file, &["host_timeout=30"], Mode::Save).unwrap();
        assert_eq!((outcome.saved, outcome.changes[0].from), (true, From::File));
        set_in(&file, &["host_timeout="], Mode::Save).unwrap();
        fs::write(&real, now.replace("parallel = 8", "parallel = 0")).unwrap();
        assert!(list(Some(&file)).is_err());
        set_in(&file, &["parallel=8"], Mode::Save).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), now);
        set_in(&file, &["kdf="], Mode::Save).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "# mine\nparallel = 8 # the line is slow\n");
    }

    #[test]
    fn a_wrong_value_and_a_preview_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/wg-friend.toml");
        let outcome = set_in(&file, &["host_timeout=9"], Mode::Preview).unwrap();
        assert_eq!((outcome.saved, outcome.changes.len()), (false, 1));
        assert!(!file.exists());
        for wrong in ["parallel=many", "parallel=0", "kdf=cheap", "keep_versions=-1"] {
            assert!(set_in(&file, &[wrong], Mode::Save).is_err(), "{wrong}");
        }
        assert!(!file.exists());
        assert!("nonsense=1".parse::<Assignment>().unwrap_err().contains("only db, parallel"));
        assert!(set_in(&file, &["host_timeout=9"], Mode::Save).unwrap().saved);
        let listed = list(Some(&file)).unwrap();
        assert_eq!((listed.settings[3].value.as_str(), listed.settings[3].from), ("9", From::File));
    }
}
