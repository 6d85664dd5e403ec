//! Hiding the keys of a wg-quick file.

use std::borrow::Cow;

/// What stands in the place of a key.
pub(super) const HIDDEN: &str = "(hidden)";

/// Names whose values are secret, without blanks and hyphens, in lower case.
const SECRETS: &[&str] = &["privatekey", "presharedkey"];

/// Returns a wg-quick file with `(hidden)` in the place of each private and preshared key; everything else is as it was.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for piece in text.split_inclusive('\n') {
        let content = piece.trim_end_matches(['\n', '\r']);
        match content.split_once('=').filter(|(key, _)| is_secret(key)) {
            Some((key, value)) => {
                let blank = &value[..value.len() - value.trim_start().len()];
                masked.extend([key, "=", blank, HIDDEN]);
            }
            None => masked.push_str(content),
        }
        masked.push_str(&piece[content.len()..]);
    }
    masked
}

/// Whether a key of a wg-quick file, in whatever spelling wg(8) takes, has a secret as its value. Commented-out lines
/// count: a key in a comment is a key.
fn is_secret(key: &str) -> bool {
    let name: String = key.chars().filter(|c| !c.is_whitespace() && !matches!(c, '#' | ';' | '\u{feff}')).collect();
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// A line without what is secret in it.
pub(super) struct MaskedLine<'a> {
    pub(super) text: Cow<'a, str>,
    /// At which character what is hidden begins.
    pub(super) hidden_from: Option<usize>,
}

/// Returns one line for a message: everything behind the name of a secret is hidden, in whatever way it is written, and
/// so is the rest of a line from the first thing on that has the form of a key, unless it is a public one.
pub(super) fn line(text: &str) -> MaskedLine<'_> {
    match secret_from(text) {
        Some(at) => {
            let head = &text[..at];
            MaskedLine { text: Cow::Owned(format!("{head}{HIDDEN}")), hidden_from: Some(head.chars().count()) }
        }
        None => MaskedLine { text: Cow::Borrowed(text), hidden_from: None },
    }
}

/// Returns a command or another line for people, as [`line`] does.
pub fn masked_line(text: &str) -> String {
    line(text).text.into_owned()
}

/// Where the secret part of a line begins.
fn secret_from(text: &str) -> Option<usize> {
    // The letters alone with the place behind each, so that `private-key` and `Preshared Key` are found too.
    let letters: Vec<(char, usize)> = text
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphabetic())
        .map(|(at, c)| (c.to_ascii_lowercase(), at + 1))
        .collect();
    let word: String = letters.iter().map(|(c, _)| c).collect();
    let named = SECRETS.iter().filter_map(|secret| word.find(secret).map(|at| letters[at + secret.len() - 1].1)).min();
    let named = named.map(|at| {
        at + text[at..].len() - text[at..].trim_start_matches(|c: char| c.is_whitespace() || c == '=' || c == ':').len()
    });
    let bare = if is_public(text) { None } else { key_like(text) };
    match (named, bare) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether a word has the form of a key: about as long, in base64's letters.
pub(super) fn looks_like_key(word: &str) -> bool {
    (40..=48).contains(&word.len()) && word.bytes().all(is_base64)
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

/// Whether a line gives a public key, and nothing but one.
fn is_public(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return false };
    let name: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let value = value.trim().trim_end_matches('=');
    name.eq_ignore_ascii_case("PublicKey") && value.len() <= 48 && !value.contains('=')
}

/// Where the first run of base64 begins that may be a key, or a good part of one.
fn key_like(text: &str) -> Option<usize> {
    let mut start = 0;
    for (at, b) in text.bytes().chain([b' ']).enumerate() {
        if !is_base64(b) {
            let run = &text.as_bytes()[start..at];
            let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
            let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
            if run.len() >= 40 || (run.len() >= 20 && mixed) {
                return Some(start);
            }
            start = at + 1;
        }
    }
    None
}
