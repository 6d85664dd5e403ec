//! What a firewall does with a packet: the rules of `templates/firewall/` read as the kernel would, from the same data.
//!
//! A test in a network namespace holds this reading against the real ruleset.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::model::{Access, Cidr, ExitRule, InterfaceName, Protocol, Role, RuleHolder};
use crate::wg::UplinkRoute;
use crate::wg::firewall::{Duty, ExitPath, Firewall, Granted, Rights, RulePath, ServerRules};

use super::walk::Packet;
use super::world::{World, is_public, judges};

/// What becomes of a packet.
pub(super) enum Verdict {
    /// It passes; the rule in words, if one had to permit it.
    Pass(Option<String>),
    /// It is dropped; why, in words.
    Drop(Fault),
}

/// Why a packet is dropped.
pub(super) struct Fault {
    /// In words, to stand after `NODE's firewall: `.
    pub(super) text: String,
    /// What would have to change.
    pub(super) lack: Lack,
}

/// What is missing for a packet to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The right of whoever has this address to reach the destination.
    Right(IpAddr),
    /// A way to the internet for whoever has this address.
    Internet(IpAddr),
    /// Nothing that could be set: this is how such nodes are meant.
    Nothing,
}

/// A side of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side<'a> {
    /// One of its WireGuard interfaces.
    Tunnel(&'a InterfaceName),
    /// The interface towards its LANs and the internet.
    Outer,
}

impl Side<'_> {
    fn is(&self, name: &InterfaceName) -> bool {
        matches!(self, Side::Tunnel(own) if *own == name)
    }
}

/// Judges with a firewall and the names of a world.
pub(super) struct Judge<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) firewall: &'a Firewall,
}

fn pass(text: impl Into<String>) -> Verdict {
    Verdict::Pass(Some(text.into()))
}

fn drop(text: impl Into<String>, lack: Lack) -> Verdict {
    Verdict::Drop(Fault { text: text.into(), lack })
}

fn within(prefixes: &[Cidr], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}

impl Judge<'_, '_> {
    /// Judges a packet that passes through the machine.
    pub(super) fn forward(&self, packet: &Packet, from: Side<'_>, to: Side<'_>) -> Verdict {
        let judged = |side: Side<'_>| matches!(side, Side::Tunnel(name) if judges(self.firewall, name));
        if !judged(from) && !judged(to) {
            return Verdict::Pass(None);
        }
        match &self.firewall.duty {
            Duty::Server(rules) => self.through_server(rules, packet, from, to),
            Duty::Router { judged: Some(rules), own, .. }
                if (judged(from) && to == Side::Outer && rules.concerns(packet.source) && within(own, packet.to))
                    || (from == Side::Outer && within(own, packet.source) && rules.concerns(packet.to)) =>
            {
                self.level(rules.rights(), None, packet, from, Some(to))
            }
            Duty::Router { own, .. } if judged(from) => {
                if to == Side::Outer && within(own, packet.to) {
                    return pass("the tunnel reaches the router's own LANs");
                }
                drop(
                    format!("from the tunnel it passes only to its own LANs, not to {}", self.place(packet.to)),
                    Lack::Nothing,
                )
            }
            Duty::Router { own, .. } => {
                if from == Side::Outer && within(own, packet.source) {
                    return pass("the router's own LANs reach the tunnel");
                }
                drop(format!("{} is not in one of its own LANs", packet.source), Lack::Nothing)
            }
            Duty::Exit { onward, .. } if self.is_uplink(from) || self.is_uplink(to) => {
                self.onward(onward, packet, from, to)
            }
            Duty::Exit { held, .. } if judged(from) => {
                if within(held, packet.source) {
                    let name = self.holder(packet.source);
                    return drop(
                        format!("the internet traffic of {name} leaves by an exit after this one"),
                        Lack::Nothing,
                    );
                }
                if to == Side::Outer && self.inside(packet.source) && is_public(packet.to) && !self.inside(packet.to) {
                    return pass("the tunnel reaches the internet");
                }
                let direct = matches!(&self.firewall.duty, Duty::Exit { direct, .. } if within(direct, packet.source));
                let lack = if direct { Lack::Right(packet.source) } else { Lack::Nothing };
                drop(format!("an exit carries packets to the internet only, not to {}", self.place(packet.to)), lack)
            }
            Duty::Exit { .. } => {
                if from == Side::Outer && packet.reply {
                    return pass("answers from the internet come back");
                }
                drop("from the internet only answers come in", Lack::Nothing)
            }
        }
    }

