//! `man`: manual pages, made from the same definitions as the help.

use std::path::PathBuf;

use super::{Context, Exit, definition};
use crate::ops::Error;

/// Print the manual page, or write one page per command into a directory
///
///   wg-friend man | man -l -
///
///   wg-friend man --dir ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write wg-friend.1, wg-friend-add.1 and so on into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(definition()).render(&mut page).map_err(Error::Output)?;
        if context.out.is_json() {
            let document = serde_json::json!({ "page": String::from_utf8_lossy(&page) });
            context.out.show(&document, |_| String::new())?;
        } else {
            context.out.raw(&page)?;
        }
        return Ok(Exit::Done);
    };
    context.no_dry_run("man --dir")?;
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(definition(), dir))
        .map_err(|source| Error::Unwritable { path: dir.clone(), source })?;
    context.out.done(&serde_json::json!({ "directory": dir }), |_| format!("manual pages are in {}", dir.display()))?;
    Ok(Exit::Done)
}
