//! Folders: what a peer learns of them, and downloads from several sources, which have parts or all
//! of a folder.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use pelago::{Download, DownloadRequest, Hash, Kind, Output, Settings, ShareRequest};
use pelago_behaviour::{
    Protocol,
    availability::{self, Update},
    chunk::{Answer, Item},
};
use pelago_content::{EntryKind, Listing, Manifest, verify};

use crate::{
    content::Content,
    nodes::{Home, ended, in_time, request, settings},
    printed::Machine,
    raw::Client,
    scripted::{Act, Scripted},
    tree::{Tree, file, files_in, folder, manifest},
};

async fn share(server: &Home, unlisted: bool) -> Hash {
    let request = ShareRequest {
        unlisted,
        ..ShareRequest::new(server.path("box"))
    };
    server.node.share(request, |_| {}).await.unwrap().hash
}

/// Downloads and proves short content; `None` if the node does not have it.
async fn fetch(client: &Client, hash: Hash) -> Option<(Kind, Vec<u8>)> {
    let item = Item {
        hash,
        level: 8,
        index: 0,
        data: true,
    };
    match client.ask(item).await {
        (
            Answer::Data {
                descriptor, proof, ..
            },
            data,
        ) => {
            assert_eq!(descriptor.hash(), hash);
            let chunk = descriptor.geometry().chunk(8, 0).unwrap();
            verify(&descriptor, chunk, &data, &proof).unwrap();
            Some((descriptor.kind(), data))
        }
        (Answer::Absent, _) => None,
        (answer, _) => panic!("{answer:?}"),
    }
}

/// The name of the content that the node sends to the client.
async fn name_of(client: &Client, hash: Hash) -> Option<String> {
    let mut stream = client.open(Protocol::Availability).await;
    availability::write_request(&mut stream, &client.question(&hash))
        .await
        .unwrap();
    match in_time(availability::read_update(&mut stream)).await {
        Ok(Some(Update::Has(has))) => has.name,
        other => panic!("{other:?}"),
    }
}

/// ```text
///   server <--- client        the client requests manifests and files by their hashes
/// ```
#[tokio::test]
async fn a_folder_is_served_manifest_by_manifest_and_file_by_file() {
    let server = Home::start("server").await;
    fs::create_dir_all(server.path("box/sub")).unwrap();
    fs::write(server.path("box/sub/file"), "content").unwrap();
    let client = Client::connect(&server).await;
    for unlisted in [true, false] {
        let root = share(&server, unlisted).await;
        let mut expander = None;
        let mut wanted = vec![root];
        while let Some(hash) = wanted.pop() {
            let (kind, bytes) = fetch(&client, hash).await.unwrap();
            assert_eq!(kind, Kind::Folder);
            let descriptor = Manifest::describe(&bytes).unwrap();
            let expander =
                expander.get_or_insert_with(|| pelago_content::Expander::new(descriptor).unwrap());
            expander.wanted();
            let manifest = Manifest::from_bytes(&bytes).unwrap();
            for entry in manifest.entries() {
                if let EntryKind::Folder { descriptor, .. } = &entry.kind {
                    wanted.push(descriptor.hash());
                }
            }
            expander.take(&hash, manifest).unwrap();
        }
        let listing: Listing = expander.unwrap().finish().unwrap();
        let file = listing.files().next().unwrap();
        assert_eq!((file.path(), file.blocks()), ("sub/file".to_owned(), 0..1));
        let (kind, data) = fetch(&client, file.descriptor.hash()).await.unwrap();
        assert_eq!((kind, &data[..]), (Kind::File, &b"content"[..]));
        let called = name_of(&client, file.descriptor.hash()).await;
        assert_eq!(called.as_deref(), Some("file"));
    }
    let root = share(&server, false).await;
    server
        .node
        .unshare(pelago::UnshareRequest::new("box"))
        .await
        .unwrap();
    assert_eq!(fetch(&client, root).await, None);
}

/// A folder of 100,100 folders, in a few kilobytes.
fn many_folders() -> Tree {
    let empty = manifest(Vec::new());
    let many = |number: usize, of: &Content| {
        let alike = (0..number).map(|n| folder(&format!("{n:04}"), &of.descriptor, 0, 0));
        manifest(alike.collect())
    };
    let below = many(1000, &empty);
    Tree::new([many(100, &below), below, empty], 0)
}

