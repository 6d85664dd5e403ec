//! A wg-quick file with many peers: read, understood, brought to a change, printed.

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use wg_friend::model::{InterfaceId, PublicKey, Secrets};
use wg_friend::wg::compile::compile;
use wg_friend::wg::config::{Document, Keys, Mode, bring};
use wg_friend::wg::{InterfaceConfig, NodeConfig};

use crate::SIZES;
use crate::network::topology;

/// A file as people keep them: a comment, a key, two prefixes and an endpoint for each peer.
fn file(peers: usize) -> String {
    let mut text = String::from("# hub\n[Interface]\nAddress = 10.0.0.1/8\nListenPort = 51820\n");
    for number in 1..=peers {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let (high, low) = (number / 250, number % 250 + 2);
        write!(
            text,
            "\n# peer-{number} since May\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.1.{high}.{low}/32, fd00::{number:x}/128\n\
             Endpoint = 203.0.113.7:51820 # behind NAT\nPersistentKeepalive = 25\n",
            PublicKey::from_bytes(key)
        )
        .expect("writing to a string can't fail");
    }
    text
}

/// From text to tree.
#[divan::bench(args = SIZES)]
fn parse(bencher: Bencher<'_, '_>, peers: usize) {
    let text = file(peers);
    bencher.bench_local(|| Document::parse(black_box(&text)));
}

/// From tree to text.
#[divan::bench(args = SIZES)]
fn print(bencher: Bencher<'_, '_>, peers: usize) {
    let document = Document::parse(&file(peers));
    bencher.bench_local(|| black_box(&document).print());
}

/// From tree to meaning.
#[divan::bench(args = SIZES)]
fn read(bencher: Bencher<'_, '_>, peers: usize) {
    let document = Document::parse(&file(peers));
    bencher.bench_local(|| black_box(&document).read(Mode::Keep));
}

/// Which comment belongs to what.
#[divan::bench(args = SIZES)]
fn comments(bencher: Bencher<'_, '_>, peers: usize) {
    let document = Document::parse(&file(peers));
    bencher.bench_local(|| black_box(&document).comments());
}

/// The text with every peer replaced by those of a network of the same size.
#[divan::bench(args = SIZES)]
fn replace_all(bencher: Bencher<'_, '_>, peers: usize) {
    let (text, (node, interface)) = (file(peers), hub(peers));
    let secrets = Secrets::default();
    bencher.bench_local(|| bring(black_box(&text), &node, &interface, Keys::Shown(&secrets)));
}

/// The text of a network's server, in which nothing is to change.
#[divan::bench(args = SIZES)]
fn leave_alone(bencher: Bencher<'_, '_>, peers: usize) {
    let (node, interface) = hub(peers);
    let secrets = Secrets::default();
    let text = bring("[Interface]\n", &node, &interface, Keys::Shown(&secrets));
    bencher.bench_local(|| bring(black_box(&text), &node, &interface, Keys::Shown(&secrets)));
}

/// A server's main interface without what the kernel needs around it.
fn hub(peers: usize) -> (NodeConfig, InterfaceConfig) {
    let node = compile(&topology(peers)).expect("the network is in order").swap_remove(0);
    let mut interface = node.interfaces[0].clone();
    assert_eq!(interface.id, InterfaceId(1));
    (interface.firewall, interface.sysctls, interface.routes) = (None, Vec::new(), Vec::new());
    interface.rules = Vec::new();
    (node, interface)
}
