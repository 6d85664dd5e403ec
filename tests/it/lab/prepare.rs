//! Preparing hosts, joining those that nobody can reach yet, and leaving nothing behind.

use std::time::Duration;

use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Host, Lab, Output, Result, Snapshot, Spec};

use super::family::{Family, addressed, lab_or_skip};
use super::office::Admin;

fn spec(text: &str) -> Spec {
    text.parse().unwrap()
}

/// A package manager that does what its manual says of the calls that matter here, and writes each call down. Its packages
/// are `/var/lib/stand-in/packages`; `/var/lib/stand-in/mood` makes the next installation fail in a way of its own.
const STAND_IN: &str = r#"#!/bin/sh
me=${0##*/}
state=/var/lib/stand-in
echo "$me $*" >>$state/calls
bring() {
	case $1 in
	wireguard-tools) for p in wg wg-quick; do printf '#!/bin/sh\nexit 0\n' >/usr/bin/$p; chmod 755 /usr/bin/$p; done ;;
	nftables) printf '#!/bin/sh\nexit 0\n' >/usr/sbin/nft; chmod 755 /usr/sbin/nft ;;
	wireguard-tools-openrc) mkdir -p /etc/init.d; printf '#!/bin/sh\n' >/etc/init.d/wg-quick; chmod 755 /etc/init.d/wg-quick ;;
	epel-release | bash-completion) ;;
	*) return 1 ;;
	esac
	echo "$1" >>$state/packages
}
take() {
	grep -qx "$1" $state/packages || return 1
	grep -vx "$1" $state/packages >$state/rest
	mv $state/rest $state/packages
	case $1 in
	wireguard-tools) rm -f /usr/bin/wg /usr/bin/wg-quick ;;
	nftables) rm -f /usr/sbin/nft ;;
	wireguard-tools-openrc) rm -f /etc/init.d/wg-quick ;;
	esac
}
wants() { # the words of "$@" that are packages
	for word in "$@"; do case $word in -* | add | install | del) ;; *) printf '%s ' "$word" ;; esac; done
}
fail() { echo "$1" >&2; exit "$2"; }
install() {
	mood=
	[ ! -r $state/mood ] || { mood=$(cat $state/mood); rm $state/mood; }
	case $mood,$me in
	lock,apk) fail 'ERROR: Unable to lock database: Resource temporarily unavailable' 99 ;;
	lock,dnf) fail 'Failed to obtain the transaction lock (database is locked)' 200 ;;
	lock,pacman) fail 'error: failed to init transaction (unable to lock database)' 1 ;;
	network,apk) fail 'WARNING: fetching https://dl-cdn.alpinelinux.org/alpine/v3.20/main: DNS lookup error' 1 ;;
	network,dnf) fail 'Error: Failed to download metadata for repo: Cannot download repomd.xml: All mirrors were tried' 1 ;;
	network,pacman) fail "error: failed retrieving file 'nftables.pkg.tar.zst' : Could not resolve host: geo.mirror.pkgbuild.com" 1 ;;
	stale,pacman) fail "error: failed retrieving file: The requested URL returned error: 404 " 1 ;;
	esac
	for package in $(wants "$@"); do
		grep -qx "$package" $state/packages && continue
		if [ "$package" = wireguard-tools ] && [ -e $state/needs-epel ] && ! grep -qx epel-release $state/packages; then
			fail "No match for argument: wireguard-tools
Error: Unable to find a match: wireguard-tools" 1
		fi
		bring "$package" || fail "No match for argument: $package" 1
	done
}
case $me,$1 in
apk,info | rpm,-qa) cat $state/packages ;;
pacman,-Qq) cat $state/packages ;;
apk,add | dnf,-y) install "$@" ;;
pacman,-S | pacman,-Sy) install "$@" ;;
apk,del) for package in $(wants "$@"); do take "$package"; done ;;
rpm,-e | pacman,-R) shift; for package in $(wants "$@"); do take "$package" || exit 1; done ;;
*) exit 0 ;;
esac
"#;

