//! A direct link that fails, and whose traffic goes over the servers until it is up again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Host, HostSpec, Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

const PATIENCE: Duration = Duration::from_secs(240);
const SCRIPT: &str = "/etc/wireguard/wgf-fallback-wg0.sh";

/// The office with hosts for a second server and for a third router, one of the routers with systemd.
fn spec() -> Spec {
    let more =
        Spec::office().host(HostSpec::new("hub2").on("internet", 13)).host(HostSpec::new("site").on("internet", 14));
    more.with("router-b", HostSpec::systemd)
}

/// Two servers with a router each, and a third router; the first is linked with both others, and the link to the second
/// gives way.
fn make(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.make_office();
    let second = ["add", "server", "hub2", "--endpoint", "198.51.100.13", "--address", "10.66.0.2", "--ssh", "hub2"];
    admin.ok(&second.map(addressed).each_ref().map(String::as_str));
    for node in ["router-b", "exit-b", "remote3"] {
        admin.ok(&["set", node, "server=hub2"]);
    }
    admin.ok(&["add", "router", "site", "--ssh", "site"]);
    for router in ["router-b", "site"] {
        admin.ok(&["set", router, &format!("endpoint={}", lab.host(router).address())]);
    }
    admin.ok(&["link", "router-a", "router-b", "--when-down", "move"]);
    admin.ok(&["link", "router-a", "site"]);
    admin.deploy();
    admin
}

/// The routers and servers by their public keys.
struct Keys<'a> {
    lab: &'a Lab,
    names: BTreeMap<String, &'static str>,
}

impl<'a> Keys<'a> {
    fn of(admin: &Admin<'a>) -> Self {
        let key = |name| admin.json(&["show", name])["interfaces"][0]["public_key"].as_str().unwrap().to_owned();
        let names = ["hub", "hub2", "router-a", "router-b", "site"];
        Self { lab: admin.lab, names: names.into_iter().map(|name| (key(name), name)).collect() }
    }

    /// Returns the peer to which a router sends what is for a prefix.
    fn sends(&self, router: &str, prefix: &str) -> Result<&'static str> {
        let allowed = self.lab.host(router).sh("wg show wg0 allowed-ips")?;
        let carries = |line: &&str| line.split(['\t', ' ']).any(|word| word == prefix);
        let key = allowed.lines().find(carries).and_then(|line| line.split('\t').next());
        Ok(key.and_then(|key| self.names.get(key)).copied().unwrap_or("nobody"))
    }

    /// Waits until it is this one.
    #[track_caller]
    fn becomes(&self, router: &str, prefix: &str, peer: &str) {
        let there = || self.sends(router, prefix).is_ok_and(|found| found == peer);
        let host = self.lab.host(router);
        assert!(wait_until(PATIENCE, there), "{router}: {:?}", host.run("wg show wg0; cat /run/wg-friend/moved-wg0"));
    }
}

/// Has the loop look every second, and take a link for down after so many seconds of silence.
fn hurry(host: &Host<'_>, stale: u32) -> Result {
    host.sh(&format!("WGF_EVERY=1 WGF_STALE={stale} sh {SCRIPT} start")).map(drop)
}

/// The LANs behind the two routers, in a family that the run has.
fn lans() -> [String; 2] {
    ["192.168.11.0/24", "192.168.12.0/24"].map(addressed)
}

