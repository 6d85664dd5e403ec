//! Every command by its name: typing some of its letters finds it.

mod rank;

use clap::Command;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};
use unicode_width::UnicodeWidthStr as _;

use super::input::{Edit, Input, cut, foot, more};
use super::theme::{Theme, Tone};
use super::widgets;
pub use rank::{Found, rank};

/// What keys do, for the line that says so.
pub const KEYS: &[(&str, &str)] = &[("Enter", "choose"), ("Esc", "back"), ("Up/Down", "move"), ("Ctrl-U", "clear")];

/// What is a command of the program, but not of its screens.
const NEVER: &[&str] = &["completions", "man", "help", "unlock", "lock", "maintain"];

/// How far PageUp and PageDown go.
const PAGE: usize = 10;

/// What an entry stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The command of these words.
    Command,
    /// Something that the screens do themselves, by a name of theirs.
    Other(String),
}

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `exit group add`.
    pub words: Vec<String>,
    /// What it does, in a line.
    pub about: String,
    /// Other names of its words.
    pub also: Vec<String>,
    /// Whether it is found only by who asks for it.
    pub hidden: bool,
    /// What it stands for.
    pub what: What,
}

impl Entry {
    /// Something that is no command.
    pub fn other(name: &str, words: &str, about: &str) -> Self {
        Self {
            words: words.split_whitespace().map(ToOwned::to_owned).collect(),
            about: about.to_owned(),
            also: Vec::new(),
            hidden: false,
            what: What::Other(name.to_owned()),
        }
    }

    /// Returns its words as one text.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// What came of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Nothing that anybody else has to know of.
    Nothing,
    /// This was chosen.
    Chosen(Entry),
    /// Nothing is to be chosen.
    Cancelled,
}

/// A field to type in, and what is found by it.
#[derive(Debug)]
pub struct Palette {
    entries: Vec<Entry>,
    input: Input,
    found: Vec<Found>,
    selected: usize,
}

impl Palette {
    /// All that a definition of the command line can be told, and more. What makes no sense on a screen is left out.
    pub fn of(definition: &Command, extra: Vec<Entry>) -> Self {
        let mut entries = extra;
        collect(definition, &[], &[], false, &mut entries);
        Self { found: rank(&entries, ""), entries, input: Input::default(), selected: 0 }
    }

    /// Leaves out commands, given as their words such as `exit group add`, with all that is below them.
    #[must_use]
    pub fn without(mut self, paths: &[&str]) -> Self {
        self.entries.retain(|entry| {
            let text = entry.text();
            let is_of =
                |path: &str| text.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            entry.what != What::Command || !paths.iter().any(|path| is_of(path))
        });
        self.search();
        self
    }

    /// Returns all that there is to choose from.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns what is found by what was typed, the best first.
    pub fn found(&self) -> impl Iterator<Item = &Entry> {
        self.found.iter().map(|found| &self.entries[found.at])
    }

    /// Returns the entry that Enter chooses.
    pub fn selected(&self) -> Option<&Entry> {
        self.found.get(self.selected).map(|found| &self.entries[found.at])
    }

    /// Puts a text into the field, as if it was typed.
    pub fn paste(&mut self, text: &str) {
        self.input.paste(text);
        self.search();
    }

