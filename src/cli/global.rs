//! The flags that all commands take, and the settings that flags set.

use std::path::PathBuf;

use super::headings::GLOBAL;

/// The flags that all commands take, before or after the name of the command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = GLOBAL)]
pub(super) struct Global {
    /// Folder with the node's identity, shares and downloads; only one node at a time can use it
    #[arg(long, global = true, env = "PELAGO_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// Configuration file [default: pelago/config.toml in the configuration folder: ~/.config on
    /// Linux]
    #[arg(long, global = true, env = "PELAGO_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print JSON: one document, or one a line if there are several
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log more to stderr; give it twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,

    /// Show no progress and no notes, and log only errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

/// A setting that a flag sets.
#[derive(Clone, Debug)]
pub(super) struct FlagSetting {
    /// The flag, as people type it.
    pub(super) flag: &'static str,
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: toml::Value,
}