#[test]
fn what_a_failed_link_carried_goes_over_the_servers_and_comes_back_while_another_link_stays_down() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab);
    let keys = Keys::of(&admin);
    let [router_a, router_b, site] = ["router-a", "router-b", "site"].map(|name| lab.host(name));
    let [lan_a, lan_b] = lans();
    let pc_b = lab.host("pc-b").address().to_string();
    let reaches = |seconds: u32| -> Result<bool> {
        Ok(lab.host("pc-a").run(&format!("ping -n -c 1 -w {seconds} {pc_b}"))?.success())
    };
    assert!(reaches(30)?, "by the direct link");
    assert_eq!([keys.sends("router-a", &lan_b)?, keys.sends("router-b", &lan_a)?], ["router-b", "router-a"]);
    let to_site = admin.addresses("site")[0].to_string();
    let reaches_site =
        |seconds: u32| router_a.run(&format!("ping -n -c 1 -w {seconds} {to_site}")).map(|ping| ping.success());
    assert!(reaches_site(30)?);
    assert!(
        admin.ok(&["topology"]).contains("router-a ⇄ router-b  direct link, weight 1, moves to the servers when down")
    );
    admin.ok(&["plan", "--exit-code"]);

    // Others notice nothing of all that follows.
    let streams = [
        lab.ping_stream("router-a", &addressed("10.66.0.1"), 20)?,
        lab.ping_stream("pc-b", &addressed("10.66.0.2"), 20)?,
    ];

    // No packet gets from the first router to the other two any more, and none back.
    let of = |host: &Host<'_>| host.address().to_string();
    let family = if of(&router_a).contains(':') { "ip6" } else { "ip" };
    let three = [&router_a, &router_b, &site].map(of).join(", ");
    lab.drop_packets("router-a", &format!("{family} saddr {{ {three} }} {family} daddr {{ {three} }}"))?;
    assert!(!reaches(3)?, "nothing has moved yet");
    let begun = Instant::now();
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    if !long {
        hurry(&router_a, 15)?;
        hurry(&router_b, 15)?;
    }
    keys.becomes("router-a", &lan_b, "hub");
    keys.becomes("router-b", &lan_a, "hub2");
    assert!(reaches(10)?, "by way of both servers");
    if long {
        // The bound that the guide names, and half a minute for a machine that is busy.
        assert!(begun.elapsed() < Duration::from_secs(230 + 30), "{:?}", begun.elapsed());
    }
    assert!(!reaches_site(3)?, "the other link stays down");

    // It is no drift, it is told, and there is nothing to deploy.
    admin.ok(&["plan", "--exit-code"]);
    admin.ok(&["drift", "check"]);
    let status = admin.json(&["status", "--live"]);
    let told = status["links"].as_array().unwrap().iter().find(|link| !link["moved"].is_null()).unwrap();
    assert!(
        ["hub", "hub2"].iter().any(|hub| told["moved"]["over"] == *hub) && told["moved"]["since"].is_string(),
        "{told:#}"
    );
    assert!(admin.ok(&["status", "--live"]).contains("is down: moved to the way over hub"));

    // A deploy of what concerns it keeps it where it is, and loses nothing.
    let stream = lab.ping_stream("pc-a", &pc_b, 20)?;
    admin.ok(&["set", "router-b", &addressed("lan+=192.168.99.0/24")]);
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(keys.sends("router-a", &addressed("192.168.99.0/24"))?, "hub");
    assert_eq!([keys.sends("router-a", &lan_b)?, keys.sends("router-b", &lan_a)?], ["hub", "hub2"]);
    let report = stream.stop()?;
    assert_eq!(report.lost, 0, "{report:?}");
    for stream in streams {
        let report = stream.stop()?;
        assert!(report.sent > 100, "{report:?}");
        assert_eq!(report.lost, 0, "{report:?}");
    }

    // What boots has its links as they are written, and finds out anew.
    router_a.reboot()?;
    assert!(wait_until(PATIENCE, || router_a
        .run("test -s /run/wg-friend/fallback-wg0")
        .is_ok_and(|there| there.success())));
    assert_eq!(keys.sends("router-a", &lan_b)?, "router-b");
    hurry(&router_a, 5)?;
    keys.becomes("router-a", &lan_b, "hub");
    assert!(wait_until(PATIENCE, || reaches(5).is_ok_and(|there| there)), "by way of both servers again");

    // The link is back, and so is what it carries.
    router_a.sh(&format!("sh {SCRIPT} start"))?;
    lab.heal("router-a")?;
    keys.becomes("router-a", &lan_b, "router-b");
    keys.becomes("router-b", &lan_a, "router-a");
    assert!(reaches(10)? && reaches_site(30)?);
    for router in [&router_a, &router_b] {
        assert!(router.run("cat /run/wg-friend/moved-wg0 2>/dev/null")?.stdout.is_empty());
    }
    admin.ok(&["plan", "--exit-code"]);
    admin.ok(&["drift", "check"]);

    // Somebody ends the loop: found, and mended. Without a wish for it nothing is left.
    let process = router_a.sh("cut -d ' ' -f 1 /run/wg-friend/fallback-wg0")?;
    router_a.sh(&format!("kill -9 {}", process.trim()))?;
    let found = admin.run(&["drift", "check", "router-a"]);
    assert!(found.status == 3 && found.stdout.contains("fallback_stopped"), "{}{}", found.stdout, found.stderr);
    admin.ok(&["deploy", "router-a", "--yes"]);
    admin.ok(&["plan", "--exit-code"]);
    admin.ok(&["link", "router-a", "router-b", "--when-down", "stay"]);
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    for router in [&router_a, &router_b] {
        assert_eq!(
            router.run("ls /etc/wireguard/wgf-fallback* /run/wg-friend/fallback* /run/wg-friend/moved*")?.stdout,
            ""
        );
        assert!(!router.sh("ps ax")?.contains("wgf-fallback"));
    }
    assert!(reaches(10)?);
    Ok(())
}

#[test]
fn a_link_that_is_taken_away_while_its_traffic_has_moved_leaves_nothing_and_loses_nothing() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab);
    let keys = Keys::of(&admin);
    let [router_a, router_b] = ["router-a", "router-b"].map(|name| lab.host(name));
    let [_, lan_b] = lans();
    let pc_b = lab.host("pc-b").address().to_string();
    let (a, b) = (router_a.address().to_string(), router_b.address().to_string());
    let family = if a.contains(':') { "ip6" } else { "ip" };
    lab.drop_packets("router-a", &format!("{family} saddr {{ {a}, {b} }} {family} daddr {{ {a}, {b} }}"))?;
    for router in [&router_a, &router_b] {
        hurry(router, 10)?;
    }
    keys.becomes("router-a", &lan_b, "hub");
    keys.becomes("router-b", &lans()[0], "hub2");
    lab.host("pc-a").sh(&format!("ping -n -c 1 -w 60 {pc_b}"))?;

    let stream = lab.ping_stream("pc-a", &pc_b, 20)?;
    admin.ok(&["unlink", "router-a", "router-b"]);
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    let report = stream.stop()?;
    assert!(report.sent > 20 && report.lost == 0, "{report:?}");
    for router in [&router_a, &router_b] {
        assert_eq!(
            router.run("ls /etc/wireguard/wgf-fallback* /run/wg-friend/fallback* /run/wg-friend/moved*")?.stdout,
            ""
        );
        assert!(!router.sh("ps ax")?.contains("wgf-fallback"));
    }

    // Linked again, and taken off the host with all that is there.
    lab.heal("router-a")?;
    admin.ok(&["link", "router-a", "router-b", "--when-down", "move"]);
    admin.deploy();
    admin.ok(&["host", "uninstall", "router-b", "--yes"]);
    assert_eq!(router_b.run("ls -d /etc/wireguard/* /run/wg-friend /var/lib/wg-friend")?.stdout, "");
    assert!(!router_b.sh("ps ax")?.contains("wgf-"));
    Ok(())
}
