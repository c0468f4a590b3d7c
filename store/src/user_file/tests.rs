use std::fs;

use super::{error::SealedError, *};

const LITTLE: u64 = 64 * 1024;

/// A file of the first version, with its passphrase "correct horse".
const FIRST: &str = "\
    70656c61676f2f7365616c65642f310aa2000000a46475736572582091398ccbfca33bca62865cd8a06a7f5d\
    74764b322fcf1f9ebb279f899ba9ec3f646e616d6568416e6e6120c3967a657465726d73a56e6861735f7061\
    7373706872617365f56a6d656d6f72795f6b69621a000100006670617373657303656c616e6573016473616c\
    74502ad368413e853b2ef248e3fa93db4953656e6f6e63655818b16f171b1173441e947780d531fdc490704b\
    46261eb24e74de223e47fe891d3a784556d63146b21294ac05e953370d8f233e71bd2ee8b892bea7cd46999a\
    daf459ee5e7685fcdd2b276f45ecca4b8f6d804d815e5cab381c710f18a14582ce9fb43d51d42bd70a8dbf4c\
    4ae4f9885ab7dd348cb2418e1135850dd0016d67cc0e956c2c444599f434";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn made(folder: &Path, text: Option<&str>) -> (UserFile, UnlockedUser) {
    let file = UserFile::in_folder(folder);
    let passphrase = text.map(passphrase);
    let memory = MemoryCost::of_bytes(LITTLE);
    let user = file.create(name("anna"), passphrase.as_ref(), memory);
    (file, user.unwrap())
}

fn is_same(one: &UnlockedUser, other: &UnlockedUser) -> bool {
    one.secret().key() == other.secret().key() && one.keypair().public() == other.keypair().public()
}

#[test]
fn the_passphrase_opens_the_keys_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let plain = crate::load_or_create(folder.path()).unwrap();
    let (file, user) = made(folder.path(), Some("correct horse"));
    assert_ne!(
        user.keypair().public(),
        plain.public(),
        "the old key was in clear"
    );
    assert!(!key_file(folder.path()).exists());

    let sealed = file.read().unwrap().unwrap();
    assert_eq!(
        (sealed.user(), sealed.name()),
        (user.secret().key(), user.name())
    );
    let again = file.unlock(Some(&passphrase("correct horse"))).unwrap();
    assert!(is_same(&user, &again));
    let again = file.unlock_with(user.sealing_key().clone()).unwrap();
    assert!(is_same(&user, &again));
    for wrong in [Some(passphrase("wrong horse")), None] {
        let refused = file.unlock(wrong.as_ref()).unwrap_err();
        assert!(
            matches!(refused, UserFileError::WrongPassphrase),
            "{refused}"
        );
    }
    let refused = file
        .create(name("bert"), None, MemoryCost::USUAL)
        .unwrap_err();
    assert!(refused.to_string().contains("anna"), "{refused}");
}

#[test]
fn no_secret_is_in_the_file_or_in_debug_output() {
    let folder = tempfile::tempdir().unwrap();
    let (_, user) = made(folder.path(), Some("correct horse"));
    let bytes = fs::read(folder.path().join(SEALED_FILE)).unwrap();
    for secret in [
        user.secret().seed(),
        &*user.node,
        user.sealing_key().as_bytes(),
    ] {
        assert!(!bytes.windows(32).any(|window| window == secret));
    }
    let shown = format!("{user:?}");
    assert!(!shown.contains(&format!("{:?}", user.node)), "{shown}");
}

#[test]
fn a_user_without_a_passphrase_opens_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (file, user) = made(folder.path(), None);
    assert!(!file.read().unwrap().unwrap().has_passphrase());
    assert!(is_same(&user, &file.unlock(None).unwrap()));
    assert!(is_same(
        &user,
        &file.unlock(Some(&passphrase("any"))).unwrap()
    ));
}

