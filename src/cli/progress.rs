//! How far the hosts are, while they work. On a terminal a few lines that change; elsewhere, with `-v`, a line whenever a
//! host is done.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use super::output::{paint, say, style, warn};
use crate::model::Name;
use crate::ops::deploy::{HostOutcome, Outcome, Phase, Progress};

/// How often the lines are drawn.
const TICK: Duration = Duration::from_millis(120);

/// Some moving lines on stderr.
pub(super) struct Line {
    bar: ProgressBar,
    board: Arc<Mutex<Board>>,
    drawing: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    plain: bool,
}

impl Line {
    pub(super) fn new(context: &Context) -> Self {
        let terminal = std::io::stderr().is_terminal() && !context.out.is_quiet();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        let board = Arc::new(Mutex::new(Board::default()));
        let over = Arc::new(AtomicBool::new(false));
        let drawing = terminal.then(|| {
            let (bar, board, over) = (bar.clone(), Arc::clone(&board), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0, h.0));
                    bar.set_message(lock(&board).draw(Instant::now(), columns.into(), rows.into()));
                    std::thread::park_timeout(TICK);
                }
            })
        });
        let plain = !terminal && context.out.verbosity() > 0 && !context.out.is_quiet();
        Self { bar, board, drawing, over, plain }
    }

    /// Returns what says something above the moving lines.
    pub(super) fn voice(&self) -> impl Fn(&str) + Send + 'static {
        let bar = self.bar.clone();
        move |text| bar.suspend(|| say(text))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(drawing) = self.drawing.take() {
            drawing.thread().unpark();
            let _ = drawing.join(); // it only draws
        }
        self.bar.finish_and_clear();
    }
}

impl Progress for Line {
    fn expects(&self, hosts: &[Name]) {
        lock(&self.board).expects(hosts);
    }

    fn reached(&self, host: &Name, phase: Phase) {
        lock(&self.board).reached(host, phase, Instant::now());
    }

    fn armed(&self, host: &Name, within: Duration) {
        lock(&self.board).armed(host, Instant::now() + within);
    }

    fn ended(&self, outcome: &HostOutcome) {
        lock(&self.board).ended(outcome, Instant::now());
        if self.plain && outcome.changes > 0 {
            say(&format!("{}: {} after {:.1} s", outcome.host, short(&outcome.outcome), outcome.seconds));
        }
    }

    fn warns(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

fn short(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Unchanged => "as it should be",
        Outcome::Confirmed => "deployed and confirmed",
        Outcome::Reverted { .. } => "taken back",
        Outcome::Failed { .. } => "not deployed",
        Outcome::HeldBack { .. } => "held back",
        Outcome::NotBegun => "not begun",
        Outcome::OutOfSight { .. } => "out of sight",
    }
}

/// What is known of every host.
#[derive(Default)]
struct Board {
    begun: Option<Instant>,
    hosts: BTreeMap<Name, State>,
}

#[derive(Default)]
struct State {
    /// What it does, and since when; `None` while it waits for its turn.
    phase: Option<(Phase, Instant)>,
    /// When it takes everything back.
    deadline: Option<Instant>,
    /// How it ended: in words, and whether well.
    end: Option<(&'static str, bool)>,
}

impl State {
    fn is_over(&self) -> bool {
        self.end.is_some() || matches!(self.phase, Some((Phase::Observed | Phase::Done, _)))
    }
}

impl Board {
    fn expects(&mut self, hosts: &[Name]) {
        self.hosts = hosts.iter().map(|host| (host.clone(), State::default())).collect();
    }

    fn reached(&mut self, host: &Name, phase: Phase, now: Instant) {
        self.begun.get_or_insert(now);
        self.hosts.entry(host.clone()).or_default().phase = Some((phase, now));
    }

    fn armed(&mut self, host: &Name, deadline: Instant) {
        self.hosts.entry(host.clone()).or_default().deadline = Some(deadline);
    }

    fn ended(&mut self, outcome: &HostOutcome, now: Instant) {
        self.reached(&outcome.host, Phase::Done, now);
        let end = (short(&outcome.outcome), outcome.outcome.is_good());
        self.hosts.entry(outcome.host.clone()).or_default().end = Some(end);
    }

