//! A list of any length: filtered, sorted, marked, and drawn only where it is seen.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use crate::tui::theme::{Theme, Tone};
use crate::tui::widgets::cut;

/// One field of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What that means.
    pub tone: Tone,
}

impl Cell {
    /// A field.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What command lines call it.
    pub id: String,
    /// Its fields, as many as there are columns.
    pub cells: Vec<Cell>,
    /// Words that say more about it to whoever acts on it, such as its role or state.
    pub tags: Vec<&'static str>,
    /// A text of its own that the list has no room for.
    pub text: String,
}

impl Row {
    /// A row of these fields.
    pub fn new<const N: usize>(id: impl Into<String>, cells: [Cell; N]) -> Self {
        Self { id: id.into(), cells: cells.into(), tags: Vec::new(), text: String::new() }
    }

    /// Whether it has a tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tags.contains(&tag)
    }

    fn has(&self, words: &[String]) -> bool {
        let has = |word: &String| self.cells.iter().any(|cell| cell.text.to_lowercase().contains(word.as_str()));
        words.iter().all(has)
    }
}

/// Columns between two fields.
const GAP: usize = 2;
/// A field is made shorter, but not below this.
const SHORTEST: usize = 6;
/// Columns before the first field: what is marked or chosen has a sign there.
const MARK: usize = 2;

/// Rows, and which of them one is at.
#[derive(Debug, Default)]
pub struct List {
    columns: &'static [&'static str],
    rows: Vec<Row>,
    widths: Vec<usize>,
    /// The rows that pass the filter, in order.
    order: Vec<usize>,
    at: usize,
    filter: String,
    filtering: bool,
    sort: Option<(usize, bool)>,
    marks: BTreeSet<String>,
}

