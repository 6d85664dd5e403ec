//! Drawing: a header, the names of the screens, the body, and a bar of keys; over them whatever is asked.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_width::UnicodeWidthStr as _;

use super::app::{App, Place};
use super::browse::{Focus, block};
use super::dashboard::Health;
use super::keys;
use super::screens::{Goal, NUMBERED};
use super::theme::Tone;
use super::widgets::cut;

/// The columns of the sign that there are more keys.
const SIGN: usize = 4;

/// Where the parts of the screen are.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Whose network it is, and how it stands.
    pub header: Rect,
    /// The names of the screens.
    pub tabs: Rect,
    /// What is seen.
    pub body: Rect,
    /// The keys.
    pub keys: Rect,
}

/// Divides the window up. In a low one, the body comes first.
pub fn places(area: Rect) -> Places {
    let tabs = u16::from(area.height >= 8);
    let keys = u16::from(area.height >= 5);
    let [header, tabs, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(tabs),
        Constraint::Min(0),
        Constraint::Length(keys),
    ])
    .areas(area);
    Places { header, tabs, body, keys }
}

/// The columns that the name of a screen takes in a window of that width: in a narrow one, it is short.
pub fn tab_width(number: usize, title: &str, width: u16) -> u16 {
    tab(number, title, width).width() as u16
}

/// The name of a screen where there is little room.
fn short(title: &str) -> &str {
    match title {
        "Dashboard" => "Dash",
        "Operations" => "Ops",
        other => other,
    }
}

fn tab(number: usize, title: &str, width: u16) -> String {
    match width {
        0..44 => format!(" {} ", number + 1),
        44..90 => format!("{} {} ", number + 1, short(title)),
        _ => format!(" {} {title} ", number + 1),
    }
}

