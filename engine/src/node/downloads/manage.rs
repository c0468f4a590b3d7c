//! Pauses, resumes, cancels, removes and reorders downloads of the list. A person selects one by
//! its hash, the first digits of it, or its name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use libp2p::Multiaddr;
use pelago_content::Hash;
use thiserror::Error;
use tokio::sync::broadcast;

use crate::{
    network::Closed,
    node::{
        CodedError, DownloadStatus, Finished, Followers, Node, blocking::blocking,
        selector::Selector,
    },
    store::Printable,
    transfer::{
        self, Cell, ChangeError, QueuePosition, SourceStatus, Transfers, free_path_beside,
        sanitised,
    },
};

/// Why a download could not be changed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ManageError {
    /// No download in the list matches.
    #[error("no download is called {what:?}")]
    NoSuchDownload {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// Several downloads match.
    #[error("{what:?} matches several downloads:\n{}", downloads_by(choices))]
    Ambiguous {
        /// The first digits or the name.
        what: String,
        /// The downloads that match.
        choices: Vec<DownloadStatus>,
    },
    /// A download cannot be put before itself.
    #[error("{what:?} cannot be moved before itself")]
    BeforeItself {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// There is no path to which the download can move.
    #[error("no path beside that of {what:?} is free, or it has no path yet")]
    NoPath {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// See [`transfer::ChangeError`].
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// No change was needed, but an earlier change of the list is not recorded.
    #[error("nothing had to be changed, but the next start of the node does not know of it: {0}")]
    NotKept(transfer::NotKept),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for ManageError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchDownload { .. } => "not-downloading",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::BeforeItself { .. } => "bad-place",
            Self::NoPath { .. } => "no-path",
            Self::Change(error) => error.code(),
            Self::NotKept(why) => why.code(),
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchDownload { .. } => Some(
                "see them with `pelago downloads`; give a hash, at least 6 of its first digits, or \
                 a name"
                    .to_owned(),
            ),
            Self::Ambiguous { .. } => Some("give more digits of the hash".to_owned()),
            Self::NoPath { .. } => Some("give a path with -o".to_owned()),
            Self::Change(error) => error.hint(),
            Self::NotKept(why) => Some(why.hint()),
            _ => None,
        }
    }
}

fn downloads_by(choices: &[DownloadStatus]) -> String {
    let line = |choice: &DownloadStatus| {
        let name = Printable(&choice.name);
        let (hash, state) = (choice.hash, choice.state.as_str());
        format!("  {hash}  {name}, {state}")
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A new position of a download in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewPosition {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Before this download: a hash, the first digits of one, or a name.
    Before(String),
}

/// A new path of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewPath {
    /// This path; or, if it is an existing folder, inside it.
    At(PathBuf),
    /// A free path beside the present one, such as `name (2)`.
    Beside,
}

impl NewPath {
    /// The path; `None` if there is none. Blocks on the disk.
    fn resolve(self, download: &DownloadStatus) -> Option<PathBuf> {
        match self {
            Self::At(folder) if folder.is_dir() => {
                let present = download.path.as_deref().and_then(Path::file_name);
                let name = present.map(PathBuf::from);
                let name = name.or_else(|| sanitised(&download.name).map(Into::into));
                Some(folder.join(name.unwrap_or_else(|| download.hash.to_string().into())))
            }
            Self::At(path) => Some(path),
            Self::Beside => free_path_beside(download.path.as_deref()?),
        }
    }
}

/// The sources of the blocks of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadDetail {
    /// The hash of the download.
    pub hash: Hash,
    /// How many blocks it has; 0 until that is known.
    pub block_count: u64,
    /// Its blocks, in at most 1024 runs of equal length; the last may be shorter.
    pub cells: Vec<Cell>,
    /// The peers that were asked, as far as the node remembers.
    pub sources: Vec<DownloadSource>,
}

/// A source of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadSource {
    /// The peer, and what it does.
    pub status: SourceStatus,
    /// Its name while it is connected. Untrusted.
    pub name: Option<String>,
    /// Its address while it is connected.
    pub address: Option<Multiaddr>,
}

impl Node {
    /// The downloads in the list, in the order of the queue. They include those of earlier runs,
    /// and those that have ended since the node started.
    #[must_use]
    pub fn downloads(&self) -> Vec<DownloadStatus> {
        self.core.transfers.list()
    }

    /// The downloads that are done from now on. A receiver that falls behind misses some.
    #[must_use]
    pub fn finished(&self) -> broadcast::Receiver<Arc<Finished>> {
        self.core.transfers.finished()
    }

