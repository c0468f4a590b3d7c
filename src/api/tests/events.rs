//! Streams of events: their content, their limit, and the cost of clients that do not read.

use std::{collections::VecDeque, fs, sync::Arc};

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{LIMIT, Served, access::raw, alone};
use crate::{
    api::{
        App,
        events::MAX_STREAMS,
        log::Log,
        types::{DownloadRequest, LogLevel, LogLine, Output, Problem, ShareRequest, UnshareQuery},
    },
    config::LiveSettings,
};

async fn with_log(log: Log) -> App {
    App::new(alone().await, log, Arc::new(LiveSettings::defaults()))
}

/// A reader of a stream of events.
struct Events {
    body: Incoming,
    text: String,
    events: VecDeque<(String, Value)>,
}

impl Events {
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let frame = timeout(LIMIT, self.body.frame()).await.unwrap();
            let data = frame.unwrap().unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                if let Some((name, data)) = event.split_once("\ndata: ") {
                    let name = name.strip_prefix("event: ").unwrap().to_owned();
                    let data = serde_json::from_str(data).unwrap();
                    self.events.push_back((name, data));
                }
                self.text = rest.to_owned();
            }
        }
    }

    /// The next event with this name. Skips others before it.
    async fn until(&mut self, name: &str) -> Value {
        loop {
            let (found, data) = self.next().await;
            if found == name {
                return data;
            }
        }
    }
}

impl Served {
    async fn get(&self, path: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {}", self.token.as_str()))
            .body(Body::empty());
        sender.send_request(request.unwrap()).await.unwrap()
    }

    async fn events(&self, of: &str) -> Events {
        let response = self.get(&format!("/v1/events{of}")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            body: response.into_body(),
            text: String::new(),
            events: VecDeque::new(),
        }
    }
}

#[tokio::test]
async fn the_state_comes_first_and_then_its_changes() {
    let node = alone().await;
    let served = Served::new(node.clone()).await;
    let client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let share = async |name: &str| {
        fs::write(path(name), name).unwrap();
        let request = ShareRequest::new(path(name));
        let mut events = client.share(&request).await.unwrap();
        while events.next().await.unwrap().is_some() {}
    };
    share("a").await;
    let mut events = served.events("").await;
    let (name, hello) = events.next().await;
    assert_eq!(
        (&*name, &hello["peer_id"]),
        ("hello", &node.peer_id().to_string().into())
    );
    let (name, status) = events.next().await;
    assert_eq!((&*name, &status["shares"]), ("status", &1.into()));
    assert_eq!(status["api"], served.address.to_string());
    let a = events.until("share").await;
    assert_eq!(a["name"], "a");
    let mut link = serde_json::to_value(&client.links(None, None).await.unwrap()[0]).unwrap();
    link["state"] = "available".into();
    assert_eq!(a, link);
    events.until("ready").await;

    share("b").await;
    assert_eq!(events.until("share").await["name"], "b");
    client
        .unshare(&UnshareQuery {
            what: "a".to_owned(),
            ..UnshareQuery::default()
        })
        .await
        .unwrap();
    let gone = events.until("share-removed").await;
    assert_eq!((&gone["hash"], &gone["name"]), (&a["hash"], &"a".into()));
    assert_eq!(gone["path"], path("a"));

    // The same content with the same name at another path is another share.
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other/b"), "b").unwrap();
    let request = ShareRequest::new(path("other/b"));
    let mut sharing = client.share(&request).await.unwrap();
    while sharing.next().await.unwrap().is_some() {}
    assert_eq!(events.until("share").await["path"], path("other/b"));

    let hash = "ab".repeat(32);
    let request = DownloadRequest {
        detach: true,
        ..DownloadRequest::new(hash.clone(), Output::At(path("x")), 3600.0)
    };
    client.download(&request).await.unwrap();
    let download = events.until("download").await;
    assert_eq!(
        (&download["hash"], &download["position"]),
        (&hash.clone().into(), &0.into())
    );
    client.cancel(&hash).await.unwrap();
    assert_eq!(events.until("download-removed").await["hash"], hash);
}

