use std::{fs, path::Path};

use pelago_content::{verify, verify_node};

use super::*;
use crate::{
    MAX_CHUNK_LEVEL, Origin,
    testing::{Home, SIZES, absent, bytes, on_every_store},
};

#[test]
fn every_chunk_of_every_size_verifies() {
    on_every_store(|home| {
        for size in SIZES {
            let data = bytes(size, size);
            let share = home.share(&size.to_string(), &data);
            let (descriptor, geometry) = (share.descriptor, share.descriptor.geometry());
            for level in 0..=geometry.height().min(MAX_CHUNK_LEVEL) {
                let chunks = geometry.chunks(level);
                // The first, a middle and the last chunk, which are all of a small file.
                for index in (0..chunks).filter(|at| *at < 9 || at + 9 > chunks) {
                    let read = |with_data| {
                        let hash = descriptor.hash();
                        home.store.read_chunk(&hash, level, index, with_data)
                    };
                    let whole = read(true).unwrap();
                    verify(&descriptor, whole.chunk, &whole.data, &whole.proof).unwrap();
                    let range = whole.chunk.bytes(geometry);
                    assert!(whole.data == data[range.start as usize..range.end as usize]);
                    let node = read(false).unwrap();
                    assert_eq!((node.node, &node.proof), (whole.node, &whole.proof));
                    verify_node(&descriptor, node.chunk, node.node, &node.proof).unwrap();
                    assert!(node.data.is_empty());
                }
            }
        }
    });
}

#[test]
fn what_is_not_there_is_absent_or_out_of_range() {
    on_every_store(|home| {
        let share = home.share("file", &bytes(300_000, 1));
        let hash = share.descriptor.hash();
        let read = |hash, level, index| home.store.read_chunk(&hash, level, index, true);
        assert!(matches!(read(absent(), 0, 0), Err(ReadError::Absent)));
        for (level, index) in [(0, 19), (4, 2), (5, 1), (255, 1), (0, u64::MAX)] {
            let error = read(hash, level, index).unwrap_err();
            let expected = share.descriptor;
            assert!(
                matches!(error, ReadError::OutOfRange { descriptor, .. } if descriptor == expected)
            );
        }
        // The level is clipped to the height.
        assert_eq!(read(hash, 255, 0).unwrap().data.len(), 300_000);
    });
}

#[test]
fn a_chunk_too_large_for_a_response_has_only_a_node() {
    on_every_store(|home| {
        let share = home.share("file", &bytes(5_000_001, 1));
        let hash = share.descriptor.hash();
        let error = home.store.read_chunk(&hash, 9, 0, true).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge { level: 9, .. }));
        let node = home.store.read_chunk(&hash, 9, 0, false).unwrap();
        assert_eq!(node.node, share.descriptor.root());
    });
}

/// Changes a file, given other bytes of the same length.
type Change = &'static dyn Fn(&Path, &[u8]);

#[test]
fn a_changed_file_is_never_served_under_its_old_hash() {
    on_every_store(|home| {
        for (size, open_before) in [(1000, false), (1000, true), (300_000, true)] {
            let changes: [Change; 4] = [
                // Written in place, with the same size and time of modification.
                &|path, data| {
                    let modified = fs::metadata(path).unwrap().modified().unwrap();
                    fs::write(path, data).unwrap();
                    let file = fs::File::options().write(true).open(path).unwrap();
                    file.set_modified(modified).unwrap();
                },
                // Replaced by another file with the same size and time.
                &|path, data| {
                    let modified = fs::metadata(path).unwrap().modified().unwrap();
                    let other = path.with_extension("other");
                    fs::write(&other, data).unwrap();
                    let file = fs::File::options().write(true).open(&other).unwrap();
                    file.set_modified(modified).unwrap();
                    fs::rename(other, path).unwrap();
                },
                &|path, data| fs::write(path, &data[1..]).unwrap(),
                &|path, data| fs::write(path, [data, &[1]].concat()).unwrap(),
            ];
            for change in changes {
                let share = home.share("file", &bytes(size, 1));
                let hash = share.descriptor.hash();
                if open_before {
                    home.store.read_chunk(&hash, 0, 0, true).unwrap();
                }
                change(&share.path, &bytes(size, 2));
                for _ in 0..2 {
                    let error = home.store.read_chunk(&hash, 0, 0, true).unwrap_err();
                    assert!(matches!(error, ReadError::Changed { .. }), "{error}");
                }
            }
        }
    });
}

