//! An interface three times: as the model has it, as it was deployed, as its host has it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::db::Store;
use crate::fleet::{Fleet, Observed};
use crate::model::{Actor, Custody, InterfaceName, Kept, Name, Phase, Role, Run, Secrets, Table};
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::Deployed;
use crate::ops::deploy::{self, Progress};
use crate::ops::error::Error;
use crate::ops::network::generate::sha256;
use crate::wg::compile::compile;
use crate::wg::config::{self, Document, Mode, masked_line};
use crate::wg::{InterfaceConfig, NodeConfig, firewall, runtime};

use super::find::{self, Target};

/// An interface of a host. Holds no secret.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Where it lives.
    pub host: Name,
    /// Which one.
    pub interface: InterfaceName,
    /// Whose.
    pub node: Name,
    /// What that node is.
    pub role: Role,
    /// Who keeps its private key.
    pub custody: Custody,
    /// Whether it was adopted, and so has a file of its own.
    pub adopted: bool,
    /// Whether it is meant to run.
    pub run: Run,
    /// Why its host isn't asked or can't be; `None` when it answered.
    pub not_observed: Option<String>,
    /// Its settings, in order.
    pub settings: Vec<Row>,
    /// Its hooks, in order of their phases.
    pub hooks: Vec<HookRow>,
}

/// A setting. Where nothing is known it is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which.
    pub setting: &'static str,
    /// As the model has it.
    pub model: Option<String>,
    /// As it was deployed last.
    pub deployed: Option<String>,
    /// As the host has it.
    pub observed: Option<String>,
    /// Whether the model differs from what was deployed.
    pub pending: bool,
    /// Whether the host differs from what was deployed.
    pub drift: bool,
}

/// A hook, and where it is. Keys in it are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookRow {
    /// When it runs.
    pub phase: Phase,
    /// The command.
    pub command: String,
    /// Whether the model has it.
    pub model: bool,
    /// Whether it was deployed; `None` when nothing was.
    pub deployed: Option<bool>,
    /// Whether it is in the host's file; `None` when that isn't known.
    pub observed: Option<bool>,
}

/// A line of the list of all interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Where it lives.
    pub host: Name,
    /// Which one.
    pub interface: InterfaceName,
    /// Whose.
    pub node: Name,
    /// What that node is.
    pub role: Role,
    /// Its UDP port.
    pub listen_port: Option<u16>,
    /// Its addresses in the network.
    pub addresses: Vec<String>,
    /// Whether it is meant to run.
    pub run: Run,
    /// Whether it was adopted.
    pub adopted: bool,
}

/// Lists the interfaces of all hosts.
pub fn list(topology: &crate::model::Topology) -> Vec<Listed> {
    let all = topology.hosts.iter().flat_map(|host| find::on(topology, host));
    all.map(|target| Listed {
        host: target.host.name.clone(),
        interface: target.interface.name.clone(),
        node: target.node.name.clone(),
        role: target.node.role,
        listen_port: target.interface.listen_port.map(|port| port.get()),
        addresses: match target.interface.id == target.node.main().id {
            true => target.node.addresses().map(|address| address.net().addr().to_string()).collect(),
            false => Vec::new(),
        },
        run: run_of(&target),
        adopted: is_adopted(&target),
    })
    .collect()
}

fn run_of(target: &Target<'_>) -> Run {
    target.interface.kept.as_ref().map_or_else(Run::default, |kept| kept.run)
}

fn is_adopted(target: &Target<'_>) -> bool {
    target.interface.kept.as_ref().is_some_and(|kept: &Kept| !kept.made)
}

/// How to ask hosts.
pub struct Live<'a> {
    /// The way to them.
    pub fleet: &'a dyn Fleet,
    /// What hears how far it is.
    pub progress: &'a dyn Progress,
}

/// Shows interfaces of a host, or of a node that lives on one. Without `live` the host isn't asked.
///
/// # Errors
/// When there is no such thing, or the model contradicts itself. A host that gives no answer is told of in the view.
pub fn show(
    store: &mut Store,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
    live: Option<&Live<'_>>,
) -> Result<Vec<View>, Error> {
    let topology = store.topology()?;
    let targets = match name {
        Some(_) => vec![find::one(&topology, wanted, name)?],
        None => find::several(&topology, wanted)?,
    };
    let compiled = compile(&topology).map_err(Error::Model)?;
    let secrets = store.secrets()?;
    let Some(host) = targets.first().map(|target| target.host.name.clone()) else { return Ok(Vec::new()) };
    let plan = match live {
        Some(Live { fleet, progress }) => {
            deploy::plan_for(store, *fleet, clock, actor, &topology, &host, None, *progress)?.hosts.pop()
        }
        None => None,
    };
    let stored = deploy::journal::deployed(store, &host)?;
    let (deployed, seen) = match &plan {
        Some(plan) => {
            (plan.deployed.as_ref(), plan.seen.as_ref().map(|seen| &seen.observed).map_err(ToString::to_string))
        }
        None => (stored.as_ref(), Err("it wasn't asked".to_owned())),
    };
    let not_observed = seen.as_ref().err().cloned();
    let view = |target: &Target<'_>| {
        let node = compiled.iter().find(|config| config.node == target.node.id);
        let model = node.and_then(|node| Some((node, node.interfaces.iter().find(|i| i.id == target.interface.id)?)));
        let sides = Sides {
            model: model.map(|(node, config)| of_model(node, config, &secrets)),
            deployed: deployed.and_then(|deployed| of_deployed(&target.interface.name, deployed)),
            observed: seen.as_ref().ok().map(|seen| of_host(&target.interface.name, seen, deployed)),
        };
        View {
            host: host.clone(),
            interface: target.interface.name.clone(),
            node: target.node.name.clone(),
            role: target.node.role,
            custody: target.node.custody,
            adopted: is_adopted(target),
            run: run_of(target),
            not_observed: not_observed.clone(),
            settings: sides.rows(),
            hooks: sides.hooks(),
        }
    };
    Ok(targets.iter().map(view).collect())
}

