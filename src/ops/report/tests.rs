//! Reports on small networks: what each says, and that each warning is given when there is reason for it and not otherwise.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Format, Kind, Reading, Report, Request, report};
use crate::db::archive::Kind as BackupKind;
use crate::db::{BackupCopy, BackupRecord, Database, DriftItem, KdfParams, Passphrase, Scan, Store};
use crate::model::{
    Action, Actor, Become, DeploymentState, DriftKind, Egress, Event, Host, Kept, Mtu, Name, Network, Node, Origin,
    Port, Protocol, PskPolicy, Role, ScanOutcome, Severity, Source,
};
use crate::ops::Error;
use crate::ops::clock::Fixed;
use crate::ops::network::add::{NewNodes, add};
use crate::ops::network::change::Mode;
use crate::ops::network::grant::{Wanted, grant};
use crate::ops::network::rotate::{Rotation, rotate};
use crate::ops::network::setting::parse_all;
use crate::ops::network::{defaults, edit, find};
use crate::ops::psk::policy::{self, Whose, Wish};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn actor() -> Actor {
    Actor { operator: "tester".into(), address: None, source: Source::Cli }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A network that grows day by day.
struct Setup {
    _dir: tempfile::TempDir,
    store: Store,
    now: Fixed,
}

impl Setup {
    /// A server on a host, and a phone, made on 5 January.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = Network {
            name: name("office"),
            interface: "wg0".parse().unwrap(),
            cidr4: Some("10.66.0.0/24".parse().unwrap()),
            cidr6: None,
            port: Port::WIREGUARD,
            dns: Vec::new(),
            mtu: Mtu::DEFAULT,
            keepalive: 25,
            psk: PskPolicy::None,
            stable_clients: Vec::new(),
            exit: Egress::None,
            kill_switch: false,
            exit_rules: Vec::new(),
        };
        let now = Fixed(time("2026-01-05T08:00:00Z"));
        let passphrase = Passphrase::new("correct-horse".to_owned());
        let path = dir.path().join("store/x.db");
        let (store, _) =
            Database::create(&path, &passphrase, KdfParams::FULL_ENTROPY, &network, &actor(), now.0).unwrap();
        let mut setup = Self { _dir: dir, store, now };
        setup
            .store
            .write(now.0, &actor(), |tx| {
                let host = Host::new(name("hub"), "root@192.0.2.1".parse().unwrap(), Become::Auto);
                tx.insert_host(&host)?;
                Ok::<_, Error>(((), Event::host(Action::HostAdded, &host.name)))
            })
            .unwrap();
        setup.add(Role::Server, "hub", &["endpoint=vpn.example.com", "host=hub"]);
        setup.add(Role::Remote, "alice", &["access=vpn-only", "notes=a|b <script>=1"]);
        setup
    }

    fn at(&mut self, text: &str) -> &mut Self {
        self.now = Fixed(time(text));
        self
    }

    fn add(&mut self, role: Role, name: &str, settings: &[&str]) {
        let mut new = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
        new.settings = parse_all(settings.iter().copied()).unwrap();
        add(&mut self.store, &self.now, &actor(), new, Mode::Save).unwrap();
    }

    fn set(&mut self, node: &str, setting: &str) {
        let settings = parse_all([setting]).unwrap();
        edit::set(&mut self.store, &self.now, &actor(), node, &settings, Mode::Save).unwrap();
    }

    fn report(&self, kind: Kind) -> Report {
        let request = Request {
            kind,
            period: TimeDelta::days(90),
            organisation: "Example Ltd".into(),
            key_age: TimeDelta::days(90),
        };
        report(&Reading::Unlocked(&self.store), &self.now, &request).unwrap()
    }

    fn codes(&self) -> BTreeSet<&'static str> {
        self.report(Kind::FullCompliance).warnings.iter().map(|warning| warning.code).collect()
    }

    /// Carries out a change and returns the warnings that it brings.
    fn brings(&mut self, change: impl FnOnce(&mut Self)) -> Vec<&'static str> {
        let before = self.codes();
        change(self);
        self.codes().difference(&before).copied().collect()
    }

    /// Carries out a change and returns the warnings that it mends.
    fn mends(&mut self, change: impl FnOnce(&mut Self)) -> Vec<&'static str> {
        let before = self.codes();
        change(self);
        before.difference(&self.codes()).copied().collect()
    }

    fn backup(&mut self, kind: BackupKind, verified: bool, fault: Option<&str>, host: Option<&str>) {
        self.backup_on(None, kind, verified, fault, host);
    }

    /// Notes a backup, which may build on the one that was made then.
    fn backup_on(
        &mut self,
        base: Option<DateTime<Utc>>,
        kind: BackupKind,
        verified: bool,
        fault: Option<&str>,
        host: Option<&str>,
    ) {
        let made = self.now.0;
        let id = |made: DateTime<Utc>| format!("{:032x}", made.timestamp());
        let copy = BackupCopy {
            host: host.map(str::to_owned),
            path: PathBuf::from(format!("/backups/{kind}.wgfb")),
            made,
            verified: verified.then_some(made),
            fault: fault.map(str::to_owned),
        };
        let record = BackupRecord {
            id: id(made),
            created: made,
            kind,
            size: 1000,
            sha256: "0".repeat(64),
            audit_entry: None,
            base: base.map(id),
            copies: vec![copy],
        };
        self.store
            .write(made, &actor(), |tx| {
                tx.save_backup(&record)?;
                Ok::<_, Error>(((), Event::database(Action::BackupCreated)))
            })
            .unwrap();
    }

    fn scan(&mut self, kinds: &[DriftKind]) {
        let items: Vec<DriftItem> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| DriftItem {
                id: format!("{at:08x}"),
                interface: Some("wg0".parse().unwrap()),
                kind: *kind,
                subject: "stranger".into(),
                found: Some("there".into()),
                wanted: None,
                severity: Severity::Critical,
            })
            .collect();
        let scan = Scan {
            host: name("hub"),
            time: self.now.0,
            duration: Duration::from_millis(20),
            outcome: if items.is_empty() { ScanOutcome::Clean } else { ScanOutcome::Drift },
            items: items.len(),
            acknowledged: 0,
            note: None,
        };
        self.store.record_drift(&[(scan, items)], DateTime::UNIX_EPOCH).unwrap();
    }

    fn deploy(&mut self, token: &str, end: Option<DeploymentState>) {
        let now = self.now.0;
        self.store
            .write(now, &actor(), |tx| {
                let id = tx.begin_deployment(&name("hub"), token, "tester", now, b"content")?;
                if let Some(end) = end {
                    tx.finish_deployment(id, end, now, Some("as told"), None)?;
                }
                Ok::<_, Error>(((), Event::host(Action::DeployStarted, &name("hub"))))
            })
            .unwrap();
    }

    fn keep(&mut self, kept: Option<Kept>) {
        let hub = find::node(&self.store.topology().unwrap(), "hub").unwrap().clone();
        let mut changed: Node = hub;
        changed.interfaces[0].kept = kept;
        self.store
            .write(self.now.0, &actor(), |tx| {
                tx.update_node(&changed, self.now.0)?;
                Ok::<_, Error>(((), Event::node(Action::PeerUpdated, &changed)))
            })
            .unwrap();
    }
}

