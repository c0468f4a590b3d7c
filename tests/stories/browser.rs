//! A headless Chromium that a story uses as a person does: by what is visible, clicks and keys.

use std::{
    env,
    io::{self, BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator, key::Key};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::world::eventually;

/// A browser, which starts with one tab. Dropping this ends it.
pub(crate) struct Browser {
    client: Client,
    runtime: Runtime,
    driver: Child,
}

impl Browser {
    /// Opens a window of this size in CSS pixels. Prints why and returns `None` without Chromium.
    pub(crate) fn open(width: u32, height: u32) -> Option<Self> {
        let (driver, port) = match driver() {
            Ok(started) => started,
            Err(error) if env::var("CI").as_deref() != Ok("true") => {
                eprintln!("skipped: no chromedriver ({error}); on Debian: chromium-driver");
                return None;
            }
            Err(error) => panic!("chromedriver: {error}"),
        };
        let runtime = Runtime::new().unwrap();
        let options = json!({
            // Those that stories make themselves.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                    "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                    format!("--window-size={width},{height}"),
                ],
                // A window cannot be as narrow as a phone.
                "mobileEmulation": { "deviceMetrics": {
                    "width": width, "height": height, "pixelRatio": 1.0, "touch": false,
                } },
            }
        });
        let Value::Object(capabilities) = options else {
            unreachable!("it is written above")
        };
        let connect = async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities);
            builder.connect(&format!("http://127.0.0.1:{port}")).await
        };
        let client = runtime.block_on(connect).unwrap();
        Some(Self {
            client,
            runtime,
            driver,
        })
    }

    /// Opens a URL in the current tab.
    pub(crate) fn go(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// Opens another tab, which becomes the current one.
    pub(crate) fn new_tab(&self) {
        let tab = async {
            let tab = self.client.new_window(true).await?;
            self.client.switch_to_window(tab.handle).await
        };
        self.runtime.block_on(tab).unwrap();
    }

    /// Makes the tab that was opened as number `at` the current one.
    pub(crate) fn look_at_tab(&self, at: usize) {
        let tab = async {
            let tabs = self.client.windows().await?;
            self.client.switch_to_window(tabs[at].clone()).await
        };
        self.runtime.block_on(tab).unwrap();
    }

    pub(crate) fn reload(&self) {
        self.runtime.block_on(self.client.refresh()).unwrap();
    }

    /// Runs a script, and returns its result.
    pub(crate) fn script(&self, script: &str) -> Value {
        let run = self.client.execute(script, Vec::new());
        self.runtime
            .block_on(run)
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        eventually(expression, || (self.script(&script) == true).then_some(()));
    }

    /// Waits until an element that matches `css` shows `text`.
    pub(crate) fn sees(&self, css: &str, text: &str) {
        self.until(&format!(
            "[...document.querySelectorAll({css:?})].some(e => e.checkVisibility() && e.innerText.includes({text:?}))"
        ));
    }

    /// Waits until no element that matches `css` shows `text`.
    pub(crate) fn sees_no(&self, css: &str, text: &str) {
        self.until(&format!(
            "![...document.querySelectorAll({css:?})].some(e => e.checkVisibility() && e.innerText.includes({text:?}))"
        ));
    }

    /// Clicks the element that matches `css`, once that is possible.
    pub(crate) fn click(&self, css: &str) {
        eventually(&format!("a click on {css}"), || {
            let click = async {
                let element = self.client.find(Locator::Css(css)).await?;
                element.click().await
            };
            self.runtime.block_on(click).ok()
        });
    }

    /// Replaces the text in the field that matches `css`.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        eventually(&format!("typing into {css}"), || {
            let fill = async {
                let element = self.client.find(Locator::Css(css)).await?;
                element.clear().await?;
                element.send_keys(text).await
            };
            self.runtime.block_on(fill).ok()
        });
    }

    /// Presses a key in the element that has the focus.
    pub(crate) fn press(&self, key: Key) {
        let press = async {
            let element = self.client.active_element().await?;
            element.send_keys(&char::from(key).to_string()).await
        };
        self.runtime.block_on(press).unwrap();
    }

    /// Presses a key while another is held.
    pub(crate) fn press_with(&self, held: Key, key: Key) {
        let press = async {
            let element = self.client.active_element().await?;
            let keys = String::from_iter([held, key, Key::Null].map(char::from));
            element.send_keys(&keys).await
        };
        self.runtime.block_on(press).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts a driver, and returns it with its port once it is ready. Starts another one if it ends
/// immediately, because its port was taken.
fn driver() -> io::Result<(Child, u16)> {
    let mut last = io::Error::other("it ends before it is ready");
    for _ in 0..5 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(port) = port(&mut driver) {
            return Ok((driver, port));
        }
        let ended = driver.wait()?;
        last = io::Error::other(format!("it ends before it is ready: {ended}"));
    }
    Err(last)
}

/// The port that the driver chose and printed.
fn port(driver: &mut Child) -> Option<u16> {
    let mut lines = BufReader::new(driver.stdout.take()?).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Dropping the reader would end the driver.
    std::thread::spawn(move || lines.for_each(drop));
    port
}
