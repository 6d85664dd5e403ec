//! Reports through the program: every figure against what the other commands say.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::env::TestEnv;

const TYPES: [&str; 6] = [
    "access-control",
    "key-rotation",
    "configuration-changes",
    "network-inventory",
    "executive-summary",
    "full-compliance",
];

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// How many items have which word in a field.
fn by(items: &[Value], field: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item[field].as_str().unwrap_or("null").to_owned()).or_default() += 1;
    }
    counts
}

/// The counts of a report, without those that are nought.
fn counts(value: &Value) -> BTreeMap<String, u64> {
    let object = value.as_object().expect("an object").iter();
    object.filter_map(|(word, n)| n.as_u64().filter(|n| *n > 0).map(|n| (word.clone(), n))).collect()
}

fn codes(report: &Value) -> Vec<&str> {
    list(&report["warnings"]).iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

/// A network in which something of everything was done.
fn busy() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.ok(&["group", "add", "contractors", "alice-phone", "--note", "theirs"]);
    env.ok(&["grant", "contractors", "hub", "icmp", "--for", "8h", "--note", "a test"]);
    env.ok(&["grant", "alice-laptop", "192.168.10.7", "tcp", "443"]);
    env.ok(&["set", "alice-phone", "access=custom"]);
    env.ok(&["generate", "alice-phone", "hub"]);
    env.ok(&["rotate", "alice-phone", "--reason", "lost"]);
    env.ok(&["rotate", "hub", "--reason", "yearly"]);
    env.ok(&["disable", "alice-laptop"]);
    let state = env.json(&["history"])["states"][0]["number"].to_string();
    env.ok(&["set", "alice-phone", "notes=a mistake"]);
    env.ok(&["rollback", "--model", &state, "--yes"]);
    let to = env.path().join("backups").display().to_string();
    env.ok(&["backup", "create", "--to", &to]);
    env
}

#[test]
fn every_figure_is_what_the_other_commands_say() {
    let env = busy();
    let report = env.json(&["report", "full-compliance", "--organisation", "Example Ltd"]);
    assert_eq!(report["organisation"], "Example Ltd");

    let nodes = env.json(&["list"]);
    let nodes = list(&nodes["nodes"]);
    assert_eq!(counts(&report["inventory"]["roles"]), by(nodes, "role"));
    assert_eq!(list(&report["inventory"]["nodes"]).len(), nodes.len());
    assert_eq!(list(&report["access"]["nodes"]).len(), nodes.len());
    let judged: Vec<Value> = nodes.iter().filter(|n| n["role"] == "remote" || n["role"] == "router").cloned().collect();
    assert_eq!(counts(&report["access"]["levels"]), by(&judged, "access"));
    assert_eq!(counts(&report["keys"]["custody"]), by(nodes, "custody"));
    let lans: usize = nodes.iter().map(|node| list(&node["lans"]).len()).sum();
    assert_eq!(list(&report["inventory"]["lans"]).len(), lans);

    assert_eq!(report["access"]["grants"], env.json(&["grants"])["grants"]);

    let mut keys = Vec::new();
    let mut preshared = 0;
    for node in nodes {
        let shown = env.json(&["show", node["name"].as_str().unwrap()]);
        keys.extend(list(&shown["keys"]).iter().filter(|k| k["state"] == "active").map(|k| k["public_key"].clone()));
        preshared += list(&shown["links"]).iter().filter(|link| link["preshared_key"] == true).count();
    }
    let mut told: Vec<Value> = list(&report["keys"]["active"]).iter().map(|k| k["public_key"].clone()).collect();
    keys.sort_by_key(Value::to_string);
    told.sort_by_key(Value::to_string);
    assert_eq!(told, keys);
    let with = list(&report["keys"]["links"]).iter().filter(|link| !link["created"].is_null()).count();
    assert_eq!(with * 2, preshared, "each link is shown by both of its nodes");

    let log = env.json(&["audit", "log", "--limit", "100000"]);
    // The commands since the report unlocked too, and that is said once an hour: nothing was added.
    let entries = list(&log["entries"]);
    assert_eq!(report["safeguards"]["audit"]["in_period"], entries.len());
    assert_eq!(report["safeguards"]["audit"]["entries"], entries.len());
    for of in list(&report["safeguards"]["audit"]["by_category"]) {
        let category: Vec<Value> = entries.iter().filter(|e| e["category"] == of["category"]).cloned().collect();
        assert_eq!(counts(&of["severities"]), by(&category, "severity"), "{of}");
    }
    let rotated = entries.iter().filter(|entry| entry["action"] == "key_rotation");
    let rotated: Vec<(&Value, &Value)> = rotated.map(|e| (&e["id"], &e["details"]["reason"])).collect();
    let told = list(&report["keys"]["rotations"]).iter();
    assert_eq!(told.map(|r| (&r["entry"], &r["reason"])).collect::<Vec<_>>(), rotated);
    assert_eq!(rotated.len(), 2);
    let of_access = entries.iter().filter(|entry| entry["category"] == "access").count();
    assert_eq!(list(&report["access"]["changes"]).len(), of_access);

    let history = env.json(&["history", "--limit", "1000"]);
    let states = list(&history["states"]).iter();
    let states: Vec<(&Value, &Value)> = states.map(|s| (&s["number"], &s["description"])).collect();
    let told = list(&report["changes"]["model"]).iter();
    assert_eq!(told.map(|s| (&s["state"], &s["description"])).collect::<Vec<_>>(), states);
    let weeks: u64 = list(&report["changes"]["weeks"]).iter().map(|week| week["changes"].as_u64().unwrap()).sum();
    assert_eq!(weeks as usize, states.len());
    assert_eq!(list(&report["changes"]["rollbacks"]).len(), 1);

    let backups = env.json(&["backup", "list"]);
    assert_eq!(list(&report["safeguards"]["backups"]["known"]).len(), list(&backups).len());
    assert!(!report["safeguards"]["backups"]["verified"].is_null());
    assert_eq!(report["safeguards"]["vault"]["encrypted"], true);
    let verified = env.json(&["audit", "verify"]);
    assert_eq!(report["safeguards"]["audit"]["intact"], verified["intact"]);
    assert_eq!(report["safeguards"]["audit"]["authenticated"], true);
    assert!(report["audit_head"].as_str().unwrap().contains(report["database_id"].as_str().unwrap()));
}

