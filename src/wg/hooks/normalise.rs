//! What a command does, whatever the order and the spelling of its words.

use super::rule::{self, Rule, Verb, program};
use super::split::{Beyond, Command, Word};

/// What commands in hooks set up and take down. Equal values are the same thing on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    /// A rule of iptables.
    Rule(Rule),
    /// The kernel passes packets on from one interface to another.
    Forwarding { ipv6: bool, key: String },
    /// A rule of policy routing, by its selectors, sorted.
    PolicyRule { family: Family, selectors: Vec<(String, String)> },
    /// A route.
    Route { family: Family, to: String, via: Option<String>, dev: Option<String>, table: Option<String> },
    /// An address of an interface.
    Address { address: String, dev: String, peer: Option<String> },
    /// A private or preshared key, read from a file.
    Key { file: String },
    /// What a front end of the firewall is told.
    FrontEnd { program: String, words: Vec<String> },
    /// A table of nftables.
    Table { name: String },
    /// A file with rules for nftables.
    TableFile { file: String },
    /// How fast an interface sends.
    Shaping { dev: String },
    /// Name servers of an interface.
    Names { dev: String },
    /// A program of somebody's own.
    Script { path: String },
}

/// Of which kind addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Either,
    V4,
    V6,
}

/// What a command does to a thing. `None` as verb: what it does follows from when it runs.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub(super) verb: Option<Verb>,
    pub(super) thing: Thing,
}

impl Act {
    fn new(verb: impl Into<Option<Verb>>, thing: Thing) -> Option<Self> {
        Some(Self { verb: verb.into(), thing })
    }
}

/// Reads a command; `None` when it isn't known what it does.
pub(super) fn read(command: &Command) -> Option<Act> {
    // Arguments may be what bash works out: then they stand as written.
    let readable = |beyond| {
        matches!(beyond, Beyond::Substitution | Beyond::Variable | Beyond::Glob | Beyond::Tilde | Beyond::Brace)
    };
    if command.beyond.as_ref().is_some_and(|(beyond, _)| !readable(*beyond)) {
        return None;
    }
    let (first, rest) = command.words.split_first()?;
    let words: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
    if let Some(act) = forwarding_by_file(command, &first.text, &words) {
        return Some(act);
    }
    if command.redirects.iter().any(|redirect| !discards(redirect.operator, &redirect.target.text)) {
        return None;
    }
    let name = program(&first.text);
    match name {
        "sysctl" => sysctl(&words),
        "ip" => ip(&words),
        "wg" => wg(&words),
        "nft" => nft(&words),
        "tc" => tc(&words),
        "ufw" => ufw(&words),
        "firewall-cmd" => firewall_cmd(&words),
        "resolvectl" | "resolvconf" | "systemd-resolve" => names(name, &words),
        _ if rule::family(name).is_some() => {
            let change = rule::read(command)?;
            (change.verb != Verb::Check).then_some(Act { verb: Some(change.verb), thing: Thing::Rule(change.rule) })
        }
        _ => script(first, rest),
    }
}

/// Whether a redirection throws output away, or sends it where the other output goes.
pub(super) fn discards(operator: &str, target: &str) -> bool {
    match operator {
        ">" | ">>" | "&>" | "&>>" | ">|" => target == "/dev/null",
        ">&" => matches!(target, "1" | "2" | "/dev/null"),
        _ => false,
    }
}

const FORWARDING: &[(&str, bool)] = &[
    ("net.ipv4.ip_forward", false),
    ("net.ipv4.conf.all.forwarding", false),
    ("net.ipv6.conf.all.forwarding", true),
    ("net.ipv6.conf.default.forwarding", true),
];

fn forwarding(key: &str, value: &str) -> Option<Act> {
    let key = key.replace('/', ".");
    let (_, ipv6) = FORWARDING.iter().find(|(known, _)| *known == key)?;
    let verb = match value {
        "1" => Verb::Add,
        "0" => Verb::Remove,
        _ => return None,
    };
    Act::new(verb, Thing::Forwarding { ipv6: *ipv6, key })
}

fn sysctl(words: &[&str]) -> Option<Act> {
    let mut rest =
        words.iter().filter(|word| !matches!(**word, "-w" | "-q" | "-qw" | "-wq" | "-e" | "--write" | "--quiet"));
    let (key, value) = rest.next()?.split_once('=')?;
    if rest.next().is_some() {
        return None;
    }
    forwarding(key, value)
}

/// `echo 1 > /proc/sys/net/ipv4/ip_forward`
fn forwarding_by_file(command: &Command, program: &str, words: &[&str]) -> Option<Act> {
    let ("echo", [value], [redirect]) = (program, words, command.redirects.as_slice()) else { return None };
    let key = redirect.target.text.strip_prefix("/proc/sys/")?;
    if redirect.operator != ">" || redirect.descriptor.is_some_and(|number| number != 1) || command.beyond.is_some() {
        return None;
    }
    forwarding(key, value)
}

