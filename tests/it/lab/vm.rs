//! The same program on a real machine: systemd, the kernel's own WireGuard, real reboots. Half a minute a boot, so only
//! under `./test --long`.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Image, Lab, Output, Protocol, Result, Spawned, Spec, Vm};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

/// Says whether the long suites run.
fn long() -> bool {
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    if !long {
        eprintln!("skipped: ./test --long runs it");
    }
    long
}

/// A network whose server is the virtual machine, with a remote in the lab that has its file.
fn network(lab: &Lab) -> Result<(Vm<'_>, Admin<'_>)> {
    let vm = lab.start_vm(&Image::get()?, "vm", "internet", 40)?;
    let admin = Admin::new(lab);
    admin.init("long");
    let endpoint = vm.address().to_string();
    admin.ok(&["add", "server", "vm", "--endpoint", &endpoint, "--address", "10.66.0.1", "--ssh", "deploy@vm"]);
    admin.ok(&["add", "remote", "a"]);
    admin.deploy();
    admin.hand_out("a", str::to_owned)?;
    Ok((vm, admin))
}

fn reaches(lab: &Lab) -> bool {
    let server = addressed("10.66.0.1").parse().unwrap();
    wait_until(Duration::from_secs(60), || lab.reaches("a", server, Protocol::Icmp).unwrap())
}

#[test]
fn what_was_deployed_to_a_real_machine_is_there_again_after_a_reboot_and_after_a_power_cut() -> Result {
    if !long() {
        return Ok(());
    }
    let lab = lab_or_skip!(Spec::pair());
    let (mut vm, admin) = network(&lab)?;
    assert!(vm.sh("ip -d link show wg0")?.contains("wireguard"), "the kernel's own WireGuard");
    assert_eq!(vm.sh("systemctl is-enabled wg-quick@wg0")?, "enabled");
    assert_eq!(vm.sh("systemctl is-active wg-quick@wg0")?, "active");
    assert!(reaches(&lab));
    let before = vm.snapshot()?.without("wg endpoints");

    vm.reboot()?;
    assert_eq!(vm.snapshot()?.without("wg endpoints").diff(&before), "");
    assert!(reaches(&lab));
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);

    vm.reset()?;
    assert_eq!(vm.snapshot()?.without("wg endpoints").diff(&before), "");
    assert!(reaches(&lab));
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

/// Starts a deploy and kills it as soon as the machine shows what it brings: nobody will confirm.
fn unconfirmed(vm: &Vm<'_>, admin: &Admin<'_>) -> Result {
    admin.ok(&["add", "remote", "late"]);
    let deploy = Spawned::start(&mut admin.command(&["deploy", "--yes", "--confirm-timeout", "20"]))?;
    // From the moment that it waits for its confirmation; see the scripts in `templates/host`.
    vm.sh("until test -e /run/wg-friend/deploy/watching; do sleep 0.1; done")?;
    drop(deploy);
    Ok(())
}

#[test]
fn what_nobody_confirms_a_real_machine_takes_back_by_its_timer_and_by_a_reboot() -> Result {
    if !long() {
        return Ok(());
    }
    let lab = lab_or_skip!(Spec::pair());
    let (mut vm, admin) = network(&lab)?;
    let before = vm.snapshot()?.without("wg endpoints");
    let as_before = |vm: &Vm<'_>| vm.snapshot().unwrap().without("wg endpoints").diff(&before);

    unconfirmed(&vm, &admin)?;
    // Twenty seconds, and the machine is slow: a snapshot alone takes it some.
    assert!(wait_until(Duration::from_secs(120), || as_before(&vm).is_empty()), "{}", as_before(&vm));
    assert!(wait_until(Duration::from_secs(30), || vm.run("test -e /run/wg-friend/deploy").unwrap().status == 1));
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 3);
    admin.ok(&["remove", "late", "--yes"]);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);

    unconfirmed(&vm, &admin)?;
    vm.reset()?;
    assert_eq!(as_before(&vm), "");
    assert!(reaches(&lab));
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 3);
    admin.deploy();
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

