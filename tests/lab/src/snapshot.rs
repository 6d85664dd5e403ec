//! Everything about a host that a deploy could change, in a form in which two moments can be compared.

use std::collections::BTreeMap;

use similar::{ChangeTag, TextDiff};

use crate::{Host, Result};

/// What a host looked like at one moment. Counters, timers and the order in which userspace WireGuard lists its peers
/// are left out; everything else is there, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    sections: BTreeMap<String, String>,
}

/// Begins a section in what [`SCRIPT`] prints: a character no text on a host contains.
const MARK: char = '\u{1}';

/// Prints the sections; one that is printed twice is taken as one. POSIX sh; a command that is missing leaves its section
/// empty. A host has many files and is looked at often, so no file has a command of its own.
pub(crate) const SCRIPT: &str = r#"
section() { printf '\001%s\n' "$1"; }
found() {
	find /etc/wireguard /var/lib/wg-friend /etc/rc.local /etc/wg-friend /etc/systemd/system /etc/systemd/network /etc/sysctl.d \
		/etc/sysctl.conf /etc/nftables.conf /etc/network /etc/local.d /etc/crontab "$@" 2>/dev/null
}
found -printf '\001file %p\n%y %m %u:%g %l\n'
found -type f -exec awk -v RS='\001' '{ printf "\001file %s\n%s", FILENAME, $0 }' {} +
section 'units active'; systemctl list-units --state=active --no-legend --no-pager --plain 'wg-*' 2>/dev/null | awk '{print $1, $3, $4}'
for i in $(wg show interfaces 2>/dev/null | tr ' ' '\n' | sort); do
	section "wg $i"; wg showconf "$i" | grep -v '^Endpoint'
	section "wg endpoints $i"; wg show "$i" endpoints | sort
done
section links; ip -o link show 2>/dev/null | sed -E 's/^[0-9]+: //; s/@[^:]*:/:/; s/ (qdisc|qlen|state|group) [^ ]+//g'
section addresses; ip -o addr show 2>/dev/null | grep -v ' fe80:' | sed -E 's/^[0-9]+: //; s/\\.*//; s/ +/ /g' | sort
section 'routes 4'; ip -4 -N route show table all 2>/dev/null | sed -E 's/ expires [0-9]+sec//; s/ *$//' | sort
section 'routes 6'; ip -6 -N route show table all 2>/dev/null | grep -v 'fe80:' | sed -E 's/ expires [0-9]+sec//; s/ *$//' | sort
section 'rules 4'; ip -4 -N rule show 2>/dev/null
section 'rules 6'; ip -6 -N rule show 2>/dev/null
section sysctl; (cd /proc/sys/net && grep . ipv4/ip_forward ipv[46]/conf/*/forwarding ipv4/conf/*/rp_filter ipv4/conf/*/src_valid_mark) 2>/dev/null |
	sed 's|^|net.|; s|:| = |; s|/|.|g'
section nft; nft -s list ruleset 2>/dev/null
"#;

impl Host<'_> {
    /// Looks at everything a deploy could change.
    ///
    /// # Errors
    /// When the host can't be reached.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::read(&self.sh(SCRIPT)?))
    }
}

impl Snapshot {
    pub(crate) fn read(text: &str) -> Self {
        let mut sections: BTreeMap<String, String> = BTreeMap::new();
        for section in text.split(MARK).skip(1) {
            let (name, body) = section.split_once('\n').unwrap_or((section, ""));
            let in_any_order = name.starts_with("wg ") && !name.starts_with("wg endpoints");
            let body = if in_any_order { sort_peers(body) } else { body.to_owned() };
            sections.entry(name.to_owned()).or_default().push_str(&body);
        }
        Self { sections }
    }

    /// Leaves out the sections whose name begins with `name`, such as `wg endpoints` or `file /var/lib/wg-friend/log`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.sections.retain(|section, _| !section.starts_with(name));
        self
    }

    /// Returns the names of all sections.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Returns one section's text, if there is such a section.
    pub fn section(&self, name: &str) -> Option<&str> {
        self.sections.get(name).map(String::as_str)
    }

    /// Says in what this differs from an earlier snapshot, section by section with the lines that came (`+`) and went
    /// (`-`); empty when nothing does.
    pub fn diff(&self, before: &Self) -> String {
        let names: std::collections::BTreeSet<_> = self.sections.keys().chain(before.sections.keys()).collect();
        let mut text = String::new();
        for name in names {
            let (old, new) = (before.section(name), self.section(name));
            if old == new {
                continue;
            }
            text += &match (old, new) {
                (None, _) => format!("[{name}] is new\n"),
                (_, None) => format!("[{name}] is gone\n"),
                _ => format!("[{name}]\n"),
            };
            let changes = TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default());
            for change in changes.iter_all_changes() {
                let sign = match change.tag() {
                    ChangeTag::Equal => continue,
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                };
                text += &format!("  {sign} {}\n", change.value().trim_end_matches('\n'));
            }
        }
        text
    }
}

/// Sorts the peers of `wg showconf` and what each is allowed: userspace WireGuard keeps no order.
fn sort_peers(text: &str) -> String {
    let mut blocks = text.split("[Peer]");
    let interface = blocks.next().unwrap_or_default();
    let mut peers: Vec<String> = blocks.map(sort_allowed).collect();
    peers.sort();
    peers.iter().fold(interface.trim_end().to_owned() + "\n", |all, peer| all + "[Peer]\n" + peer)
}

fn sort_allowed(peer: &str) -> String {
    let lines = peer.lines().map(str::trim).filter(|l| !l.is_empty());
    let sorted = lines.map(|line| match line.strip_prefix("AllowedIPs = ") {
        Some(allowed) => {
            let mut allowed: Vec<&str> = allowed.split(", ").collect();
            allowed.sort_unstable();
            format!("AllowedIPs = {}\n", allowed.join(", "))
        }
        None => format!("{line}\n"),
    });
    sorted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_its_section_and_shows_the_lines() {
        let before = Snapshot::read("\u{1}file /a\nregular file 600\nx\n\u{1}links\nlo\n\u{1}nft\n");
        let after = Snapshot::read("\u{1}file /a\nregular file 644\nx\n\u{1}links\nlo\nwg0\n\u{1}rules 4\n");
        assert_eq!(before.diff(&before), "");
        assert_eq!(
            after.diff(&before),
            "[file /a]\n  - regular file 600\n  + regular file 644\n[links]\n  + wg0\n[nft] is gone\n[rules 4] is new\n"
        );
        assert_eq!(
            after.clone().without("file").diff(&before.without("file")),
            "[links]\n  + wg0\n[nft] is gone\n[rules 4] is new\n"
        );
    }

    #[test]
    fn the_order_of_peers_and_of_what_they_are_allowed_makes_no_difference() {
        let one = "\u{1}wg wg0\n[Interface]\nListenPort = 1\n\n[Peer]\nPublicKey = a\nAllowedIPs = 1, 2\n\n[Peer]\nPublicKey = b\n";
        let two = "\u{1}wg wg0\n[Interface]\nListenPort = 1\n\n[Peer]\nPublicKey = b\n\n[Peer]\nPublicKey = a\nAllowedIPs = 2, 1\n";
        assert_eq!(Snapshot::read(one), Snapshot::read(two));
    }
}
