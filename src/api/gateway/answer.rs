//! The response to a request.

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

/// How long to search for other sources of content that this node has stopped sharing.
const GONE_TIMEOUT: Duration = Duration::from_secs(3);

/// Answers requests whose paths hold a capability.
pub(super) struct Responder {
    pub(super) contents: Contents,
    pub(super) key: Key,
}

/// The contents of a node, as responses.
pub(in crate::api) struct Contents {
    pub(super) node: Node,
    /// How long to search for a source of content that this node does not have.
    pub(super) timeout: Duration,
    /// Bytes to fetch ahead of each reader.
    pub(super) read_ahead: u64,
}

impl Responder {
    /// The response to a request whose `Host` header is ours.
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
        match Target::parse(request.uri.path(), &self.key) {
            Ok(target) => self.contents.get(request, is_head, target).await,
            Err(InvalidPath::NotFound) => not_found(),
            Err(InvalidPath::Malformed) => malformed(),
        }
    }
}

impl Contents {
    /// The content that `node` shares, for a reader that fetches nothing ahead.
    pub(in crate::api) const fn of_this_node(node: Node) -> Self {
        Self {
            node,
            timeout: GONE_TIMEOUT,
            read_ahead: 0,
        }
    }

    /// The response to a request for `target`.
    pub(in crate::api) async fn get(
        &self,
        request: &Parts,
        is_head: bool,
        target: Target,
    ) -> Response<Body> {
        let timeout = match self.node.is_gone(target.hash).await {
            true => self.timeout.min(GONE_TIMEOUT),
            false => self.timeout,
        };
        let read = self.node.read(ReadRequest {
            hash: target.hash,
            path: target.names.clone(),
            group: None,
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
            Stat::Folder { .. } => add_slash(request, &target),
            // A file contains no other entries.
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

    /// The name of a folder: from the path of the request, else from this node's share or download.
    async fn title(&self, reading: &Reading, hash: &Hash) -> String {
        if let Some(name) = reading.name() {
            return name.to_owned();
        }
        let hash = hash.to_string();
        let known = self.node.readable(&hash).await.ok();
        known.and_then(|(link, _)| link.name).unwrap_or(hash)
    }
}

/// A requested file.
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
        // Ranges apply to GET only (RFC 9110, section 14.2).
        let range = conditions::range(&request.headers, &etag).filter(|_| !self.is_head);
        let bytes = match range.map(|range| SelectedRange::new(range, self.size)) {
            Some(SelectedRange::Unsatisfiable) => {
                let text = format!(
                    "The range is beyond the end: the file has {} bytes.",
                    self.size
                );
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let mut response = html::failure(status, "Invalid range", &text);
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

    /// The content of the range. Waits for its first piece, so that an error can still have a
    /// status.
    async fn body(self, bytes: Range<u64>) -> Result<Body, ReadError> {
        let hash = self.hash;
        let mut pieces = Box::pin(self.reading.range(bytes));
        let first = pieces.next().await.transpose()?;
        Ok(Body::from_stream(with_first(hash, first, pieces)))
    }
}

/// The first piece and all further ones. An error cuts the connection, so that the client does not
/// take the response for complete.
fn with_first(
    hash: Hash,
    first: Option<Vec<u8>>,
    pieces: impl Stream<Item = Result<Vec<u8>, ReadError>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = stream::iter(first.map(Ok)).chain(pieces);
    pieces.map(move |piece| {
        piece.map(Bytes::from).map_err(|error| {
            tracing::warn!(%hash, %error, "the gateway cut off a response");
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

/// Redirects a folder's URL without a final slash: browsers would resolve the links of its page
/// beside it, not below it.
fn add_slash(request: &Parts, target: &Target) -> Response<Body> {
    let last = match target.names.last() {
        Some(name) => encoded(name),
        None => target.top.clone(),
    };
    let query = request.uri.query().map(|query| format!("?{query}"));
    let location = format!("./{last}/{}", query.unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    insert(response.headers_mut(), LOCATION, &location);
    response
}

/// The same response for everything that is absent or forbidden.
fn not_found() -> Response<Body> {
    let text = "Nothing is at this address, or the address is incomplete.";
    html::failure(StatusCode::NOT_FOUND, "Not found", text)
}

/// The path is not percent-encoded UTF-8.
pub(in crate::api) fn malformed() -> Response<Body> {
    let text = "The path of the URL is not percent-encoded UTF-8.";
    html::failure(StatusCode::BAD_REQUEST, "Malformed", text)
}

/// The client wants the rest of another version than this one.
fn changed() -> Response<Body> {
    let text = "This content differs from the content that the request expects.";
    html::failure(StatusCode::PRECONDITION_FAILED, "Precondition failed", text)
}

pub(super) fn not_allowed() -> Response<Body> {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = html::failure(status, "Method not allowed", "The gateway is read-only.");
    insert(response.headers_mut(), ALLOW, "GET, HEAD");
    response
}

/// This node shared the content, and now it has been withdrawn, moved or changed.
fn gone(hash: &Hash, error: &ReadError) -> Response<Body> {
    tracing::info!(%hash, %error, "the gateway cannot read this content");
    let text = "This node no longer has the content.";
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
        error if error.is_of_lost_group() => StatusCode::FORBIDDEN,
        error if error.is_too_many_readers() => StatusCode::SERVICE_UNAVAILABLE,
        error if error.is_of_this_node() => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::GATEWAY_TIMEOUT,
    };
    tracing::info!(%hash, %error, "the gateway cannot read this content");
    // The error may name local files, which the client must not learn.
    let text = match status {
        StatusCode::INTERNAL_SERVER_ERROR => {
            "The content cannot be read. The log of the node has the reason.".to_owned()
        }
        _ => format!("{error}."),
    };
    html::failure(status, "Not available now", &text)
}

/// Whether the URL asks the browser to save the file: `?download`.
fn is_download(request: &Parts) -> bool {
    let query = request.uri.query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| pair.split('=').next());
    names.any(|name| name == Some("download"))
}

/// Whether the client prefers JSON to HTML.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut types = accept.unwrap_or_default().split(',').map(|range| {
        let range = range.split(';').next().unwrap_or_default();
        range.trim()
    });
    let wanted = types.find(|range| matches!(*range, "application/json" | "text/html"));
    wanted == Some("application/json")
}

/// Sets a header. Values that headers cannot hold are ignored.
fn insert(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