#[test]
fn every_type_comes_in_every_format_and_none_holds_a_secret() {
    let env = busy();
    let files = env.path().join("out");
    env.ok(&["generate", "--dir", &files.display().to_string()]);
    let phone = std::fs::read_to_string(files.join("alice-phone.conf")).unwrap();
    let secrets: Vec<&str> = phone
        .lines()
        .filter_map(|line| line.strip_prefix("PrivateKey = ").or_else(|| line.strip_prefix("PresharedKey = ")))
        .collect();
    assert_eq!(secrets.len(), 2);
    for kind in TYPES {
        let formats =
            [("md", "# "), ("json", "{"), ("csv", "Report,columns,"), ("html", "<!DOCTYPE html>"), ("pdf", "%PDF-1.7")];
        for (format, begins) in formats {
            let path = env.path().join(format!("{kind}.{format}"));
            env.ok(&["report", kind, "-o", &path.display().to_string()]);
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.starts_with(begins), "{kind} {format}: {text:.40}");
            assert!(secrets.iter().all(|secret| !text.contains(secret)), "{kind} {format}");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let printed = env.ok(&["report", kind, "--format", format]).stdout;
            assert!(printed.starts_with(begins.as_bytes()), "{kind} {format}");
        }
    }
}

/// Whether a reader of PDF runs here; says what is skipped when it doesn't. Where everything has to be tried it is a failure.
fn has(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().or_else(|_| Command::new(program).arg("-v").output());
    if found.is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{program} is missing (Debian: {package})");
        eprintln!("skipped: {program} doesn't run here (Debian: {package})");
    }
    found.is_ok()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The cells of a line of a table in Markdown, as they read.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut rest) = (Vec::new(), String::new(), line.trim_matches('|').chars());
    while let Some(c) = rest.next() {
        match c {
            '\\' => cell.extend(rest.next()),
            '|' => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            c => cell.push(c),
        }
    }
    cells.push(cell.trim().to_owned());
    cells
}

