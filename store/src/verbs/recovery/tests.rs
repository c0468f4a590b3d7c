use std::{fs, path::Path};

use pelago_content::Kind;
use pelago_groups::{GroupId, Held, Secret, Statement, UserKey, acts};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::{
    GroupChange, GroupRow, Known, NewFolder, NewShare, Origin, Scope,
    recovery::RECOVERY_FILE,
    share_log::ShareLog,
    testing::{self, Home, bytes, go_on},
};

const DATABASE: &str = "state.redb";

/// How many single files a person shared; every third one is unlisted.
const SINGLE: usize = 200;

/// How many files the watched folder has.
const WATCHED: usize = 300;

/// How many folders are shared, and how many files each has.
const FOLDERS: usize = 6;
const IN_FOLDER: usize = 60;

/// A closed store with hundreds of rows.
fn filled() -> Home {
    let home = Home::on_disk();
    let watched = home.path("watched");
    fs::create_dir(&watched).unwrap();
    let path = |number: usize| match number {
        0..SINGLE => home.path(&format!("single {number}")),
        _ => watched.join(number.to_string()),
    };
    for number in 0..SINGLE + WATCHED {
        fs::write(path(number), bytes(500, number as u64)).unwrap();
    }
    let new = |number: usize| {
        let mut share = home.hash(&path(number));
        if number >= SINGLE {
            share.origin = Origin::Folder(watched.clone());
        } else if number.is_multiple_of(3) {
            share.scopes = Scope::Unlisted.into();
        }
        share
    };
    let shares: Vec<NewShare> = (0..SINGLE + WATCHED).map(new).collect();
    home.store.add_shares(&shares).unwrap();
    for number in 0..FOLDERS {
        let path = home.path(&format!("folder {number}"));
        fs::create_dir_all(path.join("sub")).unwrap();
        for file in 0..IN_FOLDER {
            let seed = 1000 * number + file + 10_000;
            fs::write(path.join(format!("sub/{file}")), bytes(700, seed as u64)).unwrap();
        }
        home.store.share_folder(&folder(path), &go_on).unwrap();
    }
    home
}

fn folder(path: PathBuf) -> NewFolder {
    NewFolder {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        path,
        scopes: Scope::Everyone.into(),
        origin: Origin::Explicit,
    }
}

/// All shares by path.
fn shares(store: &Store) -> BTreeMap<PathBuf, Share> {
    let page = store.every_share(None, usize::MAX, |_| true).unwrap();
    let shares = page.shares.into_iter();
    shares.map(|share| (share.path.clone(), share)).collect()
}

/// Finds lost folders again, as a node does.
fn find_lost(store: &Store) {
    for lost in store.lost_shares().unwrap() {
        let share = lost.share.unwrap();
        assert_eq!(share.descriptor.kind(), Kind::Folder, "{share:?}");
        let folder = folder(share.path);
        store
            .share_folder_again(&folder, &share.hash, &go_on)
            .unwrap();
    }
    store.keep_lost(&[]).unwrap();
}

/// A copy of a data folder, with which it is restored.
struct Kept {
    folder: PathBuf,
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Kept {
    fn of(home: &Home) -> Self {
        let folder = home.store.folder().unwrap().to_owned();
        Self {
            database: fs::read(folder.join(DATABASE)).unwrap(),
            log: fs::read(folder.join("shares.log")).unwrap(),
            folder,
        }
    }

    fn damage(&self, database: &[u8]) {
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with(DATABASE) || name == RECOVERY_FILE {
                fs::remove_file(&path).unwrap();
            }
        }
        fs::write(self.folder.join(DATABASE), database).unwrap();
        fs::write(self.folder.join("shares.log"), &self.log).unwrap();
    }

    fn was_set_aside(&self) -> bool {
        self.folder.join("state.redb.damaged-1").exists()
    }
}

