//! Tests of all formats alike: what is written is read back, what can't be said is refused, nothing else changes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::feature::describe::is_address;
use super::*;
use crate::model::{Cidr, PresharedKey, PrivateKey, Table};
use crate::wg::config::{Document, Mode};
use crate::wg::{Hook, Phase, TunnelPeer};

fn subject(name: &str) -> Subject {
    Subject { name: name.to_owned(), node: "alice-phone".to_owned(), without: BTreeSet::new(), halve_default: false }
}

/// Everything that a tunnel means, as text. Two texts are equal when the kernel and the resolver get the same.
fn meaning(tunnel: &Tunnel, names: bool) -> String {
    let mut text = String::new();
    let mut routes = routes::of(tunnel);
    routes.table = routes.table.filter(|_| !routes.plain.is_empty());
    let mark = tunnel.fwmark.filter(|mark| *mark != 0 && (routes.defaults.is_empty() || *mark != routes::WG_QUICK));
    let key = tunnel.private_key.as_ref().map(|key| key.expose_base64().to_string());
    let mut addresses: Vec<String> = tunnel.addresses.iter().map(ToString::to_string).collect();
    addresses.sort();
    let mut dns = tunnel.dns.clone();
    dns.sort_by_key(|entry| (!is_address(entry), entry.contains(':')));
    let _ = writeln!(text, "{key:?} {addresses:?} {:?} {mark:?} {:?} {dns:?}", tunnel.listen_port, tunnel.mtu);
    let _ = writeln!(text, "{routes:?} {} {:?} {:?}", tunnel.save_config, tunnel.hooks, tunnel.unknown);
    for peer in &tunnel.peers {
        let name = peer.name.as_ref().filter(|_| names);
        let preshared = peer.preshared.as_ref().map(|key| key.expose_base64().to_string());
        let keepalive = peer.keepalive.filter(|seconds| *seconds > 0);
        let _ = writeln!(
            text,
            "{name:?} {} {preshared:?} {:?} {:?} {keepalive:?} {:?}",
            peer.public_key, peer.allowed_ips, peer.endpoint, peer.unknown
        );
    }
    text
}

#[derive(Clone, Debug)]
struct PeerSpec {
    name: Option<String>,
    key: [u8; 32],
    preshared: Option<[u8; 32]>,
    lengths: Vec<(bool, u8)>,
    endpoint: Option<String>,
    keepalive: Option<u16>,
}

#[derive(Clone, Debug)]
struct Spec {
    key: [u8; 32],
    addresses: Vec<(bool, u8, u8)>,
    port: Option<u16>,
    fwmark: Option<u32>,
    mtu: Option<u16>,
    dns: Vec<String>,
    table: Table,
    default: (bool, bool),
    peers: Vec<PeerSpec>,
}

fn peer_spec() -> impl Strategy<Value = PeerSpec> {
    let endpoint = prop_oneof![
        (any::<u32>(), 1..=u16::MAX).prop_map(|(ip, port)| format!("{}:{port}", std::net::Ipv4Addr::from(ip))),
        (any::<u128>(), 1..=u16::MAX).prop_map(|(ip, port)| format!("[{}]:{port}", std::net::Ipv6Addr::from(ip))),
        ("[a-z][a-z0-9]{0,8}\\.example", 1..=u16::MAX).prop_map(|(host, port)| format!("{host}:{port}")),
    ];
    (
        prop::option::of("[a-z][a-z0-9_.-]{0,12}[a-z0-9]"),
        any::<[u8; 32]>(),
        prop::option::of(any::<[u8; 32]>()),
        prop::collection::vec((any::<bool>(), 16..=32_u8), 0..4),
        prop::option::of(endpoint),
        prop::option::of(0..=u16::MAX),
    )
        .prop_map(|(name, key, preshared, lengths, endpoint, keepalive)| PeerSpec {
            name,
            key,
            preshared,
            lengths,
            endpoint,
            keepalive,
        })
}

