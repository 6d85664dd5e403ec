//! Joining a machine that nobody can reach yet: a script that is run there once by hand, and leaves just what a deploy
//! would. From then on the machine is reached through the tunnel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{HostView, install};
use crate::db::Store;
use crate::fleet::{self, Joining};
use crate::model::{
    Action, Actor, Become, Event, Host, HostAddress, InterfaceName, Name, Node, PublicKey, Role, Run, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::{Desired, question};
use crate::ops::deploy::{journal, run, shared};
use crate::ops::network::change::Mode;
use crate::ops::network::{find, private_file};
use crate::wg::compile::compile;

/// How the machine is reached once it has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By its address in the network: wg-friend's machine is in it.
    Direct,
    /// Through these jump hosts, as `ssh -J` takes them.
    Jump(String),
    /// Directly when `reached_from` says that this machine is in the network, else through the node's server.
    Find,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The node: its name, or how its guid begins.
    pub node: String,
    /// What to call the machine; `None` calls it as the node.
    pub host: Option<Name>,
    /// Whom to log in as there.
    pub user: String,
    /// How it is reached then.
    pub way: Way,
    /// The SSH key that is let in there, with the file of its private half where that has to be named.
    pub ssh_key: Option<(fleet::sshkey::SshKey, Option<PathBuf>)>,
    /// How long the script can be used.
    pub lasts: TimeDelta,
    /// Where to write it; `None` only returns it.
    pub output: Option<PathBuf>,
    /// Whether it is to be pasted into a shell.
    pub paste: bool,
}

/// What came of it.
#[derive(Serialize)]
pub struct Joined {
    /// Whether it was recorded; false for a preview, which has no script.
    pub saved: bool,
    /// The node.
    pub node: Name,
    /// The machine, as it is known from now on.
    pub host: HostView,
    /// Where the script was written.
    pub path: Option<PathBuf>,
    /// Until when it can be used.
    pub expires: DateTime<Utc>,
    /// What to do once it was run, command by command.
    pub next: Vec<String>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// The script. Not part of the report: it holds keys.
    #[serde(skip)]
    pub script: Zeroizing<String>,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("node", &self.node).field("host", &self.host.host.name).finish_non_exhaustive()
    }
}

/// Makes the script that joins a node's machine, and records the machine under its address in the network.
///
/// `reached_from` returns the address from which this machine would talk to another one.
///
/// # Errors
/// A node that has no config or whose key isn't held, a machine that is known under another address, a file that can't be
/// written.
pub fn join(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Request,
    reached_from: &dyn Fn(IpAddr) -> Option<IpAddr>,
    mode: Mode,
) -> Result<Joined, Error> {
    let topology = store.topology()?;
    let node = find::node(&topology, &request.node)?.clone();
    refuse(&node)?;
    let now = clock.now();
    let (host, is_new) = host_of(&node, &topology, request, reached_from)?;
    let known: Vec<String> = store.deployments(&host.name, u32::MAX)?.into_iter().map(|d| d.token).collect();
    let deployed = if is_new { None } else { journal::deployed(store, &host.name)? };
    let token = run::token()?;
    let expires = now + request.lasts;
    let next = next(&node, &host, &topology);
    let work = |tx: &crate::db::Tx<'_>| -> Result<(Made, Vec<Event>), Error> {
        let mut events = Vec::new();
        if is_new {
            tx.insert_host(&host)?;
            events.push(Event::host(Action::HostAdded, &host.name).with("address", host.address.to_string()));
        }
        if node.host.as_ref() != Some(&host.name) {
            let after = Node { host: Some(host.name.clone()), ..node.clone() };
            tx.update_node(&after, now)?;
            events.push(Event::node(Action::PeerUpdated, &after).with("host", host.name.as_str()));
        }
        let after = tx.topology()?;
        let compiled = compile(&after).map_err(Error::Model)?;
        let secrets = tx.secrets()?;
        let mut desired = Desired::of(&host.name, &after, &compiled, &secrets);
        if let Some(interface) = desired.keys_elsewhere.first() {
            return Err(keyless(&node, interface));
        }
        if let Some(own) = shared::own(tx, &desired, deployed.as_ref())? {
            desired = desired.restricted_to(own, deployed.as_ref());
        }
        let script = script(
            &desired,
            deployed.as_ref(),
            &after,
            request,
            &node,
            &host,
            &Names { token: &token, known: &known, expires, next: &next },
        );
        tx.begin_deployment(&host.name, &token, &actor.operator, now, &desired.version_json())?;
        let to = request.output.as_ref().map_or("standard output".to_owned(), |path| path.display().to_string());
        let event = Event::host(Action::DeployStarted, &host.name).with("token", token.as_str());
        events.push(event.with("note", "a script to join with").with("to", to));
        Ok((Made { script, host: HostView::of(&host, &after, &tx.residents_of_others()?) }, events))
    };
    let made = match mode {
        Mode::Save => store.write_all(now, actor, work)?,
        Mode::Preview => store.try_out(|tx| work(tx).map(|(made, _)| Made { script: Zeroizing::default(), ..made }))?,
    };
    let script = if request.paste && mode == Mode::Save { pasted(&made.script) } else { made.script };
    if mode == Mode::Save
        && let Some(path) = &request.output
    {
        private_file::write(path, script.as_bytes())?;
    }
    Ok(Joined {
        saved: mode == Mode::Save,
        remarks: remarks(&node, &host, request, is_new),
        node: node.name,
        host: made.host,
        path: request.output.clone().filter(|_| mode == Mode::Save),
        expires,
        next,
        script,
    })
}

