//! Accepts connections up to a limit, and evicts one when a new client needs its place.

use std::{
    collections::HashMap, convert::Infallible, future::Future, net::SocketAddr, pin::pin,
    sync::Arc, time::Duration,
};

use axum::response::Response;
use futures::future::select_all;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, sleep},
};

use super::{
    activity::{HEAD_START, Site, to_evict},
    body::GuardedBody,
    shared_activity::{ActiveRequest, SharedActivity},
    stream::with_write_timeout,
};

/// Bytes of the longest request head: an 8 KiB link in a query, and headers.
const MAX_HEAD_LEN: usize = 16 * 1024;

/// How long to pause after an accept failed, mostly for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often an accepted connection that waits checks for capacity.
const CAPACITY_INTERVAL: Duration = Duration::from_millis(20);

/// The limits of one listener.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Bounds {
    /// Open connections, at most.
    pub(in crate::api) connections: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub(in crate::api) head: Duration,
    /// How long a client may read nothing of a response.
    pub(in crate::api) send: Duration,
    /// The name of the listener in the log.
    pub(in crate::api) name: &'static str,
}

/// Answers the requests that reach `listeners` with `answer`. Once `shutdown` resolves, this
/// returns as soon as no connection has a request in progress.
pub(in crate::api) async fn accept_all<F: Future<Output = Response> + Send + 'static>(
    listeners: &[TcpListener],
    bounds: Bounds,
    answer: impl Fn(hyper::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = Connections::new(bounds);
    let mut waiting: Option<(TcpStream, Site)> = None;
    let mut shutdown = pin!(shutdown);
    let mut shutting_down = false;
    loop {
        if let Some((stream, site)) =
            waiting.take_if(|(_, site)| connections.ensure_capacity(*site))
        {
            connections.begin(stream, site, answer.clone());
        }
        if shutting_down {
            // An open page sends requests again and again, so idle connections are closed.
            connections.end_idle();
        }
        if shutting_down && connections.is_empty() && waiting.is_none() {
            return;
        }
        tokio::select! {
            () = &mut shutdown, if !shutting_down => shutting_down = true,
            () = connections.next_end(), if !connections.is_empty() => {}
            (stream, from) = accept(listeners, bounds.name), if waiting.is_none() => {
                waiting = Some((stream, Site::of(from.ip())));
            }
            () = sleep(CAPACITY_INTERVAL), if waiting.is_some() || shutting_down => {}
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
                tracing::debug!(%error, "could not accept a connection to the {name}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The open connections.
struct Connections {
    bounds: Bounds,
    tasks: JoinSet<()>,
    open: HashMap<Id, OpenConnection>,
}

struct OpenConnection {
    task: AbortHandle,
    site: Site,
    activity: Arc<SharedActivity>,
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

    /// Whether a connection from `site` may begin. At the limit, this evicts another if it can. An
    /// idle connection closes by itself a little later, unless a request has come meanwhile.
    fn ensure_capacity(&mut self, site: Site) -> bool {
        if self.open.len() < self.bounds.connections {
            return true;
        }
        let open = self.open.iter();
        let open: Vec<_> = open
            .map(|(id, open)| (*id, open.site, *open.activity.lock()))
            .collect();
        let now = Instant::now();
        let Some(evicted) = to_evict(&open, site, now) else {
            return false;
        };
        if let Some(open) = self.open.get(&evicted)
            && open.activity.lock().idle_for(now).is_some()
        {
            open.activity.evict();
            return false;
        }
        if let Some(open) = self.open.remove(&evicted) {
            open.task.abort();
        }
        true
    }

    /// Ends the connections that have been idle for a while.
    fn end_idle(&mut self) {
        let now = Instant::now();
        self.open.retain(|_, open| {
            let idle = open.activity.lock().idle_for(now);
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
        let activity = SharedActivity::new();
        let run = connection(stream, Arc::clone(&activity), self.bounds, answer);
        let task = self.tasks.spawn(run);
        self.open.insert(
            task.id(),
            OpenConnection {
                task,
                site,
                activity,
            },
        );
    }

    async fn next_end(&mut self) {
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
    activity: Arc<SharedActivity>,
    bounds: Bounds,
    answer: impl Fn(hyper::Request<Incoming>) -> F + Send + Sync + 'static,
) {
    let _ = stream.set_nodelay(true);
    let stream = with_write_timeout(stream, Arc::clone(&activity), bounds.send);
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let request_is_active = ActiveRequest::new(&counted);
        let answer = answer(request);
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| GuardedBody::new(body, request_is_active)))
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
            // Received data is read first: it may be a request.
            biased;
            ended = &mut served => break ended,
            () = activity.evicted() => {
                if activity.lock().idle_for(Instant::now()).is_some() {
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the {} ended early", bounds.name);
    }
}
