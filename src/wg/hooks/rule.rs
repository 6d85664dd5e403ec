//! Rules of iptables(8), whatever the order and the spelling of their options.

use std::collections::BTreeMap;

use super::split::{Beyond, Command, Word};

/// What a command does to what it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// It is there afterwards.
    Add,
    /// It is gone afterwards.
    Remove,
    /// It only asks.
    Check,
}

/// A rule: where it stands, whom it concerns and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) ipv6: bool,
    pub(super) table: String,
    pub(super) chain: String,
    /// By the long name of the option; what is said twice is joined by a blank.
    pub(super) matches: BTreeMap<&'static str, Value>,
    /// What becomes of the packet: `ACCEPT`, `MASQUERADE`, the name of a chain.
    pub(super) target: String,
    /// Options of the target.
    pub(super) how: BTreeMap<&'static str, String>,
}

/// What a packet is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    /// Whether it must not be so.
    pub(super) not: bool,
    pub(super) text: String,
}

/// What is done with a rule.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) verb: Verb,
    pub(super) rule: Rule,
}

/// Options of a match or a target: long name, short name, number of arguments, whether it is the target's.
struct Opt(&'static str, Option<u8>, u8, bool);

const OPTIONS: &[Opt] = &[
    Opt("protocol", Some(b'p'), 1, false),
    Opt("source", Some(b's'), 1, false),
    Opt("destination", Some(b'd'), 1, false),
    Opt("in-interface", Some(b'i'), 1, false),
    Opt("out-interface", Some(b'o'), 1, false),
    Opt("dport", None, 1, false),
    Opt("sport", None, 1, false),
    Opt("dports", None, 1, false),
    Opt("sports", None, 1, false),
    Opt("ports", None, 1, false),
    Opt("ctstate", None, 1, false),
    Opt("ctdir", None, 1, false),
    Opt("ctproto", None, 1, false),
    Opt("mark", None, 1, false),
    Opt("tcp-flags", None, 2, false),
    Opt("syn", None, 0, false),
    Opt("mss", None, 1, false),
    Opt("icmp-type", None, 1, false),
    Opt("icmpv6-type", None, 1, false),
    Opt("src-type", None, 1, false),
    Opt("dst-type", None, 1, false),
    Opt("src-range", None, 1, false),
    Opt("dst-range", None, 1, false),
    Opt("mac-source", None, 1, false),
    Opt("pkt-type", None, 1, false),
    Opt("uid-owner", None, 1, false),
    Opt("gid-owner", None, 1, false),
    Opt("limit", None, 1, false),
    Opt("limit-burst", None, 1, false),
    Opt("hashlimit-upto", None, 1, false),
    Opt("hashlimit-above", None, 1, false),
    Opt("hashlimit-burst", None, 1, false),
    Opt("hashlimit-mode", None, 1, false),
    Opt("hashlimit-name", None, 1, false),
    Opt("connlimit-above", None, 1, false),
    Opt("connlimit-upto", None, 1, false),
    Opt("physdev-in", None, 1, false),
    Opt("physdev-out", None, 1, false),
    Opt("physdev-is-bridged", None, 0, false),
    Opt("match-set", None, 2, false),
    Opt("dscp", None, 1, false),
    Opt("length", None, 1, false),
    Opt("ttl-eq", None, 1, false),
    Opt("rcheck", None, 0, false),
    Opt("dir", None, 1, false),
    Opt("pol", None, 1, false),
    Opt("fragment", Some(b'f'), 0, false),
    Opt("to-destination", None, 1, true),
    Opt("to-source", None, 1, true),
    Opt("to-ports", None, 1, true),
    Opt("to", None, 1, true),
    Opt("random", None, 0, true),
    Opt("random-fully", None, 0, true),
    Opt("persistent", None, 0, true),
    Opt("set-mark", None, 1, true),
    Opt("set-xmark", None, 1, true),
    Opt("or-mark", None, 1, true),
    Opt("and-mark", None, 1, true),
    Opt("xor-mark", None, 1, true),
    Opt("save-mark", None, 0, true),
    Opt("restore-mark", None, 0, true),
    Opt("nfmask", None, 1, true),
    Opt("ctmask", None, 1, true),
    Opt("clamp-mss-to-pmtu", None, 0, true),
    Opt("set-mss", None, 1, true),
    Opt("reject-with", None, 1, true),
    Opt("log-prefix", None, 1, true),
    Opt("log-level", None, 1, true),
    Opt("set-dscp", None, 1, true),
    Opt("set-dscp-class", None, 1, true),
    Opt("ttl-set", None, 1, true),
    Opt("ttl-inc", None, 1, true),
    Opt("on-port", None, 1, true),
    Opt("on-ip", None, 1, true),
    Opt("tproxy-mark", None, 1, true),
    Opt("zone", None, 1, true),
];

/// Other spellings of the same.
const ALIASES: &[(&str, &str)] = &[
    ("proto", "protocol"),
    ("src", "source"),
    ("dst", "destination"),
    ("destination-port", "dport"),
    ("source-port", "sport"),
    ("destination-ports", "dports"),
    ("source-ports", "sports"),
    ("state", "ctstate"),
    ("fragments", "fragment"),
];

/// What an iptables command line says, before it is a rule.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The letter of its command: `A`, `I`, `D`, `C`, `N`, `F`, `P` ...
    pub(super) command: Option<u8>,
    pub(super) chain: Option<String>,
    /// A position (`-I FORWARD 1`), a policy, a new name.
    pub(super) extra: Option<String>,
    pub(super) table: Option<String>,
    pub(super) target: Option<String>,
    matches: BTreeMap<&'static str, Value>,
    how: BTreeMap<&'static str, String>,
}

