//! Callers without a token or a session: they get the page's files, and begin sessions.
//!
//! They have few places of their own, so that they cost others nothing. The one that has taken the longest
//! yields to the next, so that those who never finish what they ask keep nobody out.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use tokio::{
    sync::oneshot,
    time::{error::Elapsed, timeout},
};

use super::error::ApiError;

/// Callers without a token that are answered at once, at most: a browser that opens the page uses six.
pub(super) const MAX_CALLS: usize = 16;

/// How long one may take to bring all of its request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The callers that are being answered, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    taken: VecDeque<(u64, oneshot::Sender<()>)>,
    next: u64,
}

impl Strangers {
    /// The answer to one, unless it has to yield before.
    pub(super) async fn answer(&self, answer: impl Future<Output = Response>) -> Response {
        let mut place = self.enter();
        tokio::select! {
            answer = timeout(TIMEOUT, answer) => answer.unwrap_or_else(|_: Elapsed| too_slow()),
            _ = &mut place.lost => too_many(),
        }
    }

    fn enter(&self) -> Place<'_> {
        let (sender, lost) = oneshot::channel();
        let mut places = self.lock();
        if places.taken.len() >= MAX_CALLS {
            places.taken.pop_front();
        }
        let id = places.next;
        places.next += 1;
        places.taken.push_back((id, sender));
        Place {
            strangers: self,
            id,
            lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one caller, until this is dropped.
struct Place<'s> {
    strangers: &'s Strangers,
    id: u64,
    /// Ends when the place is another's.
    lost: oneshot::Receiver<()>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.strangers.lock().taken.retain(|(id, _)| *id != self.id);
    }
}

fn too_slow() -> Response {
    let message = "the request did not come to its end in time";
    closing(ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "too-slow",
        message,
    ))
}

fn too_many() -> Response {
    let message = "others without a token asked meanwhile: ask again";
    let mut response = closing(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-calls",
        message,
    ));
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Nothing more is read from who did not finish.
fn closing(error: ApiError) -> Response {
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use axum::body::Body;
    use futures::{StreamExt, stream::FuturesUnordered};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_takes_the_longest_yields_and_no_one_takes_for_ever() {
        let strangers = Strangers::default();
        let endless: FuturesUnordered<_> = (0..MAX_CALLS + 2)
            .map(|_| strangers.answer(pending()))
            .collect();
        let answers = endless
            .map(|response| response.status())
            .collect::<Vec<_>>();
        let asks = async {
            tokio::task::yield_now().await;
            strangers
                .answer(ready(Response::new(Body::empty())))
                .await
                .status()
        };
        let (answers, asked) = tokio::join!(answers, asks);
        assert_eq!(asked, StatusCode::OK);
        let count = |status| answers.iter().filter(|found| **found == status).count();
        assert_eq!(count(StatusCode::SERVICE_UNAVAILABLE), 3);
        assert_eq!(count(StatusCode::REQUEST_TIMEOUT), MAX_CALLS - 1);
        assert!(strangers.lock().taken.is_empty());
    }
}
