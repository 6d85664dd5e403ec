//! A field: one argument of a command, and what is typed for it.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::words;
use crate::tui::input::{Edit, Input};

/// How a value is given.
#[derive(Debug)]
pub(super) enum Kind {
    /// It is there or not.
    Flag(bool),
    /// It is there so many times.
    Count(u8),
    /// One of a few values, each with what it means.
    Choice(Vec<(String, String)>, Option<usize>),
    /// A value.
    Text(Input),
    /// Several values.
    List(Input),
}

/// An argument of a command.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) id: String,
    /// What it is called in front of its value: `--exit EXIT`.
    pub(super) label: String,
    /// What it is called by messages.
    pub(super) named: String,
    pub(super) help: String,
    pub(super) heading: Option<String>,
    /// How it is given, such as `--exit`; `None` for one that is told by its place.
    pub(super) flag: Option<String>,
    pub(super) required: bool,
    /// What it is when it isn't given.
    pub(super) default: Vec<String>,
    hides_default: bool,
    delimiter: Option<char>,
    /// Whether it is given once for each value.
    repeats: bool,
    equals: bool,
    least: usize,
    most: usize,
    /// Whether it is given without a value, which some may be.
    pub(super) bare: bool,
    /// Whether somebody has changed it.
    pub(super) touched: bool,
    /// The kinds of names that it takes, the surest first.
    kinds: Vec<String>,
    /// The names that it may mean.
    offers: Vec<String>,
    completed: Option<Completed>,
    pub(super) kind: Kind,
}

/// What was typed when a completion was asked for, so that the next one can be asked for.
#[derive(Debug)]
struct Completed {
    typed: String,
    start: usize,
    at: usize,
}

