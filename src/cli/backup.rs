//! `backup`: making backups, proving them, restoring them, putting copies elsewhere.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::output::{paint, style};
use super::rotation::days;
use super::{Context, Exit, prompt, timer, vault};
use crate::db::archive::Kind;
use crate::db::{BackupRecord, Database, Passphrase, Store};
use crate::ops::Error;
use crate::ops::safety::backup::{
    self, CreateRequest, Kept, Keys, Made, Mode, Pruned, RestoreRequest, Restored, Retention, Seen, Target,
    VerifyRequest,
};
use crate::ops::safety::unlock::{self, Sources};
use crate::render::timer::{Job, Passphrase as Needs, Word};
use crate::settings::KdfProfile;

mod merge;
mod text;

/// Make backups, prove them, restore them, keep copies elsewhere
///
/// A backup is one encrypted file. The passphrase and the recovery key that the database had then open it, or a passphrase
/// of its own. Each one is restored beside and compared with the live database before it counts.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend backup create\n  wg-friend backup create --to /mnt/usb/\n  wg-friend backup restore /mnt/usb/default-20260131T120000Z-4f0c2a9b.wgfb\n  wg-friend backup push 4f0c2a9b --host hub --directory /var/backups/wg-friend"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a backup, and prove that it can be restored
    ///
    /// It shows one moment, whatever is written meanwhile. Before it gets its name it is restored into a private directory,
    /// its database checked, its audit log verified, and every configuration made again and compared with the live one.
    #[command(
        after_help = "Examples:\n  wg-friend backup create\n  wg-friend backup create --kind incremental\n  wg-friend backup create --copy-to hub:/var/backups/wg-friend --keep-days 30 --keep-last 5\n  wg-friend backup create --kind keys-only --own-passphrase-file /run/secrets/backup --to /mnt/usb/keys.wgfb"
    )]
    Create {
        /// What it is to have: everything, what differs from the newest full one, the configurations, or the private and
        /// preshared keys
        #[arg(long, value_name = "KIND", default_value = "full")]
        kind: KindWord,
        /// Make a full one instead of an incremental one when the newest full one is so old
        #[arg(long, value_name = "DURATION", value_parser = days)]
        full_every: Option<u32>,
        /// Its file, or a directory for it [default: the directory backups beside the database]
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
        /// Encrypt it under a passphrase of its own, read from a file; its first line counts
        #[arg(long, value_name = "FILE")]
        own_passphrase_file: Option<PathBuf>,
        /// How costly trying that passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
        #[arg(long, value_name = "PROFILE", requires = "own_passphrase_file")]
        kdf: Option<KdfProfile>,
        #[command(flatten)]
        after: After,
    },
    /// Print or install a systemd timer that makes a backup every day; prints a crontab line, too
    ///
    /// With --kind incremental, all but the first have what differs from the newest full one, and a full one is made every seven
    /// days, or as --full-every says.
    #[command(
        after_help = "Examples:\n  wg-friend backup schedule --copy-to hub:/var/backups/wg-friend --keep-days 30 --keep-last 5\n  wg-friend backup schedule --kind incremental --keep-days 30\n  wg-friend backup schedule --keep-days 30 --install\n  wg-friend backup schedule --uninstall"
    )]
    Schedule {
        /// What they are to have, as for `backup create`
        #[arg(long, value_name = "KIND", default_value = "full")]
        kind: KindWord,
        /// Make a full one instead of an incremental one when the newest full one is so old [default: 7d]
        #[arg(long, value_name = "DURATION", value_parser = days)]
        full_every: Option<u32>,
        /// The directory for them [default: the directory backups beside the database]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        after: After,
        #[command(flatten)]
        deed: timer::Deed,
    },
    /// List the backups that were made, where each copy is, and when it was last found whole; needs no passphrase
    #[command(after_help = "Example:\n  wg-friend backup list --json")]
    List,
    /// Check a backup in full, and say where it is damaged; exit code 6 if it is
    ///
    /// Of a backup that is named by its id, one copy on this machine is checked in full, and every other one is compared with
    /// what was written: in other directories, and on hosts. Exit code 4 if one of those can't be reached.
    #[command(
        after_help = "Examples:\n  wg-friend backup verify 4f0c2a9b\n  wg-friend backup verify /mnt/usb/default-20260131T120000Z-4f0c2a9b.wgfb"
    )]
    Verify {
        /// Its file, or the beginning of the id of one that was made here
        #[arg(value_name = "FILE")]
        backup: String,
        /// The full backup that an incremental one builds on [default: found by its id, beside the file or where it was put]
        #[arg(long, value_name = "FILE")]
        base: Option<PathBuf>,
        /// Read the backup's own passphrase from a file; its first line counts
        #[arg(long, value_name = "FILE")]
        own_passphrase_file: Option<PathBuf>,
    },
    /// Become what a backup holds, or merge it; what is there now is copied first
    ///
    /// On a new machine the file is all that is needed, and the passphrase or recovery key that the database had. Hosts are
    /// not touched: `wg-friend plan` says afterwards where they differ.
    ///
    /// With --mode merge, the backup of a copy that went on by itself is merged into the present database: what only the
    /// backup has comes back unless it was removed here since, of what differs the newer one counts, and what can't be
    /// together is listed and stays as it is here, with exit code 1.
    #[command(
        after_help = "Examples:\n  wg-friend backup restore default-20260131T120000Z-4f0c2a9b.wgfb --dry-run\n  wg-friend backup restore 4f0c2a9b --yes\n  wg-friend backup restore 4f0c2a9b --mode merge --dry-run\n  wg-friend backup restore 4f0c2a9b --mode config-only --to ./configs"
    )]
    Restore {
        /// Its file, or the beginning of the id of one that was made here
        #[arg(value_name = "FILE")]
        backup: String,
        /// What to restore: the whole database, what it has and the present one lacks or has older, only the
        /// configurations as files, or only the keys into the present one
        #[arg(long, value_name = "MODE", default_value = "replace")]
        mode: ModeWord,
        /// Which side counts in a merge where both differ [default: newer]
        #[arg(long, value_name = "SIDE")]
        prefer: Option<PreferWord>,
        /// The directory for the configurations
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// The full backup that an incremental one builds on [default: found by its id, beside the file or where it was put]
        #[arg(long, value_name = "FILE")]
        base: Option<PathBuf>,
        /// Read the backup's own passphrase from a file; its first line counts
        #[arg(long, value_name = "FILE")]
        own_passphrase_file: Option<PathBuf>,
    },
    /// Put a further copy of a backup into a directory or on a host, and read it back there
    ///
    /// The full one that an incremental one builds on comes along, unless it is there.
    #[command(
        after_help = "Examples:\n  wg-friend backup push 4f0c2a9b --directory /mnt/usb\n  wg-friend backup push 4f0c2a9b --host hub --directory /var/backups/wg-friend"
    )]
    Push {
        /// The beginning of its id
        #[arg(value_name = "ID")]
        id: String,
        /// The directory
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
        /// The host that the directory is on [default: this machine]
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
    },
    /// Remove old backups, wherever their copies are
    ///
    /// The newest one of each kind that was found whole, and is there, always stays, and so does a full one as long as an
    /// incremental one that stays builds on it.
    #[command(after_help = "Example:\n  wg-friend backup prune --keep-days 30 --keep-last 5 --dry-run")]
    Prune {
        /// Keep those younger than so many days
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        keep_days: u32,
        /// Keep the newest so many of each kind, whatever their age
        #[arg(long, value_name = "N", default_value_t = 1)]
        keep_last: usize,
        /// Forget old ones whose file isn't there any more, instead of failing: their disk may only be away
        #[arg(long)]
        forget_missing: bool,
    },
}

