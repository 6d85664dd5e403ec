//! Nobody is locked out: whatever goes wrong with a deploy, the host is soon as it was before, and the next run knows.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Mishap, Output, Result, Snapshot, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;
use super::tampered;

/// Seconds a host waits for its confirmation in these tests.
const TIMEOUT: u64 = 8;
/// How long after that it may take until it is as before.
const GRACE: u64 = 5;

/// How wg-friend reaches the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// By its address on the internet.
    Beside,
    /// By its address in the tunnel that is being changed.
    Through,
}

/// A server `a` with two live peers: a device `b`, and the admin's own machine `ctl`.
struct Scene<'a> {
    lab: &'a Lab,
    admin: Admin<'a>,
}

impl<'a> Scene<'a> {
    fn new(lab: &'a Lab, path: Path) -> Result<Self> {
        let scene = Self { lab, admin: Admin::new(lab) };
        let admin = &scene.admin;
        admin.init("small");
        admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
        for remote in ["b", "ctl"] {
            admin.ok(&["add", "remote", remote]);
        }
        admin.deploy();
        for remote in ["b", "ctl"] {
            admin.hand_out(remote, str::to_owned)?;
            lab.host(remote).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
        }
        if path == Path::Through {
            lab.write_ssh_config(&addressed("Host a\n  HostName 10.66.0.1\n"))?;
        }
        // Something for a deploy to do: a peer more, another MTU, other rules.
        admin.ok(&["add", "remote", "newcomer", "--access", "vpn-only"]);
        admin.ok(&["set", "a", "mtu=1400"]);
        Ok(scene)
    }

    fn before(&self) -> Result<Snapshot> {
        Ok(self.lab.host("a").snapshot()?.without("wg endpoints"))
    }

    fn deploy(&self) -> Output {
        self.admin.run(&["deploy", "--yes", "--confirm-timeout", &TIMEOUT.to_string()])
    }

