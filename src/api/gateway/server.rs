//! The gateway's sockets: who is let in, how many at a time, and who is too slow.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, Uri, header::HOST, uri::Authority},
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, Sleep, sleep},
};

use super::{KeyError, Links, answer::Content, headers, key::Key, page, port::KeptPort};
use crate::node::Node;

/// Connections at once; others wait in the system's queue. Each costs two pieces of 512 KiB at most, and
/// some buffers.
const MAX_CONNECTIONS: usize = 64;

/// How long a request's head may take, and a connection be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what it is sent. A player that is paused does not, and comes
/// back when it is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of the longest request head.
const MAX_HEAD_LEN: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted: for lack of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many ports are looked at for one that is free for IPv4 and IPv6.
const PORT_TRIES: usize = 16;

/// How a gateway runs.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where it listens. At 127.0.0.1 it does at the same port of `[::1]`, too, where there is one, as
    /// both are `localhost`.
    pub listen: SocketAddr,
    /// How long there may be no source of what is not here.
    pub timeout: Duration,
    /// Bytes that are fetched ahead of each reader.
    pub read_ahead: u64,
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    listeners: Vec<TcpListener>,
    links: Links,
    key: Key,
    address: SocketAddr,
    settings: GatewaySettings,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address cannot be listened at.
    #[error("the gateway cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Gateway {
    /// Listens. Its key is in `folder`, whose lock the caller holds.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]; then nothing listens.
    pub async fn open(folder: &Path, settings: GatewaySettings) -> Result<Self, GatewayError> {
        let listen = settings.listen;
        let key = Key::load_or_create(folder)?;
        let unusable = |source| GatewayError::Listen { listen, source };
        let port = KeptPort::open(folder);
        let listeners = bind_again(listen, &port).await.map_err(unusable)?;
        let address = listeners[0].local_addr().map_err(unusable)?;
        port.keep(address.port());
        Ok(Self {
            listeners,
            links: Links::new(key.clone(), address),
            key,
            address,
            settings,
        })
    }

    /// What makes URLs of it.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// Serves what `node` has or can get, until dropped. It can run again after a panic.
    pub async fn serve(&self, node: Node) {
        let content = Arc::new(Content {
            node,
            key: self.key.clone(),
            timeout: self.settings.timeout,
            read_ahead: self.settings.read_ahead,
        });
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let port = self.address.port();
        let mut connections = JoinSet::new();
        loop {
            let accepts = self
                .listeners
                .iter()
                .map(|listener| Box::pin(accept(listener)));
            tokio::select! {
                Some(_) = connections.join_next() => {}
                (stream, place) = async {
                    // The semaphore is never closed, so there always is a place in the end.
                    let place = Arc::clone(&places).acquire_owned().await.ok();
                    (futures::future::select_all(accepts).await.0, place)
                } => {
                    connections.spawn(connection(stream, place, Arc::clone(&content), port));
                }
            }
        }
    }
}

/// Listens at `listen`; if any port will do, at the one that it was the last time, which URLs name.
async fn bind_again(listen: SocketAddr, last: &KeptPort) -> io::Result<Vec<TcpListener>> {
    if listen.port() == 0
        && let Some(port) = last.last()
        && let Ok(listeners) = bind(SocketAddr::new(listen.ip(), port)).await
    {
        return Ok(listeners);
    }
    bind(listen).await
}

/// Listens at an address; for all of `localhost`, if it is IPv4's.
async fn bind(listen: SocketAddr) -> io::Result<Vec<TcpListener>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let first = TcpListener::bind(listen).await?;
        let is_localhost = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::V4);
        if !is_localhost.contains(&listen.ip()) {
            return Ok(vec![first]);
        }
        let port = first.local_addr()?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(second) => return Ok(vec![first, second]),
            // Somebody else's: they would be sent our secrets by whoever calls that `localhost`.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if listen.port() != 0 || tries >= PORT_TRIES {
                    return Err(error);
                }
            }
            // This host has no IPv6.
            Err(_) => return Ok(vec![first]),
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the gateway was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    content: Arc<Content>,
    port: u16,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let content = Arc::clone(&content);
        async move {
            let (request, _) = request.into_parts();
            let response = match is_us(&request.uri, &request.headers, port) {
                true => content.answer(&request).await,
                false => misdirected(),
            };
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the gateway ended early");
    }
}

