//! `status --watch`: pulled cables show, and come back.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Result, Spawned, Spec};

use super::family::lab_or_skip;
use super::office::Admin;

/// What a watcher prints, line by line, with when it came.
fn lines(watcher: &mut Spawned) -> Receiver<(Instant, String)> {
    let (tell, told) = mpsc::channel();
    let stdout = watcher.child().stdout.take().expect("it is piped");
    std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(|line| line.ok()).all(|line| tell.send((Instant::now(), line)).is_ok())
    });
    told
}

/// Waits for a change of state and returns when it was told.
#[track_caller]
fn wait_for(told: &Receiver<(Instant, String)>, subject: &str, name: &str, after: &str) -> (Instant, Value) {
    let began = Instant::now();
    let mut others = Vec::new();
    loop {
        match told.recv_timeout(Duration::from_secs(180).saturating_sub(began.elapsed())) {
            Ok((time, line)) => {
                let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if (&event["subject"], &event["name"], &event["after"])
                    == (&subject.into(), &name.into(), &after.into())
                {
                    return (time, event);
                }
                others.push(line);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("{subject} {name} never became {after}:\n{}", others.join("\n"))
            }
        }
    }
}

#[test]
fn a_pulled_cable_shows_after_three_intervals_delays_no_other_host_and_a_plugged_one_shows_again() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--address", "10.66.0.1", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.12.0/24", "--ssh", "b"]);
    admin.deploy();

    let mut command = admin.command(&["status", "--watch", "--interval", "5", "--json"]);
    command.env_remove("WG_FRIEND_PASSPHRASE").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watcher = Spawned::start(&mut command)?;
    let told = lines(&mut watcher);
    let (_, event) = wait_for(&told, "host", "a", "connected");
    assert_eq!((&event["before"], &event["reason"]), (&"pending".into(), &Value::Null));
    wait_for(&told, "link", "b", "connected");

    // A child that sshd has just begun looks like another one for a moment.
    let one_master = || {
        let count = || lab.host("a").sh("pgrep -c -f '^sshd(-session)?: root' || :");
        wait_until(Duration::from_secs(20), || count().is_ok_and(|count| count.trim() == "1"))
    };
    assert!(one_master(), "one connection, kept open");
    let pulled = Instant::now();
    lab.drop_packets("b", "")?;
    // What changes at the other host is seen although this one doesn't answer.
    lab.host("a").sh("wg set wg0 peer $(wg show wg0 peers) remove")?;
    let (time, _) = wait_for(&told, "link", "b", "not_deployed");
    assert!(time - pulled < Duration::from_secs(15 + 30), "{:?}", time - pulled);
    let (time, event) = wait_for(&told, "host", "b", "disconnected");
    assert!(event["reason"].as_str().is_some_and(|reason| reason.starts_with("no answer for 15 s")), "{event:#}");
    assert!(
        time - pulled > Duration::from_secs(9) && time - pulled < Duration::from_secs(15 + 30),
        "{:?}",
        time - pulled
    );
    assert!(one_master(), "still the same");

    lab.heal("b")?;
    wait_for(&told, "host", "b", "connected");

    // Somebody has enough: it ends at once and in order.
    watcher.signal(Signal::INT);
    let output = watcher.finish()?;
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    Ok(())
}