#[test]
fn an_incremental_backup_counts_together_with_what_it_builds_on() {
    let has = |setup: &Setup| {
        let codes = setup.codes();
        ["backup_old", "backup_here_only", "backup_unverified"].map(|code| codes.contains(code))
    };
    let mut setup = Setup::new();
    let first = setup.now.0;
    setup.backup(BackupKind::Full, true, None, Some("hub"));
    setup.at("2026-01-13T10:00:00Z");
    assert_eq!(has(&setup), [true, false, false]);
    setup.backup_on(Some(first), BackupKind::Incremental, true, None, None);
    assert_eq!(has(&setup), [false, true, false], "a copy of it is nowhere else");
    setup.at("2026-01-13T11:00:00Z").backup_on(Some(first), BackupKind::Incremental, true, None, Some("hub"));
    assert_eq!(has(&setup), [false, false, false]);
    setup.at("2026-01-13T12:00:00Z").backup_on(Some(first), BackupKind::Incremental, true, None, Some("spare"));
    assert_eq!(has(&setup), [false, true, false], "what it builds on isn't on that host");
    // One of which the base is gone doesn't count.
    setup.at("2026-01-14T10:00:00Z").backup_on(
        Some(time("2026-01-01T00:00:00Z")),
        BackupKind::Incremental,
        true,
        None,
        None,
    );
    assert_eq!(has(&setup), [false, true, false]);
    setup.at("2026-01-21T11:30:00Z");
    assert_eq!(has(&setup), [true, true, false]);
}

