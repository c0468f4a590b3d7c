//! Names in the data folder that several modules need: the folders, each owned by the module that
//! it is named after, and the sealed file.

/// The cache of the gateway.
pub(super) const CACHE_FOLDER: &str = "gateway";

/// The manifests of shared folders and of those being downloaded.
pub(super) const MANIFESTS_FOLDER: &str = "manifests";

/// The records of downloads under way.
pub(super) const PARTIAL_FOLDER: &str = "partial";

/// The receipts of downloads.
pub(super) const RECEIPTS_FOLDER: &str = "receipts";

/// How received folders differ from their manifests.
pub(super) const RECEIVED_FOLDER: &str = "received";

/// The stored trees of shared files.
pub(super) const TREES_FOLDER: &str = "trees";

/// The sealed keys of the user (`user_file`).
pub(super) const SEALED_FILE: &str = "user.sealed";
