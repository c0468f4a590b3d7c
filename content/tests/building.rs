//! Compares trees built from runs or from a stream, and the positions of their nodes, with the
//! reference tree.

mod support;

use std::collections::BTreeSet;

use pelago_content::{
    BLOCK_SIZE, BuildError, Builder, DescriptorError, Geometry, Hasher, Kind, Layout, MAX_SIZE,
    leaf, padding, proof_len, siblings, subtree, subtree_leaves,
};
use proptest::prelude::*;
use support::{MAX_LEN, ReferenceTree, any_chunk, content, sizes, slice};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_builder_emits_the_tree(size in sizes(MAX_LEN), salt in any::<u16>(), base in 0..10u8) {
        let (data, geometry) = (content(size, salt), Geometry::new(size));
        let tree = ReferenceTree::new(data);
        let mut emitted = Vec::new();
        let mut sink = |level, index, node| emitted.push((level, index, node));
        let mut builder = Builder::new(base);
        for index in 0..geometry.chunks(base) {
            let chunk = geometry.chunk(base, index).unwrap();
            builder.push(subtree(slice(data, chunk), chunk.level()), &mut sink);
        }
        prop_assert_eq!(builder.clone().finish(size, &mut sink), Ok(tree.root()));

        let mut known = BTreeSet::new();
        for (level, index, _) in &emitted {
            let below = |child| *level == base
                || !tree.is_real(level - 1, child) || known.contains(&(level - 1, child));
            prop_assert!(below(2 * index) && below(2 * index + 1), "child after parent");
            known.insert((*level, *index));
        }
        emitted.sort();
        let expected = if tree.height() < base { Vec::new() } else { tree.nodes(base) };
        prop_assert_eq!(emitted, expected);
    }

    #[test]
    fn the_builder_refuses_another_size(
        size in sizes(MAX_SIZE), pushed in 0..70u64, base in 0..=255u8,
    ) {
        let mut builder = Builder::new(base);
        (0..pushed).for_each(|_| builder.push([1; 32], &mut |_, _, _| {}));
        let expected = Geometry::new(size).chunks(base);
        let result = builder.finish(size, &mut |_, _, _| {});
        if expected == pushed || (size == 0 && pushed == 0) {
            prop_assert!(result.is_ok());
        } else {
            prop_assert_eq!(result, Err(BuildError { size, expected, found: pushed }));
        }
    }

    #[test]
    fn the_hasher_takes_pieces_of_any_length(
        size in sizes(MAX_LEN), salt in any::<u16>(),
        pieces in prop::collection::vec(prop_oneof![0..100usize, 16_000..17_000usize, 0..900_000usize], 1..20),
    ) {
        let data = content(size, salt);
        let mut hasher = Hasher::new(Kind::File);
        let mut rest = data;
        for piece in pieces {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            hasher.update(now);
            rest = later;
        }
        hasher.update(rest);
        prop_assert_eq!(hasher.finish(), Ok(ReferenceTree::new(data).descriptor()));
    }

    #[test]
    fn subtrees_are_the_trees_nodes(
        size in sizes(MAX_LEN), salt in any::<u16>(), level in 0..12u8, pick in any::<u64>(),
    ) {
        let (data, chunk) = (content(size, salt), any_chunk(size, level, pick));
        let tree = ReferenceTree::new(data);
        let expected = tree.levels[usize::from(chunk.level())][chunk.index() as usize];
        prop_assert_eq!(subtree(slice(data, chunk), chunk.level()), expected);

        let mut leaves = Vec::new();
        subtree_leaves(slice(data, chunk), &mut leaves);
        let blocks = slice(data, chunk).chunks(BLOCK_SIZE as usize);
        prop_assert_eq!(leaves, blocks.map(leaf).collect::<Vec<_>>());
    }

    #[test]
    fn a_subtree_is_padded_to_its_level(size in 0..200_000u64, more in 0..30u8) {
        let data = content(size, 0);
        let mut node = subtree(data, Geometry::new(size).height());
        for level in Geometry::new(size).height()..40 {
            prop_assert_eq!(subtree(data, level), node);
            node = pelago_content::parent(&node, &padding(level));
        }
        prop_assert_eq!(subtree(&[], more), padding(more));
    }

    #[test]
    fn a_layout_is_dense(size in sizes(MAX_LEN), base in 0..10u8) {
        let (layout, geometry) = (Layout::new(size, base), Geometry::new(size));
        let mut offset = 0;
        for level in base..=geometry.height().max(base) {
            prop_assert_eq!(layout.level_range(level).start, offset);
            for index in 0..geometry.nodes_at(level) {
                prop_assert_eq!(layout.offset(level, index), Some(offset));
                offset += 32;
            }
            prop_assert_eq!(layout.level_range(level).end, offset);
        }
        prop_assert_eq!(layout.len(), offset);
        prop_assert_eq!(layout.is_empty(), size == 0 || geometry.height() < base);
    }

    #[test]
    fn a_layout_of_any_size_is_in_bounds(
        size in any::<u64>(), base in any::<u8>(), level in any::<u8>(), index in any::<u64>(),
    ) {
        let (layout, geometry) = (Layout::new(size, base), Geometry::new(size));
        for index in [index, index % geometry.chunks(level), geometry.nodes_at(level)] {
            let exists = level >= base && index < geometry.nodes_at(level);
            let offset = layout.offset(level, index);
            prop_assert_eq!(offset.is_some(), exists);
            if let Some(offset) = offset {
                prop_assert!(offset + 32 <= layout.len());
                prop_assert!(layout.level_range(level).contains(&offset));
            }
        }
    }

    #[test]
    fn chunks_tile_the_content(size in sizes(MAX_SIZE), level in any::<u8>(), pick in any::<u64>()) {
        let geometry = Geometry::new(size);
        let chunk = any_chunk(size, level, pick);
        let (blocks, bytes) = (chunk.blocks(geometry), chunk.bytes(geometry));
        prop_assert_eq!(bytes.start, blocks.start * BLOCK_SIZE);
        prop_assert_eq!(bytes.end, (blocks.end * BLOCK_SIZE).min(size));
        prop_assert_eq!(bytes.is_empty(), size == 0);
        for block in [blocks.start, blocks.end.saturating_sub(1)] {
            prop_assert_eq!(geometry.chunk_of_block(level, block).ok(), (size > 0 || block == 0).then_some(chunk));
        }
        match geometry.chunk(level, chunk.index() + 1) {
            Ok(next) => prop_assert_eq!(next.bytes(geometry).start, bytes.end),
            Err(_) => prop_assert_eq!(bytes.end, size),
        }
        prop_assert!(geometry.nodes_at(geometry.height()) <= 1);
        prop_assert!(proof_len(geometry, chunk) <= usize::from(geometry.height()));
        let layout = Layout::new(size, 0);
        for (level, index) in siblings(geometry, chunk) {
            prop_assert!(layout.offset(level, index).is_some(), "a sibling that is padding");
        }
    }

    /// For all values that a peer may send, and all sizes that a file system may report.
    #[test]
    fn geometry_is_total(size in any::<u64>(), level in any::<u8>(), index in any::<u64>()) {
        let geometry = Geometry::new(size);
        prop_assert!(geometry.height() <= 50);
        for index in [index, u64::MAX, geometry.chunks(level)] {
            prop_assert_eq!(geometry.chunk(level, index).is_ok(), index < geometry.chunks(level));
            prop_assert_eq!(geometry.chunk_of_block(level, index).is_ok(), index < geometry.blocks());
        }
        let last = geometry.chunk(level, geometry.chunks(level) - 1).unwrap();
        prop_assert_eq!(last.bytes(geometry).end, size);
        let foreign = any_chunk(u64::MAX, level, index);
        let bytes = foreign.bytes(geometry);
        prop_assert!(bytes.start <= bytes.end && bytes.end <= size);
    }
}

