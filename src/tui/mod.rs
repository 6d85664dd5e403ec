//! The screens: what `wg-friend` shows without a command.
//!
//! [`app::App`] turns messages into another state and into effects, and draws itself; workers ([`jobs`]) carry the effects out
//! and answer with messages. Nothing that could take long happens in between. What changes something is a command line
//! ([`mod@line`]), shown to whoever presses the key: the screens can do what the command line can, and nothing else.

mod acts;
pub mod app;
pub mod browse;
pub mod commands;
pub mod dashboard;
pub mod draw;
pub mod form;
pub mod input;
pub mod jobs;
mod keyboard;
pub mod keys;
pub mod line;
pub mod msg;
pub mod overlay;
pub mod palette;
pub mod plan;
pub mod screens;
pub mod source;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod widgets;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use app::App;
use jobs::Jobs;
use line::Runner;
use msg::{Effect, Msg};
use source::Source;
use terminal::Screen;
use theme::{Look, Theme};
use zeroize::Zeroizing;

use crate::model::{Actor, Name};
use crate::ops::Error;

/// What the screens are opened with.
#[derive(Debug)]
pub struct Surroundings {
    /// Where the database is, or is to be.
    pub database: PathBuf,
    /// Which of its networks is meant.
    pub network: Option<Name>,
    /// Who is at work.
    pub actor: Actor,
    /// The settings file that was named, if one was.
    pub settings_file: Option<PathBuf>,
    /// The definition of the command line.
    pub definition: clap::Command,
    /// Options that each line is run with.
    pub options: Vec<OsString>,
    /// A passphrase that was given along.
    pub passphrase: Option<Zeroizing<String>>,
}

/// Shows the screens until somebody leaves them.
///
/// # Errors
/// When the terminal can't be used.
pub fn run(surroundings: Surroundings) -> Result<(), Error> {
    let Surroundings { database, network, actor, settings_file, definition, options, passphrase } = surroundings;
    let program = std::env::current_exe().map_err(Error::Output)?;
    let source = Source { database, network, actor, settings_file, key: None };
    let theme = theme();
    let (sender, messages) = channel();
    let jobs = Jobs::new(sender.clone(), Runner { program, options, coloured: theme.look != Look::Plain });
    let app = App::new(source, definition, theme, Instant::now());
    let screen = Screen::open().map_err(Error::Output)?;
    terminal::listen(sender);
    Loop { app, jobs, screen, messages }.go(passphrase).map_err(Error::Output)
}

/// Returns the look that suits the terminal.
fn theme() -> Theme {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let no_color = !variable("NO_COLOR").is_empty();
    let language =
        [variable("LC_ALL"), variable("LC_CTYPE"), variable("LANG")].into_iter().find(|value| !value.is_empty());
    let utf8 = language.is_none_or(|language| language.to_lowercase().replace('-', "").contains("utf8"));
    Theme { look: app::look(no_color, &variable("TERM"), &variable("COLORTERM")), ascii: !utf8 }
}

/// Messages in, effects out, and a drawing after each.
struct Loop {
    app: App,
    jobs: Jobs,
    screen: Screen,
    messages: Receiver<Msg>,
}

/// So many messages are taken in before the next drawing.
const AT_ONCE: usize = 256;

impl Loop {
    fn go(mut self, passphrase: Option<Zeroizing<String>>) -> std::io::Result<()> {
        self.app.area = self.screen.area()?;
        let mut effects = self.app.begin();
        effects.extend(passphrase.filter(|_| self.app.source.exists()).map(Effect::Unlock));
        loop {
            for effect in effects {
                if self.carry_out(effect)? {
                    self.jobs.unwatch();
                    return Ok(());
                }
            }
            self.screen.draw(&self.app)?;
            effects = match self.messages.recv_timeout(self.app.wakes()) {
                Ok(msg) => self.take_in(msg),
                Err(RecvTimeoutError::Timeout) => self.take_in(Msg::Tick),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
        }
    }

    /// Takes in a message, and those that have come meanwhile.
    fn take_in(&mut self, first: Msg) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut next = Some(first);
        for _ in 0..AT_ONCE {
            let Some(msg) = next else { break };
            self.app.now = Instant::now();
            // What can be agreed to now is drawn before the next key is taken for an answer.
            let asks = matches!(msg, Msg::Ran(..) | Msg::Planned(..));
            effects.extend(self.app.update(msg));
            if asks {
                return effects;
            }
            next = self.messages.try_recv().ok();
        }
        if let Some(msg) = next {
            effects.extend(self.app.update(msg));
        }
        effects
    }

    /// Carries an effect out; returns whether that was the last one.
    fn carry_out(&mut self, effect: Effect) -> std::io::Result<bool> {
        let source = || self.app.source.clone();
        match effect {
            Effect::Rows(screen, number) => self.jobs.rows(source(), screen, number),
            Effect::Run(purpose, line, columns, secrets) => {
                self.jobs.colour(self.app.theme.look != Look::Plain);
                self.jobs.run(&self.app.source, purpose, line, columns, secrets);
            }
            Effect::Cancel(purpose) => self.jobs.cancel(&purpose),
            Effect::Head(number) => self.jobs.head(source(), number),
            Effect::Unlock(passphrase) => self.jobs.unlock(source(), passphrase),
            Effect::Watch(number) => self.jobs.watch(source(), number),
            Effect::Unwatch => self.jobs.unwatch(),
            Effect::Plan(number, hosts) => self.jobs.plan(source(), number, hosts),
            Effect::Copy(text) => self.screen.copy(&text)?,
            Effect::Suspend => {
                self.screen.suspend()?;
                self.app.area = self.screen.area()?;
            }
            Effect::Mouse(taken) => self.screen.mouse(taken)?,
            Effect::Quit => return Ok(true),
        }
        Ok(false)
    }
}
