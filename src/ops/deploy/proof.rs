//! What a host has to show before a deploy is confirmed, and what to say when it doesn't. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::fleet::Observed;
use crate::model::{InterfaceName, PublicKey};
use crate::wg::dump::LiveInterface;
use crate::wg::{InterfaceConfig, overlap};

use super::change::{Change, Kind};
use super::desired::addresses_of_peers;
use super::diff::SESSION_SECONDS;

/// What a host shows when the steps are done.
#[derive(Default)]
pub(super) struct After {
    /// Its interfaces right then, before anyone had time to send.
    pub(super) live: BTreeMap<InterfaceName, LiveInterface>,
    /// The last handshakes right before an interface got another key.
    pub(super) shook: Alive,
}

/// Peers that were alive, each with its last handshake, by interface.
pub(super) type Alive = BTreeMap<InterfaceName, BTreeMap<PublicKey, i64>>;

/// What has to be shown of peers before a deploy is confirmed.
#[derive(Default)]
pub(super) struct Signs {
    /// Peers that have to prove they live.
    pub(super) alive: Alive,
    /// Interfaces on which only a handshake proves it.
    pub(super) by_handshake: BTreeSet<InterfaceName>,
}

/// Says which peers have to prove that they live, and how: those that were alive, on interfaces whose key or port changes or that
/// restart.
///
/// An interface that gets another key goes on taking what its peers send in the sessions that they have (wg_set_device in
/// the kernel only ends what it sends in them itself), so only a handshake shows that they know the key.
pub(super) fn must_prove(changes: &[Change], observed: &Observed) -> Signs {
    let mut signs = Signs::default();
    for change in changes {
        if let Kind::PrivateKey | Kind::ListenPort | Kind::Restart = change.kind
            && let Some(name) = &change.interface
            && let Some(seen) = observed.interfaces.get(followed(changes, name).as_ref().unwrap_or(name))
        {
            let alive: BTreeMap<PublicKey, i64> = seen
                .live
                .peers
                .iter()
                .filter_map(|(key, peer)| peer.latest_handshake.map(|time| (*key, time)))
                .filter(|(_, time)| observed.system.clock - time < SESSION_SECONDS)
                .collect();
            let of_interface = |kind| changes.iter().any(|c| c.kind == kind && c.interface.as_ref() == Some(name));
            if of_interface(Kind::PrivateKey) && !of_interface(Kind::Restart) {
                signs.by_handshake.insert(name.clone());
            }
            if !alive.is_empty() {
                signs.alive.insert(name.clone(), alive);
            }
        }
    }
    signs
}

/// The interface whose key and port this one takes over, and with them its peers: those that are still on this one can't know them.
fn followed(changes: &[Change], name: &InterfaceName) -> Option<InterfaceName> {
    let beside = overlap::name(name);
    let goes = |change: &Change| change.kind == Kind::InterfaceExtra && change.interface.as_ref() == Some(&beside);
    let takes = |change: &Change| change.kind == Kind::PrivateKey && change.interface.as_ref() == Some(name);
    (changes.iter().any(goes) && changes.iter().any(takes)).then_some(beside)
}

/// Whether one of the peers has shaken hands anew since the steps were done, or, unless only that counts, something authentic came
/// from it.
pub(super) fn proven(
    (name, peers): (&InterfaceName, &BTreeMap<PublicKey, i64>),
    by_handshake: bool,
    observed: &Observed,
    after: &After,
) -> bool {
    let Some(now) = observed.interfaces.get(name) else { return false };
    let before = after.live.get(name);
    let shook = after.shook.get(name);
    let mut wanted = peers.iter().filter_map(|(key, time)| now.live.peers.get(key).map(|peer| (key, time, peer)));
    let mut any = false;
    let shown = wanted.any(|(key, time, peer)| {
        any = true;
        let received = before.and_then(|b| b.peers.get(key)).map_or(0, |p| p.rx);
        let last = shook.and_then(|shook| shook.get(key)).map_or(*time, |last| *last.max(time));
        peer.latest_handshake.is_some_and(|now| now > last) || (!by_handshake && peer.rx > received)
    });
    shown || !any // when all of them were removed there is nobody left to ask
}

/// How many peers of an interface are pinged at most.
const NUDGED: usize = 8;

