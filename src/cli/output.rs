//! What commands say: results on stdout as text or as one JSON document, everything else on stderr.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::width;

use crate::ops::Error;

/// Colours by meaning. Calm ones: a colour says something, decoration has none.
pub mod style {
    use super::{AnsiColor, Style};

    /// Nothing special.
    pub const PLAIN: Style = Style::new();
    /// What a line is about.
    pub const STRONG: Style = Style::new().bold();
    /// Labels, and what is there only for completeness.
    pub const DIM: Style = Style::new().dimmed();
    /// As it should be; what is added.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// Worth a look; what changes.
    pub const WARN: Style = AnsiColor::Yellow.on_default();
    /// Wrong; what is removed.
    pub const BAD: Style = AnsiColor::Red.on_default();
    /// A command to type or a name to use.
    pub const CODE: Style = AnsiColor::Cyan.on_default();
    /// The same for pages of help.
    pub const HELP: clap::builder::Styles = clap::builder::Styles::styled()
        .header(STRONG)
        .usage(STRONG)
        .literal(CODE)
        .placeholder(PLAIN)
        .error(BAD.bold())
        .invalid(WARN)
        .valid(CODE);
}

/// Returns `text` in a style; stripped again where colour isn't wanted.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Paints what is between backticks as code: `run \`wg-friend lock\`` in a hint becomes readable and copyable.
pub fn paint_code(text: &str) -> String {
    let mut painted = String::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 && text.matches('`').count() > at {
            painted.push_str(&format!("`{}`", paint(style::CODE, part)));
        } else if at % 2 == 1 {
            painted.push('`');
            painted.push_str(part);
        } else {
            painted.push_str(part);
        }
    }
    painted
}

/// Where a command's results and remarks go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    verbose: u8,
}

impl Output {
    /// An output as the global options want it.
    pub fn new(json: bool, quiet: bool, verbose: u8) -> Self {
        Self { json, quiet, verbose }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only what was asked for is said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How often `-v` was given.
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Shows a result: as one JSON document, or as the text that `render` makes of it.
    pub fn show<T: Serialize>(&self, report: &T, render: impl FnOnce(&T) -> String) -> Result<(), Error> {
        if self.json {
            let mut text = serde_json::to_string_pretty(report).expect("reports have string keys and serialise");
            text.push('\n');
            self.raw(text.as_bytes())
        } else {
            self.text(&render(report))
        }
    }

    /// Shows what a command did that has nothing to show: as a JSON document on stdout, or as a remark on stderr.
    pub fn done<T: Serialize>(&self, report: &T, render: impl FnOnce(&T) -> String) -> Result<(), Error> {
        if self.json {
            return self.show(report, |_| String::new());
        }
        self.note(render(report).trim_end());
        Ok(())
    }

    /// Writes text to stdout; a line end is added if it has none.
    pub fn text(&self, text: &str) -> Result<(), Error> {
        let mut out = anstream::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Writes bytes to stdout as they are.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Says something on stderr, unless `--quiet`.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            say(&text.to_string());
        }
    }

    /// Warns on stderr, also under `--quiet`.
    pub fn warn(&self, text: impl std::fmt::Display) {
        warn(&text.to_string());
    }
}

/// Writes a warning to stderr.
pub(super) fn warn(text: &str) {
    say(&format!("{} {}", paint(style::WARN, "warning:"), paint_code(text)));
}

/// Writes a line to stderr. Nobody can be told when that fails, so it doesn't matter.
pub(super) fn say(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// One field of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A field in a style.
    pub fn new(text: impl std::fmt::Display, style: Style) -> Self {
        Self { text: text.to_string(), style }
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, style::PLAIN)
    }
}

/// Rows under a header, columns aligned, two blanks between them.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many fields as the header.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.header.len());
        self.rows.push(cells.into());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the table as text. A column that is empty in every row is left out. On a terminal that is too narrow,
    /// fields go on below themselves.
    pub fn render(&self) -> String {
        self.render_in(width::of_terminal())
    }

    /// Whether every row fits on one line of the terminal.
    pub fn fits(&self) -> bool {
        width::of_terminal().is_none_or(|room| self.widths().iter().sum::<usize>() + self.gaps() <= room)
    }

    /// Blanks between columns.
    fn gaps(&self) -> usize {
        GAP * self.widths().iter().filter(|width| **width > 0).count().saturating_sub(1)
    }

    /// The width that each column asks for; 0 for one that is left out.
    fn widths(&self) -> Vec<usize> {
        let of = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].text.width()).max().unwrap_or(0);
            if cells == 0 && !self.rows.is_empty() { 0 } else { cells.max(self.header[at].width()) }
        };
        (0..self.header.len()).map(of).collect()
    }

    /// The longest word of each column.
    fn words(&self) -> Vec<usize> {
        let longest = |text: &str| text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0);
        let of = |at: usize| {
            let cells = self.rows.iter().map(|row| longest(&row[at].text)).max().unwrap_or(0);
            cells.max(longest(self.header[at]))
        };
        (0..self.header.len()).map(of).collect()
    }

    fn render_in(&self, room: Option<usize>) -> String {
        let mut widths = self.widths();
        if let Some(room) = room {
            narrow(&mut widths, &self.words(), room.saturating_sub(self.gaps()));
        }
        let header: Vec<Cell> = self.header.iter().map(|title| Cell::new(title, style::DIM)).collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let wrap = |cell: &Cell, width: usize| if width == 0 { Vec::new() } else { width::wrap(&cell.text, width) };
            let cells: Vec<Vec<String>> = row.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
            let lines = cells.iter().map(Vec::len).max().unwrap_or(1);
            for line in 0..lines {
                let mut blanks = 0;
                for (at, cell) in row.iter().enumerate().filter(|(at, _)| widths[*at] > 0) {
                    let part = cells[at].get(line).map_or("", String::as_str);
                    if !part.is_empty() {
                        text.push_str(&" ".repeat(blanks));
                        text.push_str(&paint(cell.style, part));
                        blanks = 0;
                    }
                    blanks += widths[at] - part.width() + GAP;
                }
                text.push('\n');
            }
        }
        text
    }
}

