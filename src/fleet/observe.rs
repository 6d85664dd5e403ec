//! What a host says about itself, read into values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{Cidr, InterfaceAddr, InterfaceName, PublicKey};
use crate::wg::beside::Loop;
use crate::wg::dump::{self, LiveInterface};
use crate::wg::{Route, Rule};

use super::question::{Fingerprint, Question, sysctl_path};
use super::{Answer, AnswerError};

/// What starts interfaces at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// systemd: the unit `wg-quick@NAME`.
    Systemd,
    /// OpenRC: the service `wg-quick.NAME`.
    Openrc,
    /// Neither: a line in /etc/rc.local.
    RcLocal,
}

/// A host apart from its WireGuard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct System {
    /// Its own name.
    pub hostname: String,
    /// Its operating system, as /etc/os-release calls it.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// What starts interfaces at boot.
    pub init: Init,
    /// Seconds since boot.
    pub uptime: u64,
    /// Its clock, in seconds since 1970.
    pub clock: i64,
    /// Which of the programs that we need it has.
    pub tools: BTreeSet<String>,
}

impl System {
    /// Programs without which a host can't be observed or deployed to, with the Debian package that has them.
    pub const NEEDED: &'static [(&'static str, &'static str)] = &[
        ("wg", "wireguard-tools"),
        ("wg-quick", "wireguard-tools"),
        ("ip", "iproute2"),
        ("sysctl", "procps"),
        ("awk", "mawk"),
        ("sha256sum", "coreutils"),
        ("stat", "coreutils"),
    ];

    /// Returns the programs of [`System::NEEDED`] that are missing.
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        Self::NEEDED.iter().filter(|(tool, _)| !self.tools.contains(*tool)).copied().collect()
    }
}

/// A WireGuard interface as it runs.
#[derive(Debug)]
pub struct ObservedInterface {
    /// Keys, port and peers.
    pub live: LiveInterface,
    /// Bytes per packet.
    pub mtu: u16,
    /// Whether the link is up.
    pub up: bool,
    /// Its addresses; link-local ones are left out.
    pub addresses: BTreeSet<InterfaceAddr>,
    /// Its unicast routes that the kernel didn't make by itself.
    pub routes: BTreeSet<Route>,
}

/// A file in /etc/wireguard.
#[derive(Debug)]
pub struct ObservedFile {
    /// Permission bits, in octal as stat(1) prints them.
    pub mode: String,
    /// Its content. May hold secrets.
    pub content: Zeroizing<Vec<u8>>,
}

/// A file in /etc/wireguard with a private key that the host made and keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedKey {
    /// Permission bits, in octal as stat(1) prints them.
    pub mode: String,
    /// Whose it is, as numbers: `0:0` is root and its group.
    pub owner: String,
    /// The public half of the key in it; `None` when it holds no key.
    pub public: Option<PublicKey>,
}

/// A deploy that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingDeploy {
    /// Its name.
    pub token: String,
    /// Seconds until the host takes it back; below zero when it should have.
    pub seconds_left: i64,
    /// Whether somebody is deciding right now.
    pub deciding: bool,
}

/// How the last deploy since boot ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastDeploy {
    /// Its name.
    pub token: String,
    /// Confirmed, or taken back.
    pub confirmed: bool,
    /// Whether the host was found to be as before after it was taken back.
    pub clean: bool,
    /// Why it was taken back.
    pub reason: String,
}

/// By which way we are on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Where we come from, as the host sees it: with a jump host, that one's address.
    pub from: IpAddr,
    /// The host's own address.
    pub to: IpAddr,
    /// The interface by which its packets leave towards us.
    pub interface: Option<InterfaceName>,
}

