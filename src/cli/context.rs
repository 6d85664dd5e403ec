//! What every command needs: where the database is, how to unlock it, who is asking, where results go.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Global;
use super::output::Output;
use super::prompt;
use crate::db::{DataKey, Database, Passphrase, Store};
use crate::fleet::RealFleet;
use crate::model::{Actor, Name, Source};
use crate::ops::Error;
use crate::ops::clock::System;
use crate::ops::network::change::Mode;
use crate::ops::safety::handover::Handover;
use crate::ops::safety::unlock::{self, Sources};
use crate::settings::{Settings, default_database};

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// Where results go.
    pub out: Output,
    /// What the settings file says.
    pub settings: Settings,
    /// The settings file that was named, if one was.
    pub settings_file: Option<PathBuf>,
    /// The machine's clock.
    pub clock: System,
    /// Where the database is.
    pub database: PathBuf,
    /// Which of its networks is meant; the only one need not be named.
    pub network: Option<Name>,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Whether to show what would happen and change nothing.
    pub dry_run: bool,
    pub(super) passphrase_file: Option<PathBuf>,
    environment: Environment,
}

/// What the program was given in its environment and doesn't pass on to those it starts.
#[derive(Default)]
pub struct Environment {
    /// The value of `WG_FRIEND_PASSPHRASE`.
    pub passphrase: Option<Zeroizing<String>>,
    /// What the screens gave along, when they run this command.
    pub screen: Option<Hosted>,
}

/// What a command is given by the screens that run it.
pub struct Hosted {
    /// The columns that its results are shown in.
    pub columns: usize,
    /// The secrets that it may need.
    pub secrets: Handover,
}

impl Hosted {
    /// Reads what the screens give: the value of `WG_FRIEND_TUI` says how many columns there are, standard input has the
    /// secrets.
    ///
    /// # Errors
    /// When standard input can't be read.
    pub fn read(columns: &str, input: impl std::io::Read) -> std::io::Result<Self> {
        Ok(Self { columns: columns.parse().unwrap_or(80), secrets: Handover::read(input)? })
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment(..)")
    }
}

/// Asks for a new passphrase that is long enough.
pub(super) fn new_passphrase(question: &str) -> Result<Passphrase, Error> {
    let check = |text: &str| Passphrase::new(text.to_owned()).check_new().map_err(|e| e.to_string());
    prompt::new_passphrase(question, check).map(Passphrase::new)
}