    /// Judges a packet to the machine itself.
    pub(super) fn input(&self, packet: &Packet, from: Side<'_>) -> Verdict {
        let judged = matches!(from, Side::Tunnel(name) if judges(self.firewall, name));
        if !judged {
            return Verdict::Pass(None);
        }
        match &self.firewall.duty {
            Duty::Router { judged: Some(rules), .. } if !packet.reply && rules.concerns(packet.source) => {
                self.level(rules.rights(), None, packet, from, None)
            }
            Duty::Router { .. } => Verdict::Pass(None),
            _ if packet.reply => pass("answers come back"),
            Duty::Exit { .. } if self.is_uplink(from) => drop("the next exit only answers", Lack::Nothing),
            Duty::Exit { direct, .. } => {
                if within(direct, packet.source) {
                    return drop(
                        format!("{} has it as a way to the internet only", self.world.named(packet.source)),
                        Lack::Right(packet.source),
                    );
                }
                if self.inside(packet.to) {
                    return pass("what the server has let through reaches the exit");
                }
                if is_public(packet.to) {
                    return Verdict::Pass(None);
                }
                drop("its own neighbourhood is no part of the internet", Lack::Nothing)
            }
            Duty::Server(rules) => self.to_server(rules, packet, from),
        }
    }

    /// Whether a packet that comes out of the tunnel and leaves by the outer interface gets the machine's own address as
    /// its source.
    pub(super) fn translates(&self, packet: &Packet, from: Side<'_>) -> bool {
        if !from.is(&self.firewall.interface) || packet.reply {
            return false;
        }
        match &self.firewall.duty {
            Duty::Router { own, nat, .. } => *nat && within(own, packet.to),
            Duty::Exit { routed, .. } => self.inside(packet.source) && !within(routed, packet.source),
            Duty::Server(rules) => {
                (rules.nat && within(&rules.own, packet.to))
                    || (at_server(rules, packet.source, packet.to, packet) && is_public(packet.to))
            }
        }
    }

    /// Whether a packet that goes from one tunnel into another gets the machine's own address as its source.
    pub(super) fn translates_onward(&self, packet: &Packet, from: Side<'_>, to: Side<'_>) -> bool {
        let is_exit = matches!(self.firewall.duty, Duty::Exit { .. });
        is_exit
            && !packet.reply
            && from.is(&self.firewall.interface)
            && self.is_uplink(to)
            && self.inside(packet.source)
    }

    fn is_uplink(&self, side: Side<'_>) -> bool {
        matches!(side, Side::Tunnel(name) if self.firewall.duty.uplinks().contains(&name))
    }

    /// Judges what goes on from an exit to another one, and what comes back.
    fn onward(&self, onward: &BTreeMap<Cidr, ExitPath>, packet: &Packet, from: Side<'_>, to: Side<'_>) -> Verdict {
        let (opener, asked, far) =
            if packet.reply { (packet.to, packet.source, from) } else { (packet.source, packet.to, to) };
        let path = onward.get(&Cidr::host(opener));
        let leads = matches!(far, Side::Tunnel(name) if path.is_some_and(|path| path.uplinks.contains(name)));
        let is_internet =
            packet.reply || (from.is(&self.firewall.interface) && is_public(asked) && !self.inside(asked));
        if leads && is_internet {
            return pass(format!("the internet traffic of {} goes on to the next exit", self.holder(opener)));
        }
        drop("nothing but internet traffic that is to leave there goes on to another exit", Lack::Nothing)
    }

    /// Returns the mark that a packet gets as it arrives.
    pub(super) fn mark(&self, packet: &Packet, from: Side<'_>) -> Option<u32> {
        if !from.is(&self.firewall.interface) || self.inside(packet.to) {
            return None;
        }
        let rules = match &self.firewall.duty {
            Duty::Server(rules) => rules,
            Duty::Router { .. } => return None,
            Duty::Exit { onward, .. } => return onward.get(&Cidr::host(packet.source)).map(|path| path.mark),
        };
        match chosen(rules, packet.source, packet.to, packet) {
            Chosen::Exit(path) => Some(path.mark),
            Chosen::Server if !rules.by_destination.is_empty() => Some(UplinkRoute::SERVER_MARK),
            Chosen::Server | Chosen::Blocked | Chosen::None => None,
        }
    }

    fn inside(&self, address: IpAddr) -> bool {
        within(&self.firewall.network, address) || within(&self.firewall.lans, address)
    }

    fn through_server(&self, rules: &ServerRules, packet: &Packet, from: Side<'_>, to: Side<'_>) -> Verdict {
        if !packet.reply && !from.is(&self.firewall.interface) {
            let own = from == Side::Outer && within(&rules.own, packet.source);
            if !own {
                return drop("what doesn't come out of the tunnel or its own LANs may only answer", Lack::Nothing);
            }
        }
        if name_service(rules, packet) {
            return pass("the network's DNS servers answer everyone");
        }
        self.level(rules.rights(), Some(rules), packet, from, Some(to))
    }