/// Whether the request names us: exactly one host, `localhost` or an address no rebinding can fake.
fn is_us(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next(), uri.authority()) {
        (Some(host), None, None) => host.to_str().ok(),
        _ => None,
    };
    let authority: Option<Authority> = host.and_then(|host| host.parse().ok());
    authority.is_some_and(|authority| {
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_ours = name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
        is_ours && authority.port_u16().unwrap_or(80) == port && !authority.as_str().contains('@')
    })
}

fn misdirected() -> Response<Body> {
    let text = "The Host header names another host or port.";
    let status = StatusCode::MISDIRECTED_REQUEST;
    let mut response = page::failure(status, "Not here", text);
    headers::common(response.headers_mut());
    response
}

/// A stream that ends when the other side takes nothing for [`SEND_TIMEOUT`].
struct Patient<S> {
    stream: S,
    /// When to give up, while something is to be sent and cannot be.
    until: Pin<Box<Sleep>>,
    is_stuck: bool,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            until: Box::pin(sleep(SEND_TIMEOUT)),
            is_stuck: false,
        }
    }

    /// Takes what became of an attempt to send.
    fn take<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.is_stuck = false;
            return sent;
        }
        if !self.is_stuck {
            self.is_stuck = true;
            self.until.as_mut().reset(Instant::now() + SEND_TIMEOUT);
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write(context, data);
        self.take(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write_vectored(context, data);
        self.take(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = pin!(&mut self.stream).poll_flush(context);
        self.take(context, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn only_our_own_names_are_taken() {
        let is_host = |host: &[u8], port| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_bytes(host).unwrap());
            is_us(&Uri::from_static("/"), &headers, port)
        };
        for host in [
            "localhost:7",
            "LocalHost:7",
            "127.0.0.1:7",
            "[::1]:7",
            "192.0.2.1:7",
        ] {
            assert!(is_host(host.as_bytes(), 7), "{host}");
        }
        assert!(is_host(b"localhost", 80) && !is_host(b"localhost", 7));
        for host in [
            "localhost:8",
            "localhost.:7",
            "localhost.evil.example:7",
            "evil.example:7",
            "127.1:7",
            "localhost:7@evil.example",
            "x@localhost:7",
            "",
            ":7",
            "0x7f.1:7",
            "localhost:07x",
        ] {
            assert!(!is_host(host.as_bytes(), 7), "{host}");
        }
        assert!(!is_host(b"localhost\xff:7", 7));
        assert!(!is_us(&Uri::from_static("/"), &HeaderMap::new(), 7), "none");
        let mut two = HeaderMap::new();
        two.append(HOST, HeaderValue::from_static("localhost:7"));
        assert!(
            !is_us(&Uri::from_static("http://localhost:7/"), &two, 7),
            "twice"
        );
        two.append(HOST, HeaderValue::from_static("localhost:7"));
        assert!(!is_us(&Uri::from_static("/"), &two, 7), "twice");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped_and_one_that_takes_little_is_not() {
        let (ours, mut theirs) = duplex(1);
        let mut ours = Patient::new(ours);
        let sending = tokio::spawn(async move {
            ours.write_all(&[0; 5]).await.unwrap();
            ours.write_all(&[0; 5]).await.unwrap_err().kind()
        });
        for _ in 0..4 {
            sleep(SEND_TIMEOUT / 2).await;
            theirs.read_u8().await.unwrap();
        }
        let began = Instant::now();
        assert_eq!(sending.await.unwrap(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= SEND_TIMEOUT);
    }

    #[tokio::test]
    async fn it_listens_at_all_that_is_localhost() {
        let listeners = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        for listener in &listeners {
            assert_eq!(listener.local_addr().unwrap().port(), port);
        }
        let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
        assert_eq!(listeners.len(), 1 + usize::from(has_ipv6));
        // And nothing else of that name is there.
        TcpStream::connect(("localhost", port)).await.unwrap();
        // A port that is taken on one side is not half used.
        if has_ipv6 {
            let free = TcpListener::bind("[::1]:0").await.unwrap();
            let taken = SocketAddr::from((Ipv4Addr::LOCALHOST, free.local_addr().unwrap().port()));
            assert!(bind(taken).await.is_err());
        }
    }
}
