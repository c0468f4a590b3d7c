//! The link by which people invite each other to a group, as one line of text:
//! `pelago:group/<id>?name=<name>&mode=auto&invite=<seed>&peer=<multiaddr>&peer=...`.
//!
//! Who has the line has the invite.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use pelago_content::{Hash, InvalidPercentEncoding, percent_decode, percent_encode};

use crate::{
    group_id::GroupId,
    keys::{InvalidKey, InviteKey, Secret},
    statement::InviteMode,
};

const SCHEME: &str = "pelago:group/";

/// An invite to a group, with what its author says of the group.
#[derive(Clone, Debug)]
pub struct GroupLink {
    /// The group.
    pub group: GroupId,
    /// Its name. Any text: a hint.
    pub name: Option<String>,
    /// What becomes of requests. A hint; the owners decide.
    pub mode: InviteMode,
    /// The secret of the invite.
    pub invite: Secret<InviteKey>,
    /// Members to ask first: multiaddrs, not parsed here.
    pub peers: Vec<String>,
}

/// Why a text is not a link to a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupLinkError {
    /// It does not begin like one.
    #[error("a link to a group starts with `{SCHEME}`")]
    Scheme,
    /// It is too long.
    #[error("a link has at most {} bytes, this has {found}", GroupLink::MAX_LEN)]
    Length {
        /// Its bytes.
        found: usize,
    },
    /// The group's id, or the invite, is invalid.
    #[error("the link's {part} is invalid: {error}")]
    Key {
        /// Which of them.
        part: &'static str,
        /// Why.
        error: InvalidKey,
    },
    /// It has no invite.
    #[error("the link has no invite; was it cut at an `&`? Quote it in the shell")]
    NoInvite,
    /// There are too many peers.
    #[error("a link names at most {} peers", GroupLink::MAX_PEERS)]
    Peers,
    /// A value is not text.
    #[error("the link's {key} is not percent-encoded text: {error}")]
    Encoding {
        /// Of which key.
        key: &'static str,
        /// Why.
        error: InvalidPercentEncoding,
    },
}

impl GroupLink {
    /// Bytes in the longest link.
    pub const MAX_LEN: usize = 4 << 10;

    /// Peers in one link, at most.
    pub const MAX_PEERS: usize = 16;

    /// Whether `text` is meant to be a link to a group.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        let scheme = text.get(..SCHEME.len());
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }
}

/// Reveals the secret of the invite: that is what it is for. `Debug` does not.
impl fmt::Display for GroupLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{SCHEME}{}?", self.group);
        if let Some(name) = &self.name {
            text.push_str("name=");
            percent_encode(name, &mut text);
            text.push('&');
        }
        if self.mode == InviteMode::Auto {
            text.push_str("mode=auto&");
        }
        let _ = write!(text, "invite={}", Hash::from_bytes(*self.invite.seed()));
        for peer in self.peers.iter().take(Self::MAX_PEERS) {
            let length = text.len();
            text.push_str("&peer=");
            percent_encode(peer, &mut text);
            if text.len() > Self::MAX_LEN {
                text.truncate(length);
            }
        }
        f.write_str(&text)
    }
}

impl FromStr for GroupLink {
    type Err = GroupLinkError;

    fn from_str(text: &str) -> Result<Self, GroupLinkError> {
        if text.len() > Self::MAX_LEN {
            return Err(GroupLinkError::Length { found: text.len() });
        }
        if !Self::is_meant(text) {
            return Err(GroupLinkError::Scheme);
        }
        let (group, query) = text[SCHEME.len()..]
            .split_once('?')
            .unwrap_or((&text[SCHEME.len()..], ""));
        let group = group
            .parse()
            .map_err(|error| GroupLinkError::Key { part: "id", error })?;
        let (mut name, mut mode, mut invite) = (None, InviteMode::Ask, None);
        let mut peers = Vec::new();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "name" => name = Some(decoded("name", value)?),
                "mode" if value == "auto" => mode = InviteMode::Auto,
                "invite" => invite = Some(seed(value)?),
                "peer" if peers.len() == Self::MAX_PEERS => return Err(GroupLinkError::Peers),
                "peer" => peers.push(decoded("peer", value)?),
                _ => {}
            }
        }
        Ok(Self {
            group,
            name,
            mode,
            invite: Secret::from_seed(invite.ok_or(GroupLinkError::NoInvite)?),
            peers,
        })
    }
}

fn seed(text: &str) -> Result<[u8; 32], GroupLinkError> {
    // The text is a secret, which no message shows.
    let seed = text.parse::<InviteKey>();
    let seed = seed.map_err(|_| GroupLinkError::Key {
        part: "invite",
        error: InvalidKey::of("..."),
    })?;
    Ok(*seed.as_bytes())
}

fn decoded(key: &'static str, value: &str) -> Result<String, GroupLinkError> {
    percent_decode(value).map_err(|error| GroupLinkError::Encoding { key, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_as_it_was_written_and_debug_hides_its_secret() {
        let link = GroupLink {
            group: GroupId::from_bytes([9; 32]),
            name: Some("Öz & family".into()),
            mode: InviteMode::Auto,
            invite: Secret::from_seed([5; 32]),
            peers: vec!["/ip4/10.0.0.1/tcp/4001/p2p/12D3KooW".into()],
        };
        let text = link.to_string();
        let read: GroupLink = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!((&read.name, read.mode), (&link.name, link.mode));
        assert_eq!(read.invite.seed(), link.invite.seed());
        assert!(!format!("{link:?}").contains("0505"));
    }

    #[test]
    fn what_is_wrong_with_a_link_is_said_without_its_secret() {
        let id = GroupId::from_bytes([9; 32]);
        let wrong = |text: String| text.parse::<GroupLink>().unwrap_err();
        assert_eq!(wrong("pelago:abc".into()), GroupLinkError::Scheme);
        let cut = wrong(format!("pelago:group/{id}?name=family"));
        assert_eq!(cut, GroupLinkError::NoInvite);
        let short = wrong(format!("pelago:group/{id}?invite=secret"));
        assert!(!short.to_string().contains("secret"), "{short}");
        assert!(
            wrong("pelago:group/12?invite=".into())
                .to_string()
                .contains("12")
        );
    }
}
