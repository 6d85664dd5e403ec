//! What hooks may do with packet filters and their front ends.

use super::super::rule;
use super::super::split::Word;
use super::{is_of, is_own_file};

/// The number of a word, and what is wrong with it.
type Wrong = (usize, &'static str);

const OPTION: &str = "an option that hooks may not use";
const ACTION: &str = "an action that hooks may not take";
const NAME: &str = "no name of a table, a chain or a target";
const EVERYTHING: &str = "takes away rules of others too";
const FILE: &str = "a file outside of /etc/wireguard";

pub(super) fn iptables(arguments: &[Word]) -> Result<(), Wrong> {
    let texts = || arguments.iter().map(|word| word.text.as_str());
    let of =
        |text: Option<&String>| texts().position(|word| text.is_some_and(|text| word.ends_with(text))).unwrap_or(0);
    let line = rule::parse(arguments).map_err(|word| (word, OPTION))?;
    match line.command {
        Some(b'A' | b'I' | b'D' | b'C' | b'R' | b'N' | b'L' | b'S') => {}
        Some(b'F' | b'X') if line.chain.is_some() => {}
        Some(b'F' | b'X' | b'Z') => return Err((0, EVERYTHING)),
        Some(b'P') => return Err((of(line.chain.as_ref()), "changes what becomes of everybody's packets")),
        _ => return Err((0, ACTION)),
    }
    let name = |text: &Option<String>| text.as_ref().is_none_or(|text| is_of(text, b"_.:+=-"));
    for text in [&line.table, &line.chain, &line.target] {
        if !name(text) {
            return Err((of(text.as_ref()), NAME));
        }
    }
    match line.protocol() {
        Some(protocol) if !is_of(protocol, b"-") => Err((of(Some(&protocol.to_owned())), NAME)),
        _ => Ok(()),
    }
}

pub(super) fn nft(words: &[&str]) -> Result<(), Wrong> {
    if let ["-f" | "--file", rest @ ..] = words {
        return match rest {
            [file] if is_own_file(file) => Ok(()),
            [_] => Err((1, FILE)),
            _ => Err((2.min(words.len() - 1), OPTION)),
        };
    }
    for (index, word) in words.iter().enumerate() {
        if word.starts_with('-') && !word[1..].trim_end_matches(';').bytes().all(|byte| byte.is_ascii_digit()) {
            return Err((index, OPTION));
        }
        // An included file may say anything.
        if word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|token| token == "include") {
            return Err((index, FILE));
        }
    }
    statements(words)
}

/// What nft says is read as one text. Each statement outside of braces begins with what it does.
fn statements(words: &[&str]) -> Result<(), Wrong> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut statement = String::new();
    let mut begun = 0;
    for (index, word) in words.iter().enumerate() {
        for character in word.chars().chain([' ']) {
            match character {
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth = depth.checked_sub(1).ok_or((index, ACTION))?,
                ';' if !quoted && depth == 0 => {
                    known(&statement).map_err(|reason| (begun, reason))?;
                    statement.clear();
                    continue;
                }
                _ => {}
            }
            if statement.trim().is_empty() {
                begun = index;
            }
            statement.push(character);
        }
    }
    if statement.trim().is_empty() && !words.is_empty() {
        return Ok(());
    }
    known(&statement).map_err(|reason| (begun, reason))
}

fn known(statement: &str) -> Result<(), &'static str> {
    let mut words = statement.split_whitespace();
    match (words.next(), words.next()) {
        (Some("flush" | "delete" | "destroy" | "reset"), Some("ruleset")) => Err(EVERYTHING),
        (
            Some("add" | "create" | "delete" | "destroy" | "insert" | "replace" | "flush" | "list" | "table"),
            Some(_),
        ) => Ok(()),
        _ => Err(ACTION),
    }
}

pub(super) fn ufw(words: &[&str]) -> Result<(), Wrong> {
    let from = usize::from(words.first() == Some(&"--force"));
    let actions = ["allow", "deny", "reject", "limit", "delete", "insert", "prepend", "route"];
    if !words.get(from).is_some_and(|action| actions.contains(action)) {
        return Err((from, ACTION));
    }
    let wrong = |word: &str| word.starts_with('-') || !is_of(word, b"_.:,/ +-");
    match words.iter().skip(from).position(|word| wrong(word)) {
        Some(index) => Err((from + index, OPTION)),
        None => Ok(()),
    }
}

pub(super) fn firewall_cmd(words: &[&str]) -> Result<(), Wrong> {
    const THINGS: [&str; 11] = [
        "interface",
        "source",
        "port",
        "protocol",
        "source-port",
        "service",
        "masquerade",
        "forward",
        "forward-port",
        "rich-rule",
        "icmp-block",
    ];
    let known = |word: &str| {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let changes = ["--add-", "--remove-", "--query-"].iter().find_map(|verb| name.strip_prefix(verb));
        let fits = value.is_none_or(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        match name {
            "--permanent" | "-q" | "--quiet" => value.is_none(),
            "--zone" | "--policy" | "--timeout" => value.is_some_and(|value| is_of(value, b"_.-")),
            _ => fits && changes.is_some_and(|thing| THINGS.contains(&thing)),
        }
    };
    match words.iter().position(|word| !known(word)) {
        Some(index) => Err((index, OPTION)),
        None if words.is_empty() => Err((0, ACTION)),
        None => Ok(()),
    }
}
