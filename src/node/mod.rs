//! Stub of the node room: the facade with trivial bodies.
#![allow(missing_docs, clippy::all, unused)]
use std::{fmt, net::{TcpListener, ToSocketAddrs}, path::{Path, PathBuf}, str::FromStr, sync::{Arc, Mutex}, time::{Duration, Instant}};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use pelago_content::{Hash, Kind, Link};
use tokio::sync::watch;
use crate::store::{self, Store};

#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode, pub network: String, pub name: String, pub listen: Vec<Multiaddr>,
    pub bootstrap: Vec<PeerAddress>, pub mdns: bool, pub announce: bool, pub memory_budget: u64,
    pub replication: usize, pub concurrent_announcements: usize, pub announce_interval: Duration,
    pub idle_timeout: Duration, pub share_folders: Vec<PathBuf>, pub max_sources: usize,
    pub in_flight_bytes: u64, pub upload_slots: usize, pub slots_per_peer: usize,
    pub stall: Duration, pub seed: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode { LongRunning, OneShot }

#[derive(Clone)]
pub struct Node(Arc<Inner>);
struct Inner { settings: Settings, peer_id: PeerId, listen: Vec<Multiaddr>, started: Instant, shares: Mutex<Vec<Shared>>, downloads: Mutex<Vec<Download>>, _taken: Mutex<Vec<TcpListener>>, _store: Store }

impl Node {
    pub async fn start(settings: Settings, store: Store, identity: Keypair) -> Result<Self, StartError> {
        let mut taken = Vec::new(); let mut listen = Vec::new();
        for address in &settings.listen {
            let text = address.to_string();
            let parts: Vec<_> = text.split('/').collect();
            if parts.get(3) != Some(&"tcp") { continue }
            let at = format!("{}:{}", if parts[1] == "ip6" { format!("[{}]", parts[2]) } else { parts[2].into() }, parts[4]);
            if parts[1] == "ip6" { continue }
            let socket = TcpListener::bind(&at).map_err(|_| StartError::PortInUse { address: address.clone() })?;
            listen.push(format!("/ip4/127.0.0.1/tcp/{}", socket.local_addr().unwrap().port()).parse().unwrap());
            taken.push(socket);
        }
        Ok(Self(Arc::new(Inner { settings, peer_id: identity.public().to_peer_id(), listen, started: Instant::now(), shares: Mutex::default(), downloads: Mutex::default(), _taken: Mutex::new(taken), _store: store })))
    }
    pub fn peer_id(&self) -> PeerId { self.0.peer_id }
    pub async fn status(&self) -> Status {
        Status { peer_id: self.peer_id(), name: self.0.settings.name.clone(), listen: self.0.listen.clone(), shares: self.0.shares.lock().unwrap().len() as u64, downloads: self.downloads().len() as u64, peers: 0, uptime: self.0.started.elapsed() }
    }
    pub async fn peers(&self) -> Vec<Peer> { Vec::new() }
    pub async fn share(&self, request: ShareRequest, progress: impl Fn(HashProgress) + Send + 'static) -> Result<Shared, ShareError> {
        let shared = record(&self.0._store, request, progress)?;
        self.0.shares.lock().unwrap().push(shared.clone());
        Ok(shared)
    }
    pub async fn unshare(&self, what: &str) -> Result<Vec<Shared>, UnshareError> {
        let mut shares = self.0.shares.lock().unwrap();
        let gone: Vec<_> = shares.iter().filter(|s| s.name == what || s.hash.to_string() == what).cloned().collect();
        if gone.is_empty() { return Err(UnshareError::NotFound { what: what.into() }) }
        shares.retain(|s| !(s.name == what || s.hash.to_string() == what));
        Ok(gone)
    }
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        Ok(self.0.shares.lock().unwrap().iter().map(|s| Listed { hash: s.hash, name: s.name.clone(), size: s.size, kind: s.kind, peers: 0 }).collect())
    }
    pub async fn list_peer(&self, peer: PeerAddress) -> Result<Vec<Listed>, ListError> { Err(ListError::Unreachable { peer: peer.to_string() }) }
    pub async fn list_network(&self, wait: Duration) -> Result<Vec<Listed>, ListError> { tokio::time::sleep(wait).await; Ok(Vec::new()) }
    pub async fn download(&self, request: DownloadRequest) -> Result<Download, DownloadError> {
        let hash = match &request.target { Target::Hash(h) => Some(*h), Target::Link(l) => Some(l.hash), Target::Name(_) => None };
        let found = self.0.shares.lock().unwrap().iter().find(|s| Some(s.hash) == hash || matches!(&request.target, Target::Name(n) if *n == s.name)).cloned();
        let name = found.as_ref().map_or("unknown".into(), |s| s.name.clone());
        let path = match &request.output { Output::Into(f) => f.join(&name), Output::At(p) if p.is_dir() => p.join(&name), Output::At(p) => p.clone() };
        if path.exists() && !request.overwrite { return Err(DownloadError::Exists { path }) }
        let (sender, status) = watch::channel(DownloadStatus { hash, name, path: path.clone(), state: DownloadState::FindingSources, size: 0, verified_bytes: 0, bytes_per_second: 0, sources: 0 });
        let download = Download { status, sender: Arc::new(sender), found, timeout: request.timeout };
        self.0.downloads.lock().unwrap().push(download.clone());
        Ok(download)
    }
    pub fn downloads(&self) -> Vec<DownloadStatus> { self.0.downloads.lock().unwrap().iter().map(|d| d.status.borrow().clone()).collect() }
    pub async fn shutdown(&self) { for d in &*self.0.downloads.lock().unwrap() { d.sender.send_modify(|s| s.state = DownloadState::Paused) } }
}

