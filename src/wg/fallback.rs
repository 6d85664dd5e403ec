//! Direct links whose traffic goes another way while they are down, and the script on a host that moves it.
//!
//! A peer's AllowedIPs are fixed, and WireGuard knows nothing of other ways. So the host at each end of such a link runs a
//! small loop beside the interface. When the link has shaken hands for longer than any living one takes ([`stale_after`]),
//! what its peer carries goes to the peer that would carry it without the link; when it shakes hands again, it comes back.
//! The loop is a file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes
//! with the interface whatever brings that up: an interface that came up has its unmoved state first. Pure; the loop itself
//! is `templates/host/fallback.sh`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::{LinkId, PublicKey};

use super::interface::{Fallback, InterfaceConfig, PeerConfig};

/// At this age a session carries nothing any more, in seconds (REJECT_AFTER_TIME in the WireGuard paper, section 6.1).
const REJECT_AFTER_TIME: u32 = 180;

/// After so many seconds without an answer a handshake is begun again (REKEY_TIMEOUT, in the same place).
const REKEY_TIMEOUT: u32 = 5;

/// So many handshakes in a row may be lost on a link that counts as up.
const LOST_HANDSHAKES: u32 = 3;

/// Returns for how many seconds a link may be without a handshake before it counts as down, if one of its ends sends
/// something at least every `keepalive` seconds.
///
/// Usually a handshake follows 120 seconds after the last one. But the end that began the last one is the only one to do
/// that, and only when it sends; if just the other end sends, the session may grow as old as sessions get, and the next
/// keepalive after that begins a new one. Handshakes are mutual, so both ends find the same silence: one end has at most
/// one handshake more than the other, the one whose last packet was lost.
pub fn stale_after(keepalive: u16) -> u32 {
    REJECT_AFTER_TIME + u32::from(keepalive) + LOST_HANDSHAKES * REKEY_TIMEOUT
}

/// Returns the links that are watched, for people: `office-b (else over hub), office-c (else over hub)`.
pub fn names(interface: &InterfaceConfig) -> String {
    let words =
        |(_, peer, over): (&Fallback, &PeerConfig, &PeerConfig)| format!("{} (else over {})", peer.name, over.name);
    watched(interface).map(words).collect::<Vec<_>>().join(", ")
}

fn peer(interface: &InterfaceConfig, link: LinkId) -> Option<&PeerConfig> {
    interface.peers.iter().find(|peer| peer.link == link)
}

fn changes_key(interface: &InterfaceConfig, peer: &PeerConfig) -> bool {
    interface.peers.iter().any(|other| other.link == peer.link && other.succeeds.is_some())
}

/// The links that are watched, each with its peer and the one that carries what it carries while it is down.
fn watched(interface: &InterfaceConfig) -> impl Iterator<Item = (&Fallback, &PeerConfig, &PeerConfig)> {
    let ends = |fallback: &Fallback| (peer(interface, fallback.link), peer(interface, fallback.over));
    interface.fallbacks.iter().filter_map(move |fallback| match ends(fallback) {
        // A peer that is about to use its next key is left to what follows it there: see `handover`.
        (Some(peer), Some(over)) if [peer, over].iter().any(|peer| changes_key(interface, peer)) => None,
        (Some(peer), Some(over)) if !peer.allowed_ips.is_empty() => Some((fallback, peer, over)),
        _ => None,
    })
}

/// A line `key,other key,seconds,peer,other peer,prefixes` for each link. None of them has a blank or a quote, and but the
/// last none has a comma.
pub(super) fn lines(interface: &InterfaceConfig) -> Option<String> {
    let line = |(fallback, peer, over): (&Fallback, &PeerConfig, &PeerConfig)| {
        let prefixes: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let (key, by, stale) = (peer.public_key, over.public_key, fallback.stale);
        format!("{key},{by},{stale},{},{},{}\n", peer.name, over.name, prefixes.join(","))
    };
    let text: String = watched(interface).map(line).collect();
    (!text.is_empty()).then_some(text)
}

