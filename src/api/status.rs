//! The node itself, and whom it is connected to.

use std::net::SocketAddr;

use axum::{Extension, Json, extract::State};

use super::types;
use crate::node::Node;

/// Where the API listens, as requests that came through a socket carry it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served(pub(super) SocketAddr);

pub(super) async fn status(
    State(node): State<Node>,
    served: Option<Extension<Served>>,
) -> Json<types::Status> {
    let mut status = types::Status::from(node.status().await);
    status.api = served.map(|Extension(Served(address))| address.to_string());
    Json(status)
}

pub(super) async fn peers(State(node): State<Node>) -> Json<Vec<types::Peer>> {
    Json(node.peers().await.into_iter().map(Into::into).collect())
}
