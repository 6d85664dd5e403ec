//! The program on real hosts: real SSH, real handshakes, real packets.

mod adopt;
mod by_hand;
mod can;
mod drift;
mod edits;
mod hooks;
mod hosts;
mod lockout;
mod office;
mod reach;
mod rollback;
mod secrets;
mod sequence;
mod tampered;
mod vm;
mod zero_loss;
