//! The program on real hosts: real SSH, real handshakes, real packets.

mod lockout;
mod office;
mod reach;
mod vm;
mod zero_loss;
mod tampered;
