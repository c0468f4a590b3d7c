//! The downloads of this node. A request selects one by its hash, by at least 6 of its first
//! digits, or by its name.

use axum::{Json, extract::State, http::Uri, response::Response};
use futures::{FutureExt, StreamExt, future::Either, stream};

use super::{
    convert::{download_request, in_order},
    error::ApiError,
    extract::{JsonBody, PathParameter, QueryParameters},
    ndjson::{lines, until},
    openapi::Refused,
    paging::{ListPage, page},
    types::{
        DownloadDetail, DownloadEvent, DownloadRequest, DownloadStatus, Followers, ListQuery,
        OrderChange, RemoveQuery,
    },
};
use crate::node::{self, DownloadError, ManageError, Node};

/// All downloads, in queue order.
#[utoipa::path(
    get, path = "/v1/downloads", operation_id = "downloads",
    params(ListQuery),
    responses((status = 200, description = "Done", body = Vec<DownloadStatus>), Refused),
)]
pub(super) async fn list(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<DownloadStatus>, ApiError> {
    let downloads = in_order(&node.downloads());
    page(downloads, query.page_query(), &uri, |download| {
        download.hash.clone()
    })
}

/// The progress of a download.
#[utoipa::path(
    get, path = "/v1/downloads/{what}", operation_id = "oneDownload",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn one(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<DownloadStatus>, ApiError> {
    let found = node.find_download(&what)?;
    let all = in_order(&node.downloads());
    let mut all = all.into_iter();
    let placed = all.find(|download| download.hash == found.hash.to_string());
    Ok(Json(placed.unwrap_or_else(|| (&found).into())))
}

/// The sources of a download, and which of them sent its blocks.
#[utoipa::path(
    get, path = "/v1/downloads/{what}/detail", operation_id = "downloadDetail",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = DownloadDetail), Refused),
)]
pub(super) async fn detail(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<DownloadDetail>, ApiError> {
    Ok(Json(node.download_detail(&what).await?.into()))
}

/// How many callers follow a download. It pauses when the last one stops, unless it is detached.
#[utoipa::path(
    get, path = "/v1/downloads/{what}/followers", operation_id = "followers",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = Followers), Refused),
)]
pub(super) async fn followers(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<Followers>, ApiError> {
    Ok(Json(node.followers(&what)?.into()))
}

/// Starts or follows a download. Closing the connection stops following it.
#[utoipa::path(
    post, path = "/v1/downloads", operation_id = "download",
    request_body = DownloadRequest,
    responses(
        (
            status = 200, description = "One event per line",
            body = DownloadEvent, content_type = "application/x-ndjson",
        ),
        Refused,
    ),
)]
pub(super) async fn download(
    State(node): State<Node>,
    JsonBody(request): JsonBody<DownloadRequest>,
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

/// Pauses a download.
#[utoipa::path(
    post, path = "/v1/downloads/{what}/pause", operation_id = "pause",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn pause(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.pause(&what).await)
}

/// Resumes a download.
#[utoipa::path(
    post, path = "/v1/downloads/{what}/resume", operation_id = "resume",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn resume(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.resume(&what).await)
}

/// Cancels a download and removes its partial data. If the connection closes before the answer, the
/// node completes that; meanwhile the state is `removing`.
#[utoipa::path(
    post, path = "/v1/downloads/{what}/cancel", operation_id = "cancel",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn cancel(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.cancel(&what).await)
}

/// Removes an ended download from the list. If the connection closes before the answer, the node
/// completes that; while data is removed, the state is `removing`.
#[utoipa::path(
    delete, path = "/v1/downloads/{what}", operation_id = "removeDownload",
    params(
        (
            "what" = String, Path,
            description = "A hash, at least 6 of its first digits, or a name",
        ),
        RemoveQuery,
    ),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn remove(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
    QueryParameters(query): QueryParameters<RemoveQuery>,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.remove_download(&what, query.data).await)
}

/// Moves a download in the queue. Returns all downloads in their new order.
#[utoipa::path(
    put, path = "/v1/downloads/{what}/order", operation_id = "orderDownload",
    params((
        "what" = String, Path,
        description = "A hash, at least 6 of its first digits, or a name",
    )),
    request_body = OrderChange,
    responses((status = 200, description = "Done", body = Vec<DownloadStatus>), Refused),
)]
pub(super) async fn reorder(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
    JsonBody(change): JsonBody<OrderChange>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    let downloads = node.reorder_download(&what, &change.place.into()).await?;
    Ok(Json(in_order(&downloads)))
}

/// Pauses all running downloads, and returns them.
#[utoipa::path(
    post, path = "/v1/pause", operation_id = "pauseAll",
    responses((status = 200, description = "Done", body = Vec<DownloadStatus>), Refused),
)]
pub(super) async fn pause_all(
    State(node): State<Node>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    Ok(all(&node.pause_all().await?))
}

/// Resumes all paused and failed downloads, and returns them.
#[utoipa::path(
    post, path = "/v1/resume", operation_id = "resumeAll",
    responses((status = 200, description = "Done", body = Vec<DownloadStatus>), Refused),
)]
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
