//! Taking what somebody changed on a host into the model, as far as the model has a place for it.
//!
//! Pure deciding first: each difference becomes an edit of a node, or a reason why not. Then, in one transaction, the edits
//! are made and the host is compared anew: only what no longer differs counts as adopted.

use serde::Serialize;

use crate::db::{DriftItem, Store};
use crate::fleet::Fleet;
use crate::model::{Actor, Name};
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, Change, Options, Outcome, Progress};
use crate::ops::error::Error;
use crate::ops::network::change::Mode;
use crate::ops::rotation::ready;

use super::item::items;
use super::known;
use super::taking::Taking;

/// What was taken over from a host.
#[derive(Clone, Debug, Serialize)]
pub struct Adopted {
    /// Which host.
    pub host: Name,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// What the model has now as the host does.
    pub adopted: Vec<DriftItem>,
    /// What has no place in the model, and why.
    pub left: Vec<Left>,
    /// Nodes that are new: strangers' peers, known by their keys only.
    pub added: Vec<Name>,
    /// What on the host itself has to follow, such as its files.
    pub follows: Vec<Change>,
    /// How that went; `None` when nothing was to follow, or it was left to a deploy.
    pub deployed: Option<Outcome>,
}

/// What wasn't taken over.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// What it is.
    #[serde(flatten)]
    pub item: DriftItem,
    /// Why not.
    pub reason: String,
}

/// Takes a host's drift into the model. If all of it could be, and the model had nothing undeployed for this host, what
/// has to follow on the host is deployed to it: nothing there changes but what now follows from what it runs.
///
/// # Errors
/// When the host gives no answer, nothing drifted, or the model would contradict itself. Nothing is saved then.
#[expect(clippy::too_many_arguments, reason = "what a deploy takes, the host, and whether to save")]
pub fn adopt(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    host: &str,
    options: &Options,
    mode: Mode,
    progress: &dyn Progress,
) -> Result<Adopted, Error> {
    let name = known(store, host)?;
    let only = [name.clone()];
    let plan = deploy::plan(store, fleet, clock, actor, &only, 1, progress)?;
    let Some(host) = plan.hosts.first() else {
        return Err(Error::Refused(format!("nothing is deployed to `{name}` yet; nothing was changed")));
    };
    if let Err(why) = &host.seen {
        return Err(Error::Refused(format!("nobody knows what is on `{name}` now: {why}; nothing was changed")));
    }
    let found = items(host);
    if found.is_empty() {
        return Err(Error::Refused(format!("nothing drifted on `{name}`; nothing was changed")));
    }
    let now = clock.now();
    let held = ready::not_yet(store, &store.topology()?)?;
    let mut adopted = match mode {
        Mode::Save => store.write_all(now, actor, |tx| {
            let (adopted, events) = Taking::new(tx, host, now, &held)?.run(&found)?;
            if adopted.adopted.is_empty() {
                return Err(nothing(&adopted));
            }
            Ok::<_, Error>((Adopted { saved: true, ..adopted }, events))
        })?,
        Mode::Preview => {
            store.try_out(|tx| Taking::new(tx, host, now, &held)?.run(&found).map(|(adopted, _)| adopted))?
        }
    };
    let waiting = host.changes().iter().enumerate().any(|(at, _)| !found.iter().any(|f| f.changes.contains(&at)));
    if adopted.saved && adopted.left.is_empty() && !waiting {
        let plan = deploy::plan(store, fleet, clock, actor, &only, 1, progress);
        // Where nothing is to follow, the plan has noted that the host has what the model wants, and the next one does if it hasn't.
        if !adopted.follows.is_empty() {
            let outcomes = deploy::deploy(store, fleet, clock, actor, plan?, options, progress)?;
            adopted.deployed = outcomes.into_iter().next().map(|outcome| outcome.outcome);
        }
    }
    Ok(adopted)
}

fn nothing(adopted: &Adopted) -> Error {
    let reasons: Vec<String> = adopted.left.iter().map(|l| format!("{}: {}", l.item.kind, l.reason)).collect();
    Error::RefusedWithRemedy {
        message: format!("nothing of this can be taken into the model ({})", reasons.join("; ")),
        hint: format!(
            "`wg-friend deploy {0}` puts it back, `wg-friend drift baseline {0} --reason TEXT` lets it be",
            adopted.host
        ),
    }
}