/// Commands: the letter, the long name, how many arguments it has and how many more it may have.
const COMMANDS: &[(u8, &str, usize, usize)] = &[
    (b'A', "append", 1, 0),
    (b'I', "insert", 1, 1),
    (b'D', "delete", 1, 1),
    (b'C', "check", 1, 0),
    (b'R', "replace", 2, 0),
    (b'N', "new-chain", 1, 0),
    (b'N', "new", 1, 0),
    (b'X', "delete-chain", 0, 1),
    (b'F', "flush", 0, 1),
    (b'Z', "zero", 0, 1),
    (b'P', "policy", 2, 0),
    (b'E', "rename-chain", 2, 0),
    (b'L', "list", 0, 1),
    (b'S', "list-rules", 0, 1),
];

/// Returns whether a program is iptables, and if so whether for IPv6.
pub(super) fn family(program: &str) -> Option<bool> {
    match program.strip_suffix("-nft").or_else(|| program.strip_suffix("-legacy")).unwrap_or(program) {
        "iptables" => Some(false),
        "ip6tables" => Some(true),
        _ => None,
    }
}

/// Returns a program's name without the directory it is usually in.
pub(super) fn program(word: &str) -> &str {
    ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/sbin/", "/usr/local/bin/"]
        .iter()
        .find_map(|directory| word.strip_prefix(directory))
        .unwrap_or(word)
}

/// Reads a command as a change of a rule; `None` when it is something else.
///
/// An argument may be what bash works out (`--mark $(wg show wg0 fwmark)`): then it stands as written.
pub(super) fn read(command: &Command) -> Option<Change> {
    if !matches!(command.beyond, None | Some((Beyond::Substitution | Beyond::Variable, _))) {
        return None;
    }
    let (first, arguments) = command.words.split_first()?;
    let ipv6 = family(program(&first.text))?;
    change(arguments, ipv6).ok()
}

fn change(arguments: &[Word], ipv6: bool) -> Result<Change, usize> {
    let line = parse(arguments)?;
    let (Some(command), Some(chain)) = (line.command, line.chain) else { return Err(0) };
    let verb = match (command, &line.extra) {
        (b'A', None) | (b'I', _) => Verb::Add,
        (b'D', None) => Verb::Remove,
        (b'C', None) => Verb::Check,
        _ => return Err(0),
    };
    let rule = Rule {
        ipv6,
        table: line.table.unwrap_or_else(|| "filter".to_owned()),
        chain,
        matches: line.matches,
        target: line.target.unwrap_or_default(),
        how: line.how,
    };
    Ok(Change { verb, rule })
}

/// Reads the arguments of iptables; the error is the index of the first that isn't known. `--modprobe`, abbreviations
/// and whatever else isn't in the tables are not known.
pub(super) fn parse(arguments: &[Word]) -> Result<Line, usize> {
    let words = arguments.iter().map(|word| word.text.as_str()).collect();
    let mut arguments = Arguments { words, at: 0, attached: None };
    let mut line = Line::default();
    let mut not = false;
    while let Some(word) = arguments.next() {
        let here = arguments.at - 1;
        if word == "!" {
            not = true;
            continue;
        }
        let (name, attached) = option(word).ok_or(here)?;
        arguments.attached = attached;
        line.take(name, not, &mut arguments).ok_or(here)?;
        if arguments.attached.is_some() {
            return Err(here); // an argument for an option that takes none
        }
        not = false;
    }
    Ok(line)
}

/// The words of a command line, from left to right.
struct Arguments<'a> {
    words: Vec<&'a str>,
    at: usize,
    /// An argument written together with its option.
    attached: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.attached.take().or_else(|| {
            let word = self.words.get(self.at).copied();
            self.at += 1;
            word
        })
    }

    fn peek(&self) -> Option<&'a str> {
        self.attached.or_else(|| self.words.get(self.at).copied())
    }

    fn value(&mut self) -> Option<String> {
        self.next().map(str::to_owned)
    }
}

