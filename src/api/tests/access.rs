//! Access control, and limits of requests and connections.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{LIMIT, Served, alone};
use crate::api::{extract::MAX_BODY_LEN, serve::MAX_CONNECTIONS, types::Problem};

/// Sends `head` and `body` unchanged, and returns the status code and body of the response.
pub(super) async fn raw(served: &Served, head: &str, body: &[u8]) -> (u16, String) {
    let (status, _, body) = whole(served, head, body).await;
    (status, body)
}

/// Sends `head` and `body` unchanged, and returns the status code, head and body of the response.
pub(super) async fn whole(served: &Served, head: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("{head}\r\nConnection: close\r\n\r\n").replace('\n', "\r\n");
    stream
        .write_all(head.replace("\r\r\n", "\r\n").as_bytes())
        .await
        .unwrap();
    // The response may arrive, and the connection close, before all is sent.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).map(str::parse).unwrap().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// Sends chunks up to a gigabyte, and returns the status code of the response that arrives before.
async fn endless(served: &Served, head: &str) -> u16 {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let head = format!("{head}\n\n").replace('\n', "\r\n");
    let sending = async move {
        writer.write_all(head.as_bytes()).await?;
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        for _ in 0..(1 << 30) / 0x10000 {
            writer.write_all(chunk.as_bytes()).await?;
        }
        std::io::Result::Ok(writer)
    };
    let sending = tokio::spawn(sending);
    let mut start = [0; 12];
    reader.read_exact(&mut start).await.unwrap();
    let sent = timeout(LIMIT, sending).await.unwrap().unwrap();
    assert!(sent.is_err(), "all was taken");
    let start = std::str::from_utf8(&start).unwrap();
    start.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

impl Served {
    fn head(&self, host: &str, more: &str) -> String {
        let token = self.token.as_str();
        format!("GET /v1/downloads HTTP/1.1\nHost: {host}\nAuthorization: Bearer {token}{more}")
    }
}

#[tokio::test]
async fn only_the_token_grants_access() {
    let served = Served::new(alone().await).await;
    let (address, token) = (served.address, served.token.as_str());
    let almost = format!("{}x", &token[1..]);
    for (claim, status) in [
        (String::new(), 401),
        (format!("\nAuthorization: Bearer {almost}"), 401),
        (format!("\nAuthorization: Bearer {}", &token[1..]), 401),
        (format!("\nAuthorization: Bearer {token}0"), 401),
        ("\nAuthorization: Bearer ".to_owned(), 401),
        (format!("\nAuthorization: Basic {token}"), 401),
        (format!("\nAuthorization: Bearer {token}"), 200),
    ] {
        for path in ["/v1/status", "/v1/downloads", "/nope"] {
            let head = format!("GET {path} HTTP/1.1\nHost: {address}{claim}");
            let (answered, body) = raw(&served, &head, b"").await;
            let expected = if path == "/nope" && status == 200 {
                404
            } else {
                status
            };
            assert_eq!(answered, expected, "{path} {claim}");
            if status == 401 {
                let failure: Problem = serde_json::from_str(&body).unwrap();
                assert_eq!(failure.code, "unauthorized");
                assert!(!body.contains(token));
            }
        }
    }
}

#[tokio::test]
async fn requests_of_foreign_pages_are_rejected() {
    let served = Served::new(alone().await).await;
    let (address, port) = (served.address, served.address.port());
    for host in [
        format!("{address}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(
            raw(&served, &served.head(&host, ""), b"").await.0,
            200,
            "{host}"
        );
    }
    for host in [
        format!("rebound.example:{port}"),
        format!("localhost.example:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("192.0.2.1:{port}"),
        format!("user@127.0.0.1.example:{port}"),
        format!("{address}\nHost: {address}"),
        String::new(),
    ] {
        assert_eq!(
            raw(&served, &served.head(&host, ""), b"").await.0,
            403,
            "{host}"
        );
    }
    for origin in ["https://example.org", "null", &format!("http://{address}")] {
        let head = served.head(&address.to_string(), &format!("\nOrigin: {origin}"));
        assert_eq!(raw(&served, &head, b"").await.0, 403, "{origin}");
    }
}

#[tokio::test]
async fn large_requests_are_rejected() {
    let served = Served::new(alone().await).await;
    let (address, token) = (served.address, served.token.as_str());
    let head = |token: &str, len: usize| {
        format!(
            "POST /v1/shares HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}\n\
             Content-Type: application/json\nContent-Length: {len}"
        )
    };
    let body = vec![b' '; MAX_BODY_LEN + 1];
    assert_eq!(raw(&served, &head(token, body.len()), &body).await.0, 413);
    assert_eq!(raw(&served, &head(token, 1 << 30), b"{").await.0, 413);
    assert_eq!(raw(&served, &head("wrong", 1 << 30), b"{").await.0, 401);
    // A gigabyte without a declared size: the connection closes long before all was sent.
    let chunked = head(token, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    assert_eq!(endless(&served, &chunked).await, 413);
    let wrong = head("wrong", 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    assert_eq!(endless(&served, &wrong).await, 401);
    let long = format!("\nX-Long: {}", "x".repeat(20_000));
    assert_eq!(
        raw(&served, &served.head(&address.to_string(), &long), b"")
            .await
            .0,
        431
    );
}

#[tokio::test]
async fn invalid_json_is_rejected_in_json() {
    let served = Served::new(alone().await).await;
    let (address, token) = (served.address, served.token.as_str());
    for (kind, body, status) in [
        ("application/json", "{", 400),
        ("application/json", r#"{"path":1}"#, 422),
        ("application/json", r#"{"path":"/x","color":"red"}"#, 422),
        ("application/json", r#"{"path":"relative"}"#, 400),
        ("text/plain", r#"{"path":"/x"}"#, 415),
    ] {
        let len = body.len();
        let head = format!(
            "POST /v1/shares HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}\n\
             Content-Type: {kind}\nContent-Length: {len}"
        );
        let (answered, answer) = raw(&served, &head, body.as_bytes()).await;
        assert_eq!(answered, status, "{body}: {answer}");
        serde_json::from_str::<Problem>(&answer).unwrap();
    }
}

#[tokio::test]
async fn unknown_methods_and_paths_are_rejected_in_json() {
    let served = Served::new(alone().await).await;
    let (address, token) = (served.address, served.token.as_str());
    for (line, status) in [
        ("PUT /v1/shares", 405),
        ("GET /v2/shares", 404),
        ("DELETE /v1/shares", 400),
        ("GET /v1/catalogue?peer=nowhere", 400),
        ("GET /v1/catalogue?wait=-1", 400),
        ("GET /v1/catalogue?wait=1&peer=/ip4/127.0.0.1/tcp/1", 400),
    ] {
        let head = format!("{line} HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}");
        let (answered, answer) = raw(&served, &head, b"").await;
        assert_eq!(answered, status, "{line}: {answer}");
        serde_json::from_str::<Problem>(&answer).unwrap();
    }
}

/// Silent clients hold all connections. They are evicted for others, or disconnected after the
/// time-out.
#[tokio::test]
async fn silent_clients_do_not_keep_their_connections() {
    let served = Served::new(alone().await).await;
    let mut silent = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        silent.push(stream);
    }
    let head = served.head(&served.address.to_string(), "");
    assert_eq!(raw(&served, &head, b"").await.0, 200);
    for mut stream in silent {
        // It may be closed or reset. Nothing was received in either case.
        let mut answer = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(answer.is_empty());
    }
}

/// Clients without a token never finish their requests, or request files of the page and read
/// nothing. Still, a browser signs in, its page works, and so do commands.
#[tokio::test]
async fn clients_without_a_token_block_no_others() {
    let served = Served::new(alone().await).await;
    let page = served.sign_in().await;
    let address = served.address;
    let mut endless = Vec::new();
    for number in 0..2 * MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = if number % 2 == 0 {
            format!(
                "POST /v1/session HTTP/1.1\nHost: {address}\nOrigin: http://{address}\n\
                 Content-Type: application/json\nContent-Length: 100\n\n{{"
            )
        } else {
            format!("GET /page/style.css HTTP/1.1\nHost: {address}\n\n").repeat(50)
        };
        let request = request.replace('\n', "\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        endless.push(stream);
    }
    assert_eq!(served.page("GET /", "", "").await.0, 200);
    assert_eq!(served.page("GET /v1/status", &page, "").await.0, 200);
    let head = served.head(&address.to_string(), "");
    assert_eq!(raw(&served, &head, b"").await.0, 200);
    timeout(LIMIT, served.sign_in()).await.unwrap();
}
