//! Who did what: the words of the audit log, and the states of what is recorded about hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::node::{InvalidWord, words};
use super::{Group, Name, Network, Node};

words! {
    /// What part of the operator's concerns an event touches.
    Category, "category" {
        /// Keys, passphrases, unlocking.
        Security = "security",
        /// The model and what is generated and deployed from it.
        Configuration = "configuration",
        /// Who may reach what.
        Access = "access",
        /// wg-friend itself.
        System = "system",
    }
}

words! {
    /// How much an event deserves a second look.
    Severity, "severity" {
        /// Everyday.
        Info = "info",
        /// Worth a look.
        Warning = "warning",
        /// Needs a look.
        Critical = "critical",
    }
}

words! {
    /// Through which face something was done.
    Source, "source" {
        /// The command line.
        Cli = "cli",
        /// The terminal screens.
        Tui = "tui",
        /// The HTTP interface.
        Api = "api",
        /// The dashboard.
        Web = "web",
        /// A scheduled job.
        Job = "job",
    }
}

words! {
    /// What kind of thing an event is about.
    EntityType, "entity type" {
        /// The database and its vault.
        Database = "database",
        /// A network.
        Network = "network",
        /// A node; its guid names it.
        Node = "node",
        /// A machine; its name names it.
        Host = "host",
        /// A group of nodes; its name names it.
        Group = "group",
        /// A group of exits; its name names it.
        ExitGroup = "exit_group",
        /// A rotation policy; its name names it.
        Policy = "policy",
    }
}

words! {
    /// What was done.
    Action, "action" {
        /// The database was made, with its network.
        DatabaseCreated = "database_created",
        /// The database was made without encryption.
        EncryptionDisabled = "encryption_disabled",
        /// A database that was made without encryption was encrypted.
        EncryptionEnabled = "encryption_enabled",
        /// The data key was taken out of the vault with a passphrase or the recovery key.
        Unlocked = "unlocked",
        /// Somebody tried a wrong passphrase.
        UnlockFailed = "unlock_failed",
        /// The passphrase was replaced.
        PassphraseChanged = "passphrase_changed",
        /// One more passphrase unlocks.
        PassphraseAdded = "passphrase_added",
        /// A passphrase no longer unlocks.
        PassphraseRemoved = "passphrase_removed",
        /// The ways to the data key were brought to the form that this version gives them.
        VaultUpgraded = "vault_upgraded",
        /// The recovery key was replaced.
        RecoveryKeyChanged = "recovery_key_changed",
        /// Everything sealed was sealed anew under a new data key.
        Rekeyed = "rekeyed",
        /// A backup was made, or a copy of one put somewhere.
        BackupCreated = "backup_created",
        /// The database became what a backup holds.
        BackupRestored = "backup_restored",
        /// A copy of a backup was removed.
        BackupRemoved = "backup_removed",
        /// A secret was shown to the operator.
        SecretRevealed = "secret_revealed",
        /// A network was added to the database.
        NetworkAdded = "network_added",
        /// A network was removed from the database.
        NetworkRemoved = "network_removed",
        /// The network's prefixes or defaults changed.
        NetworkUpdated = "network_updated",
        /// A network that was there before was adopted, or more of it.
        Imported = "imported",
        /// A node was added.
        PeerAdded = "peer_added",
        /// A node was removed.
        PeerRemoved = "peer_removed",
        /// A node changed.
        PeerUpdated = "peer_updated",
        /// What a node may reach changed.
        AccessChanged = "access_changed",
        /// A remote was given an exit, or another one.
        NodeAssigned = "node_assigned",
        /// A group of nodes was made.
        GroupAdded = "group_added",
        /// A group of nodes changed.
        GroupUpdated = "group_updated",
        /// A group of nodes was removed.
        GroupRemoved = "group_removed",
        /// Rules by which internet traffic takes other ways changed.
        ExitRulesChanged = "exit_rules_changed",
        /// A group of exits was added.
        ExitGroupAdded = "exit_group_added",
        /// A group of exits changed.
        ExitGroupUpdated = "exit_group_updated",
        /// A group of exits was removed.
        ExitGroupRemoved = "exit_group_removed",
        /// The traffic of a group of exits was sent by another exit.
        ExitSwitched = "exit_switched",
        /// Nodes were linked directly, or their link got another weight.
        LinkMade = "link_made",
        /// A direct link between nodes was taken away.
        LinkRemoved = "link_removed",
        /// A key was replaced.
        KeyRotation = "key_rotation",
        /// When keys are to be replaced was changed.
        PolicyChanged = "policy_changed",
        /// Something happened to nodes that calls for other keys.
        RotationCalledFor = "rotation_called_for",
        /// A private key was wiped from the database.
        PrivateKeyForgotten = "private_key_forgotten",
        /// Preshared keys were made, replaced or removed.
        PresharedKeyChanged = "preshared_key_changed",
        /// What is wanted of preshared keys changed.
        PskPolicyChanged = "psk_policy_changed",
        /// What a node's hooks did was handed to wg-friend's own firewall.
        HooksAdopted = "hooks_adopted",
        /// A node got its own hooks back.
        HooksKept = "hooks_kept",
        /// A machine was added.
        HostAdded = "host_added",
        /// A machine changed.
        HostUpdated = "host_updated",
        /// A machine was removed.
        HostRemoved = "host_removed",
        /// What a host had was stored before something was taken away there.
        HostCopied = "host_copied",
        /// Somebody acknowledged what was changed on a host.
        DriftAcknowledged = "drift_acknowledged",
        /// He took that back.
        DriftAckRemoved = "drift_ack_removed",
        /// What was changed on a host was taken into the model.
        DriftAdopted = "drift_adopted",
        /// Files were made from the model.
        ConfigGenerated = "config_generated",
        /// A node's file was handed out.
        ConfigHandedOut = "config_handed_out",
        /// A deployment to a host began.
        DeployStarted = "deploy_started",
        /// A host confirmed a deployment.
        ConfigDeployed = "config_deployed",
        /// A host went back to what it had before, or a deployment failed.
        DeployFailed = "deploy_failed",
        /// An earlier version was deployed again.
        ConfigRolledBack = "config_rolled_back",
        /// The model was brought back to an earlier state.
        ModelRolledBack = "model_rolled_back",
    }
}

