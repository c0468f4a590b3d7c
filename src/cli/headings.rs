//! The headings under which `--help` lists options, the same for all commands. Options without one
//! are about the command itself.

pub(super) const NETWORK: &str = "Network options";
pub(super) const FOLDERS: &str = "Folder options";
pub(super) const SHARING: &str = "Sharing options";
pub(super) const SERVERS: &str = "Server options";
pub(super) const GLOBAL: &str = "Global options";
