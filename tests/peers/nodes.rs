//! Honest nodes, and what people do with them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use libp2p::identity::Keypair;
use pelago::{
    DataFolder, Download, DownloadRequest, Finished, Hash, LocalUser, Node, Output, Peer,
    PeerAddress, Settings, ShareRequest, Shared, Store, Target, TransferError,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::content::Content;

/// How long a test may take. A test that takes longer hangs.
const STORY: Duration = Duration::from_secs(20);

/// How long a peer may make no progress: short, so that nodes notice stalls soon.
const STALL: Duration = Duration::from_secs(1);

/// A node with its own folder.
pub(crate) struct Home {
    pub(crate) node: Node,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

/// The settings of a node on loopback without discovery.
pub(crate) fn settings(name: &str) -> Settings {
    Settings {
        name: name.to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        announce: false,
        stall: STALL,
        ..Settings::default()
    }
}

impl Home {
    pub(crate) async fn start(name: &str) -> Self {
        Self::with(settings(name)).await
    }

    /// A node that asks one source at a time, in the order that the test gives.
    pub(crate) async fn asking_one_at_a_time(name: &str) -> Self {
        Self::with(Settings {
            max_sources: 1,
            max_asked: 1,
            ..settings(name)
        })
        .await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::with_store(settings, Store::in_memory(), tempfile::tempdir().unwrap()).await
    }

    /// A node with a data folder, in which it caches what is read.
    pub(crate) async fn on_disk(name: &str) -> Self {
        Self::in_folder(settings(name), tempfile::tempdir().unwrap()).await
    }

    /// A node with its data folder below `folder`, where an earlier run may have left it.
    pub(crate) async fn in_folder(settings: Settings, folder: TempDir) -> Self {
        let data = DataFolder::lock(folder.path().join("data")).unwrap();
        let store = Store::open(&data).unwrap();
        Self::with_store(settings, store, folder).await
    }

    /// Ends the node, and starts it again with `settings`.
    pub(crate) async fn restart(self, settings: Settings) -> Self {
        self.node.shutdown().await;
        let Self {
            node,
            store,
            folder,
        } = self;
        drop((node, store));
        // Tasks of the first node may hold its folder until the runtime has dropped them.
        let data = folder.path().join("data");
        in_time(async {
            while DataFolder::lock(data.clone()).is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self::in_folder(settings, folder).await
    }

    async fn with_store(settings: Settings, store: Store, folder: TempDir) -> Self {
        let key = Keypair::generate_ed25519();
        let node = Node::start(settings, store.clone(), &key, None)
            .await
            .unwrap();
        Self {
            node,
            store,
            folder,
        }
    }

    /// The node `key` of a user.
    pub(crate) async fn of_user(
        settings: Settings,
        store: Store,
        key: &Keypair,
        user: LocalUser,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of_user_in(settings, store, folder, key, user).await
    }

    /// The same with a folder.
    pub(crate) async fn of_user_in(
        settings: Settings,
        store: Store,
        folder: TempDir,
        key: &Keypair,
        user: LocalUser,
    ) -> Self {
        let node = Node::start(settings, store.clone(), key, Some(user));
        Self {
            node: node.await.unwrap(),
            store,
            folder,
        }
    }

    /// The value of a metric, given by name and labels; 0 if there is none.
    pub(crate) async fn counted(&self, sample: &str) -> u64 {
        let text = self.node.metrics().await.unwrap();
        let mut samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        let found = samples.find(|(name, _)| *name == sample);
        found.map_or(0, |(_, value)| value.parse().unwrap())
    }

    pub(crate) async fn address(&self) -> PeerAddress {
        let addresses = self.node.addresses().await.unwrap();
        PeerAddress::from(addresses[0].clone())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and shares it with everyone.
    pub(crate) async fn share(&self, name: &str, content: &Content) -> Shared {
        self.write(name, content);
        self.share_written(name, content, false).await
    }

    pub(crate) async fn share_unlisted(&self, name: &str, content: &Content) -> Shared {
        self.write(name, content);
        self.share_written(name, content, true).await
    }

    /// Writes and shares many files, whose names are their numbers; `is_unlisted` says which are
    /// unlisted.
    pub(crate) async fn share_many(
        &self,
        contents: &[Content],
        is_unlisted: impl Fn(usize) -> bool,
    ) {
        let numbered = || contents.iter().enumerate();
        // All files are written first: the node would wait for each file that was written just
        // before.
        numbered().for_each(|(n, content)| self.write(&n.to_string(), content));
        for (n, content) in numbered() {
            self.share_written(&n.to_string(), content, is_unlisted(n))
                .await;
        }
    }

    fn write(&self, name: &str, content: &Content) {
        fs::write(self.path(name), &content.bytes).unwrap();
    }

    async fn share_written(&self, name: &str, content: &Content, unlisted: bool) -> Shared {
        let path = self.path(name);
        let name = None;
        let request = ShareRequest {
            name,
            unlisted,
            ..ShareRequest::new(path)
        };
        let shared = self.node.share(request, |_| {}).await.unwrap();
        assert_eq!(shared.hash, content.hash());
        shared
    }

    /// Starts the download of `hash` to `copy` in this node's folder. The node asks the first of
    /// `peers` first, then the last one, and so on backwards to the second.
    pub(crate) async fn download(&self, hash: Hash, peers: &[PeerAddress]) -> Download {
        self.begin(request(hash, Output::At(self.path("copy")), peers))
            .await
    }

    pub(crate) async fn begin(&self, request: DownloadRequest) -> Download {
        self.node.download(request).await.unwrap()
    }

    /// How many bytes of content this node has received from `other`.
    pub(crate) async fn received_from(&self, other: &Self) -> u64 {
        let peers = self.node.peers().await.unwrap();
        let is_other = |peer: &&Peer| peer.peer_id == other.node.peer_id();
        peers
            .iter()
            .find(is_other)
            .map_or(0, |peer| peer.received_bytes)
    }

    /// Downloads `content` from `peers`, and compares the result.
    pub(crate) async fn fetch(&self, content: &Content, peers: &[PeerAddress]) -> Finished {
        let download = self.download(content.hash(), peers).await;
        let finished = ended(&download).await.unwrap();
        assert_same(&finished.path, content);
        finished
    }
}

/// A request for a download that waits for a source as long as a test may take.
pub(crate) fn request(hash: Hash, output: Output, peers: &[PeerAddress]) -> DownloadRequest {
    DownloadRequest {
        peers: peers.to_vec(),
        ..DownloadRequest::new(Target::Hash(hash), output, STORY)
    }
}

/// Waits for the end of a download. Panics if it hangs.
pub(crate) async fn ended(download: &Download) -> Result<Finished, Arc<TransferError>> {
    in_time(download.finished()).await
}

/// Waits for the result of `story`. Panics if it hangs.
pub(crate) async fn in_time<T>(story: impl Future<Output = T>) -> T {
    let in_time = timeout(STORY, story).await;
    in_time.expect("the story hangs")
}

pub(crate) fn assert_same(path: &Path, content: &Content) {
    let found = fs::read(path).unwrap();
    assert!(found == content.bytes, "{} differs", path.display());
}