impl App {
    /// Draws what is seen.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let places = places(frame.area());
        self.draw_header(frame, places.header);
        self.draw_tabs(frame, places.tabs);
        match self.stack.last() {
            Some(Place::Dashboard) => self.dashboard.draw(frame, places.body, &self.head, &self.theme),
            Some(Place::Plan(plan)) => plan.draw(frame, places.body, self.now, &self.theme),
            Some(Place::Browse(at)) => {
                if let Some(browse) = self.kept.get(*at) {
                    browse.draw(frame, places.body, &self.theme);
                }
            }
            None => {}
        }
        self.draw_keys(frame, places.keys);
        if let Some(overlay) = &self.overlay {
            overlay.draw(frame, places.body, &self.theme);
        } else {
            self.draw_toasts(frame, places.body);
        }
    }

    fn draw_header(&self, frame: &mut Frame<'_>, area: Rect) {
        let theme = &self.theme;
        frame.buffer_mut().set_style(area, theme.header());
        let dot = theme.sign(" · ", " - ");
        let network = if self.head.network.is_empty() { "wg-friend".to_owned() } else { self.head.network.clone() };
        let mut spans = vec![Span::styled(format!(" {network}"), theme.style(Tone::Strong))];
        let lock = match () {
            () if !self.exists => ("no database yet", Tone::Dim),
            () if !self.head.encrypted && !self.head.network.is_empty() => ("not encrypted", Tone::Warn),
            () if self.is_unlocked() => ("unlocked", Tone::Good),
            () => ("locked", Tone::Warn),
        };
        let mut parts: Vec<(String, Tone)> = Vec::new();
        parts.extend(self.head.roles.iter().map(|(role, count)| (format!("{count} {role}"), Tone::Plain)));
        if let Some(Health { hosts: [answer, hosts], links: [carry, links], whole }) = self.dashboard.health() {
            let tone = |good: bool| if good { Tone::Good } else { Tone::Warn };
            parts.insert(0, (format!("{answer}/{hosts} hosts"), tone(answer == hosts)));
            parts.insert(1, (format!("{carry}/{links} links"), tone(whole)));
        }
        let mut room = usize::from(area.width).saturating_sub(network.width() + lock.0.width() + 6);
        for (text, tone) in parts {
            if text.width() + dot.width() > room {
                break;
            }
            room -= text.width() + dot.width();
            spans.push(Span::styled(dot, theme.style(Tone::Dim)));
            spans.push(Span::styled(text, theme.style(tone)));
        }
        frame.render_widget(Line::from(spans), area);
        let lock = Line::from(Span::styled(format!("{} ", lock.0), theme.style(lock.1))).right_aligned();
        frame.render_widget(lock, area);
    }

    fn draw_tabs(&self, frame: &mut Frame<'_>, area: Rect) {
        if area.height == 0 || !self.exists {
            return;
        }
        let here = self.stack.iter().rev().find_map(|place| {
            let is = |goal: &Goal| match (place, goal) {
                (Place::Dashboard, Goal::Dashboard) | (Place::Plan(_), Goal::Plan(_)) => true,
                (Place::Browse(at), Goal::Screen(screen)) => {
                    self.kept.get(*at).is_some_and(|kept| kept.screen == *screen)
                }
                _ => false,
            };
            NUMBERED.iter().position(|(_, goal)| is(goal))
        });
        let spans: Vec<Span<'static>> = NUMBERED
            .iter()
            .enumerate()
            .map(|(at, (title, _))| {
                let style = if Some(at) == here { self.theme.selected() } else { self.theme.style(Tone::Dim) };
                Span::styled(tab(at, title, area.width), style)
            })
            .collect();
        frame.render_widget(Line::from(spans), area);
    }

    /// The keys that mean something here, as many as there is room for.
    fn draw_keys(&self, frame: &mut Frame<'_>, area: Rect) {
        if area.height == 0 {
            return;
        }
        let mut keys: Vec<(String, &str)> = Vec::new();
        match self.stack.last() {
            Some(Place::Plan(plan)) if plan.is_ready() => keys.push(("Enter".into(), "deploy")),
            Some(Place::Plan(plan)) if plan.goes() => keys.push(("x".into(), "stop in order")),
            Some(Place::Plan(_)) => keys.push(("r".into(), "ask again")),
            _ => {}
        }
        if let Some(screen) = self.screen() {
            match self.browse().map(|browse| browse.focus) {
                Some(Focus::List) if !screen.tabs.is_empty() => keys.push(("Enter".into(), "open")),
                Some(Focus::Text) => keys.extend([("Esc".into(), "list"), ("Tab".into(), "next")]),
                _ => {}
            }
            keys.extend(screen.deeds.iter().map(|deed| (deed.key.to_string(), deed.label)));
        }
        let global = keys::GLOBAL.iter().filter(|binding| !binding.label.is_empty());
        let global: Vec<(String, &str)> =
            global.map(|binding| (keys::name(binding.key, binding.control), binding.label)).collect();
        let width =
            |keys: &[(String, &str)]| keys.iter().map(|(key, label)| key.width() + label.width() + 3).sum::<usize>();
        let room = usize::from(area.width).saturating_sub(2);
        let kept = width(&global).min(room);
        let mut shown = Vec::new();
        let mut used = 0;
        for key in keys {
            let wide = width(std::slice::from_ref(&key));
            if used + wide + kept + SIGN > room {
                shown.push((self.theme.sign("…", "~").to_owned(), ""));
                break;
            }
            used += wide;
            shown.push(key);
        }
        shown.extend(global);
        let mut spans = vec![Span::raw(" ")];
        for (key, label) in shown {
            spans.push(Span::styled(key, self.theme.style(Tone::Code)));
            spans.push(Span::styled(format!(" {label}  "), self.theme.style(Tone::Dim)));
        }
        frame.render_widget(Line::from(spans), area);
    }

    fn draw_toasts(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut bottom = area.y + area.height;
        for toast in self.toasts.iter().rev() {
            let text = cut(&toast.text, usize::from(area.width.saturating_sub(4)), self.theme.ascii);
            let width = text.width() as u16 + 4;
            if bottom < area.y + 3 || width > area.width {
                return;
            }
            let place = Rect { x: area.x + area.width - width, y: bottom - 3, width, height: 3 };
            let block = block(&self.theme, false);
            let inside = block.inner(place);
            frame.render_widget(Clear, place);
            frame.render_widget(block, place);
            frame.render_widget(Paragraph::new(format!(" {text}")).style(self.theme.style(toast.tone)), inside);
            bottom -= 3;
        }
    }
}
