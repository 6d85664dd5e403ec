//! What grows with the network: `cargo bench` measures it at 10, 100, 1,000 and 10,000 nodes.
//!
//! Every figure comes with the memory that was allocated for it; `max alloc` is the peak.

mod audit;
mod backup;
mod compile;
mod live;
mod network;
mod screens;
mod store;
mod wgquick;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

/// How many nodes.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn main() {
    divan::main();
}
