//! The documents of `--json`: their fields are a promise. A field may be added; one that is missing breaks scripts.

use crate::env::TestEnv;

/// Returns the paths of a document's fields, lists as `[]`.
fn fields(value: &serde_json::Value, at: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                fields(value, &path, found);
            }
        }
        serde_json::Value::Array(list) if !list.is_empty() => {
            list.iter().for_each(|value| fields(value, &format!("{at}[]"), found));
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

fn of(env: &TestEnv, arguments: &[&str]) -> String {
    let mut found = std::collections::BTreeSet::new();
    fields(&env.json(arguments), "", &mut found);
    found.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn documents_have_the_fields_they_are_known_for() {
    let env = TestEnv::with_nodes();
    env.ok(&["set", "alice-phone", "access=custom", "grant=192.168.10.5 tcp 22", "exit=exit-de"]);
    insta::assert_snapshot!(of(&env, &["list"]), @"
    network
    nodes[].access
    nodes[].address4
    nodes[].address6
    nodes[].allowed_lans
    nodes[].created
    nodes[].custody
    nodes[].device
    nodes[].dns
    nodes[].enabled
    nodes[].endpoint
    nodes[].exit
    nodes[].exit_inherited
    nodes[].grants
    nodes[].grants[].destination
    nodes[].grants[].note
    nodes[].grants[].ports[]
    nodes[].grants[].protocol
    nodes[].grants[].until
    nodes[].guid
    nodes[].host
    nodes[].interface
    nodes[].keepalive
    nodes[].kill_switch
    nodes[].lans
    nodes[].lans[].cidr
    nodes[].lans[].description
    nodes[].listen_port
    nodes[].mtu
    nodes[].name
    nodes[].nat
    nodes[].notes
    nodes[].origin
    nodes[].outer_interface
    nodes[].provisional
    nodes[].public_key
    nodes[].role
    nodes[].server
    nodes[].via
    ");
    insta::assert_snapshot!(of(&env, &["show", "hub"]), @"
    access
    address4
    address6
    allowed_lans
    created
    custody
    device
    dns
    enabled
    endpoint
    exit
    exit_inherited
    file.given
    file.may
    file.must
    file.node
    file.role
    file.state
    grants
    guid
    host
    interface
    interfaces[].listen_port
    interfaces[].name
    interfaces[].public_key
    interfaces[].purpose
    keepalive
    kept
    keys[].created
    keys[].interface
    keys[].public_key
    keys[].reason
    keys[].retired
    keys[].state
    kill_switch
    lans
    links[].interface
    links[].peer
    links[].preshared_key
    links[].weight
    links[].when_down
    listen_port
    mtu
    name
    nat
    not_enforced_by
    notes
    origin
    outer_interface
    provisional
    public_key
    reaches[].destination
    reaches[].what
    role
    server
    sources
    via
    ");
    insta::assert_snapshot!(of(&env, &["network", "show"]), @"
    cidr4
    cidr6
    dns
    exit
    exit_rules
    interface
    keepalive
    kill_switch
    mtu
    name
    port
    psk
    stable_clients
    via
    ");
    env.ok(&["exit", "group", "add", "europe", "exit-de"]);
    env.ok(&["exit", "assign", "alice-laptop", "europe"]);
    insta::assert_snapshot!(of(&env, &["exit", "status"]), @"
    exits[].carries[]
    exits[].enabled
    exits[].endpoint
    exits[].groups[]
    exits[].host
    exits[].name
    exits[].passing
    exits[].remotes
    groups[].active
    groups[].members[].active
    groups[].members[].enabled
    groups[].members[].exit
    groups[].members[].priority
    groups[].members[].usable
    groups[].name
    groups[].network
    groups[].reason
    groups[].remotes[]
    groups[].since
    groups[].told
    kill_switch
    network
    network_via
    remotes[].assigned
    remotes[].by
    remotes[].inherited
    remotes[].kill_switch
    remotes[].leaves
    remotes[].name
    remotes[].via
    rules
    ");
    insta::assert_snapshot!(of(&env, &["exit", "history"]), @"
    switches[].from
    switches[].group
    switches[].operator
    switches[].reason
    switches[].state
    switches[].time
    switches[].to
    ");
    env.ok(&["exit", "assign", "alice-laptop", "none"]);
    env.ok(&["exit", "group", "remove", "europe", "--yes"]);
    insta::assert_snapshot!(of(&env, &["host", "list"]), @"
    hosts[].allow_unsafe
    hosts[].auto_sync
    hosts[].become
    hosts[].destination
    hosts[].identity
    hosts[].jump
    hosts[].name
    hosts[].nodes[]
    hosts[].port
    hosts[].transport
    hosts[].user
    ");
    insta::assert_snapshot!(of(&env, &["set", "alice-phone", "notes=x"]), @"
    action
    changes[].after
    changes[].before
    changes[].field
    changes[].node
    deploy
    new_files
    nodes[].access
    nodes[].address4
    nodes[].address6
    nodes[].allowed_lans
    nodes[].created
    nodes[].custody
    nodes[].device
    nodes[].dns
    nodes[].enabled
    nodes[].endpoint
    nodes[].exit
    nodes[].exit_inherited
    nodes[].grants[].destination
    nodes[].grants[].note
    nodes[].grants[].ports[]
    nodes[].grants[].protocol
    nodes[].grants[].until
    nodes[].guid
    nodes[].host
    nodes[].interface
    nodes[].keepalive
    nodes[].kill_switch
    nodes[].lans
    nodes[].listen_port
    nodes[].mtu
    nodes[].name
    nodes[].nat
    nodes[].notes
    nodes[].origin
    nodes[].outer_interface
    nodes[].provisional
    nodes[].public_key
    nodes[].role
    nodes[].server
    nodes[].via
    remarks
    saved
    ");
    insta::assert_snapshot!(of(&env, &["audit", "log", "--action", "database_created"]), @"
    entries[].action
    entries[].address
    entries[].category
    entries[].details.log_n
    entries[].details.name
    entries[].details.prefixes[]
    entries[].entity_guid
    entries[].entity_type
    entries[].id
    entries[].operator
    entries[].severity
    entries[].source
    entries[].time
    entries[].version
    more
    ");
    insta::assert_snapshot!(of(&env, &["audit", "verify"]), @"
    anchors
    authenticated
    bad
    checkpoints
    entries
    hosts
    intact
    key
    ");
    insta::assert_snapshot!(of(&env, &["vault", "status"]), @"
    database
    encrypted
    memory
    old_pages
    slots[].created
    slots[].kind
    slots[].log_n
    slots[].name
    slots[].operator
    slots[].p
    slots[].r
    slots[].used
    unlocked
    ");
    insta::assert_snapshot!(of(&env, &["host", "set", "branch", "port=22"]), @"
    action
    changes[].after
    changes[].before
    changes[].field
    changes[].node
    host.allow_unsafe
    host.auto_sync
    host.become
    host.destination
    host.identity
    host.jump
    host.name
    host.nodes[]
    host.port
    host.transport
    host.user
    saved
    ");
}

#[test]
fn every_command_that_looks_prints_one_document() {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "set", "branch", "address=root@127.0.0.1:1"]); // refuses at once; nothing leaves this machine
    for arguments in [
        &["list"][..],
        &["list", "--role", "exit"],
        &["show", "hub"],
        &["topology"],
        &["network", "show"],
        &["host", "list"],
        &["host", "check", "--parallel", "4"],
        &["vault", "status"],
        &["audit", "log"],
        &["audit", "verify"],
        &["unlock", "--for", "1s"],
        &["lock"],
        &["completions", "bash"],
        &["man"],
    ] {
        let output = env.command(&[arguments, &["--json"]].concat()).output().unwrap();
        let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
        let document: serde_json::Value = serde_json::from_slice(text)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", String::from_utf8_lossy(text)));
        assert!(document.is_object(), "{arguments:?}");
    }
}

#[test]
fn no_document_holds_a_secret_that_nobody_asked_for() {
    let env = TestEnv::with_nodes();
    for arguments in
        [&["list"][..], &["show", "hub"], &["topology"], &["audit", "log"], &["rotate", "hub", "--reason", "x"]]
    {
        let text = env.json(arguments).to_string();
        for word in ["private_key\":\"", "preshared_key\":\"", "enc:v1", crate::env::PASSPHRASE] {
            assert!(!text.contains(word), "{arguments:?} holds {word}");
        }
    }
}
