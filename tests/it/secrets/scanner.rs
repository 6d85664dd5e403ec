//! Looks for secrets in bytes, in every form in which they are likely to turn up.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A secret shorter than this, or a shorter piece of one, would turn up by chance.
const SHORTEST: usize = 6;

/// Knows secrets and finds them.
#[derive(Default)]
pub(crate) struct Scanner {
    /// What each pattern is a form of, and its bytes.
    patterns: Vec<(String, Vec<u8>)>,
    /// By the first two bytes of a pattern: whether there is one that begins so. A memory image is long.
    begins: Vec<bool>,
}

/// A secret where none should be. Says where, and never what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which secret, and in which form.
    pub(crate) what: String,
    /// Where it begins.
    pub(crate) at: usize,
}

impl Scanner {
    /// Adds 32 bytes, such as a key of WireGuard or one that seals.
    pub(crate) fn bytes(&mut self, name: &str, secret: &[u8; 32]) {
        // Half a key is a finding too: memory that is given back has its first bytes overwritten.
        for (half, name) in
            [(&secret[..16], format!("first half of {name}")), (&secret[16..], format!("second half of {name}"))]
        {
            self.pattern(&name, "bytes", half.to_vec());
            let hex: String = half.iter().map(|b| format!("{b:02x}")).collect();
            self.pattern(&name, "hexadecimal", hex.to_uppercase().into_bytes());
            self.pattern(&name, "hexadecimal", hex.into_bytes());
        }
        let text = STANDARD.encode(secret);
        for text in [&text, &URL_SAFE.encode(secret)] {
            // The last of the 43 letters holds only four bits, and `=` follows or not.
            self.pattern(&format!("first half of {name}"), "base64", text[..21].into());
            self.pattern(&format!("second half of {name}"), "base64", text[21..42].into());
        }
        self.inside_base64(name, secret);
        self.inside_base64(&format!("base64 of {name}"), text.as_bytes());
    }

    /// Adds a key as wg(8) prints it.
    pub(crate) fn key(&mut self, name: &str, base64: &str) {
        let bytes = STANDARD.decode(base64).expect("a key in base64");
        self.bytes(name, bytes.as_slice().try_into().expect("a key has 32 bytes"));
    }

    /// Adds a text, such as a passphrase.
    pub(crate) fn text(&mut self, name: &str, secret: &str) {
        self.pattern(name, "text", secret.into());
        self.pattern(name, "hexadecimal", secret.bytes().flat_map(|b| format!("{b:02x}").into_bytes()).collect());
        self.pattern(name, "UTF-16", secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
        self.inside_base64(name, secret.as_bytes());
    }

    /// Adds a recovery key as it is printed: groups of four letters and digits of Crockford's base 32.
    pub(crate) fn recovery_key(&mut self, printed: &str) {
        let digits = |c: char| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(c).expect("a digit of base 32");
        let plain: String = printed.split('-').collect();
        let bits = plain.chars().flat_map(|c| (0..5).rev().map(move |n| digits(c) >> n & 1 == 1)).collect::<Vec<_>>();
        let bytes: Vec<u8> =
            bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect();
        self.bytes("the recovery key", bytes.as_slice().try_into().expect("256 bits"));
        for text in [printed.to_owned(), plain.clone(), printed.to_lowercase(), plain.to_lowercase()] {
            let (first, second) = text.split_at(text.len() / 2);
            self.pattern("first half of the recovery key", "text", first.into());
            self.pattern("second half of the recovery key", "text", second.into());
        }
    }

    /// Adds what bytes look like in the midst of something longer that was encoded as a whole: of the three ways in which
    /// they can lie in it, the letters that depend on them alone.
    fn inside_base64(&mut self, name: &str, secret: &[u8]) {
        for before in 0..3 {
            let padded = [&vec![0; before][..], secret].concat();
            let whole = padded.len() / 3 * 3;
            let text = STANDARD.encode(&padded[..whole]);
            let own = text[(before * 8).div_ceil(6)..].to_owned();
            self.pattern(name, "base64 of something that holds it", own.into_bytes());
        }
    }

    fn pattern(&mut self, name: &str, form: &str, bytes: Vec<u8>) {
        assert!(bytes.len() >= SHORTEST, "{name} is too short to be looked for");
        self.begins.resize(1 << 16, false);
        self.begins[begin(&bytes)] = true;
        self.patterns.push((format!("{name}, as {form}"), bytes));
    }

    /// Returns every secret in there; of one that is there many times, the first.
    pub(crate) fn find(&self, haystack: &[u8]) -> Vec<Finding> {
        assert!(!self.patterns.is_empty(), "a scanner that knows no secret finds none");
        let mut found: Vec<Finding> = Vec::new();
        for at in 0..haystack.len().saturating_sub(1) {
            if !self.begins[begin(&haystack[at..])] {
                continue;
            }
            for (what, bytes) in &self.patterns {
                if haystack[at..].starts_with(bytes) && !found.iter().any(|f| f.what == *what) {
                    found.push(Finding { what: what.clone(), at });
                }
            }
        }
        found
    }

    /// Panics if there is a secret in `haystack`, which is named `place`.
    #[track_caller]
    pub(crate) fn assert_clean(&self, place: &str, haystack: &[u8]) {
        let found = self.find(haystack);
        assert!(found.is_empty(), "{place} holds secrets: {found:#?}");
    }
}

/// The first two bytes as a number.
fn begin(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[test]
fn the_scanner_finds_a_planted_secret_in_every_form() {
    let key: [u8; 32] = std::array::from_fn(|n| (n * 37 + 11) as u8);
    let base64 = STANDARD.encode(key);
    let mut scanner = Scanner::default();
    scanner.key("the key", &base64);
    scanner.text("the passphrase", "correct horse");
    let recovery = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-0123-4567-89AB-CDEF-GHJ0";
    scanner.recovery_key(recovery);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let file = format!("[Interface]\nPrivateKey = {base64}\nAddress = 10.66.0.2/32\n");
    let planted: Vec<Vec<u8>> = vec![
        key.into(),
        key[..16].into(),
        key[16..].into(),
        base64.clone().into(),
        base64.trim_end_matches('=').into(),
        base64[21..].into(),
        URL_SAFE.encode(key).into(),
        hex(&key).into(),
        hex(&key).to_uppercase().into(),
        file.clone().into(),
        STANDARD.encode(&file).into(),
        STANDARD.encode(&file[1..]).into(),
        STANDARD.encode(&file[2..]).into(),
        STANDARD.encode([&b"ab"[..], &key].concat()).into(),
        "correct horse".into(),
        hex(b"correct horse").into(),
        STANDARD.encode("a: correct horse").into(),
        "correct horse".encode_utf16().flat_map(u16::to_le_bytes).collect(),
        recovery.into(),
        recovery.replace('-', "").to_lowercase().into(),
    ];
    for (number, planted) in planted.iter().enumerate() {
        for around in 0..4 {
            let haystack = [&vec![b'x'; around][..], planted, b"yz"].concat();
            assert!(!scanner.find(&haystack).is_empty(), "number {number}");
        }
    }
    let innocent = format!("{}{}correct hors", STANDARD.encode([1; 32]), "0123-4567");
    assert_eq!(scanner.find(innocent.as_bytes()), []);
    let finding = &scanner.find(file.as_bytes())[0];
    assert_eq!((finding.what.as_str(), finding.at), ("first half of the key, as base64", 25));
}
