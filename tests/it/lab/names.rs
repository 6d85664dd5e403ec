//! A server that is dialled by a name moves, and the tunnel follows it without anybody's help.

use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Host, Lab, Result, Spec};

use super::family::{Family, addressed, lab_or_skip, outside};
use super::office::{Admin, DOWN};

const PATIENCE: Duration = Duration::from_secs(180);
const SCRIPT: &str = "/etc/wireguard/wgf-resolve-wg0.sh";
const NAME: &str = "vpn.example.net";

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl   internet:2 controller\n\
     host hub   internet:10\n\
     host plain internet:11\n\
     host units internet:12 init=systemd\n"
        .parse()
        .unwrap()
}

/// Where the name leads, for a host.
fn name_leads(host: &Host<'_>, to: &[&str]) -> Result {
    let lines: String = to.iter().map(|address| format!("{address} {NAME}\n")).collect();
    host.sh(&format!("sed -i '/{NAME}/d' /etc/hosts; printf '%s' '{lines}' >> /etc/hosts")).map(drop)
}

/// The server is no longer at these addresses: nothing for the tunnel gets to it there, and nothing leaves from there.
fn gone_from(lab: &Lab, addresses: &[&str]) -> Result {
    let mut rules = "table inet moved\ndelete table inet moved\ntable inet moved {\n".to_owned();
    for (hook, way, port) in [("input", "daddr", "dport"), ("output", "saddr", "sport")] {
        rules += &format!("chain {hook} {{ type filter hook {hook} priority 0;\n");
        for address in addresses {
            let family = if address.contains(':') { "ip6" } else { "ip" };
            rules += &format!("{family} {way} {address} udp {port} 51820 drop\n");
        }
        rules += "}\n";
    }
    let hub = lab.host("hub");
    hub.write("/root/moved.nft", rules + "}\n")?;
    hub.sh("nft -f /root/moved.nft").map(drop)
}

fn endpoint(host: &Host<'_>) -> Result<String> {
    Ok(host.sh("wg show wg0 endpoints")?.trim().rsplit('\t').next().unwrap_or_default().to_owned())
}

/// The loop's process and version, as the host has them.
fn follows(host: &Host<'_>) -> Result<String> {
    Ok(host.run("cat /run/wg-friend/resolve-wg0 2>/dev/null")?.stdout)
}

/// Has the loop look every second, and take a peer for silent after so many.
fn hurry(host: &Host<'_>, stale: u32) -> Result {
    host.sh(&format!("WGF_EVERY=1 WGF_STALE={stale} sh {SCRIPT} start")).map(drop)
}

#[track_caller]
fn reaches_the_hub(host: &Host<'_>) {
    let up =
        wait_until(PATIENCE, || host.run(&addressed("ping -n -c 1 -w 2 10.66.0.1")).is_ok_and(|ping| ping.success()));
    assert!(up, "{}: {:?}\n{:?}", host.name(), endpoint(host), host.run("wg show wg0; cat /etc/hosts"));
}

/// The hub answers, and the host dials it there. A loop that looks every second may go on to the next address while the
/// answer of this one is on its way; then it comes back to it.
#[track_caller]
fn finds_the_hub_at(host: &Host<'_>, address: &str) {
    let there = || host.run(&addressed("ping -n -c 1 -w 2 10.66.0.1")).is_ok_and(|ping| ping.success());
    let found = wait_until(PATIENCE, || there() && endpoint(host).is_ok_and(|seen| seen == address));
    assert!(found, "{} dials {:?} and not {address}", host.name(), endpoint(host));
}

