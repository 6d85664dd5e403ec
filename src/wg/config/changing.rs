//! Properties of reading and bringing: nothing changes that doesn't have to, and what has to does.

use std::collections::BTreeSet;

use super::generated::{Numbers, file, mutated};
use super::{Document, Keys, Mode, Reading, bring, effective_allowed_ips, mask};
use crate::model::{
    ByHooks, Cidr, InterfaceId, LinkId, Mtu, NodeId, Port, PresharedKey, PrivateKey, Run, Secrets, Table,
};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, Tunnel};

pub(super) const OWN: InterfaceId = InterfaceId(1);

/// Returns what a compiler would want if it wanted what a file says, with the secrets that go with it.
pub(super) fn wanted(tunnel: &Tunnel) -> (InterfaceConfig, Secrets) {
    let mut secrets = Secrets::default();
    let public_key = tunnel.private_key.as_ref().map_or(PrivateKey::from_random([1; 32]).public(), PrivateKey::public);
    if let Some(key) = &tunnel.private_key {
        secrets.private.insert(OWN, key.expose_base64().parse().unwrap());
    }
    let mut peers = Vec::new();
    for ((id, peer), mut allowed_ips) in
        (2..).map(InterfaceId).zip(&tunnel.peers).zip(effective_allowed_ips(&tunnel.peers))
    {
        let link = LinkId::between(OWN, id);
        secrets.owners.insert(peer.public_key, id);
        if let Some(key) = &peer.preshared {
            secrets.preshared.insert(link, key.expose_base64().parse().unwrap());
        }
        allowed_ips.sort_unstable();
        let name = format!("peer-{}", id.0).parse().unwrap();
        let (public_key, endpoint, keepalive) = (peer.public_key, peer.endpoint.clone(), peer.keepalive);
        peers.push(PeerConfig {
            name,
            guid: None,
            public_key,
            succeeds: None,
            by_both: false,
            link,
            next_preshared: false,
            allowed_ips,
            endpoint,
            keepalive,
        });
    }
    let config = InterfaceConfig {
        id: OWN,
        name: "wg0".parse().unwrap(),
        public_key,
        replaces: None,
        addresses: tunnel.addresses.clone(),
        listen_port: tunnel.listen_port,
        fwmark: tunnel.fwmark,
        mtu: tunnel.mtu.map(|mtu| Mtu::try_from(mtu).unwrap()),
        dns: tunnel.dns.clone(),
        table: tunnel.table.clone(),
        peers,
        sysctls: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        firewall: None,
        run: Run::default(),
        save_config: tunnel.save_config,
        by_hooks: ByHooks::default(),
        follows_names: false,
        fallbacks: Vec::new(),
        key_file: None,
        beside: None,
        followed_by: None,
        hooks: Vec::new(),
    };
    (config, secrets)
}

pub(super) fn node() -> NodeConfig {
    NodeConfig { node: NodeId(1), name: "hub".parse().unwrap(), interfaces: Vec::new() }
}

fn brought(text: &str, config: &InterfaceConfig, secrets: &Secrets) -> String {
    bring(text, &node(), config, Keys::Shown(secrets)).to_string()
}

fn read(text: &str, mode: Mode) -> Option<Reading> {
    Document::parse(text).read(mode).ok()
}

fn count(normally: usize, long: usize) -> usize {
    if std::env::var_os("WGF_LONG").is_some() { long } else { normally }
}

/// What a file means, without the order of what has none.
fn meaning(tunnel: &Tunnel) -> String {
    let (config, secrets) = wanted(tunnel);
    described(&config, &secrets)
}

fn described(config: &InterfaceConfig, secrets: &Secrets) -> String {
    let private = secrets.private.get(&OWN).map(|key| key.expose_base64());
    let addresses: BTreeSet<_> = config.addresses.iter().collect();
    let mark = config.fwmark.filter(|mark| *mark != 0);
    let (servers, domains): (Vec<_>, Vec<_>) = config.dns.iter().partition(|entry| super::values::is_dns_server(entry));
    let mut peers: Vec<String> = config
        .peers
        .iter()
        .map(|peer| {
            let shared = secrets.preshared.get(&peer.link).map(|key| key.expose_base64());
            let allowed: BTreeSet<&Cidr> = peer.allowed_ips.iter().collect();
            format!("{} {shared:?} {allowed:?} {:?} {:?}", peer.public_key, peer.endpoint, peer.keepalive)
        })
        .collect();
    peers.sort_unstable();
    let (table, save) = (&config.table, config.save_config);
    format!(
        "{private:?} {addresses:?} {:?} {mark:?} {:?} {servers:?} {domains:?} {table:?} {save}\n{}",
        config.listen_port,
        config.mtu,
        peers.join("\n")
    )
}

