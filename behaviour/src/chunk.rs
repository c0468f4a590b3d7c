//! The chunk protocol: blocks with their proofs, many exchanges pipelined on one stream.
//!
//! A request is one frame of 1 to 256 items. The answer to each item, in order, is one frame
//! (status, descriptor, proof, length) followed by that many raw bytes: bulk data never passes
//! through CBOR. All answers to one request hold at most [`MAX_RESPONSE`] bytes of data; items
//! beyond that are answered [`Answer::Busy`] immediately. A requester may send further requests
//! before the answers have arrived; resetting the stream cancels all of them.
//!
//! The descriptor determines how many bytes a valid answer has, and the requester reads no other
//! number: see [`Answer::check`]. This module does not verify content: `pelago_content` does.

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use pelago_content::{Descriptor, Hash, Node, OutOfRange, proof_len};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use thiserror::Error;

use crate::frame::{self, FrameError};

/// Items in one request, at most: enough that a folder of tiny files is one round trip, few enough
/// that a request is read in one go.
pub const MAX_ITEMS: usize = 256;

/// Bytes of data in the answers to one request, at most: what a responder may have to hold.
pub const MAX_RESPONSE: u64 = 4 << 20;

/// The highest level at which one item can be answered: 2^8 blocks of 16 KiB are [`MAX_RESPONSE`].
pub const MAX_LEVEL: u8 = 8;

/// Bytes of a request's frame, at most: an item takes fewer than 60 bytes of CBOR.
const MAX_REQUEST_FRAME: usize = 32 << 10;

/// Bytes of an answer's frame, at most: a proof has at most 36 nodes of 32 bytes.
const MAX_ANSWER_FRAME: usize = 2 << 10;

/// The longest wait that a busy peer may ask for.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// One item of a request: the chunk at `level` and `index` of the content with `hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The content.
    pub hash: Hash,
    /// The level of the chunk; the responder clips it to the height of the tree.
    pub level: u8,
    /// The index of the chunk among those of its level.
    pub index: u64,
    /// Whether to send the bytes of the chunk, or only its node with the proof.
    pub data: bool,
}

/// The answer to one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The chunk: `length` bytes of data follow the frame.
    Data {
        /// Kind, size and root of the content.
        descriptor: Descriptor,
        /// The siblings of the chunk, bottom-up.
        proof: Vec<Node>,
        /// How many bytes of data follow.
        length: u32,
    },
    /// The node of the chunk, as requested: no data follows.
    Node {
        /// Kind, size and root of the content.
        descriptor: Descriptor,
        /// The siblings of the chunk, bottom-up.
        proof: Vec<Node>,
        /// The node above the chunk.
        node: Node,
    },
    /// The peer does not have the content, or not for this node: it does not say which.
    Absent,
    /// The content has no such chunk.
    OutOfRange,
    /// The peer is busy: retry after this time.
    Busy(Duration),
    /// The file has changed since it was shared.
    Changed,
    /// The peer did not understand the item.
    Malformed,
}

/// Why an answer does not belong to the requested item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WrongAnswer {
    /// The descriptor belongs to other content.
    #[error("the peer sent a descriptor of other content")]
    Descriptor,
    /// The content of the descriptor has no such chunk.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// More or fewer bytes than the chunk has.
    #[error("the peer offers {found} bytes for a chunk of {expected} bytes")]
    Length {
        /// The bytes of the chunk.
        expected: u64,
        /// The bytes offered.
        found: u64,
    },
    /// More or fewer nodes than the chunk's proof has.
    #[error("the peer offers a proof of {found} nodes instead of {expected}")]
    Proof {
        /// The nodes of the chunk's proof.
        expected: usize,
        /// The nodes offered.
        found: usize,
    },
    /// Data instead of a node, or a node instead of data.
    #[error("the peer sent data instead of a node, or a node instead of data")]
    Form,
}

