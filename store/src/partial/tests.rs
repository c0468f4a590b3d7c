use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use pelago_content::{
    BlockRanges, Chunk, Descriptor, Geometry, Hash, Kind, Layout, Node, ProofError, leaf, parent,
    verify,
};

use super::{Ending, FinishError, FinishOptions, Partial, PartialError, PartialSpec, WriteError};
use crate::{
    ChunkRead, NewShare, Origin, ReadError, Scope, Scopes, Store,
    byte_size::ByteSize,
    files,
    testing::{Home, SIZES, bytes, go_on, on_every_store, open},
};

/// A store that shares the content, as a peer would.
struct Seed {
    home: Home,
    share: NewShare,
    data: Vec<u8>,
}

impl Seed {
    fn new(size: u64) -> Self {
        let home = Home::in_memory();
        let data = bytes(size, size);
        let share = home.share("seed", &data);
        Self { home, share, data }
    }

    fn hash(&self) -> Hash {
        self.share.descriptor.hash()
    }

    fn geometry(&self) -> Geometry {
        self.share.descriptor.geometry()
    }

    fn chunk(&self, level: u8, index: u64) -> ChunkRead {
        let read = self.home.store.read_chunk(&self.hash(), level, index, true);
        read.unwrap()
    }

    fn spec(&self, target: &Path) -> PartialSpec {
        PartialSpec {
            descriptor: self.share.descriptor,
            target: target.to_owned(),
            name: "name".to_owned(),
            scopes: Scope::Unlisted.into(),
            resume_on_start: true,
            only: Vec::new(),
            part_of: None,
            overwrite: false,
            is_named: true,
            links: Default::default(),
            strict_names: false,
        }
    }

    /// Writes one chunk to a download.
    fn give(&self, partial: &Arc<Partial>, level: u8, index: u64) {
        let read = self.chunk(level, index);
        partial.write(read.chunk, &read.data, &read.proof).unwrap();
    }

    /// Writes all missing chunks to a download, finishes it, and checks the result.
    fn complete(&self, store: &Store, partial: &Arc<Partial>) {
        for index in 0..self.geometry().chunks(4) {
            let blocks = self
                .geometry()
                .chunk(4, index)
                .unwrap()
                .blocks(self.geometry());
            if blocks.is_empty() || !partial.verified().contains_range(blocks) {
                self.give(partial, 4, index);
            }
        }
        let finished = partial
            .finish(store, FinishOptions::default(), &Ending::default())
            .unwrap();
        assert!(fs::read(&finished.path).unwrap() == self.data);
        assert!(!part(&finished.path).exists());
        assert_eq!(store.partials().unwrap(), []);
        let hashed = store.hash_file(&finished.path, &go_on).unwrap();
        assert_eq!(hashed.descriptor, finished.descriptor);
        let share = NewShare {
            path: finished.path,
            fingerprint: finished.fingerprint,
            origin: Origin::Downloaded,
            ..self.share.clone()
        };
        store.add_shares(&[share]).unwrap();
        for level in 0..=self.geometry().height().min(8) {
            let read = store.read_chunk(&self.hash(), level, 0, true).unwrap();
            assert_eq!(read, self.chunk(level, 0));
        }
    }
}

fn begin(store: &Store, spec: PartialSpec) -> Arc<Partial> {
    Partial::create_or_resume(store, spec, &|_| ()).unwrap()
}

fn part(target: &Path) -> std::path::PathBuf {
    crate::durable::with_suffix(target, ".part")
}

#[test]
fn any_size_arrives_whole() {
    on_every_store(|home| {
        for size in SIZES {
            let seed = Seed::new(size);
            let partial = begin(&home.store, seed.spec(&home.path(&size.to_string())));
            assert_eq!(partial.missing(), size);
            seed.give(&partial, 0, seed.geometry().chunks(0) - 1);
            assert_eq!(partial.missing(), size.saturating_sub(1) / 16_384 * 16_384);
            seed.complete(&home.store, &partial);
            assert_eq!(partial.missing(), 0);
        }
    });
}

