//! VyOS: `set` commands.

mod read;

use crate::model::{EndpointHost, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::text::{Text, one_line, slugs};
use super::{Feature, OutFile, Subject, routes};

pub(super) use read::{edge, read};

/// What VyOS and EdgeOS have in common.
pub(super) fn check(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) {
    check.no_hooks(tunnel, "put them into /config/scripts, in the system's own words where there are some");
    check.no_save_config(tunnel);
    check.no_dns(tunnel, "the router has one DNS for everything: set it with `set system name-server`");
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    check.no_default_route(
        tunnel,
        "add a static route to each endpoint by your provider's gateway first, then the default route by hand",
    );
    let number = subject.name.strip_prefix("wg").unwrap_or_default();
    if number.is_empty() || number.len() > 5 || !number.bytes().all(|b| b.is_ascii_digit()) {
        let instead = "its interfaces are called wg and a number: give one with `--name wg0`";
        check.refuses(format!("the name `{}`", subject.name), instead);
    }
}

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    self::check(subject, tunnel, check);
    check.no_table(tunnel, |table| !matches!(table, Table::Named(_)), "give the table by its number");
    let mut notes = vec![
        format!(
            "`configure`, `source {}.vyos`, `commit-confirm 10`; when you can still get in: `confirm` and `save`",
            subject.name
        ),
        "it sets: `delete` first what an earlier export made and this one doesn't have".to_owned(),
    ];
    if tunnel.peers.iter().any(|peer| peer.endpoint.as_ref().is_some_and(|e| matches!(e.host, EndpointHost::Name(_)))) {
        notes.push("an endpoint by name (`host-name`) needs VyOS 1.5; before, set the address".to_owned());
    }
    (vec![file(subject, "vyos", commands(subject, tunnel))], notes)
}

pub(super) fn file(subject: &Subject, ending: &str, text: Text) -> OutFile {
    let name = format!("{}.{ending}", subject.name);
    OutFile { place: format!("/config/{name}"), name, content: text.finish(), secret: true, mode: 0o600, owner: "" }
}

/// Quotes for the configuration shell, which is a bash.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", one_line(value).replace('\'', r"'\''"))
}

/// One `set` command below an interface, its value quoted.
pub(super) fn set(text: &mut Text, subject: &Subject, path: &str, value: &str) {
    text.push("set interfaces wireguard ");
    text.push(&subject.name);
    text.push(" ");
    text.push(path);
    text.push(" '");
    text.push(value);
    text.line("'");
}

fn commands(subject: &Subject, tunnel: &Tunnel) -> Text {
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    set(&mut text, subject, "description", &subject.node.replace('\'', " "));
    for address in &tunnel.addresses {
        set(&mut text, subject, "address", &address.to_string());
    }
    match &tunnel.private_key {
        Some(key) => set(&mut text, subject, "private-key", &key.expose_base64()),
        None => text.line(format!(
            "# Set the private key, which only this device has: set interfaces wireguard {} private-key",
            subject.name
        )),
    }
    if let Some(port) = tunnel.listen_port {
        set(&mut text, subject, "port", &port.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        set(&mut text, subject, "mtu", &mtu.to_string());
    }
    if let Some(mark) = tunnel.fwmark.filter(|mark| *mark != 0) {
        set(&mut text, subject, "fwmark", &mark.to_string());
    }
    for (peer, word) in tunnel.peers.iter().zip(slugs(&tunnel.peers)) {
        let mut tell = |key: &str, value: &str| set(&mut text, subject, &format!("peer {word} {key}"), value);
        if let Some(name) = peer.name.as_ref().filter(|name| **name != word) {
            tell("description", &one_line(name).replace('\'', " "));
        }
        tell("public-key", &peer.public_key.to_string());
        if let Some(key) = &peer.preshared {
            tell("preshared-key", &key.expose_base64());
        }
        for to in &peer.allowed_ips {
            tell("allowed-ips", &to.to_string());
        }
        if let Some(endpoint) = &peer.endpoint {
            match &endpoint.host {
                EndpointHost::Address(address) => tell("address", &address.to_string()),
                EndpointHost::Name(name) => tell("host-name", name),
            }
            tell("port", &endpoint.port.to_string());
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            tell("persistent-keepalive", &seconds.to_string());
        }
    }
    if !subject.without.contains(&Feature::Routes) {
        let routes = routes::of(tunnel);
        let table = match routes.table {
            Some(Table::Number(number)) => format!("table {number} "),
            _ => String::new(),
        };
        for to in routes.plain {
            let word = if to.is_ipv4() { "route" } else { "route6" };
            text.line(format!(
                "set protocols static {table}{word} {} interface {}",
                quoted(&to.to_string()),
                quoted(&subject.name)
            ));
        }
    }
    text
}
