//! What others share.

use std::time::Duration;

use axum::{extract::State, http::Uri};

use super::{
    convert::{address, offered},
    error::ApiError,
    extract::Parameters,
    openapi::Refused,
    paging::{Page, page},
    seconds,
    shares::key,
    types::{CatalogueQuery, Listed},
};
use crate::node::{ListError, Node, Peer};

/// How long to wait for all peers in reach, unless the caller says: mDNS and a round trip on a LAN
/// take less, and a person waits that long.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(3);

/// What others share.
#[utoipa::path(
    get, path = "/v1/catalogue", operation_id = "catalogue",
    params(CatalogueQuery),
    responses((status = 200, description = "Done", body = Vec<Listed>), Refused),
)]
pub(super) async fn catalogue(
    State(node): State<Node>,
    Parameters(query): Parameters<CatalogueQuery>,
    uri: Uri,
) -> Result<Page<Listed>, ApiError> {
    let listed = match query.clone() {
        CatalogueQuery {
            peer: Some(_),
            wait: Some(_),
            ..
        } => {
            return Err(ApiError::bad(
                "bad-request",
                "give either peer or wait, not both",
            ));
        }
        CatalogueQuery {
            peer: Some(peer),
            wait: None,
            ..
        } => node.list_peer(&address(&peer)?).await?,
        CatalogueQuery {
            peer: None, wait, ..
        } => {
            let wait = wait.map_or(Ok(DEFAULT_WAIT), seconds::duration);
            let wait = wait.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?;
            node.list_network(wait).await?
        }
    };
    let named = |peer: Peer| Some((peer.peer_id, peer.name?));
    let peers = node.peers().await.map_err(ListError::from)?;
    let names = peers.into_iter().filter_map(named).collect();
    let listed = listed
        .into_iter()
        .map(|listed| offered(listed, &names))
        .collect();
    page(listed, query.wanted(), &uri, key)
}