    /// The download that `what` selects.
    ///
    /// # Errors
    /// [`ManageError::NoSuchDownload`], [`ManageError::Ambiguous`].
    pub fn find_download(&self, what: &str) -> Result<DownloadStatus, ManageError> {
        find(what, &self.downloads())
    }

    /// Who keeps the download that `what` selects running.
    ///
    /// # Errors
    /// [`ManageError::NoSuchDownload`], [`ManageError::Ambiguous`].
    pub fn followers(&self, what: &str) -> Result<Followers, ManageError> {
        Ok(self.core.transfers.followers(&self.find_hash(what)?))
    }

    /// The sources of the blocks of the download that `what` selects.
    ///
    /// # Errors
    /// [`ManageError::NoSuchDownload`], [`ManageError::Ambiguous`]; the node has shut down.
    pub async fn download_detail(&self, what: &str) -> Result<DownloadDetail, ManageError> {
        let hash = self.find_hash(what)?;
        let detail = self.core.transfers.detail(&hash).unwrap_or_default();
        let peers = self.core.network.peers().await?;
        let source = |status: SourceStatus| {
            let peer = peers.iter().find(|peer| peer.peer_id == status.peer);
            DownloadSource {
                name: peer.and_then(|peer| peer.name.clone()),
                address: peer.and_then(|peer| peer.addresses.first().cloned()),
                status,
            }
        };
        Ok(DownloadDetail {
            hash,
            block_count: detail.block_count,
            cells: detail.cells,
            sources: detail.sources.into_iter().map(source).collect(),
        })
    }

    /// Pauses a download until it is resumed, also across restarts; for some time, if there is one.
    /// Verified data is kept.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn pause(
        &self,
        what: &str,
        time: Option<Duration>,
    ) -> Result<DownloadStatus, ManageError> {
        let (hash, until) = (self.find_hash(what)?, until(time));
        self.carry_out(async move |transfers| transfers.pause(&hash, until).await)
            .await
    }

    /// Resumes a download that is paused or has failed.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn resume(&self, what: &str) -> Result<DownloadStatus, ManageError> {
        let hash = self.find_hash(what)?;
        self.resume_at(hash, None).await
    }

    /// Moves a download that is not done to another path, and resumes it there. Its verified data
    /// moves with it; to another disk, it is fetched again.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn move_download(
        &self,
        what: &str,
        to: NewPath,
    ) -> Result<DownloadStatus, ManageError> {
        let found = self.find_download(what)?;
        let hash = found.hash;
        if !found.state.is_ended() {
            let transfers = self.core.transfers.clone();
            let paused = self.carry_out(async move |_| transfers.pause(&hash, None).await);
            match paused.await {
                // It is moved even if that cannot be recorded, and the answer says so.
                Ok(_) | Err(ManageError::Change(ChangeError::NotKept { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let path = blocking(move || to.resolve(&found)).await?;
        let path = path.ok_or_else(|| ManageError::NoPath {
            what: what.to_owned(),
        })?;
        self.resume_at(hash, Some(path)).await
    }

    async fn resume_at(
        &self,
        hash: Hash,
        at: Option<PathBuf>,
    ) -> Result<DownloadStatus, ManageError> {
        let download = self.core.transfers.resume(&hash, at)?;
        if download.is_to_seed() {
            self.core.seed_when_done(&download);
        }
        self.carry_out(async move |transfers| transfers.save_change(&download, "resumed").await)
            .await
    }

    /// Pauses all downloads that run; for some time, if there is one.
    ///
    /// # Errors
    /// See [`ManageError`]: the first failure, after all others are paused.
    pub async fn pause_all(
        &self,
        time: Option<Duration>,
    ) -> Result<Vec<DownloadStatus>, ManageError> {
        let until = until(time);
        self.carry_out(async move |transfers| transfers.pause_all(until).await)
            .await
    }

    /// Resumes all downloads that are paused or have failed.
    ///
    /// # Errors
    /// See [`ManageError`]: the first failure, after all others are resumed.
    pub async fn resume_all(&self) -> Result<Vec<DownloadStatus>, ManageError> {
        let core = Arc::clone(&self.core);
        self.carry_out(async move |transfers| {
            let resumed = transfers.resume_all(|download| {
                if download.is_to_seed() {
                    core.seed_when_done(download);
                }
            });
            resumed.await
        })
        .await
    }

    /// Stops a download, and removes its incomplete data. Finished files are never removed. The
    /// node carries that out even if nothing waits for it.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn cancel(&self, what: &str) -> Result<DownloadStatus, ManageError> {
        let hash = self.find_hash(what)?;
        self.carry_out(async move |transfers| transfers.cancel(&hash).await)
            .await
    }

    /// Removes a download that has ended from the list. `with_data` also removes its content, and
    /// stops sharing it. The node carries that out even if nothing waits for it.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn remove_download(
        &self,
        what: &str,
        with_data: bool,
    ) -> Result<DownloadStatus, ManageError> {
        let hash = self.find_hash(what)?;
        self.carry_out(async move |transfers| match with_data {
            true => transfers.remove_with_data(&hash).await,
            false => transfers.remove(&hash).await,
        })
        .await
    }

    /// Moves a download to another position in the queue. Returns all downloads in order.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn reorder_download(
        &self,
        what: &str,
        place: &NewPosition,
    ) -> Result<Vec<DownloadStatus>, ManageError> {
        let hash = self.find_hash(what)?;
        let place = match place {
            NewPosition::First => QueuePosition::First,
            NewPosition::Last => QueuePosition::Last,
            NewPosition::Before(other) => QueuePosition::Before(self.find_hash(other)?),
        };
        if place == QueuePosition::Before(hash) {
            return Err(ManageError::BeforeItself {
                what: what.to_owned(),
            });
        }
        self.carry_out(async move |transfers| transfers.reorder(&hash, place).await)
            .await?;
        Ok(self.downloads())
    }

    /// Carries a change out, even if nothing waits for it any more.
    async fn carry_out<T: Send + 'static, F>(
        &self,
        change: impl FnOnce(Transfers) -> F,
    ) -> Result<T, ManageError>
    where
        F: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        let change = tokio::spawn(change(self.core.transfers.clone()));
        Ok(change.await.map_err(|_| Closed)??)
    }

    fn find_hash(&self, what: &str) -> Result<Hash, ManageError> {
        Ok(find(what, &self.downloads())?.hash)
    }
}

