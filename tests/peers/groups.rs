//! Users found groups, join and leave them; what their nodes exchange, and what others see of it.

use std::time::Duration;

use libp2p::identity::Keypair;
use pelago::{
    CodedError, DownloadRequest, GroupInfo, GroupLink, InviteOptions, JoinStatus, LocalUser, Node,
    Output, Role, Secret, ShareRequest, Store, UserKey,
};

use crate::{
    content::Content,
    nodes::{Home, assert_same, ended, in_time, request, settings},
};

/// A node of a user, whose secret follows from the name.
pub(crate) async fn home(name: &str) -> Home {
    Home::of_user(
        settings(name),
        Store::in_memory(),
        &Keypair::generate_ed25519(),
        user(name),
    )
    .await
}

pub(crate) fn user(name: &str) -> LocalUser {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    LocalUser {
        secret: Secret::from_seed(seed),
        name: name.parse().unwrap(),
    }
}

pub(crate) fn key(name: &str) -> UserKey {
    user(name).secret.key()
}

/// Waits until `wanted` holds for what the node knows of its groups.
pub(crate) async fn until(node: &Node, wanted: impl Fn(&Node) -> bool) {
    let mut revision = node.groups_revision();
    in_time(async {
        while !wanted(node) {
            revision.changed().await.unwrap();
        }
    })
    .await;
}

/// The first group of the node.
fn group(node: &Node) -> Option<GroupInfo> {
    node.groups().unwrap().into_iter().next()
}

fn has_members(count: usize) -> impl Fn(&Node) -> bool {
    move |node| group(node).is_some_and(|group| group.members == count)
}

fn is(role: Role) -> impl Fn(&Node) -> bool {
    move |node| group(node).is_some_and(|group| group.role == role)
}

fn knows_invites(count: usize) -> impl Fn(&Node) -> bool {
    move |node| node.group_invites("family").unwrap().len() == count
}

pub(crate) async fn founded(home: &Home) {
    home.node
        .group_create("family".parse().unwrap())
        .await
        .unwrap();
}

pub(crate) async fn ask_link(home: &Home) -> GroupLink {
    home.node
        .group_invite("family", InviteOptions::default())
        .await
        .unwrap()
}

pub(crate) async fn auto_link(home: &Home, uses: u32) -> GroupLink {
    let options = InviteOptions {
        auto: true,
        uses: Some(uses),
        expires_in: None,
    };
    home.node.group_invite("family", options).await.unwrap()
}

/// Joins by a link that admits by itself.
pub(crate) async fn join(home: &Home, link: &GroupLink) {
    let status = home
        .node
        .group_join(link.clone(), String::new())
        .await
        .unwrap();
    assert_eq!(status, JoinStatus::Accepted);
}

/// ```text
///   anna (founder) <--- bert (by an auto link)
///                  <--- carl (by the same link, which is used up, one that expired, a revoked one)
/// ```
#[tokio::test]
async fn a_link_admits_as_many_as_it_may_and_rejects_the_next() {
    let [anna, bert, carl] = [home("anna").await, home("bert").await, home("carl").await];
    founded(&anna).await;
    let link = auto_link(&anna, 1).await;
    join(&bert, &link).await;
    until(&bert.node, has_members(2)).await;
    let shown = bert.node.groups().unwrap();
    assert_eq!(
        (shown[0].name.as_str(), shown[0].role),
        ("family", Role::Member)
    );

    let short = InviteOptions {
        auto: true,
        expires_in: Some(Duration::ZERO),
        ..InviteOptions::default()
    };
    let expired = anna.node.group_invite("family", short).await.unwrap();
    let revoked = auto_link(&anna, 9).await;
    let key = revoked.invite.key().to_string();
    anna.node.group_revoke("family", &key).await.unwrap();
    // Carl asks both.
    until(&bert.node, |node| {
        let invites = node.group_invites("family").unwrap();
        invites.len() == 3 && invites.iter().all(|invite| !invite.is_open)
    })
    .await;
    for link in [link, expired, revoked] {
        let status = carl.node.group_join(link, String::new()).await.unwrap();
        assert_eq!(status, JoinStatus::Revoked);
    }
    assert!(carl.node.groups().unwrap().is_empty());
    assert!(!anna.node.group_invites("family").unwrap()[0].is_open);
    assert_eq!(anna.node.groups().unwrap()[0].members, 2);
}

