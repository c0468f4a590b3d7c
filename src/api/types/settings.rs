//! Settings, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A setting, its value and the origin of the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// `section.key`, as in the configuration file.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Its default value.
    pub default: Value,
    /// Its effect and cost, in sentences. For people.
    #[serde(default)]
    pub description: String,
    /// The unit of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The valid values. For people.
    pub allowed: String,
    /// The kind of its values.
    pub kind: SettingKind,
    /// For a choice: the values to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it can change while a node runs.
    pub changeable: bool,
    /// The origin of its value.
    pub origin: SettingOrigin,
    /// Why it cannot be changed now, if it is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
}

/// The kind of a setting's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Bytes per second; 0: unlimited. Changes may also use text with a unit, such as `2MB`.
    Rate,
    /// A whole number.
    Number,
    /// A boolean.
    Bool,
    /// One of several words.
    Choice,
    /// Other text, or a list of texts.
    Text,
}

/// The origin of a setting's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingOrigin {
    /// The layer that set it.
    pub kind: OriginKind,
    /// The file with the line, the variable or the flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The layers of settings. Later ones take precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    /// The default.
    Default,
    /// The configuration file.
    File,
    /// A change while a node ran.
    Kept,
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

/// New values by name: a number, a boolean, or text as people write it. Null removes a change, so
/// that the layers below apply. All changes apply, or none.
pub type SettingsChange = BTreeMap<String, Value>;
