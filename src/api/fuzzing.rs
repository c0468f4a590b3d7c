//! The parsers of what clients send and of files, for fuzzing.

use super::{api_file, gateway, saved_sessions};

pub(crate) use gateway::fuzzing::{conditions, gateway_path, range};

/// The file `api.json`.
pub(crate) fn api_file(data: &[u8]) {
    let _ = api_file::parse(data);
}

/// The file `pages.json`.
pub(crate) fn saved_sessions(data: &[u8]) {
    let _ = saved_sessions::parse(data);
}
