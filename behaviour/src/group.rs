//! The group protocol: members exchange signed statements, and users ask to join.
//!
//! A stream carries any number of exchanges. Each begins with one frame of the requester, a
//! [`Request`], and one of the responder, an [`Answer`]. In a sync of members whose digests differ,
//! three batches follow: the ids of all that the responder holds; from the requester the statements
//! that the responder lacks, and the ids of those that it wants; and these, from the responder, which
//! ends with a second answer. To peers outside a group the responder answers [`Answer::Nothing`], as
//! it does for a group that it does not know.
//!
//! Statements are bytes here: who reads them verifies them.

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use pelago_groups::{Digest, GroupId, MAX_STATEMENT};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::frame::{self, FrameError};

/// Bytes of a frame, at most.
pub const MAX_FRAME: usize = 64 << 10;

/// Bytes of statements in one request or answer, at most: with their lengths they fit into a frame.
pub const MAX_STATEMENTS: usize = 56 << 10;

/// Bytes of one batch, at most: 80 times the statements of a group of 1,024 members. Each statement
/// counts [`STATEMENT_COST`] bytes more than it has.
pub const MAX_BATCH: usize = 16 << 20;

/// Bytes that each statement of a batch costs beside its own: those that it takes in memory.
pub const STATEMENT_COST: usize = 64;

/// Statements in one frame, at most: more do not fit, as each has a signature of 64 bytes.
const STATEMENTS_IN_FRAME: usize = 1024;

/// Ids in one frame, at most.
const IDS_IN_FRAME: usize = 1024;

/// Bytes by which CBOR lengthens a statement, at most.
const OVERHEAD: usize = 4;

/// Begins an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Compares what both hold.
    Sync {
        /// Of which group.
        group: GroupId,
        /// What the requester holds.
        digest: Digest,
        /// A number that changes with what the requester shares in the group.
        revision: u64,
    },
    /// Delivers statements of a group.
    Push {
        /// The group.
        group: GroupId,
        /// What the requester holds with them.
        digest: Digest,
        /// At least one, and at most [`MAX_STATEMENTS`] bytes. Untrusted.
        statements: Vec<Vec<u8>>,
    },
    /// Asks to join a group, for the requester itself or for another user.
    Join {
        /// The group.
        group: GroupId,
        /// The signed request.
        request: Vec<u8>,
        /// What the user who asks states of himself.
        profile: Vec<u8>,
        /// If a member passes the request on: a number that is equal for requests from one place.
        origin: Option<u64>,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The group is unknown, or not for this requester. The statements, if any, tell the requester
    /// that it, or the responder, belongs to the group no longer.
    Nothing {
        /// At most [`MAX_STATEMENTS`] bytes. Untrusted.
        statements: Vec<Vec<u8>>,
    },
    /// What the responder holds, of a group to which both belong.
    Held {
        /// Its digest.
        digest: Digest,
        /// A number that changes with what the responder shares in the group.
        revision: u64,
    },
    /// What became of a request to join.
    Join {
        /// The outcome so far.
        outcome: JoinOutcome,
        /// What shows it, if the user is a member: at most [`MAX_STATEMENTS`] bytes. Untrusted.
        statements: Vec<Vec<u8>>,
    },
}

/// What became of a request to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinOutcome {
    /// An owner has to decide.
    Pending,
    /// The user is a member.
    Accepted,
    /// An owner has rejected it.
    Rejected,
    /// The group has as many members as it may have.
    Full,
    /// The invite serves no user any more: it was revoked, has expired, or is used up.
    Revoked,
    /// The invite has served this user before.
    Used,
}

/// A part of a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Ids of statements that the sender holds.
    pub ids: Vec<[u8; 32]>,
    /// Ids of statements that the sender wants.
    pub wanted: Vec<[u8; 32]>,
    /// Statements that the receiver lacks. Untrusted.
    pub statements: Vec<Vec<u8>>,
}

