//! Content of a group: its members get it, and a peer outside learns not even that it exists.
//!
//! Who is in which group is set by each test, as rosters would set it.

use std::{collections::BTreeSet, fs, time::Duration};

use futures::{AsyncReadExt as _, executor::block_on};
use libp2p::{PeerId, identity::Keypair};
use pelago::{
    CodedError as _, Download, DownloadRequest, DownloadState, DownloadStatus, GroupId, Hash, Link,
    OpenRequest, Output, ReadRequest, Scope, Settings, ShareRequest, Store, Target, UnshareRequest,
};
use pelago_behaviour::{
    Protocol,
    availability::{self, Update},
    catalogue,
    chunk::{self, Answer, Item},
};
use pelago_engine::node::testing::memberships;

use crate::{
    content::{Content, THREE_CHUNKS},
    groups::user,
    nodes::{Home, assert_same, ended, in_time, request, settings},
    raw::Client,
    scripted::{Act, Script, Scripted, absent, having_all, update},
    serving::MEBIBYTE,
};

pub(crate) const GROUP: GroupId = GroupId::from_bytes([7; 32]);
const OTHER: GroupId = GroupId::from_bytes([8; 32]);

/// Makes the nodes of `homes` know that these peers are in the group, themselves among them.
pub(crate) fn found(homes: &[&Home], peers: &[PeerId]) {
    found_one(GROUP, homes, peers);
}

/// The same for any group.
fn found_one(group: GroupId, homes: &[&Home], peers: &[PeerId]) {
    let ids = homes.iter().map(|home| home.node.peer_id());
    let members: Vec<_> = ids.chain(peers.iter().copied()).collect();
    for home in homes {
        let table = members.iter().map(|peer| (*peer, BTreeSet::from([group])));
        memberships(&home.node).replace(table.collect());
    }
}

impl Home {
    pub(crate) async fn share_with_group(&self, name: &str, content: &Content) {
        fs::write(self.path(name), &content.bytes).unwrap();
        let wanted = ShareRequest {
            groups: vec![GROUP],
            ..ShareRequest::new(self.path(name))
        };
        let shared = self.node.share(wanted, |_| {}).await.unwrap();
        assert_eq!(shared.hash, content.hash());
    }

    /// The request with which this node downloads `hash` in the group, and shares it.
    pub(crate) fn wants(&self, hash: Hash) -> DownloadRequest {
        DownloadRequest {
            group: Some(GROUP),
            seed: true,
            ..request(hash, Output::Into(self.folder.path().to_owned()), &[])
        }
    }

    pub(crate) async fn connect(&self, other: &Self) {
        self.node.connect(&other.address().await).await.unwrap();
    }
}

pub(crate) async fn assert_done(download: &Download, content: &Content) {
    let finished = ended(download).await.unwrap();
    assert_same(&finished.path, content);
}

/// All that a node sends in answer to what a peer can ask about `hash`, each request on a stream of
/// its own.
async fn answers(peer: &Client, hash: Hash) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    for group in [None, Some(GROUP), Some(OTHER)] {
        let mut question = Vec::new();
        let asked = peer.question(&hash).within(group);
        block_on(availability::write_request(&mut question, &asked)).unwrap();
        received.push(peer.say(Protocol::Availability, &question).await);
        for query in ["", "lamp"] {
            let mut listing = Vec::new();
            let asked = catalogue::Request {
                query: query.to_owned(),
                group,
                ..catalogue::Request::default()
            };
            block_on(catalogue::write_request(&mut listing, &asked)).unwrap();
            received.push(peer.say(Protocol::Catalogue, &listing).await);
        }
    }
    for data in [true, false] {
        let mut wanted = Vec::new();
        let item = Item {
            hash,
            level: 0,
            index: 0,
            data,
        };
        block_on(chunk::write_request(&mut wanted, &[item])).unwrap();
        received.push(peer.say(Protocol::Chunk, &wanted).await);
    }
    let map = [&[0xa1, 0x61, b'h', 0x58, 32][..], hash.as_bytes()].concat();
    let named = [&(map.len() as u32).to_be_bytes()[..], &map].concat();
    received.push(peer.say(Protocol::ListedAvailability, &named).await);
    received
}

