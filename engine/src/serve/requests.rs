//! Waits for the requests on a stream: how long a peer may be idle, and how long a request may
//! take.

use std::{io, time::Duration};

use futures::{AsyncBufRead, AsyncBufReadExt};
use pelago_behaviour::FrameError;
use tokio::time::timeout;

/// Bytes that are read ahead of a request's frame. Longer frames bypass the buffer.
pub(super) const READ_BUFFER: usize = 256;

/// How long a peer may keep a stream open without a request, so that unused streams do not take
/// the place of others. A peer with further requests opens another stream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a request may take from its first byte to its last.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for the first byte of a request. False if the peer closes the stream instead, or is idle
/// for too long.
pub(super) async fn begins(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<bool> {
    match timeout(IDLE_TIMEOUT, stream.fill_buf()).await {
        Ok(bytes) => Ok(!bytes?.is_empty()),
        Err(_) => Ok(false),
    }
}

/// Reads the rest of a request that has begun.
///
/// # Errors
/// The request is invalid, or not complete in time.
pub(super) async fn complete<T>(
    request: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, FrameError> {
    let late = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            "the request was not complete in time",
        )
    };
    timeout(REQUEST_TIMEOUT, request)
        .await
        .unwrap_or_else(|_| Err(late().into()))
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, TryStreamExt, io::Cursor, stream};
    use pelago_behaviour::{catalogue, chunk};
    use pelago_content::Hash;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// A stream on which each of `pieces` arrives after a pause, and nothing after them.
    fn arriving(pieces: Vec<(u64, Vec<u8>)>) -> impl AsyncBufRead + Unpin {
        let pieces = stream::iter(pieces).then(|(seconds, bytes)| async move {
            sleep(Duration::from_secs(seconds)).await;
            io::Result::Ok(bytes)
        });
        Box::pin(pieces.chain(stream::pending())).into_async_read()
    }

    async fn chunk_request() -> Vec<u8> {
        let item = chunk::Item {
            hash: Hash::from_bytes([7; 32]),
            level: 0,
            index: 0,
            data: true,
        };
        let mut bytes = Vec::new();
        chunk::write_request(&mut bytes, &[item]).await.unwrap();
        bytes
    }

    async fn catalogue_request() -> Vec<u8> {
        let request = catalogue::Request {
            query: "sea".into(),
            ..catalogue::Request::default()
        };
        let mut bytes = Vec::new();
        catalogue::write_request(&mut bytes, &request)
            .await
            .unwrap();
        bytes
    }

    fn is_late<T>(read: Result<T, FrameError>) -> bool {
        matches!(read, Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_request_ends_the_stream_after_ten_seconds() {
        for length in [1, 5, 20] {
            let half = chunk_request().await[..length].to_vec();
            let mut stream = arriving(vec![(100, half)]);
            assert!(begins(&mut stream).await.unwrap());
            let begun = Instant::now();
            assert!(is_late(complete(chunk::read_request(&mut stream)).await));
            let taken = begun.elapsed();
            assert!(
                taken >= REQUEST_TIMEOUT && taken < 2 * REQUEST_TIMEOUT,
                "{taken:?}"
            );
        }
        let half = catalogue_request().await[..5].to_vec();
        let mut stream = arriving(vec![(0, half)]);
        assert!(begins(&mut stream).await.unwrap());
        assert!(is_late(
            complete(catalogue::read_request(&mut stream)).await
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_almost_ten_seconds() {
        let mut bytes = chunk_request().await;
        let rest = bytes.split_off(3);
        let mut stream = arriving(vec![(1, bytes), (9, rest)]);
        assert!(begins(&mut stream).await.unwrap());
        let read = complete(chunk::read_request(&mut stream)).await.unwrap();
        assert_eq!(read.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_be_idle_for_two_minutes() {
        let mut stream = arriving(vec![(119, vec![0])]);
        assert!(begins(&mut stream).await.unwrap());
        assert!(!begins(&mut arriving(Vec::new())).await.unwrap());
        assert!(
            !begins(&mut Cursor::new(Vec::new())).await.unwrap(),
            "closed"
        );
    }
}
