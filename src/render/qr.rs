//! QR codes (ISO/IEC 18004) of config texts, for phones: in the terminal, as PNG, as SVG.
//!
//! Error correction is level L, so that the modules are as large as can be: the code is shown on a screen, where nothing
//! of it is torn off.

use qrcode::render::{svg, unicode};
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// What phones read without trouble, in bytes.
pub const COMFORTABLE: usize = 1_000;

/// What the largest code holds, in bytes (version 40, level L).
pub const HARD_LIMIT: usize = 2_953;

/// Light modules around a code on each side, as the standard wants.
const QUIET_ZONE: usize = 4;

/// Why there is no code of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// It is too large.
    #[error(
        "it has {bytes} bytes, and a QR code {} {limit}",
        if *limit < HARD_LIMIT { "that every phone reads holds" } else { "can't hold more than" }
    )]
    TooBig {
        /// The size of the text.
        bytes: usize,
        /// What was allowed.
        limit: usize,
    },
    /// What a decoder reads in it isn't the text.
    #[error("the QR code that was drawn of it can't be read back")]
    Unreadable,
}

/// Pixels a module in the image in which a code is read back.
const READ_SCALE: usize = 4;

/// A QR code of a text.
pub struct Code(QrCode);

impl Code {
    /// Encodes a text of at most `limit` bytes; more than [`HARD_LIMIT`] never fits. The code is read back before it is
    /// returned: what leaves here can be read.
    pub fn new(text: &str, limit: usize) -> Result<Self, NoCode> {
        let limit = limit.min(HARD_LIMIT);
        let too_big = NoCode::TooBig { bytes: text.len(), limit };
        if text.len() > limit {
            return Err(too_big);
        }
        let code = QrCode::with_error_correction_level(text, EcLevel::L).map(Self).map_err(|_| too_big)?;
        if code.read().is_some_and(|read| read.as_slice() == text.as_bytes()) {
            Ok(code)
        } else {
            Err(NoCode::Unreadable)
        }
    }

