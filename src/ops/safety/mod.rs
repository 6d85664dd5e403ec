//! What keeps the network's secrets and its history safe.

pub mod audit;
pub mod backup;
pub mod handover;
pub mod unlock;
pub mod vault;
