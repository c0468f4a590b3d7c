//! Who may call: the token's holders, and pages of ours with a session; on this host, and no other page.
//!
//! Neither way in is a cookie, which a browser would send along with whatever a page from elsewhere makes
//! it ask here, and to every other port of this host. Such a page knows neither the token nor a session's
//! bearer; yet it is turned away before either is looked at, by `Origin` and `Sec-Fetch-Site` (which
//! browsers send with such requests) and by `Host` (which names the page's host if that was rebound to our
//! address).
//!
//! | way in | `Host` | `Origin` | `Sec-Fetch-Site` |
//! |---|---|---|---|
//! | the token | our address, or `localhost` | none | any |
//! | a session's bearer | our address | ours; needed for all but GET and HEAD | `same-origin`, if sent |
//! | nothing: to begin a session, and for the run | the same | the same | the same |
//! | nothing: the page's files | our address | any | any |

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

/// Where a code is exchanged for a session, with neither.
const SIGN_IN: &str = "/v1/session";

/// Where a page asks which run of the node this is, with neither.
const RUN: &str = "/v1/run";

/// What every request has to show.
#[derive(Clone, Debug)]
pub(super) struct Access {
    token: Token,
    served: SocketAddr,
    sessions: Arc<Sessions>,
}

/// Who was let in; what comes from within the process has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Who knows the token.
    Command,
    /// A page with a session.
    Page,
    /// Whoever asks for the page's files, or begins a session.
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

    /// Where the API is.
    pub(super) fn served(&self) -> SocketAddr {
        self.served
    }

    /// The sessions of pages.
    pub(super) const fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Lets a request pass, or says why not.
    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Caller, ApiError> {
        let host = self.host(uri, headers)?;
        if is_of_page(method, uri.path()) {
            self.is_address(&host)?;
            Ok(Caller::Anonymous)
        } else if is_before_a_session(method, uri.path()) {
            self.is_own_page(&host, method, headers)?;
            Ok(Caller::Anonymous)
        } else if let Some(claimed) = claimed(headers) {
            if self.sessions.find(claimed).is_some() {
                self.is_own_page(&host, method, headers)?;
                return Ok(Caller::Page);
            }
            is_no_page_but(headers, &host)?;
            if !self.token.is(claimed) {
                return Err(unauthorized());
            }
            is_no_page(headers)?;
            Ok(Caller::Command)
        } else {
            is_no_page_but(headers, &host).and(Err(unauthorized()))
        }
    }

    /// The host that the request names, which is us: exactly one, by a name no rebinding can fake.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, ApiError> {
        let host = match (only(headers, HOST.as_str()), uri.authority()) {
            (Some(host), None) => host.parse::<Authority>().ok(),
            _ => None,
        };
        let is_us = |host: &Authority| {
            host.port_u16().unwrap_or(80) == self.served.port()
                && !host.as_str().contains('@')
                && (is_localhost(host) || self.is_own_address(host))
        };
        host.filter(is_us)
            .ok_or_else(|| forbidden("the Host header names another host or port"))
    }

    fn is_own_address(&self, host: &Authority) -> bool {
        let host = host.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().is_ok_and(|address| {
            let served = self.served.ip();
            address.is_loopback() || address == served || served.is_unspecified()
        })
    }

    /// Pages have to come by our address: `localhost` is for what is shared, which may be hostile.
    fn is_address(&self, host: &Authority) -> Result<(), ApiError> {
        if self.is_own_address(host) {
            return Ok(());
        }
        let own = page_address(self.served);
        Err(forbidden(format!("the page is at http://{own}/")))
    }

    /// Whether a page of ours sends this, and no other.
    fn is_own_page(
        &self,
        host: &Authority,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        self.is_address(host)?;
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        let is_ours = match only(headers, ORIGIN.as_str()) {
            Some(origin) => origin.strip_prefix("http://") == Some(host.as_str()),
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
        Err(forbidden("requests from other web pages are refused"))
    }
}

/// Whether this is the page itself, which has no secrets.
fn is_of_page(method: &Method, path: &str) -> bool {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    is_reading && (path == "/" || path.starts_with("/page/"))
}

fn is_before_a_session(method: &Method, path: &str) -> bool {
    (method == Method::POST && path == SIGN_IN) || (method == Method::GET && path == RUN)
}

/// The token or bearer that a request shows.
fn claimed(headers: &HeaderMap) -> Option<&[u8]> {
    let claimed = headers.get(AUTHORIZATION)?;
    claimed.as_bytes().strip_prefix(b"Bearer ")
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_no_page(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(ORIGIN) {
        return Err(forbidden("requests from web pages are refused"));
    }
    Ok(())
}

/// Refuses pages, except our own: a page whose session is over gets 401 instead.
fn is_no_page_but(headers: &HeaderMap, own: &Authority) -> Result<(), ApiError> {
    match only(headers, ORIGIN.as_str()) {
        Some(origin) if origin.strip_prefix("http://") == Some(own.as_str()) => Ok(()),
        _ => is_no_page(headers),
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

fn unauthorized() -> ApiError {
    let message = "the bearer token is missing or wrong, or the page's session is over";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message).with_hint(
        "the token is in api.json in the data folder; `pelago ui` opens the page with a new session",
    )
}

/// The bearer that a page of ours shows; nothing from others.
pub(super) struct BearerHeader(Option<Vec<u8>>);

impl BearerHeader {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BearerHeader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(claimed(&parts.headers).map(<[u8]>::to_vec)))
    }
}

/// Lets in those only who know the token, and no page.
pub(super) struct CommandOnly;

impl<S: Send + Sync> FromRequestParts<S> for CommandOnly {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Caller>() {
            None | Some(Caller::Command) => Ok(Self),
            Some(_) => Err(forbidden("this is for those who know the token")),
        }
    }
}
