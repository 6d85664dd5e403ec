//! Settings that a container gets from outside: `WG_HOST=...` in a compose file or an environment file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Around, ForeignError};

/// Where such settings stand.
const NAMES: &[&str] =
    &["docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml", ".env", "wg-easy.env"];

/// Settings by name, and the file they were found in.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) file: Option<PathBuf>,
    settings: BTreeMap<String, String>,
}

impl Environment {
    /// Finds the settings whose names begin with `prefix`, beside a file or one folder above it. The first file that has
    /// any counts.
    pub(super) fn find(beside: &Path, prefix: &str, around: &dyn Around) -> Result<Self, ForeignError> {
        let folders = [beside.parent(), beside.parent().and_then(Path::parent)];
        for path in folders.into_iter().flatten().flat_map(|folder| NAMES.iter().map(|name| folder.join(name))) {
            let Some(bytes) = around.read(&path)? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let settings: BTreeMap<_, _> = text.lines().filter_map(|line| setting(line, prefix)).collect();
            if !settings.is_empty() {
                return Ok(Self { file: Some(path), settings });
            }
        }
        Ok(Self::default())
    }

    /// A setting's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }
}

/// Reads `NAME=value`, `- NAME=value` and `NAME: value`, with or without quotes. A value that refers to another one isn't
/// read.
fn setting(line: &str, prefix: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("- ").unwrap_or(line).trim();
    let line = unquoted(line.strip_prefix("export ").unwrap_or(line));
    if !line.starts_with(prefix) {
        return None;
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let (name, rest) = line.split_at(end);
    let value = rest.trim_start().strip_prefix(['=', ':'])?.trim();
    let value = match value.chars().next() {
        Some('\'' | '"') => unquoted(value),
        _ => value.split_once(" #").map_or(value, |(value, _)| value.trim()),
    };
    (!value.contains("${")).then(|| (name.to_owned(), value.to_owned()))
}

fn unquoted(text: &str) -> &str {
    let within = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_compose_files_and_environment_files() {
        for (line, value) in [
            ("      - WG_HOST=vpn.example.com", Some("vpn.example.com")),
            ("- 'WG_HOST=vpn.example.com'", Some("vpn.example.com")),
            ("  WG_HOST: \"vpn.example.com\"", Some("vpn.example.com")),
            ("export WG_HOST=vpn.example.com # outside", Some("vpn.example.com")),
            ("WG_HOST=", Some("")),
            ("# - WG_HOST=vpn.example.com", None),
            ("- WG_HOST=${HOST}", None),
            ("PASSWORD=WG_HOST=x", None),
        ] {
            assert_eq!(setting(line, "WG_").map(|(_, value)| value).as_deref(), value, "{line}");
        }
    }

    #[test]
    fn the_folder_above_is_looked_at_as_well() {
        let around = super::super::Memory::default().with("/srv/.env", "PORT=1\nWG_PORT=1234\n");
        let environment = Environment::find(Path::new("/srv/data/wg0.json"), "WG_", &around).unwrap();
        assert_eq!(environment.get("WG_PORT"), Some("1234"));
        assert_eq!(environment.get("PORT"), None);
        assert_eq!(environment.file, Some(PathBuf::from("/srv/.env")));
    }
}
