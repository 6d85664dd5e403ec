//! Tries on the hosts what the model answers, and finds where packets end when the two disagree.
//!
//! One round trip to one host while they agree: a real connection, from the right address. When they don't, every host on
//! the way counts the flow's packets while it is tried once more, one round trip each.

use std::net::IpAddr;

use serde::Serialize;

use crate::fleet::{self, Attempt, Counted, Fleet, Tried, Watch, attempt, read_counted, read_tried, watch};
use crate::model::{Host, InterfaceName, Name, Node, Protocol, PublicKey, Role, Topology};
use crate::ops::Error;
use crate::ops::network::can::{Question, Report, can, understand};
use crate::ops::parallel::each;
use crate::wg::compile::compile;
use crate::wg::reach::{Answer, Party, World};

/// How a real attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The other end answered.
    Answered,
    /// It answered that nothing listens there: the way is open.
    Refused,
    /// Nothing came back.
    Silent,
    /// The asking host itself couldn't send it.
    NotSent,
    /// No host could try it.
    NotTried,
}

/// One real attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Try {
    /// Whom.
    pub to: IpAddr,
    /// The host that tried.
    pub host: Option<Name>,
    /// The node on it, which is the one that asks, or the first on the way that has a host.
    pub node: Option<Name>,
    /// From which of its addresses.
    pub source: Option<IpAddr>,
    /// How it ended.
    pub outcome: Outcome,
    /// In words.
    pub text: String,
    /// What else was seen, in words: handshakes, and what the hosts on the way counted.
    pub seen: Vec<String>,
    /// When model and hosts disagree, the node that saw the packet last.
    pub last: Option<Name>,
    /// What the model says about this very attempt.
    pub expected: bool,
    /// Whether the two agree; silence of UDP agrees with everything.
    pub agrees: bool,
}

/// The model's answers beside what the hosts showed.
#[derive(Clone, Debug, Serialize)]
pub struct LiveReport {
    /// What the model says.
    pub model: Report,
    /// What holds: the hosts' word where they tried it all, else the model's.
    pub reaches: bool,
    /// Whether all attempts ended as the model says.
    pub agrees: bool,
    /// The attempts, one per address.
    pub tries: Vec<Try>,
    /// What it comes to, in a sentence.
    pub conclusion: String,
}

/// Seconds that hosts count: as long as an attempt lasts, with room for one that begins late.
const WATCHED: u32 = 8;

/// Answers a question from the model and tries it on the hosts, at most `parallel` at once.
///
/// # Errors
/// When the question makes no sense or the model contradicts itself. A host that doesn't answer is told in the report.
pub fn prove(
    topology: &Topology,
    fleet: &dyn Fleet,
    question: &Question<'_>,
    parallel: usize,
) -> Result<LiveReport, Error> {
    let asked = understand(topology, question)?;
    if asked.internet {
        return Err(Error::Value {
            what: "`internet`".to_owned(),
            reason: "an attempt needs an address of it".to_owned(),
            hint: Some(format!("for example: wg-friend can {} 198.51.100.7:443 --live", asked.from)),
        });
    }
    let model = can(topology, question)?;
    let compiled = compile(topology).map_err(Error::Model)?;
    let world = World::of(topology, &compiled).at(question.at);
    let proof = Proof { topology, fleet, world: &world, parallel };
    let tries: Vec<Try> = model.answers.iter().filter_map(|answer| proof.attempt(&asked.party, answer)).collect();
    let agrees = tries.iter().all(|tried| tried.agrees);
    let first_hand =
        tries.iter().all(|tried| tried.node.as_ref() == model.answers.first().and_then(|a| a.from.node.as_ref()));
    let shown = tries.iter().any(|tried| matches!(tried.outcome, Outcome::Answered | Outcome::Refused));
    let tried = tries.iter().any(|tried| tried.outcome != Outcome::NotTried);
    let reaches = if !tried || agrees {
        model.reaches
    } else if first_hand {
        shown
    } else {
        model.reaches && shown
    };
    let conclusion = conclusion(&tries, agrees, tried, first_hand);
    Ok(LiveReport { model, reaches, agrees, tries, conclusion })
}

fn conclusion(tries: &[Try], agrees: bool, tried: bool, first_hand: bool) -> String {
    if !tried {
        return "No host could try it: this is the model's word alone.".to_owned();
    }
    if agrees {
        let node = tries.iter().find_map(|tried| tried.node.clone());
        return match (first_hand, node) {
            (false, Some(node)) => {
                format!("The hosts agree with the model, from {node} on; what is before it wasn't tried.")
            }
            _ => "The hosts agree with the model.".to_owned(),
        };
    }
    let wrong = tries.iter().find(|tried| !tried.agrees);
    let (expected, last) = wrong.map_or((false, None), |tried| (tried.expected, tried.last.clone()));
    match (expected, last) {
        (true, Some(last)) => format!(
            "The model says yes and the hosts say no: {last} saw the packet last. `wg-friend plan` tells whether what runs there is what the model says."
        ),
        (true, None) => "The model says yes and the hosts say no, and no host on the way saw the packet: `wg-friend plan` tells whether what runs there is what the model says.".to_owned(),
        (false, _) => "The model says no and the hosts say yes: what runs there isn't what the model says. `wg-friend plan` shows the difference.".to_owned(),
    }
}

