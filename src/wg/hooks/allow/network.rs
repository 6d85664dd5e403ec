//! What hooks may do with the programs of iproute2, wireguard-tools, procps, systemd and util-linux.

use super::{is_of, is_own_file};

/// The number of a word, and what is wrong with it.
type Wrong = (usize, &'static str);

const OPTION: &str = "an option that hooks may not use";
const ACTION: &str = "an action that hooks may not take";
const WORD: &str = "not a word that hooks may use here";
const FILE: &str = "a file outside of /etc/wireguard";
const PROGRAM: &str = "loads or runs another program";
const NAMESPACE: &str = "leads into another network namespace";

/// Finds the first word that isn't one.
fn first_wrong(words: &[&str], from: usize, wrong: impl Fn(&str) -> Option<&'static str>) -> Result<(), Wrong> {
    match words.iter().enumerate().skip(from).find_map(|(index, word)| Some((index, wrong(word)?))) {
        Some(wrong) => Err(wrong),
        None => Ok(()),
    }
}

/// Words of iproute2: names, numbers, addresses, and prefixes or masks with one slash. Names of plug-ins have no slash, so
/// they lead to nothing but iproute2's own.
fn plain(word: &str) -> Option<&'static str> {
    let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'x';
    let number = |text: &str| {
        let plain = text.bytes().all(|byte| digit(byte) || matches!(byte, b'.' | b':'));
        plain && (text == "::" || text.bytes().any(digit)) && !text.contains("..")
    };
    let fits = match word.split_once('/') {
        Some((left, right)) => number(left) && number(right),
        None => is_of(word, b"_.:%+=@,-") && (!word.starts_with('-') || word[1..].bytes().all(|b| b.is_ascii_digit())),
    };
    (!fits).then_some(WORD)
}

pub(super) fn ip(words: &[&str]) -> Result<(), Wrong> {
    let at = words.iter().take_while(|word| word.starts_with('-')).count();
    first_wrong(&words[..at], 0, |option| {
        (!matches!(option, "-4" | "-6" | "-s" | "-d" | "-o" | "-br")).then_some(OPTION)
    })?;
    let objects = ["l", "link", "a", "addr", "address", "r", "ro", "route", "ru", "rule", "n", "neigh", "neighbour"];
    match words.get(at) {
        None => return Err((at, ACTION)),
        Some(&"netns") => return Err((at, NAMESPACE)),
        Some(object) if !objects.contains(object) => return Err((at, ACTION)),
        Some(_) => {}
    }
    let actions = [
        "add", "a", "append", "prepend", "replace", "change", "del", "delete", "d", "flush", "show", "list", "ls",
        "get", "set",
    ];
    if words.get(at + 1).is_some_and(|action| !actions.contains(action)) {
        return Err((at + 1, ACTION));
    }
    first_wrong(words, at + 1, |word| match word {
        "netns" | "vrf" => Some(NAMESPACE),
        "bpf" | "encap" | "exec" => Some(PROGRAM),
        word if word.starts_with("xdp") || word.starts_with("obj") || word.starts_with("pinned") => Some(PROGRAM),
        word => plain(word),
    })
}

pub(super) fn tc(words: &[&str]) -> Result<(), Wrong> {
    match words.first() {
        Some(&"qdisc" | &"class" | &"filter") => {}
        Some(&"exec") => return Err((0, PROGRAM)),
        _ => return Err((0, ACTION)),
    }
    let actions = ["add", "replace", "change", "del", "delete", "show", "list", "ls"];
    if !words.get(1).is_some_and(|action| actions.contains(action)) {
        return Err((1, ACTION));
    }
    first_wrong(words, 2, |word| match word {
        "bpf" | "exec" | "xt" | "ipt" => Some(PROGRAM),
        "distribution" | "export" => Some(FILE),
        word if word.starts_with("obj") || word.starts_with("pinned") => Some(PROGRAM),
        word => plain(word),
    })
}

pub(super) fn wg(words: &[&str]) -> Result<(), Wrong> {
    match words.first() {
        Some(&"set") => {}
        Some(&"show") => {
            return first_wrong(words, 1, |word| match word {
                "private-key" | "preshared-keys" | "dump" => Some("shows keys to whoever reads the log"),
                word => plain(word),
            });
        }
        _ => return Err((0, ACTION)),
    }
    if words.get(1).is_none_or(|interface| plain(interface).is_some()) {
        return Err((1, WORD));
    }
    let mut at = 2;
    while let Some(word) = words.get(at) {
        let value = words.get(at + 1);
        let fits = |allowed: fn(&str) -> bool| value.is_some_and(|value| allowed(value));
        let ok = match *word {
            "remove" => {
                at += 1;
                continue;
            }
            "private-key" | "preshared-key" if !fits(|file| file == "/dev/null" || is_own_file(file)) => {
                return Err((at + 1, FILE));
            }
            "private-key" | "preshared-key" => true,
            "listen-port" | "fwmark" | "persistent-keepalive" => fits(|value| is_of(value, b"")),
            "peer" => fits(|value| is_of(value, b"+/=")),
            "endpoint" => fits(|value| is_of(value, b".:-[]%_")),
            "allowed-ips" => fits(|value| value.is_empty() || is_of(value, b".:/,+-")),
            _ => return Err((at, WORD)),
        };
        if !ok {
            return Err((at + 1, WORD));
        }
        at += 2;
    }
    Ok(())
}

/// Only settings of the network, and only one by one.
pub(super) fn sysctl(words: &[&str]) -> Result<(), Wrong> {
    first_wrong(words, 0, |word| match word {
        "-w" | "-q" | "-qw" | "-wq" | "-e" | "-n" | "--write" | "--quiet" => None,
        word if word.starts_with('-') => Some(OPTION),
        word => {
            // Dots and slashes may each part a name or be part of it: neither may lead upwards, whichever way.
            let key = word.split_once('=').map_or(word, |(key, _)| key);
            let parts: Vec<&str> = key.split(['.', '/']).collect();
            let net = parts.len() > 1 && parts[0] == "net" && parts.iter().all(|part| is_of(part, b"_-+"));
            (!net).then_some("a kernel setting that isn't one of net.*")
        }
    })
}

pub(super) fn resolvectl(words: &[&str]) -> Result<(), Wrong> {
    let actions = [
        "dns",
        "domain",
        "default-route",
        "revert",
        "llmnr",
        "mdns",
        "dnssec",
        "dnsovertls",
        "nta",
        "flush-caches",
        "reset-statistics",
    ];
    if !words.first().is_some_and(|action| actions.contains(action)) {
        return Err((0, ACTION));
    }
    first_wrong(words, 1, |word| {
        (word.starts_with('-') || !word.is_empty() && !is_of(word, b"_.:%+=@~#-")).then_some(WORD)
    })
}

/// A message is anything that is printed; an option that reads a file or sends elsewhere is none.
pub(super) fn logger(words: &[&str]) -> Result<(), Wrong> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match *word {
            "--" => return Ok(()),
            "-t" | "-p" if words.get(at + 1).is_some_and(|value| is_of(value, b"_.-")) => at += 1,
            "-t" | "-p" => return Err((at + 1, WORD)),
            "-i" | "-s" => {}
            word if word.starts_with('-') => return Err((at, OPTION)),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}
