//! What our page may do, and what foreign pages may not.

use super::{
    Served,
    access::{raw, whole},
    alone,
};
use crate::api::types::{Code, Problem, Run, Session};

impl Served {
    /// Sends a request of the page, with further header lines.
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

    /// Signs in, and returns the header line with the bearer.
    pub(super) async fn sign_in(&self) -> String {
        let session = self.session().await;
        format!("\nAuthorization: Bearer {}", session.bearer)
    }
}

#[tokio::test]
async fn a_page_signs_in_once_with_a_code_and_out_again() {
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
async fn a_bearer_alone_does_not_grant_access() {
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
        // Commands have no session, and browsers send the origin.
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
        // The gateway, which serves content of other people, is another port of the same site.
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
async fn only_our_page_can_use_a_code() {
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
async fn the_files_of_the_page_need_no_credential_and_its_data_does() {
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

/// A bearer is useless to a program that listens at the port in another run. A reloaded page gets
/// its session again.
#[tokio::test]
async fn only_its_own_page_can_fetch_a_secret_again() {
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
