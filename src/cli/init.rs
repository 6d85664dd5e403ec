//! `init`: a new network, by questions or by options.

use ipnet::{Ipv4Net, Ipv6Net};

use super::context::new_passphrase;
use super::network::Inherited;
use super::output::{Fields, paint, paint_code, style};
use super::{Context, Exit, prompt, vault};
use crate::db::Passphrase;
use crate::model::{Endpoint, InterfaceName, Name, Network, Origin, Port, Role};
use crate::ops::Error;
use crate::ops::network::add::NewNodes;
use crate::ops::network::defaults::{cidr4, cidr6};
use crate::ops::network::init::{self, DEFAULT_CIDR, Made, Protection, Request};
use crate::ops::network::setting::{Change, dns, parse};
use crate::settings::KdfProfile;

/// Make a new network with an encrypted database
///
/// On a terminal, asks for what the options don't say. Prints a recovery key once. With --no-encryption there is neither
/// passphrase nor recovery key; `wg-friend vault encrypt` makes up for it later.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend init\n  wg-friend init --name home --cidr 10.66.0.0/24 --server hub --endpoint vpn.example.com\n  wg-friend init --name lab --no-ipv6 --passphrase-file /run/secrets/wg-friend\n\nWG_FRIEND_KDF_LOG_N sets scrypt's cost directly (base-2 logarithm, 10 to 20); it is meant for tests and very small machines."
)]
pub(super) struct Args {
    /// What to call the network
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Its IPv4 prefix, or none [default: 10.66.0.0/24]
    #[arg(long, value_name = "CIDR")]
    cidr: Option<String>,
    /// Its IPv6 prefix [default: a /64 of a random unique local /48]
    #[arg(long, value_name = "CIDR", conflicts_with = "no_ipv6")]
    cidr6: Option<String>,
    /// No IPv6 in the network
    #[arg(long)]
    no_ipv6: bool,
    /// UDP port of the server
    #[arg(long, value_name = "PORT", default_value = "51820")]
    port: Port,
    /// Name of the WireGuard interface
    #[arg(long, value_name = "NAME", default_value = "wg0")]
    interface: InterfaceName,
    #[command(flatten)]
    inherited: Inherited,
    /// Add the server at once, with this name
    #[arg(long, value_name = "NAME")]
    server: Option<Name>,
    /// Where the others dial the server
    #[arg(long, value_name = "HOST[:PORT]", requires = "server")]
    endpoint: Option<String>,
    /// How costly trying a passphrase is: standard (1 GiB of memory) or light (64 MiB) [default: of the settings]
    #[arg(long, value_name = "PROFILE")]
    kdf: Option<KdfProfile>,
    /// Don't encrypt: whoever has the file has every private key, and nobody is asked for a passphrase
    #[arg(long, conflicts_with = "kdf")]
    no_encryption: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if context.database.exists() {
        return Err(Error::DatabaseExists(context.database.clone()));
    }
    let (no_encryption, kdf) = (args.no_encryption, args.kdf);
    refuse_passphrase(no_encryption, context)?;
    vault::cost(kdf.unwrap_or(context.settings.kdf))?; // before the questions
    let asks = prompt::is_possible() && !context.yes && args.name.is_none();
    let (network, server) = if asks { wizard(args, context)? } else { from_options(args)? };
    if context.dry_run {
        let document = serde_json::json!({ "database": context.database, "network": network, "dry_run": true });
        context.out.show(&document, |_| plan(&network, server.as_ref()))?;
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
        return Ok(Exit::Done);
    }
    let protection = protection(no_encryption, kdf, context)?;
    if asks {
        context.out.note(plan(&network, server.as_ref()).trim_end());
        if !prompt::confirm("Make this network?", true)? {
            return Err(Error::Cancelled);
        }
    }
    let request = Request { network, server, protection };
    let (made, recovery) = init::init(&context.database, request, &context.actor(), &context.clock)?;
    let recovery = recovery.map(|key| key.expose());
    if context.out.is_json() {
        let key = recovery.as_deref().map(String::as_str);
        let document = serde_json::json!({ "database": made.database, "network": made.network, "server": made.server, "encrypted": made.encrypted, "recovery_key": key });
        context.out.show(&document, |_| String::new())?;
    } else {
        let report = report(&made);
        if let Some(recovery) = &recovery {
            context.out.note(report);
            context.out.text(&vault::recovery(recovery))?;
        } else {
            context.out.note(report.trim_end());
        }
        context.out.note(next(&made).trim_end());
    }
    if !made.encrypted {
        vault::warn_unencrypted(context);
    }
    Ok(Exit::Done)
}

