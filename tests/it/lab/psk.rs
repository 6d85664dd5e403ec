//! New preshared keys for links between hosts, while packets flow.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Mishap, PingStream, Result, Spawned, Spec};

use super::family::{Family, addressed, lab_or_skip};
use super::office::Admin;

/// How long something may take that comes about by itself, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server `h1` and two clients, each on a host.
fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host h1 internet:11\n\
     host h2 internet:12\n\
     host h3 internet:13\n"
        .parse()
        .unwrap()
}

fn admin_of(lab: &Lab) -> Result<Admin<'_>> {
    let admin = Admin::new(lab);
    admin.init_as("star", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "h1", "--endpoint", "198.51.100.11", "--ssh", "h1"]);
    for name in ["h2", "h3"] {
        admin.ok(&["add", "remote", name, "--device", "server", "--ssh", name]);
    }
    admin.deploy();
    for name in ["h2", "h3"] {
        lab.host(name).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    }
    Ok(admin)
}

/// The preshared key that a host has for another, as `wg showconf` says it.
fn key(lab: &Lab, host: &str, peer: &str) -> Result<String> {
    let public = lab.host(peer).sh("wg show wg0 public-key")?;
    let config = lab.host(host).sh("wg showconf wg0")?;
    let of = config.split("[Peer]").find(|peer| peer.contains(public.trim())).unwrap_or_else(|| panic!("{config}"));
    let key = of.lines().find_map(|line| line.strip_prefix("PresharedKey = "));
    Ok(key.unwrap_or_else(|| panic!("{of}")).to_owned())
}

/// The preshared key of a link; both ends have to have the same.
#[track_caller]
fn agreed(lab: &Lab, one: &str, other: &str) -> Result<String> {
    let (ours, theirs) = (key(lab, one, other)?, key(lab, other, one)?);
    assert_eq!(ours, theirs, "{one} and {other}");
    Ok(ours)
}

/// Makes two hosts shake hands anew, with the keys that they have now. In between they know nothing of each other: what they
/// send then is lost.
fn shakes_hands(lab: &Lab, host: &str) -> Result {
    let public = lab.host("h1").sh("wg show wg0 public-key")?;
    lab.host(host).sh(&format!(
        "wg showconf wg0 > /root/peers; sed -i '/^\\[Interface\\]/,/^$/d' /root/peers\n\
         wg set wg0 peer {} remove && wg addconf wg0 /root/peers",
        public.trim()
    ))?;
    lab.host(host).sh(&addressed("ping -n -c 1 -w 10 10.66.0.1")).map(drop)
}

fn lost_nothing(stream: PingStream, least: u64) {
    assert!(wait_until(PATIENCE, || stream.answers() > least), "{} answers", stream.answers());
    let report = stream.stop().unwrap();
    assert_eq!(report.lost, 0, "{report:?}");
}

fn link(admin: &Admin<'_>, name: &str) -> Value {
    let status = admin.json(&["psk", "status", name]);
    status["links"][0].clone()
}

#[test]
fn a_new_preshared_key_loses_no_packet_and_is_the_one_that_both_ends_shake_hands_with() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = [agreed(&lab, "h1", "h2")?, agreed(&lab, "h1", "h3")?];
    let streams =
        [lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?, lab.ping_stream("h3", &addressed("10.66.0.1"), 50)?];
    let brought = admin.json(&["psk", "rotate", "h1", "h2", "--deploy", "--yes"]);
    assert_eq!(brought["done"], serde_json::json!(["h1 – h2"]), "{brought:#}");
    let after = agreed(&lab, "h1", "h2")?;
    assert_ne!(after, before[0]);
    assert_eq!(agreed(&lab, "h1", "h3")?, before[1], "nobody else's key is another");
    for stream in streams {
        lost_nothing(stream, 50);
    }
    shakes_hands(&lab, "h2")?;
    let h2 = link(&admin, "h2");
    assert_eq!(
        (&h2["distributed"], &h2["ends"][0]["has"], &h2["ends"][1]["by"]),
        (&true.into(), &"present".into(), &"ssh".into())
    );
    let everything = admin.ok(&["psk", "status", "-v"]) + &brought.to_string() + &admin.ok(&["log", "h1", "--json"]);
    assert!(!everything.contains(&after), "the key is in no output");
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