fn ip(words: &[&str]) -> Option<Act> {
    let mut family = Family::Either;
    let mut at = 0;
    while let Some(option) = words.get(at).filter(|word| word.starts_with('-')) {
        match *option {
            "-4" => family = Family::V4,
            "-6" => family = Family::V6,
            _ => return None,
        }
        at += 1;
    }
    let (object, verb, rest) = (words.get(at)?, words.get(at + 1)?, words.get(at + 2..)?);
    let verb = match *verb {
        "add" | "a" | "append" | "replace" | "change" | "prepend" => Verb::Add,
        "del" | "delete" | "d" | "flush" => Verb::Remove,
        _ => return None,
    };
    match *object {
        "a" | "addr" | "address" => address(verb, rest),
        "r" | "ro" | "route" => route(verb, family, rest),
        "ru" | "rule" => {
            let selectors = policy_rule(rest)?;
            Act::new(verb, Thing::PolicyRule { family, selectors })
        }
        _ => None,
    }
}

fn address(verb: Verb, words: &[&str]) -> Option<Act> {
    let (mut address, mut dev, mut peer) = (None, None, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "dev" => dev = rest.next(),
            "peer" | "remote" => peer = rest.next(),
            "local" => address = rest.next(),
            "scope" | "broadcast" | "brd" | "label" | "metric" => drop(rest.next()?),
            "nodad" | "noprefixroute" => {}
            _ if address.is_none() => address = Some(word),
            _ => return None,
        }
    }
    let text = |word: &&str| (*word).to_owned();
    Act::new(verb, Thing::Address { address: text(address?), dev: text(dev?), peer: peer.map(text) })
}

fn route(verb: Verb, family: Family, words: &[&str]) -> Option<Act> {
    let (mut to, mut via, mut dev, mut table) = (None, None, None, None);
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        match word {
            "via" => {
                let next = rest.next()?;
                via = if matches!(next, "inet" | "inet6") { rest.next() } else { Some(next) };
            }
            "dev" | "oif" => dev = Some(rest.next()?),
            "table" => table = Some(rest.next()?),
            "to" => to = Some(rest.next()?),
            "src" | "metric" | "proto" | "protocol" | "scope" | "mtu" | "advmss" | "preference" | "pref" | "tos"
            | "type" | "weight" => drop(rest.next()?),
            "onlink" | "unicast" | "exact" | "root" => {}
            "blackhole" | "unreachable" | "prohibit" | "throw" => dev = Some(word),
            _ if to.is_none() && !word.starts_with('-') => to = Some(word),
            _ => return None,
        }
    }
    let text = |word: &str| word.to_owned();
    let to = match to {
        Some("0/0" | "0.0.0.0/0" | "::/0") | None => "default".to_owned(),
        Some(to) => text(to),
    };
    Act::new(verb, Thing::Route { family, to, via: via.map(text), dev: dev.map(text), table: table.map(text) })
}

fn policy_rule(words: &[&str]) -> Option<Vec<(String, String)>> {
    let mut selectors = Vec::new();
    let mut rest = words.iter().copied().peekable();
    while let Some(word) = rest.next() {
        let name = match word {
            "not" => {
                selectors.push(("not".to_owned(), String::new()));
                continue;
            }
            "lookup" => "table",
            "pref" | "order" | "preference" | "prio" => "priority",
            "dev" => "iif",
            "from"
            | "to"
            | "table"
            | "priority"
            | "fwmark"
            | "iif"
            | "oif"
            | "tos"
            | "dsfield"
            | "ipproto"
            | "sport"
            | "dport"
            | "suppress_prefixlength"
            | "suppress_ifgroup"
            | "uidrange"
            | "goto" => word,
            "blackhole" | "unreachable" | "prohibit" => {
                selectors.push(("type".to_owned(), word.to_owned()));
                continue;
            }
            "type" => "type",
            _ => return None,
        };
        selectors.push((name.to_owned(), rest.next()?.to_owned()));
    }
    // From everywhere is what a rule says that says nothing.
    selectors.retain(|(name, value)| !(name == "from" && value == "all"));
    selectors.sort_unstable();
    Some(selectors)
}

fn wg(words: &[&str]) -> Option<Act> {
    let ["set", _, rest @ ..] = words else { return None };
    let files: Vec<&str> =
        rest.windows(2).filter(|two| matches!(two[0], "private-key" | "preshared-key")).map(|two| two[1]).collect();
    // Anything beside keys is more than this pattern.
    let known = rest.chunks(2).all(|two| matches!(two[0], "private-key" | "preshared-key" | "peer"));
    match files.as_slice() {
        [file] if known && rest.len() % 2 == 0 => Act::new(Verb::Add, Thing::Key { file: (*file).to_owned() }),
        _ => None,
    }
}

