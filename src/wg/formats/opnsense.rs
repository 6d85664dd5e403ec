//! OPNsense: calls of its API, as a script that reads what to set from a file beside it.
//!
//! The API's key and secret come from the environment or a file, WireGuard's keys from the file; none of them is ever an
//! argument of a command, where others on the machine could see it.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{EndpointHost, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::feature::describe::is_address;
use super::text::{Text, joined, one_line, slugs};
use super::{Feature, OutFile, Subject, routes};

const SCRIPT: &str = include_str!("../../../templates/export/opnsense.sh");

/// What the script sets: bodies of calls, as they are.
#[derive(Serialize)]
struct Data {
    server: Server,
    clients: Vec<Client>,
}

/// The fields of `wireguard/server/add_server`; the script fills in `peers` with the clients' identities.
#[derive(Serialize)]
struct Server {
    enabled: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pubkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    privkey: Option<Zeroizing<String>>,
    port: String,
    mtu: String,
    dns: String,
    tunneladdress: String,
    disableroutes: &'static str,
}

/// The fields of `wireguard/client/add_client`.
#[derive(Serialize)]
struct Client {
    enabled: &'static str,
    name: String,
    pubkey: String,
    psk: Zeroizing<String>,
    tunneladdress: String,
    serveraddress: String,
    serverport: String,
    keepalive: String,
}

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "put them into an rc.syshook, or into rules of its firewall");
    check.no_table(
        tunnel,
        |table| *table == Table::Off,
        "routes go into the main table or nowhere: set up a gateway and rules with it",
    );
    check.no_fwmark(tunnel, "the firewall can't mark its own packets so");
    check.no_save_config(tunnel);
    check
        .no_search_domains(tunnel, "an instance takes addresses of servers only: set the domain for the whole machine");
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    check.no_default_route(tunnel, "assign the interface, make a gateway on it and rules that use the gateway");
    let name = &subject.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        check.refuses(
            format!("the name `{name}`"),
            "an instance's name has at most 64 letters, digits and `._-`: give another with `--name`",
        );
    }
    let data = data(subject, tunnel);
    let mut text = Text::new();
    serde_json::to_writer_pretty(&mut text, &data).expect("strings and lists serialise into memory");
    text.line("");
    let files = vec![
        script(format!("{name}-opnsense.sh"), SCRIPT),
        OutFile {
            name: format!("{name}-opnsense.json"),
            content: text.finish(),
            secret: true,
            place: "beside the script".to_owned(),
            mode: 0o600,
            owner: "",
        },
    ];
    let notes = vec![
        format!("`OPNSENSE_URL=https://firewall.example OPNSENSE_SECRET_FILE=apikey.txt sh {name}-opnsense.sh`, with curl and jq; the file is the one that OPNsense gave you with the API key"),
        "it makes what isn't there by name and changes what is; then assign the interface to have rules for it, and let its port in on WAN".to_owned(),
    ];
    (files, notes)
}

/// A script without secrets, which anyone may read before running it.
pub(super) fn script(name: String, text: &str) -> OutFile {
    let content = Zeroizing::new(text.to_owned());
    OutFile {
        name,
        content,
        secret: false,
        place: "any machine that reaches the firewall".to_owned(),
        mode: 0o700,
        owner: "",
    }
}

fn data(subject: &Subject, tunnel: &Tunnel) -> Data {
    let instance = subject
        .name
        .strip_prefix("wg")
        .filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let servers = tunnel.dns.iter().filter(|entry| is_address(entry));
    let without = |feature| subject.without.contains(&feature);
    let no_routes = tunnel.table == Table::Off
        || without(Feature::Routes)
        || (routes::has_default(tunnel) && without(Feature::DefaultRoute));
    let server = Server {
        enabled: "1",
        name: subject.name.clone(),
        instance: instance.map(str::to_owned),
        pubkey: tunnel.private_key.as_ref().map(|key| key.public().to_string()),
        privkey: tunnel.private_key.as_ref().map(|key| key.expose_base64()),
        port: tunnel.listen_port.map(|port| port.to_string()).unwrap_or_default(),
        mtu: tunnel.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
        dns: joined(servers, ","),
        tunneladdress: joined(&tunnel.addresses, ","),
        disableroutes: if no_routes { "1" } else { "0" },
    };
    let clients = tunnel.peers.iter().zip(slugs(&tunnel.peers)).map(|(peer, word)| {
        let host = peer.endpoint.as_ref().map(|endpoint| match &endpoint.host {
            EndpointHost::Address(address) => address.to_string(),
            EndpointHost::Name(name) => name.clone(),
        });
        let name = peer.name.as_deref().map(one_line).filter(|name| {
            (1..=64).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        });
        Client {
            enabled: "1",
            name: name.unwrap_or(word),
            pubkey: peer.public_key.to_string(),
            psk: peer.preshared.as_ref().map_or_else(Default::default, |key| key.expose_base64()),
            tunneladdress: joined(&peer.allowed_ips, ","),
            serveraddress: host.unwrap_or_default(),
            serverport: peer.endpoint.as_ref().map(|endpoint| endpoint.port.to_string()).unwrap_or_default(),
            keepalive: peer
                .keepalive
                .filter(|seconds| *seconds > 0)
                .map(|seconds| seconds.to_string())
                .unwrap_or_default(),
        }
    });
    Data { server, clients: clients.collect() }
}