fn from_options(args: Args) -> Result<(Network, Option<NewNodes>), Error> {
    let name = args.name.ok_or(Error::MissingAnswer { what: "a name for the network", flag: "--name" })?;
    let four = match args.cidr.as_deref() {
        Some("none") => None,
        Some(text) => Some(cidr4("--cidr", text)?),
        None => Some(DEFAULT_CIDR),
    };
    let six = match args.cidr6.as_deref() {
        _ if args.no_ipv6 => None,
        Some("none") => None,
        Some(text) => Some(cidr6("--cidr6", text)?),
        None => Some(init::random_prefix6()?),
    };
    let network = Network {
        name,
        interface: args.interface,
        cidr4: four,
        cidr6: six,
        port: args.port,
        dns: args.inherited.dns()?,
        mtu: args.inherited.mtu,
        keepalive: args.inherited.keepalive,
        psk: args.inherited.psk,
        stable_clients: Vec::new(),
        exit: crate::model::Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    };
    let server = args.server.map(|name| server(name, args.endpoint.as_deref(), Origin::Manual)).transpose()?;
    Ok((network, server))
}

fn server(name: Name, endpoint: Option<&str>, origin: Origin) -> Result<NewNodes, Error> {
    let mut request = NewNodes::one(Role::Server, name, origin);
    if let Some(endpoint) = endpoint {
        request.settings.extend(parse("--endpoint", "endpoint", Change::Set, endpoint)?);
    }
    Ok(request)
}

/// Asks for everything that makes a network.
fn wizard(args: Args, context: &Context) -> Result<(Network, Option<NewNodes>), Error> {
    context.out.note(format!("A new network, in {}\n", context.database.display()));
    fn reads<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
        text.parse::<T>().map(|_| ()).map_err(|e| e.to_string())
    }
    let reason = |error: Error| error.to_string().split_once(": ").map_or_else(String::new, |(_, why)| why.to_owned());
    let name = prompt::text("Name of the network", Some("home"), None, reads::<Name>)?;
    let four = prompt::text(
        "IPv4 prefix",
        Some(args.cidr.as_deref().unwrap_or("10.66.0.0/24")),
        Some("addresses inside the VPN; choose one that no LAN of yours uses; `none` for IPv6 only"),
        move |text| if text == "none" { Ok(()) } else { cidr4("", text).map(|_: Ipv4Net| ()).map_err(reason) },
    )?;
    let random = init::random_prefix6()?.to_string();
    let six = prompt::text(
        "IPv6 prefix",
        Some(args.cidr6.as_deref().unwrap_or(if args.no_ipv6 { "none" } else { &random })),
        Some("a random private one; `none` for IPv4 only"),
        move |text| if text == "none" { Ok(()) } else { cidr6("", text).map(|_: Ipv6Net| ()).map_err(reason) },
    )?;
    let names = prompt::text(
        "DNS servers for clients",
        Some(args.inherited.dns.as_deref().unwrap_or("none")),
        Some("addresses and search domains, separated by commas; `none` leaves theirs alone"),
        move |text| if text == "none" { Ok(()) } else { dns("", text).map(|_| ()).map_err(reason) },
    )?;
    let default = args.server.as_ref().map_or("hub", Name::as_str).to_owned();
    let server_name =
        prompt::text("Name of the server", Some(&default), Some("the machine that the others dial"), reads::<Name>)?;
    let port = args.port;
    let endpoint = prompt::text(
        "Its public address or name",
        args.endpoint.as_deref(),
        Some("such as vpn.example.com or 203.0.113.7; another port than the network's with :PORT"),
        move |text| Endpoint::parse_with_default(text, port).map(|_| ()).map_err(|e| e.to_string()),
    )?;
    let read_name = |text: String| text.parse::<Name>().map_err(Error::from);
    let network = Network {
        name: read_name(name)?,
        interface: args.interface,
        cidr4: if four == "none" { None } else { Some(cidr4("IPv4 prefix", &four)?) },
        cidr6: if six == "none" { None } else { Some(cidr6("IPv6 prefix", &six)?) },
        port: args.port,
        dns: if names == "none" { Vec::new() } else { dns("DNS", &names)? },
        mtu: args.inherited.mtu,
        keepalive: args.inherited.keepalive,
        psk: args.inherited.psk,
        stable_clients: Vec::new(),
        exit: crate::model::Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    };
    let server = server(read_name(server_name)?, Some(&endpoint), Origin::Wizard)?;
    Ok((network, Some(server)))
}

