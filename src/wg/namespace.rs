//! A place for tests to try things for real: network, mount and process namespaces of their own, in which nothing that
//! a test does touches this machine, and which end with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// Files that the script finds in `/etc/wireguard`, by name.
pub(crate) type Files<'a> = &'a [(&'a str, &'a str)];

/// Runs a shell script in namespaces of its own; `None` when that isn't permitted here, or one of the commands it needs
/// isn't installed. Where everything has to be there (`CI`), that is a failure.
pub(crate) fn run(script: &str, needs: &[&str], files: Files<'_>) -> Option<Output> {
    let present = needs.iter().map(|command| format!("command -v {command} && ")).collect::<String>();
    if !shell(&format!("{present} true")).output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces and {needs:?} are needed here");
        eprintln!("skipped: needs {needs:?} and the permission to make namespaces");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let prepare = "set -e; mkdir -p /etc/wireguard; mount --bind \"$FILES\" /etc/wireguard; mount -t tmpfs none /run\n";
    let mut command = shell(&format!("{prepare}{script}"));
    Some(command.env("FILES", directory.path()).output().unwrap())
}

fn shell(script: &str) -> Command {
    // A script that waits for what never comes is ended, and its namespaces with it; of other signals unshare(1) takes no note.
    let mut command = Command::new("timeout");
    command
        .args([
            "--signal=KILL",
            "120",
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c"])
        .arg(script);
    command
}

/// Returns what a script printed, which must have succeeded.
pub(crate) fn printed(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    stdout.into_owned()
}