    /// Writes the lines: every host where they fit, otherwise how many are how far, and those that work.
    fn draw(&self, now: Instant, columns: usize, rows: usize) -> String {
        let room = rows.saturating_sub(3).clamp(1, 12);
        let over = self.hosts.values().filter(|state| state.is_over()).count();
        let seconds = self.begun.map_or(0, |begun| (now - begun).as_secs());
        let mut head = format!("{} {over} of {} hosts", spinner(now, self.begun), self.hosts.len());
        for (word, good) in [("went well", true), ("did not", false)] {
            let ended = self.hosts.values().filter(|state| state.end.is_some_and(|end| end.1 == good)).count();
            if ended > 0 {
                head.push_str(&format!(" · {ended} {word}"));
            }
        }
        let working: Vec<_> =
            self.hosts.iter().filter(|(_, state)| state.phase.is_some() && !state.is_over()).collect();
        let waiting = self.hosts.len() - over - working.len();
        if waiting > 0 {
            head.push_str(&format!(" · {waiting} still to come"));
        }
        let mut lines = vec![format!("{head} · {seconds} s")];
        let width = self.hosts.keys().map(|name| name.as_str().len()).max().unwrap_or(0).min(columns / 2);
        let mut shown: Vec<_> = if self.hosts.len() <= room { self.hosts.iter().collect() } else { working };
        if shown.len() > room {
            shown.sort_by_key(|(name, state)| (state.phase.map(|(_, since)| since), *name)); // the slowest first
            shown.truncate(room);
        }
        for (name, state) in shown {
            let name: String = name.as_str().chars().take(width).collect();
            let (sign, colour, words) = state.words(now);
            let words: String = words.chars().take(columns.saturating_sub(width + 5)).collect();
            lines.push(format!("{} {name:width$}  {}", paint(colour, sign), paint(style::DIM, words)));
        }
        lines.join("\n")
    }
}

impl State {
    fn words(&self, now: Instant) -> (char, anstyle::Style, String) {
        if let Some((words, good)) = self.end {
            return if good { ('✓', style::GOOD, words.to_owned()) } else { ('✗', style::BAD, words.to_owned()) };
        }
        let Some((phase, since)) = self.phase else { return ('·', style::DIM, "waits for its turn".to_owned()) };
        let words = match phase {
            Phase::Observing => "looking",
            Phase::Applying => "changing",
            Phase::Confirming => "confirming over a new connection",
            Phase::Reverting => "waiting until it has taken everything back",
            Phase::Observed | Phase::Done => return ('✓', style::GOOD, "done".to_owned()),
        };
        let mut text = format!("{words}, {} s", (now - since).as_secs());
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(now).as_secs();
            text.push_str(&format!("; takes it back in {left} s"));
        }
        let colour = if phase == Phase::Reverting { style::WARN } else { style::CODE };
        ('…', colour, text)
    }
}

fn spinner(now: Instant, begun: Option<Instant>) -> char {
    const FRAMES: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];
    let passed = begun.map_or(0, |begun| (now - begun).as_millis());
    FRAMES[usize::try_from(passed / TICK.as_millis() % 8).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(board: &Board, now: Instant, rows: usize) -> String {
        anstream::adapter::strip_str(&board.draw(now, 80, rows)).to_string()
    }

    fn names(hosts: &[&str]) -> Vec<Name> {
        hosts.iter().map(|host| host.parse().unwrap()).collect()
    }

    #[test]
    fn every_host_has_a_line_with_what_it_does_and_for_how_long() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let hosts = names(&["hub", "lab", "office", "shop"]);
        let mut board = Board::default();
        board.expects(&hosts);
        board.reached(&hosts[0], Phase::Applying, start);
        board.armed(&hosts[0], after(60));
        board.reached(&hosts[0], Phase::Confirming, after(2));
        board.reached(&hosts[1], Phase::Applying, start);
        let (host, outcome) = (hosts[2].clone(), Outcome::Confirmed);
        board.ended(
            &HostOutcome { host, outcome, changes: 1, steps: Vec::new(), notes: Vec::new(), seconds: 1.0 },
            after(1),
        );
        insta::assert_snapshot!(drawn(&board, after(5), 24), @r"
        ⣽ 1 of 4 hosts · 1 went well · 1 still to come · 5 s
        … hub     confirming over a new connection, 3 s; takes it back in 55 s
        … lab     changing, 5 s
        ✓ office  deployed and confirmed
        · shop    waits for its turn
        ");
    }

    #[test]
    fn of_many_hosts_those_that_work_have_a_line_the_slowest_first() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let hosts: Vec<Name> = (1..=40).map(|n| format!("h{n}").parse().unwrap()).collect();
        let mut board = Board::default();
        board.expects(&hosts);
        for (at, host) in hosts.iter().enumerate().take(30) {
            board.reached(host, Phase::Observing, after(30 - at as u64));
        }
        board.reached(&hosts[0], Phase::Observed, after(31));
        insta::assert_snapshot!(drawn(&board, after(32), 6), @r"
        ⣾ 1 of 40 hosts · 10 still to come · 2 s
        … h30  looking, 31 s
        … h29  looking, 30 s
        … h28  looking, 29 s
        ");
    }
}
