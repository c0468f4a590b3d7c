//! The API on a socket: limited connections, and access control for every request.

use std::{convert::Infallible, future::Future, slice, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

use super::{
    Token,
    access::{Access, Caller},
    anonymous::Anonymous,
    connections::{self, Bounds, GuardedBody},
    error::ApiError,
    sessions::Sessions,
    status::Served,
};

/// Open connections, at most. At the limit, a new one evicts an idle one, or waits in the queue of
/// the system. Each costs at most a request body and some buffers, so all cost less than 16 MiB.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// Responses, streams included, that pages with a session receive at the same time, at most. So
/// commands always find a free connection.
pub(super) const MAX_PAGE_CALLS: usize = 48;

/// How long the head of a request may take, and how long a connection may be idle. Callers are on
/// this host. Tests wait for this time-out.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// How long a client may read nothing of a response, which holds memory meanwhile. Tests wait for
/// this time-out.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Serves `router` on `listener` to commands that know `token`, and to pages that they opened.
///
/// Once `shutdown` resolves, this returns as soon as all requests in progress are complete. Drop it
/// to abort them.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    token: Token,
    shutdown: impl Future<Output = ()>,
) {
    match listener.local_addr() {
        Ok(address) => {
            let access = Access::new(token, address, Sessions::new(address));
            serve_with(access, listener, router, shutdown).await;
        }
        Err(error) => {
            tracing::warn!(%error, "could not read the address of the API: it is not served");
        }
    }
}

/// Serves with the given access control.
pub(super) async fn serve_with(
    access: Access,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    Server::new(access, listener, router).run(shutdown).await;
}

/// A router with access control on a socket. Can run again after a panic.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    router: Router,
    shutdown: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(access: Access, listener: TcpListener, router: Router) -> Self {
        let (sender, shutdown) = watch::channel(false);
        let router = router.layer(Extension(ShutdownSignal(shutdown)));
        Self {
            listener,
            router: with_access_control(router, access),
            shutdown: sender,
        }
    }

    /// Serves as [`serve`] does.
    pub(super) async fn run(&self, shutdown: impl Future<Output = ()>) {
        let shutdown = async {
            shutdown.await;
            self.shutdown.send_replace(true);
        };
        accept_all(&self.listener, &self.router, "API", shutdown).await;
    }
}

/// Serves `router` on `listener` within the same limits, without access control.
pub(super) async fn accept_all(
    listener: &TcpListener,
    router: &Router,
    name: &'static str,
    shutdown: impl Future<Output = ()>,
) {
    let bounds = Bounds {
        connections: MAX_CONNECTIONS,
        head: HEAD_TIMEOUT,
        send: READ_TIMEOUT,
        name,
    };
    let router = router.clone();
    let answer = move |request| {
        let answer = router.clone().oneshot(request);
        async {
            let Ok(response) = answer.await;
            response
        }
    };
    connections::accept_all(slice::from_ref(listener), bounds, answer, shutdown).await;
}

/// Whether the API shuts down. Responses without an end of their own end then.
#[derive(Clone, Debug)]
pub(super) struct ShutdownSignal(pub(super) watch::Receiver<bool>);

/// Adds access control to the router.
fn with_access_control(router: Router, access: Access) -> Router {
    let served = access.served();
    let permits = Arc::new(Semaphore::new(MAX_PAGE_CALLS));
    let anonymous = Arc::new(Anonymous::default());
    let access_control = from_fn(move |mut request: Request, next: Next| {
        let (access, permits) = (access.clone(), Arc::clone(&permits));
        let anonymous = Arc::clone(&anonymous);
        async move {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let is_data = uri.path().starts_with("/v1/");
            let mut response: Response = match access.check(method, uri, headers) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    request.extensions_mut().insert(access);
                    match caller {
                        Caller::Command => next.run(request).await,
                        Caller::Page => answer_page(request, next, permits).await,
                        Caller::Anonymous => anonymous.answer(next.run(request)).await,
                    }
                }
                Err(refusal) => refusal.into_response(),
            };
            if is_data {
                keep_private(response.headers_mut());
            }
            Ok::<_, Infallible>(response)
        }
    });
    router
        .layer(Extension(Served(served)))
        .layer(access_control)
}

/// Tells browsers not to cache the response, not to guess its type, and not to give it to other
/// origins.
fn keep_private(headers: &mut HeaderMap) {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The response to a page. It holds a permit until it is sent or the client disconnects.
async fn answer_page(request: Request, next: Next, permits: Arc<Semaphore>) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        let message = "too many requests of pages are in progress: close a page, or try again";
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-calls", message);
        return refusal.retry_after(1).into_response();
    };
    let response = next.run(request).await;
    response.map(|body| Body::new(GuardedBody::new(body, permit)))
}