#[test]
fn many_threads_may_write() {
    on_every_store(|home| {
        let seed = Seed::new(5_000_001);
        let partial = begin(&home.store, seed.spec(&home.path("target")));
        thread::scope(|scope| {
            for offset in 0..4 {
                let (seed, partial) = (&seed, &partial);
                scope.spawn(move || {
                    let chunks = seed.geometry().chunks(4);
                    for index in 0..chunks {
                        seed.give(partial, 4, (index * 3 + offset * 5) % chunks);
                    }
                });
            }
        });
        assert_eq!(partial.missing(), 0);
        seed.complete(&home.store, &partial);
    });
}

#[test]
fn wrong_data_changes_nothing() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(1_000_000), home.path("target"));
        let partial = begin(&home.store, seed.spec(&target));
        seed.give(&partial, 4, 1);
        let record = home.path("data/partial").join(seed.hash().to_string());
        let state = || {
            (
                partial.verified(),
                fs::read(part(&target)).unwrap(),
                fs::read(&record).ok(),
            )
        };
        let before = state();
        let good = seed.chunk(4, 0);
        let mut wrong = vec![good.clone(); 5];
        wrong[0].data[100] ^= 1;
        wrong[1].data.pop();
        wrong[2].proof.pop();
        wrong[3].proof[0] = [0; 32];
        wrong[4].proof.push([1; 32]);
        for wrong in wrong {
            let error = partial.write(wrong.chunk, &wrong.data, &wrong.proof);
            assert!(matches!(error, Err(WriteError::Proof(_))));
            assert_eq!(state(), before);
        }
        let other = Geometry::new(1 << 40).chunk(4, 1 << 20).unwrap();
        let error = partial.write(other, &good.data, &good.proof).unwrap_err();
        assert!(matches!(
            error,
            WriteError::Proof(ProofError::OutOfRange(_))
        ));
        assert_eq!(state(), before);
        seed.complete(&home.store, &partial);
    });
}

#[test]
fn verified_blocks_survive_a_restart() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(5_000_001), home.path("target"));
        let partial = begin(&home.store, seed.spec(&target));
        for (level, index) in [(5, 1), (4, 0), (0, 17), (0, 18), (1, 20), (0, 305), (6, 3)] {
            seed.give(&partial, level, index);
        }
        let verified = partial.verified();
        drop(partial);
        assert_eq!(home.store.partials().unwrap(), [seed.spec(&target)]);
        assert!(home.store.partial(&seed.hash()).is_none());

        let partial = begin(&home.store, seed.spec(&target));
        assert_eq!(partial.verified(), verified);
        seed.complete(&home.store, &partial);
    });
}

#[test]
fn only_what_a_crash_damaged_is_missing() {
    on_every_store(|home| {
        let seed = Seed::new(5_000_001);
        let blocks = seed.geometry().blocks();
        // The bytes of the part file that are lost, and the blocks that are missing then.
        for (number, (bytes, missing)) in [
            (0..1, 0..1),
            (16_384..16_385, 1..2),
            (300_000..700_000, 18..43),
            (4_999_999..5_000_001, blocks - 1..blocks),
            (0..5_000_001, 0..blocks),
        ]
        .into_iter()
        .enumerate()
        {
            let target = home.path(&number.to_string());
            let partial = begin(&home.store, seed.spec(&target));
            for index in (0..seed.geometry().chunks(5)).rev() {
                seed.give(&partial, 5, index);
            }
            drop(partial);
            let file = File::options().write(true).open(part(&target)).unwrap();
            if bytes.end == 5_000_001 {
                file.set_len(bytes.start).unwrap();
            } else {
                let zeroes = vec![0; (bytes.end - bytes.start) as usize];
                files::write_all_at(&file, &zeroes, bytes.start).unwrap();
            }
            drop(file);
            let partial = begin(&home.store, seed.spec(&target));
            let mut expected = BlockRanges::from(0..blocks);
            expected.remove(missing);
            assert_eq!(partial.verified(), expected);
            seed.complete(&home.store, &partial);
            let row = (seed.hash(), target);
            home.store.remove_shares(&[row]).unwrap();
        }
    });
}

