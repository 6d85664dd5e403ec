//! What was deployed to hosts: every attempt is a version, with its content sealed.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::generated::sha256;
use super::row::Cells;
use super::tx::Tx;
use super::vault::{DEPLOYED, OBSERVED};
use super::{Database, Store, hosts, micros};
use crate::model::{DeploymentState, Name};

/// Names a deployment within one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DeploymentId(pub i64);

/// A deployment to one host, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// Its identity.
    pub id: DeploymentId,
    /// To which host.
    pub host: Name,
    /// Counts up per host, from 1.
    pub version: i64,
    /// Names the watchdog on the host. No secret: only root there can do anything with it.
    pub token: String,
    /// Where it stands.
    pub state: DeploymentState,
    /// Who deployed.
    pub operator: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// What is worth saying about its end.
    pub note: Option<String>,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
}

/// A removed host is found by the name it had, for as long as no other host has that name.
const OF_HOST: &str = "d.host_id IS ?1 AND (?1 IS NOT NULL OR d.host = ?2)";

impl Database {
    /// Lists the deployments that have begun and not ended: under way elsewhere, or interrupted.
    pub fn open_deployments(&self) -> Result<Vec<Deployment>> {
        self.read_deployments("d.state = 'started' ORDER BY d.id", [])
    }

    /// Lists the newest deployments to a host, the newest first.
    pub fn deployments(&self, host: &Name, limit: u32) -> Result<Vec<Deployment>> {
        let id = hosts::row_id(&self.conn, host)?;
        self.read_deployments(&format!("{OF_HOST} ORDER BY d.id DESC LIMIT ?3"), params![id, host.as_str(), limit])
    }

    fn read_deployments(&self, condition: &str, values: impl rusqlite::Params) -> Result<Vec<Deployment>> {
        let sql = format!(
            "SELECT d.id, coalesce(h.name, d.host), d.version, d.token, d.state, d.operator, d.started, d.finished, d.note,
                    d.sha256
             FROM deployments d LEFT JOIN hosts h ON h.id = d.host_id WHERE {condition}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(values)?;
        let mut deployments = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "deployments", row };
            deployments.push(Deployment {
                id: DeploymentId(cells.get(0)?),
                host: cells.parse(1)?,
                version: cells.get(2)?,
                token: cells.get(3)?,
                state: cells.parse(4)?,
                operator: cells.get(5)?,
                started: cells.time(6)?,
                finished: cells.time_some(7)?,
                note: cells.get(8)?,
                sha256: cells.get(9)?,
            });
        }
        Ok(deployments)
    }
}

/// Token, sealed content and sealed observation of a deployment.
type Row = (String, String, Option<String>);

impl Store {
    /// Opens what a host runs according to the last deployment that it confirmed.
    pub fn deployed(&self, host: &Name) -> Result<Option<(DeploymentId, Zeroizing<Vec<u8>>)>> {
        let sql = "SELECT d.id FROM deployments d JOIN hosts h ON h.id = d.host_id
                   WHERE h.name = ?1 AND d.state = 'confirmed' ORDER BY d.id DESC LIMIT 1";
        let id: Option<i64> = self.conn.prepare_cached(sql)?.query_row([host.as_str()], |row| row.get(0)).optional()?;
        let Some(id) = id.map(DeploymentId) else { return Ok(None) };
        Ok(Some((id, self.deployed_content(id)?)))
    }

    /// Opens the content of a deployment, whatever became of it.
    pub fn deployed_content(&self, id: DeploymentId) -> Result<Zeroizing<Vec<u8>>> {
        let (token, sealed, _) = self.sealed_row(id)?;
        DEPLOYED.open(&self.key, &token, &sealed)
    }

    /// Opens what was noted about the host when it confirmed a deployment.
    pub fn observed(&self, id: DeploymentId) -> Result<Option<Zeroizing<String>>> {
        let (token, _, sealed) = self.sealed_row(id)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = OBSERVED.open(&self.key, &token, &sealed)?;
        let wrong = |_| Error::Value { table: OBSERVED.table, column: OBSERVED.column.into() };
        Ok(Some(Zeroizing::new(std::str::from_utf8(&plain).map_err(wrong)?.to_owned())))
    }

