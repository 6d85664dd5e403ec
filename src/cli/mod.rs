//! The command line: what can be typed, and how it is answered. A file per command.

mod add;
mod audit;
mod backup;
mod blast;
mod can;
mod change;
mod completions;
mod context;
mod deploy;
mod drift;
mod enable;
mod exit;
mod export;
mod generate;
mod grant;
mod group;
mod handouts;
mod help;
mod history;
mod hooks;
mod host;
mod import;
mod init;
mod interface;
mod interrupt;
mod link;
mod list;
mod log;
mod man;
mod network;
mod outcomes;
pub mod output;
mod plan;
mod progress;
pub mod prompt;
mod psk;
mod qr;
mod remove;
mod rename;
mod report;
mod rollback;
mod rotate;
mod rotation;
mod screen;
mod screens;
mod set;
mod settings;
mod show;
mod status;
mod sync;
mod timer;
mod topology;
mod unlock;
mod vault;
mod watch;
mod width;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use context::{Context, Environment, Hosted};
use output::{Output, paint, paint_code, say, style};

use crate::model::Name;
use crate::ops::{Error, Kind};

/// How a command that did what it was asked ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Some of it was done; what wasn't was shown.
    Incomplete,
    /// Done, and differences were found.
    Differences,
    /// Some hosts failed; which ones was shown.
    SomeHosts,
    /// Tampering was found; where was shown.
    Tampered,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Incomplete => Kind::Failed.exit_code(),
            Self::Differences => 3,
            Self::SomeHosts => Kind::SomeHosts.exit_code(),
            Self::Tampered => Kind::Tampered.exit_code(),
        }
    }
}

/// Runs WireGuard networks: an encrypted model, plans, safe deploys over SSH.
#[derive(Debug, Parser)]
#[command(
    name = "wg-friend",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    subcommand_required = false,
    after_help = "Exit codes: 0 done · 1 failed · 2 wrong usage · 3 differences found · 4 some hosts failed · 5 locked or wrong passphrase · 6 tampering or corruption found"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The database [default: wg-friend/default.db in the XDG data directory]
    #[arg(long, global = true, env = "WG_FRIEND_DB", value_name = "PATH", hide_env_values = true)]
    db: Option<PathBuf>,
    /// The network, in a database that has several
    #[arg(
        long = "network",
        id = "chosen_network",
        global = true,
        env = "WG_FRIEND_NETWORK",
        value_name = "NAME",
        hide_env_values = true
    )]
    network: Option<Name>,
    /// The settings file [default: wg-friend/wg-friend.toml in the XDG configuration directory]
    #[arg(
        long,
        global = true,
        env = "WG_FRIEND_CONFIG",
        value_name = "FILE",
        hide_env_values = true,
        hide_short_help = true
    )]
    config: Option<PathBuf>,
    /// Print the result as one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    yes: bool,
    /// Show what would happen and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Say only what was asked for, and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more; twice, say everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    color: clap::ColorChoice,
    /// Read the passphrase from a file; its first line counts
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What wg-friend can be told to do.
#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Import(Box<import::Args>),
    Add(Box<add::Args>),
    Set(set::Args),
    Rename(rename::Args),
    Remove(remove::Args),
    Link(link::LinkArgs),
    Unlink(link::UnlinkArgs),
    Enable(enable::EnableArgs),
    Disable(enable::DisableArgs),
    Rotate(rotate::Args),
    Rotation(Box<rotation::Args>),
    Psk(psk::Args),
    Grant(grant::GrantArgs),
    Revoke(grant::RevokeArgs),
    Grants(grant::GrantsArgs),
    Group(group::Args),
    List(list::Args),
    Show(show::Args),
    Topology(topology::Args),
    Can(can::Args),
    Generate(generate::Args),
    Qr(qr::Args),
    Export(export::Args),
    Handouts(handouts::Args),
    Plan(plan::Args),
    Deploy(deploy::Args),
    Sync(sync::Args),
    Status(status::Args),
    Log(log::Args),
    Drift(drift::Args),
    History(history::Args),
    Rollback(rollback::Args),
    Network(network::Args),
    Exit(exit::Args),
    Hooks(hooks::Args),
    Host(host::Args),
    Interface(interface::Args),
    Unlock(unlock::UnlockArgs),
    Lock(unlock::LockArgs),
    Vault(vault::Args),
    Audit(audit::Args),
    Backup(backup::Args),
    Report(report::Args),
    Settings(settings::Args),
    Completions(completions::Args),
    Man(man::Args),
    /// Open the screens, as without a command
    #[command(hide = true)]
    Maintain,
}

