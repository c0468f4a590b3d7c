//! Callers without a token or a session: they get the page's files, and begin sessions.
//!
//! They have few places of their own, so that they take none from commands and pages. The oldest call yields
//! to the next one, so that requests that never end block no other caller.

use std::{collections::VecDeque, future::Future};

use axum::{
    http::{HeaderValue, StatusCode, header::CONNECTION},
    response::{IntoResponse, Response},
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::error::ApiError;

/// Callers without a token that are answered at once, at most: a browser that opens the page uses six.
pub(super) const MAX_CALLS: usize = 16;

/// The callers that are being answered, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Anonymous(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    running: VecDeque<(u64, oneshot::Sender<()>)>,
    next: u64,
}

impl Anonymous {
    /// The answer to one, unless it has to yield before.
    pub(super) async fn answer(&self, answer: impl Future<Output = Response>) -> Response {
        let mut call = self.enter();
        tokio::select! {
            answer = answer => answer,
            _ = &mut call.displaced => too_many(),
        }
    }

    fn enter(&self) -> Call<'_> {
        let (sender, displaced) = oneshot::channel();
        let mut calls = self.lock();
        if calls.running.len() >= MAX_CALLS {
            calls.running.pop_front();
        }
        let id = calls.next;
        calls.next += 1;
        calls.running.push_back((id, sender));
        Call {
            anonymous: self,
            id,
            displaced,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock()
    }
}

/// The place of one caller, until this is dropped.
struct Call<'s> {
    anonymous: &'s Anonymous,
    id: u64,
    /// Ends when the place is another's.
    displaced: oneshot::Receiver<()>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.anonymous
            .lock()
            .running
            .retain(|(id, _)| *id != self.id);
    }
}

fn too_many() -> Response {
    let message = "others without a token asked meanwhile: ask again";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let refusal = ApiError::new(status, "too-many-calls", message);
    let mut response = refusal.retry_after(1).into_response();
    // Nothing more is read of a request that did not come to its end.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use axum::body::Body;
    use futures::{StreamExt, stream::FuturesUnordered};

    use super::*;

    #[tokio::test]
    async fn the_one_that_takes_the_longest_yields() {
        let anonymous = Anonymous::default();
        let endless = |_| anonymous.answer(pending());
        let mut endless: FuturesUnordered<_> = (0..MAX_CALLS + 2).map(endless).collect();
        for _ in 0..2 {
            let yielded = endless.next().await.unwrap();
            assert_eq!(yielded.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        let answered = anonymous.answer(ready(Response::new(Body::empty()))).await;
        assert_eq!(answered.status(), StatusCode::OK);
        endless.next().await.unwrap();
        assert_eq!(anonymous.lock().running.len(), MAX_CALLS - 1);
        drop(endless);
        assert!(anonymous.lock().running.is_empty());
    }
}
