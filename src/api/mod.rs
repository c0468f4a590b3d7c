//! The local HTTP API: how commands, and later a web page, reach a node on the same machine.
//!
//! Owns the routes, the JSON types, who may call, and the client. Handlers are thin: they turn JSON
//! into a call of the [`Node`](crate::node::Node) handle and what comes back into JSON. Never
//! decides what sharing or downloading means, and never reads the data folder but for `api.json`.
//! Failures leave as a status code and `{"error":{"code","message","hint"}}`; once a stream has
//! begun, as its last line.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /v1/status` | [`types::Status`] |
//! | `GET /v1/peers` | list of [`types::Peer`] |
//! | `GET /v1/health` | [`types::Health`] |
//! | `GET /v1/limits` | [`types::Limits`] |
//! | `PUT /v1/limits` [`types::LimitsChange`] | [`types::Limits`], as they are then |
//! | `GET /v1/shares` | list of [`types::Listed`] |
//! | `POST /v1/shares` [`types::ShareRequest`] | lines of [`types::ShareEvent`] |
//! | `DELETE /v1/shares?what=HASH` (or a name) | list of [`types::Shared`] |
//! | `GET /v1/links?what=HASH` (or a name; or nothing for all) | list of [`types::Shared`] |
//! | `POST /v1/look` [`types::LookRequest`] | [`types::Content`] |
//! | `GET /v1/catalogue?peer=ADDR` or `?wait=SECONDS` | list of [`types::Listed`] |
//! | `GET /v1/downloads` | list of [`types::DownloadStatus`] |
//! | `POST /v1/downloads` [`types::DownloadRequest`] | lines of [`types::DownloadEvent`] |
//!
//! Lines are newline-delimited JSON (`application/x-ndjson`). Closing the connection stops what
//! the stream is about: hashing ends, a download pauses, unless it was asked for with `detach`.

mod access;
mod api_file;
mod catalogue;
mod client;
mod convert;
mod downloads;
mod error;
mod events;
mod extract;
mod limits;
mod local;
mod look;
mod router;
pub(crate) mod seconds;
mod serve;
mod shares;
mod status;
#[cfg(test)]
mod tests;
mod token;
pub mod types;

pub use api_file::{ApiFile, ApiFileError};
pub use client::{CallError, Client, Events};
pub use local::{Local, LocalError};
pub use router::router;
pub use serve::serve;
pub use token::Token;