// What `list`, `unshare` and `share --no-serve` do without a swarm.
pub fn list(store: &Store) -> Result<Vec<Listed>, StoreError> { Ok(Vec::new()) }
pub fn unshare(store: &Store, what: &str) -> Result<Vec<Shared>, UnshareError> { Err(UnshareError::NotFound { what: what.into() }) }
pub fn record(store: &Store, request: ShareRequest, progress: impl Fn(HashProgress)) -> Result<Shared, ShareError> {
    let size = std::fs::metadata(&request.path).map_err(|_| ShareError::Missing { path: request.path.clone() })?.len();
    progress(HashProgress { hashed_bytes: size / 2, size });
    let hash = store::hash_file(&request.path, &|_| std::ops::ControlFlow::Continue(())).map_err(|_| ShareError::Missing { path: request.path.clone() })?.descriptor.hash();
    let name = request.name.unwrap_or_else(|| request.path.file_name().unwrap().to_string_lossy().into_owned());
    Ok(Shared { hash, name: name.clone(), size, kind: Kind::File, path: request.path, link: Link { hash, name: Some(name), size: Some(size), peers: vec![] } })
}

#[derive(Clone, Debug)]
pub struct Status { pub peer_id: PeerId, pub name: String, pub listen: Vec<Multiaddr>, pub shares: u64, pub downloads: u64, pub peers: u64, pub uptime: Duration }
#[derive(Clone, Debug)]
pub struct Peer { pub peer_id: PeerId, pub name: Option<String>, pub addresses: Vec<Multiaddr>, pub rtt: Option<Duration>, pub sent_bytes: u64, pub received_bytes: u64 }
#[derive(Clone, Debug)]
pub struct ShareRequest { pub path: PathBuf, pub name: Option<String>, pub unlisted: bool }
#[derive(Clone, Copy, Debug)]
pub struct HashProgress { pub hashed_bytes: u64, pub size: u64 }
#[derive(Clone, Debug)]
pub struct Shared { pub hash: Hash, pub name: String, pub size: u64, pub kind: Kind, pub path: PathBuf, pub link: Link }
#[derive(Clone, Debug)]
pub struct Listed { pub hash: Hash, pub name: String, pub size: u64, pub kind: Kind, pub peers: u64 }

#[derive(Clone, Debug)]
pub struct PeerAddress(Multiaddr);
impl fmt::Display for PeerAddress { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) } }
impl FromStr for PeerAddress {
    type Err = PeerAddressError;
    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let wrong = || PeerAddressError { found: text.to_owned() };
        if text.starts_with('/') { return text.parse().map(Self).map_err(|_| wrong()) }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let kind = if host.parse::<std::net::Ipv4Addr>().is_ok() { "ip4" } else { "dns" };
        format!("/{kind}/{host}/tcp/{port}").parse().map(Self).map_err(|_| wrong())
    }
}
#[derive(Clone, Debug, thiserror::Error)]
#[error("{found:?} is no address: expected a multiaddr like /ip4/192.0.2.1/tcp/8080, or host:port")]
pub struct PeerAddressError { pub found: String }

#[derive(Clone, Debug)]
pub enum Target { Hash(Hash), Link(Link), Name(String) }
impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.starts_with("pelago:") { return text.parse().map(Self::Link).map_err(|e: pelago_content::LinkError| TargetError(e.to_string())) }
        if text.starts_with("sha256:") || text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return text.parse().map(Self::Hash).map_err(|e: pelago_content::HashError| TargetError(e.to_string()))
        }
        Ok(Self::Name(text.into()))
    }
}
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(String);

