//! The API on a socket: bounded connections, each asked for the token.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use hyper::{
    body::{Frame, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};
use tower::ServiceExt;

use super::{
    Token,
    access::{Access, Caller},
    error::ApiError,
    status::Served,
};

/// Connections at once; others wait in the system's queue. Each costs at most a request body and
/// some buffers, so under 8 MiB in all.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// Answers that pages are being given at once, at most, streams among them: commands always find a
/// place.
pub(super) const MAX_PAGE_CALLS: usize = 48;

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
    let router = match listener.local_addr() {
        Ok(address) => guarded(router, token, address),
        Err(error) => return tracing::warn!(%error, "the API has no address"),
    };
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
    let access = Access::new(token, served);
    let places = Arc::new(Semaphore::new(MAX_PAGE_CALLS));
    let door = from_fn(move |mut request: Request, next: Next| {
        let (access, places) = (access.clone(), Arc::clone(&places));
        async move {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let response: Response = match access.check(method, uri, headers) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    request.extensions_mut().insert(access);
                    match caller {
                        Caller::Command => next.run(request).await,
                        Caller::Page | Caller::Anybody => placed(request, next, places).await,
                    }
                }
                Err(refusal) => refusal.into_response(),
            };
            Ok::<_, Infallible>(response)
        }
    });
    router.layer(Extension(Served(served))).layer(door)
}

/// The answer to a page, which has its place until it is sent or nobody reads it any more.
async fn placed(request: Request, next: Next, places: Arc<Semaphore>) -> Response {
    let Ok(place) = places.try_acquire_owned() else {
        let message = "pages are being answered in too many places at once";
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-calls", message);
        return refusal.retry_after(1).into_response();
    };
    let response = next.run(request).await;
    response.map(|body| {
        Body::new(Placed {
            body,
            _place: place,
        })
    })
}

/// A body, and the place that it takes until it is sent.
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
