//! A screen with a list, and beside it a text about the chosen row.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Constraint, Layout, Rect, Size};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

use super::line::{Line, Ran};
use super::screens::{Screen, When};
use super::theme::{Theme, Tone};
use super::widgets::list::List;
use super::widgets::pane::Pane;
use crate::ops::Error;

/// From so many columns on, list and text stand side by side.
const WIDE: u16 = 120;
/// A row is read about once it has been chosen for so long: whoever runs through the list passes by.
const SETTLED: Duration = Duration::from_millis(90);

/// What keys act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The list.
    List,
    /// The text.
    Text,
}

/// Which text is meant: of which row, and which of its tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    row: String,
    tab: usize,
}

/// What is known of the text.
#[derive(Debug)]
enum Reading {
    /// Nothing was asked for.
    Nothing,
    /// It waits for somebody to ask.
    Held(&'static str),
    /// It is being read.
    Waits,
    /// It is there.
    Here,
}

/// A screen with a list, as it is seen.
#[derive(Debug)]
pub struct Browse {
    /// Which screen.
    pub screen: &'static Screen,
    /// Its rows.
    pub list: List,
    /// What keys act on.
    pub focus: Focus,
    pane: Pane,
    tab: usize,
    about: Option<About>,
    reading: Reading,
    since: Option<Instant>,
    loaded: bool,
    fault: Option<(String, Option<String>)>,
    /// The request that rows have to belong to.
    pub number: u64,
    /// The request that the text has to belong to.
    pub number_of_text: u64,
}

impl Browse {
    /// A screen of which nothing is known yet.
    pub fn new(screen: &'static Screen) -> Self {
        Self {
            screen,
            list: List::new(screen.columns),
            focus: Focus::List,
            pane: Pane::default(),
            tab: 0,
            about: None,
            reading: Reading::Nothing,
            since: None,
            loaded: false,
            fault: None,
            number: 0,
            number_of_text: 0,
        }
    }

    /// Takes in rows that were read, or why they couldn't be.
    pub fn rows(&mut self, rows: Result<Vec<super::widgets::list::Row>, Error>) {
        self.loaded = true;
        match rows {
            Ok(rows) => {
                self.fault = None;
                self.list.set(rows);
            }
            Err(error) => self.fault = Some((error.to_string(), error.hint())),
        }
    }

    /// Has the text read anew that is seen.
    pub fn refresh(&mut self) {
        if !matches!(self.reading, Reading::Held(_)) {
            self.about = None;
        }
    }

    /// Forgets the text: it may be secret.
    pub fn forget(&mut self) {
        (self.pane, self.about, self.since) = (Pane::default(), None, None);
        (self.reading, self.number_of_text) = (Reading::Nothing, 0);
    }

    /// Returns the line whose text is to be read now, if there is one.
    pub fn wants(&mut self, now: Instant, width: u16) -> Option<Line> {
        if width < WIDE && self.focus == Focus::List {
            return None; // nobody sees it
        }
        let row = self.list.chosen()?;
        let about = About { row: row.id.clone(), tab: self.tab };
        if self.about.as_ref() == Some(&about) {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < SETTLED && self.focus == Focus::List {
            return None;
        }
        let tab = self.screen.tabs.get(self.tab)?;
        let line = (tab.line)(row);
        if self.about.as_ref().is_none_or(|before| *before != about) {
            self.pane.home();
        }
        (self.about, self.since) = (Some(about), None);
        self.number_of_text = 0; // what is still read about another row comes too late
        self.pane.set("");
        match (line, tab.when) {
            (None, _) => {
                self.pane.set("There is none of it.");
                self.reading = Reading::Here;
                None
            }
            (Some(_), When::Asked(why)) => {
                self.reading = Reading::Held(why);
                None
            }
            (Some(line), When::Chosen) => {
                self.reading = Reading::Waits;
                Some(line)
            }
        }
    }

    /// Whether a text will be read as soon as the choice has settled.
    pub fn is_settling(&self) -> bool {
        self.since.is_some()
    }

    /// Shows what was read.
    pub fn read(&mut self, ran: &Ran) {
        self.pane.set(&ran.text());
        self.reading = Reading::Here;
    }

    /// Returns the line of the text that waits for somebody to ask for it.
    pub fn ask(&mut self) -> Option<Line> {
        let Reading::Held(_) = self.reading else { return None };
        let tab = self.screen.tabs.get(self.tab)?;
        self.reading = Reading::Waits;
        (tab.line)(self.list.chosen()?)
    }

    /// Returns the line whose text is seen.
    pub fn line(&self) -> Option<Line> {
        let tab = self.screen.tabs.get(self.tab)?;
        (tab.line)(self.list.chosen()?)
    }

    /// Moves within the list or the text; returns whether the key meant that.
    pub fn key(&mut self, key: KeyEvent, area: Rect) -> bool {
        let [list, text] = self.places(area);
        let tabs = self.screen.tabs.len();
        match (self.focus, key.code) {
            (_, KeyCode::Tab | KeyCode::Char(']')) if tabs > 0 && !self.list.is_filtering() => self.turn(1),
            (_, KeyCode::BackTab | KeyCode::Char('[')) if tabs > 0 && !self.list.is_filtering() => self.turn(tabs - 1),
            (Focus::List, KeyCode::Enter | KeyCode::Right) if !self.list.is_filtering() => {
                if self.list.chosen().is_some() && tabs > 0 {
                    self.focus = Focus::Text;
                }
            }
            (Focus::List, _) => {
                let before = self.list.chosen().map(|row| row.id.clone());
                if !self.list.key(key, list.height.saturating_sub(2)) {
                    return false;
                }
                if before != self.list.chosen().map(|row| row.id.clone()) {
                    self.forget(); // what is still read is about another row
                }
            }
            (Focus::Text, code) => {
                let size = Size { width: text.width.saturating_sub(2), height: text.height.saturating_sub(2) };
                match (self.pane.key(key, size), code) {
                    (true, _) => {}
                    // To the side of a text that is seen whole is the next one, or the list.
                    (false, KeyCode::Right) if self.tab + 1 < tabs => self.turn(1),
                    (false, KeyCode::Left) if self.tab > 0 => self.turn(tabs - 1),
                    (false, KeyCode::Left) => self.focus = Focus::List,
                    (false, _) => return false,
                }
            }
        }
        true
    }

    fn turn(&mut self, by: usize) {
        self.tab = (self.tab + by) % self.screen.tabs.len();
        self.forget();
        if self.list.chosen().is_some() {
            self.focus = Focus::Text; // what was asked for is read at once
        }
    }

    /// Goes a step back; returns whether there was one.
    pub fn back(&mut self) -> bool {
        if self.focus == Focus::Text {
            self.focus = Focus::List;
            return true;
        }
        self.list.back()
    }

    /// Chooses what the mouse points at, or scrolls there.
    pub fn click(&mut self, column: u16, line: u16, area: Rect) {
        let [list, _] = self.places(area);
        let inside = Rect {
            x: list.x + 1,
            y: list.y + 2,
            width: list.width.saturating_sub(2),
            height: list.height.saturating_sub(3),
        };
        if inside.contains((column, line).into()) {
            self.focus = Focus::List;
            self.list.click(line - inside.y, inside.height);
        }
    }

    /// Where list and text are: one of them is empty on a narrow screen.
    fn places(&self, area: Rect) -> [Rect; 2] {
        let none = Rect { width: 0, ..area };
        match (area.width >= WIDE, self.focus) {
            (true, _) => Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area),
            (false, Focus::List) => [area, none],
            (false, Focus::Text) => [none, area],
        }
    }

