//! Calls in process and through a socket, which have the same results.

use std::fs;

use pelago_content::Link;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{LIMIT, Served, alone};
use crate::api::{
    CallError, Client, router,
    types::{
        CatalogueQuery, DownloadEvent, DownloadRequest, ErrorInfo, Kind, Limits, LimitsChange,
        OpenRequest, Output, QueuePosition, ShareEvent, ShareRequest, Shared, UnshareQuery,
    },
};

fn request(path: &str) -> ShareRequest {
    ShareRequest::new(path)
}

fn file(folder: &TempDir, name: &str, len: usize) -> String {
    let path = folder.path().join(name);
    fs::write(&path, vec![7; len]).unwrap();
    path.into_os_string().into_string().unwrap()
}

async fn share(client: &Client, request: &ShareRequest) -> Result<Shared, ErrorInfo> {
    let mut events = client.share(request).await?;
    loop {
        match events.next().await?.expect("the last event is the outcome") {
            ShareEvent::Hashing { hashed_bytes, size } => assert!(Some(hashed_bytes) <= size),
            ShareEvent::Shared(shared) => {
                assert_eq!(events.next().await.unwrap(), None);
                return Ok(shared);
            }
            ShareEvent::Error { error } => return Err(error),
        }
    }
}

/// A download of content that no peer has.
fn missing(folder: &TempDir) -> DownloadRequest {
    DownloadRequest::new(
        "ab".repeat(32),
        Output::At(folder.path().join("x").to_str().unwrap().to_owned()),
        3600.0,
    )
}

