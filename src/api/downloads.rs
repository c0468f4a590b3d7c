//! What this node downloads.

use axum::{Json, extract::State, response::Response};
use futures::{FutureExt, StreamExt, future::Either, stream};

use super::{
    convert::download_request,
    error::ApiError,
    events::{lines, until},
    extract::Body,
    types::{DownloadEvent, DownloadRequest, DownloadStatus},
};
use crate::node::{Download, DownloadError, Node};

pub(super) async fn list(State(node): State<Node>) -> Json<Vec<DownloadStatus>> {
    Json(node.downloads().iter().map(Into::into).collect())
}

pub(super) async fn download(
    State(node): State<Node>,
    Body(request): Body<DownloadRequest>,
) -> Result<Response, ApiError> {
    let detach = request.detach;
    let download = node.download(download_request(request)?).await?;
    if detach {
        let status = DownloadStatus::from(&*download.status().borrow());
        return Ok(lines(stream::iter([DownloadEvent::Detached(status)])));
    }
    let mut status = download.status();
    status.mark_changed();
    let followed = Followed(Some(download.clone()));
    let finished = async move {
        let finished = download.finished().await;
        followed.ended();
        finished
    };
    let events = until(status, finished.boxed()).map(|event| match event {
        Either::Left(status) => DownloadEvent::Progress((&status).into()),
        Either::Right(Ok(finished)) => DownloadEvent::Done(finished.into()),
        Either::Right(Err(error)) => DownloadEvent::Error {
            error: DownloadError::from(error).into(),
        },
    });
    Ok(lines(events))
}

/// A download whose caller waits for it: pauses when the caller goes before it has ended.
struct Followed(Option<Download>);

impl Followed {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(download) = self.0.take() {
            download.pause();
        }
    }
}
