//! One pass over the bytes: the digest that names a blob, and a hash per block for verified reads.

use sha2::{Digest as _, Sha256};
use waybill_proof::Digest;

/// Bytes per block: a `Range` read verifies whole blocks.
pub const BLOCK_BYTES: u64 = 4 << 20;
/// Bytes per block hash.
pub const HASH_BYTES: usize = 32;

/// Blocks are hashed with BLAKE3: at four times the speed of SHA-256 it costs an upload little
/// beside the digest, and lets a verified read keep up with the disk.
pub struct BlobHasher {
    whole: Sha256,
    block: blake3::Hasher,
    in_block: u64,
    blocks: Vec<u8>,
    size_bytes: u64,
}

/// What a pass found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    pub digest: Digest,
    pub size_bytes: u64,
    pub blocks: Blocks,
}

impl BlobHasher {
    pub fn new() -> Self {
        Self {
            whole: Sha256::new(),
            block: blake3::Hasher::new(),
            in_block: 0,
            blocks: Vec::new(),
            size_bytes: 0,
        }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        self.size_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = (BLOCK_BYTES - self.in_block) as usize;
            let (head, tail) = bytes.split_at(room.min(bytes.len()));
            self.block.update(head);
            self.in_block += head.len() as u64;
            bytes = tail;
            if self.in_block == BLOCK_BYTES {
                self.end_block();
            }
        }
    }

    pub fn finish(mut self) -> Hashed {
        if self.in_block > 0 {
            self.end_block();
        }
        Hashed {
            digest: Digest::from_bytes(self.whole.finalize().into()),
            size_bytes: self.size_bytes,
            blocks: Blocks(self.blocks),
        }
    }

    fn end_block(&mut self) {
        self.blocks.extend_from_slice(self.block.finalize().as_bytes());
        self.block.reset();
        self.in_block = 0;
    }
}

/// The hashes of a blob's blocks, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Blocks(Vec<u8>);

impl Blocks {
    /// Takes stored hashes back; `None` when their number does not fit a blob of `size_bytes`.
    pub fn from_stored(bytes: Vec<u8>, size_bytes: u64) -> Option<Self> {
        let expected = size_bytes.div_ceil(BLOCK_BYTES) as usize * HASH_BYTES;
        (bytes.len() == expected).then_some(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `hash` is that of block `index`.
    pub fn matches(&self, index: u64, hash: &blake3::Hash) -> bool {
        let start = index as usize * HASH_BYTES;
        self.0.get(start..start + HASH_BYTES).is_some_and(|stored| stored == hash.as_bytes())
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blocks({})", self.0.len() / HASH_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash_in_pieces(bytes: &[u8], cuts: &[usize]) -> Hashed {
        let mut hasher = BlobHasher::new();
        let mut rest = bytes;
        for cut in cuts {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            hasher.update(head);
            rest = tail;
        }
        hasher.update(rest);
        hasher.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_do_not_matter(len in 0usize..9 << 20, cuts in prop::collection::vec(1usize..5 << 20, 0..6)) {
            let bytes: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            let hashed = hash_in_pieces(&bytes, &cuts);
            prop_assert_eq!(hashed.digest, Digest::of(&bytes));
            prop_assert_eq!(hashed.size_bytes, len as u64);
            for (i, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
                prop_assert!(hashed.blocks.matches(i as u64, &blake3::hash(block)));
            }
            let stored = Blocks::from_stored(hashed.blocks.as_bytes().to_vec(), len as u64);
            prop_assert_eq!(stored, Some(hashed.blocks));
        }
    }

    #[test]
    fn stored_hashes_must_fit_the_size() {
        assert!(Blocks::from_stored(vec![0; HASH_BYTES], BLOCK_BYTES).is_some());
        assert!(Blocks::from_stored(vec![0; HASH_BYTES], BLOCK_BYTES + 1).is_none());
        assert!(Blocks::from_stored(vec![], 0).is_some());
        assert!(Blocks::from_stored(vec![0; 5], 5).is_none());
    }
}
