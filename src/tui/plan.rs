//! What would change on hosts, and how a deploy of it goes: host by host, with the time until each takes it back.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::browse::block;
use super::line::Line as Command;
use super::msg::{Planned, Step};
use super::theme::{Theme, Tone};
use super::widgets::cut;
use crate::model::Name;
use crate::model::Severity;
use crate::ops::Error;
use crate::ops::deploy::blast::Loss;
use crate::ops::deploy::report::{HostReport, PlanReport};
use crate::ops::deploy::{Disruption, HostOutcome, Outcome, Phase, Stop};

/// How far one host is.
#[derive(Debug)]
struct Progress {
    phase: Phase,
    since: Instant,
    /// When it takes everything back.
    until: Option<Instant>,
    outcome: Option<HostOutcome>,
}

/// What is known of the plan.
#[derive(Debug)]
enum State {
    /// Hosts are being asked.
    Asking,
    /// It is there, and waits for a decision.
    Ready(Sender<Stop>),
    /// It is being carried out.
    Goes(Stop),
    /// It is over.
    Over,
    /// There is none.
    Failed(String, Option<String>),
}

/// A plan, and what becomes of it.
#[derive(Debug)]
pub struct PlanView {
    /// The hosts that it is about; none means all.
    pub hosts: Vec<String>,
    /// The request that answers have to belong to.
    pub number: u64,
    state: State,
    report: Option<PlanReport>,
    progress: BTreeMap<Name, Progress>,
    log: Vec<String>,
    at: usize,
    top: u16,
}

impl PlanView {
    /// A plan that is to be made.
    pub fn new(hosts: Vec<String>, number: u64) -> Self {
        let (progress, log) = Default::default();
        Self { hosts, number, state: State::Asking, report: None, progress, log, at: 0, top: 0 }
    }

    /// Takes in what would change, or why nobody knows.
    pub fn planned(&mut self, planned: Result<Planned, Error>) {
        match planned {
            Ok(Planned { report, go }) => {
                self.state = if report.changes == 0 { State::Over } else { State::Ready(go) };
                let first = report.hosts.iter().position(|host| !host.changes.is_empty() || host.error.is_some());
                self.at = first.unwrap_or(0);
                self.report = Some(report);
                self.progress.clear();
            }
            Err(error) => self.state = State::Failed(error.to_string(), error.hint()),
        }
    }

    /// Takes in how far it is.
    pub fn step(&mut self, step: Step, now: Instant) {
        let mut of = |host: Name, phase: Phase| {
            let progress = Progress { phase, since: now, until: None, outcome: None };
            let known = self.progress.entry(host).or_insert(progress);
            (known.phase, known.since) = (phase, now);
        };
        match step {
            Step::Expects(hosts) => hosts.into_iter().for_each(|host| of(host, Phase::Observed)),
            Step::Reached(host, phase) => of(host, phase),
            Step::Armed(host, within) => {
                if let Some(progress) = self.progress.get_mut(&host) {
                    progress.until = Some(now + within);
                }
            }
            Step::Ended(outcome) => {
                of(outcome.host.clone(), Phase::Done);
                self.log.push(format!("{}: {}", outcome.host, words(&outcome.outcome).0));
                if let Some(progress) = self.progress.get_mut(&outcome.host) {
                    (progress.until, progress.outcome) = (None, Some(*outcome));
                }
            }
            Step::Warns(text) => self.log.push(format!("warning: {text}")),
        }
    }

    /// Takes in how it ended.
    pub fn deployed(&mut self, done: Result<Vec<HostOutcome>, Error>, now: Instant) {
        match done {
            Ok(outcomes) => {
                for outcome in outcomes {
                    let progress =
                        Progress { phase: Phase::Done, since: now, until: None, outcome: Some(outcome.clone()) };
                    self.progress.insert(outcome.host, progress);
                }
                self.state = State::Over;
            }
            Err(error) => self.state = State::Failed(error.to_string(), error.hint()),
        }
    }

    /// Gives a plan up that waits: what it holds open is secret. A deploy goes on.
    pub fn lock(&mut self) {
        if matches!(self.state, State::Asking | State::Ready(_)) {
            self.state = State::Failed(Error::Locked.to_string(), Some("press `L` to unlock".to_owned()));
            self.number = 0; // the answer comes too late
        }
    }

