//! What a watcher sees: the hosts and links as they are known at one moment, and what changed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::fleet::Observed;
use crate::model::{InterfaceName, Name, Role};
use crate::ops::deploy::status::{LinkState, LinkStatus, Network};

use super::state::{HostState, Reach};

/// One moment, on two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since the watch began; never goes back.
    pub(super) since: Duration,
    /// The time of day.
    pub(super) time: DateTime<Utc>,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub struct HostLine {
    /// Which.
    pub host: Name,
    /// Whether it can be reached.
    pub state: HostState,
    /// When it answered last.
    pub last_answer: Option<DateTime<Utc>>,
    /// Why its last try failed.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Seconds since it booted.
    pub uptime: Option<u64>,
}

/// A link.
#[derive(Clone, Debug, Serialize)]
pub struct LinkLine {
    /// As the host sees it that tells. Of a large network one picture follows another, and most links are as they were.
    #[serde(flatten, serialize_with = "shared")]
    pub link: Arc<LinkStatus>,
    /// Bytes received from the far end, a second, between the host's last two answers.
    pub rx_rate: Option<u64>,
    /// Bytes sent to it.
    pub tx_rate: Option<u64>,
}

fn shared<S: Serializer>(link: &Arc<LinkStatus>, serializer: S) -> Result<S::Ok, S::Error> {
    link.as_ref().serialize(serializer)
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// The hosts, ordered by name.
    pub hosts: Vec<HostLine>,
    /// The links, ordered by role and name.
    pub links: Vec<LinkLine>,
    /// Why what is watched may no longer be what the model says.
    pub note: Option<String>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Whether a host can be reached.
    Host,
    /// Whether a link carries traffic.
    Link,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When it was noticed.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub subject: Subject,
    /// The host, or the node at the far end of the link.
    pub name: Name,
    /// The node at the link's near end, where links lead to more than one; to one, it goes without saying.
    pub near: Option<Name>,
    /// The state before, as `status --json` writes it.
    pub before: &'static str,
    /// The state now.
    pub after: &'static str,
    /// Why, where that is known.
    pub reason: Option<String>,
}

/// What is known of a host.
struct Known {
    reach: Reach,
    /// Its last answer, while it counts.
    observed: Option<Observed>,
    answered: Option<DateTime<Utc>>,
}

/// Bytes received and sent, by interface and node.
type Counters = BTreeMap<(Option<InterfaceName>, Name), (u64, u64)>;

/// Puts answers and silence together.
pub(super) struct Board {
    network: Network,
    note: Option<String>,
    hosts: BTreeMap<Name, Known>,
    /// Ordered by role and name.
    links: Vec<Arc<LinkStatus>>,
    counters: BTreeMap<Name, (Duration, Counters)>,
    rates: BTreeMap<Name, Counters>,
}

