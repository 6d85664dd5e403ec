//! Nodes' configurations in the words of other systems.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::generate::{fingerprint, reason_to_skip, sha256};
use super::{find, private_file};
use crate::db::Store;
use crate::model::{Action, Actor, Event, InterfaceName, Name, Node, Secrets};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::revision::{Untold, handed, untold};
use crate::wg::compile::compile;
use crate::wg::config::{self, Document, Mode};
use crate::wg::formats::{self, Export, Feature, Format, Inexpressible, LeftOut, OutFile, Subject};
use crate::wg::{InterfaceConfig, NodeConfig, Tunnel};

/// Where the files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Nowhere: they are only returned.
    Memory,
    /// One alone into this file, several into this directory.
    Path(PathBuf),
    /// All into this archive.
    Zip(PathBuf),
}

/// What to write, in whose words.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names or beginnings of guids.
    pub nodes: Vec<String>,
    /// The system.
    pub format: Format,
    /// Only this interface of the nodes.
    pub interface: Option<InterfaceName>,
    /// What the tunnel is called there; `None` takes the interface's name, and the node's for apps.
    pub name: Option<String>,
    /// What is knowingly left out.
    pub without: BTreeSet<Feature>,
    /// Whether default routes are written as their halves, so that Windows doesn't block everything else.
    pub halve_default: bool,
    /// Where the files go.
    pub to: To,
    /// Whether all of it is put into one archive, also when it is only returned.
    pub archive: bool,
    /// Whether only to look: nothing is written and nothing recorded.
    pub preview: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the files were handed over, and that recorded.
    pub saved: bool,
    /// In whose words.
    pub format: Format,
    /// The archive, if one was written.
    pub archive: Option<PathBuf>,
    /// The files, in the order of the nodes.
    pub files: Vec<Made>,
    /// What was left out.
    pub left_out: Vec<Missing>,
    /// What the person who installs them has to know or do, each once.
    pub notes: Vec<String>,
    /// The nodes whose files don't work yet, since hosts don't know the keys in them yet.
    pub untold: Vec<Untold>,
    /// The archive itself, where one was wanted. Not part of the report: it holds keys.
    #[serde(skip)]
    pub zipped: Option<Zeroizing<Vec<u8>>>,
}

/// A file that was made.
#[derive(Serialize)]
pub struct Made {
    /// Whose.
    pub node: Name,
    /// Of which interface.
    pub interface: InterfaceName,
    /// Its name in the directory or archive.
    pub file: String,
    /// Where it was written.
    pub path: Option<PathBuf>,
    /// Whether keys are in it.
    pub secret: bool,
    /// Where it goes on the other system.
    pub place: String,
    /// The mode that it needs there, in octal.
    pub mode: String,
    /// Who owns it there; empty when that doesn't matter.
    pub owner: &'static str,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// The text. Not part of the report: it holds keys.
    #[serde(skip)]
    pub content: Zeroizing<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("node", &self.node).field("file", &self.file).finish_non_exhaustive()
    }
}

/// Something of a node's configuration that is missing in what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Whose.
    pub node: Name,
    /// Of which interface.
    pub interface: InterfaceName,
    /// What, and by what word.
    #[serde(flatten)]
    pub what: LeftOut,
}

