//! A line of text that is typed: names, searches, paths, and passphrases, which aren't shown.

mod shape;

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr as _;
use zeroize::Zeroizing;

pub(super) use shape::{clip, cut, foot, more, wrap};

use super::theme::{Theme, Tone};

/// What a key did to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is another text now.
    Changed,
    /// The cursor stands elsewhere, or couldn't go further.
    Moved,
    /// The key is none of this line's.
    Ignored,
}

/// A text by where the cursor stands, as it is drawn: of a passphrase there are only dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What stands before the cursor.
    pub before: String,
    /// What the cursor stands on; nothing at the end.
    pub at: String,
    /// What follows.
    pub after: String,
}

/// A line of text with a cursor. Wiped from memory when it is dropped, whatever it was for.
#[derive(Default)]
pub struct Input {
    text: Zeroizing<String>,
    /// Where the cursor stands, in bytes; never within a character.
    at: usize,
    secret: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secret {
            true => f.write_str("Input(..)"),
            false => f.debug_struct("Input").field("text", &self.text.as_str()).field("at", &self.at).finish(),
        }
    }
}

impl Input {
    /// A text to go on with, the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.paste(text);
        input
    }

    /// An empty passphrase.
    pub fn secret() -> Self {
        Self { secret: true, ..Self::default() }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the cursor stands behind the text.
    pub fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Puts a text in place of what is there, the cursor at its end.
    pub fn set(&mut self, text: &str) {
        self.text = Zeroizing::default();
        self.at = 0;
        self.paste(text);
    }

    /// Takes the text out and leaves nothing behind.
    pub fn take(&mut self) -> Zeroizing<String> {
        self.at = 0;
        std::mem::take(&mut self.text)
    }

    /// Inserts a text at the cursor. Line breaks become blanks; other control characters are left out.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars() {
            self.insert(if matches!(c, '\n' | '\t') { ' ' } else { c });
        }
    }

    /// Inserts a character at the cursor, unless it is a control character.
    pub fn insert(&mut self, c: char) {
        if c.is_control() {
            return;
        }
        let needed = self.text.len() + c.len_utf8();
        if needed > self.text.capacity() {
            // A string that grows by itself leaves its old place as it was; this one is wiped.
            let mut bigger = Zeroizing::new(String::with_capacity(needed.next_power_of_two().max(64)));
            bigger.push_str(&self.text);
            self.text = bigger;
        }
        self.text.insert(self.at, c);
        self.at += c.len_utf8();
    }

    /// Does what a key asks for.
    pub fn key(&mut self, key: KeyEvent) -> Edit {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('a') if ctrl => self.go(0),
            KeyCode::Char('e') if ctrl => self.go(self.text.len()),
            KeyCode::Char('u') if ctrl => self.remove(0, self.at),
            KeyCode::Char('k') if ctrl => self.remove(self.at, self.text.len()),
            KeyCode::Char('h') if ctrl => self.remove(self.left(), self.at),
            KeyCode::Char('w') if ctrl => self.remove(self.word_left(), self.at),
            KeyCode::Backspace if ctrl || alt => self.remove(self.word_left(), self.at),
            KeyCode::Char(c) if !ctrl && !alt && !c.is_control() => {
                self.insert(c);
                Edit::Changed
            }
            KeyCode::Backspace => self.remove(self.left(), self.at),
            KeyCode::Delete => self.remove(self.at, self.right()),
            KeyCode::Left if ctrl || alt => self.go(self.word_left()),
            KeyCode::Right if ctrl || alt => self.go(self.word_right()),
            KeyCode::Left => self.go(self.left()),
            KeyCode::Right => self.go(self.right()),
            KeyCode::Home => self.go(0),
            KeyCode::End => self.go(self.text.len()),
            _ => Edit::Ignored,
        }
    }

    /// Returns the text in three parts, around the cursor.
    pub fn parts(&self) -> Parts {
        let (before, rest) = self.text.split_at(self.at);
        let (at, after) = rest.split_at(self.right() - self.at);
        let shown = |text: &str| match self.secret {
            true => "*".repeat(lengths(text).len()),
            false => text.to_owned(),
        };
        Parts { before: shown(before), at: shown(at), after: shown(after) }
    }

    /// Returns what of it is drawn in so many columns, with its cursor and, behind it, what would complete it. What has
    /// no room leaves a sign.
    pub fn spans(&self, width: usize, completion: &str, theme: &Theme) -> Vec<Span<'static>> {
        let Parts { before, at, after } = self.parts();
        let cursor = Style::new().add_modifier(Modifier::REVERSED);
        let mut pieces: Vec<(String, Style)> = Vec::new();
        pieces.extend(pieces_of(&before).map(|piece| (piece, Style::new())));
        let place = pieces.len();
        let mut completion = pieces_of(completion);
        match at.is_empty() {
            true => pieces.push((
                completion.next().unwrap_or_else(|| " ".to_owned()),
                theme.style(Tone::Dim).add_modifier(Modifier::REVERSED),
            )),
            false => pieces.push((if at.width() == 0 { " ".to_owned() } else { at }, cursor)),
        }
        pieces.extend(pieces_of(&after).map(|piece| (piece, Style::new())));
        let typed = pieces.len();
        pieces.extend(completion.map(|piece| (piece, theme.style(Tone::Dim))));

        // As much before the cursor as leaves room for it, and for a sign at either end.
        let wide = |pieces: &[(String, Style)]| pieces.iter().map(|(piece, _)| piece.width()).sum::<usize>();
        let mut from = 0;
        if wide(&pieces[..typed]) > width {
            let after = usize::from(place + 1 < typed);
            while from < place && wide(&pieces[from..=place]) + usize::from(from > 0) + after > width {
                from += 1;
            }
        }
        let mut spans = Vec::new();
        if from > 0 && width > 0 {
            spans.push(Span::styled(theme.sign("…", "~"), theme.style(Tone::Dim)));
        }
        let rest = pieces.drain(from..).map(|(piece, style)| Span::styled(piece, style)).collect();
        spans.extend(cut(rest, width.saturating_sub(spans.len()), theme));
        spans
    }

    fn go(&mut self, at: usize) -> Edit {
        self.at = at;
        Edit::Moved
    }

    fn remove(&mut self, from: usize, to: usize) -> Edit {
        if from == to {
            return Edit::Moved;
        }
        self.text.drain(from..to);
        self.at = from;
        Edit::Changed
    }

    /// Returns where the letter before the cursor begins.
    fn left(&self) -> usize {
        boundaries(&self.text).into_iter().rfind(|at| *at < self.at).unwrap_or(0)
    }

    /// Returns where the letter at the cursor ends.
    fn right(&self) -> usize {
        boundaries(&self.text).into_iter().find(|at| *at > self.at).unwrap_or(self.text.len())
    }

    fn word_left(&self) -> usize {
        let word = self.text[..self.at].trim_end();
        word.char_indices().rfind(|(_, c)| c.is_whitespace()).map_or(0, |(at, c)| at + c.len_utf8())
    }

    fn word_right(&self) -> usize {
        let rest = &self.text[self.at..];
        let blanks = rest.len() - rest.trim_start().len();
        let end = rest[blanks..].find(char::is_whitespace).map_or(rest.len(), |at| blanks + at);
        self.at + end
    }
}

