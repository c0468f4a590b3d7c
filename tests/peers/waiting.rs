//! Downloads without a source, or with a source that sends nothing: they fail, wait or resume, and
//! say so.

use std::{fs, time::Duration};

use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use pelago::{
    Download, DownloadRequest, DownloadState, Hash, Output, PeerAddress, Settings, ShareRequest,
    WaitReason,
};
use pelago_behaviour::chunk::Answer;

use crate::{
    content::{Content, THREE_CHUNKS, encoded},
    nodes::{Home, assert_same, ended, in_time, request, settings},
    scripted::{Act, Script, Scripted, absent, has_all},
};

/// Bytes of the content.
const PHOTO: u64 = 2 << 20;

/// How long a download looks for a source before it waits. Within this time, a source has to send
/// something, also on a busy machine.
const SEARCH: Duration = Duration::from_secs(1);

fn waiting(home: &Home, hash: Hash, peers: &[PeerAddress]) -> DownloadRequest {
    let output = Output::At(home.path(&hash.to_string()));
    DownloadRequest {
        timeout: SEARCH,
        waits: true,
        ..request(hash, output, peers)
    }
}

/// Waits until the download says that it waits for a source.
async fn waits(download: &Download) {
    let mut status = download.status();
    let waits = status.wait_for(|status| status.state == DownloadState::Waiting);
    let status = in_time(waits).await.unwrap().clone();
    assert!(
        matches!(status.waits, Some(WaitReason::Source { .. })),
        "{status:?}"
    );
}

async fn arrives(download: &Download, content: &Content) {
    let finished = ended(download).await.unwrap();
    assert_same(&finished.path, content);
}

#[tokio::test]
async fn a_source_that_claims_all_and_gives_nothing_does_not_keep_a_download_from_its_end() {
    // source (claims all, and denies each chunk) <--- getter
    let content = Content::new(THREE_CHUNKS, 1);
    let source = Scripted::start(Script::claiming(content.descriptor, |_, _| {
        Act::Send(encoded(&Answer::Absent, &[]))
    }))
    .await;
    let getter = Home::start("getter").await;
    let mut wanted = waiting(&getter, content.hash(), &[source.address()]);
    (wanted.waits, wanted.timeout) = (false, Duration::from_secs(3));
    let error = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    assert!(
        source.asked().subscriptions > 1,
        "it was asked again meanwhile"
    );
}

#[tokio::test]
async fn a_download_that_waits_starts_when_a_source_connects() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    sharer.share_unlisted("original", &content).await;
    let download = getter.begin(waiting(&getter, content.hash(), &[])).await;
    waits(&download).await;

    getter.node.connect(&sharer.address().await).await.unwrap();

    arrives(&download, &content).await;
}

#[tokio::test]
async fn downloads_without_a_source_take_what_their_own_node_begins_to_share() {
    // getter, alone: shares a file, and a folder with another file in it
    let [file, member] = [1, 2].map(|seed| Content::new(THREE_CHUNKS, seed));
    let getter = Home::start("getter").await;
    let waiter = getter.begin(waiting(&getter, file.hash(), &[])).await;
    let seeker = DownloadRequest {
        timeout: Duration::from_secs(600),
        ..waiting(&getter, member.hash(), &[])
    };
    let seeker = getter.begin(seeker).await;
    waits(&waiter).await;

    getter.share("file", &file).await;
    arrives(&waiter, &file).await;

    let folder = getter.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("member"), &member.bytes).unwrap();
    let folder = ShareRequest::new(folder);
    getter.node.share(folder, |_| {}).await.unwrap();
    arrives(&seeker, &member).await;
}

#[tokio::test]
async fn downloads_that_wait_start_when_a_connected_peer_begins_to_list_them() {
    let contents = [1, 2, 3].map(|seed| Content::new(THREE_CHUNKS, seed));
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    getter.node.connect(&sharer.address().await).await.unwrap();
    let mut downloads = Vec::new();
    for content in &contents {
        downloads.push(getter.begin(waiting(&getter, content.hash(), &[])).await);
    }
    for download in &downloads {
        waits(download).await;
    }

    sharer.share_many(&contents, |_| false).await;

    for (download, content) in downloads.iter().zip(&contents) {
        arrives(download, content).await;
    }
}