#[test]
fn a_damaged_record_costs_at_most_what_it_proved() {
    let home = Home::on_disk();
    let (seed, target) = (Seed::new(5_000_001), home.path("target"));
    let record = home.path("data/partial").join(seed.hash().to_string());
    let layout = Layout::new(5_000_001, 0);
    let position = |level, index| 8192 + layout.offset(level, index).unwrap();
    let all = seed.geometry().blocks();
    // Where the record is zeroed, and how many blocks can still be proven.
    for (from, len, left) in [
        (0, 8192, all),
        (0, 100, all),
        (position(0, 32), 32, all),
        (position(0, 32), 1024, all - 32),
        (position(4, 3), 32, 0),
        (position(seed.geometry().height(), 0), 32, 0),
        (8192, layout.len(), 0),
    ] {
        let partial = begin(&home.store, seed.spec(&target));
        for index in 0..seed.geometry().chunks(4) {
            seed.give(&partial, 4, index);
        }
        drop(partial);
        let file = File::options().write(true).open(&record).unwrap();
        files::write_all_at(&file, &vec![0; len as usize], from).unwrap();
        drop(file);
        if from == 0 {
            assert_eq!(home.store.partials().unwrap(), []);
        }
        let partial = begin(&home.store, seed.spec(&target));
        let verified = partial.verified().len();
        assert!(verified >= left, "zeroed at {from}: {verified} of {all}");
        assert!(
            verified < all || left == all,
            "zeroed at {from}: {verified} of {all}"
        );
        seed.complete(&home.store, &partial);
        home.store
            .remove_shares(&[(seed.hash(), target.clone())])
            .unwrap();
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn one_download_a_hash_and_one_a_target() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(100_000), home.path("target"));
        let refused = |store: &Store, spec| {
            let error = Partial::create_or_resume(store, spec, &|_| ()).unwrap_err();
            assert!(matches!(error, PartialError::InUse { .. }), "{error}");
        };
        let partial = begin(&home.store, seed.spec(&target));
        refused(&home.store, seed.spec(&target));
        refused(&home.store, seed.spec(&home.path("elsewhere")));
        refused(&home.store, Seed::new(50_000).spec(&target));
        refused(&Store::in_memory(), seed.spec(&target));
        drop(partial);
        seed.complete(&home.store, &begin(&home.store, seed.spec(&target)));
    });
}

#[test]
fn a_download_to_another_target_moves_the_part_file() {
    on_every_store(|home| {
        let seed = Seed::new(1_000_000);
        let (first, second) = (home.path("first"), home.path("second"));
        let partial = begin(&home.store, seed.spec(&first));
        seed.give(&partial, 4, 0);
        drop(partial);
        let partial = begin(&home.store, seed.spec(&second));
        assert_eq!(partial.verified(), BlockRanges::from(0..16));
        assert!(!part(&first).exists());
        assert_eq!(home.store.partials().unwrap(), [seed.spec(&second)]);
        seed.complete(&home.store, &partial);
    });
}

#[test]
fn verified_blocks_are_served_at_every_level() {
    on_every_store(|home| {
        let seed = Seed::new(5_000_001);
        let partial = begin(&home.store, seed.spec(&home.path("target")));
        seed.give(&partial, 3, 4);
        seed.give(&partial, 5, 4);
        let (store, hash) = (&home.store, seed.hash());
        let scopes = store.scopes(&hash).unwrap();
        assert_eq!(scopes, Some(Scope::Unlisted.into()));
        let holding = Some((seed.share.descriptor, partial.verified()));
        assert_eq!(store.holding(&hash).unwrap(), holding);
        for level in 0..=6 {
            for index in 0..seed.geometry().chunks(level) {
                let chunk = seed.geometry().chunk(level, index).unwrap();
                let here = partial
                    .verified()
                    .contains_range(chunk.blocks(seed.geometry()));
                match store.read_chunk(&hash, level, index, true) {
                    Ok(read) => {
                        assert!(here);
                        let seeds = seed.chunk(level, index);
                        assert_eq!(read.node, seeds.node);
                        assert!(read.data == seeds.data && read.proof == seeds.proof);
                        verify(&read.descriptor, chunk, &read.data, &read.proof).unwrap();
                    }
                    Err(error) => assert!(matches!(error, ReadError::Absent) && !here),
                }
            }
        }
        drop(partial);
        assert_eq!(store.scopes(&hash).unwrap(), None);
        assert!(matches!(
            store.read_chunk(&hash, 0, 70, true),
            Err(ReadError::Absent)
        ));
    });
}

