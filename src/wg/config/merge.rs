//! Changing a wg-quick file.

use zeroize::Zeroizing;

use super::{InterfaceConfig, Keys, NodeConfig};

/// Returns a wg-quick file changed so that it means what is wanted; lines whose meaning doesn't differ stay as they are.
pub fn bring(text: &str, _node: &NodeConfig, _interface: &InterfaceConfig, _keys: Keys<'_>) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}
