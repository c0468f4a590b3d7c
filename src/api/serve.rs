//! The API on a socket: bounded connections, each asked for the token.

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

/// Connections at once; others take the places of those that ask for nothing, or wait in the system's
/// queue. Each costs at most a request body and some buffers, so under 16 MiB in all.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// Answers that pages with a session are being given at once, at most, streams among them: commands
/// always find a place.
pub(super) const MAX_PAGE_CALLS: usize = 48;

/// How long a request's head may take, and a connection be idle: callers are on this host. Tests wait
/// for it to be over.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// How long whoever is sent an answer may take nothing of it: it holds memory meanwhile. Tests wait for
/// it to be over.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Serves `router` on `listener` to those who know `token`, and to pages that were opened by them.
///
/// Once `shutdown` is over it ends when nobody is connected any more: calls under way go on to
/// their end. Drop it to end them.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    token: Token,
    shutdown: impl Future<Output = ()>,
) {
    match listener.local_addr() {
        Ok(address) => {
            let access = Access::new(token, address, Sessions::new(address));
            serve_behind(access, listener, router, shutdown).await;
        }
        Err(error) => tracing::warn!(%error, "the API has no address"),
    }
}

/// The same, with `access` deciding who comes in.
pub(super) async fn serve_behind(
    access: Access,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    Server::new(access, listener, router).run(shutdown).await;
}

/// A router behind its door on a socket. It can run again after a panic.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    router: Router,
    ending: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(access: Access, listener: TcpListener, router: Router) -> Self {
        let (sender, ending) = watch::channel(false);
        let router = router.layer(Extension(ShutdownSignal(ending)));
        Self {
            listener,
            router: guarded(router, access),
            ending: sender,
        }
    }

    /// Serves as [`serve`] does.
    pub(super) async fn run(&self, shutdown: impl Future<Output = ()>) {
        let shutdown = async {
            shutdown.await;
            self.ending.send_replace(true);
        };
        accept_all(&self.listener, &self.router, "API", shutdown).await;
    }
}

/// Serves `router` on `listener` to everyone who reaches it, within the same bounds.
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

/// Whether the API is to end: then what has no end of its own ends.
#[derive(Clone, Debug)]
pub(super) struct ShutdownSignal(pub(super) watch::Receiver<bool>);

/// The router behind the door.
fn guarded(router: Router, access: Access) -> Router {
    let served = access.served();
    let places = Arc::new(Semaphore::new(MAX_PAGE_CALLS));
    let anonymous = Arc::new(Anonymous::default());
    let door = from_fn(move |mut request: Request, next: Next| {
        let (access, places) = (access.clone(), Arc::clone(&places));
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
                        Caller::Page => placed(request, next, places).await,
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
    router.layer(Extension(Served(served))).layer(door)
}

/// What the node says is neither kept by a browser, nor taken for something else, nor given to others.
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

/// The answer to a page, which has its place until it is sent or nobody reads it any more.
async fn placed(request: Request, next: Next, places: Arc<Semaphore>) -> Response {
    let Ok(place) = places.try_acquire_owned() else {
        let message = "pages are being answered in too many places at once";
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-calls", message);
        return refusal.retry_after(1).into_response();
    };
    let response = next.run(request).await;
    response.map(|body| Body::new(GuardedBody::new(body, place)))
}
