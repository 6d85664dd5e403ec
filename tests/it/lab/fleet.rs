//! Many hosts at once: who goes before whom, hosts that hang, an end that is asked for, and a program that is killed at
//! any moment.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use wg_friend::db::Database;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Mishap, Result, Snapshot, Spawned, Spec};

use super::family::{Family, addressed, lab_or_skip};
use super::office::Admin;

/// A server `h1` and as many clients as it takes to make `count` hosts.
fn star(count: usize) -> Spec {
    let hosts: String = (1..=count).map(|n| format!("host h{n} internet:{}\n", n + 10)).collect();
    format!("network internet 198.51.100.0/24 2001:db8:51::/64 routed\nhost ctl internet:2 controller\n{hosts}")
        .parse()
        .unwrap()
}

fn admin_of(lab: &Lab, count: usize) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init_as("star", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "h1", "--endpoint", "198.51.100.11", "--ssh", "h1"]);
    for n in 2..=count {
        let name = format!("h{n}");
        admin.ok(&["add", "remote", &name, "--device", "server", "--ssh", &name]);
    }
    admin
}

/// How it ended on each host.
fn outcomes(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}: {report}"));
    let hosts = report["hosts"].as_array().unwrap().iter();
    hosts.map(|h| (h["host"].as_str().unwrap().to_owned(), h["outcome"].as_str().unwrap().to_owned())).collect()
}

fn ended(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(host, outcome)| ((*host).to_owned(), (*outcome).to_owned())).collect()
}

fn everything_is_as_it_should_be(admin: &Admin<'_>) {
    let plan = admin.run(&["plan", "--exit-code"]);
    assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
}

