//! Files for tests: made in as many ways as people and tools write them, and mutations of them; the same each time.

use std::fmt::Write as _;

use crate::model::{PresharedKey, PrivateKey, PublicKey};

/// Random numbers that are the same each time (xorshift64*, Vigna 2016).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.below(256) as u8)
    }

    pub(super) fn public_key(&mut self) -> PublicKey {
        PublicKey::from_bytes(self.bytes())
    }
}

/// The way in which one author writes.
struct Author {
    equals: &'static str,
    comma: &'static str,
    indent: &'static str,
    end: &'static str,
    case: usize,
    /// Whether files of this author use only what wg takes.
    proper: bool,
}

struct Text<'a> {
    numbers: &'a mut Numbers,
    author: Author,
    text: String,
}

const COMMENTS: &[&str] = &[
    "# alice",
    "### Client phone",
    "# bob's laptop",
    "#",
    "#### ----",
    "# Name = office-router",
    "# BEGIN_PEER tablet",
    "# dynamic endpoint (behind CGNAT)",
    "#PersistentKeepalive = 25",
    "# PrivateKey = nothing to see here",
    "#[Peer]",
    "# Jürgens Rechner",
    "#\ttabbed\t",
    "# https://example.com/a?b=c#d",
    "# END_PEER tablet",
    "# two words = sides",
];

const HOOKS: &[&str] = &[
    "iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
    "nft 'add chain ip nat post { type nat hook postrouting priority 100 ; }'",
    "/bin/sh -c \"echo up > /run/wg-%i || true\"",
    "ip rule add from 10.0.0.0/8 table 200 priority 100",
    "wg set %i fwmark 51820",
    "sysctl -q -w net.ipv4.ip_forward=1",
    "",
    "echo $((1+1)) = two",
];

impl Text<'_> {
    fn name(&mut self, key: &str) -> String {
        match self.author.case {
            0 => key.to_lowercase(),
            1 => key.to_uppercase(),
            _ => key.to_owned(),
        }
    }

    fn pair(&mut self, key: &str, value: &str) {
        let name = self.name(key);
        let Author { indent, equals, end, .. } = self.author;
        write!(self.text, "{indent}{name}{equals}{value}").unwrap();
        if !key.starts_with("P") && self.numbers.once_in(12) {
            self.text.push_str(self.numbers.pick(&[" # as agreed", "  ", "\t#", " ## x = y"]));
        }
        self.text.push_str(end);
        self.noise(15);
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push_str(self.author.end);
    }

    fn noise(&mut self, rarely: usize) {
        if self.numbers.once_in(rarely) {
            let comment = self.numbers.pick(COMMENTS);
            self.line(comment);
        }
        if self.numbers.once_in(rarely * 2) {
            let blank = self.numbers.pick(&["", "  ", "\t"]);
            self.line(blank);
        }
    }

    fn address(&mut self) -> String {
        let (a, b) = (self.numbers.below(256), self.numbers.below(256));
        match self.numbers.below(6) {
            0 => format!("fd00:66::{a:x}:{b:x}/64"),
            1 => format!("10.66.{a}.{b}"),
            2 => format!("fd00::{a:x}"),
            _ => format!("10.{a}.{b}.1/{}", 8 + self.numbers.below(25)),
        }
    }

    fn prefix(&mut self) -> String {
        let (a, b, c) = (self.numbers.below(4), self.numbers.below(256), self.numbers.below(256));
        let proper = self.author.proper;
        match self.numbers.below(14) {
            0 => "0.0.0.0/0".to_owned(),
            1 => "::/0".to_owned(),
            2 => format!("fd00:{a:x}:{b:x}::/64"),
            3 => format!("fd00::{b:x}:{c:x}/128"),
            4 => format!("10.{a}.{b}.{c}"),
            5 if !proper => format!("192.168.{b}.{c}/24"),
            6 => format!("10.{a}.{b}.0/24"),
            7 if !proper => format!("10.{a}.{b}.{c} / 32"),
            _ => format!("10.{a}.{b}.{c}/32"),
        }
    }

    fn some(&mut self, most: usize, make: fn(&mut Self) -> String) -> String {
        let count = 1 + self.numbers.below(most);
        let mut items: Vec<String> = Vec::new();
        for _ in 0..count {
            let item = make(self);
            if !items.contains(&item) {
                items.push(item);
            }
        }
        items.join(self.author.comma)
    }

    fn interface(&mut self) {
        let header = self.name("[Interface]");
        let header = if self.numbers.once_in(20) { format!("{header} # home") } else { header };
        self.line(&header);
        self.noise(8);
        let key = PrivateKey::from_random(self.numbers.bytes()).expose_base64();
        if !self.numbers.once_in(15) {
            self.pair("PrivateKey", &key);
        }
        if !self.numbers.once_in(10) {
            let value = self.some(3, Self::address);
            self.pair("Address", &value);
        }
        for _ in 0..3 {
            let number = self.numbers.below(65536).to_string();
            match self.numbers.below(12) {
                0..3 => self.pair("ListenPort", &number),
                3 => self.pair("MTU", &(1280 + number.len()).to_string()),
                4 | 5 => {
                    let value = self.numbers.pick(&[
                        "1.1.1.1",
                        "10.66.0.1,example.com",
                        "9.9.9.9, fd00::1",
                        "lan corp.example",
                    ]);
                    self.pair("DNS", value);
                }
                6 => {
                    let mark = format!("0x{:x}", self.numbers.below(65536));
                    self.pair("FwMark", &mark);
                }
                7 => self.pair("FwMark", "off"),
                8 => {
                    let value = self.numbers.pick(&["off", "auto", "1234", "main"]);
                    self.pair("Table", value);
                }
                9 => {
                    let value = self.numbers.pick(&["true", "false"]);
                    self.pair("SaveConfig", value);
                }
                _ if !self.author.proper && self.numbers.once_in(4) => self.pair("Jc", "4"),
                _ => {}
            }
        }
        for phase in ["PreUp", "PostUp", "PostUp", "PreDown", "PostDown"] {
            if self.numbers.once_in(4) {
                let hook = self.numbers.pick(HOOKS);
                self.pair(phase, hook);
            }
        }
    }

    fn peer(&mut self) {
        if !self.numbers.once_in(4) {
            self.line("");
        }
        self.noise(3);
        let header = self.name("[Peer]");
        self.line(&header);
        self.noise(6);
        let key = self.numbers.public_key().to_string();
        self.pair("PublicKey", &key);
        if self.numbers.once_in(3) {
            let shared = PresharedKey::from_random(self.numbers.bytes()).expose_base64();
            self.pair("PresharedKey", &shared);
        }
        for _ in 0..=self.numbers.below(2) {
            let value = self.some(4, Self::prefix);
            self.pair("AllowedIPs", &value);
        }
        if self.numbers.once_in(2) {
            let port = 1 + self.numbers.below(65535);
            let host = self.numbers.pick(&["203.0.113.7", "[2001:db8::7]", "198.51.100.200"]);
            self.pair("Endpoint", &format!("{host}:{port}"));
        }
        if self.numbers.once_in(2) {
            let value = self.numbers.pick(&["25", "0", "off", "OFF", "65535", "015"]);
            self.pair("PersistentKeepalive", value);
        }
    }
}

