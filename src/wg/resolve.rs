//! Peers that are dialled by a name, and the script on a host that looks the names up again.
//!
//! WireGuard knows addresses only: wg(8) looks a name up once, and when the name gets another address the tunnel stays
//! dead until somebody restarts it. So a host that dials a peer by a name runs a small loop beside the interface. It is a
//! file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes with the
//! interface whatever brings that up. Pure; the loop itself is `templates/host/resolve.sh`.

use crate::model::EndpointHost;

use super::interface::{InterfaceConfig, PeerConfig};

/// Whether any peer of the interface is dialled by a name.
pub fn dials_names(interface: &InterfaceConfig) -> bool {
    named(interface).next().is_some()
}

/// The peers that are dialled by a name, each with that name.
fn named(interface: &InterfaceConfig) -> impl Iterator<Item = (&PeerConfig, &str, u16)> {
    interface.peers.iter().filter_map(|peer| match peer.endpoint.as_ref() {
        Some(endpoint) => match &endpoint.host {
            EndpointHost::Name(name) => Some((peer, name.as_str(), endpoint.port.get())),
            EndpointHost::Address(_) => None,
        },
        None => None,
    })
}

/// Returns the names that are followed, for people: `hub.example.com, office.example.com`.
pub fn names(interface: &InterfaceConfig) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (_, name, _) in named(interface).filter(|_| interface.follows_names) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// A line `key,name,port,peer` for each peer. None of the four has a comma, a blank or a quote.
pub(super) fn peers(interface: &InterfaceConfig) -> Option<String> {
    let lines = named(interface).filter(|_| interface.follows_names);
    let text: String =
        lines.map(|(peer, name, port)| format!("{},{name},{port},{}\n", peer.public_key, peer.name)).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::wg::beside::Loop;
    use crate::wg::compile::compile;
    use crate::wg::compile::fixture::Fixture;
    use crate::wg::stage::play;
    use crate::wg::{NodeConfig, config};

    /// A network of which the server, the office and a laptop are on hosts.
    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.add("hub", Role::Server);
        fixture.add("office", Role::Router);
        fixture.add("laptop", Role::Remote);
        fixture.add("phone", Role::Remote);
        for name in ["hub", "office", "laptop"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        fixture
    }

    fn of<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a NodeConfig {
        nodes.iter().find(|node| node.name.as_str() == name).unwrap()
    }

    fn files(fixture: &Fixture, name: &str) -> Vec<String> {
        let nodes = compile(&fixture.topology).unwrap();
        config::files(of(&nodes, name), &fixture.secrets()).into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn hosts_that_dial_a_name_follow_it_and_nobody_else_does() {
        let mut fixture = fixture();
        assert_eq!(files(&fixture, "hub"), ["wg0.conf", "wgf-wg0.nft", "wgf-resolve-wg0.sh"], "it dials the office");
        assert_eq!(files(&fixture, "office"), ["wg0.conf", "wgf-wg0.nft", "wgf-resolve-wg0.sh"]);
        assert_eq!(files(&fixture, "laptop"), ["wg0.conf", "wgf-resolve-wg0.sh"]);
        assert_eq!(files(&fixture, "phone"), ["wg0.conf"], "no host of ours");
        fixture.node("hub").endpoint = Some("203.0.113.1:51820".parse().unwrap());
        assert_eq!(files(&fixture, "laptop"), ["wg0.conf"], "an address doesn't move");
        assert_eq!(files(&fixture, "hub"), ["wg0.conf", "wgf-wg0.nft", "wgf-resolve-wg0.sh"]);
    }

    #[test]
    fn the_script_says_whom_it_follows_and_another_list_is_another_version() {
        let mut fixture = fixture();
        let nodes = compile(&fixture.topology).unwrap();
        let interface = &of(&nodes, "office").interfaces[0];
        let script = Loop::Resolve.script(interface).unwrap();
        let head: Vec<&str> = script.lines().take(8).filter(|line| !line.starts_with("VERSION=")).collect();
        let head = head.join("\n").replace(&interface.peers[0].public_key.to_string(), "KEY");
        insta::assert_snapshot!(head, @r"
        #!/bin/sh
        # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
        KIND=resolve
        IFACE=wg0
        PEERS='
        KEY,hub.example.com,51820,hub
        '
        ");
        let version = Loop::Resolve.version(interface).unwrap();
        assert!(script.contains(&format!("\nVERSION={version}\n")) && version.len() == 16);
        assert_eq!(names(interface), "hub.example.com");
        fixture.node("hub").endpoint = Some("hub.example.net:51820".parse().unwrap());
        let nodes = compile(&fixture.topology).unwrap();
        assert_ne!(Loop::Resolve.version(&of(&nodes, "office").interfaces[0]).unwrap(), version);
    }

    /// `wg` and `getent` answer from files: `shakes`, `transfer`, `endpoints` and one for each name.
    const STAND_INS: &str = r#"
        stand_in wg <<'END'
#!/bin/sh
S=/run/stage
case "$1 $3" in
'show latest-handshakes') echo >> $S/looked; cat $S/shakes ;;
'show transfer') cat $S/transfer ;;
'show endpoints') cat $S/endpoints ;;
'show peers') cut -f 1 $S/shakes ;;
'set peer')
    awk -v key="$4" -v to="$6" 'BEGIN { OFS = FS = "\t" } $1 == key { $2 = to } { print }' $S/endpoints > $S/new
    mv $S/new $S/endpoints; echo "$2 $4 $5 $6" >> $S/calls ;;