impl Field {
    /// The field of an argument of the command of these words. The argument has to be built.
    pub(super) fn of(arg: &Arg, command: &[String]) -> Self {
        let range = arg.get_num_args().unwrap_or_else(|| 1.into());
        let (least, most) = (range.min_values(), range.max_values());
        let repeats = matches!(arg.get_action(), ArgAction::Append);
        let flag = arg.get_long().map(|long| format!("--{long}"));
        let flag = flag.or_else(|| arg.get_short().map(|short| format!("-{short}")));
        let value =
            arg.get_value_names().map(|names| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
        let value = value.unwrap_or_else(|| arg.get_id().as_str().to_uppercase());
        let possible: Vec<(String, String)> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default()))
            .collect();
        let several = most > 1 || repeats;
        let kind = match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => Kind::Flag(false),
            ArgAction::Count => Kind::Count(0),
            _ if several => Kind::List(Input::default()),
            _ if !possible.is_empty() => Kind::Choice(possible.clone(), None),
            _ => Kind::Text(Input::default()),
        };
        let dots = if several { "..." } else { "" };
        let label = match (&flag, &kind) {
            (Some(flag), Kind::Flag(_) | Kind::Count(_)) => flag.clone(),
            (Some(flag), _) if least == 0 => format!("{flag} [{value}]{dots}"),
            (Some(flag), _) => format!("{flag} {value}{dots}"),
            (None, _) => format!("{value}{dots}"),
        };
        let takes_value = !matches!(kind, Kind::Flag(_) | Kind::Count(_));
        let default = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let kinds = if takes_value { kinds(command, arg.get_long(), &value) } else { Vec::new() };
        Self {
            id: arg.get_id().as_str().to_owned(),
            label,
            named: plain_name(&arg.to_string()),
            help,
            heading: arg.get_help_heading().map(ToOwned::to_owned),
            required: arg.is_required_set(),
            default: if takes_value { default.collect() } else { Vec::new() },
            hides_default: arg.is_hide_default_value_set(),
            delimiter: arg.get_value_delimiter(),
            repeats,
            equals: arg.is_require_equals_set(),
            least: if flag.is_some() { least } else { 1 },
            most,
            bare: false,
            touched: false,
            kinds,
            offers: possible.into_iter().map(|(value, _)| value).collect(),
            completed: None,
            flag,
            kind,
        }
    }

    /// Returns what is typed into it, if it is one to type into.
    pub(super) fn input(&self) -> Option<&Input> {
        match &self.kind {
            Kind::Text(input) | Kind::List(input) => Some(input),
            _ => None,
        }
    }

    fn input_mut(&mut self) -> Option<&mut Input> {
        match &mut self.kind {
            Kind::Text(input) | Kind::List(input) => Some(input),
            _ => None,
        }
    }

    /// Whether it is part of the command line.
    pub(super) fn is_set(&self) -> bool {
        match &self.kind {
            Kind::Flag(on) => *on,
            Kind::Count(times) => *times > 0,
            Kind::Choice(_, at) => at.is_some(),
            Kind::Text(input) => self.bare || !input.is_empty(),
            Kind::List(_) => self.bare || !self.values().is_empty(),
        }
    }

    /// Whether a quote is open, so that nobody knows yet where a value ends.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.kind, Kind::List(input) if !words::split(input.text()).1)
    }

    /// Returns its values, without its default.
    pub(super) fn values(&self) -> Vec<String> {
        match &self.kind {
            Kind::Flag(_) | Kind::Count(_) => Vec::new(),
            Kind::Choice(values, at) => {
                at.and_then(|at| values.get(at)).map(|(value, _)| value.clone()).into_iter().collect()
            }
            Kind::Text(input) if input.is_empty() => Vec::new(),
            Kind::Text(input) => vec![input.text().to_owned()],
            Kind::List(input) => {
                let values = words::split(input.text()).0;
                match self.delimiter {
                    None => values,
                    Some(delimiter) => {
                        let parts = values.iter().flat_map(|value| value.split(delimiter));
                        parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
                    }
                }
            }
        }
    }

    /// Returns its default, as it is shown; nothing when there is none to speak of.
    pub(super) fn default_shown(&self) -> Option<String> {
        let text = self.default.join(" ");
        (!self.hides_default && !text.is_empty()).then_some(text)
    }

    /// Gives it a value, beside those that it has if it takes several.
    pub(super) fn give(&mut self, value: &str) {
        match &mut self.kind {
            Kind::Flag(on) => *on = value != "false",
            Kind::Count(times) => *times = value.parse().unwrap_or(times.saturating_add(1)),
            Kind::Choice(values, at) => *at = values.iter().position(|(name, _)| name == value),
            Kind::Text(input) => input.set(value),
            Kind::List(input) => {
                let before = if input.is_empty() { String::new() } else { format!("{} ", input.text()) };
                input.set(&(before + &words::quote(value)));
            }
        }
    }

    /// Forgets its value.
    pub(super) fn clear(&mut self) {
        self.bare = false;
        self.completed = None;
        match &mut self.kind {
            Kind::Flag(on) => *on = false,
            Kind::Count(times) => *times = 0,
            Kind::Choice(_, at) => *at = None,
            Kind::Text(input) | Kind::List(input) => input.set(""),
        }
    }

    /// Adds an option to a command line. Returns whether it would take what follows for more of its values.
    pub(super) fn push(&self, flag: &str, line: &mut Vec<String>) -> bool {
        let one = |value: &str, line: &mut Vec<String>| match self.equals || value.starts_with('-') {
            true => line.push(format!("{flag}={value}")),
            false => line.extend([flag.to_owned(), value.to_owned()]),
        };
        if let Kind::Count(times) = self.kind {
            line.extend((0..times).map(|_| flag.to_owned()));
            return false;
        }
        let values = self.values();
        match (values.as_slice(), self.delimiter) {
            ([], _) => {
                line.push(flag.to_owned());
                self.most > 0
            }
            (values, Some(delimiter)) if values.len() > 1 => {
                one(&values.join(&delimiter.to_string()), line);
                self.most > 1
            }
            (values, _) if self.repeats => {
                values.iter().for_each(|value| one(value, line));
                self.most > 1
            }
            ([value], _) => {
                one(value, line);
                self.most > 1 && !value.starts_with('-')
            }
            (values, _) => {
                line.push(flag.to_owned());
                line.extend(values.iter().cloned());
                self.most > values.len()
            }
        }
    }

    /// Inserts a text at the cursor.
    pub(super) fn paste(&mut self, text: &str) -> Edit {
        self.completed = None;
        let Some(input) = self.input_mut() else { return Edit::Ignored };
        input.paste(text);
        (self.bare, self.touched) = (false, true);
        Edit::Changed
    }

    /// Does what a key asks for.
    pub(super) fn key(&mut self, key: KeyEvent) -> Edit {
        let edit = self.edit(key);
        self.touched |= edit == Edit::Changed;
        edit
    }

    fn edit(&mut self, key: KeyEvent) -> Edit {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        // Terminals send Ctrl-Space as NUL.
        let asks = matches!(key.code, KeyCode::Null) || ctrl && key.code == KeyCode::Char(' ');
        let goes_on = key.code == KeyCode::Right && self.input().is_some_and(Input::at_end);
        if asks || goes_on {
            return self.complete();
        }
        self.completed = None;
        let can_be_bare = self.least == 0 && self.most > 0;
        let removes = matches!(key.code, KeyCode::Backspace | KeyCode::Delete);
        let space = !ctrl && key.code == KeyCode::Char(' ');
        match &mut self.kind {
            Kind::Flag(on) if space => *on = !*on,
            Kind::Flag(on) if removes && *on => *on = false,
            Kind::Count(times) if space || matches!(key.code, KeyCode::Right | KeyCode::Char('+')) => {
                *times = times.saturating_add(1);
            }
            Kind::Count(times) if removes || matches!(key.code, KeyCode::Left | KeyCode::Char('-')) => {
                *times = times.saturating_sub(1);
            }
            Kind::Choice(values, at) if space || key.code == KeyCode::Right => {
                *at = at.map_or(Some(0), |at| Some(at + 1)).filter(|at| *at < values.len());
            }
            Kind::Choice(values, at) if key.code == KeyCode::Left => {
                *at = at.map_or_else(|| values.len().checked_sub(1), |at| at.checked_sub(1));
            }
            Kind::Choice(_, at) if removes => *at = None,
            Kind::Text(input) | Kind::List(input) if space && can_be_bare && input.is_empty() => self.bare = !self.bare,
            Kind::Text(_) | Kind::List(_) if removes && self.bare => self.bare = false,
            Kind::Text(input) | Kind::List(input) => {
                let edit = input.key(key);
                self.bare &= edit != Edit::Changed;
                return edit;
            }
            _ => return Edit::Ignored,
        }
        Edit::Changed
    }

    /// Takes the names that it may mean from those that are known, by kind.
    pub(super) fn offer(&mut self, names: &BTreeMap<&'static str, Vec<String>>) {
        if let Some(names) = self.kinds.iter().find_map(|kind| names.get(kind.as_str())) {
            self.offers.clone_from(names);
        }
    }

    /// Returns where the value begins that is being typed.
    fn start(&self, text: &str) -> usize {
        match &self.kind {
            Kind::List(_) => {
                let ends = |c: char| c == ' ' || Some(c) == self.delimiter;
                text.rfind(ends).map_or(0, |at| at + 1)
            }
            _ => 0,
        }
    }

    /// Returns the names that what is typed may become: first those that begin so, then those that have it in them.
    fn matching(&self, typed: &str) -> Vec<&String> {
        let begin = self.offers.iter().filter(|name| name.starts_with(typed));
        begin.chain(self.offers.iter().filter(|name| !name.starts_with(typed) && name.contains(typed))).collect()
    }

    /// Returns what would follow what is typed if the first name that begins so is meant.
    pub(super) fn completion(&self) -> &str {
        let Some(input) = self.input().filter(|input| input.at_end()) else { return "" };
        let typed = &input.text()[self.start(input.text())..];
        if typed.is_empty() {
            return "";
        }
        self.offers.iter().filter_map(|name| name.strip_prefix(typed)).find(|rest| !rest.is_empty()).unwrap_or("")
    }

    /// Puts the next name that matches in place of what is typed.
    fn complete(&mut self) -> Edit {
        let Some(input) = self.input() else { return Edit::Ignored };
        let text = input.text().to_owned();
        if !input.at_end() {
            return Edit::Moved;
        }
        let (typed, start, at) = match self.completed.take() {
            Some(last) => (last.typed, last.start, last.at + 1),
            None => {
                let start = self.start(&text);
                (text[start..].to_owned(), start, 0)
            }
        };
        let matching = self.matching(&typed);
        if matching.is_empty() {
            return Edit::Moved;
        }
        let at = at % matching.len();
        let name = match &self.kind {
            Kind::List(_) => words::quote(matching[at]),
            _ => matching[at].clone(),
        };
        let now = format!("{}{name}", &text[..start]);
        let is_other = now != text;
        self.completed = Some(Completed { typed, start, at });
        if let Some(input) = self.input_mut() {
            input.set(&now);
        }
        self.bare &= !is_other;
        if is_other { Edit::Changed } else { Edit::Moved }
    }
}

/// Returns the name that an argument has in messages, without what they put around it.
pub(super) fn plain_name(text: &str) -> String {
    text.chars().filter(|c| !"<>[]. ".contains(*c)).collect()
}

/// Returns the kinds of names that an argument may take, the surest first: by what the command says of it, such as
/// `rotation policy NAME`, by the option's own name, and by the words of its value's name.
fn kinds(command: &[String], long: Option<&str>, value: &str) -> Vec<String> {
    // What has a place for a port or a login is an address, not the name of a host.
    let is_address = value.contains(['@', ':']);
    let words = value.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let words: Vec<&str> = words.filter(|word| !(is_address && *word == "HOST")).collect();
    let own = long.map(|long| long.to_uppercase());
    let mut kinds = Vec::new();
    for depth in (0..=command.len()).rev() {
        let before = command[..depth].join(" ");
        for word in own.iter().map(String::as_str).chain(words.iter().copied()) {
            kinds.push(format!("{before} {word}").trim_start().to_owned());
        }
    }
    kinds
}
