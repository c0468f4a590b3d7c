//! Streams of events as newline-delimited JSON.
//!
//! The client drives its stream: only the newest progress is kept for a slow client, and closing
//! the connection stops the operation that the stream reports.

use std::{convert::Infallible, future::Future};

use axum::{
    body::Body,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, future::Either, stream};
use serde::Serialize;
use tokio::sync::watch;

/// Tells a proxy to pass each event on at once (nginx and others).
pub(super) const UNBUFFERED: (HeaderName, &str) =
    (HeaderName::from_static("x-accel-buffering"), "no");

/// Newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";

/// A response with one line per event.
pub(super) fn lines<E>(events: impl Stream<Item = E> + Send + 'static) -> Response
where
    E: Serialize,
{
    let lines = events.map(|event| {
        // Our events have text keys and finite numbers, which are always valid JSON.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(line)
    });
    let headers = [
        (CONTENT_TYPE, NDJSON),
        (CACHE_CONTROL, "no-store"),
        UNBUFFERED,
    ];
    (headers, Body::from_stream(lines)).into_response()
}

/// The changes of `watched` while `end` runs, then the output of `end`. Changes between two reads
/// count as one.
pub(super) fn until<T, F>(
    watched: watch::Receiver<T>,
    end: F,
) -> impl Stream<Item = Either<T, F::Output>> + Send
where
    T: Clone + Send + Sync,
    F: Future<Output: Send> + Send + Unpin,
{
    stream::unfold(Some((watched, end)), |state| async {
        let (mut watched, mut end) = state?;
        tokio::select! {
            biased;
            output = &mut end => Some((Either::Right(output), None)),
            // A closed watch never changes again. Then only `end` remains.
            Ok(()) = watched.changed() => {
                let value = watched.borrow_and_update().clone();
                Some((Either::Left(value), Some((watched, end))))
            }
        }
    })
}