impl List {
    /// An empty list with these columns.
    pub fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Shows other rows. Who is chosen stays, if it is still there, and so do filter, order and marks.
    pub fn set(&mut self, rows: Vec<Row>) {
        let chosen = self.chosen().map(|row| row.id.clone());
        let columns = self.columns;
        let width = |at: usize| rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.text.width()).max();
        self.widths = (0..columns.len())
            .map(|at| width(at).filter(|width| *width > 0).map_or(0, |width| width.max(columns[at].width())))
            .collect();
        self.rows = rows;
        self.marks.retain(|mark| self.rows.iter().any(|row| row.id == *mark));
        self.arrange();
        let again = chosen.and_then(|id| self.order.iter().position(|at| self.rows[*at].id == id));
        self.at = again.unwrap_or(self.at).min(self.order.len().saturating_sub(1));
    }

    fn arrange(&mut self) {
        let words: Vec<String> = self.filter.to_lowercase().split_whitespace().map(str::to_owned).collect();
        self.order = (0..self.rows.len()).filter(|at| self.rows[*at].has(&words)).collect();
        if let Some((column, down)) = self.sort {
            let rows = &self.rows;
            let text = |at: &usize| rows[*at].cells.get(column).map(|cell| natural(&cell.text));
            self.order.sort_by_cached_key(text);
            if down {
                self.order.reverse();
            }
        }
        self.at = self.at.min(self.order.len().saturating_sub(1));
    }

    /// Returns the row one is at.
    pub fn chosen(&self) -> Option<&Row> {
        self.order.get(self.at).map(|at| &self.rows[*at])
    }

    /// Returns the rows that an action is about: those that are marked and seen, else the one that is chosen. What a filter
    /// hides isn't meant.
    pub fn meant(&self) -> Vec<&Row> {
        let seen = self.order.iter().map(|at| &self.rows[*at]);
        let marked: Vec<&Row> = seen.filter(|row| self.marks.contains(&row.id)).collect();
        if marked.is_empty() { self.chosen().into_iter().collect() } else { marked }
    }

    /// Takes all marks away.
    pub fn unmark(&mut self) {
        self.marks.clear();
    }

    /// Goes to the row of that name.
    pub fn choose(&mut self, id: &str) {
        if let Some(at) = self.order.iter().position(|at| self.rows[*at].id == id) {
            self.at = at;
        }
    }

    /// Returns all rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether typed letters go into the filter.
    pub fn is_filtering(&self) -> bool {
        self.filtering
    }

    /// Begins to filter.
    pub fn begin_filter(&mut self) {
        self.filtering = true;
    }

    /// Takes back what narrows the list or is marked; returns whether there was something.
    pub fn back(&mut self) -> bool {
        let had = self.filtering || !self.filter.is_empty() || !self.marks.is_empty();
        self.filtering = false;
        self.filter.clear();
        self.marks.clear();
        if had {
            let chosen = self.chosen().map(|row| row.id.clone());
            self.arrange();
            chosen.into_iter().for_each(|id| self.choose(&id));
        }
        had
    }

    /// Orders by the next column; after the last, as it came.
    pub fn sort_next(&mut self) {
        let seen = |at: &usize| self.widths.get(*at).is_some_and(|width| *width > 0);
        self.sort = match self.sort {
            None => Some((0, false)),
            Some((column, false)) => Some((column, true)),
            Some((column, true)) => (column + 1..self.columns.len()).find(seen).map(|next| (next, false)),
        };
        let chosen = self.chosen().map(|row| row.id.clone());
        self.arrange();
        chosen.into_iter().for_each(|id| self.choose(&id));
    }

    /// Moves, marks or types into the filter; returns whether the key meant that.
    pub fn key(&mut self, key: KeyEvent, height: u16) -> bool {
        let last = self.order.len().saturating_sub(1);
        let page = usize::from(height.saturating_sub(2)).max(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.filtering {
            match key.code {
                KeyCode::Char('u') if control => self.filter.clear(),
                KeyCode::Char(c) if !control => self.filter.push(c),
                KeyCode::Backspace => _ = self.filter.pop(),
                KeyCode::Enter => self.filtering = false,
                KeyCode::Down | KeyCode::Up | KeyCode::PageDown | KeyCode::PageUp => return self.go(key, page, last),
                _ => return false,
            }
            self.arrange();
            return true;
        }
        match key.code {
            KeyCode::Char(' ') => {
                if let Some(id) = self.chosen().map(|row| row.id.clone()) {
                    if !self.marks.remove(&id) {
                        self.marks.insert(id);
                    }
                    self.at = (self.at + 1).min(last);
                }
                true
            }
            _ => self.go(key, page, last),
        }
    }

    fn go(&mut self, key: KeyEvent, page: usize, last: usize) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        self.at = match key.code {
            KeyCode::Down => self.at + 1,
            KeyCode::Char('j') if !control => self.at + 1,
            KeyCode::Up => self.at.saturating_sub(1),
            KeyCode::Char('k') if !control => self.at.saturating_sub(1),
            KeyCode::PageDown => self.at + page,
            KeyCode::PageUp => self.at.saturating_sub(page),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => return false,
        }
        .min(last);
        true
    }

    /// Goes to the row that is drawn so far below the head of the list.
    pub fn click(&mut self, line: u16, height: u16) {
        let at = self.top(usize::from(height)) + usize::from(line);
        if at < self.order.len() {
            self.at = at;
        }
    }

    /// The first row that is seen, in so many lines for rows.
    fn top(&self, lines: usize) -> usize {
        let most = self.order.len().saturating_sub(lines);
        (self.at.saturating_sub(lines / 2)).min(most)
    }

    /// Draws the rows around the one that one is at, below the names of the columns.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme, focused: bool) {
        if area.height == 0 || area.width == 0 {
            return;
        }
        let widths = fit(&self.widths, usize::from(area.width).saturating_sub(MARK));
        let dropped = widths.len() < self.widths.len();
        let row = |line: u16| Rect { y: area.y + line, height: 1, ..area };
        frame.render_widget(self.head(&widths, dropped, theme), row(0));
        let foot = u16::from(self.filtering || !self.filter.is_empty() || !self.marks.is_empty());
        let lines = area.height.saturating_sub(1 + foot);
        let top = self.top(usize::from(lines));
        for (line, at) in self.order.iter().skip(top).take(usize::from(lines)).enumerate() {
            let chosen = top + line == self.at;
            let mut text = self.row(&self.rows[*at], &widths, theme, chosen);
            if chosen && focused {
                text = text.patch_style(theme.selected());
                frame.buffer_mut().set_style(row(1 + line as u16), theme.selected());
            }
            frame.render_widget(text, row(1 + line as u16));
        }
        if foot == 1 && area.height > 1 {
            frame.render_widget(self.foot(theme, usize::from(area.width)), row(area.height - 1));
        }
    }

    fn head(&self, widths: &[usize], dropped: bool, theme: &Theme) -> Line<'static> {
        let mut spans = vec![Span::raw(" ".repeat(MARK))];
        for (at, width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
            let sorted = match self.sort {
                Some((column, down)) if column == at => {
                    if down {
                        theme.sign("▾", "v")
                    } else {
                        theme.sign("▴", "^")
                    }
                }
                _ => "",
            };
            let name = cut(&format!("{}{sorted}", self.columns[at]), *width, theme.ascii);
            let blanks = width - name.width() + GAP;
            spans.push(Span::styled(format!("{name}{}", " ".repeat(blanks)), theme.style(Tone::Dim)));
        }
        if dropped {
            spans.push(Span::styled(theme.sign("›", ">"), theme.style(Tone::Dim)));
        }
        Line::from(spans)
    }

    fn row(&self, row: &Row, widths: &[usize], theme: &Theme, chosen: bool) -> Line<'static> {
        let marked = self.marks.contains(&row.id);
        let sign = match (marked, chosen) {
            (true, _) => theme.sign("✓ ", "* "),
            (false, true) => theme.sign("▸ ", "> "),
            (false, false) => "  ",
        };
        let mut spans = vec![Span::styled(sign, theme.style(if marked { Tone::Good } else { Tone::Code }))];
        for (cell, width) in row.cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
            let text = cut(&cell.text, *width, theme.ascii);
            let blanks = width - text.width() + GAP;
            spans.push(Span::styled(text, theme.style(cell.tone)));
            spans.push(Span::raw(" ".repeat(blanks)));
        }
        Line::from(spans)
    }

    fn foot(&self, theme: &Theme, width: usize) -> Line<'static> {
        let cursor = if self.filtering { theme.sign("▏", "_") } else { "" };
        let mut spans = Vec::new();
        if self.filtering || !self.filter.is_empty() {
            let counts = format!("  {} of {}", self.order.len(), self.rows.len());
            let typed = cut(&format!("/{}", self.filter), width.saturating_sub(counts.len() + 1), theme.ascii);
            spans.push(Span::styled(format!("{typed}{cursor}"), theme.style(Tone::Code)));
            spans.push(Span::styled(counts, theme.style(Tone::Dim)));
        }
        if !self.marks.is_empty() {
            spans.push(Span::styled(format!("  {} marked", self.marks.len()), theme.style(Tone::Good)));
        }
        Line::from(spans)
    }

    /// Returns how many there are, and how many of them pass the filter.
    pub fn counts(&self) -> (usize, usize) {
        (self.rows.len(), self.order.len())
    }
}

