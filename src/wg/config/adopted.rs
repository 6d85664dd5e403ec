//! Files of interfaces that were adopted, brought to one change after the other: what a person sees in the diff.

use super::changing::{OWN, node, wanted};
use super::{Document, Keys, Mode, bring, files};
use crate::model::{InterfaceId, LinkId, PresharedKey, PrivateKey, Secrets};
use crate::wg::compile::compile;
use crate::wg::compile::fixture::Fixture;
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig};

const FILE: &str = "\
# the hub, in the cellar
[Interface]
PrivateKey = AMgAAAAAAAAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB0c= # do not lose
Address = 10.9.0.1/24
Address=10.9.1.1/24
ListenPort = 51820
PostUp = iptables -A FORWARD -i %i -j ACCEPT
PostDown = iptables -D FORWARD -i %i -j ACCEPT

### Client alice
[Peer]
PublicKey   = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= # her phone
AllowedIPs  = 10.9.0.2/32, 10.9.7.0/24 , fd00::2/128 # all hers
Endpoint    = Phone.Example.com:51820
Jc = 4

# bob, in the attic
[Peer]
# roaming
PublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
AllowedIPs = 10.9.0.3
#PersistentKeepalive = 25

# that's all for now
";

/// Returns the lines that go and come when one thing is wanted otherwise.
fn diff(text: &str, change: impl FnOnce(&mut InterfaceConfig, &mut Secrets)) -> String {
    let reading = Document::parse(text).read(Mode::Keep).unwrap();
    let (mut config, mut secrets) = wanted(&reading.tunnel);
    change(&mut config, &mut secrets);
    let after = bring(text, &node(), &config, Keys::Shown(&secrets));
    let diff = similar::TextDiff::from_lines(text, after.as_str());
    let changes = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    changes.map(|change| format!("{}{}", change.tag(), change.value().replace('\r', "\\r"))).collect()
}

