//! What the screens are and become: a message in, effects out. Nothing here waits, reads or asks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::Command;
use ratatui::layout::Rect;

use super::browse::Browse;
use super::dashboard::Dashboard;
use super::draw::places;
use super::form::Form;
use super::line::Line;
use super::msg::{Effect, Head, Msg, Purpose};
use super::overlay::{Overlay, Unlock};
use super::plan::PlanView;
use super::screens::{self, Act, Goal, Screen};
use super::source::Source;
use super::theme::{Look, Theme, Tone};
use crate::ops::{Error, Kind};

/// How long a remark stays.
const TOAST: Duration = Duration::from_secs(6);
/// Without a key pressed for so long, the database is locked.
pub const IDLE: Duration = Duration::from_secs(15 * 60);

/// What is seen.
#[derive(Debug)]
pub enum Place {
    /// The whole network at a glance.
    Dashboard,
    /// A list, and a text about the chosen row: which of those that are kept.
    Browse(usize),
    /// A plan or a deploy.
    Plan(Box<PlanView>),
}

/// A remark that goes again.
#[derive(Debug)]
pub struct Toast {
    /// What it says.
    pub text: String,
    /// What that means.
    pub tone: Tone,
    until: Instant,
}

/// The screens.
#[derive(Debug)]
pub struct App {
    /// How they look.
    pub theme: Theme,
    /// Where they get what they show.
    pub source: Source,
    /// What the header says.
    pub head: Head,
    /// What is seen last is last.
    pub stack: Vec<Place>,
    /// The screens with lists that were seen.
    pub kept: Vec<Browse>,
    /// The network as it is now.
    pub dashboard: Dashboard,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// Remarks.
    pub toasts: VecDeque<Toast>,
    /// The time.
    pub now: Instant,
    /// The window.
    pub area: Rect,
    /// Whether the mouse is taken.
    pub mouse: bool,
    pub(super) definition: Command,
    pub(super) number: u64,
    /// Whether there was a database when that was last looked at.
    pub(super) exists: bool,
    /// The request for the header after which the last change is taken back.
    undoes: Option<u64>,
    /// Whether somebody was told that a deploy goes on.
    pub(super) warned: bool,
    pub(super) last_key: Instant,
    /// The watch that goes on, by its number.
    watch: Option<u64>,
}

impl App {
    /// The screens as they begin.
    pub fn new(source: Source, definition: Command, theme: Theme, now: Instant) -> Self {
        let mut app = Self {
            theme,
            source,
            head: Head { encrypted: true, ..Head::default() }, // until it is known
            stack: Vec::new(),
            kept: Vec::new(),
            dashboard: Dashboard::default(),
            overlay: None,
            toasts: VecDeque::new(),
            now,
            area: Rect::new(0, 0, 80, 24),
            mouse: false,
            definition,
            number: 0,
            exists: false,
            undoes: None,
            warned: false,
            last_key: now,
            watch: None,
        };
        app.stack.push(Place::Dashboard);
        app
    }

    /// Returns what is to be done first.
    pub fn begin(&mut self) -> Vec<Effect> {
        self.exists = self.source.exists();
        self.stack.clear();
        if !self.exists {
            return self.go(Goal::Screen(&screens::first::SCREEN));
        }
        let mut effects = vec![self.read_head()];
        effects.extend(self.go(Goal::Dashboard));
        effects
    }

    /// Returns the list that is seen, if there is one.
    pub fn browse(&self) -> Option<&Browse> {
        match self.stack.last() {
            Some(Place::Browse(at)) => self.kept.get(*at),
            _ => None,
        }
    }

    pub(super) fn browse_mut(&mut self) -> Option<&mut Browse> {
        match self.stack.last() {
            Some(Place::Browse(at)) => self.kept.get_mut(*at),
            _ => None,
        }
    }

    /// Returns the plan that is seen, or goes on behind what is seen.
    fn plan_mut(&mut self, number: u64) -> Option<&mut PlanView> {
        self.stack.iter_mut().find_map(|place| match place {
            Place::Plan(plan) if plan.number == number => Some(&mut **plan),
            _ => None,
        })
    }

