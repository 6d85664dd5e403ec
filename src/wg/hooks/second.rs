//! What the hooks of an interface are for another one that runs beside it: each command that speaks of the one by name speaks of the
//! other there. What concerns the whole host is in force already, and is neither repeated nor taken down.
//!
//! A command can't be repeated when it can't be told what it does for an interface, or when it would do something else behind
//! those that are there. Where a rule names the interface on both sides, packets go between the two as well.

mod order;

use crate::model::InterfaceName;
use crate::wg::{Hook, Phase};

use super::line::{self, Chain, Step};
use super::normalise::{self, Act, Thing, discards};
use super::rule::{Verb, program};

use super::split::{Command, Word};

/// The hooks of an interface that runs beside another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// In the order of those that they repeat, a command each.
    pub hooks: Vec<Hook>,
    /// The first command that nobody can repeat, as it is written.
    pub unclear: Option<String>,
}

/// Repeats the hooks of `first` for `second`.
pub fn repeated(hooks: &[Hook], first: &InterfaceName, second: &InterfaceName) -> Second {
    let names = Names { first, second };
    let mut repeated = Second::default();
    let mut acts: Vec<Known> = Vec::new();
    for hook in hooks {
        for chain in &line::read(&hook.command, first).chains {
            let mut all = Vec::new();
            let mut unclear = None;
            for step in &chain.steps {
                let text = &hook.command[step.span.clone()];
                let act = normalise::read(&step.command);
                let duty = match names.duty(chain, &step.command, act.as_ref()) {
                    // What is set up while the interface goes away is for nobody.
                    Duty::Repeat if is_set_up_late(hook, act.as_ref()) => Duty::Leave,
                    duty => duty,
                };
                match duty {
                    Duty::Leave => {}
                    Duty::Repeat => match names.for_second(text, chain, step) {
                        Some(commands) => {
                            let phase = phase_of(hook, act.as_ref());
                            all.extend(commands.into_iter().map(|command| Hook { phase, command }));
                        }
                        None => drop(unclear.get_or_insert(text)),
                    },
                    Duty::Unclear => drop(unclear.get_or_insert(text)),
                }
                acts.extend(act.map(|act| (act, duty, hook.phase.is_up(), text.to_owned())));
            }
            match unclear {
                // Whether the others run may hang on it.
                Some(text) => drop(repeated.unclear.get_or_insert_with(|| text.to_owned())),
                None => repeated.hooks.extend(all),
            }
        }
    }
    if repeated.unclear.is_none() {
        repeated.unclear = order::in_the_way(&acts, first.as_str()).or_else(|| order::of_front_ends(&acts));
    }
    repeated
}

/// When a repeated command runs. Peers shake hands with the other interface as soon as it is up, and what they send has to pass
/// from then on: rules of a firewall go by names, and can be there before.
fn phase_of(hook: &Hook, act: Option<&Act>) -> Phase {
    let is_rule = |act: &Act| matches!(act.thing, Thing::Rule(_) | Thing::FrontEnd { .. });
    match hook.phase {
        Phase::PostUp if act.is_some_and(is_rule) => Phase::PreUp,
        phase => phase,
    }
}

/// Whether a front end of the firewall is told something anew while the interface goes down, as some scripts write it.
fn is_set_up_late(hook: &Hook, act: Option<&Act>) -> bool {
    let adds = |act: &Act| act.verb == Some(Verb::Add) && matches!(act.thing, Thing::FrontEnd { .. });
    !hook.phase.is_up() && act.is_some_and(adds)
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

/// The sides of a rule on which an interface can be named.
const SIDES: [&str; 2] = ["in-interface", "out-interface"];

/// A command that is understood: what it does, what has to be done with it, whether it runs when the interface comes up, and its
/// text.
type Known = (Act, Duty, bool, String);

/// The interface whose hooks they are, and the one that runs beside it.
struct Names<'a> {
    first: &'a InterfaceName,
    second: &'a InterfaceName,
}

