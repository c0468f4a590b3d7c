//! How a page signs in and out.

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

/// Requests that did not come through a socket have no use for a page.
type Door = Option<Extension<Access>>;

/// A code that a page begins its session with. For commands only.
#[utoipa::path(
    post, path = "/v1/codes", operation_id = "newCode",
    params(CodeQuery),
    responses((status = 200, description = "Done", body = Code), Refused),
)]
pub(super) async fn code(
    _: CommandOnly,
    door: Door,
    QueryParameters(query): QueryParameters<CodeQuery>,
) -> Result<Json<Code>, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let (code, file) = if query.file {
        let made = spawn_blocking(move || sessions.new_code_in_file(Instant::now())).await;
        let made = made.map_err(io::Error::other).flatten();
        let made = made.map_err(|error| not_written(&error))?;
        // A file that is never opened is removed as well.
        let sessions = Arc::clone(access.sessions());
        tokio::spawn(async move {
            sleep(CODE_LIFETIME).await;
            sessions.forget_codes(Instant::now());
        });
        made
    } else {
        (sessions.new_code(Instant::now()), None)
    };
    Ok(Json(Code {
        code: code.as_str().to_owned(),
        seconds: CODE_LIFETIME.as_secs(),
        file: file.map(|path| path.to_string_lossy().into_owned()),
    }))
}

/// Begins a session. Needs no token.
#[utoipa::path(
    post, path = "/v1/session", operation_id = "signIn",
    request_body = SignIn,
    responses((status = 200, description = "Done", body = Session), Refused), security(()),
)]
pub(super) async fn sign_in(
    door: Door,
    JsonBody(request): JsonBody<SignIn>,
) -> Result<Json<Session>, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let begin = move || sessions.begin(&request.code, Instant::now());
    let session = spawn_blocking(begin).await.unwrap_or_default();
    session.as_ref().map(of_page).ok_or_else(|| {
        let message = "the code is unknown, was used already, or is too old";
        ApiError::new(StatusCode::UNAUTHORIZED, "bad-code", message)
            .with_hint("`pelago ui` opens the page with a new one")
    })
}

/// The session of the page that asks: what it lost when it was loaded anew.
#[utoipa::path(
    get, path = "/v1/session", operation_id = "session",
    responses((status = 200, description = "Done", body = Session), Refused),
)]
pub(super) async fn session(door: Door, shown: BearerHeader) -> Result<Json<Session>, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let session = access.sessions().find(shown.bytes());
    session.as_ref().map(of_page).ok_or_else(no_session)
}

/// What tells this run of the node from others. Needs no token.
#[utoipa::path(
    get, path = "/v1/run", operation_id = "run",
    responses((status = 200, description = "Done", body = Run), Refused), security(()),
)]
pub(super) async fn run(door: Door) -> Result<Json<Run>, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let run = access.sessions().run().as_str().to_owned();
    Ok(Json(Run { run }))
}

/// Ends the session of the page that asks.
#[utoipa::path(
    delete, path = "/v1/session", operation_id = "signOut",
    responses((status = 204, description = "It is over"), Refused),
)]
pub(super) async fn sign_out(door: Door, shown: BearerHeader) -> Result<StatusCode, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let ended = spawn_blocking(move || sessions.end(shown.bytes())).await;
    ended.map_err(io::Error::other).flatten().map_err(|error| {
        let message = format!(
            "the page is signed out, but the next start of the node does not know: pages.json cannot \
             be written: {error}"
        );
        ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", message)
            .with_hint("make room in the data folder, then sign in and out again")
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn of_page(session: &sessions::Session) -> Json<Session> {
    Json(Session {
        secret: session.secret.as_str().to_owned(),
        bearer: session.bearer.as_str().to_owned(),
    })
}

fn not_written(error: &io::Error) -> ApiError {
    let message = format!("the file that opens the page cannot be written: {error}");
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", message)
        .with_hint("`pelago ui --no-open` prints a URL instead: open that in a browser")
}

fn no_session() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "no-session",
        "a command has no session",
    )
}

fn no_page() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "no-page", "this node has no page")
}
