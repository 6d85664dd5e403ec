//! What every screen looks like, at three sizes: drawings to be looked at, and to be compared with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::crossterm::event::{Event as Input, KeyCode};
use ratatui::style::{Color, Modifier};
use wg_friend::model::Role;
use wg_friend::ops::deploy::status::{LinkState, LinkStatus};
use wg_friend::ops::watch::{Event, HostLine, HostState, LinkLine, Picture, Subject};
use wg_friend::tui::app::App;
use wg_friend::tui::line::Ran;
use wg_friend::tui::msg::{Effect, Msg, Purpose};
use wg_friend::tui::screens;
use wg_friend::tui::theme::{Look, Theme};

use super::plans;
use super::screens::{SIZES, beginning, draw, go, watching};

/// Two servers with a router, an exit and devices, some of them in trouble.
fn picture() -> Picture {
    let host = |name: &str, state, error: Option<&str>| HostLine {
        host: name.parse().unwrap(),
        state,
        last_answer: None,
        error: error.map(str::to_owned),
        hint: None,
        uptime: error.is_none().then_some(200_000),
    };
    let link = |near: Option<&str>, node: &str, role, state, age: Option<i64>, rate: Option<u64>| LinkLine {
        link: Arc::new(LinkStatus {
            node: node.parse().unwrap(),
            role,
            address: Some("10.66.0.30".parse().unwrap()),
            near: near.map(|near| near.parse().unwrap()),
            seen_by: None,
            interface: Some("wg0".parse().unwrap()),
            state,
            handshake_age: age,
            endpoint: Some("198.51.100.30:51820".parse().unwrap()),
            rx: 1_000_000,
            tx: 20_000,
            moved: None,
        }),
        rx_rate: rate,
        tx_rate: rate.map(|rate| rate / 10),
    };
    let (up, down) = (LinkState::Connected, LinkState::Disconnected);
    Picture {
        hosts: vec![
            host(
                "depot",
                HostState::Disconnected,
                Some("no answer within 15 s: ssh: connect to host depot: timed out"),
            ),
            host("hub", HostState::Connected, None),
            host("warehouse-in-the-north", HostState::Pending, None),
        ],
        links: vec![
            link(Some("hub"), "warehouse-in-the-north-of-town", Role::Router, up, Some(12), Some(1_234_567)),
            link(Some("hub"), "depot", Role::Router, down, Some(7200), None),
            link(Some("hub"), "exit-a", Role::Exit, up, Some(100), Some(98_000)),
            link(Some("hub"), "alice-phone", Role::Remote, up, Some(59), Some(420)),
            link(Some("hub"), "bob-laptop", Role::Remote, LinkState::Never, None, None),
            link(Some("hub"), "carol", Role::Remote, LinkState::NotDeployed, None, None),
            link(None, "dave", Role::Remote, LinkState::Unknown, None, None),
        ],
        note: None,
    }
}

/// The dashboard after a few looks at the network.
fn dashboard(app: &mut App, watch: u64) {
    for at in 0..5 {
        let mut picture = picture();
        let rates = picture.links.iter_mut().filter_map(|line| line.rx_rate.as_mut());
        rates.for_each(|rate| *rate = *rate * (at + 3) / 7);
        let event = Event {
            time: "2026-03-01T12:00:05Z".parse().unwrap(),
            subject: Subject::Link,
            name: "depot".parse().unwrap(),
            near: None,
            before: "connected",
            after: "disconnected",
            reason: None,
        };
        app.update(Msg::Picture(watch, Box::new(picture), if at == 3 { vec![event] } else { Vec::new() }));
    }
}

fn press(app: &mut App, keys: &str) {
    for c in keys.chars() {
        app.update(Msg::Input(Input::Key(KeyCode::Char(c).into())));
    }
}

/// What removing a node would do, before anybody has agreed.
fn question(app: &mut App, _: u64) {
    go(app, &screens::nodes::SCREEN);
    let effects = app.update(Msg::Input(Input::Key(KeyCode::Char('x').into())));
    let runs = effects.into_iter().find_map(|effect| match effect {
        Effect::Run(purpose @ Purpose::Preview(_), line, ..) => Some((purpose, line)),
        _ => None,
    });
    let (purpose, line) = runs.expect("it is tried out");
    let result = "- remove  remote name-1\n\nhub: deploy it\n".to_owned();
    app.update(Msg::Ran(purpose, Box::new(Ran { line, exit: Some(0), result, said: String::new() })));
}

