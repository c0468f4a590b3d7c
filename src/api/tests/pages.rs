//! What a page may do, and what others that look like one may not.

use super::{
    Served, alone,
    door::{raw, whole},
};
use crate::api::types::{Code, Problem, Run, Session};

impl Served {
    /// A request of the page at `origin`, by `host`, with these further lines.
    pub(super) async fn page(&self, line: &str, more: &str, body: &str) -> (u16, String, String) {
        let (address, len) = (self.address, body.len());
        let head = format!(
            "{line} HTTP/1.1\nHost: {address}\nContent-Type: application/json\n\
             Content-Length: {len}{more}"
        );
        whole(self, &head, body.as_bytes()).await
    }

    fn origin(&self) -> String {
        format!(
            "\nOrigin: http://{}\nSec-Fetch-Site: same-origin",
            self.address
        )
    }

    async fn code(&self) -> String {
        let token = format!("\nAuthorization: Bearer {}", self.token.as_str());
        let (status, _, body) = self.page("POST /v1/codes", &token, "").await;
        assert_eq!(status, 200, "{body}");
        let code: Code = serde_json::from_str(&body).unwrap();
        format!(r#"{{"code":"{}"}}"#, code.code)
    }

    async fn session(&self) -> Session {
        let (code, origin) = (self.code().await, self.origin());
        let (status, head, body) = self.page("POST /v1/session", &origin, &code).await;
        assert_eq!(status, 200);
        assert!(!head.contains("set-cookie"), "{head}");
        serde_json::from_str(&body).unwrap()
    }

    /// Signs in; the line that shows it.
    pub(super) async fn sign_in(&self) -> String {
        let session = self.session().await;
        format!("\nAuthorization: Bearer {}", session.bearer)
    }
}

#[tokio::test]
async fn a_page_signs_in_once_by_a_code_and_out_again() {
    let served = Served::new(alone().await).await;
    let origin = served.origin();
    let code = served.code().await;
    for expected in [200, 401] {
        let (status, _, body) = served.page("POST /v1/session", &origin, &code).await;
        assert_eq!(status, expected, "{body}");
        if status == 401 {
            let failure: Problem = serde_json::from_str(&body).unwrap();
            assert_eq!(failure.code, "bad-code");
        }
    }
    let unknown = format!(r#"{{"code":"{}"}}"#, "ab".repeat(32));
    assert_eq!(
        served.page("POST /v1/session", &origin, &unknown).await.0,
        401
    );

    let shown = served.sign_in().await;
    let (status, head, _) = served.page("GET /v1/downloads", &shown, "").await;
    assert_eq!(status, 200);
    for line in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let own = format!("{shown}{origin}");
    assert_eq!(served.page("POST /v1/pause", &own, "").await.0, 200);
    assert_eq!(served.page("DELETE /v1/session", &own, "").await.0, 204);
    assert_eq!(served.page("GET /v1/downloads", &shown, "").await.0, 401);
}

#[tokio::test]
async fn a_bearer_is_not_all_that_a_page_has_to_show() {
    let served = Served::new(alone().await).await;
    let shown = served.sign_in().await;
    let (address, port) = (served.address, served.address.port());
    let ours = format!("\nOrigin: http://{address}");
    for (line, more, expected) in [
        ("GET /v1/status", String::new(), 200),
        ("GET /v1/status", ours.clone(), 200),
        (
            "GET /v1/status",
            "\nSec-Fetch-Site: same-origin".to_owned(),
            200,
        ),
        ("POST /v1/pause", ours.clone(), 200),
        // No command has a session, and a browser says who asks.
        ("POST /v1/pause", String::new(), 403),
        ("POST /v1/pause", "\nOrigin: null".to_owned(), 403),
        (
            "POST /v1/pause",
            "\nOrigin: https://example.org".to_owned(),
            403,
        ),
        (
            "GET /v1/status",
            "\nOrigin: https://example.org".to_owned(),
            403,
        ),
        (
            "GET /v1/status",
            format!("\nOrigin: https://{address}"),
            403,
        ),
        (
            "GET /v1/status",
            format!("\nOrigin: http://localhost:{port}"),
            403,
        ),
        ("GET /v1/status", format!("{ours}{ours}"), 403),
        (
            "GET /v1/status",
            "\nSec-Fetch-Site: cross-site".to_owned(),
            403,
        ),
        // The gateway, which shows others' content, is another port of the same site.
        (
            "GET /v1/status",
            "\nSec-Fetch-Site: same-site".to_owned(),
            403,
        ),
        ("GET /v1/status", "\nSec-Fetch-Site: none".to_owned(), 403),
        ("POST /v1/codes", ours.clone(), 403),
    ] {
        let (status, _, body) = served.page(line, &format!("{shown}{more}"), "").await;
        assert_eq!(status, expected, "{line} {more}: {body}");
    }
    for (host, expected) in [
        (address.to_string(), 200),
        (format!("localhost:{port}"), 403),
        (format!("rebound.example:{port}"), 403),
        ("127.0.0.1:1".to_owned(), 403),
        (format!("user@{address}"), 403),
    ] {
        for line in ["GET /v1/status", "GET /", "GET /page/app.js"] {
            let head = format!("{line} HTTP/1.1\nHost: {host}{shown}");
            let (status, body) = raw(&served, &head, b"").await;
            assert_eq!(status, expected, "{line} {host}: {body}");
        }
    }
}

#[tokio::test]
async fn a_code_is_taken_from_our_page_only() {
    let served = Served::new(alone().await).await;
    for more in [
        String::new(),
        "\nOrigin: https://example.org".to_owned(),
        format!("{}\nSec-Fetch-Site: cross-site", served.origin()),
    ] {
        let code = served.code().await;
        let (status, ..) = served.page("POST /v1/session", &more, &code).await;
        assert_eq!(status, 403, "{more}");
    }
}

#[tokio::test]
async fn the_page_is_for_everybody_and_what_is_on_it_is_not() {
    let served = Served::new(alone().await).await;
    for path in ["/", "/page/app.js", "/page/style.css"] {
        let (status, head, _) = served.page(&format!("GET {path}"), "", "").await;
        assert_eq!(status, 200, "{path}");
        assert!(head.contains("content-security-policy:"), "{path}");
    }
    assert_eq!(served.page("POST /", "", "").await.0, 401);
    assert_eq!(served.page("GET /v1/status", "", "").await.0, 401);
    let wrong = format!("\nAuthorization: Bearer {}", "ab".repeat(32));
    assert_eq!(served.page("GET /v1/status", &wrong, "").await.0, 401);
}

/// What is sent is of no use to whoever listens at another time; a page that is loaded anew has it
/// all again.
#[tokio::test]
async fn a_secret_is_never_sent_and_learned_again_by_its_page_only() {
    let served = Served::new(alone().await).await;
    let session = served.session().await;
    let shown = format!("\nAuthorization: Bearer {}", session.bearer);
    let (status, _, body) = served.page("GET /v1/session", &shown, "").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Session>(&body).unwrap(), session);
    let secret = format!("\nAuthorization: Bearer {}", session.secret);
    assert_eq!(served.page("GET /v1/status", &secret, "").await.0, 401);
    assert_eq!(served.page("GET /v1/session", "", "").await.0, 401);
    let token = format!("\nAuthorization: Bearer {}", served.token.as_str());
    assert_eq!(served.page("GET /v1/session", &token, "").await.0, 409);
    let (status, _, body) = served.page("GET /v1/run", &served.origin(), "").await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Run>(&body).unwrap().run.len(), 64);
    let foreign = "\nOrigin: https://example.org";
    assert_eq!(served.page("GET /v1/run", foreign, "").await.0, 403);
}
