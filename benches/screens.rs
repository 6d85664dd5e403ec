//! From a key to the drawn screen, with many nodes.

use std::time::Instant;

use divan::{Bencher, black_box};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode};
use wg_friend::model::{Actor, Source as From};
use wg_friend::tui::app::App;
use wg_friend::tui::msg::{Effect, Msg};
use wg_friend::tui::screens;
use wg_friend::tui::source::Source;
use wg_friend::tui::theme::Theme;
use wg_friend::tui::widgets::list::{Cell, Row};

use crate::SIZES;

/// The list of so many nodes, in a large window.
fn nodes(size: usize) -> (App, Terminal<TestBackend>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let database = dir.path().join("bench.db");
    std::fs::File::create(&database).expect("a file");
    let actor = Actor { operator: "bench".to_owned(), address: None, source: From::Tui };
    let source = Source { database, network: None, actor, settings_file: None, key: None };
    let mut app = App::new(source, wg_friend::cli::definition(), Theme::default(), Instant::now());
    app.begin();
    app.update(Msg::Input(Event::Resize(200, 60)));
    let effects = press(&mut app, KeyCode::Char('2'));
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Rows(_, number) => Some(*number),
        _ => None,
    });
    let row = |at: usize| {
        let address = format!("10.{}.{}.{}", at >> 16, (at >> 8) & 255, at & 255);
        let cells: [Cell; 9] = [
            format!("node-{at}").into(),
            "remote".into(),
            address.into(),
            "".into(),
            "full".into(),
            "exit-a".into(),
            "".into(),
            "".into(),
            format!("fd00:64::{at:x}").into(),
        ];
        Row::new(format!("node-{at}"), cells)
    };
    let rows = (0..size).map(row).collect();
    app.update(Msg::Rows(&screens::nodes::SCREEN, number.expect("rows are asked for"), Ok(rows)));
    let terminal = Terminal::new(TestBackend::new(200, 60)).expect("a screen in memory");
    (app, terminal, dir)
}

fn press(app: &mut App, key: KeyCode) -> Vec<Effect> {
    app.now = Instant::now();
    app.update(Msg::Input(Event::Key(key.into())))
}

/// A row further down, drawn.
#[divan::bench(args = SIZES)]
fn key_to_frame(bencher: Bencher<'_, '_>, size: usize) {
    let (mut app, mut terminal, _dir) = nodes(size);
    bencher.bench_local(|| {
        black_box(press(&mut app, KeyCode::Down));
        terminal.draw(|frame| app.draw(frame)).map(drop)
    });
}

/// A letter into the filter and out of it again, drawn each time.
#[divan::bench(args = SIZES)]
fn filter_to_frame(bencher: Bencher<'_, '_>, size: usize) {
    let (mut app, mut terminal, _dir) = nodes(size);
    press(&mut app, KeyCode::Char('/'));
    let mut typed = false;
    bencher.bench_local(|| {
        black_box(press(&mut app, if typed { KeyCode::Backspace } else { KeyCode::Char('7') }));
        typed = !typed;
        terminal.draw(|frame| app.draw(frame)).map(drop)
    });
}
