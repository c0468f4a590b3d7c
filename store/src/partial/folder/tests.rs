use std::{
    cell::Cell,
    collections::BTreeSet,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
};

use pelago_content::{
    BlockRanges, Descriptor, EntryKind, Hash, Listing, Manifest, ManifestEntry, Part,
};

use super::{FileSystem, Links, PartialFolder};
use crate::{
    Ending, FinishError, FinishOptions, FolderOptions, NewFolder, Origin, Partial, PartialError,
    PartialSpec, RemoveError, Scope, Store, WriteError,
    partial::earlier_run::EarlierRun,
    testing::{Home, absent, bytes, describe, go_on, on_every_store, unfold},
};

const QUICK: FinishOptions = FinishOptions {
    durable: false,
    overwrite: false,
    share: false,
    receipt: false,
};

/// A store that shares a folder, as a peer would.
struct Seed {
    home: Home,
    descriptor: Descriptor,
}

/// The folder that most tests download: small and large files, repeats, an empty file, links.
const FILES: [(&str, u64, u64); 8] = [
    ("a", 5, 1),
    ("b/c/deep", 100_000, 2),
    ("b/repeat of a", 5, 1),
    ("empty", 0, 0),
    ("large", 700_000, 3),
    ("z/large again", 700_000, 3),
    ("z/run", 20_000, 4),
    ("z/two", 262_145, 5),
];

impl Seed {
    fn new() -> Self {
        Self::with(&FILES)
    }

    fn with(files: &[(&str, u64, u64)]) -> Self {
        let home = Home::in_memory();
        let root = home.path("tree");
        fs::create_dir_all(root.join("no files")).unwrap();
        for (path, size, seed) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes(*size, *seed)).unwrap();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../a", root.join("no files/link")).unwrap();
            if let Ok(run) = fs::metadata(root.join("z/run")) {
                let mut permissions = run.permissions();
                std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
                fs::set_permissions(root.join("z/run"), permissions).unwrap();
            }
        }
        let mut seed = Self {
            descriptor: Manifest::default().descriptor(),
            home,
        };
        seed.share();
        seed
    }

    fn root(&self) -> PathBuf {
        self.home.path("tree")
    }

    fn share(&mut self) {
        let folder = NewFolder {
            path: self.root(),
            name: "tree".into(),
            scopes: Scope::Everyone.into(),
            origin: Origin::Explicit,
        };
        self.descriptor = self.home.store.share_folder(&folder, &go_on).unwrap().0;
    }

    fn listing(&self) -> Arc<Listing> {
        Arc::new(unfold(self.descriptor, |hash| {
            self.home.store.manifest(hash).unwrap().unwrap()
        }))
    }

    fn spec(&self, target: &Path, only: &[&str]) -> PartialSpec {
        PartialSpec {
            descriptor: self.descriptor,
            target: target.to_owned(),
            name: "tree".to_owned(),
            scopes: Scope::Everyone.into(),
            resume_on_start: true,
            only: only.iter().map(ToString::to_string).collect(),
            part_of: None,
            overwrite: false,
            is_named: true,
            links: Links::default(),
            strict_names: false,
        }
    }

    fn begin(&self, store: &Store, target: &Path, only: &[&str]) -> Arc<PartialFolder> {
        self.try_begin(store, target, only, false).unwrap()
    }

    fn try_begin(
        &self,
        store: &Store,
        target: &Path,
        only: &[&str],
        overwrite: bool,
    ) -> Result<Arc<PartialFolder>, PartialError> {
        let spec = PartialSpec {
            overwrite,
            ..self.spec(target, only)
        };
        PartialFolder::create_or_resume(store, spec, self.listing(), &|_| {})
    }

    /// The chunks of `level` that are missing.
    fn parts(folder: &PartialFolder, level: u8) -> Vec<Part> {
        let mut parts = Vec::new();
        for run in folder.missing().iter() {
            let mut block = run.start;
            while block < run.end {
                let part = folder.sequence().part(level, block).unwrap();
                block = folder.sequence().blocks_of(part).end;
                parts.push(part);
            }
        }
        parts
    }

    fn try_give(&self, folder: &PartialFolder, part: Part) -> Result<(), WriteError> {
        let hash = folder.descriptor_of(part.file).unwrap().hash();
        let (level, index) = (part.chunk.level(), part.chunk.index());
        let read = self.home.store.read_chunk(&hash, level, index, true);
        let read = read.unwrap();
        folder.write(part.file, read.chunk, &read.data, &read.proof)
    }

    /// Writes all missing chunks to a download. Returns their number.
    fn give_all(&self, folder: &PartialFolder, level: u8) -> usize {
        let parts = Self::parts(folder, level);
        parts
            .iter()
            .for_each(|part| self.try_give(folder, *part).unwrap());
        parts.len()
    }
}

/// Asserts that two directories have the same names, contents, links and executable files.
fn assert_same(one: &Path, other: &Path) {
    let hash = |path| {
        let options = FolderOptions::default();
        let made = crate::hash_folder(path, &Default::default(), None, options, &go_on);
        made.unwrap().descriptor.hash()
    };
    assert_eq!(hash(one), hash(other));
}

