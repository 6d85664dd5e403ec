//! Wrong input: the thing is named, the remedy is given, and nothing has changed.

use std::os::unix::fs::PermissionsExt as _;

use crate::env::TestEnv;
use insta::assert_snapshot;

#[test]
fn wrong_values_are_usage_errors_that_name_the_option() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["add", "remote", "a/b"]), @"
    --- stderr ---
    error: invalid value 'a/b' for '<NAME>...': `a/b` can't be used as a name: `/` isn't allowed (letters, digits, `-`, `_`, `.`; the first a letter or digit)

    For more information, try '--help'.
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--public-key", "hunter2"]), @"
    --- stderr ---
    error: --public-key: not a WireGuard key: expected 44 characters of base64 that hold 32 bytes, as `wg genkey` and `wg pubkey` print them
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "router", "x", "--lan", "192.168.1.1/24"]), @"
    --- stderr ---
    error: --lan: `192.168.1.1/24` has host bits set: did you mean the network 192.168.1.0/24?
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "router", "x", "--lan", "192.168.1.0/33"]), @"
    --- stderr ---
    error: --lan: `192.168.1.0/33` is not a network: expected something like 192.168.10.0/24 or fd00:10::/64
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "exit", "x", "--endpoint", "300.1.1.1"]), @"
    --- stderr ---
    error: --endpoint: `300.1.1.1` is not an endpoint: expected host:port, such as vpn.example.com:51820, 203.0.113.7:51820 or [2001:db8::7]:51820
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "exit", "x", "--endpoint", "h", "--port", "70000"]), @"
    --- stderr ---
    error: --port: `70000` is not a port: expected 1 to 65535
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--access", "everything"]), @"
    --- stderr ---
    error: --access: `everything` is no access level: expected one of full, vpn-only, lan-only, custom, exit-only
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--grant", "10.66.0.1 tcp 99999"]), @"
    --- stderr ---
    error: --grant: `99999` is not a port: expected 1 to 65535
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "y", "--address", "10.66.0.9"]), @"
    --- stderr ---
    error: --address: is for one node; add these one by one
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["set", "hub", "endpiont=x"]), @"
    --- stderr ---
    error: `endpiont`: no such key
     hint: did you mean `endpoint`?
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["set", "hub", "endpoint"]), @"
    --- stderr ---
    error: `endpoint`: expected key=value
     hint: for example `endpoint=VALUE`; `--help` lists the keys and what they take
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["network", "set", "cidr=10.66.0.1/24"]), @"
    --- stderr ---
    error: cidr: `10.66.0.1/24` has host bits set: did you mean the network 10.66.0.0/24?
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["network", "set", "colour=blue"]), @"
    --- stderr ---
    error: `colour`: the network has no such key
     hint: the keys are name, cidr, cidr6, interface, port, dns, mtu, keepalive, psk, stable-clients, exit, kill-switch
    [exit 2]
    ");
}

