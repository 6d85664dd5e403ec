//! Hooks as a person meets them: what they mean, and handing them over and back.

use std::fs;

use insta::assert_snapshot;

use crate::env::TestEnv;

const SERVER: &str = "\
[Interface]
PrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=
Address = 10.20.0.1/24
ListenPort = 51820
# routing
PreUp = sysctl -w net.ipv4.ip_forward=1
PostUp = logger 'up; %i'; iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o ens3 -j MASQUERADE # out
PostUp = iptables -A INPUT -i %i -p tcp --dport 22 -j ACCEPT
PostUp = curl -s https://status.example/up | grep -q ok
PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -t nat -D POSTROUTING -o ens3 -j MASQUERADE

[Peer]
# anna-phone
PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
AllowedIPs = 10.20.0.30/32

[Peer]
# tablet
PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
AllowedIPs = 10.20.0.31/32
";

fn imported(server: &str) -> TestEnv {
    let env = TestEnv::new();
    let file = env.path().join("hub.conf");
    fs::write(&file, server).unwrap();
    env.ok(&["import", "--name", "farm", "--as", "hub=server", "--yes", &file.display().to_string()]);
    env
}

fn generated(env: &TestEnv) -> String {
    String::from_utf8(env.ok(&["generate", "hub"]).stdout).unwrap()
}

