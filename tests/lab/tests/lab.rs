//! The lab keeps its own promises: what it starts works, what it breaks heals, and it leaves nothing behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wg_friend_lab::process::{Process, wait_until};
use wg_friend_lab::{HostSpec, Lab, Mishap, Network, Probe, Protocol, Result, Spawned, Spec, Sudo, lab_or_skip};

/// Two hosts with a tunnel between them, set up by hand.
fn tunnel(lab: &Lab) -> Result {
    let keys = lab.host("a").sh("for i in 1 2; do k=$(wg genkey); echo $k; echo $k | wg pubkey; done")?;
    let keys: Vec<&str> = keys.lines().collect();
    let config = |own: &str, address: &str, peer: &str, allowed: &str, endpoint: &str| {
        format!(
            "[Interface]\nPrivateKey = {own}\nListenPort = 51820\nAddress = {address}/24\n\
             [Peer]\nPublicKey = {peer}\nAllowedIPs = {allowed}/32\nEndpoint = {endpoint}:51820\n"
        )
    };
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (address_a, address_b) = (a.address().to_string(), b.address().to_string());
    a.write("/etc/wireguard/wg0.conf", config(keys[0], "10.9.0.1", keys[3], "10.9.0.2", &address_b))?;
    b.write("/etc/wireguard/wg0.conf", config(keys[2], "10.9.0.2", keys[1], "10.9.0.1", &address_a))?;
    for host in [a, b] {
        host.sh("wg-quick up wg0")?;
    }
    Ok(())
}

#[test]
fn a_tunnel_made_by_hand_carries_packets_and_comes_back_after_a_reboot_if_the_host_says_so() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    tunnel(&lab)?;
    let ten = "10.9.0.2".parse().unwrap();
    assert!(lab.reaches("a", ten, Protocol::Icmp)?);

    lab.host("b").write("/etc/rc.local", "#!/bin/sh\nwg-quick up wg0\n")?;
    lab.host("b").sh("chmod 755 /etc/rc.local")?;
    lab.host("b").reboot()?;
    assert!(lab.reaches("b", "10.9.0.1".parse().unwrap(), Protocol::Icmp)?);
    assert!(lab.reaches("a", ten, Protocol::Icmp)?);

    lab.host("b").kill_wireguard("wg0")?;
    assert!(!lab.reaches("a", ten, Protocol::Icmp)?);
    Ok(())
}