#[test]
fn any_text_prints_as_it_was() {
    let mut numbers = Numbers::new(1);
    for _ in 0..count(3_000, 100_000) {
        let made = file(&mut numbers, false);
        let text = if numbers.once_in(3) { made } else { mutated(&made, &mut numbers) };
        let document = Document::parse(&text);
        assert_eq!(*document.print(), text);
        assert_eq!(document.tokens().map(|(_, token)| token).collect::<String>(), text);
    }
}

#[test]
fn a_file_that_means_what_is_wanted_stays_as_it_is() {
    let mut numbers = Numbers::new(2);
    let mut kept = 0;
    for _ in 0..count(3_000, 30_000) {
        let made = file(&mut numbers, false);
        let text = if numbers.once_in(3) { made } else { mutated(&made, &mut numbers) };
        for mode in [Mode::Keep, Mode::Lenient] {
            let Some(reading) = read(&text, mode) else { continue };
            let (config, secrets) = wanted(&reading.tunnel);
            assert_eq!(brought(&text, &config, &secrets), text, "{mode:?}");
            let masked = bring(&text, &node(), &config, Keys::Masked(&secrets));
            assert_eq!(*masked, mask(&text));
            kept += 1;
        }
    }
    assert!(kept > 2_000, "{kept} files could be read");
}

/// Changes one thing, and says which.
fn change(config: &mut InterfaceConfig, secrets: &mut Secrets, numbers: &mut Numbers) -> String {
    let fresh: Cidr = format!("172.20.{}.{}/32", numbers.below(256), numbers.below(256)).parse().unwrap();
    let at = numbers.below(config.peers.len());
    let port = Port::new(1 + numbers.below(65535) as u16);
    let kind = numbers.below(if config.peers.is_empty() { 8 } else { 17 });
    match kind {
        0 => config.listen_port = port,
        1 => config.listen_port = None,
        2 => config.mtu = Some(Mtu::try_from(1280 + numbers.below(200) as u16).unwrap()),
        3 => config.addresses.push(format!("10.200.{}.1/24", numbers.below(256)).parse().unwrap()),
        4 => config.fwmark = Some(1 + numbers.below(70_000) as u32),
        5 => config.table = Table::Number(1 + numbers.below(200) as u32),
        6 => {
            let key = PrivateKey::from_random(numbers.bytes());
            config.public_key = key.public();
            secrets.private.insert(OWN, key);
        }
        7 => config.dns.push(format!("10.200.{}.1", numbers.below(256))),
        8 => config.peers[at].keepalive = Some(1 + numbers.below(65535) as u16),
        9 => config.peers[at].keepalive = None,
        10 => config.peers[at].endpoint = Some(format!("new.example.com:{}", port.unwrap()).parse().unwrap()),
        11 => config.peers[at].endpoint = None,
        12 => {
            let key = PresharedKey::from_random(numbers.bytes());
            secrets.preshared.insert(config.peers[at].link, key);
        }
        13 => drop(secrets.preshared.remove(&config.peers[at].link)),
        14 => {
            // Rotated: who had the old key is known.
            let (low, high) = config.peers[at].link.ends();
            config.peers[at].public_key = numbers.public_key();
            secrets.owners.insert(config.peers[at].public_key, low.max(high));
        }
        15 => config.peers[at].allowed_ips.push(fresh),
        _ if config.peers[at].allowed_ips.is_empty() => {}
        _ => {
            let gone = numbers.below(config.peers[at].allowed_ips.len());
            config.peers[at].allowed_ips.remove(gone);
        }
    }
    format!("change {kind} of peer {at}")
}

/// Returns the lines of two texts that aren't at the same end of both.
fn differing<'a>(before: &'a str, after: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (a, b): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let rest = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    (a[head..a.len() - tail].to_vec(), b[head..b.len() - tail].to_vec())
}