/// Blanks between two columns.
const GAP: usize = 2;

/// Takes from the widest columns until all fit, or nothing more can be taken. `words`: each column's longest word. Words
/// are broken only when breaking lines at blanks isn't enough.
fn narrow(widths: &mut [usize], words: &[usize], room: usize) {
    /// What a column keeps at least, if it has as much.
    const LEAST: usize = 8;
    for least in [words.to_vec(), vec![LEAST; words.len()]] {
        while widths.iter().sum::<usize>() > room {
            let shrinks = |(at, width): &(usize, &usize)| **width > least[*at];
            let widest = widths.iter().enumerate().filter(shrinks).max_by_key(|(at, width)| (**width, *at));
            let Some((at, _)) = widest else { break };
            widths[at] -= 1;
        }
    }
}

/// Labels and values, one pair a line, the values aligned. Pairs with an empty value are left out.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(&'static str, Cell)>);

impl Fields {
    /// No pairs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair.
    pub fn add(&mut self, label: &'static str, value: impl Into<Cell>) -> &mut Self {
        self.0.push((label, value.into()));
        self
    }

    /// Returns the pairs as text; further lines of a value are indented under its first.
    pub fn render(&self) -> String {
        let shown: Vec<_> = self.0.iter().filter(|(_, value)| !value.text.is_empty()).collect();
        let width = shown.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
        let mut text = String::new();
        for (label, value) in shown {
            let mut lines = value.text.lines();
            let first = lines.next().unwrap_or_default();
            text.push_str(&paint(style::DIM, format!("{label:width$}")));
            text.push_str(&format!("  {}\n", paint(value.style, first)));
            for line in lines {
                text.push_str(&format!("{:width$}  {}\n", "", paint(value.style, line)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn tables_align_drop_empty_columns_and_leave_no_blanks_at_the_end() {
        let mut table = Table::new(&["NAME", "NOTE", "ADDRESS", "LAST"]);
        table.row(["hub".into(), "".into(), Cell::new("10.66.0.1", style::GOOD), "x".into()]);
        table.row(["zürich-büro".into(), "".into(), "10.66.0.20".into(), "".into()]);
        insta::assert_snapshot!(plain(&table.render()), @r"
        NAME         ADDRESS     LAST
        hub          10.66.0.1   x
        zürich-büro  10.66.0.20
        ");
    }

    #[test]
    fn a_table_that_is_too_wide_goes_on_below_itself() {
        let mut table = Table::new(&["NAME", "ADDRESS", "LANS"]);
        table.row(["hub".into(), "10.66.0.1 fd66::1".into(), "".into()]);
        table.row(["a-very-long-name-it-is".into(), "10.66.0.2".into(), "192.168.1.0/24 (office), 10.0.0.0/8".into()]);
        insta::assert_snapshot!(plain(&table.render_in(Some(48))), @r"
        NAME                   ADDRESS    LANS
        hub                    10.66.0.1
                               fd66::1
        a-very-long-name-it-i  10.66.0.2  192.168.1.0/24
        s                                 (office),
                                          10.0.0.0/8
        ");
        assert!(table.render_in(Some(10)).lines().count() > 3, "what can't fit is still shown");
    }

    #[test]
    fn fields_align_and_indent() {
        let mut fields = Fields::new();
        fields.add("name", "hub").add("notes", "").add("addresses", "10.66.0.1\nfd00::1");
        insta::assert_snapshot!(plain(&fields.render()), @r"
        name       hub
        addresses  10.66.0.1
                   fd00::1
        ");
    }

    #[test]
    fn code_is_painted_between_backticks_and_nothing_is_lost() {
        for text in ["run `a b` or `c`", "no code", "an odd ` one", ""] {
            assert_eq!(plain(&paint_code(text)), text);
        }
        assert!(paint_code("run `x`").contains("\u{1b}["));
    }
}
