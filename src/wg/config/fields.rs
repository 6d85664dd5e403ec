//! The keys of a wg-quick file, and the items of those that hold lists.

use std::ops::Range;

use super::syntax::{self, is_blank, trimmed};
use crate::wg::Phase;

/// A key that wg(8) or wg-quick(8) knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    PrivateKey,
    Address,
    ListenPort,
    Mtu,
    Dns,
    FwMark,
    Table,
    SaveConfig,
    Hook(Phase),
    PublicKey,
    PresharedKey,
    AllowedIps,
    Endpoint,
    Keepalive,
}

/// Who reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// wg(8), which takes out all blanks first.
    Wg,
    /// wg-quick(8), which wants names as they are, in whatever case.
    Quick,
}

impl Field {
    /// The keys of an interface, in the order in which they are written.
    pub(super) const INTERFACE: &'static [Self] = &[
        Self::PrivateKey,
        Self::Address,
        Self::ListenPort,
        Self::Mtu,
        Self::Dns,
        Self::FwMark,
        Self::Table,
        Self::SaveConfig,
        Self::Hook(Phase::PreUp),
        Self::Hook(Phase::PostUp),
        Self::Hook(Phase::PreDown),
        Self::Hook(Phase::PostDown),
    ];

    /// The keys of a peer, in the order in which they are written.
    pub(super) const PEER: &'static [Self] =
        &[Self::PublicKey, Self::PresharedKey, Self::AllowedIps, Self::Endpoint, Self::Keepalive];

    /// Returns the key with a name, in whatever case and with whatever blanks in it.
    pub(super) fn of(name: &str) -> Option<Self> {
        let squeezed;
        let name = if name.contains(is_blank) {
            squeezed = syntax::squeezed(name);
            squeezed.as_str()
        } else {
            name
        };
        let mut all = Self::INTERFACE.iter().chain(Self::PEER);
        all.find(|field| field.as_str().eq_ignore_ascii_case(name)).copied()
    }

    /// Returns its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKey => "PrivateKey",
            Self::Address => "Address",
            Self::ListenPort => "ListenPort",
            Self::Mtu => "MTU",
            Self::Dns => "DNS",
            Self::FwMark => "FwMark",
            Self::Table => "Table",
            Self::SaveConfig => "SaveConfig",
            Self::Hook(phase) => phase.as_str(),
            Self::PublicKey => "PublicKey",
            Self::PresharedKey => "PresharedKey",
            Self::AllowedIps => "AllowedIPs",
            Self::Endpoint => "Endpoint",
            Self::Keepalive => "PersistentKeepalive",
        }
    }

    /// Whether it belongs to a peer.
    pub(super) fn is_of_peer(self) -> bool {
        Self::PEER.contains(&self)
    }

    /// Whether each of its lines adds something; of the others the last one counts.
    pub(super) fn adds_up(self) -> bool {
        matches!(self, Self::Address | Self::Dns | Self::AllowedIps | Self::Hook(_))
    }

    pub(super) fn reader(self) -> Reader {
        match self {
            Self::PrivateKey | Self::ListenPort | Self::FwMark => Reader::Wg,
            field if field.is_of_peer() => Reader::Wg,
            _ => Reader::Quick,
        }
    }
}

/// What a value is once everything around it is gone that only other programs take.
pub(super) struct Bare {
    pub(super) value: Range<usize>,
    /// Where a comment led by `;` begins, if there is one behind it.
    pub(super) semicolon: Option<usize>,
    pub(super) quoted: bool,
}

/// Takes quotes and a comment led by `;` from a value. Hooks are left alone: there both mean something.
pub(super) fn bare(text: &str, value: Range<usize>, field: Field) -> Bare {
    if matches!(field, Field::Hook(_)) {
        return Bare { value, semicolon: None, quoted: false };
    }
    let piece = &text[value.clone()];
    let semicolon =
        piece.find(';').map(|at| value.start + at).filter(|at| text[..*at].ends_with(|c| is_blank(c) || c == '='));
    let value = trimmed(text, value.start..semicolon.unwrap_or(value.end));
    let piece = &text[value.clone()];
    let quoted =
        piece.len() >= 2 && ['"', '\''].iter().any(|quote| piece.starts_with(*quote) && piece.ends_with(*quote));
    let value = if quoted { trimmed(text, value.start + 1..value.end - 1) } else { value };
    Bare { value, semicolon, quoted }
}

/// Returns where the items of a list are: between commas, and for what wg-quick reads also between blanks. Items of
/// wg's lists may be empty.
pub(super) fn items(text: &str, value: Range<usize>, field: Field) -> Vec<Range<usize>> {
    let quick = field.reader() == Reader::Quick;
    let divides = |c: char| c == ',' || (quick && is_blank(c));
    let (mut found, mut start) = (Vec::new(), value.start);
    let ends = text[value.clone()].char_indices().filter(|(_, c)| divides(*c)).map(|(at, _)| value.start + at);
    for end in ends.chain([value.end]) {
        let item = trimmed(text, start..end);
        if !quick || !item.is_empty() {
            found.push(item);
        }
        start = end + 1;
    }
    found
}