/// Makes a host look like another distribution, with stand-ins for its programs.
fn pretend(host: &Host<'_>, release: &str, programs: &[&str]) -> Result {
    host.sh("mkdir -p /var/lib/stand-in; echo busybox >/var/lib/stand-in/packages; : >/var/lib/stand-in/calls; rm -f /etc/os-release")?;
    host.write("/etc/os-release", release)?;
    for program in programs {
        let path = format!("/usr/local/sbin/{program}");
        host.write(&path, STAND_IN)?;
        host.sh(&format!("chmod 755 {path}"))?;
    }
    Ok(())
}

fn calls(host: &Host<'_>, containing: &str) -> usize {
    let calls = host.read("/var/lib/stand-in/calls").unwrap();
    calls.lines().filter(|line| line.contains(containing)).count()
}

fn lines(entry: &Value) -> Vec<&str> {
    entry["commands"].as_array().unwrap().iter().map(|c| c["line"].as_str().unwrap()).collect()
}

fn one(report: &Value) -> &Value {
    &report["hosts"][0]
}

/// Runs a command with `--json` that says that some hosts failed.
fn failing(admin: &Admin<'_>, arguments: &[&str]) -> Value {
    let output = admin.run(&[arguments, &["--json"]].concat());
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn hosts_of_every_distribution_are_prepared_by_their_own_means_once() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         host ctl internet:2 controller\n\
         host alpine internet:10 without=wg,wg-quick,nft\n\
         host fedora internet:11 without=wg,wg-quick,nft\n\
         host rocky internet:12 without=wg,wg-quick,nft\n\
         host arch internet:13 without=wg,wg-quick,nft\n\
         host void internet:14 without=wg,wg-quick,nft\n"
    ));
    let admin = Admin::new(&lab);
    admin.init_as("mixed", "10.66.0.0/24", Family::Four);
    pretend(
        &lab.host("alpine"),
        "NAME=\"Alpine Linux\"\nID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n",
        &["apk", "rc-update"],
    )?;
    let fedora = "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=40\nPRETTY_NAME=\"Fedora Linux 40\"\n";
    pretend(&lab.host("fedora"), fedora, &["dnf", "rpm"])?;
    let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"8.9\"\nPRETTY_NAME=\"Rocky Linux 8.9\"\n";
    pretend(&lab.host("rocky"), rocky, &["dnf", "rpm"])?;
    lab.host("rocky").sh("touch /var/lib/stand-in/needs-epel")?;
    pretend(&lab.host("arch"), "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n", &["pacman"])?;
    pretend(&lab.host("void"), "ID=void\nPRETTY_NAME=\"Void Linux\"\n", &[])?;
    for (at, host) in ["alpine", "fedora", "rocky", "arch", "void"].into_iter().enumerate() {
        let lan = format!("192.168.{at}.0/24");
        admin.ok(&["add", "router", host, "--lan", &lan, "--ssh", &format!("root@{host}")]);
    }
    let all: [(&str, &[&str], &str); 4] = [
        (
            "alpine",
            &["apk add --no-progress --update-cache wireguard-tools nftables wireguard-tools-openrc"],
            "apk add",
        ),
        ("fedora", &["dnf -y install wireguard-tools nftables"], "dnf -y install"),
        ("rocky", &["dnf -y install epel-release", "dnf -y install wireguard-tools nftables"], "dnf -y install"),
        ("arch", &["pacman -Sy --noconfirm --needed wireguard-tools nftables"], "pacman -Sy"),
    ];
    for (name, expected, call) in all {
        let host = lab.host(name);
        let checked = failing(&admin, &["host", "check", name]);
        assert!(one(&checked)["problem"].as_str().unwrap().contains("lacks wg"), "{checked:#}");
        assert!(one(&checked)["hint"].as_str().unwrap().contains("host install"), "{checked:#}");

        let preview = admin.json(&["host", "install", name, "--dry-run"]);
        assert_eq!(lines(one(&preview)), expected, "{name}");
        assert_eq!(calls(&host, call), 0, "{name}: a preview runs nothing");

        // Another package manager holds the lock for a moment.
        host.write("/var/lib/stand-in/mood", "lock")?;
        let done = admin.json(&["host", "install", name]);
        let done = one(&done);
        assert_eq!((&done["ready"], &done["changed"]), (&Value::Bool(true), &Value::Bool(true)), "{done:#}");
        assert!(done["packages"].as_array().unwrap().iter().any(|p| p == "wireguard-tools"), "{done:#}");
        let log = admin.ok(&["log", name, "-v"]);
        assert!(log.contains(expected[0]), "{log}");

        let before = calls(&host, call);
        let again = admin.json(&["host", "install", name]);
        let again = one(&again);
        assert_eq!((&again["ready"], &again["changed"]), (&Value::Bool(true), &Value::Bool(false)), "{again:#}");
        assert_eq!(calls(&host, call), before, "{name}: the second time runs nothing");
    }
    // What keeps a package manager from its work is told with a remedy.
    let fedora = lab.host("fedora");
    fedora.sh("rm /usr/sbin/nft; sed -i /nftables/d /var/lib/stand-in/packages")?;
    fedora.write("/var/lib/stand-in/mood", "network")?;
    let failed = failing(&admin, &["host", "install", "fedora"]);
    assert!(one(&failed)["problem"].as_str().unwrap().contains("can't reach its servers"), "{failed:#}");
    assert!(one(&failed)["hint"].as_str().unwrap().contains("DNS"), "{failed:#}");
    let arch = lab.host("arch");
    arch.sh("rm /usr/sbin/nft; sed -i /nftables/d /var/lib/stand-in/packages; mkdir -p /var/lib/pacman/sync; touch /var/lib/pacman/sync/core.db")?;
    arch.write("/var/lib/stand-in/mood", "stale")?;
    let failed = failing(&admin, &["host", "install", "arch"]);
    assert!(one(&failed)["hint"].as_str().unwrap().contains("pacman -Syu"), "{failed:#}");
    assert_eq!(
        lines(one(&failed)),
        ["pacman -S --noconfirm --needed nftables"],
        "lists that are there are not renewed"
    );
    let failed = failing(&admin, &["host", "install", "void"]);
    assert!(one(&failed)["problem"].as_str().unwrap().contains("Void Linux, which is neither"), "{failed:#}");

    // Only what was installed for wg-friend goes again.
    let alpine = lab.host("alpine");
    admin.ok(&["host", "uninstall", "alpine", "--packages", "--yes"]);
    assert_eq!(alpine.read("/var/lib/stand-in/packages")?, "busybox\n");
    assert!(!alpine.run("ls /var/lib/wg-friend /etc/init.d/wg-quick")?.success());
    Ok(())
}

