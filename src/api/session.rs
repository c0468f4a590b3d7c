//! How a page signs in and out.

use std::time::Instant;

use axum::{
    Extension, Json,
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::{IntoResponse, Response},
};

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
    let session = access.sessions().begin(&request.code, Instant::now());
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
        access.sessions().end(session);
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
