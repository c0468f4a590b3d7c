//! Calls about downloads.

use axum::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    CallError, Client, Events,
    transport::{request, with_query},
};
use crate::api::types::{
    DownloadDetail, DownloadEvent, DownloadRequest, DownloadStatus, Followers, OrderChange,
    PauseQuery, QueuePosition, RemoveQuery, ResumeQuery,
};

impl Client {
    /// The downloads of the node.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn downloads(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.list("/v1/downloads").await
    }

    /// Starts a download, or follows it if it exists. Dropping the events before the last one
    /// pauses it, unless other callers follow it or it is detached.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn download(
        &self,
        request: &DownloadRequest,
    ) -> Result<Events<DownloadEvent>, CallError> {
        self.stream("/v1/downloads", request).await
    }

    /// The progress of `what`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn download_status(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.get(&of_download(what, "")).await
    }

    /// The sources of `what`, and which of them sent its blocks.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn detail(&self, what: &str) -> Result<DownloadDetail, CallError> {
        self.get(&of_download(what, "/detail")).await
    }

    /// How many callers follow `what`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn followers(&self, what: &str) -> Result<Followers, CallError> {
        self.get(&of_download(what, "/followers")).await
    }

    /// Pauses `what`: a hash, at least 6 of its first digits, or a name.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn pause(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.pause_for(what, &PauseQuery::default()).await
    }

    /// Pauses `what` for some time.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn pause_for(
        &self,
        what: &str,
        query: &PauseQuery,
    ) -> Result<DownloadStatus, CallError> {
        self.post(&with_query(&of_download(what, "/pause"), query)?)
            .await
    }

    /// Resumes `what`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn resume(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.post(&of_download(what, "/resume")).await
    }

    /// Resumes `what` at another path.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn resume_at(
        &self,
        what: &str,
        query: &ResumeQuery,
    ) -> Result<DownloadStatus, CallError> {
        self.post(&with_query(&of_download(what, "/resume"), query)?)
            .await
    }

    /// Pauses all running downloads, and returns them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn pause_all(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.pause_all_for(&PauseQuery::default()).await
    }

    /// Pauses all running downloads for some time, and returns them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn pause_all_for(
        &self,
        query: &PauseQuery,
    ) -> Result<Vec<DownloadStatus>, CallError> {
        self.post(&with_query("/v1/pause", query)?).await
    }

    /// Resumes all paused and failed downloads, and returns them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn resume_all(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.post("/v1/resume").await
    }

    /// Cancels `what` and removes its partial data.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn cancel(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.post(&of_download(what, "/cancel")).await
    }

    /// Removes `what`, which has ended, from the list; with `data`, also removes the downloaded
    /// files.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn remove(&self, what: &str, data: bool) -> Result<DownloadStatus, CallError> {
        let path = with_query(&of_download(what, ""), &RemoveQuery { data })?;
        self.answer(request(Method::DELETE, &path, None)?).await
    }

    /// Moves `what` in the queue, and returns all downloads in their new order.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn reorder(
        &self,
        what: &str,
        place: QueuePosition,
    ) -> Result<Vec<DownloadStatus>, CallError> {
        let change = serde_json::to_vec(&OrderChange { place })?;
        let path = of_download(what, "/order");
        self.answer(request(Method::PUT, &path, Some(change))?)
            .await
    }
}

/// The path of the URL of one download.
fn of_download(what: &str, verb: &str) -> String {
    let what = utf8_percent_encode(what, NON_ALPHANUMERIC);
    format!("/v1/downloads/{what}{verb}")
}
