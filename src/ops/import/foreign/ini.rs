//! Files of `key = value` lines under `[sections]`, as Python's configparser writes them.

use std::collections::BTreeMap;

/// Settings by section and key, keys in lower case.
pub(super) struct Ini(BTreeMap<(String, String), String>);

impl Ini {
    /// Reads a text; lines that are neither sections nor settings are passed over.
    pub(super) fn read(text: &str) -> Self {
        let mut section = String::new();
        let mut settings = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name.to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                settings.insert((section.clone(), key.trim().to_ascii_lowercase()), value.trim().to_owned());
            }
        }
        Self(settings)
    }

    /// A setting; `None` when it is missing or empty.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.0.get(&(section.to_owned(), key.to_ascii_lowercase()))?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}