#[derive(Default, Serialize, Deserialize)]
struct RequestFrame {
    #[serde(rename = "g")]
    group: ByteArray<32>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    digest: Option<ByteArray<32>>,
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    revision: u64,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<ByteBuf>,
    #[serde(rename = "j", default, skip_serializing_if = "std::ops::Not::not")]
    is_join: bool,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    origin: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct AnswerFrame {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    digest: Option<ByteArray<32>>,
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    revision: u64,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<ByteBuf>,
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    outcome: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct PartFrame {
    /// Ids, one after the other.
    #[serde(rename = "i", default, skip_serializing_if = "is_empty")]
    ids: ByteBuf,
    #[serde(rename = "w", default, skip_serializing_if = "is_empty")]
    wanted: ByteBuf,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<ByteBuf>,
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    has_more: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde gives it
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_empty(bytes: &ByteBuf) -> bool {
    bytes.is_empty()
}

/// Sends a request.
///
/// # Errors
/// The stream failed, or the request exceeds the limit of a frame.
pub async fn write_request(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Request,
) -> Result<(), FrameError> {
    let of = |group: &GroupId| RequestFrame {
        group: ByteArray::new(*group.as_bytes()),
        ..RequestFrame::default()
    };
    let request = match request {
        Request::Sync {
            group,
            digest,
            revision,
        } => RequestFrame {
            digest: Some(ByteArray::new(*digest.as_bytes())),
            revision: *revision,
            ..of(group)
        },
        Request::Push {
            group,
            digest,
            statements,
        } => RequestFrame {
            digest: Some(ByteArray::new(*digest.as_bytes())),
            statements: packed(statements),
            ..of(group)
        },
        Request::Join {
            group,
            request,
            profile,
            origin,
        } => RequestFrame {
            statements: packed([request, profile]),
            is_join: true,
            origin: *origin,
            ..of(group)
        },
    };
    frame::write(io, &request, MAX_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads a request; `None` if the requester has closed the stream.
///
/// # Errors
/// The stream failed, or the frame is not a valid request.
pub async fn read_request(
    io: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Request>, FrameError> {
    let request = frame::read::<RequestFrame>(io, MAX_FRAME).await?;
    request.map(Request::try_from).transpose()
}

impl TryFrom<RequestFrame> for Request {
    type Error = FrameError;

    fn try_from(request: RequestFrame) -> Result<Self, FrameError> {
        let group = GroupId::from_bytes(request.group.into_array());
        let statements = unpacked(request.statements)?;
        if !request.is_join {
            let digest = request
                .digest
                .map(|digest| Digest::from_bytes(digest.into_array()));
            let digest = digest.ok_or_else(|| FrameError::malformed("a digest is missing"))?;
            return Ok(match statements.is_empty() {
                true => Self::Sync {
                    group,
                    digest,
                    revision: request.revision,
                },
                false => Self::Push {
                    group,
                    digest,
                    statements,
                },
            });
        }
        let both: Result<[_; 2], _> = statements.try_into();
        let [request_, profile] =
            both.map_err(|_| FrameError::malformed("a request to join has two statements"))?;
        Ok(Self::Join {
            group,
            request: request_,
            profile,
            origin: request.origin,
        })
    }
}

/// Sends an answer.
///
/// # Errors
/// The stream failed, or the answer exceeds the limit of a frame.
pub async fn write_answer(
    io: &mut (impl AsyncWrite + Unpin),
    answer: &Answer,
) -> Result<(), FrameError> {
    let answer = match answer {
        Answer::Nothing { statements } => AnswerFrame {
            statements: packed(statements),
            ..AnswerFrame::default()
        },
        Answer::Held { digest, revision } => AnswerFrame {
            digest: Some(ByteArray::new(*digest.as_bytes())),
            revision: *revision,
            ..AnswerFrame::default()
        },
        Answer::Join {
            outcome,
            statements,
        } => AnswerFrame {
            statements: packed(statements),
            outcome: Some(*outcome as u64),
            ..AnswerFrame::default()
        },
    };
    frame::write(io, &answer, MAX_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads an answer.
///
/// # Errors
/// The stream failed or ended, or the frame is not a valid answer.
pub async fn read_answer(io: &mut (impl AsyncRead + Unpin)) -> Result<Answer, FrameError> {
    let answer = frame::expect::<AnswerFrame>(io, MAX_FRAME).await?;
    if let Some(digest) = answer.digest {
        return Ok(Answer::Held {
            digest: Digest::from_bytes(digest.into_array()),
            revision: answer.revision,
        });
    }
    let statements = unpacked(answer.statements)?;
    let Some(outcome) = answer.outcome else {
        return Ok(Answer::Nothing { statements });
    };
    let outcome = match outcome {
        0 => JoinOutcome::Pending,
        1 => JoinOutcome::Accepted,
        2 => JoinOutcome::Rejected,
        3 => JoinOutcome::Full,
        4 => JoinOutcome::Revoked,
        5 => JoinOutcome::Used,
        _ => return Err(FrameError::malformed("an unknown outcome of a request")),
    };
    Ok(Answer::Join {
        outcome,
        statements,
    })
}

/// Sends a batch, in as many frames as it takes.
///
/// # Errors
/// The stream failed.
pub async fn write_batch(
    io: &mut (impl AsyncWrite + Unpin),
    batch: &Batch,
) -> Result<(), FrameError> {
    for part in parts(batch) {
        frame::write(io, &part, MAX_FRAME).await?;
    }
    Ok(io.flush().await?)
}

/// Reads a batch.
///
/// # Errors
/// The stream failed or ended, a frame is not valid, or the batch exceeds [`MAX_BATCH`].
pub async fn read_batch(io: &mut (impl AsyncRead + Unpin)) -> Result<Batch, FrameError> {
    let (mut batch, mut length) = (Batch::default(), 0);
    loop {
        let part = frame::expect::<PartFrame>(io, MAX_FRAME).await?;
        let in_part = part.ids.len()
            + part.wanted.len()
            + part
                .statements
                .iter()
                .map(|one| one.len() + STATEMENT_COST)
                .sum::<usize>();
        length += in_part;
        if length > MAX_BATCH {
            return Err(FrameError::TooLong {
                length,
                limit: MAX_BATCH,
            });
        }
        if in_part == 0 && part.has_more {
            return Err(FrameError::malformed("a part of a batch is empty"));
        }
        batch.ids.extend(ids(&part.ids)?);
        batch.wanted.extend(ids(&part.wanted)?);
        batch.statements.extend(unpacked(part.statements)?);
        if !part.has_more {
            return Ok(batch);
        }
    }
}

/// Of `statements`, as many from the beginning as one request or answer holds.
pub fn fitting<S: AsRef<[u8]>>(statements: impl IntoIterator<Item = S>) -> Vec<Vec<u8>> {
    let mut bytes = 0;
    let statements = statements.into_iter().take(STATEMENTS_IN_FRAME);
    let fitting = statements.take_while(|statement| {
        bytes += statement.as_ref().len() + OVERHEAD;
        bytes <= MAX_STATEMENTS
    });
    fitting
        .map(|statement| statement.as_ref().to_vec())
        .collect()
}

fn parts(batch: &Batch) -> Vec<PartFrame> {
    let mut parts: Vec<_> = batch
        .ids
        .chunks(IDS_IN_FRAME)
        .map(|ids| PartFrame {
            ids: ByteBuf::from(ids.concat()),
            ..PartFrame::default()
        })
        .collect();
    parts.extend(batch.wanted.chunks(IDS_IN_FRAME).map(|ids| PartFrame {
        wanted: ByteBuf::from(ids.concat()),
        ..PartFrame::default()
    }));
    let mut left = &batch.statements[..];
    while !left.is_empty() {
        let (now, later) = left.split_at(fitting(left).len().max(1));
        left = later;
        parts.push(PartFrame {
            statements: packed(now),
            ..PartFrame::default()
        });
    }
    if parts.is_empty() {
        parts.push(PartFrame::default());
    }
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        part.has_more = true;
    }
    parts
}

fn packed<'a>(statements: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<ByteBuf> {
    let statements = statements.into_iter();
    statements.map(|one| ByteBuf::from(one.clone())).collect()
}

fn unpacked(statements: Vec<ByteBuf>) -> Result<Vec<Vec<u8>>, FrameError> {
    if statements.len() > STATEMENTS_IN_FRAME {
        return Err(FrameError::malformed("a frame has too many statements"));
    }
    if statements.iter().any(|one| one.is_empty()) {
        return Err(FrameError::malformed("a statement is empty"));
    }
    if statements.iter().any(|one| one.len() > MAX_STATEMENT) {
        return Err(FrameError::malformed("a statement is too long"));
    }
    Ok(statements.into_iter().map(ByteBuf::into_vec).collect())
}

fn ids(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; 32]> + '_, FrameError> {
    let (ids, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(FrameError::malformed("a part of an id"));
    }
    Ok(ids.iter().copied())
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    fn request_again(request: &Request) -> Request {
        let mut bytes = Vec::new();
        block_on(write_request(&mut bytes, request)).unwrap();
        block_on(read_request(&mut Cursor::new(bytes)))
            .unwrap()
            .unwrap()
    }

    fn answer_again(answer: &Answer) -> Answer {
        let mut bytes = Vec::new();
        block_on(write_answer(&mut bytes, answer)).unwrap();
        block_on(read_answer(&mut Cursor::new(bytes))).unwrap()
    }

    #[test]
    fn requests_and_answers_arrive_as_they_were_sent() {
        let (group, digest) = (GroupId::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let statements = fitting(vec![vec![7; 300]; 1000]);
        assert!(statements.len() > 150);
        let requests = [
            Request::Sync {
                group,
                digest,
                revision: u64::MAX,
            },
            Request::Push {
                group,
                digest,
                statements: statements.clone(),
            },
            Request::Join {
                group,
                request: vec![1; 900],
                profile: vec![2; 900],
                origin: Some(7),
            },
        ];
        for request in requests {
            assert_eq!(request_again(&request), request);
        }
        let outcomes = [
            JoinOutcome::Pending,
            JoinOutcome::Accepted,
            JoinOutcome::Rejected,
            JoinOutcome::Full,
            JoinOutcome::Revoked,
            JoinOutcome::Used,
        ];
        for outcome in outcomes {
            let statements = statements.clone();
            let answer = Answer::Join {
                outcome,
                statements,
            };
            assert_eq!(answer_again(&answer), answer);
        }
        let held = Answer::Held {
            digest,
            revision: 3,
        };
        assert_eq!(answer_again(&held), held);
        let nothing = Answer::Nothing {
            statements: Vec::new(),
        };
        assert_eq!(answer_again(&nothing), nothing);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let long = Request::Push {
            group: GroupId::from_bytes([1; 32]),
            digest: Digest::from_bytes([2; 32]),
            statements: vec![vec![0; MAX_STATEMENT + 1]],
        };
        let mut bytes = Vec::new();
        block_on(write_request(&mut bytes, &long)).unwrap();
        assert!(block_on(read_request(&mut Cursor::new(bytes))).is_err());

        let batch = Batch {
            ids: vec![[1; 32]; MAX_BATCH / 32 + 1],
            ..Batch::default()
        };
        let mut bytes = Vec::new();
        block_on(write_batch(&mut bytes, &batch)).unwrap();
        let read = block_on(read_batch(&mut Cursor::new(bytes)));
        assert!(matches!(read, Err(FrameError::TooLong { .. })), "{read:?}");
    }

    #[test]
    fn empty_parts_do_not_keep_a_reader_busy() {
        let mut bytes = Vec::new();
        let endless = PartFrame {
            has_more: true,
            ..PartFrame::default()
        };
        block_on(frame::write(&mut bytes, &endless, MAX_FRAME)).unwrap();
        assert!(block_on(read_batch(&mut Cursor::new(bytes))).is_err());
    }

    #[test]
    fn statements_cost_their_memory_and_empty_ones_are_refused() {
        let read = |statements: Vec<Vec<u8>>| {
            let batch = Batch {
                statements,
                ..Batch::default()
            };
            let mut bytes = Vec::new();
            block_on(write_batch(&mut bytes, &batch)).unwrap();
            block_on(read_batch(&mut Cursor::new(bytes)))
        };
        assert!(matches!(
            read(vec![Vec::new()]),
            Err(FrameError::Malformed(_))
        ));
        let many = MAX_BATCH / (1 + STATEMENT_COST);
        assert_eq!(read(vec![vec![7]; many]).unwrap().statements.len(), many);
        let long = read(vec![vec![7]; many + 1]);
        assert!(matches!(long, Err(FrameError::TooLong { .. })), "{long:?}");

        let crowded = PartFrame {
            statements: vec![ByteBuf::from([7]); STATEMENTS_IN_FRAME + 1],
            ..PartFrame::default()
        };
        let mut bytes = Vec::new();
        block_on(frame::write(&mut bytes, &crowded, MAX_FRAME)).unwrap();
        assert!(block_on(read_batch(&mut Cursor::new(bytes))).is_err());
    }

    proptest! {
        #[test]
        fn batches_arrive_as_they_were_sent(
            ids in prop::collection::vec(any::<[u8; 32]>(), 0..1100),
            wanted in prop::collection::vec(any::<[u8; 32]>(), 0..10),
            lengths in prop::collection::vec(1..2000_usize, 0..200),
        ) {
            let statements = lengths.into_iter().map(|length| vec![7; length]).collect();
            let batch = Batch { ids, wanted, statements };
            let mut bytes = Vec::new();
            block_on(write_batch(&mut bytes, &batch)).unwrap();
            prop_assert_eq!(block_on(read_batch(&mut Cursor::new(bytes))).unwrap(), batch);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            let _ = block_on(read_request(&mut Cursor::new(framed.clone())));
            let _ = block_on(read_answer(&mut Cursor::new(framed.clone())));
            let _ = block_on(read_batch(&mut Cursor::new(framed)));
        }
    }
}
