//! One packet on its way, machine by machine.

use std::net::IpAddr;

use crate::model::{Cidr, InterfaceName, Role};
use crate::wg::{InterfaceConfig, PeerConfig};

use super::answer::{Code, Flow, Hop, Way};
use super::judge::{Fault, Judge, Lack, Side, Verdict};
use super::world::{Exit, Machine, World, is_public};

/// A packet at one machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) to: IpAddr,
    pub(super) flow: Flow,
    /// Whether it answers.
    pub(super) reply: bool,
    /// The mark it has been given here.
    pub(super) mark: Option<u32>,
}

/// How a packet came to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The machine made it.
    Here,
    /// From its LANs or the internet.
    Outer,
    /// Out of the tunnel with this index.
    Tunnel(usize),
}

/// Where a packet ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The last machine.
    pub(super) machine: usize,
    /// Where from there.
    pub(super) place: Place,
    /// Whether it got that machine's own address as its source.
    pub(super) translated: bool,
    /// Its source as it came there: that of a machine on the way, if one gave it its own.
    pub(super) source: IpAddr,
    /// Whether it came into the machine from outside of the tunnel, or was made there.
    pub(super) by_tunnel: bool,
}

/// Where a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the machine itself.
    Machine,
    /// In a LAN of it.
    Lan(Cidr),
    /// Beyond its default route.
    Outside,
}

/// Why a packet ended before.
pub(super) struct Stop {
    pub(super) machine: usize,
    pub(super) code: Code,
    /// In words, to stand after the machine's name.
    pub(super) text: String,
    /// What a firewall found missing.
    pub(super) lack: Option<Lack>,
}

/// What was found on the way.
#[derive(Default)]
pub(super) struct Trail {
    /// The steps.
    pub(super) hops: Vec<Hop>,
    /// The machines in order.
    pub(super) machines: Vec<usize>,
    /// The rules that let it pass, with the machine.
    pub(super) rules: Vec<(usize, String)>,
    /// What was taken for granted.
    pub(super) provided: Vec<String>,
    /// The machines on the way that gave it their own address as its source, each with the one it had.
    pub(super) translated: Vec<(usize, IpAddr)>,
}

/// More machines than any way has.
const MOST_HOPS: usize = 16;

impl<'a> World<'a> {
    /// Follows a packet from a machine. `before`: how the packet went which this one answers.
    pub(super) fn walk(
        &self,
        mut packet: Packet,
        mut at: usize,
        mut came: Came,
        before: Option<&Trail>,
        trail: &mut Trail,
    ) -> Result<Arrival, Stop> {
        for _ in 0..MOST_HOPS {
            trail.machines.push(at);
            let machine = &self.machines[at];
            let given = before.into_iter().flat_map(|before| &before.translated).find(|(giver, _)| *giver == at);
            if let Some((_, source)) = given.filter(|_| machine.has(packet.to)) {
                packet.to = *source;
            }
            packet.mark =
                self.judge(machine).zip(side(machine, came)).and_then(|(judge, from)| judge.mark(&packet, from));
            let (exit, provided) = self.route(machine, packet.to, packet.mark);
            trail.provided.extend(provided);
            if exit == Exit::Here {
                let rule = self.received(&packet, at, came, before)?;
                trail.rules.extend(rule.map(|rule| (at, rule)));
                if machine.has_own_rules() && matches!(came, Came::Tunnel(_)) {
                    trail
                        .provided
                        .push(format!("{} lets it in: its own rules decide, not wg-friend's", machine.node.name));
                }
                let by_tunnel = matches!(came, Came::Tunnel(_));
                let (place, source) = (Place::Machine, packet.source);
                return Ok(Arrival { machine: at, place, translated: false, source, by_tunnel });
            }
            let rule = self.forwarded(&packet, at, came, exit, before, &mut trail.provided)?;
            trail.rules.extend(rule.clone().map(|rule| (at, rule)));
            match exit {
                Exit::Here => unreachable!("a packet that has arrived goes no further"),
                Exit::Tunnel(number) => {
                    let given = self.own_source(&packet, at, came, number);
                    if let Some(source) = given {
                        trail.translated.push((at, packet.source));
                        packet.source = source;
                    }
                    let (hop, far) = self.cross(&packet, at, number, rule, &mut trail.provided)?;
                    trail.hops.push(Hop { translated: given.is_some(), ..hop });
                    at = far.0;
                    came = Came::Tunnel(far.1);
                }
                Exit::Lan(_) | Exit::Outside => {
                    let arrival = self.leave(&packet, at, came, exit);
                    trail.hops.push(self.leaving_hop(&packet, &arrival, came, rule));
                    return Ok(arrival);
                }
            }
        }
        let text = format!("sends packets for {} round in circles", packet.to);
        Err(Stop { machine: at, code: Code::Loop, text, lack: None })
    }

