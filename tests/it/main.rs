//! Tests through the real program: one binary, so that the world is linked once.

mod architecture;
mod cli;
mod docs;
mod env;
mod export;
mod fuzz;
mod hooks;
mod lab;
mod moments;
mod secrets;
mod terminal;
mod tui;
