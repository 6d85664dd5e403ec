//! What is fuzzed: everything that reads bytes which come from somewhere else. Each takes any bytes and panics if what it
//! checks doesn't hold.

use std::fmt::Display;
use std::io::Write as _;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use wg_friend::db::archive;
use wg_friend::fleet::{Answer, Question, read_observation};
use wg_friend::model::{
    ByHooks, Cidr, Endpoint, Grant, HostAddress, InterfaceAddr, InterfaceId, InterfaceName, LinkId, Mtu, Name, NodeId,
    Port, PortRange, PresharedKey, PrivateKey, PublicKey, Run, Secrets,
};
use wg_friend::ops::import::foreign;
use wg_friend::wg::config::{Document, Keys, Mode, bring, effective_allowed_ips, mask};
use wg_friend::wg::formats::{self, Feature, Format, Subject};
use wg_friend::wg::{Hook, InterfaceConfig, NodeConfig, PeerConfig, Phase, Tunnel, dump, hooks};
use wg_friend_crypt::{DataKey, PREFIX, open, seal};

/// What a host answers.
pub fn answer(input: &[u8]) {
    const BOUNDARY: &str = "b";
    let Ok(answer) = Answer::parse(input, BOUNDARY) else { return };
    let names = |words: &[&str]| words.iter().filter_map(|word| word.parse().ok()).collect();
    let question = Question {
        interfaces: names(&["wg0", "wgx1"]),
        sysctls: ["net.ipv4.ip_forward".to_owned()].into(),
        tables: ["wgf_wg0".to_owned()].into(),
        files: ["wg0.conf".to_owned()].into(),
        keys: ["wg-friend-0123456789abcdef.key".to_owned()].into(),
    };
    if let Ok(observed) = read_observation(&answer, &question) {
        assert!(observed.interfaces.keys().all(|name| question.interfaces.contains(name) || name.as_str().len() < 16));
    }
    // Debug names the sections and nothing of what is in them.
    let headings: usize = input.split(|b| *b == b'\n').filter(|line| line.starts_with(b"@b ")).map(<[u8]>::len).sum();
    assert!(format!("{answer:?}").len() <= 4 + headings * 12);
}

/// What `wg show all dump` prints.
pub fn dump(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match dump::parse(&text) {
        Ok(interfaces) => {
            let lines = text.lines().filter(|line| !line.is_empty()).count();
            let read: usize = interfaces.values().map(|interface| 1 + interface.peers.len()).sum();
            assert!(read <= lines, "more interfaces and peers than lines");
        }
        // The line may hold a key: an error doesn't repeat it.
        Err(error) => assert!(error.to_string().len() < 120),
    }
}

/// Hooks: how they are taken apart, what they mean, and which pass.
pub fn hooks(input: &[u8]) {
    let Ok(line) = std::str::from_utf8(input) else { return };
    let interface: InterfaceName = "wg0".parse().expect("it is a name");
    let mut at = 0;
    for part in hooks::split::split(line).parts {
        assert_eq!(part.span().start, at, "the parts follow each other");
        at = part.span().end;
    }
    assert_eq!(at, line.len(), "the parts cover the line");
    let hook = |phase| Hook { phase, command: line.to_owned() };
    let understood = hooks::understand(&[hook(Phase::PostUp), hook(Phase::PostDown)], &interface);
    for (index, command) in understood.lines[0].commands.iter().enumerate() {
        assert_eq!(line.get(command.span.clone()), Some(&*command.text));
        if let Ok(Some(left)) = hooks::without(line, &interface, &[index]) {
            assert!(left.len() < line.len(), "{left:?} is {line:?} without {:?}", command.text);
        }
    }
    match hooks::allow::judge(line, &interface) {
        Err(offence) => assert!(offence.at <= line.len() && offence.to_string().is_ascii()),
        Ok(()) => assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')), "{line:?} passes"),
    }
}

