//! What is asked, and what is answered.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::{Cidr, InterfaceName, Name, NodeId, Port, Protocol};

/// What kind of packets: a connection to a port, or a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// The protocol. [`Protocol::Any`] is one that is none of the others.
    pub protocol: Protocol,
    /// The port at the far end, with TCP and UDP.
    pub port: Option<Port>,
}

impl Flow {
    /// A ping.
    pub const PING: Self = Self { protocol: Protocol::Icmp, port: None };

    /// A TCP connection.
    pub fn tcp(port: Port) -> Self {
        Self { protocol: Protocol::Tcp, port: Some(port) }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{} {port}", self.protocol),
            None => self.protocol.fmt(f),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// The node that asks, or behind which the asking host is.
    pub node: NodeId,
    /// Which of its own addresses it asks from, or the address of a host in one of its LANs; `None` lets the node choose
    /// as its kernel would.
    pub address: Option<IpAddr>,
}

impl Party {
    /// A node, with the source address that its kernel would choose.
    pub fn node(node: NodeId) -> Self {
        Self { node, address: None }
    }
}

/// One end of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// The node that it is, or behind which it is; `None` when no node of the network is.
    pub node: Option<Name>,
    /// Its address; `None` when the model can't know which it will be.
    pub address: Option<IpAddr>,
    /// The LAN in which it is, when it is no node itself.
    pub lan: Option<Cidr>,
}

/// How a packet gets from one place to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Through a WireGuard tunnel to a peer.
    Tunnel,
    /// Between a node and a LAN that it is in.
    Lan,
    /// Between a node and the internet.
    Internet,
    /// By a connection of the asking machine's own that has nothing to do with the network.
    OwnConnection,
}

/// One step of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// The node that sends, or into which a packet comes from outside.
    pub node: Name,
    /// How it goes on.
    pub way: Way,
    /// The interface it goes out by; for packets that come from outside, the one they come in by. `None` for a connection
    /// that the model knows nothing of.
    pub interface: Option<InterfaceName>,
    /// In a tunnel, the node at the other end.
    pub peer: Option<Name>,
    /// In a tunnel, the AllowedIP of the sending end that holds the destination: the longest of the interface.
    pub allowed_ip: Option<Cidr>,
    /// In a tunnel, the AllowedIP of the receiving end that holds the source.
    pub accepted_by: Option<Cidr>,
    /// The LAN that is entered or left.
    pub lan: Option<Cidr>,
    /// Whether the packet gets the node's own address as its source here.
    pub translated: bool,
    /// The firewall rule of `node` that let the packet pass, in words; `None` when none judges it there.
    pub rule: Option<String>,
}

/// What kind of thing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Nothing stops the packet or the answer.
    Open,
    /// The packet leaves by the machine's own connection and never comes near the network.
    OwnConnection,
    /// A node that is needed is disabled.
    Disabled,
    /// An end has no address in the family.
    NoAddress,
    /// No AllowedIP holds the address: the packet isn't sent into a tunnel, or to no peer.
    NoAllowedIp,
    /// The receiving end of a tunnel doesn't accept the source from that peer.
    NotAccepted,
    /// The other end doesn't know the key of this one, or neither knows where the other is.
    NoTunnel,
    /// The interface isn't meant to run.
    NotRunning,
    /// A firewall drops it.
    Firewall,
    /// A node doesn't forward packets.
    NotForwarding,
    /// Nothing translates the source, so that no answer finds the way back.
    NoTranslation,
    /// The answer takes another way than the question, and is refused there.
    AnswerAstray,
    /// The packet goes round in circles.
    Loop,
    /// No node knows the address.
    Nobody,
}

/// What decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The node at which it is decided.
    pub node: Name,
    /// What kind of thing decides.
    pub code: Code,
    /// Whether it is the answer that is stopped.
    pub on_the_way_back: bool,
    /// In words, beginning with the node.
    pub text: String,
}

/// Whether one reaches another, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who asks.
    pub from: End,
    /// Who is asked.
    pub to: End,
    /// By what.
    #[serde(flatten)]
    pub flow: Flow,
    /// Whether the packet arrives and the answer comes back.
    pub reaches: bool,
    /// Whether a tunnel carries it.
    pub through_tunnel: bool,
    /// The way there, as far as it goes.
    pub out: Vec<Hop>,
    /// The way back, as far as it goes; empty when the packet doesn't arrive.
    pub back: Vec<Hop>,
    /// What decides.
    pub decided_by: Decision,
    /// What could be done about a no; each is a command, or a sentence.
    pub remedies: Vec<String>,
    /// What the answer takes for granted because the model can't know it.
    pub provided: Vec<String>,
}
