//! Without a command, on a terminal: the screens.

use std::io::IsTerminal as _;

use super::output::Output;
use super::{Context, Environment, Exit, Global, definition};
use crate::model::{Actor, Source};
use crate::ops::Error;
use crate::ops::safety::unlock;
use crate::tui;

/// Whether somebody sits there who can see screens and press keys.
pub(super) fn are_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Shows the screens until somebody leaves them.
pub(super) fn open(global: Global, out: Output, environment: Environment) -> Result<Exit, Error> {
    let mut options = Vec::new();
    let paths = [("--db", &global.db), ("--config", &global.config), ("--passphrase-file", &global.passphrase_file)];
    for (option, path) in paths {
        if let Some(path) = path {
            options.extend([option.into(), path.as_os_str().to_owned()]);
        }
    }
    let context = Context::new(global, out, environment)?;
    let passphrase = context.with_sources(|sources| match &sources.file {
        Some(file) => unlock::first_line(file).map(Some),
        None => Ok(sources.environment.clone()),
    })?;
    tui::run(tui::Surroundings {
        actor: Actor { source: Source::Tui, ..context.actor() },
        database: context.database.clone(),
        network: context.network.clone(),
        settings_file: context.settings_file.clone(),
        definition: definition(),
        options,
        passphrase,
    })?;
    Ok(Exit::Done)
}
