//! The trial: whatever is done to the file, from an edited cell to an older copy of the whole, is found, and where.
//!
//! Sixty times in every run; a thousand times with `WGF_LONG=1`.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use rusqlite::Connection;
use wg_friend_crypt::DataKey;

use super::audit::guards;
use super::audit_heads::{add, add_from};
use super::*;
use crate::db::SignedHead;

/// How many entries, and after which of them there are checkpoints.
const ENTRIES: i64 = 40;
const CHECKPOINTS: [i64; 4] = [10, 15, 30, 40];

/// A database with a log, one of its earlier copies, and a head that was kept elsewhere.
struct Base {
    _dir: TempDir,
    path: PathBuf,
    older: PathBuf,
    key: [u8; 32],
    head: SignedHead,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut lab = lab();
        let copy = |lab: &Lab, name: &str| {
            let to = lab.path.with_file_name(name);
            lab.store.conn.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            to
        };
        let (mut entries, mut older) = (1, None);
        for size in CHECKPOINTS {
            add(&mut lab.store, (size - entries) as usize);
            lab.store.checkpoint(at(size)).unwrap();
            entries = size;
            older = older.or((size == 15).then(|| copy(&lab, "older.db")));
        }
        let (path, key) = (copy(&lab, "base.db"), *lab.store.data_key().expose());
        let head = lab.store.signed_head(at(99)).unwrap();
        Base { _dir: lab._dir, path, older: older.unwrap(), key, head }
    })
}

