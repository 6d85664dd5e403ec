//! What the command line can do, the screens can; and what the screens do is a command line.

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
const ELSEWHERE: [&str; 4] = ["unlock", "lock", "completions", "man"];

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
    let row = |id: &str, tags: &[&'static str]| Row { id: id.to_owned(), cells: Vec::new(), tags: tags.to_vec() };
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
