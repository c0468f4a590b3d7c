//! From a request to its answer.

use std::{io, ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, Method, Response, StatusCode,
        header::{
            ACCEPT, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_TYPE, ETAG, LOCATION, VARY,
        },
        request::Parts,
    },
};
use futures::{Stream, StreamExt, stream};

use super::{
    conditions, headers, html,
    key::Key,
    listing,
    path::{InvalidPath, Target},
    range::SelectedRange,
    urls::encoded,
};
use crate::{
    content::{Hash, ManifestEntry},
    node::{Node, ReadError, ReadRequest, Reading, Stat},
};

/// How long others are looked for who have what was shared here and is gone.
const GONE_TIMEOUT: Duration = Duration::from_secs(3);

/// What answers need.
pub(super) struct Responder {
    pub(super) node: Node,
    pub(super) key: Key,
    pub(super) timeout: Duration,
    pub(super) read_ahead: u64,
}

impl Responder {
    /// The answer to a request whose host is ours.
    pub(super) async fn answer(&self, request: &Parts) -> Response<Body> {
        let is_head = request.method == Method::HEAD;
        let mut response = if is_head || request.method == Method::GET {
            self.get(request, is_head).await
        } else {
            not_allowed()
        };
        headers::common(response.headers_mut());
        if is_head {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn get(&self, request: &Parts, is_head: bool) -> Response<Body> {
        let target = match Target::parse(request.uri.path(), &self.key) {
            Ok(target) => target,
            Err(InvalidPath::NotFound) => return not_found(),
            Err(InvalidPath::Malformed) => {
                let text = "The path is not encoded as paths are.";
                return html::failure(StatusCode::BAD_REQUEST, "Malformed", text);
            }
        };
        let timeout = match self.node.is_gone(target.hash).await {
            true => self.timeout.min(GONE_TIMEOUT),
            false => self.timeout,
        };
        let read = self.node.read(ReadRequest {
            hash: target.hash,
            path: target.names.clone(),
            timeout,
            read_ahead: self.read_ahead,
        });
        let reading = match read.await {
            Ok(reading) => reading,
            Err(error) => return failed(&self.node, &target.hash, &error).await,
        };
        match reading.stat().clone() {
            Stat::Folder { hash, entries } if target.is_folder => {
                let title = self.title(&reading, &hash).await;
                folder(&request.headers, &target, &title, &hash, entries)
            }
            Stat::Folder { .. } => below(request, &target),
            // A file has nothing below.
            Stat::File { .. } if target.is_folder && !target.names.is_empty() => not_found(),
            Stat::File { hash, size } => {
                let file = File {
                    node: self.node.clone(),
                    hash,
                    size,
                    is_head,
                    reading,
                };
                file.answer(request).await
            }
        }
    }

    /// What a folder is called: as whoever asks for it says, else as it is shared or downloaded here.
    async fn title(&self, reading: &Reading, hash: &Hash) -> String {
        if let Some(name) = reading.name() {
            return name.to_owned();
        }
        let hash = hash.to_string();
        let known = self.node.readable(&hash).await.ok();
        known.and_then(|(link, _)| link.name).unwrap_or(hash)
    }
}

/// A file that is asked for.
struct File {
    node: Node,
    hash: Hash,
    size: u64,
    is_head: bool,
    reading: Reading,
}

impl File {
    async fn answer(self, request: &Parts) -> Response<Body> {
        let etag = format!("\"{}\"", self.hash);
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers::of_file(headers, self.reading.name(), is_download(request));
        insert(headers, ETAG, &etag);
        if conditions::fails_precondition(&request.headers, &etag) {
            return changed();
        }
        if conditions::is_not_modified(&request.headers, &etag) {
            headers.remove(CONTENT_TYPE);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // Parts are for GET: other requests are answered as if none were asked for.
        let range = conditions::range(&request.headers, &etag).filter(|_| !self.is_head);
        let bytes = match range.map(|range| SelectedRange::new(range, self.size)) {
            Some(SelectedRange::Unsatisfiable) => {
                let text = format!("There are {} bytes.", self.size);
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let mut response = html::failure(status, "No such part", &text);
                let range = format!("bytes */{}", self.size);
                insert(response.headers_mut(), CONTENT_RANGE, &range);
                return response;
            }
            Some(SelectedRange::Part(bytes)) => {
                let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, self.size);
                insert(headers, CONTENT_RANGE, &range);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                bytes
            }
            Some(SelectedRange::Whole) | None => 0..self.size,
        };
        let length = HeaderValue::from(bytes.end - bytes.start);
        response.headers_mut().insert(CONTENT_LENGTH, length);
        if self.is_head {
            return response;
        }
        let (hash, node) = (self.hash, self.node.clone());
        match self.body(bytes).await {
            Ok(body) => *response.body_mut() = body,
            Err(error) => return failed(&node, &hash, &error).await,
        }
        response
    }

    /// The bytes; nothing is answered before the first of them are there.
    async fn body(self, bytes: Range<u64>) -> Result<Body, ReadError> {
        let hash = self.hash;
        let mut pieces = Box::pin(self.reading.range(bytes));
        let first = pieces.next().await.transpose()?;
        Ok(Body::from_stream(rest(hash, first, pieces)))
    }
}

/// The first piece and those that follow. When one does not come, the answer is cut off: it must not
/// look as if it were whole.
fn rest(
    hash: Hash,
    first: Option<Vec<u8>>,
    pieces: impl Stream<Item = Result<Vec<u8>, ReadError>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = stream::iter(first.map(Ok)).chain(pieces);
    pieces.map(move |piece| {
        piece.map(Bytes::from).map_err(|error| {
            tracing::warn!(%hash, %error, "what is sent through the gateway is cut off");
            io::Error::other(error)
        })
    })
}

fn folder(
    headers: &HeaderMap,
    target: &Target,
    title: &str,
    hash: &Hash,
    entries: Vec<ManifestEntry>,
) -> Response<Body> {
    let is_json = wants_json(headers);
    let (kind, form) = match is_json {
        true => ("application/json", "json"),
        false => ("text/html; charset=utf-8", "html"),
    };
    let etag = format!("\"{hash}-{form}\"");
    let mut response = Response::new(Body::empty());
    insert(response.headers_mut(), ETAG, &etag);
    insert(response.headers_mut(), VARY, "accept");
    insert(response.headers_mut(), CACHE_CONTROL, "private, no-cache");
    if conditions::fails_precondition(headers, &etag) {
        return changed();
    }
    if conditions::is_not_modified(headers, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    insert(response.headers_mut(), CONTENT_TYPE, kind);
    *response.body_mut() = if is_json {
        listing::json(entries)
    } else {
        listing::html(title, entries, target.names.is_empty())
    };
    response
}

/// A folder is asked for as if it were a file: what it lists would be looked for beside it.
fn below(request: &Parts, target: &Target) -> Response<Body> {
    let last = match target.names.last() {
        Some(name) => encoded(name),
        None => target.hash.to_string(),
    };
    let query = request.uri.query().map(|query| format!("?{query}"));
    let location = format!("./{last}/{}", query.unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    insert(response.headers_mut(), LOCATION, &location);
    response
}

/// The same for all that is not to be had, whatever the reason.
fn not_found() -> Response<Body> {
    let text = "There is nothing here, or the address is not complete.";
    html::failure(StatusCode::NOT_FOUND, "Not found", text)
}

/// The client has a part of something else, and wants the rest of that.
fn changed() -> Response<Body> {
    let text = "What is here is not what you have a part of.";
    html::failure(StatusCode::PRECONDITION_FAILED, "Something else", text)
}

pub(super) fn not_allowed() -> Response<Body> {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = html::failure(status, "Not possible", "This can only be read.");
    insert(response.headers_mut(), ALLOW, "GET, HEAD");
    response
}

/// It was shared here, and is not what or where it was.
fn gone(hash: &Hash, error: &ReadError) -> Response<Body> {
    tracing::info!(%hash, %error, "not to be had through the gateway");
    let text = "It was here, and is not any more.";
    html::failure(StatusCode::GONE, "Gone", text)
}

async fn failed(node: &Node, hash: &Hash, error: &ReadError) -> Response<Body> {
    let lacking = error.without_source();
    let is_withdrawn = match lacking {
        Some(lacking) => node.is_gone(lacking).await,
        None => false,
    };
    let status = match error {
        ReadError::NotFound => return not_found(),
        error if is_withdrawn || error.is_gone() => return gone(hash, error),
        error if error.is_too_many_readers() => StatusCode::SERVICE_UNAVAILABLE,
        error if error.is_of_this_node() => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::GATEWAY_TIMEOUT,
    };
    tracing::info!(%hash, %error, "not to be had through the gateway");
    // What is wrong here may name files, which are nobody's business.
    let text = match status {
        StatusCode::INTERNAL_SERVER_ERROR => {
            "It cannot be read: the node's log says why.".to_owned()
        }
        _ => format!("{error}."),
    };
    html::failure(status, "Not to be had now", &text)
}

/// Whether the file is to be saved: `?download`.
fn is_download(request: &Parts) -> bool {
    let query = request.uri.query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| pair.split('=').next());
    names.any(|name| name == Some("download"))
}

/// Whether a program asks, and not a browser.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut types = accept.unwrap_or_default().split(',').map(|range| {
        let range = range.split(';').next().unwrap_or_default();
        range.trim()
    });
    let wanted = types.find(|range| matches!(*range, "application/json" | "text/html"));
    wanted == Some("application/json")
}

/// Sets a header that holds nothing but what headers may hold.
fn insert(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
