//! `completions`: what a shell needs to complete wg-friend's commands and options.

use clap_complete::Shell;

use super::{Context, Exit, definition};
use crate::ops::Error;

/// Print shell completions
///
/// Put the output where your shell looks for it:
///
///   wg-friend completions bash > ~/.local/share/bash-completion/completions/wg-friend
///
///   wg-friend completions zsh > ~/.zfunc/_wg-friend
///
///   wg-friend completions fish > ~/.config/fish/completions/wg-friend.fish
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which shell
    shell: Shell,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Completions {
    shell: String,
    script: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "wg-friend", &mut script);
    if context.out.is_json() {
        let document =
            Completions { shell: args.shell.to_string(), script: String::from_utf8_lossy(&script).into_owned() };
        context.out.show(&document, |_| String::new())?;
    } else {
        context.out.raw(&script)?;
    }
    Ok(Exit::Done)
}
