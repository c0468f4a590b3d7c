//! The sockets of the gateway, their limits, and the check of the `Host` header.

use std::{
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, Response, StatusCode, Uri, header::HOST, uri::Authority},
};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{
    GatewayUrls, KeyError,
    answer::{Contents, Responder},
    headers, html,
    key::Key,
    saved_port::SavedPort,
};
use crate::{
    api::connections::{self, Bounds},
    node::Node,
};

/// Open connections, at most. At the limit, a new one evicts one that is idle or reads too slowly,
/// or waits in the queue of the system. Each costs at most two pieces of 512 KiB, and some buffers.
const MAX_CONNECTIONS: usize = 64;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may read nothing of a response while no other client needs its connection. A
/// paused player reads nothing, and reconnects after it was disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// How many ports are tried to find one that is free for IPv4 and IPv6.
const PORT_TRIES: usize = 16;

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The address to listen at. With 127.0.0.1, the gateway also listens at the same port of
    /// `[::1]` if the host has IPv6, as `localhost` means both.
    pub listen: SocketAddr,
    /// How long to search for a source of content that this node does not have.
    pub timeout: Duration,
    /// Bytes to fetch ahead of each reader.
    pub read_ahead: u64,
}

/// A listening gateway.
#[derive(Debug)]
pub struct Gateway {
    listeners: Vec<TcpListener>,
    urls: GatewayUrls,
    key: Key,
    address: SocketAddr,
    settings: GatewaySettings,
}

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The gateway cannot listen at the address.
    #[error("the gateway cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The key cannot be read or created.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Gateway {
    /// Starts to listen. `folder` holds the key and the last port; the caller holds its lock.
    ///
    /// # Errors
    ///
    /// [`GatewayError`]. Nothing listens then.
    pub async fn open(folder: &Path, settings: GatewaySettings) -> Result<Self, GatewayError> {
        let listen = settings.listen;
        let key = Key::load_or_create(folder)?;
        let unusable = |source| GatewayError::Listen { listen, source };
        let port = SavedPort::open(folder);
        let listeners = bind_again(listen, &port).await.map_err(unusable)?;
        let address = listeners[0].local_addr().map_err(unusable)?;
        port.save(address.port());
        Ok(Self {
            listeners,
            urls: GatewayUrls::new(key.clone(), address),
            key,
            address,
            settings,
        })
    }

    /// Makes URLs of this gateway.
    #[must_use]
    pub const fn urls(&self) -> &GatewayUrls {
        &self.urls
    }

    /// Serves content that `node` has or can download, until dropped. Can be called again after a
    /// panic.
    pub async fn serve(&self, node: Node) {
        let content = Arc::new(Responder {
            contents: Contents {
                node,
                timeout: self.settings.timeout,
                read_ahead: self.settings.read_ahead,
            },
            key: self.key.clone(),
        });
        let bounds = Bounds {
            connections: MAX_CONNECTIONS,
            head: HEAD_TIMEOUT,
            send: SEND_TIMEOUT,
            name: "gateway",
        };
        let port = self.address.port();
        let answer = move |request: hyper::Request<Incoming>| {
            let content = Arc::clone(&content);
            async move {
                let (request, _) = request.into_parts();
                match names_host(&request.uri, &request.headers, port) {
                    true => content.answer(&request).await,
                    false => misdirected(),
                }
            }
        };
        connections::accept_all(&self.listeners, bounds, answer, pending()).await;
    }
}

/// Listens at `listen`. If its port is 0, the port of the last run is tried first, as earlier URLs
/// hold it.
async fn bind_again(listen: SocketAddr, last: &SavedPort) -> io::Result<Vec<TcpListener>> {
    if listen.port() == 0
        && let Some(port) = last.last()
        && let Ok(listeners) = bind(SocketAddr::new(listen.ip(), port)).await
    {
        return Ok(listeners);
    }
    bind(listen).await
}

/// Listens at an address; at both addresses of `localhost` if it is that of IPv4.
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
            // Another program listens there, and would receive our secret URLs of `localhost`.
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

/// Whether the request names this listener: exactly one host, which is `localhost` or an address, as
/// DNS rebinding cannot forge these.
pub(in crate::api) fn names_host(uri: &Uri, headers: &HeaderMap, port: u16) -> bool {
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

pub(in crate::api) fn misdirected() -> Response<Body> {
    let text = "The Host header does not name this server.";
    let status = StatusCode::MISDIRECTED_REQUEST;
    let mut response = html::failure(status, "Misdirected request", text);
    headers::common(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn only_our_own_names_are_accepted() {
        let is_host = |host: &[u8], port| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_bytes(host).unwrap());
            names_host(&Uri::from_static("/"), &headers, port)
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
        assert!(
            !names_host(&Uri::from_static("/"), &HeaderMap::new(), 7),
            "none"
        );
        let mut two = HeaderMap::new();
        two.append(HOST, HeaderValue::from_static("localhost:7"));
        assert!(
            !names_host(&Uri::from_static("http://localhost:7/"), &two, 7),
            "twice"
        );
        two.append(HOST, HeaderValue::from_static("localhost:7"));
        assert!(!names_host(&Uri::from_static("/"), &two, 7), "twice");
    }

    #[tokio::test]
    async fn it_listens_at_both_addresses_of_localhost() {
        let listeners = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        for listener in &listeners {
            assert_eq!(listener.local_addr().unwrap().port(), port);
        }
        let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
        assert_eq!(listeners.len(), 1 + usize::from(has_ipv6));
        // No other program can have this port of that name.
        TcpStream::connect(("localhost", port)).await.unwrap();
        // A port that is in use at one of them is not used at the other.
        if has_ipv6 {
            let free = TcpListener::bind("[::1]:0").await.unwrap();
            let taken = SocketAddr::from((Ipv4Addr::LOCALHOST, free.local_addr().unwrap().port()));
            assert!(bind(taken).await.is_err());
        }
    }
}