/// What attempts need.
struct Proof<'p> {
    topology: &'p Topology,
    fleet: &'p dyn Fleet,
    world: &'p World<'p>,
    parallel: usize,
}

impl Proof<'_> {
    /// Tries one address; `None` when whoever asks has no address of its family.
    fn attempt(&self, party: &Party, answer: &Answer) -> Option<Try> {
        let to = answer.to.address?;
        let asking = self.topology.node(party.node)?;
        if party.address.is_none() && !has_family(asking, to) {
            return None;
        }
        let Some((node, host)) = self.who_tries(asking, answer) else {
            return Some(Try {
                to,
                host: None,
                node: None,
                source: None,
                outcome: Outcome::NotTried,
                text: format!("{to}: no node on the way has a host that wg-friend reaches"),
                seen: Vec::new(),
                last: None,
                expected: answer.reaches,
                agrees: true,
            });
        };
        let own = node.id == asking.id;
        let party = if own { *party } else { Party::node(node.id) };
        let expected = if own { answer.clone() } else { self.world.reach(&party, to, answer.flow) };
        Some(self.run(asking, node, host, &party, &expected, to))
    }

    /// Returns the node that asks, when it has a host; else the first on the way that has one; else the server.
    fn who_tries<'t>(&'t self, asking: &'t Node, answer: &Answer) -> Option<(&'t Node, &'t Host)> {
        let by_name = |name: &Name| self.topology.nodes.iter().find(|node| node.name == *name);
        let way = answer.out.iter().filter_map(|hop| hop.peer.as_ref()).filter_map(by_name);
        let mut candidates = std::iter::once(asking).chain(way).chain(self.topology.with_role(Role::Server));
        candidates.find_map(|node| Some((node, self.host_of(node)?)))
    }

    fn host_of(&self, node: &Node) -> Option<&Host> {
        node.host.as_ref().and_then(|name| self.topology.host(name))
    }

    fn run(&self, asking: &Node, node: &Node, host: &Host, party: &Party, expected: &Answer, to: IpAddr) -> Try {
        let own_address = party.address.filter(|address| node.addresses().any(|own| own.net().addr() == *address));
        let question = Attempt {
            to,
            protocol: expected.flow.protocol,
            port: expected.flow.port,
            source: own_address,
            behind: party.address.filter(|_| own_address.is_none()),
            wait: 0,
            peers: if node.id == asking.id { Vec::new() } else { tunnels_between(node, asking) },
        };
        let mut tried = Try {
            to,
            host: Some(host.name.clone()),
            node: Some(node.name.clone()),
            source: None,
            outcome: Outcome::NotTried,
            text: String::new(),
            seen: Vec::new(),
            last: None,
            expected: expected.reaches,
            agrees: true,
        };
        match self.ask(host, &question) {
            Ok(first) => {
                read(&mut tried, &first, &question);
                if node.id != asking.id {
                    tried.seen.push(shaken(asking, node, first.shakes.first().copied().flatten()));
                }
            }
            Err(error) => {
                tried.text = format!("{to} from {}: {error}", host.name);
                return tried;
            }
        }
        tried.agrees = agrees(expected, tried.outcome);
        if !tried.agrees {
            self.watch(&mut tried, host, question, expected);
        }
        tried
    }

    fn ask(&self, host: &Host, question: &Attempt) -> Result<Tried, fleet::Error> {
        let answer = self.fleet.connect(host)?.run(&attempt(question))?;
        read_tried(&answer).map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })
    }

    /// Lets every host on the way count the packets while it is tried once more.
    fn watch(&self, tried: &mut Try, host: &Host, question: Attempt, expected: &Answer) {
        let Some(source) = tried.source.or(expected.from.address) else { return };
        let by_name = |name: &Name| self.topology.nodes.iter().find(|node| node.name == *name);
        let mut way: Vec<&Node> = tried.node.iter().filter_map(by_name).collect();
        way.extend(expected.out.iter().filter_map(|hop| hop.peer.as_ref()).filter_map(by_name));
        way.extend(self.topology.with_role(Role::Server));
        way.extend(expected.to.node.as_ref().and_then(by_name));
        let mut watching: Vec<(&Node, &Host)> = Vec::new();
        for node in way {
            if let Some(host) =
                self.host_of(node).filter(|host| !watching.iter().any(|(_, known)| known.name == host.name))
            {
                watching.push((node, host));
            }
        }
        let watch_for = Watch {
            source,
            to: question.to,
            protocol: question.protocol,
            port: question.port,
            seconds: WATCHED,
            peers: Vec::new(),
        };
        let again = Attempt { wait: 2, ..question };
        let jobs: Vec<Option<(&Node, &Host)>> =
            watching.iter().copied().map(Some).chain(std::iter::once(None)).collect();
        // All at once, or some would count when it is over.
        let limit = jobs.len().max(self.parallel);
        let counted = each(jobs, limit, |job| match job {
            Some((_, host)) => Some(self.count(host, &watch_for)),
            None => {
                let _ = self.ask(host, &again); // the counters tell; how it ended is known
                None
            }
        });
        for ((node, _), counted) in watching.iter().zip(counted) {
            match counted {
                Some(Ok(counted)) => {
                    if counted.came > 0 {
                        tried.last = Some(node.name.clone());
                    }
                    tried.seen.push(format!("{} {}", node.name, told(&counted)));
                }
                Some(Err(error)) => tried.seen.push(format!("{} can't be asked: {error}", node.name)),
                None => {}
            }
        }
    }

    fn count(&self, host: &Host, question: &Watch) -> Result<Counted, fleet::Error> {
        let answer = self.fleet.connect(host)?.run(&watch(question))?;
        read_counted(&answer).map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })
    }
}

