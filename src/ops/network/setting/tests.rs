//! What can be set, and how it is written.

use super::*;

#[test]
fn every_key_has_a_reader_and_says_what_is_wrong() {
    for (key, aliases, _) in KEYS {
        for name in [key].into_iter().chain(*aliases) {
            let outcome = parse(name, name, Change::Set, "!");
            let accepts_anything = matches!(*key, "notes" | "exit" | "server");
            assert_eq!(outcome.is_ok(), accepts_anything, "{name}: {outcome:?}");
        }
    }
}

#[test]
fn a_list_given_twice_holds_both() {
    let settings = parse_all(["lan=10.1.0.0/24=the office", "lan=10.2.0.0/24", "notes=a=b"]).unwrap();
    let lan = |cidr: &str, text: &str| Lan { cidr: cidr.parse().unwrap(), description: text.into() };
    assert_eq!(
        settings,
        [
            Setting::ClearLans,
            Setting::AddLan(lan("10.1.0.0/24", "the office")),
            Setting::AddLan(lan("10.2.0.0/24", "")),
            Setting::Notes("a=b".into()),
        ]
    );
}

#[test]
fn wrong_assignments_name_the_key_and_the_remedy() {
    let lines: Vec<String> = [
        "access",
        "acess=full",
        "access+=full",
        "access=all",
        "endpoint=a b",
        "port=0",
        "port=70000",
        "mtu=100",
        "lan=10.0.0.1/24",
        "lan+=0.0.0.0/0",
        "dns=a b",
        "keepalive=soon",
        "nat=maybe",
        "address=10.0.0",
        "grant=10.0.0.1 tcp 99999",
        "interface=a/b",
        "host=-x",
        "device=toaster",
        "custody=mine",
        "endpoint=",
    ]
    .iter()
    .map(|a| {
        let error = parse_all([*a]).unwrap_err();
        assert_eq!(error.kind(), crate::ops::Kind::Usage);
        format!("{error}{}", error.hint().map_or(String::new(), |h| format!(" [{h}]")))
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    `access`: expected key=value [for example `access=VALUE`; `--help` lists the keys and what they take]
    `acess`: no such key [did you mean `access`?]
    access: has one value: use `=`, not `+=` or `-=`
    access: `all` is no access level: expected one of full, vpn-only, lan-only, custom, exit-only
    endpoint: `a b` is not an endpoint: expected host:port, such as vpn.example.com:51820, 203.0.113.7:51820 or [2001:db8::7]:51820
    port: `0` is not a port: expected 1 to 65535
    port: `70000` is not a port: expected 1 to 65535
    mtu: `100` is not an MTU that works here: expected 576 to 65535 (IPv6 needs at least 1280, RFC 8200 section 5)
    lan: `10.0.0.1/24` has host bits set: did you mean the network 10.0.0.0/24?
    lan: `0.0.0.0/0` is the whole internet, not a LAN [to carry internet traffic add an exit: `wg-friend add exit NAME`]
    dns: `a b` is neither an address nor a search domain
    keepalive: `soon` is not a number of seconds up to 65535
    nat: `maybe` is neither yes nor no
    address: `10.0.0` is not an address
    grant: `99999` is not a port: expected 1 to 65535
    interface: `a/b` can't be used as a name: `/` isn't allowed (letters, digits and `_=+.-`, as wg-quick takes them)
    host: `-x` can't be used as a name: `-` isn't allowed (letters, digits, `-`, `_`, `.`; the first a letter or digit)
    device: `toaster` is no device type: expected one of mobile, laptop, server
    custody: `mine` is no key custody: expected one of held, shown-once, never-seen
    endpoint: is empty; see `wg-friend set --help` for what it takes
    ");
}