/// The labels and numbers of the tables and charts in Markdown, without what changes from call to call, and without the
/// headings of what is no table on paper.
fn told(markdown: &str) -> Vec<String> {
    let mut told = Vec::new();
    for line in markdown.lines() {
        if line.starts_with("| ") && !line.starts_with("| ---") && line != "| word | meaning |" {
            let cells = cells(line);
            if !["Period", "Made", "Signed head of the audit log"].contains(&&*cells[0]) {
                told.extend(cells.into_iter().filter(|cell| !cell.is_empty()));
            }
        } else if let Some(bar) = line.strip_prefix("    ") {
            let bar = bar.trim_end_matches(['█', '▒', ' ']);
            let (label, value) = bar.rsplit_once(' ').unwrap();
            told.extend([label.trim().to_owned(), value.to_owned()]);
        }
    }
    told
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn a_pdf_says_all_that_the_markdown_says_in_the_same_order() {
    if !has("pdfinfo", "poppler-utils") || !has("qpdf", "qpdf") {
        return;
    }
    let env = busy();
    env.ok(&["set", "alice-phone", "notes=Größe Ωμέγα Жизнь a|b"]);
    for kind in TYPES {
        let path = env.path().join(format!("{kind}.pdf")).display().to_string();
        env.ok(&["report", kind, "-o", &path, "--organisation", "Example Ltd"]);
        let markdown = env.ok(&["report", kind, "--organisation", "Example Ltd"]).stdout;
        let markdown = String::from_utf8(markdown).unwrap();

        let read = squeezed(&run("pdfinfo", &["-struct-text", &path]));
        let (mut rest, told) = (&*read, told(&markdown));
        assert!(told.len() > 40, "{kind}: only {} were found", told.len());
        for text in told {
            let wanted = squeezed(&text);
            let at = rest.find(&wanted).unwrap_or_else(|| panic!("{kind}: `{text}` isn't in {rest}"));
            rest = &rest[at + wanted.len()..];
        }
        let seen = squeezed(&run("pdftotext", &["-raw", &path, "-"]));
        for line in markdown.lines().filter_map(|line| line.strip_prefix("## ")) {
            assert!(seen.contains(&squeezed(line)), "{kind}: {line}");
        }

        let info = run("pdfinfo", &[&path]);
        let fact =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
        assert_eq!((fact("Tagged:"), fact("Page size:")), ("yes", "595.28 x 841.89 pts (A4)"), "{info}");
        assert!(fact("Creator:").starts_with("wg-friend "), "{info}");
        let pages: usize = fact("Pages:").parse().unwrap();
        for page in [1, pages] {
            let text = run("pdftotext", &["-f", &page.to_string(), "-l", &page.to_string(), &path, "-"]);
            assert!(text.contains(&format!("{page} of {pages}")), "{kind}: {text}");
        }
        run("qpdf", &["--check", &path]);
    }
    // Letters that the fonts lack are boxes to the eye, and themselves to whoever searches or copies.
    env.ok(&["set", "alice-phone", "notes=中文 שלום"]);
    let path = env.path().join("boxes.pdf").display().to_string();
    env.ok(&["report", "network-inventory", "-o", &path]);
    let seen = run("pdftotext", &["-raw", &path, "-"]);
    assert!(seen.contains("中文"), "{seen}");
    assert!("שלום".chars().all(|c| seen.contains(c)), "{seen}");
}

#[test]
fn a_pdf_goes_into_files_and_pipes_and_not_to_a_terminal() {
    let env = TestEnv::with_network();
    for arguments in [&["--format", "pdf"][..], &["-o", "-", "--format", "pdf"]] {
        let arguments = [&["report", "executive-summary"], arguments].concat();
        assert!(env.ok(&arguments).stdout.starts_with(b"%PDF-1.7"));

        let (mut pty, pts) = pty_process::blocking::open().unwrap();
        let mut command =
            pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_wg-friend")).args(&arguments).env_clear();
        for (name, value) in env.variables() {
            command = command.env(name, value);
        }
        let mut child = command.spawn(pts).unwrap();
        let mut shown = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = pty.read(&mut bytes) {
            shown.extend_from_slice(&bytes[..count]);
        }
        let shown = String::from_utf8_lossy(&shown);
        assert_eq!(child.wait().unwrap().code(), Some(2), "{shown}");
        assert!(shown.contains("--format pdf: a terminal can't show one") && !shown.contains("%PDF"), "{shown}");
    }
    let path = env.path().join("report.pdf");
    let file = path.display().to_string();
    let written = env.json(&["report", "network-inventory", "-o", &file]);
    assert_eq!(
        (&written["format"], &written["bytes"]),
        (&"pdf".into(), &std::fs::metadata(&path).unwrap().len().into())
    );
    assert!(!env.path().join("-").exists());
}

#[test]
fn what_needs_attention_is_found_in_a_real_network() {
    let env = TestEnv::with_network();
    env.ok(&["add", "remote", "alice-phone"]);
    let found = env.json(&["report", "full-compliance"]);
    assert_eq!(
        codes(&found),
        ["backup_missing", "no_ssh_host", "kdf_light", "full_access", "key_held"],
        "the passphrase of tests is a light one"
    );
    let old = env.json(&["report", "key-rotation", "--key-age", "0s"]);
    assert_eq!(codes(&old), ["key_overdue", "key_held"]);
    assert_eq!(list(&old["warnings"][0]["concerns"]).len(), 2);

    for warning in list(&found["warnings"]) {
        for command in list(&warning["commands"]).iter().flat_map(|line| line.as_str().unwrap().split(" && ")) {
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            env.ok(&[&words[..], &["--help"]].concat()); // that its words are known, without doing it
        }
    }

    env.ok(&["generate", "alice-phone"]);
    assert!(codes(&env.json(&["report", "key-rotation"])).contains(&"file_not_seen"));
    env.ok(&["rotate", "alice-phone"]);
    assert!(codes(&env.json(&["report", "key-rotation"])).contains(&"file_outdated"));

    let failed = env.command(&["generate", "alice-phone"]).env("WG_FRIEND_PASSPHRASE", "wrong-horse").output().unwrap();
    assert_eq!(failed.status.code(), Some(5));
    let found = env.json(&["report", "executive-summary"]);
    assert!(codes(&found).contains(&"unlock_failed"), "{:?}", codes(&found));

    let plain = TestEnv::new();
    let run = |arguments: &[&str]| {
        let output = plain.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["init", "--name", "home", "--no-encryption", "--server", "hub", "--endpoint", "vpn.example.com"]);
    let report: Value = serde_json::from_slice(&run(&["report", "full-compliance", "--json"])).unwrap();
    assert_eq!(codes(&report)[0], "vault_unencrypted");
}

#[test]
fn a_log_that_was_edited_ends_with_6_and_is_told() {
    let env = TestEnv::with_network();
    let database = rusqlite::Connection::open(env.database()).unwrap();
    database.execute_batch("DROP TRIGGER audit_no_update").unwrap();
    database.execute("UPDATE audit SET operator = 'somebody else' WHERE id = 1", []).unwrap();
    drop(database);
    let output = env.command(&["report", "full-compliance", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(codes(&report).contains(&"audit_broken"));
}

#[test]
fn a_recovery_key_that_was_taken_out_of_the_file_is_told_to_whoever_has_no_passphrase() {
    let env = TestEnv::with_network();
    rusqlite::Connection::open(env.database())
        .unwrap()
        .execute("DELETE FROM slots WHERE kind = 'recovery'", [])
        .unwrap();
    let mut command = env.command(&["report", "executive-summary", "--json"]);
    let output = command.env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = list(&report["warnings"]).iter().find(|warning| warning["code"] == "recovery_missing");
    assert_eq!(found.unwrap_or_else(|| panic!("{report:#}"))["severity"], "critical");
    assert!(env.run(&["generate", "hub"]).ends_with("[exit 6]\n"), "it opens for nobody");
}

#[test]
fn without_a_passphrase_there_is_a_report_and_nobody_is_asked() {
    let env = busy();
    let output =
        env.command(&["report", "full-compliance", "--json"]).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["safeguards"]["audit"]["authenticated"], false);
    let wrong =
        env.command(&["report", "full-compliance"]).env("WG_FRIEND_PASSPHRASE", "wrong-horse").output().unwrap();
    assert_eq!(wrong.status.code(), Some(5), "a wrong one is told");
}

#[test]
fn options_say_what_they_want() {
    let env = TestEnv::with_network();
    let code = |arguments: &[&str]| env.command(arguments).output().unwrap().status.code().unwrap();
    assert_eq!(code(&["report", "executive-summary", "--exit-code"]), 3);
    assert_eq!(code(&["report", "everything"]), 2);
    assert_eq!(code(&["report", "executive-summary", "--period", "soon"]), 2);
    assert_eq!(code(&["report", "executive-summary", "--period", "500000000years"]), 2);
    assert_eq!(code(&["report", "executive-summary", "--format", "csv", "--json"]), 2);
    let path = env.path().join("dry.html");
    let file = path.display().to_string();
    env.ok(&["report", "executive-summary", "-o", &file, "--dry-run"]);
    assert!(!path.exists());
    let written = env.json(&["report", "executive-summary", "-o", &file, "--format", "csv"]);
    assert_eq!((&written["format"], &written["report"]), (&"csv".into(), &"executive_summary".into()));
    assert_eq!(written["bytes"], std::fs::metadata(&path).unwrap().len());
    // Of two networks, each has its own report.
    env.ok(&["network", "add", "annex"]);
    assert_ne!(code(&["report", "network-inventory"]), 0);
    let annex = env.json(&["report", "network-inventory", "--network", "annex"]);
    assert!(list(&annex["inventory"]["nodes"]).is_empty() && annex["network"] == "annex");
}
