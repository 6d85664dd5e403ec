//! The program on real hosts: real SSH, real handshakes, real packets.

mod adopt;
mod drift;
mod can;
mod hooks;
mod hosts;
mod lockout;
mod office;
mod reach;
mod secrets;
mod tampered;
mod vm;
mod zero_loss;