/// ```text
///   empty node <--- outsider ---> sharer (group) <--- member, getter (downloads in the group)
/// ```
#[tokio::test]
async fn an_outsider_sees_the_same_bytes_as_of_a_node_without_the_content() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    let empty = Home::start("empty").await;
    let member = Client::connect(&sharer).await;
    found(&[&sharer, &getter], &[member.local()]);
    sharer
        .share_with_group("lamps of lighthouses", &content)
        .await;
    getter.connect(&sharer).await;
    assert_done(&getter.begin(getter.wants(content.hash())).await, &content).await;

    let nothing = answers(&Client::connect(&empty).await, content.hash()).await;
    assert!(nothing.iter().all(|answer| !answer.is_empty()));
    for home in [&sharer, &getter] {
        let outsider = Client::connect(home).await;
        assert_eq!(answers(&outsider, content.hash()).await, nothing);
        // Nor does it see whether a node has anything else.
        assert_eq!(answers(&outsider, Hash::from_bytes([9; 32])).await, nothing);
    }

    // A member gets it in the group, and nowhere else.
    let theirs = answers(&member, content.hash()).await;
    assert_eq!(theirs[0], nothing[0], "outside groups");
    assert_eq!(theirs[6..9], nothing[6..9], "in another group");
    let Update::Has(has) = block_on(availability::read_update(&mut &theirs[3][..]))
        .unwrap()
        .unwrap()
    else {
        panic!("a member gets it");
    };
    assert_eq!((has.group, has.is_listed), (Some(GROUP), false));
    for page in &theirs[4..6] {
        let page = block_on(catalogue::read_page(&mut &page[..])).unwrap();
        assert_eq!((page.entries.len(), page.group), (1, Some(GROUP)));
    }
    assert!(theirs[9].len() > nothing[9].len(), "a chunk");
    assert_eq!(theirs[11], nothing[11], "version 1");
}

/// ```text
///   member (sends one chunk) <--- getter (downloads in the group) <--- outsider
/// ```
#[tokio::test]
async fn an_outsider_does_not_notice_a_download_in_a_group_that_is_under_way() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, empty) = (Home::start("getter").await, Home::start("empty").await);
    let mut has = having_all(&content.descriptor);
    (has.group, has.is_listed) = (Some(GROUP), false);
    let honest = Script::honest(&content);
    let first_alone = Script {
        availability: Box::new(move |_| Act::Send(update(has.clone()))),
        chunk: Box::new(move |number, item| match number {
            0 => (honest.chunk)(number, item),
            _ => Box::pin(std::future::ready(Act::Silence)),
        }),
        ..Script::honest(&content)
    };
    let source = Scripted::start(first_alone).await;
    let id = getter.node.connect(&source.address()).await.unwrap();
    let (member, outsider) = (
        Client::connect(&getter).await,
        Client::connect(&getter).await,
    );
    found(&[&getter], &[id, member.local()]);
    let download = getter.begin(getter.wants(content.hash())).await;
    let mut status = download.status();
    let has_begun = |status: &DownloadStatus| status.verified_bytes > Some(0);
    in_time(status.wait_for(has_begun)).await.unwrap();

    let nothing = answers(&Client::connect(&empty).await, content.hash()).await;
    assert_eq!(answers(&outsider, content.hash()).await, nothing);
    assert!(answers(&member, content.hash()).await[3].len() > nothing[3].len());
}

