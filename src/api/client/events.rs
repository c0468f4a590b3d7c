//! The events of a streamed response, read line by line.

use std::marker::PhantomData;

use axum::body::Body;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::error::{CallError, MAX_LINE_LEN};

/// The events of one call. Dropping them before the last one stops the operation that they report.
#[derive(Debug)]
pub struct Events<T> {
    body: Body,
    /// Received bytes that were not returned yet: at most a line and a frame.
    read: Vec<u8>,
    event: PhantomData<fn() -> T>,
}

impl<T> Events<T> {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            read: Vec::new(),
            event: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// The next event; `None` after the last. Cancel-safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the stream breaks or a line is not a valid event.
    pub async fn next(&mut self) -> Result<Option<T>, CallError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.read.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.read.len() > MAX_LINE_LEN {
                return Err(CallError::Line);
            }
            let Some(frame) = self.body.frame().await else {
                return self.end();
            };
            let frame = frame.map_err(|error| CallError::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }

    fn end(&self) -> Result<Option<T>, CallError> {
        if self.read.is_empty() {
            Ok(None)
        } else {
            Err(CallError::Broken("it ended within a line".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::convert::Infallible;

    fn events(frames: &'static [&str]) -> Events<u64> {
        let frames = frames.iter().map(|frame| Ok::<_, Infallible>(*frame));
        Events::new(Body::from_stream(stream::iter(frames)))
    }

    #[tokio::test]
    async fn lines_are_complete_however_they_were_split() {
        let mut events = events(&["1\n2", "3\n", "4", "\n"]);
        for expected in [Some(1), Some(23), Some(4), None] {
            assert_eq!(events.next().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn half_a_line_is_an_error() {
        let mut events = events(&["1\n2"]);
        assert_eq!(events.next().await.unwrap(), Some(1));
        assert!(matches!(events.next().await, Err(CallError::Broken(_))));
    }

    #[tokio::test]
    async fn an_invalid_event_is_an_error() {
        assert!(matches!(
            events(&["x\n"]).next().await,
            Err(CallError::Garbled(_))
        ));
    }

    #[tokio::test]
    async fn an_endless_line_is_an_error() {
        let body = stream::repeat_with(|| Ok::<_, Infallible>("1".repeat(1000)));
        let mut events = Events::<u64>::new(Body::from_stream(body));
        assert!(matches!(events.next().await, Err(CallError::Line)));
        assert!(events.read.len() <= MAX_LINE_LEN + 1000);
    }
}
