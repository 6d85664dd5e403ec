//! wg-quick(8) itself, and what the apps share with it.

use crate::model::InterfaceName;
use crate::wg::Tunnel;
use crate::wg::config::{Document, Fault, Mode};

use super::check::Check;
use super::text::{Text, joined, one_line};
use super::{Found, OutFile, Subject, Unreadable};

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_vendor_keys(tunnel, &[]);
    if subject.name.parse::<InterfaceName>().is_err() {
        check.refuses(
            format!("the name `{}`", subject.name),
            "an interface's name has at most 15 letters, digits and `_=+.-`: give another with `--name`",
        );
    }
    let text = lines(subject, tunnel, &Dialect { hooks: true, comments: true, halve_default: false });
    let name = format!("{}.conf", subject.name);
    let place = format!("/etc/wireguard/{name}");
    let notes = vec![format!("copy it to {place} with mode 0600, then `wg-quick up {}`", subject.name)];
    (vec![OutFile { name, content: text.finish(), secret: true, place, mode: 0o600, owner: "root:root" }], notes)
}

/// Reads files, one tunnel each, called as the file is.
pub(super) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    files.iter().map(|(name, text)| file(name, text)).collect()
}

fn file(name: &str, text: &str) -> Result<Found, Unreadable> {
    let unreadable = |faults: Vec<Fault>| {
        let first = faults.into_iter().next();
        let (line, found, expected) = match first {
            Some(fault) => (Some(fault.line), fault.found, fault.expected),
            None => (None, "nothing".to_owned(), String::new()),
        };
        let expected = if expected.is_empty() { "what wg and wg-quick take".to_owned() } else { expected };
        Unreadable { file: name.to_owned(), line, found, expected }
    };
    let reading = Document::parse(text).read(Mode::Keep).map_err(unreadable)?;
    let stem = name.rsplit('/').next().and_then(|name| name.strip_suffix(".conf")).unwrap_or_default();
    let remarks =
        reading.warnings.iter().map(|fault| format!("{name}, line {}: {}", fault.line, fault.found)).collect();
    Ok(Found { interface: stem.parse().ok(), tunnel: reading.tunnel, remarks })
}

/// What of the language a reader understands.
pub(super) struct Dialect {
    /// Everything that is for wg-quick(8) alone.
    pub(super) hooks: bool,
    /// Comments.
    pub(super) comments: bool,
    /// Default routes are written as their two halves.
    pub(super) halve_default: bool,
}

/// Writes a tunnel as `[Interface]` and `[Peer]` sections.
pub(super) fn lines(subject: &Subject, tunnel: &Tunnel, dialect: &Dialect) -> Text {
    let mut text = Text::new();
    text.line("[Interface]");
    if dialect.comments {
        text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    }
    match &tunnel.private_key {
        Some(key) => text.pair("PrivateKey", " = ", &*key.expose_base64()),
        None => text.line("# Put the private key here, which only this device has:\n# PrivateKey = "),
    }
    if !tunnel.addresses.is_empty() {
        text.pair("Address", " = ", joined(&tunnel.addresses, ", "));
    }
    if let Some(port) = tunnel.listen_port {
        text.pair("ListenPort", " = ", port.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        text.pair("MTU", " = ", mtu.to_string());
    }
    if !tunnel.dns.is_empty() {
        text.pair("DNS", " = ", tunnel.dns.join(", "));
    }
    if let Some(mark) = tunnel.fwmark {
        text.pair("FwMark", " = ", if mark == 0 { "off".to_owned() } else { format!("{mark:#x}") });
    }
    if tunnel.table != crate::model::Table::Auto {
        text.pair("Table", " = ", tunnel.table.to_string());
    }
    if tunnel.save_config {
        text.pair("SaveConfig", " = ", "true");
    }
    if dialect.hooks {
        for hook in &tunnel.hooks {
            text.pair(hook.phase.as_str(), " = ", &hook.command);
        }
    }
    for (key, value) in &tunnel.unknown {
        text.pair(key, " = ", value);
    }
    for peer in &tunnel.peers {
        text.line("");
        text.line("[Peer]");
        if let (true, Some(name)) = (dialect.comments, &peer.name) {
            text.line(format!("# {}", one_line(name)));
        }
        text.pair("PublicKey", " = ", peer.public_key.to_string());
        if let Some(key) = &peer.preshared {
            text.pair("PresharedKey", " = ", &*key.expose_base64());
        }
        let allowed: Vec<String> = peer
            .allowed_ips
            .iter()
            .flat_map(|to| match (dialect.halve_default && to.is_default(), to.is_ipv4()) {
                (false, _) => vec![to.to_string()],
                (true, true) => vec!["0.0.0.0/1".to_owned(), "128.0.0.0/1".to_owned()],
                (true, false) => vec!["::/1".to_owned(), "8000::/1".to_owned()],
            })
            .collect();
        if !allowed.is_empty() {
            text.pair("AllowedIPs", " = ", allowed.join(", "));
        }
        if let Some(endpoint) = &peer.endpoint {
            text.pair("Endpoint", " = ", endpoint.to_string());
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            text.pair("PersistentKeepalive", " = ", seconds.to_string());
        }
        for (key, value) in &peer.unknown {
            text.pair(key, " = ", value);
        }
    }
    text
}

/// A file that an app imports; nothing in it but what its import takes.
pub(super) fn app_file(subject: &Subject, text: Text) -> OutFile {
    let name = format!("{}.conf", subject.name);
    OutFile { name, content: text.finish(), secret: true, place: String::new(), mode: 0o600, owner: "" }
}
