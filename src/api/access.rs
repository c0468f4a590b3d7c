//! Who may call: the token's holders, on this host, and no web page.
//!
//! A page from elsewhere can make a browser send requests here. It cannot know the token; yet it is
//! turned away before that is looked at, by `Origin` (which browsers send with such requests) and by
//! `Host` (which names the page's host if that was rebound to our address).

use std::net::{IpAddr, SocketAddr};

use axum::http::{
    HeaderMap, StatusCode, Uri,
    header::{AUTHORIZATION, HOST, ORIGIN},
    uri::Authority,
};

use super::{Token, error::ApiError};

/// What every request has to show.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: Token,
    pub(super) served: SocketAddr,
}

impl Access {
    /// Lets a request pass, or says why not.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        if headers.contains_key(ORIGIN) {
            return Err(forbidden("requests from web pages are refused"));
        }
        if !self.is_host(uri, headers) {
            return Err(forbidden("the Host header names another host or port"));
        }
        let claimed = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let claimed = claimed.and_then(|value| value.strip_prefix(b"Bearer "));
        match claimed {
            Some(claimed) if self.token.is(claimed) => Ok(()),
            _ => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the bearer token is missing or wrong; it is in api.json in the data folder",
            )),
        }
    }

    /// Whether the request names us: exactly one host, by an address no rebinding can fake.
    fn is_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next(), uri.authority()) {
            (Some(host), None, None) => host.to_str().ok(),
            _ => None,
        };
        let authority: Option<Authority> = host.and_then(|host| host.parse().ok());
        authority.is_some_and(|authority| {
            authority.port_u16() == Some(self.served.port()) && self.is_us(authority.host())
        })
    }

    fn is_us(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let served = self.served.ip();
                address.is_loopback() || address == served || served.is_unspecified()
            }
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }
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

fn forbidden(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}
