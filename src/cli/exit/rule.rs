//! `exit rule`: internet traffic by other ways, according to where it leads.

use clap::Subcommand;

use crate::cli::output::{Cell, Table, style};
use crate::cli::{Context, Exit, change};
use crate::model::{Cidr, PortRange, Protocol};
use crate::ops::Error;
use crate::ops::exit::rules::{self, Does, List, RuleView, Wanted, Which};

/// Rules that send internet traffic by other ways, according to where it leads
///
/// The first rule that fits decides: a remote's own rules come first, then those of its groups, then the network's. What
/// none fits leaves as it is assigned. They are carried out on the server, so that a device that sends everything into the
/// tunnel needs no new file.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a rule
    #[command(
        after_help = "Examples:\n  wg-friend exit rule add alice-phone 203.0.113.0/24 exit-nl\n  wg-friend exit rule add network 198.51.100.0/24,2001:db8:51::/48 direct\n  wg-friend exit rule add contractors internet block --protocol tcp --port 25,465,587\n  wg-friend exit rule add alice-phone 192.0.2.7 europe --position 1"
    )]
    Add {
        /// Whose: a remote, a group of nodes, or `network` for every remote
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Where to: an address or a prefix, several with commas, or `internet`
        destination: String,
        /// By which way: an exit, a group of exits, `direct` (out at the server) or `block`
        #[arg(value_name = "WAY")]
        action: String,
        /// Only by this protocol: tcp, udp or icmp
        #[arg(long, default_value = "any", hide_default_value = true)]
        protocol: Protocol,
        /// Only to these ports: 22,443,8000-8999
        #[arg(long = "port", visible_alias = "ports", value_name = "PORTS", value_delimiter = ',')]
        ports: Vec<PortRange>,
        /// Its place among the rules of the same subject, counted from 1 [default: the last]
        #[arg(long, value_name = "N")]
        position: Option<usize>,
    },
    /// List rules: all of them, those of a group or the network, or all that hold for a remote
    #[command(
        alias = "ls",
        after_help = "Examples:\n  wg-friend exit rule list\n  wg-friend exit rule list alice-phone    in the order in which they are asked"
    )]
    List {
        /// A remote, a group of nodes, or `network`
        #[arg(value_name = "SUBJECT")]
        subject: Option<String>,
    },
    /// Remove rules by their places
    #[command(
        alias = "rm",
        after_help = "Examples:\n  wg-friend exit rule remove alice-phone 2\n  wg-friend exit rule remove network --all"
    )]
    Remove {
        /// A remote, a group of nodes, or `network`
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Their places, as `exit rule list` shows them
        #[arg(value_name = "N", required_unless_present = "all", conflicts_with = "all")]
        places: Vec<usize>,
        /// All rules of its own
        #[arg(long)]
        all: bool,
    },
    /// Give a rule another place
    #[command(alias = "mv", after_help = "Example:\n  wg-friend exit rule move alice-phone 3 1")]
    Move {
        /// A remote, a group of nodes, or `network`
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Its place
        #[arg(value_name = "FROM")]
        from: usize,
        /// The place it is to have
        #[arg(value_name = "TO")]
        to: usize,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let actor = context.actor();
    let outcome = match args.command {
        Command::List { subject } => {
            let list = rules::list(&context.open()?, subject.as_deref())?;
            context.out.show(&list, render)?;
            return Ok(Exit::Done);
        }
        Command::Add { subject, destination, action, protocol, ports, position } => {
            let mut store = context.store()?;
            let wanted = Wanted { destination: &destination, protocol, ports, action: &action };
            rules::add(&mut store, &context.clock, &actor, (&subject, &wanted), position, context.mode())?
        }
        Command::Remove { subject, places, all } => {
            let mut store = context.store()?;
            let which = if all { Which::All } else { Which::At(places) };
            rules::remove(&mut store, &context.clock, &actor, (&subject, &which), context.mode())?
        }
        Command::Move { subject, from, to } => {
            let mut store = context.store()?;
            rules::reorder(&mut store, &context.clock, &actor, (&subject, from, to), context.mode())?
        }
    };
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn render(list: &List) -> String {
    if list.rules.is_empty() {
        return "no rules; `wg-friend exit rule add SUBJECT DESTINATION WAY` makes one\n".into();
    }
    table(&list.rules)
}

/// Lists rules, a row each.
pub(super) fn table(rules: &[RuleView]) -> String {
    let mut table = Table::new(&["FOR", "#", "TO", "PROTOCOL", "LEAVES BY"]);
    for rule in rules {
        table.row([
            Cell::new(&rule.holder, style::STRONG),
            rule.place.to_string().into(),
            destinations(&rule.destinations).into(),
            flow(rule).into(),
            way(rule),
        ]);
    }
    table.render()
}

/// So many prefixes are told before the rest is counted.
const PREFIXES_SHOWN: usize = 3;

fn destinations(prefixes: &[Cidr]) -> String {
    if prefixes == [Cidr::ALL4, Cidr::ALL6] {
        return "internet".into();
    }
    let told: Vec<String> = prefixes.iter().take(PREFIXES_SHOWN).map(Cidr::to_string).collect();
    match prefixes.len().checked_sub(PREFIXES_SHOWN) {
        None | Some(0) => told.join(", "),
        Some(more) => format!("{} and {more} more", told.join(", ")),
    }
}

fn flow(rule: &RuleView) -> String {
    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    format!("{} {}", rule.protocol, ports.join(",")).trim_end().to_owned()
}

fn way(rule: &RuleView) -> Cell {
    let by = rule.by.as_ref().map_or_else(String::new, ToString::to_string);
    match (rule.action, &rule.now) {
        (Does::Direct, _) => Cell::new("its server", style::GOOD),
        (Does::Block, _) => Cell::new("nothing: it is blocked", style::WARN),
        (_, None) => Cell::new(format!("nothing: {by} can't be used"), style::BAD),
        (Does::Group, Some(now)) => Cell::new(format!("{by}, now {now}"), style::GOOD),
        (Does::Exit, Some(_)) => Cell::new(by, style::GOOD),
    }
}