    /// Whether there is none because the database is locked.
    pub fn is_locked(&self) -> bool {
        matches!(&self.state, State::Failed(why, _) if *why == Error::Locked.to_string())
    }

    /// Whether there is something to decide on.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether it is being carried out.
    pub fn goes(&self) -> bool {
        matches!(self.state, State::Goes(_))
    }

    /// Whether hosts are being asked.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking)
    }

    /// Has it carried out.
    pub fn go(&mut self) {
        let State::Ready(go) = &self.state else { return };
        let stop = Stop::default();
        let sent = go.send(stop.clone());
        self.state = match sent {
            Ok(()) => State::Goes(stop),
            Err(_) => State::Failed("the plan is gone; make another one".into(), None),
        };
        self.log.clear();
    }

    /// Asks for its end: what is as intended is confirmed, the rest is taken back.
    pub fn stop(&mut self) -> bool {
        let State::Goes(stop) = &self.state else { return false };
        stop.ask();
        self.log.push("stopping: no further host is begun; what isn't as intended is taken back".to_owned());
        true
    }

    /// Returns how it ended, in a word.
    pub fn summary(&self) -> Option<(String, Tone)> {
        if let State::Failed(reason, _) = &self.state {
            return Some((reason.clone(), Tone::Bad));
        }
        let ends: Vec<&HostOutcome> = self.progress.values().filter_map(|progress| progress.outcome.as_ref()).collect();
        if !matches!(self.state, State::Over) || ends.is_empty() {
            return None;
        }
        let good = ends.iter().filter(|end| end.outcome.is_good()).count();
        let tone = if good == ends.len() { Tone::Good } else { Tone::Bad };
        Some((format!("{good} of {} hosts are as the model says", ends.len()), tone))
    }

    /// Returns the line that does the same.
    pub fn line(&self) -> Command {
        let word = if self.is_ready() || self.goes() { "deploy" } else { "plan" };
        Command::new(std::iter::once(word).chain(self.hosts.iter().map(String::as_str)))
    }

    /// Moves; returns whether the key meant that.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let last = self.report.as_ref().map_or(0, |report| report.hosts.len().saturating_sub(1));
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => (self.at, self.top) = ((self.at + 1).min(last), 0),
            KeyCode::Up | KeyCode::Char('k') => (self.at, self.top) = (self.at.saturating_sub(1), 0),
            KeyCode::Home => (self.at, self.top) = (0, 0),
            KeyCode::End => (self.at, self.top) = (last, 0),
            KeyCode::PageDown => self.top = self.top.saturating_add(10),
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            _ => return false,
        }
        true
    }

    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, now: Instant, theme: &Theme) {
        let log = if self.log.is_empty() { 0 } else { (self.log.len() as u16 + 2).min(area.height / 4).max(3) };
        let [main, foot] = Layout::vertical([Constraint::Min(3), Constraint::Length(log)]).areas(area);
        let [left, right] = if area.width >= 100 {
            Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(main)
        } else {
            let hosts = self.report.as_ref().map_or(1, |report| report.hosts.len()) as u16 + 2;
            Layout::vertical([Constraint::Length(hosts.min(main.height / 2).max(3)), Constraint::Min(0)]).areas(main)
        };
        self.draw_hosts(frame, left, now, theme);
        self.draw_changes(frame, right, now, theme);
        if log > 0 {
            let block = block(theme, false).title(" Log ");
            let inside = block.inner(foot);
            frame.render_widget(block, foot);
            let rows = usize::from(inside.height);
            let lines = self.log.iter().skip(self.log.len().saturating_sub(rows));
            let lines = lines.map(|line| Line::raw(cut(line, usize::from(inside.width), theme.ascii)));
            frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inside);
        }
    }

    fn draw_hosts(&self, frame: &mut Frame<'_>, area: Rect, now: Instant, theme: &Theme) {
        let title = match &self.state {
            State::Asking => " Plan: asking hosts … ",
            State::Ready(_) => " Plan ",
            State::Goes(_) => " Deploy ",
            State::Over => " Hosts ",
            State::Failed(..) => " Failed ",
        };
        let block = block(theme, true).title(title);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let height = usize::from(inside.height);
        let names: Vec<(String, Option<&HostReport>)> = match &self.report {
            Some(report) => report.hosts.iter().map(|host| (host.host.to_string(), Some(host))).collect(),
            None => self.progress.keys().map(|name| (name.to_string(), None)).collect(),
        };
        let top = self.at.saturating_sub(height / 2).min(names.len().saturating_sub(height));
        for (at, (name, report)) in names.iter().enumerate().skip(top).take(height) {
            let row = Rect { y: inside.y + (at - top) as u16, height: 1, ..inside };
            let chosen = at == self.at && self.report.is_some();
            let known = name.parse::<Name>().ok().and_then(|name| self.progress.get(&name));
            let (text, tone) = state(*report, known, now, self.goes() || matches!(self.state, State::Over));
            let width = usize::from(inside.width).saturating_sub(24);
            let line = Line::from(vec![
                Span::styled(if chosen { theme.sign("▸ ", "> ") } else { "  " }, theme.style(Tone::Code)),
                Span::styled(format!("{:<20}  ", cut(name, 20, theme.ascii)), theme.style(Tone::Strong)),
                Span::styled(cut(&text, width, theme.ascii), theme.style(tone)),
            ]);
            if chosen {
                frame.buffer_mut().set_style(row, theme.selected());
            }
            frame.render_widget(line, row);
        }
    }

    fn draw_changes(&self, frame: &mut Frame<'_>, area: Rect, now: Instant, theme: &Theme) {
        let host = self.report.as_ref().and_then(|report| report.hosts.get(self.at));
        let title = host.map_or(String::new(), |host| format!(" {} ", host.host));
        let block = block(theme, false).title(title);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        let mut lines: Vec<Line<'static>> = Vec::new();
        let dim = theme.style(Tone::Dim);
        if let State::Failed(reason, hint) = &self.state {
            lines.push(Line::styled(reason.clone(), theme.style(Tone::Bad)));
            lines.extend(hint.iter().map(|hint| Line::styled(hint.clone(), theme.style(Tone::Code))));
            lines.push(Line::raw(""));
        }
        if let (Some(report), State::Ready(_)) = (&self.report, &self.state) {
            lines.extend(overall(report, theme));
            lines.push(Line::raw(""));
        }
        if let Some(host) = host {
            lines.extend(host.error.iter().map(|error| Line::styled(error.clone(), theme.style(Tone::Bad))));
            lines.extend(host.hint.iter().map(|hint| Line::styled(hint.clone(), theme.style(Tone::Code))));
            if host.changes.is_empty() && host.error.is_none() {
                lines.push(Line::styled("as the model says", theme.style(Tone::Good)));
            }
            for planned in &host.changes {
                let change = &planned.change;
                let tone = match change.severity {
                    Severity::Critical => Tone::Bad,
                    Severity::Warning => Tone::Warn,
                    Severity::Info => Tone::Plain,
                };
                lines.push(Line::styled(change.to_string(), theme.style(tone)));
                let mut more = Vec::new();
                if change.disruption == Disruption::Restart {
                    more.push("the interface goes down and up".to_owned());
                }
                if planned.touches_way {
                    more.push("touches the way by which the host is reached".to_owned());
                }
                lines.extend(more.into_iter().map(|text| Line::styled(format!("  {text}"), theme.style(Tone::Warn))));
            }
            let loses = self.report.iter().flat_map(|report| &report.blast.loses).filter(|loss| loss.host == host.host);
            let loss =
                |loss: &Loss| format!("{} loses packets: {} {}", loss.peer, loss.interface, loss.because.in_words());
            lines.extend(loses.map(|one| Line::styled(loss(one), theme.style(Tone::Warn))));
            let progress = self.progress.get(&host.host);
            if let Some(until) = progress.and_then(|progress| progress.until) {
                let left = until.saturating_duration_since(now).as_secs();
                let text = format!("the host takes everything back in {left} s, unless it is seen to be well before");
                lines.push(Line::raw(""));
                lines.push(Line::styled(text, theme.style(Tone::Warn)));
            }
            let outcome = progress.and_then(|progress| progress.outcome.as_ref());
            if let Some(outcome) = outcome {
                let (word, tone) = words(&outcome.outcome);
                lines.push(Line::raw(""));
                lines.push(Line::styled(word, theme.style(tone)));
                lines.extend(outcome.steps.iter().map(|step| Line::styled(format!("  {step}"), dim)));
                lines.extend(outcome.notes.iter().map(|note| Line::styled(format!("  {note}"), dim)));
            }
        } else if matches!(self.state, State::Over) {
            lines.push(Line::styled("no hosts yet: press `3` and `a` to add one", dim));
        }
        let text = Paragraph::new(lines).wrap(Wrap { trim: false });
        frame.render_widget(text.scroll((self.top, 0)), inside);
    }
}

