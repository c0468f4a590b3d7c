//! The listener of links for browsers, from the first link to the last one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use super::{
    answer::Answerer,
    links::{Expiry, Grant, Link, MAX_LINKS, Received},
    registry::WebLinks,
};
use crate::{
    api::connections::{self, Bounds},
    content::Hash,
    node::{Node, unix_now_ms},
};

/// Open connections, at most. At the limit, a new one evicts one that is idle or slow, or waits in
/// the queue of the system. Each costs at most two pieces of 512 KiB, and some buffers.
const MAX_CONNECTIONS: usize = 64;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing of a response.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an address may be in use before that is an error.
const REOPEN_PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two attempts to listen there.
const REOPEN_INTERVAL: Duration = Duration::from_millis(50);

/// The name of the task in the list of duties.
const DUTY: &str = "web-links";

/// The links for browsers, and their listener. A handle: clones share them.
#[derive(Clone, Default)]
pub(in crate::api) struct WebService {
    links: WebLinks,
    /// The address of the listener, while there is one. Locked while it is opened.
    bound: Arc<Mutex<Option<SocketAddr>>>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    #[error(
        "this node has {} links for browsers, and no more at a time",
        MAX_LINKS
    )]
    TooMany,
    #[error("links for browsers cannot be served at {listen}: {source}")]
    Listen {
        listen: SocketAddr,
        source: io::Error,
    },
}

impl WebService {
    /// Adds a link that is valid for `lifetime`, and listens at `listen` unless there is a listener
    /// already. Returns its address, too.
    pub(super) async fn add(
        &self,
        node: &Node,
        listen: SocketAddr,
        (grant, received): (Grant, Received),
        lifetime: Option<Duration>,
    ) -> Result<(Link, SocketAddr), AddError> {
        let expires = lifetime.map(|lifetime| Expiry {
            at: Instant::now() + lifetime,
            unix_ms: unix_now_ms().saturating_add(lifetime.as_millis() as u64),
        });
        let mut bound = self.bound.lock().await;
        let link = self.links.add(grant, received, expires);
        let link = link.ok_or(AddError::TooMany)?;
        if let Some(bound) = *bound {
            return Ok((link, bound));
        }
        match open(listen).await {
            Ok((listener, address)) => {
                *bound = Some(address);
                self.serve(node.clone(), listener, address);
                Ok((link, address))
            }
            Err(source) => {
                self.links.remove(&link.id);
                Err(AddError::Listen { listen, source })
            }
        }
    }

    /// All links, and the address of the listener.
    pub(super) async fn links(&self) -> (Vec<Link>, Option<SocketAddr>) {
        let bound = *self.bound.lock().await;
        (self.links.list(), bound)
    }

    /// Ends a link. Returns it, if it exists.
    pub(super) fn remove(&self, id: &str) -> Option<Link> {
        self.links.remove(id)
    }

    /// Ends the links to this content.
    pub(in crate::api) fn remove_content(&self, hash: &Hash) {
        self.links.remove_content(hash);
    }

    /// Serves until there is no link any more.
    fn serve(&self, node: Node, listener: TcpListener, address: SocketAddr) {
        let (service, listener) = (self.clone(), Arc::new(listener));
        let duties = node.duties().clone();
        duties.run_single(DUTY, move || {
            let (service, node) = (service.clone(), node.clone());
            let listener = Arc::clone(&listener);
            async move {
                service.run(node, &listener, address.port()).await;
                Ok(())
            }
        });
    }

    async fn run(&self, node: Node, listener: &TcpListener, port: u16) {
        let bounds = Bounds {
            connections: MAX_CONNECTIONS,
            head: HEAD_TIMEOUT,
            send: SEND_TIMEOUT,
            name: "links for browsers",
        };
        let answerer = Arc::new(Answerer::new(node, self.links.clone(), port));
        let answer = move |request| {
            let answerer = Arc::clone(&answerer);
            async move { answerer.answer(request).await }
        };
        connections::accept_all(
            std::slice::from_ref(listener),
            bounds,
            answer,
            self.last_link_ended(),
        )
        .await;
    }

    /// Waits until there is no link any more, and gives up the address then.
    async fn last_link_ended(&self) {
        let mut changes = self.links.changes();
        loop {
            let next = self.links.expire();
            let mut bound = self.bound.lock().await;
            if self.links.is_empty() {
                *bound = None;
                return;
            }
            drop(bound);
            let expiry = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as this.
                _ = changes.changed() => {}
                () = expiry => {}
            }
        }
    }
}

/// Listens at an address. The listener of earlier links may take a moment to end.
async fn open(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let deadline = Instant::now() + REOPEN_PATIENCE;
    loop {
        match TcpListener::bind(listen).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                sleep(REOPEN_INTERVAL).await;
            }
            opened => {
                let listener = opened?;
                let address = listener.local_addr()?;
                return Ok((listener, address));
            }
        }
    }
}
