//! Proving on hosts what the model says about who reaches whom.

pub mod live;
