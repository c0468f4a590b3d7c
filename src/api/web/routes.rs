//! The API of links for browsers.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::{Json, extract::State, http::StatusCode};

use super::{
    addresses::reachable_addresses,
    links::{Grant, Link, MAX_FILES, Received},
    service::AddError,
};
use crate::{
    api::{
        App,
        error::ApiError,
        extract::{JsonBody, PathParameter},
        gateway::encoded,
        openapi::Refused,
        types::{ReceivedFile, WebLink, WebLinkRequest},
    },
    content::Kind,
};

/// Bytes that a link receives, at most, unless a person says otherwise: a film, or a holiday's photos.
const DEFAULT_MAX_BYTES: u64 = 10_000_000_000;

/// Files that a link receives, at most, unless a person says otherwise.
const DEFAULT_MAX_FILES: u64 = 100;

/// Seconds for which a link is valid, at most: ten years, which no run of a node lasts.
const MAX_SECONDS: u64 = 3650 * 86_400;

/// The links by which browsers of people without Pelago download shares and upload files.
#[utoipa::path(
    get, path = "/v1/web-links", operation_id = "webLinks",
    responses((status = 200, description = "Done", body = Vec<WebLink>), Refused),
)]
pub(in crate::api) async fn list(State(app): State<App>) -> Json<Vec<WebLink>> {
    let (links, bound) = app.web.links().await;
    let shown = |link| Some(shown(link, bound?));
    Json(links.iter().filter_map(shown).collect())
}

/// Makes a link by which browsers download a share or upload files into a folder, over plain HTTP.
#[utoipa::path(
    post, path = "/v1/web-links", operation_id = "addWebLink",
    request_body = WebLinkRequest,
    responses((status = 201, description = "The link", body = WebLink), Refused),
)]
pub(in crate::api) async fn add(
    State(app): State<App>,
    JsonBody(request): JsonBody<WebLinkRequest>,
) -> Result<(StatusCode, Json<WebLink>), ApiError> {
    let (grant, received, seconds) = match request {
        WebLinkRequest::Share { what, for_seconds } => {
            let shared = app.node.share_for_browsers(&what).await?;
            let grant = Grant::Share {
                hash: shared.hash,
                kind: shared.kind,
                name: shared.name,
            };
            (grant, Received::default(), for_seconds)
        }
        WebLinkRequest::Receive {
            folder,
            for_seconds,
            max_bytes,
            max_files,
        } => {
            let path = PathBuf::from(folder);
            if !path.is_absolute() {
                let message = format!("the folder {} is not an absolute path", path.display());
                return Err(ApiError::bad("bad-request", message));
            }
            let files_left = max_files.unwrap_or(DEFAULT_MAX_FILES);
            if !(1..=MAX_FILES).contains(&files_left) {
                let message = format!("{files_left} files are not possible: use 1 to {MAX_FILES}");
                return Err(ApiError::bad("bad-request", message));
            }
            let received = Received {
                bytes_left: max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
                files_left,
                files: Vec::new(),
            };
            let folder = app.node.folder_for_receiving(path).await?;
            (Grant::Receive { folder }, received, for_seconds)
        }
    };
    if seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
        let message = format!("a link is valid for 1 to {MAX_SECONDS} seconds");
        return Err(ApiError::bad("bad-request", message));
    }
    let lifetime = seconds.map(Duration::from_secs);
    let listen = app.settings.config().web.listen;
    let added = app
        .web
        .add(&app.node, listen, (grant, received), lifetime)
        .await;
    let (link, bound) = added.map_err(|error| {
        let code = match error {
            AddError::TooMany => "too-many-links",
            AddError::Listen { .. } => "not-listening",
        };
        let refused = ApiError::new(StatusCode::CONFLICT, code, error.to_string());
        refused.with_hint(match error {
            AddError::TooMany => "withdraw one of them",
            AddError::Listen { .. } => "choose another address: pelago settings web.listen IP:PORT",
        })
    })?;
    Ok((StatusCode::CREATED, Json(shown(&link, bound))))
}

/// Withdraws a link. Transfers by it end.
#[utoipa::path(
    delete, path = "/v1/web-links/{id}", operation_id = "removeWebLink",
    params(("id" = String, Path, description = "The id of the link")),
    responses((status = 200, description = "The link, which is withdrawn", body = WebLink), Refused),
)]
pub(in crate::api) async fn remove(
    State(app): State<App>,
    PathParameter(id): PathParameter,
) -> Result<Json<WebLink>, ApiError> {
    let (_, bound) = app.web.links().await;
    let removed = app.web.remove(&id).zip(bound);
    let (link, bound) = removed.ok_or_else(|| {
        let message = format!("there is no link with the id {id:?}");
        ApiError::new(StatusCode::NOT_FOUND, "no-such-link", message)
    })?;
    Ok(Json(shown(&link, bound)))
}

fn shown(link: &Link, bound: SocketAddr) -> WebLink {
    let (name, hash, folder, below) = match &link.grant {
        Grant::Share { hash, kind, name } => {
            // A file below a watched folder is named by its path.
            let last = name.rsplit('/').next().unwrap_or_default();
            let below = match kind {
                Kind::Folder => "/".to_owned(),
                // These would lead elsewhere.
                Kind::File if matches!(last, "" | "." | "..") => String::new(),
                Kind::File => format!("/{}", encoded(last)),
            };
            (name.clone(), Some(hash.to_string()), None, below)
        }
        Grant::Receive { folder } => {
            let name = folder.file_name().unwrap_or_default();
            let path = folder.to_string_lossy().into_owned();
            (
                name.to_string_lossy().into_owned(),
                None,
                Some(path),
                String::new(),
            )
        }
    };
    let is_receiving = folder.is_some();
    let addresses = reachable_addresses(bound).into_iter();
    WebLink {
        id: link.id.clone(),
        kind: if is_receiving { "receive" } else { "share" }.to_owned(),
        urls: addresses
            .map(|address| format!("http://{address}/{}{below}", link.token))
            .collect(),
        name,
        hash,
        folder,
        bytes_left: is_receiving.then_some(link.received.bytes_left),
        files_left: is_receiving.then_some(link.received.files_left),
        received: link
            .received
            .files
            .iter()
            .map(|(path, size)| ReceivedFile {
                path: path.to_string_lossy().into_owned(),
                size: *size,
            })
            .collect(),
        expires_unix_ms: link.expires.map(|expires| expires.unix_ms),
    }
}
