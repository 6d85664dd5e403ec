//! What a router's ruleset says.

use super::*;

#[test]
fn a_router_joins_its_lans_and_the_tunnel_and_nothing_else() {
    let firewalls = firewalls(&Fixture::everything());
    let depot = firewalls.iter().find(|firewall| matches!(firewall.duty, Duty::Router { nat: true, .. })).unwrap();
    insta::assert_snapshot!(ruleset(depot), @r#"
    #!/usr/sbin/nft -f
    # Written by wg-friend for wg0, which loads it before it comes up and removes it after it goes down.
    # It lets the tunnel reach the LANs behind this router and nothing else, and the LANs reach the tunnel.
    # The first two lines make room: table and contents are replaced in one step, and no packet goes unjudged meanwhile.

    table inet wgf_wg0
    delete table inet wgf_wg0
    table inet wgf_wg0 {
        set ours {
            type ifname
            elements = {
                "wg0"
            }
        }

        set own4 {
            type ipv4_addr
            flags interval
            elements = {
                192.168.20.0/24
            }
        }

        set own6 {
            type ipv6_addr
            flags interval
        }

        # Packets through the router: between the tunnel and its own LANs. Who may reach what is the server's to judge.
        chain forward {
            type filter hook forward priority filter; policy accept;
            iifname @ours goto to_lan
            oifname @ours goto from_lan
        }

        chain to_lan {
            ct state invalid drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            oifname "eth0" ip daddr @own4 accept
            oifname "eth0" ip6 daddr @own6 accept
            drop
        }

        chain from_lan {
            ct state invalid drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            iifname "eth0" ip saddr @own4 accept
            iifname "eth0" ip6 saddr @own6 accept
            drop
        }

        # Hosts of the LANs see the router's own address and need no route back.
        chain nat {
            type nat hook postrouting priority srcnat; policy accept;
            iifname "wg0" oifname "eth0" ip daddr @own4 masquerade
            iifname "wg0" oifname "eth0" ip6 daddr @own6 masquerade
        }

        # A TCP segment never grows larger than what the tunnel carries, whichever end is behind it.
        chain segment_size {
            type filter hook forward priority mangle; policy accept;
            iifname @ours tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
            oifname @ours tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
        }
    }
    "#);
}

#[test]
fn a_router_judges_those_with_links_of_their_own_by_their_lists() {
    let mut fixture = Fixture::everything();
    fixture.link("carol", "office", 1);
    fixture.node("carol").lan_selection.insert("fd00:10::/64".parse().unwrap());
    let firewalls = firewalls(&fixture);
    let judges = |wall: &&Firewall| matches!(wall.duty, Duty::Router { judged: Some(_), .. });
    let text = ruleset(firewalls.iter().find(judges).unwrap());
    assert_loads(&text);
    insta::assert_snapshot!(part(&text, "    map levels4", "    set granted_ports4"), @"
    map levels4 {
        type ipv4_addr : verdict
        elements = {
            10.66.0.8 : goto lans_66bc7887669eca0b
        }
    }

    map levels6 {
        type ipv6_addr : verdict
        elements = {
            fd00:66::8 : goto lans_5b88c0868ef72e53
        }
    }

    map lan_levels4 {
        type ipv4_addr : verdict
        flags interval
        elements = {
            192.168.10.0/24 : goto full
        }
    }

    map lan_levels6 {
        type ipv6_addr : verdict
        flags interval
        elements = {
            fd00:10::/64 : goto full
        }
    }
    ");
    insta::assert_snapshot!(part(&text, "    # Whoever has lan-only", "    chain custom"), @"
    # Whoever has lan-only reaches the network and the LANs of a list. Each list has a chain, named after what is in it.
    chain lans_66bc7887669eca0b {
        ct direction original ip daddr 192.168.10.0/24 accept
        ct direction reply ip saddr 192.168.10.0/24 accept
        goto vpn_only
    }

    chain lans_5b88c0868ef72e53 {
        ct direction original ip6 daddr fd00:10::/64 accept
        ct direction reply ip6 saddr fd00:10::/64 accept
        goto vpn_only
    }
    ");
}