    fn judge(&self, machine: &Machine<'a>) -> Option<Judge<'_, 'a>> {
        machine.firewall().map(|firewall| Judge { world: self, firewall })
    }

    /// Lets a packet in that is for the machine itself.
    fn received(&self, packet: &Packet, at: usize, came: Came, before: Option<&Trail>) -> Result<Option<String>, Stop> {
        let machine = &self.machines[at];
        let (Some(judge), Some(from)) = (self.judge(machine), side(machine, came)) else { return Ok(None) };
        known_flow(machine, at, packet, before)?;
        match judge.input(packet, from) {
            Verdict::Pass(rule) => Ok(rule),
            Verdict::Drop(fault) => Err(dropped(at, fault)),
        }
    }

    /// Lets a packet through that goes on.
    fn forwarded(
        &self,
        packet: &Packet,
        at: usize,
        came: Came,
        exit: Exit,
        before: Option<&Trail>,
        provided: &mut Vec<String>,
    ) -> Result<Option<String>, Stop> {
        let machine = &self.machines[at];
        let Some(from) = side(machine, came) else { return Ok(None) }; // what it sends itself is not forwarded
        let name = &machine.node.name;
        if machine.has_own_rules() {
            provided.push(format!("{name} forwards it: its own rules and settings decide, not wg-friend's"));
            return Ok(None);
        }
        if !machine.forwards(packet.to.is_ipv4()) {
            if machine.node.provisional {
                provided.push(format!("{name} forwards it"));
                return Ok(None);
            }
            let family = if packet.to.is_ipv4() { "IPv4" } else { "IPv6" };
            let what = if matches!(machine.node.role, Role::Remote) {
                "a remote forwards nothing"
            } else {
                "it doesn't forward"
            };
            let text = format!("gets a packet for {}, which is not its own: {what} ({family})", packet.to);
            return Err(Stop { machine: at, code: Code::NotForwarding, text, lack: None });
        }
        let Some(judge) = self.judge(machine) else { return Ok(None) };
        let to = match exit {
            Exit::Tunnel(number) => Side::Tunnel(&machine.config.interfaces[number].name),
            Exit::Here | Exit::Lan(_) | Exit::Outside => Side::Outer,
        };
        if matches!(from, Side::Tunnel(_)) || matches!(to, Side::Tunnel(_)) {
            known_flow(machine, at, packet, before)?;
        }
        match judge.forward(packet, from, to) {
            Verdict::Pass(rule) => Ok(rule),
            Verdict::Drop(fault) => Err(dropped(at, fault)),
        }
    }

    /// Returns the address of its own that a machine gives a packet as its source, as it sends it into a tunnel.
    fn own_source(&self, packet: &Packet, at: usize, came: Came, number: usize) -> Option<IpAddr> {
        let machine = &self.machines[at];
        let (judge, from) = self.judge(machine).zip(side(machine, came))?;
        let translates = judge.translates_onward(packet, from, Side::Tunnel(name_of(machine, number)));
        translates.then(|| machine.source(Some(number), packet.to)).flatten()
    }

    /// Takes a packet through a tunnel.
    fn cross(
        &self,
        packet: &Packet,
        at: usize,
        number: usize,
        rule: Option<String>,
        provided: &mut Vec<String>,
    ) -> Result<(Hop, (usize, usize)), Stop> {
        let machine = &self.machines[at];
        let interface = &machine.config.interfaces[number];
        let stop = |machine: usize, code: Code, text: String| Stop { machine, code, text, lack: None };
        let Some((peer, allowed_ip)) = self.winner(machine, interface, packet.to) else {
            let text = format!("has no peer on {} whose AllowedIPs hold {}", interface.name, packet.to);
            return Err(stop(at, Code::NoAllowedIp, text));
        };
        let Some((far, far_number)) = self.end(&peer.public_key) else {
            let text = format!("sends it to {}, which is in no configuration", peer.name);
            return Err(stop(at, Code::NoTunnel, text));
        };
        let other = &self.machines[far];
        let there = &other.config.interfaces[far_number];
        for (at, interface) in [(at, interface), (far, there)] {
            if !interface.run.is_up() {
                let text = format!("doesn't run {}: it is switched off there", interface.name);
                return Err(stop(at, Code::NotRunning, text));
            }
        }
        let Some(back) = interface.as_peer_of(there) else {
            let text = format!("doesn't have {} as a peer of {}", machine.node.name, there.name);
            return Err(stop(far, Code::NoTunnel, text));
        };
        if peer.endpoint.is_none() && back.endpoint.is_none() {
            let text = format!("and {} know no endpoint of each other: neither can dial", other.node.name);
            return Err(stop(at, Code::NoTunnel, text));
        }
        if peer.endpoint.is_none() && back.keepalive.is_none() {
            let (near, far) = (&machine.node.name, &other.node.name);
            provided.push(format!(
                "{far} has sent something to {near} a short while ago: {near} can't dial it, and it sends no keepalives"
            ));
        }
        let accepted_by = self.accepted(other, there, interface, packet.source);
        let Some(accepted_by) = accepted_by else {
            let text = format!(
                "doesn't accept {} from {}: its AllowedIPs are {}",
                packet.source,
                machine.node.name,
                listed(back)
            );
            return Err(stop(far, Code::NotAccepted, text));
        };
        if other.node.provisional {
            provided.push(format!("{}'s own configuration fits: only its public key is known here", other.node.name));
        }
        let hop = Hop {
            node: machine.node.name.clone(),
            way: Way::Tunnel,
            interface: Some(interface.name.clone()),
            peer: Some(other.node.name.clone()),
            allowed_ip: Some(allowed_ip),
            accepted_by: Some(accepted_by),
            lan: None,
            translated: false,
            rule,
        };
        Ok((hop, (far, far_number)))
    }

