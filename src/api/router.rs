//! The routes.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    routing::{get, post, put},
};

use super::{catalogue, downloads, error::ApiError, limits, look, shares, status};
use crate::node::Node;

/// Bytes of the longest request body: a download with the longest link (8 KiB) and as many peers.
pub(super) const MAX_BODY_LEN: usize = 64 * 1024;

/// All routes of `node`, as a service to call in-process. It trusts its caller: strangers meet it
/// only behind [`serve`](super::serve), which asks for the token first.
pub fn router(node: Node) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/peers", get(status::peers))
        .route("/v1/health", get(status::health))
        .route("/v1/limits", get(limits::limits).put(limits::change))
        .route(
            "/v1/shares",
            get(shares::list)
                .post(shares::share)
                .delete(shares::unshare),
        )
        .route("/v1/links", get(shares::links))
        .route("/v1/look", post(look::look))
        .route("/v1/catalogue", get(catalogue::catalogue))
        .route(
            "/v1/downloads",
            get(downloads::list).post(downloads::download),
        )
        .route(
            "/v1/downloads/{what}",
            get(downloads::one).delete(downloads::remove),
        )
        .route("/v1/downloads/{what}/followers", get(downloads::followers))
        .route("/v1/downloads/{what}/pause", post(downloads::pause))
        .route("/v1/downloads/{what}/resume", post(downloads::resume))
        .route("/v1/downloads/{what}/cancel", post(downloads::cancel))
        .route("/v1/downloads/{what}/order", put(downloads::put))
        .route("/v1/pause", post(downloads::pause_all))
        .route("/v1/resume", post(downloads::resume_all))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(node)
}

async fn unknown(uri: Uri) -> ApiError {
    let message = format!("there is no {}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "unknown-path", message)
}

async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not possible on {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", message)
}
