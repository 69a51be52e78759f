//! Verified reads: no block leaves with its last byte unchecked.

use super::hash::{BLOCK_BYTES, Blocks};
use bytes::Bytes;
use std::ops::Range;

/// Bytes read and hashed per step. A reader holds about four steps in memory.
pub const CHUNK_BYTES: u64 = 512 << 10;

/// Takes a blob's bytes in order, whole blocks, and gives back those of the wanted range. The
/// last piece of each block is held back until the block's hash was checked.
pub struct Verifier {
    blocks: Blocks,
    size_bytes: u64,
    wanted: Range<u64>,
    position: u64,
    block: blake3::Hasher,
    held: Option<Bytes>,
}

/// A block whose bytes are not those that were uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBlock {
    pub index: u64,
}

impl Verifier {
    /// `wanted` lies inside the blob.
    pub fn new(blocks: Blocks, size_bytes: u64, wanted: Range<u64>) -> Self {
        let position = wanted.start / BLOCK_BYTES * BLOCK_BYTES;
        Self { blocks, size_bytes, wanted, position, block: blake3::Hasher::new(), held: None }
    }

    /// What must be read from the store: `wanted`, widened to whole blocks.
    pub fn span(&self) -> Range<u64> {
        let end = self.wanted.end.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES).min(self.size_bytes);
        let start = self.wanted.start / BLOCK_BYTES * BLOCK_BYTES;
        if self.wanted.is_empty() { start..start } else { start..end }
    }

    /// Where the next bytes begin and how many [`Verifier::take`] accepts; `None` at the end.
    pub fn next(&self) -> Option<(u64, usize)> {
        let left = self.span().end.checked_sub(self.position).filter(|left| *left > 0)?;
        let in_block = BLOCK_BYTES - self.position % BLOCK_BYTES;
        Some((self.position, left.min(in_block).min(CHUNK_BYTES) as usize))
    }

    /// Takes the next bytes, no more than [`Verifier::next`] said; what may be sent now.
    pub fn take(&mut self, bytes: &Bytes) -> Result<[Option<Bytes>; 2], BadBlock> {
        self.block.update(bytes);
        let start = self.position;
        self.position += bytes.len() as u64;
        let piece = self.wanted_part(start, bytes);
        if !self.position.is_multiple_of(BLOCK_BYTES) && self.position != self.size_bytes {
            return Ok(match piece {
                Some(piece) => [self.held.replace(piece), None],
                None => [None, None],
            });
        }
        let index = start / BLOCK_BYTES;
        let hash = self.block.finalize();
        self.block.reset();
        if !self.blocks.matches(index, &hash) {
            return Err(BadBlock { index });
        }
        Ok([self.held.take(), piece])
    }

    fn wanted_part(&self, start: u64, bytes: &Bytes) -> Option<Bytes> {
        let from = self.wanted.start.max(start);
        let to = self.wanted.end.min(start + bytes.len() as u64);
        (from < to).then(|| bytes.slice((from - start) as usize..(to - start) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::hash::BlobHasher;
    use proptest::prelude::*;

    fn blob(len: u64) -> (Bytes, Blocks) {
        let bytes: Vec<u8> = (0..len).map(|i| (i / 3 % 251) as u8).collect();
        let mut hasher = BlobHasher::new();
        hasher.update(&bytes);
        (bytes.into(), hasher.finish().blocks)
    }

    /// What a client gets, and whether the read ended well.
    fn read(stored: &Bytes, blocks: Blocks, wanted: Range<u64>) -> (Vec<u8>, Result<(), BadBlock>) {
        let mut verifier = Verifier::new(blocks, stored.len() as u64, wanted);
        let mut sent = Vec::new();
        while let Some((at, len)) = verifier.next() {
            match verifier.take(&stored.slice(at as usize..at as usize + len)) {
                Ok(pieces) => pieces.iter().flatten().for_each(|piece| sent.extend_from_slice(piece)),
                Err(bad) => return (sent, Err(bad)),
            }
        }
        (sent, Ok(()))
    }

    fn blob_and_range() -> impl Strategy<Value = (u64, Range<u64>)> {
        let near_block = (0u64..4, -2i64..3).prop_map(|(b, d)| (b * BLOCK_BYTES).saturating_add_signed(d));
        let len = prop_oneof![near_block, 0..13u64 << 20];
        (len, 0.0..=1.0f64, 0.0..=1.0f64).prop_map(|(len, a, b)| {
            let (a, b) = ((a * len as f64) as u64, (b * len as f64) as u64);
            (len, a.min(b)..a.max(b).min(len))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn good_ranges_come_whole((len, wanted) in blob_and_range()) {
            let (bytes, blocks) = blob(len);
            let (sent, end) = read(&bytes, blocks, wanted.clone());
            prop_assert_eq!(end, Ok(()));
            prop_assert!(sent == bytes[wanted.start as usize..wanted.end as usize]);
        }

        #[test]
        fn a_flipped_bit_in_a_touched_block_never_ends_well(
            (len, wanted) in blob_and_range(), at in 0.0..1.0f64, bit in 0..8u8,
        ) {
            prop_assume!(!wanted.is_empty());
            let (bytes, blocks) = blob(len);
            let span = Verifier::new(blocks.clone(), len, wanted.clone()).span();
            let at = (span.start as f64 + at * (span.end - span.start) as f64) as u64;
            let mut damaged = bytes.to_vec();
            damaged[at as usize] ^= 1 << bit;
            let (sent, end) = read(&damaged.into(), blocks, wanted.clone());
            prop_assert_eq!(end, Err(BadBlock { index: at / BLOCK_BYTES }));
            prop_assert!((sent.len() as u64) < wanted.end - wanted.start);
        }
    }

    #[test]
    fn an_empty_range_reads_nothing() {
        let (_, blocks) = blob(BLOCK_BYTES + 1);
        assert_eq!(Verifier::new(blocks, BLOCK_BYTES + 1, 5..5).next(), None);
        assert_eq!(Verifier::new(blob(0).1, 0, 0..0).next(), None);
    }
}
