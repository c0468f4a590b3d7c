//! A download gets the scope that its source gave it.

use std::fs;

use pelago::{DownloadRequest, Hash, Link, Output, ShareRequest, Target};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, ended, request},
};

/// The request with which `getter` downloads `hash` from `source`, and shares it.
async fn wanted(getter: &Home, hash: Hash, source: &Home) -> DownloadRequest {
    let output = Output::Into(getter.folder.path().to_owned());
    DownloadRequest {
        seed: true,
        ..request(hash, output, &[source.address().await])
    }
}

async fn get(getter: &Home, wanted: DownloadRequest) {
    let finished = ended(&getter.begin(wanted).await).await.unwrap();
    assert!(finished.is_shared);
}

/// The hashes in the catalogue of `home`, which `other` reads.
async fn listed(home: &Home, other: &Home) -> Vec<Hash> {
    let listed = other.node.list_peer(&home.address().await).await.unwrap();
    listed.listed.iter().map(|listed| listed.hash).collect()
}

/// Whether the link of a share of `home` marks the share as unlisted.
async fn links_as_unlisted(home: &Home, hash: Hash) -> bool {
    let links = home.node.links(Some(hash.to_string())).await.unwrap();
    home.node.link(&links[0]).await.unwrap().is_unlisted
}

/// ```text
///   sharer (unlisted) <--- first (by hash) <--- second (by hash)
/// ```
#[tokio::test]
async fn unlisted_content_stays_unlisted_from_node_to_node() {
    let content = Content::new(THREE_CHUNKS, 1);
    let hash = content.hash();
    let [sharer, first, second] = [
        Home::start("sharer").await,
        Home::start("first").await,
        Home::start("second").await,
    ];
    let shared = sharer.share_unlisted("diary", &content).await;
    assert!(shared.link.is_unlisted);

    get(&first, wanted(&first, hash, &sharer).await).await;
    get(&second, wanted(&second, hash, &first).await).await;

    let reader = Home::start("reader").await;
    for home in [&sharer, &first, &second] {
        assert_eq!(listed(home, &reader).await, []);
        assert!(links_as_unlisted(home, hash).await);
    }
}

/// ```text
///   sharer (listed) <--- getter, with four kinds of target
/// ```
#[tokio::test]
async fn listed_content_stays_listed_unless_the_link_or_a_flag_says_otherwise() {
    /// How the download names its content.
    #[derive(Clone, Copy)]
    enum By {
        Hash,
        Link { is_unlisted: bool },
    }
    let (link, unlisted) = (
        By::Link { is_unlisted: false },
        By::Link { is_unlisted: true },
    );
    let cases = [
        (By::Hash, None, true),
        (link, None, true),
        (unlisted, None, false),
        (unlisted, Some(true), true),
        (By::Hash, Some(false), false),
    ];
    let sharer = Home::start("sharer").await;
    for (seed, (by, says, is_listed)) in (1..).zip(cases) {
        let content = Content::new(THREE_CHUNKS, seed);
        let hash = content.hash();
        sharer.share(&seed.to_string(), &content).await;
        let getter = Home::start("getter").await;

        let mut wanted = wanted(&getter, hash, &sharer).await;
        wanted.listed = says;
        if let By::Link { is_unlisted } = by {
            wanted.target = Target::Link(Link {
                is_unlisted,
                ..Link::new(hash)
            });
        }
        get(&getter, wanted).await;

        let found = listed(&getter, &sharer).await.contains(&hash);
        assert_eq!(found, is_listed, "case {seed}");
        assert_eq!(links_as_unlisted(&getter, hash).await, !is_listed);
    }
}

#[tokio::test]
async fn content_that_is_found_by_name_stays_listed() {
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    let content = Content::new(THREE_CHUNKS, 1);
    sharer.share("shell", &content).await;

    let mut wanted = wanted(&getter, content.hash(), &sharer).await;
    wanted.target = Target::Name("shell".to_owned());
    get(&getter, wanted).await;

    assert_eq!(listed(&getter, &sharer).await, [content.hash()]);
}

/// A folder has its manifests first, and then its scope.
#[tokio::test]
async fn a_folder_keeps_the_scope_that_its_source_gave_it() {
    for unlisted in [true, false] {
        let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
        fs::create_dir_all(sharer.path("box/sub")).unwrap();
        fs::write(sharer.path("box/sub/file"), "content").unwrap();
        let shared = ShareRequest {
            unlisted,
            ..ShareRequest::new(sharer.path("box"))
        };
        let shared = sharer.node.share(shared, |_| {}).await.unwrap();
        assert_eq!(shared.link.is_unlisted, unlisted);

        get(&getter, wanted(&getter, shared.hash, &sharer).await).await;

        let expected = if unlisted { vec![] } else { vec![shared.hash] };
        assert_eq!(listed(&getter, &sharer).await, expected);
    }
}

/// Content that is already at its target keeps its scope.
#[tokio::test]
async fn downloading_again_what_is_here_does_not_change_its_scope() {
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    let (public, private) = (Content::new(1000, 1), Content::new(1000, 2));
    getter.share("public", &public).await;
    getter.share_unlisted("private", &private).await;
    for (content, name) in [(&public, "public"), (&private, "private")] {
        let mut wanted = wanted(&getter, content.hash(), &sharer).await;
        wanted.output = Output::At(getter.path(name));
        wanted.listed = Some(name == "private");
        ended(&getter.begin(wanted).await).await.unwrap();
    }
    assert_eq!(listed(&getter, &sharer).await, [public.hash()]);
}
