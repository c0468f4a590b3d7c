//! Settings, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A setting, and who set it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// `section.key`, as in the configuration file.
    pub name: String,
    /// What it is set to.
    pub value: Value,
    /// What it is if nobody sets it.
    pub default: Value,
    /// What it does and costs, in sentences: for people.
    #[serde(default)]
    pub description: String,
    /// What a number is counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What is allowed, for people.
    pub allowed: String,
    /// Of what kind it is.
    pub kind: SettingKind,
    /// Of a choice: what there is to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it can be changed while a node runs.
    pub changeable: bool,
    /// Who set it.
    pub origin: SettingOrigin,
    /// Why it cannot be changed now, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
}

/// Of what kind a setting's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Bytes a second; 0: as fast as it can. To set: also text, as people write rates.
    Rate,
    /// A whole number.
    Number,
    /// Yes or no.
    Bool,
    /// One of some words.
    Choice,
    /// Any other text, or a list of texts.
    Text,
}

/// Who set a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingOrigin {
    /// The layer.
    pub kind: OriginKind,
    /// The file (with the line), variable or flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The layers of settings; later ones rank above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// Somebody, while a node ran.
    Kept,
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

/// New values by name: a number, true or false, or text as people write it; null: what the layers below
/// say. All of them are taken, or none.
pub type SettingsChange = BTreeMap<String, Value>;