/// Bert, who is only a member, holds the request while Anna is off.
///
/// ```text
///   anna (founder, off) ... bert (member) <--- carl (asks)
/// ```
#[tokio::test]
async fn a_member_holds_a_request_while_the_founder_is_off() {
    let (store, identity) = (Store::in_memory(), Keypair::generate_ed25519());
    let start = || Home::of_user(settings("anna"), store.clone(), &identity, user("anna"));
    let anna = start().await;
    let (bert, carl) = (home("bert").await, home("carl").await);
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, has_members(2)).await;
    let link = ask_link(&anna).await;
    assert!(
        link.peers.len() >= 2,
        "the link names members: {:?}",
        link.peers
    );
    until(&bert.node, knows_invites(2)).await;
    anna.node.shutdown().await;
    drop(anna);

    let status = carl.node.group_join(link, "it is me".into()).await.unwrap();
    assert_eq!(status, JoinStatus::Pending);
    let held = bert.node.group_requests("family").unwrap();
    assert_eq!(
        (held[0].user, held[0].message.as_str()),
        (key("carl"), "it is me")
    );

    let anna = start().await;
    anna.node.connect(&bert.address().await).await.unwrap();
    until(&anna.node, |node| {
        !node.group_requests("family").unwrap().is_empty()
    })
    .await;
    anna.node.group_accept("family", "carl").await.unwrap();
    anna.node.connect(&carl.address().await).await.unwrap();
    until(&carl.node, has_members(3)).await;
    until(&bert.node, has_members(3)).await;
    assert_eq!(
        carl.node.group_joins().unwrap()[0].status,
        JoinStatus::Accepted
    );
    assert!(bert.node.group_requests("family").unwrap().is_empty());
}

/// The nodes of those who are rejected or removed learn of it when they are connected.
#[tokio::test]
async fn the_rejected_and_the_removed_are_informed_and_their_links_serve_no_longer() {
    let [anna, bert, carl] = [home("anna").await, home("bert").await, home("carl").await];
    founded(&anna).await;
    let link = auto_link(&anna, 2).await;
    join(&bert, &link).await;
    until(&bert.node, has_members(2)).await;
    let removed = anna.node.group_remove("family", "bert").await.unwrap();
    assert_eq!(
        (removed.users, removed.revoked.len()),
        (vec![key("bert")], 1)
    );
    until(&bert.node, |node| node.groups().unwrap().is_empty()).await;
    assert_eq!(
        bert.node.group_joins().unwrap()[0].status,
        JoinStatus::Removed
    );
    assert_eq!(
        bert.node.group("family").await.unwrap_err().code(),
        "not-a-member"
    );
    let again = bert.node.group_join(link, String::new()).await.unwrap();
    assert_eq!(again, JoinStatus::Rejected);

    // An unspent link becomes a request: an entry of him exists.
    let other = auto_link(&anna, 1).await;
    let asked = bert.node.group_join(other, String::new()).await.unwrap();
    assert_eq!(asked, JoinStatus::Pending);
    anna.node.group_accept("family", "bert").await.unwrap();
    until(&bert.node, has_members(2)).await;

    let asked = carl
        .node
        .group_join(ask_link(&anna).await, String::new())
        .await
        .unwrap();
    assert_eq!(asked, JoinStatus::Pending);
    anna.node.group_reject("family", "carl").await.unwrap();
    until(&carl.node, |node| {
        node.group_joins().unwrap()[0].status == JoinStatus::Rejected
    })
    .await;
    assert!(anna.node.group_requests("family").unwrap().is_empty());
}

/// ```text
///   anna (founder) --- bert (owner, leaves) --- carl
/// ```
#[tokio::test]
async fn who_leaves_is_gone_everywhere_and_what_he_decided_stays() {
    let [anna, bert, carl] = [home("anna").await, home("bert").await, home("carl").await];
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    anna.node
        .group_owner_add("family", &key("bert").to_string())
        .await
        .unwrap();
    until(&bert.node, is(Role::Owner)).await;
    join(&carl, &auto_link(&bert, 1).await).await;
    until(&anna.node, has_members(3)).await;
    bert.node.group_leave("family").await.unwrap();
    assert!(bert.node.groups().unwrap().is_empty());
    assert_eq!(bert.node.group_joins().unwrap(), []);
    until(&anna.node, has_members(2)).await;
    until(&carl.node, has_members(2)).await;

    // Both come back, each by the other.
    anna.node.group_add("family", key("bert")).await.unwrap();
    until(&bert.node, is(Role::Owner)).await;
    anna.node.group_leave("family").await.unwrap();
    until(&bert.node, has_members(2)).await;
    bert.node.group_add("family", key("anna")).await.unwrap();
    until(&anna.node, is(Role::Root)).await;
    until(&carl.node, has_members(3)).await;
}

