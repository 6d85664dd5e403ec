//! What the server's ruleset says.

use super::*;
use crate::model::{ExitRule, Protocol, RuleAction};

#[test]
fn the_server_decides() {
    insta::assert_snapshot!(ruleset(&firewalls(&Fixture::everything())[0]), @r#"
    #!/usr/sbin/nft -f
    # Written by wg-friend for wg0, which loads it before it comes up and removes it after it goes down.
    # It decides who may reach what, judges only packets from and to the tunnels, and leaves all others alone.
    # The first two lines make room: table and contents are replaced in one step, and no packet goes unjudged meanwhile.

    table inet wgf_wg0
    delete table inet wgf_wg0
    table inet wgf_wg0 {
        set ours {
            type ifname
            elements = {
                "wg0",
                "wgx1",
                "wgx2"
            }
        }

        set network4 {
            type ipv4_addr
            flags interval
            elements = {
                10.66.0.0/24
            }
        }

        set network6 {
            type ipv6_addr
            flags interval
            elements = {
                fd00:66::/64
            }
        }

        set own4 {
            type ipv4_addr
            flags interval
            elements = {
                192.168.1.0/24
            }
        }

        set own6 {
            type ipv6_addr
            flags interval
        }

        set dns4 {
            type ipv4_addr
            elements = {
                10.66.0.1
            }
        }

        set dns6 {
            type ipv6_addr
        }

        set leaving4 {
            type ipv4_addr
        }

        set leaving6 {
            type ipv6_addr
        }

        set private4 {
            type ipv4_addr
            flags interval
            elements = {
                0.0.0.0/8,
                10.0.0.0/8,
                100.64.0.0/10,
                127.0.0.0/8,
                169.254.0.0/16,
                172.16.0.0/12,
                192.168.0.0/16,
                224.0.0.0/3
            }
        }

        set private6 {
            type ipv6_addr
            flags interval
            elements = {
                ::/128,
                ::1/128,
                fc00::/7,
                fe80::/10,
                ff00::/8
            }
        }

        map levels4 {
            type ipv4_addr : verdict
            elements = {
                10.66.0.2 : goto full,
                10.66.0.3 : goto full,
                10.66.0.6 : goto full,
                10.66.0.7 : goto vpn_only,
                10.66.0.8 : goto lans_66bc7887669eca0b,
                10.66.0.9 : goto custom,
                10.66.0.11 : goto full
            }
        }

        map levels6 {
            type ipv6_addr : verdict
            elements = {
                fd00:66::2 : goto full,
                fd00:66::3 : goto full,
                fd00:66::6 : goto full,
                fd00:66::7 : goto vpn_only,
                fd00:66::8 : goto vpn_only,
                fd00:66::9 : goto custom,
                fd00:66::b : goto full
            }
        }

        map lan_levels4 {
            type ipv4_addr : verdict
            flags interval
            elements = {
                192.168.1.0/24 : goto full,
                192.168.10.0/24 : goto full,
                192.168.20.0/24 : goto full
            }
        }

        map lan_levels6 {
            type ipv6_addr : verdict
            flags interval
            elements = {
                fd00:10::/64 : goto full
            }
        }

        set granted_ports4 {
            type ipv4_addr . ipv4_addr . inet_proto . inet_service
            flags interval
            elements = {
                10.66.0.9 . 192.168.20.0/24 . udp . 53,
                10.66.0.9 . 192.168.20.7 . tcp . 22,
                10.66.0.9 . 192.168.20.7 . tcp . 443,
                10.66.0.9 . 192.168.20.7 . tcp . 8000-8999
            }
        }

        set granted_ports6 {
            type ipv6_addr . ipv6_addr . inet_proto . inet_service
            flags interval
        }

        set granted_all4 {
            type ipv4_addr . ipv4_addr
            flags interval
        }

        set granted_all6 {
            type ipv6_addr . ipv6_addr
            flags interval
            elements = {
                fd00:66::9 . fd00:10::/64
            }
        }

        set granted_icmp4 {
            type ipv4_addr . ipv4_addr
            flags interval
            elements = {
                10.66.0.9 . 10.66.0.2
            }
        }

        set granted_icmp6 {
            type ipv6_addr . ipv6_addr
            flags interval
        }

        map exit_marks4 {
            type ipv4_addr : mark
            elements = {
                10.66.0.11 : 0x77660066
            }
        }

        map exit_marks6 {
            type ipv6_addr : mark
            elements = {
                fd00:66::b : 0x77660066
            }
        }

        set exits4 {
            type ipv4_addr . ifname
            elements = {
                10.66.0.11 . "wgx2"
            }
        }

        set exits6 {
            type ipv6_addr . ifname
            elements = {
                fd00:66::b . "wgx2"
            }
        }

        set exit_mark {
            type mark
            elements = {
                0x77660066
            }
        }

        set inside4 {
            type ipv4_addr
            flags interval
            elements = {
                10.66.0.0/24,
                192.168.1.0/24,
                192.168.10.0/24,
                192.168.20.0/24
            }
        }

        set inside6 {
            type ipv6_addr
            flags interval
            elements = {
                fd00:66::/64,
                fd00:10::/64
            }
        }

        # Internet traffic of those who have an exit takes the routing table of that exit.
        chain choose_exit {
            type filter hook prerouting priority mangle; policy accept;
            iifname "wg0" ip daddr != @inside4 meta mark set ip saddr map @exit_marks4
            iifname "wg0" ip6 daddr != @inside6 meta mark set ip6 saddr map @exit_marks6
        }

        # Errors that the server itself makes about such traffic go the same way, and tell nobody else of it.
        chain choose_exit_of_own {
            type route hook output priority mangle; policy accept;
            ct state related ip daddr != @inside4 meta mark set ct original ip saddr map @exit_marks4
            ct state related ip6 daddr != @inside6 meta mark set ct original ip6 saddr map @exit_marks6
        }

        # Packets through the server. Both directions of a flow are judged each time, by the rights of whoever opened it:
        # take a right away and the flows that stood on it end at once.
        chain forward {
            type filter hook forward priority filter; policy accept;
            iifname @ours goto forwarded
            oifname @ours goto forwarded
        }

        chain forwarded {
            ct state invalid drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            ct direction original iifname != "wg0" jump from_outside
            jump name_service
            ct original ip saddr vmap @levels4
            ct original ip6 saddr vmap @levels6
            ct original ip saddr vmap @lan_levels4
            ct original ip6 saddr vmap @lan_levels6
            drop
        }

        # Of what doesn't come out of the tunnel, only the server's own LANs may open a flow into it. Exits only answer.
        chain from_outside {
            iifname "eth0" ip saddr @own4 return
            iifname "eth0" ip6 saddr @own6 return
            drop
        }

        # Packets to the server itself.
        chain input {
            type filter hook input priority filter; policy accept;
            iifname @ours goto received
        }

        chain received {
            ct direction reply accept
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            iifname != "wg0" drop
            meta mark @exit_mark ip daddr != @private4 ip daddr != @inside4 accept
            meta mark @exit_mark ip6 daddr != @private6 ip6 daddr != @inside6 accept
            ip saddr @leaving4 ip daddr != @private4 ip daddr != @inside4 accept
            ip6 saddr @leaving6 ip6 daddr != @private6 ip6 daddr != @inside6 accept
            jump name_service
            ip saddr vmap @levels4
            ip6 saddr vmap @levels6
            ip saddr vmap @lan_levels4
            ip6 saddr vmap @lan_levels6
            drop
        }

        # The network's own DNS servers answer everyone.
        chain name_service {
            ct direction original ip daddr @dns4 meta l4proto { tcp, udp } th dport 53 accept
            ct direction original ip6 daddr @dns6 meta l4proto { tcp, udp } th dport 53 accept
            ct direction reply ip saddr @dns4 meta l4proto { tcp, udp } th sport 53 accept
            ct direction reply ip6 saddr @dns6 meta l4proto { tcp, udp } th sport 53 accept
        }

        chain full {
            ct direction original ip daddr @inside4 accept
            ct direction original ip6 daddr @inside6 accept
            ct direction reply ip saddr @inside4 accept
            ct direction reply ip6 saddr @inside6 accept
            goto internet
        }

        chain vpn_only {
            ct direction original ip daddr @network4 accept
            ct direction original ip6 daddr @network6 accept
            ct direction reply ip saddr @network4 accept
            ct direction reply ip6 saddr @network6 accept
            goto custom
        }

        # Whoever has lan-only reaches the network and the LANs of a list. Each list has a chain, named after what is in it.
        chain lans_66bc7887669eca0b {
            ct direction original ip daddr 192.168.10.0/24 accept
            ct direction reply ip saddr 192.168.10.0/24 accept
            goto vpn_only
        }

        chain custom {
            ct direction original ip saddr . ip daddr . meta l4proto . th dport @granted_ports4 accept
            ct direction original ip6 saddr . ip6 daddr . meta l4proto . th dport @granted_ports6 accept
            ct direction original ip saddr . ip daddr @granted_all4 accept
            ct direction original ip6 saddr . ip6 daddr @granted_all6 accept
            ct direction original meta l4proto icmp ip saddr . ip daddr @granted_icmp4 accept
            ct direction original meta l4proto ipv6-icmp ip6 saddr . ip6 daddr @granted_icmp6 accept
            ct direction reply ip daddr . ip saddr . meta l4proto . th sport @granted_ports4 accept
            ct direction reply ip6 daddr . ip6 saddr . meta l4proto . th sport @granted_ports6 accept
            ct direction reply ip daddr . ip saddr @granted_all4 accept
            ct direction reply ip6 daddr . ip6 saddr @granted_all6 accept
            ct direction reply meta l4proto icmp ip daddr . ip saddr @granted_icmp4 accept
            ct direction reply meta l4proto ipv6-icmp ip6 daddr . ip6 saddr @granted_icmp6 accept
            goto internet
        }

        # The internet is reached by one's own exit, or here by those who have no other.
        chain internet {
            ip daddr @inside4 ip saddr @inside4 drop
            ip6 daddr @inside6 ip6 saddr @inside6 drop
            ct direction original oifname "eth0" ip saddr @leaving4 ip daddr != @private4 accept
            ct direction original oifname "eth0" ip6 saddr @leaving6 ip6 daddr != @private6 accept
            ct direction reply iifname "eth0" ip daddr @leaving4 ip saddr != @private4 accept
            ct direction reply iifname "eth0" ip6 daddr @leaving6 ip6 saddr != @private6 accept
            ct direction original ip saddr . oifname @exits4 accept
            ct direction original ip6 saddr . oifname @exits6 accept
            ct direction reply ip daddr . iifname @exits4 accept
            ct direction reply ip6 daddr . iifname @exits6 accept
            drop
        }

        # Whoever answers sees the server's own address: hosts of its LANs need no route back, and the internet has none.
        chain nat {
            type nat hook postrouting priority srcnat; policy accept;
            iifname "wg0" oifname "eth0" ip saddr @leaving4 ip daddr != @private4 masquerade
            iifname "wg0" oifname "eth0" ip6 saddr @leaving6 ip6 daddr != @private6 masquerade
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

/// What a ruleset says of rules by destination: the maps and the chains that only such rules bring.
#[test]
fn rules_by_destination_have_a_chain_for_each_list() {
    let mut fixture = Fixture::everything();
    let berlin = fixture.node("berlin").id;
    let rule = |to: &[&str], protocol: Protocol, ports: &[&str], action| ExitRule {
        destinations: to.iter().map(|text| text.parse().unwrap()).collect(),
        protocol,
        ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
        action,
    };
    fixture.node("alice").exit_rules = vec![
        rule(&["203.0.113.0/24", "2001:db8::/32"], Protocol::Tcp, &["80", "8000-8999"], RuleAction::Exit(berlin)),
        rule(&["198.51.100.7"], Protocol::Any, &[], RuleAction::Direct),
        rule(&["0.0.0.0/0", "::/0"], Protocol::Icmp, &[], RuleAction::Block),
    ];
    let text = ruleset(&firewalls(&fixture)[0]);
    assert_loads(&text);
    insta::assert_snapshot!(part(&text, "    map exit_marks4", "    set inside4"), @r#"
    map exit_marks4 {
        type ipv4_addr : mark
        elements = {
            10.66.0.11 : 0x77660066
        }
    }

    map exit_marks6 {
        type ipv6_addr : mark
        elements = {
            fd00:66::b : 0x77660066
        }
    }

    map ruled4 {
        type ipv4_addr : verdict
        elements = {
            10.66.0.6 : jump rules_1
        }
    }

    map ruled6 {
        type ipv6_addr : verdict
        elements = {
            fd00:66::6 : jump rules_1
        }
    }

    set exit_mark {
        type mark
        elements = {
            0x77660065,
            0x77660066,
            0x7766f000
        }
    }

    set ways {
        type mark . ifname
        elements = {
            0x77660065 . "wgx1",
            0x77660066 . "wgx2",
            0x7766f000 . "eth0"
        }
    }
    "#);
    insta::assert_snapshot!(part(&text, "    chain choose_exit", "    # Packets through"), @r#"
    chain choose_exit {
        type filter hook prerouting priority mangle; policy accept;
        iifname "wg0" ip daddr != @inside4 jump way
        iifname "wg0" ip6 daddr != @inside6 jump way
    }

    # The way of a flow to the internet, as a mark: by the first rule that fits, of whoever opened it, else as assigned.
    chain way {
        meta mark set 0
        meta mark set ct original ip saddr map @exit_marks4
        meta mark set ct original ip6 saddr map @exit_marks6
        ct original ip saddr vmap @ruled4
        ct original ip6 saddr vmap @ruled6
    }

    chain rules_1 {
        ct original ip daddr { 203.0.113.0/24 } meta l4proto tcp ct direction original th dport { 80, 8000-8999 } meta mark set 0x77660065 return
        ct original ip daddr { 203.0.113.0/24 } meta l4proto tcp ct direction reply th sport { 80, 8000-8999 } meta mark set 0x77660065 return
        ct original ip6 daddr { 2001:db8::/32 } meta l4proto tcp ct direction original th dport { 80, 8000-8999 } meta mark set 0x77660065 return
        ct original ip6 daddr { 2001:db8::/32 } meta l4proto tcp ct direction reply th sport { 80, 8000-8999 } meta mark set 0x77660065 return
        ct original ip daddr { 198.51.100.7 } meta mark set 0x7766f000 return
        meta nfproto ipv4 meta l4proto icmp drop
        meta nfproto ipv6 meta l4proto ipv6-icmp drop
    }

    # Errors that the server itself makes about such traffic go the same way, and tell nobody else of it.
    chain choose_exit_of_own {
        type route hook output priority mangle; policy accept;
        ct state related ip daddr != @inside4 jump way
        ct state related ip6 daddr != @inside6 jump way
    }
    "#);
    insta::assert_snapshot!(part(&text, "    chain internet", "    # A TCP segment"), @r#"
    chain internet {
        ip daddr @inside4 ip saddr @inside4 drop
        ip6 daddr @inside6 ip6 saddr @inside6 drop
        ct direction original oifname "eth0" ip daddr @private4 drop
        ct direction original oifname "eth0" ip6 daddr @private6 drop
        ct direction reply iifname "eth0" ip saddr @private4 drop
        ct direction reply iifname "eth0" ip6 saddr @private6 drop
        # A flow that has just been moved here from an exit would leave with its own address.
        ct direction original oifname "eth0" ct status & (confirmed | snat) == confirmed drop
        ct direction reply jump way
        ct direction original meta mark . oifname @ways accept
        ct direction reply meta mark . iifname @ways accept
        drop
    }

    # Whoever answers sees the server's own address: hosts of its LANs need no route back, and the internet has none.
    chain nat {
        type nat hook postrouting priority srcnat; policy accept;
        iifname "wg0" oifname "eth0" meta mark 0x7766f000 masquerade
    }
    "#);
}