/// Refuses a passphrase for a database that isn't to have one: one of the two is a mistake.
pub(super) fn refuse_passphrase(no_encryption: bool, context: &Context) -> Result<(), Error> {
    if no_encryption && context.with_sources(|sources| sources.at_hand())?.is_some() {
        return Err(Error::Value {
            what: "--no-encryption".into(),
            reason: "a passphrase is given, and without encryption there is none".into(),
            hint: Some(
                "leave out --no-encryption to encrypt; else --passphrase-file, WG_FRIEND_PASSPHRASE and the credential"
                    .into(),
            ),
        });
    }
    Ok(())
}

/// Returns how the secrets of a new database are kept; asks for the passphrase, if there is to be one.
pub(super) fn protection(no_encryption: bool, kdf: Option<KdfProfile>, context: &Context) -> Result<Protection, Error> {
    if no_encryption {
        return Ok(Protection::None);
    }
    let cost = vault::cost(kdf.unwrap_or(context.settings.kdf))?;
    Ok(Protection::Passphrase { passphrase: passphrase(context)?, cost })
}

/// Returns the passphrase of what is about to be encrypted: from where passphrases come from, or typed twice.
pub(super) fn passphrase(context: &Context) -> Result<Passphrase, Error> {
    let given = context.with_sources(|sources| sources.at_hand())?;
    let passphrase = match given {
        Some(passphrase) => passphrase,
        None if prompt::is_possible() => new_passphrase("Passphrase for its secrets, at least 8 characters: ")?,
        None => {
            return Err(Error::MissingAnswer {
                what: "a passphrase",
                flag: "--passphrase-file FILE, or in WG_FRIEND_PASSPHRASE",
            });
        }
    };
    passphrase.check_new()?;
    Ok(passphrase)
}

fn plan(network: &Network, server: Option<&NewNodes>) -> String {
    let prefixes: Vec<String> = network.prefixes().map(|p| p.to_string()).collect();
    let mut fields = Fields::new();
    fields.add("network", &network.name).add("prefixes", prefixes.join("\n")).add("port", network.port);
    fields.add("DNS", network.dns.join(", "));
    fields.add("server", server.map(|s| s.names[0].to_string()).unwrap_or_default());
    format!("\n{}\n", fields.render())
}

fn report(made: &Made) -> String {
    let prefixes: Vec<String> = made.network.prefixes().map(|p| p.to_string()).collect();
    let mut text = format!(
        "{} made network {}  {}\n",
        paint(style::GOOD, "+"),
        paint(style::STRONG, &made.network.name),
        prefixes.join("  ")
    );
    if let Some(server) = &made.server {
        let name = paint(style::STRONG, &server.name);
        text.push_str(&format!("{} added server {name}  {}\n", paint(style::GOOD, "+"), server.addresses().join("  ")));
    }
    text.push_str(&format!("  {} {}\n", paint(style::DIM, "database:"), made.database.display()));
    text
}

fn next(made: &Made) -> String {
    let next = match &made.server {
        Some(server) => format!(
            "`wg-friend add remote NAME` for a device, `wg-friend set {} host=HOST` to deploy over SSH",
            server.name
        ),
        None => "`wg-friend add server NAME --endpoint HOST`".into(),
    };
    format!("{} {}", paint(style::DIM, "next:"), paint_code(&next))
}
