//! The metrics of a node, as Prometheus reads them.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use super::world::{Home, World, eventually, noise};

/// The answer to `GET /metrics` at `address`: the head, and the body.
fn scraped(address: &str, token: Option<&str>) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let claim = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{}\r\n",
        claim.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The samples of a text by name and labels. Asserts the form of OpenMetrics: each line is a
/// description or a sample of the metric described last, no metric is described twice, and the last
/// line is `# EOF`.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut types, mut family) = (BTreeMap::new(), String::new());
    let lines = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in lines.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP" | "UNIT", name, text] => {
                assert!(!text.is_empty(), "{line}");
                family = name.to_owned();
            }
            ["#", "TYPE", name, kind] => {
                assert!(
                    types.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "{line}: twice"
                );
                family = name.to_owned();
            }
            _ => {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let suffix = name
                    .strip_prefix(&family)
                    .unwrap_or_else(|| panic!("{line} of {family}"));
                let allowed: &[&str] = match types[&family].as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "info" => &["_info"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    kind => panic!("{line} is a {kind}"),
                };
                assert!(allowed.contains(&suffix), "{line}");
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(
                    samples.insert(sample.to_owned(), value).is_none(),
                    "{line}: twice"
                );
            }
        }
    }
    samples
}

/// The metrics of the node.
pub(crate) fn of(home: &Home) -> BTreeMap<String, f64> {
    let api = std::fs::read_to_string(home.data().join("api.json")).unwrap();
    let api: serde_json::Value = serde_json::from_str(&api).unwrap();
    let (address, token) = (
        api["address"].as_str().unwrap(),
        api["token"].as_str().unwrap(),
    );
    let (head, body) = scraped(address, Some(token));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    samples(&body)
}

/// ```text
///   B ── A      B downloads from A, and both are scraped
/// ```
#[test]
fn what_was_moved_is_counted_at_both_ends() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let source = a.start(&[]);
    let _sink = b.start(&[]);
    let before = of(&a);
    assert_eq!(before["pelago_content_sent_bytes_total"], 0.0);
    assert_eq!(before["pelago_shares"], 0.0);
    assert_eq!(before["pelago_downloads{state=\"done\"}"], 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        before[&format!("pelago_build_info{{version=\"{version}\"}}")],
        1.0
    );
    assert!(before["pelago_start_time_seconds"] > 1.7e9);

    let content = noise(1, 1_000_000);
    let hash = a.share(&world.file("content", &content));
    let wanted = ["download", &hash, "--peer", &source.address(), "-o", "copy"];
    b.run(&wanted).done();
    let missing = "ab".repeat(32);
    b.run(&[
        "download",
        &missing,
        "--peer",
        &source.address(),
        "--timeout",
        "1",
    ])
    .failed();

    let (sent, received) = (of(&a), of(&b));
    let bytes = content.len() as f64;
    assert_eq!(sent["pelago_content_sent_bytes_total"], bytes);
    assert_eq!(received["pelago_content_received_bytes_total"], bytes);
    assert_eq!(sent["pelago_content_received_bytes_total"], 0.0);
    assert_eq!(sent["pelago_shares"], 1.0);
    assert_eq!(sent["pelago_peers"], 1.0);
    assert_eq!(received["pelago_shares"], 1.0, "what is done is shared on");
    assert_eq!(received["pelago_downloads{state=\"done\"}"], 1.0);
    assert_eq!(received["pelago_downloads{state=\"failed\"}"], 1.0);
    assert_eq!(
        received["pelago_transfer_downloads_ended_total{end=\"done\"}"],
        1.0
    );
    assert_eq!(
        received["pelago_transfer_downloads_ended_total{end=\"no-source\"}"],
        1.0
    );
    assert!(sent["pelago_serve_refusals_total{reason=\"absent\"}"] >= 1.0);
    assert!(received["pelago_dht_queries_started_total{query=\"find\"}"] >= 1.0);
    for depth in [
        "pelago_serve_slots_in_use",
        "pelago_serve_slots_waiting",
        "pelago_streams_queued",
    ] {
        assert_eq!(sent[depth], 0.0, "{depth}");
    }
    eventually("what is shared to be announced", || {
        let now = of(&a);
        let done = now.get("pelago_publish_announcements_total{result=\"done\"}");
        (done == Some(&1.0) && now["pelago_announcements_due"] == 0.0).then_some(())
    });
    assert!(
        sent.keys()
            .any(|name| name.starts_with("libp2p_swarm_connections_established_total"))
    );
    assert!(sent.keys().any(|name| name.starts_with("libp2p_kad_")));

    let hidden = [hash, missing, source.peer_id()];
    for name in sent.keys().chain(received.keys()) {
        assert!(
            hidden.iter().all(|what| !name.contains(what.as_str())),
            "{name}"
        );
        assert!(!name.contains("127.0.0.1"), "{name}");
    }
}

/// ```text
///   A      has an address for Prometheus that needs no token
/// ```
#[test]
fn without_a_token_only_the_address_for_metrics_has_metrics() {
    let world = World::new();
    let a = world.home("a").with("PELAGO_API_METRICS", "127.0.0.1:0");
    let node = a.start(&[]);
    let status = a.json(&["status"]);
    let (head, body) = scraped(status["api"].as_str().unwrap(), None);
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    assert!(!body.contains("pelago_"), "{body}");

    let line = node.run.err.line("metrics at http://");
    let address = line.split("http://").nth(1).unwrap();
    let address = address.strip_suffix("/metrics").unwrap();
    let (head, body) = scraped(address, None);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(samples(&body)["pelago_peers"], 0.0);

    a.clone()
        .with("PELAGO_API_METRICS", "9464")
        .run(&["start"])
        .failed()
        .says("PELAGO_API_METRICS")
        .says("127.0.0.1:9464");
    node.stop();
}
