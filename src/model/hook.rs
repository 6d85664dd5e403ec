//! Commands that wg-quick(8) runs when an interface goes up and down.

use serde::{Deserialize, Serialize};

/// When wg-quick(8) runs a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the interface is made.
    PreUp,
    /// Once it is up.
    PostUp,
    /// Before it goes down.
    PreDown,
    /// Once it is gone.
    PostDown,
}

impl Phase {
    /// Every phase, in the order in which they come.
    pub const ALL: &'static [Self] = &[Self::PreUp, Self::PostUp, Self::PreDown, Self::PostDown];

    /// Returns the key of wg-quick(8): `PostUp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreUp => "PreUp",
            Self::PostUp => "PostUp",
            Self::PreDown => "PreDown",
            Self::PostDown => "PostDown",
        }
    }

    /// Whether it belongs to coming up.
    pub fn is_up(self) -> bool {
        matches!(self, Self::PreUp | Self::PostUp)
    }
}

/// A command line that wg-quick(8) gives to bash when the interface goes up or down. It may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When.
    pub phase: Phase,
    /// The line, verbatim; `%i` stands for the interface's name.
    pub command: String,
}
