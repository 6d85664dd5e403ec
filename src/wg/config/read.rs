//! What a wg-quick file means.
//!
//! Taken is what `wg-quick strip` and `wg setconf` take, with the differences that docs/reference/wg-quick.md lists.

use std::collections::HashMap;
use std::ops::Range;

use super::drafts::Draft;
use super::fault::{Fault, FaultKind};
use super::fields::{Bare, Field, Reader, bare, items};
use super::mask::looks_like_key;
use super::syntax::{Document, Line, LineKind, SectionKind, is_blank, squeezed};
use super::values::{self, Step, Wrong};
use crate::wg::{Hook, Table, Tunnel};

/// How much is tolerated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What wg and wg-quick take. Keys that they don't know are kept, with a warning, and so is a private key that isn't
    /// filled in.
    #[default]
    Keep,
    /// Only what they take.
    Strict,
    /// Also what they refuse although its meaning is plain, each with a warning.
    Lenient,
}

/// A file that could be read.
#[derive(Debug)]
pub struct Reading {
    /// What it means.
    pub tunnel: Tunnel,
    /// What is odd about it, in the order of its lines.
    pub warnings: Vec<Fault>,
}

impl Document {
    /// Reads what it means.
    ///
    /// # Errors
    /// Everything that can't be tolerated in this mode, in the order of the lines.
    pub fn read(&self, mode: Mode) -> Result<Reading, Vec<Fault>> {
        let mut reading = Pass::new(self, mode);
        reading.lines();
        reading.finish()
    }
}

const SEMICOLON: &str = "wg refuses it: begin the comment with `#`";

/// Where something belongs, as far as wg goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Interface { exact: bool },
    Peer,
    Unknown,
}