#[test]
fn a_client_with_a_new_key_waits_for_its_server_and_stays_as_it_is_when_that_fails() -> Result {
    let lab = lab_or_skip!(star(3));
    let admin = admin_of(&lab, 3);
    admin.deploy();
    admin.ok(&["rotate", "h2", "--now"]);
    admin.ok(&["set", "h3", "mtu=1400"]);
    let before = lab.host("h2").snapshot()?.without("wg endpoints");
    lab.host("h1").stop_sshd()?;
    let output = admin.run(&["deploy", "--yes", "--json", "--host-timeout", "20"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert_eq!(outcomes(&output.stdout), ended(&[("h1", "failed"), ("h2", "held_back"), ("h3", "confirmed")]));
    assert!(output.stdout.contains("has_to_learn"), "{}", output.stdout);
    assert_eq!(lab.host("h2").snapshot()?.without("wg endpoints").diff(&before), "");

    lab.host("h1").start_sshd()?;
    admin.deploy();
    // Its server knew the new key before it came, so it never had to wait for another try.
    lab.host("h2").sh(&addressed("ping -n -c 1 -w 10 10.66.0.1"))?;
    everything_is_as_it_should_be(&admin);
    let log = |host: &str| {
        let log = admin.json(&["log", host, "--limit", "9"]);
        let commands = log["commands"].as_array().unwrap().clone();
        let of = |kind: &str| commands.iter().rev().find(|c| c["kind"] == kind).unwrap()["started"].to_string();
        (of("apply"), of("commit"))
    };
    assert!(log("h1").1 <= log("h2").0, "the server had confirmed before its client was changed");

    // A server's own new key: its clients learn of it first, and it then shows that it reaches them.
    admin.ok(&["rotate", "h1", "--now"]);
    admin.deploy();
    assert!(log("h2").1 <= log("h1").0 && log("h3").1 <= log("h1").0);
    lab.host("h3").sh(&addressed("ping -n -c 1 -w 20 10.66.0.1"))?;
    everything_is_as_it_should_be(&admin);
    Ok(())
}

#[test]
fn after_a_failure_nobody_else_is_begun_when_that_is_wanted() -> Result {
    let lab = lab_or_skip!(star(3));
    let admin = admin_of(&lab, 3);
    lab.host("h1").at_call("wg-quick", 2, &Mishap::Fails)?; // the first call reads the new file
    let output = admin.run(&["deploy", "--yes", "--json", "--stop-on-failure", "--parallel", "1"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert_eq!(outcomes(&output.stdout), ended(&[("h1", "reverted"), ("h2", "held_back"), ("h3", "held_back")]));
    lab.host("h1").put_back("wg-quick")?;
    admin.ok(&["deploy", "--yes", "--stop-on-failure"]);
    everything_is_as_it_should_be(&admin);
    Ok(())
}

#[test]
fn a_host_that_hangs_is_given_up_and_the_others_do_not_wait_for_it_to_come_back() -> Result {
    let lab = lab_or_skip!(star(4));
    let admin = admin_of(&lab, 4);
    admin.deploy();
    admin.ok(&["network", "set", "mtu=1400"]);
    // One accepts connections and says nothing; one lets in and then hangs; the third is well.
    lab.host("h2").sh("pkill -STOP -x sshd")?;
    let before = lab.host("h2").snapshot()?.without("wg endpoints");
    lab.host("h3").at_call("wg", 1, &Mishap::Hangs)?;
    let begun = Instant::now();
    let output = admin.run(&["deploy", "--yes", "--json", "--host-timeout", "20"]);
    let took = begun.elapsed();
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let expected = [("h1", "confirmed"), ("h2", "failed"), ("h3", "failed"), ("h4", "confirmed")];
    assert_eq!(outcomes(&output.stdout), ended(&expected), "{}", output.stdout);
    assert!(output.stdout.contains("did not answer within 20 s"), "{}", output.stdout);
    assert!(took < Duration::from_secs(90), "{took:?}");
    lab.host("h2").sh("pkill -CONT -x sshd")?;
    assert_eq!(lab.host("h2").snapshot()?.without("wg endpoints").diff(&before), "");
    lab.host("h3").put_back("wg")?;
    admin.deploy();

    // One that hangs in the middle of its change is left to its watchdog.
    admin.ok(&["network", "set", "mtu=1380"]);
    let before = lab.host("h2").snapshot()?.without("wg endpoints");
    lab.host("h2").at_arguments("ip", "link set dev wg0 mtu 1380", &Mishap::First("pkill -STOP '^sshd'".into()))?;
    let output = admin.run(&["deploy", "--yes", "--json", "--host-timeout", "20", "--confirm-timeout", "15"]);
    lab.host("h2").sh("pkill -CONT '^sshd'")?;
    lab.host("h2").put_back("ip")?;
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let expected = [("h1", "confirmed"), ("h2", "out_of_sight"), ("h3", "confirmed"), ("h4", "confirmed")];
    assert_eq!(outcomes(&output.stdout), ended(&expected), "{}", output.stdout);
    let is_back = || lab.host("h2").snapshot().unwrap().without("wg endpoints").diff(&before).is_empty();
    assert!(wait_until(Duration::from_secs(60), is_back), "{}", lab.host("h2").snapshot()?.diff(&before));
    admin.deploy();
    everything_is_as_it_should_be(&admin);
    Ok(())
}

#[test]
fn an_end_that_is_asked_for_leaves_no_host_in_between() -> Result {
    let lab = lab_or_skip!(star(4));
    let admin = admin_of(&lab, 4);
    // The first host takes its time, so that the end comes while it works and the others wait.
    lab.host("h1").at_call("wg-quick", 2, &Mishap::First("sleep 10".into()))?;
    let mut command = admin.command(&["deploy", "--yes", "--json", "--parallel", "1"]);
    let mut deploy = Spawned::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let at_work = || lab.host("h1").run("test -e /run/wg-friend/deploy/at").unwrap().success();
    assert!(wait_until(Duration::from_secs(60), at_work), "the deploy has not begun");
    interrupt(&deploy);
    assert!(!deploy.ended());
    let output = deploy.finish()?;
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let expected = [("h1", "confirmed"), ("h2", "not_begun"), ("h3", "not_begun"), ("h4", "not_begun")];
    assert_eq!(outcomes(&output.stdout), ended(&expected), "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("stopping: no further host is begun"), "{}", output.stderr);
    lab.host("h1").put_back("wg-quick")?;
    admin.deploy();
    everything_is_as_it_should_be(&admin);

    // What isn't as intended yet is taken back, not waited for: here nobody hears the server's new key.
    admin.ok(&["rotate", "h1", "--now"]);
    lab.host("h3").sh(&addressed("ping -n -c 1 -w 20 10.66.0.1"))?;
    lab.drop_packets("h1", "udp dport 51820")?;
    let before = lab.host("h1").snapshot()?.without("wg endpoints");
    let mut command = admin.command(&["deploy", "h1", "--yes", "--json"]);
    let deploy = Spawned::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    assert!(wait_until(Duration::from_secs(60), at_work), "the deploy has not begun");
    let begun = Instant::now();
    interrupt(&deploy);
    let output = deploy.finish()?;
    assert_eq!(outcomes(&output.stdout), ended(&[("h1", "reverted")]), "{}{}", output.stdout, output.stderr);
    assert!(begun.elapsed() < Duration::from_secs(40), "it did not wait for its time to be over");
    assert_eq!(lab.host("h1").snapshot()?.without("wg endpoints").diff(&before), "");
    Ok(())
}

/// Does what Ctrl-C does.
fn interrupt(program: &Spawned) {
    program.signal(Signal::INT);
}

/// Starts a deploy of everything. Returns it and how long it took until the first host was begun, if that came first.
fn begun(admin: &Admin<'_>, until: Duration) -> (Child, Duration) {
    let begun = Instant::now();
    let mut command = admin.command(&["deploy", "--yes", "--confirm-timeout", "60"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let open = || !Database::open(&admin.database()).unwrap().open_deployments().unwrap().is_empty();
    while begun.elapsed() < until && child.try_wait().unwrap().is_none() && !open() {
        std::thread::yield_now();
    }
    (child, begun.elapsed())
}

/// Kills a program after a while, unless it ends before.
fn kill_after(mut child: Child, moment: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
}

const TEN: usize = 10;

#[test]
fn killed_at_any_moment_every_host_of_ten_is_as_before_or_as_intended_and_resume_says_which() -> Result {
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    let lab = lab_or_skip!(star(TEN));
    let admin = admin_of(&lab, TEN);
    admin.deploy();
    let names: Vec<String> = (1..=TEN).map(|n| format!("h{n}")).collect();
    let look = |name: &str| lab.host(name).snapshot().unwrap().without("wg endpoints").without(RECORD);
    let mut mtu = 1400;
    admin.ok(&["network", "set", &format!("mtu={mtu}")]);
    let start = Instant::now();
    let (mut child, looking) = begun(&admin, Duration::MAX);
    assert!(child.wait().unwrap().success());
    let working = start.elapsed().saturating_sub(looking);

    // Spread over all of it, in no regular pattern (a linear congruential generator), most after the first host was begun.
    let mut seed = 20_261_121_u64;
    for round in 0..if long { 30 } else { 3 } {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = (seed >> 33) as f64 / f64::from(u32::MAX >> 1);
        mtu = if mtu == 1400 { 1380 } else { 1400 };
        admin.ok(&["network", "set", &format!("mtu={mtu}")]);
        let before: Vec<Snapshot> = names.iter().map(|name| look(name)).collect();
        let early = round % 6 == 5;
        let (child, _) = begun(&admin, if early { looking.mul_f64(part) } else { Duration::MAX });
        let moment = if early { Duration::ZERO } else { working.mul_f64(part) };
        kill_after(child, moment);

        let open = admin.json(&["status"])["open"].as_array().unwrap().len();
        let resumed = admin.json(&["deploy", "--resume", "--yes"]);
        let resumed = resumed["resumed"].as_array().unwrap();
        assert_eq!(resumed.len(), open, "after {moment:?}: {resumed:#?}");
        for one in resumed {
            assert!(one["outcome"] == "confirmed" || one["outcome"] == "reverted", "after {moment:?}: {one:#}");
        }
        assert_eq!(admin.json(&["status"])["open"].as_array().unwrap().len(), 0, "after {moment:?}");

        let plan = admin.json(&["plan"]);
        for (host, before) in plan["hosts"].as_array().unwrap().iter().zip(sorted(&names, &before)) {
            let name = host["host"].as_str().unwrap();
            let difference = look(name).diff(before);
            let is_new = host["changes"].as_array().unwrap().is_empty();
            assert_eq!(is_new, !difference.is_empty(), "{name} after {moment:?}: {difference}{host:#}");
            let told = resumed.iter().find(|one| one["host"] == name);
            if let Some(told) = told {
                assert_eq!(told["outcome"] == "confirmed", is_new, "{name} after {moment:?}: {told:#}");
            }
        }
        admin.deploy();
        everything_is_as_it_should_be(&admin);
    }
    Ok(())
}

/// What only says which deploy was the last.
const RECORD: &str = "file /var/lib/wg-friend/deployed";

/// Brings what belongs to hosts into the order of their names.
fn sorted<'a, T>(names: &[String], of: &'a [T]) -> Vec<&'a T> {
    let mut all: Vec<_> = names.iter().zip(of).collect();
    all.sort_by_key(|(name, _)| *name);
    all.into_iter().map(|(_, one)| one).collect()
}

#[test]
fn after_a_reboot_of_every_host_with_nobody_there_the_last_confirmed_state_is_back() -> Result {
    let lab = lab_or_skip!(star(4));
    let admin = admin_of(&lab, 4);
    admin.deploy();
    let names = ["h1", "h2", "h3", "h4"];
    let reboot = || names.iter().try_for_each(|name| lab.host(name).reboot());
    // A client's port is the kernel's choice at each start; that its peers are right, the plan says below.
    let look = |name: &str| {
        let seen = lab.host(name).snapshot().unwrap().without("wg endpoints");
        if name == "h1" { seen } else { seen.without("wg wg0") }
    };
    let is_up = |name: &str| lab.host(name).run("wg show wg0").unwrap().success();
    reboot()?;
    assert!(wait_until(Duration::from_secs(60), || names.iter().all(|name| is_up(name))));
    let before: Vec<Snapshot> = names.iter().map(|name| look(name)).collect();
    let server = &before[0];
    assert!(server.section("nft").unwrap().contains("table inet wgf_wg0"), "its firewall came with it");
    assert!(server.section("sysctl").unwrap().contains(&addressed("net.ipv4.ip_forward = 1")), "and so did forwarding");
    lab.host("h3").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;

    // Killed as soon as a host has all it needs: it carries the steps out, and nobody confirms.
    admin.ok(&["set", "h2", "mtu=1380"]);
    let mut command = admin.command(&["deploy", "h2", "--yes", "--confirm-timeout", "600"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has = |line: &str| lab.host("h2").run(line).unwrap().success();
    assert!(wait_until(Duration::from_secs(60), || has("test -e /run/wg-friend/deploy/token")));
    let _ = child.kill();
    child.wait().unwrap();
    assert!(wait_until(Duration::from_secs(60), || has("ip link show wg0 | grep -q 'mtu 1380'")));
    assert!(has("test -e /run/wg-friend/deploy"), "confirmed by nobody");
    reboot()?;
    for (name, before) in names.iter().zip(&before) {
        assert!(
            wait_until(Duration::from_secs(60), || look(name).diff(before).is_empty()),
            "{name}: {}",
            look(name).diff(before)
        );
    }
    lab.host("h2").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    let resumed = admin.json(&["deploy", "--resume", "--yes"]);
    assert_eq!(resumed["resumed"][0]["outcome"], "reverted", "{resumed:#}");
    assert_eq!(resumed["resumed"][0]["decided_before"], true, "{resumed:#}");
    admin.deploy();
    everything_is_as_it_should_be(&admin);
    Ok(())
}