/// A host at one moment.
#[derive(Debug)]
pub struct Observed {
    /// The machine.
    pub system: System,
    /// Its WireGuard interfaces, ours and others.
    pub interfaces: BTreeMap<InterfaceName, ObservedInterface>,
    /// Policy rules that route by one of our marks.
    pub rules: BTreeSet<Rule>,
    /// Kernel settings that were asked for.
    pub sysctls: BTreeMap<String, String>,
    /// nftables tables that were asked for and exist, as `nft -s list` prints them.
    pub tables: BTreeMap<String, String>,
    /// Files that were asked for and exist.
    pub files: BTreeMap<String, ObservedFile>,
    /// Files with keys of the host's own that were asked for and exist.
    pub keys: BTreeMap<String, ObservedKey>,
    /// The loops that run, each with its version.
    pub loops: BTreeMap<(InterfaceName, Loop), String>,
    /// Peers of each interface whose traffic has moved elsewhere, since their links are down: since when, in seconds since
    /// 1970 by the host's clock.
    pub moved: BTreeMap<InterfaceName, BTreeMap<PublicKey, i64>>,
    /// The number that each interface has in the kernel: one that was made anew has another.
    pub numbers: BTreeMap<InterfaceName, u32>,
    /// Interfaces that start at boot.
    pub boot: BTreeSet<InterfaceName>,
    /// By which way we are there; `None` on the machine we run on.
    pub way: Option<Way>,
    /// A deploy under way.
    pub pending: Option<PendingDeploy>,
    /// The last one that ended since boot.
    pub last: Option<LastDeploy>,
    /// Token of the last one ever confirmed.
    pub deployed_token: Option<String>,
    /// The digest of everything above that can't move by itself.
    pub fingerprint: Fingerprint,
}

fn malformed(section: &str, reason: impl Into<String>) -> AnswerError {
    AnswerError::Malformed { section: section.to_owned(), reason: reason.into() }
}

/// Reads the answer to [`super::observe`].
///
/// # Errors
/// When a section is missing or can't be understood.
pub fn read_observation(answer: &Answer, question: &Question) -> Result<Observed, AnswerError> {
    let system = system(&answer.text("system").ok_or(AnswerError::Missing("system"))?)?;
    let dump = answer.bytes("dump").unwrap_or_default();
    let live = match std::str::from_utf8(dump) {
        Ok(text) => dump::parse(text.trim_end()), // of a large host it is long, and private keys are in it: no copy
        Err(_) => dump::parse(Zeroizing::new(String::from_utf8_lossy(dump).into_owned()).trim_end()),
    };
    let live = live.map_err(|e| malformed("dump", e.to_string()))?;
    let mut interfaces: BTreeMap<InterfaceName, ObservedInterface> = live
        .into_iter()
        .map(|(name, live)| {
            let seen =
                ObservedInterface { live, mtu: 0, up: true, addresses: BTreeSet::new(), routes: BTreeSet::new() };
            (name, seen)
        })
        .collect();
    for (words, _) in answer.all("link") {
        let [name, mtu, up] = words else { return Err(malformed("link", "expected three words")) };
        if let Some(seen) = name.parse().ok().and_then(|name: InterfaceName| interfaces.get_mut(&name)) {
            seen.mtu = mtu.parse().map_err(|_| malformed("link", "the MTU is no number"))?;
            seen.up = up == "1";
        }
    }
    for (words, body) in answer.all("address") {
        if let Some(seen) = named(&mut interfaces, words) {
            seen.addresses = addresses(&String::from_utf8_lossy(body));
        }
    }
    for (section, ipv4) in [("route4", true), ("route6", false)] {
        for (words, body) in answer.all(section) {
            if let Some(seen) = named(&mut interfaces, words) {
                seen.routes.extend(routes(&String::from_utf8_lossy(body), ipv4));
            }
        }
    }
    let mut policy = BTreeSet::new();
    for (section, ipv4) in [("rule4", true), ("rule6", false)] {
        policy.extend(rules(&answer.text(section).unwrap_or_default(), ipv4));
    }
    let by_path: BTreeMap<String, &String> = question.sysctls.iter().map(|key| (sysctl_path(key), key)).collect();
    let mut sysctls = BTreeMap::new();
    for (words, _) in answer.all("sysctl") {
        if let Some((path, value)) = words.split_first()
            && let Some(key) = by_path.get(path)
        {
            sysctls.insert((*key).clone(), value.join(" "));
        }
    }
    let word = |words: &[String]| words.first().cloned().unwrap_or_default();
    Ok(Observed {
        system,
        moved: moved(answer, &interfaces),
        interfaces,
        rules: policy,
        sysctls,
        tables: tables_of(answer),
        files: answer
            .all("file")
            .map(|(words, body)| {
                let mode = words.get(1).cloned().unwrap_or_default();
                (word(words), ObservedFile { mode, content: Zeroizing::new(body.to_vec()) })
            })
            .collect(),
        keys: answer.all("key").filter_map(|(words, _)| key(words)).collect(),
        loops: Loop::ALL
            .into_iter()
            .flat_map(|one| answer.all(one.section()).map(move |(words, _)| (words, one)))
            .filter_map(|(words, one)| Some(((word(words).parse().ok()?, one), words.get(1)?.clone())))
            .collect(),
        numbers: answer
            .all("number")
            .filter_map(|(words, _)| Some((word(words).parse().ok()?, words.get(1)?.parse().ok()?)))
            .collect(),
        boot: answer.all("boot").filter_map(|(words, _)| word(words).parse().ok()).collect(),
        way: way(answer),
        pending: pending(answer),
        last: last(answer),
        deployed_token: answer.text("record").and_then(|r| r.strip_prefix("token ").map(str::to_owned)),
        fingerprint: fingerprint(answer)?,
    })
}

