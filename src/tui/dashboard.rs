//! The whole network at a glance: who can be reached, what flows, and what waits to be done.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use unicode_width::UnicodeWidthStr as _;

use super::browse::block;
use super::msg::Head;
use super::screens::ago;
use super::theme::{Theme, Tone};
use super::widgets::cut;
use crate::model::{Name, Role};
use crate::ops::clock::{Clock as _, System};
use crate::ops::deploy::status::LinkState;
use crate::ops::watch::{Event, HostState, LinkLine, Picture};

/// How many seconds of traffic are drawn.
const HISTORY: usize = 60;
/// How many changes are kept in sight.
const REMEMBERED: usize = 100;
/// From so many columns on, links and the rest stand side by side.
const WIDE: u16 = 100;

/// Names have at least so many columns.
const SHORT: usize = 14;
/// From so many columns on a link's line has its address.
const ROOMY: usize = 90;

/// What is known of the network as it is now.
#[derive(Debug, Default)]
pub struct Dashboard {
    picture: Option<Picture>,
    /// Bytes a second over a link, both ways, the newest last.
    traffic: BTreeMap<(Option<Name>, Name), VecDeque<u64>>,
    events: VecDeque<Event>,
    fault: Option<String>,
    /// When the first picture came.
    since: Option<DateTime<Utc>>,
    top: usize,
}

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Hosts that answer, and all hosts.
    pub hosts: [usize; 2],
    /// Links that carry traffic, and all links.
    pub links: [usize; 2],
    /// Whether the links between servers, routers and exits all carry traffic.
    pub whole: bool,
}

impl Dashboard {
    /// Takes in how things stand.
    pub fn picture(&mut self, picture: Picture, events: Vec<Event>) {
        self.since.get_or_insert_with(|| System.now());
        for line in &picture.links {
            let rate = line.rx_rate.unwrap_or(0) + line.tx_rate.unwrap_or(0);
            let link = (line.link.near.clone(), line.link.node.clone());
            // Of most links in a large network nothing is ever seen.
            let rates = match self.traffic.entry(link) {
                Entry::Occupied(rates) => rates.into_mut(),
                Entry::Vacant(none) if rate > 0 => none.insert(VecDeque::new()),
                Entry::Vacant(_) => continue,
            };
            rates.push_back(rate);
            rates.drain(..rates.len().saturating_sub(HISTORY));
        }
        let fresh = events.into_iter().filter(|event| event.before != "pending" && event.before != "unknown");
        self.events.extend(fresh);
        self.events.drain(..self.events.len().saturating_sub(REMEMBERED));
        self.picture = Some(picture);
        self.fault = None;
    }

    /// Says why nobody watches.
    pub fn fails(&mut self, fault: String) {
        self.fault = Some(fault);
    }

    /// Forgets everything: another network is meant.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Returns how the network is; nothing where nobody can be asked.
    pub fn health(&self) -> Option<Health> {
        let picture = self.picture.as_ref().filter(|picture| !picture.hosts.is_empty())?;
        let answer = picture.hosts.iter().filter(|host| host.state == HostState::Connected).count();
        let carries = |line: &&LinkLine| line.link.state == LinkState::Connected;
        let carry = picture.links.iter().filter(carries).count();
        // A phone that is off is nothing to worry about.
        let whole = picture.links.iter().filter(|line| line.link.role != Role::Remote).all(|line| carries(&line));
        Some(Health { hosts: [answer, picture.hosts.len()], links: [carry, picture.links.len()], whole })
    }

