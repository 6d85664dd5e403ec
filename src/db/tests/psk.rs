//! What is said of preshared keys, and those that come with a staged key.

use std::collections::BTreeSet;

use super::*;
use crate::model::{LinkId, PresharedKey, PskRules, PskScope, PskTrigger};

fn key(byte: u8) -> PresharedKey {
    PresharedKey::from_random([byte; 32])
}

/// Two linked nodes, the first with a staged key, and a preshared key for their link and one that comes with it.
fn staged() -> (Lab, Node, LinkId) {
    let mut lab = lab();
    let (one, other) = (lab.add("one", 2), lab.add("other", 3));
    let link = LinkId::between(one.main().id, other.main().id);
    let next = random_key();
    lab.write(|tx| {
        tx.set_psk(link, &key(1), at(1))?;
        tx.stage_key(one.main().id, next.public(), Some(&next), "yearly", at(2))?;
        tx.stage_psk(link, &key(2), at(2))
    })
    .unwrap();
    (lab, one, link)
}

#[test]
fn a_staged_preshared_key_is_in_files_at_once_and_in_force_with_the_key_that_it_came_with() {
    let (mut lab, one, link) = staged();
    let secrets = lab.store.secrets().unwrap();
    assert_eq!((secrets.preshared_of(link, false), secrets.preshared_of(link, true)), (Some(&key(1)), Some(&key(2))));
    assert_eq!(lab.store.preshared_since().unwrap()[&link], at(1));
    assert_eq!(lab.store.preshared_in_files().unwrap()[&link], at(2));
    lab.write(|tx| tx.activate_staged_key(one.main().id, at(3)).map(drop)).unwrap();
    let secrets = lab.store.secrets().unwrap();
    assert!(secrets.next_preshared.is_empty());
    assert_eq!(secrets.preshared.get(&link), Some(&key(2)));
    assert_eq!(lab.store.preshared_since().unwrap()[&link], at(2), "it is as old as it is");
}

#[test]
fn a_staged_preshared_key_goes_with_the_key_that_it_came_with() {
    let (mut lab, one, link) = staged();
    lab.write(|tx| tx.withdraw_staged_key(one.main().id, "not used", at(3))).unwrap();
    let secrets = lab.store.secrets().unwrap();
    assert!(secrets.next_preshared.is_empty());
    assert_eq!(secrets.preshared_of(link, true), Some(&key(1)));
    assert_eq!(lab.store.preshared_in_files().unwrap()[&link], at(1));
}

#[test]
fn rules_are_read_as_they_were_said_and_those_that_say_nothing_are_none() {
    let mut lab = lab();
    let one = lab.add("one", 2);
    let rules = PskRules {
        mode: Some(PskPolicy::Optional),
        every_days: Some(30),
        notice_days: Some(0),
        on: Some(BTreeSet::from([PskTrigger::TimeBased, PskTrigger::SecurityEvent])),
    };
    let network = PskRules { mode: None, ..rules.clone() };
    lab.write(|tx| {
        tx.put_psk_rules(PskScope::Node(one.id), &rules)?;
        tx.put_psk_rules(PskScope::Network, &network)
    })
    .unwrap();
    let said = [(PskScope::Network, network), (PskScope::Node(one.id), rules.clone())];
    assert_eq!(lab.reopen().psk_rules().unwrap(), said.into_iter().collect());
    lab.write(|tx| tx.put_psk_rules(PskScope::Network, &PskRules::default())).unwrap();
    assert_eq!(lab.reopen().psk_rules().unwrap().len(), 1);
    let wrong = lab.write(|tx| tx.put_psk_rules(PskScope::Network, &rules));
    assert!(matches!(wrong, Err(Error::Refused(_))), "{wrong:?}");
    lab.write(|tx| tx.delete_node(one.id, at(5))).unwrap();
    assert!(lab.reopen().psk_rules().unwrap().is_empty());
}
