//! The link by which people invite each other to a group, as one line of text:
//! `pelago:group/<id>?name=<name>&mode=auto&invite=<seed>&peer=<multiaddr>&peer=...`.
//!
//! Who has the line has the invite.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use pelago_content::{
    Hash, InvalidPercentEncoding, PeerReader, percent_decode, percent_encode, shortened_peers,
};

use crate::{
    group_id::GroupId,
    keys::{InviteKey, Secret},
    statement::InviteMode,
};

const SCHEME: &str = "pelago:group/";

/// The same in a part of a URL.
const ENCODED_SCHEME: &str = "pelago%3agroup%2f";

/// The key of the secret.
const SECRET: &str = "invite";

/// Digits that are taken for a secret, also outside a link: a part of the 64.
const MIN_SECRET: usize = 16;

/// What no secret has in it, and what may follow one in a message.
const ENDS_SECRET: [char; 9] = ['&', '"', '\'', '`', '<', '>', ' ', '\n', '\t'];

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
    /// The group's id, or the invite, is invalid. The text may be a secret, which no message shows.
    #[error("the link's {part} is not 64 hexadecimal digits")]
    Key {
        /// Which of them.
        part: &'static str,
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

    /// Whether `text` has a link to a group in it, also a percent-encoded one.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let begins = |scheme| {
            let mut links = text.split(scheme).skip(1);
            links.any(|link| link.starts_with(|digit: char| digit.is_ascii_hexdigit()))
        };
        [SCHEME, ENCODED_SCHEME].into_iter().any(begins)
    }

    /// What may be shown of `text` if it has a link to a group, or the secret of one, in it: all but
    /// the secret. `None` if it has neither.
    #[must_use]
    pub fn concealed(text: &str) -> Option<String> {
        let is_in = Self::is_in(text);
        // As many bytes as `text` has, so that positions are those in `text`.
        let lower = text.to_ascii_lowercase();
        let (mut shown, mut from, mut is_changed) = (String::new(), 0, false);
        for (at, _) in lower.match_indices(SECRET) {
            let key = at + SECRET.len();
            let mut signs = ["=", "%3d"].into_iter();
            let sign = signs.find(|sign| lower[key..].starts_with(sign));
            let Some(value) = sign.map(|sign| key + sign.len()).filter(|_| at >= from) else {
                continue;
            };
            let digits = lower[value..].bytes().take_while(u8::is_ascii_hexdigit);
            if is_in || digits.count() >= MIN_SECRET {
                let length = text[value..].find(ENDS_SECRET);
                shown.push_str(&text[from..value]);
                shown.push_str("...");
                from = length.map_or(text.len(), |length| value + length);
                is_changed = true;
            }
        }
        shown.push_str(&text[from..]);
        (is_in || is_changed).then_some(shown)
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
        let peers = &self.peers[..self.peers.len().min(Self::MAX_PEERS)];
        for peer in shortened_peers(peers) {
            let length = text.len();
            text.push_str("&peer=");
            percent_encode(peer, &mut text);
            if text.len() > Self::MAX_LEN {
                text.truncate(length);
                // An address behind this one would belong to another peer.
                break;
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
            .map_err(|_| GroupLinkError::Key { part: "id" })?;
        let (mut name, mut mode, mut invite) = (None, InviteMode::Ask, None);
        let (mut peers, mut reader) = (Vec::new(), PeerReader::default());
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "name" => name = Some(decoded("name", value)?),
                "mode" if value == "auto" => mode = InviteMode::Auto,
                "invite" => invite = Some(seed(value)?),
                "peer" if peers.len() == Self::MAX_PEERS => return Err(GroupLinkError::Peers),
                "peer" => peers.push(reader.read(decoded("peer", value)?)),
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
    let seed = text.parse::<InviteKey>();
    let seed = seed.map_err(|_| GroupLinkError::Key { part: "invite" })?;
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
            peers: vec![
                "/ip4/10.0.0.1/tcp/4001/p2p/12D3KooW".into(),
                "/ip6/::1/tcp/4001/p2p/12D3KooW".into(),
            ],
        };
        let text = link.to_string();
        let read: GroupLink = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!((&read.name, read.mode), (&link.name, link.mode));
        assert_eq!(read.invite.seed(), link.invite.seed());
        assert_eq!(read.peers, link.peers);
        assert_eq!(text.matches("/p2p/").count(), 1, "{text}");
        assert!(!format!("{link:?}").contains("0505"));
    }

    #[test]
    fn what_is_wrong_with_a_link_is_said_without_its_secret() {
        let id = GroupId::from_bytes([9; 32]);
        let wrong = |text: String| text.parse::<GroupLink>().unwrap_err();
        assert_eq!(wrong("pelago:abc".into()), GroupLinkError::Scheme);
        let cut = wrong(format!("pelago:group/{id}?name=family"));
        assert_eq!(cut, GroupLinkError::NoInvite);
        for damaged in [
            format!("pelago:group/{id}?invite=secret"),
            format!("pelago:group/{id}&invite=secret"),
        ] {
            let shown = wrong(damaged).to_string();
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_quotes_a_link_is_shown_without_its_secret() {
        for (text, shown) in [
            (
                r#"no "pelago:group/0a?name=b&invite=5ec7&peer=c" here"#,
                r#"no "pelago:group/0a?name=b&invite=...&peer=c" here"#,
            ),
            ("PELAGO:GROUP/0a?INVITE=5EC7", "PELAGO:GROUP/0a?INVITE=..."),
            (
                "/v1/x/pelago%3Agroup%2F0a%3Finvite%3D5ec7",
                "/v1/x/pelago%3Agroup%2F0a%3Finvite%3D...",
            ),
            (
                "invite=5ec75ec75ec75ec7 Invite=5ec75ec75ec75ec8",
                "invite=... Invite=...",
            ),
            // The shell has cut the link.
            ("pelago:group/0a?name=b", "pelago:group/0a?name=b"),
            (
                "é: invite 7, pelago:group/0a?invite=5ec7`",
                "é: invite 7, pelago:group/0a?invite=...`",
            ),
        ] {
            assert_eq!(GroupLink::concealed(text).as_deref(), Some(shown));
        }
        for other in [
            "",
            "a link to a group starts with `pelago:group/`",
            "pelago:0a?name=b",
            "revoked the invite 0a",
            "invite=party.txt",
        ] {
            assert_eq!(GroupLink::concealed(other), None);
        }
    }
}