#[test]
fn one_change_changes_one_line_and_the_file_means_it() {
    let mut numbers = Numbers::new(3);
    for _ in 0..count(3_000, 30_000) {
        let text = file(&mut numbers, false);
        let Some(reading) = read(&text, Mode::Keep) else { panic!("{text}") };
        let (mut config, mut secrets) = wanted(&reading.tunnel);
        let what = change(&mut config, &mut secrets, &mut numbers);
        let after = brought(&text, &config, &secrets);
        let (gone, new) = differing(&text, &after);
        let unique = reading.warnings.iter().all(|fault| !matches!(fault.code(), "repeated" | "shared-allowed-ip"));
        // A key that stands there twice, or a prefix, needs both lines.
        let lists = reading.tunnel.peers.iter().map(|peer| peer.allowed_ips.len()).sum::<usize>();
        let written = text.lines().filter(|line| line.to_lowercase().contains("allowedips")).count();
        let limit = if unique && lists >= written { 1 } else { usize::MAX };
        let count = gone.len().max(new.len());
        assert!(count <= limit || is_repeat(&text), "{what}: {gone:#?} -> {new:#?} in\n{text}");
        let again = read(&after, Mode::Keep).unwrap_or_else(|| panic!("{what}\n{text}\n----\n{after}"));
        let mut expected = described(&config, &secrets);
        if reading.tunnel.private_key.is_none() && what.starts_with("change 6") {
            // Its new key is written where there was none.
            expected = meaning(&again.tunnel);
            assert!(again.tunnel.private_key.is_some());
        }
        assert_eq!(meaning(&again.tunnel), expected, "{what}\n{text}\n----\n{after}");
        assert!(after.ends_with('\n') || !text.ends_with('\n'));
    }
}

/// Whether one peer's lists name the same prefix twice.
fn is_repeat(text: &str) -> bool {
    let document = Document::parse(text);
    document.sections().iter().any(|section| {
        let lines = section.lines.clone().map(|line| document.piece(document.lines()[line].content()));
        let items = lines.filter(|line| line.to_lowercase().contains("allowedips")).flat_map(|line| {
            let value = line.split('#').next().unwrap().split_once('=').unwrap().1.to_owned();
            value.split(',').map(|item| item.replace(char::is_whitespace, "")).collect::<Vec<_>>()
        });
        let items: Vec<Cidr> =
            items.filter_map(|item| super::values::allowed_ip(&item).ok()).map(|((_, cidr), _)| cidr).collect();
        items.iter().collect::<BTreeSet<_>>().len() < items.len()
    })
}

#[test]
fn a_peer_comes_and_goes_without_touching_the_others() {
    let mut numbers = Numbers::new(4);
    for _ in 0..count(2_000, 20_000) {
        let text = file(&mut numbers, false);
        let Some(reading) = read(&text, Mode::Keep) else { panic!("{text}") };
        let shared = reading.warnings.iter().any(|fault| fault.code() == "shared-allowed-ip");
        if reading.tunnel.peers.is_empty() || shared {
            continue;
        }
        let (mut config, secrets) = wanted(&reading.tunnel);
        let gone = config.peers.remove(numbers.below(config.peers.len()));
        let without = brought(&text, &config, &secrets);
        let (lines, new) = differing(&text, &without);
        assert!(new.is_empty(), "{lines:#?} {new:#?}\n{text}");
        assert_eq!(
            lines.iter().filter(|line| line.to_lowercase().contains("publickey")).count(),
            1,
            "{text}\n{without}"
        );
        assert!(!without.contains(&gone.public_key.to_string()));
        let again = read(&without, Mode::Keep).unwrap();
        assert_eq!(meaning(&again.tunnel), described(&config, &secrets));
        // It comes back at the end.
        config.peers.push(gone);
        let with = brought(&without, &config, &secrets);
        assert!(with.starts_with(&without));
        assert_eq!(meaning(&read(&with, Mode::Keep).unwrap().tunnel), described(&config, &secrets), "{with}");
        assert_eq!(with.contains("\r\n"), without.contains("\r\n"));
    }
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let mut numbers = Numbers::new(5);
    for _ in 0..count(2_000, 20_000) {
        let made = file(&mut numbers, false);
        let text = mutated(&made, &mut numbers);
        let document = Document::parse(&text);
        let Ok(reading) = Document::parse(&made).read(Mode::Lenient) else { continue };
        let (_, secrets) = wanted(&reading.tunnel);
        let keys = secrets.private.values().map(|key| key.expose_base64());
        let keys: Vec<_> = keys.chain(secrets.preshared.values().map(|key| key.expose_base64())).collect();
        let mut printed = format!("{document:?}");
        for mode in [Mode::Keep, Mode::Strict, Mode::Lenient] {
            let faults = match document.read(mode) {
                Ok(reading) => reading.warnings,
                Err(faults) => faults,
            };
            printed.extend(faults.iter().map(|fault| format!("{fault:?}{}", fault.render("wg0.conf", &document))));
        }
        for comment in document.comments() {
            printed.push_str(&format!("{comment:?}"));
        }
        for key in &keys {
            assert!(!printed.contains(&key[4..40]), "{text}\n{printed}");
        }
    }
}