struct Made {
    script: Zeroizing<String>,
    host: HostView,
}

/// What the script is known by, and what it says.
struct Names<'a> {
    token: &'a str,
    known: &'a [String],
    expires: DateTime<Utc>,
    next: &'a [String],
}

fn refuse(node: &Node) -> Result<(), Error> {
    let refused = |message, hint| Err(Error::RefusedWithRemedy { message, hint });
    let name = &node.name;
    if !node.enabled {
        return refused(format!("`{name}` is disabled and has no config"), format!("`wg-friend enable {name}`"));
    }
    if node.provisional {
        return refused(
            format!("only the public key of `{name}` is known, so it has no config"),
            format!("give it a key of its own with `wg-friend rotate {name}`"),
        );
    }
    Ok(())
}

fn keyless(node: &Node, interface: &InterfaceName) -> Error {
    Error::RefusedWithRemedy {
        message: format!("the private key of `{}` ({interface}) is not here, so no script can bring it", node.name),
        hint: format!("give it a key that is held with `wg-friend rotate {}`", node.name),
    }
}

/// Returns the machine that a node will live on, and whether it has to be added.
fn host_of(
    node: &Node,
    topology: &Topology,
    request: &Request,
    reached_from: &dyn Fn(IpAddr) -> Option<IpAddr>,
) -> Result<(Host, bool), Error> {
    if let Some(name) = &node.host {
        let host = find::host(topology, name.as_str())?.clone();
        if host.address == HostAddress::Local {
            return Err(Error::Refused(format!("`{}` lives on this machine: `wg-friend deploy` is enough", node.name)));
        }
        return match &request.host {
            Some(asked) if *asked != host.name => Err(Error::value(
                "--host",
                format!("`{}` lives on `{}` already: `wg-friend set {0} host=none` first", node.name, host.name),
            )),
            _ => Ok((host, false)),
        };
    }
    let name = request.host.clone().unwrap_or_else(|| node.name.clone());
    super::refuse_taken(&topology.hosts, &name, None)?;
    let address = node.address4.map(IpAddr::from).or(node.address6.map(IpAddr::from));
    let Some(address) = address else {
        return Err(Error::Refused(format!("`{}` has no address in the network to be reached by", node.name)));
    };
    let jump = match &request.way {
        Way::Direct => None,
        Way::Jump(hops) => Some(hops.clone()),
        Way::Find => way(node, address, topology, reached_from)?,
    };
    let identity = request.ssh_key.as_ref().and_then(|(_, file)| file.as_ref());
    let identity = identity.map(|file| super::identity("--ssh-key", &file.display().to_string())).transpose()?;
    let user = Some(request.user.clone());
    format!("{}@host", request.user).parse::<HostAddress>().map_err(|e| Error::value("--user", e))?;
    let address = HostAddress::Ssh { destination: address.to_string(), user, port: None, jump, identity };
    Ok((Host::new(name, address, Become::Auto), true))
}

