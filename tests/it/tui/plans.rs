//! A plan and its deploy on the screen, made up: each kind of change, each way that it can end.

use std::sync::mpsc::channel;
use std::time::Duration;

use ratatui::crossterm::event::{Event as Input, KeyCode};
use wg_friend::model::Severity;
use wg_friend::ops::deploy::blast::{Because, Blast, Loss, WayTouched, Whom};
use wg_friend::ops::deploy::report::{HostReport, PlanReport, PlannedChange};
use wg_friend::ops::deploy::{Cause, Change, Disruption, HostOutcome, Kind, Outcome, Phase};
use wg_friend::tui::app::App;
use wg_friend::tui::msg::{Effect, Msg, Planned, Step};

fn change(
    interface: Option<&str>,
    kind: Kind,
    subject: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> PlannedChange {
    let cause = if kind == Kind::PeerExtra { Cause::Drift } else { Cause::Pending };
    let restarts = kind == Kind::ListenPort;
    let change = Change {
        interface: interface.map(|name| name.parse().unwrap()),
        kind,
        subject: subject.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        severity: if cause == Cause::Drift { Severity::Critical } else { Severity::Info },
        disruption: if restarts { Disruption::Rekey } else { Disruption::Live },
        cause,
        acknowledged: None,
    };
    PlannedChange { change, affects: Whom::of(kind), touches_way: restarts }
}

fn host(name: &str, changes: Vec<PlannedChange>, error: Option<&str>) -> HostReport {
    HostReport {
        host: name.parse().unwrap(),
        address: format!("root@{name}"),
        system: error.is_none().then(|| "Debian GNU/Linux 12, kernel 6.1".to_owned()),
        changes,
        error: error.map(str::to_owned),
        hint: error.map(|_| "try `ssh depot` by hand".to_owned()),
        interrupted: Vec::new(),
    }
}

fn report() -> PlanReport {
    let hub = vec![
        change(Some("wg0"), Kind::PeerMissing, "alice-phone", None, Some("10.66.0.30/32, fd66::1e/128")),
        change(Some("wg0"), Kind::PeerExtra, "hSDwCYkw", Some("10.9.9.9/32"), None),
        change(Some("wg0"), Kind::ListenPort, "", Some("51820"), Some("443")),
        change(None, Kind::File, "wg0.conf", Some("other text"), Some("the model's")),
    ];
    let north = vec![change(
        Some("wg0"),
        Kind::AllowedIps,
        "warehouse-with-a-long-name",
        Some("192.168.1.0/24"),
        Some("192.168.1.0/24, 192.168.2.0/24, 192.168.3.0/24, 192.168.4.0/24"),
    )];
    let name = || "hub".parse().unwrap();
    let blast = Blast {
        loses: vec![Loss {
            host: name(),
            interface: "wg0".parse().unwrap(),
            because: Because::Port,
            peer: "bob-laptop".to_owned(),
        }],
        ways: vec![WayTouched {
            host: name(),
            from: "10.66.0.9".parse().unwrap(),
            through: Some("wg0".parse().unwrap()),
            changes: vec!["wg0 ~ port 51820 -> 443".to_owned()],
        }],
        devices: Vec::new(),
    };
    PlanReport {
        hosts: vec![
            host("depot", Vec::new(), Some("ssh: connect to host depot port 22: Connection timed out")),
            host("hub", hub, None),
            host("office", Vec::new(), None),
            host("warehouse-in-the-north", north, None),
        ],
        changes: 5,
        drift: 1,
        restarts: 0,
        rekeys: 1,
        failed: 1,
        blast,
        rotated: Vec::new(),
        follow: Vec::new(),
    }
}

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.update(Msg::Input(Input::Key(code.into())))
}

/// The plan, as it waits for somebody to say yes; returns its number.
fn planned(app: &mut App) -> u64 {
    let effects = key(app, KeyCode::Char('4'));
    let number =
        effects.iter().find_map(|effect| if let Effect::Plan(number, _) = effect { Some(*number) } else { None });
    let number = number.expect("hosts are asked");
    let (go, gone) = channel();
    std::mem::forget(gone); // whoever would carry it out is there as long as the test is
    let planned = Planned { report: report(), go };
    app.update(Msg::Planned(number, Box::new(Ok(planned))));
    number
}

pub(super) fn plan(app: &mut App, _: u64) {
    planned(app);
    key(app, KeyCode::Down);
}

/// The same while it is carried out: one host is done, one has its time running, one waits.
pub(super) fn deploy(app: &mut App, _: u64) {
    let number = planned(app);
    key(app, KeyCode::Enter);
    let name = |name: &str| name.parse().unwrap();
    let mut step = |step| _ = app.update(Msg::Deploying(number, step));
    step(Step::Expects(["hub", "office", "warehouse-in-the-north"].map(name).into()));
    step(Step::Reached(name("hub"), Phase::Applying));
    step(Step::Armed(name("hub"), Duration::from_secs(60)));
    step(Step::Reached(name("hub"), Phase::Confirming));
    let outcome = |host: &str, outcome| HostOutcome {
        host: name(host),
        outcome,
        changes: 1,
        steps: vec!["change 1 peer of wg0".to_owned()],
        notes: Vec::new(),
        seconds: 1.4,
    };
    step(Step::Ended(Box::new(outcome("office", Outcome::Unchanged))));
    let taken_back = Outcome::Reverted {
        reason: "no handshake on wg0 since, with none of those that were alive before: bob-laptop".to_owned(),
        clean: true,
    };
    step(Step::Ended(Box::new(outcome("warehouse-in-the-north", taken_back))));
}