#[test]
fn a_folder_arrives_whole_at_any_level() {
    on_every_store(|home| {
        for level in [0, 2, 4, 6] {
            let (seed, target) = (Seed::new(), home.path(&format!("copy {level}")));
            let folder = seed.begin(&home.store, &target, &[]);
            assert_eq!(folder.wanted().len(), seed.listing().blocks());
            seed.give_all(&folder, level);
            assert_eq!(folder.missing_bytes(), 0);
            assert!(!target.exists(), "not before it is whole");
            let finished = folder
                .finish(&home.store, QUICK, &Ending::default())
                .unwrap();
            assert!(finished.is_whole);
            assert_same(&target, &seed.root());
            assert!(!files_below(home.folder.path(), ".part"));
            assert_eq!(home.store.partials().unwrap(), []);
        }
    });
}

fn files_below(path: &Path, suffix: &str) -> bool {
    walkdir::WalkDir::new(path).into_iter().any(|entry| {
        let entry = entry.unwrap();
        entry.file_name().to_str().unwrap().ends_with(suffix)
    })
}

#[test]
fn repeated_content_is_fetched_once() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    let missing = folder.missing();
    let bytes: u64 = missing
        .iter()
        .map(|run| folder.sequence.bytes_in(run))
        .sum();
    assert_eq!(bytes, 5 + 100_000 + 700_000 + 20_000 + 262_145);
    assert_eq!(folder.missing_bytes(), bytes + 5 + 700_000);
}

#[test]
fn a_downloaded_folder_is_shared_without_hashing_it_again() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(), home.path("copy"));
        let folder = seed.begin(&home.store, &target, &[]);
        seed.give_all(&folder, 6);
        let finished = folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        drop(folder);
        let everyone = Scope::Everyone.into();
        home.store
            .share_finished(&finished, "copy".into(), &everyone)
            .unwrap();
        // As if a person had shared it.
        let members = home.store.members(&target).unwrap();
        let again = NewFolder {
            path: target.clone(),
            name: "copy".into(),
            scopes: everyone,
            origin: Origin::Explicit,
        };
        let (descriptor, totals) = home.store.share_folder(&again, &go_on).unwrap();
        assert_eq!(descriptor, seed.descriptor);
        assert_eq!(totals, finished.totals);
        assert_eq!(home.store.members(&target).unwrap(), members);
        for (path, size, _) in FILES.iter().filter(|file| file.1 > 0) {
            let member = members.iter().find(|member| member.path == *path).unwrap();
            let read = home.store.read_chunk(&member.descriptor.hash(), 0, 0, true);
            assert_eq!(
                read.unwrap().data.len() as u64,
                (*size).min(16384),
                "{path}"
            );
        }
    });
}

#[test]
fn verified_files_are_served_while_others_are_fetched() {
    on_every_store(|home| {
        let seed = Seed::new();
        let folder = seed.begin(&home.store, &home.path("copy"), &[]);
        let hash = seed.descriptor.hash();
        assert!(home.store.scopes(&hash).unwrap().is_some());
        for part in Seed::parts(&folder, 3) {
            let file = folder.descriptor_of(part.file).unwrap();
            assert!(home.store.scopes(&file.hash()).unwrap().is_some());
            seed.try_give(&folder, part).unwrap();
            let verified = folder.verified();
            let blocks = folder.sequence().blocks_of(part);
            if verified.contains_range(blocks.clone()) {
                let (level, index) = (part.chunk.level(), part.chunk.index());
                let read = home.store.read_chunk(&file.hash(), level, index, true);
                assert!(!read.unwrap().data.is_empty());
            }
            let held = home.store.holding(&hash).unwrap().unwrap();
            assert_eq!(held, (seed.descriptor, verified));
            let (of_file, blocks) = home.store.holding(&file.hash()).unwrap().unwrap();
            assert_eq!(of_file, file);
            assert!(
                blocks
                    .last()
                    .is_none_or(|last| last < file.geometry().blocks())
            );
        }
        assert_eq!(folder.verified(), folder.wanted());
    });
}

#[test]
fn chosen_parts_come_first_and_the_rest_later() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(), home.path("copy"));
        let folder = seed.begin(&home.store, &target, &["z"]);
        assert_eq!(seed.give_all(&folder, 6), 3);
        let finished = folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        assert!(!finished.is_whole);
        drop(folder);
        let mut names: Vec<_> = fs::read_dir(&target).unwrap().collect();
        assert_eq!(names.pop().unwrap().unwrap().file_name(), "z");
        assert!(names.is_empty());
        let everyone = Scope::Everyone.into();
        let shared = home
            .store
            .share_finished(&finished, "copy".into(), &everyone);
        shared.unwrap();
        assert_eq!(home.store.count().unwrap(), 3);
        fs::write(target.join("my own"), "stays").unwrap();

        let folder = seed.begin(&home.store, &target, &[]);
        assert_eq!(seed.give_all(&folder, 6), 2, "a and deep; large is in z");
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        assert_eq!(fs::read(target.join("my own")).unwrap(), b"stays");
        fs::remove_file(target.join("my own")).unwrap();
        assert_same(&target, &seed.root());
    });
}

#[test]
fn globs_that_choose_nothing_are_refused() {
    let (home, seed) = (Home::in_memory(), Seed::new());
    let refused = |only: &str| {
        let begun = seed.try_begin(&home.store, &home.path("copy"), &[only], false);
        begun.unwrap_err().to_string()
    };
    assert!(refused("*.jpg").contains("*.jpg"));
    assert!(refused("[").contains("nor a pattern"));
    assert!(!home.path("copy.part").exists());
}

