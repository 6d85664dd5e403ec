//! Signed heads, proofs and exports, checked by a script that knows nothing of wg-friend but its formats.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;

/// A network, the public key of its log, and the script that checks.
struct Lab {
    env: TestEnv,
}

/// `None`, and says so, on a machine without the programs that the script needs.
fn lab() -> Option<Lab> {
    for (program, argument, package) in [("python3", "--version", "python3"), ("openssl", "version", "openssl")] {
        if !Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: {program} doesn't run here (Debian: {package})");
            return None;
        }
    }
    Some(Lab { env: TestEnv::with_nodes() })
}

impl Lab {
    fn file(&self, name: &str) -> PathBuf {
        self.env.path().join(name)
    }

    /// Runs a command and keeps what it printed in a file.
    fn keep(&self, name: &str, arguments: &[&str]) -> String {
        let file = self.file(name);
        fs::write(&file, self.env.ok(arguments).stdout).unwrap();
        file.display().to_string()
    }

    /// What the script says of files: `in order: ...` or `WRONG: ...`.
    fn check(&self, files: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/audit-check.py");
        let key = String::from_utf8(self.env.ok(&["audit", "checkpoint", "--key"]).stdout).unwrap();
        let output = Command::new("python3").arg(script).arg(key.trim()).args(files).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.success(), out.starts_with("in order: "), "{out}{err}");
        assert!(!err.contains("Traceback"), "{err}");
        format!("{out}{err}").trim().to_owned()
    }

    /// Changes a file as somebody would who wants it to say something else.
    fn forge(&self, name: &str, from: &str, to: &str) -> String {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{text}");
        let forged = self.file(&format!("forged-{name}"));
        fs::write(&forged, text.replacen(from, to, 1)).unwrap();
        forged.display().to_string()
    }
}

#[test]
fn an_entry_is_proven_to_someone_without_the_database() {
    let Some(lab) = lab() else { return };
    let proof = lab.keep("proof.json", &["audit", "prove", "4"]);
    assert!(lab.check(&[&proof]).starts_with("in order: 1 of "));
    assert!(fs::metadata(&proof).unwrap().len() < 2048);
    for (from, to) in [
        ("peer_added", "peer_removed"),
        ("\"id\":4", "\"id\":5"),
        ("tester", "nobody"),
        ("\"address\":null", "\"address\":\"\""),
    ] {
        let forged = lab.forge("proof.json", from, to);
        assert_eq!(
            lab.check(&[&forged]),
            format!("WRONG: entry {} is not what was signed", if to.ends_with('5') { 5 } else { 4 })
        );
    }
    let forged = lab.forge("proof.json", "time 20", "time 19");
    assert_eq!(lab.check(&[&forged]), "WRONG: the signature of the head");

    // Against a checkpoint it takes no passphrase, and says the same tomorrow.
    let head = lab.env.json(&["audit", "checkpoint"]);
    let size = head["size"].as_u64().unwrap().to_string();
    lab.env.ok(&["set", "alice-phone", "notes=later"]);
    let mut command = lab.env.command(&["audit", "prove", "4", "--checkpoint", &size]);
    let output = command.env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    fs::write(lab.file("old.json"), output.stdout).unwrap();
    let old = lab.file("old.json").display().to_string();
    assert_eq!(lab.check(&[&old]), format!("in order: 1 of {size} entries: 4"));
    assert!(lab.env.refused(&["audit", "prove", "4", "--checkpoint", "3"]).contains("none was kept after entry 3"));
    let later =
        lab.env.refused(&["audit", "prove", &(head["size"].as_u64().unwrap() + 1).to_string(), "--checkpoint", &size]);
    assert!(later.contains("it is later than the checkpoint"), "{later}");
    assert!(lab.env.refused(&["audit", "prove", "999"]).contains("there is no audit entry `999`"));
}

