//! Nodes with folders of their own on one disk, and downloads between them against the clock.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, identity::Keypair};
use pelago::{
    DataFolder, DownloadRequest, Hash, Mode, Node, Output, PeerAddress, Settings, ShareRequest,
    Store, Target,
};
use rand::Rng;
use tempfile::TempDir;

use crate::Failure;

/// How long a download continues without a source before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are generated or compared at a time.
const BUFFER: usize = 1 << 20;

/// The folder of one benchmark; dropping this removes it.
pub(crate) struct Place {
    folder: TempDir,
    made: Cell<usize>,
}

impl Place {
    pub(crate) fn new(within: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        Ok(Self {
            folder: builder.prefix("benchmark-").tempdir_in(within)?,
            made: Cell::new(0),
        })
    }

    /// A path that does not exist yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.folder
            .path()
            .join(format!("{name}-{}", self.made.get()))
    }

    /// A new file of random bytes.
    pub(crate) fn file(&self, bytes: u64) -> io::Result<PathBuf> {
        let path = self.path("file");
        write_random(&path, bytes)?;
        Ok(path)
    }

    /// Starts a node that others fetch from.
    pub(crate) async fn source(&self) -> Result<Peer, Failure> {
        self.start(Mode::LongRunning).await
    }

    /// Starts a node like that of a command.
    pub(crate) async fn sink(&self) -> Result<Peer, Failure> {
        self.start(Mode::OneShot).await
    }

    pub(crate) async fn start(&self, mode: Mode) -> Result<Peer, Failure> {
        Peer::start(self.path("node"), mode, None).await
    }

    /// Starts a node of a DHT, which others joined by `bootstrap`: it announces what it shares.
    pub(crate) async fn member(
        &self,
        mode: Mode,
        bootstrap: &[PeerAddress],
    ) -> Result<Peer, Failure> {
        Peer::start(self.path("node"), mode, Some(bootstrap)).await
    }
}

pub(crate) fn write_random(path: &Path, bytes: u64) -> io::Result<()> {
    let (mut file, mut left) = (BufWriter::new(File::create(path)?), bytes);
    let mut buffer = vec![0; BUFFER];
    while left > 0 {
        let now = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        rand::rng().fill_bytes(&mut buffer[..now]);
        file.write_all(&buffer[..now])?;
        left -= now as u64;
    }
    file.flush()
}

/// A node on loopback.
pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) address: PeerAddress,
    folder: PathBuf,
    settings: Settings,
    keypair: Keypair,
}

impl Peer {
    /// Starts a node that joins the DHT through the given nodes; with `None`, it joins no DHT.
    async fn start(
        folder: PathBuf,
        mode: Mode,
        bootstrap: Option<&[PeerAddress]>,
    ) -> Result<Self, Failure> {
        let settings = Settings {
            mode,
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
            mdns: false,
            announce: bootstrap.is_some(),
            bootstrap: bootstrap.unwrap_or_default().to_vec(),
            ..Settings::default()
        };
        Self::with(folder, settings, Keypair::generate_ed25519()).await
    }

    async fn with(folder: PathBuf, settings: Settings, keypair: Keypair) -> Result<Self, Failure> {
        let data = DataFolder::lock(folder.join("data"))?;
        let node = Node::start(settings.clone(), Store::open(&data)?, &keypair, None).await?;
        let listening = node.addresses().await?.into_iter().next();
        let address = PeerAddress::from(listening.ok_or("a node listens nowhere")?);
        Ok(Self {
            node,
            address,
            folder,
            settings,
            keypair,
        })
    }

    /// Stops the node, and restarts it at the same address.
    pub(crate) async fn restart(self) -> Result<Self, Failure> {
        let listen: Multiaddr = self.address.address().clone();
        let settings = Settings {
            listen: vec![listen],
            ..self.settings
        };
        self.node.shutdown().await;
        drop(self.node);
        Self::with(self.folder, settings, self.keypair).await
    }

    pub(crate) async fn share(&self, path: &Path) -> Result<Hash, Failure> {
        let request = ShareRequest::new(path.to_owned());
        Ok(self.node.share(request, |_| {}).await?.hash)
    }

    /// Bytes of content that were sent to `peer`.
    pub(crate) async fn sent_to(&self, peer: &Self) -> Result<u64, Failure> {
        let (peers, id) = (self.node.peers().await?, peer.node.peer_id());
        let sent = peers.iter().find(|peer| peer.peer_id == id);
        Ok(sent.map_or(0, |peer| peer.sent_bytes))
    }

    /// Fetches `hash` from `sources`; the time that took, and the path of the copy.
    pub(crate) async fn download(
        &self,
        hash: Hash,
        sources: &[PeerAddress],
    ) -> Result<(Duration, PathBuf), Failure> {
        let request = DownloadRequest {
            peers: sources.to_vec(),
            may_expand: true,
            ..DownloadRequest::new(
                Target::Hash(hash),
                Output::At(self.folder.join(hash.to_string())),
                PATIENCE,
            )
        };
        let began = Instant::now();
        let finished = self.node.download(request).await?.finished().await?;
        Ok((began.elapsed(), finished.path))
    }

    /// Like `download`; then compares the copy with `original`, outside the clock, and removes it.
    pub(crate) async fn fetch(
        &self,
        hash: Hash,
        sources: &[PeerAddress],
        original: &Path,
    ) -> Result<Duration, Failure> {
        let (time, copy) = self.download(hash, sources).await?;
        compare(original, &copy)?;
        fs::remove_file(copy)?;
        Ok(time)
    }
}

/// Fails unless both files have the same bytes.
pub(crate) fn compare(original: &Path, copy: &Path) -> Result<(), Failure> {
    let open = |path| File::open(path).map(|file| BufReader::with_capacity(BUFFER, file));
    let (mut left, mut right) = (open(original)?, open(copy)?);
    loop {
        let (a, b) = (left.fill_buf()?, right.fill_buf()?);
        let both = a.len().min(b.len());
        if a[..both] != b[..both] || both == 0 && a.len() != b.len() {
            return Err(format!("{} is not what was shared", copy.display()).into());
        }
        if both == 0 {
            return Ok(());
        }
        left.consume(both);
        right.consume(both);
    }
}