#[test]
fn a_crash_at_any_moment_costs_only_what_was_not_verified() {
    let seed = Seed::new();
    let home = Home::on_disk();
    let target = home.path("copy");
    let all = Seed::parts(&seed.begin(&Store::in_memory(), &home.path("x"), &[]), 2).len();
    let mut given = 0;
    loop {
        // Each round stands for a process that ends after three chunks.
        let store = home.store.clone();
        let folder = seed.begin(&store, &target, &[]);
        let parts = Seed::parts(&folder, 2);
        for part in parts.iter().take(3) {
            seed.try_give(&folder, *part).unwrap();
            given += 1;
        }
        if parts.len() <= 3 {
            folder
                .finish(&home.store, QUICK, &Ending::default())
                .unwrap();
            break;
        }
        assert!(given < 2 * all, "it never ends");
    }
    // The lost chunks belong to small files that were not whole: at most two a round.
    assert!(given <= all + 2 * (all / 3 + 1), "{given} of {all}");
    assert_same(&target, &seed.root());
}

#[test]
fn data_left_by_a_power_cut_is_never_trusted() {
    let (seed, home) = (Seed::new(), Home::on_disk());
    let target = home.path("copy");
    let folder = seed.begin(&home.store, &target, &[]);
    seed.give_all(&folder, 4);
    drop(folder);
    let part = home.path("copy.part");
    fs::write(part.join("large"), vec![0; 700_000]).unwrap();
    fs::write(part.join("z/run"), "").unwrap();
    fs::write(part.join("b/c/deep"), bytes(100_000, 77)).unwrap();
    let folder = seed.begin(&home.store, &target, &[]);
    let bytes = folder.missing_bytes();
    assert_eq!(bytes, 100_000 + 2 * 700_000 + 20_000);
    seed.give_all(&folder, 6);
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_same(&target, &seed.root());
}

#[test]
fn one_changed_file_is_all_that_is_fetched() {
    on_every_store(|home| {
        let mut seed = Seed::new();
        let first = home.path("first");
        let folder = seed.begin(&home.store, &first, &[]);
        seed.give_all(&folder, 6);
        let finished = folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        drop(folder);
        let everyone = Scope::Everyone.into();
        let shared = home
            .store
            .share_finished(&finished, "tree".into(), &everyone);
        shared.unwrap();

        fs::write(seed.root().join("z/two"), bytes(262_146, 6)).unwrap();
        seed.share();
        // At another target: the other files are copied.
        let second = home.path("second");
        let folder = seed.begin(&home.store, &second, &[]);
        assert_eq!(folder.missing_bytes(), 262_146);
        seed.give_all(&folder, 6);
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        drop(folder);
        assert_same(&second, &seed.root());
        // At the same target: an error names what differs, unless it may be replaced.
        let refused = seed.try_begin(&home.store, &first, &[], false).unwrap_err();
        assert!(
            matches!(&refused, PartialError::Exists { path } if *path == first.join("z/two")),
            "{refused}"
        );
        let folder = seed.try_begin(&home.store, &first, &[], true).unwrap();
        assert_eq!(folder.missing_bytes(), 262_146);
        seed.give_all(&folder, 6);
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        assert_same(&first, &seed.root());
    });
}

#[test]
fn a_folder_that_exists_already_is_not_fetched() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(), home.path("copy"));
        for _ in 0..2 {
            let folder = seed.begin(&home.store, &target, &[]);
            seed.give_all(&folder, 6);
            folder
                .finish(&home.store, QUICK, &Ending::default())
                .unwrap();
        }
        let folder = seed.begin(&home.store, &target, &[]);
        assert_eq!(folder.missing(), BlockRanges::new());
    });
}

#[test]
fn wrong_data_changes_nothing() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    for part in Seed::parts(&folder, 4) {
        let hash = folder.descriptor_of(part.file).unwrap().hash();
        let (level, index) = (part.chunk.level(), part.chunk.index());
        let read = seed.home.store.read_chunk(&hash, level, index, true);
        let mut read = read.unwrap();
        read.data[0] ^= 1;
        let error = folder.write(part.file, read.chunk, &read.data, &read.proof);
        assert!(matches!(error, Err(WriteError::Proof(_))));
    }
    assert!(folder.verified().is_empty());
    let incomplete = folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap_err();
    assert!(matches!(incomplete, FinishError::Incomplete { .. }));
}

#[test]
fn many_threads_may_write_at_once() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    let parts = Seed::parts(&folder, 1);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            // Each thread writes everything, as at the end of a download.
            scope.spawn(|| {
                barrier.wait();
                for part in &parts {
                    seed.try_give(&folder, *part).unwrap();
                }
            });
        }
    });
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_same(&home.path("copy"), &seed.root());
}

#[test]
fn two_downloads_never_write_to_one_target() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let target = home.path("copy");
    let _first = seed.begin(&home.store, &target, &[]);
    let again = seed.try_begin(&home.store, &target, &[], false);
    assert!(matches!(again, Err(PartialError::InUse { .. })));
    let other = Store::in_memory();
    let elsewhere = seed.try_begin(&other, &target, &[], false);
    assert!(matches!(elsewhere, Err(PartialError::InUse { .. })));
}

