//! Damaging backups at random, for tests.

/// How often: five hundred times, ten thousand with `WGF_LONG=1`.
pub(crate) fn tries() -> usize {
    if std::env::var_os("WGF_LONG").is_some_and(|long| long == "1") { 10_000 } else { 500 }
}

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

/// Changes a backup in one of the ways in which one gets damaged, or is tampered with.
pub(crate) fn damage(whole: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let (at, to) = (numbers.below(bytes.len()), numbers.below(bytes.len()));
    let length = 1 + numbers.below(70_000).min(bytes.len() - at.max(to) - 1);
    match numbers.below(8) {
        0 | 1 => bytes[at] ^= 1 << numbers.below(8),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + length)),
        4 => bytes.copy_within(at..at + length, to),
        5 => bytes[at..at + length].copy_from_slice(&other[at..at + length]),
        6 => bytes.extend_from_slice(&other[..1 + numbers.below(100)]),
        _ => {
            // A whole piece goes elsewhere.
            let piece = 65_536 + 16;
            let header = bytes.len() % piece;
            let pieces = bytes.len() / piece;
            let (from, to) = (numbers.below(pieces), numbers.below(pieces));
            bytes.copy_within(header + from * piece..header + (from + 1) * piece, header + to * piece);
        }
    }
    bytes
}
