//! What is wrong or remarkable about a set of views. Nothing in here is secret.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::{Cidr, Endpoint, Name, Port, PublicKey, Role, Severity};
use crate::wg::compile::Refusal;

/// Why some views are not one network. The `source`s are those of the views.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Conflict {
    /// Nothing was given.
    #[error("there is no configuration to adopt")]
    Nothing,
    /// A view that can't be told apart from others.
    #[error(
        "`{view}` has no private key, and no other source has its address at a peer: give its public key, which `wg show` \
         prints on the device"
    )]
    NoKey {
        /// The view.
        view: String,
    },
    /// A view whose address belongs to two keys.
    #[error(
        "`{view}` has no private key, and its address belongs to both {first} and {second}: give its public key, which \
         `wg show` prints on the device"
    )]
    AmbiguousKey {
        /// The view.
        view: String,
        /// One key.
        first: PublicKey,
        /// Another.
        second: PublicKey,
    },
    /// A private key and a public one that don't belong together.
    #[error(
        "the private key of `{view}` belongs to {private}, but its public key is said to be {public}: one is wrong"
    )]
    KeyMismatch {
        /// The view.
        view: String,
        /// The public half of its private key.
        private: PublicKey,
        /// What is said.
        public: PublicKey,
    },
    /// The same interface in two versions.
    #[error(
        "`{first}` and `{second}` are the same interface ({key}) and differ: leave out the one that is out of date"
    )]
    Versions {
        /// A view.
        first: String,
        /// Another.
        second: String,
        /// Their key.
        key: PublicKey,
    },
    /// An interface that is its own peer.
    #[error("`{view}` has its own key {key} as a peer: remove that peer")]
    OwnPeer {
        /// The view.
        view: String,
        /// The key.
        key: PublicKey,
    },
    /// The two ends of a link have different preshared keys, or only one of them has one.
    #[error(
        "`{first}` and `{second}` are peers and don't have the same preshared key, so that nothing passes between them: \
         correct one, or leave out the one that is out of date"
    )]
    Preshared {
        /// A view.
        first: String,
        /// The view of the other end.
        second: String,
    },
    /// Two roles for one node, by the operator's word.
    #[error("`{first}` and `{second}` are the same node: it can't be both {role} and {other}")]
    Roles {
        /// A view.
        first: String,
        /// Another of the same node.
        second: String,
        /// The role given with the first.
        role: Role,
        /// The role given with the second.
        other: Role,
    },
    /// A network has one server.
    #[error(
        "`{first}` and `{second}` are both servers with clients of their own, and a network has one: import them as two \
         networks, or say that one of them is a router"
    )]
    TwoServers {
        /// A view, or a key.
        first: String,
        /// Another.
        second: String,
    },
    /// Views of networks that have nothing to do with each other.
    #[error("these are not one network, for no key connects {}: import each part by itself", listed(.parts))]
    Apart {
        /// The sources of each part.
        parts: Vec<Vec<String>>,
    },
    /// What was joined can't be compiled.
    #[error("what the sources say together can't work: {0}")]
    Refused(String),
    /// Something that the model has no place for.
    #[error("`{view}` has {what}, for which a network has no place here: leave it out, or change it")]
    NoPlace {
        /// The view.
        view: String,
        /// What.
        what: String,
    },
}

