//! Keeping within the terminal: how wide it is, and breaking lines at blanks.

use std::io::IsTerminal as _;

use unicode_width::UnicodeWidthChar as _;

/// Returns the columns of the terminal that results go to; `None` when they go elsewhere: what a program reads isn't
/// broken.
pub(super) fn of_terminal() -> Option<usize> {
    if let Some(columns) = SHOWN_IN.get() {
        return Some((*columns).max(NARROWEST));
    }
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).filter(|width| *width >= NARROWEST)
}

/// Says that results are shown by a screen, in so many columns. The first to say it decides.
pub(super) fn shown_in(columns: usize) {
    let _already_said = SHOWN_IN.set(columns);
}

static SHOWN_IN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

/// In less than this nothing can be laid out; then the terminal breaks lines where it likes.
const NARROWEST: usize = 20;

/// Returns the columns that a text takes, colours aside.
pub(super) fn of(text: &str) -> usize {
    pieces(text).map(|(_, columns)| columns).sum()
}

/// A text in pieces that mustn't be broken, each with its columns: characters, and colour sequences, which have none.
fn pieces(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (length, columns) = match first {
            '\u{1b}' => (rest.find('m').map_or(first.len_utf8(), |at| at + 1), 0),
            other => (other.len_utf8(), other.width().unwrap_or(0)),
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some((piece, columns))
    })
}

/// Breaks a line at blanks so that no part is wider than `width`; a word that is wider is broken itself. Colours go on
/// over the break.
pub(super) fn wrap(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let (mut current, mut columns) = (String::new(), 0);
    // Where the last blank is at which the line can be broken: bytes and columns before it.
    let mut blank: Option<(usize, usize)> = None;
    for (piece, wide) in pieces(line) {
        if columns + wide > width && wide > 0 {
            if piece == " " {
                lines.push(std::mem::take(&mut current));
                (columns, blank) = (0, None);
                continue;
            }
            match blank.take() {
                Some((at, before)) => {
                    let rest = current.split_off(at);
                    lines.push(std::mem::replace(&mut current, rest[1..].to_owned()));
                    columns -= before + 1;
                }
                None => {
                    lines.push(std::mem::take(&mut current));
                    columns = 0;
                }
            }
        }
        if piece == " " && columns > 0 {
            blank = Some((current.len(), columns));
        }
        current.push_str(piece);
        columns += wide;
    }
    lines.push(current);
    lines
}

/// Breaks a line that is too wide for the terminal, its further parts behind `indent`.
pub(super) fn hang(line: &str, indent: &str) -> String {
    hang_in(of_terminal(), line, indent)
}

fn hang_in(width: Option<usize>, line: &str, indent: &str) -> String {
    let Some(width) = width.filter(|width| of(line) > *width && of(indent) + NARROWEST / 2 <= *width) else {
        return line.to_owned();
    };
    // The first part begins at the left margin, the others behind the indent.
    let first = wrap(line, width).swap_remove(0);
    let rest = line[first.len()..].trim_start_matches(' ');
    let mut text = first;
    if !rest.is_empty() {
        for part in wrap(rest, width - of(indent)) {
            text.push_str(&format!("\n{indent}{part}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_break_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("zürich büro", 6), ["zürich", "büro"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("\u{1b}[1mone two\u{1b}[0m", 3), ["\u{1b}[1mone", "two\u{1b}[0m"]);
    }

    #[test]
    fn what_does_not_fit_goes_on_below_itself() {
        assert_eq!(
            hang_in(Some(24), "  - address 10.66.0.1/32, fd66::1/128", "    "),
            "  - address\n    10.66.0.1/32,\n    fd66::1/128"
        );
        assert_eq!(hang_in(Some(80), "short", "    "), "short");
        assert_eq!(hang_in(None, &"x ".repeat(200), "    "), "x ".repeat(200));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_part_is_too_wide(text in "[a-zäß ]{0,60}", width in 1usize..20) {
            let parts = wrap(&text, width);
            prop_assert!(parts.iter().all(|part| of(part) <= width), "{parts:?}");
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&parts.concat()), bare(&text));
        }
    }
}
