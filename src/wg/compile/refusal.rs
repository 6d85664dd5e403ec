//! Why a topology can't be compiled: each reason names both sides and says what to do.

use std::net::IpAddr;

use crate::model::{Access, Cidr, Endpoint, Grant, InterfaceName, Mtu, Name, Port, PublicKey, Role};

use super::Broken;

/// Something that no configuration could make right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Exits that can't be one after another.
    #[error(transparent)]
    Chain(#[from] Broken),
    /// Nobody for the others to link to.
    #[error("the network has no enabled server: add one with `wg-friend add server`, or enable the one it has")]
    NoServer,
    /// A node belongs to something that is no server.
    #[error(
        "`{node}` belongs to `{other}`, a {role}: nodes belong to a server, so `wg-friend set {node} server=NAME` another"
    )]
    NotAServer {
        /// Which node.
        node: Name,
        /// What it belongs to.
        other: Name,
        /// What that is.
        role: Role,
    },
    /// A node belongs to a server that is out of use.
    #[error(
        "`{node}` belongs to the server `{server}`, which is disabled: `wg-friend set {node} server=NAME` another, or enable it"
    )]
    ServerDisabled {
        /// Which node.
        node: Name,
        /// Its server.
        server: Name,
    },
    /// Servers belong to nobody.
    #[error("`{node}` is a server itself and belongs to none: `wg-friend set {node} server=none`")]
    ServerOfServer {
        /// Which server.
        node: Name,
    },
    /// Internet traffic can only leave at the server that a remote belongs to.
    #[error(
        "the internet traffic of `{node}` is to leave at `{other}`, but it belongs to `{server}`: `wg-friend set {node} server={other}`, or give it another exit"
    )]
    ExitAtOtherServer {
        /// Which remote.
        node: Name,
        /// Where its traffic is to leave.
        other: Name,
        /// Where it belongs.
        server: Name,
    },
    /// Exits only carry packets to the internet.
    #[error(
        "`{first}` and `{second}` can't be linked: an exit only carries internet traffic. Use `wg-friend set NODE exit=NAME`, with access exit-only for a direct link"
    )]
    LinkToExit {
        /// One end.
        first: Name,
        /// The other.
        second: Name,
    },
    /// An exit-only remote has one peer.
    #[error(
        "`{node}` has access exit-only, so its exit is its only peer: unlink it from `{other}`, or give it another access level"
    )]
    LinkOfExitOnly {
        /// The remote.
        node: Name,
        /// To what it is linked.
        other: Name,
    },
    /// Nobody on the way could enforce an access level.
    #[error(
        "`{node}` and `{other}` are both remotes: nobody between them could enforce access {access} of `{node}`. Give it full, vpn-only or lan-only; without a link of their own, their server is between them"
    )]
    LinkUnjudged {
        /// The remote with limited access.
        node: Name,
        /// The remote at the other end.
        other: Name,
        /// Its access.
        access: Access,
    },
    /// What enforces an access level elsewhere is missing at the other end of a link.
    #[error(
        "`{node}` is linked to `{other}`, which has the rules with which it was adopted and none of ours: nobody there would \
         enforce the access level of `{node}`. `wg-friend hooks adopt {other}`, unlink them, or give `{node}` full access"
    )]
    LinkPastRules {
        /// The node with limited access.
        node: Name,
        /// The node without our rules.
        other: Name,
    },
    /// What passes a link with a server is others' traffic too.
    #[error(
        "the link between `{first}` and `{second}` is to give way when it is down, but it carries others' traffic too, since a \
         server is one of its ends: `wg-friend link {first} {second} --when-down stay`"
    )]
    MoveOverServer {
        /// One end.
        first: Name,
        /// The other.
        second: Name,
    },
    /// Nobody at an end of a link could watch it.
    #[error(
        "the link between `{node}` and `{other}` is to give way when it is down, but `{node}` is on no host that could watch \
         it: `wg-friend set {node} host=HOST`, or `wg-friend link {node} {other} --when-down stay`"
    )]
    MoveNeedsHost {
        /// The end without a host.
        node: Name,
        /// The other.
        other: Name,
    },
    /// An end of a link has the hooks of whoever made its interface, and none of wg-friend's.
    #[error(
        "the link between `{node}` and `{other}` is to give way when it is down, but the interface of `{node}` has its own \
         hooks alone, as it was adopted: `wg-friend hooks adopt {node}`, or `wg-friend link {node} {other} --when-down stay`"
    )]
    MoveNeedsHooks {
        /// The end that was adopted.
        node: Name,
        /// The other.
        other: Name,
    },
    /// A link over which nobody has to send anything: its silence says nothing.
    #[error(
        "the link between `{first}` and `{second}` is to give way when it is down, but neither end keeps it alive: give one \
         that dials the other a keepalive, such as `wg-friend set {first} keepalive=25`"
    )]
    MoveNeedsKeepalive {
        /// One end.
        first: Name,
        /// The other.
        second: Name,
    },
    /// A network without addresses.
    #[error("the network has neither an IPv4 nor an IPv6 prefix: give it one")]
    NoPrefix,
    /// Two nodes of one name.
    #[error("two nodes are called `{name}`: rename one")]
    DuplicateName {
        /// The name.
        name: Name,
    },
    /// A node without addresses.
    #[error("`{node}` has no address in the network: give it one")]
    NoAddress {
        /// Whose.
        node: Name,
    },
    /// Packets too small for IPv6 (RFC 8200, section 5).
    #[error("`{node}` has an IPv6 address and an MTU of {mtu}: IPv6 needs at least 1280")]
    MtuTooSmall {
        /// Whose.
        node: Name,
        /// Its MTU, or the network's.
        mtu: Mtu,
    },
    /// Packets too small for IPv6 on an interface that others' packets pass by.
    #[error(
        "`{node}` carries IPv6 to `{peer}` over {interface} with an MTU of {mtu}: IPv6 needs at least 1280 on every hop \
         (RFC 8200), so give that interface more"
    )]
    MtuTooSmallOnTheWay {
        /// Whose interface.
        node: Name,
        /// Which.
        interface: InterfaceName,
        /// Who is at its other end.
        peer: Name,
        /// Its MTU.
        mtu: Mtu,
    },
    /// An address twice.
    #[error("`{first}` and `{second}` both have the address {address}: change one of them")]
    DuplicateAddress {
        /// The address.
        address: IpAddr,
        /// One owner.
        first: Name,
        /// The other.
        second: Name,
    },
    /// A key twice.
    #[error("`{first}` and `{second}` both have the key {key}: give one of them a new key")]
    DuplicateKey {
        /// The key.
        key: PublicKey,
        /// One owner.
        first: Name,
        /// The other.
        second: Name,
    },
    /// An address of no prefix.
    #[error("`{node}` has the address {address}, which lies outside the network's prefixes: pick a free one inside")]
    OutsideNetwork {
        /// Whose.
        node: Name,
        /// The address.
        address: IpAddr,
    },
    /// The first or last address of the IPv4 prefix.
    #[error("`{node}` has the address {address}, which stands for the whole network {network}: pick another")]
    ReservedAddress {
        /// Whose.
        node: Name,
        /// The address.
        address: IpAddr,
        /// The prefix it stands for.
        network: Cidr,
    },
    /// LANs that share addresses.
    #[error(
        "the LAN {lan} of `{first}` overlaps the LAN {other} of `{second}`: \
         packets could go to one of them only, so renumber one or advertise a smaller part of it"
    )]
    OverlappingLans {
        /// A node.
        first: Name,
        /// Its LAN.
        lan: Cidr,
        /// Another node, or the same.
        second: Name,
        /// The other LAN.
        other: Cidr,
    },
    /// A LAN that shares addresses with the VPN itself.
    #[error("the LAN {lan} of `{node}` overlaps the network's own {network}: renumber the LAN or the network")]
    LanInNetwork {
        /// Whose.
        node: Name,
        /// The LAN.
        lan: Cidr,
        /// The network's prefix.
        network: Cidr,
    },
    /// A default route as a LAN.
    #[error("`{node}` advertises {lan}, which is the whole internet: that is what an exit is for")]
    LanIsDefault {
        /// Whose.
        node: Name,
        /// The LAN.
        lan: Cidr,
    },
    /// A LAN of a family that the network doesn't carry.
    #[error("`{node}` advertises {lan}, but the network has no prefix of that family: give it one or withdraw the LAN")]
    LanFamily {
        /// Whose.
        node: Name,
        /// The LAN.
        lan: Cidr,
    },
    /// A LAN behind a node that forwards to none.
    #[error("`{node}` is a {role} and can't advertise the LAN {lan}: only servers and routers do")]
    LanForRole {
        /// Whose.
        node: Name,
        /// Its role.
        role: Role,
        /// The LAN.
        lan: Cidr,
    },
    /// Neither end of a link has an endpoint.
    #[error(
        "neither `{first}` nor `{second}` can dial the other, for neither has an endpoint: \
         set one, such as `wg-friend set {first} endpoint=vpn.example.com`"
    )]
    NobodyCanDial {
        /// One end.
        first: Name,
        /// The other.
        second: Name,
    },
    /// An endpoint that is reached through the tunnel which it is to carry.
    #[error(
        "`{node}` would reach {endpoint}, where it dials `{peer}`, through the tunnel itself, for it routes {through} \
         there: give `{peer}` an endpoint outside of it"
    )]
    EndpointInTunnel {
        /// Who dials.
        node: Name,
        /// Who is dialled.
        peer: Name,
        /// Where.
        endpoint: Endpoint,
        /// The routed prefix that holds it.
        through: Cidr,
    },
    /// An exit-only remote needs its one peer.
    #[error("`{node}` has access exit-only and no exit: assign one or give it another access level")]
    ExitOnlyWithoutExit {
        /// Whose.
        node: Name,
    },
    /// An exit-only remote's one peer is switched off.
    #[error(
        "`{node}` has access exit-only and its exit `{exit}` is disabled: assign another exit, or disable `{node}` too"
    )]
    ExitDisabled {
        /// Whose.
        node: Name,
        /// The exit.
        exit: Name,
    },
    /// An exit-only remote dials its exit.
    #[error(
        "`{node}` has access exit-only and dials its exit `{exit}` directly, which has no endpoint: \
         set `{exit}`'s endpoint or assign another exit"
    )]
    ExitNotDialable {
        /// Whose.
        node: Name,
        /// The exit.
        exit: Name,
    },
    /// An exit-only remote has one peer, which can't be another from one moment to the next.
    #[error(
        "`{node}` has access exit-only and dials its exit itself, so that the group `{group}` can't move it: \
         assign one exit, such as `wg-friend exit assign {node} EXIT`, or give it another access level"
    )]
    ExitOnlyWithGroup {
        /// Whose.
        node: Name,
        /// The group.
        group: Name,
    },
    /// Something in a group of exits that is none.
    #[error("the exit group `{group}` has `{other}` as a member, which is a {role}: take it out of the group")]
    GroupMemberNoExit {
        /// Whose.
        group: Name,
        /// The member.
        other: Name,
        /// The role it has.
        role: Role,
    },
    /// Something routed to an exit that isn't the network's.
    #[error(
        "the internet routes {prefix} to `{exit}`, which lies neither in the network nor in an advertised LAN: \
         correct the prefix"
    )]
    RoutedElsewhere {
        /// The exit.
        exit: Name,
        /// The prefix.
        prefix: Cidr,
    },
    /// Rules that no server carries out.
    #[error(
        "`{node}` has access exit-only and no server on its way, so that nobody could go by its rules: \
         `wg-friend exit rule remove {node} --all`, or give it another access level"
    )]
    RulesOfExitOnly {
        /// Whose.
        node: Name,
    },
    /// A rule twice.
    #[error("{holder} has the rule {rule} twice, and rule {first} decides: remove rule {second}")]
    RuleTwice {
        /// Whose, in words.
        holder: String,
        /// What both fit.
        rule: String,
        /// The place of the first.
        first: usize,
        /// The place of the other.
        second: usize,
    },
    /// The exit of a rule doesn't exist.
    #[error("rule {place} of {holder} leads to an exit that isn't in the network: remove the rule")]
    RuleWithoutExit {
        /// Whose, in words.
        holder: String,
        /// Its place.
        place: usize,
    },
    /// The exit of a rule is something else.
    #[error(
        "rule {place} of {holder} leads to `{other}`, which is a {role}: name an exit, a group of exits, or `direct`"
    )]
    RuleToNoExit {
        /// Whose, in words.
        holder: String,
        /// Its place.
        place: usize,
        /// What it leads to.
        other: Name,
        /// The role that has.
        role: Role,
    },
    /// A rule for something in the network.
    #[error(
        "{holder} has a rule for {destination}, which lies in the network's own {network}: rules are for internet \
         traffic, and grants say who may reach what inside"
    )]
    RuleInNetwork {
        /// Whose, in words.
        holder: String,
        /// Where it leads.
        destination: Cidr,
        /// The network's prefix.
        network: Cidr,
    },
    /// A rule for something in a LAN.
    #[error(
        "{holder} has a rule for {destination}, which lies in the LAN {lan} of `{node}`: rules are for internet traffic, \
         and grants say who may reach what inside"
    )]
    RuleInLan {
        /// Whose, in words.
        holder: String,
        /// Where it leads.
        destination: Cidr,
        /// Who advertises the LAN.
        node: Name,
        /// The LAN.
        lan: Cidr,
    },
    /// A rule for something that isn't the internet.
    #[error(
        "{holder} has a rule for {destination}, which is no part of the internet: neither an exit nor the server lets \
         anything out to there"
    )]
    RuleNotInternet {
        /// Whose, in words.
        holder: String,
        /// Where it leads.
        destination: Cidr,
    },
    /// Two groups whose marks and tables coincide.
    #[error(
        "the exit groups `{first}` and `{second}` would share a routing table: remove `{second}` and add it again, \
         which gives it another number"
    )]
    GroupsCollide {
        /// One.
        first: Name,
        /// The other.
        second: Name,
    },
    /// The exit of a node is something else.
    #[error("`{node}` has `{other}` as its exit, which is a {role}: assign an exit node, or the server itself")]
    NotAnExit {
        /// Whose.
        node: Name,
        /// What it refers to.
        other: Name,
        /// The role it has.
        role: Role,
    },
    /// The exit of a node doesn't exist.
    #[error("`{node}` has an exit that isn't in the network: assign another or none")]
    UnknownExit {
        /// Whose.
        node: Name,
    },
    /// An exit for something that isn't a remote.
    #[error("`{node}` is a {role} and can't leave by an exit: only remotes do")]
    ExitForRole {
        /// Whose.
        node: Name,
        /// Its role.
        role: Role,
    },
    /// An exit-only node that isn't a remote.
    #[error("`{node}` is a {role} and can't have access exit-only: only remotes do")]
    ExitOnlyForRole {
        /// Whose.
        node: Name,
        /// Its role.
        role: Role,
    },
    /// The server has no interface for an exit.
    #[error(
        "`{server}` has no uplink interface towards the exit `{exit}`: remove the exit and add it again, \
         which makes one"
    )]
    NoUplink {
        /// The server.
        server: Name,
        /// The exit.
        exit: Name,
    },
    /// Two uplinks whose marks and tables coincide.
    #[error(
        "`{server}`'s uplinks {first} and {second} would share a routing table: remove the exit behind {second} and \
         add it again, which gives it another number"
    )]
    UplinksCollide {
        /// The server.
        server: Name,
        /// One interface.
        first: InterfaceName,
        /// The other.
        second: InterfaceName,
    },
    /// Two interfaces of one name on one machine.
    #[error("`{first}` and `{second}` would both use the interface {interface} on the same machine: rename one")]
    SameInterface {
        /// One node.
        first: Name,
        /// The other, or the same.
        second: Name,
        /// The interface's name.
        interface: InterfaceName,
    },
    /// Two interfaces of one port on one machine.
    #[error("`{first}` and `{second}` would both listen on UDP port {port} of the same machine: change one")]
    SamePort {
        /// One node.
        first: Name,
        /// The other, or the same.
        second: Name,
        /// The port.
        port: Port,
    },
    /// A LAN selection without a LAN.
    #[error("`{node}` may reach the LAN {lan}, which no node advertises: select one that exists")]
    UnknownLan {
        /// Whose.
        node: Name,
        /// The selection.
        lan: Cidr,
    },
    /// A grant that leads nowhere.
    #[error(
        "`{node}` is granted `{grant}`, which lies neither in the network nor in an advertised LAN: \
         correct the destination"
    )]
    GrantLeadsNowhere {
        /// Whose.
        node: Name,
        /// The grant.
        grant: Grant,
    },
    /// Not a DNS server or search domain.
    #[error("{of} has the DNS entry {entry:?}: expected an address, such as 10.66.0.1, or a search domain")]
    Dns {
        /// A node's name, or the network.
        of: String,
        /// The entry.
        entry: String,
    },
}

impl Refusal {
    /// Whether it is about something of this name: every reason has the names of what it is about in backquotes.
    pub fn names(&self, name: &Name) -> bool {
        self.to_string().contains(&format!("`{name}`"))
    }
}