#[test]
fn shares_are_found_again_wherever_80_kb_are_overwritten() {
    let home = filled();
    let before = shares(&home.store);
    let members: Vec<_> = (0..FOLDERS)
        .map(|number| {
            home.store
                .members(&home.path(&format!("folder {number}")))
                .unwrap()
        })
        .collect();
    let Home { store, folder: top } = home;
    let kept = Kept::of(&Home {
        store: store.clone(),
        folder: tempfile::tempdir().unwrap(),
    });
    drop(store);
    let (mut rounds, mut known) = (0, 0);
    for seed in 0..24 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut damaged = kept.database.clone();
        let start = random.random_range(0..damaged.len() - 80_000);
        let noise = &mut damaged[start..start + 80_000];
        match seed % 3 {
            0 => random.fill_bytes(noise),
            1 => noise.fill(0),
            // Valid pages that were written to the wrong place.
            _ => noise.copy_from_slice(&kept.database[4096..84_096]),
        }
        kept.damage(&damaged);
        let store = testing::open(top.path());
        let found = shares(&store);
        if !kept.was_set_aside() {
            assert_eq!(found, before, "seed {seed}");
            continue;
        }
        rounds += 1;
        for (path, share) in &before {
            let is_folder = share.descriptor.kind() == Kind::Folder;
            if is_logged(share) && !is_folder {
                assert_eq!(found.get(path), Some(share), "seed {seed}");
            }
        }
        let is_right = |share: &Share| before.get(&share.path) == Some(share);
        assert!(found.values().all(is_right), "seed {seed}");
        known += found.len() - SINGLE;
        find_lost(&store);
        let found = shares(&store);
        for (path, share) in before.iter().filter(|(_, share)| is_logged(share)) {
            let again = found
                .get(path)
                .unwrap_or_else(|| panic!("seed {seed}: {share:?}"));
            let again = Share {
                added: share.added,
                ..again.clone()
            };
            assert_eq!(again, *share, "seed {seed}");
        }
        for (number, members) in members.iter().enumerate() {
            let path = top.path().join(format!("folder {number}"));
            assert_eq!(store.members(&path).unwrap(), *members, "seed {seed}");
        }
        assert_eq!(Recovery::read(&kept.folder).unwrap(), None);
        drop(store);
        let _ = testing::open(top.path()).count().unwrap();
        assert!(
            !kept.folder.join("state.redb.damaged-2").exists(),
            "seed {seed}"
        );
    }
    assert!(rounds >= 8, "{rounds}");
    // Rows of watched folders are not in the log. They only save hashing.
    assert!(known > rounds * WATCHED / 2, "{known} in {rounds} rounds");
}

#[test]
fn shares_are_found_again_whatever_is_in_place_of_the_database() {
    let home = filled();
    let before = shares(&home.store);
    let kept = Kept::of(&home);
    let Home { store, folder: top } = home;
    drop(store);
    let half = &kept.database[..kept.database.len() / 2];
    let mut header = kept.database.clone();
    header[..4096].fill(0xaa);
    for damaged in [&b""[..], b"a text file\n", half, &header] {
        kept.damage(damaged);
        let store = testing::open(top.path());
        let lost = store.lost_shares().unwrap();
        assert_eq!(lost.len(), FOLDERS);
        let collected = store.collect().unwrap();
        assert_eq!(
            collected,
            crate::Collected::default(),
            "they are needed again"
        );
        let recovery = Recovery::read(&kept.folder).unwrap().unwrap();
        assert_eq!(recovery.damaged.as_deref(), Some("state.redb.damaged-1"));
        assert_eq!(recovery.lost.len(), FOLDERS);
        if damaged == header {
            let known = lost.iter().map(|lost| store.members(&lost.path).unwrap());
            assert_eq!(known.flatten().count(), FOLDERS * IN_FOLDER);
        }
        find_lost(&store);
        assert_eq!(Recovery::read(&kept.folder).unwrap(), None);
        let found = shares(&store);
        for share in before.values().filter(|share| is_logged(share)) {
            assert_eq!(found[&share.path].hash, share.hash);
            assert_eq!(found[&share.path].scopes, share.scopes);
        }
    }
    // The file is gone, as after a crash between two renames.
    kept.damage(b"");
    fs::remove_file(kept.folder.join(DATABASE)).unwrap();
    let store = testing::open(top.path());
    assert_eq!(shares(&store).len(), SINGLE);
    assert_eq!(store.lost_shares().unwrap().len(), FOLDERS);
}

