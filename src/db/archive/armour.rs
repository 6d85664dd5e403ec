//! A backup as text, for where only text can be kept: a line that says which backup it is, base64 (RFC 4648) in lines of 64
//! letters, a line at the end.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;

/// What the first line begins with.
pub(super) const BEGIN: &str = "-----BEGIN WG-FRIEND BACKUP ";
const END: &str = "-----END WG-FRIEND BACKUP-----";

/// Returns the first line of a backup as text.
pub fn first_line(id: &str) -> String {
    format!("{BEGIN}{id}-----")
}

/// Returns a backup as text.
pub fn armour(id: &str, bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut text = String::with_capacity(encoded.len() + encoded.len() / 64 + 128);
    text.push_str(&first_line(id));
    text.push('\n');
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// The letters of a backup as text, without what is around them.
struct Letters<R> {
    from: R,
    ended: bool,
    line: Vec<u8>,
    given: usize,
}

impl<R: BufRead> Letters<R> {
    fn next_line(&mut self) -> io::Result<()> {
        let bad = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        self.line.clear();
        self.given = 0;
        (&mut self.from).take(128).read_until(b'\n', &mut self.line)?;
        while self.line.last().is_some_and(u8::is_ascii_whitespace) {
            self.line.pop();
        }
        match self.line.as_slice() {
            b"" => bad("a line is missing"),
            line if line == END.as_bytes() => {
                if !self.from.fill_buf()?.is_empty() {
                    return bad("something follows on its last line");
                }
                self.ended = true;
                self.line.clear();
                Ok(())
            }
            line if line.len() > 64 => bad("a line is too long"),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Letters<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.line.len() && !self.ended {
            self.next_line()?;
        }
        let rest = &self.line[self.given..];
        let taken = rest.len().min(to.len());
        to[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Reads a backup as it is, or as text; then it also returns the id that the first line says.
pub(super) fn without<R: BufRead + 'static>(mut from: R) -> io::Result<(Option<String>, Box<dyn Read>)> {
    if !from.fill_buf()?.starts_with(b"-----") {
        return Ok((None, Box::new(from)));
    }
    let mut first = Vec::new();
    (&mut from).take(128).read_until(b'\n', &mut first)?;
    let first = String::from_utf8_lossy(&first);
    let Some(id) = first.strip_prefix(BEGIN).map(|rest| rest.trim_end().trim_end_matches('-').to_owned()) else {
        return Ok((None, Box::new(io::empty())));
    };
    let letters = Letters { from, ended: false, line: Vec::new(), given: 0 };
    Ok((Some(id), Box::new(DecoderReader::new(letters, &STANDARD))))
}
