//! Frames: a length (u32, big-endian, bytes), then that many bytes of CBOR.
//!
//! Every read is bounded by the caller's limit: a longer frame is an error before a byte of it is
//! read, and so is invalid CBOR. Unknown map keys are ignored, so that later versions may add
//! some.

use std::{fmt, io};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use pelago_content::Printable;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use thiserror::Error;

/// Why a message could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The stream failed, or ended inside a message.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
    /// The message claims to be longer than its kind may be.
    #[error("a message of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// The claimed length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The message violates the protocol.
    #[error("a malformed message: {0}")]
    Malformed(String),
}

impl FrameError {
    /// `what` may quote the message.
    pub(crate) fn malformed(what: impl fmt::Display) -> Self {
        Self::Malformed(Printable(what).to_string())
    }
}

/// Reads one frame of at most `limit` bytes; `None` if the stream ended before it.
pub(crate) async fn read<T: DeserializeOwned>(
    io: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<Option<T>, FrameError> {
    let mut length = [0; 4];
    if io.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    io.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    let message = cbor4ii::serde::from_slice(&bytes);
    message
        .map(Some)
        .map_err(|error| FrameError::malformed(error.to_string()))
}

/// Reads one frame where the stream must not end.
pub(crate) async fn expect<T: DeserializeOwned>(
    io: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<T, FrameError> {
    let ended = || FrameError::Io(io::ErrorKind::UnexpectedEof.into());
    read(io, limit).await?.ok_or_else(ended)
}

/// Writes one frame of at most `limit` bytes, without flushing.
pub(crate) async fn write<T: Serialize>(
    io: &mut (impl AsyncWrite + Unpin),
    message: &T,
    limit: usize,
) -> Result<(), FrameError> {
    let frame = cbor4ii::serde::to_vec(vec![0; 4], message);
    let mut frame = frame.map_err(|error| FrameError::malformed(error.to_string()))?;
    let length = frame.len() - 4;
    let within = u32::try_from(length).ok().filter(|_| length <= limit);
    let prefix = within.ok_or(FrameError::TooLong { length, limit })?;
    frame[..4].copy_from_slice(&prefix.to_be_bytes());
    io.write_all(&frame).await?;
    Ok(())
}

/// Reads a small number in any valid encoding. The library refuses encodings that are longer than
/// the type.
///
/// # Errors
/// The value is not an unsigned number, or out of the range of the type.
pub(crate) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = u64::deserialize(deserializer)?;
    T::try_from(number).map_err(|_| D::Error::custom(format!("{number} is out of range")))
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    fn framed(length: u32, body: &[u8]) -> Cursor<Vec<u8>> {
        Cursor::new([&length.to_be_bytes()[..], body].concat())
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused_before_its_bytes_are_read() {
        let read = block_on(read::<Vec<u8>>(&mut framed(u32::MAX, &[]), 100));
        assert!(
            matches!(read, Err(FrameError::TooLong { limit: 100, .. })),
            "{read:?}"
        );
    }

    #[test]
    fn the_end_between_frames_is_no_error_but_inside_one_it_is() {
        assert!(
            block_on(read::<u8>(&mut Cursor::new(vec![]), 10))
                .unwrap()
                .is_none()
        );
        let cut = block_on(read::<u8>(&mut framed(2, &[0]), 10));
        assert!(matches!(cut, Err(FrameError::Io(_))), "{cut:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_but_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = block_on(read::<Vec<(u64, String)>>(&mut Cursor::new(bytes), 150));
        }
    }
}
