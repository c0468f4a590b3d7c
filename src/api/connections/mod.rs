//! The connections of a listener: how many there are at once, and who yields a place to whom.
//!
//! Owns the sockets of the API, the metrics and the gateway. Where all places are taken, a caller that
//! waits takes that of a connection that is idle, or that reads too little of its answer
//! (`activity`). Knows nothing of what is asked for. A failure ends one connection, and is logged.

mod activity;
mod stream;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use futures::future::select_all;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, sleep},
};

use activity::{Activity, HEAD_START, Site, yielding};
use stream::PatientStream;

/// Bytes of the longest request head: an 8 KiB link in a query, and headers.
const MAX_HEAD_LEN: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted: for lack of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often those who wait look for a place.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How much one listener takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at once.
    pub(super) connections: usize,
    /// How long a request's head may take, and a connection be idle.
    pub(super) head: Duration,
    /// How long a client may take nothing of what it is sent.
    pub(super) send: Duration,
    /// What is listened for, as the log calls it.
    pub(super) name: &'static str,
}

/// Answers the requests that come to `listeners` by `answer`. Once `shutdown` is over it ends when no
/// connection has a request under way.
pub(super) async fn accept_all<F: Future<Output = Response> + Send + 'static>(
    listeners: &[TcpListener],
    bounds: Bounds,
    answer: impl Fn(hyper::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = Connections::new(bounds);
    let mut waiting: Option<(TcpStream, Site)> = None;
    let mut shutdown = pin!(shutdown);
    let mut ending = false;
    loop {
        if let Some((stream, site)) = waiting.take_if(|(_, site)| connections.make_room(*site)) {
            connections.begin(stream, site, answer.clone());
        }
        if ending {
            // Idle connections are not waited for: an open page asks again and again.
            connections.end_idle();
        }
        if ending && connections.is_empty() && waiting.is_none() {
            return;
        }
        tokio::select! {
            () = &mut shutdown, if !ending => ending = true,
            () = connections.one_ends(), if !connections.is_empty() => {}
            (stream, from) = accept(listeners, bounds.name), if waiting.is_none() => {
                waiting = Some((stream, Site::of(from.ip())));
            }
            () = sleep(LOOK_INTERVAL), if waiting.is_some() || ending => {}
        }
    }
}

/// The next connection.
async fn accept(listeners: &[TcpListener], name: &str) -> (TcpStream, SocketAddr) {
    loop {
        let accepts = listeners.iter().map(|listener| Box::pin(listener.accept()));
        match select_all(accepts).await.0 {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection to the {name} was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that there are.
struct Connections {
    bounds: Bounds,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
}

struct Open {
    task: AbortHandle,
    site: Site,
    noted: Arc<SharedActivity>,
}

impl Connections {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            tasks: JoinSet::new(),
            open: HashMap::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether there is a place for a caller from `site`; where all are taken, one may yield its own. One that
    /// asks for nothing is told to go, and does unless a request has come meanwhile.
    fn make_room(&mut self, site: Site) -> bool {
        if self.open.len() < self.bounds.connections {
            return true;
        }
        let open = self.open.iter();
        let open: Vec<_> = open
            .map(|(id, open)| (*id, open.site, *open.noted.lock()))
            .collect();
        let now = Instant::now();
        let Some(yields) = yielding(&open, site, now) else {
            return false;
        };
        if let Some(open) = self.open.get(&yields)
            && open.noted.lock().idle_for(now).is_some()
        {
            open.noted.yields.notify_one();
            return false;
        }
        if let Some(open) = self.open.remove(&yields) {
            open.task.abort();
        }
        true
    }

    /// Ends those that have asked for nothing for a while.
    fn end_idle(&mut self) {
        let now = Instant::now();
        self.open.retain(|_, open| {
            let idle = open.noted.lock().idle_for(now);
            let is_idle = idle.is_some_and(|idle| idle >= HEAD_START);
            if is_idle {
                open.task.abort();
            }
            !is_idle
        });
    }

    fn begin<F: Future<Output = Response> + Send + 'static>(
        &mut self,
        stream: TcpStream,
        site: Site,
        answer: impl Fn(hyper::Request<Incoming>) -> F + Send + Sync + 'static,
    ) {
        let noted = SharedActivity::new();
        let run = connection(stream, Arc::clone(&noted), self.bounds, answer);
        let task = self.tasks.spawn(run);
        self.open.insert(task.id(), Open { task, site, noted });
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

async fn connection<F: Future<Output = Response> + Send + 'static>(
    stream: TcpStream,
    noted: Arc<SharedActivity>,
    bounds: Bounds,
    answer: impl Fn(hyper::Request<Incoming>) -> F + Send + Sync + 'static,
) {
    let _ = stream.set_nodelay(true);
    let stream = PatientStream::new(stream, Arc::clone(&noted), bounds.send);
    let counted = Arc::clone(&noted);
    let service = service_fn(move |request| {
        let busy = Busy::new(&counted);
        let answer = answer(request);
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, busy)))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = loop {
        tokio::select! {
            // What has come is read first: it may be a request.
            biased;
            ended = &mut served => break ended,
            () = noted.yields.notified() => {
                if noted.lock().idle_for(Instant::now()).is_some() {
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the {} ended early", bounds.name);
    }
}

/// What a connection does, noted by those who carry it.
#[derive(Debug)]
struct SharedActivity {
    activity: Mutex<Activity>,
    /// Told when the place is to be another's.
    yields: Notify,
}

impl SharedActivity {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            activity: Mutex::new(Activity::new(Instant::now())),
            yields: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock()
    }

    fn took(&self, bytes: usize) {
        self.lock().took(bytes as u64, Instant::now());
    }

    fn stuck(&self) {
        self.lock().stuck(Instant::now());
    }
}

/// A request is being answered, until this is dropped.
struct Busy(Arc<SharedActivity>);

impl Busy {
    fn new(noted: &Arc<SharedActivity>) -> Self {
        noted.lock().begin(Instant::now());
        Self(Arc::clone(noted))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().end(Instant::now());
    }
}

/// A body, and what it holds until it is sent or its reader is gone.
pub(super) struct GuardedBody<T> {
    body: Body,
    _held: T,
}

impl<T> GuardedBody<T> {
    pub(super) fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Unpin> hyper::body::Body for GuardedBody<T> {
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
