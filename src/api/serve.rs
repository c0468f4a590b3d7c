//! The API on a socket: bounded connections, each asked for the token.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
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
    sync::{Semaphore, watch},
    task::{AbortHandle, Id, JoinSet},
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use super::{
    Token,
    access::{Access, Caller},
    error::ApiError,
    sessions::Sessions,
    status::Served,
};

/// Connections at once; others take the places of those that ask for nothing, or wait in the system's
/// queue. Each costs at most a request body and some buffers, so under 16 MiB in all.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// How long a connection keeps its place at least: callers are on this host, and ask at once.
const HEAD_START: Duration = Duration::from_millis(500);

/// Answers that pages are being given at once, at most, streams among them: commands always find a
/// place.
pub(super) const MAX_PAGE_CALLS: usize = 48;

/// How long a request's head may take, and a connection be idle: callers are on this host. Tests wait
/// for it to be over.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// How long whoever is sent an answer may take nothing of it: it holds memory meanwhile. Tests wait for
/// it to be over.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Bytes of the longest request head: an 8 KiB link in a query, and headers.
const MAX_HEAD_LEN: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted: for lack of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
            let access = Access::new(token, address, Sessions::default());
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
        let router = router.layer(Extension(Ending(ending)));
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
        accept_all(&self.listener, &self.router, shutdown).await;
    }
}

/// Serves `router` on `listener` to everyone who reaches it, within the same bounds.
pub(super) async fn accept_all(
    listener: &TcpListener,
    router: &Router,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = Connections::default();
    let mut waiting = None;
    let mut shutdown = pin!(shutdown);
    let mut ending = false;
    loop {
        if let Some(stream) = waiting.take_if(|_| connections.make_room()) {
            connections.begin(stream, router);
        }
        if ending {
            // Whoever asks for nothing is not waited for: a page that is open asks again and again.
            connections.end_idle();
        }
        if ending && connections.is_empty() && waiting.is_none() {
            return;
        }
        tokio::select! {
            () = &mut shutdown, if !ending => ending = true,
            () = connections.one_ends(), if !connections.is_empty() => {}
            stream = accept(listener), if waiting.is_none() => waiting = Some(stream),
            () = sleep(HEAD_START), if waiting.is_some() || ending => {}
        }
    }
}

/// Whether the API is to end: then what has no end of its own ends.
#[derive(Clone, Debug)]
pub(super) struct Ending(pub(super) watch::Receiver<bool>);

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the API was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that there are.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, (AbortHandle, Arc<Idle>)>,
}

/// Since when a connection waits for its next request; none while one is being answered.
#[derive(Debug)]
struct Idle(Mutex<Option<Instant>>);

impl Idle {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Connections {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether there is a place for another. Where all are taken, the one that has asked for nothing for
    /// the longest time loses its own.
    fn make_room(&mut self) -> bool {
        if self.open.len() < MAX_CONNECTIONS {
            return true;
        }
        let open = self.open.iter();
        let idle = open.filter_map(|(id, (_, idle))| Some((idle.since()?, *id)));
        let Some((since, id)) = idle.min_by_key(|(since, _)| *since) else {
            return false;
        };
        if since.elapsed() < HEAD_START {
            return false;
        }
        if let Some((task, _)) = self.open.remove(&id) {
            task.abort();
        }
        true
    }

    /// Ends those that have asked for nothing for a while.
    fn end_idle(&mut self) {
        self.open.retain(|_, (task, idle)| {
            let is_idle = idle
                .since()
                .is_some_and(|since| since.elapsed() >= HEAD_START);
            if is_idle {
                task.abort();
            }
            !is_idle
        });
    }

    fn begin(&mut self, stream: TcpStream, router: &Router) {
        let idle = Arc::new(Idle(Mutex::new(Some(Instant::now()))));
        let run = connection(stream, Arc::clone(&idle), router.clone());
        let task = self.tasks.spawn(run);
        self.open.insert(task.id(), (task, idle));
    }

    async fn one_ends(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.open.remove(&ended);
    }
}

async fn connection(stream: TcpStream, idle: Arc<Idle>, router: Router) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(READ_TIMEOUT));
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let busy = Busy::new(&idle);
        let answer = router.clone().oneshot(request);
        async move {
            let Ok(response) = answer.await;
            Ok::<_, Infallible>(response.map(|body| Holding::new(body, busy)))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the API ended early");
    }
}

/// A request is being answered, until this is dropped.
struct Busy(Arc<Idle>);

impl Busy {
    fn new(idle: &Arc<Idle>) -> Self {
        idle.set(None);
        Self(Arc::clone(idle))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
    }
}

/// The router behind the door.
fn guarded(router: Router, access: Access) -> Router {
    let served = access.served();
    let places = Arc::new(Semaphore::new(MAX_PAGE_CALLS));
    let door = from_fn(move |mut request: Request, next: Next| {
        let (access, places) = (access.clone(), Arc::clone(&places));
        async move {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let is_data = uri.path().starts_with("/v1/");
            let mut response: Response = match access.check(method, uri, headers) {
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
    response.map(|body| Body::new(Holding::new(body, place)))
}

/// A body, and what it holds until it is sent or nobody reads it any more.
struct Holding<T> {
    body: Body,
    _held: T,
}

impl<T> Holding<T> {
    fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Unpin> hyper::body::Body for Holding<T> {
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
