//! Who may call: the token's holders, and pages of ours with a session; on this host, and no other page.
//!
//! A page from elsewhere can make a browser send requests here. It knows neither the token nor, as the
//! cookie is `SameSite=Strict`, can it have that sent along; yet it is turned away before either is
//! looked at, by `Origin` and `Sec-Fetch-Site` (which browsers send with such requests) and by `Host`
//! (which names the page's host if that was rebound to our address).
//!
//! | way in | `Host` | `Origin` | `Sec-Fetch-Site` |
//! |---|---|---|---|
//! | bearer token | our address, or `localhost` | none | any |
//! | cookie | our address | ours; needed for all but GET and HEAD | `same-origin`, if sent |
//! | nothing: the page's files | our address | any | any |

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{AUTHORIZATION, COOKIE, HOST, ORIGIN},
        request::Parts,
        uri::Authority,
    },
};

use super::{Token, error::ApiError, sessions::Sessions};

/// Where a code is exchanged for a cookie, with neither.
const SIGN_IN: &str = "/v1/session";

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
    Anybody,
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
            Ok(Caller::Anybody)
        } else if let Some(claimed) = headers.get(AUTHORIZATION) {
            is_no_page(headers)?;
            match claimed.as_bytes().strip_prefix(b"Bearer ") {
                Some(claimed) if self.token.is(claimed) => Ok(Caller::Command),
                _ => Err(unauthorized()),
            }
        } else if method == Method::POST && uri.path() == SIGN_IN {
            self.is_own_page(&host, method, headers)?;
            Ok(Caller::Anybody)
        } else if let Some(session) = self.session(headers) {
            self.is_own_page(&host, method, headers)?;
            if self.sessions.is(session) {
                Ok(Caller::Page)
            } else {
                Err(unauthorized())
            }
        } else {
            is_no_page(headers).and(Err(unauthorized()))
        }
    }

    /// The secret in the cookie, if there is one.
    pub(super) fn session<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.cookie_name();
        let cookies = headers.get_all(COOKIE).iter();
        let mut cookies = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='));
        cookies
            .find(|(found, _)| *found == name)
            .map(|(_, secret)| secret)
    }

    /// What the cookie is called: cookies do not respect ports, so other nodes' have other names.
    pub(super) fn cookie_name(&self) -> String {
        format!("pelago-{}", self.served.port())
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

/// Where a browser on this host finds the page of an API that listens at `served`.
pub(super) fn page_address(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}

/// Whether this is the page itself, which has no secrets.
fn is_of_page(method: &Method, path: &str) -> bool {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    is_reading && (path == "/" || path.starts_with("/page/"))
}

fn is_localhost(host: &Authority) -> bool {
    host.host().eq_ignore_ascii_case("localhost")
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

/// Whether `host`, as a request names it, is this host as seen from itself, by a name that no rebinding
/// can fake.
pub(super) fn is_loopback_name(host: &str) -> bool {
    let authority: Option<Authority> = host.parse().ok();
    authority.is_some_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        match address.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    })
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

/// Lets in those only who know the token, and no page.
pub(super) struct Commands;

impl<S: Send + Sync> FromRequestParts<S> for Commands {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Caller>() {
            None | Some(Caller::Command) => Ok(Self),
            Some(_) => Err(forbidden("this is for those who know the token")),
        }
    }
}
