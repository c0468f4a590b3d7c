//! Access control: commands that know the token, and our own page with a session.
//!
//! No credential is a cookie: a browser attaches cookies to requests that a foreign page makes, and
//! sends them to every port of a host. A foreign page knows neither the token nor the bearer of a
//! session. Its requests are rejected before either is compared: by `Origin` and `Sec-Fetch-Site`,
//! which browsers add to such requests, and by `Host`, which holds the name of the foreign host
//! after DNS rebinding.
//!
//! | credential | `Host` | `Origin` | `Sec-Fetch-Site` |
//! |---|---|---|---|
//! | the token | ours, or `localhost` | absent | any |
//! | the bearer of a session | ours | ours | `same-origin`, or absent |
//! | none, to sign in or to ask for the run | ours | ours | `same-origin`, or absent |
//! | none, for the files of the page | ours | any | any |
//!
//! Ours are the address of the API, and what `api.allowed_origins` names. GET and HEAD requests of our
//! page may lack `Origin`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AUTHORIZATION, HOST, ORIGIN},
        request::Parts,
        uri::Authority,
    },
};

use super::{
    Token,
    error::ApiError,
    host::{is_localhost, page_address},
    sessions::Sessions,
};

/// The route that exchanges a code for a session. Needs no credential.
const SIGN_IN: &str = "/v1/session";

/// The route that tells a page the run of the node. Needs no credential.
const RUN: &str = "/v1/run";

/// Checks the credentials of every request.
#[derive(Clone, Debug)]
pub(super) struct Access {
    token: Token,
    served: SocketAddr,
    sessions: Arc<Sessions>,
}

/// The caller of a request that came through a socket. In-process requests have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A program that knows the token.
    Command,
    /// A page with a session.
    Page,
    /// A caller without a credential, which loads the page's files or signs in.
    Anonymous,
}

impl Access {
    pub(super) fn new(token: Token, served: SocketAddr, sessions: Sessions) -> Self {
        Self {
            token,
            served,
            sessions: Arc::new(sessions),
        }
    }

    /// The address that the API listens at.
    pub(super) fn served(&self) -> SocketAddr {
        self.served
    }

    /// The sessions of pages.
    pub(super) const fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The caller of a request.
    ///
    /// # Errors
    ///
    /// Why the request is rejected.
    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Caller, ApiError> {
        let host = self.host(uri, headers)?;
        if is_page_file(method, uri.path()) {
            self.require_address(&host)?;
            Ok(Caller::Anonymous)
        } else if needs_no_session(method, uri.path()) {
            self.require_own_page(&host, method, headers)?;
            Ok(Caller::Anonymous)
        } else if let Some(claimed) = bearer(headers) {
            if self.sessions.find(claimed).is_some() {
                self.require_own_page(&host, method, headers)?;
                return Ok(Caller::Page);
            }
            self.reject_other_pages(headers, &host)?;
            if !self.token.is(claimed) {
                return Err(unauthorized());
            }
            reject_pages(headers)?;
            Ok(Caller::Command)
        } else {
            self.reject_other_pages(headers, &host)
                .and(Err(unauthorized()))
        }
    }

    /// The host that the request names: exactly one, which is ours, by a name that DNS rebinding
    /// cannot forge.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, ApiError> {
        let host = match (only(headers, HOST.as_str()), uri.authority()) {
            (Some(host), None) => host.parse::<Authority>().ok(),
            _ => None,
        };
        let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
            return Err(forbidden("the Host header does not name this API"));
        };
        if self.is_port(&host) && is_localhost(&host) || self.is_own(&host) {
            return Ok(host);
        }
        let message = format!("the Host header names {host}, which is not this API");
        Err(forbidden(message).with_hint(format!(
            "if {host} is a tunnel or a proxy of yours, add its origin, such as \"http://{host}\", \
             to api.allowed_origins"
        )))
    }

    /// Whether pages may be at this host: our address, or an origin that a person allowed.
    fn is_own(&self, host: &Authority) -> bool {
        self.is_own_address(host) || self.sessions.origins().name(host)
    }

    fn is_port(&self, host: &Authority) -> bool {
        host.port_u16().unwrap_or(80) == self.served.port()
    }

    fn is_own_address(&self, host: &Authority) -> bool {
        let name = host.host();
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let address = name.parse::<IpAddr>();
        self.is_port(host)
            && address.is_ok_and(|address| {
                let served = self.served.ip();
                address.is_loopback() || address == served || served.is_unspecified()
            })
    }

    /// Rejects pages under the name `localhost`, which belongs to the gateway and its content,
    /// which may be hostile.
    fn require_address(&self, host: &Authority) -> Result<(), ApiError> {
        if self.is_own(host) {
            return Ok(());
        }
        let own = page_address(self.served);
        Err(forbidden(format!("the page is at http://{own}/")))
    }

    /// Rejects requests that our own page did not send.
    fn require_own_page(
        &self,
        host: &Authority,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        self.require_address(host)?;
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        let is_ours = match only(headers, ORIGIN.as_str()) {
            Some(origin) => self.is_own_origin(origin, host),
            None => is_reading && !headers.contains_key(ORIGIN),
        };
        let site = "sec-fetch-site";
        let is_same = match only(headers, site) {
            Some(site) => site == "same-origin",
            None => !headers.contains_key(site),
        };
        if is_ours && is_same {
            return Ok(());
        }
        let refused = forbidden("requests from other web pages are rejected");
        Err(match only(headers, ORIGIN.as_str()) {
            Some(origin) if is_same => refused.with_hint(format!(
                "if {origin} is a tunnel or a proxy of yours, add it to api.allowed_origins"
            )),
            _ => refused,
        })
    }

    /// Whether a page with this origin, which calls `host`, is ours.
    fn is_own_origin(&self, origin: &str, host: &Authority) -> bool {
        let is_here = origin.strip_prefix("http://") == Some(host.as_str());
        is_here && self.is_own_address(host) || self.sessions.origins().contain(origin)
    }

    /// Rejects requests from pages, except our own, which gets 401 if its session has ended.
    fn reject_other_pages(&self, headers: &HeaderMap, host: &Authority) -> Result<(), ApiError> {
        match only(headers, ORIGIN.as_str()) {
            Some(origin) if self.is_own_origin(origin, host) => Ok(()),
            _ => reject_pages(headers),
        }
    }
}