/// Makes a file that can be read.
pub(super) fn file(numbers: &mut Numbers, proper: bool) -> String {
    let author = Author {
        equals: numbers.pick(&[" = ", " = ", "=", "\t=\t", "      = ", "= ", " ="]),
        comma: numbers.pick(&[", ", ",", " , ", ",\t"]),
        indent: numbers.pick(&["", "", "", "  ", "\t"]),
        end: if numbers.once_in(6) { "\r\n" } else { "\n" },
        case: numbers.below(12),
        proper,
    };
    let mut text = Text { numbers, author, text: String::new() };
    text.noise(4);
    text.interface();
    for _ in 0..text.numbers.below(6) {
        text.peer();
    }
    let mut made = text.text;
    if numbers.once_in(6) {
        made.truncate(made.trim_end().len());
    }
    made
}

const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "#",
    ";",
    "=",
    " = ",
    "[Peer]\n",
    "[Interface]\n",
    "[",
    "]",
    ",",
    ", ",
    "\"",
    "'",
    "\t",
    " ",
    "\u{a0}",
    "off",
    "0",
    "70000",
    "0x",
    "-",
    "+",
    "/",
    "/33",
    "::",
    ":",
    "%",
    "AllowedIPs = 10.0.0.1/8\n",
    "PublicKey",
    "PrivateKey =\n",
    "Endpoint = 2001:db8::1:51820\n",
    "ListenPort = 666666666\n",
    "MTU = \n",
    "SaveConfig = true\n",
    "Jc = 4\n",
    "PostUp = true # x\n",
    "Address = 10.9.9.9/24\n",
    "PersistentKeepalive = off\n",
    "FwMark = 010\n",
    "A",
    "\u{feff}",
    "é",
    "DNS = \n",
];

/// Changes a few places of a file: lines taken out, doubled, swapped, cut; characters and words put in.
pub(super) fn mutated(text: &str, numbers: &mut Numbers) -> String {
    let mut text = text.to_owned();
    for _ in 0..=numbers.below(3) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        if lines.is_empty() {
            return text;
        }
        let at = numbers.below(lines.len());
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        match numbers.below(7) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = numbers.below(lines.len());
                lines.swap(at, other);
            }
            _ => {
                let line = &mut lines[at];
                let places: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
                let place = places[numbers.below(places.len())];
                match numbers.below(3) {
                    0 => drop(line.remove(place)),
                    1 => line.insert_str(place, numbers.pick(WORDS)),
                    _ => line.truncate(place),
                }
            }
        }
        text = lines.concat();
    }
    text
}
