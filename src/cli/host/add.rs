//! `host add`: making a machine known.

use super::show;
use crate::cli::{Context, Exit};
use crate::model::{Become, Host, HostAddress, Name};
use crate::ops::Error;
use crate::ops::host as ops;

/// Add a machine that is reached over SSH, or this one as `local`
///
/// Your ssh_config, agent, keys and known_hosts apply.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend host add hub root@vpn.example.com\n  wg-friend host add office me@192.0.2.4:2222 --jump bastion --become sudo\n  wg-friend host add here local\n\nThen: wg-friend set NODE host=hub"
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
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let Args { name, mut address, jump, identity, becoming } = args;
    options(&mut address, jump, identity)?;
    let mut store = context.store()?;
    let host = Host::new(name, address, becoming);
    show(&ops::add(&mut store, &context.clock, &context.actor(), host, context.mode())?, &context.out)?;
    Ok(Exit::Done)
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
