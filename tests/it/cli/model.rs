//! Making a network and changing it.

use crate::env::{TestEnv, filters};
use insta::assert_snapshot;

#[test]
fn init_makes_a_network_and_shows_the_recovery_key_once() {
    let _filters = filters();
    let env = TestEnv::new();
    let arguments =
        ["init", "--name", "office", "--cidr6", "fd00:66::/64", "--server", "hub", "--endpoint", "vpn.example.com"];
    assert_snapshot!(env.run(&arguments), @"
    Recovery key, shown this once. Write it down and keep it away from this machine;
    it unlocks when the passphrase is lost:

      [RECOVERY KEY]
    --- stderr ---
    + made network office  10.66.0.0/24  fd00:66::/64
    + added server hub  10.66.0.1  fd00:66::1
      database: [DIR]/data/wg-friend/default.db

    next: `wg-friend add remote NAME` for a device, `wg-friend set hub host=HOST` to deploy over SSH
    ");
    assert_snapshot!(env.run(&["network", "show"]), @"
    name            office
    cidr            10.66.0.0/24
    cidr6           fd00:66::/64
    interface       wg0
    port            51820
    dns             none
    mtu             1420
    keepalive       25
    psk             unique
    stable-clients  no
    exit            none
    kill-switch     no
    ");
    assert_snapshot!(env.run(&arguments), @"
    --- stderr ---
    error: [DIR]/data/wg-friend/default.db exists already
     hint: choose another place with --db PATH, or move that file away; `wg-friend network add NAME` adds a network to it
    [exit 1]
    ");
}

#[test]
fn init_chooses_a_private_ipv6_prefix_or_none() {
    let env = TestEnv::new();
    let made = env.json(&["init", "--name", "a"]);
    let prefix = made["network"]["cidr6"].as_str().unwrap();
    assert!(prefix.starts_with("fd") && prefix.ends_with("::/64"), "{prefix}");
    assert_eq!(made["network"]["cidr4"], "10.66.0.0/24");

    let env = TestEnv::new();
    let made = env.json(&["init", "--name", "a", "--no-ipv6"]);
    assert_eq!(made["network"]["cidr6"], serde_json::Value::Null);
}

#[test]
fn a_server_that_cannot_be_added_leaves_no_database() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["init", "--name", "office", "--server", "all"]), @"
    --- stderr ---
    error: `all` can't be a name: commands use this word for something else
     hint: choose another name
    [exit 1]
    ");
    assert!(!env.database().exists());
}

#[test]
fn nodes_of_every_role_are_added_listed_and_drawn() {
    let _filters = filters();
    let env = TestEnv::with_network();
    assert_snapshot!(env.run(&["add", "router", "branch", "--lan", "192.168.10.0/24=branch LAN", "--ssh", "me@192.0.2.4:2222"]), @"
    --- stderr ---
    + added router branch  10.66.0.20  fd00:66::14
      to deploy: branch
      needs a new file: hub
      next: `wg-friend plan`
    ");
    assert_snapshot!(env.run(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]), @"
    --- stderr ---
    + added exit exit-de  10.66.0.100  fd00:66::64
      needs a new file: hub, exit-de
      next: `wg-friend set exit-de host=HOST` to deploy over SSH, or `wg-friend generate exit-de` for its file
    ");
    assert_snapshot!(env.run(&["add", "remote", "alice-phone", "--device", "mobile", "--exit", "exit-de"]), @"
    --- stderr ---
    + added remote alice-phone  10.66.0.30  fd00:66::1e
      needs a new file: hub, alice-phone
      next: `wg-friend qr alice-phone`
    ");
    assert_snapshot!(env.run(&["add", "remote", "tv", "--exit", "exit-de", "--access", "exit-only", "--disabled"]), @"
    --- stderr ---
    + added remote tv  10.66.0.31  fd00:66::1f  (disabled)
    ");
    assert_snapshot!(env.run(&["add", "remote", "nas", "--public-key", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "--access", "lan-only", "--allow-lan", "192.168.10.0/24"]), @"
    --- stderr ---
    + added remote nas  10.66.0.32  fd00:66::20
      needs a new file: hub, nas
      next: `wg-friend generate nas`
    ");
    assert_snapshot!(env.run(&["list"]), @"
    NAME         ROLE    STATE     ADDRESS                  ENDPOINT               HOST    ACCESS     EXIT     LANS
    hub          server  enabled   10.66.0.1 fd00:66::1     vpn.example.com:51820
    branch       router  enabled   10.66.0.20 fd00:66::14                          branch                      192.168.10.0/24 (branch LAN)
    exit-de      exit    enabled   10.66.0.100 fd00:66::64  203.0.113.9:51820
    alice-phone  remote  enabled   10.66.0.30 fd00:66::1e                                  full       exit-de
    nas          remote  enabled   10.66.0.32 fd00:66::20                                  lan-only
    tv           remote  disabled  10.66.0.31 fd00:66::1f                                  exit-only  exit-de
    1 server · 1 router · 1 exit · 3 remotes
    ");
    assert_snapshot!(env.run(&["list", "--role", "exit"]), @"
    NAME     ROLE  STATE    ADDRESS                  ENDPOINT
    exit-de  exit  enabled  10.66.0.100 fd00:66::64  203.0.113.9:51820
    ");
    assert_snapshot!(env.run(&["topology"]), @"
    office  10.66.0.0/24 · fd00:66::/64 · wg0
    └─ ● hub  server · 10.66.0.1, fd00:66::1 · at vpn.example.com:51820
       ├─ ● branch  router · 10.66.0.20, fd00:66::14 · host branch · LAN 192.168.10.0/24 (branch LAN)
       ├─ ● exit-de  exit · 10.66.0.100, fd00:66::64 · at 203.0.113.9:51820
       │  └─ ○ tv  remote · 10.66.0.31, fd00:66::1f · exit-only · disabled
       ├─ ● alice-phone  remote · 10.66.0.30, fd00:66::1e · full · internet by exit-de
       └─ ● nas  remote · 10.66.0.32, fd00:66::20 · lan-only
    ");
    assert_snapshot!(env.run(&["show", "hub"]), @"
    name         hub
    role         server
    state        enabled
    guid         [KEY]
    address      10.66.0.1
                 fd00:66::1
    endpoint     vpn.example.com:51820
    private key  held, sealed in the database
    file         never handed out
    added        [TIME] (manual)

    INTERFACE  FOR                PORT   PUBLIC KEY
    wg0        main               51820  [KEY]
    wgx1       uplink to exit-de  51821  [KEY]

    MAY REACH
    10.66.0.0/24     network office
    fd00:66::/64     network office
    192.168.10.0/24  branch LAN, behind branch

    PEER         BY    PRESHARED KEY
    alice-phone  wg0   yes
    branch       wg0   yes
    nas          wg0   yes
    exit-de      wgx1  yes

    KEY       OF    STATE   SINCE
    [SHORT]  wgx1  active  [DAY]
    [SHORT]  wg0   active  [DAY]
    ");
    assert_snapshot!(env.run(&["show", "nas"]), @"
    name         nas
    role         remote
    state        enabled
    guid         [KEY]
    address      10.66.0.32
                 fd00:66::20
    access       lan-only
    server       hub
    private key  never seen: the device keeps it
    file         never handed out
    added        [TIME] (manual)

    INTERFACE  FOR   PUBLIC KEY
    wg0        main  [KEY]

    MAY REACH
    10.66.0.0/24     network office
    fd00:66::/64     network office
    192.168.10.0/24  branch LAN, behind branch

    PEER  BY   PRESHARED KEY
    hub   wg0  yes

    KEY       OF   STATE   SINCE
    [SHORT]  wg0  active  [DAY]
    ");
}

#[test]
fn a_node_is_found_by_name_in_any_case_and_by_the_beginning_of_its_guid() {
    let env = TestEnv::with_nodes();
    let guid = env.json(&["show", "ALICE-phone"])["guid"].as_str().unwrap().to_owned();
    assert_eq!(env.json(&["show", &guid[..6]])["name"], "alice-phone");
    assert!(env.refused(&["show", &guid[..3]]).contains("there is no node named"));
}

#[test]
fn a_preview_shows_the_files_and_writes_nothing() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    let before = env.model();
    let text = env.run(&["add", "remote", "bob", "--access", "vpn-only", "--dry-run"]);
    let (own, others) = text.split_once("\nchanged: ").expect("a file that changes");
    assert_snapshot!(own, @"
    new: wg0.conf of bob
      # Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.
      # bob, public key (new key)
      [Interface]
      PrivateKey = (hidden)
      Address = 10.66.0.32/32, fd00:66::20/128
      MTU = 1420
      
      # hub
      [Peer]
      PublicKey = [KEY]
      PresharedKey = (hidden)
      AllowedIPs = 10.66.0.0/24, fd00:66::/64
      Endpoint = vpn.example.com:51820
      PersistentKeepalive = 25
    ");
    for line in [
        "wg0.conf of hub\n",
        "\n  +# bob\n",
        "\n  +PublicKey = (new key)\n",
        "\n  +AllowedIPs = 10.66.0.32/32, fd00:66::20/128\n",
    ] {
        assert!(others.contains(line), "{line}: {others}");
    }
    let (_, said) = others.split_once("--- stderr ---\n").expect("a summary");
    assert_snapshot!(said, @"
    + added remote bob  10.66.0.32  fd00:66::20
      needs a new file: hub, bob
    dry run: nothing was changed
    ");
    for arguments in [
        &["set", "alice-phone", "access=vpn-only", "--dry-run"][..],
        &["rename", "alice-phone", "x", "--dry-run"],
        &["disable", "alice-phone", "--dry-run"],
        &["remove", "branch", "--dry-run"],
        &["rotate", "hub", "--reason", "x", "--dry-run"],
        &["network", "set", "dns=10.66.0.1", "--dry-run"],
        &["host", "add", "x", "local", "--dry-run"],
        &["host", "set", "branch", "port=23", "--dry-run"],
    ] {
        env.ok(arguments);
    }
    assert_eq!(env.model(), before);
    // What goes stands there as it is now, its preshared key included.
    let removed = env.run(&["remove", "alice-phone", "--dry-run"]);
    let (_, server) = removed.split_once("changed: wg0.conf of hub\n").expect("the server's file changes");
    for line in
        ["  -# alice-phone\n", "  -PublicKey = ", "  -PresharedKey = (hidden)\n", "  -AllowedIPs = 10.66.0.30/32"]
    {
        assert!(server.contains(line), "{line}: {server}");
    }
}

#[test]
fn anything_can_be_set_and_the_difference_is_shown() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.run(&["set", "alice-phone", "access=lan-only", "allow-lan=192.168.10.0/24", "exit=exit-de", "notes=new phone", "device=mobile"]), @"
    --- stderr ---
    ~ changed remote alice-phone  10.66.0.30  fd00:66::1e
        access     full → lan-only
        allow-lan  + 192.168.10.0/24
        exit       network → exit-de
        device     none → mobile
        notes      none → new phone
      needs a new file: hub, alice-phone
    ");
    assert_snapshot!(env.run(&["set", "alice-phone", "address=10.66.0.77", "dns=10.66.0.1,corp.example", "mtu=1380", "keepalive=0"]), @"
    --- stderr ---
    ~ changed remote alice-phone  10.66.0.77  fd00:66::4d
        address    10.66.0.30, fd00:66::1e → 10.66.0.77, fd00:66::4d
        dns        network → 10.66.0.1, corp.example
        mtu        network → 1380
        keepalive  network → 0
      needs a new file: hub, alice-phone
    ");
    assert_snapshot!(env.run(&["set", "hub", "port=4500", "lan-interface=enp1s0"]), @"
    --- stderr ---
    ~ changed server hub  10.66.0.1  fd00:66::1
        endpoint         vpn.example.com:51820 → vpn.example.com:4500
        port             51820 → 4500
        outer-interface  default → enp1s0
      to deploy: branch
      needs a new file: hub, alice-phone, alice-laptop
      next: `wg-friend plan`
    ");
    env.ok(&["set", "alice-phone", "access=full", "allow-lan=none"]);
    assert_snapshot!(env.run(&["set", "branch", "lan+=10.20.0.0/16=labs", "lan-=192.168.10.0/24", "nat=yes", "host=none"]), @"
    --- stderr ---
    ~ changed router branch  10.66.0.20  fd00:66::14
        lan   - 192.168.10.0/24=branch LAN
        lan   + 10.20.0.0/16=labs
        nat   no → yes
        host  branch → none
      note: what runs of `branch` on the host `branch` stays there until it is taken down
      needs a new file: hub, branch, exit-de, alice-laptop
    ");
    assert_snapshot!(env.run(&["set", "alice-laptop", "access=custom", "grant=10.20.0.5 tcp 22,443", "grant=10.20.0.6"]), @"
    --- stderr ---
    ~ changed remote alice-laptop  10.66.0.31  fd00:66::1f
        access  full → custom
        grant   + 10.20.0.5/32 tcp 22,443
        grant   + 10.20.0.6/32 any
      needs a new file: hub, alice-laptop
    ");
    assert_snapshot!(env.run(&["network", "set", "name=hq", "dns=10.66.0.1", "keepalive=20"]), @"
    --- stderr ---
    ~ changed the network
        name       office → hq
        dns        none → 10.66.0.1
        keepalive  25 → 20
      needs a new file: hub, branch, alice-laptop
    ");
}

#[test]
fn a_network_moves_to_another_prefix_with_all_its_nodes() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.run(&["set", "network", "cidr=10.77.0.0/24", "port=51900", "interface=wg7"]), @"
    --- stderr ---
    ~ changed the network
                      cidr       10.66.0.0/24 → 10.77.0.0/24
                      interface  wg0 → wg7
                      port       51820 → 51900
        hub           address    10.66.0.1, fd00:66::1 → 10.77.0.1, fd00:66::1
        hub           endpoint   vpn.example.com:51820 → vpn.example.com:51900
        hub           port       51820 → 51900
        hub           interface  wg0 → wg7
        branch        address    10.66.0.20, fd00:66::14 → 10.77.0.20, fd00:66::14
        branch        interface  wg0 → wg7
        exit-de       address    10.66.0.100, fd00:66::64 → 10.77.0.100, fd00:66::64
        exit-de       endpoint   203.0.113.9:51820 → 203.0.113.9:51900
        exit-de       port       51820 → 51900
        exit-de       interface  wg0 → wg7
        alice-phone   address    10.66.0.30, fd00:66::1e → 10.77.0.30, fd00:66::1e
        alice-phone   interface  wg0 → wg7
        alice-laptop  address    10.66.0.31, fd00:66::1f → 10.77.0.31, fd00:66::1f
        alice-laptop  interface  wg0 → wg7
      to deploy: branch
      needs a new file: hub, exit-de, alice-phone, alice-laptop
      next: `wg-friend plan`
    ");
    env.ok(&["network", "set", "cidr6=none"]);
    assert_eq!(env.json(&["show", "alice-phone"])["address6"], serde_json::Value::Null);
    env.ok(&["network", "set", "cidr6=fd00:77::/64"]);
    assert_eq!(env.json(&["show", "alice-phone"])["address6"], "fd00:77::1e");
}

#[test]
fn renaming_needs_no_new_files_and_keeps_the_guid() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    let guid = env.json(&["show", "alice-phone"])["guid"].clone();
    assert_snapshot!(env.run(&["rename", "alice-phone", "Alice-Pixel"]), @"
    --- stderr ---
    ~ renamed remote Alice-Pixel  10.66.0.30  fd00:66::1e
        name  alice-phone → Alice-Pixel
    ");
    assert_eq!(env.json(&["show", "alice-pixel"])["guid"], guid);
}

#[test]
fn a_disabled_node_leaves_every_config_and_comes_back_with_its_preshared_key() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.run(&["disable", "alice-phone", "alice-laptop"]), @"
    --- stderr ---
    - disabled remote alice-phone  10.66.0.30  fd00:66::1e  (disabled)
    - disabled remote alice-laptop  10.66.0.31  fd00:66::1f  (disabled)
      needs a new file: hub
    ");
    assert_snapshot!(env.run(&["disable", "alice-phone"]), @"
    --- stderr ---
    error: already disabled: alice-phone; nothing was changed
    [exit 1]
    ");
    assert_eq!(env.json(&["show", "alice-phone"])["links"], serde_json::json!([]));
    assert_snapshot!(env.run(&["enable", "alice-phone"]), @"
    --- stderr ---
    + enabled remote alice-phone  10.66.0.30  fd00:66::1e
      needs a new file: hub, alice-phone
    ");
    assert_eq!(env.json(&["show", "alice-phone"])["links"][0]["preshared_key"], true);
    assert_snapshot!(env.run(&["disable", "hub"]), @"
    --- stderr ---
    - disabled server hub  10.66.0.1  fd00:66::1  (disabled)
      note: without `hub` the network has no server: no config can be made
    ");
}

#[test]
fn removing_shows_the_consequences_and_takes_back_what_others_were_permitted() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    env.ok(&["set", "alice-phone", "exit=exit-de", "access=lan-only", "allow-lan=192.168.10.0/24"]);
    assert_snapshot!(env.refused(&["remove", "exit-de", "branch"]), @"
    --- stderr ---
    - router branch  10.66.0.20  fd00:66::14
    - exit exit-de  10.66.0.100  fd00:66::64
        alice-phone  allow-lan  - 192.168.10.0/24
        alice-phone  exit       exit-de → network
      note: the internet of `alice-phone` no longer leaves by `exit-de`
      note: nobody reaches 192.168.10.0/24 any more
      needs a new file: hub, alice-phone, alice-laptop
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    assert_snapshot!(env.run(&["remove", "exit-de", "branch", "--yes"]), @"
    --- stderr ---
    - removed router branch  10.66.0.20  fd00:66::14
    - removed exit exit-de  10.66.0.100  fd00:66::64
        alice-phone  allow-lan  - 192.168.10.0/24
        alice-phone  exit       exit-de → network
      note: the internet of `alice-phone` no longer leaves by `exit-de`
      note: nobody reaches 192.168.10.0/24 any more
      needs a new file: hub, alice-phone, alice-laptop
    ");
    let left = env.json(&["show", "alice-phone"]);
    assert_eq!((&left["exit"], &left["allowed_lans"]), (&serde_json::Value::Null, &serde_json::json!([])));
    let interfaces = env.json(&["show", "hub"])["interfaces"].as_array().unwrap().len();
    assert_eq!(interfaces, 1, "the uplink went with its exit");
}

#[test]
fn a_removed_address_rests_unless_it_is_asked_for() {
    let env = TestEnv::with_nodes();
    let address = env.json(&["show", "alice-phone"])["address4"].as_str().unwrap().to_owned();
    env.ok(&["remove", "alice-phone", "--yes"]);
    env.ok(&["add", "remote", "bob"]);
    assert_ne!(env.json(&["show", "bob"])["address4"], address.as_str());
    env.ok(&["add", "remote", "carol", "--address", &address]);
    assert_eq!(env.json(&["show", "carol"])["address4"], address.as_str());
    assert_eq!(env.json(&["show", "carol"])["address6"], "fd00:66::1e");
}

#[test]
fn three_rotations_leave_the_guid_and_three_retired_keys_with_their_reasons() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    let guid = env.json(&["show", "alice-phone"])["guid"].clone();
    assert_snapshot!(env.run(&["rotate", "alice-phone", "--reason", "phone lost"]), @"
    --- stderr ---
    ~ rotated remote alice-phone  10.66.0.30  fd00:66::1e
        key  [KEY] → [KEY]
      note: `alice-phone` and `hub` don't reach each other until both have their new files
      needs a new file: hub, alice-phone
      next: `wg-friend qr alice-phone`
    ");
    env.ok(&["rotate", "alice-phone", "--reason", "yearly"]);
    env.ok(&["rotate", "alice-phone", "--reason", "found again"]);
    let shown = env.json(&["show", "alice-phone"]);
    assert_eq!(shown["guid"], guid);
    let retired: Vec<&str> =
        shown["keys"].as_array().unwrap().iter().filter_map(|key| key["reason"].as_str()).collect();
    assert_eq!(retired, ["found again", "yearly", "phone lost"]);
    assert!(shown["keys"].as_array().unwrap().iter().all(|key| key["created"].is_string()));
}

#[test]
fn rotating_a_server_rotates_its_uplinks_too() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.run(&["rotate", "hub", "--reason", "yearly"]), @"
    --- stderr ---
    ~ rotated server hub  10.66.0.1  fd00:66::1
        key  [KEY] → [KEY]
      note: `hub` and `alice-laptop`, `alice-phone`, `exit-de` don't reach each other until both have their new files
      to deploy: branch
      needs a new file: hub, exit-de, alice-phone, alice-laptop
      next: `wg-friend plan`
    ");
    let keys = env.json(&["show", "hub"])["keys"].as_array().unwrap().len();
    assert_eq!(keys, 4);
}

#[test]
fn a_device_that_keeps_its_key_has_to_bring_the_new_one() {
    let env = TestEnv::with_nodes();
    let (first, second) =
        ("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=");
    env.ok(&["add", "remote", "nas", "--public-key", first]);
    assert_snapshot!(env.refused(&["rotate", "nas", "--reason", "x"]), @"
    --- stderr ---
    error: the device of `nas` keeps its private key, so only it can make a new one
     hint: make it there with `wg genkey` and `wg pubkey`, and give its public key with --public-key KEY
    [exit 1]
    ");
    env.ok(&["rotate", "nas", "--reason", "reinstalled", "--public-key", second]);
    let shown = env.json(&["show", "nas"]);
    assert_eq!((&shown["custody"], &shown["public_key"]), (&"never_seen".into(), &second.into()));
    assert!(env.refused(&["rotate", "nas", "--reason", "x", "--public-key", first]).contains("is or was in use"));
}

#[test]
fn a_key_that_is_shown_once_is_on_stdout_and_nowhere_else() {
    let env = TestEnv::with_nodes();
    let output = env.ok(&["add", "remote", "guest", "--custody", "shown-once", "--quiet"]);
    assert!(output.stderr.is_empty());
    let file = String::from_utf8(output.stdout).unwrap();
    let private = file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("the file has its key");
    assert_eq!(private.len(), 44);
    for entry in std::fs::read_dir(env.database().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(44).any(|window| window == private.as_bytes()));
    }
    let shown = env.json(&["show", "guest"]);
    assert_eq!(shown["custody"], "shown_once");
    let said = String::from_utf8(env.ok(&["add", "remote", "other", "--custody", "shown-once"]).stderr).unwrap();
    assert!(said.contains("needs a new file: hub\n"), "the file that is on the screen is new already: {said}");
    let again = String::from_utf8(env.ok(&["rotate", "guest", "--reason", "x", "--quiet"]).stdout).unwrap();
    assert!(again.contains("PrivateKey = ") && !again.contains(private));
}

#[test]
fn a_server_that_comes_last_gets_its_uplinks() {
    let env = TestEnv::new();
    env.ok(&["init", "--name", "late"]);
    env.ok(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]);
    env.ok(&["add", "remote", "alice"]);
    env.ok(&["add", "server", "hub", "--endpoint", "vpn.example.com"]);
    env.ok(&["add", "exit", "exit-us", "--endpoint", "203.0.113.10"]);
    let hub = env.json(&["show", "hub"]);
    let interfaces: Vec<(&str, u64, &str)> = hub["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["name"].as_str().unwrap(), i["listen_port"].as_u64().unwrap(), i["purpose"].as_str().unwrap()))
        .collect();
    assert_eq!(
        interfaces,
        [("wg0", 51820, "main"), ("wgx1", 51821, "uplink to exit-de"), ("wgx2", 51822, "uplink to exit-us")]
    );
    let links = hub["links"].as_array().unwrap();
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|link| link["preshared_key"] == true), "{links:?}");
}

#[test]
fn without_a_preshared_key_policy_links_have_none() {
    let env = TestEnv::new();
    env.ok(&["init", "--name", "plain", "--psk", "none", "--server", "hub", "--endpoint", "vpn.example.com"]);
    env.ok(&["add", "remote", "alice"]);
    assert_eq!(env.json(&["show", "alice"])["links"][0]["preshared_key"], false);
}

#[test]
fn networks_of_one_family_work() {
    for (options, family, other) in
        [(&["--no-ipv6"][..], "address4", "address6"), (&["--cidr", "none"], "address6", "address4")]
    {
        let env = TestEnv::new();
        let base = ["init", "--name", "one", "--server", "hub", "--endpoint", "vpn.example.com"];
        env.ok(&[&base[..], options].concat());
        env.ok(&["add", "remote", "alice"]);
        let alice = env.json(&["show", "alice"]);
        assert!(alice[family].is_string() && alice[other].is_null(), "{alice}");
    }
}

#[test]
fn the_255th_node_of_a_24_is_refused_by_name() {
    let env = TestEnv::with_network();
    let names: Vec<String> = (1..=253).map(|n| format!("r{n}")).collect();
    let mut arguments = vec!["add", "remote"];
    arguments.extend(names.iter().map(String::as_str));
    env.ok(&arguments);
    assert_snapshot!(env.refused(&["add", "remote", "one-too-many"]), @"
    --- stderr ---
    error: the network `office` (10.66.0.0/24, fd00:66::/64) is full: all of its 254 addresses are in use
     hint: remove nodes, or start a network with a larger prefix
    [exit 1]
    ");
    env.ok(&["remove", "r1", "--yes"]);
    assert_snapshot!(env.refused(&["add", "remote", "one-too-many"]), @"
    --- stderr ---
    error: the network `office` (10.66.0.0/24, fd00:66::/64) is full: all of its 254 addresses are in use
     hint: 2 of them were given up less than 30 days ago and are kept back: ask for one with --address
    [exit 1]
    ");
    env.ok(&["add", "remote", "r254", "--address", "10.66.0.30"]);
}