/// Reads what has moved, `INTERFACE KEY SINCE`. A peer that carries something has not, whatever is noted of it.
fn moved(
    answer: &Answer,
    interfaces: &BTreeMap<InterfaceName, ObservedInterface>,
) -> BTreeMap<InterfaceName, BTreeMap<PublicKey, i64>> {
    let mut moved: BTreeMap<InterfaceName, BTreeMap<PublicKey, i64>> = BTreeMap::new();
    for (words, _) in answer.all("moved") {
        let [name, key, since] = words else { continue };
        let (Ok(name), Ok(key), Ok(since)) = (name.parse::<InterfaceName>(), key.parse(), since.parse()) else {
            continue;
        };
        let peer = interfaces.get(&name).and_then(|interface| interface.live.peers.get(&key));
        if peer.is_some_and(|peer| peer.allowed_ips.is_empty()) {
            moved.entry(name).or_default().insert(key, since);
        }
    }
    moved
}

/// Reads `NAME MODE OWNER PUBLIC`.
fn key(words: &[String]) -> Option<(String, ObservedKey)> {
    let [name, mode, owner, public] = words else { return None };
    Some((name.clone(), ObservedKey { mode: mode.clone(), owner: owner.clone(), public: public.parse().ok() }))
}

/// Reads the digest under which a host's state can be recognised again.
pub(super) fn fingerprint(answer: &Answer) -> Result<Fingerprint, AnswerError> {
    let (words, _) = answer.all("fingerprint").next().ok_or(AnswerError::Missing("fingerprint"))?;
    let digest = words.first().filter(|d| d.len() == 64).ok_or_else(|| malformed("fingerprint", "no SHA-256"))?;
    Ok(Fingerprint { boundary: answer.boundary().to_owned(), digest: digest.clone() })
}

/// Reads how the host lists its nftables tables from an answer that has them.
pub fn tables_of(answer: &Answer) -> BTreeMap<String, String> {
    let text = |body: &[u8]| in_order(String::from_utf8_lossy(body).trim_end());
    answer.all("table").filter_map(|(words, body)| Some((words.first()?.clone(), text(body)))).collect()
}