esac
END
        stand_in getent <<'END'
#!/bin/sh
[ "$1" = ahosts ] && cat "/run/stage/$2" 2>/dev/null
END
        peer() { # key, seconds since its handshake, endpoint
            if [ "$2" = never ]; then shook=0; else shook=$(($(date +%s) - $2)); fi
            printf '%s\t%s\n' "$1" "$shook" >> $S/shakes
            printf '%s\t0\t1000\n' "$1" >> $S/transfer
            printf '%s\t%s\n' "$1" "$3" >> $S/endpoints
        }
        sends() { sed "s/^$1\t.*/$1\t0\t$2/" $S/transfer | put transfer; }
    "#;

    const PLAY: &str = r#"
        script lo PEERS <<END
$(for who in moved fresh both idle gone unknown; do echo "$who=,$who.example,51820,$who"; done)
END
        peer moved= 200 192.0.2.1:51820;            echo '192.0.2.9 STREAM moved.example' > $S/moved.example
        peer fresh= 100 192.0.2.1:51820;            echo '192.0.2.9 STREAM fresh.example' > $S/fresh.example
        peer both= never '[2001:db8::9]:51820';     printf '2001:db8::9 STREAM both\n2001:db8::9 DGRAM\n192.0.2.9 STREAM\n' > $S/both.example
        peer idle= 9999 192.0.2.1:51820;            printf '192.0.2.1 STREAM idle\n192.0.2.2 STREAM idle\n' > $S/idle.example
        peer unknown= 200 192.0.2.1:51820
        peer other= 200 192.0.2.1:51820

        export WGF_EVERY=0.2
        loop start; version
        called 2
        sends both= 2000; called 3
        sends both= 3000; called 4
        looks; told
        one=$(pid)
        sed -i s/VERSION=one/VERSION=two/ $SCRIPT
        loop start; version
        [ ! -d /proc/$one ] && echo "the first is gone"
        one=$(pid)
        loop stop
        [ ! -d /proc/$one ] && [ ! -e /run/wg-friend/resolve-lo ] && echo "so is the second"
        loop stop
    "#;

    #[test]
    fn the_loop_goes_where_a_name_went_tries_every_address_of_one_that_is_silent_and_leaves_all_others_alone() {
        for told in play(Loop::Resolve, &["getent"], &format!("{STAND_INS}{PLAY}")) {
            insta::allow_duplicates! {
                insta::assert_snapshot!(told, @"
                start 0
                one
                lo both= endpoint 192.0.2.9:51820
                lo both= endpoint [2001:db8::9]:51820
                lo moved= endpoint 192.0.2.9:51820
                lo unknown= endpoint unknown.example:51820
                start 0
                two
                the first is gone
                stop 0
                so is the second
                stop 0
                ");
            }
        }
    }
}