impl Command {
    /// Whether it may change the model, so that hosts which follow each change have to be looked at.
    fn may_change_the_model(&self) -> bool {
        matches!(
            self,
            Self::Import(_)
                | Self::Add(_)
                | Self::Set(_)
                | Self::Rename(_)
                | Self::Remove(_)
                | Self::Enable(_)
                | Self::Disable(_)
                | Self::Rotate(_)
                | Self::Rotation(_)
                | Self::Psk(_)
                | Self::Grant(_)
                | Self::Revoke(_)
                | Self::Group(_)
                | Self::Drift(_)
                | Self::Rollback(_)
                | Self::Network(_)
                | Self::Exit(_)
                | Self::Hooks(_)
                | Self::Host(_)
                | Self::Interface(_)
        )
    }

    /// Carries it out, and takes what it changed in the model to the hosts that want that at once.
    fn run_and_sync(self, context: &Context) -> Result<Exit, Error> {
        let mark = if self.may_change_the_model() { sync::before(context) } else { None };
        let exit = self.run(context)?;
        match mark.map(|mark| sync::after(&mark, context)).transpose()? {
            Some(Exit::SomeHosts) if exit == Exit::Done => Ok(Exit::SomeHosts),
            _ => Ok(exit),
        }
    }

    fn run(self, context: &Context) -> Result<Exit, Error> {
        match self {
            Self::Init(args) => init::run(args, context),
            Self::Import(args) => import::run(*args, context),
            Self::Add(args) => add::run(*args, context),
            Self::Set(args) => set::run(&args, context),
            Self::Rename(args) => rename::run(args, context),
            Self::Remove(args) => remove::run(&args, context),
            Self::Link(args) => link::link(&args, context),
            Self::Unlink(args) => link::unlink(&args, context),
            Self::Enable(args) => enable::enable(&args, context),
            Self::Disable(args) => enable::disable(&args, context),
            Self::Rotate(args) => rotate::run(args, context),
            Self::Rotation(args) => rotation::run(*args, context),
            Self::Psk(args) => psk::run(args, context),
            Self::Grant(args) => grant::grant(&args, context),
            Self::Revoke(args) => grant::revoke(&args, context),
            Self::Grants(args) => grant::grants(&args, context),
            Self::Group(args) => group::run(args, context),
            Self::List(args) => list::run(&args, context),
            Self::Show(args) => show::run(&args, context),
            Self::Topology(args) => topology::run(&args, context),
            Self::Can(args) => can::run(&args, context),
            Self::Generate(args) => generate::run(args, context),
            Self::Qr(args) => qr::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Handouts(args) => handouts::run(&args, context),
            Self::Plan(args) => plan::run(&args, context),
            Self::Deploy(args) => deploy::run(&args, context),
            Self::Sync(args) => sync::run(&args, context),
            Self::Status(args) => status::run(&args, context),
            Self::Log(args) => log::run(&args, context),
            Self::Drift(args) => drift::run(args, context),
            Self::History(args) => history::run(&args, context),
            Self::Rollback(args) => rollback::run(&args, context),
            Self::Host(args) => host::run(args, context),
            Self::Interface(args) => interface::run(args, context),
            Self::Network(args) => network::run(args, context),
            Self::Exit(args) => exit::run(args, context),
            Self::Hooks(args) => hooks::run(&args, context),
            Self::Unlock(args) => unlock::unlock(&args, context),
            Self::Lock(args) => unlock::lock(&args, context),
            Self::Vault(args) => vault::run(args, context),
            Self::Audit(args) => audit::run(args, context),
            Self::Backup(args) => backup::run(args, context),
            Self::Report(args) => report::run(&args, context),
            Self::Settings(args) => settings::run(args, context),
            Self::Completions(args) => completions::run(&args, context),
            Self::Man(args) => man::run(&args, context),
            Self::Maintain => screens::open(context),
        }
    }
}

