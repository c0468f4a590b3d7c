//! Every chunk of any content verifies with its proof, and no other bytes do.

mod support;

use std::collections::BTreeMap;

use pelago_content::{
    BLOCK_SIZE, Chunk, Descriptor, Geometry, Kind, MAX_SIZE, Node, ProofError, padding, proof_len,
    proven_nodes, siblings, verify, verify_leaves, verify_node,
};
use proptest::prelude::*;
use support::{MAX_LEN, ReferenceTree, any_chunk, content, sizes, slice};

/// Content, its tree, and one of its chunks with data and proof.
struct Proven {
    tree: ReferenceTree,
    descriptor: Descriptor,
    chunk: Chunk,
    data: &'static [u8],
    proof: Vec<Node>,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bytes", self.chunk, self.descriptor.size())
    }
}

impl Proven {
    fn new(size: u64, salt: u16, chunk: Chunk) -> Self {
        let all = content(size, salt);
        let tree = ReferenceTree::new(all);
        let proof = tree.proof(chunk.level(), chunk.index());
        let descriptor = tree.descriptor();
        Self {
            tree,
            descriptor,
            chunk,
            data: slice(all, chunk),
            proof,
        }
    }

    fn verify(&self) -> Result<(), ProofError> {
        verify(&self.descriptor, self.chunk, self.data, &self.proof)
    }
}

fn proven() -> impl Strategy<Value = Proven> {
    (sizes(MAX_LEN), any::<u16>(), 0..12u8, any::<u64>())
        .prop_map(|(size, salt, level, pick)| Proven::new(size, salt, any_chunk(size, level, pick)))
}

fn flipped(bytes: &[u8], bit: prop::sample::Index) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let bit = bit.index(bytes.len() * 8);
    changed[bit / 8] ^= 1 << (bit % 8);
    changed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_chunk_verifies(it in proven()) {
        let geometry = it.descriptor.geometry();
        prop_assert_eq!(proof_len(geometry, it.chunk), it.proof.len());
        prop_assert_eq!(it.verify(), Ok(()));
        let node = it.tree.levels[usize::from(it.chunk.level())][it.chunk.index() as usize];
        prop_assert_eq!(verify_node(&it.descriptor, it.chunk, node, &it.proof), Ok(()));

        let mut leaves = vec![[9; 32]];
        let verified = verify_leaves(&it.descriptor, it.chunk, it.data, &it.proof, &mut leaves);
        prop_assert_eq!(verified, Ok(()));
        let blocks = it.chunk.blocks(geometry);
        prop_assert_eq!(leaves[0], [9; 32]);
        let expected = &it.tree.levels[0][blocks.start as usize..blocks.end as usize];
        prop_assert_eq!(&leaves[1..], expected);
    }

    #[test]
    fn a_changed_bit_does_not_verify(it in proven(), bit in any::<prop::sample::Index>()) {
        prop_assume!(!it.data.is_empty());
        let data = flipped(it.data, bit);
        prop_assert_eq!(verify(&it.descriptor, it.chunk, &data, &it.proof), Err(ProofError::Root));
        let mut leaves = vec![[9; 32]];
        let verified = verify_leaves(&it.descriptor, it.chunk, &data, &it.proof, &mut leaves);
        prop_assert_eq!(verified, Err(ProofError::Root));
        prop_assert_eq!(leaves, [[9; 32]]);

        let root = flipped(&it.descriptor.root(), bit).try_into().unwrap();
        let other = Descriptor::new(Kind::File, it.descriptor.size(), root).unwrap();
        prop_assert_eq!(verify(&other, it.chunk, it.data, &it.proof), Err(ProofError::Root));
    }

    #[test]
    fn a_changed_proof_does_not_verify(
        it in proven(),
        at in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let check = |proof: &[Node]| verify(&it.descriptor, it.chunk, it.data, proof);
        let expected = it.proof.len();
        let mut longer = it.proof.clone();
        longer.insert(at.index(expected + 1), padding(0));
        prop_assert_eq!(check(&longer), Err(ProofError::Length { expected, found: expected + 1 }));
        if let Some(shorter) = expected.checked_sub(1) {
            let error = Err(ProofError::Length { expected, found: shorter });
            prop_assert_eq!(check(&it.proof[1..]), error);
            prop_assert_eq!(check(&it.proof[..shorter]), error);

            let at = at.index(expected);
            let (level, _) = siblings(it.descriptor.geometry(), it.chunk).nth(at).unwrap();
            let flip = flipped(&it.proof[at], bit).try_into().unwrap();
            for wrong in [flip, [0; 32], padding(level)] {
                let mut changed = it.proof.clone();
                changed[at] = wrong;
                prop_assert_eq!(check(&changed), Err(ProofError::Root));
            }
        }
    }

    #[test]
    fn data_of_another_chunk_does_not_verify(it in proven(), level in 0..12u8, pick in any::<u64>()) {
        let other = any_chunk(it.descriptor.size(), level, pick);
        let geometry = it.descriptor.geometry();
        // At the right edge, chunks of several levels are the same bytes.
        let elsewhere = other.bytes(geometry) != it.chunk.bytes(geometry);
        let verified = verify(&it.descriptor, other, it.data, &it.proof);
        prop_assert_eq!(verified.is_err(), elsewhere);
    }

    #[test]
    fn data_of_another_length_does_not_verify(it in proven(), cut in any::<prop::sample::Index>()) {
        let expected = it.data.len() as u64;
        let mut longer = it.data.to_vec();
        longer.push(0);
        let error = Err(ProofError::Data { expected, found: expected + 1 });
        prop_assert_eq!(verify(&it.descriptor, it.chunk, &longer, &it.proof), error);
        if !it.data.is_empty() {
            let shorter = &it.data[..cut.index(it.data.len())];
            let error = Err(ProofError::Data { expected, found: shorter.len() as u64 });
            prop_assert_eq!(verify(&it.descriptor, it.chunk, shorter, &it.proof), error);
        }
    }

    /// The size is a claim until the last chunk is verified.
    #[test]
    fn the_last_chunk_binds_the_size(
        size in sizes(MAX_LEN), other in sizes(MAX_LEN), level in 0..12u8, by in 1..40_000u64,
    ) {
        let last = Geometry::new(size).chunks(level) - 1;
        let it = Proven::new(size, 0, any_chunk(size, level, last));
        for wrong in [other, size + by, size.saturating_sub(by), MAX_SIZE] {
            if let Ok(false_size) = Descriptor::new(Kind::File, wrong, it.descriptor.root())
                && wrong != size
            {
                prop_assert!(verify(&false_size, it.chunk, it.data, &it.proof).is_err());
            }
        }
    }

    #[test]
    fn the_proven_nodes_of_a_chunk_are_right(it in proven()) {
        let geometry = it.descriptor.geometry();
        let (level, blocks) = (it.chunk.level(), it.chunk.blocks(geometry));
        let leaves = &it.tree.levels[0][blocks.start as usize..blocks.end as usize];
        let mut learnt = BTreeMap::new();
        proven_nodes(geometry, it.chunk, leaves, &it.proof, |level, index, node| {
            assert_eq!(learnt.insert((level, index), node), None, "a node given twice");
        });
        let proof: Vec<(u8, u64)> = siblings(geometry, it.chunk).collect();
        let expected = it.tree.nodes(0).into_iter().filter(|(at, index, _)| {
            let below = *at <= level && index >> (level - at) == it.chunk.index();
            let above = *at > level && it.chunk.index() >> (at - level) == *index;
            below || above || proof.contains(&(*at, *index))
        });
        let expected: BTreeMap<_, _> =
            expected.map(|(level, index, node)| ((level, index), node)).collect();
        prop_assert_eq!(learnt, expected);
    }

    #[test]
    fn random_bytes_are_refused(
        size in sizes(MAX_SIZE), of in sizes(MAX_SIZE), level in any::<u8>(), pick in any::<u64>(),
        data in prop::collection::vec(any::<u8>(), 0..100),
        proof in prop::collection::vec(any::<Node>(), 0..40), root in any::<Node>(),
    ) {
        prop_assume!(size > 0);
        let descriptor = Descriptor::new(Kind::Folder, size, root).unwrap();
        let chunk = any_chunk(of, level, pick);
        prop_assert!(verify(&descriptor, chunk, &data, &proof).is_err());
        prop_assert!(verify_node(&descriptor, chunk, [1; 32], &proof).is_err());
    }
}

