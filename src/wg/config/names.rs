//! Names in comments: how people and tools write down what a peer is called.

use super::syntax::is_blank;

/// As long as a name taken from a comment may be.
const LIMIT: usize = 30;

/// Words that a tool or a person puts before a name, with `:` or `=` between.
const TAGS: &[&str] = &[
    "name",
    "friendly_name",
    "friendly-name",
    "friendlyname",
    "friendly name",
    "hostname",
    "host",
    "client",
    "client name",
    "user",
    "username",
    "device",
    "device name",
    "peer",
    "peer name",
    "node",
    "server",
    "label",
    "alias",
    "description",
    "desc",
];

/// Words that stand directly before a name.
const BEFORE: &[&str] = &["client", "peer", "user", "device", "host", "node", "name", "begin_peer", "begin"];

/// Words with which sentences begin, and headings; none of them is a name.
const NO_NAMES: &[&str] = &[
    "a",
    "add",
    "added",
    "all",
    "allow",
    "allowed",
    "an",
    "and",
    "any",
    "as",
    "at",
    "auto",
    "automatically",
    "be",
    "below",
    "by",
    "can",
    "change",
    "check",
    "client",
    "clients",
    "comment",
    "config",
    "configuration",
    "configure",
    "created",
    "date",
    "default",
    "define",
    "deleted",
    "disable",
    "disabled",
    "do",
    "don't",
    "dont",
    "each",
    "edit",
    "email",
    "enable",
    "enabled",
    "end",
    "endpoint",
    "example",
    "expires",
    "file",
    "fix",
    "fixme",
    "for",
    "forward",
    "from",
    "generated",
    "here",
    "how",
    "http",
    "https",
    "id",
    "if",
    "in",
    "interface",
    "internal",
    "is",
    "it",
    "its",
    "keep",
    "key",
    "last",
    "leave",
    "list",
    "local",
    "made",
    "make",
    "managed",
    "my",
    "network",
    "new",
    "no",
    "not",
    "note",
    "notes",
    "nothing",
    "of",
    "old",
    "on",
    "one",
    "only",
    "optional",
    "or",
    "other",
    "our",
    "peer",
    "peers",
    "persistent",
    "please",
    "private",
    "public",
    "remote",
    "remove",
    "removed",
    "required",
    "route",
    "routes",
    "run",
    "section",
    "see",
    "server",
    "set",
    "settings",
    "should",
    "some",
    "split",
    "temporary",
    "test",
    "that",
    "the",
    "their",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "todo",
    "traffic",
    "tunnel",
    "uncomment",
    "unused",
    "update",
    "updated",
    "use",
    "used",
    "uses",
    "using",
    "vpn",
    "warning",
    "was",
    "we",
    "when",
    "where",
    "which",
    "will",
    "wireguard",
    "with",
    "without",
    "you",
    "your",
];

/// Reads a comment that is there for the name: `Name = x`, `Client: x`, `Client x`, `BEGIN_PEER x`, `begin x`.
pub(super) fn tagged(text: &str) -> Option<String> {
    if let Some((tag, value)) = text.split_once([':', '=']) {
        let tag = tag.trim().to_lowercase();
        if TAGS.contains(&tag.as_str()) {
            // wg-easy puts an identity in brackets behind the name.
            return joined(value.split(" (").next().unwrap_or(value));
        }
        return None;
    }
    let mut words = text.split_whitespace();
    let (before, name) = (words.next()?.to_lowercase(), words.next()?);
    if words.next().is_some() || !BEFORE.contains(&before.as_str()) {
        return None;
    }
    match before.as_str() {
        "begin" | "begin_peer" => plain(name),
        _ if name.bytes().all(|b| b.is_ascii_digit()) => Some(format!("{before}-{name}")),
        _ => first_word(name),
    }
}

/// Reads what wg-friend writes above an interface: `NAME, public key KEY`.
pub(super) fn with_key(text: &str) -> Option<String> {
    let (name, key) = text.split_once(", public key ")?;
    key.parse::<crate::model::PublicKey>().ok()?;
    first_word(name)
}

/// Returns the first word of a text if it can be a name.
pub(super) fn first_word(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    let word = text.trim_start_matches(|c: char| !c.is_alphanumeric()).split_whitespace().next()?;
    // `Jc = 4` says something about `Jc`.
    let rest = text[text.find(word)? + word.len()..].trim_start();
    if word.contains('=') || rest.starts_with('=') {
        return None;
    }
    // Of a host name the first label, of an address of mail who it is.
    let end = word.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(word.len());
    // As the image of linuxserver.io writes them.
    let bare = word[..end].strip_prefix("peer_").unwrap_or(&word[..end]);
    let name = plain(bare)?;
    let spoken = word.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let banned = [name.to_lowercase(), spoken].iter().any(|word| NO_NAMES.contains(&word.as_str()));
    (!banned).then_some(name)
}

/// Makes one name of all words; of a host name the first label.
fn joined(text: &str) -> Option<String> {
    let text = text.trim();
    let is_host = text.contains('.') && !text.contains(is_blank);
    let text = if is_host { text.split('.').next().unwrap_or(text) } else { text };
    let words: Vec<String> = text.split_whitespace().filter_map(plain).collect();
    plain(&words.join("-"))
}

/// Returns a word in the letters of host names; `None` if nothing of it is left, or only digits.
fn plain(word: &str) -> Option<String> {
    let mut name = String::new();
    for c in word.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c),
            '-' | '_' | '.' | '/' | '@' | '+' if !name.ends_with('-') => name.push('-'),
            'ä' | 'æ' => name.push_str("ae"),
            'ö' | 'ø' | 'œ' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'Ä' | 'Æ' => name.push_str("Ae"),
            'Ö' | 'Ø' | 'Œ' => name.push_str("Oe"),
            'Ü' => name.push_str("Ue"),
            'ß' => name.push_str("ss"),
            'à'..='å' => name.push('a'),
            'ç' => name.push('c'),
            'è'..='ë' => name.push('e'),
            'ì'..='ï' => name.push('i'),
            'ñ' => name.push('n'),
            'ò'..='õ' => name.push('o'),
            'ù'..='û' => name.push('u'),
            _ => {}
        }
    }
    name.truncate(LIMIT);
    let name = name.trim_matches('-');
    (name.bytes().any(|b| b.is_ascii_alphabetic())).then(|| name.to_owned())
}
