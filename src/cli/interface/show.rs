//! `interface show`: what an interface is to be, what was deployed, and what the host has.

use crate::cli::output::{Cell, Table, paint, style};
use crate::cli::progress::Line;
use crate::cli::{Context, Exit};
use crate::ops::Error;
use crate::ops::interface::show::{self as ops, HookRow, Listed, Live, Row, View};

/// Show interfaces: what the model says, what was deployed, what the host has
///
/// Without a host, all interfaces of all hosts, as the model has them. The host is asked over SSH. No secret is shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend interface show\n  wg-friend interface show hub\n  wg-friend interface show hub wg0 --no-live"
)]
pub(super) struct Args {
    /// The host, or a node that lives on one [default: all]
    #[arg(value_name = "HOST")]
    host: Option<String>,
    /// The interface [default: all of them]
    #[arg(value_name = "IFACE", requires = "host")]
    interface: Option<String>,
    /// Don't ask the host
    #[arg(long, requires = "host")]
    no_live: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Some(host) = &args.host else {
        let all = ops::list(&context.open()?.topology()?);
        context.out.show(&serde_json::json!({ "interfaces": all }), |_| list(&all))?;
        return Ok(Exit::Done);
    };
    let mut store = context.store()?;
    let fleet = context.fleet(None)?;
    let line = Line::new(context);
    let live = (!args.no_live).then_some(Live { fleet: &fleet, progress: &line });
    let name = args.interface.as_deref();
    let views = ops::show(&mut store, &context.clock, &context.actor(), host, name, live.as_ref())?;
    drop(line);
    context
        .out
        .show(&serde_json::json!({ "interfaces": views }), |_| views.iter().map(view).collect::<Vec<_>>().join("\n"))?;
    let unknown = !args.no_live && views.iter().any(|view| view.not_observed.is_some());
    Ok(if unknown { Exit::SomeHosts } else { Exit::Done })
}

fn list(all: &[Listed]) -> String {
    if all.is_empty() {
        return "no node lives on a host yet\n".into();
    }
    let mut table = Table::new(&["HOST", "INTERFACE", "NODE", "PORT", "ADDRESSES", "RUN", ""]);
    for listed in all {
        table.row([
            Cell::new(&listed.host, style::STRONG),
            (&listed.interface).into(),
            format!("{} ({})", listed.node, listed.role).into(),
            listed.listen_port.map_or_else(|| "any".to_owned(), |port| port.to_string()).into(),
            listed.addresses.join(", ").into(),
            listed.run.into(),
            if listed.adopted { "adopted" } else { "" }.into(),
        ]);
    }
    table.render()
}

fn view(view: &View) -> String {
    let adopted = if view.adopted { ", adopted" } else { "" };
    let mut text = format!(
        "{} {} {}\n",
        paint(style::STRONG, format_args!("{} {}", view.host, view.interface)),
        paint(style::DIM, format_args!("of the {} {}{adopted};", view.role, view.node)),
        paint(style::DIM, format_args!("private key {}", view.custody)),
    );
    if let Some(why) = &view.not_observed {
        text.push_str(&format!("{}\n", paint(style::WARN, format_args!("the host is not shown: {why}"))));
    }
    let mut table = Table::new(&["", "MODEL", "DEPLOYED", "OBSERVED", ""]);
    for row in &view.settings {
        setting(&mut table, row);
    }
    text.push_str(&table.render());
    if !view.hooks.is_empty() {
        let mut table = Table::new(&["HOOK", "MODEL", "DEPLOYED", "OBSERVED", "COMMAND"]);
        for row in &view.hooks {
            hook(&mut table, row);
        }
        text.push_str(&table.render());
    }
    text
}

fn setting(table: &mut Table, row: &Row) {
    let (mark, colour) = match (row.pending, row.drift) {
        (true, true) => ("pending, changed on the host", style::BAD),
        (true, false) => ("pending", style::WARN),
        (false, true) => ("changed on the host", style::BAD),
        (false, false) => ("", style::PLAIN),
    };
    let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    table.row([
        Cell::new(row.setting, style::DIM),
        cell(&row.model).into(),
        cell(&row.deployed).into(),
        Cell::new(cell(&row.observed), if row.drift { style::BAD } else { style::PLAIN }),
        Cell::new(mark, colour),
    ]);
}

fn hook(table: &mut Table, row: &HookRow) {
    let word = |has: Option<bool>| match has {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    };
    let same = [Some(row.model), row.deployed, row.observed].iter().flatten().all(|has| *has);
    let colour = if same { style::PLAIN } else { style::WARN };
    table.row([
        Cell::new(row.phase.as_str(), style::DIM),
        Cell::new(word(Some(row.model)), colour),
        Cell::new(word(row.deployed), colour),
        Cell::new(word(row.observed), colour),
        Cell::new(&row.command, colour),
    ]);
}
