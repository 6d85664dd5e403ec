//! What the hooks of an interface are for another one that runs beside it: each command that speaks of the one by name speaks of the
//! other there. What concerns the whole host is in force already, and is neither repeated nor taken down.
//!
//! A command of which it can't be told what it does for an interface can't be repeated for another one.

use std::ops::Range;

use crate::model::InterfaceName;
use crate::wg::Hook;

use super::line::{self, Step};
use super::normalise::{self, Thing, discards};
use super::rule::program;
use super::split::{Command, Word};

/// The hooks of an interface that runs beside another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// In the order of those that they repeat.
    pub hooks: Vec<Hook>,
    /// The first command that nobody can repeat, as it is written.
    pub unclear: Option<String>,
}

/// Repeats the hooks of `first` for `second`.
pub fn repeated(hooks: &[Hook], first: &InterfaceName, second: &InterfaceName) -> Second {
    let mut repeated = Second::default();
    for hook in hooks {
        match line_for(&hook.command, first, second) {
            Ok(command) => repeated.hooks.extend(command.map(|command| Hook { phase: hook.phase, command })),
            Err(unclear) => drop(repeated.unclear.get_or_insert(unclear)),
        }
    }
    repeated
}

/// What has to be done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// For the other interface, too.
    Repeat,
    /// Nothing: it doesn't concern one interface alone, or only what one of two has to have.
    Leave,
    /// Nobody can tell.
    Unclear,
}

/// Repeats one line; `None` when nothing of it has to be. An error is the command that is unclear.
fn line_for(text: &str, first: &InterfaceName, second: &InterfaceName) -> Result<Option<String>, String> {
    let read = line::read(text, first);
    let duties: Vec<(&Step, Duty)> = read.steps().map(|step| (step, duty(&step.command, first.as_str()))).collect();
    let of = |step: &Step| text[step.span.clone()].to_owned();
    if let Some((step, _)) = duties.iter().find(|(_, duty)| *duty == Duty::Unclear) {
        return Err(of(step));
    }
    let left: Vec<usize> =
        duties.iter().enumerate().filter(|(_, (_, duty))| *duty == Duty::Leave).map(|(at, _)| at).collect();
    if left.len() == duties.len() {
        return Ok(None);
    }
    let rest = read.without(text, &left).map_err(|line::Tied| text.to_owned())?;
    Ok(rest.map(|rest| renamed(&rest, first, second)))
}

/// Says what has to be done with a command for an interface beside the one of this name.
fn duty(command: &Command, first: &str) -> Duty {
    let Some(act) = normalise::read(command) else { return duty_of_others(command, first) };
    let repeat = |yes: bool| if yes { Duty::Repeat } else { Duty::Leave };
    let unclear = |yes: bool| if yes { Duty::Unclear } else { Duty::Leave };
    match act.thing {
        Thing::Rule(rule) => {
            let sides = ["in-interface", "out-interface"].map(|side| rule.compares(side));
            // What is said of all interfaces but one would be said of the other one, too.
            let but_this = sides.iter().flatten().any(|value| value.not && value.text == first);
            match (but_this || command.beyond.is_some(), sides.iter().flatten().any(|value| value.text == first)) {
                (true, true) => Duty::Unclear,
                (_, names) => repeat(names),
            }
        }
        Thing::FrontEnd { words, .. } => repeat(words.iter().any(|word| names(word, first))),
        Thing::Shaping { dev } => repeat(dev == first),
        // The names that are asked by the one are asked already, and so are its further addresses there.
        Thing::Forwarding { .. } | Thing::Names { .. } | Thing::Address { .. } => Duty::Leave,
        Thing::Route { dev, .. } => unclear(dev.as_deref() == Some(first)),
        Thing::PolicyRule { selectors, .. } => unclear(selectors.iter().any(|(_, value)| value == first)),
        Thing::Table { .. } => unclear(command.words.iter().any(|word| mentions(&word.text, first))),
        Thing::Key { .. } | Thing::TableFile { .. } | Thing::Script { .. } => Duty::Unclear,
    }
}

/// The same of a command of which no pattern is known.
fn duty_of_others(command: &Command, first: &str) -> Duty {
    let plain = command.beyond.is_none()
        && command.redirects.iter().all(|redirect| discards(redirect.operator, &redirect.target.text));
    match command.words.first().map(|word| program(&word.text)) {
        Some("sysctl") if plain => {
            let concerns = command.words.iter().any(|word| mentions(&word.text, first));
            if concerns { Duty::Repeat } else { Duty::Leave }
        }
        Some("true" | ":" | "logger" | "echo" | "sleep") if plain => Duty::Leave,
        _ => Duty::Unclear,
    }
}

/// Whether a word is the name of an interface, or an option with it (`--add-interface=wg0`).
fn names(word: &str, interface: &str) -> bool {
    word.strip_suffix(interface).is_some_and(|before| before.is_empty() || before.ends_with('='))
}

/// Whether the name of an interface stands in a text by itself: `net.ipv4.conf.wg0.rp_filter`, `iifname "wg0" accept`.
fn mentions(text: &str, interface: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).any(|part| part == interface)
}