/// What sorts numbers within texts by their size: words and the numbers behind them.
fn natural(text: &str) -> Vec<(String, u128)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let words = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[words..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |at| words + at);
        parts.push((rest[..words].to_lowercase(), rest[words..digits].parse().unwrap_or(0)));
        rest = &rest[digits..];
    }
    parts
}

/// Takes from the widest columns until all fit. Where even the shortest don't, those at the end are left out.
fn fit(widths: &[usize], room: usize) -> Vec<usize> {
    let needs = |widths: &[usize]| widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum::<usize>();
    for count in (1..=widths.len()).rev() {
        let mut some = widths[..count].to_vec();
        while needs(&some) > room + GAP {
            let widest = (0..count).rev().max_by_key(|at| some[*at]).filter(|at| some[*at] > SHORTEST);
            let Some(at) = widest else { break };
            some[at] -= 1;
        }
        if needs(&some) <= room + GAP {
            return some;
        }
    }
    widths.first().map(|width| (*width).min(room)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn list() -> List {
        let mut list = List::new(&["NAME", "ROLE", "NOTES", "ADDRESS"]);
        let row = |name: &str, role: &str, address: &str| {
            Row::new(name, [name.into(), role.into(), "".into(), Cell::new(address, Tone::Dim)])
        };
        list.set(vec![
            row("hub", "server", "10.66.0.1"),
            row("phone-10", "remote", "10.66.0.20"),
            row("phone-9", "remote", "10.66.0.19"),
        ]);
        list
    }

    fn drawn(list: &List, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| list.draw(frame, frame.area(), &Theme::default(), true)).unwrap();
        terminal.backend().to_string()
    }

    fn press(list: &mut List, keys: &str) {
        keys.chars().for_each(|c| _ = list.key(KeyCode::Char(c).into(), 10));
    }

    #[test]
    fn empty_columns_take_no_room_and_long_fields_end_with_a_sign() {
        insta::assert_snapshot!(drawn(&list(), 40, 4), @r#"
        "  NAME      ROLE    ADDRESS             "
        "▸ hub       server  10.66.0.1           "
        "  phone-10  remote  10.66.0.20          "
        "  phone-9   remote  10.66.0.19          "
        "#);
        insta::assert_snapshot!(drawn(&list(), 24, 4), @r#"
        "  NAME    ROLE    ADDRE…"
        "▸ hub     server  10.66…"
        "  phone…  remote  10.66…"
        "  phone…  remote  10.66…"
        "#);
        insta::assert_snapshot!(drawn(&list(), 14, 4), @r#"
        "  NAME      › "
        "▸ hub         "
        "  phone-10    "
        "  phone-9     "
        "#);
    }

    #[test]
    fn typing_narrows_it_down_and_going_back_widens_it_again_at_the_same_row() {
        let mut list = list();
        list.begin_filter();
        press(&mut list, "rem 9");
        assert_eq!(list.chosen().unwrap().id, "phone-9");
        assert_eq!(list.counts(), (3, 1));
        insta::assert_snapshot!(drawn(&list, 40, 4), @r#"
        "  NAME      ROLE    ADDRESS             "
        "▸ phone-9   remote  10.66.0.19          "
        "                                        "
        "/rem 9▏  1 of 3                         "
        "#);
        assert!(list.back() && !list.back());
        assert_eq!((list.chosen().unwrap().id.as_str(), list.counts()), ("phone-9", (3, 3)));
    }

    #[test]
    fn numbers_in_names_sort_by_their_size_and_marks_outlive_a_reload() {
        let mut list = list();
        list.sort_next();
        let ids: Vec<&str> = list.order.iter().map(|at| list.rows[*at].id.as_str()).collect();
        assert_eq!(ids, ["hub", "phone-9", "phone-10"]);
        list.choose("phone-9");
        press(&mut list, " ");
        let rows = list.rows().to_vec();
        list.set(rows[1..].to_vec());
        let meant: Vec<&str> = list.meant().iter().map(|row| row.id.as_str()).collect();
        assert_eq!(meant, ["phone-9"]);
        insta::assert_snapshot!(drawn(&list, 40, 4), @r#"
        "  NAME▴     ROLE    ADDRESS             "
        "✓ phone-9   remote  10.66.0.19          "
        "▸ phone-10  remote  10.66.0.20          "
        "  1 marked                              "
        "#);
    }

    #[test]
    fn of_ten_thousand_rows_those_around_the_chosen_one_are_drawn() {
        let mut list = List::new(&["NAME"]);
        list.set((0..10_000).map(|n| Row::new(format!("n{n}"), [format!("n{n}").into()])).collect());
        list.key(KeyCode::End.into(), 5);
        insta::assert_snapshot!(drawn(&list, 12, 4), @r#"
        "  NAME      "
        "  n9997     "
        "  n9998     "
        "▸ n9999     "
        "#);
    }
}
