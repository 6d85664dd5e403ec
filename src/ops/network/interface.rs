//! Settings of one interface: what `set` says of a whole node, and what the model has no place for, such as hooks.
//!
//! An adopted interface has its hooks in its own file, of which only the lines concerned change. One that wg-friend made
//! keeps what is set on it, and nothing at all when that makes no difference any more.

mod hooks;
mod read;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use super::difference::{Difference, differences};
use super::setting::{self, Setting};
use crate::db::Store;
use crate::model::{
    Action, Actor, Event, Host, Interface, InterfaceAddr, Kept, Mtu, Node, Phase, Port, Run, Severity, Table, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::error::which_name;
use crate::ops::interface::find;

pub use hooks::holds_key;
pub use read::{KEYS, read_all};

use hooks::Written;

/// One thing to set on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// The UDP port; `None` lets the kernel choose.
    Port(Option<Port>),
    /// No addresses beside those in the network.
    ClearAddresses,
    /// A further address.
    AddAddress(InterfaceAddr),
    /// One further address less.
    RemoveAddress(InterfaceAddr),
    /// DNS servers and search domains; `None` follows the network.
    Dns(Option<Vec<String>>),
    /// Bytes per packet; `None` follows the node or the network.
    Mtu(Option<Mtu>),
    /// Which table gets the routes; `None` is as compiled.
    Table(Option<Table>),
    /// Mark of the tunnel's own packets.
    FwMark(Option<u32>),
    /// No hooks of its own in a phase.
    ClearHooks(Phase),
    /// A further hook.
    AddHook(Phase, String),
    /// One hook less.
    RemoveHook(Phase, String),
    /// wg-quick(8) doesn't overwrite the file.
    SaveConfigOff,
    /// Whether it runs, and from when on.
    Run(Run),
}

/// Who answers for hooks that aren't on the list, on a node without a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave<'a> {
    /// Why they are needed.
    pub reason: Option<&'a str>,
}

/// An interface, and where it lives.
struct Place<'a> {
    host: Option<&'a Host>,
    node: &'a Node,
    interface: &'a Interface,
}

impl<'a> Place<'a> {
    /// Finds an interface of a host, or of a node that may live on none.
    fn of(topology: &'a Topology, wanted: &str, name: Option<&str>) -> Result<Self, Error> {
        let is_host = topology.hosts.iter().any(|host| host.name.as_str().eq_ignore_ascii_case(wanted));
        if !is_host
            && let Ok(node) = super::find::node(topology, wanted)
            && node.host.as_ref().is_none_or(|host| topology.host(host).is_none())
        {
            let own = |interface: &&Interface| name == Some(interface.name.as_str());
            return match (name, node.interfaces.as_slice()) {
                (None, [interface]) => Ok(Self { host: None, node, interface }),
                (None, _) => Err(Error::RefusedWithRemedy {
                    message: format!("`{}` has several interfaces", node.name),
                    hint: format!("say which: {}", names(node).join(", ")),
                }),
                (Some(name), all) => match all.iter().find(own) {
                    Some(interface) => Ok(Self { host: None, node, interface }),
                    None => Err(Error::RefusedWithRemedy {
                        message: format!("`{}` has no interface named `{name}`", node.name),
                        hint: which_name(name, &names(node)),
                    }),
                },
            };
        }
        let target = find::one(topology, wanted, name)?;
        Ok(Self { host: Some(target.host), node: target.node, interface: target.interface })
    }
}

fn names(node: &Node) -> Vec<&str> {
    node.interfaces.iter().map(|interface| interface.name.as_str()).collect()
}

/// Sets values on an interface: `wanted` is a host or a node, `name` the interface, which may be left out where there is
/// only one.
///
/// # Errors
/// [`Error::RefusedWithRemedy`] for a hook that isn't on the list, unless its host has leave for such, or, for a node
/// without a host, `leave` says why it is needed.
#[expect(clippy::too_many_arguments, reason = "what it touches, which interface, and what is set there")]
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
    assignments: &[Assignment],
    leave: Leave<'_>,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let place = Place::of(scope.before, wanted, name)?;
        let mut change = Change::new(scope, &place)?;
        for assignment in assignments {
            change.apply(assignment)?;
        }
        change.save(leave)
    })
}

/// An interface on its way to other settings.
struct Change<'a> {
    scope: &'a Scope<'a>,
    place: &'a Place<'a>,
    node: Node,
    at: usize,
    hooks: Written,
}