    fn to_server(&self, rules: &ServerRules, packet: &Packet, from: Side<'_>) -> Verdict {
        if !from.is(&self.firewall.interface) {
            return drop("exits may only answer", Lack::Nothing);
        }
        let public = is_public(packet.to) && !self.inside(packet.to);
        if public {
            match chosen(rules, packet.source, packet.to, packet) {
                Chosen::Exit(_) | Chosen::Server => return pass("the server's public address is part of the internet"),
                Chosen::Blocked => return drop(self.blocked(packet.source, packet.to, packet), Lack::Nothing),
                Chosen::None => {}
            }
        }
        if name_service(rules, packet) {
            return pass("the network's DNS servers answer everyone");
        }
        self.level(rules.rights(), Some(rules), packet, from, None)
    }

    /// Judges by the rights of whoever opened the flow.
    fn level(
        &self,
        rules: Rights<'_>,
        server: Option<&ServerRules>,
        packet: &Packet,
        from: Side<'_>,
        out: Option<Side<'_>>,
    ) -> Verdict {
        let opener = if packet.reply { packet.to } else { packet.source };
        let asked = if packet.reply { packet.source } else { packet.to };
        let wide = || {
            let lans = rules.sources.iter().filter(|(source, _)| !source.is_host() && source.contains(opener));
            lans.map(|(_, access)| *access).next()
        };
        let Some(access) = rules.sources.get(&Cidr::host(opener)).copied().or_else(wide) else {
            return drop(format!("{} has no right to open a connection", self.world.named(opener)), Lack::Nothing);
        };
        let name = self.holder(opener);
        let word = access.as_str().replace('_', "-");
        let place = self.place(asked);
        let network = within(&self.firewall.network, asked);
        match access {
            Access::Full if self.inside(asked) => return pass(format!("access {word} of {name} includes {place}")),
            Access::VpnOnly | Access::LanOnly if network => {
                return pass(format!("access {word} of {name} includes {place}"));
            }
            Access::LanOnly if rules.selected.iter().any(|(of, lan)| of.contains(opener) && lan.contains(asked)) => {
                return pass(format!("access {word} of {name} includes {place}"));
            }
            _ => {}
        }
        // What lasts is looked for first, then what ends last.
        let grants = rules.granted.iter().filter(|grant| grant_fits(grant, packet, opener, asked));
        let best = grants.max_by_key(|grant| (grant.until.is_none(), grant.until));
        let held = best.filter(|_| access != Access::Full && access != Access::ExitOnly);
        let over = held.and_then(|grant| grant.until).filter(|until| self.world.at.is_some_and(|at| *until <= at));
        if let (Some(grant), None) = (held, over) {
            let until = grant.until.map_or_else(String::new, |until| format!(" until {}", in_words(until)));
            return pass(format!("{name} is granted {} to {asked}{until}", packet.flow));
        }
        if let (Some(out), Some(server)) = (out, server)
            && let Some(verdict) = self.internet(server, packet, [from, out], opener, asked)
        {
            return verdict;
        }
        if !self.inside(asked) {
            let way = if out.is_some_and(|out| matches!(out, Side::Tunnel(_))) { "that way" } else { "there" };
            return drop(
                format!("{name} has no way to the internet {way}, and {asked} is not in the network"),
                Lack::Internet(opener),
            );
        }
        if let Some(over) = over {
            let text = format!("what {name} was granted has ended ({}): {} to {asked}", in_words(over), packet.flow);
            return drop(text, Lack::Right(opener));
        }
        let text = match access {
            Access::Custom => {
                format!("the grants of {name} don't include {} to {}", packet.flow, self.world.named(asked))
            }
            _ => format!("access {word} of {name} doesn't include {place}"),
        };
        drop(text, Lack::Right(opener))
    }