#[test]
fn a_secret_with_a_typing_error_is_not_echoed() {
    let env = TestEnv::with_nodes();
    let text = env.refused(&["add", "remote", "x", "--public-key", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp="]);
    assert!(!text.contains("hSDw"), "{text}");
}

#[test]
fn what_contradicts_the_network_names_both_sides() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["add", "router", "barn", "--lan", "192.168.0.0/16"]), @"
    --- stderr ---
    error: the LAN 192.168.0.0/16 of `barn` overlaps the LAN 192.168.10.0/24 of `branch`: packets could go to one of them only, so renumber one or advertise a smaller part of it
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "router", "barn", "--lan", "10.66.0.0/25"]), @"
    --- stderr ---
    error: the LAN 10.66.0.0/25 of `barn` overlaps the network's own 10.66.0.0/24: renumber the LAN or the network
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--address", "10.66.0.30"]), @"
    --- stderr ---
    error: the address 10.66.0.30 is taken by the remote `alice-phone`
     hint: leave the address away to get a free one
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["set", "alice-laptop", "address=10.66.0.30"]), @"
    --- stderr ---
    error: the address 10.66.0.30 is taken by the remote `alice-phone`
     hint: leave the address away to get a free one
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--address", "10.99.0.1"]), @"
    --- stderr ---
    error: the address 10.99.0.1 is not in the network `office`
     hint: the network is 10.66.0.0/24 and fd00:66::/64
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "ALICE-phone"]), @"
    --- stderr ---
    error: the name `ALICE-phone` is taken by the remote `alice-phone`
     hint: choose another name
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "network"]), @"
    --- stderr ---
    error: `network` can't be a name: commands use this word for something else
     hint: choose another name
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["rename", "alice-phone", "hub"]), @"
    --- stderr ---
    error: the name `hub` is taken by the server `hub`
     hint: choose another name
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["set", "branch", "server=exit-de"]), @"
    --- stderr ---
    error: `exit-de` is an exit, not a server
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--exit", "branch"]), @"
    --- stderr ---
    error: `branch` is a router, not an exit, an exit group or the server
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--access", "exit-only"]), @"
    --- stderr ---
    error: `x` has access exit-only and no exit: assign one or give it another access level
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "remote", "x", "--access", "lan-only", "--allow-lan", "10.1.0.0/24"]), @"
    --- stderr ---
    error: `x` may reach the LAN 10.1.0.0/24, which no node advertises: select one that exists
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "router", "x", "--lan", "0.0.0.0/0"]), @"
    --- stderr ---
    error: --lan: `0.0.0.0/0` is the whole internet, not a LAN
     hint: to carry internet traffic add an exit: `wg-friend add exit NAME`
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["set", "alice-phone", "lan=10.1.0.0/24"]), @"
    --- stderr ---
    error: lan: is for routers and servers, and `alice-phone` is of role remote
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["set", "hub", "endpoint=none"]), @"
    --- stderr ---
    error: neither `hub` nor `branch` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
           neither `hub` nor `alice-phone` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
           neither `hub` nor `alice-laptop` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    [exit 1]
    ");
}

#[test]
fn a_key_belongs_to_one_node_for_ever() {
    let env = TestEnv::with_nodes();
    let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    env.ok(&["add", "remote", "nas", "--public-key", key]);
    assert_snapshot!(env.refused(&["add", "remote", "copy", "--public-key", key]), @"
    --- stderr ---
    error: the key hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= is or was the key of `nas`
     hint: make a new key on the device: two nodes with one key would cut each other off
    [exit 1]
    ");
}

#[test]
fn an_unknown_node_is_answered_with_the_nearest_names() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["show", "alice-fone"]), @"
    --- stderr ---
    error: there is no node named `alice-fone`
     hint: did you mean `alice-phone`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["remove", "zebra", "--yes"]), @"
    --- stderr ---
    error: there is no node named `zebra`
     hint: `wg-friend list` shows all nodes
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["set", "alice-phone", "exit=exit-dee"]), @"
    --- stderr ---
    error: there is no exit, exit group or server named `exit-dee`
     hint: did you mean `exit-de`?
    [exit 1]
    ");
    let text = env.refused(&["remove", "alice-phone", "alice-fone", "--yes"]);
    assert!(text.contains("did you mean"), "{text}");
}

#[test]
fn without_a_terminal_a_missing_answer_names_its_option() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["remove", "alice-phone"]), @"
    --- stderr ---
    - remote alice-phone  10.66.0.30  fd00:66::1e
      needs a new file: hub
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["vault", "passphrase"]), @"
    --- stderr ---
    error: a new passphrase is needed, and there is no terminal to ask on
     hint: give it with --new-passphrase-file FILE
    [exit 2]
    ");
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["init"]), @"
    --- stderr ---
    error: a name for the network is needed, and there is no terminal to ask on
     hint: give it with --name
    [exit 2]
    ");
    assert_snapshot!(env.transcript(env.command(&["init", "--name", "a"]).env_remove("WG_FRIEND_PASSPHRASE")), @"
    --- stderr ---
    error: a passphrase is needed, and there is no terminal to ask on
     hint: give it with --passphrase-file FILE, or in WG_FRIEND_PASSPHRASE
    [exit 2]
    ");
    assert!(!env.database().exists());
}

#[test]
fn no_database_is_an_error_that_says_how_to_make_one() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["list"]), @"
    --- stderr ---
    error: there is no database at [DIR]/data/wg-friend/default.db
     hint: make one with `wg-friend init`, or name another file with `--db`
    [exit 1]
    ");
}