impl Names<'_> {
    /// Says what has to be done with a command.
    fn duty(&self, chain: &Chain, command: &Command, act: Option<&Act>) -> Duty {
        let duty = match act {
            Some(act) => self.duty_of(command, &act.thing),
            None => self.duty_of_others(command),
        };
        match duty {
            // Whether it runs hangs on another one.
            Duty::Repeat if chain.is_conditional(|_| true) => Duty::Unclear,
            Duty::Repeat if act.is_none() && command.beyond.is_some() => Duty::Unclear,
            // What bash works out may be the name.
            Duty::Leave if command.beyond.is_some() && !self.is_elsewhere(act) => Duty::Unclear,
            duty => duty,
        }
    }

    fn duty_of(&self, command: &Command, thing: &Thing) -> Duty {
        let first = self.first.as_str();
        let repeat = |yes: bool| if yes { Duty::Repeat } else { Duty::Leave };
        let unclear = |yes: bool| if yes { Duty::Unclear } else { Duty::Leave };
        match thing {
            Thing::Rule(rule) => {
                let sides: Vec<_> = SIDES.iter().filter_map(|side| rule.compares(side)).collect();
                // What is said of all interfaces but one would be said of the other one, too.
                match sides.iter().any(|value| value.not && value.text == first) {
                    true => Duty::Unclear,
                    false => repeat(sides.iter().any(|value| value.text == first)),
                }
            }
            Thing::FrontEnd { words, .. } => repeat(words.iter().any(|word| names(word, first))),
            Thing::Shaping { dev } if dev == first => Duty::Repeat,
            Thing::Shaping { .. } | Thing::Table { .. } => {
                unclear(command.words.iter().any(|word| mentions(&word.text, first)))
            }
            // The names that are asked by the one are asked already, and addresses are both interfaces' own.
            Thing::Forwarding { .. } | Thing::Names { .. } | Thing::Address { .. } => Duty::Leave,
            // Without an interface it leads by the one on whose network the next hop is.
            Thing::Route { dev, via, .. } => unclear(dev.as_deref() == Some(first) || (dev.is_none() && via.is_some())),
            Thing::PolicyRule { selectors, .. } => unclear(selectors.iter().any(|(_, value)| value == first)),
            Thing::Key { .. } | Thing::TableFile { .. } | Thing::Script { .. } => Duty::Unclear,
        }
    }

    /// The same of a command of which no pattern is known.
    fn duty_of_others(&self, command: &Command) -> Duty {
        let plain = command.redirects.iter().all(|redirect| discards(redirect.operator, &redirect.target.text));
        let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
        let Some((name, words)) = words.split_first() else { return Duty::Unclear };
        match (program(name), words) {
            ("sysctl", _) if plain => {
                let concerns = words.iter().any(|word| mentions(word, self.first.as_str()));
                if concerns { Duty::Repeat } else { Duty::Leave }
            }
            ("ip", ["link", "set", "dev", dev, "mtu" | "txqueuelen", _]) if plain && *dev == self.first.as_str() => {
                Duty::Repeat
            }
            // What a chain does in the end comes after all its rules.
            ("iptables" | "ip6tables", ["-P" | "--policy", _, _]) if plain => Duty::Leave,
            ("true" | ":" | "logger" | "echo" | "sleep" | "modprobe" | "ping", _) if plain => Duty::Leave,
            _ => Duty::Unclear,
        }
    }

    /// Whether what bash works out in a command is no name of the interface: `POSTROUTING -o $(...)` leads to the internet.
    fn is_elsewhere(&self, act: Option<&Act>) -> bool {
        let open = |text: &str| text.contains(['$', '`', '*', '?', '[', '{']);
        match act.map(|act| &act.thing) {
            Some(Thing::Rule(rule)) => {
                let to_internet = rule.stands_in("nat", "POSTROUTING");
                SIDES.iter().filter_map(|side| Some((side, rule.is(side)?))).all(|(side, text)| {
                    let is_command = text.starts_with("$(") || text.starts_with('`');
                    !open(text) || (is_command && to_internet && *side == "out-interface")
                })
            }
            Some(Thing::Forwarding { .. } | Thing::Names { .. } | Thing::Address { .. }) => true,
            _ => false,
        }
    }

    /// Returns a step for the other interface; one that names it on both sides also for packets between the two. `None` when
    /// the name stands where it is no interface's.
    fn for_second(&self, text: &str, chain: &Chain, step: &Step) -> Option<Vec<String>> {
        let script = line::script(text, self.first);
        // Of a chain with a single step it stands in that.
        let forgiven = if chain.forgiven && chain.steps.len() > 1 { " || true" } else { "" };
        // The names stand in the same order in a question (`iptables -C RULE || iptables -A RULE`) as in what follows it.
        let places: Vec<Vec<Place>> =
            script.commands().map(|command| self.places(text, command)).collect::<Option<_>>()?;
        let sides = places.iter().map(Vec::len).max()?;
        if sides == 0 || sides > 2 || places.iter().any(|places| !matches!(places.len(), 0) && places.len() != sides) {
            return None;
        }
        let is_rule = normalise::read(&step.command).is_some_and(|act| matches!(act.thing, Thing::Rule(_)));
        let which: &[[bool; 2]] = match (sides, is_rule) {
            (1, _) => &[[true, true]],
            (_, true) => &[[true, true], [true, false], [false, true]],
            _ => return None,
        };
        let renamed = |which: &[bool; 2]| {
            let (mut new, mut from) = (String::with_capacity(text.len() + 16), 0);
            for (place, other) in places.iter().flat_map(|places| places.iter().zip(which)) {
                new.push_str(&text[from..place.word.span.start]);
                new.push_str(&place.before);
                new.push_str(if *other { self.second } else { self.first }.as_str());
                new.push_str(&place.behind);
                from = place.word.span.end;
            }
            format!("{new}{}{forgiven}", &text[from..])
        };
        Some(which.iter().map(renamed).collect())
    }

    /// Returns where a command names the interface as one; `None` when the name stands elsewhere, too.
    fn places(&self, text: &str, command: &Command) -> Option<Vec<Place>> {
        let first = self.first.as_str();
        let is_sysctl = command.words.first().is_some_and(|word| program(&word.text) == "sysctl");
        let mut places = Vec::new();
        let mut before = "";
        for word in &command.words {
            let place = |before: &str, behind: &str| Place {
                word: word.clone(),
                before: before.to_owned(),
                behind: behind.to_owned(),
            };
            let written = &text[word.span.clone()];
            let of_option = OPTIONS.iter().find_map(|option| word.text.strip_prefix(option)?.strip_prefix('='));
            match of_option {
                _ if word.text == first && (OPTIONS.contains(&before) || WORDS.contains(&before)) => {
                    places.push(place("", ""));
                }
                Some(value) if value == first => places.push(place(&word.text[..word.text.len() - first.len()], "")),
                _ if is_sysctl && mentions(&word.text, first) => {
                    // What quotes keep together would fall apart without them.
                    if written.replace("%i", first) != word.text {
                        return None;
                    }
                    let at = word.text.find(&format!("{}{first}", separator(&word.text)))? + 1;
                    places.push(place(&word.text[..at], &word.text[at + first.len()..]));
                }
                _ if SAID.contains(&before) => {}
                _ if mentions(&word.text, first) || written.contains("%i") => return None,
                _ => {}
            }
            before = &word.text;
        }
        Some(places)
    }
}

