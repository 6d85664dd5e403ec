//! A network that somebody made by hand, with hooks and comments, adopted from its running hosts.

use wg_friend_lab::{Lab, Result, Spec};

use super::family::{lab_or_skip, lacks_ipv4};
use super::office::Admin;

/// A company of six by hand: a server, two routers, three clients that are hosts too.
pub(super) fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network lan-a 192.168.11.0/24\n\
     network lan-b 192.168.12.0/24\n\
     host ctl internet:2 controller\n\
     host web internet:80 web\n\
     host hub internet:10 init=systemd\n\
     host office internet:11 lan-a:1\n\
     host depot internet:12 lan-b:1\n\
     host alice internet:21\n\
     host bob internet:22\n\
     host carol internet:23\n\
     host printer lan-a:50 gateway=office\n\
     host shelf lan-b:50 gateway=depot\n"
        .parse()
        .unwrap()
}

pub(super) const NAMES: [&str; 6] = ["hub", "office", "depot", "alice", "bob", "carol"];

/// What each file looks like; `{key:NAME}` is the private key of a host, `{pub:NAME}` its public half, `{psk}` a key that
/// two share.
fn files() -> [(&'static str, &'static str); 6] {
    [
        (
            "hub",
            "# WireGuard hub -- talk to Tom before touching this!\n\
             \n\
             [Interface]\n\
             # main key, generated 2021-03-04\n\
             PrivateKey = {key:hub}\n\
             Address\t= 10.44.0.1/24\n\
             Address = fd44::1/64\n\
             ListenPort=51820\n\
             \n\
             # NAT for the road warriors\n\
             PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -A FORWARD -o %i -j ACCEPT\n\
             PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n\
             PostUp = sysctl -q -w net.ipv4.ip_forward=1   # or nothing works\n\
             # hanging connections, 2022\n\
             PostUp = iptables -t mangle -A FORWARD -i %i -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n\
             PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -D FORWARD -o %i -j ACCEPT\n\
             PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE\n\
             PostDown = iptables -t mangle -D FORWARD -i %i -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n\
             \n\
             ### office router (Hamburg), static endpoint\n\
             [Peer]\n\
             PublicKey = {pub:office}\n\
             AllowedIPs = 10.44.0.20/32, 192.168.11.0/24\n\
             Endpoint = 198.51.100.11:51820\n\
             \n\
             # depot\n\
             [Peer]\n\
             publickey = {pub:depot}\n\
             ALLOWEDIPS = 10.44.0.21/32,192.168.12.0/24\n\
             PersistentKeepalive = 25\n\
             \n\
             [Peer]\n\
             # alice: the boss's laptop\n\
             PublicKey = {pub:alice}\n\
             PresharedKey = {psk}\n\
             AllowedIPs = 10.44.0.30/32, fd44::1e/128\n\
             \n\
             [Peer] # bob\n\
             PublicKey = {pub:bob}\n\
             AllowedIPs = 10.44.0.31/32\n\
             [Peer]\n\
             # Name = carol\n\
             PublicKey = {pub:carol}\n\
             AllowedIPs = 10.44.0.32\n",
        ),
        (
            "office",
            "[Interface]\r\n\
             PrivateKey = {key:office}\r\n\
             Address = 10.44.0.20/24\r\n\
             ListenPort = 51820\r\n\
             PostUp = sysctl -q net.ipv4.ip_forward=1\r\n\
             PostUp = iptables -A FORWARD -i wg0 -o eth1 -j ACCEPT; iptables -A FORWARD -i eth1 -o wg0 -j ACCEPT; iptables -t nat -A POSTROUTING -o eth1 -s 10.44.0.0/24 -j MASQUERADE\r\n\
             PostDown = iptables -D FORWARD -i wg0 -o eth1 -j ACCEPT; iptables -D FORWARD -i eth1 -o wg0 -j ACCEPT; iptables -t nat -D POSTROUTING -o eth1 -s 10.44.0.0/24 -j MASQUERADE\r\n\
             \r\n\
             [Peer]\r\n\
             # the hub\r\n\
             PublicKey = {pub:hub}\r\n\
             Endpoint = 198.51.100.10:51820\r\n\
             AllowedIPs = 10.44.0.0/24, 192.168.12.0/24\r\n\
             PersistentKeepalive = 25",
        ),
        (
            "depot",
            "[Interface]\n\
             Address = 10.44.0.21/32\n\
             PrivateKey = {key:depot}\n\
             Table = off\n\
             MTU = 1380\n\
             PostUp = ip route add 10.44.0.0/24 dev %i; ip route add 192.168.11.0/24 dev %i\n\
             PostUp = sysctl -q net.ipv4.ip_forward=1\n\
             PostUp = iptables -A FORWARD -i %i -j ACCEPT && iptables -A FORWARD -o %i -j ACCEPT\n\
             PostDown = iptables -D FORWARD -i %i -j ACCEPT && iptables -D FORWARD -o %i -j ACCEPT\n\
             \n\
             [Peer]\n\
             PublicKey = {pub:hub}\n\
             AllowedIPs = 0.0.0.0/0\n\
             Endpoint = 198.51.100.10:51820\n\
             PersistentKeepalive = 21\n",
        ),
        (
            "alice",
            "[Interface]\n\
             PrivateKey={key:alice}\n\
             Address=10.44.0.30/32,fd44::1e/128\n\
             \n\
             [Peer]\n\
             PublicKey={pub:hub}\n\
             PresharedKey={psk}\n\
             AllowedIPs=0.0.0.0/0,::/0\n\
             Endpoint=198.51.100.10:51820\n",
        ),
        (
            "bob",
            "[Interface]\n\
             PrivateKey = {key:bob}\n\
             Address = 10.44.0.31/24\n\
             [Peer]\n\
             PublicKey = {pub:hub}\n\
             AllowedIPs = 10.44.0.0/24\n\
             # not the depot, he has no business there\n\
             AllowedIPs = 192.168.11.0/24\n\
             Endpoint = 198.51.100.10:51820\n\
             PersistentKeepalive = 25 # behind NAT\n",
        ),
        (
            "carol",
            "[Interface]\n\
             Address = 10.44.0.32/24\n\
             # the key never leaves this machine\n\
             PostUp = wg set %i private-key /etc/wireguard/carol.key\n\
             [Peer]\n\
             PublicKey = {pub:hub}\n\
             Endpoint = 198.51.100.10:51820\n\
             AllowedIPs = 10.44.0.0/24\n",
        ),
    ]
}

