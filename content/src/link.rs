//! The link: everything that a receiver needs, as one line of text.
//!
//! `pelago:<hash>?name=<name>&size=<bytes>&unlisted=1&group=<id>&peer=<multiaddr>&peer=...`, with
//! values percent-encoded. A `peer` without an id is a further address of the peer before it.
//! Owns the text form and its bounds. Never judges a peer's address or a name: everything but the
//! hash is a hint by the author of the link. Invalid text results in a [`LinkError`].

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use crate::{
    Hash, HashError, InvalidPercentEncoding, PeerReader, percent_decode, percent_encode,
    shortened_peers,
};

const SCHEME: &str = "pelago:";

/// Content, with what the author of the link says of it.
///
/// Displays as a link that always parses again: parts that would exceed a limit are left out (the
/// last peers; a name over [`Link::MAX_NAME_LEN`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The content.
    pub hash: Hash,
    /// A name for the content. Any text: sanitise it before using it as a path or printing it to a
    /// terminal.
    pub name: Option<String>,
    /// The size of the content in bytes; for a folder, the total of its files. A claim.
    pub size: Option<u64>,
    /// Whether the content is only for those who have the hash: it is in no list, and not
    /// announced.
    pub is_unlisted: bool,
    /// The id of the group whose members have the content; `None` if it is shared outside groups.
    pub group: Option<[u8; 32]>,
    /// Where to ask first: multiaddrs, best first, not parsed here.
    pub peers: Vec<String>,
}

impl Link {
    /// Bytes in the longest link: half the capacity of a QR code, and one chat message.
    pub const MAX_LEN: usize = 8 * 1024;

    /// Peers in one link, at most, to bound the dials that it can cause.
    pub const MAX_PEERS: usize = 64;

    /// Bytes of the longest name, decoded: four times what file systems accept for a component.
    pub const MAX_NAME_LEN: usize = 1024;

    /// A link with nothing but the hash.
    pub const fn new(hash: Hash) -> Self {
        Self {
            hash,
            name: None,
            size: None,
            is_unlisted: false,
            group: None,
            peers: Vec::new(),
        }
    }

    fn take(&mut self, key: &str, value: &str, reader: &mut PeerReader) -> Result<(), LinkError> {
        match key {
            "name" => set(&mut self.name, "name", name(decode("name", value)?)?),
            "size" => set(&mut self.size, "size", size(&decode("size", value)?)?),
            "unlisted" => {
                // Anything but a clear no counts as yes: a listing cannot be undone.
                self.is_unlisted |= decode("unlisted", value)? != "0";
                Ok(())
            }
            "group" => {
                let id = decode("group", value)?.parse::<Hash>();
                let id = id.map_err(|error| LinkError::Group { error })?;
                set(&mut self.group, "group", *id.as_bytes())
            }
            "peer" if self.peers.len() == Self::MAX_PEERS => Err(LinkError::Peers),
            "peer" => {
                self.peers.push(reader.read(decode("peer", value)?));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl From<Hash> for Link {
    fn from(hash: Hash) -> Self {
        Self::new(hash)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{SCHEME}{}", self.hash);
        let mut separator = '?';
        // Returns whether the value fits.
        let mut add = |key: &str, value: &str| {
            let length = text.len();
            let _ = write!(text, "{separator}{key}=");
            percent_encode(value, &mut text);
            if text.len() > Self::MAX_LEN {
                text.truncate(length);
                return false;
            }
            separator = '&';
            true
        };
        if let Some(name) = self
            .name
            .as_ref()
            .filter(|name| name.len() <= Self::MAX_NAME_LEN)
        {
            add("name", name);
        }
        if let Some(size) = self.size {
            add("size", &size.to_string());
        }
        if self.is_unlisted {
            add("unlisted", "1");
        }
        if let Some(group) = self.group {
            add("group", &Hash::from_bytes(group).to_string());
        }
        let peers = &self.peers[..self.peers.len().min(Self::MAX_PEERS)];
        for peer in shortened_peers(peers) {
            // An address behind one that is left out would belong to another peer.
            if !add("peer", peer) {
                break;
            }
        }
        f.write_str(&text)
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > Self::MAX_LEN {
            return Err(LinkError::Length { found: text.len() });
        }
        // RFC 3986, section 3.5: a fragment is not a part of what a URI identifies.
        let (text, _fragment) = text.split_once('#').unwrap_or((text, ""));
        let (scheme, rest) = text
            .split_at_checked(SCHEME.len())
            .ok_or(LinkError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(LinkError::Scheme);
        }
        let (hash, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut link = Self::new(hash.parse()?);
        let mut reader = PeerReader::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            link.take(key, value, &mut reader)?;
        }
        Ok(link)
    }
}

fn name(name: String) -> Result<String, LinkError> {
    let found = name.len();
    if found > Link::MAX_NAME_LEN {
        Err(LinkError::Name { found })
    } else {
        Ok(name)
    }
}

/// Accepts digits only: `u64::from_str` would accept a sign, too.
fn size(text: &str) -> Result<u64, LinkError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| LinkError::Size {
            found: text.to_owned(),
        })
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), LinkError> {
    if place.replace(value).is_some() {
        Err(LinkError::Repeated { key })
    } else {
        Ok(())
    }
}

fn decode(key: &'static str, value: &str) -> Result<String, LinkError> {
    percent_decode(value).map_err(|error| match error {
        InvalidPercentEncoding::Escape => LinkError::Escape { key },
        InvalidPercentEncoding::Utf8 => LinkError::Utf8 { key },
    })
}

/// Why a text is not a valid link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It does not start with `pelago:`.
    #[error("a link starts with `{SCHEME}`")]
    Scheme,
    /// It is too long.
    #[error("a link has at most {} bytes, this has {found}", Link::MAX_LEN)]
    Length {
        /// Its length, in bytes.
        found: usize,
    },
    /// The text after the scheme is not a valid hash.
    #[error("the link's hash is invalid: {0}")]
    Hash(#[from] HashError),
    /// The name is too long.
    #[error(
        "the link's name has {found} bytes, over the limit of {}",
        Link::MAX_NAME_LEN
    )]
    Name {
        /// Its length, in bytes, decoded.
        found: usize,
    },
    /// The size is not a number.
    #[error("the link's size {found:?} is not a number of bytes below 2^64")]
    Size {
        /// The given text.
        found: String,
    },
    /// The id of the group is invalid.
    #[error("the link's group is not an id of 64 hexadecimal digits: {error}")]
    Group {
        /// Why.
        error: HashError,
    },
    /// There are too many peers.
    #[error("a link names at most {} peers", Link::MAX_PEERS)]
    Peers,
    /// A parameter that may occur once is repeated.
    #[error("the link gives its {key} more than once")]
    Repeated {
        /// Which key.
        key: &'static str,
    },
    /// A `%` is not followed by two hex digits.
    #[error("a `%` in the link's {key} is not followed by two hex digits; a plain one is `%25`")]
    Escape {
        /// Which key.
        key: &'static str,
    },
    /// A decoded value is not text.
    #[error("the link's {key} is not UTF-8")]
    Utf8 {
        /// Which key.
        key: &'static str,
    },
}
