//! Guides for the owners of devices, with the config in them.

use std::path::PathBuf;

use serde::Serialize;
use zeroize::Zeroizing;

use super::export::tunnel;
use super::generate::{fingerprint, sha256};
use super::{find, private_file};
use crate::db::Store;
use crate::model::{Action, Actor, Device, Event, Name, Node, Role};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::revision::{Untold, handed, untold};
use crate::render::guide::{Facts, Guide, Platform, guide};
use crate::render::qr::{COMFORTABLE, Code};
use crate::wg::compile::compile;
use crate::wg::config;
use crate::wg::formats::{self, Format, Subject};
use crate::wg::{InterfaceConfig, NodeConfig};

/// As long as a tunnel's name may be in the app on Android.
const SHORT: usize = 15;

/// For whom, and for what.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name or beginning of the guid of a remote.
    pub node: String,
    /// The device's system; `None` takes those that such a device may have.
    pub platform: Option<Platform>,
    /// Where to write the files; `None` only returns them.
    pub directory: Option<PathBuf>,
    /// Whether only to look: nothing is written and nothing recorded.
    pub preview: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the guide was handed over, and that recorded.
    pub saved: bool,
    /// For whom.
    pub node: Name,
    /// For which systems.
    pub platforms: Vec<&'static str>,
    /// Whether there is a code to scan in it.
    pub qr: bool,
    /// The guide as Markdown and as a page, and the config.
    pub files: Vec<Made>,
    /// The remote, if its config doesn't work yet, since hosts don't know the keys in it yet.
    pub untold: Vec<Untold>,
}

