//! Server-sent events: the state of the node, then its changes.
//! The client drives its stream. The stream compares the snapshot that it sent last with the newest
//! one, frame by frame, so nothing is queued for a slow client.

mod difference;
mod snapshots;
mod stream;
mod topics;

use std::convert::Infallible;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

use self::{stream::EventStream, topics::Topics};
use super::{
    App,
    error::ApiError,
    extract::QueryParameters,
    ndjson::UNBUFFERED,
    openapi::Refused,
    serve::ShutdownSignal,
    status::Addresses,
    types::{EventsQuery, Hello},
};

#[cfg(test)]
pub(super) use self::snapshots::MAX_STREAMS;
pub(super) use self::snapshots::Snapshots;

/// Seconds after which a client without a stream may retry. People close pages meanwhile.
const RETRY_SECONDS: u64 = 5;

/// Server-sent events: `hello`, the state of the node, `ready`, then changes.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "events",
    params(EventsQuery),
    responses(
        (
            status = 200,
            description = "Events: hello Hello, status Status, download DownloadStatus, \
            download-removed DownloadRemoved, upload Upload, upload-removed UploadRemoved, share Shared, share-removed ShareRemoved, being-written \
            FileBeingWritten, written FileWritten, peer Peer, peer-removed PeerRemoved, group Group, \
            group-removed GroupRemoved, join Join, join-removed JoinRemoved, settings list of \
            Setting, log LogLine, ready",
            body = String, content_type = "text/event-stream",
        ),
        Refused,
    ),
)]
pub(super) async fn events(
    State(app): State<App>,
    addresses: Addresses,
    shutdown: Option<Extension<ShutdownSignal>>,
    QueryParameters(query): QueryParameters<EventsQuery>,
) -> Result<Response, ApiError> {
    let topics = Topics::new(query.of.as_deref())?;
    let subscription = app.snapshots.subscribe().ok_or_else(|| {
        let message = "too many streams of events are open: close a page, or try again later";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", message)
            .retry_after(RETRY_SECONDS)
    })?;
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        peer_id: app.node.peer_id().to_string(),
        name: app.node.name().to_owned(),
        started_unix_ms: app.started_unix_ms,
    };
    let stream = EventStream::new(
        subscription,
        topics,
        app.log,
        app.settings,
        addresses,
        shutdown.map(|Extension(ShutdownSignal(shutdown))| shutdown),
        &hello,
    );
    let frames = futures::stream::unfold(stream, |mut stream| async {
        let frame = stream.frame().await?;
        Some((Ok::<_, Infallible>(frame), stream))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        UNBUFFERED,
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}
