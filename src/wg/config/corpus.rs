//! Files in the style of many authors and tools, in tests/fixtures/wg-quick.

use std::fs;
use std::path::Path;

use super::changing::{node, wanted};
use super::{Document, Keys, Mode, bring, mask};

/// Returns the files with their names, in order.
pub(super) fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wg-quick");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let confs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "conf"));
    let mut files: Vec<(String, String)> = confs
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 40, "{}", files.len());
    files
}

/// What is refused, or odd, in one mode.
fn verdict(document: &Document, mode: Mode) -> String {
    let (word, faults) = match document.read(mode) {
        Ok(reading) => (format!("{} peers", reading.tunnel.peers.len()), reading.warnings),
        Err(faults) => ("refused".to_owned(), faults),
    };
    let codes = faults.iter().map(|fault| format!(" {}:{}", fault.line, fault.code()));
    word + &codes.collect::<String>()
}

#[test]
fn every_file_prints_as_it_was_and_stays_when_it_means_what_is_wanted() {
    for (name, text) in files() {
        let document = Document::parse(&text);
        assert_eq!(*document.print(), text, "{name}");
        for mode in [Mode::Keep, Mode::Lenient] {
            let Ok(reading) = document.read(mode) else { continue };
            let (config, secrets) = wanted(&reading.tunnel);
            assert_eq!(*bring(&text, &node(), &config, Keys::Shown(&secrets)), text, "{name}");
            assert_eq!(*bring(&text, &node(), &config, Keys::Masked(&secrets)), mask(&text), "{name}");
        }
    }
}

