//! A form: a command, and a field for each of its arguments. What it comes to is a command line.

mod draw;
mod field;
mod words;

use std::collections::BTreeMap;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::input::Edit;
use super::line::Line;
use field::{Field, plain_name};

/// What keys do, for the line that says so.
pub const KEYS: &[(&str, &str)] =
    &[("Ctrl-S", "run"), ("Esc", "back"), ("Ctrl-P", "preview"), ("Tab", "next field"), ("Space", "change")];

/// How far PageUp and PageDown go.
const PAGE: usize = 5;

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Nothing that anybody else has to know of.
    Nothing,
    /// The command line is another one, or what is wrong with it is shown now.
    Changed,
    /// The command line is to be run; nothing is wrong with it.
    Submit,
    /// What the command line would do is to be shown; nothing is wrong with it.
    Preview,
    /// The command isn't to be run.
    Cancelled,
}

/// Why a command line is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The arguments that it is about, by their ids; none when it is about the line.
    pub fields: Vec<String>,
    /// Whether all that is wrong is that they aren't given.
    pub missing: bool,
    /// What is wrong.
    pub message: String,
}

/// A command and its arguments.
#[derive(Debug)]
pub struct Form {
    words: Vec<String>,
    about: String,
    /// The command alone, built, with the options that all commands take.
    command: Command,
    /// By place first, then options.
    fields: Vec<Field>,
    /// Which field keys act on; behind the last one lies what runs it.
    current: usize,
    wrong: Option<Wrong>,
}

impl Form {
    /// The form of the command that these words name, with values for some arguments, given by their ids; `None` if
    /// there is no such command, or it is none by itself.
    pub fn of(definition: &Command, path: &[String], given: &[(&str, String)]) -> Option<Self> {
        let mut root = definition.clone();
        root.build();
        let mut command = &root;
        for word in path {
            command = command.find_subcommand(word)?;
        }
        if path.is_empty() || command.has_subcommands() && command.is_subcommand_required_set() {
            return None;
        }
        let is_own = |arg: &&clap::Arg| {
            let helps = matches!(
                arg.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            );
            !helps && !arg.is_global_set() && !arg.is_hide_set()
        };
        let mut fields: Vec<Field> = command.get_arguments().filter(is_own).map(|arg| Field::of(arg, path)).collect();
        let mut headings: Vec<Option<String>> = vec![None];
        for field in &fields {
            if !headings.contains(&field.heading) {
                headings.push(field.heading.clone());
            }
        }
        // Arguments by place are defined in their order; the sort keeps it.
        fields.sort_by_key(|field| match (&field.flag, field.required) {
            (None, _) => (0, 0),
            (_, true) => (1, 0),
            _ => (2, headings.iter().position(|heading| *heading == field.heading).unwrap_or(0)),
        });
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let (words, command) = (path.to_vec(), command.clone());
        let mut form = Self { words, about, command, fields, current: 0, wrong: None };
        for (id, value) in given {
            if let Some(field) = form.fields.iter_mut().find(|field| field.id == *id) {
                field.give(value);
            }
        }
        // What is given needn't be gone through.
        form.current = form.fields.iter().position(|field| !field.is_set()).unwrap_or(form.fields.len());
        form.wrong = form.check().err();
        Some(form)
    }

