//! The tree over all registrations, by whose root everyone can know that his own is in it.
//!
//! The tree and the proofs of RFC 9162 §2.1: a node's two children are joined under another prefix than a leaf, and the last
//! node of a level without a sibling rises unchanged, so that no two lists have the same root.
//!
//! **Invariants**: a proof that verifies was made for that leaf at that index among so many.
//! **Cost**: one hash a leaf. Of the lower levels nothing is kept: who asks for a proof brings the leaves of its block.
//! **Bound**: 64 bytes a block of 256 leaves.
//! **Not here**: what a leaf is made of (`registration`).

use std::ops::Range;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::{DIGEST, Digest, Hex, sha256};

/// Leaves under one kept node: a proof then costs 255 hashes besides those of the leaves, and the tree ¼ byte a leaf.
const BLOCK: usize = 256;

/// What stands before two children, so that no node is a leaf (RFC 9162 §2.1.1).
const NODE: u8 = 1;

/// Nodes of the longest proof: levels of a tree of 2³² leaves.
const LEVELS: usize = 32;

/// A tree that is still growing.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    block: Vec<Digest>,
    blocks: Vec<Digest>,
}

/// The tree over a list of leaves.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    leaves: usize,
    /// From the roots of the blocks up; of the last level there is one, unless there are no leaves.
    levels: Vec<Vec<Digest>>,
}

/// The nodes beside the way from a leaf to the root, from below. Written in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Vec<Digest>);

impl Growth {
    pub(super) fn push(&mut self, leaf: Digest) {
        self.block.push(leaf);
        if self.block.len() == BLOCK {
            self.seal();
        }
    }

    pub(super) fn finish(mut self) -> Tree {
        let leaves = self.blocks.len() * BLOCK + self.block.len();
        if !self.block.is_empty() {
            self.seal();
        }
        let mut levels = vec![self.blocks];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(joined(level));
        }
        Tree { leaves, levels }
    }

    fn seal(&mut self) {
        let mut level = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        while level.len() > 1 {
            level = joined(&level);
        }
        self.blocks.append(&mut level);
    }
}

impl Tree {
    /// The root; of no leaves, the digest of nothing.
    pub(super) fn root(&self) -> Digest {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_else(|| sha256(b""))
    }

    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    /// The leaves that [`Tree::proof`] wants for leaf `index`; [`None`] if there is no such leaf.
    pub(super) fn block(&self, index: usize) -> Option<Range<usize>> {
        let start = index - index % BLOCK;
        (index < self.leaves).then(|| start..self.leaves.min(start + BLOCK))
    }

    /// The proof for leaf `index`, given the leaves of its block; [`None`] if those are not the ones that the tree was made of.
    pub(super) fn proof(&self, index: usize, block: Vec<Digest>) -> Option<Proof> {
        if self.block(index)?.len() != block.len() {
            return None;
        }
        let mut beside = Vec::with_capacity(LEVELS);
        let mut level = block;
        let mut at = index % BLOCK;
        while level.len() > 1 {
            beside.extend(level.get(at ^ 1));
            level = joined(&level);
            at /= 2;
        }
        let mut at = index / BLOCK;
        if self.levels.first()?.get(at) != level.first() {
            return None;
        }
        for level in &self.levels {
            beside.extend(level.get(at ^ 1));
            at /= 2;
        }
        Some(Proof(beside))
    }
}

impl Proof {
    /// The root that this proof leads to from `leaf`, number `index` of `leaves`; [`None`] if it has not the shape for that
    /// (RFC 9162 §2.1.3.2).
    pub(super) fn root(&self, leaf: Digest, index: u32, leaves: u32) -> Option<Digest> {
        let (mut at, mut last) = (index, leaves.checked_sub(1)?);
        if at > last {
            return None;
        }
        let mut node = leaf;
        for beside in &self.0 {
            if last == 0 {
                return None;
            }
            if at % 2 == 1 || at == last {
                node = join(beside, &node);
                // Levels on which the last node had no sibling.
                while at % 2 == 0 && at != 0 {
                    (at, last) = (at / 2, last / 2);
                }
            } else {
                node = join(&node, beside);
            }
            (at, last) = (at / 2, last / 2);
        }
        (last == 0).then_some(node)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = from_base64url(text).filter(|bytes| bytes.len() <= LEVELS * DIGEST)?;
        let nodes = bytes.chunks(DIGEST).map(|node| <[u8; DIGEST]>::try_from(node).ok().map(Hex));
        nodes.collect::<Option<_>>().map(Self)
    }
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0.iter().flat_map(|node| node.0).collect::<Vec<_>>()))
    }
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(<&str>::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("not a path of digests in base64url"))
    }
}

