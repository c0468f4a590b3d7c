//! Calls without a credential, which load the page's files and sign in.
//!
//! A limit of their own keeps them from displacing commands and pages. At the limit, the newest
//! call displaces the oldest, so that calls that never end block no others.

use std::{collections::VecDeque, future::Future};

use axum::{
    http::{HeaderValue, StatusCode, header::CONNECTION},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::error::ApiError;

/// Calls without a credential that run at the same time, at most. A browser that opens the page
/// uses six.
pub(super) const MAX_CALLS: usize = 16;

/// The running calls, oldest first.
#[derive(Debug, Default)]
pub(super) struct Anonymous(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    running: VecDeque<(u64, oneshot::Sender<()>)>,
    next: u64,
}

impl Anonymous {
    /// The response of one call, or an error if a newer call displaces it.
    pub(super) async fn answer(&self, answer: impl Future<Output = Response>) -> Response {
        let mut call = self.enter();
        tokio::select! {
            answer = answer => answer,
            _ = &mut call.displaced => too_many(),
        }
    }

    fn enter(&self) -> Call<'_> {
        let (sender, displaced) = oneshot::channel();
        let mut calls = self.0.lock();
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
}

/// One running call, until this is dropped.
struct Call<'s> {
    anonymous: &'s Anonymous,
    id: u64,
    /// Resolves when a newer call displaces this one.
    displaced: oneshot::Receiver<()>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut calls = self.anonymous.0.lock();
        calls.running.retain(|(id, _)| *id != self.id);
    }
}

fn too_many() -> Response {
    let message = "too many calls without a credential: try again";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let refusal = ApiError::new(status, "too-many-calls", message);
    let mut response = refusal.retry_after(1).into_response();
    // The rest of an unfinished request is not read.
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
    async fn the_oldest_call_is_displaced() {
        let anonymous = Anonymous::default();
        let endless = |_| anonymous.answer(pending());
        let mut endless: FuturesUnordered<_> = (0..MAX_CALLS + 2).map(endless).collect();
        for _ in 0..2 {
            let displaced = endless.next().await.unwrap();
            assert_eq!(displaced.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        let answered = anonymous.answer(ready(Response::new(Body::empty()))).await;
        assert_eq!(answered.status(), StatusCode::OK);
        endless.next().await.unwrap();
        assert_eq!(anonymous.0.lock().running.len(), MAX_CALLS - 1);
        drop(endless);
        assert!(anonymous.0.lock().running.is_empty());
    }
}
