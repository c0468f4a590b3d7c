//! What is set, and what of it can change while the node runs.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::Value;

use super::{
    Log,
    error::ApiError,
    extract::Body,
    openapi::Refused,
    types::{
        self, ErrorInfo, LimitsChange, OriginKind, SettingKind, SettingOrigin, SettingsChange,
    },
};
use crate::{
    config::{ChangeError, Config, LiveSettings, LogLevel, NewValue, SetBy, Setting, ValueKind},
    node::Node,
};

/// What is set, and by whom.
#[utoipa::path(
    get, path = "/v1/settings", operation_id = "settings",
    responses((status = 200, description = "Done", body = Vec<types::Setting>), Refused),
)]
pub(super) async fn list(State(settings): State<Arc<LiveSettings>>) -> Json<Vec<types::Setting>> {
    Json(listed(&settings))
}

/// Changes settings by their names, and keeps that for later runs: all of them, or none.
#[utoipa::path(
    patch, path = "/v1/settings", operation_id = "changeSettings",
    request_body = HashMap<String, Value>,
    responses((status = 200, description = "Done", body = Vec<types::Setting>), Refused),
)]
pub(super) async fn change(
    State(node): State<Node>,
    State(log): State<Log>,
    State(settings): State<Arc<LiveSettings>>,
    Body(changes): Body<SettingsChange>,
) -> Result<Json<Vec<types::Setting>>, ApiError> {
    let changes =
        wanted(changes).map_err(|error| ApiError::with(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    keep(&node, &log, &settings, changes).await?;
    Ok(Json(listed(&settings)))
}

/// How fast content may pass.
#[utoipa::path(
    get, path = "/v1/limits", operation_id = "limits",
    responses((status = 200, description = "Done", body = types::Limits), Refused),
)]
pub(super) async fn limits(State(node): State<Node>) -> Json<types::Limits> {
    Json(node.limits().into())
}

/// The limits are settings like others, under shorter names.
#[utoipa::path(
    put, path = "/v1/limits", operation_id = "changeLimits",
    request_body = LimitsChange,
    responses((status = 200, description = "Done", body = types::Limits), Refused),
)]
pub(super) async fn change_limits(
    State(node): State<Node>,
    State(log): State<Log>,
    State(settings): State<Arc<LiveSettings>>,
    Body(change): Body<LimitsChange>,
) -> Result<Json<types::Limits>, ApiError> {
    let changes = super::convert::limits_change(change)?;
    keep(&node, &log, &settings, changes).await?;
    Ok(Json(node.limits().into()))
}

/// All settings, for streams of events, too.
pub(super) fn listed(settings: &LiveSettings) -> Vec<types::Setting> {
    settings.list().into_iter().map(Into::into).collect()
}

/// New values by the names of settings, as they are changed.
///
/// # Errors
///
/// Some are no values of a setting.
pub fn wanted(changes: SettingsChange) -> Result<Vec<(String, Option<NewValue>)>, ErrorInfo> {
    let wanted = |(name, value)| {
        let wanted = match &value {
            Value::Null => None,
            Value::Bool(value) => Some(NewValue::Bool(*value)),
            Value::String(text) => Some(NewValue::Text(text.clone())),
            Value::Number(number) if number.is_i64() => number.as_i64().map(NewValue::Number),
            other => {
                let message = format!("{name}: {other} is no value of a setting");
                return Err(ErrorInfo::new("bad-setting", message));
            }
        };
        Ok((name, wanted))
    };
    changes.into_iter().map(wanted).collect()
}

async fn keep(
    node: &Node,
    log: &Log,
    settings: &Arc<LiveSettings>,
    changes: Vec<(String, Option<NewValue>)>,
) -> Result<(), ApiError> {
    let (node, log, settings) = (node.clone(), log.clone(), Arc::clone(settings));
    // It waits for the disk.
    let change = move || settings.change(&changes, |now| apply(&node, &log, &changes, now));
    match tokio::task::spawn_blocking(change).await {
        Ok(changed) => changed.map_err(refused),
        Err(_) => Err(crate::node::ListError::from(crate::node::Closed).into()),
    }
}

/// Has the node and the log do as the settings say now, as far as they were changed.
fn apply(node: &Node, log: &Log, changes: &[(String, Option<NewValue>)], now: &Config) {
    let transfer = &now.transfer;
    for (name, _) in changes {
        match &**name {
            "transfer.max_downloads" => node.set_max_downloads(transfer.max_downloads),
            "transfer.seed" => node.set_seed(transfer.seed),
            "logging.level" => log.set_level(now.logging.level),
            limit => {
                node.set_limits(|rates| match limit {
                    "transfer.upload_limit" => rates.upload = transfer.upload_limit,
                    "transfer.download_limit" => rates.download = transfer.download_limit,
                    "transfer.upload_limit_per_peer" => {
                        rates.upload_per_peer = transfer.upload_limit_per_peer;
                    }
                    "transfer.download_limit_per_peer" => {
                        rates.download_per_peer = transfer.download_limit_per_peer;
                    }
                    // Others are read by those who ask the node for something.
                    _ => {}
                });
            }
        }
    }
}

impl From<ChangeError> for ErrorInfo {
    fn from(error: ChangeError) -> Self {
        let info = Self::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => info.with_hint(hint),
            None => info,
        }
    }
}

fn refused(error: ChangeError) -> ApiError {
    let status = match &error {
        ChangeError::Unknown { .. } | ChangeError::Value { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ChangeError::Locked { .. } => StatusCode::CONFLICT,
        ChangeError::NotSaved { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::with(status, error.into())
}

impl From<Setting> for types::Setting {
    fn from(from: Setting) -> Self {
        let (kind, choices) = match from.kind {
            ValueKind::Rate => (SettingKind::Rate, &[][..]),
            ValueKind::Number => (SettingKind::Number, &[][..]),
            ValueKind::Bool => (SettingKind::Bool, &[][..]),
            ValueKind::Choice(choices) => (SettingKind::Choice, choices),
            ValueKind::Text => (SettingKind::Text, &[][..]),
        };
        // Settings are text, numbers, yes or no, or lists of text: JSON has all of these.
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
