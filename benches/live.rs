//! Reading what a server says, and comparing it with what it should be.

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use wg_friend::fleet::{Answer, Observed, Question, read_observation};
use wg_friend::model::{Cidr, Name, Secrets, Topology};
use wg_friend::ops::deploy::desired::Desired;
use wg_friend::ops::deploy::diff;
use wg_friend::wg::compile::compile;
use wg_friend::wg::{InterfaceConfig, dump};

use crate::SIZES;
use crate::network::{name, secrets, topology};

/// `wg show all dump` of a server.
#[divan::bench(args = SIZES)]
fn read_dump(bencher: Bencher<'_, '_>, size: usize) {
    let (desired, secrets) = desired(size);
    let text = dumped(&desired, &secrets);
    bencher.bench_local(|| dump::parse(black_box(&text)));
}

/// A server that is as it should be, apart from its files and addresses.
#[divan::bench(args = SIZES)]
fn difference(bencher: Bencher<'_, '_>, size: usize) {
    let (desired, secrets) = desired(size);
    let observed = observed(&dumped(&desired, &secrets));
    bencher.bench_local(|| diff(black_box(&desired), &secrets, None, &observed));
}

fn desired(size: usize) -> (Desired, Secrets) {
    let mut topology: Topology = topology(size);
    let host: Name = name(1);
    topology.nodes[0].host = Some(host.clone());
    let secrets = secrets(&topology);
    let compiled = compile(&topology).expect("the network is in order");
    (Desired::of(&host, &topology, &compiled, &secrets), secrets)
}

/// What wg(8) would print.
fn dumped(desired: &Desired, secrets: &Secrets) -> String {
    let mut text = String::new();
    for interface in &desired.interfaces {
        one(&mut text, interface, secrets).expect("writing to a string can't fail");
    }
    text
}

fn one(text: &mut String, interface: &InterfaceConfig, secrets: &Secrets) -> std::fmt::Result {
    let name = &interface.name;
    let port = interface.listen_port.map_or(0, |port| port.get());
    writeln!(text, "{name}\t(none)\t{}\t{port}\toff", interface.public_key)?;
    for peer in &interface.peers {
        let shared = secrets.preshared.get(&peer.link).map(|key| key.expose_base64());
        let shared = shared.as_ref().map_or("(none)", |key| key.as_str());
        let allowed = peer.allowed_ips.iter().map(Cidr::to_string).collect::<Vec<_>>().join(",");
        let fields = format!("203.0.113.7:51820\t{allowed}\t1700000000\t123456789\t987654321\toff");
        writeln!(text, "{name}\t{}\t{shared}\t{fields}", peer.public_key)?;
    }
    Ok(())
}

fn observed(dump: &str) -> Observed {
    let digest = "0".repeat(64);
    let text = format!(
        "\n@x system\nhostname hub\nuptime 1\nclock 1700000060\n\n@x dump\n{dump}\n\n@x fingerprint {digest}\n\n@x end\n"
    );
    let answer = Answer::parse(text.as_bytes(), "x").expect("it has an end");
    read_observation(&answer, &Question::default()).expect("it has what it needs")
}
