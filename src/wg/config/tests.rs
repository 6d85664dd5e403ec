use super::{files, mask, masked_files, minimal};
use crate::model::{Role, Secrets};
use crate::wg::NodeConfig;
use crate::wg::compile::compile;
use crate::wg::compile::fixture::{Fixture, lans};

fn node(nodes: &[NodeConfig], name: &str) -> usize {
    nodes.iter().position(|node| node.name.as_str() == name).unwrap()
}

fn masked(fixture: &Fixture, name: &str, path: &str) -> String {
    let nodes = compile(&fixture.topology).unwrap();
    let files = masked_files(&nodes[node(&nodes, name)], &fixture.secrets());
    files.iter().find(|file| file.path == path).unwrap().content.to_string()
}

#[test]
fn a_server_has_a_file_for_each_interface_and_one_for_the_firewall() {
    let fixture = Fixture::everything();
    let nodes = compile(&fixture.topology).unwrap();
    let files = files(&nodes[0], &fixture.secrets());
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["wg0.conf", "wgf-wg0.nft", "wgx1.conf", "wgx2.conf"]);
    assert_eq!(files.iter().map(|file| file.secret).collect::<Vec<_>>(), [true, false, true, true]);
}

#[test]
fn a_remote_has_a_plain_file() {
    insta::assert_snapshot!(masked(&Fixture::everything(), "dave", "wg0.conf"), @"
    # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    # dave, public key Y0fa8NcEBcFAwPrkBAUkRjas6UUU+uI0Vajx3+iPskI=
    [Interface]
    PrivateKey = (hidden)
    Address = 10.66.0.9/32, fd00:66::9/128
    MTU = 1420
    DNS = 10.66.0.1

    # hub
    [Peer]
    PublicKey = pBThOxpcBNfKnpnEyXmk982kvFADwMMxZnXW+0LFr1g=
    PresharedKey = (hidden)
    AllowedIPs = 10.66.0.1/32, 10.66.0.2/32, 192.168.20.0/24, fd00:10::/64
    Endpoint = hub.example.com:51820
    PersistentKeepalive = 25
    ");
}

#[test]
fn a_router_forwards_and_loads_its_firewall() {
    insta::assert_snapshot!(masked(&Fixture::everything(), "depot", "wg0.conf"), @r#"
    # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    # depot, public key rQNEa7Zs3vHtI2QIBVpovUNDd2xdmeSdT8h+3AZH5BQ=
    [Interface]
    PrivateKey = (hidden)
    Address = 10.66.0.3/32, fd00:66::3/128
    ListenPort = 51820
    MTU = 1420
    PreUp = nft -f /etc/wireguard/wgf-wg0.nft
    PostUp = sysctl -q -w net.ipv4.ip_forward=1
    PostUp = for i in /proc/sys/net/ipv6/conf/*/accept_ra; do if [ "$(cat $i)" = 1 ]; then echo 2 > $i; fi; done
    PostUp = sysctl -q -w net.ipv6.conf.all.forwarding=1
    PostDown = nft 'table inet wgf_wg0; delete table inet wgf_wg0'

    # hub
    [Peer]
    PublicKey = pBThOxpcBNfKnpnEyXmk982kvFADwMMxZnXW+0LFr1g=
    PresharedKey = (hidden)
    AllowedIPs = 10.66.0.0/24, 192.168.1.0/24, 192.168.10.0/24, fd00:10::/64, fd00:66::/64
    Endpoint = hub.example.com:51820
    "#);
}

#[test]
fn an_uplink_has_its_routes_in_a_table_of_its_own() {
    insta::assert_snapshot!(masked(&Fixture::everything(), "hub", "wgx1.conf"), @"
    # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    # hub, public key JTvJzWIyLQPqUsAnx0pAswSZArQejEcU+CaJA2g3elQ=
    [Interface]
    PrivateKey = (hidden)
    Address = 10.66.0.1/32, fd00:66::1/128
    ListenPort = 51901
    MTU = 1420
    Table = off
    PostUp = sysctl -q -w net.ipv4.conf.wgx1.rp_filter=2
    PostUp = ip -4 route replace 10.66.0.4/32 dev wgx1
    PostUp = ip -6 route replace fd00:66::4/128 dev wgx1
    PostUp = ip -4 route replace 0.0.0.0/0 dev wgx1 table 7766101
    PostUp = ip -6 route replace ::/0 dev wgx1 table 7766101
    PostUp = ip -4 rule del fwmark 0x77660065 table 7766101 priority 7867 2>/dev/null || true; ip -4 rule add fwmark 0x77660065 table 7766101 priority 7867
    PostUp = ip -6 rule del fwmark 0x77660065 table 7766101 priority 7867 2>/dev/null || true; ip -6 rule add fwmark 0x77660065 table 7766101 priority 7867
    PostDown = ip -4 rule del fwmark 0x77660065 table 7766101 priority 7867 2>/dev/null || true
    PostDown = ip -6 rule del fwmark 0x77660065 table 7766101 priority 7867 2>/dev/null || true

    # berlin
    [Peer]
    PublicKey = MbqB0mBoNlHz83aEIMtJf8Y6+W7B0qqv8IC5e/g+AUg=
    PresharedKey = (hidden)
    AllowedIPs = 0.0.0.0/0, ::/0
    Endpoint = berlin.example.com:51820
    ");
}

#[test]
fn a_code_is_as_short_as_can_be() {
    let mut fixture = Fixture::new();
    fixture.add("hub", Role::Server).lans = lans(&["192.168.0.0/24", "192.168.1.0/24"]);
    fixture.add("alice", Role::Remote);
    let nodes = compile(&fixture.topology).unwrap();
    let text = minimal(&nodes[1].interfaces[0], &fixture.secrets());
    insta::assert_snapshot!(*text, @"
    [Interface]
    PrivateKey=AMgAAAAAAAAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB0c=
    Address=10.66.0.2/32,fd00:66::2/128
    MTU=1420
    DNS=10.66.0.1
    [Peer]
    PublicKey=pBThOxpcBNfKnpnEyXmk982kvFADwMMxZnXW+0LFr1g=
    PresharedKey=yAAAAAAAAAAHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=
    AllowedIPs=10.66.0.0/24,192.168.0.0/23,fd00:66::/64
    Endpoint=hub.example.com:51820
    PersistentKeepalive=25
    ");
}

#[test]
fn without_a_private_key_the_file_says_where_to_put_it() {
    let fixture = Fixture::everything();
    let nodes = compile(&fixture.topology).unwrap();
    let files = files(&nodes[node(&nodes, "alice")], &Secrets::default());
    let head: Vec<&str> = files[0].content.lines().take(6).collect();
    insta::assert_snapshot!(head.join("\n"), @"
    # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    # alice, public key 31XbTBzxhOkCsshXxhzHD+gvHeZnIeNQCKQfz0yb/18=
    [Interface]
    # Put the private key here, which only this device has:
    # PrivateKey = the key whose public half is above
    Address = 10.66.0.6/32, fd00:66::6/128
    ");
    assert!(!files[0].content.lines().any(|line| line.starts_with("PrivateKey")));
}

#[test]
fn a_masked_file_differs_from_the_real_one_in_its_keys_only() {
    let fixture = Fixture::everything();
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    for node in &nodes {
        for (real, masked) in files(node, &secrets).iter().zip(masked_files(node, &secrets)) {
            let differing = real.content.lines().zip(masked.content.lines()).filter(|(real, masked)| real != masked);
            for (real, masked) in differing {
                let (key, _) = real.split_once(" = ").unwrap();
                assert!(["PrivateKey", "PresharedKey"].contains(&key), "{real}");
                assert_eq!(masked, format!("{key} = (hidden)"));
            }
            assert_eq!(real.content.lines().count(), masked.content.lines().count());
        }
        assert!(!format!("{:?}", files(node, &secrets)).contains("PrivateKey"));
    }
}

#[test]
fn text_that_holds_keys_is_never_moved_while_it_grows() {
    let fixture = Fixture::everything();
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    for interface in nodes.iter().flat_map(|node| &node.interfaces) {
        let node = &nodes[0];
        let text = super::write(node, interface, super::Keys::Shown(&secrets));
        assert_eq!(text.capacity(), super::writer::Text::with_room_for(interface).text.capacity(), "{}", text.len());
    }
}

#[test]
fn masking_a_file_hides_every_key_in_every_spelling() {
    let fixture = Fixture::everything();
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    for node in &nodes {
        for (real, masked) in files(node, &secrets).iter().zip(masked_files(node, &secrets)) {
            assert_eq!(mask(&real.content), *masked.content);
        }
    }
    let odd = "privatekey=abc=\r\n# PresharedKey = x\nPRESHARED KEY\t=\ty\nPublicKey = z";
    assert_eq!(
        mask(odd),
        "privatekey=(hidden)\r\n# PresharedKey = (hidden)\nPRESHARED KEY\t=\t(hidden)\nPublicKey = z"
    );
}

#[test]
fn a_peer_that_has_another_key_by_now_is_named_by_its_first_one_too() {
    let mut fixture = Fixture::everything();
    let before = masked(&fixture, "hub", "wg0.conf");
    assert!(!before.contains("guid"));
    let alice = fixture.node("alice");
    let first = alice.guid;
    alice.interfaces[0].public_key = crate::model::PrivateKey::from_random([99; 32]).public();
    let now = alice.interfaces[0].public_key;
    let after = masked(&fixture, "hub", "wg0.conf");
    let section = format!("# alice\n# permanent_guid: {first}\n[Peer]\nPublicKey = {now}\n");
    assert!(after.contains(&section), "{after}");
    let without =
        after.replace(&format!("# permanent_guid: {first}\n"), "").replace(&now.to_string(), &first.to_string());
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&without), sorted(&before), "all else is as it was");
    let comments = super::Document::parse(&after).comments();
    let told = |c: &&super::Comment| c.category == super::Category::PermanentGuid;
    let told = comments.iter().find(told).unwrap();
    assert_eq!(
        (told.owner, told.text.as_str()),
        (super::Owner::Peer(now), format!("permanent_guid: {first}").as_str())
    );
}
