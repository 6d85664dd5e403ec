//! PiVPN's folder `/etc/wireguard`: `wg0.conf`, the clients' files in `configs/`, and `configs/clients.txt`, which has a
//! client's name, public key, time and address per line (`scripts/wireguard/makeCONF.sh`).
//!
//! In `wg0.conf` each client stands between `### begin NAME ###` and `### end NAME ###`; PiVPN switches one off by putting
//! `#[disabled] ` before each of its lines (`disableCONF.sh`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::model::{Cidr, PrivateKey, PublicKey, Role};
use crate::wg::adopt::View;
use crate::wg::{Tunnel, TunnelPeer};

use super::error::describe;
use super::view::source;
use super::{Around, Foreign, ForeignError, quick};

const OFF: &str = "#[disabled] ";

/// The list by which the folder is known.
pub(super) fn list(folder: &Path) -> PathBuf {
    folder.join("configs/clients.txt")
}

/// Reads the folder.
pub(super) fn read(folder: &Path, around: &dyn Around) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let path = list(folder);
    let bytes = around.read(&path)?.ok_or_else(|| ForeignError::missing(&path, "there is no such file"))?;
    let names = names(&path, &quick::text(&path, &bytes)?)?;

    let configurations =
        around.list(folder)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "conf"));
    let mut off = BTreeSet::new();
    for file in configurations {
        let Some(bytes) = around.read(&file)? else { continue };
        let text = quick::text(&file, &bytes)?;
        let mut view = server(&file, &text, &names, &mut off, &mut foreign)?;
        view.text = Some(text);
        foreign.views.push(view);
    }
    if foreign.views.is_empty() {
        return Err(ForeignError::missing(folder, "there is no wg0.conf in it"));
    }
    let server = foreign.views.first().and_then(|view| view.tunnel.private_key.as_ref()).map(PrivateKey::public);
    for (key, name) in &names {
        let file = folder.join("configs").join(format!("{name}.conf"));
        let mut view = match around.read(&file)? {
            Some(bytes) => {
                let text = quick::text(&file, &bytes)?;
                let tunnel = quick::read(&file, &text, &mut foreign)?;
                if tunnel.private_key.as_ref().map(PrivateKey::public) != Some(*key) {
                    foreign.note(name, "its file has another key than clients.txt says: both come over");
                }
                let mut view = View::new(source(&file, ""), tunnel);
                view.text = Some(text);
                view
            }
            None => {
                foreign.note(name, "its file isn't there any more: only what the server knows of it comes over");
                // Nobody but a client's own view can say that it is switched off.
                let (Some(server), true) = (server, off.contains(key)) else { continue };
                let to_server = TunnelPeer { allowed_ips: vec![Cidr::ALL4, Cidr::ALL6], ..TunnelPeer::new(server) };
                let mut view = View::new(source(&path, name), Tunnel { peers: vec![to_server], ..Tunnel::default() });
                view.public_key = Some(*key);
                view
            }
        };
        view.name = Some(name.clone());
        view.role = Some(Role::Remote);
        view.enabled = !off.contains(key);
        foreign.views.push(view);
    }
    Ok(foreign.finish())
}

/// Reads the list: names by key.
fn names(path: &Path, text: &str) -> Result<BTreeMap<PublicKey, String>, ForeignError> {
    let mut names = BTreeMap::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let wrong = |found: &str, expected: &str| ForeignError::Value {
            file: path.to_owned(),
            place: format!("line {number}"),
            found: describe(found),
            expected: expected.to_owned(),
        };
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        // The name becomes part of a path.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'@' | b'_' | b'-');
        if !name.bytes().all(plain) || name.starts_with(['.', '-']) {
            return Err(wrong(name, "a client's name: letters, digits, `.@_-`"));
        }
        let key = words.next().unwrap_or_default();
        let key = key.parse().map_err(|_| wrong("", "a client's name and its public key"))?;
        names.insert(key, name.to_owned());
    }
    Ok(names)
}

/// Reads the server's file, with the clients that are switched off.
fn server(
    file: &Path,
    text: &str,
    names: &BTreeMap<PublicKey, String>,
    off: &mut BTreeSet<PublicKey>,
    foreign: &mut Foreign,
) -> Result<View, ForeignError> {
    let mut tunnel = quick::read(file, text, foreign)?;
    let mut hidden = Zeroizing::new(String::with_capacity(text.len() + 16));
    hidden.push_str("[Interface]\n");
    for line in text.lines().filter_map(|line| line.strip_prefix(OFF)) {
        hidden.push_str(line);
        hidden.push('\n');
    }
    let on: BTreeSet<PublicKey> = tunnel.peers.iter().map(|peer| peer.public_key).collect();
    let hidden = quick::read(file, &hidden, &mut Foreign::default())?.peers;
    off.extend(hidden.iter().map(|peer| peer.public_key).filter(|key| !on.contains(key)));
    tunnel.peers.extend(hidden.into_iter().filter(|peer| !on.contains(&peer.public_key)));
    let named = |peer: &mut TunnelPeer| {
        if let Some(name) = names.get(&peer.public_key) {
            peer.name = Some(name.clone());
        }
    };
    tunnel.peers.iter_mut().for_each(named);
    let mut view = View::new(source(file, ""), tunnel);
    view.interface = file.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    view.role = Some(Role::Server);
    Ok(view)
}
