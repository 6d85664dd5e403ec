//! The command log: everything that was run on a host, written down before it is sent; of a script that changes
//! something, each step of it.
//!
//! It stands outside the audit log: it is about what wg-friend does, not about what a person decided, and it grows by a
//! dozen lines with every deployment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::deployments::DeploymentId;
use super::error::{Error, Result};
use super::row::Cells;
use super::{Database, Store, hosts, micros};
use crate::model::{CommandState, Name};

/// The most that is kept of an answer, in bytes.
const OUTPUT_LIMIT: usize = 4096;

/// How many commands that belong to no deployment are kept for each host. Those of a deployment are kept as long as it is.
const LOOKS: u32 = 1000;

/// Names a command within one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CommandId(pub i64);

/// A command that was or is to be run on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// Its identity.
    pub id: CommandId,
    /// On which host.
    pub host: Name,
    /// For which deployment.
    pub deployment: Option<DeploymentId>,
    /// What kind of command.
    pub kind: String,
    /// With what; secrets are masked by whoever writes it down.
    pub parameters: String,
    /// Where it stands.
    pub state: CommandState,
    /// What it answered, at most 4 KiB of it.
    pub output: String,
    /// When it was sent.
    pub started: DateTime<Utc>,
    /// How long the answer took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// What it does step by step, in the order in which that is done.
    pub steps: Vec<CommandStep>,
}

/// One step of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandStep {
    /// Its identity.
    pub id: CommandId,
    /// What it changes or does.
    pub kind: String,
    /// What it does, in words.
    pub parameters: String,
    /// The command line, where it is one of the deploy's own. Holds no secret: those stand in files that it names.
    pub command: Option<String>,
    /// Where it stands.
    pub state: CommandState,
    /// What it printed, at most 4 KiB of it, keys masked.
    pub output: String,
    /// When it began; while it is pending, when its script was sent.
    pub started: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// A step that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStep {
    /// What it changes or does.
    pub kind: String,
    /// What it does, in words.
    pub parameters: String,
    /// The command line, without secrets.
    pub command: Option<String>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEnd {
    /// With what.
    pub state: CommandState,
    /// What it printed, without secrets.
    pub output: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// How long it took; `None` when it wasn't carried out, or nobody knows.
    pub duration: Option<Duration>,
}

impl Database {
    /// Lists the newest commands on a host, the newest first, each with its steps.
    pub fn commands(&self, host: &Name, limit: u32) -> Result<Vec<Command>> {
        // A removed host is found by the name it had, for as long as no other host has that name.
        let sql = "SELECT c.id, coalesce(h.name, c.host), c.deployment_id, c.kind, c.parameters, c.state, c.output, c.started,
                          c.duration
                   FROM commands c LEFT JOIN hosts h ON h.id = c.host_id
                   WHERE c.host_id IS ?1 AND (?1 IS NOT NULL OR c.host = ?2) AND c.parent_id IS NULL
                   ORDER BY c.id DESC LIMIT ?3";
        let id = hosts::row_id(&self.conn, host)?;
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, host.as_str(), limit])?;
        let mut commands = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "commands", row };
            let id = CommandId(cells.get(0)?);
            commands.push(Command {
                id,
                host: cells.parse(1)?,
                deployment: cells.get::<Option<i64>>(2)?.map(DeploymentId),
                kind: cells.get(3)?,
                parameters: cells.get(4)?,
                state: cells.parse(5)?,
                output: cells.get(6)?,
                started: cells.time(7)?,
                duration_ms: cells.get(8)?,
                steps: self.steps(id)?,
            });
        }
        Ok(commands)
    }

    fn steps(&self, parent: CommandId) -> Result<Vec<CommandStep>> {
        let sql = "SELECT id, kind, parameters, command, state, output, started, duration
                   FROM commands WHERE parent_id = ?1 ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([parent.0])?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "commands", row };
            steps.push(CommandStep {
                id: CommandId(cells.get(0)?),
                kind: cells.get(1)?,
                parameters: cells.get(2)?,
                command: cells.get(3)?,
                state: cells.parse(4)?,
                output: cells.get(5)?,
                started: cells.time(6)?,
                duration_ms: cells.get(7)?,
            });
        }
        Ok(steps)
    }
}

