//! What an interface's hooks say about its node's role.

use crate::model::InterfaceName;
use crate::wg::hooks::patterns::Pattern;
use crate::wg::hooks::understand;

use super::View;

/// What a node does beyond WireGuard, as far as its hooks tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Duties {
    /// Whether it forwards packets between interfaces.
    pub(super) forwards: bool,
    /// Whether it gives packets from the tunnel an address of its own.
    pub(super) nat: bool,
    /// The interface towards its LANs or the internet.
    pub(super) outer: Option<InterfaceName>,
    /// Whether a hook loads the private key.
    pub(super) loads_key: bool,
}

/// Returns what a view's hooks do.
pub(super) fn of(view: &View) -> Duties {
    if view.tunnel.hooks.is_empty() {
        return Duties::default();
    }
    let name = view.interface.clone().unwrap_or_else(|| "wg0".parse().expect("it is the name of an interface"));
    let understood = understand(&view.tunnel.hooks, &name);
    let forwarding = understood.of(&[Pattern::EnableIpForwarding]).next().is_some();
    let (wans, lans) = (understood.wans(), understood.lans());
    let outer = wans.iter().chain(&lans).find_map(|name| name.parse().ok());
    Duties {
        forwards: forwarding || understood.forwards(),
        nat: understood.translates(),
        outer,
        loads_key: understood.key_files().next().is_some(),
    }
}
