//! What every command needs: where the database is, how to unlock it, who is asking, where results go.

use std::path::PathBuf;

use super::Global;
use super::output::Output;
use super::prompt;
use crate::ops::Error;
use crate::ops::clock::System;
use crate::settings::{Settings, default_database};

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// Where results go.
    pub out: Output,
    /// What the settings file says.
    pub settings: Settings,
    /// The machine's clock.
    pub clock: System,
    /// Where the database is.
    pub database: PathBuf,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Whether to show what would happen and change nothing.
    pub dry_run: bool,
    passphrase_file: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(global: Global, out: Output) -> Result<Self, Error> {
        let settings = Settings::load(global.config.as_deref())?;
        let database = match global.db.or_else(|| settings.db.clone()) {
            Some(path) => path,
            None => default_database()?,
        };
        Ok(Self {
            out,
            settings,
            clock: System,
            database,
            yes: global.yes,
            dry_run: global.dry_run,
            passphrase_file: global.passphrase_file,
        })
    }

    /// Asks before something that can't easily be undone. `--yes` answers; so does the lack of a terminal, with an error.
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
