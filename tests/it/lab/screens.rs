//! The screens over real hosts, on a real terminal: from nothing to a deployed network, and what goes wrong with it later.

use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Mishap, Result, Spec};

use super::family::{Family, addressed, lab_or_skip, prefixes};
use super::office::Admin;
use crate::terminal::Terminal;
use crate::tui::go_to;

/// How long something may take that comes about by itself.
const PATIENCE: Duration = Duration::from_secs(60);

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// The server `a` and the router `b`, as the model says.
fn deployed(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.12.0/24", "--ssh", "b"]);
    admin.deploy();
    admin
}

/// The screens, on a terminal of this size.
fn open(admin: &Admin<'_>, options: &[&str], size: (u16, u16)) -> Terminal {
    let mut command = admin.command(options);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    Terminal::spawn(command.into(), size)
}

/// Agrees to what is shown, and waits until it is done.
#[track_caller]
fn agree(terminal: &mut Terminal) {
    terminal.expect("Nothing is changed yet").type_in("\r").gone("What would be done").gone("Working …");
}

/// Fills a form in and agrees to what it comes to.
#[track_caller]
fn fill(terminal: &mut Terminal, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        go_to(terminal, field);
        terminal.type_in(&addressed(value));
    }
    terminal.type_in("\u{13}");
    agree(terminal);
}

/// Deploys the plan that is seen, and waits until so many hosts are as the model says.
#[track_caller]
fn deploy(terminal: &mut Terminal, hosts: usize) {
    terminal.expect("Enter deploy").type_in("\r").gone("Enter deploy").expect("r ask again");
    terminal.expect(&format!("{hosts} of {hosts} hosts are as the model says"));
}

fn key(lab: &Lab, host: &str) -> Result<String> {
    lab.host(host).sh("wg show wg0 public-key")
}

#[test]
fn a_network_is_made_and_deployed_and_its_rotation_and_restore_are_followed() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    let mut terminal = open(&admin, &[], (140, 48));
    terminal.expect("a new network").type_in("n").expect("--keepalive");
    let [four, six] = prefixes("10.66.0.0/24", Family::Dual);
    for (field, value) in [("--name", "small"), ("--cidr", four.as_str()), ("--cidr6", six.as_str())] {
        go_to(&mut terminal, field);
        terminal.type_in(value);
    }
    terminal.type_in("\u{13}").expect("A new passphrase");
    let passphrase = "correct horse battery staple";
    terminal.type_in(&format!("{passphrase}\r{passphrase}\r"));
    agree(&mut terminal);
    terminal.expect("shown this once").close().expect("Topology");
    terminal.type_in("2").expect("No nodes yet").type_in("V").expect("--endpoint");
    let server = [("NAME...", "a"), ("--endpoint", "198.51.100.11"), ("--ssh", "a")];
    fill(&mut terminal, &server);
    terminal.expect("1 server").type_in("A").expect("--lan");
    fill(&mut terminal, &[("NAME...", "b"), ("--ssh", "b"), ("--lan", "192.168.12.0/24")]);
    terminal.expect("1 router").type_in("1").expect("2 hosts wait for their first deploy");
    terminal.type_in("4").expect("2 of 2 hosts");
    deploy(&mut terminal, 2);
    let through = addressed("ping -n -c 1 -W 1 10.66.0.1");
    assert!(wait_until(PATIENCE, || lab.host("b").sh(&through).is_ok()), "the tunnel carries packets");
    terminal.type_in("1").expect("2/2 hosts").expect("1/1 links").expect("nothing");

    // A rotation, followed until the new key is in use.
    let before = key(&lab, "b")?;
    terminal.type_in("6").expect("Keys (2)").type_in("/b\r").expect("1 of 2").type_in("r").expect("--reason");
    fill(&mut terminal, &[("--reason", "yearly")]);
    terminal.expect("next one on its way").type_in("4");
    deploy(&mut terminal, 2);
    assert_ne!(key(&lab, "b")?, before);
    terminal.type_in("6").gone("next one on its way");
    assert!(wait_until(PATIENCE, || lab.host("b").sh(&through).is_ok()), "the tunnel carries packets");
    terminal.type_in("1").expect("nothing");

    // A backup, a mistake, and back.
    terminal.type_in("o").expect("Operations (").type_in("b").expect("--kind").type_in("\u{13}");
    agree(&mut terminal);
    let made = wait_until(PATIENCE, || admin.ok(&["backup", "list"]).contains("full"));
    assert!(made, "{}", terminal.contents());
    admin.ok(&["remove", "b", "--yes"]);
    terminal.type_in(":go backups\r").expect("Backups (1)").type_in("b").expect("--mode");
    terminal.type_in("\u{13}").expect("Unlock the database").type_in(passphrase).type_in("\r");
    agree(&mut terminal);
    assert!(wait_until(PATIENCE, || admin.run(&["show", "b"]).status == 0), "{}", terminal.contents());
    // What was put back is opened anew.
    terminal.type_in("4").expect("Unlock the database").type_in(passphrase).type_in("\r");
    let both = |host: &str| format!("{host}                     as the model says");
    terminal.expect(&both("a")).expect(&both("b")).type_in("1").expect("2/2 hosts");
    terminal.type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    Ok(())
}

