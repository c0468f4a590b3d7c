//! Word of changes of the node, from its stream of events.

use axum::body::Body;
use http_body_util::BodyExt;

use super::CallError;

/// What each event begins with. Other lines keep the connection open.
const EVENT: &[u8] = b"event:";

/// Tells that something has changed. Dropping it closes the stream.
#[derive(Debug)]
pub struct Changes {
    body: Body,
    /// The end of what was read, which may be the beginning of an event.
    rest: Vec<u8>,
}

impl Changes {
    pub(super) const fn new(body: Body) -> Self {
        Self {
            body,
            rest: Vec::new(),
        }
    }

    /// Waits for an event; `false` after the end of the stream. Cancel-safe: an event that is missed
    /// was one of several.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the stream breaks.
    pub async fn next(&mut self) -> Result<bool, CallError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| CallError::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.rest.extend_from_slice(&data);
            let has_event = self.rest.windows(EVENT.len()).any(|part| part == EVENT);
            let kept = self.rest.len().min(EVENT.len() - 1);
            self.rest.drain(..self.rest.len() - kept);
            if has_event {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn only_events_count_however_they_are_split() {
        let frames = [
            ": alive\n\n",
            "eve",
            "nt: a\ndata: 1\n\n",
            ":\n\n",
            "event: b\n\n",
        ];
        let frames = frames.map(Ok::<_, Infallible>);
        let mut changes = Changes::new(Body::from_stream(stream::iter(frames)));
        for expected in [true, true, false] {
            assert_eq!(changes.next().await.unwrap(), expected);
        }
    }
}
