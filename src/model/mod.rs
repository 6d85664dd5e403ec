//! The nouns: what a WireGuard network is made of. Pure values, valid by construction.
//!
//! Nothing here reads a file, a clock or the network. Each type has one way in (`FromStr` or a constructor), and clap,
//! serde and the store all go through it, so that a value which exists is a value which is right.

mod drift;
mod event;
mod exit_group;
mod exit_rule;
mod group;
mod hook;
mod host;
mod kept;
mod key;
mod link;
mod name;
mod net;
mod network;
mod node;
mod provenance;
mod psk;
mod rotation;
mod secrets;
mod topology;
mod via;

pub use drift::{DriftKind, ScanOutcome};
pub use event::{
    Action, Actor, Category, CommandState, DeploymentState, EntityType, Event, KeyState, Severity, Source,
};
pub use exit_group::{ActiveExit, Egress, ExitGroup, ExitGroupId, ExitMember, SwitchReason};
pub use exit_rule::{ExitRule, RuleAction, RuleHolder};
pub use group::{Destination, Group, GroupId};
pub use hook::{Hook, Phase};
pub use host::{AllowUnsafe, AutoSync, Become, Host, HostAddress, InvalidDestination};
pub use kept::{ByHooks, Kept, KeptEndpoint, KeptPeer, Route, Run, Table};
pub use key::{InvalidKey, PresharedKey, PrivateKey, PublicKey};
pub use link::{InvalidWeight, Link, LinkId, Weight, WhenDown};
pub use name::{InterfaceName, InvalidName, Name};
pub use net::{Cidr, Endpoint, EndpointHost, InterfaceAddr, InvalidNet, Mtu, Port};
pub use network::{Network, NetworkId, PskPolicy, STABLE_CLIENTS};
pub use node::{
    Access, Custody, Device, Grant, Interface, InterfaceId, InterfaceKind, InvalidWord, Lan, Node, NodeId, Origin,
    Overlap, PortRange, Protocol, Role,
};
pub use provenance::Provenance;
pub use psk::{AllPskRules, PSK_EVERY_DAYS, PSK_NOTICE_DAYS, PskRules, PskScope, PskTrigger, PskWanted};
pub use rotation::{PolicyId, RotationEvent, RotationPolicy, Selector, Trigger};
pub use secrets::Secrets;
pub use topology::Topology;
pub use via::{InvalidVia, Via};
