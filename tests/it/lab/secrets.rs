//! Nothing secret is said on the way to a host: not in the arguments or the environment of any program, here or there, and
//! not in any file but those of /etc/wireguard.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use wg_friend_lab::{Host, Lab, Result, Spec};

use super::family::lab_or_skip;
use super::office::Admin;
use crate::secrets::{files_below, learn_file, scanner::Scanner};

/// The passphrase that [`Admin`] gives to the program in its environment.
const PASSPHRASE: &str = "correct horse battery staple";

/// Programs that the scripts run on a host; each is replaced by one that writes down how it was called.
const CALLED: &str = "awk cat chmod cmp cp cut date dd find grep head id ip iptables ls mkdir mktemp modprobe mv nft ping \
    printf resolvconf rm rmdir sed setsid sh sha256sum sleep sort stat sudo sync sysctl tee touch tr wg wg-quick wireguard-go xargs";

/// Replaces the programs of a host. What it then sees is in /opt/trace: arguments and environment of every call.
fn trace_calls(host: &Host<'_>) -> Result {
    host.sh(&format!(
        r#"mkdir -p /opt/trace && chmod 1777 /opt/trace && touch /opt/begun
        for name in {CALLED}; do
            real=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$name") && [ -x "$real" ] || continue
            cat >/usr/local/sbin/$name <<END
#!/bin/sh
/usr/bin/cat /proc/\$\$/cmdline /proc/\$\$/environ >/opt/trace/$name.\$\$.\$PPID 2>/dev/null
exec $real "\$@"
END
            chmod 755 /usr/local/sbin/$name
        done"#
    ))
    .map(drop)
}

/// Reads as one archive every file below these directories that was written since [`trace_calls`], but none below
/// /etc/wireguard.
fn written(host: &Host<'_>, directories: &str) -> Result<Vec<u8>> {
    let line = format!(
        "cd / && find {directories} -path ./etc/wireguard -prune -o -type f -cnewer /opt/begun -print0 2>/dev/null \
         | tar -c --null -T - 2>/dev/null"
    );
    Ok(host.command("/bin/sh").args(["-c", &format!("PATH=/usr/bin:/bin; {line}")]).output()?.stdout)
}

/// Everywhere that a host can write to.
const WRITABLE: &str = "./etc ./home ./root ./run ./tmp ./var ./usr/local ./dev/shm ./mnt ./srv";

/// Reads the arguments and the environment of every process of a lab, again and again.
struct Watch {
    stop: std::sync::Arc<AtomicBool>,
    thread: JoinHandle<HashSet<Vec<u8>>>,
}

impl Watch {
    fn begin(lab: &Lab) -> Result<Self> {
        let network = |id: i32| std::fs::read_link(format!("/proc/{id}/ns/net"));
        let ours = lab.hosts().map(|host| Ok(network(host.init()?.id)?)).collect::<Result<BTreeSet<PathBuf>>>()?;
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = HashSet::new();
            while !stopped.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                    if network(id).is_ok_and(|network| ours.contains(&network)) {
                        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
                        // What wg-friend itself, and what enters the controller for it, was given is the caller's doing.
                        // The environment is read between two looks at the arguments: a process that becomes wg-friend
                        // meanwhile had other arguments before, and has none for a moment in between.
                        let (before, environment, after) = (read("cmdline"), read("environ"), read("cmdline"));
                        let by_caller = |line: &[u8]| line.split(|b| *b == 0).any(|word| word.ends_with(b"/wg-friend"));
                        if !by_caller(&before) && !by_caller(&after) {
                            seen.insert(environment);
                        }
                        seen.extend([before, after]);
                    }
                }
            }
            seen
        });
        Ok(Self { stop, thread })
    }

    fn end(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().into_iter().collect::<Vec<_>>().join(&b'\n')
    }
}

/// Learns the keys of all nodes, as they are now.
fn learn(admin: &Admin<'_>, scanner: &mut Scanner) {
    for node in admin.json(&["list"])["nodes"].as_array().unwrap() {
        let name = node["name"].as_str().unwrap();
        learn_file(scanner, name, &admin.ok(&["generate", name]));
    }
}

