//! Which comment of a wg-quick file belongs to what, and which of them are names.

use std::collections::{BTreeMap, HashMap};

use super::fields::Field;
use super::layout::{is_commented_out, said};
use super::mask;
use super::names::{first_word, tagged, with_key};
use super::syntax::{Document, LineKind, SectionKind};
use crate::model::PublicKey;

/// What a comment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The interface, or the file as a whole.
    Interface,
    /// The peer with this key.
    Peer(PublicKey),
    /// The hook in this line, counted from 1.
    Hook(usize),
}

/// What a comment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// The name of its owner.
    Hostname,
    /// How its owner connects: initiates only, static endpoint, ...
    Role,
    /// The first key that its owner had.
    PermanentGuid,
    /// Why a hook is there.
    Rationale,
    /// Anything else that somebody wrote about its owner.
    Custom,
    /// A line that was taken out, an ornament, a comment that stands alone.
    Unclassified,
}

/// A comment of a wg-quick file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// What it belongs to.
    pub owner: Owner,
    /// What it is about.
    pub category: Category,
    /// What it says, without the marks around it; private and preshared keys are hidden.
    pub text: String,
    /// Its line, counted from 1.
    pub line: usize,
}

/// Where a comment is.
struct Place {
    line: usize,
    /// Its section; none for one that stands alone.
    section: Option<usize>,
    /// The line of the hook that it is directly before, or behind in the same line.
    hook: Option<usize>,
}

impl Document {
    /// Returns its comments in order.
    pub fn comments(&self) -> Vec<Comment> {
        let named = self.naming_lines();
        let keys: Vec<Option<PublicKey>> = (0..self.sections().len()).map(|section| self.key_of(section)).collect();
        let comment = |place: Place| {
            let raw = self.comment_of(place.line);
            let text = self.shown(place.line);
            let owner = match (place.hook, place.section.and_then(|section| keys[section])) {
                (Some(hook), _) => Owner::Hook(hook + 1),
                (None, Some(key)) => Owner::Peer(key),
                (None, None) => Owner::Interface,
            };
            let category = if named.contains_key(&place.line) {
                Category::Hostname
            } else {
                category(&text, is_commented_out(raw), place.section.is_some(), place.hook.is_some())
            };
            Comment { owner, category, text, line: place.line + 1 }
        };
        self.places().into_iter().map(comment).collect()
    }

    /// Returns what the comment of a line says, without what may be secret in it. A key is shown where it can be told to
    /// be a public one: said to be, or alone in its line.
    fn shown(&self, line: usize) -> String {
        let text = said(self.comment_of(line));
        let lower = text.to_lowercase();
        let alone = self.lines()[line].kind == LineKind::Comment && text.parse::<PublicKey>().is_ok();
        let public = alone || ["guid", "public"].iter().any(|word| lower.contains(word));
        let secret = ["private", "preshared", "psk", "secret"].iter().any(|word| lower.contains(word));
        if public && !secret { text.to_owned() } else { mask::line(text).text.into_owned() }
    }

    /// Returns the name that a comment gives to the interface.
    pub fn interface_name(&self) -> Option<String> {
        let names = self.found_names();
        let interface = |section: &usize| self.sections()[*section].kind == SectionKind::Interface;
        names.into_iter().find(|(section, _)| interface(section)).map(|(_, (_, name))| name)
    }

    /// Returns the names that comments give to peers.
    pub fn peer_names(&self) -> BTreeMap<PublicKey, String> {
        let names = self.found_names().into_iter();
        names.filter_map(|(section, (_, name))| Some((self.key_of(section)?, name))).collect()
    }

