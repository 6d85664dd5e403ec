//! What nodes are taken for, in networks as people build them.

use super::{conf, joined, reason, shown};
use crate::model::Role;

#[test]
fn a_road_warrior_server_is_the_server_and_its_full_tunnel_clients_exit() {
    // As angristan's installer writes it.
    let server = conf(
        "wg0.conf",
        "[Interface]
        Address = 10.66.66.1/24,fd42:42:42::1/64
        ListenPort = 51820
        PrivateKey = private:server
        PostUp = iptables -I INPUT -p udp --dport 51820 -j ACCEPT
        PostUp = iptables -I FORWARD -i eth0 -o wg0 -j ACCEPT
        PostUp = iptables -I FORWARD -i wg0 -j ACCEPT
        PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
        PostDown = iptables -D INPUT -p udp --dport 51820 -j ACCEPT

        ### Client alice
        [Peer]
        PublicKey = public:alice
        PresharedKey = shared:alice
        AllowedIPs = 10.66.66.2/32,fd42:42:42::2/128

        ### Client bob
        [Peer]
        PublicKey = public:bob
        PresharedKey = shared:bob
        AllowedIPs = 10.66.66.3/32,fd42:42:42::3/128",
    );
    let alice = conf(
        "wg0-client-alice.conf",
        "[Interface]
        PrivateKey = private:alice
        Address = 10.66.66.2/32,fd42:42:42::2/128
        DNS = 1.1.1.1,1.0.0.1

        [Peer]
        PublicKey = public:server
        PresharedKey = shared:alice
        Endpoint = 198.51.100.9:51820
        AllowedIPs = 0.0.0.0/0,::/0",
    );
    let views = [server, alice];
    let joined = joined(&views);
    insta::assert_snapshot!(shown(&joined), @"
    network 10.66.66.0/24 fd42:42:42::/64 port 51820 mtu 1420 dns 1.1.1.1 1.0.0.1
    server server [10.66.66.1/32 fd42:42:42::1/128] at 198.51.100.9:51820
    remote alice [10.66.66.2/32 fd42:42:42::2/128] full by server
    remote bob [10.66.66.3/32 fd42:42:42::3/128] full by server provisional
    ");
    insta::assert_snapshot!(reason(&joined, "server"), @"listens on a port, and its 2 peers have an address each");
}

#[test]
fn a_server_of_phones_with_nat_and_two_peers_is_no_exit() {
    // As pivpn writes it: no forwarding rules in the file.
    let server = conf(
        "wg0.conf",
        "[Interface]
        PrivateKey = private:server
        Address = 10.6.0.1/24
        MTU = 1420
        ListenPort = 51820
        ### begin phone ###
        [Peer]
        PublicKey = public:phone
        PresharedKey = shared:phone
        AllowedIPs = 10.6.0.2/32
        ### end phone ###
        ### begin laptop ###
        [Peer]
        PublicKey = public:laptop
        PresharedKey = shared:laptop
        AllowedIPs = 10.6.0.3/32
        ### end laptop ###",
    );
    let phone = conf(
        "phone.conf",
        "[Interface]
        PrivateKey = private:phone
        Address = 10.6.0.2/24
        DNS = 10.6.0.1

        [Peer]
        PublicKey = public:server
        PresharedKey = shared:phone
        Endpoint = home.example.org:51820
        AllowedIPs = 10.6.0.0/24, 192.168.1.0/24",
    );
    let joined = joined(&[server, phone]);
    insta::assert_snapshot!(shown(&joined), @"
    network 10.6.0.0/24 port 51820 mtu 1420 dns 10.6.0.1
    server server [10.6.0.1/32] lans 192.168.1.0/24 at home.example.org:51820
    remote laptop [10.6.0.3/32] full provisional
    remote phone [10.6.0.2/32] full
    ");
}

#[test]
fn a_database_of_wg_easy_has_clients_that_keep_their_way_open() {
    let server = conf(
        "wg0.conf",
        "# Server
        [Interface]
        PrivateKey = private:server
        Address = 10.8.0.1/24
        ListenPort = 51820
        PreUp =
        PostUp = iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE; iptables -A FORWARD -i wg0 -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT;
        PostDown = iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE

        # Client: Mum's phone
        [Peer]
        PublicKey = public:mum
        PresharedKey = shared:mum
        AllowedIPs = 10.8.0.2/32",
    );
    let mum = conf(
        "mum.conf",
        "[Interface]
        PrivateKey = private:mum
        Address = 10.8.0.2/24
        DNS = 1.1.1.1

        [Peer]
        PublicKey = public:server
        PresharedKey = shared:mum
        AllowedIPs = 0.0.0.0/0, ::/0
        PersistentKeepalive = 0
        Endpoint = wg.example.net:51820",
    );
    insta::assert_snapshot!(shown(&joined(&[server, mum])), @"
    network 10.8.0.0/24 port 51820 mtu 1420 dns 1.1.1.1
    server server [10.8.0.1/32] at wg.example.net:51820
    remote Mums-phone [10.8.0.2/32] full by server
    ");
}

#[test]
fn of_two_sites_that_dial_each_other_one_is_the_server_and_the_other_a_router() {
    let a = conf(
        "site-a.conf",
        "[Interface]
        PrivateKey = private:a
        Address = 10.0.0.1/30
        ListenPort = 51820
        PostUp = iptables -A FORWARD -i %i -j ACCEPT
        [Peer]
        PublicKey = public:b
        AllowedIPs = 10.0.0.2/32, 192.168.2.0/24
        Endpoint = b.example.com:51820",
    );
    let b = conf(
        "site-b.conf",
        "[Interface]
        PrivateKey = private:b
        Address = 10.0.0.2/30
        ListenPort = 51820
        PostUp = iptables -A FORWARD -i %i -j ACCEPT
        [Peer]
        PublicKey = public:a
        AllowedIPs = 10.0.0.1/32, 192.168.1.0/24
        Endpoint = a.example.com:51820",
    );
    insta::assert_snapshot!(shown(&joined(&[a, b])), @"
    network 10.0.0.0/30 port 51820 mtu 1420
    server site-a [10.0.0.1/32] lans 192.168.1.0/24 at a.example.com:51820
    router site-b [10.0.0.2/32] lans 192.168.2.0/24 at b.example.com:51820
    ");
}

#[test]
fn a_mesh_of_three_has_a_server_and_a_link_beside_it() {
    let site = |own: &str, number: u8, others: [(&str, u8); 2]| {
        let mut text = format!(
            "[Interface]\nPrivateKey = private:{own}\nAddress = 10.9.0.{number}/24\nListenPort = 51820\n\
             PostUp = iptables -A FORWARD -i %i -j ACCEPT\n"
        );
        for (other, number) in others {
            text += &format!(
                "[Peer]\nPublicKey = public:{other}\nAllowedIPs = 10.9.0.{number}/32, 172.16.{number}.0/24\n\
                 Endpoint = {other}.example.com:51820\n"
            );
        }
        conf(&format!("{own}.conf"), &text)
    };
    let views = [
        site("oslo", 1, [("rome", 2), ("bern", 3)]),
        site("rome", 2, [("oslo", 1), ("bern", 3)]),
        site("bern", 3, [("oslo", 1), ("rome", 2)]),
    ];
    insta::assert_snapshot!(shown(&joined(&views)), @"
    network 10.9.0.0/24 port 51820 mtu 1420
    server oslo [10.9.0.1/32] lans 172.16.1.0/24 at oslo.example.com:51820
    router bern [10.9.0.3/32] lans 172.16.3.0/24 at bern.example.com:51820
    router rome [10.9.0.2/32] lans 172.16.2.0/24 at rome.example.com:51820
    link rome bern
    ");
}

#[test]
fn a_lone_client_of_a_provider_has_a_provisional_server() {
    let client = conf(
        "se-mma-wg-001.conf",
        "[Interface]
        PrivateKey = private:me
        Address = 10.67.1.2/32,fc00:bbbb:bbbb:bb01::4:102/128
        DNS = 10.64.0.1
        [Peer]
        PublicKey = public:mullvad
        AllowedIPs = 0.0.0.0/0,::0/0
        Endpoint = 193.138.218.220:51820",
    );
    let joined = joined(&[client]);
    insta::assert_snapshot!(shown(&joined), @"
    network 10.67.1.0/24 fc00:bbbb:bbbb:bb01::/64 port 51820 mtu 1420 dns 10.64.0.1
    server server [] at 193.138.218.220:51820 provisional
    remote se-mma-wg-001 [10.67.1.2/32 fc00:bbbb:bbbb:bb01::4:102/128] full by server
    ");
    insta::assert_snapshot!(reason(&joined, "server"), @"the other end dials it");
}

#[test]
fn a_lone_server_file_has_provisional_routers_exits_and_remotes() {
    let server = conf(
        "hub.conf",
        "[Interface]
        PrivateKey = private:hub
        Address = 10.10.0.1/24
        ListenPort = 51820
        [Peer]
        # office
        PublicKey = public:office
        AllowedIPs = 10.10.0.2/32, 192.168.10.0/24, 10.20.0.0/16
        [Peer]
        # upstream
        PublicKey = public:upstream
        AllowedIPs = 0.0.0.0/0
        Endpoint = out.example.com:51820
        [Peer]
        PublicKey = public:unnamed
        AllowedIPs = 10.10.0.9/32
        [Peer]
        # office
        PublicKey = public:twin
        AllowedIPs = 10.10.0.9/32, 172.31.0.4/32",
    );
    let joined = joined(&[server]);
    insta::assert_snapshot!(shown(&joined), @"
    network 10.10.0.0/24 port 51820 mtu 1420
    server hub [10.10.0.1/32]
    router office-2 [10.10.0.2/32] lans 10.20.0.0/16 192.168.10.0/24 provisional
    exit upstream [] at out.example.com:51820 provisional
    remote office [10.10.0.9/32] full provisional
    remote peer-n8I5ogj5 [] full provisional
    link hub upstream
    warning: no source says where `hub` is dialled: tell it by `wg-friend set hub endpoint=HOST` before you add clients
    warning: `hub.conf` has 10.10.0.9/32 at two peers: WireGuard gives it to the last one, R6qwI1KkpRpn2+N1N6x+NFs/PLH2v7IwVwUz0dT46AQ=, and n8I5ogj5kd6WwI6Gs/xYSuhT0Lhqxt5/UQBArMobDFU= gets nothing
    info: two nodes are called `office`: one becomes `office-2`
    ");
    assert!(joined.topology.nodes.iter().filter(|node| node.role != Role::Server).all(|node| node.provisional));
}

#[test]
fn a_client_asks_for_what_its_access_says() {
    let server = "[Interface]
        PrivateKey = private:hub
        Address = 10.10.0.1/24
        ListenPort = 51820
        [Peer]
        # office
        PublicKey = public:office
        AllowedIPs = 10.10.0.2/32, 192.168.10.0/24
        [Peer]
        # depot
        PublicKey = public:depot
        AllowedIPs = 10.10.0.3/32, 192.168.20.0/24\n";
    let asked = [
        ("all", "10.10.0.0/24, 192.168.10.0/24, 192.168.20.0/24"),
        ("net", "10.10.0.0/24"),
        ("one", "10.10.0.0/24, 192.168.20.0/24"),
        ("part", "10.10.0.1/32, 192.168.10.128/25"),
        ("wide", "10.0.0.0/8, 192.168.0.0/16"),
        ("web", "0.0.0.0/0"),
        ("halves", "0.0.0.0/1, 128.0.0.0/1"),
        ("none", "203.0.113.0/24"),
    ];
    let mut text = server.to_owned();
    let mut views = Vec::new();
    for (number, (name, allowed)) in asked.iter().enumerate() {
        let address = format!("10.10.0.{}", 10 + number);
        text += &format!("[Peer]\n# {name}\nPublicKey = public:{name}\nAllowedIPs = {address}/32\n");
        views.push(conf(
            &format!("{name}.conf"),
            &format!(
                "[Interface]\nPrivateKey = private:{name}\nAddress = {address}/32\n[Peer]\nPublicKey = public:hub\n\
                 AllowedIPs = {allowed}\nEndpoint = hub.example.com:51820\n"
            ),
        ));
    }
    views.push(conf("hub.conf", &text));
    insta::assert_snapshot!(shown(&joined(&views)), @"
    network 10.10.0.0/24 port 51820 mtu 1420
    server hub [10.10.0.1/32] at hub.example.com:51820
    router depot [10.10.0.3/32] lans 192.168.20.0/24 provisional
    router office [10.10.0.2/32] lans 192.168.10.0/24 provisional
    remote all [10.10.0.10/32] full
    remote halves [10.10.0.16/32] full by hub
    remote net [10.10.0.11/32] vpn_only
    remote none [10.10.0.17/32] custom
    remote one [10.10.0.12/32] lan_only of 192.168.20.0/24
    remote part [10.10.0.13/32] custom granted 10.10.0.1/32 any 192.168.10.128/25 any
    remote web [10.10.0.15/32] full by hub
    remote wide [10.10.0.14/32] full
    ");
}

#[test]
fn the_operators_word_wins() {
    let view = |word: Option<Role>| {
        let mut view = conf(
            "box.conf",
            "[Interface]
            PrivateKey = private:box
            Address = 10.0.0.7/24
            [Peer]
            PublicKey = public:other
            AllowedIPs = 10.0.0.0/24
            Endpoint = other.example.com:51820",
        );
        view.role = word;
        view
    };
    let role = |word: Option<Role>| {
        let joined = joined(&[view(word)]);
        let node = joined.topology.nodes.iter().find(|node| node.name.as_str() == "box").unwrap();
        let guessed = joined.guesses.iter().any(|g| g.node == Some(node.id) && g.about == super::super::About::Role);
        (node.role, guessed)
    };
    assert_eq!(role(None), (Role::Remote, true));
    for word in [Role::Server, Role::Router, Role::Exit, Role::Remote] {
        assert_eq!(role(Some(word)), (word, false));
    }
}

#[test]
fn what_a_server_saved_of_its_clients_whereabouts_is_no_endpoint() {
    let server = conf(
        "wg0.conf",
        "[Interface]
        Address = 10.0.0.1/24
        SaveConfig = true
        ListenPort = 51820
        PrivateKey = private:server
        [Peer]
        PublicKey = public:a
        AllowedIPs = 10.0.0.2/32
        Endpoint = 198.51.100.20:40222",
    );
    insta::assert_snapshot!(shown(&joined(&[server])), @"
    network 10.0.0.0/24 port 51820 mtu 1420
    server server [10.0.0.1/32]
    remote peer-Gxplzpsj [10.0.0.2/32] full provisional
    warning: no source says where `server` is dialled: tell it by `wg-friend set server endpoint=HOST` before you add clients
    ");
}
