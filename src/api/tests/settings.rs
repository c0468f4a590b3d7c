//! Settings: listing them, changing them while the node runs, and rejected changes.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Served, alone};
use crate::{
    api::{
        App, CallError, Client, Log, router,
        types::{LimitsChange, Setting},
    },
    config::{Layers, LiveSettings, LogLevel, SetBy},
    node::Rate,
};

async fn one(client: &Client, name: &str) -> Setting {
    let settings = client.settings().await.unwrap();
    let found = settings.into_iter().find(|setting| setting.name == name);
    found.unwrap()
}

async fn refusal(client: &Client, name: &str, value: Value) -> (String, String) {
    let good = ("transfer.seed".to_owned(), json!(false));
    let change = [good, (name.to_owned(), value)].into();
    match client.change_settings(&change).await {
        Err(CallError::Refused(error)) => (error.code, error.message),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn settings_change_what_the_node_does() {
    let node = alone().await;
    let logged_at = Arc::new(Mutex::new(None));
    let log = Log::default().with_level({
        let logged_at = Arc::clone(&logged_at);
        move |level| *logged_at.lock() = Some(level)
    });
    let settings = Arc::new(LiveSettings::defaults());
    let served = Served::new(App::new(node.clone(), log, settings)).await;
    let client = served.client().await;
    let change = [
        ("transfer.upload_limit".to_owned(), json!("1.5 MB")),
        ("logging.level".to_owned(), json!("debug")),
    ];
    client.change_settings(&change.into()).await.unwrap();
    assert_eq!(node.limits().upload.unwrap().bytes(), 1_500_000);
    assert_eq!(*logged_at.lock(), Some(LogLevel::Debug));
    let limit = one(&client, "transfer.upload_limit").await;
    assert_eq!((limit.value, limit.default), (json!(1_500_000), json!(0)));
    assert!(limit.changeable && limit.locked.is_none());

    let back = [("transfer.upload_limit".to_owned(), Value::Null)].into();
    client.change_settings(&back).await.unwrap();
    assert_eq!(node.limits().upload, None);

    // A change of settings also replaces limits that were set directly.
    node.set_limits(|rates| rates.download = Some(Rate::MAX));
    let lifted = LimitsChange {
        download: Some(None),
        ..LimitsChange::default()
    };
    client.set_limits(&lifted).await.unwrap();
    assert_eq!(node.limits().download, None);
}

#[tokio::test]
async fn what_is_out_of_range_or_locked_changes_nothing() {
    let mut layers = Layers::default();
    let variable = SetBy::Variable("PELAGO_TRANSFER_MAX_DOWNLOADS".to_owned());
    layers
        .set(variable, "transfer", "max_downloads", 3)
        .unwrap();
    let settings = LiveSettings::new(layers, None, BTreeMap::new());
    let app = App::new(alone().await, Log::default(), Arc::new(settings));
    let client = Served::new(app).await.client().await;
    let before = client.settings().await.unwrap();
    for (name, value, code, says) in [
        ("transfer.upload_limit", json!(999), "bad-setting", "1 kB/s"),
        (
            "transfer.timeout_seconds",
            json!(0),
            "bad-setting",
            "1 to 86400",
        ),
        ("transfer.timeout_seconds", json!(1.5), "bad-setting", "1.5"),
        ("transfer.timeout_seconds", json!([1]), "bad-setting", "[1]"),
        ("logging.level", json!("loud"), "bad-setting", "warn"),
        (
            "transfer.colour",
            json!("red"),
            "bad-setting",
            "unknown setting",
        ),
        (
            "transfer.max_downloads",
            json!(4),
            "setting-locked",
            "PELAGO_",
        ),
        ("network.port", json!(1), "setting-locked", "starts"),
    ] {
        let (found, message) = refusal(&client, name, value).await;
        assert_eq!(found, code, "{message}");
        assert!(
            message.contains(name) && message.contains(says),
            "{message}"
        );
    }
    assert_eq!(client.settings().await.unwrap(), before);
}

#[tokio::test]
async fn limits_for_some_time_are_not_saved_and_end_by_themselves() {
    let client = Client::in_process(router(alone().await));
    let usual = client.limits().await.unwrap();
    let short = |seconds| LimitsChange {
        upload: Some(Some(5000)),
        for_seconds: Some(seconds),
        ..LimitsChange::default()
    };
    let changed = client.set_limits(&short(3600.0)).await.unwrap();
    assert_eq!(changed.upload, Some(5000));
    assert!(changed.until_unix_ms.is_some());
    let setting = one(&client, "transfer.upload_limit").await;
    assert_eq!(setting.value, json!(0));
    // A change of another setting leaves them alone.
    let other = [("transfer.download_limit".to_owned(), json!("1MB"))];
    client.change_settings(&other.into()).await.unwrap();
    let limits = client.limits().await.unwrap();
    assert_eq!(
        (limits.upload, limits.download),
        (Some(5000), Some(1_000_000))
    );

    client.set_limits(&short(0.01)).await.unwrap();
    while client.limits().await.unwrap().upload.is_some() {
        tokio::task::yield_now().await;
    }
    client.set_limits(&short(3600.0)).await.unwrap();
    let lifted = LimitsChange {
        download: Some(None),
        ..LimitsChange::default()
    };
    assert_eq!(client.set_limits(&lifted).await.unwrap(), usual);
    let nothing = LimitsChange {
        upload: None,
        ..short(1.0)
    };
    let Err(CallError::Refused(error)) = client.set_limits(&nothing).await else {
        panic!("it changes nothing")
    };
    assert_eq!(error.code, "bad-limit");
}
