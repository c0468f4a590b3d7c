//! Parsers of values that several verbs take. Each refuses what the node would refuse later.

use crate::{
    api,
    node::{InvalidAddress, PeerAddress},
};

/// A peer's address that parses, as it was given.
pub(super) fn peer_address(text: &str) -> Result<String, InvalidAddress> {
    text.parse::<PeerAddress>().map(|_| text.to_owned())
}

/// Seconds that one may wait.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("{text} is no number of seconds"))?;
    api::seconds::duration(seconds).map_err(|error| error.to_string())?;
    Ok(seconds)
}
