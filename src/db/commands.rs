//! The command log: everything that was run on a host, written down before it is sent.
//!
//! It stands outside the audit log: it is about what wg-friend does, not about what a person decided, and it grows by a
//! dozen lines with every deployment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::params;
use serde::Serialize;

use super::deployments::DeploymentId;
use super::error::{Error, Result};
use super::row::Cells;
use super::{Database, Store, hosts, micros};
use crate::model::{CommandState, Name};

/// The most that is kept of an answer, in bytes.
const OUTPUT_LIMIT: usize = 4096;

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
}

impl Database {
    /// Lists the newest commands on a host, the newest first.
    pub fn commands(&self, host: &Name, limit: u32) -> Result<Vec<Command>> {
        // A removed host is found by the name it had, for as long as no other host has that name.
        let sql = "SELECT c.id, coalesce(h.name, c.host), c.deployment_id, c.kind, c.parameters, c.state, c.output, c.started,
                          c.duration
                   FROM commands c LEFT JOIN hosts h ON h.id = c.host_id
                   WHERE c.host_id IS ?1 AND (?1 IS NOT NULL OR c.host = ?2) ORDER BY c.id DESC LIMIT ?3";
        let id = hosts::row_id(&self.conn, host)?;
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![id, host.as_str(), limit])?;
        let mut commands = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "commands", row };
            commands.push(Command {
                id: CommandId(cells.get(0)?),
                host: cells.parse(1)?,
                deployment: cells.get::<Option<i64>>(2)?.map(DeploymentId),
                kind: cells.get(3)?,
                parameters: cells.get(4)?,
                state: cells.parse(5)?,
                output: cells.get(6)?,
                started: cells.time(7)?,
                duration_ms: cells.get(8)?,
            });
        }
        Ok(commands)
    }
}

impl Store {
    /// Writes down a command that is about to be sent, as pending. Its parameters hold no secret.
    pub fn command_begin(
        &self,
        host: &Name,
        deployment: Option<DeploymentId>,
        kind: &str,
        parameters: &str,
        now: DateTime<Utc>,
    ) -> Result<CommandId> {
        let sql = "INSERT INTO commands (host_id, host, deployment_id, kind, parameters, state, output, started)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', ?7)";
        let host_id = hosts::known_row_id(&self.conn, host)?;
        let pending = CommandState::Pending.as_str();
        let values = params![host_id, host.as_str(), deployment.map(|d| d.0), kind, parameters, pending, micros(now)];
        self.conn.prepare_cached(sql)?.execute(values)?;
        Ok(CommandId(self.conn.last_insert_rowid()))
    }

    /// Writes down how a command was answered. A long output is cut in its middle: what matters is said first or last.
    pub fn command_end(&self, id: CommandId, success: bool, output: &str, duration: Duration) -> Result<()> {
        let state = if success { CommandState::Succeeded } else { CommandState::Failed };
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let sql = "UPDATE commands SET state = ?2, output = ?3, duration = ?4 WHERE id = ?1";
        let values = params![id.0, state.as_str(), shorten(output), millis];
        match self.conn.prepare_cached(sql)?.execute(values)? {
            1 => Ok(()),
            _ => Err(Error::NotFound { what: "command", name: format!("number {}", id.0) }),
        }
    }

    /// Declares the pending commands of a host unknown: whoever sent them is gone. Returns how many there were.
    pub fn mark_pending_unknown(&self, host: &Name) -> Result<usize> {
        let host_id = hosts::known_row_id(&self.conn, host)?;
        let sql = "UPDATE commands SET state = ?2 WHERE host_id = ?1 AND state = 'pending'";
        Ok(self.conn.execute(sql, params![host_id, CommandState::Unknown.as_str()])?)
    }
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
