//! The web page: files that are part of the program, served to whoever asks. What is on the page comes
//! from the API, which asks for a session.

use axum::{
    Router,
    extract::Path,
    http::{
        StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// Nothing from elsewhere, no script but ours, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const INDEX: (&str, &[u8]) = ("text/html; charset=utf-8", include_bytes!("index.html"));

/// The routes of the page's files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || served(INDEX)))
        .route("/page/{file}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    match &*name {
        "app.js" => served(("text/javascript", include_bytes!("app.js"))),
        "style.css" => served(("text/css", include_bytes!("style.css"))),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn served((kind, bytes): (&'static str, &'static [u8])) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}
