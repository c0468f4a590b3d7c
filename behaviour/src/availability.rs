//! The availability protocol: which blocks of some content a peer has, and updates as it gets
//! more.
//!
//! The subscriber sends one frame, a [`Request`]. It proves to a responder that has the hash that
//! the subscriber has it, too, and reveals the hash to no other peer. The responder answers with a
//! first [`Update`], which holds its own [`Proof`], and then with further updates, each of which
//! holds only what is new, until either side closes the stream. A responder that has nothing, or
//! gives nothing to this peer, answers [`Update::Absent`] and closes.
//!
//! A request may name a group. The responder then answers as a member of that group, for content that
//! is shared with it, and repeats the group in its first update.
//!
//! Version 1 of the protocol names the hash itself ([`read_listed_request`]). It is answered only,
//! for content that any peer may know of.
//!
//! Everything in an update is a claim: the reader checks the descriptor against the hash, blocks
//! are proven when they are fetched, and the name is a hint for people.

mod proof;

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId};
use pelago_content::{BLOCK_SIZE, BlockRanges, Descriptor, Hash, Kind, MAX_SIZE};
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

pub use self::proof::{PROOF_LEN, Proof};
use crate::frame::{self, FrameError};

/// Runs of blocks in one update, at most. A node whose blocks are scattered over more runs sends
/// several updates.
pub const MAX_RUNS: usize = 2048;

/// Addresses of other peers in one update, at most.
pub const MAX_PEERS: usize = 32;

/// Bytes of one such address, at most: a relayed QUIC address with a certificate's hash has 150.
pub const MAX_ADDRESS: usize = 256;

/// Bytes of a name hint, at most: no file system allows a longer one.
pub const MAX_NAME: usize = 255;

/// Bytes of a request's frame, at most.
const MAX_REQUEST_FRAME: usize = 1 << 10;

/// Bytes of an update's frame, at most: [`MAX_RUNS`] pairs of 9 bytes each, peers, and the name.
const MAX_UPDATE_FRAME: usize = 64 << 10;

/// Asks which blocks the responder has of content whose hash both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The key of the content's provider records, by which the responder finds the hash.
    pub key: [u8; 32],
    /// Proves that the subscriber has the hash.
    pub proof: Proof,
    /// The group whose scope counts; `None`: those outside groups.
    pub group: Option<GroupId>,
}

impl Request {
    /// The request of `subscriber` to `responder` on `hash`, outside groups.
    #[must_use]
    pub fn new(hash: &Hash, subscriber: &PeerId, responder: &PeerId) -> Self {
        Self {
            key: hash.provider_key(),
            proof: Proof::new(hash, subscriber, responder),
            group: None,
        }
    }

    /// The same request, of a member of `group` to another one.
    #[must_use]
    pub const fn within(self, group: Option<GroupId>) -> Self {
        Self { group, ..self }
    }
}

/// What a peer reports to have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // each is read, taken apart and gone
pub enum Update {
    /// Nothing, or nothing for this subscriber.
    Absent,
    /// Blocks in addition to those of earlier updates.
    Has(Availability),
}

/// What a peer reports of some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// Kind, size and root of the content.
    pub descriptor: Descriptor,
    /// What the peer calls the content. Untrusted.
    pub name: Option<String>,
    /// The blocks it has, in addition to those of earlier updates. The blocks of a folder are
    /// those of its files, one after another ([`pelago_content::Sequence`]).
    pub blocks: BlockRanges,
    /// Addresses of others that have or want the content, each ending with `/p2p/<id>`. Untrusted.
    pub peers: Vec<Multiaddr>,
    /// Blocks that the subscriber should ask for first.
    pub suggested: BlockRanges,
    /// Whether the peer lists the content, so that any peer may know of it.
    pub is_listed: bool,
    /// Proves that the responder has the hash; in its first update.
    pub proof: Option<Proof>,
    /// The group that the request named, if the responder answers by its scope; in its first update.
    pub group: Option<GroupId>,
}