#[test]
fn a_debian_that_has_everything_is_left_alone_and_one_without_a_network_says_so() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         host ctl internet:2 controller\n\
         host full internet:10\n\
         host short internet:11 without=resolvconf,resolvectl\n"
    ));
    let admin = Admin::new(&lab);
    admin.init_as("mixed", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "full", "--endpoint", "198.51.100.10", "--ssh", "full"]);
    admin.ok(&["add", "remote", "short", "--device", "server", "--ssh", "short"]);
    admin.ok(&["set", "short", "dns=9.9.9.9"]);
    let before = lab.host("full").snapshot()?;
    let done = admin.json(&["host", "install", "full"]);
    assert_eq!(one(&done)["changed"], false, "{done:#}");
    assert!(one(&done)["commands"].as_array().unwrap().is_empty(), "{done:#}");
    assert_eq!(lab.host("full").snapshot()?.diff(&before), "");
    let checked = admin.json(&["host", "check", "full"]);
    let verdicts: Vec<(&str, &str)> = one(&checked)["requirements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["name"].as_str().unwrap(), r["verdict"].as_str().unwrap()))
        .collect();
    for name in ["ssh", "root", "tools", "wireguard", "firewall", "disk", "clock", "forwarding", "mtu", "front-ends"] {
        assert!(verdicts.contains(&(name, "pass")), "{name}: {checked:#}");
    }
    assert!(verdicts.contains(&("boot", "warn")), "{checked:#}");

    let failed = failing(&admin, &["host", "install", "short"]);
    let failed = one(&failed);
    assert_eq!(lines(failed)[1], "apt-get -q -y --no-install-recommends install openresolv", "{failed:#}");
    let problem = failed["problem"].as_str().unwrap();
    assert!(problem.contains("can't reach its servers") || problem.contains("no such package"), "{failed:#}");
    assert!(!failed["hint"].as_str().unwrap().is_empty());
    Ok(())
}

