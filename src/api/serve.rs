//! The API on a socket: bounded connections, each asked for the token.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};
use tower::ServiceExt;

use super::{Token, access::Access, status::Served};

/// Connections at once; others wait in the system's queue. Each costs at most a request body and
/// some buffers, so under 8 MiB in all.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// How long a request's head may take, and a connection be idle: callers are on this host. Tests wait
/// for it to be over.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Bytes of the longest request head: an 8 KiB link in a query, and headers.
const MAX_HEAD_LEN: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted: for lack of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` to those who know `token`.
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
        Ok(address) => accept_all(listener, guarded(router, token, address), shutdown).await,
        Err(error) => tracing::warn!(%error, "the API has no address"),
    }
}

/// Serves `router` on `listener` to everyone who reaches it, within the same bounds.
pub(super) async fn accept_all(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut ending = false;
    while !ending || !connections.is_empty() {
        tokio::select! {
            () = &mut shutdown, if !ending => ending = true,
            Some(_) = connections.join_next() => {}
            (stream, place) = accept(&listener, &places) => {
                connections.spawn(connection(stream, place, router.clone()));
            }
        }
    }
}

/// The next connection, and the place it takes.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a place in the end.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::debug!(%error, "a connection to the API was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, _place: Option<OwnedSemaphorePermit>, router: Router) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the API ended early");
    }
}

/// The router behind the door.
fn guarded(router: Router, token: Token, served: std::net::SocketAddr) -> Router {
    let access = Access { token, served };
    let door = from_fn(move |request: Request, next: Next| {
        let passed = access.check(request.uri(), request.headers());
        async move {
            let response: Response = match passed {
                Ok(()) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            };
            Ok::<_, Infallible>(response)
        }
    });
    router.layer(Extension(Served(served))).layer(door)
}
