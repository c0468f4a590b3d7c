//! The downloads of this node. A request selects one by its hash, by at least 6 of its first
//! digits, or by its name.

use std::time::Duration;

use axum::{Json, extract::State, http::Uri, response::Response};
use futures::{FutureExt, Stream, StreamExt, future::Either, stream};
use tokio::time::timeout;

use super::{
    convert::{absolute, download_request, in_order},
    error::ApiError,
    extract::{JsonBody, PathParameter, QueryParameters},
    ndjson::{lines, until},
    openapi::Refused,
    paging::{ListPage, page},
    types::{
        DownloadDetail, DownloadEvent, DownloadRequest, DownloadStatus, Followers, ListQuery,
        OrderChange, PauseQuery, RemoveQuery, ResumeQuery,
    },
};
use crate::node::{self, DownloadError, Follower, ManageError, NewPath, Node};

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

/// Starts or follows a download. Closing the connection stops following it. If a search for the
/// target takes more than half a second, the response begins with it, and its failure is a line of
/// the response.
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
    let (detach, target) = (request.detach, request.target.clone());
    let request = download_request(&node, request).await?;
    if detach {
        let download = node.download(request).await?;
        let status = DownloadStatus::from(&*download.status().borrow());
        return Ok(lines(stream::iter([DownloadEvent::Detached(status)])));
    }
    let asked = request.asked.subscribe();
    let mut followed = async move { node.follow(request).await }.boxed();
    if let Ok(followed) = timeout(SEARCH_INTERVAL, &mut followed).await {
        return Ok(lines(progress(followed?)));
    }
    let searching = move || DownloadEvent::Searching {
        target: target.clone(),
        asked: *asked.borrow() as u64,
    };
    // Beginning with one, as the time before the first is over.
    let steps = stream::unfold(Some((followed, false)), |state| async {
        let (mut followed, is_begun) = state?;
        let pause = if is_begun {
            SEARCH_INTERVAL
        } else {
            Duration::ZERO
        };
        match timeout(pause, &mut followed).await {
            Ok(followed) => Some((Some(followed), None)),
            Err(_) => Some((None, Some((followed, true)))),
        }
    });
    Ok(lines(steps.flat_map(move |step| {
        match step {
            None => stream::iter([searching()]).boxed(),
            Some(Ok(followed)) => progress(followed).boxed(),
            Some(Err(error)) => stream::iter([DownloadEvent::Error {
                error: error.into(),
            }])
            .boxed(),
        }
    })))
}

/// How long a search may take before the response begins, and the time between two of its lines.
const SEARCH_INTERVAL: Duration = Duration::from_millis(500);

/// The lines of a download that runs.
fn progress(followed: Follower) -> impl Stream<Item = DownloadEvent> + Send {
    let mut status = followed.download().status();
    status.mark_changed();
    let finished = async move { followed.download().finished().await };
    until(status, finished.boxed()).map(|event| match event {
        Either::Left(status) => DownloadEvent::Progress((&status).into()),
        Either::Right(Ok(finished)) => DownloadEvent::Done(finished.into()),
        Either::Right(Err(error)) => DownloadEvent::Error {
            error: DownloadError::from(error).into(),
        },
    })
}

/// Pauses a download, for some time if the request has one.
#[utoipa::path(
    post, path = "/v1/downloads/{what}/pause", operation_id = "pause",
    params(
        (
            "what" = String, Path,
            description = "A hash, at least 6 of its first digits, or a name",
        ),
        PauseQuery,
    ),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn pause(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
    QueryParameters(query): QueryParameters<PauseQuery>,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(node.pause(&what, pause_time(query)?).await)
}

/// Resumes a download, at another path if the request has one.
#[utoipa::path(
    post, path = "/v1/downloads/{what}/resume", operation_id = "resume",
    params(
        (
            "what" = String, Path,
            description = "A hash, at least 6 of its first digits, or a name",
        ),
        ResumeQuery,
    ),
    responses((status = 200, description = "Done", body = DownloadStatus), Refused),
)]
pub(super) async fn resume(
    State(node): State<Node>,
    PathParameter(what): PathParameter,
    QueryParameters(query): QueryParameters<ResumeQuery>,
) -> Result<Json<DownloadStatus>, ApiError> {
    changed(match (query.output, query.beside) {
        (None, false) => node.resume(&what).await,
        (None, true) => node.move_download(&what, NewPath::Beside).await,
        (Some(path), _) => {
            node.move_download(&what, NewPath::At(absolute(path)?))
                .await
        }
    })
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

/// Pauses all running downloads, for some time if the request has one, and returns them.
#[utoipa::path(
    post, path = "/v1/pause", operation_id = "pauseAll",
    params(PauseQuery),
    responses((status = 200, description = "Done", body = Vec<DownloadStatus>), Refused),
)]
pub(super) async fn pause_all(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<PauseQuery>,
) -> Result<Json<Vec<DownloadStatus>>, ApiError> {
    Ok(all(&node.pause_all(pause_time(query)?).await?))
}

fn pause_time(query: PauseQuery) -> Result<Option<Duration>, ApiError> {
    let time = query.for_seconds.map(Duration::try_from_secs_f64);
    time.transpose()
        .map_err(|error| ApiError::bad("bad-seconds", error.to_string()))
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