/// Makes the network as its admin did, and returns each host's file.
pub(super) fn by_hand(lab: &Lab) -> Result<Vec<(&'static str, String)>> {
    let psk = lab.host("ctl").sh("wg genpsk")?.trim().to_owned();
    let mut keys = Vec::new();
    for name in NAMES {
        let private = lab.host("ctl").sh("wg genkey")?.trim().to_owned();
        let public = lab.host("ctl").sh(&format!("echo {private} | wg pubkey"))?.trim().to_owned();
        keys.push((name, private, public));
    }
    let mut made = Vec::new();
    for (name, text) in files() {
        let mut text = text.replace("{psk}", &psk);
        for (name, private, public) in &keys {
            text = text.replace(&format!("{{key:{name}}}"), private).replace(&format!("{{pub:{name}}}"), public);
        }
        let host = lab.host(name);
        host.sh("mkdir -p -m 700 /etc/wireguard")?;
        if name == "carol" {
            let private = &keys.iter().find(|(name, ..)| *name == "carol").unwrap().1;
            host.write("/etc/wireguard/carol.key", format!("{private}\n"))?;
        }
        host.write("/etc/wireguard/wg0.conf", &text)?;
        host.sh("chmod 600 /etc/wireguard/*")?;
        host.sh(if name == "hub" { "systemctl enable --now wg-quick@wg0" } else { "wg-quick up wg0" })?;
        made.push((name, text));
    }
    Ok(made)
}

#[test]
fn a_network_made_by_hand_is_adopted_as_it_runs_and_changed_without_losing_a_word() -> Result {
    if lacks_ipv4("the files of this network were written by hand for IPv4, with hooks of iptables") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let made = by_hand(&lab)?;
    // It works before anyone adopts it.
    for (from, to) in
        [("bob", "192.168.11.50"), ("carol", "10.44.0.1"), ("office", "10.44.0.1"), ("depot", "10.44.0.1")]
    {
        lab.host(from).sh(&format!("ping -n -c 1 -w 30 {to}"))?;
    }
    let before: Vec<_> = NAMES.map(|name| lab.host(name).snapshot().unwrap().without("wg endpoints")).into();

    let admin = Admin::new(&lab);
    let hosts: Vec<String> = NAMES.iter().map(|name| format!("root@{name}")).collect();
    let mut arguments = vec!["import", "--name", "byhand", "--yes"];
    for host in &hosts {
        arguments.extend(["--host", host]);
    }
    let report = admin.json(&arguments);
    let roles: Vec<String> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| format!("{} {}", node["name"].as_str().unwrap(), node["role"].as_str().unwrap()))
        .collect();
    assert_eq!(roles, ["hub server", "depot router", "office router", "alice remote", "bob remote", "carol remote"]);
    assert_eq!(report["saved"]["differing"], serde_json::json!([]), "{report:#}");

    // Nothing was touched, and nothing is to do.
    for (name, before) in NAMES.iter().zip(&before) {
        let now = lab.host(name).snapshot()?.without("wg endpoints");
        assert_eq!(now.diff(before), "", "{name} after the import");
    }
    let plan = admin.run(&["plan", "--exit-code"]);
    assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
    for (name, text) in &made {
        assert_eq!(&admin.ok(&["generate", name]), text, "the file of {name}");
    }

    // One change is one change.
    admin.ok(&["set", "bob", "keepalive=20"]);
    let plan = admin.json(&["plan"]);
    let hosts: Vec<&serde_json::Value> = plan["hosts"].as_array().unwrap().iter().collect();
    for host in hosts {
        let kinds: Vec<&str> =
            host["changes"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap()).collect();
        let expected: &[&str] = if host["host"] == "bob" { &["keepalive", "file"] } else { &[] };
        assert_eq!(kinds, expected, "{host:#}");
    }
    admin.ok(&["deploy", "--yes"]);
    let bob = made.iter().find(|(name, _)| *name == "bob").unwrap().1.clone();
    let wanted = bob.replace("PersistentKeepalive = 25 # behind NAT", "PersistentKeepalive = 20 # behind NAT");
    assert_eq!(lab.host("bob").read("/etc/wireguard/wg0.conf")?, wanted);
    assert!(lab.host("bob").sh("wg show wg0 persistent-keepalive")?.trim().ends_with("\t20"));
    lab.host("bob").sh("ping -n -c 1 -w 30 192.168.11.50")?;

    // A further device: the server's file gains its section, and keeps the rest.
    let hub = made.iter().find(|(name, _)| *name == "hub").unwrap().1.clone();
    admin.ok(&["add", "remote", "dave"]);
    admin.ok(&["deploy", "--yes"]);
    let now = lab.host("hub").read("/etc/wireguard/wg0.conf")?;
    assert!(now.starts_with(&hub) && now.len() > hub.len(), "{now}");
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    // By the hub's own hooks all of it still works, also after a boot.
    lab.host("hub").reboot()?;
    lab.host("bob").sh("ping -n -c 1 -w 60 192.168.11.50")?;
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}