/// Returns an interface as it should run while the links to these peers are down: what those carried goes to the peers that
/// stand in for them.
pub fn while_down<'a>(interface: &'a InterfaceConfig, down: &BTreeSet<PublicKey>) -> Cow<'a, InterfaceConfig> {
    let moved: Vec<(LinkId, LinkId)> = watched(interface)
        .filter(|(_, peer, _)| down.contains(&peer.public_key))
        .map(|(_, peer, over)| (peer.link, over.link))
        .collect();
    let mut interface = Cow::Borrowed(interface);
    for (link, over) in moved {
        let peers = &mut interface.to_mut().peers;
        let prefixes =
            peers.iter_mut().find(|peer| peer.link == link).map(|peer| std::mem::take(&mut peer.allowed_ips));
        if let (Some(prefixes), Some(over)) = (prefixes, peers.iter_mut().find(|peer| peer.link == over)) {
            over.allowed_ips.extend(prefixes);
            over.allowed_ips.sort_unstable();
            over.allowed_ips.dedup();
        }
    }
    interface
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, WhenDown};
    use crate::wg::beside::Loop;
    use crate::wg::compile::compile;
    use crate::wg::compile::fixture::{Fixture, lans};
    use crate::wg::stage::play;
    use crate::wg::{NodeConfig, config};

    /// A server and two routers on hosts, linked with each other by a link that gives way.
    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.add("hub", Role::Server);
        fixture.add("office", Role::Router).lans = lans(&["192.168.10.0/24"]);
        fixture.add("depot", Role::Router).lans = lans(&["192.168.20.0/24", "fd00:20::/64"]);
        for name in ["hub", "office", "depot"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        fixture.link_that(WhenDown::Move, "office", "depot", 1);
        fixture
    }

    fn of<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a NodeConfig {
        nodes.iter().find(|node| node.name.as_str() == name).unwrap()
    }

    #[test]
    fn the_hosts_at_both_ends_watch_a_link_that_gives_way_and_nobody_watches_another() {
        let files = |fixture: &Fixture, name: &str| -> Vec<String> {
            let nodes = compile(&fixture.topology).unwrap();
            let files = config::files(of(&nodes, name), &fixture.secrets()).into_iter().map(|file| file.path);
            files.filter(|path| path.contains("fallback")).collect()
        };
        let mut fixture = fixture();
        for (name, expected) in
            [("office", &["wgf-fallback-wg0.sh"][..]), ("depot", &["wgf-fallback-wg0.sh"]), ("hub", &[])]
        {
            assert_eq!(files(&fixture, name), expected, "{name}");
        }
        fixture.link_that(WhenDown::Move, "office", "depot", 9);
        assert!(files(&fixture, "office").is_empty(), "the way over the server is cheaper: nothing could move");
        fixture.link("office", "depot", 1);
        assert!(files(&fixture, "office").is_empty());
    }

    #[test]
    fn the_script_says_what_moves_where_and_another_list_is_another_version() {
        let mut fixture = fixture();
        let nodes = compile(&fixture.topology).unwrap();
        let interface = &of(&nodes, "office").interfaces[0];
        let mut script = Loop::Fallback.script(interface).unwrap();
        let version = Loop::Fallback.version(interface).unwrap();
        assert!(script.contains(&format!("\nVERSION={version}\n")) && version.len() == 16);
        for peer in &interface.peers {
            script = script.replace(&peer.public_key.to_string(), &format!("KEY-OF-{}", peer.name));
        }
        let head: Vec<&str> = script.lines().take(8).filter(|line| !line.starts_with("VERSION=")).collect();
        insta::assert_snapshot!(head.join("\n"), @r"
        #!/bin/sh
        # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
        KIND=fallback
        IFACE=wg0
        LINKS='
        KEY-OF-depot,KEY-OF-hub,220,depot,hub,10.66.0.3/32,192.168.20.0/24,fd00:20::/64,fd00:66::3/128
        '
        ");
        assert_eq!(names(interface), "depot (else over hub)");
        fixture.node("depot").lans.pop();
        let nodes = compile(&fixture.topology).unwrap();
        assert_ne!(Loop::Fallback.version(&of(&nodes, "office").interfaces[0]).unwrap(), version);
    }

    #[test]
    fn what_a_link_that_is_down_carries_goes_as_if_there_were_no_such_link() {
        let with = fixture();
        let mut without = fixture();
        without.topology.links.clear();
        let (nodes, others) = (compile(&with.topology).unwrap(), compile(&without.topology).unwrap());
        for name in ["office", "depot"] {
            let interface = &of(&nodes, name).interfaces[0];
            let far = interface.peers.iter().find(|peer| peer.name.as_str() != "hub").unwrap();
            let moved = while_down(interface, &BTreeSet::from([far.public_key]));
            let carried = |interface: &InterfaceConfig, peer: &str| {
                interface.peers.iter().find(|p| p.name.as_str() == peer).map(|p| p.allowed_ips.clone()).unwrap()
            };
            assert_eq!(carried(&moved, far.name.as_str()), []);
            let over = carried(&moved, "hub");
            for prefix in carried(&of(&others, name).interfaces[0], "hub") {
                assert!(over.contains(&prefix), "{prefix}");
            }
            assert!(carried(interface, far.name.as_str()).iter().all(|prefix| over.contains(prefix)));
            assert!(matches!(while_down(interface, &BTreeSet::new()), Cow::Borrowed(_)));
        }
    }

    /// `wg` answers from the files `shakes` and `allowed`, and changes the one that it may.
    const STAND_IN: &str = r#"
        : > $S/shakes; : > $S/allowed
        stand_in wg <<'END'
#!/bin/sh
S=/run/stage
case "$1 $3" in
'show latest-handshakes') cat $S/shakes; echo >> $S/looked ;;
'show allowed-ips') cat $S/allowed ;;
'set peer')
    shift 2; call=$*
    while [ $# -gt 0 ]; do
        list=$(echo "$4" | tr , ' ')
        awk -v key="$2" -v list="$list" '
            BEGIN { OFS = FS = "\t"; n = split(list, p, " "); for (i = 1; i <= n; i++) taken[p[i]] = 1 }
            $1 == key { $2 = list }
            $1 != key { # what another peer takes, it loses
                n = split($2, p, " "); $2 = ""
                for (i = 1; i <= n; i++) if (!(p[i] in taken)) $2 = $2 ($2 == "" ? "" : " ") p[i]
            }
            { if ($2 == "") $2 = "(none)"; print }' $S/allowed > $S/new
        mv $S/new $S/allowed; shift 4
    done
    echo "$call" >> $S/calls ;;
esac
END
        peer() { # key, seconds since its handshake, AllowedIPs
            if [ "$2" = never ]; then shook=0; else shook=$(($(date +%s) - $2)); fi
            printf '%s\t%s\n' "$1" "$shook" >> $S/shakes; printf '%s\t%s\n' "$1" "$3" >> $S/allowed
        }
        shakes() { sed "s/^$1\t.*/$1\t$(date +%s)/" $S/shakes | put shakes; }
        moved() { told; cut -d ' ' -f 1 /run/wg-friend/moved-lo 2>/dev/null | sort | paste -s -d ' ' -; }
    "#;

    const PLAY: &str = r#"
        script lo LINKS <<'END'
down+/=,hub=,220,down,hub,10.0.0.2/32,192.168.2.0/24
fresh=,hub=,220,fresh,hub,10.0.0.3/32
gone=,hub=,220,gone,hub,10.0.0.4/32
new=,far=,220,new,far,10.0.0.5/32,fd00::5/128
END
        peer hub= 9999 '10.0.0.0/24 192.168.9.0/24'; peer far= never '(none)'
        peer down+/= 221 '10.0.0.2/32 192.168.2.0/24'
        peer fresh= 150 '10.0.0.3/32'
        peer new= never '10.0.0.5/32 fd00::5/128'

        export WGF_EVERY=0.2
        loop start; version
        called 1; looks; moved
        echo ':: nothing while a deploy is at work; then back'
        mkdir /run/wg-friend/deploy; shakes 'down+\/='; naps; moved
        rmdir /run/wg-friend/deploy; called 1; looks; moved
        echo ':: another one keeps what has moved, and for a trial counts other seconds'
        one=$(pid)
        sed -i s/VERSION=one/VERSION=two/ $SCRIPT
        export WGF_STALE=1; loop start; version
        [ ! -d /proc/$one ] && echo "the first is gone"
        called 3; looks; moved
        unset WGF_STALE; loop start; looks; moved
        shakes new=; called 1; looks; moved
        one=$(pid)
        loop stop
        [ ! -d /proc/$one ] && [ -z "$(ls /run/wg-friend)" ] && echo "so is the second"
        loop stop
    "#;

    #[test]
    fn the_loop_moves_what_a_silent_link_carries_and_moves_it_back_when_the_link_speaks() {
        for told in play(Loop::Fallback, &[], &format!("{STAND_IN}{PLAY}")) {
            insta::allow_duplicates! {
                insta::assert_snapshot!(told, @"
                start 0
                one
                peer hub= allowed-ips 10.0.0.0/24,192.168.9.0/24,10.0.0.2/32,192.168.2.0/24 peer down+/= allowed-ips
                down+/=
                :: nothing while a deploy is at work; then back
                down+/=
                peer down+/= allowed-ips 10.0.0.2/32,192.168.2.0/24

                :: another one keeps what has moved, and for a trial counts other seconds
                start 0
                two
                the first is gone
                peer far= allowed-ips 10.0.0.5/32,fd00::5/128 peer new= allowed-ips
                peer hub= allowed-ips 10.0.0.0/24,192.168.9.0/24,10.0.0.2/32,192.168.2.0/24 peer down+/= allowed-ips
                peer hub= allowed-ips 10.0.0.0/24,192.168.9.0/24,10.0.0.2/32,192.168.2.0/24,10.0.0.3/32 peer fresh= allowed-ips
                down+/= fresh= new=
                start 0
                down+/= fresh= new=
                peer new= allowed-ips 10.0.0.5/32,fd00::5/128
                down+/= fresh=
                stop 0
                so is the second
                stop 0
                ");
            }
        }
    }
}