/// Returns the name of the user that the process runs as, for when no variable says it.
fn login_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    user_name(uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// Returns the name of a user of this machine.
pub(super) fn user_name(uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut entries = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries.find(|entry| entry.get(2) == Some(&&*uid)).map(|entry| entry[0].to_owned())
}

impl Context {
    pub(super) fn new(global: Global, out: Output, environment: Environment) -> Result<Self, Error> {
        let settings = Settings::load(global.config.as_deref())?;
        Self::with(settings, global, out, environment)
    }

    /// For the command that mends settings: it has to work whatever is wrong with them.
    pub(super) fn whatever_the_settings(global: Global, out: Output, environment: Environment) -> Result<Self, Error> {
        let settings = Settings::load(global.config.as_deref()).unwrap_or_default();
        Self::with(settings, global, out, environment)
    }

    fn with(settings: Settings, global: Global, out: Output, environment: Environment) -> Result<Self, Error> {
        let database = match global.db.or_else(|| settings.db.clone()) {
            Some(path) => path,
            None => default_database()?,
        };
        Ok(Self {
            out,
            settings,
            settings_file: global.config,
            clock: System,
            database,
            network: global.network,
            yes: global.yes,
            dry_run: global.dry_run,
            passphrase_file: global.passphrase_file,
            environment,
        })
    }

    /// Returns who is at work: the login name, and where from when that is over SSH.
    pub fn actor(&self) -> Actor {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let operator = variable("SUDO_USER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let address = variable("SSH_CONNECTION").and_then(|c| c.split_whitespace().next().map(str::to_owned));
        let source = if self.environment.screen.is_some() { Source::Tui } else { Source::Cli };
        Actor { operator: operator.unwrap_or_else(login_name), address, source }
    }

    /// Returns whether a change is saved or only tried out.
    pub fn mode(&self) -> Mode {
        if self.dry_run { Mode::Preview } else { Mode::Save }
    }

    /// Returns the way to the hosts; each may leave a question without an answer for so many seconds, or as many as the
    /// settings say.
    pub fn fleet(&self, host_timeout: Option<u64>) -> Result<RealFleet, Error> {
        let seconds = host_timeout.unwrap_or(self.settings.host_timeout);
        Ok(RealFleet::new()?.answering_within(Duration::from_secs(seconds)))
    }

    /// Opens the database, locked: enough for everything that isn't secret.
    pub fn open(&self) -> Result<Database, Error> {
        let database = unlock::open(&self.database)?;
        self.choose(&database)?;
        Ok(database)
    }

    /// Chooses the network that is meant.
    fn choose(&self, database: &Database) -> Result<(), Error> {
        Ok(database.choose(self.network.as_ref().map(Name::as_str))?)
    }

    /// Opens and unlocks the database: with the key in the kernel's keyring, or with a passphrase from a file, the
    /// environment, systemd's credentials or a terminal.
    pub fn store(&self) -> Result<Store, Error> {
        let store = self.with_sources(|sources| unlock::unlock(&self.database, sources, &self.actor(), &self.clock))?;
        self.choose(&store)?;
        Ok(store)
    }

    /// The same, but nobody at a terminal is asked.
    pub fn store_unasked(&self) -> Result<Store, Error> {
        let store = self.with_sources(|sources| {
            let sources = Sources {
                held: sources.held.as_ref().map(DataKey::duplicate),
                file: sources.file.clone(),
                environment: sources.environment.clone(),
                credentials: sources.credentials.clone(),
                ask: None,
            };
            unlock::unlock(&self.database, &sources, &self.actor(), &self.clock)
        })?;
        self.choose(&store)?;
        Ok(store)
    }

    /// The same, but only with a key that is at hand: a passphrase takes a second.
    pub fn store_at_hand(&self) -> Result<Store, Error> {
        let store = self.with_sources(|sources| {
            let held = sources.held.as_ref().map(DataKey::duplicate);
            unlock::unlock(&self.database, &Sources { held, ..Sources::default() }, &self.actor(), &self.clock)
        })?;
        self.choose(&store)?;
        Ok(store)
    }

    /// Opens and unlocks the database with a passphrase, whatever the keyring holds.
    pub fn store_with_passphrase(&self) -> Result<(Store, Passphrase), Error> {
        self.with_sources(|sources| unlock::with_passphrase(&self.database, sources, &self.actor(), &self.clock))
    }

    /// Hands over the places that a passphrase may come from.
    pub fn with_sources<T>(&self, work: impl FnOnce(&Sources<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let ask = |attempt: usize| {
            if attempt > 0 {
                self.out.warn("wrong passphrase; try again");
            }
            prompt::passphrase(&format!("Passphrase of {}: ", self.database.display()))
        };
        let handed = self.environment.screen.as_ref().map(|screen| &screen.secrets);
        work(&Sources {
            held: handed.and_then(|secrets| secrets.key.as_ref()).map(DataKey::duplicate),
            // What somebody has typed for this command counts, whatever the file says.
            file: self.passphrase_file.clone().filter(|_| handed.is_none_or(|secrets| secrets.passphrase.is_none())),
            environment: handed
                .and_then(|secrets| secrets.passphrase.clone())
                .or_else(|| self.environment.passphrase.clone()),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ask: prompt::is_possible().then_some(&ask),
        })
    }

    /// Returns a new passphrase: from where passphrases come from, or from a terminal, typed twice.
    pub fn new_passphrase(&self, from_file: Option<&PathBuf>) -> Result<Passphrase, Error> {
        if let Some(path) = from_file {
            return unlock::first_line(path).map(Passphrase::new);
        }
        let handed = self.environment.screen.as_ref().and_then(|screen| screen.secrets.new_passphrase.clone());
        if let Some(passphrase) = handed {
            return Ok(Passphrase::new(passphrase));
        }
        if prompt::is_possible() {
            return new_passphrase("New passphrase, at least 8 characters: ");
        }
        Err(Error::MissingAnswer { what: "a new passphrase", flag: "--new-passphrase-file FILE" })
    }

    /// Refuses `--dry-run` where nothing can be shown without doing it: better than doing it.
    pub fn no_dry_run(&self, command: &str) -> Result<(), Error> {
        if self.dry_run {
            return Err(Error::value("--dry-run", format!("`wg-friend {command}` can't be tried out")));
        }
        Ok(())
    }

    /// Asks before something that can't easily be undone. `--yes` answers; without a terminal its lack is an error.
    pub fn confirm(&self, question: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        if !prompt::is_possible() {
            return Err(Error::MissingAnswer { what: "a confirmation", flag: "--yes" });
        }
        if prompt::confirm(question, false)? { Ok(()) } else { Err(Error::Cancelled) }
    }
}
