//! The concrete syntax of a wg-quick file: every byte of it in exactly one place of a tree.
//!
//! A document has sections, a section has lines, a line has tokens. Nothing is judged here, so anything can be parsed,
//! and what was parsed prints as it was. What wg(8) and wg-quick(8) agree on is followed: a line ends at a line feed, `#`
//! begins a comment anywhere (wg-quick cuts hooks there too), and the first `=` ends a key.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

/// A wg-quick file as it was written. Secret: it holds keys; wiped when dropped.
pub struct Document {
    text: Zeroizing<String>,
    /// Length of the byte-order mark at the start: 0 or 3.
    mark: usize,
    lines: Vec<Line>,
    sections: Vec<Section>,
}

/// A run of lines that begins with a header; the first one of a document is what comes before any header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: SectionKind,
    /// Its lines, the header first, by index.
    pub(crate) lines: Range<usize>,
}

/// What a header opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// Before any header.
    Preamble,
    Interface,
    Peer,
    /// A header that wg(8) doesn't know.
    Unknown,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    Blank,
    /// A comment and nothing else.
    Comment,
    /// A line led by `;`, which other programs take for a comment.
    Semicolon,
    /// `[...]`
    Header,
    /// `key = value`
    Pair,
    /// Text without `=`.
    Other,
}

/// The places in the text where one line's tokens meet. In order: padding, name, padding, `=`, padding, value, padding,
/// comment, line end; any of them may be empty, and only a pair has the middle ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) kind: LineKind,
    start: usize,
    name: (usize, usize),
    equals: usize,
    value: (usize, usize),
    comment: usize,
    content: usize,
    end: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The byte-order mark of UTF-8, at the start of a document.
    Mark,
    /// Blanks.
    Padding,
    /// `[Interface]`, in whatever spelling.
    Header,
    /// The name of a key.
    Name,
    /// `=`
    Equals,
    /// What stands behind it, up to a comment.
    Value,
    /// Text that is none of the others.
    Text,
    /// `#` and what follows; also a line led by `;`.
    Comment,
    /// `\n` or `\r\n`.
    LineEnd,
}

/// Whether wg(8) skips a character: the blanks of C's `isspace`.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c' | '\n')
}

/// Cuts blanks off both ends of a range of a text.
pub(crate) fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start_matches(is_blank).len());
    let end = range.start + piece.trim_end_matches(is_blank).len();
    start..end.max(start)
}

/// Returns a text without any of the blanks in it, as wg(8) reads lines.
pub(crate) fn squeezed(text: &str) -> Zeroizing<String> {
    let mut squeezed = Zeroizing::new(String::with_capacity(text.len()));
    squeezed.extend(text.chars().filter(|c| !is_blank(*c)));
    squeezed
}

impl Line {
    fn parse(text: &str, start: usize, end: usize) -> Self {
        let whole = &text[start..end];
        let content = match whole.strip_suffix('\n') {
            Some(rest) => start + rest.strip_suffix('\r').unwrap_or(rest).len(),
            None => end,
        };
        let comment = text[start..content].find('#').map_or(content, |at| start + at);
        let name = trimmed(text, start..comment);
        let (kind, value) = (LineKind::Blank, (name.end, name.end));
        let mut line = Self { kind, start, name: (name.start, name.end), equals: 0, value, comment, content, end };
        let code = &text[name.clone()];
        line.kind = match code.as_bytes().first() {
            None if comment < content => LineKind::Comment,
            None => LineKind::Blank,
            Some(b'[') => LineKind::Header,
            Some(b';') => {
                line.comment = name.start;
                line.name.1 = name.start;
                LineKind::Semicolon
            }
            Some(_) => match code.find('=') {
                Some(at) => {
                    let equals = name.start + at;
                    let (key, value) = (trimmed(text, name.start..equals), trimmed(text, equals + 1..name.end));
                    (line.name, line.equals, line.value) = ((key.start, key.end), equals, (value.start, value.end));
                    LineKind::Pair
                }
                None => LineKind::Other,
            },
        };
        line
    }

    /// Where the key of a pair is, or the whole of a header or of other text.
    pub(crate) fn name(&self) -> Range<usize> {
        self.name.0..self.name.1
    }

    /// Where the value of a pair is.
    pub(crate) fn value(&self) -> Range<usize> {
        self.value.0..self.value.1
    }

