//! The topics of a stream of events.

use crate::api::error::ApiError;

/// The topics that a stream sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topics {
    pub(super) status: bool,
    pub(super) downloads: bool,
    pub(super) uploads: bool,
    pub(super) shares: bool,
    pub(super) peers: bool,
    pub(super) groups: bool,
    pub(super) settings: bool,
    pub(super) log: bool,
}

impl Topics {
    pub(super) fn new(of: Option<&str>) -> Result<Self, ApiError> {
        let mut topics = Self {
            status: of.is_none(),
            downloads: of.is_none(),
            uploads: of.is_none(),
            shares: of.is_none(),
            peers: of.is_none(),
            groups: of.is_none(),
            settings: of.is_none(),
            log: false,
        };
        for topic in of.unwrap_or_default().split(',') {
            match topic.trim() {
                "" if of.is_none() => {}
                "status" => topics.status = true,
                "downloads" => topics.downloads = true,
                "uploads" => topics.uploads = true,
                "shares" => topics.shares = true,
                "peers" => topics.peers = true,
                "groups" => topics.groups = true,
                "settings" => topics.settings = true,
                "log" => topics.log = true,
                other => {
                    let message = format!(
                        "{other:?} is not a topic: use status, downloads, uploads, shares, peers, \
                         groups, settings or log"
                    );
                    return Err(ApiError::bad("bad-request", message));
                }
            }
        }
        Ok(topics)
    }
}
