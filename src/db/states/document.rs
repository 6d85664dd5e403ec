//! What the configurations of adopted interfaces said at each state, sealed.

use rusqlite::{Connection, OptionalExtension as _, params};
use wg_friend_crypt::DataKey;

use crate::db::error::Result;
use crate::db::vault::{DOCUMENT, ORIGINAL, STATE_DOCUMENT, STATE_ORIGINAL};
use crate::model::InterfaceId;

/// The two sealed texts of a document, opened.
pub(super) type Texts = [zeroize::Zeroizing<Vec<u8>>; 2];

/// Opens a document as it is.
pub(super) fn now(conn: &Connection, key: &DataKey, interface: InterfaceId) -> Result<Option<Texts>> {
    let sql = "SELECT sealed_original, sealed_text FROM documents WHERE interface_id = ?1";
    let sealed: Option<(String, String)> =
        conn.prepare_cached(sql)?.query_row([interface.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((original, text)) = sealed else { return Ok(None) };
    let row = interface.0.to_string();
    Ok(Some([ORIGINAL.open(key, &row, &original)?, DOCUMENT.open(key, &row, &text)?]))
}

/// Opens a document as it was at a state that changed it, or at the newest such state.
pub(super) fn at(
    conn: &Connection,
    key: &DataKey,
    interface: InterfaceId,
    state: Option<i64>,
) -> Result<Option<Texts>> {
    let sql = "SELECT state, sealed_original, sealed_text FROM state_documents
               WHERE interface_id = ?1 AND state <= ?2 ORDER BY state DESC LIMIT 1";
    let read =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
    let found =
        conn.prepare_cached(sql)?.query_row(params![interface.0, state.unwrap_or(i64::MAX)], read).optional()?;
    let Some((state, original, text)) = found else { return Ok(None) };
    let row = row_name(interface, state);
    Ok(Some([STATE_ORIGINAL.open(key, &row, &original)?, STATE_DOCUMENT.open(key, &row, &text)?]))
}

/// Whether a document isn't what the history says last.
pub(super) fn differs(conn: &Connection, key: &DataKey, interface: InterfaceId) -> Result<bool> {
    Ok(now(conn, key, interface)? != at(conn, key, interface, None)?)
}

/// Names the row of a document in the history.
fn row_name(interface: InterfaceId, state: i64) -> String {
    format!("{}/{state}", interface.0)
}

/// Records a document as it is, for a state.
pub(super) fn keep(conn: &Connection, key: &DataKey, state: i64, interface: InterfaceId) -> Result<()> {
    let Some([original, text]) = now(conn, key, interface)? else { return Ok(()) };
    let row = row_name(interface, state);
    let sql = "INSERT INTO state_documents (state, interface_id, sealed_original, sealed_text) VALUES (?1, ?2, ?3, ?4)";
    let (original, text) = (STATE_ORIGINAL.seal(key, &row, &original)?, STATE_DOCUMENT.seal(key, &row, &text)?);
    conn.prepare_cached(sql)?.execute(params![state, interface.0, original, text])?;
    Ok(())
}
