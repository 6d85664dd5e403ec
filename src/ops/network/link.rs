//! Links that the operator makes beside those that follow from roles: a direct way between two nodes, or between each two
//! of several.

use std::collections::BTreeSet;

use super::change::{Done, Mode, Outcome, Scope, carry_out};
use super::difference::Difference;
use super::find;
use crate::db::Store;
use crate::model::{Action, Actor, Event, Link, LinkId, Node, Role, Topology, Weight, WhenDown};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What a link is to be; what isn't said stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What a step over it costs; a new link has weight 1.
    pub weight: Option<Weight>,
    /// What becomes of its traffic while it is down; of a new link it stays.
    pub when_down: Option<WhenDown>,
}

/// Links each two of some nodes, or makes of their links what is wished.
///
/// # Errors
/// [`Error::Refused`] when all of them are linked like that already; [`Error::Model`] for links that can't work.
pub fn link(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    wish: Wish,
    mode: Mode,
) -> Result<Outcome, Error> {
    let before = store.topology()?;
    let are_linked = |(a, b): &(&Node, &Node)| are_servers(a, b) || found(&before, a, b).is_some();
    let action = if pairs(&before, wanted)?.iter().all(are_linked) { "changed" } else { "linked" };
    carry_out(store, clock, actor, action, mode, |scope| {
        let mut done = Done::default();
        for (a, b) in pairs(scope.before, wanted)? {
            put(scope, (a, b), wish, &mut done)?;
        }
        if done.events.is_empty() {
            let remark = done.remarks.first().cloned();
            return Err(Error::Refused(remark.unwrap_or_else(|| "they are linked like that already".to_owned())));
        }
        Ok(done)
    })
}

/// Takes the links between each two of some nodes away.
///
/// # Errors
/// [`Error::RefusedWithRemedy`] for a link that follows from roles, and when there is none.
pub fn unlink(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    mode: Mode,
) -> Result<Outcome, Error> {
    // Servers stay linked: what goes is what was said of their link.
    let stay_linked = pairs(&store.topology()?, wanted)?.iter().all(|(a, b)| are_servers(a, b));
    let action = if stay_linked { "changed" } else { "unlinked" };
    carry_out(store, clock, actor, action, mode, |scope| {
        let mut done = Done::default();
        let mut not_linked = Vec::new();
        for (a, b) in pairs(scope.before, wanted)? {
            match found(scope.before, a, b).filter(|link| link.weight.is_some()) {
                Some(link) => take(scope, (a, b), link, &mut done)?,
                None => not_linked.push(why_not(scope.before, a, b)),
            }
        }
        if done.events.is_empty() {
            let hints: BTreeSet<&str> = not_linked.iter().map(|(_, hint)| hint.as_str()).collect();
            return Err(Error::RefusedWithRemedy {
                hint: hints.into_iter().collect::<Vec<_>>().join("; "),
                message: not_linked.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join("; "),
            });
        }
        done.remarks.extend(not_linked.into_iter().map(|(what, hint)| format!("{what}: {hint}")));
        Ok(done)
    })
}