fn join(admin: &Admin<'_>, lab: &Lab, node: &str, options: &[&str]) -> Result<Output> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("join.sh");
    let path = file.display().to_string();
    admin.ok(&[&["host", "join", node, "-o", &path], options].concat());
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    lab.host(node).write("/root/join.sh", std::fs::read(&file).unwrap())?;
    lab.host(node).run("sh /root/join.sh")
}

#[test]
fn a_machine_behind_nat_joins_by_a_script_and_is_reached_through_the_tunnel() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         network inside 192.168.7.0/24 fd0a:7::/64\n\
         host ctl internet:2 controller\n\
         host hub internet:10\n\
         host gate internet:13 inside:1 nat=internet\n\
         host office inside:20 gateway=gate\n"
    ));
    let admin = Admin::new(&lab);
    let office = lab.host("office");
    admin.init("home");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--ssh", "root@hub"]);
    admin.ok(&["add", "router", "office", "--lan", "192.168.7.0/24"]);
    admin.ok(&["deploy", "--yes"]);
    office.sh("rm -f /root/.ssh/authorized_keys")?;
    let before = office.snapshot()?;
    let key = lab.key().with_extension("pub").display().to_string();
    let output = join(&admin, &lab, "office", &["--ssh-key", &key])?;
    assert!(output.success(), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("the tunnel works"), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("SHA256:"), "{}", output.stdout);

    // From here it is reached through the server and the tunnel, and its first plan is empty.
    let address = admin.addresses("office")[0];
    lab.write_ssh_config(&format!("Host {address}\n  HostKeyAlias office\n"))?;
    let plan = admin.run(&["plan", "--exit-code"]);
    assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
    admin.ok(&["host", "check", "office"]);
    let history = admin.ok(&["history", "office"]);
    assert!(history.contains("confirmed"), "{history}");

    // Once more does no harm.
    let joined = office.snapshot()?;
    let again = office.run("sh /root/join.sh")?;
    assert!(again.success() && again.stdout.contains("nothing was changed"), "{}{}", again.stdout, again.stderr);
    assert_eq!(office.snapshot()?.without("wg endpoints").diff(&joined.without("wg endpoints")), "");

    admin.ok(&["set", "office", "mtu=1380"]);
    admin.ok(&["deploy", "office", "--yes"]);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    assert!(office.sh("ip link show wg0")?.contains("mtu 1380"));

    // A script from before that deploy would bring back what was.
    let late = office.run("sh /root/join.sh")?;
    assert!(
        !late.success() && late.stderr.contains("has changed this machine since"),
        "{}{}",
        late.stdout,
        late.stderr
    );
    assert!(office.sh("ip link show wg0")?.contains("mtu 1380"));
    office.reboot()?;
    wait_until(Duration::from_secs(30), || admin.run(&["plan", "office", "--exit-code"]).status == 0);
    assert_eq!(admin.run(&["plan", "office", "--exit-code"]).status, 0);

    // The way back out goes through the tunnel, too.
    let refused = admin.run(&["host", "uninstall", "office"]);
    assert_eq!(refused.status, 1, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("goes through what is taken down"), "{}", refused.stderr);
    admin.ok(&["host", "uninstall", "office", "--yes"]);
    office.sh("rm -f /root/join.sh")?;
    let left = || office.snapshot().unwrap().diff(&before);
    wait_until(Duration::from_secs(40), || left().is_empty());
    assert_eq!(left(), "", "nothing is left");
    wait_until(Duration::from_secs(20), || !office.run("ls /run/wg-friend").unwrap().success());
    assert!(!office.run("grep -q . /root/.ssh/authorized_keys")?.success(), "the key is out again");
    assert_eq!(admin.run(&["plan", "office", "--exit-code"]).status, 0, "and nothing is to be done there");
    Ok(())
}