/// ```text
///   liar (a folder of very many folders) <--- getter
/// ```
#[tokio::test]
async fn a_folder_of_very_many_entries_is_refused_before_anything_is_written() {
    let tree = many_folders();
    let liar = Scripted::start(tree.claiming(0..0).script()).await;
    let getter = Home::start("getter").await;
    let download = getter.download(tree.hash(), &[liar.address()]).await;

    let refused = ended(&download).await.unwrap_err();

    assert_eq!(refused.code(), "folder-expands");
    let message = refused.to_string();
    assert!(message.contains("100100 entries"), "{message}");
    assert!(refused.hint().unwrap().contains("--allow-expansion"));
    let here = fs::read_dir(getter.folder.path()).unwrap();
    assert_eq!(here.count(), 0);

    // It stops between two folders.
    let allowed = DownloadRequest {
        may_expand: true,
        ..request(
            tree.hash(),
            Output::At(getter.path("copy")),
            &[liar.address()],
        )
    };
    let download = getter.begin(allowed).await;
    let mut status = download.status();
    let noticed = in_time(status.wait_for(|status| status.notice.is_some())).await;
    let notice = noticed.unwrap().notice.clone().unwrap();
    assert!(
        notice.contains("0 files and 100100 folders"),
        "people see how many: {notice}"
    );
    in_time(getter.node.cancel(&tree.hash().to_string()))
        .await
        .unwrap();
    let here = fs::read_dir(getter.folder.path()).unwrap();
    assert_eq!(here.count(), 0);
}