    /// Returns the AllowedIP by which a receiving interface accepts a source from a peer: the longest one that holds it
    /// must be that peer's.
    fn accepted(
        &self,
        other: &Machine<'_>,
        there: &InterfaceConfig,
        interface: &InterfaceConfig,
        source: IpAddr,
    ) -> Option<Cidr> {
        let (peer, prefix) = self.winner(other, there, source)?;
        interface.keys().any(|key| key == peer.public_key).then_some(prefix)
    }

    /// Takes a packet out of a machine towards its LANs or the internet.
    fn leave(&self, packet: &Packet, at: usize, came: Came, exit: Exit) -> Arrival {
        let machine = &self.machines[at];
        let by_rule =
            self.judge(machine).zip(side(machine, came)).is_some_and(|(judge, from)| judge.translates(packet, from));
        let by_itself = machine.has_own_rules() && exit == Exit::Outside && matches!(came, Came::Tunnel(_));
        let place = if let Exit::Lan(lan) = exit { Place::Lan(lan) } else { Place::Outside };
        let translated = by_rule || by_itself || came == Came::Here;
        Arrival { machine: at, place, translated, source: packet.source, by_tunnel: matches!(came, Came::Tunnel(_)) }
    }

    fn leaving_hop(&self, packet: &Packet, arrival: &Arrival, came: Came, rule: Option<String>) -> Hop {
        let machine = &self.machines[arrival.machine];
        let (way, lan) = match arrival.place {
            Place::Lan(lan) => (Way::Lan, Some(lan)),
            Place::Outside if arrival.by_tunnel && is_public(packet.to) => (Way::Internet, None),
            _ => (Way::OwnConnection, None),
        };
        outside_hop(machine, way, lan, arrival.translated && came != Came::Here, rule)
    }
}

/// A step between a machine and what is around it.
pub(super) fn outside_hop(
    machine: &Machine<'_>,
    way: Way,
    lan: Option<Cidr>,
    translated: bool,
    rule: Option<String>,
) -> Hop {
    Hop {
        node: machine.node.name.clone(),
        way,
        interface: (way != Way::OwnConnection).then(|| machine.outer()),
        peer: None,
        allowed_ip: None,
        accepted_by: None,
        lan,
        translated,
        rule,
    }
}

fn side<'m>(machine: &'m Machine<'_>, came: Came) -> Option<Side<'m>> {
    match came {
        Came::Here => None,
        Came::Outer => Some(Side::Outer),
        Came::Tunnel(number) => Some(Side::Tunnel(name_of(machine, number))),
    }
}

fn name_of<'m>(machine: &'m Machine<'_>, number: usize) -> &'m InterfaceName {
    &machine.config.interfaces[number].name
}

/// Our rules drop what belongs to no flow that the kernel knows: an answer to a question that came by another way.
fn known_flow(machine: &Machine<'_>, at: usize, packet: &Packet, before: Option<&Trail>) -> Result<(), Stop> {
    if packet.reply && machine.firewall().is_some() && before.is_some_and(|before| !before.machines.contains(&at)) {
        let text =
            "drops the answer: the question didn't come by there, so it belongs to no known connection".to_owned();
        return Err(Stop { machine: at, code: Code::AnswerAstray, text, lack: None });
    }
    Ok(())
}

fn dropped(machine: usize, Fault { text, lack }: Fault) -> Stop {
    Stop { machine, code: Code::Firewall, text, lack: Some(lack) }
}

/// So many prefixes are told before the rest is counted.
const PREFIXES_SHOWN: usize = 4;

/// Returns a peer's AllowedIPs in words.
pub(super) fn listed(peer: &PeerConfig) -> String {
    let shown: Vec<String> = peer.allowed_ips.iter().take(PREFIXES_SHOWN).map(Cidr::to_string).collect();
    match peer.allowed_ips.len() {
        0 => "none".to_owned(),
        count if count > PREFIXES_SHOWN => format!("{} and {} more", shown.join(", "), count - PREFIXES_SHOWN),
        _ => shown.join(", "),
    }
}
