//! What deploys made of an interface, version by version. Secrets are hidden; that a key is another one is said.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use zeroize::Zeroizing;

use crate::db::{Deployment, Store};
use crate::model::{DeploymentState, InterfaceName, Name};
use crate::ops::deploy::desired::Version;
use crate::ops::deploy::rollback::version_of;
use crate::ops::error::Error;
use crate::ops::network::find;
use crate::wg::config::mask;

/// The versions of a host in which an interface became another.
#[derive(Clone, Debug, Serialize)]
pub struct OfInterface {
    /// Where it lives.
    pub host: Name,
    /// Which.
    pub interface: InterfaceName,
    /// The versions, the newest first.
    pub versions: Vec<Step>,
}

/// A version that made something else of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// When the deploy began.
    pub time: DateTime<Utc>,
    /// Who deployed.
    pub operator: String,
    /// How it ended.
    pub state: DeploymentState,
    /// What is worth saying about its end.
    pub note: Option<String>,
    /// What it changed in the interface's files.
    pub files: Vec<FileDiff>,
}

/// What differs between two versions of a host.
#[derive(Clone, Debug, Serialize)]
pub struct Between {
    /// Which host.
    pub host: Name,
    /// The one version.
    pub from: i64,
    /// The other.
    pub to: i64,
    /// The files that differ.
    pub files: Vec<FileDiff>,
}

/// How a file differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    /// Its name in /etc/wireguard.
    pub file: String,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// Whether only keys are others, which aren't shown.
    pub only_keys: bool,
    /// A unified diff, keys hidden; empty when only keys are others.
    pub diff: String,
}

/// Lists the newest versions of a host in which an interface differs from the one confirmed before.
///
/// # Errors
/// When there is no such host, it never had the interface, or a version can't be read.
pub fn of_interface(store: &Store, host: &str, interface: &str, limit: usize) -> Result<OfInterface, Error> {
    let host = find::host(&store.topology()?, host)?.name.clone();
    let name: InterfaceName = interface.parse().map_err(|e| Error::value("IFACE", e))?;
    let mut steps = Vec::new();
    let mut before: Files = Files::new();
    let mut known: BTreeSet<InterfaceName> = BTreeSet::new();
    for deployment in store.deployments(&host, u32::MAX)?.into_iter().rev() {
        let version = version_of(store, &deployment)?;
        known.extend(version.interfaces.iter().map(|own| own.name.clone()));
        let now = files(version, Some(&name));
        let files = differences(&before, &now);
        if !files.is_empty() {
            let Deployment { version, started: time, operator, state, note, .. } = deployment.clone();
            steps.push(Step { version, time, operator, state, note, files });
        }
        if deployment.state == DeploymentState::Confirmed {
            before = now;
        }
    }
    if !known.contains(&name) {
        let names: Vec<&str> = known.iter().map(InterfaceName::as_str).collect();
        return Err(Error::RefusedWithRemedy {
            message: format!("no version of the host `{host}` has an interface named `{name}`"),
            hint: match names.is_empty() {
                true => format!("nothing was deployed to it yet: `wg-friend deploy {host}`"),
                false => crate::ops::error::which_name(name.as_str(), &names),
            },
        });
    }
    steps.reverse();
    steps.truncate(limit);
    Ok(OfInterface { host, interface: name, versions: steps })
}

/// Compares two versions of a host, all of it or one interface. Without `to`, with what was confirmed last.
///
/// # Errors
/// When there is no such host or version, or one can't be read.
pub fn between(
    store: &Store,
    host: &str,
    from: i64,
    to: Option<i64>,
    interface: Option<&str>,
) -> Result<Between, Error> {
    let host = find::host(&store.topology()?, host)?.name.clone();
    let only = interface.map(|name| name.parse().map_err(|e| Error::value("--interface", e))).transpose()?;
    let versions = store.deployments(&host, u32::MAX)?;
    let numbered = |number: i64| {
        versions.iter().find(|deployment| deployment.version == number).ok_or_else(|| Error::RefusedWithRemedy {
            message: format!("the host `{host}` has no version {number}, or it is kept no longer"),
            hint: format!("`wg-friend history {host}` lists the versions"),
        })
    };
    let newest = || versions.iter().find(|deployment| deployment.state == DeploymentState::Confirmed);
    let (one, other) = (
        numbered(from)?,
        match to {
            Some(number) => numbered(number)?,
            None => newest().ok_or_else(|| Error::Refused(format!("the host `{host}` never confirmed a deploy")))?,
        },
    );
    let [was, is] = [one, other].map(|deployment| version_of(store, deployment));
    let files = differences(&files(was?, only.as_ref()), &files(is?, only.as_ref()));
    Ok(Between { to: other.version, from, files, host })
}

type Files = BTreeMap<String, Zeroizing<String>>;

/// Returns the files of a version, or those of one interface.
fn files(version: Version, only: Option<&InterfaceName>) -> Files {
    let own = |path: &str| only.is_none_or(|name| crate::ops::deploy::is_file_of(path, name));
    version.files.into_iter().filter(|(path, _)| own(path)).collect()
}

fn differences(was: &Files, is: &Files) -> Vec<FileDiff> {
    let paths: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let text = |files: &Files, path: &String| files.get(path).cloned().unwrap_or_default();
    let differing = paths.into_iter().filter(|path| was.get(*path) != is.get(*path));
    differing.map(|path| difference(path, &text(was, path), &text(is, path))).collect()
}

fn difference(path: &str, was: &str, is: &str) -> FileDiff {
    let hidden = |text: &str| if path.ends_with(".conf") { mask(text) } else { text.to_owned() };
    let (was, is) = (hidden(was), hidden(is));
    let diff = TextDiff::from_lines(was.as_str(), is.as_str());
    let count = |tag: ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let text = diff.unified_diff().context_radius(2).to_string();
    FileDiff {
        file: path.to_owned(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        only_keys: was == is,
        diff: text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Files {
        Files::from([("wg0.conf".to_owned(), Zeroizing::new(text.to_owned()))])
    }

    #[test]
    fn what_differs_is_shown_and_keys_are_not() {
        let key = "yHHSJ7nZ0tvBw5WUfzYvseFVELWkBQ7arabxcMg32Wg=";
        let other = "AOUpyRTd9IhBNEmFBdou183aZwhik2X5jisK8cOiUGE=";
        let of = |key: &str, port: u16| files(&format!("[Interface]\nPrivateKey = {key}\nListenPort = {port}\n"));
        assert!(differences(&of(key, 1), &of(key, 1)).is_empty());
        let found = differences(&of(key, 1), &of(other, 2));
        insta::assert_snapshot!(found[0].diff, @"
        @@ -1,3 +1,3 @@
         [Interface]
         PrivateKey = (hidden)
        -ListenPort = 1
        +ListenPort = 2
        ");
        let keys = differences(&of(key, 1), &of(other, 1));
        assert!(keys[0].only_keys && keys[0].diff.is_empty());
        let gone = differences(&of(key, 1), &Files::new());
        assert_eq!((gone[0].added, gone[0].removed), (0, 3));
    }
}