    /// Does what a key asks for.
    pub fn key(&mut self, key: KeyEvent) -> Pressed {
        if key.kind == KeyEventKind::Release {
            return Pressed::Nothing;
        }
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let last = self.found.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return Pressed::Cancelled,
            KeyCode::Char('c' | 'g') if ctrl => return Pressed::Cancelled,
            KeyCode::Enter => return self.selected().cloned().map_or(Pressed::Nothing, Pressed::Chosen),
            KeyCode::Up | KeyCode::BackTab => self.selected = self.selected.checked_sub(1).unwrap_or(last),
            KeyCode::Char('p' | 'k') if ctrl => self.selected = self.selected.checked_sub(1).unwrap_or(last),
            KeyCode::Down | KeyCode::Tab => self.selected = if self.selected < last { self.selected + 1 } else { 0 },
            KeyCode::Char('n' | 'j') if ctrl => {
                self.selected = if self.selected < last { self.selected + 1 } else { 0 }
            }
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            KeyCode::PageDown => self.selected = (self.selected + PAGE).min(last),
            _ => {
                if self.input.key(key) == Edit::Changed {
                    self.search();
                }
            }
        }
        Pressed::Nothing
    }

    fn search(&mut self) {
        self.found = rank(&self.entries, self.input.text());
        self.selected = 0;
    }

    /// Draws the field and what is found.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let area = area.intersection(frame.area());
        frame.render_widget(Clear, area);
        let block = Block::bordered().border_set(theme.lines()).border_style(theme.border());
        let beside = if area.width < 40 { 10 } else { 16 }; // how much lies below, and corners
        let block = block.title_bottom(foot(KEYS, usize::from(area.width.saturating_sub(beside)), theme));
        let inner = block.inner(area);
        if inner.is_empty() {
            return;
        }
        frame.render_widget(block, area);
        let width = usize::from(inner.width);
        let row = |at: usize| Rect { y: inner.y + u16::try_from(at).unwrap_or(u16::MAX), height: 1, ..inner };

        let count = format!(" {} of {}", self.found.len(), self.entries.len());
        let room = width.saturating_sub(count.width());
        let mut line = vec![Span::styled("> ", theme.style(Tone::Dim))];
        line.extend(self.input.spans(room.saturating_sub(2), "", theme));
        let typed: usize = line.iter().map(Span::width).sum();
        line.push(Span::raw(" ".repeat(room.saturating_sub(typed))));
        line.push(Span::styled(count, theme.style(Tone::Dim)));
        frame.render_widget(Line::from(cut(line, width, theme)), row(0));

        let rows = usize::from(inner.height) - 1;
        if rows == 0 {
            return;
        }
        if self.found.is_empty() {
            let text = widgets::cut("  nothing has this name or says this", width, theme.ascii);
            frame.render_widget(Line::styled(text, theme.style(Tone::Dim)), row(1));
        }
        let names = self.found.iter().map(|found| self.entries[found.at].text().width()).max().unwrap_or(0);
        let column = names.min(width / 2);
        let above = self.selected / rows * rows;
        for (at, found) in self.found.iter().enumerate().skip(above).take(rows) {
            let is_selected = at == self.selected;
            let style = if is_selected { theme.selected() } else { Style::new() };
            let line = self.row(found, column, is_selected, theme);
            frame.buffer_mut().set_style(row(at - above + 1), style);
            frame.render_widget(Line::from(cut(line, width, theme)), row(at - above + 1));
        }
        more(frame, area, above, self.found.len().saturating_sub(above + rows), theme);
    }

    /// Returns an entry as a line; the letters by which it was found stand out.
    fn row(&self, found: &Found, column: usize, is_selected: bool, theme: &Theme) -> Vec<Span<'static>> {
        let entry = &self.entries[found.at];
        let text = entry.text();
        let mark = if is_selected { theme.sign("▸ ", "> ") } else { "  " };
        let mut line = vec![Span::raw(mark)];
        let gap = column.saturating_sub(text.width()) + 2;
        line.extend(marked(&text, &found.letters, Style::new(), theme));
        line.push(Span::raw(" ".repeat(gap)));
        line.extend(marked(&entry.about, &found.about, theme.style(Tone::Dim), theme));
        line
    }
}

/// Returns a text whose letters at these places stand out.
fn marked(text: &str, letters: &[usize], style: Style, theme: &Theme) -> Vec<Span<'static>> {
    let mut spans: Vec<(String, bool)> = Vec::new();
    for (at, c) in text.chars().enumerate() {
        let is_marked = letters.contains(&at);
        match spans.last_mut() {
            Some((span, same)) if *same == is_marked => span.push(c),
            _ => spans.push((c.to_string(), is_marked)),
        }
    }
    let bright = theme.style(Tone::Code).add_modifier(Modifier::UNDERLINED);
    spans.into_iter().map(|(text, is_marked)| Span::styled(text, if is_marked { bright } else { style })).collect()
}

