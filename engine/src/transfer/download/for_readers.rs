//! What differs if content is only read: just the blocks that readers want are fetched.

use std::time::{Duration, Instant};

use pelago_content::{Descriptor, Kind, Manifest};

use super::{Task, blocking};
use crate::{
    store::Cache,
    transfer::{
        DownloadState, TransferError, UnfoldError, manifests::Round, request::Purpose, sink::Sink,
        stage::Stage,
    },
};

/// How long content stays ready to be fetched after its last reader left. A reader that seeks or
/// turns a page comes back immediately.
const LINGER: Duration = Duration::from_secs(30);

/// How long after the last reader left the streams to the sources are released for other content.
const RELEASE_PAUSE: Duration = Duration::from_millis(200);

impl Task {
    /// Whether it is for readers, and they left some time ago.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        let is_reading = self.purpose.is_reading();
        let since = self.windows.idle_since().filter(|_| is_reading);
        since.is_some_and(|since| now.duration_since(since) >= LINGER)
    }

    /// Whether it is for readers, and has all blocks that they want now.
    pub(super) fn is_idle(&self) -> bool {
        let is_reading = self.purpose.is_reading();
        let stage = self.stage.as_ref().filter(|_| is_reading);
        stage.is_some_and(|stage| stage.scheduler.is_done())
    }

    /// Releases the streams to the sources if there are no readers, or if all of the content is
    /// here.
    pub(super) fn release_if_idle(&mut self, now: Instant) {
        if !self.is_idle() {
            return;
        }
        let Some(stage) = &mut self.stage else {
            return;
        };
        let since = self.windows.idle_since();
        let is_left = since.is_some_and(|since| now.duration_since(since) >= RELEASE_PAUSE);
        if is_left || stage.sink.missing().is_empty() {
            self.supply.sources.pause();
            self.supply.holdings.clear();
            stage.scheduler.all_left();
        }
    }

    /// Asks the sources again if readers want blocks that are missing.
    pub(super) fn wake_for_readers(&mut self) {
        if let Some(windows) = self.windows.windows(&mut self.windows_seen)
            && let Some(stage) = &mut self.stage
        {
            stage.read(&windows);
        }
        if !self.is_idle() {
            self.supply.sources.resume();
        }
    }

    /// The first source has said what the content is: prepares to cache it.
    pub(super) async fn begin_reading(
        &mut self,
        cache: Cache,
        descriptor: Descriptor,
    ) -> Result<(), TransferError> {
        let sink = match descriptor.kind() {
            Kind::File => Sink::File(blocking(move || cache.begin(descriptor)).await??),
            Kind::Folder => Sink::Manifests(Round::of(descriptor)?),
        };
        self.fetch(sink, DownloadState::Downloading);
        self.windows.arrived();
        Ok(())
    }

    /// Stores the manifest that is read, once it is complete.
    pub(super) async fn store_manifest(&mut self) -> Result<(), TransferError> {
        let Purpose::Read { cache, .. } = &self.purpose else {
            return Ok(());
        };
        let fetched = self.stage.as_ref().and_then(Stage::manifests).cloned();
        let Some(round) = fetched.filter(|round| round.is_whole()) else {
            return Ok(());
        };
        let cache = cache.clone();
        let store = move || {
            for manifest in round.manifests() {
                let manifest = Manifest::from_bytes(&manifest.1).map_err(UnfoldError::from)?;
                cache.keep_manifest(&manifest).map_err(UnfoldError::from)?;
            }
            Ok::<_, UnfoldError>(())
        };
        blocking(store).await??;
        self.windows.arrived();
        Ok(())
    }
}
