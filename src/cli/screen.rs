//! A text that takes the place of the one before, on a terminal: without another screen, and without flicker.

use std::io::Write as _;

use anstream::ColorChoice;

use super::width;
use crate::ops::Error;

/// Draws nothing until the whole text has arrived (synchronized output, DEC private mode 2026); terminals that don't know
/// it pass over it.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";
const HIDE_CURSOR: &str = "\u{1b}[?25l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";
const CLEAR_SCREEN: &str = "\u{1b}[2J\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// Columns and rows.
type Size = (usize, usize);

/// The part of a terminal that a text stands in. What it shows last stays there; the cursor comes back with it.
#[derive(Default)]
pub(super) struct Screen {
    /// How many lines were drawn, on a terminal of which size.
    drawn: Option<(usize, Size)>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Shows a text in the place of the one before.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn show(&mut self, text: &str) -> Result<(), Error> {
        let size = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
        // Only colours are a matter of taste: what moves the cursor has to get through.
        let coloured = anstream::AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
        let plain = (!coloured).then(|| anstream::adapter::strip_str(text).to_string());
        let frame = self.frame(plain.as_deref().unwrap_or(text), size);
        let mut out = std::io::stdout().lock();
        out.write_all(frame.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Returns what has to be written for a terminal of a size to show the text.
    fn frame(&mut self, text: &str, size: Size) -> String {
        let (columns, rows) = (size.0.max(1), size.1.max(2));
        let mut lines: Vec<String> = text.lines().flat_map(|line| width::wrap(line, columns)).collect();
        let room = rows - 1; // the cursor stands below
        if lines.len() > room {
            let hidden = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.extend(width::wrap(&format!("... {hidden} more lines"), columns).into_iter().take(1));
        }
        let mut frame = BEGIN.to_owned();
        match self.drawn {
            None => frame.push_str(HIDE_CURSOR),
            // The terminal has broken the lines anew: where they begin is unknown.
            Some((_, before)) if before != size => frame.push_str(CLEAR_SCREEN),
            Some((0, _)) => {}
            Some((count, _)) => frame.push_str(&format!("\r\u{1b}[{count}A")),
        }
        for line in &lines {
            frame.push_str(line);
            frame.push_str(CLEAR_LINE);
            frame.push_str("\r\n");
        }
        frame.push_str(CLEAR_BELOW);
        frame.push_str(END);
        self.drawn = Some((lines.len(), size));
        frame
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(SHOW_CURSOR.as_bytes()).and_then(|()| out.flush()); // a terminal that is gone has no cursor
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn side(length: usize) -> std::num::NonZeroU16 {
        u16::try_from(length).ok().and_then(std::num::NonZeroU16::new).unwrap()
    }

    /// A terminal with something on it.
    fn terminal((columns, rows): Size) -> vt100::Parser {
        let mut terminal = vt100::Parser::new(side(rows), side(columns), 100);
        terminal.process(b"$ wg-friend status --watch\r\n");
        terminal
    }

    fn shown(terminal: &vt100::Parser) -> String {
        terminal.screen().contents()
    }

    #[test]
    fn a_text_takes_the_place_of_the_one_before_and_leaves_what_stood_above() {
        let (size, mut screen) = ((30, 8), Screen::new());
        let mut terminal = terminal(size);
        for text in ["one\ntwo\nthree\n", "a longer line\n", "", "1\n2\n"] {
            terminal.process(screen.frame(text, size).as_bytes());
            assert_eq!(shown(&terminal).trim_end(), format!("$ wg-friend status --watch\n{text}").trim_end());
            assert!(terminal.screen().hide_cursor());
        }
        std::mem::forget(screen); // its end is for a real terminal
    }

    #[test]
    fn a_text_that_is_too_long_says_how_much_is_missing_and_a_new_size_begins_anew() {
        let (size, mut screen) = ((30, 6), Screen::new());
        let mut terminal = terminal(size);
        let text: String = (1..=9).map(|n| format!("line {n}\n")).collect();
        for _ in 0..3 {
            terminal.process(screen.frame(&text, size).as_bytes());
            assert_eq!(shown(&terminal), "line 1\nline 2\nline 3\nline 4\n... 5 more lines\n".trim_end());
        }
        let size = (12, 20);
        terminal.set_size(side(20), side(12));
        terminal.process(screen.frame("a line of many words\nend\n", size).as_bytes());
        assert_eq!(shown(&terminal), "a line of\nmany words\nend");
        std::mem::forget(screen);
    }

    proptest! {
        #[test]
        fn whatever_was_shown_before_leaves_no_trace(
            texts in proptest::collection::vec("([a-zß ]{0,40}\n){0,12}", 1..6), columns in 4usize..40, rows in 2usize..12,
        ) {
            let (size, mut one, mut other) = ((columns, rows), Screen::new(), Screen::new());
            let mut after_others = vt100::Parser::new(side(rows), side(columns), 0);
            let mut alone = vt100::Parser::new(side(rows), side(columns), 0);
            for text in &texts {
                after_others.process(one.frame(text, size).as_bytes());
            }
            alone.process(other.frame(texts.last().unwrap(), size).as_bytes());
            std::mem::forget((one, other));
            let bare = |terminal: &vt100::Parser| shown(terminal).trim().to_owned();
            prop_assert_eq!(bare(&after_others), bare(&alone));
        }
    }
}