/// ```text
///   member (sends one chunk, then nothing) <--- getter (leaves the group, and joins again)
/// ```
#[tokio::test]
async fn a_download_ends_with_the_membership_and_resumes_with_it() {
    let content = Content::new(THREE_CHUNKS, 1);
    let getter = Home::start("getter").await;
    let mut has = having_all(&content.descriptor);
    (has.group, has.is_listed) = (Some(GROUP), false);
    let honest = Script::honest(&content);
    let left = std::sync::Arc::new(tokio::sync::Notify::new());
    let again = std::sync::Arc::clone(&left);
    let until_it_left = Script {
        availability: Box::new(move |_| Act::Send(update(has.clone()))),
        chunk: Box::new(move |number, item| {
            let (answer, again) = ((honest.chunk)(number, item), std::sync::Arc::clone(&again));
            Box::pin(async move {
                if number > 0 {
                    again.notified().await;
                    again.notify_one();
                }
                answer.await
            })
        }),
        ..Script::honest(&content)
    };
    let source = Scripted::start(until_it_left).await;
    let member = getter.node.connect(&source.address()).await.unwrap();
    found(&[&getter], &[member]);
    let wanted = DownloadRequest {
        waits: true,
        ..getter.wants(content.hash())
    };
    let download = getter.begin(wanted.clone()).await;
    let mut status = download.status();
    let has_begun = |status: &DownloadStatus| status.verified_bytes > Some(0);
    in_time(status.wait_for(has_begun)).await.unwrap();

    memberships(&getter.node).replace(std::collections::HashMap::new());
    let error = ended(&download).await.unwrap_err();
    assert_eq!(error.code(), "not-a-member", "{error}");
    let has_failed = || {
        let listed = getter.node.downloads().remove(0);
        let code = listed.failure.map(|failure| failure.code.into_owned());
        (listed.state == DownloadState::Failed).then_some(code)
    };
    assert_eq!(has_failed(), Some(Some("not-a-member".to_owned())));
    // It is not looked for elsewhere.
    let hash = content.hash().to_string();
    getter.node.resume(&hash).await.unwrap();
    in_time(async {
        while has_failed().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(has_failed(), Some(Some("not-a-member".to_owned())));

    left.notify_one();
    found(&[&getter], &[member]);
    let resumed = getter.begin(wanted).await;
    assert_done(&resumed, &content).await;
}

/// ```text
///   sharer (a folder, group) <--- outsider, getter
/// ```
#[tokio::test]
async fn a_folder_of_a_group_and_all_in_it_is_for_members() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    found(&[&sharer, &getter], &[]);
    fs::create_dir_all(sharer.path("box/sub")).unwrap();
    fs::write(sharer.path("box/sub/file"), &content.bytes).unwrap();
    let wanted = ShareRequest {
        groups: vec![GROUP],
        ..ShareRequest::new(sharer.path("box"))
    };
    let shared = sharer.node.share(wanted, |_| {}).await.unwrap();
    assert_eq!(shared.scopes.groups().collect::<Vec<_>>(), [GROUP]);
    getter.connect(&sharer).await;
    let download = getter.begin(getter.wants(shared.hash)).await;
    assert!(ended(&download).await.unwrap().is_shared);
    assert_same(&getter.path("box/sub/file"), &content);

    let nothing = answers(&Client::connect(&sharer).await, Hash::from_bytes([9; 32])).await;
    for home in [&sharer, &getter] {
        let outsider = Client::connect(home).await;
        for hash in [shared.hash, content.hash()] {
            assert_eq!(answers(&outsider, hash).await, nothing);
        }
    }
}

/// ```text
///   sharer (group) <--- open (watches a folder for everyone), closed (the same for the group)
/// ```
#[tokio::test]
async fn a_folder_that_is_watched_for_everyone_takes_nothing_of_a_group() {
    let content = Content::new(2000, 1);
    let folder = tempfile::tempdir().unwrap();
    let watched = folder.path().join("shared");
    fs::create_dir(&watched).unwrap();
    fs::write(watched.join("found"), "found").unwrap();
    let watching = |share_group: Option<GroupId>| Settings {
        share_folders: vec![watched.clone()],
        share_group: share_group.map(|group| group.to_string()),
        ..settings("watching")
    };
    // Only a group that the node knows can be named.
    let (store, key) = (Store::in_memory(), Keypair::generate_ed25519());
    let start = |settings| Home::of_user(settings, store.clone(), &key, user("anna"));
    let before = start(settings("before")).await;
    let founded = before.node.group_create("family".parse().unwrap()).await;
    let group = founded.unwrap().id;
    before.node.shutdown().await;
    let sharer = Home::start("sharer").await;
    let (open, closed) = (
        Home::with(watching(None)).await,
        start(watching(Some(group))).await,
    );
    found_one(group, &[&sharer, &open, &closed], &[]);
    fs::write(sharer.path("it"), &content.bytes).unwrap();
    let wanted = ShareRequest {
        groups: vec![group],
        ..ShareRequest::new(sharer.path("it"))
    };
    sharer.node.share(wanted, |_| {}).await.unwrap();
    open.connect(&sharer).await;
    for output in [
        Output::Into(watched.clone()),
        Output::At(watched.join("new/it")),
    ] {
        let wanted = DownloadRequest {
            output,
            group: Some(group),
            ..open.wants(content.hash())
        };
        let refused = open.node.download(wanted).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), "watched-folder");
    }

    for (home, scope) in [(&open, Scope::Everyone), (&closed, Scope::Group(group))] {
        let found = in_time(async {
            loop {
                match home.node.list().await.unwrap().pop() {
                    Some(found) => return found,
                    None => tokio::task::yield_now().await,
                }
            }
        });
        assert_eq!(found.await.scopes, scope.into());
    }
    let theirs = open.node.list_peer(&closed.address().await).await.unwrap();
    assert_eq!(theirs.listed, []);
    closed.connect(&sharer).await;
    let theirs = sharer.node.list_group(group, Duration::ZERO).await;
    assert_eq!(theirs.unwrap().listed.len(), 1);
    let wanted = DownloadRequest {
        output: Output::Into(watched),
        group: Some(group),
        ..closed.wants(content.hash())
    };
    assert_done(&closed.begin(wanted).await, &content).await;
}