/// What one side says of an interface.
#[derive(Default)]
struct Side {
    values: BTreeMap<&'static str, Value>,
    hooks: Vec<(Phase, String)>,
    /// Whether its hooks are known.
    has_file: bool,
}

/// A value as it is shown and as it is compared; one that leaves the choice to the host compares with nothing.
struct Value {
    text: String,
    essence: Option<String>,
}

impl Value {
    fn same(text: impl ToString) -> Self {
        let text = text.to_string();
        Self { essence: Some(text.clone()), text }
    }

    fn any(text: &str) -> Self {
        Self { text: text.to_owned(), essence: None }
    }

    fn or_any(value: Option<impl ToString>, any: &str) -> Self {
        value.map_or_else(|| Self::any(any), Self::same)
    }
}

/// The settings, in the order in which they are shown.
const SETTINGS: [&str; 13] = [
    "run",
    "key",
    "port",
    "address",
    "dns",
    "mtu",
    "table",
    "fwmark",
    "save-config",
    "peers",
    "routes",
    "firewall",
    "file",
];

/// So many routes are shown; more are counted.
const ROUTES: usize = 3;

fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let mut values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.sort();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

fn routes(all: &std::collections::BTreeSet<crate::wg::Route>) -> Value {
    let essence = listed(all);
    let text = if all.len() > ROUTES { format!("{} routes", all.len()) } else { essence.clone() };
    Value { text, essence: Some(essence) }
}

/// Returns what is in a wg-quick file and nowhere else.
fn of_file(text: &str, side: &mut Side) {
    side.values.insert("file", Value::same(&sha256(text.as_bytes())[..12]));
    let masked = config::mask(text);
    let Ok(reading) = Document::parse(&masked).read(Mode::Lenient) else { return };
    let tunnel = reading.tunnel;
    side.has_file = true;
    side.values.insert("dns", Value::same(if tunnel.dns.is_empty() { "none".into() } else { tunnel.dns.join(", ") }));
    side.values.insert("table", Value::same(&tunnel.table));
    side.values.insert("save-config", Value::same(if tunnel.save_config { "on" } else { "off" }));
    side.hooks.extend(tunnel.hooks.iter().map(|hook| (hook.phase, masked_line(&hook.command))));
}

fn of_config(config: &InterfaceConfig, file: Option<&str>) -> Side {
    let mut side = Side::default();
    if let Some(text) = file {
        of_file(text, &mut side);
    }
    let mark = match config.fwmark {
        None if runtime::takes_default_route(config) => Value::any("auto"),
        None => Value { text: "none".to_owned(), essence: Some("0x0".to_owned()) },
        Some(mark) => Value::same(format_args!("{mark:#x}")),
    };
    let table = config.firewall.as_ref().map(|own| {
        let digest = sha256(firewall::ruleset(own).as_bytes());
        Value { text: format!("table {}", own.table()), essence: Some(digest) }
    });
    let routes = match config.table {
        Table::Named(_) => Value::any("by table"),
        _ => routes(&runtime::routes(config)),
    };
    side.values.extend([
        ("run", Value::same(config.run)),
        ("key", Value::same(config.public_key.short())),
        ("port", Value::or_any(config.listen_port, "any")),
        ("address", Value::same(listed(&config.addresses))),
        ("mtu", Value::or_any(config.mtu, "auto")),
        ("fwmark", mark),
        ("peers", Value::same(config.peers.len())),
        ("routes", routes),
        ("firewall", table.unwrap_or_else(|| Value::same("none"))),
    ]);
    side
}

fn of_model(node: &NodeConfig, interface: &InterfaceConfig, secrets: &Secrets) -> Side {
    if interface.run == Run::Gone {
        return gone();
    }
    let name = format!("{}.conf", interface.name);
    let files = config::files(node, secrets);
    of_config(interface, files.iter().find(|file| file.path == name).map(|file| file.content.as_str()))
}

fn gone() -> Side {
    Side { values: [("run", Value::same(Run::Gone))].into(), ..Side::default() }
}