    /// Scrolls; returns whether the key meant that.
    pub fn key(&mut self, key: KeyEvent, area: Rect) -> bool {
        let links = self.picture.as_ref().map_or(0, |picture| picture.links.len());
        let page = usize::from(area.height / 2).max(1);
        self.top = match key.code {
            KeyCode::Down | KeyCode::Char('j') => self.top + 1,
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::PageDown => self.top + page,
            KeyCode::PageUp => self.top.saturating_sub(page),
            KeyCode::Home => 0,
            KeyCode::End => links,
            _ => return false,
        }
        .min(links.saturating_sub(1));
        true
    }

    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, head: &Head, theme: &Theme) {
        let waits = waits(head, theme);
        let (links, side) = if area.width >= WIDE {
            let [links, side] =
                Layout::horizontal([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(area);
            (links, side)
        } else {
            let height = (waits.len() as u16 + 8).min(area.height / 2);
            let [links, side] = Layout::vertical([Constraint::Min(3), Constraint::Length(height)]).areas(area);
            (links, side)
        };
        self.draw_links(frame, links, head, theme);
        let hosts = self.picture.as_ref().map_or(0, |picture| picture.hosts.len());
        let lines = (waits.len() as u16 + 2).min(side.height);
        let rest = side.height - lines;
        let of_hosts = (hosts as u16 + 2).clamp(3, rest.saturating_sub(3).max(3)).min(rest);
        // A box of less than three lines has nothing in it.
        let of_hosts = if rest - of_hosts < 3 { rest } else { of_hosts };
        let [first, second, third] =
            Layout::vertical([Constraint::Length(lines), Constraint::Length(of_hosts), Constraint::Min(0)]).areas(side);
        boxed(frame, first, "To do", waits, theme);
        boxed(frame, second, "Hosts", self.hosts(theme, second.width), theme);
        if third.height > 2 {
            boxed(frame, third, "Changes (UTC)", self.changes(theme), theme);
        }
    }

    fn draw_links(&self, frame: &mut Frame<'_>, area: Rect, head: &Head, theme: &Theme) {
        let counts = self
            .health()
            .map(|Health { links: [carry, all], .. }| format!(" {carry} of {all} connected "))
            .unwrap_or_default();
        let block = block(theme, true).title(" Topology ").title_bottom(Line::from(counts).right_aligned());
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let say = |text: &str, tone| Paragraph::new(text.to_owned()).style(theme.style(tone)).wrap(Wrap { trim: true });
        let Some(picture) = &self.picture else {
            match &self.fault {
                Some(fault) => frame.render_widget(say(fault, Tone::Bad), inside),
                None => frame.render_widget(say("asking hosts …", Tone::Dim), inside),
            }
            return;
        };
        if picture.links.is_empty() {
            let text =
                "No links yet. Press `2` for the nodes and `a` there to add one; `3` has the hosts that they live on.";
            frame.render_widget(say(text, Tone::Dim), inside);
            return;
        }
        let rows = tree(picture, root(head));
        let inside = match &self.fault {
            Some(fault) => {
                let [line, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inside);
                let text = cut(&format!("as it was: {fault}"), usize::from(line.width), theme.ascii);
                frame.render_widget(Span::styled(text, theme.style(Tone::Bad)), line);
                rest
            }
            None => inside,
        };
        let height = usize::from(inside.height);
        let longest = picture.links.iter().map(|line| line.link.node.as_str().width()).max().unwrap_or(0);
        let names = longest.clamp(SHORT, usize::from(inside.width).saturating_sub(46).max(SHORT));
        let top = self.top.min(rows.len().saturating_sub(height));
        for (at, branch) in rows.iter().skip(top).take(height).enumerate() {
            let row = Rect { y: inside.y + at as u16, height: 1, ..inside };
            let last_seen = at + 1 == height && top + height < rows.len();
            if last_seen {
                let more = format!("{} {} more", theme.sign("↓", "v"), rows.len() - top - at);
                frame.render_widget(Span::styled(more, theme.style(Tone::Dim)), row);
            } else {
                frame.render_widget(self.branch(branch, usize::from(inside.width), names, theme), row);
            }
        }
    }

    /// `names`: the columns that names have.
    fn branch(&self, branch: &Branch<'_>, width: usize, names: usize, theme: &Theme) -> Line<'static> {
        let (line, last) = match branch {
            Branch::Root(name) => {
                let sign = theme.sign("◆ ", "# ");
                return Line::from(vec![
                    Span::styled(sign, theme.style(Tone::Code)),
                    Span::styled(cut(name, width.saturating_sub(2), theme.ascii), theme.style(Tone::Strong)),
                ]);
            }
            Branch::Link(line, last) => (line, *last),
        };
        let link = &line.link;
        let (sign, tone) = match link.state {
            LinkState::Connected => (theme.sign("●", "*"), Tone::Good),
            LinkState::Disconnected => (theme.sign("○", "o"), Tone::Warn),
            LinkState::Never => (theme.sign("○", "o"), Tone::Dim),
            LinkState::NotDeployed => (theme.sign("◌", "-"), Tone::Warn),
            LinkState::Unknown => ("?", Tone::Dim),
        };
        let stem = match (theme.ascii, last) {
            (false, false) => "├─ ",
            (false, true) => "└─ ",
            (true, false) => "|- ",
            (true, true) => "`- ",
        };
        let seen = match (link.state, link.handshake_age) {
            (LinkState::Connected | LinkState::Disconnected, Some(age)) => format!("{} ago", ago(age)),
            (state, _) => state.as_str().replace('_', " "),
        };
        let rate = line.rx_rate.unwrap_or(0) + line.tx_rate.unwrap_or(0);
        let rates = self.traffic.get(&(link.near.clone(), link.node.clone()));
        let address = link.address.filter(|_| width >= ROOMY).map(|address| address.to_string()).unwrap_or_default();
        let right = width.saturating_sub(names + if width >= ROOMY { 56 } else { 38 }).min(24);
        let spark = rates.map(|rates| spark(rates, right, theme)).unwrap_or_default();
        let name = cut(link.node.as_str(), names, theme.ascii);
        let role = if link.role == Role::Server { "server".to_owned() } else { link.role.to_string() };
        let pad = |text: &str, columns: usize| format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())));
        Line::from(vec![
            Span::styled(stem, theme.style(Tone::Dim)),
            Span::styled(format!("{sign} "), theme.style(tone)),
            Span::styled(pad(&name, names), theme.style(Tone::Strong)),
            Span::styled(format!(" {} ", pad(&role, 6)), theme.style(Tone::Dim)),
            Span::raw(if width >= ROOMY { pad(&cut(&address, 17, theme.ascii), 18) } else { String::new() }),
            Span::styled(pad(&seen, 13), theme.style(tone)),
            Span::raw(pad(&if rate > 0 { per_second(rate) } else { String::new() }, 10)),
            Span::styled(spark, theme.style(Tone::Good)),
        ])
    }

    fn hosts(&self, theme: &Theme, width: u16) -> Vec<Line<'static>> {
        let Some(picture) = &self.picture else { return Vec::new() };
        if picture.hosts.is_empty() {
            let text = "none that can be asked: `a` under `3` adds one";
            return vec![Line::styled(text, theme.style(Tone::Dim))];
        }
        let line = |host: &crate::ops::watch::HostLine| {
            let (sign, tone) = match host.state {
                HostState::Connected => (theme.sign("●", "*"), Tone::Good),
                HostState::Pending => (theme.sign("◌", "-"), Tone::Dim),
                _ => (theme.sign("○", "o"), Tone::Bad),
            };
            let more = match (&host.error, host.uptime) {
                (Some(error), _) => error.clone(),
                (None, Some(uptime)) => format!("up {}", ago(i64::try_from(uptime).unwrap_or(i64::MAX))),
                (None, None) => host.state.as_str().to_owned(),
            };
            let room = usize::from(width).saturating_sub(6 + host.host.as_str().width());
            Line::from(vec![
                Span::styled(format!("{sign} "), theme.style(tone)),
                Span::styled(host.host.to_string(), theme.style(Tone::Strong)),
                Span::styled(format!("  {}", cut(&more, room, theme.ascii)), theme.style(Tone::Dim)),
            ])
        };
        // Those that don't answer come first.
        let mut hosts: Vec<_> = picture.hosts.iter().collect();
        hosts.sort_by_key(|host| (host.state == HostState::Connected, host.host.clone()));
        hosts.into_iter().map(line).collect()
    }

    fn changes(&self, theme: &Theme) -> Vec<Line<'static>> {
        let line = |event: &Event| {
            let good = event.after == LinkState::Connected.as_str();
            let words = format!("{} {}", event.name, event.after.replace('_', " "));
            Line::from(vec![
                Span::styled(event.time.format("%H:%M:%S  ").to_string(), theme.style(Tone::Dim)),
                Span::styled(words, theme.style(if good { Tone::Good } else { Tone::Warn })),
            ])
        };
        if let (true, Some(since)) = (self.events.is_empty(), self.since) {
            return vec![Line::styled(format!("none since {}", since.format("%H:%M:%S")), theme.style(Tone::Dim))];
        }
        self.events.iter().rev().map(line).collect()
    }
}

