//! Making a new network, with its database.

use std::path::{Path, PathBuf};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

use super::add::{self, NewNodes};
use super::change::Mode;
use super::view::NodeView;
use crate::db::{Database, KdfParams, Passphrase, RecoveryKey, Store};
use crate::model::{Actor, Network};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// A new network.
#[derive(Debug)]
pub struct Request {
    /// Address plan and defaults.
    pub network: Network,
    /// Its server, when it is added at once.
    pub server: Option<NewNodes>,
    /// How its secrets are kept.
    pub protection: Protection,
}

/// How the secrets of a new database are kept.
#[derive(Debug)]
pub enum Protection {
    /// Encrypted.
    Passphrase {
        /// What unlocks it.
        passphrase: Passphrase,
        /// The cost of trying a passphrase.
        cost: KdfParams,
    },
    /// For whoever has the file: there is nothing to unlock, and no recovery key.
    None,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Where the database is.
    pub database: PathBuf,
    /// Address plan and defaults.
    pub network: Network,
    /// The server, if one was added.
    pub server: Option<NodeView>,
    /// Whether its secrets are encrypted.
    pub encrypted: bool,
}

/// Makes a database with one network, and its server if one is given. Returns the recovery key, to be shown once, if it is
/// encrypted.
///
/// If the server can't be added, there is no database afterwards either.
pub fn init(
    path: &Path,
    request: Request,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(Made, Option<RecoveryKey>), Error> {
    let encrypted = matches!(request.protection, Protection::Passphrase { .. });
    let mut made = Made { database: path.to_owned(), network: request.network.clone(), server: None, encrypted };
    let Request { network, server, protection } = request;
    let request = Request { network, server: None, protection };
    let (server, recovery) = fill(path, request, actor, clock, |store| {
        let outcome = server.map(|server| add::add(store, clock, actor, server, Mode::Save)).transpose()?;
        Ok(outcome.and_then(|outcome| outcome.nodes.into_iter().next()))
    })?;
    made.server = server;
    Ok((made, recovery))
}

/// Makes a database with one network and fills it. Returns the recovery key, to be shown once, if it is encrypted.
///
/// If it can't be filled, there is no database afterwards either.
pub fn fill<T>(
    path: &Path,
    request: Request,
    actor: &Actor,
    clock: &dyn Clock,
    work: impl FnOnce(&mut Store) -> Result<T, Error>,
) -> Result<(T, Option<RecoveryKey>), Error> {
    let Request { network, protection, .. } = request;
    if network.prefixes().next().is_none() {
        return Err(Error::value("--cidr", "a network needs an IPv4 or an IPv6 prefix"));
    }
    let (mut store, recovery) = match protection {
        Protection::Passphrase { passphrase, cost } => {
            let (store, recovery) = Database::create(path, &passphrase, cost, &network, actor, clock.now())?;
            (store, Some(recovery))
        }
        Protection::None => (Database::create_unencrypted(path, &network, actor, clock.now())?, None),
    };
    match work(&mut store) {
        Ok(done) => Ok((done, recovery)),
        Err(error) => {
            drop(store);
            discard(path);
            Err(error)
        }
    }
}

/// Removes a database that was made a moment ago.
fn discard(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let _ = std::fs::remove_file(file); // what stays is an empty network, which harms nobody
    }
}

/// Makes a /64 of a random unique local /48 (RFC 4193 section 3.2.2).
pub fn random_prefix6() -> Result<Ipv6Net, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes[1..6]).map_err(Error::Random)?;
    bytes[0] = 0xfd;
    Ok(Ipv6Net::new(bytes.into(), 64).expect("64 is a prefix length"))
}

/// The IPv4 prefix of a network that asks for nothing else.
pub const DEFAULT_CIDR: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 66, 0, 0), 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_prefixes_are_unique_local_and_differ() {
        let (one, other) = (random_prefix6().unwrap(), random_prefix6().unwrap());
        assert_ne!(one, other);
        for prefix in [one, other] {
            assert_eq!((prefix.prefix_len(), prefix.addr().octets()[0], prefix.trunc()), (64, 0xfd, prefix));
            assert_eq!(prefix.addr().segments()[3], 0);
        }
    }
}
