//! The web page: files that are part of the program, served to whoever asks. What is on the page comes from
//! the API, which asks for a session. No build step, and nothing from elsewhere: the policy sent along would
//! not let it in.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

/// What the page may load and do: its own files, images that it asked for, and calls to where it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal: $kind:expr,)*) => {
        const FILES: &[File] = &[
            $(File { name: $name, kind: $kind, bytes: include_bytes!($name) }),*
        ];
    };
}

files! {
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "content.js": SCRIPT,
    "detail.js": SCRIPT,
    "dom.js": SCRIPT,
    "download.js": SCRIPT,
    "downloads.js": SCRIPT,
    "format.js": SCRIPT,
    "log.js": SCRIPT,
    "match.js": SCRIPT,
    "network.js": SCRIPT,
    "peers.js": SCRIPT,
    "plot.js": SCRIPT,
    "rows.js": SCRIPT,
    "session.js": SCRIPT,
    "settings.js": SCRIPT,
    "shares.js": SCRIPT,
    "state.js": SCRIPT,
}

/// What tells this version of the page from others, for browsers that have one already.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = FILES
        .iter()
        .fold(Sha256::new(), |hash, file| hash.chain_update(file.bytes));
    let digits: String = all
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{digits}\"")
});

/// The routes of the page's files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(async |headers: HeaderMap| served("index.html", &headers)),
        )
        .route(
            "/page/{file}",
            get(async |Path(name): Path<String>, headers: HeaderMap| served(&name, &headers)),
        )
}

fn served(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let told = [
        (CONTENT_TYPE, file.kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Asked each time: a node of another version may be here the next.
        (CACHE_CONTROL, "no-cache"),
        (ETAG, &VERSION),
    ];
    let is_known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == VERSION.as_bytes());
    if is_known {
        return (StatusCode::NOT_MODIFIED, told).into_response();
    }
    (told, file.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_there_are() {
        let text = |file: &File| String::from_utf8(file.bytes.to_vec()).unwrap();
        let is_there = |name: &str| FILES.iter().any(|file| file.name == name);
        for file in FILES {
            for reference in text(file).split("\"/page/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(is_there(name), "{} names {name}", file.name);
            }
            for import in text(file).split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap();
                assert!(is_there(name), "{} imports {name}", file.name);
            }
        }
    }

    /// What others call things must not become markup, and nothing is fetched from elsewhere.
    #[test]
    fn no_script_makes_markup_of_text_or_names_another_host() {
        for file in FILES {
            let text = String::from_utf8(file.bytes.to_vec()).unwrap();
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                let uses = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                assert!(
                    !uses.into_iter().any(|line| line.contains(forbidden)),
                    "{}: {forbidden}",
                    file.name
                );
            }
            let hosts = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!hosts.contains("://"), "{} names a host", file.name);
        }
    }
}
