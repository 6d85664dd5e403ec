//! Interfaces whose next key is dialled at another port, and the script on a host that moves their peers.
//!
//! A device knows one key of whom it dials, and nobody can tell it another: it needs a new file. So that not all of them need
//! it in the same moment, the host runs a second interface with the next key for as long as that takes, with the same peers,
//! on another port. Whoever shakes hands there is led there: a small loop moves the routes to what that peer carries, and back
//! if it shakes hands with the first interface again, as a phone does on which the old tunnel is switched on once more. A host
//! knows both keys, and shakes hands by both from time to time: it stays for as long as the next one answers. Within
//! each interface WireGuard's own table says whose packets they are.
//!
//! The loop is a file in `/etc/wireguard`, begun by a `PostUp` hook of either interface and ended by a `PreDown` hook of the
//! second one and a `PreUp` hook of the first, whose routes wg-quick(8) then finds free to be made. Pure; the loop itself is
//! `templates/host/moving.sh`.

use std::collections::BTreeSet;

use crate::model::{Cidr, InterfaceName, PublicKey, Route};

use super::interface::{InterfaceConfig, PeerConfig};

/// So old a handshake is the last one of a session that is over, in seconds, and there was time for another: then a peer that knows
/// both keys no longer goes by the next one. `templates/host/{moving,handover}.sh` have it, too.
pub const DEAD: i64 = 200;

/// Returns the name of the interface that runs beside another one with its next key: `wg0-next`.
pub fn name(interface: &InterfaceName) -> InterfaceName {
    const SUFFIX: &str = "-next";
    let kept: String = interface.as_str().chars().take(InterfaceName::LIMIT - SUFFIX.len()).collect();
    format!("{kept}{SUFFIX}").parse().expect("the characters are those of a name, and it is short enough")
}

/// Each peer of an interface by the key that it was made with, without those that only follow another, and the keys by which
/// it may shake hands.
pub fn peers(interface: &InterfaceConfig) -> impl Iterator<Item = (&PeerConfig, Vec<PublicKey>)> {
    let own = interface.peers.iter().filter(|peer| peer.succeeds.is_none());
    own.map(|peer| {
        let next = interface.peers.iter().filter(|next| next.succeeds == Some(peer.public_key));
        (peer, std::iter::once(peer.public_key).chain(next.map(|next| next.public_key)).collect())
    })
}

/// Returns whose peers are moved, for people: `wg0`.
pub fn whose(interface: &InterfaceConfig) -> String {
    interface.beside.as_ref().map_or_else(String::new, |beside| beside.name.to_string())
}

/// The other interface, then a line `key[:key],knows,peer,prefix,..` for each peer that carries something: whether it knows
/// `both` keys or `one` of them. A prefix to which the first interface has a route of
/// its own ends in `!`. None of them has a blank or a quote.
pub(super) fn lines(interface: &InterfaceConfig) -> Option<String> {
    let beside = interface.beside.as_ref()?;
    let covered = |prefix: &Cidr| beside.networks.iter().any(|net| net.covers(prefix));
    let line = |(peer, keys): (&PeerConfig, Vec<PublicKey>)| {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let prefixes = peer.allowed_ips.iter().map(|to| format!("{to}{}", if covered(to) { "" } else { "!" }));
        let knows = if beside.knowing.contains(&peer.public_key) { "both" } else { "one" };
        format!("{},{knows},{},{}\n", keys.join(":"), peer.name, prefixes.collect::<Vec<_>>().join(","))
    };
    let text: String = peers(interface).filter(|(peer, _)| !peer.allowed_ips.is_empty()).map(line).collect();
    (!text.is_empty()).then(|| format!("{}\n{text}", beside.name))
}

