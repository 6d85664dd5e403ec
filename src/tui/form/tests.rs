use clap::{Arg, Command};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::tui::theme::Theme;

/// A command with arguments of each kind.
fn definition() -> Command {
    let send = Command::new("send")
        .about("Send a thing somewhere")
        .arg(Arg::new("to").value_name("NODE").required(true).help("Where to"))
        .arg(Arg::new("what").value_name("WHAT").default_value("all").help("What to send"))
        .arg(Arg::new("more").value_name("HOST").num_args(1..).help("Where to as well, one behind the other"))
        .arg(Arg::new("fast").long("fast").action(ArgAction::SetTrue).help("Don't wait").conflicts_with("limit"))
        .arg(
            Arg::new("limit")
                .long("limit")
                .short('l')
                .value_name("N")
                .value_parser(clap::value_parser!(u8))
                .help("At most"),
        )
        .arg(Arg::new("format").long("format").value_parser(["json", "csv"]).default_value("json").help("How"))
        .arg(Arg::new("via").long("via").value_name("EXIT,EXIT").value_delimiter(',').action(ArgAction::Append))
        .arg(Arg::new("tag").long("tag").value_name("KEY=VALUE").action(ArgAction::Append))
        .arg(Arg::new("guide").long("guide").value_name("PLATFORM").num_args(0..=1))
        .arg(Arg::new("loud").long("loud").short('L').action(ArgAction::Count).help_heading("Noise"))
        .arg(Arg::new("note").long("note").value_name("TEXT"))
        .arg(Arg::new("secret").long("secret").hide(true))
        .subcommand(Command::new("later").arg(Arg::new("when")));
    Command::new("wg-friend")
        .arg(Arg::new("json").long("json").global(true).action(ArgAction::SetTrue))
        .subcommand_required(true)
        .subcommand(send)
        .subcommand(Command::new("group").subcommand_required(true).subcommand(Command::new("list")))
}

fn form(given: &[(&str, String)]) -> Form {
    Form::of(&definition(), &["send".to_owned()], given).expect("it is there")
}

fn filled(values: &[(&str, &str)]) -> Form {
    let mut form = form(&[]);
    for (id, value) in values {
        form.set(id, &[(*value).to_owned()]);
    }
    form
}

fn press(form: &mut Form, keys: &[KeyCode]) -> Pressed {
    keys.iter().fold(Pressed::Nothing, |_, key| form.key(KeyEvent::from(*key)))
}

fn ctrl(form: &mut Form, code: KeyCode) -> Pressed {
    form.key(KeyEvent::new(code, KeyModifiers::CONTROL))
}

fn type_in(form: &mut Form, text: &str) {
    for c in text.chars() {
        form.key(KeyEvent::from(KeyCode::Char(c)));
    }
}

fn drawn(form: &Form, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| form.draw(frame, frame.area(), &Theme::default())).unwrap();
    terminal.backend().to_string()
}

#[test]
fn what_is_no_command_by_itself_has_no_form() {
    for path in [&[][..], &["group"], &["nothing"], &["group", "list", "more"]] {
        let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
        assert!(Form::of(&definition(), &path, &[]).is_none(), "{path:?}");
    }
    let list = Form::of(&definition(), &["group".into(), "list".into()], &[]).unwrap();
    assert_eq!((list.fields().count(), list.current(), list.shown().as_str()), (0, None, "wg-friend group list"));
    assert_eq!(list.check(), Ok(()));
}