/// Other systems' configurations. The first byte says which; a record separator stands between files.
pub fn formats(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let format = Format::ALL[usize::from(*which) % Format::ALL.len()];
    let _ = formats::recognise("file", text);
    let names = ["wg0.netdev", "wg0.network", "wg0.key"];
    let files: Vec<(&str, &str)> = names.into_iter().zip(text.split('\u{1e}')).collect();
    let Ok(found) = formats::read(format, &files) else { return };
    for one in found {
        // What was read can be written again, unless there is something that can't be said; then it is read.
        let without = Feature::ALL.iter().copied().collect();
        let (name, node) = ("wg0".to_owned(), "node".to_owned());
        let subject = Subject { name, node, without, halve_default: false };
        let Ok(export) = formats::write(format, &subject, &one.tunnel) else { continue };
        let files: Vec<_> = export.files.iter().map(|file| (file.name.as_str(), file.content.as_str())).collect();
        let again = formats::read(format, &files).unwrap_or_else(|error| panic!("{format}: {error}"));
        let allowed =
            |tunnel: &Tunnel| -> Vec<_> { tunnel.peers.iter().map(|peer| peer.allowed_ips.clone()).collect() };
        assert_eq!(again.len(), 1, "{format}");
        assert_eq!(allowed(&again[0].tunnel), allowed(&one.tunnel), "{format}");
    }
}

/// Values that people type, and that stand in the database.
pub fn values(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    same_again::<Cidr>(text);
    same_again::<Endpoint>(text);
    same_again::<Grant>(text);
    same_again::<HostAddress>(text);
    same_again::<InterfaceAddr>(text);
    same_again::<InterfaceName>(text);
    same_again::<Mtu>(text);
    same_again::<Name>(text);
    same_again::<Port>(text);
    same_again::<PortRange>(text);
    same_again::<PublicKey>(text);
    if let Ok(key) = text.parse::<PresharedKey>() {
        assert_eq!(*key.expose_base64(), text, "only one way to write a key");
    }
    if let Ok(key) = text.parse::<PrivateKey>() {
        let again: PrivateKey = key.expose_base64().parse().expect("what was written is read");
        assert_eq!(again.public(), key.public());
    }
}

/// What is read, written and read again is the same.
fn same_again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} was written {written:?}");
    }
}

/// Sealed values: what wasn't sealed under this key for this place doesn't open; what was, does.
pub fn sealed(input: &[u8]) {
    let key = DataKey::from_bytes(&[7; 32]);
    let text = String::from_utf8_lossy(input);
    assert!(open(&key, b"keys.sealed_private:a", &text).is_err());
    assert!(open(&key, b"keys.sealed_private:a", &format!("{PREFIX}{text}")).is_err());
    let sealed = seal(&key, b"keys.sealed_private:a", input).expect("the kernel gives random bytes");
    assert_eq!(*open(&key, b"keys.sealed_private:a", &sealed).expect("it was sealed here"), input);
    assert!(open(&key, input, &sealed).is_err() || input == b"keys.sealed_private:a");
}

/// Backups: whatever they are, they are refused, as they are and behind a header that is right; nobody is asked to pay for a
/// cost that no version chose. As pages they are laid onto a database or refused, and it grows by no more than they are.
pub fn backup(input: &[u8]) {
    laid(input);
    let key = DataKey::from_bytes(&[7; 32]);
    let headers = HEADERS.iter().map(|header| [header.as_slice(), input].concat());
    for bytes in headers.chain([input.to_vec()]) {
        let Ok(opened) = archive::open(std::io::Cursor::new(bytes)) else { continue };
        assert_eq!(opened.header().id.len(), 32);
        assert!(opened.header().cost().is_none_or(|(log_n, memory)| log_n <= 22 && memory <= 4 << 30));
        assert!(opened.content(&key).is_err(), "nobody sealed it");
    }
}