/// The end of a time that begins now. One beyond the range of the clock has no end.
fn until(time: Option<Duration>) -> Option<SystemTime> {
    SystemTime::now().checked_add(time?)
}

/// The one download that `what` selects.
fn find(what: &str, downloads: &[DownloadStatus]) -> Result<DownloadStatus, ManageError> {
    let selector = Selector::new(what);
    // A whole hash that no download has may still be the name of one.
    let selector = match selector {
        Selector::Hash(hash) if downloads.iter().all(|download| download.hash != hash) => {
            Selector::Name(what)
        }
        selector => selector,
    };
    let matches = |download: &&DownloadStatus| selector.matches(&download.hash, &download.name);
    let mut selected: Vec<_> = downloads.iter().filter(matches).cloned().collect();
    match selected.len() {
        0 => Err(ManageError::NoSuchDownload {
            what: what.to_owned(),
        }),
        1 => Ok(selected.remove(0)),
        _ => Err(ManageError::Ambiguous {
            what: what.to_owned(),
            choices: selected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(hash: &str, name: &str) -> DownloadStatus {
        let hash = format!("{hash:0<64}").parse().unwrap();
        DownloadStatus::new(hash, Some(name.to_owned()))
    }

    #[test]
    fn a_download_is_selected_by_hash_first_digits_or_name() {
        let downloads = [
            download("abcdef1", "film"),
            download("abcdef2", "film"),
            download("123456", "song"),
            download("77", "123456"),
        ];
        let found = |what: &str| find(what, &downloads).ok().map(|download| download.hash);
        assert_eq!(found("song"), Some(downloads[2].hash));
        assert_eq!(found("ABCDEF1"), Some(downloads[0].hash));
        assert_eq!(
            found(&downloads[1].hash.to_string()),
            Some(downloads[1].hash)
        );
        for ambiguous in ["film", "abcdef", "123456"] {
            let error = find(ambiguous, &downloads).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, ManageError::Ambiguous { .. }), "{text}");
            assert_eq!(text.lines().count(), 3, "{text}");
        }
        let hash = downloads[0].hash;
        let impostor = [downloads[0].clone(), download("99", &hash.to_string())];
        let found = find(&hash.to_string(), &impostor).unwrap();
        assert_eq!(found.hash, hash, "other downloads may have any name");
        // Fewer digits count as a name.
        for unknown in ["77000", "fil", "", "abcdef3"] {
            let error = find(unknown, &downloads).unwrap_err();
            assert!(
                matches!(error, ManageError::NoSuchDownload { .. }),
                "{error}"
            );
        }
    }
}
