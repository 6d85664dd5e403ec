//! What a reader returns.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{ByHooks, InterfaceName, PublicKey, Role, Run};
use crate::wg::Tunnel;

/// What one source says about one interface and its peers. Secret: it holds keys.
#[derive(Debug)]
pub struct View {
    /// Where it stands, for messages: a file and the place in it.
    pub source: String,
    /// The interface with its peers.
    pub tunnel: Tunnel,
    /// The file of wg-quick(8) that says the same, where there is one.
    pub text: Option<Zeroizing<String>>,
    /// Its public key, where the private one isn't known.
    pub public_key: Option<PublicKey>,
    /// What the source calls it.
    pub name: Option<String>,
    /// The interface's name on its host.
    pub interface: Option<InterfaceName>,
    /// What it is in the network, where the source says so.
    pub role: Option<Role>,
    /// Whether it runs, where the source says so.
    pub run: Option<Run>,
    /// What its hooks make.
    pub by_hooks: ByHooks,
    /// Whether it may connect. Peers that are switched off stand in the server's tunnel all the same, so that it is
    /// known what they had.
    pub enabled: bool,
}

/// Something that the tool keeps, and that doesn't come over as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What it is about: a name, an interface, a file.
    pub about: String,
    /// What it is, and what to do about it.
    pub text: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Foreign {
    /// One view for each interface and each client, servers first.
    pub views: Vec<View>,
    /// What a view can't hold, sorted.
    pub notes: Vec<Note>,
}
