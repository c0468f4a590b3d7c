//! Reads content for programs on this machine: a file from any byte on, or the entries of a folder,
//! whether this node has it or fetches it.

use std::{ops::Range, time::Duration};

use futures::Stream;
use pelago_content::{Descriptor, EntryKind, Hash, Kind, Link, Manifest, ManifestEntry};
use pelago_groups::GroupId;
use thiserror::Error;

use super::{
    Node, NotAMember, Target, UnshareError,
    blocking::blocking,
    own_groups::{Place, PlaceError},
    shares::select_hash,
};
use crate::{
    network::Closed,
    serve::RehashQueue,
    store::{self, DatabaseError, Known},
    transfer::{self, Reader, TransferError},
};

/// What to read.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The content.
    pub hash: Hash,
    /// For a folder: the names that lead to the file or folder to read. For a file: empty, or any
    /// name.
    pub path: Vec<String>,
    /// The group in which to fetch it. `None`: the one from which it is known; or outside groups.
    pub group: Option<GroupId>,
    /// How long content that is not here may have no source.
    pub timeout: Duration,
    /// How many bytes are fetched ahead of the reader, if the content is not here.
    pub read_ahead: u64,
}

/// Content that is open for reading.
pub struct Reading {
    stat: Stat,
    name: Option<String>,
    descriptor: Descriptor,
    reader: Reader,
    /// Takes files that have changed.
    rehash: RehashQueue,
}

/// The kind of content that is open for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stat {
    /// A file.
    File {
        /// Its hash.
        hash: Hash,
        /// Its size in bytes.
        size: u64,
    },
    /// A folder.
    Folder {
        /// Its hash.
        hash: Hash,
        /// Its entries, by name.
        entries: Vec<ManifestEntry>,
    },
}

/// Why content cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing exists at the path.
    #[error("the folder has no entry of this name")]
    NotFound,
    /// It is not here, and known from a group that this node is not in.
    #[error(transparent)]
    NotAMember(NotAMember),
    /// It is not here, and could not be fetched.
    #[error(transparent)]
    Transfer(#[from] transfer::ReadError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<PlaceError> for ReadError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::NotAMember(error) => Self::NotAMember(error),
            PlaceError::Database(error) => Self::Transfer(store::ReadError::from(error).into()),
            PlaceError::Closed(error) => error.into(),
        }
    }
}

impl ReadError {
    /// Whether other readers have to finish first.
    #[must_use]
    pub fn is_too_many_readers(&self) -> bool {
        let Self::Transfer(transfer::ReadError::Fetch(error)) = self else {
            return false;
        };
        matches!(**error, TransferError::TooManyRead)
    }

    /// Whether it was shared here, and its file is gone or has other content.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Self::Transfer(transfer::ReadError::Here(error)) = self else {
            return false;
        };
        match error {
            store::ReadError::Absent | store::ReadError::Changed { .. } => true,
            store::ReadError::Unreadable { source, .. } => store::is_gone(source),
            _ => false,
        }
    }

    /// Whether it is known from a group that this node is not in, and so looked for nowhere.
    #[must_use]
    pub fn is_of_lost_group(&self) -> bool {
        match self {
            Self::NotAMember(_) => true,
            Self::Transfer(transfer::ReadError::Fetch(error)) => {
                matches!(**error, TransferError::NotAMember { .. })
            }
            _ => false,
        }
    }

    /// The content without a source, if that is the reason.
    #[must_use]
    pub fn without_source(&self) -> Option<Hash> {
        let Self::Transfer(transfer::ReadError::Fetch(error)) = self else {
            return None;
        };
        match **error {
            TransferError::NoSource { hash, .. } => Some(hash),
            _ => None,
        }
    }

    /// Whether this node failed, so that no other node can help.
    #[must_use]
    pub fn is_of_this_node(&self) -> bool {
        match self {
            Self::NotFound
            | Self::NotAMember(_)
            | Self::Transfer(transfer::ReadError::Stalled { .. }) => false,
            Self::Transfer(transfer::ReadError::Fetch(error)) => {
                !matches!(**error, TransferError::NoSource { .. })
            }
            Self::Transfer(_) | Self::Closed(_) => true,
        }
    }
}