/// Returns how many bytes each letter has, with the accents and joiners that belong to it.
fn lengths(text: &str) -> Vec<usize> {
    let span = Span::raw(text);
    span.styled_graphemes(Style::new()).map(|letter| letter.symbol.len()).collect()
}

/// Returns where letters begin and end.
fn boundaries(text: &str) -> Vec<usize> {
    let mut at = 0;
    let ends = lengths(text).into_iter().map(|length| {
        at += length;
        at
    });
    std::iter::once(0).chain(ends).collect()
}

/// Returns the letters of a text.
fn pieces_of(text: &str) -> impl Iterator<Item = String> + use<> {
    let span = Span::raw(text);
    let pieces: Vec<String> = span.styled_graphemes(Style::new()).map(|letter| letter.symbol.to_owned()).collect();
    pieces.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn press(input: &mut Input, keys: &[(KeyCode, KeyModifiers)]) {
        for (code, modifiers) in keys {
            input.key(KeyEvent::new(*code, *modifiers));
        }
    }

    fn plain(code: KeyCode) -> (KeyCode, KeyModifiers) {
        (code, KeyModifiers::NONE)
    }

    fn ctrl(c: char) -> (KeyCode, KeyModifiers) {
        (KeyCode::Char(c), KeyModifiers::CONTROL)
    }

    #[test]
    fn the_cursor_goes_by_letters_not_by_bytes() {
        let mut input = Input::new("ae\u{301}日👩\u{200d}👧b");
        press(&mut input, &[plain(KeyCode::Left), plain(KeyCode::Left)]);
        let parts = input.parts();
        assert_eq!((parts.before.as_str(), parts.at.as_str()), ("ae\u{301}日", "👩\u{200d}👧"));
        press(&mut input, &[plain(KeyCode::Backspace), plain(KeyCode::Backspace)]);
        assert_eq!(input.text(), "a👩\u{200d}👧b");
        press(&mut input, &[plain(KeyCode::Delete), plain(KeyCode::Char('ü'))]);
        assert_eq!(input.text(), "aüb");
    }

    #[test]
    fn words_and_ends_are_removed_and_gone_to() {
        let mut input = Input::new("one two  three");
        press(&mut input, &[ctrl('w')]);
        assert_eq!(input.text(), "one two  ");
        press(&mut input, &[ctrl('w'), (KeyCode::Left, KeyModifiers::CONTROL)]);
        assert_eq!((input.text(), input.at), ("one ", 0));
        press(&mut input, &[(KeyCode::Right, KeyModifiers::ALT)]);
        assert_eq!((input.at, input.at_end()), (3, false));
        press(&mut input, &[ctrl('k'), ctrl('a'), plain(KeyCode::Char('x')), plain(KeyCode::End)]);
        assert_eq!((input.text(), input.at_end()), ("xone", true));
        press(&mut input, &[plain(KeyCode::Home), plain(KeyCode::Right), ctrl('u'), ctrl('e')]);
        assert_eq!((input.text(), input.at_end()), ("one", true));
        assert_eq!(input.key(KeyEvent::from(KeyCode::F(1))), Edit::Ignored);
    }

    #[test]
    fn what_is_pasted_is_one_line() {
        let mut input = Input::new("a\nb\tc\u{7}\u{1b}[31md");
        assert_eq!(input.text(), "a b c[31md");
        assert_eq!(*input.take(), "a b c[31md");
        assert!(input.is_empty() && input.at_end());
    }

    #[test]
    fn a_passphrase_shows_nowhere() {
        let mut input = Input::secret();
        input.paste(&"hunter2 ".repeat(20));
        assert_eq!(format!("{input:?} {input:#?}"), "Input(..) Input(..)");
        let Parts { before, at, after } = input.parts();
        assert_eq!((before, at.as_str(), after.as_str()), ("*".repeat(160), "", ""));
        let drawn: String = input.spans(12, "", &Theme::default()).iter().map(|span| span.content.as_ref()).collect();
        assert_eq!(drawn, "…********** ");
        assert_eq!(input.take().len(), 160);
        assert!(input.secret, "what is typed next is one, too");
    }

    #[test]
    fn the_cursor_stays_in_sight_and_what_does_not_leaves_a_sign() {
        let drawn = |input: &Input, width, completion: &str| -> String {
            input.spans(width, completion, &Theme::default()).iter().map(|span| span.content.as_ref()).collect()
        };
        let mut input = Input::new("abcdefghij");
        assert_eq!(drawn(&input, 20, ""), "abcdefghij ");
        assert_eq!(drawn(&input, 20, "klm"), "abcdefghijklm");
        assert_eq!(drawn(&input, 12, "klm"), "abcdefghijk…");
        assert_eq!(drawn(&input, 6, ""), "…ghij ");
        press(&mut input, &[plain(KeyCode::Home)]);
        assert_eq!(drawn(&input, 6, ""), "abcde…");
        press(&mut input, &[plain(KeyCode::Right); 5]);
        assert_eq!(drawn(&input, 6, ""), "…cdef…");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_nothing_breaks_and_nothing_is_too_wide(
            keys in proptest::collection::vec((0usize..12, any::<char>()), 0..40),
            width in 0usize..30,
        ) {
            const KEYS: [KeyCode; 8] = [
                KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete,
                KeyCode::Left, KeyCode::Right,
            ];
            let mut input = Input::default();
            for (which, c) in keys {
                let code = KEYS.get(which).copied().unwrap_or(KeyCode::Char(c));
                input.key(KeyEvent::from(code));
                let Parts { before, at, after } = input.parts();
                prop_assert_eq!(before + &at + &after, input.text());
                let wide: usize = input.spans(width, "more", &Theme::default()).iter().map(|span| span.width()).sum();
                prop_assert!(wide <= width, "{wide} in {width}");
            }
        }
    }
}