/// The founder leaves, and the only members left decide about no user. By any link she is back, also
/// on a node that knows nothing of the group.
#[tokio::test]
async fn the_key_of_the_founder_takes_the_group_back() {
    let [anna, bert] = [home("anna").await, home("bert").await];
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, has_members(2)).await;
    let link = ask_link(&anna).await;
    // Only Bert can answer who comes by it.
    until(&bert.node, knows_invites(2)).await;
    anna.node.group_leave("family").await.unwrap();
    until(&bert.node, has_members(1)).await;
    anna.node.shutdown().await;

    let anna = home("anna").await;
    let status = anna.node.group_join(link, String::new()).await.unwrap();
    assert_eq!(status, JoinStatus::Accepted);
    until(&bert.node, has_members(2)).await;
    until(&anna.node, has_members(2)).await;
    assert_eq!(group(&anna.node).unwrap().role, Role::Root);
}

/// ```text
///   anna (founder) --- bert (owner, dropped) --- carl (admitted by bert alone)
/// ```
#[tokio::test]
async fn who_is_out_because_an_owner_was_dropped_learns_it() {
    let [anna, bert, carl] = [home("anna").await, home("bert").await, home("carl").await];
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    let bert_key = key("bert").to_string();
    anna.node
        .group_owner_add("family", &bert_key)
        .await
        .unwrap();
    until(&bert.node, is(Role::Owner)).await;
    join(&carl, &auto_link(&bert, 1).await).await;
    until(&anna.node, has_members(3)).await;
    until(&carl.node, has_members(3)).await;
    anna.node
        .group_owner_drop("family", &bert_key, Some(Vec::new()))
        .await
        .unwrap();
    until(&carl.node, |node| node.groups().unwrap().is_empty()).await;
    assert_eq!(
        carl.node.group_joins().unwrap()[0].status,
        JoinStatus::Removed
    );
}

/// ```text
///   anna (founder) --- bert (member) <--- carl (asks, withdraws, asks again)
/// ```
#[tokio::test]
async fn a_request_is_withdrawn_wherever_it_is_held() {
    let [anna, bert, carl] = [home("anna").await, home("bert").await, home("carl").await];
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, has_members(2)).await;
    let link = ask_link(&anna).await;
    until(&bert.node, knows_invites(2)).await;
    let to_bert = GroupLink {
        peers: vec![bert.address().await.to_string()],
        ..link.clone()
    };
    let ask = async || {
        let asked = carl.node.group_join(to_bert.clone(), String::new()).await;
        assert_eq!(asked.unwrap(), JoinStatus::Pending);
        until(&anna.node, |node| {
            node.group_requests("family").unwrap().len() == 1
        })
        .await;
    };
    ask().await;
    let withdrawn = carl.node.group_join_withdraw("family").await.unwrap();
    assert_eq!(withdrawn.status, JoinStatus::Pending);
    assert_eq!(carl.node.group_joins().unwrap(), []);
    assert_eq!(bert.node.group_requests("family").unwrap(), []);
    until(&anna.node, |node| {
        node.group_requests("family").unwrap().is_empty()
    })
    .await;
    let missing = carl.node.group_join_withdraw("family").await.unwrap_err();
    assert_eq!(missing.code(), "unknown-join");
    ask().await;
    anna.node.group_accept("family", "carl").await.unwrap();
    until(&bert.node, has_members(3)).await;
    until(&carl.node, has_members(3)).await;
    let joined = carl.node.group_join_withdraw("family").await.unwrap_err();
    assert_eq!(joined.code(), "already-a-member");
}

