//! Streams of events, one JSON document a line.
//!
//! A stream is driven by whoever reads it: nothing is queued for a slow reader but the newest
//! progress, and what is dropped unread stops what it was about.

use std::{convert::Infallible, future::Future};

use axum::{
    body::Body,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, future::Either, stream};
use serde::Serialize;
use tokio::sync::watch;

/// Newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";

/// An answer of one line an event.
pub(super) fn lines<E>(events: impl Stream<Item = E> + Send + 'static) -> Response
where
    E: Serialize,
{
    let lines = events.map(|event| {
        // Our events have text keys and finite numbers: nothing that JSON could not say.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(line)
    });
    let headers = [(CONTENT_TYPE, NDJSON), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(lines)).into_response()
}

/// Each change that `watched` shows while `end` runs, then what `end` ended with. Changes between
/// two reads are one.
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
            // A watch that has closed says nothing new: then only the end is waited for.
            Ok(()) = watched.changed() => {
                let value = watched.borrow_and_update().clone();
                Some((Either::Left(value), Some((watched, end))))
            }
        }
    })
}
