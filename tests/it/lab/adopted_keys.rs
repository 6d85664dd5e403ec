//! Keys of a network that somebody made by hand: they are rotated as those of any other, and files and firewall stay his.

use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, PingStream, Result};

use super::adopt::{by_hand, spec};
use super::family::{lab_or_skip, lacks_ipv4};
use super::office::Admin;
use super::rotation::{is_complete, is_handed_over, key, keys, long, runs_with, take_new_file, under_way};

/// Adopts the server and its routers from their hosts, and two devices from their files.
fn adopt<'a>(lab: &'a Lab, made: &[(&'static str, String)]) -> Result<Admin<'a>> {
    let admin = Admin::new(lab);
    let folder = tempfile::tempdir()?;
    let mut arguments = ["import", "--name", "byhand", "--yes"].map(str::to_owned).to_vec();
    arguments.extend(["hub", "office", "depot"].map(|host| format!("--host=root@{host}")));
    for (name, text) in made.iter().filter(|(name, _)| ["alice", "bob"].contains(name)) {
        let own = folder.path().join(name);
        std::fs::create_dir(&own)?;
        std::fs::write(own.join("wg0.conf"), text)?;
        arguments.push(own.display().to_string());
    }
    admin.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    admin.ok(&["plan", "--exit-code"]);
    Ok(admin)
}

fn lines_of<'a>(text: &'a str, other: &str) -> Vec<&'a str> {
    text.lines().filter(|line| !other.lines().any(|one| one == *line)).collect()
}

/// Ends streams of packets, of which each has lost so many at most.
#[track_caller]
fn lost_at_most(most: u64, streams: Vec<PingStream>) {
    for stream in streams {
        assert!(stream.goes_on(50, Duration::from_secs(60)));
        let report = stream.stop().unwrap();
        eprintln!("{report:?}");
        assert!(report.sent > 25 && report.lost <= most, "{report:?}");
    }
}

/// What may be lost on a link whose key changes; shells wait for their turn where other tests run.
fn few() -> u64 {
    if long() { 1 } else { 10 }
}

#[test]
fn a_device_of_a_network_made_by_hand_keeps_its_file_until_it_takes_the_next() -> Result {
    if lacks_ipv4("the files of this network were written by hand for IPv4, with hooks of iptables") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let made = by_hand(&lab)?;
    let admin = adopt(&lab, &made)?;
    let hub = lab.host("hub");
    let of_hub = hub.read("/etc/wireguard/wg0.conf")?;
    let before = runs_with(&lab, "bob")?;

    admin.ok(&["rotate", "bob", "--reason", "yearly"]);
    let next = key(&admin, "bob", "staged");
    let stream = lab.ping_stream("bob", "192.168.11.50", 50)?;
    admin.deploy();
    lost_at_most(0, vec![stream]);
    assert_eq!(under_way(&admin, "bob")["waits_for"], "new_file");
    // What awaits the next key comes up with the interface, as it does where wg-friend made it.
    let text = hub.read("/etc/wireguard/wg0.conf")?;
    assert_eq!(lines_of(&of_hub, &text), [""; 0], "{text}");
    hub.sh("wg-quick down wg0; wg-quick up wg0")?;
    // Somebody goes on writing into his file. What is ours in it doesn't become his.
    hub.sh("sed -i 's/^# NAT for the road warriors/&, and for Tom/; s/^PostDown = iptables -t nat.*/&\\nPostDown = logger wg0 is down/' /etc/wireguard/wg0.conf")?;
    let of_hub = of_hub.replace("# NAT for the road warriors", "# NAT for the road warriors, and for Tom");
    let nat = "PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE\n";
    let of_hub = of_hub.replace(nat, &format!("{nat}PostDown = logger wg0 is down\n"));
    admin.ok(&["drift", "adopt", "hub", "--yes"]);
    admin.deploy();
    let again = hub.read("/etc/wireguard/wg0.conf")?;
    assert_eq!(again.matches("wgf-handover-wg0.sh start").count(), text.matches("wgf-handover-wg0.sh start").count());
    assert_eq!(lines_of(&of_hub, &again), [""; 0], "{again}");
    lab.host("bob").sh("ping -n -c 1 -w 30 192.168.11.50")?;

    let streams = vec![lab.ping_stream("bob", "192.168.11.50", 50)?, lab.ping_stream("office", "10.44.0.1", 50)?];
    assert!(streams.iter().all(|stream| stream.goes_on(50, Duration::from_secs(60))));
    take_new_file(&admin, "bob")?;
    is_handed_over(&lab, &next);
    lost_at_most(few(), streams);
    admin.ok(&["status", "--live"]);
    admin.deploy();
    is_complete(&admin, "bob", &before, &next, "yearly");
    let text = hub.read("/etc/wireguard/wg0.conf")?;
    assert_eq!(lines_of(&of_hub, &text), [format!("PublicKey = {before}")], "{text}");
    assert_eq!(lines_of(&text, &of_hub).len(), 2, "its key, and by which name it is known: {text}");

    // A router of that network: its own host gets its key when the server awaits it.
    let of_office = lab.host("office").read("/etc/wireguard/wg0.conf")?;
    let before = runs_with(&lab, "office")?;
    let stream = lab.ping_stream("bob", "192.168.11.50", 50)?;
    admin.ok(&["rotate", "office", "--reason", "yearly"]);
    let next = key(&admin, "office", "staged");
    admin.deploy();
    lost_at_most(few(), vec![stream]);
    is_complete(&admin, "office", &before, &next, "yearly");
    assert_eq!(lines_of(&lab.host("office").read("/etc/wireguard/wg0.conf")?, &of_office).len(), 1);
    Ok(())
}

