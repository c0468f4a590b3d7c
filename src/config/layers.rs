//! The layers.
//!
//! Every layer is split into single settings, and each value is checked when it is added: so an
//! error names the line, variable or flag at fault. In which order layers are added does not
//! matter: the higher one takes precedence.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::Read,
    path::Path,
};

use serde::Deserialize;
use toml::{Table, Value, de::DeTable};

use super::{
    Config, ConfigError, SetBy,
    error::line_at,
    schema::{SETTINGS, Spec, is_retired},
};

/// The prefix of variables that set something.
const PREFIX: &str = "PELAGO_";

/// Variables with the prefix that are not settings, and are read elsewhere.
const OTHER_VARIABLES: [&str; 3] = ["PELAGO_DATA_DIR", "PELAGO_CONFIG", "PELAGO_SHELL_WORDS"];

/// Bytes of the longest configuration file: 100 times the one with all defaults.
const MAX_FILE_LEN: u64 = 1 << 20;

/// Settings in layers. The lowest layer holds the defaults.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// By layer, the lowest first.
    assignments: Vec<Assignment>,
    /// Assignments to settings of earlier versions.
    ignored: Vec<Ignored>,
}

/// A value that something above the defaults gives to a setting.
#[derive(Clone, Debug)]
struct Assignment {
    set_by: SetBy,
    spec: &'static Spec,
    value: Value,
}

/// A setting of an earlier version, which a file or a variable still holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{set_by}: {setting} is not a setting any more, and has no effect: remove it")]
pub struct Ignored {
    /// The file or variable that holds it.
    pub set_by: SetBy,
    /// `section.key`.
    pub setting: String,
}

impl Layers {
    /// Adds the file at `path`.
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

    /// Adds the file at `path` with the settings that were changed while a node ran, if it exists.
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

    /// Adds the text of a file; `path` only appears in errors.
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
                return Err(unknown_section(set_by, name));
            };
            if !sections().any(|section| section == name) {
                return Err(unknown_section(set_by, name));
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

    /// Adds those variables whose names begin with `PELAGO_`.
    ///
    /// # Errors
    ///
    /// Those of [`Layers::set`]; also for names of the form `PELAGO_X_Y` that set nothing.
    pub fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| !OTHER_VARIABLES.contains(name)) else {
                continue;
            };
            let setting = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase);
            let setting = setting.as_deref().and_then(|name| name.split_once('_'));
            let Some((section, key)) = setting else {
                continue;
            };
            let value = value.to_string_lossy();
            let value = match Spec::find(section, key) {
                Some(spec) => parse_like(&(spec.default)(), &value),
                None => Value::String(value.into_owned()),
            };
            self.set(SetBy::Variable(name.to_owned()), section, key, value)?;
        }
        Ok(())
    }

    /// Adds one setting. A setting of an earlier version is ignored; see [`Layers::ignored`].
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
        let Some(spec) = Spec::find(section, key) else {
            if is_retired(section, key) {
                let setting = format!("{section}.{key}");
                self.ignored.push(Ignored { set_by, setting });
                return Ok(());
            }
            return Err(unknown(set_by, section, key));
        };
        let value = value.into();
        if !spec.values.contain(&value) {
            return Err(ConfigError::Value {
                set_by,
                setting: spec.name(),
                found: value.to_string(),
                expected: spec.values.expected(),
            });
        }
        let assignment = Assignment {
            set_by,
            spec,
            value,
        };
        // The latest assignment of a layer takes precedence.
        let precedence = assignment.set_by.precedence();
        let is_above = |other: &Assignment| other.set_by.precedence() > precedence;
        let at = self.assignments.iter().position(is_above);
        let at = at.unwrap_or(self.assignments.len());
        self.assignments.insert(at, assignment);
        Ok(())
    }

    /// Settings of earlier versions that files and variables still hold.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Removes the value that a setting got while a node ran, so that the layers below decide.
    pub(super) fn unset(&mut self, spec: &Spec) {
        self.assignments
            .retain(|given| !(given.is_for(spec) && matches!(given.set_by, SetBy::Saved { .. })));
    }

    /// The settings that were changed while a node ran.
    pub(super) fn saved_values(&self) -> Table {
        let mut table = Table::new();
        let is_saved = |given: &&Assignment| matches!(given.set_by, SetBy::Saved { .. });
        for given in self.assignments.iter().filter(is_saved) {
            insert(&mut table, given.spec, given.value.clone());
        }
        table
    }

    /// The value of a setting, and what set it.
    pub(super) fn value(&self, spec: &Spec) -> (Value, SetBy) {
        let mut assignments = self.assignments.iter().rev();
        match assignments.find(|given| given.is_for(spec)) {
            Some(highest) => (highest.value.clone(), highest.set_by.clone()),
            None => ((spec.default)(), SetBy::Default),
        }
    }

    /// The value of every setting.
    ///
    /// # Panics
    ///
    /// If the table allows a value that the type of its setting cannot hold, which a test excludes.
    pub fn config(&self) -> Config {
        let mut table = Table::new();
        let mut set_by = BTreeMap::new();
        for spec in SETTINGS {
            let (value, by) = self.value(spec);
            insert(&mut table, spec, value);
            if by != SetBy::Default {
                set_by.insert(spec.name(), by);
            }
        }
        let config = Config::deserialize(table);
        let config =
            config.expect("defaults and checked values have the types of the table, as tests show");
        Config { set_by, ..config }
    }
}

impl Assignment {
    fn is_for(&self, spec: &Spec) -> bool {
        (self.spec.section, self.spec.key) == (spec.section, spec.key)
    }
}

fn insert(table: &mut Table, spec: &Spec, value: Value) {
    let section = table.entry(spec.section);
    if let Value::Table(keys) = section.or_insert_with(|| Table::new().into()) {
        keys.insert(spec.key.to_owned(), value);
    }
}

/// The names of all sections, some of them more than once.
fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|spec| spec.section)
}

fn unknown_section(set_by: SetBy, section: &str) -> ConfigError {
    ConfigError::Unknown {
        set_by,
        found: format!("section [{section}]"),
        known: listed(sections()),
    }
}

fn unknown(set_by: SetBy, section: &str, key: &str) -> ConfigError {
    let specs = SETTINGS.iter().filter(|spec| spec.section == section);
    let mut keys = specs.map(|spec| spec.key).peekable();
    if keys.peek().is_none() {
        return unknown_section(set_by, section);
    }
    ConfigError::Unknown {
        set_by,
        found: format!("setting {section}.{key}"),
        known: listed(keys),
    }
}

/// Each name once, by the alphabet.
fn listed(names: impl Iterator<Item = &'static str>) -> String {
    let names: BTreeSet<_> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
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

/// The text of a variable as a value of the same type as `default`. Text that is of no such type
/// stays text, which the check refuses.
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