#[test]
fn a_script_that_expired_or_finds_another_network_changes_nothing() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    let b = lab.host("b");
    admin.init_as("home", "10.66.0.0/24", Family::Four);
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "remote", "b", "--device", "server"]);
    let preview = admin.ok(&["host", "join", "b", "--no-ssh-key", "--dry-run"]);
    assert!(preview.contains("nothing was changed"), "{preview}");
    assert!(!admin.ok(&["host", "list"]).contains("10.66.0."), "a preview records nothing");
    let before = b.snapshot()?;
    let output = join(&admin, &lab, "b", &["--no-ssh-key", "--expires", "0s"])?;
    b.sh("rm /root/join.sh")?;
    assert!(!output.success() && output.stderr.contains("expired"), "{}{}", output.stdout, output.stderr);
    assert_eq!(b.snapshot()?.diff(&before), "");
    let theirs = "[Interface]\nPrivateKey = gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE=\n";
    b.write("/etc/wireguard/wg0.conf", theirs)?;
    let output = join(&admin, &lab, "b", &["--no-ssh-key"])?;
    assert!(output.stderr.contains("another wg0"), "{}{}", output.stdout, output.stderr);
    assert_eq!(b.read("/etc/wireguard/wg0.conf")?, theirs);
    Ok(())
}

fn look(host: &Host<'_>) -> Snapshot {
    host.snapshot().unwrap()
}

