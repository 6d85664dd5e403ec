//! One interface of a host: seen, brought up to date by itself, switched off and on, taken away and brought back.

use wg_friend_lab::{Lab, Output, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::{Admin, DOWN};

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// A server and an exit on the other host: the server has an uplink to it beside its main interface.
fn office(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "exit", "out", "--ssh", "b"]);
    admin.ok(&["add", "remote", "alice", "--exit", "out"]);
    admin.deploy();
    admin
}

/// What counts on a host: its files, what runs, and what starts at boot. Not the number of a link, nor the address that
/// the kernel gives it.
fn seen(lab: &Lab, host: &str) -> Result<String> {
    lab.host(host).sh(
        "cat /etc/wireguard/*.conf /etc/wireguard/*.nft 2>/dev/null; wg show all dump | cut -f 1-3,5,9 | grep -v '^$' | sort; \
         ip -o address show | grep wg | grep -v fe80: | sed 's/^[0-9]*: //' | sort; nft list tables; \
         sort /etc/rc.local 2>/dev/null; :",
    )
}

fn uplink(admin: &Admin<'_>) -> String {
    let topology = admin.topology();
    let hub = topology.nodes.iter().find(|node| node.name.as_str() == "hub").unwrap();
    hub.interfaces.iter().map(|i| i.name.to_string()).find(|name| name != "wg0").unwrap()
}

#[track_caller]
fn fails(admin: &Admin<'_>, arguments: &[&str], status: i32, text: &str) -> Output {
    let output = admin.run(arguments);
    assert_eq!(output.status, status, "{}{}", output.stdout, output.stderr);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(text), "{said}");
    output
}

#[test]
fn an_interface_is_switched_off_and_on_and_the_others_keep_running() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let uplink = uplink(&admin);
    let before = seen(&lab, "a")?;
    let counters = "cat /sys/class/net/wg0/ifindex";
    let index = lab.host("a").sh(counters)?;

    fails(&admin, &["interface", "disable", "hub", "--yes"], 1, "has several interfaces");
    fails(&admin, &["interface", "disable", "hub", "wg9", "--yes"], 1, "no interface named `wg9`");
    fails(&admin, &["interface", "disable", "hbu", "--yes"], 1, "did you mean `hub`");
    let shown = admin.json(&["interface", "disable", "hub", &uplink, "--dry-run"]);
    assert_eq!(shown["hosts"][0]["changes"][0]["kind"], "interface_extra", "{shown:#}");
    assert_eq!(seen(&lab, "a")?, before);

    let off = admin.json(&["interface", "disable", "hub", &uplink, "--yes"]);
    assert_eq!(
        (&off["before"]["run"], &off["before"]["up"], &off["run"]),
        (&"boot".into(), &true.into(), &"off".into())
    );
    assert_eq!(off["before"]["at_boot"], true);
    let now = seen(&lab, "a")?;
    assert!(
        lab.host("a")
            .sh(&format!("test -e /etc/wireguard/{uplink}.conf; ip link show {uplink} 2>&1 || :"))?
            .contains("does not exist")
    );
    assert!(!lab.host("a").sh("wg show interfaces")?.contains(&uplink), "{now}");
    assert_eq!(lab.host("a").sh(counters)?, index, "wg0 went on running");
    assert!(!lab.host("a").sh("cat /etc/rc.local 2>/dev/null || :")?.contains(&uplink));
    admin.ok(&["plan", "--exit-code"]);

    // Somebody brings it up by hand: that is told, and mended.
    lab.host("a").sh(&format!("wg-quick up {uplink}"))?;
    let drift = admin.run(&["drift", "check", "hub", "--json"]);
    assert_eq!(drift.status, 3, "{}", drift.stdout);
    assert!(drift.stdout.contains("interface_added"), "{}", drift.stdout);
    admin.ok(&["interface", "sync", "hub", &uplink, "--yes"]);
    assert!(!lab.host("a").sh("wg show interfaces")?.contains(&uplink));

    let on = admin.json(&["interface", "enable", "hub", &uplink, "--yes"]);
    assert_eq!((&on["before"]["run"], &on["before"]["up"], &on["run"]), (&"off".into(), &false.into(), &"boot".into()));
    assert_eq!(seen(&lab, "a")?, before, "as it was, byte for byte");
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(lab.host("a").sh(counters)?, index);
    Ok(())
}