/// Two entries under one root, of which the second has a proof that is longer than the way to it.
const TWO_ENTRIES_UNDER_ONE_HEAD: &str = r#"
import importlib.util, sys
spec = importlib.util.spec_from_file_location("check", sys.argv[1])
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)
one, other, last = (bytes([n]) * 32 for n in (1, 2, 3))
root = check.node(one, check.node(other, last))
assert check.included(one, 0, 2, [check.node(other, last)]) == root
assert check.included(other, 0, 2, [last, one]) != root
assert check.grown(1, one, 2, [check.node(other, last)]) == (one, root)
assert check.grown(1, other, 2, [last, one])[1] != root
"#;

#[test]
fn a_proof_that_is_longer_than_the_way_to_the_root_proves_nothing() {
    if lab().is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/audit-check.py");
    let output = Command::new("python3").args(["-B", "-c", TWO_ENTRIES_UNDER_ONE_HEAD]).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_script_takes_nothing_that_could_be_read_otherwise() {
    let Some(lab) = lab() else { return };
    lab.keep("proof.json", &["audit", "prove", "4"]);
    let heads = lab.keep("heads.txt", &["audit", "checkpoint"]);
    for (from, to, wrong) in [
        (".", "x.", "the time of an entry"),
        ("\"action\":\"", "\"action\":\"x\",\"action\":\"", "a name stands twice"),
        ("\"action\":", "\"note\":\"x\",\"action\":", "an entry has other fields than it should"),
        ("\"address\":null", "\"address\":0", "a field of an entry is no text"),
        ("\"id\":4", "\"id\":\"4\"", "the number of an entry"),
    ] {
        assert_eq!(lab.check(&[&lab.forge("proof.json", from, to)]), format!("WRONG: {wrong}"));
    }
    let proof = lab.file("proof.json").display().to_string();
    for file in [&proof, &heads] {
        assert_eq!(lab.check(&[file, &heads]), "WRONG: EARLIER is for a proof made with --from");
    }
    // Heads that went through a mail program.
    let text = fs::read_to_string(&heads).unwrap().replace('\n', "\r\n");
    fs::write(&heads, text).unwrap();
    assert!(lab.check(&[&heads]).starts_with("in order: 1 signed heads"));
}

#[test]
fn a_log_is_proven_to_go_on_from_what_it_was() {
    let Some(lab) = lab() else { return };
    let heads = lab.keep("heads.txt", &["audit", "checkpoint"]);
    let size = lab.env.json(&["audit", "checkpoint"])["size"].as_u64().unwrap();
    for notes in ["a", "b", "c"] {
        lab.env.ok(&["set", "alice-phone", &format!("notes={notes}")]);
    }
    let proof = lab.keep("proof.json", &["audit", "prove", "--from", &size.to_string()]);
    assert_eq!(lab.check(&[&proof, &heads]), format!("in order: {} entries go on from the first {size}", size + 3));
    let forged = lab.forge("proof.json", "\"root\":\"", "\"root\":\"AAAA");
    assert!(lab.check(&[&forged, &heads]).starts_with("WRONG: the proof"));

    // A head of another log, and heads one after another.
    let later = String::from_utf8(lab.env.ok(&["audit", "checkpoint"]).stdout).unwrap();
    fs::write(lab.file("heads.txt"), fs::read_to_string(&heads).unwrap() + &later).unwrap();
    assert_eq!(lab.check(&[&heads]), format!("in order: 2 signed heads, the last of {} entries", size + 3));
    assert_eq!(lab.check(&[&proof, &heads]), format!("in order: {} entries go on from the first {size}", size + 3));
    let other = TestEnv::with_network();
    fs::write(lab.file("other.txt"), other.ok(&["audit", "checkpoint"]).stdout).unwrap();
    assert_eq!(lab.check(&[&lab.file("other.txt").display().to_string()]), "WRONG: the head is of another log or key");
}

#[test]
fn an_export_verifies_elsewhere_whole_or_in_part() {
    let Some(lab) = lab() else { return };
    lab.env.ok(&["set", "alice-phone", "notes=with, a \"comma\" and ümlaut\u{2028}"]);
    let whole = lab.keep("whole.json", &["audit", "export"]);
    let count = fs::read_to_string(&whole).unwrap().lines().count() - 2;
    assert_eq!(lab.check(&[&whole]), format!("in order: all {count} entries"));
    let forged = lab.forge("whole.json", "ümlaut", "umlaut");
    assert_eq!(lab.check(&[&forged]), "WRONG: these are not the entries that were signed");

    let part = lab.keep("part.json", &["audit", "export", "--action", "peer_added"]);
    assert!(lab.check(&[&part]).starts_with("in order: 5 of "));
    let none = lab.keep("none.json", &["audit", "export", "--operator", "nobody"]);
    assert!(lab.check(&[&none]).starts_with("in order: 0 of "));

    for (name, filter) in [("whole.csv", &[][..]), ("part.csv", &["--entity", "alice-phone"])] {
        let file = lab.file(name).display().to_string();
        let arguments = [&["audit", "export", "--format", "csv", "--out", &file], filter].concat();
        let done = lab.env.json(&arguments);
        assert_eq!(done["head_file"], format!("{file}.head"));
        assert!(lab.check(&[&file]).starts_with("in order: "), "{}", lab.check(&[&file]));
    }
    let head = fs::read(lab.file("part.csv.head")).unwrap();
    fs::write(lab.file("forged-part.csv.head"), head).unwrap();
    let forged = lab.forge("part.csv", "ümlaut", "umlaut");
    assert!(lab.check(&[&forged]).starts_with("WRONG: entry "));
    assert!(lab.env.refused(&["audit", "export", "--format", "csv"]).contains("FILE.head"));
}

#[test]
fn an_older_copy_a_fork_and_another_database_show_against_a_head_kept_elsewhere() {
    let env = TestEnv::with_nodes();
    let copy = |name: &str| {
        let to = env.path().join(name);
        rusqlite::Connection::open(env.database()).unwrap().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
        to
    };
    let put_back = |from: &Path| {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", env.database().display()));
        }
        fs::copy(from, env.database()).unwrap();
        fs::set_permissions(env.database(), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let heads = env.path().join("heads.txt");
    let verify = |code: i32| {
        let output = env.command(&["audit", "verify", "--anchors", heads.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let old = copy("old.db");
    env.ok(&["set", "alice-phone", "notes=secretly undone"]);
    fs::write(&heads, env.ok(&["audit", "checkpoint"]).stdout).unwrap();
    assert!(verify(0).contains("in order: the head of "));

    put_back(&old);
    assert!(verify(6).contains("the database is an older copy, or the end of its log has been cut off"));
    assert_eq!(env.json(&["audit", "verify"])["intact"], true, "by itself it doesn't show");
    env.ok(&["set", "alice-phone", "notes=something else"]);
    env.ok(&["set", "alice-phone", "notes=and more"]);
    assert!(verify(6).contains("or goes on from an older copy of the database"));

    // A backup knows how long the log was, too.
    let backup = env.path().join("x.wgfb").display().to_string();
    env.ok(&["backup", "create", "--to", &backup]);
    env.ok(&["audit", "verify", "--anchors", &backup]);
    let short = copy("short.db");
    env.ok(&["set", "alice-phone", "notes=x"]);
    let later = env.path().join("y.wgfb").display().to_string();
    env.ok(&["backup", "create", "--to", &later]);
    put_back(&short);
    let found = env.run(&["audit", "verify", "--anchors", &backup, &later]);
    assert!(
        found.contains("in order: the head of ") && found.contains("older copy") && found.contains("[exit 6]"),
        "{found}"
    );
    assert!(env.refused(&["audit", "verify", "--chain-only", "--anchors", &later]).contains("locked"));

    let other = TestEnv::with_network();
    let foreign = other.path().join("z.wgfb").display().to_string();
    other.ok(&["backup", "create", "--to", &foreign]);
    assert!(env.refused(&["audit", "verify", "--anchors", &foreign]).contains("does not open with the key"));
    fs::write(&heads, other.ok(&["audit", "checkpoint"]).stdout).unwrap();
    assert!(verify(6).contains("is of another database"));
    fs::write(&heads, "nothing of the kind").unwrap();
    let refused = env.refused(&["audit", "verify", "--anchors", heads.to_str().unwrap()]);
    assert!(refused.contains("not a signed head"), "{refused}");
}