#[test]
fn every_file_is_read_or_refused_for_what_is_wrong_with_it() {
    let mut lines = String::new();
    for (name, text) in files() {
        let document = Document::parse(&text);
        let (keep, lenient) = (verdict(&document, Mode::Keep), verdict(&document, Mode::Lenient));
        lines.push_str(&format!("{}: {keep}\n", name.trim_end_matches(".conf")));
        if keep.starts_with("refused") {
            lines.push_str(&format!("  leniently: {lenient}\n"));
        }
    }
    insta::assert_snapshot!(lines, @"
    after-rotation: 1 peers
    algo-server: 2 peers
    amnezia-2: 1 peers 5:unknown-key 6:unknown-key 7:unknown-key 8:unknown-key 9:unknown-key 10:unknown-key 11:unknown-key 12:unknown-key 13:unknown-key 14:unknown-key 15:unknown-key 16:unknown-key
    amnezia: 1 peers 5:unknown-key 6:unknown-key 7:unknown-key 8:unknown-key 9:unknown-key 10:unknown-key 11:unknown-key 12:unknown-key 13:unknown-key
    android: 1 peers 4:unknown-key
    angristan-client: 1 peers
    angristan-server: 2 peers
    bgp-mesh: 1 peers
    brackets: 2 peers 8:endpoint-spelling 13:endpoint-spelling
    comments-everywhere: 2 peers
    crlf-mark: 1 peers 1:byte-order-mark
    crlf: 1 peers
    dn42-link-local: 1 peers 14:endpoint-zone
    dn42-peer: 1 peers
    gateway: 1 peers
    hook-cut: 1 peers 5:hook-cut 6:hook-cut
    hooks-of-all-kinds: 1 peers
    key-by-hook: 1 peers
    key-by-pass: 1 peers 5:placeholder
    key-placeholder: 1 peers 2:placeholder
    linuxserver: 2 peers
    long-line: 1 peers
    manual-page: 3 peers 4:save-config-on 10:host-bits
    mark: 1 peers 1:byte-order-mark
    mixed-line-ends: 1 peers
    mullvad-kill-switch: 1 peers
    mullvad: 1 peers
    nft-hooks: 1 peers
    nothing-of-its-own: 1 peers
    nyr-server: 2 peers
    odd-case: 1 peers
    peers-only: 2 peers 2:no-interface
    pivpn-client: 1 peers
    pivpn-server: 2 peers
    policy-routing: 1 peers
    proton: 1 peers
    refused-address-after-peer: refused 8:misplaced 9:misplaced
      leniently: 1 peers 8:misplaced 9:misplaced
    refused-before-section: refused 1:before-section 8:no-value
      leniently: 1 peers 1:before-section 8:no-value
    refused-increments: refused 7:incremental 7:incremental
      leniently: 1 peers 7:incremental 7:incremental
    refused-loose-bits: refused 6:key
      leniently: refused 6:key
    refused-port: refused 4:port 9:endpoint
      leniently: refused 4:port 9:endpoint
    refused-quotes: refused 2:quoted 3:quoted 6:quoted 7:quoted 8:quoted
      leniently: 1 peers 2:quoted 3:quoted 6:quoted 7:quoted 8:quoted
    refused-semicolons: refused 1:semicolon 5:semicolon 9:semicolon
      leniently: 1 peers 1:semicolon 5:semicolon 9:semicolon
    refused-short-key: refused 6:key
      leniently: refused 6:key
    repeated-and-mixed: 1 peers 7:repeated 10:dns 10:dns 16:host-bits 19:repeated
    same-prefix-twice: 2 peers 13:shared-allowed-ip
    saved-by-wg-quick: 2 peers 3:save-config-on
    showconf: 1 peers
    site-to-site: 1 peers
    split-tunnel-app: 1 peers 4:unknown-key
    tabs-and-padding: 2 peers
    tagged-names: 2 peers
    two-interfaces: 1 peers 10:second-interface 12:repeated
    two-words-and-blanks: 1 peers
    unicode: 2 peers
    wg-easy-client: 1 peers
    wg-easy: 2 peers
    wireguard-ui: 1 peers
    ");
}

#[test]
fn comments_give_names() {
    let mut lines = String::new();
    for (name, text) in files() {
        let document = Document::parse(&text);
        let Ok(reading) = document.read(Mode::Lenient) else { continue };
        let peers: Vec<&str> = reading.tunnel.peers.iter().map(|peer| peer.name.as_deref().unwrap_or("-")).collect();
        let interface = document.interface_name().unwrap_or_else(|| "-".to_owned());
        if interface != "-" || peers.iter().any(|name| *name != "-") {
            lines.push_str(&format!("{}: {interface} / {}\n", name.trim_end_matches(".conf"), peers.join(" ")));
        }
    }
    insta::assert_snapshot!(lines, @"
    after-rotation: hub / alice
    algo-server: - / phone laptop
    angristan-server: - / alice bob-phone
    comments-everywhere: hub / alice office
    dn42-link-local: - / frank
    gateway: - / exit
    linuxserver: - / myPC peer2
    mullvad: Calm-Otter / -
    nft-hooks: - / gateway
    nyr-server: - / client tablet
    pivpn-server: - / phone work-laptop
    proton: - / NL-FREE
    same-prefix-twice: - / office depot
    tagged-names: node1 / node2-node backup-host
    two-interfaces: - / mobile
    unicode: - / Juergens -
    wg-easy: - / phone Annas-laptop
    wireguard-ui: - / carol
    ");
}

#[test]
fn comments_have_owners_and_categories() {
    let files = files();
    let mut lines = String::new();
    for wanted in ["comments-everywhere.conf", "nyr-server.conf", "after-rotation.conf"] {
        let (_, text) = files.iter().find(|(name, _)| name == wanted).unwrap();
        for comment in Document::parse(text).comments() {
            let owner = match comment.owner {
                super::Owner::Interface => "interface".to_owned(),
                super::Owner::Peer(key) => key.short(),
                super::Owner::Hook(line) => format!("hook {line}"),
            };
            lines.push_str(&format!("{} {owner} {:?}: {}\n", comment.line, comment.category, comment.text));
        }
        lines.push('\n');
    }
    insta::assert_snapshot!(lines, @"
    1 interface Unclassified: the hub of our network
    2 interface Unclassified: maintained by the three of us
    4 interface Unclassified: 
    5 interface Custom: INTERFACE
    6 interface Unclassified: 
    7 interface Hostname: Name = hub
    8 interface Custom: do not rename
    9 interface Custom: the key is from 2021
    10 interface Custom: keep safe
    11 interface Custom: v4
    12 interface Custom: v6
    13 interface Custom: 51820 was taken
    14 hook 15 Rationale: forwarding is off by default on this machine
    16 interface Unclassified: PostUp = echo not any more
    18 interface Unclassified: ---- phones ----
    20 4eIrez6w Hostname: alice, since May
    22 4eIrez6w Role: dynamic endpoint
    23 4eIrez6w Custom: new phone
    24 4eIrez6w Custom: two addresses
    25 4eIrez6w Custom: v4 and v6
    27 interface Unclassified: ---- sites ----
    29 3HoPLr9B Hostname: office
    30 3HoPLr9B Role: static endpoint
    33 3HoPLr9B Custom: the LAN there:
    36 3HoPLr9B Unclassified: PersistentKeepalive = 25
    38 interface Unclassified: [Peer]
    39 interface Unclassified: an old laptop
    40 interface Unclassified: PublicKey = ILFTiEv45vSs76MTQt5eFAb+ldBnTB0QShi2FHStFio=
    41 interface Unclassified: AllowedIPs = 10.45.0.4/32
    43 interface Unclassified: that is all

    1 interface Unclassified: Do not alter the commented lines
    2 interface Unclassified: They are used by wireguard-install
    3 interface Unclassified: ENDPOINT 198.51.100.23
    10 lAhcPiK2 Hostname: BEGIN_PEER client
    15 lAhcPiK2 Custom: END_PEER client
    16 XGCXmV0V Hostname: BEGIN_PEER tablet
    21 XGCXmV0V Custom: END_PEER tablet

    1 interface Custom: Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    2 interface Hostname: hub, public key GNU79z31Y0lHG/gQqtuyqAEn6MaA1iJkVRrKfFYLvOY=
    8 OWWIf2iw Hostname: alice
    9 OWWIf2iw PermanentGuid: permanent_guid: N4acEwNex5OOogObIRNHv8vJLTApdbN+bLBo/XokC/o=
    11 OWWIf2iw Role: alice only initiates, from wherever she is
    ");
}

#[test]
fn faults_are_shown_with_their_line_and_a_caret() {
    let mut shown = String::new();
    for (name, text) in files().iter().filter(|(name, _)| name.starts_with("refused-")) {
        let document = Document::parse(text);
        let faults = document.read(Mode::Keep).unwrap_err();
        shown.extend(faults.iter().map(|fault| fault.render(name, &document)));
    }
    insta::assert_snapshot!(shown, @r#"
    refused-address-after-peer.conf:8:1: Address belongs to [Interface]
    8 | Address = 10.72.0.2/24
      | ^^^^^^^
      = help: wg refuses it after [Peer]: move it up
    refused-address-after-peer.conf:9:1: DNS belongs to [Interface]
    9 | DNS = 10.72.0.1
      | ^^^
      = help: wg refuses it after [Peer]: move it up
    refused-before-section.conf:1:1: a key before any section; expected [Interface] or [Peer] first
    1 | Address = 10.76.0.2/24
      | ^^^^^^^
    refused-before-section.conf:8:1: PersistentKeepalive has no value; expected a value
    8 | PersistentKeepalive =
      | ^^^^^^^^^^^^^^^^^^^
      = help: leave the line out if there is none
    refused-increments.conf:7:14: `+10.77.0.0/24` changes what the peer had before; expected a prefix
    7 | AllowedIPs = +10.77.0.0/24, -10.77.1.0/24
      |              ^^^^^^^^^^^^^
      = help: wg knows `+` and `-` from 2025 on only, and refuses them before: list what the peer is to have
    refused-increments.conf:7:29: `-10.77.1.0/24` changes what the peer had before; expected a prefix
    7 | AllowedIPs = +10.77.0.0/24, -10.77.1.0/24
      |                             ^^^^^^^^^^^^^
      = help: wg knows `+` and `-` from 2025 on only, and refuses them before: list what the peer is to have
    refused-loose-bits.conf:6:13: the public key is 44 characters long, but its last one carries bits that must be zero; expected 44 characters of base64, as `wg genkey`, `wg pubkey` and `wg genpsk` print them
    6 | PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: copy it again: a character is missing or mistyped
    refused-port.conf:4:14: `666666666` is no port; expected a number from 0 to 65535
    4 | ListenPort = 666666666
      |              ^^^^^^^^^
      = help: wg would take port 34474 without a word
    refused-port.conf:9:12: `vpn.example.com` is no endpoint; expected host:port, such as vpn.example.com:51820, 203.0.113.7:51820 or [2001:db8::7]:51820
    9 | Endpoint = vpn.example.com
      |            ^^^^^^^^^^^^^^^
      = help: the port is missing
    refused-quotes.conf:2:14: a value in quotes; expected the same without quotes
    2 | PrivateKey = (hidden)
      |              ^^^^^^^^
    refused-quotes.conf:3:11: a value in quotes; expected the same without quotes
    3 | Address = "10.71.0.2/24"
      |           ^^^^^^^^^^^^^^
    refused-quotes.conf:6:13: a value in quotes; expected the same without quotes
    6 | PublicKey = '(hidden)
      |             ^^^^^^^^^
    refused-quotes.conf:7:14: a value in quotes; expected the same without quotes
    7 | AllowedIPs = "10.71.0.0/24, 10.71.1.0/24"
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    refused-quotes.conf:8:12: a value in quotes; expected the same without quotes
    8 | Endpoint = "203.0.113.71:51820"
      |            ^^^^^^^^^^^^^^^^^^^^
    refused-semicolons.conf:1:1: `;` doesn't begin a comment; expected `#`
    1 | ; my laptop
      | ^
      = help: wg refuses it: begin the comment with `#`
    refused-semicolons.conf:5:1: `;` doesn't begin a comment; expected `#`
    5 | ; DNS = 10.70.0.1
      | ^
      = help: wg refuses it: begin the comment with `#`
    refused-semicolons.conf:9:27: `;` doesn't begin a comment; expected `#`
    9 | AllowedIPs = 10.70.0.0/24 ; all of it
      |                           ^
      = help: wg refuses it: begin the comment with `#`
    refused-short-key.conf:6:13: the public key has 43 characters; expected 44 characters of base64, as `wg genkey`, `wg pubkey` and `wg genpsk` print them
    6 | PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: copy it again: a character is missing or mistyped
    "#);
}

#[test]
fn wg_agrees_about_every_file() {
    // Its name has to be one of an interface there.
    let files: Vec<_> = files().into_iter().zip(0..).map(|((_, text), at)| (format!("c{at}.conf"), text)).collect();
    super::agreement::compare(&files);
}

#[test]
fn every_code_is_explained() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/wg-quick.md");
    let page = fs::read_to_string(page).unwrap();
    let missing = super::FaultKind::ALL.iter().filter(|kind| !page.contains(&format!("| `{}` |", kind.code())));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&super::FaultKind>::new());
}
