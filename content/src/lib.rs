//! What content *is* in Pelago: its hash tree, its descriptor, its hash, the proof that a chunk
//! belongs to it, the manifests of folders and their expansion, sets of blocks, and the link that
//! names it.
//!
//! Everything here is pure: bytes in, values out. No I/O, no async, no threads, no network types,
//! and no allocation in proportion to a size that is merely claimed. Each operation that can fail
//! has its own error enum; nothing panics on data from a peer.
//!
//! | word | meaning |
//! |---|---|
//! | block | 16 KiB of content, the unit of proof; the last one may be shorter |
//! | node | a hash in the tree; level 0 are the blocks' hashes, or leaves |
//! | chunk | the aligned run of `2^level` blocks below one node, the unit of a request |
//! | root | the top node; BitTorrent v2 (BEP 52) calls it the pieces root |
//! | descriptor | kind, size and root: everything that determines a hash |
//! | hash | SHA-256 over the descriptor: *the* name of the content |
//! | manifest | the entries of one directory: the content of kind folder |
//! | listing | everything below a folder, in the same order for all nodes |
//!
//! A node with the content describes it once, and proves any part of it to nodes that have the
//! hash:
//!
//! ```
//! use pelago_content::{Descriptor, Hasher, Kind, leaf, verify};
//!
//! let content = [7; 20_000];
//! let mut hasher = Hasher::new(Kind::File);
//! hasher.update(&content);
//! let descriptor = hasher.finish()?;
//!
//! // The second block comes with its only sibling for a proof. The receiver knows the hash, so it
//! // knows which descriptor to believe.
//! let (first, second) = content.split_at(16 * 1024);
//! assert_eq!(Descriptor::from_bytes(&descriptor.to_bytes())?.hash(), descriptor.hash());
//! let chunk = descriptor.geometry().chunk(0, 1)?;
//! verify(&descriptor, chunk, second, &[leaf(first)])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod descriptor;
mod geometry;
mod hash;
mod hasher;
mod lanes;
mod layout;
mod link;
mod link_peers;
mod listing;
mod manifest;
mod node;
mod percent;
mod printable;
mod proof;
mod ranges;
mod sequence;
mod tree;

pub use builder::{BuildError, Builder};
pub use descriptor::{Descriptor, DescriptorError, Kind};
pub use geometry::{BLOCK_SIZE, Chunk, Geometry, MAX_SIZE, OutOfRange, STORED_LEVEL};
pub use hash::{Hash, HashError};
pub use hasher::Hasher;
pub use layout::Layout;
pub use link::{Link, LinkError};
pub use link_peers::{PeerReader, shortened_peers};
pub use listing::{
    Expander, ListedEntry, ListedFile, Listing, ListingError, MAX_DEPTH, MAX_LISTED, Totals,
    UNQUESTIONED_ENTRIES,
};
pub use manifest::{
    EntryKind, MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN, MAX_NAME_LEN,
    MAX_TARGET_LEN, Manifest, ManifestEntry, ManifestError, NameError, TargetError, check_name,
    check_target,
};
pub use node::Node;
pub use percent::{InvalidPercentEncoding, percent_decode, percent_encode};
pub use printable::{Printable, escaped, is_unsafe};
pub use proof::{
    ProofError, proof_len, proven_nodes, siblings, verify, verify_leaves, verify_node,
};
pub use ranges::{BlockRanges, RangesError};
pub use sequence::{Part, Sequence};
pub use tree::{leaf, padding, parent, subtree, subtree_leaves};
