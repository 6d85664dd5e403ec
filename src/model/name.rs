//! Names of nodes, hosts and networks, and names of interfaces.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A name has at least one character.
    #[error("a name can't be empty")]
    Empty,
    /// Longer than the limit.
    #[error("`{name}` is too long: at most {limit} characters")]
    TooLong {
        /// The name as given.
        name: String,
        /// The limit, in characters.
        limit: usize,
    },
    /// A character that isn't allowed.
    #[error("`{name}` can't be used as a name: `{}` isn't allowed ({allowed})", .found.escape_debug())]
    Character {
        /// The name as given.
        name: String,
        /// The offending character.
        found: char,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// What an operator calls a node, a host or a network. Safe in a path, an argv and a log line.
///
/// Letters, digits, `-`, `_` and `.`; begins with a letter or digit; at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>); // what is known of a node is known by its name: copies share the text

impl Name {
    const LIMIT: usize = 63;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some(first) = text.chars().next() else {
            return Err(InvalidName::Empty);
        };
        let offending = if first.is_ascii_alphanumeric() {
            text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        } else {
            Some(first)
        };
        if let Some(found) = offending {
            return Err(InvalidName::Character {
                name: text.to_owned(),
                found,
                allowed: "letters, digits, `-`, `_`, `.`; the first a letter or digit",
            });
        }
        if text.len() > Self::LIMIT {
            return Err(InvalidName::TooLong { name: text.to_owned(), limit: Self::LIMIT });
        }
        Ok(Self(text.into()))
    }
}

/// The name of a network interface, and of its wg-quick file.
///
/// `[a-zA-Z0-9_=+.-]{1,15}`, what wg-quick(8) and the kernel both take; `.` and `..` are no names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(Arc<str>);

impl InterfaceName {
    /// Bytes in the longest name that Linux takes (IFNAMSIZ without the final NUL).
    pub const LIMIT: usize = 15;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        let allowed = "letters, digits and `_=+.-`, as wg-quick takes them";
        let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '.' | '-'));
        let dots = (text == "." || text == "..").then_some('.');
        let dash = text.starts_with('-').then_some('-'); // would read as an option in `ip link show -x`
        if let Some(found) = text.chars().find(bad).or(dots).or(dash) {
            return Err(InvalidName::Character { name: text.to_owned(), found, allowed });
        }
        if text.len() > Self::LIMIT {
            return Err(InvalidName::TooLong { name: text.to_owned(), limit: Self::LIMIT });
        }
        Ok(Self(text.into()))
    }
}

macro_rules! text_newtype {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}
text_newtype!(Name);
text_newtype!(InterfaceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_argv() {
        for good in ["a", "alice-phone", "office.2", "x_1", &"n".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "-rf", ".hidden", "a/b", "a b", "ä", "x\n", &"n".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_are_what_wg_quick_takes() {
        for good in ["wg0", "wgx1", "a=b+c", "123456789012345"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "-wg", "wg 0", "wg/0", "1234567890123456"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?}");
        }
    }
}
