//! Groups of one node, without peers.

use libp2p::identity::Keypair;
use pelago_groups::{InviteMode, Role, Secret, UserKey};

use super::*;
use crate::{
    network::TransportKind,
    node::{CodedError, LocalUser, Settings},
    store::Store,
};

fn user(seed: u8, name: &str) -> LocalUser {
    LocalUser {
        secret: Secret::from_seed([seed; 32]),
        name: name.parse().unwrap(),
    }
}

async fn node_of(user: Option<LocalUser>, store: &Store) -> Node {
    let settings = Settings {
        transport: TransportKind::Memory,
        listen: Vec::new(),
        mdns: false,
        ..Settings::default()
    };
    let keypair = Keypair::generate_ed25519();
    Node::start(settings, store.clone(), &keypair, user)
        .await
        .unwrap()
}

fn key(seed: u8) -> UserKey {
    user(seed, "x").secret.key()
}

#[tokio::test]
async fn a_group_is_founded_shown_renamed_and_left_and_survives_a_restart() {
    let store = Store::in_memory();
    let anna = node_of(Some(user(1, "anna")), &store).await;
    let created = anna.group_create("family".parse().unwrap()).await.unwrap();
    assert_eq!((created.role, created.members), (Role::Root, 1));
    anna.group_add("family", key(2)).await.unwrap();
    anna.group_rename("family", "tribe".parse().unwrap())
        .await
        .unwrap();
    anna.shutdown().await;

    let anna = node_of(Some(user(1, "anna")), &store).await;
    let shown = anna.group("tribe").await.unwrap();
    assert_eq!(shown.info, anna.groups().unwrap()[0]);
    assert_eq!((shown.info.id, shown.info.members), (created.id, 2));
    assert_eq!((shown.nodes, shown.confirmed), (1, 1));
    let you = shown.members.iter().find(|member| member.is_you).unwrap();
    assert_eq!(you.name, Some("anna".parse().unwrap()));
    assert!(you.is_online && you.peers == [anna.peer_id()]);
    anna.rename_user("Anna".parse().unwrap()).await.unwrap();
    let shown = anna.group("tribe").await.unwrap();
    let you = shown.members.iter().find(|member| member.is_you).unwrap();
    assert_eq!(you.name, Some("Anna".parse().unwrap()));

    anna.group_leave(&created.id.to_string()[..8])
        .await
        .unwrap();
    assert_eq!(anna.groups().unwrap(), []);
    let gone = anna.group("tribe").await.unwrap_err();
    assert_eq!(gone.code(), "not-a-member");
    assert_eq!(
        anna.group("clan").await.unwrap_err().code(),
        "unknown-group"
    );
    // She has the key of the group.
    let back = anna.group_add("tribe", key(1)).await.unwrap();
    assert_eq!(
        (back, anna.groups().unwrap()[0].role),
        (created.id, Role::Root)
    );
}

#[tokio::test]
async fn two_groups_of_one_name_are_selected_by_id() {
    let anna = node_of(Some(user(1, "anna")), &Store::in_memory()).await;
    let mut ids = Vec::new();
    // The second has a Cyrillic letter.
    for name in ["family", "f\u{430}mily"] {
        ids.push(anna.group_create(name.parse().unwrap()).await.unwrap().id);
    }
    let ambiguous = anna.group("family").await.unwrap_err();
    assert_eq!(ambiguous.code(), "ambiguous-name");
    let text = ambiguous.to_string();
    assert!(
        text.contains(&format!("{} (family, root)", ids[0])),
        "{text}"
    );
    assert!(anna.group(&ids[0].to_string()).await.unwrap().is_alike);
    assert_eq!(anna.group_id(&ids[0].to_string()[..12]).unwrap(), ids[0]);
}

#[tokio::test]
async fn an_invite_is_minted_used_up_and_revoked() {
    let anna = node_of(Some(user(1, "anna")), &Store::in_memory()).await;
    anna.group_create("family".parse().unwrap()).await.unwrap();
    let auto = InviteOptions {
        auto: true,
        ..InviteOptions::default()
    };
    let link = anna.group_invite("family", auto).await.unwrap();
    assert_eq!(
        (link.mode, link.name.as_deref()),
        (InviteMode::Auto, Some("family"))
    );
    let invites = anna.group_invites("family").unwrap();
    assert_eq!(
        (invites[0].key, invites[0].uses_left),
        (link.invite.key(), Some(1))
    );
    assert!(invites[0].is_open && invites[0].expires.is_some() && invites[0].is_yours);
    let digits = &invites[0].key.to_string()[..8];
    anna.group_revoke("family", digits).await.unwrap();
    assert!(!anna.group_invites("family").unwrap()[0].is_open);
    let missing = anna.group_revoke("family", "00000000").await.unwrap_err();
    assert_eq!(missing.code(), "unknown-invite");
}

#[tokio::test]
async fn owners_are_made_and_dropped_and_members_removed() {
    let anna = node_of(Some(user(1, "anna")), &Store::in_memory()).await;
    anna.group_create("family".parse().unwrap()).await.unwrap();
    for seed in [2, 3] {
        anna.group_add("family", key(seed)).await.unwrap();
    }
    let again = anna.group_add("family", key(2)).await.unwrap_err();
    assert_eq!(again.code(), "already-a-member");
    let bert = key(2).to_string();
    anna.group_owner_add("family", &bert).await.unwrap();
    assert_eq!(anna.groups().unwrap()[0].owners, 2);
    let refused = anna.group_remove("family", &bert).await.unwrap_err();
    assert_eq!(refused.code(), "user-is-an-owner");
    assert_eq!(
        anna.group_owner_drop_preview("family", &bert)
            .await
            .unwrap(),
        []
    );
    anna.group_owner_drop("family", &bert, None).await.unwrap();
    let removed = anna.group_remove("family", &bert).await.unwrap();
    assert_eq!(removed.users, [key(2)]);
    assert_eq!(anna.groups().unwrap()[0].members, 2);
}

#[tokio::test]
async fn a_node_without_a_user_has_no_groups() {
    let node = node_of(None, &Store::in_memory()).await;
    let refused = node
        .group_create("family".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "no-user");
    assert!(node.groups().is_err() && node.group_joins().is_err());
}
