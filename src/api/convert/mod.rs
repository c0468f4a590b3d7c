//! Conversions of the node's types to JSON types, and of requests from JSON types.

mod content;
mod downloads;
mod errors;
mod groups;
mod health;
mod node;
mod requests;
mod settings;
mod shares;
mod uploads;

use std::path::Path;

pub(super) use self::{
    content::offered,
    downloads::in_order,
    groups::{group_link, invite_options, members_removed, name, new_invite, user_key},
    health::unix_ms,
    requests::{
        absolute, address, download_request, group_id, limits_change, open_request, other_limits,
        share_request,
    },
    shares::{file_written, share_removed, shared},
};

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