/// One reading, under way.
pub(super) struct Pass<'a> {
    pub(super) document: &'a Document,
    pub(super) mode: Mode,
    place: Place,
    pub(super) tunnel: Tunnel,
    pub(super) peers: Vec<Draft>,
    /// In which line the interface, or the present peer, has a key that counts once.
    seen_interface: HashMap<Field, usize>,
    seen_peer: HashMap<Field, usize>,
    pub(super) interface_line: Option<usize>,
    pub(super) errors: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl<'a> Pass<'a> {
    fn new(document: &'a Document, mode: Mode) -> Self {
        Self {
            document,
            mode,
            place: Place::Nowhere,
            tunnel: Tunnel::default(),
            peers: Vec::new(),
            seen_interface: HashMap::new(),
            seen_peer: HashMap::new(),
            interface_line: None,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn fault(&self, line: usize, range: Range<usize>, wrong: Wrong) -> Fault {
        let start = self.document.lines().get(line).map_or(0, |line| line.content().start);
        let column = 1 + self.document.piece(start.min(range.start)..range.start).chars().count();
        let width = self.document.piece(range).chars().count().max(1);
        let Wrong { kind, found, expected, remedy } = wrong;
        Fault { kind, line: line + 1, column, width, found, expected, remedy }
    }

    pub(super) fn warn(&mut self, line: usize, range: Range<usize>, wrong: Wrong) {
        self.warnings.push(self.fault(line, range, wrong));
    }

    pub(super) fn error(&mut self, line: usize, range: Range<usize>, wrong: Wrong) {
        self.errors.push(self.fault(line, range, wrong));
    }

    /// Tolerated unless every word has to be one that wg knows.
    fn unless_strict(&mut self, line: usize, range: Range<usize>, wrong: Wrong) {
        match self.mode {
            Mode::Strict => self.error(line, range, wrong),
            Mode::Keep | Mode::Lenient => self.warn(line, range, wrong),
        }
    }

    /// Refused, unless asked to be lenient. Whether it is tolerated.
    pub(super) fn if_lenient(&mut self, line: usize, range: Range<usize>, wrong: Wrong) -> bool {
        match self.mode {
            Mode::Lenient => self.warn(line, range, wrong),
            Mode::Keep | Mode::Strict => self.error(line, range, wrong),
        }
        self.mode == Mode::Lenient
    }

    /// Takes a value if it can be read, and says what is wrong or odd about it.
    fn take<T>(&mut self, line: usize, range: Range<usize>, reading: values::Reading<T>) -> Option<T> {
        let (value, odd) = match reading {
            Ok(read) => read,
            Err(wrong) => {
                self.error(line, range, wrong);
                return None;
            }
        };
        match odd {
            None => {}
            Some(odd) if odd.kind == FaultKind::Incremental => drop(self.if_lenient(line, range, odd)),
            Some(odd) if odd.kind == FaultKind::Placeholder => self.unless_strict(line, range, odd),
            Some(odd) => self.warn(line, range, odd),
        }
        Some(value)
    }

    fn lines(&mut self) {
        let document = self.document;
        if document.has_mark() {
            let remedy =
                "wg-quick on Linux refuses the file with it: save it as UTF-8 without one before it goes there";
            self.unless_strict(
                0,
                0..0,
                Wrong::new(FaultKind::ByteOrderMark, "the file begins with a byte-order mark", "", remedy),
            );
        }
        for (section, lines) in document.sections().iter().enumerate().map(|(at, found)| (at, found.lines.clone())) {
            for index in lines {
                let line = document.lines()[index];
                self.line(section, index, &line);
            }
        }
    }

    fn line(&mut self, section: usize, index: usize, line: &Line) {
        let document = self.document;
        if let Some(at) = document.piece(line.content()).find('\0') {
            let at = line.content().start + at;
            self.error(index, at..at + 1, Wrong::new(FaultKind::Nul, "a NUL character", "text", "take it out"));
        }
        match line.kind {
            LineKind::Blank | LineKind::Comment => {}
            LineKind::Semicolon => {
                let wrong = Wrong::new(FaultKind::Semicolon, "`;` doesn't begin a comment", "`#`", SEMICOLON);
                self.if_lenient(index, line.comment().start..line.comment().start + 1, wrong);
            }
            LineKind::Header => self.header(section, index, line),
            LineKind::Pair if self.place == Place::Unknown => {}
            LineKind::Pair => self.pair(index, line),
            LineKind::Other => {
                let wrong = Wrong::new(
                    FaultKind::NotAKeyLine,
                    "this line is no section, no key and no comment",
                    "`Key = value`",
                    "begin it with `#` if it is a comment",
                );
                self.error(index, line.name(), wrong);
            }
        }
    }

    fn header(&mut self, section: usize, index: usize, line: &Line) {
        let name = self.document.piece(line.name());
        self.place = match self.document.sections()[section].kind {
            SectionKind::Interface => Place::Interface { exact: name.eq_ignore_ascii_case("[Interface]") },
            SectionKind::Peer => Place::Peer,
            SectionKind::Preamble | SectionKind::Unknown => Place::Unknown,
        };
        match self.place {
            Place::Interface { .. } => match self.interface_line {
                None => self.interface_line = Some(index),
                Some(first) => {
                    let found = format!("a second [Interface]; the first is in line {}", first + 1);
                    let remedy = "wg takes both for one, in which the later value counts";
                    self.warn(index, line.name(), Wrong::new(FaultKind::SecondInterface, found, "", remedy));
                }
            },
            Place::Peer => {
                self.seen_peer.clear();
                self.peers.push(Draft {
                    section,
                    header: index,
                    key: None,
                    preshared: None,
                    allowed: Vec::new(),
                    endpoint: None,
                    keepalive: None,
                    unknown: Vec::new(),
                    told: false,
                });
            }
            Place::Nowhere | Place::Unknown => {
                let found = format!("{} is no section", values::shown(name));
                let wrong = Wrong::new(FaultKind::UnknownSection, found, "[Interface] or [Peer]", "");
                self.if_lenient(index, line.name(), wrong);
            }
        }
    }

    fn pair(&mut self, index: usize, line: &Line) {
        let name = self.document.piece(line.name());
        match Field::of(name) {
            Some(field) => self.known(index, line, field),
            None => self.unknown(index, line, name),
        }
    }

    fn unknown(&mut self, index: usize, line: &Line, name: &str) {
        let is_name = name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !is_name || looks_like_key(name) {
            let found = "what stands before the `=` is no name of a key";
            let wrong =
                Wrong::new(FaultKind::NotAKeyLine, found, "`Key = value`", "begin it with `#` if it is a comment");
            self.error(index, line.name(), wrong);
            return;
        }
        let remedy = match alike(name) {
            Some(field) => format!("did you mean {}? As it is, wg refuses the file", field.as_str()),
            None => "wg refuses the file with it; the tools of its vendor may take it".to_owned(),
        };
        let wrong = Wrong::new(FaultKind::UnknownKey, format!("wg knows no key {}", values::shown(name)), "", remedy);
        self.unless_strict(index, line.name(), wrong);
        let entry = (name.to_owned(), self.document.piece(line.value()).to_owned());
        match self.place {
            Place::Peer => self.peers.last_mut().expect("its header was read").unknown.push(entry),
            Place::Nowhere => self.before_section(index, line),
            Place::Interface { .. } | Place::Unknown => self.tunnel.unknown.push(entry),
        }
    }

    fn before_section(&mut self, index: usize, line: &Line) {
        let wrong = Wrong::new(FaultKind::BeforeSection, "a key before any section", "[Interface] or [Peer] first", "");
        self.if_lenient(index, line.name(), wrong);
    }

    fn known(&mut self, index: usize, line: &Line, field: Field) {
        match self.place {
            Place::Nowhere => self.before_section(index, line),
            Place::Interface { .. } if field.is_of_peer() => {
                let found = format!("{} belongs to a [Peer]", field.as_str());
                let remedy = "wg refuses it in [Interface]: move it, or make it a comment";
                // Nobody knows which peer is meant: tolerated means passed over.
                self.if_lenient(index, line.name(), Wrong::new(FaultKind::Misplaced, found, "", remedy));
                return;
            }
            Place::Peer if !field.is_of_peer() => {
                let found = format!("{} belongs to [Interface]", field.as_str());
                let remedy = "wg refuses it after [Peer]: move it up";
                self.if_lenient(index, line.name(), Wrong::new(FaultKind::Misplaced, found, "", remedy));
            }
            Place::Interface { .. } | Place::Peer | Place::Unknown => {}
        }
        if field.is_of_peer() && self.place != Place::Peer {
            return;
        }
        let name = self.document.piece(line.name());
        let apart = name.contains(is_blank) || self.place == (Place::Interface { exact: false });
        if field.reader() == Reader::Quick && apart {
            let found =
                format!("wg-quick doesn't take {} when it, or its section, is written with blanks", field.as_str());
            self.if_lenient(index, line.name(), Wrong::new(FaultKind::SpelledApart, found, field.as_str(), ""));
        }
        if field == Field::PublicKey {
            self.peers.last_mut().expect("its header was read").told =
                self.mode != Mode::Lenient || !line.value().is_empty();
        }
        let Some(value) = self.value(index, line, field) else {
            match field {
                // Of these wg-quick takes the last, also if that is empty.
                Field::Mtu => self.tunnel.mtu = None,
                Field::Table => self.tunnel.table = Table::Auto,
                _ => {}
            }
            return;
        };
        self.repeated(index, line, field);
        if field.is_of_peer() {
            self.of_peer(index, value, field)
        } else {
            self.of_interface(index, line, value, field)
        }
    }

    /// Returns where the value is; `None` for one that says nothing.
    fn value(&mut self, index: usize, line: &Line, field: Field) -> Option<Range<usize>> {
        let Bare { value, semicolon, quoted } = bare(self.document.text(), line.value(), field);
        let mut tolerated = true;
        if let Some(at) = semicolon {
            let wrong = Wrong::new(FaultKind::Semicolon, "`;` doesn't begin a comment", "`#`", SEMICOLON);
            tolerated &= self.if_lenient(index, at..at + 1, wrong);
        }
        if quoted {
            let wrong = Wrong::new(FaultKind::Quoted, "a value in quotes", "the same without quotes", "");
            tolerated &= self.if_lenient(index, line.value(), wrong);
        }
        if !tolerated {
            return None;
        }
        if value.is_empty() && field != Field::PrivateKey {
            let needs_one = field.reader() == Reader::Wg || field == Field::SaveConfig;
            if needs_one {
                let found = format!("{} has no value", field.as_str());
                let wrong = Wrong::new(FaultKind::NoValue, found, "a value", "leave the line out if there is none");
                self.if_lenient(index, line.name(), wrong);
            }
            return None;
        }
        Some(value)
    }

    fn repeated(&mut self, index: usize, line: &Line, field: Field) {
        if field.adds_up() {
            return;
        }
        let seen = if field.is_of_peer() { &mut self.seen_peer } else { &mut self.seen_interface };
        if let Some(before) = seen.insert(field, index) {
            let found = format!("{} again, after line {}", field.as_str(), before + 1);
            let wrong = Wrong::new(FaultKind::Repeated, found, "", "the later one counts: take the other out");
            self.warn(index, line.name(), wrong);
        }
    }

    fn of_interface(&mut self, index: usize, line: &Line, value: Range<usize>, field: Field) {
        let text = self.document.piece(value.clone());
        match field {
            Field::PrivateKey => {
                let read = values::private_key(&squeezed(text));
                if let Some(key) = self.take(index, value, read) {
                    self.tunnel.private_key = key;
                }
            }
            Field::ListenPort => {
                let read = values::port(&squeezed(text));
                if let Some(port) = self.take(index, value, read) {
                    self.tunnel.listen_port = port;
                }
            }
            Field::FwMark => {
                let read = values::fwmark(&squeezed(text));
                if let Some(mark) = self.take(index, value, read) {
                    self.tunnel.fwmark = Some(mark);
                }
            }
            Field::Mtu => self.tunnel.mtu = self.take(index, value, values::mtu(text)).or(self.tunnel.mtu),
            Field::Table => {
                if let Some(table) = self.take(index, value, values::table(text)) {
                    self.tunnel.table = table;
                }
            }
            Field::SaveConfig => {
                if let Some(save) = self.take(index, value, values::save_config(text)) {
                    self.tunnel.save_config = save;
                }
            }
            Field::Address => self.addresses(index, value),
            Field::Dns => {
                for item in items(self.document.text(), value, field) {
                    let entry = self.document.piece(item.clone());
                    if let Some(odd) = values::dns(entry) {
                        self.warn(index, item, odd);
                    }
                    self.tunnel.dns.push(entry.to_owned());
                }
            }
            Field::Hook(phase) => {
                self.hook_cut(index, line);
                self.tunnel.hooks.push(Hook { phase, command: text.to_owned() });
            }
            Field::PublicKey | Field::PresharedKey | Field::AllowedIps | Field::Endpoint | Field::Keepalive => {}
        }
    }

    fn addresses(&mut self, index: usize, value: Range<usize>) {
        for item in items(self.document.text(), value, Field::Address) {
            let read = values::address(self.document.piece(item.clone()));
            let Some(address) = self.take(index, item.clone(), read) else { continue };
            if self.tunnel.addresses.contains(&address) {
                let found = format!("{address} is given twice");
                let remedy = "`wg-quick up` fails on the second one: take it out";
                self.warn(index, item, Wrong::new(FaultKind::RepeatedAddress, found, "", remedy));
            } else {
                self.tunnel.addresses.push(address);
            }
        }
    }

    /// Says so when the part of a hook that wg-quick takes isn't what was meant.
    fn hook_cut(&mut self, index: usize, line: &Line) {
        let (content, comment) = (line.content(), line.comment());
        let before = self.document.piece(content.start..comment.start);
        if comment.is_empty() || (before.ends_with(is_blank) && !inside_quotes(before)) {
            return;
        }
        let found = "wg-quick takes the `#` in this command for a comment, and runs what is before it";
        let remedy = "put the command into a script and call that";
        self.warn(index, comment.start..comment.start + 1, Wrong::new(FaultKind::HookCut, found, "", remedy));
    }

    fn of_peer(&mut self, index: usize, value: Range<usize>, field: Field) {
        let text = squeezed(self.document.piece(value.clone()));
        let at = self.peers.len() - 1;
        match field {
            Field::PublicKey => {
                if let Some(key) = self.take(index, value, values::public_key(&text)) {
                    self.peers[at].key = Some((key, index));
                }
            }
            Field::PresharedKey => {
                if let Some(key) = self.take(index, value, values::preshared_key(&text)) {
                    self.peers[at].preshared = Some(key);
                }
            }
            Field::Endpoint => {
                if let Some(endpoint) = self.take(index, value, values::endpoint(&text)) {
                    self.peers[at].endpoint = Some(endpoint);
                }
            }
            Field::Keepalive => {
                if let Some(seconds) = self.take(index, value, values::keepalive(&text)) {
                    self.peers[at].keepalive = Some(seconds);
                }
            }
            _ => self.allowed_ips(index, value, at),
        }
    }

    fn allowed_ips(&mut self, index: usize, value: Range<usize>, at: usize) {
        for item in items(self.document.text(), value, Field::AllowedIps) {
            let text = squeezed(self.document.piece(item.clone()));
            if text.is_empty() && self.mode == Mode::Lenient {
                let remedy = "wg refuses a comma with nothing behind it";
                let wrong = Wrong::new(FaultKind::AllowedIp, "an empty item", "a prefix", remedy);
                self.warn(index, item, wrong);
                continue;
            }
            let Some((step, cidr)) = self.take(index, item, values::allowed_ip(&text)) else { continue };
            let allowed = &mut self.peers[at].allowed;
            match step {
                Step::Remove => allowed.retain(|(had, _)| *had != cidr),
                Step::Add => allowed.push((cidr, index)),
            }
        }
    }
}

/// Whether the end of a text is inside quotes of a shell.
fn inside_quotes(text: &str) -> bool {
    let (mut open, mut escaped) = (None, false);
    for c in text.chars() {
        match (open, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => open = Some(c),
            (Some(quote), c) if quote == c => open = None,
            _ => {}
        }
    }
    open.is_some()
}

/// Returns the key that a name is a mistyped spelling of.
fn alike(name: &str) -> Option<Field> {
    let name = name.to_ascii_lowercase().replace(['-', '_', '.'], "");
    let near =
        |field: &&Field| distance(&name, &field.as_str().to_ascii_lowercase()) <= if name.len() < 6 { 1 } else { 2 };
    Field::INTERFACE.iter().chain(Field::PEER).filter(|_| name.len() > 3).find(near).copied()
}

/// How many letters have to be put in, taken out or replaced to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