impl Node {
    /// Opens content for reading. In a folder, follows the path.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, request: ReadRequest) -> Result<Reading, ReadError> {
        let found_by = request.hash;
        let link = Link::new(found_by);
        let place = self.core.place_of(&link, request.group, false).await?;
        let group = self.group_at(place, found_by).await?;
        let (known_as, peers) = self.core.links.of(&found_by);
        let reader = |hash| {
            let read = transfer::ReadRequest {
                hash,
                found_by,
                peers: peers.clone(),
                group,
                timeout: request.timeout,
            };
            self.core.transfers.reader(read, request.read_ahead)
        };
        let mut at = reader(found_by);
        let mut descriptor = at.descriptor().await?;
        let mut path = request.path.iter();
        while descriptor.kind() == Kind::Folder {
            let manifest = at.manifest().await?;
            let Some(name) = path.next() else {
                if let Place::Group(group) = place {
                    // A person may ask for one of them by its hash.
                    let below: Vec<_> = manifest.entries().iter().filter_map(content).collect();
                    self.core.note_known(group, below).await;
                }
                let (hash, entries) = (descriptor.hash(), manifest.into_entries());
                let stat = Stat::Folder { hash, entries };
                let name = request.path.last().cloned().or(known_as);
                return Ok(self.reading(stat, name, descriptor, at));
            };
            descriptor = below(&manifest, name).ok_or(ReadError::NotFound)?;
            at = reader(descriptor.hash());
        }
        // A file that was requested by its own hash may have any name.
        let left = path.count();
        let is_itself = descriptor.hash() == found_by;
        if left > usize::from(is_itself) {
            return Err(ReadError::NotFound);
        }
        let (hash, size) = (descriptor.hash(), descriptor.size());
        let name = request.path.last().cloned().or(known_as);
        let stat = Stat::File { hash, size };
        Ok(self.reading(stat, name, descriptor, at))
    }

    /// The group in which to read content. What is known from a group that this node has left is read
    /// if it is here, and not looked for.
    async fn group_at(&self, place: Place, hash: Hash) -> Result<Option<GroupId>, PlaceError> {
        match place {
            Place::Public => Ok(None),
            Place::Group(group) => Ok(Some(group)),
            Place::Lost(group) => {
                let store = self.core.store.clone();
                match blocking(move || store.holding(&hash)).await?? {
                    Some(_) => Ok(Some(group)),
                    None => Err(self.core.not_a_member(group, Some(hash)).into()),
                }
            }
        }
    }

    fn reading(
        &self,
        stat: Stat,
        name: Option<String>,
        descriptor: Descriptor,
        reader: Reader,
    ) -> Reading {
        Reading {
            stat,
            name,
            descriptor,
            reader,
            rehash: self.core.rehash.clone(),
        }
    }

    /// The link of content to read, and its kind if that is known. `what` is the hash or name of a
    /// share or download of this node, or any hash or link, whose name, group and peers are remembered.
    /// The link names the group in which the content is known.
    ///
    /// # Errors
    /// [`UnshareError`]: it is a name that nothing here has, or that several contents have.
    pub async fn readable(&self, what: &str) -> Result<(Link, Option<Kind>), UnshareError> {
        let link = match what.parse() {
            Ok(Target::Hash(hash)) => Link::new(hash),
            Ok(Target::Link(link)) => link,
            // A mistyped hash is looked up as a name, which nothing has.
            Ok(Target::Name(_)) | Err(_) => match self.find_download(what) {
                Ok(download) => Link::new(download.hash),
                Err(_) => {
                    let (store, what) = (self.core.store.clone(), what.to_owned());
                    Link::new(blocking(move || select_hash(&store, &what)).await??)
                }
            },
        };
        let (store, hash) = (self.core.store.clone(), link.hash);
        let place = self.core.place_of(&link, None, false).await?;
        let group = self.group_at(place, hash).await?;
        self.core.links.remember(&link);
        let here = blocking(move || {
            let name = store.shares_of(&hash)?.pop().map(|share| share.name);
            let kind = store.holding(&hash)?.map(|(held, _)| held.kind());
            Ok::<_, DatabaseError>((name, kind))
        });
        let (name, kind) = here.await??;
        let called = || {
            let downloads = self.downloads();
            let same = downloads.into_iter().find(|download| download.hash == hash);
            same.map(|download| download.name)
        };
        let name = link.name.clone().or(name).or_else(called);
        let group = group.map(|group| *group.as_bytes());
        Ok((
            Link {
                name,
                group,
                ..link
            },
            kind,
        ))
    }
}

/// The content of an entry, as something that is known; `None` for a symbolic link.
fn content(entry: &ManifestEntry) -> Option<Known> {
    match &entry.kind {
        EntryKind::File { descriptor, .. } | EntryKind::Folder { descriptor, .. } => {
            Some(Known::Content(descriptor.hash()))
        }
        EntryKind::Symlink { .. } => None,
    }
}

/// The entry of this name in the directory; `None` if it is a symbolic link.
fn below(manifest: &Manifest, name: &str) -> Option<Descriptor> {
    let entries = manifest.entries();
    let at = entries.binary_search_by(|entry| entry.name.as_str().cmp(name));
    match &entries[at.ok()?].kind {
        EntryKind::File { descriptor, .. } | EntryKind::Folder { descriptor, .. } => {
            Some(*descriptor)
        }
        EntryKind::Symlink { .. } => None,
    }
}

impl Reading {
    /// Its kind.
    #[must_use]
    pub const fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Its name, if that is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The bytes of a file in this range, in order. Each is verified first, and an error ends the
    /// stream. Data that is not here is fetched while the stream is read, and until it is dropped.
    /// A folder has no bytes.
    pub fn range(self, bytes: Range<u64>) -> impl Stream<Item = Result<Vec<u8>, ReadError>> + Send {
        let file = self.descriptor;
        let end = match self.stat {
            Stat::File { size, .. } => bytes.end.min(size),
            Stat::Folder { .. } => 0,
        };
        let left = Some((self.reader, self.rehash, bytes.start));
        futures::stream::unfold(left, move |left| async move {
            let (mut reader, rehash, at) = left.filter(|(.., at)| *at < end)?;
            let piece = reader.piece(file, at..end).await;
            if let Some(transfer::ReadError::Here(error)) = reader.take_unreadable() {
                // The file is hashed again, now or at the next request.
                rehash.enqueue_for_error(&error);
            }
            match piece {
                Ok(data) => {
                    let at = at + data.len() as u64;
                    Some((Ok(data), Some((reader, rehash, at))))
                }
                Err(error) => {
                    if let transfer::ReadError::Here(error) = &error {
                        // The file is hashed again, now or at the next request.
                        rehash.enqueue_for_error(error);
                    }
                    Some((Err(error.into()), None))
                }
            }
        })
    }
}
