//! One interface of a host: what it is, switching it on and off, taking it away, its key.

pub mod find;
pub mod history;
pub mod key;
pub mod show;
pub mod switch;

pub use find::Target;