impl Action {
    /// Returns the category an action belongs to.
    pub fn category(self) -> Category {
        use Action as A;
        match self {
            A::DatabaseCreated | A::BackupCreated | A::BackupRestored | A::BackupRemoved => Category::System,
            A::EncryptionDisabled
            | A::EncryptionEnabled
            | A::Unlocked
            | A::UnlockFailed
            | A::PassphraseChanged
            | A::PassphraseAdded
            | A::PassphraseRemoved
            | A::VaultUpgraded
            | A::RecoveryKeyChanged
            | A::Rekeyed
            | A::SecretRevealed
            | A::KeyRotation
            | A::PolicyChanged
            | A::RotationCalledFor
            | A::PrivateKeyForgotten
            | A::PresharedKeyChanged
            | A::PskPolicyChanged => Category::Security,
            A::AccessChanged
            | A::NodeAssigned
            | A::ExitRulesChanged
            | A::GroupAdded
            | A::GroupUpdated
            | A::GroupRemoved => Category::Access,
            A::NetworkAdded
            | A::NetworkRemoved
            | A::NetworkUpdated
            | A::LinkMade
            | A::LinkRemoved
            | A::ExitGroupAdded
            | A::ExitGroupUpdated
            | A::ExitGroupRemoved
            | A::ExitSwitched
            | A::Imported
            | A::PeerAdded
            | A::PeerRemoved
            | A::PeerUpdated
            | A::HooksAdopted
            | A::HooksKept
            | A::HostAdded
            | A::HostUpdated
            | A::HostRemoved
            | A::HostCopied
            | A::DriftAcknowledged
            | A::DriftAckRemoved
            | A::DriftAdopted
            | A::ConfigGenerated
            | A::ConfigHandedOut
            | A::DeployStarted
            | A::ConfigDeployed
            | A::DeployFailed
            | A::ConfigRolledBack
            | A::ModelRolledBack => Category::Configuration,
        }
    }

    /// Returns the severity an action has unless its event says otherwise.
    pub fn severity(self) -> Severity {
        use Action as A;
        match self {
            A::EncryptionDisabled
            | A::UnlockFailed
            | A::PassphraseChanged
            | A::PassphraseAdded
            | A::PassphraseRemoved
            | A::RecoveryKeyChanged
            | A::Rekeyed
            | A::SecretRevealed
            | A::RotationCalledFor
            | A::NetworkRemoved
            | A::PeerRemoved
            | A::HostRemoved
            | A::ExitGroupRemoved
            | A::DeployFailed
            | A::ModelRolledBack
            | A::BackupRestored => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

/// Who does something, and through what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Login name.
    pub operator: String,
    /// Where the person sits, when that is another machine: the client's address of SSH or HTTP.
    pub address: Option<String>,
    /// Through which face.
    pub source: Source,
}

/// Something that was done: becomes an entry of the audit log together with the [`Actor`] and the time.
///
/// Details never hold a secret: the log is readable without the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// Of what category; by default the action's.
    pub category: Category,
    /// How serious; by default the action's.
    pub severity: Severity,
    /// To what kind of thing.
    pub entity_type: EntityType,
    /// To which one.
    pub entity_guid: Option<String>,
    /// Whatever else is worth knowing, as a JSON object.
    pub details: Value,
}

impl Event {
    fn new(action: Action, entity_type: EntityType, entity_guid: Option<String>, details: Value) -> Self {
        let (category, severity) = (action.category(), action.severity());
        Self { action, category, severity, entity_type, entity_guid, details }
    }

