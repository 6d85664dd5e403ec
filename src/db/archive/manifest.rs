//! The manifest of a backup: what is in it, part by part.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::model::Name;

/// What a backup holds, and what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Random name of the backup, as in the header.
    pub id: String,
    /// What it has of the database.
    pub kind: Kind,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
    /// The version of wg-friend that made it.
    pub version: String,
    /// The random name of the database.
    pub database: String,
    /// The number of the schema.
    pub schema: usize,
    /// The networks, in the order in which they were made.
    pub networks: Vec<NetworkCounts>,
    /// How many entries the audit log had.
    pub audit_entries: i64,
    /// The signed head of the audit log, as C2SP tlog-checkpoint writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head: Option<String>,
    /// What an incremental one builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The parts, in the order in which they follow.
    pub parts: Vec<Part>,
    /// The configurations that only come out of the database in it, of which the backup has no more than this: an incremental
    /// one has nothing twice, and under a passphrase that isn't the vault's they would show the keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<Part>,
}

impl Manifest {
    /// Whether it lists what a backup of its kind has: pages and what they build on, or neither.
    pub(super) fn is_of_its_kind(&self) -> bool {
        let count = |what: &What| self.parts.iter().filter(|part| part.what == *what).count();
        let (databases, pages) = (count(&What::Database), count(&What::Pages));
        match self.kind {
            Kind::Incremental => self.base.is_some() && (databases, pages) == (0, 1),
            Kind::Full => self.base.is_none() && (databases, pages) == (1, 0),
            Kind::ConfigOnly | Kind::KeysOnly => self.base.is_none() && (databases, pages) == (0, 0),
        }
    }

    /// Returns every configuration, whether it follows or only its checksum is here.
    pub fn configs(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().chain(&self.sums).filter(|part| matches!(part.what, What::Config { .. }))
    }
}

/// What an incremental backup builds on, and what comes of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The random name of the full backup.
    pub id: String,
    /// SHA-256 of the database in that, in hexadecimal.
    pub sha256: String,
    /// How long the pages are that follow.
    pub page_size: u32,
    /// How many pages the database has that comes of both.
    pub pages: u32,
    /// SHA-256 of it, in hexadecimal.
    pub result: String,
}

/// A network of the manifest, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCounts {
    /// Its name.
    pub name: Name,
    /// How many nodes it has.
    pub nodes: usize,
    /// How many links.
    pub links: usize,
    /// How many hosts its nodes live on.
    pub hosts: usize,
    /// How many private keys are held.
    pub private_keys: usize,
    /// How many preshared keys there are.
    pub preshared_keys: usize,
    /// How many files its configurations are.
    pub configs: usize,
    /// Why it has no configurations, if the model contradicted itself then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A part of the contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum What {
    /// The SQLite file.
    Database,
    /// The pages of the SQLite file that differ from the base's.
    Pages,
    /// Private and preshared keys, as JSON.
    Keys,
    /// A configuration.
    Config {
        /// Of which network.
        network: Name,
        /// Of which node.
        node: Name,
        /// Where it belongs in a directory of the network: `hub/wg0.conf`.
        file: String,
    },
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database => f.write_str("the database"),
            Self::Pages => f.write_str("its pages"),
            Self::Keys => f.write_str("the keys"),
            Self::Config { network, file, .. } => write!(f, "the configuration {network}/{file}"),
        }
    }
}