#[test]
fn nothing_at_the_target_is_lost() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(300_000), home.path("target"));
        let partial = begin(&home.store, seed.spec(&target));
        let incomplete = partial
            .finish(&home.store, FinishOptions::default(), &Ending::default())
            .unwrap_err();
        assert!(matches!(
            incomplete,
            FinishError::Incomplete {
                missing: 300_000,
                ..
            }
        ));
        seed.give(&partial, 5, 0);
        fs::write(&target, "precious").unwrap();
        let exists = partial
            .finish(&home.store, FinishOptions::default(), &Ending::default())
            .unwrap_err();
        assert!(matches!(exists, FinishError::Exists { .. }));
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        let options = FinishOptions {
            durable: true,
            overwrite: true,
            share: false,
            receipt: false,
        };
        partial
            .finish(&home.store, options, &Ending::default())
            .unwrap();
        assert!(fs::read(&target).unwrap() == seed.data);
    });
}

#[test]
fn a_cancelled_download_leaves_nothing() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(300_000), home.path("target"));
        let partial = begin(&home.store, seed.spec(&target));
        seed.give(&partial, 4, 0);
        let hash = seed.hash();
        let error = home.store.cancel_partial(&hash, None, &go_on).unwrap_err();
        assert!(matches!(error, PartialError::InUse { .. }), "{error}");
        drop(partial);
        assert!(home.store.is_free_within(&hash, Duration::ZERO));
        home.store.cancel_partial(&hash, None, &go_on).unwrap();
        assert!(!part(&target).exists());
        assert_eq!(home.store.partials().unwrap(), []);
        home.store.cancel_partial(&hash, None, &go_on).unwrap();
        assert_eq!(begin(&home.store, seed.spec(&target)).missing(), 300_000);
    });
}

#[test]
fn invalid_targets_are_refused() {
    on_every_store(|home| {
        let seed = Seed::new(100);
        let try_begin = |target: &Path| {
            let spec = seed.spec(target);
            Partial::create_or_resume(&home.store, spec, &|_| ())
        };
        let relative = try_begin(Path::new("relative")).unwrap_err();
        assert!(matches!(relative, PartialError::Target { .. }));
        let nowhere = home.path("missing/target");
        let error = try_begin(&nowhere).unwrap_err();
        assert!(matches!(&error, PartialError::Io { path, .. } if *path == home.path("missing")));
        #[cfg(unix)]
        {
            let elsewhere = home.path("elsewhere");
            fs::write(&elsewhere, "precious").unwrap();
            std::os::unix::fs::symlink(&elsewhere, home.path("link.part")).unwrap();
            let grows_at = |name: &str| {
                let partial = try_begin(&home.path(name)).unwrap();
                seed.give(&partial, 0, 0);
                let path = partial.files.path();
                drop(partial);
                home.store
                    .cancel_partial(&seed.hash(), None, &go_on)
                    .unwrap();
                assert!(!path.exists());
                path
            };
            assert_eq!(grows_at("link"), home.path("link.2.part"));
            assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
            fs::create_dir(home.path("folder.part")).unwrap();
            fs::write(home.path("folder.2.part"), "precious").unwrap();
            assert_eq!(grows_at("folder"), home.path("folder.3.part"));
            assert_eq!(fs::read(home.path("folder.2.part")).unwrap(), b"precious");
        }
    });
}

/// One block of content that claims to have 2^50 bytes, with a valid proof.
fn claim(data: &[u8]) -> (Descriptor, Chunk, Vec<Node>) {
    let size = 1 << 50;
    let proof: Vec<Node> = (0..36).map(|level| [level + 1; 32]).collect();
    let root = proof
        .iter()
        .fold(leaf(data), |node, sibling| parent(&node, sibling));
    let descriptor = Descriptor::new(Kind::File, size, root).unwrap();
    (
        descriptor,
        descriptor.geometry().chunk(0, 0).unwrap(),
        proof,
    )
}