/// Writes nodes' configurations for another system, and notes to whom something was handed out.
///
/// # Errors
///
/// An unknown or disabled node; anything that the system can't express and that isn't named in `without`; a place that
/// can't be written.
pub fn export(store: &mut Store, clock: &dyn Clock, actor: &Actor, request: &Request) -> Result<Report, Error> {
    let topology = store.topology()?;
    let secrets = store.secrets()?;
    let configs = compile(&topology).map_err(Error::Model)?;
    let mut nodes: Vec<&Node> = Vec::new();
    for name in &request.nodes {
        let node = find::node(&topology, name)?;
        if let (false, Some(reason)) = (node.enabled, reason_to_skip(node, &secrets)) {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` can't be exported: it {reason}", node.name),
                hint: format!("enable it with `wg-friend enable {}`", node.name),
            });
        }
        if !nodes.iter().any(|known| known.id == node.id) {
            nodes.push(node);
        }
    }
    if let (Some(name), true) = (&request.name, nodes.len() > 1) {
        return Err(Error::value("name", format!("`{name}` can't be the name of several nodes' tunnels")));
    }
    let mut report = Report {
        saved: !request.preview,
        format: request.format,
        archive: None,
        files: Vec::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
        untold: untold(store, &topology, &configs, &secrets, nodes.iter().copied())?,
        zipped: None,
    };
    let mut refused = Vec::new();
    for node in &nodes {
        let config =
            configs.iter().find(|config| config.node == node.id).expect("it is enabled, and all were compiled");
        let folder = nodes.len() > 1 && !request.format.is_app();
        one_node(config, &secrets, request, folder, &mut report, &mut refused)?;
    }
    if !refused.is_empty() {
        return Err(inexpressible(&refused));
    }
    if request.archive {
        report.zipped = Some(zip(&report.files)?);
    }
    if !request.preview {
        put(request, &mut report)?;
        record(store, clock, actor, request, &nodes, &configs, &secrets, &report)?;
    }
    Ok(report)
}

/// Writes every interface of a node that is asked for.
fn one_node(
    config: &NodeConfig,
    secrets: &Secrets,
    request: &Request,
    folder: bool,
    report: &mut Report,
    refused: &mut Vec<(Name, Inexpressible)>,
) -> Result<(), Error> {
    let wanted: Vec<&InterfaceConfig> = config
        .interfaces
        .iter()
        .filter(|interface| request.interface.as_ref().is_none_or(|name| *name == interface.name))
        .collect();
    let has = || config.interfaces.iter().map(|interface| interface.name.to_string()).collect::<Vec<_>>().join(", ");
    match wanted.as_slice() {
        [] => {
            let wanted = request.interface.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` has no interface `{wanted}`", config.name),
                hint: format!("it has {}", has()),
            });
        }
        [_, _, ..] if request.format.is_app() || request.name.is_some() => {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` has several interfaces, and here is place for one", config.name),
                hint: format!("choose one with `--interface`: it has {}", has()),
            });
        }
        _ => {}
    }
    for interface in wanted {
        let (tunnel, beside) = tunnel(config, interface, secrets)?;
        let name = match (&request.name, request.format.is_app()) {
            (Some(name), _) => name.clone(),
            (None, true) => config.name.to_string(),
            (None, false) => interface.name.to_string(),
        };
        let subject = Subject {
            name,
            node: config.name.to_string(),
            without: request.without.clone(),
            halve_default: request.halve_default,
        };
        let runs_hooks = matches!(request.format, Format::WgQuick | Format::NixOs)
            && !request.without.contains(&Feature::Hooks)
            && !tunnel.hooks.is_empty();
        if runs_hooks && subject.name != interface.name.as_str() {
            same_name(config, interface, &tunnel, &subject.name)?;
        }
        match formats::write(request.format, &subject, &tunnel) {
            Ok(mut export) => {
                if runs_hooks {
                    export.files.extend(beside);
                }
                add(report, config, interface, export, folder);
            }
            Err(wrong) => refused.extend(wrong.into_iter().map(|wrong| (config.name.clone(), wrong))),
        }
    }
    Ok(())
}

/// Refuses another name for an interface whose hooks speak of it by name.
fn same_name(config: &NodeConfig, interface: &InterfaceConfig, tunnel: &Tunnel, name: &str) -> Result<(), Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '.');
    let names = |command: &str| command.split(|c| !word(c)).any(|part| part == interface.name.as_str());
    if !tunnel.hooks.iter().any(|hook| names(&hook.command)) {
        return Ok(());
    }
    Err(Error::RefusedWithRemedy {
        message: format!(
            "the hooks of `{}` speak of {} by name, so it can't be called {name}",
            config.name, interface.name
        ),
        hint: format!(
            "rename it with `wg-friend set {} interface={name}`, or leave the hooks out with `--without hooks`",
            config.name
        ),
    })
}

/// Returns what an interface's file means, and the files that its hooks load.
///
/// The file itself is read, so that an adopted interface's own hooks and keys are part of it.
pub(super) fn tunnel(
    config: &NodeConfig,
    interface: &InterfaceConfig,
    secrets: &Secrets,
) -> Result<(Tunnel, Vec<OutFile>), Error> {
    let own = format!("{}.conf", interface.name);
    let (mut text, mut beside, mut ours) = (None, Vec::new(), false);
    for file in config::files(config, secrets) {
        if file.path.ends_with(".conf") {
            ours = file.path == own;
        }
        match (ours, file.path == own) {
            (true, true) => text = Some(file.content),
            (true, false) => beside.push(OutFile {
                place: format!("{}/{}", config::DIRECTORY, file.path),
                name: file.path,
                content: file.content,
                secret: file.secret,
                mode: 0o600,
                owner: "root:root",
            }),
            (false, _) => {}
        }
    }
    let text = text.expect("every interface of a node has a file");
    let reading = Document::parse(&text).read(Mode::Keep).map_err(|faults| Error::RefusedWithRemedy {
        message: format!(
            "the file of {} on `{}` can't be read: {}",
            interface.name,
            config.name,
            faults.first().map(ToString::to_string).unwrap_or_default()
        ),
        hint: format!("see it with `wg-friend generate {}`", config.name),
    })?;
    let mut tunnel = reading.tunnel;
    for peer in &mut tunnel.peers {
        let known = interface.peers.iter().find(|known| known.public_key == peer.public_key);
        peer.name = known.map(|known| known.name.to_string()).or(peer.name.take());
    }
    Ok((tunnel, beside))
}

fn add(report: &mut Report, config: &NodeConfig, interface: &InterfaceConfig, export: Export, folder: bool) {
    for file in export.files {
        let at = if folder { format!("{}/{}", config.name, file.name) } else { file.name };
        report.files.push(Made {
            node: config.name.clone(),
            interface: interface.name.clone(),
            file: at,
            path: None,
            secret: file.secret,
            place: file.place,
            mode: format!("{:04o}", file.mode),
            owner: file.owner,
            sha256: sha256(file.content.as_bytes()),
            content: file.content,
        });
    }
    for what in export.left_out {
        report.left_out.push(Missing { node: config.name.clone(), interface: interface.name.clone(), what });
    }
    for note in export.notes {
        if !report.notes.contains(&note) {
            report.notes.push(note);
        }
    }
}

/// So many things are told before the rest is counted.
const SHOWN: usize = 8;

fn inexpressible(refused: &[(Name, Inexpressible)]) -> Error {
    let mut lines: Vec<String> = refused.iter().take(SHOWN).map(|(node, wrong)| format!("`{node}`: {wrong}")).collect();
    if let Some(more @ 1..) = refused.len().checked_sub(SHOWN) {
        lines.push(format!("and {more} more"));
    }
    let features: BTreeSet<&str> = refused.iter().filter_map(|(_, wrong)| wrong.feature).map(Feature::as_str).collect();
    let words = features.into_iter().collect::<Vec<_>>().join(",");
    let list = "`wg-friend export --format list` shows what each format can express";
    let hint =
        if words.is_empty() { list.to_owned() } else { format!("`--without {words}` leaves it out knowingly; {list}") };
    Error::RefusedWithRemedy { message: lines.join("\n"), hint }
}

/// Puts the files into an archive. Nothing is compressed, and nothing in it depends on the time.
fn zip(files: &[Made]) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Made large enough at once: a buffer that grows leaves copies of keys behind.
    let room = files.iter().map(|file| 512 + 2 * file.file.len() + file.content.len()).sum::<usize>() + 1024;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let mut archive = zip::ZipWriter::new(Cursor::new(&mut *bytes));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o600);
    let mut write = || -> zip::result::ZipResult<()> {
        for file in files {
            archive.start_file(file.file.as_str(), options)?;
            archive.write_all(file.content.as_bytes())?;
        }
        Ok(())
    };
    let outcome = write().and_then(|()| archive.finish().map(drop));
    outcome.map_err(|error| Error::RefusedWithRemedy {
        message: format!("the files can't be put into an archive: {error}"),
        hint: "export them into a directory with `--out DIR`".to_owned(),
    })?;
    Ok(bytes)
}

/// Writes what was made to where it goes.
fn put(request: &Request, report: &mut Report) -> Result<(), Error> {
    match (&request.to, &report.zipped) {
        (To::Memory, _) => {}
        (To::Zip(path), zipped) => {
            let bytes = match zipped {
                Some(bytes) => bytes,
                None => &zip(&report.files)?,
            };
            private_file::write(path, bytes)?;
            report.archive = Some(path.clone());
        }
        (To::Path(path), _) => {
            let directory =
                report.files.len() > 1 || path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
            for file in &mut report.files {
                let to: PathBuf = if directory { path.join(Path::new(&file.file)) } else { path.clone() };
                private_file::write(&to, file.content.as_bytes())?;
                file.path = Some(to);
            }
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "all that is known about what was handed out")]
fn record(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Request,
    nodes: &[&Node],
    configs: &[NodeConfig],
    secrets: &Secrets,
    report: &Report,
) -> Result<(), Error> {
    let now = clock.now();
    let to = match &request.to {
        To::Memory => "standard output".to_owned(),
        To::Path(path) | To::Zip(path) => path.display().to_string(),
    };
    store.write_all(now, actor, |tx| -> Result<_, Error> {
        let mut events = Vec::new();
        for node in nodes {
            let sha256 = fingerprint(configs, node.id, secrets).unwrap_or_default();
            handed::record(tx, node, configs, secrets, ("export", &sha256), now)?;
            let files: Vec<&str> =
                report.files.iter().filter(|file| file.node == node.name).map(|file| file.file.as_str()).collect();
            let left_out: BTreeSet<&str> = report
                .left_out
                .iter()
                .filter(|gone| gone.node == node.name)
                .map(|gone| gone.what.feature.as_str())
                .collect();
            let event = Event::node(Action::ConfigHandedOut, node)
                .with("method", "export")
                .with("format", request.format.as_str())
                .with("files", files)
                .with("without", left_out.into_iter().collect::<Vec<_>>())
                .with("to", to.as_str());
            events.push(event.with("sha256", sha256));
        }
        Ok(((), events))
    })
}