#[test]
fn each_warning_comes_with_its_reason_and_goes_with_it() {
    let mut setup = Setup::new();
    let begun: Vec<&str> = setup.codes().into_iter().collect();
    assert_eq!(begun, ["backup_missing", "kdf_light", "key_held", "not_deployed"], "what a small network begins with");

    assert_eq!(setup.brings(|s| s.add(Role::Router, "branch", &["lan=192.168.20.0/24"])), ["no_ssh_host"]);
    assert_eq!(setup.brings(|s| s.set("alice", "access=full")), ["full_access"]);
    assert_eq!(setup.mends(|s| s.set("alice", "access=vpn-only")), ["full_access"]);

    // The server's own rules decide.
    let own = Kept { firewall: false, ..Kept::made() };
    assert_eq!(setup.brings(|s| s.keep(Some(own))), ["not_enforced"]);
    assert_eq!(setup.mends(|s| s.keep(None)), ["not_enforced"]);

    // Links from before the network wanted preshared keys; switched off and on again, they get some.
    let unique = defaults::parse_all(["psk=unique"]).unwrap();
    assert_eq!(
        setup.brings(|s| drop(defaults::set(&mut s.store, &s.now, &actor(), &unique, Mode::Save).unwrap())),
        ["preshared_key_missing"]
    );
    for enabled in [false, true] {
        let nodes = ["alice".to_owned(), "branch".to_owned()];
        edit::switch(&mut setup.store, &setup.now, &actor(), &nodes, enabled, Mode::Save).unwrap();
    }
    assert!(!setup.codes().contains("preshared_key_missing"));

    // Backups.
    assert_eq!(setup.brings(|s| s.backup(BackupKind::ConfigOnly, true, None, None)), [""; 0], "one of all counts");
    assert_eq!(
        setup.at("2026-01-05T09:00:00Z").brings(|s| s.backup(BackupKind::Full, false, None, None)),
        ["backup_here_only", "backup_unverified"]
    );
    let verified = |s: &mut Setup| s.at("2026-01-05T10:00:00Z").backup(BackupKind::Full, true, None, Some("hub"));
    assert_eq!(setup.mends(verified), ["backup_here_only", "backup_unverified"]);
    assert_eq!(setup.brings(|s| _ = s.at("2026-01-13T10:00:00Z")), ["backup_old"]);
    let damaged = |s: &mut Setup| s.backup(BackupKind::Full, true, Some("a bit flipped"), Some("hub"));
    assert_eq!(setup.brings(damaged), ["backup_damaged", "backup_here_only", "backup_unverified"]);

    // Deployments, and what is found after them.
    assert_eq!(setup.brings(|s| s.deploy("one", Some(DeploymentState::Confirmed))), ["drift_not_checked"]);
    assert_eq!(setup.mends(|s| s.scan(&[])), ["drift_not_checked"]);
    assert_eq!(setup.brings(|s| s.deploy("two", None)), ["deployment_open"]);
    assert_eq!(setup.at("2026-01-13T11:00:00Z").brings(|s| s.scan(&[DriftKind::PeerAdded])), ["drift_open"]);
    let ack = |s: &mut Setup| {
        let seen = s.store.latest_drift(&name("hub")).unwrap().unwrap().remove(0);
        let ack = crate::db::Acknowledgement {
            host: seen.host,
            item: seen.item,
            reason: "known".into(),
            operator: "tester".into(),
            time: s.now.0,
            until: Some(time("2026-02-01T00:00:00Z")),
        };
        s.store
            .write(s.now.0, &actor(), |tx| {
                tx.acknowledge_drift(&ack)?;
                Ok::<_, Error>(((), Event::host(Action::DriftAcknowledged, &ack.host)))
            })
            .unwrap();
    };
    assert_eq!(setup.mends(ack), ["drift_open"]);
    assert_eq!(
        setup.brings(|s| _ = s.at("2026-02-02T00:00:00Z")),
        ["backup_old", "drift_open"],
        "it counted until February"
    );

    // A grant that ends.
    let wanted = Wanted {
        holder: "alice",
        destination: "10.66.0.1",
        protocol: Protocol::Icmp,
        ports: Vec::new(),
        until: Some(time("2026-02-03T00:00:00Z")),
        note: "for a day".into(),
    };
    assert_eq!(setup.brings(|s| drop(grant(&mut s.store, &s.now, &actor(), &wanted, Mode::Save).unwrap())), [""; 0]);
    assert_eq!(setup.brings(|s| _ = s.at("2026-02-03T00:00:00Z")), ["grant_over"]);

    // Keys that get old, and young again.
    assert_eq!(setup.brings(|s| _ = s.at("2026-04-05T08:00:00Z")), [""; 0], "ninety days are not more than ninety");
    assert_eq!(setup.brings(|s| _ = s.at("2026-04-05T08:00:01Z")), ["key_overdue"]);
    for node in ["hub", "alice", "branch"] {
        let rotation = Rotation { node: node.into(), reason: "scheduled".into(), now: true, ..Rotation::default() };
        rotate(&mut setup.store, &setup.now, &actor(), &rotation, Mode::Save).unwrap();
    }
    assert!(!setup.codes().contains("key_overdue"));
    let report = setup.report(Kind::KeyRotation);
    let keys = report.keys.unwrap();
    let told: Vec<(&str, &str)> = keys.rotations.iter().map(|r| (r.node.as_str(), r.reason.as_str())).collect();
    assert_eq!(told, [("branch", "scheduled"), ("alice", "scheduled"), ("hub", "scheduled")]);

    // Preshared keys have an age of their own: these are from January.
    let every = |days: u16| {
        move |s: &mut Setup| {
            let wish = Wish { every_days: Some(days), ..Wish::default() };
            policy::set(&mut s.store, &s.now, &actor(), &Whose::Network, &wish, Mode::Save).map(drop).unwrap();
        }
    };
    assert_eq!(setup.brings(every(30)), ["preshared_key_overdue"]);
    assert_eq!(setup.mends(every(365)), ["preshared_key_overdue"]);
}

