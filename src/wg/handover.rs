//! Peers that are about to use another key, and the script on a host that follows them.
//!
//! A WireGuard peer is its key: whoever uses another one is a stranger. So before a node uses its next key, each host that
//! it is a peer of gets a second peer with that key, without AllowedIPs, and runs a small loop beside the interface. As soon
//! as somebody begins a handshake with the next key, what the present one carries goes over to it in one `wg set`; when it
//! has been in use for an hour and five minutes, the present one is removed. Should the present key be used again before that,
//! since the node's host took its new key back, all of it goes back. So nobody has to be there when it happens: a phone
//! takes its new file a week later, and the controller may be off.
//!
//! The loop is a file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook. Pure; the loop itself is
//! `templates/host/handover.sh`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::PublicKey;

use super::interface::{InterfaceConfig, PeerConfig};

/// So long a key that has been followed by another stays good, in seconds: longer than any host takes a change back by
/// itself that nobody confirmed.
const GRACE: u32 = 3900;

/// Each peer that is to be followed by another, with that one.
fn pairs(interface: &InterfaceConfig) -> impl Iterator<Item = (&PeerConfig, &PeerConfig)> {
    let next = interface.peers.iter().filter_map(|next| Some((next, next.succeeds?)));
    next.filter_map(|(next, old)| Some((interface.peers.iter().find(|peer| peer.public_key == old)?, next)))
}

/// Returns whose next keys are awaited, for people: `alice-phone, office`.
pub fn names(interface: &InterfaceConfig) -> String {
    pairs(interface).map(|(peer, _)| peer.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A line `next key,present key,seconds,peer,prefixes` for each. None of them has a blank or a quote, and but the last none
/// has a comma. A peer that is there by both keys for as long as it likes isn't forgotten by the present one: then `-` stands for
/// the seconds.
pub(super) fn lines(interface: &InterfaceConfig) -> Option<String> {
    let line = |(peer, next): (&PeerConfig, &PeerConfig)| {
        let prefixes: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let grace = if next.by_both { "-".to_owned() } else { GRACE.to_string() };
        let (next, old) = (next.public_key, peer.public_key);
        format!("{next},{old},{grace},{},{}\n", peer.name, prefixes.join(","))
    };
    let text: String = pairs(interface).map(line).collect();
    (!text.is_empty()).then_some(text)
}

/// Returns an interface as it should run when its host has handed some peers over already. `carries` tells what a peer of
/// the host carries; `None` when the host knows no such peer.
pub fn as_handed_over<'a>(
    interface: &'a InterfaceConfig,
    carries: impl Fn(&PublicKey) -> Option<bool>,
) -> Cow<'a, InterfaceConfig> {
    let over: Vec<(PublicKey, PublicKey)> = pairs(interface)
        .filter(|(peer, next)| is_over(peer, next, &carries))
        .map(|(peer, next)| (peer.public_key, next.public_key))
        .collect();
    let mut interface = Cow::Borrowed(interface);
    let mut gone = BTreeSet::new();
    for (old, next) in over {
        let peers = &mut interface.to_mut().peers;
        let prefixes =
            peers.iter_mut().find(|peer| peer.public_key == old).map(|peer| std::mem::take(&mut peer.allowed_ips));
        if let (Some(prefixes), Some(next)) = (prefixes, peers.iter_mut().find(|peer| peer.public_key == next)) {
            next.allowed_ips = prefixes;
        }
        if carries(&old).is_none() {
            gone.insert(old);
        }
    }
    if !gone.is_empty() {
        interface.to_mut().peers.retain(|peer| !gone.contains(&peer.public_key));
    }
    interface
}

