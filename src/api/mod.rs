//! The local HTTP API: how commands and the web page reach a node on the same machine.
//!
//! Owns the routes, the JSON types, who may call, and the client. Handlers are thin: they turn JSON
//! into a call of the [`Node`](crate::node::Node) handle and what comes back into JSON. Never
//! decides what sharing or downloading means, and never reads the data folder but for `api.json`.
//! Failures leave as problem details ([`types::Problem`], RFC 9457); once a stream has begun, as its
//! last line.
//!
//! What follows is what there is; `GET /v1/openapi.json` describes all of it.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /` and `GET /page/{file}` | the web page, without its data |
//! | `POST /v1/codes` (with `?file=true`, and a file) | [`types::Code`]; for commands only |
//! | `POST /v1/session` [`types::SignIn`], `GET /v1/session` | [`types::Session`]; for pages |
//! | `DELETE /v1/session` | nothing; for pages |
//! | `GET /v1/run` | [`types::Run`]; for pages |
//! | `GET /v1/events?of=TOPICS` | server-sent events: what is, then what changes |
//! | `GET /v1/log?level=LEVEL` | list of [`types::LogLine`] |
//! | `GET /v1/status` | [`types::Status`] |
//! | `GET /v1/peers` | list of [`types::Peer`] |
//! | `GET /metrics` | text of OpenMetrics, for Prometheus |
//! | `GET /v1/health` | [`types::Health`] |
//! | `GET /v1/settings` | list of [`types::Setting`] |
//! | `PATCH /v1/settings` [`types::SettingsChange`] | list of [`types::Setting`], as they are then |
//! | `GET /v1/limits` | [`types::Limits`] |
//! | `PUT /v1/limits` [`types::LimitsChange`] | [`types::Limits`], as they are then |
//! | `GET /v1/shares` | list of [`types::Listed`] |
//! | `POST /v1/shares` [`types::ShareRequest`] | lines of [`types::ShareEvent`] |
//! | `GET /v1/unavailable` | [`types::UnavailableShares`] |
//! | `GET /v1/exclusions` | list of [`types::ExcludedPath`] |
//! | `DELETE /v1/shares?what=HASH` (or a name, or an absolute path) | list of [`types::Shared`] |
//! | `GET /v1/links?what=HASH` (or a name; or nothing for all) | list of [`types::Shared`] |
//! | `GET /v1/links/qr?what=HASH` (or a name) | its link as an SVG image |
//! | `PUT /v1/files/{name}`, the file | [`types::Added`] |
//! | `POST /v1/look` [`types::OpenRequest`] | [`types::ContentInfo`] |
//! | `GET /v1/gateway?what=HASH` (or a link, or a name) | [`types::Gateway`] |
//! | `GET /v1/catalogue?peer=ADDR` or `?wait=SECONDS` | list of [`types::Listed`] |
//! | `GET /v1/downloads` | list of [`types::DownloadStatus`] |
//! | `GET /v1/downloads/{what}/detail` | [`types::DownloadDetail`] |
//! | `POST /v1/downloads` [`types::DownloadRequest`] | lines of [`types::DownloadEvent`] |
//!
//! Lists of shares, links, downloads, peers, lines and catalogues come in pages: `?limit=N&after=CURSOR`,
//! the next one named by a `Link` header. Lines are newline-delimited JSON (`application/x-ndjson`). Closing the connection stops what
//! the stream is about: hashing ends, a download pauses, unless it was asked for with `detach`.

mod access;
mod anonymous;
mod api_file;
mod app;
mod catalogue;
mod client;
mod connections;
mod convert;
mod downloads;
mod error;
mod events;
mod extract;
mod fallback;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gateway;
mod host;
mod local;
mod log;
mod metrics;
mod ndjson;
mod open;
mod openapi;
mod page;
mod paging;
mod qr;
mod redirect;
mod router;
mod saved_sessions;
pub(crate) mod seconds;
mod serve;
mod sessions;
mod settings;
mod shares;
mod sign_in;
mod status;
#[cfg(test)]
mod tests;
mod token;
pub mod types;

pub use api_file::{ApiFile, ApiFileError};
pub use app::App;
pub use client::{CallError, Client, Events, PageUrl};
pub use gateway::{Gateway, GatewayError, GatewaySettings, GatewayUrls, KeyError};
pub use local::{LocalApi, LocalApiError, LocalApiServer};
pub use log::Log;
pub use metrics::{MetricsServer, serve_metrics};
pub use qr::QrCode;
pub use router::router;
pub use serve::serve;
pub use settings::setting_values;
pub use token::Token;