    fn start_deploy(&self, timeout: u64) -> Child {
        let mut command = self.admin.command(&["deploy", "--yes", "--confirm-timeout", &timeout.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until the host is as it was, at most until its time-out and the grace are over, and until the admin can
    /// log in.
    #[track_caller]
    fn comes_back(&self, before: &Snapshot, begun: Instant) {
        let mut difference = String::new();
        let back = wait_until(rest_of(begun), || {
            difference = self.before().unwrap().diff(before);
            difference.is_empty()
        });
        assert!(back, "after {:?} still:\n{difference}", begun.elapsed());
        let plan = self.admin.run(&["plan"]);
        assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
        assert!(plan.stdout.contains("newcomer"), "the change is still to be made:\n{}", plan.stdout);
    }

    /// Afterwards the same deploy goes through.
    #[track_caller]
    fn goes_through(&self) {
        self.admin.ok(&["deploy", "--yes"]);
        let plan = self.admin.ok(&["plan"]);
        assert!(plan.contains("nothing to do"), "{plan}");
    }
}

/// What is left of the time that a host has from the beginning of a deploy until it is as before.
fn rest_of(begun: Instant) -> Duration {
    Duration::from_secs(TIMEOUT + GRACE).saturating_sub(begun.elapsed())
}

/// Lets a program run for a while, or to its end.
fn lasts(child: &mut Child, milliseconds: u64) {
    wait_until(Duration::from_millis(milliseconds), || child.try_wait().unwrap().is_some());
}

/// Runs a scene for both ways to the host.
fn both(work: impl Fn(&Scene<'_>, Path) -> Result) -> Result {
    for path in [Path::Beside, Path::Through] {
        let lab = lab_or_skip!(Spec::pair());
        work(&Scene::new(&lab, path)?, path)?;
        lab.down()?;
    }
    Ok(())
}

/// Deploys something bad on purpose and expects the host to be as before, and to be told why: all of `reasons`,
/// of which one may have several words for the same, with ` | ` between them.
#[track_caller]
fn undone(scene: &Scene<'_>, fault: &str, reasons: &[&str]) -> Result {
    let before = scene.before()?;
    let begun = Instant::now();
    let output = tampered::deploy(scene.lab, &scene.admin, fault, TIMEOUT);
    assert!(output.stdout.contains("OUTCOME reverted clean=true"), "{fault}: {}{}", output.stdout, output.stderr);
    for reason in reasons {
        let said = reason.split(" | ").any(|reason| output.stdout.contains(reason));
        assert!(said, "{fault}: no `{reason}` in {}", output.stdout);
    }
    // What the program waits for after the host came back is its own time, not the host's.
    scene.comes_back(&before, begun.max(Instant::now() - Duration::from_secs(TIMEOUT)));
    Ok(())
}

/// What is said of a host that no packet reaches. What is on its way when the host takes the deploy back, an answer or an
/// attempt to connect, may still arrive afterwards.
const OUT_OF_REACH: &str =
    "host `a` can't be reached | no new connection came about for | nothing came back from the host for";

/// What a host says that had to decide by itself.
const BY_ITSELF: &str = "the host took it back: nobody confirmed in time";

#[test]
fn rules_that_drop_ssh_are_taken_back() -> Result {
    both(|scene, _| undone(scene, "drop-ssh", &[OUT_OF_REACH, BY_ITSELF]))
}

#[test]
fn a_default_route_into_the_tunnel_is_taken_back() -> Result {
    both(|scene, path| {
        let why = match path {
            Path::Beside => "no handshake on wg0 since, with none of those that were alive before: b, ctl",
            Path::Through => "not confirmed: ",
        };
        undone(scene, "default-route", &[why])
    })
}

#[test]
fn a_key_that_no_peer_knows_is_taken_back() -> Result {
    both(|scene, path| {
        let why = match path {
            Path::Beside => &["no handshake on wg0 since, with none of those that were alive before: b, ctl"][..],
            Path::Through => &[OUT_OF_REACH, BY_ITSELF],
        };
        undone(scene, "wrong-key", why)
    })
}

#[test]
fn a_port_that_no_packet_reaches_is_taken_back() -> Result {
    both(|scene, path| {
        // The provider's own firewall, which does not let the new port through.
        scene.lab.drop_packets("a", "udp dport 40000")?;
        let why = match path {
            Path::Beside => &["no handshake on wg0 since, with none of those that were alive before: b, ctl"][..],
            Path::Through => &[OUT_OF_REACH, BY_ITSELF],
        };
        undone(scene, "wrong-port", why)
    })
}

#[test]
fn the_log_lists_a_deploy_step_by_step() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let scene = Scene::new(&lab, Path::Beside)?;
    scene.admin.deploy();
    let log = scene.admin.json(&["log", "a", "--limit", "3"]);
    let [apply, look, commit] = log["commands"].as_array().unwrap().as_slice() else { panic!("{log:#}") };
    let kinds = |entry: &serde_json::Value| -> Vec<String> {
        let steps = entry["steps"].as_array().unwrap();
        steps.iter().map(|step| step["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(apply["kind"], "apply", "{log:#}");
    assert_eq!(kinds(apply), ["stage", "validate", "reserve", "arm", "firewall", "mtu", "peer"], "{log:#}");
    assert_eq!((&look["kind"], kinds(look)), (&"observe".into(), vec![]), "{log:#}");
    assert_eq!(
        (&commit["kind"], kinds(commit)),
        (&"commit".into(), vec!["reserve".into(), "finish".into()]),
        "{log:#}"
    );
    for step in [apply, commit].iter().flat_map(|entry| entry["steps"].as_array().unwrap()) {
        assert_eq!(step["state"], "succeeded", "{log:#}");
        assert!(step["duration_ms"].is_u64() && step["started"].as_str() >= apply["started"].as_str(), "{log:#}");
    }

    // One that fails: what comes after it is not done, and what came before it is taken back.
    scene.admin.ok(&["set", "a", "mtu=1380"]);
    scene.admin.ok(&["set", "newcomer", "access=full"]);
    let host = lab.host("a");
    host.at_arguments("ip", "link set dev wg0 mtu 1380", &Mishap::Fails)?;
    let output = scene.deploy();
    host.put_back("ip")?;
    assert!(output.stderr.contains("could not set the MTU of wg0 to 1380"), "{}{}", output.stdout, output.stderr);
    let log = scene.admin.json(&["log", "a", "--limit", "1"]);
    let steps = log["commands"][0]["steps"].as_array().unwrap();
    let ends: Vec<_> =
        steps.iter().skip(4).map(|s| [&s["kind"], &s["state"], &s["output"]].map(|v| v.as_str())).collect();
    let said = ends[1][2].unwrap();
    assert_eq!(ends[0], [Some("firewall"), Some("succeeded"), Some("taken back")], "{log:#}");
    assert_eq!(ends[1][..2], [Some("mtu"), Some("failed")], "{log:#}");
    assert!(said.contains("out of order"), "{log:#}");
    let text = scene.admin.ok(&["log", "a", "--limit", "1", "-v"]);
    assert!(text.contains("✗ set the MTU of wg0 to 1380  failed") && text.contains("$ ip link set dev wg0"), "{text}");
    Ok(())
}

#[test]
fn a_file_that_does_not_hold_what_was_intended_is_refused_before_anything_changes() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let scene = Scene::new(&lab, Path::Beside)?;
    let before = scene.before()?;
    for fault in ["file-with-another-key", "file-with-a-peer-less", "broken-rules", "empty-file"] {
        let begun = Instant::now();
        let output = tampered::deploy(&lab, &scene.admin, fault, TIMEOUT);
        assert!(output.stdout.contains("OUTCOME failed"), "{fault}: {}{}", output.stdout, output.stderr);
        scene.comes_back(&before, begun);
    }
    scene.goes_through();
    Ok(())
}

#[test]
fn commands_that_fail_or_are_missing_leave_the_host_as_it_was() -> Result {
    both(|scene, path| {
        let host = scene.lab.host("a");
        let mut before = scene.before()?;
        for command in ["nft", "wg", "ip"] {
            host.take_away(command)?;
            let output = scene.deploy();
            host.put_back(command)?;
            assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
            assert!(output.stdout.contains(&format!("lacks `{command}`")), "{}{}", output.stdout, output.stderr);
            scene.comes_back(&before, Instant::now());
        }
        // How often each is called in a deploy that goes well is not known here, so each call is tried until none is left.
        // A short run takes a sample of them.
        let long = std::env::var_os("WGF_LONG").is_some();
        let stride = if path == Path::Beside { 5 } else { 9 };
        for command in ["nft", "wg", "ip"] {
            for (mishap, first) in [(Mishap::Fails, 1), (Mishap::FailsAfterwards, 3)] {
                for nth in (first..40).step_by(if long { 1 } else { stride }) {
                    host.at_call(command, nth, &mishap)?;
                    let begun = Instant::now();
                    let output = scene.deploy();
                    let calls = host.calls(command)?;
                    host.put_back(command)?;
                    if output.status == 0 {
                        // A call whose failure did no harm: then everything has to be as intended. Go back for the next.
                        let plan = scene.admin.ok(&["plan"]);
                        assert!(plan.contains("nothing to do"), "{command} {mishap:?} at call {nth}:\n{plan}");
                        before = return_to_start(scene, &before)?;
                    } else {
                        scene.comes_back(&before, begun);
                    }
                    if calls < nth {
                        break;
                    }
                }
            }
        }
        Ok(())
    })
}

/// Takes the scene's change out and in again, so that there is something to deploy. Returns how the host is then: as
/// before but for the record of what was deployed last.
fn return_to_start(scene: &Scene<'_>, before: &Snapshot) -> Result<Snapshot> {
    scene.admin.ok(&["disable", "newcomer"]);
    scene.admin.ok(&["set", "a", "mtu=network"]);
    scene.admin.deploy();
    let after = scene.before()?;
    let record = "file /var/lib/wg-friend/deployed";
    let difference = after.clone().without(record).diff(&before.clone().without(record));
    assert!(difference.is_empty(), "a deploy and its opposite leave:\n{difference}");
    scene.admin.ok(&["enable", "newcomer"]);
    scene.admin.ok(&["set", "a", "mtu=1400"]);
    Ok(after)
}

#[test]
fn a_full_disk_or_a_full_run_leaves_the_host_as_it_was() -> Result {
    both(|scene, _| {
        let host = scene.lab.host("a");
        let before = scene.before()?;
        for run in [false, true] {
            if run {
                host.fill_run()?
            } else {
                host.fill_disk()?
            }
            let begun = Instant::now();
            let output = scene.deploy();
            if run {
                host.free_run()?
            } else {
                host.free_disk()?
            }
            assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
            scene.comes_back(&before, begun);
        }
        // Full only once the steps are done: when the files are to be written for good.
        host.at_call("ip", 3, &Mishap::First("dd if=/dev/zero of=/var/full bs=64k >/dev/null 2>&1".to_owned()))?;
        let begun = Instant::now();
        let output = scene.deploy();
        host.sh("rm -f /var/full")?;
        host.put_back("ip")?;
        assert_ne!(output.status, 0, "{}{}", output.stdout, output.stderr);
        scene.comes_back(&before, begun);
        scene.goes_through();
        Ok(())
    })
}

#[test]
fn killed_at_any_moment_the_host_is_as_before_or_as_intended_and_the_next_run_says_which() -> Result {
    both(|scene, path| {
        let mut before = scene.before()?;
        let moments: &[u64] =
            if path == Path::Through { &[300, 700, 1100] } else { &[100, 250, 400, 550, 700, 850, 1000, 1300] };
        for moment in moments {
            let mut child = scene.start_deploy(TIMEOUT);
            let begun = Instant::now();
            lasts(&mut child, *moment);
            let _ = child.kill();
            child.wait().unwrap();
            settle(scene, &mut before, begun)?;
        }
        Ok(())
    })
}

#[test]
fn ssh_cut_at_any_moment_ends_as_before_or_as_intended() -> Result {
    both(|scene, path| {
        let mut before = scene.before()?;
        let matching = if path == Path::Through { "udp dport 51820" } else { "tcp dport 22" };
        for moment in [150u64, 400, 650, 900] {
            let mut child = scene.start_deploy(TIMEOUT);
            let begun = Instant::now();
            lasts(&mut child, moment);
            scene.lab.drop_packets("a", matching)?;
            let host = scene.lab.host("a");
            wait_until(rest_of(begun), || !host.run("test -e /run/wg-friend/deploy").unwrap().success());
            scene.lab.heal("a")?;
            child.wait().unwrap();
            settle(scene, &mut before, Instant::now() - Duration::from_secs(TIMEOUT))?;
        }
        Ok(())
    })
}

/// After an interruption: the host is as before, or everything is as intended; then back to the start.
#[track_caller]
fn settle(scene: &Scene<'_>, before: &mut Snapshot, begun: Instant) -> Result {
    let host = scene.lab.host("a");
    let plan = loop {
        let decided = wait_until(rest_of(begun), || !host.run("test -e /run/wg-friend/deploy").unwrap().success());
        assert!(decided, "the host still waits");
        let plan = scene.admin.run(&["plan", "--json"]);
        assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
        // What was on its way when wg-friend was killed may have begun only now.
        if !plan.stdout.contains("\"waiting\"") {
            break plan;
        }
    };
    let difference = scene.before()?.diff(before);
    if difference.is_empty() {
        assert!(plan.stdout.contains("peer_missing"), "as before:\n{}", plan.stdout);
    } else {
        let plan = scene.admin.ok(&["plan"]);
        assert!(plan.contains("nothing to do"), "neither as before nor as intended:\n{difference}\n{plan}");
        *before = return_to_start(scene, before)?;
    }
    Ok(())
}

#[test]
fn a_reboot_before_the_confirmation_ends_in_the_old_state() -> Result {
    both(|scene, _| {
        let host = scene.lab.host("a");
        let until = |what: &str, line: &str| {
            assert!(wait_until(Duration::from_secs(30), || host.run(line).unwrap().success()), "{what}");
        };
        // The admin's own tunnel has to find its server again after a reboot before anything else can.
        let tunnel_is_back = || scene.lab.host("ctl").sh(&addressed("ping -c 1 -w 60 10.66.0.1"));
        host.reboot()?;
        tunnel_is_back()?;
        let before = scene.before()?; // what the old files make of a boot
        // Killed as soon as the host has all it needs: it carries the steps out, and nobody confirms.
        let mut child = scene.start_deploy(60);
        until("the deploy has not begun", "test -e /run/wg-friend/deploy/token");
        let _ = child.kill();
        child.wait().unwrap();
        until("the steps were not carried out", "ip link show wg0 | grep -q 'mtu 1400'");
        assert!(host.run("test -e /run/wg-friend/deploy")?.success(), "confirmed by nobody");
        host.reboot()?;
        assert_eq!(scene.before()?.diff(&before), "");
        tunnel_is_back()?;
        let plan = scene.admin.ok(&["plan"]);
        assert!(plan.contains("interrupted") && plan.contains("newcomer"), "{plan}");
        scene.goes_through();
        Ok(())
    })
}

#[test]
fn of_two_deploys_at_once_one_is_told_to_wait_and_nothing_is_mixed_up() -> Result {
    both(|scene, _| {
        let start =
            || scene.admin.command(&["deploy", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (one, two) = (start(), start());
        let outputs = [one.wait_with_output().unwrap(), two.wait_with_output().unwrap()];
        let good = outputs.iter().filter(|o| o.status.success()).count();
        let text: Vec<String> = outputs
            .iter()
            .map(|o| format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)))
            .collect();
        assert!(good >= 1, "{text:?}");
        for (output, text) in outputs.iter().zip(&text) {
            let told = text.contains("in the middle of a deploy") || text.contains("changed since the plan");
            assert!(output.status.success() || told, "{text}");
        }
        let plan = scene.admin.ok(&["plan"]);
        assert!(plan.contains("nothing to do"), "{plan}");
        Ok(())
    })
}

#[test]
fn a_host_that_changed_since_the_plan_is_left_alone_and_the_change_is_named() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let scene = Scene::new(&lab, Path::Beside)?;
    let host = lab.host("a");
    // At the first command of the deploy itself, after the plan was made, somebody adds an address by hand.
    let begun = Instant::now();
    let output = tampered::deploy(&lab, &scene.admin, "changed-meanwhile", TIMEOUT);
    assert!(output.stdout.contains("OUTCOME failed"), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("changed since the plan was made"), "{}", output.stdout);
    assert!(output.stdout.contains(&addressed("10.66.0.77/32")), "{}", output.stdout);
    assert!(begun.elapsed() < Duration::from_secs(TIMEOUT));
    host.sh(&addressed("ip addr del 10.66.0.77/32 dev wg0"))?;
    scene.goes_through();
    Ok(())
}
