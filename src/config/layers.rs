//! The layers.
//!
//! Every layer is taken apart into single settings, and each is checked as it is given: so any refusal
//! can name the line, variable or flag it is about. Whichever comes first, the higher layer holds.

use std::{ffi::OsString, fs, io::Read, path::Path};

use serde::Deserialize;
use toml::{Table, Value, de::DeTable};

use super::{Config, ConfigError, SetBy, error::line_at};

pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// What the names of variables that set something begin with.
const PREFIX: &str = "PELAGO_";

/// Variables with the prefix that are read elsewhere: where the data folder and the file are.
const NO_SETTINGS: [&str; 3] = ["PELAGO_DATA_DIR", "PELAGO_CONFIG", "PELAGO_SHELL_WORDS"];

/// Bytes of the longest configuration file: 100 times the default one.
const MAX_FILE_LEN: u64 = 1 << 20;

/// Settings in layers.
#[derive(Clone, Debug)]
pub struct Layers {
    defaults: Table,
    given: Vec<Assignment>,
}

/// A setting that somebody set.
#[derive(Clone, Debug)]
struct Assignment {
    set_by: SetBy,
    section: String,
    key: String,
    value: Value,
}

impl Layers {
    /// The base layer.
    ///
    /// # Errors
    ///
    /// None unless this build's `config/default.toml` is wrong.
    pub fn defaults() -> Result<Self, ConfigError> {
        let defaults = DEFAULTS.parse().map_err(|error: toml::de::Error| {
            ConfigError::syntax(Path::new("config/default.toml"), DEFAULTS, &error)
        })?;
        Ok(Self {
            defaults,
            given: Vec::new(),
        })
    }

