//! Routes and the rules that lead into them.

use std::collections::BTreeMap;

use crate::model::InterfaceName;
use crate::wg::{InterfaceConfig, Route, Rule, runtime};

use super::super::change::{Change, Kind};
use super::super::desired::Desired;
use super::super::route_moves::{Moves, Successor};
use super::{Builder, quote};

impl Builder<'_> {
    pub(super) fn routes(&mut self, interface: &InterfaceConfig, changes: &[&Change], moves: &Moves) {
        let name = quote(&interface.name);
        let wanted: BTreeMap<String, Route> =
            runtime::routes(interface).into_iter().map(|r| (r.to_string(), r)).collect();
        let seen: BTreeMap<String, Route> =
            self.observed.interfaces[&interface.name].routes.iter().map(|r| (r.to_string(), *r)).collect();
        let command = |verb: &str, route: &Route| {
            let table = route.table.map_or(String::new(), |t| format!(" table {t}"));
            format!("{} route {verb} {} dev {name}{table}", ip(route.to.is_ipv4()), route.to)
        };
        for change in changes {
            let value = change.after.as_ref().or(change.before.as_ref()).map_or("", String::as_str);
            match change.kind {
                Kind::RouteMissing => {
                    if let Some(route) = wanted.get(value) {
                        if let Some(from) = moves.from(route) {
                            self.replace_route(change.kind, route, from, &interface.name);
                            continue;
                        }
                        let (add, del) = (command("add", route), command("del", route));
                        self.step(change.kind, format!("add route {value} through {name}"), add, del);
                    }
                }
                Kind::RouteExtra => {
                    if let Some(route) = seen.get(value) {
                        match moves.to(route) {
                            None => {}
                            Some(Successor::Runs) => continue,
                            Some(Successor::ComesUp) => {
                                self.leave_route(change.kind, route, &interface.name);
                                continue;
                            }
                        }
                        // A route that went with an address is gone already.
                        let (del, add) = (command("del", route), command("add", route));
                        self.step(
                            change.kind,
                            format!("remove route {value} through {name}"),
                            format!("{del} 2>/dev/null || :"),
                            add,
                        );
                    }
                }
                _ => {}
            }
        }
    }

    /// A route that leads into another interface from now on: it is replaced in one go, and no packet finds it missing.
    fn replace_route(&mut self, kind: Kind, route: &Route, from: &InterfaceName, to: &InterfaceName) {
        let what = format!("lead {route} through {to} instead of {from}");
        self.step(kind, what, replace_command(route, to), replace_command(route, from));
    }

    /// A route that an interface which comes up takes over by itself.
    fn leave_route(&mut self, kind: Kind, route: &Route, from: &InterfaceName) {
        let what = format!("leave {route} through {from} until its successor is up");
        self.step(kind, what, ":".to_owned(), replace_command(route, from));
    }

    pub(super) fn rules(&mut self, change: &Change, desired: &Desired) {
        let command = |verb: &str, rule: &Rule| {
            let Rule { ipv4, priority, mark, table } = rule;
            format!("{} rule {verb} pref {priority} fwmark {mark:#x} lookup {table}", ip(*ipv4))
        };
        let matching = |rules: Vec<Rule>| -> Vec<Rule> {
            let text = change.after.as_ref().or(change.before.as_ref());
            rules.into_iter().filter(|rule| text.is_some_and(|t| *t == rule.to_string())).collect()
        };
        if change.kind == Kind::RuleMissing {
            let all = desired.interfaces.iter().flat_map(|i| i.rules.iter().copied()).collect();
            for rule in matching(all) {
                self.step(change.kind, format!("add rule {rule}"), command("add", &rule), command("del", &rule));
            }
        } else {
            for rule in matching(self.observed.rules.iter().copied().collect()) {
                // A rule that went with its interface is gone already.
                let del = format!("{} 2>/dev/null || :", command("del", &rule));
                self.step(change.kind, format!("remove rule {rule}"), del, command("add", &rule));
            }
        }
    }
}

fn ip(ipv4: bool) -> &'static str {
    if ipv4 { "ip -4" } else { "ip -6" }
}

fn replace_command(route: &Route, interface: &InterfaceName) -> String {
    let table = route.table.map_or(String::new(), |number| format!(" table {number}"));
    format!("{} route replace {} dev {}{table}", ip(route.to.is_ipv4()), route.to, quote(interface))
}
