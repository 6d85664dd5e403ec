//! What commands about backups say.

use super::{Copied, Created};
use crate::cli::output::{Cell, Fields, Table, paint, style};
use crate::db::archive::{Kind, Lock, NetworkCounts};
use crate::db::{BackupCopy, BackupRecord};
use crate::model::Name;
use crate::ops::safety::backup::{About, Kept, Listed, Made, Mode, Needed, Pages, Pruned, Restored, Seen, Verdict};

pub(super) fn created_text(created: &Created) -> String {
    let mut text = made_text(&created.made);
    for Copied { place, kept, fault } in &created.copied {
        let line = match (kept, fault) {
            (Some(kept), _) => format!("also at {}{}{}", of_host(kept.host.as_ref()), kept.path.display(), along(kept)),
            (None, fault) => paint(style::BAD, format!("not at {place}: {}", fault.as_deref().unwrap_or_default())),
        };
        text.push_str(&format!("{line}\n"));
    }
    if created.pruned.is_none() && created.copied.iter().any(|copied| copied.fault.is_some()) {
        text.push_str("nothing was removed: older backups may be needed while a copy is lacking\n");
    }
    if let Some(pruned) = &created.pruned {
        text.push_str(&format!("\n{}", pruned_text(pruned)));
    }
    text
}

/// Says that what a backup builds on came along.
fn along(kept: &Kept) -> String {
    kept.base.as_ref().map(|base| format!(", with {}, on which it builds", &base.id[..8])).unwrap_or_default()
}

pub(super) fn pushed_text(kept: &Kept) -> String {
    let place = match &kept.host {
        Some(host) => format!("{} on {host}", kept.path.display()),
        None => kept.path.display().to_string(),
    };
    let done = if kept.saved { "is also at" } else { "would also be at" };
    format!("the backup {} {done} {place}{}", &kept.id[..8], along(kept))
}

/// Says how much is in a backup.
pub(super) fn contents(fields: &mut Fields, networks: &[NetworkCounts]) {
    for network in networks {
        let NetworkCounts { name, nodes, links, configs, .. } = network;
        let direct = if *links == 0 { String::new() } else { format!("{links} direct links, ") };
        fields.add("network", format!("{name}: {nodes} nodes, {direct}{configs} files"));
        if let Some(refused) = &network.refused {
            fields.add("", Cell::new(format!("without configurations: {refused}"), style::WARN));
        }
    }
}

pub(super) fn made_text(made: &Made) -> String {
    let mut fields = Fields::new();
    fields.add("backup", Cell::new(&made.about.id, style::STRONG));
    fields.add("kind", made.about.kind);
    if let Some(why) = &made.full_because {
        fields.add("", Cell::new(format!("not incremental: {why}"), style::WARN));
    }
    builds_on(&mut fields, &made.about);
    if let Some(Pages { differing, all }) = made.pages {
        fields.add("", format!("{differing} of {all} pages differ"));
    }
    fields.add(if made.saved { "file" } else { "would be" }, made.file.display());
    fields.add("size", size(i64::try_from(made.size).unwrap_or(i64::MAX)));
    contents(&mut fields, &made.networks);
    fields.add("audit log", format!("{} entries", made.audit_entries));
    fields.add(
        "opens with",
        match (made.about.lock, made.sealed) {
            (Lock::Vault, _) => "the passphrase or the recovery key that the database has now",
            (Lock::Own, true) => "its own passphrase; the vault in it still needs the database's",
            (Lock::Own, false) => "its own passphrase alone, which shows the private keys in it",
        },
    );
    format!("{}\n\n{}", paint(style::GOOD, proven(made)), fields.render())
}

/// Says what a backup is of no use without.
fn builds_on(fields: &mut Fields, about: &About) {
    if let Some(base) = &about.base {
        fields.add("builds on", base);
    }
}

pub(super) fn proven(made: &Made) -> String {
    match made.about.kind {
        Kind::Full | Kind::Incremental => {
            format!("proven: restored beside, all {} configurations are the live ones", made.configs)
        }
        Kind::ConfigOnly => format!("proven: read back, all {} configurations are the live ones", made.configs),
        Kind::KeysOnly => "proven: read back".into(),
    }
}