    /// Returns the words of its command.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Returns the ids of the arguments that have a field, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.id.as_str())
    }

    /// Returns the id of the argument whose field keys act on; `None` on the line that runs the command.
    pub fn current(&self) -> Option<&str> {
        self.fields.get(self.current).map(|field| field.id.as_str())
    }

    /// Goes to the field of an argument.
    pub fn go_to(&mut self, id: &str) {
        if let Some(at) = self.fields.iter().position(|field| field.id == id) {
            self.current = at;
        }
    }

    /// Puts values in place of those that an argument has; none clears its field. For a flag, any value but `false`
    /// sets it.
    pub fn set(&mut self, id: &str, values: &[String]) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.id == id) {
            field.clear();
            values.iter().for_each(|value| field.give(value));
            self.wrong = self.check().err();
        }
    }

    /// Takes the names that are known, by kind, for completing what is typed. A kind is the name of a value (`NODE`,
    /// `HOST`), of an option (`SERVER`), or either behind the words of a command (`rotation policy NAME`), which counts
    /// first. A kind without names takes the names of a wider one away.
    pub fn offer(&mut self, names: &BTreeMap<&'static str, Vec<String>>) {
        self.fields.iter_mut().for_each(|field| field.offer(names));
    }

    /// Returns the arguments after the program's name: the command, its options, and what is told by its place.
    pub fn line(&self) -> Vec<String> {
        let mut line = self.words.clone();
        let mut takes_more = false;
        for field in self.fields.iter().filter(|field| field.is_set()) {
            if let Some(flag) = &field.flag {
                takes_more = field.push(flag, &mut line);
            }
        }
        let placed: Vec<&Field> = self.fields.iter().filter(|field| field.flag.is_none()).collect();
        let until = placed.iter().rposition(|field| field.is_set()).map_or(0, |at| at + 1);
        let values: Vec<String> = placed[..until]
            .iter()
            .flat_map(|field| if field.is_set() { field.values() } else { field.default.clone() })
            .collect();
        let is_word = values.first().is_some_and(|value| self.command.find_subcommand(value).is_some());
        if !values.is_empty() && (takes_more || is_word || values.iter().any(|value| value.starts_with('-'))) {
            line.push("--".to_owned());
        }
        line.extend(values);
        line
    }

    /// Returns the command line as it is typed in a shell.
    pub fn shown(&self) -> String {
        Line::new(self.line()).shown()
    }

    /// Returns what was wrong with the command line when it last changed.
    pub fn wrong(&self) -> Option<&Wrong> {
        self.wrong.as_ref()
    }

    /// Checks that the command line is one.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check(&self) -> Result<(), Wrong> {
        if let Some(open) = self.fields.iter().find(|field| field.is_open()) {
            let message = "a quote isn't closed".to_owned();
            return Err(Wrong { fields: vec![open.id.clone()], missing: false, message });
        }
        let placed: Vec<&Field> = self.fields.iter().filter(|field| field.flag.is_none()).collect();
        let last = placed.iter().rposition(|field| field.is_set()).unwrap_or(0);
        if let Some(gap) = placed[..last].iter().find(|field| !field.is_set() && field.default.is_empty()) {
            let message = format!("{} has to be given when {} is", gap.label, placed[last].label);
            return Err(Wrong { fields: vec![gap.id.clone()], missing: false, message });
        }
        let arguments = self.line().split_off(self.words.len());
        let line = std::iter::once("wg-friend".to_owned()).chain(arguments);
        self.command.clone().try_get_matches_from(line).map(drop).map_err(|error| self.explain(&error))
    }

    /// Says what clap found wrong.
    fn explain(&self, error: &clap::Error) -> Wrong {
        let texts = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => vec![text.clone()],
            Some(ContextValue::Strings(texts)) => texts.clone(),
            _ => Vec::new(),
        };
        let mut fields: Vec<String> = Vec::new();
        for named in texts(ContextKind::InvalidArg).into_iter().chain(texts(ContextKind::PriorArg)) {
            let plain = plain_name(&named);
            let by_name = self.fields.iter().find(|field| field.named == plain);
            let by_value = || self.fields.iter().rfind(|field| field.flag.is_none() && field.values().contains(&named));
            if let Some(field) = by_name.or_else(by_value)
                && !fields.contains(&field.id)
            {
                fields.push(field.id.clone());
            }
        }
        let missing = error.kind() == ErrorKind::MissingRequiredArgument;
        let message = match error.kind() {
            ErrorKind::MissingRequiredArgument if fields.len() == 1 => "is required".to_owned(),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "something has to be given".to_owned(),
            _ => {
                let text = error.render().to_string();
                let first = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
                first.map(str::trim).collect::<Vec<_>>().join(" ")
            }
        };
        Wrong { fields, missing, message }
    }

    /// Puts a text into the field that keys act on, as if it was typed.
    pub fn paste(&mut self, text: &str) -> Pressed {
        match self.fields.get_mut(self.current).map_or(Edit::Ignored, |field| field.paste(text)) {
            Edit::Changed => {
                self.wrong = self.check().err();
                Pressed::Changed
            }
            Edit::Moved | Edit::Ignored => Pressed::Nothing,
        }
    }

    /// Does what a key asks for.
    pub fn key(&mut self, key: KeyEvent) -> Pressed {
        if key.kind == KeyEventKind::Release {
            return Pressed::Nothing;
        }
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let run = self.fields.len();
        match key.code {
            KeyCode::Esc => return Pressed::Cancelled,
            KeyCode::Enter if ctrl => return self.ask(Pressed::Submit),
            KeyCode::Char('s') if ctrl => return self.ask(Pressed::Submit),
            KeyCode::Char('p') if ctrl => return self.ask(Pressed::Preview),
            KeyCode::Enter if self.current + 1 >= run => return self.ask(Pressed::Submit),
            KeyCode::Enter | KeyCode::Down => self.current = (self.current + 1).min(run),
            KeyCode::Up => self.current = self.current.saturating_sub(1),
            KeyCode::Tab => self.current = if self.current < run { self.current + 1 } else { 0 },
            KeyCode::BackTab => self.current = self.current.checked_sub(1).unwrap_or(run),
            KeyCode::PageDown => self.current = (self.current + PAGE).min(run),
            KeyCode::PageUp => self.current = self.current.saturating_sub(PAGE),
            _ => {
                let edit = self.fields.get_mut(self.current).map_or(Edit::Ignored, |field| field.key(key));
                if edit == Edit::Changed {
                    self.wrong = self.check().err();
                    return Pressed::Changed;
                }
            }
        }
        Pressed::Nothing
    }

    /// Returns what is asked for, or goes to what is wrong and shows it.
    fn ask(&mut self, wanted: Pressed) -> Pressed {
        self.wrong = self.check().err();
        let Some(wrong) = &self.wrong else { return wanted };
        self.fields.iter_mut().for_each(|field| field.touched = true);
        if let Some(at) = self.fields.iter().position(|field| wrong.fields.contains(&field.id)) {
            self.current = at;
        }
        Pressed::Changed
    }
}

#[cfg(test)]
mod tests;
