//! What was made, handed out, deployed and run.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::db::{CommandId, DeploymentId, Kind, NewStep, StepEnd};
use crate::model::{CommandState, DeploymentState};

fn with_hosts() -> Lab {
    let mut lab = lab();
    lab.write(|tx| {
        tx.insert_host(&host("hub"))?;
        tx.insert_host(&local())
    })
    .unwrap();
    lab
}

fn begin(lab: &mut Lab, host: &str, token: &str, desired: &str) -> DeploymentId {
    lab.write(|tx| tx.begin_deployment(&name(host), token, "kim", at(1), desired.as_bytes())).unwrap()
}

fn finish(lab: &mut Lab, id: DeploymentId, state: DeploymentState) {
    lab.write(|tx| tx.finish_deployment(id, state, at(2), Some("done"), None)).unwrap();
}

#[test]
fn a_generated_file_replaces_the_one_before_and_says_whether_it_differs() {
    let mut lab = lab();
    let id = lab.add("phone", 9).main().id;
    let mut save = |content: &str, second| {
        lab.write(|tx| tx.save_generated(id, "wg0.conf", content.as_bytes(), at(second))).unwrap()
    };
    assert_eq!([save("one", 1), save("one", 2), save("two", 3)], [true, false, true]);
    let last = lab.store.last_generated(id, "wg0.conf").unwrap().unwrap();
    assert_eq!((last.content.as_slice(), last.time), (&b"two"[..], at(3)));
    // sha256sum of "two"
    assert_eq!(last.sha256, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
    assert!(lab.store.last_generated(id, "other.conf").unwrap().is_none());
}

#[test]
fn handouts_are_listed_newest_first() {
    let mut lab = lab();
    let (phone, laptop) = (lab.add("phone", 9), lab.add("laptop", 10));
    lab.write(|tx| {
        tx.record_handout(phone.id, "qr", "aa", at(1))?;
        tx.record_handout(laptop.id, "file", "bb", at(2))?;
        tx.record_handout(phone.id, "png", "cc", at(3))
    })
    .unwrap();
    let words = |list: Vec<crate::db::Handout>| list.into_iter().map(|h| (h.method, h.sha256)).collect::<Vec<_>>();
    let own = |list: [(&str, &str); 2]| list.map(|(m, s)| (m.to_owned(), s.to_owned()));
    assert_eq!(words(lab.store.handouts(phone.id).unwrap()), own([("png", "cc"), ("qr", "aa")]));
    assert_eq!(words(lab.store.last_handouts().unwrap()), own([("png", "cc"), ("file", "bb")]));
}

#[test]
fn a_database_has_come_further_when_a_device_shows_for_the_first_time_that_it_has_its_file() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    lab.write(|tx| tx.record_revision(phone.id, "{}", None, "file", at(2))).unwrap();
    let before = lab.store.mark().unwrap();
    let mut used = |second| {
        lab.store.record_uses(&[crate::db::Use { node: phone.id, number: 1, time: at(second) }]).unwrap();
        lab.store.mark().unwrap()
    };
    let first = used(3);
    assert_ne!(first, before);
    assert_eq!(used(4), first, "each handshake would be too many");
}

#[test]
fn what_a_host_runs_is_what_it_confirmed_last() {
    let mut lab = with_hosts();
    let hub = name("hub");
    assert!(lab.store.deployed(&hub).unwrap().is_none());
    let first = begin(&mut lab, "hub", "a", "first");
    assert!(lab.store.deployed(&hub).unwrap().is_none(), "not before it is confirmed");
    assert_eq!(lab.reopen().open_deployments().unwrap().iter().map(|d| d.id).collect::<Vec<_>>(), [first]);
    finish(&mut lab, first, DeploymentState::Confirmed);
    lab.write(|tx| tx.save_observed(first, "{\"port\":51820}")).unwrap();
    let second = begin(&mut lab, "hub", "b", "second");
    finish(&mut lab, second, DeploymentState::Reverted);
    let other = begin(&mut lab, "here", "c", "other");
    let (id, content) = lab.store.deployed(&hub).unwrap().unwrap();
    assert_eq!((id, content.as_slice()), (first, &b"first"[..]));
    assert_eq!(lab.store.observed(first).unwrap().as_deref().map(String::as_str), Some("{\"port\":51820}"));
    assert_eq!(lab.store.observed(second).unwrap(), None);
    assert_eq!(lab.store.deployed_content(second).unwrap().as_slice(), b"second");
    assert_eq!(lab.reopen().open_deployments().unwrap().iter().map(|d| d.id).collect::<Vec<_>>(), [other]);

    let list = lab.reopen().deployments(&hub, 10).unwrap();
    let words: Vec<_> = list.iter().map(|d| (d.version, d.state, d.token.as_str(), d.finished)).collect();
    let ended = Some(at(2));
    assert_eq!(words, [(2, DeploymentState::Reverted, "b", ended), (1, DeploymentState::Confirmed, "a", ended)]);
    assert_eq!(lab.reopen().deployments(&hub, 1).unwrap().len(), 1);
    assert_eq!(list[1].note.as_deref(), Some("done"));
}

