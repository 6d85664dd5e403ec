//! Backups as they are written and read, and as somebody changes them.

use std::io::Cursor;

use wg_friend_crypt::DataKey;

use super::damage::{Numbers, damage, tries};
use super::*;
use crate::db::slots::{OWN, StoredSlot};
use crate::db::vault::Passphrase;
use crate::db::{Error, KdfParams, Kind as ErrorKind};

fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery".to_owned())
}

fn header(key: &DataKey) -> Header {
    let slot = StoredSlot::direct(OWN, key, passphrase().bytes(), KdfParams::new(4, 8, 1).unwrap(), now()).unwrap();
    Header::new(Kind::Full, Lock::Own, &"ab".repeat(16), &[slot], now()).unwrap()
}

/// Random bytes, which don't get smaller: a backup of them has as many pieces as it looks.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn manifest(header: &Header, contents: &[&[u8]]) -> Manifest {
    let part = |(at, content): (usize, &&[u8])| Part {
        what: match at {
            0 => What::Database,
            at => What::Config {
                network: "office".parse().unwrap(),
                node: "hub".parse().unwrap(),
                file: format!("hub/wg{at}.conf"),
            },
        },
        length: content.len() as u64,
        sha256: hex(&sha2::Sha256::digest(content)),
    };
    use sha2::Digest as _;
    Manifest {
        id: header.id.clone(),
        kind: header.kind,
        created: header.created,
        version: header.version.clone(),
        database: header.database.clone(),
        schema: 1,
        networks: Vec::new(),
        audit_entries: 7,
        audit_head: None,
        base: None,
        parts: contents.iter().enumerate().map(part).collect(),
        sums: Vec::new(),
    }
}

fn write(contents: &[&[u8]]) -> (Vec<u8>, DataKey) {
    let key = DataKey::random().unwrap();
    let header = header(&key);
    let mut writer = Writer::begin(Vec::new(), &header, &key, manifest(&header, contents)).unwrap();
    for content in contents {
        writer.part(&mut &content[..]).unwrap();
    }
    (writer.finish().unwrap(), key)
}

/// Reads all of a backup with a key; returns what its parts hold.
fn read(bytes: &[u8], key: &DataKey) -> Result<Vec<Vec<u8>>, Error> {
    let mut content = open(Cursor::new(bytes.to_vec()))?.content(key)?;
    let mut parts = Vec::new();
    while let Some((_, part)) = content.next(|_| Ok(Vec::new()))? {
        parts.push(part);
    }
    Ok(parts)
}

#[test]
fn what_is_written_is_read_whatever_its_length() {
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let (database, config) = (noise(length), b"[Interface]\n".repeat(length / 100 + 1));
        let (bytes, key) = write(&[&database, &config, b""]);
        assert_eq!(read(&bytes, &key).unwrap(), [database, config, Vec::new()]);
        let id = open(Cursor::new(bytes.clone())).unwrap().header().id.clone();
        let text = armour(&id, &bytes);
        assert!(text.lines().skip(1).all(|line| line.len() <= 64));
        assert_eq!(read(text.as_bytes(), &key).unwrap()[0].len(), length);
        for bad in [armour("ab", &bytes), format!("{text}more\n")] {
            assert!(matches!(read(bad.as_bytes(), &key), Err(Error::BackupDamaged { .. })));
        }
    }
}

#[test]
fn its_passphrase_opens_it_and_no_other() {
    let (bytes, key) = write(&[b"database"]);
    let opened = open(Cursor::new(bytes)).unwrap();
    assert_eq!(opened.header().key(&passphrase()).unwrap().unwrap().expose(), key.expose());
    assert!(opened.header().key(&Passphrase::new("correct horse".to_owned())).unwrap().is_none());
    let error = opened.content(&DataKey::random().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn what_is_no_backup_is_told_from_a_damaged_one() {
    let key = DataKey::random().unwrap();
    for other in [&b""[..], b"SQLite format 3\0 and so on, long enough", b"-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        assert!(matches!(read(other, &key), Err(Error::NotABackup)));
    }
    let (bytes, key) = write(&[&noise(100_000)]);
    let said = |bytes: &[u8]| read(bytes, &key).unwrap_err().to_string();
    insta::assert_snapshot!(said(&bytes[..40]), @"the backup is damaged: it ends within its header");
    let mut changed = bytes.clone();
    changed[60] ^= 1;
    insta::assert_snapshot!(said(&changed), @"the backup is damaged: its header has been changed");
    let header = open(Cursor::new(bytes.clone())).unwrap().header().bytes().unwrap().len();
    let mut changed = bytes.clone();
    changed[header + 65_536 + 16 + 5] ^= 1;
    let place = format!("piece 2 at byte {} does not open", header + 65_536 + 16);
    assert!(said(&changed).contains(&place), "{}", said(&changed));
    // Lengths that nobody would write are refused before any room is made for them.
    let mut long = bytes;
    long[19..23].copy_from_slice(&u32::MAX.to_be_bytes());
    insta::assert_snapshot!(said(&long), @"the backup is damaged: its header says that it is longer than any header");
}

#[test]
fn parts_that_are_not_those_of_the_manifest_are_never_written() {
    let key = DataKey::random().unwrap();
    let header = header(&key);
    let begin = || Writer::begin(Vec::new(), &header, &key, manifest(&header, &[b"database"])).unwrap();
    assert!(begin().part(&mut &b"databases"[..]).is_err());
    assert!(begin().part(&mut &b"Database"[..]).is_err());
    assert!(begin().finish().is_err());
}

/// Five hundred here; ten thousand with `WGF_LONG=1`.
#[test]
fn every_corruption_is_refused() {
    let tries = tries();
    let database = noise(300_000);
    let (whole, key) = write(&[&database, b"[Interface]\n"]);
    // Another backup of the same database under the same key: its pieces are as well sealed.
    let header = header(&key);
    let mut other =
        Writer::begin(Vec::new(), &header, &key, manifest(&header, &[&database, b"[Interface]\n"])).unwrap();
    other.part(&mut &database[..]).unwrap();
    other.part(&mut &b"[Interface]\n"[..]).unwrap();
    let mut other = other.finish().unwrap();
    other.resize(whole.len(), 0);

    let mut numbers = Numbers(0x5eed);
    let (mut refused, mut same) = (0, 0);
    while refused < tries {
        let damaged = damage(&whole, &other, &mut numbers);
        if damaged == whole {
            same += 1;
            assert!(same < tries, "nothing is damaged any more");
            continue;
        }
        let error = read(&damaged, &key).expect_err("a damaged backup was taken for a whole one");
        assert!(matches!(error, Error::BackupDamaged { .. } | Error::NotABackup), "{error}");
        refused += 1;
    }
}
