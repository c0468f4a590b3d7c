//! The page: its files, as they are in the binary. No build step, and nothing from elsewhere: the policy sent
//! along would not let it in.

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// What the page may load and do: its own files, and calls to where it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        /// Name, type and bytes of each.
        const FILES: &[(&str, &str, &[u8])] = &[$(($name, $kind, include_bytes!($name))),*];
    };
}

files! {
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "content.js": SCRIPT,
    "detail.js": SCRIPT,
    "dom.js": SCRIPT,
    "download.js": SCRIPT,
    "downloads.js": SCRIPT,
    "format.js": SCRIPT,
    "log.js": SCRIPT,
    "match.js": SCRIPT,
    "network.js": SCRIPT,
    "peers.js": SCRIPT,
    "plot.js": SCRIPT,
    "rows.js": SCRIPT,
    "settings.js": SCRIPT,
    "shares.js": SCRIPT,
    "state.js": SCRIPT,
}
