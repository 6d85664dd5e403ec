//! Which commands of an adopted interface's hooks wg-friend's own firewall makes needless, and which stand in its way.
//!
//! The promise is that traffic is the same afterwards. What the table does as well is taken out; what goes on working
//! beside it stays; what the table would stop is a reason to refuse.

use std::collections::BTreeSet;

use crate::model::{Cidr, InterfaceName, Node, Role, Topology};
use crate::ops::Error;
use crate::wg::hooks::patterns::{Found, Pattern};
use crate::wg::hooks::{Place, Understanding};

/// What is to be done with the hooks of a node.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// The commands that go.
    pub(super) cut: BTreeSet<Place>,
    /// The patterns that they are.
    pub(super) patterns: BTreeSet<Pattern>,
    /// The interface towards LANs or the internet, as the hooks have it.
    pub(super) outer: Option<InterfaceName>,
    /// Whether LANs behind the node see the node's own address.
    pub(super) nat: bool,
    /// What stays, and why; what to look after.
    pub(super) remarks: Vec<String>,
}

/// What becomes of a pattern.
enum Verdict {
    Take,
    Leave(&'static str),
    Refuse(String),
}

/// Decides about a node's hooks. `everything`: also rules that only open the host's own FORWARD chain go.
pub(super) fn decide(
    node: &Node,
    topology: &Topology,
    hooks: &Understanding,
    everything: bool,
) -> Result<Takeover, Error> {
    if node.role == Role::Remote {
        return Err(refused(node, "remotes have no firewall of wg-friend's that could do it instead", None));
    }
    let outer = outer(node, hooks)?;
    let mut takeover = Takeover { nat: node.nat, outer: outer.clone(), ..Takeover::default() };
    let context = Context { node, topology, outer: outer.as_ref() };
    let mut left_open = false;
    for found in hooks.patterns.iter().filter(|found| !found.up.is_empty()) {
        match context.judge(found) {
            Verdict::Take => {
                let places = found.up.iter().chain(&found.down);
                let command = |place: &Place| &hooks.lines[place.hook].commands[place.command];
                let (stays, goes): (Vec<&Place>, Vec<&Place>) =
                    places.partition(|place| !everything && command(place).opens);
                left_open |= !stays.is_empty();
                if !goes.is_empty() {
                    takeover.patterns.insert(found.pattern);
                }
                takeover.cut.extend(goes);
                takeover.nat |= context.hides_from_lans(found);
            }
            Verdict::Leave(why) => takeover.remarks.push(format!("stays: {} ({why})", found.meaning())),
            Verdict::Refuse(why) => {
                let command = found.up.first().map(|place| hooks.text(*place));
                return Err(refused(node, &why, command));
            }
        }
    }
    if let Some(place) = hooks.unrecognised().find(|place| touches_packets(hooks.text(*place))) {
        let why = "what it does to packets isn't recognised";
        return Err(refused(node, why, Some(hooks.text(place))));
    }
    context.check_model()?;
    if left_open {
        takeover.remarks.push(
            "rules that open the host's own FORWARD chain stay, for Docker, ufw or a policy may close it; --all takes \
             them out too"
                .to_owned(),
        );
    }
    takeover.remarks.extend(context.private_neighbours(&takeover));
    Ok(takeover)
}

fn refused(node: &Node, why: &str, command: Option<&str>) -> Error {
    let what = command.map_or_else(String::new, |command| format!(" because of `{command}`"));
    Error::RefusedWithRemedy {
        message: format!("the hooks of `{}` can't be handed over{what}: {why}", node.name),
        hint: "traffic would not be the same afterwards; as it is, the hooks go on doing their work".to_owned(),
    }
}

/// Returns the one interface by which packets leave the tunnel's host, as far as hooks and model tell.
fn outer(node: &Node, hooks: &Understanding) -> Result<Option<InterfaceName>, Error> {
    let own = node.main().name.as_str();
    let mut named: Vec<(&str, &Found)> = Vec::new();
    for found in hooks.patterns.iter().filter(|found| !found.up.is_empty() && is_about_outside(found.pattern)) {
        let name = found.variable("WAN").or_else(|| found.variable("LAN"));
        named.extend(name.filter(|name| *name != own).map(|name| (name, found)));
    }
    let wanted = node.outer_interface.as_ref().map(InterfaceName::as_str).or(named.first().map(|(name, _)| *name));
    let Some(wanted) = wanted else { return Ok(None) };
    if let Some((name, found)) = named.iter().find(|(name, _)| *name != wanted) {
        let why = format!("wg-friend's firewall knows one interface beside the tunnel, `{wanted}`, and not `{name}`");
        return Err(refused(node, &why, found.up.first().map(|place| hooks.text(*place))));
    }
    let why = || refused(node, &format!("`{wanted}` is no name of an interface"), None);
    wanted.parse().map(Some).map_err(|_| why())
}

fn is_about_outside(pattern: Pattern) -> bool {
    use Pattern as P;
    matches!(
        pattern,
        P::NatMasqueradeIpv4
            | P::NatMasqueradeIpv6
            | P::BidirectionalForwardingIpv4
            | P::BidirectionalForwardingIpv6
            | P::NatSubnet
    )
}

/// Whether a command that isn't understood has to do with where packets go.
fn touches_packets(command: &str) -> bool {
    let programs = ["iptables", "ip6tables", "nft", "ipset", "ebtables"];
    let routes = command.contains("ip ") && [" rule", " route"].iter().any(|word| command.contains(word));
    programs.iter().any(|program| command.contains(program)) || routes
}

struct Context<'a> {
    node: &'a Node,
    topology: &'a Topology,
    outer: Option<&'a InterfaceName>,
}

