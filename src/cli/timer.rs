//! Timers that run the program: printed, installed, removed. Every command that wants one says what it runs, and when.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::context::user_name;
use super::output::{paint, paint_code, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::safety::unlock;
use crate::ops::timer::{self, Report, State, systemctl};
use crate::render::timer::{Around, Job, Passphrase, Scope, Timer, Word, fits, page};
use crate::settings::config_directory;

/// Where the units of the whole machine lie.
const SYSTEM: &str = "/etc/systemd/system";

/// What is to be done with a timer; nothing of it prints it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Deed {
    /// Install the timer with systemd and begin it [default: system for root, user for everybody else]
    #[arg(long, value_name = "FOR", num_args = 0..=1, require_equals = true, conflicts_with = "uninstall")]
    install: Option<Option<Scope>>,
    /// End the timer that was installed, and remove it
    #[arg(long, value_name = "FOR", num_args = 0..=1, require_equals = true)]
    uninstall: Option<Option<Scope>>,
}

impl Deed {
    /// Whether something is to be done beside printing.
    pub(super) fn is_something(self) -> bool {
        self.install.is_some() || self.uninstall.is_some()
    }
}

/// Prints, installs or removes the timer of a job.
pub(super) fn run(job: &Job, deed: Deed, context: &Context) -> Result<Exit, Error> {
    let own = if rustix::process::geteuid().is_root() { Scope::System } else { Scope::User };
    let around = around(job, context)?;
    let made = |scope: Option<Scope>| {
        let scope = scope.unwrap_or(own);
        let timer = crate::render::timer::timer(job, scope, &around);
        directory(scope).map(|directory| (timer, scope, directory))
    };
    match (deed.install, deed.uninstall) {
        (Some(scope), _) => install(job, made(scope)?, context),
        (None, Some(scope)) => uninstall(made(scope)?, context),
        (None, None) => {
            let timer = crate::render::timer::timer(job, Scope::System, &around);
            context.out.show(&timer, |timer| page(job, timer))?;
            Ok(Exit::Done)
        }
    }
}

/// Which passphrase a job needs that opens the database. One that isn't there yet will be encrypted.
pub(super) fn passphrase(context: &Context) -> Result<Passphrase, Error> {
    let encrypted = if context.database.exists() { unlock::open(&context.database)?.is_encrypted()? } else { true };
    Ok(if encrypted { Passphrase::OfDatabase } else { Passphrase::No })
}

fn directory(scope: Scope) -> Result<PathBuf, Error> {
    match scope {
        Scope::System => Ok(PathBuf::from(SYSTEM)),
        Scope::User => Ok(config_directory()?.join("systemd/user")),
    }
}

/// Says where the job runs: as whom the database belongs to, which nobody else can read.
fn around(job: &Job, context: &Context) -> Result<Around, Error> {
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/wg-friend".into());
    let owner = std::fs::metadata(&context.database).map(|found| found.uid());
    let owner = owner.unwrap_or_else(|_| rustix::process::geteuid().as_raw());
    let texts = job.words.iter().filter_map(|word| match word {
        Word::Text(text) => Some(text),
        Word::PassphraseFile => None,
    });
    if let Some(text) = texts.into_iter().find(|text| !fits(text)) {
        return Err(unfit(text));
    }
    Ok(Around {
        program: on_a_line(&program)?,
        database: on_a_line(&context.database)?,
        user: user_name(owner).unwrap_or_else(|| owner.to_string()),
        own_passphrase_file: on_a_line(&config_directory()?.join("wg-friend/passphrase"))?,
    })
}

/// Returns a path, from the root on, as it can stand in a unit and a crontab.
fn on_a_line(path: &Path) -> Result<String, Error> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_str().filter(|text| fits(text)).map(str::to_owned).ok_or_else(|| unfit(&path))
}

fn unfit(what: impl std::fmt::Debug) -> Error {
    Error::value("the timer", format!("{what:?} has a character that can't stand in a unit or a crontab"))
}

fn install(job: &Job, (timer, scope, directory): (Timer, Scope, PathBuf), context: &Context) -> Result<Exit, Error> {
    let planned = timer::look(&timer, scope, &directory)?;
    if context.dry_run {
        return shown(planned, &timer, job.passphrase, context);
    }
    if !context.out.is_json() {
        context.out.note(files(&planned, &timer).trim_end());
    }
    context.confirm(&format!("Install {} and begin it?", timer.timer.name))?;
    let report = timer::install(&timer, scope, &directory, &systemctl)?;
    shown(report, &timer, job.passphrase, context)
}

fn uninstall((timer, scope, directory): (Timer, Scope, PathBuf), context: &Context) -> Result<Exit, Error> {
    let planned = timer::look_removed(&timer, scope, &directory)?;
    if context.dry_run {
        return shown(planned, &timer, Passphrase::No, context);
    }
    context.confirm(&format!("End {} and remove it?", timer.timer.name))?;
    shown(timer::remove(&timer, scope, &directory, &systemctl)?, &timer, Passphrase::No, context)
}

fn shown(report: Report, timer: &Timer, passphrase: Passphrase, context: &Context) -> Result<Exit, Error> {
    if report.saved || context.out.is_json() {
        context.out.done(&report, done)?;
    } else {
        let text = if report.action == "removed" { done(&report) } else { files(&report, timer) };
        context.out.text(&text)?;
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
    }
    if !context.out.is_json() {
        remarks(&report, passphrase, context);
    }
    Ok(if report.fault.is_some() { Exit::Incomplete } else { Exit::Done })
}

/// Shows the files as they are going to be.
fn files(report: &Report, timer: &Timer) -> String {
    let mut text = String::new();
    for (installed, unit) in report.units.iter().zip([&timer.service, &timer.timer]) {
        let word = match installed.state {
            State::New => "new",
            State::Changed => "replaces another",
            State::Unchanged => "there already",
            State::Removed => "goes",
        };
        let title = paint(style::STRONG, installed.path.display());
        text.push_str(&format!("{title}  {}\n{}\n", paint(style::DIM, word), unit.text.trim_end()));
        text.push('\n');
    }
    text
}

fn done(report: &Report) -> String {
    let (sign, colour) = if report.action == "removed" { ("-", style::BAD) } else { ("+", style::GOOD) };
    let line = |unit: &timer::Installed| format!("{} {}\n", paint(colour, sign), unit.path.display());
    report.units.iter().map(line).collect()
}

/// Says what is left to do.
fn remarks(report: &Report, passphrase: Passphrase, context: &Context) {
    if let Some(fault) = &report.fault {
        let commands: Vec<String> = report.by_hand.iter().map(|command| format!("`{command}`")).collect();
        context.out.warn(format!("systemd couldn't be told: {fault}; by hand: {}", commands.join(", ")));
    }
    if let Some(file) = &report.missing_passphrase_file {
        let what = match passphrase {
            Passphrase::OfBackups => "a passphrase for the backups",
            Passphrase::OfDatabase | Passphrase::No => "the passphrase of the database",
        };
        context.out.warn(format!(
            "there is no {file} yet, without which the timer fails: put {what} into it, on one line, with mode 0600"
        ));
    }
    if report.scope == Scope::User && report.action == "installed" {
        context.out.note(paint_code("it runs while you are logged in; `loginctl enable-linger` has it run always"));
    }
}
