//! The shares of other peers.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header::LINK},
};

use super::{
    convert::{address, offered},
    error::ApiError,
    extract::QueryParameters,
    openapi::Refused,
    paging::{ListPage, page},
    seconds,
    types::{CatalogueQuery, Listed},
};
use crate::node::{self, Catalogue, ListError, Node, Peer};

/// How long to wait for peers by default: longer than mDNS and a round trip on a LAN take, and
/// short enough for a person who waits.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(3);

/// The header with the number of peers whose shares are not all in the response.
pub(super) const INCOMPLETE: HeaderName = HeaderName::from_static("pelago-incomplete");

/// The shares of other peers. If the list omits shares of some peers, because they exceed a limit
/// or arrived too late, the header `Pelago-Incomplete` holds the number of these peers.
#[utoipa::path(
    get, path = "/v1/catalogue", operation_id = "catalogue",
    params(CatalogueQuery),
    responses((status = 200, description = "Done", body = Vec<Listed>), Refused),
)]
pub(super) async fn catalogue(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<CatalogueQuery>,
    uri: Uri,
) -> Result<ListPage<Listed>, ApiError> {
    let peer = query.peer.as_deref().map(address).transpose()?;
    if peer.is_some() && query.wait.is_some() {
        let message = "the parameters peer and wait exclude each other: give one of them";
        return Err(ApiError::bad("bad-request", message));
    }
    let wait = query.wait.map_or(Ok(DEFAULT_WAIT), seconds::duration);
    let wait = wait.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?;
    // A further page comes from the same list, without new requests to peers.
    let kept = query.after.as_ref();
    let kept = kept.and_then(|_| node.cached_catalogue(peer.as_ref()));
    let found: Arc<Catalogue> = match (kept, &peer) {
        (Some(kept), _) => kept,
        (None, Some(peer)) => node.list_peer(peer).await?.into(),
        (None, None) => node.list_network(wait).await?.into(),
    };
    let named = |peer: Peer| Some((peer.peer_id, peer.name?));
    let peers = node.peers().await.map_err(ListError::from)?;
    let names = peers.into_iter().filter_map(named).collect();
    let key = |listed: &&node::Listed| (listed.name.clone(), listed.hash);
    let all = found.listed.iter().collect();
    let (mut headers, Json(listed)) = page(all, query.page_query(), &uri, key)?;
    if headers.contains_key(LINK) {
        node.cache_catalogue(peer, &found);
    }
    if found.incomplete > 0 {
        headers.insert(INCOMPLETE, HeaderValue::from(found.incomplete));
    }
    let listed = listed
        .into_iter()
        .map(|listed| offered(listed.clone(), &names));
    Ok((headers, Json(listed.collect())))
}
