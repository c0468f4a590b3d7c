//! Files that the page adds, and QR codes of links.

use std::{fs, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    LIMIT, Served,
    access::{raw, whole},
};
use crate::{
    api::types::{Added, Problem},
    node::testing::sharing,
};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

impl Served {
    fn putting(&self, name: &str, len: &str) -> String {
        let (address, token) = (self.address, self.token.as_str());
        format!(
            "PUT /v1/files/{name} HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}\n{len}"
        )
    }

    async fn put(&self, name: &str, body: &[u8]) -> (u16, String) {
        let len = format!("Content-Length: {}", body.len());
        raw(self, &self.putting(name, &len), body).await
    }
}

#[tokio::test]
async fn a_complete_upload_is_in_the_first_shared_folder() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(sharing(folder.path()).await).await;
    let body = vec![7; 3_000_000];
    let (status, answer) = served.put("holiday%20film.mkv", &body).await;
    assert_eq!(status, 201, "{answer}");
    let added: Added = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        Path::new(&added.path),
        folder.path().join("holiday film.mkv")
    );
    assert_eq!(fs::read(&added.path).unwrap(), body);

    for (name, len, status, code) in [
        (
            "holiday%20film.mkv",
            "Content-Length: 1",
            409,
            "target-exists",
        ),
        ("a", "Content-Length: 9000000000000000", 507, "disk-full"),
        ("a", "Transfer-Encoding: chunked", 411, "bad-request"),
        ("..", "Content-Length: 1", 400, "bad-name"),
        ("%2e%2e%2f", "Content-Length: 1", 400, "bad-name"),
    ] {
        let (answered, answer) = raw(&served, &served.putting(name, len), b"").await;
        assert_eq!(answered, status, "{name} {len}: {answer}");
        let problem: Problem = serde_json::from_str(&answer).unwrap();
        assert_eq!(problem.code, code, "{}", problem.detail);
    }
    let (_, answer) = served.put("%2e%2e%2f.profile%0a", b"x").await;
    let added: Added = serde_json::from_str(&answer).unwrap();
    assert_eq!(Path::new(&added.path), folder.path().join("_profile_"));
    assert_eq!(names(folder.path()), ["_profile_", "holiday film.mkv"]);

    let alone = Served::new(super::alone().await).await;
    let (status, answer) = alone.put("a", b"x").await;
    assert_eq!(status, 409);
    assert!(answer.contains("no-shared-folder"), "{answer}");
}

#[tokio::test]
async fn an_interrupted_upload_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(sharing(folder.path()).await).await;
    let head = served.putting("half", "Content-Length: 1000000\n\n");
    let head = head.replace('\n', "\r\n");
    // One client disconnects, and another stalls.
    let mut gone = TcpStream::connect(served.address).await.unwrap();
    gone.write_all(head.as_bytes()).await.unwrap();
    gone.write_all(&[7; 300_000]).await.unwrap();
    drop(gone);
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let head = head.replace("/half", "/silent");
    silent.write_all(head.as_bytes()).await.unwrap();
    silent.write_all(&[7; 300_000]).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(LIMIT, silent.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"));
    let cleared = async {
        while !names(folder.path()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, cleared).await.unwrap();
}

#[tokio::test]
async fn the_link_of_a_share_becomes_a_qr_code() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(sharing(folder.path()).await).await;
    let client = served.client().await;
    fs::write(folder.path().join("a"), "a").unwrap();
    let request = crate::api::types::ShareRequest {
        name: Some("<script>".to_owned()),
        ..crate::api::types::ShareRequest::new(folder.path().join("a").to_str().unwrap())
    };
    let mut events = client.share(&request).await.unwrap();
    while events.next().await.unwrap().is_some() {}
    let (address, token) = (served.address, served.token.as_str());
    let head = |what: &str| {
        format!(
            "GET /v1/links/qr?what={what} HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}"
        )
    };
    let (status, headers, image) = whole(&served, &head("%3Cscript%3E"), b"").await;
    assert_eq!(status, 200, "{image}");
    assert!(headers.contains("image/svg+xml") && image.contains("<svg"));
    assert!(!image.contains("script"));
    assert_eq!(raw(&served, &head("nothing"), b"").await.0, 409);
}