/// The verifier supplies the padding nodes. A proof that contains them is refused.
#[test]
fn a_proof_with_padding_does_not_verify() {
    let it = Proven::new(5 * BLOCK_SIZE, 0, any_chunk(5 * BLOCK_SIZE, 0, 4));
    let left = it.tree.levels[2][0];
    assert_eq!((it.verify(), &it.proof[..]), (Ok(()), &[left][..]));
    let full = [padding(0), padding(1), left];
    let error = Err(ProofError::Length {
        expected: 1,
        found: 3,
    });
    assert_eq!(verify(&it.descriptor, it.chunk, it.data, &full), error);
}

#[test]
fn empty_content_has_one_chunk_without_bytes() {
    let empty = Descriptor::new(Kind::File, 0, [0; 32]).unwrap();
    let chunk = empty.geometry().chunk(7, 0).unwrap();
    assert_eq!(verify(&empty, chunk, &[], &[]), Ok(()));
    let error = Err(ProofError::Data {
        expected: 0,
        found: 1,
    });
    assert_eq!(verify(&empty, chunk, &[0], &[]), error);
    let error = Err(ProofError::Length {
        expected: 0,
        found: 1,
    });
    assert_eq!(verify(&empty, chunk, &[], &[[0; 32]]), error);
    let mut taught = 0;
    proven_nodes(empty.geometry(), chunk, &[], &[], |_, _, _| taught += 1);
    assert_eq!(taught, 0);
}

#[test]
fn a_chunk_of_longer_content_is_out_of_range() {
    let short = Proven::new(3 * BLOCK_SIZE, 0, any_chunk(3 * BLOCK_SIZE, 0, 0));
    let geometry = Geometry::new(9 * BLOCK_SIZE);
    for (level, index) in [(0, 3), (1, 2), (3, 0), (4, 0)] {
        let foreign = geometry.chunk(level, index).unwrap();
        let verified = verify_node(&short.descriptor, foreign, [1; 32], &short.proof);
        assert!(
            matches!(verified, Err(ProofError::OutOfRange(_))),
            "{foreign:?}"
        );
    }
}