#[test]
fn what_was_withdrawn_does_not_return_and_what_changed_is_not_shared() {
    let home = filled();
    let unshared: Vec<_> = (0..SINGLE)
        .step_by(2)
        .map(|number| {
            let share = home.store.share_at(&home.path(&format!("single {number}")));
            let share = share.unwrap().unwrap();
            (share.hash, share.path)
        })
        .collect();
    home.store.remove_shares(&unshared).unwrap();
    let kept = Kept::of(&home);
    let Home { store, folder: top } = home;
    drop(store);
    fs::write(top.path().join("folder 0/private"), "not for everyone").unwrap();
    fs::write(top.path().join("single 1"), "changed").unwrap();
    let mut damaged = kept.database.clone();
    damaged[..4096].fill(0);
    kept.damage(&damaged);
    let store = testing::open(top.path());
    let found = shares(&store);
    for (_, path) in &unshared {
        assert!(!found.contains_key(path), "{path:?}");
    }
    let lost = store.lost_shares().unwrap();
    let paths: Vec<_> = lost
        .iter()
        .map(|lost| lost.path.strip_prefix(top.path()).unwrap())
        .collect();
    assert_eq!(paths.len(), FOLDERS + 1);
    assert!(paths.contains(&Path::new("single 1")), "{paths:?}");
    let changed = lost
        .iter()
        .find(|lost| lost.path.ends_with("folder 0"))
        .unwrap();
    let share = changed.share.clone().unwrap();
    let error = store.share_folder_again(&folder(share.path.clone()), &share.hash, &go_on);
    assert!(
        matches!(error, Err(crate::FolderError::Changed { .. })),
        "{error:?}"
    );
    assert_eq!(store.share_at(&share.path).unwrap(), None);

    // Shares that are not found stay listed, also when the database is damaged again.
    store.keep_lost(std::slice::from_ref(&share.path)).unwrap();
    drop(store);
    fs::write(kept.folder.join(DATABASE), "damaged again").unwrap();
    let store = testing::open(top.path());
    let lost = store.lost_shares().unwrap();
    assert!(lost.iter().any(|lost| lost.path == share.path));
    // They are forgotten once a person removes the list.
    fs::remove_file(Recovery::file(&kept.folder)).unwrap();
    assert_eq!(store.lost_shares().unwrap(), []);
    store.keep_lost(&[]).unwrap();
    let logged = ShareLog::in_folder(&kept.folder).read().unwrap().unwrap();
    assert!(!logged.shares.contains_key(&share.path));
}

#[test]
fn without_a_log_what_was_shared_is_named() {
    let home = filled();
    let kept = Kept::of(&home);
    let Home { store, folder: top } = home;
    drop(store);
    let mut damaged = kept.database.clone();
    damaged[..4096].fill(0);
    kept.damage(&damaged);
    fs::remove_file(kept.folder.join("shares.log")).unwrap();
    let store = testing::open(top.path());
    // They may have been unshared long ago, so the store restores only what a scan finds.
    assert_eq!(shares(&store).len(), WATCHED);
    let lost = store.lost_shares().unwrap();
    assert_eq!(lost.len(), SINGLE + FOLDERS);
    assert!(lost.iter().all(|lost| lost.share.is_none()));
    let path = top.path().join("single 0");
    let again = store.hash_file(&path, &go_on).unwrap();
    let share = NewShare {
        descriptor: again.descriptor,
        name: "again".to_owned(),
        path,
        scopes: Scope::Everyone.into(),
        origin: Origin::Explicit,
        fingerprint: again.fingerprint,
    };
    store.add_shares(&[share]).unwrap();
    assert_eq!(store.lost_shares().unwrap().len(), SINGLE + FOLDERS - 1);
}

