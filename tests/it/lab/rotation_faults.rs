//! What goes wrong in the middle of a rotation: traffic flows all the same, and the next deploy brings it to its end.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Host, Lab, Mishap, Result, Spawned};

use super::family::lab_or_skip;
use super::office::Admin;
use super::rotation::{CAROL, Flow, Flows, is_complete, key, make, peers, runs_with, spec, under_way};

/// How a host is given its next key.
const SET_KEY: &str = "set wg0 private-key /run/wg-friend/deploy/strip/wg0.key";
/// How long things may take that happen by themselves.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn start_deploy(admin: &Admin<'_>) -> Result<Spawned> {
    let mut command = admin.command(&["deploy", "--yes", "--confirm-timeout", "5", "--host-timeout", "10"]);
    Spawned::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

/// Whether a host is in the middle of a deploy.
pub(super) fn is_being_changed(host: &Host<'_>) -> bool {
    host.run("test -e /run/wg-friend/deploy").is_ok_and(|there| there.success())
}

/// Whether the server's interface knows a peer, and has nothing left to confirm.
fn hub_knows(lab: &Lab, key: &str) -> bool {
    !is_being_changed(&lab.host("hub"))
        && peers(lab, "hub", "wg0").is_ok_and(|known| known.iter().any(|known| known == key))
}

/// Deploys until it is done: a host may still be taking back what nobody confirmed.
#[track_caller]
pub(super) fn deploy_at_last(admin: &Admin<'_>) {
    let mut last = String::new();
    let done = wait_until(PATIENCE, || {
        let output = admin.run(&["deploy", "--yes"]);
        last = output.stdout + &output.stderr;
        output.status == 0
    });
    assert!(done, "{last}");
}

/// The next deploy gives router-a its next key for good; meanwhile a packet is lost at most on its link, and none elsewhere.
#[track_caller]
fn is_finished_by_the_next_deploy(lab: &Lab, admin: &Admin<'_>, before: &str, next: &str) -> Result {
    let flows = Flows::start(lab, &[Flow::Router, Flow::Exit, CAROL])?;
    deploy_at_last(admin);
    flows.lost_at_most_one(Flow::Router);
    is_complete(admin, "router-a", before, next, "yearly");
    Ok(())
}

#[test]
fn a_host_that_takes_its_next_key_back_is_heard_by_the_one_before_and_the_next_deploy_finishes() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let router = lab.host("router-a");
    let before = runs_with(&lab, "router-a")?;
    // The next key comes with a preshared key, and both go back together.
    admin.ok(&["psk", "policy", "--on", "key_rotation"]);
    admin.ok(&["rotate", "router-a", "--reason", "yearly"]);
    let next = key(&admin, "router-a", "staged");
    // From the moment when it gets the key nobody gets an answer from it, nor can confirm anything.
    router.at_arguments("wg", SET_KEY, &Mishap::First("pkill -STOP '^sshd'".into()))?;
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, CAROL])?;
    let mut deploy = start_deploy(&admin)?;
    let came = wait_until(PATIENCE, || runs_with(&lab, "router-a").is_ok_and(|key| key == next));
    let went = wait_until(PATIENCE, || runs_with(&lab, "router-a").is_ok_and(|key| key == before));
    router.put_back("wg")?;
    router.sh("pkill -CONT '^sshd'")?;
    assert!(came && went, "it came: {came}, and went: {went}");
    assert!(!deploy.child().wait()?.success());
    // It flows again before anybody does anything.
    let pc = lab.host("pc-a").address();
    lab.host("hub").sh(&format!("ping -n -c 5 -i 0.2 -w 10 {pc}"))?;
    let report = flows.stop(Flow::Router);
    // Whoever goes back is heard when its handshake is complete, which the server looks for once a second.
    assert!(report.lost <= 2 * 50, "{report:?}");
    assert_eq!(key(&admin, "router-a", "active"), before);
    assert_eq!(under_way(&admin, "router-a")["peers"][0]["knows"], "both");

    is_finished_by_the_next_deploy(&lab, &admin, &before, &next)
}

#[test]
fn killed_when_the_server_knows_the_next_key_and_the_host_does_not_have_it_nothing_is_lost() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let router = lab.host("router-a");
    let before = runs_with(&lab, "router-a")?;
    admin.ok(&["rotate", "router-a", "--reason", "yearly"]);
    let next = key(&admin, "router-a", "staged");
    router.at_arguments("wg", SET_KEY, &Mishap::Hangs)?;
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, CAROL])?;
    let mut deploy = start_deploy(&admin)?;
    let told = wait_until(PATIENCE, || hub_knows(&lab, &next) && router.hangs());
    deploy.signal(Signal::KILL);
    deploy.child().wait()?;
    assert!(told, "{:?}", lab.host("hub").run("wg show wg0"));
    assert_eq!(runs_with(&lab, "router-a")?, before);
    router.put_back("wg")?;
    let as_before = wait_until(PATIENCE, || !is_being_changed(&router));
    assert!(as_before, "{:?}", router.run("ls /run/wg-friend/deploy"));
    // What hung is over: the host has its old key, and the server hears it by that.
    assert_eq!(runs_with(&lab, "router-a")?, before);
    flows.lost_nothing();
    assert_eq!(under_way(&admin, "router-a")["peers"][0]["knows"], "both");

    is_finished_by_the_next_deploy(&lab, &admin, &before, &next)
}

#[test]
fn when_the_server_alone_is_deployed_the_host_keeps_its_key_until_the_next_deploy() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let before = runs_with(&lab, "router-a")?;
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, CAROL])?;
    admin.ok(&["rotate", "router-a", "--reason", "yearly"]);
    let next = key(&admin, "router-a", "staged");
    admin.ok(&["deploy", "hub", "--yes"]);
    let status = under_way(&admin, "router-a");
    assert_eq!((&status["waits_for"], &status["peers"][0]["knows"]), (&"deploy".into(), &"both".into()), "{status:#}");
    assert_eq!(runs_with(&lab, "router-a")?, before);
    flows.lost_nothing();

    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, CAROL])?;
    admin.deploy();
    flows.lost_at_most_one(Flow::Router);
    is_complete(&admin, "router-a", &before, &next, "yearly");
    Ok(())
}
