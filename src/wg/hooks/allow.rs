//! Which hooks are harmless enough to be written without asking: plain commands of known programs.
//!
//! Hooks run as root. What passes here runs exactly the programs and words that it shows: no substitution, no pipe, no
//! file but those in `/etc/wireguard`, nothing that runs another program. What doesn't pass isn't wrong; it takes somebody
//! who answers for it.

mod firewall;
mod network;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::model::InterfaceName;
use crate::wg::beside;
use crate::wg::config::{DIRECTORY, KEEP_ROUTER_ADVERTISEMENTS};

use super::line;
use super::normalise::discards;
use super::rule::family;
use super::split::{Part, Redirect, Separator, Word};

/// What a hook may run, as listed in messages.
pub const PROGRAMS: [&str; 12] =
    ["ip", "iptables", "ip6tables", "nft", "sysctl", "wg", "tc", "resolvectl", "ufw", "firewall-cmd", "logger", "true"];

/// Where programs are looked for when their directory is written.
const DIRECTORIES: [&str; 4] = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"];

/// What in a hook isn't on the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("`{token}` at character {}: {reason}", .at + 1)]
pub struct Offence {
    /// The part of the line that offends, verbatim.
    pub token: String,
    /// Where it begins, in characters from 0.
    pub at: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Offence {
    /// Says what can be done.
    pub fn remedy(&self) -> String {
        format!("write it with plain commands of {}", PROGRAMS.join(", "))
    }
}

/// A word that offends, by its number (0 is the program), and why.
type Wrong = (usize, &'static str);

/// Says whether a hook is on the list, or what in it isn't.
///
/// # Errors
/// The first part of the line that offends.
pub fn judge(hook: &str, interface: &InterfaceName) -> Result<(), Offence> {
    let offence = |span: Range<usize>, reason: &'static str| Offence {
        token: hook[span.clone()].chars().map(visible).collect(),
        at: hook[..span.start].chars().count(),
        reason,
    };
    if let Some((at, character)) = hook.char_indices().find(|(_, c)| !matches!(c, ' '..='~' | '\t')) {
        return Err(offence(at..at + character.len_utf8(), "neither printed nor plain ASCII"));
    }
    if hook == KEEP_ROUTER_ADVERTISEMENTS || beside::is_hook(hook, interface) {
        return Ok(());
    }
    for part in line::script(hook, interface).parts {
        match part {
            Part::Blank(_) | Part::Separator(Separator::Semicolon | Separator::And | Separator::Or, _) => {}
            Part::Comment(_) => {}
            Part::Separator(Separator::Newline, span) => return Err(offence(span, "a second line")),
            Part::Separator(Separator::Background, span) => return Err(offence(span, "runs in the background")),
            Part::Command(command) => {
                if let Some((beyond, span)) = command.beyond {
                    return Err(offence(span, beyond.describe()));
                }
                if let Some(redirect) = command.redirects.iter().find(|redirect| !is_harmless(redirect)) {
                    return Err(offence(redirect.span.clone(), "reads or writes a file"));
                }
                if let Err((word, reason)) = program(&command.words) {
                    let span = command.words.get(word).map_or(command.span, |word| word.span.clone());
                    return Err(offence(span, reason));
                }
            }
        }
    }
    Ok(())
}

/// A character as it can be shown in a message.
fn visible(character: char) -> String {
    match character {
        ' '..='~' => character.to_string(),
        other => other.escape_unicode().to_string(),
    }
}

/// Output thrown away, or sent where the other output goes.
fn is_harmless(redirect: &Redirect) -> bool {
    matches!(redirect.descriptor, None | Some(1 | 2)) && discards(redirect.operator, &redirect.target.text)
}

fn program(words: &[Word]) -> Result<(), Wrong> {
    let Some((first, rest)) = words.split_first() else { return Err((0, "no program")) };
    let name = DIRECTORIES.iter().find_map(|directory| first.text.strip_prefix(directory)).unwrap_or(&first.text);
    let texts: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
    let checked = match name {
        "ip" => network::ip(&texts),
        "tc" => network::tc(&texts),
        "wg" => network::wg(&texts),
        "sysctl" => network::sysctl(&texts),
        "resolvectl" => network::resolvectl(&texts),
        "logger" => network::logger(&texts),
        "true" => Ok(()),
        "nft" => firewall::nft(&texts),
        "ufw" => firewall::ufw(&texts),
        "firewall-cmd" => firewall::firewall_cmd(&texts),
        name if family(name).is_some() => firewall::iptables(rest),
        _ => return Err((0, "not one of the programs that hooks may run")),
    };
    checked.map_err(|(word, reason)| (word + 1, reason))
}

/// Whether a path is of a file below `/etc/wireguard`, without a way out of it.
fn is_own_file(path: &str) -> bool {
    let inner = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/'));
    inner.is_some_and(|inner| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'=' | b'+');
        inner.split('/').all(|name| !name.is_empty() && name.bytes().all(plain) && !matches!(name, "." | ".."))
    })
}

/// Whether a word is of letters, digits and some other characters.
fn is_of(word: &str, others: &[u8]) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}
