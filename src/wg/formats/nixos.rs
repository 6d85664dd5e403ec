//! NixOS: a module with `networking.wg-quick.interfaces`, the keys in files beside it.
//!
//! What stands in a module ends in the store, which everybody on the machine can read: keys are only ever named by path.

use crate::model::{InterfaceName, Table};
use crate::wg::{Phase, Tunnel};

use super::check::Check;
use super::text::{Text, one_line, slugs};
use super::{OutFile, Subject};

/// Where the keys lie on the machine, outside of the store.
const KEYS: &str = "/var/lib/wireguard";

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_fwmark(tunnel, "the module has no option for it: a hook `wg set %i fwmark NUMBER` does the same");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    if subject.name.parse::<InterfaceName>().is_err() {
        let instead = "an interface's name has at most 15 letters, digits and `_=+.-`: give another with `--name`";
        check.refuses(format!("the name `{}`", subject.name), instead);
    }
    let name = &subject.name;
    let words = slugs(&tunnel.peers);
    let module = format!("{name}.nix");
    let mut files = vec![OutFile {
        place: format!("/etc/nixos/{module}, named in `imports`"),
        name: module,
        content: module_text(subject, tunnel, &words).finish(),
        secret: false,
        mode: 0o644,
        owner: "root:root",
    }];
    let key_file = |name: String, key: &str| {
        let mut text = Text::new();
        text.line(key);
        OutFile {
            place: format!("{KEYS}/{name}"),
            name,
            content: text.finish(),
            secret: true,
            mode: 0o600,
            owner: "root:root",
        }
    };
    files.extend(tunnel.private_key.as_ref().map(|key| key_file(format!("{name}.key"), &key.expose_base64())));
    for (peer, word) in tunnel.peers.iter().zip(&words) {
        files.extend(peer.preshared.as_ref().map(|key| key_file(format!("{name}-{word}.psk"), &key.expose_base64())));
    }
    let mut notes = vec![format!(
        "copy the keys to {KEYS} (root, mode 0600) and {name}.nix beside configuration.nix, name it in `imports`, then `nixos-rebuild switch`"
    )];
    if tunnel.private_key.is_none() {
        notes.push(format!("put the private key, which isn't kept here, into {KEYS}/{name}.key"));
    }
    if !tunnel.dns.is_empty() {
        notes.push("with systemd-resolved, wg-quick's DNS needs `services.resolved.enable` and its resolvconf, or it has no effect".to_owned());
    }
    (files, notes)
}

/// Quotes for Nix: in a string `\`, `"` and `${` have a meaning.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${").replace('\n', "\\n"))
}

/// A string of several lines: there `''` and `${` have a meaning.
fn indented(lines: &[String]) -> String {
    let mut text = String::from("''\n");
    for line in lines {
        text.push_str("        ");
        text.push_str(&line.replace("''", "'''").replace("${", "''${"));
        text.push('\n');
    }
    text + "      ''"
}

fn module_text(subject: &Subject, tunnel: &Tunnel, words: &[String]) -> Text {
    let name = &subject.name;
    let mut text = Text::new();
    let list =
        |items: Vec<String>| format!("[ {} ]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(" "));
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    text.line("{ ... }:\n{");
    text.line(format!("  networking.wg-quick.interfaces.{} = {{", quoted(name)));
    let mut option = |key: &str, value: String| text.line(format!("    {key} = {value};"));
    option("address", list(tunnel.addresses.iter().map(ToString::to_string).collect()));
    option("privateKeyFile", quoted(&format!("{KEYS}/{name}.key")));
    if let Some(port) = tunnel.listen_port {
        option("listenPort", port.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        option("mtu", mtu.to_string());
    }
    if !tunnel.dns.is_empty() {
        option("dns", list(tunnel.dns.clone()));
    }
    if tunnel.table != Table::Auto {
        option("table", quoted(&tunnel.table.to_string()));
    }
    for phase in Phase::ALL {
        let hooks = tunnel.hooks.iter().filter(|hook| hook.phase == *phase);
        // The module makes one script of them, in which wg-quick doesn't put the name for %i, nor stops at a failure.
        let mut lines: Vec<String> = hooks.map(|hook| hook.command.replace("%i", name)).collect();
        if !lines.is_empty() {
            if lines.len() > 1 {
                lines.insert(0, "set -e".to_owned());
            }
            let key = match phase {
                Phase::PreUp => "preUp",
                Phase::PostUp => "postUp",
                Phase::PreDown => "preDown",
                Phase::PostDown => "postDown",
            };
            option(key, indented(&lines));
        }
    }
    text.line("    peers = [");
    for (peer, word) in tunnel.peers.iter().zip(words) {
        if let Some(peer) = &peer.name {
            text.line(format!("      # {}", one_line(peer)));
        }
        text.line("      {");
        let mut option = |key: &str, value: String| text.line(format!("        {key} = {value};"));
        option("publicKey", quoted(&peer.public_key.to_string()));
        if peer.preshared.is_some() {
            option("presharedKeyFile", quoted(&format!("{KEYS}/{name}-{word}.psk")));
        }
        option("allowedIPs", list(peer.allowed_ips.iter().map(ToString::to_string).collect()));
        if let Some(endpoint) = &peer.endpoint {
            option("endpoint", quoted(&endpoint.to_string()));
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            option("persistentKeepalive", seconds.to_string());
        }
        text.line("      }");
    }
    text.line("    ];\n  };\n}");
    text
}
