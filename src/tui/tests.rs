//! What becomes of the screens, message by message.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, IDLE, Place};
use super::line::{Line, Ran};
use super::msg::{Effect, Head, Msg, Planned, Purpose};
use super::overlay::Overlay;
use super::screens;
use super::source::Source;
use super::theme::Theme;
use super::widgets::list::{Cell, Row};
use crate::db::DataKey;
use crate::model::{Actor, Source as From};
use crate::ops::deploy::report::PlanReport;
use crate::ops::watch::Picture;

/// A small command line: what the screens know of the real one, they know by its definition alone.
fn definition() -> clap::Command {
    let nodes = clap::Arg::new("nodes").num_args(1..).value_name("NAME");
    clap::Command::new("wg-friend")
        .subcommand(clap::Command::new("rotate").arg(nodes))
        .subcommand(clap::Command::new("deploy"))
}

/// The screens of an unlocked database, and a directory that it lies in.
fn app() -> (App, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("test.db");
    std::fs::write(&database, "").unwrap();
    let actor = Actor { operator: "tester".into(), address: None, source: From::Tui };
    let key = Some(DataKey::from_bytes(&[7; 32]));
    let source = Source { database, network: None, actor, settings_file: None, key };
    let mut app = App::new(source, definition(), Theme::default(), Instant::now());
    app.begin();
    let head = Head { network: "office".into(), networks: 1, encrypted: true, ..Head::default() };
    app.update(Msg::Head(0, Box::new(Ok(head))));
    (app, dir)
}

fn press(app: &mut App, key: impl Into<KeyEvent>) -> Vec<Effect> {
    app.update(Msg::Input(Input::Key(key.into())))
}

fn typed(app: &mut App, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|c| press(app, KeyCode::Char(c))).collect()
}

/// Goes to the nodes, of which these are there.
fn nodes(app: &mut App, names: &[&str]) {
    let effects = typed(app, "2");
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Rows(_, number) => Some(*number),
        _ => None,
    });
    let row = |name: &str| Row { tags: vec!["remote"], ..Row::new(name, [Cell::from(name)]) };
    let rows = names.iter().map(|name| row(name));
    app.update(Msg::Rows(&screens::nodes::SCREEN, number.unwrap(), Ok(rows.collect())));
}

/// The line that is run, and what for.
fn runs(effects: &[Effect]) -> (Purpose, Line) {
    let run = effects.iter().find_map(|effect| match effect {
        Effect::Run(purpose, line, ..) => Some((purpose.clone(), line.clone())),
        _ => None,
    });
    run.unwrap_or_else(|| panic!("{effects:?}"))
}

fn ran(line: &Line, exit: i32, result: &str, said: &str) -> Box<Ran> {
    Box::new(Ran { line: line.clone(), exit: Some(exit), result: result.into(), said: said.into() })
}

fn drawn(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(130, 30)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    terminal.backend().to_string()
}

/// Goes to the plan, which is there, and returns what has it carried out.
fn planned(app: &mut App) -> std::sync::mpsc::Receiver<crate::ops::deploy::Stop> {
    let effects = typed(app, "4");
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Plan(number, _) => Some(*number),
        _ => None,
    });
    let (go, gone) = channel();
    let blast = crate::ops::deploy::blast::Blast::default();
    let (hosts, rotated, follow) = Default::default();
    let report = PlanReport { hosts, changes: 1, drift: 0, restarts: 0, rekeys: 0, failed: 0, blast, rotated, follow };
    app.update(Msg::Planned(number.unwrap(), Box::new(Ok(Planned { report, go }))));
    gone
}

#[test]
fn nobody_there_locks_whatever_hosts_go_on_telling() {
    let (mut app, _dir) = app();
    assert!(app.is_unlocked());
    let number = app.number;
    let picture = || Box::new(Picture { hosts: vec![], links: vec![], note: None });
    app.now += IDLE - Duration::from_secs(1);
    app.update(Msg::Picture(number, picture(), vec![]));
    assert!(app.is_unlocked());
    app.now += Duration::from_secs(2);
    app.update(Msg::Picture(number, picture(), vec![]));
    assert!(!app.is_unlocked() && app.source.key.is_none());
}

#[test]
fn locking_takes_secret_texts_off_the_screen_and_gives_up_a_plan_that_waits() {
    let (mut app, _dir) = app();
    nodes(&mut app, &["alice"]);
    typed(&mut app, "]]]]]]");
    let (purpose, line) = runs(&press(&mut app, KeyCode::Enter));
    app.update(Msg::Ran(purpose, ran(&line, 0, "PrivateKey = secret", "")));
    assert!(drawn(&app).contains("PrivateKey = secret"));
    let gone = planned(&mut app);
    typed(&mut app, "L");
    assert!(app.source.key.is_none());
    press(&mut app, KeyCode::Enter);
    assert!(gone.recv().is_err(), "nothing is deployed any more");
    typed(&mut app, "2");
    assert!(!drawn(&app).contains("PrivateKey"));
}

