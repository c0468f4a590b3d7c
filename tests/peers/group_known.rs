//! What a node knows from a group: it asks only the group's members for that, also when it has left
//! the group.
//!
//! Who is in which group is set by each test, as rosters would set it.

use std::{collections::HashMap, fs, time::Duration};

use pelago::{
    CodedError as _, DownloadError, DownloadRequest, Hash, Link, OpenRequest, Output, ReadRequest,
    Scope, Target,
};
use pelago_behaviour::catalogue::{self, CatalogueEntry, Page};
use pelago_content::Kind;
use pelago_engine::node::testing::memberships;

use crate::{
    content::{Content, THREE_CHUNKS},
    group_scopes::{GROUP, assert_done, found},
    nodes::{Home, ended, in_time, request, settings},
    scripted::{Act, Script, Scripted},
};

/// The request with which a node downloads in no group that it names.
fn plain(home: &Home, target: Target, output: &str) -> DownloadRequest {
    let output = Output::At(home.path(output));
    DownloadRequest {
        target,
        seed: true,
        ..request(Hash::from_bytes([0; 32]), output, &[])
    }
}

fn opening(link: Link, is_public: bool) -> OpenRequest {
    OpenRequest {
        link,
        peers: Vec::new(),
        group: None,
        is_public,
        bootstrap: Vec::new(),
        timeout: Duration::from_secs(10),
        gives_up: false,
    }
}

fn reading(hash: Hash) -> ReadRequest {
    ReadRequest {
        hash,
        path: Vec::new(),
        group: None,
        timeout: Duration::from_secs(10),
        read_ahead: 1 << 20,
    }
}

/// The codes with which a node refuses to look for content, asked in each way.
async fn refusals(home: &Home, link: &Link) -> Vec<&'static str> {
    let bare = Link::new(link.hash);
    let mut codes = Vec::new();
    for target in [Target::Hash(link.hash), Target::Link(link.clone())] {
        let refused = home.node.download(plain(home, target, "copy")).await;
        let refused = refused.map(drop).unwrap_err();
        assert!(refused.hint().unwrap().contains("--public"));
        codes.push(refused.code());
    }
    for link in [&bare, link] {
        let refused = home.node.open(opening(link.clone(), false)).await;
        codes.push(refused.unwrap_err().code());
    }
    let refused = home.node.read(reading(link.hash)).await.map(drop);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("not in the group")
    );
    for what in [bare.to_string(), link.to_string()] {
        codes.push(home.node.readable(&what).await.unwrap_err().code());
    }
    codes
}

/// ```text
///   stranger (has it, knows the hash) <--- getter (leaves the group) ---> sharer (group)
/// ```
#[tokio::test]
async fn what_is_known_from_a_group_is_looked_for_nowhere_once_the_group_is_left() {
    let contents: Vec<_> = (1..=3)
        .map(|seed| Content::new(THREE_CHUNKS, seed))
        .collect();
    let [listed, had, below] = &contents[..] else {
        unreachable!("there are three")
    };
    let stranger = Scripted::start(Script::honest(listed)).await;
    let (sharer, getter) = (Home::start("sharer").await, Home::on_disk("getter").await);
    found(&[&sharer, &getter], &[]);
    sharer.share_with_group("listed", listed).await;
    sharer.share_with_group("had", had).await;
    fs::create_dir(sharer.path("box")).unwrap();
    sharer.share_with_group("box/below", below).await;
    getter.connect(&sharer).await;
    getter.node.list_group(GROUP, Duration::ZERO).await.unwrap();
    assert_done(&getter.begin(getter.wants(had.hash())).await, had).await;
    let links = sharer.node.links(Some("listed".to_owned())).await.unwrap();
    let link = sharer.node.link(&links[0]).await.unwrap();

    let getter = getter.restart(settings("getter")).await;
    memberships(&getter.node).replace(HashMap::new());
    getter.node.connect(&stranger.address()).await.unwrap();
    assert_eq!(refusals(&getter, &link).await, ["not-a-member"; 6]);
    // What is here is here, and asks no peer.
    let here = getter.node.read(reading(had.hash())).await.unwrap();
    drop(here);
    let opened = getter
        .node
        .open(opening(Link::new(had.hash()), false))
        .await;
    assert!(opened.unwrap().shared);
    for share in getter.node.list().await.unwrap() {
        assert_eq!(share.scopes, Scope::Group(GROUP).into());
    }
    assert_eq!(stranger.asked().subscriptions, 0);

    let public = DownloadRequest {
        is_public: true,
        ..plain(&getter, Target::Link(link), "copy")
    };
    assert_done(&getter.begin(public).await, listed).await;
    assert!(stranger.asked().subscriptions > 0);
}

