//! Making the files of nodes: for people who bring them to their machines by hand.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use similar::TextDiff;
use zeroize::Zeroizing;

use super::{find, private_file};
use crate::db::Store;
use crate::model::{Action, Actor, Custody, Event, InterfaceId, Name, Node, NodeId, Secrets, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::revision::{Untold, handed, untold};
use crate::wg::compile::compile;
use crate::wg::{NodeConfig, config};

/// Which files to make, and what for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Names or beginnings of guids; none means every node whose files can be complete.
    pub nodes: Vec<String>,
    /// Where to write the files; `None` only returns them.
    pub directory: Option<PathBuf>,
    /// Whether to compare with what was generated last.
    pub compare: bool,
    /// Whether only to look: nothing is written and nothing recorded.
    pub preview: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the files were handed over, and that recorded.
    pub saved: bool,
    /// The files, in the order of the nodes.
    pub files: Vec<Made>,
    /// The nodes whose files weren't made.
    pub skipped: Vec<Skipped>,
    /// The nodes whose files don't work yet, since hosts don't know the keys in them yet.
    pub untold: Vec<Untold>,
}

/// A file that was made.
#[derive(Serialize)]
pub struct Made {
    /// Whose.
    pub node: Name,
    /// Where it belongs in the directory: `alice-phone.conf`, `hub/wg0.conf`.
    pub file: String,
    /// Where it was written.
    pub path: Option<PathBuf>,
    /// Whether it was generated before, and differs from that.
    pub state: State,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// Whether the private key is missing and has to be put in by whoever has it.
    pub without_key: bool,
    /// A unified diff from what was generated last, keys hidden; empty when only keys differ or nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// The text. Not part of the report: it holds keys.
    #[serde(skip)]
    pub content: Zeroizing<String>,
    /// Under what the sealed copy is kept: it stays when the node is renamed.
    #[serde(skip)]
    kept_as: (InterfaceId, String),
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("node", &self.node).field("file", &self.file).finish_non_exhaustive()
    }
}

/// How a file compares with what was generated last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There was none.
    New,
    /// It differs.
    Changed,
    /// It is the same.
    Unchanged,
}

/// A node whose files weren't made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Whose.
    pub node: Name,
    /// Why, as the rest of a sentence that begins with the name.
    pub reason: &'static str,
}

/// Makes the files of nodes; writes them to a directory if there is one, keeps a sealed copy of each to compare with the
/// next time, and notes to whom something was handed out.
///
/// # Errors
///
/// An unknown or disabled node, a topology that can't be compiled, a directory that can't be written. What was written
/// before a failure stays there; nothing of it is recorded.
pub fn generate(store: &mut Store, clock: &dyn Clock, actor: &Actor, request: &Request) -> Result<Report, Error> {
    let topology = store.topology()?;
    let secrets = store.secrets()?;
    let (wanted, skipped) = choose(&topology, &secrets, &request.nodes)?;
    let configs = compile(&topology).map_err(Error::Model)?;
    let untold = untold(store, &topology, &configs, &secrets, wanted.iter().copied())?;
    let mut files = Vec::new();
    for node in wanted {
        let Some(config) = configs.iter().find(|config| config.node == node.id) else { continue };
        let made = config::files(config, &secrets);
        let single = made.len() == 1;
        for file in made {
            let interface = owner(config, &file);
            let has_key = |own: &crate::wg::InterfaceConfig| secrets.private_of(own.id, own.public_key).is_some();
            let without_key = file.secret && !config.interfaces.iter().any(|own| own.id == interface && has_key(own));
            files.push(compare(store, interface, file, request.compare, &Place { node, single, without_key })?);
        }
    }
    let only_looks = request.preview || (request.compare && request.directory.is_none());
    let saved = !only_looks;
    if saved && !files.is_empty() {
        if let Some(directory) = &request.directory {
            for file in &mut files {
                let path = directory.join(&file.file);
                private_file::write(&path, file.content.as_bytes())?;
                file.path = Some(path);
            }
        }
        record(store, clock, actor, (&topology, &configs, &secrets), &files, request.directory.as_deref())?;
    }
    Ok(Report { saved, files, skipped, untold })
}

