//! Whatever is set is in the file; whatever is unset leaves no trace.

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::db::{Database, KdfParams, Passphrase, RecoveryKey};
use crate::model::{Origin, Role, Source};
use crate::ops::clock::Fixed;
use crate::ops::network::add::{NewNodes, add};
use crate::wg::compile::compile;
use crate::wg::config::{self, Document, Mode as Reading};

const NOW: Fixed = Fixed(DateTime::UNIX_EPOCH);

const FILE: &str = "\
# the cellar
[Interface]
Address=10.66.0.1/24
ListenPort = 51820
PostUp = iptables -A FORWARD -i %i -j ACCEPT # in
PostDown = iptables -D FORWARD -i %i -j ACCEPT
# and that is all
";

fn actor() -> Actor {
    Actor { operator: "tester".into(), address: None, source: Source::Cli }
}

struct Setup {
    _directory: tempfile::TempDir,
    store: Store,
}

/// A server; `adopted`: as if it had been there before, with a file of its own.
fn setup(adopted: bool) -> Setup {
    let directory = tempfile::tempdir().unwrap();
    let network = crate::wg::compile::fixture::Fixture::new().topology.network;
    let (path, cost) = (directory.path().join("db/x.db"), KdfParams::new(4, 8, 1).unwrap());
    let passphrase = Passphrase::new("correct horse".to_owned());
    let made = Database::create(&path, &passphrase, cost, &network, &actor(), DateTime::UNIX_EPOCH);
    let (mut store, _): (Store, RecoveryKey) = made.unwrap();
    let mut new = NewNodes::one(Role::Server, "hub".parse().unwrap(), Origin::Manual);
    new.settings = setting::parse_all(["endpoint=vpn.example.com", "address=10.66.0.1"]).unwrap();
    add(&mut store, &NOW, &actor(), new, Mode::Save).unwrap();
    if adopted {
        let adopt = |tx: &crate::db::Tx<'_>| -> Result<_, Error> {
            let mut node = tx.topology()?.nodes.remove(0);
            let kept =
                Kept { made: false, length4: Some(24), table: Some(Table::Auto), firewall: false, ..Kept::made() };
            node.interfaces[0].kept = Some(Kept { mtu_auto: true, ..kept });
            tx.update_node(&node, DateTime::UNIX_EPOCH)?;
            tx.save_document(node.interfaces[0].id, FILE)?;
            Ok(((), Event::node(Action::Imported, &node)))
        };
        store.write(DateTime::UNIX_EPOCH, &actor(), adopt).unwrap();
    }
    Setup { _directory: directory, store }
}

impl Setup {
    fn set(&mut self, assignments: &[&str]) -> Result<Outcome, Error> {
        let all = read_all(assignments.iter().copied())?;
        set(&mut self.store, &NOW, &actor(), "hub", Some("wg0"), &all, Leave::default(), Mode::Save)
    }

    fn file(&self) -> String {
        let topology = self.store.topology().unwrap();
        let nodes = compile(&topology).unwrap();
        let files = config::files(&nodes[0], &self.store.secrets().unwrap());
        files.into_iter().find(|file| file.path == "wg0.conf").unwrap().content.to_string()
    }
}

/// What is set, what takes it back, and how it stands in the file.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("address+=192.168.77.1/24", "address-=192.168.77.1/24", "192.168.77.1/24"),
    ("address+=fd77::1/64,172.16.0.1", "address-=172.16.0.1,fd77::1/64", "fd77::1/64"),
    ("table=123", "table=default", "Table = 123"),
    ("fwmark=42", "fwmark=none", "FwMark = 0x2a"),
    ("run=now", "run=boot", ""),
    (
        "pre-up+=ip rule add from 10.1.1.1 table 9",
        "pre-up-=ip rule add  from 10.1.1.1 table 9",
        "from 10.1.1.1 table 9",
    ),
    ("post-up+=logger 'it is up'", "post-up-=logger \"it is up\"", "logger 'it is up'"),
    ("post-up+=ip route add 10.9.0.0/24 dev %i", "post-up-=ip route add 10.9.0.0/24 dev wg0", "10.9.0.0/24 dev %i"),
    ("pre-down+=logger bye", "pre-down=none", "PreDown = logger bye"),
    ("post-down+=true", "post-down-=true", "PostDown = true"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 12 } else { 64 }))]
    #[test]
    fn what_is_set_stands_there_and_what_is_unset_never_was(
        adopted in any::<bool>(),
        picked in prop::sample::subsequence((0..SETTINGS.len()).collect::<Vec<_>>(), 1..SETTINGS.len()),
        back in any::<prop::sample::Index>(),
    ) {
        let mut setup = setup(adopted);
        let before = setup.file();
        for at in &picked {
            setup.set(&[SETTINGS[*at].0]).unwrap();
        }
        let file = setup.file();
        for at in &picked {
            prop_assert!(file.contains(SETTINGS[*at].2), "{}\n{file}", SETTINGS[*at].0);
        }
        let read = Document::parse(&file).read(Reading::Lenient);
        prop_assert!(read.is_ok(), "{file}");
        // In whatever order.
        let mut order = picked.clone();
        order.rotate_left(back.index(picked.len()));
        for at in order {
            setup.set(&[SETTINGS[at].1]).unwrap();
        }
        prop_assert_eq!(setup.file(), before);
        let kept = setup.store.topology().unwrap().nodes[0].interfaces[0].kept.clone();
        prop_assert_eq!(kept.is_some(), adopted);
    }
}

#[test]
fn routes_that_hooks_make_are_known_as_theirs() {
    let mut setup = setup(false);
    setup.set(&["post-up+=ip route add 10.9.0.0/24 dev %i", "post-up+=ip addr add 10.9.0.1/32 dev wg0"]).unwrap();
    let config = |setup: &Setup| compile(&setup.store.topology().unwrap()).unwrap().remove(0).interfaces.remove(0);
    let made = config(&setup).by_hooks;
    assert_eq!((made.routes.len(), made.addresses.len()), (1, 1));
    setup.set(&["post-up-=ip route add 10.9.0.0/24 dev wg0"]).unwrap();
    let made = config(&setup).by_hooks;
    assert_eq!((made.routes.len(), made.addresses.len()), (0, 1));
}

#[test]
fn what_looks_like_a_secret_key_is_found_and_a_public_one_is_not() {
    let key = "6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=";
    assert!(holds_key(&format!("wg set wg0 private-key <(echo {key})")));
    assert!(holds_key(&format!("echo {key}")));
    assert!(!holds_key(&format!("wg set wg0 peer {key} remove")));
    assert!(!holds_key("wg set wg0 private-key /etc/wireguard/wg0.key"));
    assert!(!holds_key("ip route add 10.9.0.0/24 dev wg0 metric=5"));
}
