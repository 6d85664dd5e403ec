//! The file with the private key that a host made for an interface and keeps: whether it is as it has to be. Pure.
//!
//! Nobody else has that key. While an interface runs with it, the host can put it into its file again by itself; otherwise
//! it is lost, and only another one helps.

use crate::fleet::{Observed, ObservedKey};
use crate::model::PublicKey;
use crate::wg::InterfaceConfig;

use super::change::Kind;

/// What is wrong with the file of an interface's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// [`Kind::KeyFile`] when the host can mend it by itself, else [`Kind::KeyLost`].
    pub(super) kind: Kind,
    /// The file's name.
    pub(super) file: String,
    /// What is there.
    pub(super) before: String,
    /// What has to be there.
    pub(super) after: String,
}

/// Who may own the file: root, and its group.
const ROOT: &str = "0:0";

/// Looks at the file of an interface's key; `None` where it is as it has to be, and for an interface that has none.
pub(super) fn fault(interface: &InterfaceConfig, observed: &Observed) -> Option<Fault> {
    let file = interface.key_file.clone()?;
    let seen = observed.keys.get(&file);
    if let Some(ObservedKey { mode, owner, public: Some(public) }) = seen
        && *public == interface.public_key
    {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        if mode != "600" {
            before.push(format!("mode {mode}"));
            after.push("mode 600".to_owned());
        }
        if owner != ROOT {
            before.push(format!("owner {owner}"));
            after.push(format!("owner {ROOT}"));
        }
        let [before, after] = [before, after].map(|words| words.join(", "));
        return (!before.is_empty()).then_some(Fault { kind: Kind::KeyFile, file, before, after });
    }
    let before = match seen {
        None => "missing".to_owned(),
        Some(ObservedKey { public: None, .. }) => "no key".to_owned(),
        Some(ObservedKey { public: Some(public), .. }) => format!("the key of {}", public.short()),
    };
    let (kind, after) = if runs_with(interface, interface.public_key, observed) {
        (Kind::KeyFile, format!("the key that {} runs with", interface.name))
    } else {
        (Kind::KeyLost, "lost: only the host had it".to_owned())
    };
    Some(Fault { kind, file, before, after })
}

fn runs_with(interface: &InterfaceConfig, key: PublicKey, observed: &Observed) -> bool {
    observed.interfaces.get(&interface.name).is_some_and(|seen| seen.live.public_key == Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Answer, Question, read_observation};
    use crate::wg::compile::{compile, fixture::Fixture};

    const FILE: &str = "wg-friend-0123456789abcdef.key";

    /// What is said of a key file. `runs`: the key of the interface that runs, if one does; `KEY` stands for the right one
    /// and `OTHER` for another.
    fn said(runs: Option<&str>, file: Option<&str>) -> String {
        let compiled = compile(&Fixture::everything().topology).unwrap();
        let hub = compiled.into_iter().find(|node| node.name.as_str() == "hub").unwrap();
        let mut interface = hub.interfaces.into_iter().next().unwrap();
        interface.key_file = Some(FILE.to_owned());
        let words = |text: &str| {
            let key = interface.public_key.to_string();
            text.replace("OTHER", &PublicKey::from_bytes([7; 32]).to_string()).replace("KEY", &key)
        };
        let runs = runs.map_or(String::new(), |key| format!("{}\t(none)\t{}\t1\toff\n", interface.name, words(key)));
        let file = file.map_or(String::new(), |file| format!("\n@x key {FILE} {}\n", words(file)));
        let answer = format!(
            "\n@x system\nuptime 1\nclock 1\n\n@x dump\n{runs}\n{file}\n@x fingerprint {}\n\n@x end\n",
            "0".repeat(64)
        );
        let answer = Answer::parse(answer.as_bytes(), "x").unwrap();
        let observed = read_observation(&answer, &Question::default()).unwrap();
        match fault(&interface, &observed) {
            Some(Fault { kind, file, before, after }) => format!("{kind:?} {file}: {before} -> {after}"),
            None => "as it has to be".to_owned(),
        }
    }

    #[test]
    fn a_key_that_the_interface_runs_with_can_be_put_back_and_any_other_is_lost() {
        let cases = [
            (Some("KEY"), Some("600 0:0 KEY")),
            (None, Some("600 0:0 KEY")),
            (None, Some("644 1000:1000 KEY")),
            (Some("KEY"), Some("640 0:0 KEY")),
            (Some("KEY"), None),
            (Some("KEY"), Some("600 0:0 OTHER")),
            (Some("KEY"), Some("600 0:0 -")),
            (Some("OTHER"), Some("600 0:0 OTHER")),
            (Some("OTHER"), None),
            (None, Some("644 0:0 -")),
            (None, None),
        ];
        let lines: Vec<String> = cases.iter().map(|(runs, file)| said(*runs, *file)).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        as it has to be
        as it has to be
        KeyFile wg-friend-0123456789abcdef.key: mode 644, owner 1000:1000 -> mode 600, owner 0:0
        KeyFile wg-friend-0123456789abcdef.key: mode 640 -> mode 600
        KeyFile wg-friend-0123456789abcdef.key: missing -> the key that wg0 runs with
        KeyFile wg-friend-0123456789abcdef.key: the key of BwcHBwcH -> the key that wg0 runs with
        KeyFile wg-friend-0123456789abcdef.key: no key -> the key that wg0 runs with
        KeyLost wg-friend-0123456789abcdef.key: the key of BwcHBwcH -> lost: only the host had it
        KeyLost wg-friend-0123456789abcdef.key: missing -> lost: only the host had it
        KeyLost wg-friend-0123456789abcdef.key: no key -> lost: only the host had it
        KeyLost wg-friend-0123456789abcdef.key: missing -> lost: only the host had it
        ");
    }

    #[test]
    fn an_interface_whose_key_is_in_its_own_file_has_none() {
        let compiled = compile(&Fixture::everything().topology).unwrap();
        let answer = format!("\n@x system\nuptime 1\nclock 1\n\n@x fingerprint {}\n\n@x end\n", "0".repeat(64));
        let answer = Answer::parse(answer.as_bytes(), "x").unwrap();
        let observed = read_observation(&answer, &Question::default()).unwrap();
        assert_eq!(fault(&compiled[0].interfaces[0], &observed), None);
    }
}
