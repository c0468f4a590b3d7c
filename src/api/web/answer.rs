//! Which link a request belongs to, and the response.

use axum::{
    body::Body,
    http::{
        HeaderMap, Method, Response, StatusCode,
        header::{HOST, ORIGIN},
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{
    links::{Grant, Granted},
    receive::Receiver,
    registry::WebLinks,
};
use crate::{
    api::gateway::{
        Contents, InvalidPath, Target, common_headers, failure, malformed, misdirected, names_host,
    },
    node::Node,
};

/// Answers the requests of browsers.
pub(super) struct Answerer {
    contents: Contents,
    receiver: Receiver,
    links: WebLinks,
    node: Node,
    port: u16,
}

impl Answerer {
    pub(super) fn new(node: Node, links: WebLinks, port: u16) -> Self {
        Self {
            contents: Contents::of_this_node(node.clone()),
            receiver: Receiver::new(node.clone(), links.clone()),
            links,
            node,
            port,
        }
    }

    pub(super) async fn answer(&self, request: hyper::Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if !names_host(&parts.uri, &parts.headers, self.port) {
            return misdirected();
        }
        let is_head = parts.method == Method::HEAD;
        let is_read = is_head || parts.method == Method::GET;
        if !is_read && is_foreign(&parts.headers) {
            let text = "Another site made this request.";
            return finished(failure(StatusCode::FORBIDDEN, "Forbidden", text));
        }
        let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
        let (token, below) = match path.split_once('/') {
            Some((token, below)) => (token, Some(below)),
            None => (path, None),
        };
        let Some(Granted { id, grant, life }) = self.links.granted(token) else {
            return finished(not_found());
        };
        let response = match grant {
            Grant::Share { hash, .. } if is_read => match Target::below(hash, token, below) {
                _ if !self.node.is_shared_outside_groups(hash).await => {
                    let text = "This is not shared any more.";
                    failure(StatusCode::GONE, "Gone", text)
                }
                Ok(target) => self.contents.get(&parts, is_head, target).await,
                Err(InvalidPath::NotFound) => not_found(),
                Err(InvalidPath::Malformed) => malformed(),
            },
            Grant::Receive { .. } if is_read && below.unwrap_or_default().is_empty() => {
                self.receiver.page(&id)
            }
            Grant::Receive { folder } if parts.method == Method::PUT => {
                let name = below.unwrap_or_default();
                let received = self
                    .receiver
                    .receive(&id, &folder, name, &parts.headers, body);
                tokio::select! {
                    received = received => received,
                    () = ended(life.clone()) => not_found(),
                }
            }
            Grant::Receive { .. } if is_read => not_found(),
            _ => {
                let text = "This link does not take such requests.";
                failure(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", text)
            }
        };
        let mut response = finished(response).map(|body| while_valid(body, life));
        if is_head {
            *response.body_mut() = Body::empty();
        }
        response
    }
}

fn finished(mut response: Response<Body>) -> Response<Body> {
    common_headers(response.headers_mut());
    response
}

/// The same response for everything that is absent.
fn not_found() -> Response<Body> {
    let text =
        "Nothing is at this address: the link was withdrawn or is over, or it is incomplete.";
    failure(StatusCode::NOT_FOUND, "Not found", text)
}

/// The body, which is cut off when the link ends: then the client does not take it for complete.
fn while_valid(body: Body, life: watch::Receiver<()>) -> Body {
    let cut = stream::once(async move {
        ended(life).await;
        Err(axum::Error::new("the link was withdrawn"))
    });
    let body = body.into_data_stream().map_ok(Some);
    let body = body.chain(stream::once(async { Ok(None) }));
    let until_cut = stream::select(body, cut.map_ok(|_: axum::body::Bytes| None));
    Body::from_stream(
        until_cut
            .try_take_while(|piece| {
                let is_piece = piece.is_some();
                async move { Ok(is_piece) }
            })
            .map_ok(Option::unwrap_or_default),
    )
}

/// Waits until the link ends.
async fn ended(mut life: watch::Receiver<()>) {
    // Nothing is ever sent: the channel closes with the link.
    while life.changed().await.is_ok() {}
}

/// Whether a page of another site made the request, by the headers that browsers add.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    let is_other_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = host.map(|host| format!("http://{host}"));
    let is_other_origin = headers
        .get(ORIGIN)
        .is_some_and(|origin| origin.to_str().ok() != own.as_deref());
    is_other_site || is_other_origin
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn pages_of_other_sites_are_foreign() {
        let is_foreign = |given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("10.0.0.1:7"));
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_foreign(&headers)
        };
        assert!(!is_foreign(&[]));
        assert!(!is_foreign(&[
            ("origin", "http://10.0.0.1:7"),
            ("sec-fetch-site", "same-origin")
        ]));
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "http://10.0.0.1:8"),
            ("origin", "https://10.0.0.1:7"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(is_foreign(&[(name, value)]), "{name}: {value}");
        }
    }

    #[tokio::test]
    async fn a_body_is_cut_when_the_link_ends() {
        let life = watch::Sender::new(());
        let whole = while_valid(Body::from("all of it"), life.subscribe());
        let bytes = axum::body::to_bytes(whole, 100).await.unwrap();
        assert_eq!(&bytes[..], b"all of it");
        let endless = stream::pending::<Result<axum::body::Bytes, axum::Error>>();
        let endless = while_valid(Body::from_stream(endless), life.subscribe());
        drop(life);
        assert!(axum::body::to_bytes(endless, 100).await.is_err());
    }
}