/// ```text
///   liar (a folder of very many folders) <--- a command at a terminal
/// ```
#[tokio::test]
async fn a_person_at_a_terminal_is_asked_about_a_folder_of_very_many_entries() {
    let tree = many_folders();
    let liar = Scripted::start(tree.claiming(0..0).script()).await;
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine(folder.path().to_owned());
    let (hash, peer) = (tree.hash().to_string(), liar.address().to_string());
    let mut command = machine.at_a_terminal(&["download", &hash, "--peer", &peer, "-o", "copy"]);
    command.says("100100 entries").await;
    command.says("download it anyway? [y/N]").await;
    let keys = command.child.stdin.as_mut().unwrap();
    keys.write_all(b"n\r").unwrap();
    keys.flush().unwrap();
    in_time(async {
        while command.child.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let is_of_it = |name: &str| name.starts_with("copy");
    let here = fs::read_dir(folder.path()).unwrap().flatten();
    let here: Vec<_> = here.map(|entry| entry.file_name()).collect();
    assert!(
        !here.iter().any(|name| is_of_it(name.to_str().unwrap())),
        "{here:?}"
    );
}

/// A folder of two files, `top` and `sub/inner`, which have the same number of blocks.
struct Halves {
    tree: Tree,
    files: [Content; 2],
}

/// Bytes of each file: large enough to be served before it is complete.
const HALF: u64 = 40 * 16_384;

impl Halves {
    fn new() -> Self {
        let files = [1, 2].map(|seed| Content::new(HALF, seed));
        let [inner, top] = &files;
        let sub = manifest(vec![file("inner", inner)]);
        let below = folder("sub", &sub.descriptor, HALF, 1);
        let root = manifest(vec![below, file("top", top)]);
        let contents = [root, sub].into_iter().chain(files.iter().cloned());
        let tree = Tree::new(contents, 80);
        Self { tree, files }
    }

    fn is_in(&self, folder: &Path) {
        let [inner, top] = &self.files;
        let expected = [("sub/inner", inner), ("top", top)];
        let expected = expected.map(|(path, file)| (path.to_owned(), file.bytes.clone()));
        assert!(files_in(folder) == expected, "{} differs", folder.display());
    }

    /// Writes the folder, so that `home` can share it.
    fn write(&self, home: &Home) {
        let [inner, top] = &self.files;
        fs::create_dir_all(home.path("box/sub")).unwrap();
        fs::write(home.path("box/sub/inner"), &inner.bytes).unwrap();
        fs::write(home.path("box/top"), &top.bytes).unwrap();
    }
}

async fn has_half(download: &Download) {
    let mut status = download.status();
    let has_half = status.wait_for(|status| status.verified_bytes == Some(HALF));
    in_time(has_half).await.unwrap();
}

/// ```text
///   seed (one half) <--- holder <---.
///                                    getter      the seeds stop; no node has the content of `lost`,
///   seed (the other) <-- holder <---'            so that the downloads of the holders do not end
/// ```
#[tokio::test]
async fn halves_of_a_folder_come_from_peers_that_are_still_downloading() {
    let files = [1, 2, 3].map(|seed| Content::new(HALF, seed));
    let names = ["first", "lost", "second"];
    let entries = names.iter().zip(&files);
    let root = manifest(entries.map(|(name, content)| file(name, content)).collect());
    let tree = Tree::new([root].into_iter().chain(files.iter().cloned()), 120);
    let mut holders = Vec::new();
    for blocks in [0..40, 80..120] {
        let seed = Scripted::start(tree.claiming(blocks).script()).await;
        let holder = Home::start("holder").await;
        let download = holder.download(tree.hash(), &[seed.address()]).await;
        has_half(&download).await;
        seed.stop();
        holders.push(holder);
    }
    let getter = Home::start("getter").await;
    let peers = join_all(holders.iter().map(Home::address)).await;
    let mut wanted = request(tree.hash(), Output::At(getter.path("copy")), &peers);
    wanted.only = vec!["first".to_owned(), "second".to_owned()];
    let finished = ended(&getter.begin(wanted).await).await.unwrap();
    let expected = [("first", &files[0]), ("second", &files[2])];
    let expected = expected.map(|(name, file)| (name.to_owned(), file.bytes.clone()));
    assert!(files_in(&finished.path) == expected);
    assert_eq!(finished.sources, 2);
}

/// ```text
///   first (chose sub) <---.
///                          getter        each has one of the two files
///   other (chose top) <---'
/// ```
#[tokio::test]
async fn files_that_others_chose_of_a_folder_are_downloaded_by_their_hashes() {
    let halves = Halves::new();
    let seed = Scripted::start(halves.tree.script()).await;
    let getter = Home::start("getter").await;
    for (only, content) in ["sub", "top"].into_iter().zip(&halves.files) {
        let holder = Home::start("holder").await;
        let copy = Output::At(holder.path("copy"));
        let mut wanted = request(halves.tree.hash(), copy, &[seed.address()]);
        wanted.only = vec![only.to_owned()];
        wanted.seed = true;
        let finished = ended(&holder.begin(wanted).await).await.unwrap();
        assert_eq!(finished.size, HALF);
        let found = files_in(&finished.path);
        assert!(found.len() == 1 && found[0].1 == content.bytes);
        let output = Output::At(getter.path(only));
        let wanted = request(content.hash(), output, &[holder.address().await]);
        let finished = ended(&getter.begin(wanted).await).await.unwrap();
        crate::nodes::assert_same(&finished.path, content);
    }
}

/// ```text
///   harmed (has one file left) <--- getter ---> complete, which connects later
/// ```
#[tokio::test]
async fn a_file_that_changed_in_a_shared_folder_comes_from_another() {
    let halves = Halves::new();
    let (harmed, whole) = (Home::start("harmed").await, Home::start("whole").await);
    let mut hash = None;
    for home in [&harmed, &whole] {
        halves.write(home);
        hash = Some(share(home, false).await);
    }
    fs::write(harmed.path("box/top"), Content::new(HALF, 77).bytes).unwrap();
    let getter = Home::start("getter").await;
    let download = getter
        .download(hash.unwrap(), &[harmed.address().await])
        .await;
    has_half(&download).await;

    getter.node.connect(&whole.address().await).await.unwrap();

    let finished = ended(&download).await.unwrap();
    assert_eq!(finished.sources, 2);
    halves.is_in(&finished.path);
    assert_eq!(getter.received_from(&whole).await, HALF);
}

#[tokio::test]
async fn a_folder_with_a_file_that_no_source_has_reports_it_and_resumes_later() {
    // harmed <--- getter, which fails; later: getter ---> complete
    let halves = Halves::new();
    let harmed = Home::start("harmed").await;
    halves.write(&harmed);
    let hash = share(&harmed, false).await;
    fs::write(harmed.path("box/top"), "other").unwrap();
    let getter = Home::start("getter").await;
    let copy = || Output::At(getter.path("copy"));
    let mut wanted = request(hash, copy(), &[harmed.address().await]);
    wanted.timeout = Duration::from_secs(2);
    let download = getter.begin(wanted).await;
    let error = ended(&download).await.unwrap_err();
    assert_eq!(error.code(), "no-source", "{error}");
    // The getter may ask it again meanwhile, and it answers that it has nothing more.
    let message = error.to_string();
    let is_right = [
        "1 source has no more of it",
        "1 peer was asked and does not have it",
    ]
    .iter()
    .any(|right| message.contains(right));
    assert!(is_right, "{message}");
    assert_eq!(download.status().borrow().verified_bytes, Some(HALF));
    assert!(!getter.path("copy").exists());

    let whole = Scripted::start(halves.tree.script()).await;
    let wanted = request(hash, copy(), &[whole.address()]);
    let finished = ended(&getter.begin(wanted).await).await.unwrap();
    halves.is_in(&finished.path);
    assert_eq!(
        (finished.resumed_bytes, finished.fetched_bytes),
        (HALF, HALF)
    );
    let top = halves.files[1].hash();
    assert!(whole.asked().items.iter().all(|item| item.hash == top));
}

/// ```text
///   late <--- getter ---> silent      both are asked for the first manifest, and silent sends it;
///                                     late sends it when silent is asked for the second one
/// ```
#[tokio::test]
async fn a_late_manifest_is_not_taken_for_another() {
    let halves = Halves::new();
    let (root, tree) = (halves.tree.hash(), halves.tree.clone());
    let (asked, silent_asked) = tokio::sync::watch::channel(());
    let silent = Scripted::start(halves.tree.doing(move |_, item| {
        if item.hash == root {
            Act::Send(tree.truth(&item))
        } else {
            asked.send_replace(());
            Act::Silence
        }
    }))
    .await;
    let mut script = halves.tree.script();
    let tree = Arc::new(halves.tree.clone());
    script.chunk = Box::new(move |_, item| {
        let (tree, mut asked) = (Arc::clone(&tree), silent_asked.clone());
        Box::pin(async move {
            if item.hash == root {
                asked.changed().await.unwrap();
            }
            Act::Send(tree.truth(&item))
        })
    });
    let late = Scripted::start(script).await;
    let getter = Home::with(Settings {
        stall: Duration::from_secs(600),
        ..settings("getter")
    })
    .await;
    let download = getter.download(root, &[late.address()]).await;
    late.until(|asked| asked.items.len() == 1).await;
    getter.node.connect(&silent.address()).await.unwrap();
    let finished = ended(&download).await.unwrap();
    halves.is_in(&finished.path);
}

/// ```text
///   slow <--- getter ---> quick      both have a folder with the same file; the download from slow
///                                    begins first and ends last
/// ```
#[tokio::test]
async fn two_folders_with_a_file_in_common_arrive_at_the_same_time() {
    let common = Content::new(HALF, 1);
    let [slow, quick] = ["slow", "quick"].map(|name| {
        let root = manifest(vec![file(name, &common)]);
        Tree::new([root, common.clone()], 40)
    });
    let (open, opened) = tokio::sync::watch::channel(false);
    let mut script = slow.script();
    let (truth, hash, begun) = (
        Arc::new(slow.clone()),
        common.hash(),
        AtomicBool::new(false),
    );
    script.chunk = Box::new(move |_, item| {
        let (truth, mut opened) = (Arc::clone(&truth), opened.clone());
        let waits = item.hash == hash && begun.swap(true, Ordering::SeqCst);
        Box::pin(async move {
            if waits {
                opened.wait_for(|is_open| *is_open).await.unwrap();
            }
            Act::Send(truth.truth(&item))
        })
    });
    let slow_source = Scripted::start(script).await;
    let quick_source = Scripted::start(quick.script()).await;
    let getter = Home::with(Settings {
        stall: Duration::from_secs(600),
        ..settings("getter")
    })
    .await;
    let mut wanted = request(
        slow.hash(),
        Output::At(getter.path("slow")),
        &[slow_source.address()],
    );
    let first = getter.begin(wanted.clone()).await;
    let mut status = first.status();
    let has_some = status.wait_for(|status| status.verified_bytes > Some(0));
    in_time(has_some).await.unwrap();

    wanted.target = pelago::Target::Hash(quick.hash());
    wanted.output = Output::At(getter.path("quick"));
    wanted.peers = vec![quick_source.address()];
    wanted.seed = true;
    let finished = ended(&getter.begin(wanted).await).await.unwrap();
    crate::nodes::assert_same(&finished.path.join("quick"), &common);
    open.send_replace(true);
    let finished = ended(&first).await.unwrap();
    crate::nodes::assert_same(&finished.path.join("slow"), &common);

    // Small files, which have no record, are served like all others.
    let is_shared = async {
        while getter.store.count().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    in_time(is_shared).await;
    let client = Home::start("client").await;
    let peers = [getter.address().await];
    let finished = ended(&client.download(quick.hash(), &peers).await).await;
    crate::nodes::assert_same(&finished.unwrap().path.join("quick"), &common);
}
