//! An answer in words: what decides, what could be done about it, what is taken for granted.

use std::net::IpAddr;

use crate::model::{Access, Cidr, Node, Role, Topology};

use super::answer::{Answer, Code, Decision, End, Flow, Hop, Party};
use super::judge::Lack;
use super::walk::Stop;
use super::world::{Machine, World, is_public};
use super::{Course, is_remote};

impl World<'_> {
    pub(super) fn explain(&self, node: &Node, from: &Party, to: IpAddr, flow: Flow, course: Course) -> Answer {
        let behind =
            from.address.filter(|address| !self.machine_of(node.id).is_some_and(|at| self.machines[at].has(*address)));
        let lan_of = |address: IpAddr| node.lans.iter().map(|lan| lan.cidr).find(|lan| lan.contains(address));
        let (decided_by, remedies) = match &course.end {
            Ok(()) => (self.open(node, to, &course), Vec::new()),
            Err((stop, back)) => self.closed(node, from, to, flow, stop, *back),
        };
        let mut provided = course.out.provided;
        provided.extend(course.back.provided);
        let mut seen = std::collections::BTreeSet::new();
        provided.retain(|text| seen.insert(text.clone()));
        let owner = self.holder_of(to);
        Answer {
            from: End { node: Some(node.name.clone()), address: course.source, lan: behind.and_then(lan_of) },
            to: End {
                node: owner.map(|node| node.name.clone()),
                address: Some(to),
                lan: if self.owner(to).is_some() { None } else { self.lan(to).map(|(lan, _)| lan) },
            },
            flow,
            reaches: course.end.is_ok(),
            through_tunnel: course.through_tunnel,
            out: course.out.hops,
            back: course.back.hops,
            decided_by,
            remedies,
            provided,
        }
    }

    /// Returns the enabled node that an address is, or behind which it is.
    fn holder_of(&self, address: IpAddr) -> Option<&Node> {
        self.owner(address).or_else(|| self.lan(address).map(|(_, node)| node))
    }

    /// What lets a packet pass: the rule of the server, else of the last firewall, else the AllowedIPs.
    fn open(&self, node: &Node, to: IpAddr, course: &Course) -> Decision {
        let decision = |at: &Node, code: Code, text: String| Decision {
            node: at.name.clone(),
            code,
            on_the_way_back: false,
            text: format!("{}{text}", at.name),
        };
        let server = |(at, _): &&(usize, String)| self.machines[*at].node.role == Role::Server;
        let rule = course.out.rules.iter().find(server).or_else(|| course.out.rules.last());
        if let Some((at, rule)) = rule {
            return decision(self.machines[*at].node, Code::Open, format!("'s firewall: {rule}"));
        }
        let tunnel = course.out.hops.iter().find_map(|hop: &Hop| Some((hop.peer.as_ref()?, hop.allowed_ip?)));
        if let Some((peer, prefix)) = tunnel {
            return decision(node, Code::Open, format!(" sends {prefix} to {peer}, and no firewall stands between"));
        }
        if let Some(lan) = course.out.hops.iter().find_map(|hop| hop.lan) {
            return decision(node, Code::Open, format!(": both are in LAN {lan}, which no tunnel has to do with"));
        }
        if course.out.machines.len() == 1 && self.machines[course.out.machines[0]].has(to) {
            return decision(node, Code::Open, " is where the address is".to_owned());
        }
        decision(node, Code::OwnConnection, " goes there by its own connection: no AllowedIP holds it".to_owned())
    }

    /// What stops a packet, and what to do about it.
    fn closed(
        &self,
        node: &Node,
        from: &Party,
        to: IpAddr,
        flow: Flow,
        stop: &Stop,
        back: bool,
    ) -> (Decision, Vec<String>) {
        let Some(machine) = self.machines.get(stop.machine) else {
            let text = format!("{} {}", node.name, stop.text);
            let decision = Decision { node: node.name.clone(), code: stop.code, on_the_way_back: back, text };
            return (decision, vec![format!("`wg-friend enable {}`", node.name)]);
        };
        let name = &machine.node.name;
        let mut text = match stop.code {
            Code::Firewall => format!("{name}'s firewall: {}", stop.text),
            _ => format!("{name} {}", stop.text),
        };
        if back {
            text.push_str(" (the answer)");
        }
        let decision = |text: String| Decision { node: name.clone(), code: stop.code, on_the_way_back: back, text };
        if self.holder_of(to).is_none()
            && let Some(gone) = self.disabled(to)
        {
            let decision = Decision { code: Code::Disabled, ..decision(format!("{text}; {} is disabled", gone.name)) };
            return (decision, vec![format!("`wg-friend enable {}`", gone.name)]);
        }
        // A device that doesn't ask for something mostly isn't permitted to have it: then that is what decides.
        if stop.code == Code::NoAllowedIp && is_remote(machine.node) && !self.edited && !back {
            let edited = self.clone().with_edited_remotes(true);
            let then = edited.course(node, from, to, flow);
            if let Err((stop, back)) = &then.end
                && let Code::Firewall = stop.code
            {
                let (mut enforced, remedies) = edited.closed(node, from, to, flow, stop, *back);
                enforced.text = format!("{}; {name}'s own file doesn't ask for it either", enforced.text);
                return (enforced, remedies);
            }
        }
        let remedies = self.remedies(machine, to, flow, stop, back);
        (decision(text), remedies)
    }

    fn disabled(&self, to: IpAddr) -> Option<&Node> {
        let has = |node: &&Node| {
            let lan = node.lans.iter().any(|lan| lan.cidr.contains(to));
            node.addresses().any(|own| own == Cidr::host(to)) || lan
        };
        self.topology.nodes.iter().filter(|node| !node.enabled).find(has)
    }

    fn remedies(&self, machine: &Machine<'_>, to: IpAddr, flow: Flow, stop: &Stop, back: bool) -> Vec<String> {
        let name = &machine.node.name;
        match (stop.code, stop.lack) {
            (Code::Firewall, Some(Lack::Right(opener))) => {
                self.holder_of(opener).map_or_else(Vec::new, |holder| self.rights(holder, to, flow))
            }
            (Code::Firewall, Some(Lack::Internet(opener))) if is_public(to) => {
                self.holder_of(opener).map_or_else(Vec::new, |holder| self.exits(holder))
            }
            (Code::NoAddress, _) if self.topology.network.prefixes().any(|net| net.is_ipv4() == to.is_ipv4()) => {
                vec![format!("`wg-friend set {name} address=auto` gives it addresses in every family of the network")]
            }
            (Code::NotAccepted | Code::NoAllowedIp, _) if is_remote(machine.node) => {
                let mut remedies = match machine.node.access {
                    Access::Full => Vec::new(),
                    _ if back || stop.code == Code::NotAccepted => {
                        vec![format!("`wg-friend set {name} access=full`, then give {name} its new file")]
                    }
                    _ => self.rights(machine.node, to, flow),
                };
                if machine.node.main().kept.is_some() {
                    remedies.push(format!(
                        "`wg-friend set {name} kept=none`: its links follow the model, and not what was found in its file"
                    ));
                }
                remedies
            }
            (Code::NotAccepted | Code::NoAllowedIp | Code::NoTunnel | Code::NotRunning, _)
                if machine.node.main().kept.is_some() =>
            {
                vec![format!(
                    "`wg-friend set {name} kept=none`: its links follow the model, and not what was found in its file"
                )]
            }
            _ => Vec::new(),
        }
    }

    /// Returns the commands that give a node the right to reach an address.
    fn rights(&self, holder: &Node, to: IpAddr, flow: Flow) -> Vec<String> {
        let name = &holder.name;
        if is_public(to) && !self.is_inside(to) {
            return self.exits(holder);
        }
        let full = format!("`wg-friend set {name} access=full`");
        let lan = self.lan(to).map(|(lan, _)| lan);
        let mut remedies = match (holder.access, lan) {
            (Access::Custom, _) => vec![format!("`wg-friend set {name} grant+='{to} {flow}'`")],
            (Access::LanOnly, Some(lan)) => vec![format!("`wg-friend set {name} allow-lan+={lan}`")],
            (Access::VpnOnly, Some(lan)) => vec![format!("`wg-friend set {name} access=lan-only allow-lan={lan}`")],
            _ => Vec::new(),
        };
        if holder.access != Access::Full {
            remedies.push(full);
        }
        remedies
    }

    /// Returns the commands that give a node a way to the internet.
    fn exits(&self, holder: &Node) -> Vec<String> {
        if !is_remote(holder) {
            return Vec::new();
        }
        let mut exits = self.topology.with_role(Role::Exit).chain(self.topology.with_role(Role::Server));
        exits.next().map(|exit| format!("`wg-friend set {} exit={}`", holder.name, exit.name)).into_iter().collect()
    }
}

/// What a LAN has to know so that its hosts find back to the network.
pub(super) fn route_back(machine: &Machine<'_>, lan: Cidr, topology: &Topology) -> String {
    let name = &machine.node.name;
    let networks: Vec<String> =
        topology.network.prefixes().filter(|net| net.is_ipv4() == lan.is_ipv4()).map(|net| net.to_string()).collect();
    format!(
        "{name} is the default gateway of LAN {lan}, or the LAN's own router has a route for {} by way of {name}'s address there (or `wg-friend set {name} nat=yes`, for what the tunnel asks)",
        networks.join(", ")
    )
}
