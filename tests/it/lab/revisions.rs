//! Who needs a new file after a change, what a handshake proves of the old one, and plans that are carried out as they were
//! saved or not at all.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use wg_friend_lab::{Host, Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::{Admin, DOWN};

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host phone internet:21\n"
        .parse()
        .unwrap()
}

/// A server `a`, a phone, another one that nobody has given anything, deployed.
fn small(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--address", "10.66.0.1", "--ssh", "a"]);
    admin.ok(&["add", "remote", "phone", "tablet"]);
    admin.deploy();
    admin
}

/// Returns what is said of a device.
fn device(admin: &Admin<'_>, name: &str) -> Value {
    admin.json(&["handouts", name])["device"].clone()
}

/// Takes the tunnel down and up again in a later second than the present one: a handshake is told in whole seconds, and one
/// of the very second in which a file was handed out proves nothing.
fn comes_up_later(phone: &Host<'_>) -> Result {
    phone
        .sh(&format!("now=$(date +%s); {DOWN}; until [ \"$(date +%s)\" -gt \"$now\" ]; do :; done; wg-quick up wg0"))?;
    phone.sh(&addressed("ping -n -c 1 -w 30 10.66.0.1")).map(drop)
}

#[test]
fn a_device_is_named_until_it_has_its_new_file_and_shows_it() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let phone = lab.host("phone");
    assert_eq!(device(&admin, "tablet")["state"], "never_handed_out");
    assert!(
        admin.json(&["plan"])["blast"]["devices"].as_array().unwrap().is_empty(),
        "it has nothing that could be old"
    );

    admin.hand_out("phone", str::to_owned)?;
    let given = device(&admin, "phone");
    assert_eq!((&given["state"], &given["given"]["number"]), (&"up_to_date".into(), &1.into()), "{given:#}");
    assert_eq!(given["given"]["in_use"], Value::Null, "no host was asked since");
    comes_up_later(&phone)?;
    admin.ok(&["plan"]);
    assert_eq!(device(&admin, "phone")["given"]["in_use"]["number"], 1);
    assert!(admin.ok(&["show", "phone"]).contains("in use since"), "{}", admin.ok(&["show", "phone"]));

    // Another port: the plan says whom it cuts off, before and after.
    admin.ok(&["set", "a", "endpoint=198.51.100.11:51821", "port=51821"]);
    let plan = admin.json(&["plan"]);
    let cut = &plan["blast"]["devices"][0];
    assert_eq!((&cut["node"], &cut["must"][0]), (&"phone".into(), &"endpoint port 51820 -> 51821".into()), "{plan:#}");
    let lost: Vec<_> = plan["blast"]["loses"].as_array().unwrap().iter().map(|l| (&l["peer"], &l["because"])).collect();
    assert_eq!(lost, [(&"phone".into(), &"port".into())], "{plan:#}");
    let output = admin.run(&["deploy", "--yes", "--no-handshake-check"]);
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    let end = output.stderr.rsplit("1 device must get a new file:").next().unwrap();
    assert_eq!(end.trim(), "phone  must: endpoint port 51820 -> 51821", "{}", output.stderr);

    // It gets its new file, and shows that it uses it.
    admin.hand_out("phone", str::to_owned)?;
    comes_up_later(&phone)?;
    admin.ok(&["drift", "check"]);
    let given = device(&admin, "phone");
    assert_eq!((&given["state"], &given["given"]["in_use"]["number"]), (&"up_to_date".into(), &2.into()), "{given:#}");
    assert!(admin.json(&["plan"])["blast"]["devices"].as_array().unwrap().is_empty());
    Ok(())
}

#[test]
fn the_way_to_a_host_through_its_own_tunnel_is_named_when_a_plan_touches_it() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    // The operator's machine joins the network, and from then on reaches the server through it.
    admin.ok(&["add", "remote", "desk"]);
    admin.deploy();
    let file: String =
        admin.ok(&["generate", "desk"]).lines().filter(|l| !l.starts_with("DNS")).map(|l| format!("{l}\n")).collect();
    let ctl = lab.host("ctl");
    ctl.write("/etc/wireguard/wg0.conf", file)?;
    ctl.sh(&addressed("wg-quick up wg0 && ping -n -c 1 -w 30 10.66.0.1"))?;
    let plan = admin.json(&["plan"]);
    assert!(plan["blast"]["ways"].as_array().unwrap().is_empty(), "nothing changes: {plan:#}");
    lab.write_ssh_config(&addressed("Host a\n  HostName 10.66.0.1\n"))?;
    admin.ok(&["set", "a", "mtu=1400"]);
    let output = admin.run(&["plan", "--json"]);
    ctl.sh("wg-quick down wg0")?;
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    let plan: Value = serde_json::from_str(&output.stdout).unwrap();
    let way = &plan["blast"]["ways"][0];
    assert_eq!((&way["host"], &way["through"]), (&"a".into(), &"wg0".into()), "{plan:#}");
    let touching: Vec<&Value> = plan["hosts"][0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["touches_way"] == true)
        .map(|change| &change["kind"])
        .collect();
    assert_eq!(touching, [&Value::from("mtu")], "{plan:#}");
    Ok(())
}