/// A line of the drawing.
enum Branch<'a> {
    /// Whom others are linked to.
    Root(&'a str),
    /// A link of the one above; whether it is the last.
    Link(&'a LinkLine, bool),
}

/// The node below which links stand that nobody tells of: the server, or all of the network where there are several.
fn root(head: &Head) -> &str {
    match head.names.get("SERVER").map(Vec::as_slice) {
        Some([server]) => server,
        _ => &head.network,
    }
}

/// The links below the nodes that tell of them.
fn tree<'a>(picture: &'a Picture, otherwise: &'a str) -> Vec<Branch<'a>> {
    let mut roots: BTreeMap<&str, Vec<&LinkLine>> = BTreeMap::new();
    for line in &picture.links {
        roots.entry(line.link.near.as_ref().map_or(otherwise, Name::as_str)).or_default().push(line);
    }
    let mut rows = Vec::new();
    for (near, links) in roots {
        rows.push(Branch::Root(near));
        let last = links.len() - 1;
        rows.extend(links.into_iter().enumerate().map(|(at, line)| Branch::Link(line, at == last)));
    }
    rows
}

/// What waits to be done.
fn waits(head: &Head, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut say = |count: usize, one: &str, many: &str, key: &str| {
        if count > 0 {
            lines.push(Line::from(vec![
                Span::styled(format!("{} ", theme.sign("▲", "!")), theme.style(Tone::Warn)),
                Span::raw(format!("{count} {}", if count == 1 { one } else { many })),
                Span::styled(format!("  {key}"), theme.style(Tone::Code)),
            ]));
        }
    };
    say(head.undeployed, "host waits for its first deploy", "hosts wait for their first deploy", "4");
    say(head.pending.unwrap_or(0), "host lacks later changes", "hosts lack later changes", "4");
    say(head.drifted, "host was changed by hand", "hosts were changed by hand", "5");
    say(head.devices, "device needs a new file", "devices need a new file", "o");
    say(head.open, "deploy has no known end", "deploys have no known end", "3 r");
    if !head.encrypted {
        lines.push(Line::styled("the database is not encrypted", theme.style(Tone::Warn)));
    }
    match head.pending {
        None => lines.push(Line::styled("not known: which hosts lack changes", theme.style(Tone::Dim))),
        Some(_) if lines.is_empty() => lines.push(Line::styled("nothing", theme.style(Tone::Good))),
        Some(_) => {}
    }
    lines
}

fn boxed(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'static>>, theme: &Theme) {
    if area.height < 2 {
        return;
    }
    let room = usize::from(area.height - 2);
    let left = lines.len().saturating_sub(room);
    let mut block = block(theme, false).title(format!(" {title} "));
    if left > 0 {
        block = block.title_bottom(Line::from(format!(" {left} more ")).right_aligned());
    }
    let inside = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inside);
}