/// An option, by its letter or its long name.
#[derive(Clone, Copy)]
enum Name<'a> {
    Short(u8),
    Long(&'a str),
}

impl Name<'_> {
    fn is(self, letter: u8, long: &str) -> bool {
        match self {
            Self::Short(byte) => byte == letter,
            Self::Long(name) => name == long,
        }
    }
}

impl Line {
    /// Returns the protocol that a packet has to have, or not to have.
    pub(super) fn protocol(&self) -> Option<&str> {
        self.matches.get("protocol").map(|value| value.text.as_str())
    }

    /// Takes one option with its arguments; `None` when it isn't known.
    fn take(&mut self, name: Name<'_>, not: bool, arguments: &mut Arguments<'_>) -> Option<()> {
        if let Some(&(letter, _, least, more)) = COMMANDS.iter().find(|(letter, long, ..)| name.is(*letter, long)) {
            let mut given = Vec::new();
            while given.len() < least + more {
                let none = arguments.peek().is_none_or(|word| word.starts_with(['-', '!']));
                if given.len() >= least && none {
                    break;
                }
                given.push(arguments.value()?);
            }
            let mut given = given.into_iter();
            (self.chain, self.extra) = (given.next(), given.next());
            return self.command.replace(letter).is_none().then_some(());
        }
        if name.is(b't', "table") {
            self.table = Some(arguments.value()?);
        } else if name.is(b'j', "jump") || name.is(b'g', "goto") {
            self.target = Some(arguments.value()?);
        } else if name.is(b'm', "match") {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            arguments.next().filter(|module| module.bytes().all(plain))?;
        } else if name.is(b'w', "wait") || name.is(b'W', "wait-interval") {
            if arguments.peek().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
                arguments.next()?;
            }
        } else if name.is(0, "comment") {
            arguments.next()?;
        } else if !SILENT.iter().any(|(letter, long)| name.is(*letter, long)) {
            self.option(name, not, arguments)?;
        }
        Some(())
    }

    fn option(&mut self, name: Name<'_>, mut not: bool, arguments: &mut Arguments<'_>) -> Option<()> {
        let Opt(long, _, count, is_targets) = OPTIONS.iter().find(|option| name.is(option.1.unwrap_or(0), option.0))?;
        if *count > 0 && arguments.peek() == Some("!") {
            arguments.next()?; // as it was written before iptables 1.4.3
            not = true;
        }
        let values: Option<Vec<String>> = (0..*count).map(|_| arguments.value()).collect();
        let text = canonical(long, values?.join(" "));
        if *is_targets {
            self.how.insert(long, text);
        } else {
            let again = |value: &mut Value| value.text = format!("{} {text}", value.text);
            self.matches.entry(long).and_modify(again).or_insert_with(|| Value { not, text: text.clone() });
        }
        Some(())
    }
}

/// Options that change nothing about the rule.
const SILENT: &[(u8, &str)] = &[(b'n', "numeric"), (b'v', "verbose"), (b'4', "ipv4"), (b'6', "ipv6")];

/// Takes an option apart: its name, and an argument written together with it.
fn option(word: &str) -> Option<(Name<'_>, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        return (!name.is_empty()).then_some((Name::Long(name), value));
    }
    let rest = word.strip_prefix('-')?;
    let letter = *rest.as_bytes().first().filter(|byte| byte.is_ascii())?;
    Some((Name::Short(letter), Some(&rest[1..]).filter(|rest| !rest.is_empty())))
}

/// One spelling for what means the same.
fn canonical(name: &str, text: String) -> String {
    match name {
        "ctstate" => {
            let mut states: Vec<String> = text.split(',').map(str::to_ascii_uppercase).collect();
            states.sort_unstable();
            states.join(",")
        }
        "protocol" => text.to_ascii_lowercase(),
        "tcp-flags" => {
            let list = |flags: &str| {
                let mut flags: Vec<&str> = flags.split(',').collect();
                flags.sort_unstable();
                flags.join(",")
            };
            text.split(' ').map(list).collect::<Vec<_>>().join(" ")
        }
        _ => text,
    }
}

impl Rule {
    /// Returns what a packet is compared with, when it has to be so.
    pub(super) fn is(&self, name: &str) -> Option<&str> {
        self.matches.get(name).filter(|value| !value.not).map(|value| value.text.as_str())
    }

    /// Returns what a packet is compared with.
    pub(super) fn compares(&self, name: &str) -> Option<&Value> {
        self.matches.get(name)
    }

    /// Whether the rule asks for nothing beyond these, by their long names.
    pub(super) fn asks_only(&self, names: &[&str]) -> bool {
        self.matches.iter().all(|(name, value)| names.contains(name) && !value.not)
    }

    /// Whether it stands there.
    pub(super) fn stands_in(&self, table: &str, chain: &str) -> bool {
        self.table == table && self.chain == chain
    }
}
