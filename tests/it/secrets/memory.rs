//! The memory of the running program: what a core dump, a debugger or a swapped page would hold.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use wg_friend::model::{Actor, Source};
use wg_friend::ops::clock::System;
use wg_friend::ops::network::generate::{self, Request};
use wg_friend::ops::safety::unlock::{Sources, unlock};

use super::scanner::Scanner;
use super::{Known, files_below, network};
use crate::env::PASSPHRASE;

/// A user without rights of his own, for a test that runs as root.
const NOBODY: u32 = 65_534;

/// Tells [`in_a_process_of_its_own`] what to open.
const DATABASE: &str = "WG_FRIEND_TEST_DATABASE";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Copies the readable and writable memory of a process, which only root may, for ours don't let themselves be looked at.
fn memory_of(id: u32) -> std::io::Result<Vec<u8>> {
    let mut memory = std::fs::File::open(format!("/proc/{id}/mem"))?;
    let mut copy = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{id}/maps"))?.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let mut piece = vec![0; usize::try_from(address(to) - address(from)).unwrap()];
        memory.seek(SeekFrom::Start(address(from)))?;
        // Guard pages can't be read; nothing is in them.
        if memory.read_exact(&mut piece).is_ok() {
            copy.extend(piece);
        }
    }
    Ok(copy)
}

/// Makes the network so large that what a command prints doesn't fit into a pipe: until somebody reads on, it stands still
/// in the midst of its work.
fn large_network() -> Known {
    let mut known = network();
    let names: Vec<String> = (1..=240).map(|n| format!("guest-{n}")).collect();
    known.env.ok(&[&["add", "remote"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    for name in &names[..3] {
        let file = String::from_utf8(known.env.ok(&["generate", name]).stdout).unwrap();
        super::learn_file(&mut known.scanner, name, &file);
    }
    known
}

/// Starts a command and waits until it has begun to print what won't fit.
fn halfway(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

#[test]
fn a_locked_program_holds_no_secret_in_its_memory() {
    let Known { env, scanner, _open } = large_network();
    for arguments in [&["list", "--json"][..], &["topology", "--json"], &["audit", "log", "--limit", "1000", "--json"]]
    {
        let mut child = halfway(env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE"));
        let memory = memory_of(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        match memory {
            Ok(memory) => {
                let mut other = Scanner::default();
                other.text("what is shown", "guest-200");
                assert!(!other.find(&memory).is_empty(), "this is not the memory of `{}`", arguments.join(" "));
                scanner.assert_clean(&arguments.join(" "), &memory);
            }
            Err(error) => {
                assert!(!is_root(), "{error}");
                assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "the program can be looked into");
            }
        }
    }
}

#[test]
fn an_unlocked_program_leaves_no_core_and_lets_nobody_but_root_look_into_its_memory() {
    let Known { env, scanner, _open } = large_network();
    let names: Vec<String> = (1..=240).map(|n| format!("guest-{n}")).collect();
    let arguments = [&["generate"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let mut command = env.command(&arguments);
    let user = if is_root() {
        // Run as somebody else, whom the kernel would let look if the program did.
        let program = env.path().join("wg-friend");
        std::fs::copy(env!("CARGO_BIN_EXE_wg-friend"), &program).unwrap();
        let mut ours =
            vec![env.path().to_owned(), env.database().parent().unwrap().to_owned(), env.path().join("data")];
        ours.extend(files_below(env.path()));
        ours.iter().for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
        let environment = env.variables();
        command = Command::new(program);
        command.env_clear().envs(environment).args(&arguments).uid(NOBODY).gid(NOBODY);
        NOBODY
    } else {
        rustix::process::getuid().as_raw()
    };
    let mut child = halfway(&mut command);
    let proc = |file: &str| format!("/proc/{}/{file}", child.id());
    let status = std::fs::read_to_string(proc("status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{user}\t")), "{status}");
    let owner = Path::new(&proc("mem")).metadata().unwrap().uid();
    assert_eq!(owner, 0, "the program is dumpable: its memory belongs to its user");
    let limits = std::fs::read_to_string(proc("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    for file in ["mem", "maps", "environ"] {
        let mut look = Command::new("head");
        look.args(["-c1", &proc(file)]).stdout(Stdio::null()).stderr(Stdio::null());
        if is_root() {
            look.uid(NOBODY).gid(NOBODY);
        }
        assert!(!look.status().unwrap().success(), "its user can read {file}");
    }
    if is_root() {
        // A child that hasn't become another program yet shows what this one shows here.
        let environment = std::fs::read(proc("environ")).unwrap();
        assert!(environment.windows(6).any(|w| w == b"tester"), "this is not its environment");
        scanner.assert_clean("the environment", &environment);
        let found = scanner.find(&memory_of(child.id()).unwrap());
        let key = "first half of the private key of guest-1, as base64";
        assert!(
            found.iter().any(|f| f.what == key),
            "the scanner finds nothing in a program that is unlocked: {found:?}"
        );
    }
    let id = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    // Dumps core as SIGQUIT does, which a job in the background of a script ignores.
    rustix::process::kill_process(id, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn a_program_that_locks_again_has_wiped_what_it_knew() {
    if !is_root() {
        return; // only root may look, see above
    }
    let Known { env, scanner, _open } = network();
    std::fs::write(env.path().join("passphrase"), PASSPHRASE).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "secrets::memory::in_a_process_of_its_own", "--nocapture", "--test-threads=1"]);
    command.env_clear().env(DATABASE, env.database()).current_dir(env.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut at = |word: &str| {
        let mut said = String::new();
        while !said.ends_with(word) {
            let mut byte = [0];
            child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            said.push(char::from(byte[0]));
        }
        let memory = memory_of(child.id()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        memory
    };
    let unlocked = scanner.find(&at("UNLOCKED"));
    assert!(unlocked.iter().any(|f| f.what == "first half of the data key, as bytes"), "{unlocked:?}");
    let locked = at("LOCKED AGAIN");
    child.wait().unwrap();
    scanner.assert_clean("memory after locking", &locked);
}

/// Not a test of its own: the part of the one above whose memory is looked at.
#[test]
fn in_a_process_of_its_own() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let pause = |word: &str| {
        println!("{word}");
        std::io::stdin().read_exact(&mut [0]).unwrap();
    };
    let actor = Actor { operator: "tester".to_owned(), address: None, source: Source::Cli };
    let sources = Sources { file: Some("passphrase".into()), ..Sources::default() };
    let mut store = unlock(database.as_ref(), &sources, &actor, &System).unwrap();
    let secrets = store.secrets().unwrap();
    let files = generate::generate(&mut store, &System, &actor, &Request::default()).unwrap();
    pause("UNLOCKED");
    drop(secrets);
    drop(files);
    let _locked = store.lock();
    pause("LOCKED AGAIN");
}
