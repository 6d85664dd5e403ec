//! What rotation policies had done.

use chrono::{DateTime, Utc};
use rusqlite::params;
use serde::Serialize;

use crate::db::error::Result;
use crate::db::networks::NETWORK;
use crate::db::row::Cells;
use crate::db::{Database, Store, micros};
use crate::model::{Name, NodeId, PublicKey};

/// Names an execution within one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionId(pub(super) i64);

/// A rotation that is about to begin.
#[derive(Clone, Debug)]
pub struct NewExecution<'a> {
    /// Whose key.
    pub node: NodeId,
    /// That node's name.
    pub name: &'a Name,
    /// The policy by which it is due.
    pub policy: &'a Name,
    /// Why it is due, in words.
    pub why: &'a str,
    /// Who has it done.
    pub operator: &'a str,
    /// When.
    pub started: DateTime<Utc>,
    /// The key that the node's main interface has.
    pub old_key: PublicKey,
    /// Whether the hosts concerned are to be deployed afterwards.
    pub deploy: bool,
}

/// A rotation whose hosts were to be deployed and aren't, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeployed {
    /// Which.
    pub id: ExecutionId,
    /// Whose key.
    pub node: NodeId,
    /// That node's name then.
    pub name: String,
    /// The policy, by its name then.
    pub policy: String,
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub enum ExecutionEnd {
    /// The node's main interface has this key now, or is to have it.
    Rotated(PublicKey),
    /// It has the old one still, and why.
    Failed(String),
}

/// A rotation that a policy had done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// Counts up.
    pub id: i64,
    /// The node, by its name then.
    pub node: String,
    /// The policy, by its name then.
    pub policy: String,
    /// Why the key was due.
    pub why: String,
    /// Who had it done.
    pub operator: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it is under way, or when it was interrupted.
    pub finished: Option<DateTime<Utc>>,
    /// The key that the node's main interface had.
    pub old_key: PublicKey,
    /// The one that it got.
    pub new_key: Option<PublicKey>,
    /// Why it got none.
    pub error: Option<String>,
    /// Whether the hosts concerned were deployed; `None` when that wasn't asked for.
    pub deployed: Option<bool>,
    /// Why not, if they should have been; `None` also when nobody has got that far yet.
    pub deploy_note: Option<String>,
}

impl Database {
    /// Lists the rotations of the network whose hosts were to be deployed and aren't, the oldest first: those whose deploy
    /// failed, and those that were interrupted before it.
    pub fn undeployed_rotations(&self) -> Result<Vec<Undeployed>> {
        let sql = format!(
            "SELECT id, node_id, node, policy FROM rotation_executions
             WHERE network_id = {NETWORK} AND deployed = 0 AND error IS NULL ORDER BY id"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "rotation_executions", row };
            found.push(Undeployed {
                id: ExecutionId(cells.get(0)?),
                node: NodeId(cells.get(1)?),
                name: cells.get(2)?,
                policy: cells.get(3)?,
            });
        }
        Ok(found)
    }

    /// Lists what policies had done in the network, the newest first: of one node when it is given, at most so many.
    pub fn rotation_executions(&self, node: Option<NodeId>, limit: u32) -> Result<Vec<Execution>> {
        let sql = format!(
            "SELECT id, node, policy, why, operator, started, finished, old_key, new_key, error, deployed, deploy_note
             FROM rotation_executions WHERE network_id = {NETWORK} AND (?1 IS NULL OR node_id = ?1)
             ORDER BY id DESC LIMIT ?2"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![node.map(|id| id.0), limit])?;
        let mut executions = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "rotation_executions", row };
            executions.push(Execution {
                id: cells.get(0)?,
                node: cells.get(1)?,
                policy: cells.get(2)?,
                why: cells.get(3)?,
                operator: cells.get(4)?,
                started: cells.time(5)?,
                finished: cells.time_some(6)?,
                old_key: cells.parse(7)?,
                new_key: cells.parse_some(8)?,
                error: cells.get(9)?,
                deployed: cells.get(10)?,
                deploy_note: cells.get(11)?,
            });
        }
        Ok(executions)
    }
}

impl Store {
    /// Notes that a rotation begins, and whether hosts are to be deployed for it: whoever comes next knows, whatever happens
    /// meanwhile. The rotation itself has its entry in the audit log.
    pub fn begin_rotation(&mut self, new: &NewExecution<'_>) -> Result<ExecutionId> {
        self.quietly(|tx| {
            let sql = format!(
                "INSERT INTO rotation_executions (network_id, node_id, node, policy, why, operator, started, old_key, deployed)
                 VALUES ({NETWORK}, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            );
            let (name, policy, old) = (new.name.as_str(), new.policy.as_str(), new.old_key.to_string());
            let (started, deployed) = (micros(new.started), new.deploy.then_some(false));
            let values = params![new.node.0, name, policy, new.why, new.operator, started, old, deployed];
            tx.transaction.prepare_cached(&sql)?.execute(values)?;
            Ok(ExecutionId(tx.transaction.last_insert_rowid()))
        })
    }

    /// Notes how a rotation ended. For one that failed nothing is to be deployed.
    pub fn finish_rotation(&mut self, id: ExecutionId, end: &ExecutionEnd, now: DateTime<Utc>) -> Result<()> {
        self.quietly(|tx| {
            let (new, error) = match end {
                ExecutionEnd::Rotated(key) => (Some(key.to_string()), None),
                ExecutionEnd::Failed(why) => (None, Some(why.as_str())),
            };
            let sql = "UPDATE rotation_executions SET finished = ?2, new_key = ?3, error = ?4,
                         deployed = iif(?4 IS NULL, deployed, NULL) WHERE id = ?1";
            tx.transaction.prepare_cached(sql)?.execute(params![id.0, micros(now), new, error])?;
            Ok(())
        })
    }

    /// Notes whether the hosts that a rotation concerns were deployed, and why not.
    pub fn note_rotation_deployed(&mut self, id: ExecutionId, failure: Option<&str>) -> Result<()> {
        self.quietly(|tx| {
            let sql = "UPDATE rotation_executions SET deployed = ?2, deploy_note = ?3 WHERE id = ?1";
            tx.transaction.prepare_cached(sql)?.execute(params![id.0, failure.is_none(), failure])?;
            Ok(())
        })
    }

    /// Notes that nothing is to be deployed for a rotation any more.
    pub fn forget_rotation_deploy(&mut self, id: ExecutionId) -> Result<()> {
        self.quietly(|tx| {
            let sql = "UPDATE rotation_executions SET deployed = NULL, deploy_note = NULL WHERE id = ?1";
            tx.transaction.prepare_cached(sql)?.execute([id.0])?;
            Ok(())
        })
    }
}