impl From<Refusal> for Conflict {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

/// Returns the parts as `a.conf, b.conf` with `c.conf`.
fn listed(parts: &[Vec<String>]) -> String {
    let part = |sources: &Vec<String>| format!("`{}`", sources.join("`, `"));
    parts.iter().map(part).collect::<Vec<_>>().join(" with ")
}

/// Returns the first few of some sources, and how many more there are.
fn some(views: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = views.iter().take(SHOWN).map(|view| format!("`{view}`")).collect::<Vec<_>>().join(", ");
    match views.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Something that the operator should know about the sources. None of it keeps them from being adopted as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding {
    /// One address at two nodes.
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// Who has it in the model.
        owner: Name,
        /// Who claims it too.
        other: Name,
        /// Where the claim is.
        view: String,
    },
    /// A peer doesn't accept the address that a node has.
    AddressNotAccepted {
        /// Whose.
        node: Name,
        /// Its address.
        address: IpAddr,
        /// The view that says so.
        view: String,
        /// The view whose peer entry lacks the address.
        peer_view: String,
    },
    /// A node is dialled at a port on which it doesn't listen.
    OtherPort {
        /// Who is dialled.
        node: Name,
        /// Where it listens.
        port: Port,
        /// Where it is dialled.
        endpoint: Endpoint,
        /// The views that dial it so.
        views: Vec<String>,
    },
    /// A node is dialled elsewhere than most do.
    OtherEndpoint {
        /// Who is dialled.
        node: Name,
        /// Where most dial it.
        usual: Endpoint,
        /// Where these do.
        endpoint: Endpoint,
        /// The views that dial it so.
        views: Vec<String>,
    },
    /// A link of which one end knows nothing.
    OneSided {
        /// Who has the other as a peer.
        node: Name,
        /// Who hasn't.
        other: Name,
        /// The view with the peer.
        view: String,
        /// The view without.
        other_view: String,
    },
    /// A peer that stands under another key than its own: the key was changed on one side only.
    OtherKey {
        /// Who is meant.
        node: Name,
        /// The key that it stands under.
        key: PublicKey,
        /// The view with that key.
        view: String,
        /// The node's own view, which has the other as a peer.
        own_view: String,
    },
    /// A node that isn't a peer of the server.
    NotAtServer {
        /// Who.
        node: Name,
        /// The server.
        server: Name,
    },
    /// Nobody says where the server is dialled.
    NoEndpoint {
        /// The server.
        server: Name,
    },
    /// The same AllowedIPs at two peers of an interface.
    SharedPrefix {
        /// The view.
        view: String,
        /// The prefix.
        prefix: Cidr,
        /// The peer that has it to no effect.
        without: PublicKey,
        /// The last peer with it, which gets the packets.
        with: PublicKey,
    },
    /// A prefix behind a node that can't be one of its LANs.
    NotALan {
        /// Whose.
        node: Name,
        /// The prefix.
        prefix: Cidr,
        /// What it overlaps, in words.
        because: String,
    },
    /// Two nodes of one name.
    NameTaken {
        /// The name.
        name: Name,
        /// What the second is called instead.
        instead: Name,
    },
    /// Two sources say the same.
    SameTwice {
        /// The source that is used.
        used: String,
        /// The other.
        other: String,
    },
    /// Internet traffic could leave by several exits.
    ExitUnknown {
        /// Whose.
        node: Name,
        /// The exit that was chosen.
        exit: Name,
    },
}

impl Finding {
    /// Returns how much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AddressTaken { .. } | Self::AddressNotAccepted { .. } => Severity::Warning,
            Self::OneSided { .. } | Self::OtherKey { .. } => Severity::Warning,
            Self::SharedPrefix { .. } | Self::NoEndpoint { .. } | Self::NotALan { .. } => Severity::Warning,
            Self::OtherPort { .. } | Self::OtherEndpoint { .. } | Self::NotAtServer { .. } => Severity::Info,
            Self::NameTaken { .. } | Self::SameTwice { .. } | Self::ExitUnknown { .. } => Severity::Info,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken { address, owner, other, view } => {
                write!(
                    f,
                    "{address} is `{owner}`'s, and `{view}` gives it to `{other}` too: packets reach one of them only"
                )
            }
            Self::AddressNotAccepted { node, address, view, peer_view } => write!(
                f,
                "`{node}` has {address} in `{view}`, which `{peer_view}` doesn't have at that peer: packets from it are dropped"
            ),
            Self::OtherPort { node, port, endpoint, views } => write!(
                f,
                "`{node}` listens on port {port} and is dialled at {endpoint} by {}: right only if something forwards it",
                some(views)
            ),
            Self::OtherEndpoint { node, usual, endpoint, views } => {
                write!(f, "`{node}` is dialled at {endpoint} by {}, and mostly at {usual}: both are kept", some(views))
            }
            Self::OneSided { node, other, view, other_view } => write!(
                f,
                "`{view}` has `{other}` as a peer, but `{other_view}` doesn't have `{node}`: they can't talk, and are kept so"
            ),
            Self::OtherKey { node, key, view, own_view } => write!(
                f,
                "`{view}` has the key {key} at a peer that seems to be `{node}`, which has another in `{own_view}`: they \
                 can't talk until both have the same"
            ),
            Self::NotAtServer { node, server } => {
                write!(f, "`{node}` isn't a peer of the server `{server}`: it reaches those whom it is linked to")
            }
            Self::NoEndpoint { server } => write!(
                f,
                "no source says where `{server}` is dialled: tell it by `wg-friend set {server} endpoint=HOST` before you \
                 add clients"
            ),
            Self::SharedPrefix { view, prefix, without, with } => write!(
                f,
                "`{view}` has {prefix} at two peers: WireGuard gives it to the last one, {with}, and {without} gets nothing"
            ),
            Self::NotALan { node, prefix, because } => {
                write!(
                    f,
                    "{prefix} behind `{node}` can't be a LAN here, for {because}: it is kept in the files that have it"
                )
            }
            Self::NameTaken { name, instead } => write!(f, "two nodes are called `{name}`: one becomes `{instead}`"),
            Self::SameTwice { used, other } => write!(f, "`{other}` says the same as `{used}`, which is used"),
            Self::ExitUnknown { node, exit } => {
                write!(f, "which exit `{node}` uses is in no source: `{exit}` is assumed")
            }
        }
    }
}
