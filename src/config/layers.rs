//! The layers, and who set what.
//!
//! Every layer is taken apart into single settings, and each is checked as it is given: so any refusal
//! can name the line, variable or flag it is about. Whichever comes first, the higher layer holds.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value, de::DeTable};

use super::Config;

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
    given: Vec<Given>,
}

/// A setting that somebody set.
#[derive(Clone, Debug)]
struct Given {
    origin: Origin,
    section: String,
    key: String,
    value: Value,
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
    /// Somebody, while a node ran; it was kept in the data folder.
    Kept {
        /// The file there; none if it is for this run only.
        path: Option<PathBuf>,
    },
    /// An environment variable, by its name.
    Variable(String),
    /// A flag, by its name.
    Flag(&'static str),
}

impl Origin {
    /// The height of its layer: what is given higher up holds.
    const fn height(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Kept { .. } => 2,
            Self::Variable(_) => 3,
            Self::Flag(_) => 4,
        }
    }

    /// Whether it rules over what is set while a node runs.
    pub(super) const fn rules(&self) -> bool {
        self.height() > 2
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Kept { path: Some(path) } => write!(f, "{}", path.display()),
            Self::Kept { path: None } => f.write_str("set while it runs"),
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
        self.text(path, &text, |line| Origin::File {
            path: path.to_owned(),
            line,
        })
    }

    /// Puts on what was kept at `path` while a node ran, if something was.
    ///
    /// # Errors
    ///
    /// As [`Layers::file`].
    pub fn kept(&mut self, path: &Path) -> Result<(), ConfigError> {
        match read(path) {
            Ok(text) => self.text(path, &text, |_| Origin::Kept {
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
        at_line: impl Fn(usize) -> Origin,
    ) -> Result<(), ConfigError> {
        let syntax = |error| ConfigError::syntax(path, text, &error);
        let spans = DeTable::parse(text).map_err(syntax)?;
        let mut values: Table = text.parse().map_err(syntax)?;
        let at = |offset| at_line(line_at(text, offset));
        for (section, keys) in spans.get_ref() {
            let name = section.get_ref().as_ref();
            let origin = at(section.span().start);
            let keys = keys.get_ref().as_table();
            let Some((keys, Value::Table(mut values))) = keys.zip(values.remove(name)) else {
                return Err(self.unknown(origin, name, None));
            };
            if !self.defaults.contains_key(name) {
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
            self.set(Origin::Variable(name.to_owned()), section, key, value)?;
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
        origin: Origin,
        section: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), ConfigError> {
        if self.get(section, key).is_none() {
            return Err(self.unknown(origin, section, Some(key)));
        }
        let given = Given {
            origin,
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.into(),
        };
        // On top of all, or it would not show whether it is allowed.
        let mut table = self.table();
        given.put_on(&mut table);
        if let Err(error) = Config::deserialize(table) {
            return Err(ConfigError::Value {
                setting: given.setting(),
                origin: given.origin,
                reason: error.message().to_owned(),
            });
        }
        // The latest of a layer holds.
        let above = |other: &Given| other.origin.height() > given.origin.height();
        let at = self.given.iter().position(above);
        self.given.insert(at.unwrap_or(self.given.len()), given);
        Ok(())
    }

    /// Takes off what was set while a node ran, so that it is as the layers below say.
    pub(super) fn unset(&mut self, section: &str, key: &str) {
        self.given.retain(|given| {
            let is_it = given.section == section && given.key == key;
            !(is_it && matches!(given.origin, Origin::Kept { .. }))
        });
    }

    /// What was set while a node ran.
    pub(super) fn kept_values(&self) -> Table {
        let mut table = Table::new();
        let is_kept = |given: &&Given| matches!(given.origin, Origin::Kept { .. });
        for given in self.given.iter().filter(is_kept) {
            given.put_on(&mut table);
        }
        table
    }

    /// The default of a setting, and its value with who gave it.
    pub(super) fn value(&self, section: &str, key: &str) -> Option<(Value, Value, Origin)> {
        let default = self.get(section, key)?.clone();
        let mut given = self.given.iter().rev();
        let highest = given.find(|given| given.section == section && given.key == key);
        Some(match highest {
            Some(given) => (default, given.value.clone(), given.origin.clone()),
            None => (default.clone(), default, Origin::Default),
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
            .map(|given| (given.setting(), given.origin.clone()))
            .collect();
        Ok(config)
    }

    fn table(&self) -> Table {
        let mut table = self.defaults.clone();
        self.given.iter().for_each(|given| given.put_on(&mut table));
        table
    }

    fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.defaults.get(section)?.as_table()?.get(key)
    }

    fn unknown(&self, origin: Origin, section: &str, key: Option<&str>) -> ConfigError {
        let keys = self.defaults.get(section).and_then(Value::as_table);
        let (found, names) = match (key, keys) {
            (Some(key), Some(keys)) => (format!("setting {section}.{key}"), keys),
            _ => (format!("section [{section}]"), &self.defaults),
        };
        let names: Vec<_> = names.keys().map(String::as_str).collect();
        ConfigError::Unknown {
            origin,
            found,
            allowed: names.join(", "),
        }
    }
}

impl Given {
    fn setting(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    fn put_on(&self, table: &mut Table) {
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
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        let missing = io::ErrorKind::NotFound;
        matches!(self, Self::Unreadable { source, .. } if source.kind() == missing)
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => Some("make the file readable, or move it away"),
            Self::Syntax { .. } => Some("mend the file, or move it away"),
            Self::Unknown { .. } | Self::Value { .. } => None,
        }
    }

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