impl Store {
    /// Writes down a command that is about to be sent, and its steps, as pending. Nothing in them is secret. Returns the
    /// identities of the command and of its steps.
    pub fn command_begin(
        &self,
        host: &Name,
        deployment: Option<DeploymentId>,
        kind: &str,
        parameters: &str,
        steps: &[NewStep],
        now: DateTime<Utc>,
    ) -> Result<(CommandId, Vec<CommandId>)> {
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let sql =
            "INSERT INTO commands (host_id, host, deployment_id, kind, parameters, state, output, started, parent_id,
                     command)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', ?7, ?8, ?9)";
        let host_id = hosts::known_row_id(&transaction, host)?;
        let deployment = deployment.map(|d| d.0);
        let insert = |parent: Option<CommandId>, kind: &str, parameters: &str, command: Option<&str>| -> Result<_> {
            let (pending, parent) = (CommandState::Pending.as_str(), parent.map(|p| p.0));
            let host = host.as_str();
            let values = params![host_id, host, deployment, kind, parameters, pending, micros(now), parent, command];
            transaction.prepare_cached(sql)?.execute(values)?;
            Ok(CommandId(transaction.last_insert_rowid()))
        };
        let id = insert(None, kind, parameters, None)?;
        let steps = steps.iter().map(|s| insert(Some(id), &s.kind, &s.parameters, s.command.as_deref()));
        let steps = steps.collect::<Result<_>>()?;
        if deployment.is_none() {
            let sql = "DELETE FROM commands WHERE parent_id IS NULL AND id <= (
                         SELECT id FROM commands WHERE host_id = ?1 AND deployment_id IS NULL AND parent_id IS NULL
                         ORDER BY id DESC LIMIT 1 OFFSET ?2)
                       AND host_id = ?1 AND deployment_id IS NULL";
            transaction.prepare_cached(sql)?.execute(params![host_id, LOOKS])?;
        }
        transaction.commit()?;
        Ok((id, steps))
    }

    /// Writes down how a command was answered, and how its steps ended. A long output is cut in its middle: what matters
    /// is said first or last.
    pub fn command_end(
        &self,
        id: CommandId,
        success: bool,
        output: &str,
        duration: Duration,
        steps: &[(CommandId, StepEnd)],
    ) -> Result<()> {
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let state = if success { CommandState::Succeeded } else { CommandState::Failed };
        let sql = "UPDATE commands SET state = ?2, output = ?3, duration = ?4 WHERE id = ?1";
        let values = params![id.0, state.as_str(), shorten(output), millis(duration)];
        if transaction.prepare_cached(sql)?.execute(values)? != 1 {
            return Err(Error::NotFound { what: "command", name: format!("number {}", id.0) });
        }
        let sql = "UPDATE commands SET state = ?2, output = ?3, duration = ?4, started = ?5 WHERE id = ?1";
        for (step, end) in steps {
            let (state, duration) = (end.state.as_str(), end.duration.map(millis));
            let values = params![step.0, state, shorten(&end.output), duration, micros(end.started)];
            transaction.prepare_cached(sql)?.execute(values)?;
        }
        Ok(transaction.commit()?)
    }

    /// Declares the pending commands of a host unknown: whoever sent them is gone. Returns how many there were.
    pub fn mark_pending_unknown(&self, host: &Name) -> Result<usize> {
        let host_id = hosts::known_row_id(&self.conn, host)?;
        let sql = "UPDATE commands SET state = ?2 WHERE host_id = ?1 AND state = 'pending'";
        Ok(self.conn.execute(sql, params![host_id, CommandState::Unknown.as_str()])?)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Cuts the middle out of what is longer than [`OUTPUT_LIMIT`], between characters.
fn shorten(output: &str) -> String {
    if output.len() <= OUTPUT_LIMIT {
        return output.to_owned();
    }
    let half = OUTPUT_LIMIT / 2 - 40; // room for the line in between
    let (head, tail) = (output.floor_char_boundary(half), output.ceil_char_boundary(output.len() - half));
    format!("{}\n[... {} bytes left out ...]\n{}", &output[..head], tail - head, &output[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_keeps_its_ends() {
        let long = format!("first{}last", "ä".repeat(5000));
        let short = shorten(&long);
        assert!(short.len() <= OUTPUT_LIMIT, "{}", short.len());
        assert!(short.starts_with("first") && short.ends_with("last") && short.contains("bytes left out"));
        assert_eq!(shorten("short"), "short");
    }
}
