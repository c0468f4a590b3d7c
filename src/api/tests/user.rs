//! The user of a node, and the API while the user is logged out.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    api::{
        CallError, Client, Transition, Users, locked_router,
        types::{NewUser, PassphraseChange, UserState},
        user_router,
    },
    node::{MemoryCost, Passphrase, UserFile},
};

/// The API of a data folder whose user is logged out, and what it asks the program to do.
fn users(folder: &TempDir) -> (Users, mpsc::Receiver<Transition>) {
    let (sender, transitions) = mpsc::channel(1);
    let file = UserFile::in_folder(folder.path());
    let users = Users::new(file, None, MemoryCost::of_bytes(0), Some(sender));
    (users, transitions)
}

fn code<T>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Refused(error)) => error.code,
        Err(error) => panic!("{error}"),
        Ok(_) => "done".to_owned(),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn anna(passphrase: Option<String>) -> NewUser {
    let name = "anna".to_owned();
    NewUser { name, passphrase }
}

#[tokio::test]
async fn a_user_who_is_logged_out_can_only_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let (here, _transitions) = users(&folder);
    let client = Client::in_process(user_router(here));
    assert_eq!(client.user().await.unwrap().state, UserState::None);
    client.create_user(&anna(text("secret"))).await.unwrap();

    let (locked, mut transitions) = users(&folder);
    let client = Client::in_process(locked_router(locked));
    let status = client.user().await.unwrap();
    assert_eq!(status.state, UserState::Locked);
    assert!(status.user.unwrap().has_passphrase);
    assert_eq!(code(client.status().await), "locked");
    assert_eq!(code(client.shares().await), "locked");
    assert_eq!(code(client.rename_user("bert").await), "locked");
    assert_eq!(code(client.log_out().await), "locked");
    for wrong in [None, text("Secret"), text("")] {
        assert_ne!(code(client.log_in(wrong).await), "done");
    }
    assert!(transitions.try_recv().is_err());
    assert_eq!(code(client.log_in(text("secret\n")).await), "done");
    assert!(matches!(
        transitions.recv().await,
        Some(Transition::LogIn(_))
    ));
}

#[tokio::test]
async fn a_user_is_changed_and_refusals_have_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (here, mut transitions) = users(&folder);
    let client = Client::in_process(user_router(here));
    assert_eq!(code(client.log_out().await), "no-user");
    let nameless = NewUser {
        name: String::new(),
        passphrase: None,
    };
    assert_eq!(code(client.create_user(&nameless).await), "bad-name");
    assert_eq!(
        code(client.create_user(&anna(text(""))).await),
        "bad-passphrase"
    );
    client.create_user(&anna(None)).await.unwrap();
    // The program has yet to restart.
    assert_eq!(code(client.create_user(&anna(None)).await), "restarting");
    assert_eq!(code(client.log_in(None).await), "restarting");
    transitions.recv().await.unwrap();
    assert_eq!(code(client.create_user(&anna(None)).await), "user-exists");
    assert_eq!(code(client.rename_user("bert").await), "locked");

    let change = |current, new| PassphraseChange { current, new };
    client
        .change_passphrase(&change(None, text("new")))
        .await
        .unwrap();
    let wrong = client.change_passphrase(&change(None, None)).await;
    assert_eq!(code(wrong), "wrong-passphrase");
    assert_eq!(
        code(client.rename_user("bert").await),
        "locked",
        "it is still logged out"
    );

    let file = UserFile::in_folder(folder.path());
    let passphrase = Passphrase::new("new").unwrap();
    let keys = Arc::new(file.unlock(Some(&passphrase)).unwrap());
    let (sender, mut transitions) = mpsc::channel(1);
    let here = Users::new(file, Some(keys), MemoryCost::of_bytes(0), Some(sender));
    let client = Client::in_process(user_router(here));
    assert_eq!(client.user().await.unwrap().state, UserState::Unlocked);
    let renamed = client.rename_user("Anna").await.unwrap();
    assert_eq!(renamed.user.unwrap().name, "Anna");
    let change = change(text("new"), text("newer"));
    client.change_passphrase(&change).await.unwrap();
    client.log_out().await.unwrap();
    assert!(matches!(transitions.recv().await, Some(Transition::LogOut)));
    assert!(UserFile::in_folder(folder.path()).is_logged_out());
}

#[tokio::test]
async fn a_node_without_a_data_folder_has_no_user() {
    let client = Client::in_process(user_router(Users::default()));
    assert_eq!(client.user().await.unwrap().state, UserState::None);
    assert_eq!(code(client.create_user(&anna(None)).await), "no-user");
}