#[test]
fn a_deploy_that_goes_on_is_behind_every_screen_and_there_is_but_one() {
    let (mut app, _dir) = app();
    let gone = planned(&mut app);
    press(&mut app, KeyCode::Enter);
    let stop = gone.recv().unwrap();
    for key in ["1", "2", "d", "o"] {
        typed(&mut app, key);
        assert!(app.stack.iter().any(|place| matches!(place, Place::Plan(plan) if plan.goes())), "{key}");
    }
    let effects = typed(&mut app, "4");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Plan(..))), "{effects:?}");
    assert!(typed(&mut app, "q").is_empty(), "leaving is warned of");
    typed(&mut app, "4x");
    assert!(stop.is_asked());
}

#[test]
fn a_text_that_comes_late_is_not_shown_about_another_row() {
    let (mut app, _dir) = app();
    nodes(&mut app, &["alice", "bob"]);
    typed(&mut app, "]]]]]]");
    let (purpose, line) = runs(&press(&mut app, KeyCode::Enter));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Down);
    app.now += Duration::from_secs(1);
    app.update(Msg::Tick);
    app.now += Duration::from_secs(1);
    app.update(Msg::Tick);
    app.update(Msg::Ran(purpose, ran(&line, 0, "the file of alice", "")));
    assert!(!drawn(&app).contains("the file of alice"), "{}", drawn(&app));
}

#[test]
fn what_a_line_would_do_is_not_shown_for_another_line() {
    let (mut app, _dir) = app();
    nodes(&mut app, &["alice", "bob"]);
    let (first, line) = runs(&typed(&mut app, "x"));
    assert_eq!(line.words(), ["remove", "alice", "--dry-run"]);
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Down);
    let (second, other) = runs(&typed(&mut app, "x"));
    app.update(Msg::Ran(first, ran(&line, 0, "alice goes", "")));
    assert!(!drawn(&app).contains("alice goes"));
    assert!(press(&mut app, KeyCode::Enter).is_empty(), "nothing is done that wasn't shown");
    app.update(Msg::Ran(second, ran(&other, 0, "bob goes", "")));
    assert!(drawn(&app).contains("bob goes"));
    let (purpose, done) = runs(&press(&mut app, KeyCode::Enter));
    assert_eq!(
        (matches!(purpose, Purpose::Change(_)), done.words()),
        (true, &["remove", "bob", "--yes"].map(String::from)[..])
    );
}

#[test]
fn what_is_marked_is_meant_as_far_as_it_is_seen() {
    let (mut app, _dir) = app();
    nodes(&mut app, &["alice", "bob", "carol"]);
    typed(&mut app, "  ");
    let (_, line) = runs(&typed(&mut app, "x"));
    assert_eq!(line.words(), ["remove", "alice", "bob", "--dry-run"]);
    press(&mut app, KeyCode::Esc);
    assert!(typed(&mut app, "n").is_empty() && app.overlay.is_none(), "renaming is for one at a time");
    typed(&mut app, "r");
    let Some(Overlay::Form(form)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!(form.line(), ["rotate", "alice", "bob"]);
    press(&mut app, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(app.overlay.is_none(), "Ctrl-C is a way out");
    typed(&mut app, "/carol");
    press(&mut app, KeyCode::Enter);
    let (_, line) = runs(&typed(&mut app, "x"));
    assert_eq!(line.words(), ["remove", "carol", "--dry-run"]);
}

#[test]
fn a_line_that_wants_the_passphrase_for_itself_keeps_the_new_one_and_its_form() {
    let (mut app, _dir) = app();
    let effects = app.act(screens::Act::Change(Line::new(["vault", "passphrase"])));
    assert!(effects.is_empty());
    typed(&mut app, "new passphrase");
    press(&mut app, KeyCode::Tab);
    typed(&mut app, "new passphrase");
    let (purpose, line) = runs(&press(&mut app, KeyCode::Enter));
    app.update(Msg::Ran(purpose, ran(&line, 2, "", "error: it can't be tried out")));
    let (purpose, line) = runs(&press(&mut app, KeyCode::Enter));
    app.update(Msg::Ran(purpose, ran(&line, 5, "", "error: locked")));
    typed(&mut app, "old passphrase");
    let effects = press(&mut app, KeyCode::Enter);
    let secrets = effects.iter().find_map(|effect| match effect {
        Effect::Run(Purpose::Change(_), _, _, secrets) => Some(secrets.clone()),
        _ => None,
    });
    let secrets = secrets.unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!(secrets.passphrase.as_deref().map(String::as_str), Some("old passphrase"));
    assert_eq!(secrets.new_passphrase.as_deref().map(String::as_str), Some("new passphrase"));
    let told = format!("{effects:?}{app:?}");
    assert!(!told.contains("old passphrase") && !told.contains("new passphrase"), "no secret is told");
}

#[test]
fn a_watch_that_was_given_up_says_nothing_any_more() {
    let (mut app, _dir) = app();
    let old = app.number;
    typed(&mut app, "2");
    let effects = typed(&mut app, "1");
    let new = effects.iter().find_map(|effect| match effect {
        Effect::Watch(number) => Some(*number),
        _ => None,
    });
    assert!(new.is_some_and(|new| new != old), "{effects:?}");
    app.update(Msg::Unwatched(old, None));
    let effects = typed(&mut app, "2");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Unwatch)), "{effects:?}");
}
