//! From a key to the drawn screen, with many nodes.

use std::sync::Arc;
use std::time::Instant;

use divan::{Bencher, black_box};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode};
use wg_friend::model::{Actor, Role, Source as From};
use wg_friend::ops::deploy::status::{LinkState, LinkStatus};
use wg_friend::ops::watch::{HostLine, HostState, LinkLine, Picture};
use wg_friend::tui::app::App;
use wg_friend::tui::msg::{Effect, Msg};
use wg_friend::tui::screens;
use wg_friend::tui::source::Source;
use wg_friend::tui::theme::Theme;
use wg_friend::tui::widgets::list::{Cell, Row};

use crate::SIZES;

/// The list of so many nodes, in a large window, and the number under which the network is watched.
fn nodes(size: usize) -> (App, Terminal<TestBackend>, tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let database = dir.path().join("bench.db");
    std::fs::File::create(&database).expect("a file");
    let actor = Actor { operator: "bench".to_owned(), address: None, source: From::Tui };
    let source = Source { database, network: None, actor, settings_file: None, key: None };
    let mut app = App::new(source, wg_friend::cli::definition(), Theme::default(), Instant::now());
    let watch = |effect: &Effect| if let Effect::Watch(number) = effect { Some(*number) } else { None };
    let watch = app.begin().iter().find_map(watch).expect("it is watched");
    app.update(Msg::Input(Event::Resize(200, 60)));
    app.update(Msg::Picture(watch, Box::new(picture(size)), Vec::new()));
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
    (app, terminal, dir, watch)
}

/// What twenty hosts tell of so many links.
fn picture(size: usize) -> Picture {
    let host = |at: usize| HostLine {
        host: format!("host-{at}").parse().expect("a name"),
        state: HostState::Connected,
        last_answer: None,
        error: None,
        hint: None,
        uptime: Some(1000),
    };
    let link = |at: usize| LinkLine {
        link: Arc::new(LinkStatus {
            node: format!("node-{at}").parse().expect("a name"),
            role: Role::Remote,
            address: Some("10.64.0.30".parse().expect("an address")),
            near: Some(format!("host-{}", at % 20).parse().expect("a name")),
            seen_by: None,
            interface: Some("wg0".parse().expect("a name")),
            state: LinkState::Connected,
            handshake_age: Some(12),
            endpoint: Some("198.51.100.30:51820".parse().expect("an address and a port")),
            rx: 1000,
            tx: 1000,
            moved: None,
        }),
        rx_rate: Some(at as u64),
        tx_rate: Some(at as u64),
    };
    Picture { hosts: (0..20).map(host).collect(), links: (0..size).map(link).collect(), note: None }
}

fn press(app: &mut App, key: KeyCode) -> Vec<Effect> {
    app.now = Instant::now();
    app.update(Msg::Input(Event::Key(key.into())))
}

/// A row further down, drawn.
#[divan::bench(args = SIZES, sample_count = 1000)]
fn key_to_frame(bencher: Bencher<'_, '_>, size: usize) {
    let (mut app, mut terminal, _dir, _) = nodes(size);
    bencher.bench_local(|| {
        black_box(press(&mut app, KeyCode::Down));
        terminal.draw(|frame| app.draw(frame)).map(drop)
    });
}

/// A letter into the filter and out of it again, drawn each time.
#[divan::bench(args = SIZES, sample_count = 1000)]
fn filter_to_frame(bencher: Bencher<'_, '_>, size: usize) {
    let (mut app, mut terminal, _dir, _) = nodes(size);
    press(&mut app, KeyCode::Char('/'));
    let mut typed = false;
    bencher.bench_local(|| {
        black_box(press(&mut app, if typed { KeyCode::Backspace } else { KeyCode::Char('7') }));
        typed = !typed;
        terminal.draw(|frame| app.draw(frame)).map(drop)
    });
}

/// How all hosts stand, taken in and drawn: once a second while the dashboard is seen.
#[divan::bench(args = SIZES, sample_count = 200)]
fn second_to_frame(bencher: Bencher<'_, '_>, size: usize) {
    let (mut app, mut terminal, _dir, watch) = nodes(size);
    press(&mut app, KeyCode::Char('1'));
    bencher.with_inputs(|| Box::new(picture(size))).bench_local_values(|picture| {
        black_box(app.update(Msg::Picture(watch, picture, Vec::new())));
        terminal.draw(|frame| app.draw(frame)).map(drop)
    });
}
