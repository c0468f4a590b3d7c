//! Names of this host, as requests and browsers use them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::uri::Authority;

/// The address at which a browser on this host finds the page of an API that listens at `served`.
#[must_use]
pub fn page_address(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}

/// Whether `host`, as a request names it, is loopback, by a name that DNS rebinding cannot forge.
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

pub(super) fn is_localhost(host: &Authority) -> bool {
    host.host().eq_ignore_ascii_case("localhost")
}
