//! The client of the API: the same calls, to a router in this process or to a running node.
//!
//! One way in: every verb is an HTTP request, and only the last step differs. Never retries.
//! Failures leave as a [`CallError`].

mod downloads;
mod events;

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use axum::{
    Router,
    body::Body,
    http::{
        HeaderMap, Method, Request, Response, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    },
};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tower::ServiceExt;

pub use events::Events;

use super::{
    Token,
    access::page_address,
    catalogue::INCOMPLETE,
    paging::{MAX_LIMIT, next_path},
    types::{
        BeingWritten, CatalogueQuery, CheckEvent, Code, CodeQuery, ContentInfo, ErrorInfo,
        ExcludedPath, Gateway, GatewayQuery, Health, Limits, LimitsChange, LinksQuery, Listed,
        OpenRequest, Peer, Problem, Setting, SettingsChange, ShareEvent, ShareRequest, Shared,
        Status, UnavailableShares, UnshareQuery,
    },
};

/// Bytes of the longest answer that is no stream: a page of links, and more.
const MAX_ANSWER_LEN: usize = 256 << 20;

/// Pages of the longest list: of ten million shares.
const MAX_PAGES: usize = 1000;

/// A caller of the API.
#[derive(Clone, Debug)]
pub struct Client(Transport);

/// Where the page is opened. Both are secrets until the code is used.
#[derive(Clone)]
pub struct PageUrl {
    /// Its URL. Give it to no program as an argument: other users of this machine see those.
    pub url: String,
    /// A file that only its owner can read and that leads there.
    pub file: Option<PathBuf>,
}

impl fmt::Debug for PageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageUrl(..)")
    }
}

#[derive(Clone, Debug)]
enum Transport {
    InProcess(Router),
    Socket(SocketAddr, Token),
}

impl Client {
    /// Calls `router` without a socket.
    pub fn in_process(router: Router) -> Self {
        Self(Transport::InProcess(router))
    }

    /// Calls the node whose API is at `address`, once something accepts connections there.
    ///
    /// # Errors
    ///
    /// Those of connecting: nobody listens.
    pub async fn connect(address: SocketAddr, token: Token) -> io::Result<Self> {
        TcpStream::connect(address).await?;
        Ok(Self(Transport::Socket(address, token)))
    }

    /// Where a browser on this host opens the page, signed in by a code that is good once; with a file that
    /// leads there, if one is wanted. None if this is a node in this process, which serves none.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn page(&self, file: bool) -> Result<Option<PageUrl>, CallError> {
        let Transport::Socket(address, _) = &self.0 else {
            return Ok(None);
        };
        let path = with_query("/v1/codes", &CodeQuery { file })?;
        let Code { code, file, .. } = self.post(&path).await?;
        let address = page_address(*address);
        Ok(Some(PageUrl {
            url: format!("http://{address}/#code={code}"),
            file: file.map(PathBuf::from),
        }))
    }

    /// The node itself.
    ///
    /// # Errors
    ///
    /// [`CallError`], as all calls.
    pub async fn status(&self) -> Result<Status, CallError> {
        self.get("/v1/status").await
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn peers(&self) -> Result<Vec<Peer>, CallError> {
        self.list("/v1/peers").await
    }

    /// How well it is connected.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn health(&self) -> Result<Health, CallError> {
        self.get("/v1/health").await
    }

    /// How fast content may pass.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn limits(&self) -> Result<Limits, CallError> {
        self.get("/v1/limits").await
    }

    /// Changes how fast content may pass.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn set_limits(&self, change: &LimitsChange) -> Result<Limits, CallError> {
        let change = serde_json::to_vec(change)?;
        self.answer(request(Method::PUT, "/v1/limits", Some(change))?)
            .await
    }

    /// What it is set to.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn settings(&self) -> Result<Vec<Setting>, CallError> {
        self.get("/v1/settings").await
    }

    /// Changes what it is set to, and keeps that for later runs.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn change_settings(
        &self,
        change: &SettingsChange,
    ) -> Result<Vec<Setting>, CallError> {
        let change = serde_json::to_vec(change)?;
        self.answer(request(Method::PATCH, "/v1/settings", Some(change))?)
            .await
    }

    /// What it shares.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn shares(&self) -> Result<Vec<Listed>, CallError> {
        self.list("/v1/shares").await
    }

    /// Which files in its watched folders it does not share yet, as programs may still write to them.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn being_written(&self) -> Result<BeingWritten, CallError> {
        self.get("/v1/being-written").await
    }

    /// What is not available of what the node shares.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unavailable(&self) -> Result<UnavailableShares, CallError> {
        self.get("/v1/unavailable").await
    }

    /// The places in watched folders that a person withdrew.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn exclusions(&self) -> Result<Vec<ExcludedPath>, CallError> {
        self.get("/v1/exclusions").await
    }

    /// Shares a path. Dropping the events before the last ends it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn share(&self, request: &ShareRequest) -> Result<Events<ShareEvent>, CallError> {
        self.stream("/v1/shares", request).await
    }

    /// Reads all that is shared, and compares it with what is listed. Dropping the events before the
    /// last ends it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn check_shares(&self) -> Result<Events<CheckEvent>, CallError> {
        self.stream("/v1/shares/check", &()).await
    }

    /// Ends sharing `what`: a hash or a name.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn unshare(
        &self,
        what: &str,
        path: Option<String>,
    ) -> Result<Vec<Shared>, CallError> {
        let query = UnshareQuery {
            what: what.to_owned(),
            path,
        };
        let request = request(Method::DELETE, &with_query("/v1/shares", &query)?, None);
        self.answer(request?).await
    }

    /// What is shared under a hash or a name, or all that is, each with its link.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn links(&self, what: Option<&str>) -> Result<Vec<Shared>, CallError> {
        let query = LinksQuery {
            what: what.map(str::to_owned),
            ..LinksQuery::default()
        };
        self.list(&with_query("/v1/links", &query)?).await
    }

    /// Where to read `what` through the gateway: a hash, a link, or a name.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn gateway(&self, what: &str) -> Result<Gateway, CallError> {
        let query = GatewayQuery {
            what: what.to_owned(),
        };
        self.get(&with_query("/v1/gateway", &query)?).await
    }

    /// What some content is, and who has it.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn open(&self, request: &OpenRequest) -> Result<ContentInfo, CallError> {
        let request = serde_json::to_vec(request)?;
        self.answer(self::request(Method::POST, "/v1/look", Some(request))?)
            .await
    }

    /// What one peer shares, or all in reach; and how many of them share more than that.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn catalogue(&self, query: &CatalogueQuery) -> Result<(Vec<Listed>, u64), CallError> {
        let path = with_query("/v1/catalogue", query)?;
        let (listed, headers) = self.list_with_headers(&path).await?;
        let incomplete = headers.get(INCOMPLETE);
        let incomplete = incomplete.and_then(|count| count.to_str().ok()?.parse().ok());
        Ok((listed, incomplete.unwrap_or(0)))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(request(Method::POST, path, None)?).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.answer(request(Method::GET, path, None)?).await
    }

    /// A whole list, page by page.
    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CallError> {
        Ok(self.list_with_headers(path).await?.0)
    }

    /// The same, with the headers of its last page.
    async fn list_with_headers<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(Vec<T>, HeaderMap), CallError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut path = format!("{path}{separator}limit={MAX_LIMIT}");
        let mut list = Vec::new();
        for _ in 0..MAX_PAGES {
            let response = self.call(request(Method::GET, &path, None)?).await?;
            let next = next_path(response.headers());
            let (head, body) = response.into_parts();
            let page: Vec<T> = read(body).await?;
            list.extend(page);
            match next {
                Some(next) => path = next,
                None => return Ok((list, head.headers)),
            }
        }
        Err(CallError::Broken("the list has no end".to_owned()))
    }

    async fn answer<T: DeserializeOwned>(&self, request: Request<Body>) -> Result<T, CallError> {
        read(self.call(request).await?.into_body()).await
    }

    async fn stream<T>(&self, path: &str, body: &impl Serialize) -> Result<Events<T>, CallError> {
        let request = request(Method::POST, path, Some(serde_json::to_vec(body)?))?;
        Ok(Events::new(self.call(request).await?.into_body()))
    }

    /// The one way to call: what fails gives its error.
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        let response = match &self.0 {
            Transport::InProcess(router) => {
                let Ok(response) = router.clone().oneshot(request).await;
                response
            }
            Transport::Socket(address, token) => send(*address, token, request).await?,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }
}