#[test]
fn the_office_starts_in_seconds_and_everyone_is_where_the_spec_says() -> Result {
    let begun = Instant::now();
    let lab = lab_or_skip!(Spec::office());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let address = |name: &str| lab.host(name).address();
    let probe = |from: &str, to, protocol| Probe { from: from.to_owned(), to, protocol };
    let probes = [
        probe("hub", address("remote1"), Protocol::Icmp),
        probe("remote1", address("www"), Protocol::Tcp(80)),
        probe("remote1", lab.host("www").address6().unwrap(), Protocol::Icmp),
        probe("pc-a", address("router-a"), Protocol::Icmp),
        probe("remote8", address("hub"), Protocol::Tcp(22)),
        probe("hub", address("pc-a"), Protocol::Icmp),
        probe("hub", address("remote8"), Protocol::Icmp),
    ];
    assert_eq!(lab.reach(&probes)?, [true, true, true, true, true, false, false]);
    assert_eq!(lab.seen_address("remote1")?, Some(address("remote1")));
    assert_eq!(lab.seen_address6("remote1")?, lab.host("remote1").address6());
    assert_eq!(lab.seen_address("remote8")?, Some(address("nat")), "the last remote is behind a NAT");
    assert_eq!(lab.seen_address("pc-a")?, None, "a LAN has no way out of its own");

    let mut logins: Vec<(String, Spawned)> = Vec::new();
    for host in lab.hosts().filter(|h| h.spec.ssh.is_some()) {
        for user in ["root", "deploy"] {
            let mut ssh = lab.command("ctl", "ssh", &[&format!("{user}@{}", host.name()), "hostname; sudo -n id -u"]);
            let running = Spawned::start(ssh.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
            logins.push((host.name().to_owned(), running));
        }
    }
    assert_eq!(logins.len(), 2 * 14);
    for (name, login) in logins {
        let output = login.finish()?;
        assert_eq!(output.stdout, format!("{name}\n0\n"), "{}", output.stderr);
    }
    Ok(())
}

#[test]
fn a_reboot_keeps_the_disk_and_forgets_what_the_kernel_knew() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let a = lab.host("a");
    a.write("/etc/wireguard/kept.conf", "kept")?;
    let before = a.snapshot()?;
    a.sh("ip link add d0 type bridge && ip addr add 10.1.1.1/24 dev d0 && ip link set d0 up && ip rule add fwmark 7 table 7 && \
          ip route add 10.2.0.0/16 dev d0 table 7 && sysctl -qw net.ipv4.ip_forward=1 && nft add table inet left && \
          ip addr add 10.3.3.3/32 dev eth0 && touch /run/left /tmp/left")?;
    let daemon = a.spawn("exec sleep 1000")?;
    let diff = a.snapshot()?.diff(&before);
    for part in ["10.1.1.1", "d0:", "fwmark 0x7", "10.2.0.0/16", "ip_forward = 1", "table inet left", "10.3.3.3"] {
        assert!(diff.contains(part), "{part} is missing in\n{diff}");
    }
    let process = daemon.process().unwrap();

    a.reboot()?;

    assert_eq!(a.snapshot()?.diff(&before), "");
    assert_eq!(a.read("/etc/wireguard/kept.conf")?, "kept");
    assert!(!a.run("ls /run/left /tmp/left")?.success());
    assert!(!process.alive());
    assert_eq!(a.boots(), 2);
    assert!(lab.reaches("b", a.address(), Protocol::Tcp(22))?);
    Ok(())
}

#[test]
fn a_host_with_systemd_boots_starts_enabled_units_and_has_systemctl_while_others_have_not() -> Result {
    let spec = Spec::pair().with("b", HostSpec::systemd);
    let lab = lab_or_skip!(spec);
    assert!(!lab.host("a").run("systemctl --version")?.success());
    let b = lab.host("b");
    b.write(
        "/etc/systemd/system/mark.service",
        "[Service]\nType=oneshot\nExecStart=/bin/touch /run/marked\n[Install]\nWantedBy=multi-user.target\n",
    )?;
    let before = b.snapshot()?;
    b.sh("systemctl enable mark")?;
    assert!(
        b.snapshot()?.diff(&before).contains("[file /etc/systemd/system/multi-user.target.wants/mark.service] is new")
    );
    b.reboot()?;
    b.sh("test -e /run/marked")?;
    let timer = "systemd-run --quiet --on-active=0.1 --timer-property=AccuracySec=10ms touch /run/late";
    b.sh(timer)?;
    assert!(wait_until(Duration::from_secs(20), || b.run("test -e /run/late").is_ok_and(|o| o.success())));
    assert_eq!(lab.command("ctl", "ssh", &["b", "hostname"]).output().unwrap().stdout, b"b\n");
    Ok(())
}

#[test]
fn the_network_drops_what_it_is_told_to_and_heals() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let (a, b) = (lab.host("a").address(), lab.host("b").address());
    let probes = [
        Probe { from: "b".to_owned(), to: a, protocol: Protocol::Icmp },
        Probe { from: "b".to_owned(), to: a, protocol: Protocol::Tcp(22) },
        Probe { from: "a".to_owned(), to: b, protocol: Protocol::Tcp(22) },
    ];
    lab.drop_packets("a", "tcp dport 22")?;
    assert_eq!(lab.reach(&probes)?, [true, false, false]);
    lab.drop_packets("a", "")?;
    assert_eq!(lab.reach(&probes)?, [false, false, false]);
    lab.host("a").reboot()?;
    assert_eq!(lab.reach(&probes[..1])?, [false], "the network's faults outlive a host's boot");
    lab.heal("a")?;
    assert_eq!(lab.reach(&probes)?, [true, true, true]);
    lab.limit_rate("a", "100kbit")?;
    lab.heal("a")?;
    assert!(lab.drop_packets("a", "nonsense 5").is_err());

    let stream = lab.ping_stream("b", &a.to_string(), 100)?;
    lab.drop_packets("a", "numgen random mod 100 < 50")?;
    wait_until(Duration::from_secs(2), || false);
    lab.heal("a")?;
    let report = stream.stop()?;
    assert!(report.sent > 100 && report.lost > report.sent / 4, "{report:?}");
    Ok(())
}