/// Whether the next key of a peer carries what the present one did, which may be gone.
fn is_over(peer: &PeerConfig, next: &PeerConfig, carries: &impl Fn(&PublicKey) -> Option<bool>) -> bool {
    match (carries(&peer.public_key), carries(&next.public_key)) {
        (Some(false), Some(true)) => true,
        (None, Some(carried)) => carried || peer.allowed_ips.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kept, KeptPeer, Role, Run};
    use crate::wg::beside::Loop;
    use crate::wg::compile::fixture::{Fixture, lans};
    use crate::wg::compile::{Neighbours, compile, cut_off_by_rotation};
    use crate::wg::stage::play;
    use crate::wg::{NodeConfig, config};

    /// A server and two routers on hosts, and a phone; the office and the phone have a next key.
    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.add("hub", Role::Server);
        fixture.add("office", Role::Router).lans = lans(&["192.168.10.0/24"]);
        fixture.add("depot", Role::Router).lans = lans(&["192.168.20.0/24"]);
        fixture.add("phone", Role::Remote);
        for name in ["hub", "office", "depot"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        for (name, byte) in [("office", 1), ("phone", 2)] {
            fixture.node(name).interfaces[0].staged_key = Some(PublicKey::from_bytes([byte; 32]));
        }
        fixture
    }

    fn of<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a InterfaceConfig {
        &nodes.iter().find(|node| node.name.as_str() == name).unwrap().interfaces[0]
    }

    fn peers(interface: &InterfaceConfig) -> String {
        let line = |peer: &PeerConfig| {
            let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            format!("{} [{}]", peer.title(), allowed.join(" "))
        };
        let mut lines: Vec<String> = interface.peers.iter().map(line).collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn a_node_runs_with_its_next_key_and_the_hosts_of_its_peers_know_both() {
        let mut fixture = fixture();
        let nodes = compile(&fixture.topology).unwrap();
        insta::assert_snapshot!(peers(of(&nodes, "hub")), @"
        depot [10.66.0.3/32 192.168.20.0/24 fd00:66::3/128]
        office (next key) []
        office [10.66.0.2/32 192.168.10.0/24 fd00:66::2/128]
        phone (next key) []
        phone [10.66.0.4/32 fd00:66::4/128]
        ");
        assert_eq!(names(of(&nodes, "hub")), "office, phone");
        for (name, byte) in [("office", 1), ("phone", 2)] {
            let own = of(&nodes, name);
            assert_eq!(own.public_key, PublicKey::from_bytes([byte; 32]));
            assert_eq!(own.replaces, Some(fixture.node(name).main().public_key));
            let next = of(&nodes, "hub").peers.iter().find(|peer| peer.public_key == own.public_key).unwrap();
            assert_eq!((next.succeeds, next.guid), (own.replaces, own.replaces), "{name}");
            assert!(next.next_preshared && own.peers.iter().all(|peer| peer.next_preshared));
        }
        let files = |name: &str| {
            let node = nodes.iter().find(|node| node.name.as_str() == name).unwrap();
            config::files(node, &fixture.secrets()).into_iter().map(|file| file.path).collect::<Vec<_>>()
        };
        assert!(files("hub").contains(&"wgf-handover-wg0.sh".to_owned()));
        assert!(
            ["office", "depot", "phone"].iter().all(|name| files(name).iter().all(|path| !path.contains("handover")))
        );
    }

    #[test]
    fn who_has_no_host_is_cut_off_by_the_key_of_whom_he_dials() {
        let fixture = fixture();
        let cut_off = |name: &str| {
            let main = fixture.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap().main().id;
            cut_off_by_rotation(&Neighbours::of(&fixture.topology), main)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!((cut_off("hub"), cut_off("office"), cut_off("phone")), (vec!["phone".to_owned()], vec![], vec![]));
    }

    #[test]
    fn who_does_not_have_the_peer_at_all_is_not_cut_off_by_its_next_key() {
        let mut fixture = fixture();
        let hub = fixture.node("hub").main().id;
        let absent = KeptPeer { absent: true, ..KeptPeer::default() };
        let kept = Kept { made: false, run: Run::Off, peers: [(hub, absent)].into(), ..Kept::made() };
        fixture.node("phone").interfaces[0].kept = Some(kept.clone());
        fixture.node("depot").interfaces[0].kept = Some(Kept { peers: [].into(), ..kept });
        let cut_off = cut_off_by_rotation(&Neighbours::of(&fixture.topology), hub);
        assert_eq!(cut_off.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["depot"]);
    }

    #[test]
    fn what_a_host_has_handed_over_is_as_it_should_be() {
        let nodes = compile(&fixture().topology).unwrap();
        let hub = of(&nodes, "hub");
        let key = |title: &str| hub.peers.iter().find(|peer| peer.title() == title).unwrap().public_key;
        let (old, next) = (key("office"), key("office (next key)"));
        let as_seen = |old_carries: Option<bool>, next_carries: Option<bool>| {
            let carries = |key: &PublicKey| match *key {
                key if key == old => old_carries,
                key if key == next => next_carries,
                _ => Some(true),
            };
            let seen = as_handed_over(hub, carries);
            peers(&seen).lines().filter(|line| line.starts_with("office")).collect::<Vec<_>>().join("\n")
        };
        let before = "office (next key) []\noffice [10.66.0.2/32 192.168.10.0/24 fd00:66::2/128]";
        let carried = "office (next key) [10.66.0.2/32 192.168.10.0/24 fd00:66::2/128]";
        assert_eq!(as_seen(Some(true), Some(false)), before);
        assert_eq!(as_seen(Some(false), Some(true)), format!("{carried}\noffice []"));
        assert_eq!(as_seen(None, Some(true)), carried);
        // Anything else is for a deploy to mend.
        for (old, next) in [(None, None), (Some(false), Some(false)), (None, Some(false)), (Some(true), None)] {
            assert_eq!(as_seen(old, next), before);
        }
    }

    #[test]
    fn the_script_says_which_key_follows_which() {
        let nodes = compile(&fixture().topology).unwrap();
        let hub = of(&nodes, "hub");
        let mut script = Loop::Handover.script(hub).unwrap();
        for peer in &hub.peers {
            script = script.replace(&peer.public_key.to_string(), &format!("[{}]", peer.title()));
        }
        let head: Vec<&str> = script.lines().take(9).filter(|line| !line.starts_with("VERSION=")).collect();
        insta::assert_snapshot!(head.join("\n"), @r"
        #!/bin/sh
        # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
        KIND=handover
        IFACE=wg0
        KEYS='
        [office (next key)],[office],3900,office,10.66.0.2/32,192.168.10.0/24,fd00:66::2/128
        [phone (next key)],[phone],3900,phone,10.66.0.4/32,fd00:66::4/128
        '
        ");
    }

    /// `wg` answers from files, and changes them as the kernel would.
    const STAND_IN: &str = r#"
        : > $S/shakes; : > $S/allowed; : > $S/counters
        stand_in wg <<'END'
#!/bin/sh
S=/run/stage
put() { cat > "$S/new-$1" && mv "$S/new-$1" "$S/$1"; }
case "$1 $3" in
'show latest-handshakes') cat $S/shakes ;;
'show allowed-ips') cat $S/allowed ;;
'show transfer') cat $S/counters; echo >> $S/looked ;;
'show listen-port') echo 0 ;;
'set peer')
    shift 2
    if [ "$3" = remove ]; then
        for f in shakes allowed counters; do grep -v "^$2	" $S/$f | put $f; done
    else
        awk -v key="$2" -v list="$(echo "$4" | tr , ' ')" '
            BEGIN { OFS = FS = "\t" } $1 == key { print $1, list; next } $2 == list { $2 = "(none)" } { print }' $S/allowed | put allowed
    fi
    echo "$*" >> $S/calls ;;
