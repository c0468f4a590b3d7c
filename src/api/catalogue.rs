//! The shares of other peers.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header::LINK},
};

use libp2p::PeerId;
use pelago_groups::GroupId;

use super::{
    convert::{address, group_id, offered},
    error::ApiError,
    extract::QueryParameters,
    openapi::Refused,
    paging::{ListPage, page},
    seconds,
    types::{CatalogueQuery, Listed},
};
use crate::node::{self, Catalogue, CatalogueOf, ListError, Node, Peer, Scope};

/// How long to wait for peers by default: longer than mDNS and a round trip on a LAN take, and
/// short enough for a person who waits.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(3);

/// The header with the number of peers whose shares are not all in the response.
pub(super) const INCOMPLETE: HeaderName = HeaderName::from_static("pelago-incomplete");

/// The shares of other peers, or of the members of a group, which include this node. If the list omits shares of some peers, because they exceed a limit
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
    let group = group_id(&node, query.group.as_deref())?;
    if peer.is_some() && (query.wait.is_some() || group.is_some()) {
        let message = "the parameter peer excludes wait and group: give it alone";
        return Err(ApiError::bad("bad-request", message));
    }
    let wait = query.wait.map_or(Ok(DEFAULT_WAIT), seconds::duration);
    let wait = wait.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?;
    let of = match (peer, group) {
        (Some(peer), _) => CatalogueOf::Peer(peer),
        (None, Some(group)) => CatalogueOf::Group(group),
        (None, None) => CatalogueOf::Network,
    };
    // A further page comes from the same list, without new requests to peers.
    let kept = query.after.as_ref();
    let kept = kept.and_then(|_| node.cached_catalogue(&of));
    let found: Arc<Catalogue> = match (kept, &of) {
        (Some(kept), _) => kept,
        (None, CatalogueOf::Peer(peer)) => node.list_peer(peer).await?.into(),
        (None, CatalogueOf::Network) => node.list_network(wait).await?.into(),
        (None, CatalogueOf::Group(group)) => {
            let found = of_group(&node, *group, wait).await?;
            // The user may have been removed in the meantime.
            node.group_id(&group.to_string())?;
            found.into()
        }
    };
    let names = names(&node, &of).await?;
    let key = |listed: &&node::Listed| (listed.name.clone(), listed.hash);
    let all = found.listed.iter().collect();
    let (mut headers, Json(listed)) = page(all, query.page_query(), &uri, key)?;
    if headers.contains_key(LINK) {
        node.cache_catalogue(of, &found);
    }
    if found.incomplete > 0 {
        headers.insert(INCOMPLETE, HeaderValue::from(found.incomplete));
    }
    let listed = listed
        .into_iter()
        .map(|listed| offered(listed.clone(), &names));
    Ok((headers, Json(listed.collect())))
}

/// The names of peers: in the list of a group, those of its members.
async fn names(node: &Node, of: &CatalogueOf) -> Result<HashMap<PeerId, String>, ApiError> {
    if let CatalogueOf::Group(group) = of {
        let members = node.group_members(&group.to_string()).await?.into_iter();
        let named = members.flat_map(|member| {
            let name = member.name.map(|name| name.to_string());
            member
                .peers
                .into_iter()
                .filter_map(move |peer| Some((peer, name.clone()?)))
        });
        return Ok(named.collect());
    }
    let named = |peer: Peer| Some((peer.peer_id, peer.name?));
    let peers = node.peers().await.map_err(ListError::from)?;
    Ok(peers.into_iter().filter_map(named).collect())
}

/// What the members of a group share with it, this node among them.
async fn of_group(node: &Node, group: GroupId, wait: Duration) -> Result<Catalogue, ListError> {
    let mut found = node.list_group(group, wait).await?;
    let own = node.list().await?;
    let own = own
        .into_iter()
        .filter(|share| share.scopes.contains(Scope::Group(group)));
    let mut at: HashMap<_, _> = found
        .listed
        .iter()
        .map(|listed| listed.hash)
        .zip(0..)
        .collect();
    for share in own {
        match at.entry(share.hash) {
            // Others have it, too.
            Entry::Occupied(at) => {
                let listed = &mut found.listed[*at.get()];
                (listed.scopes, listed.state) = (share.scopes, share.state);
            }
            Entry::Vacant(at) => {
                at.insert(found.listed.len());
                found.listed.push(share);
            }
        }
    }
    found
        .listed
        .sort_by(|one, other| (&one.name, one.hash).cmp(&(&other.name, other.hash)));
    Ok(found)
}