    /// Returns where its comments are.
    fn places(&self) -> Vec<Place> {
        let blocks = self.blocks();
        let (mut places, mut section, mut hook) = (Vec::new(), blocks.len() - 1, None);
        for line in (0..self.lines().len()).rev() {
            while section > 0 && line < blocks[section].start {
                section -= 1;
            }
            let (kind, within) = (self.lines()[line].kind, section > 0 && blocks[section].contains(&line));
            match kind {
                LineKind::Comment | LineKind::Semicolon => {}
                LineKind::Pair if within && self.is_hook(line) => hook = Some(line),
                _ => hook = None,
            }
            if !self.comment_of(line).is_empty() {
                places.push(Place { line, section: within.then_some(section), hook });
            }
        }
        places.reverse();
        places
    }

    fn is_hook(&self, line: usize) -> bool {
        matches!(Field::of(self.piece(self.lines()[line].name())), Some(Field::Hook(_)))
    }

    /// Returns, for each section that has a name, the line that gives it and the name.
    fn found_names(&self) -> BTreeMap<usize, (usize, String)> {
        let mut of_section: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in self.places() {
            if let Some(section) = place.section.filter(|_| place.hook.is_none()) {
                of_section.entry(section).or_default().push(place.line);
            }
        }
        of_section.into_iter().filter_map(|(section, lines)| Some((section, self.name_in(section, &lines)?))).collect()
    }

    /// Finds a name among the comments of a section. A tag says so anywhere; otherwise it is the first word of the
    /// first comment in which somebody says something.
    fn name_in(&self, section: usize, lines: &[usize]) -> Option<(usize, String)> {
        let telling: Vec<(usize, &str)> = lines
            .iter()
            .map(|line| (*line, self.comment_of(*line)))
            .filter(|(_, comment)| !is_commented_out(comment))
            .map(|(line, comment)| (line, said(comment)))
            .collect();
        let by = |find: fn(&str) -> Option<String>| {
            telling.iter().find_map(|(line, text)| find(text).map(|name| (*line, name)))
        };
        let plain = || {
            let mut texts = telling.iter().filter(|(_, text)| tells(text));
            let (line, text) = match self.sections()[section].kind {
                SectionKind::Peer => texts.next(),
                // Before an interface there is much talk; a single word is a name.
                _ => texts.find(|(_, text)| text.split_whitespace().count() == 1),
            }?;
            Some((*line, first_word(text)?))
        };
        by(tagged).or_else(|| by(with_key)).or_else(plain)
    }

    /// Returns which lines give names.
    fn naming_lines(&self) -> HashMap<usize, String> {
        self.found_names().into_values().collect()
    }
}

/// Returns the names that comments give to peers, by section.
pub(super) fn names(document: &Document) -> HashMap<usize, String> {
    document.found_names().into_iter().map(|(section, (_, name))| (section, name)).collect()
}

/// Whether a comment says something that may begin with a name.
fn tells(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric) && !is_role(text) && mask::line(text).hidden_from.is_none()
}

fn category(text: &str, commented_out: bool, attached: bool, hook: bool) -> Category {
    if commented_out || !text.chars().any(char::is_alphanumeric) {
        Category::Unclassified
    } else if hook {
        Category::Rationale
    } else if !attached {
        Category::Unclassified
    } else if is_role(text) {
        Category::Role
    } else if public_key_in(text).is_some() {
        Category::PermanentGuid
    } else {
        Category::Custom
    }
}

/// Phrases that say how a peer connects.
const ROLES: &[&str] = &[
    "initiates only",
    "only initiates",
    "initiator only",
    "dynamic endpoint",
    "static endpoint",
    "no endpoint",
    "endpoint behind",
    "behind nat",
    "behind cgnat",
    "roaming",
    "road warrior",
    "roadwarrior",
];

fn is_role(text: &str) -> bool {
    let text = text.to_lowercase();
    ROLES.iter().any(|phrase| text.contains(phrase))
}

/// Returns the first word of a text that is a public key.
fn public_key_in(text: &str) -> Option<PublicKey> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    text.split(|c: char| !base64(c)).find_map(|word| {
        // `guid=KEY` is one run of such letters.
        let word = word.get(word.len().checked_sub(44)?..)?;
        word.parse().ok()
    })
}