#[test]
fn a_deploy_to_one_interface_leaves_the_others_as_they_are() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let uplink = uplink(&admin);
    // The model changes both interfaces of the host, and somebody changes the other one and its firewall by hand.
    admin.ok(&["add", "remote", "bob"]);
    admin.ok(&["interface", "set", "hub", &uplink, "mtu=1300"]);
    lab.host("a").sh("ip link set wg0 mtu 1350; nft add rule inet wgf_wg0 forward counter accept")?;
    admin.ok(&["interface", "sync", "hub", &uplink, "--yes"]);
    assert_eq!(lab.host("a").sh(&format!("cat /sys/class/net/{uplink}/mtu"))?.trim(), "1300");
    assert_eq!(lab.host("a").sh("cat /sys/class/net/wg0/mtu")?.trim(), "1350");
    // What was pending or drifted before still is, and is told apart.
    let plan = admin.json(&["plan", "hub"]);
    let changes = plan["hosts"][0]["changes"].as_array().unwrap();
    let found: Vec<(String, String)> = changes
        .iter()
        .map(|change| (change["kind"].as_str().unwrap().to_owned(), change["cause"].as_str().unwrap().to_owned()))
        .collect();
    for wanted in [("mtu", "drift"), ("firewall", "pending"), ("peer_missing", "pending"), ("file", "pending")] {
        assert!(found.iter().any(|(kind, cause)| (kind.as_str(), cause.as_str()) == wanted), "{wanted:?}: {found:?}");
    }
    admin.ok(&["interface", "sync", "hub", "wg0", "--yes"]);
    admin.ok(&["plan", "--exit-code"]);
    Ok(())
}

#[test]
fn an_interface_is_taken_away_and_comes_back_as_it_was_found() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let uplink = uplink(&admin);
    let whole = seen(&lab, "a")?;
    // Drifted, in what runs and in the file.
    let stranger = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    lab.host("a").sh(&addressed(&format!(
        "wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32; sed -i '/^\\[Interface\\]/i # as found' /etc/wireguard/wg0.conf"
    )))?;
    let gone = admin.json(&["interface", "delete", "hub", "wg0", "--yes"]);
    assert_eq!((&gone["run"], &gone["saved"]), (&"gone".into(), &true.into()), "{gone:#}");
    let version = gone["copy"]["version"].as_i64().unwrap().to_string();
    let left = lab
        .host("a")
        .sh("ls /etc/wireguard; wg show interfaces; nft list tables; cat /etc/rc.local 2>/dev/null || :")?;
    assert!(!left.contains("wg0"), "{left}");
    assert!(left.contains(&uplink));
    admin.ok(&["plan", "--exit-code"]);
    assert!(admin.ok(&["history", "hub"]).contains("found"));

    // The copy, with what somebody had changed by hand.
    admin.ok(&["rollback", "hub", &version, "--yes"]);
    let file = lab.host("a").sh("cat /etc/wireguard/wg0.conf")?;
    assert!(file.contains("# as found") && file.contains(stranger), "{file}");
    assert!(lab.host("a").sh("wg show wg0 allowed-ips")?.contains(&addressed("10.66.0.99/32")));
    assert!(lab.host("a").sh("wg show interfaces")?.contains(&uplink));

    // And again as the model has it.
    admin.ok(&["interface", "enable", "hub", "wg0", "--yes"]);
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(seen(&lab, "a")?, whole);
    Ok(())
}