#[test]
fn a_deploy_shows_no_secret_to_other_processes_and_leaves_none_outside_of_etc_wireguard() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init("office");
    admin.ok(&["add", "server", "hub", "--endpoint", &lab.host("a").address().to_string(), "--ssh", "a"]);
    admin.ok(&["add", "exit", "exit", "--endpoint", &lab.host("b").address().to_string(), "--ssh", "deploy@b"]);
    admin.ok(&["add", "remote", "alice", "bob", "--exit", "exit"]);
    let mut scanner = Scanner::default();
    scanner.text("the passphrase", PASSPHRASE);
    learn(&admin, &mut scanner);
    for host in ["a", "b"] {
        trace_calls(&lab.host(host))?;
    }

    let watch = Watch::begin(&lab)?;
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let output = admin.run(arguments);
        assert_eq!(output.status, 0, "{arguments:?}: {}{}", output.stdout, output.stderr);
        said.extend([output.stdout, output.stderr]);
    };
    run(&["host", "check"]);
    run(&["plan", "-vv"]);
    run(&["deploy", "--yes", "-vv"]);
    // A second deploy changes keys of interfaces and links that are up; a third takes a peer away.
    run(&["rotate", "hub", "--reason", "yearly"]);
    run(&["rotate", "alice", "--reason", "phone lost"]);
    learn(&admin, &mut scanner);
    run(&["deploy", "--yes", "--json"]);
    run(&["remove", "bob", "--yes"]);
    run(&["plan", "--json"]);
    run(&["deploy", "--yes"]);
    for arguments in
        [&["status", "--live"][..], &["log", "hub", "--limit", "100"], &["log", "exit", "--json"], &["audit", "log"]]
    {
        run(arguments);
    }
    scanner.assert_clean("what was said", said.as_bytes());
    scanner.assert_clean("the arguments and environments that were seen", &watch.end());

    for host in ["a", "b"].map(|name| lab.host(name)) {
        let calls = written(&host, "./opt/trace")?;
        let names = host.sh("/usr/bin/ls /opt/trace")?;
        for program in ["wg", "nft", "ip", "wg-quick", "sed", "sh"] {
            assert!(names.lines().any(|n| n.starts_with(&format!("{program}."))), "{program} was not called: {names}");
        }
        scanner.assert_clean(&format!("how programs were called on {}", host.name()), &calls);
        let left = written(&host, WRITABLE)?;
        let record = b"var/lib/wg-friend/deployed";
        assert!(left.windows(record.len()).any(|w| w == record), "{} bytes are not all that was written", left.len());
        scanner.assert_clean(&format!("a file on {}", host.name()), &left);
        let modes = host.sh("/usr/bin/stat -c '%a %U %n' /etc/wireguard /etc/wireguard/*")?;
        for (number, line) in modes.lines().enumerate() {
            let wanted = if number == 0 { "700 root " } else { "600 root " };
            assert!(line.starts_with(wanted), "{modes}");
        }
        assert!(!scanner.find(host.read("/etc/wireguard/wg0.conf")?.as_bytes()).is_empty());
    }
    let command = admin.command(&[]);
    let home = command.get_envs().find(|(name, _)| *name == "HOME").and_then(|(_, value)| value).unwrap();
    for file in files_below(home.as_ref()).iter().filter(|file| file.is_file()) {
        scanner.assert_clean(&file.display().to_string(), &std::fs::read(file)?);
    }
    the_same_looks_find_what_is_planted(&lab, &scanner)
}

/// Shows that every look above would have seen a secret.
fn the_same_looks_find_what_is_planted(lab: &Lab, scanner: &Scanner) -> Result {
    let host = lab.host("a");
    let key = host.sh("/usr/bin/wg show wg0 private-key")?;
    let watch = Watch::begin(lab)?;
    host.sh(&format!("SECRET={key} /bin/sh -c 'sleep 0.3; :' ; wg show {key} >/dev/null 2>&1 || :"))?;
    host.sh(&format!("echo {key} >>/root/.bash_history"))?;
    assert!(!scanner.find(&watch.end()).is_empty());
    assert!(!scanner.find(&written(&host, "./opt/trace")?).is_empty());
    assert!(!scanner.find(&written(&host, WRITABLE)?).is_empty());
    Ok(())
}