fn has_family(node: &Node, to: IpAddr) -> bool {
    node.addresses().any(|own| own.is_ipv4() == to.is_ipv4())
}

/// Returns the interface of a node whose peer may be another, with the other's key.
fn tunnels_between(node: &Node, other: &Node) -> Vec<(InterfaceName, PublicKey)> {
    vec![(node.main().name.clone(), other.main().public_key)]
}

fn shaken(asking: &Node, node: &Node, age: Option<u64>) -> String {
    match age {
        Some(seconds) => format!("{} and {} last shook hands {seconds} s ago", asking.name, node.name),
        None => format!("{} and {} have never shaken hands since the interface came up", asking.name, node.name),
    }
}

/// Understands how an attempt ended: errno(3) of Linux.
fn read(tried: &mut Try, first: &Tried, question: &Attempt) {
    tried.source = first.source;
    let (number, words) = first.said.split_once(' ').unwrap_or((first.said.as_str(), ""));
    tried.outcome = match number {
        "answered" => Outcome::Answered,
        "111" => Outcome::Refused,
        "110" | "113" => Outcome::Silent,
        "-" | "" => Outcome::NotTried,
        _ => Outcome::NotSent,
    };
    let port = question.port.map(|port| format!(" {port}")).unwrap_or_default();
    let from = first.source.map(|source| format!(" from {source}")).unwrap_or_default();
    let instead = question.behind.map(|host| format!(" in place of {host}")).unwrap_or_default();
    let node = tried.node.as_ref().map(ToString::to_string).unwrap_or_default();
    let (protocol, to) = (question.protocol, question.to);
    let how = match tried.outcome {
        Outcome::Answered => "it answered".to_owned(),
        Outcome::Refused => "the way is open, and nothing listens there".to_owned(),
        Outcome::Silent => format!("nothing came back ({words})"),
        Outcome::NotSent => format!("{node} couldn't send it ({words})"),
        Outcome::NotTried => format!("it couldn't be tried: {node} {words}"),
    };
    tried.text = format!("{protocol}{port} to {to} on {node}{from}{instead}: {how}");
}

/// Whether an outcome is what the model says. UDP needs no answer, so its silence says nothing.
fn agrees(expected: &Answer, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Answered | Outcome::Refused => expected.reaches,
        Outcome::Silent if expected.flow.protocol == Protocol::Udp => true,
        Outcome::Silent | Outcome::NotSent => !expected.reaches,
        Outcome::NotTried => true,
    }
}

/// Says what a host did with the packets.
fn told(counted: &Counted) -> String {
    let Counted { came, kept, sent, answered, returned, .. } = *counted;
    if !counted.counts {
        return "can't count packets: it has no nft".to_owned();
    }
    match (came, kept + sent, answered, returned) {
        (0, ..) => "saw none of the packets".to_owned(),
        (_, 0, 0, _) => format!("got {came} packets and dropped them"),
        (_, _, 0, _) if kept > 0 => format!("got {came} packets for itself and didn't answer"),
        (_, _, 0, _) => format!("sent {sent} of {came} packets on, and no answer came"),
        (_, _, _, 0) => format!("sent packets on, and dropped {answered} answers"),
        _ => "sent packets on, and the answers back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_tell_where_packets_end() {
        let counted = |came, kept, sent, answered, returned| {
            told(&Counted { counts: true, came, kept, sent, answered, returned, shakes: Vec::new() })
        };
        assert_eq!(counted(0, 0, 0, 0, 0), "saw none of the packets");
        assert_eq!(counted(3, 0, 0, 0, 0), "got 3 packets and dropped them");
        assert_eq!(counted(3, 0, 3, 0, 0), "sent 3 of 3 packets on, and no answer came");
        assert_eq!(counted(3, 3, 0, 0, 0), "got 3 packets for itself and didn't answer");
        assert_eq!(counted(3, 0, 3, 2, 0), "sent packets on, and dropped 2 answers");
        assert_eq!(counted(1, 0, 1, 1, 1), "sent packets on, and the answers back");
        assert_eq!(told(&Counted::default()), "can't count packets: it has no nft");
    }
}