/// Addresses to ping so that peers which must prove that they live get the chance: a few of each interface are enough.
pub(super) fn nudge(interfaces: &[InterfaceConfig], alive: &Alive) -> Vec<(InterfaceName, IpAddr)> {
    let asked = interfaces.iter().filter_map(|i| alive.get(&i.name).map(|peers| (i, peers)));
    asked
        .flat_map(|(i, peers)| {
            let addresses = addresses_of_peers(i, &peers.keys().copied().collect());
            addresses.into_iter().take(NUDGED).map(|address| (i.name.clone(), address))
        })
        .collect()
}

/// Whether a difference found before confirming speaks against the deploy, which changes these peers' endpoints. Files and boot set-up
/// come with the confirmation. How the host lists new rules is only known from then on: that nft took them is enough; and
/// so it is that wg took an endpoint whose address a name stands for. A peer whose endpoint counts as lost because it
/// hasn't shaken hands yet isn't held against it either.
pub(super) fn counts_before_confirming(change: &Change, endpoints: &BTreeSet<String>) -> bool {
    match change.kind {
        Kind::File | Kind::FileExtra | Kind::Boot | Kind::Hook | Kind::Dns => false,
        // One with a reason compares with the last deploy, not with what runs.
        Kind::Restart => change.subject.is_empty(),
        Kind::Firewall => change.after.is_none() || change.before.as_deref() == Some("missing"),
        Kind::Endpoint => {
            let is_address = change.after.as_ref().is_some_and(|after| after.parse::<SocketAddr>().is_ok());
            is_address && endpoints.contains(&change.subject)
        }
        _ => true,
    }
}

/// How many peers are named before the rest is only counted.
const NAMED: usize = 5;

/// Names peers as the model calls them; those that it doesn't know by the beginning of their key.
pub(super) fn names_of_peers(interface: Option<&InterfaceConfig>, peers: &BTreeMap<PublicKey, i64>) -> String {
    let name_of = |key: &PublicKey| {
        let known = interface.and_then(|i| i.peers.iter().find(|p| p.public_key == *key));
        known.map_or_else(|| key.short(), |p| p.name.to_string())
    };
    let names: BTreeSet<String> = peers.keys().map(name_of).collect();
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Says why a deploy is not confirmed.
pub(super) fn not_confirmed(why: &str) -> String {
    format!("not confirmed: {why}")
}

/// Says why a host was only looked at once it was done with the deploy. `waited`: for how long a connection was tried;
/// `late`: how long the answer to the steps took, if that was most of the host's time.
pub(super) fn silence(waited: Duration, late: Option<Duration>) -> String {
    let cause = "what was changed kept packets from the host, or its answers from here";
    match (waited.as_secs(), late) {
        (0, None) => "the host had decided before it could be looked at".to_owned(),
        (0, Some(late)) => format!("nothing came back from the host for {} s: {cause}", late.as_secs()),
        (seconds, _) => format!("no new connection came about for {seconds} s: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wg::compile::{self, fixture::Fixture};

    #[test]
    fn peers_are_named_and_the_rest_is_counted() {
        let fixture = Fixture::everything();
        let compiled = compile::compile(&fixture.topology).unwrap();
        let interfaces = compiled.iter().flat_map(|n| &n.interfaces);
        let interface = interfaces.max_by_key(|i| i.peers.len()).unwrap();
        assert!(interface.peers.len() > NAMED, "the fixture's server has many peers");
        let keys = |n: usize| interface.peers.iter().take(n).map(|p| (p.public_key, 0)).collect();
        let mut two: Vec<String> = interface.peers.iter().take(2).map(|p| p.name.to_string()).collect();
        two.sort();
        assert_eq!(names_of_peers(Some(interface), &keys(2)), two.join(", "));
        assert!(names_of_peers(Some(interface), &keys(NAMED + 1)).ends_with(" and 1 more"));
        let stranger = BTreeMap::from([(interface.peers[0].public_key, 0)]);
        assert_eq!(names_of_peers(None, &stranger), interface.peers[0].public_key.short());
    }

    #[test]
    fn what_kept_a_host_from_being_looked_at_is_said() {
        let [short, long] = [200, 9_000].map(Duration::from_millis);
        assert_eq!(silence(short, None), "the host had decided before it could be looked at");
        assert!(silence(long, None).starts_with("no new connection came about for 9 s: "));
        assert!(silence(short, Some(long)).starts_with("nothing came back from the host for 9 s: "));
    }
}
