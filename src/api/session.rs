//! How a page signs in and out.

use std::{io, sync::Arc, time::Instant};

use axum::{
    Extension, Json,
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use tokio::task::spawn_blocking;

use super::{
    access::{Access, Commands},
    error::ApiError,
    extract::Body,
    openapi::Refused,
    sessions::CODE_LIFETIME,
    types::{Code, SignIn},
};

/// Requests that did not come through a socket have no use for a page.
type Door = Option<Extension<Access>>;

/// A code that a page begins its session with. For commands only.
#[utoipa::path(
    post, path = "/v1/codes", operation_id = "newCode",
    responses((status = 200, description = "Done", body = Code), Refused),
)]
pub(super) async fn code(_: Commands, door: Door) -> Result<Json<Code>, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let code = access.sessions().code(Instant::now());
    Ok(Json(Code {
        code: code.as_str().to_owned(),
        seconds: CODE_LIFETIME.as_secs(),
    }))
}

/// Begins a session: sets its cookie. Needs no token.
#[utoipa::path(
    post, path = "/v1/session", operation_id = "signIn",
    request_body = SignIn,
    responses((status = 204, description = "The cookie is set"), Refused), security(()),
)]
pub(super) async fn sign_in(door: Door, Body(request): Body<SignIn>) -> Result<Response, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    let sessions = Arc::clone(access.sessions());
    let begin = move || sessions.begin(&request.code, Instant::now());
    let session = spawn_blocking(begin).await.unwrap_or_default();
    let session = session.ok_or_else(|| {
        let message = "the code is unknown, was used already, or is too old";
        ApiError::new(StatusCode::UNAUTHORIZED, "bad-code", message)
            .with_hint("`pelago ui` opens the page with a new one")
    })?;
    Ok(cookie(&access, session.as_str(), ""))
}

/// Ends the session that the cookie is of.
#[utoipa::path(
    delete, path = "/v1/session", operation_id = "signOut",
    responses((status = 204, description = "The cookie is removed"), Refused),
)]
pub(super) async fn sign_out(door: Door, headers: HeaderMap) -> Result<Response, ApiError> {
    let Extension(access) = door.ok_or_else(no_page)?;
    if let Some(session) = access.session(&headers) {
        let (sessions, session) = (Arc::clone(access.sessions()), session.to_owned());
        let ended = spawn_blocking(move || sessions.end(&session)).await;
        ended.map_err(io::Error::other).flatten().map_err(|error| {
            let message = format!(
                "the page is signed out, but the next start of the node does not know: pages.json \
                 cannot be written: {error}"
            );
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "not-kept", message)
                .with_hint("make room in the data folder, then sign in and out again")
        })?;
    }
    Ok(cookie(&access, "", "; Max-Age=0"))
}

fn cookie(access: &Access, secret: &str, more: &str) -> Response {
    let name = access.cookie_name();
    let cookie = format!("{name}={secret}; HttpOnly; SameSite=Strict; Path=/{more}");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

fn no_page() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "no-page", "this node has no page")
}