pub(super) fn size(bytes: i64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

pub(super) fn list(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "no backups yet: `wg-friend backup create` makes one".into();
    }
    let mut table = Table::new(&["ID", "MADE", "KIND", "SIZE", "WHERE", "FOUND WHOLE"]);
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M").to_string();
    for Listed { record, missing, lacks_base } in listed {
        for (at, copy) in record.copies.iter().enumerate() {
            let BackupCopy { host, path, verified, fault, .. } = copy;
            let place = match host {
                Some(host) => format!("{host}:{}", path.display()),
                None => path.display().to_string(),
            };
            let state = match (verified, fault) {
                _ if host.is_none() && missing.contains(path) => Cell::new("missing", style::BAD),
                (_, Some(fault)) => Cell::new(fault, style::BAD),
                (Some(verified), None) => Cell::new(time(*verified), style::GOOD),
                (None, None) => Cell::new("never", style::WARN),
            };
            let first = at == 0;
            let once = |text: String| if first { text } else { String::new() };
            table.row([
                Cell::new(once(record.id[..8].to_owned()), style::STRONG),
                once(time(record.created)).into(),
                kind(record, *lacks_base, first),
                once(size(record.size)).into(),
                place.into(),
                state,
            ]);
        }
    }
    table.render()
}

/// Says of what kind a backup is, and on which it builds.
fn kind(record: &BackupRecord, lacks_base: bool, first: bool) -> Cell {
    match (&record.base, first) {
        (_, false) => "".into(),
        (None, true) => record.kind.to_string().into(),
        (Some(base), true) if lacks_base => Cell::new(format!("{} on {}, gone", record.kind, &base[..8]), style::BAD),
        (Some(base), true) => format!("{} on {}", record.kind, &base[..8]).into(),
    }
}

pub(super) fn verdict_text(verdict: &Verdict) -> String {
    checked_text(verdict) + &copies_text("COPY", &verdict.copies) + &copies_text("BUILDS ON", &verdict.base_copies)
}

/// Says of each copy whether it is what was written.
fn copies_text(heading: &'static str, copies: &[Seen]) -> String {
    if copies.len() < 2 && copies.iter().all(|copy| copy.whole) {
        return String::new();
    }
    let mut table = Table::new(&[heading, ""]);
    for Seen { host, path, reached, whole, fault } in copies {
        let state = match (reached, whole) {
            (_, true) => Cell::new("whole", style::GOOD),
            (true, false) => Cell::new(format!("damaged: {}", fault.as_deref().unwrap_or_default()), style::BAD),
            (false, false) => Cell::new(format!("not reached: {}", fault.as_deref().unwrap_or_default()), style::WARN),
        };
        table.row([format!("{}{}", of_host(host.as_ref()), path.display()).into(), state]);
    }
    format!("\n{}", table.render())
}

fn checked_text(verdict: &Verdict) -> String {
    let mut fields = Fields::new();
    if let Some(about) = &verdict.about {
        fields.add("backup", Cell::new(&about.id, style::STRONG));
        fields.add("kind", about.kind);
        builds_on(&mut fields, about);
        fields.add("made", format!("{} by wg-friend {}", about.created.format("%Y-%m-%d %H:%M:%S UTC"), about.version));
    }
    let Some(fault) = &verdict.fault else {
        contents(&mut fields, &verdict.networks);
        fields.add("audit log", format!("{} entries", verdict.audit_entries));
        if !verdict.authenticated {
            let text = "its authentication codes and the configurations weren't checked: the vault's key isn't at hand";
            fields.add("", Cell::new(text, style::WARN));
        }
        if let Some(problem) = &verdict.live_log {
            let text = match &verdict.live_restored {
                None => format!("the head of this log, compared with the present database, {problem}"),
                Some(restored) => format!("its log goes on otherwise than that of the present database: {restored}"),
            };
            fields.add("", Cell::new(text, style::WARN));
        }
        if let Some(fault) = &verdict.live_fault {
            let text = format!("nothing was compared with the present database, or noted there: {fault}");
            fields.add("", Cell::new(text, style::WARN));
        }
        if verdict.otherwise > 0 {
            let text =
                format!("{} configurations come out otherwise with this version of wg-friend", verdict.otherwise);
            fields.add("", Cell::new(text, style::WARN));
        }
        return format!("{}\n\n{}", paint(style::GOOD, "whole"), fields.render());
    };
    format!("{} {fault}\n\n{}", paint(style::BAD, "damaged:"), fields.render())
}

