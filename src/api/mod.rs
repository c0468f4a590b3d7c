//! The local HTTP API: how commands and the web page reach a node on the same machine.
//!
//! Owns the routes, the JSON types ([`types`]), access control, the web page, the gateway, the links
//! for browsers (`web`) and the [`Client`]. Handlers are thin: they turn JSON into a call of the [`Node`](crate::node::Node)
//! handle, and its result into JSON. Never decides what sharing or downloading means. In the data
//! folder, it touches only its own files: `api.json`, `pages.json`, `page-*.html`, `gateway.key`
//! and `gateway.port`. Errors leave as problem details ([`types::Problem`], RFC 9457); once a
//! stream has begun, as its last line.
//!
//! `GET /v1/openapi.json` describes every route. Long lists come in pages (`paging`). A stream of
//! lines is newline-delimited JSON (`ndjson`), and closing its connection stops the operation:
//! hashing ends and a download pauses, unless the request set `detach`.
//!
//! Embedders call [`router`] in-process, [`serve`] it on a socket of their own, or open a
//! [`LocalApi`], which commands and pages find through the data folder.

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
mod groups;
mod hex;
mod host;
mod local;
mod log;
mod metrics;
mod ndjson;
mod open;
mod openapi;
mod origins;
mod page;
mod paging;
mod process;
mod qr;
mod redirect;
mod router;
mod routes;
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
mod timed_limits;
mod token;
pub mod types;
mod uploads;
mod user;
mod users;
mod web;

pub use api_file::{ApiFile, ApiFileError};
pub use app::App;
pub use client::{CallError, Changes, Client, Events, PageUrl};
pub use gateway::{Gateway, GatewayError, GatewaySettings, GatewayUrls, KeyError};
pub use host::page_address;
pub use local::{LocalApi, LocalApiError, LocalApiServer};
pub use log::Log;
pub use metrics::{MetricsServer, serve_metrics};
pub use qr::QrCode;
pub use router::{locked_router, router, user_router};
pub use serve::serve;
pub use settings::setting_values;
pub use token::Token;
pub use users::{Transition, Users};