#[test]
fn what_fails_leaves_the_tunnel_up() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let before = seen(&lab, "a")?;
    let as_before = |what: &str| -> Result {
        assert_eq!(seen(&lab, "a")?, before, "{what}");
        Ok(())
    };

    // A dead command, such as those that the hooks need, and a disk that takes no new file.
    for (turn, dead, heal) in [
        ("delete", "mv /usr/sbin/nft /run/nft", "mv /run/nft /usr/sbin/nft"),
        ("delete", "mv /usr/bin/wg-quick /run/wg-quick", "mv /run/wg-quick /usr/bin/wg-quick"),
        // It is down already when this fails, and comes up again.
        (
            "disable",
            "mv /usr/sbin/nft /run/nft; printf '#!/bin/sh\\ncase \"$*\" in *delete*) echo broken >&2; exit 1 ;; esac\\n\
             exec /run/nft \"$@\"\\n' > /usr/sbin/nft; chmod 755 /usr/sbin/nft",
            "mv /run/nft /usr/sbin/nft",
        ),
        ("disable", "mount -t tmpfs -o ro none /var/lib/wg-friend", "umount /var/lib/wg-friend"),
    ] {
        lab.host("a").sh(dead)?;
        let output = admin.run(&["interface", turn, "hub", "wg0", "--yes"]);
        lab.host("a").sh(heal)?;
        assert_eq!(output.status, 4, "{turn}: {}{}", output.stdout, output.stderr);
        as_before(turn)?;
    }

    // A bad port: somebody else has it. A bad hook: it fails when the interface comes up.
    let port = "nohup socat -u UDP-RECV:51999 /dev/null >/dev/null 2>&1 & echo $! > /run/port.pid";
    lab.host("a").sh(port)?;
    admin.ok(&["interface", "set", "hub", "wg0", "listen-port=51999"]);
    let output = admin.run(&["interface", "sync", "hub", "wg0", "--yes"]);
    lab.host("a").sh("kill $(cat /run/port.pid)")?;
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    as_before("a bad port")?;
    admin.ok(&["interface", "set", "hub", "wg0", "listen-port=51820"]);
    admin.ok(&[
        "interface",
        "set",
        "hub",
        "wg0",
        "table=off",
        "post-up=ip route add 10.99.0.0/24 dev nowhere",
        "post-down=ip route del 10.99.0.0/24 dev nowhere",
    ]);
    let output = admin.run(&["interface", "sync", "hub", "wg0", "--yes"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    as_before("a bad hook")?;
    admin.ok(&["interface", "set", "hub", "wg0", "table=default", "post-up=none", "post-down=none"]);

    admin.ok(&["plan", "--exit-code"]);
    Ok(())
}

#[test]
fn the_way_to_a_host_is_not_cut() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    // From now on by the tunnel, over the hub.
    let address = admin.addresses("out")[0];
    let key = lab.host("b").sh("cut -d ' ' -f 1-2 /etc/ssh/ssh_host_ed25519_key.pub")?;
    let mut known = std::fs::OpenOptions::new().append(true).open(lab.known_hosts()).unwrap();
    std::io::Write::write_all(&mut known, format!("{address} {}\n", key.trim()).as_bytes()).unwrap();
    admin.ok(&["host", "set", "out", &format!("address=root@{address}"), "jump=root@198.51.100.11"]);
    let before = seen(&lab, "b")?;
    fails(&admin, &["interface", "disable", "out", "wg0"], 1, "the way to `out` goes through wg0");
    assert_eq!(seen(&lab, "b")?, before);
    // Tried all the same, it comes back by itself.
    let output = admin.run(&["interface", "delete", "out", "wg0", "--yes", "--confirm-timeout", "12"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(seen(&lab, "b")?, before);
    Ok(())
}

#[test]
fn a_host_makes_its_own_key_and_peers_follow() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "branch", "--lan", "192.168.11.0/24", "--ssh", "b"]);
    admin.deploy();
    let own = |what: &str| lab.host("a").sh(what);
    let held = own("cat /etc/wireguard/wg0.conf | grep PrivateKey")?;
    let made = admin.json(&["interface", "key", "hub", "wg0", "--make-on-host"]);
    assert_eq!(made["action"], "rotated", "{made:#}");
    let view = admin.json(&["interface", "key", "hub", "wg0"]);
    let file = view["file_on_host"].as_str().unwrap().to_owned();
    assert_eq!((&view["custody"], view["retired"].as_array().unwrap().len()), (&"never_seen".into(), 1), "{view:#}");
    fails(&admin, &["interface", "key", "hub", "wg0", "--reveal", "--yes"], 1, "is not here");
    admin.deploy();
    let text = own("cat /etc/wireguard/wg0.conf")?;
    assert!(
        !text.contains("PrivateKey =") && text.contains(&format!("wg set %i private-key /etc/wireguard/{file}")),
        "{text}"
    );
    assert_eq!(own("wg show wg0 public-key")?.trim(), view["public_key"].as_str().unwrap());
    assert_eq!(own(&format!("stat -c %a /etc/wireguard/{file}"))?.trim(), "600");
    admin.ok(&["plan", "--exit-code"]);
    // It is nowhere here.
    let key = own(&format!("cat /etc/wireguard/{file}"))?;
    assert_ne!(held.trim(), key.trim());
    // The tunnel lives, and still does after the interface was restarted.
    let alive =
        || -> Result<String> { lab.host("b").sh(&addressed("ping -n -c 1 -w 20 10.66.0.1 >/dev/null && echo yes")) };
    assert_eq!(alive()?.trim(), "yes");
    own(&format!("{DOWN} && wg-quick up wg0"))?;
    assert_eq!(alive()?.trim(), "yes");

    // The same anew: the old key goes once the new one is confirmed.
    admin.ok(&["rotate", "hub", "--reason", "yearly"]);
    assert_eq!(own("ls /etc/wireguard | grep -c 'wg-friend-.*key'")?.trim(), "2");
    admin.deploy();
    assert_eq!(own("ls /etc/wireguard | grep -c 'wg-friend-.*key'")?.trim(), "1");
    assert_eq!(alive()?.trim(), "yes");
    admin.ok(&["plan", "--exit-code"]);

    // And back.
    admin.ok(&["interface", "key", "hub", "wg0", "--make-here"]);
    admin.deploy();
    assert!(own("cat /etc/wireguard/wg0.conf")?.contains("PrivateKey ="));
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(alive()?.trim(), "yes");
    let revealed = admin.ok(&["interface", "key", "hub", "wg0", "--reveal", "--yes"]);
    assert!(own("cat /etc/wireguard/wg0.conf")?.contains(revealed.trim()));
    let log = admin.json(&["audit", "log", "--action", "secret_revealed"]);
    assert_eq!(log["entries"][0]["severity"], "warning", "{log:#}");
    Ok(())
}

