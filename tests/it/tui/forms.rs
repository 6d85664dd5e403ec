//! Forms and the palette of all commands that there are.

use clap::{ArgAction, Command};
use crossterm::event::{KeyCode, KeyEvent};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use wg_friend::cli::definition;
use wg_friend::tui::form::Form;
use wg_friend::tui::palette::{Palette, What};
use wg_friend::tui::theme::Theme;

/// Returns the words of each command, whether it can be run by itself, and its definition.
fn all() -> Vec<(Vec<String>, bool, Command)> {
    fn below(command: &Command, words: &[String], all: &mut Vec<(Vec<String>, bool, Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            let runs = !sub.has_subcommands() || !sub.is_subcommand_required_set();
            all.push((words.clone(), runs, sub.clone()));
            below(sub, &words, all);
        }
    }
    let mut root = definition();
    root.build();
    let mut commands = Vec::new();
    below(&root, &[], &mut commands);
    commands
}

fn leaves() -> Vec<(Vec<String>, Command)> {
    all().into_iter().filter(|(_, runs, _)| *runs).map(|(words, _, command)| (words, command)).collect()
}

fn form(words: &[&str]) -> Form {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Form::of(&definition(), &words, &[]).expect("there is such a command")
}

#[test]
fn every_command_has_a_form_and_every_argument_a_field() {
    let definition = definition();
    let leaves = leaves();
    assert!(leaves.len() > 80, "{}", leaves.len());
    for (words, command) in leaves {
        let form = Form::of(&definition, &words, &[]).unwrap_or_else(|| panic!("{words:?} has no form"));
        let helps = |action: &ArgAction| {
            matches!(action, ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
        };
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
        let mut own: Vec<&str> = own.filter(|arg| !helps(arg.get_action())).map(|arg| arg.get_id().as_str()).collect();
        let mut fields: Vec<&str> = form.fields().collect();
        own.sort_unstable();
        fields.sort_unstable();
        assert_eq!(fields, own, "{words:?}");
        assert_eq!(form.line(), words);
        assert_eq!(form.words(), words);
        // What is wrong with it is known by its field.
        if let Err(wrong) = form.check() {
            assert!(wrong.missing && !wrong.fields.is_empty(), "{words:?}: {wrong:?}");
        }
    }
}

#[test]
fn a_command_that_needs_a_further_word_has_none() {
    let definition = definition();
    let without: Vec<Vec<String>> = all().into_iter().filter(|(_, runs, _)| !runs).map(|(words, ..)| words).collect();
    assert!(without.contains(&vec!["exit".to_owned(), "group".to_owned()]));
    for words in without {
        assert!(Form::of(&definition, &words, &[]).is_none(), "{words:?}");
    }
}

fn drawn(form: &Form, width: u16, height: u16, theme: &Theme) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it can be drawn on");
    terminal.draw(|frame| form.draw(frame, frame.area(), theme)).expect("it is drawn");
    terminal.backend().to_string()
}

#[test]
fn every_form_is_drawn_at_every_size_whichever_field_it_is_at() {
    let definition = definition();
    let (colours, ascii) = (Theme::default(), Theme { ascii: true, ..Theme::default() });
    for (words, _) in leaves() {
        let mut form = Form::of(&definition, &words, &[]).expect("there is such a command");
        for (width, height) in [(200, 60), (1, 1), (7, 9)] {
            drawn(&form, width, height, &colours);
        }
        for at in 0..=form.fields().count() {
            drawn(&form, 20, 5, &ascii);
            let text = drawn(&form, 80, 24, &colours);
            assert!(text.contains(&format!("│wg-friend {}", words.join(" "))), "{words:?} {at}: {text}");
            assert!(text.contains("▸ "), "{words:?} {at}: {text}");
            form.key(KeyEvent::from(KeyCode::Tab));
        }
    }
}

#[test]
fn a_form_says_what_each_argument_is_for() {
    let mut form = form(&["grant"]);
    form.set("holder", &["alice-phone".to_owned()]);
    form.set("until", &["soon".to_owned()]);
    insta::assert_snapshot!(drawn(&form, 80, 24, &Theme::default()), @r#"
    "╭ grant ───────────────────────────────────────────────────────────────────────╮"
    "│Let a node or group reach something beyond its level, for good or for a while │"
    "│                                                                              │"
    "│▸ NODE|GROUP      alice-phone                                                 │"
    "│  DESTINATION     required                                                    │"
    "│  PROTOCOL        default any                                                 │"
    "│  PORTS                                                                       │"
    "│  --for DURATION                                                              │"
    "│  --until TIME    soon                                                        │"
    "│  --note TEXT                                                                 │"
    "│  [ Run ]                                                                     │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│──────────────────────────────────────────────────────────────────────────────│"
    "│Who gets it: a node or a group                                                │"
    "│                                                                              │"
    "│──────────────────────────────────────────────────────────────────────────────│"
    "│wg-friend grant --until soon alice-phone                                      │"
    "╰ Ctrl-S run  Esc back  Ctrl-P preview  Tab next field ────────────────────────╯"
    "#);
}

#[test]
fn the_palette_has_every_command_but_those_that_screens_have_themselves() {
    let palette = Palette::of(&definition(), Vec::new());
    let found: Vec<Vec<String>> = palette.entries().iter().map(|entry| entry.words.clone()).collect();
    for (words, _) in leaves() {
        let is_left_out = ["completions", "man", "unlock", "lock", "maintain"].contains(&words[0].as_str());
        assert_eq!(found.contains(&words), !is_left_out, "{words:?}");
    }
    for entry in palette.entries() {
        assert!(!entry.about.is_empty() && entry.what == What::Command, "{entry:?}");
        // Who types its words has it first.
        let mut palette = Palette::of(&definition(), Vec::new());
        palette.paste(&entry.text());
        assert_eq!(palette.selected(), Some(entry));
    }
    let fewer = Palette::of(&definition(), Vec::new()).without(&["init", "import", "exit group"]);
    assert!(fewer.entries().iter().all(|entry| entry.words[0] != "init" && !entry.text().starts_with("exit group")));
    assert!(fewer.entries().iter().any(|entry| entry.text() == "exit rule add"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_typed_into_a_form_is_what_the_command_gets(
        name in "[^\\p{C}]{1,16}", values in proptest::collection::vec("[^\\p{C}]{1,12}", 1..4),
    ) {
        let typed: String = values.iter().map(|value| format!("{} ", shlex::try_quote(value).unwrap())).collect();
        let cases = [(&["group", "remove"][..], "group", "nodes"), (&["exit", "group", "set"], "group", "assignments")];
        for (words, text, list) in cases {
            let mut form = form(words);
            prop_assert_eq!(form.fields().collect::<Vec<_>>(), [text, list]);
            form.go_to(text);
            name.chars().for_each(|c| { form.key(KeyEvent::from(KeyCode::Char(c))); });
            form.go_to(list);
            typed.chars().for_each(|c| { form.key(KeyEvent::from(KeyCode::Char(c))); });
            let line = std::iter::once("wg-friend".to_owned()).chain(form.line());
            let parsed = definition().try_get_matches_from(line);
            prop_assert_eq!(parsed.is_ok(), form.check().is_ok());
            if let Ok(matches) = parsed {
                let matches = words.iter().fold(&matches, |matches, word| matches.subcommand_matches(word).unwrap());
                prop_assert_eq!(matches.get_one::<String>(text), Some(&name));
                let got: Vec<String> = matches.get_many::<String>(list).unwrap().cloned().collect();
                prop_assert_eq!(&got, &values);
            }
        }
    }
}
