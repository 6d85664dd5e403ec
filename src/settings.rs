//! The settings file and what it says: `wg-friend.toml`, read once at start and passed down as values.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use serde::Deserialize;

/// What can go wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no home directory to look in.
    #[error("can't find your home directory: HOME is not set")]
    NoHome,
    /// The file is there and can't be read.
    #[error("can't read the settings in {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A setting that has to be at least 1 isn't.
    #[error("{key} = 0 in {}: it has to be at least 1", path.display())]
    Zero {
        /// Which file.
        path: PathBuf,
        /// Which setting.
        key: &'static str,
    },
    /// The file isn't TOML, or has a key or value that doesn't exist.
    #[error("the settings in {} are wrong:\n{}", path.display(), source.to_string().trim_end())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Where and why, with the line.
        source: Box<toml::de::Error>,
    },
}

/// How costly it is to try a passphrase; chosen when a passphrase is set and stored with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum KdfProfile {
    /// scrypt with n = 2^20, r = 8: seconds and 1 GiB of memory for each try
    #[default]
    Standard,
    /// scrypt with n = 2^16, r = 8: 64 MiB, for machines with little memory
    Light,
}

/// Settings, each with its default when the file doesn't say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The database; `None` means [`default_database`].
    pub db: Option<PathBuf>,
    /// How many hosts are worked on at once.
    pub parallel: usize,
    /// Seconds until a host undoes a deploy that nobody confirmed.
    pub confirm_timeout: u64,
    /// Seconds that a host may leave a question without an answer.
    pub host_timeout: u64,
    /// How many confirmed versions of each host are kept.
    pub keep_versions: NonZeroU32,
    /// The cost of new passphrases.
    pub kdf: KdfProfile,
}

impl Default for Settings {
    fn default() -> Self {
        let keep_versions = NonZeroU32::new(50).expect("fifty is not zero");
        Self {
            db: None,
            parallel: 32,
            confirm_timeout: 60,
            host_timeout: 30,
            keep_versions,
            kdf: KdfProfile::default(),
        }
    }
}

impl Settings {
    /// Reads settings from the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let path = || path.to_owned();
        let settings: Self =
            toml::from_str(text).map_err(|source| Error::Wrong { path: path(), source: Box::new(source) })?;
        let least_one = [
            ("parallel", settings.parallel as u64),
            ("confirm_timeout", settings.confirm_timeout),
            ("host_timeout", settings.host_timeout),
        ];
        match least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(Error::Zero { path: path(), key }),
            None => Ok(settings),
        }
    }

    /// Returns the value of a setting as it is written in the file, without quotes. `key`: one of [`KEYS`].
    ///
    /// # Errors
    /// When it is the database's default and nobody knows where the user's home is.
    pub fn value(&self, key: &str) -> Result<String, Error> {
        Ok(match key {
            "db" => match &self.db {
                Some(path) => path.display().to_string(),
                None => default_database()?.display().to_string(),
            },
            "parallel" => self.parallel.to_string(),
            "confirm_timeout" => self.confirm_timeout.to_string(),
            "host_timeout" => self.host_timeout.to_string(),
            "keep_versions" => self.keep_versions.to_string(),
            "kdf" => match self.kdf {
                KdfProfile::Standard => "standard".to_owned(),
                KdfProfile::Light => "light".to_owned(),
            },
            other => unreachable!("`{other}` is not among the settings"),
        })
    }

    /// Reads the file at `path`, or the one in the user's configuration directory; without a file, all is default.
    ///
    /// A file that was named must be there.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        let file = file(path)?;
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => Ok(Self::default()),
            Err(source) => Err(Error::Unreadable { path: file, source }),
        }
    }
}

/// The settings and what they are about, in the order in which they are shown.
pub const KEYS: [(&str, &str); 6] = [
    ("db", "the database"),
    ("parallel", "hosts worked on at once"),
    ("confirm_timeout", "seconds until a host takes back a deploy that nobody confirmed"),
    ("host_timeout", "seconds that a host may leave a question without an answer"),
    ("keep_versions", "confirmed versions of each host that are kept"),
    ("kdf", "the cost of new passphrases: standard (1 GiB of memory a try) or light (64 MiB)"),
];

/// Returns where the settings are: in the file that was named, or in the one in the user's configuration directory.
///
/// # Errors
/// When it isn't known where the user's home is.
pub fn file(named: Option<&Path>) -> Result<PathBuf, Error> {
    Ok(match named {
        Some(path) => path.to_owned(),
        None => config_directory()?.join("wg-friend/wg-friend.toml"),
    })
}

fn directories() -> Result<etcetera::base_strategy::Xdg, Error> {
    etcetera::base_strategy::Xdg::new().map_err(|_| Error::NoHome)
}

/// Returns the user's configuration directory (XDG Base Directory Specification).
///
/// # Errors
/// When it isn't known where the user's home is.
pub fn config_directory() -> Result<PathBuf, Error> {
    Ok(directories()?.config_dir())
}

/// Returns where the database is unless somebody says otherwise: `wg-friend/default.db` in the user's data directory
/// (XDG Base Directory Specification).
pub fn default_database() -> Result<PathBuf, Error> {
    Ok(directories()?.data_dir().join("wg-friend/default.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(Settings::parse("", Path::new("x")).unwrap(), Settings::default());
    }

    #[test]
    fn every_key_can_be_set() {
        let text = "db = '/srv/net.db'\nparallel = 4\nconfirm_timeout = 120\nhost_timeout = 9\nkeep_versions = 9\nkdf = 'light'\n";
        let settings = Settings::parse(text, Path::new("x")).unwrap();
        assert_eq!(
            settings,
            Settings {
                db: Some("/srv/net.db".into()),
                parallel: 4,
                confirm_timeout: 120,
                host_timeout: 9,
                keep_versions: NonZeroU32::new(9).unwrap(),
                kdf: KdfProfile::Light
            }
        );
    }

    #[test]
    fn every_setting_has_a_value_and_is_said_what_it_is_about() {
        let error = Settings::parse("nonsense = 1\n", Path::new("x")).unwrap_err().to_string();
        let known = error.split("expected one of").nth(1).unwrap();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(KEYS.map(|(key, _)| key).as_slice(), known);
        let settings = Settings { db: Some("/x".into()), ..Settings::default() };
        assert!(KEYS.iter().all(|(key, _)| !settings.value(key).unwrap().is_empty()));
    }

    #[test]
    fn what_has_to_be_at_least_one_is_not_nothing() {
        for key in ["parallel", "confirm_timeout", "host_timeout"] {
            let error = Settings::parse(&format!("{key} = 0\n"), Path::new("x")).unwrap_err();
            assert_eq!(error.to_string(), format!("{key} = 0 in x: it has to be at least 1"));
        }
        assert!(Settings::parse("keep_versions = 0\n", Path::new("x")).is_err());
    }

    #[test]
    fn a_mistyped_key_is_shown_with_its_line() {
        let error = Settings::parse("paralel = 4\n", Path::new("wg-friend.toml")).unwrap_err();
        insta::assert_snapshot!(error, @r"
        the settings in wg-friend.toml are wrong:
        TOML parse error at line 1, column 1
          |
        1 | paralel = 4
          | ^^^^^^^
        unknown field `paralel`, expected one of `db`, `parallel`, `confirm_timeout`, `host_timeout`, `keep_versions`, `kdf`
        ");
    }
}