#[test]
fn a_server_made_by_hand_is_dialled_by_both_keys_and_its_hooks_let_both_through() -> Result {
    if lacks_ipv4("the files of this network were written by hand for IPv4, with hooks of iptables") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let made = by_hand(&lab)?;
    let admin = adopt(&lab, &made)?;
    let hub = lab.host("hub");
    // Only what its hooks name passes.
    hub.sh("iptables -P FORWARD DROP")?;
    let (of_hub, before) = (hub.read("/etc/wireguard/wg0.conf")?, runs_with(&lab, "hub")?);
    let rules = |what: &str| hub.sh(&format!("iptables-save | grep -v '^[#:]' | {what}"));
    let of_iptables = rules("sort")?;

    let said = admin.run(&["rotate", "hub", "--reason", "yearly"]);
    assert!(said.status == 0 && said.stderr.contains("UDP port 51821"), "{said:?}");
    let next = key(&admin, "hub", "staged");
    let streams = vec![lab.ping_stream("bob", "192.168.11.50", 50)?, lab.ping_stream("alice", "192.168.12.50", 50)?];
    admin.deploy();
    let office_moves = || hub.sh("ip route show dev wg0-next").is_ok_and(|routes| routes.contains("192.168.11.0/24"));
    assert!(
        wait_until(Duration::from_secs(60), office_moves),
        "{:?}",
        hub.run("wg; ip route; cat /etc/wireguard/wg0-next.conf")
    );
    lost_at_most(few(), streams);
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(rules("grep -c wg0-next")?, "3", "what names the interface, and only that: {}", rules("sort")?);
    assert_eq!(lines_of(&of_hub, &hub.read("/etc/wireguard/wg0.conf")?), [""; 0]);

    for device in ["bob", "alice"] {
        let stream = lab.ping_stream(device, "192.168.11.50", 50)?;
        assert!(stream.goes_on(50, Duration::from_secs(60)));
        take_new_file(&admin, device)?;
        let host = lab.host(device);
        assert!(wait_until(Duration::from_secs(20), || host
            .sh("wg show wg0 endpoints")
            .is_ok_and(|at| at.ends_with(":51821"))));
        lost_at_most(few(), vec![stream]);
    }
    // Carol's file is nobody's here: she is cut off when the present key ends, and that is said.
    let said = admin.run(&["rotate", "hub", "--finish", "--yes"]);
    assert!(said.status == 0 && said.stderr.contains("`carol`"), "{said:?}");
    let streams = vec![lab.ping_stream("bob", "192.168.11.50", 50)?, lab.ping_stream("alice", "192.168.12.50", 50)?];
    admin.deploy();
    lost_at_most(few(), streams);
    assert_eq!(runs_with(&lab, "hub")?, next);
    assert!(keys(&admin, "hub", "retired").contains(&(before, "yearly".to_owned())));
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(rules("sort")?, of_iptables);
    let text = hub.read("/etc/wireguard/wg0.conf")?;
    assert_eq!(lines_of(&of_hub, &text).len(), 2, "its key and its port: {text}");
    assert_eq!(lines_of(&text, &of_hub).len(), 2, "{text}");
    hub.reboot()?;
    hub.sh("iptables -P FORWARD DROP")?;
    lab.host("bob").sh("ping -n -c 1 -w 60 192.168.11.50")?;
    Ok(())
}

#[test]
fn a_server_whose_hook_nobody_can_read_gets_its_key_at_once_and_that_is_said() -> Result {
    if lacks_ipv4("the files of this network were written by hand for IPv4, with hooks of iptables") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let made = by_hand(&lab)?;
    let hub = lab.host("hub");
    hub.write("/root/up.sh", "logger \"$1\"\n")?;
    hub.sh("sed -i 's|^ListenPort=51820|&\\nPostUp = sh /root/up.sh %i|' /etc/wireguard/wg0.conf; systemctl restart wg-quick@wg0")?;
    let admin = adopt(&lab, &made)?;
    let said = admin.run(&["rotate", "hub", "--dry-run"]);
    assert!(said.stderr.contains("what its hook `sh /root/up.sh %i` does"), "{said:?}");
    assert!(said.stderr.contains("don't reach each other until both have their new files"), "{said:?}");
    Ok(())
}
