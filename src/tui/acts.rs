//! From a key to a line, and from a line to what it has said: what changes something is shown first and asked about.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::app::{App, Place, is_locked};
use super::commands::{self, New};
use super::draw::places;
use super::form;
use super::input::{Edit, Input};
use super::keys;
use super::line::{Line, Ran};
use super::msg::{Effect, Purpose, Secrets};
use super::overlay::{Ask, NewPassphrase, Overlay, Preview, Runs, Said, Unlock, reading};
use super::palette::{self, What};
use super::screens::{Act, Goal};
use super::theme::Tone;
use super::widgets::pane::Pane;

/// The fewest characters of a new passphrase.
const SHORTEST: usize = 8;

impl App {
    /// Does what a key means.
    pub(super) fn act(&mut self, act: Act) -> Vec<Effect> {
        match act {
            Act::Change(line) => self.begin_change(line, None),
            Act::Read(line) => self.run_read(line, None),
            Act::Fill(words, given) => {
                let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
                self.fill(&words, &given);
                Vec::new()
            }
            Act::Go(goal) => self.go(goal),
            Act::Network(name) => self.choose_network(&name),
            Act::Not(why) => {
                self.say(why, Tone::Warn);
                Vec::new()
            }
        }
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn columns(&self) -> u16 {
        reading(self.area).width.saturating_sub(2)
    }

    /// Runs a line, and waits for it.
    fn run(&mut self, runs: Runs) -> Effect {
        let line = match runs.purpose {
            Purpose::Change(_) => runs.line.with("--yes"),
            _ => runs.line.clone(),
        };
        let effect = Effect::Run(runs.purpose.clone(), line, self.columns(), runs.secrets.clone());
        self.overlay = Some(Overlay::Runs(Box::new(runs)));
        effect
    }

    fn run_read(&mut self, line: Line, form: Option<Box<form::Form>>) -> Vec<Effect> {
        let purpose = Purpose::Read(self.next());
        vec![self.run(Runs { line, purpose, secrets: Secrets::default(), form })]
    }

    /// Goes on with what has waited for a passphrase.
    pub(super) fn resume(&mut self, runs: Runs) -> Vec<Effect> {
        let number = self.next();
        match runs.purpose {
            Purpose::Preview(_) => self.ask(runs.line, runs.secrets, runs.form),
            Purpose::Change(_) => vec![self.run(Runs { purpose: Purpose::Change(number), ..runs })],
            Purpose::Tab(_) | Purpose::Read(_) => vec![self.run(Runs { purpose: Purpose::Read(number), ..runs })],
        }
    }

    /// Shows what a line would do, once its new passphrase is known if it sets one.
    fn begin_change(&mut self, line: Line, form: Option<Box<form::Form>>) -> Vec<Effect> {
        let sets = commands::sets_passphrase(&line).filter(|how| *how != New::First || self.has_no_passphrase(&line));
        match sets {
            Some(how) => {
                let inputs = [Input::secret(), Input::secret()];
                self.overlay =
                    Some(Overlay::NewPassphrase(NewPassphrase { line, how, inputs, at: 0, wrong: None, form }));
                Vec::new()
            }
            None => self.ask(line, Secrets::default(), form),
        }
    }

    /// Whether a line gives a database its first passphrase: an import into one that is there doesn't.
    fn has_no_passphrase(&self, line: &Line) -> bool {
        !self.exists || line.words().first().is_some_and(|word| word == "vault")
    }

    fn ask(&mut self, line: Line, secrets: Secrets, form: Option<Box<form::Form>>) -> Vec<Effect> {
        let number = self.next();
        let tried =
            if line.words().iter().any(|word| word == "--dry-run") { line.clone() } else { line.with("--dry-run") };
        let effect = Effect::Run(Purpose::Preview(number), tried, self.columns(), secrets.clone());
        let ask = Ask { line, number, secrets, preview: Preview::Waits, pane: Pane::default(), form };
        self.overlay = Some(Overlay::Ask(Box::new(ask)));
        vec![effect]
    }

    /// Takes in what a line has said.
    pub(super) fn ran(&mut self, purpose: Purpose, mut ran: Ran) -> Vec<Effect> {
        match purpose {
            Purpose::Tab(number) => {
                if is_locked(ran.exit) && !self.is_unlocked() {
                    (ran.result, ran.said) =
                        ("The database is locked. Press `L` to unlock it.".to_owned(), String::new());
                }
                if let Some(browse) = self.kept.iter_mut().find(|kept| kept.number_of_text == number) {
                    browse.read(&ran);
                }
                Vec::new()
            }
            Purpose::Preview(number) => self.previewed(number, &ran),
            Purpose::Change(_) | Purpose::Read(_) => self.done(&purpose, &ran),
        }
    }

    fn previewed(&mut self, number: u64, ran: &Ran) -> Vec<Effect> {
        let Some(Overlay::Ask(ask)) = &mut self.overlay else { return Vec::new() };
        if ask.number != number {
            return Vec::new();
        }
        if is_locked(ran.exit) {
            let (line, secrets, form) = (ask.line.clone(), ask.secrets.clone(), ask.form.take());
            self.want_passphrase(Runs { line, purpose: Purpose::Preview(number), secrets, form }, ran);
            return Vec::new();
        }
        ask.pane.set(&ran.text());
        let untried = ran.exit == Some(2) && ran.said.contains("can't be tried out");
        ask.preview = match ran.exit {
            _ if untried => Preview::None,
            // 3: differences; 4: some hosts: what would be done is shown all the same.
            Some(0 | 3 | 4) => Preview::Shown,
            _ => Preview::Fails,
        };
        Vec::new()
    }

    fn done(&mut self, purpose: &Purpose, ran: &Ran) -> Vec<Effect> {
        let changes = matches!(purpose, Purpose::Change(_));
        let runs = match self.overlay.take() {
            Some(Overlay::Runs(runs)) if runs.purpose == *purpose => *runs,
            other => {
                self.overlay = other;
                return if changes { self.changed() } else { Vec::new() };
            }
        };
        if is_locked(ran.exit) {
            self.want_passphrase(runs, ran);
            return Vec::new();
        }
        if ran.is_good() && ran.result.trim().is_empty() && changes {
            self.say(ran.summary(), Tone::Good);
        } else {
            let good = matches!(ran.exit, Some(0 | 3));
            let mut pane = Pane::of(&ran.text());
            if pane.is_empty() {
                pane.set(if ran.exit.is_none() { "it was stopped" } else { "it said nothing" });
            }
            let form = runs.form.filter(|_| !good);
            self.overlay = Some(Overlay::Said(Box::new(Said { line: runs.line.clone(), good, pane, form })));
        }
        if !changes {
            return self.refresh(); // a look at hosts is noted
        }
        // What replaced the database, or the key of it, has made the one that is held here useless.
        let replaces = [["vault", "rekey"], ["vault", "recover"], ["backup", "restore"]];
        if ran.is_good() && replaces.iter().any(|words| runs.line.words().starts_with(&words.map(str::to_owned))) {
            self.source.key = None;
        }
        if let Some(browse) = self.browse_mut().filter(|_| ran.is_good()) {
            browse.list.unmark();
        }
        let first = runs.secrets.passphrase.filter(|_| !self.exists && ran.is_good());
        let mut effects = self.changed();
        effects.extend(first.map(Effect::Unlock)); // whoever has just set it needn't type it again
        effects
    }

    /// The database may be another one now: reads anew what is seen, and gives plans up that were made before.
    fn changed(&mut self) -> Vec<Effect> {
        if !self.exists && self.source.exists() {
            return self.begin();
        }
        self.stack.retain(|place| !matches!(place, Place::Plan(plan) if !plan.goes()));
        if self.stack.is_empty() {
            return self.go(Goal::Dashboard);
        }
        self.refresh()
    }

    /// Asks for the passphrase: to unlock, or, where that is done, for one line that wants it for itself.
    fn want_passphrase(&mut self, runs: Runs, ran: &Ran) {
        let wrong = runs.secrets.passphrase.is_some().then(|| ran.summary());
        let secrets = Secrets { passphrase: None, ..runs.secrets.clone() };
        let then = Some(Box::new(Runs { secrets, ..runs }));
        self.overlay = Some(Overlay::Unlock(Unlock { input: Input::secret(), wrong, tries: false, then }));
    }

    /// A key while something lies over the screen.
    pub(super) fn key_over(&mut self, mut key: KeyEvent) -> Vec<Effect> {
        // Ctrl-C is a way out of everything; only of what runs it isn't the same as Esc.
        let leaves = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if leaves && !matches!(self.overlay, Some(Overlay::Runs(_))) {
            key = KeyCode::Esc.into();
        }
        let Some(mut overlay) = self.overlay.take() else { return Vec::new() };
        let place = reading(self.area);
        let size = Size { width: place.width.saturating_sub(2), height: place.height.saturating_sub(2) };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match &mut overlay {
            Overlay::Palette(palette) => match palette.key(key) {
                palette::Pressed::Chosen(entry) => return self.chosen(&entry),
                palette::Pressed::Cancelled => return Vec::new(),
                palette::Pressed::Nothing => {}
            },
            Overlay::Form(form) => match form.key(key) {
                form::Pressed::Submit | form::Pressed::Preview => {
                    let line = Line::new(form.line());
                    let Overlay::Form(form) = overlay else { return Vec::new() };
                    return self.submit(line, form);
                }
                form::Pressed::Cancelled => return Vec::new(),
                form::Pressed::Nothing | form::Pressed::Changed => {}
            },
            Overlay::Ask(ask) => match key.code {
                KeyCode::Enter if matches!(ask.preview, Preview::Shown | Preview::None) => {
                    let (line, secrets, form) = (ask.line.clone(), ask.secrets.clone(), ask.form.take());
                    let purpose = Purpose::Change(self.next());
                    return vec![self.run(Runs { line, purpose, secrets, form })];
                }
                KeyCode::Esc => {
                    self.overlay = ask.form.take().map(Overlay::Form);
                    return vec![Effect::Cancel(Purpose::Preview(0))];
                }
                KeyCode::Char('y') if !control => {
                    self.overlay = Some(overlay);
                    return self.copy();
                }
                _ => _ = ask.pane.key(key, Size { height: size.height.saturating_sub(4), ..size }),
            },
            Overlay::Runs(runs) if control && key.code == KeyCode::Char('c') => {
                let runs = runs.purpose.clone();
                self.overlay = Some(overlay);
                return vec![Effect::Cancel(runs)];
            }
            Overlay::Runs(_) => {}
            Overlay::Said(said) => match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {
                    self.overlay = said.form.take().map(Overlay::Form);
                    return Vec::new();
                }
                KeyCode::Char('y') if !control => {
                    self.overlay = Some(overlay);
                    return self.copy();
                }
                _ => _ = said.pane.key(key, size),
            },
            Overlay::Help(pane) => match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?') => return Vec::new(),
                _ => _ = pane.key(key, size),
            },
            Overlay::Unlock(unlock) => match key.code {
                KeyCode::Esc => {
                    self.overlay = unlock.then.take().and_then(|runs| runs.form).map(Overlay::Form);
                    return Vec::new();
                }
                KeyCode::Enter if !unlock.input.is_empty() && !unlock.tries => {
                    let typed = unlock.input.take();
                    return self.typed(overlay, typed);
                }
                _ => _ = unlock.input.key(key),
            },
            Overlay::NewPassphrase(new) => match key.code {
                KeyCode::Esc => {
                    self.overlay = new.form.take().map(Overlay::Form);
                    return Vec::new();
                }
                KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => new.at = 1 - new.at,
                KeyCode::Enter if new.at == 0 => new.at = 1,
                KeyCode::Enter => {
                    let [one, other] = &new.inputs;
                    new.wrong = match () {
                        () if one.text() != other.text() => Some("they differ; type the second one again".to_owned()),
                        () if one.text().chars().count() < SHORTEST => {
                            Some("it needs at least 8 characters".to_owned())
                        }
                        () => None,
                    };
                    if new.wrong.is_none() {
                        return self.set_passphrase(overlay);
                    }
                }
                _ => {
                    if new.inputs[new.at].key(key) == Edit::Changed {
                        new.wrong = None;
                    }
                }
            },
        }
        self.overlay = Some(overlay);
        Vec::new()
    }

    /// A form is filled in: shows what its line would do, or runs one that only tells something.
    fn submit(&mut self, line: Line, form: Box<form::Form>) -> Vec<Effect> {
        if commands::reads(&line) {
            return self.run_read(line, Some(form));
        }
        if line.words().first().is_some_and(|word| word == "deploy") && line.words().len() == 1 {
            return self.go(Goal::Plan(Vec::new()));
        }
        self.begin_change(line, Some(form))
    }

    fn chosen(&mut self, entry: &palette::Entry) -> Vec<Effect> {
        match &entry.what {
            What::Other(name) => self.go_by_name(name),
            What::Command => {
                self.fill(&entry.words, &[]);
                Vec::new()
            }
        }
    }

    /// A passphrase was typed: unlocks with it; where that is done, hands it to the line that wants it for itself.
    fn typed(&mut self, mut overlay: Overlay, typed: zeroize::Zeroizing<String>) -> Vec<Effect> {
        let Overlay::Unlock(unlock) = &mut overlay else { return Vec::new() };
        let itself = self.is_unlocked();
        if let Some(mut runs) = unlock.then.take_if(|_| itself) {
            runs.secrets.passphrase = Some(typed);
            return self.resume(*runs);
        }
        (unlock.tries, unlock.wrong) = (true, None);
        self.overlay = Some(overlay);
        vec![Effect::Unlock(typed)]
    }

    fn set_passphrase(&mut self, overlay: Overlay) -> Vec<Effect> {
        let Overlay::NewPassphrase(NewPassphrase { line, how, mut inputs, form, .. }) = overlay else {
            return Vec::new();
        };
        let typed = Some(inputs[0].take());
        let secrets = match how {
            New::First => Secrets { passphrase: typed, new_passphrase: None },
            New::Another => Secrets { passphrase: None, new_passphrase: typed },
        };
        self.ask(line, secrets, form)
    }

    /// Explains the keys of what is seen.
    pub(super) fn help(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, lines: &mut dyn Iterator<Item = (String, String)>| {
            text.push_str(&format!("\u{1b}[1m{title}\u{1b}[0m\n"));
            for (key, about) in lines {
                let blanks = " ".repeat(12_usize.saturating_sub(key.chars().count()));
                text.push_str(&format!("  \u{1b}[36m{key}\u{1b}[0m{blanks} {about}\n"));
            }
            text.push('\n');
        };
        if let Some(screen) = self.screen() {
            let deeds = screen.deeds.iter().map(|deed| (deed.key.to_string(), deed.about.to_owned()));
            section(screen.title, &mut deeds.chain([]));
        }
        if matches!(self.stack.last(), Some(Place::Plan(_))) {
            let keys = [("Enter", "Deploy what is shown"), ("x", "Stop in order"), ("r", "Ask the hosts again")];
            section("Plan", &mut keys.into_iter().map(|(key, about)| (key.to_owned(), about.to_owned())));
        }
        let global = keys::GLOBAL.iter().map(|key| (keys::name(key.key, key.control), key.about.to_owned()));
        section("Everywhere", &mut global.chain([]));
        section(
            "Lists and texts",
            &mut keys::MOVING.iter().map(|(key, about)| ((*key).to_owned(), (*about).to_owned())),
        );
        text
    }

    /// Where the body of the screen is.
    pub fn body(&self) -> ratatui::layout::Rect {
        places(self.area).body
    }
}