#[test]
fn a_download_moves_with_its_target() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let folder = seed.begin(&home.store, &home.path("one"), &[]);
    for part in Seed::parts(&folder, 4).iter().take(4) {
        seed.try_give(&folder, *part).unwrap();
    }
    let verified = folder.verified();
    drop(folder);
    let folder = seed.begin(&home.store, &home.path("two"), &[]);
    assert_eq!(folder.verified(), verified);
    assert!(!home.path("one.part").exists());
    seed.give_all(&folder, 4);
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_same(&home.path("two"), &seed.root());
}

/// Links that another user planted in the staging directory are never followed.
#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let seed = Seed::new();
    for (planted, at) in [
        ("b", "folder"),
        ("a", "file"),
        ("large.part", "file"),
        ("z", "folder"),
    ] {
        for in_place in [false, true] {
            let home = Home::on_disk();
            let outside = home.path("outside");
            fs::create_dir_all(outside.join("folder")).unwrap();
            fs::write(outside.join("file"), "precious").unwrap();
            let tree = home.path(if in_place { "copy" } else { "copy.part" });
            fs::create_dir(&tree).unwrap();
            symlink(outside.join(at), tree.join(planted)).unwrap();
            let begun = seed.try_begin(&home.store, &home.path("copy"), &[], true);
            if let Ok(folder) = begun {
                for part in Seed::parts(&folder, 6) {
                    let _ = seed.try_give(&folder, part);
                }
                let _ = folder.finish(&home.store, QUICK, &Ending::default());
            }
            assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
            let written = fs::read_dir(outside.join("folder")).unwrap().count();
            assert_eq!(written, 0, "{planted}");
        }
    }
    let home = Home::on_disk();
    symlink(home.path("elsewhere"), home.path("copy.part")).unwrap();
    fs::create_dir(home.path("elsewhere")).unwrap();
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    seed.give_all(&folder, 6);
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_same(&home.path("copy"), &seed.root());
    assert_eq!(fs::read_dir(home.path("elsewhere")).unwrap().count(), 0);
    assert!(home.path("copy.part").is_symlink());
}

#[test]
fn an_entry_with_the_name_of_a_part_file_is_downloaded_too() {
    let home = Home::in_memory();
    let file = |name: &str, data: &[u8]| ManifestEntry {
        name: name.to_owned(),
        kind: EntryKind::File {
            descriptor: describe(data),
            executable: false,
        },
    };
    let manifest = Manifest::new(vec![file("x", b"1"), file("x.part", b"2")]).unwrap();
    let descriptor = manifest.descriptor();
    let spec = PartialSpec {
        descriptor,
        target: home.path("copy"),
        name: "copy".into(),
        scopes: Scope::Everyone.into(),
        resume_on_start: false,
        only: Vec::new(),
        part_of: None,
        overwrite: false,
        is_named: true,
        links: Links::default(),
        strict_names: false,
    };
    let listing = Arc::new(unfold(descriptor, |_| manifest.clone()));
    let begun = PartialFolder::create_or_resume(&home.store, spec, listing, &|_| {});
    let folder = begun.unwrap();
    for (file, data) in [(0, &b"1"[..]), (1, b"2")] {
        let part = folder.sequence().part(0, file).unwrap();
        folder.write(part.file, part.chunk, data, &[]).unwrap();
    }
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_eq!(fs::read(home.path("copy/x")).unwrap(), b"1");
    assert_eq!(fs::read(home.path("copy/x.part")).unwrap(), b"2");
}

#[test]
fn more_large_files_than_may_be_open_still_arrive() {
    let files: Vec<_> = (0..200)
        .map(|n| (format!("f{n}"), 300_000, 1000 + n))
        .collect();
    let files: Vec<_> = files.iter().map(|f| (&f.0[..], f.1, f.2)).collect();
    let (home, seed) = (Home::on_disk(), Seed::with(&files));
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    let (even, odd): (Vec<_>, Vec<_>) = Seed::parts(&folder, 3)
        .into_iter()
        .partition(|part| part.chunk.index() % 2 == 0);
    let mut verified = 0;
    for part in even.iter().chain(&odd) {
        seed.try_give(&folder, *part).unwrap();
        assert!(folder.verified().len() > verified, "nothing is forgotten");
        verified = folder.verified().len();
    }
    // Verified blocks are served, whether their file is open or not.
    drop(
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap(),
    );
    assert_same(&home.path("copy"), &seed.root());
}

#[test]
fn verified_blocks_of_a_closed_file_are_served() {
    let files: Vec<_> = (0..200)
        .map(|n| (format!("f{n}"), 300_000, 1000 + n))
        .collect();
    let files: Vec<_> = files.iter().map(|f| (&f.0[..], f.1, f.2)).collect();
    let (home, seed) = (Home::on_disk(), Seed::with(&files));
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    for part in Seed::parts(&folder, 3).iter().step_by(3) {
        seed.try_give(&folder, *part).unwrap();
    }
    for part in Seed::parts(&folder, 3).iter().step_by(3) {
        let hash = folder.descriptor_of(part.file).unwrap().hash();
        let (_, held) = home.store.holding(&hash).unwrap().unwrap();
        for block in held.iter().flatten() {
            home.store.read_chunk(&hash, 0, block, true).unwrap();
        }
    }
}

