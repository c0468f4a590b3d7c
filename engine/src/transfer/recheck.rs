//! The question that follows a failed proof: single blocks of the chunk, which the source must
//! verify before it sends them.
//!
//! A source that did not know that its file had changed finds out by this question, and corrects
//! its listing. For the download the answer matters in one case only: if a block fails its proof as
//! well, the source is dishonest.

use std::{io, time::Duration};

use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    chunk::{self, Answer, Item},
};
use pelago_content::{Chunk, Geometry, Hash, Printable, STORED_LEVEL, verify};
use tokio::time::{sleep, timeout};

use super::receiving::{Inflow, receive};
use crate::{
    limits::Limits,
    network::{Network, Outgoing, StreamError},
};

/// How long the answers may take in all, however often the source is busy.
const MAX_TIME: Duration = Duration::from_secs(30);

/// The outcome of a recheck.
#[derive(Debug)]
pub(super) enum RecheckOutcome {
    /// The source no longer offers the chunk: it noticed the change.
    Withdrawn,
    /// All blocks are good: the source had noticed before, or its disk returned other data this
    /// time.
    Good,
    /// A block is wrong as well, or the answer breaks the protocol.
    Dishonest(String),
    /// The source did not answer.
    Nothing(String),
}

/// Sends the questions to one peer.
pub(super) struct Recheck {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) stall: Duration,
    pub(super) peer: PeerId,
}

/// The items to request after `chunk` of this content failed its proof. Before it sends a block, a
/// source verifies all bytes below the node of the stored level that contains the block. So the
/// first block of each such run makes it verify the whole chunk.
pub(super) fn recheck_items(hash: Hash, chunk: Chunk, geometry: Geometry) -> Vec<Item> {
    let blocks = chunk.blocks(geometry);
    blocks
        .step_by(1 << STORED_LEVEL)
        .map(|index| Item {
            hash,
            level: 0,
            index,
            data: true,
        })
        .collect()
}

impl Recheck {
    /// Requests these items on a stream of their own.
    pub(super) async fn ask(&self, items: &[Item]) -> RecheckOutcome {
        let asked = timeout(MAX_TIME, self.ask_until_answered(items)).await;
        match asked {
            Ok(Ok(answered)) => answered,
            Ok(Err(FrameError::Io(error))) => RecheckOutcome::Nothing(Printable(error).to_string()),
            Ok(Err(broken)) => RecheckOutcome::Dishonest(broken.to_string()),
            Err(_) => RecheckOutcome::Nothing(format!("no answer within {} s", MAX_TIME.as_secs())),
        }
    }

    /// A busy source is asked again for the items that are left.
    async fn ask_until_answered(&self, mut items: &[Item]) -> Result<RecheckOutcome, FrameError> {
        let mut stream = self.open().await?;
        while !items.is_empty() {
            stream.arm();
            chunk::write_request(&mut stream, items).await?;
            let mut busy = None;
            for (number, item) in items.iter().enumerate() {
                stream.arm();
                let answer = chunk::read_answer(&mut stream).await?;
                match self.check(&mut stream, item, answer).await? {
                    CheckedAnswer::Good => {}
                    CheckedAnswer::Busy(wait) => {
                        busy.get_or_insert((number, wait));
                    }
                    CheckedAnswer::Ends(answered) => return Ok(answered),
                }
            }
            let Some((number, wait)) = busy else {
                break;
            };
            items = &items[number..];
            sleep(wait).await;
        }
        Ok(RecheckOutcome::Good)
    }

    async fn open(&self) -> Result<Stall<Outgoing>, FrameError> {
        let opened = self.network.open(self.peer, Protocol::Chunk).await;
        let stream = opened.map_err(|error: StreamError| io::Error::other(error.to_string()))?;
        Ok(Stall::new(stream, self.stall))
    }

    async fn check(
        &self,
        stream: &mut Stall<Outgoing>,
        item: &Item,
        answer: Answer,
    ) -> Result<CheckedAnswer, FrameError> {
        let dishonest = |why: String| Ok(CheckedAnswer::Ends(RecheckOutcome::Dishonest(why)));
        if let Err(wrong) = answer.check(item) {
            return dishonest(wrong.to_string());
        }
        match answer {
            Answer::Data {
                descriptor,
                proof,
                length,
            } => {
                let mut data = vec![0; length as usize];
                let inflow = Inflow::default();
                receive(&self.limits, &inflow, self.peer, stream, &mut data).await?;
                let traffic = self.network.traffic();
                traffic.received(self.peer, length.into());
                // `check` showed that the chunk is part of the content.
                let chunk = descriptor.geometry().chunk(item.level, item.index);
                let is_proven = chunk.map(|chunk| verify(&descriptor, chunk, &data, &proof));
                match is_proven {
                    Ok(Err(error)) => dishonest(error.to_string()),
                    Ok(Ok(())) | Err(_) => Ok(CheckedAnswer::Good),
                }
            }
            Answer::Busy(wait) => Ok(CheckedAnswer::Busy(wait)),
            Answer::Absent | Answer::Changed => Ok(CheckedAnswer::Ends(RecheckOutcome::Withdrawn)),
            Answer::OutOfRange | Answer::Malformed | Answer::Node { .. } => {
                dishonest("it refused a chunk of the content".to_owned())
            }
        }
    }
}

/// What one answer means.
enum CheckedAnswer {
    Good,
    /// Ask again after this pause.
    Busy(Duration),
    /// The other answers do not matter.
    Ends(RecheckOutcome),
}

#[cfg(test)]
mod tests {
    use pelago_content::BLOCK_SIZE;

    use super::*;

    #[test]
    fn one_block_of_each_run_that_a_source_verifies_together_is_requested() {
        let hash = Hash::from_bytes([7; 32]);
        let geometry = Geometry::new(300 * BLOCK_SIZE);
        let indexes = |level, index| {
            let chunk = geometry.chunk(level, index).unwrap();
            let items = recheck_items(hash, chunk, geometry);
            let is_block = |item: &Item| (item.hash, item.level, item.data) == (hash, 0, true);
            assert!(items.iter().all(is_block));
            items.iter().map(|item| item.index).collect::<Vec<_>>()
        };
        assert_eq!(indexes(0, 17), [17]);
        assert_eq!(indexes(3, 3), [24]);
        assert_eq!(indexes(4, 2), [32]);
        assert_eq!(indexes(6, 1), [64, 80, 96, 112]);
        // The last chunk of the level ends where the content ends.
        assert_eq!(indexes(8, 1), [256, 272, 288]);
    }
}
