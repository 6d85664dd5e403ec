//! What has no room: cut with a sign, broken into lines, or counted at the edge of a box.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use crate::tui::theme::{Theme, Tone};
use crate::tui::widgets;

/// Returns as much of a line as fits; a sign stands for the rest.
pub(in crate::tui) fn cut(spans: Vec<Span<'static>>, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    if spans.iter().map(Span::width).sum::<usize>() <= width {
        return spans;
    }
    let mut room = width.saturating_sub(1); // the last column is the sign's
    let mut kept = Vec::new();
    'line: for span in spans {
        let mut text = String::new();
        for letter in span.styled_graphemes(Style::new()) {
            let wide = letter.symbol.width();
            if wide > room {
                kept.push(Span::styled(text, span.style));
                break 'line;
            }
            room -= wide;
            text.push_str(letter.symbol);
        }
        kept.push(Span::styled(text, span.style));
    }
    if width > 0 {
        kept.push(Span::styled(theme.sign("…", "~"), theme.style(Tone::Dim)));
    }
    kept
}

/// Breaks a text at blanks into lines of so many columns; a word that is wider is broken itself.
pub(in crate::tui) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let (mut line, mut columns) = (String::new(), 0);
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if columns > 0 && columns + 1 + word.width() > width {
                lines.push(std::mem::take(&mut line));
                columns = 0;
            }
            if columns > 0 {
                line.push(' ');
                columns += 1;
            }
            for letter in Span::raw(word).styled_graphemes(Style::new()) {
                let wide = letter.symbol.width();
                if columns > 0 && columns + wide > width {
                    lines.push(std::mem::take(&mut line));
                    columns = 0;
                }
                line.push_str(letter.symbol);
                columns += wide;
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Returns the first so many lines; when there are more, the last of them ends in a sign.
pub(in crate::tui) fn clip(mut lines: Vec<String>, most: usize, width: usize, theme: &Theme) -> Vec<String> {
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(widgets::cut(&rest, width, theme.ascii));
    }
    lines.truncate(most);
    lines
}

/// Returns as many keys, with what they do, as fit on the border of a box.
pub(in crate::tui) fn foot(keys: &[(&str, &str)], width: usize, theme: &Theme) -> Line<'static> {
    let mut line = Line::default();
    for (key, does) in keys {
        let (key, does) = (format!(" {key}"), format!(" {does} "));
        if line.width() + key.width() + does.width() > width {
            break;
        }
        line.push_span(Span::styled(key, theme.style(Tone::Code)));
        line.push_span(Span::styled(does, theme.style(Tone::Dim)));
    }
    line
}

/// Says on the border of a box how much of its content lies above and below what it shows.
pub(in crate::tui) fn more(frame: &mut Frame<'_>, area: Rect, above: usize, below: usize, theme: &Theme) {
    let word = if area.width >= 40 { " more" } else { "" };
    let ends =
        [(above, area.top(), theme.sign("↑", "^")), (below, area.bottom().saturating_sub(1), theme.sign("↓", "v"))];
    for (count, y, sign) in ends {
        let text = format!(" {sign} {count}{word} ");
        let wide = u16::try_from(text.width()).unwrap_or(u16::MAX);
        if count > 0 && wide + 2 <= area.width && area.height > 1 {
            let x = area.right() - 1 - wide;
            frame.buffer_mut().set_string(x, y, text, theme.style(Tone::Warn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_ends_in_a_sign() {
        let theme = Theme::default();
        let drawn = |spans: &[&'static str], width, theme: &Theme| -> String {
            let spans = spans.iter().map(|text| Span::raw(*text)).collect();
            cut(spans, width, theme).iter().map(|span| span.content.as_ref()).collect()
        };
        assert_eq!(drawn(&["ho", "sts"], 5, &theme), "hosts");
        assert_eq!(drawn(&["ho", "sts"], 4, &theme), "hos…");
        assert_eq!(drawn(&["日本", "語"], 4, &theme), "日…", "half of a letter isn't drawn");
        assert_eq!(drawn(&["ho", "sts"], 3, &Theme { ascii: true, ..theme }), "ho~");
        assert_eq!((drawn(&["hosts"], 1, &theme).as_str(), drawn(&["hosts"], 0, &theme).as_str()), ("…", ""));
    }

    #[test]
    fn keys_that_have_no_room_are_left_out_whole() {
        let keys = [("Enter", "choose"), ("Esc", "back")];
        assert_eq!(foot(&keys, 24, &Theme::default()).to_string(), " Enter choose  Esc back ");
        assert_eq!(foot(&keys, 23, &Theme::default()).to_string(), " Enter choose ");
    }

    #[test]
    fn lines_break_at_blanks_and_words_only_when_they_must() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a verylongword b", 6), ["a", "verylo", "ngword", "b"]);
        assert_eq!(wrap("one\n\ntwo", 8), ["one", "two"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert!(wrap("", 4).is_empty());
        let lines = clip(wrap("one two three four", 5), 2, 5, &Theme::default());
        assert_eq!(lines, ["one", "two …"]);
        assert_eq!(clip(wrap("aaaaaa bb", 6), 1, 6, &Theme::default()), ["aaaaa…"]);
    }
}
