//! What all verbs need: the data folder, the settings, and where to print.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use directories::{ProjectDirs, UserDirs};

use super::{
    global::{FlagSetting, Global},
    logging,
    output::{self, Output},
};
use crate::{
    api::{App, Log},
    config::{Config, ConfigError, Ignored, Layers, LiveSettings, SetBy},
    node::Node,
    store::DataFolder,
};

/// The file in the data folder with what was set while a node ran.
const SETTINGS_FILE: &str = "settings.toml";

/// What all verbs need.
pub(super) struct Context {
    pub(super) output: Output,
    /// The flags as they were given.
    pub(super) global: Global,
    /// Absolute; need not exist.
    pub(super) data_folder: PathBuf,
    pub(super) config: Config,
    /// The same, to be shown and changed.
    pub(super) settings: Arc<LiveSettings>,
    /// What this program logs.
    pub(super) log: Log,
    /// Why the settings are the defaults, if they should be others.
    pub(super) settings_error: Option<String>,
    /// Settings of earlier versions, which have no effect.
    pub(super) ignored: Vec<Ignored>,
}

impl Context {
    /// Puts the layers together: defaults, file, what was set while a node ran, environment, `flags`.
    pub(super) fn load(
        output: Output,
        global: &Global,
        flags: Vec<FlagSetting>,
    ) -> anyhow::Result<Self> {
        let mut layers = Layers::default();
        match (&global.config, folders()) {
            (Some(file), _) => layers.file(file)?,
            (None, Some(folders)) => {
                file_if_any(&mut layers, &folders.config_dir().join("config.toml"))?;
            }
            (None, None) => {}
        }
        layers.environment(env::vars_os())?;
        for given in flags {
            layers.set(
                SetBy::Flag(given.flag),
                given.section,
                given.key,
                given.value,
            )?;
        }
        let data_folder = data_folder(global)?;
        // A newer version may have settings that this one does not know.
        DataFolder::check_format(&data_folder)?;
        layers.saved(&data_folder.join(SETTINGS_FILE))?;
        Self::new(output, global, layers, None)
    }

    /// The defaults only, as all else makes no sense: `error` says why.
    pub(super) fn with_defaults(
        output: Output,
        global: &Global,
        error: &anyhow::Error,
    ) -> anyhow::Result<Self> {
        let settings_error = Some(output::describe(error).message);
        Self::new(output, global, Layers::default(), settings_error)
    }

    /// Where downloads go for which nobody chose a place. Absolute; need not exist.
    pub(super) fn download_folder(&self) -> anyhow::Result<PathBuf> {
        let set = &self.config.storage.download_folder;
        if !set.as_os_str().is_empty() {
            return Ok(std::path::absolute(set)?);
        }
        let user = UserDirs::new();
        let user = user.as_ref().and_then(UserDirs::download_dir);
        Ok(user.map_or_else(|| self.data_folder.join("downloaded"), Path::to_path_buf))
    }

    fn new(
        output: Output,
        global: &Global,
        layers: Layers,
        settings_error: Option<String>,
    ) -> anyhow::Result<Self> {
        let data_folder = data_folder(global)?;
        let config = layers.config();
        let ignored = layers.ignored().to_vec();
        let locks = logging::locked(global).map(|why| ("logging.level", why));
        let file = Some(data_folder.join(SETTINGS_FILE));
        let settings = LiveSettings::new(layers, file, locks.into_iter().collect());
        Ok(Self {
            output,
            global: global.clone(),
            data_folder,
            config,
            settings: Arc::new(settings),
            log: Log::default(),
            settings_error,
            ignored,
        })
    }

    /// What the API of `node`, which runs in this process, works on.
    pub(super) fn app(&self, node: &Node) -> App {
        App::new(node.clone(), self.log.clone(), Arc::clone(&self.settings))
    }

    /// How long to look for a source: as asked for, else as the settings say.
    pub(super) fn seconds_without_source(&self, asked: Option<f64>) -> f64 {
        asked.unwrap_or(self.config.transfer.timeout_seconds as f64)
    }
}

/// Where the node keeps what it knows; absolute.
fn data_folder(global: &Global) -> anyhow::Result<PathBuf> {
    let given = global.data_dir.clone();
    let folder = given
        .or_else(|| folders().map(|folders| folders.data_local_dir().to_owned()))
        .context("there is no home folder to keep data in: name one with --data-dir")?;
    Ok(std::path::absolute(folder)?)
}

/// Where this user's settings and data are, if there is a home folder.
fn folders() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "pelago")
}

fn file_if_any(layers: &mut Layers, path: &Path) -> Result<(), ConfigError> {
    match layers.file(path) {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}
