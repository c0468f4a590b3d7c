//! Settings, and changes of them while the node runs.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde_json::Value;

use super::{
    Log,
    convert::{limits_change, other_limits, unix_ms},
    error::ApiError,
    extract::JsonBody,
    openapi::Refused,
    timed_limits::TimedLimits,
    types::{self, ErrorInfo, LimitsChange, SettingsChange},
};
use crate::{
    config::{ChangeError, Config, LiveSettings, NewValue},
    node::Node,
};

/// The longest time for which limits are chosen: a year.
const MAX_TIME: Duration = Duration::from_secs(365 * 86_400);

/// All settings: values, origins and descriptions.
#[utoipa::path(
    get, path = "/v1/settings", operation_id = "settings",
    responses((status = 200, description = "Done", body = Vec<types::Setting>), Refused),
)]
pub(super) async fn list(State(settings): State<Arc<LiveSettings>>) -> Json<Vec<types::Setting>> {
    Json(listed(&settings))
}

/// Changes settings by name, all or none, and saves the changes for later runs.
#[utoipa::path(
    patch, path = "/v1/settings", operation_id = "changeSettings",
    request_body = HashMap<String, Value>,
    responses((status = 200, description = "Done", body = Vec<types::Setting>), Refused),
)]
pub(super) async fn change(
    State(node): State<Node>,
    State(log): State<Log>,
    State(settings): State<Arc<LiveSettings>>,
    State(timed): State<TimedLimits>,
    JsonBody(changes): JsonBody<SettingsChange>,
) -> Result<Json<Vec<types::Setting>>, ApiError> {
    let changes = setting_values(changes)
        .map_err(|error| ApiError::with(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    save(&node, &log, &settings, &timed, changes).await?;
    Ok(Json(listed(&settings)))
}

/// The rate limits of transfers.
#[utoipa::path(
    get, path = "/v1/limits", operation_id = "limits",
    responses((status = 200, description = "Done", body = types::Limits), Refused),
)]
pub(super) async fn limits(
    State(node): State<Node>,
    State(timed): State<TimedLimits>,
) -> Json<types::Limits> {
    Json(limits_now(&node, &timed))
}

fn limits_now(node: &Node, timed: &TimedLimits) -> types::Limits {
    types::Limits {
        until_unix_ms: timed.until().map(unix_ms),
        ..node.limits().into()
    }
}

/// Changes rate limits. They are settings with shorter names; those that hold for some time are not
/// saved.
#[utoipa::path(
    put, path = "/v1/limits", operation_id = "changeLimits",
    request_body = LimitsChange,
    responses((status = 200, description = "Done", body = types::Limits), Refused),
)]
pub(super) async fn change_limits(
    State(node): State<Node>,
    State(log): State<Log>,
    State(settings): State<Arc<LiveSettings>>,
    State(timed): State<TimedLimits>,
    JsonBody(change): JsonBody<LimitsChange>,
) -> Result<Json<types::Limits>, ApiError> {
    match change.for_seconds {
        Some(seconds) => {
            let time = Duration::try_from_secs_f64(seconds);
            let time = time.map_err(|error| ApiError::bad("bad-seconds", error.to_string()))?;
            let time = time.min(MAX_TIME);
            timed.choose(&node, &settings, other_limits(change)?, time);
            timed.apply(&node, &settings.config());
        }
        None => {
            timed.lift();
            save(&node, &log, &settings, &timed, limits_change(change)?).await?;
        }
    }
    Ok(Json(limits_now(&node, &timed)))
}

/// All settings. Streams of events send these, too.
pub(super) fn listed(settings: &LiveSettings) -> Vec<types::Setting> {
    settings.list().into_iter().map(Into::into).collect()
}

/// Converts new values, by the names of their settings, to changes.
///
/// # Errors
///
/// A value has a type that no setting has.
pub fn setting_values(
    changes: SettingsChange,
) -> Result<Vec<(String, Option<NewValue>)>, ErrorInfo> {
    let wanted = |(name, value)| {
        let wanted = match &value {
            Value::Null => None,
            Value::Bool(value) => Some(NewValue::Bool(*value)),
            Value::String(text) => Some(NewValue::Text(text.clone())),
            Value::Number(number) if number.is_i64() => number.as_i64().map(NewValue::Number),
            other => {
                let message = format!(
                    "{name}: {other} is not a valid value: use text, a whole number, true or false"
                );
                return Err(ErrorInfo::new("bad-setting", message));
            }
        };
        Ok((name, wanted))
    };
    changes.into_iter().map(wanted).collect()
}

async fn save(
    node: &Node,
    log: &Log,
    settings: &Arc<LiveSettings>,
    timed: &TimedLimits,
    changes: Vec<(String, Option<NewValue>)>,
) -> Result<(), ApiError> {
    let (node, log, settings) = (node.clone(), log.clone(), Arc::clone(settings));
    let timed = timed.clone();
    // The change blocks on the disk.
    let change = move || settings.change(&changes, |now| apply(&node, &log, &timed, &changes, now));
    match tokio::task::spawn_blocking(change).await {
        Ok(changed) => changed.map_err(refused),
        Err(_) => Err(crate::node::ListError::from(crate::node::Closed).into()),
    }
}

/// Applies changed settings to the node and the log.
fn apply(
    node: &Node,
    log: &Log,
    timed: &TimedLimits,
    changes: &[(String, Option<NewValue>)],
    now: &Config,
) {
    let transfer = &now.transfer;
    for (name, _) in changes {
        match &**name {
            "transfer.max_downloads" => node.set_max_downloads(transfer.max_downloads),
            "transfer.seed" => node.set_seed(transfer.seed),
            "logging.level" => log.set_level(now.logging.level),
            "transfer.upload_limit"
            | "transfer.download_limit"
            | "transfer.upload_limit_per_peer"
            | "transfer.download_limit_per_peer" => timed.apply(node, now),
            // Other settings are read where they are used.
            _ => {}
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
