//! Who reaches whom, and why: computed from what is compiled (AllowedIPs both ways, routes, marks, the firewalls' rules,
//! address translation), and not from access levels as such, so that it says what the deployed network does.
//!
//! A packet is followed machine by machine ([`World::reach`]): routing, the firewall's rules as the kernel reads them, the
//! sending end's AllowedIPs, the receiving end's. Then its answer is followed back. What the model can't know is named
//! in the answer and taken to be in order: the routes of LANs, the rules of hosts that were adopted with their own.

mod answer;
mod explain;
mod judge;
mod walk;
mod who;
mod world;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::model::{Node, Role};

pub use answer::{Answer, Code, Decision, End, Flow, Hop, Party, Way};
pub use who::{Holder, Owner, Who};
pub use world::World;

use walk::{Arrival, Came, Packet, Place, Stop, Trail, outside_hop};
use world::{Exit, Machine, is_public};

/// What became of a question.
struct Course {
    out: Trail,
    back: Trail,
    source: Option<IpAddr>,
    through_tunnel: bool,
    end: Result<(), (Stop, bool)>,
}

impl<'a> World<'a> {
    /// Says whether `from` reaches `to`, and why.
    pub fn reach(&self, from: &Party, to: IpAddr, flow: Flow) -> Answer {
        let Some(node) = self.topology.node(from.node) else {
            unreachable!("a party is a node of the topology that it is asked about");
        };
        let course = self.course(node, from, to, flow);
        self.explain(node, from, to, flow, course)
    }

    /// Follows a packet there and the answer back.
    fn course(&self, node: &Node, from: &Party, to: IpAddr, flow: Flow) -> Course {
        let mut course = Course {
            out: Trail::default(),
            back: Trail::default(),
            source: from.address,
            through_tunnel: false,
            end: Ok(()),
        };
        let Some(at) = self.machine_of(node.id) else {
            let text = "is disabled: it is in no configuration".to_owned();
            course.end = Err((Stop { machine: usize::MAX, code: Code::Disabled, text, lack: None }, false));
            return course;
        };
        course.end = self.there_and_back(at, from, to, flow, &mut course);
        course
    }

    fn there_and_back(
        &self,
        at: usize,
        from: &Party,
        to: IpAddr,
        flow: Flow,
        course: &mut Course,
    ) -> Result<(), (Stop, bool)> {
        let machine = &self.machines[at];
        let (came, source) = self
            .start(machine, from, to)
            .map_err(|(code, text)| (Stop { machine: at, code, text, lack: None }, false))?;
        course.source = source;
        if came == Came::Outer {
            let own = machine.node.lans.iter().map(|lan| lan.cidr);
            let shared =
                own.into_iter().find(|lan| lan.contains(to) && source.is_some_and(|source| lan.contains(source)));
            if let Some(lan) = shared {
                course.out.hops.push(outside_hop(machine, Way::Lan, Some(lan), false, None));
                return Ok(()); // the two are in the same LAN
            }
            let lan = machine.node.lans.iter().map(|lan| lan.cidr).find(|lan| source.is_some_and(|s| lan.contains(s)));
            if self.route(machine, to, None).0 != Exit::Outside {
                course.out.hops.push(outside_hop(machine, Way::Lan, lan, false, None));
                course.out.provided.extend(lan.map(|lan| explain::route_back(machine, lan, self.topology)));
            }
        }
        // A packet that leaves by the machine's own connection has a source of that connection.
        let packet = Packet { source: source.unwrap_or(to), to, flow, reply: false, mark: None };
        let arrival = self.walk(packet, at, came, None, &mut course.out).map_err(|stop| (stop, false))?;
        course.through_tunnel = arrival.by_tunnel;
        let start = self.turn(&packet, &arrival, came, course).map_err(|stop| (stop, false))?;
        let Some((at_far, came_far)) = start else { return Ok(()) };
        let answer = Packet { source: to, to: arrival.source, reply: true, ..packet };
        if came_far == Came::Outer {
            let far = &self.machines[at_far];
            let (way, lan) = match arrival.place {
                Place::Lan(lan) => (Way::Lan, Some(lan)),
                _ => (Way::Internet, None),
            };
            course.back.hops.push(outside_hop(far, way, lan, false, None));
        }
        let home =
            self.walk(answer, at_far, came_far, Some(&course.out), &mut course.back).map_err(|stop| (stop, true))?;
        let expected =
            if came == Came::Here { home.place == Place::Machine } else { matches!(home.place, Place::Lan(_)) };
        if home.machine != at || !expected {
            let text = format!("gets the answer for {}, and it ends there", packet.source);
            return Err((Stop { machine: home.machine, code: Code::AnswerAstray, text, lack: None }, true));
        }
        Ok(())
    }

