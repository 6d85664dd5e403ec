//! What can't be one network, and what the operator is told of one that can.

use super::{conf, joined, public, refused, shown};
use crate::model::Role;
use crate::wg::adopt::View;

const CLIENT: &str = "[Interface]
    PrivateKey = private:phone
    Address = 10.0.0.2/32
    [Peer]
    PublicKey = public:server
    AllowedIPs = 10.0.0.0/24
    Endpoint = vpn.example.com:51820";

const SERVER: &str = "[Interface]
    PrivateKey = private:server
    Address = 10.0.0.1/24
    ListenPort = 51820
    [Peer]
    PublicKey = public:phone
    AllowedIPs = 10.0.0.2/32";

fn client(change: impl Fn(&str) -> String) -> View {
    conf("phone.conf", &change(CLIENT))
}

fn with(line: &'static str) -> impl Fn(&str) -> String {
    move |text| format!("{text}\n{line}")
}

#[test]
fn nothing_is_no_network() {
    insta::assert_snapshot!(refused(&[]), @"");
}

#[test]
fn a_view_without_a_key_is_known_by_its_address_or_refused_with_a_remedy() {
    let keyless = || client(|text| text.replace("PrivateKey = private:phone\n", "PrivateKey =\n"));
    let known = joined(&[conf("wg0.conf", SERVER), keyless()]);
    insta::assert_snapshot!(shown(&known), @"");
    insta::assert_snapshot!(refused(&[keyless()]), @"");
    let mut told = keyless();
    told.public_key = Some(public("phone"));
    assert_eq!(joined(&[told]).topology.nodes.len(), 2);
    let twice = SERVER.to_owned() + "\n[Peer]\nPublicKey = public:twin\nAllowedIPs = 10.0.0.2/32";
    insta::assert_snapshot!(refused(&[conf("wg0.conf", &twice), keyless()]), @"");
}

#[test]
fn contradictions_are_named_with_both_sources() {
    let server = || conf("wg0.conf", SERVER);
    let mut wrong = client(str::to_owned);
    wrong.public_key = Some(public("server"));
    insta::assert_snapshot!(refused(&[wrong]), @"");
    let other = conf("old.conf", &CLIENT.replace("10.0.0.2/32", "10.0.0.9/32"));
    insta::assert_snapshot!(refused(&[server(), client(str::to_owned), other]), @"");
    insta::assert_snapshot!(refused(&[server(), client(with("PresharedKey = shared:x"))]), @"");
    let own = with("[Peer]\nPublicKey = public:phone\nAllowedIPs = 10.0.0.3/32");
    insta::assert_snapshot!(refused(&[client(own)]), @"");
    let (mut a, mut b) = (client(str::to_owned), client(str::to_owned));
    (a.role, b.role) = (Some(Role::Remote), Some(Role::Router));
    b.source = "copy.conf".to_owned();
    insta::assert_snapshot!(refused(&[a, b]), @"");
}

#[test]
fn parts_without_a_common_key_are_listed() {
    let stranger = CLIENT.replace("server", "elsewhere").replace("private:phone", "private:stranger");
    let views = [conf("wg0.conf", SERVER), client(str::to_owned), conf("stranger.conf", &stranger)];
    insta::assert_snapshot!(refused(&views), @"");
}

#[test]
fn two_servers_with_clients_of_their_own_are_refused_unless_one_is_said_to_be_a_router() {
    let server = |own: &str, other: &str, net: u8| {
        let mut text = format!("[Interface]\nPrivateKey = private:{own}\nAddress = 10.{net}.0.1/24\nListenPort = 51820\n");
        text += &format!("[Peer]\nPublicKey = public:{other}\nAllowedIPs = 10.{}.0.0/24\n", 3 - net);
        text += &format!("Endpoint = {other}.example.com:51820\n");
        for number in 2..5 {
            text += &format!("[Peer]\nPublicKey = public:{own}{number}\nAllowedIPs = 10.{net}.0.{number}/32\n");
        }
        conf(&format!("{own}.conf"), &text)
    };
    let views = || [server("east", "west", 1), server("west", "east", 2)];
    insta::assert_snapshot!(refused(&views()), @"");
    let mut told = views();
    told[1].role = Some(Role::Router);
    insta::assert_snapshot!(shown(&joined(&told)), @"");
    let mut both = views();
    both.iter_mut().for_each(|view| view.role = Some(Role::Server));
    insta::assert_snapshot!(refused(&both), @"");
}

#[test]
fn what_is_odd_is_told_and_kept() {
    let server = SERVER.replace("ListenPort = 51820", "ListenPort = 443")
        + "\n[Peer]\n# phone\nPublicKey = public:laptop\nAllowedIPs = 10.0.0.2/32, 10.0.0.0/25\nPersistentKeepalive = 25";
    let server = conf("wg0.conf", &server);
    let laptop = conf("laptop.conf", &CLIENT.replace("private:phone", "private:laptop").replace("vpn.", "198.51.100.7.sslip."));
    let tablet = conf("tablet.conf", &CLIENT.replace("private:phone", "private:tablet").replace("0.2/32", "0.4/32"));
    let phone = client(str::to_owned);
    let mut again = client(str::to_owned);
    again.source = "phone (2).conf".to_owned();
    insta::assert_snapshot!(shown(&joined(&[server, laptop, tablet, phone, again])), @"");
}

#[test]
fn a_node_is_known_from_its_file_and_from_the_lines_of_its_peers() {
    let views = [conf("wg0.conf", &SERVER.replace("[Peer]", "\n# the phone\n[Peer]")), client(str::to_owned)];
    let joined = joined(&views);
    let node = |key| joined.topology.nodes.iter().find(|node| node.guid == public(key)).unwrap().id;
    assert_eq!(joined.known_from[&node("phone")], [(1, None), (0, Some((6, 9)))]);
    assert_eq!(joined.known_from[&node("server")], [(0, None), (1, Some((4, 7)))]);
}

#[test]
fn a_node_that_may_not_connect_is_switched_off_and_keeps_its_place() {
    let mut phone = client(str::to_owned);
    phone.enabled = false;
    let joined = joined(&[conf("wg0.conf", SERVER), phone]);
    let node = joined.topology.nodes.iter().find(|node| node.guid == public("phone")).unwrap();
    assert!(!node.enabled && node.address4.is_some() && node.main().kept.is_some());
}
