//! Signing in and out of the web page.

use std::{io, sync::Arc, time::Instant};

use axum::{Extension, Json, http::StatusCode};
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    access::{Access, BearerHeader, CommandOnly},
    error::ApiError,
    extract::{JsonBody, QueryParameters},
    openapi::Refused,
    sessions::{self, CODE_LIFETIME},
    types::{Code, CodeQuery, Run, Session, SignIn},
};

/// Access control; `None` in in-process requests, which have no page.
type PageAccess = Option<Extension<Access>>;

/// A one-time code with which a page signs in. For commands only.
#[utoipa::path(
    post, path = "/v1/codes", operation_id = "newCode",
    params(CodeQuery),
    responses((status = 200, description = "Done", body = Code), Refused),
)]
pub(super) async fn code(
    _: CommandOnly,
    access: PageAccess,
    QueryParameters(query): QueryParameters<CodeQuery>,
) -> Result<Json<Code>, ApiError> {
    let Extension(access) = access.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let (code, file) = if query.file {
        let made = spawn_blocking(move || sessions.new_code_in_file(Instant::now())).await;
        let made = made.map_err(io::Error::other).flatten();
        let made = made.map_err(|error| not_written(&error))?;
        // Removes the file even if the browser never opens it.
        let sessions = Arc::clone(access.sessions());
        tokio::spawn(async move {
            sleep(CODE_LIFETIME).await;
            sessions.remove_expired_codes(Instant::now());
        });
        made
    } else {
        (sessions.new_code(Instant::now()), None)
    };
    Ok(Json(Code {
        code: code.as_str().to_owned(),
        seconds: CODE_LIFETIME.as_secs(),
        file: file.map(|path| path.to_string_lossy().into_owned()),
        origins: access.sessions().origins().all().to_vec(),
    }))
}

/// Signs a page in. Needs no token.
#[utoipa::path(
    post, path = "/v1/session", operation_id = "signIn",
    request_body = SignIn,
    responses((status = 200, description = "Done", body = Session), Refused), security(()),
)]
pub(super) async fn sign_in(
    access: PageAccess,
    JsonBody(request): JsonBody<SignIn>,
) -> Result<Json<Session>, ApiError> {
    let Extension(access) = access.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let begin = move || sessions.begin(&request.code, Instant::now());
    let session = spawn_blocking(begin).await.unwrap_or_default();
    session.as_ref().map(to_json).ok_or_else(|| {
        let message = "the code is invalid, was used already, or has expired";
        ApiError::new(StatusCode::UNAUTHORIZED, "bad-code", message)
            .with_hint("`pelago ui` opens the page with a new code")
    })
}

/// The session of the calling page, which needs it after a reload.
#[utoipa::path(
    get, path = "/v1/session", operation_id = "session",
    responses((status = 200, description = "Done", body = Session), Refused),
)]
pub(super) async fn session(
    access: PageAccess,
    shown: BearerHeader,
) -> Result<Json<Session>, ApiError> {
    let Extension(access) = access.ok_or_else(no_page)?;
    let session = access.sessions().find(shown.bytes());
    session.as_ref().map(to_json).ok_or_else(no_session)
}

/// The id of this run of the node. Needs no token.
#[utoipa::path(
    get, path = "/v1/run", operation_id = "run",
    responses((status = 200, description = "Done", body = Run), Refused), security(()),
)]
pub(super) async fn run(access: PageAccess) -> Result<Json<Run>, ApiError> {
    let Extension(access) = access.ok_or_else(no_page)?;
    let run = access.sessions().run().as_str().to_owned();
    Ok(Json(Run { run }))
}

/// Signs the calling page out.
#[utoipa::path(
    delete, path = "/v1/session", operation_id = "signOut",
    responses((status = 204, description = "The session has ended"), Refused),
)]
pub(super) async fn sign_out(
    access: PageAccess,
    shown: BearerHeader,
) -> Result<StatusCode, ApiError> {
    let Extension(access) = access.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let ended = spawn_blocking(move || sessions.end(shown.bytes())).await;
    ended.map_err(io::Error::other).flatten().map_err(|error| {
        let message = format!(
            "the page is signed out, but only until the node restarts: pages.json cannot be \
             written: {error}"
        );
        ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", message)
            .with_hint("free space on the disk of the data folder, then sign in and out again")
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn to_json(session: &sessions::Session) -> Json<Session> {
    Json(Session {
        secret: session.secret.as_str().to_owned(),
        bearer: session.bearer.as_str().to_owned(),
    })
}

fn not_written(error: &io::Error) -> ApiError {
    let message = format!("the file that opens the page cannot be written: {error}");
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", message)
        .with_hint("`pelago ui --no-open` prints a URL instead: open it in a browser")
}

fn no_session() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "no-session",
        "the caller is a command, which has no session",
    )
}

fn no_page() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "no-page", "this node serves no page")
}
