//! The links, their limits and their end. Pure: time is an argument.

use std::path::PathBuf;

use subtle::ConstantTimeEq;
use tokio::{sync::watch, time::Instant};

use crate::{
    api::hex,
    content::{Hash, Kind},
};

/// Links at a time, at most: people make a few.
pub(super) const MAX_LINKS: usize = 64;

/// Files that a link may receive, at most: the link lists them.
pub(super) const MAX_FILES: u64 = 1000;

/// Random bytes of a token.
const TOKEN_LEN: usize = 16;

/// Random bytes of an id.
const ID_LEN: usize = 4;

/// What a link grants.
#[derive(Clone, Debug)]
pub(super) enum Grant {
    /// Downloading a share.
    Share {
        hash: Hash,
        kind: Kind,
        name: String,
    },
    /// Uploading files into a folder.
    Receive { folder: PathBuf },
}

/// What a link may still receive, and what it has received.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) bytes_left: u64,
    pub(super) files_left: u64,
    pub(super) files: Vec<(PathBuf, u64)>,
}

/// When a link ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) at: Instant,
    pub(super) unix_ms: u64,
}

/// A link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) grant: Grant,
    pub(super) received: Received,
    pub(super) expires: Option<Expiry>,
}

/// A link that a request named, for as long as it is valid.
pub(super) struct Granted {
    pub(super) id: String,
    pub(super) grant: Grant,
    /// Closes when the link ends.
    pub(super) life: watch::Receiver<()>,
}

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The link has received as many files as it may.
    Files,
    /// The file is larger than what the link may still receive.
    Bytes { left: u64 },
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(Link, watch::Sender<()>)>);

impl Table {
    /// Adds a link; `None` if there are too many.
    pub(super) fn add(
        &mut self,
        grant: Grant,
        received: Received,
        expires: Option<Expiry>,
    ) -> Option<Link> {
        if self.0.len() >= MAX_LINKS {
            return None;
        }
        let link = Link {
            id: hex::encode(&rand::random::<[u8; ID_LEN]>()),
            token: hex::encode(&rand::random::<[u8; TOKEN_LEN]>()),
            grant,
            received,
            expires,
        };
        self.0.push((link.clone(), watch::Sender::default()));
        Some(link)
    }

    /// The link with this token. Compares with each one, in a time that does not depend on it.
    pub(super) fn granted(&self, token: &str) -> Option<Granted> {
        let mut found = None;
        for (link, life) in &self.0 {
            if bool::from(link.token.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(Granted {
                    id: link.id.clone(),
                    grant: link.grant.clone(),
                    life: life.subscribe(),
                });
            }
        }
        found
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.0.iter().map(|(link, _)| link)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends a link. Returns it, if it exists.
    pub(super) fn remove(&mut self, id: &str) -> Option<Link> {
        let at = self.0.iter().position(|(link, _)| link.id == id)?;
        Some(self.0.remove(at).0)
    }

    /// Ends the links to this content.
    pub(super) fn remove_content(&mut self, content: &Hash) {
        self.0.retain(
            |(link, _)| !matches!(&link.grant, Grant::Share { hash, .. } if hash == content),
        );
    }

    /// Ends the links whose time is over. Returns when the next one ends.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let until = |link: &Link| link.expires.map(|expires| expires.at);
        self.0
            .retain(|(link, _)| until(link).is_none_or(|at| at > now));
        self.links().filter_map(until).min()
    }

    /// Reserves what a file of `len` bytes takes of the limits of a link.
    pub(super) fn reserve(&mut self, id: &str, len: u64) -> Result<(), Full> {
        let Some(received) = self.received(id) else {
            return Err(Full::Files);
        };
        if received.files_left == 0 {
            return Err(Full::Files);
        }
        let left = received.bytes_left;
        received.bytes_left = left.checked_sub(len).ok_or(Full::Bytes { left })?;
        received.files_left -= 1;
        Ok(())
    }

    /// Returns what a file reserved that did not arrive.
    pub(super) fn release(&mut self, id: &str, len: u64) {
        if let Some(received) = self.received(id) {
            received.bytes_left += len;
            received.files_left += 1;
        }
    }

    /// A file has arrived.
    pub(super) fn arrived(&mut self, id: &str, path: PathBuf, len: u64) {
        if let Some(received) = self.received(id) {
            received.files.push((path, len));
        }
    }

    fn received(&mut self, id: &str) -> Option<&mut Received> {
        let mut links = self.0.iter_mut();
        let (link, _) = links.find(|(link, _)| link.id == id)?;
        Some(&mut link.received)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn share(n: u8) -> Grant {
        Grant::Share {
            hash: Hash::from_bytes([n; 32]),
            kind: Kind::File,
            name: "a".to_owned(),
        }
    }

    #[test]
    fn a_token_grants_its_link_until_that_ends() {
        let (mut table, now) = (Table::default(), Instant::now());
        let add = |table: &mut Table, n, seconds: Option<u64>| {
            let expires = seconds.map(|seconds| Expiry {
                at: now + Duration::from_secs(seconds),
                unix_ms: 0,
            });
            table.add(share(n), Received::default(), expires).unwrap()
        };
        let [first, brief] = [(1, None), (2, Some(60))].map(|(n, s)| add(&mut table, n, s));
        assert_eq!(table.expire(now), Some(now + Duration::from_secs(60)));
        for wrong in [
            "",
            &first.id,
            &first.token[1..],
            &first.token.to_uppercase(),
        ] {
            assert!(
                wrong == first.token || table.granted(wrong).is_none(),
                "{wrong}"
            );
        }
        let granted = table.granted(&brief.token).unwrap();
        assert!(granted.life.has_changed().is_ok());
        assert_eq!(table.expire(now + Duration::from_secs(60)), None);
        assert!(table.granted(&brief.token).is_none());
        assert!(
            granted.life.has_changed().is_err(),
            "it ends what is under way"
        );
        assert!(table.remove("nothing").is_none());
        table.remove_content(&Hash::from_bytes([2; 32]));
        assert!(table.granted(&first.token).is_some());
        table.remove_content(&Hash::from_bytes([1; 32]));
        assert!(table.is_empty());
        for n in 0..MAX_LINKS {
            add(&mut table, n as u8, None);
        }
        assert!(table.add(share(0), Received::default(), None).is_none());
    }

    #[test]
    fn a_link_receives_as_many_files_and_bytes_as_it_may() {
        let mut table = Table::default();
        let limits = Received {
            bytes_left: 100,
            files_left: 2,
            files: Vec::new(),
        };
        let folder = PathBuf::from("/in");
        let link = table.add(Grant::Receive { folder }, limits, None).unwrap();
        let id = &link.id;
        assert_eq!(table.reserve(id, 101), Err(Full::Bytes { left: 100 }));
        assert_eq!(table.reserve(id, u64::MAX), Err(Full::Bytes { left: 100 }));
        assert_eq!(table.reserve(id, 60), Ok(()));
        assert_eq!(table.reserve(id, 60), Err(Full::Bytes { left: 40 }));
        table.release(id, 60);
        assert_eq!(
            (table.reserve(id, 60), table.reserve(id, 40)),
            (Ok(()), Ok(()))
        );
        assert_eq!(table.reserve(id, 0), Err(Full::Files));
        table.arrived(id, "/in/a".into(), 60);
        assert_eq!(table.links().next().unwrap().received.files.len(), 1);
        assert_eq!(table.reserve("other", 0), Err(Full::Files));
    }
}
