//! Pages that differ: found, carried, laid; and what nobody would carry.

use proptest::prelude::*;

use super::*;

const SIZE: usize = 512;

/// A database of pages that are each filled with a byte. The first has the header that says how long they are.
fn database(pages: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = pages.iter().flat_map(|page| [*page; SIZE]).collect();
    bytes[16..18].copy_from_slice(&512u16.to_be_bytes());
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

fn compared(base: &[u8], own: &[u8]) -> Delta {
    let mut comparison = Comparison::of(file(own)).unwrap();
    // In pieces that end where no page does.
    base.chunks(700).for_each(|piece| comparison.write_all(piece).unwrap());
    comparison.finish()
}

fn base_of(page_size: u32, pages: u32) -> Base {
    Base { id: "ab".repeat(16), sha256: String::new(), page_size, pages, result: String::new() }
}

fn laid(base: &[u8], pages: u32, carried: &[u8]) -> Result<Vec<u8>, String> {
    let mut to = file(base);
    let mut laying = Laying::onto(to.try_clone().unwrap(), &base_of(512, pages)).map_err(|e| e.to_string())?;
    for piece in carried.chunks(300) {
        laying.write_all(piece).map_err(|e| e.to_string())?;
    }
    laying.finish().map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    to.seek(SeekFrom::Start(0)).unwrap();
    to.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

proptest! {
    /// Whatever was changed, put behind the end or cut off there.
    #[test]
    fn a_base_and_what_differs_are_the_database(
        base in prop::collection::vec(0..4u8, 1..40),
        own in prop::collection::vec(0..4u8, 1..40),
    ) {
        let (base, own) = (database(&base), database(&own));
        let delta = compared(&base, &own);
        let page = |bytes: &[u8], number: u32| bytes.chunks(SIZE).nth(number as usize - 1).map(<[u8]>::to_vec);
        let differing: Vec<u32> = (1..=delta.pages()).filter(|n| page(&base, *n) != page(&own, *n)).collect();
        prop_assert_eq!(&delta.numbers, &differing, "no more and no fewer than those");
        let mut carried = Vec::new();
        delta.read(file(&own)).read_to_end(&mut carried).unwrap();
        prop_assert_eq!(carried.len(), differing.len() * (NUMBER + SIZE));
        prop_assert_eq!(laid(&base, delta.pages(), &carried).unwrap(), own);
    }
}

#[test]
fn a_base_whose_last_page_is_cut_off_lacks_that_page() {
    let own = database(&[1, 2, 3]);
    assert_eq!(compared(&own[..SIZE * 2 + 10], &own).numbers, [3]);
}

fn carried(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| [&number.to_be_bytes()[..], &[9; SIZE]].concat()).collect()
}

#[test]
fn pages_that_nobody_would_carry_are_refused() {
    let base = database(&[1, 2, 3]);
    for (pages, numbers, why) in [
        (3, &[2, 2][..], "its pages aren't in order"),
        (3, &[3, 1], "its pages aren't in order"),
        (3, &[0], "its pages aren't in order"),
        (3, &[4], "it has a page behind the last one"),
        (2, &[3], "it has a page behind the last one"),
        (9, &[5], "a page behind the end of its base is missing"),
        (9, &[4, 5], "the backup is damaged: a page behind the end of its base is missing"),
        (u32::MAX, &[u32::MAX], "a page behind the end of its base is missing"),
        (u32::MAX, &[], "the backup is damaged: a page behind the end of its base is missing"),
        (0, &[], "the backup is damaged: its manifest says that its pages have a length that none has"),
    ] {
        assert_eq!(laid(&base, pages, &carried(numbers)).unwrap_err(), why, "{numbers:?} of {pages}");
    }
    let cut_off = &carried(&[1, 2])[..SIZE + 100];
    assert_eq!(laid(&base, 3, cut_off).unwrap_err(), "the backup is damaged: its last page is cut off");
    for size in [0, 100, 511, 513, 1 << 17, u32::MAX] {
        assert!(Laying::onto(file(&base), &base_of(size, 3)).is_err(), "{size}");
    }
    assert_eq!(laid(&base, 4, &carried(&[4])).unwrap().len(), 4 * SIZE);
}

#[test]
fn what_is_no_database_is_not_compared() {
    for bytes in [&b"short"[..], &[0; 4096], &database(&[1])[..500]] {
        assert!(Comparison::of(file(bytes)).is_err());
    }
}