/// Lays pages onto a database of three: the first bytes say how long they are and how many there are to be.
fn laid(input: &[u8]) {
    let Some(([size, pages @ ..], carried)) = input.split_first_chunk::<5>() else { return };
    let (page_size, pages) = (1 << (size % 20), u32::from_be_bytes(*pages));
    let base = archive::Base { id: String::new(), sha256: String::new(), page_size, pages, result: String::new() };
    let mut file = tempfile::tempfile().expect("there is room for a file");
    file.write_all(&[1; 3 * 512]).expect("there is room for a file");
    let Ok(mut laying) = archive::Laying::onto(file.try_clone().expect("it is open"), &base) else { return };
    let all = laying.write_all(carried).is_ok() && laying.finish().is_ok();
    let length = file.metadata().expect("it is open").len();
    assert!(length <= (3 * 512 + input.len()) as u64, "it grew to {length} bytes");
    assert!(!all || length == u64::from(pages) * u64::from(page_size));
}

/// The headers of a full backup and of one that builds on it, with one way to their key.
static HEADERS: std::sync::LazyLock<[Vec<u8>; 2]> = std::sync::LazyLock::new(|| {
    let base = format!(r#""base":{{"id":"{}","created":"2026-01-01T00:00:00Z"}},"#, "cd".repeat(16));
    [header("full", ""), header("incremental", &base)]
});

/// A backup's header.
fn header(kind: &str, base: &str) -> Vec<u8> {
    let slot = r#"{"kind":"backup","log_n":10,"r":8,"p":1,"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","wrapped":"AAAA","created":"2026-01-01T00:00:00Z"}"#;
    let text = format!(
        r#"{{"id":"{0}","created":"2026-01-01T00:00:00Z","kind":"{kind}","version":"0.1.0","database":"{0}","lock":"own",{base}"salt":"","slots":[{slot}]}}"#,
        "ab".repeat(16)
    );
    let length = u32::try_from(text.len()).expect("it is short").to_be_bytes();
    let covered = [b"wg-friend backup 1\n".as_slice(), &length, text.as_bytes()].concat();
    let sum = Sha256::digest(&covered);
    [covered, sum.to_vec()].concat()
}

/// What other tools keep: `@file NAME` on a line of its own, then that file; the first is the one that is imported.
pub fn foreign(input: &[u8]) {
    const MARK: &[u8] = b"@file ";
    let starts: Vec<usize> =
        (0..input.len()).filter(|at| input[*at..].starts_with(MARK) && (*at == 0 || input[at - 1] == b'\n')).collect();
    let ends = starts.iter().skip(1).copied().chain([input.len()]);
    let mut around = foreign::Memory::default();
    let mut first = None;
    for (start, end) in starts.iter().zip(ends) {
        let file = &input[start + MARK.len()..end];
        let length = file.iter().position(|b| *b == b'\n').unwrap_or(file.len());
        let Ok(name) = std::str::from_utf8(&file[..length]) else { continue };
        if name.len() > 20 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"./_-".contains(&b)) {
            continue; // where files lie is up to their owner
        }
        let bytes = file.get(length + 1..).unwrap_or_default();
        around = around.with(name, bytes);
        first = first.or_else(|| Some((std::path::PathBuf::from(name), bytes.to_vec())));
    }
    let Some((path, bytes)) = first else { return };
    let found = match foreign::recognise(&path, &bytes) {
        Some(format) => Some((format, path)),
        None => foreign::recognise_folder(std::path::Path::new(""), &around).ok().flatten(),
    };
    let Some((format, path)) = found else { return };
    let keys: Vec<String> = (0..input.len().saturating_sub(43))
        .filter_map(|at| std::str::from_utf8(&input[at..at + 44]).ok())
        .filter(|text| text.parse::<PrivateKey>().is_ok())
        .map(str::to_owned)
        .collect();
    match foreign::read(format, &path, &around, &foreign::Options::default()) {
        Ok(read) => {
            assert!(!read.views.is_empty() || !read.notes.is_empty());
            for view in &read.views {
                let keys: std::collections::BTreeSet<PublicKey> =
                    view.tunnel.peers.iter().map(|peer| peer.public_key).collect();
                assert_eq!(keys.len(), view.tunnel.peers.len(), "a peer stands there twice");
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(keys.iter().all(|key| !error.contains(key.as_str())), "an error repeats a key: {error}");
        }
    }
}

/// wg-quick files: whatever they are, they print as they were; what can be read stays as it is when it is what is
/// wanted; no message holds a key.
pub fn wgquick(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let document = Document::parse(&text);
    assert_eq!(*document.print(), text);
    let mut printed = format!("{document:?}{:?}", document.comments());
    for mode in [Mode::Strict, Mode::Keep, Mode::Lenient] {
        let faults = match document.read(mode) {
            Ok(reading) => {
                unchanged(&text, &reading.tunnel);
                reading.warnings
            }
            Err(faults) => faults,
        };
        printed.extend(faults.iter().map(|fault| format!("{fault:?}{}", fault.render("wg0.conf", &document))));
    }
    for key in secret_values(&text) {
        assert!(!printed.contains(key), "a key is printed");
    }
}

/// Returns the values of private and preshared keys that stand nowhere else in a file.
fn secret_values(text: &str) -> impl Iterator<Item = &str> {
    let value = |line: &'_ str| -> Option<(usize, usize)> {
        let (name, value) = line.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let value = value.split('#').next()?.trim();
        let start = value.as_ptr() as usize - line.as_ptr() as usize;
        let secret = name == "privatekey" || name == "presharedkey";
        (secret && value.parse::<PresharedKey>().is_ok()).then_some((start, start + value.len()))
    };
    let values = text.lines().filter_map(move |line| value(line).map(|(start, end)| &line[start..end]));
    values.filter(|value| text.matches(value).count() == 1)
}