/// What is said of a node beside the list.
fn text(app: &mut App, _: u64) {
    go(app, &screens::nodes::SCREEN);
    let effects = app.update(Msg::Input(Input::Key(KeyCode::Enter.into())));
    let runs = effects.into_iter().find_map(|effect| match effect {
        Effect::Run(purpose @ Purpose::Tab(_), line, ..) => Some((purpose, line)),
        _ => None,
    });
    let (purpose, line) = runs.expect("it is read");
    let rows =
        ["name         name-1", "role         remote", "addresses    10.66.0.30, fd66::1e", "access       vpn-only"];
    let result = format!("{}\n\n{}\n", rows.join("\n"), "a line that is longer than any window is wide, ".repeat(6));
    app.update(Msg::Ran(purpose, Box::new(Ran { line, exit: Some(0), result, said: String::new() })));
}

/// A way to something that is seen.
type Way = Box<dyn Fn(Theme, (u16, u16)) -> App>;
/// One that holds nothing.
type Plain = fn(&mut App, u64);

/// Everything that can be seen, by name.
fn views() -> BTreeMap<String, Way> {
    let mut views: BTreeMap<String, Way> = BTreeMap::new();
    for screen in screens::ALL.into_iter().filter(|screen| screen.title != "Begin") {
        views.insert(screen.title.to_lowercase(), from_dashboard(move |app, _| go(app, screen)));
    }
    let others: [(&str, Plain); 12] = [
        ("dashboard", dashboard),
        ("plan", plans::plan),
        ("deploy", plans::deploy),
        ("text", text),
        ("remark", |app, _| {
            go(app, &screens::nodes::SCREEN);
            press(app, "y");
        }),
        ("filter", |app, _| {
            go(app, &screens::nodes::SCREEN);
            press(app, "/name-2");
        }),
        ("marked", |app, _| {
            go(app, &screens::nodes::SCREEN);
            for key in [KeyCode::Char(' '), KeyCode::Down, KeyCode::Down, KeyCode::Char(' ')] {
                app.update(Msg::Input(Input::Key(key.into())));
            }
        }),
        ("help", |app, _| {
            go(app, &screens::nodes::SCREEN);
            press(app, "?");
        }),
        ("palette", |app, _| press(app, ":psk")),
        ("form", |app, _| {
            go(app, &screens::nodes::SCREEN);
            press(app, "aalice");
        }),
        ("question", question),
        ("unlock", |app, _| press(app, "Lsecret")),
    ];
    views.extend(others.map(|(name, way)| (name.to_owned(), from_dashboard(way))));
    views.insert("begin".to_owned(), Box::new(beginning));
    views
}

/// A way that begins at the dashboard, with the number under which the network is watched.
fn from_dashboard(way: impl Fn(&mut App, u64) + 'static) -> Way {
    Box::new(move |theme, size| {
        let (mut app, _dir, watch) = watching(theme, size);
        way(&mut app, watch);
        app
    })
}

fn seen(way: &Way, size: (u16, u16), look: Look) -> ratatui::Terminal<TestBackend> {
    draw(&way(Theme { look, ascii: false }, size), size)
}

#[test]
fn every_screen_looks_like_this() {
    for (name, way) in views() {
        let mut drawn = String::new();
        for size in SIZES {
            let [dark, others @ ..] = Look::ALL.map(|look| seen(&way, size, look).backend().to_string());
            for other in others {
                assert_eq!(other, dark, "{name} at {size:?}: looks differ in colours alone");
            }
            let (width, height) = size;
            writeln!(drawn, "{width}x{height}").unwrap();
            for line in dark.lines() {
                writeln!(drawn, "{}", line.trim_matches('"').trim_end()).unwrap();
            }
        }
        insta::assert_snapshot!(name, drawn);
    }
}

/// A letter for each way in which cells are drawn, and what the letters mean.
fn colours(terminal: &ratatui::Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let mut letters: Vec<(Color, Color, Modifier)> = Vec::new();
    let mut text = String::new();
    let mut letter = |cell: &Cell| {
        let style = (cell.fg, cell.bg, cell.modifier);
        let at = letters.iter().position(|known| *known == style).unwrap_or_else(|| {
            letters.push(style);
            letters.len() - 1
        });
        char::from(b'a' + at as u8)
    };
    for row in buffer.content.chunks(buffer.area.width.into()) {
        let line: String = row
            .iter()
            .map(|cell| if cell.symbol() == " " && cell.bg == Color::Reset { ' ' } else { letter(cell) })
            .collect();
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    for (at, (fg, bg, modifier)) in letters.iter().enumerate() {
        writeln!(text, "{}: {fg} on {bg} {modifier:?}", char::from(b'a' + at as u8)).unwrap();
    }
    text
}

#[test]
fn colours_are_these() {
    for (look, called) in
        [(Look::Dark, "dark"), (Look::Light, "light"), (Look::Sixteen, "sixteen"), (Look::Plain, "plain")]
    {
        let terminal = seen(&from_dashboard(dashboard), (80, 24), look);
        insta::assert_snapshot!(format!("dashboard-{called}"), colours(&terminal));
    }
}
