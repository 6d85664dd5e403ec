//! From a key to a line, and from a line to what it has said: what changes something is shown first and asked about.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Place, is_locked};
use super::commands::{self, New};
use super::draw::places;
use super::form;
use super::input::{Edit, Input};
use super::keys;
use super::line::{Line, Ran};
use super::msg::{Effect, Purpose, Secrets};
use super::overlay::{Ask, NewPassphrase, Overlay, Preview, Said, Unlock, reading};
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
            Act::Read(line) => self.run(Purpose::Read, line, Secrets::default()),
            Act::Fill(words, given) => {
                let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
                self.fill(&words, &given);
                Vec::new()
            }
            Act::Go(goal) => self.go(goal),
            Act::Not(why) => {
                self.say(why, Tone::Warn);
                Vec::new()
            }
        }
    }

    fn run(&mut self, purpose: Purpose, line: Line, secrets: Secrets) -> Vec<Effect> {
        let columns = reading(self.area).width.saturating_sub(2);
        if matches!(purpose, Purpose::Read | Purpose::Change) {
            self.overlay = Some(Overlay::Runs(line.clone()));
        }
        let line = match purpose {
            Purpose::Change => line.with("--yes"),
            Purpose::Preview if !line.words().iter().any(|word| word == "--dry-run") => line.with("--dry-run"),
            _ => line,
        };
        vec![Effect::Run(purpose, line, columns, secrets)]
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
        !self.source.exists() || line.words().first().is_some_and(|word| word == "vault")
    }

    fn ask(&mut self, line: Line, secrets: Secrets, form: Option<Box<form::Form>>) -> Vec<Effect> {
        let effects = self.run(Purpose::Preview, line.clone(), secrets.clone());
        let ask = Ask { line, secrets, preview: Preview::Waits, pane: Pane::default(), form };
        self.overlay = Some(Overlay::Ask(Box::new(ask)));
        effects
    }

    /// Takes in what a line has said.
    pub(super) fn ran(&mut self, purpose: Purpose, ran: Ran) -> Vec<Effect> {
        match purpose {
            Purpose::Tab(number) => {
                if let Some(browse) = self.kept.iter_mut().find(|kept| kept.number_of_text == number) {
                    browse.read(&ran);
                }
                Vec::new()
            }
            Purpose::Preview => self.previewed(ran),
            Purpose::Change | Purpose::Read => self.done(purpose, ran),
        }
    }

    fn previewed(&mut self, ran: Ran) -> Vec<Effect> {
        let locked = is_locked(ran.exit);
        let Some(Overlay::Ask(ask)) = &mut self.overlay else { return Vec::new() };
        if ask.preview != Preview::Waits || ran.exit.is_none() {
            return Vec::new();
        }
        if locked && ask.secrets.passphrase.is_none() {
            let (line, secrets) = (ask.line.clone(), ask.secrets.clone());
            return self.want_passphrase(Purpose::Preview, line, secrets, &ran);
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

    fn done(&mut self, purpose: Purpose, ran: Ran) -> Vec<Effect> {
        let waits = matches!(&self.overlay, Some(Overlay::Runs(_)));
        if !waits {
            return if purpose == Purpose::Change { self.refresh() } else { Vec::new() };
        }
        let line = match &self.overlay {
            Some(Overlay::Runs(line)) => line.clone(),
            _ => ran.line.clone(),
        };
        if is_locked(ran.exit) {
            return self.want_passphrase(purpose, line, Secrets::default(), &ran);
        }
        let began =
            self.stack.iter().any(|place| matches!(place, Place::Browse(at) if self.kept[*at].screen.title == "Begin"));
        let quiet = ran.is_good() && ran.result.trim().is_empty() && purpose == Purpose::Change;
        if quiet {
            self.overlay = None;
            self.say(ran.summary(), Tone::Good);
        } else {
            let good = matches!(ran.exit, Some(0 | 3));
            let mut pane = Pane::of(&ran.text());
            if pane.is_empty() {
                pane.set(if ran.exit.is_none() { "it was stopped" } else { "it said nothing" });
            }
            self.overlay = Some(Overlay::Said(Box::new(Said { line, good, pane })));
        }
        if purpose == Purpose::Read {
            return Vec::new();
        }
        if began && self.source.exists() {
            return self.begin_with_database();
        }
        self.refresh()
    }

    /// There is a database now: shows its network.
    fn begin_with_database(&mut self) -> Vec<Effect> {
        self.stack.clear();
        let mut effects = vec![Effect::Head];
        effects.extend(self.go(Goal::Dashboard));
        effects
    }

    /// Asks for the passphrase: to unlock, or, where that is done, for one line that wants it for itself.
    fn want_passphrase(&mut self, purpose: Purpose, line: Line, secrets: Secrets, ran: &Ran) -> Vec<Effect> {
        let wrong = secrets.passphrase.is_some().then(|| ran.summary());
        let then = Some((purpose, line, Secrets { passphrase: None, ..secrets }));
        self.overlay = Some(Overlay::Unlock(Unlock { input: Input::secret(), wrong, tries: false, then }));
        Vec::new()
    }

    /// A key while something lies over the screen.
    pub(super) fn key_over(&mut self, key: KeyEvent) -> Vec<Effect> {
        let Some(mut overlay) = self.overlay.take() else { return Vec::new() };
        let place = reading(self.area);
        let height = place.height.saturating_sub(2);
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
                    let (line, secrets) = (ask.line.clone(), ask.secrets.clone());
                    return self.run(Purpose::Change, line, secrets);
                }
                KeyCode::Esc => {
                    self.overlay = ask.form.take().map(Overlay::Form);
                    return vec![Effect::Cancel(Purpose::Preview)];
                }
                KeyCode::Char('y') if !control => {
                    self.overlay = Some(overlay);
                    return self.copy();
                }
                _ => _ = ask.pane.key(key, height.saturating_sub(4)),
            },
            Overlay::Runs(_) if control && key.code == KeyCode::Char('c') => {
                self.overlay = Some(overlay);
                return vec![Effect::Cancel(Purpose::Change), Effect::Cancel(Purpose::Read)];
            }
            Overlay::Runs(_) => {}
            Overlay::Said(said) => match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => return Vec::new(),
                KeyCode::Char('y') if !control => {
                    self.overlay = Some(overlay);
                    return self.copy();
                }
                _ => _ = said.pane.key(key, height),
            },
            Overlay::Help(pane) => match key.code {
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?') => return Vec::new(),
                _ => _ = pane.key(key, height),
            },
            Overlay::Unlock(unlock) => match key.code {
                KeyCode::Esc => return Vec::new(),
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
            return self.run(Purpose::Read, line, Secrets::default());
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

    /// A passphrase was typed: unlocks with it, or hands it to the line that wants it.
    fn typed(&mut self, mut overlay: Overlay, typed: zeroize::Zeroizing<String>) -> Vec<Effect> {
        let Overlay::Unlock(unlock) = &mut overlay else { return Vec::new() };
        let holds = self.is_unlocked();
        match unlock.then.take() {
            Some((purpose, line, secrets)) => {
                let secrets = Secrets { passphrase: Some(typed.clone()), ..secrets };
                let mut effects = if purpose == Purpose::Preview {
                    self.ask(line, secrets, None)
                } else {
                    self.run(purpose, line, secrets)
                };
                if !holds {
                    effects.push(Effect::Unlock(typed));
                }
                effects
            }
            None => {
                (unlock.tries, unlock.wrong) = (true, None);
                self.overlay = Some(overlay);
                vec![Effect::Unlock(typed)]
            }
        }
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
