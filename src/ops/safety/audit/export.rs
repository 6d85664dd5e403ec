//! Exports: entries with all that their hashes are made of, and a signed head that they can be held against elsewhere.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::find_guids;
use crate::db::{Exported, Filter, SignedHead, Store};
use crate::ops::Error;
use crate::ops::network::private_file;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One document, an entry a line.
    Json,
    /// A table: RFC 4180. The signed head goes into a file of its own.
    Csv,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Export {
    /// How many entries.
    pub entries: u64,
    /// Whether that is the whole log.
    pub complete: bool,
    /// Where to.
    pub file: PathBuf,
    /// Where the signed head is, if it isn't in there.
    pub head_file: Option<PathBuf>,
    /// The signed head.
    pub head: SignedHead,
}

/// Writes the entries that a filter lets through, oldest first, to an output that is given: a JSON document that holds the
/// signed head too. The filter's limit doesn't count.
pub fn export(store: &Store, filter: Filter, now: DateTime<Utc>, out: &mut dyn Write) -> Result<u64, Error> {
    let (filter, head) = begin(store, filter, now)?;
    json(store, &filter, &head, out, Error::Output)
}

/// Writes them into a file that only its owner can read; of a table, the signed head into one beside it.
pub fn export_to(
    store: &Store,
    filter: Filter,
    format: Format,
    now: DateTime<Utc>,
    file: &Path,
) -> Result<Export, Error> {
    let (filter, head) = begin(store, filter, now)?;
    let failed = |source| Error::Unwritable { path: file.to_owned(), source };
    // The head first: there is no table without its head.
    let head_file = (format == Format::Csv).then(|| beside(file));
    if let Some(head_file) = &head_file {
        private_file::write(head_file, head.to_string().as_bytes())?;
    }
    let entries = private_file::write_with(file, |out| match format {
        Format::Json => json(store, &filter, &head, out, failed),
        Format::Csv => csv(store, &filter, &head, out, failed),
    })?;
    Ok(Export { entries, complete: entries == head.size(), file: file.to_owned(), head_file, head })
}

/// Returns where the head of a table goes.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

fn begin(store: &Store, mut filter: Filter, now: DateTime<Utc>) -> Result<(Filter, SignedHead), Error> {
    find_guids(store, &mut filter)?;
    Ok((Filter { limit: u32::MAX, offset: 0, ..filter }, store.signed_head(now)?))
}

fn json(
    store: &Store,
    filter: &Filter,
    head: &SignedHead,
    out: &mut dyn Write,
    failed: impl Fn(io::Error) -> Error,
) -> Result<u64, Error> {
    let mut entries = 0;
    write!(out, "{{\"head\":{},\"entries\":[", one_line(head)).map_err(&failed)?;
    store.export_audit(filter, head, |exported| {
        let comma = if entries == 0 { "" } else { "," };
        entries += 1;
        write!(out, "{comma}\n{}", one_line(&exported)).map_err(&failed)
    })?;
    writeln!(out, "\n]}}").and_then(|()| out.flush()).map_err(&failed)?;
    Ok(entries)
}

fn one_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("entries and heads have string keys and serialise")
}

/// The columns of a table, in order.
const COLUMNS: [&str; 14] = [
    "id",
    "time",
    "action",
    "category",
    "severity",
    "entity_type",
    "entity_guid",
    "operator",
    "address",
    "source",
    "details",
    "version",
    "previous_hash",
    "proof",
];

fn csv(
    store: &Store,
    filter: &Filter,
    head: &SignedHead,
    out: &mut dyn Write,
    failed: impl Fn(io::Error) -> Error,
) -> Result<u64, Error> {
    let mut entries = 0;
    write!(out, "{}\r\n", COLUMNS.join(",")).map_err(&failed)?;
    store.export_audit(filter, head, |exported| {
        entries += 1;
        write!(out, "{}\r\n", row(&exported)).map_err(&failed)
    })?;
    out.flush().map_err(&failed)?;
    Ok(entries)
}

/// Writes an entry as a line. What is absent is empty; the hashes of a proof stand behind one another.
fn row(Exported { entry, proof }: &Exported) -> String {
    let id = entry.id.to_string();
    let previous = STANDARD.encode(entry.previous_hash);
    let proof = proof.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>().join(" ");
    let fields: [&str; COLUMNS.len()] = [
        &id,
        &entry.time,
        &entry.action,
        &entry.category,
        &entry.severity,
        &entry.entity_type,
        entry.entity_guid.as_deref().unwrap_or_default(),
        &entry.operator,
        entry.address.as_deref().unwrap_or_default(),
        &entry.source,
        &entry.details,
        &entry.version,
        &previous,
        &proof,
    ];
    fields.map(quoted).join(",")
}

/// Quotes a field where RFC 4180 wants it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Leaf;

    #[test]
    fn a_row_quotes_what_would_break_it() {
        let entry = Leaf {
            id: 7,
            time: "2026-11-21T10:00:00.000000Z".into(),
            action: "peer_updated".into(),
            category: "configuration".into(),
            severity: "info".into(),
            entity_type: "node".into(),
            entity_guid: Some("k=".into()),
            operator: "kim, the \"second\"".into(),
            address: None,
            source: "cli".into(),
            details: r#"{"name":"a"}"#.into(),
            version: "1.0.0".into(),
            previous_hash: [1; 32],
        };
        insta::assert_snapshot!(row(&Exported { entry, proof: vec![[2; 32], [3; 32]] }), @r#"7,2026-11-21T10:00:00.000000Z,peer_updated,configuration,info,node,k=,"kim, the ""second""",,cli,"{""name"":""a""}",1.0.0,AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="#);
    }
}