#[derive(Clone, Debug)]
pub struct DownloadRequest {
    pub target: Target, pub output: Output, pub peers: Vec<PeerAddress>, pub from: Vec<String>,
    pub bootstrap: Vec<PeerAddress>, pub timeout: Duration, pub overwrite: bool, pub seed: bool,
}
#[derive(Clone, Debug)]
pub enum Output { Into(PathBuf), At(PathBuf) }

#[derive(Clone)]
pub struct Download { status: watch::Receiver<DownloadStatus>, sender: Arc<watch::Sender<DownloadStatus>>, found: Option<Shared>, timeout: Duration }
impl Download {
    pub fn status(&self) -> watch::Receiver<DownloadStatus> { self.status.clone() }
    pub async fn finished(&self) -> Result<Finished, DownloadError> {
        let path = self.status.borrow().path.clone();
        if let Some(found) = &self.found {
            self.sender.send_modify(|s| { s.state = DownloadState::Done; s.size = found.size; s.verified_bytes = found.size });
            std::fs::copy(&found.path, &path).unwrap();
            return Ok(Finished { hash: found.hash, path, size: found.size, elapsed: Duration::from_millis(500), sources: 1, resumed_bytes: 0, fetched_bytes: found.size });
        }
        let mut status = self.status.clone();
        let paused = async { status.wait_for(|s| matches!(s.state, DownloadState::Paused)).await.map(|_| ()) };
        if tokio::time::timeout(self.timeout, paused).await.is_ok() { return Err(DownloadError::Paused { path }) }
        self.sender.send_modify(|s| s.state = DownloadState::Failed);
        Err(DownloadError::NoSource)
    }
    pub async fn pause(&self) { self.sender.send_modify(|s| s.state = DownloadState::Paused) }
}
#[derive(Clone, Debug)]
pub struct DownloadStatus { pub hash: Option<Hash>, pub name: String, pub path: PathBuf, pub state: DownloadState, pub size: u64, pub verified_bytes: u64, pub bytes_per_second: u64, pub sources: u64 }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState { Resolving, FindingSources, Checking, Downloading, Finishing, Done, Paused, Failed }
impl DownloadState { pub fn as_str(&self) -> &'static str { match self { Self::Resolving => "resolving", Self::FindingSources => "finding sources", Self::Checking => "checking", Self::Downloading => "downloading", Self::Finishing => "finishing", Self::Done => "done", Self::Paused => "paused", Self::Failed => "failed" } } }
#[derive(Clone, Debug)]
pub struct Finished { pub hash: Hash, pub path: PathBuf, pub size: u64, pub elapsed: Duration, pub sources: u64, pub resumed_bytes: u64, pub fetched_bytes: u64 }

macro_rules! codes { ($t:ident { $($p:pat => $c:literal),* $(,)? }) => { impl $t { pub fn code(&self) -> &'static str { match self { $($p => $c),* } } pub fn hint(&self) -> Option<String> { None } } } }
#[derive(Debug, thiserror::Error)]
pub enum ShareError { #[error("{} does not exist", path.display())] Missing { path: PathBuf } }
codes!(ShareError { Self::Missing { .. } => "missing" });
#[derive(Debug, thiserror::Error)]
pub enum UnshareError { #[error("{what:?} is not shared here")] NotFound { what: String } }
codes!(UnshareError { Self::NotFound { .. } => "not-shared" });
#[derive(Debug, thiserror::Error)]
pub enum StoreError { #[error("the store is broken")] Broken }
codes!(StoreError { Self::Broken => "store" });
#[derive(Debug, thiserror::Error)]
pub enum ListError { #[error("{peer} cannot be reached")] Unreachable { peer: String } }
codes!(ListError { Self::Unreachable { .. } => "unreachable" });
#[derive(Debug, thiserror::Error)]
pub enum DownloadError { #[error("no source was found")] NoSource, #[error("{} exists", path.display())] Exists { path: PathBuf }, #[error("the download of {} is paused", path.display())] Paused { path: PathBuf } }
codes!(DownloadError { Self::NoSource => "no-source", Self::Exists { .. } => "exists", Self::Paused { .. } => "paused" });
#[derive(Debug, thiserror::Error)]
pub enum StartError { #[error("{address} is in use")] PortInUse { address: Multiaddr } }
codes!(StartError { Self::PortInUse { .. } => "port-in-use" });