    /// Returns how the packet comes into the first machine, and its source.
    fn start(&self, machine: &Machine<'_>, from: &Party, to: IpAddr) -> Result<(Came, Option<IpAddr>), (Code, String)> {
        let family = if to.is_ipv4() { "IPv4" } else { "IPv6" };
        if let Some(address) = from.address {
            if address.is_ipv4() != to.is_ipv4() {
                return Err((
                    Code::NoAddress,
                    format!("has no {family} address there: {address} is of the other family"),
                ));
            }
            if machine.has(address) {
                return Ok((Came::Here, Some(address)));
            }
            return Ok((Came::Outer, Some(address)));
        }
        let (exit, _) = self.route(machine, to, None);
        let source = match exit {
            Exit::Tunnel(number) => machine.source(Some(number), to),
            Exit::Here => return Ok((Came::Here, Some(to))),
            Exit::Outside if self.is_inside(to) => machine.source(None, to),
            Exit::Lan(_) | Exit::Outside => return Ok((Came::Here, None)),
        };
        match source {
            Some(source) => Ok((Came::Here, Some(source))),
            None => Err((Code::NoAddress, format!("has no {family} address in the network"))),
        }
    }

    /// Turns a packet that has arrived round: returns where the answer begins, `None` when it needs no way back of ours.
    fn turn(
        &self,
        packet: &Packet,
        arrival: &Arrival,
        came: Came,
        course: &mut Course,
    ) -> Result<Option<(usize, Came)>, Stop> {
        let machine = &self.machines[arrival.machine];
        let stop = |code: Code, text: String| Stop { machine: arrival.machine, code, text, lack: None };
        match arrival.place {
            Place::Machine => Ok(Some((arrival.machine, Came::Here))),
            Place::Lan(lan) => {
                if came == Came::Here && !arrival.by_tunnel {
                    return Ok(None); // its own LAN
                }
                if !arrival.translated {
                    course.out.provided.push(explain::route_back(machine, lan, self.topology));
                }
                Ok(Some((arrival.machine, Came::Outer)))
            }
            Place::Outside if is_public(packet.to) && !self.is_inside(packet.to) => {
                if !arrival.by_tunnel {
                    return Ok(None); // its own connection
                }
                let mut routed = machine.node.routed.iter().filter(|prefix| prefix.contains(arrival.source));
                match routed.next() {
                    _ if arrival.translated => {}
                    Some(prefix) => {
                        course.out.provided.push(format!("the internet routes {prefix} to {}", machine.node.name));
                    }
                    None => {
                        let source = arrival.source;
                        let text =
                            format!("sends it to the internet with the source {source}, to which no answer comes");
                        return Err(stop(Code::NoTranslation, text));
                    }
                }
                if machine.has_own_rules() {
                    let name = &machine.node.name;
                    course
                        .out
                        .provided
                        .push(format!("{name} gives it its own address (NAT): its own rules decide that"));
                }
                Ok(Some((arrival.machine, Came::Outer)))
            }
            Place::Outside => Err(self.astray(machine, arrival, packet)),
        }
    }

    /// Says why a packet that left by a default route goes nowhere.
    fn astray(&self, machine: &Machine<'_>, arrival: &Arrival, packet: &Packet) -> Stop {
        let to = packet.to;
        let stop = |code: Code, text: String| Stop { machine: arrival.machine, code, text, lack: None };
        if self.is_inside(to) {
            let peers = machine.config.interfaces.iter().flat_map(|interface| &interface.peers);
            let listed: Vec<String> =
                peers.take(2).map(|peer| format!("{} has {}", peer.name, walk::listed(peer))).collect();
            let listed = if listed.is_empty() { String::new() } else { format!(" ({})", listed.join("; ")) };
            return stop(
                Code::NoAllowedIp,
                format!("doesn't send {to} into the tunnel: no AllowedIP holds it{listed}"),
            );
        }
        stop(Code::Nobody, format!("sends {to} out of its own connection: no node has it and no LAN holds it"))
    }
}

/// Whether a node is a device whose owner can edit its file.
fn is_remote(node: &Node) -> bool {
    node.role == Role::Remote
}
