//! What the screens hand to a command that they run: secrets, over its standard input. They are in no argument, no
//! environment and no file that way.

use std::io::Read;

use zeroize::Zeroizing;

use crate::db::DataKey;

/// The secrets that a command is handed.
#[derive(Default)]
pub struct Handover {
    /// The key of the unlocked database.
    pub key: Option<DataKey>,
    /// The passphrase that somebody typed for this command.
    pub passphrase: Option<Zeroizing<String>>,
    /// The passphrase that is to be set.
    pub new_passphrase: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handover(..)")
    }
}

const KEY: &str = "key ";
const PASSPHRASE: &str = "passphrase ";
const NEW_PASSPHRASE: &str = "new-passphrase ";

/// More than this isn't read: a key and two passphrases are far shorter.
const LIMIT: u64 = 64 << 10;

impl Handover {
    /// Writes it down, a line each.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(1024)); // what grows leaves copies behind
        let lines = [(PASSPHRASE, &self.passphrase), (NEW_PASSPHRASE, &self.new_passphrase)];
        if let Some(key) = &self.key {
            text.push_str(KEY);
            for byte in key.expose() {
                text.push(char::from_digit(u32::from(byte >> 4), 16).expect("it is less than sixteen"));
                text.push(char::from_digit(u32::from(byte & 15), 16).expect("it is less than sixteen"));
            }
            text.push('\n');
        }
        for (word, secret) in lines {
            if let Some(secret) = secret {
                text.push_str(word);
                text.push_str(secret);
                text.push('\n');
            }
        }
        text
    }

    /// Reads what was written down; what isn't understood is left out, and the command says then what it lacks.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn read(from: impl Read) -> std::io::Result<Self> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        from.take(LIMIT).read_to_string(&mut text)?;
        let secret = |word: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
            Some(Zeroizing::new(rest.to_owned()))
        };
        let key = secret(KEY).and_then(|hex| {
            let mut bytes = Zeroizing::new([0_u8; 32]);
            if hex.len() != 64 {
                return None;
            }
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
            }
            Some(DataKey::from_bytes(&bytes))
        });
        Ok(Self { key, passphrase: secret(PASSPHRASE), new_passphrase: secret(NEW_PASSPHRASE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_arrives() {
        let key = DataKey::from_bytes(&std::array::from_fn(|at| at as u8 * 7));
        let given = Handover {
            key: Some(key.duplicate()),
            passphrase: Some("correct horse".to_owned().into()),
            new_passphrase: Some(" with blanks ".to_owned().into()),
        };
        let read = Handover::read(given.text().as_bytes()).unwrap();
        assert_eq!(read.key.as_ref().map(DataKey::expose), Some(key.expose()));
        assert_eq!(read.passphrase.as_deref().map(String::as_str), Some("correct horse"));
        assert_eq!(read.new_passphrase.as_deref().map(String::as_str), Some(" with blanks "));
        assert!(!format!("{read:?}").contains("correct"), "{read:?}");
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let read = Handover::read("key 00ff\nanything\n".as_bytes()).unwrap();
        assert!(read.key.is_none() && read.passphrase.is_none());
        let read = Handover::read(format!("key {}\n", "é".repeat(32)).as_bytes()).unwrap();
        assert!(read.key.is_none());
    }
}
