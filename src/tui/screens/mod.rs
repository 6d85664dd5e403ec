//! What there is to see: a file per screen. Each is a list with texts about the chosen row, and says by which keys what can be
//! done; dispatch, the bar of keys, help and palette all come from that.

pub mod audit;
pub mod backups;
pub mod devices;
pub mod drift;
pub mod exits;
pub mod first;
pub mod groups;
pub mod history;
pub mod hosts;
pub mod links;
pub mod networks;
pub mod nodes;
pub mod operations;
pub mod rotation;

use super::line::Line;
use super::source::Source;
use super::widgets::list::Row;
use crate::ops::Error;

/// One screen.
pub struct Screen {
    /// Its name.
    pub title: &'static str,
    /// What is to be seen there.
    pub about: &'static str,
    /// What is said when there is nothing.
    pub empty: &'static str,
    /// The names of the list's columns.
    pub columns: &'static [&'static str],
    /// Reads the rows.
    pub load: fn(&Source) -> Result<Vec<Row>, Error>,
    /// What is to be read about a row.
    pub tabs: &'static [Tab],
    /// What can be done.
    pub deeds: &'static [Deed],
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Screen").field(&self.title).finish()
    }
}

impl PartialEq for Screen {
    fn eq(&self, other: &Self) -> bool {
        self.title == other.title
    }
}

impl Eq for Screen {}

/// A text about a row.
#[derive(Debug)]
pub struct Tab {
    /// Its name.
    pub title: &'static str,
    /// The line that prints it; `None` for a row that has none.
    pub line: fn(&Row) -> Option<Line>,
    /// When it is read.
    pub when: When,
}

/// When a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as its row is chosen.
    Chosen,
    /// When somebody asks for it: it has secrets in it, or asks hosts.
    Asked(&'static str),
}

/// Something that can be done, and by which key.
pub struct Deed {
    /// The key.
    pub key: char,
    /// What is done, in a word or two.
    pub label: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What is done with the rows that are meant.
    pub act: fn(&[&Row]) -> Act,
}

impl std::fmt::Debug for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deed").field("key", &self.key).field("label", &self.label).finish()
    }
}

/// What a key does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Runs a line that changes something: shown first, and asked about.
    Change(Line),
    /// Runs a line that only tells something.
    Read(Line),
    /// Lets somebody fill a command's options in; some are given.
    Fill(&'static [&'static str], Vec<(&'static str, String)>),
    /// Goes to a screen.
    Go(Goal),
    /// Shows another network of the database.
    Network(String),
    /// Can't be done to these rows: says why.
    Not(&'static str),
}

/// Where one can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The whole network at a glance.
    Dashboard,
    /// What would change on hosts, all or these.
    Plan(Vec<String>),
    /// A screen with a list.
    Screen(&'static Screen),
}

/// The screens that have a number.
pub const NUMBERED: [(&str, Goal); 9] = [
    ("Dashboard", Goal::Dashboard),
    ("Nodes", Goal::Screen(&nodes::SCREEN)),
    ("Hosts", Goal::Screen(&hosts::SCREEN)),
    ("Plan", Goal::Plan(Vec::new())),
    ("Drift", Goal::Screen(&drift::SCREEN)),
    ("Keys", Goal::Screen(&rotation::SCREEN)),
    ("Exits", Goal::Screen(&exits::SCREEN)),
    ("History", Goal::Screen(&history::SCREEN)),
    ("Operations", Goal::Screen(&operations::SCREEN)),
];

/// All screens with a list.
pub const ALL: [&Screen; 14] = [
    &nodes::SCREEN,
    &hosts::SCREEN,
    &drift::SCREEN,
    &rotation::SCREEN,
    &exits::SCREEN,
    &history::SCREEN,
    &operations::SCREEN,
    &audit::SCREEN,
    &backups::SCREEN,
    &devices::SCREEN,
    &groups::SCREEN,
    &links::SCREEN,
    &networks::SCREEN,
    &first::SCREEN,
];

/// A line about a row that has a name: these words, then the name.
fn about(words: &[&str], row: &Row) -> Option<Line> {
    Some(Line::new(words.iter().copied().chain([row.id.as_str()])))
}

/// A change of all rows that are meant: these words, then their names.
fn change(words: &[&str], rows: &[&Row]) -> Act {
    match rows {
        [] => Act::Not("nothing is chosen"),
        rows => Act::Change(Line::new(words.iter().copied().chain(rows.iter().map(|row| row.id.as_str())))),
    }
}

/// A form of a command about one row, whose name is the value of an argument.
fn fill(command: &'static [&'static str], argument: &'static str, rows: &[&Row]) -> Act {
    match rows {
        [] => Act::Not("nothing is chosen"),
        [row] => Act::Fill(command, vec![(argument, row.id.clone())]),
        _ => Act::Not("that is done to one at a time; take the marks away with Esc"),
    }
}

/// A form of a command about all rows that are meant.
fn fill_all(command: &'static [&'static str], argument: &'static str, rows: &[&Row]) -> Act {
    match rows {
        [] => Act::Not("nothing is chosen"),
        rows => Act::Fill(command, rows.iter().map(|row| (argument, row.id.clone())).collect()),
    }
}

/// Seconds, minutes, hours or days, whichever says it shortest.
pub fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Keys that mean the same on every screen.
    const EVERYWHERE: &str = "123456789doqyuLTSRM:?/jk[] ";

    #[test]
    fn no_key_means_two_things() {
        for screen in ALL {
            let mut seen = BTreeSet::new();
            for deed in screen.deeds {
                assert!(seen.insert(deed.key), "{}: {}", screen.title, deed.key);
                assert!(!EVERYWHERE.contains(deed.key), "{}: {}", screen.title, deed.key);
            }
        }
    }

    #[test]
    fn what_was_long_ago_is_said_in_days() {
        assert_eq!([5, 90, 7200, 90_000, 400_000].map(ago), ["5 s", "1 min", "2 h", "25 h", "4 days"]);
    }
}
