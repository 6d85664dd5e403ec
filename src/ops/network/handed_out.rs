//! Tests of what leaves as files and codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::DateTime;

use super::add::{NewNodes, add};
use super::change::Mode;
use super::generate::{Report, Request, State, generate};
use super::{edit, qr, setting};
use crate::db::{Database, Filter, KdfParams, Passphrase, RecoveryKey, Store};
use crate::model::{Actor, Origin, Role, Source};
use crate::ops::Error;
use crate::ops::clock::Fixed;

const NOW: Fixed = Fixed(DateTime::UNIX_EPOCH);

struct Setup {
    directory: tempfile::TempDir,
    store: Store,
}

fn actor() -> Actor {
    Actor { operator: "tester".into(), address: None, source: Source::Cli }
}

/// A server, a router, two phones of which one keeps its key to itself.
fn setup() -> Setup {
    let directory = tempfile::tempdir().unwrap();
    let network = crate::wg::compile::fixture::Fixture::new().topology.network;
    let cost = KdfParams::new(4, 8, 1).unwrap();
    let made = Database::create(
        &directory.path().join("db/x.db"),
        &Passphrase::new("correct horse".to_owned()),
        cost,
        &network,
        &actor(),
        DateTime::UNIX_EPOCH,
    );
    let (store, _): (Store, RecoveryKey) = made.unwrap();
    let mut setup = Setup { directory, store };
    setup.add(Role::Server, "hub", &["endpoint=vpn.example.com"]);
    setup.add(Role::Router, "office", &["lan=192.168.10.0/24"]);
    setup.add(Role::Remote, "alice", &[]);
    let mut bob = NewNodes::one(Role::Remote, "bob".parse().unwrap(), Origin::Manual);
    bob.public_key = Some("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap());
    add(&mut setup.store, &NOW, &actor(), bob, Mode::Save).unwrap();
    setup
}

impl Setup {
    fn add(&mut self, role: Role, name: &str, settings: &[&str]) {
        let mut new = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
        new.settings = setting::parse_all(settings.iter().copied()).unwrap();
        add(&mut self.store, &NOW, &actor(), new, Mode::Save).unwrap();
    }

    fn generate(&mut self, request: Request) -> Result<Report, Error> {
        generate(&mut self.store, &NOW, &actor(), &request)
    }

    fn set(&mut self, node: &str, assignment: &str) {
        let settings = setting::parse_all([assignment]).unwrap();
        edit::set(&mut self.store, &NOW, &actor(), node, &settings, Mode::Save).unwrap();
    }

    fn events(&self) -> usize {
        self.store.audit_log(&Filter::default()).unwrap().len()
    }

    fn to(&self) -> std::path::PathBuf {
        self.directory.path().join("out")
    }
}

fn states(report: &Report) -> Vec<(&str, State)> {
    report.files.iter().map(|file| (file.file.as_str(), file.state)).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_node_gets_its_files_and_only_their_owner_can_read_them() {
    let mut setup = setup();
    let directory = Some(setup.to());
    let report = setup.generate(Request { directory, ..Request::default() }).unwrap();
    let files = ["hub/wg0.conf", "hub/wgf-wg0.nft", "office/wg0.conf", "office/wgf-wg0.nft", "alice.conf"];
    assert_eq!(states(&report), files.map(|file| (file, State::New)));
    assert_eq!((report.skipped.len(), report.skipped[0].node.as_str()), (1, "bob"));
    for file in files {
        assert_eq!(mode(&setup.to().join(file)), 0o600);
        let written = fs::read_to_string(setup.to().join(file)).unwrap();
        assert_eq!(written, *report.files.iter().find(|made| made.file == file).unwrap().content);
    }
    assert_eq!([mode(&setup.to()), mode(&setup.to().join("hub"))], [0o700, 0o700]);
    let left: Vec<_> = fs::read_dir(setup.to()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!serde_json::to_string(&report).unwrap().contains("PrivateKey"));
}

#[test]
fn generating_again_changes_nothing_and_a_diff_hides_keys() {
    let mut setup = setup();
    let directory = Some(setup.to());
    setup.generate(Request { directory: directory.clone(), ..Request::default() }).unwrap();
    let again = setup.generate(Request { directory, ..Request::default() }).unwrap();
    assert!(again.files.iter().all(|file| file.state == State::Unchanged));

    setup.set("alice", "mtu=1380");
    let events = setup.events();
    let compare = Request { nodes: vec!["alice".into()], compare: true, ..Request::default() };
    let report = setup.generate(compare).unwrap();
    insta::assert_snapshot!(report.files[0].diff.as_deref().unwrap(), @"
    --- alice.conf (last generated)
    +++ alice.conf (now)
    @@ -3,7 +3,7 @@
     [Interface]
     PrivateKey = (hidden)
     Address = 10.66.0.30/32, fd00:66::1e/128
    -MTU = 1420
    +MTU = 1380
     DNS = 10.66.0.1
     
     # hub
    ");
    assert!(!report.saved);
    assert_eq!(setup.events(), events, "comparing is no handing out");
}

#[test]
fn a_preview_writes_and_records_nothing() {
    let mut setup = setup();
    let (directory, events) = (Some(setup.to()), setup.events());
    let report = setup.generate(Request { directory, preview: true, ..Request::default() }).unwrap();
    assert!(!report.saved && !setup.to().exists());
    let again = setup.generate(Request { preview: true, ..Request::default() }).unwrap();
    assert!(again.files.iter().all(|file| file.state == State::New));
    assert_eq!(setup.events(), events);
}

#[test]
fn whoever_is_named_gets_a_file_even_without_a_key() {
    let mut setup = setup();
    let report = setup.generate(Request { nodes: vec!["bob".into(), "BOB".into()], ..Request::default() }).unwrap();
    assert_eq!(states(&report), [("bob.conf", State::New)]);
    assert!(report.files[0].without_key && !report.files[0].content.contains("\nPrivateKey"));
    let handouts = setup.store.last_handouts().unwrap();
    assert_eq!((handouts.len(), handouts[0].method.as_str()), (1, "file"));

    edit::switch(&mut setup.store, &NOW, &actor(), &["alice".to_owned()], false, Mode::Save).unwrap();
    let error = setup.generate(Request { nodes: vec!["alice".into()], ..Request::default() }).unwrap_err();
    assert_eq!(error.to_string(), "`alice` is disabled and has no config");
    assert_eq!(setup.generate(Request::default()).unwrap().skipped.len(), 2);
}

#[test]
fn a_code_is_recorded_by_the_hash_of_the_file_that_it_stands_for() {
    let mut setup = setup();
    let file = setup.generate(Request { nodes: vec!["alice".into()], ..Request::default() }).unwrap();
    let one = qr::Request::One { node: "alice".into(), file: Some(setup.to().join("alice.png")) };
    let report = qr::draw(&mut setup.store, &NOW, &actor(), &one, qr::Form::Png, false, false).unwrap();
    assert_eq!(fs::read(setup.to().join("alice.png")).unwrap(), *report.codes[0].picture);
    assert_eq!(mode(&setup.to().join("alice.png")), 0o600);
    let handouts = setup.store.last_handouts().unwrap();
    assert_eq!((handouts[0].method.as_str(), &handouts[0].sha256), ("png", &file.files[0].sha256));
}

#[test]
fn codes_are_for_remotes_with_a_key_here_and_a_config_that_fits() {
    let mut setup = setup();
    let mut refused = |node: &str| {
        let request = qr::Request::One { node: node.into(), file: None };
        let form = qr::Form::Terminal { inverted: false };
        qr::draw(&mut setup.store, &NOW, &actor(), &request, form, false, false).unwrap_err().to_string()
    };
    assert_eq!(refused("hub"), "`hub` is a server, not a remote");
    assert_eq!(refused("bob"), "there is no code for `bob`: it keeps its private key to itself");
    for number in 0..60 {
        setup.set("office", &format!("lan+=172.16.{}.0/24", 2 * number));
    }
    let all = qr::Request::All { directory: setup.to() };
    let form = qr::Form::Svg;
    let report = qr::draw(&mut setup.store, &NOW, &actor(), &all, form, false, false).unwrap();
    assert_eq!((report.codes.len(), report.skipped.len()), (0, 2));
    let report = qr::draw(&mut setup.store, &NOW, &actor(), &all, form, true, false).unwrap();
    assert_eq!(report.codes[0].path, Some(setup.to().join("alice.svg")));
    assert!(report.codes[0].bytes > crate::render::qr::COMFORTABLE);
}