/// ```text
///   sharer (everyone, then also the group, then everyone again) <--- member
/// ```
#[tokio::test]
async fn a_group_is_added_to_a_share_and_taken_from_it() {
    let content = Content::new(2000, 1);
    let sharer = Home::start("sharer").await;
    let member = Client::connect(&sharer).await;
    found(&[&sharer], &[member.local()]);
    let shared = sharer.share("it", &content).await;
    let public = answers(&member, shared.hash).await;
    sharer.share_with_group("it", &content).await;
    let both = answers(&member, shared.hash).await;
    assert_eq!(both[..3], public[..3], "outside groups");
    assert!(both[3].len() > absent().len());
    let only_with = |group| UnshareRequest {
        group: Some(group),
        ..UnshareRequest::new("it")
    };
    let refused = sharer.node.unshare(only_with(OTHER)).await.unwrap_err();
    assert_eq!(refused.code(), "not-shared");
    assert_eq!(
        sharer.node.unshare(only_with(GROUP)).await.unwrap().len(),
        1
    );
    assert_eq!(answers(&member, shared.hash).await, public);

    // The last scope takes the share with it.
    sharer
        .node
        .unshare(UnshareRequest::new("it"))
        .await
        .unwrap();
    sharer.share_with_group("it", &content).await;
    let grouped = sharer.node.list().await.unwrap();
    let again = ShareRequest {
        rehash: true,
        ..ShareRequest::new(sharer.path("it"))
    };
    sharer.node.share(again, |_| {}).await.unwrap();
    let listed = sharer.node.list().await.unwrap();
    assert_eq!(
        listed[0].scopes, grouped[0].scopes,
        "hashed again, and not for everyone"
    );
    sharer.node.unshare(only_with(GROUP)).await.unwrap();
    assert_eq!(sharer.node.list().await.unwrap(), []);
    assert_eq!(answers(&member, shared.hash).await[3], absent());
}

