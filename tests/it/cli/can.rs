//! `can`: who reaches whom, as a person or a script asks it.

use crate::env::TestEnv;
use insta::assert_snapshot;

/// A server, two routers with LANs, an exit, and remotes with different rights.
fn network() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.ok(&["add", "router", "depot", "--lan", "192.168.20.0/24", "--nat"]);
    env.ok(&["set", "alice-phone", "access=vpn-only"]);
    env.ok(&["set", "alice-laptop", "exit=exit-de"]);
    env.ok(&["add", "remote", "bob", "--access", "custom", "--grant", "192.168.20.7 tcp 22"]);
    env
}

#[test]
fn a_yes_shows_the_way_there_and_back_and_ends_with_zero() {
    let env = network();
    assert_snapshot!(env.run(&["can", "alice-laptop", "192.168.20.7:445"]), @"
    yes  alice-laptop (10.66.0.31) → 192.168.20.7 in LAN 192.168.20.0/24 of depot, tcp 445
      there    alice-laptop · wg0 → hub  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.31/32
               hub · wg0 → depot  AllowedIPs 192.168.20.0/24, accepted by 10.66.0.0/24
               depot · eth0 ↔ LAN 192.168.20.0/24, as the node's own address (NAT)
      back     depot · eth0 ↔ LAN 192.168.20.0/24
               depot · wg0 → hub  AllowedIPs 10.66.0.0/24, accepted by 192.168.20.0/24
               hub · wg0 → alice-laptop  AllowedIPs 10.66.0.31/32, accepted by 0.0.0.0/0
      because  hub's firewall: access full of alice-laptop includes LAN 192.168.20.0/24 of depot
    ");
    assert_snapshot!(env.run(&["can", "alice-laptop", "internet"]), @"
    yes  alice-laptop (10.66.0.31) → 192.0.2.1, icmp
      there    alice-laptop · wg0 → hub  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.31/32
               hub · wgx1 → exit-de  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.0/24
               exit-de · eth0 ↔ internet, as the node's own address (NAT)
      back     exit-de · eth0 ↔ internet
               exit-de · wg0 → hub  AllowedIPs 10.66.0.0/24, accepted by 0.0.0.0/0
               hub · wg0 → alice-laptop  AllowedIPs 10.66.0.31/32, accepted by 0.0.0.0/0
      because  hub's firewall: the internet traffic of alice-laptop leaves by exit-de (wgx1)

    yes  alice-laptop (fd00:66::1f) → 2001:db8::1, icmp
      there    alice-laptop · wg0 → hub  AllowedIPs ::/0, accepted by fd00:66::1f/128
               hub · wgx1 → exit-de  AllowedIPs ::/0, accepted by fd00:66::/64
               exit-de · eth0 ↔ internet, as the node's own address (NAT)
      back     exit-de · eth0 ↔ internet
               exit-de · wg0 → hub  AllowedIPs fd00:66::/64, accepted by ::/0
               hub · wg0 → alice-laptop  AllowedIPs fd00:66::1f/128, accepted by ::/0
      because  hub's firewall: the internet traffic of alice-laptop leaves by exit-de (wgx1)
    ");
    assert_snapshot!(env.run(&["can", "192.168.10.5", "hub"]), @"
    yes  192.168.10.5 in LAN 192.168.10.0/24 of branch → hub (10.66.0.1), icmp
      there    branch · eth0 ↔ LAN 192.168.10.0/24
               branch · wg0 → hub  AllowedIPs 10.66.0.0/24, accepted by 192.168.10.0/24
      back     hub · wg0 → branch  AllowedIPs 192.168.10.0/24, accepted by 10.66.0.0/24
               branch · eth0 ↔ LAN 192.168.10.0/24
      because  hub's firewall: access full of branch (LAN 192.168.10.0/24) includes the network 10.66.0.0/24
      if       branch is the default gateway of LAN 192.168.10.0/24, or the LAN's own router has a route for 10.66.0.0/24 by way of branch's address there (or `wg-friend set branch nat=yes`, for what the tunnel asks)
    ");
}

#[test]
fn a_no_names_the_rule_and_the_remedy_and_ends_with_three() {
    let env = network();
    assert_snapshot!(env.run(&["can", "alice-phone", "192.168.10.5:445"]), @"
    no  alice-phone (10.66.0.30) → 192.168.10.5 in LAN 192.168.10.0/24 of branch, tcp 445
      there    alice-phone → its own connection, past the network
      because  hub's firewall: access vpn-only of alice-phone doesn't include LAN 192.168.10.0/24 of branch; alice-phone's own file doesn't ask for it either
      do       `wg-friend set alice-phone access=lan-only allow-lan=192.168.10.0/24`
      or       `wg-friend set alice-phone access=full`
    [exit 3]
    ");
    assert_snapshot!(env.run(&["can", "bob", "192.168.20.7:80"]), @"
    no  bob (10.66.0.32) → 192.168.20.7 in LAN 192.168.20.0/24 of depot, tcp 80
      there    bob · wg0 → hub  AllowedIPs 192.168.20.7/32, accepted by 10.66.0.32/32
      because  hub's firewall: the grants of bob don't include tcp 80 to 192.168.20.7 behind depot
      do       `wg-friend set bob grant+='192.168.20.7 tcp 80'`
      or       `wg-friend set bob access=full`
    [exit 3]
    ");
    assert_snapshot!(env.run(&["can", "bob", "internet", "--edited"]), @"
    no  bob (10.66.0.32) → 192.0.2.1, icmp
      there    bob · wg0 → hub  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.32/32
      because  hub's firewall: bob has no way to the internet there, and 192.0.2.1 is not in the network
      do       `wg-friend set bob exit=exit-de`

    no  bob (fd00:66::20) → 2001:db8::1, icmp
      there    bob · wg0 → hub  AllowedIPs ::/0, accepted by fd00:66::20/128
      because  hub's firewall: bob has no way to the internet there, and 2001:db8::1 is not in the network
      do       `wg-friend set bob exit=exit-de`
    [exit 3]
    ");
}

#[test]
fn the_remedy_helps() {
    let env = network();
    env.ok(&["set", "alice-phone", "access=lan-only", "allow-lan=192.168.10.0/24"]);
    env.ok(&["can", "alice-phone", "192.168.10.5:445"]);
    env.ok(&["set", "bob", "grant+=192.168.20.7 tcp 80"]);
    env.ok(&["can", "bob", "192.168.20.7:80"]);
    env.ok(&["disable", "depot"]);
    assert_snapshot!(env.run(&["can", "alice-laptop", "192.168.20.7"]), @"
    no  alice-laptop (10.66.0.31) → 192.168.20.7, icmp
      there    alice-laptop · wg0 → hub  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.31/32
               hub · wgx1 → exit-de  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.0/24
      because  exit-de's firewall: an exit carries packets to the internet only, not to 192.168.20.7; depot is disabled
      do       `wg-friend enable depot`
    [exit 3]
    ");
}

#[test]
fn a_matrix_shows_everybody() {
    assert_snapshot!(network().run(&["can", "--matrix"]), @"
                                   1  2  3  4  5  6  7  8  9 10
     1  hub                        =  ●  ●  ●  ●  ●  -  ●  ●  ○
     2  branch                     ●  =  ●  ●  ●  ●  -  =  ●  ○
     3  exit-de                    -  -  =  -  -  -  -  -  -  ○
     4  alice-phone                ●  ●  ●  =  ●  ●  -  -  -  ○
     5  alice-laptop               ●  ●  ●  ●  =  ●  -  ●  ●  ●
     6  depot                      ●  ●  ●  ●  ●  =  -  ●  =  ○
     7  bob                        -  -  -  -  -  -  =  -  ◐  ○
     8  192.168.10.0/24 (branch)   ●  =  ●  -  ●  ●  -  =  ●  ○
     9  192.168.20.0/24 (depot)    ●  ●  ●  -  ●  =  -  ●  =  ○
    10  internet

    ● reaches · ◐ by some protocols or in one family · ○ by its own connection · - not · = the same place
    ");
}

#[test]
fn the_longest_prefix_names_who_gets_an_address() {
    let env = network();
    assert_snapshot!(env.run(&["can", "--who", "192.168.20.7"]), @"
    192.168.20.7 is in LAN 192.168.20.0/24 of depot

    SENT BY       INTERFACE  TO                  BECAUSE OF
    hub           wg0        depot               192.168.20.0/24
    branch        wg0        hub                 192.168.20.0/24
    exit-de       wg0        hub                 192.168.20.0/24
    alice-phone              its own connection
    alice-laptop  wg0        hub                 0.0.0.0/0
    depot                    its own LAN
    bob           wg0        hub                 192.168.20.7/32
    ");
    assert_snapshot!(env.run(&["can", "--who", "10.66.0.200"]), @"
    10.66.0.200 is in the network 10.66.0.0/24, and nobody has it

    SENT BY       INTERFACE  TO                  BECAUSE OF
    hub           wg0        nobody
    branch        wg0        hub                 10.66.0.0/24
    exit-de       wg0        hub                 10.66.0.0/24
    alice-phone   wg0        hub                 10.66.0.0/24
    alice-laptop  wg0        hub                 0.0.0.0/0
    depot         wg0        hub                 10.66.0.0/24
    bob                      its own connection
    ");
}

#[test]
fn questions_that_make_no_sense_say_why() {
    let env = network();
    assert_snapshot!(env.refused(&["can", "alice-fone", "hub"]), @"
    --- stderr ---
    error: there is no node named `alice-fone`
     hint: did you mean `alice-phone`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["can", "alice-phone", "hub", "--protocol", "tcp"]), @"
    --- stderr ---
    error: `hub`: tcp needs a port
     hint: for example: wg-friend can alice-phone hub:443 --protocol tcp
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["can", "alice-phone", "hub:22", "--protocol", "icmp"]), @"
    --- stderr ---
    error: `hub:22`: a ping has no port
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["can", "branch", "hub", "--from-address", "192.168.20.5"]), @"
    --- stderr ---
    error: --from-address: 192.168.20.5 is no address of branch or of a host behind it: its LANs are 192.168.10.0/24
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["can", "alice-phone", "internet", "--live"]), @"
    --- stderr ---
    error: `internet`: an attempt needs an address of it
     hint: for example: wg-friend can alice-phone 198.51.100.7:443 --live
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["can", "172.16.0.1", "hub"]), @"
    --- stderr ---
    error: `172.16.0.1`: no node has this address, and no LAN holds it
     hint: `wg-friend topology` shows the nodes with their LANs
    [exit 2]
    ");
}

#[test]
fn a_script_reads_the_same() {
    let env = network();
    let report = env.json(&["can", "alice-laptop", "192.168.20.7:445"]);
    assert_eq!((&report["reaches"], &report["protocol"], &report["port"]), (&true.into(), &"tcp".into(), &445.into()));
    let out = &report["answers"][0]["out"];
    assert_eq!(
        (&out[0]["peer"], &out[1]["peer"], &out[2]["lan"]),
        (&"hub".into(), &"depot".into(), &"192.168.20.0/24".into())
    );
    assert_eq!(report["answers"][0]["decided_by"]["code"], "open");
    let matrix = env.json(&["can", "--matrix"]);
    let places = matrix["places"].as_array().unwrap().len();
    assert!(matrix["cells"].as_array().unwrap().iter().all(|row| row.as_array().unwrap().len() == places));
}
