//! Hosts as they come: root and sudo, other ports, jump hosts, with systemd and without; and hosts that can't be worked
//! on, which say why.

use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Mishap, Result, Spec};

use super::family::{Family, addressed, lab_or_skip};
use super::office::Admin;

fn spec(text: &str) -> Spec {
    text.parse().unwrap()
}

#[test]
fn hosts_of_every_kind_are_deployed_to_and_are_as_deployed_after_a_reboot() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         network inside 192.168.7.0/24 fd0a:7::/64\n\
         host ctl internet:2 controller\n\
         host hub internet:10\n\
         host units internet:11 init=systemd\n\
         host port internet:12 ssh=2222\n\
         host gate internet:13 inside:1 nat=internet\n\
         host deep inside:20 gateway=gate\n"
    ));
    let admin = Admin::new(&lab);
    admin.init("mixed");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--ssh", "hub"]);
    // Nothing of these is in ssh_config: what is given here has to be enough.
    lab.write_ssh_config("Host deep\n  HostName 192.168.7.20\n  ProxyJump none\n")?;
    admin.ok(&["host", "add", "units", "deploy@198.51.100.11"]);
    admin.ok(&["host", "add", "port", "root@198.51.100.12:2222"]);
    admin.ok(&["host", "add", "deep", "root@192.168.7.20", "--jump", "root@198.51.100.13"]);
    for node in ["units", "port", "deep"] {
        admin.ok(&["add", "remote", node, "--device", "server", "--host", node]);
    }
    let listens = || lab.host("hub").sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra");
    lab.host("hub").sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra")?;
    admin.ok(&["deploy", "--yes"]);
    assert_eq!(listens()?.trim(), "2", "a host that forwards goes on listening to its router");
    let plan = admin.ok(&["plan"]);
    assert!(plan.contains("4 hosts are as they should be") || plan.contains("nothing to do"), "{plan}");
    for node in ["units", "port", "deep"] {
        lab.host(node).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    }
    let units = lab.host("units");
    assert_eq!(units.sh("systemctl is-enabled wg-quick@wg0")?.trim(), "enabled");
    assert_eq!(units.sh("systemctl is-active wg-quick@wg0")?.trim(), "active");
    assert!(!units.run("ls /run/systemd/system/wg-quick@wg0.service.d")?.success(), "a drop-in was left behind");
    // The watchdog sees that it isn't needed, and ends.
    let ended =
        || units.sh("systemctl list-units --all --no-legend 'wg-friend-*'").is_ok_and(|on| !on.contains("running"));
    assert!(wait_until(Duration::from_secs(20), ended), "something is still running");

    for node in ["hub", "units", "port", "deep"] {
        let host = lab.host(node);
        let look = || {
            let seen = host.snapshot().unwrap().without("wg endpoints").without("units active");
            // A client's port is the kernel's choice at each start; that its peers are right, the plan says below.
            if node == "hub" { seen } else { seen.without("wg wg0") }
        };
        let before = look();
        host.reboot()?;
        wait_until(Duration::from_secs(20), || look().diff(&before).is_empty());
        assert_eq!(look().diff(&before), "", "{node} after a reboot");
    }
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    // An endpoint given by name, which no comparison of addresses can confirm.
    for node in ["units", "port", "deep"] {
        lab.host(node).sh(&addressed("echo 198.51.100.10 vpn.example.com >> /etc/hosts"))?;
    }
    admin.ok(&["set", "hub", "endpoint=vpn.example.com"]);
    admin.ok(&["deploy", "--yes"]);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    lab.host("port").sh(&addressed("ping -c 1 -w 20 10.66.0.1"))?;
    // A change, and the interface's end, under systemd too.
    admin.ok(&["set", "units", "mtu=1380"]);
    admin.ok(&["deploy", "units", "--yes"]);
    assert!(units.sh("ip link show wg0")?.contains("mtu 1380"));
    admin.ok(&["disable", "units"]);
    admin.ok(&["deploy", "--yes"]);
    assert!(!units.run("ip link show wg0")?.success());
    assert!(!units.run("ls /etc/wireguard/wg0.conf")?.success());
    assert_ne!(units.run("systemctl is-enabled wg-quick@wg0")?.stdout.trim(), "enabled");
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

