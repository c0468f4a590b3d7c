//! What the node sends to peers.

use axum::{extract::State, http::Uri};

use super::{
    error::ApiError,
    extract::QueryParameters,
    openapi::Refused,
    paging::{ListPage, page},
    types::{ListQuery, Upload},
};
use crate::node::Node;

/// What the node sends to which peer, and what it has sent, the oldest first.
#[utoipa::path(
    get, path = "/v1/uploads", operation_id = "uploads",
    params(ListQuery),
    responses((status = 200, description = "Done", body = Vec<Upload>), Refused),
)]
pub(super) async fn list(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<ListQuery>,
    uri: Uri,
) -> Result<ListPage<Upload>, ApiError> {
    let uploads = node.uploads().iter().map(Upload::from).collect();
    page(uploads, query.page_query(), &uri, |upload| {
        (
            upload.began_unix_ms,
            upload.hash.clone(),
            upload.peer_id.clone(),
        )
    })
}