/// Finds the way to a machine in the network: directly from within, else through the host of a server.
fn way(
    node: &Node,
    address: IpAddr,
    topology: &Topology,
    reached_from: &dyn Fn(IpAddr) -> Option<IpAddr>,
) -> Result<Option<String>, Error> {
    let within = |from: IpAddr| topology.network.prefixes().any(|cidr| cidr.net().contains(&from));
    if reached_from(address).is_some_and(within) {
        return Ok(None);
    }
    let mut servers = topology.nodes.iter().filter(|other| other.role == Role::Server && other.id != node.id);
    match servers.find_map(|server| topology.host(server.host.as_ref()?)).map(|host| &host.address) {
        Some(HostAddress::Local) => return Ok(None),
        Some(address @ HostAddress::Ssh { jump, .. }) => {
            let last = hop(address);
            return Ok(Some(jump.as_ref().map_or_else(|| last.clone(), |before| format!("{before},{last}"))));
        }
        None => {}
    }
    Err(Error::RefusedWithRemedy {
        message: format!("no way into the network is known by which `{}` could be reached", node.name),
        hint: "say --jump HOST, or --direct if this machine will be in the network".to_owned(),
    })
}

/// An address as a hop of `ssh -J`, which takes IPv6 addresses in brackets only.
fn hop(address: &HostAddress) -> String {
    match address {
        HostAddress::Ssh { destination, user, port: None, .. } if destination.contains(':') => {
            let user = user.as_ref().map_or(String::new(), |user| format!("{user}@"));
            format!("{user}[{destination}]")
        }
        _ => address.to_string(),
    }
}

fn script(
    desired: &Desired,
    deployed: Option<&crate::ops::deploy::desired::Deployed>,
    topology: &Topology,
    request: &Request,
    node: &Node,
    host: &Host,
    names: &Names<'_>,
) -> Zeroizing<String> {
    let question = question(desired, deployed);
    let started = desired.interfaces.iter().filter(|interface| interface.run != Run::Off);
    let up: Vec<(InterfaceName, PublicKey)> = started.map(|i| (i.name.clone(), i.public_key)).collect();
    let at_boot = desired.interfaces.iter().filter(|interface| interface.run == Run::Boot);
    let ssh_key = request.ssh_key.as_ref().map(|(key, _)| key.to_string());
    fleet::join(Joining {
        node: &node.name,
        network: &topology.network.name,
        until: names.expires.timestamp(),
        token: names.token,
        known: names.known,
        question: &question,
        wanted: install::wanted(&host.name, topology),
        files: desired.files.iter().map(|(name, content)| (name.clone(), content.clone())).collect(),
        up,
        boot: at_boot.map(|interface| interface.name.clone()).collect(),
        ssh_key: ssh_key.as_deref(),
        user: match &host.address {
            HostAddress::Ssh { user: Some(user), .. } => user,
            _ => &request.user,
        },
        next: names.next,
    })
}

/// The commands by which the operator goes on.
fn next(node: &Node, host: &Host, topology: &Topology) -> Vec<String> {
    let servers = topology.nodes.iter().filter(|other| other.role == Role::Server && other.id != node.id);
    let hosts: BTreeSet<&Name> = servers.filter_map(|server| server.host.as_ref()).collect();
    let mut next: Vec<String> = hosts.iter().map(|host| format!("wg-friend deploy {host}")).collect();
    next.extend(host.address.ssh_line().map(|line| format!("{line} true")));
    next.push(format!("wg-friend host check {}", host.name));
    next.push(format!("wg-friend plan {}", host.name));
    next
}

fn remarks(node: &Node, host: &Host, request: &Request, is_new: bool) -> Vec<String> {
    let mut remarks = vec![format!(
        "the script holds the private key of `{}`: bring it there by a way that nobody else can read, and delete it then; if it got into other hands: `wg-friend rotate {0} --now`",
        node.name
    )];
    if request.ssh_key.is_none() {
        remarks.push(format!("it brings no SSH key: see that {} can log in there", host.address));
    }
    if is_new {
        remarks.push(format!(
            "until it was run, `{}` can't be reached, and `wg-friend plan` and `wg-friend deploy` say so",
            host.name
        ));
    }
    remarks
}

