//! Deploys what no correct model would compile to, to see that a host survives it.
//!
//! The program itself has no way to do that, so the test binary runs itself once more inside the controller, where hosts
//! can be reached, and uses the library with a plan it has spoilt.

use std::process::Command;

use wg_friend::db::{Database, Passphrase};
use wg_friend::fleet::RealFleet;
use wg_friend::model::{Actor, Cidr, InterfaceAddr, NodeId, Port, PrivateKey, Secrets, Source};
use wg_friend::ops::clock::System;
use wg_friend::ops::deploy::{HostPlan, Options, Outcome, Silent, deploy as carry_out, diff, plan};
use wg_friend::wg::{NodeConfig, config};
use wg_friend_lab::{Lab, Output};

use super::family::{addressed, variables};
use super::office::Admin;

const FAULT: &str = "WG_FRIEND_TEST_FAULT";
const TIMEOUT: &str = "WG_FRIEND_TEST_TIMEOUT";

/// Runs a deploy to host `a` with something bad in it, inside the controller. Prints `OUTCOME` and what it came to.
pub(super) fn deploy(lab: &Lab, admin: &Admin<'_>, fault: &str, timeout: u64) -> Output {
    let here = std::env::current_exe().unwrap();
    let arguments = ["--exact", "lab::tampered::in_the_controller", "--nocapture"];
    let mut command = lab.command("ctl", here.to_str().unwrap(), &arguments);
    copy_environment(&admin.command(&[]), &mut command);
    command.env(FAULT, fault).env(TIMEOUT, timeout.to_string());
    command.envs(variables().iter().filter_map(|variable| variable.split_once('=')));
    Output::of(&mut command).unwrap()
}

fn copy_environment(from: &Command, to: &mut Command) {
    to.env_clear();
    for (name, value) in from.get_envs() {
        if let Some(value) = value {
            to.env(name, value);
        }
    }
}

/// Not a test of its own: the part that [`deploy`] runs inside the controller. Elsewhere there is nothing to do.
#[test]
fn in_the_controller() {
    let Ok(fault) = std::env::var(FAULT) else { return };
    let database = Database::open(std::env::var("WG_FRIEND_DB").unwrap().as_ref()).unwrap();
    let passphrase = Passphrase::new(std::env::var("WG_FRIEND_PASSPHRASE").unwrap());
    let actor = Actor { operator: "test".to_owned(), address: None, source: Source::Cli };
    let clock = System;
    let now = wg_friend::ops::clock::Clock::now(&clock);
    let mut store = database.unlock(&passphrase, &actor, now).unwrap();
    let fleet = RealFleet::new().unwrap();
    let mut plan = plan(&mut store, &fleet, &clock, &actor, &[], 4, &Silent).unwrap();
    let mut secrets = store.secrets().unwrap();
    spoil(&fault, plan.hosts.iter_mut().find(|h| h.host.name.as_str() == "a").unwrap(), &mut secrets);
    let options = options(std::env::var(TIMEOUT).unwrap().parse().unwrap());
    let plan = plan.with_secrets(secrets);
    for outcome in carry_out(&mut store, &fleet, &clock, &actor, plan, &options, &Silent).unwrap() {
        match outcome.outcome {
            Outcome::Reverted { reason, clean } => println!("OUTCOME reverted clean={clean}: {reason}"),
            Outcome::Failed { reason, .. } => println!("OUTCOME failed: {reason}"),
            other => println!("OUTCOME {other:?}"),
        }
    }
}

/// How a test deploys with the library.
pub(super) fn options(confirm_within: u64) -> Options {
    Options {
        confirm_within,
        parallel: 4,
        keep_versions: std::num::NonZeroU32::MIN,
        ..Options::new("a test".to_owned())
    }
}

/// Makes a good plan a bad one.
fn spoil(fault: &str, host: &mut HostPlan, secrets: &mut Secrets) {
    let mut rewrite = true;
    {
        let interface = &mut host.desired.interfaces[0];
        match fault {
            "default-route" => {
                let peer = &mut interface.peers[0];
                peer.allowed_ips = vec![Cidr::ALL4, Cidr::ALL6];
            }
            "wrong-key" => {
                let key = PrivateKey::from_random([7; 32]);
                interface.public_key = key.public();
                secrets.private.insert(interface.id, key);
            }
            "wrong-port" => interface.listen_port = Port::new(40_000),
            "file-with-another-key" => {
                secrets.private.insert(interface.id, PrivateKey::from_random([7; 32]));
            }
            _ => rewrite = false,
        }
    }
    if rewrite {
        let node =
            NodeConfig { node: NodeId(1), name: host.host.name.clone(), interfaces: host.desired.interfaces.clone() };
        for file in config::files(&node, secrets) {
            host.desired.files.insert(file.path, file.content);
        }
    }
    let rules = host.desired.files.get_mut("wgf-wg0.nft").unwrap();
    match fault {
        "drop-ssh" => rules.push_str(
            "table inet wgf_wg0 { chain bad { type filter hook input priority -300; tcp dport 22 drop; }; }\n",
        ),
        "broken-rules" => rules.push_str("table inet wgf_wg0 { chain bad { nonsense } }\n"),
        "file-with-a-peer-less" => {
            let file = host.desired.files.get_mut("wg0.conf").unwrap();
            let last = file.rfind("[Peer]").unwrap();
            file.truncate(last);
        }
        "empty-file" => host.desired.files.get_mut("wg0.conf").unwrap().clear(),
        "changed-meanwhile" => {
            let address: InterfaceAddr = addressed("10.66.0.77/32").parse().unwrap();
            let line = format!("ssh a ip addr add {address} dev wg0");
            assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        }
        _ => {}
    }
    if let Some(deployed) = &mut host.deployed {
        deployed.tables.clear(); // so that the rules are loaded again
    }
    let seen = host.seen.as_mut().unwrap();
    seen.changes = diff(&host.desired, secrets, host.deployed.as_ref(), &seen.observed);
}