#[test]
fn a_file_alone_and_in_a_folder_is_downloaded_twice() {
    on_every_store(|home| {
        let (seed, other) = (Seed::new(), Seed::new());
        let large = describe(&bytes(700_000, 3));
        let spec = PartialSpec {
            descriptor: large,
            only: Vec::new(),
            ..seed.spec(&home.path("film"), &[])
        };
        let alone = Partial::create_or_resume(&home.store, spec.clone(), &|_| {}).unwrap();
        let read = seed
            .home
            .store
            .read_chunk(&large.hash(), 4, 0, true)
            .unwrap();
        alone.write(read.chunk, &read.data, &read.proof).unwrap();
        let verified = alone.verified();
        // Whether it runs or is paused.
        for runs in [true, false] {
            let alone = runs.then(|| Arc::clone(&alone));
            let target = home.path(&format!("copy {runs}"));
            let folder = other.begin(&home.store, &target, &[]);
            other.give_all(&folder, 6);
            folder
                .finish(&home.store, QUICK, &Ending::default())
                .unwrap();
            assert_same(&target, &other.root());
            drop(alone);
        }
        drop(alone);
        let alone = Partial::create_or_resume(&home.store, spec, &|_| {}).unwrap();
        assert_eq!(alone.verified(), verified);
    });
}

#[test]
fn a_directory_that_no_download_created_is_left_alone() {
    on_every_store(|home| {
        let seed = Seed::new();
        let own = home.path("photos.part/a");
        fs::create_dir(home.path("photos.part")).unwrap();
        fs::write(&own, "another file").unwrap();
        let hash = seed.descriptor.hash();
        drop(seed.begin(&home.store, &home.path("photos"), &[]));
        assert!(home.path("photos.2.part").exists());
        assert_eq!(
            home.store.cancel_partial(&hash, None, &go_on).unwrap(),
            [] as [PathBuf; 0]
        );
        assert!(!home.path("photos.2.part").exists());
        let folder = seed.begin(&home.store, &home.path("photos"), &[]);
        seed.give_all(&folder, 6);
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        assert_same(&home.path("photos"), &seed.root());
        assert_eq!(fs::read(&own).unwrap(), b"another file");
    });
}

/// A peer chooses the name of the content: it may be the name of any folder.
#[test]
fn nothing_is_put_into_an_existing_folder_that_the_person_did_not_choose() {
    on_every_store(|home| {
        let seed = Seed::new();
        let target = home.path("bin");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("own"), "another file").unwrap();
        let begin = |is_named| {
            let spec = PartialSpec {
                is_named,
                ..seed.spec(&target, &[])
            };
            PartialFolder::create_or_resume(&home.store, spec, seed.listing(), &|_| {})
        };
        let error = begin(false).unwrap_err();
        assert!(
            matches!(&error, PartialError::Exists { path } if *path == target),
            "{error}"
        );
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        // It is chosen if it has a file in common, or if a person named it.
        begin(true).unwrap();
        home.store.forget_partial(&seed.descriptor.hash()).unwrap();
        fs::write(target.join("a"), bytes(5, 1)).unwrap();
        begin(false).unwrap();
    });
}

#[test]
fn another_file_with_the_name_of_a_part_file_is_left_alone() {
    let (home, seed) = (Home::on_disk(), Seed::new());
    let target = home.path("copy");
    fs::create_dir(&target).unwrap();
    for part in ["a.part", "large.part"] {
        fs::write(target.join(part), "another file").unwrap();
    }
    for overwrite in [false, true] {
        let folder = seed
            .try_begin(&home.store, &target, &[], overwrite)
            .unwrap();
        seed.give_all(&folder, 0);
        drop(folder);
        let folder = seed
            .try_begin(&home.store, &target, &[], overwrite)
            .unwrap();
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        for part in ["a.part", "large.part"] {
            assert_eq!(fs::read(target.join(part)).unwrap(), b"another file");
        }
        assert_eq!(fs::read(target.join("a")).unwrap(), bytes(5, 1));
        assert_eq!(fs::read(target.join("large")).unwrap(), bytes(700_000, 3));
    }
}

#[test]
fn no_part_file_is_left_in_a_finished_folder() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(), home.path("copy"));
        let folder = seed.begin(&home.store, &target, &[]);
        // One chunk of each file, then the whole small files.
        for part in Seed::parts(&folder, 0)
            .iter()
            .filter(|p| p.chunk.index() == 0)
        {
            seed.try_give(&folder, *part).unwrap();
        }
        drop(folder);
        let folder = seed.begin(&home.store, &target, &["b", "z"]);
        seed.give_all(&folder, 6);
        folder
            .finish(&home.store, QUICK, &Ending::default())
            .unwrap();
        assert!(!files_below(&target, ".part"));
        assert_eq!(home.store.partials().unwrap(), []);
    });
}

/// Quadratic work in the number of files would take hours here.
#[test]
fn many_files_with_one_content_are_copies_of_one() {
    let names: Vec<_> = (0..10_000).map(|n| format!("{}/{n}", n / 1000)).collect();
    let files: Vec<_> = names.iter().map(|name| (&name[..], 3, 7)).collect();
    let (home, seed) = (Home::in_memory(), Seed::with(&files));
    let folder = seed.begin(&home.store, &home.path("copy"), &[]);
    assert_eq!(seed.give_all(&folder, 0), 1);
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert_same(&home.path("copy"), &seed.root());
}

