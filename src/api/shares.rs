//! What this node shares.

use std::path::PathBuf;

use axum::{Json, extract::State, response::Response};
use futures::{FutureExt, StreamExt, future::Either};
use tokio::{sync::watch, task::spawn_blocking};

use super::{
    convert::share_request,
    error::ApiError,
    events::{lines, until},
    extract::{Body, Parameters},
    types::{LinksQuery, Listed, ShareEvent, ShareRequest, Shared, UnshareQuery},
};
use crate::node::Node;

pub(super) async fn list(State(node): State<Node>) -> Result<Json<Vec<Listed>>, ApiError> {
    let listed = node.list().await?;
    Ok(Json(listed.into_iter().map(Into::into).collect()))
}

/// The stream drives the sharing, so closing the connection ends it.
pub(super) async fn share(
    State(node): State<Node>,
    Body(request): Body<ShareRequest>,
) -> Result<Response, ApiError> {
    let request = share_request(request)?;
    let size = size_of(request.path.clone()).await;
    let (sender, hashed) = watch::channel(0);
    let sharing = async move {
        let show = move |bytes| {
            sender.send_replace(bytes);
        };
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

/// Bytes of the file at `path`, for people to see progress; none for a directory, or if it cannot be
/// had, which sharing it will explain.
async fn size_of(path: PathBuf) -> Option<u64> {
    let metadata = spawn_blocking(move || path.metadata()).await.ok()?.ok()?;
    metadata.is_file().then_some(metadata.len())
}

pub(super) async fn links(
    State(node): State<Node>,
    Parameters(query): Parameters<LinksQuery>,
) -> Result<Json<Vec<Shared>>, ApiError> {
    let links = node.links(query.what).await?;
    Ok(Json(links.into_iter().map(Into::into).collect()))
}

pub(super) async fn unshare(
    State(node): State<Node>,
    Parameters(query): Parameters<UnshareQuery>,
) -> Result<Json<Vec<Shared>>, ApiError> {
    let unshared = node.unshare(&query.what).await?;
    Ok(Json(unshared.into_iter().map(Into::into).collect()))
}
