use super::*;

fn interface() -> InterfaceName {
    "wg0".parse().unwrap()
}

fn hooks(text: &str) -> Vec<Hook> {
    let hook = |line: &str| {
        let (phase, command) = line.split_once('=').unwrap();
        let phase = *Phase::ALL.iter().find(|known| known.as_str() == phase.trim()).unwrap();
        Hook { phase, command: command.trim().to_owned() }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(hook).collect()
}

/// A line per pattern: name, variables, how many commands up and down; then what isn't recognised, then what stays behind.
fn told(text: &str) -> String {
    let understanding = understand(&hooks(text), &interface());
    let mut lines = Vec::new();
    for found in &understanding.patterns {
        let variables: Vec<String> = found.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let pair = if found.paired { "pair" } else { "single" };
        let counts = format!("{}+{}", found.up.len(), found.down.len());
        lines.push(format!("{} {} [{}] {counts} {pair}", found.pattern.as_str(), variables.join(" "), found.meaning()));
        lines.extend(found.unpaired.iter().map(|place| format!("  left behind: {}", understanding.text(*place))));
    }
    lines.extend(understanding.unrecognised().map(|place| format!("? {}", understanding.text(place))));
    lines.join("\n")
}

#[test]
fn the_usual_server_is_recognised_in_whatever_order_and_spelling() {
    let usual = "nat_masquerade_ipv4 WAN=eth0 [VPN clients reach the internet through eth0 (IPv4)] 2+2 pair";
    for text in [
        "PostUp = iptables -A FORWARD -i wg0 -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
         PostDown = iptables -D FORWARD -i wg0 -j ACCEPT; iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE",
        "PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE && iptables -A FORWARD -i %i -j ACCEPT
         PostDown = iptables -D FORWARD -i %i -j ACCEPT
         PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE || true",
        "PreUp = /usr/sbin/iptables-nft -w 5 -I FORWARD 1 --in-interface=%i --jump ACCEPT
         PostUp = iptables --append POSTROUTING -j MASQUERADE --table nat --out-interface eth0 -m comment --comment 'vpn out'
         PreDown = iptables-legacy --delete POSTROUTING -tnat -oeth0 -j MASQUERADE 2>/dev/null || true
         PostDown = /sbin/iptables -w -D FORWARD -j ACCEPT -i wg0",
        "PostUp = iptables -C FORWARD -i wg0 -j ACCEPT 2>/dev/null || iptables -A FORWARD -i wg0 -j ACCEPT
         PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
         PostDown = iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE; iptables -D FORWARD -i wg0 -j ACCEPT",
    ] {
        assert_eq!(told(text), usual, "{text}");
    }
}

#[test]
fn every_pattern_of_the_table_is_recognised() {
    insta::assert_snapshot!(told(r"
        PostUp = ip6tables -A FORWARD -i %i -j ACCEPT; ip6tables -A FORWARD -o %i -j ACCEPT; ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
        PostDown = ip6tables -D FORWARD -i %i -j ACCEPT; ip6tables -D FORWARD -o %i -j ACCEPT; ip6tables -t nat -D POSTROUTING -o eth0 -j MASQUERADE
        PostUp = iptables -A FORWARD -i wg0 -o eth1 -j ACCEPT; iptables -t nat -A POSTROUTING -o eth1 -s 10.66.0.0/24 -j MASQUERADE
        PostUp = iptables -A FORWARD -i eth1 -o wg0 -j ACCEPT
        PostDown = iptables -D FORWARD -i wg0 -o eth1 -j ACCEPT; iptables -D FORWARD -i eth1 -o wg0 -j ACCEPT; iptables -t nat -D POSTROUTING -s 10.66.0.0/24 -o eth1 -j MASQUERADE
        PostUp = ip6tables -A FORWARD -i wg0 -o eth1 -j ACCEPT; ip6tables -A FORWARD -i eth1 -o wg0 -j ACCEPT
        PostUp = iptables -t mangle -A FORWARD -i wg0 -o eth0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu; iptables -t mangle -A FORWARD -i eth0 -o wg0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
        PostUp = ip6tables -t mangle -A FORWARD -o wg0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1360
        PostUp = iptables -A INPUT -i wg0 -p udp --dport 53 -j ACCEPT
        PostDown = iptables -D INPUT -i wg0 -p udp --dport 53 -j ACCEPT
        PostUp = sysctl -w net.ipv4.ip_forward=1; sysctl -q net.ipv6.conf.all.forwarding=1
    "), @"
    nat_masquerade_ipv6 WAN=eth0 [VPN clients reach the internet through eth0 (IPv6)] 3+3 pair
    bidirectional_forwarding_ipv4 LAN=eth1 SUBNET=10.66.0.0/24 [VPN and the LAN at eth1 reach each other (IPv4); hosts there see this host's address instead of 10.66.0.0/24] 3+3 pair
    bidirectional_forwarding_ipv6 LAN=eth1 [VPN and the LAN at eth1 reach each other (IPv6)] 2+0 single
      left behind: ip6tables -A FORWARD -i wg0 -o eth1 -j ACCEPT
      left behind: ip6tables -A FORWARD -i eth1 -o wg0 -j ACCEPT
    mss_clamping_ipv4 BESIDE=eth0 [TCP segments fit the tunnel (IPv4)] 2+0 single
      left behind: iptables -t mangle -A FORWARD -i wg0 -o eth0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
      left behind: iptables -t mangle -A FORWARD -i eth0 -o wg0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
    mss_clamping_ipv6 SIZE=1360 [TCP segments are 1360 bytes at most (IPv6)] 1+0 single
      left behind: ip6tables -t mangle -A FORWARD -o wg0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1360
    allow_service_port FAMILY=ipv4 ON=wg0 PORT=53 PROTO=udp [port 53 by udp on this host is open to whoever comes in by wg0] 1+1 pair
    enable_ip_forwarding FAMILY=ipv4 and ipv6 [the kernel routes IPv4 and IPv6 between interfaces] 2+0 single
    ");
}

#[test]
fn what_real_files_contain_beyond_the_table_is_recognised() {
    insta::assert_snapshot!(told(r"
        PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -A FORWARD -o %i -j ACCEPT; iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE
        PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -D FORWARD -o %i -j ACCEPT; iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o ens3 -j MASQUERADE
        PostUp = iptables -t nat -A POSTROUTING -m mark --mark 0x1 -o eth1 -j MASQUERADE
        PreUp = iptables -t nat -A PREROUTING -i eth0 -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.8.0.2; iptables -A FORWARD -p tcp -d 10.8.0.2 -m multiport --dports 80,443 -j ACCEPT
        PostUp  =  iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
        PreDown = iptables -D OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -m addrtype ! --dst-type LOCAL -j REJECT
        PostUp = ip rule add from 10.8.0.1 lookup 200 pref 99; ip route add default dev wg0 table 200
        PostDown = ip rule del from 10.8.0.1 table 200 || true
        PostUp = ip -6 route add fd00:9::/64 dev %i; ip addr add 169.254.1.1/32 dev %i peer 169.254.1.2
        PostUp = wg set %i private-key /etc/wireguard/%i.key
        PostUp = ufw route allow in on wg0 out on eth0
        PreDown = ufw route delete allow in on wg0 out on eth0
        PostUp = firewall-cmd --zone=public --add-port 51820/udp && firewall-cmd --zone=public --add-masquerade
        PostDown = firewall-cmd --remove-port 51820/udp --zone=public
        PostUp = nft add table ip wg; nft 'add chain ip wg post { type nat hook postrouting priority 100 ; }'; nft add rule ip wg post oifname eth0 masquerade
        PostDown = nft delete table ip wg
        PostUp = tc qdisc add dev %i root tbf rate 10mbit burst 32kbit latency 400ms
        PostUp = resolvectl dns %i 10.8.0.1; resolvectl domain %i ~corp.example
        PostUp = /etc/wireguard/up.sh %i
        PostUp = echo 1 > /proc/sys/net/ipv4/ip_forward
        PostUp = curl -s https://example.com | sh
        PostDown =
        PreDown = iptables -A INPUT -j DROP
    "), @"
    forward_through FAMILY=ipv4 [packets pass through the tunnel] 2+2 pair
    nat_subnet FAMILY=ipv4 SUBNET=10.8.0.0/24 WAN=ens3 [10.8.0.0/24 gets this host's address where it leaves by ens3] 1+1 pair
    nat_by_mark FAMILY=ipv4 MARK=0x1 WAN=eth1 [packets with mark 0x1 get this host's address where they leave by eth1] 1+0 single
      left behind: iptables -t nat -A POSTROUTING -m mark --mark 0x1 -o eth1 -j MASQUERADE
    port_forward FAMILY=ipv4 FROM=eth0 PORT=80,443 PROTO=tcp TO=10.8.0.2 [port 80,443 by tcp leads to 10.8.0.2] 2+0 single
      left behind: iptables -t nat -A PREROUTING -i eth0 -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.8.0.2
      left behind: iptables -A FORWARD -p tcp -d 10.8.0.2 -m multiport --dports 80,443 -j ACCEPT
    kill_switch FAMILY=ipv4 [nothing leaves this host beside the tunnel] 1+1 pair
    policy_route TABLE=200 [some packets take the routing table 200] 2+1 single
    route DESTINATION=fd00:9::/64 DEV=wg0 FAMILY=ipv6 [a route to fd00:9::/64 by wg0] 1+0 single
    address ADDRESS=169.254.1.1/32 DEV=wg0 PEER=169.254.1.2 [wg0 has the address 169.254.1.1/32 with the peer 169.254.1.2] 1+0 single
    key_from_file FILE=/etc/wireguard/wg0.key [the key is read from /etc/wireguard/wg0.key] 1+0 single
    firewall_front_end PROGRAM=ufw RULE=route allow in on wg0 out on eth0 [ufw is told: route allow in on wg0 out on eth0] 1+1 pair
    firewall_front_end PROGRAM=firewall-cmd RULE=--zone=public 51820/udp port [firewall-cmd is told: --zone=public 51820/udp port] 1+1 pair
    firewall_front_end PROGRAM=firewall-cmd RULE=--zone=public masquerade [firewall-cmd is told: --zone=public masquerade] 1+0 single
      left behind: firewall-cmd --zone=public --add-masquerade
    nft_table TABLE=ip wg [the nftables table ip wg] 3+1 pair
    shaping DEV=wg0 [limits how fast wg0 sends] 1+0 single
    name_service DEV=wg0 [name servers for wg0] 2+0 single
    script PATH=/etc/wireguard/up.sh [runs /etc/wireguard/up.sh] 1+0 single
    enable_ip_forwarding FAMILY=ipv4 [the kernel routes IPv4 between interfaces] 1+0 single
    ? curl -s https://example.com | sh
    ? iptables -A INPUT -j DROP
    ");
}

#[test]
fn a_command_is_cut_out_and_the_rest_stays_as_it_was() {
    let cut = |line: &str, commands: &[usize]| without(line, &interface(), commands);
    for (line, commands, left) in [
        ("a; b; c", &[1][..], Some("a; c")),
        ("a;  b ;c # why", &[2], Some("a;  b # why")),
        ("a; b; c", &[1, 2], Some("a")),
        ("a; b; c", &[0], Some("b; c")),
        ("a && b && c", &[0], Some("b && c")),
        ("a && b && c", &[1, 2], Some("a")),
        ("a && b && c", &[1], Some("a && c")),
        ("a || true; b", &[0], Some("b")),
        ("a && b || true; c", &[1], Some("a || true; c")),
        ("ip a %i; 'x;y' %i ; b", &[0, 2], Some("'x;y' %i")),
        ("a; b || c", &[0], Some("b || c")),
        ("a; b # note", &[0, 1], None),
        ("a", &[], Some("a")),
    ] {
        assert_eq!(cut(line, commands).unwrap().as_deref(), left, "{line} without {commands:?}");
    }
    assert_eq!(cut("a || b; c", &[0]).unwrap_err().to_string(), "`a` is joined to others by `||` in `a || b; c`");
    assert!(cut("a || b; c", &[1]).is_err());
}