/// Returns the routes that the loop may have made through an interface.
pub fn routes(interface: &InterfaceConfig) -> BTreeSet<Route> {
    let own = interface.peers.iter().filter(|_| interface.beside.is_some());
    own.flat_map(|peer| &peer.allowed_ips).map(|to| Route { to: *to, table: None }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Hook, Kept, Overlap, Phase, Port, Role};
    use crate::wg::NodeConfig;
    use crate::wg::beside::Loop;
    use crate::wg::compile::fixture::{Fixture, lans};
    use crate::wg::compile::{compile, hinders_overlap, hold_back};
    use crate::wg::stage::play;
    use crate::wg::{PeerConfig, config};

    /// A server on a host with a next key at another port, a router on a host, and a phone.
    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.add("hub", Role::Server);
        fixture.add("office", Role::Router).lans = lans(&["192.168.10.0/24"]);
        fixture.add("phone", Role::Remote);
        for name in ["hub", "office"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        fixture.node("office").endpoint = None;
        let own = &mut fixture.node("hub").interfaces[0];
        own.staged_key = Some(PublicKey::from_bytes([9; 32]));
        own.overlap = Some(Overlap { port: Port::new(51821).unwrap(), until: None, over: false });
        fixture
    }

    /// What the nodes run in the time of two keys.
    fn both(fixture: &Fixture) -> Vec<NodeConfig> {
        let mut nodes = compile(&fixture.topology).unwrap();
        let main = fixture.topology.nodes.iter().find(|node| node.name.as_str() == "hub").unwrap().main().id;
        hold_back(&fixture.topology, &mut nodes, &BTreeSet::from([main]));
        nodes
    }

    fn of<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a NodeConfig {
        nodes.iter().find(|node| node.name.as_str() == name).unwrap()
    }

    fn peers_of(interface: &InterfaceConfig) -> String {
        let line = |peer: &PeerConfig| {
            let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            let at = peer.endpoint.as_ref().map_or_else(|| "-".to_owned(), |at| at.port.to_string());
            format!("{} at {at} every {:?} [{}]", peer.title(), peer.keepalive, allowed.join(" "))
        };
        interface.peers.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_second_interface_has_the_next_key_and_the_same_peers() {
        let fixture = fixture();
        let nodes = both(&fixture);
        let [first, second] = &of(&nodes, "hub").interfaces[..] else { panic!("{nodes:#?}") };
        let own = fixture.topology.nodes.iter().find(|node| node.name.as_str() == "hub").unwrap().main();
        assert_eq!((first.public_key, second.public_key), (own.public_key, own.staged_key.unwrap()));
        assert_eq!((first.replaces, second.replaces), (None, None));
        assert_eq!((first.listen_port, second.listen_port), (Port::new(51820), Port::new(51821)));
        assert_eq!(peers_of(first), peers_of(second));
        assert_eq!(first.followed_by.as_ref(), Some(&second.name));
        assert_eq!(
            (second.name.as_str(), second.firewall.is_none(), second.table == crate::model::Table::Off),
            ("wg0-next", true, true)
        );
        let rules = crate::wg::firewall::ruleset(first.firewall.as_ref().unwrap());
        assert!(
            rules.contains(r#"iifname { "wg0", "wg0-next" } oifname"#)
                || rules.contains(r#"iifname != { "wg0", "wg0-next" }"#),
            "{rules}"
        );
        assert!(!rules.contains(r#"iifname "wg0""#) && !rules.contains(r#"iifname != "wg0""#), "{rules}");
    }

    #[test]
    fn a_hook_that_nobody_can_read_is_in_the_way_where_hooks_let_packets_pass() {
        let mut fixture = fixture();
        let hook = Hook { phase: Phase::PostUp, command: "/root/up.sh %i".to_owned() };
        let hinders = |fixture: &Fixture| {
            let nodes = compile(&fixture.topology).unwrap();
            let node = fixture.topology.nodes.iter().find(|node| node.name.as_str() == "hub").unwrap();
            hinders_overlap(node, node.main(), &of(&nodes, "hub").interfaces[0], std::slice::from_ref(&hook))
        };
        assert_eq!(hinders(&fixture), None);
        fixture.node("hub").interfaces[0].kept = Some(Kept { made: false, firewall: false, ..Kept::made() });
        assert!(hinders(&fixture).is_some_and(|why| why.contains("`/root/up.sh %i`")));
    }

    #[test]
    fn a_second_interface_calls_nobody_who_calls_it() {
        let mut fixture = fixture();
        fixture.node("office").endpoint = Some("198.51.100.11:51820".parse().unwrap());
        let nodes = both(&fixture);
        let endpoints = |interface: &InterfaceConfig| {
            let of = |peer: &PeerConfig| peer.endpoint.as_ref().map(ToString::to_string);
            interface.peers.iter().map(of).collect::<Vec<_>>()
        };
        let [first, second] = &of(&nodes, "hub").interfaces[..] else { panic!("{nodes:#?}") };
        assert_eq!(endpoints(first), [Some("198.51.100.11:51820".to_owned()), None]);
        assert_eq!(endpoints(second), [None, None]);
    }

    #[test]
    fn hosts_dial_the_next_key_by_themselves_and_devices_have_it_in_their_files() {
        let nodes = both(&fixture());
        insta::assert_snapshot!(peers_of(&of(&nodes, "office").interfaces[0]), @"
    hub (next key) at 51821 every Some(25) []
    hub at 51820 every Some(25) [10.66.0.0/24 fd00:66::/64]
    ");
        insta::assert_snapshot!(peers_of(&of(&nodes, "phone").interfaces[0]), @"hub at 51821 every Some(25) [10.66.0.0/24 192.168.10.0/24 fd00:66::/64]");
        let handover = Loop::Handover.script(&of(&nodes, "office").interfaces[0]).unwrap();
        assert!(handover.contains(",-,hub,"), "{handover}");
    }

    #[test]
    fn when_it_is_over_the_next_key_takes_the_place_of_the_present_one_and_its_port() {
        let nodes = compile(&fixture().topology).unwrap();
        let [only] = &of(&nodes, "hub").interfaces[..] else { panic!("{nodes:#?}") };
        assert_eq!((only.public_key, only.listen_port), (PublicKey::from_bytes([9; 32]), Port::new(51821)));
        assert!(only.followed_by.is_none() && only.firewall.as_ref().unwrap().beside.is_none());
        // What devices and other hosts have is the same.
        let before = both(&fixture());
        for name in ["office", "phone"] {
            assert_eq!(of(&nodes, name), of(&before, name));
        }
    }

    #[test]
    fn the_script_says_whose_routes_are_whose() {
        let nodes = both(&fixture());
        let [first, second] = &of(&nodes, "hub").interfaces[..] else { panic!("{nodes:#?}") };
        assert!(Loop::Moving.script(first).is_none());
        let mut script = Loop::Moving.script(second).unwrap();
        for peer in &second.peers {
            script = script.replace(&peer.public_key.to_string(), &format!("[{}]", peer.title()));
        }
        let head: Vec<&str> = script.lines().take(9).filter(|line| !line.starts_with("VERSION=")).collect();
        insta::assert_snapshot!(head.join("\n"), @"
    #!/bin/sh
    # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
    KIND=moving
    IFACE=wg0-next
    PEERS='
    wg0
    [office],both,office,10.66.0.2/32,192.168.10.0/24!,fd00:66::2/128
    [phone],one,phone,10.66.0.3/32,fd00:66::3/128
    ");
        let hooks: Vec<String> = config::generated_hooks(first)
            .into_iter()
            .map(|hook| format!("{} = {}", hook.phase.as_str(), hook.command))
            .filter(|hook| hook.contains("moving"))
            .collect();
        insta::assert_snapshot!(hooks.join("\n"), @"
    PreUp = test ! -r /etc/wireguard/wgf-moving-wg0-next.sh || sh /etc/wireguard/wgf-moving-wg0-next.sh hold || true
    PostUp = test ! -r /etc/wireguard/wgf-moving-wg0-next.sh || sh /etc/wireguard/wgf-moving-wg0-next.sh release || true
    ");
    }

    /// Two interfaces with routes of the kernel's own, and a `wg` that answers from files.
    const STAGE: &str = r#"
        : > $S/shakes; : > $S/ends
        stand_in wg <<'END'
#!/bin/sh
S=/run/stage
case "$1 $3" in
'show latest-handshakes') cat $S/shakes; echo >> $S/looked ;;
'show endpoints') cat $S/ends ;;
'show listen-port') echo 0 ;;
'set peer') echo "$*" >> $S/calls ;;
esac
END
        mount -t sysfs none /sys # of these namespaces
        ip link add wg0 type veth peer name wg0-next
        ip addr add 10.66.0.1/24 dev wg0; ip link set wg0 up
        ip addr add 10.66.0.1/32 dev wg0-next; ip link set wg0-next up
        ip route add 192.168.10.0/24 dev wg0
        now=$(date +%s)
        shook() { # interface, key, seconds from now
            { grep -v "^$1	$2	" $S/shakes || :; printf '%s\t%s\t%s\n' "$1" "$2" $((now + $3)); } | put shakes
        }
        there() { echo $(ip route show dev wg0-next | sed '/proto kernel/d; s/ .*//' | sort); }
        lead() { [ "$(there)" = "$*" ]; }
        leads() { until_so lead "$@"; echo "leads: ${*:-nothing}"; } # what should lead to the second interface
    "#;

    const PLAY: &str = r#"
        script wg0-next PEERS <<END
wg0
office=:next+/=,both,office,10.66.0.2/32,192.168.10.0/24!
phone=,one,phone,10.66.0.3/32
$(for n in $(seq 30); do echo "p$n=,one,phone-$n,10.66.1.$n/32,fd00:66::1:$n/128"; done)
END
        export WGF_EVERY=0.2
        ip route add 10.9.9.0/24 dev wg0-next
        loop start; leads
        shook wg0 office= -10; shook wg0 phone= -10; shook wg0-next next+/= 0; leads 10.66.0.2 192.168.10.0/24
        echo ':: who knows both keys stays, who knows one goes where he shook hands last'
        shook wg0 office= 5; shook wg0-next phone= 0; leads 10.66.0.2 10.66.0.3 192.168.10.0/24
        shook wg0 phone= 5; leads 10.66.0.2 192.168.10.0/24
        echo ':: what somebody took away comes back'
        ip route del 10.66.0.2/32 dev wg0-next; leads 10.66.0.2 192.168.10.0/24
        echo ':: while the first interface comes up nothing leads here'
        loop hold; leads; ip route show 192.168.10.0/24 | sed 's/ *$//'
        loop start; naps; leads
        loop release; leads 10.66.0.2 192.168.10.0/24
        echo ':: many at once'
        { cat $S/shakes; for n in $(seq 30); do printf 'wg0-next\tp%s=\t%s\n' $n "$now"; done; } | put shakes
        count() { { ip route show dev wg0-next; ip -6 route show dev wg0-next; } | grep -c '^10.66.1\|^fd00' || :; }
        are_there() { [ "$(count)" = "$1" ]; }
        until_so are_there 60
        sed '/	p[0-9]*=/d' $S/shakes | put shakes; leads 10.66.0.2 192.168.10.0/24; until_so are_there 0
        { cat $S/shakes; for n in $(seq 30); do printf 'wg0-next\tp%s=\t%s\n' $n "$now"; done; } | put shakes
        until_so are_there 60
        echo ':: the first interface has all of it again, and knows where the peers are'
        printf 'office=\t192.0.2.1:5\nnext+/=\t192.0.2.1:6\nphone=\t192.0.2.2:7\n' | put ends
        shook wg0 next+/= -20
        loop stop; leads; count; ip route show 192.168.10.0/24 | sed 's/ *$//'; sort $S/calls; ls /run/wg-friend
    "#;

    #[test]
    fn the_loop_leads_peers_to_where_they_shook_hands_last() {
        for told in play(Loop::Moving, &["ip", "xargs"], &format!("{STAGE}{PLAY}")) {
            insta::allow_duplicates! {
                insta::assert_snapshot!(told, @"
    start 0
    leads: nothing
    leads: 10.66.0.2 192.168.10.0/24
    :: who knows both keys stays, who knows one goes where he shook hands last
    leads: 10.66.0.2 10.66.0.3 192.168.10.0/24
    leads: 10.66.0.2 192.168.10.0/24
    :: what somebody took away comes back
    leads: 10.66.0.2 192.168.10.0/24
    :: while the first interface comes up nothing leads here
    hold 0
    leads: nothing
    192.168.10.0/24 dev wg0 scope link
    start 0
    leads: nothing
    release 0
    leads: 10.66.0.2 192.168.10.0/24
    :: many at once
    leads: 10.66.0.2 192.168.10.0/24
    :: the first interface has all of it again, and knows where the peers are
    stop 0
    leads: nothing
    0
    192.168.10.0/24 dev wg0 scope link
    set wg0 peer next+/= endpoint 192.0.2.1:6
    ");
            }
        }
    }

    #[test]
    fn a_long_name_has_a_successor_too() {
        let name = |text: &str| super::name(&text.parse().unwrap()).to_string();
        assert_eq!((name("wg0"), name("wg-a-long-name1")), ("wg0-next".to_owned(), "wg-a-long--next".to_owned()));
    }
}
