//! The node itself: its status, peers, health and log.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{Uri, request::Parts},
};

use super::{
    GatewayUrls, Log,
    error::ApiError,
    extract::QueryParameters,
    openapi::Refused,
    paging::{ListPage, page},
    types::{self, ListQuery, LogLevel, LogLine, LogQuery},
};
use crate::node::{ListError, Node, Status};

/// The address of the API, in the extensions of requests that came through a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served(pub(super) SocketAddr);

/// The addresses of the API and the gateway, from the extensions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    api: Option<String>,
    gateway: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Addresses {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let (served, urls) = (parts.extensions.get(), parts.extensions.get());
        Ok(Self {
            api: served.map(|Served(address)| address.to_string()),
            gateway: urls.map(GatewayUrls::origin),
        })
    }
}

impl Addresses {
    /// Adds the addresses to the status of the node.
    pub(super) fn with(&self, status: Status) -> types::Status {
        types::Status {
            api: self.api.clone(),
            gateway: self.gateway.clone(),
            ..status.into()
        }
    }
}

/// The status of the node.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "status",
    responses((status = 200, description = "Done", body = types::Status), Refused),
)]
pub(super) async fn status(
    State(node): State<Node>,
    addresses: Addresses,
) -> Result<Json<types::Status>, ApiError> {
    Ok(Json(addresses.with(node.status().await?)))
}

/// The connected peers.
#[utoipa::path(
    get, path = "/v1/peers", operation_id = "peers",
    params(ListQuery),
    responses((status = 200, description = "Done", body = Vec<types::Peer>), Refused),
)]
pub(super) async fn peers(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<types::Peer>, ApiError> {
    let mut peers = node.peers().await.map_err(ListError::from)?;
    peers.sort_by_key(|peer| peer.peer_id);
    let peers = peers.into_iter().map(types::Peer::from).collect();
    page(peers, query.page_query(), &uri, |peer| peer.peer_id.clone())
}

/// The last lines of the log, oldest first.
#[utoipa::path(
    get, path = "/v1/log", operation_id = "log",
    params(LogQuery),
    responses((status = 200, description = "Done", body = Vec<LogLine>), Refused),
)]
pub(super) async fn log(
    State(log): State<Log>,
    QueryParameters(query): QueryParameters<LogQuery>,
    uri: Uri,
) -> Result<ListPage<LogLine>, ApiError> {
    let lines = log.lines(query.level.unwrap_or(LogLevel::Trace));
    let key = |line: &LogLine| (line.unix_ms, line.message.clone());
    page(lines, query.page_query(), &uri, key)
}

/// The health of the node: its connections, its limits and its problems.
#[utoipa::path(
    get, path = "/v1/health", operation_id = "health",
    responses((status = 200, description = "Done", body = types::Health), Refused),
)]
pub(super) async fn health(State(node): State<Node>) -> Result<Json<types::Health>, ApiError> {
    let health = node.health().await.map_err(ListError::from)?;
    Ok(Json(health.into()))
}