#[cfg(unix)]
#[test]
fn a_claimed_size_allocates_nothing() {
    use std::os::unix::fs::MetadataExt;
    on_every_store(|home| {
        let data = bytes(16_384, 1);
        let (descriptor, chunk, proof) = claim(&data);
        let target = home.path("target");
        let spec = PartialSpec {
            descriptor,
            ..Seed::new(1).spec(&target)
        };
        for _ in 0..2 {
            let partial = begin(&home.store, spec.clone());
            partial.write(chunk, &data, &proof).unwrap();
            assert_eq!(partial.verified(), BlockRanges::from(0..1));
            assert_eq!(partial.missing(), (1 << 50) - 16_384);
            let read = home
                .store
                .read_chunk(&descriptor.hash(), 0, 0, true)
                .unwrap();
            assert_eq!((read.data, read.proof), (data.clone(), proof.clone()));
        }
        assert_eq!(fs::metadata(part(&target)).unwrap().len(), 16_384);
        let record = home
            .path("data/partial")
            .join(descriptor.hash().to_string());
        if let Ok(metadata) = fs::metadata(record) {
            assert!(
                metadata.blocks() * 512 < 1 << 20,
                "{} blocks",
                metadata.blocks()
            );
        }
    });
}

/// A small file system, unmounted when it is dropped.
#[cfg(unix)]
struct SmallDisk(tempfile::TempDir);

#[cfg(unix)]
impl SmallDisk {
    /// None if this user may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            Some(Self(folder))
        } else {
            println!("skipped: only root may mount a small disk");
            None
        }
    }
}

#[cfg(unix)]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg(self.0.path())
            .status();
    }
}

