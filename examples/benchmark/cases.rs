//! The cases. Every run has a new downloader without connections: the time includes connecting, and excludes
//! starting and sharing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use pelago::{Hash, Mode, PeerAddress};
use rand::RngExt;

use crate::{
    Failure,
    figures::{Figures, Interest, Row},
    peers::{Peer, Place, write_random},
};

/// The amounts of each case.
pub(crate) struct Scale {
    /// Bytes of a large file.
    pub(crate) large: u64,
    /// Bytes of each of the files of different sizes.
    sizes: &'static [u64],
    /// Sources of one file.
    sources: &'static [usize],
    /// The number of concurrent downloads, and the bytes of each.
    concurrent: (usize, u64),
    /// Bytes of the file that is fetched from sources that die.
    pub(crate) resilience: u64,
    /// The time between two deaths.
    pub(crate) death_interval: Duration,
    /// Bytes of the file that is fetched from a few sources among many dead ones.
    pub(crate) amid_dead: u64,
    /// Addresses without a listener.
    pub(crate) dead_addresses: usize,
    /// Files in a folder.
    files: usize,
}

pub(crate) const FULL: Scale = Scale {
    large: 1 << 30,
    sizes: &[1000, 16 << 10, 256 << 10, 4 << 20, 64 << 20, 1 << 30],
    sources: &[1, 2, 4, 8],
    concurrent: (50, 20 << 20),
    resilience: 2 << 30,
    death_interval: Duration::from_secs(1),
    amid_dead: 256 << 20,
    dead_addresses: 280,
    files: 20_000,
};

/// Small amounts, which only show that everything works.
pub(crate) const SHORT: Scale = Scale {
    large: 8 << 20,
    sizes: &[1000, 16 << 10, 1 << 20],
    sources: &[1, 2, 4],
    concurrent: (8, 256 << 10),
    resilience: 32 << 20,
    death_interval: Duration::from_millis(50),
    amid_dead: 8 << 20,
    dead_addresses: 30,
    files: 100,
};

/// The least and the most bytes of a file in a folder.
const SMALL: (u64, u64) = (1 << 10, 6 << 10);

pub(crate) async fn single(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let source = place.source().await?;
    let original = place.file(scale.large)?;
    let hash = source.share(&original).await?;
    let mut rows = Vec::new();
    for (mode, label) in [
        (Mode::OneShot, "by a command"),
        (Mode::LongRunning, "by a node that waits for the disk"),
    ] {
        let mut runs = Vec::new();
        for _ in 0..repeat {
            let sink = place.start(mode).await?;
            let from = [source.address.clone()];
            runs.push(sink.fetch(hash, &from, &original).await?);
            sink.node.shutdown().await;
        }
        rows.push(Row::new(label, scale.large, runs));
    }
    end([source]).await;
    Ok(Figures {
        case: "single",
        title: format!("{} from one source", size(scale.large)),
        interest: Interest::Rate,
        rows,
    })
}

pub(crate) async fn sizes(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let source = place.source().await?;
    let mut rows = Vec::new();
    for bytes in scale.sizes {
        let original = place.file(*bytes)?;
        let hash = source.share(&original).await?;
        let from = [source.address.clone()];
        let runs = fetch_anew(place, hash, &from, &original, repeat).await?;
        rows.push(Row::new(size(*bytes), *bytes, runs));
        fs::remove_file(original)?;
    }
    end([source]).await;
    Ok(Figures {
        case: "sizes",
        title: "files of all sizes from one source, each by a node without connections".to_owned(),
        interest: Interest::Time,
        rows,
    })
}

pub(crate) async fn sources(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let original = place.file(scale.large)?;
    let (mut sources, mut rows) = (Vec::new(), Vec::new());
    for count in scale.sources {
        let mut hash = None;
        while sources.len() < *count {
            sources.push(place.source().await?);
        }
        for source in &sources {
            hash = Some(source.share(&original).await?);
        }
        let hash = hash.ok_or("there is no source")?;
        let from = addresses(&sources);
        let runs = fetch_anew(place, hash, &from, &original, repeat).await?;
        rows.push(Row::new(count.to_string(), scale.large, runs));
    }
    end(sources).await;
    Ok(Figures {
        case: "sources",
        title: format!("{} by number of sources", size(scale.large)),
        interest: Interest::Rate,
        rows,
    })
}

