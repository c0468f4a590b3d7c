//! Whether all shares are available.

use super::finding::Finding;
use crate::{
    api::types::{ShareState, UnavailableShare, UnavailableShares},
    cli::{
        context::Context,
        local,
        text::{count, escape, quoted},
    },
};

/// Most unavailable shares and files that are named.
const NAMED_UNAVAILABLE: usize = 20;

/// One finding if all of `shares` shares are available, or one for each that is not.
pub(super) fn states(shares: u64, unavailable: &UnavailableShares) -> Vec<Finding> {
    if unavailable.count == 0 {
        let shares = count(shares, "share");
        return vec![Finding::ok("shares", format!("{shares}: all available"))];
    }
    let named = unavailable.places.iter().take(NAMED_UNAVAILABLE);
    let mut findings: Vec<_> = named.map(unavailable_place).collect();
    let more = unavailable.count.saturating_sub(findings.len() as u64);
    if more > 0 {
        let message = format!("{more} more shares and files are not available");
        findings.push(Finding::warning(
            "share",
            message,
            "`pelago list` lists all",
        ));
    }
    findings
}

/// The same while no node runs.
pub(super) fn without_node(context: &Context) -> Vec<Finding> {
    let folders = context.config.storage.share_folders.clone();
    if !context.data_folder.join("state.redb").exists() {
        return Vec::new();
    }
    match local::unavailable(&context.data_folder, folders) {
        Ok((shares, unavailable)) => states(shares, &unavailable),
        Err(error) => {
            let message = format!("the shares cannot be checked: {error}");
            let hint = "retry when no other command uses the data folder";
            vec![Finding::warning("shares", message, hint)]
        }
    }
}

fn unavailable_place(place: &UnavailableShare) -> Finding {
    let path = escape(&place.path);
    let end = format!(
        "pelago unshare {}",
        quoted(place.folder.as_ref().unwrap_or(&place.path))
    );
    let again = place.folder.as_ref().map_or_else(String::new, |folder| {
        format!(
            "share the folder as it is now: pelago share {}; or ",
            quoted(folder)
        )
    });
    let what = if place.folder.is_some() {
        "a file of a shared folder"
    } else {
        "a share"
    };
    let (why, hint) = match place.state {
        ShareState::Missing => (
            "is missing: it was moved or removed, or its disk is not mounted",
            format!("restore it; or {again}stop sharing it: {end}"),
        ),
        ShareState::Unreadable => (
            "cannot be read by this node",
            format!(
                "change its permissions, or those of a folder above it; or mount its disk again; \
                 or stop sharing it: {end}"
            ),
        ),
        ShareState::BeingWritten => (
            "is being written by a program",
            "the node offers it again when the program closes it".to_owned(),
        ),
        ShareState::Changed | ShareState::Excluded | ShareState::Available => (
            "does not hold the listed content, or is not hashed again yet",
            format!("{again}restore its content; or stop sharing it: {end}"),
        ),
    };
    Finding::warning("share", format!("{path} ({what}) {why}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_shares_are_named_with_remedies() {
        let place = |at: usize| UnavailableShare {
            path: format!("/at/box/{at}"),
            state: if at == 0 {
                ShareState::Missing
            } else {
                ShareState::Changed
            },
            folder: (at > 0).then(|| "/at/box".to_owned()),
        };
        let all = states(3, &UnavailableShares::default());
        assert_eq!(all[0].message, "3 shares: all available");
        let unavailable = UnavailableShares {
            count: 1100,
            places: (0..1000).map(place).collect(),
        };
        let found = states(3, &unavailable);
        assert_eq!(found.len(), NAMED_UNAVAILABLE + 1);
        assert!(
            found[0]
                .message
                .starts_with("/at/box/0 (a share) is missing")
        );
        assert!(
            found[0]
                .hint
                .as_ref()
                .unwrap()
                .ends_with("pelago unshare /at/box/0")
        );
        assert!(
            found[1]
                .hint
                .as_ref()
                .unwrap()
                .contains("pelago share /at/box;")
        );
        assert_eq!(
            found[20].message,
            "1080 more shares and files are not available"
        );
    }
}
