//! `network`: the networks of a database, their address plans and what nodes inherit.

use clap::Subcommand;

use super::output::{Cell, Fields, Table, paint, paint_code, style};
use super::{Context, Exit, change};
use crate::model::{InterfaceName, Mtu, Name, Port, PskPolicy, Topology};
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::networks::{self, Choice, Listed, Outcome, Wanted};
use crate::ops::network::setting::dns;
use crate::ops::network::{defaults as ops, view};

/// Show or change the network's address plan and defaults; add further networks
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show them
    #[command(after_help = "Example:\n  wg-friend network show")]
    Show,
    /// Change them: prefixes, port, DNS, exit and more
    #[command(after_help = keys())]
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE")]
        assignments: Vec<String>,
    },
    /// List the networks of the database
    List,
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// Add another network to the database
///
/// It shares the database's hosts, vault and audit log with the others, and nothing else: their nodes never reach each
/// other. What isn't given gets a value that no other network has, so that one host can carry nodes of both. Commands are
/// told which network they are about with --network or WG_FRIEND_NETWORK.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend network add lab\n  wg-friend network add acme --cidr 192.168.77.0/24 --no-ipv6\n  wg-friend --network acme add server hub --endpoint vpn.acme.example"
)]
struct AddArgs {
    /// What to call the network
    #[arg(value_name = "NAME")]
    name: Name,
    /// Its IPv4 prefix, or none [default: the first free one of 10.66.0.0/24, 10.67.0.0/24 and so on]
    #[arg(long, value_name = "CIDR")]
    cidr: Option<String>,
    /// Its IPv6 prefix [default: a /64 of a random unique local /48]
    #[arg(long, value_name = "CIDR", conflicts_with = "no_ipv6")]
    cidr6: Option<String>,
    /// No IPv6 in the network
    #[arg(long)]
    no_ipv6: bool,
    /// UDP port of its servers [default: the first free one from 51820 on]
    #[arg(long, value_name = "PORT")]
    port: Option<Port>,
    /// Name of the WireGuard interface [default: the first free one of wg0, wg1 and so on]
    #[arg(long, value_name = "NAME")]
    interface: Option<InterfaceName>,
    #[command(flatten)]
    inherited: Inherited,
}

/// What the nodes of a new network inherit from it.
#[derive(Debug, clap::Args)]
pub(super) struct Inherited {
    /// DNS servers and search domains of clients, separated by commas
    #[arg(long, value_name = "LIST")]
    pub(super) dns: Option<String>,
    /// Bytes per packet
    #[arg(long, value_name = "BYTES", default_value = "1420")]
    pub(super) mtu: Mtu,
    /// Seconds between keepalives of nodes that nobody can dial; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub(super) keepalive: u16,
    /// Which links get a preshared key: unique (every link has one of its own) or none
    #[arg(long, value_name = "POLICY", default_value = "unique")]
    pub(super) psk: PskPolicy,
}

impl Inherited {
    /// Reads the list of DNS servers.
    pub(super) fn dns(&self) -> Result<Vec<String>, Error> {
        self.dns.as_ref().map_or(Ok(Vec::new()), |list| dns("--dns", list))
    }
}

/// Remove a network
///
/// While a host runs interfaces of it, it stays: `wg-friend host uninstall HOST --network NAME` first. It doesn't come back:
/// `rollback` works within a network that is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  wg-friend network remove lab --force")]
struct RemoveArgs {
    /// Which network
    #[arg(value_name = "NAME")]
    name: Name,
    /// Remove its nodes with it
    #[arg(long)]
    force: bool,
}

fn keys() -> String {
    let mut text = String::from("Example:\n  wg-friend network set dns=10.66.0.1 keepalive=25\n\nKeys:\n");
    for (key, what) in ops::KEYS {
        text.push_str(&format!("  {key:<16}  {what}\n"));
    }
    text
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Show => {
            let topology = context.open()?.topology()?;
            context.out.show(&view::network(&topology), |_| render(&topology))?;
            Ok(Exit::Done)
        }
        Command::Set { assignments } => set(&assignments, context),
        Command::List => list(context),
        Command::Add(args) => add(args, context),
        Command::Remove(args) => remove(&args, context),
    }
}

