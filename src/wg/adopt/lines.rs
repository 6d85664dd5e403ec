//! Where in a text each peer is spoken of.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::PublicKey;
use crate::wg::config::{Document, TokenKind};

/// Returns the first and last line of each peer's section, counted from 1: comments right before its header belong to it,
/// comments and blank lines after its last key don't.
pub(super) fn of_peers(text: &str) -> BTreeMap<PublicKey, (u32, u32)> {
    let mut found = BTreeMap::new();
    let mut section: Option<Section> = None;
    let mut comments: Option<usize> = None;
    for (at, line) in lines(text).into_iter().enumerate() {
        match line {
            Line::Header => {
                finish(section.take(), &mut found);
                let first = comments.take().unwrap_or(at);
                section = Some(Section { lines: first..at + 1, key: None });
            }
            Line::Comment => comments = comments.or(Some(at)),
            Line::Blank => comments = None,
            Line::Content(key) => {
                comments = None;
                if let Some(section) = &mut section {
                    section.lines.end = at + 1;
                    section.key = section.key.or(key);
                }
            }
        }
    }
    finish(section, &mut found);
    found
}

/// A section as far as it was read.
struct Section {
    lines: Range<usize>,
    key: Option<PublicKey>,
}

fn finish(section: Option<Section>, found: &mut BTreeMap<PublicKey, (u32, u32)>) {
    let Some(section) = section else { return };
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    if let Some(key) = section.key {
        found.entry(key).or_insert((number(section.lines.start + 1), number(section.lines.end)));
    }
}

/// What is in a line.
enum Line {
    Blank,
    Comment,
    Header,
    /// Anything else, with the peer's key if it is that.
    Content(Option<PublicKey>),
}

fn lines(text: &str) -> Vec<Line> {
    let document = Document::parse(text);
    let mut lines = Vec::new();
    let mut line = Line::Blank;
    let mut names_key = false;
    for (kind, token) in document.tokens() {
        match kind {
            TokenKind::Mark | TokenKind::Padding | TokenKind::Equals => {}
            TokenKind::Header => line = Line::Header,
            TokenKind::Name => {
                names_key = token.eq_ignore_ascii_case("PublicKey");
                line = Line::Content(None);
            }
            TokenKind::Value if names_key => line = Line::Content(token.parse().ok()),
            TokenKind::Value | TokenKind::Text => line = Line::Content(None),
            TokenKind::Comment if matches!(line, Line::Blank) => line = Line::Comment,
            TokenKind::Comment => {}
            TokenKind::LineEnd => {
                lines.push(std::mem::replace(&mut line, Line::Blank));
                names_key = false;
            }
        }
    }
    lines.push(line);
    lines
}
