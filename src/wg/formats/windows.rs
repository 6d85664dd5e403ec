//! The official app on Windows: wg-quick's language, linted.

use crate::model::Table;
use crate::wg::Tunnel;

use super::check::Check;
use super::wg_quick::{Dialect, app_file, lines};
use super::{Feature, OutFile, Subject};

/// Names that Windows keeps for devices, with any ending.
const DEVICES: &[&str] = &[
    "CON", "PRN", "AUX", "NUL", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8", "COM9", "LPT1", "LPT2",
    "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9",
];

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(
        tunnel,
        "they are commands for a Unix shell; Windows runs at most one of each kind, by cmd.exe as SYSTEM, and only with the registry's DangerousScriptExecution",
    );
    check.no_fwmark(tunnel, "the app refuses the file with it");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    let known = |table: &Table| !matches!(table, Table::Named(name) if name != "main");
    check.no_table(tunnel, known, "give the table by its number, or off");
    if let Some(mtu) = tunnel.mtu.filter(|mtu| *mtu < 576) {
        check.lacks(Feature::Mtu, format!("MTU {mtu}"), "it takes 576 to 65535");
    }
    if let Some(why) = bad_name(&subject.name) {
        check.refuses(format!("the name `{}`", subject.name), &format!("{why}: give another with `--name`"));
    }
    let dialect = Dialect { hooks: false, comments: true, halve_default: subject.halve_default };
    let mut notes = vec!["in the app: Import tunnel(s) from file".to_owned()];
    if kill_switch(tunnel) && !subject.halve_default {
        notes.push(
            "the only peer takes every address, so the app blocks everything outside the tunnel, the local network and WSL2 included; `--no-kill-switch` avoids that".to_owned(),
        );
    }
    (vec![app_file(subject, lines(subject, tunnel, &dialect))], notes)
}

/// Whether the app blocks what doesn't go through the tunnel: one peer alone, with a default route.
fn kill_switch(tunnel: &Tunnel) -> bool {
    matches!(tunnel.peers.as_slice(), [peer] if peer.allowed_ips.iter().any(|to| to.is_default()))
        && tunnel.table == Table::Auto
}

fn bad_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '.' | '-');
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    if !(1..=32).contains(&name.len()) || !name.chars().all(allowed) {
        Some("a tunnel's name has at most 32 letters, digits and `_=+.-`")
    } else if name.starts_with('.') || name.ends_with('.') {
        Some("a tunnel's name neither begins nor ends with a dot")
    } else if DEVICES.contains(&stem.as_str()) {
        Some("Windows keeps this name for a device")
    } else {
        None
    }
}