fn spec() -> impl Strategy<Value = Spec> {
    let dns = prop_oneof![
        Just("10.66.0.1".to_owned()),
        Just("9.9.9.9".to_owned()),
        Just("fd00::53".to_owned()),
        Just("corp.example".to_owned()),
        Just("lan".to_owned())
    ];
    let table = prop_oneof![
        Just(Table::Auto),
        Just(Table::Off),
        (1..200_u32).prop_map(Table::Number),
        Just(Table::Named("vpn".to_owned()))
    ];
    (
        any::<[u8; 32]>(),
        prop::collection::vec((any::<bool>(), any::<u8>(), 16..=32_u8), 0..4),
        prop::option::of(1..=u16::MAX),
        prop::option::of(prop_oneof![Just(0), Just(51820), 1..=u32::MAX]),
        prop::option::of(1280..=9000_u16),
        prop::collection::btree_set(dns, 0..4).prop_map(|set| set.into_iter().collect()),
        table,
        any::<(bool, bool)>(),
        prop::collection::vec(peer_spec(), 0..4),
    )
        .prop_map(|(key, addresses, port, fwmark, mtu, dns, table, default, peers)| Spec {
            key,
            addresses,
            port,
            fwmark,
            mtu,
            dns,
            table,
            default,
            peers,
        })
}

impl Spec {
    /// A tunnel that the format can express.
    fn tunnel(&self, format: Format) -> Tunnel {
        let lacks = |feature: Feature| format.lacks().contains(&feature);
        let net = |text: String| Cidr::containing(text.parse().unwrap());
        let mut tunnel = Tunnel {
            private_key: Some(PrivateKey::from_random({
                let mut key = self.key;
                key[2] = 1;
                key
            })),
            listen_port: self.port.and_then(crate::model::Port::new),
            fwmark: self.fwmark.filter(|_| !lacks(Feature::FwMark)),
            mtu: self.mtu,
            ..Tunnel::default()
        };
        for (at, (ipv4, low, length)) in self.addresses.iter().enumerate() {
            let text = match ipv4 {
                true => format!("172.16.{at}.{low}/{length}"),
                false => format!("fd00:a::{at}:{low:x}/{}", 4 * length),
            };
            tunnel.addresses.push(text.parse().unwrap());
        }
        let family = |ipv4: bool| self.addresses.iter().any(|(four, ..)| *four == ipv4);
        let usable = |entry: &&String| match format {
            Format::NetworkManager if is_address(entry) => family(!entry.contains(':')),
            Format::NetworkManager => {
                family(true) && self.dns.iter().all(|e| !is_address(e) || family(!e.contains(':')))
            }
            Format::OpnSense => is_address(entry),
            _ => !lacks(Feature::Dns),
        };
        tunnel.dns = self.dns.iter().filter(usable).cloned().collect();
        tunnel.table = match (&self.table, format) {
            (Table::Auto, _) | (_, Format::Apple | Format::Android) => Table::Auto,
            (Table::Off, _) => Table::Off,
            (Table::Number(number), Format::RouterOs | Format::EdgeOs) => match number % 2 {
                0 => Table::Off,
                _ => Table::Auto,
            },
            (Table::Named(_), format) if lacks(Feature::Table) || format == Format::Networkd => Table::Auto,
            (table, _) => table.clone(),
        };
        for (at, spec) in self.peers.iter().enumerate() {
            let key = PrivateKey::from_random({
                let mut key = spec.key;
                (key[1], key[2]) = (u8::try_from(at).unwrap(), 0); // no key stands twice
                key
            });
            let mut peer = TunnelPeer::new(key.public());
            peer.name.clone_from(&spec.name);
            peer.preshared = spec.preshared.map(PresharedKey::from_random);
            peer.endpoint = spec.endpoint.as_ref().map(|text| text.parse().unwrap());
            peer.keepalive = spec.keepalive;
            for (part, (ipv4, length)) in spec.lengths.iter().enumerate() {
                peer.allowed_ips.push(net(match ipv4 {
                    true => format!("10.{}.0.0/{length}", 16 * at + part),
                    false => format!("fd01:{at}:{part}::/{}", 4 * length),
                }));
            }
            if at == 0 && !lacks(Feature::DefaultRoute) {
                peer.allowed_ips.extend(self.default.0.then_some(Cidr::ALL4));
                peer.allowed_ips.extend(self.default.1.then_some(Cidr::ALL6));
            }
            tunnel.peers.push(peer);
        }
        tunnel
    }
}