#[test]
fn fields_are_the_own_arguments_by_place_first_and_by_heading() {
    let all: Vec<String> = form(&[]).fields().map(ToOwned::to_owned).collect();
    assert_eq!(all, ["to", "what", "more", "fast", "limit", "format", "via", "tag", "guide", "note", "loud"]);
    let form = form(&[]);
    let labels: Vec<&str> = form.fields.iter().map(|field| field.label.as_str()).collect();
    let expected = [
        "NODE",
        "WHAT",
        "HOST...",
        "--fast",
        "--limit N",
        "--format FORMAT",
        "--via EXIT,EXIT...",
        "--tag KEY=VALUE...",
        "--guide [PLATFORM]",
        "--note TEXT",
        "--loud",
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_line_is_what_was_filled_in() {
    let line = |values: &[(&str, &str)]| filled(values).line().split_off(1).join(" ");
    assert_eq!(line(&[]), "");
    assert_eq!(line(&[("to", "hub"), ("fast", "true"), ("loud", "2")]), "--fast --loud --loud hub");
    assert_eq!(line(&[("to", "hub"), ("fast", "false"), ("format", "csv"), ("format", "nothing")]), "hub");
    assert_eq!(line(&[("to", "hub"), ("limit", "-3"), ("note", "a b")]), "--limit=-3 --note a b hub");
    assert_eq!(line(&[("to", "-hub")]), "-- -hub");
    assert_eq!(line(&[("to", "later")]), "-- later", "which is no command here");
    assert_eq!(line(&[("to", "hub"), ("more", "x")]), "hub all x", "what is left out has its default");
    assert_eq!(filled(&[("to", "hub"), ("note", "it's")]).shown(), "wg-friend send --note \"it's\" hub");
}

#[test]
fn several_values_are_given_as_the_option_takes_them() {
    let mut form = form(&[("to", "hub".into()), ("tag", "a=1".into()), ("tag", "b=x y".into())]);
    assert_eq!(form.line(), ["send", "--tag", "a=1", "--tag", "b=x y", "hub"]);
    form.go_to("via");
    type_in(&mut form, "one, two three,");
    form.set("tag", &[]);
    assert_eq!(form.line(), ["send", "--via", "one,two,three", "hub"]);
    form.set("via", &[]);
    form.go_to("guide");
    type_in(&mut form, " ");
    assert_eq!(form.line(), ["send", "--guide", "--", "hub"], "which is no platform");
    type_in(&mut form, "ios");
    assert_eq!(form.line(), ["send", "--guide", "ios", "hub"]);
    form.go_to("tag");
    type_in(&mut form, "a='x");
    assert_eq!(form.check().unwrap_err().message, "a quote isn't closed");
}

#[test]
fn what_is_wrong_is_told_with_its_field() {
    let wrong = |values: &[(&str, &str)]| filled(values).check().unwrap_err();
    let missing = wrong(&[]);
    assert_eq!(
        (missing.fields, missing.missing, missing.message.as_str()),
        (vec!["to".to_owned()], true, "is required")
    );
    let bad = wrong(&[("to", "hub"), ("limit", "many")]);
    assert_eq!((bad.fields, bad.missing), (vec!["limit".to_owned()], false));
    assert!(bad.message.starts_with("invalid value 'many' for '--limit <N>'"), "{}", bad.message);
    assert_eq!(wrong(&[("to", "hub"), ("limit", "1"), ("fast", "true")]).fields.len(), 2);
    assert_eq!(wrong(&[("what", "x")]).message, "NODE has to be given when WHAT is");
    assert_eq!(filled(&[("to", "later"), ("limit", "5")]).check(), Ok(()));
}

#[test]
fn keys_fill_the_form_in_and_submit_it() {
    let mut form = form(&[]);
    assert_eq!(ctrl(&mut form, KeyCode::Char('s')), Pressed::Changed, "nothing is given yet");
    assert_eq!(form.current(), Some("to"));
    type_in(&mut form, "hub");
    assert_eq!(press(&mut form, &[KeyCode::Enter, KeyCode::Tab, KeyCode::Down]), Pressed::Nothing);
    assert_eq!(press(&mut form, &[KeyCode::Char(' ')]), Pressed::Changed);
    press(&mut form, &[KeyCode::Down, KeyCode::Down, KeyCode::Right, KeyCode::Char(' ')]);
    assert_eq!(form.shown(), "wg-friend send --fast --format csv hub");
    press(&mut form, &[KeyCode::Right]);
    assert_eq!(form.shown(), "wg-friend send --fast hub");
    press(&mut form, &[KeyCode::Left, KeyCode::BackTab, KeyCode::Up, KeyCode::Backspace, KeyCode::Up]);
    assert_eq!((form.shown().as_str(), form.current()), ("wg-friend send --format csv hub", Some("more")));
    assert_eq!(ctrl(&mut form, KeyCode::Char('p')), Pressed::Preview);
    assert_eq!(ctrl(&mut form, KeyCode::Enter), Pressed::Submit);
    press(&mut form, &[KeyCode::PageDown, KeyCode::PageDown, KeyCode::PageDown]);
    assert_eq!(form.current(), None);
    assert_eq!(press(&mut form, &[KeyCode::Enter]), Pressed::Submit);
    press(&mut form, &[KeyCode::Up, KeyCode::Right, KeyCode::Char('+'), KeyCode::Left]);
    assert_eq!(form.shown(), "wg-friend send --format csv --loud hub");
    assert_eq!(press(&mut form, &[KeyCode::Enter]), Pressed::Submit, "from the last field, too");
    assert_eq!(press(&mut form, &[KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab, KeyCode::Esc]), Pressed::Cancelled);
    assert_eq!(form.current(), None);
    press(&mut form, &[KeyCode::PageUp, KeyCode::PageUp, KeyCode::PageUp]);
    assert_eq!(
        (form.paste("-x\n"), form.line().join(" ")),
        (Pressed::Changed, "send --format csv --loud hub-x ".into())
    );
}

#[test]
fn what_is_given_is_not_asked_for_again() {
    let form = form(&[("to", "hub".into()), ("no such", "x".into())]);
    assert_eq!((form.current(), form.shown().as_str()), (Some("what"), "wg-friend send hub"));
}

#[test]
fn names_that_are_known_complete_what_is_typed() {
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut form = form(&[]);
    let known = BTreeMap::from([
        ("NODE", names(&["alice", "alina", "bob al"])),
        ("send HOST", names(&["box", "two words"])),
        ("HOST", names(&["another"])),
        ("EXIT", names(&["exit-de", "exit-nl"])),
    ]);
    form.offer(&known);
    type_in(&mut form, "al");
    assert_eq!(form.fields[0].completion(), "ice");
    let value = |form: &Form, at: usize| form.fields[at].input().unwrap().text().to_owned();
    press(&mut form, &[KeyCode::Right]);
    assert_eq!(value(&form, 0), "alice");
    ctrl(&mut form, KeyCode::Char(' '));
    assert_eq!(value(&form, 0), "alina");
    press(&mut form, &[KeyCode::Null]);
    assert_eq!(value(&form, 0), "bob al", "which has it in it");
    press(&mut form, &[KeyCode::Right, KeyCode::Left, KeyCode::Right]);
    assert_eq!((value(&form, 0).as_str(), form.current()), ("alice", Some("to")));
    form.go_to("more");
    press(&mut form, &[KeyCode::Right]);
    type_in(&mut form, " tw");
    press(&mut form, &[KeyCode::Right]);
    assert_eq!(value(&form, 2), "box 'two words'");
    form.go_to("via");
    type_in(&mut form, "exit-nl,e");
    assert_eq!(form.fields[6].completion(), "xit-de");
    press(&mut form, &[KeyCode::Right, KeyCode::Right]);
    assert_eq!(form.line()[1..3], ["--via", "exit-nl,exit-nl"]);
    form.go_to("note");
    type_in(&mut form, "al");
    assert_eq!((press(&mut form, &[KeyCode::Right]), form.fields[9].completion()), (Pressed::Nothing, ""));
}

#[test]
fn a_form_is_drawn_with_what_it_comes_to() {
    let mut form = form(&[]);
    insta::assert_snapshot!(drawn(&form, 80, 24), @r#"
    "╭ send ────────────────────────────────────────────────────────────────────────╮"
    "│Send a thing somewhere                                                        │"
    "│                                                                              │"
    "│▸ NODE                 required                                               │"
    "│  WHAT                default all                                             │"
    "│  HOST...                                                                     │"
    "│  --fast              [ ]                                                     │"
    "│  --limit N                                                                   │"
    "│  --format FORMAT     default json                                            │"
    "│  --via EXIT,EXIT...                                                          │"
    "│  --tag KEY=VALUE...                                                          │"
    "│  --guide [PLATFORM]                                                          │"
    "│  --note TEXT                                                                 │"
    "│Noise                                                                         │"
    "│  --loud              0                                                       │"
    "│  [ Run ]                                                                     │"
    "│                                                                              │"
    "│                                                                              │"
    "│                                                                              │"
    "│──────────────────────────────────────────────────────────────────────────────│"
    "│Where to                                                                      │"
    "│──────────────────────────────────────────────────────────────────────────────│"
    "│wg-friend send                                                                │"
    "╰ Ctrl-S run  Esc back  Ctrl-P preview  Tab next field ────────────────────────╯"
    "#);
    type_in(&mut form, "hub");
    form.set("limit", &["many".to_owned()]);
    form.go_to("loud");
    insta::assert_snapshot!(drawn(&form, 60, 16), @r#"
    "╭ send ────────────────────────────────────────── ↑ 5 more ╮"
    "│                      invalid value 'many' for '--limit   │"
    "│                      <N>': invalid digit found in string │"
    "│  --format FORMAT     default json                        │"
    "│  --via EXIT,EXIT...                                      │"
    "│  --tag KEY=VALUE...                                      │"
    "│  --guide [PLATFORM]                                      │"
    "│  --note TEXT                                             │"
    "│Noise                                                     │"
    "│▸ --loud              0                                   │"
    "│  [ Run ]                                                 │"
    "│──────────────────────────────────────────────────────────│"
    "│                                                          │"
    "│──────────────────────────────────────────────────────────│"
    "│wg-friend send --limit many hub                           │"
    "╰ Ctrl-S run  Esc back  Ctrl-P preview ────────────────────╯"
    "#);
    insta::assert_snapshot!(drawn(&form, 20, 5), @r#"
    "╭ send ────── ↑ 10 ╮"
    "│▸ --loud   0      │"
    "│  [ Run ]         │"
    "│wg-friend send --…│"
    "╰──────────────────╯"
    "#);
    for (width, height) in [(1, 1), (2, 2), (3, 3), (5, 40), (200, 60)] {
        drawn(&form, width, height);
    }
}

/// A value without control characters, which can't be typed.
fn value() -> impl Strategy<Value = String> {
    "[^\\p{C}]{1,12}"
}

proptest! {
    #[test]
    fn what_is_filled_in_is_what_the_program_reads(
        to in value(), what in proptest::option::of(value()), more in proptest::collection::vec(value(), 0..3),
        tags in proptest::collection::vec(value(), 0..3), via in proptest::collection::vec("[^\\p{C},]{1,5}", 0..3),
        note in proptest::option::of(value()), limit in proptest::option::of(any::<u8>()), bare in any::<bool>(),
        loud in 0u8..4,
    ) {
        let mut form = form(&[]);
        form.go_to("to");
        type_in(&mut form, &to);
        form.set("what", what.as_slice());
        form.set("more", &more);
        form.set("tag", &tags);
        form.set("via", &via);
        form.set("note", note.as_slice());
        form.set("limit", &limit.iter().map(ToString::to_string).collect::<Vec<_>>());
        form.set("loud", &[loud.to_string()]);
        if bare {
            form.go_to("guide");
            type_in(&mut form, " ");
        }
        prop_assert_eq!(form.check(), Ok(()));
        let shown = form.shown();
        prop_assert_eq!(shlex::split(&shown).unwrap()[1..].to_vec(), form.line());
        let line = std::iter::once("wg-friend".to_owned()).chain(form.line());
        let matches = definition().try_get_matches_from(line).unwrap();
        let (name, matches) = matches.subcommand().unwrap();
        prop_assert!(name == "send" && matches.subcommand().is_none());
        let all = |id| matches.get_many::<String>(id).unwrap_or_default().cloned().collect::<Vec<_>>();
        prop_assert_eq!(all("to"), [to]);
        prop_assert_eq!(all("what"), [what.unwrap_or_else(|| "all".to_owned())]);
        prop_assert_eq!(all("more"), more);
        prop_assert_eq!(all("tag"), tags);
        prop_assert_eq!(all("via"), via);
        prop_assert_eq!(matches.get_one::<String>("note").cloned(), note);
        prop_assert_eq!(matches.get_one::<u8>("limit").copied(), limit);
        prop_assert_eq!((matches.contains_id("guide"), matches.get_count("loud")), (bare, loud));
    }
}
