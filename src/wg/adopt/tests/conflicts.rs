//! What can't be one network, and what the operator is told of one that can.

use super::{conf, joined, public, refused, shown};
use crate::model::Role;
use crate::wg::TunnelPeer;
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
    insta::assert_snapshot!(refused(&[]), @"there is no configuration to adopt");
}

#[test]
fn a_view_without_a_key_is_known_by_its_address_or_refused_with_a_remedy() {
    let keyless = || client(|text| text.replace("PrivateKey = private:phone\n", "PrivateKey =\n"));
    let known = joined(&[conf("wg0.conf", SERVER), keyless()]);
    insta::assert_snapshot!(shown(&known), @"
    network 10.0.0.0/24 port 51820 mtu 1420
    server server [10.0.0.1/32] at vpn.example.com:51820
    remote phone [10.0.0.2/32] vpn_only
    ");
    insta::assert_snapshot!(refused(&[keyless()]), @"`phone.conf` has no private key, and no other source has its address at a peer: give its public key, which `wg show` prints on the device");
    let mut told = keyless();
    told.public_key = Some(public("phone"));
    assert_eq!(joined(&[told]).topology.nodes.len(), 2);
    let twice = SERVER.to_owned() + "\n[Peer]\nPublicKey = public:twin\nAllowedIPs = 10.0.0.2/32";
    insta::assert_snapshot!(refused(&[conf("wg0.conf", &twice), keyless()]), @"`phone.conf` has no private key, and its address belongs to both APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo= and R6qwI1KkpRpn2+N1N6x+NFs/PLH2v7IwVwUz0dT46AQ=: give its public key, which `wg show` prints on the device");
}

#[test]
fn contradictions_are_named_with_both_sources() {
    let server = || conf("wg0.conf", SERVER);
    let mut wrong = client(str::to_owned);
    wrong.public_key = Some(public("server"));
    insta::assert_snapshot!(refused(&[wrong]), @"the private key of `phone.conf` belongs to APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo=, but its public key is said to be gGD0xyrr5d7x4nylx8rz3YfWPx2JCSPRDfl9cy2IxSU=: one is wrong");
    let other = conf("old.conf", &CLIENT.replace("10.0.0.2/32", "10.0.0.9/32"));
    insta::assert_snapshot!(refused(&[server(), client(str::to_owned), other]), @"`old.conf` and `phone.conf` are the same interface (APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo=) and differ: leave out the one that is out of date");
    insta::assert_snapshot!(refused(&[server(), client(with("PresharedKey = shared:x"))]), @"`phone.conf` and `wg0.conf` are peers and don't have the same preshared key, so that nothing passes between them: correct one, or leave out the one that is out of date");
    let mut own = client(str::to_owned);
    own.tunnel.peers.push(TunnelPeer::new(public("phone")));
    insta::assert_snapshot!(refused(&[own]), @"`phone.conf` has its own key APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo= as a peer: remove that peer");
    let (mut a, mut b) = (client(str::to_owned), client(str::to_owned));
    (a.role, b.role) = (Some(Role::Remote), Some(Role::Router));
    b.source = "copy.conf".to_owned();
    insta::assert_snapshot!(refused(&[a, b]), @"`copy.conf` and `phone.conf` are the same node: it can't be both router and remote");
}

#[test]
fn parts_without_a_common_key_are_listed() {
    let stranger = CLIENT.replace("server", "elsewhere").replace("private:phone", "private:stranger");
    let views = [conf("wg0.conf", SERVER), client(str::to_owned), conf("stranger.conf", &stranger)];
    insta::assert_snapshot!(refused(&views), @"these are not one network, for no key connects `phone.conf`, `wg0.conf` with `stranger.conf`: import each part by itself");
}

#[test]
fn two_servers_with_clients_of_their_own_are_refused_unless_one_is_said_to_be_a_router() {
    let server = |own: &str, other: &str, net: u8| {
        let mut text =
            format!("[Interface]\nPrivateKey = private:{own}\nAddress = 10.{net}.0.1/24\nListenPort = 51820\n");
        text += &format!("[Peer]\nPublicKey = public:{other}\nAllowedIPs = 10.{}.0.0/24\n", 3 - net);
        text += &format!("Endpoint = {other}.example.com:51820\n");
        for number in 2..5 {
            text += &format!("[Peer]\nPublicKey = public:{own}{number}\nAllowedIPs = 10.{net}.0.{number}/32\n");
        }
        conf(&format!("{own}.conf"), &text)
    };
    let views = || [server("east", "west", 1), server("west", "east", 2)];
    insta::assert_snapshot!(refused(&views()), @"`east.conf` and `west.conf` are both servers with clients of their own, and a network has one: import them as two networks, or say that one of them is a router");
    let mut told = views();
    told[1].role = Some(Role::Router);
    insta::assert_snapshot!(shown(&joined(&told)), @"
    network 10.1.0.0/24 port 51820 mtu 1420
    server east [10.1.0.1/32] at east.example.com:51820
    router west [] lans 10.2.0.0/24 at west.example.com:51820
    remote peer-0mCGeHQN [10.1.0.2/32] full provisional
    remote peer-Ezoyi9Oz [] full provisional
    remote peer-XMrOUNU1 [10.1.0.4/32] full provisional
    remote peer-hV52B8CH [] full provisional
    remote peer-sCPaopNX [] full provisional
    remote peer-zvvmWoCZ [10.1.0.3/32] full provisional
    link peer-Ezoyi9Oz west
    link peer-hV52B8CH west
    link west peer-sCPaopNX
    info: `peer-Ezoyi9Oz` isn't a peer of the server `east`: it reaches those whom it is linked to
    info: `peer-hV52B8CH` isn't a peer of the server `east`: it reaches those whom it is linked to
    info: `peer-sCPaopNX` isn't a peer of the server `east`: it reaches those whom it is linked to
    ");
    let mut both = views();
    both.iter_mut().for_each(|view| view.role = Some(Role::Server));
    insta::assert_snapshot!(refused(&both), @"`east.conf` and `west.conf` are both servers with clients of their own, and a network has one: import them as two networks, or say that one of them is a router");
}

#[test]
fn what_is_odd_is_told_and_kept() {
    let server = SERVER.replace("ListenPort = 51820", "ListenPort = 443")
        + "\n[Peer]\n# phone\nPublicKey = public:laptop\nAllowedIPs = 10.0.0.2/32, 10.0.0.0/25\nPersistentKeepalive = 25";
    let server = conf("wg0.conf", &server);
    let laptop =
        conf("laptop.conf", &CLIENT.replace("private:phone", "private:laptop").replace("vpn.", "198.51.100.7.sslip."));
    let tablet = conf("tablet.conf", &CLIENT.replace("private:phone", "private:tablet").replace("0.2/32", "0.4/32"));
    let phone = client(str::to_owned);
    let mut again = client(str::to_owned);
    again.source = "phone (2).conf".to_owned();
    insta::assert_snapshot!(shown(&joined(&[server, laptop, tablet, phone, again])), @"
    network 10.0.0.0/24 port 443 mtu 1420
    server server [10.0.0.1/32] at vpn.example.com:51820
    router phone []
    remote phone-2 [10.0.0.2/32] vpn_only
    remote tablet [10.0.0.4/32] vpn_only
    warning: 10.0.0.2 is `phone-2`'s, and `laptop.conf` gives it to `phone` too: packets reach one of them only
    warning: `phone-2` has 10.0.0.2 in `phone (2).conf`, which `wg0.conf` doesn't have at that peer: packets from it are dropped
    warning: `tablet.conf` has `server` as a peer, but `wg0.conf` doesn't have `tablet`: they can't talk, and are kept so
    warning: `wg0.conf` has 10.0.0.2/32 at two peers: WireGuard gives it to the last one, bhIB/pNkLj+SFJWpg0ohqExuuPBigJ31RYaKQwrZGiY=, and APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo= gets nothing
    warning: 10.0.0.0/25 behind `phone` can't be a LAN here, for it overlaps the network's 10.0.0.0/24: it is kept in the files that have it
    info: `server` listens on port 443 and is dialled at 198.51.100.7.sslip.example.com:51820 by `laptop.conf`: right only if something forwards it
    info: `server` listens on port 443 and is dialled at vpn.example.com:51820 by `phone (2).conf`, `tablet.conf`: right only if something forwards it
    info: two nodes are called `phone`: one becomes `phone-2`
    info: `phone.conf` says the same as `phone (2).conf`, which is used
    ");
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

#[test]
fn a_file_from_before_a_change_of_keys_takes_no_address_from_the_key_that_the_server_knows() {
    let old = client(|text| text.replace("private:phone", "private:old"));
    insta::assert_snapshot!(shown(&joined(&[conf("wg0.conf", SERVER), old])), @"
    network 10.0.0.0/24 port 51820 mtu 1420
    server server [10.0.0.1/32] at vpn.example.com:51820
    remote peer-APRKYKDb [10.0.0.2/32] full provisional
    remote phone [] vpn_only
    warning: 10.0.0.2 is `peer-APRKYKDb`'s, and `phone.conf` gives it to `phone` too: packets reach one of them only
    warning: `wg0.conf` has the key APRKYKDbfDO1ZB7M9KA8IB8335dDI+R1jisxVmdojWo= at a peer that seems to be `phone`, which has another in `phone.conf`: they can't talk until both have the same
    ");
}

#[test]
fn a_client_with_the_servers_former_key_is_told_of_it() {
    let phone = client(|text| text.replace("public:server", "public:former"));
    insta::assert_snapshot!(shown(&joined(&[conf("wg0.conf", SERVER), phone])), @"
    network 10.0.0.0/24 port 51820 mtu 1420
    server server [10.0.0.1/32]
    remote peer-K7Ejpw0t [] at vpn.example.com:51820 full provisional
    remote phone [10.0.0.2/32] full
    link phone peer-K7Ejpw0t
    warning: `phone.conf` has the key K7Ejpw0tu8bc8oM/GxGSA9ogx+qDB7Gr7+T4jctkFwI= at a peer that seems to be `server`, which has another in `wg0.conf`: they can't talk until both have the same
    warning: no source says where `server` is dialled: tell it by `wg-friend set server endpoint=HOST` before you add clients
    info: `peer-K7Ejpw0t` isn't a peer of the server `server`: it reaches those whom it is linked to
    ");
}
