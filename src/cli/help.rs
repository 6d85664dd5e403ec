//! The first page of the help: commands in groups, in the order in which a person comes to need them.

use super::output::{paint, style};

/// The groups, with their commands.
const GROUPS: &[(&str, &[&str])] = &[
    ("Begin", &["init", "import", "template"]),
    (
        "Change the network",
        &[
            "add",
            "set",
            "rename",
            "remove",
            "enable",
            "disable",
            "link",
            "unlink",
            "rotate",
            "rotation",
            "psk",
            "network",
            "exit",
            "hooks",
            "host",
            "interface",
        ],
    ),
    ("Say who may reach what", &["grant", "revoke", "grants", "group"]),
    ("Look at it", &["list", "show", "topology", "can"]),
    ("Give it to devices", &["generate", "qr", "export", "handouts"]),
    ("Bring it to hosts", &["plan", "deploy", "sync", "rollback", "status", "log", "history", "drift"]),
    ("Keep it safe", &["unlock", "lock", "vault", "audit", "backup", "report"]),
    ("Set it up", &["settings", "completions", "man"]),
];

/// The heading of commands that are in no group; a test sees to it that there are none.
pub(super) const REST: &str = "More";

/// Returns the template of the first page.
pub(super) fn template(command: &clap::Command) -> String {
    let commands: Vec<(&str, String)> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| (sub.get_name(), sub.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    let mut text = format!("{{about}}\n\n{} {{usage}}\n", paint(style::STRONG, "Usage:"));
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let rest: Vec<&str> = commands.iter().map(|(name, _)| *name).filter(|name| !grouped(name)).collect();
    for (title, names) in GROUPS.iter().copied().chain([(REST, rest.as_slice())]) {
        let lines: Vec<String> = names
            .iter()
            .filter_map(|name| commands.iter().find(|(known, _)| known == name))
            .map(|(name, about)| format!("  {}  {about}\n", paint(style::CODE, format!("{name:<11}"))))
            .collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n{}", paint(style::STRONG, title), lines.concat()));
        }
    }
    text + &format!("\n{}\n{{options}}{{after-help}}", paint(style::STRONG, "Options of every command"))
}
