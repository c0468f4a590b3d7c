//! Chunks between the wire and the disk: read into one buffer, verified and written together.
//!
//! A large chunk is a batch of its own. Many small ones share a buffer and a call of a blocking
//! thread. Buffers are reused, so that a source costs a fixed amount of memory.

use std::ops::Range;

use futures::{StreamExt, stream::FuturesUnordered};
use pelago_behaviour::chunk::Item;
use pelago_content::{Node, Part, ProofError};
use tokio::task::{JoinHandle, spawn_blocking};

use super::sink::Sink;
use crate::store::WriteError;

/// The maximum number of batches of one source that wait for disk and hash. Each holds a buffer.
const WRITES_AT_A_TIME: usize = 2;

/// A batch of this many bytes is written even if more data is coming.
const ENOUGH: usize = 256 << 10;

/// A part of one stage. Each stage of a download numbers its files anew, so a late chunk of an
/// earlier stage must not be taken for one of the current stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct StagePart {
    pub(super) stage: u64,
    pub(super) part: Part,
}

/// A chunk to fetch, and its destination.
pub(super) struct ChunkRequest {
    pub(super) part: StagePart,
    pub(super) item: Item,
    pub(super) bytes: u64,
    pub(super) sink: Sink,
}

struct Piece {
    part: StagePart,
    sink: Sink,
    proof: Vec<Node>,
    bytes: Range<usize>,
}

/// Chunks that were read.
#[derive(Default)]
pub(super) struct Batch {
    pieces: Vec<Piece>,
    /// As long as it ever had to be. Only the first `filled` bytes are valid.
    buffer: Vec<u8>,
    filled: usize,
}

/// A batch that was verified and written, up to the first chunk that cannot be written.
pub(super) struct Written {
    /// The parts that are verified and written.
    pub(super) parts: Vec<StagePart>,
    /// The parts that failed their proofs, and are not written.
    pub(super) unproven: Vec<Unproven>,
    /// Why the other parts are not written.
    pub(super) result: Result<(), WriteError>,
    buffer: Vec<u8>,
}

/// A chunk that failed its proof.
pub(super) struct Unproven {
    pub(super) part: StagePart,
    /// Whether it is part of a manifest.
    pub(super) is_manifest: bool,
    pub(super) error: ProofError,
}

impl Batch {
    /// Adds a chunk. Returns the space for the data of the answer to `request`.
    pub(super) fn add(
        &mut self,
        request: ChunkRequest,
        proof: Vec<Node>,
        length: u32,
    ) -> &mut [u8] {
        let bytes = self.filled..self.filled + length as usize;
        self.filled = bytes.end;
        if self.buffer.len() < bytes.end {
            self.buffer.resize(bytes.end, 0);
        }
        self.pieces.push(Piece {
            part: request.part,
            sink: request.sink,
            proof,
            bytes: bytes.clone(),
        });
        &mut self.buffer[bytes]
    }

    /// Removes the chunk that was added last, as it is incomplete.
    pub(super) fn take_back(&mut self) {
        if let Some(piece) = self.pieces.pop() {
            self.filled = piece.bytes.start;
        }
    }

    /// Whether to write the batch now instead of waiting for more.
    pub(super) fn is_full(&self) -> bool {
        self.filled >= ENOUGH
    }

    fn write(self) -> Written {
        let mut parts = Vec::with_capacity(self.pieces.len());
        let (mut unproven, mut result) = (Vec::new(), Ok(()));
        for piece in self.pieces {
            let data = &self.buffer[piece.bytes];
            match piece.sink.write(piece.part.part, data, &piece.proof) {
                Ok(()) => parts.push(piece.part),
                Err(WriteError::Proof(error)) => unproven.push(Unproven {
                    part: piece.part,
                    is_manifest: matches!(piece.sink, Sink::Manifests(_)),
                    error,
                }),
                failed => {
                    result = failed;
                    break;
                }
            }
        }
        Written {
            parts,
            unproven,
            result,
            buffer: self.buffer,
        }
    }
}

/// Batches that are being verified and written, at most [`WRITES_AT_A_TIME`].
#[derive(Default)]
pub(super) struct Writes {
    running: FuturesUnordered<JoinHandle<Written>>,
    buffers: Vec<Vec<u8>>,
}

impl Writes {
    /// Whether another batch may be started.
    pub(super) fn may_start(&self) -> bool {
        self.running.len() < WRITES_AT_A_TIME
    }

    /// An empty batch.
    pub(super) fn batch(&mut self) -> Batch {
        Batch {
            buffer: self.buffers.pop().unwrap_or_default(),
            ..Batch::default()
        }
    }

    /// Verifies and writes a batch in the background.
    pub(super) fn start(&mut self, batch: Batch) {
        if batch.pieces.is_empty() {
            self.buffers.push(batch.buffer);
        } else {
            self.running.push(spawn_blocking(move || batch.write()));
        }
    }

    /// The next batch that is written; `None` if none is being written.
    pub(super) async fn next(&mut self) -> Option<Written> {
        loop {
            // A task that cannot be joined was ended with the runtime.
            if let Ok(mut written) = self.running.next().await? {
                self.buffers.push(std::mem::take(&mut written.buffer));
                return Some(written);
            }
        }
    }
}