impl Availability {
    /// No blocks of the content yet, without a name, unlisted and unproven, outside groups.
    #[must_use]
    pub const fn none(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            name: None,
            blocks: BlockRanges::new(),
            peers: Vec::new(),
            suggested: BlockRanges::new(),
            is_listed: false,
            proof: None,
            group: None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RequestFrame {
    #[serde(rename = "k")]
    key: ByteArray<32>,
    #[serde(rename = "m")]
    proof: ByteArray<PROOF_LEN>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

#[derive(Deserialize)]
struct ListedRequestFrame {
    #[serde(rename = "h")]
    hash: ByteArray<32>,
}

#[derive(Default, Serialize, Deserialize)]
struct UpdateFrame {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    descriptor: Option<ByteBuf>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The unit of the ranges: a chunk of this level.
    #[serde(rename = "l", default, deserialize_with = "frame::number")]
    level: u8,
    /// First and end of each run, one after the other.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<u64>,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    peers: Vec<ByteBuf>,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    suggested: Vec<u64>,
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    is_listed: bool,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    proof: Option<ByteArray<PROOF_LEN>>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

/// Sends a request.
///
/// # Errors
/// The stream failed.
pub async fn write_request(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Request,
) -> Result<(), FrameError> {
    let request = RequestFrame {
        key: ByteArray::new(request.key),
        proof: ByteArray::new(*request.proof.as_bytes()),
        group: request.group,
    };
    frame::write(io, &request, MAX_REQUEST_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads a request; `None` if the peer closed the stream without one.
///
/// # Errors
/// The stream failed, or the frame is not a request.
pub async fn read_request(
    io: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Request>, FrameError> {
    let request = frame::read::<RequestFrame>(io, MAX_REQUEST_FRAME).await?;
    Ok(request.map(|request| Request {
        key: request.key.into_array(),
        proof: Proof::from_bytes(request.proof.into_array()),
        group: request.group,
    }))
}

/// Reads a request of version 1, which names the hash; `None` if the peer closed the stream
/// without one.
///
/// # Errors
/// See [`read_request`].
pub async fn read_listed_request(
    io: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Hash>, FrameError> {
    let request = frame::read::<ListedRequestFrame>(io, MAX_REQUEST_FRAME).await?;
    Ok(request.map(|request| Hash::from_bytes(request.hash.into_array())))
}

/// Sends an update.
///
/// # Errors
/// The stream failed, or the update exceeds the limit of a frame.
pub async fn write_update(
    io: &mut (impl AsyncWrite + Unpin),
    update: &Update,
) -> Result<(), FrameError> {
    let update = match update {
        Update::Absent => UpdateFrame::default(),
        Update::Has(has) => UpdateFrame {
            descriptor: Some(ByteBuf::from(has.descriptor.to_bytes())),
            name: has.name.clone().filter(|name| name.len() <= MAX_NAME),
            level: 0,
            ranges: flatten(&has.blocks),
            peers: has
                .peers
                .iter()
                .filter(|address| address.len() <= MAX_ADDRESS)
                .take(MAX_PEERS)
                .map(|address| ByteBuf::from(address.to_vec()))
                .collect(),
            suggested: flatten(&has.suggested),
            is_listed: has.is_listed,
            proof: has.proof.map(|proof| ByteArray::new(*proof.as_bytes())),
            group: has.group,
        },
    };
    frame::write(io, &update, MAX_UPDATE_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads an update; `None` if the peer closed the stream.
///
/// # Errors
/// The stream failed, or the frame is not a valid update: runs that are unsorted, empty or too
/// many, an invalid descriptor, or an invalid address.
pub async fn read_update(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Update>, FrameError> {
    let update = frame::read::<UpdateFrame>(io, MAX_UPDATE_FRAME).await?;
    update.map(Update::try_from).transpose()
}

impl TryFrom<UpdateFrame> for Update {
    type Error = FrameError;

    fn try_from(frame: UpdateFrame) -> Result<Self, FrameError> {
        let Some(descriptor) = &frame.descriptor else {
            return Ok(Self::Absent);
        };
        let descriptor = Descriptor::from_bytes(descriptor).map_err(malformed)?;
        let blocks = match descriptor.kind() {
            Kind::File => descriptor.geometry().blocks(),
            // The manifest of the folder, which may be unknown here, tells the number of blocks.
            Kind::Folder => MAX_SIZE / BLOCK_SIZE,
        };
        let is_long = |address: &ByteBuf| address.len() > MAX_ADDRESS;
        if frame.peers.len() > MAX_PEERS || frame.peers.iter().any(is_long) {
            return Err(malformed(format!(
                "more than {MAX_PEERS} peers, or an address longer than {MAX_ADDRESS} bytes"
            )));
        }
        let peers = frame.peers.into_iter();
        let peers = peers.map(|address| Multiaddr::try_from(address.into_vec()).map_err(malformed));
        Ok(Self::Has(Availability {
            descriptor,
            name: frame.name.filter(|name| name.len() <= MAX_NAME),
            blocks: unflatten(&frame.ranges, frame.level, blocks)?,
            peers: peers.collect::<Result<_, _>>()?,
            suggested: unflatten(&frame.suggested, frame.level, blocks)?,
            is_listed: frame.is_listed,
            proof: frame.proof.map(|p| Proof::from_bytes(p.into_array())),
            group: frame.group,
        }))
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` gives it
fn malformed(what: impl ToString) -> FrameError {
    FrameError::malformed(what.to_string())
}

fn flatten(ranges: &BlockRanges) -> Vec<u64> {
    ranges
        .pairs()
        .take(MAX_RUNS)
        .flat_map(|(first, end)| [first, end])
        .collect()
}

/// Converts runs of chunks of `level` to runs of blocks, cut off at `blocks`, the number of blocks
/// of the content.
fn unflatten(ends: &[u64], level: u8, blocks: u64) -> Result<BlockRanges, FrameError> {
    let (runs, rest) = ends.as_chunks::<2>();
    if !rest.is_empty() || runs.len() > MAX_RUNS {
        return Err(malformed(format!("{} numbers for runs", ends.len())));
    }
    let at_block = |chunk: u64| chunk.saturating_mul(1 << level.min(63)).min(blocks);
    let runs = runs
        .iter()
        .map(|&[first, end]| (at_block(first), at_block(end)));
    BlockRanges::from_pairs(runs).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use pelago_content::Hasher;
    use proptest::prelude::*;

    use super::*;

    fn over_the_wire(update: &Update) -> Update {
        let mut bytes = Vec::new();
        block_on(write_update(&mut bytes, update)).unwrap();
        block_on(read_update(&mut Cursor::new(bytes)))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn ranges_past_the_end_are_cut_and_levels_never_overflow() {
        assert_eq!(unflatten(&[0, u64::MAX], 255, 5).unwrap().len(), 5);
        assert_eq!(
            unflatten(&[1, 2], 1, 100).unwrap().pairs().next(),
            Some((2, 4))
        );
        assert!(unflatten(&[7], 0, 100).is_err());
        assert!(unflatten(&[5, 4], 0, 100).is_err());
    }

    #[test]
    fn an_empty_update_is_absent() {
        assert_eq!(over_the_wire(&Update::Absent), Update::Absent);
    }

    #[test]
    fn updates_of_the_empty_file_pass() {
        let descriptor = Hasher::new(Kind::File).finish().unwrap();
        assert_eq!(descriptor.kind(), Kind::File);
        let hash = descriptor.hash();
        let has = Availability {
            name: Some("nothing".into()),
            peers: vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap()],
            is_listed: true,
            proof: Some(Proof::new(&hash, &PeerId::random(), &PeerId::random())),
            ..Availability::none(descriptor)
        };
        let update = Update::Has(has);
        assert_eq!(over_the_wire(&update), update);
    }

    #[test]
    fn a_subscription_names_no_hash() {
        let hash = Hash::from_bytes([7; 32]);
        let request = Request::new(&hash, &PeerId::random(), &PeerId::random());
        let mut bytes = Vec::new();
        block_on(write_request(&mut bytes, &request)).unwrap();
        assert!(!bytes.windows(8).any(|part| part == [7; 8]));
        let read = block_on(read_request(&mut Cursor::new(bytes))).unwrap();
        assert_eq!(read, Some(request));
    }

    #[test]
    fn a_group_is_named_and_echoed() {
        let group = Some(GroupId::from_bytes([3; 32]));
        let hash = Hash::from_bytes([7; 32]);
        let request = Request::new(&hash, &PeerId::random(), &PeerId::random()).within(group);
        let mut bytes = Vec::new();
        block_on(write_request(&mut bytes, &request)).unwrap();
        let read = block_on(read_request(&mut Cursor::new(bytes))).unwrap();
        assert_eq!(read, Some(request));
        let descriptor = Hasher::new(Kind::File).finish().unwrap();
        let update = Update::Has(Availability {
            group,
            ..Availability::none(descriptor)
        });
        assert_eq!(over_the_wire(&update), update);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            let _ = block_on(read_update(&mut Cursor::new(framed.clone())));
            let _ = block_on(read_request(&mut Cursor::new(framed.clone())));
            let _ = block_on(read_listed_request(&mut Cursor::new(framed)));
        }
    }
}
