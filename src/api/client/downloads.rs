//! Calls about downloads.

use axum::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    CallError, Client, Events,
    transport::{request, with_query},
};
use crate::api::types::{
    DownloadDetail, DownloadEvent, DownloadRequest, DownloadStatus, Followers, OrderChange,
    QueuePosition, RemoveQuery,
};

impl Client {
    /// Its downloads.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn downloads(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.list("/v1/downloads").await
    }

    /// Downloads, or follows what is being downloaded. Dropping the events before the last pauses it,
    /// unless others follow it or the node runs it by itself.
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

    /// Where the blocks of `what` came from.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn detail(&self, what: &str) -> Result<DownloadDetail, CallError> {
        self.get(&of_download(what, "/detail")).await
    }

    /// Who wants `what` to go on.
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
        self.post(&of_download(what, "/pause")).await
    }

    /// Goes on with `what`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn resume(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.post(&of_download(what, "/resume")).await
    }

    /// Pauses all downloads that run; returns them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn pause_all(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.post("/v1/pause").await
    }

    /// Goes on with all downloads that are paused or have failed; returns them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn resume_all(&self) -> Result<Vec<DownloadStatus>, CallError> {
        self.post("/v1/resume").await
    }

    /// Stops `what`, and removes what is here of it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn cancel(&self, what: &str) -> Result<DownloadStatus, CallError> {
        self.post(&of_download(what, "/cancel")).await
    }

    /// Takes `what`, which has ended, off the list; with `data`, removes what was downloaded, too.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn remove(&self, what: &str, data: bool) -> Result<DownloadStatus, CallError> {
        let path = with_query(&of_download(what, ""), &RemoveQuery { data })?;
        self.answer(request(Method::DELETE, &path, None)?).await
    }

    /// Puts `what` somewhere else in the order; returns all downloads in theirs.
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

/// The path of one download.
fn of_download(what: &str, verb: &str) -> String {
    let what = utf8_percent_encode(what, NON_ALPHANUMERIC);
    format!("/v1/downloads/{what}{verb}")
}