#[test]
fn sessions_go_over_to_the_new_preshared_key_by_themselves_and_lose_no_packet() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let stream = lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?;
    let handshake = || -> Result<i64> {
        let line = lab.host("h2").sh("wg show wg0 latest-handshakes")?;
        Ok(line.split_whitespace().last().and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("{line}")))
    };
    admin.ok(&["psk", "rotate", "--all", "--deploy", "--yes"]);
    let first = handshake()?;
    // A session ends 180 s after its handshake: by then there has been one with the new key.
    let over = lab.host("h2").sh("date +%s")?.trim().parse::<i64>().unwrap() + 190;
    let lasted = wait_until(Duration::from_secs(240), || {
        lab.host("h2").sh("date +%s").is_ok_and(|now| now.trim().parse::<i64>().unwrap() > over)
    });
    assert!(lasted && handshake()? > first, "they shook hands with the new key");
    lost_nothing(stream, 5000);
    Ok(())
}

#[test]
fn when_the_second_end_cannot_be_given_the_key_the_first_gets_the_old_one_back() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = agreed(&lab, "h1", "h2")?;
    let stream = lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?;
    admin.ok(&["set", "h2", "mtu=1380"]); // goes along, and its step comes first
    lab.host("h2").at_arguments("ip", "link set dev wg0 mtu 1380", &Mishap::Fails)?;
    let output = admin.run(&["psk", "rotate", "h2", "--deploy", "--yes", "--json"]);
    lab.host("h2").put_back("ip")?;
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let brought: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(brought["taken_back"], serde_json::json!(["h1 – h2"]), "{brought:#}");
    assert_eq!(agreed(&lab, "h1", "h2")?, before);
    shakes_hands(&lab, "h3")?;
    lost_nothing(stream, 50);
    assert_eq!(link(&admin, "h2")["distributed"], true);
    let plan = admin.json(&["plan"]);
    let kinds: Vec<String> = plan["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|host| host["changes"].as_array().unwrap())
        .map(|change| change["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["mtu", "file"], "the model has the old key, too");
    Ok(())
}

/// What a host asks of wg-quick when it has been sent new files and has changed nothing yet. As long as that isn't answered it
/// has no watchdog, and the program waits for so long as a deploy may take at all.
const CHECK: &str = "strip /run/wg-friend/deploy/new/wg0.conf";

/// Lets a host hang at that moment, until [`let_go`].
fn hold(lab: &Lab, host: &str) -> Result {
    lab.host(host).at_arguments("wg-quick", CHECK, &Mishap::Hangs)
}

/// Lets what hangs on a host fail, and whatever comes go well. Nothing of it was changed.
fn let_go(lab: &Lab, host: &str) -> Result {
    lab.host(host).put_back("wg-quick")?;
    lab.host(host).let_go()
}

/// Waits until one host has its new key for good, as the program has noted, and the other hangs with the one of before.
#[track_caller]
fn between_the_two_ends(lab: &Lab, admin: &Admin<'_>) {
    let torn = wait_until(PATIENCE, || lab.host("h2").hangs() && !link(admin, "h2")["holds_until"].is_null());
    assert!(torn, "{:#}", link(admin, "h2"));
}

fn start(admin: &Admin<'_>, arguments: &[&str]) -> Result<Spawned> {
    Spawned::start(admin.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn killed_between_the_two_ends_the_next_run_brings_the_same_key_to_the_other() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = agreed(&lab, "h1", "h2")?;
    let stream = lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?;
    hold(&lab, "h2")?;
    let rotate = ["psk", "rotate", "h1", "h2", "--deploy", "--yes"];
    let mut program = start(&admin, &rotate)?;
    between_the_two_ends(&lab, &admin);
    program.signal(Signal::KILL);
    program.child().wait()?;
    let_go(&lab, "h2")?;
    let new = key(&lab, "h1", "h2")?;
    assert!(new != before && key(&lab, "h2", "h1")? == before);

    // The other host may still be giving up what it was sent, and may then be changed again.
    let mut last = String::new();
    let done = wait_until(PATIENCE, || {
        let output = admin.run(&rotate);
        last = output.stdout + &output.stderr;
        output.status == 0
    });
    assert!(done, "{last}");
    assert_eq!(agreed(&lab, "h1", "h2")?, new, "no further key was made");
    assert!(link(&admin, "h2")["holds_until"].is_null());
    lost_nothing(stream, 50);
    shakes_hands(&lab, "h2")
}

#[test]
fn asked_to_end_between_the_two_ends_the_first_gets_the_key_of_before_again() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = agreed(&lab, "h1", "h2")?;
    let stream = lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?;
    // One host after the other; whichever is first waits at a gate.
    let settings = tempfile::NamedTempFile::new()?;
    std::fs::write(settings.path(), "parallel = 1\n")?;
    for host in ["h1", "h2"] {
        let gate = "touch /run/at-the-gate; while [ ! -e /run/gate-is-open ]; do sleep 0.1; done";
        lab.host(host).at_arguments("wg-quick", CHECK, &Mishap::First(gate.to_owned()))?;
    }
    let config = settings.path().display().to_string();
    let mut program =
        start(&admin, &["--config", &config, "psk", "rotate", "h1", "h2", "--deploy", "--yes", "--json"])?;
    let at_the_gate = |host| lab.host(host).run("test -e /run/at-the-gate").is_ok_and(|found| found.success());
    assert!(wait_until(PATIENCE, || at_the_gate("h1") || at_the_gate("h2")), "a host was begun with");
    program.signal(Signal::INT);
    let mut said = BufReader::new(program.child().stderr.take().expect("it is piped")).lines();
    let heard = said.find_map(|line| line.ok().filter(|line| line.contains("no further host is begun")));
    assert!(heard.is_some(), "it has heard that it is to end");
    assert!(at_the_gate("h1") != at_the_gate("h2"), "only one host was begun with");
    for host in ["h1", "h2"] {
        lab.host(host).sh("touch /run/gate-is-open")?;
    }
    let output = program.finish()?;
    assert_eq!(output.status, 4, "{}", output.stdout);
    let brought: Value = serde_json::from_str(&output.stdout).unwrap();
    let ends: Vec<&str> = brought["hosts"].as_array().unwrap().iter().filter_map(|h| h["outcome"].as_str()).collect();
    assert_eq!(brought["taken_back"], serde_json::json!(["h1 – h2"]), "{brought:#}");
    assert!(ends.contains(&"not_begun") && ends.iter().filter(|end| **end == "confirmed").count() == 2, "{brought:#}");
    assert_eq!(agreed(&lab, "h1", "h2")?, before);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0, "the model has the key of before, too");
    lost_nothing(stream, 50);
    shakes_hands(&lab, "h2")
}

#[test]
fn a_taking_back_that_fails_is_told_with_the_command_that_mends_it_while_the_link_still_holds() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = agreed(&lab, "h1", "h2")?;
    let stream = lab.ping_stream("h2", &addressed("10.66.0.1"), 50)?;
    hold(&lab, "h2")?;
    let program = start(&admin, &["psk", "rotate", "h1", "h2", "--deploy", "--yes", "--json"])?;
    between_the_two_ends(&lab, &admin);
    // From now on the host that has the new key takes no other, and then the other one fails.
    lab.host("h1").at_arguments("wg-quick", CHECK, &Mishap::Fails)?;
    let_go(&lab, "h2")?;
    let output = program.finish()?;
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let brought: Value = serde_json::from_str(&output.stdout).unwrap();
    let torn = &brought["torn"][0];
    assert_eq!(
        (&torn["link"], &torn["hosts"], &brought["taken_back"], &brought["done"]),
        (&"h1 – h2".into(), &serde_json::json!(["h1", "h2"]), &serde_json::json!([]), &serde_json::json!([])),
        "{brought:#}"
    );
    assert!(torn["holds_until"].is_string(), "{brought:#}");
    assert!(key(&lab, "h1", "h2")? != before && key(&lab, "h2", "h1")? == before);
    let text = admin.ok(&["psk", "status", "h2"]);
    assert!(text.contains("its ends have different keys, so it holds until"), "{text}");

    lab.host("h1").put_back("wg-quick")?;
    admin.ok(&["deploy", "h1", "h2", "--yes"]);
    assert_eq!(agreed(&lab, "h1", "h2")?, before, "the model had it back already");
    assert!(link(&admin, "h2")["holds_until"].is_null());
    lost_nothing(stream, 50);
    shakes_hands(&lab, "h2")
}

