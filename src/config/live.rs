//! The settings of a program as it runs: shown with who set them, changed, and kept.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::{Mutex, MutexGuard};
use toml::Value;

use super::{
    ChangeError, Config, ConfigError, Layers, SetBy, ValueKind,
    schema::{SETTINGS, Spec},
};
use crate::{
    durable,
    limits::{InvalidRate, Rate},
};

/// What a file of kept settings begins with.
const HEAD: &str = concat!(
    "# What was changed while a node ran. It ranks above the configuration file, and below\n",
    "# PELAGO_ variables and flags. `pelago settings NAME --reset` takes a line out.\n",
    "# Pelago ",
    env!("CARGO_PKG_VERSION"),
    " wrote this.\n\n",
);

/// The settings of a program as it runs.
#[derive(Debug)]
pub struct LiveSettings {
    layers: Mutex<Layers>,
    /// Where changes are kept; nowhere: they are for this run only.
    file: Option<PathBuf>,
    /// Why some cannot be changed, by their names, beside what their layers say.
    locks: BTreeMap<&'static str, String>,
    revision: AtomicU64,
}

/// A setting, as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `section.key`.
    pub name: String,
    /// What it is set to.
    pub value: Value,
    /// What it is if nobody sets it.
    pub default: Value,
    /// What it does and costs, in sentences.
    pub description: &'static str,
    /// What a number is counted in.
    pub unit: Option<&'static str>,
    /// What is allowed, for people.
    pub allowed: &'static str,
    /// Of what kind it is.
    pub kind: ValueKind,
    /// Whether it can be changed while a node runs.
    pub changeable: bool,
    /// Who set it.
    pub set_by: SetBy,
    /// Why it cannot be changed now, if it cannot.
    pub locked: Option<String>,
}

/// A value that somebody wants a setting to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewValue {
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
    /// Text, as people type it.
    Text(String),
}

impl LiveSettings {
    /// Those of `layers`. Changes are kept in `file`, which is one of the layers. `locks` says of some
    /// why they cannot be changed.
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

    /// The defaults, for this run only.
    ///
    /// # Errors
    ///
    /// None unless this build's `config/default.toml` is wrong.
    pub fn defaults() -> Result<Self, ConfigError> {
        Ok(Self::new(Layers::defaults()?, None, BTreeMap::new()))
    }

    /// A number that is another after each change.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// All settings.
    pub fn list(&self) -> Vec<Setting> {
        let layers = self.lock();
        let described = |known| self.described(known, &layers);
        SETTINGS.iter().filter_map(described).collect()
    }

    /// Changes settings by their names; none: to what the layers below say. All of them, or none. `apply`
    /// is given the settings as they are then, and is over before the next change.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; nothing is changed then.
    pub fn change(
        &self,
        changes: &[(String, Option<NewValue>)],
        apply: impl FnOnce(&Config),
    ) -> Result<(), ChangeError> {
        let mut layers = self.lock();
        let mut changed = layers.clone();
        for (name, wanted) in changes {
            let unknown = || ChangeError::Unknown { name: name.clone() };
            let known = SETTINGS.iter().find(|known| known.name() == *name);
            let known = known.ok_or_else(unknown)?;
            let described = self.described(known, &layers).ok_or_else(unknown)?;
            if let Some(why) = described.locked {
                let name = name.clone();
                return Err(ChangeError::Locked { name, why });
            }
            changed.unset(known.section, known.key);
            if let Some(wanted) = wanted {
                let refused = || ChangeError::Value {
                    name: name.clone(),
                    found: wanted.to_string(),
                    allowed: known.allowed,
                };
                let value = value(known.kind, wanted).ok_or_else(refused)?;
                let path = self.file.clone();
                let set_by = SetBy::Saved { path };
                let set = changed.set(set_by, known.section, known.key, value);
                set.map_err(|_| refused())?;
            }
        }
        let Ok(now) = changed.finish() else {
            // Each of the settings was allowed, and there are no rules between them.
            return Ok(());
        };
        if let Some(path) = &self.file {
            let text = toml::to_string(&changed.saved_values()).unwrap_or_default();
            let text = format!("{HEAD}{text}");
            durable::replace(path, text.as_bytes()).map_err(|source| ChangeError::NotSaved {
                path: path.clone(),
                source,
            })?;
        }
        *layers = changed;
        apply(&now);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn described(&self, known: &Spec, layers: &Layers) -> Option<Setting> {
        let (default, value, set_by) = layers.value(known.section, known.key)?;
        let name = known.name();
        let locked = if !known.changes {
            Some("it is read when the node starts: set it in the configuration file".to_owned())
        } else if set_by.overrides_saved() {
            Some(format!("{set_by} sets it, and ranks above"))
        } else {
            self.locks.get(&*name).cloned()
        };
        Some(Setting {
            name,
            value,
            default,
            description: known.description(),
            unit: known.unit,
            allowed: known.allowed,
            kind: known.kind,
            changeable: known.changes,
            set_by,
            locked,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock()
    }
}

impl std::fmt::Display for NewValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A value of that kind, from what somebody gave; none if it is none.
fn value(kind: ValueKind, wanted: &NewValue) -> Option<Value> {
    match (kind, wanted) {
        (ValueKind::Rate | ValueKind::Number, NewValue::Number(number)) => Some((*number).into()),
        (ValueKind::Rate, NewValue::Text(text)) if text == "off" => Some(0.into()),
        (ValueKind::Rate, NewValue::Text(text)) => match text.parse::<Rate>() {
            Ok(rate) => i64::try_from(rate.bytes()).ok().map(Value::from),
            Err(InvalidRate::Range(0)) => Some(0.into()),
            Err(_) => None,
        },
        (ValueKind::Number, NewValue::Text(text)) => {
            text.trim().parse::<i64>().ok().map(Value::from)
        }
        (ValueKind::Bool, NewValue::Bool(value)) => Some((*value).into()),
        (ValueKind::Bool, NewValue::Text(text)) => {
            text.trim().parse::<bool>().ok().map(Value::from)
        }
        (ValueKind::Choice(_) | ValueKind::Text, NewValue::Text(text)) => Some(text.clone().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
