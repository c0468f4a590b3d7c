//! The OpenAPI document.

use std::collections::HashSet;

use serde_json::Value;

use super::{Served, access::raw, alone};

/// Every `$ref` in `value`.
fn references<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference);
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_route_and_every_response_is_described() {
    // All routes are described, except the files of the page.
    let routes = include_str!("../router.rs");
    assert!(!routes.contains(".route("), "use routes!");

    let served = Served::new(alone().await).await;
    let (address, token) = (served.address, served.token.as_str());
    let head =
        format!("GET /v1/openapi.json HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}");
    let (status, body) = raw(&served, &head, b"").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));

    let mut ids = HashSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is there twice");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{id}");
            let refused = &answers["default"]["content"]["application/problem+json"];
            assert_eq!(
                refused["schema"]["$ref"], "#/components/schemas/Problem",
                "{id}"
            );
            // Every described route exists.
            if method == "get" && !path.contains('{') && !["events", "catalogue"].contains(&id) {
                let head = head.replace("/v1/openapi.json", path);
                let (status, body) = raw(&served, &head, b"").await;
                assert_ne!(status, 404, "{path}: {body}");
            }
        }
    }
    assert!(ids.len() >= 33, "some are missing: {ids:?}");

    let mut found = HashSet::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_the_client_follows() {
    let served = Served::new(alone().await).await;
    let client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        let request = crate::api::types::ShareRequest::new(path.to_str().unwrap());
        let mut events = client.share(&request).await.unwrap();
        while events.next().await.unwrap().is_some() {}
    }
    let (address, token) = (served.address, served.token.as_str());
    let mut path = "/v1/links?limit=2".to_owned();
    let mut names = Vec::new();
    loop {
        let head = format!("GET {path} HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}");
        let (status, head, body) = super::access::whole(&served, &head, b"").await;
        assert_eq!(status, 200, "{body}");
        let page: Vec<Value> = serde_json::from_str(&body).unwrap();
        names.push(
            page.iter()
                .map(|link| link["name"].clone())
                .collect::<Vec<_>>(),
        );
        let Some((_, link)) = head.split_once("link: <") else {
            break;
        };
        let (next, rest) = link.split_once('>').unwrap();
        assert!(rest.starts_with("; rel=\"next\""));
        next.clone_into(&mut path);
    }
    assert_eq!(names, [vec!["a", "b"], vec!["c"]]);
    assert_eq!(client.links(None, None).await.unwrap().len(), 3);
    for wrong in ["limit=0", "limit=10001", "after=x"] {
        let head = format!(
            "GET /v1/shares?{wrong} HTTP/1.1\nHost: {address}\nAuthorization: Bearer {token}"
        );
        assert_eq!(raw(&served, &head, b"").await.0, 400, "{wrong}");
    }
}