#[test]
fn a_bad_deploy_counts_down_and_is_taken_back_and_drift_is_found_and_mended() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = deployed(&lab);
    let settings = tempfile::NamedTempFile::new()?;
    std::fs::write(settings.path(), "confirm_timeout = 12\nhost_timeout = 15\n")?;
    let config = settings.path().display().to_string();
    let mut terminal = open(&admin, &["--config", &config], (110, 40));
    terminal.expect("2/2 hosts").expect("nothing");
    // Somebody else changes the model meanwhile.
    admin.ok(&["network", "set", "mtu=1380"]);
    terminal.expect("2 hosts lack later changes").type_in("3").expect("lacks changes").type_in("1");

    // One host hangs in the middle of its change: its time runs, the other one is done meanwhile.
    lab.host("b").at_arguments("ip", "link set dev wg0 mtu 1380", &Mishap::First("pkill -STOP '^sshd'".into()))?;
    terminal
        .expect("Topology")
        .type_in("4")
        .expect("Enter deploy")
        .type_in("\r\u{1b}[B")
        .expect("takes everything back in");
    terminal.expect("a: confirmed").expect("out of sight").expect("1 of 2 hosts are as the model says");
    lab.host("b").sh("pkill -CONT '^sshd'")?;
    lab.host("b").put_back("ip")?;
    let mtu = || lab.host("b").sh("cat /sys/class/net/wg0/mtu").is_ok_and(|mtu| mtu.trim() == "1420");
    assert!(wait_until(PATIENCE, mtu), "it has taken it back");
    let done = wait_until(PATIENCE, || admin.run(&["deploy", "--yes"]).status == 0);
    assert!(done, "the next one goes through");
    terminal.type_in("1").expect("nothing");

    // Somebody adds a peer by hand.
    let stranger = lab.host("ctl").sh("wg genkey | wg pubkey")?.trim().to_owned();
    lab.host("a").sh(&addressed(&format!("wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32")))?;
    terminal.type_in("5").expect("Drift (").type_in("c").close();
    terminal.expect("Drift (2)").expect("drift");
    terminal.type_in("1").expect("1 host was changed by hand").type_in("5").expect("Drift (2)").type_in("m");
    deploy(&mut terminal, 1);
    assert!(!lab.host("a").sh("wg show wg0 peers")?.contains(&stranger));
    terminal.type_in("5").expect("Drift (2)").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    Ok(())
}

#[test]
fn a_host_that_never_answers_slows_nothing() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = deployed(&lab);
    lab.drop_packets("b", "")?;
    let mut terminal = open(&admin, &[], (110, 40));
    terminal.expect("1/2 hosts");
    // While one is asked in vain, each key is answered at once.
    terminal.type_in("4").expect("asking hosts …");
    let mut slowest = Duration::ZERO;
    for (key, shows) in [("2", "Nodes (2)"), ("3", "Hosts (2)"), ("8", "History ("), ("?", "Everywhere")] {
        let begun = std::time::Instant::now();
        terminal.type_in(key).expect(shows);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}"); // the host isn't given up for thirty
    terminal.type_in("\u{1b}").gone("Everywhere").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    Ok(())
}
