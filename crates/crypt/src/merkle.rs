//! Merkle trees as RFC 6962, section 2.1 hashes them: `leaf = SHA-256(0x00 ‖ data)`, `node = SHA-256(0x01 ‖ left ‖ right)`.
//!
//! - [`Frontier`] is as much of a tree as it takes to go on growing: at most 64 hashes, whatever its size.
//! - [`Tree`] is the whole of it, for proofs.
//! - [`includes`] and [`extends`] check proofs, and know nothing but hashes.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Returns the hash of a leaf.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(data).finalize().into()
}

/// Returns the hash of a node over its two children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Returns the root of a tree without leaves.
pub fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// The roots of the complete subtrees that a tree consists of, the largest first: one for each bit that is set in its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Puts together what [`Frontier::size`] and [`Frontier::peaks`] said. `None` if they don't belong together.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Adds a leaf, by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each complete subtree of the same height as the new one joins it, as digits carry.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Returns how many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of its complete subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        self.peaks.iter().copied().rev().reduce(|right, left| node(&left, &right)).unwrap_or_else(empty)
    }
}

/// A tree with every complete node in it, so that any proof costs the square of its height.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Hashes of complete subtrees of 1, 2, 4, ... leaves.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Builds the tree over the hashes of its leaves.
    pub fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// Returns how many leaves it has.
    pub fn size(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Returns the root that the tree had when it had `size` leaves. `None` if it never had that many.
    pub fn root(&self, size: usize) -> Option<Hash> {
        (size <= self.size()).then(|| if size == 0 { empty() } else { self.range(0, size) })
    }

    /// Returns the proof that leaf `index`, counted from 0, is in the tree of the first `size` leaves: RFC 6962, 2.1.1.
    /// `None` if it isn't.
    pub fn inclusion(&self, index: usize, size: usize) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut from, mut to) = (0, size);
        let mut path = Vec::new();
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(self.range(middle, to));
                to = middle;
            } else {
                path.push(self.range(from, middle));
                from = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Returns the proof that the tree of the first `from` leaves is the beginning of that of the first `to`: RFC 6962,
    /// 2.1.2. `None` unless 0 < `from` ≤ `to` ≤ size.
    pub fn consistency(&self, from: usize, to: usize) -> Option<Vec<Hash>> {
        if from == 0 || from > to || to > self.size() {
            return None;
        }
        let (mut start, mut end, mut whole) = (0, to, true);
        let mut path = Vec::new();
        while from < end {
            let middle = start + split(end - start);
            if from <= middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                (start, whole) = (middle, false);
            }
        }
        if !whole {
            path.push(self.range(start, end));
        }
        path.reverse();
        Some(path)
    }

    /// Returns the root of the subtree over the leaves from `from` to before `to`, which begins where one may begin.
    fn range(&self, from: usize, to: usize) -> Hash {
        let size = to - from;
        if size.is_power_of_two() {
            return self.levels[size.trailing_zeros() as usize][from / size];
        }
        let middle = from + split(size);
        node(&self.range(from, middle), &self.range(middle, to))
    }
}

