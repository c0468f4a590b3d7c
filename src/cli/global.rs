//! What all verbs take: the global flags, and the settings that flags stand for.

use std::path::PathBuf;

/// What all verbs take, before or after the verb.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Global {
    /// Folder with the node's identity and what it knows; one node at a time uses it
    #[arg(long, global = true, env = "PELAGO_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,

    /// File with settings, instead of config.toml in the configuration folder
    #[arg(long, global = true, env = "PELAGO_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print JSON for programs: one document, or one a line where there are several
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log more to stderr; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,

    /// Show no progress and no notes, log errors only
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

/// A setting that a flag of a verb sets.
#[derive(Clone, Debug)]
pub(super) struct FlagSetting {
    /// The flag, as it is typed.
    pub(super) flag: &'static str,
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) value: toml::Value,
}
