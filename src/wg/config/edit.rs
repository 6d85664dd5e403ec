//! Changes to a document: pieces replaced, lines taken out and put in, and all else left as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use zeroize::Zeroizing;

use super::fields::{Field, items};
use super::syntax::{Document, Line, LineKind};

/// What is to be changed in a document.
pub(super) struct Edit<'a> {
    document: &'a Document,
    /// Places in the text and what goes there, in the order in which it was asked for. None overlap.
    pieces: Vec<(Range<usize>, Zeroizing<String>)>,
    /// Lines to be taken out.
    gone: BTreeSet<usize>,
    /// Lines to be put at the end, after a blank one.
    appended: Vec<Zeroizing<String>>,
}

/// A line of a key, with its value without quotes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) field: Field,
    pub(super) value: Range<usize>,
}

/// How the lines around are written.
struct Style<'a> {
    indent: &'a str,
    /// Where the `=` stands, counted from the name, and whether names are padded to that.
    name_width: usize,
    before: &'a str,
    after: &'a str,
}

impl<'a> Edit<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self { document, pieces: Vec::new(), gone: BTreeSet::new(), appended: Vec::new() }
    }

    /// Takes a line out.
    pub(super) fn remove(&mut self, line: usize) {
        self.gone.insert(line);
    }

    /// Takes sections out, each with its comments and one blank line.
    pub(super) fn remove_sections(&mut self, sections: impl Iterator<Item = usize>) {
        let blocks = self.document.blocks();
        let lines = self.document.lines();
        for section in sections {
            let block = blocks[section].clone();
            block.clone().for_each(|line| self.remove(line));
            let is_blank = |line: &usize| lines.get(*line).is_some_and(|line| line.kind == LineKind::Blank);
            let before = block.start.checked_sub(1).filter(is_blank).filter(|line| !self.is_gone(*line));
            if let Some(blank) = before.or(Some(block.end).filter(is_blank)) {
                self.remove(blank);
            }
        }
    }

    /// Whether a line is taken out.
    pub(super) fn is_gone(&self, line: usize) -> bool {
        self.gone.contains(&line)
    }

    /// Replaces a piece of the text.
    pub(super) fn replace(&mut self, range: Range<usize>, by: Zeroizing<String>) {
        self.pieces.push((range, by));
    }

    /// Replaces the value of a key.
    pub(super) fn set(&mut self, entry: &Entry, value: &str) {
        let text = self.document.text();
        let (mut by, range) = (Zeroizing::new(String::with_capacity(value.len() + 2)), entry.value.clone());
        if range.is_empty() && text[..range.start].ends_with('=') && text[..range.start - 1].ends_with(' ') {
            by.push(' ');
        }
        by.push_str(value);
        if range.is_empty() && text[range.end..].starts_with('#') {
            by.push(' ');
        }
        self.replace(range, by);
    }

    /// Returns how this document ends its lines.
    pub(super) fn line_end(&self) -> &'static str {
        let ends: Vec<&str> = self.document.lines().iter().map(|line| self.document.piece(line.line_end())).collect();
        let crlf = ends.iter().filter(|end| **end == "\r\n").count();
        if crlf * 2 > ends.len() { "\r\n" } else { "\n" }
    }

    /// Puts a key behind another line, in its style.
    pub(super) fn insert_after(&mut self, line: usize, key: &str, value: &str) {
        let style = self.style(line);
        let mut new = Zeroizing::new(String::with_capacity(64 + key.len() + value.len()));
        new.push_str(key);
        let pad = style.name_width.saturating_sub(key.len());
        if style.name_width > 0 && pad > 0 {
            new.extend(std::iter::repeat_n(' ', pad));
        } else {
            new.push_str(style.before);
        }
        new.push('=');
        new.push_str(style.after);
        new.push_str(value);
        self.insert_line_after(line, &new);
    }

    /// Puts a comment behind a line.
    pub(super) fn insert_comment_after(&mut self, line: usize, comment: &str) {
        self.insert_line_after(line, &format!("# {comment}"));
    }

    /// Puts a line behind another, as far to the right as the next key is.
    fn insert_line_after(&mut self, line: usize, content: &str) {
        let before = self.document.lines()[line];
        let indent = self.style(line).indent;
        let (start, end) = match self.document.piece(before.line_end()) {
            "" => (self.line_end(), ""),
            end => ("", end),
        };
        let mut new = Zeroizing::new(String::with_capacity(8 + indent.len() + content.len()));
        new.extend([start, indent, content, end]);
        self.replace(before.whole().end..before.whole().end, new);
    }

    /// How a line's key is written; for a line without one, how the next key is, or as we do.
    fn style(&self, line: usize) -> Style<'a> {
        let lines = self.document.lines();
        let filled = |line: &&Line| line.kind == LineKind::Pair && !line.value().is_empty();
        let like = lines[line..].iter().find(filled).or_else(|| lines[..line].iter().rev().find(filled));
        let Some(like) = like else { return Style { indent: "", name_width: 0, before: " ", after: " " } };
        let (name, value) = (like.name(), like.value());
        let between = self.document.piece(name.end..value.start);
        let (before, after) = between.split_once('=').unwrap_or((" ", " "));
        // More than one blank before the `=`: names are padded to a column.
        let padded = before.len() > 1 && before.bytes().all(|b| b == b' ');
        let name_width = if padded { name.len() + before.len() } else { 0 };
        let before = if padded { " " } else { before };
        Style { indent: self.document.piece(like.content().start..name.start), name_width, before, after }
    }

    /// Changes a list that stands in some lines: `keep` says which of its items stay, `new` are added to the last line.
    ///
    /// Whether there was a line for them.
    pub(super) fn list(&mut self, entries: &[Entry], keep: impl Fn(usize, &str) -> bool, new: &[String]) -> bool {
        let text = self.document.text();
        let all: Vec<Vec<Range<usize>>> =
            entries.iter().map(|entry| items(text, entry.value.clone(), entry.field)).collect();
        let mut separators =
            all.iter().flat_map(|items| items.windows(2)).map(|pair| &text[pair[0].end..pair[1].start]);
        let usual = separators.next_back().map(str::to_owned);
        let mut number = 0;
        for (at, (entry, items)) in entries.iter().zip(&all).enumerate() {
            let is_kept = |(offset, item): (usize, &Range<usize>)| keep(number + offset, &text[item.clone()]);
            let kept: Vec<bool> = items.iter().enumerate().map(is_kept).collect();
            number += items.len();
            let added: &[String] = if at + 1 == entries.len() { new } else { &[] };
            if added.is_empty() && kept.iter().all(|kept| *kept) {
                continue;
            }
            if added.is_empty() && !kept.contains(&true) {
                self.remove(entry.line);
                continue;
            }
            let value = joined(text, items, &kept, added, usual.as_deref().unwrap_or(self.separator(entry.line)));
            self.set(entry, &value);
        }
        !entries.is_empty()
    }

    /// Returns what to put between items in a line that has one at most.
    fn separator(&self, line: usize) -> &'static str {
        let tight = self.document.piece(self.document.lines()[line].content()).split_once('=');
        let tight = tight.is_some_and(|(name, value)| !name.ends_with([' ', '\t']) && !value.starts_with([' ', '\t']));
        if tight { "," } else { ", " }
    }

    /// Appends lines to the end of the document, behind a blank one.
    pub(super) fn append(&mut self, lines: Zeroizing<String>) {
        self.appended.push(lines);
    }

    /// Returns the changed text. It is made large enough at once, for a string that grows leaves copies behind.
    pub(super) fn finish(mut self) -> Zeroizing<String> {
        let text = self.document.text();
        let end = self.line_end();
        let gone: Vec<Range<usize>> = self.gone.iter().map(|line| self.document.lines()[*line].whole()).collect();
        // What is changed in a line that goes doesn't matter; what is put in behind one does.
        let inside = |piece: &Range<usize>| {
            let after = gone.partition_point(|line| line.start <= piece.start);
            after > 0 && piece.start < gone[after - 1].end && !piece.is_empty()
        };
        self.pieces.retain(|(piece, _)| !inside(piece));
        self.pieces.extend(gone.iter().map(|line| (line.clone(), Zeroizing::new(String::new()))));
        self.pieces.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.pieces.iter().map(|(_, by)| by.len()).sum();
        let appended: usize = self.appended.iter().map(|lines| 2 * lines.len() + 4).sum();
        let mut new = Zeroizing::new(String::with_capacity(text.len() + added + appended + 8));
        let mut from = 0;
        for (range, by) in &self.pieces {
            new.push_str(&text[from.min(range.start)..range.start]);
            new.push_str(by);
            from = range.end.max(from);
        }
        new.push_str(&text[from..]);
        for lines in &self.appended {
            if !new.is_empty() && !new.ends_with('\n') {
                new.push_str(end);
            }
            let last = new.strip_suffix('\n').map_or("", |rest| rest.rsplit('\n').next().unwrap_or(rest));
            if !new.is_empty() && !last.trim().is_empty() {
                new.push_str(end);
            }
            for line in lines.lines() {
                new.push_str(line);
                new.push_str(end);
            }
        }
        new
    }
}

/// Puts a list together: the items that are kept with what stood between them, and the new ones.
fn joined(text: &str, items: &[Range<usize>], kept: &[bool], new: &[String], usual: &str) -> String {
    let mut value = String::new();
    for (at, item) in items.iter().enumerate().filter(|(at, _)| kept[*at]) {
        if !value.is_empty() {
            value.push_str(&text[items[at - 1].end..item.start]);
        }
        value.push_str(&text[item.clone()]);
    }
    for item in new {
        if !value.is_empty() {
            value.push_str(usual);
        }
        value.push_str(item);
    }
    value
}