/// Returns the largest power of two below `size`, which is above 1: how many leaves are on the left.
fn split(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

/// Whether `proof` shows that the leaf with this hash and number, counted from 0, is in the tree of this size and root:
/// RFC 9162, 2.1.3.2.
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = node(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the smaller tree is the beginning of the larger one: RFC 9162, 2.1.4.2. Each tree is given by
/// its size and root. Everything goes on from a tree without leaves.
pub fn extends(smaller: (u64, &Hash), larger: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((from, old), (to, new)) = (smaller, larger);
    if from == 0 {
        return proof.is_empty() && *old == empty();
    }
    if from >= to {
        return from == to && proof.is_empty() && old == new;
    }
    // A smaller tree that is complete is itself the first part of the proof.
    let mut path = proof.iter();
    let first = if from.is_power_of_two() { Some(old) } else { path.next() };
    let Some(first) = first else { return false };
    let shift = (from - 1).trailing_ones();
    let (mut at, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut low, mut high) = (*first, *first);
    for hash in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            low = node(hash, &low);
            high = node(hash, &high);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            high = node(&high, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && low == *old && high == *new
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(size: usize) -> Vec<Hash> {
        (0..size).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// MTH(D[n]), word by word.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&mth(left), &mth(right))
            }
        }
    }

    /// PATH(m, D[n]), word by word.
    fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        if m < k { [path(m, left), vec![mth(right)]].concat() } else { [path(m - k, right), vec![mth(left)]].concat() }
    }

    /// SUBPROOF(m, D[n], b), word by word.
    fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![mth(leaves)] };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        if m <= k {
            [subproof(m, left, whole), vec![mth(right)]].concat()
        } else {
            [subproof(m - k, right, false), vec![mth(left)]].concat()
        }
    }

    fn frontier(leaves: &[Hash]) -> Frontier {
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        frontier
    }

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hashes_are_those_of_certificate_transparency() {
        // The test vectors of the reference implementation: eight leaves, and the root after each of them.
        let data: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        assert_eq!(hex(empty()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let leaves: Vec<Hash> = data.iter().map(|data| leaf(data)).collect();
        assert_eq!(hex(leaves[0]), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(mth(&leaves)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn trees_of_every_small_size_are_as_the_rfc_defines_them() {
        let all = leaves(40);
        let tree = Tree::new(all.clone());
        for size in 0..=all.len() {
            let root = mth(&all[..size]);
            assert_eq!((tree.root(size), frontier(&all[..size]).root()), (Some(root), root), "{size}");
            for index in 0..size {
                let proof = tree.inclusion(index, size).unwrap();
                assert_eq!(proof, path(index, &all[..size]), "{index} in {size}");
                assert!(includes(&all[index], index as u64, size as u64, &proof, &root), "{index} in {size}");
            }
            for from in 1..=size {
                let proof = tree.consistency(from, size).unwrap();
                assert_eq!(proof, subproof(from, &all[..size], true), "{from} to {size}");
                let old = mth(&all[..from]);
                assert!(extends((from as u64, &old), (size as u64, &root), &proof), "{from} to {size}");
            }
        }
        assert_eq!((tree.root(41), tree.inclusion(3, 3), tree.inclusion(0, 41)), (None, None, None));
        assert_eq!((tree.consistency(0, 3), tree.consistency(4, 3), tree.consistency(3, 41)), (None, None, None));
        assert_eq!(Tree::new(Vec::new()).root(0), Some(empty()));
    }

    #[test]
    fn a_frontier_is_what_it_was_taken_apart_into() {
        for size in [0, 1, 2, 3, 1000, 1001] {
            let whole = frontier(&leaves(size));
            let parts = (whole.size(), whole.peaks().to_vec());
            assert_eq!(Frontier::from_parts(parts.0, parts.1.clone()), Some(whole));
            assert_eq!(Frontier::from_parts(parts.0, [parts.1, vec![[0; 32]]].concat()), None);
        }
    }

    #[test]
    fn everything_extends_an_empty_tree_and_each_tree_itself() {
        let root = mth(&leaves(5));
        assert!(extends((0, &empty()), (5, &root), &[]));
        assert!(!extends((0, &root), (5, &root), &[]));
        assert!(extends((5, &root), (5, &root), &[]));
        assert!(!extends((5, &root), (5, &empty()), &[]));
        assert!(!extends((5, &root), (4, &root), &[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn proofs_of_larger_trees_hold_and_nothing_else_does(
            size in prop_oneof![Just(1000_usize), Just(1001), 1..3000_usize],
            (at, earlier, flip) in any::<(prop::sample::Index, prop::sample::Index, prop::sample::Index)>(),
        ) {
            let all = leaves(size);
            let tree = Tree::new(all.clone());
            let (root, index, from) = (frontier(&all).root(), at.index(size), earlier.index(size) + 1);
            prop_assert_eq!(root, mth(&all));

            let proof = tree.inclusion(index, size).unwrap();
            prop_assert_eq!(&proof, &path(index, &all));
            let holds = |index: usize, proof: &[Hash]| includes(&all[index], index as u64, size as u64, proof, &root);
            prop_assert!(holds(index, &proof));
            prop_assert!(size == 1 || !includes(&all[index], ((index + 1) % size) as u64, size as u64, &proof, &root));
            prop_assert!(!includes(&root, index as u64, size as u64, &proof, &root) || size == 1);
            prop_assert!(!holds(index, &[&proof[..], &[root]].concat()));
            prop_assert!(proof.is_empty() || !holds(index, &proof[1..]));

            let old = mth(&all[..from]);
            let proof = tree.consistency(from, size).unwrap();
            prop_assert_eq!(&proof, &subproof(from, &all, true));
            let holds = |proof: &[Hash]| extends((from as u64, &old), (size as u64, &root), proof);
            prop_assert!(holds(&proof));
            prop_assert!(!holds(&[&proof[..], &[root]].concat()));
            if !proof.is_empty() {
                let mut wrong = proof.clone();
                wrong[flip.index(proof.len())][0] ^= 1;
                prop_assert!(!holds(&wrong));
                prop_assert!(!holds(&proof[1..]));
            }
        }
    }
}