fn overall(report: &PlanReport, theme: &Theme) -> Vec<Line<'static>> {
    let differing = report.hosts.iter().filter(|host| !host.changes.is_empty()).count();
    let all = counted(report.changes, "change", "changes");
    let text = format!("{all} on {differing} of {} hosts", report.hosts.len());
    let mut lines = vec![Line::styled(text, theme.style(Tone::Strong))];
    let mut say = |count: usize, one: &str, many: &str, tone| {
        if count > 0 {
            lines.push(Line::styled(counted(count, one, many), theme.style(tone)));
        }
    };
    say(report.drift, "made by hand on a host", "made by hand on hosts", Tone::Warn);
    say(report.restarts, "interface goes down and up", "interfaces go down and up", Tone::Warn);
    say(report.rekeys, "interface shakes hands anew", "interfaces shake hands anew", Tone::Warn);
    say(report.blast.loses.len(), "peer loses packets", "peers lose packets", Tone::Warn);
    say(report.blast.devices.len(), "device needs a new file", "devices need a new file", Tone::Warn);
    say(report.failed, "host gave no answer", "hosts gave no answer", Tone::Bad);
    lines
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Says how far a host is, and what that means.
fn state(report: Option<&HostReport>, known: Option<&Progress>, now: Instant, goes: bool) -> (String, Tone) {
    if let Some(progress) = known.filter(|progress| goes || progress.outcome.is_some() || report.is_none()) {
        if let Some(outcome) = &progress.outcome {
            let (word, tone) = words(&outcome.outcome);
            return (format!("{word} in {:.1} s", outcome.seconds), tone);
        }
        let phase = match progress.phase {
            Phase::Observing => "asking",
            Phase::Observed if report.is_none() => "answered",
            Phase::Observed => "waits for its turn",
            Phase::Applying => "changing",
            Phase::Confirming => "looking at it over a new connection",
            Phase::Reverting => "waiting until it has taken everything back",
            Phase::Done => "done",
        };
        let left = progress.until.map(|until| until.saturating_duration_since(now).as_secs());
        let left = left.map(|left| format!(" · {left} s left")).unwrap_or_default();
        let slow = now.saturating_duration_since(progress.since) > Duration::from_secs(5);
        return (format!("{phase}{left}"), if slow { Tone::Warn } else { Tone::Code });
    }
    match report {
        Some(report) if report.error.is_some() => ("no plan".to_owned(), Tone::Bad),
        Some(report) if report.changes.is_empty() => ("as the model says".to_owned(), Tone::Good),
        Some(report) => (counted(report.changes.len(), "change", "changes"), Tone::Warn),
        None => (String::new(), Tone::Plain),
    }
}

/// Says how it ended on a host.
fn words(outcome: &Outcome) -> (String, Tone) {
    match outcome {
        Outcome::Unchanged => ("nothing to do".to_owned(), Tone::Good),
        Outcome::Confirmed => ("confirmed".to_owned(), Tone::Good),
        Outcome::Reverted { reason, clean: true } => (format!("taken back: {reason}"), Tone::Bad),
        Outcome::Reverted { reason, clean: false } => (format!("taken back, not cleanly: {reason}"), Tone::Bad),
        Outcome::Failed { reason, hint } => {
            let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            (format!("failed: {reason}{hint}"), Tone::Bad)
        }
        Outcome::HeldBack { because_of, .. } => (format!("held back because of {because_of}"), Tone::Warn),
        Outcome::NotBegun => ("not begun".to_owned(), Tone::Warn),
        Outcome::OutOfSight { reason } => (format!("out of sight, takes it back by itself: {reason}"), Tone::Bad),
    }
}
