//! What needs attention, each with whom it concerns, since when, and the command that mends it. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Facts;
use super::drift::Standing;
use crate::model::{Access as Level, Custody, DeploymentState, Role, Severity};
use crate::ops::psk::status::{Breach, Due};
use crate::ops::revision::DeviceState;
use crate::ops::rotation::policy::due;

/// A part of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Who may reach what.
    Access,
    /// Keys and who has them.
    Keys,
    /// Changes and deployments.
    Changes,
    /// What was found changed on hosts.
    Drift,
    /// What there is.
    Inventory,
    /// Audit log, backups and vault.
    Safeguards,
}

impl Area {
    /// All of them, in the order in which reports tell them.
    pub const ALL: &[Self] = &[Self::Inventory, Self::Access, Self::Keys, Self::Changes, Self::Drift, Self::Safeguards];

    /// Returns the heading under which reports tell it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Access => "Access",
            Self::Keys => "Keys",
            Self::Changes => "Changes and deployments",
            Self::Drift => "Changes found on hosts",
            Self::Inventory => "Inventory",
            Self::Safeguards => "Audit log, backups and vault",
        }
    }
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is, as a word that stays the same.
    pub code: &'static str,
    /// How grave.
    pub severity: Severity,
    /// Which part of the evidence it comes from.
    pub area: Area,
    /// What it is, in a sentence.
    pub what: String,
    /// What or whom it concerns.
    pub concerns: Vec<Concern>,
    /// What mends it, in words.
    pub remedy: &'static str,
    /// The commands that do; at most a few of those that would be needed.
    pub commands: Vec<String>,
}

/// What a warning concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Concern {
    /// What or who: a node, a link, a host.
    pub subject: String,
    /// Since when, as far as that is known.
    pub since: Option<DateTime<Utc>>,
}

impl Concern {
    fn new(subject: impl ToString, since: impl Into<Option<DateTime<Utc>>>) -> Self {
        Self { subject: subject.to_string(), since: since.into() }
    }
}

/// After so many days without a new one, the newest backup is old.
pub const BACKUP_DAYS: i64 = 7;

/// Of many commands that differ only by a name, so many are told.
const MOST_COMMANDS: usize = 3;

/// Collects warnings; those that concern nobody aren't any.
struct Found(Vec<Warning>);

