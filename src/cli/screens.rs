//! Without a command, on a terminal: the screens.
//!
//! `maintain` opens them too: the program's first version had that word for them, and habits stay.

use std::io::IsTerminal as _;

use super::{Context, Exit, definition};
use crate::model::{Actor, Source};
use crate::ops::Error;
use crate::ops::safety::unlock;
use crate::tui;

/// Whether somebody sits there who can see screens and press keys.
pub(super) fn are_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Shows the screens until somebody leaves them.
pub(super) fn open(context: &Context) -> Result<Exit, Error> {
    if context.out.is_json() || !are_possible() {
        let message = "screens need a terminal to be drawn on and keys to be pressed".to_owned();
        let hint = "`wg-friend --help` lists the commands that a script can use".to_owned();
        return Err(Error::RefusedWithRemedy { message, hint });
    }
    let mut options = vec!["--db".into(), context.database.clone().into_os_string()];
    let files = [("--config", &context.settings_file), ("--passphrase-file", &context.passphrase_file)];
    for (option, path) in files {
        if let Some(path) = path {
            options.extend([option.into(), path.as_os_str().to_owned()]);
        }
    }
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