#[test]
fn the_name_and_the_passphrase_change_and_the_keys_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (file, user) = made(folder.path(), Some("old"));
    let renamed = file.rename(&user, name("Anna Öz")).unwrap();
    assert!(is_same(&user, &renamed));
    let memory = MemoryCost::of_bytes(LITTLE);
    let old = file.unlock(Some(&passphrase("old"))).unwrap();
    assert_eq!(old.name().as_str(), "Anna Öz");
    file.change_passphrase(&old, Some(&passphrase("new")), memory)
        .unwrap();
    file.unlock(Some(&passphrase("old"))).unwrap_err();
    let new = file.unlock(Some(&passphrase("new"))).unwrap();
    assert!(is_same(&user, &new) && new.name() == renamed.name());
    file.change_passphrase(&new, None, memory).unwrap();
    assert!(is_same(&user, &file.unlock(None).unwrap()));
}

#[test]
fn an_exported_user_is_imported_elsewhere() {
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (file, user) = made(here.path(), Some("correct horse"));
    let exported = file.export().unwrap();
    let other = UserFile::in_folder(there.path());
    let right = passphrase("correct horse");
    assert!(matches!(
        other.import(&exported, None),
        Err(UserFileError::WrongPassphrase)
    ));
    assert!(matches!(
        other.import(&exported[1..], Some(&right)),
        Err(UserFileError::NotSealed)
    ));
    assert!(other.read().unwrap().is_none(), "nothing was written");
    assert!(is_same(
        &user,
        &other.import(&exported, Some(&right)).unwrap()
    ));
    assert!(is_same(&user, &other.unlock(Some(&right)).unwrap()));
    let refused = other.import(&exported, Some(&right)).unwrap_err();
    assert!(matches!(refused, UserFileError::Exists { .. }));
}

#[test]
fn damage_is_told_from_a_wrong_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = made(folder.path(), Some("correct horse"));
    let path = folder.path().join(SEALED_FILE);
    let whole = fs::read(&path).unwrap();
    assert!(SealedUser::parse(&whole).is_ok());
    let is_damaged = |bytes: &[u8]| SealedUser::parse(bytes) == Err(SealedError::Damaged);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        // The version is a part of the magic.
        let is_newer = SealedUser::parse(&bytes) == Err(SealedError::Newer);
        assert!(is_newer || is_damaged(&bytes), "byte {at}");
        assert_eq!(is_newer, (14..16).contains(&at), "byte {at}");
        assert!(is_damaged(&whole[..at]), "{at} bytes");
    }
    assert!(is_damaged(&[&whole[..], &[0; 2000]].concat()));

    // It is never replaced.
    durable::replace(&path, b"damaged").unwrap();
    let refused = file
        .create(name("bert"), None, MemoryCost::USUAL)
        .unwrap_err();
    assert!(matches!(refused, UserFileError::Damaged { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
}

#[test]
fn logging_out_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = made(folder.path(), None);
    assert!(!file.is_logged_out());
    file.set_logged_out(true).unwrap();
    assert!(UserFile::in_folder(folder.path()).is_logged_out());
    file.set_logged_out(false).unwrap();
    file.set_logged_out(false).unwrap();
    assert!(!file.is_logged_out());
}

#[test]
fn the_files_of_earlier_versions_open() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..FIRST.len() / 2)
        .map(|at| u8::from_str_radix(&FIRST[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    durable::replace(&folder.path().join(SEALED_FILE), &bytes).unwrap();
    let file = UserFile::in_folder(folder.path());
    let user = file.unlock(Some(&passphrase("correct horse"))).unwrap();
    assert_eq!(user.name().as_str(), "Anna Öz");
    let key = "91398ccbfca33bca62865cd8a06a7f5d74764b322fcf1f9ebb279f899ba9ec3f";
    assert_eq!(user.secret().key().to_string(), key);
    let peer = "12D3KooWSn7AAunJeQV5o88hvZ1JvadXEWK8iFrXGNpmtjVbKcUW";
    assert_eq!(user.keypair().public().to_peer_id().to_string(), peer);
}
