//! A download for those who read it, and only as much of it as they do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pelago_content::{Descriptor, Hash, Kind, Manifest};

use super::{Task, blocking};
use crate::{
    store::{Cache, Ending},
    transfer::{
        DownloadError, DownloadState, UnfoldError, manifests::Round, sink::Sink, stage::Stage,
    },
};

/// How long content that is only read is ready to be fetched after the last reader went: whoever seeks, or
/// turns a page, comes again at once.
const LINGER: Duration = Duration::from_secs(30);

/// How long after the last reader went the streams of its sources are given back: other contents may need
/// them.
const RELEASE_PAUSE: Duration = Duration::from_millis(200);

/// What becomes of what is fetched.
pub(in crate::transfer) enum Purpose {
    /// All of it is put in its place, unless it is stopped before that.
    Deliver {
        /// Decides between the two.
        ending: Arc<Ending>,
    },
    /// What is read of it is kept here, for as long as somebody reads.
    Read {
        /// Where.
        cache: Cache,
        /// Whoever has this, has the content: itself, or a folder that it is in.
        found_by: Hash,
    },
}

impl Task {
    /// Whether it is for readers, and they have been gone for some time.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        let is_for_readers = matches!(self.purpose, Purpose::Read { .. });
        let since = self.windows.idle_since().filter(|_| is_for_readers);
        since.is_some_and(|since| now.duration_since(since) >= LINGER)
    }

    /// Whether it is for readers, and has all that they want now.
    pub(super) fn is_idle(&self) -> bool {
        let is_for_readers = matches!(self.purpose, Purpose::Read { .. });
        let stage = self.stage.as_ref().filter(|_| is_for_readers);
        stage.is_some_and(|stage| stage.scheduler.is_done())
    }

    /// Gives the streams of its sources back when it is not read any more, or all of it is here.
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
            self.sources.pause();
            self.holdings.clear();
            stage.scheduler.all_left();
        }
    }

    /// Asks its sources again when something is read that is not here.
    pub(super) fn wake_for_readers(&mut self) {
        if let Some(windows) = self.windows.windows(&mut self.windows_seen)
            && let Some(stage) = &mut self.stage
        {
            let windows = stage.windows(&windows);
            stage.scheduler.read(windows);
        }
        if !self.is_idle() {
            self.sources.resume();
        }
    }

    /// The first source has said what the content is that is to be read.
    pub(super) async fn begin_reading(
        &mut self,
        cache: Cache,
        descriptor: Descriptor,
    ) -> Result<(), DownloadError> {
        let sink = match descriptor.kind() {
            Kind::File => Sink::File(blocking(move || cache.begin(descriptor)).await??),
            Kind::Folder => Sink::Manifests(Round::of(descriptor)?),
        };
        self.fetch(sink, DownloadState::Downloading);
        self.windows.arrived();
        Ok(())
    }

    /// If it is a manifest that is read, and it is whole: keeps it.
    pub(super) async fn keep_manifest(&mut self) -> Result<(), DownloadError> {
        let Purpose::Read { cache, .. } = &self.purpose else {
            return Ok(());
        };
        let fetched = self.stage.as_ref().and_then(Stage::manifests).cloned();
        let Some(round) = fetched.filter(|round| round.is_whole()) else {
            return Ok(());
        };
        let cache = cache.clone();
        let keep = move || {
            for manifest in round.manifests() {
                let manifest = Manifest::from_bytes(&manifest.1).map_err(UnfoldError::from)?;
                cache.keep_manifest(&manifest).map_err(UnfoldError::from)?;
            }
            Ok::<_, UnfoldError>(())
        };
        blocking(keep).await??;
        self.windows.arrived();
        Ok(())
    }
}
