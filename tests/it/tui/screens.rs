//! Every screen at three sizes: what is seen of it, and that nothing is cut off without a sign.

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode};
use ratatui::style::{Color, Modifier};
use wg_friend::model::{Actor, Source as From};
use wg_friend::tui::app::App;
use wg_friend::tui::msg::{Effect, Head, Msg};
use wg_friend::tui::screens::{self, Screen};
use wg_friend::tui::source::Source;
use wg_friend::tui::theme::{Look, Theme, Tone};
use wg_friend::tui::widgets::list::{Cell, Row};

pub(super) const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// Rows with a long name, a long text and each tone.
fn rows(screen: &Screen) -> Vec<Row> {
    let tones = [Tone::Good, Tone::Warn, Tone::Bad, Tone::Dim];
    let row = |at: usize| {
        let cells = screen.columns.iter().enumerate().map(|(column, name)| match column {
            0 => Cell::new(format!("{}-{at}", name.to_lowercase().replace(' ', "-")), Tone::Strong),
            column if column + 1 == screen.columns.len() => {
                Cell::new("a text that goes on and on, longer than there is room for", Tone::Dim)
            }
            _ => Cell::new(name.to_lowercase(), tones[at % tones.len()]),
        });
        Row { id: format!("row-{at}"), cells: cells.collect(), tags: Vec::new(), text: String::new() }
    };
    (1..=30).map(row).collect()
}

/// The screens at a size, of a database that is there.
pub(super) fn app(theme: Theme, size: (u16, u16)) -> (App, tempfile::TempDir) {
    let (app, dir, _) = watching(theme, size);
    (app, dir)
}

fn of(database: std::path::PathBuf, theme: Theme) -> App {
    let actor = Actor { operator: "tester".to_owned(), address: None, source: From::Tui };
    let source = Source { database, network: None, actor, settings_file: None, key: None };
    App::new(source, wg_friend::cli::definition(), theme, Instant::now())
}

/// The screens where there is no database yet, with what lies in two folders.
pub(super) fn beginning(theme: Theme, (width, height): (u16, u16)) -> App {
    let mut app = of(std::path::PathBuf::from("/nowhere/test.db"), theme);
    let effects = app.begin();
    let [Effect::Rows(screen, number)] = effects[..] else { panic!("{effects:?}") };
    app.update(Msg::Input(Event::Resize(width, height)));
    let row = |id: &str, name: &str, place: &str, tone| {
        let cells = vec![Cell::new(name, Tone::Strong), Cell::new(place, tone)];
        Row { id: id.to_owned(), cells, tags: Vec::new(), text: String::new() }
    };
    let rows = vec![
        row("a new network", "a new network", "press n", Tone::Code),
        row("/etc/wireguard/wg0.conf", "wg0.conf", "/etc/wireguard", Tone::Dim),
        row("/home/kim/clients/office.conf", "office.conf", "/home/kim/clients", Tone::Dim),
    ];
    app.update(Msg::Rows(screen, number, Ok(rows)));
    app
}

/// The same, and the number under which the network is watched.
pub(super) fn watching(theme: Theme, (width, height): (u16, u16)) -> (App, tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("test.db");
    std::fs::write(&database, "").unwrap();
    let mut app = of(database, theme);
    let watch = |effect: &Effect| if let Effect::Watch(number) = effect { Some(*number) } else { None };
    let watch = app.begin().iter().find_map(watch).expect("it is watched");
    app.update(Msg::Input(Event::Resize(width, height)));
    let roles = vec![("server".to_owned(), 1), ("remotes".to_owned(), 29)];
    let head = Head {
        network: "office".to_owned(),
        networks: 1,
        roles,
        encrypted: true,
        undeployed: 1,
        pending: Some(1),
        drifted: 2,
        ..Head::default()
    };
    app.update(Msg::Head(0, Box::new(Ok(head))));
    (app, dir, watch)
}

/// Goes to a screen by its name, and gives it rows.
pub(super) fn go(app: &mut App, screen: &'static Screen) {
    let mut effects = Vec::new();
    let keys = format!(":go to {}", screen.title.to_lowercase());
    for c in keys.chars() {
        effects.extend(app.update(Msg::Input(Event::Key(KeyCode::Char(c).into()))));
    }
    effects.extend(app.update(Msg::Input(Event::Key(KeyCode::Enter.into()))));
    let number = effects.iter().find_map(|effect| match effect {
        Effect::Rows(of, number) if *of == screen => Some(*number),
        _ => None,
    });
    app.update(Msg::Rows(screen, number.unwrap_or_else(|| panic!("{}", screen.title)), Ok(rows(screen))));
}

pub(super) fn draw(app: &App, (width, height): (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    terminal
}

#[test]
fn every_screen_shows_its_name_rows_and_keys_at_every_size_in_every_look() {
    for screen in screens::ALL.into_iter().filter(|screen| screen.title != "Begin") {
        for size in SIZES {
            for look in Look::ALL {
                let (mut app, _dir) = app(Theme { look, ascii: false }, size);
                go(&mut app, screen);
                let terminal = draw(&app, size);
                let text = terminal.backend().to_string();
                let why = format!("{} at {size:?} {look:?}\n{text}", screen.title);
                assert!(text.contains(&format!(" {} (30) ", screen.title)), "{why}");
                assert!(text.contains("office") && text.contains("locked") && text.contains("q quit"), "{why}");
                let first = screen.columns[0].to_lowercase().replace(' ', "-");
                assert!(text.contains(&format!("{first}-1 ")), "{why}");
                // What doesn't fit ends with a sign: a long text, rows below, keys at the right.
                let long = text.contains("longer than there is room for");
                assert!(long || text.contains('…') || text.contains('›'), "{why}");
                let plain = terminal
                    .backend()
                    .buffer()
                    .content
                    .iter()
                    .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset);
                assert_eq!(plain, look == Look::Plain, "{why}");
                let marked = |cell: &ratatui::buffer::Cell| !cell.modifier.is_empty();
                assert!(terminal.backend().buffer().content.iter().any(marked), "{why}");
            }
        }
    }
}

#[test]
fn in_ascii_nothing_else_is_drawn() {
    for screen in screens::ALL.into_iter().filter(|screen| screen.title != "Begin") {
        let (mut app, _dir) = app(Theme { look: Look::Plain, ascii: true }, (120, 40));
        go(&mut app, screen);
        let terminal = draw(&app, (120, 40));
        let other: Vec<&str> = terminal
            .backend()
            .buffer()
            .content
            .iter()
            .map(|cell| cell.symbol())
            .filter(|symbol| !symbol.is_ascii())
            .collect();
        assert!(other.is_empty(), "{}: {other:?}", screen.title);
    }
}

#[test]
fn what_is_chosen_can_be_told_without_colours() {
    let (mut app, _dir) = app(Theme { look: Look::Plain, ascii: false }, (80, 24));
    go(&mut app, &screens::nodes::SCREEN);
    let terminal = draw(&app, (80, 24));
    let buffer = terminal.backend().buffer();
    let reversed =
        |row: u16| (2..60).filter(|column| buffer[(*column, row)].modifier.contains(Modifier::REVERSED)).count();
    let rows: Vec<u16> = (3..22).filter(|row| reversed(*row) > 20).collect();
    assert_eq!(rows, [4], "{}", terminal.backend());
}
