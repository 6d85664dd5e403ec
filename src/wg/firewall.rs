//! What one interface's nftables table says: data, filled into `templates/firewall.nft` by `render`.

use serde::{Deserialize, Serialize};

/// One interface's nftables table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {}