/// A word in which an interface is named, with what stands around the name.
struct Place {
    word: Word,
    before: String,
    behind: String,
}

/// Options whose value is an interface.
const OPTIONS: [&str; 7] =
    ["-i", "-o", "--in-interface", "--out-interface", "--add-interface", "--remove-interface", "--change-interface"];

/// Words behind which an interface is named: `ufw allow in on wg0`, `tc qdisc add dev wg0`.
const WORDS: [&str; 2] = ["on", "dev"];

/// Options whose value is for people.
const SAID: [&str; 3] = ["--comment", "--log-prefix", "comment"];

/// Whether a word is the name of an interface, or an option with it (`--add-interface=wg0`).
fn names(word: &str, interface: &str) -> bool {
    word.strip_suffix(interface).is_some_and(|before| before.is_empty() || before.ends_with('='))
}

/// Whether the name of an interface stands in a text by itself: `net.ipv4.conf.wg0.rp_filter`, `iifname "wg0" accept`.
fn mentions(text: &str, interface: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !interface.chars().all(is_part) {
        return text.contains(interface);
    }
    text.split(|c: char| !is_part(c)).any(|part| part == interface)
}

/// What stands between the parts of the key of a setting of the kernel.
fn separator(key: &str) -> char {
    if key.contains('/') { '/' } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines for `wg0-next`; after an arrow, the command that nobody can repeat.
    fn told(lines: &[impl AsRef<str>]) -> String {
        let hooks: Vec<Hook> =
            lines.iter().map(|line| Hook { phase: Phase::PostUp, command: line.as_ref().to_owned() }).collect();
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
            "iptables -D INPUT -i \"wg0\" -p udp --dport 53 -m comment --comment 'dns of %i' -j ACCEPT || true",
            "ip6tables -A FORWARD --in-interface=wg0 -j ACCEPT && ip6tables -A FORWARD -o wg0 -j ACCEPT || true",
            "sysctl -w net.ipv4.conf.wg0.rp_filter=2; sysctl -w net/ipv6/conf/%i/disable_ipv6=0",
            "tc qdisc add dev %i root fq_codel",
            "ip addr add 10.9.0.1/32 dev wg0",
            "ip rule add from 10.9.0.5 table 100",
            "iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 80 -j DNAT --to 10.66.0.9",
            "iptables -t nat -A POSTROUTING -o $(ip route show default | cut -d' ' -f5) -j MASQUERADE",
            "logger wg0 is up",
            "modprobe wireguard; iptables -P FORWARD ACCEPT; ip link set dev %i txqueuelen 1000",
        ]), @"
        iptables -A FORWARD -i wg0-next -j ACCEPT
        iptables -A FORWARD -o wg0-next -j ACCEPT
        iptables -C FORWARD -i wg0-next -j ACCEPT || iptables -I FORWARD 1 -i wg0-next -j ACCEPT
        iptables -D INPUT -i wg0-next -p udp --dport 53 -m comment --comment 'dns of %i' -j ACCEPT || true
        ip6tables -A FORWARD --in-interface=wg0-next -j ACCEPT || true
        ip6tables -A FORWARD -o wg0-next -j ACCEPT || true
        sysctl -w net.ipv4.conf.wg0-next.rp_filter=2
        sysctl -w net/ipv6/conf/wg0-next/disable_ipv6=0
        tc qdisc add dev wg0-next root fq_codel
        ip link set dev wg0-next txqueuelen 1000
        ");
    }

    #[test]
    fn packets_between_the_two_are_those_of_one() {
        insta::assert_snapshot!(told(&["iptables -A FORWARD -i %i -o %i -j ACCEPT; iptables -A FORWARD -i wg0 -o eth0 -j DROP"]), @"
        iptables -A FORWARD -i wg0-next -o wg0-next -j ACCEPT
        iptables -A FORWARD -i wg0-next -o wg0 -j ACCEPT
        iptables -A FORWARD -i wg0 -o wg0-next -j ACCEPT
        iptables -A FORWARD -i wg0-next -o eth0 -j DROP
        ");
    }

    #[test]
    fn which_rule_such_a_packet_meets_first_must_not_matter() {
        let rules =
            |rules: &[&str]| told(&rules.iter().map(|rule| format!("iptables -A FORWARD {rule}")).collect::<Vec<_>>());
        for (one, other) in [
            ("-i wg0 -o wg0 -j DROP", "-i wg0 -j ACCEPT"),
            ("-i wg0 -d 10.66.0.5 -j ACCEPT", "-o wg0 -m conntrack --ctstate RELATED,ESTABLISHED -j DROP"),
            ("-i wg0 -j ACCEPT", "-o wg0 -j DROP"),
            ("-i wg0 -o wg+ -j DROP", "-o wg0 -j ACCEPT"),
            ("-i wg0 -o eth+ -j ACCEPT", "-o eth0 -j DROP"),
        ] {
            assert!(rules(&[one, other]).contains("=> "), "{one}; {other}");
        }
        for (one, other) in [
            ("-i wg0 -d 10.66.0.5 -j ACCEPT", "-i wg0 -j DROP"),
            ("-i wg0 -j ACCEPT", "-i eth0 -o wg0 -j DROP"),
            ("-i wg0 -j ACCEPT", "-o wg0 -j ACCEPT"),
            ("-i wg0 -j LOG", "-o wg0 -j ACCEPT"),
        ] {
            assert!(!rules(&[one, other]).contains("=> "), "{one}; {other}");
        }
    }

    #[test]
    fn what_a_front_end_keeps_has_to_be_taken_down() {
        let hook = |phase, command: &str| Hook { phase, command: command.to_owned() };
        let up = [
            hook(Phase::PostUp, "ufw route allow in on wg0 out on eth0"),
            hook(
                Phase::PostUp,
                "firewall-cmd --zone=trusted --add-interface=wg0 && firewall-cmd --zone=public --add-masquerade",
            ),
        ];
        let down = [
            hook(Phase::PostDown, "ufw route delete allow in on %i out on eth0"),
            hook(Phase::PostDown, "firewall-cmd --zone=trusted --remove-interface=%i"),
        ];
        let told = |hooks: &[Hook]| repeated(hooks, &"wg0".parse().unwrap(), &"wg0-next".parse().unwrap());
        let whole = told(&[up.clone(), down].concat());
        let commands: Vec<&str> = whole.hooks.iter().map(|hook| hook.command.as_str()).collect();
        insta::assert_snapshot!(commands.join("\n"), @"
        ufw route allow in on wg0-next out on eth0
        firewall-cmd --zone=trusted --add-interface=wg0-next
        ufw route delete allow in on wg0-next out on eth0
        firewall-cmd --zone=trusted --remove-interface=wg0-next
        ");
        assert_eq!(whole.unclear, None);
        let phases: Vec<Phase> = whole.hooks.iter().map(|hook| hook.phase).collect();
        assert_eq!(phases, [Phase::PreUp, Phase::PreUp, Phase::PostDown, Phase::PostDown], "before anybody sends");
        assert_eq!(told(&up).unclear, Some(up[0].command.clone()));
        // What firewalld isn't told to keep, it forgets; whatever is told anew while the interface goes down is for nobody.
        let runtime = [up[1].clone(), hook(Phase::PostDown, "firewall-cmd --zone=trusted --add-interface=wg0")];
        assert_eq!((told(&runtime).unclear, told(&runtime).hooks.len()), (None, 1));
        let kept = [hook(Phase::PostUp, "firewall-cmd --permanent --zone=trusted --add-interface=wg0")];
        assert!(told(&kept).unclear.is_some());
        // ufw goes by the first rule that fits.
        let order = [
            hook(Phase::PostUp, "ufw route allow in on wg0"),
            hook(Phase::PostUp, "ufw route deny from 10.8.0.0/24"),
            hook(Phase::PostDown, "ufw route delete allow in on wg0"),
        ];
        assert_eq!(told(&order).unclear, Some(order[0].command.clone()));
    }

    #[test]
    fn what_nobody_can_tell_is_said() {
        for line in [
            "/etc/wireguard/up.sh",
            "/etc/wireguard/up.sh %i",
            "iptables -A OUTPUT ! -o wg0 -j REJECT",
            "ip route add 10.7.0.0/24 dev wg0",
            "ip rule add iif %i table 100",
            "ip route add default via 10.66.0.2 table 100",
            "tc filter add dev eth0 parent ffff: matchall action mirred egress redirect dev wg0",
            "sysctl -w 'net.ipv4.conf.wg0.rp_filter = 2'",
            "ip rule add iif $INTERFACE table 100",
            "nft -f /etc/wireguard/rules.nft",
            "nft add rule inet filter forward iifname \"wg0\" accept",
            "wg set %i private-key /etc/wireguard/wg0.key",
            "wg set wg0 fwmark 7",
            "test -e /run/x && iptables -A FORWARD -i wg0 -j ACCEPT",
            "iptables -A FORWARD -i $INTERFACE -j ACCEPT",
            "iptables -A FORWARD ! -i ${INTERFACE} -j DROP",
            "ufw route allow in on $INTERFACE",
            "ufw route allow in on wg0 out on wg0",
            "firewall-cmd --zone=wg0 --add-interface=wg0",
            "iptables -A FORWARD -i %i -j wg-%i",
            "iptables -A FORWARD -i wg0 -m set --match-set wg0 src -j ACCEPT",
            "iptables -A FORWARD -d 192.168.1.1 -j DROP",
            "iptables -A FORWARD -j REJECT",
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