#[test]
fn uninstalling_leaves_a_host_as_it_was_before_the_first_deploy() -> Result {
    let lab = lab_or_skip!(spec(
        "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
         network lan 192.168.9.0/24\n\
         host ctl internet:2 controller\n\
         host hub internet:10\n\
         host units internet:11 lan:1 init=systemd\n\
         host exit internet:12\n"
    ));
    let admin = Admin::new(&lab);
    admin.init("home");
    let names = ["hub", "units", "exit"];
    lab.host("hub").sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra")?;
    let before: Vec<Snapshot> = names.iter().map(|name| look(&lab.host(name))).collect();
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--ssh", "hub"]);
    admin.ok(&[
        "add",
        "router",
        "units",
        "--lan",
        "192.168.9.0/24",
        "--lan-interface",
        "eth1",
        "--ssh",
        "deploy@units",
    ]);
    admin.ok(&["add", "exit", "exit", "--endpoint", "198.51.100.12", "--ssh", "exit"]);
    admin.ok(&["add", "remote", "phone", "--exit", "exit"]);
    admin.ok(&["deploy", "--yes"]);
    admin.ok(&["set", "hub", "mtu=1380"]);
    admin.ok(&["interface", "key", "exit", "--make-on-host", "--yes"]);
    admin.ok(&["deploy", "--yes"]);
    lab.host("exit").sh("ls /etc/wireguard/wg-friend-*.key")?;
    lab.host("units").reboot()?;
    for (name, before) in names.iter().zip(&before) {
        let preview = admin.ok(&["host", "uninstall", name, "--dry-run"]);
        assert!(preview.contains("take down wg0"), "{preview}");
        let text = admin.ok(&["host", "uninstall", name, "--yes"]);
        assert!(text.contains("nothing of wg-friend is left"), "{text}");
        assert_eq!(look(&lab.host(name)).diff(before), "", "{name}");
        assert!(!lab.host(name).run("ls -d /run/wg-friend /var/lib/wg-friend")?.success(), "{name}");
        let log = admin.ok(&["log", name, "-v"]);
        assert!(log.contains("w_take_down wg0"), "{log}");
    }
    assert_eq!(lab.host("hub").sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra")?.trim(), "1");
    // Nothing is to be done there any more, and what has no node goes from the list.
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    admin.ok(&["host", "remove", "units", "--yes"]);
    Ok(())
}

#[test]
fn an_interface_that_was_there_before_gets_back_the_file_that_it_had() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    let a = lab.host("a");
    let file = &addressed(
        "# mine\n[Interface]\nPrivateKey = gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE=\nAddress = 10.7.0.1/24\nListenPort = 51820\n\n[Peer]\n# b\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 10.7.0.2/32\n",
    );
    a.sh("mkdir -p -m 700 /etc/wireguard")?;
    a.write("/etc/wireguard/wg0.conf", file)?;
    a.sh("wg-quick up wg0")?;
    let before = look(&a).without("wg endpoints");
    admin.init_as("old", "10.7.0.0/24", Family::Four);
    admin.ok(&["host", "add", "a", "root@a"]);
    admin.ok(&["import", "--host", "a", "--yes"]);
    admin.ok(&["set", "a", "endpoint=198.51.100.11"]);
    admin.ok(&["add", "remote", "newcomer"]);
    admin.ok(&["deploy", "--yes"]);
    assert_ne!(&a.read("/etc/wireguard/wg0.conf")?, file);
    admin.ok(&["host", "uninstall", "a", "--yes"]);
    assert_eq!(&a.read("/etc/wireguard/wg0.conf")?, file);
    assert_eq!(look(&a).without("wg endpoints").diff(&before), "");
    Ok(())
}

#[test]
fn a_key_is_let_in_once_when_a_host_is_added() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init_as("home", "10.66.0.0/24", Family::Four);
    let directory = tempfile::tempdir().unwrap();
    let identity = directory.path().join("id_new").display().to_string();
    // Without a terminal no key is made behind anybody's back.
    let refused = admin.run(&["host", "add", "a", "root@a", "--install-key", "--identity", &identity]);
    assert_eq!(refused.status, 1, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let arguments = ["host", "add", "a", "root@a", "--install-key", "--identity", &identity, "--yes"];
    let added = admin.json(&arguments);
    assert_eq!((&added["key"]["made"], &added["key"]["added"]), (&Value::Bool(true), &Value::Bool(true)), "{added:#}");
    assert!(added["key"]["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    assert_eq!(added["check"]["ready"], true, "{added:#}");
    let keys = || lab.host("a").read("/root/.ssh/authorized_keys");
    assert_eq!(keys()?.lines().count(), 2);
    let known = lab.host("a").read("/var/lib/wg-friend/installed")?;
    assert!(known.starts_with("key /root/.ssh/authorized_keys ssh-ed25519 "), "{known}");
    // The key alone is enough.
    let alone = format!(
        "ssh -F none -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile={} -i {identity} root@{} true",
        lab.known_hosts().display(),
        lab.host("a").address()
    );
    lab.host("ctl").sh(&alone)?;
    admin.ok(&["host", "remove", "a", "--yes"]);
    let again = admin.json(&arguments[..7]);
    assert_eq!(
        (&again["key"]["made"], &again["key"]["added"]),
        (&Value::Bool(false), &Value::Bool(false)),
        "{again:#}"
    );
    assert_eq!(keys()?.lines().count(), 2);
    // It goes when wg-friend goes; the other one stays.
    admin.ok(&["host", "uninstall", "a", "--yes"]);
    assert_eq!(keys()?.lines().count(), 1);
    Ok(())
}