/// Whether the request is for a file of the page. These hold no secrets.
fn is_page_file(method: &Method, path: &str) -> bool {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    is_reading && (path == "/" || path.starts_with("/page/"))
}

fn needs_no_session(method: &Method, path: &str) -> bool {
    (method == Method::POST && path == SIGN_IN) || (method == Method::GET && path == RUN)
}

/// The token or bearer in the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let claimed = headers.get(AUTHORIZATION)?;
    claimed.as_bytes().strip_prefix(b"Bearer ")
}

/// The value of a header that occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn reject_pages(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(ORIGIN) {
        return Err(forbidden("requests from web pages are rejected"));
    }
    Ok(())
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

fn unauthorized() -> ApiError {
    let message = "the bearer token is missing or wrong, or the session of the page has ended";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message).with_hint(
        "the token is in api.json in the data folder; `pelago ui` opens the page with a new \
         session",
    )
}

/// The bearer that a request holds; empty if it holds none.
pub(super) struct BearerHeader(Option<Vec<u8>>);

impl BearerHeader {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BearerHeader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(bearer(&parts.headers).map(<[u8]>::to_vec)))
    }
}

/// Admits only callers that know the token, and in-process requests.
pub(super) struct CommandOnly;

impl<S: Send + Sync> FromRequestParts<S> for CommandOnly {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Caller>() {
            None | Some(Caller::Command) => Ok(Self),
            Some(_) => Err(forbidden("this request needs the token of the API")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::saved_sessions::SavedSessionsFile;

    #[test]
    fn pages_of_allowed_origins_are_ours_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let served = SocketAddr::from(([127, 0, 0, 1], 7));
        let (file, saved) = SavedSessionsFile::open(folder.path());
        let origins = vec!["https://a.example".to_owned()];
        let sessions = Sessions::restored(file, saved, served, origins.into());
        let access = Access::new(Token::generate(), served, sessions);
        let signs_in = |host: &str, origin: &str, site: &str| {
            let headers = [("host", host), ("origin", origin), ("sec-fetch-site", site)];
            let headers =
                headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let uri = Uri::from_static(SIGN_IN);
            access.check(&Method::POST, &uri, &HeaderMap::from_iter(headers))
        };
        for (host, origin) in [
            ("127.0.0.1:7", "http://127.0.0.1:7"),
            // A proxy passes on the host of the request, or names the node.
            ("a.example", "https://a.example"),
            ("a.example:443", "https://a.example"),
            ("127.0.0.1:7", "https://a.example"),
        ] {
            let caller = signs_in(host, origin, "same-origin").unwrap();
            assert_eq!(caller, Caller::Anonymous, "{host} {origin}");
            signs_in(host, origin, "same-site").unwrap_err();
        }
        for (host, origin) in [
            ("a.example", "http://a.example"),
            ("a.example", "https://b.example"),
            ("b.example", "https://a.example"),
            ("b.example", "https://b.example"),
            ("127.0.0.1:8", "http://127.0.0.1:8"),
            ("localhost:7", "http://localhost:7"),
        ] {
            signs_in(host, origin, "same-origin").unwrap_err();
        }
    }
}
