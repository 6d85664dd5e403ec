//! Text with keys in it.

use std::fmt::Display;
use std::io;

use zeroize::Zeroizing;

/// Text that is wiped when dropped. Growing leaves no copy behind: the old place is wiped, too.
pub(super) struct Text(Zeroizing<String>);

impl Text {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(String::with_capacity(4096)))
    }

    pub(super) fn push(&mut self, text: &str) {
        let needed = self.0.len() + text.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(2 * needed));
            larger.push_str(&self.0);
            self.0 = larger; // the smaller one is wiped as it is dropped
        }
        self.0.push_str(text);
    }

    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.push(line.as_ref());
        self.push("\n");
    }

    /// A line `key=value` with whatever stands between.
    pub(super) fn pair(&mut self, key: &str, equals: &str, value: impl AsRef<str>) {
        self.push(key);
        self.push(equals);
        self.line(value);
    }

    pub(super) fn finish(self) -> Zeroizing<String> {
        self.0
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        self.push(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Joins what can be printed.
pub(super) fn joined<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

/// Returns what stands for a name where only letters, digits and hyphens are allowed.
pub(super) fn slug(name: &str) -> String {
    let kept: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    if kept.is_empty() { "peer".to_owned() } else { kept.chars().take(48).collect() }
}

/// Returns for every peer a word of letters, digits and hyphens that no other peer has, made from its name.
pub(super) fn slugs(peers: &[crate::wg::TunnelPeer]) -> Vec<String> {
    let mut words: Vec<String> = Vec::with_capacity(peers.len());
    let mut taken = std::collections::BTreeSet::new();
    for (at, peer) in peers.iter().enumerate() {
        let mut word = peer.name.as_deref().map_or_else(|| format!("peer-{}", at + 1), slug);
        while !taken.insert(word.to_ascii_lowercase()) {
            word = format!("{word}-{}", at + 1);
        }
        words.push(word);
    }
    words
}

/// Returns one line of a text that was given by somebody: control characters become blanks.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