#[test]
fn a_link_of_which_a_host_gives_no_answer_keeps_its_key_and_the_others_get_theirs() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab)?;
    let before = [agreed(&lab, "h1", "h2")?, agreed(&lab, "h1", "h3")?];
    lab.host("h2").stop_sshd()?;
    let output = admin.run(&["psk", "rotate", "--all", "--deploy", "--yes", "--json", "--host-timeout", "20"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let brought: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&brought["left"], &brought["done"]),
        (&serde_json::json!(["h1 – h2"]), &serde_json::json!(["h1 – h3"]))
    );
    assert_eq!(agreed(&lab, "h1", "h2")?, before[0]);
    assert_ne!(agreed(&lab, "h1", "h3")?, before[1]);

    // The same holds for a deploy of whatever the model says: one end alone gets nothing.
    admin.ok(&["psk", "rotate", "h1", "h2"]);
    admin.ok(&["set", "h1", "mtu=1400"]);
    let output = admin.run(&["deploy", "h1", "--yes"]);
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    let text = output.stdout + &output.stderr;
    assert!(text.contains("the preshared key for `h2` stays as it is"), "{text}");
    assert!(lab.host("h1").sh("ip link show wg0")?.contains("mtu 1400"), "all else was done");
    assert_eq!(agreed(&lab, "h1", "h2")?, before[0]);
    lab.host("h2").start_sshd()?;
    admin.deploy();
    assert_ne!(agreed(&lab, "h1", "h2")?, before[0]);
    shakes_hands(&lab, "h2")
}

