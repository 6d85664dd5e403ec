//! The document in which a script answers: sections, each with a heading line and a body taken verbatim.
//!
//! A heading is a line `@BOUNDARY words...`, where the boundary is random and chosen by us for each script, so that
//! nothing a host has on its disk can be taken for one. The last section is `end`; without it the answer was cut off.

use zeroize::Zeroizing;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It stops before its end.
    #[error("it was cut off")]
    CutOff,
    /// A section that every answer of its kind has isn't there.
    #[error("it has no `{0}` section")]
    Missing(&'static str),
    /// A section can't be understood.
    #[error("its `{section}` section can't be understood: {reason}")]
    Malformed {
        /// Which section.
        section: String,
        /// Why.
        reason: String,
    },
}

/// One heading with what stands under it.
struct Section {
    heading: Vec<String>,
    body: Zeroizing<Vec<u8>>,
}

/// A complete answer. Bodies may hold secrets: they are wiped on drop and Debug shows only the headings.
pub struct Answer {
    boundary: String,
    sections: Vec<Section>,
}

impl Answer {
    /// Splits what a host sent.
    ///
    /// # Errors
    /// When the closing section is missing.
    pub fn parse(bytes: &[u8], boundary: &str) -> Result<Self, AnswerError> {
        let marker = format!("\n@{boundary} ");
        let mut starts = Vec::new();
        let mut at = 0;
        while let Some(found) = find(&bytes[at..], marker.as_bytes()) {
            starts.push(at + found);
            at += found + marker.len();
        }
        let mut sections = Vec::with_capacity(starts.len());
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
            let section = &bytes[start + marker.len()..end];
            let line = find(section, b"\n").ok_or(AnswerError::CutOff)?;
            let heading = String::from_utf8_lossy(&section[..line]).split_whitespace().map(str::to_owned).collect();
            sections.push(Section { heading, body: Zeroizing::new(section[line + 1..].to_vec()) });
        }
        match sections.last() {
            Some(last) if last.heading.first().is_some_and(|word| word == "end") => {
                Ok(Self { boundary: boundary.to_owned(), sections })
            }
            _ => Err(AnswerError::CutOff),
        }
    }

    /// Returns the boundary it was made with.
    pub(super) fn boundary(&self) -> &str {
        &self.boundary
    }

    /// Returns the body of the first section with this name, as bytes.
    pub fn bytes(&self, name: &'static str) -> Option<&[u8]> {
        self.all(name).next().map(|(_, body)| body)
    }

    /// Returns the body of the first section with this name, as text without trailing white space.
    pub fn text(&self, name: &'static str) -> Option<String> {
        self.bytes(name).map(|body| String::from_utf8_lossy(body).trim_end().to_owned())
    }

    /// Returns every section with this name: the words after the name, and the body.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = (&[String], &[u8])> {
        let named = self.sections.iter().filter(move |s| s.heading.first().is_some_and(|word| word == name));
        named.map(|s| (&s.heading[1..], s.body.as_slice()))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sections.iter().map(|s| s.heading.join(" "))).finish()
    }
}

/// Returns where `needle` begins in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(step) = haystack[at..].iter().position(|&b| b == first) {
        at += step;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bodies_are_verbatim_and_noise_before_the_first_heading_is_ignored() {
        let text = b"Welcome!\n\n@b file wg0.conf 600\nno newline at the end\n@b note\n@c not ours\n@b end\n";
        let answer = Answer::parse(text, "b").unwrap();
        assert_eq!(answer.bytes("file").unwrap(), b"no newline at the end");
        assert_eq!(answer.text("note").unwrap(), "@c not ours");
        assert_eq!(answer.all("file").next().unwrap().0, ["wg0.conf", "600"]);
    }

    #[test]
    fn an_answer_without_its_end_was_cut_off() {
        let text = b"\n@b system\nx\n@b end\n";
        assert!(Answer::parse(text, "b").is_ok());
        for cut in 0..text.len() {
            assert_eq!(Answer::parse(&text[..cut], "b").err(), Some(AnswerError::CutOff), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut text = b"\n@b ".to_vec();
            text.extend(bytes);
            let _ = Answer::parse(&text, "b");
        }
    }
}