fn explain(wrong: &[Inexpressible]) -> String {
    wrong.iter().map(|wrong| format!("{wrong}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("WGF_LONG").is_some() { 4000 } else { 200 }))]

    #[test]
    fn what_is_written_means_the_same_when_it_is_read_back(spec in spec()) {
        for format in Format::ALL.iter().copied().filter(|format| format.is_read()) {
            let tunnel = spec.tunnel(format);
            let export = write(format, &subject("wg0"), &tunnel).map_err(|wrong| explain(&wrong)).unwrap();
            let files: Vec<(&str, &str)> =
                export.files.iter().filter(|file| file.secret || !file.name.ends_with(".firewall"))
                    .map(|file| (file.name.as_str(), file.content.as_str())).collect();
            let mut found = read(format, &files).map_err(|error| error.to_string()).unwrap();
            prop_assert_eq!(found.len(), 1);
            let found = found.remove(0);
            prop_assert_eq!(found.interface.map(|name| name.to_string()), Some("wg0".to_owned()));
            let names = !format.is_app() && format != Format::WgQuick;
            // VyOS has no peers without names.
            let names = names && (!matches!(format, Format::Vyos | Format::RouterOs) || tunnel.peers.iter().all(|peer| peer.name.is_some()));
            prop_assert_eq!(meaning(&found.tunnel, names), meaning(&tunnel, names), "{}: {:?}", format, found.remarks);
        }
    }

    #[test]
    fn a_format_is_recognised_by_what_it_writes(spec in spec()) {
        for format in Format::ALL.iter().copied().filter(|format| format.is_read()) {
            let export = write(format, &subject("wg0"), &spec.tunnel(format)).map_err(|wrong| explain(&wrong)).unwrap();
            let main = &export.files[0];
            let expected = if format.is_app() { Format::WgQuick } else { format };
            prop_assert_eq!(recognise(&main.name, &main.content), Some(expected));
            prop_assert_eq!(recognise("unknown", &main.content), Some(expected));
        }
    }

    #[test]
    fn readers_refuse_what_they_do_not_understand_without_a_panic(text in "\\PC{0,200}", lines in prop::collection::vec("[ \\[\\]a-zA-Z0-9=/'\"\\\\.:;,#~@-]{0,40}", 0..12)) {
        for format in Format::ALL.iter().copied().filter(|format| format.is_read()) {
            for text in [text.as_str(), &lines.join("\n")] {
                let _ = read(format, &[("x.netdev", text), ("x.network", text)]);
                let _ = recognise("x", text);
            }
        }
    }
}

/// A tunnel with everything that any system lacks.
fn rich() -> Tunnel {
    let text = "[Interface]\nPrivateKey = 4PIO+5DmBN3Xw+k0rD0C1Z2pnq2Cz8jN0L1pF2sUw1s=\nAddress = 10.66.0.30/32\n\
        DNS = fd00::53, corp.example\nFwMark = 0x77\nTable = vpn\nSaveConfig = true\nPostUp = true\nJc = 4\n\
        [Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 0.0.0.0/0, 192.168.7.0/24\n";
    let mut tunnel = Document::parse(text).read(Mode::Keep).unwrap().tunnel;
    tunnel.mtu = Some(400);
    tunnel
}

#[test]
fn the_table_of_what_formats_lack_is_what_their_writers_refuse() {
    for format in Format::ALL.iter().copied() {
        let mut refused: BTreeSet<Feature> = BTreeSet::new();
        // Once as it is, once with the table that makes routes, once without the key.
        let mut auto = rich();
        auto.table = Table::Auto;
        let mut keyless = rich();
        keyless.private_key = None;
        for tunnel in [rich(), auto, keyless] {
            let subject = subject(if format == Format::Json { "anything" } else { "wg0" });
            if let Err(wrong) = write(format, &subject, &tunnel) {
                refused.extend(wrong.iter().filter_map(|wrong| wrong.feature));
            }
        }
        let declared: BTreeSet<Feature> = format.lacks().iter().copied().collect();
        assert_eq!(refused, declared, "{format}");
    }
}

#[test]
fn what_is_named_is_left_out_and_told() {
    for format in Format::ALL.iter().copied() {
        let mut subject = subject("wg0");
        subject.without = format.lacks().iter().copied().collect();
        let export = write(format, &subject, &rich()).map_err(|wrong| explain(&wrong)).unwrap();
        for gone in &export.left_out {
            assert!(!gone.what.is_empty() && subject.without.contains(&gone.feature), "{format}: {gone:?}");
        }
        let needed = [Feature::Hooks, Feature::SaveConfig, Feature::VendorKeys];
        for feature in needed.into_iter().filter(|feature| subject.without.contains(feature)) {
            assert!(export.left_out.iter().any(|gone| gone.feature == feature), "{format}: {feature}");
        }
    }
}

#[test]
fn an_error_names_the_thing_and_the_ways_out() {
    let mut tunnel = rich();
    tunnel.mtu = Some(1420);
    tunnel.unknown.clear();
    let wrong = write(Format::Apple, &subject("alice-phone"), &tunnel).unwrap_err();
    insta::assert_snapshot!(explain(&wrong), @"
    the WireGuard app on iOS and macOS can't express 1 hook (PostUp): nothing runs commands there
    the WireGuard app on iOS and macOS can't express Table = vpn: routes follow from AllowedIPs: give each peer what is to be routed
    the WireGuard app on iOS and macOS can't express FwMark = 0x77: the app keeps its own packets out of the tunnel
    the WireGuard app on iOS and macOS can't express SaveConfig: only wg-quick overwrites its own file, and what it overwrites is lost
    ");
}

#[test]
fn names_that_a_system_does_not_take_are_refused() {
    let tunnel = Document::parse("[Interface]\nPrivateKey = 4PIO+5DmBN3Xw+k0rD0C1Z2pnq2Cz8jN0L1pF2sUw1s=\n");
    let tunnel = tunnel.read(Mode::Keep).unwrap().tunnel;
    let cases = [
        (Format::Windows, "con.home", false),
        (Format::Windows, "LPT1", false),
        (Format::Windows, "home.", false),
        (Format::Windows, &"a".repeat(33), false),
        (Format::Windows, &"a".repeat(32), true),
        (Format::Android, "alices-old-phone", false),
        (Format::Android, "alices-phone", true),
        (Format::Apple, " home", false),
        (Format::Apple, "alices-old-phone-in-the-kitchen", true),
        (Format::Vyos, "office", false),
        (Format::Vyos, "wg12", true),
        (Format::PfSense, "office", false),
        (Format::PfSense, "wg0", true),
        (Format::OpenWrt, "wg-0", false),
        (Format::OpenWrt, "wg_0", true),
        (Format::Networkd, "1234567890123456", false),
    ];
    for (format, name, good) in cases {
        assert_eq!(write(format, &subject(name), &tunnel).is_ok(), good, "{format} {name}");
    }
}

#[test]
fn overlapping_addresses_are_refused_where_they_must_not_be() {
    let text = "[Interface]\nPrivateKey = 4PIO+5DmBN3Xw+k0rD0C1Z2pnq2Cz8jN0L1pF2sUw1s=\n\
        [Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 10.0.0.0/8\n\
        [Peer]\nPublicKey = 2pd1bE0XPsxkltSdeXvR+/2DEMs76skg/KkXiv+BFEc=\nAllowedIPs = 10.9.0.0/16\n";
    let tunnel = Document::parse(text).read(Mode::Keep).unwrap().tunnel;
    let wrong = write(Format::RouterOs, &subject("wg0"), &tunnel).unwrap_err();
    insta::assert_snapshot!(explain(&wrong), @"MikroTik RouterOS 7 can't express allowed addresses that overlap: 10.0.0.0/8 of hSDwCYkw and 10.9.0.0/16 of 2pd1bE0X: they must not on one interface: give the smaller network its own interface, or cut it out of the larger one");
}

#[test]
fn windows_does_without_its_kill_switch_when_default_routes_are_halved() {
    let mut tunnel = rich();
    (tunnel.table, tunnel.mtu) = (Table::Auto, None);
    let mut subject = subject("home");
    subject.without = Format::Windows.lacks().iter().copied().collect();
    let plain = write(Format::Windows, &subject, &tunnel).unwrap();
    assert!(plain.files[0].content.contains("AllowedIPs = 0.0.0.0/0, "), "{}", *plain.files[0].content);
    assert!(plain.notes.iter().any(|note| note.contains("--no-kill-switch")));
    subject.halve_default = true;
    let halved = write(Format::Windows, &subject, &tunnel).unwrap();
    assert!(halved.files[0].content.contains("AllowedIPs = 0.0.0.0/1, 128.0.0.0/1, "), "{}", *halved.files[0].content);
    assert!(!halved.notes.iter().any(|note| note.contains("--no-kill-switch")));
}

#[test]
fn nothing_in_a_value_ends_the_quotes_around_it() {
    let mut tunnel = Tunnel { private_key: Some(PrivateKey::from_random([7; 32])), ..Tunnel::default() };
    let mut peer = TunnelPeer::new(PrivateKey::from_random([8; 32]).public());
    peer.name = Some("bob's \"laptop\" $(reboot) ${x} '' \\ \n[Peer]".to_owned());
    tunnel.peers.push(peer);
    tunnel.hooks.push(Hook { phase: Phase::PostUp, command: "echo ''${x} \"%i\" ''".to_owned() });
    let mut subject = subject("wg0");
    subject.without = BTreeSet::from([Feature::Hooks]);
    for format in Format::ALL.iter().copied().filter(|format| format.is_read()) {
        let export = write(format, &subject, &tunnel).map_err(|wrong| explain(&wrong)).unwrap();
        let files: Vec<_> = export.files.iter().map(|file| (file.name.as_str(), file.content.as_str())).collect();
        let found = read(format, &files).map_err(|error| error.to_string()).unwrap();
        assert_eq!((found.len(), found[0].tunnel.peers.len()), (1, 1), "{format}");
        assert_eq!(meaning(&found[0].tunnel, false).lines().last(), meaning(&tunnel, false).lines().last(), "{format}");
    }
    subject.without.clear();
    let nix = write(Format::NixOs, &subject, &tunnel).map_err(|wrong| explain(&wrong)).unwrap();
    assert!(nix.files[0].content.contains("echo '''''${x} \"wg0\" '''"), "{}", *nix.files[0].content);
    assert!(!nix.files[0].secret && nix.files.iter().filter(|file| file.secret).count() == 1);
}

#[test]
fn errors_of_readers_name_file_line_what_was_found_and_what_was_expected() {
    let wrong = |format, name: &str, text: &str| read(format, &[(name, text)]).unwrap_err().to_string();
    insta::assert_snapshot!(wrong(Format::Networkd, "wg0.netdev", "[NetDev]\nKind=wireguard\nName=wg0\n[WireGuard]\nListenPort=99999\n"), @"wg0.netdev, line 5: found `99999`, expected a port, 1 to 65535, or auto");
    insta::assert_snapshot!(wrong(Format::NetworkManager, "a.nmconnection", "[connection]\ntype=wireguard\n[wireguard]\nprivate-key=abc\n"), @"a.nmconnection, line 4: found 3 characters that are no key, expected a private key: 44 characters of base64");
    insta::assert_snapshot!(wrong(Format::OpenWrt, "network", "config interface 'wg0'\n\toption proto 'wireguard\n"), @"network, line 2: found a quote that isn't closed, expected the value within quotes on one line");
    insta::assert_snapshot!(wrong(Format::RouterOs, "x.rsc", "/ip address\nadd address=1.2.3.4/24 interface=ether1\n"), @"x.rsc: found no WireGuard interface, expected /interface/wireguard add name=...");
    insta::assert_snapshot!(wrong(Format::Vyos, "c", "set interfaces wireguard wg0 peer a allowed-ips '10.0.0/24'\n"), @"c, line 1: found `10.0.0/24`, expected a network, such as 192.168.10.0/24");
    insta::assert_snapshot!(wrong(Format::Json, "x.json", "{\"wg_friend_tunnel\": 1, \"private_key\": 7}"), @"x.json, line 1: found a field that is missing, unknown or of another kind, expected a document of `wg-friend export --format json`");
    insta::assert_snapshot!(wrong(Format::NixOs, "wg0.nix", "{ }"), @"wg0.nix: found a configuration for nixos, expected one of wg-quick, networkd, networkmanager, openwrt, routeros, vyos, edgeos, windows, apple, android, json");
}

/// The examples: the configuration of a rich remote, a router and a server, as wg-quick files.
const EXAMPLES: [(&str, &str); 3] = [("remote", "alice-laptop"), ("router", "branch"), ("server", "hub")];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/export")
}

/// `UPDATE_GOLDEN=1 cargo test --lib formats` writes the files anew.
#[test]
fn every_format_writes_the_examples_as_the_golden_files_show_them() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differ = Vec::new();
    for (example, node) in EXAMPLES {
        let text = std::fs::read_to_string(fixtures().join(format!("{example}.conf"))).unwrap();
        let mut reading = Document::parse(&text).read(Mode::Strict).unwrap();
        for (peer, name) in reading.tunnel.peers.iter_mut().zip(["hub", "exit-de", "alice's phone"]) {
            peer.name = Some(name.to_owned());
        }
        for format in Format::ALL.iter().copied() {
            let name = if format.is_app() { node } else { "wg0" };
            let mut subject = Subject { node: node.to_owned(), ..subject(name) };
            let mut files = Vec::new();
            if let Err(wrong) = write(format, &subject, &reading.tunnel) {
                files.push(("refused.txt".to_owned(), explain(&wrong)));
                subject.without = wrong.iter().filter_map(|wrong| wrong.feature).collect();
            }
            let export = write(format, &subject, &reading.tunnel).map_err(|wrong| explain(&wrong)).unwrap();
            files.extend(export.files.iter().map(|file| (file.name.clone(), file.content.to_string())));
            let folder = fixtures().join(example).join(format.as_str());
            if update {
                let _ = std::fs::remove_dir_all(&folder);
                std::fs::create_dir_all(&folder).unwrap();
            }
            for (name, content) in files {
                let path = folder.join(name);
                if update {
                    std::fs::write(&path, &content).unwrap();
                }
                let golden = std::fs::read_to_string(&path).unwrap_or_default();
                if golden != content {
                    differ.push(path);
                }
            }
        }
    }
    assert_eq!(differ, Vec::<PathBuf>::new(), "UPDATE_GOLDEN=1 writes them anew: look at the difference then");
}
