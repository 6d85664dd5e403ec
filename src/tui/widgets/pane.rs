//! A text that is larger than its place: what a command has printed, to be scrolled in.

use ansi_to_tui::IntoText as _;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};

use crate::tui::theme::{Theme, Tone};
use crate::tui::widgets::cut;

/// A text and where in it one is.
#[derive(Debug, Default)]
pub struct Pane {
    text: Text<'static>,
    top: usize,
    left: usize,
}

impl Pane {
    /// A pane with what a command has printed.
    pub fn of(text: &str) -> Self {
        let mut pane = Self::default();
        pane.set(text);
        pane
    }

    /// Shows another text, from where one is.
    pub fn set(&mut self, text: &str) {
        self.text = text.trim_end().into_text().unwrap_or_else(|_| Text::raw(text.to_owned()));
        self.top = self.top.min(self.text.lines.len().saturating_sub(1));
    }

    /// Goes to the beginning.
    pub fn home(&mut self) {
        (self.top, self.left) = (0, 0);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.lines.is_empty()
    }

    /// Returns its lines without colours.
    pub fn plain(&self) -> String {
        self.text.lines.iter().map(|line| line.to_string() + "\n").collect()
    }

    /// Scrolls in a place of this size; returns whether the key meant that. To the side there is nothing where all is seen.
    pub fn key(&mut self, key: KeyEvent, size: Size) -> bool {
        let Size { width, height } = size;
        let right = self.text.width().saturating_sub(width.into());
        let page = usize::from(height.saturating_sub(1)).max(1);
        let last = self.text.lines.len().saturating_sub(usize::from(height).max(1));
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        self.top = match key.code {
            KeyCode::Down | KeyCode::Char('j') if !control => self.top + 1,
            KeyCode::Up | KeyCode::Char('k') if !control => self.top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top + page,
            KeyCode::PageUp => self.top.saturating_sub(page),
            KeyCode::Char('f') if control => self.top + page,
            KeyCode::Char('b') if control => self.top.saturating_sub(page),
            KeyCode::Home => {
                self.left = 0;
                0
            }
            KeyCode::End => last,
            KeyCode::Right if self.left < right => {
                self.left = (self.left + 8).min(right);
                self.top
            }
            KeyCode::Left if self.left > 0 => {
                self.left = self.left.saturating_sub(8);
                self.top
            }
            _ => return false,
        }
        .min(last);
        true
    }

    /// Draws what is seen from where one is. Lines that go on say so.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        if width == 0 || height == 0 {
            return;
        }
        let rest = self.text.lines.len().saturating_sub(self.top);
        let shown = if rest > height { height - 1 } else { rest };
        for (at, line) in self.text.lines.iter().skip(self.top).take(shown).enumerate() {
            let row = Rect { y: area.y + at as u16, height: 1, ..area };
            frame.render_widget(part(line, self.left, width, theme), row);
        }
        if rest > shown {
            let below = format!("{} {} more lines", theme.sign("↓", "v"), rest - shown);
            let row = Rect { y: area.y + area.height - 1, height: 1, ..area };
            frame.render_widget(Span::styled(cut(&below, width, theme.ascii), theme.style(Tone::Dim)), row);
        }
    }
}

/// Returns the part of a line that begins so far to the right, in the colours of a theme.
fn part(line: &Line<'static>, left: usize, width: usize, theme: &Theme) -> Line<'static> {
    let whole = line.width();
    let mut skipped = 0;
    let mut used = 0;
    let goes_on = whole > left + width;
    let room = if goes_on { width - 1 } else { width };
    let mut spans = Vec::new();
    for span in &line.spans {
        let mut text = String::new();
        for c in span.content.chars() {
            let columns = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if skipped < left {
                skipped += columns;
                continue;
            }
            if used + columns > room {
                break;
            }
            used += columns;
            text.push(c);
        }
        if !text.is_empty() {
            spans.push(Span::styled(text, in_theme(line.style.patch(span.style), theme)));
        }
    }
    if goes_on {
        spans.push(Span::styled(theme.sign("›", ">"), theme.style(Tone::Dim)));
    }
    Line::from(spans)
}

/// Turns the colours that commands print into those of a theme: they mean the same.
fn in_theme(style: Style, theme: &Theme) -> Style {
    let tone = match style.fg {
        Some(Color::Green) => Tone::Good,
        Some(Color::Yellow) => Tone::Warn,
        Some(Color::Red) => Tone::Bad,
        Some(Color::Cyan) => Tone::Code,
        _ if style.add_modifier.contains(Modifier::DIM) => Tone::Dim,
        _ => {
            return Style {
                bg: style.bg.filter(|bg| *bg != Color::Reset),
                fg: style.fg.filter(|fg| *fg != Color::Reset),
                ..style
            };
        }
    };
    let bold = if style.add_modifier.contains(Modifier::BOLD) { Modifier::BOLD } else { Modifier::empty() };
    theme.style(tone).add_modifier(bold)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const SIZE: Size = Size { width: 14, height: 4 };

    fn drawn(pane: &Pane, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| pane.draw(frame, frame.area(), &Theme::default())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_does_not_fit_is_told_and_found_by_scrolling() {
        let text: String = (1..=9).map(|n| format!("\u{1b}[32mline {n}\u{1b}[0m of a longer text\n")).collect();
        let mut pane = Pane::of(&text);
        insta::assert_snapshot!(drawn(&pane, SIZE.width, SIZE.height), @r#"
        "line 1 of a l›"
        "line 2 of a l›"
        "line 3 of a l›"
        "↓ 6 more lines"
        "#);
        assert!(pane.key(KeyCode::End.into(), SIZE) && pane.key(KeyCode::Right.into(), SIZE));
        insta::assert_snapshot!(drawn(&pane, SIZE.width, SIZE.height), @r#"
        "f a longer te›"
        "f a longer te›"
        "f a longer te›"
        "f a longer te›"
        "#);
        assert!(pane.key(KeyCode::Right.into(), SIZE));
        assert!(drawn(&pane, SIZE.width, SIZE.height).ends_with("\" a longer text\"\n"), "up to its end");
        assert!(!pane.key(KeyCode::Right.into(), SIZE), "and no further");
        assert!(!pane.key(KeyCode::Char('x').into(), SIZE));
    }
}