pub(super) fn restored_text(restored: &Restored) -> String {
    let mut fields = Fields::new();
    fields.add("backup", Cell::new(&restored.about.id, style::STRONG));
    fields.add("made", restored.about.created.format("%Y-%m-%d %H:%M:%S UTC"));
    let place = if restored.mode == Mode::ConfigOnly { "directory" } else { "database" };
    fields.add(place, restored.path.display());
    contents(&mut fields, &restored.networks);
    fields.add("audit log", format!("{} entries", restored.audit_entries));
    if let Some(replaced) = &restored.replaced {
        let entries = replaced.audit_entries.map(|entries| format!("{entries} entries in its audit log"));
        let nodes = replaced.nodes.map(|nodes| format!("{nodes} nodes"));
        let known: Vec<String> = nodes.into_iter().chain(entries).collect();
        let known = if known.is_empty() { "damaged".to_owned() } else { known.join(", ") };
        fields.add("replaces", format!("{known}; copied to {}", replaced.copy.display()));
    }
    opens_afterwards(&mut fields, restored);
    if let Some(keys) = &restored.keys {
        let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        fields.add("private keys", format!("{} nodes hold theirs again  {}", keys.private.len(), names(&keys.private)));
        fields.add("preshared", format!("{} links have theirs again", keys.preshared.len()));
        fields.add("the same", keys.same);
        fields.add("no place", format!("{} keys: their interface is gone, or has another one by now", keys.elsewhere));
        if !keys.not_kept.is_empty() {
            fields.add("not kept", format!("as was wanted, of {}", names(&keys.not_kept)));
        }
    }
    if restored.mode == Mode::ConfigOnly {
        fields.add("files", restored.files.len());
    }
    let done = if restored.saved { paint(style::GOOD, "restored") } else { "would be restored".to_owned() };
    format!("{done}\n\n{}", fields.render())
}

/// Says what opens the database once it is restored, and what is otherwise about it than before.
pub(super) fn opens_afterwards(fields: &mut Fields, restored: &Restored) {
    let replaced = restored.replaced.as_ref();
    match restored.encrypted {
        Some(true) => {
            fields.add("opens with", "the passphrase or the recovery key that it had when the backup was made");
        }
        Some(false) => {
            let was = replaced.is_some_and(|replaced| replaced.encrypted == Some(true));
            let text = if was {
                "no passphrase: it is not encrypted, and what it replaces was"
            } else {
                "no passphrase: it is not encrypted"
            };
            fields.add("opens with", Cell::new(text, style::WARN));
        }
        None => {}
    }
    if replaced.is_some_and(|replaced| replaced.other_database == Some(true)) {
        fields.add(
            "",
            Cell::new(
                "what it replaces is another database, with a passphrase and an audit log of its own",
                style::WARN,
            ),
        );
    }
}

pub(super) fn of_host(host: Option<&String>) -> String {
    host.map(|host| format!("{host}:")).unwrap_or_default()
}

pub(super) fn pruned_text(pruned: &Pruned) -> String {
    let mut text = String::new();
    for gone in &pruned.removed {
        let host = of_host(gone.host.as_ref());
        let done = match &gone.fault {
            Some(fault) => paint(style::BAD, format!("is still there: {fault}")),
            None => match (&gone.forgotten, pruned.saved) {
                (Some(reason), true) => format!("forgotten: {reason}"),
                (Some(reason), false) => format!("would be forgotten: {reason}"),
                (None, true) => "removed".into(),
                (None, false) => "would be removed".into(),
            },
        };
        text.push_str(&format!("{}  {host}{}  {done}\n", &gone.id[..8], gone.path.display()));
    }
    for Needed { id, by, .. } in &pruned.needed {
        let by: Vec<&str> = by.iter().map(|id| &id[..8]).collect();
        let build = if by.len() == 1 { "builds" } else { "build" };
        text.push_str(&format!("{}  stays: {} {build} on it\n", &id[..8], by.join(", ")));
    }
    text + &format!("{} backups stay", pruned.kept)
}