/// Writes chunks until the disk of `full` is full. The error has to name that path and a remedy.
#[cfg(unix)]
fn fill(seed: &Seed, partial: &Arc<Partial>, full: &Path) {
    let error = (0..seed.geometry().chunks(4)).find_map(|index| {
        let read = seed.chunk(4, index);
        partial.write(read.chunk, &read.data, &read.proof).err()
    });
    let error = error.unwrap();
    let WriteError::Disk { path, missing, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((path.as_path(), *missing), (full, partial.missing()));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("{} are still missing", ByteSize(*missing))),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_and_the_download_resumes() {
    let Some(disk) = SmallDisk::mount("6m") else {
        return;
    };
    on_every_store(|home| {
        let (seed, target) = (Seed::new(5_000_001), disk.0.path().join("target"));
        let ballast = disk.0.path().join("ballast");
        fs::write(&ballast, bytes(4 << 20, 1)).unwrap();
        let partial = begin(&home.store, seed.spec(&target));
        fill(&seed, &partial, &part(&target));
        let verified = partial.verified();
        assert!(verified.len() >= 16);
        drop(partial);
        let partial = begin(&home.store, seed.spec(&target));
        assert_eq!(partial.verified(), verified);
        fs::remove_file(&ballast).unwrap();
        seed.complete(&home.store, &partial);
        fs::remove_file(&target).unwrap();
    });
}

#[cfg(unix)]
#[test]
fn a_full_disk_below_the_data_folder_loses_nothing() {
    let Some(disk) = SmallDisk::mount("3m") else {
        return;
    };
    let store = open(disk.0.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let (seed, target) = (Seed::new(5_000_001), elsewhere.path().join("target"));
    store.count().unwrap();
    let partial = begin(&store, seed.spec(&target));
    let ballast = disk.0.path().join("ballast");
    let room = rustix::fs::statvfs(disk.0.path()).unwrap();
    let fills = bytes(room.f_bavail * room.f_bsize - 4096, 1);
    fs::write(&ballast, fills).unwrap();
    let hash = seed.share.descriptor.hash().to_string();
    let record = store.folder().unwrap().join("partial").join(hash);
    fill(&seed, &partial, &record);
    let verified = partial.verified();
    // Nor does the database: writes fail while the disk is full, and succeed afterwards.
    let shares: Vec<_> = (0..1000)
        .map(|number| NewShare {
            path: elsewhere.path().join(number.to_string()),
            ..seed.share.clone()
        })
        .collect();
    store.add_shares(&shares).unwrap_err();
    assert_eq!(store.count().unwrap(), 0);
    drop(partial);
    fs::remove_file(&ballast).unwrap();
    let partial = begin(&store, seed.spec(&target));
    assert_eq!(partial.verified(), verified);
    store.add_shares(&shares[..10]).unwrap();
    assert_eq!(store.count().unwrap(), 10);
    seed.complete(&store, &partial);
}

#[test]
fn a_file_that_no_download_created_is_left_alone() {
    on_every_store(|home| {
        let seed = Seed::new(100_000);
        let target = home.path("report");
        fs::write(home.path("report.part"), "another file").unwrap();
        for overwrite in [false, true] {
            let spec = PartialSpec {
                overwrite,
                ..seed.spec(&target)
            };
            let partial = begin(&home.store, spec.clone());
            seed.give(&partial, 0, 1);
            drop(partial);
            // The record has the other name.
            let partial = begin(&home.store, spec);
            assert_eq!(partial.verified().len(), 1);
            seed.give(&partial, 6, 0);
            let options = FinishOptions {
                overwrite,
                ..FinishOptions::default()
            };
            partial
                .finish(&home.store, options, &Ending::default())
                .unwrap();
            assert_eq!(fs::read(&target).unwrap(), seed.data);
            let kept = fs::read(home.path("report.part")).unwrap();
            assert_eq!(kept, b"another file");
        }
    });
}

#[test]
fn the_longest_name_has_a_part_file() {
    let home = Home::on_disk();
    for name in [
        "n".repeat(255),
        "é".repeat(127),
        format!("{}.mkv", "x".repeat(248)),
    ] {
        let (seed, target) = (Seed::new(300_000), home.path(&name));
        let spec = seed.spec(&target);
        let partial = Partial::create_or_resume(&home.store, spec, &|_| {}).unwrap();
        seed.give(&partial, 6, 0);
        partial
            .finish(&home.store, FinishOptions::default(), &Ending::default())
            .unwrap();
        assert_eq!(fs::read(&target).unwrap(), seed.data);
    }
}

#[test]
fn the_target_has_the_requested_name() {
    let (seed, home) = (Seed::new(100_000), Home::in_memory());
    let _partial = begin(&home.store, seed.spec(&home.path("target")));
    let name = home.store.name_of(&seed.hash(), |_| true).unwrap();
    assert_eq!(name.as_deref(), Some("name"));
    let is_told = |scopes: &Scopes| scopes.iter().any(|scope| scope == Scope::Everyone);
    assert_eq!(home.store.name_of(&seed.hash(), is_told).unwrap(), None);
}

#[test]
fn damaged_records_without_a_listed_download_are_removed() {
    let home = Home::on_disk();
    let seeds: Vec<_> = [300_000, 300_001, 300_002, 300_003].map(Seed::new).into();
    let record = |seed: &Seed| home.path("data/partial").join(seed.hash().to_string());
    for seed in &seeds {
        let partial = begin(&home.store, seed.spec(&home.path(&seed.hash().to_string())));
        seed.give(&partial, 0, 0);
    }
    // Without nodes, damaged and listed, damaged and not listed, valid.
    fs::write(record(&seeds[0]), "").unwrap();
    for seed in &seeds[1..3] {
        let mut bytes = fs::read(record(seed)).unwrap();
        bytes[100] ^= 1;
        fs::write(record(seed), bytes).unwrap();
    }
    let listed = [seeds[1].hash()].into();
    for _ in 0..2 {
        home.store.clear_damaged_records(&listed).unwrap();
        let aside = record(&seeds[2]).with_extension("damaged-1");
        let there = [0, 1, 2, 3].map(|at| record(&seeds[at]).exists());
        assert_eq!((there, aside.exists()), ([false, true, false, true], true));
        assert_eq!(home.store.partials().unwrap().len(), 1);
    }
}

#[test]
fn an_interrupted_proof_ends_within_a_few_groups() {
    // 64 MiB in 256 groups.
    let seed = Seed::new(64 << 20);
    let home = Home::on_disk();
    let spec = seed.spec(&home.path("target"));
    let partial = Partial::create_or_resume(&home.store, spec.clone(), &|_| ()).unwrap();
    for index in 0..seed.geometry().chunks(6) {
        seed.give(&partial, 6, index);
    }
    drop(partial);
    let proven = std::sync::atomic::AtomicU64::new(0);
    let interrupt = |bytes| {
        proven.fetch_max(bytes, std::sync::atomic::Ordering::Relaxed);
        home.store.interrupt(&seed.hash());
    };
    let partial = Partial::create_or_resume(&home.store, spec.clone(), &interrupt).unwrap();
    drop(partial);
    let threads = thread::available_parallelism().unwrap().get() as u64;
    let proven = proven.into_inner();
    assert!(proven <= (threads + 1) << 18, "{proven} bytes were proven");
    // No recorded block is lost.
    let partial = Partial::create_or_resume(&home.store, spec, &|_| ()).unwrap();
    assert_eq!(partial.missing(), 0);
}
