//! Bringing the model back to an earlier state, as a new one: history is added to, never rewritten.

use serde::Serialize;

use super::change::{Done, Mode, carry_out, new_preshared_key};
use super::history::{Changed, difference, find};
use crate::db::{Returned, Store};
use crate::model::{Action, Actor, Event, Name, NodeId, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What bringing the model back came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rolled {
    /// To which state.
    pub to: i64,
    /// The number of the new state; `None` for a preview.
    pub state: Option<i64>,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// What differs from before.
    pub changes: Vec<Changed>,
    /// Nodes whose host has to be deployed.
    pub deploy: Vec<Name>,
    /// Nodes without a host, whose file changes.
    pub new_files: Vec<Name>,
    /// What is not as it was at that state, and what else is worth knowing.
    pub remarks: Vec<String>,
}

/// Brings the model back to a state. Keys stay as they are; removed nodes come back with the key that they had last.
///
/// # Errors
/// When there is no such state, the model is like that already, or it couldn't be compiled.
pub fn to_state(store: &mut Store, clock: &dyn Clock, actor: &Actor, number: i64, mode: Mode) -> Result<Rolled, Error> {
    find(store, number)?;
    let mut changes = Vec::new();
    let outcome = carry_out(store, clock, actor, "rolled back", mode, |scope| {
        let newest = scope.tx.newest_state()?.unwrap_or(number);
        let before = scope.tx.model_at(newest)?;
        let (returned, mut after) = scope.tx.return_to(number, scope.now)?;
        for link in &returned.lacking {
            scope.tx.set_psk(*link, &new_preshared_key()?, scope.now)?;
            after.preshared.insert(*link, scope.now);
        }
        changes = difference(Some(&before), &after);
        if changes.is_empty() {
            let keys = returned.kept_keys.len() + returned.kept_custody.len() + returned.kept_preshared;
            let but = if keys > 0 { ", but for keys replaced since, which stay so" } else { "" };
            return Err(Error::Refused(format!(
                "the model is like at state {number} already{but}; nothing was changed"
            )));
        }
        let event = Event::network(Action::ModelRolledBack, &after.topology.network)
            .with("state", number)
            .with("changes", changes.len());
        let remarks = remarks(&returned, &after.topology, number);
        Ok(Done { events: vec![event], remarks, preshared_done: true, ..Done::default() })
    })?;
    let state = if outcome.saved { store.newest_state()? } else { None };
    Ok(Rolled {
        to: number,
        state,
        saved: outcome.saved,
        changes,
        deploy: outcome.deploy,
        new_files: outcome.new_files,
        remarks: outcome.remarks,
    })
}

/// Says what isn't as it was at that state.
fn remarks(returned: &Returned, topology: &Topology, number: i64) -> Vec<String> {
    let names = |ids: &[NodeId]| -> Vec<String> {
        ids.iter().filter_map(|id| topology.node(*id)).map(|node| format!("`{}`", node.name)).collect()
    };
    let mut remarks = Vec::new();
    let mut say = |ids: &[NodeId], what: &dyn Fn(&str) -> String| {
        let names = names(ids);
        if !names.is_empty() {
            remarks.push(what(&names.join(", ")));
        }
    };
    say(&returned.kept_keys, &|names| {
        format!(
            "the key that it had at state {number} was retired since and isn't brought back, the present one stays: {names}"
        )
    });
    say(&returned.kept_custody, &|names| format!("who keeps the private key stays as it is now: {names}"));
    let own: Vec<NodeId> = returned.back.iter().copied().filter(|id| !returned.new_keys.contains(id)).collect();
    say(&own, &|names| {
        format!(
            "back with the key it had when it was removed: {names}; if the device was lost, give it another: `wg-friend rotate NAME --now`"
        )
    });
    say(&returned.new_keys, &|names| {
        format!("its key was retired or is used by another node, so it got a new one, which is kept here: {names}")
    });
    if returned.kept_preshared > 0 {
        remarks
            .push(format!("preshared keys that were replaced since stay as they are now: {}", returned.kept_preshared));
    }
    if !returned.lacking.is_empty() {
        remarks.push(format!("links whose preshared key is gone got a new one: {}", returned.lacking.len()));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Database, KdfParams, Passphrase};
    use crate::model::{Mtu, Network, Origin, Port, PskPolicy, Role, Source};
    use crate::ops::clock::Fixed;
    use crate::ops::network::add::{NewNodes, add};
    use crate::ops::network::setting::parse_all;

    #[test]
    fn a_state_that_contradicts_itself_is_refused_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let actor = Actor { operator: "tester".into(), address: None, source: Source::Cli };
        let clock = Fixed("2026-03-01T12:00:00Z".parse().unwrap());
        let network = Network {
            name: "office".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            cidr4: Some("10.66.0.0/24".parse().unwrap()),
            cidr6: None,
            port: Port::WIREGUARD,
            dns: Vec::new(),
            mtu: Mtu::DEFAULT,
            keepalive: 25,
            psk: PskPolicy::Unique,
            stable_clients: Vec::new(),
            exit: crate::model::Egress::None,
            kill_switch: false,
            exit_rules: Vec::new(),
        };
        let path = dir.path().join("store/x.db");
        let passphrase = Passphrase::new("correct-horse".to_owned());
        let (mut store, _) =
            Database::create(&path, &passphrase, KdfParams::FULL_ENTROPY, &network, &actor, clock.0).unwrap();
        for (role, name, settings) in [
            (Role::Server, "hub", "endpoint=vpn.example.com"),
            (Role::Router, "one", "lan=192.168.1.0/24"),
            (Role::Router, "two", "lan=192.168.2.0/24"),
        ] {
            let mut node = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
            node.settings = parse_all([settings]).unwrap();
            add(&mut store, &clock, &actor, node, Mode::Save).unwrap();
        }
        // Two routers with the same LAN can't come about by a command, only by an older program.
        let good = store.topology().unwrap();
        let mut wrong = good.nodes[2].clone();
        wrong.lans.clone_from(&good.nodes[1].lans);
        for node in [&wrong, &good.nodes[2]] {
            let event = Event::node(Action::PeerUpdated, node);
            store.write(clock.0, &actor, |tx| tx.update_node(node, clock.0).map(|()| ((), event))).unwrap();
        }
        let newest = store.newest_state().unwrap().unwrap();
        for mode in [Mode::Preview, Mode::Save] {
            let error = to_state(&mut store, &clock, &actor, newest - 1, mode).unwrap_err();
            assert!(matches!(&error, Error::Model(refusals) if refusals.len() == 1), "{error}");
        }
        assert_eq!((store.newest_state().unwrap(), store.topology().unwrap()), (Some(newest), good));
    }
}
