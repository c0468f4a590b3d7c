//! Which values are allowed, as functions for serde. What they refuse, they describe.

use std::{fmt, marker::PhantomData, net::SocketAddr};

use libp2p::Multiaddr;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

use crate::limits::Rate;

/// Bytes of the longest network name: it is part of every protocol's name, sent with each stream.
const MAX_NETWORK_NAME_LEN: usize = 32;

/// Bytes of the longest node name, so that it fits a line of `peers` and a message.
const MAX_NODE_NAME_LEN: usize = 64;

/// A whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, const MIN: u64, const MAX: u64, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    struct Whole<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

    impl<T: TryFrom<u64>, const MIN: u64, const MAX: u64> Visitor<'_> for Whole<T, MIN, MAX> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from {MIN} to {MAX}")
        }

        fn visit_i64<E: Error>(self, found: i64) -> Result<T, E> {
            u64::try_from(found)
                .ok()
                .filter(|value| (MIN..=MAX).contains(value))
                .and_then(|value| T::try_from(value).ok())
                .ok_or_else(|| E::invalid_value(Unexpected::Signed(found), &self))
        }
    }

    from.deserialize_i64(Whole::<T, MIN, MAX>(PhantomData))
}

/// A limit in bytes a second; 0: none.
pub(super) fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
    let bytes = whole::<0, { Rate::MAX.bytes() }, _, _>(from)?;
    Rate::limit(bytes).map_err(D::Error::custom)
}

/// A name that may be part of a protocol's.
pub(super) fn network_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if (1..=MAX_NETWORK_NAME_LEN).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name);
    }
    let expected = "1 to 32 lowercase letters, digits, `-` and `.`";
    Err(D::Error::invalid_value(Unexpected::Str(&name), &expected))
}

/// A name for people to read; may be empty.
pub(super) fn node_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    if name.len() <= MAX_NODE_NAME_LEN && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    let expected = "at most 64 bytes without control characters";
    Err(D::Error::invalid_value(Unexpected::Str(&name), &expected))
}

/// `IP:PORT`, or nothing.
pub(super) fn optional_socket_address<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    let expected = "an IP address and port like 127.0.0.1:9464, or nothing";
    match text.as_str() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(text), &expected)),
    }
}

/// `IP:PORT`.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    let expected = "an IP address and port like 127.0.0.1:0 or [::1]:0";
    text.parse()
        .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

/// A list of multiaddrs.
pub(super) fn multiaddrs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Multiaddr>, D::Error> {
    let expected = "multiaddrs like /ip4/0.0.0.0/tcp/8080 or /ip4/0.0.0.0/udp/8080/quic-v1";
    let parse = |text: String| {
        text.parse()
            .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    };
    Vec::<String>::deserialize(from)?
        .into_iter()
        .map(parse)
        .collect()
}