/// Puts the program itself on the machine, without what only a debugger reads: that is most of it.
fn put_the_program(lab: &Lab) -> Result {
    let smaller = tempfile::NamedTempFile::new()?;
    let built = super::office::program();
    let stripped = Output::of(Command::new("strip").arg("-o").arg(smaller.path()).arg(built))?;
    assert_eq!(stripped.status, 0, "{}", stripped.stderr);
    let mut put = lab.controller().expect("the lab has one").command("ssh");
    put.args(["vm", "cat >/usr/local/bin/wg-friend && chmod 755 /usr/local/bin/wg-friend"]);
    let put = Output::of(put.stdin(File::open(smaller.path())?))?;
    assert_eq!(put.status, 0, "{}", put.stderr);
    Ok(())
}

#[test]
fn timers_do_their_work_under_systemd_when_their_time_comes_and_go_without_a_trace() -> Result {
    if !long() {
        return Ok(());
    }
    let lab = lab_or_skip!(Spec::pair());
    let vm = lab.start_vm(&Image::get()?, "vm", "internet", 40)?;
    put_the_program(&lab)?;
    vm.sh("install -D -m 600 /dev/null /etc/wg-friend/passphrase && echo correct-horse >/etc/wg-friend/passphrase")?;
    let run = |line: &str| vm.sh(&format!("wg-friend --passphrase-file /etc/wg-friend/passphrase --yes {line}"));
    run("init --name office --cidr 10.66.0.0/24 --kdf light --server hub --endpoint 192.0.2.1")?;
    run("backup schedule --to /root/backups --install")?;
    run("rotation schedule --install")?;
    run("sync --install")?;
    for job in ["backup", "rotation", "sync"] {
        assert_eq!(vm.sh(&format!("systemctl is-active wg-friend-{job}.timer"))?, "active");
        let begun =
            vm.run(&format!("systemctl start wg-friend-{job} || {{ journalctl -u wg-friend-{job} -n 20; exit 1; }}"))?;
        assert_eq!(begun.status, 0, "{job}: {}{}", begun.stdout, begun.stderr);
    }
    let backups = || vm.sh("ls /root/backups").unwrap().lines().count();
    assert_eq!(backups(), 1);

    // It is tomorrow. Whenever the clock is set, systemd thinks up another delay, so here there is none.
    vm.sh("mkdir /etc/systemd/system/wg-friend-backup.timer.d
         printf '[Timer]\\nRandomizedDelaySec=0\\n' >/etc/systemd/system/wg-friend-backup.timer.d/at-once.conf
         systemctl daemon-reload; systemctl restart wg-friend-backup.timer
         timedatectl set-ntp false 2>/dev/null; date -s 'tomorrow 02:59:55'")?;
    assert!(wait_until(Duration::from_secs(120), || backups() == 2), "{}", vm.sh("systemctl list-timers --all")?);
    let result =
        || vm.sh("for p in ActiveState Result; do systemctl show -P $p wg-friend-backup.service; done").unwrap();
    assert!(wait_until(Duration::from_secs(60), || result() == "inactive\nsuccess"), "{}", result());
    let listed = run("backup list --json")?;
    assert_eq!(listed.matches("\"verified\": \"").count(), 2, "{listed}");

    run("backup schedule --uninstall")?;
    run("rotation schedule --uninstall")?;
    run("sync --uninstall")?;
    assert_eq!(vm.sh("systemctl list-timers --all | grep -c wg-friend; true")?, "0");
    let left = "ls /etc/systemd/system /etc/systemd/system/timers.target.wants | grep wg-friend; true";
    assert_eq!(vm.sh(left)?, "wg-friend-backup.timer.d", "what the test itself put there");
    Ok(())
}
