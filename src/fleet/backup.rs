//! Copies of backups on hosts. They are kept as text, so that a host needs nothing but a shell to take one.

use std::path::Path;
use std::time::Duration;

use super::scripts::{ANSWER, boundary, quote};
use super::{Answer, Error, Script};
use crate::model::Host;

const BACKUP: &str = include_str!("../../templates/host/backup.sh");

/// How many bytes a second a slow line takes at least.
const SLOW: u64 = 32 << 10;

fn script((task, kind): (&str, &'static str), path: &Path, first: &str, sum: &str, content: &str) -> Script {
    let end = format!("WG_FRIEND_{}", boundary());
    let body = format!(
        "W_DO={task}\nW_FILE={}\nW_FIRST={}\nW_SUM={}\nw_content() {{\ncat <<'{end}'\n{content}{end}\n}}\n{BACKUP}",
        quote(&path.to_string_lossy()),
        quote(first),
        quote(sum),
    );
    let travel = Duration::from_secs(content.len() as u64 / SLOW);
    Script::new(kind, &boundary(), ANSWER + travel, &body)
}

/// Keeps a backup on a host and reads it back there. `text` ends with a newline; `sha256` is its digest in hexadecimal.
pub fn keep_backup(path: &Path, text: &str, sha256: &str) -> Script {
    script(("keep", "keep a backup"), path, "", sha256, text)
}

/// Drops a backup from a host, if the file there begins with this line.
pub fn drop_backup(path: &Path, first: &str) -> Script {
    script(("drop", "drop a backup"), path, first, "", "")
}

/// Sees whether a backup on a host, whose text begins with this line, still is what was written: the digest, in hexadecimal, is that
/// of the backup itself.
pub fn look_at_backup(path: &Path, first: &str, sha256: &str) -> Script {
    script(("look", "look at a backup"), path, first, sha256, "")
}

/// Reads the answer to [`look_at_backup`]: what is wrong with it, if anything is.
///
/// # Errors
/// When the host didn't look.
pub fn read_seen_backup(host: &Host, answer: &Answer) -> Result<Option<String>, Error> {
    match answer.text("failed") {
        Some(fault) => Ok(Some(fault.trim().to_owned())),
        None => read_kept_backup(host, answer).map(|()| None),
    }
}

/// Reads the answer to [`keep_backup`] and [`drop_backup`].
///
/// # Errors
/// Says what kept the host from it.
pub fn read_kept_backup(host: &Host, answer: &Answer) -> Result<(), Error> {
    let broken = |reason: &str| Err(Error::Broken { host: host.name.clone(), reason: reason.to_owned() });
    match (answer.text("failed"), answer.text("kept")) {
        (Some(reason), _) => broken(reason.trim()),
        (None, Some(_)) => Ok(()),
        (None, None) => broken("it didn't say that it was done"),
    }
}
