//! Adopting networks that run already.

pub mod foreign;