/// ```text
///   outsider, a member of one group, a member of the other ---> sharer (everyone and both groups)
/// ```
#[tokio::test]
async fn content_of_two_groups_and_of_everyone_is_answered_in_each() {
    let content = Content::new(2000, 1);
    let sharer = Home::start("sharer").await;
    let outsider = Client::connect(&sharer).await;
    let (one, other) = (
        Client::connect(&sharer).await,
        Client::connect(&sharer).await,
    );
    let table = [
        (sharer.node.peer_id(), BTreeSet::from([GROUP, OTHER])),
        (one.local(), BTreeSet::from([GROUP])),
        (other.local(), BTreeSet::from([OTHER])),
    ];
    memberships(&sharer.node).replace(table.into());
    let shared = sharer.share("it", &content).await;
    let public = answers(&outsider, shared.hash).await[1..3].to_vec();
    let with_groups = ShareRequest {
        groups: vec![GROUP, OTHER],
        ..ShareRequest::new(sharer.path("it"))
    };
    sharer.node.share(with_groups, |_| {}).await.unwrap();
    // Availability and two catalogues each: outside groups, in the one, in the other.
    let seen = async |peer: &Client| {
        let answers = answers(peer, shared.hash).await;
        // The answer about availability proves that it is for this peer.
        assert!(answers[0].len() > absent().len());
        assert_eq!(answers[1..3], public, "outside groups");
        [answers[3].clone(), answers[6].clone()]
    };
    let [in_one, hidden] = seen(&one).await;
    assert!(in_one.len() > absent().len() && hidden == absent());
    let [hidden, in_other] = seen(&other).await;
    assert!(in_other.len() > absent().len() && hidden == absent());
    assert_eq!(seen(&outsider).await, [absent(), absent()]);

    let only_one = UnshareRequest {
        group: Some(GROUP),
        ..UnshareRequest::new("it")
    };
    sharer.node.unshare(only_one).await.unwrap();
    assert_eq!(seen(&one).await, [absent(), absent()]);
    assert_eq!(seen(&other).await, [absent(), in_other]);
}

