//! The metrics of the node for Prometheus: as a route of the API, or on a socket of their own.

use std::{future::pending, io, net::SocketAddr};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{
    access::CommandOnly,
    error::ApiError,
    fallback::{not_allowed, unknown},
    host::is_loopback_name,
    openapi::Refused,
    serve::accept_all,
};
use crate::node::Node;

/// The media type of OpenMetrics, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of the node, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics",
    responses(
        (
            status = 200, description = "Done",
            body = String, content_type = "application/openmetrics-text",
        ),
        Refused,
    ),
)]
pub(super) async fn metrics(
    _: CommandOnly,
    State(node): State<Node>,
) -> Result<Response, ApiError> {
    let text = node.metrics().await?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Opens a socket at `listen` that serves only `/metrics` of `node`, without a token. It rejects
/// requests from web pages. Returns its address and its server.
///
/// # Errors
/// The error of listening at the address.
pub async fn serve_metrics(
    node: Node,
    listen: SocketAddr,
) -> io::Result<(SocketAddr, MetricsServer)> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let reject_pages = from_fn(move |request: Request, next: Next| async move {
        if is_from_page(address, request.headers()) {
            let message = "requests from web pages are rejected";
            ApiError::new(StatusCode::FORBIDDEN, "forbidden", message).into_response()
        } else {
            next.run(request).await
        }
    });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(node)
        .layer(reject_pages);
    Ok((address, MetricsServer { listener, router }))
}

/// Serves metrics on a socket of their own.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    router: Router,
}

impl MetricsServer {
    /// Serves until dropped. Can be called again after a panic.
    pub async fn run(&self) {
        accept_all(&self.listener, &self.router, "metrics", pending()).await;
    }
}

/// Whether a web page sent this request: it has an `Origin`, or its `Host` was rebound to loopback.
/// Beyond loopback, this host may have any name, and everyone who reaches the socket may read.
fn is_from_page(served: SocketAddr, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    headers.contains_key(ORIGIN)
        || (served.ip().is_loopback() && !host.is_some_and(is_loopback_name))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn pages_cannot_read_through_a_rebound_name() {
        let headers = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            headers
        };
        let [here, everywhere] =
            ["127.0.0.1:9464", "0.0.0.0:9464"].map(|address| address.parse().unwrap());
        for host in ["127.0.0.1:9464", "localhost:9464", "[::1]:9464"] {
            assert!(!is_from_page(here, &headers(host)), "{host}");
        }
        for host in ["rebound.example:9464", "192.0.2.1:9464", ""] {
            assert!(is_from_page(here, &headers(host)), "{host}");
        }
        assert!(is_from_page(here, &HeaderMap::new()));
        let mut headers = headers("node-a:9464");
        assert!(!is_from_page(everywhere, &headers));
        headers.insert(ORIGIN, HeaderValue::from_static("null"));
        assert!(is_from_page(everywhere, &headers));
    }
}