/// The level above `level`.
fn joined(level: &[Digest]) -> Vec<Digest> {
    let above = level.chunks(2).filter_map(|pair| match pair {
        [left, right] => Some(join(left, right)),
        alone => alone.first().copied(),
    });
    above.collect()
}

fn join(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [NODE; 1 + 2 * DIGEST];
    bytes[1..=DIGEST].copy_from_slice(&left.0);
    bytes[1 + DIGEST..].copy_from_slice(&right.0);
    sha256(&bytes)
}

/// RFC 4648 §5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().zip([16, 8, 0]).fold(0, |bits, (byte, shift)| bits | usize::from(*byte) << shift);
        let digits = [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]));
        text.extend(digits.iter().take(group.len() + 1));
    }
    text
}

/// The bytes of `text`, which has one spelling: no padding, and no bits left over.
fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for (digit, shift) in group.iter().zip([18, 12, 6, 0]) {
            let value = ALPHABET.iter().position(|known| known == digit)?;
            bits |= u32::try_from(value).ok()? << shift;
        }
        let [_, whole @ ..] = bits.to_be_bytes();
        let (used, rest) = whole.split_at_checked(group.len() * 6 / 8)?;
        if used.is_empty() || rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend(used);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|leaf| sha256(&leaf.to_be_bytes())).collect()
    }

    fn tree(leaves: &[Digest]) -> Tree {
        let mut growth = Growth::default();
        for leaf in leaves {
            growth.push(*leaf);
        }
        growth.finish()
    }

    /// The definition of RFC 9162 §2.1.1, word for word.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                join(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_of_the_published_examples() {
        // The entries and roots that implementations of certificate transparency are tested with (RFC 6962).
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves = entries.map(|entry| sha256(&[&[0], entry].concat()));
        for (count, root) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(tree(&leaves[..count]).root().to_string(), root, "{count} leaves");
        }
    }

    #[test]
    fn blocks_change_no_root() {
        for count in [4, 5, 255, 256, 257, 511, 512, 513, 700, 1_025] {
            assert_eq!(tree(&leaves(count)).root(), by_definition(&leaves(count)), "{count} leaves");
        }
    }

    #[test]
    fn a_proof_holds_for_its_leaf_at_its_place_and_for_nothing_else() {
        for count in [1, 2, 3, 7, 8, 255, 256, 257, 600] {
            let leaves = leaves(count);
            let tree = tree(&leaves);
            let all = u32::try_from(count).unwrap();
            for index in (0..count).step_by(if count > 20 { 13 } else { 1 }).chain([count - 1]) {
                let block = tree.block(index).unwrap();
                let proof = tree.proof(index, leaves[block].to_vec()).unwrap();
                let at = u32::try_from(index).unwrap();
                let root = Some(tree.root());
                assert_eq!(proof.root(leaves[index], at, all), root, "{index} of {count}");
                assert_ne!(proof.root(sha256(b"x"), at, all), root);
                assert_ne!(proof.root(leaves[index], at ^ 1, all), root);
                assert_ne!(proof.root(leaves[index], at, all * 2), root, "of twice as many");
                for cut in 0..proof.0.len() {
                    let mut other = proof.clone();
                    other.0.remove(cut);
                    assert_ne!(other.root(leaves[index], at, all), root, "without node {cut}");
                    let mut other = proof.clone();
                    other.0[cut].0[31] ^= 1;
                    assert_ne!(other.root(leaves[index], at, all), root, "other node {cut}");
                }
                let json = serde_json::to_string(&proof).unwrap();
                assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
            }
            assert_eq!(tree.block(count), None);
        }
    }

    #[test]
    fn other_leaves_than_the_tree_s_give_no_proof() {
        let leaves = leaves(600);
        let tree = tree(&leaves);
        assert!(tree.proof(300, leaves[256..512].to_vec()).is_some());
        assert_eq!(tree.proof(300, leaves[0..256].to_vec()), None);
        assert_eq!(tree.proof(300, leaves[256..511].to_vec()), None);
        assert_eq!(tree.proof(600, leaves[512..].to_vec()), None);
    }

    #[test]
    fn base64url_has_one_spelling() {
        // RFC 4648 §10, without padding.
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")]
        {
            assert_eq!(base64url(bytes.as_bytes()), text);
            assert_eq!(from_base64url(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        for wrong in ["Zh", "Zm9", "Z", "Zm9vY", "Zg==", "Zm+v", "Zm 9"] {
            assert_eq!(from_base64url(wrong), None, "{wrong}");
        }
    }
}