/// What nft says is read as one text, however it is cut into words.
fn nft(words: &[&str]) -> Option<Act> {
    if let ["-f" | "--file", file] = words {
        let name = file.rsplit('/').next().and_then(|name| name.strip_prefix("wgf-")?.strip_suffix(".nft"));
        let thing = match name.and_then(|name| name.parse().ok()) {
            // Our own file, named after the interface as its table is.
            Some(interface) => Thing::Table { name: format!("inet {}", crate::wg::firewall::table_name(&interface)) },
            None => Thing::TableFile { file: (*file).to_owned() },
        };
        return Act::new(None, thing);
    }
    let text = words.join(" ");
    let statements: Vec<Vec<&str>> = text
        .split([';', '\n'])
        .map(|statement| statement.split_whitespace().collect())
        .filter(|words: &Vec<&str>| !words.is_empty())
        .collect();
    let first = statements.first()?;
    let rest = match first.as_slice() {
        ["add" | "create" | "delete" | "destroy" | "insert" | "replace" | "flush", rest @ ..] => rest,
        whole @ ["table", ..] => whole,
        _ => return None,
    };
    let (object, rest) = rest.split_first()?;
    if !matches!(
        *object,
        "table" | "chain" | "rule" | "set" | "map" | "element" | "counter" | "quota" | "limit" | "flowtable"
    ) {
        return None;
    }
    const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
    let name = match rest {
        [family, name, ..] if FAMILIES.contains(family) => format!("{family} {name}"),
        [name, ..] => format!("ip {name}"),
        [] => return None,
    };
    Act::new(None, Thing::Table { name })
}

fn tc(words: &[&str]) -> Option<Act> {
    let [object, ..] = words else { return None };
    if !matches!(*object, "qdisc" | "class" | "filter") {
        return None;
    }
    let dev = words.windows(2).find(|two| two[0] == "dev")?[1];
    Act::new(None, Thing::Shaping { dev: dev.to_owned() })
}

fn ufw(words: &[&str]) -> Option<Act> {
    let mut left: Vec<String> =
        words.iter().filter(|word| !matches!(**word, "--force")).map(|word| (*word).to_owned()).collect();
    let verb = match left.iter().take(2).position(|word| word == "delete") {
        Some(at) => {
            left.remove(at);
            Verb::Remove
        }
        None => Verb::Add,
    };
    if let Some(at) = left.iter().take(2).position(|word| word == "insert") {
        left.drain(at..(at + 2).min(left.len()));
    }
    let acts = ["allow", "deny", "reject", "limit", "route"];
    let known = left.first().is_some_and(|word| acts.contains(&word.as_str()));
    if !known {
        return None;
    }
    Act::new(verb, Thing::FrontEnd { program: "ufw".to_owned(), words: left })
}

fn firewall_cmd(words: &[&str]) -> Option<Act> {
    let mut verb = None;
    let mut left = Vec::new();
    for word in words {
        if let Some(rest) = word.strip_prefix("--add-") {
            (verb, _) = (Some(Verb::Add), left.push(rest.to_owned()));
        } else if let Some(rest) = word.strip_prefix("--remove-") {
            (verb, _) = (Some(Verb::Remove), left.push(rest.to_owned()));
        } else if !matches!(*word, "--quiet" | "-q") {
            left.push((*word).to_owned());
        }
    }
    left.sort_unstable();
    Act::new(Some(verb?), Thing::FrontEnd { program: "firewall-cmd".to_owned(), words: left })
}

fn names(program: &str, words: &[&str]) -> Option<Act> {
    let dev = match (program, words) {
        ("resolvectl", ["dns" | "domain" | "default-route" | "revert" | "llmnr" | "mdns" | "dnssec", dev, ..]) => dev,
        ("resolvconf", ["-a" | "-d" | "-f", dev, ..]) => dev,
        ("systemd-resolve", ["-i", dev, ..]) => dev,
        _ => return None,
    };
    Act::new(None, Thing::Names { dev: (*dev).to_owned() })
}

/// A path, or a shell that is given one.
fn script(first: &Word, rest: &[Word]) -> Option<Act> {
    let path = match first.text.as_str() {
        "bash" | "sh" | "/bin/bash" | "/bin/sh" | "/usr/bin/bash" | "/usr/bin/env" | "python3" | "source" | "." => {
            let argument = rest.iter().map(|word| word.text.as_str()).find(|word| !word.starts_with('-'));
            match argument {
                Some(path) if path.contains('/') && !path.contains(' ') => path,
                _ => first.text.as_str(),
            }
        }
        path if path.contains('/') && !path.contains('=') => path,
        _ => return None,
    };
    Act::new(None, Thing::Script { path: path.to_owned() })
}
