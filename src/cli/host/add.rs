//! `host add`: making a machine known.

use std::path::PathBuf;

use super::show;
use crate::cli::output::{paint, paint_code, style};
use crate::cli::{Context, Exit, prompt};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::model::{Become, Host, HostAddress, Name};
use crate::ops::Error;
use crate::ops::host::{self as ops, KeyStep};

/// Add a machine that is reached over SSH, or this one as `local`
///
/// Your ssh_config, agent, keys and known_hosts apply.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend host add hub root@vpn.example.com\n  wg-friend host add office me@192.0.2.4:2222 --jump bastion --become sudo\n  wg-friend host add shop me@shop.example.com --install-key\n  wg-friend host add here local\n\nThen: wg-friend set NODE host=hub"
)]
pub(super) struct Args {
    /// What to call it
    name: Name,
    /// [user@]host[:port], an alias of ssh_config, or `local`
    address: HostAddress,
    /// Jump hosts, as `ssh -J` takes them
    #[arg(long, value_name = "HOSTS")]
    jump: Option<String>,
    /// Private key file
    #[arg(long, value_name = "FILE")]
    identity: Option<String>,
    /// How commands become root there: auto, root or sudo
    #[arg(long = "become", value_name = "HOW", default_value = "auto")]
    becoming: Become,
    /// Find or make an SSH key, let it in there, try it, and say what the machine lacks
    ///
    /// ssh itself asks for the password, and shows the key of an unknown machine for you to compare. The key is --identity, or
    /// else ~/.ssh/id_ed25519. Without a terminal the login has to work already, by an agent's key or another.
    #[arg(long)]
    install_key: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let Args { name, mut address, jump, identity, becoming, install_key } = args;
    options(&mut address, jump, identity)?;
    let mut store = context.store()?;
    let host = Host::new(name, address, becoming);
    if install_key {
        return with_key(&mut store, host, context);
    }
    show(&ops::add(&mut store, &context.clock, &context.actor(), host, context.mode())?, &context.out)?;
    Ok(Exit::Done)
}

fn with_key(store: &mut Store, host: Host, context: &Context) -> Result<Exit, Error> {
    context.no_dry_run("host add --install-key")?;
    let actor = context.actor();
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let request = ops::KeyRequest {
        home: std::env::var_os("HOME").map(PathBuf::from),
        name: format!("{}@{}", actor.operator, here.trim()),
        ask: prompt::is_possible(),
        without_passphrase: context.yes,
    };
    let fleet = RealFleet::new()?;
    let good = paint(style::GOOD, "✓");
    let address = host.address.to_string();
    let mut told = |step: &KeyStep| {
        if context.out.is_json() {
            return;
        }
        let line = match step {
            KeyStep::Key { file, fingerprint, made } => {
                let word = if *made { "made the key" } else { "found the key" };
                format!("{good} {word} {}  {}", file.display(), paint(style::DIM, fingerprint))
            }
            KeyStep::LoggingIn => format!("{} logging in at {address}", paint(style::DIM, "·")),
            KeyStep::LetIn(place) if place.added => format!("{good} let it in: {}", place.file),
            KeyStep::LetIn(place) => format!("{good} it was in {} already", place.file),
            KeyStep::Works => format!("{good} the login works with keys alone"),
        };
        context.out.note(line);
    };
    let added = ops::add_with_key(store, &fleet, &context.clock, &actor, host, &request, &mut told)?;
    context.out.show(&added, |added| {
        let host = &added.outcome.host.host;
        let mut text = super::check::verdict(&added.check, host.name.as_str().len(), true);
        let next = match added.check.ready {
            true => format!("`wg-friend set NODE host={}`", host.name),
            false => format!("`wg-friend host install {0}`, then `wg-friend set NODE host={0}`", host.name),
        };
        text.push_str(&format!("  {} {}\n", paint(style::DIM, "next:"), paint_code(&next)));
        text
    })?;
    Ok(if added.check.ready { Exit::Done } else { Exit::SomeHosts })
}

fn options(address: &mut HostAddress, jump: Option<String>, identity: Option<String>) -> Result<(), Error> {
    match address {
        HostAddress::Ssh { jump: hops, identity: file, .. } => {
            *hops = jump.map(|text| ops::jump("--jump", &text)).transpose()?;
            *file = identity.map(|text| ops::identity("--identity", &text)).transpose()?;
        }
        HostAddress::Local if jump.is_some() => return Err(Error::value("--jump", "is for hosts over SSH")),
        HostAddress::Local if identity.is_some() => return Err(Error::value("--identity", "is for hosts over SSH")),
        HostAddress::Local => {}
    }
    Ok(())
}