#[tokio::test]
async fn only_requested_topics_are_sent() {
    let log = Log::default();
    let line = |message: &str| LogLine {
        unix_ms: 1,
        level: LogLevel::Warn,
        target: "pelago".to_owned(),
        message: message.to_owned(),
        fields: [("path".to_owned(), "a\nb".to_owned())].into(),
    };
    log.add(line("before"));
    let served = Served::new(with_log(log.clone()).await).await;
    let mut events = served.events("?of=log").await;
    assert_eq!(events.next().await.0, "hello");
    let (name, before) = events.next().await;
    assert_eq!((&*name, &before["message"]), ("log", &"before".into()));
    assert_eq!(events.next().await.0, "ready");
    log.add(line("after"));
    let (_, after) = events.next().await;
    assert_eq!(after, serde_json::to_value(line("after")).unwrap());

    let (address, token) = (served.address, served.token.as_str());
    let head = format!(
        "GET /v1/events?of=downloads,gossip HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}"
    );
    assert_eq!(raw(&served, &head, b"").await.0, 400);
}

#[tokio::test]
async fn a_stream_over_the_limit_is_rejected_with_retry_after() {
    let served = Served::new(alone().await).await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        streams.push(served.events("").await);
    }
    let refused = served.get("/v1/events").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let failure: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(failure.code, "too-many-streams");

    drop(streams.pop());
    let again = async {
        while served.get("/v1/events").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, again).await.unwrap();
}

/// Thousands of clients request streams and read nothing. Commands still find free connections.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_do_not_keep_commands_out() {
    // Both ends are in this process, which needs other files, too.
    let files = usize::try_from(files_allowed()).unwrap_or(usize::MAX);
    let count = 10_000.min(files.saturating_sub(200) / 2);
    let served = Served::new(alone().await).await;
    let shown = served.sign_in().await;
    let address = served.address;
    let head = format!("GET /v1/events HTTP/1.1\nHost: {address}{shown}\n\n");
    let head = head.replace('\n', "\r\n");
    let asked: Vec<_> = (0..count)
        .map(|_| {
            let head = head.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.ok()?;
                stream.write_all(head.as_bytes()).await.ok()?;
                std::future::pending::<()>().await;
                Some(stream)
            })
        })
        .collect();
    for _ in 0..20 {
        let client = timeout(LIMIT, served.client()).await.unwrap();
        timeout(LIMIT, client.status()).await.unwrap().unwrap();
    }
    asked.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Raises the limit of open files of this process as far as possible, and returns it.
fn files_allowed() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let most = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, most);
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }
    #[cfg(not(unix))]
    1024
}

/// A client that reads nothing of a long response is disconnected, and its buffers are freed.
#[tokio::test]
async fn clients_that_do_not_read_are_disconnected() {
    let log = Log::default();
    let fill = |number: usize| {
        for line in 0..2000 {
            log.add(LogLine {
                unix_ms: 1,
                level: LogLevel::Info,
                target: "pelago".to_owned(),
                message: format!("{number}.{line} {}", "x".repeat(2000)),
                fields: [].into(),
            });
        }
    };
    fill(0);
    let served = Served::new(with_log(log.clone()).await).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(served.address).await.unwrap();
    let (address, token) = (served.address, served.token.as_str());
    let head = format!(
        "GET /v1/events?of=log HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Its stream ends without a byte being read, however much is logged meanwhile.
    let all_free = async {
        let mut streams = Vec::new();
        let mut number = 0;
        while streams.len() < MAX_STREAMS {
            number += 1;
            fill(number);
            let response = served.get("/v1/events?of=peers").await;
            if response.status() == 200 {
                streams.push(response);
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, all_free).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 4 << 20, "what the system held: {}", rest.len());
}

/// An open stream does not delay the shutdown of a node.
#[tokio::test]
async fn streams_end_with_the_api() {
    let served = Served::new(alone().await).await;
    let mut events = served.events("").await;
    events.until("ready").await;
    served.end.send(()).unwrap();
    timeout(LIMIT, served.task).await.unwrap().unwrap();
    let rest = timeout(LIMIT, events.body.collect()).await.unwrap();
    assert!(rest.is_ok(), "it is cut off");
}
