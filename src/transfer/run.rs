//! One run of a download: its turns to fetch, and the waiting for sources in between.

use std::{sync::Arc, time::Instant};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::sync::{mpsc, watch};

use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Request, Transfers, WaitReason,
    block_sources::BlockSources,
    download::{Purpose, Task},
    queue::QueueTicket,
    reading::ReadWindows,
    transfers::MAX_NAMED,
    waiting::{Inquiries, Offer, SourceSearch},
};
use crate::{network::PeerAddress, store::Ending};

/// A run of a download: from its turn to its end, with all waiting for sources in between.
pub(super) struct Run {
    pub(super) request: Request,
    pub(super) status: watch::Sender<DownloadStatus>,
    pub(super) block_sources: BlockSources,
    pub(super) windows: ReadWindows,
    pub(super) ending: Arc<Ending>,
    pub(super) offered: mpsc::Receiver<Offer>,
}

impl Run {
    /// Runs when it is its turn; without a turn to wait for, it waits for a source first.
    pub(super) async fn until_end(
        mut self,
        transfers: &Transfers,
        queued: Option<QueueTicket>,
    ) -> Result<Finished, DownloadError> {
        let services = &transfers.services;
        let mut inquiries = Inquiries::new(&self.request.peers, Instant::now());
        let mut queued = match queued {
            Some(queued) => queued,
            None => self.wait_for_source(transfers, &mut inquiries).await,
        };
        loop {
            let Some(turn) = queued.turn().await else {
                return Err(DownloadError::ShuttingDown);
            };
            let before = self.status.borrow().verified_bytes;
            let task = Task::new(
                services,
                self.request.clone(),
                Purpose::Deliver {
                    ending: Arc::clone(&self.ending),
                },
                self.status.clone(),
                self.offered,
                self.block_sources.clone(),
                self.windows.clone(),
            );
            let (result, offered) = task.run(turn).await;
            self.offered = offered;
            let tried = match result {
                Err(DownloadError::NoSource { tried, .. }) if self.request.waits => tried,
                result => return result,
            };
            tracing::info!(tried, "waits for a source");
            if self.status.borrow().verified_bytes > before {
                // Who was asked in vain before that may have some now.
                inquiries = Inquiries::new(&self.request.peers, Instant::now());
            }
            self.show_waiting(tried);
            // The next start waits on, too.
            transfers.save_or_log().await;
            transfers.settle_writes(self.request.hash, false).await;
            queued = self.wait_for_source(transfers, &mut inquiries).await;
        }
    }

    fn show_waiting(&self, tried: String) {
        let since = Instant::now();
        self.status.send_modify(|status| {
            status.state = DownloadState::Waiting;
            status.waits = Some(WaitReason::Source { since, tried });
            (status.sources, status.bytes_per_second) = (0, 0);
        });
    }

    /// Waits until a peer says that it has the content, which is asked first then; returns the place in the
    /// order of turns.
    async fn wait_for_source(
        &mut self,
        transfers: &Transfers,
        inquiries: &mut Inquiries,
    ) -> QueueTicket {
        let services = &transfers.services;
        inquiries.know(&transfers.named(&self.request.hash), Instant::now());
        let _waiter = services.waiters.enter();
        let search = SourceSearch {
            network: &services.network,
            budget: &services.budget,
            request: &self.request,
            stall: services.settings.stall,
        };
        let peer = search.found(inquiries, &mut self.offered).await;
        tracing::info!(%peer, "a source turned up");
        self.found(peer);
        services.queue.enter(self.request.hash, self.status.clone())
    }

    /// Has the next run ask `peer` first; of those that were found before, the last is forgotten.
    fn found(&mut self, peer: PeerId) {
        let address = PeerAddress::from(Multiaddr::empty().with(Protocol::P2p(peer)));
        let peers = &mut self.request.peers;
        peers.retain(|known| *known != address);
        peers.truncate(MAX_NAMED);
        peers.push(address);
        self.status.send_modify(|status| {
            status.state = DownloadState::Queued;
            status.waits = None;
        });
    }
}
