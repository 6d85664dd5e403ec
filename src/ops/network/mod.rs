//! The nodes of a network and what they are told to be.

pub mod add;
pub mod addresses;
mod adopted;
pub mod can;
pub mod change;
mod custody;
pub mod defaults;
pub mod difference;
pub mod edit;
pub mod export;
pub mod find;
pub mod generate;
pub mod grant;
pub mod group;
pub mod guide;
pub mod history;
pub mod hooks;
pub mod init;
pub mod interface;
pub mod link;
pub mod networks;
mod place;
pub(in crate::ops) mod private_file;
pub mod qr;
mod readdress;
pub mod remove;
pub mod rollback;
pub mod rotate;
pub mod setting;
pub mod shared_host;
pub(in crate::ops) mod uplinks;
pub mod view;

#[cfg(test)]
mod handed_out;
