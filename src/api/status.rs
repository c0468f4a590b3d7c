//! The node itself, whom it is connected to, and how well.

use std::net::SocketAddr;

use axum::{Extension, Json, extract::State};

use super::{
    Links, Log,
    error::ApiError,
    extract::Parameters,
    types::{self, LogLevel, LogLine, LogQuery},
};
use crate::node::{ListError, Node};

/// Where the API listens, as requests that came through a socket carry it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served(pub(super) SocketAddr);

pub(super) async fn status(
    State(node): State<Node>,
    served: Option<Extension<Served>>,
    links: Option<Extension<Links>>,
) -> Result<Json<types::Status>, ApiError> {
    let mut status = types::Status::from(node.status().await?);
    status.api = served.map(|Extension(Served(address))| address.to_string());
    status.gateway = links.map(|Extension(links)| links.origin());
    Ok(Json(status))
}

pub(super) async fn peers(State(node): State<Node>) -> Result<Json<Vec<types::Peer>>, ApiError> {
    let peers = node.peers().await.map_err(ListError::from)?;
    Ok(Json(peers.into_iter().map(Into::into).collect()))
}

/// The last lines that the program logged.
pub(super) async fn log(
    State(log): State<Log>,
    Parameters(query): Parameters<LogQuery>,
) -> Json<Vec<LogLine>> {
    Json(log.lines(query.level.unwrap_or(LogLevel::Trace)))
}

pub(super) async fn health(State(node): State<Node>) -> Result<Json<types::Health>, ApiError> {
    let health = node.health().await.map_err(ListError::from)?;
    Ok(Json(health.into()))
}