    /// Judges what goes to the internet; `None` when nothing permits it.
    fn internet(
        &self,
        rules: &ServerRules,
        packet: &Packet,
        [from, out]: [Side<'_>; 2],
        opener: IpAddr,
        asked: IpAddr,
    ) -> Option<Verdict> {
        if self.inside(packet.to) && self.inside(packet.source) {
            return None;
        }
        let far = if packet.reply { from } else { out };
        let name = self.holder(opener);
        let because = self.rule_of(opener, asked, packet).map_or_else(
            || format!("the internet traffic of {name}"),
            |rule| format!("by {rule}, the traffic of {name}"),
        );
        match chosen(rules, opener, asked, packet) {
            Chosen::Server if far == Side::Outer && is_public(asked) => {
                Some(pass(format!("{because} leaves at the server itself")))
            }
            Chosen::Exit(path) => {
                let uplink = path.uplinks.iter().find(|uplink| far.is(uplink))?;
                Some(pass(format!("{because} leaves by {}", self.exit_behind(uplink))))
            }
            Chosen::Blocked => Some(drop(self.blocked(opener, asked, packet), Lack::Nothing)),
            Chosen::Server | Chosen::None => None,
        }
    }

    /// Says by which rule a packet ends at the server.
    fn blocked(&self, opener: IpAddr, asked: IpAddr, packet: &Packet) -> String {
        let name = self.holder(opener);
        let rule = self.rule_of(opener, asked, packet).unwrap_or_else(|| "a rule".to_owned());
        format!("by {rule}, the traffic of {name} ends here: it is blocked, or its exit can't be used")
    }

    /// Returns the rule by destination that decides, in words: `rule 2 of alice (203.0.113.0/24 tcp 443)`.
    fn rule_of(&self, opener: IpAddr, asked: IpAddr, packet: &Packet) -> Option<String> {
        let node = self.world.owner(opener)?;
        let mut rules = self.world.topology.exit_rules_of(node);
        let fits = |rule: &ExitRule| rule.fits(asked, packet.flow.protocol, packet.flow.port);
        let (holder, place, rule) = rules.find(|(_, _, rule)| fits(rule))?;
        let holder = match holder {
            RuleHolder::Node(node) => node.name.to_string(),
            RuleHolder::Group(group) => format!("the group {}", group.name),
            RuleHolder::Network => "the network".to_owned(),
        };
        Some(format!("rule {place} of {holder} ({rule})"))
    }

    /// Returns an uplink in words: the exit at its other end, and its name.
    fn exit_behind(&self, uplink: &InterfaceName) -> String {
        let servers = self.world.machines.iter().filter(|machine| machine.node.role == Role::Server);
        let mut interfaces = servers.flat_map(|machine| &machine.config.interfaces);
        let peer = interfaces.find(|interface| interface.name == *uplink).and_then(|interface| interface.peers.first());
        peer.map_or_else(|| uplink.to_string(), |peer| format!("{} ({uplink})", peer.name))
    }

    /// Whose rights an address has.
    fn holder(&self, address: IpAddr) -> String {
        match (self.world.owner(address), self.world.lan(address)) {
            (Some(node), _) => node.name.to_string(),
            (None, Some((lan, node))) => format!("{} (LAN {lan})", node.name),
            (None, None) => address.to_string(),
        }
    }

    /// What an address is part of.
    fn place(&self, address: IpAddr) -> String {
        match self.world.lan(address) {
            Some((lan, node)) => format!("LAN {lan} of {}", node.name),
            None => match self.firewall.network.iter().find(|prefix| prefix.contains(address)) {
                Some(prefix) => format!("the network {prefix}"),
                None => address.to_string(),
            },
        }
    }
}

/// By which way a source's packets to somewhere outside go.
enum Chosen<'r> {
    Exit(&'r ExitPath),
    Server,
    /// By none, because a rule says so.
    Blocked,
    /// By none.
    None,
}

/// Returns by which way a flow to the internet goes: by the first rule that fits, else as assigned.
fn chosen<'r>(rules: &'r ServerRules, opener: IpAddr, asked: IpAddr, packet: &Packet) -> Chosen<'r> {
    let source = Cidr::host(opener);
    let list = rules.by_destination.iter().find(|list| list.sources.binary_search(&source).is_ok());
    match list.and_then(|list| list.rule_for(asked, packet.flow.protocol, packet.flow.port)) {
        Some(rule) => match &rule.path {
            RulePath::Exit(path) => Chosen::Exit(path),
            RulePath::Server => Chosen::Server,
            RulePath::Block => Chosen::Blocked,
        },
        None if rules.leaving.binary_search(&source).is_ok() => Chosen::Server,
        None => rules.exits.get(&source).map_or(Chosen::None, Chosen::Exit),
    }
}

fn at_server(rules: &ServerRules, opener: IpAddr, asked: IpAddr, packet: &Packet) -> bool {
    matches!(chosen(rules, opener, asked, packet), Chosen::Server)
}

fn name_service(rules: &ServerRules, packet: &Packet) -> bool {
    let asked = if packet.reply { packet.source } else { packet.to };
    let dns = packet.flow.port.is_some_and(|port| port.get() == 53);
    dns && matches!(packet.flow.protocol, Protocol::Tcp | Protocol::Udp) && within(&rules.dns, asked)
}

/// Whether a grant permits a packet, as long as it lasts.
fn grant_fits(grant: &Granted, packet: &Packet, opener: IpAddr, asked: IpAddr) -> bool {
    let port = || match (grant.ports, packet.flow.port) {
        (None, _) => true,
        (Some(range), Some(port)) => (range.first()..=range.last()).contains(&port),
        (Some(_), None) => false,
    };
    grant.source.contains(opener)
        && grant.destination.contains(asked)
        && (grant.protocol == Protocol::Any || (grant.protocol == packet.flow.protocol && port()))
}

fn in_words(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