#[test]
fn a_stream_of_pings_over_a_quiet_network_loses_nothing() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let stream = lab.ping_stream("a", "198.51.100.12", 100)?;
    wait_until(Duration::from_secs(2), || false);
    let report = stream.stop()?;
    assert!(report.sent > 100 && report.lost == 0, "{report:?}");
    Ok(())
}

#[test]
fn a_host_loses_commands_disk_and_sshd_and_gets_them_back() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let a = lab.host("a");
    let before = a.snapshot()?;
    a.take_away("nft")?;
    assert!(!a.run("nft list ruleset")?.success());
    a.put_back("nft")?;
    a.sh("nft list ruleset")?;

    a.at_call("wg", 2, &Mishap::Fails)?;
    let status: Vec<bool> = (0..3).map(|_| a.run("wg show").is_ok_and(|o| o.success())).collect();
    assert_eq!(status, [true, false, true]);
    assert_eq!(a.calls("wg")?, 3);
    a.put_back("wg")?;

    a.at_call("nft", 1, &Mishap::FailsAfterwards)?;
    assert!(!a.run("nft add table inet half")?.success());
    a.put_back("nft")?;
    a.sh("nft delete table inet half")?;

    a.at_call("wg", 1, &Mishap::First("touch /tmp/first".to_owned()))?;
    a.sh("wg show && test -e /tmp/first")?;
    a.put_back("wg")?;

    assert!(!a.hangs() && a.let_go().is_err(), "its own process 1 sleeps, too");
    a.at_call("wg", 1, &Mishap::Hangs)?;
    let hanging = a.spawn("wg show")?;
    assert!(wait_until(Duration::from_secs(5), || a.hangs()));
    a.let_go()?;
    assert!(!hanging.finish()?.success() && !a.hangs());
    a.put_back("wg")?;

    a.fill_disk()?;
    assert!(!a.run("echo text >/etc/wireguard/x")?.success());
    a.free_disk()?;
    a.sh("rm -f /etc/wireguard/x")?;
    a.fill_run()?;
    assert!(!a.run("echo text >/run/x")?.success());
    a.sh("echo text >/etc/wireguard/y && rm /etc/wireguard/y")?;
    a.free_run()?;

    a.stop_sshd()?;
    assert!(!lab.reaches("b", a.address(), Protocol::Tcp(22))?);
    a.start_sshd()?;
    assert!(lab.reaches("b", a.address(), Protocol::Tcp(22))?);

    let mut ssh = lab.command("ctl", "ssh", &["a", "echo in; exec sleep 1000"]);
    let mut session = Spawned::start(ssh.stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let stdout = session.child().stdout.take().unwrap();
    assert_eq!(BufReader::new(stdout).lines().next().unwrap().unwrap(), "in");
    a.cut_ssh()?;
    assert!(wait_until(Duration::from_secs(5), || session.ended()));
    assert!(lab.reaches("b", a.address(), Protocol::Tcp(22))?);
    assert_eq!(a.snapshot()?.diff(&before), "");
    Ok(())
}

