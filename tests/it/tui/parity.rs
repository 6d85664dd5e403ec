//! What the command line can do, the screens can; and what the screens do is a command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use wg_friend::cli::definition;
use wg_friend::tui::form::Form;
use wg_friend::tui::line::Line;
use wg_friend::tui::palette::{Palette, What};
use wg_friend::tui::screens::{self, Act, Screen};
use wg_friend::tui::widgets::list::Row;

/// The words of all commands that have none below them.
fn leaves(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
    for sub in command.get_subcommands() {
        let words = [words, &[sub.get_name().to_owned()]].concat();
        if sub.get_subcommands().next().is_none() || !sub.is_subcommand_required_set() {
            found.push(words.clone());
        }
        leaves(sub, &words, found);
    }
}

/// What is no business of a screen: it has its own way to unlock, and no shell to set up.
const ELSEWHERE: [&str; 5] = ["unlock", "lock", "completions", "man", "maintain"];

#[test]
fn every_command_is_found_and_has_a_form() {
    let definition = definition();
    let mut all = Vec::new();
    leaves(&definition, &[], &mut all);
    all.retain(|words| !ELSEWHERE.contains(&words[0].as_str()));
    let palette = Palette::of(&definition, Vec::new());
    let found: Vec<&Vec<String>> =
        palette.entries().iter().filter(|entry| entry.what == What::Command).map(|entry| &entry.words).collect();
    for words in &all {
        assert!(found.contains(&words), "{words:?} is not in the palette");
        assert!(Form::of(&definition, words, &[]).is_some(), "{words:?} has no form");
    }
    assert!(all.len() > 80, "{}", all.len());
}

/// Rows as a screen may have them.
fn rows(screen: &Screen) -> Vec<Row> {
    let row = |id: &str, tags: &[&'static str]| Row { tags: tags.to_vec(), ..Row::new(id, []) };
    match screen.title {
        "History" | "Audit" => vec![row("12", &[])],
        "Links" => vec![row("hub alice", &[])],
        _ => vec![row("hub", &[]), row("hub", &["remote", "disabled"]), row("hub", &["group"])],
    }
}

/// What is wrong with a line, if the command line doesn't understand it.
fn misunderstood(line: &Line) -> Option<String> {
    let words = std::iter::once("wg-friend").chain(line.words().iter().map(String::as_str));
    let error = definition().try_get_matches_from(words).err()?;
    let is_help = error.kind() == clap::error::ErrorKind::DisplayHelp;
    (!is_help).then(|| format!("{}: {}", line.shown(), error.to_string().lines().next().unwrap_or_default()))
}

/// What is wrong with a form, if its command or an argument that is given isn't there.
fn unknown(definition: &clap::Command, words: &[&str], given: &[(&str, String)]) -> Option<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let Some(form) = Form::of(definition, &words, given) else { return Some(format!("no command {words:?}")) };
    let lost = given.iter().find(|(argument, value)| {
        !form.fields().any(|field| field == *argument) || !form.line().iter().any(|word| value.contains(word.as_str()))
    });
    lost.map(|(argument, _)| format!("{words:?} has no `{argument}`, but {:?}", form.fields().collect::<Vec<_>>()))
}

#[test]
fn every_key_leads_to_a_line_that_is_understood_or_to_a_form_that_is_there() {
    let definition = definition();
    let mut wrong = Vec::new();
    for screen in screens::ALL {
        for row in &rows(screen) {
            for tab in screen.tabs {
                let said = (tab.line)(row).and_then(|line| misunderstood(&line));
                wrong.extend(said.map(|said| format!("{}, {}: {said}", screen.title, tab.title)));
            }
            for deed in screen.deeds {
                let said = match (deed.act)(&[row]) {
                    Act::Change(line) | Act::Read(line) => misunderstood(&line),
                    Act::Fill(words, given) => unknown(&definition, words, &given),
                    Act::Go(_) | Act::Network(_) | Act::Not(_) => None,
                };
                wrong.extend(said.map(|said| format!("{}, {}: {said}", screen.title, deed.label)));
                let _nothing_is_chosen = (deed.act)(&[]);
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A function as it is written.
struct Function {
    public: bool,
    name: String,
    text: String,
    /// The names of the modules that it is in.
    modules: BTreeSet<String>,
    /// All words of its file.
    around: Rc<BTreeSet<String>>,
}

/// Reads the functions of the files below a folder, without those of tests: `rustfmt` ends each with a brace in the column where
/// it begins.
fn functions(folder: &Path, modules: &BTreeSet<String>, found: &mut Vec<Function>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let modules: BTreeSet<String> = modules.iter().cloned().chain([stem.clone()]).collect();
        if path.is_dir() && stem != "tests" {
            functions(&path, &modules, found);
        }
        if path.extension().is_none_or(|extension| extension != "rs") || stem == "tests" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text: String = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
        let text: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let around = Rc::new(text.iter().flat_map(|line| words(line)).map(str::to_owned).collect());
        let mut lines = text.into_iter();
        while let Some(first) = lines.next() {
            let (indent, rest) = first.split_at(first.len() - first.trim_start().len());
            let (public, rest) = match rest.strip_prefix("pub ") {
                Some(rest) => (true, rest),
                None => {
                    (false, rest.split_once(") ").filter(|_| rest.starts_with("pub(")).map_or(rest, |(_, rest)| rest))
                }
            };
            let Some(rest) = rest.strip_prefix("const ").unwrap_or(rest).strip_prefix("fn ") else { continue };
            let name = words(rest).next().unwrap().to_owned();
            let mut text = first.to_owned();
            let end = format!("{indent}}}");
            if !first.ends_with(['}', ';']) {
                text.extend(lines.by_ref().take_while(|line| *line != end).flat_map(|line| ["\n", line]));
            }
            found.push(Function { public, name, text, modules: modules.clone(), around: Rc::clone(&around) });
        }
    }
}

/// Whether one calls the other, or hands it on: it says the name, in a file that knows one of the modules that it is in.
fn calls(one: &Function, word: &str, other: &Function) -> bool {
    one.name != word
        && (Rc::ptr_eq(&one.around, &other.around) || other.modules.iter().any(|module| one.around.contains(module)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn whatever_changes_something_can_be_had_from_the_command_line() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut operations, mut commands) = (Vec::new(), Vec::new());
    functions(&source.join("ops"), &BTreeSet::new(), &mut operations);
    functions(&source.join("cli"), &BTreeSet::new(), &mut commands);
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, function) in operations.iter().enumerate() {
        by_name.entry(&function.name).or_default().push(at);
    }
    let mut reached: BTreeSet<usize> = BTreeSet::new();
    let mut next: Vec<&Function> = commands.iter().collect();
    while let Some(function) = next.pop() {
        for (word, at) in words(&function.text).filter_map(|word| Some((word, by_name.get(word)?))) {
            let called = at.iter().filter(|at| calls(function, word, &operations[**at]));
            next.extend(called.filter(|at| reached.insert(**at)).map(|at| &operations[*at]));
        }
    }
    let changes = |function: &&Function| {
        let head = function.text.split(['{', ';']).next().unwrap_or_default();
        function.public && ["&mut Store", "&Tx<"].iter().any(|what| head.contains(what))
    };
    let changing: Vec<usize> = (0..operations.len()).filter(|at| changes(&&operations[*at])).collect();
    assert!(changing.len() > 80, "{}", changing.len());
    for at in changing {
        let Function { name, modules, .. } = &operations[at];
        assert!(reached.contains(&at), "no command reaches `{name}` in {modules:?}");
    }
}
