//! Keys that hosts make for themselves: only the public half ever leaves them.

use crate::model::PublicKey;

use super::answer::{Answer, AnswerError};
use super::scripts::{ANSWER, Script, boundary, quote};

const KEY: &str = include_str!("../../templates/host/key.sh");

/// Has a host make a private key and keep it. `keep`: the names of such files that are in use there; others go.
pub fn make_key(keep: &[String]) -> Script {
    let body = format!("W_IFACES=\nW_SYSCTLS=\nW_TABLES=\nW_FILES=\nW_KEEP={}\n{KEY}", quote(&keep.join(" ")));
    Script::new("key", &boundary(), ANSWER, &body)
}

/// Reads the public half of the key that was made, or why none was.
///
/// # Errors
/// When the answer can't be understood.
pub fn read_made_key(answer: &Answer) -> Result<Result<PublicKey, String>, AnswerError> {
    if let Some((_, why)) = answer.all("failed").next() {
        return Ok(Err(String::from_utf8_lossy(why).trim().to_owned()));
    }
    let (words, _) = answer.all("made").next().ok_or(AnswerError::Missing("made"))?;
    let malformed = || AnswerError::Malformed { section: "made".to_owned(), reason: "no public key".to_owned() };
    words.first().and_then(|word| word.parse().ok()).map(Ok).ok_or_else(malformed)
}