    /// Puts on the file at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`], [`ConfigError::Syntax`], and those of [`Layers::set`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read(path)?;
        self.text(path, &text, |line| SetBy::File {
            path: path.to_owned(),
            line,
        })
    }

    /// Puts on what was kept at `path` while a node ran, if something was.
    ///
    /// # Errors
    ///
    /// As [`Layers::file`].
    pub fn saved(&mut self, path: &Path) -> Result<(), ConfigError> {
        match read(path) {
            Ok(text) => self.text(path, &text, |_| SetBy::Saved {
                path: Some(path.to_owned()),
            }),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts on the text of a file; `path` is only named.
    pub(super) fn text(
        &mut self,
        path: &Path,
        text: &str,
        at_line: impl Fn(usize) -> SetBy,
    ) -> Result<(), ConfigError> {
        let syntax = |error| ConfigError::syntax(path, text, &error);
        let spans = DeTable::parse(text).map_err(syntax)?;
        let mut values: Table = text.parse().map_err(syntax)?;
        let at = |offset| at_line(line_at(text, offset));
        for (section, keys) in spans.get_ref() {
            let name = section.get_ref().as_ref();
            let set_by = at(section.span().start);
            let keys = keys.get_ref().as_table();
            let Some((keys, Value::Table(mut values))) = keys.zip(values.remove(name)) else {
                return Err(self.unknown(set_by, name, None));
            };
            if !self.defaults.contains_key(name) {
                return Err(self.unknown(set_by, name, None));
            }
            for (key, value) in keys {
                let key = key.get_ref().as_ref();
                if let Some(new) = values.remove(key) {
                    self.set(at(value.span().start), name, key, new)?;
                }
            }
        }
        Ok(())
    }

    /// Puts on those variables whose names begin with `PELAGO_`.
    ///
    /// # Errors
    ///
    /// Those of [`Layers::set`]; also for names of the form `PELAGO_X_Y` that set nothing.
    pub fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| !NO_SETTINGS.contains(name)) else {
                continue;
            };
            let setting = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase);
            let setting = setting.as_deref().and_then(|name| name.split_once('_'));
            let Some((section, key)) = setting else {
                continue;
            };
            let value = value.to_string_lossy();
            let value = match self.get(section, key) {
                Some(default) => parse_like(default, &value),
                None => Value::String(value.into_owned()),
            };
            self.set(SetBy::Variable(name.to_owned()), section, key, value)?;
        }
        Ok(())
    }

    /// Puts on one setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unknown`] and [`ConfigError::Value`].
    pub fn set(
        &mut self,
        set_by: SetBy,
        section: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), ConfigError> {
        if self.get(section, key).is_none() {
            return Err(self.unknown(set_by, section, Some(key)));
        }
        let given = Assignment {
            set_by,
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.into(),
        };
        // On top of all, or it would not show whether it is allowed.
        let mut table = self.table();
        given.apply_to(&mut table);
        if let Err(error) = Config::deserialize(table) {
            return Err(ConfigError::Value {
                setting: given.setting(),
                set_by: given.set_by,
                reason: error.message().to_owned(),
            });
        }
        // The latest of a layer holds.
        let above = |other: &Assignment| other.set_by.precedence() > given.set_by.precedence();
        let at = self.given.iter().position(above);
        self.given.insert(at.unwrap_or(self.given.len()), given);
        Ok(())
    }

    /// Takes off what was set while a node ran, so that it is as the layers below say.
    pub(super) fn unset(&mut self, section: &str, key: &str) {
        self.given.retain(|given| {
            let is_it = given.section == section && given.key == key;
            !(is_it && matches!(given.set_by, SetBy::Saved { .. }))
        });
    }

    /// What was set while a node ran.
    pub(super) fn saved_values(&self) -> Table {
        let mut table = Table::new();
        let is_saved = |given: &&Assignment| matches!(given.set_by, SetBy::Saved { .. });
        for given in self.given.iter().filter(is_saved) {
            given.apply_to(&mut table);
        }
        table
    }

    /// The default of a setting, and its value with who gave it.
    pub(super) fn value(&self, section: &str, key: &str) -> Option<(Value, Value, SetBy)> {
        let default = self.get(section, key)?.clone();
        let mut given = self.given.iter().rev();
        let highest = given.find(|given| given.section == section && given.key == key);
        Some(match highest {
            Some(given) => (default, given.value.clone(), given.set_by.clone()),
            None => (default.clone(), default, SetBy::Default),
        })
    }

    /// What all layers together say.
    ///
    /// # Errors
    ///
    /// None beyond those of the layers, unless this build's `config/default.toml` is wrong.
    pub fn finish(&self) -> Result<Config, ConfigError> {
        let mut config = Config::deserialize(self.table()).map_err(|error| {
            ConfigError::syntax(Path::new("config/default.toml"), DEFAULTS, &error)
        })?;
        let origins = self.given.iter();
        config.origins = origins
            .map(|given| (given.setting(), given.set_by.clone()))
            .collect();
        Ok(config)
    }

    fn table(&self) -> Table {
        let mut table = self.defaults.clone();
        self.given
            .iter()
            .for_each(|given| given.apply_to(&mut table));
        table
    }

    fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.defaults.get(section)?.as_table()?.get(key)
    }

    fn unknown(&self, set_by: SetBy, section: &str, key: Option<&str>) -> ConfigError {
        let keys = self.defaults.get(section).and_then(Value::as_table);
        let (found, names) = match (key, keys) {
            (Some(key), Some(keys)) => (format!("setting {section}.{key}"), keys),
            _ => (format!("section [{section}]"), &self.defaults),
        };
        let names: Vec<_> = names.keys().map(String::as_str).collect();
        ConfigError::Unknown {
            set_by,
            found,
            allowed: names.join(", "),
        }
    }
}

impl Assignment {
    fn setting(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    fn apply_to(&self, table: &mut Table) {
        let section = table.entry(&self.section);
        if let Value::Table(keys) = section.or_insert_with(|| Table::new().into()) {
            keys.insert(self.key.clone(), self.value.clone());
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_LEN)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// A variable's text as the kind of value that the setting has. What is none stays text, which is
/// then refused with what is allowed.
fn parse_like(default: &Value, text: &str) -> Value {
    let text = text.trim();
    let parsed = match default {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim);
            let items = items.filter(|item| !item.is_empty());
            Some(Value::Array(items.map(Value::from).collect()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests;
