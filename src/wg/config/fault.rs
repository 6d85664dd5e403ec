//! What is wrong, or odd, in a wg-quick file, and how to mend it.

use std::fmt;

use super::mask;
use super::syntax::Document;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// What is wrong. Its code stays the same from release to release.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind { $($(#[doc = $doc])+ $name,)+ }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns its code: `unknown-key`.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

kinds! {
    /// The file begins with a byte-order mark.
    ByteOrderMark = "byte-order-mark",
    /// A NUL, which no text has.
    Nul = "nul",
    /// There is no section in it.
    Empty = "empty",
    /// There are peers, but no `[Interface]`.
    NoInterface = "no-interface",
    /// A second `[Interface]`.
    SecondInterface = "second-interface",
    /// A section that isn't `[Interface]` or `[Peer]`.
    UnknownSection = "unknown-section",
    /// A key before any section.
    BeforeSection = "before-section",
    /// A comment led by `;`.
    Semicolon = "semicolon",
    /// A line that is no section, key or comment.
    NotAKeyLine = "not-a-key-line",
    /// A key that neither wg(8) nor wg-quick(8) knows.
    UnknownKey = "unknown-key",
    /// A key in a section where it has no meaning.
    Misplaced = "misplaced",
    /// A key of wg-quick(8), or its section, with blanks inside its name.
    SpelledApart = "spelled-apart",
    /// A key that is given twice, of which only the last counts.
    Repeated = "repeated",
    /// A value in quotes.
    Quoted = "quoted",
    /// A key without a value.
    NoValue = "no-value",
    /// A private key that isn't filled in.
    Placeholder = "placeholder",
    /// No key of WireGuard.
    Key = "key",
    /// No port.
    Port = "port",
    /// No firewall mark.
    FwMark = "fwmark",
    /// No MTU.
    Mtu = "mtu",
    /// No routing table.
    Table = "table",
    /// Neither `true` nor `false`.
    SaveConfig = "save-config",
    /// wg-quick(8) overwrites the file.
    SaveConfigOn = "save-config-on",
    /// No address of an interface.
    Address = "address",
    /// An address that is given twice.
    RepeatedAddress = "repeated-address",
    /// A DNS entry that is neither an address nor a domain.
    Dns = "dns",
    /// A hook that wg-quick(8) cuts off at a `#`.
    HookCut = "hook-cut",
    /// A peer without a public key.
    NoPublicKey = "no-public-key",
    /// The same peer twice.
    SamePeer = "same-peer",
    /// A peer that has the interface's own key.
    OwnKey = "own-key",
    /// No prefix.
    AllowedIp = "allowed-ip",
    /// A prefix with bits behind its length.
    HostBits = "host-bits",
    /// `+` or `-` before a prefix.
    Incremental = "incremental",
    /// The same prefix at two peers.
    SharedAllowedIp = "shared-allowed-ip",
    /// No endpoint.
    Endpoint = "endpoint",
    /// An endpoint that wg(8) takes, but whose spelling others don't.
    EndpointSpelling = "endpoint-spelling",
    /// An IPv6 endpoint with a zone.
    EndpointZone = "endpoint-zone",
    /// No interval.
    Keepalive = "keepalive",
}

/// Something wrong, or odd, in a wg-quick file. Never holds the value of a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What, for programs.
    pub kind: FaultKind,
    /// Its line, counted from 1.
    pub line: usize,
    /// The character in that line, counted from 1.
    pub column: usize,
    /// How many characters it takes up; at least 1.
    pub width: usize,
    /// What was found, for people.
    pub found: String,
    /// What was expected; empty when nothing else was.
    pub expected: String,
    /// What to do about it; empty when there is nothing to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.found)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}

/// How much of a long line is shown on each side of what is wrong, in characters.
const AROUND: usize = 60;

impl Fault {
    /// Returns its code: `unknown-key`.
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Returns several lines for a person: where it is, what it is, the line itself with a caret under it, what to do.
    ///
    /// Keys are hidden in the line, and characters that a terminal would act upon are replaced.
    pub fn render(&self, file: &str, document: &Document) -> String {
        let mut text = format!("{file}:{}:{}: {}", self.line, self.column, self.found);
        if !self.expected.is_empty() {
            text.push_str("; expected ");
            text.push_str(&self.expected);
        }
        text.push('\n');
        if let Some(line) = document.lines().get(self.line - 1) {
            let (shown, column, width) = self.window(document.piece(line.content()));
            let margin = self.line.to_string().len();
            text.push_str(&format!("{} | {shown}\n", self.line));
            text.push_str(&format!("{:margin$} | {:before$}{}\n", "", "", "^".repeat(width), before = column));
        }
        if !self.remedy.is_empty() {
            text.push_str(&format!("  = help: {}\n", self.remedy));
        }
        text
    }

    /// Returns what is shown of a line, how many characters stand before what is wrong, and how many it takes up there.
    fn window(&self, line: &str) -> (String, usize, usize) {
        let masked = mask::line(line);
        let shown: Vec<char> = masked.text.chars().map(harmless).collect();
        let (mut column, mut width) = (self.column - 1, self.width);
        if let Some(from) = masked.hidden_from {
            // What is wrong lies in what is hidden: the caret is under all of that.
            if column >= from {
                (column, width) = (from, shown.len() - from);
            }
            width = width.min(shown.len().saturating_sub(column));
        }
        let (column, width) = (column.min(shown.len()), width.max(1));
        let (first, last) = (column.saturating_sub(AROUND), (column + width.min(AROUND) + AROUND).min(shown.len()));
        let (head, tail) = (if first > 0 { "..." } else { "" }, if last < shown.len() { "..." } else { "" });
        let piece: String = shown[first..last].iter().collect();
        (format!("{head}{piece}{tail}"), column - first + head.len(), width.min(AROUND))
    }
}

/// A tab takes one column here, so that the caret stands where it belongs.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        // Marks that turn the direction of what follows, and blanks that can't be seen.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c => c,
    }
}