#[test]
fn a_tunnel_follows_the_name_of_its_server_through_both_families_and_the_loop_comes_and_goes_with_it() -> Result {
    if outside() != Family::Dual {
        eprintln!("skipped: the name changes from one family to the other outside");
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    let routers = [lab.host("plain"), lab.host("units")];
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", NAME, "--address", "10.66.0.1", "--ssh", "hub"]);
    for (router, lan) in [("plain", "192.168.11.0/24"), ("units", "192.168.12.0/24")] {
        admin.ok(&["add", "router", router, "--lan", lan, "--ssh", router]);
    }
    // IPv6 is preferred, and leads nowhere.
    let (four, six) = ("198.51.100.10", "2001:db8:51::a");
    gone_from(&lab, &[six])?;
    for router in &routers {
        name_leads(router, &[six, four])?;
    }
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    assert!(follows(&lab.host("hub"))?.is_empty(), "the server dials nobody by a name");
    for router in &routers {
        assert!(!follows(router)?.is_empty());
        hurry(router, 60)?;
        finds_the_hub_at(router, &format!("{four}:51820"));
    }

    // It moves: the name leads elsewhere, and where it was there is silence.
    let new = "198.51.100.50";
    lab.host("hub").sh(&format!("ip address add {new}/24 dev eth0"))?;
    gone_from(&lab, &[four, six])?;
    for router in &routers {
        name_leads(router, &[new])?;
        hurry(router, 5)?;
        finds_the_hub_at(router, &format!("{new}:51820"));
    }
    // Its IPv6 address is back, and that is all there is.
    gone_from(&lab, &[four, new])?;
    for router in &routers {
        name_leads(router, &[six])?;
        finds_the_hub_at(router, &format!("[{six}]:51820"));
    }
    admin.ok(&["plan", "--exit-code"]);

    // Somebody ends it, and edits its file: found, and mended without touching the interface.
    for router in &routers {
        let index = router.sh("cat /sys/class/net/wg0/ifindex")?;
        let process = follows(router)?.split(' ').next().unwrap_or_default().to_owned();
        router.sh(&format!("kill -9 {process}; echo '# mine' >> {SCRIPT}"))?;
        let found = admin.run(&["drift", "check", router.name()]);
        assert_eq!(found.status, 3, "{}{}", found.stdout, found.stderr);
        assert!(found.stdout.contains("resolver_stopped") && found.stdout.contains("file_changed"), "{}", found.stdout);
        admin.ok(&["deploy", router.name(), "--yes"]);
        assert!(!follows(router)?.is_empty() && !router.read(SCRIPT)?.contains("# mine"));
        admin.ok(&["plan", router.name(), "--exit-code"]);
        assert_eq!(router.sh("cat /sys/class/net/wg0/ifindex")?, index);
    }

    // It goes and comes with the interface, and with the host.
    let [plain, units] = &routers;
    plain.sh(DOWN)?;
    assert_eq!(follows(plain)?, "");
    plain.sh("wg-quick up wg0")?;
    units.reboot()?;
    for router in &routers {
        assert!(wait_until(PATIENCE, || follows(router).is_ok_and(|line| !line.is_empty())), "{}", router.name());
    }
    admin.ok(&["plan", "--exit-code"]);

    // Copied by hand without its script, the file works all the same.
    plain.sh(&format!("{DOWN}; mv {SCRIPT} /root/; wg-quick up wg0; mv /root/wgf-resolve-wg0.sh {SCRIPT}"))?;
    assert_eq!(follows(plain)?, "");
    admin.ok(&["deploy", "plain", "--yes"]);

    // An address doesn't move: nothing is left of the loop, live.
    let indices = routers.each_ref().map(|router| router.sh("cat /sys/class/net/wg0/ifindex"));
    admin.ok(&["set", "hub", &format!("endpoint=[{six}]:51820")]);
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    for (router, index) in routers.iter().zip(indices) {
        assert_eq!(router.sh("cat /sys/class/net/wg0/ifindex")?, index?);
        assert_eq!(router.run("ls /etc/wireguard/wgf-resolve* /run/wg-friend/resolve*")?.stdout, "");
        assert!(!router.sh("ps ax")?.contains("wgf-resolve"));
        reaches_the_hub(router);
    }
    Ok(())
}