#[test]
fn a_folder_is_shared_before_its_record_is_removed() {
    on_every_store(|home| {
        let (seed, target) = (Seed::new(), home.path("copy"));
        let folder = seed.begin(&home.store, &target, &[]);
        seed.give_all(&folder, 6);
        let share = FinishOptions {
            share: true,
            ..QUICK
        };
        assert!(
            folder
                .finish(&home.store, share, &Ending::default())
                .unwrap()
                .is_shared
        );
        let hash = seed.descriptor.hash();
        assert_eq!(home.store.shares_of(&hash).unwrap().len(), 1);
        // Even while the download is still in use.
        let large = describe(&bytes(700_000, 3));
        home.store.read_chunk(&large.hash(), 0, 0, true).unwrap();
    });
}

#[test]
fn a_cancelled_folder_leaves_what_it_did_not_create() {
    on_every_store(|home| {
        let seed = Seed::new();
        let (hash, target) = (seed.descriptor.hash(), home.path("copy"));
        for is_in_place in [false, true] {
            if is_in_place {
                fs::create_dir(&target).unwrap();
                fs::write(target.join("mine"), b"mine").unwrap();
            }
            let folder = seed.begin(&home.store, &target, &[]);
            let parts = Seed::parts(&folder, 0);
            let is_large =
                |part: &&Part| folder.descriptor_of(part.file).unwrap().size() == 700_000;
            let large = parts.iter().find(is_large).unwrap();
            seed.try_give(&folder, *large).unwrap();
            drop(folder);
            assert_eq!(home.store.partials().unwrap().len(), 2);

            home.store.cancel_partial(&hash, None, &go_on).unwrap();
            assert_eq!(home.store.partials().unwrap(), []);
            assert!(!home.path("copy.part").exists());
            assert!(!target.join("large.part").exists());
        }
        assert_eq!(fs::read(target.join("mine")).unwrap(), b"mine");
    });
}

#[test]
fn a_downloaded_folder_is_removed_except_for_other_files() {
    let (seed, home) = (Seed::new(), Home::in_memory());
    let finish = |target: &Path| {
        let folder = seed.begin(&home.store, target, &[]);
        seed.give_all(&folder, 4);
        let receipt = FinishOptions {
            receipt: true,
            ..QUICK
        };
        folder
            .finish(&home.store, receipt, &Ending::default())
            .unwrap();
        let hash = seed.descriptor.hash();
        let kept = home.store.receipt(&hash).unwrap().unwrap();
        home.store.forget_receipt(&hash).unwrap();
        kept
    };
    let gone = home.path("gone");
    finish(&gone).remove(&go_on).unwrap();
    assert!(!gone.exists());

    let changed = home.path("changed");
    let receipt = finish(&changed);
    fs::write(changed.join("z/run"), b"mine now").unwrap();
    let left = receipt.remove(&go_on).unwrap();
    assert_eq!(left, [changed.join("z/run")]);
    assert_eq!(fs::read(changed.join("z/run")).unwrap(), b"mine now");
    assert!(!changed.join("a").exists() && !changed.join("z/two").exists());

    let kept = home.path("kept");
    let receipt = finish(&kept);
    fs::write(kept.join("b/mine"), b"mine").unwrap();
    receipt.remove(&go_on).unwrap();
    assert!(kept.join("b/mine").exists());
    assert!(!kept.join("b/c").exists() && !kept.join("a").exists());

    let in_place = home.path("in place");
    fs::create_dir(&in_place).unwrap();
    let error = finish(&in_place).remove(&go_on).unwrap_err();
    assert!(matches!(error, RemoveError::InPlace { .. }), "{error}");
}

