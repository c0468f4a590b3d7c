//! The shares of this node.

use std::{ops::ControlFlow, path::PathBuf};

use axum::{Json, extract::State, http::Uri, response::Response};
use futures::{
    FutureExt, StreamExt,
    future::{Either, ready},
    stream,
};
use pelago_groups::GroupId;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
};

use super::{
    convert::{group_id, share_request},
    error::ApiError,
    extract::{JsonBody, QueryParameters},
    ndjson::{lines, until},
    openapi::Refused,
    paging::{ListPage, page},
    types::{
        BeingWritten, CheckEvent, ExcludedPath, LinksQuery, ListQuery, Listed, ShareEvent,
        ShareRequest, Shared, UnavailableShares, UnshareQuery,
    },
    web::WebService,
};
use crate::node::{self, Node};

/// Events of a check that are queued, at most. The check waits for its reader then.
const CHECK_EVENTS_QUEUED: usize = 16;

/// The shares of this node, ordered by name.
#[utoipa::path(
    get, path = "/v1/shares", operation_id = "shares",
    params(ListQuery),
    responses((status = 200, description = "Done", body = Vec<Listed>), Refused),
)]
pub(super) async fn list(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<Listed>, ApiError> {
    let listed = node.list().await?;
    let listed = listed.into_iter().map(Listed::from).collect();
    page(listed, query.page_query(), &uri, key)
}

/// Shares a file or folder. Closing the connection stops it.
#[utoipa::path(
    post, path = "/v1/shares", operation_id = "share",
    request_body = ShareRequest,
    responses(
        (
            status = 200, description = "One event per line",
            body = ShareEvent, content_type = "application/x-ndjson",
        ),
        Refused,
    ),
)]
pub(super) async fn share(
    State(node): State<Node>,
    JsonBody(request): JsonBody<ShareRequest>,
) -> Result<Response, ApiError> {
    let (request, is_for_both) = share_request(&node, request)?;
    let size = size_of(request.path.clone()).await;
    let (sender, hashed) = watch::channel(0);
    let sharing = async move {
        let show = move |bytes| {
            sender.send_replace(bytes);
        };
        if is_for_both {
            let groups = Vec::new();
            let request = node::ShareRequest {
                groups,
                ..request.clone()
            };
            node.share(request, show.clone()).await?;
        }
        node.share(request, show).await
    };
    let events = until(hashed, sharing.boxed()).map(move |event| match event {
        Either::Left(hashed_bytes) => ShareEvent::Hashing { hashed_bytes, size },
        Either::Right(Ok(shared)) => ShareEvent::Shared(shared.into()),
        Either::Right(Err(error)) => ShareEvent::Error {
            error: error.into(),
        },
    });
    Ok(lines(events))
}

/// Reads all shared files and compares them with their hashes. Closing the connection stops it.
#[utoipa::path(
    post, path = "/v1/shares/check", operation_id = "checkShares",
    responses(
        (
            status = 200, description = "One event per line",
            body = CheckEvent, content_type = "application/x-ndjson",
        ),
        Refused,
    ),
)]
pub(super) async fn check(State(node): State<Node>) -> Response {
    let (sender, events) = mpsc::channel(CHECK_EVENTS_QUEUED);
    let last = sender.clone();
    let take = move |event| match sender.blocking_send(CheckEvent::from(event)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let checking = async move {
        let event = match node.check_shares(take).await {
            Ok(()) => CheckEvent::Done,
            Err(error) => CheckEvent::Error {
                error: error.into(),
            },
        };
        // The client may have disconnected.
        let _ = last.send(event).await;
    };
    let events = stream::unfold(events, |mut events| async {
        let event = events.recv().await?;
        Some((event, events))
    });
    // The check runs while the events are read, and adds no events of its own.
    let checking = checking.into_stream().filter_map(|()| ready(None));
    lines(stream::select(events, checking))
}

/// Bytes of the file at `path`, to show progress; `None` for a directory, or on an error, which
/// sharing the file reports.
async fn size_of(path: PathBuf) -> Option<u64> {
    let metadata = spawn_blocking(move || path.metadata()).await.ok()?.ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// The key that identifies a listed share.
pub(super) fn key(listed: &Listed) -> (String, String) {
    (listed.name.clone(), listed.hash.clone())
}

/// The files in watched folders that are not shared yet because programs may still write to them.
#[utoipa::path(
    get, path = "/v1/being-written", operation_id = "beingWritten",
    responses((status = 200, description = "Done", body = BeingWritten), Refused),
)]
pub(super) async fn being_written(State(node): State<Node>) -> Json<BeingWritten> {
    Json(node.being_written().into())
}

/// The shares of this node that are not available.
#[utoipa::path(
    get, path = "/v1/unavailable", operation_id = "unavailable",
    responses((status = 200, description = "Done", body = UnavailableShares), Refused),
)]
pub(super) async fn unavailable(
    State(node): State<Node>,
) -> Result<Json<UnavailableShares>, ApiError> {
    Ok(Json(node.unavailable().await?.into()))
}

/// The paths in watched folders that a person excluded from sharing.
#[utoipa::path(
    get, path = "/v1/exclusions", operation_id = "exclusions",
    responses((status = 200, description = "Done", body = Vec<ExcludedPath>), Refused),
)]
pub(super) async fn exclusions(State(node): State<Node>) -> Json<Vec<ExcludedPath>> {
    Json(node.exclusions().into_iter().map(Into::into).collect())
}

/// The links of shares.
#[utoipa::path(
    get, path = "/v1/links", operation_id = "links",
    params(LinksQuery),
    responses((status = 200, description = "Done", body = Vec<Shared>), Refused),
)]
pub(super) async fn links(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<LinksQuery>,
    uri: Uri,
) -> Result<ListPage<Shared>, ApiError> {
    let group = group_id(&node, query.group.as_deref())?;
    let links = node.links(query.what.clone()).await?;
    let links = links
        .into_iter()
        .filter_map(|shared| for_group(shared, group));
    let links = links.map(Shared::from).collect();
    let key = |shared: &Shared| (shared.name.clone(), shared.hash.clone());
    page(links, query.page_query(), &uri, key)
}

/// The share with a link for the members of `group`, if it is shared with it; without a group, the
/// share as it is.
fn for_group(mut shared: node::Shared, group: Option<GroupId>) -> Option<node::Shared> {
    let Some(group) = group else {
        return Some(shared);
    };
    shared.link.group = Some(*group.as_bytes());
    shared
        .scopes
        .contains(node::Scope::Group(group))
        .then_some(shared)
}

/// Stops sharing, with everyone and all groups, or with some.
#[utoipa::path(
    delete, path = "/v1/shares", operation_id = "unshare",
    params(UnshareQuery),
    responses((status = 200, description = "Done", body = Vec<Shared>), Refused),
)]
pub(super) async fn unshare(
    State(node): State<Node>,
    State(web): State<WebService>,
    QueryParameters(query): QueryParameters<UnshareQuery>,
) -> Result<Json<Vec<Shared>>, ApiError> {
    let group = match &query.group {
        Some(group) => Some(node.group_id_of_shares(group).await?),
        None => None,
    };
    let request = node::UnshareRequest {
        group,
        is_public: query.everyone,
        path: query.path.map(PathBuf::from),
        what: query.what,
    };
    let unshared = node.unshare(request).await?;
    for shared in &unshared {
        web.remove_content(&shared.hash);
    }
    Ok(Json(unshared.into_iter().map(Into::into).collect()))
}