/// A group of 300 members, of whom the first is removed. Each change was a commit.
fn group(store: &Store) -> (GroupId, Vec<Statement>) {
    let root = Secret::<UserKey>::from_seed([0; 32]);
    let founding = acts::found(&root, &"family".parse().unwrap(), [7; 16]);
    let group = founding.group().unwrap();
    let mut held = Held::new(group);
    held.merge([founding]);
    let users: Vec<_> = (1..=300_u16)
        .map(|number| {
            let mut seed = [1; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            Secret::<UserKey>::from_seed(seed).key()
        })
        .collect();
    let keep = |statements: &[&Statement]| {
        let change = |statement: &&Statement| GroupChange {
            kind: GroupRow::Statement,
            of: *group.as_bytes(),
            key: format!("{:?}", statement.slot()).into_bytes(),
            row: Some(statement.as_bytes().to_vec()),
        };
        let changes: Vec<_> = statements.iter().map(change).collect();
        store.change_groups(&changes).unwrap();
    };
    let admitted = users
        .iter()
        .map(|user| acts::admit(&held, &root, *user, None).unwrap());
    let admitted: Vec<_> = admitted.collect();
    held.merge(admitted);
    keep(&held.statements().collect::<Vec<_>>());
    let removed = acts::remove(&held, &root, users[0], None).unwrap();
    keep(&[&removed]);
    held.merge([removed]);
    (group, held.statements().cloned().collect())
}

fn statements(store: &Store) -> Vec<Statement> {
    let mut found = Vec::new();
    let take = |_, _: &[u8], row: &[u8]| found.push(Statement::from_bytes(row).unwrap());
    store.each_group_row(GroupRow::Statement, take).unwrap();
    found
}

#[test]
fn groups_are_found_again_and_what_is_theirs_stays_theirs() {
    let home = Home::on_disk();
    let watched = home.path("watched");
    fs::create_dir(&watched).unwrap();
    let (group, expected) = group(&home.store);
    let own = [(GroupRow::Join, "asked"), (GroupRow::Invite, "noted")];
    let own = own.map(|(kind, row)| GroupChange {
        kind,
        of: *group.as_bytes(),
        key: Vec::new(),
        row: Some(row.as_bytes().to_vec()),
    });
    home.store.change_groups(&own).unwrap();
    fs::write(watched.join("theirs"), "theirs").unwrap();
    let theirs = home.hash(&watched.join("theirs"));
    let known = Known::Content(theirs.descriptor.hash());
    home.store.note_known(group, [known]).unwrap();
    let kept = {
        home.share("own", b"own");
        Kept::of(&home)
    };
    let Home { store, folder: top } = home;
    drop(store);

    let mut headless = kept.database.clone();
    headless[..4096].fill(0);
    // The page that holds the row of one member.
    let row = expected[150].as_bytes();
    let at = kept
        .database
        .windows(row.len())
        .rposition(|bytes| bytes == row);
    let page = at.unwrap() / 4096 * 4096;
    let mut torn = kept.database.clone();
    torn[page..page + 4096].fill(0xAA);
    for (damaged, all) in [(headless, true), (torn, false)] {
        kept.damage(&damaged);
        let store = testing::open(top.path());
        let found = statements(&store);
        assert!(kept.was_set_aside());
        if all {
            let bytes = |of: &[Statement]| {
                let bytes = of.iter().map(|statement| statement.as_bytes().to_vec());
                bytes.collect::<BTreeSet<_>>()
            };
            assert!(
                bytes(&found) == bytes(&expected),
                "the later one of each slot"
            );
            assert_eq!(store.groups_that_know(&known).unwrap(), [group]);
            let row = |kind| store.group_row(kind, group.as_bytes(), &[]).unwrap();
            assert_eq!(row(GroupRow::Join).as_deref(), Some(&b"asked"[..]));
            assert_eq!(row(GroupRow::Invite), None, "it may be out of date");
            // A folder that is watched for everyone does not share what is known from the group.
            let found = NewShare {
                origin: Origin::Folder(watched.clone()),
                ..theirs.clone()
            };
            store.add_shares(std::slice::from_ref(&found)).unwrap();
            let share = store.share_at(&found.path).unwrap().unwrap();
            assert!(!share.scopes.is_listed());
        } else {
            assert!(found.len() > 200, "{}", found.len());
        }
    }
}