#[test]
fn a_saved_plan_is_carried_out_as_it_was_or_not_at_all() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let a = lab.host("a");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("monday.plan");
    let file = path.to_str().unwrap();
    let refused = |why: &str| {
        let output = admin.run(&["deploy", file, "--yes"]);
        assert_eq!(output.status, 1, "{}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(why), "{}", output.stderr);
        assert_eq!(a.sh("cat /sys/class/net/wg0/mtu").unwrap().trim(), "1420", "nothing is done");
    };

    // Whoever changes something on the host meanwhile is told of.
    admin.ok(&["set", "a", "mtu=1400"]);
    let shown = admin.ok(&["plan", "-o", file]);
    assert!(shown.contains("mtu 1420 -> 1400"), "{shown}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text.contains("PrivateKey") && text.contains("mtu 1420 -> 1400"), "{text}");
    a.sh(&addressed("wg set wg0 fwmark 0 && ip route add 10.99.0.0/24 dev wg0"))?;
    refused(&addressed("route 10.99.0.0/24"));
    a.sh(&addressed("ip route del 10.99.0.0/24 dev wg0"))?;

    // An edited one is refused, and so is one of an older model.
    std::fs::write(&path, text.replace("1420 -> 1400", "1420 -> 1401")).unwrap();
    refused("isn't as wg-friend wrote it");
    std::fs::write(&path, &text).unwrap();
    admin.ok(&["set", "tablet", "notes=on the shelf"]);
    refused("tablet");

    // Nothing has moved: then it is carried out, and a second time there is nothing to carry out any more.
    admin.ok(&["plan", "-o", file]);
    admin.ok(&["deploy", file, "--yes"]);
    assert_eq!(a.sh("cat /sys/class/net/wg0/mtu")?.trim(), "1400");
    let output = admin.run(&["deploy", "--plan", file, "--yes"]);
    assert_eq!(output.status, 1, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("not needed any more: wg0 ~ mtu 1420 -> 1400"), "{}", output.stderr);
    Ok(())
}

#[test]
fn a_look_at_who_is_connected_and_a_confirmed_deploy_prove_which_file_is_in_use() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let phone = lab.host("phone");
    admin.hand_out("phone", str::to_owned)?;
    comes_up_later(&phone)?;
    assert_eq!(device(&admin, "phone")["given"]["in_use"], Value::Null, "no host was asked since");
    admin.ok(&["status", "--live"]);
    assert_eq!(device(&admin, "phone")["given"]["in_use"]["number"], 1);

    // The server gets another key. The phone has its new file before: only the deploy itself can see that it is used.
    admin.ok(&["rotate", "a", "--now", "--reason", "yearly"]);
    admin.hand_out("phone", str::to_owned)?;
    assert_eq!(device(&admin, "phone")["given"]["in_use"]["number"], 1);
    let second = phone.sh("date +%s")?;
    phone.sh(&format!("until [ \"$(date +%s)\" -gt {} ]; do :; done", second.trim()))?;
    admin.ok(&["deploy", "--yes"]);
    assert_eq!(device(&admin, "phone")["given"]["in_use"]["number"], 2);

    // Whoever needs a new file stands in what is printed for programs, too.
    admin.ok(&["network", "set", "mtu=1380"]);
    let deployed = admin.json(&["deploy", "--yes"]);
    assert_eq!(deployed["hosts"][0]["outcome"], "confirmed", "{deployed:#}");
    let devices = deployed["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1, "{deployed:#}");
    assert_eq!((&devices[0]["node"], &devices[0]["may"][0]), (&"phone".into(), &"MTU 1420 -> 1380".into()));
    Ok(())
}