/// Waits until the newest download is in `state`.
async fn until_state(client: &Client, state: &str) {
    let reached = async {
        loop {
            let downloads = client.downloads().await.unwrap();
            if downloads.last().is_some_and(|newest| newest.state == state) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, reached).await.unwrap();
}

#[tokio::test]
async fn both_transports_reach_the_same_node() {
    let node = alone().await;
    let inside = Client::in_process(router(node.clone()));
    let served = Served::new(node).await;
    let outside = served.client().await;

    let status = outside.status().await.unwrap();
    assert_eq!(status.api, Some(served.address.to_string()));
    assert_eq!(status.peer_id, inside.status().await.unwrap().peer_id);
    assert_eq!(inside.status().await.unwrap().api, None);
    assert_eq!(outside.peers().await.unwrap(), []);

    let folder = tempfile::tempdir().unwrap();
    let shared = share(&inside, &request(&file(&folder, "a.txt", 5_000_000)))
        .await
        .unwrap();
    assert_eq!(
        (&*shared.name, shared.size, shared.kind),
        ("a.txt", 5_000_000, Kind::File)
    );
    assert!(
        shared
            .link
            .starts_with(&format!("pelago:{}?name=a.txt", shared.hash))
    );
    let listed = outside.shares().await.unwrap();
    assert_eq!(listed, inside.shares().await.unwrap());
    assert_eq!(listed[0].hash, shared.hash);
}

#[tokio::test]
async fn any_name_can_be_unshared() {
    let served = Served::new(alone().await).await;
    let client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    for (at, name) in ["a b+c/ü&what=%41#?.txt", "\u{202e}"]
        .into_iter()
        .enumerate()
    {
        let path = file(&folder, &at.to_string(), at);
        share(
            &client,
            &ShareRequest {
                name: Some(name.into()),
                ..request(&path)
            },
        )
        .await
        .unwrap();
        let unsharing = UnshareQuery {
            what: name.to_owned(),
            ..UnshareQuery::default()
        };
        let unshared = client.unshare(&unsharing).await.unwrap();
        assert_eq!(unshared[0].name, name);
        let Err(CallError::Refused(error)) = client.unshare(&unsharing).await else {
            panic!("{name} is still shared");
        };
        assert_eq!(error.code, "not-shared");
        assert!(error.hint.is_some());
    }
}

#[tokio::test]
async fn a_download_of_any_name_is_paused_moved_resumed_and_cancelled() {
    let served = Served::new(alone().await).await;
    let client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    let names = ["a b+c/ü&what=%41#?.txt", "..", "pause"];
    for (digits, name) in ["ab", "cd", "ef"].into_iter().zip(names) {
        let hash = digits.repeat(32);
        let link = Link {
            name: Some(name.to_owned()),
            ..Link::new(hash.parse().unwrap())
        };
        let request = DownloadRequest {
            target: link.to_string(),
            detach: true,
            ..missing(&folder)
        };
        let mut events = client.download(&request).await.unwrap();
        events.next().await.unwrap();
        let paused = client.pause(name).await.unwrap();
        assert_eq!((&paused.hash, &*paused.state), (&hash, "paused"));
        let resumed = client.resume(&hash[..6]).await.unwrap();
        assert_eq!(resumed.name, name);
        // It may have had its turn already.
        assert!(
            ["queued", "finding-sources"].contains(&&*resumed.state),
            "{}",
            resumed.state
        );
        let followers = client.followers(name).await.unwrap();
        assert_eq!((followers.followers, followers.detached), (0, true));
        let order = client.reorder(name, QueuePosition::First).await.unwrap();
        assert_eq!(order[0].hash, hash);
    }
    assert_eq!(client.pause_all().await.unwrap().len(), names.len());
    for name in names {
        client.cancel(name).await.unwrap();
        let Err(CallError::Refused(error)) = client.remove(name, true).await else {
            panic!("{name} is still listed");
        };
        assert_eq!(error.code, "not-downloading");
    }
    assert_eq!(client.downloads().await.unwrap(), []);
}

#[tokio::test]
async fn only_shares_have_links() {
    let client = Client::in_process(router(alone().await));
    let folder = tempfile::tempdir().unwrap();
    let shared = share(&client, &request(&file(&folder, "a b.txt", 5)))
        .await
        .unwrap();
    assert_eq!(
        client.links(None, None).await.unwrap(),
        std::slice::from_ref(&shared)
    );
    assert_eq!(
        client.links(Some("a b.txt"), None).await.unwrap(),
        std::slice::from_ref(&shared)
    );
    let Err(CallError::Refused(error)) = client.links(Some("b"), None).await else {
        panic!("there is no b")
    };
    assert_eq!(error.code, "not-shared");

    let open = |target: &str| OpenRequest {
        target: target.to_owned(),
        peers: Vec::new(),
        group: None,
        public: false,
        bootstrap: Vec::new(),
        timeout_seconds: 0.0,
        until_asked: false,
    };
    let content = client.open(&open(&shared.link)).await.unwrap();
    assert_eq!(
        (content.size, content.files, content.shared),
        (Some(5), Some(1), true)
    );
    for (target, code) in [("ab".repeat(32), "no-source"), ("a".into(), "bad-target")] {
        let Err(CallError::Refused(error)) = client.open(&open(&target)).await else {
            panic!("{target} is nothing")
        };
        assert_eq!(error.code, code);
    }
}

#[tokio::test]
async fn limits_change_one_by_one_or_not_at_all() {
    let client = Served::new(alone().await).await.client().await;
    assert_eq!(client.limits().await.unwrap(), Limits::default());
    let upload = LimitsChange {
        upload: Some(Some(400_000)),
        ..LimitsChange::default()
    };
    let peers = LimitsChange {
        download_per_peer: Some(Some(50_000)),
        ..LimitsChange::default()
    };
    client.set_limits(&upload).await.unwrap();
    let limits = client.set_limits(&peers).await.unwrap();
    let both = Limits {
        upload: Some(400_000),
        download_per_peer: Some(50_000),
        ..Limits::default()
    };
    assert_eq!(limits, both);
    let too_low = LimitsChange {
        upload: Some(None),
        download: Some(Some(999)),
        ..LimitsChange::default()
    };
    let refused = client.set_limits(&too_low).await.unwrap_err();
    assert!(refused.to_string().starts_with("download: 999 bytes"));
    assert!(matches!(refused, CallError::Refused(error) if error.code == "bad-limit"));
    assert_eq!(client.limits().await.unwrap(), both);
    let lifted = LimitsChange {
        upload: Some(None),
        download_per_peer: Some(Some(0)),
        ..LimitsChange::default()
    };
    let limits = client.set_limits(&lifted).await.unwrap();
    assert_eq!(limits, Limits::default());
}

#[tokio::test]
async fn an_error_within_a_stream_is_its_last_line() {
    let client = Served::new(alone().await).await.client().await;
    let error = share(&client, &request("/no/such/file")).await.unwrap_err();
    assert!(error.message.contains("/no/such/file"), "{error}");
}

#[tokio::test]
async fn an_error_that_is_known_immediately_is_the_whole_response() {
    let client = Served::new(alone().await).await.client().await;
    let refused = client.share(&request("relative")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(error) if error.code == "relative-path"));
    let folder = tempfile::tempdir().unwrap();
    let wrong = DownloadRequest {
        target: "sha256:00".to_owned(),
        ..missing(&folder)
    };
    let refused = client.download(&wrong).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(error) if error.code == "bad-target"));
    let peer = CatalogueQuery {
        peer: Some("nowhere".to_owned()),
        wait: None,
        ..CatalogueQuery::default()
    };
    let refused = client.catalogue(&peer).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(error) if error.code == "bad-address"));
}