#[test]
fn hosts_differ_in_sudo_port_and_what_is_installed() -> Result {
    let spec = Spec::default()
        .network(Network::routed("net", &["198.51.100.0/24"]))
        .host(HostSpec::new("ctl").on("net", 2).controller())
        .host(HostSpec::new("odd").on("net", 3).ssh(Some(2222)).sudo(Sudo::Password).without(&["wg"]))
        .host(HostSpec::new("bare").on("net", 4).sudo(Sudo::None));
    let lab = lab_or_skip!(spec);
    let ssh = |to: &str, line: &str| {
        let output = lab.command("ctl", "ssh", &[to, line]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(ssh("odd", "true").0);
    assert!(!ssh("odd", "command -v wg").0);
    let (done, why) = ssh("deploy@odd", "sudo -n true");
    assert!(!done && why.contains("password"), "{why}");
    let (done, why) = ssh("deploy@bare", "sudo -n true");
    assert!(!done && why.contains("not found"), "{why}");
    Ok(())
}

#[test]
fn what_the_controller_runs_keeps_its_environment_and_directory_and_dies_when_killed() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let here = tempdir("ctl");
    let output = lab
        .command("ctl", "sh", &["-c", "pwd; echo $GREETING; cat"])
        .env("GREETING", "hello")
        .current_dir(&here)
        .output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(output, format!("{}\nhello\n", std::env::current_dir().unwrap().display()));
    // Killed at the first sight of it: the program may not even be the one that was asked for yet.
    for _ in 0..20 {
        let sleeper = Spawned::start(&mut lab.command("ctl", "sleep", &["1000"]))?;
        let begun = Instant::now();
        let program = loop {
            if let Some(program) = sleeper.process() {
                break program;
            }
            assert!(begun.elapsed() < Duration::from_secs(5));
        };
        drop(sleeper);
        assert!(program.wait(Duration::from_secs(5)));
    }
    std::fs::remove_dir(here).unwrap();
    Ok(())
}

#[test]
fn two_labs_at_once_do_not_see_each_other() -> Result {
    let one = lab_or_skip!(Spec::pair());
    let two = lab_or_skip!(Spec::pair());
    one.host("a").sh("echo one >/etc/wireguard/mark")?;
    assert!(!two.host("a").run("cat /etc/wireguard/mark")?.success());
    one.drop_packets("a", "")?;
    assert!(two.reaches("b", two.host("a").address(), Protocol::Icmp)?);
    one.down()?;
    assert!(two.reaches("b", two.host("a").address(), Protocol::Icmp)?);
    Ok(())
}

/// What a lab consists of while it runs: its processes, and its namespaces, held open so that no other lab gets their
/// numbers in the meantime.
struct Traces {
    processes: Vec<Process>,
    namespaces: BTreeMap<String, File>,
}

const KINDS: [&str; 5] = ["net", "mnt", "pid", "uts", "ipc"];

fn namespace(process: &str, kind: &str) -> Option<String> {
    let name = std::fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
    Some(name.to_string_lossy().into_owned())
}

impl Traces {
    fn of(lab: &Lab) -> Self {
        let warden = std::fs::read_to_string(lab.dir().join("warden")).unwrap();
        let warden = Process::running(warden.split(' ').next().unwrap().parse().unwrap()).unwrap();
        let mut processes = warden.descendants();
        assert!(processes.contains(&lab.host("a").init().unwrap()));
        let own = KINDS.map(|kind| namespace("self", kind).unwrap());
        let mut namespaces = BTreeMap::new();
        for process in &processes {
            for kind in KINDS {
                let Ok(file) = File::open(format!("/proc/{}/ns/{kind}", process.id)) else { continue };
                let name = namespace("self", &format!("../fd/{}", file.as_raw_fd())).unwrap();
                if !own.contains(&name) {
                    namespaces.insert(name, file);
                }
            }
        }
        processes.push(warden);
        Self { processes, namespaces }
    }

    fn are_gone(&self, dir: &Path) {
        let limit = Duration::from_secs(10);
        assert!(wait_until(limit, || !dir.exists()), "{} is still there", dir.display());
        for process in &self.processes {
            assert!(process.wait(limit), "process {process:?} outlived the lab");
        }
        let inside =
            |id: &str| KINDS.iter().any(|k| namespace(id, k).is_some_and(|n| self.namespaces.contains_key(&n)));
        let ids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().into_string().ok());
        let runs = |id: &str| id.parse().is_ok_and(|id| Process::running(id).is_some());
        let left: Vec<String> = ids.filter(|id| runs(id) && inside(id)).collect();
        assert!(left.is_empty(), "processes {left:?} are still in the lab's namespaces");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*dir.to_string_lossy()), "{mounts}");
    }
}