esac
END
        peer() { # key, its last handshake, bytes received, AllowedIPs
            printf '%s\t%s\n' "$1" "$2" >> $S/shakes; printf '%s\t%s\t7\n' "$1" "$3" >> $S/counters; printf '%s\t%s\n' "$1" "$4" >> $S/allowed
        }
        shakes() { sed "s/^$1\t.*/$1\t$2/" $S/shakes | put shakes; }
        hears() { sed "s/^$1\t.*/$1\t$2\t7/" $S/counters | put counters; }
        # It has taken down what is old news: it looks twice in that, and woken once more.
        woken() { : > $S/looked; kill -USR1 "$(pid)"; until_so at_least looked 2; } # and has looked
        starts() { loop start; : > $S/looked; kill -USR1 "$(pid)"; until_so at_least looked 3; }
    "#;

    const PLAY: &str = r#"
        script lo KEYS <<'END'
next+/=,old=,3900,office,10.0.0.2/32,192.168.2.0/24
late=,phone=,3900,phone,10.0.0.3/32
gone=,none=,3900,gone,10.0.0.4/32
was=,there=,3900,there,10.0.0.5/32
END
        peer old= 1000 5000 '10.0.0.2/32 192.168.2.0/24'; peer next+/= 0 0 '(none)'
        peer phone= 1000 6000 '10.0.0.3/32'; peer late= 900 148 '(none)'
        peer there= 1000 7000 '(none)'; peer was= 1100 148 '10.0.0.5/32'

        export WGF_EVERY=0.2
        starts; looks; told
        echo ':: the first packet by the next key'
        hears 'next+\/=' 148; called 1; shakes 'next+\/=' 2000; hears 'next+\/=' 9000; looks; told
        echo ':: woken, it looks at once'
        sed -i 's/^EVERY=.*/EVERY=600/; s/VERSION=one/VERSION=two/' $SCRIPT
        unset WGF_EVERY; starts; told
        hears late= 296; kill -USR1 "$(pid)"; called 1; shakes late= 2100; told
        echo ':: the key from before shakes hands again'
        shakes old= 2200; kill -USR1 "$(pid)"; called 1; told
        hears 'next+\/=' 9148; kill -USR1 "$(pid)"; called 1; shakes 'next+\/=' 2300; told
        echo ':: what was long enough in use, and what never shook hands'
        hears was= 500; shakes late= 0
        export WGF_STALE=0; starts; called 2; woken; told
        one=$(pid)
        loop stop
        [ ! -d /proc/$one ] && [ -z "$(ls /run/wg-friend)" ] && echo "it is gone"
        cat $S/allowed
    "#;

    #[test]
    fn the_loop_follows_a_peer_to_its_next_key_and_back_and_removes_the_one_before() {
        for told in play(Loop::Handover, &[], &format!("{STAND_IN}{PLAY}")) {
            insta::allow_duplicates! {
                insta::assert_snapshot!(told, @"
    start 0
    :: the first packet by the next key
    peer next+/= allowed-ips 10.0.0.2/32,192.168.2.0/24
    :: woken, it looks at once
    start 0
    peer late= allowed-ips 10.0.0.3/32
    :: the key from before shakes hands again
    peer old= allowed-ips 10.0.0.2/32,192.168.2.0/24
    peer next+/= allowed-ips 10.0.0.2/32,192.168.2.0/24
    :: what was long enough in use, and what never shook hands
    start 0
    peer old= remove
    peer there= remove
    stop 0
    it is gone
    next+/=	10.0.0.2/32 192.168.2.0/24
    phone=	(none)
    late=	10.0.0.3/32
    was=	10.0.0.5/32
    ");
            }
        }
    }
}