#[test]
fn old_deployments_go_with_what_was_run_for_them_and_the_newest_of_each_kind_stay() {
    let mut lab = with_hosts();
    let keep = NonZeroU32::new(2);
    let deploy = |lab: &mut Lab, host: &str, token: &str, state| {
        let id = begin(lab, host, token, token);
        let step = NewStep { kind: "mtu".into(), parameters: String::new(), command: None };
        lab.store.command_begin(&name(host), Some(id), "apply", "", &[step], at(1)).unwrap();
        lab.write(|tx| tx.finish_deployment(id, state, at(2), None, keep)).unwrap();
    };
    use DeploymentState::{Confirmed, Failed, Reverted};
    deploy(&mut lab, "here", "elsewhere", Confirmed);
    let waiting = begin(&mut lab, "hub", "waiting", "x");
    for (token, state) in
        [("1", Confirmed), ("2", Confirmed), ("3", Failed), ("4", Confirmed), ("5", Reverted), ("6", Failed)]
    {
        deploy(&mut lab, "hub", token, state);
    }
    let hub = name("hub");
    let kept = |lab: &Lab| -> Vec<_> {
        lab.store.deployments(&hub, 99).unwrap().into_iter().map(|d| (d.token, d.version)).collect()
    };
    let own = |list: &[(&str, i64)]| list.iter().map(|(t, v)| ((*t).to_owned(), *v)).collect::<Vec<_>>();
    assert_eq!(kept(&lab), own(&[("6", 7), ("5", 6), ("4", 5), ("2", 3), ("waiting", 1)]));
    assert_eq!(lab.store.commands(&hub, 99).unwrap().len(), 4, "of those that went nothing is left");
    let rows: i64 = lab.store.conn.query_row("SELECT count(*) FROM commands", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2 * (4 + 1), "nor any of their steps");
    assert_eq!(lab.store.deployed(&hub).unwrap().unwrap().1.as_slice(), b"4");
    assert!(lab.store.deployed(&name("here")).unwrap().is_some(), "other hosts count for themselves");
    lab.write(|tx| tx.finish_deployment(waiting, Reverted, at(9), None, keep)).unwrap();
    assert_eq!(kept(&lab), own(&[("6", 7), ("5", 6), ("4", 5), ("2", 3)]));
    let next = begin(&mut lab, "hub", "7", "x");
    assert_eq!(lab.store.deployments(&hub, 1).unwrap()[0].version, 8, "versions go on counting: {next:?}");
}

#[test]
fn looks_at_a_host_are_kept_by_the_thousand() {
    let lab = with_hosts();
    let look = |host: &str| lab.store.command_begin(&name(host), None, "observe", "", &[], at(1)).unwrap().0;
    let other = look("here");
    let first = look("hub");
    for _ in 0..1000 {
        look("hub");
    }
    let hub = lab.store.commands(&name("hub"), 9999).unwrap();
    assert_eq!((hub.len(), hub.iter().any(|c| c.id == first)), (1000, false));
    assert_eq!(lab.store.commands(&name("here"), 9).unwrap()[0].id, other);
}

#[test]
fn a_deployment_ends_once() {
    let mut lab = with_hosts();
    let id = begin(&mut lab, "hub", "a", "x");
    finish(&mut lab, id, DeploymentState::Unknown);
    finish(&mut lab, id, DeploymentState::Confirmed); // found out later
    let again = lab.write(|tx| tx.finish_deployment(id, DeploymentState::Failed, at(3), None, None));
    assert!(matches!(again.unwrap_err(), Error::Refused(_)));
    let none = lab.write(|tx| tx.finish_deployment(DeploymentId(9), DeploymentState::Failed, at(3), None, None));
    assert_eq!(none.unwrap_err().kind(), Kind::Missing);
    let twice = lab.write(|tx| tx.begin_deployment(&name("hub"), "a", "kim", at(1), b"x"));
    assert_eq!(twice.unwrap_err().kind(), Kind::Conflict, "a token names one deployment");
}

#[test]
fn a_command_is_pending_until_it_is_answered() {
    let lab = with_hosts();
    let hub = name("hub");
    let begin = |parameters: &str| lab.store.command_begin(&hub, None, "observe", parameters, &[], at(5)).unwrap().0;
    let (first, second, third) = (begin("a"), begin("b"), begin("c"));
    lab.store.command_end(first, true, "fine", Duration::from_millis(70), &[]).unwrap();
    lab.store.command_end(second, false, &"x".repeat(9000), Duration::from_secs(1), &[]).unwrap();
    let list = lab.reopen().commands(&hub, 10).unwrap();
    let words: Vec<_> = list.iter().map(|c| (c.parameters.as_str(), c.state, c.duration_ms)).collect();
    assert_eq!(
        words,
        [
            ("c", CommandState::Pending, None),
            ("b", CommandState::Failed, Some(1000)),
            ("a", CommandState::Succeeded, Some(70))
        ]
    );
    assert!(list[1].output.len() <= 4096);
    assert_eq!((list[2].output.as_str(), list[2].started), ("fine", at(5)));
    assert_eq!(lab.store.mark_pending_unknown(&hub).unwrap(), 1);
    assert_eq!(lab.store.mark_pending_unknown(&hub).unwrap(), 0);
    let newest = &lab.reopen().commands(&hub, 1).unwrap()[0];
    assert_eq!((newest.id, newest.state), (third, CommandState::Unknown));
    assert!(lab.store.command_end(CommandId(99), true, "", Duration::ZERO, &[]).is_err());
    assert_eq!(lab.store.audit_log(&Default::default()).unwrap().len(), 2, "commands are no audit entries");
}

