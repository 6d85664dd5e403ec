//! The order in which views are given makes no difference.

use std::collections::BTreeMap;

use super::super::{Joined, View};
use super::{conf, joined};

/// Everything that was joined, with views by their sources.
pub(super) fn told(joined: &Joined, views: &[View]) -> String {
    let source = |place: usize| &views[place].source;
    let documents: BTreeMap<_, _> = joined.documents.iter().map(|(id, place)| (id, source(*place))).collect();
    let known: Vec<_> = joined
        .known_from
        .iter()
        .map(|(node, mentions)| {
            let mut sources: Vec<_> = mentions.iter().map(|(place, lines)| (source(*place), lines)).collect();
            sources.sort();
            (node, sources)
        })
        .collect();
    let private: Vec<_> = joined.secrets.private.iter().map(|(id, key)| (id, key.public())).collect();
    let preshared: Vec<_> =
        joined.secrets.preshared.iter().map(|(link, key)| (link, key.expose_base64().to_string())).collect();
    format!(
        "{}\n{private:?}\n{preshared:?}\n{documents:?}\n{known:?}\n{:#?}\n{:#?}",
        serde_json::to_string_pretty(&joined.topology).unwrap(),
        joined.guesses,
        joined.findings,
    )
}

#[test]
fn server_router_and_phone_give_the_same_network_in_every_order() {
    let views = || {
        let server = conf(
            "wg0.conf",
            "[Interface]
            PrivateKey = private:server
            Address = 10.8.0.1/24, fd00:8::1/64
            ListenPort = 51820
            PostUp = iptables -A FORWARD -i %i -j ACCEPT
            [Peer]
            # office
            PublicKey = public:office
            PresharedKey = shared:office
            AllowedIPs = 10.8.0.2/32, fd00:8::2/128, 192.168.10.0/24
            [Peer]
            # phone
            PublicKey = public:phone
            AllowedIPs = 10.8.0.3/32",
        );
        let office = conf(
            "office.conf",
            "[Interface]
            PrivateKey = private:office
            Address = 10.8.0.2/24, fd00:8::2/64
            PostUp = iptables -A FORWARD -i %i -j ACCEPT
            [Peer]
            PublicKey = public:server
            PresharedKey = shared:office
            AllowedIPs = 10.8.0.0/24, fd00:8::/64
            Endpoint = vpn.example.com:51820
            PersistentKeepalive = 25",
        );
        let phone = conf(
            "phone.conf",
            "[Interface]
            PrivateKey = private:phone
            Address = 10.8.0.3/32
            DNS = 9.9.9.9
            [Peer]
            PublicKey = public:server
            AllowedIPs = 0.0.0.0/0, ::/0
            Endpoint = 203.0.113.5:51820",
        );
        [server, office, phone]
    };
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut results = orders.map(|order| {
        let mut views = views().map(Some);
        let views = order.map(|place| views[place].take().unwrap());
        told(&joined(&views), &views)
    });
    results.sort_unstable();
    assert_eq!(results[0], results[5]);
    insta::assert_snapshot!(super::shown(&joined(&views())), @"
    network 10.8.0.0/24 fd00:8::/64 port 51820 mtu 1420 dns 9.9.9.9
    server server [10.8.0.1/32 fd00:8::1/128] at vpn.example.com:51820
    router office [10.8.0.2/32 fd00:8::2/128] lans 192.168.10.0/24
    remote phone [10.8.0.3/32] full by server
    info: `server` is dialled at 203.0.113.5:51820 by `phone.conf`, and mostly at vpn.example.com:51820: both are kept
    ");
}
