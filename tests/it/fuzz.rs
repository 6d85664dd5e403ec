//! What is fuzzed (see `fuzz/`), on a sample: the corpus, and mutations of it that are the same each time.
//!
//! `./test --long` tries a hundred times as many.

#[expect(unreachable_pub, reason = "a crate of its own in fuzz/, where the targets call it")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// Random numbers that are the same each time (xorshift64*, Vigna 2016).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Bytes that mean something to one parser or another.
const WORDS: &[&[u8]] = &[
    b"\n@b ",
    b"\n@b end\n",
    b"\n@b dump\n",
    b"\n@b file wg0.conf 600 0:0\n",
    b"\t",
    b"(none)",
    b"off",
    b"wg0",
    b"/",
    b":",
    b"[",
    b"]",
    b"%",
    b",",
    b"-",
    b"=",
    b"::",
    b"0.0.0.0/0",
    b"255",
    b"65536",
    b"18446744073709551616",
    b"-1",
    b" tcp ",
    b" udp ",
    b"icmp",
    b"enc:v1:",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"\r\n",
    b";",
    b"&&",
    b" || true",
    b"'",
    b"\"",
    b"$(",
    b"%i",
    b"\n",
    b"#",
    b"\xef\xbb\xbf",
    b"\n[Peer]\n",
    b"\n[Interface]\n",
    b"\nPostUp = ",
    b"\nAllowedIPs = ",
];

/// Changes a few places: bytes, pieces cut out, put elsewhere or taken from another input, words put in.
fn mutate(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + 1 + numbers.below(12)).min(bytes.len());
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            2 => drop(bytes.drain(at.min(end)..end)),
            3 => bytes.truncate(at),
            4 => {
                let from = numbers.below(other.len() + 1);
                let piece = &other[from..(from + numbers.below(40)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => drop(bytes.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied())),
        }
    }
    bytes
}

fn sample(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(inputs.len() >= 2, "{} has too few inputs", corpus.display());
    inputs.iter().for_each(|input| run(input));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let count = if std::env::var_os("WGF_LONG").is_some() { 200_000 } else { 2_000 };
    let mut previous = inputs[0].clone();
    for _ in 0..count {
        let seed = &inputs[numbers.below(inputs.len())];
        // Now and then a mutation of a mutation.
        let from = if numbers.below(3) == 0 { &previous } else { seed };
        let bytes = mutate(from, seed, &mut numbers);
        run(&bytes);
        previous = bytes;
    }
}

#[test]
fn any_answer_of_a_host_is_read_or_refused() {
    sample("answer", targets::answer);
}

#[test]
fn any_backup_that_nobody_sealed_is_refused() {
    sample("backup", targets::backup);
}

#[test]
fn any_dump_is_read_or_refused() {
    sample("dump", targets::dump);
}

#[test]
fn what_other_tools_keep_is_read_or_refused() {
    sample("foreign", targets::foreign);
}

#[test]
fn what_is_read_of_other_systems_can_be_written_and_read_again() {
    sample("formats", targets::formats);
}

#[test]
fn any_value_that_is_read_is_written_and_read_the_same() {
    sample("values", targets::values);
}

#[test]
fn any_hook_is_taken_apart_and_judged() {
    sample("hooks", targets::hooks);
}

#[test]
fn nothing_opens_that_was_not_sealed_for_its_place() {
    sample("sealed", targets::sealed);
}

#[test]
fn any_wg_quick_file_prints_as_it_was() {
    sample("wgquick", targets::wgquick);
}
