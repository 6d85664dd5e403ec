//! Where the lines of a text end, and how the columns of a table share its width.

use std::ops::Range;

/// After these a long word is broken before it is broken anywhere else.
const JOINTS: [char; 12] = ['/', '-', ':', ',', ';', '.', '@', '_', '=', '+', '&', '?'];

/// Returns the lines of a text, each not wider than `width` unless a single character is. Put together they are the text: the
/// blank at which a line ends belongs to it, and doesn't count for its width.
pub(super) fn lines(text: &str, width: f32, advance: impl Fn(char) -> f32) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut begin = 0;
    let (mut wide, mut after_blank, mut joint) = (0.0, None, None);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let after = at + c.len_utf8();
        let own = advance(c);
        // A mark that stands on the character before it goes with it.
        if c != ' ' && own > 0.0 && wide + own > width && at > begin {
            // A joint far to the left would leave the line nearly empty.
            let near = joint.filter(|joint| joint - begin > (at - begin) / 2);
            let end = after_blank.or(near).unwrap_or(at);
            lines.push(begin..end);
            (begin, at) = (end, end);
            (wide, after_blank, joint) = (0.0, None, None);
            continue;
        }
        wide += own;
        at = after;
        if c == ' ' {
            after_blank = Some(after);
        } else if JOINTS.contains(&c) {
            joint = Some(after);
        }
    }
    lines.push(begin..text.len());
    lines
}

/// What a column would like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wish {
    /// The width of its longest word that should stay whole.
    pub(super) word: f32,
    /// The width of its longest cell: with more, nothing gets better.
    pub(super) cell: f32,
}

/// Returns how wide each column is; together they are `width`.
///
/// When all cells fit on a line, what is left over is shared out by what they need. Otherwise columns with short cells get what
/// these need, and those with longer ones the same width each, but none less than its longest word. When even words don't fit,
/// the longest ones are broken, at the same width.
pub(super) fn columns(wishes: &[Wish], width: f32) -> Vec<f32> {
    let (words, cells) = wishes.iter().fold((0.0, 0.0), |(words, cells), wish| (words + wish.word, cells + wish.cell));
    if cells <= width {
        let share = |wish: &Wish| if cells > 0.0 { wish.cell / cells } else { 1.0 / wishes.len() as f32 };
        return wishes.iter().map(|wish| wish.cell + (width - cells) * share(wish)).collect();
    }
    if words > width {
        return levelled(width, |level| wishes.iter().map(|wish| wish.word.min(level)).collect());
    }
    levelled(width, |level| wishes.iter().map(|wish| level.clamp(wish.word, wish.cell)).collect())
}

/// Returns the widths that are `width` together, of those that grow with a level from 0 to it.
fn levelled(width: f32, widths: impl Fn(f32) -> Vec<f32>) -> Vec<f32> {
    let (mut low, mut high) = (0.0, width);
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        if widths(middle).iter().sum::<f32>() <= width { low = middle } else { high = middle }
    }
    widths(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Wish, columns, lines};

    fn cut(text: &str, width: f32) -> Vec<&str> {
        lines(text, width, |_| 1.0).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn lines_end_at_blanks_then_at_joints_then_anywhere() {
        assert_eq!(cut("one two three", 7.0), ["one two ", "three"]);
        assert_eq!(cut("one two three", 8.0), ["one two ", "three"]);
        assert_eq!(cut("a /very/long/path", 10.0), ["a ", "/very/", "long/path"]);
        assert_eq!(cut("abcdefghij", 4.0), ["abcd", "efgh", "ij"]);
        assert_eq!(cut("a-bcdefghij", 6.0), ["a-bcde", "fghij"]);
        assert_eq!(cut("", 4.0), [""]);
        assert_eq!(cut("ab", 0.5), ["a", "b"]);
        assert_eq!(lines("abcd", 2.0, |c| if c == 'c' { 0.0 } else { 1.0 }), [0..3, 3..4]);
    }

    #[test]
    fn columns_share_what_there_is() {
        let wish = |word, cell| Wish { word, cell };
        let columns = |wishes: &[Wish], width| columns(wishes, width).iter().map(|w| w.round()).collect::<Vec<_>>();
        assert_eq!(columns(&[wish(10.0, 10.0), wish(30.0, 30.0)], 80.0), [20.0, 60.0]);
        assert_eq!(columns(&[wish(10.0, 20.0), wish(20.0, 500.0)], 100.0), [20.0, 80.0]);
        assert_eq!(columns(&[wish(10.0, 20.0), wish(20.0, 500.0), wish(5.0, 90.0)], 100.0), [20.0, 40.0, 40.0]);
        assert_eq!(columns(&[wish(60.0, 200.0), wish(5.0, 500.0)], 100.0), [60.0, 40.0]);
        assert_eq!(columns(&[wish(10.0, 10.0), wish(90.0, 90.0), wish(300.0, 300.0)], 110.0), [10.0, 50.0, 50.0]);
        assert_eq!(columns(&[], 100.0), Vec::<f32>::new());
        assert_eq!(columns(&[wish(0.0, 0.0); 2], 100.0), [50.0, 50.0]);
    }

    proptest! {
        #[test]
        fn lines_are_the_text_and_fit(text in "\\PC{0,60}|[a-z /.-]{0,80}", width in 1.0..30.0_f32) {
            let lines = cut(&text, width);
            prop_assert_eq!(lines.concat(), text.as_str());
            for line in lines {
                prop_assert!(line.trim_end_matches(' ').chars().count() as f32 <= width, "{line:?}");
            }
        }

        #[test]
        fn columns_fill_the_width_and_none_is_starved(
            wishes in proptest::collection::vec((0.1..400.0_f32, 0.0..4000.0_f32), 1..12),
            width in 50.0..500.0_f32,
        ) {
            let wishes: Vec<Wish> = wishes.iter().map(|(word, more)| Wish { word: *word, cell: word + more }).collect();
            let found = columns(&wishes, width);
            prop_assert!((found.iter().sum::<f32>() - width).abs() < 0.1, "{found:?}");
            let fair = width / wishes.len() as f32;
            for (wish, got) in wishes.iter().zip(&found) {
                prop_assert!(*got >= wish.word.min(fair) - 0.01, "{wish:?} {got}");
            }
        }
    }
}