    /// Returns the screen that is seen.
    pub fn screen(&self) -> Option<&'static Screen> {
        self.browse().map(|browse| browse.screen)
    }

    /// Whether something secret can be read now.
    pub fn is_unlocked(&self) -> bool {
        self.source.key.is_some() || self.head.remembered || !self.head.encrypted
    }

    /// Returns when there is something to do without a message.
    pub fn wakes(&self) -> Duration {
        let settling = self.overlay.is_none() && self.browse().is_some_and(Browse::is_settling);
        let counts =
            self.stack.iter().any(|place| matches!(place, Place::Plan(plan) if plan.goes() || plan.is_asking()));
        match () {
            () if settling => Duration::from_millis(30),
            () if counts => Duration::from_millis(200),
            () => Duration::from_secs(1),
        }
    }

    /// Takes in what has happened.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let mut effects = match msg {
            Msg::Input(input) => self.input(input),
            Msg::Tick => Vec::new(),
            Msg::Rows(screen, number, rows) => {
                if let Some(browse) = self.kept.iter_mut().find(|kept| kept.screen == screen && kept.number == number) {
                    browse.rows(rows);
                }
                Vec::new()
            }
            Msg::Ran(purpose, ran) => self.ran(purpose, *ran),
            Msg::Head(number, head) => self.take_head(number, *head),
            Msg::Unlocked(unlocked) => self.unlocked(unlocked),
            Msg::Picture(number, picture, events) => {
                if self.watch == Some(number) {
                    self.dashboard.picture(*picture, events);
                }
                Vec::new()
            }
            Msg::Changed(number, mark) if self.watch == Some(number) && self.head.mark != mark => {
                vec![self.read_head()]
            }
            Msg::Changed(..) => Vec::new(),
            Msg::Unwatched(number, error) => {
                if self.watch == Some(number) {
                    self.watch = None;
                    let why = error.map_or("nobody is asked any more".to_owned(), |error| error.to_string());
                    self.dashboard.fails(why);
                }
                Vec::new()
            }
            Msg::Broken(fault) => {
                self.undoes = None;
                if matches!(self.overlay, Some(Overlay::Runs(_))) {
                    self.overlay = None;
                }
                self.say(format!("a fault in wg-friend: {fault}"), Tone::Bad);
                Vec::new()
            }
            Msg::Planned(number, planned) => self.planned(number, *planned),
            Msg::Deploying(number, step) => {
                let now = self.now;
                if let Some(plan) = self.plan_mut(number) {
                    plan.step(step, now);
                }
                Vec::new()
            }
            Msg::Deployed(number, done) => {
                let now = self.now;
                let summary = self.plan_mut(number).and_then(|plan| {
                    plan.deployed(*done, now);
                    plan.summary()
                });
                if let Some((text, tone)) = summary {
                    self.say(text, tone);
                }
                vec![self.read_head()]
            }
            Msg::End => vec![Effect::Quit],
        };
        effects.extend(self.passes());
        effects.extend(self.read());
        effects
    }

    fn planned(&mut self, number: u64, planned: Result<super::msg::Planned, Error>) -> Vec<Effect> {
        let seen = matches!(self.stack.last(), Some(Place::Plan(plan)) if plan.number == number);
        if matches!(planned, Err(Error::Locked)) && seen && self.overlay.is_none() {
            self.ask_passphrase();
        }
        if let Some(plan) = self.plan_mut(number) {
            plan.planned(planned);
        }
        Vec::new()
    }

    fn take_head(&mut self, number: u64, head: Result<Head, Error>) -> Vec<Effect> {
        let undoes = self.undoes.take_if(|wanted| *wanted <= number).is_some();
        match head {
            Ok(head) if head.network.is_empty() && head.networks > 1 => {
                // Where there was one network and somebody has added another, the first one is meant as before.
                let meant = self.head.network.parse().ok().filter(|_| self.source.network.is_none());
                if let Some(network) = meant {
                    self.source.network = Some(network);
                    return vec![self.read_head()];
                }
                self.head = head;
                self.go(Goal::Screen(&screens::networks::SCREEN))
            }
            Ok(head) => {
                self.head = head;
                if undoes { self.take_back() } else { Vec::new() }
            }
            Err(error) => {
                self.say(error.to_string(), Tone::Bad);
                Vec::new()
            }
        }
    }

    /// Has the text read that is seen beside a list.
    fn read(&mut self) -> Option<Effect> {
        if self.overlay.is_some() {
            return None;
        }
        let (now, body) = (self.now, places(self.area).body);
        let browse = self.browse_mut()?;
        let line = browse.wants(now, body.width)?;
        let columns = browse.columns(body);
        self.number += 1;
        let number = self.number;
        self.browse_mut()?.number_of_text = number;
        Some(Effect::Run(Purpose::Tab(number), line, columns, Default::default()))
    }

    /// What comes of the time that goes by.
    fn passes(&mut self) -> Vec<Effect> {
        self.toasts.retain(|toast| toast.until > self.now);
        if self.now.duration_since(self.last_key) <= IDLE {
            return Vec::new();
        }
        self.last_key = self.now;
        match self.source.key.is_some() {
            true => self.lock("locked: nobody pressed a key for a quarter of an hour"),
            false => {
                self.hide();
                Vec::new()
            }
        }
    }

    /// Takes off the screen, and out of memory, what may be secret.
    fn hide(&mut self) {
        self.kept.iter_mut().for_each(Browse::forget);
        if !matches!(self.overlay, Some(Overlay::Runs(_) | Overlay::Form(_) | Overlay::Help(_) | Overlay::Palette(_))) {
            self.overlay = None;
        }
    }

    /// Says something for a while.
    pub(super) fn say(&mut self, text: impl Into<String>, tone: Tone) {
        self.toasts.push_back(Toast { text: text.into(), tone, until: self.now + TOAST });
        self.toasts.drain(..self.toasts.len().saturating_sub(3));
    }

    pub(super) fn lock(&mut self, why: &str) -> Vec<Effect> {
        self.source.key = None;
        self.hide();
        // A plan that waits has the database open, and so has a watch. A deploy goes on: it was agreed to.
        for place in &mut self.stack {
            if let Place::Plan(plan) = place {
                plan.lock();
            }
        }
        self.say(why, Tone::Warn);
        let mut effects = self.refresh();
        effects.extend(self.watch.map(|_| self.watch_anew()));
        effects
    }

    /// Watches under another number: what the one before still says doesn't count.
    pub(super) fn watch_anew(&mut self) -> Effect {
        self.number += 1;
        self.watch = Some(self.number);
        Effect::Watch(self.number)
    }

    fn unlocked(&mut self, unlocked: Result<crate::db::DataKey, Error>) -> Vec<Effect> {
        let key = match unlocked {
            Ok(key) => key,
            Err(error) => {
                match &mut self.overlay {
                    Some(Overlay::Unlock(unlock)) => {
                        unlock.tries = false;
                        unlock.wrong = Some(error.to_string());
                    }
                    _ => self.say(error.to_string(), Tone::Bad),
                }
                return Vec::new();
            }
        };
        self.source.key = Some(key);
        self.say("unlocked", Tone::Good);
        let mut effects = self.refresh();
        effects.extend(self.watch.map(|_| self.watch_anew()));
        if let Some(Overlay::Unlock(unlock)) = self.overlay.take_if(|overlay| matches!(overlay, Overlay::Unlock(_)))
            && let Some(runs) = unlock.then
        {
            effects.extend(self.resume(*runs));
        }
        if let Some(Place::Plan(plan)) = self.stack.last()
            && plan.is_locked()
        {
            let hosts = plan.hosts.clone();
            self.stack.pop();
            effects.extend(self.go(Goal::Plan(hosts)));
        }
        effects
    }

    pub(super) fn ask_passphrase(&mut self) {
        let input = super::input::Input::secret();
        self.overlay = Some(Overlay::Unlock(Unlock { input, wrong: None, tries: false, then: None }));
    }

    /// Reads everything anew that is seen.
    pub(super) fn refresh(&mut self) -> Vec<Effect> {
        let mut effects = vec![self.read_head()];
        effects.extend(self.reload());
        effects
    }

    fn reload(&mut self) -> Option<Effect> {
        self.number += 1;
        let number = self.number;
        let browse = self.browse_mut()?;
        browse.number = number;
        browse.refresh();
        Some(Effect::Rows(browse.screen, number))
    }

    /// Goes to a place. What was reached by a number begins anew; from a screen, one can go back.
    pub(super) fn go(&mut self, goal: Goal) -> Vec<Effect> {
        let mut effects = Vec::new();
        match goal {
            Goal::Dashboard => {
                self.stack.retain(|place| matches!(place, Place::Plan(plan) if plan.goes()));
                self.stack.push(Place::Dashboard);
                if self.watch.is_none() {
                    effects.push(self.watch_anew());
                }
            }
            Goal::Plan(hosts) => {
                if let Some(at) = self.stack.iter().position(|place| matches!(place, Place::Plan(plan) if plan.goes()))
                {
                    let goes = self.stack.remove(at);
                    self.stack.push(goes);
                    self.say("a deploy goes on; one at a time", Tone::Warn);
                    return Vec::new();
                }
                self.number += 1;
                self.stack.push(Place::Plan(Box::new(PlanView::new(hosts.clone(), self.number))));
                effects.push(Effect::Plan(self.number, hosts));
            }
            Goal::Screen(screen) => {
                let at = self.kept.iter().position(|kept| kept.screen == screen).unwrap_or_else(|| {
                    self.kept.push(Browse::new(screen));
                    self.kept.len() - 1
                });
                self.stack.retain(|place| !matches!(place, Place::Browse(other) if *other == at));
                self.stack.push(Place::Browse(at));
                effects.extend(self.reload());
            }
        }
        if self.watch.is_some() && !self.stack.iter().any(|place| matches!(place, Place::Dashboard)) {
            self.watch = None;
            effects.push(Effect::Unwatch);
        }
        effects
    }

    /// Shows another network of the database.
    pub(super) fn choose_network(&mut self, name: &str) -> Vec<Effect> {
        match name.parse() {
            Ok(name) => self.source.network = Some(name),
            Err(_) => return Vec::new(),
        }
        self.dashboard.forget();
        self.kept.clear();
        self.stack.clear();
        self.watch = None;
        let mut effects = vec![self.read_head()];
        effects.extend(self.go(Goal::Dashboard));
        effects
    }

    /// Goes there from anywhere: what was seen before isn't behind it. A deploy that goes on stays there.
    pub(super) fn jump(&mut self, goal: Goal) -> Vec<Effect> {
        if !self.exists {
            return Vec::new();
        }
        self.stack.retain(|place| matches!(place, Place::Plan(plan) if plan.goes()));
        self.go(goal)
    }

    /// Goes to a screen by its name.
    pub(super) fn go_by_name(&mut self, name: &str) -> Vec<Effect> {
        if name == "Dashboard" {
            return self.jump(Goal::Dashboard);
        }
        let screen = screens::ALL.iter().find(|screen| screen.title == name);
        screen.map(|screen| self.go(Goal::Screen(screen))).unwrap_or_default()
    }

    /// Takes the last change back, once it is known which one that is: somebody may have made another one just now.
    pub(super) fn undo(&mut self) -> Vec<Effect> {
        let effect = self.read_head();
        self.undoes = Some(self.number);
        vec![effect]
    }

    fn read_head(&mut self) -> Effect {
        self.number += 1;
        Effect::Head(self.number)
    }

    fn take_back(&mut self) -> Vec<Effect> {
        if self.overlay.is_some() {
            return Vec::new();
        }
        match self.head.before {
            Some(number) => self.act(Act::Change(Line::new(["rollback", "--model", &number.to_string()]))),
            None => {
                self.say("nothing was changed yet", Tone::Dim);
                Vec::new()
            }
        }
    }

    /// Returns the line that does or shows what is seen.
    pub fn line(&self) -> Option<Line> {
        match &self.overlay {
            Some(Overlay::Ask(ask)) => return Some(ask.line.clone()),
            Some(Overlay::Said(said)) => return Some(said.line.clone()),
            _ => {}
        }
        match self.stack.last()? {
            Place::Dashboard => Some(Line::new(["status", "--watch"])),
            Place::Plan(plan) => Some(plan.line()),
            Place::Browse(_) => self.browse()?.line(),
        }
    }

    pub(super) fn copy(&mut self) -> Vec<Effect> {
        let Some(line) = self.line() else { return Vec::new() };
        let text = line.shown();
        self.say(format!("copied: {text}"), Tone::Good);
        vec![Effect::Copy(text)]
    }

    /// Opens a form.
    pub(super) fn fill(&mut self, words: &[String], given: &[(&str, String)]) {
        match Form::of(&self.definition, words, given) {
            Some(mut form) => {
                form.offer(&self.head.names);
                self.overlay = Some(Overlay::Form(Box::new(form)));
            }
            None => self.say(format!("there is no command `{}`", words.join(" ")), Tone::Bad),
        }
    }
}

/// Whether an exit code means that the database is locked, or the passphrase was wrong.
pub(super) fn is_locked(exit: Option<i32>) -> bool {
    exit == Some(i32::from(Kind::Locked.exit_code()))
}

/// Returns the look that a terminal can show: what `NO_COLOR` and `TERM` say.
pub fn look(no_color: bool, term: &str, colorterm: &str) -> Look {
    match () {
        () if no_color || term == "dumb" => Look::Plain,
        () if term.contains("256") || term.contains("kitty") || !colorterm.is_empty() => Look::Dark,
        () => Look::Sixteen,
    }
}