    /// Where its comment is, from the `#` on.
    pub(crate) fn comment(&self) -> Range<usize> {
        self.comment..self.content
    }

    /// Where it is, without its end.
    pub(crate) fn content(&self) -> Range<usize> {
        self.start..self.content
    }

    /// Where its line end is; empty for a last line that has none.
    pub(crate) fn line_end(&self) -> Range<usize> {
        self.content..self.end
    }

    /// Where it is, with its end.
    pub(crate) fn whole(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The kind and the place of each token, empty ones included.
    fn tokens(&self) -> [(TokenKind, Range<usize>); 9] {
        let name_kind = match self.kind {
            LineKind::Header => TokenKind::Header,
            LineKind::Other => TokenKind::Text,
            _ => TokenKind::Name,
        };
        let (name, mut value, mut equals) = (self.name(), self.value(), self.name.1..self.name.1);
        if self.kind == LineKind::Pair {
            equals = self.equals..self.equals + 1;
        } else {
            value = equals.clone();
        }
        [
            (TokenKind::Padding, self.start..name.start),
            (name_kind, name.clone()),
            (TokenKind::Padding, name.end..equals.start),
            (TokenKind::Equals, equals.clone()),
            (TokenKind::Padding, equals.end..value.start),
            (TokenKind::Value, value.clone()),
            (TokenKind::Padding, value.end..self.comment),
            (TokenKind::Comment, self.comment()),
            (TokenKind::LineEnd, self.line_end()),
        ]
    }
}

impl SectionKind {
    /// Reads a header as wg(8) does: blanks and case don't matter.
    fn of(header: &str) -> Self {
        let header = squeezed(header);
        if header.eq_ignore_ascii_case("[Interface]") {
            Self::Interface
        } else if header.eq_ignore_ascii_case("[Peer]") {
            Self::Peer
        } else {
            Self::Unknown
        }
    }
}

impl Document {
    /// Parses any text. Takes time in proportion to its length.
    pub fn parse(text: &str) -> Self {
        const MARK: &str = "\u{feff}";
        let mark = if text.starts_with(MARK) { MARK.len() } else { 0 };
        let mut lines: Vec<Line> = Vec::with_capacity(text.len() / 24);
        let mut sections = vec![Section { kind: SectionKind::Preamble, lines: 0..0 }];
        let mut start = mark;
        for piece in text[mark..].split_inclusive('\n') {
            let line = Line::parse(text, start, start + piece.len());
            start += piece.len();
            if line.kind == LineKind::Header {
                let kind = SectionKind::of(&text[line.name()]);
                sections.push(Section { kind, lines: lines.len()..lines.len() });
            }
            lines.push(line);
            sections.last_mut().expect("there is the preamble at least").lines.end = lines.len();
        }
        Self { text: Zeroizing::new(text.to_owned()), mark, lines, sections }
    }

    /// Prints it: token by token, all that was parsed and nothing else.
    pub fn print(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.text.len()));
        self.tokens().for_each(|(_, token)| text.push_str(token));
        text
    }

    /// Goes through its tokens in order. Put together they are the text.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenKind, &str)> {
        let lines = self.lines.iter().flat_map(Line::tokens);
        let all = std::iter::once((TokenKind::Mark, 0..self.mark)).chain(lines);
        all.filter(|(_, range)| !range.is_empty()).map(|(kind, range)| (kind, &self.text[range]))
    }

    /// Returns the text without some of its lines, counted from 1.
    pub fn without_lines(&self, lines: &BTreeSet<usize>) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.text.len()));
        text.push_str(&self.text[..self.mark]);
        for (_, line) in (1..).zip(&self.lines).filter(|(number, _)| !lines.contains(number)) {
            text.push_str(&self.text[line.whole()]);
        }
        text
    }

    /// Returns the text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it begins with a byte-order mark.
    pub(crate) fn has_mark(&self) -> bool {
        self.mark > 0
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns a piece of the text.
    pub(crate) fn piece(&self, range: Range<usize>) -> &str {
        &self.text[range]
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, sections) = (self.lines.len(), self.sections.len() - 1);
        f.debug_struct("Document").field("lines", &lines).field("sections", &sections).finish_non_exhaustive()
    }
}
