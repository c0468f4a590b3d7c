//! The layers, and who set what.
//!
//! Every layer is taken apart into single settings, and each is checked as it is applied: so any
//! refusal can name the line, variable or flag it is about.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value, de::DeTable};

use super::Config;

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// What the names of variables that set something begin with.
const PREFIX: &str = "PELAGO_";

/// Variables with the prefix that are read elsewhere: where the data folder and the file are.
const NO_SETTINGS: [&str; 2] = ["PELAGO_DATA_DIR", "PELAGO_CONFIG"];

/// Bytes of the longest configuration file: 100 times the default one.
const MAX_FILE_LEN: u64 = 1 << 20;

/// Settings while layers are being put on top of each other.
#[derive(Clone, Debug)]
pub struct Layers {
    table: Table,
    origins: BTreeMap<String, Origin>,
}

/// Who set a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it has its default.
    Default,
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// The line of the value, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Variable(String),
    /// A flag, by its name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl Layers {
    /// The base layer.
    ///
    /// # Errors
    ///
    /// None unless this build's `config/default.toml` is wrong.
    pub fn defaults() -> Result<Self, ConfigError> {
        let table = DEFAULTS.parse().map_err(|error: toml::de::Error| {
            ConfigError::syntax(Path::new("config/default.toml"), DEFAULTS, &error)
        })?;
        Ok(Self {
            table,
            origins: BTreeMap::new(),
        })
    }

    /// Puts the file at `path` on top.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`], [`ConfigError::Syntax`], and those of [`Layers::set`].
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_LEN)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        self.text(path, &text)
    }

    /// Puts the text of a file on top; `path` is only named.
    fn text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let syntax = |error| ConfigError::syntax(path, text, &error);
        let spans = DeTable::parse(text).map_err(syntax)?;
        let mut values: Table = text.parse().map_err(syntax)?;
        let at = |offset| Origin::File {
            path: path.to_owned(),
            line: line_at(text, offset),
        };
        for (section, keys) in spans.get_ref() {
            let name = section.get_ref().as_ref();
            let origin = at(section.span().start);
            let keys = keys.get_ref().as_table();
            let Some((keys, Value::Table(mut values))) = keys.zip(values.remove(name)) else {
                return Err(self.unknown(origin, name, None));
            };
            if !self.table.contains_key(name) {
                return Err(self.unknown(origin, name, None));
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

    /// Puts those variables on top whose names begin with `PELAGO_`.
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
            self.set(Origin::Variable(name.to_owned()), section, key, value)?;
        }
        Ok(())
    }

    /// Puts one setting on top.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unknown`] and [`ConfigError::Value`].
    pub fn set(
        &mut self,
        origin: Origin,
        section: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), ConfigError> {
        if self.get(section, key).is_none() {
            return Err(self.unknown(origin, section, Some(key)));
        }
        if let Some(Value::Table(keys)) = self.table.get_mut(section) {
            keys.insert(key.to_owned(), value.into());
        }
        let setting = format!("{section}.{key}");
        if let Err(error) = Config::deserialize(self.table.clone()) {
            let reason = error.message().to_owned();
            return Err(ConfigError::Value {
                origin,
                setting,
                reason,
            });
        }
        self.origins.insert(setting, origin);
        Ok(())
    }

    /// What all layers together say.
    ///
    /// # Errors
    ///
    /// None beyond those of the layers, unless this build's `config/default.toml` is wrong.
    pub fn finish(self) -> Result<Config, ConfigError> {
        let mut config = Config::deserialize(self.table).map_err(|error| {
            ConfigError::syntax(Path::new("config/default.toml"), DEFAULTS, &error)
        })?;
        config.origins = self.origins;
        Ok(config)
    }

    fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.table.get(section)?.as_table()?.get(key)
    }

    fn unknown(&self, origin: Origin, section: &str, key: Option<&str>) -> ConfigError {
        let keys = self.table.get(section).and_then(Value::as_table);
        let (found, names) = match (key, keys) {
            (Some(key), Some(keys)) => (format!("setting {section}.{key}"), keys),
            _ => (format!("section [{section}]"), &self.table),
        };
        let names: Vec<_> = names.keys().map(String::as_str).collect();
        ConfigError::Unknown {
            origin,
            found,
            allowed: names.join(", "),
        }
    }
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

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// There is no such section, or no such setting in it.
    #[error("{origin}: there is no {found}; there are {allowed}")]
    Unknown {
        /// Where it was found.
        origin: Origin,
        /// `section [NAME]` or `setting SECTION.KEY`.
        found: String,
        /// The names that exist.
        allowed: String,
    },
    /// The value is not allowed.
    #[error("{origin}: {setting}: {reason}")]
    Value {
        /// Where it was found.
        origin: Origin,
        /// `section.key`.
        setting: String,
        /// What was found and what is expected.
        reason: String,
    },
}

impl ConfigError {
    fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        Self::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_at(text, span.start)),
            reason: error.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