#[tokio::test]
async fn a_download_that_waits_starts_when_a_person_names_a_source() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    sharer.share_unlisted("original", &content).await;
    let download = getter.begin(waiting(&getter, content.hash(), &[])).await;
    waits(&download).await;

    let joined = waiting(&getter, content.hash(), &[sharer.address().await]);
    getter.begin(joined).await;

    arrives(&download, &content).await;
}

#[tokio::test]
async fn a_named_peer_that_shares_unlisted_content_later_is_noticed_over_one_connection() {
    // named (by its address without an id; accepts the fifth subscription) <--- getter
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |number| match number {
        0..4 => Act::SendAndClose(absent()),
        _ => Act::Send(has_all(&descriptor)),
    });
    let named = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    let at = PeerAddress::from(named.address().address().clone());
    assert_eq!(at.peer(), None);
    let download = getter.begin(waiting(&getter, content.hash(), &[at])).await;
    named.until(|asked| asked.subscriptions >= 4).await;
    let peers = getter.node.peers().await.unwrap();
    assert_eq!((peers.len(), peers[0].addresses.len()), (1, 1));

    arrives(&download, &content).await;
}

#[tokio::test]
async fn a_download_that_waits_starts_when_a_record_of_a_source_is_found() {
    // getter ---> hub <--- sharer, which announces; the getter finds it by the provider record
    // alone
    let content = Content::new(THREE_CHUNKS, 1);
    let (hub, getter) = (Home::start("hub").await, Home::start("getter").await);
    getter.node.connect(&hub.address().await).await.unwrap();
    let download = getter.begin(waiting(&getter, content.hash(), &[])).await;
    waits(&download).await;

    let sharer = Home::with(Settings {
        announce: true,
        ..settings("sharer")
    })
    .await;
    sharer.node.connect(&hub.address().await).await.unwrap();
    sharer.share("original", &content).await;

    arrives(&download, &content).await;
}

#[tokio::test]
async fn what_waits_is_paused_and_resumed_and_never_fails() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    sharer.share("original", &content).await;
    let download = getter.begin(waiting(&getter, content.hash(), &[])).await;
    waits(&download).await;
    let hash = content.hash().to_string();
    let paused = getter.node.pause(&hash, None).await.unwrap();
    assert_eq!(paused.state, DownloadState::Paused);
    getter.node.connect(&sharer.address().await).await.unwrap();
    getter.node.resume(&hash).await.unwrap();
    let done = async {
        while getter.node.downloads()[0].state != DownloadState::Done {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(done).await;
}

#[tokio::test]
async fn time_that_our_own_limit_takes_is_not_without_a_source() {
    // sharer <--- getter (limit 100 KB/s): the first chunks take longer than the search for a
    // source
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    sharer.share("original", &content).await;
    let rate = pelago::Rate::limit(100_000).unwrap();
    getter.node.set_limits(|rates| rates.download = rate);
    let mut wanted = waiting(&getter, content.hash(), &[sharer.address().await]);
    (wanted.waits, wanted.timeout) = (false, Duration::from_millis(300));
    arrives(&getter.begin(wanted).await, &content).await;
}

#[tokio::test]
async fn a_refused_stream_does_not_mean_that_the_peer_has_nothing() {
    // source (resets the first streams) <--- getter, which is connected, and has no address to dial
    let content = Content::new(THREE_CHUNKS, 1);
    let descriptor = content.descriptor;
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |number| match number {
        0..3 => Act::SendAndClose(Vec::new()),
        _ => Act::Send(has_all(&descriptor)),
    });
    let source = Scripted::start(script).await;
    let getter = Home::start("getter").await;
    getter.node.connect(&source.address()).await.unwrap();
    let mut wanted = waiting(&getter, content.hash(), &[]);
    (wanted.waits, wanted.timeout) = (false, Duration::from_secs(5));
    arrives(&getter.begin(wanted).await, &content).await;
    assert_eq!(source.asked().subscriptions, 4);
}

