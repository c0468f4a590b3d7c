//! A browser without a window, driven as people drive one.

use std::process::Command;

use serde_json::{Value, json};

use super::{
    http::Url,
    world::{Run, World},
};

/// A browser, which ends with this.
pub(crate) struct Browser {
    session: Url,
    _driver: Run,
}

impl Browser {
    /// None if there is none on this machine, or no driver for it.
    pub(crate) fn start(world: &World) -> Option<Self> {
        let is_there = |program: &str| {
            let told = Command::new(program).arg("--version").output();
            told.is_ok_and(|told| told.status.success())
        };
        if !is_there("chromedriver") || !is_there("chromium") {
            eprintln!("skipped: there is no chromium and chromedriver");
            return None;
        }
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").env("TMPDIR", world.path(""));
        let driver = Run::new(driver);
        let line = driver.out.line("started successfully on port ");
        let port = line.rsplit(' ').next().unwrap().trim_end_matches('.');
        let at = Url::new(&format!("http://127.0.0.1:{port}/session"));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--mute-audio",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = call(&at, "POST", &wanted)["sessionId"].clone();
        Some(Self {
            session: at.below(&format!("/{}", session.as_str().unwrap())),
            _driver: driver,
        })
    }

    /// Goes to a URL, and waits until it is loaded.
    pub(crate) fn go(&self, url: &Url) {
        let url = format!("http://{}{}", url.host, url.path);
        call(&self.session.below("/url"), "POST", &json!({"url": url}));
    }

    pub(crate) fn title(&self) -> String {
        let title = call(&self.session.below("/title"), "GET", &Value::Null);
        title.as_str().unwrap().to_owned()
    }

    /// What a script says that a developer runs there.
    pub(crate) fn run(&self, script: &str) -> Value {
        let script = json!({"script": script, "args": []});
        call(&self.session.below("/execute/sync"), "POST", &script)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            call(&self.session, "DELETE", &Value::Null);
        }
    }
}

fn call(url: &Url, method: &str, body: &Value) -> Value {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [
        format!("Host: {}", url.host),
        "Content-Type: application/json".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    let answer = url.send_with(method, &headers, &body).whole();
    let told: Value = serde_json::from_slice(&answer.code(200).body).unwrap();
    told["value"].clone()
}