/// What is done once a backup is made.
#[derive(Debug, clap::Args)]
struct After {
    /// Put a copy into this directory too, or into one of a host: HOST:DIR; can be given again
    #[arg(long, value_name = "PLACE")]
    copy_to: Vec<Place>,
    /// Remove backups older than so many days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Of those, keep the newest so many [default: 1]
    #[arg(long, value_name = "N", requires = "keep_days")]
    keep_last: Option<usize>,
}

impl After {
    fn retention(&self) -> Option<Retention> {
        let keep_last = self.keep_last.unwrap_or(1);
        self.keep_days.map(|keep_days| Retention { keep_days, keep_last, forget_missing: false })
    }
}

/// A place for a copy, as it was written.
#[derive(Clone, Debug)]
struct Place {
    text: String,
    target: Target,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let target = match text.split_once(':') {
            Some((host, directory)) if !host.contains('/') => on_host(host, Path::new(directory))?,
            _ => Target::Directory(std::path::absolute(text).map_err(|e| e.to_string())?),
        };
        Ok(Self { text: text.to_owned(), target })
    }
}

fn on_host(host: &str, directory: &Path) -> Result<Target, String> {
    let text = directory.to_str().filter(|text| text.starts_with('/'));
    let directory = text.ok_or("the directory on a host must be an absolute path")?;
    Ok(Target::Host { host: host.to_owned(), directory: directory.to_owned() })
}