/// What `plan` says of one host.
fn plan(admin: &Admin<'_>, host: &str) -> String {
    let output = admin.run(&["plan", host, "--exit-code"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn a_host_that_can_not_be_worked_on_says_why_and_what_to_do() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         host ctl internet:2 controller\n\
         host hub internet:10\n\
         host asks internet:11 sudo=password\n\
         host bare internet:12 without=wg,nft\n"
    ));
    let admin = Admin::new(&lab);
    admin.init_as("bad", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--ssh", "hub"]);
    admin.ok(&["host", "add", "asks", "deploy@asks"]);
    admin.ok(&["host", "add", "bare", "root@bare"]);
    admin.ok(&["host", "add", "nowhere", "root@198.51.100.99"]);
    admin.ok(&["host", "add", "stranger", "nobody@198.51.100.10"]);
    for (node, lan) in [("asks", 1), ("bare", 2), ("nowhere", 3), ("stranger", 4)] {
        admin.ok(&["add", "router", node, "--host", node, "--lan", &format!("192.168.{lan}.0/24")]);
    }
    let said = plan(&admin, "asks");
    assert!(said.contains("can't become root") && said.contains("NOPASSWD"), "{said}");
    let said = plan(&admin, "bare");
    assert!(said.contains("lacks `wg`, `nft`") && said.contains("wireguard-tools"), "{said}");
    let said = plan(&admin, "nowhere");
    assert!(said.contains("can't be reached"), "{said}");
    let said = plan(&admin, "stranger");
    assert!(said.contains("refuses the login") && said.contains("ssh-copy-id"), "{said}");
    lab.write_ssh_config("Host hub\n  UserKnownHostsFile /dev/null\n")?;
    let said = plan(&admin, "hub");
    assert!(said.contains("is unknown to ssh") && said.contains("fingerprint"), "{said}");
    lab.write_ssh_config("")?;

    let theirs = "[Interface]\nPrivateKey = gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE=\nListenPort = 51820\n";
    lab.host("hub").sh("mkdir -p -m 700 /etc/wireguard")?;
    lab.host("hub").write("/etc/wireguard/wg0.conf", theirs)?;
    let said = plan(&admin, "hub");
    assert!(said.contains("somebody else's network") && said.contains("interface=NAME"), "{said}");
    lab.host("hub").sh("rm /etc/wireguard/wg0.conf")?;

    // One that can't be worked on holds up no other, and the exit code says that some failed.
    let output = admin.run(&["deploy", "--yes"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    lab.host("hub").sh("wg show wg0")?;
    assert_eq!(lab.host("asks").run("ls /etc/wireguard")?.stdout.trim(), "");
    assert_eq!(lab.host("bare").run("ls /etc/wireguard")?.stdout.trim(), "");
    Ok(())
}

#[test]
fn a_change_made_by_hand_is_found_named_and_mended() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.9.0/24", "--ssh", "b"]);
    admin.deploy();
    let host = lab.host("a");
    let good = host.snapshot()?.without("wg endpoints");
    let stranger = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    let router = "$(wg show wg0 peers)";
    // The server's own address, the last of those that it has.
    let own = host.sh("ip -o addr show dev wg0 scope global | awk '{print $4}' | tail -n 1")?.trim().to_owned();
    let own_back = format!("+ address {own}");
    let cases = [
        (format!("wg set wg0 peer {stranger} allowed-ips 10.9.9.9/32"), "- peer hSDwCYkw 10.9.9.9/32"),
        (format!("wg set wg0 peer {router} allowed-ips 192.168.9.0/24"), "~ allowed-ips b"),
        (format!("wg set wg0 peer {router} preshared-key /dev/null"), "~ preshared-key b none -> the model's"),
        (format!("wg set wg0 peer {router} remove"), "+ peer b"),
        ("wg set wg0 listen-port 51999".to_owned(), "~ port 51999 -> 51820"),
        ("ip link set wg0 mtu 1300".to_owned(), "~ mtu 1300 -> 1420"),
        ("ip addr add 10.1.2.3/32 dev wg0".to_owned(), "- address 10.1.2.3/32"),
        (format!("ip addr del {own} dev wg0"), own_back.as_str()),
        ("ip route del 192.168.9.0/24".to_owned(), "+ route 192.168.9.0/24"),
        ("nft flush table inet wgf_wg0".to_owned(), "~ firewall table wgf_wg0"),
        ("nft delete table inet wgf_wg0".to_owned(), "~ firewall table wgf_wg0 missing"),
        ("sysctl -qw net.ipv4.ip_forward=0".to_owned(), "~ sysctl net.ipv4.ip_forward 0 -> 1"),
        ("ip link set wg0 down".to_owned(), "~ link down -> up"),
        ("echo '# mine' >> /etc/wireguard/wg0.conf".to_owned(), "~ file wg0.conf"),
        ("chmod 644 /etc/wireguard/wg0.conf".to_owned(), "~ file wg0.conf mode 644"),
        ("wg-quick down wg0".to_owned(), "+ interface"),
        ("sed -i /wg-friend/d /etc/rc.local".to_owned(), "+ start at boot"),
    ];
    let cases = cases.map(|(command, expected)| (addressed(&command), addressed(expected)));
    for (command, expected) in &cases {
        host.sh(command)?;
        let plan = admin.run(&["plan", "a", "--exit-code"]);
        assert_eq!(plan.status, 3, "{command}: {}{}", plan.stdout, plan.stderr);
        let line = plan.stdout.lines().find(|l| l.contains(expected.as_str()));
        let line = line.unwrap_or_else(|| panic!("{command}: no `{expected}` in\n{}", plan.stdout));
        assert!(line.contains("changed on the host"), "{command}: {line}");
        admin.ok(&["deploy", "a", "--yes"]);
        assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0, "{command}");
        let record = "file /var/lib/wg-friend/deployed";
        let now = host.snapshot()?.without("wg endpoints").without(record);
        assert_eq!(now.diff(&good.clone().without(record)), "", "{command}: mended");
    }
    Ok(())
}

#[test]
fn a_canary_goes_first_and_holds_the_others_back_when_it_fails() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         host ctl internet:2 controller\n\
         host a internet:10\n\
         host b internet:11\n"
    ));
    let admin = Admin::new(&lab);
    admin.init_as("birds", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.10", "--ssh", "a"]);
    admin.ok(&["add", "remote", "b", "--device", "server", "--ssh", "b"]);
    lab.host("a").at_call("wg-quick", 2, &Mishap::Fails)?; // the first call reads the new file
    let output = admin.run(&["deploy", "--canary", "1", "--yes", "--json"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let outcomes: Vec<(&str, &str)> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| (host["host"].as_str().unwrap(), host["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [("a", "reverted"), ("b", "held_back")]);
    assert!(!lab.host("b").run("ls /etc/wireguard/wg0.conf")?.success(), "b was left alone");
    lab.host("a").put_back("wg-quick")?;
    admin.ok(&["deploy", "--canary", "1", "--yes"]);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}
