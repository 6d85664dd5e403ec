//! Adopting networks from files: what is taken for what, that nothing is lost, in whatever order they come.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::env::TestEnv;

/// Files of one network, as people write them, with keys that belong together.
const SERVER: &str = "\
# the hub in the cellar
[Interface]
PrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=
Address = 10.20.0.1/24
ListenPort = 51820
PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
PostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE

# barn, behind LTE
[Peer]
PublicKey = {router}
AllowedIPs = 10.20.0.20/32, 192.168.77.0/24

[Peer]
# anna-phone
PublicKey = {phone}
PresharedKey = LY6Pgd3Hi6x1m8Rr1JIn44eJBNRY3TeTFTbDLnW1Pqc=
AllowedIPs = 10.20.0.30/32

[Peer]
# tablet (old)
PublicKey = {tablet}
AllowedIPs = 10.20.0.31/32
";

const ROUTER: &str = "\
[Interface]
PrivateKey = {router-private}
Address = 10.20.0.20/24
PostUp = iptables -A FORWARD -i wg0 -o eth1 -j ACCEPT; iptables -A FORWARD -i eth1 -o wg0 -j ACCEPT

[Peer]
PublicKey = {server}
Endpoint = vpn.example.net:51820
AllowedIPs = 10.20.0.0/24
PersistentKeepalive = 25
";

const PHONE: &str = "\
[Interface]
PrivateKey = {phone-private}
Address = 10.20.0.30/32
DNS = 9.9.9.9
MTU = 1280

[Peer]
PublicKey = {server}
PresharedKey = LY6Pgd3Hi6x1m8Rr1JIn44eJBNRY3TeTFTbDLnW1Pqc=
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
";

/// Writes the files of the network into a directory and returns their names: server, router, phone.
pub(super) fn write_files(directory: &Path) -> [String; 3] {
    let key = |byte: u8| wg_friend::model::PrivateKey::from_random([byte; 32]);
    let server: wg_friend::model::PrivateKey = "6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=".parse().unwrap();
    let [router, phone, tablet] = [key(1), key(2), key(3)];
    [("hub.conf", SERVER), ("barn.conf", ROUTER), ("anna.conf", PHONE)].map(|(name, text)| {
        let text = text
            .replace("{server}", &server.public().to_string())
            .replace("{router}", &router.public().to_string())
            .replace("{phone}", &phone.public().to_string())
            .replace("{tablet}", &tablet.public().to_string())
            .replace("{router-private}", &router.expose_base64())
            .replace("{phone-private}", &phone.expose_base64());
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    })
}

/// What the model says of every node, without when it came in and from which file it is known.
fn model(env: &TestEnv) -> Vec<Value> {
    let list = env.json(&["list"]);
    let nodes = list["nodes"].as_array().or_else(|| list.as_array()).expect("nodes");
    let mut shown: Vec<Value> = nodes
        .iter()
        .map(|node| {
            let mut node = env.json(&["show", node["name"].as_str().unwrap()]);
            let object = node.as_object_mut().unwrap();
            object.remove("created");
            object.remove("sources");
            object.remove("file");
            for key in object["keys"].as_array_mut().unwrap() {
                key.as_object_mut().unwrap().remove("created");
            }
            node
        })
        .collect();
    shown.sort_by_key(|node| node["name"].as_str().unwrap().to_owned());
    shown.push(env.json(&["network", "show"]));
    shown
}

fn generated(env: &TestEnv, node: &str) -> String {
    String::from_utf8(env.ok(&["generate", node]).stdout).unwrap()
}

#[test]
fn server_router_and_phone_make_the_same_network_in_every_order_and_come_back_byte_for_byte() {
    let files = tempfile::tempdir().unwrap();
    let names = write_files(files.path());
    let [server, router, phone] = &names;
    let at_once = TestEnv::new();
    at_once.ok(&["import", "--name", "farm", "--yes", server, router, phone]);
    let wanted = model(&at_once);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let env = TestEnv::new();
        for at in order {
            env.ok(&["import", "--name", "farm", "--yes", &names[at]]);
        }
        assert_eq!(model(&env), wanted, "{order:?}");
        for (node, file) in [("hub", server), ("barn", router), ("anna-phone", phone)] {
            assert_eq!(generated(&env, node), fs::read_to_string(file).unwrap(), "{node}, {order:?}");
        }
    }
}

