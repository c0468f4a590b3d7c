//! Parsers of values that several commands take: they refuse what the node would refuse later.

use crate::{
    api,
    node::{InvalidAddress, InvalidPeerId, PeerAddress, PeerChoice},
};

/// A valid address of a peer, as it was given.
pub(super) fn peer_address(text: &str) -> Result<String, InvalidAddress> {
    text.parse::<PeerAddress>().map(|_| text.to_owned())
}

/// A valid choice of a peer, as it was given.
pub(super) fn peer_choice(text: &str) -> Result<String, InvalidPeerId> {
    text.parse::<PeerChoice>().map(|_| text.to_owned())
}

/// A time to wait, in seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| {
        format!("{text:?} is not a number of seconds: use a number such as 10 or 0.5")
    })?;
    api::seconds::duration(seconds).map_err(|error| error.to_string())?;
    Ok(seconds)
}
