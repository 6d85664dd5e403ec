//! Which lines of a wg-quick file belong together: each section with the comments around it.

use std::ops::Range;

use super::fields::{Field, bare};
use super::syntax::{Document, LineKind, SectionKind, is_blank, squeezed};
use super::values;
use crate::model::PublicKey;

/// Returns what a comment says, without the marks around it.
pub(super) fn said(comment: &str) -> &str {
    let marks = |c: char| is_blank(c) || matches!(c, '#' | ';');
    comment.trim_matches(marks)
}

/// Whether a comment is a line of configuration that was taken out.
pub(super) fn is_commented_out(comment: &str) -> bool {
    is_commented_header(comment)
        || said(comment).split_once('=').is_some_and(|(name, _)| Field::of(name.trim()).is_some())
}

fn is_commented_header(comment: &str) -> bool {
    let header = said(comment);
    ["[interface]", "[peer]"]
        .iter()
        .any(|known| header.get(..known.len()).is_some_and(|h| h.eq_ignore_ascii_case(known)))
}

/// Whether a comment closes what is before it: `# END_PEER phone`, `### end phone ###`.
fn closes(comment: &str) -> bool {
    let word = said(comment).split(|c: char| is_blank(c) || c == ':').next().unwrap_or_default();
    ["end", "end_peer", "end-peer", "/peer"].iter().any(|end| word.eq_ignore_ascii_case(end))
}

/// Whether a comment opens what is behind it: `# BEGIN_PEER phone`, `### begin phone ###`.
fn opens(comment: &str) -> bool {
    let word = said(comment).split(is_blank).next().unwrap_or_default();
    ["begin", "begin_peer"].iter().any(|begin| word.eq_ignore_ascii_case(begin))
}

impl Document {
    fn is_comment(&self, line: usize) -> bool {
        matches!(self.lines()[line].kind, LineKind::Comment | LineKind::Semicolon)
    }

    /// Returns the comment of a line, from its mark on; empty when it has none.
    pub(super) fn comment_of(&self, line: usize) -> &str {
        self.piece(self.lines()[line].comment())
    }

    /// Returns, for each section, its lines: from the comments directly before its header to its last key and the
    /// comments directly behind that. Lines of none are blank, or comments that stand alone.
    pub(super) fn blocks(&self) -> Vec<Range<usize>> {
        let sections = self.sections();
        let starts: Vec<usize> = sections.iter().map(|section| self.lead(section.lines.start)).collect();
        let mut blocks = Vec::with_capacity(sections.len());
        for (at, section) in sections.iter().enumerate() {
            let (first, limit) = (section.lines.start, starts.get(at + 1).copied().unwrap_or(self.lines().len()));
            let is_content = |line: &usize| !self.is_comment(*line) && self.lines()[*line].kind != LineKind::Blank;
            let mut end = (first..limit).rev().find(is_content).map_or(first, |line| line + 1);
            while end < limit && end > first && self.is_comment(end) && !opens(self.comment_of(end)) {
                end += 1;
                if closes(self.comment_of(end - 1)) {
                    break;
                }
            }
            blocks.push(starts[at].min(end)..end);
        }
        blocks
    }

    /// Where the comments begin that stand directly before a header and speak of its section.
    fn lead(&self, header: usize) -> usize {
        let mut start = header;
        while start > 0 && self.is_comment(start - 1) {
            start -= 1;
        }
        // Keys that were taken out at the end of the section before belong there.
        let attached = start > 0 && self.lines()[start - 1].kind != LineKind::Blank;
        while attached && start < header && is_commented_out(self.comment_of(start)) {
            start += 1;
        }
        // What closes something, and a whole peer that was taken out, end what came before.
        let (mut inside, mut from) = (false, start);
        for line in start..header {
            let comment = self.comment_of(line);
            inside |= is_commented_header(comment);
            if closes(comment) || (inside && is_commented_out(comment)) {
                from = line + 1;
            }
        }
        from
    }

    /// Returns the public key of a peer's section: that of the last line that has one.
    pub(super) fn key_of(&self, section: usize) -> Option<PublicKey> {
        let section = &self.sections()[section];
        let lines = (section.kind == SectionKind::Peer).then(|| section.lines.clone())?;
        lines.rev().find_map(|line| {
            let line = &self.lines()[line];
            let is_key = line.kind == LineKind::Pair && Field::of(self.piece(line.name())) == Some(Field::PublicKey);
            let value = || bare(self.text(), line.value(), Field::PublicKey).value;
            let read = || values::public_key(&squeezed(self.piece(value())));
            if is_key { read().ok().map(|(key, _)| key) } else { None }
        })
    }

    /// Returns the lines of each peer, the first and the last counted from 1, with the comments that belong to it.
    pub fn peer_lines(&self) -> Vec<(PublicKey, (u32, u32))> {
        let blocks = self.blocks();
        let peer = |(at, block): (usize, &Range<usize>)| Some((self.key_of(at)?, counted(block)));
        blocks.iter().enumerate().filter_map(peer).collect()
    }

    /// Returns the lines of the first `[Interface]`, the first and the last counted from 1.
    pub fn interface_lines(&self) -> Option<(u32, u32)> {
        let at = self.sections().iter().position(|section| section.kind == SectionKind::Interface)?;
        Some(counted(&self.blocks()[at]))
    }
}

fn counted(lines: &Range<usize>) -> (u32, u32) {
    let number = |line: usize| u32::try_from(line).unwrap_or(u32::MAX);
    (number(lines.start + 1), number(lines.end))
}