/// A node that answers requests for what it has outside groups, and records all subscriptions.
///
/// ```text
///   stranger (has it, knows the hash) <--- getter (in the group) ---> sharer (group)
/// ```
#[tokio::test]
async fn a_download_in_a_group_asks_members_alone_and_takes_their_answers_alone() {
    let content = Content::new(THREE_CHUNKS, 1);
    let stranger = Scripted::start(Script::honest(&content)).await;
    // A member whose program is older: it does not repeat the group.
    let old = Scripted::start(Script::honest(&content)).await;
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    getter.node.connect(&stranger.address()).await.unwrap();
    let member = getter.node.connect(&old.address()).await.unwrap();
    found(&[&sharer, &getter], &[member]);
    let wanted = DownloadRequest {
        peers: vec![stranger.address()],
        ..getter.wants(content.hash())
    };

    let download = getter.begin(wanted).await;
    in_time(async {
        while old.asked().subscriptions == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sharer.share_with_group("it", &content).await;
    getter.connect(&sharer).await;
    assert_done(&download, &content).await;

    assert_eq!(stranger.asked().subscriptions, 0);
    assert_eq!(
        (old.asked().chunk_streams, stranger.asked().chunk_streams),
        (0, 0)
    );
    // What was downloaded in a group is shared on in it, and listed nowhere else.
    let listed = getter.node.list().await.unwrap();
    assert_eq!(listed[0].scopes.groups().collect::<Vec<_>>(), [GROUP]);
    assert!(listed[0].is_unlisted);
    let others = sharer.node.list_network(Duration::ZERO).await;
    assert_eq!(others.unwrap().listed, []);
    let theirs = sharer.node.list_group(GROUP, Duration::ZERO).await;
    assert_eq!(theirs.unwrap().listed.len(), 1);
}

/// ```text
///   sharer (group) <--- getter: preview, reading, by link, by name, by a hash that it listed
/// ```
#[tokio::test]
async fn what_is_known_in_a_group_is_fetched_there() {
    let contents: Vec<_> = (1..=4).map(|seed| Content::new(2000, seed)).collect();
    let (sharer, getter) = (Home::start("sharer").await, Home::on_disk("getter").await);
    found(&[&sharer, &getter], &[]);
    for (n, content) in contents.iter().enumerate() {
        sharer.share_with_group(&n.to_string(), content).await;
    }
    getter.connect(&sharer).await;
    let links = sharer.node.links(Some("0".to_owned())).await.unwrap();
    let link = sharer.node.link(&links[0]).await.unwrap();
    assert_eq!(link.group, Some(*GROUP.as_bytes()));
    let link: Link = link.to_string().parse().unwrap();

    let wanted = OpenRequest {
        link: link.clone(),
        peers: Vec::new(),
        group: None,
        is_public: false,
        bootstrap: Vec::new(),
        timeout: Duration::from_secs(10),
        gives_up: false,
    };
    let known = in_time(getter.node.open(wanted.clone())).await.unwrap();
    assert_eq!((known.name.as_deref(), known.holders.len()), (Some("0"), 1));
    let outside = OpenRequest {
        is_public: true,
        timeout: Duration::from_millis(300),
        ..wanted
    };
    assert_eq!(
        getter.node.open(outside).await.unwrap_err().code(),
        "no-source"
    );
    let by_link = DownloadRequest {
        target: Target::Link(link),
        group: None,
        ..getter.wants(contents[0].hash())
    };
    assert_done(&getter.begin(by_link).await, &contents[0]).await;
    let by_name = DownloadRequest {
        target: Target::Name("1".to_owned()),
        ..getter.wants(contents[1].hash())
    };
    assert_done(&getter.begin(by_name).await, &contents[1]).await;

    let listed = getter.node.list_group(GROUP, Duration::ZERO).await.unwrap();
    assert_eq!(listed.listed.len(), 4);
    let by_hash = DownloadRequest {
        group: None,
        ..getter.wants(contents[2].hash())
    };
    assert_done(&getter.begin(by_hash).await, &contents[2]).await;
    let reading = getter.node.read(ReadRequest {
        hash: contents[3].hash(),
        path: Vec::new(),
        group: None,
        timeout: Duration::from_secs(10),
        read_ahead: 1 << 20,
    });
    assert_eq!(in_time(reading).await.unwrap().name(), None);
    for listed in getter.node.list().await.unwrap() {
        assert_eq!(listed.scopes.groups().count(), 1, "{listed:?}");
    }
    let outsider = DownloadRequest {
        group: Some(OTHER),
        ..getter.wants(contents[0].hash())
    };
    let refused = getter.node.download(outsider).await;
    assert_eq!(refused.map(drop).unwrap_err().code(), "not-a-member");
}

/// ```text
///   sharer ---> member (reads nothing), listener: both are removed
/// ```
#[tokio::test]
async fn a_peer_that_leaves_the_group_gets_no_further_byte() {
    let content = Content::new(8 * MEBIBYTE, 1);
    let sharer = Home::start("sharer").await;
    let [member, stays] = [
        Client::connect(&sharer).await,
        Client::connect(&sharer).await,
    ];
    found(&[&sharer], &[member.local(), stays.local()]);
    sharer.share_with_group("film", &content).await;
    let hash = content.hash();
    let ask = async |client: &Client| {
        let mut stream = client.open(Protocol::Chunk).await;
        let items = [0, 1].map(|index| Item {
            hash,
            level: chunk::MAX_LEVEL,
            index,
            data: true,
        });
        for item in items {
            chunk::write_request(&mut stream, &[item]).await.unwrap();
        }
        let answer = in_time(chunk::read_answer(&mut stream)).await.unwrap();
        assert!(matches!(answer, Answer::Data { .. }));
        stream
    };
    let listen = async |client: &Client| {
        let mut stream = client.open(Protocol::Availability).await;
        let asked = client.question(&hash).within(Some(GROUP));
        availability::write_request(&mut stream, &asked)
            .await
            .unwrap();
        let first = in_time(availability::read_update(&mut stream))
            .await
            .unwrap();
        assert!(matches!(first, Some(Update::Has(_))));
        stream
    };
    let (mut slow, mut kept) = (ask(&member).await, ask(&stays).await);
    let (mut listener, _listens) = (listen(&member).await, listen(&stays).await);

    found(&[&sharer], &[stays.local()]);

    // What fits into the window of the stream may be on its way, of the 8 MiB that it asked for.
    let mut sent = Vec::new();
    let _ = in_time(slow.read_to_end(&mut sent)).await;
    assert!(sent.len() < 2 * MEBIBYTE as usize, "{}", sent.len());
    let end = in_time(listener.read_to_end(&mut Vec::new())).await;
    assert!(end.is_err() || end.unwrap() == 0, "it is over");
    let again = answers(&member, hash).await;
    assert_eq!(again[3], absent());
    let mut rest = vec![0; 4 * MEBIBYTE as usize];
    in_time(kept.read_exact(&mut rest)).await.unwrap();
}
