//! The folders are the architecture: imports run one way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which rooms a room may look into. `lib.rs` and `main.rs` put everything together and may see all.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["tui", "ops", "db", "fleet", "wg", "render", "model", "settings"]), // without a command it opens the screens
    ("tui", &["ops", "db", "fleet", "model", "settings"]),
    ("ops", &["db", "fleet", "wg", "render", "model", "settings"]),
    ("db", &["model"]),
    ("fleet", &["wg", "model"]),
    ("wg", &["render", "model"]), // the firewall is written with a template
    ("render", &["model"]),
    ("settings", &["model"]),
    ("model", &[]),
];

/// An import that runs the wrong way.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    file: String,
    line: usize,
    from: String,
    to: String,
}

/// Returns the first segments that a line names after `crate::`, also in a group of several.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let is_path = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '$');
        let rest = &code[at + "crate::".len()..];
        if !is_path {
            continue;
        }
        let segment = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level(group).into_iter().map(|part| segment(part.trim()))),
            None => found.push(segment(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Splits a group of imports at the commas that aren't inside of a further group.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

/// Joins an import that runs over several lines into the line it begins on.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        if open && let Some((_, statement)) = joined.last_mut() {
            statement.push_str(line.trim());
            open = !line.contains(';');
            continue;
        }
        let begins = line.trim_start().trim_start_matches("pub ").starts_with("use ");
        open = begins && !line.contains(';');
        joined.push((at + 1, line.to_owned()));
    }
    joined
}

/// Checks the files of a source tree, given as path below `src` and text.
fn check(files: &BTreeMap<String, String>) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for (file, text) in files {
        let from = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == from) else {
            continue; // lib.rs and main.rs
        };
        for (line, statement) in statements(text) {
            for to in imports(&statement) {
                let is_room = ARROWS.iter().any(|(room, _)| *room == to);
                if is_room && to != from && !allowed.contains(&to.as_str()) {
                    wrong.push(Wrong { file: file.clone(), line, from: from.to_owned(), to });
                }
            }
        }
    }
    wrong
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(dir: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).expect("the source is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            read(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(source()).expect("it lies below").display().to_string();
            files.insert(name, std::fs::read_to_string(&path).expect("it can be read"));
        }
    }
}

#[test]
fn imports_run_one_way() {
    let mut files = BTreeMap::new();
    read(&source(), &mut files);
    assert!(files.len() > 50, "the source was found");
    assert_eq!(check(&files), []);
}

#[test]
fn every_room_is_on_the_map() {
    for entry in std::fs::read_dir(source()).expect("the source is there") {
        let name = entry.expect("it can be listed").file_name().to_string_lossy().into_owned();
        let room = name.trim_end_matches(".rs");
        let known = ARROWS.iter().any(|(known, _)| *known == room) || matches!(room, "lib" | "main");
        assert!(known, "src/{name} is in no arrow of this test");
    }
}

#[test]
fn an_import_in_the_wrong_direction_is_found() {
    let file = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
    let found =
        |name: &str, text: &str| check(&file(name, text)).into_iter().map(|w| (w.line, w.to)).collect::<Vec<_>>();
    assert_eq!(found("model/key.rs", "use crate::wg::dump;\n"), [(1, "wg".into())]);
    assert_eq!(
        found("db/tx.rs", "use std::fs;\nuse crate::{model::Node, ops::{Error, Kind}, wg};\n"),
        [(2, "ops".into()), (2, "wg".into())]
    );
    assert_eq!(found("wg/mod.rs", "pub use crate::{\n    model::Node,\n    fleet,\n};\n"), [(1, "fleet".into())]);
    assert_eq!(found("ops/mod.rs", "fn f() { crate::cli::run() }\n"), [(1, "cli".into())]);
    assert_eq!(found("render/mod.rs", "// crate::ops is above\nuse crate::model::Name;\n"), []);
    assert_eq!(found("cli/list.rs", "use crate::ops::Error;\nuse crate::model::Name;\n"), []);
    assert_eq!(found("main.rs", "use crate::cli;\n"), []);
}