impl Answer {
    /// Checks, before a byte of data is read, that this can be the answer to `item`: the
    /// descriptor hashes to the requested hash, and data and proof have exactly the right lengths.
    ///
    /// # Errors
    /// A [`WrongAnswer`]: the peer is hostile or broken. Answers without content always pass.
    pub fn check(&self, item: &Item) -> Result<(), WrongAnswer> {
        let (descriptor, proof, length) = match self {
            Self::Data {
                descriptor,
                proof,
                length,
            } if item.data => (descriptor, proof, Some(*length)),
            Self::Node {
                descriptor, proof, ..
            } if !item.data => (descriptor, proof, None),
            Self::Data { .. } | Self::Node { .. } => return Err(WrongAnswer::Form),
            _ => return Ok(()),
        };
        if descriptor.hash() != item.hash {
            return Err(WrongAnswer::Descriptor);
        }
        let geometry = descriptor.geometry();
        let chunk = geometry.chunk(item.level, item.index)?;
        let bytes = chunk.bytes(geometry);
        let expected = bytes.end - bytes.start;
        match length.map(u64::from) {
            Some(found) if found != expected => {
                return Err(WrongAnswer::Length { expected, found });
            }
            _ => {}
        }
        let expected = proof_len(geometry, chunk);
        if proof.len() != expected {
            return Err(WrongAnswer::Proof {
                expected,
                found: proof.len(),
            });
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct RequestFrame {
    #[serde(rename = "i")]
    items: Vec<ItemFrame>,
}

#[derive(Serialize, Deserialize)]
struct ItemFrame {
    #[serde(rename = "h")]
    hash: ByteArray<32>,
    #[serde(rename = "l", default, deserialize_with = "frame::number")]
    level: u8,
    #[serde(rename = "i", default)]
    index: u64,
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    node_only: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct AnswerFrame {
    #[serde(rename = "s", deserialize_with = "frame::number")]
    status: u8,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    descriptor: Option<ByteBuf>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    proof: Option<ByteBuf>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    length: Option<u32>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    node: Option<ByteArray<32>>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    retry_ms: Option<u32>,
}

/// The numbers of the statuses on the wire; any other number is a failure.
mod status {
    pub(super) const OK: u8 = 0;
    pub(super) const ABSENT: u8 = 1;
    pub(super) const OUT_OF_RANGE: u8 = 2;
    pub(super) const BUSY: u8 = 3;
    pub(super) const CHANGED: u8 = 4;
    pub(super) const MALFORMED: u8 = 5;
}

/// Sends a request, and flushes it.
///
/// # Errors
/// The stream failed, or there are no items or too many.
pub async fn write_request(
    io: &mut (impl AsyncWrite + Unpin),
    items: &[Item],
) -> Result<(), FrameError> {
    let items = items.iter().map(|item| ItemFrame {
        hash: ByteArray::new(*item.hash.as_bytes()),
        level: item.level,
        index: item.index,
        node_only: !item.data,
    });
    let request = RequestFrame {
        items: items.collect(),
    };
    check_count(request.items.len())?;
    frame::write(io, &request, MAX_REQUEST_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads a request; `None` if the requester has closed the stream.
///
/// # Errors
/// The stream failed, or the frame is not a valid request.
pub async fn read_request(
    io: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Vec<Item>>, FrameError> {
    let Some(request) = frame::read::<RequestFrame>(io, MAX_REQUEST_FRAME).await? else {
        return Ok(None);
    };
    check_count(request.items.len())?;
    let items = request.items.into_iter().map(|item| Item {
        hash: Hash::from_bytes(item.hash.into_array()),
        level: item.level,
        index: item.index,
        data: !item.node_only,
    });
    Ok(Some(items.collect()))
}

fn check_count(items: usize) -> Result<(), FrameError> {
    if (1..=MAX_ITEMS).contains(&items) {
        Ok(())
    } else {
        Err(FrameError::malformed(format!(
            "{items} items instead of 1 to {MAX_ITEMS}"
        )))
    }
}

/// Sends the answer to one item with its data (empty unless it is [`Answer::Data`]). Flush after
/// the last answer.
///
/// # Errors
/// The stream failed.
pub async fn write_answer(
    io: &mut (impl AsyncWrite + Unpin),
    answer: &Answer,
    data: &[u8],
) -> Result<(), FrameError> {
    frame::write(io, &AnswerFrame::from(answer), MAX_ANSWER_FRAME).await?;
    Ok(io.write_all(data).await?)
}

/// Reads the answer to one item. The data of an [`Answer::Data`] is to be read next, with
/// [`read_data`], once [`Answer::check`] has passed.
///
/// # Errors
/// The stream failed or ended, or the frame is not a valid answer.
pub async fn read_answer(io: &mut (impl AsyncRead + Unpin)) -> Result<Answer, FrameError> {
    Answer::try_from(frame::expect::<AnswerFrame>(io, MAX_ANSWER_FRAME).await?)
}

/// Reads the `length` bytes of data of an answer into `data`, replacing its content.
///
/// # Errors
/// The stream failed, or ended early.
pub async fn read_data(
    io: &mut (impl AsyncRead + Unpin),
    length: u32,
    data: &mut Vec<u8>,
) -> Result<(), FrameError> {
    data.resize(length as usize, 0);
    Ok(io.read_exact(data).await?)
}

impl From<&Answer> for AnswerFrame {
    fn from(answer: &Answer) -> Self {
        let with_status = |status| Self {
            status,
            ..Self::default()
        };
        let content = |descriptor: &Descriptor, proof: &[Node]| Self {
            descriptor: Some(ByteBuf::from(descriptor.to_bytes())),
            proof: Some(ByteBuf::from(proof.concat())),
            ..with_status(status::OK)
        };
        match answer {
            Answer::Data {
                descriptor,
                proof,
                length,
            } => Self {
                length: Some(*length),
                ..content(descriptor, proof)
            },
            Answer::Node {
                descriptor,
                proof,
                node,
            } => Self {
                node: Some(ByteArray::new(*node)),
                ..content(descriptor, proof)
            },
            Answer::Absent => with_status(status::ABSENT),
            Answer::OutOfRange => with_status(status::OUT_OF_RANGE),
            Answer::Busy(retry) => {
                let retry_ms = u32::try_from(retry.as_millis()).unwrap_or(u32::MAX);
                Self {
                    retry_ms: Some(retry_ms),
                    ..with_status(status::BUSY)
                }
            }
            Answer::Changed => with_status(status::CHANGED),
            Answer::Malformed => with_status(status::MALFORMED),
        }
    }
}

impl TryFrom<AnswerFrame> for Answer {
    type Error = FrameError;

    fn try_from(frame: AnswerFrame) -> Result<Self, FrameError> {
        Ok(match frame.status {
            status::OK => return content_answer(frame),
            status::ABSENT => Self::Absent,
            status::OUT_OF_RANGE => Self::OutOfRange,
            status::BUSY => {
                let retry = Duration::from_millis(frame.retry_ms.unwrap_or(0).into());
                Self::Busy(retry.min(MAX_RETRY))
            }
            status::CHANGED => Self::Changed,
            status::MALFORMED => Self::Malformed,
            unknown => return Err(FrameError::malformed(format!("unknown status {unknown}"))),
        })
    }
}

fn content_answer(frame: AnswerFrame) -> Result<Answer, FrameError> {
    let missing = |what| FrameError::malformed(format!("an answer without {what}"));
    let descriptor = frame.descriptor.ok_or_else(|| missing("a descriptor"))?;
    let descriptor = Descriptor::from_bytes(&descriptor)
        .map_err(|error| FrameError::malformed(error.to_string()))?;
    let (proof, rest) = frame
        .proof
        .as_ref()
        .map_or((&[][..], &[][..]), |p| p.as_chunks::<32>());
    if !rest.is_empty() {
        return Err(FrameError::malformed("a proof that ends inside a node"));
    }
    let proof = proof.to_vec();
    match (frame.node, frame.length) {
        (Some(node), None) => Ok(Answer::Node {
            descriptor,
            proof,
            node: node.into_array(),
        }),
        (None, Some(length)) => Ok(Answer::Data {
            descriptor,
            proof,
            length,
        }),
        _ => Err(FrameError::malformed(
            "an answer with both data and a node, or with neither",
        )),
    }
}

#[cfg(test)]
mod tests;
