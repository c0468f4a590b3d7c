//! What clients and files say, for fuzzing.

use super::{api_file, gateway, saved_sessions};

pub(crate) use gateway::fuzzing::{conditions, gateway_path, range};

/// The file that says how the API is reached.
pub(crate) fn api_file(data: &[u8]) {
    let _ = api_file::parse(data);
}

/// Sessions of pages as they are kept.
pub(crate) fn saved_sessions(data: &[u8]) {
    let _ = saved_sessions::parse(data);
}
