//! `backup restore --mode merge`: what both copies of a database have becomes one.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{PreferWord, with_keys};
use crate::cli::history::differences;
use crate::cli::output::{Cell, Fields, Table, paint, paint_code, style};
use crate::cli::rollback::follows;
use crate::cli::{Context, Exit};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::network::history::{Changed, What};
use crate::ops::safety::backup::merge::{self, Fate, Left, Merge, Prefer, Request};

pub(super) fn run(
    (file, base): (&Path, Option<&Path>),
    prefer: Option<PreferWord>,
    own: Option<PathBuf>,
    context: &Context,
) -> Result<Exit, Error> {
    let prefer = match prefer {
        None | Some(PreferWord::Newer) => Prefer::Newer,
        Some(PreferWord::Backup) => Prefer::Backup,
    };
    let shows_first = !context.dry_run && !context.yes && !context.out.is_json();
    let agree = |planned: &Merge| {
        if context.dry_run {
            return Ok(());
        }
        if shows_first {
            context.out.note(text(planned).trim_end());
        }
        context.confirm(&format!(
            "{} things of the backup of {} are merged into the database {}. Go on?",
            planned.changes.iter().filter(|brought| !brought.change.along).count(),
            planned.about.created.format("%Y-%m-%d %H:%M:%S UTC"),
            planned.path.display()
        ))
    };
    let merged = with_keys(own, context, |keys| {
        let request = Request { file, base, database: &context.database, keys, prefer, preview: context.dry_run };
        merge::merge(&request, &context.clock, &context.actor(), &agree)
    })?;
    match merged.saved && shows_first {
        true => context.out.note(paint(style::GOOD, "merged")), // what differs was shown before the question
        false if context.dry_run => context.out.show(&merged, text)?,
        false => context.out.done(&merged, text)?,
    }
    if !context.out.is_json() {
        hints(&merged, context);
    }
    Ok(if merged.has_conflicts() { Exit::Incomplete } else { Exit::Done })
}

fn hints(merged: &Merge, context: &Context) {
    let has = |fate: Fate| merged.left.iter().any(|left| left.fate == fate);
    let hint = |text: &str| context.out.note(format!("  {} {}", paint(style::DIM, "next:"), paint_code(text)));
    let newer = [Fate::RemovedHere, Fate::ChangedHere, Fate::NewerHere, Fate::Untold];
    if merged.prefer == Prefer::Newer && newer.into_iter().any(has) {
        hint("`--prefer backup` takes the backup's wherever both differ, and brings back what was removed here");
    }
    if has(Fate::RemovedThere) {
        hint("merging removes nothing: `wg-friend remove NAME` what is to go here too");
    }
    if merged.saved && !merged.deploy.is_empty() {
        hint("`wg-friend plan` says where the hosts differ");
    }
}

fn text(merged: &Merge) -> String {
    let head = match (&merged.copy, merged.saved) {
        (None, _) => paint(style::GOOD, "nothing to take over from the backup"),
        (Some(_), true) => paint(style::GOOD, "merged"),
        (Some(_), false) => "would be merged".to_owned(),
    };
    let mut fields = Fields::new();
    fields.add("backup", Cell::new(&merged.about.id, style::STRONG));
    fields.add("made", merged.about.created.format("%Y-%m-%d %H:%M:%S UTC"));
    fields.add("database", merged.path.display());
    if let Some(copy) = &merged.copy {
        fields.add("copied to", copy.display());
    }
    if let Some(state) = merged.state {
        fields.add("state", state);
    }
    let mut text = format!("{head}\n\n{}", fields.render());
    let changes = changes(merged);
    let follows = follows(&merged.remarks, &merged.deploy, &merged.new_files);
    for part in [changes, stays(&merged.left), conflicts(&merged.left), follows] {
        if !part.is_empty() {
            text.push_str(&format!("\n{part}"));
        }
    }
    text
}

/// Lists what differs from before; each network under its name where there are several.
fn changes(merged: &Merge) -> String {
    let mut networks: Vec<Option<&Name>> = Vec::new();
    for brought in &merged.changes {
        if !networks.contains(&brought.network.as_ref()) {
            networks.push(brought.network.as_ref());
        }
    }
    let several = networks.iter().filter(|network| network.is_some()).count() > 1;
    let mut text = String::new();
    for network in networks {
        let own = merged.changes.iter().filter(|brought| brought.network.as_ref() == network);
        let own: Vec<Changed> = own.map(|brought| brought.change.clone()).collect();
        if let Some(name) = network.filter(|_| several) {
            text.push_str(&format!("{}\n", paint(style::STRONG, format_args!("network {name}"))));
        }
        text.push_str(&differences(&own));
    }
    text
}

/// Lists what stays as it is here though the backup has it otherwise.
fn stays(left: &[Left]) -> String {
    let mut table = Table::new(&["STAYS", "WHY", "CHANGED HERE", "IN THE BACKUP"]);
    for left in left.iter().filter(|left| left.fate != Fate::Conflict) {
        let why = match left.fate {
            Fate::RemovedHere => "removed here since",
            Fate::RemovedThere => "removed there",
            Fate::Untold => "which is newer can't be told",
            Fate::ChangedHere => "changed here alone",
            Fate::NewerHere | Fate::Conflict => "newer here",
        };
        table.row([Cell::new(named(left), style::STRONG), why.into(), time(left.here).into(), time(left.there).into()]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn named(left: &Left) -> String {
    match left.what {
        What::Node => left.name.clone(),
        what => format!("{} {}", what.in_words(), left.name),
    }
}

fn conflicts(left: &[Left]) -> String {
    let mut table = Table::new(&["CONFLICT", "WHY, AND WHAT TO DO"]);
    for left in left.iter().filter(|left| left.fate == Fate::Conflict) {
        table.row([Cell::new(named(left), style::BAD), left.why.as_deref().unwrap_or_default().into()]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}
