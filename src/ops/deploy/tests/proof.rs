//! What peers have to show before a deploy is confirmed.

use std::collections::BTreeMap;

use super::super::change::{Cause, Change, Kind};
use super::super::proof::{After, must_prove, proven};
use super::{Observed, Scene};
use crate::model::{InterfaceName, PublicKey};

fn change(interface: &InterfaceName, kind: Kind) -> Change {
    Change {
        interface: Some(interface.clone()),
        kind,
        subject: String::new(),
        before: None,
        after: None,
        severity: kind.severity(),
        disruption: kind.disruption(),
        cause: Cause::Pending,
        acknowledged: None,
    }
}

/// A server with one peer that was heard of, at second 1,700,000,100 of its clock.
struct Told {
    scene: Scene,
    peer: PublicKey,
    wg0: InterfaceName,
}

impl Told {
    fn new() -> Self {
        let scene = Scene::new();
        let alice = scene.topology.nodes.iter().find(|n| n.name.as_str() == "alice").unwrap();
        let peer = alice.main().public_key;
        Self { peer, scene, wg0: "wg0".parse().unwrap() }
    }

    /// The server when the peer shook hands last so many seconds ago, and that many bytes have come from it.
    fn seen(&self, ago: i64, received: u64) -> Observed {
        let mut seen = self.scene.observed(&self.scene.answer());
        for (key, peer) in &mut seen.interfaces.get_mut(&self.wg0).unwrap().live.peers {
            (peer.latest_handshake, peer.rx) = (None, 0);
            if *key == self.peer {
                (peer.latest_handshake, peer.rx) = (Some(seen.system.clock - ago), received);
            }
        }
        seen
    }

    /// Whether a change counts as proven when the peer shook hands `ago` seconds before the look and `noted` before the key, and
    /// then shows this.
    fn proves(&self, kinds: &[Kind], [ago, noted]: [i64; 2], (then, received): (i64, u64)) -> bool {
        let before = self.seen(ago, 1000);
        let changes: Vec<_> = kinds.iter().map(|kind| change(&self.wg0, *kind)).collect();
        let signs = must_prove(&changes, &before);
        let live = self.seen(ago, 1000).interfaces.into_iter().map(|(name, seen)| (name, seen.live)).collect();
        let noted = BTreeMap::from([(self.peer, self.seen(noted, 0).system.clock - noted)]);
        let after = After { live, shook: BTreeMap::from([(self.wg0.clone(), noted)]) };
        let (now, by_handshake) = (self.seen(then, received), signs.by_handshake.contains(&self.wg0));
        proven((&self.wg0, &signs.alive[&self.wg0]), by_handshake, &now, &after)
    }
}

#[test]
fn another_key_is_proven_by_a_handshake_and_not_by_what_still_comes_in_the_session_before() {
    let told = Told::new();
    assert!(!told.proves(&[Kind::PrivateKey], [60, 60], (60, 1000)));
    assert!(!told.proves(&[Kind::PrivateKey], [60, 60], (60, 9000)), "the session before the change carries on");
    assert!(told.proves(&[Kind::PrivateKey], [60, 60], (0, 1092)));
    assert!(!told.proves(&[Kind::PrivateKey], [60, 2], (2, 9000)), "a handshake by the key before");
    assert!(told.proves(&[Kind::PrivateKey], [60, 2], (1, 9000)));
}

#[test]
fn another_port_and_a_restart_are_proven_by_whatever_comes() {
    let told = Told::new();
    for kinds in [&[Kind::ListenPort][..], &[Kind::Restart], &[Kind::PrivateKey, Kind::Restart]] {
        assert!(told.proves(kinds, [60, 60], (60, 9000)), "{kinds:?}");
        assert!(!told.proves(kinds, [60, 60], (60, 1000)), "{kinds:?}");
    }
}