/// Checks that a file which means what is wanted stays as it is.
fn unchanged(text: &str, tunnel: &Tunnel) {
    let own = InterfaceId(1);
    let mut secrets = Secrets::default();
    let public_key = tunnel.private_key.as_ref().map_or(PublicKey::from_bytes([1; 32]), PrivateKey::public);
    if let Some(key) = &tunnel.private_key {
        secrets.private.insert(own, key.expose_base64().parse().expect("what was written is read"));
    }
    let mut peers = Vec::new();
    for ((id, peer), allowed_ips) in (2..).map(InterfaceId).zip(&tunnel.peers).zip(effective_allowed_ips(&tunnel.peers))
    {
        let link = LinkId::between(own, id);
        if let Some(key) = &peer.preshared {
            secrets.preshared.insert(link, key.expose_base64().parse().expect("what was written is read"));
        }
        let (public_key, endpoint, keepalive) = (peer.public_key, peer.endpoint.clone(), peer.keepalive);
        let name = "peer".parse().expect("a name");
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
    let interface = InterfaceConfig {
        id: own,
        name: "wg0".parse().expect("a name"),
        public_key,
        replaces: None,
        addresses: tunnel.addresses.clone(),
        listen_port: tunnel.listen_port,
        fwmark: tunnel.fwmark,
        mtu: tunnel.mtu.map(|mtu| Mtu::try_from(mtu).expect("it was read")),
        dns: tunnel.dns.clone(),
        table: tunnel.table.clone(),
        peers,
        sysctls: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        fallbacks: Vec::new(),
        firewall: None,
        run: Run::default(),
        save_config: tunnel.save_config,
        by_hooks: ByHooks::default(),
        follows_names: false,
        key_file: None,
        beside: None,
        followed_by: None,
        hooks: Vec::new(),
    };
    let node = NodeConfig { node: NodeId(1), name: "hub".parse().expect("a name"), interfaces: Vec::new() };
    assert_eq!(*bring(text, &node, &interface, Keys::Shown(&secrets)), text);
    assert_eq!(*bring(text, &node, &interface, Keys::Masked(&secrets)), mask(text));
}
