//! The letters of a PDF: DejaVu, which is part of the program, so that a report looks the same on every machine.
//!
//! Each character is drawn by itself, from left to right. That is right for Latin, Greek, Cyrillic and what else is written so;
//! what DejaVu lacks, what is written from right to left or joined, and what can't be seen at all is drawn as a box. Below the
//! box is the character itself: it is found, copied and read out as it is.

use std::borrow::Cow;
use std::sync::LazyLock;

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

/// A kind of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// For reading.
    Text,
    /// For headings and labels.
    Bold,
    /// For what is typed.
    Code,
}

/// How a character is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Glyph {
    /// Its number in the font; never 0, which a PDF for archives mustn't have.
    pub(super) id: u16,
    /// How wide it is, as a part of the font's size.
    pub(super) advance: f32,
}

/// What stands for what can't be drawn.
const BOX: char = '\u{25a1}';
/// What stands for what a PDF has no place for.
const REPLACEMENT: char = '\u{fffd}';

/// A font, looked through once.
struct Metrics {
    /// Number and width of each character's glyph by its code point; number 0 where there is none.
    glyphs: Vec<(u16, u16)>,
    /// Units of its widths to its size.
    units: f32,
}

static TEXT: LazyLock<Metrics> = LazyLock::new(|| Metrics::of(Face::Text));
static BOLD: LazyLock<Metrics> = LazyLock::new(|| Metrics::of(Face::Bold));
static CODE: LazyLock<Metrics> = LazyLock::new(|| Metrics::of(Face::Code));

impl Metrics {
    fn of(face: Face) -> Self {
        let font = FontRef::new(face.data()).expect("a font that comes with the program is one");
        let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
        let mut glyphs = Vec::new();
        for (code, glyph) in font.charmap().mappings() {
            let at = usize::try_from(code).expect("a code point fits");
            if glyphs.len() <= at {
                glyphs.resize(at + 1, (0, 0));
            }
            let id = u16::try_from(glyph.to_u32()).expect("TrueType has 65,535 glyphs at most");
            glyphs[at] = (id, metrics.advance_width(glyph).unwrap_or_default() as u16);
        }
        Self { glyphs, units: f32::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em) }
    }

    fn glyph(&self, c: char) -> Option<Glyph> {
        let (id, advance) = *self.glyphs.get(c as usize)?;
        (id != 0).then(|| Glyph { id, advance: f32::from(advance) / self.units })
    }
}

impl Face {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Text, Self::Bold, Self::Code];

    /// The font's file. Inlined, each caller would bring a copy of all three along.
    #[inline(never)]
    pub(super) fn data(self) -> &'static [u8] {
        match self {
            Self::Text => dejavu::sans_condensed::regular(),
            Self::Bold => dejavu::sans_condensed::bold(),
            Self::Code => dejavu::sans_mono::regular(),
        }
    }

    fn metrics(self) -> &'static Metrics {
        match self {
            Self::Text => &TEXT,
            Self::Bold => &BOLD,
            Self::Code => &CODE,
        }
    }

    /// Returns how a character is drawn.
    pub(super) fn glyph(self, c: char) -> Glyph {
        let metrics = self.metrics();
        let own = if is_drawn_alone(c) { metrics.glyph(c) } else { None };
        own.or_else(|| metrics.glyph(BOX)).expect("the box is in each of the fonts")
    }

    /// Returns how wide a text is, as a part of the font's size.
    pub(super) fn width(self, text: &str) -> f32 {
        text.chars().map(|c| self.glyph(c).advance).sum()
    }
}

/// Whether a character shows as it should when it is drawn by itself, to the right of the one before it.
fn is_drawn_alone(c: char) -> bool {
    !matches!(c,
        // Marks of direction, joiners and other characters that can't be seen: whoever reads a report should see that there is one.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
        // From right to left: Hebrew, Arabic, Syriac, Thaana, N'Ko and what follows them.
        | '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}'
        // Reordered or joined: the scripts of India and South-East Asia.
        | '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1a20}'..='\u{1aaf}')
}

/// Returns a text as it stands in a PDF: on one line, and with a sign where it has what PDF/A has no place for.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let cleaned = |c: char| match c {
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => ' ',
        // Private, so that nobody else knows what it is; and no characters at all.
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}' => REPLACEMENT,
        c if u32::from(c) & 0xfffe == 0xfffe => REPLACEMENT,
        c => c,
    };
    if text.chars().all(|c| cleaned(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(cleaned).collect())
}

#[cfg(test)]
mod tests {
    use super::{BOX, Face, Glyph, clean};

    fn is_boxed(c: char) -> bool {
        Face::Text.glyph(c) == Face::Text.glyph(BOX)
    }

    #[test]
    fn latin_greek_and_cyrillic_have_letters_in_every_face() {
        for c in "azAZ09äßøłőŠžıαΩёЖїЄ€–—…„“«»·×→✓█▒/_@".chars() {
            for face in Face::ALL {
                assert_ne!(face.glyph(c), face.glyph(BOX), "{c} in {face:?}");
            }
        }
    }

    #[test]
    fn what_has_no_letter_or_is_not_seen_is_a_box() {
        for c in ['中', '日', '한', '🦀', 'א', 'ا', 'न', 'ก', '\u{200b}', '\u{202e}', '\u{e0041}', '\u{10fff}']
        {
            assert!(is_boxed(c), "{c:?}");
        }
        assert!("aö€".chars().all(|c| !is_boxed(c)));
    }

    #[test]
    fn every_character_has_a_glyph_that_is_there() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            for face in Face::ALL {
                let Glyph { id, advance } = face.glyph(c);
                assert!(id != 0 && (0.0..3.0).contains(&advance), "{c:?} in {face:?}");
            }
        }
    }

    #[test]
    fn a_text_keeps_to_its_line_and_says_where_something_is_left_out() {
        assert_eq!(clean("two\nlines\tand\u{2028}more"), "two lines and more");
        assert_eq!(clean("\u{feff}a\u{fffe}b\u{e001}c\u{10ffff}\0"), "\u{fffd}a\u{fffd}b\u{fffd}c\u{fffd} ");
        assert!(matches!(clean("plain ü中"), std::borrow::Cow::Borrowed(_)));
    }
}