/// Returns each two of the nodes that are named.
fn pairs<'t>(topology: &'t Topology, wanted: &[String]) -> Result<Vec<(&'t Node, &'t Node)>, Error> {
    let mut nodes: Vec<&Node> = Vec::new();
    for name in wanted {
        let node = find::node(topology, name)?;
        if nodes.iter().any(|other| other.id == node.id) {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` is named twice, and nothing is linked to itself", node.name),
                hint: "name each node once: `wg-friend link A B`".into(),
            });
        }
        nodes.push(node);
    }
    let with_later = |(at, a): (usize, &&'t Node)| {
        let a = *a;
        nodes[at + 1..].iter().map(move |b| (a, *b)).collect::<Vec<_>>()
    };
    Ok(nodes.iter().enumerate().flat_map(with_later).collect())
}

fn id_of(a: &Node, b: &Node) -> LinkId {
    LinkId::between(a.main().id, b.main().id)
}

fn found(topology: &Topology, a: &Node, b: &Node) -> Option<Link> {
    topology.links.iter().find(|link| link.id == id_of(a, b)).copied()
}

/// Whether two nodes are linked because of what they are.
fn follows_from_roles(topology: &Topology, a: &Node, b: &Node) -> bool {
    let belongs = |node: &Node, server: &Node| {
        node.role != Role::Server && topology.home(node).is_some_and(|home| home.id == server.id)
    };
    belongs(a, b) || belongs(b, a) || are_servers(a, b)
}

/// Whether both are servers, which are always linked.
fn are_servers(a: &Node, b: &Node) -> bool {
    a.role == Role::Server && b.role == Role::Server
}

/// What a link costs, if it carries anything beside what its ends keep, and what becomes of its traffic while it is down.
type Terms = (Option<Weight>, WhenDown);

fn put(scope: &Scope<'_>, (a, b): (&Node, &Node), wish: Wish, done: &mut Done) -> Result<(), Error> {
    let servers = are_servers(a, b);
    if follows_from_roles(scope.before, a, b) && !servers {
        done.remarks.push(format!("`{}` and `{}` are linked already: one belongs to the other", a.name, b.name));
        return Ok(());
    }
    let before = found(scope.before, a, b);
    let was: Terms =
        before.map_or((servers.then_some(Weight::ONE), WhenDown::Stay), |link| (link.weight, link.when_down));
    let weight = wish.weight.or(was.0).unwrap_or(Weight::ONE);
    let when_down = wish.when_down.unwrap_or(was.1);
    if was == (Some(weight), when_down) {
        let gives_way = if when_down == WhenDown::Move { " and give way when the link is down" } else { "" };
        done.remarks.push(format!("`{}` and `{}` are linked with weight {weight}{gives_way} already", a.name, b.name));
        return Ok(());
    }
    scope.tx.put_link(Link { id: id_of(a, b), weight: Some(weight), when_down })?;
    note((a, b), Action::LinkMade, (was, (Some(weight), when_down)), done);
    Ok(())
}

fn take(scope: &Scope<'_>, (a, b): (&Node, &Node), link: Link, done: &mut Done) -> Result<(), Error> {
    scope.tx.delete_link(link.id)?;
    let servers = are_servers(a, b);
    if servers {
        done.remarks.push(format!("`{}` and `{}` stay linked, as all servers are, with weight 1", a.name, b.name));
    } else {
        scope.tx.remove_psk(link.id)?;
    }
    note(
        (a, b),
        Action::LinkRemoved,
        ((link.weight, link.when_down), (servers.then_some(Weight::ONE), WhenDown::Stay)),
        done,
    );
    Ok(())
}

/// Says why there is nothing to take away, and what may be done instead.
fn why_not(topology: &Topology, a: &Node, b: &Node) -> (String, String) {
    let (first, second) = (&a.name, &b.name);
    if are_servers(a, b) {
        return (
            format!("`{first}` and `{second}` are servers of one network, which are always linked"),
            format!("`wg-friend link {first} {second} --weight 100` makes other ways cheaper"),
        );
    }
    if follows_from_roles(topology, a, b) {
        let (node, server) = if a.role == Role::Server { (second, first) } else { (first, second) };
        return (
            format!("`{node}` belongs to `{server}`"),
            format!("`wg-friend set {node} server=NAME` gives it another one, `wg-friend disable {node}` takes it out"),
        );
    }
    (
        format!("`{first}` and `{second}` have no link of their own"),
        "`wg-friend topology` shows the links that somebody made".into(),
    )
}

/// Puts down what was done to a link.
fn note((a, b): (&Node, &Node), action: Action, (was, is): (Terms, Terms), done: &mut Done) {
    let in_words = |(weight, when_down): Terms| match (weight, when_down) {
        (None, _) => "none".to_owned(),
        (Some(weight), WhenDown::Stay) => format!("weight {weight}"),
        (Some(weight), WhenDown::Move) => format!("weight {weight}, moves when down"),
    };
    let event = Event::node(action, a).with("peer", b.name.as_str()).with("before", in_words(was));
    done.events.push(event.with("after", in_words(is)));
    done.subjects.push(format!("{} – {}", a.name, b.name));
    let ends = format!("{} – {}", a.name, b.name);
    done.differences.push(Difference::of(ends, "link", in_words(was), in_words(is)));
}
