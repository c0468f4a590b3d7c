//! What this node downloads: hashes, at least 6 of their first digits, or names say which.

use axum::{Json, extract::State, response::Response};
use futures::{FutureExt, StreamExt, future::Either, stream};

use super::{
    convert::{download_request, in_order},
    error::ApiError,
    events::{lines, until},
    extract::{Body, Named, Parameters},
    types::{
        DownloadDetail, DownloadEvent, DownloadRequest, DownloadStatus, Followers, OrderChange,
        RemoveQuery,
    },
};
use crate::node::{self, DownloadError, ManageError, Node};

pub(super) async fn list(State(node): State<Node>) -> Json<Vec<DownloadStatus>> {
    Json(in_order(&node.downloads()))
}

pub(super) async fn one(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<DownloadStatus>, ApiError> {
    let found = node.download_called(&what)?;
    let all = in_order(&node.downloads());
    let mut all = all.into_iter();
    let placed = all.find(|download| download.hash == found.hash.to_string());
    Ok(Json(placed.unwrap_or_else(|| (&found).into())))
}

pub(super) async fn detail(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<DownloadDetail>, ApiError> {
    Ok(Json(node.download_detail(&what).await?.into()))
}

pub(super) async fn followers(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<Followers>, ApiError> {
    Ok(Json(node.interest(&what)?.into()))
}

/// The stream is what follows the download, so closing the connection ends that.
pub(super) async fn download(
    State(node): State<Node>,
    Body(request): Body<DownloadRequest>,
) -> Result<Response, ApiError> {
    let detach = request.detach;
    let request = download_request(&node, request).await?;
    if detach {
        let download = node.download(request).await?;
        let status = DownloadStatus::from(&*download.status().borrow());
        return Ok(lines(stream::iter([DownloadEvent::Detached(status)])));
    }
    let followed = node.follow(request).await?;
    let mut status = followed.download().status();
    status.mark_changed();
    let finished = async move { followed.download().finished().await };
    let events = until(status, finished.boxed()).map(|event| match event {
        Either::Left(status) => DownloadEvent::Progress((&status).into()),
        Either::Right(Ok(finished)) => DownloadEvent::Done(finished.into()),
        Either::Right(Err(error)) => DownloadEvent::Error {
            error: DownloadError::from(error).into(),
        },
    });
    Ok(lines(events))
}

pub(super) async fn pause(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.pause(&what).await)
}

pub(super) async fn resume(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.resume(&what).await)
}

pub(super) async fn cancel(
    State(node): State<Node>,
    Named(what): Named,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.cancel(&what).await)
}

pub(super) async fn remove(
    State(node): State<Node>,
    Named(what): Named,
    Parameters(query): Parameters<RemoveQuery>,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.remove_download(&what, query.data).await)
}

/// Answers with all, in their new order.
pub(super) async fn put(
    State(node): State<Node>,
    Named(what): Named,
    Body(change): Body<OrderChange>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    let downloads = node.put_download(&what, &change.place.into()).await?;
    Ok(Json(in_order(&downloads)))
}

/// Answers with those that ran.
pub(super) async fn pause_all(
    State(node): State<Node>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    Ok(all(&node.pause_all().await?))
}

/// Answers with those that were paused.
pub(super) async fn resume_all(
    State(node): State<Node>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    Ok(all(&node.resume_all().await?))
}

fn changed(
    status: Result<node::DownloadStatus, ManageError>,
) -> Result<Json<DownloadStatus>, ApiError> {
    Ok(Json((&status?).into()))
}

fn all(downloads: &[node::DownloadStatus]) -> Json<Vec<DownloadStatus>> {
    Json(downloads.iter().map(Into::into).collect())
}
