//! The user of the node: creating one, logging in and out, and the sealed keys.

use std::future::Future;

use axum::{Json, extract::State, http::StatusCode};

use super::{
    Users,
    error::ApiError,
    extract::JsonBody,
    openapi::Refused,
    types::{
        ErrorInfo, ExportedUser, Login, NewUser, PassphraseChange, UserImport, UserName, UserStatus,
    },
};

/// The user of the node, and whether the user is logged in.
#[utoipa::path(
    get, path = "/v1/user", operation_id = "user",
    responses((status = 200, description = "Done", body = UserStatus), Refused),
)]
pub(super) async fn show(State(users): State<Users>) -> Result<Json<UserStatus>, ApiError> {
    Ok(Json(users.status().await?))
}

/// Creates the user of a node without one. The node restarts under a new key, logged in.
#[utoipa::path(
    post, path = "/v1/user", operation_id = "createUser",
    request_body = NewUser,
    responses((status = 200, description = "The node restarts", body = UserStatus), Refused),
)]
pub(super) async fn create(
    State(users): State<Users>,
    JsonBody(new): JsonBody<NewUser>,
) -> Result<Json<UserStatus>, ApiError> {
    let NewUser { name, passphrase } = new;
    complete(async move { users.create(&name, passphrase).await }).await
}

/// Changes the name of the user.
#[utoipa::path(
    patch, path = "/v1/user", operation_id = "renameUser",
    request_body = UserName,
    responses((status = 200, description = "Done", body = UserStatus), Refused),
)]
pub(super) async fn rename(
    State(users): State<Users>,
    JsonBody(UserName { name }): JsonBody<UserName>,
) -> Result<Json<UserStatus>, ApiError> {
    complete(async move { users.rename(&name).await }).await
}

/// Changes the passphrase of the user. Copies that were exported before keep theirs.
#[utoipa::path(
    put, path = "/v1/user/passphrase", operation_id = "changePassphrase",
    request_body = PassphraseChange,
    responses((status = 200, description = "Done", body = UserStatus), Refused),
)]
pub(super) async fn change_passphrase(
    State(users): State<Users>,
    JsonBody(change): JsonBody<PassphraseChange>,
) -> Result<Json<UserStatus>, ApiError> {
    let PassphraseChange { current, new } = change;
    complete(async move { users.change_passphrase(current, new).await }).await
}

/// The sealed user, to keep or to move to another machine.
#[utoipa::path(
    get, path = "/v1/user/export", operation_id = "exportUser",
    responses((status = 200, description = "Done", body = ExportedUser), Refused),
)]
pub(super) async fn export(State(users): State<Users>) -> Result<Json<ExportedUser>, ApiError> {
    let sealed = users.export().await?;
    Ok(Json(ExportedUser { sealed }))
}

/// Imports an exported user into a node without one. The node restarts under its key, logged in.
#[utoipa::path(
    post, path = "/v1/user/import", operation_id = "importUser",
    request_body = UserImport,
    responses((status = 200, description = "The node restarts", body = UserStatus), Refused),
)]
pub(super) async fn import(
    State(users): State<Users>,
    JsonBody(import): JsonBody<UserImport>,
) -> Result<Json<UserStatus>, ApiError> {
    let UserImport { sealed, passphrase } = import;
    complete(async move { users.import(&sealed, passphrase).await }).await
}

/// Logs the user in. A node that was logged out restarts with its network.
#[utoipa::path(
    post, path = "/v1/login", operation_id = "login",
    request_body = Login,
    responses((status = 200, description = "The node restarts", body = UserStatus), Refused),
)]
pub(super) async fn login(
    State(users): State<Users>,
    JsonBody(Login { passphrase }): JsonBody<Login>,
) -> Result<Json<UserStatus>, ApiError> {
    complete(async move { users.log_in(passphrase).await }).await
}

/// Logs the user out, also for later runs of the node. The node restarts without network and keys.
#[utoipa::path(
    post, path = "/v1/logout", operation_id = "logout",
    responses((status = 204, description = "The node restarts"), Refused),
)]
pub(super) async fn logout(State(users): State<Users>) -> Result<StatusCode, ApiError> {
    let Json(()) = complete(async move { users.log_out().await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The result of an operation that also completes if the client disconnects.
async fn complete<T: Send + 'static>(
    operation: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static,
) -> Result<Json<T>, ApiError> {
    match tokio::spawn(operation).await {
        Ok(result) => Ok(Json(result?)),
        Err(error) => Err(ErrorInfo::new("failed", error.to_string()).into()),
    }
}