#[tokio::test]
async fn a_download_pauses_when_its_follower_disconnects() {
    let node = alone().await;
    let served = Served::new(node.clone()).await;
    for client in [
        Client::in_process(router(node.clone())),
        served.client().await,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut events = client.download(&missing(&folder)).await.unwrap();
        let first = events.next().await.unwrap();
        assert!(
            matches!(first, Some(DownloadEvent::Progress(_))),
            "{first:?}"
        );
        until_state(&client, "finding-sources").await;
        drop(events);
        until_state(&client, "paused").await;
    }
}

#[tokio::test]
async fn a_detached_download_continues() {
    let client = Served::new(alone().await).await.client().await;
    let folder = tempfile::tempdir().unwrap();
    let request = DownloadRequest {
        detach: true,
        timeout_seconds: 0.05,
        wait: false,
        ..missing(&folder)
    };
    let mut events = client.download(&request).await.unwrap();
    assert!(matches!(
        events.next().await.unwrap(),
        Some(DownloadEvent::Detached(_))
    ));
    assert_eq!(events.next().await.unwrap(), None);
    // It ended by itself and was not paused.
    until_state(&client, "failed").await;
}

#[tokio::test]
async fn the_last_line_of_a_failed_download_is_its_error() {
    let client = Served::new(alone().await).await.client().await;
    let folder = tempfile::tempdir().unwrap();
    let request = DownloadRequest {
        timeout_seconds: 0.05,
        wait: false,
        ..missing(&folder)
    };
    let mut events = client.download(&request).await.unwrap();
    let mut last = None;
    while let Some(event) = events.next().await.unwrap() {
        last = Some(event);
    }
    let Some(DownloadEvent::Error { error }) = last else {
        panic!("it ended with {last:?}");
    };
    assert_eq!(error.code, "no-source");
}

#[tokio::test]
async fn shutdown_waits_for_calls_in_progress() {
    let served = Served::new(alone().await).await;
    let client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    let mut events = client.download(&missing(&folder)).await.unwrap();
    events.next().await.unwrap();

    served.end.send(()).unwrap();
    // New calls are accepted until the last one is complete.
    client.status().await.unwrap();
    assert!(!served.task.is_finished());

    drop(events);
    timeout(LIMIT, served.task).await.unwrap().unwrap();
    assert!(matches!(client.status().await, Err(CallError::Connect(_))));
}
