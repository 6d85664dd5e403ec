//! From a topology to interfaces, files and rulesets.

use divan::{Bencher, black_box};
use wg_friend::wg::compile::{check, compile};
use wg_friend::wg::{NodeConfig, config, firewall};

use crate::SIZES;
use crate::network::{self, secrets, topology};

/// Every node's configuration.
#[divan::bench(args = SIZES)]
fn whole_network(bencher: Bencher<'_, '_>, size: usize) {
    let topology = topology(size);
    bencher.bench_local(|| compile(black_box(&topology)));
}

/// The same with three servers.
#[divan::bench(args = SIZES)]
fn three_servers(bencher: Bencher<'_, '_>, size: usize) {
    let topology = network::three_servers(size);
    assert!(compile(&topology).is_ok(), "the network is in order");
    bencher.bench_local(|| compile(black_box(&topology)));
}

/// Finding out that nothing is wrong.
#[divan::bench(args = SIZES)]
fn checks(bencher: Bencher<'_, '_>, size: usize) {
    let topology = topology(size);
    bencher.bench_local(|| check(black_box(&topology)));
}

/// The server's wg-quick files and ruleset.
#[divan::bench(args = SIZES)]
fn server_files(bencher: Bencher<'_, '_>, size: usize) {
    let topology = topology(size);
    let (nodes, secrets) = (compiled(size), secrets(&topology));
    bencher.bench_local(|| config::files(black_box(&nodes[0]), &secrets));
}

/// The files of every node.
#[divan::bench(args = SIZES)]
fn all_files(bencher: Bencher<'_, '_>, size: usize) {
    let topology = topology(size);
    let (nodes, secrets) = (compiled(size), secrets(&topology));
    let files = || nodes.iter().map(|node| config::files(node, &secrets).len()).sum::<usize>();
    bencher.bench_local(files);
}

/// The server's ruleset.
#[divan::bench(args = SIZES)]
fn server_ruleset(bencher: Bencher<'_, '_>, size: usize) {
    let nodes = compiled(size);
    let firewall = nodes[0].interfaces[0].firewall.as_ref().expect("a server has one");
    bencher.bench_local(|| firewall::ruleset(black_box(firewall)));
}

fn compiled(size: usize) -> Vec<NodeConfig> {
    compile(&topology(size)).expect("the network is in order")
}