    /// Reads the code as a phone does: finds it in an image and decodes it.
    fn read(&self) -> Option<Zeroizing<Vec<u8>>> {
        let side = self.columns() * READ_SCALE;
        let pixel = |x: usize, y: usize| if self.is_dark(x / READ_SCALE, y / READ_SCALE) { 0 } else { u8::MAX };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, pixel);
        let grids = image.detect_grids();
        let [grid] = grids.as_slice() else { return None };
        let mut text = Zeroizing::new(Vec::with_capacity(HARD_LIMIT));
        grid.decode_to(&mut *text).ok()?;
        Some(text)
    }

    /// Returns the number of columns that the code takes in a terminal, the quiet zone included. It takes half as many
    /// rows, rounded up.
    pub fn columns(&self) -> usize {
        self.0.width() + 2 * QUIET_ZONE
    }

    /// Draws it with half blocks, two modules a character. Light modules are drawn in the terminal's foreground, which
    /// suits light text on a dark ground; `inverted` suits dark text on a light ground.
    pub fn terminal(&self, inverted: bool) -> Zeroizing<String> {
        // The library paints what it calls dark, as ink on paper.
        let (dark, light) = match inverted {
            false => (unicode::Dense1x2::Light, unicode::Dense1x2::Dark),
            true => (unicode::Dense1x2::Dark, unicode::Dense1x2::Light),
        };
        let mut drawing = self.0.render::<unicode::Dense1x2>();
        Zeroizing::new(drawing.dark_color(dark).light_color(light).quiet_zone(true).build())
    }

    /// Draws it as an SVG document.
    pub fn svg(&self) -> Zeroizing<String> {
        let mut drawing = self.0.render::<svg::Color<'_>>();
        Zeroizing::new(drawing.module_dimensions(8, 8).quiet_zone(true).build())
    }

    /// Draws it as a PNG image in black and white, `scale` pixels a module.
    pub fn png(&self, scale: usize) -> Zeroizing<Vec<u8>> {
        let scale = scale.max(1);
        let modules = self.columns();
        let side = modules * scale;
        let mut pixels = Zeroizing::new(Vec::with_capacity(side * side));
        for y in 0..side {
            pixels.extend((0..side).map(|x| if self.is_dark(x / scale, y / scale) { 0 } else { u8::MAX }));
        }
        let mut image = Vec::with_capacity(4096 + side * side / 8);
        let edge = u32::try_from(side).expect("a code has at most 185 modules and a scale is small");
        let mut encoder = png::Encoder::new(&mut image, edge, edge);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("writing to memory can't fail");
        writer.write_image_data(&pixels).expect("there are as many pixels as the header says");
        writer.finish().expect("writing to memory can't fail");
        Zeroizing::new(image)
    }

    /// Whether the module at this place, counted from the quiet zone's corner, is dark.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = QUIET_ZONE..QUIET_ZONE + self.0.width();
        inside.contains(&x) && inside.contains(&y) && self.0[(x - QUIET_ZONE, y - QUIET_ZONE)] == Color::Dark
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_text_that_is_too_big_is_an_error() {
        insta::assert_snapshot!(Code::new(&"x".repeat(1_001), COMFORTABLE).err().unwrap(), @"it has 1001 bytes, and a QR code that every phone reads holds 1000");
        assert!(Code::new(&"\u{e9}".repeat(1_476), usize::MAX).is_ok());
        assert!(Code::new(&"\u{e9}".repeat(1_477), usize::MAX).is_err());
    }

    #[test]
    fn a_terminal_shows_two_modules_a_character_and_a_quiet_zone() {
        let code = Code::new("x", COMFORTABLE).unwrap();
        let drawing = code.terminal(false);
        assert_eq!(code.columns(), 21 + 8);
        assert_eq!(drawing.lines().count(), 15);
        assert!(drawing.lines().all(|line| line.chars().count() == 29));
        assert!(drawing.lines().take(2).all(|line| line.chars().all(|c| c == '\u{2588}')));
        assert!(code.terminal(true).lines().take(2).all(|line| line.chars().all(|c| c == ' ')));
    }

    #[test]
    fn an_svg_is_a_document_of_its_own() {
        let text = Code::new("x", COMFORTABLE).unwrap().svg();
        assert!(text.starts_with("<?xml") && text.ends_with("</svg>"), "{}", *text);
    }

    #[test]
    fn every_size_is_read_back_before_it_is_shown() {
        for bytes in (1..=HARD_LIMIT).step_by(293).chain([COMFORTABLE, HARD_LIMIT]) {
            let text: String = (0..bytes).map(|at| char::from(b'!' + u8::try_from(at * 7 % 90).unwrap())).collect();
            let code = Code::new(&text, HARD_LIMIT).unwrap_or_else(|error| panic!("{bytes} bytes: {error}"));
            assert_eq!(code.read().unwrap().as_slice(), text.as_bytes());
        }
    }

    #[test]
    fn a_decoder_reads_the_png_back() {
        if Command::new("zbarimg").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "zbarimg is needed here");
            eprintln!("skipped: zbarimg (Debian: zbar-tools) isn't installed");
            return;
        }
        let config =
            "[Interface]\nPrivateKey=4PIO+5DmBN3Xw+k0rD0C1Z2pnq2Cz8jN0L1pF2sUw1s=\nAddress=10.66.0.3/32\n".repeat(9);
        for text in ["x", &config] {
            let mut file = tempfile::NamedTempFile::with_suffix(".png").unwrap();
            file.write_all(&Code::new(text, COMFORTABLE).unwrap().png(4)).unwrap();
            let options = ["--quiet", "--raw", "--oneshot", "-Sbinary"];
            let output = Command::new("zbarimg").args(options).arg(file.path()).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
