use super::*;
use crate::{
    Origin, Scope,
    testing::{Home, absent, on_every_store, open},
};

#[test]
fn a_share_is_found_by_all_its_names() {
    on_every_store(|home| {
        let new = home.share("file", b"some content");
        let hash = new.descriptor.hash();
        let [share] = &home.store.shares_of(&hash).unwrap()[..] else {
            panic!("one share");
        };
        assert_eq!(share.hash, hash);
        assert_eq!((share.descriptor, &share.path), (new.descriptor, &new.path));
        assert_eq!(share.fingerprint, new.fingerprint);
        let same = Some(share.clone());
        assert_eq!(home.store.share_at(&new.path).unwrap(), same);
        let named = home.store.shares_named("file").unwrap();
        assert_eq!(named, std::slice::from_ref(share));
        assert_eq!(home.store.shares_named("fil").unwrap(), []);
        assert_eq!(home.store.count().unwrap(), 1);
        assert_eq!(
            home.store.scopes(&hash).unwrap(),
            Some(Scope::Everyone.into())
        );
        assert_eq!(home.store.scopes(&absent()).unwrap(), None);

        let removed = [(hash, new.path.clone()), (absent(), new.path.clone())];
        assert_eq!(home.store.remove_shares(&removed).unwrap(), 1);
        assert_eq!(home.store.remove_shares(&removed).unwrap(), 0);
        assert_eq!(home.store.shares_of(&hash).unwrap(), []);
        assert_eq!(home.store.share_at(&new.path).unwrap(), None);
        assert_eq!(home.store.count().unwrap(), 0);
        assert_eq!(home.store.scopes(&hash).unwrap(), None);
    });
}

#[test]
fn shares_survive_a_restart() {
    let home = Home::on_disk();
    let new = home.share("file", b"some content");
    let before = home.store.share_at(&new.path).unwrap();
    let Home { store, folder } = home;
    drop(store);
    let again = open(folder.path());
    assert_eq!(again.share_at(&new.path).unwrap(), before);
}

#[test]
fn scopes_are_those_of_all_live_shares() {
    on_every_store(|home| {
        let folder = home.folder.path().to_owned();
        let mut new = home.share("listed", b"same");
        new.path = home.path("unlisted");
        new.scopes = Scope::Unlisted.into();
        new.origin = Origin::Folder(folder.clone());
        home.store.add_shares(&[new.clone()]).unwrap();
        let hash = new.descriptor.hash();
        let scopes = || home.store.scopes(&hash).unwrap().unwrap();

        assert_eq!(scopes(), Scope::Everyone.into());
        assert_eq!(home.store.count().unwrap(), 1);
        home.store.set_live_folders(vec![folder]);
        assert!(scopes().contains(Scope::Everyone) && scopes().contains(Scope::Unlisted));
        assert_eq!(home.store.count().unwrap(), 2);
        home.store.set_live_folders(Vec::new());
        assert_eq!(home.store.shares_of(&hash).unwrap().len(), 1);
        let listed = home.path("listed");
        home.store.remove_shares(&[(hash, listed)]).unwrap();
        assert_eq!(home.store.scopes(&hash).unwrap(), None);
        assert!(home.store.share_at(&new.path).unwrap().is_some());
    });
}

#[test]
fn new_content_at_a_path_replaces_the_old() {
    on_every_store(|home| {
        let old = home.share("file", b"old");
        let new = home.share("file", b"new content");
        assert_eq!(home.store.shares_of(&old.descriptor.hash()).unwrap(), []);
        let found = home.store.share_at(&new.path).unwrap().unwrap();
        assert_eq!(found.descriptor, new.descriptor);
        assert_eq!(home.store.count().unwrap(), 1);
    });
}

#[test]
fn a_folder_scan_does_not_overrule_a_person() {
    on_every_store(|home| {
        let mut new = home.share("file", b"content");
        new.scopes = Scope::Unlisted.into();
        new.name = "chosen".to_owned();
        home.store.add_shares(&[new.clone()]).unwrap();
        new.scopes = Scope::Everyone.into();
        new.name = "found".to_owned();
        new.origin = Origin::Folder(home.folder.path().to_owned());
        home.store.add_shares(&[new.clone()]).unwrap();
        let kept = home.store.share_at(&new.path).unwrap().unwrap();
        assert_eq!(kept.scopes, Scope::Unlisted.into());
        assert_eq!((&kept.name[..], kept.origin), ("chosen", Origin::Explicit));
    });
}

#[test]
fn pages_give_every_share_once() {
    on_every_store(|home| {
        let one = home.share("0", b"same in many places");
        let shares: Vec<_> = (0..25)
            .map(|number| NewShare {
                path: home.path(&format!("many/{number}")),
                name: number.to_string(),
                ..one.clone()
            })
            .collect();
        home.store.add_shares(&shares).unwrap();
        home.share("other", b"other");

        for limit in [1, 7, 26, 27, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = home.store.shares_page(after.as_ref(), limit, |_| true);
                let page = page.unwrap();
                assert!(page.shares.len() <= limit);
                found.extend(page.shares.into_iter().map(|share| share.path));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            found.sort();
            found.dedup();
            assert_eq!(found.len(), 27, "limit {limit}");
        }
        let before = Cursor::before(one.descriptor.hash());
        let rest = home.store.shares_page(Some(&before), 100, |_| true);
        assert_eq!(rest.unwrap().shares[0].hash, one.descriptor.hash());
        let odd = |share: &Share| share.name.ends_with('1');
        let found = home.store.shares_page(None, 100, odd).unwrap();
        assert_eq!(found.shares.len(), 3);
    });
}

#[test]
fn a_folder_has_only_what_is_below_it() {
    on_every_store(|home| {
        let one = home.share("file", b"content");
        let names = ["a/1", "a/2", "a/b/3", "a/c", "ab/4", "a.txt", "b"];
        let shares: Vec<_> = names
            .iter()
            .map(|name| NewShare {
                path: home.path(name),
                ..one.clone()
            })
            .collect();
        home.store.add_shares(&shares).unwrap();
        let folder = home.path("a");
        let mut found = Vec::new();
        loop {
            let after = found.last().map(PathBuf::as_path);
            let page = home.store.shares_under(&folder, after, 3).unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|share| share.path));
        }
        let expected: Vec<_> = names[..4].iter().map(|name| home.path(name)).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn relative_paths_are_refused() {
    on_every_store(|home| {
        let mut new = home.share("file", b"content");
        new.path = "file".into();
        let error = home.store.add_shares(&[new]).unwrap_err();
        assert!(matches!(error, ShareError::Path { .. }));
        assert_eq!(home.store.count().unwrap(), 1);
    });
}
