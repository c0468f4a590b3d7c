//! What all commands need: the data folder, the settings, and the output.

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
    output::{self, Printer},
    text::quoted,
};
use crate::{
    api::{App, Log, Users},
    config::{Config, ConfigError, Ignored, Layers, LiveSettings, SetBy},
    node::Node,
    store::DataFolder,
};

/// The file in the data folder with the settings that were changed while a node ran.
const SETTINGS_FILE: &str = "settings.toml";

/// What all commands need.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) output: Printer,
    /// The global flags, as they were given.
    pub(super) global: Global,
    /// Absolute; may not exist yet.
    pub(super) data_folder: PathBuf,
    pub(super) config: Config,
    /// The same settings, to show and to change.
    pub(super) settings: Arc<LiveSettings>,
    /// The log of this process.
    pub(super) log: Log,
    /// The error in the settings, if the defaults stand in for them.
    pub(super) settings_error: Option<String>,
    /// Settings of earlier versions, which have no effect.
    pub(super) ignored: Vec<Ignored>,
}

impl Context {
    /// Reads all layers: defaults, file, settings changed while a node ran, environment, `flags`.
    pub(super) fn load(
        output: Printer,
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
        // The file of a newer version may hold settings that this version does not know.
        DataFolder::check_format(&data_folder)?;
        layers.saved(&data_folder.join(SETTINGS_FILE))?;
        Self::new(output, global, layers, None)
    }

    /// The default settings, as the others are invalid: `error` says why.
    pub(super) fn with_defaults(
        output: Printer,
        global: &Global,
        error: &anyhow::Error,
    ) -> anyhow::Result<Self> {
        let settings_error = Some(output::error_info(error).message);
        Self::new(output, global, Layers::default(), settings_error)
    }

    /// The folder for downloads that name no other. Absolute; may not exist yet.
    pub(super) fn download_folder(&self) -> anyhow::Result<PathBuf> {
        match self.chosen_download_folder()? {
            Some(folder) => Ok(folder),
            None => Ok(self.data_folder.join("downloaded")),
        }
    }

    /// The folder for downloads that is set, or that this user has; none if there is neither.
    pub(super) fn chosen_download_folder(&self) -> anyhow::Result<Option<PathBuf>> {
        let set = &self.config.storage.download_folder;
        if !set.as_os_str().is_empty() {
            return Ok(Some(std::path::absolute(set)?));
        }
        let user = UserDirs::new();
        let user = user.as_ref().and_then(UserDirs::download_dir);
        Ok(user.map(Path::to_path_buf))
    }

    fn new(
        output: Printer,
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

    /// The state of the API of `node`, which runs in this process for one of `users`.
    pub(super) fn app(&self, node: &Node, users: Users) -> App {
        let settings = Arc::clone(&self.settings);
        App::new(node.clone(), self.log.clone(), settings).with_users(users)
    }

    /// A command for the same data folder, for people to type.
    pub(super) fn command(&self, words: &str) -> String {
        let given = self.global.data_dir.as_deref();
        // A variable holds for the command that a person types next, too.
        let from_variable = env::var_os("PELAGO_DATA_DIR");
        match given.filter(|given| from_variable.as_deref() != Some(given.as_os_str())) {
            Some(given) => {
                let given = quoted(&given.to_string_lossy());
                format!("pelago --data-dir {given} {words}")
            }
            None => format!("pelago {words}"),
        }
    }

    /// How many seconds a download may lack a source: as asked for, or as the settings say.
    pub(super) fn seconds_without_source(&self, asked: Option<f64>) -> f64 {
        asked.unwrap_or(self.config.transfer.timeout_seconds as f64)
    }
}

/// The data folder; absolute.
fn data_folder(global: &Global) -> anyhow::Result<PathBuf> {
    let given = global.data_dir.clone();
    let folder = given
        .or_else(|| folders().map(|folders| folders.data_local_dir().to_owned()))
        .context(
            "the data folder is unknown, as this user has no home folder: name one with --data-dir",
        )?;
    Ok(std::path::absolute(folder)?)
}

/// The folders for settings and data of this user; none without a home folder.
fn folders() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "pelago")
}

fn file_if_any(layers: &mut Layers, path: &Path) -> Result<(), ConfigError> {
    match layers.file(path) {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}