/// Brings the sets, maps and chains of a listed table into the order of their names. nft lists them as they came: what a
/// deploy adds stands last until the next boot, and then where the file has it. It makes no difference to any packet.
pub(crate) fn in_order(listing: &str) -> String {
    let Some((head, body)) = listing.split_once('\n').filter(|(head, _)| head.ends_with('{')) else {
        return listing.to_owned();
    };
    let Some(body) = body.strip_suffix('}') else { return listing.to_owned() };
    let (mut blocks, mut block) = (Vec::new(), String::new());
    for line in body.lines().filter(|line| !line.is_empty()) {
        block.push_str(line);
        block.push('\n');
        if line == "\t}" {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks.extend((!block.is_empty()).then_some(block));
    blocks.sort_unstable();
    format!("{head}\n{}}}", blocks.join("\n"))
}

fn named<'a>(
    interfaces: &'a mut BTreeMap<InterfaceName, ObservedInterface>,
    words: &[String],
) -> Option<&'a mut ObservedInterface> {
    let name: InterfaceName = words.first()?.parse().ok()?;
    interfaces.get_mut(&name)
}

fn system(text: &str) -> Result<System, AnswerError> {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' ')));
        found.unwrap_or_default().trim().to_owned()
    };
    let number =
        |key: &str| value(key).parse::<i64>().map_err(|_| malformed("system", format!("`{key}` is no number")));
    Ok(System {
        hostname: value("hostname"),
        os: value("os"),
        kernel: value("kernel"),
        init: match value("init").as_str() {
            "systemd" => Init::Systemd,
            "openrc" => Init::Openrc,
            _ => Init::RcLocal,
        },
        uptime: number("uptime")?.unsigned_abs(),
        clock: number("clock")?,
        tools: text.lines().filter_map(|line| line.strip_prefix("tool ")).map(str::to_owned).collect(),
    })
}

/// Reads `ip -o addr show dev X`: `5: wg0    inet 10.66.0.1/24 scope global wg0\ ...`.
fn addresses(text: &str) -> BTreeSet<InterfaceAddr> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip_while(|w| *w != "inet" && *w != "inet6").skip(1);
        if let Some(address) = words.next().and_then(|word| word.parse::<InterfaceAddr>().ok())
            && !matches!(address.address(), IpAddr::V6(six) if six.is_unicast_link_local())
        {
            found.insert(address);
        }
    }
    found
}

/// Reads `ip route show table all dev X` (ip-route(8)); what the kernel made by itself is passed over.
fn routes(text: &str, ipv4: bool) -> BTreeSet<Route> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
        let Some(first) = words.first() else { continue };
        if after("proto") == Some("kernel") || after("table") == Some("local") {
            continue;
        }
        let to = match *first {
            "default" => Some(if ipv4 { Cidr::ALL4 } else { Cidr::ALL6 }),
            prefix => {
                let net = prefix.parse::<IpNet>().or_else(|_| prefix.parse::<IpAddr>().map(IpNet::from));
                net.ok().map(Cidr::containing)
            }
        };
        let table = match after("table") {
            None | Some("main") => Some(None),
            Some(number) => number.parse().ok().map(Some),
        };
        if let (Some(to), Some(table)) = (to, table) {
            found.insert(Route { to, table });
        }
    }
    found
}

/// Reads `ip rule show`: `7767:  from all fwmark 0x77660001 lookup 7766001`; rules by other marks are passed over.
fn rules(text: &str, ipv4: bool) -> BTreeSet<Rule> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
        let priority = words.first().and_then(|w| w.trim_end_matches(':').parse().ok());
        let mark = after("fwmark").and_then(|w| u32::from_str_radix(w.trim_start_matches("0x"), 16).ok());
        let table = after("lookup").and_then(|w| w.parse().ok());
        if let (Some(priority), Some(mark), Some(table)) = (priority, mark, table)
            && mark >> 16 == 0x7766
        {
            found.insert(Rule { ipv4, priority, mark, table });
        }
    }
    found
}

