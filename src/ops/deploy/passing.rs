//! Which host may not be changed before another because traffic passes from the one to the other that isn't to leave there.
//! Pure.
//!
//! An exit lets out whatever comes to it but what it knows to leave by an exit after it. So it has to know that before a server,
//! or the exit before it, sends such traffic; and may forget it only after nobody sends any more. A host that isn't part of
//! the deploy, or fails, stays as it is: what would have to come after it is held back then.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, InterfaceId};
use crate::wg::InterfaceConfig;
use crate::wg::firewall::Duty;

/// What a host should run, and what it ran when a deploy was last confirmed.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) desired: &'a [InterfaceConfig],
    pub(super) deployed: &'a [InterfaceConfig],
}

/// Returns for each party those that have to have been changed before it.
pub(super) fn waits(parties: &[Party<'_>]) -> Vec<BTreeSet<usize>> {
    let mut waits = vec![BTreeSet::new(); parties.len()];
    let desired: Vec<_> = parties.iter().map(|party| sends(party.desired)).collect();
    let deployed: Vec<_> = parties.iter().map(|party| sends(party.deployed)).collect();
    for (exit, party) in parties.iter().enumerate() {
        let (after, before) = (held(party.desired), held(party.deployed));
        for own in after.keys().chain(before.keys()).copied().collect::<BTreeSet<InterfaceId>>() {
            let of = |held: &BTreeMap<InterfaceId, BTreeSet<Cidr>>| held.get(&own).cloned().unwrap_or_default();
            let (after, before) = (of(&after), of(&before));
            for sender in (0..parties.len()).filter(|sender| *sender != exit) {
                let (then, now) = (of(&desired[sender]), of(&deployed[sender]));
                if then.difference(&now).any(|source| after.contains(source) && !before.contains(source)) {
                    waits[sender].insert(exit);
                }
                if now.difference(&then).any(|source| before.contains(source) && !after.contains(source)) {
                    waits[exit].insert(sender);
                }
            }
        }
    }
    waits
}

/// Returns what interfaces send to exits, by the exit's interface, whichever key that has: the sources as the exit sees them.
fn sends(interfaces: &[InterfaceConfig]) -> BTreeMap<InterfaceId, BTreeSet<Cidr>> {
    let mut sends: BTreeMap<InterfaceId, BTreeSet<Cidr>> = BTreeMap::new();
    for duty in interfaces.iter().filter_map(|interface| Some(&interface.firewall.as_ref()?.duty)) {
        let (paths, own_source) = match duty {
            Duty::Server(rules) => (&rules.exits, false),
            Duty::Exit { onward, .. } => (onward, true),
            Duty::Router { .. } => continue,
        };
        for (source, path) in paths {
            for uplink in interfaces.iter().filter(|interface| path.uplinks.contains(&interface.name)) {
                let Some(peer) = uplink.peers.first() else { continue };
                let (low, high) = peer.link.ends();
                let sources = sends.entry(if low == uplink.id { high } else { low }).or_default();
                match own_source {
                    true => sources.extend(uplink.addresses.iter().map(|own| Cidr::host(own.address()))),
                    false => sources.extend([*source]),
                }
            }
        }
    }
    sends
}

/// Returns what exits keep from leaving, by their interface.
fn held(interfaces: &[InterfaceConfig]) -> BTreeMap<InterfaceId, BTreeSet<Cidr>> {
    let exits = interfaces.iter().filter_map(|interface| match &interface.firewall.as_ref()?.duty {
        Duty::Exit { held, .. } if !held.is_empty() => Some((interface.id, held.iter().copied().collect())),
        _ => None,
    });
    exits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PublicKey;
    use crate::wg::NodeConfig;
    use crate::wg::compile::{compile, fixture::Fixture};

    /// The usual network before frank leaves by berlin and tokyo, as he does after.
    fn before_and_after() -> [Vec<NodeConfig>; 2] {
        let mut fixture = Fixture::everything();
        let [berlin, tokyo] = ["berlin", "tokyo"].map(|name| fixture.node(name).id);
        let before = compile(&fixture.topology).unwrap();
        let way = fixture.chain(&[berlin, tokyo]);
        fixture.node("frank").exit = Some(way);
        [before, compile(&fixture.topology).unwrap()]
    }

    /// Who waits for whom on the way from one network to another.
    fn told(from: &[NodeConfig], to: &[NodeConfig]) -> Vec<String> {
        let parties: Vec<Party<'_>> = from
            .iter()
            .zip(to)
            .map(|(from, to)| Party { desired: &to.interfaces, deployed: &from.interfaces })
            .collect();
        let pairs =
            waits(&parties).into_iter().enumerate().flat_map(|(at, after)| after.into_iter().map(move |o| (at, o)));
        pairs.map(|(at, other)| format!("{} after {}", to[at].name, to[other].name)).collect()
    }

    #[test]
    fn an_exit_with_another_key_is_the_one_that_it_was() {
        let [before, staged, after] = [0, 1, 2].map(|stage| {
            let mut fixture = Fixture::everything();
            let [berlin, tokyo] = ["berlin", "tokyo"].map(|name| fixture.node(name).id);
            let way = fixture.chain(&[berlin, tokyo]);
            fixture.node("frank").exit = Some(way);
            for name in ["hub", "berlin", "tokyo"] {
                fixture.node(name).host = Some(name.parse().unwrap());
            }
            let own = &mut fixture.node("berlin").interfaces[0];
            let next = PublicKey::from_bytes([7; 32]);
            match stage {
                0 => {}
                1 => own.staged_key = Some(next),
                _ => own.public_key = next,
            }
            compile(&fixture.topology).unwrap()
        });
        assert_eq!([told(&before, &staged), told(&staged, &after), told(&before, &after)], [[""; 0]; 3]);
    }

    #[test]
    fn a_server_sends_nothing_to_an_exit_that_does_not_know_yet_that_it_goes_on() {
        let [before, after] = before_and_after();
        assert_eq!(told(&before, &after), ["hub after berlin"]);
        assert_eq!(told(&after, &before), ["berlin after hub"]);
        assert_eq!(told(&after, &after), Vec::<String>::new());
        assert_eq!(told(&before, &before), Vec::<String>::new());
    }

    #[test]
    fn an_exit_sends_nothing_to_one_that_does_not_know_yet_that_it_goes_on() {
        let mut fixture = Fixture::everything();
        let lima = fixture.add_exit("lima");
        let [berlin, tokyo] = ["berlin", "tokyo"].map(|name| fixture.node(name).id);
        let before = compile(&fixture.topology).unwrap();
        let way = fixture.chain(&[berlin, tokyo, lima]);
        fixture.node("alice").exit = Some(way);
        let after = compile(&fixture.topology).unwrap();
        assert_eq!(told(&before, &after), ["hub after berlin", "berlin after tokyo"]);
        assert_eq!(told(&after, &before), ["berlin after hub", "tokyo after berlin"]);
    }
}
