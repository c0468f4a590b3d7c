//! The web page: files that are part of the program, served without a session. Their data comes
//! from the API, which needs one. The page needs no build step. Its content security policy blocks
//! everything from elsewhere.

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

/// The page may load its own files, show images that it fetched, and call its own origin.
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
    "icon.svg": SVG,
    "style.css": CSS,
    "frame.css": CSS,
    "rows.css": CSS,
    "downloads.css": CSS,
    "uploads.css": CSS,
    "shares.css": CSS,
    "network.css": CSS,
    "groups.css": CSS,
    "peers.css": CSS,
    "log.css": CSS,
    "settings.css": CSS,
    "dialogs.css": CSS,
    "user.css": CSS,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "content.js": SCRIPT,
    "detail.js": SCRIPT,
    "dom.js": SCRIPT,
    "download.js": SCRIPT,
    "downloads.js": SCRIPT,
    "format.js": SCRIPT,
    "group.js": SCRIPT,
    "groups.js": SCRIPT,
    "join.js": SCRIPT,
    "log.js": SCRIPT,
    "match.js": SCRIPT,
    "memberships.js": SCRIPT,
    "network.js": SCRIPT,
    "offers.js": SCRIPT,
    "peers.js": SCRIPT,
    "plot.js": SCRIPT,
    "polled.js": SCRIPT,
    "rows.js": SCRIPT,
    "session.js": SCRIPT,
    "settings.js": SCRIPT,
    "shares.js": SCRIPT,
    "state.js": SCRIPT,
    "uploads.js": SCRIPT,
    "user.js": SCRIPT,
    "web.js": SCRIPT,
}

/// The entity tag of all files, for browsers that have them already.
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
    let head = [
        (CONTENT_TYPE, file.kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Browsers revalidate each time, as a node of another version may be here later.
        (CACHE_CONTROL, "no-cache"),
        (ETAG, &VERSION),
    ];
    let is_known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == VERSION.as_bytes());
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, file.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_exist() {
        let text = |file: &File| String::from_utf8(file.bytes.to_vec()).unwrap();
        let is_there = |name: &str| FILES.iter().any(|file| file.name == name);
        for file in FILES {
            for reference in text(file).split("\"page/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(is_there(name), "{} names {name}", file.name);
            }
            for import in text(file).split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap();
                assert!(is_there(name), "{} imports {name}", file.name);
            }
        }
    }

    /// Names that others choose must not become markup, and nothing comes from elsewhere.
    #[test]
    fn scripts_make_no_markup_of_text_and_name_no_other_host() {
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