/// Puts another name in the place of an interface's.
fn renamed(text: &str, first: &InterfaceName, second: &InterfaceName) -> String {
    let script = line::script(text, first);
    let mut pieces: Vec<(Range<usize>, String)> = Vec::new();
    for command in script.commands() {
        let is_sysctl = command.words.first().is_some_and(|word| program(&word.text) == "sysctl");
        let other = |word: &Word| match (names(&word.text, first.as_str()), word.text.strip_suffix(first.as_str())) {
            (true, Some(before)) => Some(format!("{before}{second}")),
            _ if is_sysctl && mentions(&word.text, first.as_str()) => Some(in_key(&word.text, first, second)),
            _ => None,
        };
        pieces.extend(command.words.iter().filter_map(|word| Some((word.span.clone(), other(word)?))));
    }
    let (mut new, mut from) = (String::with_capacity(text.len() + 16), 0);
    for (span, by) in pieces {
        new.push_str(&text[from..span.start]);
        new.push_str(&by);
        from = span.end;
    }
    new.push_str(&text[from..]);
    // wg-quick(8) puts the name of the interface that comes up there.
    new.replace("%i", second.as_str())
}

/// Puts another name into the key of a setting of the kernel: `net.ipv4.conf.wg0.rp_filter=2`.
fn in_key(word: &str, first: &InterfaceName, second: &InterfaceName) -> String {
    let part = |part: &str| if part == first.as_str() { second.as_str().to_owned() } else { part.to_owned() };
    let by = if word.contains('/') { "/" } else { "." };
    word.split(by).map(part).collect::<Vec<_>>().join(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wg::Phase;

    /// The lines for `wg0-next`; after an arrow, the command that nobody can repeat.
    fn told(lines: &[&str]) -> String {
        let hooks: Vec<Hook> =
            lines.iter().map(|line| Hook { phase: Phase::PostUp, command: (*line).to_owned() }).collect();
        let second = repeated(&hooks, &"wg0".parse().unwrap(), &"wg0-next".parse().unwrap());
        let lines = second.hooks.into_iter().map(|hook| hook.command);
        lines.chain(second.unclear.map(|text| format!("=> {text}"))).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_names_the_interface_is_done_for_the_other_one() {
        insta::assert_snapshot!(told(&[
            "iptables -A FORWARD -i %i -j ACCEPT; iptables -A FORWARD -o wg0 -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
            "sysctl -q -w net.ipv4.ip_forward=1   # or nothing works",
            "iptables -C FORWARD -i wg0 -j ACCEPT || iptables -I FORWARD 1 -i wg0 -j ACCEPT",
            "iptables -D INPUT -i \"wg0\" -p udp --dport 53 -j ACCEPT || true",
            "ufw route allow in on wg0 out on eth0",
            "firewall-cmd --zone=trusted --add-interface=wg0 && firewall-cmd --zone=public --add-masquerade",
            "sysctl -w net.ipv4.conf.wg0.rp_filter=2; sysctl -w net/ipv6/conf/%i/disable_ipv6=0",
            "tc qdisc add dev %i root fq_codel",
            "ip addr add 10.9.0.1/32 dev wg0",
            "ip rule add from 10.9.0.5 table 100",
            "iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 80 -j DNAT --to 10.66.0.9",
            "logger wg0 is up",
        ]), @r#"
        iptables -A FORWARD -i wg0-next -j ACCEPT; iptables -A FORWARD -o wg0-next -j ACCEPT
        iptables -C FORWARD -i wg0-next -j ACCEPT || iptables -I FORWARD 1 -i wg0-next -j ACCEPT
        iptables -D INPUT -i wg0-next -p udp --dport 53 -j ACCEPT || true
        ufw route allow in on wg0-next out on eth0
        firewall-cmd --zone=trusted --add-interface=wg0-next
        sysctl -w net.ipv4.conf.wg0-next.rp_filter=2; sysctl -w net/ipv6/conf/wg0-next/disable_ipv6=0
        tc qdisc add dev wg0-next root fq_codel
        "#);
    }

    #[test]
    fn what_nobody_can_tell_is_said() {
        for line in [
            "/etc/wireguard/up.sh",
            "/etc/wireguard/up.sh %i",
            "iptables -A OUTPUT ! -o wg0 -j REJECT",
            "ip route add 10.7.0.0/24 dev wg0",
            "ip rule add iif %i table 100",
            "nft -f /etc/wireguard/rules.nft",
            "nft add rule inet filter forward iifname \"wg0\" accept",
            "wg set %i private-key /etc/wireguard/wg0.key",
            "wg set wg0 fwmark 7",
            "test -e /run/x && iptables -A FORWARD -i wg0 -j ACCEPT",
            "iptables -A FORWARD -i wg0 -s $(cat /etc/net) -j ACCEPT",
        ] {
            let first = told(&[line, "iptables -A FORWARD -i %i -j ACCEPT"]);
            assert!(first.starts_with("iptables -A FORWARD -i wg0-next -j ACCEPT\n=> "), "{line}: {first}");
        }
    }

    #[test]
    fn another_interface_of_a_similar_name_is_another_one() {
        assert_eq!(told(&["iptables -A FORWARD -i wg01 -j ACCEPT; iptables -A FORWARD -o wg0-next -j ACCEPT"]), "");
        assert_eq!(told(&["sysctl -w net.ipv4.conf.wg0-next.rp_filter=2"]), "");
    }
}