    /// How many columns the text has.
    pub fn columns(&self, area: Rect) -> u16 {
        let [_, text] = self.places(area);
        if text.width == 0 { area.width.saturating_sub(2) } else { text.width.saturating_sub(2) }
    }

    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let [list, text] = self.places(area);
        if list.width > 0 {
            self.draw_list(frame, list, theme);
        }
        if text.width > 0 {
            self.draw_text(frame, text, theme);
        }
    }

    fn draw_list(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let (all, seen) = self.list.counts();
        let count = if all == seen { all.to_string() } else { format!("{seen} of {all}") };
        let block = block(theme, self.focus == Focus::List).title(format!(" {} ({count}) ", self.screen.title));
        let inside = block.inner(area);
        frame.render_widget(block, area);
        match &self.fault {
            Some((message, hint)) => {
                let mut lines = vec![Text::styled(message.clone(), theme.style(Tone::Bad))];
                lines.extend(hint.iter().map(|hint| Text::styled(hint.clone(), theme.style(Tone::Code))));
                frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), inside);
            }
            None if self.loaded && all == 0 => {
                let text = Paragraph::new(self.screen.empty).wrap(Wrap { trim: true }).style(theme.style(Tone::Dim));
                frame.render_widget(text, inside);
            }
            None if !self.loaded => frame.render_widget(Text::styled("…", theme.style(Tone::Dim)), inside),
            None => self.list.draw(frame, inside, theme, true),
        }
    }

    fn draw_text(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let mut title = vec![Span::raw(" ")];
        if let Some(row) = self.list.chosen().filter(|_| area.width < WIDE) {
            title.push(Span::styled(row.id.clone(), theme.style(Tone::Strong)));
            title.push(Span::raw("  "));
        }
        for (at, tab) in self.screen.tabs.iter().enumerate() {
            let style = if at == self.tab { theme.selected() } else { theme.style(Tone::Dim) };
            title.push(Span::styled(format!(" {} ", tab.title), style));
        }
        title.push(Span::raw(" "));
        let block = block(theme, self.focus == Focus::Text).title(Text::from(title));
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let say = |text: String| Paragraph::new(text).wrap(Wrap { trim: true }).style(theme.style(Tone::Dim));
        match &self.reading {
            Reading::Held(why) => frame.render_widget(say(format!("Press Enter to read it: {why}.")), inside),
            Reading::Waits if self.pane.is_empty() => frame.render_widget(say("reading …".to_owned()), inside),
            Reading::Nothing => {}
            Reading::Waits | Reading::Here => self.pane.draw(frame, inside, theme),
        }
    }
}

/// Lines around a part of the screen; around the one that keys act on they are stronger.
pub fn block(theme: &Theme, focused: bool) -> Block<'static> {
    let style = if focused { theme.style(Tone::Plain) } else { theme.border() };
    Block::new().borders(Borders::ALL).border_set(theme.lines()).border_style(style)
}
