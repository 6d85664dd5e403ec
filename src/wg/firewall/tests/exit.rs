//! What an exit's ruleset says.

use super::*;

#[test]
fn an_exit_carries_the_internet_and_nothing_else() {
    let firewalls = firewalls(&Fixture::everything());
    let exit = firewalls.iter().find(|firewall| matches!(firewall.duty, Duty::Exit { .. })).unwrap();
    insta::assert_snapshot!(ruleset(exit), @r#"
    #!/usr/sbin/nft -f
    # Written by wg-friend for wg0, which loads it before it comes up and removes it after it goes down.
    # It lets the tunnel reach the internet and nothing else.
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

        set direct4 {
            type ipv4_addr
            elements = {
                10.66.0.10
            }
        }

        set direct6 {
            type ipv6_addr
            elements = {
                fd00:66::a
            }
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

        # Packets through the exit: from the tunnel to the internet, and the answers. The exit's own neighbourhood is no
        # part of the internet.
        chain forward {
            type filter hook forward priority filter; policy accept;
            iifname @ours goto to_internet
            oifname @ours goto from_internet
        }

        chain to_internet {
            ct state invalid drop
            oifname "eth0" ip saddr @inside4 ip daddr != @private4 ip daddr != @inside4 accept
            oifname "eth0" ip6 saddr @inside6 ip6 daddr != @private6 ip6 daddr != @inside6 accept
            drop
        }

        chain from_internet {
            ct state invalid drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            iifname "eth0" ct direction reply accept
            drop
        }

        # Packets to the exit itself: its direct peers have the internet only; the others were judged by the server.
        chain input {
            type filter hook input priority filter; policy accept;
            iifname @ours goto received
        }

        chain received {
            ct direction reply accept
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            ip saddr @direct4 drop
            ip6 saddr @direct6 drop
            ip daddr @inside4 accept
            ip6 daddr @inside6 accept
            ip daddr @private4 drop
            ip6 daddr @private6 drop
        }

        # The internet sees the exit's own address.
        chain nat {
            type nat hook postrouting priority srcnat; policy accept;
            iifname "wg0" oifname "eth0" ip saddr @inside4 masquerade
            iifname "wg0" oifname "eth0" ip6 saddr @inside6 masquerade
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
fn what_the_internet_routes_to_an_exit_leaves_with_its_own_address() {
    let mut fixture = Fixture::everything();
    fixture.node("berlin").routed.insert("fd00:66::/64".parse().unwrap());
    let firewalls = firewalls(&fixture);
    let is_routed = |firewall: &&Firewall| matches!(&firewall.duty, Duty::Exit { routed, .. } if !routed.is_empty());
    let text = ruleset(firewalls.iter().find(is_routed).unwrap());
    let chain: Vec<&str> = text.lines().skip_while(|line| !line.contains("The internet sees")).collect();
    insta::assert_snapshot!(chain[..8].join("\n"), @r#"
    # The internet sees the exit's own address, but for what it routes here.
    chain nat {
        type nat hook postrouting priority srcnat; policy accept;
        iifname "wg0" oifname "eth0" ip saddr @routed4 accept
        iifname "wg0" oifname "eth0" ip6 saddr @routed6 accept
        iifname "wg0" oifname "eth0" ip saddr @inside4 masquerade
        iifname "wg0" oifname "eth0" ip6 saddr @inside6 masquerade
    }
    "#);
    assert!(text.contains("set routed6 {\n        type ipv6_addr\n        flags interval\n"), "{text}");
    // The other exit's table says nothing of it.
    assert_eq!(firewalls.iter().filter(is_routed).count(), 1);
}

#[test]
fn an_exit_sends_on_what_is_to_leave_by_another_one() {
    let mut fixture = Fixture::everything();
    let exits = [fixture.node("berlin").id, fixture.node("tokyo").id];
    let way = fixture.chain(&exits);
    fixture.node("frank").exit = Some(way);
    let firewalls = firewalls(&fixture);
    let sends_on =
        |firewall: &&Firewall| !firewall.duty.uplinks().is_empty() && matches!(firewall.duty, Duty::Exit { .. });
    let text = ruleset(firewalls.iter().find(sends_on).unwrap());
    let (sets, chains) = text.split_once("    # What leaves").unwrap();
    let names = sets.lines().filter(|line| line.contains("set ") || line.contains("map "));
    insta::assert_snapshot!(names.map(str::trim).collect::<Vec<_>>().join("\n"), @"
    set ours {
    set direct4 {
    set direct6 {
    set uplinks {
    map onward_marks4 {
    map onward_marks6 {
    set onward4 {
    set onward6 {
    set held4 {
    set held6 {
    set private4 {
    set private6 {
    set inside4 {
    set inside6 {
    ");
    insta::assert_snapshot!(chains, @r#"
     by another exit after this one takes the routing table of that exit.
        chain choose_next {
            type filter hook prerouting priority mangle; policy accept;
            iifname "wg0" ip daddr != @inside4 meta mark set ip saddr map @onward_marks4
            iifname "wg0" ip6 daddr != @inside6 meta mark set ip6 saddr map @onward_marks6
        }

        # Errors that the exit itself makes about it go the same way, and tell nobody else of it.
        chain choose_next_of_own {
            type route hook output priority mangle; policy accept;
            ct state related ip daddr != @inside4 meta mark set ct original ip saddr map @onward_marks4
            ct state related ip6 daddr != @inside6 meta mark set ct original ip6 saddr map @onward_marks6
        }

        # Packets through the exit: from the tunnel to the internet, and the answers. The exit's own neighbourhood is no
        # part of the internet.
        chain forward {
            type filter hook forward priority filter; policy accept;
            iifname @uplinks goto onward
            oifname @uplinks goto onward
            iifname @ours goto to_internet
            oifname @ours goto from_internet
        }

        # To the next exit, by the right of whoever opened the flow, and back. The next exit only answers.
        chain onward {
            ct state invalid drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            ct direction reply ip daddr . iifname @onward4 accept
            ct direction reply ip6 daddr . iifname @onward6 accept
            ct direction reply drop
            # A flow that has left here with an address of its own would go on with it.
            ct status & (confirmed | snat) == confirmed drop
            iifname "wg0" ip saddr . oifname @onward4 ip daddr != @private4 ip daddr != @inside4 accept
            iifname "wg0" ip6 saddr . oifname @onward6 ip6 daddr != @private6 ip6 daddr != @inside6 accept
            drop
        }

        chain to_internet {
            ct state invalid drop
            ip saddr @held4 drop
            ip6 saddr @held6 drop
            oifname "eth0" ip saddr @inside4 ip daddr != @private4 ip daddr != @inside4 accept
            oifname "eth0" ip6 saddr @inside6 ip6 daddr != @private6 ip6 daddr != @inside6 accept
            drop
        }

        chain from_internet {
            ct state invalid drop
            ip daddr @held4 drop
            ip6 daddr @held6 drop
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            iifname "eth0" ct direction reply accept
            drop
        }

        # Packets to the exit itself: its direct peers have the internet only; the others were judged by the server.
        chain input {
            type filter hook input priority filter; policy accept;
            iifname @ours goto received
        }

        chain received {
            ct direction reply accept
            ct state related meta l4proto { icmp, ipv6-icmp } accept
            iifname @uplinks drop
            ip saddr @direct4 drop
            ip6 saddr @direct6 drop
            ip daddr @inside4 accept
            ip6 daddr @inside6 accept
            ip daddr @private4 drop
            ip6 daddr @private6 drop
        }

        # The internet sees the exit's own address, and so does the next exit.
        chain nat {
            type nat hook postrouting priority srcnat; policy accept;
            iifname "wg0" oifname "eth0" ip saddr @inside4 masquerade
            iifname "wg0" oifname "eth0" ip6 saddr @inside6 masquerade
            iifname "wg0" oifname @uplinks ip saddr @inside4 masquerade
            iifname "wg0" oifname @uplinks ip6 saddr @inside6 masquerade
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
