//! Files that are uploaded to a shared folder.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{
    error::ApiError,
    extract::PathParameter,
    openapi::Refused,
    types::{Added, ErrorInfo},
};
use crate::node::{IncomingError, NewFileError, Node};

/// How long an upload may pause. Browsers read files from a disk. Tests wait for this time-out.
const STALL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Adds a file to the first shared folder. Needs a Content-Length.
#[utoipa::path(
    put, path = "/v1/files/{name}", operation_id = "addFile",
    params(("name" = String, Path, description = "The name of the file")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "The file was added", body = Added), Refused),
)]
pub(super) async fn add(
    State(node): State<Node>,
    PathParameter(name): PathParameter,
    headers: HeaderMap,
    mut body: Body,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let len = headers.get(CONTENT_LENGTH);
    let len = len.and_then(|len| len.to_str().ok()?.parse().ok());
    let len = len.ok_or_else(|| {
        let message = "the upload has no Content-Length header: send the size of the file";
        ApiError::new(StatusCode::LENGTH_REQUIRED, "bad-request", message)
    })?;
    let mut file = node.add_file(&name, len).await.map_err(refused)?;
    loop {
        let frame = timeout(STALL, body.frame()).await.map_err(|_| {
            let message = "the upload stalled: send the file again";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "bad-request", message)
        })?;
        match frame {
            None => break,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    file.write(&data).await.map_err(refused)?;
                }
            }
            Some(Err(error)) => {
                let message = format!("the upload ended early: {error}");
                return Err(ApiError::bad("bad-request", message));
            }
        }
    }
    let path = file.finish().await.map_err(refused)?;
    let path = path.to_string_lossy().into_owned();
    Ok((StatusCode::CREATED, Json(Added { path })))
}

fn refused(error: IncomingError) -> ApiError {
    let status = match &error {
        IncomingError::Name { .. } => StatusCode::BAD_REQUEST,
        IncomingError::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        IncomingError::File(NewFileError::Full { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        IncomingError::File(NewFileError::Write { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    };
    let refused = ApiError::with(status, ErrorInfo::from(error));
    match status {
        StatusCode::SERVICE_UNAVAILABLE => refused.retry_after(1),
        _ => refused,
    }
}