/// The words for kinds of backups.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindWord {
    Full,
    Incremental,
    ConfigOnly,
    KeysOnly,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Full => Self::Full,
            KindWord::Incremental => Self::Incremental,
            KindWord::ConfigOnly => Self::ConfigOnly,
            KindWord::KeysOnly => Self::KeysOnly,
        }
    }
}

/// The words for what is restored.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeWord {
    Replace,
    Merge,
    ConfigOnly,
    KeysOnly,
}

/// The words for the side that counts in a merge.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PreferWord {
    Newer,
    Backup,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Create { kind, full_every, to, own_passphrase_file, kdf, after } => {
            let rhythm = Rhythm::new(kind, full_every)?;
            create((rhythm, to), own_passphrase_file.as_deref(), kdf, &after, context)
        }
        Command::Schedule { kind, full_every, to, after, deed } => {
            let rhythm = Rhythm::new(kind, full_every)?;
            timer::run(&job(rhythm, to.as_deref(), &after, context)?, deed, context)
        }
        Command::List => {
            context.out.show(&backup::list(&context.open()?)?, |listed| text::list(listed))?;
            Ok(Exit::Done)
        }
        Command::Verify { backup, base, own_passphrase_file } => {
            verify(&backup, base.as_deref(), own_passphrase_file, context)
        }
        Command::Restore { backup, mode: ModeWord::Merge, prefer, to: None, base, own_passphrase_file } => {
            let file = backup::find(present(context).as_ref(), &backup)?;
            merge::run((&file, base.as_deref()), prefer, own_passphrase_file, context)
        }
        Command::Restore { prefer: Some(_), .. } => Err(Error::value("--prefer", "goes with --mode merge alone")),
        Command::Restore { backup, mode, to, base, own_passphrase_file, .. } => {
            restore((&backup, base.as_deref()), mode, to.as_deref(), own_passphrase_file, context)
        }
        Command::Push { id, directory, host } => push(&id, directory, host, context),
        Command::Prune { keep_days, keep_last, forget_missing } => {
            prune(Retention { keep_last, keep_days, forget_missing }, context)
        }
    }
}

/// Which kind is made, and how often a full one instead of an incremental one.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    kind: Kind,
    full_every: Option<u32>,
}

impl Rhythm {
    fn new(kind: KindWord, full_every: Option<u32>) -> Result<Self, Error> {
        let kind = Kind::from(kind);
        if full_every.is_some() && kind != Kind::Incremental {
            return Err(Error::value("--full-every", "goes with --kind incremental alone"));
        }
        Ok(Self { kind, full_every })
    }
}

/// How often a timer makes a full backup, in days: each incremental one is as large as what changed since.
const FULL_EVERY: u32 = 7;

/// What `backup create --json` prints.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    made: Made,
    /// The further copies, and those that couldn't be made.
    copied: Vec<Copied>,
    /// What went afterwards, if old ones were to go. They all stay when a further copy failed.
    pruned: Option<Pruned>,
}

fn create(
    (Rhythm { kind, full_every }, to): (Rhythm, Option<PathBuf>),
    own: Option<&Path>,
    kdf: Option<KdfProfile>,
    after: &After,
    context: &Context,
) -> Result<Exit, Error> {
    let own = own.map(unlock::first_line).transpose()?.map(Passphrase::new);
    let cost = vault::cost(kdf.unwrap_or(context.settings.kdf))?;
    let own = own.as_ref().map(|own| (own, cost));
    let request = CreateRequest { kind, to, own, full_every, preview: context.dry_run };
    let mut store = context.store()?;
    let made = backup::create(&mut store, &context.clock, &context.actor(), &request)?;
    let mut created = Created { made, copied: Vec::new(), pruned: None };
    if created.made.saved {
        created.copied = copies(&mut store, &created.made.about.id, &after.copy_to, context)?;
        let lacks = created.copied.iter().any(|copied| copied.fault.is_some());
        if let Some(retention) = after.retention().filter(|_| !lacks) {
            let fleet = context.fleet(None)?;
            let pruned = backup::prune(&mut store, &fleet, &context.clock, &context.actor(), retention, false)?;
            created.pruned = Some(pruned);
        }
    }
    context.out.done(&created, text::created_text)?;
    let lacks = created.copied.iter().any(|copied| copied.fault.is_some());
    Ok(if lacks { Exit::SomeHosts } else { exit_of(created.pruned.as_ref()) })
}

