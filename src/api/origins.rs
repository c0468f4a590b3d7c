//! The origins of the page beyond its own address: those of tunnels and proxies.

use std::sync::Arc;

use axum::http::uri::Authority;

/// Origins at which browsers may open the page, in addition to the address of the API. A program that
/// listens there can use the sessions of pages, so only a person names them (`api.allowed_origins`).
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Arc<[String]>);

impl From<Vec<String>> for Origins {
    fn from(origins: Vec<String>) -> Self {
        Self(origins.into())
    }
}

impl Origins {
    /// Whether this is one of them, as browsers write it.
    pub(super) fn contain(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known == origin)
    }

    /// Whether one of them has this host and port, as a `Host` header names it.
    pub(super) fn name(&self, host: &Authority) -> bool {
        self.0.iter().any(|origin| {
            let (default, authority) = parts(origin);
            let named = host.as_str().to_ascii_lowercase();
            authority == named || named.strip_suffix(default) == Some(authority)
        })
    }

    /// Their hosts and ports, as `location.host` has them in a browser.
    pub(super) fn authorities(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|origin| parts(origin).1)
    }

    /// Each of them.
    pub(super) fn all(&self) -> &[String] {
        &self.0
    }
}

/// The default port of an origin, and the origin without its scheme.
fn parts(origin: &str) -> (&'static str, &str) {
    match origin.strip_prefix("https://") {
        Some(authority) => (":443", authority),
        None => (":80", origin.trim_start_matches("http://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_as_browsers_write_them() {
        let origins = ["https://a.example", "http://127.0.0.1:9000"].map(str::to_owned);
        let origins = Origins::from(origins.to_vec());
        let names = |host: &str| origins.name(&host.parse().unwrap());
        for host in ["a.example", "A.example", "a.example:443", "127.0.0.1:9000"] {
            assert!(names(host), "{host}");
        }
        for host in ["a.example:80", "b.a.example", "127.0.0.1", "127.0.0.1:90"] {
            assert!(!names(host), "{host}");
        }
        assert!(origins.contain("https://a.example"));
        assert!(!origins.contain("http://a.example"));
        let authorities: Vec<_> = origins.authorities().collect();
        assert_eq!(authorities, ["a.example", "127.0.0.1:9000"]);
    }
}
