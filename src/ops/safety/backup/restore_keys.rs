//! Restoring keys alone: private keys that the present database lacks, and preshared keys as they were.
//!
//! Keys find their place by public keys: an interface that was rotated since has another key, and keeps it.

use std::collections::BTreeMap;

use serde::Serialize;
use zeroize::Zeroizing;

use super::About;
use super::restore::{Mode, Request, Restored};
use super::snapshot::{Keys as Document, PrivateEntry};
use crate::db::archive::{Kind, Opened, What};
use crate::db::{self, Scratch, Store};
use crate::model::{
    Action, Actor, Custody, Event, InterfaceId, LinkId, Name, Node, PresharedKey, PrivateKey, PublicKey,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::safety::unlock;

/// What became of the keys of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeysRestored {
    /// Nodes that hold a private key again.
    pub private: Vec<Name>,
    /// Pairs of nodes whose preshared key is again what it was.
    pub preshared: Vec<[Name; 2]>,
    /// How many keys are the same in both.
    pub same: usize,
    /// How many keys have no place: their interface is gone, or has another key by now.
    pub elsewhere: usize,
    /// Nodes whose private key is, as was wanted, not kept here.
    pub not_kept: Vec<Name>,
}

/// What is going to be written.
#[derive(Default)]
struct Work {
    report: KeysRestored,
    private: Vec<(Node, InterfaceId, PrivateKey)>,
    preshared: Vec<(LinkId, PresharedKey)>,
}

/// Puts the keys of a `keys-only` backup back into the present database, which decides for everything else.
pub(super) fn restore(
    request: &Request<'_>,
    opened: Opened,
    about: About,
    clock: &dyn Clock,
    actor: &Actor,
    agree: &dyn Fn(&Restored) -> Result<(), Error>,
) -> Result<Restored, Error> {
    if about.kind != Kind::KeysOnly {
        return Err(Error::RefusedWithRemedy {
            message: format!("a backup of kind {} has more than keys", about.kind),
            hint: "restore it as a whole, or make one with `wg-friend backup create --kind keys-only`".into(),
        });
    }
    let unlocked = request.unlock(opened)?;
    let scratch = Scratch::anywhere(request.database)?;
    let mut text = Zeroizing::new(Vec::new());
    let unpacked = unlocked.unpack(&scratch, &mut |part, bytes| {
        if part.what == What::Keys {
            text.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    let manifest = unpacked.manifest;
    let unreadable = |_| db::Error::BackupDamaged { what: "the keys can't be read".into() };
    let document: Document = serde_json::from_slice(&text).map_err(unreadable)?;
    let mut store = unlock::unlock(request.database, request.keys.sources, actor, clock)?;
    let work = plan(&store, &document)?;
    let mut restored = Restored {
        about,
        mode: Mode::KeysOnly,
        saved: false,
        path: request.database.to_owned(),
        networks: manifest.networks,
        audit_entries: manifest.audit_entries,
        encrypted: None,
        replaced: None,
        files: Vec::new(),
        keys: Some(work.report.clone()),
    };
    agree(&restored)?;
    if request.preview {
        return Ok(restored);
    }
    let now = clock.now();
    store.write(now, actor, |tx| -> Result<_, Error> {
        for (node, interface, key) in &work.private {
            tx.hold_private_key(*interface, key)?;
            if node.provisional {
                let node = Node { provisional: false, custody: Custody::Held, ..node.clone() };
                tx.update_node(&node, now)?;
            }
        }
        work.preshared.iter().try_for_each(|(link, key)| tx.set_psk(*link, key, now))?;
        let event = Event::database(Action::BackupRestored)
            .with("backup", restored.about.id.as_str())
            .with("mode", "keys-only")
            .with("private_keys", work.private.len())
            .with("preshared_keys", work.preshared.len());
        Ok(((), event))
    })?;
    restored.saved = true;
    Ok(restored)
}

/// Finds the place of every key. Looks at all networks; the one that is chosen stays so.
fn plan(store: &Store, document: &Document) -> Result<Work, Error> {
    let before = store.chosen().ok();
    let mut work = Work::default();
    let mut found = 0;
    for (id, _) in store.networks()? {
        store.choose_again(id)?;
        found += plan_network(store, document, &mut work)?;
    }
    super::snapshot::choose_as_before(store, before)?;
    work.report.elsewhere = (document.private.len() + document.preshared.len()).saturating_sub(found);
    Ok(work)
}

/// Does it for one network; returns how many keys have their place there.
fn plan_network(store: &Store, document: &Document, work: &mut Work) -> Result<usize, Error> {
    let (topology, secrets) = (store.topology()?, store.secrets()?);
    let interfaces: BTreeMap<PublicKey, (&Node, InterfaceId)> = topology
        .nodes
        .iter()
        .flat_map(|node| node.interfaces.iter().map(move |interface| (interface.public_key, (node, interface.id))))
        .collect();
    let mut found = 0;
    for PrivateEntry { public_key, private_key, .. } in &document.private {
        let Some((node, interface)) = interfaces.get(public_key) else { continue };
        found += 1;
        if secrets.private.contains_key(interface) {
            work.report.same += 1;
        } else if node.custody != Custody::Held && !node.provisional {
            work.report.not_kept.push(node.name.clone());
        } else {
            work.report.private.push(node.name.clone());
            work.private.push(((*node).clone(), *interface, key(private_key)?));
        }
    }
    for entry in &document.preshared {
        let [Some((one, a)), Some((other, b))] = entry.between.map(|public| interfaces.get(&public)) else { continue };
        found += 1;
        let link = LinkId::between(*a, *b);
        let was: PresharedKey = key(&entry.preshared_key)?;
        if secrets.preshared.get(&link).is_some_and(|is| *is.expose_base64() == *was.expose_base64()) {
            work.report.same += 1;
        } else {
            work.report.preshared.push([one.name.clone(), other.name.clone()]);
            work.preshared.push((link, was));
        }
    }
    Ok(found)
}

fn key<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| db::Error::BackupDamaged { what: "the keys can't be read".into() }.into())
}
