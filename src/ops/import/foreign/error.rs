//! Why another tool's data can't be read.

use std::path::{Path, PathBuf};

/// What is wrong, and where. Never repeats a value that may be a key.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// A value that isn't what the tool writes there.
    #[error("{}, {place}: found {found}, expected {expected}", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Where in it: a line, a table with row and column, a path in a JSON document.
        place: String,
        /// What stands there, without what may be secret.
        found: String,
        /// What should.
        expected: String,
    },
    /// Something without which the rest means nothing.
    #[error("{}: {what}", .file.display())]
    Missing {
        /// The file, or where it should be.
        file: PathBuf,
        /// What is missing, and what to do.
        what: String,
    },
    /// Not a file of that format at all.
    #[error("{} can't be read as {format}: {reason}", .file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What it was taken for.
        format: &'static str,
        /// Why not.
        reason: String,
    },
    /// Keys that are encrypted.
    #[error("the keys in {} are encrypted: {what}", .file.display())]
    Encrypted {
        /// The file.
        file: PathBuf,
        /// What to do.
        what: &'static str,
    },
    /// More than is read.
    #[error("{} is too large: it has {found} {what}, and at most {limit} are read", .file.display())]
    TooLarge {
        /// The file or folder.
        file: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many are read.
        limit: u64,
    },
    /// The system says no.
    #[error("can't read {}: {source}", .file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// In the system's words.
        source: std::io::Error,
    },
}

impl ForeignError {
    pub(super) fn missing(file: &Path, what: impl Into<String>) -> Self {
        Self::Missing { file: file.to_owned(), what: what.into() }
    }

    pub(super) fn format(file: &Path, format: &'static str, reason: impl ToString) -> Self {
        Self::Format { file: file.to_owned(), format, reason: reason.to_string() }
    }
}

/// Whether a key may be in a text: many characters of base64 in a row.
fn may_be_key(text: &str) -> bool {
    let run = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    text.as_bytes().windows(24).any(run)
}

/// Takes whatever has the length of a key, or more, out of a text that isn't ours.
pub(super) fn without_keys(text: &str) -> String {
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(base64) {
        let end = rest[start..].find(|c| !base64(c)).map_or(rest.len(), |length| start + length);
        safe.push_str(&rest[..start]);
        safe.push_str(if end - start < 40 { &rest[start..end] } else { "(hidden)" });
        rest = &rest[end..];
    }
    safe + rest
}

/// A name that a file gives to a part of it, for saying where something stands.
pub(super) fn part(name: &str) -> String {
    if may_be_key(name) || name.chars().count() > 64 {
        "(a long name)".to_owned()
    } else {
        name.chars().flat_map(char::escape_debug).collect()
    }
}

/// Describes a text for a message: as it is when it is short and can't be a key, else by what it looks like.
pub(super) fn describe(text: &str) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else if may_be_key(text) {
        "text that may be a key (not shown)".to_owned()
    } else {
        let short: String = text.chars().take(48).flat_map(char::escape_debug).collect();
        let more = if text.chars().nth(48).is_some() { "..." } else { "" };
        format!("`{short}{more}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_never_repeated() {
        assert_eq!(describe("10.8.0.300"), "`10.8.0.300`");
        assert_eq!(describe(""), "nothing");
        assert_eq!(describe("a\u{7}b"), "`a\\u{7}b`");
        assert_eq!(without_keys("line 7: `Name=wg0 ä`"), "line 7: `Name=wg0 ä`");
        let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        for text in [key.to_owned(), format!("x{key}"), key[..40].to_owned(), format!("PrivateKey = {key}")] {
            assert!(!describe(&text).contains("yAnz5TF"), "{text}");
            assert!(!without_keys(&format!("`{text}`")).contains("yAnz5TF"), "{text}");
        }
    }
}
