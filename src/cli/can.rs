//! `can`: who reaches whom, and why.

use std::net::IpAddr;

use super::output::{paint, paint_code, style};
use super::{Context, Exit, width};
use crate::fleet::RealFleet;
use crate::model::Protocol;
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::network::can::{self as ops, Cell, Matrix, Place, Question, Report};
use crate::ops::reach::live::{self, LiveReport, Outcome};
use crate::wg::reach::{Answer, End, Hop, Owner, Way, Who};

/// Say who reaches whom, by which way, what decides, and what to do about a no
///
/// Computed from what is compiled for every node: AllowedIPs both ways, routes, firewall rules, address translation.
/// Needs no passphrase and, without --live, talks to no host. The exit code is 0 for yes and 3 for no.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend can alice-phone 192.168.10.5:445\n  wg-friend can alice-phone hub\n  wg-friend can alice-phone internet\n  wg-friend can 192.168.10.5 alice-phone\n  wg-friend can bob '[fd00:10::5]:53' --protocol udp\n  wg-friend can branch 192.168.20.7:22 --live\n  wg-friend can --matrix\n  wg-friend can --who 10.66.0.7"
)]
pub(super) struct Args {
    /// Who asks: a node, or the address of a host in a LAN
    #[arg(value_name = "FROM", required_unless_present_any = ["matrix", "who"])]
    from: Option<String>,
    /// Who is asked: a node, an address or `internet`; a port after a colon
    #[arg(value_name = "TO[:PORT]", required_unless_present_any = ["matrix", "who"])]
    to: Option<String>,
    /// tcp, udp or icmp [default: tcp with a port, a ping without]
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// Ask as a host behind FROM, or from another of its addresses
    #[arg(long, value_name = "ADDRESS")]
    from_address: Option<IpAddr>,
    /// As if the owner of every remote had asked for everything in his own file: what is enforced
    #[arg(long)]
    edited: bool,
    /// Try it on the hosts too, and find where it ends when the two disagree
    #[arg(long, conflicts_with_all = ["matrix", "who", "edited"])]
    live: bool,
    /// Show who reaches whom, which LAN, and the internet
    #[arg(long, conflicts_with_all = ["from", "to", "who", "protocol", "from_address"])]
    matrix: bool,
    /// Show who gets this address: the longest AllowedIP that holds it
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["from", "to", "edited", "protocol", "from_address"])]
    who: Option<IpAddr>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let topology = context.open()?.topology()?;
    let now = Some(context.clock.now());
    if let Some(address) = args.who {
        context.out.show(&ops::who(&topology, address)?, render_who)?;
        return Ok(Exit::Done);
    }
    if args.matrix {
        context.out.show(&ops::matrix(&topology, args.edited, now)?, render_matrix)?;
        return Ok(Exit::Done);
    }
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        return Err(Error::MissingAnswer { what: "who asks and who is asked", flag: "FROM TO" });
    };
    let question =
        Question { from, from_address: args.from_address, to, protocol: args.protocol, edited: args.edited, at: now };
    if args.live {
        let report = live::prove(&topology, &RealFleet::new()?, &question, context.settings.parallel)?;
        context.out.show(&report, |report| format!("{}{}", render(&report.model), render_live(report)))?;
        let asked = report.tries.iter().any(|tried| tried.outcome != Outcome::NotTried);
        return Ok(match (report.reaches, asked) {
            (_, false) => Exit::SomeHosts,
            (true, true) => Exit::Done,
            (false, true) => Exit::Differences,
        });
    }
    let report = ops::can(&topology, &question)?;
    context.out.show(&report, render)?;
    Ok(if report.reaches { Exit::Done } else { Exit::Differences })
}

fn render(report: &Report) -> String {
    report.answers.iter().map(answer).collect::<Vec<_>>().join("\n")
}

fn answer(answer: &Answer) -> String {
    let verdict = if answer.reaches { paint(style::GOOD.bold(), "yes") } else { paint(style::BAD.bold(), "no") };
    let mut text = format!("{verdict}  {} → {}, {}\n", end(&answer.from), end(&answer.to), answer.flow);
    let mut line = |label: &str, what: &str| {
        let label = format!("  {}  ", paint(style::DIM, format!("{label:<7}")));
        text.push_str(&width::hang(&format!("{label}{}", paint_code(what)), "           "));
        text.push('\n');
    };
    for (label, hops) in [("there", &answer.out), ("back", &answer.back)] {
        for (at, hop) in hops.iter().enumerate() {
            line(if at == 0 { label } else { "" }, &step(hop));
        }
    }
    line("because", &answer.decided_by.text);
    for (at, provided) in answer.provided.iter().enumerate() {
        line(if at == 0 { "if" } else { "and" }, provided);
    }
    for (at, remedy) in answer.remedies.iter().enumerate() {
        line(if at == 0 { "do" } else { "or" }, remedy);
    }
    text
}

fn end(end: &End) -> String {
    let address = end.address.map(|address| address.to_string());
    match (&end.node, address, end.lan) {
        (Some(node), Some(address), None) => format!("{node} ({address})"),
        (Some(node), Some(address), Some(lan)) => format!("{address} in LAN {lan} of {node}"),
        (Some(node), None, _) => node.to_string(),
        (None, address, _) => address.unwrap_or_default(),
    }
}

