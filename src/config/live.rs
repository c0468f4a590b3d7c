//! The settings of a running program: lists them with what set them, changes them, and saves
//! changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use toml::Value;

use super::{
    ChangeError, Config, Layers, NewValue, SetBy, ValueKind,
    schema::{SETTINGS, Spec},
};
use crate::durable;

/// The head of the file with saved settings.
const HEAD: &str = concat!(
    "# Settings that were changed while a node ran. They take precedence over the\n",
    "# configuration file; PELAGO_ variables and flags take precedence over them.\n",
    "# `pelago settings NAME --reset` removes a line.\n",
    "# Pelago ",
    env!("CARGO_PKG_VERSION"),
    " wrote this.\n\n",
);

/// The settings of a running program.
#[derive(Debug)]
pub struct LiveSettings {
    layers: Mutex<Layers>,
    /// The file in which changes are saved; none: they hold for this run only.
    file: Option<PathBuf>,
    /// Why some settings cannot be changed, by name.
    locks: BTreeMap<&'static str, String>,
    revision: AtomicU64,
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `section.key`.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Its default value.
    pub default: Value,
    /// What the setting does, and what a change costs.
    pub description: &'static str,
    /// The unit of a number.
    pub unit: Option<&'static str>,
    /// The allowed values, for people.
    pub allowed: String,
    /// Of what kind its values are.
    pub kind: ValueKind,
    /// Whether it can be changed while a node runs.
    pub changeable: bool,
    /// What set it.
    pub set_by: SetBy,
    /// Why it cannot be changed now, if it cannot.
    pub locked: Option<String>,
}

impl LiveSettings {
    /// The settings of `layers`. Changes are saved in `file`, which is one of the layers. `locks`
    /// says why some settings cannot be changed.
    #[must_use]
    pub const fn new(
        layers: Layers,
        file: Option<PathBuf>,
        locks: BTreeMap<&'static str, String>,
    ) -> Self {
        Self {
            layers: Mutex::new(layers),
            file,
            locks,
            revision: AtomicU64::new(0),
        }
    }

    /// The defaults; changes hold for this run only.
    #[must_use]
    pub fn defaults() -> Self {
        Self::new(Layers::default(), None, BTreeMap::new())
    }

    /// A number that differs after each change.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The value of every setting.
    pub fn config(&self) -> Config {
        self.layers.lock().config()
    }

    /// All settings.
    pub fn list(&self) -> Vec<Setting> {
        let layers = self.layers.lock();
        let settings = SETTINGS.iter();
        settings.map(|spec| self.setting(spec, &layers)).collect()
    }

    /// Changes settings by their names: all of them, or none on an error. No value resets a setting
    /// to what the layers below say. `apply` gets the new settings, and returns before the next
    /// change.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; then nothing was changed.
    pub fn change(
        &self,
        changes: &[(String, Option<NewValue>)],
        apply: impl FnOnce(&Config),
    ) -> Result<(), ChangeError> {
        let mut layers = self.layers.lock();
        let mut changed = layers.clone();
        for (name, value) in changes {
            let spec = SETTINGS.iter().find(|spec| spec.name() == *name);
            let spec = spec.ok_or_else(|| ChangeError::Unknown { name: name.clone() })?;
            if let Some(why) = self.setting(spec, &layers).locked {
                let name = name.clone();
                return Err(ChangeError::Locked { name, why });
            }
            changed.unset(spec);
            if let Some(value) = value {
                self.assign(&mut changed, spec, value)?;
            }
        }
        if let Some(path) = &self.file {
            save(path, &changed)?;
        }
        let now = changed.config();
        *layers = changed;
        apply(&now);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn assign(&self, layers: &mut Layers, spec: &Spec, new: &NewValue) -> Result<(), ChangeError> {
        let refused = || ChangeError::Value {
            name: spec.name(),
            found: new.to_string(),
            allowed: spec.values.allowed(),
        };
        let value = new.parse(spec.values.kind()).ok_or_else(refused)?;
        let path = self.file.clone();
        let set = layers.set(SetBy::Saved { path }, spec.section, spec.key, value);
        set.map_err(|_| refused())
    }

    fn setting(&self, spec: &Spec, layers: &Layers) -> Setting {
        let (value, set_by) = layers.value(spec);
        let name = spec.name();
        let locked = if !spec.values.at_run_time {
            Some(if set_by.overrides_saved() {
                format!("{set_by} sets it: change that, then restart the node")
            } else {
                "the node reads it when it starts; set it in the configuration file, then restart \
                 the node"
                    .to_owned()
            })
        } else if set_by.overrides_saved() {
            Some(format!("{set_by} sets it, and takes precedence"))
        } else {
            self.locks.get(&*name).cloned()
        };
        Setting {
            name,
            value,
            default: (spec.default)(),
            description: spec.description(),
            unit: spec.values.unit,
            allowed: spec.values.allowed(),
            kind: spec.values.kind(),
            changeable: spec.values.at_run_time,
            set_by,
            locked,
        }
    }
}

fn save(path: &Path, layers: &Layers) -> Result<(), ChangeError> {
    let values = toml::to_string(&layers.saved_values()).unwrap_or_default();
    let text = format!("{HEAD}{values}");
    durable::replace(path, text.as_bytes()).map_err(|source| ChangeError::NotSaved {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