#[tokio::test]
async fn downloads_without_a_source_keep_no_turn_from_one_that_has_it() {
    // getter (one at a time; 70 downloads look in vain) ---> sharer
    let content = Content::new(THREE_CHUNKS, 1);
    let sharer = Home::start("sharer").await;
    sharer.share("original", &content).await;
    let getter = Home::with(Settings {
        max_downloads: 1,
        ..settings("getter")
    })
    .await;
    let requests = (100..170).map(|seed| {
        let hash = Content::new(seed, seed).hash();
        let wanted = DownloadRequest {
            timeout: Duration::from_secs(600),
            ..waiting(&getter, hash, &[])
        };
        getter.begin(wanted)
    });
    let in_vain = join_all(requests).await;
    let wanted = waiting(&getter, content.hash(), &[sharer.address().await]);
    arrives(&getter.begin(wanted).await, &content).await;
    // More than look at a time: those whose peers have all answered wait without streams.
    let is_looking =
        |download: &&Download| download.status().borrow().state == DownloadState::FindingSources;
    assert!(in_vain.iter().filter(is_looking).count() <= 64);
}

/// Downloads `contents` from one node, `at_a_time`. Returns how long it takes.
async fn download_all(contents: &[Content], at_a_time: usize) -> Duration {
    let sharer = Home::start("sharer").await;
    sharer.share_many(contents, |_| false).await;
    let getter = Home::with(Settings {
        max_downloads: at_a_time,
        ..settings("getter")
    })
    .await;
    let peers = [sharer.address().await];
    let begun = std::time::Instant::now();
    let mut downloads = Vec::new();
    for content in contents {
        let output = Output::At(getter.path(&content.hash().to_string()));
        downloads.push(getter.begin(request(content.hash(), output, &peers)).await);
    }
    for (download, content) in downloads.iter().zip(contents) {
        arrives(download, content).await;
    }
    let refused = sharer.counted("pelago_streams_refused_total").await;
    // A stream may be opened before the source knows that another has ended.
    assert!(
        refused <= 16,
        "{at_a_time} at a time: {refused} are refused"
    );
    begun.elapsed()
}

#[tokio::test]
async fn forty_downloads_at_a_time_are_refused_no_stream_by_their_only_source() {
    let contents: Vec<_> = (0..80)
        .map(|seed| Content::new(THREE_CHUNKS, seed))
        .collect();
    let four = download_all(&contents, 4).await;
    let forty = download_all(&contents, 40).await;
    // Printed only: on a busy machine, this figure means little.
    println!("80 downloads, 4 at a time: {four:?}; 40 at a time: {forty:?}");
}

/// Reads all of the content, or of the file at `path` in a folder.
async fn read(home: &Home, hash: Hash, path: &[&str]) -> Vec<u8> {
    let reading = home.node.read(pelago::ReadRequest {
        hash,
        path: path.iter().map(ToString::to_string).collect(),
        group: None,
        timeout: Duration::from_secs(10),
        read_ahead: 4 << 20,
    });
    let pieces = reading.await.unwrap().range(0..u64::MAX);
    pieces.try_concat().await.unwrap()
}