#[test]
fn a_lab_leaves_no_process_namespace_mount_link_or_file() -> Result {
    let spec = Spec::pair().with("b", HostSpec::systemd);
    let before = std::fs::read_to_string("/proc/net/dev").map(|t| t.lines().count()).unwrap();
    let lab = lab_or_skip!(spec);
    tunnel(&lab)?;
    lab.host("a").reboot()?;
    lab.host("a").sh("setsid sleep 1000 </dev/null >/dev/null 2>&1 &")?;
    let traces = Traces::of(&lab);
    assert!(traces.processes.len() > 10 && traces.namespaces.len() > 10);
    let dir = lab.dir().to_owned();
    let group = std::fs::read_to_string(dir.join("cgroup")).unwrap();
    assert!(Path::new(group.trim()).is_dir());
    lab.down()?;
    traces.are_gone(&dir);
    assert!(!Path::new(group.trim()).exists());
    assert_eq!(std::fs::read_to_string("/proc/net/dev").map(|t| t.lines().count()).unwrap(), before);
    Ok(())
}

/// Not a test of its own: the process that the next tests kill. It makes a lab, says where, and waits.
#[test]
fn owner_that_is_killed() -> Result {
    if std::env::var_os("LAB_TEST_OWNER").is_some() {
        let lab = lab_or_skip!(Spec::pair());
        eprintln!("lab at {}", lab.dir().display());
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

fn an_owner_dies_of(signal: rustix::process::Signal) -> Result {
    if Lab::available().is_err() {
        return Lab::up_or_skip(&Spec::pair()).map(drop);
    }
    // Whoever runs the tests in the background of a shell has them ignore the signal.
    let mut owner = Command::new("env");
    owner
        .arg("--default-signal=INT")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "owner_that_is_killed", "--nocapture"])
        .env("LAB_TEST_OWNER", "1");
    let mut owner = Spawned::start(owner.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let mut lines = BufReader::new(owner.child().stderr.take().unwrap()).lines();
    let dir = lines.find_map(|l| l.unwrap().strip_prefix("lab at ").map(str::to_owned)).unwrap();
    let lab = Lab::attach(Path::new(&dir).file_name().unwrap().to_str().unwrap())?;
    let traces = Traces::of(&lab);
    Process::running(owner.child().id().cast_signed()).unwrap().signal(signal);
    owner.child().wait().unwrap();
    traces.are_gone(Path::new(&dir));
    Ok(())
}

#[test]
fn a_lab_dies_with_an_owner_that_is_killed() -> Result {
    an_owner_dies_of(rustix::process::Signal::KILL)
}

#[test]
fn a_lab_dies_with_an_owner_that_is_interrupted() -> Result {
    an_owner_dies_of(rustix::process::Signal::INT)
}

#[test]
fn files_left_by_a_lab_whose_warden_was_killed_go_at_the_next_start() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let traces = Traces::of(&lab);
    let dir = lab.dir().to_owned();
    traces.processes.last().unwrap().kill(); // the warden
    for process in &traces.processes {
        process.kill();
        assert!(process.wait(Duration::from_secs(10)));
    }
    assert!(dir.exists());
    let next = lab_or_skip!(Spec::pair());
    traces.are_gone(&dir);
    drop(next);
    drop(lab);
    Ok(())
}

#[test]
fn a_detached_lab_outlives_its_maker_and_is_found_by_name() -> Result {
    if Lab::available().is_err() {
        return Lab::up_or_skip(&Spec::pair()).map(drop);
    }
    let name = format!("kept-{}", std::process::id());
    drop(Lab::up_as(&name, &Spec::pair(), true)?);
    assert!(Lab::all()?.contains(&name));
    assert!(Lab::up_as(&name, &Spec::pair(), true).is_err());
    let lab = Lab::attach(&name)?;
    assert_eq!(lab.spec, Spec::pair());
    assert_eq!(lab.host("a").sh("hostname")?, "a");
    let dir = lab.dir().to_owned();
    lab.down()?;
    assert!(!dir.exists());
    assert!(Lab::attach(&name).is_err());
    Ok(())
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("wg-friend-lab-test-{name}-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    dir
}