/// The last seconds of traffic as bars, the highest of them full.
fn spark(rates: &VecDeque<u64>, columns: usize, theme: &Theme) -> String {
    let bars: [&str; 8] = if theme.ascii {
        ["_", ".", ":", "-", "=", "+", "*", "#"]
    } else {
        ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    };
    let most = rates.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let bar = |rate: &u64| if *rate == 0 { " " } else { bars[((rate * 7).div_ceil(most)).min(7) as usize] };
    rates.iter().skip(rates.len().saturating_sub(columns)).map(bar).collect()
}

/// Bytes a second, in three digits.
fn per_second(bytes: u64) -> String {
    let units = ["B/s", "kB/s", "MB/s", "GB/s"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < units.len() {
        amount /= 1000.0;
        unit += 1;
    }
    if unit == 0 || amount >= 100.0 {
        format!("{amount:.0} {}", units[unit])
    } else {
        format!("{amount:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_said_in_three_digits_and_drawn_against_its_highest() {
        assert_eq!([999, 1500, 250_000, 12_345_678].map(per_second), ["999 B/s", "1.5 kB/s", "250 kB/s", "12.3 MB/s"]);
        let rates: VecDeque<u64> = [0, 10, 50, 100].into();
        assert_eq!(spark(&rates, 3, &Theme::default()), "▂▅█");
        assert_eq!(spark(&[0, 0].into(), 3, &Theme::default()), "");
    }
}