pub(super) fn set(assignments: &[String], context: &Context) -> Result<Exit, Error> {
    let settings = ops::parse_all(assignments.iter().map(String::as_str))?;
    let mut store = context.store()?;
    let outcome = ops::set(&mut store, &context.clock, &context.actor(), &settings, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn list(context: &Context) -> Result<Exit, Error> {
    let networks = networks::list(&context.open()?)?;
    context.out.show(&serde_json::json!({ "networks": networks }), |_| table(&networks))?;
    Ok(Exit::Done)
}

fn table(networks: &[Listed]) -> String {
    let mut table = Table::new(&["NAME", "PREFIXES", "INTERFACE", "PORT", "NODES", "HOSTS"]);
    for Listed { network, nodes, hosts, .. } in networks {
        let prefixes: Vec<String> = network.prefixes().map(|prefix| prefix.to_string()).collect();
        let hosts: Vec<&str> = hosts.iter().map(Name::as_str).collect();
        table.row([
            Cell::new(&network.name, style::STRONG),
            prefixes.join(" ").into(),
            network.interface.to_string().into(),
            network.port.into(),
            (*nodes).into(),
            hosts.join(", ").into(),
        ]);
    }
    table.render()
}

fn add(args: AddArgs, context: &Context) -> Result<Exit, Error> {
    let wanted = Wanted {
        cidr4: match args.cidr.as_deref() {
            None => Choice::Free,
            Some("none") => Choice::None,
            Some(text) => Choice::This(ops::cidr4("--cidr", text)?),
        },
        cidr6: match args.cidr6.as_deref() {
            _ if args.no_ipv6 => Choice::None,
            None => Choice::Free,
            Some("none") => Choice::None,
            Some(text) => Choice::This(ops::cidr6("--cidr6", text)?),
        },
        name: args.name,
        interface: args.interface,
        port: args.port,
        dns: args.inherited.dns()?,
        mtu: args.inherited.mtu,
        keepalive: args.inherited.keepalive,
        psk: args.inherited.psk,
    };
    let mut store = context.store()?;
    let outcome = networks::add(&mut store, &context.clock, &context.actor(), wanted, context.mode())?;
    show(&outcome, context)?;
    if outcome.saved {
        let next = format!("`wg-friend --network {} add server NAME --endpoint HOST`", outcome.network.name);
        context.out.note(format!("{} {}", paint(style::DIM, "next:"), paint_code(&next)));
    }
    Ok(Exit::Done)
}

fn remove(args: &RemoveArgs, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let (actor, clock) = (context.actor(), &context.clock);
    if !context.dry_run {
        let outcome = networks::remove(&mut store, clock, &actor, &args.name, args.force, Mode::Preview)?;
        let nodes =
            if outcome.nodes.is_empty() { String::new() } else { format!(" with its {} nodes", outcome.nodes.len()) };
        context.confirm(&format!("Remove the network {}{nodes}? It doesn't come back.", outcome.network.name))?;
    }
    let outcome = networks::remove(&mut store, clock, &actor, &args.name, args.force, context.mode())?;
    show(&outcome, context)?;
    Ok(Exit::Done)
}

fn show(outcome: &Outcome, context: &Context) -> Result<(), Error> {
    context.out.done(outcome, |outcome| {
        let Outcome { action, network, nodes, remarks, .. } = outcome;
        let sign = if *action == "added" { paint(style::GOOD, "+") } else { paint(style::BAD, "-") };
        let prefixes: Vec<String> = network.prefixes().map(|prefix| prefix.to_string()).collect();
        let mut text = format!(
            "{sign} {action} network {}  {}  {} port {}\n",
            paint(style::STRONG, &network.name),
            prefixes.join("  "),
            network.interface,
            network.port
        );
        for node in nodes {
            text.push_str(&format!("{sign} {action} {}\n", paint(style::STRONG, node)));
        }
        for remark in remarks {
            text.push_str(&format!("  {}\n", paint_code(remark)));
        }
        text
    })?;
    if !outcome.saved {
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
    }
    Ok(())
}

fn render(topology: &Topology) -> String {
    let mut fields = Fields::new();
    fields.add("name", Cell::new(&topology.network.name, style::STRONG));
    for (key, value) in ops::values(topology).into_iter().skip(1) {
        fields.add(key, value);
    }
    fields.render()
}
