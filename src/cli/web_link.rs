//! Links for browsers of people without Pelago, as commands show them.

use std::time::Duration;

use super::{
    link::print_code,
    output::Printer,
    text::{escape, time},
};
use crate::{
    api::{QrCode, types::WebLink},
    store::unix_now_ms,
};

/// Draws the first URL as a QR code, for people.
pub(super) fn draw(output: &Printer, link: &WebLink) -> anyhow::Result<()> {
    match link.urls.first() {
        Some(url) if !output.json => print_code(output, &QrCode::of_text(url)?),
        _ => Ok(()),
    }
}

/// The URLs, one a line, each below the other.
pub(super) fn lines(link: &WebLink) -> String {
    let mut lines = String::new();
    for (number, url) in link.urls.iter().enumerate() {
        let label = if number == 0 { "web" } else { "" };
        lines += &format!("\n  {label:4}  {}", escape(url));
    }
    lines
}

/// Who can do what by the link, and for how long. `until` says what else ends it.
pub(super) fn exposure(link: &WebLink, does: &str, until: &str) -> String {
    let within = link.expires_unix_ms.map(|expires| {
        let left = expires.saturating_sub(unix_now_ms());
        // Rounded up, as it has just been made.
        let left = Duration::from_secs(left.div_ceil(1000));
        format!(", for {} at most", time(left))
    });
    let within = within.unwrap_or_default();
    let host = match link.urls.first() {
        Some(url) if url.contains("//127.") || url.contains("//[::1]") => "this machine",
        _ => "the networks of this machine",
    };
    format!(
        "everyone on {host} who has this address can {does}, {until}{within}. The connection is \
         unencrypted: others on the way can read the address and the content"
    )
}