/// A server and a device that uses its file.
fn with_a_device(lab: &Lab) -> Result<Admin<'_>> {
    let admin = Admin::new(lab);
    admin.init_as("star", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "h1", "--endpoint", "198.51.100.11", "--ssh", "h1"]);
    admin.ok(&["add", "remote", "h3"]);
    admin.deploy();
    takes_its_file(&admin)?;
    Ok(admin)
}

/// Gives the device its file, and has it use that.
fn takes_its_file(admin: &Admin<'_>) -> Result {
    admin.hand_out("h3", str::to_owned)?;
    admin.lab.host("h3").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1")).map(drop)
}

#[test]
fn a_device_goes_over_to_its_next_preshared_key_when_it_uses_its_next_file() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = with_a_device(&lab)?;
    let before = agreed(&lab, "h1", "h3")?;
    let stream = lab.ping_stream("h3", &addressed("10.66.0.1"), 50)?;
    admin.ok(&["psk", "rotate", "h3"]);
    let too_early = admin.run(&["generate", "h3"]).stderr;
    assert!(too_early.contains("doesn't work yet") && too_early.contains("`wg-friend deploy h1`"), "{too_early}");
    admin.deploy();
    lost_nothing(stream, 50);
    shakes_hands(&lab, "h3")?;
    assert_eq!(key(&lab, "h3", "h1")?, before, "the file that it has is still good");
    assert_eq!(admin.run(&["generate", "h3", "--quiet"]).stderr, "", "the next one is, too");

    takes_its_file(&admin)?;
    let after = agreed(&lab, "h1", "h3")?;
    assert_ne!(after, before);
    admin.json(&["plan"]); // sees that it is used
    let h3 = link(&admin, "h3");
    assert_eq!((&h3["distributed"], &h3["ends"][1]["by"]), (&true.into(), &"manual".into()), "{h3:#}");
    Ok(())
}

#[test]
fn one_command_makes_a_device_its_next_preshared_key_and_tells_its_host() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = with_a_device(&lab)?;
    let before = agreed(&lab, "h1", "h3")?;
    let stream = lab.ping_stream("h3", &addressed("10.66.0.1"), 50)?;
    let output = admin.run(&["psk", "rotate", "h3", "--deploy", "--yes", "--json"]);
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    let brought: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&brought["next"], &brought["untold"], &brought["hosts"][0]["host"]),
        (&serde_json::json!(["h1 – h3"]), &serde_json::json!([]), &"h1".into()),
        "{brought:#}"
    );
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0, "the host has been told");
    lost_nothing(stream, 50);
    shakes_hands(&lab, "h3")?;
    assert_eq!(key(&lab, "h3", "h1")?, before, "the file that it has is still good");
    takes_its_file(&admin)?;
    assert_ne!(agreed(&lab, "h1", "h3")?, before);
    Ok(())
}