pub(crate) async fn concurrent(
    place: &Place,
    scale: &Scale,
    repeat: u32,
) -> Result<Figures, Failure> {
    let (count, bytes) = scale.concurrent;
    let source = place.source().await?;
    let mut files = Vec::new();
    for _ in 0..count {
        let original = place.file(bytes)?;
        files.push((source.share(&original).await?, original));
    }
    let from = [source.address.clone()];
    let (mut one_by_one, mut at_once) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        let sink = place.sink().await?;
        let mut all = Duration::ZERO;
        for (hash, original) in &files {
            all += sink.fetch(*hash, &from, original).await?;
        }
        one_by_one.push(all);
        sink.node.shutdown().await;

        let sink = place.sink().await?;
        let began = Instant::now();
        try_join_all(files.iter().map(|(hash, _)| sink.download(*hash, &from))).await?;
        at_once.push(began.elapsed());
        // The files exist now: this checks each of them again.
        for (hash, original) in &files {
            sink.fetch(*hash, &from, original).await?;
        }
        sink.node.shutdown().await;
    }
    end([source]).await;
    let all = bytes * count as u64;
    Ok(Figures {
        case: "concurrent",
        title: format!("{count} files of {} from one source", size(bytes)),
        interest: Interest::Rate,
        rows: vec![
            Row::new("one after another", all, one_by_one),
            Row::new("concurrently", all, at_once),
        ],
    })
}

pub(crate) async fn folder(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let folder = place.path("folder");
    fs::create_dir(&folder)?;
    let mut bytes = 0;
    for number in 0..scale.files {
        let size = rand::rng().random_range(SMALL.0..=SMALL.1);
        write_random(&folder.join(number.to_string()), size)?;
        bytes += size;
    }
    let source = place.source().await?;
    let began = Instant::now();
    let shared = share_folder(&source, &folder).await?;
    let sharing = began.elapsed();
    let mut runs = Vec::new();
    for _ in 0..repeat {
        let sink = place.sink().await?;
        let mut all = Duration::ZERO;
        for (hash, original) in &shared {
            let from = [source.address.clone()];
            all += sink.fetch(*hash, &from, original).await?;
        }
        runs.push(all);
        sink.node.shutdown().await;
    }
    end([source]).await;
    Ok(Figures {
        case: "folder",
        title: format!("{} files of 1 to 6 KB", scale.files),
        interest: Interest::Rate,
        rows: vec![
            Row::new("shared", bytes, vec![sharing]),
            Row::new("downloaded, file by file", bytes, runs),
        ],
    })
}

/// Shares the files in `folder`; the hashes to fetch, each with its original.
///
/// Folders have no hash of their own yet: each file is shared. Once `Node::share` takes a folder, this
/// returns that one hash, and `peers::compare` compares two trees.
async fn share_folder(source: &Peer, folder: &Path) -> Result<Vec<(Hash, PathBuf)>, Failure> {
    let mut shared = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        shared.push((source.share(&path).await?, path));
    }
    Ok(shared)
}

/// How long each of some downloads takes, each by a new node.
pub(crate) async fn fetch_anew(
    place: &Place,
    hash: Hash,
    sources: &[PeerAddress],
    original: &Path,
    repeat: u32,
) -> Result<Vec<Duration>, Failure> {
    let mut runs = Vec::new();
    for _ in 0..repeat {
        let sink = place.sink().await?;
        runs.push(sink.fetch(hash, sources, original).await?);
        sink.node.shutdown().await;
    }
    Ok(runs)
}

pub(crate) fn addresses(peers: &[Peer]) -> Vec<PeerAddress> {
    peers.iter().map(|peer| peer.address.clone()).collect()
}

pub(crate) async fn end(peers: impl IntoIterator<Item = Peer>) {
    for peer in peers {
        peer.node.shutdown().await;
    }
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0x4000_0000.. => format!("{} GiB", bytes >> 30),
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        0x400.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}
