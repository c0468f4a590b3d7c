//! The catalogue protocol: what a peer shares with the requester, page by page.
//!
//! Each exchange is one frame in each direction, and a stream may carry any number of exchanges. A
//! page names the start of the next one; a page without it is the last. A request that names a group
//! is for what is shared with that group; every page that answers it names the group, too. Every entry is a claim,
//! and every string in it is untrusted.

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use pelago_content::{Hash, Kind};
use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::frame::{self, FrameError};

/// Entries on one page, at most.
pub const MAX_ENTRIES: usize = 256;

/// Bytes of an entry's name, at most. The responder leaves out entries with longer names.
pub const MAX_NAME: usize = 1024;

/// Bytes of a query, at most.
pub const MAX_QUERY: usize = 256;

/// Bytes of a cursor, at most: a hash and a path of the responder's own.
pub const MAX_CURSOR: usize = 8 << 10;

/// Bytes of a request's frame, at most.
const MAX_REQUEST_FRAME: usize = 16 << 10;

/// Bytes of a page's frame, at most: [`MAX_ENTRIES`] with the longest names, and the cursor.
const MAX_PAGE_FRAME: usize = 320 << 10;

/// A request for one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Selects names that contain every one of these words, in any letter case; empty: all names.
    pub query: String,
    /// Where to start: the `next` of the page before.
    pub cursor: Option<Vec<u8>>,
    /// The group whose catalogue to read; `None`: what everyone may list.
    pub group: Option<GroupId>,
}

/// One share of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Its hash.
    pub hash: Hash,
    /// What the peer calls it.
    pub name: String,
    /// File or folder.
    pub kind: Kind,
    /// Its size in bytes; for a folder, the total of its files.
    pub size: u64,
}

/// A page of a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most [`MAX_ENTRIES`].
    pub entries: Vec<CatalogueEntry>,
    /// Where the next page starts, if there is one. Meaningful to the responder only.
    pub next: Option<Vec<u8>>,
    /// The group whose catalogue it is of.
    pub group: Option<GroupId>,
}

#[derive(Serialize, Deserialize)]
struct RequestFrame {
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    query: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    cursor: Option<ByteBuf>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

#[derive(Serialize, Deserialize)]
struct PageFrame {
    #[serde(rename = "e", default)]
    entries: Vec<EntryFrame>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    next: Option<ByteBuf>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

#[derive(Serialize, Deserialize)]
struct EntryFrame {
    #[serde(rename = "h")]
    hash: ByteArray<32>,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "k", default, deserialize_with = "frame::number")]
    kind: u8,
    #[serde(rename = "s")]
    size: u64,
}

/// Sends a request.
///
/// # Errors
/// The stream failed, or the query or the cursor is too long.
pub async fn write_request(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Request,
) -> Result<(), FrameError> {
    check_request(&request.query, request.cursor.as_deref())?;
    let cursor = request.cursor.clone().map(ByteBuf::from);
    let request = RequestFrame {
        query: request.query.clone(),
        cursor,
        group: request.group,
    };
    frame::write(io, &request, MAX_REQUEST_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads a request; `None` if the requester has closed the stream.
///
/// # Errors
/// The stream failed, or the frame is not a valid request.
pub async fn read_request(
    io: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Request>, FrameError> {
    let Some(request) = frame::read::<RequestFrame>(io, MAX_REQUEST_FRAME).await? else {
        return Ok(None);
    };
    let cursor = request.cursor.map(ByteBuf::into_vec);
    check_request(&request.query, cursor.as_deref())?;
    Ok(Some(Request {
        query: request.query,
        cursor,
        group: request.group,
    }))
}

fn check_request(query: &str, cursor: Option<&[u8]>) -> Result<(), FrameError> {
    if query.len() > MAX_QUERY || cursor.is_some_and(|cursor| cursor.len() > MAX_CURSOR) {
        return Err(FrameError::malformed("a query or a cursor is too long"));
    }
    Ok(())
}

/// Sends a page.
///
/// # Errors
/// The stream failed, or the page is larger than allowed.
pub async fn write_page(io: &mut (impl AsyncWrite + Unpin), page: &Page) -> Result<(), FrameError> {
    let entries = page.entries.iter().map(|entry| EntryFrame {
        hash: ByteArray::new(*entry.hash.as_bytes()),
        name: entry.name.clone(),
        kind: entry.kind as u8,
        size: entry.size,
    });
    let next = page.next.clone().map(ByteBuf::from);
    let page = PageFrame {
        entries: entries.collect(),
        next,
        group: page.group,
    };
    frame::write(io, &page, MAX_PAGE_FRAME).await?;
    Ok(io.flush().await?)
}

/// Reads a page. Leaves out entries of unknown kinds.
///
/// # Errors
/// The stream failed or ended, or the frame is not a valid page: it has too many entries, or a
/// name or a cursor that is too long.
pub async fn read_page(io: &mut (impl AsyncRead + Unpin)) -> Result<Page, FrameError> {
    let page = frame::expect::<PageFrame>(io, MAX_PAGE_FRAME).await?;
    let too_long = |entry: &EntryFrame| entry.name.len() > MAX_NAME;
    let (next, group) = (page.next.map(ByteBuf::into_vec), page.group);
    if page.entries.len() > MAX_ENTRIES
        || page.entries.iter().any(too_long)
        || next
            .as_ref()
            .is_some_and(|cursor| cursor.len() > MAX_CURSOR)
    {
        return Err(FrameError::malformed("a page exceeds its limits"));
    }
    let entries = page.entries.into_iter().filter_map(|entry| {
        let kind = Kind::try_from(entry.kind).ok()?;
        let hash = Hash::from_bytes(entry.hash.into_array());
        Some(CatalogueEntry {
            hash,
            name: entry.name,
            kind,
            size: entry.size,
        })
    });
    Ok(Page {
        entries: entries.collect(),
        next,
        group,
    })
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_arrive_as_they_were_sent(
            names in prop::collection::vec(".{0,20}", 0..20),
            next in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
            group in prop::option::of(any::<[u8; 32]>()),
        ) {
            let hash = Hash::from_bytes([7; 32]);
            let entry = |name| CatalogueEntry { hash, name, kind: Kind::File, size: 9 };
            let group = group.map(GroupId::from_bytes);
            let page = Page { entries: names.into_iter().map(entry).collect(), next, group };
            let mut bytes = Vec::new();
            block_on(write_page(&mut bytes, &page)).unwrap();
            prop_assert_eq!(block_on(read_page(&mut Cursor::new(bytes))).unwrap(), page);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
            let _ = block_on(read_page(&mut Cursor::new(framed.clone())));
            let _ = block_on(read_request(&mut Cursor::new(framed)));
        }
    }
}