/// A further copy of the backup that was just made.
#[derive(Serialize)]
struct Copied {
    /// Where to, as it was given.
    place: String,
    /// The copy.
    #[serde(flatten)]
    kept: Option<Kept>,
    /// Why there is none.
    fault: Option<String>,
}

/// Puts copies to all places: one that can't be reached keeps none of the others from getting theirs.
fn copies(store: &mut Store, id: &str, places: &[Place], context: &Context) -> Result<Vec<Copied>, Error> {
    let mut copied = Vec::new();
    for place in places {
        let fleet = context.fleet(None)?;
        let kept = backup::push(store, &fleet, &context.clock, &context.actor(), (id, &place.target), false);
        let (kept, fault) = match kept {
            Ok(kept) => (Some(kept), None),
            Err(error) => (None, Some(error.to_string())),
        };
        copied.push(Copied { place: place.text.clone(), kept, fault });
    }
    Ok(copied)
}

/// What the timer runs. A database that isn't encrypted needs no passphrase, but its backups have one of their own.
fn job(rhythm: Rhythm, to: Option<&Path>, after: &After, context: &Context) -> Result<Job, Error> {
    let passphrase = match timer::passphrase(context)? {
        Needs::No => Needs::OfBackups,
        needed => needed,
    };
    let mut words: Vec<Word> = vec!["backup".into(), "create".into()];
    if rhythm.kind != Kind::Full {
        words.extend(["--kind".into(), rhythm.kind.as_str().into()]);
    }
    if rhythm.kind == Kind::Incremental {
        words.extend(["--full-every".into(), Word::Text(format!("{}d", rhythm.full_every.unwrap_or(FULL_EVERY)))]);
    }
    if passphrase == Needs::OfBackups {
        words.extend(["--own-passphrase-file".into(), Word::PassphraseFile]);
    }
    let mut add = |name: &str, value: String| words.extend([Word::from(name), Word::Text(value)]);
    if let Some(to) = to {
        let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
        let to = to.to_str().ok_or_else(|| Error::value("--to", "has to be text to stand in a timer"))?;
        add("--to", format!("{}/", to.trim_end_matches('/')));
    }
    for place in &after.copy_to {
        let place = match &place.target {
            Target::Directory(directory) => directory.display().to_string(),
            Target::Host { .. } => place.text.clone(),
        };
        add("--copy-to", place);
    }
    if let Some(retention) = after.retention() {
        add("--keep-days", retention.keep_days.to_string());
        add("--keep-last", retention.keep_last.to_string());
    }
    Ok(Job {
        name: "backup",
        made_by: "backup schedule",
        does: "Back up the WireGuard networks of wg-friend",
        when: "Back up the WireGuard networks every day",
        calendar: "*-*-* 03:00",
        delay: "30min",
        makes_up: true,
        cron: "0 3 * * *",
        network: None, // a backup has all of them
        words,
        passphrase,
    })
}

/// A copy that should have gone and didn't is like a host that wasn't done.
fn exit_of(pruned: Option<&Pruned>) -> Exit {
    let failed = pruned.is_some_and(|pruned| pruned.removed.iter().any(|gone| gone.fault.is_some()));
    if failed { Exit::SomeHosts } else { Exit::Done }
}

