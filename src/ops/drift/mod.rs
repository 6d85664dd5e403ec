//! Drift: what of a host nobody deployed. Looking for it, living with it, taking it over, and how it went so far.
//!
//! [`items`] is pure: it names the part of a plan's differences that somebody made on the host. [`check()`] looks at hosts
//! and writes down what it finds; [`ack`] says what of it may stay; [`history`] looks back.

pub mod ack;
pub mod adopt;
mod check;
pub mod history;
mod hooks;
mod item;
mod newcomers;
mod refusal;
mod taking;
#[cfg(test)]
mod tests;

pub use check::{HostDrift, ItemView, Report, check, mark};
pub use item::{Found, items};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::Database;
use crate::model::Name;
use crate::ops::error::{Error, similar};

/// For so many days it is known what was found.
pub const KEPT_DAYS: i64 = 400;

fn kept_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(KEPT_DAYS)
}

/// Returns the name of a host that there is.
fn known(database: &Database, wanted: &str) -> Result<Name, Error> {
    let hosts = database.hosts()?;
    match hosts.iter().find(|host| host.name.as_str() == wanted) {
        Some(host) => Ok(host.name.clone()),
        None => {
            let similar = similar(wanted, hosts.iter().map(|host| &host.name));
            Err(Error::UnknownHost { name: wanted.to_owned(), similar })
        }
    }
}
