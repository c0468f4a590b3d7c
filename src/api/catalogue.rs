//! What others share.

use std::time::Duration;

use axum::{Json, extract::State};

use super::{
    convert::address,
    error::ApiError,
    extract::Parameters,
    seconds,
    types::{CatalogueQuery, Listed},
};
use crate::node::Node;

/// How long to wait for all peers in reach, unless the caller says: mDNS and a round trip on a LAN
/// take less, and a person waits that long.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(3);

pub(super) async fn catalogue(
    State(node): State<Node>,
    Parameters(query): Parameters<CatalogueQuery>,
) -> Result<Json<Vec<Listed>>, ApiError> {
    let listed = match query {
        CatalogueQuery {
            peer: Some(_),
            wait: Some(_),
        } => {
            return Err(ApiError::bad(
                "bad-request",
                "give either peer or wait, not both",
            ));
        }
        CatalogueQuery {
            peer: Some(peer),
            wait: None,
        } => node.list_peer(&address(&peer)?).await?,
        CatalogueQuery { peer: None, wait } => {
            let wait = wait.map_or(Ok(DEFAULT_WAIT), seconds::duration);
            let wait = wait.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?;
            node.list_network(wait).await?
        }
    };
    Ok(Json(listed.into_iter().map(Into::into).collect()))
}