/// Characters on a line of what is pasted: any terminal takes them, and no shell's line editor cuts them off.
const LINE: usize = 76;

/// Wraps a script so that it can be pasted into a shell: no tabs that would complete names, no line that is too long.
fn pasted(script: &str) -> Zeroizing<String> {
    let coded = Zeroizing::new(STANDARD.encode(script.as_bytes()));
    let mut text = Zeroizing::new(String::with_capacity(coded.len() + coded.len() / LINE + 80));
    text.push_str("base64 -d <<'WG_FRIEND' | sudo sh\n");
    for line in coded.as_bytes().chunks(LINE) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str("WG_FRIEND\n");
    text
}

/// Finds the operator's SSH key: the file that is named, or the usual one below his home.
///
/// # Errors
/// When there is none, or the file holds something else.
pub fn operators_key(
    named: Option<&Path>,
    home: Option<&Path>,
) -> Result<(fleet::sshkey::SshKey, Option<PathBuf>), Error> {
    let usual = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];
    let candidates: Vec<PathBuf> = match (named, home) {
        (Some(file), _) => vec![fleet::sshkey::public_path(file)],
        (None, Some(home)) => usual.iter().map(|name| home.join(".ssh").join(name)).collect(),
        (None, None) => Vec::new(),
    };
    let Some(found) = candidates.iter().find(|path| path.exists()) else {
        let what = named.map_or("~/.ssh/id_ed25519.pub".to_owned(), |file| file.display().to_string());
        return Err(Error::Value {
            what: "--ssh-key".into(),
            reason: format!("there is no public key at {what}"),
            hint: Some(
                "make one with `ssh-keygen -t ed25519`, name another with --ssh-key FILE, or say --no-ssh-key".into(),
            ),
        });
    };
    let text =
        std::fs::read_to_string(found).map_err(|e| Error::value("--ssh-key", format!("{}: {e}", found.display())))?;
    let key = fleet::sshkey::read_public(&text)
        .map_err(|reason| Error::value("--ssh-key", format!("{}: {reason}", found.display())))?;
    let private = named.map(|_| found.with_extension(""));
    Ok((key, private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_decodes_to_the_script_and_has_no_long_line() {
        let script = "#!/bin/sh\n\techo \"it's ü\"\n".repeat(40);
        let text = pasted(&script);
        assert!(text.lines().all(|line| line.len() <= LINE) && !text.contains('\t'));
        let coded: String = text.lines().filter(|line| !line.contains("WG_FRIEND")).collect();
        assert_eq!(STANDARD.decode(coded).unwrap(), script.as_bytes());
    }

    #[test]
    fn an_ipv6_address_is_a_hop_in_brackets() {
        let hops = ["root@2001:db8::1", "[2001:db8::1]:22", "hub", "me@hub:2222"];
        let read: Vec<String> = hops.iter().map(|text| hop(&text.parse().unwrap())).collect();
        assert_eq!(read, ["root@[2001:db8::1]", "[2001:db8::1]:22", "hub", "me@hub:2222"]);
    }

    #[test]
    fn without_any_ssh_key_the_ways_out_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = operators_key(None, Some(directory.path())).unwrap_err();
        assert!(error.hint().unwrap().contains("--no-ssh-key"));
        std::fs::create_dir(directory.path().join(".ssh")).unwrap();
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKb0bXBnbGVrZXlleGFtcGxla2V5ZXhhbXBsZWtleTEy me@here\n";
        std::fs::write(directory.path().join(".ssh/id_ed25519.pub"), line).unwrap();
        let (key, file) = operators_key(None, Some(directory.path())).unwrap();
        assert_eq!((key.name.as_str(), file), ("me@here", None));
        let named = directory.path().join(".ssh/id_ed25519");
        assert_eq!(operators_key(Some(&named), None).unwrap().1, Some(named));
    }
}