/// Returns the nodes whose files are made, and those whose aren't, with the reason. Whoever is named is made unless he is
/// disabled.
pub(super) fn choose<'a>(
    topology: &'a Topology,
    secrets: &Secrets,
    names: &[String],
) -> Result<(Vec<&'a Node>, Vec<Skipped>), Error> {
    if names.is_empty() {
        let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
        for node in &topology.nodes {
            match reason_to_skip(node, secrets) {
                None => wanted.push(node),
                Some(reason) => skipped.push(Skipped { node: node.name.clone(), reason }),
            }
        }
        return Ok((wanted, skipped));
    }
    let mut wanted: Vec<&Node> = Vec::new();
    for name in names {
        let node = find::node(topology, name)?;
        if !node.enabled {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` is disabled and has no config", node.name),
                hint: format!("enable it with `wg-friend enable {}`", node.name),
            });
        }
        if node.provisional {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` is provisional: only its public key is known, so it has no config", node.name),
                hint: format!("import its file, or give it a key of its own with `wg-friend rotate {}`", node.name),
            });
        }
        if !wanted.iter().any(|known| known.id == node.id) {
            wanted.push(node);
        }
    }
    Ok((wanted, Vec::new()))
}

/// Says why a node has no complete config.
pub(super) fn reason_to_skip(node: &Node, secrets: &Secrets) -> Option<&'static str> {
    if !node.enabled {
        return Some("is disabled");
    }
    let main = node.main();
    if secrets.private_of(main.id, main.staged_key.unwrap_or(main.public_key)).is_some() {
        return None;
    }
    Some(match node.custody {
        _ if node.provisional => "is known only by its public key",
        Custody::NeverSeen => "keeps its private key to itself",
        Custody::ShownOnce => "was shown its private key once, and it is kept nowhere",
        Custody::Held => "has no private key here",
    })
}

/// Returns the interface that a file is about: a firewall comes and goes with the main one.
fn owner(config: &NodeConfig, file: &config::File) -> InterfaceId {
    let named = config.interfaces.iter().find(|interface| file.path == format!("{}.conf", interface.name));
    named.unwrap_or(&config.interfaces[0]).id
}

/// What a file is beyond its text.
struct Place<'a> {
    node: &'a Node,
    single: bool,
    without_key: bool,
}

pub(in crate::ops) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares a file with what was generated last.
fn compare(
    store: &Store,
    interface: InterfaceId,
    file: config::File,
    show: bool,
    place: &Place<'_>,
) -> Result<Made, Error> {
    let name = &place.node.name;
    let at = if place.single { format!("{name}.conf") } else { format!("{name}/{}", file.path) };
    let sha256 = sha256(file.content.as_bytes());
    let last = store.last_generated(interface, &file.path)?;
    let state = match &last {
        None => State::New,
        Some(last) if last.sha256 == sha256 => State::Unchanged,
        Some(_) => State::Changed,
    };
    let diff = show.then(|| {
        let before = last.map(|last| config::mask(&String::from_utf8_lossy(&last.content))).unwrap_or_default();
        let after = config::mask(&file.content);
        let (was, is) = (format!("{at} (last generated)"), format!("{at} (now)"));
        TextDiff::from_lines(before.as_str(), after.as_str()).unified_diff().header(&was, &is).to_string()
    });
    Ok(Made {
        node: name.clone(),
        file: at,
        path: None,
        state,
        sha256,
        without_key: place.without_key,
        diff,
        content: file.content,
        kept_as: (interface, file.path),
    })
}

fn record(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    (topology, configs, secrets): (&Topology, &[NodeConfig], &Secrets),
    files: &[Made],
    directory: Option<&Path>,
) -> Result<(), Error> {
    let now = clock.now();
    let to = directory.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    store.write_all(now, actor, |tx| -> Result<_, Error> {
        let mut events = Vec::new();
        for made in files.chunk_by(|a, b| a.node == b.node) {
            for file in made {
                let (interface, name) = &file.kept_as;
                tx.save_generated(*interface, name, file.content.as_bytes(), now)?;
            }
            let node = find::node(topology, made[0].node.as_str())?;
            handed::record(tx, node, configs, secrets, ("file", &made[0].sha256), now)?;
            let names: Vec<&str> = made.iter().map(|file| file.file.as_str()).collect();
            let event = Event::node(Action::ConfigGenerated, node).with("files", names).with("to", to.as_str());
            events.push(event.with("sha256", made[0].sha256.as_str()));
        }
        Ok(((), events))
    })
}

/// Returns a node's main config as it would be written to a file, with its SHA-256: what a handout is known by, whatever
/// form it takes.
pub(super) fn fingerprint(configs: &[NodeConfig], node: NodeId, secrets: &Secrets) -> Option<String> {
    let config = configs.iter().find(|config| config.node == node)?;
    config::files(config, secrets).first().map(|file| sha256(file.content.as_bytes()))
}
