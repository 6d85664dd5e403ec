//! Which comment of a wg-quick file belongs to what.

use std::collections::HashMap;

use super::syntax::Document;

/// Returns the names that comments give to peers, by section.
pub(super) fn names(_document: &Document) -> HashMap<usize, String> {
    HashMap::new()
}