#[test]
fn what_is_shown_of_an_interface_is_what_the_model_says_what_was_deployed_and_what_the_host_has() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let shown = admin.json(&["interface", "show", "hub", "wg0"]);
    let of = |shown: &serde_json::Value, setting: &str| {
        let rows = shown["interfaces"][0]["settings"].as_array().unwrap();
        rows.iter().find(|row| row["setting"] == setting).unwrap().clone()
    };
    for row in shown["interfaces"][0]["settings"].as_array().unwrap() {
        assert_eq!((&row["pending"], &row["drift"]), (&false.into(), &false.into()), "{row:#}");
    }
    admin.ok(&["interface", "set", "hub", "wg0", "listen-port=51999"]);
    lab.host("a").sh("ip link set wg0 mtu 1333")?;
    let shown = admin.json(&["interface", "show", "hub", "wg0"]);
    let port = of(&shown, "port");
    assert_eq!((&port["model"], &port["observed"], &port["pending"]), (&"51999".into(), &"51820".into(), &true.into()));
    let mtu = of(&shown, "mtu");
    assert_eq!((&mtu["observed"], &mtu["drift"]), (&"1333".into(), &true.into()), "{mtu:#}");
    let key = lab.host("a").sh("sed -n 's/PrivateKey = //p' /etc/wireguard/wg0.conf")?;
    assert!(!shown.to_string().contains(key.trim()));
    let stored = admin.json(&["interface", "show", "hub", "wg0", "--no-live"]);
    assert_eq!(of(&stored, "port")["observed"], serde_json::Value::Null);
    assert!(stored["interfaces"][0]["not_observed"].is_string());
    assert_eq!(admin.json(&["interface", "show"])["interfaces"].as_array().unwrap().len(), 3);
    Ok(())
}

#[test]
fn changes_go_to_hosts_by_themselves_but_never_past_what_somebody_did_there() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    let mtu = |host: &str| -> Result<String> { Ok(lab.host(host).sh("cat /sys/class/net/wg0/mtu")?.trim().to_owned()) };
    admin.ok(&["host", "set", "hub", "auto-sync=on_change"]);
    admin.ok(&["host", "set", "out", "auto-sync=scheduled"]);
    let versions = || admin.json(&["history", "hub"])["versions"].as_array().unwrap().len();
    let before = versions();
    let output = admin.run(&["network", "set", "mtu=1380"]);
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("taking the change to hub"), "{}", output.stderr);
    assert_eq!((mtu("a")?.as_str(), mtu("b")?.as_str()), ("1380", "1420"));
    assert_eq!(versions(), before + 1);
    // What doesn't concern the host doesn't go there.
    admin.ok(&["set", "alice", "notes=hers"]);
    assert_eq!(versions(), before + 1);
    assert_eq!(admin.run(&["plan", "hub", "--exit-code"]).status, 0);

    let synced = admin.json(&["sync"]);
    assert_eq!(
        (&synced["hosts"][0]["host"], &synced["hosts"][0]["outcome"]["outcome"]),
        (&"out".into(), &"confirmed".into()),
        "{synced:#}"
    );
    assert_eq!(mtu("b")?, "1380");
    let entries = admin.json(&["audit", "log", "--action", "config_deployed", "--limit", "1"]);
    assert_eq!(entries["entries"][0]["source"], "job", "{entries:#}");
    assert_eq!(admin.json(&["sync"])["hosts"][0]["outcome"]["outcome"], "unchanged");

    // Somebody changed the hosts by hand: nothing goes there until that is settled.
    for host in ["a", "b"] {
        lab.host(host).sh("ip link set wg0 mtu 1333")?;
    }
    let output = admin.run(&["network", "set", "mtu=1390"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("left as it is") && output.stderr.contains("by hand"), "{}", output.stderr);
    fails(&admin, &["sync"], 4, "left as it is");
    assert_eq!((mtu("a")?.as_str(), mtu("b")?.as_str()), ("1333", "1333"));
    Ok(())
}