fn page(entries: &[(&Content, &str)]) -> Vec<u8> {
    let entry = |(content, name): &(&Content, &str)| CatalogueEntry {
        hash: content.hash(),
        name: (*name).to_owned(),
        kind: Kind::File,
        size: content.bytes.len() as u64,
    };
    let page = Page {
        entries: entries.iter().map(entry).collect(),
        ..Page::default()
    };
    let mut bytes = Vec::new();
    futures::executor::block_on(catalogue::write_page(&mut bytes, &page)).unwrap();
    bytes
}

/// ```text
///   other (lists "both" and more) <--- getter ---> sharer (group: "both", "theirs")
/// ```
#[tokio::test]
async fn a_name_is_looked_for_in_groups_first_and_one_in_both_places_is_ambiguous() {
    let contents: Vec<_> = (1..=3).map(|seed| Content::new(2000, seed)).collect();
    let [ours, theirs, open] = &contents[..] else {
        unreachable!("there are three")
    };
    let listing = page(&[(open, "both"), (open, "open")]);
    let other = Scripted::start(Script {
        catalogue: Box::new(move |_| Act::Send(listing.clone())),
        ..Script::honest(open)
    })
    .await;
    let (sharer, getter) = (Home::start("sharer").await, Home::on_disk("getter").await);
    found(&[&sharer, &getter], &[]);
    sharer.share_with_group("both", ours).await;
    sharer.share_with_group("theirs", theirs).await;
    getter.connect(&sharer).await;
    getter.node.connect(&other.address()).await.unwrap();
    let named = |name: &str| plain(&getter, Target::Name(name.to_owned()), name);

    let refused = getter
        .node
        .download(named("both"))
        .await
        .map(drop)
        .unwrap_err();
    let DownloadError::Ambiguous { choices, .. } = &refused else {
        panic!("{refused}");
    };
    let mut groups: Vec<_> = choices.iter().map(|choice| choice.group).collect();
    groups.sort();
    assert_eq!(groups, [None, Some(GROUP)]);
    assert!(refused.hint().unwrap().contains("--public"), "{refused}");
    let in_group = DownloadRequest {
        group: Some(GROUP),
        ..named("both")
    };
    assert_done(&getter.begin(in_group).await, ours).await;

    // One that is in the group alone is fetched there, and no other peer learns the name.
    let download = getter.begin(named("theirs")).await;
    assert_eq!(download.status().borrow().group, Some(GROUP));
    assert_done(&download, theirs).await;
    assert_eq!(other.asked().queries, ["", ""]);
    let public = DownloadRequest {
        is_public: true,
        output: Output::At(getter.path("public")),
        ..named("both")
    };
    let download = getter.begin(public).await;
    assert_done(&download, open).await;
    assert_eq!(download.status().borrow().group, None);
    assert_done(&getter.begin(named("open")).await, open).await;
    assert_eq!(other.asked().queries, ["", "", "both", "open"]);

    // Outside, a name that is known from the group stays a secret when the group is left.
    memberships(&getter.node).replace(HashMap::new());
    let again = DownloadRequest {
        timeout: Duration::from_millis(300),
        output: Output::At(getter.path("again")),
        ..named("theirs")
    };
    let refused = in_time(getter.node.download(again)).await.map(drop);
    assert_eq!(refused.unwrap_err().code(), "name-not-found");
    assert_eq!(other.asked().queries.last().unwrap(), "");
}

/// ```text
///   sharer (group) <--- getter (has it in another group)
/// ```
#[tokio::test]
async fn a_download_in_a_group_takes_nothing_that_its_members_may_not_know_of() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    found(&[&sharer, &getter], &[]);
    sharer.share_with_group("it", &content).await;
    fs::write(getter.path("other"), &content.bytes).unwrap();
    let other = pelago::GroupId::from_bytes([8; 32]);
    memberships(&getter.node).replace(
        [sharer.node.peer_id(), getter.node.peer_id()]
            .map(|peer| (peer, [GROUP, other].into()))
            .into(),
    );
    let shared = pelago::ShareRequest {
        groups: vec![other],
        ..pelago::ShareRequest::new(getter.path("other"))
    };
    getter.node.share(shared, |_| {}).await.unwrap();
    getter.connect(&sharer).await;
    let wanted = DownloadRequest {
        output: Output::At(getter.path("it")),
        ..getter.wants(content.hash())
    };
    let download = getter.begin(wanted).await;
    let finished = ended(&download).await.unwrap();
    assert_eq!(
        (finished.copied_bytes, finished.fetched_bytes),
        (0, content.bytes.len() as u64),
        "the sharer sees no difference"
    );
    for share in getter.node.list().await.unwrap() {
        let group = match share.name.as_str() {
            "it" => GROUP,
            _ => other,
        };
        assert_eq!(share.scopes, Scope::Group(group).into(), "{}", share.name);
    }
}