    /// Something done to the database as a whole.
    pub fn database(action: Action) -> Self {
        Self::new(action, EntityType::Database, None, json!({}))
    }

    /// Something done to a network.
    pub fn network(action: Action, network: &Network) -> Self {
        Self::new(action, EntityType::Network, Some(network.name.to_string()), json!({ "name": network.name }))
    }

    /// Something done to a node.
    pub fn node(action: Action, node: &Node) -> Self {
        Self::new(action, EntityType::Node, Some(node.guid.to_string()), json!({ "name": node.name }))
    }

    /// Something done to a host.
    pub fn host(action: Action, host: &Name) -> Self {
        Self::new(action, EntityType::Host, Some(host.to_string()), json!({ "name": host }))
    }

    /// Something done to a group of nodes.
    pub fn group(action: Action, group: &Group) -> Self {
        Self::new(action, EntityType::Group, Some(group.name.to_string()), json!({ "name": group.name }))
    }

    /// Something done to a group of exits.
    pub fn exit_group(action: Action, group: &Name) -> Self {
        Self::new(action, EntityType::ExitGroup, Some(group.to_string()), json!({ "name": group }))
    }

    /// Something done to a rotation policy.
    pub fn policy(action: Action, policy: &Name) -> Self {
        Self::new(action, EntityType::Policy, Some(policy.to_string()), json!({ "name": policy }))
    }

    /// Adds a detail; one of the same name is replaced.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(details) = &mut self.details {
            details.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds what the thing was before and what it is now; of two objects only the members that differ.
    pub fn change(self, before: &impl Serialize, after: &impl Serialize) -> Self {
        let text = |e: serde_json::Error| Value::String(format!("not representable: {e}"));
        let mut before = serde_json::to_value(before).unwrap_or_else(text);
        let mut after = serde_json::to_value(after).unwrap_or_else(text);
        if let (Value::Object(old), Value::Object(new)) = (&mut before, &mut after) {
            let same: Vec<String> =
                old.iter().filter(|(k, v)| new.get(*k) == Some(v)).map(|(k, _)| k.clone()).collect();
            for name in same {
                old.remove(&name);
                new.remove(&name);
            }
        }
        self.with("before", before).with("after", after)
    }

    /// Replaces the severity.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

words! {
    /// Where a key of an interface stands.
    KeyState, "key state" {
        /// Known to the peers, not yet used.
        Staged = "staged",
        /// In use.
        Active = "active",
        /// Was used once.
        Retired = "retired",
    }
}

words! {
    /// Where a deployment stands.
    DeploymentState, "deployment state" {
        /// Under way, or interrupted.
        Started = "started",
        /// The host runs it.
        Confirmed = "confirmed",
        /// The host went back to what it had before.
        Reverted = "reverted",
        /// It ended before anything was changed.
        Failed = "failed",
        /// It was interrupted, and what the host made of it isn't known.
        Unknown = "unknown",
        /// It never was one: what somebody found on the host, stored before something was taken away there.
        Found = "found",
    }
}

words! {
    /// Where a command on a host stands.
    CommandState, "command state" {
        /// About to be sent, or sent and not yet answered.
        Pending = "pending",
        /// Answered with success.
        Succeeded = "succeeded",
        /// Answered with failure.
        Failed = "failed",
        /// Interrupted before its answer was seen.
        Unknown = "unknown",
        /// Not carried out: what came before it failed.
        Skipped = "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_only_what_differs() {
        let event = Event::database(Action::NetworkUpdated)
            .change(&json!({ "port": 51820, "mtu": 1420 }), &json!({ "port": 51821, "mtu": 1420 }))
            .with("why", "moved");
        insta::assert_snapshot!(event.details, @r#"{"after":{"port":51821},"before":{"port":51820},"why":"moved"}"#);
    }

    #[test]
    fn severity_follows_the_action_unless_given() {
        assert_eq!(Event::database(Action::UnlockFailed).severity, Severity::Warning);
        assert_eq!(Event::database(Action::UnlockFailed).severity(Severity::Critical).severity, Severity::Critical);
        assert_eq!(Event::database(Action::Unlocked).category, Category::Security);
    }
}
