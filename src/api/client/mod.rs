//! The client of the API. Its calls go to a router in this process or to a running node.
//!
//! Every call is an HTTP request, and only the transport differs. A request is sent once: only one
//! that did not leave gets another connection. Errors leave as a [`CallError`].

mod changes;
mod downloads;
mod error;
mod events;
mod groups;
mod node;
mod shares;
mod transport;
mod user;
mod web;

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;

pub use self::{changes::Changes, error::CallError, events::Events};

use self::transport::{Transport, read, request, with_query};
use super::{
    Token,
    host::page_address,
    paging::{MAX_LIMIT, next_path},
    types::{Code, CodeQuery},
    web::origins_elsewhere,
};

/// Pages of the longest list: ten million shares.
const MAX_PAGES: usize = 1000;

/// A client of the API.
#[derive(Clone, Debug)]
pub struct Client(Transport);

/// The URL of the page, and a file that opens it. Both are secrets until their code is used.
#[derive(Clone)]
pub struct PageUrl {
    /// The URL. Do not pass it to a program as an argument, which other users of this machine can
    /// see.
    pub url: String,
    /// A file that redirects to the URL. Only its owner can read it.
    pub file: Option<PathBuf>,
    /// The URLs that open the page on other machines, if the API listens beyond loopback, and through
    /// tunnels and proxies (`api.allowed_origins`): at most one of all of these, once.
    pub elsewhere: Vec<String>,
}

impl fmt::Debug for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageUrl(..)")
    }
}

impl Client {
    /// A client that calls `router` without a socket.
    pub fn in_process(router: Router) -> Self {
        Self(Transport::InProcess(router))
    }

    /// A client of the node whose API is at `address`, after a test connection.
    ///
    /// # Errors
    ///
    /// The error of connecting: nothing listens there.
    pub async fn connect(address: SocketAddr, token: Token) -> io::Result<Self> {
        TcpStream::connect(address).await?;
        Ok(Self(Transport::Socket(address, token)))
    }

    /// The URL that opens and signs in the page in a browser on this host, once. With `file`, also
    /// a file that redirects to it. `None` if the node runs in this process and serves no page.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn page(&self, file: bool) -> Result<Option<PageUrl>, CallError> {
        let Transport::Socket(address, _) = &self.0 else {
            return Ok(None);
        };
        let path = with_query("/v1/codes", &CodeQuery { file })?;
        let given: Code = self.post(&path).await?;
        let at = |origin: &str| format!("{origin}/#code={}", given.code);
        Ok(Some(PageUrl {
            url: at(&format!("http://{}", page_address(*address))),
            elsewhere: origins_elsewhere(*address)
                .iter()
                .chain(&given.origins)
                .map(|origin| at(origin))
                .collect(),
            file: given.file.map(PathBuf::from),
        }))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(request(Method::POST, path, None)?).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(request(Method::GET, path, None)?).await
    }

    /// A whole list, fetched page by page.
    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CallError> {
        Ok(self.list_with_headers(path).await?.0)
    }

    /// A whole list, and the headers of its last page.
    async fn list_with_headers<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(Vec<T>, HeaderMap), CallError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{separator}limit={MAX_LIMIT}");
        let mut list = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.0.call(request(Method::GET, &path, None)?).await?;
            let next = next_path(response.headers());
            let (head, body) = response.into_parts();
            let page: Vec<T> = read(body).await?;
            list.extend(page);
            match next {
                Some(next) => path = next,
                None => return Ok((list, head.headers)),
            }
        }
        Err(CallError::Broken("the list has too many pages".to_owned()))
    }

    async fn answer<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, CallError> {
        read(self.0.call(request).await?.into_body()).await
    }

    async fn stream<T>(&self, path: &str, body: &impl Serialize) -> Result<Events<T>, CallError> {
        let request = request(Method::POST, path, Some(serde_json::to_vec(body)?))?;
        Ok(Events::new(self.0.call(request).await?.into_body()))
    }
}
