//! The node itself, whom it is connected to, and how well.

use std::net::SocketAddr;

use axum::{Extension, Json, extract::State};

use super::{error::ApiError, types};
use crate::node::{ListError, Node};

/// Where the API listens, as requests that came through a socket carry it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served(pub(super) SocketAddr);

pub(super) async fn status(
    State(node): State<Node>,
    served: Option<Extension<Served>>,
) -> Result<Json<types::Status>, ApiError> {
    let mut status = types::Status::from(node.status().await?);
    status.api = served.map(|Extension(Served(address))| address.to_string());
    Ok(Json(status))
}

pub(super) async fn peers(State(node): State<Node>) -> Result<Json<Vec<types::Peer>>, ApiError> {
    let peers = node.peers().await.map_err(ListError::from)?;
    Ok(Json(peers.into_iter().map(Into::into).collect()))
}

pub(super) async fn health(State(node): State<Node>) -> Result<Json<types::Health>, ApiError> {
    let health = node.health().await.map_err(ListError::from)?;
    Ok(Json(health.into()))
}
