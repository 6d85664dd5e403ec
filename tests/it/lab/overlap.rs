//! A server that devices dial gets another key: for a while it is dialled by both, and each device moves when it has its new
//! file.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Mishap, Result};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;
use super::rotation::{BOB, CAROL, Flow, Flows, key, keys, long, make, runs_with, spec, take_new_file};
use super::rotation_faults::{PATIENCE, deploy_at_last, is_being_changed, start_deploy};

const ALL: [Flow; 4] = [Flow::Router, Flow::Exit, BOB, CAROL];

/// The rotation of the server's own interface that is under way, as `rotate --status` tells it.
fn under_way(admin: &Admin<'_>) -> Value {
    let status = admin.json(&["rotate", "hub", "--status"]);
    let all = status["rotations"].as_array().unwrap();
    all.iter().find(|rotation| rotation["interface"] == "wg0").unwrap_or(&Value::Null).clone()
}

/// Who goes by the next key of the server.
fn moved(admin: &Admin<'_>) -> Vec<String> {
    let rotation = under_way(admin);
    let peers = rotation["overlap"]["peers"].as_array().cloned().unwrap_or_default();
    let moved = peers.iter().filter(|peer| peer["moved"] == true);
    moved.map(|peer| peer["node"].as_str().unwrap().to_owned()).collect()
}

/// Waits until these, and nobody else, go by the next key of the server.
#[track_caller]
fn moves(admin: &Admin<'_>, nodes: &[&str]) {
    let all = || moved(admin) == nodes;
    assert!(wait_until(Duration::from_secs(60), all), "{:#}\n{:?}", under_way(admin), admin.lab.host("hub").run("wg"));
}

/// Waits until nobody goes by the present key of the server.
#[track_caller]
fn all_have_moved(admin: &Admin<'_>) {
    let is_over = || under_way(admin)["overlap"]["over"] == true;
    assert!(wait_until(Duration::from_secs(60), is_over), "{:#}", under_way(admin));
}

/// Runs a command that works, and returns what it says to people.
#[track_caller]
fn says(admin: &Admin<'_>, arguments: &[&str]) -> String {
    let output = admin.run(arguments);
    assert_eq!(output.status, 0, "{arguments:?}: {}", output.stderr);
    output.stderr + &output.stdout
}

fn begin<'a>(lab: &'a Lab, admin: &Admin<'a>) -> Result<(String, String)> {
    let before = runs_with(lab, "hub")?;
    let said = says(admin, &["rotate", "hub", "--reason", "yearly"]);
    assert!(said.contains("UDP port 51822"), "{said}");
    let next = key(admin, "hub", "staged");
    admin.deploy();
    moves(admin, &["router-a"]);
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(runs_with(lab, "hub")?, before);
    Ok((before, next))
}

/// Waits for the next second: handshakes are told by it.
fn next_second(lab: &Lab) {
    let clock = || lab.host("hub").sh("date +%s").unwrap();
    let now = clock();
    assert!(wait_until(Duration::from_secs(10), || clock() != now));
}

/// The devices that need a new file.
fn need_files(admin: &Admin<'_>) -> Vec<String> {
    let handouts = admin.json(&["handouts"]);
    let outdated = handouts["devices"].as_array().unwrap().iter().filter(|device| device["state"] == "outdated");
    outdated.map(|device| device["node"].as_str().unwrap().to_owned()).collect()
}

/// Nothing of two keys is left on the server.
#[track_caller]
fn nothing_is_left(admin: &Admin<'_>) {
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(admin.json(&["rotate", "--status"])["rotations"], serde_json::json!([]));
    let left = "ls -d /etc/wireguard/*-next* /sys/class/net/*-next /run/wg-friend/*-next* 2>/dev/null; \
                nft list ruleset | grep next; pgrep -af 'wgf-moving|nft monitor' | grep -v pgrep";
    assert_eq!(admin.lab.host("hub").run(left).unwrap().stdout, "");
}

