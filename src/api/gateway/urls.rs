//! The URLs under which the gateway serves content.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{Extension, Json, extract::State, http::StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::key::Key;
use crate::{
    api::{
        error::ApiError,
        extract::QueryParameters,
        openapi::Refused,
        types::{self, GatewayQuery},
        web::origins_elsewhere,
    },
    content::{Hash, Kind},
    node::Node,
};

/// The characters that are percent-encoded in a segment of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name as a segment of a path.
pub(in crate::api) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// Makes URLs of the gateway. Holds the key, which grants reading of all content.
#[derive(Clone, Debug)]
pub struct GatewayUrls {
    key: Key,
    served: SocketAddr,
}

impl GatewayUrls {
    pub(super) const fn new(key: Key, served: SocketAddr) -> Self {
        Self { key, served }
    }

    /// Scheme, host and port. The host differs from that of the API, which rejects pages at
    /// `localhost`.
    #[must_use]
    pub fn origin(&self) -> String {
        let (ip, port) = (self.served.ip(), self.served.port());
        // The gateway then listens at both addresses of `localhost`.
        if ip == Ipv4Addr::LOCALHOST || ip == Ipv4Addr::UNSPECIFIED {
            format!("http://localhost:{port}")
        } else if ip.is_unspecified() {
            format!("http://[::1]:{port}")
        } else {
            format!("http://{}", self.served)
        }
    }

    /// The URL of content. Browsers save a file as `name`.
    #[must_use]
    pub fn url(&self, hash: &Hash, kind: Option<Kind>, name: Option<&str>) -> String {
        format!("{}{}", self.origin(), self.path(hash, kind, name))
    }

    /// The same at the origins by which other machines reach the gateway.
    fn urls_elsewhere(&self, hash: &Hash, kind: Option<Kind>, name: Option<&str>) -> Vec<String> {
        let path = self.path(hash, kind, name);
        let origins = origins_elsewhere(self.served).into_iter();
        origins.map(|origin| format!("{origin}{path}")).collect()
    }

    fn path(&self, hash: &Hash, kind: Option<Kind>, name: Option<&str>) -> String {
        let capability = self.key.capability(hash);
        // A file below a watched folder is named by its path. Browsers save it under the last name.
        let last = name.and_then(|name| name.rsplit('/').next());
        let name = match (kind, last) {
            // These would lead elsewhere.
            (Some(Kind::Folder), _) | (_, None | Some("." | "..")) => String::new(),
            (_, Some(name)) => encoded(name),
        };
        match (kind, name.as_str()) {
            (Some(Kind::File), "") => format!("/{capability}/{hash}"),
            // It may be a folder, which would be searched for the name.
            (None, _) => format!("/{capability}/{hash}"),
            (Some(_), name) => format!("/{capability}/{hash}/{name}"),
        }
    }
}

/// The URL of content at the gateway.
#[utoipa::path(
    get, path = "/v1/gateway", operation_id = "gateway",
    params(GatewayQuery),
    responses((status = 200, description = "Done", body = types::Gateway), Refused),
)]
pub(in crate::api) async fn url(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<GatewayQuery>,
    urls: Option<Extension<GatewayUrls>>,
) -> Result<Json<types::Gateway>, ApiError> {
    let Some(Extension(urls)) = urls else {
        let message = "this node has no gateway: start it without --gateway off";
        return Err(ApiError::new(StatusCode::CONFLICT, "gateway-off", message));
    };
    let (link, kind) = node.readable(&query.what).await?;
    let url = urls.url(&link.hash, kind, link.name.as_deref());
    let urls_elsewhere = urls.urls_elsewhere(&link.hash, kind, link.name.as_deref());
    let is_open = link.group.is_some() && !urls.served.ip().is_loopback();
    let note = format!(
        "This is content of a group, and the gateway listens at {}: every program that gets the URL \
         and reaches that address can read it.",
        urls.served
    );
    let notes = is_open.then_some(note).into_iter().collect();
    Ok(Json(types::Gateway {
        url,
        urls_elsewhere,
        notes,
    }))
}

#[cfg(test)]
mod tests {
    use super::{super::path::Target, *};

    #[test]
    fn each_url_leads_to_its_content() {
        let key = Key::load_or_create(tempfile::tempdir().unwrap().path()).unwrap();
        let urls = GatewayUrls::new(key.clone(), "127.0.0.1:80".parse().unwrap());
        let hash = Hash::from_bytes([7; 32]);
        let names = |name| {
            let url = urls.url(&hash, Some(Kind::File), name);
            let path = url.strip_prefix("http://localhost:80").unwrap();
            let target = Target::parse(path, &key).unwrap();
            assert_eq!(target.hash, hash);
            target.names
        };
        assert_eq!(names(Some("a film.mkv")), ["a film.mkv"]);
        assert_eq!(names(Some("films/summer/100%.mkv")), ["100%.mkv"]);
        assert_eq!(urls.urls_elsewhere(&hash, None, None), [""; 0]);
        let open = GatewayUrls::new(key.clone(), "192.0.2.1:80".parse().unwrap());
        let elsewhere = open.urls_elsewhere(&hash, Some(Kind::Folder), None);
        assert_eq!(elsewhere, [open.url(&hash, Some(Kind::Folder), None)]);
        for without in [None, Some(""), Some(".."), Some("films/"), Some("films/..")] {
            assert_eq!(names(without), [""; 0], "{without:?}");
        }
    }
}