impl<'a> Change<'a> {
    fn new(scope: &'a Scope<'a>, place: &'a Place<'a>) -> Result<Self, Error> {
        let at = place.node.interfaces.iter().position(|own| own.id == place.interface.id).unwrap_or(0);
        let document = scope.tx.documents()?.remove(&place.interface.id);
        let hooks = Written::of(place.interface, document);
        Ok(Self { scope, place, node: place.node.clone(), at, hooks })
    }

    fn is_main(&self) -> bool {
        self.at == 0
    }

    /// What the interface keeps; from now on something.
    fn kept(&mut self) -> &mut Kept {
        self.node.interfaces[self.at].kept.get_or_insert_with(Kept::made)
    }

    fn apply(&mut self, assignment: &Assignment) -> Result<(), Error> {
        let whole_node = self.node.interfaces.len() == 1;
        match assignment {
            Assignment::Port(port) if self.is_main() => self.on_node(&Setting::Port(*port))?,
            Assignment::Port(port) => {
                self.node.interfaces[self.at].listen_port = *port;
                self.kept().port_auto = false;
            }
            Assignment::Mtu(mtu) if whole_node => {
                self.kept().mtu = None;
                self.on_node(&Setting::Mtu(*mtu))?;
            }
            Assignment::Mtu(mtu) => {
                let kept = self.kept();
                (kept.mtu, kept.mtu_auto) = (*mtu, false);
            }
            Assignment::Dns(dns) if self.is_main() => self.on_node(&Setting::Dns(dns.clone()))?,
            Assignment::Dns(_) => {
                return Err(Error::value("dns", format!("is for a node's main interface, {}", self.node.main().name)));
            }
            Assignment::SaveConfigOff => self.kept().save_config = false,
            Assignment::ClearAddresses => self.kept().addresses.clear(),
            Assignment::AddAddress(address) => self.add_address(*address)?,
            Assignment::RemoveAddress(address) => self.remove_address(*address)?,
            Assignment::Table(table) => {
                let made = self.kept().made;
                self.kept().table = table.clone().or_else(|| (!made).then_some(Table::Auto));
            }
            Assignment::FwMark(mark) => self.kept().fwmark = *mark,
            Assignment::Run(run) => self.kept().run = *run,
            Assignment::ClearHooks(phase) => self.hooks.clear(*phase),
            Assignment::AddHook(phase, command) => self.hooks.add(*phase, command, self.place)?,
            Assignment::RemoveHook(phase, command) => self.hooks.remove(*phase, command, self.place)?,
        }
        Ok(())
    }

    /// What is said of the node is set there.
    fn on_node(&mut self, setting: &Setting) -> Result<(), Error> {
        setting.apply(&mut self.node, self.scope.before)
    }

    fn owns(&self, address: InterfaceAddr) -> bool {
        self.node.addresses().any(|own| own.net().addr() == address.address())
    }

    fn add_address(&mut self, address: InterfaceAddr) -> Result<(), Error> {
        if self.owns(address) {
            return Ok(());
        }
        let same = |node: &&Node| node.addresses().any(|own| own.net().addr() == address.address());
        if let Some(other) = self.scope.before.nodes.iter().find(same) {
            return Err(Error::value("address", format!("`{}` is that of {}", address.address(), other.name)));
        }
        let addresses = &mut self.kept().addresses;
        addresses.retain(|other| other.address() != address.address());
        addresses.push(address);
        Ok(())
    }

    fn remove_address(&mut self, address: InterfaceAddr) -> Result<(), Error> {
        if self.owns(address) {
            let name = &self.node.name;
            return Err(Error::Value {
                what: "address".into(),
                reason: format!("`{}` is its place in the network", address.address()),
                hint: Some(format!("`wg-friend set {name} address=ADDRESS` gives {name} another one")),
            });
        }
        let (name, addresses) = (self.node.name.clone(), &mut self.kept().addresses);
        let count = addresses.len();
        addresses.retain(|other| *other != address);
        if addresses.len() == count {
            return Err(Error::Refused(format!("`{name}` has no further address {address} to take away")));
        }
        Ok(())
    }

