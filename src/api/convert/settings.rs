//! Settings, as JSON types.

use crate::{
    api::types::{self, OriginKind, SettingKind, SettingOrigin},
    config::{LogLevel, SetBy, Setting, ValueKind},
};

impl From<Setting> for types::Setting {
    fn from(from: Setting) -> Self {
        let (kind, choices) = match from.kind {
            ValueKind::Rate => (SettingKind::Rate, &[][..]),
            ValueKind::Number => (SettingKind::Number, &[][..]),
            ValueKind::Bool => (SettingKind::Bool, &[][..]),
            ValueKind::Choice(choices) => (SettingKind::Choice, choices),
            ValueKind::Text => (SettingKind::Text, &[][..]),
        };
        // Settings are text, numbers, booleans or lists of text, which are always valid JSON.
        let json = |value| serde_json::to_value(value).unwrap_or_default();
        Self {
            name: from.name,
            value: json(from.value),
            default: json(from.default),
            description: from.description.to_owned(),
            unit: from.unit.map(str::to_owned),
            allowed: from.allowed,
            kind,
            choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
            changeable: from.changeable,
            origin: from.set_by.into(),
            locked: from.locked,
        }
    }
}

impl From<SetBy> for SettingOrigin {
    fn from(from: SetBy) -> Self {
        let kind = match &from {
            SetBy::Default => OriginKind::Default,
            SetBy::File { .. } => OriginKind::File,
            SetBy::Saved { .. } => OriginKind::Kept,
            SetBy::Variable(_) => OriginKind::Environment,
            SetBy::Flag(_) => OriginKind::Flag,
        };
        let source = (kind != OriginKind::Default).then(|| from.to_string());
        Self { kind, source }
    }
}

impl From<LogLevel> for types::LogLevel {
    fn from(from: LogLevel) -> Self {
        match from {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}