#[tokio::test]
async fn an_album_of_sixty_files_is_read_without_a_refused_stream() {
    let sharer = Home::start("sharer").await;
    let album = sharer.path("album");
    fs::create_dir(&album).unwrap();
    let photos: Vec<_> = (0..60).map(|seed| Content::new(PHOTO, seed)).collect();
    for (number, photo) in photos.iter().enumerate() {
        fs::write(album.join(number.to_string()), &photo.bytes).unwrap();
    }
    let shared = sharer.node.share(ShareRequest::new(album), |_| {});
    let album = shared.await.unwrap().hash;
    let film = Content::new(60 * PHOTO, 100);
    sharer.share("film", &film).await;
    let getter = Home::on_disk("getter").await;
    getter.node.connect(&sharer.address().await).await.unwrap();

    let begun = std::time::Instant::now();
    assert!(in_time(read(&getter, film.hash(), &[])).await == film.bytes);
    let whole = begun.elapsed();
    let begun = std::time::Instant::now();
    // Several at a time, like a browser.
    let numbers: Vec<_> = (0..photos.len()).map(|number| number.to_string()).collect();
    let getter = &getter;
    let reads = numbers
        .iter()
        .map(|number| async move { (number, read(getter, album, &[number.as_str()]).await) });
    let read: Vec<_> = in_time(stream::iter(reads).buffer_unordered(6).collect()).await;
    let pieces = begun.elapsed();
    for (number, bytes) in read {
        assert!(
            bytes == photos[number.parse::<usize>().unwrap()].bytes,
            "{number}"
        );
    }
    // Printed only: on a busy machine, this figure means little.
    println!("one file: {whole:?}; an album of 60 of the same size: {pieces:?}");
    assert!(sharer.counted("pelago_streams_refused_total").await <= 4);
    let given_back = async {
        for protocol in ["availability", "chunk"] {
            let open = format!("pelago_serve_streams{{protocol=\"{protocol}\"}}");
            while sharer.counted(&open).await > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    // Readings stay for 30 s after their last reader, and hold no stream meanwhile.
    in_time(given_back).await;
}

#[tokio::test]
async fn what_is_shared_here_and_unreadable_is_read_from_another() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (here, other) = (Home::on_disk("here").await, Home::start("other").await);
    for home in [&here, &other] {
        home.share("original", &content).await;
    }
    fs::remove_file(here.path("original")).unwrap();
    here.node.connect(&other.address().await).await.unwrap();
    assert!(in_time(read(&here, content.hash(), &[])).await == content.bytes);
}

#[tokio::test]
async fn all_are_paused_with_one_write_of_the_list() {
    let getter = Home::with(Settings {
        max_downloads: 2,
        ..settings("getter")
    })
    .await;
    let many = 5000;
    let requests = (0..many).map(|number| {
        let hash = Content::new(number, number).hash();
        // They look for a source for as long as the test takes.
        let wanted = DownloadRequest {
            timeout: Duration::from_secs(600),
            waits: false,
            ..waiting(&getter, hash, &[])
        };
        getter.begin(wanted)
    });
    join_all(requests).await;
    let writes = || getter.counted("pelago_transfer_list_writes_total");
    let before = writes().await;
    assert!(
        before < many / 2,
        "those that were asked for together were written together"
    );

    let begun = std::time::Instant::now();
    let paused = getter.node.pause_all(None).await.unwrap();
    println!("{many} downloads are paused in {:?}", begun.elapsed());

    assert_eq!(paused.len() as u64, many);
    assert!(
        paused
            .iter()
            .all(|status| status.state == DownloadState::Paused)
    );
    assert_eq!(writes().await - before, 1);
    getter.node.resume_all().await.unwrap();
    // Resumed downloads may wait for a source. Those that begin to at the same time share a write.
    assert!(writes().await - before < 20);
}

#[tokio::test]
async fn a_download_refused_at_its_target_resumes_as_requested() {
    let content = Content::new(THREE_CHUNKS, 1);
    let (getter, sharer) = (Home::start("getter").await, Home::start("sharer").await);
    sharer.share("original", &content).await;
    let folder = getter.path("into");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("original"), "something else").unwrap();
    let peers = [sharer.address().await];
    let wanted = request(content.hash(), Output::Into(folder.clone()), &peers);
    let refused = ended(&getter.begin(wanted).await).await.unwrap_err();
    assert_eq!(refused.code(), "target-exists", "{refused}");
    let listed = getter.node.downloads().remove(0);
    assert_eq!(listed.path.as_deref(), Some(&*folder.join("original")));

    // The obstacle is removed, with the folder around it, which is created again.
    fs::rename(&folder, getter.path("aside")).unwrap();
    fs::create_dir(&folder).unwrap();
    getter
        .node
        .resume(&content.hash().to_string())
        .await
        .unwrap();
    let done = async {
        while getter.node.downloads()[0].state != DownloadState::Done {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(done).await;
    assert_same(&folder.join("original"), &content);
}
