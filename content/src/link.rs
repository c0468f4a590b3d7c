//! The link: all that a receiver needs, as one line of text.
//!
//! `pelago:<hash>?name=<name>&size=<bytes>&unlisted=1&peer=<multiaddr>&peer=...`, with values
//! percent-encoded.
//! Owns the text form and its bounds. Never judges a peer's address, nor a name: everything but the
//! hash is a hint by whoever wrote the link. Text that is no link leaves as a [`LinkError`].

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use crate::{Hash, HashError};

const SCHEME: &str = "pelago:";

/// Content, and what somebody says of it.
///
/// Displays as a link that always parses again: what would exceed a limit is left out (the last
/// peers; a name over [`Link::MAX_NAME_LEN`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The content.
    pub hash: Hash,
    /// What to call it. Any text: sanitise it before it becomes a path or meets a terminal.
    pub name: Option<String>,
    /// What the content weighs in bytes, the total for a folder. A claim.
    pub size: Option<u64>,
    /// Whether the content is for those who have the hash: in no list, and not announced.
    pub is_unlisted: bool,
    /// Where to ask first: multiaddrs, best first, not parsed here.
    pub peers: Vec<String>,
}

impl Link {
    /// Bytes in the longest link: what fits a QR code twice over, and a chat message once.
    pub const MAX_LEN: usize = 8 * 1024;

    /// Peers in one link, so that a link cannot make its reader dial without end.
    pub const MAX_PEERS: usize = 64;

    /// Bytes of the longest name, decoded: four times what file systems take for a component.
    pub const MAX_NAME_LEN: usize = 1024;

    /// A link that says nothing but the hash.
    pub const fn new(hash: Hash) -> Self {
        Self {
            hash,
            name: None,
            size: None,
            is_unlisted: false,
            peers: Vec::new(),
        }
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), LinkError> {
        match key {
            "name" => set(&mut self.name, "name", name(decode("name", value)?)?),
            "size" => set(&mut self.size, "size", size(&decode("size", value)?)?),
            "unlisted" => {
                // Anything but a clear no is a yes: what is listed cannot be taken back.
                self.is_unlisted |= decode("unlisted", value)? != "0";
                Ok(())
            }
            "peer" if self.peers.len() == Self::MAX_PEERS => Err(LinkError::Peers),
            "peer" => {
                self.peers.push(decode("peer", value)?);
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
        let mut add = |key: &str, value: &str| {
            let length = text.len();
            let _ = write!(text, "{separator}{key}=");
            encode(value, &mut text);
            if text.len() > Self::MAX_LEN {
                text.truncate(length);
            } else {
                separator = '&';
            }
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
        for peer in self.peers.iter().take(Self::MAX_PEERS) {
            add("peer", peer);
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
        let (scheme, rest) = text
            .split_at_checked(SCHEME.len())
            .ok_or(LinkError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(LinkError::Scheme);
        }
        let (hash, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut link = Self::new(hash.parse()?);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            link.take(key, value)?;
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

/// Digits only: `u64::from_str` would take a sign too.
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

/// Leaves what RFC 3986 calls unreserved, and `/` and `:`, which a query may hold and addresses
/// consist of.
fn encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// Strict where it could mislead: a `%` starts two hex digits, and the result is UTF-8. A `+` is a
/// plus, and Unicode that a browser decoded for display is taken as it is.
fn decode(key: &'static str, value: &str) -> Result<String, LinkError> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                value.ok_or(LinkError::Escape { key })?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| LinkError::Utf8 { key })
}

/// Why a text is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// What follows the scheme is no hash.
    #[error("the link's hash is wrong: {0}")]
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
    /// The size is no number.
    #[error("the link's size {found:?} is not a number of bytes below 2^64")]
    Size {
        /// What is there instead.
        found: String,
    },
    /// There are too many peers.
    #[error("a link names at most {} peers", Link::MAX_PEERS)]
    Peers,
    /// Something that there is one of is said twice.
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
    /// A value decodes to something that is no text.
    #[error("the link's {key} is not UTF-8")]
    Utf8 {
        /// Which key.
        key: &'static str,
    },
}