/// Hands over what may open a backup.
fn with_keys<T>(
    own_passphrase_file: Option<PathBuf>,
    context: &Context,
    work: impl FnOnce(Keys<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let ask = |attempt: usize| {
        if attempt > 0 {
            context.out.warn("wrong passphrase; try again");
        }
        prompt::passphrase("Passphrase of the backup: ")
    };
    let own = Sources { file: own_passphrase_file, ask: prompt::is_possible().then_some(&ask), ..Sources::default() };
    context.with_sources(|sources| work(Keys { sources, own: &own }))
}

/// Opens the database if it is there.
fn present(context: &Context) -> Option<Database> {
    context.database.exists().then(|| context.open().ok()).flatten()
}

fn verify(name: &str, base: Option<&Path>, own: Option<PathBuf>, context: &Context) -> Result<Exit, Error> {
    let database = present(context);
    let (file, record) = (backup::find(database.as_ref(), name)?, backup::by_id(database.as_ref(), name)?);
    drop(database);
    let mut verdict = with_keys(own, context, |keys| {
        let request = VerifyRequest { file: &file, base, database: &context.database, keys };
        backup::verify(&request, &context.clock)
    })?;
    let look = |record: &BackupRecord| -> Result<Vec<Seen>, Error> {
        backup::look(&context.open()?, &context.fleet(None)?, &context.clock, record)
    };
    let by_id = record.is_some();
    if let Some(record) = record {
        verdict.copies = look(&record)?;
    }
    // What is wrong with what it builds on is noted there, and not only here. By its path, a file is looked at alone.
    let wanted = by_id || !verdict.whole;
    let base = verdict.about.as_ref().and_then(|about| about.base.clone()).filter(|_| wanted);
    if let Some(base) = base.map(|id| backup::by_id(present(context).as_ref(), &id)).and_then(Result::ok).flatten() {
        verdict.base_copies = look(&base)?;
    }
    context.out.show(&verdict, text::verdict_text)?;
    let copies = || verdict.copies.iter().chain(&verdict.base_copies);
    let damaged = !verdict.whole || copies().any(|copy| copy.reached && !copy.whole);
    Ok(match copies().any(|copy| !copy.reached) {
        _ if damaged => Exit::Tampered,
        true => Exit::SomeHosts,
        false => Exit::Done,
    })
}

fn restore(
    (name, base): (&str, Option<&Path>),
    mode: ModeWord,
    to: Option<&Path>,
    own: Option<PathBuf>,
    context: &Context,
) -> Result<Exit, Error> {
    let file = backup::find(present(context).as_ref(), name)?;
    let mode = match mode {
        ModeWord::Merge => return Err(Error::value("--to", "is for --mode config-only")),
        ModeWord::Replace => Mode::Replace,
        ModeWord::ConfigOnly => Mode::ConfigOnly,
        ModeWord::KeysOnly => Mode::KeysOnly,
    };
    let agree = |restored: &Restored| {
        if let Some(keys) = restored.keys.as_ref().filter(|_| !context.dry_run) {
            let (private, preshared) = (keys.private.len(), keys.preshared.len());
            return context
                .confirm(&format!("{private} private and {preshared} preshared keys become what they were. Go on?"));
        }
        let Some(replaced) = restored.replaced.as_ref().filter(|_| !context.dry_run) else { return Ok(()) };
        let nodes = replaced.nodes.map_or_else(|| "which can't be read".into(), |nodes| format!("with {nodes} nodes"));
        let becomes = match replaced.other_database {
            Some(false) => "becomes what it was at",
            Some(true) => "becomes another database, as that was at",
            None => "becomes what the backup holds, of",
        };
        let open = if restored.encrypted == Some(false) { ", without encryption" } else { "" };
        context.confirm(&format!(
            "The database {}, {nodes}, {becomes} {}{open}. Go on?",
            restored.path.display(),
            restored.about.created.format("%Y-%m-%d %H:%M:%S UTC")
        ))
    };
    let restored = with_keys(own, context, |keys| {
        let request =
            RestoreRequest { file: &file, base, database: &context.database, keys, mode, to, preview: context.dry_run };
        backup::restore(&request, &context.clock, &context.actor(), &agree)
    })?;
    context.out.done(&restored, text::restored_text)?;
    if restored.saved && mode != Mode::ConfigOnly {
        context.out.note(format!("  {} `wg-friend plan` says where the hosts differ", paint(style::DIM, "next:")));
    }
    Ok(Exit::Done)
}

fn push(id: &str, directory: PathBuf, host: Option<String>, context: &Context) -> Result<Exit, Error> {
    let target = match host {
        None => Target::Directory(std::path::absolute(&directory).unwrap_or(directory)),
        Some(host) => on_host(&host, &directory).map_err(|reason| Error::value("--directory", reason))?,
    };
    let mut store = context.store()?;
    let fleet = context.fleet(None)?;
    let kept = backup::push(&mut store, &fleet, &context.clock, &context.actor(), (id, &target), context.dry_run)?;
    context.out.done(&kept, text::pushed_text)?;
    Ok(Exit::Done)
}

fn prune(retention: Retention, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let fleet = context.fleet(None)?;
    if !context.dry_run {
        let planned = backup::prune(&mut store, &fleet, &context.clock, &context.actor(), retention, true)?;
        let copies = planned.removed.iter().filter(|gone| gone.fault.is_none()).count();
        if copies > 0 {
            context.confirm(&format!("{copies} copies of old backups are removed. Go on?"))?;
        }
    }
    let pruned = backup::prune(&mut store, &fleet, &context.clock, &context.actor(), retention, context.dry_run)?;
    context.out.done(&pruned, text::pruned_text)?;
    Ok(exit_of(Some(&pruned)))
}
