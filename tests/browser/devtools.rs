//! Chromium, driven by its `DevTools` protocol over a pipe: no port, no web socket, no driver of another version.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The browser answers within this, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    next: u64,
    /// What the browser told unasked: requests, log entries, exceptions.
    pub(crate) events: Vec<Value>,
    // Removed when the browser has gone.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser that prefers `languages`, with an empty page of the size of a small telephone.
    pub(crate) fn start(languages: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol is read from descriptor 3 and written to 4; `timeout` ends what a killed test would leave behind.
        let mut process = Command::new("sh")
            .arg("-c")
            .arg("exec timeout 300 chromium \"$@\" 3<&0 4>&1 1>&2 2>/dev/null")
            .arg("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--hide-scrollbars",
            ])
            .arg(format!("--accept-lang={languages}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, mut output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let (mut buffer, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                buffer.extend_from_slice(&chunk[..count]);
                while let Some(end) = buffer.iter().position(|byte| *byte == 0) {
                    let message: Vec<_> = buffer.drain(..=end).collect();
                    if sender.send(serde_json::from_slice(&message[..end]).unwrap()).is_err() {
                        return;
                    }
                }
            }
        });
        let mut browser = Self {
            process,
            commands,
            messages,
            session: String::new(),
            next: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach);
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        let screen = json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        browser.call("Emulation.setDeviceMetricsOverride", &screen);
        browser
    }

    /// The result of a command.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut command = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if message["id"] == json!(self.next) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Goes to `url` and waits until the page is there.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        self.until(&format!("document.readyState === 'complete' && location.href.startsWith({})", json!(url)));
    }

    /// The value of an expression of JavaScript, a promise's awaited.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", &asked);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until an expression is true; across navigations, during which there is nothing to ask.
    pub(crate) fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.call("Runtime.evaluate", &json!({ "expression": expression }))["result"]["value"] != json!(true) {
            if Instant::now() > end {
                let page = self.eval("document.body && document.body.innerText");
                panic!("never true: {expression}\n{page}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The text of the first element that `selector` matches.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        self.eval(&format!("document.querySelector({}).textContent", json!(selector))).as_str().unwrap().to_owned()
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("{key}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// What went wrong in pages so far: exceptions, and what the security policy blocked.
    pub(crate) fn faults(&mut self) -> Vec<String> {
        self.eval("0");
        let wrong = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["source"] != json!("network"),
            _ => false,
        };
        self.events.iter().filter(wrong).map(|event| event["params"].to_string()).collect()
    }

    /// Every address that pages asked for.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        self.eval("0");
        let sent = self.events.iter().filter(|event| event["method"] == json!("Network.requestWillBeSent"));
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to close, it takes its own children along; `timeout` is the fallback.
        self.session.clear();
        drop(self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0"));
        drop(self.process.wait());
    }
}