#[test]
fn a_database_that_others_can_read_is_refused() {
    let env = TestEnv::with_network();
    std::fs::set_permissions(env.database(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(env.run(&["list"]), @"
    --- stderr ---
    error: others can get at [DIR]/data/wg-friend/default.db (mode 644, should be 600)
     hint: run `chmod 600 [DIR]/data/wg-friend/default.db`
    [exit 1]
    ");
    std::fs::set_permissions(env.database(), std::fs::Permissions::from_mode(0o600)).unwrap();
    env.ok(&["list"]);
}

#[test]
fn a_damaged_database_ends_with_6() {
    let env = TestEnv::with_nodes();
    let good = std::fs::read(env.database()).unwrap();
    let mut bad = good.clone();
    bad[..16].copy_from_slice(b"not SQLite at al");
    std::fs::write(env.database(), &bad).unwrap();
    assert_snapshot!(env.run(&["list"]), @"
    --- stderr ---
    error: [DIR]/data/wg-friend/default.db is not a database of wg-friend
     hint: check the path; if it is right, restore the file from a backup
    [exit 6]
    ");
    std::fs::write(env.database(), &good[..good.len() / 2]).unwrap();
    let text = env.run(&["add", "remote", "x"]);
    assert!(text.ends_with("[exit 6]\n"), "{text}");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let env = TestEnv::with_network();
    rusqlite::Connection::open(env.database()).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let text = env.run(&["list"]);
    let (before, after) = text.split_once("this one knows ").expect("it says what it knows");
    let text = format!("{before}this one knows [N]{}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
    assert_snapshot!(text, @"
    --- stderr ---
    error: [DIR]/data/wg-friend/default.db was written by a newer wg-friend (schema 999; this one knows [N])
     hint: upgrade wg-friend
    [exit 1]
    ");
}

#[test]
fn a_read_only_file_system_is_named_and_nothing_is_half_written() {
    let env = TestEnv::with_network();
    let program = env!("CARGO_BIN_EXE_wg-friend");
    let data = env.path().join("data").display().to_string();
    // Only root may mount, so this becomes root of a namespace of its own.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\" add remote alice";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", &data, program]);
    command.env_clear().envs(env.variables());
    let text = env.transcript(&mut command);
    if text.contains("unshare:") || text.contains("mount:") {
        eprintln!("skipped: this machine permits no mounts: {text}");
        return;
    }
    assert_snapshot!(text, @"
    --- stderr ---
    error: the database can't be written: it is read-only
     hint: see that the file belongs to you and that its file system is mounted writable
    [exit 1]
    ");
    env.ok(&["add", "remote", "alice"]);
}

#[test]
fn wrong_settings_are_shown_with_their_line() {
    let env = TestEnv::with_network();
    let directory = env.path().join("config/wg-friend");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("wg-friend.toml"), "parallel = 4\nparalel = 4\n").unwrap();
    assert_snapshot!(env.run(&["list"]), @"
    --- stderr ---
    error: the settings in [DIR]/config/wg-friend/wg-friend.toml are wrong:
           TOML parse error at line 2, column 1
             |
           2 | paralel = 4
             | ^^^^^^^
           unknown field `paralel`, expected one of `db`, `parallel`, `confirm_timeout`, `host_timeout`, `keep_versions`, `kdf`
    [exit 2]
    ");
    std::fs::write(directory.join("wg-friend.toml"), format!("db = '{}/other.db'\n", env.path().display())).unwrap();
    assert!(env.run(&["list"]).contains("there is no database at [DIR]/other.db"));
}

#[test]
fn errors_are_json_when_results_are() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.refused(&["show", "alice-fone", "--json"]), @r#"
    --- stderr ---
    {
      "error": {
        "kind": "failed",
        "exit_code": 1,
        "message": "there is no node named `alice-fone`",
        "hint": "did you mean `alice-phone`?"
      }
    }
    [exit 1]
    "#);
    assert_snapshot!(env.refused(&["set", "hub", "--json"]), @r#"
    --- stderr ---
    {
      "error": {
        "kind": "usage",
        "exit_code": 2,
        "message": "the following required arguments were not provided: <KEY=VALUE>...",
        "hint": "--help says what can be given"
      }
    }
    [exit 2]
    "#);
    assert_snapshot!(env.transcript(env.command(&["lock", "--json", "--nonsense"]).env_remove("HOME")), @r#"
    --- stderr ---
    {
      "error": {
        "kind": "usage",
        "exit_code": 2,
        "message": "unexpected argument '--nonsense' found",
        "hint": "--help says what can be given"
      }
    }
    [exit 2]
    "#);
}