impl Board {
    /// Begins to watch the hosts of a network; nothing is known of any.
    pub(super) fn new(network: Network, now: Moment) -> Self {
        let nothing = (BTreeMap::new(), Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (hosts, links, counters, rates) = nothing;
        let mut board = Self { network, note: None, hosts, links, counters, rates };
        board.meet(now);
        board.links = board.network.links(&board.answers()).into_iter().map(Arc::new).collect();
        board
    }

    /// Takes another model in. Returns what that changes.
    pub(super) fn renew(&mut self, network: Network, now: Moment) -> Vec<Event> {
        (self.network, self.note) = (network, None);
        self.meet(now);
        self.relink(now)
    }

    /// Goes on with the model there was, because another can't be had.
    pub(super) fn keep(&mut self, note: String) {
        self.note = Some(note);
    }

    /// Whether it goes on with an earlier model, because the present one can't be had.
    pub(super) fn is_kept(&self) -> bool {
        self.note.is_some()
    }

    /// Returns the network.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// Begins with hosts that are new and forgets those that are gone.
    fn meet(&mut self, now: Moment) {
        let names: BTreeSet<Name> = self.network.hosts().into_iter().map(|(host, _)| host.name).collect();
        self.hosts.retain(|name, _| names.contains(name));
        for name in names {
            let new = || Known { reach: Reach::new(now.since), observed: None, answered: None };
            self.hosts.entry(name).or_insert_with(new);
        }
    }

    /// Notes an answer. Returns what changed.
    pub(super) fn answer(&mut self, host: &Name, observed: Observed, now: Moment) -> Vec<Event> {
        let Some(known) = self.hosts.get_mut(host) else { return Vec::new() };
        let before = known.reach.answer(now.since);
        known.observed = Some(observed);
        known.answered = Some(now.time);
        let mut events: Vec<Event> =
            before.map(|before| host_event(host, before, HostState::Connected, None, now)).into_iter().collect();
        events.extend(self.relink(now));
        self.measure(host, now);
        events
    }

    /// Notes a try that failed.
    pub(super) fn fail(&mut self, host: &Name, error: String, hint: Option<String>) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.reach.fail(error, hint);
        }
    }

    /// Counts hosts that have been silent for so long as disconnected. Returns what changed.
    pub(super) fn wait(&mut self, silence: Duration, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, known) in &mut self.hosts {
            if let Some(before) = known.reach.wait(now.since, silence) {
                known.observed = None; // what it said then is nothing to go by
                self.counters.remove(name);
                self.rates.remove(name);
                let why = known.reach.error().map_or(String::new(), |(error, _)| format!(": {error}"));
                let reason = format!("no answer for {} s{why}", silence.as_secs());
                events.push(host_event(name, before, HostState::Disconnected, Some(reason), now));
            }
        }
        if !events.is_empty() {
            events.extend(self.relink(now));
        }
        events
    }

    /// Returns everything as it is known.
    pub(super) fn picture(&self) -> Picture {
        let line = |(name, known): (&Name, &Known)| HostLine {
            host: name.clone(),
            state: known.reach.state(),
            last_answer: known.answered,
            error: known.reach.error().map(|(error, _)| error.to_owned()),
            hint: known.reach.error().and_then(|(_, hint)| hint.map(str::to_owned)),
            uptime: known.observed.as_ref().map(|observed| observed.system.uptime),
        };
        let with_rate = |link: &Arc<LinkStatus>| {
            let rates = link.seen_by.as_ref().and_then(|host| self.rates.get(host));
            let rate = rates.and_then(|rates| rates.get(&key(link)));
            LinkLine { link: Arc::clone(link), rx_rate: rate.map(|r| r.0), tx_rate: rate.map(|r| r.1) }
        };
        Picture {
            hosts: self.hosts.iter().map(line).collect(),
            links: self.links.iter().map(with_rate).collect(),
            note: self.note.clone(),
        }
    }

    fn answers(&self) -> BTreeMap<Name, &Observed> {
        self.hosts.iter().filter_map(|(name, known)| Some((name.clone(), known.observed.as_ref()?))).collect()
    }

    /// Works the links out anew. Returns those whose state is another.
    fn relink(&mut self, now: Moment) -> Vec<Event> {
        let links = self.network.links(&self.answers());
        let several = links.iter().filter_map(|link| link.near.as_ref()).collect::<BTreeSet<_>>().len() > 1;
        let mut events = Vec::new();
        let mut next = Vec::with_capacity(links.len());
        for link in links {
            let before = self.known(&link);
            let state = before.map_or(LinkState::Unknown, |before| before.state);
            if state != link.state {
                events.push(link_event(&link, several, state, now));
            }
            next.push(before.filter(|before| ***before == link).map_or_else(|| Arc::new(link), Arc::clone));
        }
        self.links = next;
        events
    }

    /// Returns what was known of a link so far, also if its far end was something else then.
    fn known(&self, link: &LinkStatus) -> Option<&Arc<LinkStatus>> {
        let (role, node, near) = link.place();
        let at = |role: &Role| self.links.binary_search_by(|known| known.place().cmp(&(*role, node, near))).ok();
        let at = at(&role).or_else(|| Role::ALL.iter().find_map(at))?;
        Some(&self.links[at])
    }

    /// Works out how much went through the links that a host sees since its answer before.
    fn measure(&mut self, host: &Name, now: Moment) {
        let own = self.links.iter().filter(|link| link.seen_by.as_ref() == Some(host));
        let counters: Counters = own.map(|link| (key(link), (link.rx, link.tx))).collect();
        if let Some((then, before)) = self.counters.get(host) {
            let rates = counters.iter().filter_map(|(key, now_)| {
                let before = before.get(key)?;
                rate(*before, *now_, now.since.saturating_sub(*then)).map(|rate| (key.clone(), rate))
            });
            self.rates.insert(host.clone(), rates.collect());
        }
        self.counters.insert(host.clone(), (now.since, counters));
    }
}

