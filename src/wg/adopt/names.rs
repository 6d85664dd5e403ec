//! What nodes are called.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Name;

use super::finding::Finding;
use super::graph::Graph;

/// Where a name comes from; earlier ones are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    /// The host it runs on.
    Host,
    /// What its peers call it.
    Peers,
    /// The name of its file.
    Source,
    /// Nothing: made up.
    Nothing,
}

/// A node's name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Name,
    /// Why, when no source has it as it is.
    pub(super) reason: Option<&'static str>,
}

/// Names every node: no name twice, and the same whatever the order of the views.
pub(super) fn choose(graph: &Graph<'_>, server: usize, findings: &mut Vec<Finding>) -> Vec<Named> {
    let mut wanted: Vec<(From, usize, String, bool)> = (0..graph.nodes.len())
        .map(|node| {
            let (from, name, exact) = wanted(graph, node, server);
            (from, node, name, exact)
        })
        .collect();
    wanted.sort_by_key(|(from, node, ..)| (*from, *node));
    let mut taken = BTreeSet::new();
    let mut named = BTreeMap::new();
    for (from, node, text, exact) in wanted {
        let name = free(&text, &taken);
        taken.insert(name.as_str().to_ascii_lowercase());
        if name.as_str() != text && from != From::Nothing {
            let name_of_first = free(&text, &BTreeSet::new());
            findings.push(Finding::NameTaken { name: name_of_first, instead: name.clone() });
        }
        let reason = match (from, exact) {
            (From::Nothing, _) if node == server => Some("no source names it"),
            (From::Nothing, _) => Some("no source names it: made of its key"),
            (_, false) => Some("what its source calls it, in the characters that a name can have"),
            (_, true) => None,
        };
        named.insert(node, Named { name, reason });
    }
    named.into_values().collect()
}

/// Returns the text itself if it is free, else with the first number that makes it so. Names that differ in case only are
/// hard to tell apart, and the same file on some systems.
fn free(text: &str, taken: &BTreeSet<String>) -> Name {
    let numbered = |number: usize| {
        let suffix = format!("-{number}");
        let head = &text[..text.len().min(63 - suffix.len())];
        format!("{head}{suffix}")
    };
    let names = std::iter::once(text.to_owned()).chain((2..).map(numbered));
    let mut names = names.map(|name| name.parse::<Name>().expect("letters, digits and hyphens, not too long"));
    names.find(|name| !taken.contains(&name.as_str().to_ascii_lowercase())).expect("there are more numbers than nodes")
}

/// Returns the best name for a node: from where, the name, and whether the source has it exactly so.
fn wanted(graph: &Graph<'_>, node: usize, server: usize) -> (From, String, bool) {
    let view = graph.view(node).map(|seen| seen.view);
    let own = view.and_then(|view| view.name.as_deref()).filter(|name| !is_generic(name));
    if let Some(host) = view.and_then(|view| view.host.as_ref()) {
        let name = own.and_then(slug).unwrap_or_else(|| host.as_str().to_owned());
        return (From::Host, name, true);
    }
    let mut votes: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for &interface in &graph.nodes[node] {
        for text in graph.said_of(interface).filter_map(|(_, entry)| entry.peer.name.as_deref()) {
            if let Some(name) = slug(text).filter(|name| !is_generic(name)) {
                *votes.entry((text, name)).or_default() += 1;
            }
        }
    }
    let most = votes.into_iter().max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.cmp(a)));
    if let Some(((text, name), _)) = most {
        let exact = text == name;
        return (From::Peers, name, exact);
    }
    if let Some((text, name)) = own.and_then(|text| Some((text, slug(without_prefix(text))?))) {
        let exact = text.ends_with(&name);
        return (From::Source, name, exact);
    }
    if node == server {
        return (From::Nothing, "server".to_owned(), false);
    }
    let key = graph.keys[graph.main(node)].to_string();
    let letters: String = key.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    (From::Nothing, format!("peer-{letters}"), false)
}

/// Returns a text as a name: whatever can't be in one becomes a hyphen.
fn slug(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.trim().chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c),
            '-' | '_' | '.' if !name.is_empty() => name.push(c),
            '\'' | '’' => {}
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(63);
    let name = if name.len() == text.trim().len() { &name } else { name.trim_end_matches('-') };
    (!name.is_empty()).then(|| name.to_owned())
}

/// The part of a file's name that says who: some installers write `wg0-client-alice.conf`.
fn without_prefix(text: &str) -> &str {
    let tail = text.split_once("-client-").filter(|(head, _)| is_generic(head)).map(|(_, tail)| tail);
    tail.filter(|tail| !tail.is_empty()).unwrap_or(text)
}

/// Whether a name says what it is and not who.
fn is_generic(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(
        kind,
        "" | "wg" | "wgx" | "awg" | "tun" | "utun" | "wireguard" | "wg-quick" | "config" | "client" | "peer" | "vpn"
    )
}