#[test]
fn the_history_of_an_interface_says_what_deploys_made_of_it() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    admin.ok(&["interface", "set", "hub", "wg0", "listen-port=51999"]);
    admin.deploy();
    admin.ok(&["interface", "set", "hub", "wgx1", "mtu=1300"]);
    admin.deploy();
    let of = |name: &str| -> Vec<i64> {
        let found = admin.json(&["history", "hub", name]);
        found["versions"].as_array().unwrap().iter().map(|step| step["version"].as_i64().unwrap()).collect()
    };
    assert_eq!((of("wg0"), of("wgx1")), (vec![2, 1], vec![3, 1]));
    let text = admin.ok(&["history", "diff", "1", "2", "--host", "hub", "--interface", "wg0"]);
    assert!(text.contains("-ListenPort = 51820") && text.contains("+ListenPort = 51999"), "{text}");
    let key = lab.host("a").sh("sed -n 's/PrivateKey = //p' /etc/wireguard/wg0.conf")?;
    assert!(!admin.ok(&["history", "hub", "wg0", "-v"]).contains(key.trim()));
    fails(&admin, &["history", "hub", "wg7"], 1, "no version of the host `hub` has an interface named `wg7`");
    fails(&admin, &["history", "diff", "9", "--host", "hub"], 1, "has no version 9");
    Ok(())
}

/// A resolvconf(8) that keeps what it is told about each interface in a file.
const RESOLVCONF: &str =
    "#!/bin/sh\nmkdir -p /run/told\ncase $1 in\n-a) cat > \"/run/told/$2\" ;;\n-d) rm -f \"/run/told/$2\" ;;\nesac\n";

#[test]
fn other_dns_servers_and_another_routing_table_are_deployed_and_confirmed() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "remote", "desk", "--ssh", "b"]);
    let b = lab.host("b");
    b.write("/usr/local/bin/resolvconf", RESOLVCONF)?;
    b.sh("chmod 755 /usr/local/bin/resolvconf")?;
    admin.deploy();
    let told = || -> Result<String> { Ok(b.sh("cat /run/told/wg0 2>/dev/null || echo nothing")?.trim().to_owned()) };
    let index = || b.sh("cat /sys/class/net/wg0/ifindex");
    let change = |settings: &[&str], kind: &str| {
        admin.ok(settings);
        let plan = admin.json(&["plan", "desk"]);
        let changes = plan["hosts"][0]["changes"].as_array().unwrap();
        assert!(changes.iter().any(|change| change["kind"] == kind), "{plan:#}");
        let output = admin.run(&["deploy", "desk", "--yes", "--json"]);
        assert!(output.stdout.contains("\"confirmed\""), "{}{}", output.stdout, output.stderr);
        admin.ok(&["plan", "--exit-code"]);
    };
    let before = index()?;
    for (dns, lines) in [
        ("dns=10.66.0.53,home.example", "nameserver 10.66.0.53\nsearch home.example"),
        ("dns=10.66.0.54", "nameserver 10.66.0.54"),
        ("dns=none", "nothing"),
    ] {
        change(&["set", "desk", dns], "dns");
        assert_eq!((told()?, index()?), (addressed(lines), before.clone()), "{dns}: while the interface runs");
    }

    // What isn't confirmed is told to the resolver again as it was.
    change(&["set", "desk", "dns=10.66.0.53"], "dns");
    admin.ok(&["set", "desk", "dns=10.66.0.54"]);
    let hooks = ["post-up=ip route add 10.99.0.0/24 dev nowhere", "post-down=ip route del 10.99.0.0/24 dev nowhere"];
    admin.ok(&["interface", "set", "desk", "wg0", hooks[0], hooks[1]]);
    let output = admin.run(&["deploy", "desk", "--yes", "--confirm-timeout", "12"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert_eq!(told()?, addressed("nameserver 10.66.0.53"));
    admin.ok(&["interface", "set", "desk", "wg0", "post-up=none", "post-down=none"]);

    // A table by name is wg-quick's own: the interface goes down and up, and its host has to show that all is well.
    b.sh("mkdir -p /etc/iproute2; echo '77 lab' >> /etc/iproute2/rt_tables")?;
    change(&["interface", "set", "desk", "wg0", "table=lab"], "restart");
    assert_eq!(told()?, addressed("nameserver 10.66.0.54"));
    Ok(())
}