#[test]
fn after_a_rotation_the_key_is_another_and_the_first_one_is_said_once() {
    let fresh = |config: &mut InterfaceConfig, _: &mut Secrets| {
        let alice = &mut config.peers[0];
        alice.guid = Some("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap());
        alice.public_key = PrivateKey::from_random([9; 32]).public();
    };
    insta::assert_snapshot!(diff(FILE, fresh), @"
    -PublicKey   = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= # her phone
    +# permanent_guid: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
    +PublicKey   = V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE= # her phone
    ");
    let with = |comment: &str| FILE.replace("[Peer]\nPublicKey   =", &format!("{comment}\n[Peer]\nPublicKey   ="));
    for told in ["# guid=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "#hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="]
    {
        assert_eq!(diff(&with(told), fresh).lines().count(), 2, "{told}: it is said already");
    }
    assert_eq!(diff(&with("# key of 2020: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="), fresh).lines().count(), 3);
    let tabs = FILE.replace("\nPublicKey   =", "\n\tPublicKey   =").replace('\n', "\r\n");
    assert!(diff(&tabs, fresh).contains("+\t# permanent_guid: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\\r\n"));
    let key = PrivateKey::from_random([8; 32]);
    insta::assert_snapshot!(diff(FILE, |config, secrets| {
        config.public_key = key.public();
        secrets.private.insert(OWN, key);
    }), @"
    -PrivateKey = AMgAAAAAAAAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB0c= # do not lose
    +PrivateKey = CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICEg= # do not lose
    ");
}

#[test]
fn what_somebody_wrote_of_a_peer_is_about_its_present_key_and_not_about_the_one_that_is_awaited() {
    let first: crate::model::PublicKey = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap();
    let later = [8, 9].map(|byte| PrivateKey::from_random([byte; 32]).public());
    for (present, awaited) in [(later[0], later[1]), (later[1], later[0])] {
        let diff = diff(FILE, |config, _| {
            let alice = PeerConfig { guid: Some(first), public_key: present, ..config.peers[0].clone() };
            let next =
                PeerConfig { public_key: awaited, succeeds: Some(present), allowed_ips: Vec::new(), ..alice.clone() };
            config.peers[0] = alice;
            config.peers.push(next);
            config.peers.sort_by_key(|peer| peer.public_key);
        });
        let changed = format!(
            "-PublicKey   = {first} # her phone\n+# permanent_guid: {first}\n+PublicKey   = {present} # her phone\n"
        );
        assert!(diff.contains(&changed) && diff.contains(&format!("+PublicKey = {awaited}\n")), "{diff}");
        assert!(diff.replace(&changed, "").lines().all(|line| line.starts_with('+')), "{diff}");
    }
}

#[test]
fn a_key_that_nobody_holds_leaves_the_file() {
    let fresh = PrivateKey::from_random([9; 32]).public();
    insta::assert_snapshot!(diff(FILE, |config, secrets| {
        config.public_key = fresh;
        secrets.private.clear();
    }), @"
    -PrivateKey = AMgAAAAAAAAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB0c= # do not lose
    +# PrivateKey = the key of hub whose public half is V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE= # do not lose
    ");
}

#[test]
fn items_of_lists_come_and_go_and_the_others_keep_their_spelling() {
    insta::assert_snapshot!(diff(FILE, |config, _| {
        config.peers[0].allowed_ips.retain(|cidr| cidr.to_string() != "10.9.7.0/24");
        config.peers[1].allowed_ips.push("10.9.8.0/24".parse().unwrap());
    }), @"
    -AllowedIPs  = 10.9.0.2/32, 10.9.7.0/24 , fd00::2/128 # all hers
    +AllowedIPs  = 10.9.0.2/32 , fd00::2/128 # all hers
    -AllowedIPs = 10.9.0.3
    +AllowedIPs = 10.9.0.3, 10.9.8.0/24
    ");
    insta::assert_snapshot!(diff(FILE, |config, _| {
        config.addresses.remove(1);
        config.peers[1].allowed_ips.clear();
    }), @"
    -Address=10.9.1.1/24
    -AllowedIPs = 10.9.0.3
    ");
    insta::assert_snapshot!(diff(FILE, |config, _| config.addresses.push("fd00::1/64".parse().unwrap())), @"
    -Address=10.9.1.1/24
    +Address=10.9.1.1/24,fd00::1/64
    ");
}

#[test]
fn a_prefix_moves_from_one_peer_to_the_other() {
    insta::assert_snapshot!(diff(FILE, |config, _| {
        let prefix = config.peers[0].allowed_ips.remove(1);
        config.peers[1].allowed_ips.push(prefix);
    }), @"
    -AllowedIPs  = 10.9.0.2/32, 10.9.7.0/24 , fd00::2/128 # all hers
    +AllowedIPs  = 10.9.0.2/32 , fd00::2/128 # all hers
    -AllowedIPs = 10.9.0.3
    +AllowedIPs = 10.9.0.3, 10.9.7.0/24
    ");
}

#[test]
fn a_key_that_was_not_there_is_written_like_its_neighbours() {
    insta::assert_snapshot!(diff(FILE, |config, secrets| {
        config.mtu = Some("1380".parse().unwrap());
        config.dns = vec!["10.9.0.53".to_owned(), "lan".to_owned()];
        config.peers[0].keepalive = Some(25);
        secrets.preshared.insert(config.peers[1].link, PresharedKey::from_random([5; 32]));
    }), @"
    +MTU = 1380
    +DNS = 10.9.0.53, lan
    +PersistentKeepalive = 25
    +PresharedKey = BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=
    ");
}

#[test]
fn a_peer_goes_with_its_comments_and_one_blank_line() {
    insta::assert_snapshot!(diff(FILE, |config, _| drop(config.peers.remove(1))), @"
    -# bob, in the attic
    -[Peer]
    -# roaming
    -PublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
    -AllowedIPs = 10.9.0.3
    -#PersistentKeepalive = 25
    -
    ");
    insta::assert_snapshot!(diff(FILE, |config, _| drop(config.peers.remove(0))), @"
    -### Client alice
    -[Peer]
    -PublicKey   = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= # her phone
    -AllowedIPs  = 10.9.0.2/32, 10.9.7.0/24 , fd00::2/128 # all hers
    -Endpoint    = Phone.Example.com:51820
    -Jc = 4
    -
    ");
}

#[test]
fn a_peer_is_appended_in_the_files_own_line_ends() {
    let crlf = FILE.replace('\n', "\r\n");
    let add = |config: &mut InterfaceConfig, secrets: &mut Secrets| {
        let link = LinkId::between(OWN, InterfaceId(9));
        secrets.preshared.insert(link, PresharedKey::from_random([5; 32]));
        config.peers.push(PeerConfig {
            name: "carol".parse().unwrap(),
            guid: None,
            public_key: PrivateKey::from_random([9; 32]).public(),
            succeeds: None,
            by_both: false,
            next_preshared: false,
            link,
            allowed_ips: vec!["10.9.0.4/32".parse().unwrap()],
            endpoint: None,
            keepalive: Some(25),
        });
    };
    insta::assert_snapshot!(diff(FILE.trim_end(), add), @"
    -# that's all for now+# that's all for now
    +
    +# carol
    +[Peer]
    +PublicKey = V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE=
    +PresharedKey = BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=
    +AllowedIPs = 10.9.0.4/32
    +PersistentKeepalive = 25
    ");
    insta::assert_snapshot!(diff(&crlf, add), @r"
    +\r
    +# carol\r
    +[Peer]\r
    +PublicKey = V9tLNZ8jrl4Ubk4lEgVnBHIlBjSMFQwUdT0Mkz0E1CE=\r
    +PresharedKey = BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\r
    +AllowedIPs = 10.9.0.4/32\r
    +PersistentKeepalive = 25\r
    ");
}

#[test]
fn peers_alone_get_an_interface_when_one_is_wanted() {
    let at = FILE.find("# bob").unwrap();
    insta::assert_snapshot!(diff(&FILE[at..], |config, _| {
        config.addresses = vec!["10.9.0.1/24".parse().unwrap()];
        config.listen_port = Some("51821".parse().unwrap());
    }), @"
    +[Interface]
    +Address = 10.9.0.1/24
    +ListenPort = 51821
    +
    ");
}

/// The compiled hub of a network, and the text of its file without what the kernel needs around it, as if it had been
/// adopted.
fn adopted_hub() -> (NodeConfig, Secrets, String) {
    let fixture = Fixture::everything();
    let node = compile(&fixture.topology).unwrap().swap_remove(0);
    let mut secrets = fixture.secrets();
    let mut plain = node.interfaces[0].clone();
    (plain.firewall, plain.sysctls, plain.routes, plain.rules) = (None, Vec::new(), Vec::new(), Vec::new());
    let text = bring("# adopted\n[Interface]\n\n# below are the peers\n", &node, &plain, Keys::Shown(&secrets));
    secrets.documents.insert(plain.id, text.clone());
    (node, secrets, text.to_string())
}

#[test]
fn what_the_kernel_needs_is_added_behind_the_last_key_of_the_interface() {
    let (node, secrets, text) = adopted_hub();
    let made = files(&node, &secrets).swap_remove(0);
    assert_eq!(made.path, "wg0.conf");
    let diff = similar::TextDiff::from_lines(text.as_str(), made.content.as_str());
    let changes = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    insta::assert_snapshot!(changes.map(|change| format!("{}{}", change.tag(), change.value())).collect::<String>(), @r#"
    +PreUp = nft -f /etc/wireguard/wgf-wg0.nft
    +PostUp = sysctl -q -w net.ipv4.ip_forward=1
    +PostUp = for i in /proc/sys/net/ipv6/conf/*/accept_ra; do if [ "$(cat $i)" = 1 ]; then echo 2 > $i; fi; done
    +PostUp = sysctl -q -w net.ipv6.conf.all.forwarding=1
    +PostUp = sysctl -q -w net.ipv4.conf.wg0.rp_filter=2
    +PostDown = nft 'table inet wgf_wg0; delete table inet wgf_wg0'
    "#);
    let again = Document::parse(&made.content).read(Mode::Strict).unwrap();
    assert_eq!(again.tunnel.peers.len(), node.interfaces[0].peers.len());
    assert!(made.content.starts_with("# adopted\n[Interface]\nPrivateKey = "));
}

#[test]
fn a_masked_file_of_an_adopted_interface_differs_in_its_keys_only() {
    let (node, secrets, _) = adopted_hub();
    for (real, masked) in files(&node, &secrets).iter().zip(super::masked_files(&node, &secrets)) {
        assert_eq!(super::mask(&real.content), *masked.content);
    }
}
