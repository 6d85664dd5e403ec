//! `rotation`: when keys are to be replaced, whose are due, and having it done.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use clap::Subcommand;

use super::progress::Line;
use super::{Context, Exit, deploy, interrupt};
use crate::model::{Name, RotationEvent, Trigger};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::network::change::Mode;
use crate::ops::rotation::policy::apply::{self, Applied, End, Request};
use crate::ops::rotation::policy::due::State;
use crate::ops::rotation::policy::edit::{self, Wanted};
use crate::ops::rotation::policy::{event, view};

mod schedule;
mod text;

/// Say when keys are to be replaced, see whose are due and why, have it done
///
/// A policy makes keys due by their age, by what went under them, or by what happened to their nodes. Nothing is replaced by
/// itself: `rotation apply` does it, by hand or from a timer. `wg-friend rotate` replaces one key now, due or not.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend rotation policy add --preset 90d\n  wg-friend rotation due\n  wg-friend rotation apply --dry-run\n  wg-friend rotation event device-lost alice-phone --note 'left in a taxi'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, change and list policies
    #[command(arg_required_else_help = true)]
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// List whose keys are due or will be soon, why, and by which policy
    ///
    /// A node that several policies cover is listed once, under the one by which it is due first. Needs no passphrase.
    #[command(
        after_help = "Examples:\n  wg-friend rotation due\n  wg-friend rotation due --within 30d\n  wg-friend rotation due --within 0d --exit-code || mail -s 'keys are due' me@example.com\n\nExit codes, with --exit-code: 0 nothing is due · 3 something is due now"
    )]
    Due {
        /// Also those that will be due within so long [default: the notice of each policy]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        within: Option<TimeDelta>,
        /// End with 3 when something is due now
        #[arg(long)]
        exit_code: bool,
    },
    /// Say that something happened to nodes: a device was lost, a key is known to others, an operator left
    ///
    /// Policies that wait for it make the keys due. Changed grants need nobody to tell of them: the history of the model does.
    #[command(
        after_help = "Examples:\n  wg-friend rotation event device-lost alice-phone --note 'left in a taxi'\n  wg-friend rotation event operator-removed all --note 'Bob left'\n  wg-friend rotation event compromise contractors\n  wg-friend rotation event device-lost alice-phone --withdraw"
    )]
    Event {
        /// What happened: device-lost, operator-removed or compromise
        #[arg(value_name = "EVENT")]
        kind: RotationEvent,
        /// To whom: nodes, groups, or remotes, routers, servers, exits, all
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        /// What else there is to say
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        /// It was said by mistake: take it back, as long as the node's key is still the same
        #[arg(long, conflicts_with = "note")]
        withdraw: bool,
    },
    /// Replace the keys that are due
    ///
    /// Shows them and asks. Hosts are deployed afterwards where the policy says so, like by `wg-friend sync`: one that
    /// somebody changed by hand is left as it is. Nodes whose keys only a person can replace are listed with how that is done.
    #[command(
        after_help = "Examples:\n  wg-friend rotation apply --dry-run\n  wg-friend rotation apply --within 7d --limit 10\n\nExit codes: 0 every key that was due is replaced · 1 some are not · 4 some are, but hosts that had to be deployed are not"
    )]
    Apply {
        /// Also those that will be due within so long
        #[arg(long, value_name = "DURATION", default_value = "0d", value_parser = duration)]
        within: TimeDelta,
        /// At most so many, the most pressing first
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        how: deploy::How,
    },
    /// List what policies had done: keys before and after, why, whether it went well
    #[command(after_help = "Examples:\n  wg-friend rotation log\n  wg-friend rotation log office --limit 5 --json")]
    Log {
        /// Only those of this node
        #[arg(value_name = "NODE")]
        node: Option<String>,
        /// At most so many, the newest first
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Print or install a systemd timer that replaces every day what is due; prints a crontab line, too
    #[command(
        after_help = "Examples:\n  wg-friend rotation schedule --limit 20\n  wg-friend rotation schedule --limit 20 --install\n  wg-friend rotation schedule --uninstall"
    )]
    Schedule(schedule::Args),
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Add a policy
    ///
    /// Nodes that come to its roles and groups later join by themselves. Where policies overlap, the one counts by which a key
    /// is due first.
    #[command(
        after_help = "Examples:\n  wg-friend rotation policy add --preset 90d\n  wg-friend rotation policy add routers-monthly --every 30d --scope routers,servers --auto-deploy\n  wg-friend rotation policy add heavy --usage 50GB\n  wg-friend rotation policy add incidents --on device-lost,compromise,operator-removed,grant-changed"
    )]
    Add {
        /// What it is called [with --preset: every-90-days and so on]
        #[arg(value_name = "NAME", required_unless_present = "preset")]
        name: Option<Name>,
        /// An ordinary policy by age: every key after 30, 60 or 90 days
        #[arg(long, value_name = "AGE", value_parser = ["30d", "60d", "90d"], conflicts_with_all = ["every", "usage", "on"])]
        preset: Option<String>,
        #[command(flatten)]
        terms: Terms,
    },
    /// Change a policy
    #[command(
        after_help = "Examples:\n  wg-friend rotation policy set heavy --usage 20GB --notice 3d\n  wg-friend rotation policy set heavy --scope remotes --auto-deploy false\n  wg-friend rotation policy set heavy --rename busy"
    )]
    Set {
        /// The policy
        #[arg(value_name = "NAME")]
        name: String,
        /// Another name
        #[arg(long, value_name = "NAME")]
        rename: Option<Name>,
        #[command(flatten)]
        terms: Terms,
    },
    /// List the policies, whom they cover, and how many keys are due by them; needs no passphrase
    #[command(alias = "ls", after_help = "Example:\n  wg-friend rotation policy list")]
    List,
    /// Show a policy, and the nodes that are due by it first; needs no passphrase
    #[command(after_help = "Example:\n  wg-friend rotation policy show every-90-days")]
    Show {
        /// The policy
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a policy; what it had done stays in the log
    #[command(alias = "rm", after_help = "Example:\n  wg-friend rotation policy remove heavy")]
    Remove {
        /// The policy
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Have a policy count again
    #[command(after_help = "Example:\n  wg-friend rotation policy enable heavy")]
    Enable {
        /// The policy
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Have a policy not count for now
    #[command(after_help = "Example:\n  wg-friend rotation policy disable heavy")]
    Disable {
        /// The policy
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What a policy says.
#[derive(Debug, clap::Args)]
struct Terms {
    /// A key is due when it is so old: 90d, 12weeks, 1year
    #[arg(long, value_name = "DURATION", value_parser = days, conflicts_with_all = ["usage", "on"])]
    every: Option<u32>,
    /// A key is due when so much went under it, in both directions together: 500MB, 50GB, 1TB
    #[arg(long, value_name = "AMOUNT", value_parser = amount, conflicts_with = "on")]
    usage: Option<u64>,
    /// A key is due when one of these happened: device-lost, grant-changed, operator-removed, compromise
    #[arg(long, value_name = "EVENT,...", value_delimiter = ',')]
    on: Vec<RotationEvent>,
    /// Whose keys: all, remotes, routers, servers, exits, groups, nodes [default: all]
    #[arg(long, value_name = "WHOM,...", value_delimiter = ',')]
    scope: Vec<String>,
    /// Deploy the hosts concerned once keys are replaced [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    auto_deploy: Option<bool>,
    /// How long before it is told that a key will be due [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = days)]
    notice: Option<u32>,
}

impl Terms {
    fn wanted(self, preset: Option<u32>) -> Wanted {
        let events: BTreeSet<RotationEvent> = self.on.into_iter().collect();
        let trigger = match (preset.or(self.every), self.usage) {
            (Some(days), _) => Some(Trigger::Days(days)),
            (None, Some(bytes)) => Some(Trigger::Bytes(bytes)),
            (None, None) => (!events.is_empty()).then_some(Trigger::Events(events)),
        };
        Wanted {
            name: None,
            trigger,
            scope: (!self.scope.is_empty()).then_some(self.scope),
            auto_deploy: self.auto_deploy,
            notice_days: self.notice,
            enabled: None,
        }
    }
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 7d or 12weeks"))?;
    TimeDelta::from_std(duration).map_err(|_| "that is too long".to_owned())
}

/// Reads a duration of whole days.
pub(super) fn days(text: &str) -> Result<u32, String> {
    let seconds = duration(text)?.num_seconds();
    if seconds % 86_400 != 0 {
        return Err("must be whole days, like 90d or 12weeks".to_owned());
    }
    u32::try_from(seconds / 86_400).ok().filter(|days| *days <= 36_500).ok_or_else(|| "that is too long".to_owned())
}

/// Reads an amount of bytes: a number, which may have a fraction, and a unit of powers of 1000 or, with an `i`, of 1024.
fn amount(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no amount: write it like 500MB, 50GB or 1.5TB");
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let size: u128 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" | "k" => 1_000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "tb" | "t" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 12 {
        return Err(wrong());
    }
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
    let places = u32::try_from(fraction.len()).map_err(|_| wrong())?;
    let bytes = digits.checked_mul(size).ok_or_else(wrong)? / 10_u128.pow(places);
    u64::try_from(bytes).ok().filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(|| "that is too much".to_owned())
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let now = context.clock.now();
    match args.command {
        Command::Policy { command } => policy(command, context),
        Command::Due { within, exit_code } => {
            let due = view::due(&context.open()?, now, within)?;
            let verbose = context.out.verbosity() > 0;
            context.out.show(&due, |due| text::due(due, now, verbose))?;
            let is_due = due.nodes.iter().any(|node| node.state == State::Due);
            if !context.out.is_json() {
                context.out.note(text::summary(&due.summary).trim_end());
            }
            Ok(if exit_code && is_due { Exit::Differences } else { Exit::Done })
        }
        Command::Event { kind, nodes, note, withdraw } => {
            let mut store = context.store()?;
            let (actor, mode) = (context.actor(), context.mode());
            if withdraw {
                let withdrawn = event::withdraw(&mut store, &context.clock, &actor, kind, &nodes, mode)?;
                context.out.done(&withdrawn, text::withdrawn)?;
                return Ok(Exit::Done);
            }
            let told = event::tell(&mut store, &context.clock, &actor, kind, &nodes, &note, mode)?;
            context.out.done(&told, text::told)?;
            Ok(Exit::Done)
        }
        Command::Apply { within, limit, how } => apply((within, limit), &how, context),
        Command::Log { node, limit } => {
            context.out.show(&view::log(&context.open()?, node.as_deref(), limit)?, text::log)?;
            Ok(Exit::Done)
        }
        Command::Schedule(args) => schedule::run(&args, context),
    }
}

fn policy(command: PolicyCommand, context: &Context) -> Result<Exit, Error> {
    let now = context.clock.now();
    let changing = match command {
        PolicyCommand::List => {
            let list = view::list(&context.open()?, now)?;
            context.out.show(&list, text::list)?;
            if !context.out.is_json() {
                context.out.note(text::after_list(&list).trim_end());
            }
            return Ok(Exit::Done);
        }
        PolicyCommand::Show { name } => {
            let shown = view::show(&context.open()?, &name, now)?;
            context.out.show(&shown, |shown| text::shown(shown, now))?;
            return Ok(Exit::Done);
        }
        other => other,
    };
    let mut store = context.store()?;
    let (clock, actor, mode) = (&context.clock, context.actor(), context.mode());
    let switch = |on: bool| Wanted { enabled: Some(on), ..Wanted::default() };
    let changed = match changing {
        PolicyCommand::Add { name, preset, terms } => {
            let preset = preset.map(|age| days(&age).map_err(|reason| Error::value("--preset", reason))).transpose()?;
            let name = match (name, preset) {
                (Some(name), _) => name,
                (None, Some(days)) => {
                    format!("every-{days}-days").parse().map_err(|reason| Error::value("NAME", reason))?
                }
                (None, None) => return Err(Error::value("NAME", "is needed")),
            };
            edit::add(&mut store, clock, &actor, &name, &terms.wanted(preset), mode)?
        }
        PolicyCommand::Set { name, rename, terms } => {
            let wanted = Wanted { name: rename, ..terms.wanted(None) };
            edit::set(&mut store, clock, &actor, &name, &wanted, mode)?
        }
        PolicyCommand::Enable { name } => edit::set(&mut store, clock, &actor, &name, &switch(true), mode)?,
        PolicyCommand::Disable { name } => edit::set(&mut store, clock, &actor, &name, &switch(false), mode)?,
        PolicyCommand::Remove { name } => {
            if !context.dry_run {
                let gone = edit::remove(&mut store, clock, &actor, &name, Mode::Preview)?.policy;
                context.confirm(&format!(
                    "Remove the rotation policy {}, which covers {} nodes?",
                    gone.name, gone.nodes
                ))?;
            }
            edit::remove(&mut store, clock, &actor, &name, mode)?
        }
        PolicyCommand::List | PolicyCommand::Show { .. } => return Ok(Exit::Done),
    };
    context.out.done(&changed, text::changed)?;
    Ok(Exit::Done)
}

fn apply((within, limit): (TimeDelta, Option<usize>), how: &deploy::How, context: &Context) -> Result<Exit, Error> {
    let (fleet, options, actor) = (how.fleet(context)?, how.options(context), context.actor());
    let mut store = context.store()?;
    let line = Line::new(context);
    let mut carry_out = |mode| {
        let request = Request { within, limit, mode };
        apply::apply(&mut store, &fleet, &context.clock, &actor, request, &options, &line)
    };
    let planned = carry_out(Mode::Preview)?;
    let now = context.clock.now();
    let count = planned.count(End::WouldRotate);
    if context.dry_run || (count == 0 && planned.left_over.is_empty()) {
        context.out.show(&planned, |planned| text::applied(planned, now))?;
        return Ok(if context.dry_run { Exit::Done } else { exit(&planned) });
    }
    if !context.yes && !context.out.is_json() {
        context.out.note(text::applied(&planned, now).trim_end());
    }
    context.confirm(&match count {
        0 => format!(
            "Deploy what {} earlier left undone?",
            if planned.left_over.len() == 1 { "a rotation" } else { "rotations" }
        ),
        count => format!("Replace the key{} of {count} node{}?", plural(count), plural(count)),
    })?;
    interrupt::watch(options.stop.clone(), line.voice());
    let applied = carry_out(Mode::Save)?;
    drop(line);
    context.out.show(&applied, |applied| text::applied(applied, now))?;
    if !context.out.is_json() {
        context.out.note(text::next(&applied).trim_end());
    }
    Ok(exit(&applied))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn exit(applied: &Applied) -> Exit {
    let undone = [End::Failed, End::ByHand, End::Waiting, End::OverLimit];
    if undone.into_iter().any(|end| applied.count(end) > 0) {
        Exit::Incomplete
    } else if applied.is_deploy_missing() {
        Exit::SomeHosts
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_nothing_else_is() {
        for (text, bytes) in [
            ("50GB", 50_000_000_000),
            ("1.5 TB", 1_500_000_000_000),
            ("10MiB", 10_485_760),
            ("0.001kB", 1),
            ("700b", 700),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(amount(text), Ok(bytes), "{text}");
        }
        for text in ["", "50", "GB", "-1GB", "1..5GB", ".5GB", "50 parsecs", "99999999999TB", "1e3GB"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_are_whole_days() {
        assert_eq!((days("90d"), days("12weeks"), days("0d")), (Ok(90), Ok(84), Ok(0)));
        for text in ["12h", "90", "1000000d", "-1d"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
