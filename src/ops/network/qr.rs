//! Configs as QR codes, for phones.

use std::path::PathBuf;

use serde::Serialize;
use zeroize::Zeroizing;

use super::generate::{Skipped, fingerprint, reason_to_skip};
use super::{find, private_file};
use crate::db::Store;
use crate::model::{Action, Actor, Event, Name, Node, Role, Secrets, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::revision::{Untold, handed, untold};
use crate::render::qr::{COMFORTABLE, Code, HARD_LIMIT, NoCode};
use crate::wg::compile::compile;
use crate::wg::{NodeConfig, config};

/// Pixels a module in a PNG: 10 makes a code of a few hundred bytes about 700 pixels wide.
const SCALE: usize = 10;

/// How a code is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Half blocks for a terminal.
    Terminal {
        /// For dark text on a light ground.
        inverted: bool,
    },
    /// A PNG image.
    Png,
    /// An SVG image.
    Svg,
}

impl Form {
    /// What the handout is recorded as, and the ending of a file's name.
    pub fn method(self) -> &'static str {
        match self {
            Self::Terminal { .. } => "qr",
            Self::Png => "png",
            Self::Svg => "svg",
        }
    }
}

/// For whom a code is drawn, how, and where to.
#[derive(Clone, Debug)]
pub enum Request {
    /// For one remote; to a file, or only returned.
    One {
        /// Name or beginning of the guid.
        node: String,
        /// Where to write it.
        file: Option<PathBuf>,
    },
    /// For every remote with a complete config, one file each.
    All {
        /// Where to write them.
        directory: PathBuf,
    },
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the codes were handed over, and that recorded.
    pub saved: bool,
    /// The codes.
    pub codes: Vec<Drawn>,
    /// The remotes for whom none was drawn.
    pub skipped: Vec<Skipped>,
    /// The remotes whose codes don't work yet, since hosts don't know the keys in them yet.
    pub untold: Vec<Untold>,
}

/// A code that was drawn.
#[derive(Serialize)]
pub struct Drawn {
    /// Whose.
    pub node: Name,
    /// Bytes of the config in it.
    pub bytes: usize,
    /// Columns that it takes in a terminal.
    pub columns: usize,
    /// Where it was written.
    pub path: Option<PathBuf>,
    /// The picture. Not part of the report: it holds keys.
    #[serde(skip)]
    pub picture: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("node", &self.node).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Draws the config of one remote or of all. `large` permits codes that not every phone reads. A preview writes and
/// records nothing.
///
/// # Errors
///
/// A node that is no remote, is disabled or has no private key here; a config that is too big for a code. Of all remotes,
/// those are skipped.
pub fn draw(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Request,
    form: Form,
    large: bool,
    preview: bool,
) -> Result<Report, Error> {
    let topology = store.topology()?;
    let secrets = store.secrets()?;
    let configs = compile(&topology).map_err(Error::Model)?;
    let limit = if large { HARD_LIMIT } else { COMFORTABLE };
    let (mut codes, mut skipped) = (Vec::new(), Vec::new());
    match request {
        Request::One { node, file } => {
            let node = drawable(&topology, &secrets, node)?;
            let path = file.clone();
            codes.push((node, one(&configs, &secrets, node, form, limit, path)?));
        }
        Request::All { directory } => {
            for node in topology.nodes.iter().filter(|node| node.role == Role::Remote) {
                let skip = |reason| Skipped { node: node.name.clone(), reason };
                let path = Some(directory.join(format!("{}.{}", node.name, form.method())));
                match reason_to_skip(node, &secrets) {
                    Some(reason) => skipped.push(skip(reason)),
                    None => match one(&configs, &secrets, node, form, limit, path) {
                        Ok(code) => codes.push((node, code)),
                        Err(_) => skipped.push(skip("has a config of which there is no code that phones read")),
                    },
                }
            }
        }
    }
    let untold = untold(store, &topology, &configs, &secrets, codes.iter().map(|(node, _)| *node))?;
    if !preview && !codes.is_empty() {
        for (_, code) in &codes {
            if let Some(path) = &code.path {
                private_file::write(path, &code.picture)?;
            }
        }
        let now = clock.now();
        store.write_all(now, actor, |tx| -> Result<_, Error> {
            let mut events = Vec::new();
            for (node, code) in &codes {
                let sha256 = fingerprint(&configs, node.id, &secrets).unwrap_or_default();
                handed::record(tx, node, &configs, &secrets, (form.method(), &sha256), now)?;
                let event = Event::node(Action::ConfigHandedOut, node).with("method", form.method());
                events.push(event.with("sha256", sha256).with("bytes", code.bytes));
            }
            Ok(((), events))
        })?;
    }
    Ok(Report { saved: !preview, codes: codes.into_iter().map(|(_, code)| code).collect(), skipped, untold })
}

/// Finds a remote whose config is complete.
fn drawable<'a>(topology: &'a Topology, secrets: &Secrets, wanted: &str) -> Result<&'a Node, Error> {
    let node = find::node(topology, wanted)?;
    if node.role != Role::Remote {
        return Err(Error::WrongRole { name: node.name.clone(), role: node.role.as_str(), wanted: "a remote" });
    }
    match reason_to_skip(node, secrets) {
        None => Ok(node),
        Some(reason) => Err(Error::RefusedWithRemedy {
            message: format!("there is no code for `{0}`: it {reason}", node.name),
            hint: match node.enabled {
                false => format!("enable it with `wg-friend enable {}`", node.name),
                true => format!(
                    "`wg-friend generate {0}` makes a file into which its owner puts the key, `wg-friend rotate {0}` \
                     gives it a new one",
                    node.name
                ),
            },
        }),
    }
}

fn one(
    configs: &[NodeConfig],
    secrets: &Secrets,
    node: &Node,
    form: Form,
    limit: usize,
    path: Option<PathBuf>,
) -> Result<Drawn, Error> {
    let config = configs.iter().find(|config| config.node == node.id).expect("it is enabled, and all were compiled");
    let text = config::minimal(&config.interfaces[0], secrets);
    let code = Code::new(&text, limit).map_err(|error| Error::RefusedWithRemedy {
        message: match error {
            NoCode::TooBig { .. } => format!("the config of `{}` is too big: {error}", node.name),
            NoCode::Unreadable => format!("there is no code for `{}`: {error}", node.name),
        },
        hint: match error {
            NoCode::TooBig { bytes: ..=HARD_LIMIT, .. } if limit < HARD_LIMIT => format!(
                "hand it out as a file with `wg-friend generate {} --dir DIR`, or try a dense code with --large",
                node.name
            ),
            _ => format!("hand it out as a file with `wg-friend generate {} --dir DIR`", node.name),
        },
    })?;
    let picture = match form {
        Form::Terminal { inverted } => Zeroizing::new(code.terminal(inverted).as_bytes().to_vec()),
        Form::Png => code.png(SCALE),
        Form::Svg => Zeroizing::new(code.svg().as_bytes().to_vec()),
    };
    Ok(Drawn { node: node.name.clone(), bytes: text.len(), columns: code.columns(), path, picture })
}