/// What a whole answer says.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, CallError> {
    let body = Limited::new(body, MAX_ANSWER_LEN).collect().await;
    let body = body.map_err(|error| CallError::Broken(error.to_string()))?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

fn request(method: Method, path: &str, json: Option<Vec<u8>>) -> Result<Request<Body>, CallError> {
    let mut request = Request::builder().method(method).uri(path);
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map_or_else(Body::empty, Body::from);
    request
        .body(body)
        .map_err(|error| CallError::Broken(error.to_string()))
}

fn with_query(path: &str, query: &impl Serialize) -> Result<String, CallError> {
    let query = serde_urlencoded::to_string(query);
    let query = query.map_err(|error| CallError::Broken(error.to_string()))?;
    Ok(format!("{path}?{query}"))
}

/// Sends a request on a connection of its own, which ends with the answer or when that is dropped.
async fn send(
    address: SocketAddr,
    token: &Token,
    mut request: Request<Body>,
) -> Result<Response<Body>, CallError> {
    let wrong =
        |error: axum::http::header::InvalidHeaderValue| CallError::Broken(error.to_string());
    let authorization = format!("Bearer {}", token.as_str())
        .parse()
        .map_err(wrong)?;
    request.headers_mut().insert(AUTHORIZATION, authorization);
    let host = address.to_string().parse().map_err(wrong)?;
    request.headers_mut().insert(HOST, host);

    let stream = TcpStream::connect(address)
        .await
        .map_err(CallError::Connect)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.map(Body::new))
}

async fn refusal(response: Response<Body>) -> CallError {
    let status = response.status();
    let body = Limited::new(response.into_body(), events::MAX_LINE_LEN)
        .collect()
        .await;
    let failure = body.ok().map(|body| body.to_bytes());
    let problem = failure.and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
    match problem {
        Some(problem) => CallError::Refused(problem.into()),
        None => CallError::Foreign(status),
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node said no, and why.
    #[error(transparent)]
    Refused(ErrorInfo),
    /// Nobody listens there any more.
    #[error("the node cannot be reached: {0}")]
    Connect(io::Error),
    /// The connection ended before the answer did.
    #[error("the connection to the node broke: {0}")]
    Broken(String),
    /// An answer in another form than the API's.
    #[error("the answer is not a node's: status {0}")]
    Foreign(StatusCode),
    /// An answer that is not what was asked for.
    #[error("the node's answer cannot be read: {0}; is it of the same version?")]
    Garbled(#[from] serde_json::Error),
    /// A line of a stream that does not end.
    #[error("a line of the node's answer is over {} bytes", events::MAX_LINE_LEN)]
    Line,
}

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<CallError> for ErrorInfo {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => error,
            error => Self::new("node-unreachable", error.to_string()),
        }
    }
}