#[test]
fn every_warning_says_what_mends_it_and_reports_have_those_of_their_parts() {
    let mut setup = Setup::new();
    setup.add(Role::Router, "branch", &["lan=192.168.20.0/24"]);
    setup.add(Role::Remote, "bob", &["access=full"]);
    setup.scan(&[DriftKind::PeerAdded]);
    let full = setup.report(Kind::FullCompliance);
    for warning in &full.warnings {
        assert!(
            !warning.concerns.is_empty() && !warning.commands.is_empty() && !warning.remedy.is_empty(),
            "{warning:?}"
        );
        assert!(warning.commands.iter().all(|command| command.starts_with("wg-friend ")), "{warning:?}");
    }
    let severities: Vec<Severity> = full.warnings.iter().map(|warning| warning.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "the gravest first");
    let codes = |kind| setup.report(kind).warnings.iter().map(|warning| warning.code).collect::<Vec<_>>();
    assert_eq!(codes(Kind::NetworkInventory), ["no_ssh_host", "not_deployed"]);
    assert_eq!(codes(Kind::KeyRotation), ["key_held"]);
    assert_eq!(codes(Kind::ConfigurationChanges), ["drift_open"]);
    assert_eq!(codes(Kind::AccessControl), ["backup_missing", "kdf_light", "full_access"]);
    assert_eq!(codes(Kind::ExecutiveSummary).len(), full.warnings.len());
}

fn text(report: &Report, format: Format) -> String {
    String::from_utf8(report.write(format).unwrap()).unwrap()
}

#[test]
fn a_report_of_the_same_moment_is_the_same() {
    let setup = Setup::new();
    for kind in [Kind::ExecutiveSummary, Kind::FullCompliance] {
        for format in [Format::Md, Format::Json, Format::Csv, Format::Html, Format::Pdf] {
            let (once, again) = (setup.report(kind).write(format).unwrap(), setup.report(kind).write(format).unwrap());
            assert!(once == again, "{kind:?} {format:?}");
        }
    }
}

#[test]
fn a_locked_database_has_its_report_too_and_says_what_was_not_checked() {
    let setup = Setup::new();
    let database = Database::open(setup.store.path()).unwrap();
    database.choose(None).unwrap();
    let request = Request {
        kind: Kind::FullCompliance,
        period: TimeDelta::days(90),
        organisation: String::new(),
        key_age: TimeDelta::days(90),
    };
    let made = report(&Reading::Locked(&database), &setup.now, &request).unwrap();
    let audit = &made.safeguards.as_ref().unwrap().audit;
    assert!(audit.intact && !audit.authenticated);
    assert!(text(&made, Format::Md).contains("since the database was locked"));
    let too_long = Request { period: TimeDelta::MAX, ..request };
    assert!(report(&Reading::Locked(&database), &setup.now, &too_long).is_err());
}