impl Found {
    /// Adds a warning about some things, with a command for each of the first few.
    fn about(
        &mut self,
        (code, severity, area): (&'static str, Severity, Area),
        what: impl FnOnce(usize) -> String,
        concerns: Vec<(Concern, Option<String>)>,
        remedy: &'static str,
    ) {
        if concerns.is_empty() {
            return;
        }
        let what = what(concerns.len());
        let (concerns, commands): (Vec<Concern>, Vec<Option<String>>) = concerns.into_iter().unzip();
        let mut told: Vec<String> = Vec::new();
        for command in commands.into_iter().flatten() {
            if told.len() < MOST_COMMANDS && !told.contains(&command) {
                told.push(command);
            }
        }
        self.0.push(Warning { code, severity, area, what, concerns, remedy, commands: told });
    }

    /// Adds a command to the warning of this kind, if there is one.
    fn also(&mut self, code: &str, command: &str) {
        let warning = self.0.iter_mut().find(|warning| warning.code == code);
        warning.into_iter().for_each(|warning| warning.commands.push(command.to_owned()));
    }

    /// Adds a warning about one thing.
    fn one(
        &mut self,
        kind: (&'static str, Severity, Area),
        what: &str,
        concern: Concern,
        remedy: &'static str,
        command: &str,
    ) {
        self.about(kind, |_| what.to_owned(), vec![(concern, Some(command.to_owned()))], remedy);
    }
}

/// Returns `1 key is`, `2 keys are`.
fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// Finds what needs attention, the gravest first, then by area.
pub(super) fn find(facts: &Facts, now: DateTime<Utc>, key_age: TimeDelta) -> Vec<Warning> {
    let mut found = Found(Vec::new());
    of_inventory(facts, &mut found);
    of_access(facts, &mut found);
    of_keys(facts, now, key_age, &mut found);
    of_changes(facts, &mut found);
    of_drift(facts, &mut found);
    of_safeguards(facts, now, &mut found);
    found.0.sort_by_key(|warning| std::cmp::Reverse(warning.severity)); // stable: then in the order of areas
    found.0
}

fn of_inventory(facts: &Facts, found: &mut Found) {
    let unreached = facts.inventory.nodes.iter().filter(|n| n.enabled && n.role != Role::Remote && n.host.is_none());
    let concern = |node: &super::inventory::Item| {
        let command = format!("wg-friend set {0} host={0}", node.name);
        (Concern::new(format!("{} {}", node.role, node.name), node.created), Some(command))
    };
    found.about(
        ("no_ssh_host", Severity::Warning, Area::Inventory),
        |n| {
            let are = counted(n, "server, router or exit has", "servers, routers and exits have");
            format!("{are} no machine that can be reached over SSH: nothing is deployed there or checked for changes")
        },
        unreached.map(concern).collect(),
        "say where its machine is, then give the node that machine as its host",
    );
    found.also("no_ssh_host", "wg-friend host add NAME user@address");
    let never = facts.inventory.hosts.iter().filter(|machine| machine.deployed.is_none());
    found.about(
        ("not_deployed", Severity::Warning, Area::Inventory),
        |n| {
            let was = counted(n, "machine was", "machines were");
            format!("{was} never deployed to: nothing of the model is known to be in force there")
        },
        never.map(|host| (Concern::new(&host.name, None), Some(format!("wg-friend plan {}", host.name)))).collect(),
        "look at what would be done, and deploy",
    );
}

fn of_access(facts: &Facts, found: &mut Found) {
    let access = &facts.access;
    let unenforced = access.enforcement.iter().filter(|server| !server.enforced);
    found.about(
        ("not_enforced", Severity::Critical, Area::Access),
        |n| {
            let are = counted(n, "server has", "servers have");
            format!("{are} rules of its own from before it was adopted: levels and grants are not enforced there")
        },
        unenforced
            .map(|server| {
                let subject = format!("{}, which judges {}", server.server, counted(server.nodes, "node", "nodes"));
                (Concern::new(subject, None), Some(format!("wg-friend hooks adopt {}", server.server)))
            })
            .collect(),
        "hand the server's hooks over to wg-friend's firewall, and deploy",
    );
    let over = access.grants.iter().filter(|held| held.over);
    found.about(
        ("grant_over", Severity::Warning, Area::Access),
        |n| format!("{} over and still in the model", counted(n, "grant is", "grants are")),
        over.map(|held| {
            let concern = Concern::new(format!("{}: {}", held.holder, held.grant), held.grant.until);
            (concern, Some("wg-friend revoke --over".to_owned()))
        })
        .collect(),
        "the servers let nobody through by it any more; take it away, or renew it",
    );
    let remotes = || access.nodes.iter().filter(|node| node.role == Role::Remote && node.enabled);
    let full = remotes().filter(|node| node.level == Level::Full);
    found.about(
        ("full_access", Severity::Info, Area::Access),
        |n| {
            let have = if n == 1 { "has" } else { "have" };
            format!(
                "{n} of {} {have} full access: to the whole network and all networks behind it",
                counted(remotes().count(), "enabled remote", "enabled remotes")
            )
        },
        full.map(|node| {
            (Concern::new(&node.name, node.created), Some(format!("wg-friend set {} access=vpn-only", node.name)))
        })
        .collect(),
        "where that is more than is needed, give a lower level, and grants for the rest",
    );
}

/// Links that don't have the preshared key that is wanted of them.
fn preshared(facts: &Facts, found: &mut Found) {
    let concerns = |which: &dyn Fn(Due) -> bool| -> Vec<(Concern, Option<String>)> {
        let breaches = facts.keys.breaches.iter().filter(|breach| which(breach.due));
        let concern = |breach: &Breach| {
            let [a, b] = &breach.nodes;
            let command = match breach.due {
                Due::CannotCarry => None,
                _ => Some(format!("wg-friend psk rotate {a} {b}")),
            };
            (Concern::new(format!("{a} – {b}"), breach.created), command)
        };
        breaches.map(concern).collect()
    };
    found.about(
        ("preshared_key_missing", Severity::Warning, Area::Keys),
        |n| {
            let have = counted(n, "link has", "links have");
            format!("{have} no preshared key, although the policy wants one")
        },
        concerns(&|due| matches!(due, Due::Missing | Due::CannotCarry)),
        "give it one, deploy both ends, and hand out the new file where somebody carries it there",
    );
    found.about(
        ("preshared_key_overdue", Severity::Warning, Area::Keys),
        |n| {
            let are = counted(n, "preshared key is", "preshared keys are");
            format!("{are} older than the policy permits")
        },
        concerns(&|due| due == Due::Overdue),
        "replace it, deploy both ends in one go, and hand out the new file where somebody carries it there",
    );
}

fn of_keys(facts: &Facts, now: DateTime<Utc>, key_age: TimeDelta, found: &mut Found) {
    let keys = &facts.keys;
    let overdue = keys.active.iter().filter(|key| key.enabled && now - key.created > key_age);
    found.about(
        ("key_overdue", Severity::Warning, Area::Keys),
        |n| format!("{} older than {} days", counted(n, "key is", "keys are"), key_age.num_days()),
        overdue
            .map(|key| {
                let concern = Concern::new(format!("{} {}, {} days", key.node, key.interface, key.days), key.created);
                (concern, Some(format!("wg-friend rotate {} --reason scheduled", key.node)))
            })
            .collect(),
        "replace it, deploy, and hand out the new file where somebody carries it there",
    );
    of_policies(facts, found);
    preshared(facts, found);
    let held = keys.active.iter().filter(|key| key.enabled && key.custody == Custody::Held && key.role == Role::Remote);
    found.about(
        ("key_held", Severity::Info, Area::Keys),
        |n| {
            let are = counted(n, "remote's private key is", "remotes' private keys are");
            format!("{are} held in this database: whoever unlocks it can pass for them")
        },
        held.map(|key| {
            (Concern::new(&key.node, key.created), Some(format!("wg-friend set {} custody=shown-once", key.node)))
        })
        .collect(),
        "where no code has to be made again, let the device alone have its key",
    );
    let outdated = keys.devices.iter().filter(|device| device.state == DeviceState::Outdated);
    found.about(
        ("file_outdated", Severity::Warning, Area::Keys),
        |n| format!("{} an older file than would be handed out now", counted(n, "device has", "devices have")),
        outdated
            .map(|device| {
                (Concern::new(&device.node, device.handed_out), Some(format!("wg-friend generate {}", device.node)))
            })
            .collect(),
        "see why, and hand out a new one",
    );
    found.also("file_outdated", "wg-friend handouts");
    let unseen = keys.devices.iter().filter(|d| d.state == DeviceState::UpToDate && !d.seen_in_use);
    found.about(
        ("file_not_seen", Severity::Info, Area::Keys),
        |n| format!("{} not seen to use its file yet", counted(n, "device was", "devices were")),
        unseen
            .map(|device| (Concern::new(&device.node, device.handed_out), Some("wg-friend status --live".to_owned())))
            .collect(),
        "ask its owner, or look whether it connects",
    );
}

fn of_policies(facts: &Facts, found: &mut Found) {
    let concern = |node: &due::Standing| {
        let command = match &node.by_hand {
            Some(_) => format!("wg-friend rotate {}", node.node),
            None => "wg-friend rotation apply".to_owned(),
        };
        (Concern::new(format!("{}: {}, {}", node.node, node.policy, node.why), node.next), Some(command))
    };
    for urgent in [true, false] {
        let due = facts.keys.due.iter().filter(|node| node.urgent == urgent);
        let (code, severity) = match urgent {
            true => ("rotation_urgent", Severity::Critical),
            false => ("rotation_due", Severity::Warning),
        };
        found.about(
            (code, severity, Area::Keys),
            |n| {
                let are = counted(n, "member's key is", "members' keys are");
                match urgent {
                    true => format!("{are} known to somebody who isn't meant to have them, and still in use"),
                    false => format!("{are} due by a rotation policy"),
                }
            },
            due.map(concern).collect(),
            "replace it, deploy, and hand out the new file where somebody carries it there",
        );
    }
}

fn of_changes(facts: &Facts, found: &mut Found) {
    let in_doubt = |state| matches!(state, DeploymentState::Started | DeploymentState::Unknown);
    let open = facts.changes.deployments.iter().filter(|deployment| in_doubt(deployment.outcome));
    found.about(
        ("deployment_open", Severity::Warning, Area::Changes),
        |n| format!("{} without a known end", counted(n, "deployment is", "deployments are")),
        open.map(|deployment| {
            let concern =
                Concern::new(format!("{} version {}", deployment.host, deployment.version), deployment.started);
            (concern, Some("wg-friend deploy --resume".to_owned()))
        })
        .collect(),
        "finish or undo it",
    );
}

fn of_drift(facts: &Facts, found: &mut Found) {
    let open = || facts.drift.items.iter().filter(|item| item.state == Standing::Open);
    let gravest = open().map(|item| item.seen.item.severity).max().unwrap_or(Severity::Warning);
    found.about(
        ("drift_open", gravest.max(Severity::Warning), Area::Drift),
        |n| {
            format!(
                "{} on hosts that nobody has acknowledged",
                counted(n, "difference was found", "differences were found")
            )
        },
        open()
            .map(|item| {
                let seen = &item.seen;
                let subject = format!("{}: {} {}", seen.host, seen.item.kind, seen.item.subject);
                let command = format!("wg-friend plan {}", seen.host);
                (Concern::new(subject.trim_end(), seen.first_seen), Some(command))
            })
            .collect(),
        "undo it with a deploy, take it over into the model, or say why it may be so",
    );
    found.also("drift_open", "wg-friend drift adopt HOST");
    found.also("drift_open", "wg-friend drift ack HOST ITEM --reason TEXT");
    let never = facts.inventory.hosts.iter().filter(|machine| {
        let watched = facts.drift.hosts.iter().find(|host| host.host == machine.name);
        machine.deployed.is_some() && watched.is_none_or(|host| host.scans == 0)
    });
    found.about(
        ("drift_not_checked", Severity::Warning, Area::Drift),
        |n| {
            format!(
                "{} not looked at for changes in the period",
                counted(n, "deployed host was", "deployed hosts were")
            )
        },
        never
            .map(|host| {
                let since = host.deployed.map(|(_, time)| time);
                (Concern::new(&host.name, since), Some(format!("wg-friend drift check {}", host.name)))
            })
            .collect(),
        "look now, and from time to time",
    );
}

fn of_safeguards(facts: &Facts, now: DateTime<Utc>, found: &mut Found) {
    let area = Area::Safeguards;
    let (audit, vault) = (&facts.safeguards.audit, &facts.safeguards.vault);
    if let Some(fault) = audit.fault.as_deref() {
        let what = "the audit log is not as it was written";
        let remedy = "find out who had access to the database; a backup from before has the log as it was";
        found.one(
            ("audit_broken", Severity::Critical, area),
            what,
            Concern::new(fault, None),
            remedy,
            "wg-friend audit verify",
        );
    }
    let failed = audit.failed_unlocks.iter().map(|failed| {
        let from = failed.address.as_ref().map_or_else(String::new, |address| format!(" from {address}"));
        let command = "wg-friend audit log --action unlock_failed".to_owned();
        (Concern::new(format!("{}{from}", failed.operator), failed.time), Some(command))
    });
    found.about(
        ("unlock_failed", Severity::Info, area),
        |n| {
            format!(
                "{} of wrong passphrases",
                counted(n, "entry of the audit log tells", "entries of the audit log tell")
            )
        },
        failed.collect(),
        "ask whether that was a typing error",
    );
    if !vault.encrypted {
        let what = "the database is not encrypted: whoever has its file has every key";
        let remedy = "encrypt it";
        found.one(
            ("vault_unencrypted", Severity::Critical, area),
            what,
            Concern::new("database", None),
            remedy,
            "wg-friend vault encrypt",
        );
    } else {
        let light = vault.slots.iter().filter(|way| way.light);
        let concerns = light.map(|way| {
            let command = format!("wg-friend vault passphrase change {} --kdf standard", way.slot.name);
            (Concern::new(format!("passphrase {}", way.slot.name), way.slot.created), Some(command))
        });
        found.about(
            ("kdf_light", Severity::Warning, area),
            |n| {
                let are = counted(n, "passphrase is", "passphrases are");
                format!("{are} protected by less than the standard profile: guessing costs less")
            },
            concerns.collect(),
            "set it anew with the standard profile, on a machine with a GiB of memory to spare",
        );
        if !vault.recovery {
            // Only somebody who writes into the file takes it away, and then the vault opens for nobody.
            let what = "the recovery key was taken out of the vault, which opens for nobody now";
            let remedy = "restore the newest backup, and find out who had access to the database";
            found.one(
                ("recovery_missing", Severity::Critical, area),
                what,
                Concern::new("vault", None),
                remedy,
                "wg-friend backup list",
            );
        }
    }
    of_backups(facts, now, found);
}

fn of_backups(facts: &Facts, now: DateTime<Utc>, found: &mut Found) {
    let (area, backups) = (Area::Safeguards, &facts.safeguards.backups);
    let Some(newest) = backups.newest else {
        let remedy = "make one, and let a timer make them from now on";
        let concern = Concern::new("database", None);
        let what = "there is no backup of the whole database";
        found.one(("backup_missing", Severity::Critical, area), what, concern, remedy, "wg-friend backup create");
        found.also("backup_missing", "wg-friend backup schedule");
        return;
    };
    if now - newest > TimeDelta::days(BACKUP_DAYS) {
        let what = format!("the newest backup is older than {BACKUP_DAYS} days");
        let remedy = "make one, and let a timer make them from now on";
        let concern = Concern::new("newest backup", newest);
        found.one(("backup_old", Severity::Warning, area), &what, concern, remedy, "wg-friend backup create");
        found.also("backup_old", "wg-friend backup schedule");
    }
    let whole = backups.known.iter().find(|backup| backup.created == newest);
    let command = whole.map_or_else(String::new, |b| format!("wg-friend backup verify {}", &b.id[..8.min(b.id.len())]));
    if backups.verified.is_none() {
        let concern = Concern::new("newest backup", newest);
        let what = "no copy of the newest backup is known to be whole";
        let remedy = "verify it; if it isn't whole, make another one";
        found.one(("backup_unverified", Severity::Warning, area), what, concern, remedy, &command);
    }
    let copies = backups.known.iter().flat_map(|backup| &backup.copies).filter(|copy| copy.fault.is_some());
    found.about(
        ("backup_damaged", Severity::Warning, area),
        |n| format!("{} damaged or gone", counted(n, "copy of a backup is", "copies of backups are")),
        copies
            .map(|copy| {
                let place = match &copy.host {
                    Some(host) => format!("{host}:{}", copy.path.display()),
                    None => copy.path.display().to_string(),
                };
                let fault = copy.fault.as_deref().unwrap_or_default();
                (Concern::new(format!("{place}: {fault}"), copy.made), Some("wg-friend backup create".to_owned()))
            })
            .collect(),
        "make another one, and find out what happened to the place",
    );
    if backups.elsewhere == 0 {
        let concern = Concern::new("newest backup", newest);
        let what = "no copy of the newest backup is on another host that is known: what takes this machine takes both";
        let remedy = "put a copy elsewhere; one that you carried away yourself isn't known here";
        let id = whole.map_or("", |b| &b.id[..8.min(b.id.len())]);
        let command = format!("wg-friend backup push {id} --host HOST --directory /var/backups");
        found.one(("backup_here_only", Severity::Info, area), what, concern, remedy, &command);
    }
}
