//! What all verbs need: the data folder, the settings, and where to print.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use directories::ProjectDirs;

use super::{
    args::Global,
    output::{self, Output},
};
use crate::config::{Config, ConfigError, Layers, Origin};

/// A setting that a flag stands for: the flag, the section, the key, the value.
pub(super) type Setting = (&'static str, &'static str, &'static str, toml::Value);

/// What all verbs need.
pub(super) struct Context {
    pub(super) output: Output,
    /// The flags as they were given.
    pub(super) global: Global,
    /// Absolute; need not exist.
    pub(super) data_folder: PathBuf,
    pub(super) config: Config,
    /// Why the settings are the defaults, if they should be others.
    pub(super) settings_error: Option<String>,
}

impl Context {
    /// Puts the layers together: defaults, file, environment, `flags`.
    pub(super) fn load(
        output: Output,
        global: &Global,
        flags: Vec<Setting>,
    ) -> anyhow::Result<Self> {
        let mut layers = Layers::defaults()?;
        match (&global.config, folders()) {
            (Some(file), _) => layers.file(file)?,
            (None, Some(folders)) => {
                file_if_any(&mut layers, &folders.config_dir().join("config.toml"))?;
            }
            (None, None) => {}
        }
        layers.environment(env::vars_os())?;
        for (flag, section, key, value) in flags {
            layers.set(Origin::Flag(flag), section, key, value)?;
        }
        Self::new(output, global, layers, None)
    }

    /// The defaults only, as all else makes no sense: `error` says why.
    pub(super) fn with_defaults(
        output: Output,
        global: &Global,
        error: &anyhow::Error,
    ) -> anyhow::Result<Self> {
        let settings_error = Some(output::describe(error).message);
        Self::new(output, global, Layers::defaults()?, settings_error)
    }

    fn new(
        output: Output,
        global: &Global,
        layers: Layers,
        settings_error: Option<String>,
    ) -> anyhow::Result<Self> {
        let data_folder = global.data_dir.clone();
        let data_folder = data_folder
            .or_else(|| folders().map(|folders| folders.data_local_dir().to_owned()))
            .context("there is no home folder to keep data in: name one with --data-dir")?;
        Ok(Self {
            output,
            global: global.clone(),
            data_folder: std::path::absolute(data_folder)?,
            config: layers.finish()?,
            settings_error,
        })
    }

    /// How long to look for a source: as asked for, else as the settings say.
    pub(super) fn seconds_without_source(&self, asked: Option<f64>) -> f64 {
        asked.unwrap_or(self.config.transfer.timeout_seconds as f64)
    }
}

/// Where this user's settings and data are, if there is a home folder.
fn folders() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "pelago")
}

fn file_if_any(layers: &mut Layers, path: &Path) -> Result<(), ConfigError> {
    match layers.file(path) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        result => result,
    }
}
