//! What keeps the network's secrets and its history safe.

pub mod audit;
pub mod unlock;
pub mod vault;
