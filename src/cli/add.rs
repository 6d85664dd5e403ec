//! `add`: a new server, router, exit or remote.

use clap::Subcommand;

use super::{Context, Exit};
use crate::cli::change;
use crate::model::{Custody, HostAddress, Name, Origin, PublicKey, Role};
use crate::ops::Error;
use crate::ops::network::add::{self, NewNodes};
use crate::ops::network::setting::{Change, Setting, parse};

/// Add a server, router, exit or remote
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    role: RoleArgs,
}

#[derive(Debug, Subcommand)]
enum RoleArgs {
    /// The coordination server: the others dial it, and it enforces who may reach what
    #[command(
        alias = "coordination-server",
        after_help = "Examples:\n  wg-friend add server hub --endpoint vpn.example.com --ssh root@vpn.example.com\n  wg-friend add server hub --endpoint [2001:db8::7]:51820 --host local"
    )]
    Server {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        behind: Behind,
    },
    /// A subnet router: advertises the networks behind it
    #[command(
        alias = "subnet-router",
        after_help = "Examples:\n  wg-friend add router office --lan 192.168.10.0/24='office LAN' --ssh me@192.0.2.4:2222\n  wg-friend add router barn --lan 10.20.0.0/24 --lan 10.21.0.0/24 --lan-interface enp3s0 --nat"
    )]
    Router {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        behind: Behind,
    },
    /// An exit node: carries internet traffic of remotes out of its WAN interface
    #[command(
        alias = "exit-node",
        after_help = "Examples:\n  wg-friend add exit exit-de --endpoint 203.0.113.9 --ssh root@203.0.113.9\n  wg-friend set alice-phone exit=exit-de"
    )]
    Exit {
        #[command(flatten)]
        common: Common,
        /// Its interface towards the internet [default: eth0]
        #[arg(long, value_name = "NAME")]
        wan_interface: Option<String>,
    },
    /// Client devices: phones, laptops, machines without a person in front of them
    #[command(
        aliases = ["peer", "client"],
        after_help = "Examples:\n  wg-friend add remote alice-phone --device mobile\n  wg-friend add remote bob carol dave --access vpn-only\n  wg-friend add remote tv --exit exit-de --access exit-only\n  wg-friend add remote guest --access custom --grant '192.168.10.50 tcp 443'"
    )]
    Remote {
        #[command(flatten)]
        common: Common,
        /// What it may reach: full, vpn-only, lan-only, custom or exit-only [default: full]
        #[arg(long, value_name = "LEVEL")]
        access: Option<String>,
        /// A LAN that access lan-only permits; may be repeated
        #[arg(long, value_name = "CIDR")]
        allow_lan: Vec<String>,
        /// What access custom permits: 'DESTINATION [PROTOCOL [PORTS]]'; may be repeated
        #[arg(long, value_name = "GRANT")]
        grant: Vec<String>,
        /// The exit that carries its internet traffic
        #[arg(long, value_name = "NAME")]
        exit: Option<String>,
        /// What it is: mobile, laptop or server
        #[arg(long, value_name = "TYPE")]
        device: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// What to call it; several names add several nodes that are alike
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Name>,
    /// Where others dial it: host, host:port or [IPv6]:port
    #[arg(long, value_name = "HOST[:PORT]")]
    endpoint: Option<String>,
    /// UDP port it listens on [default: the endpoint's or the network's, if it has an endpoint]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Its address in the network instead of a chosen one; once for IPv4, once for IPv6
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Name of its WireGuard interface [default: the network's]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// DNS servers and search domains for its config, separated by commas
    #[arg(long, value_name = "LIST")]
    dns: Option<String>,
    /// Bytes per packet
    #[arg(long, value_name = "BYTES")]
    mtu: Option<String>,
    /// Seconds between keepalives; 0 for none
    #[arg(long, value_name = "SECONDS")]
    keepalive: Option<String>,
    /// The server that it belongs to, where there are several [default: the first]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The machine it runs on, one of `wg-friend host list`
    #[arg(long, value_name = "HOST", conflicts_with = "ssh")]
    host: Option<String>,
    /// The machine it runs on, new: is added as a host of the same name
    #[arg(long, value_name = "[USER@]HOST[:PORT]")]
    ssh: Option<HostAddress>,
    /// Its public key, when the device made its key itself and keeps it
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Who keeps its private key: held (sealed here) or shown-once (printed now, then forgotten)
    #[arg(long, value_name = "WHO", conflicts_with = "public_key")]
    custody: Option<Custody>,
    /// Your notes
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Add it switched off: it appears in no config until `wg-friend enable`
    #[arg(long)]
    disabled: bool,
}

#[derive(Debug, clap::Args)]
struct Behind {
    /// A network behind it, with what it is; may be repeated
    #[arg(long, value_name = "CIDR[=TEXT]")]
    lan: Vec<String>,
    /// Its interface towards these networks [default: eth0]
    #[arg(long, value_name = "NAME")]
    lan_interface: Option<String>,
    /// Masquerade traffic into these networks, when their own router has no route back
    #[arg(long)]
    nat: bool,
}

/// Collects options as settings.
#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn add<'a>(&mut self, label: &str, values: impl IntoIterator<Item = &'a String>) -> Result<(), Error> {
        let key = label.trim_start_matches("--");
        let is_list = matches!(key, "lan" | "allow-lan" | "grant");
        let change = if is_list { Change::Add } else { Change::Set };
        for value in values {
            self.0.extend(parse(label, key, change, value)?);
        }
        Ok(())
    }

    fn common(&mut self, common: &Common) -> Result<(), Error> {
        self.add("--interface", &common.interface)?;
        self.add("--port", &common.port)?;
        self.add("--endpoint", &common.endpoint)?;
        self.add("--dns", &common.dns)?;
        self.add("--mtu", &common.mtu)?;
        self.add("--keepalive", &common.keepalive)?;
        self.add("--server", &common.server)?;
        self.add("--host", &common.host)?;
        self.add("--notes", &common.notes)?;
        if !common.address.is_empty() {
            self.add("--address", [&common.address.join(",")])?;
        }
        Ok(())
    }

    fn behind(&mut self, behind: &Behind) -> Result<(), Error> {
        self.add("--lan", &behind.lan)?;
        self.add("--lan-interface", &behind.lan_interface)?;
        if behind.nat {
            self.0.push(Setting::Nat(true));
        }
        Ok(())
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let mut settings = Settings::default();
    let (role, common) = match args.role {
        RoleArgs::Server { common, behind } => {
            settings.behind(&behind)?;
            (Role::Server, common)
        }
        RoleArgs::Router { common, behind } => {
            settings.behind(&behind)?;
            (Role::Router, common)
        }
        RoleArgs::Exit { common, wan_interface } => {
            settings.add("--wan-interface", &wan_interface)?;
            (Role::Exit, common)
        }
        RoleArgs::Remote { common, access, allow_lan, grant, exit, device } => {
            settings.add("--access", &access)?;
            settings.add("--allow-lan", &allow_lan)?;
            settings.add("--grant", &grant)?;
            settings.add("--exit", &exit)?;
            settings.add("--device", &device)?;
            (Role::Remote, common)
        }
    };
    settings.common(&common)?;
    let public_key: Option<PublicKey> = common
        .public_key
        .as_deref()
        .map(|text| text.trim().parse().map_err(|e| Error::value("--public-key", e)))
        .transpose()?;
    let request = NewNodes {
        role,
        names: common.names,
        settings: settings.0,
        public_key,
        custody: common.custody.unwrap_or(Custody::Held),
        ssh: common.ssh,
        enabled: !common.disabled,
        origin: Origin::Manual,
    };
    let mut store = context.store()?;
    let outcome = add::add(&mut store, &context.clock, &context.actor(), request, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