fn key(link: &LinkStatus) -> (Option<InterfaceName>, Name) {
    (link.interface.clone(), link.node.clone())
}

/// Bytes a second; none when the interface came up anew in between and counts from zero again.
fn rate(before: (u64, u64), after: (u64, u64), time: Duration) -> Option<(u64, u64)> {
    let seconds = time.as_secs_f64();
    let one = |before: u64, after: u64| after.checked_sub(before).map(|bytes| (bytes as f64 / seconds).round() as u64);
    if seconds <= 0.0 { None } else { one(before.0, after.0).zip(one(before.1, after.1)) }
}

fn host_event(host: &Name, before: HostState, after: HostState, reason: Option<String>, now: Moment) -> Event {
    let (before, after) = (before.as_str(), after.as_str());
    Event { time: now.time, subject: Subject::Host, name: host.clone(), near: None, before, after, reason }
}

fn link_event(link: &LinkStatus, several: bool, before: LinkState, now: Moment) -> Event {
    let (before, after) = (before.as_str(), link.state.as_str());
    let reason = match link.state {
        LinkState::Disconnected => link.handshake_age.map(|age| format!("the last handshake was {age} s ago")),
        LinkState::Unknown => link.seen_by.as_ref().map(|host| format!("{host} does not tell")),
        _ => None,
    };
    let near = link.near.clone().filter(|_| several);
    Event { time: now.time, subject: Subject::Link, name: link.node.clone(), near, before, after, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Answer, Question, read_observation};
    use crate::model::{Become, Host, HostAddress, Role, Topology};
    use crate::wg::compile::fixture::Fixture;

    const SILENCE: Duration = Duration::from_secs(90);

    /// A network whose server is on the host `hub`, and a router on the host `branch`.
    fn topology() -> Topology {
        let mut fixture = Fixture::new();
        fixture.add("server", Role::Server).host = Some("hub".parse().unwrap());
        fixture.add("office", Role::Router).host = Some("branch".parse().unwrap());
        fixture.add("alice", Role::Remote);
        let host = |name: &str| Host::new(name.parse().unwrap(), HostAddress::Local, Become::Root);
        fixture.topology.hosts = vec![host("branch"), host("hub")];
        fixture.topology
    }

    /// What the hub answers: per peer the seconds since the handshake, bytes received, bytes sent.
    fn hub(topology: &Topology, peers: &[(&str, Option<i64>, u64, u64)]) -> Observed {
        let key = |name: &str| topology.nodes.iter().find(|n| n.name.as_str() == name).unwrap().main().public_key;
        let mut text = "\n@x system\nhostname hub\nuptime 1000\nclock 1700000000\ninit systemd\n\n@x dump\n".to_owned();
        text += &format!("wg0\t(none)\t{}\t51820\toff\n", key("server"));
        for (name, age, rx, tx) in peers {
            let shook = age.map_or(0, |age| 1_700_000_000 - age);
            let key = key(name);
            text += &format!("wg0\t{key}\t(none)\t203.0.113.9:4711\t10.66.0.9/32\t{shook}\t{rx}\t{tx}\toff\n");
        }
        text += &format!("\n@x link wg0 1420 1\n\n@x fingerprint {}\n\n@x end\n", "0".repeat(64));
        let question = Question { interfaces: ["wg0".parse().unwrap()].into(), ..Question::default() };
        read_observation(&Answer::parse(text.as_bytes(), "x").unwrap(), &question).unwrap()
    }

    fn at(seconds: u32) -> Moment {
        let time = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds.into());
        Moment { since: Duration::from_secs(seconds.into()), time }
    }

    fn told(events: &[Event]) -> String {
        let line = |e: &Event| {
            let reason = e.reason.as_deref().unwrap_or("-");
            let name = e.near.as_ref().map_or_else(|| e.name.to_string(), |near| format!("{} of {near}", e.name));
            format!("{} {:?} {name} {} -> {} {reason}", e.time.format("%M:%S"), e.subject, e.before, e.after)
        };
        events.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn answers_and_silence_become_events_and_rates() {
        let topology = topology();
        let mut board = Board::new(Network::over(topology.clone()).unwrap(), at(0));
        let name: Name = "hub".parse().unwrap();
        assert!(board.picture().hosts.iter().all(|line| line.state == HostState::Pending));

        let answer = hub(&topology, &[("office", Some(10), 1000, 500), ("alice", None, 0, 0)]);
        insta::assert_snapshot!(told(&board.answer(&name, answer, at(2))), @r"
        00:02 Host hub pending -> connected -
        00:02 Link office unknown -> connected -
        00:02 Link alice unknown -> never -
        ");
        let rate = |board: &Board| {
            let picture = board.picture();
            let line = picture.links.iter().find(|line| line.link.node.as_str() == "office").unwrap();
            (line.rx_rate, line.tx_rate)
        };
        assert_eq!(rate(&board), (None, None), "one answer makes no rate");
        let answer = hub(&topology, &[("office", Some(40), 31_000, 800)]);
        insta::assert_snapshot!(told(&board.answer(&name, answer, at(32))), @"00:32 Link alice never -> not_deployed -");
        assert_eq!(rate(&board), (Some(1000), Some(10)));
        let answer = hub(&topology, &[("office", Some(181), 5, 5), ("alice", Some(3), 9, 9)]);
        insta::assert_snapshot!(told(&board.answer(&name, answer, at(62))), @r"
        01:02 Link office connected -> disconnected the last handshake was 181 s ago
        01:02 Link alice not_deployed -> connected -
        ");
        assert_eq!(rate(&board), (None, None), "it counts from zero again");

        let events = board.wait(SILENCE, at(90));
        insta::assert_snapshot!(told(&events), @"01:30 Host branch pending -> disconnected no answer for 90 s");
        board.fail(&name, "no route to it".to_owned(), None);
        assert!(board.wait(SILENCE, at(151)).is_empty());
        insta::assert_snapshot!(told(&board.wait(SILENCE, at(152))), @r"
        02:32 Host hub connected -> disconnected no answer for 90 s: no route to it
        02:32 Link office disconnected -> unknown hub does not tell
        02:32 Link alice connected -> unknown hub does not tell
        ");
        let picture = board.picture();
        assert!(picture.hosts.iter().all(|line| line.state == HostState::Disconnected && line.uptime.is_none()));
        assert_eq!(picture.hosts[1].last_answer, Some(at(62).time));
    }

    #[test]
    fn where_links_lead_to_two_servers_an_event_says_which_one_it_is() {
        let mut topology = {
            let mut fixture = Fixture::new();
            fixture.add("server", Role::Server).host = Some("hub".parse().unwrap());
            fixture.add("other", Role::Server).host = Some("hub-us".parse().unwrap());
            fixture.add("office", Role::Router);
            fixture.topology
        };
        let main = |name: &str| topology.nodes.iter().find(|n| n.name.as_str() == name).unwrap().main().id;
        let id = crate::model::LinkId::between(main("office"), main("other"));
        let weight = Some(crate::model::Weight::ONE);
        topology.links = vec![crate::model::Link { id, weight, when_down: crate::model::WhenDown::Stay }];
        let host = |name: &str| Host::new(name.parse().unwrap(), HostAddress::Local, Become::Root);
        topology.hosts = vec![host("hub"), host("hub-us")];
        let mut board = Board::new(Network::over(topology.clone()).unwrap(), at(0));
        let events = board.answer(&"hub".parse().unwrap(), hub(&topology, &[("office", Some(1), 0, 0)]), at(1));
        let office: Vec<&Event> = events.iter().filter(|event| event.name.as_str() == "office").collect();
        let near: Vec<Option<&str>> = office.iter().map(|event| event.near.as_ref().map(Name::as_str)).collect();
        assert_eq!(near, [Some("server")]);
    }

    #[test]
    fn nodes_and_hosts_that_come_and_go_in_the_model_come_and_go_here() {
        let mut topology = topology();
        let mut board = Board::new(Network::over(topology.clone()).unwrap(), at(0));
        board.answer(&"hub".parse().unwrap(), hub(&topology, &[("alice", Some(1), 0, 0)]), at(1));
        board.keep("locked".to_owned());
        assert_eq!(board.picture().note.as_deref(), Some("locked"));
        topology.nodes.retain(|node| node.name.as_str() != "office");
        assert!(board.renew(Network::over(topology).unwrap(), at(2)).is_empty());
        let picture = board.picture();
        assert_eq!((picture.hosts.len(), picture.links.len(), picture.note), (1, 1, None));
        assert_eq!((picture.hosts[0].state, picture.links[0].link.state), (HostState::Connected, LinkState::Connected));
    }
}
