//! Files of sections with keys, as systemd and GLib write them.

use super::Unreadable;
use crate::wg::config::masked_line;

/// A section, with where it begins.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// What stands between the brackets.
    pub(super) name: &'a str,
    /// The line of its header.
    pub(super) line: usize,
    /// The comment right above it.
    pub(super) comment: Option<&'a str>,
    /// Its keys, in order.
    pub(super) entries: Vec<Entry<'a>>,
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Section<'_> {
    /// Returns the last value of a key: later ones replace earlier ones.
    pub(super) fn last(&self, key: &str) -> Option<&Entry<'_>> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }
}

/// Returns what was found without what is secret in it, in whatever place it was written.
fn without_secrets(found: String) -> String {
    let masked = masked_line(&found);
    // A name that stands alone reveals nothing.
    let named_only =
        masked.strip_suffix("(hidden)").is_some_and(|head| found.trim_end_matches('`').len() <= head.len());
    match (named_only || masked == found, found.ends_with('`')) {
        (true, _) => found,
        (false, true) => masked + "`",
        (false, false) => masked,
    }
}

/// A file's name, for what is wrong in it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a>(pub(super) &'a str);

impl Place<'_> {
    /// Something in a line isn't understood. Keys in what was found are hidden.
    pub(super) fn wrong(self, line: usize, found: impl Into<String>, expected: impl Into<String>) -> Unreadable {
        Unreadable { line: Some(line), ..self.wrong_file(found, expected) }
    }

    /// Something about the file as a whole isn't understood. Keys in what was found are hidden.
    pub(super) fn wrong_file(self, found: impl Into<String>, expected: impl Into<String>) -> Unreadable {
        let found = without_secrets(found.into());
        Unreadable { file: self.0.to_owned(), line: None, found, expected: expected.into() }
    }

    /// Reads a value that is no secret.
    pub(super) fn value<T: std::str::FromStr>(self, line: usize, text: &str, expected: &str) -> Result<T, Unreadable> {
        text.parse().map_err(|_| self.wrong(line, format!("`{}`", text.escape_debug()), expected))
    }

    /// Reads a key, of which a message says nothing.
    pub(super) fn key<T: std::str::FromStr>(self, line: usize, what: &str, text: &str) -> Result<T, Unreadable> {
        text.parse().map_err(|_| {
            self.wrong(
                line,
                format!("{} characters that are no key", text.chars().count()),
                format!("{what}: 44 characters of base64"),
            )
        })
    }
}

/// Takes a file apart. With `continued` a backslash at the end of a line joins the next one to it, as in systemd.syntax(7).
pub(super) fn sections<'a>(file: &str, text: &'a str, continued: bool) -> Result<Vec<Section<'a>>, Unreadable> {
    let mut found: Vec<Section<'a>> = Vec::new();
    let mut comment = None;
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    while let Some((raw, line)) = lines.next() {
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            comment = None;
        } else if let Some(said) = trimmed.strip_prefix(['#', ';']) {
            comment = Some(said.trim()).filter(|said| !said.is_empty());
        } else if let Some(inner) = trimmed.strip_prefix('[') {
            let name = inner.strip_suffix(']').ok_or_else(|| {
                Place(file).wrong(
                    line,
                    format!("`{}`", trimmed.escape_debug()),
                    "a section's name in brackets, such as [Network]",
                )
            })?;
            found.push(Section { name, line, comment: comment.take(), entries: Vec::new() });
        } else {
            comment = None;
            let (key, value) = trimmed.split_once('=').ok_or_else(|| {
                Place(file).wrong(line, "a line without `=`", "a key and its value, such as Name=wg0")
            })?;
            let mut value = value.trim().to_owned();
            while continued && value.ends_with('\\') {
                value.pop();
                let Some((more, _)) = lines.next() else { break };
                let more = more.trim();
                if !more.starts_with(['#', ';']) {
                    value.push(' ');
                    value.push_str(more);
                } else {
                    value.push('\\'); // a comment within goes on
                }
            }
            let section = found.last_mut().ok_or_else(|| {
                Place(file).wrong(
                    line,
                    format!("the key {}", key.trim().escape_debug()),
                    "a section before the first key",
                )
            })?;
            section.entries.push(Entry { key: key.trim(), value: value.trim().to_owned(), line });
        }
    }
    Ok(found)
}

/// Returns a comment that is a name.
pub(super) fn name_in(comment: Option<&str>) -> Option<String> {
    comment.filter(|said| said.parse::<crate::model::Name>().is_ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=";

    #[test]
    fn what_is_wrong_in_a_line_is_said_without_the_keys_in_it() {
        let said = |text: &str| sections("f", text, false).unwrap_err().to_string();
        insta::assert_snapshot!(said(&format!("[wireguard]x private-key={KEY}\n")), @"f, line 1: found `[wireguard]x private-(hidden)`, expected a section's name in brackets, such as [Network]");
        insta::assert_snapshot!(said(&format!("[Peer {KEY}\n")), @"f, line 1: found `[Peer (hidden)`, expected a section's name in brackets, such as [Network]");
        insta::assert_snapshot!(said(&format!("PresharedKey {KEY}\n")), @"f, line 1: found the key PresharedKey (hidden), expected a section before the first key");
        insta::assert_snapshot!(said(&format!("{KEY}\n")), @"f, line 1: found the key (hidden), expected a section before the first key");
        insta::assert_snapshot!(said("PrivateKey=x\n"), @"f, line 1: found the key PrivateKey, expected a section before the first key");
        let port = Place("f").value::<u16>(3, &format!("51820 PrivateKey = {KEY}"), "a port").unwrap_err();
        insta::assert_snapshot!(port, @"f, line 3: found `51820 PrivateKey = (hidden)`, expected a port");
        insta::assert_snapshot!(Place("f").value::<u16>(3, "70000", "a port").unwrap_err(), @"f, line 3: found `70000`, expected a port");
    }
}
