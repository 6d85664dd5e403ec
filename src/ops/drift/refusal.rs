//! Why the model has no place for what somebody did on a host, and what to do instead. Pure.

use std::collections::BTreeSet;

use crate::fleet::Observed;
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{Change, Kind};

/// Says why a difference can't be taken into the model.
pub(super) fn refusal(change: &Change, desired: &Desired, observed: Option<&Observed>) -> String {
    let text = match change.kind {
        Kind::PrivateKey => {
            "the key is known to the host alone, and everybody else knows the one before: `wg-friend rotate` gives a new one"
        }
        Kind::KeyFile => {
            "the host made this key and keeps it where only root reads it: `wg-friend deploy` puts it back"
        }
        Kind::KeyLost => "the host alone had it: `wg-friend interface key HOST INTERFACE --make-on-host` makes another",
        Kind::LinkDown => {
            "an interface is up or isn't there: taken down with wg-quick it can be adopted, and stays off"
        }
        Kind::InterfaceExtra => "the model says that it isn't there",
        Kind::AddressMissing => {
            "it is the node's own address: `wg-friend set NODE address=ADDRESS` gives it another one"
        }
        Kind::RouteMissing | Kind::RuleMissing => {
            "it follows from what the model says of the nodes behind it; `wg-friend set NODE lan-=CIDR` takes a network away"
        }
        Kind::RouteExtra => "the host has that route no longer",
        Kind::RuleExtra => "policy rules by a mark of wg-friend's are its own; a hook can make one by another mark",
        Kind::Sysctl => "the nodes behind this host can't do without it",
        Kind::Firewall => FIREWALL,
        Kind::PeerExtra => "only a server's main interface takes new nodes in",
        Kind::Boot => {
            "an interface that is off doesn't start at boot either: `wg-friend interface enable` brings it up"
        }
        Kind::File => return of_file(change, desired, observed),
        Kind::FileExtra => "nothing in the model needs this file",
        Kind::Hook => "the interface can't do without it",
        Kind::Restart => "what wg-quick makes for a default route and Table follows from the model",
        _ => "the model has no place for it",
    };
    text.to_owned()
}

const FIREWALL: &str = "who may reach what is said by rights: `wg-friend set NODE access=WORD`, or `grant+=`, makes the rules that are missed";

fn of_file(change: &Change, desired: &Desired, observed: Option<&Observed>) -> String {
    if change.subject.ends_with(".nft") {
        return FIREWALL.to_owned();
    }
    let wanted = desired.files.get(&change.subject);
    let seen = observed.and_then(|observed| observed.files.get(&change.subject));
    let (Some(wanted), Some(seen)) = (wanted, seen) else {
        return "an interface can't come up without its file".to_owned();
    };
    if seen.content.as_slice() == wanted.as_bytes() {
        return "private keys stand in it, which nobody else may read".to_owned();
    }
    let keys = differing_keys(wanted, &String::from_utf8_lossy(&seen.content));
    if keys.is_empty() {
        return "it differs in nothing but comments and order, which a file that wg-friend makes doesn't keep"
            .to_owned();
    }
    let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "{keys}: what stands in a file counts when the interface next comes up; `wg-friend set` or `wg-friend interface set` says it to the model"
    )
}

/// Returns the keys whose lines aren't in both files. Values may be secret, and aren't told.
fn differing_keys(wanted: &str, seen: &str) -> BTreeSet<String> {
    let lines = |text: &str| -> Vec<String> {
        let told = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
        told.filter(|line| !line.is_empty() && !line.starts_with('[')).collect()
    };
    let (wanted, seen) = (lines(wanted), lines(seen));
    let only = |some: &[String], other: &[String]| -> Vec<String> {
        some.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    let differing = only(&wanted, &seen).into_iter().chain(only(&seen, &wanted));
    let key = |line: String| line.split('=').next().unwrap_or_default().trim().to_owned();
    // What isn't a key of wg-quick's kind could be anything.
    let is_key = |key: &String| key.len() <= 20 && key.bytes().all(|b| b.is_ascii_alphanumeric());
    differing.map(key).filter(is_key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_differ_are_told_and_their_values_are_not() {
        let wanted = "[Interface]\nPrivateKey = aaaa\nListenPort = 1\n\n[Peer]\nPublicKey = b\n";
        let seen = "[Interface]\nPrivateKey = cccc\nListenPort = 1 # here\nDNS = 1.1.1.1\nnonsense with = signs\n\n[Peer]\nPublicKey = b\n";
        assert_eq!(differing_keys(wanted, seen).into_iter().collect::<Vec<_>>(), ["DNS", "PrivateKey"]);
        assert_eq!(differing_keys(wanted, &wanted.replace('\n', " # mine\n")), BTreeSet::new());
    }
}
