//! What hooks are for: the table of patterns, and how they are found among the things that hooks deal with.

mod filter;
mod other;

use std::collections::BTreeMap;

use serde::Serialize;

use super::Place;
use super::pairs::{Item, stands_alone};

/// What stands for the names of a pattern in a particular host: `WAN`, `LAN`, `SUBNET`, `PORT` ...
pub type Variables = BTreeMap<&'static str, String>;

/// Whom a pattern concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that goes through the interface.
    EnvironmentWide,
    /// One peer, or one service of one peer.
    PeerSpecific,
}

macro_rules! patterns {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $rationale:literal;)+) => {
        /// A purpose that commands in hooks serve together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Pattern { $($(#[$meta])* $variant),+ }

        impl Pattern {
            /// Every pattern, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns its name, in lower snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Returns why people do it.
            pub fn rationale(self) -> &'static str {
                match self { $(Self::$variant => $rationale),+ }
            }
        }
    };
}

patterns! {
    /// `sysctl -w net.ipv4.ip_forward=1`
    EnableIpForwarding = "enable_ip_forwarding", "the kernel routes between interfaces only when it is told to";
    /// `FORWARD -i IF` accepted, `POSTROUTING -o WAN` masqueraded
    NatMasqueradeIpv4 = "nat_masquerade_ipv4", "private addresses of VPN clients aren't answered by the internet";
    /// The same with `ip6tables`.
    NatMasqueradeIpv6 = "nat_masquerade_ipv6", "unique local addresses of VPN clients aren't answered by the internet";
    /// `FORWARD` accepted from the interface to a LAN and back, and the LAN sees the router's address
    BidirectionalForwardingIpv4 = "bidirectional_forwarding_ipv4", "VPN and LAN reach each other through this host";
    /// The same with `ip6tables`, without NAT.
    BidirectionalForwardingIpv6 = "bidirectional_forwarding_ipv6", "VPN and LAN reach each other through this host";
    /// `FORWARD -i IF` and `-o IF` accepted
    ForwardThrough = "forward_through", "the host's firewall would drop what passes through the tunnel";
    /// `POSTROUTING -s SUBNET -o WAN` masqueraded
    NatSubnet = "nat_subnet", "only the addresses of one network are hidden behind this host's";
    /// `POSTROUTING -m mark` masqueraded
    NatByMark = "nat_by_mark", "packets are marked where they come in and hidden behind this host's address where they leave";
    /// `mangle FORWARD`, `TCPMSS --clamp-mss-to-pmtu`
    MssClampingIpv4 = "mss_clamping_ipv4", "TCP connections hang when their segments don't fit the tunnel";
    /// The same with `ip6tables`.
    MssClampingIpv6 = "mss_clamping_ipv6", "TCP connections hang when their segments don't fit the tunnel";
    /// `INPUT -i IF -p PROTO --dport PORT` accepted
    AllowServicePort = "allow_service_port", "the host's firewall would drop what is meant for a service of its own";
    /// `nat PREROUTING`, `DNAT`
    PortForward = "port_forward", "a service behind the tunnel is reached at this host's address";
    /// wg-quick(8)'s example: `OUTPUT ! -o IF -m mark ! --mark ...` rejected
    KillSwitch = "kill_switch", "nothing leaves this host beside the tunnel while that is up";
    /// `ip rule`, and routes in a table other than the main one
    PolicyRoute = "policy_route", "some packets take another way than the main routing table's";
    /// `ip route add`
    Route = "route", "a route that doesn't follow from the peers' AllowedIPs";
    /// `ip addr add`
    Address = "address", "an address that wg-quick can't write, such as one with a peer";
    /// `wg set IF private-key FILE`
    KeyFromFile = "key_from_file", "the key isn't written in the configuration";
    /// `ufw`, `firewall-cmd`
    FirewallFrontEnd = "firewall_front_end", "the host's firewall is managed by a program that has to know";
    /// `nft`
    NftTable = "nft_table", "rules of nftables that come and go with the interface";
    /// `tc`
    Shaping = "shaping", "limits how fast an interface sends";
    /// `resolvectl`
    NameService = "name_service", "names inside of the network are asked of its own servers";
    /// A path.
    Script = "script", "whatever somebody wrote";
}

/// A pattern that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub pattern: Pattern,
    /// What stands for its names here.
    pub variables: Variables,
    /// Whom it concerns.
    pub scope: Scope,
    /// Its commands that run when the interface comes up, in order.
    pub up: Vec<Place>,
    /// Those that run when it goes down.
    pub down: Vec<Place>,
    /// Whether each of its commands has its inverse.
    pub paired: bool,
    /// Commands that need an inverse and have none: what they set up stays behind, or what they take away was never
    /// there.
    pub unpaired: Vec<Place>,
}

impl Found {
    /// Says what it is for on this host.
    pub fn meaning(&self) -> String {
        other::meaning(self)
    }

    /// Returns the value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// Finds the patterns among some things; what fits none is left out.
pub(super) fn find(items: &[Item], interface: &str) -> Vec<Found> {
    let mut finder = Finder { items, claimed: vec![false; items.len()], interface, found: Vec::new() };
    filter::find(&mut finder);
    other::find(&mut finder);
    let mut found = finder.found;
    found.sort_by_key(|found| found.up.iter().chain(&found.down).min().copied());
    found
}

/// Patterns so far, and the things that are left.
struct Finder<'a> {
    items: &'a [Item],
    claimed: Vec<bool>,
    interface: &'a str,
    found: Vec<Found>,
}

impl<'a> Finder<'a> {
    /// Returns the things that belong to no pattern yet, as far as `read` makes something of them.
    fn left<T>(&self, read: impl Fn(&'a Item) -> Option<T>) -> Vec<(usize, T)> {
        let free = self.items.iter().enumerate().filter(|(index, _)| !self.claimed[*index]);
        free.filter_map(|(index, item)| Some((index, read(item)?))).collect()
    }

    /// Makes a pattern of some things.
    fn claim(&mut self, pattern: Pattern, scope: Scope, variables: Variables, parts: &[usize]) {
        let (mut up, mut down, mut unpaired) = (Vec::new(), Vec::new(), Vec::new());
        for &part in parts {
            self.claimed[part] = true;
            let item = &self.items[part];
            up.extend(&item.up);
            down.extend(&item.down);
            if !stands_alone(&item.thing, self.interface) && (item.up.is_empty() || item.down.is_empty()) {
                unpaired.extend(item.up.iter().chain(&item.down));
            }
        }
        let of_all = |side: fn(&Item) -> bool| parts.iter().all(|part| side(&self.items[*part]));
        let paired = of_all(|item| !item.up.is_empty() && !item.down.is_empty());
        for places in [&mut up, &mut down, &mut unpaired] {
            places.sort_unstable();
        }
        self.found.push(Found { pattern, variables, scope, up, down, paired, unpaired });
    }
}
