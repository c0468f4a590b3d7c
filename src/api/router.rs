//! The routes.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    routing::{get, post, put},
};

use super::{
    App, catalogue, downloads, error::ApiError, files, gateway, live, look, metrics, page, qr,
    session, settings, shares, status,
};
use crate::node::Node;

/// Bytes of the longest request body: a download with the longest link (8 KiB) and as many peers.
pub(super) const MAX_BODY_LEN: usize = 64 * 1024;

/// All routes of `app` (a node will do), as a service to call in-process. It trusts its caller: strangers meet it
/// only behind [`serve`](super::serve), which asks for the token first.
pub fn router(app: impl Into<App>) -> Router {
    Router::new()
        .route("/v1/codes", post(session::code))
        .route(
            "/v1/session",
            post(session::sign_in).delete(session::sign_out),
        )
        .route("/v1/events", get(live::events))
        .route("/v1/log", get(status::log))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/status", get(status::status))
        .route("/v1/peers", get(status::peers))
        .route("/v1/health", get(status::health))
        .route("/v1/settings", get(settings::list).patch(settings::change))
        .route(
            "/v1/limits",
            get(settings::limits).put(settings::change_limits),
        )
        .route(
            "/v1/shares",
            get(shares::list)
                .post(shares::share)
                .delete(shares::unshare),
        )
        .route("/v1/links", get(shares::links))
        .route("/v1/links/qr", get(qr::image))
        .route("/v1/files/{name}", put(files::put))
        .route("/v1/gateway", get(gateway::url))
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
        .route("/v1/downloads/{what}/detail", get(downloads::detail))
        .route("/v1/downloads/{what}/followers", get(downloads::followers))
        .route("/v1/downloads/{what}/pause", post(downloads::pause))
        .route("/v1/downloads/{what}/resume", post(downloads::resume))
        .route("/v1/downloads/{what}/cancel", post(downloads::cancel))
        .route("/v1/downloads/{what}/order", put(downloads::put))
        .route("/v1/pause", post(downloads::pause_all))
        .route("/v1/resume", post(downloads::resume_all))
        .merge(page::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(app.into())
}

/// Only what the node counts, for those who have no token.
pub(super) fn metrics_only(node: Node) -> Router {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
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