/// Reads by which way we are there. An address may name its zone (RFC 4007), which is the host's own affair.
fn way(answer: &Answer) -> Option<Way> {
    let (words, _) = answer.all("way").next()?;
    let address = |at: usize| words.get(at)?.split('%').next()?.parse::<IpAddr>().ok();
    let interface = words.get(2).and_then(|word| word.parse().ok());
    Some(Way { from: address(0)?.to_canonical(), to: address(1)?.to_canonical(), interface })
}

fn pending(answer: &Answer) -> Option<PendingDeploy> {
    let (words, _) = answer.all("pending").next()?;
    Some(PendingDeploy {
        token: words.first()?.clone(),
        seconds_left: words.get(1)?.parse().ok()?,
        deciding: words.get(2).is_some_and(|w| w != "-"),
    })
}

fn last(answer: &Answer) -> Option<LastDeploy> {
    let text = answer.text("last")?;
    let mut words = text.splitn(5, ' ');
    let (token, outcome, clean) = (words.next()?, words.next()?, words.next()?);
    let reason = words.nth(1).unwrap_or_default();
    Some(LastDeploy {
        token: token.to_owned(),
        confirmed: outcome == "confirmed",
        clean: clean == "yes",
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_every_table_are_read_and_the_kernels_own_passed_over() {
        let text = "10.66.0.0/24 proto kernel scope link src 10.66.0.1\n192.168.10.0/24 scope link\n\
                    10.66.0.100 scope link\ndefault table 7766003 scope link\nlocal 10.66.0.1 table local proto kernel scope host src 10.66.0.1\n";
        let found: Vec<String> = routes(text, true).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["0.0.0.0/0 table 7766003", "10.66.0.100/32", "192.168.10.0/24"]);
        let text = "fd00:1::14 metric 1024 pref medium\ndefault table 7 metric 1024 pref medium\nmulticast ff00::/8 table local proto kernel metric 256 pref medium\n";
        let found: Vec<String> = routes(text, false).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["::/0 table 7", "fd00:1::14/128"]);
    }

    #[test]
    fn only_rules_by_our_marks_are_ours() {
        let text = "0:\tfrom all lookup local\n7769:\tfrom all fwmark 0x77660003 lookup 7766003\n32764:\tfrom all fwmark 0xca6c lookup 51820\n32766:\tfrom all lookup main\n";
        let rule = Rule { ipv4: true, priority: 7769, mark: 0x7766_0003, table: 7_766_003 };
        assert_eq!(rules(text, true), BTreeSet::from([rule]));
    }

    #[test]
    fn a_table_reads_the_same_in_whatever_order_it_is_listed() {
        let set = |name: &str| format!("\tset {name} {{\n\t\ttype ifname\n\t\telements = {{ \"wg0\" }}\n\t}}\n");
        let table = |blocks: &[String]| format!("table inet wgf_wg0 {{\n{}}}", blocks.join("\n"));
        let (one, two) = (set("a"), set("b"));
        assert_eq!(in_order(&table(&[two.clone(), one.clone()])), table(&[one.clone(), two.clone()]));
        assert_eq!(in_order(&table(&[one.clone(), two.clone()])), table(&[one.clone(), two]));
        assert_ne!(in_order(&table(&[one.clone(), set("c")])), in_order(&table(&[one.clone(), set("b")])));
        for odd in ["", "table inet t {", "nonsense", "table inet t {\n}", &table(&[one])] {
            assert_eq!(in_order(odd), odd);
        }
    }

    #[test]
    fn addresses_are_read_from_one_line_output() {
        let text = "5: wg0    inet 10.66.0.1/24 scope global wg0\\       valid_lft forever preferred_lft forever\n\
                    5: wg0    inet6 fd00::1/64 scope global \\       valid_lft forever\n5: wg0    inet6 fe80::1/64 scope link \\ x\n";
        let found: Vec<String> = addresses(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.66.0.1/24", "fd00::1/64"]);
    }
}