#[test]
fn a_server_is_dialled_by_both_keys_until_the_last_device_has_its_new_file() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let flows = Flows::start(&lab, &ALL)?;
    let (before, next) = begin(&lab, &admin)?;
    // The exit's tunnel on the server has got its next key at once.
    flows.lost_at_most_one_each(&[Flow::Router, Flow::Exit]);
    assert_eq!(under_way(&admin)["waits_for"], "devices");
    assert_eq!(need_files(&admin), ["bob", "carol"]);

    let flows = Flows::start(&lab, &ALL)?;
    take_new_file(&admin, "bob")?;
    moves(&admin, &["bob", "router-a"]);
    flows.go_on();
    flows.lost_at_most_one_each(&[BOB, Flow::Exit]);
    admin.ok(&["plan", "--exit-code"]);
    let live = admin.json(&["status", "--live"]);
    let up = live["links"].as_array().unwrap().iter().filter(|link| link["state"] == "connected");
    assert_eq!(up.count(), 4, "{live:#}");

    // Somebody switches the old tunnel on once more, and then the new one.
    let file = admin.lab.host("bob").sh("cat /etc/wireguard/wg0.conf")?;
    let old = file.replace(&next, &before).replace(":51822", ":51820");
    assert_ne!(file, old);
    let switch = |file: &str| -> Result {
        let host = lab.host("bob");
        host.write("/etc/wireguard/wg0.conf", file)?;
        host.sh("wg-quick strip wg0 > /root/next && wg syncconf wg0 /root/next && rm /root/next").map(drop)
    };
    next_second(&lab);
    switch(&old)?;
    moves(&admin, &["router-a"]);
    next_second(&lab);
    switch(&file)?;
    moves(&admin, &["bob", "router-a"]);

    // The server starts anew, whichever of its interfaces comes up first.
    lab.host("hub").sh("wg-quick down wg0; wg-quick up wg0")?;
    moves(&admin, &["bob", "router-a"]);
    for device in ["bob", "carol"] {
        lab.host(device).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    }
    let flows = Flows::start(&lab, &ALL)?;
    flows.go_on();
    flows.lost_nothing();

    take_new_file(&admin, "carol")?;
    all_have_moved(&admin);
    let second = lab.host("hub").sh("cat /etc/wireguard/wg0-next.conf")?;
    let flows = Flows::start(&lab, &ALL)?;
    admin.deploy();
    flows.go_on();
    flows.lost_at_most_one_each(&ALL);
    assert_eq!(runs_with(&lab, "hub")?, next);
    assert_eq!(lab.host("hub").sh("wg show wg0 listen-port")?, "51822");
    assert_eq!(key(&admin, "hub", "active"), next);
    assert!(keys(&admin, "hub", "retired").contains(&(before, "yearly".to_owned())));
    nothing_is_left(&admin);
    assert_eq!(need_files(&admin), [""; 0], "nobody needs another file for that");

    // A power cut while the files were put in place may have left both: then only one of them comes up.
    let hub = lab.host("hub");
    hub.write("/etc/wireguard/wg0-next.conf", second)?;
    hub.sh("wg-quick down wg0")?;
    let tried = hub.run("wg-quick up wg0-next")?;
    assert!(!tried.success() && tried.stderr.contains("51822"), "{tried:?}");
    hub.sh("wg-quick up wg0")?;
    assert_eq!(runs_with(&lab, "hub")?, next);
    hub.sh("rm /etc/wireguard/wg0-next.conf")?;
    Ok(())
}

#[test]
fn a_deploy_that_dies_while_the_next_key_takes_the_place_of_the_present_one_is_taken_back_and_made_again() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    admin.ok(&["psk", "policy", "--on", "key_rotation"]);
    let (before, next) = begin(&lab, &admin)?;
    take_new_file(&admin, "bob")?;
    take_new_file(&admin, "carol")?;
    all_have_moved(&admin);
    let hub = lab.host("hub");
    // From the moment when the first interface gets the key nobody gets an answer from it.
    let set = "set wg0 listen-port 51822 private-key /run/wg-friend/deploy/strip/wg0.key";
    hub.at_arguments("wg", set, &Mishap::First("pkill -STOP '^sshd'".into()))?;
    let flows = Flows::start(&lab, &ALL)?;
    let mut deploy = start_deploy(&admin)?;
    let came = wait_until(PATIENCE, || runs_with(&lab, "hub").is_ok_and(|key| key == next));
    deploy.signal(Signal::KILL);
    deploy.child().wait()?;
    let second = || hub.sh("wg show wg0-next public-key").is_ok_and(|key| key == next);
    let went = wait_until(PATIENCE, || runs_with(&lab, "hub").is_ok_and(|key| key == before) && second());
    hub.put_back("wg")?;
    hub.sh("pkill -CONT '^sshd'")?;
    assert!(came && went, "it came: {came}, and went: {went}");
    assert!(wait_until(PATIENCE, || !is_being_changed(&hub)));
    // It flows again before anybody does anything.
    flows.go_on();
    flows.lost_at_most(if long() { 5 * 50 } else { 10 * 50 }, &ALL);
    assert_eq!(key(&admin, "hub", "active"), before);

    let flows = Flows::start(&lab, &ALL)?;
    deploy_at_last(&admin);
    flows.go_on();
    flows.lost_at_most_one_each(&ALL);
    assert_eq!(runs_with(&lab, "hub")?, next);
    assert_eq!(key(&admin, "hub", "active"), next);
    nothing_is_left(&admin);
    Ok(())
}

