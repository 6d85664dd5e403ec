//! wg-friend.
fn main() {}
