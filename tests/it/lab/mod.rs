//! The program on real hosts: real SSH, real handshakes, real packets.

mod adopt;
mod can;
mod drift;
mod hooks;
mod hosts;
mod lockout;
mod office;
mod reach;
mod rollback;
mod secrets;
mod tampered;
mod vm;
mod zero_loss;
