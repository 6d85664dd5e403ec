//! Finding an interface by what the operator calls it: a host and a name, or the node whose only one it is.

use crate::model::{Host, Interface, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::error::{similar, which_name};

/// An interface that lives on a host.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Where it lives.
    pub host: &'a Host,
    /// Whose it is.
    pub node: &'a Node,
    /// Which one.
    pub interface: &'a Interface,
}

/// Returns the interfaces on a host, in the order of their names.
pub fn on<'a>(topology: &'a Topology, host: &'a Host) -> Vec<Target<'a>> {
    let here = topology.nodes.iter().filter(|node| node.host.as_ref() == Some(&host.name));
    let mut found: Vec<Target<'a>> =
        here.flat_map(|node| node.interfaces.iter().map(move |interface| Target { host, node, interface })).collect();
    found.sort_by(|a, b| a.interface.name.cmp(&b.interface.name));
    found
}

/// Returns the interface that is meant. `wanted` is a host, or a node that lives on one; without a name it has to be the
/// only one there.
///
/// # Errors
/// When there is no such host, node or interface, or several could be meant.
pub fn one<'a>(topology: &'a Topology, wanted: &str, name: Option<&str>) -> Result<Target<'a>, Error> {
    let all = several(topology, wanted)?;
    let names: Vec<&str> = all.iter().map(|target| target.interface.name.as_str()).collect();
    match (name, all.as_slice()) {
        (Some(name), _) => all.iter().find(|target| target.interface.name.as_str() == name).copied().ok_or_else(|| {
            Error::RefusedWithRemedy {
                message: format!("`{wanted}` has no interface named `{name}`"),
                hint: which_name(name, &names),
            }
        }),
        (None, [only]) => Ok(*only),
        (None, _) => Err(Error::RefusedWithRemedy {
            message: format!("`{wanted}` has several interfaces"),
            hint: format!("say which: {}", names.join(", ")),
        }),
    }
}

/// Returns the interfaces of a host, or those of a node that lives on one.
///
/// # Errors
/// When there is neither, or nothing lives there.
pub fn several<'a>(topology: &'a Topology, wanted: &str) -> Result<Vec<Target<'a>>, Error> {
    let same = |name: &Name| name.as_str().eq_ignore_ascii_case(wanted);
    if let Some(host) = topology.hosts.iter().find(|host| same(&host.name)) {
        let found = on(topology, host);
        return match found.is_empty() {
            false => Ok(found),
            true => Err(Error::RefusedWithRemedy {
                message: format!("no node lives on the host `{}`", host.name),
                hint: format!("`wg-friend set NODE host={}` moves one there", host.name),
            }),
        };
    }
    let Some(node) = topology.nodes.iter().find(|node| same(&node.name)) else {
        let names = topology.hosts.iter().map(|host| &host.name).chain(topology.nodes.iter().map(|node| &node.name));
        return Err(Error::UnknownHost { name: wanted.to_owned(), similar: similar(wanted, names) });
    };
    let host = node.host.as_ref().and_then(|name| topology.host(name));
    let Some(host) = host else {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{}` lives on no host", node.name),
            hint: format!("`wg-friend set {} host=HOST` says where; `wg-friend show {0}` shows its file", node.name),
        });
    };
    Ok(on(topology, host).into_iter().filter(|target| target.node.id == node.id).collect())
}