#[test]
fn an_import_is_shown_before_it_is_done() {
    let files = tempfile::tempdir().unwrap();
    let names = write_files(files.path());
    let env = TestEnv::new();
    let said = env.run(&["import", "--name", "farm", "--dry-run", &names[0], &names[1], &names[2]]);
    assert_snapshot!(said.replace(&files.path().display().to_string(), "[FILES]"), @"
    a new network farm  10.20.0.0/24

       NAME        ROLE    ADDRESS     ENDPOINT               LANS             ACCESS  EXIT  FROM
    +  hub         server  10.20.0.1   vpn.example.net:51820                                 hub.conf
    +  barn        router  10.20.0.20                         192.168.77.0/24                barn.conf
    +  anna-phone  remote  10.20.0.30                                          full    hub   anna.conf
    ?  tablet      remote  10.20.0.31                                          full    hub   its peers only
    3 new · 1 provisional

    taken for it because
      hub   server: has 3 peers, 1 of them with networks behind them
      barn  router: 192.168.77.0/24 is behind it

    --- stderr ---
    dry run: nothing was changed
    ");
    assert!(!env.database().exists());
    // Without a terminal nobody can agree.
    assert_snapshot!(env.run(&["import", &names[0], "--json"]), @r#"
    --- stderr ---
    {
      "error": {
        "kind": "usage",
        "exit_code": 2,
        "message": "a confirmation is needed, and there is no terminal to ask on",
        "hint": "give it with --yes"
      }
    }
    [exit 2]
    "#);
    assert!(!env.database().exists());
}

#[test]
fn peers_of_which_only_the_key_is_known_are_citizens_until_they_get_a_key_of_their_own() {
    let files = tempfile::tempdir().unwrap();
    let [server, ..] = write_files(files.path());
    let env = TestEnv::new();
    env.ok(&["import", "--name", "farm", "--yes", &server]);
    let states: Vec<String> = env.json(&["list"])["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| format!("{} {} {}", node["name"], node["role"], node["provisional"]))
        .collect();
    assert_eq!(
        states,
        [
            "\"hub\" \"server\" false",
            "\"barn\" \"router\" true",
            "\"anna-phone\" \"remote\" true",
            "\"tablet\" \"remote\" true"
        ]
    );
    let said = env.run(&["generate", "tablet"]);
    assert!(said.contains("provisional") && said.contains("[exit 1]"), "{said}");
    assert!(generated(&env, "hub").contains("# tablet (old)"));
    env.ok(&["set", "hub", "endpoint=vpn.example.net"]);
    env.ok(&["rotate", "tablet", "--yes"]); // no reason given
    env.ok(&["qr", "tablet"]);
    // Its comment is still with it, only its key differs, and its first one is said. Its link can have a preshared key now.
    let before = fs::read_to_string(&server).unwrap();
    let after = generated(&env, "hub");
    let guid = format!("# permanent_guid: {}\n", env.json(&["show", "tablet"])["guid"].as_str().unwrap());
    let without = after.replace(&guid, "");
    assert_eq!(without.len() + guid.len(), after.len(), "{after}");
    let is_new = |line: &&str| line.starts_with("PresharedKey") && !before.contains(*line);
    let new: Vec<&str> = without.lines().filter(is_new).collect();
    assert_eq!(new.len(), 1, "{after}");
    let without = without.replace(&format!("{}\n", new[0]), "");
    let differing: Vec<_> = before.lines().zip(without.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert!(differing[0].0.starts_with("PublicKey"));
    // Once.
    env.ok(&["rotate", "tablet", "--reason", "again"]);
    let again = generated(&env, "hub");
    assert_eq!((again.matches(&guid).count(), again.matches("guid").count()), (1, 1), "{again}");
}

#[test]
fn a_bad_file_is_explained_and_keeps_no_other_out() {
    let files = tempfile::tempdir().unwrap();
    let [server, _, phone] = write_files(files.path());
    let bad = files.path().join("bad.conf");
    let short =
        fs::read_to_string(&phone).unwrap().replace("MTU = 1280", "MTU = 1280\n; who wrote this?\nPublicKey = x");
    fs::write(&bad, short).unwrap();
    let env = TestEnv::new();
    let said = env.run(&["import", "--name", "farm", "--yes", &server, &bad.display().to_string()]);
    assert!(said.contains("[exit 1]"), "{said}");
    let said = said.replace(&files.path().display().to_string(), "[FILES]");
    let part = said.split("not imported").nth(1).unwrap().split("\n\nRecovery").next().unwrap().to_owned();
    assert_snapshot!(part, @"

      [FILES]/bad.conf:6:1: `;` doesn't begin a comment; expected `#`
      6 | ; who wrote this?
        | ^
        = help: wg refuses it: begin the comment with `#`
      
      [FILES]/bad.conf:7:1: PublicKey belongs to a [Peer]
      7 | PublicKey = x
        | ^^^^^^^^^
        = help: wg refuses it in [Interface]: move it, or make it a comment
    ");
    assert_eq!(env.json(&["list"])["nodes"].as_array().unwrap().len(), 4);
}

#[test]
fn unknown_keys_are_kept_or_refused_or_left_out_as_one_likes() {
    let files = tempfile::tempdir().unwrap();
    let [server, ..] = write_files(files.path());
    let plain = fs::read_to_string(&server).unwrap();
    let text = plain.replace("ListenPort = 51820\n", "ListenPort = 51820\nJc = 4\n");
    fs::write(&server, &text).unwrap();
    let kept = TestEnv::new();
    let said = kept.run(&["import", "--name", "farm", "--yes", &server]);
    assert!(said.contains("Jc"), "{said}");
    assert_eq!(generated(&kept, "hub"), text);
    let strict = TestEnv::new();
    let said = strict.run(&["import", "--name", "farm", "--yes", "--strict", &server]);
    assert!(said.contains("hub.conf:6:1") && said.contains("[exit 1]"), "{said}");
    let lenient = TestEnv::new();
    let said = lenient.run(&["import", "--name", "farm", "--yes", "--lenient", &server]);
    assert!(said.contains("left out: ") && said.contains("Jc = 4"), "{said}");
    assert_eq!(generated(&lenient, "hub"), plain);
}

#[test]
fn importing_never_overwrites_and_two_networks_are_not_one() {
    let files = tempfile::tempdir().unwrap();
    let [server, ..] = write_files(files.path());
    let env = TestEnv::with_nodes();
    let before = env.json(&["list"]);
    let said = env.refused(&["import", "--yes", &server]);
    assert!(said.contains("not one network"), "{said}");
    assert_eq!(env.json(&["list"]), before);
}

#[test]
fn a_phone_joins_a_network_that_wg_friend_made() {
    let env = TestEnv::with_nodes();
    let hub = env.json(&["show", "hub"])["guid"].as_str().unwrap().to_owned();
    let private = wg_friend::model::PrivateKey::from_random([9; 32]);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.66.0.77/32\n\n[Peer]\nPublicKey = {hub}\n# work only\nAllowedIPs = 10.66.0.0/24\nEndpoint = vpn.example.com:51820\n",
        *private.expose_base64()
    );
    let file = env.path().join("ben.conf");
    fs::write(&file, &text).unwrap();
    env.ok(&["import", "--yes", &file.display().to_string()]);
    assert_eq!(generated(&env, "ben"), text);
    assert!(generated(&env, "hub").contains(&private.public().to_string()));
    // The same again is nothing new.
    let said = env.run(&["import", "--yes", &file.display().to_string()]);
    assert!(said.contains("nothing about it is new"), "{said}");
}

#[test]
fn what_is_set_after_an_import_stays_and_takes_the_place_of_what_was_found() {
    let files = tempfile::tempdir().unwrap();
    let [server, router, phone] = write_files(files.path());
    let env = TestEnv::new();
    env.ok(&["import", "--name", "farm", "--yes", &server, &phone]);
    env.ok(&["rename", "anna-phone", "anna"]);
    env.ok(&["set", "anna", "access=vpn-only", "exit=none"]);
    env.ok(&["import", "--yes", &router]);
    let anna = env.json(&["show", "anna"]);
    assert_eq!((anna["access"].as_str(), &anna["exit"]), (Some("vpn_only"), &Value::Null));
    let before = fs::read_to_string(&phone).unwrap();
    assert_eq!(generated(&env, "anna"), before.replace("0.0.0.0/0, ::/0", "10.20.0.0/24"));
}

#[test]
fn every_format_that_can_be_read_is_listed() {
    let env = TestEnv::new();
    let listed = env.json(&["import", "--format", "list"]);
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|format| format["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"wg-easy") && names.contains(&"networkd") && names.contains(&"wgdashboard"), "{names:?}");
    let said = env.run(&["import", "--format", "excel", "x"]);
    assert!(said.contains("no format that can be imported") && said.contains("[exit 2]"), "{said}");
}

#[test]
fn a_file_without_its_key_comes_in_and_gets_it_when_it_is_known() {
    let files = tempfile::tempdir().unwrap();
    let [server, _, phone] = write_files(files.path());
    let text = fs::read_to_string(&phone).unwrap();
    let key = text.lines().find(|line| line.starts_with("PrivateKey")).unwrap().to_owned();
    let template = text.replace(&key, "PrivateKey = <put it here>").replace("10.20.0.30", "10.20.0.99");
    fs::write(&phone, &template).unwrap();

    // By command: the device says its key.
    let env = TestEnv::new();
    let said = env.run(&["import", "--name", "farm", "--yes", &server, &phone]);
    assert!(said.contains("it goes by a stand-in"), "{said}");
    assert_eq!(generated(&env, "anna"), template);
    assert!(!generated(&env, "hub").contains("anna\n"), "nobody can have a stand-in as a peer");
    let public = wg_friend::model::PrivateKey::from_random([2; 32]).public().to_string();
    let other = wg_friend::model::PrivateKey::from_random([7; 32]).public().to_string();
    assert!(env.run(&["rotate", "anna", "--public-key", &public]).contains("in use already"));
    env.ok(&["rotate", "anna", "--public-key", &other]);
    env.ok(&["set", "anna", "kept=none"]);
    assert!(generated(&env, "hub").contains(&other));

    // By another source: its server knows it by its address.
    let known = template.replace("10.20.0.99", "10.20.0.30");
    fs::write(&phone, &known).unwrap();
    let env = TestEnv::new();
    env.ok(&["import", "--name", "farm", "--yes", &phone]);
    env.ok(&["import", "--yes", &server]);
    let node = env.json(&["show", "anna-phone"]);
    assert_eq!(node["public_key"].as_str(), Some(public.as_str()));
    assert_eq!(generated(&env, "anna-phone"), known);
    assert_eq!(generated(&env, "hub"), fs::read_to_string(&server).unwrap());
    assert_eq!(env.json(&["list"])["nodes"].as_array().unwrap().len(), 4);
}