impl Context<'_> {
    fn has(&self, ipv6: bool) -> bool {
        self.topology.network.prefixes().any(|prefix| prefix.is_ipv4() != ipv6)
    }

    fn judge(&self, found: &Found) -> Verdict {
        use Pattern as P;
        match found.pattern {
            P::EnableIpForwarding => match found.variable("FAMILY") {
                Some("ipv4") if self.has(false) => Verdict::Take,
                Some("ipv6") if self.has(true) => Verdict::Take,
                _ if self.has(false) && self.has(true) => Verdict::Take,
                _ => Verdict::Leave("the network doesn't have that family"),
            },
            P::NatMasqueradeIpv4 => self.masquerade(found, false),
            P::NatMasqueradeIpv6 => self.masquerade(found, true),
            P::BidirectionalForwardingIpv4 | P::BidirectionalForwardingIpv6 => self.to_lan(found),
            P::ForwardThrough => Verdict::Take,
            P::NatSubnet => self.subnet(found),
            P::MssClampingIpv4 | P::MssClampingIpv6 if found.variable("SIZE").is_some() => {
                Verdict::Leave("a size that somebody chose")
            }
            P::MssClampingIpv4 | P::MssClampingIpv6 => Verdict::Take,
            P::AllowServicePort => Verdict::Leave("the host's own firewall may need it"),
            P::KillSwitch => Verdict::Leave("it is about the host's own packets"),
            P::KeyFromFile | P::Address | P::Shaping | P::NameService => {
                Verdict::Leave("wg-friend's firewall isn't about that")
            }
            P::FirewallFrontEnd => Verdict::Leave("the host's own firewall may need it"),
            P::Route => self.route(found),
            P::NatByMark | P::PortForward => {
                Verdict::Refuse("wg-friend's firewall has no equivalent, and would stop that traffic".to_owned())
            }
            P::PolicyRoute => {
                Verdict::Refuse("wg-friend's firewall would stop what leaves by another interface".to_owned())
            }
            P::NftTable | P::Script => Verdict::Refuse("what it does to packets isn't known".to_owned()),
        }
    }

    fn masquerade(&self, found: &Found, ipv6: bool) -> Verdict {
        if found.variable("TO").is_some() {
            return Verdict::Refuse(
                "wg-friend's firewall gives packets the address of the interface by which they leave, no other".into(),
            );
        }
        if found.variable("WAN").is_none() {
            return Verdict::Refuse("it is about every interface (no -o), and wg-friend's firewall about one".into());
        }
        match self.node.role {
            _ if !self.has(ipv6) => Verdict::Leave("the network doesn't have that family"),
            Role::Router => self.to_lan(found),
            _ => Verdict::Take,
        }
    }

    /// Packets between the tunnel and LANs of the node.
    fn to_lan(&self, found: &Found) -> Verdict {
        let lan = self.outer.map_or("its other side", InterfaceName::as_str);
        let node = &self.node.name;
        match self.node.role {
            Role::Exit => Verdict::Refuse("an exit leads to the internet and to no LAN".to_owned()),
            _ if self.node.lans.is_empty() => Verdict::Refuse(format!(
                "wg-friend's firewall lets only LANs through that it knows, and none is known at {lan}: \
                 `wg-friend set {node} lan+=PREFIX` adds it"
            )),
            _ if found.variable("SUBNET").is_some() => self.subnet(found),
            _ => Verdict::Take,
        }
    }

    fn subnet(&self, found: &Found) -> Verdict {
        if found.variable("TO").is_some() || found.variable("WAN") == Some(self.node.main().name.as_str()) {
            return Verdict::Refuse("wg-friend's firewall has no equivalent".to_owned());
        }
        let Some(subnet) = found.variable("SUBNET").and_then(|text| text.parse::<ipnet::IpNet>().ok()) else {
            return Verdict::Refuse(
                "it is about every source, and wg-friend's firewall about the network's".to_owned(),
            );
        };
        let subnet = Cidr::containing(subnet);
        let mut of_family = self.topology.network.prefixes().filter(|prefix| prefix.is_ipv4() == subnet.is_ipv4());
        if of_family.all(|prefix| subnet.covers(&prefix)) {
            Verdict::Take
        } else {
            Verdict::Refuse(format!("it is about {subnet}, and wg-friend's firewall about the whole network"))
        }
    }

    /// A route to where nobody of the model is would lead into the table's default: dropped.
    fn route(&self, found: &Found) -> Verdict {
        let to = found.variable("DESTINATION").and_then(|to| to.parse::<ipnet::IpNet>().ok()).map(Cidr::containing);
        match to {
            Some(to) if self.is_inside(&to) => Verdict::Leave("wg-friend's firewall isn't about that"),
            _ => {
                Verdict::Refuse("wg-friend's firewall lets through only what the network and its LANs hold".to_owned())
            }
        }
    }

    fn is_inside(&self, prefix: &Cidr) -> bool {
        let lans = self.topology.enabled().flat_map(|node| node.lans.iter().map(|lan| lan.cidr));
        self.topology.network.prefixes().chain(lans).any(|inside| inside.covers(prefix))
    }

    fn hides_from_lans(&self, found: &Found) -> bool {
        let hides = match found.pattern {
            Pattern::BidirectionalForwardingIpv4 | Pattern::BidirectionalForwardingIpv6 => {
                found.variables.contains_key("SUBNET")
            }
            Pattern::NatMasqueradeIpv4 | Pattern::NatMasqueradeIpv6 | Pattern::NatSubnet => true,
            _ => false,
        };
        hides && !self.node.lans.is_empty()
    }

    /// What the table would stop although no hook speaks of it.
    fn check_model(&self) -> Result<(), Error> {
        let node = self.node;
        if self.outer.is_none() && (node.role != Role::Server || !node.lans.is_empty()) {
            let why = format!(
                "which interface leads out isn't known: `wg-friend set {} outer-interface=NAME` says it",
                node.name
            );
            return Err(refused(node, &why, None));
        }
        let kept = node.main().kept.iter().flat_map(|kept| kept.peers.values());
        if node.role == Role::Server
            && let Some(prefix) = kept.flat_map(|peer| &peer.added).find(|prefix| !self.is_inside(prefix))
        {
            let why = format!("{prefix} is behind a peer and neither in the network nor a LAN of it");
            return Err(refused(node, &why, None));
        }
        Ok(())
    }

    /// Who reached private addresses beyond the node as a part of the internet no longer does.
    fn private_neighbours(&self, takeover: &Takeover) -> Option<String> {
        const WANS: [Pattern; 3] = [Pattern::NatMasqueradeIpv4, Pattern::NatMasqueradeIpv6, Pattern::NatSubnet];
        let leads_out = WANS.iter().any(|pattern| takeover.patterns.contains(pattern));
        let outer = self.outer.filter(|_| leads_out && self.node.role != Role::Router)?;
        let known: Vec<String> = self.node.lans.iter().map(|lan| lan.cidr.to_string()).collect();
        let but = if known.is_empty() { String::new() } else { format!(" but {}", known.join(", ")) };
        Some(format!(
            "private addresses at {outer}{but} are no part of the internet: if they are to be reached, \
             `wg-friend set {} lan+=PREFIX` first",
            self.node.name
        ))
    }
}
