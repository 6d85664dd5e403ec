//! The reader against the real wg(8) and wg-quick(8): what both take, and what it means.

use std::collections::BTreeMap;

use super::generated::{Numbers, file, mutated};
use super::{Document, Fault, FaultKind, Mode, Reading, effective_allowed_ips};
use crate::model::EndpointHost;
use crate::wg::namespace::{printed, run};
use crate::wg::{Tunnel, dump};

/// What we refuse on purpose although wg and wg-quick take it: see docs/reference/wg-quick.md.
const STRICTER: &[FaultKind] = &[
    FaultKind::Nul,
    FaultKind::Empty,
    // wg-quick takes `Address` without `=` for an address of that name, and leaves all values to ip(8).
    FaultKind::NotAKeyLine,
    FaultKind::Address,
    FaultKind::Mtu,
    FaultKind::Table,
    FaultKind::Quoted,
    // wg wraps numbers that are too large.
    FaultKind::Port,
    FaultKind::FwMark,
    // Port 0, ports by name, and addresses of fewer than four numbers.
    FaultKind::Endpoint,
    // WireGuard joins the two, or passes over the peer.
    FaultKind::SamePeer,
    FaultKind::OwnKey,
    // All zeros.
    FaultKind::Placeholder,
];

/// Whether something has to be looked up that isn't there where this runs: the name of a host, or of an interface.
fn looks_up(reading: &Reading) -> bool {
    let mut hosts = reading.tunnel.peers.iter().filter_map(|peer| peer.endpoint.as_ref());
    hosts.any(|endpoint| matches!(endpoint.host, EndpointHost::Name(_)))
        || reading.warnings.iter().any(|fault| fault.kind == FaultKind::EndpointZone)
}

/// Says where a reading differs from what the kernel made of the same file.
fn difference(tunnel: &Tunnel, live: &dump::LiveInterface) -> Option<String> {
    let key = tunnel.private_key.as_ref().map(|key| key.public());
    if key != live.public_key {
        return Some("private key".to_owned());
    }
    if tunnel.listen_port.is_some() && tunnel.listen_port != live.listen_port {
        return Some(format!("port {:?}", live.listen_port));
    }
    if tunnel.fwmark.unwrap_or(0) != live.fwmark {
        return Some(format!("mark {}", live.fwmark));
    }
    if tunnel.peers.len() != live.peers.len() {
        return Some(format!("{} peers", live.peers.len()));
    }
    for (peer, mut allowed) in tunnel.peers.iter().zip(effective_allowed_ips(&tunnel.peers)) {
        allowed.sort_unstable();
        let Some(found) = live.peers.get(&peer.public_key) else { return Some(format!("no {}", peer.public_key)) };
        let endpoint = peer.endpoint.as_ref().map(ToString::to_string);
        if found.allowed_ips != allowed
            || found.preshared != peer.preshared
            || found.keepalive != peer.keepalive
            || found.endpoint.map(|endpoint| endpoint.to_string()) != endpoint
        {
            return Some(format!("{found:?} instead of {peer:?}"));
        }
    }
    None
}

/// What went wrong between the two, if anything.
fn disagreement(read: &Result<Reading, Vec<Fault>>, live: Option<&dump::LiveInterface>) -> Option<String> {
    match (read, live) {
        (Ok(reading), _) if looks_up(reading) => None,
        (Ok(reading), Some(live)) => difference(&reading.tunnel, live),
        (Ok(_), None) => Some("wg refuses it".to_owned()),
        (Err(_), None) => None,
        (Err(faults), Some(_)) if faults.iter().any(|fault| STRICTER.contains(&fault.kind)) => None,
        (Err(faults), Some(_)) => Some(format!("wg takes it, and not we: {faults:?}")),
    }
}

/// Gives files to wg-quick and wg, one after the other on one interface, and compares.
pub(super) fn compare(files: &[(String, String)]) -> Option<(usize, usize)> {
    const SCRIPT: &str = "wireguard-go wgt >&2; export WG_ENDPOINT_RESOLUTION_RETRIES=0
        for file in /etc/wireguard/*.conf; do
            name=${file##*/}
            if wg-quick strip $file >/run/stripped 2>/run/err && wg setconf wgt /run/stripped 2>>/run/err
            then echo \"@ ${name%.conf} taken\"; wg show all dump
            else echo \"@ ${name%.conf} refused\"; fi
        done";
    let given: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let output = printed(&run(SCRIPT, &["wg-quick", "wireguard-go", "wg"], &given)?);
    let mut lives: BTreeMap<&str, Option<dump::LiveInterface>> = BTreeMap::new();
    for answer in output.split("@ ").skip(1) {
        let (head, dumped) = answer.split_once('\n').unwrap();
        let (name, verdict) = head.split_once(' ').unwrap();
        let live = (verdict == "taken").then(|| dump::parse(dumped).unwrap().into_values().next().unwrap());
        lives.insert(name, live);
    }
    let mut counts = (0, 0);
    for (name, text) in files {
        let read = Document::parse(text).read(Mode::Strict);
        let live = lives[name.strip_suffix(".conf").unwrap()].as_ref();
        if let Some(what) = disagreement(&read, live) {
            panic!("{what}\n{text}");
        }
        *(if read.is_ok() { &mut counts.0 } else { &mut counts.1 }) += 1;
    }
    Some(counts)
}

#[test]
fn wg_and_the_reader_take_the_same_files_for_the_same() {
    let (batches, each) = if std::env::var_os("WGF_LONG").is_some() { (20, 500) } else { (1, 500) };
    let mut numbers = Numbers::new(6);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..batches {
        let files: Vec<(String, String)> = (0..each)
            .map(|number| {
                let made = file(&mut numbers, false).replace("Jc", "#Jc").replace("jc", "#jc").replace("JC", "#JC");
                let text = if numbers.once_in(4) { made } else { mutated(&made, &mut numbers) };
                (format!("f{number:04}.conf"), text)
            })
            .collect();
        let Some((ours, others)) = compare(&files) else { return };
        (taken, refused) = (taken + ours, refused + others);
    }
    assert!(taken > batches * each / 4 && refused > batches * each / 10, "{taken} taken, {refused} refused");
}