/// Collects the commands that can be run: those without further words, and those that need none.
fn collect(command: &Command, words: &[String], also: &[String], hidden: bool, entries: &mut Vec<Entry>) {
    for sub in command.get_subcommands().filter(|sub| !words.is_empty() || !NEVER.contains(&sub.get_name())) {
        if sub.get_name() == "help" {
            continue;
        }
        let words = [words, &[sub.get_name().to_owned()]].concat();
        let also = also.iter().cloned().chain(sub.get_all_aliases().map(ToOwned::to_owned)).collect::<Vec<_>>();
        let hidden = hidden || sub.is_hide_set();
        if !sub.has_subcommands() || !sub.is_subcommand_required_set() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default().to_owned();
            entries.push(Entry { words: words.clone(), about, also: also.clone(), hidden, what: What::Command });
        }
        collect(sub, &words, &also, hidden, entries);
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn definition() -> Command {
        let leaf = |name: &'static str, about: &'static str| Command::new(name).about(about);
        Command::new("wg-friend").subcommand_required(true).subcommands([
            leaf("list", "List nodes").alias("ls"),
            leaf("history", "Show what was changed")
                .arg(Arg::new("name"))
                .subcommand(leaf("show", "Say what a state changed")),
            leaf("exit", "Say where traffic leaves").subcommand_required(true).subcommands([
                leaf("group", "Groups of exits").subcommand_required(true).subcommands([
                    leaf("add", "Name a set of exits\nand more"),
                    leaf("remove", "Forget a group").alias("rm"),
                ]),
                leaf("failover", "Send traffic by another exit").alias("switch"),
            ]),
            leaf("dump", "Show all").hide(true),
            leaf("init", "Make a database"),
            leaf("man", "Write manual pages"),
            leaf("lock", "Forget the key"),
        ])
    }

    fn palette() -> Palette {
        let extra = vec![Entry::other("hosts", "go to hosts", "The machines")];
        Palette::of(&definition(), extra).without(&["init", "exi"])
    }

    fn type_in(palette: &mut Palette, text: &str) {
        for c in text.chars() {
            assert_eq!(palette.key(KeyEvent::from(KeyCode::Char(c))), Pressed::Nothing);
        }
    }

    fn names(palette: &Palette) -> Vec<String> {
        palette.found().map(Entry::text).collect()
    }

    fn drawn(palette: &Palette, width: u16, height: u16, theme: &Theme) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| palette.draw(frame, frame.area(), theme)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn commands_that_can_be_run_are_there_and_no_others() {
        let palette = palette();
        let all: Vec<String> = palette.entries().iter().map(Entry::text).collect();
        let expected = [
            "go to hosts",
            "list",
            "history",
            "history show",
            "exit group add",
            "exit group remove",
            "exit failover",
            "dump",
        ];
        assert_eq!(all, expected);
        assert_eq!(palette.entries()[4].about, "Name a set of exits");
        assert!(
            palette.entries()[7].hidden && !names(&palette).contains(&"dump".to_owned()),
            "what is hidden isn't offered"
        );
        let without = Palette::of(&definition(), Vec::new()).without(&["exit group", "init"]);
        assert!(!without.entries().iter().any(|entry| entry.text().starts_with("exit group")));
        // The same of a definition that is built, with its own help.
        let mut built = definition();
        built.build();
        let built = Palette::of(&built, Vec::new());
        assert!(built.entries().iter().all(|entry| !entry.words.contains(&"help".to_owned())));
    }

    #[test]
    fn what_is_typed_finds_and_enter_chooses() {
        let mut palette = palette();
        type_in(&mut palette, "gr ad");
        assert_eq!(names(&palette), ["exit group add"]);
        let Pressed::Chosen(entry) = palette.key(KeyEvent::from(KeyCode::Enter)) else { panic!("it is chosen") };
        assert_eq!((entry.words, entry.what), (vec!["exit".into(), "group".into(), "add".into()], What::Command));
        palette.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        type_in(&mut palette, "hosts");
        let Pressed::Chosen(entry) = palette.key(KeyEvent::from(KeyCode::Enter)) else { panic!("it is chosen") };
        assert_eq!(entry.what, What::Other("hosts".into()));
        type_in(&mut palette, "zzz");
        assert_eq!(palette.key(KeyEvent::from(KeyCode::Enter)), Pressed::Nothing);
        assert_eq!(palette.key(KeyEvent::from(KeyCode::Esc)), Pressed::Cancelled);
    }

    #[test]
    fn the_selection_goes_round_and_by_pages() {
        let mut palette = palette();
        let text = |palette: &Palette| palette.selected().map(Entry::text).unwrap_or_default();
        palette.key(KeyEvent::from(KeyCode::Down));
        palette.key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL));
        assert_eq!(text(&palette), "history");
        palette.key(KeyEvent::new(KeyCode::Char('p'), KeyModifiers::CONTROL));
        palette.key(KeyEvent::from(KeyCode::Up));
        palette.key(KeyEvent::from(KeyCode::Up));
        assert_eq!(text(&palette), "exit failover");
        palette.key(KeyEvent::from(KeyCode::PageUp));
        assert_eq!(text(&palette), "go to hosts");
        palette.key(KeyEvent::from(KeyCode::PageDown));
        assert_eq!(text(&palette), "exit failover");
        palette.key(KeyEvent::from(KeyCode::Down));
        assert_eq!(text(&palette), "go to hosts");
        palette.key(KeyEvent::from(KeyCode::Down));
        type_in(&mut palette, "x");
        assert_eq!(palette.selected, 0, "what is found anew is selected from its beginning");
    }

    #[test]
    fn it_is_drawn_with_what_it_found() {
        let mut palette = palette();
        type_in(&mut palette, "exit");
        insta::assert_snapshot!(drawn(&palette, 50, 6, &Theme::default()), @r#"
        "╭────────────────────────────────────────────────╮"
        "│> exit                                    3 of 8│"
        "│▸ exit failover      Send traffic by another ex…│"
        "│  exit group add     Name a set of exits        │"
        "│  exit group remove  Forget a group             │"
        "╰ Enter choose  Esc back ────────────────────────╯"
        "#);
        insta::assert_snapshot!(drawn(&palette, 24, 4, &Theme { ascii: true, ..Theme::default() }), @r#"
        "+----------------------+"
        "|> exit          3 of 8|"
        "|> exit failover  Send~|"
        "+ Enter choose --- v 2 +"
        "#);
        for (width, height) in [(1, 1), (2, 2), (3, 3), (20, 5), (200, 60)] {
            drawn(&palette, width, height, &Theme::default());
        }
    }

    #[test]
    fn letters_that_were_found_stand_out() {
        let spans = marked("exit", &[0, 1], Style::new(), &Theme::default());
        let texts: Vec<&str> = spans.iter().map(|span| span.content.as_ref()).collect();
        assert_eq!(texts, ["ex", "it"]);
        assert_ne!(spans[0].style, spans[1].style);
    }
}
