//! Every reader, on data as the tools write them (`tests/fixtures/import`).

use std::fmt::Write as _;
use std::fs;

use rusqlite::Connection;

use super::*;
use crate::model::PrivateKey;
use crate::wg::Tunnel;
use crate::wg::adopt::View;

/// A tool's files; those of SQL are made into databases.
fn fixture(tool: &str) -> Memory {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(tool);
    let mut memory = Memory::default();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_owned();
            let bytes = fs::read(&path).unwrap();
            memory = match name.extension().is_some_and(|end| end == "sql") {
                true => memory.with(name.with_extension("db"), database(std::str::from_utf8(&bytes).unwrap())),
                false => memory.with(name, bytes),
            };
        }
    }
    memory
}

fn database(sql: &str) -> Vec<u8> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    connection.serialize(c"main").unwrap().to_vec()
}

fn all(tool: &str, path: &str) -> (Format, Foreign) {
    let around = fixture(tool);
    let format = recognise(Path::new(path), &around.read(Path::new(path)).unwrap().unwrap()).unwrap();
    (format, read(format, Path::new(path), &around, &Options::default()).unwrap())
}

/// Reads a fixture that is recognised, and shows it with its keys masked.
fn shown(tool: &str, path: &str) -> String {
    let (format, foreign) = all(tool, path);
    consistent(&foreign);
    format!("{format}\n{}", show(&foreign))
}

/// Checks what holds for everything that is read: both ends of a link have the same preshared key, and a view's private
/// key is its public one's other half.
fn consistent(foreign: &Foreign) {
    let key = |view: &View| view.tunnel.private_key.as_ref().map(PrivateKey::public).or(view.public_key);
    for view in &foreign.views {
        let held = view.tunnel.private_key.as_ref().map(PrivateKey::public);
        assert!(held.is_none() || view.public_key.is_none_or(|key| Some(key) == held), "{}", view.source);
        for peer in &view.tunnel.peers {
            let other = foreign.views.iter().find(|other| key(other) == Some(peer.public_key));
            let back =
                other.and_then(|other| other.tunnel.peers.iter().find(|back| Some(back.public_key) == key(view)));
            if let Some(back) = back {
                assert!(back.preshared == peer.preshared, "{} and its peer", view.source);
            }
        }
    }
}

fn show(foreign: &Foreign) -> String {
    let mut text = String::new();
    for view in &foreign.views {
        let name = view.name.as_deref().unwrap_or("-");
        let interface = view.interface.as_ref().map_or("-", |name| name.as_str());
        let role = view.role.map_or("-", |role| role.as_str());
        let off = if view.enabled { "" } else { ", off" };
        let file = if view.text.is_some() { ", as its file" } else { "" };
        writeln!(text, "{}: {name} {interface} {role}{off}{file}", view.source).unwrap();
        tunnel(&mut text, &view.tunnel, view.public_key.map(|key| key.short()));
    }
    for note in &foreign.notes {
        writeln!(text, "note {}: {}", note.about, note.text).unwrap();
    }
    text
}

fn tunnel(text: &mut String, tunnel: &Tunnel, public: Option<String>) {
    fn joined<T: ToString>(items: &[T]) -> String {
        items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
    }
    let key = match &tunnel.private_key {
        Some(key) => format!("key of {}", key.public().short()),
        None => format!("no key, public {}", public.unwrap_or_default()),
    };
    write!(text, "  {key}, {}", joined(&tunnel.addresses)).unwrap();
    let optional = [
        ("port", tunnel.listen_port.map(|port| port.to_string())),
        ("mtu", tunnel.mtu.map(|mtu| mtu.to_string())),
        ("mark", tunnel.fwmark.map(|mark| format!("{mark:#x}"))),
        ("dns", (!tunnel.dns.is_empty()).then(|| tunnel.dns.join(" "))),
        ("save", tunnel.save_config.then(String::new)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            write!(text, ", {name} {value}").unwrap();
        }
    }
    text.push('\n');
    for hook in &tunnel.hooks {
        writeln!(text, "  {} {}", hook.phase.as_str(), hook.command).unwrap();
    }
    for (key, value) in &tunnel.unknown {
        writeln!(text, "  {key} {value}").unwrap();
    }
    for peer in &tunnel.peers {
        let name = peer.name.as_deref().unwrap_or("-");
        write!(text, "  > {} {name}: {}", peer.public_key.short(), joined(&peer.allowed_ips)).unwrap();
        let endpoint = peer.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        let keepalive = peer.keepalive.map(|seconds| format!(" every {seconds}")).unwrap_or_default();
        let preshared = if peer.preshared.is_some() { " psk" } else { "" };
        writeln!(text, "{endpoint}{keepalive}{preshared}").unwrap();
    }
}