fn of_deployed(name: &InterfaceName, deployed: &Deployed) -> Option<Side> {
    let interface = deployed.interface(name)?;
    let file = deployed.version.files.get(&format!("{name}.conf"));
    Some(of_config(interface, file.map(|text| text.as_str())))
}

fn of_host(name: &InterfaceName, seen: &Observed, deployed: Option<&Deployed>) -> Side {
    let mut side = Side::default();
    let lies = seen.files.get(&format!("{name}.conf"));
    if let Some(file) = lies {
        of_file(&String::from_utf8_lossy(&file.content), &mut side);
    }
    let live = seen.interfaces.get(name);
    let boot = seen.boot.contains(name);
    let run = match (live, boot) {
        (Some(live), _) if !live.up => Value::same("link down"),
        (Some(_), true) => Value::same(Run::Boot),
        (Some(_), false) => Value::same(Run::Now),
        (None, true) => Value::same("off, but starts at boot"),
        (None, false) if lies.is_some() => Value::same(Run::Off),
        (None, false) => Value::same(Run::Gone),
    };
    side.values.insert("run", run);
    let table = firewall::table_name(name);
    let firewall = match (seen.tables.get(&table), deployed) {
        (None, _) => Value::same("none"),
        (Some(rules), Some(deployed)) if deployed.tables.get(&table) == Some(rules) => {
            let own = deployed.interface(name).and_then(|interface| interface.firewall.as_ref());
            let essence = own.map(|own| sha256(firewall::ruleset(own).as_bytes()));
            Value { text: format!("table {table}"), essence }
        }
        (Some(_), _) => Value::same("other rules"),
    };
    side.values.insert("firewall", firewall);
    if let Some(live) = live {
        let by_hooks = deployed.and_then(|deployed| deployed.interface(name)).map(|interface| &interface.by_hooks);
        let own =
            |address: &&crate::model::InterfaceAddr| by_hooks.is_none_or(|made| !made.addresses.contains(address));
        side.values.extend([
            ("key", Value::same(live.live.public_key.map_or_else(|| "none".to_owned(), |key| key.short()))),
            ("port", Value::or_any(live.live.listen_port, "none")),
            ("address", Value::same(listed(live.addresses.iter().filter(own)))),
            ("mtu", Value::same(live.mtu)),
            (
                "fwmark",
                match live.live.fwmark {
                    0 => Value { text: "none".to_owned(), essence: Some("0x0".to_owned()) },
                    mark => Value::same(format_args!("{mark:#x}")),
                },
            ),
            ("peers", Value::same(live.live.peers.len())),
            ("routes", routes(&live.routes)),
        ]);
    }
    side
}

struct Sides {
    model: Option<Side>,
    deployed: Option<Side>,
    observed: Option<Side>,
}

impl Sides {
    fn rows(&self) -> Vec<Row> {
        let rows = SETTINGS.iter().map(|setting| {
            let of =
                |side: &Option<Side>| side.as_ref().and_then(|side| side.values.get(setting)).map(|v| v.text.clone());
            let (model, deployed, observed) = (of(&self.model), of(&self.deployed), of(&self.observed));
            let pending = self.deployed.is_some() && differ(setting, &self.model, &self.deployed, true);
            let drift = self.deployed.is_some() && differ(setting, &self.deployed, &self.observed, false);
            Row { setting, model, deployed, observed, pending, drift }
        });
        rows.filter(|row| row.model.is_some() || row.deployed.is_some() || row.observed.is_some()).collect()
    }

    fn hooks(&self) -> Vec<HookRow> {
        let mut rows: Vec<HookRow> = Vec::new();
        for side in [&self.model, &self.deployed, &self.observed].into_iter().flatten() {
            for (phase, command) in &side.hooks {
                if !rows.iter().any(|row| (&row.phase, &row.command) == (phase, command)) {
                    let has = |side: &Option<Side>| {
                        let known = side.as_ref().filter(|side| side.has_file);
                        known.map(|side| side.hooks.contains(&(*phase, command.clone())))
                    };
                    rows.push(HookRow {
                        phase: *phase,
                        command: command.clone(),
                        model: has(&self.model).unwrap_or(false),
                        deployed: has(&self.deployed),
                        observed: has(&self.observed),
                    });
                }
            }
        }
        rows.sort_by_key(|row| Phase::ALL.iter().position(|phase| *phase == row.phase));
        rows
    }
}

/// Whether a setting of one side isn't what another side has. What isn't known doesn't differ, unless both are the
/// model's; what is left to the host never does.
fn differ(setting: &str, wanted: &Option<Side>, found: &Option<Side>, both_ours: bool) -> bool {
    let (Some(wanted), Some(found)) = (wanted, found) else { return false };
    match (wanted.values.get(setting), found.values.get(setting)) {
        (Some(wanted), Some(found)) if both_ours => (&wanted.text, &wanted.essence) != (&found.text, &found.essence),
        (Some(wanted), Some(found)) => wanted.essence.is_some() && wanted.essence != found.essence,
        (None, None) => false,
        _ => both_ours,
    }
}