/// Stops after this number of calls.
fn stopping_after(calls: usize) -> impl Fn(u64) -> ControlFlow<()> {
    let left = Cell::new(calls);
    move |_| match left.get().checked_sub(1) {
        Some(fewer) => {
            left.set(fewer);
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    }
}

/// Calls `act` again and again, each time with one more call before it is stopped, until it is not.
/// It never changes more entries at `path` than it was called for.
fn is_heard_between_entries<T>(
    path: &Path,
    is_stop: impl Fn(&T) -> bool,
    act: impl Fn(&dyn Fn(u64) -> ControlFlow<()>) -> Result<(), T>,
) {
    let entries = || walkdir::WalkDir::new(path).into_iter().flatten().count();
    let mut stopped = 0;
    loop {
        let before = entries();
        match act(&stopping_after(stopped)) {
            Ok(()) => break,
            Err(error) => assert!(is_stop(&error)),
        }
        assert!(before.abs_diff(entries()) <= stopped);
        stopped += 1;
    }
    assert!(stopped > FILES.len());
}

#[test]
fn a_removal_is_stopped_between_two_entries_and_can_be_repeated() {
    let is_stop = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
    on_every_store(|home| {
        let (seed, part) = (Seed::new(), home.path("copy.part"));
        for manifest in seed.listing().manifests() {
            home.store.keep_manifest(manifest).unwrap();
        }
        let folder = seed.begin(&home.store, &home.path("copy"), &[]);
        seed.give_all(&folder, 4);
        drop(folder);
        let hash = seed.descriptor.hash();
        is_heard_between_entries(
            &part,
            |error| matches!(error, PartialError::Io { source, .. } if is_stop(source)),
            |proceed| {
                assert_eq!(home.store.partials().unwrap().len(), 1, "until all is gone");
                let left = home.store.cancel_partial(&hash, None, proceed)?;
                assert_eq!(left, [] as [PathBuf; 0]);
                Ok(())
            },
        );
        assert!(!part.exists());
        assert_eq!(home.store.partials().unwrap(), []);
    });
    let (seed, home) = (Seed::new(), Home::in_memory());
    let gone = home.path("gone");
    let folder = seed.begin(&home.store, &gone, &[]);
    seed.give_all(&folder, 4);
    let options = FinishOptions {
        receipt: true,
        ..QUICK
    };
    folder
        .finish(&home.store, options, &Ending::default())
        .unwrap();
    let receipt = home.store.receipt(&seed.descriptor.hash());
    let receipt = receipt.unwrap().unwrap();
    is_heard_between_entries(
        &gone,
        |error| matches!(error, RemoveError::Io { source, .. } if is_stop(source)),
        |proceed| {
            assert_eq!(receipt.remove(proceed)?, [] as [PathBuf; 0]);
            Ok(())
        },
    );
    assert!(!gone.exists());
}

#[test]
fn files_that_are_moved_into_an_existing_folder_can_be_stopped_in_between() {
    let (seed, home) = (Seed::new(), Home::in_memory());
    let target = home.path("in place");
    fs::create_dir(&target).unwrap();
    let folder = seed.begin(&home.store, &target, &[]);
    seed.give_all(&folder, 4);
    let stopped = Ending::default();
    assert!(stopped.stop());
    let error = folder.finish(&home.store, QUICK, &stopped).unwrap_err();
    assert!(matches!(error, FinishError::Stopped { .. }), "{error}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    is_heard_between_entries(
        &target,
        |error| matches!(error, FinishError::Stopped { .. }),
        |proceed| folder.put_in_place(false, proceed),
    );
    // A run that was stopped after the last of them resumes and is done.
    drop(folder);
    let folder = seed.begin(&home.store, &target, &[]);
    assert_eq!(folder.missing_bytes(), 0);
    let ending = Ending::default();
    folder.finish(&home.store, QUICK, &ending).unwrap();
    assert!(!ending.stop(), "it is too late");
    assert_same(&target, &seed.root());
}

#[test]
fn files_of_a_folder_keep_their_names() {
    let (seed, home) = (Seed::new(), Home::in_memory());
    let deep = describe(&bytes(100_000, 2)).hash();
    let root = seed.descriptor.hash();
    let name_of = |store: &Store, hash: &Hash| store.name_of(hash, |_| true).unwrap();
    let _growing = seed.begin(&home.store, &home.path("box"), &[]);
    for store in [&home.store, &seed.home.store] {
        assert_eq!(name_of(store, &deep).as_deref(), Some("deep"));
        assert_eq!(name_of(store, &root).as_deref(), Some("tree"));
        assert_eq!(name_of(store, &absent()), None);
        assert_eq!(store.name_of(&deep, |_| false).unwrap(), None);
        assert_eq!(store.name_of(&root, |_| false).unwrap(), None);
    }
}

#[test]
fn a_folder_with_a_damaged_record_is_cancelled_wholly() {
    let (seed, home) = (Seed::new(), Home::on_disk());
    let (hash, target) = (seed.descriptor.hash(), home.path("copy"));
    for manifest in seed.listing().manifests() {
        home.store.keep_manifest(manifest).unwrap();
    }
    let folder = seed.begin(&home.store, &target, &[]);
    for part in Seed::parts(&folder, 0).iter().step_by(2) {
        seed.try_give(&folder, *part).unwrap();
    }
    drop(folder);
    fs::write(home.path("copy.part/mine"), "mine").unwrap();
    let records = home.path("data/partial");
    for record in fs::read_dir(&records).unwrap() {
        fs::write(record.unwrap().path(), "damaged").unwrap();
    }
    let left = home
        .store
        .cancel_partial(&hash, Some(&target), &go_on)
        .unwrap();
    assert_eq!(left, [home.path("copy.part")]);
    let names: Vec<_> = fs::read_dir(home.path("copy.part")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read_dir(&records).unwrap().count(), 0);
}

/// What exFAT supports, as the record of a download there has it.
fn exfat() -> FileSystem {
    FileSystem {
        is_case_sensitive: false,
        supports_links: false,
        keeps_executable: false,
        refused: BTreeSet::from([':']),
        ..FileSystem::unrestricted()
    }
}

/// A folder with names that differ in case, a refused character, links and a program. An earlier
/// run recorded that `target` is on exFAT.
fn begun_on_exfat(
    home: &Home,
    target: &Path,
    spec: impl Fn(PartialSpec) -> PartialSpec,
) -> (Seed, Arc<PartialFolder>) {
    let seed = Seed::with(&[
        ("Twins/a:b", 20_000, 1),
        ("twins/A:B", 600_000, 2),
        ("twins/z/run", 10, 3),
        ("z/run", 10, 4),
    ]);
    let spec = spec(seed.spec(target, &[]));
    let begin = || {
        PartialFolder::create_or_resume(&home.store, spec.clone(), seed.listing(), &|_| {}).unwrap()
    };
    drop(begin());
    let records = home.store.inner.partials.records();
    let EarlierRun::Recorded(mut recorded) = records.earlier_run(&spec.key()).unwrap() else {
        panic!("no record");
    };
    recorded.part.as_mut().unwrap().file_system = Some(exfat());
    records.open(&recorded).unwrap();
    let folder = begin();
    (seed, folder)
}

#[test]
fn a_folder_with_other_names_resumes_is_served_and_is_the_same_when_it_is_shared_again() {
    on_every_store(|home| {
        let target = home.path("copy");
        let (seed, folder) = begun_on_exfat(&home, &target, |spec| spec);
        for part in Seed::parts(&folder, 0).iter().step_by(2) {
            seed.try_give(&folder, *part).unwrap();
        }
        let missing = folder.missing_bytes();
        drop(folder);
        let folder = seed.begin(&home.store, &target, &[]);
        assert!(folder.missing_bytes() <= missing);
        seed.give_all(&folder, 3);
        let options = FinishOptions {
            receipt: true,
            ..QUICK
        };
        let finished = folder
            .finish(&home.store, options, &Ending::default())
            .unwrap();
        drop(folder);
        let differences: Vec<_> = finished
            .differences
            .listed
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "Twins/a:b is called a_b here",
            #[cfg(unix)]
            "the link no files/link -> ../a is left out: the file system does not support links",
            "twins is called twins (2) here",
            "twins/A:B is called A_B here",
        ];
        assert_eq!(differences, expected);
        assert_eq!(
            fs::read(target.join("twins (2)/A_B")).unwrap(),
            bytes(600_000, 2)
        );
        assert_eq!(
            fs::read(target.join("Twins/a_b")).unwrap(),
            bytes(20_000, 1)
        );

        let everyone = Scope::Everyone.into();
        home.store
            .share_finished(&finished, "copy".into(), &everyone)
            .unwrap();
        let content = describe(&bytes(600_000, 2)).hash();
        assert_eq!(
            home.store
                .read_chunk(&content, 0, 0, true)
                .unwrap()
                .data
                .len(),
            16_384
        );
        // No file is executable, as on a file system without that bit.
        for program in ["twins (2)/z/run", "z/run"] {
            let file = fs::File::open(target.join(program)).unwrap();
            let mut permissions = file.metadata().unwrap().permissions();
            #[cfg(unix)]
            std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
            file.set_permissions(permissions).unwrap();
        }
        let again = NewFolder {
            path: target.clone(),
            name: "copy".into(),
            scopes: everyone,
            origin: Origin::Explicit,
        };
        let (descriptor, _) = home.store.share_folder(&again, &go_on).unwrap();
        assert_eq!(descriptor, seed.descriptor);
        let receipt = home
            .store
            .receipt(&seed.descriptor.hash())
            .unwrap()
            .unwrap();
        assert_eq!(receipt.remove(&go_on).unwrap(), [] as [PathBuf; 0]);
        assert!(!target.exists());
        home.store.forget_received(&target);
        assert_eq!(home.store.inner.received.get(&target).unwrap(), None);
    });
}