#[test]
fn wg_easy_up_to_14_is_read_with_its_settings() {
    insta::assert_snapshot!(shown("wg-easy-json", "wg0.json"), @"
    wg-easy-json
    wg0.json, server: wg0 wg0 server
      key of YWCPWE8L, 10.8.0.1/24, port 51821
      PostUp iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE; iptables -A INPUT -p udp -m udp --dport 51821 -j ACCEPT; iptables -A FORWARD -i wg0 -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT;
      PostDown iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE; iptables -D INPUT -p udp -m udp --dport 51821 -j ACCEPT; iptables -D FORWARD -i wg0 -j ACCEPT; iptables -D FORWARD -o wg0 -j ACCEPT;
      > UzMEKBwN Alice's phone: 10.8.0.2/32 psk
      > 55zIW6Xx bob: 10.8.0.3/32 psk
    wg0.json, clients.0c1d2e3f-aaaa-4bbb-8ccc-000000000001: Alice's phone - remote
      key of UzMEKBwN, 10.8.0.2/24, dns 10.8.0.1 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 every 25 psk
    wg0.json, clients.0c1d2e3f-aaaa-4bbb-8ccc-000000000002: bob - remote, off
      no key, public 55zIW6Xx, 10.8.0.3/24, dns 10.8.0.1 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 every 25 psk
    note bob: expires on 2024-12-31T00:00:00.000Z in wg-easy: it isn't limited here
    note docker-compose.yml: WG_MTU, WG_ALLOWED_IPS not given: clients' files are taken to have wg-easy's defaults
    note wg0.json, server: wg0.conf isn't there: port and hooks are as wg-easy makes them from its settings
    ");
}

#[test]
fn wg_easys_own_file_counts_where_it_lies_beside() {
    insta::assert_snapshot!(shown("wg-easy-json", "with-file/wg0.json"), @"
    wg-easy-json
    wg0.conf: wg0 wg0 server, as its file
      key of YWCPWE8L, 10.8.0.1/24, port 51820
      PostUp iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE;
      PostDown iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE;
      > UzMEKBwN Alice's phone: 10.8.0.2/32 psk
      > 55zIW6Xx bob: 10.8.0.3/32 psk
    wg0.json, clients.0c1d2e3f-aaaa-4bbb-8ccc-000000000001: Alice's phone - remote
      key of UzMEKBwN, 10.8.0.2/24, dns 10.8.0.1 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 every 25 psk
    wg0.json, clients.0c1d2e3f-aaaa-4bbb-8ccc-000000000002: bob - remote, off
      no key, public 55zIW6Xx, 10.8.0.3/24, dns 10.8.0.1 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 every 25 psk
    note bob: expires on 2024-12-31T00:00:00.000Z in wg-easy: it isn't limited here
    note docker-compose.yml: WG_MTU, WG_ALLOWED_IPS not given: clients' files are taken to have wg-easy's defaults
    ");
}

#[test]
fn wg_easy_from_15_on_is_read() {
    insta::assert_snapshot!(shown("wg-easy", "wg-easy.db"), @"
    wg-easy
    wg-easy.db, table interfaces_table, row 1: wg0 wg0 server
      key of YWCPWE8L, 10.8.0.1/24 fdcc:ad94:bacf:61a4::cafe:1/112, port 51820, mtu 1420
      PostUp iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE; iptables -A INPUT -p udp -m udp --dport 51820 -j ACCEPT; ip6tables -t nat -A POSTROUTING -s fdcc:ad94:bacf:61a4::cafe:0/112 -o ens3 -j MASQUERADE;
      PostDown iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE;
      > UzMEKBwN alice: 10.8.0.2/32 fdcc:ad94:bacf:61a4::cafe:2/128 psk
      > O9ToiFVX office: 10.8.0.3/32 fdcc:ad94:bacf:61a4::cafe:3/128 192.168.20.0/24 at 198.51.100.4:51820 psk
      > jWOi/9yj carol: 10.8.0.4/32 fdcc:ad94:bacf:61a4::cafe:4/128 psk
    wg-easy.db, table clients_table, row 1: alice - remote
      key of UzMEKBwN, 10.8.0.2/24 fdcc:ad94:bacf:61a4::cafe:2/112, mtu 1420, dns 1.1.1.1 2606:4700:4700::1111
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 every 25 psk
    wg-easy.db, table clients_table, row 2: office - -
      key of O9ToiFVX, 10.8.0.3/24 fdcc:ad94:bacf:61a4::cafe:3/112, mtu 1380
      > YWCPWE8L -: 10.8.0.0/24 at vpn.example.com:51821 psk
    wg-easy.db, table clients_table, row 3: carol - remote, off
      key of jWOi/9yj, 10.8.0.4/24 fdcc:ad94:bacf:61a4::cafe:4/112, mtu 1420, dns 10.8.0.1
      PostUp echo up
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51821 psk
    note alice: expires at 2026-12-31 00:00:00 in wg-easy: it isn't limited here
    note alice: wg-easy's firewall lets it reach 192.168.1.10/32: set its access accordingly
    note wg-easy.db, table interfaces_table, row 1: AmneziaWG's settings are stored, but only a wg-easy that runs with AmneziaWG uses them: they come over with its wg0.conf
    note wg-easy.db, table users_table: the panel's users and their passwords don't come over
    ");
}

#[test]
fn wgdashboard_is_read_with_the_file_and_the_jobs_beside_it() {
    insta::assert_snapshot!(shown("wgdashboard", "wgdashboard.db"), @"
    wgdashboard
    wg0.conf: wg0 wg0 server, as its file
      key of YWCPWE8L, 10.66.66.1/24 fd42::1/64, port 51820, save 
      PostUp iptables -I FORWARD -i wg0 -j ACCEPT
      PostDown iptables -D FORWARD -i wg0 -j ACCEPT
      > UzMEKBwN Alice laptop: 10.66.66.2/32 at 203.0.113.9:40001 psk
      > 55zIW6Xx -: 10.66.66.3/32 fd42::3/128
      > jWOi/9yj carol: 10.66.66.4/32
    wgdashboard.db, table wg0, row 1: Alice laptop - remote
      key of UzMEKBwN, 10.66.66.2/32, mtu 1420, dns 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 at vpn.example.com:51820 every 21 psk
    wgdashboard.db, table wg0, row 2: - - remote
      no key, public 55zIW6Xx, 10.66.66.3/32 fd42::3/128, mtu 1420, dns 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51820 every 21
    wgdashboard.db, table wg0_restrict_access, row 1: carol - remote, off
      key of jWOi/9yj, 10.66.66.4/32, mtu 1420, dns 1.1.1.1
      > YWCPWE8L -: 10.66.66.0/24 at vpn.example.com:51820 every 21
    note Alice laptop: WGDashboard would restrict when total_data is more than 100: that doesn't come over
    note wg0.conf: line 3: wg-quick overwrites this file when the interface goes down (comments and names of hosts are lost then, and so is what was changed here meanwhile: `SaveConfig = false`)
    note wgdashboard.db, table DashboardAPIKeys: doesn't come over: it says nothing about the network
    note wgdashboard.db, wg0: 1 deleted peers are left out
    note wgdashboard.db, wg0: has a description in WGDashboard: family
    ");
}

#[test]
fn wireguard_ui_is_read() {
    let around = fixture("wireguard-ui");
    assert_eq!(recognise_folder(Path::new(""), &around).unwrap(), Some((Format::WireguardUi, PathBuf::from("db"))));
    let by_folder = read(Format::WireguardUi, Path::new("db"), &around, &Options::default()).unwrap();
    insta::assert_snapshot!(show(&by_folder), @"
    interfaces.json: wg0 wg0 server
      key of YWCPWE8L, 10.252.1.0/24, port 51820, mtu 1450, mark 0xca6c
      PostUp iptables -A FORWARD -i wg0 -j ACCEPT
      PostDown iptables -D FORWARD -i wg0 -j ACCEPT
      > UzMEKBwN Alice: 10.252.1.1/32 every 15 psk
      > O9ToiFVX cabin: 10.252.1.2/32 192.168.30.0/24 at 198.51.100.4:51820 every 15
    ch1.json: Alice - remote
      key of UzMEKBwN, 10.252.1.1/32, mtu 1450, dns 1.1.1.1
      > YWCPWE8L -: 0.0.0.0/0 at vpn.example.com:51820 every 15 psk
    ch2.json: cabin - -, off
      no key, public O9ToiFVX, 10.252.1.2/32, mtu 1450
      > YWCPWE8L -: 10.252.1.0/24 at vpn.example.com:51820 every 15
    note Alice: has this e-mail address in wireguard-ui: alice@example.com
    note users: the panel's users don't come over
    ");
    assert_eq!(shown("wireguard-ui", "db/server/keypair.json"), format!("wireguard-ui\n{}", show(&by_folder)));
}

#[test]
fn pivpn_is_read_with_clients_that_are_off() {
    let around = fixture("pivpn");
    assert_eq!(recognise_folder(Path::new(""), &around).unwrap(), Some((Format::PiVpn, PathBuf::new())));
    let foreign = read(Format::PiVpn, Path::new(""), &around, &Options::default()).unwrap();
    consistent(&foreign);
    insta::assert_snapshot!(show(&foreign), @"
    wg0.conf: wg0 wg0 server, as its file
      key of YWCPWE8L, 10.6.0.1/24 fd11:5ee:bad:c0de::1/64, port 51820, mtu 1420
      > UzMEKBwN alice: 10.6.0.2/32 fd11:5ee:bad:c0de::2/128 psk
      > jWOi/9yj carol: 10.6.0.4/32
      > 55zIW6Xx bob: 10.6.0.3/32 fd11:5ee:bad:c0de::3/128 psk
    alice.conf: alice - remote, as its file
      key of UzMEKBwN, 10.6.0.2/24 fd11:5ee:bad:c0de::2/64, dns 9.9.9.9 149.112.112.112
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51820 psk
    bob.conf: bob - remote, off, as its file
      key of 55zIW6Xx, 10.6.0.3/24 fd11:5ee:bad:c0de::3/64, dns 9.9.9.9 149.112.112.112
      > YWCPWE8L -: 0.0.0.0/0 ::/0 at vpn.example.com:51820 psk
    note carol: its file isn't there any more: only what the server knows of it comes over
    ");
}

#[test]
fn wg_friend_1_is_read() {
    insta::assert_snapshot!(shown("wg-friend-1", "wireguard.db"), @"
    wg-friend-1
    wireguard.db, table coordination_server, row 1: coordination-server wg0 server
      key of YWCPWE8L, 10.66.0.1/24 fd66::1/64, port 51820, mtu 1420
      PostUp sysctl -w net.ipv4.ip_forward=1
      PostUp iptables -t nat -A POSTROUTING -s 10.66.0.0/24 -o eth0 -j MASQUERADE
      PostDown iptables -t nat -D POSTROUTING -s 10.66.0.0/24 -o eth0 -j MASQUERADE
      > UzMEKBwN alice: 10.66.0.30/32 fd66::30/128 psk
      > O9ToiFVX home: 10.66.0.20/32 fd66::20/128 192.168.10.0/24 192.168.11.0/24 every 25 psk
      > 55zIW6Xx bob: 10.66.0.31/32 fd66::31/128 every 15
      > jWOi/9yj -: 10.66.0.32/32 fd66::32/128
      > Hwim9mUV exit-eu: 10.66.0.100/32 fd66::100/128 at eu.example.com:51820 every 25
    wireguard.db, table subnet_router, row 1: home - router
      key of O9ToiFVX, 10.66.0.20/32 fd66::20/128
      PostUp iptables -A FORWARD -i %i -j ACCEPT
      PostDown iptables -D FORWARD -i %i -j ACCEPT
      > YWCPWE8L coordination-server: 10.66.0.0/24 fd66::/64 at vpn.example.com:51820 every 25 psk
    wireguard.db, table exit_node, row 1: exit-eu - exit
      key of Hwim9mUV, 10.66.0.100/32 fd66::100/128, port 51820
      PostUp sysctl -w net.ipv4.ip_forward=1
      PostUp sysctl -w net.ipv6.conf.all.forwarding=1
      PostUp iptables -A FORWARD -i %i -j ACCEPT
      PostUp iptables -t nat -A POSTROUTING -o ens3 -j MASQUERADE
      PostUp ip6tables -A FORWARD -i %i -j ACCEPT
      PostUp ip6tables -t nat -A POSTROUTING -o ens3 -j MASQUERADE
      PostDown iptables -D FORWARD -i %i -j ACCEPT
      PostDown iptables -t nat -D POSTROUTING -o ens3 -j MASQUERADE
      PostDown ip6tables -D FORWARD -i %i -j ACCEPT
      PostDown ip6tables -t nat -D POSTROUTING -o ens3 -j MASQUERADE
      > 55zIW6Xx bob: 10.66.0.31/32 fd66::31/128
    wireguard.db, table remote, row 1: alice - remote
      key of UzMEKBwN, 10.66.0.30/32 fd66::30/128, mtu 1280, dns 10.66.0.1
      > YWCPWE8L coordination-server: 10.66.0.0/24 fd66::/64 192.168.10.0/24 192.168.11.0/24 at vpn.example.com:51820 every 25 psk
    wireguard.db, table remote, row 2: bob - remote
      key of 55zIW6Xx, 10.66.0.31/32 fd66::31/128, mtu 1280, dns 1.1.1.1 8.8.8.8
      > YWCPWE8L coordination-server: 10.66.0.0/24 fd66::/64 at vpn.example.com:51820 every 25
      > Hwim9mUV exit-eu: 0.0.0.0/0 ::/0 at eu.example.com:51820 every 25
    wireguard.db, table remote, row 3: - - remote
      no key, public jWOi/9yj, 10.66.0.32/32 fd66::32/128, mtu 1280
      > YWCPWE8L coordination-server: 10.66.0.0/24 192.168.11.7/32 at vpn.example.com:51820 every 25
    note alice: has a comment: new phone since May
    note bob: its first key was M95mC8L9RHYdgnxzgoIgAt13H/7lcxY8k3sjlftHywk=: from now on it goes by its present one
    note coordination-server: was deployed to root@vpn.example.com:2222: add the host with `host add`
    note jWOi/9yj: its private key was never known: only the public one comes over
    note wireguard.db, provider's tunnel wg-mullvad: is a tunnel to a provider: it doesn't come over; import its own configuration
    note wireguard.db, table key_rotation_history: earlier keys don't come over
    ");
}

#[test]
fn what_wg_prints_is_read_and_what_it_leaves_out_is_said() {
    insta::assert_snapshot!(shown("wg", "wg0.showconf"), @"
    wg-showconf
    wg0.showconf: wg0 wg0 -
      key of YWCPWE8L, , port 51820, mark 0xca6c
      > UzMEKBwN -: 10.8.0.2/32 fd00::2/128 at 203.0.113.9:40001 psk
      > O9ToiFVX -: 10.8.0.3/32 192.168.20.0/24 every 25
    note wg0.showconf: endpoints are where the peers' last packets came from: those of clients on the move are taken for fixed ones unless their own files say otherwise
    note wg0.showconf: wg(8) prints neither addresses, DNS servers, MTU, routing table nor hooks: addresses are learnt from the other ends' AllowedIPs when those are imported too; the rest is as if it were never set
    ");
    insta::assert_snapshot!(shown("wg", "all.dump"), @"
    wg-dump
    all.dump, wg0: wg0 wg0 -
      key of YWCPWE8L, , port 51820
      > UzMEKBwN -: 10.8.0.2/32 fd00::2/128 at 203.0.113.9:40001 psk
    note all.dump, wg0: endpoints are where the peers' last packets came from: those of clients on the move are taken for fixed ones unless their own files say otherwise
    note all.dump, wg0: wg(8) prints neither addresses, DNS servers, MTU, routing table nor hooks: addresses are learnt from the other ends' AllowedIPs when those are imported too; the rest is as if it were never set
    note all.dump, wg1: has neither a key nor peers: it is left out
    ");
    insta::assert_snapshot!(shown("wg", "wg7.dump"), @"
    wg-dump
    wg7.dump, wg7: wg7 wg7 -
      key of YWCPWE8L, , port 51820, mark 0xca6c
      > O9ToiFVX -: 192.168.20.0/24 every 25
    note wg7.dump, wg7: wg(8) prints neither addresses, DNS servers, MTU, routing table nor hooks: addresses are learnt from the other ends' AllowedIPs when those are imported too; the rest is as if it were never set
    ");
}

#[test]
fn configurations_of_other_systems_are_gathered_and_read() {
    let around = fixture("networkd");
    let found = recognise_folder(Path::new(""), &around).unwrap();
    assert_eq!(found, Some((Format::System(formats::Format::Networkd), PathBuf::new())));
    let (format, path) = found.unwrap();
    insta::assert_snapshot!(show(&read(format, &path, &around, &Options::default()).unwrap()), @"
    wg0: wg0 wg0 -
      key of YWCPWE8L, 10.8.0.1/24, port 51820, mtu 1420, dns 10.8.0.1
      > UzMEKBwN -: 10.8.0.2/32 psk
    ");
    insta::assert_snapshot!(shown("networkd", "50-wg0.netdev"), @"
    networkd
    50-wg0.netdev, wg0: wg0 wg0 -
      key of YWCPWE8L, 10.8.0.1/24, port 51820, mtu 1420, dns 10.8.0.1
      > UzMEKBwN -: 10.8.0.2/32 psk
    ");
    insta::assert_snapshot!(shown("networkmanager", "wg0.nmconnection"), @"
    networkmanager
    wg0.nmconnection, wg0: wg0 wg0 -
      key of UzMEKBwN, 10.8.0.2/24
      > YWCPWE8L -: 10.8.0.0/24 at vpn.example.com:51820
    ");
}

#[test]
fn each_format_has_a_name_of_its_own_by_which_it_is_found() {
    for (format, info) in FORMATS.iter().zip(formats()) {
        assert_eq!(info.name.parse(), Ok(*format));
        assert_eq!(format.info(), info);
        assert!(!info.what.is_empty() && !info.example.is_empty());
    }
    assert_eq!(platforms::ALL.len(), FORMATS.iter().filter(|format| matches!(format, Format::System(_))).count());
    assert!(platforms::ALL.iter().all(|format| FORMATS.contains(&Format::System(*format)) && format.is_read()));
    assert_eq!(
        "mikrotik".parse::<Format>().unwrap_err().to_string(),
        "`mikrotik` is no format that can be imported: `wg-friend import --format list` lists them"
    );
}

#[test]
fn files_of_wg_quick_and_what_is_unknown_are_left_to_others() {
    let key = "mLzfccq2NssAChajJd/Rq3MB3STmcRQFNWyA1lvuc3Y=";
    for text in [
        format!("[Interface]\nPrivateKey = {key}\nAddress = 10.0.0.1/24\n"),
        format!("# office\n[Interface]\nPrivateKey = {key}\n"),
        format!("[Interface]\nPrivateKey = {key} # mine\n"),
        "{}".to_owned(),
        "hello".to_owned(),
        String::new(),
    ] {
        assert_eq!(recognise(Path::new("wg0"), text.as_bytes()), None, "{text}");
    }
    let bare = format!("[Interface]\nPrivateKey = {key}\n");
    assert_eq!(recognise(Path::new("wg0.conf"), bare.as_bytes()), None, "kept as it is");
    assert_eq!(recognise(Path::new("wg0"), bare.as_bytes()), Some(Format::WgShowconf));
    assert_eq!(recognise(Path::new("a.db"), &database("CREATE TABLE t (x)")), None);
    assert_eq!(recognise(Path::new("a.db"), b"SQLite format 3\0"), None);
    assert_eq!(recognise(Path::new("x"), b"\xff\xfe"), None);
}

/// Reads a fixture's database after a change to it; returns what is wrong.
fn refused(tool: &str, name: &str, change: &str) -> String {
    let around = fixture(tool);
    let sql = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(tool).join(name).with_extension("sql"),
    );
    let around = around.with(name, database(&format!("{}{change}", sql.unwrap())));
    let path = Path::new(name);
    let format = recognise(path, &around.read(path).unwrap().unwrap()).unwrap();
    read(format, path, &around, &Options::default()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_named_with_table_row_and_column() {
    let errors = [
        refused("wg-easy", "wg-easy.db", "UPDATE clients_table SET ipv4_address = '10.8.0.300' WHERE id = 2"),
        refused("wg-easy", "wg-easy.db", "UPDATE clients_table SET public_key = '@alice.priv@' WHERE id = 1"),
        refused("wg-easy", "wg-easy.db", "UPDATE interfaces_table SET port = 70000"),
        refused("wg-easy", "wg-easy.db", "UPDATE clients_table SET server_allowed_ips = '[7]' WHERE id = 3"),
        refused("wg-easy", "wg-easy.db", "UPDATE clients_table SET name = x'00ff' WHERE id = 3"),
        refused("wg-easy", "wg-easy.db", "UPDATE interfaces_table SET public_key = '---default---'"),
        refused(
            "wgdashboard",
            "wgdashboard.db",
            "UPDATE wg0 SET allowed_ip = 'mLzfccq2NssAChajJd/Rq3MB3STmcRQFNWyA1lvuc3Y='",
        ),
        refused("wgdashboard", "wgdashboard.db", "ALTER TABLE wg0 RENAME TO wg1"),
        refused("wgdashboard", "wgdashboard.db", "ALTER TABLE wg0 RENAME TO \"../../etc/x\""),
        refused("wg-friend-1", "wireguard.db", "UPDATE remote SET exit_node_id = 'x' WHERE id = 2"),
        refused("wg-friend-1", "wireguard.db", "UPDATE remote SET private_key = 'enc:v1:AAAA' WHERE id = 2"),
        refused("wg-friend-1", "wireguard.db", "DELETE FROM coordination_server"),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    wg-easy.db, table clients_table, row 2, column ipv4_address: found `10.8.0.300`, expected an address
    wg-easy.db, table clients_table, row 1, column public_key: found text that is no key (not shown), expected a public key: 44 characters of base64
    wg-easy.db, table interfaces_table, row 1, column port: found `70000`, expected a port, 1 to 65535
    wg-easy.db, table clients_table, row 3, column server_allowed_ips: found `[7]`, expected a list of texts
    wg-easy.db, table clients_table, row 3, column name: found bytes that are no text, expected text
    wg-easy.db: wg-easy was never set up: its interface has no keys yet
    wgdashboard.db, table wg0, row 1, column allowed_ip: found text that may be a key (not shown), expected addresses such as 10.8.0.2/24
    wgdashboard.db: wg1.conf isn't beside it, and without it nobody knows the server's key: put a copy of /etc/wireguard/wg1.conf there
    wgdashboard.db, the tables' names: found `../../etc/x`, expected the name of an interface
    wireguard.db, table remote, row 2, column exit_node_id: found `x`, expected a whole number
    wireguard.db, table remote, row 2, column private_key: found an encrypted value, expected one that its passphrase opens
    wireguard.db: there is no coordination server in it
    ");
}

#[test]
fn a_database_may_define_anything_and_only_its_plain_tables_are_read() {
    let endless = "DROP TABLE clients_table; CREATE VIEW clients_table AS
                   WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT * FROM n;";
    let sql = format!("{}{endless}", include_str!("../../../../tests/fixtures/import/wg-easy/wg-easy.sql"));
    assert_eq!(recognise(Path::new("a.db"), &database(&sql)), None);
    let virtual_table = "DROP TABLE users_table; CREATE VIRTUAL TABLE users_table USING fts5(x);";
    let sql = format!("{}{virtual_table}", include_str!("../../../../tests/fixtures/import/wg-easy/wg-easy.sql"));
    let around = Memory::default().with("a.db", database(&sql));
    let foreign = read(Format::WgEasy, Path::new("a.db"), &around, &Options::default()).unwrap();
    assert_eq!(foreign.views.len(), 4);
    let large = "INSERT INTO one_time_links_table VALUES (7, 'x'); UPDATE clients_table SET name = zeroblob(3000000);";
    assert!(refused("wg-easy", "wg-easy.db", large).contains("too big"));
}

#[test]
fn a_client_whose_private_key_is_another_ones_comes_over_without_it() {
    let sql = include_str!("../../../../tests/fixtures/import/wg-easy/wg-easy.sql");
    let swap =
        "UPDATE clients_table SET private_key = (SELECT private_key FROM clients_table WHERE id = 2) WHERE id = 1;";
    let around = Memory::default().with("a.db", database(&format!("{sql}{swap}")));
    let foreign = read(Format::WgEasy, Path::new("a.db"), &around, &Options::default()).unwrap();
    let alice = foreign.views.iter().find(|view| view.name.as_deref() == Some("alice")).unwrap();
    assert!(alice.tunnel.private_key.is_none() && alice.public_key.is_some());
    assert!(foreign.notes.iter().any(|note| note.about == "alice" && note.text.contains("is left out")));
}

#[test]
fn wg_friend_1s_encrypted_keys_open_with_its_passphrase_only() {
    use wg_friend_crypt::{KdfParams, derive, seal};
    let salt = [7; 32];
    let key = derive(b"correct horse", &salt, KdfParams::new(10, 8, 1).unwrap()).unwrap();
    let sealed = |text: &str| seal(&key, b"", text.as_bytes()).unwrap();
    let sql = include_str!("../../../../tests/fixtures/import/wg-friend-1/wireguard.sql");
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    let table = "CREATE TABLE encryption_metadata (id INTEGER PRIMARY KEY, salt BLOB NOT NULL, key_check TEXT NOT NULL,
                 kdf TEXT DEFAULT 'Scrypt-1024-8-1')";
    connection.execute_batch(table).unwrap();
    let canary = sealed("wireguard-friend-encryption-check");
    connection
        .execute("INSERT INTO encryption_metadata (id, salt, key_check) VALUES (1, ?1, ?2)", (&salt[..], canary))
        .unwrap();
    for (table, column) in [
        ("coordination_server", "private_key"),
        ("subnet_router", "private_key"),
        ("subnet_router", "preshared_key"),
        ("exit_node", "private_key"),
        ("remote", "private_key"),
        ("remote", "preshared_key"),
    ] {
        let select = format!("SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut statement = connection.prepare(&select).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let rows: Vec<(i64, String)> = rows.map(Result::unwrap).collect();
        for (id, text) in rows {
            let update = format!("UPDATE {table} SET {column} = ?1 WHERE id = ?2");
            connection.execute(&update, (sealed(&text), id)).unwrap();
        }
    }
    let around = Memory::default().with("wireguard.db", connection.serialize(c"main").unwrap().to_vec());
    let path = Path::new("wireguard.db");
    let with = |passphrase: Option<&str>| {
        let passphrase = passphrase.map(|text| Zeroizing::new(text.to_owned()));
        read(Format::Classic, path, &around, &Options { passphrase })
    };
    assert_eq!(with(None).unwrap_err().to_string(), "the keys in wireguard.db are encrypted: its passphrase is needed");
    assert_eq!(
        with(Some("wrong")).unwrap_err().to_string(),
        "the keys in wireguard.db are encrypted: the passphrase is wrong"
    );
    let (_, plain) = all("wg-friend-1", "wireguard.db");
    assert_eq!(show(&with(Some("correct horse")).unwrap()), show(&plain));
}
