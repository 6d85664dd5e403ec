//! What wg(8) prints: `wg showconf`, `wg-quick strip`, and the dumps of `wg show`.
//!
//! The first two are what wg(8) takes itself: keys, ports and peers, without what wg-quick(8) adds to them. A dump says the
//! same with tabs in between, and what the kernel has seen besides.

use std::path::Path;

use crate::model::{Endpoint, EndpointHost, InterfaceName, PrivateKey};
use crate::wg::adopt::View;
use crate::wg::{Tunnel, TunnelPeer, dump};

use super::error::describe;
use super::view::source;
use super::{Foreign, ForeignError, quick};

/// What a wg(8) configuration doesn't say, and where it comes from instead.
const UNSAID: &str = "wg(8) prints neither addresses, DNS servers, MTU, routing table nor hooks: addresses are learnt from \
                      the other ends' AllowedIPs when those are imported too; the rest is as if it were never set";

/// What a running interface knows of its peers' whereabouts.
const ROAMING: &str = "endpoints are where the peers' last packets came from: those of clients on the move are taken for \
                       fixed ones unless their own files say otherwise";

/// Whether the text has only what wg(8) takes, and no line of a hand: no comment, no key of wg-quick(8).
pub(super) fn is_showconf(text: &str) -> bool {
    const KEYS: &[&str] = &[
        "privatekey",
        "listenport",
        "fwmark",
        "publickey",
        "presharedkey",
        "allowedips",
        "endpoint",
        "persistentkeepalive",
    ];
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let known = |line: &str| match line.split_once('=') {
        Some((key, _)) => KEYS.contains(&key.trim().to_ascii_lowercase().as_str()),
        None => matches!(line, "[Interface]" | "[Peer]"),
    };
    let plain = |line: &str| known(line) && !line.contains('#');
    lines().next() == Some("[Interface]") && lines().all(plain)
}

/// Reads what `wg showconf` and `wg-quick strip` print.
pub(super) fn read_showconf(path: &Path, text: &str) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let tunnel = quick::read(path, text, &mut foreign)?;
    let mut view = View::new(source(path, ""), tunnel);
    view.interface = interface_of(path);
    unsaid(&mut foreign, &view);
    foreign.views.push(view);
    Ok(foreign.finish())
}

/// Says what a view lacks, and what in it may be the moment's.
fn unsaid(foreign: &mut Foreign, view: &View) {
    foreign.note(view.source.clone(), UNSAID);
    if view.tunnel.peers.iter().any(|peer| peer.endpoint.is_some()) {
        foreign.note(view.source.clone(), ROAMING);
    }
}

/// A file's name without its ending, if an interface could be called that.
fn interface_of(path: &Path) -> Option<InterfaceName> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Whether the text is a dump of `wg show`.
pub(super) fn is_dump(text: &str) -> bool {
    let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    let fields: Vec<&str> = first.split('\t').collect();
    let mark = |text: &str| text == "off" || text.starts_with("0x");
    let port = |text: &str| text.parse::<u16>().is_ok();
    match fields[..] {
        [private, public, number, fwmark] => private.len() == public.len() && port(number) && mark(fwmark),
        [_, _, public, number, fwmark] => (public == "(none)" || public.len() == 44) && port(number) && mark(fwmark),
        _ => false,
    }
}

/// Reads what `wg show all dump` or `wg show wg0 dump` prints.
pub(super) fn read_dump(path: &Path, text: &str) -> Result<Foreign, ForeignError> {
    let columns = text.lines().find(|line| !line.is_empty()).map_or(0, |line| line.split('\t').count());
    let whole = match columns {
        4 => {
            let name = interface_of(path).map_or_else(|| "wg0".to_owned(), |name| name.to_string());
            let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{name}\t{line}\n") };
            zeroize::Zeroizing::new(text.lines().map(line).collect::<String>())
        }
        _ => zeroize::Zeroizing::new(text.to_owned()),
    };
    let interfaces = dump::parse(&whole).map_err(|error| ForeignError::format(path, "a dump of wg show", error))?;
    let mut foreign = Foreign::default();
    for (name, live) in interfaces {
        if live.public_key.is_none() && live.peers.is_empty() {
            foreign.note(source(path, name.as_str()), "has neither a key nor peers: it is left out");
            continue;
        }
        let private_key = private_key(path, &whole, &name)?;
        let mut tunnel = Tunnel {
            private_key,
            listen_port: live.listen_port,
            fwmark: (live.fwmark != 0).then_some(live.fwmark),
            ..Tunnel::default()
        };
        for (key, peer) in live.peers {
            let endpoint = peer.endpoint.map(|at| (EndpointHost::Address(at.ip()), crate::model::Port::new(at.port())));
            tunnel.peers.push(TunnelPeer {
                preshared: peer.preshared,
                allowed_ips: peer.allowed_ips,
                endpoint: endpoint.and_then(|(host, port)| port.map(|port| Endpoint { host, port })),
                keepalive: peer.keepalive,
                ..TunnelPeer::new(key)
            });
        }
        let mut view = View::new(source(path, name.as_str()), tunnel);
        view.public_key = live.public_key;
        unsaid(&mut foreign, &view);
        view.interface = Some(name);
        foreign.views.push(view);
    }
    if foreign.views.is_empty() {
        return Err(ForeignError::missing(path, "there is no interface with a key in it"));
    }
    Ok(foreign.finish())
}

/// Finds an interface's private key, which the reader of dumps passes over.
fn private_key(path: &Path, text: &str, interface: &InterfaceName) -> Result<Option<PrivateKey>, ForeignError> {
    for (line, number) in text.lines().zip(1..) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [name, private, _, _, _] = fields[..]
            && name == interface.as_str()
        {
            let wrong = |_| ForeignError::Value {
                file: path.to_owned(),
                place: format!("line {number}"),
                found: describe(private),
                expected: "a private key or `(none)`".to_owned(),
            };
            return if private == "(none)" { Ok(None) } else { private.parse().map(Some).map_err(wrong) };
        }
    }
    Ok(None)
}