#[test]
fn each_command_is_listed_with_its_meaning() {
    let env = imported(SERVER);
    assert_snapshot!(env.run(&["hooks", "list", "hub"]), @"
    hub  imported; its own hooks do the work of a firewall
    WHEN      COMMAND                                               MEANING                                                         PATTERN               DOWN
    PreUp     sysctl -w net.ipv4.ip_forward=1                       the kernel routes IPv4 between interfaces                       enable_ip_forwarding  single        safe
    PostUp    logger 'up; %i'                                       not recognised                                                                                      safe
    PostUp    iptables -A FORWARD -i %i -j ACCEPT                   VPN clients reach the internet through ens3 (IPv4)              nat_masquerade_ipv4   pair          safe
    PostUp    iptables -t nat -A POSTROUTING -o ens3 -j MASQUERADE  VPN clients reach the internet through ens3 (IPv4)              nat_masquerade_ipv4   pair          safe
    PostUp    iptables -A INPUT -i %i -p tcp --dport 22 -j ACCEPT   port 22 by tcp on this host is open to whoever comes in by hub  allow_service_port    stays behind  safe
    PostUp    curl -s https://status.example/up | grep -q ok        not recognised                                                                                      unsafe
    PostDown  iptables -D FORWARD -i %i -j ACCEPT                   VPN clients reach the internet through ens3 (IPv4)              nat_masquerade_ipv4   pair          safe
    PostDown  iptables -t nat -D POSTROUTING -o ens3 -j MASQUERADE  VPN clients reach the internet through ens3 (IPv4)              nat_masquerade_ipv4   pair          safe
    unsafe PostUp 4: `|` at character 35: a pipe
    ");
    assert_eq!(env.run(&["show", "hub", "--hooks"]), env.run(&["hooks", "list", "hub"]));
    let view = env.json(&["hooks", "list", "hub"]);
    let interface = &view["interfaces"][0];
    assert_eq!(interface["adopted"], true);
    assert_eq!(interface["commands"].as_array().unwrap().len(), 8);
    assert_eq!(interface["patterns"][1]["pattern"], "nat_masquerade_ipv4");
    assert_eq!(interface["patterns"][1]["variables"]["WAN"], "ens3");
}

#[test]
fn hooks_are_handed_over_and_come_back_byte_for_byte() {
    let env = imported(SERVER);
    let preview = env.run(&["hooks", "adopt", "hub", "--dry-run"]);
    assert!(preview.contains("new: wgf-hub.nft of hub"), "{preview}");
    assert_snapshot!(preview.split("new: wgf-hub.nft").next().unwrap(), @"
    changed: hub.conf of hub
      @@ -3,11 +3,13 @@
       Address = 10.20.0.1/24
       ListenPort = 51820
       # routing
      -PreUp = sysctl -w net.ipv4.ip_forward=1
      -PostUp = logger 'up; %i'; iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o ens3 -j MASQUERADE # out
      +PostUp = logger 'up; %i'; iptables -A FORWARD -i %i -j ACCEPT # out
       PostUp = iptables -A INPUT -i %i -p tcp --dport 22 -j ACCEPT
       PostUp = curl -s https://status.example/up | grep -q ok
      -PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -t nat -D POSTROUTING -o ens3 -j MASQUERADE
      +PostDown = iptables -D FORWARD -i %i -j ACCEPT
      +PreUp = nft -f /etc/wireguard/wgf-hub.nft
      +PostUp = sysctl -q -w net.ipv4.ip_forward=1
      +PostDown = nft 'table inet wgf_hub; delete table inet wgf_hub'
       
       [Peer]
       # anna-phone
    ");
    assert_eq!(generated(&env), SERVER);
    assert_snapshot!(env.run(&["hooks", "adopt", "hub", "--yes"]), @"
    --- stderr ---
    ~ handed over server hub  10.20.0.1
      note: taken over: enable_ip_forwarding, nat_masquerade_ipv4
      note: stays: port 22 by tcp on this host is open to whoever comes in by hub (the host's own firewall may need it)
      note: rules that open the host's own FORWARD chain stay, for Docker, ufw or a policy may close it; --all takes them out too
      note: private addresses at ens3 are no part of the internet: if they are to be reached, `wg-friend set hub lan+=PREFIX` first
      note: who may reach what is enforced from now on: `wg-friend show NAME` tells it for each node
      needs a new file: hub
    ");
    assert_snapshot!(generated(&env).split("\n\n").next().unwrap(), @"
    # ==> hub/hub.conf <==
    [Interface]
    PrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=
    Address = 10.20.0.1/24
    ListenPort = 51820
    # routing
    PostUp = logger 'up; %i'; iptables -A FORWARD -i %i -j ACCEPT # out
    PostUp = iptables -A INPUT -i %i -p tcp --dport 22 -j ACCEPT
    PostUp = curl -s https://status.example/up | grep -q ok
    PostDown = iptables -D FORWARD -i %i -j ACCEPT
    PreUp = nft -f /etc/wireguard/wgf-hub.nft
    PostUp = sysctl -q -w net.ipv4.ip_forward=1
    PostDown = nft 'table inet wgf_hub; delete table inet wgf_hub'

    ");
    assert_snapshot!(env.refused(&["hooks", "adopt", "hub", "--yes"]), @"
    --- stderr ---
    error: wg-friend's firewall is in force on `hub` already
    [exit 1]
    ");
    env.ok(&["hooks", "keep", "hub", "--yes"]);
    assert_eq!(generated(&env), SERVER);
    assert_snapshot!(env.refused(&["hooks", "keep", "hub", "--yes"]), @"
    --- stderr ---
    error: `hub` has its own hooks already; nothing was changed
    [exit 1]
    ");
    env.ok(&["hooks", "adopt", "hub", "--all", "--yes"]);
    assert!(!generated(&env).contains("iptables -A FORWARD"));
    env.ok(&["audit", "verify"]);
}

#[test]
fn what_has_no_equivalent_is_refused_by_name() {
    let with = |line: &str| imported(&SERVER.replace("# routing", line)).refused(&["hooks", "adopt", "hub", "--yes"]);
    assert_snapshot!(with("PostUp = iptables -t nat -A PREROUTING -i ens3 -p tcp --dport 80 -j DNAT --to-destination 10.20.0.30"), @"
    --- stderr ---
    error: the hooks of `hub` can't be handed over because of `iptables -t nat -A PREROUTING -i ens3 -p tcp --dport 80 -j DNAT --to-destination 10.20.0.30`: wg-friend's firewall has no equivalent, and would stop that traffic
     hint: traffic would not be the same afterwards; as it is, the hooks go on doing their work
    [exit 1]
    ");
    assert_snapshot!(with("PostUp = iptables -t nat -A POSTROUTING -o ens4 -j MASQUERADE"), @"
    --- stderr ---
    error: the hooks of `hub` can't be handed over because of `iptables -t nat -A POSTROUTING -o ens4 -j MASQUERADE`: wg-friend's firewall knows one interface beside the tunnel, `ens3`, and not `ens4`
     hint: traffic would not be the same afterwards; as it is, the hooks go on doing their work
    [exit 1]
    ");
    assert_snapshot!(with("PostUp = iptables -A FORWARD -s 10.20.0.31 -d 192.168.9.9 -m time --timestart 8:00 -j DROP"), @"
    --- stderr ---
    error: the hooks of `hub` can't be handed over because of `iptables -A FORWARD -s 10.20.0.31 -d 192.168.9.9 -m time --timestart 8:00 -j DROP`: what it does to packets isn't recognised
     hint: traffic would not be the same afterwards; as it is, the hooks go on doing their work
    [exit 1]
    ");
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["hooks", "adopt", "hub", "--yes"]), @"
    --- stderr ---
    error: `hub` wasn't imported: its hooks are all wg-friend's own
    [exit 1]
    ");
}

#[test]
fn a_line_is_checked_before_anyone_writes_it() {
    let env = TestEnv::new();
    let said = env.run(&["hooks", "check", "iptables -A FORWARD -i %i -j ACCEPT", "curl x | sh", "nft -f /tmp/x"]);
    assert!(said.contains("safe   iptables -A FORWARD -i %i -j ACCEPT"), "{said}");
    assert!(said.contains("unsafe curl x | sh\n       `"), "{said}");
    assert!(said.contains("unsafe nft -f /tmp/x") && said.contains("write it with plain commands of ip,"), "{said}");
    assert!(said.ends_with("[exit 1]\n"), "{said}");
    assert!(env.json(&["hooks", "check", "ip rule add fwmark 1 table 5"])[0]["allowed"].as_bool().unwrap());
}