    fn sealed_row(&self, id: DeploymentId) -> Result<Row> {
        let mut statement =
            self.conn.prepare_cached("SELECT token, sealed_content, sealed_observed FROM deployments WHERE id = ?1")?;
        let mut rows = statement.query([id.0])?;
        let row = rows.next()?.ok_or_else(|| unknown(id))?;
        let cells = Cells { table: "deployments", row };
        Ok((cells.get(0)?, cells.get(1)?, cells.get(2)?))
    }
}

fn unknown(id: DeploymentId) -> Error {
    Error::NotFound { what: "deployment", name: format!("number {}", id.0) }
}

impl Tx<'_> {
    /// Records that a deployment begins, before anything is sent to the host. `token` is one that was never used before.
    pub fn begin_deployment(
        &self,
        host: &Name,
        token: &str,
        operator: &str,
        now: DateTime<Utc>,
        desired: &[u8],
    ) -> Result<DeploymentId> {
        let host_id = hosts::known_row_id(&self.transaction, host)?;
        let sql = "INSERT INTO deployments (host_id, host, version, token, state, operator, started, sha256, sealed_content)
                   VALUES (?1, ?2, (SELECT coalesce(max(version), 0) + 1 FROM deployments WHERE host_id = ?1), ?3, ?4, ?5, ?6,
                     ?7, ?8)";
        self.transaction.execute(
            sql,
            params![
                host_id,
                host.as_str(),
                token,
                DeploymentState::Started.as_str(),
                operator,
                micros(now),
                sha256(desired),
                DEPLOYED.seal(self.data_key(), token, desired)?,
            ],
        )?;
        Ok(DeploymentId(self.transaction.last_insert_rowid()))
    }

    /// Records how a deployment ended. With `keep`, of the host's deployments that many are kept that were confirmed, and as
    /// many that were not, the newest of each; older ones go, with what was run for them. What the host runs and what is
    /// under way is always kept.
    ///
    /// # Errors
    /// [`Error::Refused`] when it has ended already; one that ended as `unknown` may still be cleared up.
    pub fn finish_deployment(
        &self,
        id: DeploymentId,
        state: DeploymentState,
        now: DateTime<Utc>,
        note: Option<&str>,
        keep: Option<NonZeroU32>,
    ) -> Result<()> {
        let sql = "UPDATE deployments SET state = ?2, finished = ?3, note = coalesce(?4, note)
                   WHERE id = ?1 AND state IN ('started', 'unknown')";
        if self.transaction.execute(sql, params![id.0, state.as_str(), micros(now), note])? == 0 {
            self.sealed_row(id)?; // says so if there is none
            return Err(Error::Refused("the deployment has ended already"));
        }
        keep.map_or(Ok(()), |keep| self.prune_deployments(id, keep))
    }

    /// Removes the old deployments to the host of this one.
    fn prune_deployments(&self, of: DeploymentId, keep: NonZeroU32) -> Result<()> {
        let old = "SELECT id FROM (
                     SELECT id, row_number() OVER (PARTITION BY state IN ('confirmed', 'found') ORDER BY id DESC) AS place
                     FROM deployments
                     WHERE host_id = (SELECT host_id FROM deployments WHERE id = ?1) AND state != 'started')
                   WHERE place > ?2";
        for sql in [
            format!("DELETE FROM commands WHERE parent_id IS NULL AND deployment_id IN ({old})"), // steps go with them
            format!("DELETE FROM deployments WHERE id IN ({old})"),
        ] {
            self.transaction.prepare_cached(&sql)?.execute(params![of.0, keep.get()])?;
        }
        Ok(())
    }

    /// Notes, sealed, what a host looked like when it confirmed a deployment.
    pub fn save_observed(&self, id: DeploymentId, observed: &str) -> Result<()> {
        let (token, ..) = self.sealed_row(id)?;
        let sealed = OBSERVED.seal(self.data_key(), &token, observed.as_bytes())?;
        self.transaction.execute("UPDATE deployments SET sealed_observed = ?2 WHERE id = ?1", params![id.0, sealed])?;
        Ok(())
    }
}