fn step(hop: &Hop) -> String {
    let by = hop.interface.as_ref().map(|name| format!(" · {name}")).unwrap_or_default();
    let prefix = |prefix: Option<crate::model::Cidr>| prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
    let own = if hop.translated { ", as the node's own address (NAT)" } else { "" };
    match (hop.way, &hop.peer) {
        (Way::Tunnel, Some(peer)) => format!(
            "{}{by} → {peer}  AllowedIPs {}, accepted by {}",
            hop.node,
            prefix(hop.allowed_ip),
            prefix(hop.accepted_by)
        ),
        (Way::Lan, _) => format!("{}{by} ↔ LAN {}{own}", hop.node, prefix(hop.lan)),
        (Way::Internet, _) => format!("{}{by} ↔ internet{own}", hop.node),
        _ => format!("{} → its own connection, past the network", hop.node),
    }
}

fn render_live(report: &LiveReport) -> String {
    let mut text = String::new();
    for tried in &report.tries {
        let (word, look) = match tried.outcome {
            Outcome::Answered => ("answered", style::GOOD),
            Outcome::Refused => ("refused", style::GOOD),
            Outcome::Silent => ("silent", style::BAD),
            Outcome::NotSent => ("not sent", style::BAD),
            Outcome::NotTried => ("not tried", style::WARN),
        };
        text.push_str(&format!("\n{}  {}\n", paint(look.bold(), word), paint_code(&tried.text)));
        for seen in &tried.seen {
            text.push_str(&width::hang(&format!("  {}", paint_code(seen)), "    "));
            text.push('\n');
        }
    }
    let look = if report.agrees { style::GOOD } else { style::BAD };
    text.push_str(&width::hang(&paint(look, &report.conclusion), "  "));
    text.push('\n');
    text
}

fn render_who(who: &Who) -> String {
    let owner = match &who.owner {
        Owner::Node { node, enabled } => format!("is {node}{}", disabled(*enabled)),
        Owner::Lan { node, lan, enabled } => format!("is in LAN {lan} of {node}{}", disabled(*enabled)),
        Owner::Free { prefix } => format!("is in the network {prefix}, and nobody has it"),
        Owner::Internet => "is an address of the internet".to_owned(),
        Owner::Unknown => "is in no prefix that the model knows".to_owned(),
    };
    let mut text = format!("{} {owner}\n\n", paint(style::STRONG, who.address));
    let mut table = super::output::Table::new(&["SENT BY", "INTERFACE", "TO", "BECAUSE OF", "PASSED OVER"]);
    for node in who.nodes.iter().filter(|node| node.role != crate::model::Role::Remote || who.nodes.len() <= ALL_SHOWN)
    {
        let elsewhere = node.elsewhere.map(|word| match word {
            "itself" => "itself",
            "lan" => "its own LAN",
            _ => "its own connection",
        });
        let to = match (&node.peer, elsewhere) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(word)) => word.to_owned(),
            (None, None) => "nobody".to_owned(),
        };
        let over: Vec<String> = node.passed_over.iter().map(|(peer, prefix)| format!("{peer} {prefix}")).collect();
        table.row([
            node.node.to_string().into(),
            node.interface.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            to.into(),
            node.allowed_ip.map(|prefix| prefix.to_string()).unwrap_or_default().into(),
            over.join(", ").into(),
        ]);
    }
    text.push_str(&table.render());
    text
}

/// In larger networks remotes, which mostly have just one peer, are left to `--json`.
const ALL_SHOWN: usize = 24;

fn disabled(enabled: bool) -> &'static str {
    if enabled { "" } else { ", which is disabled" }
}

fn render_matrix(matrix: &Matrix) -> String {
    let names: Vec<String> = matrix.places.iter().map(place).collect();
    let digits = names.len().to_string().len();
    let widest =
        names.iter().map(|name| unicode_width::UnicodeWidthStr::width(name.as_str())).max().unwrap_or_default();
    let mut text = " ".repeat(digits + 2 + widest + 1);
    for number in 1..=names.len() {
        text.push_str(&paint(style::DIM, format!(" {number:>digits$}")));
    }
    text.push('\n');
    for (at, name) in names.iter().enumerate() {
        let blanks = " ".repeat(widest - unicode_width::UnicodeWidthStr::width(name.as_str()));
        text.push_str(&format!("{}  {name}{blanks} ", paint(style::DIM, format!("{:>digits$}", at + 1))));
        for cell in matrix.cells.get(at).into_iter().flatten() {
            let (sign, look) = sign(*cell);
            text.push_str(&format!(" {:>1$}{2}", "", digits - 1, paint(look, sign)));
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    let legend =
        "● reaches · ◐ by some protocols or in one family · ○ by its own connection · - not · = the same place";
    text.push_str(&format!("\n{}\n", paint(style::DIM, legend)));
    text
}

fn sign(cell: Cell) -> (&'static str, anstyle::Style) {
    match cell {
        Cell::Yes => ("●", style::GOOD),
        Cell::Part => ("◐", style::WARN),
        Cell::Past => ("○", style::DIM),
        Cell::No => ("-", style::DIM),
        Cell::Same => ("=", style::DIM),
    }
}

fn place(place: &Place) -> String {
    match (&place.node, place.lan, place.alike.len()) {
        (None, ..) => "internet".to_owned(),
        (Some(node), Some(lan), _) => format!("{lan} ({node})"),
        (Some(node), None, 0) => node.to_string(),
        (Some(node), None, more) => format!("{node} and {more} alike"),
    }
}