#[test]
fn nothing_that_loads_or_runs_is_in_the_page() {
    let html = text(&Setup::new().report(Kind::FullCompliance), Format::Html);
    for outside in ["<script", "http://", "https://", " src=", "url(", "@import", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("a|b &lt;script&gt;"), "a note is text");
}

/// Hides what differs each time. Keep the guard while asserting.
fn filters() -> impl Drop {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\([0-9a-f-]{32,36}\)", "([ID])");
    settings.add_filter(r"(?m)Signed head of the audit log \|.*", "Signed head of the audit log | [HEAD] |");
    settings.add_filter(r"(?m)<dt>Signed head of the audit log</dt><dd>.*", "<dt>[HEAD]</dt>");
    settings.add_filter(r"wg-friend \d+\.\d+\.\d+", "wg-friend [VERSION]");
    settings.add_filter(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", "[KEY]");
    settings.add_filter(r"<td>(&#x2f;|[A-Za-z0-9+])+…</td>", "<td>[KEY]</td>");
    settings.bind_to_scope()
}

#[test]
fn the_inventory_of_a_small_network_as_a_page() {
    let html = text(&Setup::new().report(Kind::NetworkInventory), Format::Html);
    let body: Vec<&str> = html.lines().skip_while(|line| *line != "</head>").collect();
    let until: Vec<&str> = body.into_iter().take_while(|line| !line.contains(">Controls that")).collect();
    let _guard = filters();
    insta::assert_snapshot!(until.join("\n"), @r##"
    </head>
    <body>
    <header>
    <p class="organisation">Example Ltd</p>
    <h1>Network inventory</h1>
    <dl>
    <dt>Network</dt><dd>office</dd>
    <dt>Period</dt><dd>2025-10-07 08:00 UTC to 2026-01-05 08:00 UTC</dd>
    <dt>Made</dt><dd>2026-01-05 08:00 UTC</dd>
    <dt>Database</dt><dd>x.db ([ID])</dd>
    <dt>Program</dt><dd>wg-friend [VERSION]</dd>
    <dt>[HEAD]</dt>
    </dl>
    <p>This report lists what the network is made up of: its members, the machines that they run on, and the networks behind them. It was made by wg-friend from its own records; no machine was asked for it, so what it says about machines is what was seen there last.</p>
    <p>The network is a virtual private network made with WireGuard: its members reach each other through encrypted tunnels over the internet, and each proves who it is by a key of its own. The words in this report are explained at its end. It holds no key that opens anything, but it says much about the network: treat it as confidential.</p>
    </header>
    <h2>At a glance</h2>
    <ul class="figures">
    <li><b>2</b>members of the network<small>remote 1, server 1</small></li>
    <li><b>1</b>machines<small>reached by wg-friend</small></li>
    <li><b>0</b>networks behind members</li>
    <li><b>1</b>need attention<small>critical 0, warning 1, info 0</small></li>
    </ul>
    <h2>What needs attention</h2>
    <div class="finding warning">
    <h3><span>warning</span>1 machine was never deployed to: nothing of the model is known to be in force there</h3>
    <ul>
    <li>hub</li>
    </ul>
    <p>Remedy: look at what would be done, and deploy: <code>wg-friend plan hub</code></p>
    </div>
    <section>
    <h2>Inventory</h2>
    <p>The network has the addresses 10.66.0.0&#x2f;24. Links between its members: 1.</p>
    <p>This part is evidence for SOC 2 CC6.2, and for ISO&#x2f;IEC 27001:2022 Annex A 5.9, 5.16, 8.20.</p>
    <h3>Members</h3>
    <table>
    <thead><tr><th scope="col">member</th><th scope="col">role</th><th scope="col">enabled</th><th scope="col">addresses</th><th scope="col">dialled at</th><th scope="col">machine</th><th scope="col">since</th><th scope="col">permanent name</th><th scope="col">notes</th></tr></thead>
    <tbody>
    <tr><td>hub</td><td>server</td><td>yes</td><td>10.66.0.1&#x2f;32</td><td>vpn.example.com:51820</td><td>hub</td><td>2026-01-05 (manual)</td><td>[KEY]</td><td></td></tr>
    <tr><td>alice</td><td>remote</td><td>yes</td><td>10.66.0.30&#x2f;32</td><td></td><td></td><td>2026-01-05 (manual)</td><td>[KEY]</td><td>a|b &lt;script&gt;=1</td></tr>
    </tbody>
    </table>
    <h3>Machines</h3>
    <table>
    <thead><tr><th scope="col">machine</th><th scope="col">reached at</th><th scope="col">members on it</th><th scope="col">runs</th></tr></thead>
    <tbody>
    <tr><td>hub</td><td>root@192.0.2.1</td><td>hub</td><td>nothing</td></tr>
    </tbody>
    </table>
    <h3>Networks behind members</h3>
    <p class="none">There are none.</p>
    </section>
    <section>
    "##);
}

#[test]
fn the_summary_of_a_small_network() {
    let mut setup = Setup::new();
    setup.at("2026-01-06T08:00:00Z").add(Role::Remote, "bob", &["access=full"]);
    let text = text(&setup.report(Kind::ExecutiveSummary), Format::Md);
    let until: Vec<&str> = text.lines().take_while(|line| !line.starts_with("### Changes")).collect();
    let _guard = filters();
    insta::assert_snapshot!(until.join("\n"), @r"
    # Executive summary

    **Example Ltd**

    |  |  |
    | --- | --- |
    | Network | office |
    | Period | 2025-10-08 08:00 UTC to 2026-01-06 08:00 UTC |
    | Made | 2026-01-06 08:00 UTC |
    | Database | x.db ([ID]) |
    | Program | wg-friend [VERSION] |
    | Signed head of the audit log | [HEAD] |

    This report sums up how the network stands: how large it is, how old its keys are, how much was changed, and what needs attention. The other reports have the details. It was made by wg-friend from its own records; no machine was asked for it, so what it says about machines is what was seen there last.

    The network is a virtual private network made with WireGuard: its members reach each other through encrypted tunnels over the internet, and each proves who it is by a key of its own. The words in this report are explained at its end. It holds no key that opens anything, but it says much about the network: treat it as confidential.

    ## At a glance

    | what | how many | note |
    | --- | --- | --- |
    | members of the network | 3 | remote 2, server 1 |
    | machines | 1 | reached by wg-friend |
    | networks behind members | 0 |  |
    | grants | 0 | 0 of them over |
    | servers that enforce access | 1 of 1 |  |
    | changes of access | 0 | in the period |
    | keys in use | 3 | 0 older than 90 days |
    | replacements of keys | 0 | in the period |
    | links with a preshared key | 0 of 2 |  |
    | changes of the model | 5 | in the period |
    | deployments | 0 | 0 reverted, 0 failed |
    | open differences on machines | 0 | 0 acknowledged, 0 gone again |
    | audit log | intact | 5 entries |
    | newest backup | none | found whole: never |
    | secrets encrypted | yes |  |
    | need attention | 5 | critical 1, warning 2, info 2 |

    ## What needs attention

    - **critical**: there is no backup of the whole database
      - database
      - *remedy*: make one, and let a timer make them from now on: `wg-friend backup create`, `wg-friend backup schedule`

    - **warning**: 1 machine was never deployed to: nothing of the model is known to be in force there
      - hub
      - *remedy*: look at what would be done, and deploy: `wg-friend plan hub`

    - **warning**: 1 passphrase is protected by less than the standard profile: guessing costs less
      - passphrase main, since 2026-01-05
      - *remedy*: set it anew with the standard profile, on a machine with a GiB of memory to spare: `wg-friend vault passphrase change main --kdf standard`

    - **info**: 1 of 2 enabled remotes has full access: to the whole network and all networks behind it
      - bob, since 2026-01-06
      - *remedy*: where that is more than is needed, give a lower level, and grants for the rest: `wg-friend set bob access=vpn-only`

    - **info**: 2 remotes' private keys are held in this database: whoever unlocks it can pass for them
      - alice, since 2026-01-05
      - bob, since 2026-01-06
      - *remedy*: where no code has to be made again, let the device alone have its key: `wg-friend set alice custody=shown-once`, `wg-friend set bob custody=shown-once`

    ## How it stands

    Dark bars are what deserves a look.

    ### Keys in use by age

        up to 30 days         3 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
        31 to 90 days         0
        91 to 180 days        0
        181 to 365 days       0
        more than a year      0
    ");
}
