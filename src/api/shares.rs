//! What this node shares.

use axum::{Json, extract::State, response::Response};
use futures::{FutureExt, StreamExt, future::Either};
use tokio::sync::watch;

use super::{
    convert::share_request,
    error::ApiError,
    events::{lines, until},
    extract::{Body, Parameters},
    types::{Listed, ShareEvent, ShareRequest, Shared, UnshareQuery},
};
use crate::node::{HashProgress, Node};

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
    let (sender, progress) = watch::channel(None);
    let sharing = async move {
        let show = move |progress| {
            sender.send_replace(Some(progress));
        };
        node.share(request, show).await
    };
    let events = until(progress, sharing.boxed()).filter_map(async |event| match event {
        Either::Left(progress) => progress.map(ShareEvent::from),
        Either::Right(Ok(shared)) => Some(ShareEvent::Shared(shared.into())),
        Either::Right(Err(error)) => Some(ShareEvent::Error {
            error: error.into(),
        }),
    });
    Ok(lines(events))
}

pub(super) async fn unshare(
    State(node): State<Node>,
    Parameters(query): Parameters<UnshareQuery>,
) -> Result<Json<Vec<Shared>>, ApiError> {
    let unshared = node.unshare(&query.what).await?;
    Ok(Json(unshared.into_iter().map(Into::into).collect()))
}

impl From<HashProgress> for ShareEvent {
    fn from(progress: HashProgress) -> Self {
        Self::Hashing {
            hashed_bytes: progress.hashed_bytes,
            size: progress.size,
        }
    }
}
