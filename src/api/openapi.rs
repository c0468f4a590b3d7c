//! The document that describes the API, made of the routes themselves.

#![allow(unused_qualifications)] // a derive writes one

use std::sync::Arc;

use axum::{Extension, Json};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        self,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::types::{
    DownloadRemoved, FileBeingWritten, FileWritten, Hello, Peer, PeerRemoved, Problem, Ready,
    Setting, ShareRemoved, Shared, Status,
};

/// What is said of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pelago",
        description = "The local API of a node. Commands send the bearer token that is in `api.json` in \
            the data folder. A page begins a session with a one-time code and sends the bearer of that; it \
            has to come from the API's own origin.",
    ),
    components(schemas(
        DownloadRemoved,
        FileBeingWritten,
        FileWritten,
        Hello,
        Peer,
        PeerRemoved,
        Problem,
        Ready,
        Setting,
        ShareRemoved,
        Shared,
        Status,
    )),
    modifiers(&SecuritySchemes)
)]
pub(super) struct Document;

/// The two ways in.
struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", bearer());
        components.add_security_scheme("session", bearer());
        let none: [&str; 0] = [];
        document.security = Some(vec![
            SecurityRequirement::new("token", none),
            SecurityRequirement::new("session", none),
        ]);
    }
}

/// What every call may be answered with instead.
#[derive(IntoResponses)]
#[response(
    status = "default",
    description = "Why it was not done",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "it describes what errors answer with")]
pub(super) struct Refused(Problem);

/// The document, once all routes are known.
#[derive(Clone)]
pub(super) struct OpenApiDocument(pub(super) Arc<openapi::OpenApi>);

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "openapi",
    responses((status = 200, description = "The document", body = Object), Refused))]
pub(super) async fn document(
    Extension(described): Extension<OpenApiDocument>,
) -> Json<openapi::OpenApi> {
    Json(openapi::OpenApi::clone(&described.0))
}