#[test]
fn a_vanished_file_is_unreadable_until_another_share_has_its_content() {
    on_every_store(|home| {
        let data = bytes(300_000, 1);
        let share = home.share("a", &data);
        let hash = share.descriptor.hash();
        home.store.read_chunk(&hash, 0, 0, true).unwrap();
        fs::remove_file(&share.path).unwrap();
        let error = home.store.read_chunk(&hash, 0, 0, true).unwrap_err();
        assert!(matches!(error, ReadError::Unreadable { path, .. } if path == share.path));
        home.share("b", &data);
        home.store.read_chunk(&hash, 0, 0, true).unwrap();
    });
}

#[test]
fn what_is_no_longer_shared_is_not_served_from_an_open_handle() {
    on_every_store(|home| {
        let mut share = home.share("file", &bytes(1000, 1));
        let hash = share.descriptor.hash();
        let read = || home.store.read_chunk(&hash, 0, 0, true);
        let blocks = || home.store.holding(&hash).unwrap();
        read().unwrap();
        assert_eq!(blocks(), Some((share.descriptor, BlockRanges::from(0..1))));
        let row = (hash, share.path.clone());
        home.store
            .remove_shares(std::slice::from_ref(&row))
            .unwrap();
        assert!(matches!(read(), Err(ReadError::Absent)));
        assert_eq!(blocks(), None);

        let folder = home.folder.path().to_owned();
        share.origin = Origin::Folder(folder.clone());
        home.store.add_shares(&[share]).unwrap();
        assert!(matches!(read(), Err(ReadError::Absent)));
        home.store.set_live_folders(vec![folder]);
        read().unwrap();
        home.store.set_live_folders(Vec::new());
        assert!(matches!(read(), Err(ReadError::Absent)));
    });
}

#[test]
fn a_damaged_tree_is_noticed_and_rebuilt() {
    let home = Home::on_disk();
    let share = home.share("file", &bytes(1_000_000, 1));
    let hash = share.descriptor.hash();
    let tree = home.path("data/trees").join(hash.to_string());
    let good = fs::read(&tree).unwrap();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for bad in [Some(&flipped[..]), Some(&good[..64]), Some(&[]), None] {
        match bad {
            Some(bad) => fs::write(&tree, bad).unwrap(),
            None => fs::remove_file(&tree).unwrap(),
        }
        for level in [0, 4] {
            home.store.inner.open_files.forget_all();
            let error = home.store.read_chunk(&hash, level, 0, true).unwrap_err();
            assert!(matches!(error, ReadError::Tree { .. }), "{error}");
        }
        home.hash(&share.path);
        assert_eq!(fs::read(&tree).unwrap(), good);
        home.store.read_chunk(&hash, 4, 0, true).unwrap();
    }
    let left_over = home.path("data/trees/unfinished/7");
    fs::write(&left_over, "half").unwrap();
    let Home { store, folder } = home;
    drop(store);
    crate::testing::open(folder.path());
    assert!(!left_over.exists());
}

#[test]
fn a_file_without_readers_is_closed_and_opened_again() {
    let home = Home::on_disk();
    let hash = home.share("file", &bytes(300_000, 1)).descriptor.hash();
    let read = || home.store.read_chunk(&hash, 0, 0, true).unwrap();
    assert!(!home.store.has_open_files());
    let before = read();
    home.store.close_idle(std::time::Instant::now());
    assert!(home.store.has_open_files(), "it was read just now");
    let later = std::time::Instant::now() + std::time::Duration::from_secs(5);
    home.store.close_idle(later);
    assert!(!home.store.has_open_files());
    assert_eq!(read(), before);
}