#[test]
fn the_steps_of_a_command_stand_below_it_and_end_one_by_one() {
    let lab = with_hosts();
    let hub = name("hub");
    let step = |kind: &str, command: Option<&str>| NewStep {
        kind: kind.to_owned(),
        parameters: format!("do {kind}"),
        command: command.map(str::to_owned),
    };
    let new = [step("arm", None), step("mtu", Some("ip link set dev wg0 mtu 1400")), step("peer", Some("wg set"))];
    let (id, steps) = lab.store.command_begin(&hub, None, "apply", "deploy a", &new, at(5)).unwrap();
    let states = || -> Vec<_> {
        let list = lab.reopen().commands(&hub, 10).unwrap();
        assert_eq!(list.len(), 1, "steps are no commands of their own");
        let own = (list[0].kind.clone(), list[0].state, list[0].duration_ms);
        let steps = list[0].steps.iter().map(|s| (s.kind.clone(), s.state, s.duration_ms));
        [own].into_iter().chain(steps).collect()
    };
    let row = |kind: &str, state, ms| (kind.to_owned(), state, ms);
    use CommandState::{Failed, Pending, Skipped, Succeeded, Unknown};
    let waiting = |state| ["apply", "arm", "mtu", "peer"].map(|kind| row(kind, state, None));
    assert_eq!(states(), waiting(Pending), "all are written down before they are sent");
    assert_eq!(lab.store.mark_pending_unknown(&hub).unwrap(), 4);
    assert_eq!(states(), waiting(Unknown), "when nobody saw how they ended");

    let end = |state, second, ms: Option<u64>| StepEnd {
        state,
        output: "said".to_owned(),
        started: at(second),
        duration: ms.map(Duration::from_millis),
    };
    let ends = [end(Succeeded, 6, Some(10)), end(Failed, 7, Some(20)), end(Skipped, 5, None)];
    let ends: Vec<_> = steps.into_iter().zip(ends).collect();
    lab.store.command_end(id, false, "failed", Duration::from_secs(2), &ends).unwrap();
    assert_eq!(
        states(),
        [
            row("apply", Failed, Some(2000)),
            row("arm", Succeeded, Some(10)),
            row("mtu", Failed, Some(20)),
            row("peer", Skipped, None)
        ]
    );
    let steps = &lab.reopen().commands(&hub, 1).unwrap()[0].steps;
    assert_eq!((steps[1].started, steps[1].output.as_str()), (at(7), "said"));
    assert_eq!(steps[1].command.as_deref(), Some("ip link set dev wg0 mtu 1400"));
    assert_eq!((steps[0].parameters.as_str(), &steps[0].command), ("do arm", &None));
}

#[test]
fn a_removed_host_leaves_its_history_and_its_successor_begins_with_none() {
    let mut lab = with_hosts();
    let id = begin(&mut lab, "hub", "a", "x");
    finish(&mut lab, id, DeploymentState::Confirmed);
    lab.store.command_begin(&name("hub"), Some(id), "apply", "", &[], at(1)).unwrap();
    let counts = |lab: &Lab, host: &str| {
        let host = name(host);
        let deployed = lab.store.deployed(&host).unwrap().is_some();
        (lab.store.deployments(&host, 9).unwrap().len(), lab.store.commands(&host, 9).unwrap().len(), deployed)
    };
    assert_eq!(counts(&lab, "hub"), (1, 1, true));
    let mut renamed = host("hub");
    renamed.name = name("hub2");
    lab.write(|tx| tx.update_host(&name("hub"), &renamed)).unwrap();
    assert_eq!((counts(&lab, "hub2"), counts(&lab, "hub")), ((1, 1, true), (0, 0, false)));
    assert_eq!(lab.store.deployments(&name("hub2"), 9).unwrap()[0].host, name("hub2"));

    lab.write(|tx| tx.update_host(&name("hub2"), &host("hub"))).unwrap();
    lab.write(|tx| tx.delete_host(&name("hub"))).unwrap();
    assert_eq!(counts(&lab, "hub"), (1, 1, false));
    lab.write(|tx| tx.insert_host(&host("hub"))).unwrap();
    assert_eq!(counts(&lab, "hub"), (0, 0, false));
    assert_eq!(begin(&mut lab, "hub", "b", "y"), DeploymentId(2));
    assert_eq!(lab.store.deployments(&name("hub"), 9).unwrap()[0].version, 1);
}
