//! What screens are put together from.

pub mod list;
pub mod pane;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Returns a text in so many columns at the most; one that is longer ends with a sign.
pub fn cut(text: &str, columns: usize, ascii: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let sign = if ascii { "~" } else { "…" };
    let mut short = String::new();
    let mut used = sign.width();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        short.push(c);
    }
    if columns > 0 {
        short.push_str(sign);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_is_too_long_ends_with_a_sign() {
        assert_eq!(cut("office", 6, false), "office");
        assert_eq!(cut("office", 5, false), "offi…");
        assert_eq!(cut("office", 5, true), "offi~");
        assert_eq!(cut("日本語", 4, false), "日…");
        assert_eq!(cut("office", 1, false), "…");
        assert_eq!(cut("office", 0, false), "");
    }
}
