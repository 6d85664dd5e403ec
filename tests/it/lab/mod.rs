//! The program on real hosts: real SSH, real handshakes, real packets.

mod adopt;
mod by_hand;
mod can;
mod drift;
mod edits;
mod effects;
mod fleet;
mod hooks;
mod hosts;
mod interface;
mod live_hooks;
mod lockout;
mod names;
mod office;
mod prepare;
mod reach;
mod revisions;
mod rollback;
mod secrets;
mod sequence;
mod tampered;
mod vm;
mod watch;
mod zero_loss;
