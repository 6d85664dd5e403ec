//! Grants, groups, stable clients and other addresses, as a person asks for them.

use crate::env::{TestEnv, filters};

/// A server, a router with a LAN, three devices.
fn office() -> TestEnv {
    let env = TestEnv::with_network();
    env.ok(&["add", "router", "branch", "--lan", "192.168.10.0/24", "--ssh", "root@192.0.2.4"]);
    env.ok(&["add", "remote", "bob", "--access", "vpn-only"]);
    env.ok(&["add", "remote", "carol", "--access", "custom"]);
    env.ok(&["add", "remote", "nas"]);
    env
}

#[test]
fn what_is_granted_is_listed_with_its_end_and_its_reason_and_taken_away_again() {
    let env = office();
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["grant", "bob", "192.168.10.50", "tcp", "22,443", "--until", "2199-12-31", "--note", "the printer"]), @"
    --- stderr ---
    + granted remote bob  10.66.0.30  fd00:66::1e
        grant  + 192.168.10.50/32 tcp 22,443 until [TIME] (the printer)
      needs a new file: hub, bob
    ");
    insta::assert_snapshot!(env.run(&["grant", "carol", "nas"]), @"
    --- stderr ---
    + granted remote carol  10.66.0.31  fd00:66::1f
        grant  + nas any
      needs a new file: hub, carol
    ");
    insta::assert_snapshot!(env.run(&["grants"]), @"
    WHO    MAY REACH         BY          UNTIL                    NOTE
    bob    192.168.10.50/32  tcp 22,443  [TIME]  the printer
    carol  nas               any
    ");
    insta::assert_snapshot!(env.run(&["can", "carol", "nas"]), @"
    yes  carol (10.66.0.31) → nas (10.66.0.32), icmp
      there    carol · wg0 → hub  AllowedIPs 10.66.0.32/32, accepted by 10.66.0.31/32
               hub · wg0 → nas  AllowedIPs 10.66.0.32/32, accepted by 10.66.0.0/24
      back     nas · wg0 → hub  AllowedIPs 10.66.0.0/24, accepted by 10.66.0.32/32
               hub · wg0 → carol  AllowedIPs 10.66.0.31/32, accepted by 10.66.0.32/32
      because  hub's firewall: carol is granted icmp to 10.66.0.32

    yes  carol (fd00:66::1f) → nas (fd00:66::20), icmp
      there    carol · wg0 → hub  AllowedIPs fd00:66::20/128, accepted by fd00:66::1f/128
               hub · wg0 → nas  AllowedIPs fd00:66::20/128, accepted by fd00:66::/64
      back     nas · wg0 → hub  AllowedIPs fd00:66::/64, accepted by fd00:66::20/128
               hub · wg0 → carol  AllowedIPs fd00:66::1f/128, accepted by fd00:66::20/128
      because  hub's firewall: carol is granted icmp to fd00:66::20
    ");
    insta::assert_snapshot!(env.run(&["revoke", "bob", "192.168.10.50", "udp"]), @"
    --- stderr ---
    error: `bob` has no such grant; nothing was changed
     hint: `wg-friend grants bob` lists what it has
    [exit 1]
    ");
    insta::assert_snapshot!(env.run(&["revoke", "bob", "192.168.10.50", "tcp"]), @"
    --- stderr ---
    - revoked remote bob  10.66.0.30  fd00:66::1e
        grant  - 192.168.10.50/32 tcp 22,443 until [TIME] (the printer)
      needs a new file: hub, bob
    ");
    insta::assert_snapshot!(env.run(&["grants", "bob"]), @"
    --- stderr ---
    no grants; give one with `wg-friend grant NODE|GROUP DESTINATION`
    ");
}

#[test]
fn a_grant_that_could_have_no_effect_is_refused_with_what_would_have_one() {
    let env = office();
    env.ok(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]);
    env.ok(&["add", "remote", "tv", "--access", "exit-only", "--exit", "exit-de"]);
    let said: Vec<String> = [
        ["grant", "hub", "10.66.0.0/24"].as_slice(),
        &["grant", "exit-de", "nas"],
        &["grant", "tv", "nas"],
        &["grant", "bob", "bob"],
        &["grant", "bob", "8.8.8.8"],
        &["grant", "bob", "10.66.0.1/24"],
        &["grant", "bob", "nass"],
        &["grant", "bob", "nas", "icmp", "22"],
        &["grant", "bob", "nas", "--until", "2020-01-01"],
        &["grant", "bob", "nas", "--until", "soon"],
        &["revoke", "bob", "nas"],
        &["revoke", "bob"],
        &["revoke", "--over"],
        &["group", "show", "printers"],
        &["group", "add", "bob"],
        &["group", "add", "all"],
        &["set", "bob", "grant+=node:1"],
    ]
    .iter()
    .map(|arguments| {
        let said = env.run(arguments).replace("--- stderr ---\n", "");
        format!("$ {}\n{said}", arguments.join(" "))
    })
    .collect();
    insta::assert_snapshot!(said.concat(), @"
    $ grant hub 10.66.0.0/24
    error: nothing can be granted to the server `hub`: servers judge remotes and routers by grants, and nobody else
    [exit 1]
    $ grant exit-de nas
    error: nothing can be granted to the exit `exit-de`: servers judge remotes and routers by grants, and nobody else
    [exit 1]
    $ grant tv nas
    error: `tv` has access exit-only: the exit is its only peer, and no server lets it in
     hint: give it another level first: `wg-friend set tv access=custom`
    [exit 1]
    $ grant bob bob
    error: `bob` reaches itself without a grant
    [exit 1]
    $ grant bob 8.8.8.8
    error: `bob` is granted `8.8.8.8/32 any`, which lies neither in the network nor in an advertised LAN: correct the destination
    [exit 1]
    $ grant bob 10.66.0.1/24
    error: the destination of a grant: `10.66.0.1/24` has host bits set: did you mean the network 10.66.0.0/24?
    [exit 2]
    $ grant bob nass
    error: there is no node or group named `nass`
     hint: did you mean `nas`?
    [exit 1]
    $ grant bob nas icmp 22
    error: PORTS: ports need tcp or udp, not icmp
    [exit 2]
    $ grant bob nas --until 2020-01-01
    error: the end of the grant: that time is over
    [exit 2]
    $ grant bob nas --until soon
    error: --until: `soon` is no time: write 2026-12-31, '2026-12-31 12:00', 2026-12-31T12:00:00Z or 30d
    [exit 2]
    $ revoke bob nas
    error: `bob` has no such grant; nothing was changed
     hint: `wg-friend grants bob` lists what it has
    [exit 1]
    $ revoke bob
    error: DESTINATION: say where the grant leads, or --all
    [exit 2]
    $ revoke --over
    error: no grant is over; nothing was changed
    [exit 1]
    $ group show printers
    error: there is no group named `printers`
     hint: `wg-friend group list` shows all groups
    [exit 1]
    $ group add bob
    error: the name `bob` is taken by the remote `bob`
     hint: choose another name
    [exit 1]
    $ group add all
    error: `all` can't be a name: commands use this word for something else
     hint: choose another name
    [exit 1]
    $ set bob grant+=node:1
    error: grant: `node:1` is no prefix
     hint: towards a node or a group: `wg-friend grant NAME NODE|GROUP`
    [exit 2]
    ");
}

#[test]
fn a_grant_is_made_permanent_by_its_short_form_and_its_ports_have_one_order() {
    let env = office();
    env.ok(&["grant", "bob", "192.168.10.50", "tcp", "443,22", "--for", "8h"]);
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["set", "bob", "grant+=192.168.10.50 tcp 22,443,443"]), @"
    --- stderr ---
    ~ changed remote bob  10.66.0.30  fd00:66::1e
        grant  - 192.168.10.50/32 tcp 22,443 until [TIME]
        grant  + 192.168.10.50/32 tcp 22,443
      needs a new file: hub
    ");
    insta::assert_snapshot!(env.refused(&["grant", "bob", "192.168.10.50", "tcp", "443,22"]), @"
    --- stderr ---
    error: `bob` is granted just that already; nothing was changed
    [exit 1]
    ");
    let grants = env.json(&["grants", "bob"])["grants"].clone();
    assert_eq!(
        (&grants[0]["ports"], &grants[0]["until"]),
        (&serde_json::json!(["22", "443"]), &serde_json::Value::Null)
    );
    env.ok(&["grant", "bob", "nas", "udp", "20-30,22,22"]);
    insta::assert_snapshot!(env.run(&["revoke", "bob", "192.168.10.50", "tcp", "443,22"]), @"
    --- stderr ---
    - revoked remote bob  10.66.0.30  fd00:66::1e
        grant  - 192.168.10.50/32 tcp 22,443
      needs a new file: hub, bob
    ");
    assert_eq!(env.json(&["grants", "bob"])["grants"][0]["ports"], serde_json::json!(["20-30"]));
}

#[test]
fn a_wrong_destination_time_port_or_name_is_told_with_what_is_right() {
    let env = office();
    let said: Vec<String> = [
        ["grant", "bob", "0.0.0.0/0"].as_slice(),
        &["set", "bob", "grant+=::/0"],
        &["grant", "bob", "nas", "--until", "2600-01-01"],
        &["grant", "bob", "nas", "--note", "two\nlines"],
        &["group", "add", "printers", "nas", "--note", "a\u{7}b"],
        &["grant", "bob", "nosuch"],
        &["grants", "nobody"],
        &["grant", "bob", "10.66.0.300"],
        &["grant", "bob", "192.168.10.50:22"],
        &["set", "bob", "grant+=nas tcp 22"],
        &["set", "bob", "grant"],
        &["network", "set", "cidr"],
        &["grant", "bob", "nas", "tcp", "30-20"],
        &["can", "bob", "nas:99999"],
        &["can", "bob", "192.168.10.1:22/tcp"],
        &["exit", "assign", "bob", "europ"],
        &["link", "bob", "bob"],
        &["link", "carol", "bob"],
    ]
    .iter()
    .map(|arguments| {
        let said = env.refused(arguments).replace("--- stderr ---\n", "");
        format!("$ {}\n{said}", arguments.join(" ").escape_debug())
    })
    .collect();
    insta::assert_snapshot!(said.concat(), @r"
    $ grant bob 0.0.0.0/0
    error: the destination of a grant: `0.0.0.0/0` is the whole internet, and grants open the network and its LANs alone
     hint: for internet traffic: `wg-friend exit assign NAME EXIT`; for the whole network: `wg-friend set NAME access=full`
    [exit 2]
    $ set bob grant+=::/0
    error: grant: `::/0` is the whole internet, and grants open the network and its LANs alone
     hint: for internet traffic: `wg-friend exit assign NAME EXIT`; for the whole network: `wg-friend set NAME access=full`
    [exit 2]
    $ grant bob nas --until 2600-01-01
    error: the end of the grant: the clocks of firewalls end on 2262-04-11
     hint: leave --until and --for away for a grant for good
    [exit 2]
    $ grant bob nas --note two\nlines
    error: --note: has more than one line: say it on one
    [exit 2]
    $ group add printers nas --note a\u{7}b
    error: --note: holds the control character `\u{7}`
    [exit 2]
    $ grant bob nosuch
    error: there is no node or group named `nosuch`
     hint: `wg-friend list` shows all nodes, `wg-friend group list` all groups
    [exit 1]
    $ grants nobody
    error: there is no node or group named `nobody`
     hint: `wg-friend list` shows all nodes, `wg-friend group list` all groups
    [exit 1]
    $ grant bob 10.66.0.300
    error: the destination of a grant: `10.66.0.300` is not a network: expected something like 192.168.10.0/24 or fd00:10::/64
    [exit 2]
    $ grant bob 192.168.10.50:22
    error: the destination of a grant: `192.168.10.50:22` is an address with a port
     hint: a protocol and its ports follow the address: `192.168.10.50 tcp 22`
    [exit 2]
    $ set bob grant+=nas tcp 22
    error: grant: `nas` is no prefix
     hint: towards a node or a group: `wg-friend grant NAME nas tcp 22`
    [exit 2]
    $ set bob grant
    error: `grant`: expected key=value
     hint: for example `grant=VALUE`; `--help` lists the keys and what they take
    [exit 2]
    $ network set cidr
    error: `cidr`: expected key=value
     hint: for example `cidr=VALUE`; `--help` lists the keys and what they take
    [exit 2]
    $ grant bob nas tcp 30-20
    error: PORTS: `30-20` is no range of ports: its first port is above its last
    [exit 2]
    $ can bob nas:99999
    error: `nas:99999`: `99999` is not a port: expected 1 to 65535
     hint: a port follows the last colon, as in `nas:445` or `[fd00::5]:445`
    [exit 2]
    $ can bob 192.168.10.1:22/tcp
    error: `192.168.10.1:22/tcp`: `22/tcp` is not a port: expected 1 to 65535
     hint: the protocol is an option: `--protocol tcp`
    [exit 2]
    $ exit assign bob europ
    error: there is no exit, exit group or server named `europ`
     hint: `wg-friend exit status` shows all exits and groups
    [exit 1]
    $ link bob bob
    error: `bob` is named twice, and nothing is linked to itself
     hint: name each node once: `wg-friend link A B`
    [exit 1]
    $ link carol bob
    error: `carol` and `bob` are both remotes: nobody between them could enforce access custom of `carol`. Give it full, vpn-only or lan-only; without a link of their own, their server is between them
           neither `bob` nor `carol` can dial the other, for neither has an endpoint: set one, such as `wg-friend set bob endpoint=vpn.example.com`
    [exit 1]
    ");
    env.ok(&["grant", "bob", "nas", "--until", "2199-12-01T18:00"]);
    assert_eq!(env.json(&["grants", "bob"])["grants"][0]["until"], "2199-12-01T18:00:00Z");
}

#[test]
fn a_node_that_moves_to_another_machine_has_to_be_deployed_there() {
    let env = office();
    env.ok(&["host", "add", "hub-a", "root@192.0.2.5"]);
    env.ok(&["host", "add", "hub-b", "root@192.0.2.6"]);
    insta::assert_snapshot!(env.run(&["set", "hub", "host=hub-a"]), @"
    --- stderr ---
    ~ changed server hub  10.66.0.1  fd00:66::1
        host  none → hub-a
      to deploy: hub
      next: `wg-friend plan`
    ");
    insta::assert_snapshot!(env.run(&["set", "hub", "host=hub-b"]), @"
    --- stderr ---
    ~ changed server hub  10.66.0.1  fd00:66::1
        host  hub-a → hub-b
      note: what runs of `hub` on the host `hub-a` stays there until it is taken down
      to deploy: hub
      next: `wg-friend plan`
    ");
}

#[test]
fn a_group_is_shown_renamed_and_leaves_nothing_behind() {
    let env = office();
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["group", "add", "contractors", "bob", "carol", "hub", "--note", "the move"]), @"
    --- stderr ---
    + added group contractors
        group contractors  members  + bob
        group contractors  members  + carol
        group contractors  members  + hub
        group contractors  notes    none → the move
      note: the server `hub` isn't judged by grants: what `contractors` is granted does nothing for it; others reach it by grants to the group
    ");
    env.ok(&["group", "add", "printers", "nas", "branch"]);
    insta::assert_snapshot!(env.run(&["grant", "contractors", "printers", "tcp", "631"]), @"
    --- stderr ---
    + granted group contractors
        group contractors  grant  + printers tcp 631
      note: a node is granted with its own addresses alone; LANs behind it are granted by their prefix: 192.168.10.0/24
      needs a new file: hub, carol
    ");
    insta::assert_snapshot!(env.run(&["group", "show", "contractors"]), @"
    group      contractors
    note       the move
    members    bob, carol, hub
    may reach  printers tcp 631
    ");
    insta::assert_snapshot!(env.run(&["group", "list"]), @"
    GROUP        MEMBERS          GRANTS  NOTE
    contractors  bob, carol, hub  1       the move
    printers     branch, nas      0
    ");
    insta::assert_snapshot!(env.run(&["group", "rename", "printers", "paper"]), @"
    --- stderr ---
    ~ renamed group paper
        group paper  name  printers → paper
    ");
    insta::assert_snapshot!(env.run(&["remove", "nas", "--yes"]), @"
    --- stderr ---
    - removed remote nas  10.66.0.32  fd00:66::20
        group paper  members  - nas
      needs a new file: hub, carol
    ");
    let states = env.json(&["history"])["states"].as_array().unwrap().len();
    insta::assert_snapshot!(env.run(&["group", "remove", "paper", "--yes"]), @"
    --- stderr ---
    - removed group paper
        group contractors  grant    - paper tcp 631
        group paper        members  - branch
      note: what was granted towards it goes too: contractors
      needs a new file: hub, carol
    ");
    env.ok(&["rollback", "--model", &states.to_string(), "--yes"]);
    insta::assert_snapshot!(env.run(&["group", "show", "paper"]), @"
    group       paper
    members     branch
    reached by  contractors
    ");
}

#[test]
fn stable_clients_need_no_new_file_but_for_what_lies_outside() {
    let env = office();
    assert_eq!(
        env.json(&["network", "set", "stable-clients=yes"])["new_files"],
        serde_json::json!(["bob", "carol", "nas"])
    );
    assert_eq!(env.json(&["network", "show"])["stable_clients"].as_array().unwrap().len(), 4);
    for change in [
        ["set", "bob", "access=full"].as_slice(),
        &["grant", "carol", "192.168.10.50", "tcp", "22"],
        &["set", "branch", "lan+=192.168.20.0/24"],
    ] {
        assert_eq!(env.json(change)["new_files"], serde_json::json!(["hub"]), "{change:?}");
    }
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["set", "branch", "lan+=203.0.113.0/24"]), @"
    --- stderr ---
    ~ changed router branch  10.66.0.20  fd00:66::14
        lan  + 203.0.113.0/24
      note: 203.0.113.0/24 lies outside of what clients carry whatever their rights (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), so their files name it
      to deploy: branch
      needs a new file: hub, bob, carol, nas
      next: `wg-friend plan`
    ");
    insta::assert_snapshot!(env.run(&["network", "set", "stable-clients=0.0.0.0/0"]), @"
    --- stderr ---
    error: stable-clients: `0.0.0.0/0` is the whole internet
     hint: to carry internet traffic give remotes an exit: `wg-friend set NAME exit=EXIT`
    [exit 2]
    ");
    insta::assert_snapshot!(env.run(&["network", "set", "stable-clients=10.0.0.0/8,203.0.113.0/24"]), @"
    --- stderr ---
    ~ changed the network
        stable-clients  yes → 10.0.0.0/8, 203.0.113.0/24
      note: these LANs lie outside and are named in each file: 192.168.10.0/24, 192.168.20.0/24
      needs a new file: bob, carol, nas
    ");
}

#[test]
fn a_network_moves_with_everything_that_is_written_of_its_addresses() {
    let env = office();
    env.ok(&["network", "set", "dns=10.66.0.1,corp.example"]);
    env.ok(&["grant", "carol", "10.66.0.0/28", "icmp"]);
    env.ok(&["grant", "carol", "10.66.0.128/25", "udp"]);
    env.ok(&["grant", "carol", "192.168.10.0/24", "tcp"]);
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["network", "set", "cidr=10.77.0.0/25"]), @"
    --- stderr ---
    ~ changed the network
                cidr     10.66.0.0/24 → 10.77.0.0/25
                dns      10.66.0.1, corp.example → 10.77.0.1, corp.example
        hub     address  10.66.0.1, fd00:66::1 → 10.77.0.1, fd00:66::1
        branch  address  10.66.0.20, fd00:66::14 → 10.77.0.20, fd00:66::14
        bob     address  10.66.0.30, fd00:66::1e → 10.77.0.30, fd00:66::1e
        carol   address  10.66.0.31, fd00:66::1f → 10.77.0.31, fd00:66::1f
        carol   grant    - 10.66.0.0/28 icmp
        carol   grant    - 10.66.0.128/25 udp
        carol   grant    + 10.77.0.0/28 icmp
        nas     address  10.66.0.32, fd00:66::20 → 10.77.0.32, fd00:66::20
      note: what was granted there has no place in the new prefix and goes: carol → 10.66.0.128/25 udp
      to deploy: branch
      needs a new file: hub, bob, carol, nas
      next: `wg-friend plan`
    ");
    insta::assert_snapshot!(env.run(&["network", "set", "cidr=10.77.0.0/22"]), @"
    --- stderr ---
    ~ changed the network
        cidr  10.77.0.0/25 → 10.77.0.0/22
      to deploy: branch
      needs a new file: hub, bob, nas
      next: `wg-friend plan`
    ");
    insta::assert_snapshot!(env.run(&["network", "set", "cidr=192.168.10.0/24"]), @"
    --- stderr ---
    error: the LAN 192.168.10.0/24 of `branch` overlaps the network's own 192.168.10.0/24: renumber the LAN or the network
    [exit 1]
    ");
    insta::assert_snapshot!(env.run(&["network", "set", "cidr=none"]), @"
    --- stderr ---
    error: `branch` advertises 192.168.10.0/24, but the network has no prefix of that family: give it one or withdraw the LAN
    [exit 1]
    ");
    env.ok(&["host", "set", "branch", "address=root@10.77.0.20"]);
    insta::assert_snapshot!(env.run(&["network", "set", "cidr=10.88.0.0/24"]), @"
    --- stderr ---
    error: the host `branch` is reached by 10.77.0.20, the address of `branch` in the network: moving it would cut the way by which that is done
     hint: reach it past the tunnel meanwhile: `wg-friend host set branch address=USER@ADDRESS`
    [exit 1]
    ");
    insta::assert_snapshot!(env.run(&["set", "branch", "address=10.77.0.99"]), @"
    --- stderr ---
    error: the host `branch` is reached by 10.77.0.20, the address of `branch` in the network: moving it would cut the way by which that is done
     hint: reach it past the tunnel meanwhile: `wg-friend host set branch address=USER@ADDRESS`
    [exit 1]
    ");
}