/// What is said to a program that gives no command; on a terminal, people get the screens.
const NO_COMMAND: &str = "a command is missing";

/// Returns the definition of the command line, from which help, completions and man pages are made.
pub fn definition() -> clap::Command {
    let command = Cli::command().styles(style::HELP);
    let template = help::template(&command);
    command.help_template(template)
}

/// Runs one command line and returns the exit code. Errors are shown, not returned.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = definition().try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(show_usage(&error, &arguments)),
    };
    match cli.global.color {
        clap::ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        clap::ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
        clap::ColorChoice::Auto => {}
    }
    let out = Output::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    if let Some(screen) = &environment.screen {
        width::shown_in(screen.columns);
    }
    let outcome = match cli.command {
        Some(command) => {
            let make =
                if matches!(command, Command::Settings(_)) { Context::whatever_the_settings } else { Context::new };
            make(cli.global, out, environment).and_then(|context| command.run_and_sync(&context))
        }
        None if out.is_json() || !screens::are_possible() => {
            let missing = definition().error(clap::error::ErrorKind::MissingSubcommand, NO_COMMAND);
            return ExitCode::from(show_usage(&missing, &arguments));
        }
        None => Context::new(cli.global, out, environment).and_then(|context| screens::open(&context)),
    };
    ExitCode::from(match outcome {
        Ok(exit) => exit.code(),
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            show_error(&error, out.is_json());
            error.kind().exit_code()
        }
    })
}

/// Returns the help of the command that is named, for one that needs a further word. Clap shows it by itself only when no
/// option has a value, and the environment gives values too.
fn help_of(arguments: &[OsString]) -> clap::builder::StyledStr {
    let mut command = definition();
    command.build();
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(sub) = command.find_subcommand(word).cloned() {
            command = sub;
        }
    }
    command.render_help()
}

/// Shows what clap has to say: help and version on stdout, usage errors on stderr.
fn show_usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let is_error = error.use_stderr();
    if error.kind() == clap::error::ErrorKind::MissingSubcommand && arguments.iter().all(|word| word != "--json") {
        say(help_of(arguments).ansi().to_string().trim_end());
        return Kind::Usage.exit_code();
    }
    if is_error && arguments.iter().any(|word| word == "--json") {
        let text = error.render().to_string();
        let lines = text.trim_start_matches("error: ").lines().map(str::trim);
        let facts: Vec<&str> =
            lines.take_while(|line| !line.starts_with("Usage:")).filter(|line| !line.is_empty()).collect();
        show_json(Kind::Usage, &facts.join(" "), Some("--help says what can be given"));
    } else {
        let _ = error.print(); // nobody is left to tell
    }
    if is_error { Kind::Usage.exit_code() } else { 0 }
}

fn show_error(error: &Error, json: bool) {
    let hint = error.hint();
    if json {
        return show_json(error.kind(), &error.to_string(), hint.as_deref());
    }
    let message = error.to_string().replace('\n', "\n       "); // further lines under the first
    say(&format!("{} {}", paint(style::BAD.bold(), "error:"), paint_code(&message)));
    if let Some(hint) = hint {
        say(&format!(" {} {}", paint(style::CODE.bold(), "hint:"), paint_code(&hint)));
    }
}

/// What `--json` prints on stderr when a command fails.
#[derive(serde::Serialize)]
struct Failure<'a> {
    error: Facts<'a>,
}

#[derive(serde::Serialize)]
struct Facts<'a> {
    kind: Kind,
    exit_code: u8,
    message: &'a str,
    hint: Option<&'a str>,
}

fn show_json(kind: Kind, message: &str, hint: Option<&str>) {
    let failure = Failure { error: Facts { kind, exit_code: kind.exit_code(), message, hint } };
    say(&serde_json::to_string_pretty(&failure).expect("plain strings serialise"));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_has_no_contradictions() {
        super::definition().debug_assert();
    }

    #[test]
    fn every_command_has_its_place_in_the_help() {
        let text = super::definition().render_help().to_string();
        for command in super::definition().get_subcommands().filter(|command| !command.is_hide_set()) {
            let line = format!("\n  {} ", command.get_name());
            assert_eq!(text.matches(&line).count(), 1, "{}", command.get_name());
        }
        assert!(!text.contains(super::help::REST), "{text}");
    }
}