    fn save(mut self, leave: Leave<'_>) -> Result<Done, Error> {
        let place = self.place;
        let judged = self.hooks.judge(place, leave)?;
        let made = self.hooks.made(&place.interface.name);
        if made.is_some() || !self.hooks.is_adopted() {
            let hooks = self.hooks.of_made();
            let kept = self.kept();
            if let Some((gone, new)) = made {
                kept.by_hooks.routes.retain(|route| !gone.routes.contains(route));
                kept.by_hooks.addresses.retain(|address| !gone.addresses.contains(address));
                kept.by_hooks.routes.extend(new.routes);
                kept.by_hooks.addresses.extend(new.addresses);
            }
            kept.hooks = hooks;
        }
        let kept = &mut self.node.interfaces[self.at].kept;
        if kept.as_ref().is_some_and(Kept::is_nothing) {
            *kept = None;
        }
        let topology = self.scope.before;
        let own = self.differences();
        let mut changes = differences((place.node, topology), (&self.node, topology));
        let new: Vec<Difference> = own.iter().filter(|own| !changes.contains(own)).cloned().collect();
        changes.extend(new);
        if changes.is_empty() {
            let name = &place.interface.name;
            return Err(Error::Refused(format!(
                "{name} of `{}` is like that already; nothing was changed",
                self.node.name
            )));
        }
        if let Some(text) = self.hooks.document() {
            self.scope.tx.edit_document(place.interface.id, &text)?;
        }
        self.scope.tx.update_node(&self.node, self.scope.now)?;
        let mut event = with_changes(Event::node(Action::PeerUpdated, &self.node), &changes)
            .with("interface", place.interface.name.as_str());
        if !judged.unsafe_hooks.is_empty() {
            event = event
                .with("unsafe_hooks", json!(judged.unsafe_hooks))
                .with("reason", judged.reason.clone().unwrap_or_default())
                .severity(Severity::Warning);
        }
        let done = Done { events: vec![event], nodes: vec![self.node.id], ..Done::default() };
        Ok(Done { remarks: judged.remarks, differences: own, ..done })
    }

    /// Returns what differs of the interface itself.
    fn differences(&self) -> Vec<Difference> {
        let whose = match self.is_main() {
            true => self.node.name.to_string(),
            false => format!("{} {}", self.node.name, self.place.interface.name),
        };
        let was = values(self.place.interface, &self.hooks.texts(false));
        let is = values(&self.node.interfaces[self.at], &self.hooks.texts(true));
        let differing = was.into_iter().zip(is).filter(|((_, was), (_, is))| was != is);
        let found = differing.map(|((field, before), (_, after))| Difference::of(whose.as_str(), field, before, after));
        // Those of a main interface are those of its node.
        found.filter(|difference| !(self.is_main() && difference.field == "port")).collect()
    }
}

/// Returns what is set on an interface, as text by key; its hooks are given, for an adopted one has them in its file.
fn values(interface: &Interface, hooks: &[(Phase, String)]) -> Vec<(&'static str, String)> {
    let none = || "none".to_owned();
    let nothing = Kept::made();
    let kept = interface.kept.as_ref().unwrap_or(&nothing);
    let addresses = kept.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut values = vec![
        ("port", interface.listen_port.map_or_else(none, |port| port.to_string())),
        ("further-address", if addresses.is_empty() { none() } else { addresses }),
        ("interface-mtu", kept.mtu.map_or_else(|| "node".to_owned(), |mtu| mtu.to_string())),
        ("table", kept.table.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string)),
        ("fwmark", kept.fwmark.map_or_else(none, |mark| format!("{mark:#x}"))),
        ("run", kept.run.to_string()),
        ("save-config", if kept.save_config { "on" } else { "off" }.to_owned()),
    ];
    for phase in Phase::ALL {
        let commands: Vec<&str> = hooks.iter().filter(|(own, _)| own == phase).map(|(_, text)| text.as_str()).collect();
        values.push((read::key(*phase), if commands.is_empty() { none() } else { commands.join("; ") }));
    }
    values
}

/// Returns what interfaces keep that `set` doesn't know, as text by key, for the history. An adopted one has its hooks in
/// its file, whose changes are told apart.
pub(super) fn kept_values(node: &Node) -> Vec<(String, String)> {
    let of = |interface: &Interface| -> Vec<(String, String)> {
        let hooks: Vec<(Phase, String)> =
            interface.kept.iter().flat_map(|kept| &kept.hooks).map(Written::text).collect();
        let is_main = interface.id == node.main().id;
        let named = |field: &str| if is_main { field.to_owned() } else { format!("{} {field}", interface.name) };
        let told = |field: &str| !matches!(field, "port" | "save-config");
        let usual = [("further-address", "none"), ("interface-mtu", "node"), ("table", "default"), ("run", "boot")];
        let values = values(interface, &hooks).into_iter().filter(|(field, _)| told(field));
        let unusual = values.filter(|(field, value)| value != "none" && !usual.contains(&(field, value.as_str())));
        unusual.map(|(field, value)| (named(field), value)).collect()
    };
    node.interfaces.iter().flat_map(of).collect()
}