#[test]
fn the_next_key_of_a_server_is_taken_back_while_somebody_goes_by_it_already() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let (before, _) = begin(&lab, &admin)?;
    let old = lab.host("bob").sh("cat /etc/wireguard/wg0.conf")?;
    take_new_file(&admin, "bob")?;
    moves(&admin, &["bob", "router-a"]);
    let said = says(&admin, &["rotate", "hub", "--abort", "--yes"]);
    assert!(said.contains("`bob`"), "{said}");
    let flows = Flows::start(&lab, &[CAROL])?;
    admin.deploy();
    flows.go_on();
    flows.lost_nothing();
    lab.host("bob").write("/etc/wireguard/wg0.conf", old)?;
    lab.host("bob").sh("wg-quick strip wg0 > /root/next && wg syncconf wg0 /root/next && rm /root/next")?;
    let flows = Flows::start(&lab, &[Flow::Router, BOB, CAROL])?;
    flows.go_on();
    flows.lost_nothing();
    assert_eq!(runs_with(&lab, "hub")?, before);
    nothing_is_left(&admin);
    Ok(())
}

#[test]
fn the_present_key_of_a_server_ends_when_somebody_says_so_and_who_has_not_moved_is_named() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    // Its links get other preshared keys, too.
    admin.ok(&["psk", "policy", "--on", "key_rotation"]);
    let (_, next) = begin(&lab, &admin)?;
    take_new_file(&admin, "bob")?;
    moves(&admin, &["bob", "router-a"]);
    let said = says(&admin, &["rotate", "hub", "--finish"]);
    assert!(said.contains("`carol`") && !said.contains("`bob`"), "{said}");
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, BOB])?;
    admin.deploy();
    flows.go_on();
    flows.lost_at_most_one_each(&[Flow::Router, Flow::Exit, BOB]);
    assert_eq!(runs_with(&lab, "hub")?, next);
    nothing_is_left(&admin);
    // Another time it goes back to the port from which it came.
    take_new_file(&admin, "carol")?;
    let said = says(&admin, &["rotate", "hub", "--until", "60d"]);
    assert!(said.contains("UDP port 51820"), "{said}");
    Ok(())
}

#[test]
fn a_server_whose_host_keeps_its_key_is_dialled_by_two_as_well() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    admin.ok(&["interface", "key", "hub", "wg0", "--make-on-host"]);
    admin.deploy();
    for device in ["bob", "carol"] {
        take_new_file(&admin, device)?;
    }
    let hub = lab.host("hub");
    let files = || hub.sh("ls /etc/wireguard | grep -c '[.]key$'").unwrap();
    // Its uplink's key is made here.
    assert_eq!(files(), "1");

    // Withdrawn, the key goes with what ran by it.
    begin(&lab, &admin)?;
    assert_eq!(files(), "2");
    admin.ok(&["rotate", "hub", "--abort"]);
    admin.deploy();
    assert_eq!(files(), "1");
    admin.ok(&["plan", "--exit-code"]);

    let flows = Flows::start(&lab, &ALL)?;
    let (before, next) = begin(&lab, &admin)?;
    flows.lost_at_most_one_each(&[Flow::Router, Flow::Exit]);
    for device in ["bob", "carol"] {
        take_new_file(&admin, device)?;
    }
    all_have_moved(&admin);
    let flows = Flows::start(&lab, &ALL)?;
    admin.deploy();
    flows.go_on();
    flows.lost_at_most_one_each(&ALL);
    assert_eq!(runs_with(&lab, "hub")?, next);
    assert!(keys(&admin, "hub", "retired").contains(&(before, "yearly".to_owned())));
    assert_eq!(files(), "1");
    assert_eq!(admin.json(&["interface", "key", "hub", "wg0"])["custody"], "never_seen");
    nothing_is_left(&admin);
    hub.sh("wg-quick down wg0; wg-quick up wg0")?;
    assert_eq!(runs_with(&lab, "hub")?, next);
    lab.host("bob").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    Ok(())
}
