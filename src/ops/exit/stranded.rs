//! What becomes of those who leave by a group of exits that can go by none of them any more.

use crate::model::{Access, ExitGroup, Name, Node, Topology};
use crate::ops::Error;
use crate::wg::compile::{Way, ways};

/// Says which groups of exits went by one before and can go by none now, and what becomes of those who leave by them.
pub(in crate::ops) fn remarks(before: &Topology, after: &Topology) -> Vec<String> {
    let lost = |group: &&ExitGroup| {
        let was = before.exit_group(group.id).and_then(|group| group.carrier(before));
        was.is_some() && group.carrier(after).is_none()
    };
    after.exit_groups.iter().filter(lost).map(|group| remark(group, after)).collect()
}

fn remark(group: &ExitGroup, topology: &Topology) -> String {
    let users: Vec<&Node> = super::view::users(group, topology).collect();
    let is_user = |node: &Node| users.iter().any(|user| user.id == node.id);
    let (mut past, mut nowhere): (Vec<&Name>, Vec<&Name>) = (Vec::new(), Vec::new());
    for (node, way) in ways(topology).into_iter().filter(|(node, _)| is_user(node)) {
        match way {
            Way::Blocked => nowhere.push(&node.name),
            _ if node.access == Access::ExitOnly => nowhere.push(&node.name),
            _ => past.push(&node.name),
        }
    }
    let names = |names: &[&Name]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut text = format!("the exit group `{}` has no exit left that can be used", group.name);
    if !past.is_empty() {
        text.push_str(&format!("; internet traffic now by the device's own connection: {}", names(&past)));
    }
    if !nowhere.is_empty() {
        text.push_str(&format!("; by none, because of the kill switch: {}", names(&nowhere)));
    }
    text
}

/// Refuses to take a group's last usable exit away while somebody leaves by the group or not at all. `gone` are the nodes
/// that are removed along with it.
///
/// # Errors
/// [`Error::RefusedWithRemedy`], naming one of them.
pub(super) fn refuse(before: &ExitGroup, after: &ExitGroup, topology: &Topology, gone: &[&Node]) -> Result<(), Error> {
    let Some(last) = before.carrier(topology).filter(|_| after.carrier(topology).is_none()) else { return Ok(()) };
    let mut users = super::view::users(before, topology).filter(|node| gone.iter().all(|other| other.id != node.id));
    let bound = |node: &&Node| topology.kill_switch(node) || node.access == Access::ExitOnly;
    let Some(node) = users.find(bound) else { return Ok(()) };
    Err(Error::RefusedWithRemedy {
        message: format!(
            "the internet traffic of `{}` leaves by the exit group `{}` or not at all, and `{}` is the last exit that the \
             group can use",
            node.name, before.name, last.name
        ),
        hint: format!(
            "give the group another exit first: `wg-friend exit group set {} exits+=EXIT`; or the device another way: \
             `wg-friend exit assign {} EXIT`, or `none`",
            before.name, node.name
        ),
    })
}