#[test]
fn the_largest_content_has_36_levels() {
    let geometry = Geometry::new(MAX_SIZE);
    assert_eq!((geometry.blocks(), geometry.height()), (1 << 36, 36));
    assert_eq!(Geometry::new(MAX_SIZE + 1).height(), 37);
    assert_eq!(Layout::new(MAX_SIZE, 4).len(), ((2 << 32) - 1) * 32);
}

#[test]
fn three_blocks_have_their_root_at_level_2() {
    let data = content(3 * BLOCK_SIZE, 1);
    let geometry = Geometry::new(3 * BLOCK_SIZE);
    let chunk = geometry.chunk(4, 0).unwrap();
    assert_eq!(chunk.level(), 2);
    let root = subtree(data, chunk.level());
    assert_ne!(root, subtree(data, 4));
    let mut builder = Builder::new(4);
    builder.push(root, &mut |_, _, _| {
        panic!("nothing is stored below the base level")
    });
    let built = builder.finish(3 * BLOCK_SIZE, &mut |_, _, _| panic!("nor at the end"));
    assert_eq!(built, Ok(ReferenceTree::new(data).root()));
}

#[test]
#[should_panic(expected = "3 blocks do not fit below one node of level 1")]
fn a_run_that_is_too_long_panics() {
    subtree(&vec![0; 2 * BLOCK_SIZE as usize + 1], 1);
}

#[test]
fn empty_content_needs_no_node() {
    assert_eq!(
        Builder::new(4).finish(0, &mut |_, _, _| panic!("no node")),
        Ok([0; 32])
    );
    let empty = Hasher::new(Kind::File).finish().unwrap();
    assert_eq!((empty.size(), empty.root()), (0, [0; 32]));
    let error = DescriptorError::Size {
        found: MAX_SIZE + 1,
    };
    assert_eq!(
        error.to_string(),
        "a size of 1125899906842625 bytes is over the limit of 1125899906842624 bytes (1 PiB)"
    );
}
