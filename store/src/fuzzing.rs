//! The store's decoders for fuzzing.

use std::path::Path;

use super::{
    Member, Share, database, mounts::Mounts, partial, peers, receipts, received::Received,
    saved_values::Exclusions, share_log, user_file,
};

/// The record of a download under way.
pub fn part_record(data: &[u8]) {
    partial::fuzz_record(data);
}

/// The receipt of a download.
pub fn receipt(data: &[u8]) {
    receipts::fuzz(data);
}

/// How a received folder differs from its manifests.
pub fn received_folder(data: &[u8]) {
    let _ = Received::from_bytes(data, Path::new("/folder"));
}

/// A sealed user, with its checksum or without.
pub fn sealed_user(data: &[u8]) {
    user_file::fuzz(data);
}

/// Rows of the database, lines of its log, and small saved values.
pub fn rows(data: &[u8]) {
    let _ = Share::from_row(&[0; 32], "/file", data);
    let _ = Share::from_row_alone("/file", data);
    let _ = Member::from_row("file", data);
    let _ = peers::from_row(&data[..data.len().min(38)], data);
    let _ = database::decode::<Mounts>("mounts", data);
    let _ = database::decode::<Exclusions>("exclusions", data);
    share_log::fuzz(data);
}
