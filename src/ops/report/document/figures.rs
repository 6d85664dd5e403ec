//! Totals, and the charts that show them.

use super::super::changes::Changes;
use super::super::drift::Standing;
use super::super::keys::Keys;
use super::super::{Kind, Report};
use super::{counts, day, or_never, word, yes};
use crate::model::Severity;
use crate::render::report::{Bar, Block, Chart, Figure, Section, Table};

/// Returns the totals of what a report has.
pub(super) fn of(report: &Report) -> Vec<Figure> {
    let figure = |label: &str, value: String, note: String| Figure { label: label.to_owned(), value, note };
    let mut figures = Vec::new();
    if let Some(inventory) = &report.inventory {
        let roles: Vec<String> =
            inventory.roles.iter().filter(|(_, count)| **count > 0).map(|(role, n)| format!("{role} {n}")).collect();
        figures.push(figure("members of the network", inventory.nodes.len().to_string(), roles.join(", ")));
        figures.push(figure("machines", inventory.hosts.len().to_string(), "reached by wg-friend".to_owned()));
        figures.push(figure("networks behind members", inventory.lans.len().to_string(), String::new()));
    }
    if let Some(access) = &report.access {
        let over = access.grants.iter().filter(|held| held.over).count();
        figures.push(figure("grants", access.grants.len().to_string(), format!("{over} of them over")));
        let enforced = access.enforcement.iter().filter(|server| server.enforced).count();
        let servers = access.enforcement.len();
        figures.push(figure("servers that enforce access", format!("{enforced} of {servers}"), String::new()));
        figures.push(figure("changes of access", access.changes.len().to_string(), "in the period".to_owned()));
    }
    if let Some(keys) = &report.keys {
        let days = report.key_age / 86_400;
        let old =
            keys.active.iter().filter(|key| (report.generated - key.created).num_seconds() > report.key_age).count();
        figures.push(figure("keys in use", keys.active.len().to_string(), format!("{old} older than {days} days")));
        let sums = keys.policy_summary;
        if let Some(percent) = sums.in_order_percent {
            let note = format!("{} of {} due by policy", sums.overdue, sums.scheduled);
            figures.push(figure("members' keys in order", format!("{percent} %"), note));
        }
        figures.push(figure("replacements of keys", keys.rotations.len().to_string(), "in the period".to_owned()));
        let with = keys.links.iter().filter(|link| link.created.is_some()).count();
        figures.push(figure("links with a preshared key", format!("{with} of {}", keys.links.len()), String::new()));
    }
    if let Some(changes) = &report.changes {
        figures.push(figure("changes of the model", changes.model.len().to_string(), "in the period".to_owned()));
        let count = |word: &str| changes.outcomes.get(word).copied().unwrap_or_default();
        let note = format!("{} reverted, {} failed", count("reverted"), count("failed"));
        figures.push(figure("deployments", changes.deployments.len().to_string(), note));
    }
    if let Some(drift) = &report.drift {
        let count = |state| drift.items.iter().filter(|item| item.state == state).count();
        let note = format!("{} acknowledged, {} gone again", count(Standing::Acknowledged), count(Standing::Gone));
        figures.push(figure("open differences on machines", count(Standing::Open).to_string(), note));
    }
    if let Some(safeguards) = &report.safeguards {
        let intact = if safeguards.audit.intact { "intact" } else { "not intact" };
        figures.push(figure("audit log", intact.to_owned(), format!("{} entries", safeguards.audit.entries)));
        let newest = safeguards.backups.newest.map_or_else(|| "none".to_owned(), day);
        let verified = format!("found whole: {}", or_never(safeguards.backups.verified));
        figures.push(figure("newest backup", newest, verified));
        figures.push(figure("secrets encrypted", yes(safeguards.vault.encrypted), String::new()));
    }
    let grave = |severity| report.warnings.iter().filter(|warning| warning.severity == severity).count();
    let note = format!(
        "critical {}, warning {}, info {}",
        grave(Severity::Critical),
        grave(Severity::Warning),
        grave(Severity::Info)
    );
    figures.push(figure("need attention", report.warnings.len().to_string(), note));
    figures
}

/// Returns the sections of the summary: charts and counts, no details.
pub(super) fn summary(report: &Report) -> Vec<Section> {
    debug_assert_eq!(report.report, Kind::ExecutiveSummary);
    let mut blocks = Vec::new();
    if let Some(keys) = &report.keys {
        blocks.push(Block::Chart(ages(keys, report.key_age)));
    }
    if let Some(changes) = &report.changes {
        blocks.push(Block::Chart(weeks(changes)));
        blocks.push(Block::Table(
            Table::new("Deployments by outcome", &["outcome", "how many"], "none").with(counts(&changes.outcomes)),
        ));
    }
    if let Some(access) = &report.access {
        blocks.push(Block::Chart(levels(&access.levels)));
    }
    let text = vec!["Dark bars are what deserves a look.".to_owned()];
    vec![Section { title: "How it stands".to_owned(), text, blocks }]
}

/// Returns how many keys are how old.
pub(super) fn ages(keys: &Keys, limit: i64) -> Chart {
    const STEPS: [(i64, &str); 5] = [
        (30, "up to 30 days"),
        (90, "31 to 90 days"),
        (180, "91 to 180 days"),
        (365, "181 to 365 days"),
        (i64::MAX, "more than a year"),
    ];
    let mut from = -1;
    let bars = STEPS.iter().map(|(to, label)| {
        let value = keys.active.iter().filter(|key| key.days > from && key.days <= *to).count();
        let dark = from >= 0 && from * 86_400 >= limit;
        from = *to;
        Bar { label: (*label).to_owned(), value, dark }
    });
    Chart { title: "Keys in use by age".to_owned(), bars: bars.collect() }
}

/// Returns how many changes each week had.
pub(super) fn weeks(changes: &Changes) -> Chart {
    let bar = |week: &super::super::changes::Week| Bar {
        label: format!("week of {}", week.monday),
        value: week.changes,
        dark: false,
    };
    Chart { title: "Changes of the model by week".to_owned(), bars: changes.weeks.iter().map(bar).collect() }
}

/// Returns how many remotes and routers have which level.
pub(super) fn levels(levels: &std::collections::BTreeMap<&'static str, usize>) -> Chart {
    let bar = |(name, count): (&&'static str, &usize)| Bar { label: word(name), value: *count, dark: *name == "full" };
    Chart { title: "Remotes and routers by access level".to_owned(), bars: levels.iter().map(bar).collect() }
}
