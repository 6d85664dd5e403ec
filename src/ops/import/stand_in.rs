//! Configurations without a key of their own: templates, and interfaces whose key a hook loads.
//!
//! A node is known by its public key. Where no source has it, the node goes by a stand-in until its key becomes known: by
//! another source, or by `rotate --public-key`. Until then it is in no other node's configuration.

use sha2::{Digest as _, Sha256};

use super::prepare::conflicts;
use super::read::Remark;
use crate::model::PublicKey;
use crate::ops::Error;
use crate::wg::adopt::{Conflict, Defaults, Joined, View, join};

/// Joins views; those whose key nobody knows get a stand-in: the first views the key that they go by in the database, the
/// others a new one. Returns which ones, by their places.
pub(super) fn join_all(
    views: &mut [View],
    known: &[PublicKey],
    defaults: &Defaults,
) -> Result<(Joined, Vec<usize>), Error> {
    let first = match join(views, defaults) {
        Ok(joined) => return Ok((joined, Vec::new())),
        Err(first) => first,
    };
    let mut placed = Vec::new();
    for conflict in &first {
        let Conflict::NoKey { view: source } = conflict else { return Err(conflicts(first)) };
        let unknown = |view: &View| view.source == *source && view.public_key.is_none();
        let Some(at) = views.iter().position(unknown) else { return Err(conflicts(first)) };
        views[at].public_key = Some(known.get(at).copied().unwrap_or_else(|| stand_in(&views[at])));
        placed.push(at);
    }
    let joined = join(views, defaults).map_err(conflicts)?;
    Ok((joined, placed))
}

/// Makes a key that nobody has the private half of: the same for the same configuration.
fn stand_in(view: &View) -> PublicKey {
    let mut hash = Sha256::new();
    hash.update("wg-friend: in the place of a key that isn't known\n");
    hash.update(view.text.as_deref().map_or(view.source.as_bytes(), |text| text.as_bytes()));
    PublicKey::stand_in(hash.finalize().into())
}

/// Says of a view that it goes by a stand-in.
pub(super) fn remark(view: &View) -> Remark {
    let text = "no source has its key: it goes by a stand-in, and no other node can have it as a peer, until \
                `wg-friend rotate NAME --public-key KEY` tells it (`wg show` prints it on the device) or another source \
                does";
    Remark { about: view.source.clone(), text: text.to_owned() }
}
