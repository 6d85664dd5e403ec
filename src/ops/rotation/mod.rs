//! Other keys for nodes: when they are due, and how they come into force without an outage.
//!
//! A rotation has four steps, and every one of them leaves both keys good or is complete by itself:
//!
//! 1. The next key is made and staged ([`crate::ops::network::rotate`]): the model has both.
//! 2. A deploy brings it to the hosts that the node is a peer of. Each has a second peer then and awaits it
//!    ([`crate::wg::handover`]).
//! 3. The node uses it: its host after those, in the same deploy; a device as soon as somebody gave it the new file. What
//!    the present key carried follows by itself, whoever watches or doesn't.
//! 4. The next look at the hosts finds it in use ([`settle`]): it is the present key now, the one before is retired, and a
//!    deploy removes what is left of it: the same one, where it has brought the key into use itself (`complete`).
//!
//! A node that devices dial goes by both keys for as long as it takes until all of them have their new files ([`overlap`]): its
//! host's turn, in the third step, comes after that.
//!
//! Up to the third step the next key can be withdrawn ([`withdraw`]).

pub(in crate::ops) mod complete;
pub mod overlap;
pub mod policy;
pub(in crate::ops) mod ready;
pub mod settle;
pub mod status;
pub mod withdraw;
