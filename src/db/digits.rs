//! Secrets as people copy them from paper: digits of Crockford's base 32, in groups of four.

use zeroize::Zeroizing;

/// No I, L, O or U, which are taken for others.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Returns how many digits so many bytes take; what the last one has beyond them is zero.
pub(super) const fn length(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Writes bytes in groups of four digits.
pub(super) fn write(bytes: &[u8]) -> Zeroizing<String> {
    let bit = |n: usize| bytes.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
    let length = length(bytes.len());
    let mut text = Zeroizing::new(String::with_capacity(length + length / 4));
    for digit in 0..length {
        if digit > 0 && digit % 4 == 0 {
            text.push('-');
        }
        let value = (0..5).fold(0, |value, n| value << 1 | usize::from(bit(digit * 5 + n)));
        text.push(char::from(DIGITS[value]));
    }
    text
}

/// Returns the digits of a text: case, blanks, commas and hyphens don't matter, O is 0, I and L are 1. `None` if something
/// else stands there.
pub(super) fn only(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    for letter in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | ',')) {
        let letter = match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = DIGITS.iter().position(|d| char::from(*d) == letter)?;
        digits.push(u8::try_from(value).ok()?);
    }
    Some(digits)
}

/// Puts as many bytes together as the digits stand for. `None` for another number of digits, or another text than
/// [`write`] would give.
pub(super) fn bytes<const N: usize>(digits: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    if digits.len() != length(N) {
        return None;
    }
    let mut bytes = Zeroizing::new([0_u8; N]);
    for (digit, value) in digits.iter().enumerate() {
        for n in (0..5).filter(|n| value >> (4 - n) & 1 == 1) {
            let bit: usize = digit * 5 + n;
            *bytes.get_mut(bit / 8)? |= 1 << (7 - bit % 8);
        }
    }
    Some(bytes)
}