/// A file that was made.
#[derive(Serialize)]
pub struct Made {
    /// Its name.
    pub file: String,
    /// Where it was written.
    pub path: Option<PathBuf>,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// The text. Not part of the report: it holds keys.
    #[serde(skip)]
    pub content: Zeroizing<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Writes the guide for a remote, with its config and, for what can scan and where it fits, the code.
///
/// # Errors
///
/// A node that is no remote or disabled; a config that one of the systems can't express; a directory that can't be written.
pub fn write(store: &mut Store, clock: &dyn Clock, actor: &Actor, request: &Request) -> Result<Report, Error> {
    let topology = store.topology()?;
    let secrets = store.secrets()?;
    let node = find::node(&topology, &request.node)?;
    if node.role != Role::Remote {
        return Err(Error::WrongRole { name: node.name.clone(), role: node.role.as_str(), wanted: "a remote" });
    }
    if !node.enabled {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{}` is disabled and has no config", node.name),
            hint: format!("enable it with `wg-friend enable {}`", node.name),
        });
    }
    let configs = compile(&topology).map_err(Error::Model)?;
    let config = configs.iter().find(|config| config.node == node.id).expect("it is enabled, and all were compiled");
    let interface = &config.interfaces[0];
    let platforms = platforms(node, request.platform);
    let text = attached(config, interface, &secrets, &platforms)?;

    let scans = platforms.iter().any(|platform| platform.scans());
    let minimal = config::minimal(interface, &secrets);
    let code = Code::new(&minimal, COMFORTABLE).ok().filter(|_| scans).map(|code| code.svg());
    let facts = facts(&topology.network.name, &configs, config, interface, code.is_some());
    let Guide { markdown, html } = guide(&facts, &platforms, &text, code.as_ref().map(|svg| svg.as_str()));
    let made = |file: String, content: Zeroizing<String>| {
        let sha256 = sha256(content.as_bytes());
        Made { file, path: None, sha256, content }
    };
    let mut report = Report {
        saved: !request.preview,
        node: node.name.clone(),
        platforms: platforms.iter().map(|platform| platform.as_str()).collect(),
        qr: code.is_some(),
        files: vec![
            made(format!("{}-guide.md", node.name), markdown),
            made(format!("{}-guide.html", node.name), html),
            made(facts.file, text),
        ],
        untold: untold(store, &topology, &configs, &secrets, [node])?,
    };
    if request.preview {
        return Ok(report);
    }
    if let Some(directory) = &request.directory {
        for file in &mut report.files {
            let path = directory.join(&file.file);
            private_file::write(&path, file.content.as_bytes())?;
            file.path = Some(path);
        }
    }
    let to = request.directory.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let sha256 = fingerprint(&configs, node.id, &secrets).unwrap_or_default();
    let now = clock.now();
    store.write_all(now, actor, |tx| -> Result<_, Error> {
        handed::record(tx, node, &configs, &secrets, ("guide", &sha256), now)?;
        let event = Event::node(Action::ConfigHandedOut, node).with("method", "guide").with("to", to.as_str());
        Ok(((), vec![event.with("platforms", report.platforms.clone()).with("sha256", sha256.as_str())]))
    })?;
    Ok(report)
}

/// Returns the systems that such a device may have.
fn platforms(node: &Node, wanted: Option<Platform>) -> Vec<Platform> {
    match (wanted, node.device) {
        (Some(platform), _) => vec![platform],
        (None, Some(Device::Mobile)) => vec![Platform::Android, Platform::Ios],
        (None, Some(Device::Laptop)) => vec![Platform::Windows, Platform::MacOs, Platform::Linux],
        (None, Some(Device::Server)) => vec![Platform::Linux],
        (None, None) => Platform::ALL.to_vec(),
    }
}

/// Returns a config that every one of the systems takes.
fn attached(
    config: &NodeConfig,
    interface: &InterfaceConfig,
    secrets: &crate::model::Secrets,
    platforms: &[Platform],
) -> Result<Zeroizing<String>, Error> {
    let (tunnel, _) = tunnel(config, interface, secrets)?;
    let mut text = None;
    for platform in platforms {
        let (format, name) = match platform {
            Platform::Windows => (Format::Windows, config.name.to_string()),
            Platform::MacOs | Platform::Ios => (Format::Apple, config.name.to_string()),
            Platform::Android => (Format::Android, short(config.name.as_str())),
            Platform::Linux => (Format::WgQuick, interface.name.to_string()),
        };
        let subject =
            Subject { name, node: config.name.to_string(), without: Default::default(), halve_default: false };
        let export = formats::write(format, &subject, &tunnel).map_err(|wrong| Error::RefusedWithRemedy {
            message: wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            hint: format!(
                "make the guide for another system, or write the file with `wg-friend export {} --format {format} --without ...`",
                config.name
            ),
        })?;
        text = text.or(export.files.into_iter().next().map(|file| file.content));
    }
    Ok(text.expect("there is a platform, and each has a file"))
}

/// Cuts a name to what Android takes, at a hyphen or dot where there is one.
fn short(name: &str) -> String {
    if name.len() <= SHORT {
        return name.to_owned();
    }
    let cut = &name[..SHORT];
    let end = cut.rfind(['-', '.', '_']).filter(|at| *at > 4).unwrap_or(SHORT);
    cut[..end].to_owned()
}

fn facts(network: &Name, configs: &[NodeConfig], config: &NodeConfig, interface: &InterfaceConfig, qr: bool) -> Facts {
    let allowed = || interface.peers.iter().flat_map(|peer| &peer.allowed_ips);
    // The other end's own address, if it may be asked.
    let other = interface.peers.first().and_then(|peer| configs.iter().find(|config| config.name == peer.name));
    let addresses = other.iter().flat_map(|config| &config.interfaces).flat_map(|interface| &interface.addresses);
    let probe = addresses.map(|address| address.address()).find(|address| allowed().any(|to| to.contains(*address)));
    Facts {
        node: config.name.to_string(),
        network: network.to_string(),
        file: format!("{}.conf", config.name),
        tunnel: config.name.to_string(),
        short: short(config.name.as_str()),
        interface: interface.name.to_string(),
        everything: allowed().any(|to| to.is_default()),
        endpoint: interface.peers.iter().find_map(|peer| peer.endpoint.as_ref()).map(ToString::to_string),
        probe: probe.map(|address| address.to_string()),
        qr,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_short_name_ends_with_a_whole_word_where_it_can() {
        for (name, expected) in [
            ("alice-phone", "alice-phone"),
            ("alices-old-phone-in-the-kitchen", "alices-old"),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmno"),
            ("bob-abcdefghijklmnop", "bob-abcdefghijk"),
        ] {
            assert_eq!(short(name), expected);
        }
    }
}
