//! Which controls the evidence of a report supports. The numbers and titles are those of ISO/IEC 27001:2022, Annex A; the
//! criteria of SOC 2 (AICPA, 2017 Trust Services Criteria with the points of focus of 2022) have no titles, so theirs are
//! described in our own words.

use serde::Serialize;

use super::warnings::Area;

/// A control that some evidence supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Of which framework.
    pub framework: &'static str,
    /// Its number there.
    pub number: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Which part of the report is evidence for it.
    pub area: Area,
    /// What that evidence shows, in a sentence.
    pub evidence: &'static str,
}

const SOC2: &str = "SOC 2";
const ISO: &str = "ISO/IEC 27001:2022 Annex A";

/// Framework, number, title, area, evidence.
type Row = (&'static str, &'static str, &'static str, Area, &'static str);

const CONTROLS: &[Row] = &[
    (
        SOC2,
        "CC6.1",
        "logical access to systems and information is restricted",
        Area::Access,
        "The level, the grants and the groups of every node, and the servers on which they are enforced.",
    ),
    (
        SOC2,
        "CC6.2",
        "users and devices are registered and authorised before they get access",
        Area::Inventory,
        "Every node with the time and the way by which it came into the model.",
    ),
    (
        SOC2,
        "CC6.3",
        "access is given, changed and taken away by role, as little as is needed",
        Area::Access,
        "Grants with their ends and reasons, and every change of access in the period with its operator.",
    ),
    (
        SOC2,
        "CC6.6",
        "systems are protected against access from outside their boundaries",
        Area::Access,
        "The servers that judge what comes in through the tunnels, and those that don't.",
    ),
    (
        SOC2,
        "CC6.6",
        "systems are protected against access from outside their boundaries",
        Area::Keys,
        "The key by which each device is told from others, its age, and who has it.",
    ),
    (
        SOC2,
        "CC6.7",
        "information is protected while it is transmitted",
        Area::Keys,
        "Every link is encrypted by WireGuard; its keys and preshared keys are listed with their ages.",
    ),
    (
        SOC2,
        "CC7.1",
        "changes of configuration that weaken security are detected",
        Area::Drift,
        "Every look at hosts in the period and every difference from what was deployed.",
    ),
    (
        SOC2,
        "CC7.2",
        "systems are monitored for what is out of the ordinary",
        Area::Drift,
        "Differences found on hosts, with how grave they are and since when they are known.",
    ),
    (
        SOC2,
        "CC7.2",
        "systems are monitored for what is out of the ordinary",
        Area::Safeguards,
        "The audit log by category and severity, and failed attempts to unlock the database.",
    ),
    (SOC2, "CC7.3", "events are evaluated", Area::Drift, "Who acknowledged a difference, why, and until when."),
    (
        SOC2,
        "CC7.4",
        "incidents are responded to",
        Area::Changes,
        "Deployments that failed or were undone, and returns to earlier configurations.",
    ),
    (
        SOC2,
        "CC7.5",
        "systems are restored after incidents",
        Area::Safeguards,
        "Backups, when each was last proven whole, and where copies are.",
    ),
    (
        SOC2,
        "CC8.1",
        "changes are authorised, documented and carried out in a controlled way",
        Area::Changes,
        "Every change of the model with its time and operator, and every deployment with its outcome.",
    ),
    (
        ISO,
        "5.9",
        "Inventory of information and other associated assets",
        Area::Inventory,
        "Every node, machine and network behind a node.",
    ),
    (ISO, "5.15", "Access control", Area::Access, "The level of every node, and what it means."),
    (
        ISO,
        "5.16",
        "Identity management",
        Area::Inventory,
        "Each node has one permanent name, its first public key, which survives new names and keys.",
    ),
    (
        ISO,
        "5.17",
        "Authentication information",
        Area::Keys,
        "Who has each private key, and which files with keys were handed out.",
    ),
    (
        ISO,
        "5.18",
        "Access rights",
        Area::Access,
        "Grants with their ends and reasons, and every change of them in the period.",
    ),
    (
        ISO,
        "5.28",
        "Collection of evidence",
        Area::Safeguards,
        "The signed head of the audit log, by which a copy of the log can be proven complete.",
    ),
    (
        ISO,
        "5.33",
        "Protection of records",
        Area::Safeguards,
        "The outcome of verifying the audit log, in which each entry is bound to those before.",
    ),
    (
        ISO,
        "8.2",
        "Privileged access rights",
        Area::Access,
        "The nodes with full access, and the operators who changed access.",
    ),
    (
        ISO,
        "8.3",
        "Information access restriction",
        Area::Access,
        "What each node may reach, and where that is enforced.",
    ),
    (
        ISO,
        "8.5",
        "Secure authentication",
        Area::Keys,
        "Each device proves itself by a key of its own; shared ones don't exist.",
    ),
    (
        ISO,
        "8.9",
        "Configuration management",
        Area::Changes,
        "The numbered states of the model and the versions on each host.",
    ),
    (ISO, "8.9", "Configuration management", Area::Drift, "Where hosts differ from what was deployed to them."),
    (
        ISO,
        "8.13",
        "Information backup",
        Area::Safeguards,
        "Backups, when each was last proven whole, and where copies are.",
    ),
    (
        ISO,
        "8.15",
        "Logging",
        Area::Safeguards,
        "How many entries the audit log has, and whether it is as it was written.",
    ),
    (ISO, "8.16", "Monitoring activities", Area::Drift, "How often each host was looked at, and what was found."),
    (
        ISO,
        "8.20",
        "Networks security",
        Area::Inventory,
        "The machines, links and networks behind nodes, and how each is reached.",
    ),
    (ISO, "8.22", "Segregation of networks", Area::Access, "Which networks behind nodes each node may reach."),
    (
        ISO,
        "8.24",
        "Use of cryptography",
        Area::Keys,
        "The age of every key, its replacements in the period, and preshared keys.",
    ),
    (
        ISO,
        "8.24",
        "Use of cryptography",
        Area::Safeguards,
        "Whether secrets at rest are encrypted, and what protects the key to them.",
    ),
    (
        ISO,
        "8.32",
        "Change management",
        Area::Changes,
        "Every change and deployment with its time, operator and outcome.",
    ),
];

/// Returns the controls that some areas of evidence support.
pub fn of(areas: &[Area]) -> Vec<Control> {
    let wanted = CONTROLS.iter().filter(|row| areas.contains(&row.3));
    wanted
        .map(|&(framework, number, title, area, evidence)| Control { framework, number, title, area, evidence })
        .collect()
}