/// The founder's node is lost. Bert, an owner who has a copy, admits Dora, and serves both others.
///
/// ```text
///   anna (founder, gone) ... bert (owner, has a copy) <--- carl (member), dora (new)
/// ```
#[tokio::test]
async fn a_group_continues_without_its_founder_and_with_one_copy() {
    let [anna, bert] = [home("anna").await, home("bert").await];
    let [carl, dora] = [home("carl").await, home("dora").await];
    founded(&anna).await;
    let link = auto_link(&anna, 2).await;
    join(&bert, &link).await;
    join(&carl, &link).await;
    let bert_key = key("bert").to_string();
    anna.node
        .group_owner_add("family", &bert_key)
        .await
        .unwrap();
    until(&bert.node, is(Role::Owner)).await;
    let group = anna.node.group_id("family").unwrap();
    let content = Content::new(100_000, 1);
    std::fs::write(anna.path("notes"), &content.bytes).unwrap();
    let shared = ShareRequest {
        groups: vec![group],
        ..ShareRequest::new(anna.path("notes"))
    };
    anna.node.share(shared, |_| {}).await.unwrap();
    let fetch = async |home: &Home| {
        let output = Output::Into(home.folder.path().to_owned());
        let wanted = DownloadRequest {
            group: Some(group),
            seed: true,
            ..request(content.hash(), output, &[])
        };
        let finished = ended(&home.begin(wanted).await).await.unwrap();
        assert_same(&finished.path, &content);
    };
    fetch(&bert).await;
    anna.node.shutdown().await;
    drop(anna);

    carl.node.connect(&bert.address().await).await.unwrap();
    join(&dora, &auto_link(&bert, 1).await).await;
    for home in [&carl, &dora] {
        until(&home.node, has_members(4)).await;
        fetch(home).await;
    }
}

/// A user who was admitted ahead of time joins by any link.
#[tokio::test]
async fn a_user_who_was_added_joins_by_a_link_that_asks() {
    let [anna, bert] = [home("anna").await, home("bert").await];
    founded(&anna).await;
    anna.node.group_add("family", key("bert")).await.unwrap();
    join(&bert, &ask_link(&anna).await).await;
    until(&bert.node, has_members(2)).await;
    let bert_at_anna = anna.node.group_members("family").await.unwrap();
    let bert_at_anna = bert_at_anna
        .iter()
        .find(|member| member.user == key("bert"));
    assert_eq!(bert_at_anna.unwrap().peers, [bert.node.peer_id()]);
}

/// Bert shares a file with the group and goes: Anna still sees it, at no peer. When he is removed, she
/// forgets it.
#[tokio::test]
async fn what_an_absent_member_shared_is_remembered_until_the_member_is_removed() {
    let anna = home("anna").await;
    let (store, identity) = (Store::in_memory(), Keypair::generate_ed25519());
    let start = || Home::of_user(settings("bert"), store.clone(), &identity, user("bert"));
    let bert = start().await;
    founded(&anna).await;
    join(&bert, &auto_link(&anna, 1).await).await;
    until(&bert.node, has_members(2)).await;
    let group = bert.node.group_id("family").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "the tide waits").unwrap();
    let request = ShareRequest {
        groups: vec![group],
        ..ShareRequest::new(path)
    };
    bert.node.share(request, |_| {}).await.unwrap();
    let has_heard = |node: &Node| node.groups().unwrap()[0].last_heard_from_owner.is_some();
    until(&bert.node, has_heard).await;
    bert.node.shutdown().await;
    drop(bert);

    let bert = start().await;
    assert!(has_heard(&bert.node), "it remembers that");
    bert.node.connect(&anna.address().await).await.unwrap();
    in_time(async {
        while bert.node.group("family").await.unwrap().confirmed != 2 {
            tokio::time::sleep(Duration::from_millis(10)).await; // nothing reports it
        }
    })
    .await;
    let key_of_row = bert.node.peer_id().to_bytes();
    in_time(async {
        let kind = pelago_store::GroupRow::Catalogue;
        while anna
            .store
            .group_row(kind, group.as_bytes(), &key_of_row)
            .unwrap()
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(10)).await; // nothing reports it
        }
    })
    .await;
    let listed = |found: pelago::Catalogue| {
        let listed = found.listed.into_iter();
        listed.map(|one| (one.name, one.peers)).collect::<Vec<_>>()
    };
    let present = anna.node.list_group(group, Duration::ZERO).await.unwrap();
    assert_eq!(listed(present), [("notes.txt".to_owned(), 1)]);
    bert.node.shutdown().await;
    drop(bert);
    let absent = anna.node.list_group(group, Duration::ZERO).await.unwrap();
    assert_eq!(listed(absent), [("notes.txt".to_owned(), 0)]);

    anna.node.group_remove("family", "bert").await.unwrap();
    let removed = anna.node.list_group(group, Duration::ZERO).await.unwrap();
    assert_eq!(listed(removed), []);
    let kind = pelago_store::GroupRow::Catalogue;
    assert_eq!(
        anna.store
            .group_row(kind, group.as_bytes(), &key_of_row)
            .unwrap(),
        None
    );
}