/// What somebody does who has the file, but not the passphrase; or, in the last two, the passphrase too.
#[derive(Clone, Debug)]
enum Tampering {
    Edit { id: Index, column: &'static str, value: String },
    Delete { id: Index },
    DeleteAndClose { id: Index },
    Swap { one: Index, other: Index },
    CutOff { from: Index },
    CutOffWithCheckpoints { from: Index },
    Append,
    Trigger { table: &'static str, when: &'static str },
    Rehash { id: Index },
    Tail { flip: Index },
    OlderTail,
    Key { column: &'static str, flip: Index },
    NoKey,
    Checkpoint { number: Index, column: &'static str, value: String },
    NoCheckpoint { number: Index },
    SwapCheckpoints { one: Index, other: Index },
    OlderFile,
    Fork { entries: usize },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let columns = [
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
        "entry_hash",
        "mac",
    ];
    let of_checkpoint = ["id", "size", "time", "root", "signature"];
    let (index, value) = (any::<Index>, "[0-9a-f]{2,6}");
    prop_oneof![
        6 => (index(), prop::sample::select(columns.to_vec()), value)
            .prop_map(|(id, column, value)| Tampering::Edit { id, column, value }),
        2 => index().prop_map(|id| Tampering::Delete { id }),
        2 => index().prop_map(|id| Tampering::DeleteAndClose { id }),
        2 => (index(), index()).prop_map(|(one, other)| Tampering::Swap { one, other }),
        2 => index().prop_map(|from| Tampering::CutOff { from }),
        1 => index().prop_map(|from| Tampering::CutOffWithCheckpoints { from }),
        1 => Just(Tampering::Append),
        1 => (prop::sample::select(&["audit", "vault", "nodes", "checkpoints"][..]), prop::sample::select(&["BEFORE", "AFTER"][..]))
            .prop_map(|(table, when)| Tampering::Trigger { table, when }),
        2 => index().prop_map(|id| Tampering::Rehash { id }),
        1 => index().prop_map(|flip| Tampering::Tail { flip }),
        1 => Just(Tampering::OlderTail),
        1 => (prop::sample::select(&["public_key", "sealed_private"][..]), index())
            .prop_map(|(column, flip)| Tampering::Key { column, flip }),
        1 => Just(Tampering::NoKey),
        3 => (index(), prop::sample::select(of_checkpoint.to_vec()), value)
            .prop_map(|(number, column, value)| Tampering::Checkpoint { number, column, value }),
        1 => index().prop_map(|number| Tampering::NoCheckpoint { number }),
        1 => (index(), index()).prop_map(|(one, other)| Tampering::SwapCheckpoints { one, other }),
        1 => Just(Tampering::OlderFile),
        2 => (1..60_usize).prop_map(|entries| Tampering::Fork { entries }),
    ]
}

/// Where a tampering is to be found.
#[derive(Debug, PartialEq)]
enum Where {
    /// At this entry.
    Entry(i64),
    /// At one of these.
    Among(i64, i64),
    /// In the vault or in a row that can't be read: by what is wrong with it.
    Vault,
    /// Against a head that was kept elsewhere.
    Anchor,
    /// It changed nothing.
    Nowhere,
}

fn number(index: &Index) -> i64 {
    index.index(ENTRIES as usize) as i64 + 1
}

const COLUMNS: &str = "time, action, category, severity, entity_type, entity_guid, operator, address, source, details, version, \
                       previous_hash, entry_hash, mac";

impl Tampering {
    /// Does it to a file, and says where it is to be found. The guards of the log are there again afterwards.
    fn apply(&self, path: &Path, key: &DataKey) -> Where {
        let taken = guards(&Connection::open(path).unwrap());
        let place = self.apply_unguarded(path, key);
        let conn = Connection::open(path).unwrap();
        let left = guards(&conn);
        for guard in taken.iter().filter(|guard| !left.contains(guard)) {
            conn.execute_batch(&guard.1).unwrap();
        }
        place
    }

    fn apply_unguarded(&self, path: &Path, key: &DataKey) -> Where {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch(
            "DROP TRIGGER audit_no_delete; DROP TRIGGER audit_no_update; DROP TRIGGER checkpoints_no_delete;
             DROP TRIGGER checkpoints_no_update;",
        )
        .unwrap();
        let run = |sql: &str| conn.execute_batch(sql).unwrap();
        match self {
            Self::Edit { id, column, value } => {
                let id = number(id);
                let new = match *column {
                    "id" => "id + 100".to_owned(),
                    "time" => format!("time + {}", value.len()),
                    "previous_hash" | "entry_hash" | "mac" => format!("CAST('{value}' AS BLOB)"),
                    _ => format!("'{value}'"),
                };
                run(&format!("UPDATE audit SET {column} = {new} WHERE id = {id}"));
                Where::Entry(id)
            }
            Self::Delete { id } => {
                run(&format!("DELETE FROM audit WHERE id = {}", number(id)));
                Where::Entry(number(id))
            }
            Self::DeleteAndClose { id } => {
                let id = number(id);
                run(&format!(
                    "DELETE FROM audit WHERE id = {id}; UPDATE audit SET id = -id WHERE id > {id};
                              UPDATE audit SET id = -id - 1 WHERE id < 0"
                ));
                Where::Entry(id)
            }
            Self::Swap { one, other } => {
                let (one, other) = (number(one), number(other));
                run(&format!(
                    "UPDATE audit SET id = 999 WHERE id = {one}; UPDATE audit SET id = {one} WHERE id = {other};
                              UPDATE audit SET id = {other} WHERE id = 999"
                ));
                if one == other { Where::Nowhere } else { Where::Entry(one.min(other)) }
            }
            Self::CutOff { from } => {
                run(&format!("DELETE FROM audit WHERE id >= {}", number(from)));
                Where::Entry(number(from))
            }
            Self::CutOffWithCheckpoints { from } => {
                let from = number(from);
                run(&format!("DELETE FROM audit WHERE id >= {from}; DELETE FROM checkpoints WHERE size >= {from}"));
                Where::Entry(from)
            }
            Self::Append => {
                run(&format!("INSERT INTO audit (id, {COLUMNS}) SELECT 41, {COLUMNS} FROM audit WHERE id = 40"));
                Where::Entry(41)
            }
            Self::Trigger { table, when } => {
                run(&format!("CREATE TRIGGER z {when} INSERT ON {table} BEGIN SELECT RAISE (IGNORE); END"));
                Where::Entry(ENTRIES + 1)
            }
            Self::Rehash { id } => {
                // The intruder knows the format, and builds the chain anew: all that he lacks is the key.
                let id = number(id);
                run(&format!("UPDATE audit SET operator = 'nobody' WHERE id = {id}"));
                crate::db::audit::chain_anew(&conn, id);
                Where::Entry(id)
            }
            Self::Tail { flip } => flipped(&conn, "vault", "sealed_audit_tail", flip),
            Self::OlderTail => {
                let older = Connection::open(&base().older).unwrap();
                let tail: String =
                    older.query_row("SELECT sealed_audit_tail FROM vault", [], |row| row.get(0)).unwrap();
                conn.execute("UPDATE vault SET sealed_audit_tail = ?1", [tail]).unwrap();
                Where::Entry(16)
            }
            Self::Key { column, flip } => flipped(&conn, "signing_key", column, flip),
            Self::NoKey => {
                run("DELETE FROM signing_key");
                Where::Vault
            }
            Self::Checkpoint { number, column, value } => {
                let at = number.index(CHECKPOINTS.len());
                let new = match *column {
                    "id" => "id + 100".to_owned(),
                    "size" | "time" => format!("{column} + 1"),
                    _ => format!("CAST('{value}' AS BLOB)"),
                };
                run(&format!("UPDATE checkpoints SET {column} = {new} WHERE id = {}", at + 1));
                of_checkpoint(at)
            }
            Self::NoCheckpoint { number } => {
                let at = number.index(CHECKPOINTS.len());
                run(&format!("DELETE FROM checkpoints WHERE id = {}", at + 1));
                of_checkpoint(at)
            }
            Self::SwapCheckpoints { one, other } => {
                let (one, other) = (one.index(CHECKPOINTS.len()), other.index(CHECKPOINTS.len()));
                let (first, second) = (one + 1, other + 1);
                run(&format!("UPDATE checkpoints SET id = 99 WHERE id = {first}; UPDATE checkpoints SET id = {first} WHERE id = {second};
                              UPDATE checkpoints SET id = {second} WHERE id = 99"));
                let whole = Where::Among(CHECKPOINTS[one.min(other)], ENTRIES + 1);
                if one == other { Where::Nowhere } else { whole }
            }
            Self::OlderFile | Self::Fork { .. } => {
                drop(conn);
                std::fs::copy(&base().older, path).unwrap();
                if let Self::Fork { entries } = self {
                    let mut store = Database::open(path).unwrap().unlock_with(key.duplicate()).unwrap();
                    add_from(&mut store, 500, *entries);
                }
                Where::Anchor
            }
        }
    }
}

/// A checkpoint concerns the entries since the one before it.
fn of_checkpoint(at: usize) -> Where {
    let before = if at == 0 { 0 } else { CHECKPOINTS[at - 1] };
    Where::Among(before + 1, CHECKPOINTS[at] + 1)
}

/// Changes one letter of a cell.
fn flipped(conn: &Connection, table: &str, column: &str, flip: &Index) -> Where {
    let text: String = conn.query_row(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0)).unwrap();
    let mut bytes = text.into_bytes();
    let at = flip.index(bytes.len());
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let text = String::from_utf8(bytes).unwrap();
    conn.execute(&format!("UPDATE {table} SET {column} = ?1"), [text]).unwrap();
    Where::Vault
}

/// Says where tampering is found by those who have the passphrase.
fn found(path: &Path, key: &DataKey) -> Where {
    let judged = || -> Result<Where, Error> {
        let store = Database::open(path)?.unlock_with(key.duplicate())?;
        if let Some(finding) = store.verify_audit(Some(store.data_key()))?.bad {
            return Ok(Where::Entry(finding.entry));
        }
        let anchored = store.compare_heads(vec![base().head.clone()])?;
        Ok(if anchored.iter().any(|anchored| anchored.problem.is_some()) { Where::Anchor } else { Where::Nowhere })
    };
    judged().unwrap_or_else(|error| {
        assert_eq!(error.kind(), crate::db::Kind::Corrupt, "{error}");
        Where::Vault
    })
}

fn cases() -> u32 {
    if std::env::var_os("WGF_LONG").is_some() { 1000 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn whatever_is_done_to_the_log_or_its_vault_is_found(tampering in tampering()) {
        let (base, dir) = (base(), directory());
        let (path, key) = (dir.path().join("wg-friend.db"), DataKey::from_bytes(&base.key));
        std::fs::copy(&base.path, &path).unwrap();
        prop_assert_eq!(found(&path, &key), Where::Nowhere);
        let expected = tampering.apply(&path, &key);
        let found = found(&path, &key);
        match (&expected, &found) {
            (Where::Among(first, last), Where::Entry(entry)) => prop_assert!((first..=last).contains(&entry), "{:?}", found),
            _ => prop_assert_eq!(&found, &expected),
        }
    }
}