#[test]
fn a_folder_with_other_names_is_cancelled_wholly() {
    let home = Home::on_disk();
    let target = home.path("copy");
    let (seed, folder) = begun_on_exfat(&home, &target, |spec| spec);
    for manifest in seed.listing().manifests() {
        home.store.keep_manifest(manifest).unwrap();
    }
    seed.give_all(&folder, 3);
    drop(folder);
    assert!(home.path("copy.part/twins (2)/A_B").exists());
    assert_eq!(
        home.store
            .cancel_partial(&seed.descriptor.hash(), None, &go_on)
            .unwrap(),
        [] as [PathBuf; 0]
    );
    assert!(!home.path("copy.part").exists());
}

#[test]
fn links_of_an_earlier_run_that_are_to_be_left_out_are_removed() {
    let (seed, home) = (Seed::new(), Home::on_disk());
    let target = home.path("copy");
    let folder = seed.begin(&home.store, &target, &[]);
    seed.give_all(&folder, 6);
    folder.complete().unwrap();
    drop(folder);
    #[cfg(unix)]
    assert!(home.path("copy.part/no files/link").is_symlink());
    let spec = PartialSpec {
        links: Links::None,
        ..seed.spec(&target, &[])
    };
    let folder =
        PartialFolder::create_or_resume(&home.store, spec, seed.listing(), &|_| {}).unwrap();
    folder
        .finish(&home.store, QUICK, &Ending::default())
        .unwrap();
    assert!(fs::symlink_metadata(target.join("no files/link")).is_err());
    assert_same_as_received(&home, &target, &seed);
}

/// Asserts that the folder has the same hash, though parts of it are left out.
fn assert_same_as_received(home: &Home, target: &Path, seed: &Seed) {
    let folder = NewFolder {
        path: target.to_owned(),
        name: "copy".into(),
        scopes: Scope::Everyone.into(),
        origin: Origin::Explicit,
    };
    assert_eq!(
        home.store.share_folder(&folder, &go_on).unwrap().0,
        seed.descriptor
    );
}
